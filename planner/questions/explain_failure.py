"""A failure of a plan step by step: what is lost, who goes from where to where, what is evicted and started, and when.

Seconds count since the failure began. What runs already takes over when the failure is detected and new weights are
pushed; what must be loaded, when its weights are there. Looked at are the deadlines of goals, and the last: between
them the plan has states of its own, in which nothing is due and requests may go anywhere.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from planner.plan.in_hand import Plan
from planner.problem.algebra import Array
from planner.problem.arrays import Arrays, full
from planner.problem.problem import State
from planner.problem.rules.gateway_limits import whole_survivors
from planner.study.dependencies import NORMAL
from planner.units import ROUNDING, SECONDS_PER_HOUR

What = Literal[
    "lost",
    "evicted",
    "reclaimed",
    "launched",
    "cold start",
    "moved",
    "more demand",
    "served again",
    "not served",
    "repaired",
]
ORDER: tuple[What, ...] = get_args(What)
"""In which order what happens at the same second is written."""
LEAST_SHARE = 1e-6
"""Share of a flow below which what moves is arithmetic."""


@dataclass(frozen=True)
class FailureStep:
    """Something that happens in a failure.

    Parameters
    ----------
    seconds : when it is done, since the failure began [s]; begins_seconds : when it begins
    what : lost: replicas are gone, with the requests that went there; moved: requests go elsewhere; more demand:
        requests beyond those of normal operation; not served: requests that are shed from then on; served again: those
        that were; cold start: replicas loaded on machines that are there; launched: on machines obtained since
    workload, origin : of requests; placement, pool : of replicas, or where requests go to; from_placement, from_pool :
        where they went
    requests_per_second, replicas, machines : how much
    due : of what is not served, whether a goal asks for it by then
    """

    seconds: float
    begins_seconds: float
    what: What
    workload: str = ""
    origin: str = ""
    from_placement: str = ""
    from_pool: str = ""
    placement: str = ""
    pool: str = ""
    requests_per_second: float = 0.0
    replicas: float = 0.0
    machines: float = 0.0
    due: bool = False


@dataclass(frozen=True)
class TierServed:
    """What a tier is served at a deadline of a failure, and what is due by then.

    Parameters
    ----------
    served_requests_per_second, wanted_requests_per_second, due_requests_per_second : of the tier
    """

    tier: str
    deadline_seconds: float
    served_requests_per_second: float
    wanted_requests_per_second: float
    due_requests_per_second: float

    @property
    def is_short(self) -> bool:
        """Whether less is served than is due."""
        short = self.due_requests_per_second - self.served_requests_per_second
        return short > LEAST_SHARE * max(1.0, self.wanted_requests_per_second)


@dataclass(frozen=True)
class FailureExplained:
    """A failure of a plan, in one hour.

    Parameters
    ----------
    lost : components and the share of each that is lost
    detected_seconds : from then on requests are moved
    keeps_weights : whether gateways keep their weights: no new ones are pushed, and nothing is started
    nothing_moves : whether all goes on as in normal operation
    binding : whether the plan is sized by it
    steps : in their order
    served : by tier and deadline
    """

    failure: str
    hour: str
    lost: dict[str, float]
    detected_seconds: float
    keeps_weights: bool
    nothing_moves: bool
    binding: bool
    steps: tuple[FailureStep, ...]
    served: tuple[TierServed, ...]


def explain_failure(plan: Plan, failure: str, hour: str) -> FailureExplained:
    """Who goes where in a failure, in which order and by which second."""
    p = plan.problem
    steps = sorted((_with_pools(plan, step) for step in _steps(plan, failure, hour)), key=_in_order)
    return FailureExplained(
        failure,
        hour,
        dict(p.failures[failure].lost),
        p.detection_seconds,
        failure in p.rescaled,
        all(step.what == "repaired" for step in steps),
        failure in plan.file.proof.binding_failures,
        tuple(steps),
        tuple(_served(plan, failure, hour)),
    )


def _with_pools(plan: Plan, step: FailureStep) -> FailureStep:
    """A step with the pools of its placements; what is reclaimed is of a pool already."""
    pool_of = plan.problem.pool_of
    pool = step.pool or pool_of.get(step.placement, "")
    return replace(step, pool=pool, from_pool=pool_of.get(step.from_placement, ""))


def _in_order(step: FailureStep) -> tuple[float, int, float, float, str, str, str]:
    size = -(step.requests_per_second or step.replicas or step.machines)
    return step.seconds, ORDER.index(step.what), step.begins_seconds, size, step.workload, step.origin, step.placement


def _steps(plan: Plan, f: str, hour: str) -> Iterator[FailureStep]:
    p, x = plan.problem, plan.vectors
    a, begins = full(p), p.failures[f].begins_seconds
    normal: State = (hour, NORMAL, 0.0)
    before, sent = normal, np.array(x.traffic[normal,])
    yield from _lost(a, plan, f, hour)
    runs = whole_survivors(a, x, (hour, f, p.deadlines_seconds[f][0]))
    cold, at = np.zeros(a.P), max(p.detection_seconds, begins)
    for c in _deadlines(plan, f):
        s: State = (hour, f, c)
        kept, started = np.asarray(x.kept[s,], dtype=float), np.asarray(x.cold_started[s,], dtype=float)
        yield from _evicted(a, at, runs - kept)
        yield from _reclaimed(a, before, s)
        ready = _ready_seconds(a, plan, s)
        yield from _started(a, s, started - cold, ready, plan)
        yield from _moves(a, plan, s, (before, sent), np.where(started - cold > ROUNDING, ready, at))
        runs, cold, before, sent, at = kept, started, s, np.array(x.traffic[s,]), c
    if (hours := p.failures[f].hours_to_repair) is not None:
        seconds = hours * SECONDS_PER_HOUR
        yield FailureStep(seconds, seconds, "repaired")


def _deadlines(plan: Plan, f: str) -> list[float]:
    """Deadlines of the goals that are held to in a failure, and its last [s]."""
    p = plan.problem
    of_goals = {within for _, _, within in p.promised[f]}
    every = p.deadlines_seconds[f]
    return [c for c in every if c in of_goals or c == every[-1]]


def _ready_seconds(a: Arrays, plan: Plan, s: State) -> Array:
    """When replicas that are loaded in a state run, since the failure began [s; P].

    As soon as can be; on machines that must be obtained, or where storage feeds the weights, by the deadline.
    """
    obtained = np.asarray(plan.vectors.obtained[s,]) * np.ones(a.Q)
    fed = np.array([a.p.site_of[a.p.pool_of[e]] in a.p.load_gib_per_second for e in a.p.placements], dtype=bool)
    waits = fed | (obtained[a.pool_of_placement] > ROUNDING)
    return np.where(waits, s[2], np.minimum(a.cold_start_seconds(s[1]), s[2]))


def _lost(a: Arrays, plan: Plan, f: str, hour: str) -> Iterator[FailureStep]:
    """Replicas that are gone at once, and the requests that went to them."""
    x, begins = plan.vectors, plan.problem.failures[f].begins_seconds
    s: State = (hour, f, a.p.deadlines_seconds[f][0])
    runs = np.asarray(x.replicas[hour,], dtype=float)
    gone = runs - whole_survivors(a, x, s)
    sent = np.bincount(a.placement_of_edge, np.asarray(x.traffic[(hour, NORMAL, 0.0),]), minlength=a.P)
    for i in np.flatnonzero(gone > ROUNDING).tolist():
        share = float(gone[i] / runs[i])
        yield FailureStep(
            begins,
            begins,
            "lost",
            placement=a.p.placements[i],
            requests_per_second=share * float(sent[i]),
            replicas=float(gone[i]),
        )


def _evicted(a: Arrays, at: float, fewer: Array) -> Iterator[FailureStep]:
    """Replicas that make headroom for others."""
    for i in np.flatnonzero(fewer > ROUNDING).tolist():
        yield FailureStep(at, at, "evicted", placement=a.p.placements[i], replicas=float(fewer[i]))


def _reclaimed(a: Arrays, before: State, s: State) -> Iterator[FailureStep]:
    """Machines that come back from others between two states."""
    p, t = a.p, a.p.period_of[s[0]]
    if s[1] == NORMAL:
        return
    alive = a.available_pools(s[1])
    earlier = 0.0 if before[1] == NORMAL else before[2]
    for i, q in enumerate(p.pools):
        for machines, seconds in p.claims[q, t]:
            if seconds is None or alive[i] <= 0:
                continue
            back = p.detection_seconds + seconds
            if earlier <= back < s[2]:
                yield FailureStep(back, p.detection_seconds, "reclaimed", pool=q, machines=float(machines))


def _started(a: Arrays, s: State, more: Array, ready: Array, plan: Plan) -> Iterator[FailureStep]:
    """Replicas that are loaded: on machines that are there, or on machines obtained since."""
    obtained = np.asarray(plan.vectors.obtained[s,]) * np.ones(a.Q)
    for i in np.flatnonzero(more > ROUNDING).tolist():
        what: What = "launched" if obtained[a.pool_of_placement[i]] > ROUNDING else "cold start"
        done = float(ready[i])
        begins = max(0.0, done - float(a.load_seconds[i]))
        yield FailureStep(done, begins, what, placement=a.p.placements[i], replicas=float(more[i]))


def _moves(a: Arrays, plan: Plan, s: State, last: tuple[State, Array], ready: Array) -> Iterator[FailureStep]:
    """Requests that go elsewhere than in the state before: what one placement has less of, another has more of.

    Which request goes where gateways do not say, only shares: what is gone is paired with what is added, the largest
    first. What is added beyond that is demand that was not there before, or not served; what is gone, not served.

    Parameters
    ----------
    last : the state before, and its requests/s over each edge
    ready : when a placement takes more requests [s; P]
    """
    p, now = a.p, np.asarray(plan.vectors.traffic[s,])
    (before, sent), due = last, a.due_share(s) * a.wanted(s)
    extra: What = "more demand" if before[1] == NORMAL else "served again"
    at = max(p.detection_seconds, p.failures[s[1]].begins_seconds) if before[1] == NORMAL else before[2]
    ends = np.searchsorted(a.flow_of_edge, np.arange(a.F + 1))
    for flow, (w, o) in enumerate(a.flows):
        edges = np.arange(ends[flow], ends[flow + 1])
        serves, served = float(now[edges].sum()), float(sent[edges].sum())
        least, change = LEAST_SHARE * max(serves, served), now[edges] - sent[edges]
        ends_at = a.placement_of_edge[edges]
        gone = [(float(-change[i]), int(ends_at[i])) for i in np.flatnonzero(change < -least)]
        added = [(float(change[i]), int(ends_at[i])) for i in np.flatnonzero(change > least)]
        is_due = serves < float(due[flow]) - least
        for rate, come_from, to in _paired(gone, added):
            source = "" if come_from is None else p.placements[come_from]
            if to is None:
                yield FailureStep(
                    at, at, "not served", w, o, from_placement=source, requests_per_second=rate, due=is_due
                )
            else:
                seconds = float(ready[to])
                what = extra if come_from is None else "moved"
                to_placement = p.placements[to]
                yield FailureStep(
                    seconds,
                    seconds,
                    what,
                    w,
                    o,
                    from_placement=source,
                    placement=to_placement,
                    requests_per_second=rate,
                )


def _paired(
    gone: list[tuple[float, int]], added: list[tuple[float, int]]
) -> Iterator[tuple[float, int | None, int | None]]:
    """(how much, from, to), the largest first; None: nothing to pair it with."""
    gone, added = sorted(gone, reverse=True), sorted(added, reverse=True)
    least = LEAST_SHARE * max([rate for rate, _ in (*gone, *added)], default=0.0)
    while gone and added:
        (less, come_from), (more, to) = gone[0], added[0]
        rate = min(less, more)
        yield rate, come_from, to
        gone = [(less - rate, come_from), *gone[1:]] if less - rate > least else gone[1:]
        added = [(more - rate, to), *added[1:]] if more - rate > least else added[1:]
    for less, come_from in gone:
        yield less, come_from, None
    for more, to in added:
        yield more, None, to


def _served(plan: Plan, f: str, hour: str) -> Iterator[TierServed]:
    p, x = plan.problem, plan.vectors
    a = full(p)
    for c in _deadlines(plan, f):
        s: State = (hour, f, c)
        wanted = a.wanted(s)
        served = np.bincount(a.flow_of_edge, np.asarray(x.traffic[s,]), minlength=a.F)
        due = a.due_share(s) * wanted
        for n, tier in enumerate(a.tiers):
            flows = a.tier_of_flow == n
            yield TierServed(tier, c, float(served[flows].sum()), float(wanted[flows].sum()), float(due[flows].sum()))
