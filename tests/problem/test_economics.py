"""What failures cost: expected, worst case and tail, by hand, against the whole program, and as published."""

import itertools
from dataclasses import replace
from typing import Any

import pytest
from cases import FOLDER, load
from priced import priced
from reclaimed import one_pool, reclaimable
from studies import machine_type, model, offer, profile, site, study, workload
from whole_program import optimum

from planner.drill import drill_plan, drill_state_claims
from planner.errors import InputError
from planner.plan.audit import audit
from planner.plan.plan import make_plan
from planner.problem.arrays import unmerged
from planner.problem.build import build
from planner.solve.lp_bound import relax
from planner.solve.search import Effort, Infeasible, Search
from planner.study.records.inventory import Pool
from planner.study.records.study import (
    Component,
    Goal,
    Holding,
    NamedFailure,
    Origin,
    Policies,
    Quota,
    RequestCost,
    Study,
    Tier,
)

EXACT = Effort(gap_fraction=0.0, most_nodes=20_000)


def test_expected_cost_by_hand():
    """Lost at a for half an hour: 1800 s · 0.001 USD = 1.80 USD for each request/s not served, less than 2 at b."""
    # 12 a year are one a month: a machine at a costs 1 and 1.80 in outages, one at b 2 and nothing: all at b
    plan = make_plan(one_pool(), EXACT)
    assert {p.offer: p.units for p in plan.purchases} == {"r/b/m:on_demand": 10}
    assert plan.costs_usd["outages"] == pytest.approx(0.0) and audit(plan).passed
    # 6 a year, half an outage a month: 1 and 0.90: all at a; nothing is served for 1800 s, 0.5 · 10 · 1800 · 0.001
    plan = make_plan(one_pool(rate=6.0), EXACT)
    assert {p.offer: p.units for p in plan.purchases} == {"p/a/m:on_demand": 10}
    assert plan.costs_usd["outages"] == pytest.approx(9.0) and audit(plan).passed
    # with five machines at b that are there anyway, half of it goes on after 10 s of detection
    held = (Holding(pool="r/b/m", machines=5),)
    plan = make_plan(one_pool(rate=6.0, holdings=held, bought=[offer("p/a/m", 1, most_units=40.0)]), EXACT)
    assert {p.offer: p.units for p in plan.purchases} == {"p/a/m:on_demand": 5}
    # 5 of 10 at a: 0.5 · 5 · 1800 · 0.001
    assert plan.costs_usd["outages"] == pytest.approx(4.5) and audit(plan).passed


def test_worst_case_and_tail_by_hand():
    # the worst outage costs 18 if all is at a; b for all costs 10 more and leaves none
    plan = make_plan(one_pool(objective="worst_case"), EXACT)
    assert plan.proof.cost_usd == pytest.approx(20.0) and plan.costs_usd["outages"] == pytest.approx(0.0)
    # the dearest half of all cases: an outage of chance 0.5 (6 a year, in one month) fills it: as bad as the worst
    tail = make_plan(one_pool(objective="cvar", cvar_level=0.5, rate=6.0), EXACT)
    assert tail.proof.cost_usd == pytest.approx(20.0)
    # with all of the distribution it is the mean: 0.5 · 18 = 9 beside 10 at a
    mean = make_plan(one_pool(objective="cvar", cvar_level=0.0, rate=6.0), EXACT)
    assert mean.proof.cost_usd == pytest.approx(19.0) and audit(mean).passed


def test_both_dying_together_is_no_saving():
    """A site of two cheap pools is no redundancy: what dies together is priced as not served."""
    sites = (site("p/a"), site("r/b"))
    pools = (Pool(site="p/a", machine_type="m"), Pool(site="p/a", machine_type="n"), Pool(site="r/b", machine_type="m"))
    s = one_pool(
        sites=sites,
        pools=pools,
        machine_types=(machine_type("m"), machine_type("n")),
        models=(model("m", [profile(t, "cuda", 1, load_seconds=9999.0) for t in "mn"]),),
        bought=[
            offer("p/a/m", 1, most_units=10.0),
            offer("p/a/n", 1, most_units=10.0),
            offer("r/b/m", 2, most_units=9.0),
        ],
        rate=36.0,
    )
    bought = {p.offer: p.units for p in make_plan(s, EXACT).purchases}
    assert bought["r/b/m:on_demand"] == 9 and bought.get("p/a/m:on_demand", 0) + bought.get("p/a/n:on_demand", 0) == 1


