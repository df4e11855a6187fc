"""What a plan pays and when: cash by period, the same as equal yearly payments, by token and by MW."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from planner.plan.orders import counted_until
from planner.problem.arrays import full
from planner.problem.decisions import ONCE, Vectors
from planner.problem.money import (
    Payment,
    build_out_payments,
    capital_recovery_factor,
    contract_payments,
    discount_factor,
)
from planner.problem.problem import Problem
from planner.problem.rules.costs import (
    energy,
    energy_usd_per_hour,
    hourly_machines,
    rented_usd_per_hour,
    requests,
    requests_usd_per_hour,
    unserved_requests,
    unserved_usd_per_hour,
)
from planner.problem.rules.formulas import served, spent_in_years_usd
from planner.study.calendar import Span, period_at, spans
from planner.study.dependencies import NORMAL
from planner.study.records.inventory import Offer
from planner.study.records.plan import PlanFile
from planner.study.records.study import Study
from planner.study.renewals import chain_of, chain_shares
from planner.units import MONTHS_PER_YEAR, SECONDS_PER_HOUR, months_until

NO_CASH = ("salvage", "unserved_requests", "outages")
"""Costs that nobody pays: book value, and estimates of what an outage costs."""
NOT_UPFRONT = ("capital", "salvage")
"""Components of what is paid at a moment that is not the start of a contract."""
GIVEN = "given"
"""Evidence of what the study states without a source: a promise, the cost of a request."""
TOKENS_PER_MILLION = 1e6


@dataclass(frozen=True)
class Flow:
    """A sum that a plan pays (below zero: gets) at a moment.

    Parameters
    ----------
    component : of the cost
    item, site : offer, phase, pool or promise that it is for; where, where that is known
    period, months : in which it falls; moment, from the start of the horizon
    usd, present_value_usd : not discounted; present value, on the first day of the horizon: as the plan's cost has it,
        upfront payments of a chain of contracts all at the first one's start
    evidence : how its price is known
    paid_over_months : of what is paid evenly: over how long, with `months` in the middle; 0: all at once
    """

    component: str
    item: str
    site: str
    period: str
    months: float
    usd: float
    present_value_usd: float
    evidence: str
    paid_over_months: float = 0.0


@dataclass(frozen=True)
class Asset:
    """Something that is bought and used for its life.

    Parameters
    ----------
    asset : shell, power, fit_out or machines
    paid_months, used_months : order and first use, from the start of the horizon
    annuity_usd_per_year : equal payment at the end of each year of its life that pays it back from its first use on
    """

    item: str
    site: str
    asset: str
    units: int
    usd: float
    paid_months: float
    used_months: float
    used_from: str
    life_years: float
    annuity_usd_per_year: float


@dataclass(frozen=True)
class SiteMoney:
    """What a site of ours costs by the MW that is built there.

    Parameters
    ----------
    mw_built, mw_years : IT power of the modules that are built; times the years they stand within the horizon
    present_value_usd : all that is paid for the site less salvage, on the first day; `machines_usd` of it: for machines
    usd_per_mw_year : present_value_usd over MW-years that are discounted alike
    """

    site: str
    mw_built: float
    mw_years: float
    present_value_usd: float
    machines_usd: float
    usd_per_mw_year: float


@dataclass(frozen=True)
class CapitalPaid:
    """Capital that is paid while a limit holds [USD], not discounted."""

    name: str
    periods: tuple[str, ...]
    paid_usd: float
    most_usd: float


@dataclass(frozen=True)
class Promise:
    """A year of a spend commitment: promised, spent on its offers, and paid as it is [USD], not discounted."""

    name: str
    year: int
    periods: tuple[str, ...]
    promised_usd: float
    spent_usd: float
    short_usd: float


@dataclass(frozen=True)
class Cash:
    """What a plan pays, seen from all sides.

    Parameters
    ----------
    by_period : period -> component -> paid [USD], not discounted, salvage and other costs without cash included
    present_value_usd : component -> present value; equal to the plan's costs, outages left out
    annuity_by_period : period -> what is paid in it, with each asset's annuity in the place of its capital [USD]
    annuity_usd_per_year : equal payment at the end of each year of the horizon whose present value is the plan's cost
    million_tokens : input and output served in normal operation; `usd_per_million_tokens`: of discounted ones
    """

    flows: tuple[Flow, ...]
    by_period: Mapping[str, Mapping[str, float]]
    present_value_usd: Mapping[str, float]
    annuity_by_period: Mapping[str, float]
    annuity_usd_per_year: float
    million_tokens: float
    usd_per_million_tokens: float | None
    assets: tuple[Asset, ...]
    sites: tuple[SiteMoney, ...]
    capital: tuple[CapitalPaid, ...]
    promises: tuple[Promise, ...]


def cash(plan: PlanFile, p: Problem, x: Vectors) -> Cash:
    """What a plan pays, when, for what.

    Formula
        present value = Σ usd / (1 + discount) ^ years = cost of the plan less outages
        annuity = present value · capital recovery factor(discount, years of the horizon)
    Units
        USD

    Parameters
    ----------
    plan, p, x : a plan, its problem and its decisions
    """
    study = plan.study
    bought = tuple(_bought(plan, p))
    every = (*_of_units(study, bought), *_running(study, p, x), *_shortfalls(study, p, x))
    flows = tuple(sorted((flow for flow in every if flow.usd), key=_order))
    present_value = _sums((flow.component, flow.present_value_usd) for flow in flows)
    years, rate = study.horizon.months / MONTHS_PER_YEAR, study.money.discount_fraction_per_year
    assets = tuple(_assets(study, bought))
    tokens, discounted_tokens = _million_tokens(study, p, x)
    paid = sum(present_value.values())
    return Cash(
        flows=flows,
        by_period={t: _sums((flow.component, flow.usd) for flow in flows if flow.period == t) for t in p.periods},
        present_value_usd=present_value,
        annuity_by_period=_annuities(study, flows, assets),
        annuity_usd_per_year=paid * capital_recovery_factor(rate, years),
        million_tokens=tokens,
        usd_per_million_tokens=paid / discounted_tokens if discounted_tokens else None,
        assets=assets,
        sites=tuple(_sites(plan, flows)),
        capital=tuple(
            CapitalPaid(
                cap.name,
                cap.periods,
                sum(flow.usd for flow in flows if flow.component == "capital" and flow.period in cap.periods),
                cap.most_usd,
            )
            for cap in p.capital_caps
        ),
        promises=tuple(
            Promise(
                k.name,
                k.year,
                k.periods,
                k.usd,
                float(spent),
                float(short),
            )
            for k, spent, short in zip(p.spend_years, spent_in_years_usd(full(p), x), x.shortfall[ONCE], strict=True)
        ),
    )


def cash_by_evidence(paid: Cash) -> dict[str, float]:
    """How the prices of all cash in the plan are known: evidence -> USD over the horizon, not discounted."""
    return _sums((flow.evidence, flow.usd) for flow in paid.flows if flow.component not in NO_CASH)


@dataclass(frozen=True)
class _Units:
    """Units that start in a period, with the payments of one; what is worth the same, paid at other moments.

    Parameters
    ----------
    upfront : (months, share) of each upfront payment, one for each contract of a chain
    """

    item: str
    site: str
    start: Span
    units: int
    payments: tuple[Payment, ...]
    evidence: str
    upfront: tuple[tuple[float, float], ...] = ()


def _bought(plan: PlanFile, p: Problem) -> Iterator[_Units]:
    """Units of offers that are not hourly, and modules."""
    study, periods = plan.study, {t.name: t for t in spans(plan.study)}
    offers, prices = {b.id: b for b in study.offers}, {row.offer_id: row for row in study.prices}
    phases = {m.id: m for m in study.build_outs}
    for row in plan.purchases:
        if row.offer not in p.hourly:
            b, price, start = offers[row.offer], prices[row.offer], periods[row.when]
            paid = contract_payments(study, b, price, start)
            yield _Units(b.id, b.site, start, row.units, paid, price.evidence, _upfront(study, b, start))
    for built in plan.builds:
        m, start = phases[built.build_out], periods[built.when]
        yield _Units(m.id, m.site, start, built.units, build_out_payments(study, m, start), m.evidence)


def _upfront(study: Study, offer: Offer, start: Span) -> tuple[tuple[float, float], ...]:
    """When each contract of a chain begins, from the start of the horizon [months], and its share of the days."""
    last_day = counted_until(study, offer, start)
    chain = chain_of(offer, start.first_day, last_day)
    begins = [months_until(study.horizon.start, one.first_day) for one in chain]
    return tuple(zip(begins, chain_shares(chain, last_day), strict=True))


def _flow(
    study: Study, what: tuple[str, str, str], months: float, usd: float, evidence: str, over_months: float
) -> Flow:
    period = period_at(spans(study), months).name
    return Flow(*what, period, months, usd, usd * discount_factor(study, months), evidence, over_months)


def _of_units(study: Study, bought: Iterable[_Units]) -> Iterator[Flow]:
    """Every payment of what was started."""
    for row in bought:
        for payment in row.payments:
            what = payment.component, row.item, row.site
            usd, over = row.units * payment.usd, payment.paid_over_months
            flow = _flow(study, what, payment.months, usd, row.evidence, over)
            if over or payment.component in NOT_UPFRONT or len(row.upfront) < 2:
                yield flow
                continue
            for months, share in row.upfront:
                period = period_at(spans(study), months).name
                paid, present_usd = share * usd, share * flow.present_value_usd
                yield replace(flow, period=period, months=months, usd=paid, present_value_usd=present_usd)


def _running(study: Study, p: Problem, x: Vectors) -> Iterator[Flow]:
    """What is paid hour by hour, in the middle of its period: the plan's own cost functions, not discounted."""
    prices = {row.offer_id: row.evidence for row in study.prices}
    tariffs = {row.site: row.evidence for row in study.electricity}
    a = full(p)
    for t in spans(study):
        hours = [h for h in p.hours if p.period_of[h] == t.name]
        middle = t.begins_months + t.months / 2
        rented, powered = np.zeros(a.B), np.zeros(a.Q)
        served_usd = unserved_usd = 0.0
        for h in hours:
            n, s = p.hours_in[h], (h, NORMAL, 0.0)
            rented = rented + n * rented_usd_per_hour(a, x, h)
            powered = powered + n * energy_usd_per_hour(a, x, h)
            served_usd += n * float(requests_usd_per_hour(a, x, s)[0])
            unserved_usd += n * float(unserved_usd_per_hour(a, x, s)[0])
        for b in p.offers:
            if b in p.hourly:
                what = hourly_machines.__name__, b, p.site_of[p.pool_of[b]]
                yield _flow(study, what, middle, float(rented[a.offer_at[b]]), prices[b], t.months)
        for q in p.pools:
            if (site := p.site_of[q]) in tariffs:
                yield _flow(
                    study, (energy.__name__, q, site), middle, float(powered[a.pool_at[q]]), tariffs[site], t.months
                )
        yield _flow(study, (requests.__name__, "", ""), middle, served_usd, GIVEN, t.months)
        yield _flow(study, (unserved_requests.__name__, "", ""), middle, unserved_usd, GIVEN, t.months)


