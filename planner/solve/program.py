"""A program of columns in their own units and rows by rule and key, and how it is solved."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pulp

from planner.errors import Finding, InputError, SolverError
from planner.problem.algebra import Array, Expr, Key, Rows, Vector, as_expression, is_number, numbers, spread
from planner.solve.highs import DUAL, FEASIBLE, INFEASIBLE, NOTHING, OPTIMAL, Answer, Ends, KeptHiGHS
from planner.solve.linear_program import INFINITY, LinearProgram
from planner.solve.stages import in_solver

__all__ = ["FEASIBLE", "INFEASIBLE", "INFINITY", "NOTHING", "OPTIMAL", "Program"]
ARITHMETIC = 1e-7
"""Share of a row by which numbers may miss it."""


@dataclass(frozen=True)
class Owned:
    """The columns of a decision in a scope.

    Parameters
    ----------
    name, scope : of the decision
    of : what the elements of its vector are of
    elements, columns : positions in the vector, and in the program
    """

    name: str
    scope: Key
    of: Sequence[Key]
    elements: Array
    columns: Array


@dataclass(frozen=True)
class Added:
    """Rows of a rule, and what they became: rows of the program, or bounds of columns.

    Parameters
    ----------
    rule : its name
    rows : as the rule gave them
    where : positions among them
    at : positions in the program, of rows or of columns
    """

    rule: str
    rows: Rows
    where: Array
    at: Array

    def keyed(self) -> Iterator[tuple[Key, int]]:
        """(key, position in the program) of each."""
        for i, position in zip(self.where.tolist(), self.at.tolist(), strict=True):
            yield self.rows.key(i), position


class Impossible(SolverError):
    """A row that no decision meets: what is asked has no solution, whatever a solver says."""


class Program(LinearProgram):
    """A linear or integer program whose rows come from rules.

    Parameters
    ----------
    solver : a PuLP solver; None: HiGHS with a kept instance

    After a solve `values`, and of linear programs `reduced_costs` and `duals`, are those of its columns and rows;
    `objective` is the value reached, and `bound` what no solution can beat, in the objective's unit.
    """

    def __init__(self, solver: Any = None) -> None:
        super().__init__()
        self.solver = KeptHiGHS() if solver is None else solver
        self.owned: list[Owned] = []
        self.added: list[Added] = []
        self.bounded: list[Added] = []
        self.scale, self.constant = 1.0, 0.0
        self.values = self.reduced_costs = self.duals = np.zeros(0)
        self.objective, self.bound = INFINITY, -INFINITY
        self.nodes = 0

    def with_another(self, solver: Any) -> "Program":
        """The same columns and rows, to be solved with bounds and costs of their own; neither may be added to."""
        other = copy(self)
        other.solver = KeptHiGHS() if solver is None else solver
        other.lower, other.upper, other.costs = self.lower.copy(), self.upper.copy(), self.costs.copy()
        other.values = other.reduced_costs = other.duals = np.zeros(0)
        return other

    def extended(self) -> "Program":
        """The same columns and rows, to be added to: this one stays as it is."""
        other = copy(self)
        other.blocks, other.added, other.bounded = list(self.blocks), list(self.added), list(self.bounded)
        other._buffers = {}  # with those of this one what is added would be written into it
        return other

    # -------------------------------------------------------------- columns and rows
    def columns(self, where: Array, size: Any = 1.0, integral: bool = False, free: bool = False) -> Expr:
        """A new column, at least zero unless it is free, where a mask is true; elsewhere zero.

        Parameters
        ----------
        size : what is large in a column: 1 of what is counted, all requests of a stream; scaling by a power of two
        """
        at, n = np.flatnonzero(where), int(np.count_nonzero(where))
        unit = power_of_two(np.asarray(spread(size, len(where)))[at])
        lower = np.full(n, -INFINITY if free else 0.0)
        positions = self.add_columns(lower, np.full(n, INFINITY), unit, np.full(n, integral))
        return Expr(at, positions, np.ones(n), np.zeros(len(where)))

    def column(self, upper: float = INFINITY, lower: float = 0.0) -> Expr:
        """One new column, as a vector of one."""
        column = self.columns(np.ones(1, dtype=bool))
        self.lower[column.column], self.upper[column.column] = lower, upper
        return column

    def add(self, rule: str, blocks: Iterable[Rows], as_rows: bool = False) -> None:
        """Add the rows of a rule: those without a decision are checked, those of one column become its bounds.

        Raises
        ------
        SolverError
            when numbers alone break a row
        """
        for rows in blocks:
            n = len(rows)
            if not n or (is_number(rows.lhs) and is_number(rows.rhs)):
                if n:
                    _check(rule, rows, spread(rows.lhs, n) - spread(rows.rhs, n), np.ones(n, dtype=bool))
                continue
            difference = (as_expression(spread(rows.lhs, n)) - spread(rows.rhs, n)).combined(self.n)
            terms = np.bincount(difference.row, minlength=n)
            _check(rule, rows, difference.constant, terms == 0)
            single = (terms == 1) & (not as_rows)
            if single.any():
                self._bound(rule, rows, np.flatnonzero(single), difference[single])
            stays = np.flatnonzero((terms > 0) & ~single)
            if len(stays):
                self._row(rule, rows, stays, difference[stays])

    def _row(self, rule: str, rows: Rows, where: Array, difference: Expr) -> None:
        rhs = -difference.constant
        low = rhs if rows.sense in (">=", "==") else np.full(len(rhs), -INFINITY)
        high = rhs if rows.sense in ("<=", "==") else np.full(len(rhs), INFINITY)
        factor = 1.0 / power_of_two(np.asarray(spread(rows.size, len(rows)))[where])
        first = self.add_rows(low, high, difference, factor)
        self.added.append(Added(rule, rows, where, np.arange(first, first + len(where))))

    def _bound(self, rule: str, rows: Rows, where: Array, difference: Expr) -> None:
        column, value = difference.column, -difference.constant / difference.value
        falls = difference.value < 0
        most = (rows.sense == "==") | (falls if rows.sense == ">=" else ~falls)
        least = (rows.sense == "==") | (falls if rows.sense == "<=" else ~falls)
        np.minimum.at(self.upper, column[most], value[most])
        np.maximum.at(self.lower, column[least], value[least])
        self.bounded.append(Added(rule, rows, where, column))

    # -------------------------------------------------------------- solving
    def minimise(self, objective: Vector, largest: float = 1.0) -> None:
        """Set the objective, a vector of one; its largest coefficient becomes `largest`, in the solver's units."""
        one = as_expression(spread(objective, 1)).combined(self.n)
        most = float(np.max(np.abs(one.value) * self.unit[one.column], initial=0.0))
        self.scale, self.constant = (most or 1.0) / largest, float(one.constant[0])
        self.costs = np.zeros(self.n)
        self.costs[one.column] = one.value / self.scale

    def solve(self, seconds: float | None = None, method: str = DUAL) -> str:
        """Solve the linear program; returns optimal, infeasible or nothing found. Other solvers choose the method."""
        if isinstance(self.solver, KeptHiGHS):
            return self._take(self.solver.linear(self, seconds, method))
        return self._take(self._solve_elsewhere(False, Ends(seconds=seconds)))

    def send(self) -> None:
        """Let the kept instance know the bounds and costs as they are: copies of it are asked questions."""
        if isinstance(self.solver, KeptHiGHS):
            self.solver.send(self)

    def solve_whole(
        self,
        gap_fraction: float = 0.0,
        most_nodes: int | None = None,
        seconds: float | None = None,
        good_enough: float | None = None,
        start: Array | None = None,
    ) -> str:
        """Solve with the columns of `whole` as whole numbers; returns optimal, feasible, infeasible or nothing found.

        The search ends by gap, nodes or seconds, or at a solution that costs `good_enough` or less.
        """
        target = -INFINITY if good_enough is None else self.scaled(good_enough)
        ends = Ends(gap_fraction, most_nodes, seconds, target)
        if isinstance(self.solver, KeptHiGHS):
            return self._take(self.solver.fresh(self, ends, start))
        return self._take(self._solve_elsewhere(True, ends))

    def answer(self, ends: Ends, start: Array | None = None) -> Answer:
        """The answer of an instance of its own, objective and bound in the objective's unit; values stay as they are.

        Columns that are integral are whole exactly. Progress is said in the objective's unit.
        """
        if isinstance(self.solver, KeptHiGHS):
            progress = ends.progress
            if progress is not None:
                say = progress
                ends = replace(ends, progress=lambda cost, bound: say(self.unscaled(cost), self.unscaled(bound)))
            answer = self.solver.fresh(self, ends, start)
        else:
            answer = self._solve_elsewhere(bool(self.integral.any()), ends)
        values = answer.values
        if values is not None:
            values = np.where(self.integral, np.round(values), values)
        objective, bound = self.unscaled(answer.objective), self.unscaled(answer.bound)
        return replace(answer, values=values, objective=objective, bound=bound)

    def unscaled(self, value: float) -> float:
        """A value of the costs, as the solver sees them, in the objective's unit."""
        return value * self.scale + self.constant

    def scaled(self, value: float) -> float:
        """A value in the objective's unit, as the solver sees it: see `unscaled`."""
        return (value - self.constant) / self.scale

    def _take(self, answer: Answer) -> str:
        self.bound, self.nodes = self.unscaled(answer.bound), answer.nodes
        if answer.values is not None:
            self.values = answer.values
            self.objective = self.value_of(answer.values)
        if answer.duals is not None and answer.reduced_costs is not None:
            self.duals, self.reduced_costs = answer.duals, answer.reduced_costs
        return answer.status

    def _solve_elsewhere(self, integer: bool, ends: Ends) -> Answer:
        # any other PuLP solver: everything is sent anew; its bound is known only when it proves optimality
        self.solver.mip, self.solver.timeLimit = integer, ends.seconds
        self.solver.optionsDict["gapRel"] = ends.gap_fraction
        lp, columns, rows = self.as_pulp(integer)
        with in_solver():
            lp.solve(self.solver)
        if lp.sol_status == pulp.LpSolutionInfeasible:
            return Answer(INFEASIBLE, None, INFINITY, INFINITY)
        if lp.sol_status not in (pulp.LpSolutionOptimal, pulp.LpSolutionIntegerFeasible):
            return Answer(NOTHING, None, INFINITY, -INFINITY)
        values = np.clip(np.array([v.varValue or 0.0 for v in columns]) * self.unit, self.lower, self.upper)
        value = float(self.costs @ values)
        if lp.sol_status != pulp.LpSolutionOptimal:
            return Answer(FEASIBLE, values, value, -INFINITY)
        bound = value - abs(value) * ends.gap_fraction
        if integer or any(v.dj is None for v in columns):
            return Answer(OPTIMAL, values, value, bound)
        factors = np.concatenate([np.zeros(0), *(block.factor for block in self.blocks)])
        duals = np.array([row.pi or 0.0 for row in rows]) * factors
        reduced_costs = np.array([v.dj for v in columns]) / self.unit
        return Answer(OPTIMAL, values, value, bound, reduced_costs, duals)

    def value_of(self, values: Array) -> float:
        """The objective at some values of the columns."""
        return float((self.costs * values).sum()) * self.scale + self.constant

    def number(self, vector: Vector) -> Vector:
        """A vector as numbers of the last solve."""
        return numbers(vector, self.values)


