"""Re-solve: whether any new weights and starts of replicas serve what is due, by one small program per failure.

Where the replicas that run on carry everything, that is the answer. Else failures with the same times and surges share
a program, of which only bounds change. Each starts without a basis: on 46 pools going on from the last failure's basis
took three times as long as letting presolve take the dead away.
"""

import math
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeGuard, TypeVar

import numpy as np

from planner.drill.by_number import MANY_REPLICAS, Template, as_stated, less_is_carried, without_too_much
from planner.drill.failures import INSTANT_SECONDS
from planner.drill.instance import ROUNDING, TOLERANCE, Flags, Indices, Instance, Numbers
from planner.drill.remaining import Remaining
from planner.drill.rescale import COLD_START, LAUNCHED, RECLAIMED, SERVED_BY, WARM, all_warm
from planner.drill.solving import MOST_NODES, Rows, best_integer, solver_of
from planner.drill.survivors import SurvivorsProgram, build_survivors, survivors_carry_all
from planner.drill.symmetric import SymmetricFlows, merge_symmetric, symmetric_but_for_failures
from planner.drill.traffic import LimitRows
from planner.units import SECONDS_PER_HOUR

RECOVERY_SECONDS = 7 * 24 * 3600.0
"""What comes later than that is no part of a recovery."""
TIE = 1e-5
"""Share of a request by which one short request outweighs another: it settles ties, and no more."""
MOST_SEARCHES = 12
"""For whole replicas that are not too full for their number."""
MOST_PROGRAMS = 8
"""Of one sort that are in memory at the same time."""
Program = TypeVar("Program")


@dataclass(frozen=True)
class Resolved:
    """Requests/s of each flow at each time [i], and by what they are served [4, i]; see `rescale.SERVED_BY`.

    Parameters
    ----------
    without_obtaining : what is served where nothing can be obtained, at times of its own; none: as much
    """

    served: dict[float, Numbers]
    served_by: dict[float, Numbers]
    findings: tuple[str, ...]
    without_obtaining: dict[float, Numbers] | None = None


def times_of(remaining: Remaining, recovered: float = 0.0) -> list[float]:
    """Deadlines, the times around which machines come back or are obtained, and when all of it has recovered [s]."""
    failure = remaining.failures[0]
    deadlines = failure.deadlines
    last = max(recovered, deadlines[-1])
    comes = {recovered} if failure.recovery_shown and failure.counts_at(recovered) else set[float]()
    for _, _, back in remaining.fleet.claims:
        if back is not None:
            comes |= {back, back + INSTANT_SECONDS}
    for when, _, _ in remaining.counts[0].obtained:
        comes |= {when - INSTANT_SECONDS, when}
    return sorted({at for at in comes if 0 < at < last} | {*deadlines, last})


def recovered_seconds(remaining: Remaining) -> float:
    """When all that can come back, be obtained or cold-start runs; no later than the repair [s]."""
    instance, failure = remaining.instance, remaining.failures[0]
    alive = (remaining.placements[0] > 0) & remaining.may_start[0]
    comes = [back for _, _, back in remaining.fleet.claims if back is not None]
    comes += [when for when, _, _ in remaining.counts[0].obtained]
    last = max((at + INSTANT_SECONDS for at in comes if at < RECOVERY_SECONDS), default=0.0)
    runs = (np.maximum(remaining.start_seconds[0], last) + instance.load_seconds)[alive]
    done = float(runs.max(initial=max(instance.study.detection_seconds, last)))
    repair = math.inf if failure.hours_to_repair is None else failure.hours_to_repair * SECONDS_PER_HOUR
    return min(done, repair, failure.ends_seconds - INSTANT_SECONDS)


@dataclass
class Programs:
    """The programs that failures of an hour share, the latest of them: how many there are must not grow with failures.

    Parameters
    ----------
    kinds : of flows; see `symmetric_but_for_failures` [i]
    survivors : by kinds of flows and what they offer
    templates : by these, and times
    last : what was asked for last, and its symmetric flows
    """

    kinds: Indices | None = None
    survivors: dict[Hashable, SurvivorsProgram | None] = field(default_factory=dict)
    templates: dict[Hashable, Template] = field(default_factory=dict)
    last: tuple[Remaining, SymmetricFlows] | None = None

    def merged(self, remaining: Remaining) -> SymmetricFlows:
        """Symmetric flows of a failure taken together; what is asked for twice in a row is made once."""
        if self.last is not None and self.last[0] is remaining:
            return self.last[1]
        if self.kinds is None:
            self.kinds = symmetric_but_for_failures(remaining)
        few = merge_symmetric(remaining, self.kinds)
        self.last = remaining, few
        return few

    def of_survivors(self, few: SymmetricFlows) -> SurvivorsProgram | None:
        """The program of the survivors of a failure; none where there is no edge."""
        return _kept(self.survivors, _key(few), lambda: build_survivors(few.remaining))

    def over_time(self, few: SymmetricFlows, times: list[float]) -> Template:
        """The program of a failure with starts."""
        return _kept(self.templates, (*_key(few), *times), lambda: build(few.remaining, times))


