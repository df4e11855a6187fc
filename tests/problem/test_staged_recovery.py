"""Outages whose parts work again one after the other, by hand: when each stage counts, what is due and paid in it."""

from itertools import product
from typing import Any

import pytest
from failing import EXACT, asked, bought
from oracle import cheapest
from studies import machine_type, model, offer, profile, random_study, site, workload

from planner.drill import drill_plan
from planner.drill.replay import prepare
from planner.plan.audit import audit
from planner.plan.plan import make_plan
from planner.problem.arrays import full
from planner.problem.build import build
from planner.problem.problem import HOUR
from planner.review.answer import review_plan
from planner.solve.search import Effort, Infeasible
from planner.solve.solve import solve
from planner.study.dependencies import dependency_graph, rated
from planner.study.records.inventory import Pool, StorageRate
from planner.study.records.study import (
    Claim,
    Component,
    Counted,
    Dependency,
    Goal,
    Holding,
    NamedFailure,
    Needs,
    Origin,
    Policies,
    Study,
    Tier,
)

BEGIN, STAGE = "failure:slow", "failure:slow after 0.5 h"
SLOW = (model("m", [profile("m", "cuda", 1, load_seconds=360.0)]),)
"""Loads in 0.1 h."""


def outage(lost: dict[str, float], repaired: dict[str, float], hours: float | None = 2.0, **more: Any) -> NamedFailure:
    return NamedFailure(name="slow", lost=lost, repaired=repaired, hours_to_repair=hours, **more)


def held_to(*goals: tuple[float, float]) -> tuple[Tier, ...]:
    """(fraction, within seconds) of the outage."""
    of = (Goal(failure="slow", serve_fraction=fraction, within_seconds=within) for fraction, within in goals)
    return (Tier(name="t", survive=tuple(of)),)


def three(goals: tuple[Tier, ...], **more: Any) -> Study:
    """10 requests/s; sites a, b, c at 1, 2, 5 USD for each machine, which serves one; a and b are lost, a for 0.5 h."""
    names = ("p/a", "r/b", "r/c")
    fields: dict[str, Any] = {
        "sites": tuple(site(name) for name in names),
        "pools": tuple(Pool(site=name, machine_type="m") for name in names),
        "bought": [offer(f"{name}/m", usd, most_units=40.0) for name, usd in zip(names, (1, 2, 5), strict=True)],
        "models": SLOW,
        "failures": (outage({"site:p/a": 1.0, "site:r/b": 1.0}, {"site:p/a": 0.5}),),
        "tiers": goals,
        **more,
    }
    return asked(**fields)


def test_a_deadline_is_held_in_the_stage_in_which_it_falls():
    """a works again after 1800 s, and has loaded its weights after 2160 s: 3 at c until then, then 7 more at a."""
    s = three(held_to((0.3, 60.0), (1.0, 2160.0)))
    p = build(s)
    assert list(p.failures) == ["normal", BEGIN, STAGE]
    assert p.deadlines_seconds == {"normal": (0.0,), BEGIN: (60.0,), STAGE: (2160.0,)}
    assert p.promised[BEGIN] == (("t", 0.3, 60.0),)
    assert p.promised[STAGE] == (("t", 0.3, 60.0), ("t", 1.0, 2160.0)), "what was due before is due now, too"
    assert p.lost[STAGE].keys() == {"r/b/m", "m/m-cuda@r/b/m"}
    stage = p.failures[STAGE]
    assert (stage.outage, stage.begins_seconds, stage.ends_seconds) == (BEGIN, 2160.0, None)
    assert p.failures[BEGIN].ends_seconds == 2160.0
    assert bought(s) == {"p/a": 7, "r/c": 3}
    # a second earlier a still loads: all must run at c
    assert bought(three(held_to((0.3, 60.0), (1.0, 2159.0)))) == {"r/c": 10}
    assert list(build(three(held_to((1.0, 2159.0)))).failures) == ["normal", BEGIN]
    assert list(build(three(held_to((1.0, 2160.0)))).failures) == ["normal", STAGE]


