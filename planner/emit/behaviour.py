"""How each gateway fails over by itself: what the static file does when some placements do not answer.

Each behaviour takes a route, the ids that live and the requests offered, and says what each placement then gets.
Both are held against the programs themselves by tests. How the requests of a placement get to its replicas is not:
of what is emitted for that no controller and no picker was run; it is said with its source.
"""

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache

from planner.emit.detection import ENVOY_AI_GATEWAY, ENVOY_AI_GATEWAY_ACTIVE
from planner.emit.routing import Entry, Route
from planner.emit.spill import envoy_ai_gateway, envoy_ai_gateway_while_finding
from planner.study.waiting import Spread

NOTHING = 1e-9
SCALE = 100_000
"""Whole endpoint weights in Envoy: so many are the peak demand of the route."""
PERCENT = 100
PADDED_TIMES = 100
"""Envoy leaves a name that does not resolve out of the sum, and would count the others as that much healthier: they
would get what is beyond their limits. Against so many times the sum in weight that never lives it is 1 % of it."""
LARGEST_WEIGHT = 1 << 31
"""Sum of the weights of a priority; Envoy takes no more than twice as much."""
MOST_TIMES_SHED = 10_000
"""A pushed route is shed no more than so many times what is served: whole weights have an end."""

Behaviour = Callable[[Route, Collection[str], float], dict[str, float]]


def litellm(route: Route, alive: Collection[str], offered_requests_per_second: float) -> dict[str, float]:
    """Requests/s that each placement gets from LiteLLM's Router [placement -> requests/s]; what is missing is refused.

    Among the deployments that are neither cooling down nor at their `rpm`, those of the lowest `order` share by
    `weight`. One that reaches its `rpm` leaves the choice until the minute ends, so the rest flows on: to the others
    of the level, then to the next. Requests beyond all limits are refused with 429.
    """
    got: dict[str, float] = {}
    remaining = offered_requests_per_second
    for level in route.levels:
        open_ = [x for x in level if x.placement in alive]
        while remaining > NOTHING and open_:
            weights = sum(x.weight for x in open_)
            # the first to fill up decides how far all of the level go in their proportion
            until = min((x.limit_requests_per_second - got.get(x.placement, 0.0)) * weights / x.weight for x in open_)
            step = min(remaining, max(0.0, until))
            for x in open_:
                got[x.placement] = got.get(x.placement, 0.0) + step * x.weight / weights
            remaining -= step
            open_ = [x for x in open_ if x.limit_requests_per_second - got[x.placement] > NOTHING * weights]
    return got


# ------------------------------------------------------------------ Envoy
@dataclass(frozen=True)
class Host:
    """An endpoint in a priority: its share of the priority's requests, and what it adds to the priority's health."""

    entry: Entry
    locality_weight: int
    health_weight: int


@dataclass(frozen=True)
class Priority:
    """A priority of an Envoy cluster.

    Parameters
    ----------
    padding : weight of an endpoint that never lives
    refused : weight of our own refusal in it, to its locality and its health
    """

    hosts: tuple[Host, ...]
    padding: int
    refused: int = 0


@dataclass(frozen=True)
class Priorities:
    """All priorities of a route, the refusal behind them not included."""

    overprovisioning_factor: int
    priorities: tuple[Priority, ...]