class Lent:
    """Programs for each of several threads: a failure has some for itself, whichever; what comes out is the same."""

    def __init__(self) -> None:
        self._idle: list[Programs] = []

    @contextmanager
    def programs(self) -> Iterator[Programs]:
        """Some that no other thread has."""
        try:
            programs = self._idle.pop()
        except IndexError:
            programs = Programs()
        yield programs
        self._idle.append(programs)  # not after an error: that ends the drill


def _key(few: SymmetricFlows) -> tuple[Hashable, ...]:
    return few.kind.tobytes(), few.remaining.offered.tobytes()


def _kept(programs: dict[Hashable, Program], key: Hashable, made: Callable[[], Program]) -> Program:
    """The program of that key; the one that was not asked for the longest goes when there are too many."""
    program = programs.pop(key) if key in programs else made()
    if len(programs) == MOST_PROGRAMS:
        del programs[next(iter(programs))]
    programs[key] = program
    return program


def build(remaining: Remaining, times: list[float]) -> Template:
    """The program, its rows complete but for the bounds that a failure sets."""
    instance = remaining.instance
    flow, placement = np.nonzero(instance.in_failure)
    study, offered = instance.study, remaining.offered[0]
    limit = instance.filled(True, np.full(len(instance.placements), MANY_REPLICAS))
    n_k, n_i, n_e, n_q = len(flow), len(instance.demand), len(instance.placements), len(study.pools)
    per_share, largest = _loads(instance, offered, flow, placement)
    width = n_k + 2 * n_i + 3 * n_e
    each_i, ones_i, zeros_i = np.arange(n_i), np.ones(n_i), np.zeros(n_i)
    each_e, ones_e, zeros_e = np.arange(n_e), np.ones(n_e), np.zeros(n_e)
    columns = np.arange(width * len(times)).reshape(len(times), width)
    share, beyond, short, kept, cold_started, headroom = np.split(columns, np.cumsum([n_k, n_i, n_i, n_e, n_e]), axis=1)
    rows = Rows()
    coverable, part, machines, carries = [], [], [], []
    limits = LimitRows(remaining.limits, offered[flow], flow, placement, columns.size)
    for t, elapsed in enumerate(times):
        asked = (flow, share[t], np.ones(n_k)), (each_i, beyond[t], ones_i), (each_i, short[t], ones_i)
        coverable.append(rows.add(zeros_i, zeros_i, *asked))
        carry = [(each_e, of[t], -limit / largest) for of in (kept, cold_started)]
        carries.append(rows.at_most(zeros_e, (placement, share[t], per_share / largest[placement]), *carry))
        run_or_could = (kept, cold_started, headroom)
        part.append(rows.at_most(np.full(n_e, np.inf), *((each_e, of[t], ones_e) for of in run_or_could)))
        need = [(instance.pool_of, of[t], instance.machines_per_replica) for of in run_or_could]
        machines.append(rows.at_most(np.zeros(n_q), *need))
        _feed_rows(rows, instance, cold_started[t], elapsed)
        _start_rows(rows, instance, times, t, run_or_could)
    for t in range(len(times)):
        limits.add(rows, share[t])
    lp = rows.program(limits.columns)
    bounded = coverable, part, machines, carries, largest, per_share / largest[placement]
    by_time = share, beyond, short, kept, cold_started, headroom
    return Template(times, flow, placement, *by_time, *bounded, limits, lp, solver_of(lp))


def _loads(instance: Instance, offered: Numbers, flow: Indices, placement: Indices) -> tuple[Numbers, Numbers]:
    """What all of a flow takes over its edges [k], and the most of it at each placement [e], replica-seconds/s."""
    per_share = instance.replica_seconds_in_failure[flow, placement] * offered[flow]
    largest = np.zeros(len(instance.placements))
    np.maximum.at(largest, placement, per_share)
    return per_share, np.where(largest > 0, largest, 1.0)


def may_be_filled_again(made: Template | None, remaining: Remaining) -> TypeGuard[Template]:
    """Whether a program can be that of a failure with demand or speeds moved: by `filled_again`, and by bounds."""
    if made is None or remaining.instance.queues is not None:
        return False
    return not made.limits.groups or np.array_equal(made.limits.rate, remaining.offered[0][made.flow])


