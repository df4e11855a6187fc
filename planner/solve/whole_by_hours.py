"""Whole numbers hour by hour: purchases are whole first, then each hour is a problem of its own with them given.

Purchases are made whole where all that runs in the linear program stays as it is: at its best point, not at the
master's, which may be far from it. Then hours: what is rented, replicas, and what failures do with them, each failure
tested. Last, purchases once more, for the machines that stand in the plan. The bound is that of the linear program.

What goes directly, all hours in one integer program: work that waits, as an hour of its own has no say in what it takes
up; priced failures; gateways that rescale; a budget; commitments on spend; least numbers of modules.

Where utilisation is by waiting, purchases are reckoned with the replicas of the hour with the most of each placement,
and each hour then with its own, which fall until its plan keeps to them. Where an hour has no plan that way its numbers
are reckoned with for all hours: see `by_waiting`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np

from planner.errors import NoPlan
from planner.problem.algebra import Array
from planner.problem.arrays import full
from planner.problem.decisions import ONCE, Decisions, Vectors, names, table
from planner.problem.rules.costs import cost_usd
from planner.problem.rules.index_sets import INDEX_SETS, by_id
from planner.problem.waiting import Of
from planner.solve.by_hours import ByHours
from planner.solve.by_waiting import (
    MOST_AGAIN,
    MOST_ROUNDS,
    PAYS,
    fewer_than,
    more_carried,
    reckoned_with,
    used_in,
)
from planner.solve.feasibility_subproblem import Replicas
from planner.solve.highs import Ends
from planner.solve.purchases_anew import PURCHASES_GAP, PURCHASES_NODES, purchases_once_more, started_in
from planner.solve.search import Block, Search, TimeLimitPassed, TooFull
from planner.solve.stages import WHOLE_NUMBERS, in_thread, stage
from planner.solve.whole_hour import HourPlan, in_hour
from planner.solve.whole_plan import WholePlan
from planner.solve.whole_tests import TestedPlan
from planner.threads import AHEAD, side_by_side

Item = TypeVar("Item")
HOURS_FRACTION = 0.8
"""Share of the gap that purchases in whole numbers leave, which those within the hours may use up, in equal parts."""
SIMILAR_FRACTION = 0.4
"""Share of the gap that purchases of a similar plan may use up."""
HOURS_TIME_FRACTION = 0.8
"""Share of the time limit when whole numbers within the hours are to be had: states are settled in the rest."""


@dataclass(frozen=True)
class HourSearch:
    """A search for the plan of an hour.

    Parameters
    ----------
    spare_usd : what the plan may cost more than a divisible one
    at_once : whether the first that can be had will do
    thorough : whether to search on when rounding what is divisible, and what is near it, is not good enough
    hours_to_come : hours that share the time that remains, this one counted
    """

    hour: str
    spare_usd: float
    at_once: bool
    thorough: bool
    hours_to_come: int = 1


@dataclass(frozen=True)
class PlanOfHour:
    """What came of it; `divisible_usd`: what the hour costs with what starts given, divisible; `reckoned`: the replicas
    that were reckoned with, where utilisation is by waiting, and no time limit came first."""

    hour: str
    plan: TestedPlan | None
    divisible_usd: float
    time_limit_ended: bool = False
    reckoned: Mapping[Of, float] = field(default_factory=dict)


class WholeByHours(WholePlan):
    """The search for whole numbers after a linear program was solved by hours.

    Parameters
    ----------
    by_hours : the linear program at its best point
    """

    def __init__(self, search: Search, by_hours: ByHours, start: Decisions | None = None) -> None:
        super().__init__(search, start)
        self.by_hours = by_hours
        self._started: dict[str, Array] = {}
        """units that start in each period, once they are whole"""
        self._purchases_usd = 0.0
        """what the linear program with them costs more than the bound"""
        self._divisible = Vectors()
        """what is bought and runs with these, divisible"""
        self._divisible_usd: dict[str, float] = {}
        """what each hour costs then, what is bought for longer apart"""
        self._of_hours: dict[str, TestedPlan] = {}
        self._more_usd_of: dict[str, float] = {}
        """what the plans of hours cost more than divisible ones"""
        self._without_plan: Mapping[Of, float] = {}
        """by waiting: replicas that an hour without a plan reckoned with"""
        self._settled: TestedPlan | None = None
        """the plan that was made hour by hour, its states settled"""

    def _run(self) -> None:
        if not self._hour_by_hour(at_once=False):
            super()._run()
            return
        self._keep_similar()
        if not self._is_proven() and not self._is_large() and self.p.waiting is None:
            self._search_everything()
            self._drop()

    def at_once(self) -> TestedPlan:
        """The best plan so far, else the first that can be had; hours that have one keep it."""
        try:
            if self.best is None:
                self._hour_by_hour(at_once=True)
        except TimeLimitPassed:
            self.time_limit_ended = True
        return super().at_once()

    def settled(self, tested: TestedPlan, stay: Set[Block] = frozenset()) -> Vectors:
        """All decisions of a plan: hour by hour they are settled already."""
        return tested.decisions if tested is self._settled else super().settled(tested, stay)

    def _hour_by_hour(self, at_once: bool) -> bool:
        """Whether a plan was made hour by hour."""
        search = self.search
        if not self._started and not self._buy():
            return False
        spare_usd = HOURS_FRACTION * (self.effort.gap_fraction * abs(search.bound) - self._purchases_usd)
        if not self._make_hours(max(0.0, spare_usd), at_once):
            search.check_time()
            self._check_numbers()
            search.progress("whole numbers", None, "an hour has no plan with what is bought for all: all hours at once")
            self._of_hours.clear()
            return False
        self._keep(self._assembled())
        return True

    def _check_numbers(self) -> None:
        """Raise TooFull where hours without a plan reckoned with fewer replicas than what was bought is found with."""
        if self.p.waiting is not None:
            fewer = {of: n for of, n in self._without_plan.items() if n < self.p.waiting.replicas[of]}
            if fewer:
                raise TooFull(fewer)

    def _keep_similar(self) -> None:
        """Keep what a similar plan starts and runs, where something else was chosen and that holds and costs less."""
        if self.start is None:
            return
        chosen, similar = self._started, started_in(self.p, self.start)
        if all((chosen[t] == units).all() for t, units in similar.items()) or self._let_start(similar) is None:
            return
        self._of_hours.clear()
        if self._keep_hours():
            self._keep(self._assembled())

    def _keep(self, plan: TestedPlan) -> None:
        """Keep a plan that is settled where it is cheaper."""
        if self.best is None or plan.cost_usd < self.best.cost_usd:
            self.best = self._settled = plan
            self.search.has_plan = True

    def _assembled(self) -> TestedPlan:
        """The plan of all hours, its states settled, with the least purchases for what stands."""
        p, search = self.p, self.search
        x, survived = Vectors(), dict[Block, Replicas | None]()
        for plan in self._of_hours.values():
            _take(x, plan.decisions)
            survived.update(plan.survived)
        x.started.update({(t,): units for t, units in self._started.items()})
        by_failure = {(f, h): survived[f, h] for f in p.failures for h in p.hours if (f, h) in survived}
        x = self.tests.settle_states(x, by_failure, merge=True)
        x = purchases_once_more(p, x, seconds=search.remaining_seconds())
        return TestedPlan(x, float(cost_usd(full(p), x)[0]), survived, self._values_of(x))

    def _values_of(self, x: Vectors) -> Array:
        """What is bought and runs, as values of the program's columns; all others zero."""
        values = np.zeros(self.search.program.n)
        for own in self.search.program.owned:
            if own.name in names("purchases"):
                values[own.columns] = np.asarray(getattr(x, own.name)[own.scope])[own.elements]
        return values

    @stage(WHOLE_NUMBERS)
    def _buy(self) -> bool:
        """Choose what starts: as in a similar plan where that is good enough, else anew; whether hours follow alone."""
        usd = None
        if self.start is not None:
            usd = self._let_start(started_in(self.p, self.start))
        spare_usd = SIMILAR_FRACTION * self.effort.gap_fraction * abs(self.search.bound)
        if usd is None or usd > spare_usd:
            ends = Ends(PURCHASES_GAP, PURCHASES_NODES, self.search.remaining_seconds())
            usd = self._let_start(self.by_hours.whole_purchases(ends))
        if usd is None:
            return False
        self._purchases_usd = usd
        return True

    def _let_start(self, started: dict[str, Array]) -> float | None:
        """What the linear program costs with what starts given, more than the bound [USD]; None: hours are coupled."""
        by_hours, n = self.by_hours, len(self.p.hours)
        if (point := by_hours.point_with(started)) is None:
            return None
        answers, value = by_hours.evaluate(range(n), np.ones(n), point, self.search.check_time)
        self._started = started
        self._divisible_usd = {h: answers[k].value * self.search.program.scale for k, h in enumerate(self.p.hours)}
        self.search.program.values = by_hours.values_at(point, answers)
        self._divisible = self.search.purchases(integer=False)
        return self.search.program.unscaled(value) - self.search.bound

    def _make_hours(self, spare_usd: float, at_once: bool) -> bool:
        """Make the plans of all hours; whether each has one.

        Hours stay as in a similar plan where that still holds. In the others the first plan that is found will do,
        where all together cost no more than they may; hours in which plans cost most are searched on.
        """
        if self.start is not None:
            self._keep_hours(all_of_them=False)
        missing = [h for h in self.p.hours if h not in self._of_hours]
        given_usd: dict[str, float] = {}
        """what hours that are begun may cost more, as long as it is not known what they do"""

        def begun() -> Iterator[HourSearch]:
            for k, h in enumerate(missing):
                more_usd = sum(self._more_usd_of.values()) + sum(given_usd.values())
                given_usd[h] = max(0.0, spare_usd - more_usd) / (len(missing) - k)
                yield HourSearch(h, given_usd[h], at_once, thorough=False, hours_to_come=len(missing) - k)

        with self._side_by_side(self._search_hour, begun()) as plans:
            for k, h in enumerate(missing):
                self.search.progress("whole numbers", k / len(missing), f"hour by hour: {h}")
                plan = next(plans)
                del given_usd[h]
                if not self._take_up(plan):
                    return False
        if not at_once:
            if self.start is not None:
                self._search_on(spare_usd, thorough=False)
            self._search_on(spare_usd, thorough=True)
        return True

    def _search_on(self, spare_usd: float, thorough: bool) -> None:
        """Search on in the hours whose plans cost most, until all together cost no more than they may, or one gave up
        less than half of its part of what is too much. One after the other: what each gives up is what others need not.
        """
        for h in sorted(self.p.hours, key=lambda h: -self._more_usd_of[h]):
            over_usd = sum(self._more_usd_of.values()) - spare_usd
            if over_usd <= 0 or self.search.out_of_time():
                return
            self.search.progress("whole numbers", None, f"hour by hour: {h} once more")
            before_usd = self._more_usd_of[h]
            spare_of_hour_usd = max(0.0, before_usd - over_usd)
            self._take_up(self._search_hour(HourSearch(h, spare_of_hour_usd, at_once=False, thorough=thorough)))
            if before_usd - self._more_usd_of[h] < over_usd / (2 * len(self.p.hours)):
                return

    def _side_by_side(
        self, work: Callable[[Item], PlanOfHour], items: Iterable[Item]
    ) -> AbstractContextManager[Iterator[PlanOfHour]]:
        """What comes of several hours, which need nothing of each other."""
        full(self.p)  # what all of them use is made once, before there are several
        return side_by_side(in_thread(work), items, self.effort.jobs)

    def _take_up(self, made: PlanOfHour) -> bool:
        """Take up the plan of an hour where it is cheaper than the one at hand; whether the hour has one."""
        h, plan = made.hour, made.plan
        self.time_limit_ended |= made.time_limit_ended
        if plan is None:
            self._without_plan = made.reckoned
        if plan is not None and (h not in self._of_hours or plan.cost_usd < self._of_hours[h].cost_usd):
            self._of_hours[h], self._more_usd_of[h] = plan, plan.cost_usd - made.divisible_usd
        return h in self._of_hours

    def _keep_hours(self, all_of_them: bool = True) -> bool:
        """Keep what runs in the similar plan where that is a plan of an hour that has none yet; whether all have one.

        Parameters
        ----------
        all_of_them : whether it helps only where all have one: the first without ends it
        """
        missing = [h for h in self.p.hours if h not in self._of_hours]
        with self._side_by_side(self._similar_hour, missing) as plans:
            for plan in plans:
                if not self._take_up(plan) and all_of_them:
                    return False
        return len(self._of_hours) == len(self.p.hours)

    def _similar_hour(self, h: str) -> PlanOfHour:
        """What runs in an hour of the similar plan, where it is a plan of that hour."""
        self.search.check_time()
        asked = HourSearch(h, 0.0, at_once=True, thorough=False)
        plan_of_hour = self._plan_of_hour(asked, self.start, self._reckoned_in(h, self.start))
        try:
            return PlanOfHour(h, plan_of_hour.as_in_similar_plan(), plan_of_hour.divisible_usd)
        except TimeLimitPassed:
            return PlanOfHour(h, None, plan_of_hour.divisible_usd)

    def _search_hour(self, asked: HourSearch) -> PlanOfHour:
        """A plan of an hour with what starts given; by waiting looked for anew where its own replicas carry more than
        those that it was found with."""
        start = by_id(self.p, self._of_hours[asked.hour].decisions) if asked.hour in self._of_hours else None
        made, search = self._plan_by_number(asked, start, self._reckoned_in(asked.hour, start))
        for _ in range(MOST_AGAIN if self.p.waiting is not None and not asked.at_once else 0):
            if made.plan is None or made.time_limit_ended or self.search.out_of_time():
                break
            own = self._own_numbers(search, made)
            if more_carried(search.p, own, made.reckoned) <= PAYS * self.effort.gap_fraction:
                break
            again, search = self._plan_by_number(asked, by_id(search.p, made.plan.decisions), {**made.reckoned, **own})
            if again.plan is None or again.plan.cost_usd >= made.plan.cost_usd:
                break
            made = again
        return made

    def _plan_by_number(
        self, asked: HourSearch, start: Decisions | None, reckoned: Mapping[Of, float]
    ) -> tuple[PlanOfHour, Search]:
        """A plan of an hour, and its search; by waiting replicas that are too full lower what is reckoned with."""
        for n in range(MOST_ROUNDS):
            plan_of_hour = self._plan_of_hour(asked, start, reckoned)
            usd, search = plan_of_hour.divisible_usd, plan_of_hour.search
            try:
                plan = plan_of_hour.at_once() if asked.at_once else plan_of_hour.run()
            except TooFull as error:
                reckoned = fewer_than(reckoned, error.replicas, n)
            except NoPlan:
                if n > 0 or self.p.waiting is None:
                    break
                reckoned = self.p.waiting.replicas  # with which there was a divisible plan
            else:
                return PlanOfHour(asked.hour, plan, usd, plan_of_hour.time_limit_ended, reckoned), search
        led_nowhere = {} if plan_of_hour.time_limit_ended else reckoned
        return PlanOfHour(asked.hour, None, usd, reckoned=led_nowhere), search

    def _own_numbers(self, search: Search, made: PlanOfHour) -> dict[Of, float]:
        """Replicas with which the plan of an hour does what it does, none beyond those that all hours reckon with."""
        assert made.plan is not None and self.p.waiting is not None
        own = used_in(search.p, made.plan.decisions, (made.hour,), search.blocks)
        return {of: min(self.p.waiting.replicas[of], n) for of, n in own.items()}

    def _reckoned_in(self, h: str, similar: Decisions | None = None) -> dict[Of, float]:
        """Replicas that an hour reckons with, where utilisation is by waiting: by what runs divisible.

        Parameters
        ----------
        similar : a plan whose replicas are tried as they are
        """
        if (waiting := self.p.waiting) is None:
            return {}
        blocks = [(f, h) for f in self.search.binding]
        reckoned = reckoned_with(self.p, used_in(self.p, self._divisible, (h,), blocks), waiting.replicas)
        running = {} if similar is None else similar.replicas
        for e in self.p.placements:
            if (n := running.get((e, h), 0.0)) >= 1:
                reckoned[e, False] = n
        return reckoned

    def _plan_of_hour(self, asked: HourSearch, start: Decisions | None, reckoned: Mapping[Of, float]) -> HourPlan:
        """The search for whole numbers of an hour.

        Parameters
        ----------
        reckoned : replicas to reckon with, where utilisation is by waiting
        """
        search, h = self.search, asked.hour
        alone = in_hour(self.p, h, self._started)
        if alone.waiting is not None:
            alone = replace(alone, waiting=alone.waiting.by_replicas(reckoned))
        most_nodes = search.most_nodes()  # all hours share those of one search
        effort = replace(self.effort, most_nodes=most_nodes, seconds=self._seconds_of(asked), jobs=1)
        one = Search(alone, effort, search.new_solver, lambda stage, done, detail: None)
        if self.effort.seconds is not None:
            one.first_plan_seconds = search.seconds_to_limit()
        one.known.update({block: replicas for block, replicas in search.known.items() if block[1] == h})
        for f in search.binding:
            one.enter((f, h))
        return HourPlan(one, start, self._divisible, self._divisible_usd[h], asked.spare_usd, asked.thorough)

    def _seconds_of(self, asked: HourSearch) -> float | None:
        """An hour's part of the time that remains; states are to be settled afterwards. None: there is no limit."""
        if self.effort.seconds is None:
            return None
        remaining = HOURS_TIME_FRACTION * self.effort.seconds - self.search.spent_seconds()
        return max(0.0, remaining) * min(self.effort.jobs, AHEAD, asked.hours_to_come) / asked.hours_to_come


def _take(x: Vectors, of_hour: Vectors) -> None:
    """Take up the decisions of one hour, and of what is chosen once."""
    for decision in table():
        kind = INDEX_SETS[decision.over].scopes
        for scope, vector in getattr(of_hour, decision.name).items():
            if kind in ("hour", "state") or scope == ONCE:
                getattr(x, decision.name)[scope] = vector
