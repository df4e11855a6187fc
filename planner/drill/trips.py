"""Round trips from origins to sites, worked out again."""

import math

from planner.records.inventory import Site
from planner.records.study import Study


def kilometres(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Great circle between two (latitude, longitude) [km], radius 6371 km."""
    north_a, east_a, north_b, east_b = map(math.radians, (*a, *b))
    chord = math.sin((north_b - north_a) / 2) ** 2
    chord += math.cos(north_a) * math.cos(north_b) * math.sin((east_b - east_a) / 2) ** 2
    return 2 * 6371.0 * math.asin(min(1.0, math.sqrt(chord)))


def round_trips_ms(study: Study, sites: list[Site]) -> dict[tuple[str, str], float]:
    """Round trip of (origin, site id) [ms]: same place, measured, by proxy, by distance; infinite where unknown."""
    measured = {(r.to_region, r.from_region): r.round_trip_ms for r in reversed(study.round_trips)}
    measured |= {(r.from_region, r.to_region): r.round_trip_ms for r in study.round_trips}
    region_at = {s.region_id: (s.latitude, s.longitude) for s in reversed(study.sites)}

    def around(place: tuple[float, float]) -> dict[str, float]:
        return {r: km for r, at in region_at.items() if (km := kilometres(place, at)) <= 400.0}

    proxies = {r: around(region_at[r]) | {r: 0.0} for r in {site.region_id for site in sites}}
    trips: dict[tuple[str, str], float] = {}
    for origin in study.origins:
        here = region_at.get(origin.near or "")
        if origin.latitude is not None and origin.longitude is not None:
            here = (origin.latitude, origin.longitude)
        starts = around(here) if here else {}
        for site in sites:
            ends = proxies[site.region_id]
            km = kilometres(here, (site.latitude, site.longitude)) if here else math.inf
            home = site.region_id
            known = [(x, y) for x in starts for y in ends if x == y == home or (x, y) in measured]
            pairs = [(starts[x] + ends[y], x, y) for x, y in known]
            if origin.near == site.region_id:
                trip = 2.0
            elif origin.near is not None and (origin.near, site.region_id) in measured:
                trip = measured[origin.near, site.region_id]
            elif pairs:
                _, x, y = min(pairs)
                # nothing is faster than light in fibre, 200 km per ms
                trip = max(2.0, 2 * km / 200) if x == y else measured[x, y]
            elif here:
                trip = max(2 * km / 200, 8.5 + 0.0154 * km)
            else:
                trip = math.inf
            trips[origin.name, site.id] = trip
    return trips
