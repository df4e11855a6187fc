"""Whole numbers of one hour, what starts given: next to the divisible ones first, then around what is found."""

from dataclasses import replace

import numpy as np

from planner.problem.algebra import Array
from planner.problem.arrays import full
from planner.problem.decisions import Decisions, Vectors
from planner.problem.problem import Problem
from planner.solve.program import OPTIMAL
from planner.solve.search import Search
from planner.solve.whole_numbers import Bounds, whole_names
from planner.solve.whole_plan import PART_NODES, WholePlan
from planner.solve.whole_tests import TestedPlan

CLOSE = 1e-6
"""A number so close to a whole one is that."""


class HourPlan(WholePlan):
    """The search for whole numbers of a problem of one hour.

    Parameters
    ----------
    search : of the problem of the hour alone, the binding failures entered
    start : what a similar plan buys and runs; None: there is none
    divisible : what is bought and runs at the least cost, divisible
    divisible_usd : what that costs, what is bought for longer apart
    spare_usd : what whole numbers may cost more
    thorough : whether to search on in all of the program when what was found first costs more than that
    """

    def __init__(
        self,
        search: Search,
        start: Decisions | None,
        divisible: Vectors,
        divisible_usd: float,
        spare_usd: float,
        thorough: bool,
    ) -> None:
        program = search.program
        search.minimise()
        if search.p.waiting is None or program.solve(search.remaining_seconds()) != OPTIMAL:
            program.values = np.zeros(program.n)
            given = np.zeros(program.n)
            for own in program.owned:
                if own.name in whole_names():
                    program.values[own.columns] = getattr(divisible, own.name)[own.scope][own.elements]
                if own.name == "started":
                    given[own.columns] = program.lower[own.columns]
            self.divisible_usd = program.value_of(given) + divisible_usd
        else:  # it reckons with replicas of its own
            self.divisible_usd = program.objective
        search.bound = self.divisible_usd
        gap_fraction = spare_usd / max(self.divisible_usd + spare_usd, 1e-9)
        search.effort = replace(search.effort, gap_fraction=gap_fraction)
        super().__init__(search, start)
        self._thorough = thorough

    def as_in_similar_plan(self) -> TestedPlan | None:
        """The plan with the replicas of a similar one, at the least that is rented; None where it is none here."""
        if self.start is None:
            return None
        lower, upper = self.integers.lower.copy(), self.integers.upper.copy()
        replicas = np.zeros(len(lower))
        replicas[self.bought.at] = self.bought.values_of(self.start)
        at = self.bought.free
        if (replicas[at] < lower[at]).any() or (replicas[at] > upper[at]).any():
            return None
        lower[at] = upper[at] = replicas[at]
        answer = self._solve("the similar plan", (lower, upper), self._part_gap(), PART_NODES)
        if answer.values is not None:
            self._test(answer.values)
        return self.best

    def _run(self) -> None:
        self.as_in_similar_plan()
        if self.best is None or not self._is_proven():
            self._first_plan()
        if self.best is not None and not self._is_proven():
            self._improve()
        if self.best is None or self._thorough:
            self._search_everything()
        self._drop()

    def _first_plan(self) -> None:
        """Whole numbers next to the divisible ones; where there are none, in what these buy.

        Source
            Berthold, RENS: the optimal rounding, Mathematical Programming Computation 6 (2014)
        """
        bounds = self._next_to_divisible()
        answer = self._solve("next to divisible numbers", bounds, self._part_gap(), PART_NODES)
        if answer.values is not None and self._is_cheaper(answer.objective):
            self._survive(answer.values)
        if self.best is None:
            super()._first_plan()

    def _next_to_divisible(self) -> Bounds:
        """Bounds that round each number up or down; what is rented for the hour may be more wherever anything runs."""
        bought, every = self.bought, self.integers
        lower, upper = bought.support([self.lp_values], whole_pools=False)
        at = bought.free
        values = self.lp_values[at]
        lower[at] = np.clip(np.floor(values + CLOSE), lower[at], upper[at])
        upper[at] = np.clip(np.ceil(values - CLOSE), lower[at], upper[at])
        paid = bought.units
        upper[paid] = every.upper[paid]
        return lower, upper


def in_hour(p: Problem, h: str, started: dict[str, Array]) -> Problem:
    """The problem of one hour alone, with what starts in each period given."""
    a = full(p)
    ordered = {(b, when): units for (b, when), units in p.ordered.items() if when == h}
    for t, units in started.items():
        for i in np.flatnonzero(a.may_start(t)).tolist():
            (b,) = a.offers[i]
            ordered[b, t] = float(units[i]), float(units[i])
    return replace(p, hours=(h,), ordered=ordered)
