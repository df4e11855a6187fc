"""Owned, committed or on demand: what a used machine-hour costs at each utilisation and date, without solving anything.

What is rented by the hour costs its price while it is used. What is committed or owned costs the same whether it is
used or not: per used hour that over the utilisation. Where the two are equal is the crossover.
"""

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from planner.problem.build import build
from planner.problem.capacity import energy_of, not_offered
from planner.problem.money import capital_recovery_factor, present_months, present_value_factor
from planner.problem.parts import Parts, parts_of
from planner.problem.problem import HOURLY, most_filled
from planner.study.calendar import Span, lasts_months, may_be_ready, may_start, price_in, spans
from planner.study.places import matches
from planner.study.records.buildout import PARTS, BuildOut
from planner.study.records.inventory import Offer, Price
from planner.study.records.study import Study
from planner.units import DAYS_PER_MONTH, MONTHS_PER_YEAR, SECONDS_PER_HOUR

UTILISATIONS = (0.25, 0.5, 0.75, 1.0)
Basis = Literal["machine_type", "accelerator", "workload"]
UNITS: Mapping[Basis, str] = {
    "machine_type": "USD/h",
    "accelerator": "USD per chip-hour",
    "workload": "USD per million requests",
}
"""Of what is compared; per hour, or for the requests of an hour, in which it is used."""


@dataclass(frozen=True)
class Option:
    """How to have a machine from a period on.

    Parameters
    ----------
    group : machine type, accelerator or workload: what is compared with each other
    name : offer, and the phase that is built for it
    months : for which it is had: its term or life; hourly: its period
    hourly : paid while it is used; else for every hour
    per : chips of a machine, or million requests that it serves in an hour, where these are compared; else 1
    parts : contract, machines, upkeep, hall, energy [USD/h, over `per`]
    price : list, or yours where the price book has a line for it
    """

    group: str
    name: str
    offer: str
    kind: str
    pool: str
    period: str
    months: float
    hourly: bool
    per: float
    parts: Mapping[str, float]
    price: str
    evidence: str
    as_of: str
    build_out: str | None = None

    @property
    def usd_per_hour(self) -> float:
        """All parts together [USD/h]."""
        return sum(self.parts.values())

    def usd_per_used_hour(self, utilisation: float) -> float:
        """What an hour that is used costs [USD/h].

        Formula
            hourly: usd_per_hour;  else usd_per_hour / utilisation
        """
        return self.usd_per_hour if self.hourly else self.usd_per_hour / utilisation


@dataclass(frozen=True)
class Crossing:
    """Where an option that is paid in every hour becomes cheaper than one that is rented by the hour.

    Parameters
    ----------
    hourly_usd_per_hour : price of the hourly one over the months of the other, by its price path [USD/h]
    """

    fixed: Option
    hourly: Option
    hourly_usd_per_hour: float

    @property
    def utilisation(self) -> float:
        """Above it the fixed one is cheaper; above 1: never. Formula: usd_per_hour of the fixed one / of the other."""
        usd = self.hourly_usd_per_hour
        return self.fixed.usd_per_hour / usd if usd > 0 else float("inf")


@dataclass(frozen=True)
class Crossover:
    """The options of a study by group and start, and where they cross; figures in `UNITS[basis]`."""

    basis: Basis
    options: tuple[Option, ...]
    crossings: tuple[Crossing, ...]
    """each fixed option with the cheapest hourly one of its group"""
    alone: tuple[str, ...]
    """groups in which nothing is rented by the hour, so that nothing crosses"""


def crossover(study: Study, pools: tuple[str, ...] = ("*",), basis: Basis = "machine_type") -> Crossover:
    """What each option costs from each period on, and the utilisation above which a fixed one is the cheaper.

    Formula
        on demand  = price, weighted over the months of the other by their discount factors
        committed  = price · (upfront share · months / present value of the months + the rest)
        owned      = capital per machine · (1 + discount) ^ lead · capital recovery factor(life) / hours per year
                     + hourly upkeep
                     + kW of a machine · Σ_part usd_per_mw · (1 + discount) ^ lead time · capital recovery factor(life)
                     + usd_per_mw_year, per hour
        energy     = as the study's tariff says, for every hour, over the same months
        with basis = workload, over the requests that a machine of the pool serves in an hour by its best profile:
        3600 · utilisation[e] · usable_fraction / (replica_seconds · machines_per_replica)
    Units
        USD per machine-hour (per chip-hour, per million requests), of the option's first day

    Spot is listed and never the reference: it does not count in a failure.

    Parameters
    ----------
    pools : ids or patterns of pools
    basis : what is compared: the same machine type wherever it is; the same accelerator, per chip; or whatever may
        serve a workload, per million requests
    """
    parts = parts_of(study)
    shares = _shares(study, parts, basis)
    energy = energy_of(parts)
    prices = study.price_by_offer
    chosen = {q for q in parts.pools if matches(q, pools)}
    offers = [b for b in sorted(study.offers, key=lambda b: b.id) if b.pool in chosen and b.id in prices]
    options: list[Option] = []
    crossings: list[Crossing] = []
    for t in spans(study):
        rows = []
        for b in offers:
            if not_offered(study, b) is None and may_start(study, b, t):
                power_kw = parts.machine[b.machine_type].power_kw or 0.0
                rows += _options(study, b, prices[b.id], t, power_kw, energy, shares[b.pool])
        rows.sort(key=lambda o: (o.group, o.usd_per_hour, o.name))
        options += rows
        for fixed in (o for o in rows if not o.hourly):
            of_fixed = []
            for o in rows:
                if o.kind == "on_demand" and o.group == fixed.group:
                    usd = _hourly(study, study.offer_by_id[o.offer], prices[o.offer], t, fixed.months, energy) / o.per
                    of_fixed.append(Crossing(fixed, o, usd))
            crossings += sorted(of_fixed, key=lambda c: (c.hourly_usd_per_hour, c.hourly.name))[:1]
    crossed = {c.fixed.group for c in crossings}
    alone = {o.group for o in options if not o.hourly} - crossed
    return Crossover(basis, tuple(options), tuple(crossings), tuple(sorted(alone)))