def test_the_review_says_when_each_stage_begins_and_that_the_last_ends_in_repair():
    plan = make_plan(three(held_to((0.3, 60.0), (1.0, 2160.0))), EXACT)
    sections = {x.title: x for x in review_plan(plan).sections}
    assert any("stages of a failure are settled" in line for line in sections["OUT OF SCOPE"].lines)
    timeline = sections["RECOVERY TIMELINE"]
    events = {(row.failure, row.seconds, row.event, row.served_fraction) for row in timeline.data}
    assert events == {
        (BEGIN, 0.0, "begin", 0.3),
        (BEGIN, 10.0, "moved", 0.3),
        (BEGIN, 60.0, "deadline", 0.3),
        (STAGE, 2160.0, "deadline", 1.0),
        (STAGE, 7200.0, "repaired", 1.0),
    }


def test_what_returns_in_part_is_loaded_too_and_what_never_died_returns_at_once():
    def stages(lost: dict[str, float], repaired: dict[str, float], **more: Any) -> list[tuple[str, float]]:
        s = three((Tier(name="t"),), failures=(outage(lost, repaired),), **more)
        return [(f.id, f.begins_seconds) for f in rated(s, dependency_graph(s))]

    assert stages({"site:p/a": 0.5}, {"site:p/a": 0.5}) == [(BEGIN, 0.0), (STAGE, 2160.0)]
    login = {"components": (Component(name="sso", kind="identity"),)}
    needs = {"dependencies": (Dependency(component="workload:w", needs=Needs(all_of=("identity:sso",))),)}
    one = {"identity:sso": 1.0, "site:p/a": 1.0}
    assert stages(one, {"identity:sso": 0.5}, **login, **needs) == [(BEGIN, 0.0), (STAGE, 1800.0)]
    # the login returns while a loads: nothing is reckoned with before both work
    both = stages(
        {"site:p/a": 1.0, "site:r/b": 0.5, "identity:sso": 1.0}, {"site:p/a": 0.5, "identity:sso": 0.55}, **login
    )
    assert both == [(BEGIN, 0.0), ("failure:slow after 0.55 h", 2160.0)], "a stage of no length has no price"
    # what is repaired at the end is no stage
    assert stages(one, {"site:p/a": 2.0}, **login) == [(BEGIN, 0.0)]


BY_INVENTORY = StorageRate(sites="p/*", load_gib_per_second=10.0, evidence="published", source="test", as_of="2025")


@pytest.mark.parametrize(
    ("more", "begins"),
    [
        ({}, 1800.0 + 800.0),  # 40 machines that are offered, each reads 100 GiB, at 5 GiB/s
        ({"holdings": (Holding(pool="p/a/m", machines=5),)}, 1800.0 + 900.0),
        ({"policies": Policies(offers=("spot",))}, 1800.0 + 360.0),  # nothing can be had there: the longest load
        ({"lost": {"site:p/a": 0.6, "site:r/b": 1.0}}, 1800.0 + 480.0),  # six tenths of it return
        ({"power_kw": 30.0}, 1800.0 + 600.0),  # power for 30 machines
        ({"engine_seconds": 40.0}, 1800.0 + 840.0),  # the engine starts when the last is read
        ({"storage": (BY_INVENTORY,)}, 1800.0 + 400.0),  # what the inventory says of a site that says nothing
        (
            {"bought": [offer("p/a/m", 1), offer("r/b/m", 1), offer("r/c/m", 1)]},
            1800.0 + 360.0,
        ),  # any number: as before
    ],
)
def test_a_stage_counts_when_storage_has_fed_all_that_may_return(more: dict[str, Any], begins: float):
    """Planner and drill, each by its own arithmetic; a plan that is due just after it passes both."""
    power = more.get("power_kw")
    changes = {name: value for name, value in more.items() if name not in ("power_kw", "lost", "engine_seconds")}
    lost = more.get("lost", {"site:p/a": 1.0, "site:r/b": 1.0})
    a = site("p/a").model_copy(update={"load_gib_per_second": None if "storage" in more else 5.0, "power_kw": power})
    engine_seconds = more.get("engine_seconds", 0.0)
    reads = [profile("m", "cuda", 1, load_seconds=360.0, weights_gib=100.0, engine_start_seconds=engine_seconds)]
    fields = {
        "sites": (a, site("r/b"), site("r/c")),
        "machine_types": (machine_type("m", power_kw=1.0),),
        "models": (model("m", reads),),
        "failures": (outage(lost, {"site:p/a": 0.5}),),
    }
    s = three(held_to((0.5, 60.0), (1.0, begins + 1.0)), **{**fields, **changes})
    stages = {f.id: f.begins_seconds for f in rated(s, dependency_graph(s))}
    assert stages == {BEGIN: 0.0, STAGE: pytest.approx(begins)}
    by_drill = {f.id: f.begins_seconds for f in prepare(s)[2] if f.id != "normal"}
    assert by_drill == {BEGIN: 0.0, STAGE: pytest.approx(begins)}
    if s.policies.offers == ("spot",):
        return
    plan = make_plan(s, EXACT)
    assert not audit(plan).violations and not drill_plan(plan).broken


