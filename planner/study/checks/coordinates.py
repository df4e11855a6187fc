"""That places on the globe lie where the round trips say."""

from collections.abc import Mapping

from planner.study.latency import PROXY_KM, great_circle_km, light_round_trip_ms, region_places
from planner.study.parts import Parts
from planner.study.places import Reading, Row, unquoted
from planner.study.records.inventory import RoundTrip
from planner.study.records.study import Origin

FAR_FROM_ITS_REGION_KM = 2000.0
"""An origin this far from the region whose round trips it shares is most likely somewhere else."""

Point = tuple[float, float]


def check_coordinates(parts: Parts, reading: Reading) -> None:
    """Report origins and sites that most likely lie elsewhere."""
    _check_origins(parts, reading)
    _check_sites(parts, reading)


def _check_origins(parts: Parts, reading: Reading) -> None:
    """Origins lie where the region is that they are near; latitude and longitude come together."""
    places = region_places(site for _, (site, _) in sorted(parts.sites.items()))
    for origin, place in parts.origins:
        if (origin.latitude is None) != (origin.longitude is None):
            missing = "latitude" if origin.latitude is None else "longitude"
            fix = f"add `{missing}`, or leave both out; as it is, the origin counts as where the region is"
            reading.warning(place.at(missing), "latitude and longitude, or neither", f"no {missing}", fix)
        here = _point(origin)
        if here is None or origin.near not in places:
            continue
        centre = places[origin.near or ""]
        km = great_circle_km(here, centre)
        better = _mistyped(here, centre)
        if better is not None or km > FAR_FROM_ITS_REGION_KM:
            expected = f"a place near {unquoted(origin.near)}, whose round trips it shares"
            fix = "name a region that is nearer, or correct the coordinates" if better is None else _written(better)
            got = f"{_degrees(here)}, {km:,.0f} km away"
            reading.warning(place.at("latitude"), expected, got, fix)


def _check_sites(parts: Parts, reading: Reading) -> None:
    """Sites of a region lie together, and no round trip between regions is faster than light."""
    places = region_places(site for _, (site, _) in sorted(parts.sites.items()))
    for site, place in parts.sites.values():
        here, centre = (site.latitude, site.longitude), places[site.region_id]
        if great_circle_km(here, centre) > PROXY_KM:
            better = _mistyped(here, centre)
            fix = "correct the coordinates, or the region" if better is None else _written(better)
            expected = f"a place within {PROXY_KM:g} km of the other sites of {unquoted(site.region_id)}"
            got = f"{_degrees(here)}, {great_circle_km(here, centre):,.0f} km away"
            reading.warning(place.at("latitude"), expected, got, fix)
    faster = _faster_than_light(parts, places)
    while faster:
        regions = sorted(region for row, _ in faster for region in (row.from_region, row.to_region))
        worst = max(regions, key=regions.count)
        of_worst = [(row, at) for row, at in faster if worst in (row.from_region, row.to_region)]
        row, at = of_worst[0]
        other = row.from_region if row.to_region == worst else row.to_region
        expected = f"a place that light reaches from {unquoted(other)} in {row.round_trip_ms:g} ms ({at.at()})"
        km = great_circle_km(places[worst], places[other])
        got = f"{_degrees(places[worst])} for {unquoted(worst)}, {km:,.0f} km away"
        fix = "correct the coordinates of one of the two, or the round trip"
        for meant in _meant(places[worst]):
            still = _faster_than_light(parts, {**places, worst: meant})
            if not any(worst in (row.from_region, row.to_region) for row, _ in still):
                fix = _written(meant)
                break
        place = next(place for site, place in parts.sites.values() if site.region_id == worst)
        reading.warning(place.at("latitude"), expected, got, fix)
        faster = [row for row in faster if row not in of_worst]


def _faster_than_light(parts: Parts, places: Mapping[str, Point]) -> list[Row[RoundTrip]]:
    """Round trips shorter than light takes between their regions."""
    faster = []
    for row, place in parts.round_trips.values():
        if row.from_region in places and row.to_region in places:
            km = great_circle_km(places[row.from_region], places[row.to_region])
            if row.round_trip_ms < light_round_trip_ms(km):
                faster.append((row, place))
    return faster


def _point(origin: Origin) -> Point | None:
    if origin.latitude is None or origin.longitude is None:
        return None
    return origin.latitude, origin.longitude


def _meant(point: Point) -> list[Point]:
    """What may have been meant: latitude and longitude exchanged, a sign lost."""
    latitude, longitude = point
    turned = [(longitude, latitude), (latitude, -longitude), (-latitude, longitude), (longitude, -latitude)]
    turned += [(-longitude, latitude), (-latitude, -longitude)]
    return [meant for meant in turned if abs(meant[0]) <= 90]


def _mistyped(here: Point, centre: Point) -> Point | None:
    """What was most likely meant by a place that should be within 400 km of another, and is not; else None."""
    if great_circle_km(here, centre) <= PROXY_KM:
        return None
    return next((point for point in _meant(here) if great_circle_km(point, centre) <= PROXY_KM), None)


def _written(point: Point) -> str:
    return f"write latitude {point[0]:g} and longitude {point[1]:g}, if they were exchanged or a sign was lost"


def _degrees(point: Point) -> str:
    return f"latitude {point[0]:g}, longitude {point[1]:g}"
