"""From the problem to whole numbers with a proof: the loop over failures, the dive, integer search, tests, polish.

Column-and-constraint generation (Zeng and Zhao, Operations Research Letters 41, 2013): the program starts with what is
bought and normal operation; every failure is put to the test; those that break enter; until none does.
"""

import itertools
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import pulp

from planner.algebra import Sparse, total
from planner.costs import cost_usd, requests_usd_per_hour, unserved_requests
from planner.errors import NoPlan, SolverError
from planner.problem import Decisions, Problem, no_decisions, states
from planner.program import (
    FEASIBLE,
    INFEASIBLE,
    INFINITY,
    OPTIMAL,
    SLIVER,
    STATE_NAMES,
    TEST_NODES,
    Program,
    TestProgram,
    add_failure,
    start_program,
    state_columns,
    tolerance,
)
from planner.risk import NORMAL
from planner.rules import PURCHASE_RULES, STATE_RULES

Status = Literal["proven", "gap", "stopped"]
Progress = Callable[[str, float | None, str], None]
"""(stage, fraction done or None, detail)"""
ENTER_PER_PASS = 3
MOST_PASSES = 200
FIRST_NODES = 25
NODE_WORK = 2_500_000
"""Columns times nodes that one integer search may take when nobody says otherwise: seconds, not minutes."""
MORE_NODES = 4
ROUND_UP_FROM = 0.25
WHOLE = 1e-6
BOUGHT = ("started", "rented", "replicas", "firm", "opened")
"""Decisions that hold in every failure alike."""
SEARCH_GAP = 0.98
"""Share of the asked gap at which one integer search ends: later failures still cost something."""


@dataclass(frozen=True)
class Effort:
    """How hard to try.

    Parameters
    ----------
    gap_fraction : end when the plan is proven within this of the best possible
    most_nodes : branch-and-bound nodes of one integer search, which ends the same way every time; None: as many as the
        size of the program allows (NODE_WORK over its columns)
    seconds : a clock; None: none. A plan that a clock ended says so and is not reproducible
    """

    gap_fraction: float = 0.01
    most_nodes: int | None = None
    seconds: float | None = None


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
    relaxation_usd: float
    entered: tuple[str, ...]
    passes: int
    status: Status
    limit_marginals: dict[str, float] = field(default_factory=dict)
    offer_marginals: dict[str, float] = field(default_factory=dict)
    drivers: dict[str, tuple[str, ...]] = field(default_factory=dict)


