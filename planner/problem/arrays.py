"""The problem as arrays, in the order of its ids: what `Problem` says by key, `Arrays` says by position.

Streams that are one but for their size are one row of a kind of state: their sum can be shared out in proportion, so
merging them is exact. Which are one depends on the edges that live in that kind of state: see `Arrays.merged`.

Letters of shapes: F flows, E edges, P placements, Q pools, B offers and build-outs, C components with limits.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, TypeVar

import numpy as np

from planner.problem.algebra import Array, Key
from planner.problem.problem import LEAST_WEIGHT, Problem, State, flow_size, taken_up
from planner.study.dependencies import NORMAL
from planner.units import ROUNDING

T = TypeVar("T")
EVERY = "every state"
"""The kind of all states together: every edge, of normal operation and of failures."""
ANY = "any failure"
"""The kind of all failures together: every edge of failures."""
NEGLIGIBLE_REPLICAS = 1e-3
"""What fills less of a replica could be lost in what a solver calls whole: it gets a row of its own."""
SAME_DECIMALS = 12
"""Of ratios of replica-seconds, within which two workloads need the same in proportion."""


class Kept:
    """What is worked out once for each argument, and kept with the object."""

    def __init__(self) -> None:
        self._kept: dict[Hashable, Any] = {}

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """The value of a key, made when it is asked for first."""
        if key not in self._kept:
            self._kept[key] = make()
        kept: T = self._kept[key]
        return kept


class Things(Kept):
    """Placements, pools, offers and all that is said of them, by position."""

    def __init__(self, p: Problem) -> None:
        super().__init__()
        self.p = p
        self.placements: list[Key] = [(e,) for e in p.placements]
        self.pools: list[Key] = [(q,) for q in p.pools]
        self.offers: list[Key] = [(b,) for b in (*p.offers, *p.build_outs)]
        self.P, self.Q, self.B = len(self.placements), len(self.pools), len(self.offers)
        self.placement_at = positions(p.placements)
        self.pool_at = positions(p.pools)
        self.offer_at = positions((*p.offers, *p.build_outs))
        self.flow_at = {flow: i for i, flow in enumerate(p.flows)}
        self.pool_of_placement = np.array([self.pool_at[p.pool_of[e]] for e in p.placements], dtype=int)
        self.in_pool = np.arange(len(p.offers))
        """positions of offers, build-outs left out [offers]"""
        self.pool_of_offer = np.array([self.pool_at[p.pool_of[b]] for b in p.offers], dtype=int)
        self.machines_per_unit = numbers_of(p.machines_per_unit, p.offers)
        self.most_units = numbers_of(p.most_units, (*p.offers, *p.build_outs))
        self.hourly = mask_of(p.hourly, (*p.offers, *p.build_outs))
        self.machines_per_replica = numbers_of(p.machines_per_replica, p.placements)
        self.load_seconds = numbers_of(p.load_seconds, p.placements)
        self.weights_gib = numbers_of(p.weights_gib, p.placements)
        self.rollout_surge_fraction = numbers_of(p.rollout_surge_fraction, p.placements)
        self.usable_fraction = numbers_of(p.usable_fraction, p.pools)
        self.spare_machines = numbers_of(p.spare_machines, p.pools)
        self.maybe_unused = mask_of(p.maybe_unused, p.pools)
        self.with_spot = mask_of(p.with_spot, p.pools)
        self.may_obtain = mask_of(p.may_obtain, p.pools)
        self.few_large_units = mask_of(p.few_large_units, p.pools)

    # -------------------------------------------------------------- demand, of every flow by itself [flows]
    @cached_property
    def tiers(self) -> list[str]:
        """Tiers with demand."""
        return sorted({self.p.tier_of[w] for w, _ in self.p.flows})

    @cached_property
    def tier_of_flow(self) -> Array:
        """Position of the tier."""
        at = positions(self.tiers)
        return np.array([at[self.p.tier_of[w]] for w, _ in self.p.flows], dtype=int)

    @cached_property
    def deferrable(self) -> Array:
        """Whether a flow can wait."""
        return np.array([w in self.p.deferrable for w, _ in self.p.flows], dtype=bool)

    def demand(self, h: str) -> Array:
        """Requests/s that are asked for in an hour."""
        wanted = self.p.demand_requests_per_second
        return self.once(("demand", h), lambda: np.array([wanted[w, o, h] for w, o in self.p.flows]))

    def surge(self, f: str) -> Array:
        """Factor on demand in a failure."""
        return self.once(("surge", f), lambda: self._surge(f))

    def _surge(self, f: str) -> Array:
        failure, flows = self.p.failures[f], self.p.flows
        factors = np.full(len(flows), failure.surge_factor)
        if failure.surges:
            of = failure.surges
            further = [of.get(f"workload:{w}", 1.0) * of.get(f"origin:{o}", 1.0) for w, o in flows]
            factors = factors * np.array(further)
        return factors

    def wanted(self, s: State) -> Array:
        """Requests/s that are asked for in a state, surges included."""
        return self.once(("wanted", s[:2]), lambda: self.demand(s[0]) * self.surge(s[1]))

    def coverable(self, f: str) -> Array:
        """Share that any capacity could serve (0 to 1)."""
        return self.once(("coverable", f), lambda: numbers_of(self.p.coverable[f], self.p.flows, 1.0))

    def due_share(self, s: State) -> Array:
        """Share that must be served by now (0 to 1): see `formulas.due_fraction`."""
        return self.once(("due", s[1], s[2]), lambda: self._due_share(s))

    def _due_share(self, s: State) -> Array:
        p, (_, f, c) = self.p, s
        if f == NORMAL:
            promised = np.array([p.serve_fraction[w] for w, _ in p.flows])
        else:
            by_tier = dict.fromkeys(self.tiers, 0.0)
            for tier, fraction, within in p.promised[f]:
                if within <= c:
                    by_tier[tier] = max(fraction, by_tier.get(tier, 0.0))
            promised = np.array([by_tier[tier] for tier in self.tiers])[self.tier_of_flow]
        return np.asarray(np.minimum(promised, self.coverable(f)))

    def taken_up(self, h: str) -> Array:
        """Requests/s that an hour of normal operation may have to serve at most: all of a period if they wait."""
        return self.once(("taken up", h), lambda: np.array([taken_up(self.p, w, o, h) for w, o in self.p.flows]))

    def flow_sizes(self, h: str = "") -> Array:
        """Requests/s by which flows are scaled and judged, never 0: see `flow_size`."""
        return self.once(("size", h), lambda: np.array([flow_size(self.p, w, o, h) for w, o in self.p.flows]))

    # -------------------------------------------------------------- what failures leave
    def available(self, f: str) -> Array:
        """Available fraction of placements [P]."""
        return self.once(("placements", f), lambda: numbers_of(self.p.lost[f], self.p.placements, 1.0))

    def available_pools(self, f: str) -> Array:
        """Available fraction of pools [Q]."""
        return self.once(("pools", f), lambda: numbers_of(self.p.lost[f], self.p.pools, 1.0))

    def live(self, f: str) -> Array:
        """Placements that are not dead in a failure [P]. A dead one has no columns: it cannot come back by loading."""
        return self.once(("live", f), lambda: self.available(f) > 0)

    def live_pools(self, f: str) -> Array:
        """Pools with a placement that is not dead [Q]."""
        return self.once(("live pools", f), lambda: self.any_on_pool(self.live(f)))

    def any_on_pool(self, of_placements: Array) -> Array:
        """Pools with a placement where a mask is true [Q]."""
        return np.bincount(self.pool_of_placement, of_placements, minlength=self.Q) > 0

    def counted(self, f: str) -> Array:
        """Fraction of what runs of an offer that counts in a failure [offers]."""
        return self.once(("counted", f), lambda: numbers_of(self.p.counted[f], self.p.offers, 1.0))

    @cached_property
    def least_counted(self) -> Array:
        """Fraction of what runs of an offer that counts in every failure [offers]."""
        return np.asarray(np.min([self.counted(f) for f in self.p.failures], axis=0))

    def counts_less(self, f: str) -> Array:
        """Pools with an offer that does not count whole in a failure, of those that do not in some [Q]."""
        less = np.bincount(self.pool_of_offer, self.counted(f) < 1, minlength=self.Q) > 0
        return less & self.with_spot

    def stuck(self, f: str) -> Array:
        """Placements in which no replica can be started in a failure [P]."""
        return self.once(("stuck", f), lambda: mask_of(self.p.cannot_start[f], self.p.placements))

    def can_load(self, s: State) -> Array:
        """Placements of which a replica that is started when the failure is detected runs by this deadline [P]."""
        if s[1] == NORMAL:
            return np.zeros(self.P, dtype=bool)
        in_time = self.p.detection_seconds + self.load_seconds <= s[2] + ROUNDING
        return in_time & ~self.stuck(s[1])

    def earlier(self, s: State) -> list[State]:
        """States of the same failure and hour before this one."""
        h, f, c = s
        return [(h, f, d) for d in self.p.deadlines_seconds[f] if d < c]

    # -------------------------------------------------------------- machines
    def held(self, h: str) -> Array:
        """Machines held through all of an hour's period [Q]."""
        t = self.p.period_of[h]
        return self.once(("held", t), lambda: np.array([self.p.held_machines[q, t] for q in self.p.pools]))

    def held_at_most(self, h: str) -> Array:
        """Machines held at the same time on some day of an hour's period [Q]."""
        p, t = self.p, self.p.period_of[h]
        most = [p.held_at_most.get((q, t), p.held_machines[q, t]) for q in p.pools]
        return self.once(("held at most", t), lambda: np.array(most))

    def claimed(self, s: State) -> Array:
        """Machines of ours that others have in a state [Q]: all in normal operation, those not yet back else."""
        return np.array([self._claimed(q, s) for q in self.p.pools], dtype=float)

    def _claimed(self, q: str, s: State) -> float:
        return sum(
            machines
            for machines, seconds in self.p.claims[q, self.p.period_of[s[0]]]
            if s[1] == NORMAL or seconds is None or self.p.detection_seconds + seconds >= s[2]
        )

    def may_start(self, t: str) -> Array:
        """Offers and build-outs of which a unit can start in a period, hourly ones left out [B]."""
        return self.once(("may start", t), lambda: ~self.hourly & self._may_start(t))

    def may_rent(self, h: str) -> Array:
        """Hourly offers of which a unit can be rented in an hour [B]."""
        t = self.p.period_of[h]
        return self.once(("may rent", t), lambda: self.hourly & self._may_start(t))

    def _may_start(self, t: str) -> Array:
        return np.array([self.p.may_start(b, t) for (b,) in self.offers], dtype=bool)

    def covers(self, h: str, on_some_day: bool = False) -> list[tuple[str, Array]]:
        """(period u, mask [B]) of what covers an hour when it starts in u; or stands on some day of its period."""
        t = self.p.period_of[h]
        return self.once(("covers", t, on_some_day), lambda: self._covers(t, on_some_day))

    def _covers(self, t: str, on_some_day: bool) -> list[tuple[str, Array]]:
        p, masks = self.p, dict[str, Array]()
        for i, (b,) in enumerate(self.offers):
            vintages = p.vintages.get((b, t), ())
            if on_some_day:
                vintages = p.vintages_on_some_day.get((b, t), vintages)
            for u in vintages if not self.hourly[i] else ():
                masks.setdefault(u, np.zeros(self.B, dtype=bool))[i] = True
        return [(u, masks[u]) for u in p.periods if u in masks]

    # -------------------------------------------------------------- limits
    @cached_property
    def limits(self) -> list[Key]:
        """Limits on machines, by name [limits]."""
        return [(limit.name,) for limit in self.p.limits]

    @cached_property
    def limit_units(self) -> tuple[Array, Array, Array]:
        """(limit, pool, units of the limit that a machine of the pool takes), of all pairs."""
        pairs = [
            (n, self.pool_at[q], units)
            for n, limit in enumerate(self.p.limits)
            for q, units in limit.units_per_machine.items()
        ]
        return columns_of(pairs)

    @cached_property
    def limit_modules(self) -> tuple[Array, Array, Array]:
        """(limit, build-out, what each of its modules adds to the limit), of all pairs."""
        pairs = [(n, self.offer_at[m], kw) for n, limit in enumerate(self.p.limits) for m, kw in limit.modules.items()]
        return columns_of(pairs)

    def limits_in(self, h: str) -> Array:
        """Limits that hold in an hour [limits]."""
        t = self.p.period_of[h]
        return np.array([limit.periods is None or t in limit.periods for limit in self.p.limits], dtype=bool)

    @cached_property
    def drawn_upon(self) -> Array:
        """Positions of limits of which machines that are obtained in a failure take a part."""
        of, pool, _ = self.limit_units
        return np.unique(of[self.may_obtain[pool]])

    @cached_property
    def limits_drawn(self) -> list[Key]:
        """Limits of which machines that are obtained in a failure take a part, by position."""
        return [(int(n),) for n in self.drawn_upon]

    @cached_property
    def storage_sites(self) -> list[Key]:
        """Sites with a storage rate."""
        return [(site,) for site in self.p.load_gib_per_second]

    @cached_property
    def storage_site_of_placement(self) -> Array:
        """Position of a placement's site among those with a storage rate; else their number [P]."""
        at = positions(list(self.p.load_gib_per_second))
        return np.array([at.get(self.p.site_of[self.p.pool_of[e]], len(at)) for e in self.p.placements], dtype=int)

    # -------------------------------------------------------------- what follows from purchases, once
    @cached_property
    def spend_years(self) -> list[Key]:
        """(commitment, year)."""
        return [(k.name, k.year) for k in self.p.spend_years]

    @cached_property
    def priced(self) -> list[Key]:
        """Priced failures."""
        return [(f,) for f in self.p.priced]

    @cached_property
    def priced_at(self) -> dict[str, int]:
        """Priced failure -> position."""
        return positions(list(self.p.priced))


