"""What a study of two periods comes to, by hand: starts, prices, payments, limits, what is held, what failures take."""

from datetime import date
from functools import cache
from typing import Any

import pytest
from buildouts import phase
from studies import SOURCED, offer
from worked_points import QA, QB, SPOT, A, B, solvable

from planner.problem.build import build
from planner.problem.problem import Limit, Priced, Problem
from planner.study.records.buildout import CapitalLimit, Electricity, SpendCommitment, TariffStep
from planner.study.records.inventory import Price
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
    Policies,
    PriceLine,
    PricePath,
    PriceStep,
    Quota,
    Share,
    Study,
)

FIRST, LAST = date(2026, 4, 1), date(2026, 12, 31)
"""Of period b; a begins with the year."""


def machines_to_buy() -> tuple[Any, Price]:
    """Two machines a unit, 12,000 USD each, for two years, ordered two months before."""
    bought, price = offer("b/y/n", 0.0, "build_out", machines_per_unit=2, life_years=2.0, lead_days=60.875)
    return bought, price.model_copy(update={"capital_usd_per_machine": 12000.0})


def over_time(**more: Any) -> Study:
    """a of 3 months, b of 9; days and nights; 7 % a year; 100 hours a month."""
    s = solvable()
    bought = [
        offer("a/x/m", 2, "on_demand", most_units=6.0),
        offer("a/x/m", 1, "spot", most_units=3.0),
        offer("b/y/n", 3, "commitment", term_months=4.0, machines_per_unit=2, most_units=1.0, upfront_fraction=0.25),
        offer("b/y/n", 4, "commitment", name="year", term_months=12.0, most_units=2.0),
        offer("b/y/n", 5, "commitment", name="long", term_months=13.0),
        offer("b/y/n", 6, "capacity_block", length_days=91.0, starts_from=date(2025, 1, 1)),
        offer("b/y/n", 7, "commitment", name="late", lead_days=91.0),
        offer("b/y/n", 8, "commitment", name="b", lead_days=90.0),
        machines_to_buy(),
    ]
    hall = phase("hall", lead_months={"shell": 2.0, "power": 3.0, "equipment": 1.0, "commissioning": 0.5})
    halls = (
        hall.model_copy(update={"site": "a/x", "most": 3, "least": 1}),
        phase("never", never=True).model_copy(update={"site": "a/x"}),
        phase("slow").model_copy(update={"site": "a/x"}),
    )
    own: dict[str, Any] = {
        "horizon": Horizon(
            start=date(2026, 1, 1),
            periods=(Period(name="a", months=3.0), Period(name="b", months=9.0)),
            hours=(Hour(name="day", weight_fraction=0.25), Hour(name="night", weight_fraction=0.75)),
        ),
        "sites": tuple(x.model_copy(update={"power_kw": 33.0}) if x.id == "a/x" else x for x in s.sites),
        "demand": (Demand(workload="w", origin="o", requests_per_second=1.0),),
        "offers": tuple(b for b, _ in bought),
        "prices": tuple(price for _, price in bought),
        "price_book": (PriceLine(offers="*:on_demand", factor=0.5),),
        "price_paths": (PricePath(offers="*:on_demand", steps=(PriceStep(from_day=FIRST, factor=1.5),)),),
        "holdings": (
            Holding(pool=QA, machines=1),
            Holding(pool=QA, machines=2, from_day=FIRST, until=LAST),
            Holding(pool=QA, machines=4, from_day=date(2026, 5, 1), until=date(2026, 6, 1)),
            Holding(pool=QA, machines=8, from_day=date(2026, 6, 1), until=date(2026, 7, 1)),
            Holding(pool=QA, machines=16, until=date(2026, 1, 31)),
        ),
        "claims": (
            Claim(pool=QA, machines=1, until=FIRST, reclaim_seconds=None, lent_to="x"),
            Claim(pool=QA, machines=2, from_day=FIRST, reclaim_seconds=20.0, lent_to="x"),
        ),
        "build_outs": halls,
        "electricity": (
            Electricity(
                site="a/x",
                usd_per_kwh=0.1,
                pue=1.3,
                draw_fraction=0.5,
                steps=(
                    TariffStep(from_day=FIRST, usd_per_kwh=0.2),
                    TariffStep(from_day=date(2026, 4, 2), usd_per_kwh=0.9),
                ),
                **SOURCED,
            ),
        ),
        "spend_commitments": (
            SpendCommitment(name="year", offers=("a/*",), usd_per_year=1200.0),
            SpendCommitment(name="spring", offers=("b/*:year",), usd_per_year=1200.0, until=date(2026, 3, 31)),
        ),
        "policies": Policies(
            quotas=(
                Quota(name="cores", pools=("a/*", "b/y/*"), unit="vcpu", most=130.0),
                Quota(name="boxes", pools=("b/*",), most=7.0, from_day=FIRST),
                Quota(name="then", pools=("b/*",), most=7.0, until=date(2026, 3, 31)),
            ),
            shares=(
                Share(component="provider:a", most_fraction=0.7),
                Share(component="stack:neuron", most_fraction=0.6),
            ),
            capital_limits=(CapitalLimit(name="first", most_usd=1e6, until=date(2026, 3, 31)),),
        ),
    }
    return s.model_copy(update={**own, **more})