class _Search:
    """One search: the program with the failures that entered, and the test programs by pattern of clocks."""

    def __init__(self, p: Problem, effort: Effort, solver: Callable[[], Any] | None, progress: Progress) -> None:
        self.p, self.effort, self.progress = p, effort, progress
        self.new_solver = solver if solver is not None else lambda: None
        self.program, self.x = start_program(p, self.new_solver())
        self.objective = cost_usd(p, self.x)
        self.entered: list[str] = []
        self.whole_failures: dict[str, int] = {}
        self.tests: dict[tuple[float, ...], TestProgram] = {}
        self.passes = 0
        self.bound = -INFINITY
        self.clock_ended = False
        self.last: dict[Any, float] | None = None
        self.best: Solution | None = None
        self.grown = False
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
        return [f for f in self.p.failures if f != NORMAL]

    def test_program(self, f: str) -> TestProgram:
        clocks = self.p.clocks_seconds[f]
        if clocks not in self.tests:
            self.tests[clocks] = TestProgram(self.p, clocks, self.new_solver())
        return self.tests[clocks]

    def enter(self, f: str) -> None:
        add_failure(self.p, self.program, self.x, f)
        self.entered.append(f)

    def integral(self, f: str) -> None:
        """Make a failure's loaded replicas whole in the program, and all its replicas when that was not enough.

        It broke on whole numbers only.
        """
        mappings = (self.x.kept, self.x.occupied) if f in self.whole_failures else (self.x.loaded,)
        self.whole_failures[f] = self.whole_failures.get(f, 0) + 1
        for mapping in mappings:
            for key, v in mapping.items():
                if key[-1][1] == f and isinstance(v, pulp.LpVariable):
                    v.cat = pulp.LpInteger

    def purchases(self, whole: bool) -> Decisions:
        """What is bought and the replicas, as numbers of the last solve."""
        found = no_decisions()
        for name in BOUGHT:
            values = {k: v.varValue or 0.0 for k, v in getattr(self.x, name).items()}
            if whole:
                values = {k: float(round(v)) for k, v in values.items()}
            setattr(found, name, Sparse(values))
        return found

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
            waiting = [f for f in self.failures() if f not in self.entered]
            for n, f in enumerate(waiting):
                self.progress("testing failures", n / len(waiting), f"pass {self.passes}, {len(self.entered)} entered")
                short = self.test_program(f).test(f, purchases)
                if short > tolerance(self.p, f):
                    broken.append((-short, f))
            if not broken:
                self.bound = self.program.objective
                return self.bound
            for _, f in sorted(broken)[:ENTER_PER_PASS]:
                self.enter(f)
            self.program.minimise(self.objective)
        raise SolverError(f"the loop did not end in {MOST_PASSES} passes")

    def marginals(self, solution: Solution) -> None:
        """Read marginal values off the relaxation over all failures [USD over the horizon per unit]."""
        scale = self.program.scale
        for (rule, key), row in self.program.rows.items():
            if rule == "limits_hold":
                solution.limit_marginals[key[0]] = -(row.pi or 0.0) * scale
        by_pool: dict[str, dict[str, float]] = {}
        for (rule, key), row in self.program.rows.items():
            if rule == "survivors_only" and key[-1][1] != NORMAL and abs(row.pi or 0.0) > 1e-9:
                worth = by_pool.setdefault(key[0], {})
                worth[key[-1][1]] = worth.get(key[-1][1], 0.0) + abs(row.pi)
        for (rule, key), row in self.program.rows.items():
            if rule == "no_replica_before_it_is_loaded" and abs(row.pi or 0.0) > 1e-9:
                worth = by_pool.setdefault(self.p.pool_of[key[0]], {})
                f = key[1][1]
                worth[f] = worth.get(f, 0.0) + abs(row.pi)
        for (rule, key), v in self.program.bounds.items():
            if rule == "offers_have_limits" and (v.dj or 0.0) < 0 and (v.varValue or 0.0) > 0:
                solution.offer_marginals[key[0]] = -v.dj * scale
        solution.drivers = {
            q: tuple(f for _, f in sorted((-value, f) for f, value in worth.items())) for q, worth in by_pool.items()
        }

    # -------------------------------------------------------------- whole numbers
    def gap(self, best: Solution) -> float:
        return max(0.0, best.cost_usd - self.bound) / best.cost_usd if best.cost_usd > 0 else 0.0

    def candidate(self, nodes: int) -> Decisions:
        """The best whole purchases over the failures that entered, from a dive or from the best plan so far.

        Raises
        ------
        Infeasible
            when no whole numbers meet what the relaxation meets
        """
        gap = self.effort.gap_fraction * SEARCH_GAP
        good_enough = self.bound / (1 - gap) if gap > 0 else None
        repaired = self.repair() if self.grown else None
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
            if repaired is None and not self.dive():
                raise Stopped(f"the integer search ended with {status}, and rounding found no plan either")
            for v, value in (repaired or {}).items():
                v.varValue = value
        self.last, self.grown = self.program.values(), False
        return self.purchases(whole=True)

    def repair(self) -> dict[Any, float] | None:
        """The last whole numbers with as little as possible added, so that the failures entered since are survived."""
        if self.last is None:
            return None
        before = [(v, v.lowBound, v.upBound) for v in self.whole_columns()]
        for v, _, _ in before:
            v.lowBound = float(round(self.last[v]))
        status = self.program.solve(True, self.effort.gap_fraction / 2, FIRST_NODES, self.seconds_left())
        for v, lower, upper in before:
            v.lowBound, v.upBound = lower, upper
        return self.program.values() if status in (OPTIMAL, FEASIBLE) else None

    def whole_columns(self) -> list[Any]:
        return [v for name in BOUGHT for v in getattr(self.x, name).values()]

    def dive(self) -> bool:
        """Round in rounds: per pool one replica count, the one nearest its ceiling; purchases last.

        Leaves the program at a whole solution over the failures that entered, with all bounds as they were; False when
        rounding ran into a wall.
        """
        before = [(v, v.lowBound, v.upBound) for v in self.whole_columns()]
        try:
            groups: list[list[list[Any]]] = [
                [[self.x.replicas[e, h] for e in self.p.on_pool[q]] for q in self.p.pools for h in self.p.hours],
                [[v] for m in (self.x.firm, self.x.opened) for v in m.values()],
                [[v] for m in (self.x.started, self.x.rented) for v in m.values()],
            ]
            return all(self._dive_group(group) for group in groups) and self.program.solve() == OPTIMAL
        finally:
            for v, lower, upper in before:
                v.lowBound, v.upBound = lower, upper

    def _dive_group(self, pools: list[list[Any]]) -> bool:
        batch = max(1, len(pools))
        if self.program.solve() != OPTIMAL:
            return False
        while True:
            picked = []
            for columns in pools:
                fractional = [(v.varValue - int(v.varValue + WHOLE), v) for v in columns if v.lowBound != v.upBound]
                fractional = [(part, v) for part, v in fractional if part > WHOLE]
                if fractional:
                    picked.append(max(fractional, key=lambda pair: pair[0]))
            picked.sort(key=lambda pair: -pair[0])
            if not picked:
                for v in itertools.chain(*pools):
                    v.lowBound = v.upBound = float(round(v.varValue))
                return self.program.solve() == OPTIMAL
            chosen = [
                (v, int(v.varValue + WHOLE) + (1 if part > ROUND_UP_FROM else 0), v.lowBound, v.upBound)
                for part, v in picked[:batch]
            ]
            for v, value, _, upper in chosen:
                v.lowBound = v.upBound = float(value if upper is None else min(value, upper))
            if self.program.solve() == OPTIMAL:
                continue
            for v, _, lower, upper in chosen:
                v.lowBound, v.upBound = lower, upper
            if len(chosen) == 1:
                v, value, lower, upper = chosen[0]
                other = float(int(value) + (1 if int(value) <= (v.varValue or 0.0) else -1))
                v.lowBound = v.upBound = max(0.0, other)
                if self.program.solve() != OPTIMAL:
                    return False
            elif self.program.solve() != OPTIMAL:
                return False
            batch = max(1, batch // 4)

    def broken_whole(self, purchases: Decisions) -> tuple[list[tuple[float, str]], dict[str, dict[Any, float]]]:
        """All failures tested on whole numbers: the first that break, worst first, or the replicas that survive."""
        broken, found = [], {}
        everything = self.failures()
        for n, f in enumerate(everything):
            self.progress("testing whole numbers", n / len(everything), f"{len(self.entered)} entered")
            # what is whole in the program has a whole answer: the search may take the nodes it needs
            nodes = None if self.whole_failures.get(f, 0) > 1 else TEST_NODES
            short, found[f] = self.test_program(f).test_whole(f, purchases, nodes)
            if short > tolerance(self.p, f):
                broken.append((-short, f))
                if len(broken) >= ENTER_PER_PASS:
                    break
        return sorted(broken), found

    def enter_broken(self, broken: Iterable[tuple[float, str]]) -> None:
        self.grown = True
        for _, f in broken:
            if f in self.entered:
                self.integral(f)
            else:
                self.enter(f)
                self.last = None
        self.program.minimise(self.objective)


def edge_costs(p: Problem) -> dict[tuple[str, str], float]:
    """(o, e) -> what routing prefers: cost of the request first, then the shorter round trip (both below 1)."""
    usd_worst = max(p.request_usd.values(), default=0.0)
    known = [r.round_trip_ms for r in p.round_trip_ms.values()]
    ms_worst = max(known, default=1.0) or 1.0
    weight = 1e-7 if usd_worst else 1.0
    costs = {}
    for o in sorted({o for _, o in p.flows}):
        for e in p.placements:
            site = p.site_of[p.pool_of[e]]
            trip = p.round_trip_ms[o, site].round_trip_ms if (o, site) in p.round_trip_ms else ms_worst
            usd = p.request_usd.get((o, site), 0.0) / usd_worst if usd_worst else 0.0
            costs[o, e] = usd + weight * trip / ms_worst
    return costs


def settle_normal(p: Problem, purchases: Decisions, solver: Any = None) -> Decisions:
    """Normal operation with purchases and replicas as numbers: least cost, then least latency, no slivers."""
    q = replace(p, failures={NORMAL: p.failures[NORMAL]})
    program, x = (
        Program(solver),
        replace(no_decisions(), **{name: getattr(purchases, name) for name in BOUGHT}),
    )
    for s in states(q, NORMAL):
        state_columns(q, program, x, s)
        for rule in STATE_RULES:
            program.add(rule.__name__, rule(q, x, s))
    for purchase_rule in PURCHASE_RULES:
        program.add(purchase_rule.__name__, purchase_rule(q, x))
    costs = edge_costs(p)
    usd_worst = max(p.request_usd.values(), default=0.0) or 1.0
    usd = total([(1.0, requests_usd_per_hour(q, x, s)) for s in states(q, NORMAL)] + [(1.0, unserved_requests(q, x))])
    comfort = total([(costs[o, e], v) for (w, o, e, s), v in x.traffic.items()] + [(100.0, v) for v in x.shed.values()])
    program.minimise(total([(1.0, usd), (usd_worst * (1e-7 if p.request_usd else 1.0), comfort)]))
    if program.solve() != OPTIMAL:
        raise SolverError("normal operation cannot be settled")
    reached, values = program.objective, program.values()
    slivers = [v for (w, o, e, s), v in x.traffic.items() if 0 < values[v] < SLIVER * values[x.offered[w, o, s]]]
    for v in slivers:
        v.upBound = 0.0
    if slivers and program.solve() == OPTIMAL and program.objective <= reached * (1 + 1e-6) + 1e-9:
        values = program.values()
    for name in STATE_NAMES:
        setattr(x, name, Sparse({k: values[v] for k, v in getattr(x, name).items() if values[v] > 0}))
    return x


def solve(
    p: Problem,
    effort: Effort = Effort(),
    solver: Callable[[], Any] | None = None,
    progress: Progress = lambda stage, done, detail: None,
    hints: Iterable[str] = (),
) -> Solution:
    """The cheapest plan found that survives every failure as promised, with a bound that no plan can beat.

    Parameters
    ----------
    p : the problem
    effort : how hard to try, and for how long
    solver : makes a PuLP solver; None: HiGHS with a kept instance
    progress : called with (stage, fraction done or None, detail)
    hints : failures that decided a plan of a similar problem: they enter first; names that are not known do nothing

    Raises
    ------
    Infeasible
        when no plan exists; `explain.diagnose` says why
    SolverError
        when the solver gives neither a solution nor a proof
    """
    search = _Search(p, effort, solver, progress)
    for f in dict.fromkeys(hints):
        if f in p.failures and f != NORMAL:
            search.enter(f)
    relaxation = search.relax()
    summary = Solution(no_decisions(), float("inf"), relaxation, relaxation, (), search.passes, "gap")
    search.marginals(summary)
    best, stopped = None, False
    try:
        best = _search_whole(search)
    except KeyboardInterrupt:
        stopped = True
        best = search.best if search.best is not None else _rounded_up(search)
    status: Status = "proven" if search.gap(best) <= effort.gap_fraction + 1e-9 else "gap"
    return replace(
        summary,
        decisions=best.decisions,
        cost_usd=best.cost_usd,
        bound_usd=min(search.bound, best.cost_usd),
        entered=tuple(search.entered),
        status="stopped" if stopped or search.clock_ended else status,
    )


def _search_whole(search: _Search) -> Solution:
    """Integer search and tests in turn until the gap that was asked for is proven, or the effort is spent."""
    nodes = FIRST_NODES
    for _ in range(MOST_PASSES):
        most = search.most_nodes()
        nodes = min(nodes, most)
        purchases = search.candidate(nodes)
        broken, found = search.broken_whole(purchases)
        if broken:
            search.enter_broken(broken)
            continue
        search.best = best = _better(search, purchases, found)
        if search.gap(best) <= search.effort.gap_fraction + 1e-9 or nodes >= most:
            return best
        if search.out_of_time():
            search.clock_ended = True
            return best
        nodes *= MORE_NODES
    raise Stopped(f"no whole plan after {MOST_PASSES} passes")


def _rounded_up(search: _Search) -> Solution:
    """A whole plan as soon as can be, from what is there: rounded, and added to until every failure is survived."""
    for _ in range(MOST_PASSES):
        if search.repair() is None and not search.dive():
            raise Stopped("interrupted before a whole plan was found")
        search.last, purchases = search.program.values(), search.purchases(whole=True)
        broken, found = search.broken_whole(purchases)
        if not broken:
            return _better(search, purchases, found)
        last = search.last
        search.enter_broken(broken)
        search.last = {**dict.fromkeys(search.program.lp.columns, 0.0), **last}
    raise Stopped(f"no whole plan after {MOST_PASSES} passes")


def _better(search: _Search, purchases: Decisions, found: dict[str, dict[Any, float]]) -> Solution:
    """The cheaper of the best plan so far and this one, which passed every test; states settled."""
    x = settle_normal(search.p, purchases, search.new_solver())
    cost = float(cost_usd(search.p, x))
    if search.best is not None and search.best.cost_usd <= cost:
        return search.best
    costs = edge_costs(search.p)
    for n, (f, replicas) in enumerate(found.items()):
        search.progress("settling states", n / len(found), f)
        settled = search.test_program(f).settle(f, purchases, replicas, costs)
        for name in STATE_NAMES:
            getattr(x, name).update(getattr(settled, name))
    return Solution(x, cost, search.bound, search.bound, (), search.passes, "gap")
