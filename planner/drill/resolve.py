"""Re-solve: whether any new weights and starts of replicas serve what is due, by one small program per failure.

Failures with the same times and surges share a program, of which only bounds change. Each starts without a basis: on
46 pools going on from the last failure's basis took three times as long as letting presolve take the dead away.
"""

import math
from dataclasses import dataclass, field
from typing import Any

import highspy
import numpy as np

from planner.drill.alike import alike
from planner.drill.left import Left
from planner.drill.limits import Choice, Way
from planner.drill.rescale import HOT, LOADED, RECLAIMED, STARTED, WAYS
from planner.drill.solving import MOST_NODES, Rows, best_whole, solver_of
from planner.drill.stock import Stock
from planner.drill.world import TOLERANCE, WHOLE, Indices, Numbers, World
from planner.errors import SolverError
from planner.solve.highs_instance import run
from planner.units import SECONDS_PER_HOUR

RECOVERY_SECONDS = 7 * 24 * 3600.0
"""What comes later than that is no part of a recovery."""
TIE = 1e-5
"""Share of a request by which one short request outweighs another: it settles ties, and no more."""
MOMENT_SECONDS = 1e-3
"""Around the moment machines come: what holds just before and just after is looked at."""


@dataclass
class Template:
    """The program of failures with the same times and surges; columns by time: see `build`."""

    times: list[float]
    flow: Indices
    """[k] flow of an edge"""
    placement: Indices
    share: Indices
    beyond: Indices
    short: Indices
    kept: Indices
    cold_started: Indices
    room: Indices
    """[t, .] columns: share of offered [k], not due and not served [i], short [i], kept, loaded, room beyond [e]"""
    ways: list[tuple[int, Way]]
    """columns of requests on one alternative of a choice: open or closed in a failure"""
    columns: int
    lp: highspy.HighsLp
    solver: Any
    rows: dict[str, list[slice]] = field(default_factory=dict)
    passing: list[tuple[int, int]] = field(default_factory=list)
    """(row, number of the limited component)"""


@dataclass(frozen=True)
class Resolved:
    """Requests/s of each flow at each time [i], and how they are served: hot, reclaimed, loaded, started [4, i]."""

    served: dict[float, Numbers]
    how: dict[float, Numbers]
    findings: tuple[str, ...]


def times_of(stock: Stock, left: Left, recovered: float = 0.0) -> list[float]:
    """Deadlines, the moments around which machines come back or are obtained, and when all of it has recovered [s]."""
    failure, counts = left.failures[0], left.counts[0]
    deadlines = failure.clocks
    last = max(recovered, deadlines[-1])
    comes = {at for _, _, back in stock.claims if back is not None for at in (back, back + MOMENT_SECONDS)}
    comes |= {at for when, _, _ in counts.obtained for at in (when - MOMENT_SECONDS, when)}
    return sorted({at for at in comes if 0 < at < last} | {*deadlines, last})


def recovered_seconds(world: World, stock: Stock, left: Left) -> float:
    """When all that can come back, be obtained or be loaded is there; no later than the repair [s]."""
    failure = left.failures[0]
    alive = (left.placements[0] > 0) & left.may_start[0]
    load = float(world.load_seconds[alive].max(initial=0.0))
    comes = [back for _, _, back in stock.claims if back is not None and back < RECOVERY_SECONDS]
    comes += [when for when, _, _ in left.counts[0].obtained if when < RECOVERY_SECONDS]
    done = max([world.study.detection_seconds, *(at + MOMENT_SECONDS for at in comes)]) + load
    repair = math.inf if failure.hours_to_repair is None else failure.hours_to_repair * SECONDS_PER_HOUR
    return min(done, repair)


