"""A relaxation of a program: routes are projected out, so that little more than what is bought and runs is left.

Most columns of a large program are of traffic: which share of each stream goes where. They cost nothing. What is bought
can be routed where no weights of the rows of traffic say otherwise (Farkas), and each such set of weights is one row of
the other columns: so many requests/s, each at the least that it needs of any replica by the weights, ask for so much of
replicas. A program with some of these rows in the place of all traffic costs no more than the program itself. It is
thirty times smaller, and its rows speak of whole replicas alone: what a solver rounds of them raises its bound far more
than anything it finds in many rows of divisible traffic.

The first rows are those of the linear program's own marginal values: with these alone the bound is the linear
program's. Others are found where values cannot be routed: on the way from them to a point that can.

Source
    Benders, Numerische Mathematik 4 (1962); cuts towards a point inside: Fischetti, Ljubić and Sinnl, Management
    Science 63 (2017)
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from planner.problem.algebra import Array, Expr
from planner.problem.rules.states import demand_is_served
from planner.solve.fewer_routes import all_rows, of_rule
from planner.solve.highs import OPTIMAL, Answer, Ends, KeptHiGHS
from planner.solve.linear_program import INFINITY, LinearProgram
from planner.solve.program import Program, power_of_two

ROUTED = 1e-5
"""Part of the way to a point that can be routed from which on values count as not routed."""
MISSED = 1e-6
"""Share of a row, as a solver sees it, by which values miss it at the least: less counts as met."""
TINY = 1e-7
"""A coefficient beside the largest of its row that a solver would take for none."""
CANCELLED, ARITHMETIC = 1e-9, 1e-12
"""Shares of what a coefficient, and the right side of a row, are summed of that may be arithmetic alone."""
MOST_ROUNDS = 30
"""Linear programs by which rows are found."""


@dataclass(frozen=True)
class Part:
    """Traffic and the rows that it is in, of which no other traffic is: of a model in a state, most often.

    Parameters
    ----------
    rows, routes : positions in the program, of rows and of columns of traffic
    routed, others : terms of these rows, of traffic and of the other columns; the latter as numbered in the relaxation
    low, high, factor : of the rows
    upper, most, unit : of the columns of traffic, which are at least zero: their bounds, and what rows leave of these
    """

    rows: Array
    routes: Array
    routed: Expr
    others: Expr
    low: Array
    high: Array
    factor: Array
    upper: Array
    most: Array
    unit: Array


class WithoutRoutes:
    """What is left of a program without its traffic, and rows of it that every solution of the program meets.

    Parameters
    ----------
    program : it is not changed; rows and columns that it has later are not taken up

    `size` is how many columns and rows it had.
    """

    def __init__(self, program: Program) -> None:
        rows = all_rows(program)
        most = _most(program, rows.terms, rows.high)
        is_route = _routes(program) & np.isfinite(most)
        self.program, self.size = program, (program.n, program.m)
        self.kept = np.flatnonzero(~is_route)
        """columns of the program that have one here"""
        self.at = np.full(program.n, -1)
        self.at[self.kept] = np.arange(len(self.kept))
        self.lp = LinearProgram()
        kept = self.kept
        divisible = np.zeros(len(kept), dtype=bool)
        self.lp.add_columns(program.lower[kept], program.upper[kept], program.unit[kept], divisible)
        self.lp.costs = program.costs[kept].copy()
        terms = rows.terms
        of_route = is_route[terms.column]
        has_routes = np.zeros(program.m, dtype=bool)
        has_routes[terms.row[of_route]] = True
        stays = np.flatnonzero(~has_routes)
        number = np.cumsum(~has_routes) - 1
        mine = ~has_routes[terms.row]
        remaining = Expr(number[terms.row[mine]], self.at[terms.column[mine]], terms.value[mine], np.zeros(len(stays)))
        self.lp.add_rows(rows.low[stays], rows.high[stays], remaining, rows.factor[stays])
        self.has_grown = False
        """whether rows entered when it was last asked whether values can be routed"""
        self.is_bounded = False
        """whether its linear program has a best value: that none is infeasible says something of the program then"""
        self.parts = self._parts(rows.low, rows.high, rows.factor, terms, of_route, has_routes, most)

    def _parts(
        self, low: Array, high: Array, factor: Array, terms: Expr, of_route: Array, has_routes: Array, most: Array
    ) -> list[Part]:
        """Traffic by the rows that tie it together."""
        program = self.program
        part_of_row, part_of_column = _connected(terms, of_route, program.m, program.n)
        row_at, rows_of = _numbered(part_of_row, has_routes)
        column_at, routes_of = _numbered(part_of_column, part_of_column >= 0)
        others = _split(part_of_row[terms.row], has_routes[terms.row] & ~of_route)
        parts = []
        for one, routed in _split(part_of_row[terms.row], of_route).items():
            rows, routes, beside = rows_of[one], routes_of[one], others.get(one, np.zeros(0, dtype=int))
            zero = np.zeros(len(rows))
            traffic = Expr(row_at[terms.row[routed]], column_at[terms.column[routed]], terms.value[routed], zero)
            other = Expr(row_at[terms.row[beside]], self.at[terms.column[beside]], terms.value[beside], zero)
            of_rows, of_routes = (low[rows], high[rows], factor[rows]), (most[routes], program.unit[routes])
            parts.append(Part(rows, routes, traffic, other, *of_rows, program.upper[routes].copy(), *of_routes))
        return parts

    # -------------------------------------------------------------- rows that every solution meets
    def add_by_marginal_values(self, duals: Array) -> None:
        """Add the rows of some marginal values of the program's rows; rows that came later count as having none."""
        values = np.zeros(self.size[1])
        values[: len(duals)] = duals
        for part in self.parts:
            self._add(*self._row_by(part, values[part.rows]))

    def add_towards(
        self, core: Array, remaining: Callable[[], float | None] = lambda: None, most_rounds: int = MOST_ROUNDS
    ) -> None:
        """Add rows until the linear program can be routed, or rounds are spent.

        Parameters
        ----------
        core : values of all columns of the program that can be routed
        remaining : seconds to a time limit, asked before each linear program: what it raises ends them; None: none
        """
        self.lp.integral, solver = np.zeros(self.lp.n, dtype=bool), KeptHiGHS()
        for _ in range(most_rounds):
            answer = solver.linear(self.lp, remaining())
            self.is_bounded |= answer.status == OPTIMAL
            if answer.values is None or self.routed(answer.values, core, remaining) is not None or not self.has_grown:
                return

    def routed(self, values: Array, core: Array, remaining: Callable[[], float | None] = lambda: None) -> Array | None:
        """Values of all columns of the program, requests routed; where they cannot be rows enter that say so: None.

        Parameters
        ----------
        values : of the columns here
        core : values of all columns of the program that can be routed
        remaining : see `add_towards`
        """
        everything, inside, many = np.zeros(self.size[0]), core[self.kept], self.lp.m
        everything[self.kept] = values
        is_routed = True
        for part in self.parts:
            answer = _towards(part, values, inside, remaining())
            if answer.status != OPTIMAL or answer.values is None or answer.duals is None:
                is_routed = False
                continue
            everything[part.routes] = answer.values[:-1]
            if answer.values[-1] <= ROUTED:
                continue
            column, coefficient, least = self._row_by(part, answer.duals)
            size = float(np.max(np.abs(coefficient) * self.lp.unit[column], initial=0.0))
            if least - coefficient @ values[column] > MISSED * max(abs(least), size):
                is_routed = False
                self._add(column, coefficient, least)
        self.has_grown = self.lp.m > many
        return everything if is_routed else None

    def _row_by(self, part: Part, weights: Array) -> tuple[Array, Array, float]:
        """The row `coefficient · columns ≥ least` that rows of a part imply by some weights of them.

        Whatever the weights are it holds: a positive one is of what a row has at the least, a negative one of what it
        has at the most, and traffic adds to their sum as much as any could.
        """
        weights = np.where(np.isfinite(np.where(weights > 0, part.low, part.high)), weights, 0.0)
        sides = np.where(weights != 0, np.where(weights > 0, part.low, part.high), 0.0)
        gained = np.bincount(part.routed.column, part.routed.value * weights[part.routed.row], minlength=len(part.most))
        gains = np.maximum(gained, 0.0) * part.most
        least = float((weights * sides).sum() - gains.sum())
        least -= ARITHMETIC * float(np.abs(weights * sides).sum() + gains.sum())
        terms = part.others.value * weights[part.others.row]
        of_each = np.bincount(part.others.column, terms, minlength=self.lp.n)
        summed = np.bincount(part.others.column, np.abs(terms), minlength=self.lp.n)
        # what cancels out is raised to what it can be: of columns that may be below zero that is no row
        cancelled = (np.abs(of_each) < CANCELLED * summed) & (of_each != 0)
        of_each = np.where(cancelled, CANCELLED * summed, of_each)
        column = np.flatnonzero(of_each)
        if (self.lp.lower[cancelled] < 0).any():
            least = -INFINITY
        return column, of_each[column], least

    def _add(self, column: Array, coefficient: Array, least: float) -> None:
        """Add a row unless all values meet it; what a solver would take for none in it is raised, or left out."""
        lp = self.lp
        scaled = np.abs(coefficient) * lp.unit[column]
        size = float(scaled.max(initial=0.0))
        is_met = bool((coefficient >= 0).all() and (lp.lower[column] >= 0).all() and least <= 0)
        if not size or not np.isfinite(least) or is_met:
            return
        tiny = scaled < TINY * size
        if (lp.lower[column][tiny] < 0).any():
            return
        coefficient = np.where(tiny, np.where(coefficient > 0, TINY * size / lp.unit[column], 0.0), coefficient)
        at = np.flatnonzero(coefficient)
        order = at[np.argsort(column[at])]
        terms = Expr(np.zeros(len(order), dtype=int), column[order], coefficient[order], np.zeros(1))
        lp.add_rows(np.array([least]), np.array([INFINITY]), terms, 1.0 / power_of_two(np.array([size])))

    # -------------------------------------------------------------- whole numbers
    def solve(self, integral: Array, ends: Ends) -> Answer:
        """Whole numbers of the columns here; the bound is one of the program.

        Parameters
        ----------
        integral : which columns of the program are whole
        ends : in the solver's units; progress is said in the objective's
        """
        program, lp, progress = self.program, self.lp, ends.progress
        if progress is not None:
            say = progress
            ends = replace(ends, progress=lambda cost, bound: say(program.unscaled(cost), program.unscaled(bound)))
        lp.integral = integral[self.kept]
        answer = KeptHiGHS().fresh(lp, ends)
        values = answer.values
        if values is not None:
            values = np.where(lp.integral, np.round(values), values)
        objective, bound = program.unscaled(answer.objective), program.unscaled(answer.bound)
        return replace(answer, values=values, objective=objective, bound=bound)


