"""Latency from origins to sites, worked out again."""

import math
from functools import cache

from planner.study.records.inventory import Site
from planner.study.records.study import Study

NEAR_KM = 400.0
Place = tuple[float, float]
"""latitude, longitude"""


def kilometres(a: Place, b: Place) -> float:
    """Great circle between two (latitude, longitude) [km], radius 6371 km."""
    north_a, east_a, north_b, east_b = map(math.radians, (*a, *b))
    chord = math.sin((north_b - north_a) / 2) ** 2
    chord += math.cos(north_a) * math.cos(north_b) * math.sin((east_b - east_a) / 2) ** 2
    return 2 * 6371.0 * math.asin(min(1.0, math.sqrt(chord)))


def latency_ms(study: Study, sites: list[Site]) -> dict[tuple[str, str], float]:
    """Round trip of (origin, site id) [ms]: measured, same place, by proxy, by distance; infinite where unknown.

    What stands in for a measurement is worked out where there is none, and once for each place and region.
    """
    measured = {(r.to_region, r.from_region): r.round_trip_ms for r in reversed(study.round_trips)}
    measured |= {(r.from_region, r.to_region): r.round_trip_ms for r in study.round_trips}
    known_from: dict[str, list[str]] = {}
    for x, y in measured:
        known_from.setdefault(x, []).append(y)
    region_at = {s.region_id: (s.latitude, s.longitude) for s in reversed(study.sites)}
    latencies: dict[tuple[str, str], float] = {}

    @cache
    def around(place: Place) -> dict[str, float]:
        near = {region: kilometres(place, at) for region, at in region_at.items()}
        return {region: km for region, km in near.items() if km <= NEAR_KM}

    @cache
    def stand_in(place: Place, region: str) -> tuple[str, str] | None:
        """The pair of regions near by whose round trip is known, or that are one; the fewest km replaced."""
        begins, ends = around(place), around(region_at[region]) | {region: 0.0}
        pairs = [(begins[x] + ends[y], x, y) for x in begins for y in known_from.get(x, ()) if y in ends]
        if region in begins:
            pairs.append((begins[region], region, region))
        return min(pairs)[1:] if pairs else None

    def without_measurement(place: Place | None, site: Site) -> float:
        if place is None:
            return math.inf
        pair, km = stand_in(place, site.region_id), kilometres(place, (site.latitude, site.longitude))
        if pair is None:
            return max(2 * km / 200, 8.5 + 0.0154 * km)
        # within one region nothing is faster than light in fibre, 200 km per ms
        return measured[pair] if pair[0] != pair[1] else max(measured.get(pair, 2.0), 2 * km / 200)

    for origin in study.origins:
        place = region_at.get(origin.near or "")
        if origin.latitude is not None and origin.longitude is not None:
            place = (origin.latitude, origin.longitude)
        for site in sites:
            direct = measured.get((origin.near or "", site.region_id))
            if direct is None:
                direct = 2.0 if origin.near == site.region_id else without_measurement(place, site)
            latencies[origin.name, site.id] = direct
    return latencies
