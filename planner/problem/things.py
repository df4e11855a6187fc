"""Placements, pools, offers and all that is said of them, in the order of their ids: what `Problem` says by key.

Letters of shapes: P placements, Q pools, B offers and build-outs; what is of every flow by itself is named [flows].
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np

from planner.problem.algebra import Array, Key
from planner.problem.problem import Problem, State, flow_size, taken_up
from planner.study.dependencies import NORMAL
from planner.units import ROUNDING

T = TypeVar("T")


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


@dataclass(frozen=True)
class StorageFeed:
    """What a site's storage must have read when its engines that start for so long, or longer, begin to.

    Parameters
    ----------
    key : (site), or (site, which engines)
    engine_start_seconds : how long before a deadline that is
    placements : positions of those placements
    """

    key: Key
    gib_per_second: float
    engine_start_seconds: float
    placements: Array


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
        self.engine_start_seconds = numbers_of(p.engine_start_seconds, p.placements)
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

    def utilisation(self, f: str) -> Any:
        """How far running replicas may be filled in a failure, or in normal operation (0 to 1): all alike, or by
        placement [P], of as many as a program reckons with; `formulas.capacity` says it of a number of them."""
        p, waiting, in_failure = self.p, self.p.waiting, f != NORMAL
        if waiting is None:
            return p.utilisation_in_failure if in_failure else p.utilisation_normal
        known = waiting.utilisation
        return self.once(("utilisation", in_failure), lambda: np.array([known[e, in_failure] for e in p.placements]))

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

    @cached_property
    def more_counted(self) -> Array:
        """Fraction of what runs of an offer that counts in every failure in which more than the least does [offers].

        Where the least counts in all of them: the least.
        """
        least = self.least_counted
        counted = np.array([least, *(self.counted(f) for f in self.p.failures if f != NORMAL)])
        more = np.min(np.where(counted > least + ROUNDING, counted, np.inf), axis=0)
        return np.where(np.isfinite(more), more, least)

    def counts_more(self, f: str) -> Array:
        """Offers of which more counts in a failure than the least that counts in any [offers]."""
        return np.asarray(self.counted(f) > self.least_counted + ROUNDING)

    @cached_property
    def counted_apart(self) -> list[str]:
        """Offers told apart: where another of their pool counts less, more of them counts than their least.

        Two contracts that are renewed at different times, or one beside spot: what stands on it goes on wherever it is
        not the one that ends.
        """
        apart = np.zeros(len(self.p.offers), dtype=bool)
        for f in self.p.failures:
            lives = self.counts_less(f) & (self.available_pools(f) > 0)
            apart |= lives[self.pool_of_offer] & self.counts_more(f)
        return [self.p.offers[i] for i in np.flatnonzero(apart)]

    @cached_property
    def placements_on_offers(self) -> list[Key]:
        """Placements with the offers of their pool whose replicas are told apart [pairs]."""
        pairs = []
        for e in self.p.placements:
            pairs += [(e, b) for b in self.counted_apart if self.p.pool_of[b] == self.p.pool_of[e]]
        return pairs

    @cached_property
    def placement_of_pair(self) -> Array:
        """Position of the placement [pairs]."""
        return np.array([self.placement_at[e] for e, _ in self.placements_on_offers], dtype=int)

    @cached_property
    def offer_of_pair(self) -> Array:
        """Position of the offer [pairs]."""
        return np.array([self.offer_at[b] for _, b in self.placements_on_offers], dtype=int)

    def counts_less(self, f: str) -> Array:
        """Pools with an offer that does not count whole in a failure, of those that do not in some [Q]."""
        less = np.bincount(self.pool_of_offer, self.counted(f) < 1, minlength=self.Q) > 0
        return less & self.with_spot

    def stuck(self, f: str) -> Array:
        """Placements in which no replica can be started in a failure [P]."""
        return self.once(("stuck", f), lambda: mask_of(self.p.cannot_start[f], self.p.placements))

    def startable_seconds(self, f: str) -> Array:
        """From when on replicas can be started in a failure: from detection, or when what they need returns [s; P]."""
        later = self.p.failures[f].startable_seconds
        known = numbers_of(later, self.p.placements, 0.0) if later else np.zeros(self.P)
        return self.once(("startable", f), lambda: np.maximum(self.p.detection_seconds, known))

    def cold_start_seconds(self, f: str) -> Array:
        """When a replica that is started as soon as it can be runs in a failure, if storage feeds it [s; P]."""
        return np.asarray(self.startable_seconds(f) + self.load_seconds)

    def can_load(self, s: State) -> Array:
        """Placements of which a replica that is started as soon as it can be runs by this deadline [P].

        None where gateways keep their weights: no requests would come to it.
        """
        if s[1] == NORMAL or s[1] in self.p.rescaled:
            return np.zeros(self.P, dtype=bool)
        in_time = self.cold_start_seconds(s[1]) <= s[2] + ROUNDING
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
    def limit_offers(self) -> tuple[Array, Array, Array]:
        """(limit, offer, units of the limit that a unit of the offer takes), of the offers that it counts."""
        pairs = [
            (n, self.offer_at[b], units * self.p.machines_per_unit[b])
            for n, limit in enumerate(self.p.limits)
            for q, units in limit.units_per_machine.items()
            for b in self.p.offers_of.get(q, ())
            if b not in limit.uncounted
        ]
        return columns_of(pairs)

    @cached_property
    def limit_counts_held(self) -> Array:
        """Limits that count machines that are held [limits]."""
        return np.array([limit.counts_held for limit in self.p.limits], dtype=bool)

    @cached_property
    def limit_obtained(self) -> tuple[Array, Array, Array]:
        """As `limit_units`, of pools in which machines may be obtained in a failure that the limit counts."""
        obtainable = {b for by_offer in self.p.obtainable.values() for b in by_offer}
        of, pool, units = self.limit_units
        counted = [
            any(
                b in obtainable and b not in self.p.limits[n].uncounted
                for b in self.p.offers_of.get(self.p.pools[q], ())
            )
            for n, q in zip(of.tolist(), pool.tolist(), strict=True)
        ]
        some_counted = np.array(counted, dtype=bool)
        return of[some_counted], pool[some_counted], units[some_counted]

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
        of, pool, _ = self.limit_obtained
        return np.unique(of[self.may_obtain[pool]])

    @cached_property
    def limits_drawn(self) -> list[Key]:
        """Limits of which machines that are obtained in a failure take a part, by position."""
        return [(int(n),) for n in self.drawn_upon]

    @cached_property
    def fed_from_storage(self) -> Array:
        """Placements at sites with a storage rate [P]."""
        return np.array([self.p.site_of[self.p.pool_of[e]] in self.p.load_gib_per_second for e in self.p.placements])

    @cached_property
    def storage_feeds(self) -> list[StorageFeed]:
        """What storage must have read when the engines that start for so long, or longer, begin to: of each site."""
        feeds = []
        for site, rate in self.p.load_gib_per_second.items():
            here = np.array([self.p.site_of[self.p.pool_of[e]] == site for e in self.p.placements])
            for seconds in np.unique(self.engine_start_seconds[here]).tolist():
                last = np.flatnonzero(here & (self.engine_start_seconds >= seconds))
                key = (site, f"engines of {seconds:g} s") if seconds else (site,)
                feeds.append(StorageFeed(key, rate, seconds, last))
        return feeds

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
