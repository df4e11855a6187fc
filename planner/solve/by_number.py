"""What replicas carry by their number, in a program of whole numbers.

What n replicas carry, `largest utilisation(n) · n`, grows faster than n. The program fills each placement as far as the
most that any plan can have: it is one of a bound. What looks for plans adds lines that are nowhere above what so many
carry (`tangents`). What looks for a better bound adds ranges of their number (`below_cutoff`): a column says in which
it is (none: nothing runs), another how many run in it, and within a range work is below a line that is nowhere below
what they carry.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from planner.problem.algebra import (
    Array,
    Expr,
    Rows,
    Vector,
    as_expression,
    is_number,
    numbers,
    stacked,
    sum_by,
    total,
)
from planner.problem.problem import State, most_machines
from planner.problem.rules.formulas import is_normal, replica_seconds_used, running
from planner.problem.rules.states import replicas_carry_traffic
from planner.problem.waiting import Of, Waiting
from planner.solve.program import INFINITY, Program
from planner.solve.search import Search
from planner.units import ROUNDING

FACTOR = 3.0
"""The last number of a range by the number before its first."""
SAMPLES = 16
"""Numbers of a range of which what they carry is worked out; between them utilisation is taken to rise."""
APART = 1e-9
"""Share by which a line is moved off what it must not cross."""
FULLER = 1e-7
"""Share by which replicas may be too full for their number: less than the audit overlooks."""
PART_OF_THEM = 0.8
"""Share that is reckoned with of the replicas that do the work of the linear program: a plan may run fewer, and it
costs little, as the utilisation of many hardly rises with their number."""
UNUSED_REPLICAS = 8.0
"""Reckoned with at first of a placement in a state: of one it would seem dearer than it is."""
Range = tuple[str, float, float]
"""(placement, fewest, most replicas)"""
Row = tuple[State, str]
"""(state, placement)"""


@dataclass(frozen=True)
class _Block:
    """Coefficients of replicas in a block of rows.

    Parameters
    ----------
    values : coefficients of all its terms, which the program has, too
    at : positions of those of replicas
    of_most : these, filled as far as the most of each placement
    row : which row each is in
    of : what the rows are of
    first : position of the first of them in the program
    """

    values: Array
    at: Array
    of_most: Array
    row: Array
    of: list[Row]
    first: int


@dataclass(frozen=True)
class Ranged:
    """Ranges of the replicas of a placement: fewest and most, and columns of whether they are in it, and how many."""

    low: Array
    high: Array
    is_in: Expr
    number: Expr


def ranges_up_to(most: float, factor: float = FACTOR) -> tuple[Array, Array]:
    """Fewest and most replicas of each range of the whole numbers from 1 to a largest.

    Parameters
    ----------
    factor : the last number of a range by the number before its first

    Examples
    --------
    >>> low, high = ranges_up_to(30.0)
    >>> low.tolist(), high.tolist()
    ([1.0, 2.0, 4.0, 11.0], [1.0, 3.0, 10.0, 30.0])
    """
    lows, high = list[float](), max(1.0, float(np.floor(most + ROUNDING)))
    highs = list[float]()
    while high >= 1:
        lows.append(float(np.floor(high / factor)) + 1.0)
        highs.append(high)
        high = lows[-1] - 1.0
    return np.array(lows[::-1]), np.array(highs[::-1])


def lines_above(waiting: Waiting, in_failure: bool, ranges: Sequence[Range]) -> tuple[Array, Array]:
    """(slope, constant) of a line above what replicas carry in each range, nearest to it at the middle of the range."""
    samples = [np.unique(np.round(np.geomspace(low, high, SAMPLES))) for _, low, high in ranges]
    placements = [e for (e, _, _), n in zip(ranges, samples, strict=True) for _ in n]
    every = np.concatenate([np.zeros(0), *samples])
    utilisation = waiting.largest(in_failure, placements, every.tolist())
    ends = np.cumsum([len(n) for n in samples])
    above = np.zeros((len(ranges), 2))
    for i, (n, u) in enumerate(zip(samples, np.split(utilisation, ends[:-1]), strict=True)):
        # as utilisation rises, no number between two samples is filled further than the next
        above[i] = _line(np.append(n, n[:-1] + 1), np.append(u * n, u[1:] * (n[:-1] + 1)), float(np.sqrt(n[0] * n[-1])))
    return above[:, 0], above[:, 1]


def _line(n: Array, carried: Array, middle: float) -> tuple[float, float]:
    """(slope, constant) of the line that no point is above, nearest to them at the middle: an edge of their hull."""
    if n.max() == n.min():
        return float(carried.max()) / float(n[0]), 0.0
    before, after = np.flatnonzero(n <= middle), np.flatnonzero(n > middle)
    slopes = (carried[after][None, :] - carried[before][:, None]) / (n[after][None, :] - n[before][:, None])
    at_middle = carried[before][:, None] + slopes * (middle - n[before][:, None])
    slope = float(slopes.flat[np.argmax(at_middle)])
    return slope, float(np.max(carried - slope * n)) + APART * float(carried.max())


class Carried:
    """The rows of what replicas carry, with numbers that are reckoned with in each state, and the program of a bound.

    Parameters
    ----------
    search : after its linear program, which reckons with the most of each placement
    most : replicas to be reckoned with at the most
    """

    def __init__(self, search: Search, most: Mapping[Of, float]) -> None:
        assert search.p.waiting is not None
        self.search, self.p, self.program = search, search.p, search.program
        self.waiting, self.most = search.p.waiting, most
        self.reckoned: dict[Row, float] = {}
        """replicas that are reckoned with, of each row"""
        self._blocks: list[_Block] = []
        self._added = 0
        self.renew()

    # -------------------------------------------------------------- rows of plans
    def renew(self) -> None:
        """Take up the failures that have entered the program since."""
        first_of, first = {}, 0
        for block in self.program.blocks:
            first_of[first] = block
            first += len(block.low)
        for added in self.program.added[self._added :]:
            if added.rule == replicas_carry_traffic.__name__:
                terms = first_of[int(added.at[0])].terms
                of = [(added.rows.scope[0], str(added.rows.of[i][0])) for i in added.where.tolist()]
                at = np.flatnonzero(terms.value < 0)  # those of work are above zero
                self._blocks.append(
                    _Block(terms.value, at, terms.value[at].copy(), terms.row[at], of, int(added.at[0]))
                )
                self.reckoned |= {(s, e): min(self.most[e, not is_normal(s)], UNUSED_REPLICAS) for s, e in of}
        self._added = len(self.program.added)

    def reckon_as(self, values: Array, part: float, by_work: bool = False) -> None:
        """Reckon with so large a part of the replicas of a solution from now on.

        Parameters
        ----------
        by_work : whether with as many as do the work of those, which are filled further than so many may be
        """
        for s, runs, _ in self.running(values):
            in_failure = not is_normal(s)
            number = np.floor(runs + ROUNDING)
            if by_work:
                at_most = np.array([self.waiting.utilisation[e, in_failure] for e in self.p.placements])
                number = self.waiting.that_carry(in_failure, self.p.placements, (at_most * runs).tolist())
            for i in np.flatnonzero(runs >= 1 - ROUNDING).tolist():
                e = self.p.placements[i]
                if (s, e) in self.reckoned:
                    self.reckoned[s, e] = max(1.0, min(self.most[e, in_failure], float(np.floor(part * number[i]))))

    def lower(self, values: Array) -> bool:
        """Reckon with fewer where replicas of a solution are too full for their number; whether there are any."""
        any_fewer = False
        for s, runs, work in self.running(values):
            number = np.maximum(1.0, np.floor(runs + ROUNDING))
            carried = self.waiting.largest(not is_normal(s), self.p.placements, number.tolist()) * runs
            for i in np.flatnonzero(work > carried + FULLER * np.maximum(1.0, work)).tolist():
                row = s, self.p.placements[i]
                if number[i] < self.reckoned.get(row, 0.0):
                    self.reckoned[row], any_fewer = float(number[i]), True
        return any_fewer

    @contextmanager
    def filled_as(self, numbers: Mapping[Row, float]) -> Iterator[None]:
        """Within it placements are filled as far as so many may be; else as far as the most that any plan can have."""
        for block in self._blocks:
            block.values[block.at] = block.of_most * self._shares(block.of, numbers)[block.row]
        try:
            yield
        finally:
            for block in self._blocks:
                block.values[block.at] = block.of_most

    def _shares(self, rows: list[Row], numbers: Mapping[Row, float]) -> Array:
        """How far so many may be filled, by how far the most of each may."""
        share = np.ones(len(rows))
        for in_failure in (False, True):
            at = [i for i, (s, _) in enumerate(rows) if is_normal(s) != in_failure]
            names = [rows[i][1] for i in at]
            may_be = self.waiting.largest(in_failure, names, [numbers[rows[i]] for i in at])
            share[at] = may_be / np.array([self.waiting.utilisation[e, in_failure] for e in names])
        return share

    def running(self, values: Array) -> Iterator[tuple[State, Array, Array]]:
        """(state, running replicas, their work) of the states in the program, of values of its first columns."""
        lifted = np.zeros(self.program.n)
        lifted[: len(values)] = values
        for s in self._states():
            runs, work = self._of_state(s)
            yield s, np.asarray(numbers(runs, lifted)), np.asarray(numbers(work, lifted))

    def _states(self) -> list[State]:
        return list(dict.fromkeys(s for s, _ in self.reckoned))

    def usd_per_work(self, program: Program) -> dict[Row, float]:
        """What one replica-second/s more of what is carried would save, by the last linear solve of a program with the
        same rows [USD over the horizon]."""
        return {
            row: -float(program.duals[block.first + i]) * program.scale
            for block in self._blocks
            for i, row in enumerate(block.of)
        }

    def chosen(self) -> Iterator[tuple[State, Expr, Expr, list[int]]]:
        """(state, running replicas, their work, which placements have both) where a program chooses them."""
        many = len(self.p.placements)
        for s in self._states():
            runs, work = self._of_state(s)
            if is_number(runs) or is_number(work):
                continue
            runs = as_expression(runs).combined(self.program.n)
            carries = (np.bincount(runs.row, minlength=many) > 0) & (np.bincount(work.row, minlength=many) > 0)
            several = [e for e in np.flatnonzero(carries).tolist() if (s, self.p.placements[e]) in self.reckoned]
            if several:
                yield s, runs, as_expression(work), several

    def _of_state(self, s: State) -> tuple[Vector, Vector]:
        """Running replicas, and their work."""
        a = self.search.arrays_of(s[1])
        return running(a, self.search.x, s), replica_seconds_used(a, self.search.x, s)

    # -------------------------------------------------------------- ranges of numbers
    def add_ranges(
        self, program: Program, s: State, e: int, runs: Expr, low: Array, high: Array, cap: Array | None
    ) -> Ranged:
        """Add columns of whether the replicas of a placement that run are in a range, and of how many these are.

        Parameters
        ----------
        e : position of the placement
        runs : replicas that run in the state, of all placements
        low, high : fewest and most replicas of each range
        cap : what these are no more than in any plan that is looked for; None: the most of the range, and those that
            run beyond the last, which do all of the work there is, are counted apart and carry nothing
        """
        name, every = self.p.placements[e], np.ones(len(low), dtype=bool)
        is_in, number = program.columns(every, integral=True), program.columns(every)
        program.upper[is_in.column] = 1.0
        # more than do all of the work may run
        program.upper[number.column] = high if cap is None else np.append(high[:-1], INFINITY)
        counted = total(number)
        if cap is None:
            counted, cap = counted + program.column(), high
        keys = [(name, most) for most in high.tolist()]
        program.add(
            "numbers_are_in_their_range",
            [Rows(keys, (s,), low * is_in, "<=", number), Rows(keys, (s,), number, "<=", cap * is_in)],
        )
        program.add(
            "a_number_is_in_one_range",
            [
                Rows([(name,)], (s,), counted, "==", runs[np.array([e])]),
                Rows([(name,)], (s,), total(is_in), "<=", 1.0),
            ],
            as_rows=True,
        )
        return Ranged(low, high, is_in, number)

    def add_lines(self, program: Program, ranged: Mapping[int, Ranged], s: State, work: Expr) -> None:
        """Add what placements carry in each range of their numbers.

        Parameters
        ----------
        ranged : position of a placement -> its ranges
        work : of all placements
        """
        names = [self.p.placements[e] for e in ranged]
        ranges = [
            (e, *ends)
            for e, each in zip(names, ranged.values(), strict=True)
            for ends in zip(each.low, each.high, strict=True)
        ]
        slope, constant = lines_above(self.waiting, not is_normal(s), ranges)
        group = np.repeat(np.arange(len(ranged)), [len(each.low) for each in ranged.values()])
        carried = sum_by(slope * stacked([each.number for each in ranged.values()]), group, len(ranged))
        carried = carried + sum_by(constant * stacked([each.is_in for each in ranged.values()]), group, len(ranged))
        rows = Rows([(e,) for e in names], (s,), work[np.array(list(ranged))], "<=", carried)
        program.add("replicas_carry_by_their_range", [rows], as_rows=True)

    def with_every_number(self) -> Program:
        """The program with what each number of replicas carries in each state.

        Formula, of each placement
            Σ_k number[e,k] = replicas[e],  Σ_k is_in[e,k] ≤ 1
            low[k] · is_in[e,k] ≤ number[e,k] ≤ high[k] · is_in[e,k]
            work[e,s] ≤ Σ_k slope[e,k,s] · number[e,k] + constant[e,k,s] · is_in[e,k]
        where each range is of one number.
        """
        program = self.program.extended()
        for s, runs, work, carries in self.chosen():
            ranged = dict[int, Ranged]()
            for e in carries:
                name = self.p.placements[e]
                low = np.arange(1.0, max(1.0, float(np.floor(self.most_of(name) + ROUNDING))) + 1.0)
                ranged[e] = self.add_ranges(program, s, e, runs, low, low, self.caps_of(name, low))
            self.add_lines(program, ranged, s, work)
        return program

    def most_of(self, name: str) -> float:
        """Replicas of a placement that are reckoned with at the most, in normal operation or a failure."""
        return max(self.most[name, False], self.most[name, True])

    def caps_of(self, name: str, high: Array) -> Array:
        """What the replicas in each range up to the most are no more than in any plan: more than these may run."""
        most_in_pool = most_machines(self.p, self.p.pool_of[name]) / self.p.machines_per_replica[name]
        return np.append(high[:-1], max(float(high[-1]), most_in_pool) + 1.0)

    def numbers(self) -> float:
        """How many numbers of replicas there are in all states: columns of the program with every number."""
        names = self.p.placements
        return len(self._states()) * sum(self.most_of(e) for e in names)
