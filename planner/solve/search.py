"""What the stages of one search share: the program with the binding failures, and the tests of all failures.

The stages: `lp_bound` (the linear program over all failures), `whole_plan` (whole numbers), `second_objective`
(routes).
"""

import time
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Literal, TypeVar

import numpy as np

from planner.errors import NoPlan, SolverError
from planner.problem.arrays import full, merged
from planner.problem.decisions import Decisions, Vectors, names
from planner.problem.problem import Problem
from planner.problem.rules.costs import beside_states_usd, minimised, outage_column
from planner.problem.rules.formulas import survivors, units_active
from planner.problem.rules.gateway_limits import without_weights
from planner.problem.waiting import Of
from planner.solve.columns import add_failure, start_program
from planner.solve.dominance import Dominance
from planner.solve.feasibility_subproblem import MORE_TEST_NODES, WHOLE, FeasibilitySubproblem, Replicas, tolerance
from planner.solve.program import INFINITY
from planner.solve.second_objective import reserve_program
from planner.solve.stages import BUILDING, TESTS, TESTS_WHOLE, in_thread, stage
from planner.solve.whole_numbers import (
    non_preemptible_at_its_largest,
    on_offers_at_their_largest,
    whole_names,
)
from planner.study.dependencies import NORMAL
from planner.study.records.study import Study
from planner.threads import Count, side_by_side

Status = Literal["proven", "gap", "stopped"]
Block = tuple[str, str]
"""(f, h): a failure in an hour, which enters the program and is tested by itself"""
Survived = dict[Block, Replicas | None]
"""Failure in an hour -> the replicas that survive it; None where nothing is hurt."""
Progress = Callable[[str, float | None, str], None]
"""(stage, fraction done or None, detail)"""
Result = TypeVar("Result")
MOST_PARTS, FEWEST_HOURS_OF_PART = 8, 12
"""Hours are tested in parts, at most so many, of so many hours each at the least: each part has instances of its own of
the solver, which begin from nothing once and take memory."""
ENTER_PER_PASS = 2
FAR_DEARER, LARGEST_COST = 30.0, 1e5
"""From a column so many times as dear as the plan on costs are scaled by the plan; and the most that a column may cost
then, in the solver's units."""
MOST_PASSES = 200
FEWEST_NODES = 25
NODE_WORK = 2_500_000
"""Columns times nodes that one integer search may take when nobody says otherwise: seconds, not minutes."""
USUAL_GAP, MOST_FINER = 0.01, 10.0
"""Who asks for a smaller gap than usual [fraction] gets more nodes in proportion, so many times as many at most."""
PRICED_CLOSE = 1e-7
"""Share of the objective that the price of a failure may be off, weighted by how often it happens."""
FIRST_PLAN_FRACTION, FIRST_PLAN_SECONDS = 1.1, 2.5
"""Share of the time limit, and seconds beyond it, until which a first plan is looked for: none at all helps nobody."""
LP_FRACTION = 0.5
"""Share of the time limit after which the linear program tests no more failures: whole numbers need the rest."""
RARE = 1e-3
"""Occurrences over the horizon by which the price of a failure is weighted at the least."""
SHORT = 1e-5
"""What a plan may miss by the arithmetic of the solver [fraction]; more is an error of ours, which must not pass."""
ARITHMETIC_FRACTION = 1e-6
"""What a bound may miss the cost of the best plan by when a solver calls it proven: its own tolerances."""


USUAL_GAP_FRACTION: Mapping[str, float] = {"fixed": 0.01, "waiting": 0.02}
"""Basis of utilisation -> the gap that is asked for unless one is said: by waiting the second percent takes as long
again, and of some studies is not proven."""


def usual_gap_fraction(study: Study) -> float:
    """The gap within which a plan of a study is asked to be proven, unless one is said."""
    return USUAL_GAP_FRACTION[study.utilisation.basis]


@dataclass(frozen=True)
class Effort:
    """How hard to try.

    Parameters
    ----------
    gap_fraction : end when the plan is proven within this of the best possible
    most_nodes : branch-and-bound nodes of one integer search, which ends the same way every time; None: as many as the
        size of the program and the gap allow (NODE_WORK over its columns)
    rounds : windows searched around the best plan between two searches of everything
    quick : with a plan to start from, end at the first plan found near it, whatever its gap
    prune : leave dominated failures out of the tests; the cost is the same
    seconds : a time limit; None: none. A plan that a time limit ended says so and is not reproducible
    jobs : threads in which hours, and failures in hours, are worked on side by side; the plan is the same
    """

    gap_fraction: float = 0.01
    most_nodes: int | None = None
    seconds: float | None = None
    rounds: int = 3
    prune: bool = True
    quick: bool = False
    jobs: int = 1