def filled_again(made: Template, remaining: Remaining) -> None:
    """Let the replicas in a program's solver carry what they do with demand or speeds moved: all edges of each alike.

    Formula, per placement and time
        Σ per_share / largest · share  ≤  limit / largest · (kept + cold_started)
    of which the left side stays.
    """
    instance = remaining.instance
    made.per_share, largest = _loads(instance, remaining.offered[0], made.flow, made.placement)
    carry = instance.filled(True, np.full(len(largest), MANY_REPLICAS)) / largest
    for e in np.flatnonzero(largest != made.largest).tolist():
        for rows, kept, cold_started in zip(made.carries, made.kept, made.cold_started, strict=True):
            for column in (kept[e], cold_started[e]):
                made.solver.changeCoeff(rows.start + e, int(column), -float(carry[e]))
    made.largest = largest


def _feed_rows(rows: Rows, instance: Instance, cold_started: Indices, elapsed: float) -> None:
    """Storage feeds the weights of all that was cold-started at a site by some time; `cold_started`: columns [e].

    An engine that starts for longer must have read its weights earlier: of those that start for so long at least.
    """
    fed, since = _fed(instance, elapsed), max(elapsed - instance.study.detection_seconds, 0.0)
    for engine in np.unique(instance.engine_start_seconds[fed]).tolist():
        e = np.flatnonzero(fed & (instance.engine_start_seconds >= engine))
        sites, row = np.unique(instance.site_of[e], return_inverse=True)
        gib = instance.feeds_gib_per_second[sites] * max(since - engine, 0.0)
        rows.at_most(gib, (row, cold_started[e], instance.weights_gib[e]))


def _fed(instance: Instance, elapsed: float) -> Flags:
    """Placements of which replicas may have been cold-started by some time, from a storage with a limit [e]."""
    in_time = instance.study.detection_seconds + instance.load_seconds <= elapsed + TOLERANCE
    fed: Flags = in_time & np.isfinite(instance.feeds_gib_per_second)[instance.site_of]
    return fed


def _start_rows(
    rows: Rows, instance: Instance, times: list[float], t: int, run_or_could: tuple[Indices, Indices, Indices]
) -> None:
    """What runs at time t was kept, or could run at each earlier time at which it was loading.

    Parameters
    ----------
    run_or_could : columns [t, e] of replicas kept, cold-started, and that could run beyond these
    """
    kept, cold_started, _ = run_or_could
    each, ones = np.arange(len(instance.placements)), np.ones(len(instance.placements))
    if t:
        rows.at_most(0.0 * ones, (each, kept[t], ones), (each, kept[t - 1], -ones))
        # what was loaded from storage with a limit stays: it was fed, and is not forgotten
        e = np.flatnonzero(_fed(instance, times[t - 1]))
        each, one = np.arange(len(e)), np.ones(len(e))
        rows.at_most(0.0 * one, (each, cold_started[t - 1, e], one), (each, cold_started[t, e], -one))
    in_time = instance.study.detection_seconds + instance.load_seconds <= times[t] + TOLERANCE
    for u in range(t):
        loading = times[t] - times[u] < instance.load_seconds - TOLERANCE
        if u == t - 1:
            loading |= instance.load_seconds > 0
        e = np.flatnonzero(loading & in_time)
        each, one = np.arange(len(e)), np.ones(len(e))
        runs = [(each, of[t, e], one) for of in (kept, cold_started)]
        could = [(each, of[u, e], -one) for of in run_or_could]
        rows.at_most(0.0 * one, *runs, *could)


def resolve(
    remaining: Remaining, programs: Programs, most_nodes: int = MOST_NODES, only_goals: bool = False
) -> Resolved:
    """What the best new weights and starts serve in one failure, all times together.

    Parameters
    ----------
    programs : those that failures of an hour share
    most_nodes : see `best_integer`
    only_goals : whether it is only asked if goals are broken: not what is served after the last deadline, when no less
        is; and where parts of replicas break one, whole ones are not looked for
    """
    offered = remaining.offered[0]
    times = times_of(remaining, 0.0 if only_goals else recovered_seconds(remaining))
    coverable = remaining.coverable[0]
    few = programs.merged(remaining) if coverable.any() else None
    if few is None or (made := programs.of_survivors(few)) is None:
        none = np.zeros(len(offered))
        return Resolved(dict.fromkeys(times, none), dict.fromkeys(times, all_warm(none)), ())
    if survivors_carry_all(few.remaining, made, times[0]):
        everything = coverable * offered
        return Resolved(dict.fromkeys(times, everything), dict.fromkeys(times, all_warm(everything)), ())
    made_over_time = programs.over_time(few, times)

    def breaks_a_goal(value: Numbers) -> bool:
        return _breaks(remaining, _served(few, made_over_time, value))

    bounds = _bounds(few.remaining, made_over_time)
    return _started(few, made_over_time, bounds, most_nodes, breaks_a_goal if only_goals else None)