def build(world: World, left: Left, times: list[float]) -> Template | None:
    """The program, its rows complete but for the bounds that a failure sets; none where there is no edge."""
    flow, placement = np.nonzero(world.in_failure)
    if not len(flow):
        return None
    study, offered = world.study, left.offered[0]
    detection, limit = study.detection_seconds, study.utilisation.in_failure
    n_k, n_i, n_e, n_q = len(flow), len(world.demand), len(world.placements), len(study.pools)
    rates = np.array([math.inf if s.load_gib_per_second is None else s.load_gib_per_second for s in study.sites])
    per_share = world.replica_seconds_in_failure[flow, placement] * offered[flow]
    largest = np.zeros(n_e)
    np.maximum.at(largest, placement, per_share)
    largest = np.where(largest > 0, largest, 1.0)
    width, each, ones, less = n_k + 2 * n_i + 3 * n_e, np.arange(n_e), np.ones(n_e), np.full(n_e, -np.inf)
    columns = np.arange(width * len(times)).reshape(len(times), width)
    share, beyond, short, kept, cold_started, room = np.split(columns, np.cumsum([n_k, n_i, n_i, n_e, n_e]), axis=1)
    rows = Rows()
    at: dict[str, list[slice]] = {"coverable": [], "part": [], "machines": []}
    split, edges = np.arange(n_i), np.ones(n_k)
    fed_e = np.flatnonzero(np.isfinite(rates)[world.site_of])
    for t, clock in enumerate(times):
        rest = [(split, part[t], np.ones(n_i)) for part in (beyond, short)]
        at["coverable"].append(rows.add(np.zeros(n_i), np.zeros(n_i), (flow, share[t], edges), *rest))
        carry = [(each, part[t], -limit / largest) for part in (kept, cold_started)]
        rows.add(less, np.zeros(n_e), (placement, share[t], per_share / largest[placement]), *carry)
        within = [(each, part[t], ones) for part in (kept, cold_started, room)]
        at["part"].append(rows.add(less, np.full(n_e, np.inf), *within))
        stands = [(world.pool_of, part[t], world.machines_per_replica) for part in (kept, cold_started, room)]
        at["machines"].append(rows.add(np.full(n_q, -np.inf), np.zeros(n_q), *stands))
        if len(fed_e):
            fed = np.where(np.isfinite(rates), rates, 0.0) * max(clock - detection, 0.0)
            feeding = (world.site_of[fed_e], cold_started[t, fed_e], world.weights_gib[fed_e])
            rows.add(np.full(len(fed), -np.inf), np.where(np.isfinite(rates), fed, np.inf), feeding)
        if t:
            rows.add(less, np.zeros(n_e), (each, kept[t], ones), (each, kept[t - 1], -ones))
            if len(fed_e):  # what was loaded stays: it was fed, and is not forgotten
                which, one = np.arange(len(fed_e)), np.ones(len(fed_e))
                stays = (which, cold_started[t - 1, fed_e], one), (which, cold_started[t, fed_e], -one)
                rows.add(np.full(len(fed_e), -np.inf), np.zeros(len(fed_e)), *stays)
        for u in range(t):
            loading = (clock - times[u] < world.load_seconds - TOLERANCE) | ((world.load_seconds > 0) & (u == t - 1))
            e = np.flatnonzero(loading & (detection + world.load_seconds <= clock + TOLERANCE))
            later = [(np.arange(len(e)), part[t, e], ones[e]) for part in (kept, cold_started)]
            earlier = [(np.arange(len(e)), part[u, e], -ones[e]) for part in (kept, cold_started, room)]
            rows.add(np.full(len(e), -np.inf), np.zeros(len(e)), *later, *earlier)
    more = _Limits(left, rows, offered[flow], flow, placement, columns.size)
    for t in range(len(times)):
        more.add(share[t])
    lp = rows.program(more.columns)
    made = Template(
        times, flow, placement, share, beyond, short, kept, cold_started, room, more.ways, more.columns, lp, None, at
    )
    made.passing = more.passing
    made.solver = solver_of(lp)
    return made


