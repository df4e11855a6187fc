"""One search for a plan: the program with the failures that entered, its relaxation, candidates in whole numbers."""

import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import pulp

from planner.errors import NoPlan, SolverError
from planner.problem.algebra import Sparse
from planner.problem.decisions import Decisions, no_decisions
from planner.problem.problem import Problem
from planner.problem.rules.costs import beside_states_usd, cost_usd
from planner.problem.rules.formulas import due_fraction, survivors, units_active
from planner.problem.rules.reserves import without_weights
from planner.solve.dominance import dominated
from planner.solve.feasibility_subproblem import TEST_NODES, FeasibilitySubproblem, tolerance
from planner.solve.program import BOUGHT, FEASIBLE, INFEASIBLE, INFINITY, OPTIMAL, add_failure, start_program
from planner.solve.rescale import reserve_program
from planner.solve.whole_numbers import dive, improved, near, non_preemptible_at_its_largest, repair
from planner.study.dependencies import NORMAL

Status = Literal["proven", "gap", "stopped"]
Block = tuple[str, str]
"""(f, h): a failure in an hour, which enters the program and is tested by itself"""
Survived = dict[Block, dict[Any, float] | None]
"""Failure in an hour -> the replicas that survive it, by column of its test program; None where nothing is hurt."""
Progress = Callable[[str, float | None, str], None]
"""(stage, fraction done or None, detail)"""
ENTER_PER_PASS = 3
MOST_PASSES = 200
FIRST_NODES = 25
NODE_WORK = 2_500_000
"""Columns times nodes that one integer search may take when nobody says otherwise: seconds, not minutes."""
MORE_NODES = 4
ROUNDS_AT_ONCE = 4
"""Neighbourhoods searched between two tests of all failures."""
LARGE_COLUMNS = 10_000
"""Programs beyond are rounded and improved pool by pool: an integer search over all of them finds nothing in time."""
PRICED_CLOSE = 1e-7
"""Share of the objective that the price of a failure may be off, weighted by how often it happens."""
ROOM = 0.01
"""What is asked for beyond demand in failures that load replicas, and again where they could not be rounded."""
WHOLE = 1e-6
SHORT = 1e-5
"""What a plan may miss by the arithmetic of the solver [fraction]; more is an error of ours, which must not pass."""
SEARCH_GAP = 0.98
"""Share of the asked gap at which one integer search ends: later failures still cost something."""

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
    rounds : neighbourhoods searched to improve the plan of a large program (see LARGE_COLUMNS)
    quick : with a plan to start from, end at the first plan found near it, whatever its gap
    prune : leave out of the tests what other failures imply; the cost is the same
    seconds : a clock; None: none. A plan that a clock ended says so and is not reproducible
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
    entered: tuple[str, ...]
    passes: int
    status: Status
    implied: int = 0
    limit_marginals: dict[str, float] = field(default_factory=dict)
    offer_marginals: dict[str, float] = field(default_factory=dict)
    limit_steps: dict[str, float] = field(default_factory=dict)
    """limit, or offer with a limit -> so many more of it at once saved what its marginal value says, per unit"""
    drivers: dict[str, tuple[str, ...]] = field(default_factory=dict)


