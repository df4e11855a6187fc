"""A restriction of a program: streams that need about the same of the same replicas are split alike.

Most columns and rows of a large program are of streams: which share of each goes where. In a neighbourhood few
placements are open, and many streams may go to the same ones and need of them the same, or nearly. With one split for
all of them the program is several times smaller, and its whole numbers are found in a fraction of the time. Whatever
is met by it is met by the program itself, exactly: of values it gives up some of the best, by a thousandth or so. Its
bound is none of the program's.
"""

from collections.abc import Hashable

import numpy as np

from planner.problem.algebra import Array, Expr
from planner.problem.rules.states import demand_is_served, replicas_carry_traffic
from planner.solve.highs import OPTIMAL, Answer, Ends, KeptHiGHS
from planner.solve.linear_program import INFINITY, LinearProgram, RowBlock
from planner.solve.program import Program, power_of_two

ABOUT_SAME = (0.05, 0.02, 0.005)
"""Logarithms of a ratio of needs within which two are about the same: the first with which a start holds."""
DEAD_PASSES = 6
"""How often it is looked which columns can be nothing but zero, as others are."""
NONE = 1e-9
"""An upper bound below is none."""


class FewerRoutes:
    """What is left of a program within bounds where streams are split alike.

    Parameters
    ----------
    program : with the bounds within which values are looked for: what they close decides which streams may go to the
        same placements; it is not changed
    about_same : logarithm of a ratio of needs within which two are about the same
    """

    def __init__(self, program: Program, about_same: float = ABOUT_SAME[0]) -> None:
        self.program, self.about_same = program, about_same
        rows = all_rows(program)
        self.lower, self.upper = program.lower.copy(), program.upper.copy()
        _close_dead(rows, self.lower, self.upper)
        self.alive = (self.upper > 0) | (self.lower < 0)
        self.share = np.ones(program.n)
        """of a column: its part of the column that stands for it [fraction]"""
        self.first = np.arange(program.n)
        """column -> the first of those that one column stands for"""
        self.repeated = np.zeros(program.m, dtype=bool)
        """rows that say the same as another row"""
        self._group(rows)
        self.kept = np.flatnonzero(self.alive & (self.first == np.arange(program.n)))
        """columns of the program that have one here"""
        at = np.full(program.n, -1)
        at[self.kept] = np.arange(len(self.kept))
        self.at = np.where(self.alive, at[self.first], -1)
        """column -> the one here that stands for it; -1: it is zero"""
        self.restricted = self._restricted(rows)

    # -------------------------------------------------------------- what is split alike
    def _group(self, rows: RowBlock) -> None:
        """Let the first of several streams that are alike stand for all of them, with the sum of their requests."""
        for members in self._of_one_split(rows):
            requests = np.array([rows.low[row] for row, _ in members])
            firsts = members[0][1]
            for (row, columns), part in zip(members, requests / requests.sum(), strict=True):
                self.first[columns], self.share[columns] = firsts, part
                self.repeated[row] = row != members[0][0]

    def _of_one_split(self, rows: RowBlock) -> list[list[tuple[int, Array]]]:
        """Streams in a state that are split alike: (row of what is served, columns of traffic by placement) of each."""
        placement, state, need = self._traffic(rows)
        is_served, terms = of_rule(self.program, demand_is_served.__name__), rows.terms
        those = np.flatnonzero(is_served[terms.row] & self.alive[terms.column])
        those = those[np.lexsort((placement[terms.column[those]], terms.row[those]))]
        begins = np.flatnonzero(np.diff(terms.row[those], prepend=-1))
        groups: dict[Hashable, list[tuple[int, Array]]] = {}
        for part in np.split(those, begins[1:]) if len(those) else []:
            row, columns = int(terms.row[part[0]]), terms.column[part]
            is_fixed = rows.low[row] == rows.high[row] and rows.low[row] > 0
            if is_fixed and (placement[columns] >= 0).all() and (self.lower[columns] == 0).all():
                needs = np.maximum(need[columns], NONE)
                shape = np.round(np.log(needs / needs.max()) / self.about_same).astype(int)
                key = int(state[columns[0]]), placement[columns].tobytes(), shape.tobytes()
                groups.setdefault(key, []).append((row, columns))
        return [members for members in groups.values() if len(members) > 1]

    def _traffic(self, rows: RowBlock) -> tuple[Array, Array, Array]:
        """Of each column of traffic its placement, its state and what it needs of replicas; -1 and 0 of others."""
        n = self.program.n
        placement, state, need = np.full(n, -1), np.full(n, -1), np.zeros(n)
        numbers: dict[Hashable, int] = {}
        for own in self.program.owned:
            if own.name == "traffic":
                ends = np.array([numbers.setdefault(key[2], len(numbers)) for key in own.of], dtype=int)
                placement[own.columns] = ends[own.elements]
                state[own.columns] = numbers.setdefault(own.scope, len(numbers))
        carry = of_rule(self.program, replicas_carry_traffic.__name__)[rows.terms.row]
        need[rows.terms.column[carry]] = rows.terms.value[carry]
        return placement, state, need

    # -------------------------------------------------------------- the program that is left
    def _restricted(self, rows: RowBlock) -> LinearProgram:
        """The program in which one column stands for those that are split alike."""
        program, many = self.program, len(self.kept)
        alive, lp = np.flatnonzero(self.alive), LinearProgram()
        at, share = self.at[alive], self.share[alive]
        lower, upper = np.full(many, -INFINITY), np.full(many, INFINITY)
        np.maximum.at(lower, at, self.lower[alive] / share)
        np.minimum.at(upper, at, self.upper[alive] / share)
        unit = program.unit[self.kept] * power_of_two(1.0 / self.share[self.kept])
        lp.add_columns(lower, upper, unit, np.zeros(many, dtype=bool))
        lp.costs = np.asarray(np.bincount(at, program.costs[alive] * share, minlength=many), dtype=float)
        terms = rows.terms
        stays = self.alive[terms.column] & ~self.repeated[terms.row]
        row, column = terms.row[stays], terms.column[stays]
        zero = np.zeros(len(rows.low))
        remaining = Expr(row, self.at[column], terms.value[stays] * self.share[column], zero).combined(many)
        used = np.unique(remaining.row)
        number = np.zeros(len(rows.low), dtype=np.int64)
        number[used] = np.arange(len(used))
        renumbered = Expr(number[remaining.row], remaining.column, remaining.value, np.zeros(len(used)))
        lp.add_rows(rows.low[used], rows.high[used], renumbered, rows.factor[used])
        return lp

    def solve(self, ends: Ends, start: Array | None) -> Answer:
        """Whole numbers as values of all columns of the program; the bound is none of it.

        Parameters
        ----------
        ends : what ends the search, in the solver's units
        start : values of all its columns; whole numbers are taken from it, streams may be split anew
        """
        program, lp = self.program, self.restricted
        lp.integral = program.integral[self.kept]
        answer = KeptHiGHS().fresh(lp, ends, None if start is None else self._summed(start))
        if answer.values is None:
            return Answer(answer.status, None, INFINITY, -INFINITY, nodes=answer.nodes)
        here = np.where(lp.integral, np.round(answer.values), answer.values)
        values = np.where(self.alive, here[self.at] * self.share, 0.0)
        return Answer(answer.status, values, program.unscaled(answer.objective), -INFINITY, nodes=answer.nodes)

    def holds(self, start: Array, seconds: float | None = None) -> bool:
        """Whether the whole numbers of a start hold here: streams may be split anew."""
        lp, integral = self.restricted, self.program.integral[self.kept]
        kept, here = (lp.lower, lp.upper), np.round(self._summed(start))
        lp.lower, lp.upper = np.where(integral, here, lp.lower), np.where(integral, here, lp.upper)
        lp.integral = np.zeros(lp.n, dtype=bool)
        try:
            return KeptHiGHS().fresh(lp, Ends(seconds=seconds)).status == OPTIMAL
        finally:
            lp.lower, lp.upper = kept

    def _summed(self, values: Array) -> Array:
        """Values of the program's columns as those of the columns that stand for them."""
        return np.bincount(self.at[self.alive], values[self.alive], minlength=len(self.kept))


