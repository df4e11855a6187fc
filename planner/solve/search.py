"""What the stages of one search share: the program with the binding failures, and the tests of all failures.

The stages: `lp_bound` (the linear program over all failures), `whole_plan` (whole numbers), `second_objective`
(routes).
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import pulp

from planner.errors import NoPlan
from planner.problem.algebra import Sparse
from planner.problem.decisions import Decisions, names, no_decisions
from planner.problem.problem import Problem
from planner.problem.rules.costs import beside_states_usd, cost_usd
from planner.problem.rules.formulas import due_fraction, survivors, units_active
from planner.problem.rules.gateway_limits import without_weights
from planner.solve.columns import add_failure, start_program
from planner.solve.dominance import dominated
from planner.solve.feasibility_subproblem import TEST_NODES, FeasibilitySubproblem, tolerance
from planner.solve.program import INFINITY
from planner.solve.second_objective import reserve_program
from planner.solve.whole_numbers import non_preemptible_at_its_largest, whole_names
from planner.study.dependencies import NORMAL

Status = Literal["proven", "gap", "stopped"]
Block = tuple[str, str]
"""(f, h): a failure in an hour, which enters the program and is tested by itself"""
Survived = dict[Block, dict[Any, float] | None]
"""Failure in an hour -> the replicas that survive it, by column of its subproblem; None where nothing is hurt."""
Progress = Callable[[str, float | None, str], None]
"""(stage, fraction done or None, detail)"""
ENTER_PER_PASS = 3
MOST_PASSES = 200
FIRST_NODES = 25
NODE_WORK = 2_500_000
"""Columns times nodes that one integer search may take when nobody says otherwise: seconds, not minutes."""
PRICED_CLOSE = 1e-7
"""Share of the objective that the price of a failure may be off, weighted by how often it happens."""
RARE = 1e-3
"""Occurrences over the horizon by which the price of a failure is weighted at the least."""
WHOLE = 1e-6
ARITHMETIC_FRACTION = 1e-6
"""What a bound may miss the cost of the best plan by when a solver calls it proven: its own tolerances."""


@dataclass(frozen=True)
class Effort:
    """How hard to try.

    Parameters
    ----------
    gap_fraction : end when the plan is proven within this of the best possible
    most_nodes : branch-and-bound nodes of one integer search, which ends the same way every time; None: as many as the
        size of the program allows (NODE_WORK over its columns)
    rounds : neighbourhoods searched to improve the plan of a large program (see `whole_plan.LARGE_COLUMNS`)
    quick : with a plan to start from, end at the first plan found near it, whatever its gap
    prune : leave dominated failures out of the tests; the cost is the same
    seconds : a time limit; None: none. A plan that a time limit ended says so and is not reproducible
    """

    gap_fraction: float = 0.01
    most_nodes: int | None = None
    seconds: float | None = None
    rounds: int = 3
    prune: bool = True
    quick: bool = False


def is_proven(gap_fraction: float, asked_fraction: float) -> bool:
    """Whether a gap is the one that was asked for, within the arithmetic of the solver.

    Examples
    --------
    >>> is_proven(2e-7, 0.0), is_proven(2e-6, 0.0)
    (True, False)
    """
    return gap_fraction <= asked_fraction + ARITHMETIC_FRACTION


class Stopped(NoPlan):
    """The effort ended before a plan was found; more nodes or seconds may find one."""

    def __init__(self, why: str) -> None:
        super().__init__(f"no plan found: {why}\n  would help: more --nodes, more --seconds, or the default solver")


class Infeasible(NoPlan):
    """No plan exists; `explain.diagnose` finds out why."""


@dataclass
class Solution:
    """A plan in numbers, with its proof. Costs in USD over the horizon."""

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

    def __init__(self, p: Problem, effort: Effort, solver: Callable[[], Any] | None, progress: Progress) -> None:
        self.p, self.effort, self.progress = p, effort, progress
        self.new_solver = solver if solver is not None else lambda: None
        self.rescales = p.failover == "rescale"
        if self.rescales and (weightless := without_weights(p)):
            raise Infeasible(f"no weight is left for {' '.join(weightless[0])}")
        start = reserve_program if self.rescales else start_program
        self.program, self.x = start(p, self.new_solver())
        self.objective = cost_usd(p, self.x)
        self.binding: list[str] = []
        self.dominated = dominated(p) if effort.prune else {}
        self.blocks: set[Block] = set()
        """blocks of binding failures: those that are in the program"""
        self.whole_failures: dict[Block, int] = {}
        """blocks with whole replicas in the program -> how often they broke on whole numbers"""
        self.subproblems: dict[tuple[float, ...], FeasibilitySubproblem] = {}
        self.passes = 0
        self.bound = -INFINITY
        self.began = time.monotonic()

    def out_of_time(self) -> bool:
        """Whether the time limit has passed."""
        return self.effort.seconds is not None and time.monotonic() - self.began > self.effort.seconds

    def remaining_seconds(self) -> float | None:
        """Seconds to the time limit, a moment at least; None: there is none."""
        if self.effort.seconds is None:
            return None
        return max(0.1, self.effort.seconds - (time.monotonic() - self.began))

    def most_nodes(self) -> int:
        """Nodes of one integer search."""
        if self.effort.most_nodes is not None:
            return self.effort.most_nodes
        return max(FIRST_NODES, NODE_WORK // len(self.program.lp.columns))

    def failures(self) -> list[str]:
        """Failures to be tested: none where the program has reserves that survive all of them."""
        if self.rescales:
            return []
        return [f for f in self.p.failures if f != NORMAL]

    def subproblem(self, f: str, hour: str | None = None) -> FeasibilitySubproblem:
        """The feasibility subproblem of a failure in an hour; none named: the first."""
        deadlines = self.p.deadlines_seconds[f]
        if deadlines not in self.subproblems:
            self.subproblems[deadlines] = FeasibilitySubproblem(self.p, deadlines, self.new_solver())
        return self.subproblems[deadlines].in_hour(self.p.hours[0] if hour is None else hour)

    # -------------------------------------------------------------- what enters the program
    def enter(self, block: Block) -> None:
        """Add a failure in an hour; one that is priced in all its hours, as they are priced together."""
        f, h = block
        if block in self.blocks:
            return
        priced = f in self.p.priced
        add_failure(self.p, self.program, self.x, f, None if priced else h)
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

    def make_whole(self, block: Block) -> None:
        """Make a failure's cold-started replicas whole in the program, and all of them when that was not enough.

        It broke on whole numbers only.
        """
        names_whole = ("kept", "occupied") if block in self.whole_failures else ("cold_started",)
        self.whole_failures[block] = self.whole_failures.get(block, 0) + 1
        for name in names_whole:
            for key, v in getattr(self.x, name).items():
                if (key[-1][1], key[-1][0]) == block:
                    self.program.make_whole(v)

    # -------------------------------------------------------------- what was found
    def purchases(self, integer: bool) -> Decisions:
        """What is bought and the replicas, as numbers of the last solve."""
        x = no_decisions()
        for name in names("purchases"):
            values = {key: v.varValue or 0.0 for key, v in getattr(self.x, name).items()}
            if integer and name in whole_names():
                values = {key: float(round(value)) for key, value in values.items()}
            setattr(x, name, Sparse(values))
        return x

    def with_non_preemptible(self, purchases: Decisions, integer: bool) -> Decisions:
        """The purchases with as many non-preemptible replicas as can be: what a plan has, and hurt is judged by.

        Tests are made with those of the program, which then gets to know what they break. Where gateways rescale, the
        program has every failure, and nothing is evicted: non-preemptible replicas stay as they are.
        """
        if self.rescales:
            return purchases
        return replace(purchases, non_preemptible=non_preemptible_at_its_largest(self.p, purchases, integer))

    # -------------------------------------------------------------- tests of all failures
    def broken(self, purchases: Decisions) -> list[tuple[float, Block]]:
        """Failures that break divisible purchases, with minus what is short of each [requests/s]."""
        broken: list[tuple[float, Block]] = []
        non_preemptible = self.with_non_preemptible(purchases, integer=False)
        waiting = []
        for f in self.failures():
            for h in self.p.hours:
                tested = f in self.dominated or (f, h) in self.blocks
                if not tested and not unhurt(self.p, non_preemptible, f, h):
                    waiting.append((f, h))
        for n, (f, h) in enumerate(waiting):
            self.progress("testing failures", n / len(waiting), f"pass {self.passes}, {len(self.binding)} binding")
            short = self.subproblem(f, h).test(f, purchases)
            if short > tolerance(self.p, f, h):
                broken.append((-short, (f, h)))
        return broken

    def broken_whole(self, purchases: Decisions) -> tuple[list[tuple[float, Block]], Survived]:
        """All failures tested on whole numbers: the first that break, worst first, or the replicas that survive."""
        broken: list[tuple[float, Block]] = []
        survived: Survived = {}
        everything = [(f, h) for f in self.failures() for h in self.p.hours]
        most = ENTER_PER_PASS * len(self.p.hours)
        non_preemptible = self.with_non_preemptible(purchases, integer=True)
        for n, (f, h) in enumerate(everything):
            self.progress("testing whole numbers", n / len(everything), f"{len(self.binding)} binding")
            if f in self.dominated or unhurt(self.p, non_preemptible, f, h):
                survived[f, h] = None
                continue
            # what is whole in the program has a whole answer: the search may take the nodes it needs
            nodes = None if self.whole_failures.get((f, h), 0) > 1 else TEST_NODES
            short, survived[f, h] = self.subproblem(f, h).test_whole(f, purchases, nodes)
            if short > tolerance(self.p, f, h):
                broken.append((-short, (f, h)))
                if len(broken) >= most:
                    break
        return sorted(broken), survived

    def underpriced(self, purchases: Decisions) -> list[tuple[float, Block]]:
        """Priced failures that cost more than the program reckons with, by what it is off [USD], largest first."""
        waiting = [f for f in self.p.priced if f not in self.binding]
        if not waiting:
            return []
        normal = no_decisions()
        for name in ("traffic", "shed"):
            columns = getattr(self.x, name)
            values = {
                k: v.varValue for k, v in columns.items() if k[-1][1] == NORMAL and isinstance(v, pulp.LpVariable)
            }
            setattr(normal, name, Sparse(values))
        underpriced = []
        for f in waiting:
            in_hours = [self.subproblem(f, h).recourse(f, purchases) for h in self.p.hours]
            usd = sum(in_hours) + beside_states_usd(self.p, normal, f)
            if self.is_off(off := self.off_usd(f, usd)):
                underpriced.append((-off, (f, self.p.hours[0])))
        return sorted(underpriced)

    def off_usd(self, f: str, usd: float) -> float:
        """How much more a priced failure costs than the program reckons with, by how often it happens [USD]."""
        return max(self.p.priced[f].occurrences, RARE) * (usd - (self.x.outage[f,].varValue or 0.0))

    def is_off(self, usd: float) -> bool:
        """Whether a price is off by more than arithmetic."""
        return usd > PRICED_CLOSE * max(1.0, abs(self.program.objective))


def unhurt(p: Problem, x: Decisions, f: str, h: str) -> bool:
    """Whether a failure in an hour takes nothing in use and asks for nothing more: normal operation just goes on."""
    if p.utilisation_in_failure < p.utilisation_normal or not p.edges_nested:
        return False
    if f in p.priced:
        return False
    failure, limited = p.failures[f], any(c in p.lost[f] for c in p.most_requests_per_second) or p.closed[f]
    cold = p.replica_seconds_in_failure != p.replica_seconds
    if failure.surge_factor > 1 or failure.surges or failure.targeted is not None or limited or cold:
        return False
    if any(units_active(p, x, b, h) > WHOLE for b in p.counted[f]):
        return False
    s, normal = (h, f, max(p.deadlines_seconds[f])), (h, NORMAL, 0.0)
    if any(x.replicas[e, h] > survivors(p, x, e, s) + WHOLE for e in p.placements):
        return False
    if any(due_fraction(p, w, o, s) > 0 for w, o in p.flows if w in p.deferrable):
        return False  # what normal operation takes up in this hour is not what a failure asks for
    return all(due_fraction(p, w, o, s) <= due_fraction(p, w, o, normal) for w, o in p.flows)
