"""How long a cold start takes, and what feeds it."""

from collections import defaultdict

from planner.study.places import matches
from planner.study.records.serving import Profile
from planner.study.records.study import Study


def load_seconds(study: Study, profile: Profile) -> float:
    """From start to ready with the machine there [s]: longer where nothing is compiled before."""
    return profile.load_seconds + _compile_seconds(study, profile)


def engine_start_seconds(study: Study, profile: Profile) -> float:
    """Of that, what comes after the weights are read [s]."""
    return profile.engine_start_seconds + _compile_seconds(study, profile)


def storage_gib_per_second(study: Study) -> dict[str, float]:
    """Site with pools -> rate at which its storage feeds all that loads there [GiB/s]; left out: those without limit.

    What the site states itself; else the row of the inventory with the longest pattern that matches it, unless the
    study counts no such rows. A region that is split into zones has one rate, shared evenly.
    """
    zones: dict[str, set[str]] = defaultdict(set)
    for zone in study.zones:
        zones[zone.region_id].add(zone.site)
    rates, used = {}, {pool.site for pool in study.pools}
    for site in (site for site in study.sites if site.id in used):
        of_region = zones[site.region_id]
        is_split = site.id in of_region
        rate = site.load_gib_per_second
        if rate is None and (fed := _fed_gib_per_second(study, site.region_id if is_split else site.id)) is not None:
            rate = fed / len(of_region) if is_split else fed
        if rate is not None:
            rates[site.id] = rate
    return rates


def _fed_gib_per_second(study: Study, id: str) -> float | None:
    """What the inventory says of a site, or of a region by its id [GiB/s]; none: nothing."""
    if study.cold_starts.storage_rates == "stated":
        return None
    rows = [row for row in study.storage if matches(id, [row.sites])]
    longest = max(rows, key=lambda row: (len(row.sites), row.sites), default=None)
    return None if longest is None else longest.load_gib_per_second


def _compile_seconds(study: Study, profile: Profile) -> float:
    """What a start compiles for, beyond load_seconds [s]."""
    return profile.compile_seconds if study.cold_starts.compile_caches == "cold" else 0.0
