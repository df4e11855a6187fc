"""Many hours, one by one: the same optimum as all at once, cuts that hold, whole plans that pass the audit."""

import itertools
import time
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from buildouts import hall, years
from over_time import HOURS, study_over_time
from studies import beset_study

from planner.errors import NoPlan, SolverError
from planner.plan.audit import audit
from planner.plan.plan import make_plan
from planner.problem.algebra import Expr
from planner.problem.arrays import full, of_tests
from planner.problem.build import build
from planner.problem.decisions import Vectors
from planner.problem.rules.costs import cost_usd
from planner.problem.rules.formulas import machines_held_or_bought
from planner.problem.rules.index_sets import as_vectors
from planner.solve import enter_by_hours as entering
from planner.solve import whole_by_hours
from planner.solve.by_hours import ByHours
from planner.solve.enter_by_hours import enter_by_hours, two_of_each_period
from planner.solve.hour_cuts import cut_of
from planner.solve.hour_instance import HourInstance
from planner.solve.hour_part import same_matrices
from planner.solve.hour_parts import LINKS, MASTER, Parts, hours_of_columns
from planner.solve.linear_program import INFINITY, LinearProgram
from planner.solve.lp_bound import enter_what_breaks
from planner.solve.purchases_anew import machines_needed, purchases_once_more, restricted
from planner.solve.search import Effort, Search, Stopped
from planner.solve.solve import solve
from planner.solve.taken_apart import taken_apart
from planner.solve.whole_hour import HourPlan
from planner.study.records.buildout import SpendCommitment
from planner.study.records.study import Horizon, Policies, Study

EXACT = 1e-9


def search(study: Study, effort: Effort = Effort()) -> Search:
    return Search(build(study), effort, None, lambda stage, done, detail: None)


def with_hours(study: Study) -> Study:
    """A hall with a day and a night in each quarter."""
    horizon = Horizon(start=study.horizon.start, quarters=study.horizon.quarters, hours=HOURS)
    return study.model_copy(update={"horizon": horizon})


def committed() -> Study:
    """A hall with a promise to the cloud that rented machines fulfil."""
    promise = SpendCommitment(name="promise", offers=("a/*",), usd_per_year=48000.0)
    return with_hours(hall(spend_commitments=(promise,)))


def budgeted(budget_usd: float) -> Study:
    return with_hours(hall(policies=Policies(budget_usd=budget_usd)))


# -------------------------------------------------------------- the same optimum
COUPLED = {
    **{f"over time {seed}": partial(study_over_time, seed) for seed in (0, 6, 13)},
    **{f"beset {seed}": partial(beset_study, seed) for seed in (13, 72)},
    "spend commitment": committed,
    "build-outs, capital and a promise": lambda: with_hours(years()),
    "budget": partial(budgeted, 1e6),
}


@pytest.mark.parametrize("name", COUPLED)
def test_the_optimum_is_that_of_all_hours_at_once(name):
    at_once, hour_by_hour = search(COUPLED[name]()), search(COUPLED[name]())
    enter_what_breaks(at_once)
    assert enter_by_hours(hour_by_hour, (), EXACT) is not None
    assert hour_by_hour.bound == pytest.approx(at_once.bound, rel=1e-6, abs=1e-6)
    assert hour_by_hour.program.objective == pytest.approx(at_once.bound, rel=1e-6, abs=1e-6)
    assert hour_by_hour.all_failures_tested


def test_what_couples_hours_is_split():
    links = {name: len(Parts(one.p, _minimised(one)).links) for name, one in _searches()}
    assert links["over time 0"] == 6 and links["spend commitment"] > 0 and links["budget"] > 0
    assert links["beset 13"] == 0


def _searches():
    return [(name, search(COUPLED[name]())) for name in ("over time 0", "spend commitment", "budget", "beset 13")]


def _minimised(one: Search):
    one.program.minimise(one.objective)
    return one.program


def test_where_no_plan_exists_the_direct_way_says_so():
    one = search(budgeted(1.0))
    assert enter_by_hours(one, (), EXACT) is None
    with pytest.raises(NoPlan):
        solve(build(budgeted(1.0)))


