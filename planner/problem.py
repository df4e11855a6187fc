"""All that is given and all that is chosen, as sets and numbers.

Index letters, everywhere in this order: w workload, o origin, e placement, q pool, b offer, t period, h hour,
f failure, c clock [s], s = (h, f, c).
"""

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from fnmatch import fnmatchcase
from typing import Any

from planner.algebra import Key, Linear, Sparse
from planner.network import Reach, reaches
from planner.periods import (
    Span,
    covers,
    demand_by_hour,
    earliest_day,
    hour_id,
    hours_of,
    may_start,
    paid_months,
    price_in,
    spans,
    through,
    touches,
)
from planner.records.inventory import MachineType, Offer, Pool, Site
from planner.records.serving import Model, OperatingPoint, Profile
from planner.records.study import Failover, Needs, Study, Tier, Workload
from planner.risk import (
    NORMAL,
    Failure,
    Graph,
    availability,
    cannot_start,
    dependency_graph,
    expand,
    placements,
    rated,
)
from planner.units import MONTHS_PER_YEAR

State = tuple[str, str, float]
PERIOD = "period-1"
HOUR = hour_id(PERIOD, "mean-hour")
"""The period and the hour of a study that names none."""
HOURLY = ("on_demand", "spot")
FEW_UNITS = 4
"""A pool of at most so many units gets the row that ties each request to the opening of a unit."""
MOST_PASSAGES = 500
"""Unions of choices between limited components that are looked at; beyond, the rows that are there still hold."""
MOMENT_SECONDS = 1e-3
"""After machines that were lent come back: a claim is back at every clock later than its return."""

WHY_NOT = {
    reason.partition(":")[0]: reason
    for reason in (
        "context: the profile does not admit the context class",
        "precision: not among those the workload allows",
        "feature: the profile lacks a feature that the workload needs",
        "first token: slower than the tier's target for the worst class that the profile admits",
        "per token: slower than the tier's target for the worst class that the profile admits",
        "jurisdiction: the site is outside those the workload allows",
        "label: the site lacks a label that the workload needs",
        "round trip: longer than the tier's limit, or not known",
    )
}
"""The closed list of reasons for which an edge to a placement of the workload's model is missing.

A placement exists only where the machine type is right and the stack is qualified for the model."""


@dataclass(frozen=True)
class Limit:
    """A limit on machines held and bought together: `Σ units_per_machine[q] · machines ≤ most`."""

    name: str
    unit: str
    units_per_machine: Mapping[str, float]
    most: float
    periods: tuple[str, ...] | None = None
    """those in which it holds; None: all"""


@dataclass(frozen=True)
class ShareLimit:
    """A limit on the requests that a component serves in normal operation [fraction of all]."""

    component: str
    placements: frozenset[str]
    most_fraction: float


@dataclass(frozen=True)
class Priced:
    """How often a failure happens over the horizon, and how long it lasts [h]: what it costs is minimised, too."""

    occurrences: float
    hours_to_repair: float


@dataclass(frozen=True)
class Passage:
    """Components that requests must pass, any one of them where there are several, and what they let through together.

    Parameters
    ----------
    components : ids; together they let `Σ most_requests_per_second · available fraction` through
    times : workload, origin or placement (`workload:NAME`, `origin:NAME`, id) -> how often its requests pass here
    """

    components: tuple[str, ...]
    times: Mapping[str, int]


