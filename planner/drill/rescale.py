"""Rescale: gateways renormalise their weights over what remains, and nothing starts. All failures at once."""

from dataclasses import dataclass

import numpy as np

from planner.drill.failures import Failure
from planner.drill.instance import Indices, Numbers
from planner.drill.remaining import Remaining

SERVED_BY = ("warm", "reclaimed", "cold_start", "launched")
WARM, RECLAIMED, COLD_START, LAUNCHED = range(4)


@dataclass(frozen=True)
class Routes:
    """Edges with traffic in normal operation, k counts them."""

    flow: Indices
    placement: Indices
    sent: Numbers
    """requests/s"""
    flows: int
    placements: int

    def by_flow(self, rates: Numbers) -> Numbers:
        """Sums of each flow [f, i] of rates on edges [f, k]."""
        return _sums(rates, self.flow, self.flows)

    def by_placement(self, rates: Numbers) -> Numbers:
        """Sums of each placement [f, e] of rates on edges [f, k]."""
        return _sums(rates, self.placement, self.placements)


def _sums(rates: Numbers, group: Indices, groups: int) -> Numbers:
    """Sums by group [f, g] of [f, k]; products with a matrix of 0 and 1 wait for threads on a busy machine."""
    failures = len(rates)
    cell = np.arange(failures)[:, None] * groups + group
    sums = np.bincount(cell.ravel(), weights=rates.ravel(), minlength=failures * groups)
    return sums.reshape(failures, groups).astype(np.float64)


def routes_of(base: Numbers) -> Routes:
    """The edges that carry something."""
    flow, placement = np.nonzero(base)
    return Routes(flow, placement, base[flow, placement], *base.shape)


def all_warm(rates: Numbers, reclaimed: Numbers | float = 0.0) -> Numbers:
    """Requests/s by what serves them [4, ...]: replicas that ran all along, but for what reclaimed machines serve."""
    served_by = np.zeros((len(SERVED_BY), *rates.shape))
    served_by[WARM], served_by[RECLAIMED] = rates - reclaimed, reclaimed
    return served_by


def carried(routes: Routes, sent: Numbers, seconds: Numbers, capacity: Numbers) -> Numbers:
    """Requests/s on edges that placements carry [f, k]; an overloaded one serves all its flows equally less.

    Parameters
    ----------
    sent : requests/s on edges [f, k]
    seconds : replica-seconds per request [i, e]
    capacity : replicas that may be filled [f, e]
    """
    load = routes.by_placement(seconds[routes.flow, routes.placement] * sent)
    share = np.divide(capacity, load, out=np.ones_like(load), where=load > capacity)
    return sent * share[:, routes.placement]


def unmoved(remaining: Remaining, routes: Routes) -> Numbers:
    """Requests/s of each flow before any traffic is moved [f, i]: what lives of where it was sent, surges included."""
    instance, replicas = remaining.instance, remaining.fleet.replicas
    eligible = instance.normal[routes.flow, routes.placement]
    share = routes.sent * eligible / instance.demand[routes.flow]
    asked = (remaining.offered * remaining.ingress)[:, routes.flow]
    # where an offer counts less than all of it, what does not go on is gone at once
    stays = np.divide(remaining.survivors, replicas, out=np.zeros_like(remaining.survivors), where=replicas > 0)
    alive = np.where(remaining.counts_less(), np.minimum(remaining.placements, stays), remaining.placements)
    sent = asked * share * alive[:, routes.placement]
    rates = remaining.limits.cut(sent, routes.flow, routes.placement)
    return np.minimum(routes.by_flow(rates), remaining.offered)


def times_of_weights(failure: Failure, detection_seconds: float) -> list[float]:
    """When it is looked at what gateways serve by their weights: at detection, and at each deadline [s]."""
    return sorted({*failure.deadlines, *([detection_seconds] if failure.counts_at(detection_seconds) else [])})


def rescaled(remaining: Remaining, routes: Routes, elapsed: float) -> tuple[Numbers, Numbers]:
    """Requests/s of each flow [f, i], and by what they are served [4, f, i], so many seconds after the failure.

    Before detection nothing has moved. Then weights are those of normal operation, over what lives; what a gateway
    sends above what a placement or a component with a limit can take is lost, in equal shares.
    """
    instance, fleet = remaining.instance, remaining.fleet
    if elapsed < instance.study.detection_seconds:
        rates = unmoved(remaining, routes)
        return rates, all_warm(rates)
    kept = instance.that_fit(remaining.survivors, remaining.machines(elapsed, obtained=False))
    own = remaining.machines(elapsed, reclaimed=False, obtained=False)
    before = instance.that_fit(remaining.survivors, own)
    edges = (routes.flow, routes.placement)
    stays = np.where(instance.fits[edges] & ~instance.in_failure[edges], 0.0, routes.sent)
    weights = stays * remaining.weights[:, routes.placement]
    total = routes.by_flow(weights) + fleet.unroutable
    asked = remaining.offered * remaining.ingress / np.where(total > 0, total, 1.0)
    sent = weights * asked[:, routes.flow] * instance.in_failure[edges]
    if fleet.gateway_limits is not None:
        # a part of the replicas takes that part of what a gateway may send to all of them
        sent = np.minimum(sent, fleet.gateway_limits[edges] * remaining.weights[:, routes.placement])
    sent = remaining.limits.cut(sent, routes.flow, routes.placement)
    capacity = instance.filled(True, kept) * kept
    rates = carried(routes, sent, instance.replica_seconds_in_failure, capacity)
    back = np.divide(kept - np.minimum(before, kept), kept, out=np.zeros_like(kept), where=kept > 0)
    served = routes.by_flow(rates)
    return served, all_warm(served, routes.by_flow(rates * back[:, routes.placement]))