def test_every_column_and_row_is_in_one_part():
    for name, one in _searches():
        parts = Parts(one.p, _minimised(one))
        columns = np.concatenate([parts.columns, *(part.columns for part in parts.hours)])
        assert sorted(columns.tolist()) == list(range(one.program.n)), name
        split = {link.row for link in parts.links}
        of_hours = [row for part in parts.hours for row in part.rows.tolist() if row not in split]
        assert sorted([*of_hours, *parts.master_rows.tolist()]) == list(range(one.program.m)), name
        assert split <= set(parts.master_rows.tolist())
        assert (hours_of_columns(one.p, one.program) >= MASTER).all() and LINKS < MASTER


def test_hours_of_one_matrix_share_an_instance():
    one = search(beset_study(25))
    parts = Parts(one.p, _minimised(one))
    assert len(parts.hours) == 6 and same_matrices(parts.hours) == [0] * 6


# -------------------------------------------------------------- cuts
@pytest.mark.parametrize("seed", [0, 6])
def test_any_duals_give_a_cut_below_what_an_hour_costs(seed):
    g = np.random.default_rng(seed)
    one = search(study_over_time(seed))
    parts = Parts(one.p, _minimised(one))
    said = 0
    for k, part in enumerate(parts.hours):
        instance = HourInstance(part)
        for _ in range(4):
            point = parts.with_parameters(g.uniform(0.0, 3.0, parts.master.n))
            answer = instance.solve(k, part, point)
            other = instance.solve(k, part, parts.with_parameters(g.uniform(0.0, 3.0, parts.master.n)))
            for duals in (answer.duals, other.duals, 0.5 * other.duals, other.duals * g.uniform(0.0, 1.5, part.m)):
                duals = np.where(np.isinf(part.low), np.minimum(duals, 0.0), duals)
                duals = np.where(np.isinf(part.high), np.maximum(duals, 0.0), duals)
                cut = cut_of(part, duals, part.terms.transposed(duals, part.n), 1.0)
                if cut is None:
                    continue
                constant, scale = cut
                given = (scale * duals * part.given.times(point, part.m)).sum()
                assert constant - given <= answer.value + 1e-6 * max(1.0, abs(answer.value))
                said += 1
    assert said >= 8 * len(parts.hours)


def test_the_cut_of_an_hour_at_its_own_point_is_its_cost():
    one = search(study_over_time(0))
    by_hour = ByHours(one)
    point = by_hour.parts.with_parameters(np.ones(by_hour.parts.master.n))
    answers, _ = by_hour.evaluate(range(6), np.ones(6), point, lambda: None)
    for k, answer in answers.items():
        least, _, _ = by_hour.cuts[by_hour.first_of[k]].best(0, point)
        if answer.short.max(initial=0.0) == 0:
            assert least == pytest.approx(answer.value, rel=1e-6, abs=1e-6)


def test_the_bound_holds_at_every_step(monkeypatch):
    study = study_over_time(13)
    best = search(study)
    enter_what_breaks(best)
    bounds = []
    say = ByHours._say
    monkeypatch.setattr(ByHours, "_say", lambda self, *args: (bounds.append(self.search.bound), say(self, *args)))
    enter_by_hours(search(study), (), EXACT)
    assert len(bounds) > 3 and all(bound <= best.bound * (1 + 1e-9) for bound in bounds)