def is_proven(gap_fraction: float, asked_fraction: float) -> bool:
    """Whether a gap is the one that was asked for, within the arithmetic of the solver.

    Examples
    --------
    >>> is_proven(2e-7, 0.0), is_proven(2e-6, 0.0)
    (True, False)
    """
    return gap_fraction <= asked_fraction + ARITHMETIC_FRACTION


class TimeLimitPassed(Exception):
    """The time limit has passed in the middle of something."""


class Stopped(NoPlan):
    """The effort ended before a plan was found; more nodes or seconds may find one."""

    def __init__(self, why: str) -> None:
        super().__init__(f"no plan found: {why}\n  would help: more --nodes, more --seconds, or the default solver")


class TooFull(Exception):
    """Whole numbers led nowhere, as replicas are too full for their number.

    Parameters
    ----------
    replicas : (placement, whether in a failure) -> how many run
    """

    def __init__(self, replicas: dict[Of, float]) -> None:
        self.replicas = replicas
        super().__init__("replicas are too full for their number")


class Infeasible(NoPlan):
    """No plan exists; `explain.diagnose` finds out why."""


@dataclass
class Solution:
    """A plan in numbers, with its proof. Costs in USD over the horizon.

    Of a problem whose measure is minimised (`Problem.measure` without `most`) `cost_usd`, `bound_usd` and
    `lp_bound_usd` are of what is minimised, `minimised` in rules/costs.py, in the unit of the measure: not USD.
    """

    decisions: Decisions
    cost_usd: float
    bound_usd: float
    lp_bound_usd: float
    binding: tuple[str, ...]
    """failures that entered the program"""
    passes: int
    status: Status
    dominated: int = 0
    """failures that were not tested, as harder ones cover them"""
    limit_marginals: dict[str, float] = field(default_factory=dict)
    offer_marginals: dict[str, float] = field(default_factory=dict)
    limit_steps: dict[str, float] = field(default_factory=dict)
    """limit, or offer with a limit -> so many more of it at once saved what its marginal value says, per unit"""
    drivers: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """pool -> failures that pay for it, largest first"""


