"""Plans in whole numbers: whether they pass every test, what enters the program where they do not, what they decide."""

from collections.abc import Iterable, Set
from dataclasses import dataclass

import numpy as np

from planner.errors import SolverError
from planner.problem.algebra import Sparse
from planner.problem.arrays import full, of_tests
from planner.problem.decisions import Vectors, names, only
from planner.problem.problem import State
from planner.problem.rules.costs import minimised, outage_column, rank_outages
from planner.problem.rules.formulas import is_normal
from planner.problem.rules.gateway_limits import conditions, warm
from planner.problem.waiting import Of
from planner.solve.feasibility_subproblem import Replicas
from planner.solve.integer_program import IntegerProgram
from planner.solve.program import INFINITY
from planner.solve.search import SHORT, Block, Search, Survived, unhurt
from planner.solve.second_objective import edge_costs, settle_normal, settle_reserves
from planner.solve.stages import SETTLING, TESTS_WHOLE, stage
from planner.solve.taken_apart import merged_edge_costs, taken_apart
from planner.solve.whole_numbers import GO_ON, replicas_in_failures
from planner.threads import Count

ENTER_AT_ONCE = 12
"""Failures of an hour that enter the program after one test of all: as many as are new, the worst first."""
SETTLING_STATES = "settling states"


@dataclass(frozen=True)
class TestedPlan:
    """A plan in whole numbers that passed every test.

    Parameters
    ----------
    decisions : all of normal operation, and the states of priced failures; those of others are settled at the end
    cost_usd : of all [USD over the horizon]; of a problem whose measure is minimised that, in its unit: not USD
    survived : the replicas with which each failure is survived
    values : of the program's columns, as many as it had
    """

    decisions: Vectors
    cost_usd: float
    survived: Survived
    values: np.ndarray


