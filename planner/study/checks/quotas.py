"""That quotas limit some pool, in a unit of its machine type, and leave what is held."""

import math
from collections.abc import Mapping
from datetime import timedelta

from planner.study.calendar import calendar, touches
from planner.study.checks.holdings import held_through, obtainable_machines
from planner.study.parts import POOL_IDS, Parts
from planner.study.places import Place, Reading, listed, matches, near_miss, quoted, unquoted
from planner.study.records.inventory import MachineType, Offer, Pool, Price, power_limit_name, sold_in_all_name
from planner.study.records.study import Holding, Quota


def check_quotas(parts: Parts, reading: Reading) -> None:
    """Quotas limit some pool, in a unit that its machine type states, and leave what is held."""
    own = _names_of_own_limits(parts)
    for quota, place in parts.rows("policies", "quotas"):
        if quota.name in own:
            fix = "choose another name: a limit that follows from the inventory is called so"
            reading.error(place.at("name"), "a name of its own", quoted(quota.name), fix)
        for j, pattern in enumerate(quota.pools):
            what = "a pool, or a pattern that matches pools"
            reading.refer_pattern(place.at("pools", j), Pool, what, pattern, parts.pool_ids, POOL_IDS)
        limited = {
            id: parts.machine_types[pool.machine_type][0]
            for id, pool in parts.considered_pools.items()
            if pool.machine_type in parts.machine_types and matches(id, quota.pools)
        }
        factor = {id: {"machines": 1.0, **m.quota_units}.get(quota.unit, 0.0) for id, m in limited.items()}
        without = _check_unit(quota, place, limited, factor, reading)
        used = 0.0
        for period in calendar(parts.file.horizon):
            if touches(quota.from_day, quota.until, period):
                held = held_through(parts, period)
                used = max(used, sum(held.get(id, 0) * factor[id] for id in limited if quota.takes("held")))
        if used > quota.most:
            expected = f"at least {used:g} {unquoted(quota.unit)}, what is held in these pools"
            fix = "raise the quota to what was granted, or correct the holdings"
            reading.error(place.at("most"), expected, f"{quota.most:g}", fix)
        _check_increases(quota, place, parts, reading)
        offers = [offer for offer, _ in parts.offers.values() if quota.takes(offer.kind)]
        holdings = [holding for holding, _ in parts.holdings if quota.takes("held")]
        most = sum(obtainable_machines(id, holdings, offers) * factor[id] for id in limited if factor[id])
        if limited and not without and quota.most > most and not reading.any_broken(Offer, Price, Holding):
            unit = unquoted(quota.unit)
            expected = f"at most {most:g} {unit}, all that is held and offered in these pools"
            fix = f"correct the number or its unit: it counts in {unit}; as it is, it limits nothing"
            reading.warning(place.at("most"), expected, f"{quota.most:g}", fix)


def _check_increases(quota: Quota, place: Place, parts: Parts, reading: Reading) -> None:
    """Each increase is granted before the last period begins in which its quota holds: else nothing counts on it."""
    begins = [t.first_day for t in calendar(parts.file.horizon) if touches(quota.from_day, quota.until, t)]
    for i, increase in enumerate(quota.increases):
        granted = parts.file.today + timedelta(days=math.ceil(increase.lead_days))
        if begins and granted > begins[-1]:
            expected = f"granted by {begins[-1]}, when the last period begins in which the quota holds"
            fix = "correct lead_days, or leave the increase out: as it is, no plan can count on it"
            reading.warning(place.at("increases", i, "lead_days"), expected, f"{increase.lead_days:g}: {granted}", fix)


def _names_of_own_limits(parts: Parts) -> set[str]:
    """What limits are called that follow from sites and offers: see `planner show limits_hold`."""
    names = {power_limit_name(id) for id in parts.sites}
    for offer, _ in parts.offers.values():
        if offer.site in parts.sites:
            names.add(sold_in_all_name(parts.sites[offer.site][0].provider, offer.kind))
    return names


def _check_unit(
    quota: Quota, place: Place, limited: Mapping[str, MachineType], factor: Mapping[str, float], reading: Reading
) -> list[str]:
    """The machine types of the limited pools that do not state the unit: they count 0."""
    without = sorted({machine.name for id, machine in limited.items() if factor[id] == 0})
    if without:
        units = {"machines", *(unit for machine in limited.values() for unit in machine.quota_units)}
        got = f"{quoted(quota.unit)}, which {listed(without)} state no number of{near_miss(quota.unit, units)}"
        fix = f"write one of: {listed(units)}; or state quota_units of these machine types: they count 0"
        report = reading.error if len(without) == len({m.name for m in limited.values()}) else reading.warning
        report(place.at("unit"), "machines, or a unit of the machine types' quota_units", got, fix)
    return without
