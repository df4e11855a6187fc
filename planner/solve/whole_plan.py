"""The second stage: whole numbers over the binding failures, and tests of all of them, in turn.

Small programs go to one integer search; large ones are rounded, repaired where failures break them, and improved by
neighbourhoods. Every plan that is kept passed every test.
"""

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pulp

from planner.errors import SolverError
from planner.problem.decisions import Decisions, names, only
from planner.problem.rules.costs import cost_usd, rank_outages
from planner.problem.rules.formulas import requests_per_second
from planner.solve.program import FEASIBLE, INFEASIBLE, INFINITY, OPTIMAL, fix
from planner.solve.search import (
    ENTER_PER_PASS,
    FIRST_NODES,
    MOST_PASSES,
    Block,
    Infeasible,
    Search,
    Stopped,
    Survived,
    is_proven,
)
from planner.solve.second_objective import edge_costs, settle_normal, settle_reserves
from planner.solve.whole_numbers import dive, fixed, improved, near, repair

MORE_NODES = 4
ROUNDS_AT_ONCE = 4
"""Neighbourhoods searched between two tests of all failures."""
LARGE_COLUMNS = 10_000
"""Programs beyond are rounded and improved pool by pool: an integer search over all of them finds nothing in time."""
HEADROOM = 0.01
"""What is asked for beyond demand in failures that cold-start replicas, and again where they could not be rounded."""
SHORT = 1e-5
"""What a plan may miss by the arithmetic of the solver [fraction]; more is an error of ours, which must not pass."""
SEARCH_GAP = 0.98
"""Share of the asked gap at which one integer search ends: later failures still cost something."""


@dataclass(frozen=True)
class Whole:
    """A plan in whole numbers that passed every test.

    Parameters
    ----------
    decisions : all of normal operation, and the states of priced failures; those of others are settled at the end
    survived : the replicas with which each failure is survived
    columns : values of the program's columns, where they are known: what neighbourhoods are searched from
    """

    decisions: Decisions
    cost_usd: float
    survived: Survived
    columns: dict[Any, float] | None


