"""Whole numbers: the optimum of small studies by brute force; starts, limits and interruptions of a search."""

import os
import signal
from dataclasses import replace
from itertools import product
from math import floor

import numpy as np
import pulp
import pytest
from failing import EXACT, asked, goal
from studies import model, offer, profile, random_study

from planner.plan.audit import audit
from planner.plan.plan import make_plan
from planner.problem.algebra import Expr, Rows, Sparse, total
from planner.problem.build import build
from planner.problem.decisions import no_decisions
from planner.solve import coarse, lp_bound, whole_plan
from planner.solve.feasibility_subproblem import FeasibilitySubproblem
from planner.solve.highs import NOTHING, Answer, Ends, KeptHiGHS
from planner.solve.integer_program import IntegerProgram
from planner.solve.linear_program import INFINITY, LinearProgram
from planner.solve.program import INFEASIBLE, OPTIMAL, Program
from planner.solve.search import Effort, Infeasible, Search, Stopped
from planner.solve.solve import solve
from planner.solve.whole_plan import WholePlan
from planner.study.records.study import NamedFailure, Tier

ANY_GAP = Effort(gap_fraction=0.9)
LOSSES = {"north": (0.3, 0.0, 1.0), "south": (0.0, 0.5, 2.0), "both": (0.5, 0.3, 0.5)}
"""Failure -> share of pool a that is lost, share of pool b, times a month"""


def rated(**more):
    """Ten requests/s, machines of 9 USD in a and 10 in b, 20 USD for each request/s not served in an outage."""
    failures = tuple(
        NamedFailure(
            name=name, lost={"site:p/a": a, "site:r/b": b}, failures_per_year=12.0 * times, hours_to_repair=1.0
        )
        for name, (a, b, times) in LOSSES.items()
    )
    parts = {
        "objective": "expected",
        "detection_seconds": 0.0,
        "models": (model("m", [profile("m", "cuda", 1, load_seconds=7200.0)]),),
        "failures": failures,
        "tiers": (Tier(name="t", outage_usd_per_request=20 / 3600),),
        "bought": [offer("p/a/m", 9), offer("r/b/m", 10)],
    }
    return asked(**{**parts, **more})


def rated_usd(a: int, b: int) -> float:
    """What so many machines in each pool cost, with the outages that are to be expected [USD]."""
    usd = 9.0 * a + 10.0 * b
    for lost_a, lost_b, times in LOSSES.values():
        kept = floor((1 - lost_a) * a + 1e-9) + floor((1 - lost_b) * b + 1e-9)
        usd += times * 20.0 * max(0, 10 - kept)
    return usd


def test_partial_losses_that_are_priced_reach_their_optimum():
    cheapest = min(rated_usd(a, b) for a, b in product(range(25), repeat=2) if a + b >= 10)
    plan = make_plan(rated(), EXACT)
    assert audit(plan).passed and plan.proof.status == "proven"
    assert plan.proof.cost_usd == pytest.approx(cheapest) == pytest.approx(plan.proof.bound_usd)


def test_all_that_are_priced_too_low_enter_at_once(monkeypatch):
    """More rated failures than passes: the second linear program knows the price of all."""
    failures = tuple(
        NamedFailure(name=f"f{n}", lost={"site:p/a": 0.02 * n}, failures_per_year=1.0, hours_to_repair=1.0)
        for n in range(1, 41)
    )
    monkeypatch.setattr(lp_bound, "MOST_PASSES", 3)
    monkeypatch.setattr(whole_plan, "MOST_PASSES", 3)
    found = solve(build(rated(failures=failures)), EXACT)
    assert found.status == "proven" and len(found.binding) >= 30


def test_a_plan_is_proven_where_only_searches_with_less_whole_end(monkeypatch):
    """Nine and a half requests/s without a take ten machines of b: 20 USD, of which the linear program knows 19."""
    monkeypatch.setattr(WholePlan, "_search_once", lambda self, nodes: Answer(NOTHING, None, INFINITY, -INFINITY))
    p = build(a_is_lost(demand={("w", "o"): 9.5}))
    found = solve(p, EXACT)
    assert (found.lp_bound_usd, found.bound_usd, found.cost_usd) == pytest.approx((19.0, 20.0, 20.0))


# ------------------------------------------------------------------ starts, and what nothing needs
def a_is_lost(**more):
    """Without a all is served from b: ten machines in b, whose price is 2, and what a has is not needed."""
    return asked(failures=(NamedFailure(name="f", lost={"site:p/a": 1.0}),), tiers=goal(), **more)


