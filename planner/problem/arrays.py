"""The problem as arrays, in the order of its ids: what `Problem` says by key, `Arrays` says by position.

Streams that are one but for their size are one row of a kind of state: which are one depends on the edges that live in
that kind of state (`merging`, `merged`). Placements, pools and offers are those of `things`, whatever the kind.

Letters of shapes: F flows, E edges, P placements, Q pools, B offers and build-outs, C components with limits.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, TypeVar

import numpy as np

from planner.problem.algebra import Array, Key
from planner.problem.merging import ANY, groups
from planner.problem.problem import LEAST_WEIGHT, Problem, State
from planner.problem.things import Things, positions
from planner.study.dependencies import NORMAL

T = TypeVar("T")
EVERY = "every state"
"""The kind of all states together: every edge, of normal operation and of failures."""
NEGLIGIBLE_REPLICAS = 1e-3
"""What fills less of a replica could be lost in what a solver calls whole: it gets a row of its own."""


class Arrays(Things):
    """All of `Things`, and flows and edges of one kind of states by position.

    Parameters
    ----------
    p : the problem
    kind : of states: NORMAL, a failure, ANY of them, EVERY state
    merge : whether flows that are one but for their size are one; else each is its own
    """

    def __init__(self, things: Things, kind: str, merge: bool, family: Callable[[str], Arrays] | None = None) -> None:
        self.__dict__.update(things.__dict__)  # shared, not made again: there are arrays for every kind of states
        self._here: dict[Hashable, Any] = {}
        self.things, self.kind, self.family = things, kind, family
        p = self.p
        ends = [self._ends(w, o) for w, o in p.flows]
        merged_flows = groups(self, kind, ends) if merge else [([i], [1.0]) for i in range(len(p.flows))]
        self.flows: list[Key] = [p.flows[members[0]] for members, _ in merged_flows]
        self.F = len(self.flows)
        self.member = np.array([i for members, _ in merged_flows for i in members], dtype=int)
        """positions in `Problem.flows`, group by group"""
        self.group = np.repeat(np.arange(self.F), [len(members) for members, _ in merged_flows])
        """flow here, of each member"""
        self.unit = np.array([k for _, units in merged_flows for k in units])
        """requests of the flow here that one request of a member is, by the work that it asks for"""
        of_flow = [ends[members[0]] for members, _ in merged_flows]
        self.flow_of_edge = np.repeat(np.arange(self.F), [len(one) for one in of_flow])
        self.placement_of_edge = np.concatenate([np.zeros(0, dtype=int), *of_flow]).astype(int)
        self.E = len(self.flow_of_edge)

    def of(self, f: str) -> Arrays:
        """The arrays of the states of a failure, or of normal operation, beside these."""
        return self if self.family is None else self.family(f)

    def here(self, key: Hashable, make: Callable[[], T]) -> T:
        """As `once`, of this kind of states alone."""
        if key not in self._here:
            self._here[key] = make()
        kept: T = self._here[key]
        return kept

    def _ends(self, w: str, o: str) -> Array:
        """Positions of the placements that may serve a flow in this kind of states."""
        ends = self.p.edges if self.kind == NORMAL else self.p.edges_in_failure
        known: Iterable[str] = ends[w, o]
        if self.kind == EVERY:
            known = dict.fromkeys((*self.p.edges[w, o], *self.p.edges_in_failure[w, o]))
        at = self.things.once(("ends", self.kind == EVERY, known := tuple(known)), lambda: self._positions(known))
        if self.kind in (NORMAL, EVERY, ANY):
            return at
        return at[self.live(self.kind)[at]]

    def _positions(self, names: tuple[str, ...]) -> Array:
        return np.array(sorted(self.placement_at[e] for e in names), dtype=int)

    # -------------------------------------------------------------- flows [F]
    def by_flow(self, of_members: Array) -> Array:
        """Sums over the members of each flow, in requests of the flow here."""
        return np.bincount(self.group, self.unit * of_members[self.member], minlength=self.F)

    def requests(self, s: State) -> Array:
        """Requests/s that are asked for in a state, surges included."""
        return self.here(("requests", s[:2]), lambda: self.by_flow(self.wanted(s)))

    def not_due(self, s: State) -> Array:
        """Requests/s that need not be served by now."""
        return self.here(("not due", s), lambda: self.by_flow((1 - self.due_share(s)) * self.wanted(s)))

    def due(self, s: State) -> Array:
        """Requests/s that must be served by now."""
        return self.requests(s) - self.not_due(s)

    def uncoverable(self, s: State) -> Array:
        """Requests/s that no capacity could serve."""
        return self.by_flow((1 - self.coverable(s[1])) * self.wanted(s))

    def largest(self, h: str) -> Array:
        """Requests/s that normal operation may have to serve in an hour at most."""
        return self.here(("largest", h), lambda: self.by_flow(self.taken_up(h)))

    def sizes(self, h: str = "") -> Array:
        """Requests/s by which flows are scaled and judged; never 0."""
        return self.here(("sizes", h), lambda: self.by_flow(self.flow_sizes(h)))

    def weights(self, least: float = LEAST_WEIGHT) -> Array:
        """Weights of requests of each flow beside those of others, where few of a small one must count for something.

        Formula
            max(1, least · largest size of all / size);  least = 1: short of a flow is judged by that flow
        """
        sizes = self.sizes()
        return np.asarray(np.maximum(1.0, least * sizes.max(initial=1.0) / sizes))

    @cached_property
    def waits(self) -> Array:
        """Whether a flow is taken up over the hours of its period in normal operation, not in each of them."""
        return self.deferrable[self.first]

    @cached_property
    def first(self) -> Array:
        """Position in `Problem.flows` of the first member."""
        return self.member[np.searchsorted(self.group, np.arange(self.F))]

    @cached_property
    def outage_usd_per_request(self) -> Array:
        """USD of a request that is not served."""
        return np.array([self.p.outage_usd_per_request[w] for w, _ in self.flows])

    # -------------------------------------------------------------- edges [E]
    @cached_property
    def edges(self) -> list[Key]:
        """(w, o, e)."""
        names = self.p.placements
        pairs = zip(self.flow_of_edge.tolist(), self.placement_of_edge.tolist(), strict=True)
        return [(*self.flows[flow], names[e]) for flow, e in pairs]

    @cached_property
    def pool_of_edge(self) -> Array:
        """Position of the pool."""
        return np.asarray(self.pool_of_placement[self.placement_of_edge])

    def may_serve(self, f: str) -> Array:
        """Edges over which requests may go in a failure, or in normal operation: eligible, near enough, not dead."""
        return self.here(("may serve", f), lambda: self._may_serve(f))

    def _may_serve(self, f: str) -> Array:
        if self.kind in (NORMAL, f):
            return np.ones(self.E, dtype=bool)
        alive = np.asarray(self.live(f)[self.placement_of_edge])
        if self.kind == ANY:
            return alive
        return np.asarray(alive & self.here(("near", f == NORMAL), lambda: self._near(f == NORMAL)))

    def _near(self, normal: bool) -> Array:
        ends = self.p.edges if normal else self.p.edges_in_failure
        near = {flow: set(names) for flow, names in ends.items()}
        return np.array([e in near[w, o] for w, o, e in self.edges], dtype=bool)

    def replica_seconds(self, f: str) -> Array:
        """Replica-seconds that a request takes at its peak."""
        normal = f == NORMAL
        seconds = self.p.replica_seconds if normal else self.p.replica_seconds_in_failure
        return self.here(("replica-seconds", normal), lambda: self._replica_seconds(seconds))

    def _replica_seconds(self, seconds: Mapping[tuple[str, str], float]) -> Array:
        by_workload: dict[str, Array] = {}
        table = np.zeros(self.E)
        ends = np.searchsorted(self.flow_of_edge, np.arange(self.F + 1))
        for i, (w, _) in enumerate(self.flows):
            if w not in by_workload:
                burst = self.p.burst_factor[w]
                by_workload[w] = np.array([seconds.get((w, e), 0.0) * burst for e in self.p.placements])
            at = slice(ends[i], ends[i + 1])
            table[at] = by_workload[w][self.placement_of_edge[at]]
        return table

    def negligible(self, h: str) -> Array:
        """Edges of which all requests fill less than NEGLIGIBLE_REPLICAS of a replica."""
        return self.here(("negligible", h), lambda: self.replicas_filled(h) < NEGLIGIBLE_REPLICAS)

    def replicas_filled(self, h: str = "") -> Array:
        """Replicas of a placement that all requests of a flow fill at the most, in an hour or in any."""
        seconds = np.maximum(self.replica_seconds(NORMAL), self.replica_seconds(ANY))
        return (
            seconds * self.sizes(h)[self.flow_of_edge] / min(self.p.utilisation_normal, self.p.utilisation_in_failure)
        )

    @cached_property
    def request_usd(self) -> Array:
        """USD of serving a request there."""
        usd, p = self.p.request_usd, self.p
        site = [p.site_of[p.pool_of[e]] for e in p.placements]
        pairs = zip(self.flow_of_edge.tolist(), self.placement_of_edge.tolist(), strict=True)
        if not usd:
            return np.zeros(self.E)
        return np.array([usd.get((self.flows[flow][1], site[e]), 0.0) for flow, e in pairs])

    def at_edges(self, edges: Iterable[Key]) -> Array:
        """Positions of those of some edges (w, o, e) that are here."""
        at = self.here("edge at", lambda: {key: i for i, key in enumerate(self.edges)})
        return np.array([at[key] for key in edges if key in at], dtype=int)

    def from_tests(self, values: Array) -> Array:
        """Numbers of the edges of failures, each flow by itself, as those of every edge."""
        at = self.here("from tests", lambda: self.at_edges(of_tests(self.p, merge=False).edges))
        vector = np.zeros(self.E)
        vector[at] = values
        return vector

    # -------------------------------------------------------------- components that let only so much through [C]
    @cached_property
    def components(self) -> list[Key]:
        """Components with a limit that some request may pass."""
        return [(c,) for c in self.p.request_limits.components]

    @cached_property
    def passes_component(self) -> tuple[Array, Array]:
        """(component, edge) of the requests that cannot avoid it."""
        return self._pairs([self.p.request_limits.always.get(c, ()) for (c,) in self.components])

    @cached_property
    def alternatives(self) -> list[Key]:
        """Ids of alternatives, group by group."""
        return [(a,) for several in self.p.request_limits.alternatives for a in several.ids]

    @cached_property
    def group_of_alternative(self) -> Array:
        """Position of the group of alternatives of which it is one."""
        several = self.p.request_limits.alternatives
        return np.repeat(np.arange(len(several)), [len(one.ids) for one in several]).astype(int)

    @cached_property
    def passes_group(self) -> tuple[Array, Array]:
        """(group of alternatives, edge) of the requests that pass one of its alternatives."""
        return self._pairs([one.edges for one in self.p.request_limits.alternatives])

    @cached_property
    def component_of_alternative(self) -> Array:
        """Position of an alternative's component among those with a limit; else their number."""
        at = positions(list(self.p.request_limits.components))
        return np.array(
            [at.get(self.p.request_limits.component_of[a], len(at)) for (a,) in self.alternatives], dtype=int
        )

    def open(self, f: str) -> Array:
        """Alternatives that are not closed in a failure."""
        return np.array([a not in self.p.closed[f] for (a,) in self.alternatives], dtype=bool)

    def _pairs(self, several: Sequence[Iterable[Key]]) -> tuple[Array, Array]:
        edges = [self.at_edges(one) for one in several]
        of = np.repeat(np.arange(len(several)), [len(one) for one in edges]).astype(int)
        return of, np.concatenate([np.zeros(0, dtype=int), *edges]).astype(int)


