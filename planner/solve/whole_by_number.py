"""Whole numbers where utilisation goes by how many replicas run: plans that keep to it, and a bound for all plans.

As `whole_plan`, but that each placement is filled in each state no further than a line that touches what so many carry
as are reckoned with there (`tangents`): at first as many as do the work of the linear program, or part of them; then as
many as the best plan runs. Where whole numbers are too full nevertheless, their number is reckoned with in that state.
In a large program each is filled as far as that number may be instead, and what is too full is added to.
The bound is that of the plans which cost less than what was asked for (`below_cutoff`); of a large program the most of
each is not lowered first, as what is saved there in one place is little of the cost.
"""

from collections.abc import Mapping

import numpy as np

from planner.problem.decisions import Decisions
from planner.problem.waiting import Of
from planner.solve.below_cutoff import BelowCutoff
from planner.solve.by_number import PART_OF_THEM, Carried
from planner.solve.highs import Ends
from planner.solve.program import INFEASIBLE, OPTIMAL
from planner.solve.search import MOST_PASSES, USUAL_GAP, Search, Survived
from planner.solve.stages import WHOLE_NUMBERS, stage
from planner.solve.tangents import IntegerByNumber
from planner.solve.whole_numbers import Bought, Bounds, replicas_in_failures
from planner.solve.whole_plan import PAYS_FRACTION, TIMES_BETWEEN, WholePlan
from planner.solve.whole_tests import TestedPlan, WholeTests

FEW_NUMBERS = 1000
"""Of replicas of all placements in all states, up to which each is a column of the program."""
WINDOW_FRACTION, MOST_WINDOWS = 0.2, 2
"""How far from a plan a window reaches, by what it buys, and how many are searched, each followed by a proof."""
TIGHTENED = 1
"""How often the most replicas of plans below a cutoff are lowered: once more changes little."""
PROOF_NODE_WORK = 1_200_000
"""Columns times nodes of the search for a proof of what was asked."""
PART_OF_PLAN = 0.9
"""Share that is reckoned with of the replicas of the best plan of a large program, around which it is searched."""
LARGE_NODES = 1
"""Of the search for a proof in a large program: nearly all of it comes of the cuts at the root."""
FAR_FROM_PROVEN = 5.0
"""Times the asked gap from which a plan by the numbers of each state is not all, where there is another way to one."""
STEP, MOST_STEPS = 0.25, 1
"""How far above a bound the next cutoff is [of the asked gap], and how many there are: what is little above is proven
in a part of the time that the asked one takes."""


