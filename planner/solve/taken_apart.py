"""States of merged flows taken apart: each flow its part of what all that are one with it have, nearest first.

Flows that are one may be served by each other's traffic, work for work. What is shed is taken from those of which it
costs least; what is served goes out pair by pair, flow and placement, in the order of what routing prefers, so that
few pairs are in use. Any order keeps every sum as it was.
"""

from itertools import pairwise

import numpy as np

from planner.problem.algebra import Array
from planner.problem.arrays import Arrays
from planner.problem.decisions import Vectors, names
from planner.problem.problem import State


def merged_edge_costs(merged: Arrays, single: Arrays, edge_cost: Array) -> Array:
    """What routing prefers of merged flows: the mean over their members, by the work that they ask for [E].

    Parameters
    ----------
    single : each flow by itself, of the same kind of states
    edge_cost : of its edges
    """
    size = merged.unit * single.sizes()[merged.member]
    costs, sizes = np.zeros(merged.E), np.zeros(merged.E)
    of_group, of_flow = edges_of_flows(merged), edges_of_flows(single)
    for member, group, each in zip(merged.member.tolist(), merged.group.tolist(), size.tolist(), strict=True):
        costs[of_group[group]] += each * edge_cost[of_flow[member]]
        sizes[of_group[group]] += each
    return costs / np.where(sizes > 0, sizes, 1.0)


def edges_of_flows(a: Arrays) -> list[slice]:
    """Where the edges of each flow are."""
    ends = np.searchsorted(a.flow_of_edge, np.arange(a.F + 1)).tolist()
    return [slice(begin, end) for begin, end in pairwise(ends)]


def taken_apart(merged: Arrays, single: Arrays, states: Vectors, edge_cost: Array) -> Vectors:
    """The states with each flow by itself.

    Parameters
    ----------
    merged, single : of the same kind of states
    states : over the merged flows, as numbers
    edge_cost : what routing prefers of the edges of `single`
    """
    apart = Vectors()
    for name in names("states"):
        getattr(apart, name).update(getattr(states, name))
    for (s,) in list(states.traffic):
        traffic, shed = _apart(merged, single, s, states.traffic[s,], states.shed[s,], edge_cost)
        apart.traffic[s,], apart.shed[s,] = traffic, shed
        apart.offered[s,] = single.requests(s)
        apart.excess[s,] = np.zeros(single.F)
    return apart


def _apart(
    merged: Arrays, single: Arrays, s: State, traffic: Array, shed: Array, edge_cost: Array
) -> tuple[Array, Array]:
    """(requests/s over each edge, requests/s shed of each flow), each flow by itself."""
    member, group, unit = merged.member, merged.group, merged.unit
    wanted = unit * single.requests(s)[member]
    most_shed = unit * single.not_due(s)[member]
    usd = single.outage_usd_per_request[member] / unit
    begins = np.searchsorted(group, np.arange(merged.F + 1)).tolist()
    of_group, of_flow = edges_of_flows(merged), edges_of_flows(single)
    by_edge, by_flow = np.zeros(single.E), np.zeros(single.F)
    for g in range(merged.F):
        mine = slice(begins[g], begins[g + 1])
        served = np.asarray(traffic[of_group[g]])
        not_served = _shared_out(float(shed[g]), most_shed[mine], usd[mine])
        needs = np.maximum(wanted[mine] - not_served, 0.0)
        total = float(served.sum())
        if total > 0:
            served = served * (float(needs.sum()) / total)
        used = np.flatnonzero(served > 0)
        flows = member[mine]
        if len(used):
            costs = np.array([edge_cost[of_flow[i]][used] for i in flows.tolist()])
            pairs = _pairs(needs, served[used], costs)
            for n, i in enumerate(flows.tolist()):
                by_edge[of_flow[i]][used] = pairs[n] / unit[begins[g] + n]
        by_flow[flows] = (wanted[mine] - needs) / unit[mine]
    return by_edge, by_flow


def _shared_out(total: float, most: Array, costs: Array) -> Array:
    """A sum shared out, the cheapest first, each up to its most."""
    order = np.argsort(costs, kind="stable")
    before = np.cumsum(most[order]) - most[order]
    shares = np.zeros(len(most))
    shares[order] = np.clip(total - before, 0.0, most[order])
    return shares


def _pairs(needs: Array, has: Array, costs: Array) -> Array:
    """What each of some needs gets of each of what there is, both of the same sum, cheapest pairs first.

    Examples
    --------
    >>> _pairs(np.array([1.0, 2.0]), np.array([2.0, 1.0]), np.array([[0.0, 1.0], [0.5, 2.0]])).tolist()
    [[1.0, 0.0], [1.0, 1.0]]
    """
    if len(needs) == 1 or len(has) == 1:
        total = has.sum()
        return np.asarray(needs[:, None] * has[None, :] / (total if total > 0 else 1.0))
    got = np.zeros(costs.shape)
    needs_still, has_still = needs.tolist(), has.tolist()
    rows, columns = np.divmod(np.argsort(costs, axis=None, kind="stable"), len(has_still))
    for i, j in zip(rows.tolist(), columns.tolist(), strict=True):
        need, available = needs_still[i], has_still[j]
        if need > 0 and available > 0:
            amount = min(need, available)
            got[i, j] = amount
            needs_still[i] -= amount
            has_still[j] -= amount
    for i, still in enumerate(needs_still):  # what arithmetic has over
        if still > 0:
            got[i, int(np.argmax(got[i] if got[i].any() else has))] += still
    return got
