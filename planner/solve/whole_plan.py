"""The second stage: whole numbers over the binding failures, and tests of all of them, in turn.

Integer programs over little of the program first: over what the linear program buys, then between that and the best
plan, each from a start; over all of it at last, which gives the bound. What failures break is repaired: they enter, and
the replicas of those that were in the program become whole there. Every plan that is kept passed every test. What ends
a search is a number of nodes or a gap, so that it ends the same way every time.
"""

from collections.abc import Callable, Set
from functools import partial

import numpy as np

from planner.problem.decisions import Decisions, Vectors
from planner.solve.feasibility_subproblem import WHOLE
from planner.solve.highs import Answer, Ends, KeptHiGHS
from planner.solve.integer_program import IntegerProgram
from planner.solve.program import INFEASIBLE, INFINITY, OPTIMAL
from planner.solve.reached import HURRIED_GAP, PART_GAP, SEARCH_GAP, Reached
from planner.solve.search import (
    FEWEST_NODES,
    MOST_PASSES,
    Block,
    Infeasible,
    Search,
    Stopped,
    TimeLimitPassed,
    TooFull,
)
from planner.solve.stages import WHOLE_NUMBERS, stage
from planner.solve.whole_numbers import Bought, Bounds, replicas_in_failures
from planner.solve.whole_tests import TestedPlan, WholeTests
from planner.solve.without_routes import WithoutRoutes

FIRST_GAP = 0.02
"""Gap at which the first whole numbers are good enough: failures will change them."""
PART_NODES = 100
MANY_COLUMNS, FEWER_ROUTES_NODES = 50_000, 300
"""Columns of a program from which its parts are searched with fewer routes, and the nodes of such a search, which are
less work: what it gives up of smaller programs, a few thousandths, is worth more there than the seconds."""
WITHOUT_ROUTES_WORK, TIMES_WITHOUT_ROUTES = 5_000_000, 5
"""Columns times nodes of a search of all of such a program, its routes left out, and how often what is come upon there
may have no routes before it ends."""
TIMES_BETWEEN = 3
"""How often whole numbers that failures broke are looked for anew between these and the best plan, before they are only
added to: what is added stays."""
LOOSE_TIMES = 8
"""So many times the nodes of another search has one with less whole: its nodes are less work."""
DROP_NODES = 300
PAYS_FRACTION = 0.1
"""Saving for which a neighbourhood, or all of a program of many columns, is searched again [of the asked gap]."""


