"""A linear or integer program as arrays, and as a PuLP problem for every other solver."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pulp

from planner.problem.algebra import Array, Expr

INFINITY = float("inf")


@dataclass(frozen=True)
class RowBlock:
    """Rows that were added together.

    Parameters
    ----------
    low, high : bounds of each row, in its own unit
    terms : each row, columns at most once in it and in order; constants are in the bounds
    factor : by which the solver sees a row multiplied
    """

    low: Array
    high: Array
    terms: Expr
    factor: Array

    def begins(self) -> Array:
        """Position of the first term of each row."""
        count = np.bincount(self.terms.row, minlength=len(self.low))
        return np.cumsum(count) - count


class LinearProgram:
    """Columns and rows as arrays, in their own units: minimise `costs · x` within bounds and rows.

    The solver sees columns in multiples of `unit` and rows times their factor, so that its tolerances mean the same
    whatever the magnitude: `KeptHiGHS` and `as_pulp` are where numbers are scaled.
    """

    def __init__(self) -> None:
        self.lower, self.upper, self.unit = np.zeros(0), np.zeros(0), np.zeros(0)
        self.costs = np.zeros(0)
        self.integral = np.zeros(0, dtype=bool)
        """columns that are whole numbers, where a solve asks for it"""
        self._buffers: dict[str, Array] = {}
        self.blocks: list[RowBlock] = []
        self.n = self.m = 0

    def add_columns(self, lower: Array, upper: Array, unit: Array, integral: Array) -> Array:
        """Append columns; their positions."""
        self.lower, self.upper = self._extended("lower", lower), self._extended("upper", upper)
        self.unit, self.integral = self._extended("unit", unit), self._extended("integral", integral)
        self.costs = self._extended("costs", np.zeros(len(lower)))
        positions = np.arange(self.n, self.n + len(lower))
        self.n += len(lower)
        return positions

    def _extended(self, name: str, more: Array) -> Array:
        """An array of columns with more at its end; there is headroom behind it, as columns come a few at a time."""
        array, buffer = getattr(self, name), self._buffers.get(name)
        n, total = len(array), len(array) + len(more)
        if buffer is None or array.base is not buffer or len(buffer) < total:
            buffer = self._buffers[name] = np.zeros(2 * total, dtype=array.dtype)
            buffer[:n] = array
        buffer[n:total] = more
        extended: Array = buffer[:total]
        return extended

    def add_rows(self, low: Array, high: Array, terms: Expr, factor: Array) -> int:
        """Append rows; the position of the first."""
        self.blocks.append(RowBlock(low, high, terms, factor))
        self.m += len(low)
        return self.m - len(low)

    def as_pulp(
        self, integer: bool, names: Sequence[str] | None = None, row_names: Sequence[str] | None = None
    ) -> tuple[Any, list[Any], list[Any]]:
        """The program for any PuLP solver: the problem, its columns and its rows, in order, in the solver's units.

        Parameters
        ----------
        names, row_names : of columns and rows; none: x and c with their positions
        """
        lp = pulp.LpProblem("placement", pulp.LpMinimize)
        lower, upper = self.lower / self.unit, self.upper / self.unit
        columns = []
        for i in range(self.n):
            cat = pulp.LpInteger if integer and self.integral[i] else pulp.LpContinuous
            bounds = (None if np.isinf(value) else float(value) for value in (lower[i], upper[i]))
            columns.append(lp.add_variable(names[i] if names else f"x{i}", *bounds, cat))
        costs = self.costs * self.unit
        lp.setObjective(pulp.LpAffineExpression({columns[i]: float(costs[i]) for i in np.flatnonzero(costs)}))
        rows: list[Any] = []
        for block in self.blocks:
            value = block.terms.value * self.unit[block.terms.column] * block.factor[block.terms.row]
            begins = np.append(block.begins(), len(value))
            for i in range(len(block.low)):
                at = slice(begins[i], begins[i + 1])
                terms = zip(block.terms.column[at].tolist(), value[at].tolist(), strict=True)
                expression = pulp.LpAffineExpression({columns[column]: each for column, each in terms})
                low, high = float(block.low[i] * block.factor[i]), float(block.high[i] * block.factor[i])
                sense = pulp.LpConstraintEQ if low == high else pulp.LpConstraintGE
                sense, rhs = (pulp.LpConstraintLE, high) if np.isinf(low) else (sense, low)
                name = row_names[len(rows)] if row_names else f"c{len(rows)}"
                rows.append(pulp.LpConstraint(expression, sense, name, rhs))
                lp.addConstraint(rows[-1])
        return lp, columns, rows


def from_pulp(lp: Any) -> tuple[LinearProgram, list[Any], list[Any]]:
    """A PuLP problem as arrays, with its columns and its rows in order; what is maximised has its costs negated."""
    program, columns = LinearProgram(), list(lp.variables())
    at = {v: i for i, v in enumerate(columns)}
    lower = np.array([-INFINITY if v.lowBound is None else v.lowBound for v in columns], dtype=float)
    upper = np.array([INFINITY if v.upBound is None else v.upBound for v in columns], dtype=float)
    integral = np.array([v.cat == pulp.LpInteger for v in columns], dtype=bool)
    program.add_columns(lower, upper, np.ones(len(columns)), integral)
    sign = -1.0 if lp.sense == pulp.LpMaximize else 1.0
    for v, cost in (lp.objective or {}).items():
        program.costs[at[v]] = sign * cost
    rows = list(lp.constraints())
    row = np.array([i for i, one in enumerate(rows) for _ in one], dtype=int)
    column = np.array([at[v] for one in rows for v in one], dtype=int)
    value = np.array([value for one in rows for value in one.values()], dtype=float)
    rhs = np.array([-one.constant for one in rows], dtype=float)
    low = np.where([one.sense == pulp.LpConstraintLE for one in rows], -INFINITY, rhs) if rows else rhs
    high = np.where([one.sense == pulp.LpConstraintGE for one in rows], INFINITY, rhs) if rows else rhs
    program.add_rows(low, high, Expr(row, column, value, np.zeros(len(rows))), np.ones(len(rows)))
    return program, columns, rows