class WholeTests:
    """The tests of whole numbers, and the program that learns from them which failures bind and which are whole."""

    def __init__(self, search: Search, integers: IntegerProgram) -> None:
        self.search, self.p, self.integers = search, search.p, integers
        self.too_full: dict[Of, float] = {}
        """(placement, whether in a failure) -> replicas of the last whole numbers, where they were too full for that"""

    # -------------------------------------------------------------- what passes, and what enters where it does not
    def passed(self, values: np.ndarray) -> TestedPlan | None:
        """The plan of whole numbers that pass every test; where they do not what broke enters the program.

        Parameters
        ----------
        values : of all columns of the program
        """
        self.integers.hold(values)
        self.too_full = {}
        purchases, in_program = self.search.purchases(integer=True), self._replicas_in_failures(values)
        broken, survived = self.search.broken_whole(purchases, in_program)
        if self.p.waiting is not None:
            for _, block in broken:  # what is whole in the program holds by what that reckons with, and not by number
                most = np.asarray(purchases.replicas[block[1],])
                self._note_too_full(True, [np.minimum(n, most) for n in _running(in_program.get(block))])
        if not broken and (dear := self.search.underpriced(purchases)):
            self._enter((block for _, block in dear), most=len(dear))
            return None
        if broken:
            self._enter((block for _, block in broken), most=ENTER_AT_ONCE)
            return None
        return self._plan(self._as_tested(values, purchases), purchases, survived)

    def _note_too_full(self, in_failure: bool, several: Iterable[np.ndarray]) -> None:
        """Keep the fewest replicas of each placement, of several vectors."""
        for replicas in several:
            for i in np.flatnonzero((replicas >= 1) & (replicas < INFINITY)).tolist():
                of = self.p.placements[i], in_failure
                self.too_full[of] = min(self.too_full.get(of, INFINITY), float(replicas[i]))

    def _note_warm(self, purchases: Vectors) -> None:
        """Keep what runs in normal operation and where gateways keep their weights: too few for their reserves."""
        a = full(self.p)
        for h in self.p.hours:
            for s, placements in conditions(a, h).items():
                self._note_too_full(not is_normal(s), [np.where(placements, warm(a, purchases, s), 0.0)])

    def _replicas_in_failures(self, values: np.ndarray) -> Survived:
        """Replicas that the program itself chose for its failures, of all placements; of those without a choice all."""
        by_block: dict[Block, dict[tuple[str, State], np.ndarray]] = {}
        for own in replicas_in_failures(self.search.program):
            (s,) = own.scope
            replicas = np.full(len(self.p.placements), INFINITY if own.name == "kept" else 0.0)
            replicas[own.elements] = np.round(values[own.columns])
            if (s[1], s[0]) in self.search.whole_blocks:
                by_block.setdefault((s[1], s[0]), {})[own.name, s] = replicas
        return dict(by_block)

    def _as_tested(self, values: np.ndarray, purchases: Vectors) -> np.ndarray:
        """Values of the columns with as many non-preemptible replicas as the tests reckoned with."""
        values = values.copy()
        for own in self.search.program.owned:
            if own.name in GO_ON:
                values[own.columns] = np.asarray(getattr(purchases, own.name)[own.scope])[own.elements]
        return values

    def _enter(self, blocks: Iterable[Block], most: int) -> None:
        """Let failures enter, so many of an hour; of those in the program replicas become whole."""
        entering: dict[str, int] = {}
        grown = False
        for block in blocks:
            if block in self.search.blocks:
                self.make_whole([block])
                continue
            entering[block[1]] = entering.get(block[1], 0) + 1
            if entering[block[1]] <= most:
                self.search.enter(block)
                grown = True
        if grown:
            self.search.minimise()
            self.integers.renew()

    def make_whole(self, blocks: Iterable[Block]) -> None:
        """From now on the replicas of these failures are whole in the program."""
        self.search.whole_blocks.update(blocks)

    def integral(self) -> np.ndarray:
        """Columns that are whole: those that always are, and the replicas of failures that broke on whole numbers."""
        integral = self.integers.integral.copy()
        for own in replicas_in_failures(self.search.program):
            (s,) = own.scope
            if (s[1], s[0]) in self.search.whole_blocks:
                integral[own.columns] = True
        return integral

    def looser(self) -> list[np.ndarray]:
        """Columns that are whole in searches for a bound alone, fewest first; none where a plan has no more whole.

        Replicas in failures are divisible in all, what stands on machines that always count in the first.
        """
        bought = self.integers.integral
        fewest = bought.copy()
        for name in GO_ON:
            fewest[self.integers.columns(name)[1]] = False
        different = [fewest] if (fewest != bought).any() else []
        if (bought != self.integral()).any():
            different.append(bought)
        return different

    # -------------------------------------------------------------- what a plan decides
    @stage(SETTLING)
    def _plan(self, values: np.ndarray, purchases: Vectors, survived: Survived) -> TestedPlan | None:
        """The plan that passed every test, normal operation settled; None where it cannot be."""
        if self.search.has_reserves:
            x = settle_reserves(self.p, purchases, self.search.new_solver())
            if x is None:  # the survivors of replicas that the solver took for whole are too few
                if self.p.waiting is not None:
                    self._note_warm(purchases)
                return None
        else:
            try:
                x = settle_normal(self.p, purchases, self.search.new_solver())
            except SolverError:
                if self.p.waiting is None:
                    raise
                for h in self.p.hours:
                    self._note_too_full(False, [purchases.replicas[h,]])
                return None
        if self.p.priced:
            self._price(x, purchases, survived)
        return TestedPlan(x, float(minimised(full(self.p), x)[0]), survived, values)

    @stage(TESTS_WHOLE)
    def _price(self, x: Vectors, purchases: Vectors, survived: Survived) -> None:
        """Set what outages cost with whole replicas; those that are dearer than the program reckons enter it."""
        priced = [(f, h) for f in self.p.priced for h in self.p.hours]
        for f, h in priced:
            self.search.check_time()
            subproblem, seconds = self.search.subproblem(f, h), self.search.remaining_seconds()
            cheapest = subproblem.cheapest_whole(f, purchases, self.search.most_nodes(), seconds)
            survived[f, h] = cheapest if cheapest is not None else survived[f, h]
        self.settle_states(x, {at: survived[at] for at in priced})
        rank_outages(full(self.p), x)
        usd = outage_column(full(self.p), x, list(self.p.priced))
        off = {f: self.search.off_usd(f, float(each)) for f, each in zip(self.p.priced, usd, strict=True)}
        dearer = sorted((f for f in off if self.search.is_off(off[f])), key=lambda f: -off[f])
        for_each = [(f, h) for f in dearer for h in self.p.hours]
        self.make_whole(for_each)
        self._enter(for_each, most=len(for_each))

    def settled(self, tested: TestedPlan, stay: Set[Block] = frozenset()) -> Vectors:
        """All decisions of a plan: its states of failures that are not priced are settled, too.

        Parameters
        ----------
        stay : failures in hours whose states are known
        """
        wanted = {
            at: replicas for at, replicas in tested.survived.items() if at[0] not in self.p.priced and at not in stay
        }
        return self.settle_states(tested.decisions, wanted)

    @stage(SETTLING)
    def settle_states(self, x: Vectors, survived: Survived, merge: bool = False) -> Vectors:
        """The decisions with states of failures: replicas as the tests found them, requests routed best.

        Parameters
        ----------
        merge : whether flows that are one are routed as one and taken apart: much faster, routes nearly as short
        """
        single, purchases = of_tests(self.p, merge=False), only(x, "purchases")
        merged, edge_cost, every = of_tests(self.p), edge_costs(single), full(self.p)
        cost = merged_edge_costs(merged, single, edge_cost) if merge else edge_cost

        def settle(blocks: list[Block], count: Count) -> list[Vectors]:
            settled, settled_of = [], dict[tuple[str, tuple[float, ...], bytes], Vectors]()
            for f, h in sorted(blocks, key=lambda block: survived[block] is None):
                signature = self.search.subproblem(f, h, merge).signature(f, purchases)
                same = h, self.p.deadlines_seconds[f], signature
                if same in settled_of and f not in self.p.priced:
                    settled.append(of_another(f, settled_of[same]))
                    count.add(f)
                    continue
                states = self._settle(f, h, purchases, survived[f, h], cost, merge)
                if merge:
                    states = taken_apart(merged, single, states, edge_cost)
                states.traffic = Sparse({s: every.from_tests(values) for s, values in states.traffic.items()})
                settled.append(states)
                settled_of[same] = states
                count.add(f)
            return settled

        every.from_tests(np.zeros(single.E))  # what all of them use is made once, before there are several
        search = self.search
        in_parts = search.by_part(
            survived, settle, lambda share, f: search.progress(SETTLING_STATES, share, search.with_reached(f))
        )
        for states in (one for part in in_parts for one in part):
            for name in names("states"):
                getattr(x, name).update(getattr(states, name))
        return x

    def _settle(
        self, f: str, h: str, purchases: Vectors, replicas: Replicas | None, edge_cost: np.ndarray, merge: bool
    ) -> Vectors:
        """The states of a failure in an hour, with replicas as its test found them, or fewer that are started."""
        search = self.search
        if replicas is None and unhurt(self.p, purchases, f, h):
            replicas = search.subproblem(f, h).all_warm(f)
        elif replicas is None or (f not in self.p.priced and has_cold_starts(replicas)):
            known, seconds = replicas or search.known.get((f, h)), search.remaining_seconds()
            short, fewer = search.subproblem(f, h).test_whole(f, purchases, None, seconds, known, least_churn=True)
            replicas = fewer if replicas is None or short == 0.0 else replicas
        states = search.subproblem(f, h, merge).settle(f, purchases, replicas, edge_cost)
        short = sum(float(excess.sum()) for excess in states.excess.values())
        if short > SHORT * float(full(self.p).wanted((h, f, 0.0)).sum()):
            raise SolverError(f"{f} in {h} was taken to be survived, and is not: please report it with the study")
        return states


def _running(replicas: Replicas | None) -> list[np.ndarray]:
    """Replicas that run in each state: kept and cold-started."""
    known = {} if replicas is None else dict(replicas)
    kept = {s: n for (name, s), n in known.items() if name == "kept"}
    return [np.asarray(n + known.get(("cold_started", s), 0.0)) for s, n in kept.items()]


def has_cold_starts(replicas: Replicas) -> bool:
    """Whether a failure is survived with replicas that are not warm."""
    return any(name == "cold_started" and vector.any() for (name, _), vector in replicas.items())


def of_another(f: str, states: Vectors) -> Vectors:
    """The states of a failure as those of `f`, which leaves the same of what is bought."""
    same = Vectors()
    for name in names("states"):
        for ((h, _, c),), values in getattr(states, name).items():
            getattr(same, name)[(h, f, c),] = values
    return same
