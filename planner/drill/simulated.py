"""What a plan sends to each placement in a state, as queues to be simulated request by request."""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np

from planner.drill.baseline import hours_of, of_plan, stated
from planner.drill.failures import NORMAL, Failure, normal_operation
from planner.drill.instance import TOLERANCE, Instance, Latencies, Numbers, cached_after_a_move, named
from planner.drill.latency import latency_ms
from planner.drill.names import check_counts
from planner.drill.one_hour import CHUNK
from planner.drill.pushes import plan_as_pushed
from planner.drill.remaining import Remaining, what_remains
from planner.drill.replay import prepare
from planner.drill.simulated_queue import Lengths
from planner.drill.time_slices import taken_up
from planner.errors import Finding, InputError
from planner.study.records.plan import PlanFile, State
from planner.study.records.serving import OperatingPoint, Profile
from planner.study.records.study import Quantile, Workload


@dataclass(frozen=True)
class Stream:
    """Requests of one workload from one origin at a placement.

    Parameters
    ----------
    requests_per_second : at the peak of the hour, as the plan makes room for it (`burst_factor`)
    reading_seconds, writing_seconds : how long one keeps its slot in a full replica, for its input and its output [s]
    inputs, outputs : how its lengths vary, as the study says; none: it says their means only
    first_token_ms, first_token_ms_high : without a wait and without the way: as stated, and its high end
    target_ms : of the tier, for the first token; none: it has none
    """

    workload: str
    origin: str
    tier: str
    requests_per_second: float
    reading_seconds: float
    writing_seconds: float
    round_trip_ms: float
    first_token_ms: float
    first_token_ms_high: float
    target_ms: float | None
    inputs: Lengths | None = None
    outputs: Lengths | None = None


@dataclass(frozen=True)
class Queue:
    """A placement in one state of a plan: its replicas, the slots of each, and what is sent to it."""

    placement: str
    replicas: int
    slots_per_replica: int
    streams: tuple[Stream, ...]

    @property
    def requests_per_second(self) -> float:
        """All that is sent to it."""
        return sum(stream.requests_per_second for stream in self.streams)

    @property
    def utilisation(self) -> float:
        """Share of its slots that are busy on the mean."""
        busy = sum(s.requests_per_second * (s.reading_seconds + s.writing_seconds) for s in self.streams)
        return busy / (self.replicas * self.slots_per_replica)


@dataclass(frozen=True)
class SimulatedState:
    """What is served in one state of a plan: a failure, so many seconds after it began, in an hour."""

    hour: str
    failure: str
    deadline_seconds: float
    queues: tuple[Queue, ...]

    @property
    def utilisation(self) -> float:
        """Share of slots that are busy where requests with a target for their first token are sent, on the mean."""
        busy = requests = 0.0
        for queue in self.queues:
            held_to = sum(s.requests_per_second for s in queue.streams if s.target_ms is not None)
            busy, requests = busy + held_to * queue.utilisation, requests + held_to
        return busy / requests if requests else 0.0


def simulated_states(
    plan: PlanFile, failures: Sequence[str] = (), hour: str | None = None, most_failures: int = 3
) -> tuple[SimulatedState, ...]:
    """Normal operation, and failures at the deadline at which their slots are fullest; of several hours the fullest.

    Parameters
    ----------
    failures : ids of failures, or patterns of them (`site:*`); none: those whose slots are fullest, `most_failures`
    hour : pattern of hours of the plan; none: all

    Raises
    ------
    InputError
        when a pattern matches no failure or no hour, or the plan does not fit its study
    """
    check_counts(plan)
    plan = plan_as_pushed(plan) if plan.study.failover == "resolve" else plan
    instance, graph, of_goals = prepare(plan.study, plan.demand_case)
    ids = list(dict.fromkeys(failure.id for failure in of_goals))
    _check_patterns("--failure", failures, ids)
    slices = hours_of(plan)
    _check_patterns("--hour", () if hour is None else (hour,), [one.hour for one in slices])
    asked = [one for one in of_goals if not failures or any(fnmatchcase(one.id, pattern) for pattern in failures)]
    latency = latency_ms(plan.study, list(plan.study.sites))
    by_failure: dict[str, SimulatedState] = {}
    for one in (one for one in slices if hour is None or fnmatchcase(one.hour, hour)):
        states = {(s.failure, round(s.deadline_seconds, 6)): s for s in plan.states if s.hour == one.hour}
        fleet, _ = of_plan(instance.at(taken_up(plan, one)), plan, of_goals, one, slices)
        remains = [what_remains(fleet, graph, [normal_operation(plan.study)])]
        fleet, _ = of_plan(instance.at(one.wanted), plan, of_goals, one, slices)
        remains += [what_remains(fleet, graph, asked[n : n + CHUNK]) for n in range(0, len(asked), CHUNK)]
        for remaining in remains:
            for f, failure in enumerate(remaining.failures):
                for deadline in _times_of(failure, states):
                    state = states.get((failure.id, round(deadline, 6)))
                    queues = _queues(remaining.one(f), state, latency)
                    _keep_fullest(by_failure, SimulatedState(one.hour, failure.id, deadline, queues))
    normal = by_failure.pop(NORMAL)
    fullest = sorted(by_failure.values(), key=lambda state: (-state.utilisation, state.failure))
    return (normal, *(fullest if failures else fullest[:most_failures]))