class Arrays(Things):
    """All of `Things`, and flows and edges of one kind of states by position.

    Parameters
    ----------
    p : the problem
    kind : of states: NORMAL, a failure, ANY of them, EVERY state
    merge : whether flows that are one but for their size are one; else each is its own
    """

    def __init__(self, things: Things, kind: str, merge: bool, family: Callable[[str], Arrays] | None = None) -> None:
        self.__dict__.update(things.__dict__)  # what is kept of things is shared
        self._here: dict[Hashable, Any] = {}
        self.things, self.kind, self.family = things, kind, family
        p = self.p
        ends = [self._ends(w, o) for w, o in p.flows]
        groups = _groups(self, ends) if merge else [([i], [1.0]) for i in range(len(p.flows))]
        self.flows: list[Key] = [p.flows[members[0]] for members, _ in groups]
        self.F = len(self.flows)
        self.member = np.array([i for members, _ in groups for i in members], dtype=int)
        """positions in `Problem.flows`, group by group"""
        self.group = np.repeat(np.arange(self.F), [len(members) for members, _ in groups])
        """flow here, of each member"""
        self.unit = np.array([k for _, units in groups for k in units])
        """requests of the flow here that one request of a member is, by the work that it asks for"""
        of_flow = [ends[members[0]] for members, _ in groups]
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

    def _pairs(self, groups: Sequence[Iterable[Key]]) -> tuple[Array, Array]:
        edges = [self.at_edges(group) for group in groups]
        of = np.repeat(np.arange(len(groups)), [len(one) for one in edges]).astype(int)
        return of, np.concatenate([np.zeros(0, dtype=int), *edges]).astype(int)


