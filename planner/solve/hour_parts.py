"""A program in parts: what is of one hour, what is of none, and rows that link hours, split by what each hour takes.

The split is of the program's arrays; no rule knows of it. A column is of an hour when its decision is chosen by hour or
by state. A row over columns of one hour, and of none, is that hour's. A row over several hours is split: hour h has its
own terms against a column g[row, h] of the master, and the master has Σ_h g + its own terms against the right side. So
hours know of the master only sums of its columns: the parameters, each a column of the master as well.
"""

import numpy as np

from planner.errors import SolverError
from planner.problem.algebra import Array, Expr, numbers
from planner.problem.decisions import table
from planner.problem.problem import Problem
from planner.problem.rules.index_sets import INDEX_SETS
from planner.solve.hour_part import HourPart, Link, Terms, all_rows
from planner.solve.linear_program import INFINITY, LinearProgram
from planner.solve.program import Program
from planner.units import ROUNDING

MASTER, LINKS = -1, -2
"""Of a row that is of no hour, or of several."""
DECIMALS = 9
"""Of the mantissa of ratios, within which the master's terms of two rows are one parameter."""


class Parts:
    """A program in parts; `renew` after failures have entered it, each in all hours.

    Parameters
    ----------
    hours : one part each
    master : the columns of no hour, then the parameters, as a linear program with the rows of no hour; without costs
        of hours
    columns : positions in the program of the first columns of the master
    """

    def __init__(self, p: Problem, program: Program) -> None:
        self.p, self.program = p, program
        self.columns = np.flatnonzero(hours_of_columns(p, program) < 0)
        self._master_at = np.full(program.n, -1)
        self._master_at[self.columns] = np.arange(len(self.columns))
        self._parameter_of: dict[tuple[object, ...], int] = {}
        self.master = LinearProgram()
        at = self.columns
        none = np.zeros(len(at), dtype=bool)
        self.master.add_columns(program.lower[at], program.upper[at], program.unit[at], none)
        self.master.costs = program.costs[at].copy()
        self._rows = 0
        self._split(first=True)

    def renew(self) -> None:
        """Split anew: rows and columns of hours have entered the program."""
        at = np.full(self.program.n, -1)
        at[: len(self._master_at)] = self._master_at
        self._master_at = at
        self._split(first=False)

    def master_values(self, values: Array) -> Array:
        """Values of the master's columns, for those of the program's; what hours take of rows that link included."""
        of_master = np.zeros(self.master.n)
        of_master[: len(self.columns)] = values[self.columns]
        for link in self.links:
            of_master[link.column] = (link.values * values[link.columns]).sum()
        return self.with_parameters(of_master)

    def equal_shares(self) -> Array:
        """An equal share of the right side of its row that links hours, of each link."""
        low, high, _, _ = all_rows(self.program)
        rows = np.array([link.row for link in self.links], dtype=int)
        side = np.where(np.isfinite(low[rows]), low[rows], high[rows])
        return np.asarray(side / np.bincount(rows, minlength=len(low))[rows])

    def allows(self, of_master: Array) -> bool:
        """Whether values of the master's columns keep to their bounds and to the rows of no hour."""
        n, block = len(self.columns), self.master.blocks[0]
        values, lower, upper = of_master[:n], self.master.lower[:n], self.master.upper[:n]
        held = numbers(block.terms, of_master)
        size = ROUNDING / block.factor
        in_bounds = (values >= lower - ROUNDING * self.master.unit[:n]) & (
            values <= upper + ROUNDING * self.master.unit[:n]
        )
        return bool(in_bounds.all() and (held >= block.low - size).all() and (held <= block.high + size).all())

    def with_parameters(self, of_master: Array) -> Array:
        """The same with sums of the master's columns as they follow from these."""
        values = np.append(of_master, np.zeros(self.master.n - len(of_master)))
        for parameter, (columns, coefficients) in self._sums.items():
            values[parameter] = coefficients @ values[columns]
        return values

    # -------------------------------------------------------------- the split
    def _split(self, first: bool) -> None:
        program = self.program
        hour_of = hours_of_columns(self.p, program)
        low, high, factor, terms = all_rows(program)
        of_term = hour_of[terms.column]
        m = len(low)
        least, most = np.full(m, len(self.p.hours)), np.full(m, -1)
        own = of_term >= 0
        np.minimum.at(least, terms.row[own], of_term[own])
        np.maximum.at(most, terms.row[own], of_term[own])
        of_row = np.where(most < 0, MASTER, np.where(least == most, most, LINKS))
        if first:
            self._sums: dict[int, tuple[Array, Array]] = {}
            self.links: list[Link] = []
            self._add_master_rows(of_row, low, high, factor, terms)
        elif (of_row[self._rows :] < 0).any():
            raise SolverError("a failure has brought rows of no hour, or of several")
        self._rows = m
        self._links_of_hours: list[list[Link]] = [[] for _ in self.p.hours]
        for link in self.links:
            self._links_of_hours[int(hour_of[link.columns[0]])].append(link)
        given = self._given(of_row, terms, own)
        order = np.argsort(of_row[terms.row], kind="stable")
        begins = np.searchsorted(of_row[terms.row][order], np.arange(len(self.p.hours) + 1))
        local = np.zeros(program.n, dtype=int)
        self.hours = []
        for k in range(len(self.p.hours)):
            columns = np.flatnonzero(hour_of == k)
            local[columns] = np.arange(len(columns))
            mine = order[begins[k] : begins[k + 1]]
            mine = mine[own[mine]]
            self.hours.append(
                self._part(k, columns, local, np.flatnonzero(of_row == k), terms, mine, given, (low, high, factor))
            )

    def _add_master_rows(self, of_row: Array, low: Array, high: Array, factor: Array, terms: Terms) -> None:
        """Rows of no hour, and rows that link with what each hour takes as a column."""
        master = self.master
        hour_of = hours_of_columns(self.p, self.program)
        order = np.argsort(terms.row, kind="stable")
        begins = np.searchsorted(terms.row[order], np.arange(len(low) + 1))
        for row in np.flatnonzero(of_row == LINKS).tolist():
            at = order[begins[row] : begins[row + 1]]
            for k in np.unique(hour_of[terms.column[at]]).tolist():
                of_hour = at[hour_of[terms.column[at]] == k]
                if k >= 0:
                    self.links.append(self._link(row, terms.column[of_hour], terms.value[of_hour], factor[row]))
        stays = np.flatnonzero((of_row == MASTER) | (of_row == LINKS))
        position = np.full(len(low), -1)
        position[stays] = np.arange(len(stays))
        mine = (position[terms.row] >= 0) & (hour_of[terms.column] < 0)
        at_row = np.append(position[terms.row[mine]], [position[link.row] for link in self.links]).astype(int)
        column = np.append(self._master_at[terms.column[mine]], [link.column for link in self.links]).astype(int)
        value = np.append(terms.value[mine], np.ones(len(self.links)))
        expression = Expr(at_row, column, value, np.zeros(len(stays))).combined(master.n)
        self.master_rows = stays
        master.add_rows(low[stays], high[stays], expression, factor[stays])

    def _link(self, row: int, columns: Array, values: Array, factor: float) -> Link:
        """What an hour takes of a row, as a column of the master, between what its own columns allow."""
        program, none = self.program, np.zeros(1, dtype=bool)
        rises = values > 0
        least = (values * np.where(rises, program.lower[columns], program.upper[columns])).sum(keepdims=True)
        most = (values * np.where(rises, program.upper[columns], program.lower[columns])).sum(keepdims=True)
        (column,) = self.master.add_columns(least, most, np.array([1.0 / factor]), none)
        return Link(int(column), row, columns, values)

    def _given(self, of_row: Array, terms: Terms, own: Array) -> Terms:
        """Rows of hours by the parameter that they know of the master; new parameters become its columns."""
        wanted = ~own & (of_row[terms.row] >= 0)
        row, column, value = terms.row[wanted], self._master_at[terms.column[wanted]], terms.value[wanted]
        order = np.lexsort((column, row))
        row, column, value = row[order], column[order], value[order]
        rows, begins = np.unique(row, return_index=True)
        ends = np.append(begins, len(row))[1:]
        parameter, coefficient = np.zeros(len(rows), dtype=int), value[begins].copy()
        normed = value / np.repeat(coefficient, ends - begins)
        mantissa, exponent = np.frexp(normed)
        rounded = np.round(mantissa, DECIMALS) * 2.0**exponent
        for i, (begin, end) in enumerate(zip(begins.tolist(), ends.tolist(), strict=True)):
            if end - begin == 1:
                parameter[i] = column[begin]
                continue
            key = (column[begin:end].tobytes(), rounded[begin:end].tobytes())
            if key not in self._parameter_of:
                self._parameter_of[key] = self._new_parameter(column[begin:end], normed[begin:end])
            parameter[i] = self._parameter_of[key]
        return Terms(rows, parameter, coefficient)

    def _new_parameter(self, columns: Array, coefficients: Array) -> int:
        master, none = self.master, np.zeros(1, dtype=bool)
        unit = master.unit[columns[0]]
        (column,) = master.add_columns(np.array([-INFINITY]), np.array([INFINITY]), np.array([unit]), none)
        self._sums[int(column)] = columns, coefficients
        row = np.zeros(len(columns) + 1, dtype=int)
        terms = Expr(row, np.append(columns, column), np.append(coefficients, -1.0), np.zeros(1))
        master.add_rows(np.zeros(1), np.zeros(1), terms.combined(master.n), np.array([1.0 / unit]))
        return int(column)

    def _part(
        self,
        k: int,
        columns: Array,
        local: Array,
        rows: Array,
        terms: Terms,
        mine: Array,
        given: Terms,
        bounds: tuple[Array, Array, Array],
    ) -> HourPart:
        program, (low, high, factor), links = self.program, bounds, self._links_of_hours[k]
        n_links = len(links)
        row_at = np.full(len(low), -1)
        row_at[rows] = n_links + np.arange(len(rows))
        of_links = [np.full(len(link.columns), i) for i, link in enumerate(links)]
        none = np.zeros(0, dtype=int)
        own = Terms(
            np.concatenate([none, *of_links, row_at[terms.row[mine]]]),
            np.concatenate([none, *(local[link.columns] for link in links), local[terms.column[mine]]]),
            np.concatenate([np.zeros(0), *(link.values for link in links), terms.value[mine]]),
        )
        here = row_at[given.row] >= 0
        parameters = Terms(
            np.concatenate([np.arange(n_links), row_at[given.row[here]]]),
            np.concatenate([np.array([link.column for link in links], dtype=int), given.column[here]]),
            np.concatenate([-np.ones(n_links), given.value[here]]),
        )
        split = np.array([link.row for link in links], dtype=int)
        every = np.concatenate([split, rows])
        link_low = np.where(np.isfinite(low[split]), 0.0, -INFINITY)
        link_high = np.where(np.isfinite(high[split]), 0.0, INFINITY)
        return HourPart(
            columns,
            every,
            program.lower[columns],
            program.upper[columns],
            program.costs[columns],
            program.unit[columns],
            np.concatenate([link_low, low[rows]]),
            np.concatenate([link_high, high[rows]]),
            factor[every],
            own,
            parameters,
        )


def hours_of_columns(p: Problem, program: Program) -> Array:
    """Position of the hour of each column of a program; MASTER: of none."""
    at = {h: k for k, h in enumerate(p.hours)}
    kinds = {decision.name: INDEX_SETS[decision.over].scopes for decision in table()}
    hour_of = np.full(program.n, MASTER)
    for own in program.owned:
        if kinds[own.name] in ("hour", "state"):
            (scope,) = own.scope
            hour_of[own.columns] = at[scope if kinds[own.name] == "hour" else scope[0]]
    return hour_of
