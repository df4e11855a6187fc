"""A program without its routes: no dearer than the program, and what is routed there is a solution of it."""

import numpy as np
import pytest
from over_time import study_over_time
from priced import priced
from small_programs import SEEDS, off, program_of, study_of
from studies import beset_study

from planner.errors import NoPlan
from planner.plan.audit import audit
from planner.plan.plan import make_plan
from planner.problem.algebra import Expr
from planner.solve import reached, whole_plan
from planner.solve.highs import Answer, Ends
from planner.solve.program import INFEASIBLE, INFINITY, OPTIMAL, Owned, Program
from planner.solve.search import Effort
from planner.solve.without_routes import WithoutRoutes
from planner.study.records.study import Utilisation


def towards(program: Program) -> WithoutRoutes:
    relaxed = WithoutRoutes(program)
    relaxed.add_towards(program.values)
    return relaxed


@pytest.mark.parametrize("seed", SEEDS)
def test_whole_numbers_without_routes_cost_no_more_and_as_much_in_the_end(seed: int) -> None:
    """Searched again with what could not be routed, until it can be: that is a solution, and costs what it must."""
    program = program_of(seed)
    if program is None:
        return
    for integral in (np.zeros(program.n, dtype=bool), program.integral.copy()):
        program.integral = integral
        exact, relaxed = program.answer(Ends()), WithoutRoutes(program)
        relaxed.add_by_marginal_values(program.duals)
        assert exact.status == OPTIMAL and relaxed.lp.n < program.n
        for _ in range(60):
            answer = relaxed.solve(integral, Ends())
            assert answer.bound <= exact.objective + 1e-6 * max(1.0, abs(exact.objective))
            assert answer.values is not None
            values = relaxed.routed(answer.values, exact.values)
            if values is not None or not relaxed.has_grown:
                break
        assert values is not None
        assert off(program, values) <= 1e-4
        assert answer.objective == pytest.approx(exact.objective, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("seed", SEEDS)
def test_rows_hold_of_every_solution_whatever_the_weights(seed: int) -> None:
    """Weights at random, of any sign: what is best by random costs meets the rows that they make."""
    program = program_of(seed)
    if program is None:
        return
    chance, relaxed = np.random.default_rng(seed), towards(program)
    for _ in range(20):
        relaxed.add_by_marginal_values(chance.normal(size=program.m))
    kept = program.costs
    for _ in range(3):
        program.costs = np.where(np.isfinite(program.upper) | (chance.random(program.n) < 0.5), 0.0, 1.0)
        program.costs[program.costs > 0] = chance.random(int((program.costs > 0).sum()))
        answer = program.answer(Ends())
        assert answer.status == OPTIMAL
        here = answer.values[relaxed.kept]
        for block in relaxed.lp.blocks:
            at, size = block.terms.at(here), np.maximum(1.0, np.maximum(np.abs(block.low), 1.0 / block.factor))
            assert (np.maximum(block.low - at, at - block.high) / size <= 1e-6).all()
    program.costs = kept


@pytest.mark.parametrize("seed", SEEDS)
def test_marginal_values_give_the_bound_of_the_linear_program(seed: int) -> None:
    program = program_of(seed)
    if program is None:
        return
    relaxed = WithoutRoutes(program)
    relaxed.add_by_marginal_values(program.duals)
    answer = relaxed.solve(np.zeros(program.n, dtype=bool), Ends())
    assert answer.objective == pytest.approx(program.objective, rel=1e-6, abs=1e-6)


def test_two_streams_on_two_placements() -> None:
    """By hand: 3 and 5 requests/s, a replica carries 2 of one or 1 of the other: 1.5 and 5 replicas, whole 2 and 5.

    The second stream has the second placement alone, where a replica costs 2 USD, at the first 1: 11.5 USD, whole 12.
    """
    program = Program()
    traffic = program.columns(np.ones(3, dtype=bool))  # of the first stream to both placements, of the second
    replicas = program.columns(np.ones(2, dtype=bool), integral=True)
    routes = [("a", "x", 0), ("a", "x", 1), ("b", "x", 1)]
    program.owned.append(Owned("traffic", (), routes, np.arange(3), np.arange(3)))
    served = Expr(np.array([0, 0, 1]), np.array([0, 1, 2]), np.ones(3), np.zeros(2))
    program.add_rows(np.array([3.0, 5.0]), np.array([3.0, 5.0]), served, np.ones(2))
    carried = Expr(
        np.array([0, 0, 1, 1, 1]), np.array([0, 3, 1, 2, 4]), np.array([0.5, -1.0, 0.5, 1.0, -1.0]), np.zeros(2)
    )
    program.add_rows(np.full(2, -INFINITY), np.zeros(2), carried, np.ones(2))
    program.upper[:3] = 5.0
    program.minimise(Expr(np.zeros(2, dtype=int), replicas.column, np.array([1.0, 2.0]), np.zeros(1)))
    assert len(traffic) == 3 and program.solve() == OPTIMAL
    assert program.objective == pytest.approx(11.5)
    relaxed = WithoutRoutes(program)
    assert relaxed.lp.n == 2 and relaxed.lp.m == 0 and len(relaxed.parts) == 1
    relaxed.add_by_marginal_values(program.duals)
    assert relaxed.lp.m == 1
    block = relaxed.lp.blocks[-1]
    row = block.terms.value / block.low[0]
    assert row == pytest.approx(np.array([1.0, 2.0]) / 11.5)  # replicas of 1 and 2 USD for 11.5 USD at the least
    whole = np.arange(5) >= 3
    assert relaxed.solve(whole, Ends()).objective == pytest.approx(12.0)
    below = relaxed.solve(whole, Ends(cutoff=program.scaled(11.9)))
    assert below.status == INFEASIBLE and below.bound == pytest.approx(11.9)
    assert relaxed.routed(np.array([0.0, 6.0]), np.array([0.0, 0.0, 0.0, 2.0, 5.0])) is None
    assert relaxed.has_grown and relaxed.lp.m == 2
    assert relaxed.routed(np.array([2.0, 5.0]), np.array([3.0, 0.0, 5.0, 2.0, 5.0])) is not None


def one_route(beside: float, at_least: float, at_most: float) -> Program:
    """A column of traffic in two rows, `t + beside y >= at_least` and `t + 0.3 y <= at_most`, of which y costs 1."""
    program = Program()
    program.columns(np.ones(1, dtype=bool))
    y = program.columns(np.ones(1, dtype=bool))
    program.owned.append(Owned("traffic", (), [("a", "x", 0)], np.arange(1), np.arange(1)))
    for value, low, high in ((beside, at_least, INFINITY), (0.3, -INFINITY, at_most)):
        terms = Expr(np.zeros(2, dtype=int), np.array([0, 1]), np.array([1.0, value]), np.zeros(1))
        program.add_rows(np.array([low]), np.array([high]), terms, np.ones(1))
    program.upper[0] = 5.0
    program.minimise(Expr(np.zeros(1, dtype=int), y.column, np.ones(1), np.zeros(1)))
    return program


def test_what_cancels_out_by_arithmetic_is_no_row() -> None:
    """0.1 + 0.2 beside 0.3 leaves 5.6e-17 of both sides: scaled up it would say that y is one at the least."""
    program = one_route(0.1 + 0.2, 0.1 + 0.2, 0.3)
    assert program.solve() == OPTIMAL and program.objective == pytest.approx(0.0)
    relaxed = WithoutRoutes(program)
    relaxed.add_by_marginal_values(np.array([1.0, -1.0]))
    assert relaxed.solve(np.array([False, True]), Ends()).bound <= 1e-6


@pytest.mark.parametrize("beside", [0.3 + 3e-9, 0.3 - 3e-9])
def test_a_tiny_coefficient_stays_on_the_safe_side(beside: float) -> None:
    """Weights 1 and -1: 3e-9 of y, whose other rows are of size one, of either sign, and 1e-9 at the least."""
    program = one_route(beside, 0.3, 0.3)
    relaxed = WithoutRoutes(program)
    relaxed.add_by_marginal_values(np.array([1.0, -1.0]))
    assert program.solve() == OPTIMAL
    assert relaxed.solve(np.array([False, False]), Ends()).bound <= program.objective + 1e-6


def as_of_many_columns(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Small programs are searched as those of many columns from now on; how each search without routes ends."""
    monkeypatch.setattr(reached, "LARGE_COLUMNS", -1)
    monkeypatch.setattr(whole_plan, "MANY_COLUMNS", -1)
    asked, solve = list[str](), WithoutRoutes.solve

    def solved(relaxed: WithoutRoutes, integral: np.ndarray, ends: Ends) -> Answer:
        answer = solve(relaxed, integral, ends)
        asked.append(answer.status)
        return answer

    monkeypatch.setattr(WithoutRoutes, "solve", solved)
    return asked


def test_where_values_are_next_to_what_can_be_routed_a_plan_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row whose weights are millions is missed by one: that is no miss."""
    study = beset_study(153).model_copy(update={"utilisation": Utilisation(basis="fixed")})
    small = make_plan(study, Effort(gap_fraction=0.0))
    as_of_many_columns(monkeypatch)
    assert make_plan(study, Effort(gap_fraction=0.0)).proof.cost_usd == pytest.approx(small.proof.cost_usd)


def test_plans_of_every_kind_and_their_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """With prices of failures and of requests, over several periods, with work that waits and limits of many kinds."""
    effort, studies = Effort(gap_fraction=0.0, most_nodes=500), []
    every = [priced(0, "expected"), *(study_over_time(n) for n in (1, 4, 7)), *(beset_study(n) for n in (2, 5, 8, 11))]
    for each in every:
        study = each.model_copy(update={"utilisation": Utilisation(basis="fixed")})
        try:
            studies.append((study, make_plan(study, effort)))
        except NoPlan:
            continue
    asked = as_of_many_columns(monkeypatch)
    for study, small in studies:
        many = make_plan(study, effort)
        assert audit(many).passed
        assert many.proof.cost_usd >= small.proof.bound_usd * (1 - 1e-6)
        assert many.proof.bound_usd <= small.proof.cost_usd * (1 + 1e-6)
    assert len(studies) > 4 and len(asked) > 4


@pytest.mark.parametrize("gap_fraction", [0.01, 0.0])
@pytest.mark.parametrize("seed", SEEDS[:6])
def test_plans_of_programs_of_many_columns_and_their_bounds(
    seed: int, gap_fraction: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small studies, searched as those of many columns are: none is below the bound, and all of it was asked."""
    study = study_of(seed).model_copy(update={"utilisation": Utilisation(basis="fixed")})
    try:
        small = make_plan(study, Effort(gap_fraction=gap_fraction))
    except NoPlan:
        return
    asked = as_of_many_columns(monkeypatch)
    many = make_plan(study, Effort(gap_fraction=gap_fraction))
    assert audit(many).passed
    assert asked or many.proof.gap_fraction <= gap_fraction + 1e-6
    assert many.proof.cost_usd >= small.proof.bound_usd * (1 - 1e-6)
    assert many.proof.bound_usd <= small.proof.cost_usd * (1 + 1e-6)
