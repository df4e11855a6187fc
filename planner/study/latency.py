"""Round trips from origins to sites: measured, else by proxy, else by distance, each labelled."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from planner.study.records.inventory import Site
from planner.study.records.study import Origin, Study
from planner.units import MS_PER_SECOND

SAME_PLACE_MS = 2.0
"""Round trip within one region whose own was not measured, assumed (AWS publishes 1 to 8 ms between zones of one)."""
PROXY_KM = 400.0
"""How far a region may be from a place to stand for it."""
EARTH_KM = 6371.0
FIBRE_KM_PER_SECOND = 200_000.0
VACUUM_KM_PER_SECOND = 300_000.0
NINE_OF_TEN_WITHIN_MS = {"measured": 0.0, "proxy": 14.0, "estimated": 67.0, "same": 6.0}
"""How far a round trip may be off, by how it is known (inventories/README.md; a region's zones are 1 to 8 ms apart)."""


@dataclass(frozen=True)
class Reach:
    """A round trip [ms] with how it is known: measured, proxy, estimated, or assumed within the same place."""

    round_trip_ms: float
    how: str

    @property
    def evidence(self) -> str:
        """`measured`, `proxy`, `estimated` or `assumed`."""
        word = self.how.partition(" ")[0]
        return "assumed" if word == "same" else word

    @property
    def error_ms(self) -> float:
        """What nine of ten round trips that are known in this way are off at most [ms]."""
        return NINE_OF_TEN_WITHIN_MS[self.how.partition(" ")[0]]


def great_circle_km(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Distance between two (latitude, longitude) in degrees along the great circle (haversine) [km].

    Examples
    --------
    >>> round(great_circle_km((51.5, -0.13), (48.86, 2.35)))
    343
    """
    (la, lo), (lb, lp) = ((math.radians(x), math.radians(y)) for x, y in (a, b))
    h = math.sin((lb - la) / 2) ** 2 + math.cos(la) * math.cos(lb) * math.sin((lp - lo) / 2) ** 2
    return 2 * EARTH_KM * math.asin(min(1.0, math.sqrt(h)))


def fibre_round_trip_ms(km: float) -> float:
    """Round trip of light in fibre over a distance [ms]: `2 km / 200`; nothing is faster."""
    return 2 * km / FIBRE_KM_PER_SECOND * MS_PER_SECOND


def light_round_trip_ms(km: float) -> float:
    """Round trip of light in a vacuum [ms]: what is said to be faster is wrong, whatever the path.

    Examples
    --------
    >>> light_round_trip_ms(3000.0)
    20.0
    """
    return 2 * km / VACUUM_KM_PER_SECOND * MS_PER_SECOND


def estimated_round_trip_ms(km: float) -> float:
    """Round trip by distance [ms]: `max(2 km / 200, 8.5 + 0.0154 km)`.

    Least-absolute fit over the pairs measured in the AWS, Google and Azure tables that ship: median error 14 ms,
    9 of 10 within 67 ms. Never faster than light in fibre (200 km/ms one way).

    Examples
    --------
    >>> estimated_round_trip_ms(1000.0)
    23.9
    """
    return max(fibre_round_trip_ms(km), 8.5 + 0.0154 * km)


def reaches(study: Study) -> dict[tuple[str, str], Reach]:
    """Round trip of every (origin, site id) of the study's pools; pairs that cannot be known are left out.

    The first of these that there is:

    - measured between the region that the origin is `near` and the site's region, either way; its own region's as well;
    - 2 ms, assumed, where that is the site's own region and was not measured;
    - proxy: measured between a region within 400 km of the origin and one within 400 km of the site's region (that one
      itself first), the pair with the fewest km replaced; where both are the same region: its own, measured or 2 ms,
      and never faster than light in fibre over the distance from the origin to the site;
    - estimated by distance (`estimated_round_trip_ms`).

    An origin stands at its coordinates, else at its `near` region's.
    """
    measured: dict[tuple[str, str], float] = {}
    for row in study.round_trips:
        measured[row.from_region, row.to_region] = row.round_trip_ms
    for row in study.round_trips:
        measured.setdefault((row.to_region, row.from_region), row.round_trip_ms)
    places = region_places(study.sites)

    @cache
    def near(place: tuple[float, float]) -> tuple[tuple[float, str], ...]:
        distances = ((great_circle_km(place, places[r]), r) for r in sorted(places))
        return tuple(sorted(pair for pair in distances if pair[0] <= PROXY_KM))

    @cache
    def proxy(here: tuple[float, float], region: str) -> tuple[str, str] | None:
        targets = {region: 0.0} | {r: away for away, r in near(places[region])}
        pairs = (
            (away + targets[y], x, y)
            for away, x in near(here)
            for y in targets
            if x == y == region or (x, y) in measured
        )
        best = min(pairs, default=None)
        return None if best is None else best[1:]

    def reach(origin: Origin, site: Site) -> Reach | None:
        region, here = site.region_id, origin_place(origin, places)
        if origin.near is not None and (origin.near, region) in measured:
            return Reach(measured[origin.near, region], "measured")
        if origin.near == region:
            return Reach(SAME_PLACE_MS, "same place, assumed")
        if here is None:
            return None
        km = great_circle_km(here, (site.latitude, site.longitude))
        pair = proxy(here, region)
        if pair is None:
            return Reach(estimated_round_trip_ms(km), "estimated by distance")
        x, y = pair
        within = max(measured.get((x, x), SAME_PLACE_MS), fibre_round_trip_ms(km))
        return Reach(within if x == y else measured[pair], f"proxy {x} to {y}")

    used = {pool.site for pool in study.pools}
    pairs = ((origin, site) for origin in study.origins for site in study.sites if site.id in used)
    known = {(origin.name, site.id): reach(origin, site) for origin, site in pairs}
    return {pair: round_trip for pair, round_trip in known.items() if round_trip is not None}


def region_places(sites: Iterable[Site]) -> dict[str, tuple[float, float]]:
    """Region -> coordinates of its first site."""
    places: dict[str, tuple[float, float]] = {}
    for site in sites:
        places.setdefault(site.region_id, (site.latitude, site.longitude))
    return places


def origin_place(origin: Origin, places: dict[str, tuple[float, float]]) -> tuple[float, float] | None:
    """Coordinates of an origin: its own, else those of the region it is near."""
    if origin.latitude is not None and origin.longitude is not None:
        return origin.latitude, origin.longitude
    return places.get(origin.near or "")
