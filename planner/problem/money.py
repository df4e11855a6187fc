"""Money over time: what one unit or module costs and when it is paid; what a sum later is worth now.

A payment is for one unit of an offer or one module of a build-out, over the horizon.
"""

import math
from dataclasses import dataclass

from planner.study.calendar import Span, paid_months, price_in, spans
from planner.study.records.buildout import PARTS, BuildOut
from planner.study.records.inventory import Offer, Price
from planner.study.records.study import Study
from planner.units import DAYS_PER_MONTH, MONTHS_PER_YEAR


def present_value_factor(rate_per_year: float, years: float) -> float:
    """What one USD after some years is worth today.

    Formula
        1 / (1 + rate) ^ years
    Units
        USD of today per USD then

    Parameters
    ----------
    rate_per_year : discount rate [fraction], above -1
    years : from today, or a part of one

    Source
        Brealey, Myers, Allen: Principles of Corporate Finance, "How to calculate present values"

    Examples
    --------
    100 USD in two years at 10 %: 100 / 1.21

    >>> round(100 * present_value_factor(0.10, 2), 2)
    82.64
    >>> present_value_factor(0.0, 7)
    1.0
    """
    return float((1 + rate_per_year) ** -years)


def present_value_usd(rate_per_year: float, payments: tuple[tuple[float, float], ...]) -> float:
    """What payments are worth today.

    Formula
        Σ USD / (1 + rate) ^ years
    Units
        USD of today

    Parameters
    ----------
    payments : (years from today, USD)

    Examples
    --------
    A machine of 1000 USD now, 100 USD of power after one and two years, sold for 400 USD then, at 10 %:
    1000 + 100/1.1 + (100 − 400)/1.21 = 1000 + 90.91 − 247.93

    >>> round(present_value_usd(0.10, ((0, 1000.0), (1, 100.0), (2, 100.0), (2, -400.0))), 2)
    842.98
    """
    return sum(usd * present_value_factor(rate_per_year, years) for years, usd in payments)


def capital_recovery_factor(rate_per_year: float, years: float) -> float:
    """The equal payment at the end of each year that pays back one USD with interest.

    Formula
        rate / (1 − (1 + rate) ^ −years);  1 / years without interest
    Units
        USD per year per USD

    Source
        National Renewable Energy Laboratory, Simple Levelized Cost of Energy Calculator, "capital recovery factor"

    Examples
    --------
    1000 USD over 10 years at 7 %: 142.38 USD a year

    >>> round(1000 * capital_recovery_factor(0.07, 10), 2)
    142.38
    >>> capital_recovery_factor(0.0, 5)
    0.2
    """
    if rate_per_year == 0:
        return 1 / years
    return rate_per_year / (1 - present_value_factor(rate_per_year, years))


def annuity_factor(rate_per_year: float, years: float) -> float:
    """What one USD at the end of each of some years is worth today: one over the capital recovery factor.

    Units
        USD of today per USD a year

    Examples
    --------
    >>> round(annuity_factor(0.05, 10), 4)
    7.7217
    """
    return 1 / capital_recovery_factor(rate_per_year, years)


def salvage_usd(cost_usd: float, life_years: float, age_years: float) -> float:
    """Book value of an asset, by the straight line.

    Formula
        cost · (1 − age / life), never below 0
    Units
        USD at that age, not discounted

    Parameters
    ----------
    life_years : of its asset class: shell, power, machines
    age_years : at the end of the horizon

    Source
        straight-line depreciation: IAS 16, paragraph 62

    Examples
    --------
    A machine of 1000 USD with a life of 5 years, 2 years old; and one older than its life

    >>> salvage_usd(1000.0, 5, 2), salvage_usd(1000.0, 5, 6)
    (600.0, 0.0)
    """
    return cost_usd * max(0.0, 1 - age_years / life_years)


def present_months(rate_per_year: float, months: float) -> float:
    """What one USD a month, paid evenly from now on for some months, is worth today.

    Formula
        12 · (1 − (1 + rate) ^ −years) / ln(1 + rate);  the months themselves without interest
    Units
        USD of today per USD a month

    Source
        the present value of a continuous payment: the integral of (1 + rate) ^ −years over the months

    Examples
    --------
    Twelve months at 10 %: 12 · 0.0909 / 0.0953

    >>> round(present_months(0.10, 12), 3), present_months(0.0, 36)
    (11.446, 36)
    """
    if rate_per_year == 0:
        return months
    return 12 * (1 - present_value_factor(rate_per_year, months / 12)) / math.log1p(rate_per_year)


