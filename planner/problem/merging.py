"""Flows that are one but for their size: which they are in a kind of states.

Their sum can be shared out in proportion, so that merging them is exact.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

import numpy as np

from planner.problem.algebra import Array, Key
from planner.problem.things import Things
from planner.study.dependencies import NORMAL

ANY = "any failure"
"""The kind of all failures together: every edge of failures."""
SAME_DECIMALS = 12
"""Of ratios of replica-seconds, within which two workloads need the same in proportion."""


def groups(a: Things, kind: str, ends: Sequence[Array]) -> list[tuple[list[int], list[float]]]:
    """Flows that are one but for their size: their positions, and the work of each beside that of the first.

    Two are one where the same edges are there, their work is the same in proportion, and whatever else a kind of state
    tells apart is the same: see `_apart`.
    """
    p = a.p
    seconds = p.replica_seconds if kind == NORMAL else p.replica_seconds_in_failure
    by_workload = {
        w: np.array([seconds.get((w, e), 0.0) * p.burst_factor[w] for e in p.placements])
        for w in dict.fromkeys(w for w, _ in p.flows)
    }
    shape_of: dict[Hashable, tuple[float, bytes]] = {}
    groups: dict[Hashable, tuple[list[int], list[float]]] = {}
    apart = _apart(a, kind)
    for i, (w, o) in enumerate(p.flows):
        same = ends[i].tobytes()
        if (w, same) not in shape_of:
            work = by_workload[w][ends[i]]
            first = float(work[0]) if len(work) else 1.0
            shape_of[w, same] = first, np.round(work / first, SAME_DECIMALS).tobytes()
        first, shape = shape_of[w, same]
        members, firsts = groups.setdefault((same, shape, apart(i, w, o, ends[i])), ([], []))
        members.append(i)
        firsts.append(first)
    return [(members, [first / firsts[0] for first in firsts]) for members, firsts in groups.values()]


def _apart(a: Things, kind: str) -> Callable[[int, str, str, Array], Hashable]:
    """What tells flows apart beside their edges and their work, in one kind of states.

    Costs by origin and prices of what is not served count where they are minimised; requests, not work, are counted by
    components with limits and shares; where only few units can be bought, tiers tell what is asked for from what is
    due.
    """
    p, normal = a.p, kind == NORMAL
    costs = normal or kind in p.priced or (kind == ANY and bool(p.priced))
    priced = list(p.priced) if normal or kind == ANY else [f for f in p.priced if f == kind]
    site = [p.site_of[p.pool_of[e]] for e in p.placements]
    served = a.due_share((p.hours[0], NORMAL, 0.0)) if normal else None
    limited: dict[Key, tuple[int, ...]] = {}
    of_edge: dict[Key, list[int]] = {}
    several = [*p.request_limits.always.values(), *(one.edges for one in p.request_limits.alternatives)]
    for n, edges in enumerate(several):
        for edge in edges:
            of_edge.setdefault(edge, []).append(n)
    limited = {edge: tuple(those) for edge, those in of_edge.items()}

    def key(i: int, w: str, o: str, ends: Array) -> Hashable:
        parts: list[Hashable] = []
        if limited:
            passes = tuple(limited.get((w, o, p.placements[e]), ()) for e in ends.tolist())
            parts.append((w, passes) if any(passes) else None)
        if normal and (p.shares or w in p.deferrable or priced):
            parts.append(w)
        if served is not None and served[i] < 1:
            parts.append((w, float(a.coverable(NORMAL)[i])))
        if costs and p.request_usd:
            parts.append((w, tuple(p.request_usd.get((o, site[e]), 0.0) for e in ends.tolist())))
        if priced:
            parts.append((w, tuple((float(a.coverable(f)[i]), float(a.surge(f)[i])) for f in priced)))
        if p.few_large_units:
            parts.append(p.tier_of[w])
        return tuple(parts)

    return key
