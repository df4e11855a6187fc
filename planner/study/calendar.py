"""Time of a study: its periods, its representative hours, demand in each of them, and what a contract covers."""

import math
from dataclasses import dataclass
from datetime import date, timedelta
from fnmatch import fnmatchcase
from functools import lru_cache

from planner.study.records.buildout import BuildOut
from planner.study.records.inventory import Offer, Price
from planner.study.records.study import Demand, Horizon, Study
from planner.units import DAYS_PER_MONTH, MONTHS_PER_YEAR, after_months

ALMOST = 1e-9
"""What lengths in months may miss each other by [months]."""
NEGLIGIBLE_FRACTION = 1e-6


@dataclass(frozen=True)
class Span:
    """A period on the calendar.

    Parameters
    ----------
    begins_months, months : from the start of the horizon; length
    first_day, last_day : both within the period
    """

    name: str
    begins_months: float
    months: float
    first_day: date
    last_day: date

    @property
    def ends_months(self) -> float:
        """End, from the start of the horizon [months]."""
        return self.begins_months + self.months


def spans(study: Study) -> tuple[Span, ...]:
    """The periods of a study, in order; one when the horizon names none."""
    return calendar(study.horizon)


@lru_cache(maxsize=32)
def calendar(horizon: Horizon) -> tuple[Span, ...]:
    """The periods of a horizon with their days."""
    start, periods, begins = horizon.start, [], 0.0
    for period in horizon.each_period:
        last = after_months(start, begins + period.months) - timedelta(days=1)
        periods.append(Span(period.name, begins, period.months, after_months(start, begins), last))
        begins += period.months
    return tuple(periods)


def period_at(periods: tuple[Span, ...], months: float) -> Span:
    """The period in which a moment lies, in months from the start; one at a border lies in the later period."""
    begun = [t for t in periods if t.begins_months <= months + ALMOST]
    return begun[-1] if begun else periods[0]


def hour_id(period: str, hour: str) -> str:
    """Id of a representative hour of a period: `period/hour`."""
    return f"{period}/{hour}"


def hours_of(study: Study) -> tuple[tuple[dict[str, str], dict[str, float]], tuple[str, ...]]:
    """Representative hours: (hour -> period, period or hour -> hours of the horizon it stands for), and their ids."""
    period_of, hours_in = {}, {}
    for span in spans(study):
        hours = study.hours_per_month * span.months
        hours_in[span.name] = hours
        for hour in study.horizon.each_hour:
            period_of[hour_id(span.name, hour.name)] = span.name
            hours_in[hour_id(span.name, hour.name)] = hours * hour.weight_fraction
    return (period_of, hours_in), tuple(period_of)


# ------------------------------------------------------------------ demand
def requests_of(row: Demand, case: str) -> float:
    """Requests/s of a row of demand in a case (base, low, high), before growth and shape."""
    chosen = {"low": row.low_requests_per_second, "high": row.high_requests_per_second}.get(case)
    return row.requests_per_second if chosen is None else chosen


def growth_of(row: Demand, case: str) -> float:
    """Growth per year of a row of demand in a case [fraction]."""
    chosen = {"low": row.low_growth_fraction_per_year, "high": row.high_growth_fraction_per_year}.get(case)
    return row.growth_fraction_per_year if chosen is None else chosen


def demand_by_hour(study: Study, case: str) -> dict[tuple[str, str, str], float]:
    """(w, o, h) -> requests/s of a demand case; streams that are negligible within their workload are left out.

    Formula
        requests · (1 + growth per year) ^ (years from the start to the middle of the period) · shape[hour]
    Units
        requests/s
    The row that says most about a period and an hour counts: both named, then the period, then the hour, then neither.
    """
    shapes = {shape.name: shape.factors for shape in study.shapes}
    rows: dict[tuple[str, str], dict[tuple[str | None, str | None], Demand]] = {}
    for demand in study.demand:
        rows.setdefault((demand.workload, demand.origin), {})[demand.period, demand.hour] = demand
    value: dict[tuple[str, str, str], float] = {}
    for (w, o), given in rows.items():
        for span in spans(study):
            years = (span.begins_months + span.months / 2) / MONTHS_PER_YEAR
            for hour in study.horizon.each_hour:
                keys = ((span.name, hour.name), (span.name, None), (None, hour.name), (None, None))
                row = next((given[key] for key in keys if key in given), None)
                h = hour_id(span.name, hour.name)
                if row is None:
                    value[w, o, h] = 0.0
                    continue
                growth, factor = growth_of(row, case), 1.0
                if growth:
                    factor = float((1 + growth) ** years)
                if row.shape is not None:
                    factor *= shapes[row.shape].get(hour.name, 1.0)
                value[w, o, h] = requests_of(row, case) * factor
    most: dict[tuple[str, str], float] = {}
    for (w, o, _), v in value.items():
        most[w, o] = max(most.get((w, o), 0.0), v)
    total: dict[str, float] = {}
    for (w, _), v in most.items():
        total[w] = total.get(w, 0.0) + v
    return {(w, o, h): v for (w, o, h), v in value.items() if most[w, o] > NEGLIGIBLE_FRACTION * total[w]}


