"""How prices and speeds are known, by what is ordered and by what serves: evidence, source and date."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import date

import numpy as np

from planner.plan.in_hand import Plan
from planner.problem.arrays import full
from planner.problem.problem import State, fullest_hour
from planner.review.failures import hour_text
from planner.review.figures import Figure, day, number
from planner.review.money import prices_text
from planner.review.report import Column, Section, percent, usd
from planner.study.dependencies import NORMAL, profile_id
from planner.study.records.serving import OperatingPoint

DAY = 10
"""Length of a date that names a day, not only a month or a year."""


@dataclass(frozen=True)
class PriceRow:
    """The price of what is ordered, how it is known, and what is paid at it over the horizon.

    Parameters
    ----------
    as_of : year, month or day when it was true; `age_days` on the day from which lead times count: see `age_days`
    usd, share_fraction : of all orders of the offer, not discounted, and of the sum of all orders
    """

    offer: str
    price_usd_per_machine_hour: float
    low_usd_per_machine_hour: float | None
    high_usd_per_machine_hour: float | None
    capital_usd_per_machine: float | None
    evidence: str
    as_of: str
    age_days: int
    usd: float
    share_fraction: float
    source: str


@dataclass(frozen=True)
class SpeedRow:
    """The speed of a profile in a context class, and the share of requests that it serves in normal operation."""

    profile: str
    context_class: str
    evidence: str
    as_of: str
    low_factor: float
    high_factor: float
    requests_per_second: float
    share_fraction: float
    source: str


def age_days(as_of: str, today: date) -> int:
    """The age of a figure on a day, of a month or year from its first day: no figure is older [days].

    Examples
    --------
    >>> [age_days(as_of, date(2026, 4, 1)) for as_of in ("2026-03-31", "2026-03", "2026")]
    [1, 31, 90]
    """
    year, month, day_of_month = (*map(int, as_of.split("-")), 1, 1)[:3]
    return (today - date(year, month, day_of_month)).days


def price_rows(plan: Plan) -> list[PriceRow]:
    """Every price that is paid, the most paid first."""
    usd_of: dict[str, float] = defaultdict(float)
    for o in plan.orders:
        usd_of[o.offer] += o.usd
    total, rows = sum(usd_of.values()), []
    price_of = {price.offer_id: price for price in plan.study.prices}
    for offer, paid in sorted(usd_of.items(), key=lambda item: (-item[1], item[0])):
        price = price_of[offer]
        rows.append(
            PriceRow(
                offer=offer,
                price_usd_per_machine_hour=price.price_usd_per_machine_hour,
                low_usd_per_machine_hour=price.low_usd_per_machine_hour,
                high_usd_per_machine_hour=price.high_usd_per_machine_hour,
                capital_usd_per_machine=price.capital_usd_per_machine,
                evidence=price.evidence,
                as_of=price.as_of,
                age_days=age_days(price.as_of, plan.study.today),
                usd=paid,
                share_fraction=paid / total if total else 0.0,
                source=price.source,
            )
        )
    return rows


def prices_section(plan: Plan) -> Section | None:
    """PRICES: what is paid at which price, known how, of which day; none where nothing is ordered."""
    rows = price_rows(plan)
    if not rows:
        return None
    ends = [end for row in rows for end in (row.low_usd_per_machine_hour, row.high_usd_per_machine_hour)]
    has_ends = any(end is not None for end in ends)
    columns = (
        Column("offer"),
        Column("USD/h", lambda row: usd(row.price_usd_per_machine_hour)),
        Column("low", lambda row: _end(row.low_usd_per_machine_hour), when=has_ends),
        Column("high", lambda row: _end(row.high_usd_per_machine_hour), when=has_ends),
        Column(
            "capital USD",
            lambda row: _end(row.capital_usd_per_machine),
            when=any(row.capital_usd_per_machine is not None for row in rows),
        ),
        Column("evidence"),
        Column("as of", lambda row: _day(row.as_of)),
        Column("age, days", lambda row: row.age_days),
        Column("USD paid", lambda row: usd(row.usd), adds=True),
        Column("share", lambda row: percent(row.share_fraction)),
        Column("source"),
    )
    lines = (
        "list prices of a machine, before what a price book takes off; USD paid: over the horizon, not discounted",
        prices_text(plan.cash),
        f"age: on {plan.study.today}, of a month or year from its first day",
    )
    return Section("PRICES", lines, columns, rows, part="evidence", when_all=True)


def _end(value: float | None) -> Figure | None:
    return None if value is None else usd(value)


def _day(as_of: str) -> str:
    """A day where it is one, else the year or month as it is written."""
    return day(date.fromisoformat(as_of)) if len(as_of) == DAY else as_of


def speed_rows(plan: Plan) -> list[SpeedRow]:
    """Every speed that serves in normal operation, in the hour of most requests, the most used first."""
    p, a = plan.problem, full(plan.problem)
    s: State = (fullest_hour(p), NORMAL, 0.0)
    class_of = {w.name: w.context_class for w in plan.study.workloads}
    point_of: dict[tuple[str, str], OperatingPoint] = {}
    for model in plan.study.models:
        for profile in model.profiles:
            for point in profile.classes:
                point_of[profile_id(model.model, profile.name), point.context_class] = point
    traffic, rates = plan.vectors.traffic[s,], defaultdict[tuple[str, str], float](float)
    for i in np.flatnonzero(traffic > 0).tolist():
        w, _, e = a.edges[i]
        rates[p.profile_of[e], class_of[w]] += float(traffic[i])
    total, rows = sum(rates.values()), []
    for (g, context_class), rate in sorted(rates.items(), key=lambda item: (-item[1], item[0])):
        point = point_of[g, context_class]
        rows.append(
            SpeedRow(
                profile=g,
                context_class=context_class,
                evidence=point.evidence,
                as_of=point.as_of,
                low_factor=point.low_factor,
                high_factor=point.high_factor,
                requests_per_second=rate,
                share_fraction=rate / total,
                source=point.source,
            )
        )
    return rows


def speeds_section(plan: Plan) -> Section:
    """SPEEDS: what serves in normal operation at which speed, known how, of which day."""
    columns = (
        Column("profile"),
        Column("class", lambda row: row.context_class),
        Column("evidence"),
        Column("as of", lambda row: _day(row.as_of)),
        Column("error", _error),
        Column("requests/s", lambda row: number(row.requests_per_second, ",.0f"), adds=True),
        Column("share", lambda row: percent(row.share_fraction)),
        Column("source"),
    )
    return Section(
        "SPEEDS",
        ("what serves in normal operation; error: factors on its speed", *hour_text(plan.problem)),
        columns,
        speed_rows(plan),
        part="evidence",
        when_all=True,
    )


def _error(row: SpeedRow) -> str:
    is_stated = row.low_factor != 1 or row.high_factor != 1
    return f"× {row.low_factor:.2f} to {row.high_factor:.2f}" if is_stated else "not stated"