class WholePlan(Reached):
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
        self.tests = WholeTests(search, self.integers)
        self.lp_values = self.integers.lp_values
        self.best: TestedPlan | None = None
        self.time_limit_ended = False
        self.relaxed: tuple[WithoutRoutes, np.ndarray] | None = None
        """the program without its routes, as it was when that was made, and values that can be routed"""
        self.searched: tuple[int, float] | None = None
        """see `_asked`, when all of the program was searched last with all nodes"""
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
            self._keep_similar_plan(self.start)
            if not self._is_proven():
                self._raise_bound_at_root()
                if self.best is None or not (self.effort.quick or self._is_proven()):
                    self._search_near(self.start)
            if self.best is not None and self.effort.quick:
                self._drop()
                return
        else:
            self._raise_bound_at_root()
        if self.best is None:
            self._first_plan()
        if self.best is not None and not self._is_proven():
            self._improve_quickly()
        self._search_everything()
        self._drop()
        if not self._is_large() and self.best is not None and not self._is_proven():
            self._search_loosened()

    def _make_whole_binding(self) -> None:
        """Before plans of a small program: what binds with parts of replicas most often does with whole ones."""
        if not self._is_large():
            self.tests.make_whole(self.search.blocks)

    def _raise_bound_at_root(self) -> None:
        """Before the plans of a small program: the bound of its root, with the replicas of binding failures whole.

        Searches for plans end at this bound, not at that of the linear program, and most often it is near enough to
        prove them.
        """
        if self._is_large():
            return
        self._make_whole_binding()
        self._raise_bound(self._solve("the root", None, 0.0, 1, only_bound=True, bound_alone=True))

    def _first_plan(self) -> None:
        """The linear program where it is whole, else whole numbers in what it buys."""
        at = self.bought.at
        if np.abs(self.lp_values[at] - np.round(self.lp_values[at])).max(initial=0.0) < WHOLE and self._is_whole():
            self._survive(self.lp_values)
            if self.best is not None and self._is_proven():
                return
        gap = max(HURRIED_GAP if self._is_hurried() else FIRST_GAP, self.effort.gap_fraction)
        bounds = self.bought.support([self.lp_values], whole_pools=False)
        answer = self._part("in what the linear program buys", bounds, gap_fraction=gap)
        if answer.values is not None:
            self._survive(answer.values)

    def _has_many_columns(self) -> bool:
        return len(self.integers.lower) > MANY_COLUMNS

    def _is_whole(self) -> bool:
        """Whether all that is whole always is so in the linear program."""
        values = self.lp_values[self.integers.integral[: len(self.lp_values)]]
        return bool(np.abs(values - np.round(values)).max(initial=0.0) < WHOLE)

    def _keep_similar_plan(self, start: Decisions) -> None:
        """Keep a similar plan where it is a plan of this problem, too; its failures are for the tests."""
        bounds = self.bought.exactly(self._as_values(start))
        if bounds is not None:
            answer = self._solve("the similar plan", bounds, PART_GAP * self.effort.gap_fraction, PART_NODES)
            if answer.values is not None:
                self._test(answer.values)

    def _search_near(self, start: Decisions) -> None:
        """Look for whole numbers between a similar plan and the linear program."""
        bounds = self.bought.between(self._as_values(start), self._lifted(self.lp_values))
        answer = self._part("near the similar plan", bounds, self._start())
        if answer.values is not None and self._is_cheaper(answer.objective):
            self._survive(answer.values)

    def _as_values(self, start: Decisions) -> np.ndarray:
        """What a similar plan buys and runs, as values of all columns."""
        values = np.zeros(len(self.integers.lower))
        values[self.bought.at] = self.bought.values_of(start)
        return values

    def _improve(self) -> None:
        """Search around the best plan, unless nothing has changed since that was done.

        Between it and the linear program first, while that pays; then in what either buys: in a window in a large
        program, in all of it and in all of these pools in a small one.
        """
        if self.searched_around == self._progress_made():
            return
        for neighbourhood in self._neighbourhoods():
            for _ in range(self.effort.rounds):
                best_usd = self._best_usd()
                self._search_around(neighbourhood)
                if self._is_proven():
                    return
                if not self._pays(best_usd):
                    break
        self.searched_around = self._progress_made()

    def _pays(self, before_usd: float) -> bool:
        """Whether the best plan costs so much less than it did that it pays to go on."""
        if before_usd == INFINITY:
            return self.best is not None
        return before_usd - self._best_usd() > PAYS_FRACTION * self.effort.gap_fraction * before_usd

    def _improve_quickly(self) -> None:
        """Search neighbourhoods of the best plan once, of a small program the two smallest: they give most of it.

        Of a large one the tree is asked after the first: most of what it takes is its root, which is to be had but once
        where that is enough.
        """
        for n, neighbourhood in enumerate(self._neighbourhoods()[: None if self._is_large() else 2]):
            if n == 1 and self._is_large() and not self._is_proven():
                self._search_once(self.search.most_nodes())
            if not self._is_proven():
                self._search_around(neighbourhood)

    def _neighbourhoods(self) -> list[Callable[[np.ndarray, np.ndarray], Bounds]]:
        """Bounds around (values of the best plan, those of the linear program), in the order in which to search.

        In a large program what one provider has is exchanged for other machines of it while the others' stay nearly as
        they are: a plan that is best near itself most often is not best in each of its parts. In one of many columns
        one more or less is tried first of each that the plan has.
        """
        bought, many = self.bought, self._has_many_columns()
        if self._is_large():
            return [
                bought.between,
                *([lambda best, lp: bought.window(bought.support([best], False), best, 0.0)] if many else ()),
                *(partial(self._of_one_provider, provider) for provider in bought.providers),
                lambda best, lp: bought.window(bought.support([best, lp], False), best),
            ]
        return [
            bought.between,
            lambda best, lp: bought.window(bought.support([best, lp], True), best),
            lambda best, lp: bought.support([best, lp], False),
            lambda best, lp: bought.support([best, lp], True),
        ]

    def _of_one_provider(self, provider: str, best: np.ndarray, lp: np.ndarray) -> Bounds:
        """Bounds of all that one provider has in pools that the best plan or the linear program uses."""
        return self.bought.of_one_provider(provider, self.bought.support([best, lp], True), best)

    def _search_around(self, neighbourhood: Callable[[np.ndarray, np.ndarray], Bounds]) -> None:
        """Search a neighbourhood of the best plan."""
        if self.best is None:
            return
        bounds = neighbourhood(self._lifted(self.best.values), self._lifted(self.lp_values))
        answer = self._part("around the best plan", bounds, self._start())
        if answer.values is not None and self._is_cheaper(answer.objective):
            self._survive(answer.values)

    def _search_everything(self) -> None:
        """Raise the bound over all of the program until the best plan is proven or the nodes are spent."""
        nodes = self.search.most_nodes() if self._is_large() else self._first_nodes()
        for _ in range(MOST_PASSES):
            if self._is_proven():
                return
            most_nodes = self.search.most_nodes()
            if self.best is not None and self.searched == self._asked():
                self._improve()
                if self.searched == self._asked():  # the same tree has the same bound
                    return
            nodes = min(nodes, most_nodes)
            self.tests.make_whole(self.search.blocks)
            many, before = len(self.search.blocks), self._progress_made()
            answer = self._search_once(nodes)
            if self.best is not None and not self._is_proven():
                self._improve()
            if self._goes_without_routes():
                ended = len(self.search.blocks) == many and not self._pays(before[0])
            elif answer.status == OPTIMAL:
                ended = self._progress_made() == before
            else:
                ended = nodes >= most_nodes and len(self.search.blocks) == many
                nodes = most_nodes
            if ended:
                return

    def _asked(self) -> tuple[int, float]:
        """What a search of all of the program goes by: its blocks, and the plan than which it looks for cheaper ones.

        A large program is searched from the best plan, as far as nodes go; one of many columns is asked for what is so
        much cheaper that it matters, and that is another question where the best plan is another.
        """
        return len(self.search.blocks), self._best_usd() if self._goes_without_routes() else INFINITY

    def _goes_without_routes(self) -> bool:
        """Whether all of the program is searched without its routes.

        By waiting the program says less of the plans than they must keep to, and is searched as it is.
        """
        is_kept = isinstance(self.search.program.solver, KeptHiGHS)
        return is_kept and self._has_many_columns() and self.p.waiting is None

    def _search_once(self, nodes: int) -> Answer:
        """Search all of the program: a better bound, and a cheaper plan where one is come upon.

        A small one for what is so much cheaper than the best plan that it matters; a large one from the best plan.
        """
        self.tests.make_whole(self.search.blocks)
        if self.best is not None and self._goes_without_routes() and (relaxed := self._without_routes()) is not None:
            self.searched = self._asked()
            return self._search_without_routes(*relaxed)
        gap = SEARCH_GAP * self.effort.gap_fraction
        cutoff_usd = self._cutoff_usd()
        start = self._start() if cutoff_usd == INFINITY else None
        answer = self._solve(f"up to {nodes} nodes", None, gap, nodes, start, cutoff_usd=cutoff_usd)
        self._raise_bound(answer)
        if self._is_large() and nodes >= self.search.most_nodes():
            self.searched = self._asked()
        if not self._is_proven() and answer.values is not None and self._is_cheaper(answer.objective):
            self._survive(answer.values)
        return answer

    @stage(WHOLE_NUMBERS)
    def _without_routes(self) -> tuple[WithoutRoutes, np.ndarray] | None:
        """The program without its routes, and values of all its columns that can be routed; None: it is not made."""
        program = self.search.program
        if self.relaxed is not None and self.relaxed[0].size == (program.n, program.m):
            return self.relaxed
        cores = [self.lp_values] if len(self.lp_values) == program.n else []
        cores += [values for values in [self._start()] if values is not None]
        if not cores:
            return None
        self._say("rows in the place of routes")
        relaxed = WithoutRoutes(program)
        relaxed.add_by_marginal_values(program.duals)
        for core in cores:
            relaxed.add_towards(core, self._seconds_that_remain)
        if not relaxed.is_bounded:
            return None
        self.relaxed = relaxed, cores[0]
        return self.relaxed

    def _seconds_that_remain(self) -> float | None:
        """Seconds to the time limit, None without one; raises TimeLimitPassed after it."""
        self.search.check_time()
        return self.search.remaining_seconds()

    def _search_without_routes(self, relaxed: WithoutRoutes, core: np.ndarray) -> Answer:
        """Search all of a program of many columns without its routes, for what would be so cheap that it matters.

        What is come upon may have no routes: rows that say so enter, and it is searched again. What has some is a plan,
        or failures break it.
        """
        for _ in range(TIMES_WITHOUT_ROUTES):
            answer = self._solve_without_routes(relaxed)
            self._raise_bound(answer)
            if answer.values is None or self._is_proven():
                break
            with stage(WHOLE_NUMBERS):
                values = relaxed.routed(answer.values, core, self._seconds_that_remain)
            if values is not None and self._is_cheaper(answer.objective):
                self._survive(values)
            if values is not None or not relaxed.has_grown:
                break
        return answer

    @stage(WHOLE_NUMBERS)
    def _solve_without_routes(self, relaxed: WithoutRoutes) -> Answer:
        """Whole numbers of what is bought and runs that cost less than would be proven, as far as nodes go."""
        self.search.check_time()
        nodes = self.effort.most_nodes
        if nodes is None:
            nodes = max(FEWEST_NODES, WITHOUT_ROUTES_WORK // relaxed.lp.n)
        label = f"without routes, up to {nodes} nodes"
        self._say(label)
        ends = Ends(
            most_nodes=nodes,
            seconds=self.search.remaining_seconds(),
            progress=lambda cost, bound: self._say(label, bound),
            only_bound=True,
            cutoff=self.search.program.scaled(self._proving_usd()),
        )
        answer = relaxed.solve(self.tests.integral(), ends)
        if answer.status not in (OPTIMAL, INFEASIBLE) and self.search.out_of_time():
            self.time_limit_ended = True
        return answer

    def _search_loosened(self) -> None:
        """Raise the bound over all of the program with less of it whole: with far fewer such columns trees end sooner.

        What is bought and the replicas first, what stands on machines that always count divisible; then that, too;
        replicas in failures divisible. The first goes to its end, the other, which takes many more nodes, to a part of
        the asked gap. A search ends where it finds what costs no more than the bound, as it cannot raise it; where
        nodes end it, with more whole they would do so, too. What is not so cheap as to matter is left out (the cutoff):
        most often nothing is left, and the plan is proven. It comes last, when nothing else raises the bound and the
        plan is as good as it gets: that takes what is left of a time limit.
        """
        nodes = self.search.most_nodes(LOOSE_TIMES)
        for integral in self.tests.looser():
            if self._is_proven():
                return
            bound_usd = self.search.bound
            is_all = bool((integral == self.integers.integral).all())
            gap = PART_GAP * self.effort.gap_fraction if is_all else 0.0
            label, cutoff_usd = f"with less whole, up to {nodes} nodes", self._cutoff_usd()
            answer = self._solve(
                label,
                None,
                gap,
                nodes,
                only_bound=True,
                end_at_usd=bound_usd,
                integral=integral,
                cutoff_usd=cutoff_usd,
            )
            self._raise_bound(answer)
            if answer.status != OPTIMAL and answer.objective > bound_usd:
                return

    def _raise_bound(self, answer: Answer) -> None:
        """Take up the bound of a search of all of the program; raises Infeasible where there is no plan."""
        if answer.status == INFEASIBLE and self.best is None:
            raise Infeasible("whole numbers")
        reached = answer.objective if answer.status == OPTIMAL else INFINITY  # below the best plan none: the cutoff is
        self.search.bound = max(self.search.bound, min(answer.bound, reached))

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
    def _test(self, values: np.ndarray) -> bool:
        """Whether whole numbers pass every test: then they are kept where they are cheaper."""
        tested = self.tests.passed(values)
        if tested is None:
            return False
        if self.best is None or tested.cost_usd < self.best.cost_usd:
            self.best = tested
            self.search.has_plan = True
            self._say("a plan that survives")
        return True

    def _survive(self, values: np.ndarray) -> None:
        """Test whole numbers, and mend them until every failure is survived or they are no improvement.

        What failures broke and the best plan, which they do not break: between them may be what is cheaper and holds.
        """
        for n in range(MOST_PASSES):
            if self._test(values):
                return
            if self.tests.too_full:  # by waiting: more of what the program reckons with mends nothing
                if self.best is None:
                    raise TooFull(self.tests.too_full)
                return
            values = self._lifted(values)
            answer = None
            if n < TIMES_BETWEEN and self.best is not None:
                bounds = self.bought.between(values, self._lifted(self.best.values))
                answer = self._part("below the best plan", bounds, self._start())
            if answer is None or answer.values is None or not self._is_cheaper(answer.objective):
                answer = self._repaired(values)
            if answer.values is None or not self._is_cheaper(answer.objective):
                return
            if np.array_equal(answer.values, values):  # what broke taught the program nothing: it would break again
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

    def _part(
        self, label: str, bounds: Bounds, start: np.ndarray | None = None, gap_fraction: float | None = None
    ) -> Answer:
        """The best whole numbers within bounds: of a program of many columns with fewer routes.

        Parameters
        ----------
        gap_fraction : at which the search ends; None: a part of the asked one
        """
        gap = self._part_gap() if gap_fraction is None else gap_fraction
        if self._has_many_columns() and isinstance(self.search.program.solver, KeptHiGHS):
            answer = self._solve(label, bounds, gap, FEWER_ROUTES_NODES, start, fewer_routes=True)
            if answer.values is not None:
                return answer
        return self._solve(label, bounds, gap, PART_NODES, start)

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
        for own in replicas_in_failures(self.search.program):
            (s,) = own.scope
            replicas = self.best.survived.get((s[1], s[0]))
            if replicas:
                lower[own.columns] = upper[own.columns] = replicas[own.name, s][own.elements]
        seconds, integral = self.search.remaining_seconds(), self.tests.integral()
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
        only_bound: bool = False,
        end_at_usd: float | None = None,
        integral: np.ndarray | None = None,
        cutoff_usd: float = INFINITY,
        bound_alone: bool = False,
        fewer_routes: bool = False,
    ) -> Answer:
        """The best whole numbers within bounds (none: those of the program), as far as gap and nodes go.

        Parameters
        ----------
        proof : whether to go on when what is found is as good as was asked for
        only_bound, cutoff_usd : see `Ends`
        end_at_usd : cost at which to end; None: at what is as good as was asked for
        integral : which columns are whole; None: those of a plan
        fewer_routes : whether to look only where streams that need about the same have one split: see `FewerRoutes`
        """
        self.search.check_time()
        good_enough_usd = None if proof else self._good_enough_usd() if end_at_usd is None else end_at_usd
        self._say(label)
        lower, upper = bounds if bounds is not None else (None, None)
        answer = self.integers.solve(
            lower,
            upper,
            integral=self.tests.integral() if integral is None else integral,
            start=start,
            gap_fraction=gap_fraction,
            most_nodes=nodes,
            seconds=self.search.remaining_seconds(),
            good_enough_usd=good_enough_usd,
            progress=(lambda cost, bound: self._say(label, bound)) if bounds is None else None,
            only_bound=only_bound,
            cutoff_usd=cutoff_usd,
            bound_alone=bound_alone,
            fewer_routes=fewer_routes,
        )
        if answer.status not in (OPTIMAL, INFEASIBLE) and self.search.out_of_time():
            self.time_limit_ended = True
        return answer

    # -------------------------------------------------------------- what was found
    def settled(self, tested: TestedPlan, stay: Set[Block] = frozenset()) -> Vectors:
        """All decisions of a plan: see `WholeTests`."""
        return self.tests.settled(tested, stay)
