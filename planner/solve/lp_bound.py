"""The first stage: the linear program over all failures, whose cost no plan can beat.

Column-and-constraint generation (Zeng and Zhao, Operations Research Letters 41, 2013): the program starts with what is
bought and normal operation; every failure is put to the test; those that break enter; until none does.
"""

from dataclasses import replace

from planner.errors import NoPlan, SolverError
from planner.problem.decisions import Decisions
from planner.solve.coarse import InPools, coarse, has_many_edges, pools_used
from planner.solve.enter_by_hours import enter_by_hours, goes_by_hours
from planner.solve.highs import KeptHiGHS
from planner.solve.marginal_values import read_marginals
from planner.solve.program import INFEASIBLE, INFINITY, OPTIMAL
from planner.solve.purchases_anew import started_in
from planner.solve.search import MOST_PASSES, Block, Infeasible, Search, Solution, Stopped, TimeLimitPassed
from planner.solve.stages import LINEAR_PROGRAM, stage

GUESS_FRACTION = 0.2
"""Share of the time limit that the linear program of a coarse problem may take."""


def relax(search: Search, start: Decisions | None = None) -> float:
    """Enter failures until the linear program survives all; returns its cost, the LP bound [USD over the horizon].

    A time limit ends that early: the cost over the failures that entered until then is a bound, too.

    Parameters
    ----------
    start : what a similar plan buys: where the linear program goes by hours, a point to begin from

    Raises
    ------
    Infeasible
        when the linear program is infeasible: no plan exists
    Stopped
        when the time limit came before the first was solved
    """
    try:
        if goes_by_hours(search):
            started = None if start is None else started_in(search.p, start)
            one = fullest_for_all_time(search)
            seeds = binding_in(one) if one is not None and not search.binding else []
            search.by_hours = enter_by_hours(search, seeds, None, started)
        if search.by_hours is None and goes_by_a_guess(search):
            enter_what_breaks(search, guessed(search))
        elif search.by_hours is None:
            enter_what_breaks(search)
    except TimeLimitPassed:
        if search.bound == -INFINITY:
            raise Stopped("the time limit came before the linear program was solved") from None
    return search.bound


def enter_what_breaks(search: Search, in_pools: InPools | None = None, as_a_guess: bool = False) -> None:
    """Enter failures until the linear program over all hours survives all.

    Parameters
    ----------
    in_pools : the program, by the pools that are likely to be used; none: all are open from the first
    as_a_guess : whether what survived once is not tested again: most of the tests, and few are broken later
    """
    program = search.program
    among: list[Block] | None = None
    search.minimise()
    for search.passes in range(1, MOST_PASSES + 1):
        with stage(LINEAR_PROGRAM):
            status = _solve(search, in_pools)
            if status == OPTIMAL and search.scaled_for(program.objective):
                search.minimise()
                status = _solve(search, in_pools)
        if status == INFEASIBLE:
            raise Infeasible("linear program")
        if status != OPTIMAL:
            search.check_time()
            raise SolverError(f"the linear program ended {status}")
        search.bound = program.objective
        purchases = search.purchases(integer=False)
        broken = search.broken(purchases, among)
        if as_a_guess and not broken:
            return
        among = [block for _, block in broken] if as_a_guess else None
        entering = search.first_of_each_hour(broken)
        if not entering:  # all at once: each is a price, and they do not explain each other
            entering = [block for _, block in search.underpriced(purchases)]
        if not entering:
            search.all_failures_tested = True
            return
        for block in entering:
            search.enter(block)
        search.minimise()
    raise SolverError(f"the loop did not end in {MOST_PASSES} passes")


def _solve(search: Search, in_pools: InPools | None) -> str:
    if in_pools is not None:
        return in_pools.solve(search.remaining_seconds)
    return search.program.solve(search.remaining_seconds())


def goes_by_a_guess(search: Search) -> bool:
    """Whether the linear program starts from that of a coarse problem: large ones, with the solver that can."""
    is_kept = isinstance(search.program.solver, KeptHiGHS)
    return is_kept and not search.has_reserves and not search.binding and has_many_edges(search.p)


def guessed(search: Search) -> InPools | None:
    """Enter the failures that have a price in a coarse problem; the program by the pools that are used there."""
    p = coarse(search.p)
    effort = search.effort
    if effort.seconds is not None:
        effort = replace(effort, seconds=GUESS_FRACTION * effort.seconds)
    try:
        one = Search(p, effort, search.new_solver, search.progress)
        one.began = search.began
        enter_what_breaks(one, as_a_guess=True)
    except (NoPlan, SolverError, TimeLimitPassed):  # it is no more than a guess
        return None
    marginals = Solution(Decisions(), INFINITY, one.bound, one.bound, (), one.passes, "gap")
    read_marginals(one, marginals)
    have_a_price = {f for failures in marginals.drivers.values() for f in failures}
    for f in one.binding:
        for h in p.hours if f in have_a_price else ():
            if (f, h) in one.blocks:
                search.enter((f, h))
    return InPools(search.p, search.program, pools_used(p, one.purchases(integer=False)))


def fullest_for_all_time(search: Search) -> Search | None:
    """A search of the problem in which the fullest hour of the last period stands for all time; None: it has no plan.

    The costs of the search at hand are scaled for what that costs in normal operation.
    """
    p = search.p
    wanted = {h: sum(p.demand_requests_per_second[w, o, h] for w, o in p.flows) for h in p.hours}
    fullest = max((h for h in p.hours if p.period_of[h] == p.periods[-1]), key=wanted.__getitem__)
    alone = replace(
        p,
        hours=(fullest,),
        budget_usd=None,
        spend_years=(),
        deferrable=frozenset(),
        present_hours={**p.present_hours, fullest: sum(p.present_hours[h] for h in p.hours)},
    )
    try:
        one = Search(alone, search.effort, search.new_solver, search.progress)
        one.began = search.began
        one.minimise()
        if one.program.solve(one.remaining_seconds()) != OPTIMAL:
            return None
    except (NoPlan, SolverError):
        return None
    search.minimise()
    search.scaled_for(one.program.objective)
    return one


def binding_in(one: Search) -> list[str]:
    """Failures that bind in a search, by the time limit at the latest."""
    try:
        enter_what_breaks(one)
    except (NoPlan, SolverError):
        return []
    except TimeLimitPassed:
        pass
    return one.binding
