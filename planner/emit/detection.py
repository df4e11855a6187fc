"""From the study's detection time to the settings of gateways, and the seconds after which each fault is out.

A fault is out when the gateway sends no further request to the placement. The plan counts on that by
`detection_seconds` (D below). Every time that a gateway waits is a share of D, so that the worst case of each fault is
within D; below a stated floor, or where a healthy placement may take longer to say its first token than D leaves, the
gateway is later, and how much later is said.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from planner.emit.fleet import placed
from planner.emit.routing import Entry, Route, Table
from planner.study.records.serving import Profile
from planner.study.records.study import Study, Workload
from planner.units import MS_PER_SECOND

ENVOY = "envoy"
LITELLM = "litellm"
ENVOY_AI_GATEWAY = "envoy-ai-gateway"
ENVOY_AI_GATEWAY_ACTIVE = "envoy-ai-gateway with active checks"

WAIT_FRACTION = 0.5
"""Of D: how long a stream may say nothing; the other half is for the requests that have to fail before it counts."""
STEP_FRACTION = 0.2
"""Of D: interval and timeout of Envoy's health checks, and interval in which it counts failures."""
PROBE_FRACTION = 0.25
"""Of D: how long LiteLLM waits for the answer to a probe."""
CYCLE_FRACTION = 0.9
"""Of D: what LiteLLM's interval and two probes take together."""
LEAST_STEP_SECONDS = 0.2
"""Shortest interval of Envoy's checks: below it a check is shorter than a round trip around the world."""
LEAST_PROBE_SECONDS = 0.5
LEAST_INTERVAL_SECONDS = 1
"""LiteLLM's interval is a whole number of seconds (`_run_background_health_check` of litellm 1.106.2)."""
CHECKS_BEFORE_OUT = 2
FAILS_BEFORE_OUT = 3
"""Consecutive failures after which Envoy ejects."""
FAILURE_PERCENT = 30
"""Envoy ejects beyond this share of failures. A stream that is cut counts twice, as a 200 and as a failure: all of them
cut are 50 %, which is why the threshold is below that."""
COUNTED_REQUESTS = 5
"""Results in an interval below which Envoy does not judge the share."""
TOLERATED_FRACTION = 0.1
"""Of D: as many failures as requests come in that time are tolerated by LiteLLM, at least one."""
LEAST_WAIT_SECONDS = 10.0
"""What a workload without a target for the first token, and an answer that is not streamed, is given at least."""
FIRST_TOKEN_TIMES = 5.0
ANSWER_TIMES = 3.0
"""An answer that is not streamed says nothing until it is whole: no less than so many times a mean answer is waited."""

REFUSED, SILENT, ERRORS, FULL = "refuses connections", "accepts, never answers", "answers 5xx", "answers 429"
SLOW, CUT, PAUSED = "says nothing, health checks pass", "cut after 200", "pauses within an answer"
LOSSES = (REFUSED, SILENT)
"""The faults that a lost component shows."""


# ------------------------------------------------------------------ what a healthy placement may take
def first_token_limit_seconds(study: Study, workload: Workload, profiles: Iterable[Profile]) -> float:
    """The latest at which a healthy placement begins to answer, as the gateway sees it [s].

    Formula
        first_token_ms + round_trip_ms_in_failure of the tier;
        without a target: max(10, 5 · slowest time to first token of the profiles)
    """
    tier = study.tier_by_name[workload.tier]
    if tier.first_token_ms is not None:
        round_trip_ms = tier.round_trip_ms_in_failure or tier.round_trip_ms or 0.0
        return (tier.first_token_ms + round_trip_ms) / MS_PER_SECOND
    slowest_ms = max((point.first_token_ms for profile in profiles for point in profile.classes), default=0.0)
    return max(LEAST_WAIT_SECONDS, FIRST_TOKEN_TIMES * slowest_ms / MS_PER_SECOND)


def stream_wait_seconds(study: Study, workload: Workload, profiles: Iterable[Profile]) -> float:
    """How long a streamed answer may say nothing, before its first token and between two [s].

    Formula
        max(first-token limit, D / 2)
    """
    return max(first_token_limit_seconds(study, workload, profiles), WAIT_FRACTION * study.detection_seconds)


def whole_wait_seconds(study: Study, workload: Workload, profiles: Iterable[Profile]) -> float:
    """How long an answer that is not streamed may take [s].

    Formula
        max(10, stream wait, 5 · slowest time to first token, 3 · slowest mean answer)
    """
    profiles = tuple(profiles)
    wait = max(LEAST_WAIT_SECONDS, stream_wait_seconds(study, workload, profiles))
    for point in (point for profile in profiles for point in profile.classes):
        wait = max(wait, FIRST_TOKEN_TIMES * point.first_token_ms / MS_PER_SECOND)
        if point.context_class == workload.context_class:
            answer_ms = point.first_token_ms + workload.mean_output_tokens * point.per_token_ms
            wait = max(wait, ANSWER_TIMES * answer_ms / MS_PER_SECOND)
    return wait


