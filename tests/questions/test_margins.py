"""How far a figure may move: the drill, asked in full, holds just below what the review says, and breaks just above."""

from pathlib import Path

import pytest
from helpers import write_study
from moved_figures import moved
from studies import random_study
from two_sites import two_sites

from planner.drill import broken_rows, drill_plan
from planner.drill.failures import NORMAL
from planner.errors import NoPlan
from planner.plan.decisions import problem_of
from planner.plan.in_hand import in_hand
from planner.plan.plan import make_plan
from planner.questions.margins import margins
from planner.questions.near_figures import near_figures
from planner.review.answer import review_plan
from planner.solve.search import Effort
from planner.study.read import read_study
from planner.study.records.policies import Utilisation


def broken(plan, margin, factor):
    """What a whole drill says with one figure times a factor; normal operation with new weights."""
    other, longer = moved(plan, margin.kind, margin.figure, factor)
    p = problem_of(plan)
    if longer:
        every = [(h, f) for h in p.hours for f in p.failures]
        return broken_rows(other, every, plan.study.failover, longer=longer, reach=True)
    rows = [row for row in drill_plan(other, plan.study.failover).rows if row.broken and row.failure != NORMAL]
    return [*rows, *broken_rows(other, [(h, NORMAL) for h in p.hours], plan.study.failover)]


FIXED = Utilisation(basis="fixed")


def checked(plan):
    """The margins of a plan, each drilled just below and just above; by waiting the drill may miss what holds above."""
    found = margins(plan)
    for margin in found:
        assert not broken(plan, margin, margin.factor), margin
        if plan.study.utilisation == FIXED:
            rows = broken(plan, margin, margin.breaks_at)
            assert any(row.failure == margin.failure for row in rows), margin
        assert margin.move_fraction >= abs(margin.factor - 1)
    return {margin.kind: margin for margin in found}


def test_where_nothing_runs_nothing_may_grow():
    """Two machines of 5 requests/s are left for 10: with any more the goal breaks; without a replica it is broken."""
    plan = in_hand(make_plan(two_sites(), Effort(gap_fraction=0.0)))
    s = (plan.problem.hours[0], "site:a/x", 60.0)
    with_all = {(one.kind, one.figure): one.guess for one in near_figures(plan) if one.failure == s[1]}
    plan.vectors.kept[s,][:] = plan.vectors.cold_started[s,][:] = 0.0
    with_none = {(one.kind, one.figure): one.guess for one in near_figures(plan) if one.failure == s[1]}
    assert with_all == {("demand", "all demand"): pytest.approx(1.0), ("speed", "m/m-cuda"): pytest.approx(1.0)}
    assert with_none == {("demand", "all demand"): 1.0}


@pytest.mark.parametrize("utilisation", [FIXED, Utilisation()], ids=["fixed", "waiting"])
@pytest.mark.parametrize("failover", ["resolve", "rescale"])
def test_the_drill_holds_just_below_and_breaks_just_above(tmp_path, failover, utilisation):
    study, _ = read_study(write_study(tmp_path))
    changed = study.model_copy(update={"failover": failover, "utilisation": utilisation})
    try:
        plan = make_plan(changed, Effort(gap_fraction=0.0))
    except NoPlan:
        pytest.skip("no plan with fixed weights")
    assert {"demand", "speed"} <= checked(plan).keys()


@pytest.mark.parametrize("seed", range(6))
def test_random_plans_hold_below_and_break_above(seed):
    plan = None
    while plan is None:
        try:
            plan = make_plan(random_study(seed))
        except NoPlan:
            seed += 100
    checked(plan)


@pytest.mark.parametrize("utilisation", [FIXED, Utilisation()], ids=["fixed", "waiting"])
def test_the_study_s_own_limits_are_kept(utilisation):
    """A part is left to queues: with every machine at its limit in a failure, any more demand breaks its goal."""
    study, _ = read_study(Path(__file__).parents[2] / "examples" / "postmortem")
    plan = make_plan(study.model_copy(update={"utilisation": utilisation}))
    found = checked(plan)
    assert found["demand"].breaks_at < 1 / FIXED.in_failure
    (section,) = [section for section in review_plan(plan).sections if section.title == "TRUST"]
    (line,) = [line for line in section.lines if line.startswith("  demand: ")]
    assert "more holds, " in line and " more breaks a goal when " in line
