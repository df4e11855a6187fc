"""What replicas carry by their number, in a program of whole numbers: as a plan may, and as no plan can exceed.

What n replicas carry, `largest utilisation(n) · n`, grows faster than n. Searches of a part look for plans: each
placement is filled in each state as far as so many may be as are reckoned with there, which is safe for as many or
more. Searches of everything look for a bound: a column says in which range the number is (none: nothing runs), another
how many run in it, and within a range work is below a line that is nowhere below what they carry.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from planner.problem.algebra import Array, Expr, Rows, Vector, is_number, numbers, stacked, sum_by, total
from planner.problem.problem import State, most_machines
from planner.problem.rules.formulas import is_normal, replica_seconds_used, running
from planner.problem.rules.states import replicas_carry_traffic
from planner.problem.waiting import Of, Waiting
from planner.solve.highs import Answer, Ends
from planner.solve.integer_program import IntegerProgram
from planner.solve.program import INFINITY, Program
from planner.solve.search import Search
from planner.units import ROUNDING

FACTOR = 4.0
"""The last number of a range by the number before its first."""
SAMPLES = 16
"""Numbers of a range of which what they carry is worked out; between them utilisation is taken to rise."""
APART = 1e-9
"""Share by which a line is moved off what it must not cross."""
TOO_FULL = 1e-7
"""Share by which replicas may be too full for their number: less than the audit overlooks."""
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
    """

    values: Array
    at: Array
    of_most: Array
    row: Array
    of: list[Row]


@dataclass(frozen=True)
class _Ranged:
    """Ranges of the replicas of a placement: fewest and most, and columns of whether they are in it, and how many."""

    low: Array
    high: Array
    is_in: Expr
    number: Expr


