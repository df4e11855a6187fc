"""A PuLP program with columns in their own units and rows by rule and key, and how it is solved."""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pulp

from planner.errors import Finding, InputError, SolverError
from planner.problem.algebra import Key, Linear, Row, is_number, total
from planner.solve.highs import KeptHiGHS

INFEASIBLE = "infeasible"
OPTIMAL = "optimal"
FEASIBLE = "feasible"
NOTHING = "nothing found"
INFINITY = float("inf")


class Program:
    """A linear or integer program with its columns in their own order and its rows by rule and key.

    Solver names carry no meaning: columns are x0, x1, ..., rows c0, c1, ..., and nothing is parsed from them.
    """

    def __init__(self, solver: Any = None) -> None:
        self.lp: Any = pulp.LpProblem("placement", pulp.LpMinimize)
        self.lp.columns, self.lp.rows, self.lp.units, self.lp.factors = [], [], {}, []
        self.solver = KeptHiGHS() if solver is None else solver
        self.rows: dict[tuple[str, Key], Any] = {}
        self.bounds: dict[tuple[str, Key], Any] = {}
        self.scale = 1.0
        self.bound = -INFINITY
        self.constant = 0.0
        self.objective = INFINITY
        self._counter = itertools.count()

    def column(self, upper: float | None = None, integer: bool = False, unit: float = 1.0) -> Any:
        """A new column, at least zero; `unit` is what is large in it: 1 of what is counted, all requests of a stream.

        The solver sees multiples of the unit, so that its tolerances mean the same whatever the magnitude.
        """
        cat = pulp.LpInteger if integer else pulp.LpContinuous
        variable = self.lp.add_variable(f"x{len(self.lp.columns)}", 0, upper, cat)
        self.lp.columns.append(variable)
        if unit != 1.0:
            self.lp.units[variable] = power_of_two(unit)
        return variable

    def add(self, rule: str, rows: Iterable[Row]) -> None:
        """Add the rows of a rule; a row of one column and a number becomes a bound of that column."""
        for row in rows:
            lhs, rhs = row.lhs, row.rhs
            if isinstance(lhs, pulp.LpVariable) and isinstance(rhs, int | float):
                set_bound(lhs, row.sense, float(rhs))
                self.bounds[rule, row.key] = lhs
                continue
            difference = total([(1.0, lhs), (-1.0, rhs)])
            if not isinstance(difference, int | float) and not any(difference.values()):
                difference = difference.constant  # the same decisions on both sides: only numbers are left
            if isinstance(difference, int | float):
                numbers = (
                    row if is_number(lhs) and is_number(rhs) else Row(row.key, difference, row.sense, 0.0, row.size)
                )
                if numbers.shortfall() > 1e-7 * numbers.scale():
                    raise SolverError(f"{rule} {row.key}: no decision can make {lhs} {row.sense} {rhs}")
                continue
            sense = {"<=": pulp.LpConstraintLE, ">=": pulp.LpConstraintGE, "==": pulp.LpConstraintEQ}[row.sense]
            constraint = pulp.LpConstraint(difference, sense, f"c{next(self._counter)}", 0.0)
            self.lp.addConstraint(constraint)
            self.lp.rows.append(constraint)
            self.lp.factors.append(1.0 if row.size == 1.0 else 1.0 / power_of_two(row.size))
            self.rows[rule, row.key] = constraint

    def make_whole(self, quantity: Linear) -> None:
        """Make a column whole from now on; what is no column stays as it is."""
        if isinstance(quantity, pulp.LpVariable):
            quantity.cat = pulp.LpInteger

    def minimise(self, objective: Linear) -> None:
        """Set the objective: the largest coefficient becomes about one, in the units of its columns."""
        if isinstance(objective, int | float):
            objective = pulp.LpAffineExpression(constant=float(objective))
        units = self.lp.units
        largest = max((abs(value) * units.get(v, 1.0) for v, value in objective.items()), default=1.0)
        self.scale = largest or 1.0
        self.constant = objective.constant
        self.lp.setObjective(pulp.LpAffineExpression({v: value / self.scale for v, value in objective.items()}))

    def solve(
        self,
        integer: bool = False,
        gap_fraction: float = 0.0,
        most_nodes: int | None = None,
        seconds: float | None = None,
        good_enough: float | None = None,
    ) -> str:
        """Solve; returns optimal, feasible (an end came first), infeasible or nothing found.

        An integer search ends by gap, nodes or seconds, or at a solution that costs `good_enough` or less. It is given
        no start.

        `self.bound` is then what no solution can beat, in the objective's unit; `self.objective` the value reached.
        """
        if isinstance(self.solver, KeptHiGHS):
            kept = self.solver
            kept.gap_fraction, kept.most_nodes, kept.seconds, kept.integer = gap_fraction, most_nodes, seconds, integer
            kept.target = -INFINITY if good_enough is None else (good_enough - self.constant) / self.scale
            self.lp.solver = kept
            kept.actualResolve(self.lp)
            bound = kept.bound
        else:
            bound = self._solve_elsewhere(integer, gap_fraction, seconds)
        status = {
            pulp.LpSolutionOptimal: OPTIMAL,
            pulp.LpSolutionIntegerFeasible: FEASIBLE,
            pulp.LpSolutionInfeasible: INFEASIBLE,
        }.get(self.lp.sol_status, NOTHING)
        self.bound = bound * self.scale + self.constant
        if status in (OPTIMAL, FEASIBLE):
            self.objective = self.value_of({v: v.varValue for v in self.lp.objective})
        return status

    def _solve_elsewhere(self, integer: bool, gap_fraction: float, seconds: float | None) -> float:
        # any other PuLP solver: everything is sent anew; its bound is known only when it proves optimality
        self.solver.mip = integer
        self.solver.timeLimit = seconds
        self.solver.optionsDict["gapRel"] = gap_fraction
        scaled = pulp.LpProblem("placement", pulp.LpMinimize)
        units = self.lp.units
        columns = {}
        for v in self.lp.columns:
            unit = units.get(v, 1.0)
            lower, upper = (None if bound is None else bound / unit for bound in (v.lowBound, v.upBound))
            cat = v.cat if integer else pulp.LpContinuous
            columns[v] = scaled.add_variable(v.name, lower, upper, cat)
        scaled.setObjective(_in_units(self.lp.objective, columns, units, 1.0))
        rows = []
        for row, factor in zip(self.lp.rows, self.lp.factors, strict=True):
            rows.append(pulp.LpConstraint(_in_units(row, columns, units, factor), row.sense, row.name, 0.0))
            scaled.addConstraint(rows[-1])
        scaled.solve(self.solver)
        for v, column in columns.items():
            v.varValue = None if column.varValue is None else column.varValue * units.get(v, 1.0)
            v.dj = None if column.dj is None else column.dj / units.get(v, 1.0)
        for row, sent, factor in zip(self.lp.rows, rows, self.lp.factors, strict=True):
            row.pi = None if sent.pi is None else sent.pi * factor
        self.lp.assignStatus(scaled.status, scaled.sol_status)
        if self.lp.sol_status == pulp.LpSolutionOptimal:
            value = sum(c * (v.varValue or 0.0) for v, c in self.lp.objective.items())
            return float(value - abs(value) * gap_fraction)
        return INFINITY if self.lp.sol_status == pulp.LpSolutionInfeasible else -INFINITY

    def value_of(self, values: Mapping[Any, float]) -> float:
        """The objective at some values of the columns."""
        return float(sum(c * values[v] for v, c in self.lp.objective.items())) * self.scale + self.constant

    def values(self) -> dict[Any, float]:
        """Column -> value of the last solve."""
        return {v: v.varValue or 0.0 for v in self.lp.columns}