def _shortfalls(study: Study, p: Problem, x: Vectors) -> Iterator[Flow]:
    """What is paid of spend commitments that are not used, at the end of each of their years."""
    ends = {t.name: t.ends_months for t in spans(study)}
    for k, short_usd in zip(p.spend_years, x.shortfall[ONCE], strict=True):
        usd, last = float(short_usd), k.periods[-1]
        yield Flow("spend_shortfalls", k.name, "", last, ends[last], usd, usd * k.discount_factor, GIVEN)


def _order(flow: Flow) -> tuple[float, str, str, str]:
    return flow.months, flow.component, flow.item, flow.site


def _sums(parts: Iterable[tuple[str, float]]) -> dict[str, float]:
    sums: dict[str, float] = {}
    for name, value in parts:
        sums[name] = sums.get(name, 0.0) + value
    return sums


def _assets(study: Study, bought: Iterable[_Units]) -> Iterator[Asset]:
    """What is bought, with the equal payments that pay it back over its life.

    Formula
        annuity = usd · (1 + discount) ^ (used − paid) · capital recovery factor(discount, life)
    """
    rate = study.money.discount_fraction_per_year
    for row in bought:
        for payment in row.payments:
            if payment.component == "capital":
                usd, used = row.units * payment.usd, row.start.begins_months
                until_used = usd * discount_factor(study, payment.months) / discount_factor(study, used)
                yearly = until_used * capital_recovery_factor(rate, payment.life_years)
                when = (payment.months, used, row.start.name)
                yield Asset(row.item, row.site, payment.asset, row.units, usd, *when, payment.life_years, yearly)


