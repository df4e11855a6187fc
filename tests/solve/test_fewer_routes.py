"""A program with fewer routes: whatever it finds is a solution of the program, at what it says that it costs."""

import numpy as np
import pytest
from small_programs import SEEDS, off, program_of, study_of

from planner.errors import NoPlan
from planner.plan.audit import audit
from planner.plan.plan import make_plan
from planner.solve import fewer_routes, reached, whole_plan
from planner.solve.fewer_routes import ABOUT_SAME, FewerRoutes
from planner.solve.highs import Ends
from planner.solve.program import OPTIMAL

FAR_APART = 1e3
"""Of needs all of which are then about the same."""


@pytest.mark.parametrize("about_same", [ABOUT_SAME[0], FAR_APART])
@pytest.mark.parametrize("seed", SEEDS)
def test_what_has_fewer_routes_is_a_solution_and_no_cheaper(seed: int, about_same: float) -> None:
    """Divisible and whole; where all needs count as the same there are fewer columns, else nothing was tried."""
    program = program_of(seed)
    if program is None:
        return
    whole = program.integral.copy()
    for integral in (np.zeros(program.n, dtype=bool), whole):
        program.integral = integral
        exact, fewer = program.answer(Ends()), FewerRoutes(program, about_same)
        assert fewer.restricted.n <= program.n and fewer.restricted.m <= program.m
        answer = fewer.solve(Ends(), exact.values)
        if integral.any() and fewer.holds(exact.values):
            assert answer.objective == pytest.approx(exact.objective, rel=1e-6, abs=1e-6)
        if answer.values is None:  # with one split for several, what is nearly full may hold no longer
            continue
        assert exact.status == answer.status == OPTIMAL
        assert off(program, answer.values) <= 1e-5
        assert program.value_of(answer.values) == pytest.approx(answer.objective, rel=1e-6)
        assert answer.objective >= exact.objective - 1e-6 * abs(exact.objective)
        assert answer.bound == -np.inf
        assert (answer.values[integral] == np.round(answer.values[integral])).all()


def test_streams_get_one_split() -> None:
    programs = [program for program in map(program_of, SEEDS) if program is not None]
    assert any(FewerRoutes(program, FAR_APART).restricted.n < program.n for program in programs)


def test_what_bounds_close_has_no_columns() -> None:
    """Replicas closed, with them what they would serve: nothing is asked of columns that can be nothing but zero."""
    program = program_of(2)
    assert program is not None
    before = FewerRoutes(program)
    own = next(own for own in program.owned if own.name == "replicas")
    kept = program.upper.copy()
    program.upper[own.columns[:1]] = 0.0
    closed = FewerRoutes(program)
    program.upper = kept
    assert closed.restricted.n < before.restricted.n - 1
    assert (FewerRoutes(program).lower == program.lower).all()


@pytest.mark.parametrize("seed", SEEDS[:6])
def test_plans_of_large_programs_are_plans(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small studies, searched as large ones are: what passes is audited, and costs no less than the bound."""
    study = study_of(seed)
    try:
        small = make_plan(study)
    except NoPlan:
        return
    monkeypatch.setattr(reached, "LARGE_COLUMNS", -1)
    monkeypatch.setattr(whole_plan, "MANY_COLUMNS", -1)
    monkeypatch.setattr(fewer_routes, "ABOUT_SAME", (FAR_APART, ABOUT_SAME[0]))
    large = make_plan(study)
    assert audit(large).passed
    assert large.proof.cost_usd >= small.proof.bound_usd * (1 - 1e-6)
    assert large.proof.bound_usd <= small.proof.cost_usd * (1 + 1e-6)
