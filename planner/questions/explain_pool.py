"""Why a pool is used or not: what can be bought, what serves there, who reaches it, what limits it, when it loads."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from planner.plan.in_hand import Plan
from planner.problem.algebra import Array
from planner.problem.arrays import full
from planner.problem.rules.formulas import limit_capacity, limit_used, machines_held_or_bought
from planner.questions.cold_starts import first_cold_start_seconds
from planner.questions.explain_prices import EntryPrice, entry_prices
from planner.questions.planned import silent
from planner.solve.search import Progress
from planner.study.calendar import price_in, spans
from planner.study.dependencies import NORMAL, placement_id, profile_id
from planner.study.loading import load_seconds
from planner.study.memory import live_tokens_of, memory_needed_gib, usable_memory_gib
from planner.study.records.serving import Model, Profile
from planner.study.records.study import Workload
from planner.units import ROUNDING

NO_MODEL = "no workload asks for this model"
BINDING_FRACTION = 1e-6
"""Share of a limit that may be free, and it binds."""


@dataclass(frozen=True)
class OfferThere:
    """What can be bought in a pool, and from which price on.

    Parameters
    ----------
    price_usd_per_machine_hour : paid in the first period; none: no price is known
    capital_usd_per_machine : paid at the order beside it, where machines are bought: the hourly price is upkeep then
    units : that the plan buys, in the period or hour of most
    refused : why it cannot be bought in this study; empty: it can
    least_counted_fraction : of what runs of it, what counts in the failure in which least does: 0 of spot
    entry : see `EntryPrice`; none: not worked out, as it cannot be bought
    """

    offer: str
    kind: str
    price_usd_per_machine_hour: float | None
    capital_usd_per_machine: float | None
    units: float
    refused: str
    least_counted_fraction: float
    entry: EntryPrice | None


@dataclass(frozen=True)
class ProfileThere:
    """A profile for the machines of a pool, of a model that a workload asks for.

    Parameters
    ----------
    refused : why none of its workloads may be served by it here; empty: one may
    serves, serves_in_failure : (workload, origin) pairs that it may serve, in normal operation and in failures
    context_classes : that it admits
    most_needed_gib, usable_gib : memory that a replica needs for the workload that needs most, and has
    load_seconds : from start to ready; cold_start_seconds : when the first cold start runs, since a failure began,
        started as soon as it can be; in the failure with goals in which it takes longest, of those in which it is late
    slowest_when : that failure; empty: it takes as long in all of them
    in_time_for, too_late_for : deadlines of goals that a cold start meets in every failure in which it may be started,
        and does not in some [s]
    replicas : that the plan runs, in the hour
    """

    profile: str
    stack: str
    refused: str
    serves: int
    serves_in_failure: int
    context_classes: tuple[str, ...]
    most_needed_gib: float
    usable_gib: float
    load_seconds: float
    cold_start_seconds: float
    slowest_when: str
    in_time_for: tuple[float, ...]
    too_late_for: tuple[float, ...]
    replicas: float


@dataclass(frozen=True)
class ReachThere:
    """How far an origin of a workload is from a pool, and whether it is near enough.

    Parameters
    ----------
    round_trip_ms, how : none: not known; measured, proxy, estimated or assumed
    limit_ms, limit_in_failure_ms : of the workload's tier; none: there is no limit
    in_reach : always, in failures only, or never
    requests_per_second : that the plan sends there in normal operation, in the hour
    most_in_failure_requests_per_second, when_lost : in the failure, and by the deadline, in which it sends most
    """

    workload: str
    origin: str
    round_trip_ms: float | None
    how: str
    limit_ms: float | None
    limit_in_failure_ms: float | None
    in_reach: str
    requests_per_second: float
    most_in_failure_requests_per_second: float
    when_lost: str


@dataclass(frozen=True)
class LimitThere:
    """A quota or a power limit that machines of a pool take from.

    Parameters
    ----------
    used, most : by the plan, in the hour, in the limit's unit
    is_full : whether nothing of it is free for another machine
    """

    limit: str
    unit: str
    per_machine: float
    used: float
    most: float
    is_full: bool


@dataclass(frozen=True)
class PoolExplained:
    """Why a pool is used or not.

    Parameters
    ----------
    machines : held and bought in the hour; replicas : that run there
    drivers : failures that pay for it, those that pay most first
    policies : what the study's policies say of it, beside offers: shares of requests
    """

    pool: str
    hour: str
    machines: float
    held_machines: float
    replicas: float
    offers: tuple[OfferThere, ...]
    profiles: tuple[ProfileThere, ...]
    reach: tuple[ReachThere, ...]
    limits: tuple[LimitThere, ...]
    drivers: tuple[str, ...]
    policies: tuple[str, ...]

    @property
    def is_used(self) -> bool:
        """Whether a replica runs there, in normal operation or in a failure, or a machine is bought."""
        in_failures = any(row.most_in_failure_requests_per_second > 0 for row in self.reach)
        return self.replicas > 0 or in_failures or self.machines > self.held_machines


def explain_pool(
    plan: Plan, pool: str, hour: str, offer: str | None = None, progress: Progress = silent
) -> PoolExplained:
    """Why a pool is used or not, with the prices at which its offers enter.

    Parameters
    ----------
    hour : whose states are looked at
    offer : the one that is asked about; none: all of the pool

    Raises
    ------
    Infeasible
        when the study inside the plan has no plan: the file was changed by hand
    """
    p = plan.problem
    a, x = full(p), plan.vectors
    at = a.pool_at[pool]
    here = a.pool_of_placement == at
    asked = [b for b in p.offers_of[pool] if offer in (None, b)]
    entries = {entry.offer: entry for entry in entry_prices(plan, asked, progress)}
    return PoolExplained(
        pool,
        hour,
        float(machines_held_or_bought(a, x, hour)[at]),
        p.held_machines[pool, p.period_of[hour]],
        float(x.replicas[hour,][here].sum()) if here.any() else 0.0,
        tuple(_offers(plan, pool, offer, entries)),
        tuple(_profiles(plan, pool, hour)),
        tuple(_reach(plan, pool, hour)),
        tuple(_limits(plan, pool, hour)),
        plan.file.drivers.get(pool, ()),
        tuple(_policies(plan, pool)),
    )


def _offers(plan: Plan, pool: str, named: str | None, entries: dict[str, EntryPrice]) -> Iterator[OfferThere]:
    study, p = plan.study, plan.problem
    units: dict[str, float] = {}
    for row in plan.file.purchases:
        units[row.offer] = max(units.get(row.offer, 0.0), float(row.units))
    for offer in sorted((b for b in study.offers if b.pool == pool), key=lambda b: b.id):
        if named not in (None, offer.id):
            continue
        least = min((by_offer.get(offer.id, 1.0) for f, by_offer in p.counted.items() if f != NORMAL), default=1.0)
        refused = p.not_offered.get(offer.id, "")
        if not refused and offer.id not in p.offers:
            refused = "price: none is known"
        price = study.price_by_offer.get(offer.id)
        yield OfferThere(
            offer.id,
            offer.kind,
            None if price is None else price_in(study, offer, price, spans(study)[0]),
            None if price is None else price.capital_usd_per_machine,
            units.get(offer.id, 0.0),
            refused,
            least,
            entries.get(offer.id),
        )


def _profiles(plan: Plan, pool: str, hour: str) -> Iterator[ProfileThere]:
    study = plan.study
    machine_type = study.pool_by_id[pool].machine_type
    for model in study.models:
        workloads = [w for w in study.workloads if w.model == model.model]
        for profile in model.profiles:
            if profile.machine_type == machine_type:
                yield _profile(plan, pool, hour, model, profile, workloads)


def _profile(
    plan: Plan, pool: str, hour: str, model: Model, profile: Profile, workloads: list[Workload]
) -> ProfileThere:
    p, study = plan.problem, plan.study
    e = placement_id(profile_id(model.model, profile.name), pool)
    serves = sum(e in ends for ends in p.edges.values())
    in_failure = sum(e in ends for ends in p.edges_in_failure.values())
    start_seconds = _cold_starts(plan, e, profile)
    deadlines = [(f, within) for f in start_seconds for _, _, within in p.promised[f]]
    late = [(f, within) for f, within in deadlines if start_seconds[f] > within + ROUNDING]
    slowest = max([f for f, _ in late] or start_seconds, key=lambda f: start_seconds[f], default=NORMAL)
    too_late = {within for _, within in late}
    needed = [memory_needed_gib(model.facts, profile, live_tokens_of(w, profile)) for w in workloads]
    usable = usable_memory_gib(profile, study.machine_type_by_name[profile.machine_type])
    return ProfileThere(
        profile_id(model.model, profile.name),
        profile.stack,
        "" if serves or in_failure else _refused(plan, e, model, profile, workloads),
        serves,
        in_failure,
        tuple(point.context_class for point in profile.classes),
        max(needed, default=0.0),
        usable,
        load_seconds(study, profile),
        start_seconds.get(slowest, p.detection_seconds + load_seconds(study, profile)),
        slowest if len(set(start_seconds.values())) > 1 else "",
        tuple(sorted({within for _, within in deadlines} - too_late)),
        tuple(sorted(too_late)),
        plan.decisions.replicas[e, hour],
    )


def _cold_starts(plan: Plan, e: str, profile: Profile) -> dict[str, float]:
    """Failure with goals -> when the first cold start at a placement runs; without those in which none may be made.

    Of what is no placement, as it may serve nobody: when it would, as soon as it is loaded.
    """
    p, a = plan.problem, full(plan.problem)
    failures = [f for f in p.promised if f != NORMAL]
    if e not in a.placement_at:
        return dict.fromkeys(failures, p.detection_seconds + load_seconds(plan.study, profile))
    may = [f for f in failures if p.lost[f].get(e, 1.0) > 0 and e not in p.cannot_start[f]]
    return {f: float(first_cold_start_seconds(a, f)[a.placement_at[e]]) for f in may}


def _refused(plan: Plan, e: str, model: Model, profile: Profile, workloads: list[Workload]) -> str:
    """Why a profile serves nobody in a pool: the reasons for its missing edges, each with how many."""
    if not workloads:
        return NO_MODEL
    if profile.stack not in model.qualified_stacks(plan.study.horizon.last_day):
        return f"qualification: {profile.stack} is not qualified for {model.model} until the horizon ends"
    reasons: dict[str, int] = {}
    for (_, _, placement), reason in plan.problem.why_not.items():
        if placement == e:
            reasons[reason] = reasons.get(reason, 0) + 1
    return "; ".join(f"{reason} ({n})" for reason, n in sorted(reasons.items(), key=lambda each: -each[1]))


def _reach(plan: Plan, pool: str, hour: str) -> Iterator[ReachThere]:
    p, study = plan.problem, plan.study
    a = full(p)
    site = study.pool_by_id[pool].site
    in_pool = a.pool_of_edge == a.pool_at[pool]
    for at, (w, o) in enumerate(p.flows):
        tier, reach = study.tier_by_name[p.tier_of[w]], p.round_trip_ms.get((o, site))
        edges = np.flatnonzero(in_pool & (a.flow_of_edge == at))
        sent = {f: _most_sent(plan, (hour, f), edges) for f in p.failures}
        others = {f: rate for f, rate in sent.items() if f != NORMAL}
        most_when = max(others, key=lambda f: others[f], default=NORMAL)
        round_trip_ms = float("inf") if reach is None else reach.round_trip_ms
        limit = float("inf") if tier.round_trip_ms is None else tier.round_trip_ms
        in_failure = limit if tier.round_trip_ms_in_failure is None else tier.round_trip_ms_in_failure
        in_reach = "always" if round_trip_ms <= limit else "in failures" if round_trip_ms <= in_failure else "never"
        yield ReachThere(
            w,
            o,
            None if reach is None else reach.round_trip_ms,
            "not known" if reach is None else reach.how,
            tier.round_trip_ms,
            tier.round_trip_ms_in_failure,
            in_reach if reach is not None else "never",
            sent[NORMAL],
            others.get(most_when, 0.0),
            most_when if others.get(most_when, 0.0) > 0 else "",
        )


def _most_sent(plan: Plan, of: tuple[str, str], edges: Array) -> float:
    """Requests/s that are sent over some edges in a failure, at the deadline at which most are."""
    h, f = of
    deadlines, traffic = plan.problem.deadlines_seconds[f], plan.vectors.traffic
    return max((float(np.asarray(traffic[(h, f, c),])[edges].sum()) for c in deadlines), default=0.0)


def _limits(plan: Plan, pool: str, hour: str) -> Iterator[LimitThere]:
    p = plan.problem
    a = full(p)
    if not p.limits:
        return
    used, most = limit_used(a, plan.vectors, hour), limit_capacity(a, plan.vectors, hour)
    for n, limit in enumerate(p.limits):
        per_machine = limit.units_per_machine.get(pool, 0.0)
        if per_machine > 0 and a.limits_in(hour)[n]:
            takes = per_machine * min((p.machines_per_unit[b] for b in p.offers_of[pool]), default=1)
            free = float(most[n] - used[n])
            is_full = free < takes * (1 - BINDING_FRACTION)
            yield LimitThere(limit.name, limit.unit, per_machine, float(used[n]), float(most[n]), is_full)


def _policies(plan: Plan, pool: str) -> Iterator[str]:
    """Shares of requests that placements of the pool count towards."""
    p = plan.problem
    here = set(p.on_pool[pool])
    for share in p.shares:
        if here & share.placements:
            yield f"share: {share.component} serves at most {100 * share.most_fraction:g} % of all requests"
