"""How Envoy AI Gateway fails over by itself: priorities of backends as Envoy treats them where nobody sets a factor.

Envoy Gateway makes of each backend a locality with one endpoint of weight 1, whose locality weight is the backend's
(envoyproxy/gateway, internal/xds/translator/cluster.go, 2026); Envoy AI Gateway sets its priority. What a backend has
capacity for is said nowhere, so spill follows how many backends live, not what they can take. That is why what takes
over is one priority and not several, shared out by the limits: a small placement alone in one would get all of it.
For the same reason a placement with a negligible share of normal operation takes over too: as the last to live of the
first priority it would get all that the priority keeps.
"""

from collections.abc import Collection

from planner.emit.routing import NEGLIGIBLE_FRACTION, WEIGHTS_ADD_UP_TO, Entry, Route, largest_remainder

OVERPROVISIONING_PERCENT = 140
"""Envoy's default: a priority keeps all requests until fewer than 5 of 7 endpoints live."""
PERCENT = 100


def backend_priorities(route: Route) -> tuple[tuple[tuple[Entry, int], ...], ...]:
    """Backends with their weights by priority: normal operation by its shares; then what takes over, by limits.

    What only the round trip of a failure reaches comes last where the nearer ones have room for all requests, else it
    stands beside them.
    """
    first = _needed(route)
    others = [x for x in route.entries if x not in first]
    near, far = ([x for x in others if x.beyond_normal_reach == beyond] for beyond in (False, True))
    if sum(x.limit_requests_per_second for x in near) < route.requests_per_second:
        near, far = near + far, []
    successors = [_weighted(group, [x.limit_requests_per_second for x in group]) for group in (near, far) if group]
    return (_weighted(first, [x.share_fraction for x in first]), *successors)


def backend_groups(route: Route) -> tuple[tuple[tuple[Entry, int], ...], ...]:
    """Backends with their weights by priority, of a set as well: the plan's own routes have one priority; where all is
    shed there is none; what a loss has left without room in its first level shares by limits."""
    if not route.levels:
        return ()
    if route.pushed:
        return (tuple((x, x.weight) for x in route.levels[0]),)
    if _is_limited(route):
        return (_weighted(list(route.entries), [x.limit_requests_per_second for x in route.entries]),)
    return backend_priorities(route)


def _is_limited(route: Route) -> bool:
    """Whether it is of a set that may refuse requests: a pushed one, or what a loss has left without room."""
    return route.pushed or sum(x.share_fraction for x in route.levels[0]) < 1 - NEGLIGIBLE_FRACTION


def let_through_fraction(route: Route) -> float:
    """What a gateway lets through of a route's peak: all but what the plan sheds, or what its placements have room for.

    Formula
        1 - shed_fraction of a pushed route, else min(1, Σ limit / requests_per_second)
    """
    if route.pushed:
        return 1 - route.shed_fraction
    return min(1.0, sum(x.limit_requests_per_second for x in route.entries) / route.requests_per_second)


def _weighted(entries: list[Entry], shares: list[float]) -> tuple[tuple[Entry, int], ...]:
    return tuple(zip(entries, largest_remainder(shares, WEIGHTS_ADD_UP_TO), strict=True))


def _needed(route: Route) -> list[Entry]:
    """Placements of normal operation without the smallest, as far as the others have room for what those serve."""
    kept = list(route.levels[0])
    for smallest in sorted(kept, key=lambda x: (x.share_fraction, x.placement)):
        others = [x for x in kept if x is not smallest]
        share = sum(x.share_fraction for x in others)
        if not share or any(
            x.share_fraction / share * route.requests_per_second > x.limit_requests_per_second for x in others
        ):
            break
        kept = others
    return kept


def envoy_ai_gateway(route: Route, alive: Collection[str], offered_requests_per_second: float) -> dict[str, float]:
    """Requests/s that each placement gets from Envoy AI Gateway [placement -> requests/s]; none lives: all is refused.

    Formula
        health of a priority = min(100, ⌊140 · living / all⌋) percent, of its backends
        normalised by the sum over priorities where that is below 100; each takes what the ones before it do not, in
        whole percents; what rounding leaves goes to the first that takes anything
        within a priority the living share by weight
        of a set that sheds no more comes than it lets through
    Units
        requests/s
    Source
        Envoy documentation, priority levels, 2026; held against Envoy by a test
    """
    priorities = backend_groups(route)
    if not priorities:
        return {}
    if _is_limited(route):
        most = let_through_fraction(route) * route.requests_per_second
        offered_requests_per_second = min(offered_requests_per_second, most)
    health = []
    for backends in priorities:
        living = sum(x.placement in alive for x, _ in backends)
        health.append(min(PERCENT, OVERPROVISIONING_PERCENT * living // len(backends)))
    available = min(PERCENT, sum(health))
    if not available:
        return {}
    got: dict[str, float] = {}
    for percent, backends in zip(_shares(health, available), priorities, strict=True):
        weights = sum(weight for x, weight in backends if x.placement in alive)
        for x, weight in backends:
            if percent and x.placement in alive:
                part = offered_requests_per_second * percent / PERCENT * weight / weights
                got[x.placement] = got.get(x.placement, 0.0) + part
    return got


def envoy_ai_gateway_while_finding(
    route: Route, alive: Collection[str], offered_requests_per_second: float
) -> dict[str, float]:
    """Requests/s that each placement gets from Envoy AI Gateway until it has found out which live.

    It sends as if all lived; what fails is tried again at the others of the same priority by their weights, and where
    none of them lives at the next.
    """
    sent = envoy_ai_gateway(route, {x.placement for x in route.entries}, offered_requests_per_second)
    got = {e: value for e, value in sent.items() if e in alive}
    failed = sum(sent.values()) - sum(got.values())
    for backends in backend_priorities(route):
        living = [(x, weight) for x, weight in backends if x.placement in alive]
        weights = sum(weight for _, weight in living)
        if living:
            for x, weight in living:
                got[x.placement] = got.get(x.placement, 0.0) + failed * weight / weights
            break
    return got


def _shares(health: list[int], available: int) -> list[int]:
    """Percent of the requests that each priority takes, of its health [percent]."""
    shares, remaining = [], PERCENT
    for value in health:
        shares.append(min(remaining, value * PERCENT // available))
        remaining -= shares[-1]
    first = next(i for i, share in enumerate(shares) if share)
    shares[first] += remaining
    return shares
