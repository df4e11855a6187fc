"""The drill at the worked point, where no factor is 1: what is served, by hand; what it says of changed plans."""

from datetime import date
from functools import cache
from typing import Any

import numpy as np
import pytest
from buildouts import phase
from studies import offer
from worked_points import (
    DAY,
    HALF,
    LOST_WITHOUT_A,
    NIGHT,
    QA,
    QB,
    RENTED,
    RESCALED,
    RESOLVED,
    SHORT,
    SPOT,
    STANDS,
    TERM,
    A,
    B,
    rated,
    solvable,
)

from planner.drill import DrillResult, drill_plan, drill_state_claims
from planner.drill.baseline import of_plan
from planner.drill.failures import Failure
from planner.drill.installed import Bought, InstalledFleet, fractions, least_counted, more_counted
from planner.drill.instance import build_instance, cache_gib_per_request
from planner.drill.latency import kilometres
from planner.drill.names import above, check_study
from planner.drill.needs import available
from planner.drill.remaining import Remaining, what_remains
from planner.drill.replay import prepare
from planner.drill.request_limits import Passed
from planner.drill.symmetric import SymmetricFlows
from planner.drill.time_slices import not_ready, time_slices_of, without_power
from planner.errors import InputError
from planner.plan.plan import make_plan
from planner.solve.search import Effort
from planner.study.records.plan import Built, PlanFile, Purchase, Replicas, State
from planner.study.records.study import (
    Claim,
    Component,
    Counted,
    Demand,
    Dependency,
    Goal,
    Holding,
    Horizon,
    Hour,
    NamedFailure,
    Needs,
    Period,
    Shape,
)


@cache
def made() -> PlanFile:
    """A plan with all its states."""
    return make_plan(solvable(), Effort(gap_fraction=0.0))


def baseline(**other: dict[Any, Any]) -> PlanFile:
    """The worked point as a plan that states normal operation alone; parts of it may be others."""
    stands: dict[str, Any] = STANDS | other
    usual = tuple(
        State(
            hour=hour,
            failure="normal",
            deadline_seconds=0.0,
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
                Replicas(placement=e, hour=h, replicas=n, non_preemptible=non_preemptible)
                for (e, h), (n, non_preemptible) in stands["replicas"].items()
            ),
            "states": usual,
            "drivers": {},
            "no_regret": (),
            "uncoverable": (),
        }
    )


@cache
def drilled(mode: Any) -> DrillResult:
    return drill_plan(baseline(), mode)


def row(result: DrillResult, key: tuple[str, str, float], tier: str) -> Any:
    (only,) = (r for r in result.rows if (r.hour, r.failure, r.deadline_seconds, r.tier) == (*key, tier))
    return only


def test_what_stands_is_sound():
    assert drilled("rescale").findings == drilled("resolve").findings == ()


@pytest.mark.parametrize("key", RESCALED)
def test_gateways_that_renormalise_by_hand(key):
    for tier, share in zip(("t", "late"), RESCALED[key], strict=True):
        tier_row = row(drilled("rescale"), key, tier)
        assert tier_row.served_fraction == pytest.approx(share, rel=1e-9), tier
        assert (tier_row.warm_fraction, tier_row.reclaimed_fraction) == pytest.approx((share, 0.0), rel=1e-9)


@pytest.mark.parametrize("key", SHORT)
def test_what_is_short_of_the_goals_by_hand(key):
    tier_row = row(drilled("rescale"), key, "t")
    assert tier_row.short_requests_per_second == pytest.approx(SHORT[key], abs=1e-9)
    assert tier_row.broken == (SHORT[key] > 0)
    assert not row(drilled("rescale"), key, "late").broken, "nothing is due of it in failures"


@pytest.mark.parametrize("key", RESOLVED)
def test_the_best_new_weights_by_hand(key):
    assert row(drilled("resolve"), key, "t").served_fraction == pytest.approx(RESOLVED[key], rel=1e-6)


def test_due_at_each_deadline():
    due = {c: row(drilled("rescale"), (DAY, "site:a/x", c), "t").due_fraction for c in (0.0, 30.0, 50.0, 300.0)}
    assert due == {0.0: 0.0, 30.0: 0.3, 50.0: 0.5, 300.0: 0.8}
    assert row(drilled("rescale"), (NIGHT, "normal", 0.0), "late").due_fraction == 0.75


