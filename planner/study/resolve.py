"""The parts of a study put together: what it needs of inventory and models, without demand that is negligible."""

from planner.study.calendar import NEGLIGIBLE_FRACTION
from planner.study.latency import PROXY_KM, great_circle_km, origin_place, region_places
from planner.study.parts import Parts
from planner.study.places import Reading, matches
from planner.study.records.inventory import RoundTrip
from planner.study.records.study import LEAST_REQUESTS_PER_SECOND, Demand, Study, StudyFile

RESOLVED = ("models", "pools", "zones", "demand", "request_costs")
"""Fields that in the study file are names or patterns, and in the study what they stand for."""


def without_negligible_demand(parts: Parts, reading: Reading) -> tuple[Demand, ...]:
    """The demand without what is below a millionth of its workload's, which only blurs the numbers of the program.

    Such rows are reported; rows of 0 are left out silently.
    """
    cases = ("requests_per_second", "low_requests_per_second", "high_requests_per_second")
    rows = [(row, place, max(getattr(row, case) or 0.0 for case in cases)) for row, place in parts.demand]
    total: dict[str, float] = {}
    for row, _, most in rows:
        total[row.workload] = total.get(row.workload, 0.0) + most
    kept = []
    for row, place, most in rows:
        least = NEGLIGIBLE_FRACTION * total[row.workload]
        if most == 0:
            continue
        if most < least:
            fix = "nothing; the row is left out of the plan"
            expected = f"at least {least:.3g} requests/s, a millionth of the workload's"
            reading.warning(place.at("requests_per_second"), expected, f"{most:.3g}", fix)
            continue
        kept.append(row)
        if most < LEAST_REQUESTS_PER_SECOND:
            expected = f"0, or {LEAST_REQUESTS_PER_SECOND:g} to 1e+09 requests/s"
            fix = "write requests per second; 0 where nothing is wanted"
            reading.error(place.at("requests_per_second"), expected, f"{most:g}", fix)
    return tuple(kept)


def resolved(parts: Parts, demand: tuple[Demand, ...]) -> Study:
    """The study with what it needs of inventory and models, in the order of ids."""
    pools = parts.considered_pools
    machine_types = parts.considered_machine_types
    sites = {id: row for id, (row, _) in sorted(parts.sites.items())}
    round_trips = _near_round_trips(parts, {sites[pool.site].region_id for pool in pools.values()})
    regions = {region for row in round_trips for region in (row.from_region, row.to_region)}
    regions |= {origin.near for origin in parts.file.origins if origin.near is not None}
    used = {pool.site for pool in pools.values()}
    places = used | {sites[id].region_id for id in used}
    offers = {id: row for id, (row, _) in sorted(parts.considered_offers.items())}
    models = []
    for model, _ in parts.used_models.values():
        profiles = tuple(profile for profile in model.profiles if profile.machine_type in machine_types)
        models.append(model.model_copy(update={"profiles": profiles}))
    as_written = (Study.model_fields.keys() & StudyFile.model_fields.keys()) - {*RESOLVED}
    return Study(
        **{name: getattr(parts.file, name) for name in as_written},
        machine_types=tuple(parts.machine_types[name][0] for name in sorted(machine_types)),
        sites=tuple(site for id, site in sites.items() if id in used or site.region_id in regions),
        round_trips=round_trips,
        pools=tuple(pools.values()),
        zones=tuple(zone for _, (zone, _) in sorted(parts.zones.items())),
        storage=tuple(
            row for _, (row, _) in sorted(parts.storage.items()) if any(matches(id, [row.sites]) for id in places)
        ),
        offers=tuple(offers.values()),
        prices=tuple(row for id, (row, _) in sorted(parts.prices.items()) if id in offers),
        context_classes=tuple(row for _, (row, _) in sorted(parts.context_classes.items())),
        models=tuple(models),
        demand=demand,
        request_costs=tuple(row for row, _ in parts.request_costs if row.site in used),
    )


def _near_round_trips(parts: Parts, pool_regions: set[str]) -> tuple[RoundTrip, ...]:
    """Round trips between the neighbourhood of an origin and that of a pool: those that measure it or stand for it."""
    places = region_places(site for _, (site, _) in sorted(parts.sites.items()))

    def around(point: tuple[float, float] | None) -> set[str]:
        return {r for r, other in places.items() if point is not None and great_circle_km(point, other) <= PROXY_KM}

    origins = {origin.near for origin in parts.file.origins if origin.near is not None}
    for point in {origin_place(origin, places) for origin in parts.file.origins}:
        origins |= around(point)
    ends = pool_regions.union(*(around(places[region]) for region in pool_regions))
    return tuple(
        row
        for _, (row, _) in sorted(parts.round_trips.items())
        if (row.from_region in origins and row.to_region in ends)
        or (row.to_region in origins and row.from_region in ends)
    )