def _annuities(study: Study, flows: Iterable[Flow], assets: tuple[Asset, ...]) -> dict[str, float]:
    """What each period pays, with the annuities of the assets that are used in it instead of their capital."""
    paid_in = {t.name: 0.0 for t in spans(study)}
    for flow in flows:
        if flow.component not in ("capital", *NO_CASH):
            paid_in[flow.period] += flow.usd
    for t in spans(study):
        for asset in assets:
            ends = min(t.ends_months, asset.used_months + asset.life_years * MONTHS_PER_YEAR)
            months = max(0.0, ends - max(t.begins_months, asset.used_months))
            paid_in[t.name] += asset.annuity_usd_per_year * months / MONTHS_PER_YEAR
    return paid_in


def _million_tokens(study: Study, p: Problem, x: Vectors) -> tuple[float, float]:
    """Tokens served in normal operation, in millions; and the same, each discounted like a payment on its day.

    Formula
        Σ_w,o,h 3600 · hours[h] · served[w,o,(h,normal)] · (mean_input_tokens + mean_output_tokens)[w] / 1e6
    Source
        National Renewable Energy Laboratory, Simple Levelized Cost of Energy Calculator: worth of costs over the
        discounted quantity
    """
    size = {w.name: w.mean_input_tokens + w.mean_output_tokens for w in study.workloads}
    a, tokens = full(p), np.array([size[w] for w, _ in p.flows])
    million = discounted = 0.0
    for h in p.hours:
        per_second = float(tokens @ served(a, x, (h, NORMAL, 0.0)))
        million += per_second * SECONDS_PER_HOUR * p.hours_in[h] / TOKENS_PER_MILLION
        discounted += per_second * SECONDS_PER_HOUR * p.present_hours[h] / TOKENS_PER_MILLION
    return million, discounted


def _sites(plan: PlanFile, flows: tuple[Flow, ...]) -> Iterator[SiteMoney]:
    """Sites where something is built, with all that is paid for them."""
    study, phases = plan.study, {m.id: m for m in plan.study.build_outs}
    begins = {t.name: t.begins_months for t in spans(study)}
    for site in sorted({phases[built.build_out].site for built in plan.builds}):
        mw = years = discounted_years = 0.0
        for built in plan.builds:
            m = phases[built.build_out]
            if m.site != site:
                continue
            mw += built.units * m.power_mw
            for t in spans(study):
                if t.begins_months >= begins[built.when]:
                    here = built.units * m.power_mw * t.months / MONTHS_PER_YEAR
                    years += here
                    discounted_years += here * discount_factor(study, t.begins_months + t.months / 2)
        here_paid = [flow for flow in flows if flow.site == site]
        present_value = sum(flow.present_value_usd for flow in here_paid)
        machines = sum(
            flow.present_value_usd for flow in here_paid if flow.item not in phases and flow.component != "energy"
        )
        yield SiteMoney(site, mw, years, present_value, machines, present_value / discounted_years)
