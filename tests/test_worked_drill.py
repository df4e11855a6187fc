"""The drill at the worked point, where no factor is 1: what is served, by hand; what it says of changed plans."""

from datetime import date
from functools import cache
from typing import Any

import pytest
from studies import offer
from worked_points import (
    DAY,
    HALF,
    LOST_WITHOUT_A,
    NIGHT,
    QA,
    QB,
    RESCALED,
    RESOLVED,
    SHORT,
    STANDS,
    TERM,
    A,
    B,
    solvable,
)

from planner.drill import DrillResult, drill_plan, drill_state_claims
from planner.drill.moments import moments
from planner.drill.trips import kilometres
from planner.plan import make_plan
from planner.records.plan import PlanFile, Purchase, Replicas, State
from planner.records.study import Claim, Demand, Holding, Horizon, Hour, Period, Shape
from planner.search import Effort


@cache
def made() -> PlanFile:
    """A plan with all its states."""
    return make_plan(solvable(), Effort(gap_fraction=0.0))


def standing(**other: dict[Any, Any]) -> PlanFile:
    """The worked point as a plan that states normal operation alone; parts of it may be others."""
    stands: dict[str, Any] = STANDS | other
    usual = tuple(
        State(
            hour=hour,
            failure="normal",
            clock_seconds=0.0,
            workload=tuple(w for w, _ in flows),
            origin=("o",) * len(flows),
            placement=tuple(e for _, e in flows),
            requests_per_second=tuple(flows.values()),
        )
        for hour, flows in stands["traffic"].items()
    )
    return made().model_copy(
        update={
            "purchases": tuple(Purchase(offer=b, when=t, units=n) for (b, t), n in stands["purchases"].items()),
            "replicas": tuple(
                Replicas(placement=e, hour=h, replicas=n, firm=firm) for (e, h), (n, firm) in stands["replicas"].items()
            ),
            "states": usual,
            "drivers": {},
            "firm": (),
            "uncoverable": (),
        }
    )


@cache
def drilled(mode: Any) -> DrillResult:
    return drill_plan(standing(), mode)


def row(result: DrillResult, key: tuple[str, str, float], tier: str) -> Any:
    (found,) = (r for r in result.rows if (r.hour, r.failure, r.clock_seconds, r.tier) == (*key, tier))
    return found


def test_what_stands_is_sound():
    assert drilled("rescale").findings == drilled("resolve").findings == ()


@pytest.mark.parametrize("key", RESCALED)
def test_gateways_that_renormalise_by_hand(key):
    for tier, share in zip(("t", "late"), RESCALED[key], strict=True):
        assert row(drilled("rescale"), key, tier).served_fraction == pytest.approx(share, rel=1e-9), tier


@pytest.mark.parametrize("key", SHORT)
def test_what_is_short_of_the_goals_by_hand(key):
    found = row(drilled("rescale"), key, "t")
    assert found.short_requests_per_second == pytest.approx(SHORT[key], abs=1e-9)
    assert found.broken == (SHORT[key] > 0)
    assert not row(drilled("rescale"), key, "late").broken, "nothing is due of it in failures"


@pytest.mark.parametrize("key", RESOLVED)
def test_the_best_new_weights_by_hand(key):
    assert row(drilled("resolve"), key, "t").served_fraction == pytest.approx(RESOLVED[key], rel=1e-6)


def test_due_at_each_clock():
    due = {c: row(drilled("rescale"), (DAY, "site:a/x", c), "t").due_fraction for c in (0.0, 30.0, 50.0, 300.0)}
    assert due == {0.0: 0.0, 30.0: 0.3, 50.0: 0.5, 300.0: 0.8}
    assert row(drilled("rescale"), (NIGHT, "normal", 0.0), "late").due_fraction == 0.75


def test_the_toll_by_hand():
    (found,) = (t for t in drilled("rescale").tolls if (t.hour, t.failure) == (DAY, "site:a/x"))
    w, v = LOST_WITHOUT_A
    assert (found.requests_lost, found.usd_lost) == pytest.approx((w + v, 0.01 * w + 0.002 * v), abs=1e-5)
    assert (found.until_seconds, found.until) == (300.0, "last clock")
    assert found.due_again_seconds is None and found.all_again_seconds is None
    assert found.served_worst == pytest.approx({"w": 0.25, "v": 3.8 / 5.27})
    assert found.served_last == pytest.approx({"w": 3.8 / 5.27, "v": 3.8 / 5.27})
    tolls = [t.usd_lost for t in drilled("rescale").tolls]
    assert tolls == sorted(tolls, reverse=True)