def ranges_up_to(most: float) -> tuple[Array, Array]:
    """Fewest and most replicas of each range of the whole numbers from 1 to a largest.

    Examples
    --------
    >>> low, high = ranges_up_to(30.0)
    >>> low.tolist(), high.tolist()
    ([1.0, 2.0, 8.0], [1.0, 7.0, 30.0])
    """
    lows, high = list[float](), max(1.0, float(np.floor(most + ROUNDING)))
    highs = list[float]()
    while high >= 1:
        lows.append(float(np.floor(high / FACTOR)) + 1.0)
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
                self._blocks.append(_Block(terms.value, at, terms.value[at].copy(), terms.row[at], of))
                self.reckoned |= {(s, e): min(self.most[e, not is_normal(s)], UNUSED_REPLICAS) for s, e in of}
        self._added = len(self.program.added)
        self.apply()

    def reckon_as(self, values: Array, part: float, by_work: bool = False) -> None:
        """Reckon with so large a part of the replicas of a solution from now on.

        Parameters
        ----------
        by_work : whether with as many as do the work of those, which are filled further than so many may be
        """
        for s, runs, _ in self._running(values):
            in_failure = not is_normal(s)
            number = np.floor(runs + ROUNDING)
            if by_work:
                at_most = np.array([self.waiting.utilisation[e, in_failure] for e in self.p.placements])
                number = self.waiting.that_carry(in_failure, self.p.placements, (at_most * runs).tolist())
            for i in np.flatnonzero(runs >= 1 - ROUNDING).tolist():
                e = self.p.placements[i]
                if (s, e) in self.reckoned:
                    self.reckoned[s, e] = max(1.0, min(self.most[e, in_failure], float(np.floor(part * number[i]))))
        self.apply()

    def lower(self, values: Array) -> bool:
        """Reckon with fewer where replicas of a solution are too full for their number; whether there are any."""
        any_fewer = False
        for s, runs, work in self._running(values):
            number = np.maximum(1.0, np.floor(runs + ROUNDING))
            carried = self.waiting.largest(not is_normal(s), self.p.placements, number.tolist()) * runs
            for i in np.flatnonzero(work > carried + TOO_FULL * np.maximum(1.0, work)).tolist():
                row = s, self.p.placements[i]
                if number[i] < self.reckoned.get(row, 0.0):
                    self.reckoned[row], any_fewer = float(number[i]), True
        self.apply()
        return any_fewer

    def apply(self) -> None:
        """Let placements be filled as far as so many may be as are reckoned with."""
        shares = dict[Row, float]()
        for in_failure in (False, True):
            rows = [row for row in self.reckoned if is_normal(row[0]) != in_failure]
            utilisation = self.waiting.largest(in_failure, [e for _, e in rows], [self.reckoned[row] for row in rows])
            for row, most in zip(rows, utilisation.tolist(), strict=True):
                shares[row] = most / self.waiting.utilisation[row[1], in_failure]
        for block in self._blocks:
            share = np.array([shares[row] for row in block.of])
            block.values[block.at] = block.of_most * share[block.row]

    def restore(self) -> None:
        """Let placements be filled as far as the most that any plan can have."""
        for block in self._blocks:
            block.values[block.at] = block.of_most

    def _running(self, values: Array) -> Iterator[tuple[State, Array, Array]]:
        """(state, running replicas, their work) of the states in the program, of values of its first columns."""
        lifted = np.zeros(self.program.n)
        lifted[: len(values)] = values
        for s in self._states():
            runs, work = self._of_state(s)
            yield s, np.asarray(numbers(runs, lifted)), np.asarray(numbers(work, lifted))

    def _states(self) -> list[State]:
        return list(dict.fromkeys(s for s, _ in self.reckoned))

    def _of_state(self, s: State) -> tuple[Vector, Vector]:
        """Running replicas, and their work."""
        a = self.search.arrays_of(s[1])
        return running(a, self.search.x, s), replica_seconds_used(a, self.search.x, s)

    # -------------------------------------------------------------- the program of a bound
    def bounding(self, exact: bool = False) -> Program:
        """The program with what replicas carry in ranges of their number, where as many run as in normal operation.

        Other states of failures are as filled as the most; where it is exact they have ranges, too, all of one number.
        Formula, of each placement
            Σ_k number[e,k] = replicas[e],  Σ_k is_in[e,k] ≤ 1
            low[k] · is_in[e,k] ≤ number[e,k] ≤ high[k] · is_in[e,k]
            work[e,s] ≤ Σ_k slope[e,k,s] · number[e,k] + constant[e,k,s] · is_in[e,k]
        """
        program, ranged = self.program.extended(), dict[tuple[str, int], _Ranged]()
        for s in self._states():
            runs, work = self._of_state(s)
            if is_number(runs) or is_number(work):
                continue
            runs = runs.combined(self.program.n)
            many = len(self.p.placements)
            carries = (np.bincount(runs.row, minlength=many) > 0) & (np.bincount(work.row, minlength=many) > 0)
            if not carries.any():
                continue
            several = np.flatnonzero(carries).tolist()
            if is_normal(s):
                self._add_ranges(program, ranged, s, several, runs, exact)
            elif exact:
                its = dict[tuple[str, int], _Ranged]()
                self._add_ranges(program, its, s, several, runs, exact)
                self._add_lines(program, its, s, several, work)
                continue
            else:
                replicas = self.search.x.replicas[s[0],]
                several = [e for e in several if (s[0], e) in ranged and _same(runs, replicas, e)]
            if several:
                self._add_lines(program, ranged, s, several, work)
        return program

    def _add_ranges(
        self,
        program: Program,
        ranged: dict[tuple[str, int], "_Ranged"],
        s: State,
        several: list[int],
        runs: Expr,
        exact: bool,
    ) -> None:
        """Add ranges of the replicas that run in a state."""
        for e in several:
            name = self.p.placements[e]
            most = max(self.most[name, False], self.most[name, True])
            low, high = ranges_up_to(most)
            if exact:
                low = high = np.arange(1.0, max(1.0, float(np.floor(most + ROUNDING))) + 1.0)
            limit = np.append(high[:-1], INFINITY)  # more than do all of the work may run
            every = np.ones(len(low), dtype=bool)
            is_in, number = program.columns(every, integral=True), program.columns(every)
            program.upper[is_in.column] = 1.0
            program.upper[number.column] = limit
            keys = [(name, most) for most in high.tolist()]
            most_in_pool = most_machines(self.p, self.p.pool_of[name]) / self.p.machines_per_replica[name]
            most_there = np.minimum(limit, max(float(high[-1]), most_in_pool) + 1.0)
            program.add(
                "numbers_are_in_their_range",
                [Rows(keys, (s,), low * is_in, "<=", number), Rows(keys, (s,), number, "<=", most_there * is_in)],
            )
            at = np.array([e])
            program.add(
                "a_number_is_in_one_range",
                [
                    Rows([(name,)], (s,), total(number), "==", runs[at]),
                    Rows([(name,)], (s,), total(is_in), "<=", 1.0),
                ],
                as_rows=True,
            )
            ranged[s[0], e] = _Ranged(low, high, is_in, number)

    def numbers(self) -> float:
        """How many numbers of replicas there are in all states: columns of the exact program."""
        names = self.p.placements
        return len(self._states()) * sum(max(self.most[e, False], self.most[e, True]) for e in names)

    def _add_lines(
        self, program: Program, ranged: dict[tuple[str, int], "_Ranged"], s: State, several: list[int], work: Expr
    ) -> None:
        """Add what placements carry in each range."""
        of = [ranged[s[0], e] for e in several]
        names = [self.p.placements[e] for e in several]
        ranges = [
            (e, *ends) for e, each in zip(names, of, strict=True) for ends in zip(each.low, each.high, strict=True)
        ]
        slope, constant = lines_above(self.waiting, not is_normal(s), ranges)
        group = np.repeat(np.arange(len(of)), [len(each.low) for each in of])
        carried = sum_by(slope * stacked([each.number for each in of]), group, len(of))
        carried = carried + sum_by(constant * stacked([each.is_in for each in of]), group, len(of))
        rows = Rows([(e,) for e in names], (s,), work[np.array(several)], "<=", carried)
        program.add("replicas_carry_by_their_range", [rows], as_rows=True)


