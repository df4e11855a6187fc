"""Rescale: gateways renormalise their weights over what is left, and nothing starts. All failures at once."""

from dataclasses import dataclass

import numpy as np

from planner.drill.left import Left
from planner.drill.limits import cut
from planner.drill.stock import Stock, that_fit
from planner.drill.world import Indices, Numbers, World

HOT, RECLAIMED, LOADED, STARTED = range(4)
WAYS = ("hot", "reclaimed", "loaded", "started")


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


def routes_of(world: World, base: Numbers) -> Routes:
    """The edges that carry something."""
    flow, placement = np.nonzero(base)
    return Routes(flow, placement, base[flow, placement], *base.shape)


def carried(world: World, routes: Routes, sent: Numbers, seconds: Numbers, capacity: Numbers) -> Numbers:
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


def unmoved(world: World, stock: Stock, left: Left, routes: Routes) -> Numbers:
    """Requests/s of each flow before any traffic is moved [f, i]: what lives of where it was sent, surges included."""
    eligible = world.normal[routes.flow, routes.placement]
    share = routes.sent * eligible / world.demand[routes.flow]
    asked = (left.offered * left.front)[:, routes.flow]
    # where an offer counts less than whole, what does not go on is gone at once
    less = np.array([count.less for count in left.counts])[:, world.pool_of] > 0
    stays = np.divide(left.survivors, stock.replicas, out=np.zeros_like(left.survivors), where=stock.replicas > 0)
    alive = np.where(less, np.minimum(left.placements, stays), left.placements)
    rates = cut(left.passage, asked * share * alive[:, routes.placement], routes.flow, routes.placement)
    return np.minimum(routes.by_flow(rates), left.offered)


def rescaled(world: World, stock: Stock, left: Left, routes: Routes, clock: float) -> tuple[Numbers, Numbers]:
    """Requests/s of each flow [f, i], and of it what machines serve that came back from others [f, i].

    Before detection nothing has moved. Then weights are those of normal operation, over what lives; what a gateway
    sends above the room of a placement or of a component with a limit is lost, in equal shares.
    """
    if clock < world.study.detection_seconds:
        rates = unmoved(world, stock, left, routes)
        return rates, np.zeros_like(rates)
    kept = that_fit(world, left.survivors, left.machines(stock, clock, obtained=False))
    before = that_fit(world, left.survivors, left.machines(stock, clock, reclaimed=False, obtained=False))
    here = (routes.flow, routes.placement)
    stays = np.where(world.fits[here] & ~world.in_failure[here], 0.0, routes.sent)
    weights = stays * left.weights[:, routes.placement]
    total = routes.by_flow(weights) + stock.astray
    asked = left.offered * left.front / np.where(total > 0, total, 1.0)
    sent = weights * asked[:, routes.flow] * world.in_failure[here]
    if stock.limits is not None:
        # a part of the replicas takes that part of what a gateway may send to all of them
        sent = np.minimum(sent, stock.limits[here] * left.weights[:, routes.placement])
    sent = cut(left.passage, sent, routes.flow, routes.placement)
    limit = world.study.utilisation.in_failure
    rates = carried(world, routes, sent, world.replica_seconds_in_failure, limit * kept)
    back = np.divide(kept - np.minimum(before, kept), kept, out=np.zeros_like(kept), where=kept > 0)
    return routes.by_flow(rates), routes.by_flow(rates * back[:, routes.placement])
