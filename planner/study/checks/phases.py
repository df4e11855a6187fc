"""What must hold of build-outs, of machines that are bought, and of what is promised and paid over years."""

from graphlib import CycleError, TopologicalSorter

import networkx as nx

from planner.study.calendar import calendar, may_be_ready, usable_from
from planner.study.checks.timing import check_steps
from planner.study.parts import OFFER_IDS, Parts
from planner.study.places import Reading, Row, quoted, unique, unquoted
from planner.study.records.buildout import BuildOut, Electricity
from planner.study.records.inventory import Offer, Site
from planner.study.records.study import Horizon
from planner.units import MONTHS_PER_YEAR


def check_phases(parts: Parts, reading: Reading) -> None:
    """Report phases that cannot stand or follow each other, machines paid twice, promises that nothing can keep."""
    phases: list[Row[BuildOut]] = parts.rows("build_outs")
    unique(phases, lambda m: m.id, reading)
    _check_sites(parts, phases, reading)
    _check_order(parts, phases, reading)
    _check_lead_times(parts, phases, reading)
    _check_electricity(parts, reading)
    _check_offers(parts, {m.site for m, _ in phases} | {row.site for row in parts.file.electricity}, reading)
    _check_promises(parts, reading)


def _check_sites(parts: Parts, phases: list[Row[BuildOut]], reading: Reading) -> None:
    """A phase stands at a site with pools of the study, whose machines draw power that is known."""
    sites = {pool.site for pool in parts.considered_pools.values()}
    for m, place in phases:
        if not reading.refer(place.at("site"), Site, "the id of a site (provider/site)", m.site, parts.sites):
            continue
        if m.site not in sites and not reading.any_broken(Site):
            fix = "add a pool there to pools.csv, and to `pools:` of the study; as it is, nothing could stand in it"
            got = f"{quoted(m.site)}, which has none"
            reading.error(place.at("site"), "a site with pools that the study considers", got, fix)
    for site in sorted({m.site for m, _ in phases} & sites):
        for pool in parts.considered_pools.values():
            machine = parts.machine_types.get(pool.machine_type)
            if pool.site == site and machine is not None and machine[0].power_kw is None:
                fix = "give power_kw in machine_types.yaml; without it, machines would stand in a hall for nothing"
                expected = f"the power of {unquoted(machine[0].name)}, which stands in {unquoted(site)}"
                reading.error(machine[1].at("name"), expected, "none", fix)


def _check_order(parts: Parts, phases: list[Row[BuildOut]], reading: Reading) -> None:
    """Phases come after phases that exist, in no circle, and not after one that excludes them."""
    ids = {m.id for m, _ in phases}
    groups: dict[str, list[str]] = {}
    for m, _ in phases:
        groups.setdefault(m.either_or or "", []).append(m.id)
    order = nx.DiGraph({m.id: m.after for m, _ in phases})
    for m, place in phases:
        for earlier in m.after:
            reading.refer(place.at("after"), BuildOut, "the id of a phase (site:name)", earlier, ids)
        if m.either_or is None:
            continue
        rivals = set(groups[m.either_or]) - {m.id}
        if m.most > 1:
            got = f"most: {m.most} in group {quoted(m.either_or)}"
            fix = "write each module as a phase of its own, one after the other"
            reading.error(place.at("most"), "one module in a phase of an either_or group", got, fix)
        if not rivals:
            fix = "name the group at the phases that exclude each other, or leave it out"
            reading.warning(place.at("either_or"), "two phases in the group", f"one in {quoted(m.either_or)}", fix)
        for earlier in nx.descendants(order, m.id) & rivals:
            expected = f"groups that do not overlap with what comes after what: one of {quoted(m.either_or)} is built"
            got = f"{quoted(m.id)} comes after {quoted(earlier)} of the same group, so it is never built"
            reading.error(place.at("either_or"), expected, got, "take one of the two out of the group, or out of after")
    try:
        TopologicalSorter({m.id: m.after for m, _ in phases}).prepare()
    except CycleError as error:
        circle = " after ".join(unquoted(id) for id in error.args[1])
        where = next(place.at("after") for m, place in phases if m.id in error.args[1])
        reading.error(where, "phases that follow each other without a circle", circle, "remove one of them from after")