def _same(runs: Expr, replicas: Expr, e: int) -> bool:
    """Whether what runs of a placement are all its replicas."""
    at, its = np.flatnonzero(runs.row == e), replicas.column[replicas.row == e]
    if len(at) != 1 or len(its) != 1:
        return False
    return bool(runs.column[at[0]] == its[0] and runs.value[at[0]] == 1.0 and runs.constant[e] == 0.0)


class IntegerByNumber(IntegerProgram):
    """A view of the program: a search of all of it is one of the program of a bound, of a part one of plans."""

    def __init__(self, carried: Carried) -> None:
        self.carried = carried
        super().__init__(carried.program)

    def renew(self) -> None:
        """Take up the columns and rows that have entered the program since."""
        self.carried.renew()
        super().renew()

    def bound(
        self, integral: Array, most_nodes: int, seconds: float | None, cutoff_usd: float, exact: bool = False
    ) -> Answer:
        """What no plan costs less than, as far as nodes go; infeasible: none costs less than the cutoff.

        Where it is exact the values are those of a plan, but for failures that are not in the program.
        """
        self.carried.restore()
        try:
            program = self.carried.bounding(exact)
            own = program.integral.copy()
            own[: len(integral)] = integral
            program.integral = own
            cutoff = program.scaled(cutoff_usd)
            ends = Ends(0.0, most_nodes, seconds, only_bound=not exact, cutoff=cutoff, bound_alone=not exact)
            answer = program.answer(ends)
            return answer if answer.values is None else replace(answer, values=answer.values[: self.program.n])
        finally:
            self.carried.apply()