@dataclass(frozen=True)
class Problem:
    """Everything that is given. Keys are ids; units are in the names; see the module for the index letters."""

    flows: tuple[tuple[str, str], ...]
    """(w, o) with demand"""
    placements: tuple[str, ...]
    """those with an edge, in normal operation or in failures"""
    pools: tuple[str, ...]
    offers: tuple[str, ...]
    periods: tuple[str, ...]
    hours: tuple[str, ...]
    period_of: Mapping[str, str]
    hours_in: Mapping[str, float]
    """t or h -> hours of the horizon that it stands for [h]"""
    failures: Mapping[str, Failure]
    """f -> failure, normal operation first"""
    clocks_seconds: Mapping[str, tuple[float, ...]]
    """f -> clocks [s]"""
    promised: Mapping[str, tuple[tuple[str, float, float], ...]]
    """f -> (tier, serve fraction, within seconds)"""
    lost: Mapping[str, Mapping[str, float]]
    """f -> pool, placement or limited component -> available fraction, where below 1"""
    cannot_start: Mapping[str, frozenset[str]]
    """f -> placements in which no replica can be started"""
    passages: tuple[Passage, ...]
    most_requests_per_second: Mapping[str, float]
    """component -> requests that it lets through [requests/s]"""
    coverable: Mapping[str, Mapping[tuple[str, str], float]]
    """f -> (w, o) -> fraction that any capacity could serve, where below 1"""
    edges: Mapping[tuple[str, str], tuple[str, ...]]
    edges_in_failure: Mapping[tuple[str, str], tuple[str, ...]]
    why_not: Mapping[tuple[str, str, str], str]
    """(w, o, e) -> reason for the missing edge"""
    tier_of: Mapping[str, str]
    demand_requests_per_second: Mapping[tuple[str, str, str], float]
    """(w, o, h)"""
    burst_factor: Mapping[str, float]
    serve_fraction: Mapping[str, float]
    """w -> share served in normal operation"""
    outage_usd_per_request: Mapping[str, float]
    replica_seconds: Mapping[tuple[str, str], float]
    """(w, e) -> replica-seconds per request"""
    replica_seconds_in_failure: Mapping[tuple[str, str], float]
    """the same with caches as they are after a move"""
    machines_per_replica: Mapping[str, float]
    load_seconds: Mapping[str, float]
    weights_gib: Mapping[str, float]
    rollout_surge_fraction: Mapping[str, float]
    pool_of: Mapping[str, str]
    """e or b -> q"""
    on_pool: Mapping[str, tuple[str, ...]]
    site_of: Mapping[str, str]
    load_gib_per_second: Mapping[str, float]
    """site -> storage rate, where limited"""
    usable_fraction: Mapping[str, float]
    spare_machines: Mapping[str, float]
    maybe_unused: Mapping[str, float]
    """q -> machines that it can have at most, for pools whose spare machines would have to be bought"""
    held_machines: Mapping[tuple[str, str], float]
    """(q, t)"""
    claims: Mapping[tuple[str, str], tuple[tuple[float, float | None], ...]]
    """(q, t) -> (machines, seconds to reclaim or None)"""
    offers_of: Mapping[str, tuple[str, ...]]
    hourly: frozenset[str]
    counted: Mapping[str, Mapping[str, float]]
    """f -> b -> fraction of what runs that counts, where below 1; spot 0"""
    obtainable: Mapping[str, Mapping[str, tuple[float, float]]]
    """f -> b -> (fraction of what is still on the market that can be obtained, seconds until it is there)"""
    with_spot: frozenset[str]
    """pools with an offer that does not count whole in every failure"""
    machines_per_unit: Mapping[str, int]
    most_units: Mapping[str, float]
    price_usd_per_machine_hour: Mapping[str, float]
    limits: tuple[Limit, ...]
    shares: tuple[ShareLimit, ...]
    budget_usd: float | None
    objective: str
    cvar_level: float
    priced: Mapping[str, Priced]
    """f -> rate, for failures whose cost is minimised with all else; empty where the objective is cost alone"""
    request_usd: Mapping[tuple[str, str], float]
    """(o, site) -> USD per request, where not zero"""
    round_trip_ms: Mapping[tuple[str, str], Reach]
    """(o, site)"""
    few_large_units: frozenset[str]
    utilisation_normal: float
    utilisation_in_failure: float
    detection_seconds: float

    @property
    def edges_nested(self) -> bool:
        """Whether every edge of normal operation exists in failures, too."""
        return all(set(some) <= set(self.edges_in_failure[flow]) for flow, some in self.edges.items())

    not_offered: Mapping[str, str] = field(default_factory=dict)
    """offer id -> why it cannot be bought in this study"""
    starts: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    """(b, t) -> periods in which a unit can start that is there through t; not for hourly offers"""
    paid_hours: Mapping[tuple[str, str], float] = field(default_factory=dict)
    """(b, t) -> hours of the horizon that a unit started in t is paid for; hourly: hours of t"""
    price_factor: Mapping[tuple[str, str], float] = field(default_factory=dict)
    """(b, t) -> factor on the list price of what starts or is rented in t, where not 1"""
    deferrable: frozenset[str] = frozenset()
    """workloads served over the hours of their period, in normal operation"""
    failover: Failover = "resolve"
    """how requests move in a failure: weights chosen anew, or fixed ones renormalised over what is left"""

    def may_start(self, b: str, t: str) -> bool:
        """Whether a unit of an offer can start in a period."""
        return t in self.starts.get((b, t), ())


