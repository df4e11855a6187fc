"""What a plan, or today's fleet, says is installed, and what is wrong with it already."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from planner.drill.failures import NORMAL, Failure
from planner.drill.installed import Bought, InstalledFleet, OnOffer, least_counted, more_counted
from planner.drill.instance import ROUNDING, TOLERANCE, Instance, Numbers, misfit, named
from planner.drill.names import above
from planner.drill.time_slices import TimeSlice, time_slices_of
from planner.errors import Finding, InputError
from planner.study.records.plan import PlanFile, State
from planner.study.records.study import RunningReplicas

Sent = tuple[str, str, str, float]
"""workload, origin, placement, requests/s"""


def hours_of(plan: PlanFile) -> tuple[TimeSlice, ...]:
    """The hours of the plan's study; each is replayed by itself.

    Raises
    ------
    InputError
        when the plan states another hour
    """
    slices = time_slices_of(plan.study, plan.demand_case)
    stated = {r.hour for r in plan.replicas} | {s.hour for s in plan.states}
    if len(slices) == 1 and len(stated) == 1:
        return (replace(slices[0], hour=stated.pop()),)
    fix = "make the plan again with `planner plan`"
    unknown = sorted(stated - {one.hour for one in slices})
    if unknown:
        raise InputError([Finding("plan: hours", "an hour of the study", repr(h)[:120], fix) for h in unknown])
    return slices


def of_plan(
    instance: Instance, plan: PlanFile, failures: Sequence[Failure], time_slice: TimeSlice, slices: Sequence[TimeSlice]
) -> tuple[InstalledFleet, list[str]]:
    """What the plan says is installed in normal operation of an hour.

    Parameters
    ----------
    instance : with the demand of the hour
    failures : of the study's goals; replicas on machines that count in all of them are non-preemptible
    slices : all hours of the plan: contracts start in one period and last into others
    """
    study, findings, hour = plan.study, list[str](), time_slice.hour
    number = {pool.id: q for q, pool in enumerate(study.pools)}
    held = np.zeros(len(number))
    for pool, machines in time_slice.held(study).items():
        if pool in number:
            held[number[pool]] += machines
    claims = []
    for pool, machines, seconds in time_slice.lent(study):
        if pool in number:
            claims.append((number[pool], machines, None if seconds is None else study.detection_seconds + seconds))
    offers = {offer.id: offer for offer in study.offers}
    bought = []
    for row in plan.purchases:
        if (offer := offers.get(row.offer)) is None or offer.pool not in number:
            findings.append(f"purchase of {row.offer}: no such offer")
        elif time_slice.has(offer, row, slices):
            machines = float(row.units * offer.machines_per_unit)
            bought.append(Bought(offer, number[offer.pool], machines, float(row.units)))
    replicas, non_preemptible = np.zeros((2, len(instance.placements)))
    for running in plan.replicas:
        e = instance.placements.get(running.placement)
        if running.hour == hour and e is not None:
            replicas[e] += running.replicas
            certain = running.non_preemptible
            non_preemptible[e] += running.replicas if certain is None else certain
        elif running.hour == hour and running.replicas:
            findings.append(f"replicas of {running.placement}: no such placement, or stack not qualified")
    normal = next((s for s in plan.states if s.failure == "normal" and s.hour == hour), None)
    if normal is None:
        findings.append("normal: the plan states no traffic in normal operation")
    base, unroutable, not_eligible = stated(instance, normal, in_failure=False)
    in_use = instance.by_pool(replicas) > 0
    on_offers = _on_offers(instance, plan, failures, hour)
    fleet = InstalledFleet(
        instance=instance,
        replicas=replicas,
        non_preemptible=np.minimum(non_preemptible, replicas),
        base=base,
        unroutable=unroutable,
        held=held,
        usable=np.array([pool.usable_fraction for pool in study.pools]),
        spare=np.where(in_use, np.array([pool.spare_machines for pool in study.pools]), 0.0),
        bought=tuple(bought),
        claims=tuple(claims),
        gateway_limits=_gateway_limits(instance, plan, hour),
        stated=_stated_by_failure(plan, hour),
        on_offers=on_offers,
    )
    if not any(tier.survive for tier in study.tiers):
        # it promises nothing, and does not say which replicas stand on machines that count in every failure
        fits = instance.that_fit(fleet.non_preemptible, _certain(fleet, failures))
        fleet = replace(fleet, non_preemptible=np.floor(fits + ROUNDING))
    return fleet, [*findings, *not_eligible, *_too_many(fleet, non_preemptible, failures)]


def _stated_by_failure(plan: PlanFile, hour: str) -> dict[str, list[State]]:
    """Failure -> its states in an hour."""
    by_failure: dict[str, list[State]] = {}
    for state in plan.states:
        if state.hour == hour:
            by_failure.setdefault(state.failure, []).append(state)
    return by_failure


def _on_offers(instance: Instance, plan: PlanFile, failures: Sequence[Failure], hour: str) -> tuple[OnOffer, ...]:
    """Replicas of an hour that the plan says stand on one offer, and what of that counts in which failures."""
    offers = {offer.id: offer for offer in plan.study.offers}
    stand: dict[str, Numbers] = {}
    for running in plan.replicas:
        e = instance.placements.get(running.placement)
        for id, count in running.on_offers.items() if running.hour == hour and e is not None else ():
            if id in offers:
                stand.setdefault(id, np.zeros(len(instance.placements)))[e] += count
    about = {(failure.kinds, failure.not_renewed) for failure in failures if failure.id != NORMAL}
    return tuple(
        OnOffer(
            id,
            least_counted(plan.study, offers[id], about),
            more_counted(plan.study, offers[id], about),
            replicas,
        )
        for id, replicas in stand.items()
    )


def _gateway_limits(instance: Instance, plan: PlanFile, hour: str) -> Numbers | None:
    """What gateways send over edges at most in an hour [i, e]; none where the plan states no limits."""
    of = plan.reserves
    if not of.workload:
        return None
    rows = zip(of.workload, of.origin, of.placement, of.hour, of.requests_per_second, strict=True)
    return traffic_of(instance, ((w, o, e, rate) for w, o, e, when, rate in rows if when == hour))[0]


def _certain(fleet: InstalledFleet, failures: Sequence[Failure]) -> Numbers:
    """Machines that count in every failure, by pool [q]."""
    study = fleet.instance.study
    about = {(failure.kinds, failure.not_renewed) for failure in failures}
    least = {row.offer.id: least_counted(study, row.offer, about) for row in fleet.bought}
    return np.maximum(fleet.usable * (fleet.running(least) - fleet.lent()), 0.0)


def _too_many(fleet: InstalledFleet, non_preemptible: Numbers, failures: Sequence[Failure]) -> list[str]:
    """Findings where replicas have no machines in normal operation, or none that count in every failure."""
    instance, study = fleet.instance, fleet.instance.study
    pools = [f"pool {pool.id}" for pool in study.pools]
    with_rollout = np.ceil((1.0 + instance.rollout) * fleet.replicas - ROUNDING)
    need = instance.by_pool(instance.machines_per_replica * with_rollout)
    under = instance.by_pool(instance.machines_per_replica * fleet.non_preemptible)
    placements = list(instance.placements)
    findings = [
        *above("normal: machines with rollouts", pools, need, fleet.machines_in_normal()),
        *above("normal: non-preemptible replicas", placements, non_preemptible, fleet.replicas),
        *above("normal: machines under non-preemptible replicas", pools, under, _certain(fleet, failures)),
    ]
    known = non_preemptible.copy()
    for row in fleet.on_offers:
        bought = fleet.running({each.offer.id: float(each.offer.id == row.offer) for each in fleet.bought}) - fleet.held
        most = fleet.usable * bought * (row.more - row.least)
        stand = instance.by_pool(instance.machines_per_replica * row.replicas)
        findings += above(f"normal: machines of {row.offer} under replicas that count on it", pools, stand, most)
        known = known + row.replicas
    if fleet.on_offers:
        findings += above("normal: replicas by the machines they stand on", placements, known, fleet.replicas)
    return findings


def traffic_of(instance: Instance, rows: Iterable[Sent]) -> tuple[Numbers, Numbers]:
    """Traffic [i, e], and what of it has no placement [i]."""
    traffic, unroutable = np.zeros(instance.fits.shape), np.zeros(len(instance.flows))
    for workload, origin, placement, rate in rows:
        i, e = instance.flows.get((workload, origin)), instance.placements.get(placement)
        if i is not None and e is not None:
            traffic[i, e] += rate
        elif i is not None:
            unroutable[i] += rate
    return traffic, unroutable


def stated(instance: Instance, state: State | None, in_failure: bool) -> tuple[Numbers, Numbers, list[str]]:
    """Traffic of a state [i, e], what of it has no placement [i], and what may not be where it is."""
    rows: list[Sent] = []
    if state is not None:
        rows += zip(state.workload, state.origin, state.placement, state.requests_per_second, strict=True)
    findings = []
    for workload, origin, placement, rate in rows:
        reason = reason_not(instance, workload, origin, placement, in_failure) if rate > TOLERANCE else None
        if reason and state is not None:
            label = f"{state.failure} at {state.deadline_seconds:g} s"
            findings.append(f"{label}: {workload} from {origin} on {placement} is not eligible: {reason}")
    return *traffic_of(instance, rows), findings


def reason_not(instance: Instance, workload: str, origin: str, placement: str, in_failure: bool) -> str | None:
    """Why traffic may not take an edge; none: it may."""
    study, i, e = instance.study, instance.flows.get((workload, origin)), instance.placements.get(placement)
    if e is None:
        return "no such placement: pool, machine type, or stack not qualified"
    if i is None:
        return "no demand"
    if not instance.fits[i, e]:
        asking = named(study.workloads, workload)
        return misfit(study, asking, *instance.made_of[e], study.sites[instance.site_of[e]])
    return None if (instance.in_failure if in_failure else instance.normal)[i, e] else "round trip"


def of_fleet(instance: Instance, rows: Sequence[RunningReplicas]) -> tuple[InstalledFleet, list[str]]:
    """What today's fleet is: machines are what its replicas need, rounded up in each pool."""
    study, findings = instance.study, list[str]()
    number = {pool.id: q for q, pool in enumerate(study.pools)}
    accelerators = {machine.name: machine.accelerators for machine in study.machine_types}
    profiles = {f"{m.model}/{p.name}": p for m in study.models for p in m.profiles}
    weights: dict[tuple[str, str], float] = defaultdict(float)
    counts: dict[tuple[str, str], float] = {}
    for row in rows:
        weights[row.workload, row.origin] += row.weight
        if counts.setdefault((row.profile, row.pool), row.replicas) != row.replicas:
            findings.append(f"{row.profile}@{row.pool}: rows differ in replicas; the first counts")
    replicas, need = np.zeros(len(instance.placements)), np.zeros(len(number))
    for (name, pool), count in counts.items():
        e = instance.placements.get(f"{name}@{pool}")
        if e is not None:
            replicas[e] = count
        if pool in number and name in profiles and profiles[name].machine_type in accelerators:
            profile = profiles[name]
            need[number[pool]] += count * profile.accelerators_per_replica / accelerators[profile.machine_type]
    sent: list[Sent] = []
    for row in rows:
        flow, placement = (row.workload, row.origin), f"{row.profile}@{row.pool}"
        if reason := reason_not(instance, *flow, placement, in_failure=False):
            findings.append(f"{row.workload} from {row.origin} on {placement} is not eligible: {reason}")
        if flow in instance.flows and row.weight:
            sent.append((*flow, placement, instance.demand[instance.flows[flow]] * row.weight / weights[flow]))
    findings += [f"{w} from {o} has no route" for w, o in instance.flows if not weights.get((w, o))]
    ones = np.ones(len(need))
    machines = np.ceil(need - ROUNDING)
    fleet = InstalledFleet(
        instance, replicas, replicas, *traffic_of(instance, sent), held=machines, usable=ones, spare=0.0 * ones
    )
    return fleet, findings
