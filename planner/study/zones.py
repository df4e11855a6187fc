"""Regions split into zones: one pool a zone, where a provider's list names the zones of a machine type.

The stock of a zone is known no better than that of its region: it is split evenly over the zones, which is assumed.
"""

import glob
import math
from collections.abc import Iterable, Mapping
from typing import Any

from planner.study.parts import Parts
from planner.study.places import Reading, Row, listed, matches, quoted
from planner.study.records.inventory import Offer, Pool, Site, Zone
from planner.study.records.study import RequestCost, StudyFile

REGION_IDS = "provider/region"
MOST_LETTERS = 200
"""Of a source, as of every name in a record."""


def split_into_zones(parts: Parts, reading: Reading) -> None:
    """Replace the pools of the regions that a study asks for by one pool for each zone, with what names them.

    Patterns that match a region's pool, or an offer of it, match those of its zones. Holdings, claims and components
    are machines and places: they must say which zone they mean. `parts.zones` keeps the rows that are used.
    """
    asked = [row for row in parts.zones.values() if matches(row[0].region_id, parts.file.zones)]
    parts.zones = {}
    if not parts.file.zones:
        return
    if reading.any_broken(Zone, Site, Pool):
        reading.broken.add((Pool, "*"))  # the names of pools are not known without their zones
        return
    before = [pool for id, (pool, _) in parts.pools.items() if matches(id, parts.file.pools)]
    by_pool: dict[str, list[Row[Zone]]] = {}
    for zone, place in asked:
        if zone.region_pool in parts.pools and _may_split(zone, parts):
            by_pool.setdefault(zone.region_pool, []).append((zone, place))
    by_pool = {id: rows for id, rows in by_pool.items() if _is_considered(id, rows, parts)}
    _check_rows([row for rows in by_pool.values() for row in rows], parts, reading)
    for region_pool, rows in by_pool.items():
        zones = sorted((zone for zone, _ in rows), key=lambda zone: zone.zone)
        _split_pool(region_pool, zones, parts)
        parts.zones |= {f"{zone.region_id} {zone.pool}": (zone, place) for zone, place in rows}
    parts.file = _widened(parts)
    parts.request_costs = _split_request_costs(parts)
    _report_patterns(before, parts, reading)
    _report_one_site(before, parts, reading)
    _report_goals(parts, reading)


def shares_of(units: float, count: int) -> list[float]:
    """Units split evenly over so many zones; what remains goes to the first ones, one each.

    Examples
    --------
    >>> shares_of(5, 2), shares_of(8, 3), shares_of(1, 3)
    ([3.0, 2.0], [3.0, 3.0, 2.0], [1.0, 0.0, 0.0])
    """
    each = math.floor(units / count)
    over = units - each * count
    return [each + min(1.0, max(0.0, over - i)) for i in range(count)]


def _may_split(zone: Zone, parts: Parts) -> bool:
    """Whether its region is one site, without limits of its own."""
    site = parts.sites.get(zone.region_id)
    return site is not None and site[0].region_id == zone.region_id and not _has_limits(zone.region_id, parts)


def _is_considered(region_pool: str, rows: Iterable[Row[Zone]], parts: Parts) -> bool:
    """Whether the study considers the pool of a region, or of one of its zones."""
    return any(matches(id, parts.file.pools) for id in (region_pool, *(zone.pool for zone, _ in rows)))


def _has_limits(site: str, parts: Parts) -> bool:
    """Whether a site has power or storage of its own, or is built: nobody said how zones would share them."""
    record = parts.sites[site][0]
    built = {phase.site for phase in parts.file.build_outs} | {row.site for row in parts.file.electricity}
    return record.power_kw is not None or record.load_gib_per_second is not None or site in built


def _check_rows(rows: Iterable[Row[Zone]], parts: Parts, reading: Reading) -> None:
    """A zone has a name of its own, lies in one region, and has no pool of that type already."""
    region_of: dict[str, str] = {}
    for zone, place in rows:
        if zone.zone == zone.region:
            fix = "write the zone's own name or id, as in use2-az1"
            reading.error(place.at("zone"), "another name than its region's", quoted(zone.zone), fix)
            continue
        site = parts.sites[zone.site][0].region_id if zone.site in parts.sites else zone.region_id
        other = region_of.setdefault(zone.site, site)
        if other != zone.region_id:
            got = f"{quoted(zone.region_id)}, while {quoted(zone.site)} is in {quoted(other)}"
            reading.error(place.at("region"), "one region of a zone", got, "correct one of the two")
        if zone.pool in parts.pools:
            got = f"{quoted(zone.pool)} beside {quoted(zone.region_pool)}"
            fix = "leave one of them out of pools.csv, or this row out of zones.csv: its stock would count twice"
            reading.error(place.at("machine_type"), "a pool of the region, or pools of its zones", got, fix)


def _split_pool(region_pool: str, zones: list[Zone], parts: Parts) -> None:
    """Add the site, pool, offers and prices of each zone; those of the region stay in the inventory.

    Sites, terms and prices are the region's; `most_units` and `spare_machines` are split.
    """
    pool, at_pool = parts.pools[region_pool]
    region, at_site = parts.sites[pool.site]
    offers = [row for row in parts.offers.values() if row[0].pool == region_pool]
    for i, zone in enumerate(zones):
        parts.sites.setdefault(zone.site, (region.model_copy(update={"site": zone.zone}), at_site))
        spare = pool.spare_machines / len(zones)
        parts.pools[zone.pool] = (pool.model_copy(update={"site": zone.site, "spare_machines": spare}), at_pool)
        for offer, at_offer in offers:
            of_zone = _offer_of_zone(offer, zone, i, len(zones))
            parts.offers[of_zone.id] = (of_zone, at_offer)
            if offer.id in parts.prices:
                price, at_price = parts.prices[offer.id]
                parts.prices[of_zone.id] = (price.model_copy(update={"site": zone.site}), at_price)