# ------------------------------------------------------------------ contracts
def earliest_day(study: Study, offer: Offer) -> date:
    """First day on which what is ordered today can be used."""
    return study.today + timedelta(days=offer.lead_days)


def term_months(offer: Offer) -> float:
    """How long one start of an offer lasts [months]; 0: as long as wanted."""
    return offer.length_days / DAYS_PER_MONTH if offer.length_days is not None else offer.term_months


def lasts_months(offer: Offer) -> float:
    """How long a unit is there [months]: its life where machines are bought, else its term; 0: as long as wanted."""
    return offer.life_years * MONTHS_PER_YEAR if offer.life_years is not None else term_months(offer)


def covers(offer: Offer, start: Span, period: Span, several: bool) -> bool:
    """Whether a unit that starts with one period is there through the whole of another.

    A contract shorter than its period is renewed until the period ends, unless it is a block of a fixed length; one
    that ends inside a later period does not cover it: what is there for part of a period is counted for none of it.

    Parameters
    ----------
    several : whether the horizon has several periods; in a single one everything lasts
    """
    if period.begins_months < start.begins_months - ALMOST:
        return False
    if offer.length_days is not None:
        return _gone(offer, start) > period.last_day
    return period.ends_months <= _ends_months(offer, start) + ALMOST if several else True


def is_there(offer: Offer, start: Span, period: Span) -> bool:
    """Whether a unit that starts with one period is there on some day of another: what limits look at.

    All that is there on some day of a period is there on its first one, as contracts start with periods.
    """
    begun = start.begins_months <= period.begins_months + ALMOST
    if offer.length_days is not None:
        return begun and period.first_day < _gone(offer, start)
    return begun and period.begins_months + ALMOST < _ends_months(offer, start)


def _gone(offer: Offer, start: Span) -> date:
    """First day on which a block that starts with a period is there no more."""
    return start.first_day + timedelta(days=math.floor(offer.length_days or 0.0))


def _ends_months(offer: Offer, start: Span) -> float:
    """When a unit that starts with a period is there no more [months from the start of the horizon]."""
    months = lasts_months(offer)
    if offer.length_days is None:
        if months == 0 and offer.kind == "build_out":
            return float("inf")
        months = max(months, start.months)
    return start.begins_months + months


def paid_months(offer: Offer, start: Span, horizon_months: float) -> float:
    """Months that one start of an offer is paid for within the horizon, used or not."""
    remaining = horizon_months - start.begins_months
    months = lasts_months(offer)
    if offer.length_days is None:
        months = remaining if months == 0 and offer.kind == "build_out" else max(months, start.months)
    return min(months, remaining)


def may_start(study: Study, offer: Offer, start: Span) -> bool:
    """Whether an offer can start with a period: ordered today it is there, its window is open, its term fits."""
    horizon = study.horizon.months
    fits = study.policies.terms_beyond_horizon or start.begins_months + term_months(offer) <= horizon + ALMOST
    return fits and is_open(offer, start) and earliest_day(study, offer) <= start.first_day


def is_open(offer: Offer, start: Span) -> bool:
    """Whether the first day of a period lies in the window in which an offer may start."""
    first, last = offer.starts_from, offer.starts_until
    return (first is None or first <= start.first_day) and (last is None or start.first_day <= last)


def usable_from(today: date, phase: BuildOut) -> date:
    """First day on which a module that is ordered today can be used: the last of its lead times has passed."""
    return after_months(today, phase.lead_months.longest)


def may_be_ready(today: date, phase: BuildOut, start: Span) -> bool:
    """Whether a module can be used from a period on: its lead times have passed, and it may still be decided."""
    if phase.never or (phase.ready_in and start.name not in phase.ready_in):
        return False
    decided = phase.decide_by is None or today <= phase.decide_by
    return decided and usable_from(today, phase) <= start.first_day


def price_factor(study: Study, offer: Offer, period: Span) -> float:
    """Factor on the list price of what starts (hourly: is rented) in a period: own price book times price path.

    Of the price book every line that matches counts, of the price path the last step that has begun.
    """
    factor = 1.0
    for line in study.price_book:
        if fnmatchcase(offer.id, line.offers):
            factor *= line.factor
    for path in study.price_paths:
        steps = [step for step in path.steps if step.from_day <= period.first_day]
        if steps and fnmatchcase(offer.id, path.offers):
            factor *= max(steps, key=lambda step: step.from_day).factor
    return factor


def price_in(study: Study, offer: Offer, price: Price, period: Span) -> float:
    """What a machine of an offer costs when it starts (hourly: is rented) in a period [USD/h]."""
    return price.price_usd_per_machine_hour * price_factor(study, offer, period)


def through(first: date | None, last: date | None, period: Span) -> bool:
    """Whether something that is there from a day until another (both included) is there through a whole period."""
    return (first is None or first <= period.first_day) and (last is None or last >= period.last_day)


def touches(first: date | None, last: date | None, period: Span) -> bool:
    """Whether something that holds from a day until another (both included) holds on some day of a period."""
    return (first is None or first <= period.last_day) and (last is None or last >= period.first_day)