@cache
def problem() -> Problem:
    return build(over_time())


def discounted(months: float) -> float:
    """Of a USD so many months after the start."""
    return 1.07 ** (-months / 12)


ON_DEMAND, TERM, YEAR, BLOCK, LATER, BOUGHT = (
    "a/x/m:on_demand",
    "b/y/n:commitment",
    "b/y/n:year",
    "b/y/n:capacity_block",
    "b/y/n:b",
    "b/y/n:build_out",
)


def test_what_can_be_bought_and_why_not():
    p = problem()
    assert set(p.offers) == {ON_DEMAND, SPOT, TERM, YEAR, BLOCK, LATER, BOUGHT}
    assert p.not_offered == {
        "b/y/n:long": "term: 13 months run past the horizon of 12",
        "b/y/n:late": "lead time: 91 days from 2026-01-01 end after 2026-04-01",
    }
    assert p.not_built == {
        "a/x:never": "never: the study leaves it out",
        "a/x:slow": "lead time: 12 months from 2026-01-01 end on 2027-01-01, after 2026-04-01",
    }
    assert p.build_outs == ("a/x:hall",) and p.least_units == {"a/x:hall": 1.0}
    assert (p.most_units["a/x:hall"], p.most_units[TERM], p.most_units[BLOCK]) == (3.0, 1.0, float("inf"))
    assert p.hourly == {ON_DEMAND, SPOT}
    policies = over_time().policies
    for update, reason in (
        ({"offers": ("spot",)}, "policy: on_demand is not among policies.offers"),
        ({"terms_beyond_horizon": True}, None),
    ):
        other = build(over_time(policies=policies.model_copy(update=update)))
        assert other.not_offered.get(ON_DEMAND) == reason
        assert ("b/y/n:long" in other.offers) == (reason is None)
    half = [row for row in over_time().prices if row.offer_id != TERM]
    assert TERM not in build(over_time(prices=tuple(half))).offers, "what has no price cannot be bought"


def test_when_units_start_that_are_there():
    p = problem()
    assert {key: names for key, names in p.vintages.items() if key[0] not in (SPOT, ON_DEMAND)} == {
        (TERM, "a"): ("a",),
        (TERM, "b"): ("b",),  # four months from a on are gone within b
        (YEAR, "a"): ("a",),
        (YEAR, "b"): ("a",),  # from b on it would end after the horizon
        (BLOCK, "a"): ("a",),  # 91 days; b has 275
        (LATER, "b"): ("b",),
        (BOUGHT, "b"): ("b",),
        ("a/x:hall", "b"): ("b",),
    }
    assert p.vintages_on_some_day == {(TERM, "b"): ("a", "b"), (BLOCK, "b"): ("a",)}  # on some day of b
    assert p.vintages[ON_DEMAND, "a"] == ("a",) and p.vintages[ON_DEMAND, "b"] == ("b",)


