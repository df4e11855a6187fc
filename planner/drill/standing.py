"""What stands, of a plan and of today's fleet, and what is wrong with it already."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from planner.drill.failures import Failure
from planner.drill.moments import Moment, moments
from planner.drill.names import above
from planner.drill.stock import Bought, Stock, least_counted
from planner.drill.world import TOLERANCE, WHOLE, Numbers, World, misfit, named
from planner.errors import Finding, InputError
from planner.study.records.plan import PlanFile, State
from planner.study.records.study import RunningReplicas, Study


def lent(study: Study, moment: Moment) -> tuple[tuple[int, float, float | None], ...]:
    """Claims: number of the pool, machines, seconds from the begin of a failure until they are back or none."""
    number = {pool.id: q for q, pool in enumerate(study.pools)}
    return tuple(
        (number[q], machines, None if seconds is None else study.detection_seconds + seconds)
        for q, machines, seconds in moment.lent(study)
        if q in number
    )


def hours_of(plan: PlanFile) -> tuple[Moment, ...]:
    """The hours of the plan's study; each is replayed by itself.

    Raises
    ------
    InputError
        when the plan states another hour
    """
    every = moments(plan.study, plan.demand_case)
    stated = {r.hour for r in plan.replicas} | {s.hour for s in plan.states}
    if len(every) == 1 and len(stated) == 1:
        return (replace(every[0], hour=stated.pop()),)
    fix = "make the plan again with `planner plan`"
    unknown = sorted(stated - {m.hour for m in every})
    if unknown:
        raise InputError([Finding("plan: hours", "an hour of the study", repr(h)[:120], fix) for h in unknown])
    return every


def of_plan(
    world: World, plan: PlanFile, failures: Sequence[Failure], moment: Moment, every: Sequence[Moment]
) -> tuple[Stock, list[str]]:
    """What the plan says stands in normal operation of an hour.

    Parameters
    ----------
    world : with the demand of the hour
    failures : of the study's goals; machines that count in all of them are firm
    every : all hours of the plan: contracts start in one period and last into others
    """
    study, findings, hour = plan.study, list[str](), moment.hour
    number = {pool.id: q for q, pool in enumerate(study.pools)}
    held = np.zeros(len(number))
    for q, held_machines in moment.held(study).items():
        if q in number:
            held[number[q]] += held_machines
    offers = {offer.id: offer for offer in study.offers}
    bought = []
    for row in plan.purchases:
        if (offer := offers.get(row.offer)) is None or offer.pool not in number:
            findings.append(f"purchase of {row.offer}: no such offer")
            continue
        if not moment.is_there(offer, row, every):
            continue
        machines = row.units * offer.machines_per_unit
        bought.append(Bought(offer, number[offer.pool], float(machines), float(row.units)))
    replicas, non_preemptible = np.zeros(len(world.placements)), np.zeros(len(world.placements))
    for stands in plan.replicas:
        if stands.hour != hour:
            continue
        if stands.placement in world.placements:
            replicas[world.placements[stands.placement]] += stands.replicas
            non_preemptible[world.placements[stands.placement]] += (
                stands.replicas if stands.non_preemptible is None else stands.non_preemptible
            )
        elif stands.replicas:
            findings.append(f"replicas of {stands.placement}: no such placement, or stack not qualified")
    normal = next((s for s in plan.states if s.failure == "normal" and s.hour == hour), None)
    if normal is None:
        findings.append("normal: the plan states no traffic in normal operation")
    base, astray, found = stated(world, normal, in_failure=False)
    in_use = world.by_pool(replicas) > 0
    stock = Stock(
        replicas=replicas,
        non_preemptible=np.minimum(non_preemptible, replicas),
        base=base,
        astray=astray,
        held=held,
        usable=np.array([pool.usable_fraction for pool in study.pools]),
        spare=np.where(in_use, np.array([pool.spare_machines for pool in study.pools]), 0.0),
        bought=tuple(bought),
        claims=lent(study, moment),
        limits=_limits(world, plan, hour),
    )
    return stock, findings + found + _too_many(world, stock, non_preemptible, failures)


def _limits(world: World, plan: PlanFile, hour: str) -> Numbers | None:
    """What gateways send over edges at most in an hour [i, e]; none where the plan states no limits."""
    of = plan.reserves
    if not of.workload:
        return None
    limits = np.zeros(world.fits.shape)
    for w, o, e, when, rate in zip(of.workload, of.origin, of.placement, of.hour, of.requests_per_second, strict=True):
        if when == hour and (w, o) in world.flows and e in world.placements:
            limits[world.flows[w, o], world.placements[e]] += rate
    return limits


def _too_many(world: World, stock: Stock, non_preemptible: Numbers, failures: Sequence[Failure]) -> list[str]:
    """Findings where replicas have no machines in normal operation, or firm ones none that count in every failure."""
    study = world.study
    pools = [f"pool {pool.id}" for pool in study.pools]
    need = world.by_pool(world.machines_per_replica * np.ceil((1.0 + world.rollout) * stock.replicas - WHOLE))
    found = above("normal: machines with rollouts", pools, need, stock.machines_in_normal())
    found += above("normal: firm replicas", list(world.placements), non_preemptible, stock.replicas)
    kinds = {failure.kinds for failure in failures}
    least = {row.offer.id: least_counted(study, row.offer, kinds) for row in stock.bought}
    there = np.maximum(stock.usable * (stock.running(least) - stock.lent()), 0.0)
    on_non_preemptible = world.by_pool(world.machines_per_replica * stock.non_preemptible)
    return found + above("normal: machines under firm replicas", pools, on_non_preemptible, there)


def stated(world: World, state: State | None, in_failure: bool) -> tuple[Numbers, Numbers, list[str]]:
    """Traffic of a state [i, e], what of it has no placement [i], and what may not be where it is."""
    traffic, astray, findings = np.zeros(world.fits.shape), np.zeros(len(world.flows)), []
    columns = (state.workload, state.origin, state.placement, state.requests_per_second) if state else ((),) * 4
    for workload, origin, placement, rate in zip(*columns, strict=True):
        i, e = world.flows.get((workload, origin)), world.placements.get(placement)
        if i is not None and e is not None:
            traffic[i, e] += rate
        elif i is not None:
            astray[i] += rate
        reason = reason_not(world, workload, origin, placement, in_failure) if rate > TOLERANCE else None
        if reason:
            label = f"{state.failure} at {state.deadline_seconds:g} s" if state else ""
            findings.append(f"{label}: {workload} from {origin} on {placement} is not eligible: {reason}")
    return traffic, astray, findings


def reason_not(world: World, workload: str, origin: str, placement: str, in_failure: bool) -> str | None:
    """Why traffic may not take an edge; none: it may."""
    study, i, e = world.study, world.flows.get((workload, origin)), world.placements.get(placement)
    if e is None:
        return "no such placement: pool, machine type, or stack not qualified"
    if i is None:
        return "no demand"
    if not world.fits[i, e]:
        asking = named(study.workloads, workload)
        return misfit(study, asking, *world.made_of[e], study.sites[world.site_of[e]])
    return None if (world.in_failure if in_failure else world.normal)[i, e] else "round trip"


def of_fleet(world: World, fleet: Sequence[RunningReplicas]) -> tuple[Stock, list[str]]:
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
        if reason := reason_not(world, row.workload, row.origin, name, in_failure=False):
            findings.append(f"{row.workload} from {row.origin} on {name} is not eligible: {reason}")
        if i is not None and row.weight:
            rate = world.demand[i] * row.weight / weights[row.workload, row.origin]
            if e is None:
                astray[i] += rate
            else:
                base[i, e] += rate
    findings += [f"{w} from {o} has no route" for w, o in world.flows if not weights.get((w, o))]
    machines = np.ceil(need - WHOLE)
    ones = np.ones(len(need))
    return Stock(replicas, replicas, base, astray, held=machines, usable=ones, spare=0.0 * ones), findings
