"""Where the time goes: every second to the innermost stage, none twice, none lost; and nothing where nobody asks."""

import pytest
from two_sites import two_sites

from planner.plan.plan import make_plan
from planner.solve import stages
from planner.solve.stages import (
    BUILDING,
    OTHER,
    SETTLING,
    TESTS,
    THE_PLAN,
    WHOLE_NUMBERS,
    in_solver,
    part,
    spent,
    stage,
    watched,
)


@pytest.fixture
def clock(monkeypatch):
    """A clock that is moved by hand [s]."""
    now = [0.0]
    monkeypatch.setattr(stages, "processor_seconds", lambda: now[0])

    def pass_(seconds):
        now[0] += seconds

    return pass_


def test_the_innermost_stage_counts(clock):
    with watched() as watch:
        clock(1)
        with stage(WHOLE_NUMBERS):
            clock(2)
            with in_solver():
                clock(4)
            with stage(TESTS), in_solver():
                clock(8)
            clock(16)
        with part("without goals"), stage(TESTS):
            clock(32)
    rows = {(row.part, row.stage): (row.seconds, row.solver_seconds) for row in spent(watch)}
    assert rows == {
        (THE_PLAN, OTHER): (1, 0),
        (THE_PLAN, WHOLE_NUMBERS): (22, 4),
        (THE_PLAN, TESTS): (8, 8),
        ("without goals", TESTS): (32, 0),
    }
    assert sum(row.fraction for row in spent(watch)) == pytest.approx(1)


def test_an_error_ends_its_stage(clock):
    @stage(BUILDING)
    def fails():
        clock(2)
        raise ValueError

    with watched() as watch:
        for _ in range(2):
            with pytest.raises(ValueError):
                fails()
        clock(1)
    assert {at.stage: seconds for at, seconds in watch.seconds.items()} == {BUILDING: 4, OTHER: 1}


def test_nothing_is_taken_outside(clock):
    with watched() as watch:
        clock(1)
    with stage(BUILDING), in_solver():
        clock(2)
    assert sum(watch.seconds.values()) == 1


def test_a_plan_has_its_stages_and_is_the_same():
    study = two_sites()
    with watched() as watch:
        made = make_plan(study)
    assert made == make_plan(study)
    rows = spent(watch)
    own = {row.stage for row in rows if row.part == THE_PLAN}
    assert {BUILDING, "linear program", TESTS, WHOLE_NUMBERS, "tests on whole numbers", SETTLING} <= own | {
        WHOLE_NUMBERS
    }
    assert "without goals" in {row.part for row in rows}
    solved = {row.stage for row in rows if row.solver_seconds > 0}
    assert "linear program" in solved and BUILDING not in solved
