"""Failures replayed on a plan or on today's fleet, by arithmetic of its own.

This module shares no code with the optimiser on purpose: a wrong formula there would pass an audit by the same formula.
It starts from the study and from counts of replicas and machines, and asks of every failure whether the goals hold.

Two ways to fail over: `resolve` asks whether any new weights and starts of replicas meet every goal, by one small
program per failure; `rescale` lets gateways renormalise their weights over what is left, and starts nothing.
"""

import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Any, Literal

import highspy
import numpy as np
from numpy.typing import NDArray

from planner.errors import Finding, InputError, SolverError
from planner.records.inventory import Site
from planner.records.plan import PlanFile, State
from planner.records.serving import ContextClass, Model, Profile
from planner.records.study import Needs, RunningReplicas, Study, Tier, Workload

Mode = Literal["resolve", "rescale"]
Progress = Callable[[int, int], None]
Numbers = NDArray[np.float64]
Flags = NDArray[np.bool_]
Indices = NDArray[np.int64]

TOLERANCE = 1e-6
"""Shortfall that breaks a goal, as a fraction of the tier's demand; likewise what a plan may overstate by."""
WHOLE = 1e-9
"""What a product may fall below a whole number by rounding."""
MOST_NODES = 20_000
"""Nodes of a search for whole replicas; a search that needs more is told as a finding."""
DAYS_PER_MONTH = 365.25 / 12
MOMENT_SECONDS = 1e-3
"""After machines that were lent come back: what holds just before and just after is looked at."""


@dataclass(frozen=True)
class DrillRow:
    """What one tier is served in one failure at one clock.

    Parameters
    ----------
    failure : id of the failure; `normal` is the failure in which nothing is lost
    clock_seconds : since the failure began [s]; at 0 nothing has been moved yet
    due_fraction, served_fraction : share of the tier's demand, that the goals ask for and that is served
    short_requests_per_second : below what is due and can be covered [requests/s]
    broken : whether a workload and origin of the tier falls short by more than 1e-6 of the tier's demand
    uncoverable_requests_per_second : what no capacity can serve in this failure [requests/s]
    """

    failure: str
    clock_seconds: float
    tier: str
    due_fraction: float
    served_fraction: float
    short_requests_per_second: float
    broken: bool
    uncoverable_requests_per_second: float


@dataclass(frozen=True)
class DrillResult:
    """All rows of a drill, worst first, and what was found beside them."""

    mode: Mode
    subject: str
    rows: tuple[DrillRow, ...]
    findings: tuple[str, ...]

    @property
    def broken(self) -> bool:
        """Whether any goal is broken."""
        return any(row.broken for row in self.rows)

    def as_dict(self) -> dict[str, Any]:
        """The result as plain data."""
        return {**asdict(self), "broken": self.broken}


@dataclass(frozen=True)
class _Failure:
    id: str
    lost: Mapping[str, float]
    surge: float
    goals: Mapping[str, list[tuple[float, float]]]
    """Tier: (deadline [s], fraction) of its goals."""

    @property
    def clocks(self) -> list[float]:
        return sorted({within for goals in self.goals.values() for within, _ in goals})

    def due(self, tier: str, clock: float) -> float:
        return max((fraction for within, fraction in self.goals.get(tier, ()) if within <= clock), default=0.0)


@dataclass(frozen=True)
class _World:
    """The study as arrays: i counts (workload, origin) with demand, e placements, q pools."""

    study: Study
    placements: dict[str, int]
    pool_of: Indices
    site_of: Indices
    """[e] number of the site in the study"""
    machines_per_replica: Numbers
    load_seconds: Numbers
    weights_gib: Numbers
    rollout: Numbers
    flows: dict[tuple[str, str], int]
    tier_of: list[Tier]
    demand: Numbers
    replica_seconds: Numbers
    """[i, e] per request, burst included [s]"""
    fits: Flags
    """[i, e] an edge, but for the round trip"""
    normal: Flags
    in_failure: Flags
    """[i, e] an edge, with the round trip that holds in normal operation and in a failure"""
    failures: tuple[_Failure, ...]


@dataclass(frozen=True)
class _Live:
    """What a failure leaves: available fractions, and of each flow the fraction that capacity can cover at all."""

    pools: Numbers
    placements: Numbers
    front: Numbers
    coverable: Numbers


@dataclass(frozen=True)
class _Stock:
    """What stands: replicas[e], traffic[i, e] in normal operation [requests/s], machines of pools."""

    replicas: Numbers
    firm: Numbers
    """[e] of the replicas, those on machines that are not spot"""
    base: Numbers
    astray: Numbers
    """[i] traffic sent where nothing can serve it [requests/s]"""
    all_machines: Numbers
    firm_machines: Numbers
    """without spot"""
    usable: Numbers
    spare: Numbers
    claims: tuple[tuple[int, float, float | None], ...] = ()
    """(pool, machines, seconds until they are back or none)"""

    def machines_in_normal(self) -> Numbers:
        """Machines for replicas in normal operation [q]."""
        lent = np.zeros_like(self.usable)
        for q, machines, _ in self.claims:
            lent[q] += machines
        return np.maximum(self.usable * (self.all_machines - lent) - self.spare, 0.0)

    def firm_in_normal(self) -> Numbers:
        """Machines that are not spot, for replicas that a failure may count on [q]."""
        lent = np.zeros_like(self.usable)
        for q, machines, _ in self.claims:
            lent[q] += machines
        return np.maximum(self.usable * (self.firm_machines - lent), 0.0)

    def machines_at(self, live: _Live, clock: float) -> Numbers:
        """Machines for replicas in a failure at a clock [q]; a claim returns strictly before the clock."""
        here = self.firm_machines.copy()
        for q, machines, back in self.claims:
            if back is None or not back < clock:
                here[q] -= machines
        return np.maximum(live.pools * self.usable * here, 0.0)


# The study as arrays


def _named(records: Iterable[Any], name: str) -> Any:
    return next(record for record in records if record.name == name)