def test_a_rated_component_is_priced_without_a_goal():
    grid = Component(name="a", kind="site", failures_per_year=18.0, hours_to_repair=0.5)
    s = one_pool(failures=(), sites=(site("p/a"), site("r/b")), components=(grid.model_copy(update={"name": "p/a"}),))
    plan = make_plan(s, EXACT)
    assert {p.offer: p.units for p in plan.purchases} == {"r/b/m:on_demand": 10}
    assert not drill_plan(plan).findings and not drill_state_claims(plan), "states without a goal are no finding"


@pytest.mark.parametrize("objective", ["expected", "worst_case", "cvar"])
def test_the_loop_costs_what_the_whole_program_costs(objective):
    """20 random studies: failures that enter as they are found too cheap, against all of them in one program."""
    compared = 0
    for seed in range(20):
        p = build(priced(seed, objective))
        assert p.priced
        search = Search(p, Effort(), None, lambda *_: None)
        try:
            loop = relax(search)
        except Infeasible:
            continue
        assert loop == pytest.approx(optimum(p, unmerged(p)), rel=1e-6), seed
        compared += 1
    assert compared >= 15


@pytest.mark.parametrize("objective", ["expected", "worst_case", "cvar"])
def test_priced_plans_pass_their_audit(objective):
    asked = [priced(seed, objective, "tiny") for seed in range(4)]
    for s in [*asked, priced(0, objective)] if objective == "expected" else asked:
        plan = make_plan(s, Effort(gap_fraction=0.05))
        assert audit(plan).passed, audit(plan).violations[:3]
        assert plan.costs_usd["outages"] != 0


# ------------------------------------------------------------------ published
def scenario_study(case: dict, open_: tuple[int, ...], unit: float, objective: str) -> Study:
    """A case of capacity under several demands: a demand vector is a failure that loses nothing and surges origins.

    Capacity comes in units of `unit`, of which the optimum is a multiple. Each vector lasts the whole hour, with its
    probability as its rate, so that it stands in for normal operation: that has the first vector.
    """
    pools = [q for i, q in enumerate(case["pools"]) if i in open_]
    first = case["scenarios"][0]["demand"]
    sites = tuple(site(f"p{i}/{q['id']}") for i, q in enumerate(pools))
    most = case.get("capex_budget")
    quotas = (Quota(name="capital", pools=("*",), unit="capital", most=most),) if most else ()
    failures = []
    for row in case["scenarios"]:
        surges = {f"origin:{d['id']}": v / a for d, v, a in zip(case["demands"], row["demand"], first, strict=True)}
        rate = 12.0 * row.get("probability", 0.0)
        failures.append(
            NamedFailure(name=row["id"], lost={}, surges=surges, failures_per_year=rate, hours_to_repair=1.0)
        )
    return study(
        detection_seconds=0.0,
        sites=sites,
        machine_types=tuple(
            machine_type(f"m{i}", quota_units={"capital": q["capacity_unit_cost"] * unit}) for i, q in enumerate(pools)
        ),
        pools=tuple(Pool(site=x.id, machine_type=f"m{i}") for i, x in enumerate(sites)),
        bought=[
            offer(
                f"{x.id}/m{i}",
                q["capacity_unit_cost"] * unit,
                "build_out",
                most_units=None if q.get("capacity_max") is None else q["capacity_max"] / unit,
            )
            for i, (x, q) in enumerate(zip(sites, pools, strict=True))
        ],
        models=(model("m", [profile(f"m{i}", "cuda", unit, load_seconds=9999.0) for i in range(len(pools))]),),
        origins=tuple(Origin(name=d["id"], latitude=50.0, longitude=0.0) for d in case["demands"]),
        tiers=(Tier(name="t", outage_usd_per_request=10.0),),
        workloads=(workload("w"),),
        demand={("w", d["id"]): v for d, v in zip(case["demands"], first, strict=True)},
        request_costs=tuple(
            RequestCost(origin=d["id"], site=x.id, usd_per_request=case["unit_cost"][i][j] / 3600)
            for x, i in zip(sites, open_, strict=True)
            for j, d in enumerate(case["demands"])
        ),
        failures=tuple(failures),
        policies=Policies(quotas=quotas),
        objective=objective,
    )