class Search:
    """One search: the program with the binding failures, and the feasibility subproblems by deadlines."""

    @stage(BUILDING)
    def __init__(self, p: Problem, effort: Effort, solver: Callable[[], Any] | None, progress: Progress) -> None:
        self.p, self.effort, self.progress = p, effort, progress
        self.new_solver = solver if solver is not None else lambda: None
        self.has_reserves = bool(p.rescaled)
        """whether gateways have fixed weights, and reserves for the failures in which they keep them"""
        if self.has_reserves and (weightless := without_weights(p)):
            raise Infeasible(f"no weight is left for {' '.join(weightless[0])}")
        start = reserve_program if self.has_reserves else start_program
        self.arrays_of = merged(p)
        self.program, self.x = start(p, self.new_solver())
        self.objective = minimised(self.arrays_of(NORMAL), self.x)
        self.largest_cost = 1.0
        self.binding: list[str] = []
        self.dominance = Dominance(p)
        self.dominated = self.dominance.dominated() if effort.prune else {}
        self.blocks: set[Block] = set()
        """blocks of binding failures: those that are in the program"""
        self.whole_blocks: set[Block] = set()
        """blocks whose replicas are whole in the program"""
        self.has_plan = False
        self.first_plan_seconds: float | None = None
        """until when a first plan is looked for, where it is not a little more than the time limit"""
        self.all_failures_tested = False
        """whether the linear program survives all: a time limit may come first"""
        self.subproblems: dict[tuple[tuple[float, ...], bool], dict[int, FeasibilitySubproblem]] = {}
        """those of some deadlines, by the part of the hours that each is for"""
        self._making_subproblems = Lock()
        self.known: Survived = {}
        """replicas with which a failure was survived last, here or in a similar plan: its next test tries them first"""
        self.by_hours: Any = None
        """the linear program at its best point, a `ByHours`, where it was solved hour by hour"""
        self.hour_at = {h: k for k, h in enumerate(p.hours)}
        self.passes = 0
        self.bound = -INFINITY
        self.reached = ""
        """where the best plan and the bound stand, for whoever waits"""
        self.began = time.monotonic()

    def with_reached(self, detail: str) -> str:
        """A detail of the progress, with where plan and bound stand."""
        return f"{detail}; {self.reached}" if self.reached else detail

    def seconds_to_limit(self) -> float:
        """Seconds to the time limit, below zero after it; infinity: there is none."""
        return self.limit_seconds() - self.spent_seconds()

    def limit_seconds(self) -> float:
        """The time limit, for a first plan a little more; infinity: there is none."""
        if self.effort.seconds is None:
            return INFINITY
        if self.has_plan:
            return self.effort.seconds
        if self.first_plan_seconds is not None:
            return self.first_plan_seconds
        return FIRST_PLAN_FRACTION * self.effort.seconds + FIRST_PLAN_SECONDS

    def spent_seconds(self) -> float:
        """Seconds since the search began."""
        return time.monotonic() - self.began

    def out_of_time(self) -> bool:
        """Whether the time limit has passed."""
        return self.seconds_to_limit() <= 0

    def check_time(self) -> None:
        """End what is under way when the time limit has passed; raises TimeLimitPassed."""
        if self.out_of_time():
            raise TimeLimitPassed

    def remaining_seconds(self) -> float | None:
        """Seconds to the time limit, a moment at least; None: there is none."""
        return None if self.effort.seconds is None else max(0.1, self.seconds_to_limit())

    def most_nodes(self, times: int = 1) -> int:
        """Nodes of one integer search; where nobody says otherwise so many times as many."""
        if self.effort.most_nodes is not None:
            return self.effort.most_nodes
        finer = min(MOST_FINER, max(1.0, USUAL_GAP / max(self.effort.gap_fraction, 1e-9)))
        return max(FEWEST_NODES, int(times * NODE_WORK * finer) // self.program.n)

    def failures(self) -> list[str]:
        """Failures to be tested: those in which weights are chosen anew, as reserves survive the others."""
        return [f for f in self.p.failures if self.is_tested(f)]

    def is_tested(self, f: str) -> bool:
        """Whether a failure is one to be tested, and to enter the program where it breaks."""
        return f in self.p.failures and f != NORMAL and f not in self.p.rescaled

    def subproblem(self, f: str, hour: str | None = None, merge: bool = True) -> FeasibilitySubproblem:
        """The feasibility subproblem of a failure in an hour; none named: the first. `merge`: see there."""
        key, hour = (self.p.deadlines_seconds[f], merge), self.p.hours[0] if hour is None else hour
        with self._making_subproblems:
            of_parts, part = self.subproblems.setdefault(key, {}), self.part_of(hour)
            if not of_parts:
                of_parts[part] = FeasibilitySubproblem(self.p, key[0], self.new_solver(), merge)
            elif part not in of_parts:
                of_parts[part] = next(iter(of_parts.values())).with_another(self.new_solver())
        return of_parts[part].in_hour(hour)

    # -------------------------------------------------------------- what goes side by side
    def part_of(self, hour: str) -> int:
        """The part of the hours that one is in: what is kept of a part knows nothing of others, whoever works on them.

        How many parts there are is for the study to say, not for the number of threads.
        """
        n, at = len(self.p.hours), self.hour_at[hour]
        return at * max(1, min(MOST_PARTS, n // FEWEST_HOURS_OF_PART)) // n

    def by_part(
        self, blocks: Iterable[Block], work: Callable[[list[Block], Count], Result], say: Callable[[float, str], None]
    ) -> list[Result]:
        """What comes of the blocks of each part of the hours, parts side by side, in the order of the parts.

        Parameters
        ----------
        work : done to the blocks of a part; counts each that is done
        say : called with (share done, failure)
        """
        parts: dict[int, list[Block]] = {}
        for block in blocks:
            parts.setdefault(self.part_of(block[1]), []).append(block)
        total = sum(len(part) for part in parts.values())
        count = Count(lambda done, f: say(done / total, f), self.effort.jobs)
        in_order = [parts[part] for part in sorted(parts)]
        with side_by_side(in_thread(lambda part: work(part, count)), in_order, self.effort.jobs, count.say) as results:
            return list(results)

    # -------------------------------------------------------------- what is minimised
    def minimise(self) -> None:
        """Set the objective: of all that it has now, with the dearest column `largest_cost` in the solver's units."""
        self.program.minimise(self.objective, self.largest_cost)

    def scaled_for(self, usd: float) -> bool:
        """Let the objective be one at the least in the solver's units where all cost so much; whether that changes it.

        Where one column is thousands of times as dear as the plan, the solver's tolerance would be a share of the cost.
        """
        dearest_usd = self.program.scale * self.largest_cost
        if not usd or dearest_usd <= FAR_DEARER * self.largest_cost * abs(usd):
            return False
        self.largest_cost = min(LARGEST_COST, dearest_usd / abs(usd))
        return True

    # -------------------------------------------------------------- what enters the program
    @stage(BUILDING)
    def enter(self, block: Block) -> None:
        """Add a failure in an hour; one that is priced in all its hours, as they are priced together."""
        f, h = block
        if block in self.blocks:
            return
        priced = f in self.p.priced
        add_failure(self.arrays_of(f), self.program, self.x, f, None if priced else h)
        self.blocks.update((f, each) for each in (self.p.hours if priced else (h,)))
        if f not in self.binding:
            self.binding.append(f)

    def first_of_each_hour(self, broken: Iterable[tuple[float, Block]]) -> list[Block]:
        """Of what broke, worst first, the few that may enter in one pass: so many in each hour."""
        binding_in: dict[str, int] = {}
        first = []
        for _, (f, h) in sorted(broken):
            binding_in[h] = binding_in.get(h, 0) + 1
            if binding_in[h] <= ENTER_PER_PASS:
                first.append((f, h))
        return first

    # -------------------------------------------------------------- what was found
    def purchases(self, integer: bool) -> Vectors:
        """What is bought and the replicas, as numbers of the last solve, and what a plan of them has."""
        x = Vectors()
        for name in names("purchases"):
            for scope, vector in getattr(self.x, name).items():
                number = self.program.number(vector)
                getattr(x, name)[scope] = np.round(number) if integer and name in whole_names() else number
        return self.with_non_preemptible(x, integer)

    def with_non_preemptible(self, purchases: Vectors, integer: bool) -> Vectors:
        """The purchases with as many non-preemptible replicas as can be, and on offers that are counted apart.

        Where gateways have reserves the program counts on them as they are, and nothing is evicted: they stay.
        """
        if self.has_reserves:
            return purchases
        largest = Vectors()
        for name in names("purchases"):
            setattr(largest, name, getattr(purchases, name))
        a = full(self.p)
        largest.non_preemptible = non_preemptible_at_its_largest(a, purchases, integer)
        largest.on_offer = on_offers_at_their_largest(a, largest, integer)
        return largest

    # -------------------------------------------------------------- tests of all failures
    def to_test(self, purchases: Vectors, hours: Iterable[str]) -> list[Block]:
        """The failures to be tested in hours, given what is bought: not what harder ones cover, nor what hurts nothing.

        Of those that take the same of what is bought one stands for the others, of the program where there is one.
        """
        failures, hours = [f for f in self.failures() if f not in self.dominated], tuple(hours)
        covered = set[Block]()
        for h in hours if self.effort.prune else ():
            in_program = {f for f in failures if (f, h) in self.blocks}
            covered.update((f, h) for f in self.dominance.dominated_with(purchases, h, failures, in_program))
        every = [(f, h) for f in failures for h in hours if (f, h) not in covered]
        return [(f, h) for f, h in every if not unhurt(self.p, purchases, f, h)]

    @stage(TESTS)
    def broken(
        self, purchases: Vectors, among: Container[Block] | None = None, hours: Iterable[str] | None = None
    ) -> list[tuple[float, Block]]:
        """Failures that break divisible purchases, with minus what is short of each [requests/s].

        Parameters
        ----------
        among : only these are tested; None: all
        hours : in which they are tested; None: in all
        """
        every = self.to_test(purchases, self.p.hours if hours is None else hours)
        waiting = [block for block in every if block not in self.blocks and (among is None or block in among)]

        def test(blocks: list[Block], count: Count) -> list[tuple[float, Block]]:
            broken: list[tuple[float, Block]] = []
            for f, h in blocks:
                if self.spent_seconds() > LP_FRACTION * self.limit_seconds():
                    raise TimeLimitPassed
                short = self.subproblem(f, h).test(f, purchases)
                if short > tolerance(self.p, f, h):
                    broken.append((-short, (f, h)))
                count.add(f)
            return broken

        detail = f"pass {self.passes}, {len(self.binding)} binding"
        in_parts = self.by_part(waiting, test, lambda share, _: self.progress("testing failures", share, detail))
        return [one for part in in_parts for one in part]

    @stage(TESTS_WHOLE)
    def broken_whole(
        self, purchases: Vectors, in_program: Survived | None = None
    ) -> tuple[list[tuple[float, Block]], Survived]:
        """All failures tested on whole numbers: those that break, worst first, and the replicas that survive.

        Parameters
        ----------
        in_program : the replicas that the program chose for its failures: tried first
        """
        tested = self.to_test(purchases, self.p.hours)

        def test(blocks: list[Block], count: Count) -> list[tuple[Block, float, Replicas]]:
            outcomes = []
            for f, h in blocks:
                self.check_time()
                # what is whole in the program has a whole answer: the search may take the nodes it needs
                nodes = None if (f, h) in self.whole_blocks else MORE_TEST_NODES
                known = (in_program or self.known).get((f, h), self.known.get((f, h)))
                short, replicas = self.subproblem(f, h).test_whole(f, purchases, nodes, self.remaining_seconds(), known)
                if short <= tolerance(self.p, f, h):
                    self.known[f, h] = replicas
                outcomes.append(((f, h), short, replicas))
                count.add(f)
            return outcomes

        detail = self.with_reached(f"{len(self.binding)} binding")
        in_parts = self.by_part(tested, test, lambda share, _: self.progress("testing whole numbers", share, detail))
        outcomes = [one for part in in_parts for one in part]
        survived: Survived = {(f, h): None for f in self.failures() for h in self.p.hours}
        survived.update({block: replicas for block, _, replicas in outcomes})
        return sorted((-short, block) for block, short, _ in outcomes if short > tolerance(self.p, *block)), survived

    @stage(TESTS)
    def underpriced(self, purchases: Vectors) -> list[tuple[float, Block]]:
        """Priced failures that cost more than the program reckons with, by what it is off [USD], largest first."""
        waiting = [f for f in self.p.priced if f not in self.binding]
        if not waiting:
            return []
        a, normal = self.arrays_of(NORMAL), Vectors()
        for name in ("traffic", "shed"):
            for scope, vector in getattr(self.x, name).items():
                if scope[0][1] == NORMAL:
                    getattr(normal, name)[scope] = self.program.number(vector)
        underpriced = []
        for f in waiting:
            in_hours = [self.subproblem(f, h).recourse(f, purchases) for h in self.p.hours]
            usd = sum(in_hours) + float(beside_states_usd(a, normal, f)[0])
            if self.is_off(off := self.off_usd(f, usd)):
                underpriced.append((-off, (f, self.p.hours[0])))
        return sorted(underpriced)

    def check_bound(self, cost_usd: float) -> None:
        """Raise SolverError where the bound is above what a plan costs, by more than arithmetic."""
        arithmetic = SHORT * (1 + cost_usd) + WHOLE * self.program.scale  # the dearest column costs the solver one
        if self.bound > cost_usd + arithmetic:
            raise SolverError(f"a bound of {self.bound:,.2f} above a plan of {cost_usd:,.2f} USD: please report it")

    def off_usd(self, f: str, usd: float) -> float:
        """How much more a priced failure costs than the program reckons with, by how often it happens [USD]."""
        reckoned = float(self.program.number(outage_column(self.arrays_of(NORMAL), self.x, [f]))[0])
        return max(self.p.priced[f].occurrences, RARE) * (usd - reckoned)

    def is_off(self, usd: float) -> bool:
        """Whether a price is off by more than arithmetic."""
        return usd > PRICED_CLOSE * max(1.0, abs(self.program.objective))


def unhurt(p: Problem, x: Vectors, f: str, h: str) -> bool:
    """Whether a failure in an hour takes nothing in use and asks for nothing more: normal operation just goes on."""
    if p.utilisation_in_failure < p.utilisation_normal or not p.edges_nested:
        return False
    if f in p.priced:
        return False
    failure, limited = p.failures[f], any(c in p.lost[f] for c in p.most_requests_per_second) or p.closed[f]
    cold = p.replica_seconds_in_failure != p.replica_seconds
    if failure.surge_factor > 1 or failure.surges or failure.targeted is not None or limited or cold:
        return False
    a = full(p)
    if ((units_active(a, x, h)[a.in_pool] > WHOLE) & (a.counted(f) < 1)).any():
        return False
    s, normal = (h, f, max(p.deadlines_seconds[f])), (h, NORMAL, 0.0)
    if (x.replicas[h,] > survivors(a, x, s) + WHOLE).any():
        return False
    due = a.due_share(s)
    if (due[a.deferrable] > 0).any():
        return False  # what normal operation takes up in this hour is not what a failure asks for
    return bool((due <= a.due_share(normal)).all())
