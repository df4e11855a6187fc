"""Small programs as arrays, solved with whole numbers of replicas."""

from collections.abc import Callable, Sequence
from typing import Any

import highspy
import numpy as np

from planner.drill.instance import ROUNDING, TOLERANCE, Indices, Numbers
from planner.errors import SolverError
from planner.solve.highs_instance import new_highs, set_option
from planner.solve.highs_instance import run as run_highs

MOST_NODES = 20_000
"""Nodes of a search for whole replicas; a search that needs more is stated as a finding."""

Term = tuple[Indices, Indices, Numbers]


class Rows:
    """Rows of a program, collected as arrays."""

    def __init__(self) -> None:
        self.terms: list[Term] = []
        self.bounds: list[tuple[Numbers, Numbers]] = []
        self.count = 0

    def add(self, low: Numbers, high: Numbers, *terms: Term) -> slice:
        """Rows `low <= sum of terms <= high`; a term is row numbers within these, columns, coefficients."""
        self.terms += [(rows + self.count, columns, values) for rows, columns, values in terms]
        self.bounds.append((low, high))
        self.count += len(low)
        return slice(self.count - len(low), self.count)

    def at_most(self, high: Numbers, *terms: Term) -> slice:
        """Rows `sum of terms <= high`."""
        return self.add(np.full(len(high), -np.inf), high, *terms)

    def program(self, columns: int) -> highspy.HighsLp:
        """The program of these rows without costs; columns have no bounds yet."""
        rows, at, values = (np.concatenate(part) for part in zip(*self.terms, strict=True))
        order = np.argsort(rows, kind="stable")
        lp = highspy.HighsLp()
        lp.num_col_, lp.num_row_ = columns, self.count
        lp.col_cost_, lp.col_lower_, lp.col_upper_ = np.zeros(columns), np.zeros(columns), np.zeros(columns)
        lp.row_lower_, lp.row_upper_ = (np.concatenate(part) for part in zip(*self.bounds, strict=True))
        lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        lp.a_matrix_.start_ = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=self.count))])
        lp.a_matrix_.index_, lp.a_matrix_.value_ = at[order], values[order]
        return lp


def solver_of(lp: highspy.HighsLp) -> Any:
    """A solver that holds a program."""
    solver = new_highs(mip_feasibility_tolerance=1e-7)
    solver.passModel(lp)
    return solver


class Columns:
    """Costs and bounds of the columns of a program that a solver has: only what changes is sent to it."""

    def __init__(self, count: int) -> None:
        self.cost, self.low, self.high = np.full((3, count), np.nan)

    def set(self, solver: Any, cost: Numbers, low: Numbers, high: Numbers) -> None:
        """Costs and bounds from now on."""
        new = np.flatnonzero(cost != self.cost).astype(np.int32)
        solver.changeColsCost(len(new), new, cost[new])
        new = np.flatnonzero((low != self.low) | (high != self.high)).astype(np.int32)
        solver.changeColsBounds(len(new), new, low[new], high[new])
        self.cost, self.low, self.high = cost.copy(), low.copy(), high.copy()


def best_integer(
    solver: Any,
    lp: highspy.HighsLp,
    upper: Numbers,
    costs: Sequence[Numbers],
    integer: Indices,
    short: Indices,
    most_nodes: int = MOST_NODES,
    parts_will_do: Callable[[Numbers], bool] | None = None,
) -> tuple[Numbers, bool]:
    """Least first cost with `integer` columns whole; then the second decides these, the third what may be added.

    The first cost of the LP is a bound; rounding up where the second cost is least mostly reaches it, and an integer
    program is the way out. Returns the columns, and whether their first cost is proven least.

    Parameters
    ----------
    solver : holds the program `lp`, its rows with the bounds that hold now
    upper : of the columns; they begin at 0
    most_nodes : of a search for whole replicas; 0: parts of replicas will do, so what is short is short for sure
    parts_will_do : whether columns with parts of replicas are answer enough, where only the first cost is asked about:
        then nothing is added to whole replicas, either

    Raises
    ------
    SolverError
        when the solver fails
    """
    none, high = np.zeros(len(upper)), upper.copy()
    columns = Columns(len(upper))

    def run(cost: Numbers, low: Numbers, high: Numbers) -> Numbers | None:
        columns.set(solver, cost, low, high)
        run_highs(solver)
        feasible = solver.getInfo().primal_solution_status == highspy.SolutionStatus.kSolutionStatusFeasible
        return np.array(solver.getSolution().col_value) if feasible else None

    def fixed(at: Numbers) -> Numbers | None:
        low, top = none.copy(), high.copy()
        low[integer] = top[integer] = at
        return run(costs[2], low, top)

    def searched() -> Numbers:
        solver.changeColsIntegrality(len(integer), integer.astype(np.int32), np.ones(len(integer), dtype=np.uint8))
        set_option(solver, "objective_target", target)
        set_option(solver, "mip_max_nodes", most_nodes)
        if (value := run(costs[0], none, upper)) is None:
            raise SolverError(f"drill: the search ended with {solver.getModelStatus()}")
        return value

    if (least := run(costs[0], none, upper)) is None:
        solver.clearSolver()  # a basis that led nowhere: once more from none
        least = run(costs[0], none, upper)
    if least is None:
        raise SolverError(f"drill: the solver ended with {solver.getModelStatus()}")
    target = float(costs[0] @ least) + ROUNDING
    if not most_nodes or (parts_will_do is not None and parts_will_do(least)):
        return least, True
    high[short] = np.minimum(upper[short], np.maximum(least[short], 0.0) + ROUNDING)
    fewest, proven = run(costs[1], none, high), True
    at = np.ceil((least if fewest is None else fewest)[integer] - TOLERANCE)
    if (value := fixed(at)) is None:
        solver, columns = solver_of(lp), Columns(len(upper))
        value = searched()
        proven = solver.getModelStatus() != highspy.HighsModelStatus.kSolutionLimit
        solver, columns, at = solver_of(lp), Columns(len(upper)), np.round(value[integer])
        high[short] = np.minimum(upper[short], np.maximum(value[short], 0.0) + TOLERANCE / 10)
    if parts_will_do is not None:
        return value, proven
    low = none.copy()
    low[integer] = at
    if (more := run(costs[2], low, high)) is not None:
        more = fixed(np.floor(more[integer] + TOLERANCE))
    return value if more is None else more, proven