def _check_patterns(option: str, patterns: Sequence[str], names: Sequence[str]) -> None:
    """Raise what matches nothing.

    Raises
    ------
    InputError
        when a pattern does not
    """
    findings = []
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            few = ", ".join(names[:6]) or "none: no goal asks for any"
            fix = f"* matches anything; there are {few}" + (" and more" if len(names) > 6 else "")
            findings.append(Finding(option, "one of the plan, or a pattern", repr(pattern)[:120], fix))
    if findings:
        raise InputError(findings)


def _times_of(failure: Failure, states: dict[tuple[str, float], State]) -> list[float]:
    """When a plan states what it does in a failure [s]."""
    if failure.id == NORMAL:
        return [0.0]
    of_plan = [deadline for name, deadline in states if name == failure.id]
    return sorted({*(round(deadline, 6) for deadline in failure.times_stated), *of_plan})


def _keep_fullest(by_failure: dict[str, SimulatedState], state: SimulatedState) -> None:
    """Keep of each failure the state whose slots are fullest, the first of the same."""
    before = by_failure.get(state.failure)
    if before is None or state.utilisation > before.utilisation + TOLERANCE:
        by_failure[state.failure] = state


def _queues(remaining: Remaining, state: State | None, latency: Latencies) -> tuple[Queue, ...]:
    """The placements that are sent anything in a state of a failure."""
    instance, in_failure = remaining.instance, remaining.failures[0].id != NORMAL
    traffic = remaining.fleet.base
    if state is not None and not state.same_as_normal:
        traffic, _, _ = stated(instance, state, in_failure)
    running = _running(remaining, state) if in_failure else remaining.fleet.replicas
    names, queues = list(instance.placements), []
    sent = traffic > TOLERANCE * traffic.sum()
    for e in np.flatnonzero(sent.any(axis=0) & (running >= 1)):
        _, profile = instance.made_of[e]
        streams = []
        for i in np.flatnonzero(sent[:, e]):
            streams.append(_stream(instance, int(i), int(e), float(traffic[i, e]), in_failure, latency))
        queues.append(Queue(names[e], int(running[e]), profile.concurrency_limit, tuple(streams)))
    return tuple(queues)


def _running(remaining: Remaining, state: State | None) -> Numbers:
    """Replicas that run in a state of a failure, as the plan states it: kept and cold-started [e]."""
    running: Numbers = remaining.survivors[0].copy()
    placements = remaining.instance.placements
    if state is None:
        return running
    kept = {placements[name]: replicas for name, replicas in state.kept.items() if name in placements}
    cold_started = {placements[name]: replicas for name, replicas in state.cold_started.items() if name in placements}
    for e, replicas in kept.items():
        running[e] = replicas
    for e, replicas in cold_started.items():
        running[e] += replicas
    return running


def _stream(instance: Instance, i: int, e: int, rate: float, in_failure: bool, latency: Latencies) -> Stream:
    workload_name, origin = list(instance.flows)[i]
    study = instance.study
    workload: Workload = named(study.workloads, workload_name)
    _, profile = instance.made_of[e]
    point = next(one for one in profile.classes if one.context_class == workload.context_class)
    cached = cached_after_a_move(study, workload) if in_failure else workload.cached_fraction
    reading, writing = _slot_seconds(workload, profile, point, cached)
    tier = instance.tier_of[i]
    high = point.first_token_ms if point.first_token_ms_high is None else point.first_token_ms_high
    return Stream(
        workload=workload_name,
        origin=origin,
        tier=tier.name,
        requests_per_second=rate * workload.burst_factor,
        reading_seconds=reading,
        writing_seconds=writing,
        inputs=_lengths(workload.input_tokens_quantiles),
        outputs=_lengths(workload.output_tokens_quantiles),
        round_trip_ms=latency[origin, study.sites[instance.site_of[e]].id],
        first_token_ms=point.first_token_ms,
        first_token_ms_high=high,
        target_ms=tier.first_token_ms,
    )


def _lengths(quantiles: tuple[Quantile, ...]) -> Lengths | None:
    """Quantiles as lengths are drawn from them."""
    if not quantiles:
        return None
    return Lengths(shares=tuple(q.percent / 100.0 for q in quantiles), values=tuple(q.tokens for q in quantiles))


def _slot_seconds(
    workload: Workload, profile: Profile, point: OperatingPoint, cached_fraction: float
) -> tuple[float, float]:
    """How long a request of mean lengths keeps a slot, reading and writing [s].

    A replica that is full ends one request every `input / prefill + output / decode` seconds, and has as many in flight
    as its limit says: each of them is there so many times as long.
    """
    reading = workload.mean_input_tokens * (1 - cached_fraction) / point.prefill_tokens_per_second
    writing = workload.mean_output_tokens / point.decode_tokens_per_second
    return profile.concurrency_limit * reading, profile.concurrency_limit * writing