def full(p: Problem) -> Arrays:
    """Every edge and every flow by itself, of all kinds of states: of a plan, and of what has costs by origin."""
    things = things_of(p)
    return things.once("full", lambda: Arrays(things, EVERY, merge=False))


def merged(p: Problem) -> Callable[[str], Arrays]:
    """Kind of states -> its arrays, each with its own flows merged; of gateways that rescale each flow by itself."""
    things = things_of(p)
    if p.failover == "rescale":
        return lambda f: full(p)

    def family(f: str) -> Arrays:
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


def _groups(a: Arrays, ends: Sequence[Array]) -> list[tuple[list[int], list[float]]]:
    """Flows that are one but for their size: their positions, and the work of each beside that of the first.

    Two are one where the same edges are there, their work is the same in proportion, and whatever else a kind of state
    tells apart is the same: see `_apart`.
    """
    p = a.p
    seconds = p.replica_seconds if a.kind == NORMAL else p.replica_seconds_in_failure
    by_workload = {
        w: np.array([seconds.get((w, e), 0.0) * p.burst_factor[w] for e in p.placements])
        for w in dict.fromkeys(w for w, _ in p.flows)
    }
    shape_of: dict[Hashable, tuple[float, bytes]] = {}
    groups: dict[Hashable, tuple[list[int], list[float]]] = {}
    apart = _apart(a)
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


