"""What is said and changes nothing: names that nothing uses, limits on nothing, asked of nothing."""

import fnmatch
from collections.abc import Iterable
from typing import Any

from planner.study.parts import Parts
from planner.study.places import Place, Reading, Row, listed, near_miss, quoted, unquoted
from planner.study.records.inventory import MachineType, Offer, Pool, Site
from planner.study.records.serving import Model
from planner.study.records.study import Demand, Workload, stack_and_version


def check_unused(parts: Parts, reading: Reading) -> None:
    """Report what changes nothing as it is."""
    _check_used(parts, reading)
    _check_asked_of_sites(parts, reading)
    _check_asked_of_profiles(parts, reading)
    _check_qualified(parts, reading)
    _check_counted(parts, reading)


def _check_used(parts: Parts, reading: Reading) -> None:
    """Origins have demand, tiers workloads, shapes rows; quotas limit a pool of the study."""
    table = unquoted(parts.file.demand)
    if not reading.any_broken(Demand):
        fix = f"add rows to {table}, or remove the origin"
        _unused(parts.origins, {row.origin for row, _ in parts.demand}, "rows of demand from", fix, reading)
        fix = f"name it in the column `shape` of {table}, or remove it"
        shapes = {row.shape for row, _ in parts.demand} - {None}
        _unused(parts.rows("shapes"), shapes, "rows of demand with the shape", fix, reading)
    if not reading.any_broken(Workload):
        fix = "name it as the tier of a workload, or remove it; as it is, its goals hold for nothing"
        _unused(parts.tiers, {workload.tier for workload, _ in parts.workloads}, "a workload of tier", fix, reading)
    if reading.any_broken(Pool):
        return
    fix = "add the pool to `pools:` of the study, or take it out of the quota; as it is, it limits nothing"
    for quota, place in parts.rows("policies", "quotas"):
        for j, pattern in enumerate(quota.pools):
            if fnmatch.filter(parts.pools, pattern) and not fnmatch.filter(parts.considered_pool_ids, pattern):
                got = f"{quoted(pattern)}, of the inventory alone"
                reading.warning(place.at("pools", j), "a pool of the study, or a pattern of them", got, fix)


def _unused(rows: Iterable[Row[Any]], used: set[Any], what: str, fix: str, reading: Reading) -> None:
    """A warning at each record whose name is not used; none where a name is misspelt: it is reported there."""
    named: list[tuple[str, Place]] = [(record.name, place) for record, place in rows]
    if used <= {name for name, _ in named}:
        for name, place in named:
            if name not in used:
                reading.warning(place.at("name"), f"{what} {unquoted(name)}", "none", fix)


def _check_counted(parts: Parts, reading: Reading) -> None:
    """What counts in failures is said of offers of the study's pools."""
    if reading.any_broken(Offer, Pool):
        return
    fix = "add the pool to `pools:` of the study, or remove the line; as it is, it changes nothing"
    expected = "an offer of the study's pools, or a pattern of them"
    for counted, place in parts.rows("policies", "counted"):
        for j, pattern in enumerate(counted.offers):
            if fnmatch.filter(parts.offers, pattern) and not fnmatch.filter(parts.considered_offer_ids, pattern):
                reading.warning(place.at("offers", j), expected, f"{quoted(pattern)}, of others", fix)


def _check_asked_of_sites(parts: Parts, reading: Reading) -> None:
    """Jurisdictions and labels that workloads name are those of sites."""
    if reading.any_broken(Site, Pool):
        return
    used = [parts.sites[pool.site][0] for pool in parts.considered_pools.values() if pool.site in parts.sites]
    jurisdictions = {site.jurisdiction for site in used}
    codes = {site.jurisdiction for site, _ in parts.sites.values()}
    labels = {label for site in used for label in site.labels}
    for workload, place in parts.workloads:
        for i, code in enumerate(workload.jurisdictions):
            if code not in codes:
                got = quoted(code) + near_miss(code, codes)
                fix = f"write ISO 3166 codes as sites.csv does; those of the study's pools: {listed(jurisdictions, 12)}"
                reading.warning(place.at("jurisdictions", i), "the jurisdiction of a site", got, fix)
        for i, label in enumerate(workload.site_labels):
            if label not in labels:
                got = quoted(label) + near_miss(label, labels)
                fix = f"write a label that sites.csv gives to a site of the study's pools: {listed(labels)}"
                reading.warning(place.at("site_labels", i), "the label of a site of the study's pools", got, fix)


def _check_asked_of_profiles(parts: Parts, reading: Reading) -> None:
    """Precisions and features that workloads name are those of a profile of their model."""
    for workload, place in parts.workloads:
        if workload.model not in parts.models or reading.any_broken(Model, MachineType):
            continue
        profiles = parts.models[workload.model][0].profiles
        asked = (
            ("precisions", workload.precisions, {p.precision for p in profiles}),
            ("features", workload.features, {feature for p in profiles for feature in p.features}),
        )
        for field, names, known in asked:
            for i, name in enumerate(names):
                if name not in known:
                    what = f"one of the {field} that a profile of {unquoted(workload.model)} has"
                    fix = f"those are: {listed(known)}"
                    reading.warning(place.at(field, i), what, quoted(name) + near_miss(name, known), fix)


def _check_qualified(parts: Parts, reading: Reading) -> None:
    """A profile on a version of a stack is not qualified by the stack without it, nor by another version."""
    for model, place in parts.used_models.values():
        stacks = {qualification.stack for qualification in model.qualifications}
        for profile, at in place.rows(model.profiles, "profiles"):
            if profile.stack in stacks or profile.machine_type not in parts.considered_machine_types:
                continue
            name = stack_and_version(profile.stack)[0]
            others = sorted(stack for stack in stacks if stack_and_version(stack)[0] == name)
            if others:
                expected = f"a stack that {unquoted(model.model)} is qualified on: {listed(others)}"
                fix = f"qualify it on {unquoted(profile.stack)} too, or correct it; else nothing runs there"
                reading.warning(at.at("stack"), expected, quoted(profile.stack), fix)