def test_replicas_are_started_once_the_control_plane_works_again():
    """w is started at b in place of v, in 360 s: not before 1800 + 360 s where b has no control plane for 0.5 h."""
    models = (*SLOW, model("n", [profile("m", "cuda", 1)]))
    common: dict[str, Any] = {
        "models": models,
        "workloads": (workload("w"), workload("v", tier="low", model="n")),
        "origins": (Origin(name="o", latitude=50.0, longitude=0.0), Origin(name="b", near="r/b")),
        "demand": {("w", "o"): 10, ("v", "b"): 10},
        "sites": (site("p/a"), site("r/b", (50.0, 20.0))),
        "holdings": (Holding(pool="r/b/m", machines=10),),
        "failures": (outage({"site:p/a": 1.0, "control_plane:r/b": 1.0}, {"control_plane:r/b": 0.5}),),
    }
    for within, machines in ((2160.0, {"p/a": 10}), (2159.0, {"r/b": 10})):
        s = asked(**common, tiers=(*held_to((1.0, within)), Tier(name="low", round_trip_ms=5.0)))
        assert bought(s) == machines, within
        e, a = full(build(s)).placement_at["m/m-cuda@r/b/m"], full(build(s))
        assert a.can_load((HOUR, STAGE, within))[e] == (within == 2160.0)


def test_weights_are_chosen_anew_once_they_can_be_pushed_again():
    """From 1800 s on what was lent at b can be started, and has loaded at 2160 s; sooner, or never, 10 are bought."""
    lent = Claim(pool="r/b/m", machines=10, reclaim_seconds=100.0, lent_to="training")
    held = (Holding(pool="p/a/m", machines=10), Holding(pool="r/b/m", machines=10))
    for within, hours, usd in ((2160.0, 0.5, 0.0), (2159.0, 0.5, 20.0), (2160.0, None, 20.0)):
        lost = outage({"site:p/a": 1.0}, {}, failover="rescale", hours_to_new_weights=hours)
        s = three(held_to((1.0, within)), failures=(lost,), holdings=held, claims=(lent,))
        plan = make_plan(s, EXACT)
        assert plan.proof.cost_usd == usd, (within, hours)
        assert audit(plan).passed and not drill_plan(plan).broken
    p = build(three(held_to((1.0, 60.0), (1.0, 2160.0)), failures=(outage(lost.lost, {}, failover="rescale"),)))
    assert list(p.failures) == ["normal", BEGIN] and p.rescaled == {"normal", BEGIN}
    again = lost.model_copy(update={"hours_to_new_weights": 0.5})
    p = build(three(held_to((1.0, 60.0), (1.0, 2160.0)), failures=(again,)))
    assert list(p.failures) == ["normal", BEGIN, STAGE] and p.rescaled == {"normal", BEGIN}
    assert p.failures[STAGE].begins_seconds == 1800.0 and p.lost[STAGE].keys() == p.lost[BEGIN].keys()


def test_machines_are_obtained_once_the_control_plane_works_again():
    market = Policies(counted=(Counted(offers=("r/b/*",), obtainable_fraction=0.25, obtain_seconds=20.0),))
    lost = outage({"site:p/a": 1.0, "control_plane:r/b": 1.0}, {"control_plane:r/b": 0.5})
    s = asked(failures=(lost,), tiers=held_to((0.0, 60.0), (1.0, 1900.0)), policies=market)
    p = build(s)
    assert p.obtainable[BEGIN] == {} and p.obtainable[STAGE] == {"r/b/m:on_demand": (0.25, 1790.0 + 20.0)}
    assert p.deadlines_seconds[STAGE] == (1820.0, 1820.001, 1900.0)
    # 40 · 0.25 = 10 at b, 20 s after 1800 s
    assert bought(s) == {"p/a": 10}


