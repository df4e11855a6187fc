"""The second stage: whole numbers over the binding failures, and tests of all of them, in turn.

Integer programs over little of the program first: over what the linear program buys, then around the best plan, each
from a start; over all of it at last, which gives the bound. What failures break is repaired: they enter, and the
replicas of those that were in the program become whole there. Every plan that is kept passed every test. What ends a
search is a number of nodes or a gap, so that it ends the same way every time.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from planner.errors import SolverError
from planner.problem.algebra import Sparse
from planner.problem.arrays import full, of_tests
from planner.problem.decisions import Decisions, Vectors, names, only
from planner.problem.rules.costs import cost_usd, outage_column, rank_outages
from planner.solve.highs import Answer, KeptHiGHS
from planner.solve.integer_program import LARGE_COLUMNS, IntegerProgram
from planner.solve.program import INFEASIBLE, INFINITY, OPTIMAL, Owned
from planner.solve.search import (
    MOST_PASSES,
    Block,
    Infeasible,
    Search,
    Stopped,
    Survived,
    TimeLimitPassed,
    is_proven,
)
from planner.solve.second_objective import edge_costs, settle_normal, settle_reserves
from planner.solve.stages import SETTLING, TESTS_WHOLE, WHOLE_NUMBERS, stage
from planner.solve.whole_numbers import IN_FAILURES, Bought, Bounds
from planner.study.dependencies import NORMAL

ENTER_AT_ONCE = 12
"""Failures of an hour that enter the program after one test of all: as many as are new, the worst first."""
FIRST_GAP = 0.02
"""Gap at which the first whole numbers are good enough: failures will change them."""
SEARCH_GAP = 0.98
"""Share of the asked gap at which the search of everything ends: later failures still cost something."""
HURRIED_GAP = 0.1
"""Gap at which the first whole numbers are good enough where less than HURRIED_SECONDS are given for all."""
HURRIED_SECONDS = 60.0
PART_GAP = 0.25
"""Share of the asked gap at which the search of a part ends."""
PART_NODES = 100
TIMES_ANEW = 3
"""How often whole numbers that failures broke are looked for anew in a large program, within the same bounds, before
they are only added to: what is added stays, which costs more there than the time."""
FIRST_NODES = 10
"""Nodes of the first search of everything: most of the bound comes at the root."""
MORE_NODES = 8
DROP_NODES = 300
WINDOW_FRACTION = 0.1
"""How far from the best plan a window reaches, by what it buys; one of each at the least."""
CHEAPER = 1e-7
"""Saving that counts as one [fraction]."""
PAYS_FRACTION = 0.1
"""Saving for which a large program's window is searched again [of the asked gap]."""
SHORT = 1e-5
"""What a plan may miss by the arithmetic of the solver [fraction]; more is an error of ours, which must not pass."""
WHOLE = 1e-6


@dataclass(frozen=True)
class TestedPlan:
    """A plan in whole numbers that passed every test.

    Parameters
    ----------
    decisions : all of normal operation, and the states of priced failures; those of others are settled at the end
    survived : the replicas with which each failure is survived
    values : of the program's columns, as many as it had
    """

    decisions: Vectors
    cost_usd: float
    survived: Survived
    values: np.ndarray


