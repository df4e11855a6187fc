"""Hours of a plan side by side: the same bytes with any number of threads, one error, one end by a signal."""

import os
import signal
import threading
from dataclasses import replace

import numpy as np
import pytest
from over_time import study_over_time

from planner.errors import SolverError
from planner.plan.audit import audit
from planner.plan.file import plan_text
from planner.plan.plan import make_plan
from planner.problem.build import build
from planner.solve import enter_by_hours as entering
from planner.solve import search as searching
from planner.solve import whole_by_hours
from planner.solve.feasibility_subproblem import FeasibilitySubproblem
from planner.solve.search import Effort, Search
from planner.solve.stages import SETTLING, TESTS, WHOLE_NUMBERS, watched
from planner.solve.whole_hour import HourPlan
from planner.solve.whole_tests import WholeTests


@pytest.fixture(autouse=True)
def _few_hours(monkeypatch):
    monkeypatch.setattr(entering, "FEWEST_HOURS", 2)
    monkeypatch.setattr(searching, "FEWEST_HOURS_OF_PART", 1)


def threads_of(monkeypatch, owner, name):
    """Names of the threads that a method runs in, by the first letters."""
    seen, method = set(), getattr(owner, name)

    def noted(self, *given, **more):
        seen.add(threading.current_thread().name[:7])
        return method(self, *given, **more)

    monkeypatch.setattr(owner, name, noted)
    return seen


def test_a_plan_is_the_same_bytes_with_any_number_of_threads(monkeypatch):
    study, effort = study_over_time(12), Effort(gap_fraction=0.02)
    tests, hours, settles = (
        threads_of(monkeypatch, *of)
        for of in ((FeasibilitySubproblem, "test"), (HourPlan, "run"), (FeasibilitySubproblem, "settle"))
    )
    one = make_plan(study, effort)
    assert tests | hours | settles == {"MainThr"}
    two = make_plan(study, replace(effort, jobs=2))
    assert {"planner"} <= tests & hours & settles
    assert plan_text(two) == plan_text(one) == plan_text(make_plan(study, replace(effort, jobs=5)))


def test_a_what_if_is_the_same_bytes_too():
    study, effort = study_over_time(12), Effort(gap_fraction=0.03)
    plan = make_plan(study, effort)
    dearer = study.model_copy(
        update={
            "demand": tuple(
                d.model_copy(update={"requests_per_second": 1.1 * d.requests_per_second}) for d in study.demand
            )
        }
    )
    one, two = (make_plan(dearer, replace(effort, jobs=jobs), start=plan) for jobs in (1, 2))
    assert plan_text(two) == plan_text(one)


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_error_in_one_hour_is_the_error_of_the_plan(jobs, monkeypatch):
    run = HourPlan.run

    def fails(self):
        if self.p.hours[0] == "p2/day":
            raise SolverError("p2/day ended Unknown")
        return run(self)

    monkeypatch.setattr(HourPlan, "run", fails)
    with pytest.raises(SolverError, match="p2/day ended Unknown"):
        make_plan(study_over_time(12), Effort(jobs=jobs))
    assert not [one for one in threading.enumerate() if one.name.startswith("planner")]


@pytest.mark.parametrize(
    ("owner", "name"), [(whole_by_hours.WholeByHours, "_search_hour"), (WholeTests, "_settle")], ids=["hour", "states"]
)
def test_ctrl_c_in_the_middle_leaves_a_whole_plan(owner, name, monkeypatch):
    work, sent = getattr(owner, name), []

    def interrupted(self, *given):
        if not sent and len(self.p.failures) > 1:  # not where no failure is planned for
            sent.append(threading.current_thread().name[:7])
            os.kill(os.getpid(), signal.SIGINT)
        return work(self, *given)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    monkeypatch.setattr(owner, name, interrupted)
    try:
        plan = make_plan(study_over_time(12), Effort(gap_fraction=0.02, jobs=2))
    finally:
        signal.signal(signal.SIGINT, before)
    assert sent == ["planner"] and audit(plan).passed and plan.proof.status == "stopped"


def test_a_time_limit_is_shared_by_the_hours_that_run():
    one = Search(build(study_over_time(12)), Effort(seconds=100.0, jobs=2), None, lambda stage, done, detail: None)
    plan = whole_by_hours.WholeByHours.__new__(whole_by_hours.WholeByHours)
    plan.search, plan.effort = one, one.effort
    asked = whole_by_hours.HourSearch("p1/day", 0.0, at_once=False, thorough=False, hours_to_come=4)
    assert plan._seconds_of(asked) == pytest.approx(0.8 * 100.0 * 2 / 4, abs=1.0)
    last = replace(asked, hours_to_come=1)
    assert plan._seconds_of(last) == pytest.approx(0.8 * 100.0, abs=1.0)
    plan.effort = Effort(jobs=2)
    assert plan._seconds_of(asked) is None


def test_another_subproblem_knows_nothing_of_the_first():
    p = build(study_over_time(1))
    one = Search(p, Effort(), None, lambda stage, done, detail: None)
    one.minimise()
    one.program.solve()
    purchases = one.purchases(integer=False)
    failures = [f for f in one.failures() if p.deadlines_seconds[f] == p.deadlines_seconds[one.failures()[0]]]
    first = FeasibilitySubproblem(p, p.deadlines_seconds[failures[0]])
    alone = [FeasibilitySubproblem(p, first.deadlines_seconds).test(f, purchases) for f in failures]
    for f in failures:
        first.test(f, purchases)
    bounds = first.program.lower.copy(), first.program.upper.copy(), first.program.costs.copy()
    others = [first.with_another(None).test(f, purchases) for f in failures]
    assert others == pytest.approx(alone, abs=1e-6)
    assert all((now == before).all() for now, before in zip(_arrays(first), bounds, strict=True))


def _arrays(subproblem: FeasibilitySubproblem) -> tuple[np.ndarray, ...]:
    program = subproblem.program
    return program.lower, program.upper, program.costs


def test_parts_are_for_the_study_to_say(monkeypatch):
    one = Search(build(study_over_time(12)), Effort(), None, lambda stage, done, detail: None)
    hours = one.p.hours
    assert [one.part_of(h) for h in hours] == list(range(len(hours)))
    monkeypatch.setattr(searching, "MOST_PARTS", 2)
    assert [one.part_of(h) for h in hours] == [0] * (len(hours) // 2) + [1] * (len(hours) // 2)
    monkeypatch.setattr(searching, "FEWEST_HOURS_OF_PART", 12)
    assert len(hours) < 12 and {one.part_of(h) for h in hours} == {0}


def test_time_of_threads_goes_where_it_would_have_gone():
    with watched() as one:
        make_plan(study_over_time(12), Effort(gap_fraction=0.02))
    with watched() as two:
        make_plan(study_over_time(12), Effort(gap_fraction=0.02, jobs=2))
    for name in (TESTS, WHOLE_NUMBERS, SETTLING):
        of = [sum(seconds for at, seconds in watch.seconds.items() if at.stage == name) for watch in (one, two)]
        assert of[1] > 0 and 0.2 <= of[1] / of[0] <= 5.0, name
        assert any(at.in_solver and at.stage == name and seconds > 0 for at, seconds in two.seconds.items()), name