PRICED: dict[str, Any] = {
    "detection_seconds": 0.0,
    "models": SLOW,
    "tiers": (Tier(name="t", outage_usd_per_request=20 / 3600),),
    "bought": [offer("p/a/m", 9), offer("r/b/m", 10)],
}


def priced_usd(a: int, b: int) -> float:
    """What one outage costs with so many machines [USD]: half of b for all 2 h, a from 0.6 h on."""
    return 20.0 * (0.6 * max(0, 10 - b // 2) + 1.4 * max(0, 10 - a - b // 2))


@pytest.mark.parametrize(
    ("objective", "per_year", "weight"),
    [("expected", 12.0, 1.0), ("expected", 3.0, 0.25), ("worst_case", 3.0, 1.0), ("cvar", 3.0, 0.25 / 0.5)],
)
def test_each_stage_is_paid_while_it_lasts_and_an_outage_costs_the_sum(objective: str, per_year: float, weight: float):
    lost = outage({"site:p/a": 1.0, "site:r/b": 0.5}, {"site:p/a": 0.5}, failures_per_year=per_year)
    s = asked(**PRICED, failures=(lost,), objective=objective, cvar_level=0.5)
    plans = product(range(21), range(21))
    least = min(9.0 * a + 10.0 * b + weight * priced_usd(a, b) for a, b in plans if a + b >= 10)
    plan = make_plan(s, EXACT)
    assert plan.proof.cost_usd == pytest.approx(least) and plan.proof.status == "proven"
    assert audit(plan).passed, audit(plan).violations[:3]
    p = build(s)
    assert {f: (rate.begins_hours, rate.hours_to_repair, rate.lasts_hours) for f, rate in p.priced.items()} == {
        BEGIN: (0.0, 0.6, 0.6),
        STAGE: (0.6, 2.0, 1.4),
    }


def test_an_outage_on_each_placement_counts_its_dearest_in_each_stage():
    lost = outage({"site:p/a": 0.5, "site:r/b": 0.5}, {"site:p/a": 0.5}, failures_per_year=12.0, worst_part=True)
    for objective in ("expected", "worst_case"):
        plan = make_plan(asked(**PRICED, failures=(lost,), objective=objective), EXACT)
        assert audit(plan).passed, audit(plan).violations[:3]
        # 9 a + 10 b, of which half of each is lost for 0.6 h, and then half of b for 1.4 h
        least = min(
            9.0 * a + 10.0 * b + 20.0 * (0.6 * max(0, 10 - a // 2 - b // 2) + 1.4 * max(0, 10 - a - b // 2))
            for a, b in product(range(31), range(31))
            if a + b >= 10
        )
        assert plan.proof.cost_usd == pytest.approx(least)


def test_stages_cost_what_failures_that_lose_the_same_cost_by_brute_force():
    """Tiny random studies: the first stage and the second as failures of their own, which the oracle knows."""
    compared = 0
    for seed in range(8):
        s = random_study(seed).model_copy(update={"failover": "resolve"})
        first, second = (f"site:{x.id}" for x in s.sites[:2])
        staged = NamedFailure(name="slow", lost={first: 1.0, second: 0.5}, repaired={first: 0.5})
        plain = (
            NamedFailure(name="one", lost={first: 1.0, second: 0.5}),
            NamedFailure(name="two", lost={second: 0.5}),
        )
        goals = ((0.3, 60.0), (0.9, 2100.0))

        def tiers(*names: str, of: Study = s, goals: tuple[tuple[float, float], ...] = goals) -> tuple[Tier, ...]:
            held = tuple(
                Goal(failure=name, serve_fraction=fraction, within_seconds=within)
                for name, (fraction, within) in zip(names, goals, strict=True)
            )
            return tuple(t.model_copy(update={"survive": held}) for t in of.tiers)

        asked_for = s.model_copy(update={"failures": (staged,), "tiers": tiers("slow", "slow")})
        known = cheapest(s.model_copy(update={"failures": plain, "tiers": tiers("one", "two")}))
        try:
            plan = solve(build(asked_for), Effort(gap_fraction=0.0, most_nodes=10_000))
        except Infeasible:
            assert known is None, seed
            continue
        assert known is not None and plan.cost_usd == pytest.approx(known[0]), seed
        compared += 1
    assert compared > 4, compared
