"""Quotas as providers grant them today, from a CSV, against what a plan needs at its peak and in failures."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from pydantic import Field

from planner.emit.fleet import HELD, Fleet
from planner.emit.node_facts import plain_place, where_is
from planner.emit.place_names import misspelt
from planner.errors import Finding, InputError
from planner.problem.capacity import held_at_most
from planner.problem.problem import HOURLY
from planner.study.calendar import Span, hour_id, is_there, spans
from planner.study.places import Reading, Row, listed, matches, near_miss, quoted
from planner.study.records.base import Name, NotNegative, Record
from planner.study.records.inventory import Pool
from planner.study.tables import read_csv

Kind = Literal["held", "on_demand", "spot", "commitment", "capacity_block", "build_out"]
MACHINES = "machines"
NEGLIGIBLE_UNITS = 1e-6
Needs = Mapping[tuple[str, str], float]
"""(pool, kind of offer) -> machines."""


class QuotaToday(Record):
    """A limit that a provider grants today, in a region or a zone."""

    provider: Name = Field(description="provider, as sites call it")
    where: Name = Field(description="region or zone, as the provider calls it")
    quota: Name = Field(description="name of the quota, for people; a machine type where machine_types is blank")
    limit: NotNegative = Field(description="what is granted, in the unit")
    used: NotNegative | None = Field(None, description="what is taken of it today, by whomever; blank: not known")
    unit: Name = Field(MACHINES, description="machines, or a unit that the machine types state (vcpu, chips)")
    machine_types: tuple[Name, ...] = Field((), description="that take of it, or patterns (p5.*); in CSV split by ;")
    kinds: tuple[Kind, ...] = Field((), description="of offers that take of it, and held; blank: all; split by ;")

    @property
    def patterns(self) -> tuple[str, ...]:
        """Machine types that take of it."""
        return self.machine_types or (self.quota,)


@dataclass(frozen=True)
class QuotaUse:
    """What a plan needs of a quota.

    Parameters
    ----------
    others : taken today by what is not the plan's; None: not known
    peak, in_failures : needed in the fullest hour, and in the worst failure, where machines are obtained; in the unit
    short : what is missing in the worst failure, of what others do not take
    """

    provider: str
    where: str
    quota: str
    unit: str
    limit: float
    used: float | None
    others: float | None
    peak: float
    in_failures: float
    short: float
    pools: tuple[str, ...]

    @property
    def subject(self) -> str:
        """The quota and where it holds."""
        return f"{self.quota} in {self.provider}/{self.where}"


# ------------------------------------------------------------------ reading
def read_quotas(path: Path, fleet: Fleet) -> list[Row[QuotaToday]]:
    """The rows of a quota CSV.

    Raises
    ------
    InputError
        with every row that is none, or whose unit the machine types do not state
    """
    reading = Reading()
    rows = read_csv(QuotaToday, path, reading, lambda row: f"{row.quota} in {row.provider}/{row.where}")
    providers = {site.provider for site in fleet.plan.study.sites}
    for row, place in rows:
        if row.provider not in providers:
            got = f"{quoted(row.provider)}{near_miss(row.provider, providers)}"
            reading.error(place.at("provider"), f"a provider of the study: {listed(providers)}", got, "correct it")
        elif meant := misspelt(row.where, _places_of(row.provider, fleet)):
            got, fix = f"{quoted(row.where)} (did you mean {quoted(meant)}?)", "correct it, or leave the row out"
            reading.error(place.at("where"), f"a region or zone as {row.provider} calls it", got, fix)
        for pool in _pools_of(row, fleet):
            units = {MACHINES, *fleet.machine_of[pool.id].quota_units}
            if row.unit not in units:
                fix = f"{pool.machine_type} states: {listed(units)}"
                reading.error(place.at("unit"), "a unit that its machine types state", quoted(row.unit), fix)
                break
    reading.raise_errors()
    return rows


def refuse_repeated(rows: Iterable[Row[QuotaToday]]) -> None:
    """Quotas are not added up: one that two files name is a finding.

    Raises
    ------
    InputError
        with each of them
    """
    first: dict[tuple[str, str, str], str] = {}
    findings = []
    for row, place in rows:
        at = first.setdefault((row.provider, row.where, row.quota), place.at())
        if at != place.at():
            findings.append(Finding(place.at(), "each quota once", f"it here and at {at}", "remove one of them"))
    if findings:
        raise InputError(findings)


def _places_of(provider: str, fleet: Fleet) -> set[str]:
    """Regions and zones of a provider in the study."""
    sites = [site for site in fleet.plan.study.sites if site.provider == provider]
    return {name for site in sites for name in (site.region, site.site)}


def _pools_of(row: QuotaToday, fleet: Fleet) -> list[Pool]:
    """Pools of the plan that take of a quota."""
    pools = []
    for pool in fleet.pools.values():
        site = fleet.site_of[pool.id]
        if site.provider == row.provider and matches(pool.machine_type, row.patterns):
            at_zone = where_is(site, row.where, site.region) == "here" and site.site != site.region
            if plain_place(row.where) in (plain_place(site.region), plain_place(site.site)) or at_zone:
                pools.append(pool)
    return pools


# ------------------------------------------------------------------ what the plan needs
def quota_uses(
    rows: Sequence[Row[QuotaToday]],
    fleet: Fleet,
    machines: Mapping[str, int] | None,
    on_spot: Mapping[str, int] = MappingProxyType({}),
) -> tuple[list[QuotaUse], list[str]]:
    """What the plan needs of each quota, and the quotas of which it needs nothing.

    Parameters
    ----------
    machines : the plan's, that run today, by pool: what else is used is others'; None: nobody counted them
    on_spot : of these, those on spot
    """
    if not rows:
        return [], []
    hours = needs_by_hour(fleet)
    failures = needs_in_failures(fleet, hours)
    uses, idle = [], []
    for row, _ in rows:
        pools = _pools_of(row, fleet)
        if not pools:
            idle.append(f"{row.quota} in {row.provider}/{row.where}")
            continue
        of_machine = {pool.id: _units(row, pool.id, fleet) for pool in pools}
        peak = max((_taken(row, of_machine, needs) for needs in hours.values()), default=0.0)
        worst = max([peak, *(_taken(row, of_machine, needs) for needs in failures)])
        others = None
        if row.used is not None and machines is not None:
            others = max(0.0, row.used - _taken_today(row, of_machine, machines, on_spot))
        short = max(0.0, worst - (row.limit - (others or 0.0)))
        uses.append(
            QuotaUse(
                provider=row.provider,
                where=row.where,
                quota=row.quota,
                unit=row.unit,
                limit=row.limit,
                used=row.used,
                others=others,
                peak=peak,
                in_failures=worst,
                short=short if short > NEGLIGIBLE_UNITS else 0.0,
                pools=tuple(of_machine),
            )
        )
    return uses, idle


def _units(row: QuotaToday, pool: str, fleet: Fleet) -> float:
    """What one machine of a pool takes of a quota."""
    return 1.0 if row.unit == MACHINES else fleet.machine_of[pool].quota_units[row.unit]


def _taken(row: QuotaToday, of_machine: Mapping[str, float], needs: Needs) -> float:
    """What machines take of a quota, those of the kinds that it limits."""
    limited = [(q, n) for (q, kind), n in needs.items() if not row.kinds or kind in row.kinds]
    return sum(n * of_machine.get(q, 0.0) for q, n in limited)


def _taken_today(
    row: QuotaToday, of_machine: Mapping[str, float], machines: Mapping[str, int], on_spot: Mapping[str, int]
) -> float:
    """What the plan's machines take of a quota today: those on spot, or the others, or both, as it limits them."""
    limits_spot = not row.kinds or "spot" in row.kinds
    limits_others = row.kinds != ("spot",)
    taken = 0.0
    for q, units in of_machine.items():
        spot = min(on_spot.get(q, 0), machines.get(q, 0))
        taken += units * (limits_spot * spot + limits_others * (machines.get(q, 0) - spot))
    return taken


