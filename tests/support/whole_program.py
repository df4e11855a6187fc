"""The linear program with all failures entered, with flows merged or each by itself."""

from collections.abc import Callable

from planner.problem.arrays import Arrays
from planner.problem.decisions import Vectors
from planner.problem.problem import Problem
from planner.problem.rules.costs import cost_usd
from planner.solve.columns import add_failure, add_purchase_rules, purchase_columns
from planner.solve.program import OPTIMAL, Program
from planner.study.dependencies import NORMAL

Family = Callable[[str], Arrays]
"""Kind of states -> its arrays."""


def optimum(p: Problem, family: Family) -> float | None:
    """Cost of the linear program over all failures [USD]; None: it has no solution."""
    program, x, a = Program(), Vectors(), family(NORMAL)
    purchase_columns(a, program, x)
    add_failure(a, program, x, NORMAL)
    add_purchase_rules(a, program, x)
    for f in p.failures:
        if f != NORMAL:
            add_failure(family(f), program, x, f)
    program.minimise(cost_usd(a, x))
    return program.objective if program.solve() == OPTIMAL else None