@pytest.mark.skipif(not FOLDER.exists(), reason=f"{FOLDER} is not here")
def test_zeng_and_zhao():
    """Which facilities to open is tried out; each subset is a study with the worst of twelve demand vectors."""
    case = load("zeng_zhao_2013")
    best = float("inf")
    for n in (2, 3):
        for open_ in itertools.combinations(range(3), n):
            fixed = sum(case["pools"][i]["fixed_cost"] for i in open_)
            s = scenario_study(case, open_, 0.4, "worst_case")
            try:
                cost = relax(Search(build(s), Effort(), None, lambda *_: None)) + fixed
            except Infeasible:
                continue
            if cost < best:
                best = make_plan(s, replace(EXACT, gap_fraction=1e-7)).proof.cost_usd + fixed
    assert best == pytest.approx(case["expected"]["objective"], rel=1e-6)


@pytest.mark.skipif(not FOLDER.exists(), reason=f"{FOLDER} is not here")
def test_lands():
    case = load("lands")
    s = scenario_study(case, (0, 1, 2, 3), 1 / 3, "expected")
    plan = make_plan(s, replace(EXACT, gap_fraction=1e-8))
    capital = sum(
        p.units / 3 * q["capacity_unit_cost"]
        for p in plan.purchases
        for i, q in enumerate(case["pools"])
        if p.offer.startswith(f"p{i}/")
    )
    assert plan.proof.cost_usd == pytest.approx(case["expected"]["objective"], rel=1e-6)
    assert capital == pytest.approx(case["capex_budget"]), "the budget binds"


# ------------------------------------------------------------------ what an outage costs, and how often
def outages_usd(s: Study) -> float:
    """What the outages of the cheapest plan cost, all else stated; it passes its audit."""
    plan = make_plan(s, EXACT)
    assert audit(plan).passed, audit(plan).violations[:3]
    return plan.costs_usd["outages"]


ONE: dict[str, Any] = {
    "sites": (site("p/a"),),
    "pools": (Pool(site="p/a", machine_type="m"),),
    "bought": [offer("p/a/m", 1, most_units=10.0)],
}


@pytest.mark.parametrize("placements", [1, 2, 4])
def test_a_loss_that_may_fall_anywhere_happens_once(placements):
    """Half of ten machines, once: 5 of 10 requests/s for 1790 s at 0.001 USD, whichever of the profiles they ran."""
    half = NamedFailure(
        name="f", lost={"pool:p/a/m": 0.5}, worst_part=True, failures_per_year=12.0, hours_to_repair=0.5
    )
    profiles = [profile("m", f"cuda{i}", 1, name=f"p{i}", load_seconds=9999.0) for i in range(placements)]
    usd = outages_usd(one_pool(failures=(half,), models=(model("m", profiles),), **ONE))
    assert usd == pytest.approx(8.95)


@pytest.mark.parametrize("objective", ["expected", "cvar"])
def test_a_goal_in_maintenance_prices_nothing_again(objective):
    """Lost for half an hour every second month: 0.5 · 10 · 1800 · 0.001 USD, with a goal in maintenance or without."""
    s = one_pool(rate=6.0, bought=[offer("p/a/m", 1, most_units=40.0)], objective=objective, cvar_level=0.0)
    goal = Goal(failure="f", serve_fraction=0.0, within_seconds=60, in_maintenance={"site:r/b": 0.5})
    tiers = (Tier(name="t", outage_usd_per_request=0.001, survive=(goal,)),)
    assert outages_usd(s) == outages_usd(s.model_copy(update={"tiers": tiers})) == pytest.approx(9.0)


