"""The linear program over many hours, hour by hour: what is bought is chosen by a master that knows each hour by cuts.

Benders decomposition (Numerische Mathematik 4, 1962), with what each hour's dual solution says of all others (Infanger
and Morton, Mathematical Programming 75, 1996), at points near the best so far (a level method: Lemaréchal, Nemirovskii
and Nesterov, Mathematical Programming 69, 1995; here with distances in USD). Hours are coupled by what is bought, by
work that waits, by budgets and by spend commitments: see `hour_parts`. The master's value bounds the cost from below at
every moment.

What goes directly, all hours in one linear program: priced failures, whose estimates couple all hours; solvers other
than HiGHS; and few hours, where that is as fast (`enter_by_hours.FEWEST_HOURS`). Where an hour contradicts itself or a
solver fails, progress says so and all hours are solved at once. Hours are solved one after the other, each from where
the one before ended: all of it is a tenth of a plan's time and less. Failures are tested, and whole numbers of hours
looked for, side by side in threads (`Search.by_part`, `whole_by_hours`). What limits save is read off the best point,
and not confirmed by solving again with more of them.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from planner.errors import SolverError
from planner.interruption import held
from planner.problem.algebra import Array, Expr, numbers
from planner.solve.highs import OPTIMAL, Answer, Ends, KeptHiGHS
from planner.solve.hour_cuts import HourCuts
from planner.solve.hour_instance import HourAnswer, HourInstance
from planner.solve.hour_part import all_rows, same_matrices
from planner.solve.hour_parts import Parts
from planner.solve.linear_program import INFINITY
from planner.solve.program import power_of_two
from planner.solve.purchases_anew import restricted
from planner.solve.search import Search, TimeLimitPassed
from planner.solve.stages import BUILDING, LINEAR_PROGRAM, stage

TIME_FRACTION = 0.35
"""Share of the time limit after which it ends, once all hours were solved: whole numbers take longer."""
SAMPLE_FRACTION = 0.2
"""Share of the time limit after which some hours stand for all no more."""
LEVEL = 0.3
"""Where between the bound and the best cost the next point's cost may be, by what the master knows."""
NEAREST_ROUNDS = 3
MASTER_ROUNDS = 40
MOST_STEPS = 100
CLOSE = 1e-6
"""Share by which a cut must be violated to enter the master."""
SHORT = 1e-6
"""What is no shortfall, in the solver's units."""
DEARER = 10.0
"""What is short at the end costs so many times more from then on."""
ANEW = ("rented", "opened")
"""What is chosen anew with what is bought for longer, when all that runs stays."""