# ------------------------------------------------------------------ Envoy
def step_seconds(detection_seconds: float) -> float:
    """Interval and timeout of Envoy's health checks, and the interval in which it counts failures [s].

    A placement that falls silent right after a check was answered is checked again one interval later, for one timeout;
    it is out after the second failing check: 2 · (interval + timeout) = 4/5 D. Failures that begin in the middle of an
    interval may be too few in it; they are judged at the end of the next: 2 intervals = 2/5 D.

    Examples
    --------
    >>> step_seconds(10.0), step_seconds(0.5)
    (2.0, 0.2)
    """
    return max(LEAST_STEP_SECONDS, STEP_FRACTION * detection_seconds)


def envoy_seconds(detection_seconds: float, stream_wait: float, whole_wait: float) -> dict[str, tuple[float, float]]:
    """Fault -> seconds after which it is out, for streamed answers and for others [s]; with requests that come.

    Formula, with step = max(0.2, D/5)
        refused, silent: 2 · (step + step), by health checks; with traffic, refused is out at once
        5xx: step, in which three requests have to come
        says nothing: wait + step
        cut: 2 · step; paused: wait + 2 · step
        429: 0, for it is tried elsewhere, and never ejects
    """
    step = step_seconds(detection_seconds)
    by_checks = CHECKS_BEFORE_OUT * (step + step)
    return {
        REFUSED: (by_checks, by_checks),
        SILENT: (by_checks, by_checks),
        ERRORS: (step, step),
        FULL: (0.0, 0.0),
        SLOW: (stream_wait + step, whole_wait + step),
        CUT: (2 * step, 2 * step),
        PAUSED: (stream_wait + 2 * step, whole_wait + 2 * step),
    }


def envoy_ai_gateway_seconds(
    detection_seconds: float, stream_wait: float, whole_wait: float
) -> dict[str, tuple[float, float]]:
    """Fault -> seconds after which Envoy AI Gateway has it out; it judges by requests alone, that have to come [s].

    Formula, with step = max(0.2, D/5), in which three requests have to come
        refused, 5xx: step
        silent, says nothing: wait + step, the wait of answers that are not streamed: its API has one for both
        cut, paused: never; each 200 begins the count anew, and its API sets no share of failures
        429: 0, for it is tried elsewhere, and never ejects
    """
    step = step_seconds(detection_seconds)
    silent = (whole_wait + step, whole_wait + step)
    return {REFUSED: (step, step), SILENT: silent, ERRORS: (step, step), FULL: (0.0, 0.0), SLOW: silent}


def envoy_ai_gateway_active_seconds(
    detection_seconds: float, stream_wait: float, whole_wait: float
) -> dict[str, tuple[float, float]]:
    """The same with active checks and the patch that goes with them [s]: as Envoy, but all answers have one wait, and a
    stream that pauses is never out: nothing of the API's bounds it in a way that counts."""
    seconds = envoy_seconds(detection_seconds, whole_wait, whole_wait)
    return {fault: pair for fault, pair in seconds.items() if fault != PAUSED}


# ------------------------------------------------------------------ LiteLLM
def probe_seconds(detection_seconds: float) -> float:
    """How long LiteLLM waits for a probe, a request of a few tokens [s]: max(0.5, D/4)."""
    return max(LEAST_PROBE_SECONDS, PROBE_FRACTION * detection_seconds)


def probe_interval_seconds(detection_seconds: float) -> int:
    """Pause between two rounds of probes, whole seconds.

    A round ends when its slowest probe does. A placement that falls silent just after its own was answered is probed
    again when the round has ended, which takes a probe's time, and the pause is over; it is out a probe's time later:
    interval + 2 · probe, which is 0.9 D at most.

    Examples
    --------
    >>> probe_interval_seconds(10.0), probe_interval_seconds(2.0), probe_interval_seconds(1.0)
    (4, 1, 1)
    """
    pause = CYCLE_FRACTION * detection_seconds - 2 * probe_seconds(detection_seconds)
    return max(LEAST_INTERVAL_SECONDS, math.floor(pause))


def allowed_fails(detection_seconds: float, requests_per_second: float) -> int:
    """Failures within a cooldown that LiteLLM tolerates of a deployment: those of a tenth of D, at least one.

    It counts failures, not their share: a fixed number would put a large placement out for a few failures in a hundred
    thousand requests. When all requests fail, one more than these have come after a tenth of D.

    Examples
    --------
    >>> allowed_fails(10.0, 300.0), allowed_fails(10.0, 0.2)
    (300, 1)
    """
    return max(1, math.floor(round(TOLERATED_FRACTION * detection_seconds * requests_per_second, 9)))