def _apart(a: Arrays) -> Callable[[int, str, str, Array], Hashable]:
    """What tells flows apart beside their edges and their work, in one kind of states.

    Costs by origin and prices of what is not served count where they are minimised; requests, not work, are counted by
    components with limits and shares; where only few units can be bought, tiers tell what is asked for from what is
    due.
    """
    p, normal = a.p, a.kind == NORMAL
    costs = normal or a.kind in p.priced or (a.kind == ANY and bool(p.priced))
    priced = list(p.priced) if normal or a.kind == ANY else [f for f in p.priced if f == a.kind]
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


# ------------------------------------------------------------------ small pieces
def positions(ids: Sequence[str]) -> dict[str, int]:
    """Id -> position."""
    return {name: i for i, name in enumerate(ids)}


def numbers_of(given: Mapping[Any, float], ids: Sequence[Any], default: float | None = None) -> Array:
    """Numbers in the order of some ids; what is not given is the default, where there is one."""
    if default is None:
        return np.array([float(given[name]) for name in ids])
    return np.array([float(given.get(name, default)) for name in ids])


def mask_of(given: Iterable[str], ids: Sequence[str]) -> Array:
    """Whether each of some ids is among those given."""
    known = set(given)
    return np.array([name in known for name in ids], dtype=bool)


def columns_of(pairs: Sequence[tuple[int, int, float]]) -> tuple[Array, Array, Array]:
    """(position, position, number) of all, as three arrays."""
    of, at, value = zip(*pairs, strict=True) if pairs else ((), (), ())
    return np.array(of, dtype=int), np.array(at, dtype=int), np.array(value, dtype=float)