# -------------------------------------------------------------- pieces
def test_purchases_anew_are_the_cheapest_for_what_runs():
    """Three machines run, rented at 5 USD in each of two hours; two at most are had for both hours, at 8 USD each."""
    program = LinearProgram()
    # started, rented in the first hour and in the second, machines that run in each
    program.add_columns(np.zeros(5), np.array([2.0, 9.0, 9.0, 9.0, 9.0]), np.ones(5), np.array([1, 1, 1, 0, 0], bool))
    program.costs = np.array([8.0, 5.0, 5.0, 0.0, 0.0])
    terms = Expr(
        np.array([0, 0, 0, 1, 1, 1]), np.array([0, 1, 3, 0, 2, 4]), np.array([1, 1, -1, 1, 1, -1.0]), np.zeros(2)
    )
    program.add_rows(np.zeros(2), np.full(2, INFINITY), terms, np.ones(2))
    runs = np.array([0.0, 0.0, 0.0, 3.0, 3.0])
    columns = np.arange(3)
    assert restricted(program, columns, np.ones(5), runs, None).tolist() == pytest.approx([2.0, 1.0, 1.0])
    only_first = np.array([1.0, 1.0, 0.0, 1.0, 0.0])  # the second hour does not count: renting is cheaper
    assert restricted(program, np.array([0, 1]), only_first, runs, None).tolist() == pytest.approx([0.0, 3.0])


def test_two_hours_stand_for_a_period():
    p = build(study_over_time(0))
    hours, weights = two_of_each_period(p)
    lengths = np.array([p.hours_in[h] for h in p.hours])
    assert hours == list(range(6)) and weights @ lengths == pytest.approx(lengths.sum())


@pytest.mark.parametrize("seed", [3, 20])
def test_states_taken_apart_keep_every_sum(seed):
    p = build(beset_study(seed))
    merged, single = of_tests(p), of_tests(p, merge=False)
    g = np.random.default_rng(seed)
    f = next(f for f in p.failures if f != "normal")
    s = (p.hours[0], f, max(p.deadlines_seconds[f]))
    states = Vectors()
    shed = merged.not_due(s) * g.uniform(0.0, 1.0, merged.F)
    share = g.uniform(0.0, 1.0, merged.E) * (g.random(merged.E) < 0.7) + 1e-3
    total = np.bincount(merged.flow_of_edge, share, minlength=merged.F)
    states.shed[s,] = shed
    states.traffic[s,] = share / total[merged.flow_of_edge] * (merged.requests(s) - shed)[merged.flow_of_edge]
    apart = taken_apart(merged, single, states, g.uniform(0.0, 1.0, single.E))
    served = np.bincount(single.flow_of_edge, apart.traffic[s,], minlength=single.F)
    assert served + apart.shed[s,] == pytest.approx(single.requests(s))
    assert (apart.shed[s,] <= single.not_due(s) * (1 + 1e-9) + 1e-12).all()
    for a, x in ((merged, states), (single, apart)):
        work = np.bincount(a.placement_of_edge, a.replica_seconds(f) * x.traffic[s,], minlength=a.P)
        assert work == pytest.approx(
            np.bincount(merged.placement_of_edge, merged.replica_seconds(f) * states.traffic[s,], minlength=a.P)
        )


# -------------------------------------------------------------- whole plans
@pytest.fixture
def _few_hours(monkeypatch):
    monkeypatch.setattr(entering, "FEWEST_HOURS", 2)


@pytest.mark.parametrize("seed", [1, 23])
@pytest.mark.usefixtures("_few_hours")
def test_whole_plans_by_hours_pass_the_audit(seed, monkeypatch):
    study = study_over_time(seed)
    made = []
    run = whole_by_hours.WholeByHours._hour_by_hour
    monkeypatch.setattr(
        whole_by_hours.WholeByHours, "_hour_by_hour", lambda self, at_once: made.append(run(self, at_once)) or made[-1]
    )
    plan = make_plan(study, Effort(gap_fraction=0.02))
    monkeypatch.setattr(entering, "FEWEST_HOURS", 10**9)
    best = solve(build(study), Effort(gap_fraction=0.0))
    assert True in made
    assert audit(plan).passed
    assert plan.proof.bound_usd <= best.cost_usd * (1 + 1e-6)
    assert plan.proof.cost_usd >= best.bound_usd * (1 - 1e-6)


@pytest.mark.usefixtures("_few_hours")
def test_what_waits_is_whole_for_all_hours_at_once():
    study = study_over_time(6)
    plan = make_plan(study, Effort(gap_fraction=0.01))
    assert not entering.is_whole_by_hours(build(study))
    assert audit(plan).passed and plan.proof.status == "proven"


