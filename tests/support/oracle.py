"""Brute force over tiny studies: what the cheapest plan costs, by arithmetic that shares only the records.

Whole purchases are tried from the cheapest up; for each, every way to divide a pool's machines among its profiles, in
normal operation and at every clock of every failure. What is divisible, the traffic, is decided by Hall's condition:
each set of flows must find enough room among all the placements that any of them may use.
"""

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache

from planner.study.records.inventory import Offer, Site
from planner.study.records.study import Goal, Origin, Study

TINY = 1e-9
Counts = tuple[int, ...]
Course = tuple[Counts, ...]
"""Replicas that run, per clock, per place of a pool."""


@dataclass(frozen=True)
class Place:
    """A profile in a pool."""

    pool: str
    stack: str
    machines_each: float
    rate_per_second: float
    load_seconds: float
    rollout_surge: float


@dataclass
class Trouble:
    """Components lost together, and what is promised: tier -> (fraction, within seconds)."""

    lost: dict[str, float]
    surge: float
    promised: dict[str, list[tuple[float, float]]] = field(default_factory=dict)

    def due(self, tier: str, clock: float) -> float:
        return max((fraction for fraction, within in self.promised.get(tier, ()) if within <= clock), default=0.0)


@dataclass(frozen=True)
class Tiny:
    """A study as the oracle sees it."""

    study: Study
    pools: tuple[str, ...]
    places: tuple[tuple[Place, ...], ...]
    """per pool"""
    within: dict[str, set[str]]
    """pool -> the components whose loss it shares"""
    flows: tuple[tuple[str, float, frozenset[str], frozenset[str]], ...]
    """tier, peak requests/s, pools that may serve it in normal operation, in failures"""
    troubles: tuple[Trouble, ...]


def read(study: Study) -> Tiny:
    """The study in the oracle's own terms; what it does not know about must not occur."""
    assert not (study.dependencies or study.components or study.request_costs or study.round_trips)
    assert not (study.policies.quotas or study.policies.shares or study.policies.budget_usd)
    assert all(s.power_kw is None and s.load_gib_per_second is None for s in study.sites)
    assert all(t.first_token_ms is None and t.per_token_ms is None for t in study.tiers)
    assert len(study.models) == 1 and all(t.outage_usd_per_request == 0 for t in study.tiers)
    model, sites = study.models[0], {s.id: s for s in study.sites}
    shapes = {(w.mean_input_tokens, w.mean_output_tokens, w.cached_fraction, w.context_class) for w in study.workloads}
    assert len(shapes) == 1, "Hall's condition counts requests, so every request must take a replica's time alike"
    ((tokens_in, tokens_out, cached, _),) = shapes
    assert not cached or study.cold_starts.prefix_caches == "warm"
    chips = {m.name: m.accelerators for m in study.machine_types}
    pools = tuple(sorted(study.pools, key=lambda q: q.id))
    places = []
    for q in pools:
        here = []
        for profile in model.profiles:
            if profile.machine_type == q.machine_type:
                (point,) = profile.classes
                seconds = (
                    tokens_in * (1 - cached) / point.prefill_tokens_per_second
                    + tokens_out / point.decode_tokens_per_second
                )
                here.append(
                    Place(
                        q.id,
                        profile.stack,
                        profile.accelerators_per_replica / chips[q.machine_type],
                        1 / seconds,
                        profile.load_seconds,
                        model.rollout_surge_fraction,
                    )
                )
        places.append(tuple(here))
    within = {
        q.id: {
            f"pool:{q.id}",
            f"site:{q.site}",
            f"region:{sites[q.site].region_id}",
            f"provider:{sites[q.site].provider}",
        }
        for q in pools
    }
    tiers, origins = {t.name: t for t in study.tiers}, {o.name: o for o in study.origins}
    workloads = {w.name: w for w in study.workloads}
    flows = []
    for row in study.demand:
        w = workloads[row.workload]
        tier = tiers[w.tier]
        assert tier.serve_fraction == 1.0 and row.requests_per_second > 0
        limit = math.inf if tier.round_trip_ms is None else tier.round_trip_ms
        later = limit if tier.round_trip_ms_in_failure is None else tier.round_trip_ms_in_failure
        trips = {q.id: round_trip_ms(origins[row.origin], sites[q.site]) for q in pools}
        flows.append(
            (
                w.tier,
                row.requests_per_second * w.burst_factor,
                frozenset(q for q, ms in trips.items() if ms <= limit),
                frozenset(q for q, ms in trips.items() if ms <= later),
            )
        )
    ids = tuple(q.id for q in pools)
    return Tiny(study, ids, tuple(places), within, tuple(flows), troubles(study, places, within))