def wasteful(p, machines: dict[str, float]):
    """A similar plan of so many machines in each pool, with a replica on each."""
    start, (h,) = no_decisions(), p.hours
    start.rented = Sparse({(b, h): machines[q] for q in p.pools for b in p.offers_of[q]})
    start.replicas = Sparse({(e, h): machines[p.pool_of[e]] for e in p.placements})
    return start


@pytest.mark.parametrize("machines", [{"p/a/m": 3.0, "r/b/m": 12.0}, {"p/a/m": 0.0, "r/b/m": 30.0}])
def test_what_no_failure_needs_is_dropped_from_a_plan_that_is_good_enough(machines, monkeypatch):
    p = build(a_is_lost())
    monkeypatch.setattr(WholePlan, "_search_everything", lambda self: None)
    found = solve(p, ANY_GAP, start=wasteful(p, machines))
    assert found.cost_usd == pytest.approx(20.0)
    monkeypatch.setattr(WholePlan, "_drop", lambda self: None)
    assert solve(p, ANY_GAP, start=wasteful(p, machines)).cost_usd > 20.0


def test_a_start_that_holds_is_never_answered_with_a_dearer_plan():
    compared = 0
    for seed in range(8):
        p = build(random_study(seed))
        try:
            best = solve(p, Effort(gap_fraction=0.0))
        except Infeasible:
            continue
        for quick in (False, True):
            again = solve(p, replace(ANY_GAP, quick=quick), start=best.decisions)
            assert again.cost_usd <= best.cost_usd * (1 + 1e-9) + 1e-9, seed
            compared += 1
    assert compared >= 8


@pytest.mark.parametrize("seed", [1, 2, 6])
def test_the_best_plan_is_always_a_start(seed, monkeypatch):
    """With spot machines: tests reckon with more non-preemptible replicas than the program asked for."""
    started, begin = [], WholePlan._start

    def start(self):
        values = begin(self)
        if self.best is not None:
            started.append(values is not None)
            lower, upper = self.integers.lower, self.integers.upper
            assert values is None or ((values >= lower - 1e-6) & (values <= upper + 1e-6)).all()
        return values

    monkeypatch.setattr(WholePlan, "_start", start)
    p = build(random_study(seed))
    solve(p, EXACT)
    assert p.with_spot and started and all(started)


def rounded_up():
    """(search, what its linear program buys and runs, rounded up) of random studies that have a plan."""
    for seed in range(6):
        search = Search(build(random_study(seed)), EXACT, None, lambda stage, done, detail: None)
        try:
            lp_bound.relax(search)
        except Infeasible:
            continue
        purchases = search.purchases(integer=False)
        for vectors in (purchases.replicas, purchases.rented, purchases.started, purchases.non_preemptible):
            vectors.update({scope: np.ceil(numbers - 1e-6) for scope, numbers in vectors.items()})
        yield search, purchases


def test_replicas_that_survive_are_tried_before_others_are_searched_for(monkeypatch):
    """Where what survives is not enough by itself: given replicas that are, no integer program is solved."""
    searched, any_replicas = [], FeasibilitySubproblem._any_replicas
    monkeypatch.setattr(
        FeasibilitySubproblem, "_any_replicas", lambda *given: searched.append(1) or any_replicas(*given)
    )
    tried = 0
    for search, purchases in rounded_up():
        for f in search.failures():
            searched.clear()
            short, replicas = search.subproblem(f).test_whole(f, purchases)
            if short == 0.0 and searched:
                tried += 1
                with monkeypatch.context() as within:
                    within.setattr(FeasibilitySubproblem, "_rounded", lambda self, f, x: 0.0)
                    within.setattr(Program, "solve_whole", lambda self, *given: pytest.fail("a search"))
                    again, found = search.subproblem(f).test_whole(f, purchases, known=replicas)
                assert again == 0.0 and all((found[at] == replicas[at]).all() for at in replicas)
    assert tried >= 3


def test_in_a_large_problem_what_survived_last_is_tried_before_a_linear_program(monkeypatch):
    """With the same verdict on every failure, and no search for one that is survived as the last was."""
    searched, any_replicas = [], FeasibilitySubproblem._any_replicas
    monkeypatch.setattr(
        FeasibilitySubproblem, "_any_replicas", lambda *given: searched.append(1) or any_replicas(*given)
    )
    spared = 0
    for search, purchases in rounded_up():
        large = Search(search.p, EXACT, None, lambda stage, done, detail: None)
        for f in search.failures():
            searched.clear()
            short, _ = search.subproblem(f).test_whole(f, purchases)
            spares = short == 0.0 and bool(searched)
            with monkeypatch.context() as within:
                within.setattr(coarse, "MANY_EDGES", 0)
                subproblem = large.subproblem(f)
            assert (subproblem.test_whole(f, purchases)[0] == 0.0) == (short == 0.0)
            if spares:
                searched.clear()
                again, replicas = subproblem.test_whole(f, purchases)
                assert again == 0.0 and replicas and not searched
                spared += 1
    assert spared >= 3


