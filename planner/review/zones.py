"""Regions that are split into zones: which, by whose list, and how their stock was split, which is assumed."""

from dataclasses import dataclass

from planner.plan.in_hand import Plan
from planner.review.report import Column, Section
from planner.study.records.study import Study

LINES = (
    "each zone is a site: that the provider's list names the machine type there promises no machine, and what a region "
    "has (most_units) is split evenly over these zones, which is assumed",
    "distances, terms and prices are those of the region; quotas of a region hold for its zones together",
)


@dataclass(frozen=True)
class PoolSplit:
    """A pool of a region as those of its zones.

    Parameters
    ----------
    units : zone -> most units of each offer there, where there is a limit
    held_machines : zone -> machines held, where any are
    """

    pool: str
    zones: tuple[str, ...]
    units: dict[str, dict[str, float]]
    held_machines: dict[str, int]
    evidence: str
    as_of: str


def zones_of_study_section(study: Study) -> Section | None:
    """The pools that were split into zones; none where the study asks for no zones."""
    if not study.zones:
        return None
    rows = _splits(study)
    columns = (
        Column("pool of the region", lambda row: row.pool),
        Column("zones", lambda row: ", ".join(row.zones)),
        Column("most units, by zone", _units_text),
        Column("held", lambda row: ", ".join(f"{zone} {n}" for zone, n in row.held_machines.items())),
        Column("listed", lambda row: f"{row.evidence}, {row.as_of}"),
    )
    return Section("ZONES", LINES, columns, rows)


def zones_section(plan: Plan) -> Section | None:
    """The same of a plan's study."""
    return zones_of_study_section(plan.study)


def _splits(study: Study) -> list[PoolSplit]:
    rows = []
    for region_pool in study.zone_pools:
        zones = sorted((z for z in study.zones if z.region_pool == region_pool), key=lambda z: z.zone)
        zones = [zone for zone in zones if zone.pool in study.pool_by_id]
        if not zones:
            continue
        units: dict[str, dict[str, float]] = {zone.zone: {} for zone in zones}
        held: dict[str, int] = {}
        for zone in zones:
            for offer in study.offers:
                if offer.pool == zone.pool and offer.most_units is not None:
                    units[zone.zone][offer.offer] = offer.most_units
            machines = sum(holding.machines for holding in study.holdings if holding.pool == zone.pool)
            if machines:
                held[zone.zone] = machines
        names = tuple(zone.zone for zone in zones)
        rows.append(PoolSplit(region_pool, names, units, held, zones[0].evidence, max(zone.as_of for zone in zones)))
    return rows


def _units_text(row: PoolSplit) -> str:
    """`3 + 2: on_demand, spot`: of offers that are split the same the units in each zone."""
    offers: dict[str, list[str]] = {}
    for offer in dict.fromkeys(offer for by_offer in row.units.values() for offer in by_offer):
        split = " + ".join(f"{by_offer.get(offer, 0.0):g}" for by_offer in row.units.values())
        offers.setdefault(split, []).append(offer)
    if len(offers) == 1:
        return f"{next(iter(offers))} of each offer"
    return "; ".join(f"{split}: {', '.join(names)}" for split, names in offers.items())