class WholePlan:
    """The search for whole numbers, after the LP bound is known.

    Parameters
    ----------
    search : whose program has the binding failures of the linear program
    start : whole columns -> what a similar plan has, until a plan near it has been found; None: there is none
    """

    def __init__(self, search: Search, start: Mapping[Any, float] | None = None) -> None:
        self.search, self.p, self.effort = search, search.p, search.effort
        self.program, self.x = search.program, search.x
        self.start = start
        self.lp_values = self.program.values() if start is not None else {}
        self.best: Whole | None = None
        self.time_limit_ended = False
        self.last: dict[Any, float] | None = None
        """columns of the last whole numbers"""
        self.grown = False
        """whether failures have entered since"""
        self.remaining_rounds = self.effort.rounds
        self.whole_prices: set[str] = set()
        self.dearer: list[str] = []
        """priced failures of the last plan that cost more than the program reckons"""
        self.asked: dict[Any, float] = {}
        """what was asked for in columns that were given headroom"""
        self.draw = random.Random(0)

    def run(self) -> Whole:
        """Integer search and tests in turn until the gap that was asked for is proven, or the effort is spent."""
        if self.start is not None:
            self._keep_the_start(self.start)
        nodes = FIRST_NODES
        for _ in range(MOST_PASSES):
            nodes = min(nodes, self.search.most_nodes())
            purchases = self._candidate(nodes)
            if self.best is not None and self._large():
                self.time_limit_ended = self.search.out_of_time()
                if self.program.objective >= self.best.cost_usd and (self._spent(nodes) or self.time_limit_ended):
                    return self.best
            broken, survived = self.search.broken_whole(purchases)
            if broken:
                self._enter(broken)
                continue
            if dear := self.search.underpriced(purchases):
                self._enter(dear[:ENTER_PER_PASS])
                continue
            self.best = best = self._better(purchases, survived)
            if is_proven(self.gap(best), self.effort.gap_fraction):
                return best
            if self.dearer and not self.search.out_of_time():
                for f in self.dearer[:ENTER_PER_PASS]:
                    self._make_price_whole(f)
                self.program.minimise(self.search.objective)
                continue
            if self._spent(nodes):
                return best
            if self.start is not None:  # what is near has been found; from here on the search is as without a start
                if self.effort.quick:
                    return best
                self.start = None
                continue
            if self.search.out_of_time():
                self.time_limit_ended = True
                return best
            nodes *= MORE_NODES
        if self.best is not None:
            return self.best
        raise Stopped(f"no whole plan after {MOST_PASSES} passes")

    def at_once(self) -> Whole:
        """The best plan so far, else one as soon as can be: rounded, and added to until every failure is survived."""
        if self.best is not None:
            return self.best
        for _ in range(MOST_PASSES):
            if self._repaired() is None and not dive(self.p, self.program, self.x):
                raise Stopped("interrupted before a whole plan was found")
            self.last, purchases = self.program.values(), self.search.purchases(whole=True)
            broken, survived = self.search.broken_whole(purchases)
            if not broken:
                return self._better(purchases, survived)
            self._enter(broken)
        raise Stopped(f"no whole plan after {MOST_PASSES} passes")

    def settled(self, whole: Whole) -> Decisions:
        """All decisions of a plan: its states of failures that are not priced are settled, too."""
        not_priced = {at: replicas for at, replicas in whole.survived.items() if at[0] not in self.p.priced}
        return self._settle_states(whole.decisions, not_priced)

    def gap(self, whole: Whole) -> float:
        """How much cheaper the best possible plan might be [fraction]."""
        return max(0.0, whole.cost_usd - self.search.bound) / whole.cost_usd if whole.cost_usd > 0 else 0.0

    # -------------------------------------------------------------- plans that passed the tests
    def _keep_the_start(self, start: Mapping[Any, float]) -> None:
        """Begin with the similar plan where it is a plan of this problem, too: only a better one replaces it."""
        columns = fixed(self.program, self.x, start)
        if columns is None:
            return
        purchases = self.search.purchases(whole=True)
        broken, survived = self.search.broken_whole(purchases)
        if not broken and not self.search.underpriced(purchases):
            self.last = columns
            self.best = self._better(purchases, survived)
            self.last = None

    def _better(self, purchases: Decisions, survived: Survived) -> Whole:
        """The cheaper of the best plan so far and this one, which passed every test."""
        purchases = self.search.with_non_preemptible(purchases, whole=True)
        x = self._reserved(purchases) if self.search.rescales else self._normal(purchases)
        if self.p.priced:
            priced = [(f, h) for f in self.p.priced for h in self.p.hours]
            for f, h in priced:
                cheapest = self.search.subproblem(f, h).cheapest_whole(f, purchases, self.search.most_nodes())
                survived[f, h] = cheapest if cheapest is not None else survived[f, h]
            self._settle_states(x, {at: survived[at] for at in priced})
            rank_outages(self.p, x)
            self.dearer = self._dearer_when_whole(x)
        cost = float(cost_usd(self.p, x))
        if self.best is not None and self.best.cost_usd <= cost:
            return self.best
        return Whole(x, cost, survived, self.last)

    def _normal(self, purchases: Decisions) -> Decisions:
        return settle_normal(self.p, purchases, self.search.new_solver())

    def _reserved(self, purchases: Decisions) -> Decisions:
        """Reserves and all states for what is bought; where survivors rounded down are too few, replicas are added."""
        x = settle_reserves(self.p, purchases, self.search.new_solver())
        if x is None and self._repaired() is not None:
            self.last = self.program.values()
            x = settle_reserves(self.p, self.search.purchases(whole=True), self.search.new_solver())
        if x is None:
            raise Stopped("rounding found no replicas that carry what is reserved")
        return x

    def _settle_states(self, x: Decisions, survived: Survived) -> Decisions:
        """The decisions with states of failures: replicas as the tests found them, requests routed best."""
        costs, purchases = edge_costs(self.p), only(x, "purchases")
        for n, ((f, h), replicas) in enumerate(survived.items()):
            self.search.progress("settling states", n / len(survived), f)
            subproblem = self.search.subproblem(f, h)
            if replicas is None:
                _, replicas = subproblem.test_whole(f, purchases, None)
            states = subproblem.settle(f, purchases, replicas, costs)
            wanted = sum(requests_per_second(self.p, w, o, (h, f, 0.0)) for w, o in self.p.flows)
            if sum(states.excess.values()) > SHORT * wanted:
                raise SolverError(f"{f} in {h} was taken to be survived, and is not: please report it with the study")
            for name in names("states"):
                getattr(x, name).update(getattr(states, name))
        return x

    # -------------------------------------------------------------- candidates
    def _candidate(self, nodes: int) -> Decisions:
        """Whole purchases over the binding failures: the best that one more effort finds.

        Raises
        ------
        Infeasible
            when no whole numbers meet what the linear program meets
        """
        if not (self.start is not None and self._like_the_start()) and not (self._large() and self._rounded()):
            self._integer_search(nodes)
        return self.search.purchases(whole=True)

    def _like_the_start(self) -> bool:
        """Leave the program at whole numbers near a similar plan; False where there are none."""
        self._say("from a similar plan")
        start, seconds = self.start or {}, self.search.remaining_seconds()
        values = near(self.program, self.x, start, self.lp_values, self._good_enough(), seconds)
        if values is None:
            self.start = None
            return False
        self.last, self.grown = values, False
        return True

    def _integer_search(self, nodes: int) -> None:
        """Leave the program at the best whole numbers of one integer search over all of it; raises the bound."""
        self._take_headroom_back()
        good_enough, seconds = self._good_enough(), self.search.remaining_seconds()
        repaired = self._repaired() if self.grown else None
        if repaired is not None and good_enough is not None and self.program.objective <= good_enough:
            self.last, self.grown = repaired, False
            return
        self._say(f"up to {nodes} nodes")
        status = self.program.solve(True, self.effort.gap_fraction * SEARCH_GAP, nodes, seconds, good_enough)
        self.time_limit_ended = self.time_limit_ended or (status != OPTIMAL and self.search.out_of_time())
        if status == INFEASIBLE:
            raise Infeasible("whole numbers")
        reached = self.program.objective if status == OPTIMAL else INFINITY
        self.search.bound = max(self.search.bound, min(self.program.bound, reached))
        if status not in (OPTIMAL, FEASIBLE):
            if repaired is None and not dive(self.p, self.program, self.x):
                raise Stopped(f"the integer search ended with {status}, and rounding found no plan either")
            for v, value in (repaired or {}).items():
                v.varValue = value
        self.last, self.grown = self.program.values(), False

    def _rounded(self) -> bool:
        """Leave the program at whole numbers, or at a cost that is no improvement; False when rounding leads nowhere.

        The first are rounded; those that failures broke are repaired; from a plan that passed, neighbourhoods are
        searched for cheaper ones.
        """
        self._say("rounding")
        if self.last is None:
            cold_starting = {(key[-1][1], key[-1][0]) for key in self.x.cold_started}
            for block in sorted(self.search.blocks & cold_starting):
                self._give_headroom(block)
        if self.best is None or self.grown:
            values = self._repaired() if self.last is not None else None
            if values is None and self.best is None and dive(self.p, self.program, self.x):
                values = self.program.values()
            self.last, self.grown = values, False
            if self.best is None:
                return values is not None
            if values is not None and self.program.objective < self.best.cost_usd:
                return True
        self._improve(self.best)
        return True

    def _improve(self, best: Whole) -> None:
        """Search neighbourhoods of the best plan, each from the best before it."""
        start = self.last = self._with_new_columns(best.columns or {})
        rounds = min(self.remaining_rounds, ROUNDS_AT_ONCE)
        for n in range(rounds):
            if self.search.out_of_time():
                break
            done, cost = 1 - (self.remaining_rounds - n) / self.effort.rounds, self.program.value_of(self.last)
            self._say(f"{cost:,.0f} USD", done)
            good_enough, seconds = self._good_enough(), self.search.remaining_seconds()
            better = improved(self.p, self.program, self.x, self.last, self.draw, good_enough, seconds)
            self.last = self.last if better is None else better
        self.remaining_rounds -= rounds
        for v, value in self.last.items():
            v.varValue = value
        self.program.objective = self.program.value_of(self.last) if self.last is not start else best.cost_usd

    def _repaired(self) -> dict[Any, float] | None:
        """The last whole numbers with as little as possible added, so that what entered since is survived, too."""
        if self.last is None:
            return None
        gap, seconds = self.effort.gap_fraction / 2, self.search.remaining_seconds()
        return repair(self.program, self.x, self.last, gap, FIRST_NODES, seconds)

    def _large(self) -> bool:
        """Whether the program is too large for one integer search over all of it."""
        return len(self.program.lp.columns) > LARGE_COLUMNS

    def _spent(self, nodes: int) -> bool:
        """Whether all effort that no time limit counts has been spent."""
        return self.remaining_rounds <= 0 if self._large() else nodes >= self.search.most_nodes()

    def _good_enough(self) -> float | None:
        """Cost at which an integer search may end [USD]; None: only when it has proven the best."""
        gap = self.effort.gap_fraction * SEARCH_GAP
        return self.search.bound / (1 - gap) if gap > 0 else None

    def _say(self, detail: str, done: float | None = None) -> None:
        self.search.progress("whole numbers", done, f"{len(self.search.binding)} failures binding, {detail}")

    # -------------------------------------------------------------- what failures that break do to the program
    def _enter(self, broken: Iterable[tuple[float, Block]]) -> None:
        """Let failures that broke enter; of those in the program, ask for more headroom or whole replicas."""
        self.grown = True
        before = set(self.search.blocks)
        for block in self.search.first_of_each_hour(broken):
            if block in before and self._large():
                self._give_headroom(block)
            elif block in before:
                self.search.make_whole(block)
            else:
                self.search.enter(block)
        if self.last is not None:
            self.last = self._with_new_columns(self.last)
        self.program.minimise(self.search.objective)

    def _with_new_columns(self, values: Mapping[Any, float]) -> dict[Any, float]:
        """Values of all columns: zero of those that came later."""
        return {**dict.fromkeys(self.program.lp.columns, 0.0), **values}

    def _give_headroom(self, block: Block) -> None:
        """Ask for a little more in a failure that broke on whole numbers only, so that its replicas can be rounded.

        For candidates alone: the bound stands already, and what passes the tests is judged by what is really asked.
        """
        for (_, _, s), v in self.x.offered.items():
            if (s[1], s[0]) == block and isinstance(v, pulp.LpVariable):
                self.asked.setdefault(v, v.upBound)
                fix(v, v.upBound * (1 + HEADROOM))

    def _take_headroom_back(self) -> None:
        """Ask for what is really asked: only of the problem itself a bound is one, and "infeasible" true."""
        for v, value in self.asked.items():
            fix(v, value)
        self.asked = {}

    def _dearer_when_whole(self, x: Decisions) -> list[str]:
        """Priced failures that cost more with whole replicas than the program reckons, which takes them as divisible.

        Each once, the dearest first; none in large programs, where whole numbers everywhere would find nothing in time.
        """
        dearer = []
        for f in self.p.priced if not self._large() else ():
            off = self.search.off_usd(f, x.outage[f,])
            if self.search.is_off(off) and f not in self.whole_prices:
                dearer.append((-off, f))
        return [f for _, f in sorted(dearer)]

    def _make_price_whole(self, f: str) -> None:
        """Make all replicas of a priced failure whole in the program, which then knows what it costs."""
        self.whole_prices.add(f)
        self.search.enter((f, self.p.hours[0]))
        for name in ("kept", "occupied", "cold_started"):
            for key, v in getattr(self.x, name).items():
                if key[-1][1] == f:
                    self.program.make_whole(v)