# ------------------------------------------------------------------ limits and interruptions
def test_bound_and_plan_are_said_as_they_move():
    said = []
    solve(build(rated()), EXACT, progress=lambda stage, done, detail: said.append((stage, detail)))
    details = [detail for stage, detail in said if stage == "whole numbers"]
    assert "at least" in details[0] and " USD, at least " in details[-1] and "gap 0.00%" in details[-1]


def test_a_time_limit_gives_the_best_plan_so_far_with_its_true_gap(monkeypatch):
    p, full = build(rated()), solve(build(rated()), EXACT)
    # the time is over as soon as there is a plan
    monkeypatch.setattr(Search, "spent_seconds", lambda self: 100.0 if self.has_plan else 0.0)
    ended = solve(p, replace(EXACT, seconds=50.0))
    assert ended.status == "stopped"
    assert ended.bound_usd <= full.cost_usd <= ended.cost_usd
    # and before: no plan, and no wrong word about it
    monkeypatch.setattr(Search, "spent_seconds", lambda self: 100.0 * self.all_failures_tested)
    with pytest.raises(Stopped, match="time limit"):
        solve(p, replace(EXACT, seconds=50.0))


def test_failures_that_no_linear_program_knew_are_tested_all_the_same(monkeypatch):
    """The time for the linear program ends before any failure enters it: whole numbers find out what breaks."""
    p = build(a_is_lost())
    monkeypatch.setattr(lp_bound, "enter_what_breaks", only_normal_operation)
    found = solve(p, replace(EXACT, seconds=600.0))
    assert found.cost_usd == pytest.approx(20.0) and found.binding == ("failure:f",)


def only_normal_operation(search):
    search.program.minimise(search.objective)
    assert search.program.solve() == OPTIMAL
    search.bound = search.program.objective
    raise lp_bound.TimeLimitPassed


def test_an_interruption_within_an_integer_search_keeps_the_best_plan(monkeypatch):
    handler = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    everything = WholePlan._search_everything

    def interrupted(self):
        assert self.best is not None
        os.kill(os.getpid(), signal.SIGINT)
        everything(self)

    monkeypatch.setattr(WholePlan, "_search_everything", interrupted)
    try:
        found = solve(build(rated()), EXACT)
    finally:
        signal.signal(signal.SIGINT, handler)
    assert found.status == "stopped" and found.bound_usd <= found.cost_usd


# ------------------------------------------------------------------ the program in arrays
def covering(seed: int, many: int = 6):
    """A random covering program: many whole columns and a divisible one, so much to be covered by each of four rows."""
    g, program = np.random.default_rng(seed), Program()
    rented = program.columns(np.ones(many, dtype=bool), integral=True)
    program.upper[rented.column] = 9.0
    shed = program.columns(np.ones(1, dtype=bool), size=100.0)
    for weights in g.integers(1, 12, (4, many)).astype(float):
        covered = total(weights * rented) + shed
        program.add("cover", [Rows([("row",)], (), covered, ">=", float(g.integers(20, 60)))])
    program.minimise(total(g.integers(5, 15, many).astype(float) * rented) + 9.0 * shed + 7.0)
    return program, rented


@pytest.mark.parametrize("seed", range(6))
def test_arrays_and_program_have_the_same_optimum_whatever_was_solved_before(seed):
    program, rented = covering(seed)
    arrays = IntegerProgram(program)
    assert arrays.solve().objective == pytest.approx(solved_usd(program, False))
    answer = arrays.solve(integral=arrays.integral)
    assert answer.status == OPTIMAL and answer.objective == pytest.approx(solved_usd(program, True))
    assert answer.bound == pytest.approx(answer.objective) == pytest.approx(arrays.value_usd(answer.values))
    at = rented.column
    assert (answer.values[at] == np.round(answer.values[at])).all()
    # within bounds of its own, from a start, to a cost that is good enough; none of it is remembered
    upper = arrays.upper.copy()
    upper[at[:3]] = 1.0
    narrow = arrays.solve(upper=upper, integral=arrays.integral)
    assert narrow.objective >= answer.objective - 1e-9 and (narrow.values[at[:3]] <= 1.0).all()
    said = []
    started = arrays.solve(
        integral=arrays.integral, start=narrow.values, good_enough_usd=1e9, progress=lambda *usd: said.append(usd)
    )
    assert started.objective <= narrow.objective + 1e-9
    assert arrays.solve(integral=arrays.integral).objective == pytest.approx(answer.objective)
    impossible = arrays.solve(upper=np.zeros(len(upper)), integral=arrays.integral)
    assert (impossible.status, impossible.values) == ("infeasible", None)