@dataclass
class Decisions:
    """All that is chosen: variables of a program, or numbers of a plan. What is absent is zero."""

    started: Mapping[Key, Linear]
    """(b, t) units"""
    rented: Mapping[Key, Linear]
    """(b, h) units of hourly offers"""
    replicas: Mapping[Key, Linear]
    """(e, h)"""
    firm: Mapping[Key, Linear]
    """(e, h) replicas on machines that count in every failure, for pools of `with_spot`; elsewhere all are"""
    opened: Mapping[Key, Linear]
    """(q, h) 1 where a replica runs, for pools of `maybe_unused`"""
    traffic: Mapping[Key, Linear]
    """(w, o, e, s) requests/s"""
    shed: Mapping[Key, Linear]
    """(w, o, s) requests/s not served"""
    excess: Mapping[Key, Linear]
    """(w, o, s) requests/s short of the goal: zero in every plan, freed in tests"""
    offered: Mapping[Key, Linear]
    """(w, o, s) requests/s"""
    kept: Mapping[Key, Linear]
    """(e, s) replicas that ran before the failure and still run"""
    loaded: Mapping[Key, Linear]
    """(e, s) replicas started since"""
    occupied: Mapping[Key, Linear]
    """(e, s) replicas that take up room"""
    passing: Mapping[Key, Linear]
    """(passage, s) requests/s through components with a limit"""
    spared: Mapping[Key, Linear]
    """(e, s) 1 where a placement on which a partial loss falls keeps replicas"""
    outage: Mapping[Key, Linear]
    """(f,) USD that one occurrence of a priced failure costs beyond normal operation, any sign"""
    tail: Mapping[Key, Linear]
    """("worst",) the dearest outage; ("threshold",), ("above", f): Rockafellar and Uryasev's variables [USD]"""
    machines: Mapping[Key, Linear]
    """(q, s) machines that are up and ours to use"""
    reserve: Mapping[Key, Linear]
    """(w, o, e, h) requests/s that a gateway may send at most, to which its weights are proportional; rescaling only"""


def no_decisions() -> Decisions:
    """Nothing chosen: every decision zero."""
    return Decisions(*(Sparse() for _ in fields(Decisions)))


def replica_seconds_per_request(
    workload: Workload, point: OperatingPoint, cached_fraction: float | None = None
) -> float:
    """Replica-seconds that one request takes.

    Formula
        input tokens · (1 − cached fraction) / prefill rate + output tokens / decode rate
    Units
        s of one replica per request
    `cached_fraction` stands in for the workload's own where given: caches are cold after a move.

    Source
        Little's law: on a measured row of the same shape it equals
        (time to first token + (output − 1) · time per token) / concurrency, by the choice of the two rates.
    """
    cached = workload.cached_fraction if cached_fraction is None else cached_fraction
    return (
        workload.mean_input_tokens * (1 - cached) / point.prefill_tokens_per_second
        + workload.mean_output_tokens / point.decode_tokens_per_second
    )


def misfit(w: Workload, tier: Tier, profile: Profile, most_tokens: int, site: Site) -> str | None:
    """Why a profile of the workload's model cannot serve it at a site, however near; None when it can."""
    first_token_ms = max(
        p.first_token_ms if p.first_token_ms_high is None else p.first_token_ms_high for p in profile.classes
    )
    per_token_ms = max(p.per_token_ms for p in profile.classes)
    admitted = {p.context_class for p in profile.classes}
    holds = {
        "context": w.context_class in admitted and profile.context_limit_tokens >= most_tokens,
        "precision": not w.precisions or profile.precision in w.precisions,
        "feature": set(w.features) <= set(profile.features),
        "first token": tier.first_token_ms is None or first_token_ms <= tier.first_token_ms,
        "per token": tier.per_token_ms is None or per_token_ms <= tier.per_token_ms,
        "jurisdiction": not w.jurisdictions or site.jurisdiction in w.jurisdictions,
        "label": set(w.site_labels) <= set(site.labels),
    }
    return next((WHY_NOT[reason] for reason, held in holds.items() if not held), None)


def not_offered(study: Study, offer: Offer) -> str | None:
    """Why an offer cannot be bought in this study; None when it can."""
    policies, horizon = study.policies, study.horizon
    if offer.kind not in policies.offers:
        return f"policy: {offer.kind} is not among policies.offers"
    if offer.term_months > horizon.months and not policies.terms_beyond_horizon:
        return f"term: {offer.term_months:g} months run past the horizon of {horizon.months:g}"
    last = spans(study)[-1].first_day
    if earliest_day(study, offer) > last:
        return f"lead time: {offer.lead_days:g} days from {study.today} end after {last}"
    if not any(may_start(study, offer, span) for span in spans(study)):
        return "start: no period begins between its lead time, its window and the horizon less its term"
    if not _covering(study, offer):
        return f"length: {offer.length_days or 0.0:g} days are there through no whole period"
    return None