def _check(rule: str, rows: Rows, gap: Array, which: Array) -> None:
    """Rows of numbers alone must hold."""
    off = {"<=": gap, ">=": -gap, "==": np.abs(gap)}[rows.sense]
    sides = [spread(side, len(rows)) for side in (rows.lhs, rows.rhs)]
    scale = np.asarray(spread(rows.size, len(rows)), dtype=float)
    for side in sides:
        scale = np.maximum(scale, np.abs(as_expression(side).constant))
    if (which & (off > ARITHMETIC * scale)).any():
        i = int(np.argmax(which * off))
        raise Impossible(f"{rule} {rows.key(i)}: no decision can make it {rows.sense}: off by {off[i]:g}")


def power_of_two(size: Array) -> Array:
    """The power of two below a size: to scale by it changes no digit."""
    return np.asarray(2.0 ** np.floor(np.log2(size)))


def solver_named(name: str) -> Callable[[], Any] | None:
    """A maker of PuLP solvers by name; None for HiGHS with a kept instance.

    Raises
    ------
    InputError
        when PuLP does not find a solver of that name on this machine
    """
    if name.lower() == "highs":
        return None
    available = pulp.listSolvers(onlyAvailable=True)
    if name not in available:
        known = ", ".join(dict.fromkeys(("HiGHS", *available)))
        raise InputError([Finding("--solver", f"one of {known}", repr(name), "name a solver that PuLP finds here")])
    return lambda: pulp.getSolver(name, msg=False)