def test_hours_and_prices():
    p = problem()
    assert p.hours_in == {"a": 300, "a/day": 75, "a/night": 225, "b": 900, "b/day": 225, "b/night": 675}
    expected = {"a/day": 75 * discounted(1.5), "a/night": 225 * discounted(1.5)}
    expected |= {"b/day": 225 * discounted(7.5), "b/night": 675 * discounted(7.5)}
    assert p.present_hours == pytest.approx(expected, rel=1e-12)
    assert p.price_factor == {(ON_DEMAND, "a"): 0.5, (ON_DEMAND, "b"): 0.5 * 1.5}
    paid = {
        key: p.paid_hours[key] for key in ((ON_DEMAND, "a"), (ON_DEMAND, "b"), (TERM, "a"), (TERM, "b"), (YEAR, "a"))
    }
    assert paid == {(ON_DEMAND, "a"): 300, (ON_DEMAND, "b"): 900, (TERM, "a"): 400, (TERM, "b"): 900, (YEAR, "a"): 1200}
    assert p.paid_hours[BLOCK, "a"] == pytest.approx(100 * 91 / 30.4375)


def test_what_a_start_costs():
    p = problem()
    block = 91 / 30.4375
    commitments = {
        # 3 USD, units of 2: a quarter of 4 months at once, the rest in the middle of 3 months and of one
        (TERM, "a"): 600 * (0.25 * 4 + 0.75 * 3 * discounted(1.5) + 0.75 * 1 * discounted(3.5)),
        (TERM, "b"): 600 * 9 * (0.25 * discounted(3) + 0.75 * discounted(7.5)),
        (YEAR, "a"): 400 * (3 * discounted(1.5) + 9 * discounted(7.5)),
        (BLOCK, "a"): 600 * block * discounted(block / 2),
        (LATER, "b"): 800 * 9 * discounted(7.5),
    }
    assert p.start_usd["commitments"] == pytest.approx(commitments, rel=1e-12)
    # of 20 kW: shell 20,000 USD two months before, power 10,000 three, fit-out 6,000 one; machines two
    assert p.start_usd["capital"] == pytest.approx(
        {
            (BOUGHT, "b"): 24000 * discounted(1),
            ("a/x:hall", "b"): 20000 * discounted(1) + 10000 * discounted(0) + 6000 * discounted(2),
        },
        rel=1e-9,
    )
    assert p.start_usd["salvage"] == pytest.approx(
        {
            (BOUGHT, "b"): -24000 * (1 - 0.75 / 2) * discounted(12),
            ("a/x:hall", "b"): -(30000 * (1 - 0.75 / 20) + 6000 * (1 - 0.75 / 10)) * discounted(12),
        },
        rel=1e-12,
    )
    assert p.start_usd["upkeep"] == pytest.approx({("a/x:hall", "b"): 2000 * 9 / 12 * discounted(7.5)}, rel=1e-12)
    assert p.capital_usd == {"a": {(BOUGHT, "b"): 24000.0, ("a/x:hall", "b"): 36000.0}}


def test_limits_and_promises():
    p = problem()
    assert p.limits == (
        Limit("cores", "vcpu", {QA: 10.0, QB: 12.0}, 130.0),
        Limit("boxes", "machines", {QB: 1.0}, 7.0, ("b",)),
        Limit("then", "machines", {QB: 1.0}, 7.0, ("a",)),
        Limit("power of a/x", "kW", {QA: 6.0}, 33.0, modules={"a/x:hall": 20.0}),
    )
    assert [(k.name, k.year, k.usd, k.offers, k.periods) for k in p.spend_years] == [
        ("year", 1, 1200.0, (ON_DEMAND, SPOT), ("a", "b")),
        ("spring", 1, 1200 * 3 / 12, (YEAR,), ("a",)),
    ]
    assert [k.discount_factor for k in p.spend_years] == pytest.approx([discounted(12), discounted(3)], rel=1e-12)
    assert [(c.name, c.most_usd, c.periods) for c in p.capital_caps] == [("first", 1e6, ("a",))]
    assert [(s.component, s.placements, s.most_fraction) for s in p.shares] == [
        ("provider:a", {A}, 0.7),
        ("stack:neuron", {B}, 0.6),
    ]
    # 6 kW · 0.5 · 1.3; the step of the day after b began does not count in it
    assert p.energy_usd_per_machine_hour == pytest.approx({(QA, "a"): 3.9 * 0.1, (QA, "b"): 3.9 * 0.2})


