"""What must hold between the dates, periods and hours of a study: every name leads somewhere, nothing ends before it
begins, and the data reach as far as the horizon."""

from collections.abc import Iterable
from datetime import date
from typing import Any

from planner.study.calendar import calendar, growth_of, hour_id, is_open, requests_of, touches
from planner.study.parts import OFFER_IDS, Parts
from planner.study.places import Place, Reading, Row, listed, unique, unquoted
from planner.study.records.buildout import TariffStep
from planner.study.records.inventory import Offer
from planner.study.records.study import Demand, Holding, Horizon, PriceStep, Shape, StudyFile
from planner.units import MONTHS_PER_YEAR

MOST_REQUESTS_PER_SECOND = 1e9


def check_timing(parts: Parts, reading: Reading) -> None:
    """Report every name of a period, hour or shape that leads nowhere, and dates that nothing can come of."""
    _check_demand(parts, reading)
    _check_shapes(parts, reading)
    _check_prices(parts, reading)
    if reading.any_broken(Horizon):
        return  # what there is in a horizon that could not be read is not known
    _check_hours(parts, reading)
    _check_growth(parts, reading)
    _check_days(parts, reading)
    _check_start(parts, reading)
    _check_offers(parts, reading)


def _check_days(parts: Parts, reading: Reading) -> None:
    """What holds from a day until another does so on some day of the horizon."""
    limits = [*parts.rows("policies", "quotas"), *parts.rows("policies", "capital_limits")]
    dated: list[Row[Any]] = [*parts.holdings, *parts.claims, *limits, *parts.rows("spend_commitments")]
    periods = calendar(parts.file.horizon)
    for row, place in dated:
        first, last = row.from_day, row.until
        if first is not None and last is not None and last < first:
            _report_backwards(first, last, place.at("until"), reading)
        elif not isinstance(row, Holding) and not any(touches(first, last, period) for period in periods):
            where = place.at("from_day" if first is not None else "until")
            expected = f"days between {periods[0].first_day} and {periods[-1].last_day}, the horizon"
            got = f"{first or 'the start'} to {last or 'the end'}"
            reading.warning(where, expected, got, "correct the days, or remove it; as it is, it never holds")


def _report_backwards(first: date, last: date, where: str, reading: Reading) -> None:
    reading.error(where, f"a day from {first} on, its first day", str(last), "correct one of the two days")


def _check_demand(parts: Parts, reading: Reading) -> None:
    """Rows name periods, hours and shapes that exist."""
    horizon = parts.file.horizon
    periods, hours = [t.name for t in horizon.each_period], [h.name for h in horizon.each_hour]
    shapes = {shape.name for shape in parts.file.shapes}
    for row, place in parts.demand:
        if row.period is not None:
            reading.refer(place.at("period"), Horizon, "a period of the horizon", row.period, periods)
        if row.hour is not None:
            reading.refer(place.at("hour"), Horizon, "an hour of the horizon", row.hour, hours)
        if row.shape is not None:
            reading.refer(place.at("shape"), Shape, "a shape of the study", row.shape, shapes)


def _check_hours(parts: Parts, reading: Reading) -> None:
    """A stream has a row for every hour, or one without period; names that lead nowhere are reported before."""
    horizon = parts.file.horizon
    periods, hours = [t.name for t in horizon.each_period], [h.name for h in horizon.each_hour]
    said: dict[tuple[str, str], list[Row[Demand]]] = {}
    for row, place in parts.demand:
        said.setdefault((row.workload, row.origin), []).append((row, place))
    for (w, o), rows in said.items():
        if any(row.period not in {*periods, None} or row.hour not in {*hours, None} for row, _ in rows):
            continue
        keys = {(row.period, row.hour) for row, _ in rows}
        missing = [
            hour_id(t, h) for t in periods for h in hours if not keys & {(t, h), (t, None), (None, h), (None, None)}
        ]
        if missing:
            got = f"none of {unquoted(w)} from {unquoted(o)} for {listed(missing, 4)}"
            fix = "add rows for them (0 where nothing is wanted), or a row without period and hour"
            reading.error(rows[0][1].at(), "demand for every period and hour of the horizon", got, fix)


def _check_growth(parts: Parts, reading: Reading) -> None:
    """Growth stays within what a study may ask for."""
    last = calendar(parts.file.horizon)[-1]
    years = (last.begins_months + last.months / 2) / MONTHS_PER_YEAR
    for row, place in parts.demand:
        for case, field in (
            ("base", "growth_fraction_per_year"),
            ("low", "low_growth_fraction_per_year"),
            ("high", "high_growth_fraction_per_year"),
        ):
            growth, requests = growth_of(row, case), requests_of(row, case)
            try:
                reached = requests * (1 + growth) ** years
            except OverflowError:
                reached = float("inf")
            if growth and reached > MOST_REQUESTS_PER_SECOND:
                expected = f"growth to at most {MOST_REQUESTS_PER_SECOND:g} requests/s within the horizon"
                got = f"{growth:g}, which makes {reached:.3g} after {years:g} years"
                reading.error(place.at(field), expected, got, "write a fraction: 0.5 is 50 % a year")
                break


def _check_shapes(parts: Parts, reading: Reading) -> None:
    hours = [hour.name for hour in parts.file.horizon.each_hour]
    shapes: list[Row[Shape]] = parts.rows("shapes")
    for shape, place in shapes:
        for hour in shape.factors:
            reading.refer(place.at("factors", hour), Horizon, "an hour of the horizon", hour, hours)
    unique(shapes, lambda shape: shape.name, reading)


def _check_offers(parts: Parts, reading: Reading) -> None:
    """Windows are open, and contracts of the study's pools can start in them."""
    periods = calendar(parts.file.horizon)
    for id, (offer, place) in parts.offers.items():
        first, last = offer.starts_from, offer.starts_until
        if first is not None and last is not None and last < first:
            _report_backwards(first, last, place.at("starts_until"), reading)
        if id in parts.considered_offers and not any(is_open(offer, period) for period in periods):
            fix = "split the horizon where the window is open; as it is, the offer cannot be bought"
            got = f"{first or 'any day'} to {last or 'any day'}"
            reading.warning(place.at("starts_from"), "a window in which a period begins", got, fix)


def _check_prices(parts: Parts, reading: Reading) -> None:
    """Price book and price paths are for offers that exist; a path says each day once."""
    paths = parts.rows("price_paths")
    what = "an offer of the study's pools, or a pattern of them"
    for line, place in (*parts.rows("price_book"), *paths):
        reading.refer_pattern(place.at("offers"), Offer, what, line.offers, parts.considered_offer_ids, OFFER_IDS)
    for path, place in paths:
        check_steps(path.steps, place, reading)


def check_steps(steps: Iterable[PriceStep | TariffStep], place: Place, reading: Reading) -> None:
    """A path says each day once."""
    days = [step.from_day for step in steps]
    if len(set(days)) < len(days):
        reading.error(place.at("steps"), "each day once", "a day twice", "remove one of the steps")


def _check_start(parts: Parts, reading: Reading) -> None:
    """The plan begins today or later, by the study's own `today`: no clock is read, so that it stays the same."""
    start, today = parts.file.horizon.start, parts.file.today
    if start < today and type(parts.file) is StudyFile:  # else a draft, whose days may be made up
        fix = "correct today or start; as it is, what is bought must be there on a day that is over"
        where = parts.place.at("horizon", "start")
        reading.warning(where, f"a day from {today} on, the study's today", f"{start}", fix)