def test_a_goal_more_never_costs_less():
    """10 a at 1 USD, and 10 · 0.001 USD for 310.001 s, with the goal of all in 320 s and without any."""
    tiers = (Tier(name="t", outage_usd_per_request=0.001, survive=(Goal(failure="f", within_seconds=320),)),)
    for s in (reclaimable(), reclaimable(tiers=tiers)):
        plan = make_plan(s, EXACT)
        assert (plan.proof.cost_usd, plan.proof.bound_usd) == pytest.approx((13.1, 13.1), abs=1e-4)
        assert audit(plan).passed and not drill_plan(plan).findings and not drill_state_claims(plan)


@pytest.mark.parametrize(("level", "usd"), [(0.0, 36.0), (0.5, 36.0)])
def test_the_tail_of_several_outages_is_no_less_than_their_mean(level, usd):
    """Four failures that each take a for half an hour every second month: two outages of 18 USD are to be expected."""
    four = tuple(
        NamedFailure(name=f"f{n}", lost={"site:p/a": 1.0}, failures_per_year=6.0, hours_to_repair=0.5) for n in range(4)
    )
    only_a = [offer("p/a/m", 1, most_units=40.0)]
    assert outages_usd(one_pool(failures=four, bought=only_a)) == pytest.approx(36.0)
    assert outages_usd(one_pool(failures=four, bought=only_a, objective="cvar", cvar_level=level)) == pytest.approx(usd)


def test_the_tail_is_what_is_dearest_of_many():
    """Two outages are to be expected, 1.5 of 9 USD and 0.5 of 18: the dearest half of them: 0.5 of 18 and 0.5 of 9."""
    rows = [("site:p/a", 6.0, 0.5), *(("site:p/a", 6.0, 0.25) for _ in range(3))]
    some = tuple(
        NamedFailure(name=f"f{n}", lost={what: 1.0}, failures_per_year=often, hours_to_repair=hours)
        for n, (what, often, hours) in enumerate(rows)
    )
    s = one_pool(failures=some, bought=[offer("p/a/m", 1, most_units=40.0)], objective="cvar", cvar_level=0.5)
    # (0.5 · 18 + 0.5 · 9) / 0.5 outages, of which the mean is 13.5, times two
    assert outages_usd(s) == pytest.approx(2 * 13.5)


def test_serving_until_detection_costs_what_serving_costs():
    """A site that nothing uses is lost: nothing changes, and nothing is saved on requests until it is detected."""
    unused = NamedFailure(name="f", lost={"site:r/b": 1.0}, failures_per_year=12.0, hours_to_repair=0.5)
    usd = (RequestCost(origin="o", site="p/a", usd_per_request=1e-4),)
    common: dict[str, Any] = {"detection_seconds": 600.0, "bought": [offer("p/a/m", 1, most_units=40.0)]}
    assert outages_usd(one_pool(failures=(unused,), request_costs=usd, **common)) == pytest.approx(0.0)
    # serving at 0.002 USD costs more than not serving at 0.001: half an hour of ten requests/s saves 18 USD, and such
    # a plan passes its audit: what outages save is no part of the plan without goals
    dear = (RequestCost(origin="o", site="p/a", usd_per_request=2e-3),)
    lost = NamedFailure(name="f", lost={"site:p/a": 1.0}, failures_per_year=12.0, hours_to_repair=0.5)
    assert outages_usd(one_pool(failures=(lost,), request_costs=dear, **common)) == pytest.approx(-18.0)


def test_gateways_that_rescale_have_no_price_of_outages():
    with pytest.raises(InputError, match="failover: resolve"):
        build(one_pool(failover="rescale"))