def test_limits_of_sites_that_have_none():
    """No power is stated and nothing is built; a promise of two and a half years; phases of a group and an order."""
    assert "power of a/x" not in {
        limit.name for limit in build(over_time(sites=solvable().sites, build_outs=())).limits
    }
    hall = over_time().build_outs[0]
    halls = (
        hall.model_copy(update={"either_or": "g"}),
        hall.model_copy(update={"name": "other", "either_or": "g", "least": 0, "after": ("a/x:hall",)}),
        hall.model_copy(update={"name": "third", "either_or": "h", "least": 0}),
    )
    p = build(over_time(build_outs=halls, sites=solvable().sites))
    (power,) = (limit for limit in p.limits if limit.name == "power of a/x")
    assert power.most == 0.0 and set(power.modules) == {"a/x:hall", "a/x:other", "a/x:third"}
    assert p.either_or == (("a/x:hall", "a/x:other"),) and p.after == {"a/x:other": ("a/x:hall",)}
    years = Horizon(start=date(2026, 1, 1), periods=tuple(Period(name=n, months=10.0) for n in "abc"))
    promise = (SpendCommitment(name="year", offers=("a/*",), usd_per_year=1200.0),)
    p = build(over_time(horizon=years, spend_commitments=promise, policies=Policies()))
    # the middle of b is after 15 months, that of c after 25
    assert [(k.year, k.usd, k.periods) for k in p.spend_years] == [
        (1, 1000.0, ("a",)),
        (2, 1000.0, ("b",)),
        (3, 1000.0, ("c",)),
    ]


def test_what_is_held_and_lent():
    p = problem()
    assert p.held_machines == {(QA, "a"): 1.0, (QA, "b"): 3.0, (QB, "a"): 0.0, (QB, "b"): 0.0}
    assert p.held_at_most == {(QA, "a"): 17.0, (QA, "b"): 15.0}  # January; the first of June
    assert p.claims[QA, "a"] == ((1.0, None),) and p.claims[QA, "b"] == ((1.0, None), (2.0, 20.0))
    assert p.claims[QB, "a"] == p.claims[QB, "b"] == ()


def test_what_a_pool_could_ever_use():
    """w asks for 1 request/s in four hours, all added up; 1.32 is the surge, 0.85 the utilisation: whole replicas."""
    p = problem()
    assert 2 < 0.34 * 1.25 * 4 * 1.32 / 0.85 < 3 and 2 < 0.29 * 1.25 * 4 * 1.32 / 0.85 < 3
    # at a 0.6 are left at the worst, 0.4 of what falls on one; 0.25 are spare, a unit is one machine
    hit = ((0.5 * (3 / 0.6 + 1) + 0.25) / 0.8 + 1) / 0.6
    assert p.maybe_unused == pytest.approx({QA: hit, QB: 0.5 * (3 + 1) / 0.9})


# ------------------------------------------------------------------ failures
COUNTED = (
    Counted(offers=("a/*", "b/*:commitment"), running_fraction=0.9),
    Counted(
        offers=("*:on_demand", "b/*:year"),
        any="site",
        running_fraction=0.75,
        obtainable_fraction=0.5,
        obtain_seconds=15.0,
    ),
    Counted(offers=("*:year",), any="pool", running_fraction=1.0, obtainable_fraction=1.0),
)


def test_what_counts_in_failures():
    p = build(over_time(policies=over_time().policies.model_copy(update={"counted": COUNTED})))
    site = {ON_DEMAND: 0.75, SPOT: 0.0, TERM: 0.9, YEAR: 0.75}
    pool = {ON_DEMAND: 0.9, SPOT: 0.0, TERM: 0.9}
    hit = f"failure:hit on {A}"
    assert p.counted == {"normal": {}, "site:a/x": site, "site:b/y": site, "failure:part": pool, hit: pool}
    # what is not rented by the hour, or has no limit, cannot be obtained
    half = {ON_DEMAND: (0.5, 15.0)}
    assert {f: b for f, b in p.obtainable.items() if b} == {"site:a/x": half, "site:b/y": half}
    assert p.may_obtain == {QA} and p.with_spot == {QA, QB}
    endless = tuple(b.model_copy(update={"most_units": None}) if b.id == ON_DEMAND else b for b in over_time().offers)
    policies = over_time().policies.model_copy(update={"counted": COUNTED})
    assert build(over_time(policies=policies, offers=endless)).may_obtain == frozenset()


