"""The first stage: the linear program over all failures, whose cost no plan can beat.

Column-and-constraint generation (Zeng and Zhao, Operations Research Letters 41, 2013): the program starts with what is
bought and normal operation; every failure is put to the test; those that break enter; until none does.
"""

from planner.errors import SolverError
from planner.solve.program import INFEASIBLE, INFINITY, OPTIMAL
from planner.solve.search import MOST_PASSES, Infeasible, Search, Stopped, TimeLimitPassed
from planner.solve.stages import LINEAR_PROGRAM, stage


def relax(search: Search) -> float:
    """Enter failures until the linear program survives all; returns its cost, the LP bound [USD over the horizon].

    A time limit ends that early: the cost over the failures that entered until then is a bound, too.

    Raises
    ------
    Infeasible
        when the linear program is infeasible: no plan exists
    Stopped
        when the time limit came before the first was solved
    """
    try:
        _enter_what_breaks(search)
    except TimeLimitPassed:
        if search.bound == -INFINITY:
            raise Stopped("the time limit came before the linear program was solved") from None
    return search.bound


def _enter_what_breaks(search: Search) -> None:
    program = search.program
    program.minimise(search.objective)
    for search.passes in range(1, MOST_PASSES + 1):
        with stage(LINEAR_PROGRAM):
            status = program.solve(seconds=search.remaining_seconds())
        if status == INFEASIBLE:
            raise Infeasible("linear program")
        if status != OPTIMAL:
            search.check_time()
            raise SolverError(f"the linear program ended {status}")
        search.bound = program.objective
        purchases = search.purchases(integer=False)
        entering = search.first_of_each_hour(search.broken(purchases))
        if not entering:  # all at once: each is a price, and they do not explain each other
            entering = [block for _, block in search.underpriced(purchases)]
        if not entering:
            search.all_failures_tested = True
            return
        for block in entering:
            search.enter(block)
        program.minimise(search.objective)
    raise SolverError(f"the loop did not end in {MOST_PASSES} passes")