def _routes(program: Program) -> Array:
    """Which columns of a program are of traffic that costs nothing, and is at least zero."""
    is_route = np.zeros(program.n, dtype=bool)
    for own in program.owned:
        if own.name == "traffic":
            is_route[own.columns] = True
    return np.asarray(is_route & (program.costs == 0) & (program.lower == 0) & ~program.integral)


def _most(program: Program, terms: Expr, high: Array) -> Array:
    """What columns are at the most, by their bounds and by the requests of the streams whose traffic they are."""
    most = program.upper.copy()
    adds_up = of_rule(program, demand_is_served.__name__) & np.isfinite(high)
    adds_up[terms.row[(terms.value < 0) | (program.lower[terms.column] < 0)]] = False
    those = adds_up[terms.row] & (terms.value > 0)
    np.minimum.at(most, terms.column[those], high[terms.row[those]] / terms.value[those])
    return most


def _connected(terms: Expr, of_route: Array, rows: int, columns: int) -> tuple[Array, Array]:
    """(part of each row, part of each column) that traffic ties together; the least row of a part is its name."""
    row, column = terms.row[of_route], terms.column[of_route]
    of_row = np.arange(rows)
    while True:
        of_column = np.full(columns, -1)
        least = np.full(columns, rows)
        np.minimum.at(least, column, of_row[row])
        of_column[column] = least[column]
        lower = of_row.copy()
        np.minimum.at(lower, row, of_column[column])
        if (lower == of_row).all():
            return of_row, of_column
        of_row = lower