class WholePlan:
    """The search for whole numbers, after the LP bound is known.

    Parameters
    ----------
    search : whose program has the binding failures of the linear program
    start : what a similar plan buys and runs; None: there is none
    """

    def __init__(self, search: Search, start: Decisions | None = None) -> None:
        self.search, self.p, self.effort, self.start = search, search.p, search.effort, start
        self.integers = IntegerProgram(search.program)
        self.bought = Bought(search.p, self.integers)
        self.lp_values = self.integers.lp_values
        self.best: TestedPlan | None = None
        self.time_limit_ended = False
        self.searched_around: tuple[float, int, int] | None = None
        """what had been reached when all around the best plan had been searched"""

    # -------------------------------------------------------------- the course of the search
    def run(self) -> TestedPlan:
        """Whole numbers until the gap that was asked for is proven, or the effort is spent.

        Raises
        ------
        Infeasible
            when no whole numbers meet what the linear program meets
        Stopped
            when the effort ended before a plan was found
        """
        try:
            self._run()
        except TimeLimitPassed:
            self.time_limit_ended = True
        if self.best is None:
            raise Stopped("the time limit came first" if self.time_limit_ended else "whole numbers led nowhere")
        return self.best

    def at_once(self) -> TestedPlan:
        """The best plan so far, else the first that can be had."""
        try:
            if self.best is None:
                self._first_plan()
        except TimeLimitPassed:
            self.time_limit_ended = True
        if self.best is None:
            raise Stopped("interrupted before a whole plan was found")
        return self.best

    def _run(self) -> None:
        if self.start is not None:
            self._from_a_similar_plan(self.start)
            if self.best is not None and self.effort.quick:
                self._drop()
                return
        if self.best is None:
            self._first_plan()
        if self._is_large() and self.best is not None and not self._is_proven():
            self._improve()
        self._search_everything()
        self._drop()

    def _first_plan(self) -> None:
        """The linear program where it is whole, else whole numbers in what it buys."""
        at = self.bought.at
        if np.abs(self.lp_values[at] - np.round(self.lp_values[at])).max(initial=0.0) < WHOLE and self._is_whole():
            self._survive(self.lp_values, None)
            if self.best is not None and self._is_proven():
                return
        gap = max(HURRIED_GAP if self._is_hurried() else FIRST_GAP, self.effort.gap_fraction)
        bounds = self.bought.support([self.lp_values], whole_pools=False)
        answer = self._solve("in what the linear program buys", bounds, gap, PART_NODES)
        if answer.values is not None:
            self._survive(answer.values, bounds)

    def _is_whole(self) -> bool:
        """Whether all that is whole always is so in the linear program."""
        values = self.lp_values[self.integers.integral[: len(self.lp_values)]]
        return bool(np.abs(values - np.round(values)).max(initial=0.0) < WHOLE)

    def _from_a_similar_plan(self, start: Decisions) -> None:
        """Keep a similar plan where it is a plan of this problem, too, and look for whole numbers near it."""
        in_start = np.zeros(len(self.integers.lower))
        in_start[self.bought.at] = self.bought.values_of(start)
        bounds = self.bought.exactly(in_start)
        if bounds is not None:
            answer = self._solve("the similar plan", bounds, PART_GAP * self.effort.gap_fraction, PART_NODES)
            if answer.values is not None:
                self._test(answer.values)
        if self.best is not None and self._is_proven():
            return
        bounds = self.bought.between(self._lifted(in_start), self._lifted(self.lp_values))
        answer = self._part("near the similar plan", bounds, self._start())
        if answer.values is not None and self._is_cheaper(answer.objective):
            self._survive(answer.values, bounds)

    def _improve(self) -> None:
        """Search around the best plan, unless nothing has changed since that was done.

        A large program is searched in windows while that pays; a small one in all that the best plan and the linear
        program buy, then in all of these pools, and in a window last.
        """
        if self.searched_around == self._progress_made():
            return
        parts = [(False, WINDOW_FRACTION)] * self.effort.rounds
        if not self._is_large():
            parts = [(False, INFINITY), (True, INFINITY), (True, WINDOW_FRACTION)]
        for whole_pools, fraction in parts:
            best_usd = self._best_usd()
            self._search_around(whole_pools, fraction)
            pays_usd = PAYS_FRACTION * self.effort.gap_fraction * best_usd
            if self._is_proven() or (self._is_large() and best_usd - self._best_usd() <= pays_usd):
                break
        self.searched_around = self._progress_made()

    def _search_around(self, whole_pools: bool, fraction: float) -> None:
        """Search what the best plan and the linear program buy, within a fraction of the best plan."""
        if self.best is None:
            return
        values = self._lifted(self.best.values)
        bounds = self.bought.support([values, self._lifted(self.lp_values)], whole_pools)
        if fraction < INFINITY:
            bounds = self.bought.window(bounds, values, fraction)
        answer = self._part("around the best plan", bounds, self._start())
        if answer.values is not None and self._is_cheaper(answer.objective):
            self._survive(answer.values, bounds)

    def _search_everything(self) -> None:
        """Raise the bound over all of the program, from the best plan, until it is proven or the nodes are spent."""
        nodes = FIRST_NODES
        for _ in range(MOST_PASSES):
            if self.best is not None and self._is_proven():
                return
            most_nodes = self.search.most_nodes()
            nodes = min(nodes, most_nodes)
            self._make_whole(self.search.blocks)
            before = self._progress_made()
            gap = SEARCH_GAP * self.effort.gap_fraction
            answer = self._solve(f"up to {nodes} nodes", None, gap, nodes, self._start())
            if answer.status == INFEASIBLE and self.best is None:
                raise Infeasible("whole numbers")
            reached = answer.objective if answer.status == OPTIMAL else INFINITY
            self.search.bound = max(self.search.bound, min(answer.bound, reached))
            if self.best is not None and self._is_proven():
                return
            if answer.values is not None and self._is_cheaper(answer.objective):
                self._survive(answer.values, None)
            spent = nodes >= most_nodes or answer.status == OPTIMAL
            if spent and self._progress_made() == before:
                return
            if self.best is not None and not self._is_proven():
                self._improve()
            if answer.status != OPTIMAL:
                nodes *= MORE_NODES

    def _drop(self) -> None:
        """Give up what no failure needs: the best of what buys nothing that the best plan does not."""
        for _ in range(MOST_PASSES):
            if self.best is None or self.gap(self.best) <= 0:
                return
            before = self._progress_made()
            bounds = self.bought.at_most(self._lifted(self.best.values))
            answer = self._solve("dropping what nothing needs", bounds, 0.0, DROP_NODES, self._start(), proof=True)
            if answer.values is None or not self._is_cheaper(answer.objective):
                return
            self._test(answer.values)
            if self._progress_made() == before:
                return

    # -------------------------------------------------------------- candidates, and what failures make of them
    def _survive(self, values: np.ndarray, bounds: Bounds | None) -> None:
        """Test whole numbers, and mend them until every failure is survived or they are no improvement.

        Parameters
        ----------
        bounds : within which they were found, and are looked for anew at first in large programs; none: in what they
            and the linear program buy
        """
        for n in range(MOST_PASSES):
            if self._test(values):
                return
            values = self._lifted(values)
            answer = None
            if n < TIMES_ANEW and self._is_large() and not self._is_hurried():
                within = self._narrow(values) if bounds is None else self._extended(bounds)
                answer = self._part("once more", within, self._start())
            if answer is None or answer.values is None:
                answer = self._repaired(values)
            if answer.values is None or not self._is_cheaper(answer.objective):
                return
            values = answer.values

    def _repaired(self, values: np.ndarray) -> Answer:
        """Whole numbers that failures broke, with as little as possible added to what is bought.

        In small programs the replicas need not stay. Where that leads nowhere: what the linear program and these buy.
        """
        wide = self.bought.support([values, self._lifted(self.lp_values)], whole_pools=True)
        answers = []
        for support in (self._narrow(values), wide):
            answers.append(self._part("repairing", self.bought.from_below(support, values, self._is_large())))
            is_enough = self._is_hurried() and answers[-1].values is not None
            if is_enough or self._is_good_enough(answers[-1].objective):
                break
        cheapest = min(answers, key=lambda answer: answer.objective)
        return cheapest if cheapest.values is not None else self._part("once more", wide)

    def _narrow(self, values: np.ndarray) -> Bounds:
        """Bounds of what these and the linear program buy."""
        return self.bought.support([values, self._lifted(self.lp_values)], whole_pools=False)

    def _extended(self, bounds: Bounds) -> Bounds:
        """Bounds with those of the columns that came later."""
        lower, upper = self.integers.lower.copy(), self.integers.upper.copy()
        lower[: len(bounds[0])], upper[: len(bounds[1])] = bounds
        return lower, upper

    def _part(self, label: str, bounds: Bounds, start: np.ndarray | None = None) -> Answer:
        return self._solve(label, bounds, self._part_gap(), PART_NODES, start)

    def _test(self, values: np.ndarray) -> bool:
        """Whether whole numbers pass every test: then they are kept where they are cheaper; what broke enters."""
        self.integers.hold(values)
        purchases = self.search.purchases(integer=True)
        broken, survived = self.search.broken_whole(purchases)
        if not broken and (dear := self.search.underpriced(purchases)):
            self._enter((block for _, block in dear), most=len(dear))
            return False
        if broken:
            self._enter((block for _, block in broken), most=ENTER_AT_ONCE)
            return False
        return self._keep(values, purchases, survived)

    def _enter(self, blocks: Iterable[Block], most: int) -> None:
        """Let failures enter, so many of an hour; of those in the program replicas become whole."""
        entering: dict[str, int] = {}
        grown = False
        for block in blocks:
            if block in self.search.blocks:
                self._make_whole([block])
                continue
            entering[block[1]] = entering.get(block[1], 0) + 1
            if entering[block[1]] <= most:
                self.search.enter(block)
                grown = True
        if grown:
            self.search.program.minimise(self.search.objective)
            self.integers.renew()

    def _make_whole(self, blocks: Iterable[Block]) -> None:
        """From now on the replicas of these failures are whole in the program."""
        self.search.whole_blocks.update(blocks)

    def _integral(self) -> np.ndarray:
        """Columns that are whole: those that always are, and the replicas of failures that broke on whole numbers."""
        integral = self.integers.integral.copy()
        for own in self._in_failures():
            (s,) = own.scope
            if (s[1], s[0]) in self.search.whole_blocks:
                integral[own.columns] = True
        return integral

    def _in_failures(self) -> list[Owned]:
        """Columns of replicas of the failures that are in the program."""
        return [own for own in self.search.program.owned if own.name in IN_FAILURES and own.scope[0][1] != NORMAL]

    def _lifted(self, values: np.ndarray) -> np.ndarray:
        """Values of all columns: zero of those that came later."""
        lifted = np.zeros(len(self.integers.lower))
        lifted[: len(values)] = values
        return lifted

    @stage(WHOLE_NUMBERS)
    def _start(self) -> np.ndarray | None:
        """The best plan as values of all columns, replicas in failures as its tests found them: one linear program."""
        if self.best is None or not isinstance(self.search.program.solver, KeptHiGHS):
            return None
        bounds = self.bought.exactly(self._lifted(self.best.values))
        if bounds is None:
            return None
        lower, upper = bounds
        for own in self._in_failures():
            (s,) = own.scope
            replicas = self.best.survived.get((s[1], s[0]))
            if replicas:
                lower[own.columns] = upper[own.columns] = replicas[own.name, s][own.elements]
        seconds, integral = self.search.remaining_seconds(), self._integral()
        values = self.integers.solve(lower, upper, seconds=seconds).values
        if values is not None and np.abs(values[integral] - np.round(values[integral])).max(initial=0.0) > WHOLE:
            gap = self._part_gap()  # what follows from whole replicas is not always whole by itself
            values = self.integers.solve(lower, upper, integral, None, gap, PART_NODES, seconds).values
        return values

    @stage(WHOLE_NUMBERS)
    def _solve(
        self,
        label: str,
        bounds: Bounds | None,
        gap_fraction: float,
        nodes: int,
        start: np.ndarray | None = None,
        proof: bool = False,
    ) -> Answer:
        """The best whole numbers within bounds (none: those of the program), as far as gap and nodes go.

        Parameters
        ----------
        proof : whether to go on when what is found is as good as was asked for
        """
        self.search.check_time()
        good_enough_usd = None if proof else self._good_enough_usd()
        self._say(label)
        lower, upper = bounds if bounds is not None else (None, None)
        answer = self.integers.solve(
            lower,
            upper,
            integral=self._integral(),
            start=start,
            gap_fraction=gap_fraction,
            most_nodes=nodes,
            seconds=self.search.remaining_seconds(),
            good_enough_usd=good_enough_usd,
            progress=(lambda cost, bound: self._say(label, bound)) if bounds is None else None,
        )
        if answer.status not in (OPTIMAL, INFEASIBLE) and self.search.out_of_time():
            self.time_limit_ended = True
        return answer

    # -------------------------------------------------------------- plans that passed the tests
    @stage(SETTLING)
    def _keep(self, values: np.ndarray, purchases: Vectors, survived: Survived) -> bool:
        """Keep a plan that passed every test where it is cheaper; whether it could be settled."""
        if self.search.rescales:
            x = settle_reserves(self.p, purchases, self.search.new_solver())
            if x is None:  # the survivors of replicas that the solver took for whole are too few
                return False
        else:
            x = settle_normal(self.p, purchases, self.search.new_solver())
        if self.p.priced:
            self._price(x, purchases, survived)
        cost = float(cost_usd(full(self.p), x)[0])
        if self.best is None or cost < self.best.cost_usd:
            self.best = TestedPlan(x, cost, survived, values)
            self.search.has_plan = True
            self._say("a plan that survives")
        return True

    @stage(TESTS_WHOLE)
    def _price(self, x: Vectors, purchases: Vectors, survived: Survived) -> None:
        """Set what outages cost with whole replicas; those that are dearer than the program reckons enter it."""
        priced = [(f, h) for f in self.p.priced for h in self.p.hours]
        for f, h in priced:
            self.search.check_time()
            subproblem, seconds = self.search.subproblem(f, h), self.search.remaining_seconds()
            cheapest = subproblem.cheapest_whole(f, purchases, self.search.most_nodes(), seconds)
            survived[f, h] = cheapest if cheapest is not None else survived[f, h]
        self._settle_states(x, {at: survived[at] for at in priced})
        rank_outages(full(self.p), x)
        usd = outage_column(full(self.p), x, list(self.p.priced))
        off = {f: self.search.off_usd(f, float(each)) for f, each in zip(self.p.priced, usd, strict=True)}
        dearer = sorted((f for f in off if self.search.is_off(off[f])), key=lambda f: -off[f])
        for_each = [(f, h) for f in dearer for h in self.p.hours]
        self._make_whole(for_each)
        self._enter(for_each, most=len(for_each))

    def settled(self, tested: TestedPlan) -> Vectors:
        """All decisions of a plan: its states of failures that are not priced are settled, too."""
        not_priced = {at: replicas for at, replicas in tested.survived.items() if at[0] not in self.p.priced}
        return self._settle_states(tested.decisions, not_priced)

    @stage(SETTLING)
    def _settle_states(self, x: Vectors, survived: Survived) -> Vectors:
        """The decisions with states of failures: replicas as the tests found them, requests routed best."""
        edge_cost, purchases = edge_costs(of_tests(self.p, merge=False)), only(x, "purchases")
        every = full(self.p)
        for n, ((f, h), replicas) in enumerate(survived.items()):
            self.search.progress("settling states", n / len(survived), f)
            if replicas is None:
                _, replicas = self.search.subproblem(f, h).test_whole(f, purchases, None)
            subproblem = self.search.subproblem(f, h, merge=False)
            states = subproblem.settle(f, purchases, replicas, edge_cost)
            short = sum(float(excess.sum()) for excess in states.excess.values())
            if short > SHORT * float(every.wanted((h, f, 0.0)).sum()):
                raise SolverError(f"{f} in {h} was taken to be survived, and is not: please report it with the study")
            states.traffic = Sparse({s: every.from_tests(values) for s, values in states.traffic.items()})
            for name in names("states"):
                getattr(x, name).update(getattr(states, name))
        return x

    # -------------------------------------------------------------- how far the search has come
    def gap(self, tested: TestedPlan) -> float:
        """How much cheaper the best possible plan might be [fraction]."""
        return max(0.0, tested.cost_usd - self.search.bound) / tested.cost_usd if tested.cost_usd > 0 else 0.0

    def _is_proven(self) -> bool:
        return self.best is not None and is_proven(self.gap(self.best), self.effort.gap_fraction)

    def _is_large(self) -> bool:
        return len(self.integers.lower) > LARGE_COLUMNS

    def _best_usd(self) -> float:
        return INFINITY if self.best is None else self.best.cost_usd

    def _is_cheaper(self, usd: float) -> bool:
        """Whether a cost is below that of the best plan by more than arithmetic."""
        return self.best is None or usd < self.best.cost_usd - CHEAPER * abs(self.best.cost_usd)

    def _part_gap(self) -> float:
        return HURRIED_GAP if self._is_hurried() else PART_GAP * self.effort.gap_fraction

    def _is_hurried(self) -> bool:
        """Whether any plan is wanted first, as little time is given."""
        return self.best is None and self.effort.seconds is not None and self.effort.seconds < HURRIED_SECONDS

    def _good_enough_usd(self) -> float | None:
        """Cost at which an integer search may end [USD]; None: only when it has proven the best."""
        gap = self.effort.gap_fraction * SEARCH_GAP
        return self.search.bound / (1 - gap) if gap > 0 and math.isfinite(self.search.bound) else None

    def _is_good_enough(self, usd: float) -> bool:
        good_enough_usd = self._good_enough_usd()
        return good_enough_usd is not None and usd <= good_enough_usd

    def _progress_made(self) -> tuple[float, int, int]:
        """What changes when a plan got cheaper or the program grew."""
        return self._best_usd(), len(self.search.blocks), len(self.search.whole_blocks)

    def _say(self, label: str, bound_usd: float = -INFINITY) -> None:
        """Where plan and bound stand."""
        bound_usd = max(bound_usd, self.search.bound)
        if self.best is None:
            detail = f"at least {spoken(bound_usd)}"
        else:
            gap = max(0.0, 1 - bound_usd / self.best.cost_usd) if self.best.cost_usd > 0 else 0.0
            detail = f"{spoken(self.best.cost_usd)}, at least {spoken(bound_usd)}, gap {gap:.2%}"
        self.search.progress("whole numbers", None, f"{detail}; {len(self.search.binding)} failures binding, {label}")


def spoken(usd: float) -> str:
    """An amount as it is said.

    Examples
    --------
    >>> spoken(44_912_345.0), spoken(1_234.5), spoken(12_345.0)
    ('44.912 M USD', '1,234 USD', '12,345 USD')
    """
    return f"{usd / 1e6:,.3f} M USD" if abs(usd) >= 1e6 else f"{usd:,.0f} USD"