def _misfit(study: Study, w: Workload, model: Model, profile: Profile, site: Site) -> str | None:
    """Why a profile at a site may not serve a workload, the round trip aside; none: it may."""
    tier: Tier = _named(study.tiers, w.tier)
    longest: ContextClass = _named(study.context_classes, w.context_class)
    first = max(p.first_token_ms if p.first_token_ms_high is None else p.first_token_ms_high for p in profile.classes)
    each = max(p.per_token_ms for p in profile.classes)
    checks = (
        ("model", model.model == w.model),
        ("context class", any(p.context_class == w.context_class for p in profile.classes)),
        ("context limit", profile.context_limit_tokens >= longest.most_tokens),
        ("precision", not w.precisions or profile.precision in w.precisions),
        ("features", set(w.features) <= set(profile.features)),
        ("jurisdiction", not w.jurisdictions or site.jurisdiction in w.jurisdictions),
        ("site labels", set(w.site_labels) <= set(site.labels)),
        ("time to first token", tier.first_token_ms is None or first <= tier.first_token_ms),
        ("time per token", tier.per_token_ms is None or each <= tier.per_token_ms),
    )
    return next((reason for reason, holds in checks if not holds), None)


def _kilometres(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Great circle between two (latitude, longitude) [km], radius 6371 km."""
    north_a, east_a, north_b, east_b = map(math.radians, (*a, *b))
    chord = math.sin((north_b - north_a) / 2) ** 2
    chord += math.cos(north_a) * math.cos(north_b) * math.sin((east_b - east_a) / 2) ** 2
    return 2 * 6371.0 * math.asin(min(1.0, math.sqrt(chord)))


def _last_day(study: Study) -> date:
    """What is held or qualified must last until this day to count."""
    return study.horizon.start + timedelta(days=round(study.horizon.months * DAYS_PER_MONTH) - 1)


def _round_trips_ms(study: Study, sites: list[Site]) -> dict[tuple[str, str], float]:
    """Round trip of (origin, site id) [ms]: same place, measured, by proxy, by distance; infinite where unknown."""
    measured = {(r.to_region, r.from_region): r.round_trip_ms for r in reversed(study.round_trips)}
    measured |= {(r.from_region, r.to_region): r.round_trip_ms for r in study.round_trips}
    region_at = {s.region_id: (s.latitude, s.longitude) for s in reversed(study.sites)}

    def around(place: tuple[float, float]) -> dict[str, float]:
        return {r: km for r, at in region_at.items() if (km := _kilometres(place, at)) <= 400.0}

    proxies = {r: around(region_at[r]) | {r: 0.0} for r in {site.region_id for site in sites}}
    trips: dict[tuple[str, str], float] = {}
    for origin in study.origins:
        here = region_at.get(origin.near or "")
        if origin.latitude is not None and origin.longitude is not None:
            here = (origin.latitude, origin.longitude)
        starts = around(here) if here else {}
        for site in sites:
            ends = proxies[site.region_id]
            km = _kilometres(here, (site.latitude, site.longitude)) if here else math.inf
            home = site.region_id
            known = [(x, y) for x in starts for y in ends if x == y == home or (x, y) in measured]
            pairs = [(starts[x] + ends[y], x, y) for x, y in known]
            if origin.near == site.region_id:
                trip = 2.0
            elif origin.near is not None and (origin.near, site.region_id) in measured:
                trip = measured[origin.near, site.region_id]
            elif pairs:
                _, x, y = min(pairs)
                # nothing is faster than light in fibre, 200 km per ms
                trip = max(2.0, 2 * km / 200) if x == y else measured[x, y]
            elif here:
                trip = max(2 * km / 200, 8.5 + 0.0154 * km)
            else:
                trip = math.inf
            trips[origin.name, site.id] = trip
    return trips


def _world(study: Study, case: str = "base") -> _World:
    site_number = {site.id: s for s, site in enumerate(study.sites)}
    accelerators = {machine.name: machine.accelerators for machine in study.machine_types}
    made: list[tuple[str, Model, Profile, int, Site]] = []
    for model in study.models:
        good = {q.stack for q in model.qualifications if q.until is None or q.until >= _last_day(study)}
        for profile, (q, pool) in itertools.product(model.profiles, enumerate(study.pools)):
            if profile.machine_type == pool.machine_type and profile.stack in good:
                name = f"{model.model}/{profile.name}@{pool.id}"
                made.append((name, model, profile, q, study.sites[site_number[pool.site]]))
    profiles = [profile for _, _, profile, _, _ in made]
    wanted: dict[tuple[str, str], float] = defaultdict(float)
    for demand in study.demand:
        rate = {"low": demand.low_requests_per_second, "high": demand.high_requests_per_second}.get(case)
        wanted[demand.workload, demand.origin] += demand.requests_per_second if rate is None else rate
    flows = [flow for flow, rate in wanted.items() if rate > 0]
    asks: list[Workload] = [_named(study.workloads, w) for w, _ in flows]
    tier_of: list[Tier] = [_named(study.tiers, w.tier) for w in asks]

    seconds_of: dict[str, list[float]] = {}
    for w in {w.name: w for w in asks}.values():
        seconds_of[w.name] = row = [math.nan] * len(made)
        for e, (_, model, profile, _, site) in enumerate(made):
            if _misfit(study, w, model, profile, site) is None:
                point = next(p for p in profile.classes if p.context_class == w.context_class)
                reading = w.mean_input_tokens * (1.0 - w.cached_fraction) / point.prefill_tokens_per_second
                writing = w.mean_output_tokens / point.decode_tokens_per_second
                row[e] = (reading + writing) * w.burst_factor
    shape = (len(flows), len(made))
    seconds = np.array([seconds_of[w] for w, _ in flows]).reshape(shape)
    fits = ~np.isnan(seconds)
    trips = _round_trips_ms(study, list({site.id: site for *_, site in made}.values()))
    trip = np.array([[trips[o, site.id] for *_, site in made] for _, o in flows]).reshape(shape)
    limit = [math.inf if t.round_trip_ms is None else t.round_trip_ms for t in tier_of]
    relaxed = [t.round_trip_ms_in_failure or usual for t, usual in zip(tier_of, limit, strict=True)]
    return _World(
        study=study,
        placements={name: e for e, (name, *_) in enumerate(made)},
        pool_of=np.array([q for _, _, _, q, _ in made], dtype=np.int64),
        site_of=np.array([site_number[site.id] for *_, site in made], dtype=np.int64),
        machines_per_replica=np.array(
            [1 / (accelerators[p.machine_type] // p.accelerators_per_replica) for p in profiles]
        ),
        load_seconds=np.array([p.load_seconds for p in profiles]),
        weights_gib=np.array([p.weights_gib for p in profiles]),
        rollout=np.array([m.rollout_surge_fraction for _, m, _, _, _ in made]),
        flows={flow: i for i, flow in enumerate(flows)},
        tier_of=tier_of,
        demand=np.array([wanted[flow] for flow in flows]),
        replica_seconds=np.where(fits, seconds, 0.0),
        fits=fits,
        normal=fits & np.isfinite(trip) & (trip <= np.array(limit)[:, None]),
        in_failure=fits & np.isfinite(trip) & (trip <= np.array(relaxed)[:, None]),
        failures=_failures(study, {f"stack:{p.stack}" for p in profiles}),
    )


# Failures and what they leave


def _failures(study: Study, stacks: set[str]) -> tuple[_Failure, ...]:
    """Every failure that a goal of any tier expands to, by id."""
    site_of = {site.id: site for site in study.sites}
    used = [site_of[pool.site] for pool in study.pools]
    known = {f"pool:{pool.id}" for pool in study.pools} | stacks
    known |= {f"site:{s.id}" for s in used} | {f"region:{s.region_id}" for s in used}
    known |= {f"provider:{s.provider}" for s in used} | {f"{c.kind}:{c.name}" for c in study.components}
    found: dict[str, _Failure] = {}
    for tier in study.tiers:
        for goal in tier.survive:
            if goal.failure is not None:
                named = _named(study.failures, goal.failure)
                expanded = [(f"failure:{named.name}", dict(named.lost), named.surge_factor)]
            else:
                spared = {f"{goal.any}:{name.removeprefix(f'{goal.any}:')}" for name in goal.except_}
                kind = sorted(c for c in known - spared if c.partition(":")[0] == goal.any)
                sets = itertools.combinations(kind, goal.of)
                expanded = [(" + ".join(lost), dict.fromkeys(lost, 1.0), 1.0) for lost in sets]
            for name, lost, surge in expanded:
                goals = dict(found[name].goals) if name in found else {}
                goals[tier.name] = [*goals.get(tier.name, []), (goal.within_seconds, goal.serve_fraction)]
                found[name] = _Failure(name, lost, surge, goals)
    return tuple(found[name] for name in sorted(found))


def _live(world: _World, failure: _Failure, edges: Flags) -> _Live:
    """Available fractions when a failure has come: own share left, and never more than what is needed leaves."""
    study = world.study
    needs: dict[str, list[Needs | str]] = defaultdict(list)
    for dependency in study.dependencies:
        needs[dependency.component].append(dependency.needs)
    for site in study.sites:
        needs[f"site:{site.id}"].append(f"region:{site.region_id}")
        needs[f"region:{site.region_id}"].append(f"provider:{site.provider}")
    for pool in study.pools:
        needs[f"pool:{pool.id}"].append(f"site:{pool.site}")
    stacks = {f"{m.model}/{p.name}": p.stack for m in study.models for p in m.profiles}
    for name in world.placements:
        profile, _, pool_id = name.partition("@")
        needs[f"placement:{name}"] += [f"pool:{pool_id}", f"stack:{stacks[profile]}"]
    known: dict[str, float] = {}
    asked: set[str] = set()

    def left(part: Needs | str) -> float:
        if isinstance(part, str):
            if part not in known:
                if part in asked:
                    where = f"dependencies: {part}"
                    raise InputError([Finding(where, "no cycle", "a component that needs itself", "break the cycle")])
                asked.add(part)
                known[part] = min([1.0 - failure.lost.get(part, 0.0), *map(left, needs.get(part, ()))])
            return known[part]
        if part.all_of is not None:
            return min(map(left, part.all_of), default=1.0)
        if part.any_of is not None:
            return max(map(left, part.any_of), default=0.0)
        ranked = sorted(map(left, part.of or ()), reverse=True)
        return ranked[part.at_least - 1] if part.at_least and part.at_least <= len(ranked) else 0.0

    placements = np.array([left(f"placement:{name}") for name in world.placements])
    front = np.array([min(left(f"workload:{w}"), left(f"origin:{o}")) for w, o in world.flows])
    return _Live(
        pools=np.array([left(f"pool:{pool.id}") for pool in study.pools]),
        placements=placements,
        front=front,
        coverable=np.where((edges & (placements > 0)).any(axis=1), front, 0.0),
    )


# Rescale: gateways renormalise over what is left


def _by_pool(world: _World, per_placement: Numbers) -> Numbers:
    return np.bincount(world.pool_of, weights=per_placement, minlength=len(world.study.pools)).astype(np.float64)


def _that_fit(world: _World, replicas: Numbers, machines: Numbers) -> Numbers:
    """Replicas that find room; where not all do, each placement of the pool gives up the same share."""
    need = _by_pool(world, world.machines_per_replica * replicas)
    tight = need > machines + WHOLE * np.maximum(need, 1.0)
    share = np.where(tight, machines / np.where(need > 0, need, 1.0), 1.0)[world.pool_of]
    return np.where(share < 1, np.floor(replicas * share + WHOLE), replicas)


def _carried(world: _World, traffic: Numbers, capacity: Numbers) -> Numbers:
    """Requests/s of each flow that placements carry; an overloaded one serves all its flows equally less."""
    load = (world.replica_seconds * traffic).sum(axis=0)
    share = np.divide(capacity, load, out=np.ones_like(load), where=load > capacity)
    served: Numbers = (traffic * share).sum(axis=1)
    return served


def _unmoved(stock: _Stock, world: _World, live: _Live) -> Numbers:
    """Share of demand that is served before any traffic is moved."""
    alive = (stock.base * world.normal * live.placements).sum(axis=1) * live.front
    share: Numbers = np.minimum(alive / world.demand, 1.0)
    return share


def _rescaled(world: _World, stock: _Stock, failure: _Failure, live: _Live, clock: float) -> Numbers:
    """Requests/s of each flow when gateways renormalise their weights over what is left and nothing starts."""
    offered = world.demand * failure.surge
    if clock < world.study.detection_seconds:
        return offered * _unmoved(stock, world, live)
    survivors = np.floor(live.placements * stock.firm + WHOLE)
    kept = _that_fit(world, survivors, stock.machines_at(live, clock))
    routes = np.where(world.fits & ~world.in_failure, 0.0, stock.base) * live.placements
    total = routes.sum(axis=1) + stock.astray
    sent = routes * (offered * live.front / np.where(total > 0, total, 1.0))[:, None] * world.in_failure
    return _carried(world, sent, world.study.utilisation.in_failure * kept)


# Re-solve: one small program per failure


class _Rows:
    """Rows of a program, collected as arrays."""

    def __init__(self) -> None:
        self.terms: list[tuple[Indices, Indices, Numbers]] = []
        self.bounds: list[tuple[Numbers, Numbers]] = []
        self.count = 0

    def add(self, low: Numbers, high: Numbers, *terms: tuple[Indices, Indices, Numbers]) -> None:
        """Rows `low <= sum of terms <= high`; a term is row numbers within these, columns, coefficients."""
        self.terms += [(rows + self.count, columns, values) for rows, columns, values in terms]
        self.bounds.append((low, high))
        self.count += len(low)

    def program(self, upper: Numbers) -> highspy.HighsLp:
        """The program of these rows, columns from 0 to `upper`, without costs."""
        rows, columns, values = (np.concatenate(part) for part in zip(*self.terms, strict=True))
        order = np.argsort(rows, kind="stable")
        lp = highspy.HighsLp()
        lp.num_col_, lp.num_row_ = len(upper), self.count
        lp.col_cost_, lp.col_lower_, lp.col_upper_ = np.zeros(len(upper)), np.zeros(len(upper)), upper
        lp.row_lower_, lp.row_upper_ = (np.concatenate(part) for part in zip(*self.bounds, strict=True))
        lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        lp.a_matrix_.start_ = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=self.count))])
        lp.a_matrix_.index_, lp.a_matrix_.value_ = columns[order], values[order]
        return lp


def _part(world: _World, stock: _Stock, live: _Live, clock: float) -> Numbers:
    """Replicas for which there is room in what a partly lost placement has left [e]; else infinite."""
    whole = live.pools[world.pool_of]
    machines = stock.machines_at(live, clock)[world.pool_of]
    share = np.divide(live.placements, whole, out=np.zeros_like(whole), where=whole > 0)
    partly = (live.placements > 0) & (live.placements < whole)
    return np.where(partly, share * machines / world.machines_per_replica, np.inf)


def _resolved(
    world: _World, stock: _Stock, failure: _Failure, live: _Live
) -> tuple[dict[float, Numbers], tuple[str, ...]]:
    """Requests/s of each flow at each clock under the best new weights and starts, all clocks together.

    Clocks are the deadlines, and the moments just before and after machines that were lent come back.

    Columns per time: share of offered [k], not due and not served [i], short [i], kept, loaded, room beyond [e].
    """
    deadlines, detection = failure.clocks, world.study.detection_seconds
    offered = world.demand * failure.surge
    served = {clock: np.zeros(len(offered)) for clock in deadlines}
    k_i, k_e = np.nonzero(world.in_failure & (live.placements > 0) & (live.coverable > 0)[:, None])
    if not len(k_i):
        return served, ()
    flows, row_i = np.unique(k_i, return_inverse=True)
    placed, row_e = np.unique(k_e, return_inverse=True)
    pools, row_q = np.unique(world.pool_of[placed], return_inverse=True)
    sites, row_s = np.unique(world.site_of[placed], return_inverse=True)
    rates = [world.study.sites[s].load_gib_per_second for s in sites]
    per_replica, load_seconds = world.machines_per_replica[placed], world.load_seconds[placed]
    per_share = world.replica_seconds[k_i, k_e] * offered[k_i]
    largest = np.zeros(len(placed))
    np.maximum.at(largest, row_e, per_share)
    coverable, survivors = live.coverable[flows], np.floor(live.placements * stock.firm + WHOLE)[placed]
    scale = 100.0 * offered[flows] / offered.max()
    worth = np.array([world.tier_of[i].outage_usd_per_request for i in flows])
    worth = 0.01 + worth / max(worth.max(), WHOLE)

    n_k, n_i, n_e = len(k_i), len(flows), len(placed)
    width, each, ones = n_k + 2 * n_i + 3 * n_e, np.arange(n_e), np.ones(n_e)
    returns = {at for _, _, back in stock.claims if back is not None for at in (back, back + MOMENT_SECONDS)}
    times = sorted({at for at in returns if at < deadlines[-1]} | set(deadlines))
    columns = np.arange(width * len(times)).reshape(len(times), width)
    share, beyond, short, kept, loaded, room = np.split(columns, np.cumsum([n_k, n_i, n_i, n_e, n_e]), axis=1)
    upper, costs = np.zeros(columns.size), np.zeros((3, columns.size))
    rows = _Rows()
    for t, clock in enumerate(times):
        machines = stock.machines_at(live, clock)[pools]
        due = np.array([failure.due(world.tier_of[i].name, clock) for i in flows])
        most = np.floor(machines[row_q] / per_replica + WHOLE)
        upper[share[t]] = 1.0
        upper[short[t]] = np.minimum(due, coverable)
        upper[beyond[t]] = coverable - upper[short[t]]
        upper[kept[t]], upper[room[t]] = survivors, np.inf
        upper[loaded[t]] = np.where(detection + load_seconds <= clock, most, 0.0)
        costs[0, short[t]], costs[2, short[t]], costs[2, beyond[t]] = scale, scale * worth, scale * worth
        costs[1, kept[t]], costs[1, loaded[t]] = -per_replica, per_replica
        split = [(np.arange(n_i), part[t], np.ones(n_i)) for part in (beyond, short)]
        rows.add(coverable, coverable, (row_i, share[t], np.ones(n_k)), *split)
        carry = [(each, part[t], -world.study.utilisation.in_failure / largest) for part in (kept, loaded)]
        rows.add(np.full(n_e, -np.inf), np.zeros(n_e), (row_e, share[t], per_share / largest[row_e]), *carry)
        here = np.full(n_e, -np.inf), _part(world, stock, live, clock)[placed]
        some = np.flatnonzero(np.isfinite(here[1]))
        within = [(np.arange(len(some)), part[t, some], np.ones(len(some))) for part in (kept, loaded, room)]
        rows.add(here[0][some], here[1][some], *within)
        stands = [(row_q, part[t], per_replica) for part in (kept, loaded, room)]
        rows.add(np.full(len(pools), -np.inf), machines, *stands)
        fed = np.array([math.inf if rate is None else rate * max(clock - detection, 0.0) for rate in rates])
        rows.add(np.full(len(sites), -np.inf), fed, (row_s, loaded[t], world.weights_gib[placed]))
        if t:
            rows.add(np.full(n_e, -np.inf), np.zeros(n_e), (each, kept[t], ones), (each, kept[t - 1], -ones))
            # where storage has a rate, what was loaded stays: it was fed, and is not forgotten
            fed_e = np.flatnonzero(np.isfinite(fed)[row_s])
            which, less = np.arange(len(fed_e)), -np.ones(len(fed_e))
            limit = np.full(len(fed_e), -np.inf), np.zeros(len(fed_e))
            rows.add(*limit, (which, loaded[t - 1, fed_e], -less), (which, loaded[t, fed_e], less))
        for u in range(t):
            loading = (clock - times[u] < load_seconds) | ((load_seconds > 0) & (u == t - 1))
            e = np.flatnonzero(loading & (upper[loaded[t]] > 0))
            later = [(np.arange(len(e)), part[t, e], ones[e]) for part in (kept, loaded)]
            earlier = [(np.arange(len(e)), part[u, e], -ones[e]) for part in (kept, loaded, room)]
            rows.add(np.full(len(e), -np.inf), np.zeros(len(e)), *later, *earlier)
    whole = np.concatenate([kept.ravel(), loaded.ravel()])
    value, proven = _best_whole(rows.program(upper), upper, list(costs), whole, short.ravel())
    for t, clock in enumerate(times):
        served.setdefault(clock, np.zeros(len(offered)))
        served[clock][flows] = (coverable - value[beyond[t]] - value[short[t]]) * offered[flows]
    return served, () if proven else (f"{failure.id}: search for whole replicas ended early; shortfall may be less",)


def _best_whole(
    lp: highspy.HighsLp, upper: Numbers, costs: Sequence[Numbers], whole: Indices, short: Indices
) -> tuple[Numbers, bool]:
    """Least first cost with `whole` columns whole; then the second decides these, the third what may be added.

    The relaxation's first cost is a bound; rounding up where the second cost is least mostly reaches it, and an integer
    program is the way out. Returns the columns, and whether their first cost is proven least.
    """
    none, high = np.zeros(len(upper)), upper.copy()
    every = np.arange(len(upper), dtype=np.int32)
    solver = _solver(lp)

    def run(cost: Numbers, low: Numbers, high: Numbers) -> Numbers | None:
        solver.changeColsCost(len(every), every, cost)
        solver.changeColsBounds(len(every), every, low, high)
        solver.run()
        feasible = solver.getInfo().primal_solution_status == highspy.SolutionStatus.kSolutionStatusFeasible
        return np.array(solver.getSolution().col_value) if feasible else None

    def fixed(at: Numbers) -> Numbers | None:
        low, top = none.copy(), high.copy()
        low[whole] = top[whole] = at
        return run(costs[2], low, top)

    def searched() -> Numbers:
        solver.changeColsIntegrality(len(whole), whole.astype(np.int32), np.ones(len(whole), dtype=np.uint8))
        solver.setOptionValue("objective_target", target)
        solver.setOptionValue("mip_max_nodes", MOST_NODES)
        if (value := run(costs[0], none, upper)) is None:
            raise SolverError(f"drill: the search ended with {solver.getModelStatus()}")
        return value

    if (least := run(costs[0], none, upper)) is None:
        raise SolverError(f"drill: the solver ended with {solver.getModelStatus()}")
    target = float(costs[0] @ least) + WHOLE
    high[short] = np.minimum(upper[short], np.maximum(least[short], 0.0) + WHOLE)
    calm, proven = run(costs[1], none, high), True
    at = np.ceil((least if calm is None else calm)[whole] - TOLERANCE)
    if (value := fixed(at)) is None:
        solver = _solver(lp)
        value = searched()
        proven = solver.getModelStatus() != highspy.HighsModelStatus.kSolutionLimit
        solver, at = _solver(lp), np.round(value[whole])
        high[short] = np.minimum(upper[short], np.maximum(value[short], 0.0) + TOLERANCE / 10)
    low = none.copy()
    low[whole] = at
    if (more := run(costs[2], low, high)) is not None:
        more = fixed(np.floor(more[whole] + TOLERANCE))
    return value if more is None else more, proven


def _solver(lp: highspy.HighsLp) -> Any:
    solver = highspy.Highs()  # type: ignore[no-untyped-call]
    for option, value in (("output_flag", False), ("parallel", "off"), ("mip_feasibility_tolerance", 1e-7)):
        solver.setOptionValue(option, value)
    solver.passModel(lp)
    return solver


# What stands: of a plan, of a fleet


def _lent(study: Study) -> tuple[tuple[int, float, float | None], ...]:
    number = {pool.id: q for q, pool in enumerate(study.pools)}
    return tuple(
        (number[c.pool], c.machines, None if c.reclaim_seconds is None else study.detection_seconds + c.reclaim_seconds)
        for c in study.claims
        if c.pool in number
    )


def _planned(world: _World, plan: PlanFile) -> tuple[_Stock, list[str]]:
    """What the plan says stands in normal operation."""
    study, findings = plan.study, []
    if len(hours := sorted({r.hour for r in plan.replicas} | {s.hour for s in plan.states})) > 1:
        raise InputError([Finding("plan: hours", "one hour", ", ".join(hours), "drill one hour at a time")])
    number = {pool.id: q for q, pool in enumerate(study.pools)}
    firm, spot = np.zeros(len(number)), np.zeros(len(number))
    end = _last_day(study)
    for holding in study.holdings:
        if holding.pool in number and (holding.until is None or holding.until >= end):
            firm[number[holding.pool]] += holding.machines
    offers = {offer.id: offer for offer in study.offers}
    for bought in plan.purchases:
        if (offer := offers.get(bought.offer)) is None or offer.pool not in number:
            findings.append(f"purchase of {bought.offer}: no such offer")
            continue
        (spot if offer.kind == "spot" else firm)[number[offer.pool]] += bought.units * offer.machines_per_unit
    replicas, lasting = np.zeros(len(world.placements)), np.zeros(len(world.placements))
    for row in plan.replicas:
        if row.placement in world.placements:
            replicas[world.placements[row.placement]] += row.replicas
            lasting[world.placements[row.placement]] += row.replicas if row.firm is None else row.firm
        elif row.replicas:
            findings.append(f"replicas of {row.placement}: no such placement, or stack not qualified")
    normal = next((state for state in plan.states if state.failure == "normal"), None)
    if normal is None:
        findings.append("normal: the plan states no traffic in normal operation")
    base, astray, found = _stated(world, normal, in_failure=False)
    usable = np.array([pool.usable_fraction for pool in study.pools])
    in_use = _by_pool(world, replicas) > 0
    spare = np.where(in_use, np.array([pool.spare_machines for pool in study.pools]), 0.0)
    stock = _Stock(
        replicas, np.minimum(lasting, replicas), base, astray, firm + spot, firm, usable, spare, _lent(study)
    )
    need = _by_pool(world, world.machines_per_replica * np.ceil((1.0 + world.rollout) * replicas - WHOLE))
    on_firm = _by_pool(world, world.machines_per_replica * stock.firm)
    findings += found + _above(
        "normal: machines with rollouts", study.pools, need, stock.machines_in_normal(), lambda pool: f"pool {pool.id}"
    )
    findings += _above("normal: firm replicas", world.placements, lasting, replicas)
    findings += _above(
        "normal: machines under firm replicas", study.pools, on_firm, stock.firm_in_normal(), lambda q: f"pool {q.id}"
    )
    return stock, findings


def _stated(world: _World, state: State | None, in_failure: bool) -> tuple[Numbers, Numbers, list[str]]:
    """Traffic of a state [i, e], what of it has no placement [i], and what may not be where it is."""
    traffic, astray, findings = np.zeros(world.fits.shape), np.zeros(len(world.flows)), []
    columns = (state.workload, state.origin, state.placement, state.requests_per_second) if state else ((),) * 4
    for workload, origin, placement, rate in zip(*columns, strict=True):
        i, e = world.flows.get((workload, origin)), world.placements.get(placement)
        if i is not None and e is not None:
            traffic[i, e] += rate
        elif i is not None:
            astray[i] += rate
        reason = _reason(world, workload, origin, placement, in_failure) if rate > TOLERANCE else None
        if reason:
            label = f"{state.failure} at {state.clock_seconds:g} s" if state else ""
            findings.append(f"{label}: {workload} from {origin} on {placement} is not eligible: {reason}")
    return traffic, astray, findings


def _reason(world: _World, workload: str, origin: str, placement: str, in_failure: bool) -> str | None:
    """Why traffic may not take an edge; none: it may."""
    study, i, e = world.study, world.flows.get((workload, origin)), world.placements.get(placement)
    if e is None:
        return "no such placement: pool, machine type, or stack not qualified"
    if i is None:
        return "no demand"
    if not world.fits[i, e]:
        asking, name = _named(study.workloads, workload), placement.partition("@")[0]
        offered = ((m, p) for m in study.models for p in m.profiles if f"{m.model}/{p.name}" == name)
        return _misfit(study, asking, *next(offered), study.sites[world.site_of[e]])
    return None if (world.in_failure if in_failure else world.normal)[i, e] else "round trip"


def _standing(world: _World, fleet: Sequence[RunningReplicas]) -> tuple[_Stock, list[str]]:
    """What today's fleet is: machines are what its replicas need, whole per pool."""
    study, findings = world.study, []
    number = {pool.id: q for q, pool in enumerate(study.pools)}
    accelerators = {machine.name: machine.accelerators for machine in study.machine_types}
    profiles = {f"{m.model}/{p.name}": p for m in study.models for p in m.profiles}
    weights: dict[tuple[str, str], float] = defaultdict(float)
    counts: dict[tuple[str, str], float] = {}
    for row in fleet:
        weights[row.workload, row.origin] += row.weight
        if counts.setdefault((row.profile, row.pool), row.replicas) != row.replicas:
            findings.append(f"{row.profile}@{row.pool}: rows differ in replicas; the first counts")
    replicas, need = np.zeros(len(world.placements)), np.zeros(len(number))
    for (name, pool), count in counts.items():
        e = world.placements.get(f"{name}@{pool}")
        if e is not None:
            replicas[e] = count
        if pool in number and name in profiles and profiles[name].machine_type in accelerators:
            profile = profiles[name]
            need[number[pool]] += count * profile.accelerators_per_replica / accelerators[profile.machine_type]
    base, astray = np.zeros(world.fits.shape), np.zeros(len(world.flows))
    for row in fleet:
        name = f"{row.profile}@{row.pool}"
        i, e = world.flows.get((row.workload, row.origin)), world.placements.get(name)
        if reason := _reason(world, row.workload, row.origin, name, in_failure=False):
            findings.append(f"{row.workload} from {row.origin} on {name} is not eligible: {reason}")
        if i is not None and row.weight:
            rate = world.demand[i] * row.weight / weights[row.workload, row.origin]
            if e is None:
                astray[i] += rate
            else:
                base[i, e] += rate
    findings += [f"{w} from {o} has no route" for w, o in world.flows if not weights.get((w, o))]
    machines = np.ceil(need - WHOLE)
    return _Stock(
        replicas, replicas, base, astray, machines, machines, np.ones(len(need)), np.zeros(len(need))
    ), findings


# The drill


def drill_plan(plan: PlanFile, mode: Mode = "resolve", progress: Progress | None = None) -> DrillResult:
    """Replay every failure of the plan's study on the plan's machines and replicas.

    Parameters
    ----------
    plan : the plan; of its states only the traffic of normal operation is used, see `drill_state_claims` for the rest
    mode : `resolve`: the best new weights and starts per failure; `rescale`: base weights over what is left
    progress : called with (failures done, failures in all)

    Returns
    -------
    rows of (failure, clock [s], tier), worst first; rates in requests/s

    Raises
    ------
    InputError
        when the plan has more than one hour, or its dependencies form a cycle
    SolverError
        when the solver fails
    """
    world = _world(plan.study, plan.demand_case)
    stock, findings = _planned(world, plan)
    return _drill(world, stock, mode, f"plan of {plan.study.study}", findings, progress)


def drill_fleet(
    study: Study, fleet: Sequence[RunningReplicas], mode: Mode = "rescale", progress: Progress | None = None
) -> DrillResult:
    """Replay every failure of a study on today's fleet: the machines are what its replicas need, whole per pool.

    Parameters
    ----------
    study : gives demand [requests/s], profiles, dependencies and goals; its holdings and claims are not used
    fleet : replicas per (pool, profile), weights per (workload, origin)
    mode, progress : as for `drill_plan`

    Returns
    -------
    as `drill_plan`; a row whose edge is not eligible is a finding, and what it is sent is not served
    """
    world = _world(study)
    stock, findings = _standing(world, fleet)
    return _drill(world, stock, mode, f"fleet of {study.study}", findings, progress)


def _normal(study: Study) -> _Failure:
    return _Failure("normal", {}, 1.0, {tier.name: [(0.0, tier.serve_fraction)] for tier in study.tiers})


def _drill(
    world: _World, stock: _Stock, mode: Mode, subject: str, findings: list[str], progress: Progress | None
) -> DrillResult:
    normal = _normal(world.study)
    stand = _that_fit(world, stock.replicas, stock.machines_in_normal())
    carried = _carried(world, stock.base * world.normal, world.study.utilisation.normal * stand)
    rows = _rows(world, normal, _live(world, normal, world.normal), 0.0, carried)
    for done, failure in enumerate(world.failures, start=1):
        live = _live(world, failure, world.in_failure)
        served = {0.0: _unmoved(stock, world, live) * world.demand * failure.surge}
        if mode == "rescale":
            served |= {clock: _rescaled(world, stock, failure, live, clock) for clock in failure.clocks}
        else:
            resolved, found = _resolved(world, stock, failure, live)
            served |= resolved
            findings += found
        for clock, rates in served.items():
            found_rows = _rows(world, failure, live, clock, rates)
            rows += [row for row in found_rows if row.broken or clock in (0.0, *failure.clocks)]
        if progress:
            progress(done, len(world.failures))
    rows.sort(key=lambda r: (not r.broken, r.served_fraction, r.failure, r.clock_seconds, r.tier))
    return DrillResult(mode, subject, tuple(rows), tuple(dict.fromkeys(findings)))


def _due(world: _World, failure: _Failure, live: _Live, clock: float) -> Numbers:
    """Fraction of offered that is due and can be covered [i]."""
    return np.minimum([failure.due(tier.name, clock) for tier in world.tier_of], live.coverable)


def _rows(world: _World, failure: _Failure, live: _Live, clock: float, served: Numbers) -> list[DrillRow]:
    offered = world.demand * failure.surge
    short = np.maximum(_due(world, failure, live, clock) * offered - served, 0.0)
    rows = []
    for tier in world.study.tiers:
        mine = np.array([of.name == tier.name for of in world.tier_of], dtype=bool)
        if not mine.any():
            continue
        asked = float(offered[mine].sum())
        broken = bool((short[mine] > TOLERANCE * asked).any())
        rows.append(
            DrillRow(
                failure=failure.id,
                clock_seconds=clock,
                tier=tier.name,
                due_fraction=failure.due(tier.name, clock),
                served_fraction=round(min(float(served[mine].sum()) / asked, 1.0), 9),
                short_requests_per_second=round(float(short[mine].sum()), 9) if broken else 0.0,
                broken=broken,
                uncoverable_requests_per_second=round(float(((1.0 - live.coverable) * offered)[mine].sum()), 9),
            )
        )
    return rows


# What a plan claims of its own states


def _above(
    what: str, items: Iterable[Any], value: Numbers, most: Numbers, name: Callable[[Any], str] = str
) -> list[str]:
    """Findings where a value is above what it may be at most, by more than the tolerance."""
    return [
        f"{what}: {name(item)} has {v:g}, at most {m:g}"
        for item, v, m in zip(items, value, most, strict=True)
        if v > m + TOLERANCE * max(1.0, abs(v), abs(m))
    ]


def drill_state_claims(plan: PlanFile) -> tuple[str, ...]:
    """Replay the numbers that the plan states for each of its states, and list what does not hold.

    Traffic stands on eligible, living placements and within their capacity; replicas kept and loaded exist, stand on
    machines, and could be loaded in time; what is due is served. A state left out is as normal operation.

    Raises
    ------
    InputError
        when the plan has more than one hour, or its dependencies form a cycle
    """
    world = _world(plan.study, plan.demand_case)
    stock, findings = _planned(world, plan)
    stated = {(state.failure, round(state.clock_seconds, 6)): state for state in plan.states}
    unknown = {state.failure for state in plan.states} - {f.id for f in world.failures} - {"normal"}
    findings += [f"{name}: no goal of the study expands to this failure" for name in sorted(unknown)]
    normal = _normal(plan.study)
    live = _live(world, normal, world.normal)
    findings += _claimed_traffic(world, normal, live, 0.0, stated.get(("normal", 0.0)), stock, stock.replicas)
    for failure in world.failures:
        live = _live(world, failure, world.in_failure)
        further = {c for name, c in stated if name == failure.id and c not in {round(d, 6) for d in failure.clocks}}
        before: list[tuple[float, Numbers, Numbers]] = []
        for clock in sorted(further | set(failure.clocks)):
            state = stated.get((failure.id, round(clock, 6)))
            found, kept, running, occupied = _claimed_replicas(world, failure, live, clock, state, stock)
            findings += found
            where = f"{failure.id} at {clock:g} s"
            if before:
                findings += _above(f"{where}: kept after fewer were", world.placements, kept, before[-1][1])
            for earlier, _, room in before:
                last = earlier == before[-1][0]
                loads = (clock - earlier < world.load_seconds) | (last & (world.load_seconds > 0))
                loading = np.where(loads, room, np.inf)
                findings += _above(f"{where}: running, loading at {earlier:g} s", world.placements, running, loading)
            before.append((clock, kept, occupied))
            findings += _claimed_traffic(world, failure, live, clock, state, stock, running)
    return tuple(dict.fromkeys(findings))


def _claimed_replicas(
    world: _World, failure: _Failure, live: _Live, clock: float, state: State | None, stock: _Stock
) -> tuple[list[str], Numbers, Numbers, Numbers]:
    """Findings on the replicas of a state; its kept, running and occupied replicas [e]."""
    where, findings = f"{failure.id} at {clock:g} s", []
    most = np.floor(live.placements * stock.firm + WHOLE)

    def column(stated: Mapping[str, int], default: Numbers) -> Numbers:
        values = default.copy()
        for name, value in stated.items():
            if name in world.placements:
                values[world.placements[name]] = value
            else:
                findings.append(f"{where}: replicas of {name}: no such placement")
        return values

    kept = column(state.kept if state else {}, most)
    loaded = column(state.loaded if state else {}, np.zeros_like(most))
    running = kept + loaded
    occupied = column(state.occupied if state else {}, running)
    in_time = (live.placements > 0) & (world.study.detection_seconds + world.load_seconds <= clock)
    need = _by_pool(world, world.machines_per_replica * occupied)
    feeds = [site.load_gib_per_second for site in world.study.sites]
    since = max(clock - world.study.detection_seconds, 0.0)
    fed = np.array([math.inf if rate is None else rate * since for rate in feeds])
    weights = np.bincount(world.site_of, weights=world.weights_gib * loaded, minlength=len(feeds)).astype(np.float64)
    names = list(world.placements)
    findings += _above(f"{where}: kept replicas", names, kept, most)
    findings += _above(f"{where}: loaded replicas", names, loaded, np.where(in_time, np.inf, 0.0))
    findings += _above(f"{where}: running, of those with room", names, running, occupied)
    pools = [pool.id for pool in world.study.pools]
    findings += _above(f"{where}: machines", pools, need, stock.machines_at(live, clock))
    findings += _above(
        f"{where}: replicas of a placement lost in part", names, occupied, _part(world, stock, live, clock)
    )
    findings += _above(f"{where}: GiB loaded", [site.id for site in world.study.sites], weights, fed)
    return findings, kept, running, occupied


def _claimed_traffic(
    world: _World, failure: _Failure, live: _Live, clock: float, state: State | None, stock: _Stock, running: Numbers
) -> list[str]:
    """Findings on the traffic of a state: eligible, alive, within capacity, no more than asked and all that is due."""
    where, in_failure = f"{failure.id} at {clock:g} s", failure.id != "normal"
    offered = world.demand * failure.surge
    findings: list[str] = []
    if state is None or state.same_as_normal:
        traffic, shed = stock.base, None
    else:
        traffic, _, findings = _stated(world, state, in_failure)
        shed = np.array([state.shed.get(w, {}).get(o, 0.0) for w, o in world.flows])
    edges = (world.in_failure if in_failure else world.normal) & (live.placements > 0)
    names, flows = list(world.placements), [f"{w} from {o}" for w, o in world.flows]
    wrong = np.where(edges, 0.0, traffic)
    for i, e in zip(*np.nonzero(wrong > TOLERANCE * np.maximum(1.0, offered)[:, None]), strict=True):
        findings.append(f"{where}: {flows[i]} on {names[e]}: dead, or not eligible")
    served = (traffic - wrong).sum(axis=1)
    utilisation = world.study.utilisation.in_failure if in_failure else world.study.utilisation.normal
    load = (world.replica_seconds * traffic).sum(axis=0)
    findings += _above(f"{where}: load in replicas", names, load, utilisation * running)
    findings += _above(f"{where}: requests/s", flows, served, offered * live.front)
    if shed is not None:
        adrift = np.where(live.coverable < 1, 0.0, np.abs(served + shed - offered))
        findings += _above(f"{where}: served and shed off demand", flows, adrift, TOLERANCE * offered)
    for row in _rows(world, failure, live, clock, served):
        if row.broken:
            findings.append(f"{where}: tier {row.tier} is short by {row.short_requests_per_second:g} requests/s of due")
    return findings