@pytest.mark.usefixtures("_few_hours")
def test_purchases_once_more_keep_the_machines_that_a_plan_needs():
    p = build(study_over_time(13))
    x = as_vectors(p, solve(p).decisions)
    dearer = Vectors()
    for name in vars(x):
        getattr(dearer, name).update(getattr(x, name))
    a = full(p)
    for t in p.periods:  # all that may start, whether or not it is needed
        dearer.started[t,] = np.where(a.may_start(t), x.started[t,] + (np.arange(a.B) == 0), x.started[t,])
    again = purchases_once_more(p, dearer)
    needed = machines_needed(p, dearer)
    assert cost_usd(a, again)[0] <= cost_usd(a, dearer)[0]
    for h in p.hours:
        assert (machines_held_or_bought(a, again, h) >= needed[h] - 1e-6).all()


class Interrupting:
    """Progress that is interrupted once, at a stage and a detail."""

    def __init__(self, stage: str, detail: str) -> None:
        self.at, self.interrupted = (stage, detail), False

    def __call__(self, stage: str, done: float | None, detail: str) -> None:
        if not self.interrupted and stage == self.at[0] and detail.startswith(self.at[1]):
            self.interrupted = True
            raise KeyboardInterrupt


@pytest.mark.parametrize(("stage", "detail"), [("whole numbers", "hour by hour: p2/day"), ("hour by hour", "step 1")])
@pytest.mark.usefixtures("_few_hours")
def test_an_interrupted_plan_is_whole(stage, detail):
    stop = Interrupting(stage, detail)
    plan = make_plan(study_over_time(12), progress=stop)
    assert stop.interrupted and audit(plan).passed
    assert plan.proof.status == "stopped"


@pytest.mark.parametrize("seconds", [1.0, 30.0])
@pytest.mark.usefixtures("_few_hours")
def test_a_time_limit_is_kept(seconds, monkeypatch):
    """By a clock that goes on by 20 ms whenever it is looked at."""
    ticks = itertools.count()
    monkeypatch.setattr(time, "monotonic", lambda: 0.02 * next(ticks))
    p, began = build(study_over_time(12)), time.monotonic()
    try:
        solve(p, Effort(gap_fraction=0.0, seconds=seconds))
    except Stopped:
        assert seconds < 30
    assert time.monotonic() - began <= 1.2 * seconds + 5.0


@pytest.mark.usefixtures("_few_hours")
def test_hours_that_did_not_change_stay_as_they_were(monkeypatch):
    p, effort = build(study_over_time(12)), Effort(gap_fraction=0.03)
    plan = solve(p, effort)
    wanted = dict(p.demand_requests_per_second)
    for (w, o, h), rate in p.demand_requests_per_second.items():
        wanted[w, o, h] = rate * (1.1 if h == p.hours[0] else 1.0)
    searched = []
    run = HourPlan.run
    monkeypatch.setattr(HourPlan, "run", lambda self: (searched.append(self.p.hours[0]), run(self))[1])
    changed = replace(p, demand_requests_per_second=wanted)
    again = solve(changed, effort, hints=plan.binding, start=plan.decisions)
    assert set(searched) <= {p.hours[0]}
    for (e, h), replicas in plan.decisions.replicas.items():
        assert h == p.hours[0] or again.decisions.replicas[e, h] == replicas
    assert again.status == "proven"


@pytest.mark.usefixtures("_few_hours")
def test_where_hours_are_not_solved_one_by_one_it_is_said(monkeypatch):
    def contradicts(self, *args):
        raise SolverError("an hour ended Infeasible")

    said = []
    monkeypatch.setattr(HourInstance, "solve", contradicts)
    p = build(study_over_time(12))
    found = solve(p, Effort(gap_fraction=0.02), progress=lambda stage, done, detail: said.append(detail))
    assert "not solved, an hour ended Infeasible: all hours at once" in said
    assert found.status == "proven"