def solved_usd(program: Program, integer: bool) -> float:
    assert (program.solve_whole() if integer else program.solve()) == OPTIMAL
    return program.objective


def test_columns_that_enter_later_are_taken_up():
    program, rented = covering(1)
    arrays = IntegerProgram(program)
    before = arrays.solve(integral=arrays.integral).objective
    late = program.columns(np.ones(1, dtype=bool), integral=True)
    first = rented[np.array([0])]
    program.add("late", [Rows([("late",)], (), 5.0 * late + first, ">=", 11.0)])
    costs, columns = program.costs * program.scale, np.arange(program.n)
    objective = Expr(np.zeros(program.n, dtype=int), columns, costs, np.array([program.constant]))
    program.minimise(objective + 4.0 * late)
    arrays.renew()
    after = arrays.solve(integral=arrays.integral)
    assert after.objective == pytest.approx(solved_usd(program, True)) and after.objective > before


MISLEADING_ROWS = (
    ({7: 1, 8: 1, 9: 1}, "==", 1.75),
    ({3: -0.8, 7: 0.8}, "<=", 0),
    ({4: -0.8, 8: 4 / 3}, "<=", 0),
    ({5: -0.8, 9: 4 / 3}, "<=", 0),
    ({0: -1, 4: 1}, "<=", 0),
    ({1: -1, 3: 1}, "<=", 1),
    ({2: -1, 5: 1}, "<=", 1),
    ({0: -1.75, 8: 1}, "<=", 0),
    ({5: -1, 10: 4 / 3}, "<=", 0),
    ({2: -1, 5: 1}, "<=", 1),
    ({11: 1, 12: 1}, "==", 1.75),
    ({11: 0.8, 13: -1, 14: -1}, "<=", 0),
    ({4: -1, 12: 4 / 3}, "<=", 0),
    ({0: -1, 4: 1}, "<=", 0),
    ({1: -1, 13: 1, 14: 1}, "<=", 1),
    ({3: -1, 13: 1}, "<=", 0),
    ({0: -1.75, 12: 1}, "<=", 0),
)
MISLEADING_START = [0, 1, 2, 1, 0, 3, 0, 1, 0, 0.75, 1.75, 1.75, 0, 1, 1]
"""Rows by column, and a start that costs 3 with which HiGHS 1.16 says that 2 is the least: it is 20 / 7."""


def misleading() -> LinearProgram:
    lp, n, endless = LinearProgram(), 15, np.inf
    upper = np.array([4, 2, 3, *[endless] * 3, 0, *[endless] * 3, 1.75, *[endless] * 4])
    lower = np.array([*[0.0] * 10, 1.75, *[0.0] * 4])
    lp.add_columns(lower, upper, np.ones(n), np.array([i < 6 or i > 12 for i in range(n)]))
    lp.costs[:3] = 6 / 7, 1.0, 1.0
    for terms, sense, rhs in MISLEADING_ROWS:
        columns, values = np.array(list(terms)), np.array(list(terms.values()), dtype=float)
        expression = Expr(np.zeros(len(terms), dtype=int), columns, values, np.zeros(1))
        low = np.array([rhs if sense == "==" else -np.inf], dtype=float)
        lp.add_rows(low, np.array([rhs], dtype=float), expression, np.ones(1))
    return lp


def test_below_a_cutoff_there_is_what_is_cheapest_or_nothing_and_the_cutoff_is_a_bound():
    lp, least = misleading(), 20 / 7
    below = KeptHiGHS().fresh(lp, Ends(cutoff=1.1 * least))
    assert below.status == OPTIMAL and below.objective == pytest.approx(least) == below.bound
    nothing = KeptHiGHS().fresh(lp, Ends(cutoff=0.99 * least))
    assert nothing.status == INFEASIBLE and nothing.values is None and nothing.bound == 0.99 * least


