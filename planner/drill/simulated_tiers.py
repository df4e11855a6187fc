"""Queues of a state simulated, and what their tiers wait."""

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from planner.drill.instance import Numbers
from planner.drill.simulated import Queue, SimulatedState, Stream
from planner.drill.simulated_queue import Lengths, Routing, arrivals, waits
from planner.units import MS_PER_SECOND

Sample = NDArray[np.float32]
LEAST_PER_SLOT = 10
"""Requests of a placement that are simulated at the least, for each slot."""
FORGOTTEN, MOST_REQUESTS = 25, 1_000_000
"""How often a queue forgets what it was while it is simulated, at the least; requests beyond which that is not held."""
NOT_STEADY_FRACTION = 0.1
"""Of the requests of a queue the first ones, which do not count."""
FULL = 0.9501
"""Above it the least number of requests is not enough."""
BATCHES = 10
"""Parts of a queue's time that are compared: how far they differ says how far chance goes."""
STUDENT_95 = 2.262
"""Of 10 batches: so many standard errors hold 95 % of what chance does (Student's t, 9 degrees of freedom)."""
ALONE: tuple[Routing, ...] = ("round-robin", "random")
"""Replicas have nothing to do with each other: instead of all for a short time, a few are simulated for a long one."""
LEAST_ALONE = 4
"""So many of them at the least, where there are."""
PERCENTILES = (50, 95, 99)


@dataclass(frozen=True)
class Sampling:
    """How a state is simulated.

    Parameters
    ----------
    requests : of a state; a placement has its part of them
    least_requests : of a placement, and ten for each slot; more where slots are fuller than 0.95, as a queue forgets
        what it was within some `4 / (1 - utilisation)²` requests, however many slots it has
    seed : with the names of the queue it decides all that is drawn
    output : how lengths of outputs vary where the study does not say; inputs all have the mean length then
    arrivals_squared_variation : of the times between requests at a placement; 1: Poisson
    """

    requests: int = 1_000_000
    least_requests: int = 40_000
    seed: int = 1
    routing: Routing = "least-requests"
    output: Lengths = field(default_factory=Lengths)
    arrivals_squared_variation: float = 1.0


@dataclass(frozen=True)
class TierOfQueue:
    """What requests of a tier had at a placement.

    Parameters
    ----------
    waits_ms, first_tokens_ms : of each request that counts
    within, within_high : share within the target in each batch, with the first token as stated and at its high end;
        nothing where the tier has no target
    """

    requests_per_second: float
    waits_ms: Sample
    first_tokens_ms: Sample
    within: Numbers
    within_high: Numbers


@dataclass(frozen=True)
class SimulatedTier:
    """How long requests of a tier wait in a state, simulated: estimates.

    Parameters
    ----------
    routing : how requests are spread over the replicas of each placement
    requests_per_second : that are served, at the peak of the hour
    utilisation : share of the slots that are busy where they are sent, on the mean of the requests
    target_ms : of the first token; none: the tier has none
    within_fraction, within_high_fraction : share whose first token (round trip, wait and prefill) is within the target,
        prefill as stated and at the high end of its estimate
    error_fraction : by so much chance may have moved both, 95 of 100 times
    wait_ms, first_token_ms : percentile -> [ms]
    worst_placement, worst_utilisation, worst_within_fraction : the placement with the least share within the target
    requests : that were simulated and count
    """

    hour: str
    failure: str
    deadline_seconds: float
    tier: str
    routing: Routing
    requests_per_second: float
    utilisation: float
    target_ms: float | None
    within_fraction: float | None
    within_high_fraction: float | None
    error_fraction: float | None
    wait_ms: dict[int, float]
    first_token_ms: dict[int, float]
    worst_placement: str | None
    worst_utilisation: float | None
    worst_within_fraction: float | None
    requests: int