def _covering(study: Study, offer: Offer) -> dict[str, tuple[str, ...]]:
    """Period -> periods in which a unit of the offer can start that is there through it; hourly: itself."""
    periods = spans(study)
    found = {}
    for t in periods:
        if offer.kind in HOURLY:
            starts = [t] if may_start(study, offer, t) else []
        else:
            able = [s for s in periods if may_start(study, offer, s)]
            starts = [s for s in able if covers(offer, s, t, len(periods) > 1)]
        if starts:
            found[t.name] = tuple(s.name for s in starts)
    return found


def _contracts(study: Study, offers: Mapping[str, Offer]) -> dict[str, Any]:
    """What a problem says of contracts over time: starts, paid hours, factors on prices."""
    periods, prices = spans(study), {row.offer_id: row for row in study.prices}
    starts = {(b, t): names for b, offer in offers.items() for t, names in _covering(study, offer).items()}
    paid, factors = {}, {}
    for b, offer in offers.items():
        for t in periods:
            months = t.months if offer.kind in HOURLY else paid_months(offer, t, study.horizon.months)
            paid[b, t.name] = study.hours_per_month * months
            price, then = prices[b].price_usd_per_machine_hour, price_in(study, offer, prices[b], t)
            if then != price and price:
                factors[b, t.name] = then / price
    return {"starts": starts, "paid_hours": paid, "price_factor": factors}


@dataclass(frozen=True)
class _Parts:
    """A study's records by id, and what follows from them at once: what the pieces of a problem are made of."""

    study: Study
    placements: tuple[str, ...]
    model: Mapping[str, Model]
    profile: Mapping[str, Profile]
    pool: Mapping[str, Pool]
    """e -> record"""
    pools: Mapping[str, Pool]
    sites: Mapping[str, Site]
    machine: Mapping[str, MachineType]
    tiers: Mapping[str, Tier]
    workloads: Mapping[str, Workload]
    most_tokens: Mapping[str, int]
    reach: Mapping[tuple[str, str], Reach]


def _parts(study: Study) -> _Parts:
    found = placements(study)
    names = tuple(sorted(found))
    return _Parts(
        study=study,
        placements=names,
        model={e: study.models[found[e][0]] for e in names},
        profile={e: study.models[found[e][0]].profiles[found[e][1]] for e in names},
        pool={e: study.pools[found[e][2]] for e in names},
        pools={q.id: q for q in sorted(study.pools, key=lambda q: q.id)},
        sites={site.id: site for site in study.sites},
        machine={m.name: m for m in study.machine_types},
        tiers={tier.name: tier for tier in study.tiers},
        workloads={w.name: w for w in study.workloads},
        most_tokens={c.name: c.most_tokens for c in study.context_classes},
        reach=reaches(study),
    )