class _Limits:
    """Rows of components with a limit: what passes them, with any split of requests over alternatives.

    `rate` is what an edge carries when its share is one [requests/s].
    """

    def __init__(self, left: Left, rows: Rows, rate: Numbers, flow: Indices, placement: Indices, columns: int) -> None:
        self.left, self.rows, self.rate, self.flow, self.placement = left.passage, rows, rate, flow, placement
        self.columns = columns
        self.ways: list[tuple[int, Way]] = []
        self.passing: list[tuple[int, int]] = []

    def add(self, share: Indices) -> None:
        """The rows at one time, of the columns `share` of that time."""
        loads: dict[str, dict[int, float]] = {name: {} for name in self.left.limited}
        for (of_flow, of_placement), edges in self._alike().items():
            ways = [way for way in (of_flow, of_placement) if way is not None]
            must = frozenset().union(*(way.passes for way in ways))
            rate = [(int(share[k]), float(self.rate[k])) for k in edges]
            for name in must:
                loads[name] |= dict(rate)
            choices = tuple(dict.fromkeys(choice for way in ways for choice in way.choices))
            for name, column in self._all(choices, rate, must).items():
                loads[name][column] = 1.0
        for number, name in enumerate(self.left.limited):
            if loads[name]:
                row = self._row(-math.inf, 0.0, sorted(loads[name].items()))
                self.passing.append((row, number))

    def _alike(self) -> dict[tuple[Way | None, Way | None], list[int]]:
        """Edges by their ways, of the flow and of the placement."""
        flows, placements = self.left.ways_of_flows, self.left.ways_of_placements
        found: dict[tuple[Way | None, Way | None], list[int]] = {}
        for k, (i, e) in enumerate(zip(self.flow.tolist(), self.placement.tolist(), strict=True)):
            if i in flows or e in placements:
                found.setdefault((flows.get(i), placements.get(e)), []).append(k)
        return found

    def _all(
        self, choices: tuple[Choice, ...], rate: list[tuple[int, float]], spared: frozenset[str]
    ) -> dict[str, int]:
        """Columns of what passes each component on some choices that the same requests make: each once."""
        parts = [self._choose(choice, rate, spared) for choice in choices]
        return {
            name: self._met(name, [[part[name]] for part in parts if name in part])
            for name in sorted({name for part in parts for name in part})
        }

    def _choose(self, choice: Choice, rate: list[tuple[int, float]], spared: frozenset[str]) -> dict[str, int]:
        """Requests split over alternatives, `k` for each; what is on one passes all of it."""
        columns, parts = list[int](), list[dict[str, int]]()
        for way in choice.alternatives:
            column = self._column()
            self.ways.append((column, way))
            columns.append(column)
            if choice.k > 1:
                self._row(-math.inf, 0.0, [(column, 1.0), *((c, -v) for c, v in rate)])
            passes = dict.fromkeys(way.passes - spared, column)
            parts.append(self._all(way.choices, [(column, 1.0)], spared | way.passes) | passes)
        self._row(-math.inf, 0.0, [*((c, v * choice.k) for c, v in rate), *((c, -1.0) for c in columns)])
        found = {}
        for name in sorted({name for part in parts for name in part}):
            mine = [part[name] for part in parts if name in part]
            # a request takes one of the alternatives, or several, which may meet the component together
            found[name] = self._met(name, [mine] if choice.k == 1 else [[column] for column in mine])
        return found

    def _met(self, name: str, sums: list[list[int]]) -> int:
        """A column that is no less than each of some sums of columns."""
        if len(sums) == 1 and len(sums[0]) == 1:
            return sums[0][0]
        column = self._column()
        self.ways.append((column, Way(name, frozenset(), ())))
        for some in sums:
            self._row(-math.inf, 0.0, [*((c, 1.0) for c in some), (column, -1.0)])
        return column

    def _column(self) -> int:
        self.columns += 1
        return self.columns - 1

    def _row(self, low: float, high: float, terms: list[tuple[int, float]]) -> int:
        columns, values = zip(*terms, strict=True)
        here = np.zeros(len(terms), dtype=np.int64), np.array(columns, dtype=np.int64), np.array(values)
        return int(self.rows.add(np.array([low]), np.array([high]), here).start)


def resolve(
    world: World, stock: Stock, left: Left, templates: dict[Any, Template | None], most_nodes: int = MOST_NODES
) -> Resolved:
    """What the best new weights and starts serve in one failure, all clocks together.

    `templates` keeps the programs that failures share; `most_nodes`: see `best_whole`.
    """
    times, n = times_of(stock, left, recovered_seconds(world, stock, left)), left.offered.shape[1]
    served, how = {clock: np.zeros(n) for clock in times}, {clock: np.zeros((len(WAYS), n)) for clock in times}
    if not left.coverable.any():
        return Resolved(served, how, ())
    few = alike(world, left)
    key = (tuple(times), few.kind.tobytes(), few.left.offered.tobytes())
    if key not in templates:
        templates[key] = build(few.world, few.left, times)
    if (made := templates[key]) is None:
        return Resolved(served, how, ())
    upper, costs = _bounds(few.world, stock, few.left, made)
    whole = np.concatenate([made.kept.ravel(), made.cold_started.ravel()])
    value, proven = best_whole(made.solver, made.lp, upper, list(costs), whole, made.short.ravel(), most_nodes)
    for t, clock in enumerate(times):
        unserved = value[made.beyond[t]] + value[made.short[t]]
        served[clock] = few.apart(np.maximum(few.left.coverable[0] - unserved, 0.0) * few.left.offered[0])
        how[clock] = few.apart(_how(few.world, stock, few.left, made, value, t))
    ended = f"{left.failures[0].id}: search for whole replicas ended early; shortfall may be less"
    return Resolved(served, how, () if proven else (ended,))