def needs_by_hour(fleet: Fleet) -> dict[str, dict[tuple[str, str], float]]:
    """(hour) -> machines that are held and bought in it, by pool and kind of offer."""
    study, periods = fleet.plan.study, spans(fleet.plan.study)
    by_name = {span.name: span for span in periods}
    offers = {offer.id: offer for offer in study.offers}
    hours = {}
    for span in periods:
        for hour in study.horizon.each_hour:
            name = hour_id(span.name, hour.name)
            needs = hours[name] = _held(fleet, span)
            for row in fleet.plan.file.purchases:
                offer = offers[row.offer]
                hourly = offer.kind in HOURLY
                runs = row.when == name if hourly else is_there(offer, by_name[row.when], span)
                key = offer.pool, offer.kind
                needs[key] = needs.get(key, 0.0) + runs * row.units * offer.machines_per_unit
    return hours


def _held(fleet: Fleet, span: Span) -> dict[tuple[str, str], float]:
    held = {(q, HELD): held_at_most(fleet.plan.study, q, span) for q in fleet.pools}
    return {key: n for key, n in held.items() if n}


def needs_in_failures(fleet: Fleet, hours: Mapping[str, Needs]) -> list[Needs]:
    """Machines of each hour with those that are obtained in a failure, which are rented on demand."""
    study = fleet.plan.study
    if not any(entry.obtainable_fraction for entry in study.policies.counted):
        return []
    usable = {pool.id: pool.usable_fraction for pool in study.pools}
    by_state: dict[tuple[str, str, float], dict[tuple[str, str], float]] = {}
    for (q, state), machines in fleet.plan.decisions.obtained.items():
        if machines > NEGLIGIBLE_UNITS:
            needs = by_state.setdefault(state, dict(hours[state[0]]))
            needs[q, "on_demand"] = needs.get((q, "on_demand"), 0.0) + machines / usable[q]
    return list(by_state.values())
