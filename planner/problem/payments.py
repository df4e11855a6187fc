"""What one unit of an offer, or one module of a build-out, costs over the horizon, and when each sum is paid."""

from dataclasses import dataclass

from planner.problem.money import present_value_factor, salvage_usd
from planner.study.calendar import Span, paid_months, price_in, spans
from planner.study.records.buildout import PARTS, BuildOut
from planner.study.records.inventory import Offer, Price
from planner.study.records.study import Study
from planner.units import DAYS_PER_MONTH, MONTHS_PER_YEAR


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
    """

    component: str
    months: float
    usd: float
    asset: str = ""
    life_years: float = 0.0


def contract_payments(study: Study, offer: Offer, price: Price, start: Span) -> tuple[Payment, ...]:
    """Payments for one unit of an offer that starts with a period: the price hour by hour, a part of it at the start.

    Formula
        whole = price in the period · machines_per_unit · hours paid within the horizon
        upfront_fraction · whole at the start, the rest in the middle of each period by its share of the months
        capital_usd_per_machine · machines_per_unit at the order, its book value back at the end of the horizon

    Only what lies within the horizon counts of an upfront payment: a contract's later years are somebody else's plan.
    """
    horizon = study.horizon.months
    paid = paid_months(offer, start, horizon)
    usd_per_month = price_in(study, offer, price, start) * offer.machines_per_unit * study.hours_per_month
    running = "commitments" if price.capital_usd_per_machine is None else "upkeep"
    found = []
    if offer.upfront_fraction:
        found.append(Payment(running, start.begins_months, offer.upfront_fraction * usd_per_month * paid))
    ends = start.begins_months + paid
    for t in spans(study):
        months = min(ends, t.ends_months) - max(start.begins_months, t.begins_months)
        if months > 0:
            usd = (1 - offer.upfront_fraction) * usd_per_month * months
            found.append(Payment(running, max(start.begins_months, t.begins_months) + months / 2, usd))
    if price.capital_usd_per_machine:
        capital = price.capital_usd_per_machine * offer.machines_per_unit
        ordered = max(0.0, start.begins_months - offer.lead_days / DAYS_PER_MONTH)
        found.append(Payment("capital", ordered, capital, "machines", offer.life_years or 0.0))
        if offer.life_years is not None:
            found += _salvage(study, capital, offer.life_years, start)
    return tuple(payment for payment in found if payment.usd)


def build_out_payments(study: Study, phase: BuildOut, start: Span) -> tuple[Payment, ...]:
    """Payments for one module that may be used from a period on: each part when it must be ordered, then upkeep.

    Formula
        usd_per_mw[part] · power_mw at (start − clock of the part), its book value back at the end of the horizon
        usd_per_mw_year · power_mw · years, in the middle of each period from the start on
    """
    found = []
    for part in PARTS:
        usd, life_years = phase.usd_per_mw(part) * phase.power_mw, getattr(phase.life_years, part)
        ordered = max(0.0, start.begins_months - phase.lead_time_months(part))
        found.append(Payment("capital", ordered, usd, part, life_years))
        found += _salvage(study, usd, life_years, start)
    for t in spans(study):
        if t.begins_months >= start.begins_months:
            usd = phase.usd_per_mw_year * phase.power_mw * t.months / MONTHS_PER_YEAR
            found.append(Payment("upkeep", t.begins_months + t.months / 2, usd))
    return tuple(payment for payment in found if payment.usd)


def _salvage(study: Study, capital_usd: float, life_years: float, start: Span) -> list[Payment]:
    if study.money.salvage == "none":
        return []
    end = study.horizon.months
    left = salvage_usd(capital_usd, life_years, (end - start.begins_months) / MONTHS_PER_YEAR)
    return [Payment("salvage", end, -left)]


def worth_factor(study: Study, months: float) -> float:
    """What a USD some months after the start of the horizon is worth at its start."""
    rate = study.money.discount_fraction_per_year
    return present_value_factor(rate, months / MONTHS_PER_YEAR) if rate else 1.0


def worth_usd(study: Study, payments: tuple[Payment, ...]) -> dict[str, float]:
    """Component -> what its payments are worth at the start of the horizon [USD]."""
    found: dict[str, float] = {}
    for payment in payments:
        usd = payment.usd * worth_factor(study, payment.months)
        found[payment.component] = found.get(payment.component, 0.0) + usd
    return found