@lru_cache(maxsize=4096)
def envoy_priorities(route: Route) -> Priorities:
    """The priorities that make Envoy spill exactly what overflows.

    Envoy gives a priority at most its health: `overprovisioning factor · living weight / weight` percent of the
    requests. With endpoint weights in proportion to limits, and factor = 100 · capacity / peak, that is the living
    capacity as a share of the peak. The factor is one for all priorities, so each is padded, with an endpoint that
    never lives, to the capacity of the largest, and to many times that: names that do not resolve then change nothing.

    Within level 1 the shares are those of normal operation. It can grow in that proportion until the first placement
    is full; what capacity the others then have follows as a priority of its own, before level 2.
    """
    if route.pushed:
        return _pushed_priorities(route)
    peak = route.requests_per_second
    growth = min(
        (x.limit_requests_per_second / (x.share_fraction * peak) for x in route.levels[0] if x.share_fraction > 0),
        default=1.0,
    )
    growth = max(1.0, growth)
    first, rest = [], []
    for x in route.levels[0]:
        capacity = growth * x.share_fraction * peak
        first.append((x, x.weight, capacity))
        further = _weight(x.limit_requests_per_second - capacity, peak)
        if further * PERCENT >= SCALE:
            rest.append((x, further, x.limit_requests_per_second - capacity))
    levels = [first, rest]
    for level in route.levels[1:]:
        limits = [(x, x.limit_requests_per_second) for x in level]
        levels.append([(x, _weight(limit, peak), limit) for x, limit in limits])
    hosts = [
        tuple(Host(x, weight, max(1, _weight(capacity, peak))) for x, weight, capacity in level)
        for level in levels
        if level
    ]
    sums = [sum(host.health_weight for host in level) for level in hosts]
    factor = -(-PERCENT * max(SCALE, *sums) // SCALE)
    factor *= _padded_times(factor * SCALE // PERCENT)
    padded = factor * SCALE // PERCENT
    priorities = tuple(Priority(level, padded - weights) for level, weights in zip(hosts, sums, strict=True))
    return Priorities(factor, priorities)


def _pushed_priorities(route: Route) -> Priorities:
    """One priority that takes everything while all of it lives, what is shed in the proportion of the others.

    Weights are shares, to 1 in 10,000, not whole percents. When a placement dies, the priority is as much less healthy
    as its share: what it took is refused, and nobody else gets more than its limit.
    """
    hosts = tuple(Host(x, x.weight, x.weight) for level in route.levels for x in level)
    if not hosts:
        return Priorities(PERCENT, ())  # all is shed: the refusal alone
    served = max(1 - route.shed_fraction, 1 / MOST_TIMES_SHED)
    refused = round(sum(x.locality_weight for x in hosts) * route.shed_fraction / served)
    weights = sum(x.health_weight for x in hosts) + refused
    times = _padded_times(weights)
    return Priorities(times * PERCENT, (Priority(hosts, (times - 1) * weights, refused),))


def _padded_times(weights: int) -> int:
    """How often the weights of a priority can be padded with themselves."""
    return max(1, min(PADDED_TIMES, LARGEST_WEIGHT // weights))


def _weight(requests_per_second: float, peak: float) -> int:
    return max(0, round(SCALE * requests_per_second / peak))


def envoy(route: Route, alive: Collection[str], offered_requests_per_second: float) -> dict[str, float]:
    """Requests/s that each placement gets from Envoy [placement -> requests/s]; what is missing is refused.

    Shares follow health alone, never the rate: a surge beyond the peak fills every placement beyond its limit.
    Health is a whole number of percent, rounded down.
    """
    made = envoy_priorities(route)
    remaining, got = PERCENT, dict[str, float]()
    for priority in made.priorities:
        living = [host for host in priority.hosts if host.entry.placement in alive]
        full = sum(host.health_weight for host in priority.hosts) + priority.padding + priority.refused
        healthy = sum(host.health_weight for host in living) + priority.refused
        percent = min(remaining, PERCENT, made.overprovisioning_factor * healthy // full)
        remaining -= percent
        weights = sum(host.locality_weight for host in living) + priority.refused
        for host in living:
            part = offered_requests_per_second * percent / PERCENT * host.locality_weight / weights
            if part > 0:
                got[host.entry.placement] = got.get(host.entry.placement, 0.0) + part
    return got


def envoy_while_finding(route: Route, alive: Collection[str], offered_requests_per_second: float) -> dict[str, float]:
    """Requests/s that each placement gets from Envoy until it has found out which live [placement -> requests/s].

    It sends as if all lived. What fails is tried again at the others of the same level by their weights, whatever
    their limits are, and where none of them lives at the next level; retries are no more than their budget.
    """
    sent = envoy(route, {x.placement for x in route.entries}, offered_requests_per_second)
    got = {e: value for e, value in sent.items() if e in alive}
    failed = sum(sent.values()) - sum(got.values())
    retried = min(failed, retry_percent(route) / PERCENT * offered_requests_per_second)
    for level in route.levels:
        living = [x for x in level if x.placement in alive]
        weights = sum(x.weight for x in living)
        if living:
            for x in living:
                got[x.placement] = got.get(x.placement, 0.0) + retried * x.weight / weights
            break
    return got


def litellm_while_finding(route: Route, alive: Collection[str], offered_requests_per_second: float) -> dict[str, float]:
    """The same from LiteLLM: a request that is tried again counts in the `rpm` of where it goes, so limits hold."""
    return litellm(route, alive, offered_requests_per_second)


def retry_percent(route: Route) -> int:
    """Most of the requests in flight that may be retries [percent]: the headroom that is kept for failures, and no less
    than what fails when the placement with the largest share does.

    Formula
        100 · max(Σ limit / peak - 1, largest share of level 1), 100 at most
    """
    limits = sum(x.limit_requests_per_second for x in route.entries)
    headroom = limits / route.requests_per_second - 1
    largest = max((x.share_fraction for level in route.levels[:1] for x in level), default=0.0)
    return min(PERCENT, math.ceil(round(PERCENT * max(headroom, largest), 6)))


WHILE_FINDING: Mapping[str, Behaviour] = {
    "litellm": litellm_while_finding,
    "envoy": envoy_while_finding,
    ENVOY_AI_GATEWAY: envoy_ai_gateway_while_finding,
    ENVOY_AI_GATEWAY_ACTIVE: envoy_ai_gateway_while_finding,
}
BEHAVIOURS: Mapping[str, Behaviour] = {"litellm": litellm, "envoy": envoy}
"""Gateways that a review compares."""
EVERY_BEHAVIOUR: Mapping[str, Behaviour] = {
    **BEHAVIOURS,
    ENVOY_AI_GATEWAY: envoy_ai_gateway,
    ENVOY_AI_GATEWAY_ACTIVE: envoy_ai_gateway,
}


# ------------------------------------------------------------------ inside a placement
@dataclass(frozen=True)
class Inside:
    """How the requests of a placement get to its replicas, by what a target emits.

    Parameters
    ----------
    spread : what it surely keeps to; none: what stands behind the placement's address decides
    how : what it does, in words
    source : what says so
    """

    spread: Spread | None
    how: str
    source: str


INFERENCE_EXTENSION = "inference-extension"
INFERENCE_EXTENSION_OWN = "inference-extension, pickers as they come"
INFERENCE_EXTENSION_NOT_SET = "inference-extension, pickers not set"
BEHIND_ITS_ADDRESS = "what stands behind its one address chooses the replica"
INSIDE: Mapping[str, Inside] = {
    "kubernetes": Inside(
        "each",
        "a Service takes a pod at random for each connection, however many requests it has; connections are kept",
        "Kubernetes, Virtual IPs and Service Proxies (kube-proxy), 2026",
    ),
    INFERENCE_EXTENSION: Inside(
        "least-requests",
        "the endpoint picker of each pool takes the pod with the fewest requests in flight, which it counts itself",
        "llm-d/llm-d-router, active-request-scorer and max-score-picker, 2026",
    ),
    INFERENCE_EXTENSION_OWN: Inside(
        "each",
        "the endpoint picker of each pool goes by requests that wait, memory and prefix caches, 2 : 2 : 3, as last read"
        " off the pods; a cache may count for more than a queue",
        "llm-d/llm-d-router, pkg/epp/config/loader/defaults.go, 2026",
    ),
    INFERENCE_EXTENSION_NOT_SET: Inside(
        None,
        "an endpoint picker of your own chooses the replica, for `picker_image` is not set",
        "the emitted file: each pool refers to a Service of the picker",
    ),
    "litellm": Inside(None, BEHIND_ITS_ADDRESS, "the emitted file: a deployment a placement, chosen by weight"),
    "envoy": Inside(None, BEHIND_ITS_ADDRESS, "the emitted file: an endpoint a placement, chosen by weight"),
    ENVOY_AI_GATEWAY: Inside(None, BEHIND_ITS_ADDRESS, "the emitted file: a Backend a placement, chosen by weight"),
}
"""Target, or how it is set -> what it does; targets that lead no requests are not in it."""