def power_of_two(size: float) -> float:
    """The power of two below a size: to scale by it changes no digit."""
    return 2.0 ** math.floor(math.log2(size))


def _in_units(expression: Any, columns: Mapping[Any, Any], units: Mapping[Any, float], factor: float) -> Any:
    """An expression over the columns that a solver sees, times a factor."""
    terms = {columns[v]: value * units.get(v, 1.0) * factor for v, value in expression.items()}
    return pulp.LpAffineExpression(terms, constant=expression.constant * factor)


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


def set_bound(variable: Any, sense: str, value: float) -> None:
    """Tighten a column by `variable sense value`."""
    if sense in ("<=", "=="):
        variable.upBound = value if variable.upBound is None else min(variable.upBound, value)
    if sense in (">=", "=="):
        variable.lowBound = max(variable.lowBound or 0.0, value)


@contextmanager
def bounds_restored(columns: Iterable[Any]) -> Iterator[None]:
    """Within it the bounds of columns may be changed; afterwards they are as they were."""
    before = [(v, v.lowBound, v.upBound) for v in columns]
    try:
        yield
    finally:
        for v, lower, upper in before:
            v.lowBound, v.upBound = lower, upper


def fix(variable: Any, value: float) -> None:
    """Leave a column one value."""
    variable.lowBound = variable.upBound = value


NEGLIGIBLE = 0.005
"""Share of a stream below which a route is closed where the rest can do without it."""


def without_negligible_flows(
    program: Program, flows: Iterable[tuple[Any, float]], more_fraction: float = NEGLIGIBLE
) -> dict[Any, float]:
    """Values of the last solve, without its negligible flows where the objective hardly rises. Bounds stay.

    Parameters
    ----------
    flows : column -> what is asked for of the stream [requests/s], of the same solve
    more_fraction : what the objective may rise by
    """
    reached, values = program.objective, program.values()
    negligible = [v for v, offered in flows if 0 < values[v] < NEGLIGIBLE * offered]
    if not negligible:
        return values
    with bounds_restored(negligible):
        for v in negligible:
            v.upBound = 0.0
        most = (reached + 1e-9 * program.scale) * (1 + more_fraction)
        if program.solve() == OPTIMAL and program.objective <= most:
            return program.values()
    return values