def full(p: Problem) -> Arrays:
    """Every edge and every flow by itself, of all kinds of states: of a plan, and of what has costs by origin."""
    things = things_of(p)
    return things.once("full", lambda: Arrays(things, EVERY, merge=False))


def merged(p: Problem) -> Callable[[str], Arrays]:
    """Kind of states -> its arrays, each with its own flows merged; of gateways that rescale each flow by itself."""
    things = things_of(p)

    def family(f: str) -> Arrays:
        if f in p.rescaled:
            return full(p)
        return things.once(("merged", f), lambda: Arrays(things, f, True, family))

    return family


def unmerged(p: Problem) -> Callable[[str], Arrays]:
    """Kind of states -> its arrays, each flow by itself: what merging is compared with."""
    known: dict[str, Arrays] = {}

    def family(f: str) -> Arrays:
        if f not in known:
            known[f] = Arrays(things_of(p), f, False, family)
        return known[f]

    return family


def of_tests(p: Problem, merge: bool = True) -> Arrays:
    """The arrays of feasibility subproblems: the edges of any failure, for all of them alike."""
    things = things_of(p)
    return things.once(("tests", merge), lambda: Arrays(things, ANY, merge))


def things_of(p: Problem) -> Things:
    """Placements, pools and offers of a problem by position, made once."""
    kept = p.__dict__
    if "_things" not in kept:
        kept["_things"] = Things(p)
    return kept["_things"]  # type: ignore[no-any-return]