class Search:
    """One search: the program with the failures that entered, and the test programs by pattern of clocks."""

    def __init__(self, p: Problem, effort: Effort, solver: Callable[[], Any] | None, progress: Progress) -> None:
        self.p, self.effort, self.progress = p, effort, progress
        self.new_solver = solver if solver is not None else lambda: None
        self.rescales = p.failover == "rescale"
        if self.rescales and (missing := without_weights(p)):
            raise Infeasible(f"no weight is left for {' '.join(missing[0])}")
        start = reserve_program if self.rescales else start_program
        self.program, self.x = start(p, self.new_solver())
        self.objective = cost_usd(p, self.x)
        self.entered: list[str] = []
        self.implied = dominated(p) if effort.prune else {}
        self.blocks: set[Block] = set()
        self.whole_failures: dict[Block, int] = {}
        self.whole_prices: set[str] = set()
        self.dearer: list[str] = []
        """priced failures of the last plan found that cost more than the program reckons"""
        self.tests: dict[tuple[float, ...], FeasibilitySubproblem] = {}
        self.passes = 0
        self.bound = -INFINITY
        self.clock_ended = False
        self.last: dict[Any, float] | None = None
        self.best: Solution | None = None
        self.survived: Survived = {}
        self.valid: dict[Any, float] | None = None
        """columns of the best plan that passed every test"""
        self.grown = False
        self.rounds_left = effort.rounds
        self.start: dict[Any, float] | None = None
        """whole columns of a similar plan, until a plan near it has been found"""
        self.relaxed: dict[Any, float] = {}
        self.asked: dict[Any, float] = {}
        """what was asked for in columns that were given room"""
        self.draw = random.Random(0)
        self.began = time.monotonic()

    def out_of_time(self) -> bool:
        return self.effort.seconds is not None and time.monotonic() - self.began > self.effort.seconds

    def seconds_left(self) -> float | None:
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
        clocks = self.p.deadlines_seconds[f]
        if clocks not in self.tests:
            self.tests[clocks] = FeasibilitySubproblem(self.p, clocks, self.new_solver())
        return self.tests[clocks].in_hour(self.p.hours[0] if hour is None else hour)

    def enter(self, block: Block) -> None:
        """Add a failure in an hour; one that is priced in all its hours, as they are priced together."""
        f, h = block
        if block in self.blocks:
            return
        priced = f in self.p.priced
        add_failure(self.p, self.program, self.x, f, None if priced else h)
        self.blocks.update((f, each) for each in (self.p.hours if priced else (h,)))
        if f not in self.entered:
            self.entered.append(f)

    def first_of_each_hour(self, broken: Iterable[tuple[float, Block]]) -> list[Block]:
        """Of what broke, worst first, the few that may enter in one pass: so many in each hour."""
        seen: dict[str, int] = {}
        found = []
        for _, (f, h) in sorted(broken):
            seen[h] = seen.get(h, 0) + 1
            if seen[h] <= ENTER_PER_PASS:
                found.append((f, h))
        return found

    def integral(self, block: Block) -> None:
        """Make a failure's loaded replicas whole in the program, and all its replicas when that was not enough.

        It broke on whole numbers only.
        """
        mappings = (self.x.kept, self.x.occupied) if block in self.whole_failures else (self.x.cold_started,)
        self.whole_failures[block] = self.whole_failures.get(block, 0) + 1
        for mapping in mappings:
            for key, v in mapping.items():
                if (key[-1][1], key[-1][0]) == block and isinstance(v, pulp.LpVariable):
                    v.cat = pulp.LpInteger

    def dearer_when_whole(self, x: Decisions) -> list[str]:
        """Priced failures that cost more with whole replicas than the program reckons, which takes them as divisible.

        Each once, the dearest first; none in large programs, where whole numbers everywhere would find nothing in time.
        """
        found = []
        for f, rate in self.p.priced.items() if not self.large() else ():
            worth = max(rate.occurrences, 1e-3) * (x.outage[f,] - (self.x.outage[f,].varValue or 0.0))
            if worth > PRICED_CLOSE * max(1.0, abs(self.program.objective)) and f not in self.whole_prices:
                found.append((-worth, f))
        return [f for _, f in sorted(found)]

    def make_whole(self, f: str) -> None:
        """Make all replicas of a priced failure whole in the program, which then knows what it costs."""
        self.whole_prices.add(f)
        self.enter((f, self.p.hours[0]))
        for mapping in (self.x.kept, self.x.occupied, self.x.cold_started):
            for key, v in mapping.items():
                if key[-1][1] == f and isinstance(v, pulp.LpVariable):
                    v.cat = pulp.LpInteger

    def leave_room(self, block: Block) -> None:
        """Ask for a little more in a failure that broke on whole numbers only, so that its replicas can be rounded.

        For candidates alone: the bound stands already, and what passes the tests is judged by what is really asked.
        """
        for (_, _, s), v in self.x.offered.items():
            if (s[1], s[0]) == block and isinstance(v, pulp.LpVariable):
                self.asked.setdefault(v, v.upBound)
                v.lowBound = v.upBound = v.upBound * (1 + ROOM)

    def take_room_back(self) -> None:
        """Ask for what is really asked: only of the problem itself a bound is one, and "infeasible" true."""
        for v, value in self.asked.items():
            v.lowBound = v.upBound = value
        self.asked = {}

    def purchases(self, whole: bool) -> Decisions:
        """What is bought and the replicas, as numbers of the last solve."""
        found = no_decisions()
        for name in BOUGHT:
            values = {k: v.varValue or 0.0 for k, v in getattr(self.x, name).items()}
            if whole:
                values = {k: float(round(v)) for k, v in values.items()}
            setattr(found, name, Sparse(values))
        return found

    def with_non_preemptible(self, purchases: Decisions, whole: bool) -> Decisions:
        """The purchases with as many firm replicas as can be: what a plan has, and what is hurt is judged by.

        Tests are made with those of the program, which then gets to know what they break. Where gateways rescale, the
        program has every failure, and nothing is let go: firm replicas stay as they are.
        """
        if self.rescales:
            return purchases
        return replace(purchases, non_preemptible=non_preemptible_at_its_largest(self.p, purchases, whole))

    # -------------------------------------------------------------- the relaxation over all failures
    def relax(self) -> float:
        """The loop on the relaxation; returns its cost, below which no plan can be.

        Raises
        ------
        Infeasible
            when the relaxation is infeasible: no plan exists
        """
        self.program.minimise(self.objective)
        for self.passes in range(1, MOST_PASSES + 1):
            status = self.program.solve()
            if status == INFEASIBLE:
                raise Infeasible("relaxation")
            if status != OPTIMAL:
                raise SolverError(f"the relaxation ended {status}")
            purchases, broken = self.purchases(whole=False), []
            non_preemptible = self.with_non_preemptible(purchases, whole=False)
            waiting = [(f, h) for f in self.failures() if f not in self.implied for h in self.p.hours]
            waiting = [at for at in waiting if at not in self.blocks and not unhurt(self.p, non_preemptible, *at)]
            for n, (f, h) in enumerate(waiting):
                self.progress("testing failures", n / len(waiting), f"pass {self.passes}, {len(self.entered)} entered")
                short = self.subproblem(f, h).test(f, purchases)
                if short > tolerance(self.p, f, h):
                    broken.append((-short, (f, h)))
            broken = broken or self.underpriced(purchases)
            if not broken:
                self.bound = self.program.objective
                return self.bound
            for block in self.first_of_each_hour(broken):
                self.enter(block)
            self.program.minimise(self.objective)
        raise SolverError(f"the loop did not end in {MOST_PASSES} passes")

    def underpriced(self, purchases: Decisions) -> list[tuple[float, Block]]:
        """Priced failures that cost more than the program reckons with, by what it is off [USD], largest first."""
        if not self.p.priced:
            return []
        normal = no_decisions()
        for name in ("traffic", "shed"):
            columns = getattr(self.x, name)
            values = {
                k: v.varValue for k, v in columns.items() if k[-1][1] == NORMAL and isinstance(v, pulp.LpVariable)
            }
            setattr(normal, name, Sparse(values))
        found = []
        for f in self.p.priced:
            if f not in self.entered:
                in_hours = [self.subproblem(f, h).recourse(f, purchases) for h in self.p.hours]
                cost = sum(in_hours) + beside_states_usd(self.p, normal, f)
                short = cost - (self.x.outage[f,].varValue or 0.0)
                worth = max(self.p.priced[f].occurrences, 1e-3) * short
                if worth > PRICED_CLOSE * max(1.0, abs(self.program.objective)):
                    found.append((-worth, (f, self.p.hours[0])))
        return sorted(found)

    def marginals(self, solution: Solution) -> None:
        """Read marginal values off the relaxation over all failures [USD over the horizon per unit]."""
        scale = self.program.scale
        for (rule, key), row in self.program.rows.items():
            of = {"limits_hold": solution.limit_marginals, "offers_have_limits": solution.offer_marginals}.get(rule)
            if of is not None:
                of[key[0]] = of.get(key[0], 0.0) - (row.pi or 0.0) * scale
        by_pool: dict[str, dict[str, float]] = {}
        for (rule, key), row in self.program.rows.items():
            if rule == "survivors_only" and key[-1][1] != NORMAL and abs(row.pi or 0.0) > 1e-9:
                worth = by_pool.setdefault(key[0], {})
                worth[key[-1][1]] = worth.get(key[-1][1], 0.0) + abs(row.pi)
        for (rule, key), row in self.program.rows.items():
            if rule == "no_replica_before_its_cold_start_ends" and abs(row.pi or 0.0) > 1e-9:
                worth = by_pool.setdefault(self.p.pool_of[key[0]], {})
                f = key[1][1]
                worth[f] = worth.get(f, 0.0) + abs(row.pi)
        for (rule, key), row in self.program.rows.items():
            if rule == "replicas_carry_what_is_reserved" and key[2] != NORMAL and abs(row.pi or 0.0) > 1e-9:
                worth = by_pool.setdefault(self.p.pool_of[key[0]], {})
                worth[key[2]] = worth.get(key[2], 0.0) + abs(row.pi)
        columns = {v: at for at, v in self.program.bounds.items() if at[0] == "offers_have_limits"}  # each once
        for v, (_, key) in columns.items():
            if (v.dj or 0.0) < 0 and (v.varValue or 0.0) > 0:
                solution.offer_marginals[key[0]] = solution.offer_marginals.get(key[0], 0.0) - v.dj * scale
        solution.drivers = {
            q: tuple(f for _, f in sorted((-value, f) for f, value in worth.items())) for q, worth in by_pool.items()
        }

    # -------------------------------------------------------------- whole numbers
    def gap(self, best: Solution) -> float:
        return max(0.0, best.cost_usd - self.bound) / best.cost_usd if best.cost_usd > 0 else 0.0

    def candidate(self, nodes: int) -> Decisions:
        """Whole purchases over the failures that entered: the best that one more effort finds.

        Raises
        ------
        Infeasible
            when no whole numbers meet what the relaxation meets
        """
        if self.start is not None and self.like_the_start():
            return self.purchases(whole=True)
        if self.large() and self.rounded():
            return self.purchases(whole=True)
        self.take_room_back()
        gap = self.effort.gap_fraction * SEARCH_GAP
        good_enough = self.good_enough()
        repaired = self.repaired() if self.grown else None
        if repaired is not None and good_enough is not None and self.program.objective <= good_enough:
            self.last, self.grown = repaired, False
            return self.purchases(whole=True)
        self.progress("whole numbers", None, f"{len(self.entered)} failures entered, up to {nodes} nodes")
        status = self.program.solve(True, gap, nodes, self.seconds_left(), good_enough)
        self.clock_ended = self.clock_ended or (status != OPTIMAL and self.out_of_time())
        if status == INFEASIBLE:
            raise Infeasible("whole numbers")
        self.bound = max(self.bound, min(self.program.bound, self.program.objective if status == OPTIMAL else INFINITY))
        if status not in (OPTIMAL, FEASIBLE):
            if repaired is None and not dive(self.p, self.program, self.x):
                raise Stopped(f"the integer search ended with {status}, and rounding found no plan either")
            for v, value in (repaired or {}).items():
                v.varValue = value
        self.last, self.grown = self.program.values(), False
        return self.purchases(whole=True)

    def like_the_start(self) -> bool:
        """Leave the program at whole numbers near a similar plan; False where there are none."""
        self.progress("whole numbers", None, f"{len(self.entered)} failures entered, from a similar plan")
        start, good_enough = self.start or {}, self.good_enough()
        values = near(self.program, self.x, start, self.relaxed, good_enough, self.seconds_left())
        if values is None:
            self.start = None
            return False
        self.last, self.grown = values, False
        return True

    def large(self) -> bool:
        """Whether the program is too large for one integer search over all of it."""
        return len(self.program.lp.columns) > LARGE_COLUMNS

    def good_enough(self) -> float | None:
        """Cost at which an integer search may end [USD]; None: only when it has proven the best."""
        gap = self.effort.gap_fraction * SEARCH_GAP
        return self.bound / (1 - gap) if gap > 0 else None

    def spent(self, nodes: int) -> bool:
        """Whether all effort that is not counted by a clock has been spent."""
        return self.rounds_left <= 0 if self.large() else nodes >= self.most_nodes()

    def rounded(self) -> bool:
        """Leave the program at whole numbers, or at a cost that is no improvement; False when rounding leads nowhere.

        The first are rounded; those that failures broke are repaired; from a plan that passed, neighbourhoods are
        searched for cheaper ones.
        """
        self.progress("whole numbers", None, f"{len(self.entered)} failures entered, rounding")
        if self.last is None:
            loading = {(key[-1][1], key[-1][0]) for key in self.x.cold_started}
            for block in sorted(self.blocks & loading):
                self.leave_room(block)
        if self.best is None or self.grown:
            values = self.repaired() if self.last is not None else None
            if values is None and self.best is None and dive(self.p, self.program, self.x):
                values = self.program.values()
            self.last, self.grown = values, False
            if self.best is None:
                return values is not None
            if values is not None and self.program.objective < self.best.cost_usd:
                return True
        start = self.last = {**dict.fromkeys(self.program.lp.columns, 0.0), **(self.valid or {})}
        rounds = min(self.rounds_left, ROUNDS_AT_ONCE)
        for n in range(rounds):
            if self.out_of_time():
                break
            done, cost = 1 - (self.rounds_left - n) / self.effort.rounds, self.program.value_of(self.last)
            self.progress("whole numbers", done, f"{len(self.entered)} failures entered, {cost:,.0f} USD")
            better = improved(
                self.p, self.program, self.x, self.last, self.draw, self.good_enough(), self.seconds_left()
            )
            self.last = self.last if better is None else better
        self.rounds_left -= rounds
        for v, value in self.last.items():
            v.varValue = value
        self.program.objective = self.program.value_of(self.last) if self.last is not start else self.best.cost_usd
        return True

    def repaired(self) -> dict[Any, float] | None:
        """The last whole numbers with as little as possible added, so that what entered since is survived, too."""
        if self.last is None:
            return None
        return repair(self.program, self.x, self.last, self.effort.gap_fraction / 2, FIRST_NODES, self.seconds_left())

    def broken_whole(self, purchases: Decisions) -> tuple[list[tuple[float, Block]], Survived]:
        """All failures tested on whole numbers: the first that break, worst first, or the replicas that survive."""
        broken: list[tuple[float, Block]] = []
        found: Survived = {}
        everything = [(f, h) for f in self.failures() for h in self.p.hours]
        most = ENTER_PER_PASS * len(self.p.hours)
        non_preemptible = self.with_non_preemptible(purchases, whole=True)
        for n, (f, h) in enumerate(everything):
            self.progress("testing whole numbers", n / len(everything), f"{len(self.entered)} entered")
            if f in self.implied or unhurt(self.p, non_preemptible, f, h):
                found[f, h] = None
                continue
            # what is whole in the program has a whole answer: the search may take the nodes it needs
            nodes = None if self.whole_failures.get((f, h), 0) > 1 else TEST_NODES
            short, found[f, h] = self.subproblem(f, h).test_whole(f, purchases, nodes)
            if short > tolerance(self.p, f, h):
                broken.append((-short, (f, h)))
                if len(broken) >= most:
                    break
        return sorted(broken), found

    def enter_broken(self, broken: Iterable[tuple[float, Block]]) -> None:
        self.grown = True
        before = set(self.blocks)
        for block in self.first_of_each_hour(broken):
            if block in before and self.large():
                self.leave_room(block)
            elif block in before:
                self.integral(block)
            else:
                self.enter(block)
        if self.last is not None:
            self.last = {**dict.fromkeys(self.program.lp.columns, 0.0), **self.last}
        self.program.minimise(self.objective)


def unhurt(p: Problem, x: Decisions, f: str, h: str) -> bool:
    """Whether a failure in an hour takes nothing in use and asks for nothing more: normal operation just goes on."""
    if p.utilisation_in_failure < p.utilisation_normal or not p.edges_nested:
        return False
    if f in p.priced:
        return False
    failure, limited = p.failures[f], any(c in p.lost[f] for c in p.most_requests_per_second) or p.closed[f]
    cold = p.replica_seconds_in_failure != p.replica_seconds
    if failure.surge_factor > 1 or failure.surges or failure.hit is not None or limited or cold:
        return False
    if any(units_active(p, x, b, h) > WHOLE for b in p.counted[f]):
        return False
    s, normal = (h, f, max(p.deadlines_seconds[f])), (h, NORMAL, 0.0)
    if any(x.replicas[e, h] > survivors(p, x, e, s) + WHOLE for e in p.placements):
        return False
    if any(due_fraction(p, w, o, s) > 0 for w, o in p.flows if w in p.deferrable):
        return False  # what normal operation takes up in this hour is not what a failure asks for
    return all(due_fraction(p, w, o, s) <= due_fraction(p, w, o, normal) for w, o in p.flows)
