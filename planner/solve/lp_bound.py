"""The first stage: the linear program over all failures, whose cost no plan can beat.

Column-and-constraint generation (Zeng and Zhao, Operations Research Letters 41, 2013): the program starts with what is
bought and normal operation; every failure is put to the test; those that break enter; until none does.
"""

from planner.errors import SolverError
from planner.solve.program import INFEASIBLE, OPTIMAL
from planner.solve.search import MOST_PASSES, Infeasible, Search


def relax(search: Search) -> float:
    """Enter failures until the linear program survives all; returns its cost, the LP bound [USD over the horizon].

    Raises
    ------
    Infeasible
        when the linear program is infeasible: no plan exists
    """
    program = search.program
    program.minimise(search.objective)
    for search.passes in range(1, MOST_PASSES + 1):
        status = program.solve()
        if status == INFEASIBLE:
            raise Infeasible("linear program")
        if status != OPTIMAL:
            raise SolverError(f"the linear program ended {status}")
        purchases = search.purchases(whole=False)
        broken = search.broken(purchases) or search.underpriced(purchases)
        if not broken:
            search.bound = program.objective
            return search.bound
        for block in search.first_of_each_hour(broken):
            search.enter(block)
        program.minimise(search.objective)
    raise SolverError(f"the loop did not end in {MOST_PASSES} passes")