def test_a_plan_is_proven_by_a_search_for_what_is_cheaper_by_the_gap():
    """No plan is cheaper by 98 % of the gap that is asked for: that is the bound, and no higher one is looked for."""
    search = Search(build(random_study(1, "small")), Effort(gap_fraction=0.03), None, lambda *_: None)
    lp_bound.relax(search)
    plan = WholePlan(search)
    plan._first_plan()
    kept, asked = plan.best, []
    plan.integers.solve = lambda *_, cutoff_usd, **__: (
        asked.append(cutoff_usd) or Answer(INFEASIBLE, None, INFINITY, cutoff_usd)
    )
    plan._search_once(100)
    assert plan.best is kept and asked == [pytest.approx((1 - 0.98 * 0.03) * kept.cost_usd)]
    assert search.bound == asked[0] and plan._is_proven()


def test_a_start_that_misleads_is_found_out():
    lp = misleading()
    answer = KeptHiGHS().fresh(lp, Ends(), np.array(MISLEADING_START, dtype=float))
    assert answer.status == OPTIMAL and answer.bound == pytest.approx(20 / 7)
    assert lp.costs @ answer.values == pytest.approx(20 / 7)


def test_an_answer_that_is_no_number_is_asked_for_without_presolve_and_proves_nothing(monkeypatch):
    """HiGHS may call a solution optimal of which a column is no number: that is no proof that nothing is cheaper."""
    lp, honest, asked = misleading(), KeptHiGHS._fresh, []

    def no_number(solver, lp, ends, start, presolve):
        asked.append((start is not None, presolve))
        answer = honest(solver, lp, ends, start, presolve)
        return answer if len(asked) > 2 else replace(answer, values=answer.values * np.nan, objective=np.nan)

    monkeypatch.setattr(KeptHiGHS, "_fresh", no_number)
    start = np.array(MISLEADING_START, dtype=float)
    answer = KeptHiGHS().fresh(lp, Ends(cutoff=3.0), start)
    assert answer.status == OPTIMAL and answer.objective == pytest.approx(20 / 7)
    assert asked == [(True, True), (False, True), (False, False)]
    asked.clear()
    never = KeptHiGHS().fresh(lp, Ends(cutoff=3.0))
    assert (never.status, never.values, never.bound) == (NOTHING, None, -INFINITY)
    assert asked == [(False, True), (False, False)]


def test_signals_and_errors_within_an_integer_search_come_out_of_it():
    program, _ = covering(2, many=30)
    arrays = IntegerProgram(program)

    def failing(cost: float, bound: float) -> None:
        assert bound <= cost
        raise LookupError("a terminal that is gone")

    with pytest.raises(LookupError, match="a terminal that is gone"):
        arrays.solve(integral=arrays.integral, progress=failing)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            arrays.solve(integral=arrays.integral, progress=lambda *usd: os.kill(os.getpid(), signal.SIGINT))
    finally:
        signal.signal(signal.SIGINT, before)
    assert arrays.solve(integral=arrays.integral).status == OPTIMAL


def test_a_problem_of_pulp_is_solved_and_a_program_is_one(tmp_path):
    lp = pulp.LpProblem("more", pulp.LpMaximize)
    x, y = lp.add_variable("x", 0, 4), lp.add_variable("y", 0, None, pulp.LpInteger)
    lp.setObjective(3 * x + 2 * y)
    lp.addConstraint(pulp.LpConstraint(x + 2 * y, pulp.LpConstraintLE, "most", 7))
    assert lp.solve(KeptHiGHS()) == pulp.LpStatusOptimal
    assert (x.varValue, y.varValue) == (pytest.approx(4.0), pytest.approx(1.0))
    # the same divisible: 3 · 4 + 2 · 1.5, and one more of the row is worth 2 / 2
    y.cat = pulp.LpContinuous
    assert lp.solve(KeptHiGHS()) == pulp.LpStatusOptimal
    assert pulp.value(lp.objective) == pytest.approx(15.0) and lp.constraints()[0].pi == pytest.approx(1.0)
    # a program of ours, handed over and written as a file, is the same
    program, _ = covering(3)
    costs = solved_usd(program, True)
    handed, columns, _ = program.as_pulp(integer=True)
    handed.solve(KeptHiGHS())
    assert program.value_of(np.array([v.varValue for v in columns]) * program.unit) == pytest.approx(costs)
    handed.writeMPS(str(tmp_path / "program.mps"))
    assert len((tmp_path / "program.mps").read_text(encoding="utf-8").splitlines()) > len(columns)