class WholeByNumber(WholePlan):
    """The search for whole numbers, after the LP bound is known.

    Parameters
    ----------
    search : whose program has the binding failures of the linear program, and reckons with the most of each placement
    most : replicas to be reckoned with at the most
    start : what a similar plan buys and runs; None: there is none
    """

    def __init__(self, search: Search, most: Mapping[Of, float], start: Decisions | None = None) -> None:
        super().__init__(search, start)
        self.carried = Carried(search, most)
        self.integers = self.by_number = IntegerByNumber(self.carried)
        self.bought, self.tests = Bought(self.p, self.integers), WholeTests(search, self.integers)
        self._reckon_as_linear_program()

    def _run(self) -> None:
        if self.start is not None:
            self._keep_similar_plan(self.start)
            if self.best is None or not (self.effort.quick or self._is_proven()):
                self._make_whole_binding()
                if self._is_far_from_proven():
                    self._reckon_as_linear_program()
                    self._first_plan()
                else:
                    self._search_near(self.start)
            if self.best is not None and self.effort.quick:
                self._drop()
                return
        is_led_to = self.best is not None
        if self.best is None:
            self._make_whole_binding()
            self.by_number.as_reckoned = self._is_large()
            self._first_plan()
        if self.best is None and self._is_large():
            self.by_number.as_reckoned = False
            self._first_plan()
        if self._is_large():
            self.by_number.as_reckoned = True
            self._improve_large()
            return
        self._improve_small()
        if is_led_to and not self._is_proven():
            self._begin_from_nothing()

    def _improve_small(self) -> None:
        """Search a small program around its plan, and prove what is found, while that leads on."""
        if not self._is_proven():
            self._search_around(self.bought.between)
            self._drop()
        for n in range(MOST_WINDOWS):
            before_usd = self._best_usd()
            if not self._is_proven():
                self._search_around(self._window)
            if self.carried.numbers() <= FEW_NUMBERS:
                self._search_exactly()
            is_cheaper = self._best_usd() < before_usd
            if n == 0 or is_cheaper:
                self._prove()
            if self._is_proven() or not is_cheaper:  # around the same plan the same would be searched
                break
        if not self._is_proven():
            self._drop()

    def _begin_from_nothing(self) -> None:
        """Where a similar plan led to none that is proven: what is planned without one, if that is cheaper."""
        led_to, self.best = self.best, None
        try:
            self._reckon_as_linear_program()
            self._first_plan()
            self._improve_small()
        finally:
            if led_to is not None and led_to.cost_usd <= self._best_usd():
                self.best = led_to

    def _is_far_from_proven(self) -> bool:
        """Whether a similar plan is so dear here that what is near it matters little: less of all is wanted."""
        far = FAR_FROM_PROVEN * max(USUAL_GAP, self.effort.gap_fraction)
        return self.best is not None and self.gap(self.best) > far

    def _improve_large(self) -> None:
        """Search a large program between its plan and the linear program while that pays, then prove what it can.

        What is looked for may run fewer of each than the plan does: part of them is reckoned with. What may be given up
        is looked for below tangents: with fewer reckoned with the plan itself would be too full.
        """
        for _ in range(self.effort.rounds):
            if self.best is None or self._is_proven():
                break
            before_usd = self.best.cost_usd
            self.carried.reckon_as(self._values_of_best(self.best), PART_OF_PLAN)
            self._search_around(self.bought.between)
            self._drop_below_tangents()
            if before_usd - self._best_usd() <= PAYS_FRACTION * self.effort.gap_fraction * before_usd:
                break
        self._prove()

    def _drop_below_tangents(self) -> None:
        """Give up what no failure needs, once."""
        if self.best is None:
            return
        self.carried.reckon_as(self._values_of_best(self.best), 1.0)
        self.by_number.as_reckoned = False
        try:
            self._search_around(lambda best, lp: self.bought.at_most(best))
        finally:
            self.by_number.as_reckoned = True

    def _window(self, best: np.ndarray, lp: np.ndarray) -> Bounds:
        """Bounds around the best plan, in the pools that it or the linear program uses."""
        return self.bought.window(self.bought.support([best, lp], True), best, WINDOW_FRACTION)

    def bounds_all(self) -> bool:
        """Bounds that are taken up are of all plans: `BelowCutoff` and every number prove them, the search does not."""
        return True

    @stage(WHOLE_NUMBERS)
    def _search_exactly(self) -> None:
        """Search a small program with what each number carries, until what it finds passes every test."""
        for _ in range(MOST_PASSES):
            if self._is_proven():
                return
            self.search.check_time()
            self.tests.make_whole(self.search.blocks)
            self._say("by every number")
            program, integral = self.carried.with_every_number(), self.tests.integral()
            program.integral = program.integral.copy()
            program.integral[: len(integral)] = integral
            nodes, seconds = self.search.most_nodes(), self.search.remaining_seconds()
            answer = program.answer(Ends(0.0, nodes, seconds, cutoff=program.scaled(self._cutoff_usd())))
            self._raise_bound(answer)
            before = self._progress_made()
            if answer.values is not None and self._is_cheaper(answer.objective):
                self._test(answer.values[: len(integral)])
            if self._progress_made() == before:
                return

    @stage(WHOLE_NUMBERS)
    def _prove(self) -> None:
        """Prove that no plan costs less than what was asked for; else by cutoffs little above the bound while that
        leads on."""
        if self.best is None or self._is_proven():
            return
        asked_usd = self.best.cost_usd * (1 - self.effort.gap_fraction)
        self._say("what runs at the most in cheaper plans")
        below = BelowCutoff(self.carried, asked_usd)
        if self._is_large():
            below.is_all_ranged = True
            self._raise_bound_to(below, asked_usd, LARGE_NODES)
            return
        for _ in range(TIGHTENED):
            self.search.check_time()
            if not below.tighten(self.search.remaining_seconds()):
                self.search.bound = max(self.search.bound, asked_usd)
                return
        nodes = min(self.search.most_nodes(), max(1, PROOF_NODE_WORK // len(self.integers.lower)))
        self._raise_bound_to(below, asked_usd, nodes)
        for _ in range(MOST_STEPS):
            near_usd = self.search.bound + STEP * self.effort.gap_fraction * abs(self.search.bound)
            if near_usd >= asked_usd or not self._raise_bound_to(below, near_usd, self._first_nodes()):
                return

    def _raise_bound_to(self, below: BelowCutoff, cutoff_usd: float, nodes: int) -> bool:
        """Whether no plan is proven to cost less than this; what is proven is taken up."""
        if self._is_proven():
            return False
        self.search.check_time()
        self._say(f"what no plan costs less than, up to {nodes} nodes")
        gap, seconds = self.effort.gap_fraction, self.search.remaining_seconds()
        answer = below.bound(self.tests.integral(), gap, nodes, seconds, cutoff_usd)
        self._raise_bound(answer)
        return answer.status in (INFEASIBLE, OPTIMAL)

    def _test(self, values: np.ndarray) -> bool:
        best = self.best
        passed = super()._test(values)
        if self.best is not None and self.best is not best:
            self.carried.reckon_as(self._values_of_best(self.best), 1.0)
        return passed

    def _keep_similar_plan(self, start: Decisions) -> None:
        """Keep a similar plan where it is a plan of this problem, too: each state is filled by its own numbers."""
        self.carried.reckon_as(self._with_replicas_in_failures(self._as_values(start), self.search.known), 1.0)
        super()._keep_similar_plan(start)
        if self.best is None:
            self._reckon_as_linear_program()

    def _reckon_as_linear_program(self) -> None:
        """Reckon with part of as many replicas as do the work of the linear program."""
        self.carried.reckon_as(self.lp_values, PART_OF_THEM, by_work=True)

    def _values_of_best(self, best: TestedPlan) -> np.ndarray:
        """Values of the best plan, with as many replicas in failures as its tests found: these may be others than what
        the program chose."""
        return self._with_replicas_in_failures(self._lifted(best.values), best.survived)

    def _with_replicas_in_failures(self, values: np.ndarray, survived: Survived) -> np.ndarray:
        """Values with as many replicas in failures as these were survived with, where that is known."""
        for own in replicas_in_failures(self.search.program):
            (s,) = own.scope
            replicas = survived.get((s[1], s[0]))
            if replicas and (own.name, s) in replicas:
                values[own.columns] = replicas[own.name, s][own.elements]
        return values

    def _survive(self, values: np.ndarray) -> None:
        """Test whole numbers, and mend them until every failure is survived or they are no improvement.

        What is too full for its number is looked for anew with that number; beside a plan no more is added for that.
        """
        for n in range(MOST_PASSES):
            if self._test(values):
                return
            is_too_full = bool(self.tests.too_full)
            if is_too_full and not self.carried.lower(values):
                return
            values, answer = self._lifted(values), None
            if is_too_full and self._is_large() and self.best is not None:
                mended = self._mended(values)
                if mended is None:
                    return
                values = mended
                continue
            if n < TIMES_BETWEEN and self.best is not None:
                bounds = self.bought.between(values, self._lifted(self.best.values))
                answer = self._part("below the best plan", bounds, self._start())
            if answer is None or answer.values is None or not self._is_cheaper(answer.objective):
                if is_too_full and self.best is not None:
                    return
                answer = self._repaired(values)
            if answer.values is None or not self._is_cheaper(answer.objective):
                return
            values = answer.values

    def _mended(self, values: np.ndarray) -> np.ndarray | None:
        """Whole numbers with as little as possible added that some are not too full for their number; None where that
        is no improvement."""
        self.carried.reckon_as(values, 1.0)
        answer = self._repaired(values)
        return answer.values if answer.values is not None and self._is_cheaper(answer.objective) else None