def round_trip_ms(origin: Origin, site: Site) -> float:
    """By distance on a sphere (chord): light in fibre within 400 km, the fit of what was measured beyond."""
    assert origin.latitude is not None and origin.longitude is not None
    points = []
    for latitude, longitude in ((origin.latitude, origin.longitude), (site.latitude, site.longitude)):
        up, round_ = math.radians(latitude), math.radians(longitude)
        points.append((math.cos(up) * math.cos(round_), math.cos(up) * math.sin(round_), math.sin(up)))
    km = 2 * 6371.0 * math.asin(math.dist(*points) / 2)
    return max(2.0, km / 100) if km <= 400 else max(km / 100, 8.5 + 0.0154 * km)


def troubles(study: Study, places: Iterable[Sequence[Place]], within: dict[str, set[str]]) -> tuple[Trouble, ...]:
    """What the goals of all tiers mean, each loss once."""
    there = set(itertools.chain(*within.values())) | {f"stack:{e.stack}" for here in places for e in here}
    found: dict[object, Trouble] = {}

    def promise(key: object, trouble: Trouble, tier: str, goal: Goal) -> None:
        row = (goal.serve_fraction, goal.within_seconds)
        found.setdefault(key, trouble).promised.setdefault(tier, []).append(row)

    for tier in study.tiers:
        for goal in tier.survive:
            if goal.failure is not None:
                (named,) = (f for f in study.failures if f.name == goal.failure)
                key, lost = with_maintenance(named.name, named.lost, goal)
                promise(key, Trouble(lost, named.surge_factor), tier.name, goal)
                continue
            kind = sorted(c for c in there if c.startswith(f"{goal.any}:"))
            for parts in itertools.combinations(kind, goal.of):
                assert not goal.except_
                key, lost = with_maintenance(parts, dict.fromkeys(parts, 1.0), goal)
                promise(key, Trouble(lost, 1.0), tier.name, goal)
    return tuple(found.values())


def with_maintenance(what: object, lost: dict[str, float], goal: Goal) -> tuple[object, dict[str, float]]:
    """What is lost and what is out at the same time, and what tells it from others."""
    out = goal.in_maintenance
    key = (what, *sorted(out.items()))
    return key, {c: min(1.0, lost.get(c, 0.0) + out.get(c, 0.0)) for c in {*lost, *out}}


def counts(study: Study, offer: Offer) -> tuple[float, float, float]:
    """Of an offer in every failure: share of what runs, share of what is left on the market, seconds to obtain it."""
    if offer.kind == "spot":
        return 0.0, 0.0, 0.0
    for entry in reversed(study.policies.counted):
        assert entry.any is None
        if any(fnmatchcase(offer.id, pattern) for pattern in entry.offers):
            return entry.running_fraction, entry.obtainable_fraction, entry.obtain_seconds
    return 1.0, 0.0, 0.0


def to_obtain(t: Tiny, units: dict[str, int], q: str, now: float) -> float:
    """Machines that have been obtained in a pool by now."""
    found = 0.0
    for offer in t.study.offers:
        _, share, seconds = counts(t.study, offer)
        if offer.pool == q and share and t.study.detection_seconds + seconds < now:
            found += share * (offer.most_units - units[offer.id]) * offer.machines_per_unit
    return found


def clocks(t: Tiny, trouble: Trouble) -> tuple[float, ...]:
    """Deadlines, and just before and just after machines come back, where that is before the last deadline."""
    deadlines = {within for rows in trouble.promised.values() for _, within in rows}
    found = set(deadlines)
    for claim in t.study.claims:
        if claim.reclaim_seconds is not None and claim.machines and left(t.within[claim.pool], trouble) > 0:
            back = t.study.detection_seconds + claim.reclaim_seconds
            found |= {c for c in (back, back + 0.001) if c < max(deadlines)}
    for offer in t.study.offers:
        _, share, seconds = counts(t.study, offer)
        if share and left(t.within[offer.pool], trouble) > 0:
            there = t.study.detection_seconds + seconds
            found |= {c for c in (there, there + 0.001) if c < max(deadlines)}
    return tuple(sorted(found))


def left(components: Iterable[str], trouble: Trouble) -> float:
    return min(1.0 - trouble.lost.get(c, 0.0) for c in components)


