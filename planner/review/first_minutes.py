"""What is taken of the first minutes after a move: caches, clients, and what feeds and starts replicas."""

from collections import defaultdict

from planner.review.report import Section, percent
from planner.study.loading import cached_fraction_in_failure, storage_gib_per_second, storage_rows
from planner.study.records.study import Study

COMPILED = {
    "warm": "what starts has its compiled code beside its weights (cold_starts: compile_caches: warm): whether it has "
    "is not checked",
    "cold": "every start compiles its code first (cold_starts: compile_caches: cold), though the first of a site may "
    "spare the others that",
}


def first_minutes_section(study: Study) -> Section:
    """What a plan of this study takes for granted when requests are moved."""
    return Section("AFTER A MOVE", tuple(first_minutes_lines(study)))


def first_minutes_lines(study: Study) -> list[str]:
    """The same, a line for each: with the field that says otherwise."""
    again = [f"{percent(t.retry_surge_fraction)} of {t.name}" for t in study.tiers if t.retry_surge_fraction]
    lines = [*_cache_lines(study), *_storage_lines(study)]
    lines.append(
        f"clients send again, in every failure and as long as something is lost: {', '.join(again)}"
        if again
        else "clients send nothing again in a failure (retry_surge_fraction)"
    )
    if any(profile.compile_seconds for model in study.models for profile in model.profiles):
        lines.append(COMPILED[study.cold_starts.compile_caches])
    return lines


def _cache_lines(study: Study) -> list[str]:
    """What prefix caches hold in failures, of workloads that find anything there in normal operation."""
    workloads: dict[float, list[str]] = defaultdict(list)
    for workload in study.workloads:
        if workload.cached_fraction or workload.cached_fraction_in_failure:
            workloads[cached_fraction_in_failure(study.cold_starts, workload)].append(workload.name)
    return [
        f"in failures prefix caches hold {percent(fraction)} of the input of {', '.join(names)}, moved or not "
        "(cached_fraction_in_failure; cold_starts: prefix_caches)"
        for fraction, names in sorted(workloads.items())
    ]


def _storage_lines(study: Study) -> list[str]:
    """What is taken of the storage that feeds cold starts, where sites do not state it: by row of the inventory."""
    gib_per_second, sites_of = storage_gib_per_second(study), defaultdict(list)
    for site, row in storage_rows(study).items():
        sites_of[gib_per_second[site], f"{row.evidence}, {row.as_of}: {row.source}"].append(site)
    lines = [
        f"storage feeds what is cold-started at {', '.join(sites)} with {rate:g} GiB/s each ({known})"
        for (rate, known), sites in sites_of.items()
    ]
    unlimited = {pool.site for pool in study.pools} - gib_per_second.keys()
    if unlimited:
        lines.append(f"storage feeds any number of cold starts at once at {len(unlimited)} sites (load_gib_per_second)")
    return lines