def _options(
    study: Study,
    b: Offer,
    price: Price,
    t: Span,
    power_kw: float,
    energy: Mapping[tuple[str, str], float],
    shares: Mapping[str, float],
) -> list[Option]:
    """An offer from a period on: an option for each group, and for each phase in which its machines can stand."""
    rate = study.money.discount_fraction_per_year
    hours_per_year = study.hours_per_month * MONTHS_PER_YEAR
    months = lasts_months(b) or (t.months if b.kind in HOURLY else study.horizon.months - t.begins_months)
    paid = price_in(study, b, price, t)
    parts: dict[str, float] = {}
    if b.kind in HOURLY:
        parts["contract"] = paid
    elif price.capital_usd_per_machine is not None:
        lead_years = b.lead_days / (DAYS_PER_MONTH * MONTHS_PER_YEAR)
        waits = present_value_factor(rate, -lead_years)  # paid at the order, used after the lead time
        factor = capital_recovery_factor(rate, months / MONTHS_PER_YEAR) * waits
        parts["machines"] = price.capital_usd_per_machine * factor / hours_per_year
        parts["upkeep"] = paid
    else:
        upfront = b.upfront_fraction
        parts["contract"] = paid * (upfront * months / present_months(rate, months) + 1 - upfront)
    if power := _mean_over(study, t, months, lambda span: energy.get((b.pool, span.name), 0.0)):
        parts["energy"] = power
    halls: list[BuildOut | None] = [None]
    if b.kind == "build_out" and (phases := [m for m in study.build_outs if m.site == b.site]):
        own = any(site.id == b.site and site.power_kw is not None for site in study.sites)
        halls = [*([None] if own else []), *(m for m in phases if may_be_ready(study.today, m, t))]
    lined = matches(b.id, [line.offers for line in study.price_book])
    options = []
    for hall, (group, per) in itertools.product(halls, shares.items()):
        usd_per_hour = parts | _hall(hall, power_kw, rate, hours_per_year)
        options.append(
            Option(
                group=group,
                name=b.id if hall is None else f"{b.id} in {hall.name}",
                offer=b.id,
                kind=b.kind,
                pool=b.pool,
                period=t.name,
                months=months,
                hourly=b.kind in HOURLY,
                per=per,
                parts={name: usd / per for name, usd in usd_per_hour.items()},
                price="yours" if lined else "list",
                evidence=price.evidence,
                as_of=price.as_of,
                build_out=hall.id if hall is not None else None,
            )
        )
    return options


def _shares(study: Study, parts: Parts, basis: Basis) -> dict[str, dict[str, float]]:
    """q -> group -> what a cost per machine-hour is divided by: 1, chips, million requests of a workload in an hour."""
    machines = {q: parts.machine[pool.machine_type] for q, pool in parts.pools.items()}
    if basis == "machine_type":
        return {q: {machine.name: 1.0} for q, machine in machines.items()}
    if basis == "accelerator":
        return {q: {machine.accelerator: float(machine.accelerators)} for q, machine in machines.items()}
    p = build(study, with_goals=False)
    shares: dict[str, dict[str, float]] = {q: {} for q in parts.pools}
    for w, e in sorted({(w, e) for (w, _), edges in p.edges.items() for e in edges}):
        q = p.pool_of[e]
        usable = SECONDS_PER_HOUR * most_filled(p, e) * p.usable_fraction[q]
        requests = usable / (p.replica_seconds[w, e] * p.machines_per_replica[e])
        shares[q][w] = max(shares[q].get(w, 0.0), requests / 1e6)
    return shares


def _hall(hall: BuildOut | None, power_kw: float, rate: float, hours_per_year: float) -> dict[str, float]:
    """The share of a module that one machine takes: capital as an annuity, and yearly cost [USD/h]."""
    if hall is None:
        return {}
    usd_per_mw_year = hall.usd_per_mw_year + sum(
        hall.usd_per_mw(part)
        * present_value_factor(rate, -hall.lead_time_months(part) / MONTHS_PER_YEAR)
        * capital_recovery_factor(rate, getattr(hall.life_years, part))
        for part in PARTS
    )
    return {"hall": power_kw / 1000 * usd_per_mw_year / hours_per_year}


def _hourly(
    study: Study, b: Offer, price: Price, start: Span, months: float, energy: Mapping[tuple[str, str], float]
) -> float:
    """What an hourly offer costs over some months from a period on, by its price path [USD/h]."""

    def usd_per_hour(span: Span) -> float:
        return price_in(study, b, price, span) + energy.get((b.pool, span.name), 0.0)

    return _mean_over(study, start, months, usd_per_hour)


def _mean_over(study: Study, start: Span, months: float, figure: Callable[[Span], float]) -> float:
    """The mean of a figure of each period over some months, weighted by their present value at its first day.

    Beyond the horizon the last period goes on.
    """
    rate, ends = study.money.discount_fraction_per_year, start.begins_months + months
    periods = [t for t in spans(study) if start.begins_months <= t.begins_months < ends]
    weights = []
    for n, t in enumerate(periods):
        until = ends if n == len(periods) - 1 else t.ends_months
        before = present_months(rate, t.begins_months - start.begins_months)
        weights.append(present_months(rate, until - start.begins_months) - before)
    return sum(w * figure(t) for w, t in zip(weights, periods, strict=True)) / sum(weights)