def owned(t: Tiny, units: dict[str, int], q: str, counted_only: bool) -> float:
    """Machines held and bought; in a failure those that are counted on, never spot."""
    held = sum(h.machines for h in t.study.holdings if h.pool == q and h.until is None)
    return held + sum(
        n * offer.machines_per_unit * (counts(t.study, offer)[0] if counted_only else 1.0)
        for offer in t.study.offers
        if offer.pool == q and (n := units[offer.id])
    )


@cache
def fillings(sizes: tuple[float, ...], machines: float) -> tuple[Counts, ...]:
    """Every way to fill machines with whole replicas to which none can be added."""
    if not sizes:
        return ((),)
    if len(sizes) == 1:
        return ((math.floor(machines / sizes[0] + TINY),),)
    most = math.floor(machines / sizes[0] + TINY)
    found = {(n, *rest) for n in range(most + 1) for rest in fillings(sizes[1:], machines - n * sizes[0])}
    return tuple(best(found))


def best(found: Iterable[tuple]) -> list[tuple]:
    """Those that no other one reaches or beats in everything."""
    flat = {tuple(itertools.chain(*x)) if x and isinstance(x[0], tuple) else x: x for x in found}
    return [x for key, x in flat.items() if not any(o != key and all(map(int.__ge__, o, key)) for o in flat)]


@cache
def courses(
    here: tuple[Place, ...],
    survivors: Counts,
    dead: tuple[bool, ...],
    machines: tuple[float, ...],
    moments: tuple[float, ...],
    detection: float,
) -> tuple[Course, ...]:
    """What the places of a pool may run, clock by clock, in every way that none beats.

    Each clock's machines are filled in every way. Before a place can have loaded it runs what survived, as long as that
    never had to make room; after, what had its room at the clock before and ever since it must have begun to load.
    """
    sizes = tuple(e.machines_each for e in here)
    found = set()
    for room in itertools.product(*(fillings(sizes, m) for m in machines)):
        course = []
        for i, now in enumerate(moments):
            runs = []
            for k, e in enumerate(here):
                if dead[k]:
                    runs.append(0)
                elif detection + e.load_seconds > now:
                    runs.append(min(survivors[k], *(room[j][k] for j in range(i + 1))))
                else:
                    since = [j for j in range(i) if j == i - 1 or now - moments[j] < e.load_seconds]
                    since = since if e.load_seconds > 0 else []
                    runs.append(min(room[j][k] for j in [i, *since]))
            course.append(tuple(runs))
        found.add(tuple(course))
    return tuple(best(found))


def enough(need: Sequence[float], may_use: Sequence[frozenset[str]], room: dict[str, float]) -> bool:
    """Hall: every set of flows finds room among all the pools that any of them may use."""
    flows = [i for i, n in enumerate(need) if n > 0]
    for size in range(1, len(flows) + 1):
        for some in itertools.combinations(flows, size):
            there = frozenset().union(*(may_use[i] for i in some))
            if sum(need[i] for i in some) > sum(room[q] for q in there) + 1e-7:
                return False
    return True


def room_of(here: Sequence[Place], runs: Sequence[int], utilisation: float) -> float:
    return sum(utilisation * e.rate_per_second * n for e, n in zip(here, runs, strict=True))


def survives(t: Tiny, trouble: Trouble, units: dict[str, int], replicas: Sequence[Counts]) -> bool:
    """Whether some course of every pool serves what is due at every clock."""
    moments = clocks(t, trouble)
    choices = []
    for q, here, ran in zip(t.pools, t.places, replicas, strict=True):
        share = left(t.within[q], trouble)
        alive = [min(share, left({f"stack:{e.stack}"}, trouble)) for e in here]
        counted = owned(t, units, q, counted_only=True)
        usable = next(p.usable_fraction for p in t.study.pools if p.id == q)
        machines = []
        for now in moments:
            away = sum(
                c.machines
                for c in t.study.claims
                if c.pool == q and (c.reclaim_seconds is None or t.study.detection_seconds + c.reclaim_seconds >= now)
            )
            machines.append(share * usable * (counted + to_obtain(t, units, q, now) - away))
        choices.append(
            courses(
                here,
                tuple(math.floor(a * n + TINY) for a, n in zip(alive, ran, strict=True)),
                tuple(a <= 0 for a in alive),
                tuple(machines),
                moments,
                t.study.detection_seconds,
            )
        )
    alive_pools = {
        q
        for q, here in zip(t.pools, t.places, strict=True)
        if any(left(t.within[q] | {f"stack:{e.stack}"}, trouble) > 0 for e in here)
    }
    may_use = [pools for _, _, _, pools in t.flows]
    return any(
        all(
            enough(
                [
                    # what nothing alive may serve is nobody's to serve
                    trouble.due(tier, now) * peak * trouble.surge if pools & alive_pools else 0.0
                    for tier, peak, _, pools in t.flows
                ],
                may_use,
                {
                    q: room_of(here, course[i], t.study.utilisation.in_failure)
                    for q, here, course in zip(t.pools, t.places, chosen, strict=True)
                },
            )
            for i, now in enumerate(moments)
        )
        for chosen in itertools.product(*choices)
    )