class ByHours:
    """A program solved by hours.

    Parameters
    ----------
    search : whose program has all hours, and whose bound rises

    After `solve`, `center` is the best point of the master's columns, `answers` what each hour has at it, `value` what
    it costs.
    """

    def __init__(self, search: Search) -> None:
        self.search, self.p, self.program = search, search.p, search.program
        search.minimise()
        self.parts = Parts(self.p, self.program)
        self.first_of: list[int] = []
        self.instances: dict[int, HourInstance] = {}
        self.cuts: dict[int, HourCuts] = {}
        self._member: list[int] = []
        self._prepare()
        self._master_solver = KeptHiGHS()
        self._master_duals, self._masters = np.zeros(0), np.zeros(0)
        n = len(self.p.hours)
        ends, ones = np.full(n, INFINITY), np.ones(n)
        self._costs_at = self.parts.master.add_columns(-ends, ends, ones, np.zeros(n, dtype=bool))
        """columns of the master: what each hour costs"""
        self.own = len(self.parts.columns) + len(self.parts.links)
        self._costs = self.parts.master.costs.copy()
        self._weights = np.zeros(n)
        self._best_at, self._distance_at = self._distances()
        self._bounded: set[int] = set()
        """hours of which the master has a cut"""
        self._added: set[tuple[int, float, bytes]] = set()
        """cuts that the master has"""
        self.center = np.zeros(0)
        self.answers: dict[int, HourAnswer] = {}
        self.value = INFINITY
        self.steps = 0
        self.interrupted = False
        """whether the linear program was: whole numbers are to be had at once"""

    @stage(BUILDING)
    def _prepare(self) -> None:
        """Instances and cuts, one for all hours of the same matrix; those from before go on."""
        parts = self.parts.hours
        before = self.first_of
        self.first_of = same_matrices(parts)
        if before and self.first_of != before:
            raise SolverError("hours that had one matrix have several, after failures entered")
        self._member = [self.first_of[:k].count(first) for k, first in enumerate(self.first_of)]
        for first in sorted(set(self.first_of)):
            members = [parts[k] for k, of in enumerate(self.first_of) if of == first]
            instance = HourInstance(parts[first])
            if first in self.instances:
                instance.go_on_from(self.instances[first])
                self.cuts[first].renew(members)
            else:
                self.cuts[first] = HourCuts(members)
            self.instances[first] = instance

    def enter(self, failures: Iterable[str]) -> None:
        """Let failures enter in all hours: cuts and bases stay, the best point is to be judged anew."""
        with held():
            for f in failures:
                enter_in_all_hours(self.search, f)
            self.search.minimise()
            self.parts.renew()
            self._prepare()
        self.value = INFINITY

    # -------------------------------------------------------------- a linear program over some hours
    @stage(LINEAR_PROGRAM)
    def solve(self, hours: Sequence[int], weights: Array, gap_fraction: float) -> None:
        """The best of some hours with weights, to within a gap; of all hours the master's value is the search's bound.

        Raises
        ------
        TimeLimitPassed
            when the time limit came first
        """
        every = len(hours) == len(self.p.hours)
        self._weights = weights
        self.value = INFINITY
        if not len(self.center):
            self.center = self._first_point(hours, weights)
        query, lower = self.center, -INFINITY
        level = self._level(weights)
        before, moved = (INFINITY, -INFINITY), True
        for _ in range(MOST_STEPS):
            self.steps += 1
            answers, value = self.evaluate(hours, weights, query, self._check_time)
            if value < self.value:
                self.value, self.center, self.answers = value, query, answers
            lower = max(lower, self._master(hours))
            if every:
                self.search.bound = max(self.search.bound, self.program.unscaled(lower))
            self._say(lower, len(hours))
            is_close = self.value - lower <= gap_fraction * max(abs(self.value), 1e-9)
            stands = not moved and before == (self.value, lower)
            if is_close or stands or (not every and self.is_late(SAMPLE_FRACTION)):
                return
            before, last = (self.value, lower), query
            query = self._nearest(hours, level, lower + LEVEL * (self.value - lower))
            moved = not np.array_equal(query, last)

    def _check_time(self) -> None:
        """End the linear program when whole numbers need the rest of the time; all hours are solved once, though."""
        self.search.check_time()
        if len(self.answers) == len(self.p.hours) and self.is_late(TIME_FRACTION):
            raise TimeLimitPassed

    def is_late(self, fraction: float) -> bool:
        """Whether so much of the time limit has passed."""
        return self.search.spent_seconds() > fraction * self.search.limit_seconds()

    def _say(self, lower: float, hours: int) -> None:
        usd, gap = self.program.unscaled, (self.value - lower) / max(abs(self.value), 1e-9)
        costs = f"at least {usd(lower):,.0f}, at most {usd(self.value):,.0f} USD, gap {gap:.2e}"
        self.search.progress("hour by hour", None, f"step {self.steps}, {hours} hours: {costs}")

    def evaluate(
        self, hours: Sequence[int], weights: Array, point: Array, check_time: Callable[[], None]
    ) -> tuple[dict[int, HourAnswer], float]:
        """What each hour has at a point of the master, and what all cost; each dual solution becomes a cut."""
        answers = {}
        value = float((self._costs[: self.own] * point[: self.own]).sum())
        for k in hours:
            check_time()
            answers[k] = self._hour(k, point)
            value += float(weights[k]) * answers[k].value
        return answers, value

    def _hour(self, k: int, point: Array) -> HourAnswer:
        first = self.first_of[k]
        answer = self.instances[first].solve(k, self.parts.hours[k], point)
        self.cuts[first].add(self._member[k], answer.duals)
        return answer

    # -------------------------------------------------------------- the master
    def _distances(self) -> tuple[Array, Array]:
        """Columns of the master that say where the best point is, and how far from it on either side a point is."""
        master, n = self.parts.master, self.own
        none, zeros, ends = np.zeros(n, dtype=bool), np.zeros(n), np.full(n, INFINITY)
        unit = master.unit[:n]
        best, more, less = (master.add_columns(zeros, ends, unit, none) for _ in range(3))
        row = np.tile(np.arange(n), 4)
        column = np.concatenate([np.arange(n), best, more, less])
        value = np.repeat([1.0, -1.0, -1.0, 1.0], n)
        master.add_rows(zeros, zeros, Expr(row, column, value, zeros).combined(master.n), 1.0 / unit)
        return best, np.concatenate([more, less])

    def _level(self, weights: Array) -> int:
        """A column of the master that is what the master costs, with some weights of hours."""
        master, none = self.parts.master, np.zeros(1, dtype=bool)
        (level,) = master.add_columns(np.array([-INFINITY]), np.array([INFINITY]), np.ones(1), none)
        column = np.concatenate([np.arange(self.own), self._costs_at, [level]])
        value = np.concatenate([self._costs[: self.own], weights, [-1.0]])
        terms = Expr(np.zeros(len(column), dtype=int), column, value, np.zeros(1)).combined(master.n)
        master.add_rows(np.zeros(1), np.zeros(1), terms, np.ones(1))
        return int(level)

    def _master(self, hours: Sequence[int]) -> float:
        """The master's value, with all cuts that its point violates for some hours."""
        master = self.parts.master
        for k in hours:
            if k not in self._bounded:  # without a cut it would cost minus infinity
                self._cut_off(k, self.center, -INFINITY)
        costs = np.zeros(master.n)
        costs[: self.own] = self._costs[: self.own]
        costs[self._costs_at] = self._weights
        master.costs = costs
        master.lower[self._best_at], master.upper[self._best_at] = 0.0, INFINITY
        answer, self._masters = self._solved(hours, MASTER_ROUNDS)
        if answer.duals is None or answer.status != OPTIMAL:
            raise SolverError(f"the master ended {answer.status}")
        self._master_duals = answer.duals
        return answer.objective

    def _nearest(self, hours: Sequence[int], level: int, most: float) -> Array:
        """The point nearest to the best one at which the master costs no more than so much."""
        master, best = self.parts.master, self.center[: self.own]
        costs = np.zeros(master.n)
        paid = np.abs(self._costs[: self.own])
        paid[paid == 0] = paid[paid > 0].mean() if (paid > 0).any() else 1.0
        costs[self._distance_at] = np.tile(paid, 2)
        master.costs = costs
        master.lower[self._best_at] = master.upper[self._best_at] = best
        master.upper[level] = most
        answer, point = self._solved(hours, NEAREST_ROUNDS)
        master.upper[level] = INFINITY
        return point if answer.status == OPTIMAL else self._masters

    def _solved(self, hours: Sequence[int], rounds: int) -> tuple[Answer, Array]:
        """The optimum of the master and its point, with the cuts that this violates, for some rounds."""
        for _ in range(rounds):
            answer = self._master_solver.linear(self.parts.master, self.search.remaining_seconds())
            if answer.values is None:
                self.search.check_time()
                return answer, self.center
            point = self.parts.with_parameters(answer.values)
            violated = [self._cut_off(k, point, float(answer.values[self._costs_at[k]])) for k in hours]
            if not any(violated):
                break
        return answer, point

    def _cut_off(self, k: int, point: Array, cost: float) -> bool:
        """Add the cut that says most of an hour at a point, where the master has it cost less; whether it did."""
        cuts = self.cuts[self.first_of[k]]
        least, constant, slope = cuts.best(self._member[k], self.parts.with_parameters(point))
        if not np.isfinite(least) or least <= cost + CLOSE * max(abs(least), 1e-6):
            return False
        if (cut := (k, constant, slope.tobytes())) in self._added:
            return False  # violated by no more than the solver's tolerance
        self._added.add(cut)
        master, parameters = self.parts.master, cuts.parameters[self._member[k]]
        used = np.flatnonzero(slope)
        column, value = np.append(self._costs_at[k], parameters[used]), np.append(1.0, -slope[used])
        size = np.max(np.abs(value) * master.unit[column], keepdims=True)
        terms = Expr(np.zeros(len(column), dtype=int), column, value, np.zeros(1)).combined(master.n)
        master.add_rows(np.array([constant]), np.array([INFINITY]), terms, 1.0 / power_of_two(size))
        self._bounded.add(k)
        return True

    # -------------------------------------------------------------- points of the master
    def _first_point(self, hours: Sequence[int], weights: Array) -> Array:
        """Everything by the hour first; then the least purchases for what stands in each hour then."""
        point = np.zeros(self.parts.master.n)
        point[[link.column for link in self.parts.links]] = self.parts.equal_shares()
        values = np.zeros(self.program.n)
        for k in hours:
            self.search.check_time()
            values[self.parts.hours[k].columns] = self._hour(k, point).values
        weight = np.zeros(self.program.n)
        weight[self.parts.columns] = 1.0
        for k in hours:
            weight[self.parts.hours[k].columns] = weights[k]
        return self.parts.master_values(self._with_purchases_anew(values, weight, None))

    def point_with(self, started: dict[str, Array]) -> Array | None:
        """The master's point for what starts in each period [units; B]; None: it has more to choose, or may not be."""
        if self.parts.links:
            return None
        point = np.zeros(self.parts.master.n)
        for (t,), vector in self.search.x.started.items():
            if isinstance(vector, Expr):
                at = np.searchsorted(self.parts.columns, vector.column)
                point[at] = started[t][vector.row]
        return self.parts.with_parameters(point) if self.parts.allows(point) else None

    def whole_purchases(self, ends: Ends) -> dict[str, Array]:
        """Units that start in each period, whole, at the least cost with which what runs at the best point stands."""
        values = self._with_purchases_anew(self.values(), np.ones(self.program.n), ends)
        started = self.search.x.started
        return {t: np.asarray(np.round(numbers(vector, values))) for (t,), vector in started.items()}

    def _with_purchases_anew(self, values: Array, weight: Array, ends: Ends | None) -> Array:
        """Values of the program's columns with the cheapest purchases for what runs; see `restricted`."""
        anew = np.zeros(self.program.n, dtype=bool)
        anew[self.parts.columns] = True
        for own in self.program.owned:
            if own.name in ANEW:
                anew[own.columns] = True
        columns = np.flatnonzero(anew & (weight > 0))
        every = values.copy()
        every[columns] = restricted(self.program, columns, weight, values, ends)
        return every

    # -------------------------------------------------------------- what came of it
    def values(self) -> Array:
        """Values of the program's columns at the best point."""
        return self.values_at(self.center, self.answers)

    def values_at(self, point: Array, answers: Mapping[int, HourAnswer]) -> Array:
        """Values of the program's columns at a point of the master, and with what hours have there."""
        values = np.zeros(self.program.n)
        values[self.parts.columns] = point[: len(self.parts.columns)]
        for k, answer in answers.items():  # of before failures entered, where the time limit came since
            values[self.parts.hours[k].columns[: len(answer.values)]] = answer.values
        return values

    def hold(self) -> None:
        """Leave the program at the best point: purchases, prices and what failures cost are read off it."""
        program, rows = self.program, self.parts.master_rows
        program.values = self.values()
        program.objective = program.value_of(program.values)
        program.duals = np.zeros(program.m)
        for k, answer in self.answers.items():
            program.duals[self.parts.hours[k].rows[: len(answer.duals)]] = answer.duals
        if len(self._master_duals):
            program.duals[rows] = self._master_duals[: len(rows)]
        _, _, _, terms = all_rows(program)
        program.reduced_costs = program.costs - terms.transposed(program.duals, program.n)

    def is_usable(self) -> bool:
        """Whether the best point so far is one of all hours, nothing short, and there is a bound."""
        every = len(self.answers) == len(self.p.hours)
        return every and not self.is_short() and self.search.bound > -INFINITY

    def is_short(self) -> bool:
        """Whether something is short at the best point: its price was too low, or no plan exists."""
        return any(answer.short.max(initial=0.0) > SHORT for answer in self.answers.values())

    def dearer(self) -> None:
        """Let what is short cost more."""
        for instance in self.instances.values():
            instance.slack_factor *= DEARER


def enter_in_all_hours(search: Search, f: str) -> None:
    """A failure enters in every hour, so that all hours keep one matrix."""
    for h in search.p.hours:
        search.enter((f, h))