def changed(part: str, **by: Any) -> PlanFile:
    """What stands, with one number of it another."""
    key = next(iter(by.pop("key")))
    return standing(**{part: {**STANDS[part], key: by["to"]}})  # type: ignore[dict-item]


FOUND = {
    # what is changed: (part, its key, new number, what is said)
    "too many replicas for rollouts": ("replicas", (A, DAY), (4, 2), f"machines with rollouts: pool {QA} has 3, at"),
    "more firm than replicas": ("replicas", (A, NIGHT), (2, 3), f"firm replicas: {A} has 3, at most 2"),
    "firm on spot": ("replicas", (A, DAY), (3, 3), f"machines under firm replicas: pool {QA} has 1.5, at most 1.4"),
    "fewer machines": ("purchases", (TERM, HALF), 1, f"machines with rollouts: pool {QB} has 3, at most 1.3"),
    "no such placement": ("replicas", ("ghost", DAY), (1, None), "replicas of ghost: no such placement"),
    "no such offer": ("purchases", ("ghost", DAY), 1, "purchase of ghost: no such offer"),
    "more than wanted": (
        "traffic",
        DAY,
        {("w", A): 7.5, ("w", B): 2.5, ("v", B): 1.5},
        "v from o in period-1: 1.275 requests/s are taken up, wanted 1.25",
    ),
    "no such edge": (
        "traffic",
        DAY,
        {("w", A): 7.5, ("w", "ghost"): 2.5, ("v", B): 1.4},
        "w from o on ghost is not eligible: no such placement",
    ),
}


@pytest.mark.parametrize("what", FOUND)
def test_what_does_not_stand_is_found(what):
    part, key, to, says = FOUND[what]
    found = drill_plan(changed(part, key=[key], to=to), "rescale").findings
    assert [text for text in found if says in text], found
    if what not in ("fewer machines", "no such edge", "no such offer"):
        assert len(found) == 1, found


def states(change: Any) -> PlanFile:
    """The made plan with one of its states changed."""
    data = made().model_dump(mode="json", by_alias=True)
    change(lambda failure, clock, hour=DAY: at(data, failure, clock, hour))
    return PlanFile.model_validate(data)


def at(data: Any, failure: str, clock: float, hour: str) -> Any:
    return next(s for s in data["states"] if (s["failure"], s["clock_seconds"], s["hour"]) == (failure, clock, hour))


def only(placement: str, rates: dict[str, float], **more: Any) -> dict[str, Any]:
    """A state in which all traffic goes to one placement."""
    return {
        "same_as_normal": False,
        "workload": list(rates),
        "origin": ["o"] * len(rates),
        "placement": [placement] * len(rates),
        "requests_per_second": list(rates.values()),
        **more,
    }


