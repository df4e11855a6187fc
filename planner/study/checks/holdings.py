"""That no more is lent than is held, and that what is held has power."""

import math
from collections.abc import Iterable

from planner.study.calendar import Span, calendar, through, touches
from planner.study.parts import Parts
from planner.study.places import Reading, Row, listed, unquoted
from planner.study.records.inventory import Offer, Pool
from planner.study.records.study import Claim, Holding, Horizon


def check_holdings(parts: Parts, reading: Reading) -> None:
    """Report holdings and claims in no pool of the study, and more than there is."""
    _check_machines(parts, reading)
    _check_power(parts, reading)


def _check_machines(parts: Parts, reading: Reading) -> None:
    """Holdings and claims are in pools of the study; no more is lent than is held."""
    last, considered = parts.file.horizon.last_day, parts.considered_pools
    rows: list[Row[Holding] | Row[Claim]] = [*parts.holdings, *parts.claims]
    for row, place in rows:
        fix = "it is in the inventory: add it to `pools:` of the study" if row.pool in parts.pools else None
        if row.pool in parts.zone_pools:
            fix = split_fix(parts.zone_pools[row.pool])
        reading.refer(place.at("pool"), Pool, "a pool of the study", row.pool, considered, fix)
    if reading.any_broken(Horizon):
        return
    periods = calendar(parts.file.horizon)
    for holding, place in parts.holdings:
        counted = any(through(holding.from_day, holding.until, period) for period in periods)
        if holding.until is not None and not counted and len(periods) == 1:
            expected = f"a holding that lasts until {last}, the last day of the horizon"
            fix = "nothing; the plan has one period, so that these machines are not counted"
            reading.warning(place.at("until"), expected, f"one until {holding.until}", fix)
        elif not counted:
            fix = "nothing; what is there for part of a period is counted for none of it"
            got = f"from {holding.from_day or periods[0].first_day} until {holding.until or last}"
            reading.warning(place.at(), "a holding that is there through a whole period", got, fix)
    for period in periods:
        held = held_through(parts, period)
        lent: dict[str, int] = {}
        for claim, place in parts.claims:
            if not touches(claim.from_day, claim.until, period):
                continue
            lent[claim.pool] = lent.get(claim.pool, 0) + claim.machines
            most = held.get(claim.pool, 0)
            sure = claim.pool in considered and held.keys() <= considered.keys() and not reading.any_broken(Holding)
            if sure and lent[claim.pool] > most:
                when = "to the end" if len(periods) == 1 else f"through {unquoted(period.name)}"
                expected = f"at most {most} machines lent, as many as {unquoted(claim.pool)} holds {when}"
                fix = "add the holding, or lower the claim"
                reading.error(place.at("machines"), expected, str(lent[claim.pool]), fix)


def split_fix(pools: Iterable[str]) -> str:
    """What to write for machines in a pool of a region that is split into zones."""
    return f"the region is split into zones; say in which the machines are, a row for each: {listed(pools)}"


def held_through(parts: Parts, period: Span) -> dict[str, int]:
    """Machines held in each pool through a period."""
    held: dict[str, int] = {}
    for holding, _ in parts.holdings:
        if through(holding.from_day, holding.until, period):
            held[holding.pool] = held.get(holding.pool, 0) + holding.machines
    return held


def obtainable_machines(pool: str, holdings: Iterable[Holding], offers: Iterable[Offer]) -> float:
    """Machines of a pool that are held at any time, and that its offers have; infinite where one has no limit."""
    machines: float = sum(holding.machines for holding in holdings if holding.pool == pool)
    for offer in offers:
        if offer.pool == pool:
            machines += math.inf if offer.most_units is None else offer.most_units * offer.machines_per_unit
    return machines


def _check_power(parts: Parts, reading: Reading) -> None:
    """What is held at a site fits its power."""
    if reading.any_broken(Horizon):
        return
    most: dict[str, int] = {}
    for period in calendar(parts.file.horizon):
        for id, machines in held_through(parts, period).items():
            most[id] = max(machines, most.get(id, 0))
    drawn: dict[str, float] = {}
    for id, machines in most.items():
        pool = parts.considered_pools.get(id)
        if pool is not None and pool.machine_type in parts.machine_types:
            kw = parts.machine_types[pool.machine_type][0].power_kw or 0.0
            drawn[pool.site] = drawn.get(pool.site, 0.0) + machines * kw
    for id, kw in drawn.items():
        site, place = parts.sites.get(id, (None, None))
        if site is not None and place is not None and site.power_kw is not None and kw > site.power_kw * (1 + 1e-9):
            got = f"{site.power_kw:g} kW, while the machines held at {unquoted(id)} draw {kw:g} kW"
            reading.error(place.at("power_kw"), "at least what is held there draws", got, "correct one of the two")
