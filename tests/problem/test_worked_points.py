"""Every rule and every cost at a point where no factor is 1: both sides are numbers that were worked out by hand."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from row_by_row import rows_of
from worked_points import (
    BROKEN,
    BROKEN_USD,
    COST,
    DAY,
    DECISIONS,
    IN_STATES,
    MEASURE,
    NIGHT,
    ONCE,
    OUTAGE_COST,
    OUTAGES,
    RANKED,
    RATED,
    A,
    B,
    Side,
    State,
    given,
    rated,
)

from planner.problem.algebra import Sparse, Vector
from planner.problem.arrays import Arrays, full
from planner.problem.build import build
from planner.problem.decisions import Decisions, Vectors, no_decisions
from planner.problem.problem import Problem
from planner.problem.rules.costs import COSTS, cost_usd, outage_size_usd, outage_usd
from planner.problem.rules.formulas import loading
from planner.problem.rules.index_sets import as_vectors
from planner.problem.rules.register import PURCHASE_RULES, STATE_RULES


@cache
def problem(objective: str = "cost") -> Problem:
    return replace(build(given() if objective == "cost" else rated(objective)), measure=MEASURE)


def decisions(*tables: dict[str, dict[tuple[Any, ...], float]]) -> Decisions:
    x = no_decisions()
    for table in tables:
        for name, numbers in table.items():
            setattr(x, name, Sparse(numbers))
    return x


def sides(rule: str, p: Problem, x: Decisions, s: State | None = None) -> dict[tuple[Any, ...], Side]:
    """Both sides of all rows of a rule, once or in a state, by key without the state: how the code of today says it."""
    rows = rows_of(rule, p, x, s)
    sides = {tuple(part for part in row.key if part != s): (row.lhs, row.sense, row.rhs) for row in rows}
    assert len(sides) == len(rows), "a key is there twice"
    return sides


def usd(cost: Callable[[Arrays, Vectors], Vector], p: Problem, x: Decisions) -> float:
    """What a cost comes to, of a vector of one."""
    (of_all,) = cost(full(p), as_vectors(p, x))
    return float(of_all)


def check(sides: dict[tuple[Any, ...], Side], expected: dict[tuple[Any, ...], Side]) -> None:
    assert sides.keys() == expected.keys()
    for key, (lhs, sense, right) in expected.items():
        assert sides[key][1] == sense, key
        assert (sides[key][0], sides[key][2]) == pytest.approx((lhs, right), rel=1e-12, abs=1e-12), key


def test_every_rule_and_cost_is_there():
    reserves = {r.__name__ for r in PURCHASE_RULES if r.__module__ == "planner.problem.rules.gateway_limits"}
    assert set(ONCE) | reserves == {r.__name__ for r in PURCHASE_RULES}
    assert set(IN_STATES) == {r.__name__ for r in STATE_RULES}
    assert set(COST) == {c.__name__ for c in COSTS}


@pytest.mark.parametrize("rule", ONCE)
def test_rules_of_what_is_bought(rule):
    check(sides(rule, problem(), decisions(DECISIONS)), ONCE[rule])


@pytest.mark.parametrize(("rule", "s"), [(rule, s) for rule, states in IN_STATES.items() for s in states])
def test_rules_of_a_state(rule, s):
    check(sides(rule, problem(), decisions(DECISIONS), s), IN_STATES[rule][s])


@pytest.mark.parametrize("cost", COSTS)
def test_costs(cost):
    assert usd(cost, problem(), decisions(DECISIONS)) == pytest.approx(COST[cost.__name__], rel=1e-12)


def test_all_costs():
    assert usd(cost_usd, problem(), decisions(DECISIONS)) == pytest.approx(sum(COST.values()), rel=1e-12)


def test_an_outage_by_hand():
    p, x = problem("expected"), decisions(DECISIONS, OUTAGES)
    assert p.deadlines_seconds[BROKEN] == (10.0, 30.0, 30.001, 50.0)  # detected; a claim is back; b has loaded
    assert usd(lambda a, vectors: outage_usd(a, vectors, BROKEN), p, x) == pytest.approx(BROKEN_USD, rel=1e-12)
    rule = "an_outage_costs_what_is_not_served"
    check(sides(rule, p, x, (NIGHT, BROKEN, 50.0)), {(BROKEN,): (45.0, ">=", BROKEN_USD)})
    check(sides(rule, p, x, (NIGHT, BROKEN, 30.0)), {})


@pytest.mark.parametrize("objective", ["expected", "worst_case", "cvar"])
def test_outages_that_are_priced(objective):
    p, x = problem(objective), decisions(DECISIONS, OUTAGES)
    for rule, rows in RATED.items():
        check(sides(rule, p, x), rows)
    check(sides("outages_are_ranked", p, x), RANKED[objective])
    cost = next(c for c in COSTS if c.__name__ == "outages")
    assert usd(cost, p, x) == pytest.approx(OUTAGE_COST[objective], rel=1e-12)


def test_what_outages_are_judged_by():
    """Two hours without any of 13.2 requests/s of w and of 6 that an hour may take up of v."""
    assert outage_size_usd(problem("expected")) == pytest.approx(3600 * 2 * (0.01 * 13.2 + 0.002 * 6), rel=1e-12)


def test_what_loads_when():
    """Clocks of 10, 50, 90 s: 40 s before is done by then, but for rounding; the clock before always counts."""
    p = replace(problem(), deadlines_seconds={"site:a/x": (10.0, 50.0, 90.0)})
    s = (DAY, "site:a/x", 90.0)

    def before(seconds: float) -> list[float]:
        """Deadlines before at which what loads so long occupies machines already."""
        a = full(replace(p, load_seconds={A: 0.0, B: seconds}))
        return [earlier[2] for earlier, mask in loading(a, s) if mask[a.placement_at[B]]]

    for seconds, deadlines in (
        (40.0, [50.0]),
        (40 + 5e-10, [50.0]),
        (80.0, [50.0]),
        (80 + 5e-10, [50.0]),
        (80.1, [10.0, 50.0]),
        (0.5, [50.0]),
        (0.0, []),
    ):
        assert before(seconds) == deadlines, seconds


def test_a_pool_without_placements_needs_no_spare_machines():
    none = dict.fromkeys(problem().flows, ())
    p = replace(problem(), placements=(), edges=none, edges_in_failure=none)
    assert sides("a_pool_in_use_keeps_spare_machines", p, decisions(DECISIONS)) == {}
    assert sides("non_preemptible_replicas_stand_on_non_preemptible_machines", p, decisions(DECISIONS)) == {}