NO_A, NO_B = "site:a/x", "site:b/y"
CLAIMS = {
    # (change of a state, what is said)
    "kept more than survive": (lambda s: s(NO_A, 50.0).update(kept={B: 99}), f"{NO_A} at 50 s: kept replicas: {B}"),
    "kept more than before": (
        lambda s: (s(NO_A, 30.0).update(kept={B: 0}), s(NO_A, 50.0).update(kept={B: 1})),
        f"{NO_A} at 50 s: kept after fewer were: {B} has 1, at most 0",
    ),
    "loaded before its time": (
        lambda s: s(NO_A, 30.0).update(loaded={B: 1}),
        f"{NO_A} at 30 s: loaded replicas: {B} has 1, at most 0",
    ),
    "loaded by storage that is slower": (
        lambda s: s(NO_A, 50.0).update(loaded={B: 3}),
        f"{NO_A} at 50 s: GiB loaded: b/y has 300, at most 200",
    ),
    "loaded without room before": (
        lambda s: (s(NO_A, 30.0).update(occupied={}), s(NO_A, 50.0).update(loaded={B: 2})),
        f"{NO_A} at 50 s: running, loading at 30 s: {B} has 6, at most 4",
    ),
    "loaded where nothing lives": (lambda s: s(NO_A, 50.0).update(loaded={A: 1}), f"loaded replicas: {A} has 1"),
    "on too few machines": (
        lambda s: s(NO_A, 300.0).update(occupied={B: 30}),
        f"{NO_A} at 300 s: machines: {QB} has 15, at most 3.6",
    ),
    "in less room than runs": (
        lambda s: s(NO_A, 300.0).update(occupied={B: 1}),
        f"{NO_A} at 300 s: running, of those with room: {B}",
    ),
    "of nothing": (lambda s: s(NO_A, 300.0).update(kept={"x": 1}), f"{NO_A} at 300 s: replicas of x: no such"),
    "to the dead": (
        lambda s: s(NO_A, 300.0).update(only(A, {"w": 10.0, "v": 2.0})),
        f"{NO_A} at 300 s: w from o on {A}: dead",
    ),
    "more than replicas carry": (
        lambda s: s(NO_A, 300.0).update(only(B, {"w": 10.0, "v": 2.0}, shed={}, loaded={}, kept={})),
        f"{NO_A} at 300 s: load in replicas: {B} has 5.27, at most 3.8",
    ),
    "more than is asked for": (
        lambda s: s(NO_A, 300.0).update(only(B, {"w": 10.5, "v": 0.0})),
        f"{NO_A} at 300 s: requests/s: w from o has 10.5, at most 10",
    ),
    "neither served nor shed": (
        lambda s: s(NO_A, 300.0).update(only(B, {"w": 8.5}, shed={"w": {"o": 1.0}, "v": {"o": 2.0}})),
        f"{NO_A} at 300 s: served and shed off demand: w from o has 0.5",
    ),
    "short of the goal": (
        lambda s: s(NO_A, 300.0).update(only(B, {"w": 7.9}, shed={"w": {"o": 2.1}, "v": {"o": 2.0}})),
        f"{NO_A} at 300 s: tier t is short by 0.1 requests/s",
    ),
    "before it is lent no more": (
        lambda s: s(NO_B, 30.0).update(loaded={A: 8}, occupied={}),
        f"{NO_B} at 30 s: machines: {QA}",
    ),
}


def test_a_plan_that_was_made_holds():
    assert drill_state_claims(made()) == ()


@pytest.mark.parametrize("what", CLAIMS)
def test_claims_that_do_not_hold_are_found(what):
    change, says = CLAIMS[what]
    found = drill_state_claims(states(change))
    assert [text for text in found if says in text], found


def test_names_that_a_plan_does_not_know():
    plan = made()
    proof = plan.proof.model_copy(update={"failures_entered": ("site:moon",)})
    data = {"drivers": {"moon/m": ("site:sun",)}, "proof": proof}
    found = drill_plan(plan.model_copy(update=data), "rescale").findings
    said = "no goal of the study expands to this failure"
    assert set(found) == {"drivers: pool moon/m: no such pool", f"site:moon: {said}", f"site:sun: {said}"}


# ------------------------------------------------------------------ hours, by themselves
def over_time(**more: Any) -> Any:
    """Two periods of 3 and 9 months, day and night; w grows by 21 % a year and has a shape."""
    rows = (
        Demand(workload="w", origin="o", requests_per_second=10.0, growth_fraction_per_year=0.21, shape="s"),
        Demand(workload="w", origin="o", requests_per_second=4.0, period="b", hour="night"),
        Demand(workload="v", origin="o", requests_per_second=2.0, high_requests_per_second=3.0, hour="day"),
        Demand(workload="v", origin="o", requests_per_second=1.0, period="b"),
    )
    horizon = Horizon(
        start=date(2026, 1, 1),
        periods=(Period(name="a", months=3.0), Period(name="b", months=9.0)),
        hours=(Hour(name="day", weight_fraction=0.25), Hour(name="night", weight_fraction=0.75)),
    )
    shapes = (Shape(name="s", factors={"day": 1.2, "night": 0.8}),)
    return solvable().model_copy(update={"horizon": horizon, "demand": rows, "shapes": shapes, **more})


