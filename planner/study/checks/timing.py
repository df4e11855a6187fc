"""What must hold between the dates, periods and hours of a study: every name leads somewhere, nothing ends before it
begins, and the data reach as far as the horizon."""

from datetime import date
from fnmatch import fnmatchcase

from planner.study.calendar import Span, calendar, growth_of, hour_id, requests_of
from planner.study.checks.references import Parts
from planner.study.places import Place, Reading, Row, listed, near_miss, quoted, unquoted
from planner.study.records.inventory import Offer
from planner.study.records.study import Demand, Shape
from planner.units import MONTHS_PER_YEAR

MOST_REQUESTS_PER_SECOND = 1e9


def check_timing(parts: Parts, reading: Reading) -> None:
    """Report every name of a period, hour or shape that leads nowhere, and dates that nothing can come of."""
    _check_demand(parts, reading)
    _check_growth(parts, reading)
    _check_shapes(parts, reading)
    for rows in (parts.holdings, parts.claims):
        for row, place in rows:
            _check_days(row.from_day, row.until, place, "until", reading)
    for i, quota in enumerate(parts.file.policies.quotas):
        _check_days(quota.from_day, quota.until, parts.place.within("policies", "quotas", i), "until", reading)
    _check_offers(parts, reading)
    _check_prices(parts, reading)


def _check_days(first: date | None, last: date | None, place: Place, field: str, reading: Reading) -> None:
    if first is not None and last is not None and last < first:
        reading.error(
            place.at(field), f"a day from {first} on, its first day", str(last), "correct one of the two days"
        )


def _check_demand(parts: Parts, reading: Reading) -> None:
    """Rows name periods, hours and shapes that exist; a stream has a row for every hour, or one without period."""
    horizon = parts.file.horizon
    periods, hours = [t.name for t in horizon.each_period], [h.name for h in horizon.each_hour]
    shapes = {shape.name for shape in parts.file.shapes}
    said: dict[tuple[str, str], list[Row[Demand]]] = {}
    for row, place in parts.demand:
        said.setdefault((row.workload, row.origin), []).append((row, place))
        if row.period is not None:
            reading.refer(place.at("period"), Demand, "a period of the horizon", row.period, periods)
        if row.hour is not None:
            reading.refer(place.at("hour"), Demand, "an hour of the horizon", row.hour, hours)
        if row.shape is not None:
            reading.refer(place.at("shape"), Shape, "a shape of the study", row.shape, shapes)
    for (w, o), rows in said.items():
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
    hours, seen = [h.name for h in parts.file.horizon.each_hour], set()
    for i, shape in enumerate(parts.file.shapes):
        place = parts.place.within("shapes", i)
        for hour in shape.factors:
            reading.refer(place.at("factors", hour), Shape, "an hour of the horizon", hour, hours)
        if shape.name in seen:
            reading.error(place.at("name"), "each shape once", quoted(shape.name), "remove one, or correct its name")
        seen.add(shape.name)


def _check_offers(parts: Parts, reading: Reading) -> None:
    """Windows are open, and contracts of the study's pools can start in them."""
    considered, periods = parts.considered_pools, calendar(parts.file.horizon)
    for offer, place in parts.offers.values():
        _check_days(offer.starts_from, offer.starts_until, place, "starts_until", reading)
        window = offer.starts_from is not None or offer.starts_until is not None
        if offer.pool in considered and window and not any(_opens(offer, t) for t in periods):
            got = f"{offer.starts_from or 'any day'} to {offer.starts_until or 'any day'}"
            fix = "split the horizon where the window is open; as it is, the offer cannot be bought"
            reading.warning(place.at("starts_from"), "a window in which a period begins", got, fix)


def _opens(offer: Offer, period: Span) -> bool:
    first, last = offer.starts_from, offer.starts_until
    return (first is None or first <= period.first_day) and (last is None or period.first_day <= last)


def _check_prices(parts: Parts, reading: Reading) -> None:
    """Price book and price paths are for offers that exist; a path says each day once."""
    ids = [id for id, (offer, _) in parts.offers.items() if offer.pool in parts.considered_pools]
    patterns = [("price_book", i, line.offers) for i, line in enumerate(parts.file.price_book)]
    patterns += [("price_paths", i, path.offers) for i, path in enumerate(parts.file.price_paths)]
    for name, i, pattern in patterns:
        if not any(fnmatchcase(id, pattern) for id in ids) and not reading.any_broken(Offer):
            got = f"{quoted(pattern)}, which matches none{near_miss(pattern, ids)}"
            fix = f"ids are provider/site/machine-type:offer, * matches anything: {listed(ids, 4)}"
            where = parts.place.at(name, i, "offers")
            reading.error(where, "an offer of the study's pools, or a pattern of them", got, fix)
    for i, path in enumerate(parts.file.price_paths):
        days = [step.from_day for step in path.steps]
        if len(set(days)) < len(days):
            where = parts.place.at("price_paths", i, "steps")
            reading.error(where, "each day once", "a day twice", "remove one of the steps")
