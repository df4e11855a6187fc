"""From the problem to whole numbers with a proof: the loop over failures, the dive, integer search, tests, polish.

Column-and-constraint generation (Zeng and Zhao, Operations Research Letters 41, 2013): the program starts with what is
bought and normal operation; every failure is put to the test; those that break enter; until none does.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from planner.errors import Finding, SolverError
from planner.interruption import interrupted
from planner.problem.decisions import Decisions, no_decisions
from planner.problem.eligibility import workloads_without_edge
from planner.problem.problem import Problem
from planner.problem.rules.costs import cost_usd, rank_outages
from planner.problem.rules.formulas import requests_per_second
from planner.solve.feasibility_subproblem import STATE_NAMES
from planner.solve.marginal_values import confirm
from planner.solve.polish import edge_costs, settle_normal
from planner.solve.program import BOUGHT
from planner.solve.rescale import settled
from planner.solve.search import (
    ENTER_PER_PASS,
    FIRST_NODES,
    MORE_NODES,
    MOST_PASSES,
    SHORT,
    WHOLE,
    Effort,
    Infeasible,
    Progress,
    Search,
    Solution,
    Status,
    Stopped,
    Survived,
    is_proven,
)
from planner.solve.whole_numbers import dive, fixed
from planner.study.dependencies import NORMAL

MOST_ORPHANS = 5
"""Streams told of that no placement may serve."""


def solve(
    p: Problem,
    effort: Effort = Effort(),
    solver: Callable[[], Any] | None = None,
    progress: Progress = lambda stage, done, detail: None,
    hints: Iterable[str] = (),
    start: Decisions | None = None,
    value_limits: bool = False,
) -> Solution:
    """The cheapest plan found that survives every failure as promised, with a bound that no plan can beat.

    Parameters
    ----------
    p : the problem
    effort : how hard to try, and for how long
    solver : makes a PuLP solver; None: HiGHS with a kept instance
    progress : called with (stage, fraction done or None, detail)
    hints : failures that decided a plan of a similar problem: they enter first; names that are not known do nothing
    start : what a plan of a similar problem buys and runs: where it holds here as well, it is kept unless a better one
        is found; whole numbers are looked for near it first
    value_limits : whether what limits save is confirmed by finite differences, a machine's worth of each

    Raises
    ------
    Infeasible
        when no plan exists; `explain.diagnose` says why
    SolverError
        when the solver gives neither a solution nor a proof
    """
    if orphans := workloads_without_edge(p):
        raise nothing_may_serve(p, orphans)
    search = Search(p, effort, solver, progress)
    for f in dict.fromkeys(hints):
        if f in p.failures and f != NORMAL and f not in search.implied:
            for h in fullest_hours(p):
                search.enter((f, h))
    relaxation = search.relax()
    if start is not None and not search.rescales:
        search.relaxed = search.program.values()
        search.start = {v: getattr(start, name)[k] for name in BOUGHT for k, v in getattr(search.x, name).items()}
    summary = Solution(no_decisions(), float("inf"), relaxation, relaxation, (), search.passes, "gap")
    search.marginals(summary)
    if value_limits:
        confirm(search, summary)
    best, stopped = None, False
    try:
        if interrupted():  # in an earlier solve of this process: what can be had at once
            raise KeyboardInterrupt
        if search.start is not None:
            _keep_the_start(search, search.start)
        best = _search_whole(search)
    except KeyboardInterrupt:
        stopped = True
        progress("ending early", None, "making what was found so far a whole plan")
        best = search.best if search.best is not None else _rounded_up(search)
    status: Status = "proven" if is_proven(search.gap(best), effort.gap_fraction) else "gap"
    arithmetic = SHORT * (1 + best.cost_usd) + WHOLE * search.program.scale  # the dearest column costs the solver one
    if search.bound > best.cost_usd + arithmetic:
        raise SolverError(f"a bound of {search.bound:,.2f} above a plan of {best.cost_usd:,.2f} USD: please report it")
    not_priced = {at: replicas for at, replicas in search.survived.items() if at[0] not in p.priced}
    return replace(
        summary,
        decisions=_settled(search, best.decisions, not_priced),
        cost_usd=best.cost_usd,
        bound_usd=min(search.bound, best.cost_usd),
        lp_bound_usd=min(relaxation, best.cost_usd),
        entered=tuple(search.entered),
        implied=len(search.implied),
        status="stopped" if stopped or search.clock_ended else status,
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
    """The hour of each period in which most requests are wanted: where failures that decided are tried first."""
    wanted = {h: sum(p.demand_requests_per_second[w, o, h] for w, o in p.flows) for h in p.hours}
    return [max((h for h in p.hours if p.period_of[h] == t), key=wanted.__getitem__) for t in p.periods]


def _keep_the_start(search: Search, start: Mapping[Any, float]) -> None:
    """Begin with the similar plan as it is, where it is a plan of this problem, too: only a better one replaces it."""
    found = fixed(search.program, search.x, start)
    if found is None:
        return
    purchases = search.purchases(whole=True)
    broken, survived = search.broken_whole(purchases)
    if not broken and not search.underpriced(purchases):
        search.last = found
        search.best = _better(search, purchases, survived)
        search.last = None


def _search_whole(search: Search) -> Solution:
    """Integer search and tests in turn until the gap that was asked for is proven, or the effort is spent."""
    nodes = FIRST_NODES
    for _ in range(MOST_PASSES):
        most = search.most_nodes()
        nodes = min(nodes, most)
        purchases = search.candidate(nodes)
        if search.best is not None and search.large():
            search.clock_ended = search.out_of_time()
            if search.program.objective >= search.best.cost_usd and (search.spent(nodes) or search.clock_ended):
                return search.best
        broken, found = search.broken_whole(purchases)
        if broken:
            search.enter_broken(broken)
            continue
        if dear := search.underpriced(purchases):
            search.enter_broken(dear[:ENTER_PER_PASS])
            continue
        search.best = best = _better(search, purchases, found)
        if is_proven(search.gap(best), search.effort.gap_fraction):
            return best
        if search.dearer and not search.out_of_time():
            for f in search.dearer[:ENTER_PER_PASS]:
                search.make_whole(f)
            search.program.minimise(search.objective)
            continue
        if search.spent(nodes):
            return best
        if search.start is not None:  # what is near has been found; from here on the search is as without a start
            if search.effort.quick:
                return best
            search.start = None
            continue
        if search.out_of_time():
            search.clock_ended = True
            return best
        nodes *= MORE_NODES
    if search.best is not None:
        return search.best
    raise Stopped(f"no whole plan after {MOST_PASSES} passes")


def _rounded_up(search: Search) -> Solution:
    """A whole plan as soon as can be, from what is there: rounded, and added to until every failure is survived."""
    for _ in range(MOST_PASSES):
        if search.repaired() is None and not dive(search.p, search.program, search.x):
            raise Stopped("interrupted before a whole plan was found")
        search.last, purchases = search.program.values(), search.purchases(whole=True)
        broken, found = search.broken_whole(purchases)
        if not broken:
            return _better(search, purchases, found)
        search.enter_broken(broken)
    raise Stopped(f"no whole plan after {MOST_PASSES} passes")


def _better(search: Search, purchases: Decisions, found: Survived) -> Solution:
    """The cheaper of the best plan so far and this one, which passed every test; failures are settled at the end."""
    purchases = search.with_non_preemptible(purchases, whole=True)
    x = _reserved(search, purchases) if search.rescales else settle_normal(search.p, purchases, search.new_solver())
    if search.p.priced:
        priced = [(f, h) for f in search.p.priced for h in search.p.hours]
        for f, h in priced:
            cheap = search.subproblem(f, h).cheapest_whole(f, purchases, search.most_nodes())
            found[f, h] = cheap if cheap is not None else found[f, h]
        _settled(search, x, {at: found[at] for at in priced})
        rank_outages(search.p, x)
        search.dearer = search.dearer_when_whole(x)
    cost = float(cost_usd(search.p, x))
    if search.best is not None and search.best.cost_usd <= cost:
        return search.best
    search.survived, search.valid = found, search.last
    return Solution(x, cost, search.bound, search.bound, (), search.passes, "gap")


def _reserved(search: Search, purchases: Decisions) -> Decisions:
    """Reserves and all states for what is bought; where survivors rounded down are too few, replicas are added."""
    x = settled(search.p, purchases, search.new_solver())
    if x is None and search.repaired() is not None:
        search.last = search.program.values()
        x = settled(search.p, search.purchases(whole=True), search.new_solver())
    if x is None:
        raise Stopped("rounding found no replicas that carry what is reserved")
    return x


def _settled(search: Search, x: Decisions, survived: Survived) -> Decisions:
    """The decisions with all states of all failures: replicas as the tests found them, requests routed best."""
    costs = edge_costs(search.p)
    purchases = replace(no_decisions(), **{name: getattr(x, name) for name in BOUGHT})
    for n, ((f, h), replicas) in enumerate(survived.items()):
        search.progress("settling states", n / len(survived), f)
        test = search.subproblem(f, h)
        if replicas is None:
            _, replicas = test.test_whole(f, purchases, None)
        settled = test.settle(f, purchases, replicas, costs)
        if sum(settled.excess.values()) > SHORT * sum(
            requests_per_second(search.p, *o, (h, f, 0.0)) for o in search.p.flows
        ):
            raise SolverError(f"{f} in {h} was taken to be survived, and is not: please report it with the study")
        for name in STATE_NAMES:
            getattr(x, name).update(getattr(settled, name))
    return x