@contextmanager
def bounds_restored(program: LinearProgram, columns: Array | None = None) -> Iterator[None]:
    """Within it bounds may be changed, of some columns or of all; afterwards they are as they were."""
    at = np.arange(program.n) if columns is None else columns
    lower, upper = program.lower[at], program.upper[at]
    try:
        yield
    finally:
        program.lower[at], program.upper[at] = lower, upper


NEGLIGIBLE = 0.005
"""Share of a stream below which a route is closed where the rest can do without it."""


def without_negligible_flows(
    program: Program, columns: Array, offered: Array, more_fraction: float = NEGLIGIBLE
) -> Array:
    """Values of the last solve, without its negligible flows where the objective hardly rises. Bounds stay.

    Parameters
    ----------
    columns : positions of columns of traffic
    offered : what is asked for of the stream of each [requests/s], of the same solve
    more_fraction : what the objective may rise by
    """
    reached, values = program.objective, program.values
    few = columns[(values[columns] > 0) & (values[columns] < NEGLIGIBLE * offered)]
    if not len(few):
        return values
    with bounds_restored(program, few):
        program.upper[few] = 0.0
        most = (reached + 1e-9 * program.scale) * (1 + more_fraction)
        if program.solve() == OPTIMAL and program.objective <= most:
            return program.values
    return values


def single_columns(rule: str, rows: Rows) -> tuple[Array, Array, Array]:
    """(column, at least, at most) of rows whose left side is one column each, under numbers on the right.

    Raises
    ------
    SolverError
        when a row is no bound of one column
    """
    lhs, n = rows.lhs, len(rows)
    if not is_number(rows.rhs) or np.bincount(lhs.row, minlength=n).max(initial=0) > 1:
        raise SolverError(f"{rule} is no bound of one column in a test")
    value = (np.asarray(spread(rows.rhs, n)) - lhs.constant)[lhs.row] / lhs.value
    none = np.full(len(value), INFINITY)
    return (
        lhs.column,
        value if rows.sense in (">=", "==") else -none,
        value if rows.sense in ("<=", "==") else none,
    )