def test_what_is_wanted_in_each_hour():
    found = {m.hour: m.wanted for m in moments(over_time())}
    grown = {"a": 10 * 1.21 ** (1.5 / 12), "b": 10 * 1.21 ** (7.5 / 12)}  # to the middle of each period
    assert found == {
        "a/day": pytest.approx({("w", "o"): 1.2 * grown["a"], ("v", "o"): 2.0}),
        "a/night": pytest.approx({("w", "o"): 0.8 * grown["a"]}),
        "b/day": pytest.approx({("w", "o"): 1.2 * grown["b"], ("v", "o"): 1.0}),  # the period says more than the hour
        "b/night": pytest.approx({("w", "o"): 4.0, ("v", "o"): 1.0}),
    }
    assert moments(over_time(), "high")[0].wanted["v", "o"] == 3.0
    assert moments(over_time(), "low")[0].wanted["v", "o"] == 2.0
    spans = [(m.period, m.begins, m.ends, m.first, m.last, m.weight) for m in moments(over_time())]
    assert spans[0] == ("a", 0.0, 3.0, date(2026, 1, 1), date(2026, 3, 31), 0.25)
    assert spans[3] == ("b", 3.0, 12.0, date(2026, 4, 1), date(2026, 12, 31), 0.75)


def test_what_is_held_and_lent_in_a_period():
    """From 2026-04-01 to 2026-12-31: to the day."""
    first, last = date(2026, 4, 1), date(2026, 12, 31)
    day = {"before": date(2026, 3, 31), "after": date(2026, 4, 2), "early": date(2026, 12, 30)}
    rows = [
        (1, None, None),
        (2, first, last),
        (4, day["after"], None),
        (8, None, day["early"]),
        (16, day["before"], None),
        (32, None, day["before"]),
    ]
    held = tuple(Holding(pool=QA, machines=n, from_day=a, until=z) for n, a, z in rows)
    lent = tuple(
        Claim(pool=QA, machines=n, from_day=a, until=z, reclaim_seconds=5.0, lent_to="x")
        for n, a, z in [(1, None, first), (2, last, None), (4, None, day["before"]), (8, date(2027, 1, 1), None)]
    )
    s = over_time(holdings=held, claims=lent)
    late = moments(s)[2]
    assert late.held(s) == {QA: 1 + 2 + 16}
    assert late.held_at_once(s) == {QA: 1 + 2 + 4 + 8 + 16}  # on the second day
    assert late.lent(s) == [(QA, 1.0, 5.0), (QA, 2.0, 5.0)]


@pytest.mark.parametrize(
    ("kind", "more", "when", "whole", "some_day"),
    [
        # there in a (3 months) and b (9 months), through all of it and on some day of it
        ("on_demand", {}, "a/day", (True, False), (True, False)),
        ("commitment", {}, "a", (True, False), (True, False)),
        ("commitment", {}, "b", (False, True), (False, True)),
        ("commitment", {"term_months": 3.0}, "a", (True, False), (True, False)),
        ("commitment", {"term_months": 4.0}, "a", (True, False), (True, True)),
        ("commitment", {"term_months": 12.0}, "a", (True, True), (True, True)),
        ("build_out", {}, "a", (True, True), (True, True)),
        ("build_out", {"life_years": 0.5}, "a", (True, False), (True, True)),
        ("build_out", {"life_years": 1.0}, "a", (True, True), (True, True)),
        # 90 days: until 2026-03-31; 91: a day of b
        ("capacity_block", {"length_days": 89.0}, "a", (False, False), (True, False)),
        ("capacity_block", {"length_days": 90.0}, "a", (True, False), (True, False)),
        ("capacity_block", {"length_days": 91.0}, "a", (True, False), (True, True)),
        ("capacity_block", {"length_days": 365.0}, "a", (True, True), (True, True)),
    ],
)
def test_when_what_was_bought_is_there(kind, more, when, whole, some_day):
    bought, _ = offer("a/x/m", 1, kind, **more)
    every = moments(over_time())
    row = Purchase(offer=bought.id, when=when, units=1)
    of_a, of_b = every[0], every[2]
    assert tuple(m.is_there(bought, row, every) for m in (of_a, of_b)) == whole
    assert tuple(m.is_there(bought, row, every, whole=False) for m in (of_a, of_b)) == some_day


def test_kilometres_by_hand():
    """A quarter of the globe along the equator, and to the pole; a degree; and nowhere."""
    quarter = 6371 * 3.141592653589793 / 2
    assert kilometres((0.0, 0.0), (0.0, 90.0)) == pytest.approx(quarter)
    assert kilometres((0.0, 12.0), (90.0, -70.0)) == pytest.approx(quarter)
    assert kilometres((10.0, 20.0), (11.0, 20.0)) == pytest.approx(quarter / 90)
    assert kilometres((60.0, 0.0), (60.0, 180.0)) == pytest.approx(quarter * 2 / 3)  # over the pole: 60 degrees
    assert kilometres((50.0, 7.0), (50.0, 7.0)) == 0.0