def steered(left: Left, sent: Numbers, flow: Indices, placement: Indices) -> Numbers:
    """Requests/s on edges [k] that pass all limits when they are split best over alternatives, in one failure."""
    if not left.passage.limited or not len(sent):
        return sent
    rows, share = Rows(), np.arange(len(sent))
    limits = _Limits(left, rows, sent, flow, placement, len(sent))
    limits.add(share)
    if not rows.count:
        return sent
    lp = rows.program(limits.columns)
    upper, cost, high = np.ones(limits.columns), np.zeros(limits.columns), np.array(lp.row_upper_)
    cost[share] = -sent
    for column, way in limits.ways:
        upper[column] = np.inf if left.passage.open(way.part) else 0.0
    for row, number in limits.passing:
        high[row] = left.passage.most[0, number]
    lp.col_cost_, lp.col_upper_, lp.row_upper_ = cost, upper, high
    solver = solver_of(lp)
    if (status := run(solver)) != highspy.HighsModelStatus.kOptimal:
        raise SolverError(f"drill: the solver ended with {status}")
    passed: Numbers = np.array(solver.getSolution().col_value)[share] * sent
    return passed


def routed_anew(world: World, left: Left, stand: Numbers) -> Numbers:
    """Requests/s of each flow [i] that normal operation serves with the best new weights on replicas that stand [e]."""
    flow, placement = np.nonzero(world.normal)
    n_k, n_i, n_e = len(flow), len(world.demand), len(world.placements)
    if not n_k:
        return np.zeros(n_i)
    share, beyond, short = np.split(np.arange(n_k + 2 * n_i), [n_k, n_k + n_i])
    each = np.arange(n_i)
    rows = Rows()
    whole = (flow, share, np.ones(n_k)), (each, beyond, np.ones(n_i)), (each, short, np.ones(n_i))
    rows.add(np.ones(n_i), np.ones(n_i), *whole)
    per_share = world.replica_seconds[flow, placement] * world.demand[flow]
    largest = per_share.max()
    room = world.study.utilisation.normal * stand / largest
    rows.add(np.full(n_e, -np.inf), room, (placement, share, per_share / largest))
    limits = _Limits(left, rows, world.demand[flow], flow, placement, n_k + 2 * n_i)
    limits.add(share)
    lp = rows.program(limits.columns)
    upper, cost, high = np.ones(limits.columns), np.zeros(limits.columns), np.array(lp.row_upper_)
    upper[share] = (left.placements[0] > 0)[placement]
    upper[beyond] = 1.0 - left.due(world, 0.0)[0]
    part = world.demand / world.demand.max()
    cost[short], cost[beyond] = 100.0 * part, 0.01 * part
    for column, way in limits.ways:
        upper[column] = np.inf if left.passage.open(way.part) else 0.0
    for row, number in limits.passing:
        high[row] = left.passage.most[0, number]
    lp.col_cost_, lp.col_upper_, lp.row_upper_ = cost, upper, high
    solver = solver_of(lp)
    if (status := run(solver)) != highspy.HighsModelStatus.kOptimal:
        raise SolverError(f"drill: the solver ended with {status}")
    value = np.array(solver.getSolution().col_value)
    served: Numbers = np.maximum(1.0 - value[beyond] - value[short], 0.0) * world.demand
    return served


