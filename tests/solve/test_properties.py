"""Properties that every study has: what can only help never costs more, names and order mean nothing."""

from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shuffling import shuffled
from studies import random_study

from planner.plan.audit import audit
from planner.plan.file import plan_text
from planner.plan.plan import make_plan
from planner.problem.build import build
from planner.solve.program import solver_named
from planner.solve.search import Effort, Infeasible, Solution
from planner.solve.solve import solve
from planner.study.records.study import Study

EXACT = Effort(gap_fraction=0.0, most_nodes=10_000)
CLOSE = 1e-6


def few(examples: int):
    return settings(
        max_examples=examples, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )


TINY = st.integers(0, 2000).map(random_study)
SMALL = st.integers(0, 200).map(lambda seed: random_study(seed, "small"))
FACTOR = st.sampled_from([1.05, 1.5, 2.0])


def cost(study: Study) -> float:
    """Of the cheapest plan [USD]; infinite when there is none. A study that several properties draw is solved once."""
    return _cost(study.model_dump_json(by_alias=True))


@cache
def _cost(text: str) -> float:
    try:
        return solve(build(Study.model_validate_json(text)), EXACT).cost_usd
    except Infeasible:
        return float("inf")


def with_each(study: Study, name: str, **functions: Any) -> Study:
    """The study with fields of each record of one kind changed by functions of the old value."""
    records = tuple(
        r.model_copy(update={field: change(getattr(r, field)) for field, change in functions.items()})
        for r in getattr(study, name)
    )
    return study.model_copy(update={name: records})


def no_dearer(a: float, b: float) -> bool:
    return a <= b or a == pytest.approx(b, abs=CLOSE)


@few(25)
@given(TINY, FACTOR)
def test_more_demand_never_costs_less(study, factor):
    assert no_dearer(cost(study), cost(with_each(study, "demand", requests_per_second=lambda v: v * factor)))


@few(20)
@given(TINY, st.integers(0, 10), FACTOR)
def test_more_demand_at_one_place_never_costs_less(study, which, factor):
    rows = list(study.demand)
    row = rows[which % len(rows)]
    rows[which % len(rows)] = row.model_copy(update={"requests_per_second": row.requests_per_second * factor})
    assert no_dearer(cost(study), cost(study.model_copy(update={"demand": tuple(rows)})))


@few(25)
@given(TINY, st.integers(1, 3))
def test_more_supply_never_costs_more(study, more):
    assert no_dearer(cost(with_each(study, "offers", most_units=lambda v: v + more)), cost(study))


@few(20)
@given(TINY, st.sampled_from(["usable_fraction", "claims", "holdings"]))
def test_more_machines_never_cost_more(study, what):
    if what == "usable_fraction":
        fewer = with_each(study, "pools", usable_fraction=lambda v: 0.7)
        assert no_dearer(cost(study), cost(fewer))
    elif what == "claims":
        assert no_dearer(cost(study.model_copy(update={"claims": ()})), cost(study))
    else:
        assert no_dearer(cost(with_each(study, "holdings", machines=lambda n: n + 1)), cost(study))


@few(20)
@given(TINY, st.sampled_from([20.0, 60.0, 120.0, 170.0]), FACTOR)
def test_looser_latency_never_costs_more(study, limit_ms, factor):
    """As far as no more can be covered at all: what nothing reaches is not due, and costs nothing to leave."""
    tight = with_each(study, "tiers", round_trip_ms=lambda v: limit_ms)
    loose = with_each(study, "tiers", round_trip_ms=lambda v: limit_ms * factor)
    only_in_failure = with_each(tight, "tiers", round_trip_ms_in_failure=lambda v: limit_ms * factor)
    for looser, tighter in ((loose, only_in_failure), (only_in_failure, tight), (loose, tight)):
        if build(looser).coverable == build(tighter).coverable:
            assert no_dearer(cost(looser), cost(tighter))


@few(20)
@given(TINY)
def test_sooner_loaded_never_costs_more(study):
    faster = study.models[0]
    profiles = tuple(f.model_copy(update={"load_seconds": f.load_seconds / 2}) for f in faster.profiles)
    sooner = study.model_copy(update={"models": (faster.model_copy(update={"profiles": profiles}),)})
    assert no_dearer(cost(sooner), cost(study))


@few(25)
@given(TINY, st.integers(0, 10))
def test_one_goal_fewer_never_costs_more(study, which):
    goals = [(t, g) for t, tier in enumerate(study.tiers) for g in range(len(tier.survive))]
    t, g = goals[which % len(goals)]
    tiers = list(study.tiers)
    tiers[t] = tiers[t].model_copy(update={"survive": tiers[t].survive[:g] + tiers[t].survive[g + 1 :]})
    assert no_dearer(cost(study.model_copy(update={"tiers": tuple(tiers)})), cost(study))


@few(15)
@given(TINY)
def test_no_goals_cost_least(study):
    try:
        bare = solve(build(study, with_goals=False), EXACT).cost_usd
    except Infeasible:
        bare = float("inf")
    assert no_dearer(bare, cost(study))


@few(20)
@given(TINY, st.integers(0, 100))
def test_names_and_order_mean_nothing(study, seed):
    assert cost(shuffled(study, seed)) == pytest.approx(cost(study), abs=CLOSE)


@few(15)
@given(TINY)
def test_twice_the_prices_cost_twice_as_much(study):
    dearer = with_each(study, "prices", price_usd_per_machine_hour=lambda v: 2 * v)
    assert cost(dearer) == pytest.approx(2 * cost(study))


@few(15)
@given(TINY)
def test_twice_the_time_costs_twice_as_much(study):
    longer = study.model_copy(update={"hours_per_month": 2 * study.hours_per_month})
    assert cost(longer) == pytest.approx(2 * cost(study))


def holds(solution: Solution) -> None:
    assert solution.lp_bound_usd <= solution.bound_usd + CLOSE
    assert solution.bound_usd <= solution.cost_usd + CLOSE


@few(15)
@given(st.one_of(TINY, SMALL), st.sampled_from([0.0, 0.01, 0.1]))
def test_the_bound_is_below_the_cost_and_above_the_relaxation(study, gap):
    try:
        rough = solve(build(study), Effort(gap_fraction=gap, most_nodes=100))
    except Infeasible:
        return
    holds(rough)
    if rough.status == "proven":
        assert rough.cost_usd - rough.bound_usd <= gap * rough.cost_usd + CLOSE


@few(15)
@given(TINY)
def test_a_rough_bound_is_no_higher_than_the_best_plan(study):
    best = cost(study)
    if best < float("inf"):
        rough = solve(build(study), Effort(gap_fraction=0.2, most_nodes=5))
        assert no_dearer(rough.bound_usd, best) and no_dearer(best, rough.cost_usd)


@few(15)
@given(st.one_of(TINY, SMALL))
def test_every_plan_passes_its_audit_and_is_the_same_twice(study):
    try:
        plan = make_plan(study)
    except Infeasible:
        return
    assert audit(plan).violations == ()
    assert plan_text(make_plan(study)) == plan_text(plan)


@pytest.mark.filterwarnings("ignore:PULP_CBC_CMD is deprecated")
@pytest.mark.parametrize("seed", range(5))
def test_another_solver_finds_the_same_optimum(seed):
    study = random_study(seed)
    found = solve(build(study), EXACT, solver_named("PULP_CBC_CMD"))
    holds(found)
    assert found.cost_usd == pytest.approx(cost(study), abs=CLOSE)
