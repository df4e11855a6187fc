"""From the problem to whole numbers with a proof: the LP bound, whole numbers, the second objective, in this order."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from planner.errors import Finding
from planner.interruption import interrupted
from planner.problem.decisions import Decisions, only
from planner.problem.eligibility import workloads_without_edge
from planner.problem.problem import Problem
from planner.problem.rules.index_sets import by_id
from planner.solve.by_waiting import solve_by_waiting
from planner.solve.enter_by_hours import goes_by_hours, goes_hour_by_hour
from planner.solve.interchangeable import Reduced, reduced
from planner.solve.lp_bound import relax
from planner.solve.marginal_values import confirm, read_marginals
from planner.solve.search import Block, Effort, Infeasible, Progress, Search, Solution, Status, is_proven
from planner.solve.similar_plan import (
    SimilarProblem,
    bound_that_holds_usd,
    keep_to_bound,
    known_replicas,
    states_that_stay,
    take_over,
)
from planner.solve.stages import LINEAR_PROGRAM, MARGINAL_VALUES, stage
from planner.solve.whole_by_hours import WholeByHours
from planner.solve.whole_plan import WholePlan
from planner.study.dependencies import NORMAL

LEAST_SECONDS = 1.0
"""Of a time limit that several searches share, what the last of them has at the least."""
MOST_ORPHANS = 5
"""Streams named of which no placement may serve any."""


def solve(
    p: Problem,
    effort: Effort = Effort(),
    solver: Callable[[], Any] | None = None,
    progress: Progress = lambda stage, done, detail: None,
    hints: Iterable[str] = (),
    start: Decisions | None = None,
    value_limits: bool = False,
    similar: SimilarProblem | None = None,
) -> Solution:
    """The cheapest plan found that survives every failure as promised, with a bound that no plan can beat.

    Parameters
    ----------
    p : the problem
    effort : how hard to try, and for how long
    solver : makes a PuLP solver; None: HiGHS with a kept instance
    progress : called with (stage, fraction done or None, detail)
    hints : binding failures of a plan of a similar problem: they enter first; names that are not known do nothing
    start : what a plan of a similar problem buys, runs and does in failures: where it holds here as well, it is kept
        unless a better one is found; whole numbers are looked for near it first, tests start from its replicas
    value_limits : whether what limits save is confirmed by finite differences, a machine's worth of each
    similar : the problem that `start` is a plan of: what follows from it for this one is taken over

    Raises
    ------
    Infeasible
        when no plan exists; `explain.diagnose` says why
    SolverError
        when the solver gives neither a solution nor a proof
    """
    if orphans := workloads_without_edge(p):
        raise nothing_may_serve(p, orphans)
    if p.waiting is None:
        return _solve(p, effort, solver, progress, hints, start, value_limits, similar)
    began = time.monotonic()

    def remaining() -> Effort:
        if effort.seconds is None:
            return effort
        return replace(effort, seconds=max(LEAST_SECONDS, effort.seconds - (time.monotonic() - began)))

    return solve_by_waiting(
        p,
        lambda p: Search(p, effort, solver, progress),
        lambda p, hints, start: _solve(p, remaining(), solver, progress, hints, start, value_limits, None),
        lambda search, whole_plan, lp_bound: _planned(search, whole_plan, lp_bound, value_limits, start, p, similar),
        hints,
        start,
        effort.gap_fraction,
    )


def _solve(
    p: Problem,
    effort: Effort,
    solver: Callable[[], Any] | None,
    progress: Progress,
    hints: Iterable[str],
    start: Decisions | None,
    value_limits: bool,
    similar: SimilarProblem | None,
) -> Solution:
    """The same where utilisation does not go by how many replicas run: see `solve`."""
    asked, smaller = p, reduced(p, start)
    p = smaller.p
    search = Search(p, effort, solver, progress)
    for f in dict.fromkeys(hints):
        if search.is_tested(f) and f not in search.dominated:
            for h in p.hours if goes_by_hours(search) else fullest_hours(p):
                search.enter((f, h))
    if start is not None:
        search.known.update(known_replicas(p, start))
    lp_bound = relax(search, start)
    if goes_hour_by_hour(search):
        whole_plan: WholePlan = WholeByHours(search, search.by_hours, start)
    else:
        whole_plan = WholePlan(search, start)
    return _planned(search, whole_plan, lp_bound, value_limits, start, asked, similar, smaller)


def _planned(
    search: Search,
    whole_plan: WholePlan,
    lp_bound: float,
    value_limits: bool,
    start: Decisions | None,
    asked: Problem,
    similar: SimilarProblem | None = None,
    smaller: Reduced | None = None,
) -> Solution:
    """The plan of whole numbers after the linear program, with all decisions, and what limits are worth.

    Parameters
    ----------
    lp_bound : cost of the linear program [USD over the horizon]
    value_limits, start, similar : see `solve`
    asked, smaller : the problem as it was asked, and what of it is searched; None: all
    """
    p, effort, progress = search.p, search.effort, search.progress
    summary = Solution(Decisions(), float("inf"), lp_bound, lp_bound, (), search.passes, "gap")
    if search.all_failures_tested:
        with stage(MARGINAL_VALUES):
            read_marginals(search, summary)
            if value_limits and search.by_hours is None and not search.out_of_time():
                confirm(search, summary)
    if similar is not None:
        search.bound = max(search.bound, bound_that_holds_usd(asked, similar))
    stopped = False
    try:
        if interrupted() or (search.by_hours is not None and search.by_hours.interrupted):  # what can be had at once
            raise KeyboardInterrupt
        if similar is not None and not search.out_of_time():
            with stage(LINEAR_PROGRAM):
                keep_to_bound(search, asked, similar)
        tested = whole_plan.run()
    except KeyboardInterrupt:
        stopped = True
        progress("ending early", None, "making what was found so far a whole plan")
        tested = whole_plan.at_once()
    status: Status = "proven" if is_proven(whole_plan.gap(tested), effort.gap_fraction) else "gap"
    if whole_plan.bounds_all():
        search.check_bound(tested.cost_usd)
    stay: set[Block] = set()
    if start is not None and similar is not None and search.by_hours is None:
        stay = states_that_stay(asked, similar, start, by_id(p, only(tested.decisions, "purchases")))
    decisions = by_id(p, whole_plan.settled(tested, stay))
    if smaller is not None:
        decisions = smaller.taken_apart(decisions)
    if start is not None:
        take_over(decisions, start, stay)
    return replace(
        summary,
        decisions=decisions,
        cost_usd=tested.cost_usd,
        bound_usd=min(search.bound, tested.cost_usd),
        lp_bound_usd=min(lp_bound, tested.cost_usd),
        binding=tuple(search.binding),
        dominated=len(search.dominated),
        status="stopped" if stopped or whole_plan.time_limit_ended else status,
    )


def nothing_may_serve(p: Problem, orphans: Mapping[tuple[str, str], Finding]) -> Infeasible:
    """No plan, as some streams have no placement that may serve them in normal operation: no capacity helps."""
    wanted = {flow: max(p.demand_requests_per_second[*flow, h] for h in p.hours) for flow in orphans}
    lines = ["no plan serves the demand, even when nothing is lost"]
    for flow, finding in list(orphans.items())[:MOST_ORPHANS]:
        lines.append(f"  {finding.where}, {wanted[flow]:,.6g} requests/s: {finding.expected}: {finding.got}")
        lines.append(f"  would help: {finding.fix}")
    if len(orphans) > MOST_ORPHANS:
        lines.append(f"  {len(orphans) - MOST_ORPHANS} more have none either")
    short = tuple((w, o, 0.0, wanted[w, o]) for w, o in orphans)
    return Infeasible("\n".join(lines), ({"failure": NORMAL, "short": short, "binding": ()},))


def fullest_hours(p: Problem) -> list[str]:
    """The hour of each period in which most requests are wanted: where failures that were binding are tried first."""
    wanted = {h: sum(p.demand_requests_per_second[w, o, h] for w, o in p.flows) for h in p.hours}
    return [max((h for h in p.hours if p.period_of[h] == t), key=wanted.__getitem__) for t in p.periods]
