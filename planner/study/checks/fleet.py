"""That a fleet of today names what the study has, and has machines to run on."""

import math
from collections.abc import Mapping

from planner.study.calendar import ALMOST
from planner.study.checks.holdings import obtainable_machines, split_fix
from planner.study.dependencies import profile_id
from planner.study.memory import holds_in_memory, memory_texts
from planner.study.places import Place, Reading, Row, quoted, unquoted
from planner.study.records.inventory import Pool
from planner.study.records.serving import Model, Profile
from planner.study.records.study import Origin, RunningReplicas, Study, Workload

RENTED = ("on_demand", "spot", "capacity_block")
"""Kinds that nobody lists among the holdings."""


def check_fleet(rows: list[Row[RunningReplicas]], study: Study, reading: Reading) -> None:
    """Report rows that name what the study does not have, and replicas that have no machines."""
    workloads, origins = study.workload_by_name, {origin.name for origin in study.origins}
    models = {profile_id(model.model, p.name): (model, p) for model in study.models for p in model.profiles}
    profiles = {id: profile for id, (_, profile) in models.items()}
    pools = study.pool_by_id
    count: dict[tuple[str, str], tuple[float, int]] = {}
    for row, place in rows:
        reading.refer(place.at("workload"), Workload, "a workload of the study", row.workload, workloads)
        reading.refer(place.at("origin"), Origin, "an origin of the study", row.origin, origins)
        fix = split_fix(study.zone_pools[row.pool]) if row.pool in study.zone_pools else None
        known = reading.refer(place.at("pool"), Pool, "a pool of the study", row.pool, pools, fix)
        what = "a profile (model/profile) of the study"
        known &= reading.refer(place.at("profile"), Model, what, row.profile, profiles)
        if known and profiles[row.profile].machine_type != pools[row.pool].machine_type:
            expected = f"a profile for {unquoted(pools[row.pool].machine_type)}, the machines of the pool"
            fix = "name the profile made for that machine type, or correct the pool"
            reading.error(place.at("profile"), expected, f"one for {quoted(profiles[row.profile].machine_type)}", fix)
        check_integer_replicas(row, place, reading)
        if row.profile in models and row.workload in workloads:
            _check_memory(*models[row.profile], workloads[row.workload], study, place, reading)
        replicas, line = count.setdefault((row.pool, row.profile), (row.replicas, place.line()))
        if replicas != row.replicas:
            expected = f"{replicas:g} as on line {line}, where profile and pool are the same"
            fix = "give every row the replicas of the whole pool; the weight tells how they are shared"
            reading.error(place.at("replicas"), expected, f"{row.replicas:g}", fix)
    if not reading.findings:
        _check_machines(rows, profiles, study, reading)


def _check_memory(
    model: Model, profile: Profile, workload: Workload, study: Study, place: Place, reading: Reading
) -> None:
    """The profile of a fleet's row holds the requests that it is said to serve."""
    machine = study.machine_type_by_name[profile.machine_type]
    if model.model == workload.model and not holds_in_memory(model.facts, profile, machine, workload):
        expected, got = memory_texts(model.facts, profile, machine, workload)
        fix = "name the profile that runs, or correct the mean tokens of the workload or the concurrency_limit"
        reading.error(place.at("profile"), expected, got, fix)


def check_integer_replicas(row: RunningReplicas, place: Place, reading: Reading) -> None:
    """Nobody runs a part of a replica."""
    if not row.replicas.is_integer():
        fix = "count the replicas that run; how a stream is shared stands in weight"
        reading.error(place.at("replicas"), "a whole number of replicas", f"{row.replicas:g}", fix)


def _check_machines(
    rows: list[Row[RunningReplicas]], profiles: Mapping[str, Profile], study: Study, reading: Reading
) -> None:
    """The replicas that run have machines: those that are held, and what the pool's offers have."""
    replicas: dict[str, dict[str, float]] = {}
    first: dict[str, Place] = {}
    for row, place in rows:
        replicas.setdefault(row.pool, {})[row.profile] = row.replicas
        first.setdefault(row.pool, place)
    for pool, by_profile in replicas.items():
        taken = sum(n * profiles[name].accelerators_per_replica for name, n in by_profile.items())
        needed = taken / study.machine_type_by_name[study.pool_by_id[pool].machine_type].accelerators
        rented = [offer for offer in study.offers if offer.kind in RENTED]
        most = obtainable_machines(pool, study.holdings, study.offers)
        today = obtainable_machines(pool, study.holdings, rented)
        got = f"{sum(by_profile.values()):g}, which take {math.ceil(needed - ALMOST):,} machines"
        name = unquoted(pool)
        if needed > most + ALMOST:
            expected = f"replicas for at most {most:,g} machines, all that is held and offered in {name}"
            fix = "correct the replicas (those of the whole pool, in each row), or add the holding to the study"
            reading.error(first[pool].at("replicas"), expected, got, fix)
        elif needed > today + ALMOST:
            expected = f"replicas for at most {today:,g} machines, all that is held and rented in {name}"
            fix = "add what is committed already to the holdings of the study, or correct the replicas"
            reading.warning(first[pool].at("replicas"), expected, got, fix)