def simulated_queue(queue: Queue, part: float, key: str, sampling: Sampling) -> dict[str, TierOfQueue]:
    """What each tier had at a placement.

    Parameters
    ----------
    part : of the requests of its state that it gets
    key : of the state; with the placement and the seed it decides what is drawn
    """
    random = np.random.default_rng([sampling.seed, zlib.crc32(f"{key}\n{queue.placement}".encode())])
    forgets = min(FORGOTTEN * 4.0 / max(1.0 - queue.utilisation, 1e-3) ** 2, MOST_REQUESTS)
    least = max(sampling.least_requests, round(forgets) if queue.utilisation > FULL else 0)
    n, replicas = max(round(sampling.requests * part), least), queue.replicas
    if sampling.routing in ALONE:
        n = max(n, LEAST_ALONE * least)
        replicas = min(replicas, n // least)
    n = max(n, LEAST_PER_SLOT * replicas * queue.slots_per_replica)
    rates = np.array([stream.requests_per_second for stream in queue.streams])
    at = arrivals(random, n, float(rates.sum()) * replicas / queue.replicas, sampling.arrivals_squared_variation)
    of_stream = random.choice(len(rates), n, p=rates / rates.sum())
    seconds = _seconds(random, queue.streams, of_stream, sampling.output)
    waited = waits(random, at, seconds, replicas, queue.slots_per_replica, sampling.routing)
    counts = np.arange(n) >= round(NOT_STEADY_FRACTION * n)
    return _by_tier(queue, of_stream[counts], MS_PER_SECOND * waited[counts])


def _seconds(
    random: np.random.Generator, streams: Sequence[Stream], of_stream: NDArray[np.int64], otherwise: Lengths
) -> Numbers:
    """How long each request keeps its slot [s].

    Parameters
    ----------
    of_stream : the number of each request's stream
    otherwise : how outputs vary where the study does not say
    """
    reading = np.array([stream.reading_seconds for stream in streams])[of_stream]
    writing = np.array([stream.writing_seconds for stream in streams])[of_stream]
    outputs = otherwise.drawn(random, len(of_stream))
    for number, stream in enumerate(streams):
        mine = np.flatnonzero(of_stream == number)
        if stream.inputs is not None:
            reading[mine] *= stream.inputs.drawn(random, len(mine))
        if stream.outputs is not None:
            outputs[mine] = stream.outputs.drawn(random, len(mine))
    return np.asarray(reading + writing * outputs, dtype=np.float64)


def _by_tier(queue: Queue, of_stream: NDArray[np.int64], waited_ms: Numbers) -> dict[str, TierOfQueue]:
    """Waits and first tokens of the requests of each tier, in the order in which they arrived."""
    tiers = list(dict.fromkeys(stream.tier for stream in queue.streams))
    columns = [(s.round_trip_ms, s.first_token_ms, s.first_token_ms_high) for s in queue.streams]
    round_trip, first, high = np.array(columns)[of_stream].T
    tier_of = np.array([tiers.index(stream.tier) for stream in queue.streams])[of_stream]
    batch = np.arange(len(waited_ms)) * BATCHES // len(waited_ms)
    answer = {}
    for number, tier in enumerate(tiers):
        mine, streams = tier_of == number, [stream for stream in queue.streams if stream.tier == tier]
        first_token = (round_trip + waited_ms + first)[mine]
        at_high = (round_trip + waited_ms + high)[mine]
        target = streams[0].target_ms
        answer[tier] = TierOfQueue(
            requests_per_second=sum(stream.requests_per_second for stream in streams),
            waits_ms=waited_ms[mine].astype(np.float32),
            first_tokens_ms=first_token.astype(np.float32),
            within=_of_batches(first_token, batch[mine], target),
            within_high=_of_batches(at_high, batch[mine], target),
        )
    return answer


def _of_batches(first_token_ms: Numbers, batch: NDArray[np.int64], target_ms: float | None) -> Numbers:
    """Share within a target, of each batch that has any request."""
    if target_ms is None:
        return np.zeros(0)
    requests = np.bincount(batch, minlength=BATCHES)
    within = np.bincount(batch, first_token_ms <= target_ms, minlength=BATCHES)
    return np.asarray(within[requests > 0] / requests[requests > 0], dtype=np.float64)


def simulated_tiers(
    state: SimulatedState, routing: Routing, answers: Sequence[dict[str, TierOfQueue]]
) -> list[SimulatedTier]:
    """What each tier waits in a state, over all its placements, each by the requests that are sent to it."""
    target_of = {stream.tier: stream.target_ms for queue in state.queues for stream in queue.streams}
    return [_tier(state, routing, answers, tier, target_of[tier]) for tier in sorted(target_of)]


def _tier(
    state: SimulatedState,
    routing: Routing,
    answers: Sequence[dict[str, TierOfQueue]],
    tier: str,
    target_ms: float | None,
) -> SimulatedTier:
    queues = [(queue, answer[tier]) for queue, answer in zip(state.queues, answers, strict=True) if tier in answer]
    rates = np.array([of.requests_per_second for _, of in queues])
    parts = rates / rates.sum()
    weights = [
        np.full(len(of.waits_ms), part / max(len(of.waits_ms), 1)) for part, (_, of) in zip(parts, queues, strict=True)
    ]
    weight = np.concatenate(weights)
    within = within_high = error = None
    worst: tuple[str | None, float | None, float | None] = (None, None, None)
    if target_ms is not None:
        shares = np.array([of.within.mean() for _, of in queues])
        within = round(float(parts @ shares), 6)
        within_high = round(float(parts @ [of.within_high.mean() for _, of in queues]), 6)
        error = round(_error(parts, [of.within for _, of in queues]), 6)
        least = int(np.argmin(shares))
        worst = queues[least][0].placement, round(queues[least][0].utilisation, 6), round(float(shares[least]), 6)
    return SimulatedTier(
        hour=state.hour,
        failure=state.failure,
        deadline_seconds=state.deadline_seconds,
        tier=tier,
        routing=routing,
        requests_per_second=round(float(rates.sum()), 6),
        utilisation=round(float(parts @ [queue.utilisation for queue, _ in queues]), 6),
        target_ms=target_ms,
        within_fraction=within,
        within_high_fraction=within_high,
        error_fraction=error,
        wait_ms=_percentiles(np.concatenate([of.waits_ms for _, of in queues]), weight),
        first_token_ms=_percentiles(np.concatenate([of.first_tokens_ms for _, of in queues]), weight),
        worst_placement=worst[0],
        worst_utilisation=worst[1],
        worst_within_fraction=worst[2],
        requests=len(weight),
    )


def _error(parts: Numbers, batches: Sequence[Numbers]) -> float:
    """By how much chance may have moved a share, 95 of 100 times: from how far batches of each queue differ."""
    variance = 0.0
    for part, of in zip(parts, batches, strict=True):
        if len(of) > 1:
            variance += float(part) ** 2 * float(of.var(ddof=1)) / len(of)
    return STUDENT_95 * math.sqrt(variance)


def _percentiles(values: Sample, weight: Numbers) -> dict[int, float]:
    """Percentile -> the least value that so many of a hundred do not exceed [ms]."""
    order = np.argsort(values, kind="stable")
    up_to = np.cumsum(weight[order])
    answer = {}
    for percentile in PERCENTILES:
        place = min(int(np.searchsorted(up_to, percentile / 100 * up_to[-1])), len(values) - 1)
        answer[percentile] = round(float(values[order[place]]), 3)
    return answer
