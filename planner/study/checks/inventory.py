"""What must hold within the inventory: sites, pools, offers, prices."""

from planner.study.parts import POOL_IDS, SITE_IDS, Parts
from planner.study.places import Reading, near_miss, quoted
from planner.study.records.inventory import MachineType, Offer, Pool, Price, Site
from planner.study.records.study import Holding


def check_inventory(parts: Parts, reading: Reading) -> None:
    """Report pools, offers and prices that lead nowhere, and pools that cannot be used."""
    _check_tables(parts, reading)
    _check_pools(parts, reading)


def _check_tables(parts: Parts, reading: Reading) -> None:
    """Pools stand at a site, offers are for a pool, prices for an offer."""
    for pool, place in parts.pools.values():
        reading.refer(place.at("site"), Site, "the id of a site (provider/site)", pool.site, parts.sites)
        what, types = "a machine type of the inventory", parts.machine_types
        reading.refer(place.at("machine_type"), MachineType, what, pool.machine_type, types)
    sites = {id for site, _ in parts.sites.values() for id in (site.id, site.region_id)}
    for rate, place in parts.storage.values():
        what = "a site, or a pattern that matches sites"
        reading.refer_pattern(place.at("sites"), Site, what, rate.sites, sites, SITE_IDS)
    for offer, place in parts.offers.values():
        if offer.pool not in parts.pools:
            fix = "add the pool to pools.csv, or correct site and machine type"
            reading.refer(place.at("site"), Pool, "site and machine type of a pool", offer.pool, parts.pools, fix)
    for price, place in parts.prices.values():
        if price.offer_id not in parts.offers and not {(Offer, price.offer_id), (Offer, "*")} & reading.broken:
            got = quoted(price.offer_id) + near_miss(price.offer_id, parts.offers)
            reading.warning(place.at("offer"), "an offer with these terms", got, "nothing; the price is not used")


def _check_pools(parts: Parts, reading: Reading) -> None:
    """The study considers pools; each has an offer with a price, or a holding."""
    for i, pattern in enumerate(parts.file.pools):
        what = "a pool, or a pattern that matches pools"
        reading.refer_pattern(parts.place.at("pools", i), Pool, what, pattern, parts.pool_ids, POOL_IDS)
    offered = {offer.pool for offer, _ in parts.offers.values()}
    for id, (offer, place) in parts.considered_offers.items():
        if id not in parts.prices and not {(Price, id), (Price, "*")} & reading.broken:
            fix = f"add the row {offer.site},{offer.machine_type},{offer.offer},... to prices.csv, or remove the offer"
            reading.error(place.at("offer"), "a price of the offer", f"none for {quoted(id)}", fix)
    held = {holding.pool for holding, _ in parts.holdings}
    for id in parts.considered_pools:
        if id not in offered | held and not reading.any_broken(Offer, Holding):
            fix = "add an offer to offers.csv, or a holding; as it is, the pool cannot be used"
            reading.warning(parts.pools[id][1].at(), "an offer or a holding", f"neither for {quoted(id)}", fix)