def litellm_seconds(detection_seconds: float, stream_wait: float, whole_wait: float) -> dict[str, tuple[float, float]]:
    """Fault -> seconds after which it is out, for streamed answers and for others [s]; with requests that come.

    Formula, with step = max(0.2, D/5) in which the failures that are tolerated, and one more, have to come
        refused, 5xx: step
        silent, says nothing: the sooner of wait + step, and the proxy's probes: interval + 2 · probe
        429: 0, for it is tried elsewhere, and never cools down
        cut, paused, streamed: never. Once an answer has begun its failure is an `APIConnectionError`, which no setting
        counts (`_is_cooldown_required` of litellm 1.106.2). Not streamed: as 5xx, and as silent
    """
    step = step_seconds(detection_seconds)
    probed = probe_interval_seconds(detection_seconds) + 2 * probe_seconds(detection_seconds)
    silent = (min(stream_wait + step, probed), min(whole_wait + step, probed))
    return {
        REFUSED: (step, step),
        SILENT: silent,
        ERRORS: (step, step),
        FULL: (0.0, 0.0),
        SLOW: silent,
        CUT: (math.inf, step),
        PAUSED: (math.inf, silent[1]),
    }


SECONDS = {
    ENVOY: envoy_seconds,
    LITELLM: litellm_seconds,
    ENVOY_AI_GATEWAY: envoy_ai_gateway_seconds,
    ENVOY_AI_GATEWAY_ACTIVE: envoy_ai_gateway_active_seconds,
}


# ------------------------------------------------------------------ a plan's routes
@dataclass(frozen=True)
class Detection:
    """How soon a gateway has a fault out, at the slowest of a plan's routes.

    Parameters
    ----------
    streamed_seconds, whole_seconds : from the fault's begin until no request is sent there, for answers that are
        streamed and for others
    planned_seconds : the study's `detection_seconds`
    workload : the slowest
    """

    fault: str
    streamed_seconds: float
    whole_seconds: float
    planned_seconds: float
    workload: str

    @property
    def later_seconds(self) -> float:
        """By how much it is later than the plan counts on [s]; zero: in time."""
        return max(0.0, max(self.streamed_seconds, self.whole_seconds) - self.planned_seconds)


def waits(study: Study, route: Route) -> tuple[float, float]:
    """How long an answer of a route may say nothing, streamed and not [s]: at the slowest placement that it, or a set
    in its place, sends to. Routes of Envoy stay as they are when a set is pushed."""
    return waits_of(study, route, {e: profile for e, (_, profile, _) in placed(study).items()})


def waits_of(study: Study, route: Route, profile_of: Mapping[str, Profile]) -> tuple[float, float]:
    """The same, of profiles that are at hand: placement -> profile."""
    profiles = [profile_of[e] for e in route.placements]
    workload = study.workload_by_name[route.workload]
    return stream_wait_seconds(study, workload, profiles), whole_wait_seconds(study, workload, profiles)


def detections_of_route(study: Study, route: Route, gateway: str) -> tuple[Detection, ...]:
    """How soon each fault of a placement of a route is out."""
    detection = study.detection_seconds
    seconds = SECONDS[gateway](detection, *waits(study, route))
    return tuple(Detection(fault, *pair, detection, route.workload) for fault, pair in seconds.items())


def detections(study: Study, table: Table, gateway: str) -> tuple[Detection, ...]:
    """How soon each fault is out at the slowest route of all whose tier has a survival goal, or of all."""
    goals = {w.name for w in study.workloads if study.tier_by_name[w.tier].survive}
    routes = [route for route in table.routes if route.workload in goals] or list(table.routes)
    slowest: dict[str, Detection] = {}
    for route in routes:
        for x in detections_of_route(study, route, gateway):
            other = slowest.get(x.fault)
            if other is None or _latest(x) > _latest(other):
                slowest[x.fault] = x
    return tuple(slowest.values())


def _latest(x: Detection) -> tuple[float, float]:
    return max(x.streamed_seconds, x.whole_seconds), x.streamed_seconds


def loss_seconds(study: Study, route: Route, gateway: str) -> float:
    """When a lost placement is out of a route at the latest [s]."""
    of_losses = [x for x in detections_of_route(study, route, gateway) if x.fault in LOSSES]
    return max(max(x.streamed_seconds, x.whole_seconds) for x in of_losses)


def expected_requests_per_second(route: Route, entry: Entry) -> float:
    """What an entry is sent when its level is in use [requests/s]: its share, of level 1; its limit, of the others."""
    if route.levels and entry in route.levels[0]:
        return entry.share_fraction * route.requests_per_second
    return entry.limit_requests_per_second
