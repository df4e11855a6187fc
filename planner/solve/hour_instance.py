"""The linear program of an hour, given what the master has: one HiGHS instance for all hours of the same matrix."""

from dataclasses import dataclass
from typing import Any

import highspy
import numpy as np

from planner.errors import SolverError
from planner.problem.algebra import Array
from planner.solve.highs import OPTIONS
from planner.solve.highs_instance import INFINITY, new_highs, run
from planner.solve.hour_part import HourPart
from planner.solve.stages import in_solver

DEAREST = 30.0
"""What is short of a row that knows of the master costs so many times what the hour itself could do about it."""
NO_COST = 1.0
"""The same where it could do nothing at any cost, in the solver's units: about the dearest of all columns."""


@dataclass(frozen=True)
class HourAnswer:
    """The best of an hour.

    Parameters
    ----------
    value : its cost, what is short included, in the unit of the program's costs
    values : of its columns
    duals : of its rows
    short : of rows that know of the master [solver's units of each]
    """

    value: float
    values: Array
    duals: Array
    short: Array


class HourInstance:
    """A HiGHS instance for hours with one matrix; rows that know of the master may be short, at a price.

    Parameters
    ----------
    part : one of the hours
    """

    def __init__(self, part: HourPart) -> None:
        self.part = part
        self.slack_rows = np.unique(part.given.row)
        self.slack_factor = 1.0
        """on the price of what is short"""
        low, high = part.low[self.slack_rows], part.high[self.slack_rows]
        up, down = np.flatnonzero(np.isfinite(low)), np.flatnonzero(np.isfinite(high))
        self._slack_row = np.concatenate([self.slack_rows[up], self.slack_rows[down]])
        self._slack_sign = np.concatenate([np.ones(len(up)), -np.ones(len(down))])
        self._slack_costs = self._least_costs()[np.concatenate([up, down]).astype(int)]
        self._bases: dict[int, tuple[list[Any], list[Any]]] = {}
        self._highs = self._instance()

    def go_on_from(self, before: "HourInstance") -> None:
        """Take over the bases of an instance from before further columns and rows came."""
        kinds, n = highspy.HighsBasisStatus, before.part.n
        position = {slack: i for i, slack in enumerate(self._slacks())}
        for k, (columns, rows) in before._bases.items():
            mine = columns[:n] + [kinds.kLower] * (self.part.n - n + len(self._slack_row))
            for i, slack in enumerate(before._slacks()):
                mine[self.part.n + position[slack]] = columns[n + i]
            self._bases[k] = mine, rows + [kinds.kBasic] * (self.part.m - before.part.m)
        self.slack_factor = before.slack_factor

    def _slacks(self) -> list[tuple[int, float]]:
        return list(zip(self._slack_row.tolist(), self._slack_sign.tolist(), strict=True))

    def _least_costs(self) -> Array:
        """What is short of each row that knows of the master costs, in the solver's units."""
        part = self.part
        terms, cost = part.terms, np.zeros(part.m)
        paid = part.costs[terms.column] > 0
        each = part.costs[terms.column[paid]] / np.abs(terms.value[paid]) / part.factor[terms.row[paid]]
        np.maximum.at(cost, terms.row[paid], each)
        cost = cost[self.slack_rows]
        dearest = cost.max(initial=0.0) or NO_COST
        return DEAREST * np.where(cost > 0, cost, dearest)

    def _instance(self) -> Any:
        part, highs = self.part, new_highs(**OPTIONS)
        n, slacks = part.n, len(self._slack_row)
        none = np.zeros(0, dtype=np.int32)
        highs.addCols(n, part.costs * part.unit, part.lower / part.unit, part.upper / part.unit, 0, none, none, none)
        zeros = np.zeros(slacks)
        highs.addCols(slacks, self._slack_costs, zeros, np.full(slacks, INFINITY), 0, none, none, none)
        terms = part.terms
        row = np.append(terms.row, self._slack_row)
        column = np.append(terms.column, n + np.arange(slacks))
        value = np.append(terms.value * part.unit[terms.column] * part.factor[terms.row], self._slack_sign)
        order = np.lexsort((column, row))
        row, column, value = row[order], column[order].astype(np.int32), value[order]
        begins = np.searchsorted(row, np.arange(part.m)).astype(np.int32)
        low, high = part.low * part.factor, part.high * part.factor
        highs.addRows(part.m, low, high, len(value), begins, column, value)
        return highs

    def solve(self, k: int, part: HourPart, given: Array) -> HourAnswer:
        """The best of hour k, given the values of the master's columns; from where it ended the last time.

        Raises
        ------
        SolverError
            when it ends without an optimum: what it has alone contradicts itself
        """
        highs, n, m, slacks = self._highs, part.n, part.m, len(self._slack_row)
        unit, factor = self.part.unit, self.part.factor  # one scale for all hours
        shift = part.given.times(given, m)
        low, high = (part.low - shift) * factor, (part.high - shift) * factor
        highs.changeRowsBounds(m, np.arange(m, dtype=np.int32), low, high)
        at = np.arange(n, dtype=np.int32)
        highs.changeColsBounds(n, at, part.lower / unit, part.upper / unit)
        highs.changeColsCost(n, at, part.costs * unit)
        dear = self.slack_factor * cost_ratio(part, self.part)
        highs.changeColsCost(slacks, (n + np.arange(slacks)).astype(np.int32), dear * self._slack_costs)
        if k in self._bases:
            basis = highspy.HighsBasis()
            basis.valid = True
            basis.col_status, basis.row_status = self._bases[k]
            highs.setBasis(basis)
        with in_solver():
            status = run(highs)
            if status != highspy.HighsModelStatus.kOptimal:
                highs.clearSolver()
                status = run(highs)
        if status != highspy.HighsModelStatus.kOptimal:
            raise SolverError(f"an hour ended {status.name[1:]}")
        kept = highs.getBasis()
        self._bases[k] = list(kept.col_status), list(kept.row_status)
        solution = highs.getSolution()
        columns = np.array(solution.col_value)
        values = np.clip(columns[:n] * unit, part.lower, part.upper)
        duals = np.array(solution.row_dual) * factor
        return HourAnswer(highs.getInfo().objective_function_value, values, duals, columns[n:])


def cost_ratio(part: HourPart, other: HourPart) -> float:
    """What an hour costs beside another: the ratio of their costs, where these are proportional."""
    mine, its = float(np.abs(part.costs).sum()), float(np.abs(other.costs).sum())
    return mine / its if mine > 0 and its > 0 else 1.0