def _check_lead_times(parts: Parts, phases: list[Row[BuildOut]], reading: Reading) -> None:
    """Phases can stand within the horizon, and outlive it; periods that they name exist."""
    horizon, periods = parts.file.horizon, [t.name for t in parts.file.horizon.each_period]
    for m, place in phases:
        for name in m.ready_in:
            reading.refer(place.at("ready_in"), Horizon, "a period of the horizon", name, periods)
        if reading.any_broken(Horizon):
            continue
        last, day = calendar(horizon)[-1].first_day, usable_from(parts.file.today, m)
        stands = any(may_be_ready(parts.file.today, m, t) for t in calendar(horizon))
        if day > last:
            expected = f"lead times that end by {last}, the last period's first day"
            got = f"{m.lead_months.longest:g} months from {parts.file.today}, until {day}"
            fix = "plan a longer horizon, or take the phase out; as it is, it is never built"
            reading.warning(place.at("lead_months"), expected, got, fix)
        elif not stands and not m.never:
            got = f"usable from {day} on; ready_in {list(m.ready_in) or 'any'}, decide_by {m.decide_by or 'any day'}"
            fix = "correct ready_in or decide_by, or take the phase out; as it is, it is never built"
            reading.warning(place.at("name"), "a period in which it can be ready, decided in time", got, fix)
        if m.least > m.most or (m.least and m.never):
            expected = "0, where never is set" if m.never else f"at most {m.most}, the modules that can be built"
            reading.error(place.at("least"), expected, f"{m.least}", "correct least, or leave it out")
        elif m.least and not stands:
            fix = "correct ready_in and lead_months, or leave least out; how late it may be: planner delay"
            reading.error(place.at("least"), "0, where the phase can never be ready", f"{m.least}", fix)
        rivals = [p.id for p, _ in phases if p.either_or and p.either_or == m.either_or and p.least and p.id != m.id]
        if m.least and rivals:
            fix = "leave least out at all but one of the group"
            reading.error(place.at("least"), "one phase of a group to be built for sure", f"also {rivals[0]}", fix)
        draws = [
            machine[0].power_kw or 0.0
            for pool in parts.considered_pools.values()
            if pool.site == m.site and (machine := parts.machine_types.get(pool.machine_type)) is not None
        ]
        if draws and m.power_kw * m.most < min(draws):
            fix = "correct power_mw: it is in megawatts, for machines"
            reading.warning(
                place.at("power_mw"), f"power for one machine, {min(draws):g} kW", f"{m.power_kw:g} kW", fix
            )
        for part, years in m.life_years:
            if years * MONTHS_PER_YEAR < horizon.months:
                expected = f"a life of at least {horizon.months / MONTHS_PER_YEAR:g} years, the horizon"
                fix = "halls are not renewed within a plan: correct the life, or plan a shorter horizon"
                reading.error(place.at("life_years", part), expected, f"{years:g}", fix)


def _check_electricity(parts: Parts, reading: Reading) -> None:
    """Each site has one price of electricity, each day of its path once."""
    rows: list[Row[Electricity]] = parts.rows("electricity")
    sites = {pool.site for pool in parts.considered_pools.values()}
    for row, place in unique(rows, lambda row: row.site, reading):
        reading.refer(place.at("site"), Electricity, "a site with pools that the study considers", row.site, sites)
        check_steps(row.steps, place, reading)


def _check_offers(parts: Parts, apart: set[str], reading: Reading) -> None:
    """Machines that are bought have a life; what is paid apart for their site is not in their price as well."""
    for id, (price, place) in parts.prices.items():
        if id not in parts.considered_offers:
            continue
        offer, at = parts.considered_offers[id]
        bought = price.capital_usd_per_machine is not None
        if bought and offer.kind != "build_out":
            fix = "leave the capital out, or change the kind of the offer in offers.csv"
            reading.error(place.at("capital_usd_per_machine"), "a price by the hour", f"capital for {offer.kind}", fix)
        if bought and offer.kind == "build_out" and offer.life_years is None:
            fix = "add life_years to offers.csv: years until such machines are retired"
            reading.error(at.at("offer"), "the life of machines that are bought", f"none for {quoted(id)}", fix)
        if offer.kind == "build_out" and offer.site in apart and not bought:
            expected = "capital_usd_per_machine: the study pays hall and energy of this site apart"
            got = f"{price.price_usd_per_machine_hour:g} USD per machine-hour, all in"
            fix = "give the capital of a machine, and as price per hour its upkeep alone; or leave the study's part out"
            reading.error(place.at("price_usd_per_machine_hour"), expected, got, fix)
    for offer, place in parts.considered_offers.values():
        if offer.upfront_fraction and offer.kind in ("on_demand", "spot"):
            reading.error(place.at("upfront_fraction"), "0 for what is rented by the hour", "more", "leave it out")
        if offer.life_years is not None and offer.kind != "build_out":
            reading.error(place.at("life_years"), "a life for machines that are bought", offer.kind, "leave it out")


def _check_promises(parts: Parts, reading: Reading) -> None:
    """Commitments of spend are for offers that exist; each, and each limit of capital, has a name of its own."""
    what = "an offer of the study's pools, or a pattern of them"
    for commitment, place in unique(parts.rows("spend_commitments"), lambda row: row.name, reading):
        for pattern in commitment.offers:
            reading.refer_pattern(place.at("offers"), Offer, what, pattern, parts.considered_offer_ids, OFFER_IDS)
    unique(parts.rows("policies", "capital_limits"), lambda row: row.name, reading)