@cache
def beside_their_rollout(here: tuple[Place, ...], machines: float) -> tuple[Counts, ...]:
    """Every way to fill machines with whole replicas, and whole ones of a rollout beside them, maximal ones."""
    if not here:
        return ((),)
    found = set()
    for n in itertools.count():
        takes = math.ceil(n * (1 + here[0].rollout_surge) - TINY) * here[0].machines_each
        if takes > machines + TINY:
            break
        found |= {(n, *rest) for rest in beside_their_rollout(here[1:], machines - takes)}
    return tuple(best(found))


def on_firm_machines(t: Tiny, units: dict[str, int], replicas: Sequence[Counts]) -> Iterator[tuple[Counts, ...]]:
    """The ways to choose which replicas stand on machines that are not spot: chosen once, for all failures."""
    choices = []
    for q, here, ran in zip(t.pools, t.places, replicas, strict=True):
        pool = next(p for p in t.study.pools if p.id == q)
        lent = sum(c.machines for c in t.study.claims if c.pool == q)
        non_preemptible = pool.usable_fraction * (owned(t, units, q, counted_only=True) - lent)
        some = itertools.product(*(range(n + 1) for n in ran))
        sizes = [e.machines_each for e in here]
        fit = [n for n in some if sum(map(float.__mul__, sizes, map(float, n))) <= non_preemptible + TINY]
        choices.append(tuple(best(fit)))
    return itertools.product(*choices)


def normal_operation(t: Tiny, units: dict[str, int]) -> Iterator[tuple[Counts, ...]]:
    """The ways to run replicas when nothing is lost that serve all demand: on machines, with the rollout beside them.

    More replicas only help in a failure, as they may be let go: the ways to which none can be added are enough.
    """
    choices = []
    for q, here in zip(t.pools, t.places, strict=True):
        pool = next(p for p in t.study.pools if p.id == q)
        lent = sum(c.machines for c in t.study.claims if c.pool == q)
        machines = pool.usable_fraction * (owned(t, units, q, counted_only=False) - lent)
        if machines < -TINY:
            return
        # spare machines are kept beside what runs; where nothing runs, none are
        room = machines - pool.spare_machines
        choices.append(beside_their_rollout(here, room) if room >= -TINY else ((0,) * len(here),))
    for replicas in itertools.product(*choices):
        rows = zip(t.pools, t.places, replicas, strict=True)
        room = {q: room_of(here, runs, t.study.utilisation.normal) for q, here, runs in rows}
        if enough([peak for _, peak, _, _ in t.flows], [pools for _, _, pools, _ in t.flows], room):
            yield replicas


def cheapest(study: Study) -> tuple[float, dict[str, int]] | None:
    """Cost [USD over the horizon] and units by offer of the cheapest plan; None when there is none."""
    t = read(study)
    hours = study.hours_per_month * study.horizon.months
    price = {row.offer_id: row.price_usd_per_machine_hour for row in study.prices}
    names = [b.id for b in study.offers]
    each = [price[b.id] * b.machines_per_unit * hours for b in study.offers]
    assert all(b.kind in ("on_demand", "spot") and b.most_units is not None for b in study.offers)
    ways = sorted(
        (sum(map(float.__mul__, each, map(float, n))), n)
        for n in itertools.product(*(range(int(b.most_units or 0) + 1) for b in study.offers))
    )
    order = list(t.troubles)
    for cost, n in ways:
        units = dict(zip(names, n, strict=True))
        for replicas in normal_operation(t, units):
            for non_preemptible in on_firm_machines(t, units, replicas):
                for trouble in order:
                    if not survives(t, trouble, units, non_preemptible):
                        order.remove(trouble)
                        order.insert(0, trouble)
                        break
                else:
                    return cost, units
    return None