def test_the_outage_impact_by_hand():
    (impact,) = (t for t in drilled("rescale").outage_impacts if (t.hour, t.failure) == (DAY, "site:a/x"))
    w, v = LOST_WITHOUT_A
    assert (impact.requests_lost, impact.usd_lost) == pytest.approx((w + v, 0.01 * w + 0.002 * v), abs=1e-5)
    assert (impact.until_seconds, impact.until) == (300.0, "end of drill")
    assert impact.due_again_seconds is None and impact.all_again_seconds is None
    assert impact.served_worst == pytest.approx({"w": 0.25, "v": 3.8 / 5.27})
    assert impact.served_last == pytest.approx({"w": 3.8 / 5.27, "v": 3.8 / 5.27})
    outage_impacts = [t.usd_lost for t in drilled("rescale").outage_impacts]
    assert outage_impacts == sorted(outage_impacts, reverse=True)


def changed(part: str, **by: Any) -> PlanFile:
    """What stands, with one number of it another."""
    key = next(iter(by.pop("key")))
    return baseline(**{part: {**STANDS[part], key: by["to"]}})  # type: ignore[dict-item]


NOT_INSTALLED = {
    # what is changed: (part, its key, new number, what is said)
    "too many replicas for rollouts": ("replicas", (A, DAY), (4, 2), f"machines with rollouts: pool {QA} has 3, at"),
    "more non-preemptible than replicas": (
        "replicas",
        (A, NIGHT),
        (2, 3),
        f"non-preemptible replicas: {A} has 3, at most 2",
    ),
    "non-preemptible on spot": (
        "replicas",
        (A, DAY),
        (3, 3),
        f"under non-preemptible replicas: pool {QA} has 1.5",
    ),
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


@pytest.mark.parametrize("what", NOT_INSTALLED)
def test_what_is_not_as_stated_is_a_finding(what):
    part, key, to, says = NOT_INSTALLED[what]
    findings = drill_plan(changed(part, key=[key], to=to), "rescale").findings
    assert [text for text in findings if says in text], findings
    if what not in ("fewer machines", "no such edge", "no such offer"):
        assert len(findings) == 1, findings


def states(change: Any) -> PlanFile:
    """The made plan with one of its states changed."""
    data = made().model_dump(mode="json", by_alias=True)
    change(lambda failure, elapsed, hour=DAY: at(data, failure, elapsed, hour))
    return PlanFile.model_validate(data)


def at(data: Any, failure: str, elapsed: float, hour: str) -> Any:
    return next(
        s for s in data["states"] if (s["failure"], s["deadline_seconds"], s["hour"]) == (failure, elapsed, hour)
    )


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


NO_A, NO_B, PART = "site:a/x", "site:b/y", "failure:part"
CLAIMS = {
    # (change of a state, what is said)
    "kept more than survive": (lambda s: s(NO_A, 50.0).update(kept={B: 99}), f"{NO_A} at 50 s: kept replicas: {B}"),
    "kept more than before": (
        lambda s: (s(NO_A, 30.0).update(kept={B: 0}), s(NO_A, 50.0).update(kept={B: 1})),
        f"{NO_A} at 50 s: kept after fewer were: {B} has 1, at most 0",
    ),
    "loaded before its time": (
        lambda s: s(NO_A, 30.0).update(cold_started={B: 1}),
        f"{NO_A} at 30 s: cold-started replicas: {B} has 1, at most 0",
    ),
    "loaded by storage that is slower": (
        lambda s: s(NO_A, 50.0).update(cold_started={B: 3}),
        f"{NO_A} at 50 s: GiB loaded: b/y has 300, at most 175",
    ),
    "loaded without room before": (
        lambda s: (s(NO_A, 30.0).update(occupied={}), s(NO_A, 50.0).update(cold_started={B: 2})),
        f"{NO_A} at 50 s: running, loading at 30 s: {B} has 6, at most 4",
    ),
    "loaded where nothing lives": (
        lambda s: s(NO_A, 50.0).update(cold_started={A: 1}),
        f"started replicas: {A} has 1",
    ),
    "on too few machines": (
        lambda s: s(NO_A, 300.0).update(occupied={B: 30}),
        f"{NO_A} at 300 s: machines: {QB} has 15, at most 3.6",
    ),
    "in less room than runs": (
        lambda s: s(NO_A, 300.0).update(occupied={B: 1}),
        f"{NO_A} at 300 s: running, of those with machines: {B}",
    ),
    "of nothing": (lambda s: s(NO_A, 300.0).update(kept={"x": 1}), f"{NO_A} at 300 s: replicas of x: no such"),
    "to the dead": (
        lambda s: s(NO_A, 300.0).update(only(A, {"w": 10.0, "v": 2.0})),
        f"{NO_A} at 300 s: w from o on {A}: dead",
    ),
    "more than replicas carry": (
        lambda s: s(NO_A, 300.0).update(only(B, {"w": 10.0, "v": 2.0}, shed={}, cold_started={}, kept={})),
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
    "loaded long before": (
        lambda s: (
            s(PART, 30.0).update(same_as_normal=False, kept={}, occupied={}, cold_started={}),
            s(PART, 30.001).update(same_as_normal=False, occupied={B: 7}),
            s(PART, 50.0).update(cold_started={B: 3}, occupied={}, kept={}),
        ),
        f"{PART} at 50 s: running, loading at 30 s: {B} has 7, at most 4",
    ),
    "loaded after the clock before": (
        lambda s: (
            s(NO_A, 50.0).update(occupied={}, kept={}, cold_started={B: 1}),
            s(NO_A, 300.0).update(kept={}, cold_started={B: 3}),
        ),
        f"{NO_A} at 300 s: running, loading at 50 s: {B} has 7, at most 5",
    ),
    "short in normal operation": (
        lambda s: s("normal", 0.0).update(only(B, {"w": 8.9, "v": 1.5}, shed={"w": {"o": 1.1}})),
        "normal at 0 s: tier t is short by 0.1 requests/s",
    ),
    "before it is lent no more": (
        lambda s: s(NO_B, 30.0).update(cold_started={A: 8}, occupied={}),
        f"{NO_B} at 30 s: machines: {QA}",
    ),
}


def test_a_plan_that_was_made_holds():
    assert drill_state_claims(made()) == ()


@pytest.mark.parametrize("what", CLAIMS)
def test_claims_that_do_not_hold_are_findings(what):
    change, says = CLAIMS[what]
    findings = drill_state_claims(states(change))
    assert [text for text in findings if says in text], findings


def test_names_that_a_plan_does_not_know():
    plan = made()
    proof = plan.proof.model_copy(update={"binding_failures": ("site:moon",)})
    data = {"drivers": {"moon/m": ("site:sun",)}, "proof": proof}
    findings = drill_plan(plan.model_copy(update=data), "rescale").findings
    said = "no goal of the study expands to this failure"
    assert set(findings) == {"drivers: pool moon/m: no such pool", f"site:moon: {said}", f"site:sun: {said}"}


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
    wanted = {m.hour: m.wanted for m in time_slices_of(over_time())}
    grown = {"a": 10 * 1.21 ** (1.5 / 12), "b": 10 * 1.21 ** (7.5 / 12)}  # to the middle of each period
    assert wanted == {
        "a/day": pytest.approx({("w", "o"): 1.2 * grown["a"], ("v", "o"): 2.0}),
        "a/night": pytest.approx({("w", "o"): 0.8 * grown["a"]}),
        "b/day": pytest.approx({("w", "o"): 1.2 * grown["b"], ("v", "o"): 1.0}),  # the period says more than the hour
        "b/night": pytest.approx({("w", "o"): 4.0, ("v", "o"): 1.0}),
    }
    assert time_slices_of(over_time(), "high")[0].wanted["v", "o"] == 3.0
    assert time_slices_of(over_time(), "low")[0].wanted["v", "o"] == 2.0
    spans = [(m.period, m.begins, m.ends, m.first, m.last, m.weight) for m in time_slices_of(over_time())]
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
    late = time_slices_of(s)[2]
    assert late.held(s) == {QA: 1 + 2 + 16}
    assert late.held_at_once(s) == {QA: 1 + 2 + 4 + 8 + 16}  # on the second day
    assert late.lent(s) == [(QA, 1.0, 5.0), (QA, 2.0, 5.0)]


@pytest.mark.parametrize(
    ("kind", "more", "when", "throughout", "on_a_day"),
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
def test_when_what_was_bought_runs(kind, more, when, throughout, on_a_day):
    bought, _ = offer("a/x/m", 1, kind, **more)
    slices = time_slices_of(over_time())
    row = Purchase(offer=bought.id, when=when, units=1)
    of_a, of_b = slices[0], slices[2]
    assert tuple(m.has(bought, row, slices) for m in (of_a, of_b)) == throughout
    assert tuple(m.has(bought, row, slices, throughout=False) for m in (of_a, of_b)) == on_a_day


def test_kilometres_by_hand():
    """A quarter of the globe along the equator, and to the pole; a degree; and nowhere."""
    quarter = 6371 * 3.141592653589793 / 2
    assert kilometres((0.0, 0.0), (0.0, 90.0)) == pytest.approx(quarter)
    assert kilometres((0.0, 12.0), (90.0, -70.0)) == pytest.approx(quarter)
    assert kilometres((10.0, 20.0), (11.0, 20.0)) == pytest.approx(quarter / 90)
    assert kilometres((60.0, 0.0), (60.0, 180.0)) == pytest.approx(quarter * 2 / 3)  # over the pole: 60 degrees
    assert kilometres((50.0, 7.0), (50.0, 7.0)) == 0.0


# ------------------------------------------------------------------ needs
P = ("x:1", "x:2", "x:3")
AVAILABLE = {"x:1": np.array([0.25, 1.0]), "x:2": np.array([0.6, 0.0]), "x:3": np.array([1.0, 0.5])}


@pytest.mark.parametrize(
    ("need", "remaining"),
    [
        (Needs(all_of=P), (0.25, 0.0)),
        (Needs(any_of=P), (1.0, 1.0)),
        (Needs(any_of=P[:2]), (0.6, 1.0)),
        (Needs(at_least=1, of=P), (1.0, 1.0)),
        (Needs(at_least=2, of=P), (0.6, 0.5)),
        (Needs(at_least=3, of=P), (0.25, 0.0)),
        (Needs(at_least=4, of=P), (0.0, 0.0)),
        (Needs(all_of=(P[2], Needs(any_of=P[:2]))), (0.6, 0.5)),
        (Needs(any_of=(P[0], Needs(at_least=2, of=P[1:]))), (0.6, 1.0)),
    ],
)
def test_what_a_need_leaves(need, remaining):
    assert available(need, AVAILABLE, np.ones(2)).tolist() == list(remaining)


# ------------------------------------------------------------------ power, dates, markets
def test_machines_draw_power_to_the_kilowatt():
    """By day 2 held, 1 rented, 2 of spot at a: 5 machines of 6 kW."""
    plan = baseline()

    def over_power(kw: float) -> list[str]:
        sites = tuple(s.model_copy(update={"power_kw": kw}) if s.id == "a/x" else s for s in plan.study.sites)
        slices = time_slices_of(plan.study)
        return without_power(
            plan.model_copy(update={"study": plan.study.model_copy(update={"sites": sites})}), slices[0], slices
        )

    assert over_power(30.0) == []
    assert over_power(30.0 - 5e-7) == [], "half a milliwatt"
    assert over_power(29.9) == [f"{DAY}: machines at a/x draw 30 kW, at most 29.9"]


def test_modules_that_are_built_give_power_from_their_period_on():
    s = over_time(holdings=(Holding(pool=QA, machines=9),), build_outs=(phase("hall"), phase("annex")))
    s = s.model_copy(
        update={"sites": tuple(x.model_copy(update={"power_kw": 10.0}) if x.id == "a/x" else x for x in s.sites)}
    )
    hall, annex = (m.model_copy(update={"site": "a/x"}) for m in s.build_outs)
    s = s.model_copy(update={"build_outs": (hall, annex)})
    rows = (
        Built(build_out="a/x:hall", when="a", units=1),
        Built(build_out="a/x:hall", when="b", units=1),
        Built(build_out="a/x:annex", when="b", units=0),
    )
    plan = made().model_copy(update={"study": s, "builds": rows, "purchases": ()})
    slices = time_slices_of(s)
    assert without_power(plan, slices[1], slices) == ["a/night: machines at a/x draw 54 kW, at most 30"]  # 10 + 20
    assert without_power(plan, slices[2], slices) == ["b/day: machines at a/x draw 54 kW, at most 50"]
    assert without_power(plan.model_copy(update={"builds": (*rows, rows[1])}), slices[2], slices) == []


def test_nothing_runs_before_it_can():
    """Today is 2026-01-01: 90 days later is the first day of b; clocks of 12 months end a year later."""
    s = over_time(build_outs=(phase("hall").model_copy(update={"site": "a/x"}),))
    s = s.model_copy(update={"offers": tuple(b.model_copy(update={"lead_days": 90.0}) for b in s.offers)})
    rows = (Purchase(offer=TERM, when="a", units=1), Purchase(offer=TERM, when="b", units=1))
    builds = (Built(build_out="a/x:hall", when="b", units=1), Built(build_out="ghost", when="b", units=1))
    plan = made().model_copy(update={"study": s, "builds": builds, "purchases": rows})
    assert not_ready(plan, time_slices_of(s)) == [
        "builds: ghost: no such build-out",
        "a/x:hall in b: ordered on 2026-01-01 it is there on 2027-01-01, after 2026-04-01",
        f"{TERM} in a: ordered on 2026-01-01 it is there on 2026-04-01, after 2026-01-01",
    ]
    none = tuple(row.model_copy(update={"units": 0}) for row in (*rows, *builds))
    assert not_ready(plan.model_copy(update={"purchases": none[:2], "builds": none[2:3]}), time_slices_of(s)) == []


def test_what_counts_and_what_can_be_had():
    """Shares of the last entry that fits; half of what is left on a market of 6 units of 2."""
    s = solvable()
    rows = (
        Counted(offers=("a/*",), running_fraction=0.9, obtainable_fraction=0.2, obtain_seconds=3.0),
        Counted(
            offers=("*:on_demand",), any="site", running_fraction=0.75, obtainable_fraction=0.5, obtain_seconds=15.0
        ),
    )
    s = s.model_copy(update={"policies": s.policies.model_copy(update={"counted": rows})})
    offers = {b.id: b for b in s.offers}
    site, pool = frozenset({"site", "x"}), frozenset({"pool"})
    assert fractions(s, offers[RENTED], site) == (0.75, 0.5, 15.0)
    assert fractions(s, offers[RENTED], pool) == (0.9, 0.2, 3.0)
    assert fractions(s, offers[SPOT], pool) == (0.0, 0.0, 0.0)
    assert fractions(s, offers[TERM], site) == (1.0, 0.0, 0.0)
    both = [(site, frozenset()), (pool, frozenset())]
    assert least_counted(s, offers[RENTED], both) == 0.75
    assert least_counted(s, offers[RENTED], []) == least_counted(s, offers[TERM], both) == 1.0
    assert least_counted(s, offers[SPOT], both[1:]) == 0.0
    ended = [(pool, frozenset({(f"renewal:{TERM}", 0.4)}))]
    assert least_counted(s, offers[TERM], ended) == 0.6 and least_counted(s, offers[RENTED], ended) == 0.9
    assert more_counted(s, offers[RENTED], both) == 0.9 and more_counted(s, offers[RENTED], both[:1]) == 0.75
    assert more_counted(s, offers[SPOT], both) == 0.0 and more_counted(s, offers[TERM], [*both, *ended]) == 1.0
    units = tuple(b.model_copy(update={"machines_per_unit": 2}) if b.id == RENTED else b for b in s.offers)
    s = s.model_copy(update={"offers": units})
    instance = build_instance(s)
    zeros, bought = np.zeros(2), (Bought(units[0], 0, 4.0, 2.0), Bought(offers[TERM], 1, 6.0, 3.0))
    held, usable = np.array([2.0, 0.0]), zeros + 0.8
    fleet = InstalledFleet(instance, zeros, zeros, np.zeros((2, 2)), zeros, held, usable, zeros, bought)
    counts = fleet.counts(site)
    assert counts.machines.tolist() == [2 + 0.75 * 4, 6.0]
    assert counts.less.tolist() == [1.0, 0.0]
    assert counts.obtained == ((10 + 15.0, 0, 0.5 * (6 - 2) * 2),)
    assert fleet.counts(pool).obtained == ((10 + 3.0, 0, pytest.approx(0.2 * (6 - 2) * 2)),)


def test_what_fits_gives_up_the_same_share():
    """Two replicas a machine; 3 + 5 replicas need 4 machines: on 2.2 each keeps 0.55, whole ones."""
    s = solvable()
    instance = build_instance(s)
    assert instance.that_fit(np.array([3.0, 5.0]), np.array([1.5, 1.4])).tolist() == [3.0, 2.0]
    assert instance.that_fit(np.array([3.0, 5.0]), np.array([1.0, 2.5])).tolist() == [2.0, 5.0]
    assert instance.that_fit(np.array([0.0, 5.0]), np.array([0.0, 0.0])).tolist() == [0.0, 0.0]


# ------------------------------------------------------------------ names
def test_names_of_a_study_lead_somewhere():
    s = solvable()
    bad = {
        "pools": (s.pools[0].model_copy(update={"site": "moon"}), s.pools[1].model_copy(update={"machine_type": "z"})),
        "workloads": tuple(
            w.model_copy(update=u)
            for w, u in zip(s.workloads, ({"tier": "x", "model": "y"}, {"context_class": "z"}), strict=True)
        ),
        "demand": (s.demand[0].model_copy(update={"workload": "q", "origin": "r"}),),
        "holdings": (Holding(pool="h", machines=1),),
        "claims": (Claim(pool="c", machines=1, reclaim_seconds=1.0, lent_to="x"),),
        "failures": (*s.failures, s.failures[0]),
        "origins": (*s.origins, *s.origins),
    }
    with pytest.raises(InputError) as raised:
        check_study(s.model_copy(update=bad))
    said = {f.where.removeprefix("study: "): f.got for f in raised.value.findings}
    assert said == {
        "pools: moon/m: site": "'moon'",
        "pools: b/y/z: machine_type": "'z'",
        "workloads: w: tier": "'x'",
        "workloads: w: model": "'y'",
        "workloads: v: context_class": "'z'",
        "demand: workload": "'q'",
        "demand: origin": "'r'",
        "holdings: pool": "'h'",
        "claims: pool": "'c'",
        "failures": "'part'",
        "origins": "'o'",
    }
    check_study(s)


def test_goals_and_replicas_of_a_study_lead_somewhere():
    s = solvable()
    goals = (Goal(any="moon", within_seconds=1.0), Goal(failure="flood", within_seconds=1.0))
    first = s.models[0].profiles[0].model_copy(update={"accelerators_per_replica": 9})
    without_classes = s.models[0].profiles[1].model_copy(update={"accelerators_per_replica": 8, "classes": ()})
    models = (s.models[0].model_copy(update={"profiles": (first, without_classes)}),)
    tiers = (s.tiers[0].model_copy(update={"survive": goals}), s.tiers[1])
    with pytest.raises(InputError) as raised:
        check_study(s.model_copy(update={"tiers": tiers, "models": models}))
    assert [(f.where, f.got) for f in raised.value.findings] == [
        ("study: tiers: t: survive: any", "'moon'"),
        ("study: tiers: t: survive: failure", "'flood'"),
        ("study: models: m: m-cuda: accelerators_per_replica", "9"),
        ("study: models: m: n-neuron: classes", "none"),
    ]


def test_what_is_above_what_it_may_be():
    """A millionth of the larger side, of one at the least."""
    values = np.array([1 + 0.9e-6, 1 + 1.1e-6, 1000.0009, 1000.0011, 0.9e-6, 1.1e-6])
    most = np.array([1.0, 1.0, 1000.0, 1000.0, 0.0, 0.0])
    assert [text.split()[1] for text in above("x", "abcdef", values, most)] == ["b", "d", "f"]


# ------------------------------------------------------------------ what failures leave
def remaining_of(*failures: Failure, of: Any = None) -> Remaining:
    """What remains by day of what is installed at the worked point."""
    plan = baseline()
    plan = plan if of is None else plan.model_copy(update={"study": of})
    instance, graph, goals = prepare(plan.study)
    slices = time_slices_of(plan.study)
    fleet, _ = of_plan(instance.at(slices[0].wanted), plan, goals, slices[0], slices)
    return what_remains(fleet, graph, failures)


def test_a_placement_that_is_lost_in_part_has_its_part_of_the_pool():
    """Half of a's stack: half of 0.8 · (2 + 1 − 1) machines, two replicas on each; b is not lost in part."""
    remaining = remaining_of(Failure("x", {"stack:cuda": 0.5}, goals={"t": [(60.0, 0.5)]}))
    assert remaining.part_of_pool(10.0).tolist() == [pytest.approx(0.5 * 1.6 / 0.5), float("inf")]
    assert remaining.part_of_pool(60.0)[0] == pytest.approx(0.5 * 2.4 / 0.5)  # what was lent is back


def test_a_loss_on_one_placement_takes_no_weight_but_its_own():
    lost = {"pool:a/x/m": 0.4, f"placement:{A}": 0.25}
    remaining = remaining_of(Failure("x", lost, worst=A, goals={"t": [(60.0, 0.5)]}))
    assert remaining.weights.tolist() == [[0.75, 1.0]]


def test_only_pools_with_offers_that_count_less_look_at_what_is_non_preemptible():
    plan = baseline(replicas={**STANDS["replicas"], (B, DAY): (4, 1)})
    key = (DAY, NO_A, 30.0)
    assert row(drill_plan(plan, "rescale"), key, "t").served_fraction == pytest.approx(RESCALED[key][0])


def gated() -> Any:
    """Two gateways that w cannot avoid; a third, without a limit, only for new logins; half of sessions go on."""
    gates = tuple(
        Component(name=n, kind="gateway", most_requests_per_second=v)
        for n, v in (("in", 12.0), ("up", 20.0), ("x", None))
    )
    needs = (
        Dependency(component="workload:w", needs=Needs(all_of=("gateway:in", "gateway:up"))),
        Dependency(
            component="workload:w",
            needs=Needs(all_of=("gateway:x",)),
            breaks="new_logins",
            sessions_go_on_fraction=0.5,
        ),
    )
    return solvable().model_copy(update={"components": gates, "dependencies": needs})


def test_gateways_let_less_through_and_all_behind_them_lives():
    remaining = remaining_of(Failure("x", {"gateway:in": 0.25}, goals={"t": [(60.0, 0.5)]}), of=gated())
    assert remaining.limits.components == {"gateway:in": 0, "gateway:up": 1}
    assert remaining.limits.most.tolist() == [[9.0, 20.0]]
    assert remaining.ingress.tolist() == [[1.0, 1.0]]
    passed = Passed(("gateway:in", "gateway:up"))
    assert remaining.limits.by_flow == {remaining.instance.flows["w", "o"]: passed}
    assert remaining.limits.by_placement == {}


def test_an_ingress_is_what_no_machines_need():
    on_the_way = gated()
    _, graph, _ = prepare(on_the_way)
    assert graph.ingresses == {"gateway:in", "gateway:up"}
    behind = Dependency(component="site:a/x", needs=Needs(all_of=("gateway:up",)))
    _, graph, _ = prepare(on_the_way.model_copy(update={"dependencies": (*on_the_way.dependencies, behind)}))
    assert graph.ingresses == {"gateway:in"}


def test_symmetric_flows_share_by_what_they_ask_for():
    few = SymmetricFlows(None, np.array([0, 0, 1]), np.array([0.25, 0.75, 1.0]))  # type: ignore[arg-type]
    assert few.apart(np.array([8.0, 2.0])).tolist() == [2.0, 6.0, 2.0]


def test_failures_that_are_priced_are_drilled_without_a_goal():
    s = rated("expected")
    grid = Component(name="grid", kind="power", failures_per_year=2.0, hours_to_repair=3.0)
    idle = Component(name="idle", kind="power", hours_to_repair=3.0)
    tiers = tuple(t.model_copy(update={"survive": ()}) for t in s.tiers)
    for objective, ids in (("expected", ["power:grid"]), ("worst_case", ["power:grid", "power:idle"]), ("cost", [])):
        more = {"components": (grid, idle), "tiers": tiers, "objective": objective}
        _, _, failures = prepare(s.model_copy(update=more))
        named = [] if objective == "cost" else ["failure:part", f"failure:hit on {A}"]
        assert sorted(f.id for f in failures) == sorted([*ids, *named])
        for f in failures:
            assert f.deadlines == [10.0] and f.due("t", 99.0) == 0.0, "looked at when it is detected, nothing is due"
            assert f.hours_to_repair == {"power:grid": 3.0, "power:idle": 3.0, "failure:part": 2.0}.get(f.id, 1.5)


def test_keys_and_values_of_a_request_by_hand():
    """One layer of four looks at all of 30 tokens, three at 10; 8 heads of 16, keys and values, 2 bytes each."""
    (m,) = solvable().models
    shape = {
        "layers": 4,
        "full_attention_layers": 1,
        "windowed_attention_tokens": 10,
        "kv_heads": 8,
        "head_dimension": 16,
    }
    facts, profile = m.facts.model_copy(update=shape), m.profiles[0].model_copy(update={"kv_bytes_per_value": 2.0})
    assert cache_gib_per_request(facts, profile, 30.0) == pytest.approx((30 + 3 * 10) * 2 * 8 * 16 * 2 / 2**30)
    few = facts.model_copy(update={"kv_heads": 2})  # each of the four ranks has one at least
    assert cache_gib_per_request(few, profile, 30.0) == pytest.approx(60 * 2 * 4 * 16 * 2 / 2**30)
    latent = facts.model_copy(update={"kv_latent_dimension": 5, "full_attention_layers": None})
    assert cache_gib_per_request(latent, profile, 30.0) == pytest.approx(4 * 30 * 5 * 4 * 2 / 2**30)


def test_tolerances_are_of_what_is_asked_for():
    """1.25 requests/s of v are wanted over the period: 1.1 millionths more are none."""
    usual = {DAY: {("w", A): 7.5, ("w", B): 2.5, ("v", B): 1.4 + 4 * 1.1e-6}}
    assert drill_plan(baseline(traffic={**STANDS["traffic"], **usual}), "rescale").findings == ()
    usual = {DAY: {("w", A): 7.5, ("w", B): 2.5, ("v", B): 1.4 + 4 * 1.4e-6}}
    assert len(drill_plan(baseline(traffic={**STANDS["traffic"], **usual}), "rescale").findings) == 1


def test_phases_of_the_plan_without_goals_are_known():
    ghostly = made().without_goals.model_copy(update={"builds": (Built(build_out="ghost", when=HALF, units=1),)})
    findings = drill_plan(made().model_copy(update={"without_goals": ghostly}), "rescale").findings
    assert findings == ("without_goals: phase ghost: no such phase",)


@cache
def chipped() -> PlanFile:
    """A plan that survives half of a's stack, and limits of gateways."""
    s = gated()
    failure = NamedFailure(name="chip", lost={"stack:cuda": 0.5})
    tiers = (
        s.tiers[0].model_copy(
            update={"survive": (Goal(failure="chip", serve_fraction=0.3, within_seconds=60.0), *s.tiers[0].survive)}
        ),
        s.tiers[1],
    )
    failures = (*s.failures, failure)
    gates = [c.model_copy(update={"most_requests_per_second": 14.0}) for c in s.components if c.name != "x"]
    return make_plan(
        s.model_copy(update={"failures": failures, "tiers": tiers, "components": (*gates, s.components[2])}),
        Effort(gap_fraction=0.01),
    )


def test_claims_on_parts_and_gateways():
    assert drill_state_claims(chipped()) == ()
    data = chipped().model_dump(mode="json", by_alias=True)
    at(data, "failure:chip", 60.0, DAY).update(same_as_normal=False, occupied={A: 99})
    findings = drill_state_claims(PlanFile.model_validate(data))
    assert [t for t in findings if f"failure:chip at 60 s: replicas of a placement lost in part: {A} has 99" in t], (
        findings
    )
    data = chipped().model_dump(mode="json", by_alias=True)
    data["study"]["components"][1]["most_requests_per_second"] = 9.0
    findings = drill_state_claims(PlanFile.model_validate(data))
    assert [t for t in findings if "normal at 0 s: requests/s through: gateway:up has 10, at most 9" in t], findings