def with_fewer_routes(program: Program, ends: Ends, start: Array | None) -> Answer:
    """Whole numbers of a program with fewer routes, with as few as a start allows: see `FewerRoutes`."""
    for about_same in ABOUT_SAME:
        fewer = FewerRoutes(program, about_same)
        if start is None or fewer.holds(start, ends.seconds):
            break
    return fewer.solve(ends, start)


def all_rows(program: LinearProgram) -> RowBlock:
    """All rows of a program as one block."""
    low, high, factor = (
        np.concatenate([np.zeros(0), *(getattr(block, name) for block in program.blocks)])
        for name in ("low", "high", "factor")
    )
    offsets = np.cumsum([0, *(len(block.low) for block in program.blocks)])
    parts = [block.terms.row + offset for block, offset in zip(program.blocks, offsets, strict=False)]
    row = np.concatenate([np.zeros(0, dtype=int), *parts])
    column = np.concatenate([np.zeros(0, dtype=int), *(block.terms.column for block in program.blocks)])
    value = np.concatenate([np.zeros(0), *(block.terms.value for block in program.blocks)])
    return RowBlock(low, high, Expr(row, column, value, np.zeros(len(low))), factor)


def of_rule(program: Program, rule: str) -> Array:
    """Which rows of a program are of a rule."""
    of_rule = np.zeros(program.m, dtype=bool)
    for added in program.added:
        if added.rule == rule:
            of_rule[added.at] = True
    return of_rule


def _close_dead(rows: RowBlock, lower: Array, upper: Array) -> None:
    """Close columns that rows leave nothing but zero: no replicas where no machines stand, no traffic without these."""
    for _ in range(DEAD_PASSES):
        before = int((upper <= 0).sum())
        _close_above(rows.terms, rows.high, 1.0, lower, upper)
        _close_above(rows.terms, -rows.low, -1.0, lower, upper)
        if int((upper <= 0).sum()) == before:
            return


def _close_above(terms: Expr, most: Array, sign: float, lower: Array, upper: Array) -> None:
    """Close columns that rows `sign · terms ≤ most` leave nothing but zero."""
    value, row, column = sign * terms.value, terms.row, terms.column
    at_its_least = np.where(value > 0, lower[column], upper[column])
    at_least = np.bincount(row, value * at_its_least, minlength=len(most))
    bounded = np.isfinite(most) & np.isfinite(at_least)
    rises = (value > 0) & bounded[row] & (lower[column] == 0)
    slack = most[row[rises]] - at_least[row[rises]]
    closed = column[rises][slack <= NONE * value[rises]]
    upper[closed] = np.minimum(upper[closed], 0.0)