@dataclass(frozen=True)
class Payment:
    """A sum for one unit.

    Parameters
    ----------
    component : commitments, capital, upkeep, salvage (below zero): the cost that it is part of; what machines that are
        bought cost by the hour is upkeep
    months : from the start of the horizon, never before it
    usd : not discounted
    asset, life_years : of capital: shell, power, fit_out or machines, and the years it is used for
    paid_over_months : of what is paid evenly: over how long, with `months` in the middle; 0: all at once
    """

    component: str
    months: float
    usd: float
    asset: str = ""
    life_years: float = 0.0
    paid_over_months: float = 0.0


def contract_payments(study: Study, offer: Offer, price: Price, start: Span) -> tuple[Payment, ...]:
    """Payments for one unit of an offer that starts with a period: the price hour by hour, a part of it at the start.

    Formula
        price = price in the period · machines_per_unit · hours paid within the horizon
        upfront_fraction · price at the start, the rest in the middle of each period by its share of the months
        capital_usd_per_machine · machines_per_unit at the order, its book value back at the end of the horizon

    Only what lies within the horizon counts of an upfront payment: a contract's later years are somebody else's plan.
    """
    horizon = study.horizon.months
    paid = paid_months(offer, start, horizon)
    usd_per_month = price_in(study, offer, price, start) * offer.machines_per_unit * study.hours_per_month
    running = "commitments" if price.capital_usd_per_machine is None else "upkeep"
    payments = []
    if offer.upfront_fraction:
        payments.append(Payment(running, start.begins_months, offer.upfront_fraction * usd_per_month * paid))
    ends = start.begins_months + paid
    for t in spans(study):
        months = min(ends, t.ends_months) - max(start.begins_months, t.begins_months)
        if months > 0:
            usd = (1 - offer.upfront_fraction) * usd_per_month * months
            middle = max(start.begins_months, t.begins_months) + months / 2
            payments.append(Payment(running, middle, usd, paid_over_months=months))
    if price.capital_usd_per_machine:
        capital = price.capital_usd_per_machine * offer.machines_per_unit
        ordered = max(0.0, start.begins_months - offer.lead_days / DAYS_PER_MONTH)
        payments.append(Payment("capital", ordered, capital, "machines", offer.life_years or 0.0))
        if offer.life_years is not None:
            payments += _salvage(study, capital, offer.life_years, start)
    return tuple(payment for payment in payments if payment.usd)


def build_out_payments(study: Study, phase: BuildOut, start: Span) -> tuple[Payment, ...]:
    """Payments for one module that may be used from a period on: each part when it must be ordered, then upkeep.

    Formula
        usd_per_mw[part] · power_mw at (start − lead time of the part), its book value back at the end of the horizon
        usd_per_mw_year · power_mw · years, in the middle of each period from the start on
    """
    payments = []
    for part in PARTS:
        usd, life_years = phase.usd_per_mw(part) * phase.power_mw, getattr(phase.life_years, part)
        ordered = max(0.0, start.begins_months - phase.lead_time_months(part))
        payments.append(Payment("capital", ordered, usd, part, life_years))
        payments += _salvage(study, usd, life_years, start)
    for t in spans(study):
        if t.begins_months >= start.begins_months:
            usd = phase.usd_per_mw_year * phase.power_mw * t.months / MONTHS_PER_YEAR
            payments.append(Payment("upkeep", t.begins_months + t.months / 2, usd, paid_over_months=t.months))
    return tuple(payment for payment in payments if payment.usd)


def _salvage(study: Study, capital_usd: float, life_years: float, start: Span) -> list[Payment]:
    if study.money.salvage == "none":
        return []
    end = study.horizon.months
    book_usd = salvage_usd(capital_usd, life_years, (end - start.begins_months) / MONTHS_PER_YEAR)
    return [Payment("salvage", end, -book_usd)]


def discount_factor(study: Study, months: float) -> float:
    """What a USD some months after the start of the horizon is worth at its start."""
    rate = study.money.discount_fraction_per_year
    return present_value_factor(rate, months / MONTHS_PER_YEAR) if rate else 1.0


def present_values_usd(study: Study, payments: tuple[Payment, ...]) -> dict[str, float]:
    """Component -> present value of its payments at the start of the horizon [USD]."""
    values: dict[str, float] = {}
    for payment in payments:
        usd = payment.usd * discount_factor(study, payment.months)
        values[payment.component] = values.get(payment.component, 0.0) + usd
    return values