def _bounds(world: World, stock: Stock, left: Left, made: Template) -> tuple[Numbers, Numbers]:
    """Upper bounds of the columns and their costs in a failure; its bounds of rows go to the program."""
    study, coverable, placements = world.study, left.coverable[0], left.placements[0]
    detection, alive = study.detection_seconds, placements > 0
    offered = left.offered[0]
    scale = 100.0 * offered / (offered.max() or 1.0)
    worth = np.array([tier.outage_usd_per_request for tier in world.tier_of])
    dearest = worth / max(worth.max(), WHOLE)
    worth = 0.01 + dearest
    due = np.array([left.due(world, clock)[0] for clock in made.times])
    waited = 1 - np.argmax(due > 0, axis=0) / len(due)
    # of equal shortfalls the one that a reader expects, not the one that a release of the solver finds first: the
    # dearer requests are served, then those that were due earlier
    shortfall = scale * (1 + TIE * (dearest + 0.1 * waited))
    upper, costs = np.zeros(made.columns), np.zeros((3, made.columns))
    low, high = np.array(made.lp.row_lower_), np.array(made.lp.row_upper_)
    edge = alive[made.placement] & (coverable > 0)[made.flow]
    for t, clock in enumerate(made.times):
        machines = left.machines(stock, clock)[0]
        most = np.floor(machines[world.pool_of] / world.machines_per_replica + WHOLE)
        upper[made.share[t]] = edge
        upper[made.short[t]] = due[t]
        upper[made.beyond[t]] = coverable - upper[made.short[t]]
        upper[made.kept[t]] = left.survivors[0] * alive
        upper[made.room[t]] = np.where(alive, np.inf, 0.0)
        started = (detection + world.load_seconds <= clock + TOLERANCE) & alive & left.may_start[0]
        upper[made.cold_started[t]] = np.where(started, most, 0.0)
        costs[0, made.short[t]] = shortfall
        costs[2, made.short[t]] = costs[2, made.beyond[t]] = scale * worth
        costs[1, made.kept[t]], costs[1, made.cold_started[t]] = -world.machines_per_replica, world.machines_per_replica
        low[made.rows["coverable"][t]] = high[made.rows["coverable"][t]] = coverable
        high[made.rows["machines"][t]] = machines
        high[made.rows["part"][t]] = part_of_pool(world, stock, left, clock)
    for column, way in made.ways:
        upper[column] = np.inf if left.passage.open(way.part) else 0.0
    for row, number in made.passing:
        high[row] = left.passage.most[0, number]
    made.lp.row_lower_, made.lp.row_upper_ = low, high
    every = np.arange(len(low), dtype=np.int32)
    made.solver.clearSolver()  # the last failure's basis is a worse start than none: presolve takes the dead away
    made.solver.changeRowsBounds(len(low), every, low, high)
    return upper, costs


def part_of_pool(world: World, stock: Stock, left: Left, clock: float) -> Numbers:
    """Replicas for which there is room in what a partly lost placement has left [e]; else infinite."""
    whole, mine = left.pools[0][world.pool_of], left.placements[0]
    machines = left.machines(stock, clock)[0][world.pool_of]
    share = np.divide(mine, whole, out=np.zeros_like(whole), where=whole > 0)
    partly = (mine > 0) & (mine < whole)
    return np.where(partly, share * machines / world.machines_per_replica, np.inf)


def _how(world: World, stock: Stock, left: Left, made: Template, value: Numbers, t: int) -> Numbers:
    """Requests/s of each flow by what serves them [4, i].

    Machines of a pool are taken in this order: there all along, back from others, obtained; by what was kept, then by
    what was loaded.
    """
    clock, offered = made.times[t], left.offered[0]
    kept, cold_started = np.round(value[made.kept[t]]), np.round(value[made.cold_started[t]])
    keeps, loads = (world.by_pool(world.machines_per_replica * n) for n in (kept, cold_started))
    own = left.machines(stock, clock, reclaimed=False, obtained=False)[0]
    back = left.machines(stock, clock, obtained=False)[0]
    kept_hot = np.minimum(keeps, own)
    loaded_own = np.minimum(loads, np.maximum(own - keeps, 0.0))
    loaded_back = np.minimum(loads - loaded_own, np.maximum(back - np.maximum(own, keeps), 0.0))

    def share(part: Numbers, of: Numbers) -> Numbers:
        return np.divide(part, of, out=np.zeros_like(of), where=of > 0)[world.pool_of]

    running = np.maximum(kept + cold_started, WHOLE)
    split = np.zeros((len(WAYS), len(kept)))
    split[HOT] = kept * share(kept_hot, keeps) / running
    split[LOADED] = cold_started * share(loaded_own, loads) / running
    split[STARTED] = cold_started * share(loads - loaded_own - loaded_back, loads) / running
    split[RECLAIMED] = np.maximum((kept + cold_started) / running - split.sum(axis=0), 0.0)
    rates = value[made.share[t]] * offered[made.flow]
    return np.array(
        [np.bincount(made.flow, weights=rates * way[made.placement], minlength=len(offered)) for way in split]
    )