def breaking(remaining: Remaining, few: SymmetricFlows, made: Template, most_nodes: int) -> Resolved | None:
    """What the best new weights and starts serve in a failure that breaks a goal by its last deadline; none: all hold.

    With whole replicas those that the plan states are tried first.

    Parameters
    ----------
    few : its symmetric flows together
    made : its program, to the last deadline; where it was solved before, it goes on from there
    most_nodes : see `best_integer`
    """

    def breaks_a_goal(value: Numbers) -> bool:
        return _breaks(remaining, _served(few, made, value))

    bounds = _bounds(few.remaining, made, anew=bool(most_nodes))
    if most_nodes:
        stated = as_stated(few.remaining, made, bounds[0], bounds[1][0], _integer(made))
        if stated is not None and not breaks_a_goal(stated):
            return None
    answer = _started(few, made, bounds, most_nodes, breaks_a_goal)
    if not most_nodes and _is_close(remaining, answer.served):
        answer = _started(few, made, _bounds(few.remaining, made), most_nodes, breaks_a_goal)
    return answer if _breaks(remaining, answer.served) else None


def _is_close(remaining: Remaining, served: Mapping[float, Numbers]) -> bool:
    """Whether it goes by how the shortfall of a tier is split over its flows if its goal breaks, in one failure."""
    for elapsed, rates in served.items():
        short = remaining.short(elapsed, rates)
        for _, flows in remaining.instance.flows_of_tier:
            in_all = float(short[flows].sum() / max(remaining.offered[0][flows].sum(), ROUNDING))
            if TOLERANCE / 100 < in_all < TOLERANCE * 100:
                return True
    return False


def _breaks(remaining: Remaining, served: Mapping[float, Numbers]) -> bool:
    """Whether a goal breaks, in one failure."""
    return any(
        remaining.is_broken(flows, remaining.short(elapsed, rates))
        for elapsed, rates in served.items()
        for _, flows in remaining.instance.flows_of_tier
    )


def _started(
    few: SymmetricFlows,
    made: Template,
    bounds: tuple[Numbers, Numbers],
    most_nodes: int,
    parts_will_do: Callable[[Numbers], bool] | None,
) -> Resolved:
    """What is served in a failure in which replicas must start, or not all can be; `bounds` are those of `_bounds`."""
    remaining, short = few.remaining, made.short.ravel()
    upper, costs = bounds
    integer = _integer(made)
    arguments = upper, list(costs), integer, short, most_nodes, parts_will_do
    value, proven = best_integer(made.solver, made.lp, *arguments)
    searches = 1
    while less_is_carried(remaining.instance, made, value):
        if searches == MOST_SEARCHES:
            value = without_too_much(remaining.instance, made, value)
            break
        value, proven = best_integer(made.solver, made.lp, *arguments)
        searches += 1
    # numbers that were too full for what they carry lead to others, and not always to the best
    if searches > 1 and value[short].sum() > TOLERANCE:
        stated = as_stated(remaining, made, upper, costs[0], integer)
        if stated is not None and costs[0] @ stated < costs[0] @ value:
            value = stated
    proven = proven and (searches == 1 or value[short].sum() <= TOLERANCE)
    served_by = {elapsed: few.apart(_served_by(remaining, made, value, t)) for t, elapsed in enumerate(made.times)}
    ended = f"{remaining.failures[0].id}: search for whole replicas ended early; shortfall may be less"
    return Resolved(_served(few, made, value), served_by, () if proven else (ended,))


def _integer(made: Template) -> Indices:
    """Columns that are replicas: those that are whole."""
    return np.concatenate([made.kept.ravel(), made.cold_started.ravel()])


def _served(few: SymmetricFlows, made: Template, value: Numbers) -> dict[float, Numbers]:
    """Requests/s of each flow by itself at each time [i], for some values of the columns."""
    served = {}
    for t, elapsed in enumerate(made.times):
        unserved = value[made.beyond[t]] + value[made.short[t]]
        covered = np.maximum(few.remaining.coverable[0] - unserved, 0.0)
        served[elapsed] = few.apart(covered * few.remaining.offered[0])
    return served


