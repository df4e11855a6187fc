"""Money over time: what a sum later is worth now, a loan in equal payments, what is left of a machine."""

import math


def present_value_factor(rate_per_year: float, years: float) -> float:
    """What one USD after some years is worth today.

    Formula
        1 / (1 + rate) ^ years
    Units
        USD of today per USD then

    Parameters
    ----------
    rate_per_year : discount rate [fraction], above -1
    years : from today; whole or not

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
    """What is left of an asset in the books, by the straight line.

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