def _offer_of_zone(offer: Offer, zone: Zone, i: int, count: int) -> Offer:
    """The region's offer in the zone at place `i` of `count`, with its share of the stock."""
    update: dict[str, Any] = {"site": zone.site}
    if offer.most_units is not None and count > 1:
        end = f"; most_units split evenly over {count} zones: assumed"
        update["most_units"] = shares_of(offer.most_units, count)[i]
        update["evidence"] = "assumed"
        update["source"] = offer.source[: MOST_LETTERS - len(end)] + end
    return offer.model_copy(update=update)


def _widened(parts: Parts) -> StudyFile:
    """The study file, in which patterns that match a pool or an offer that is split match those of the zones."""
    file, pools, offers = parts.file, parts.zone_pools, parts.zone_offers
    policies = file.policies.model_copy(
        update={
            "quotas": tuple(_with_zones(quota, "pools", pools) for quota in file.policies.quotas),
            "counted": tuple(_with_zones(counted, "offers", offers) for counted in file.policies.counted),
        }
    )
    return file.model_copy(
        update={
            "pools": (*file.pools, *_of_zones(file.pools, pools)),
            "policies": policies,
            "price_book": _with_lines(file.price_book, offers),
            "price_paths": _with_lines(file.price_paths, offers),
            "spend_commitments": tuple(_with_zones(row, "offers", offers) for row in file.spend_commitments),
        }
    )


def _of_zones(patterns: tuple[str, ...], zones_of: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Patterns of what the zones have, where some patterns match what the region has and not yet these."""
    added = []
    for id, of_zones in zones_of.items():
        if matches(id, patterns):
            added += [glob.escape(of_zone) for of_zone in of_zones if not matches(of_zone, patterns)]
    return added


def _with_zones(record: Any, field: str, zones_of: Mapping[str, tuple[str, ...]]) -> Any:
    """A record with a list of patterns, which match the zones as well."""
    patterns: tuple[str, ...] = getattr(record, field)
    return record.model_copy(update={field: (*patterns, *_of_zones(patterns, zones_of))})


def _with_lines(lines: tuple[Any, ...], zones_of: Mapping[str, tuple[str, ...]]) -> tuple[Any, ...]:
    """Lines of one pattern each, with a line more for each offer of a zone that is not matched yet."""
    more = [
        line.model_copy(update={"offers": pattern}) for line in lines for pattern in _of_zones((line.offers,), zones_of)
    ]
    return (*lines, *more)


def _split_request_costs(parts: Parts) -> list[Row[RequestCost]]:
    """Costs of requests, those at a region's site at the sites of its zones as well."""
    sites: dict[str, set[str]] = {}
    for zone, _ in parts.zones.values():
        sites.setdefault(zone.region_id, set()).add(zone.site)
    more = []
    for cost, place in parts.request_costs:
        more += [(cost.model_copy(update={"site": site}), place) for site in sorted(sites.get(cost.site, ()))]
    return [*parts.request_costs, *more]


def _report_patterns(before: Iterable[Pool], parts: Parts, reading: Reading) -> None:
    """Each pattern of `zones` matches a region of the inventory, and one that has a pool of the study."""
    regions = {site.region_id for site, _ in parts.sites.values()}
    considered = [*before, *parts.considered_pools.values()]
    used = {parts.sites[pool.site][0].region_id for pool in considered if pool.site in parts.sites}
    for i, pattern in enumerate(parts.file.zones):
        where, what = parts.place.at("zones", i), "a region, or a pattern that matches regions"
        reading.refer_pattern(where, Site, what, pattern, regions, REGION_IDS)
        if any(matches(id, [pattern]) for id in regions) and not any(matches(id, [pattern]) for id in used):
            fix = "add pools there to `pools:` of the study, or remove it; as it is, it changes nothing"
            reading.warning(where, "a region with pools of the study", f"{quoted(pattern)}, of others", fix)


def _report_one_site(before: Iterable[Pool], parts: Parts, reading: Reading) -> None:
    """Say which pools of these regions stay one site, as no list names their zones."""
    one_site = []
    for pool in before:
        site = parts.sites[pool.site][0] if pool.site in parts.sites else None
        if site is None or site.site != site.region or pool.id in parts.zone_pools:
            continue
        if matches(site.region_id, parts.file.zones) and not _has_limits(site.id, parts):
            one_site.append(pool.id)
    if one_site:
        fix = "add rows to zones.csv of an inventory; as it is, each stays one site, which no loss of a zone takes"
        got = f"none for {listed(one_site)}"
        reading.warning(parts.place.at("zones"), "zones that a list names for each pool there", got, fix)


def _report_goals(parts: Parts, reading: Reading) -> None:
    """Say where a goal for sites was one for regions before they were split."""
    for tier, place in parts.tiers:
        kinds = {goal.any for goal in tier.survive}
        if parts.zones and "site" in kinds and not kinds & {"region"}:
            fix = "add a goal `any: region`, if losing one matters; a site of a region that is split is a zone"
            reading.warning(place.at("survive"), "a goal for regions beside that for sites", "none", fix)