def _bounds(remaining: Remaining, made: Template, anew: bool = True) -> tuple[Numbers, Numbers]:
    """Upper bounds of the columns and their costs in a failure; its bounds of rows go to the program.

    `anew`: without the basis of what was solved last.
    """
    instance, coverable, offered = remaining.instance, remaining.coverable[0], remaining.offered[0]
    alive = remaining.placements[0] > 0
    scale = 100.0 * offered / (offered.max() or 1.0)
    outage_usd = instance.usd_per_request
    dearest = outage_usd / max(outage_usd.max(), ROUNDING)
    due = np.array([remaining.due(elapsed)[0] for elapsed in made.times])
    waited = 1 - np.argmax(due > 0, axis=0) / len(due)
    # of equal shortfalls the one that a reader expects, not the one that a release of the solver finds first: the
    # dearer requests are served, then those that were due earlier
    shortfall = scale * (1 + TIE * (dearest + 0.1 * waited))
    upper, costs = np.zeros(made.limits.columns), np.zeros((3, made.limits.columns))
    low, high = np.array(made.lp.row_lower_), np.array(made.lp.row_upper_)
    edge = alive[made.placement] & (coverable > 0)[made.flow]
    may_start = alive & remaining.may_start[0]
    for t, elapsed in enumerate(made.times):
        machines = remaining.machines(elapsed)[0]
        most = np.floor(machines[instance.pool_of] / instance.machines_per_replica + ROUNDING)
        upper[made.share[t]] = edge
        upper[made.short[t]] = due[t]
        upper[made.beyond[t]] = coverable - due[t]
        upper[made.kept[t]] = remaining.survivors[0] * alive
        upper[made.headroom[t]] = np.where(alive, np.inf, 0.0)
        in_time = (remaining.start_seconds[0] + instance.load_seconds <= elapsed + TOLERANCE) & may_start
        upper[made.cold_started[t]] = np.where(in_time, most, 0.0)
        costs[0, made.short[t]] = shortfall
        costs[1, made.kept[t]] = -instance.machines_per_replica
        costs[1, made.cold_started[t]] = instance.machines_per_replica
        costs[2, made.short[t]] = costs[2, made.beyond[t]] = scale * (0.01 + dearest)
        low[made.coverable[t]] = high[made.coverable[t]] = coverable
        high[made.machines[t]] = machines
        high[made.carries[t]] = 0.0
        high[made.part[t]] = remaining.part_of_pool(elapsed)
    made.limits.bound(upper, high, remaining.limits)
    made.lp.row_lower_, made.lp.row_upper_ = low, high
    if anew:
        made.solver.clearSolver()  # the last failure's basis is a worse start than none: presolve takes the dead away
    made.solver.changeRowsBounds(len(low), np.arange(len(low), dtype=np.int32), low, high)
    return upper, costs


def _served_by(remaining: Remaining, made: Template, value: Numbers, t: int) -> Numbers:
    """Requests/s of each flow by what serves them [4, i].

    Machines of a pool are taken in this order: those that ran all along, those back from others, those obtained; by
    what was kept, then by what was cold-started.
    """
    instance, elapsed, offered = remaining.instance, made.times[t], remaining.offered[0]
    kept, cold_started = np.round(value[made.kept[t]]), np.round(value[made.cold_started[t]])
    keeps, loads = (instance.by_pool(instance.machines_per_replica * n) for n in (kept, cold_started))
    own = remaining.machines(elapsed, reclaimed=False, obtained=False)[0]
    back = remaining.machines(elapsed, obtained=False)[0]
    kept_warm = np.minimum(keeps, own)
    loads_own = np.minimum(loads, np.maximum(own - keeps, 0.0))
    loads_back = np.minimum(loads - loads_own, np.maximum(back - np.maximum(own, keeps), 0.0))

    def share(part: Numbers, of: Numbers) -> Numbers:
        return np.divide(part, of, out=np.zeros_like(of), where=of > 0)[instance.pool_of]

    running = np.maximum(kept + cold_started, ROUNDING)
    split = np.zeros((len(SERVED_BY), len(kept)))
    split[WARM] = kept * share(kept_warm, keeps) / running
    split[COLD_START] = cold_started * share(loads_own, loads) / running
    split[LAUNCHED] = cold_started * share(loads - loads_own - loads_back, loads) / running
    split[RECLAIMED] = np.maximum((kept + cold_started) / running - split.sum(axis=0), 0.0)
    rates = value[made.share[t]] * offered[made.flow]
    by_flow = [np.bincount(made.flow, weights=rates * of[made.placement], minlength=len(offered)) for of in split]
    return np.array(by_flow)