def build(study: Study, demand: str = "base", with_goals: bool = True) -> Problem:
    """The problem of a study.

    Parameters
    ----------
    study : validated, every reference resolved
    demand : `base`, `low` or `high`
    with_goals : False leaves normal operation only
    """
    parts = _parts(study)
    pools = parts.pools
    wanted = demand_by_hour(study, demand)
    flows = tuple(dict.fromkeys((w, o) for w, o, _ in wanted))
    edges, edges_in_failure, why_not = _edges(parts, flows)
    serving = {e for some in (*edges.values(), *edges_in_failure.values()) for e in some}
    names = tuple(e for e in parts.placements if e in serving)
    graph = dependency_graph(study)
    failures, promised = _failures(parts, graph, with_goals)
    years = study.horizon.months / MONTHS_PER_YEAR
    passages = _passages(parts, graph, names)
    lost, coverable, stuck = _losses(parts, graph, failures, flows, edges, edges_in_failure)
    periods = spans(study)
    (period_of, hours_in), hours = hours_of(study)
    price = {row.offer_id: row.price_usd_per_machine_hour for row in study.prices}
    refused = {b.id: reason for b in study.offers if (reason := not_offered(study, b)) is not None}
    offers = {b.id: b for b in sorted(study.offers, key=lambda b: b.id) if b.id not in refused and b.id in price}
    offers_of = {q: tuple(b for b in offers if offers[b].pool == q) for q in pools}
    most_units = {b: float("inf") if offer.most_units is None else offer.most_units for b, offer in offers.items()}
    held = {(q, t.name): held_machines(study, q, t) for q in pools for t in periods}
    counted, obtainable = _counted(study, offers, failures)
    problem = Problem(
        flows=flows,
        placements=names,
        pools=tuple(pools),
        offers=tuple(offers),
        periods=tuple(t.name for t in periods),
        hours=hours,
        period_of=period_of,
        hours_in=hours_in,
        failures=failures,
        clocks_seconds={},
        promised=promised,
        lost=lost,
        coverable=coverable,
        cannot_start=stuck,
        passages=passages,
        most_requests_per_second=_limited(study),
        edges=edges,
        edges_in_failure=edges_in_failure,
        why_not=why_not,
        tier_of={w.name: w.tier for w in study.workloads},
        demand_requests_per_second=wanted,
        burst_factor={w.name: w.burst_factor for w in study.workloads},
        serve_fraction={w.name: parts.tiers[w.tier].serve_fraction for w in study.workloads},
        outage_usd_per_request={w.name: parts.tiers[w.tier].outage_usd_per_request for w in study.workloads},
        replica_seconds=_replica_seconds(parts, in_failure=False),
        replica_seconds_in_failure=_replica_seconds(parts, in_failure=True),
        machines_per_replica={
            # whole replicas on a machine: what is left over of its accelerators is lost
            e: 1 / (parts.machine[parts.pool[e].machine_type].accelerators // parts.profile[e].accelerators_per_replica)
            for e in names
        },
        load_seconds={e: parts.profile[e].load_seconds for e in names},
        weights_gib={e: parts.profile[e].weights_gib for e in names},
        rollout_surge_fraction={e: parts.model[e].rollout_surge_fraction for e in names},
        pool_of={e: parts.pool[e].id for e in names} | {b: offers[b].pool for b in offers},
        on_pool={q: tuple(e for e in names if parts.pool[e].id == q) for q in pools},
        site_of={q: pools[q].site for q in pools},
        load_gib_per_second={s.id: s.load_gib_per_second for s in study.sites if s.load_gib_per_second is not None},
        usable_fraction={q: pools[q].usable_fraction for q in pools},
        spare_machines={q: pools[q].spare_machines for q in pools},
        maybe_unused={},
        held_machines=held,
        claims={(q, t.name): claims_of(study, q, t) for q in pools for t in periods},
        offers_of=offers_of,
        hourly=frozenset(b for b in offers if offers[b].kind in HOURLY),
        counted=counted,
        obtainable=obtainable,
        with_spot=frozenset(offers[b].pool for some in counted.values() for b in some),
        machines_per_unit={b: offers[b].machines_per_unit for b in offers},
        most_units=most_units,
        price_usd_per_machine_hour={b: price[b] for b in offers},
        limits=_limits(parts),
        shares=_shares(parts),
        budget_usd=study.policies.budget_usd,
        objective=study.objective,
        cvar_level=study.cvar_level,
        priced={f: rate for f, failure in failures.items() if (rate := _priced(study, failure, years)) and with_goals},
        request_usd={(r.origin, r.site): r.usd_per_request for r in study.request_costs if r.usd_per_request},
        round_trip_ms=parts.reach,
        few_large_units=frozenset(
            q
            for q in pools
            if not any(held[q, t.name] for t in periods)
            and offers_of[q]
            and sum(most_units[b] for b in offers_of[q]) <= FEW_UNITS
        ),
        utilisation_normal=study.utilisation.normal,
        utilisation_in_failure=study.utilisation.in_failure,
        detection_seconds=study.detection_seconds,
        not_offered=refused,
        failover=study.failover,
        deferrable=frozenset(w.name for w in study.workloads if parts.tiers[w.tier].deferrable_hours),
        **_contracts(study, offers),
    )
    problem = replace(problem, clocks_seconds={f: clocks(problem, f) for f in failures})
    return replace(problem, maybe_unused=_maybe_unused(problem))


def _maybe_unused(p: Problem) -> dict[str, float]:
    """Pools whose spare machines would have to be bought -> machines that they can have, or ever use, at most."""
    found = {}
    for q in p.pools:
        least = min(p.held_machines[q, t] - sum(machines for machines, _ in p.claims[q, t]) for t in p.periods)
        if p.spare_machines[q] > 0 and p.usable_fraction[q] * least < p.spare_machines[q]:
            found[q] = most_machines(p, q)
    return found


def most_machines(p: Problem, q: str) -> float:
    """Machines that a pool can have, or that could ever be of use there [machines].

    Nothing needs more replicas than serve everything, with every surge, from what the worst partial loss leaves.
    """
    surge = max(
        f.surge_factor * math.prod(max(1.0, factor) for factor in f.surges.values()) for f in p.failures.values()
    )
    worst = surge / min(p.utilisation_normal, p.utilisation_in_failure)
    held = max(p.held_machines[q, t] for t in p.periods)
    most = held + sum(p.machines_per_unit[b] * p.most_units[b] for b in p.offers_of[q])
    left = min((v for lost in p.lost.values() for e in (*p.on_pool[q], q) if (v := lost.get(e, 1.0)) > 0), default=1.0)
    needed = 0.0
    for e in p.on_pool[q]:
        work = sum(
            max(p.replica_seconds[w, e], p.replica_seconds_in_failure[w, e]) * p.burst_factor[w] * v
            for (w, _, _), v in p.demand_requests_per_second.items()
            if (w, e) in p.replica_seconds
        )
        needed += p.machines_per_replica[e] * (work * worst / left + 1)
    return min(most, max(held, needed / p.usable_fraction[q]))


def held_machines(study: Study, pool: str, period: Span) -> float:
    """Machines of a pool that are held through a whole period [machines]."""
    there = (h.machines for h in study.holdings if h.pool == pool and through(h.from_day, h.until, period))
    return float(sum(there))


def claims_of(study: Study, pool: str, period: Span) -> tuple[tuple[float, float | None], ...]:
    """Machines of a pool that are lent on some day of a period, and seconds to reclaim them."""
    lent = (c for c in study.claims if c.pool == pool and touches(c.from_day, c.until, period))
    return tuple((float(c.machines), c.reclaim_seconds) for c in lent)


Flow = tuple[str, str]
Edges = dict[Flow, tuple[str, ...]]


def _edges(parts: _Parts, flows: tuple[Flow, ...]) -> tuple[Edges, Edges, dict[tuple[str, str, str], str]]:
    """Edges in normal operation and in failures, and the reason for each that is missing in normal operation."""
    edges: Edges = {}
    edges_in_failure: Edges = {}
    why_not: dict[tuple[str, str, str], str] = {}
    for w, o in flows:
        workload = parts.workloads[w]
        tier = parts.tiers[workload.tier]
        limit = float("inf") if tier.round_trip_ms is None else tier.round_trip_ms
        limit_in_failure = limit if tier.round_trip_ms_in_failure is None else tier.round_trip_ms_in_failure
        normal, in_failure = [], []
        for e in parts.placements:
            if parts.model[e].model != workload.model:
                continue
            site = parts.sites[parts.pool[e].site]
            reason = misfit(workload, tier, parts.profile[e], parts.most_tokens[workload.context_class], site)
            if reason is not None:
                why_not[w, o, e] = reason
                continue
            trip = parts.reach[o, site.id].round_trip_ms if (o, site.id) in parts.reach else float("inf")
            if trip <= limit:
                normal.append(e)
            else:
                why_not[w, o, e] = WHY_NOT["round trip"]
            if trip <= limit_in_failure:
                in_failure.append(e)
        edges[w, o], edges_in_failure[w, o] = tuple(normal), tuple(in_failure)
    return edges, edges_in_failure, why_not


def _replica_seconds(parts: _Parts, in_failure: bool) -> dict[tuple[str, str], float]:
    cold = {w: x.cached_fraction_in_failure if in_failure else None for w, x in parts.workloads.items()}
    return {
        (w.name, e): replica_seconds_per_request(w, point, cold[w.name])
        for w in parts.workloads.values()
        for e in parts.placements
        for point in parts.profile[e].classes
        if parts.model[e].model == w.model and point.context_class == w.context_class
    }


def _failures(
    parts: _Parts, graph: Graph, with_goals: bool
) -> tuple[dict[str, Failure], dict[str, tuple[tuple[str, float, float], ...]]]:
    """Failures that the goals mean, normal operation first, and what is promised in each."""
    failures = {NORMAL: Failure(NORMAL)}
    promised: dict[str, list[tuple[str, float, float]]] = {NORMAL: []}
    for tier in parts.study.tiers if with_goals else ():
        for goal in tier.survive:
            for failure in expand(goal, parts.study, graph):
                failures.setdefault(failure.id, failure)
                promised.setdefault(failure.id, []).append((tier.name, goal.serve_fraction, goal.within_seconds))
    if with_goals and parts.study.objective != "cost":
        for failure in rated(parts.study, graph):
            failures.setdefault(failure.id, failure)
            promised.setdefault(failure.id, [])
    return failures, {f: tuple(rows) for f, rows in promised.items()}


def _priced(study: Study, failure: Failure, years: float) -> Priced | None:
    """How often and how long a failure is reckoned with; None where the objective or the failure does not say."""
    if study.objective == "cost" or failure.hours_to_repair is None:
        return None
    if failure.failures_per_year is None:
        return Priced(0.0, failure.hours_to_repair) if study.objective == "worst_case" else None
    return Priced(failure.failures_per_year * years, failure.hours_to_repair)


def _losses(
    parts: _Parts,
    graph: Graph,
    failures: Mapping[str, Failure],
    flows: tuple[Flow, ...],
    edges: Edges,
    edges_in_failure: Edges,
) -> tuple[dict[str, dict[str, float]], dict[str, dict[Flow, float]], dict[str, frozenset[str]]]:
    """What is lost of each thing in each failure, what can be covered at all, where nothing can be started."""
    lost: dict[str, dict[str, float]] = {}
    coverable: dict[str, dict[Flow, float]] = {}
    stuck: dict[str, frozenset[str]] = {}
    limited = _limited(parts.study)
    for f, failure in failures.items():
        # a gateway that is lost in part lets less through; what is behind it is whole
        left = {c: 1 - failure.lost.get(c, 0.0) for c in limited}
        value = availability(graph, {c: share for c, share in failure.lost.items() if left.get(c, 0.0) <= 0})
        things = {q: value[f"pool:{q}"] for q in parts.pools} | {c: min(left[c], value[c]) for c in limited}
        things |= {e: value[f"placement:{e}"] for e in parts.placements}
        if failure.hit is not None:
            # the pool's loss falls on one placement: what else of it is only as lost as the pool stands whole
            pool = parts.pool[failure.hit].id
            things |= {e: 1.0 for e in parts.placements if parts.pool[e].id == pool and things[e] == things[pool]}
        lost[f] = {thing: left for thing, left in things.items() if left < 1}
        waiting = cannot_start(graph, value)
        stuck[f] = frozenset(e for e in parts.placements if f"placement:{e}" in waiting)
        near_enough = edges if f == NORMAL else edges_in_failure
        coverable[f] = {}
        for w, o in flows:
            alive = any(things[e] > 0 for e in near_enough[w, o])
            door = min(value[f"workload:{w}"], value[f"origin:{o}"]) if alive else 0.0
            if door < 1:
                coverable[f][w, o] = door
    return lost, coverable, stuck


def _limited(study: Study) -> dict[str, float]:
    """Components that let only so many requests through, by id [requests/s]."""
    rows = ((f"{c.kind}:{c.name}", c.most_requests_per_second) for c in study.components)
    return {name: most for name, most in rows if most is not None}


def _passages(parts: _Parts, graph: Graph, placements: tuple[str, ...]) -> tuple[Passage, ...]:
    """What requests must pass, from the dependency graph: any of some limited components, and unions of such choices.

    Requests may be split over a choice as one likes. That is possible exactly when, for every union of choices, those
    that must pass within it are no more than it lets through (Hall; Gale, Pacific Journal of Mathematics 7, 1957).
    """
    limited = frozenset(_limited(parts.study))
    if not limited:
        return ()
    choices: dict[str, list[frozenset[str]]] = {}

    def ways(node: str) -> list[frozenset[str]]:
        if node not in choices:
            own = [frozenset({node})] if node in limited else []
            choices[node] = own + [way for part in graph.nodes[node]["needs"] for way in of(part)]
        return choices[node]

    def of(part: str | Needs) -> list[frozenset[str]]:
        if isinstance(part, str):
            return ways(part)
        if part.all_of is not None:
            return [way for inner in part.all_of for way in of(inner)]
        inner_ways = [of(inner) for inner in part.any_of or part.of or ()]
        if not all(inner_ways):
            return []  # a way without a limit
        return [frozenset().union(*some) for some in itertools.product(*inner_ways)]

    doors = [f"workload:{w}" for w in parts.workloads] + [f"origin:{o.name}" for o in parts.study.origins]
    passing = {door: ways(door) for door in doors} | {e: ways(f"placement:{e}") for e in placements}
    unions = {way for found in passing.values() for way in found}
    while len(unions) <= MOST_PASSAGES and (more := {a | b for a in unions for b in unions if a & b} - unions):
        unions |= more
    return tuple(
        Passage(tuple(sorted(u)), {k: n for k, found in passing.items() if (n := sum(way <= u for way in found))})
        for u in sorted(unions, key=lambda u: (len(u), sorted(u)))
    )


def _counted(
    study: Study, offers: Mapping[str, Offer], failures: Mapping[str, Failure]
) -> tuple[dict[str, dict[str, float]], dict[str, dict[str, tuple[float, float]]]]:
    """f -> b -> share of what runs that counts, where below 1; and what can be obtained: (share, seconds)."""
    counted: dict[str, dict[str, float]] = {f: {} for f in failures}
    obtainable: dict[str, dict[str, tuple[float, float]]] = {f: {} for f in failures}
    for f, failure in failures.items():
        kinds = {component.partition(":")[0] for component in failure.lost}
        for b, offer in offers.items() if f != NORMAL else ():
            if offer.kind == "spot":
                counted[f][b] = 0.0
                continue
            fitting = [
                entry
                for entry in study.policies.counted
                if (entry.any is None or entry.any in kinds) and any(fnmatchcase(b, p) for p in entry.offers)
            ]
            if fitting and fitting[-1].running_fraction < 1:
                counted[f][b] = fitting[-1].running_fraction
            if fitting and fitting[-1].obtainable_fraction and offer.kind in HOURLY and offer.most_units is not None:
                obtainable[f][b] = (fitting[-1].obtainable_fraction, fitting[-1].obtain_seconds)
    return counted, obtainable


def _limits(parts: _Parts) -> tuple[Limit, ...]:
    """Quotas of the study, and the power of its sites."""

    def units(pool: str, unit: str) -> float:
        return 1.0 if unit == "machines" else parts.machine[parts.pools[pool].machine_type].quota_units.get(unit, 0.0)

    def power_kw(pool: str) -> float:
        return parts.machine[parts.pools[pool].machine_type].power_kw or 0.0

    quotas = [
        Limit(
            quota.name,
            quota.unit,
            {q: units(q, quota.unit) for q in parts.pools if any(fnmatchcase(q, p) for p in quota.pools)},
            quota.most,
            tuple(t.name for t in spans(parts.study) if touches(quota.from_day, quota.until, t))
            if quota.from_day or quota.until
            else None,
        )
        for quota in parts.study.policies.quotas
    ]
    power = []
    for site in parts.study.sites:
        here = {q: power_kw(q) for q in parts.pools if parts.pools[q].site == site.id}
        if site.power_kw is not None and here:
            power.append(Limit(f"power of {site.id}", "kW", here, site.power_kw))
    return (*quotas, *power)


def _shares(parts: _Parts) -> tuple[ShareLimit, ...]:
    graph = dependency_graph(parts.study)
    shares = []
    for share in parts.study.policies.shares:
        value = availability(graph, {share.component: 1.0})
        through = frozenset(e for e in parts.placements if value[f"placement:{e}"] < 1)
        shares.append(ShareLimit(share.component, through, share.most_fraction))
    return tuple(shares)


def fullest_hour(p: Problem) -> str:
    """The hour in which most requests are wanted: the one that a review shows where it can only show one."""
    return max(p.hours, key=lambda h: sum(p.demand_requests_per_second[w, o, h] for w, o in p.flows))


def clocks(p: Problem, f: str) -> tuple[float, ...]:
    """Clocks of a failure [s]: its distinct deadlines, and before the last one the instants when machines arrive.

    Claims come back, machines are obtained. Replicas may be loading from such an instant on, so the plan is held to
    what fits just before and just after it.
    """
    if f == NORMAL:
        return (0.0,)
    deadlines = {within for _, _, within in p.promised[f]} | ({p.detection_seconds} if f in p.priced else set())
    arrive = {
        seconds
        for q in p.pools
        for machines, seconds in sorted({row for t in p.periods for row in p.claims[q, t]}, key=str)
        if seconds is not None and machines and p.lost[f].get(q, 1.0) > 0
    } | {seconds for b, (_, seconds) in p.obtainable[f].items() if p.lost[f].get(p.pool_of[b], 1.0) > 0}
    moments = {p.detection_seconds + seconds + moment for seconds in arrive for moment in (0.0, MOMENT_SECONDS)}
    return tuple(sorted(deadlines | {c for c in moments if c < max(deadlines)}))


def states(p: Problem, f: str) -> list[State]:
    """States (h, f, c) of a failure, hours first, clocks rising."""
    return [(h, f, c) for h in p.hours for c in p.clocks_seconds[f]]