def _split(part: Array, where: Array) -> dict[int, Array]:
    """Part -> positions of those of its elements where a mask is true."""
    those = np.flatnonzero(where)
    those = those[np.argsort(part[those], kind="stable")]
    begins = np.flatnonzero(np.diff(part[those], prepend=-1))
    return {int(part[one[0]]): one for one in np.split(those, begins[1:])} if len(those) else {}


def _numbered(part: Array, where: Array) -> tuple[Array, dict[int, Array]]:
    """(position of each element within its part, part -> its elements), of those where a mask is true."""
    of_part, at = _split(part, where), np.full(len(part), -1)
    for those in of_part.values():
        at[those] = np.arange(len(those))
    return at, of_part


def _towards(part: Part, values: Array, inside: Array, seconds: float | None) -> Answer:
    """How far towards a point values must go until they can be routed: the last column [fraction], and the routes."""
    at_values, at_core = part.others.at(values), part.others.at(inside)
    lp, many = LinearProgram(), len(part.routes)
    upper = np.append(part.upper, INFINITY)
    lp.add_columns(np.zeros(many + 1), upper, np.append(part.unit, 1.0), np.zeros(many + 1, dtype=bool))
    lp.costs[many] = 1.0
    moves = np.flatnonzero(at_core - at_values)
    row, column = np.append(part.routed.row, moves), np.append(part.routed.column, np.full(len(moves), many))
    terms = Expr(row, column, np.append(part.routed.value, (at_core - at_values)[moves]), np.zeros(len(part.rows)))
    lp.add_rows(part.low - at_values, part.high - at_values, terms.combined(many + 1), part.factor)
    return KeptHiGHS().fresh(lp, Ends(seconds=seconds), presolve=False)