def test_what_is_promised_in_failures():
    p = build(solvable())
    site = (("t", 0.3, 30.0), ("t", 0.5, 50.0), ("t", 0.8, 300.0))
    assert p.promised == {
        "normal": (),
        "site:a/x": site,
        "site:b/y": site,
        "failure:part": (("t", 0.7, 50.0),),
        f"failure:hit on {A}": (("t", 0.6, 50.0),),
    }
    without_goals = build(solvable(), with_goals=False)
    assert list(without_goals.failures) == ["normal"] and without_goals.promised == {"normal": ()}
    assert without_goals.priced == {} and p.priced == {}


def test_what_failures_take():
    p = build(solvable())
    assert p.lost == {
        "normal": {},
        "site:a/x": {QA: 0.0, A: 0.0},
        "site:b/y": {QB: 0.0, B: 0.0},
        "failure:part": {QA: 0.75, A: 0.75},
        f"failure:hit on {A}": {QA: 0.6},
    }
    assert all(not of for of in (*p.coverable.values(), *p.cannot_start.values(), *p.closed.values()))


def rated(objective: str, **often: tuple[float | None, float | None]) -> Problem:
    """One year; parts are lost so often, for so many hours; power is lost twice a year for 3 hours."""
    s = solvable()
    failures = tuple(
        row.model_copy(update=dict(zip(("failures_per_year", "hours_to_repair"), often[row.name], strict=True)))
        for row in s.failures
    )
    power = Component(name="grid", kind="power", failures_per_year=2.0, hours_to_repair=3.0)
    return build(s.model_copy(update={"failures": failures, "objective": objective, "components": (power,)}))


def test_how_often_failures_are_reckoned_with():
    grid, hit = Priced(2.0, 3.0, "power:grid"), f"failure:hit on {A}"
    p = rated("expected", part=(3.0, 2.0), hit=(0.5, 1.5))
    part = {"failure:part": Priced(3.0, 2.0, "failure:part"), hit: Priced(0.5, 1.5, "failure:hit")}
    assert p.priced == {**part, "power:grid": grid}
    assert p.promised["power:grid"] == () and p.deadlines_seconds["power:grid"][0] == 10.0
    assert rated("cost", part=(3.0, 2.0), hit=(0.5, 1.5)).priced == {}
    # without a rate only the worst case counts, once it is known for how long
    assert set(rated("expected", part=(None, 2.0), hit=(0.5, None)).priced) == {"power:grid"}
    assert rated("worst_case", part=(None, 2.0), hit=(0.5, None)).priced == {
        "failure:part": Priced(0.0, 2.0, "failure:part"),
        "power:grid": grid,
    }


def test_an_entry_lost_in_part_and_what_is_behind_it():
    """Of 12 requests/s that a gateway lets through a quarter is lost; without all of its tools a starts nothing."""
    s = solvable()
    components = (
        Component(name="in", kind="gateway", most_requests_per_second=12.0),
        Component(name="login", kind="identity"),
        Component(name="tools", kind="control"),
    )
    needs = (
        Dependency(component="origin:o", needs=Needs(all_of=("gateway:in",))),
        Dependency(component="workload:w", needs=Needs(all_of=("identity:login",))),
        Dependency(component="site:a/x", needs=Needs(all_of=("control:tools",)), breaks="starting"),
    )
    lost = {"gateway:in": 0.25, "identity:login": 0.4, "control:tools": 0.1}
    failure = NamedFailure(name="entry", lost=lost)
    goal = Goal(failure="entry", serve_fraction=0.5, within_seconds=60.0)
    tiers = (s.tiers[0].model_copy(update={"survive": (goal,)}), s.tiers[1])
    p = build(
        s.model_copy(update={"components": components, "dependencies": needs, "failures": (failure,), "tiers": tiers})
    )
    assert p.lost["failure:entry"] == {"gateway:in": 0.75}
    assert p.coverable["failure:entry"] == {("w", "o"): pytest.approx(0.6)}
    assert p.cannot_start["failure:entry"] == {A}
    assert p.most_requests_per_second == {"gateway:in": 12.0} and not p.closed["failure:entry"]
