"""What a move finds: how long a cold start takes, what feeds it, what prefix caches hold."""

from collections import defaultdict

from planner.study.places import matches
from planner.study.records.inventory import Site, StorageRate
from planner.study.records.policies import ColdStarts
from planner.study.records.serving import Profile
from planner.study.records.study import Study, Workload


def load_seconds(study: Study, profile: Profile) -> float:
    """From start to ready with the machine there [s]: longer where nothing is compiled before."""
    return profile.load_seconds + _compile_seconds(study, profile)


def engine_start_seconds(study: Study, profile: Profile) -> float:
    """Of that, what comes after the weights are read [s]."""
    return profile.engine_start_seconds + _compile_seconds(study, profile)


def cached_fraction_in_failure(cold_starts: ColdStarts, workload: Workload) -> float:
    """Share of input tokens that prefix caches hold in failures: what the workload says, else what the study takes."""
    if workload.cached_fraction_in_failure is not None:
        return workload.cached_fraction_in_failure
    return workload.cached_fraction if cold_starts.prefix_caches == "warm" else 0.0


def storage_gib_per_second(study: Study) -> dict[str, float]:
    """Site with pools -> rate at which its storage feeds all that loads there [GiB/s]; left out: those without limit.

    What the site states itself, else what the inventory says; zones share what their region has evenly.
    """
    zones, rows = _zones_of_regions(study), storage_rows(study)
    rates = {}
    for site in _sites_with_pools(study):
        if site.load_gib_per_second is not None:
            rates[site.id] = site.load_gib_per_second
        elif site.id in rows:
            of_region = zones[site.region_id]
            rates[site.id] = rows[site.id].load_gib_per_second / (len(of_region) if site.id in of_region else 1)
    return rates


def storage_rows(study: Study) -> dict[str, StorageRate]:
    """Site with pools -> the row of the inventory that counts for it; none for sites that state a rate.

    Of several whose pattern matches, the longest; of a zone, those that match its region. None, where the study counts
    stated rates only.
    """
    zones, counted = _zones_of_regions(study), {}
    for site in _sites_with_pools(study):
        id = site.region_id if site.id in zones[site.region_id] else site.id
        rows = [row for row in study.storage if matches(id, [row.sites])]
        if rows and site.load_gib_per_second is None and study.cold_starts.storage_rates == "inventory":
            counted[site.id] = max(rows, key=lambda row: (len(row.sites), row.sites))
    return counted


def _sites_with_pools(study: Study) -> list[Site]:
    used = {pool.site for pool in study.pools}
    return [site for site in study.sites if site.id in used]


def _zones_of_regions(study: Study) -> dict[str, set[str]]:
    """Region -> the zones into which the study splits it."""
    zones: dict[str, set[str]] = defaultdict(set)
    for zone in study.zones:
        zones[zone.region_id].add(zone.site)
    return zones


def _compile_seconds(study: Study, profile: Profile) -> float:
    """What a start compiles for, beyond load_seconds [s]."""
    return profile.compile_seconds if study.cold_starts.compile_caches == "cold" else 0.0
