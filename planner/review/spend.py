"""Where the money goes: by provider, offer and period; and by quarter of the calendar."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from planner.plan.cash import NO_CASH, Flow
from planner.plan.in_hand import Plan
from planner.problem.rules.costs import COSTS
from planner.review.report import Column, Section, usd
from planner.units import after_months

MONTHS_PER_QUARTER = 3
NO_PROVIDER = "none"
"""Provider of what is paid to nobody in particular."""


@dataclass(frozen=True)
class Spend:
    """What is paid in a period for offers of one name at a provider [USD], not discounted.

    Parameters
    ----------
    provider : none, where a sum is for no site
    offer : name of the offers; build-out, energy, requests, or the spend commitment that is not used
    """

    provider: str
    offer: str
    period: str
    usd: float


@dataclass(frozen=True)
class QuarterCash:
    """What is paid in a quarter of the calendar, by component of the cost and in all [USD], not discounted."""

    quarter: str
    by_component: dict[str, float]
    usd: float


def spend_section(plan: Plan) -> Section | None:
    """What is paid, provider by provider; no section where nothing is paid."""
    provider_of = {site.id: site.provider for site in plan.study.sites}
    offer_name = {offer.id: offer.offer for offer in plan.study.offers}
    phases = {phase.id for phase in plan.study.build_outs}
    paid: dict[tuple[str, str, str], float] = defaultdict(float)
    for flow in _in_cash(plan):
        if flow.component == "energy":
            name = "energy"
        elif flow.item in phases:
            name = "build-out"
        else:
            name = offer_name.get(flow.item, flow.item or flow.component.replace("_", " "))
        paid[provider_of.get(flow.site, NO_PROVIDER), name, flow.period] += flow.usd
    if not paid:
        return None
    order = {t: n for n, t in enumerate(plan.problem.periods)}
    rows = [Spend(provider, name, t, value) for (provider, name, t), value in paid.items()]
    rows.sort(key=lambda row: (row.provider, row.offer, order[row.period]))
    columns = (
        Column("provider"),
        Column("offer"),
        Column("period", when=len(order) > 1),
        Column("USD", lambda row: usd(row.usd), adds=True),
    )
    lines = (f"cash {usd(sum(paid.values()))} USD over the horizon, not discounted: as in MONEY, salvage left out",)
    return Section("WHERE THE MONEY GOES", lines, columns, rows, part="picture", when_all=True)


def _in_cash(plan: Plan) -> Iterator[Flow]:
    """What somebody is paid."""
    for flow in plan.cash.flows:
        if flow.component not in NO_CASH:
            yield flow


def quarters_section(plan: Plan) -> Section | None:
    """Cash by quarter of the calendar; no section where nothing is paid."""
    paid: dict[tuple[int, int], dict[str, float]] = {}
    for flow in _in_cash(plan):
        for quarter, part in _by_quarter(plan, flow):
            of_quarter = paid.setdefault(quarter, {})
            of_quarter[flow.component] = of_quarter.get(flow.component, 0.0) + part
    if not paid:
        return None
    names = [cost.__name__ for cost in COSTS]
    components = sorted({name for of in paid.values() for name in of}, key=names.index)
    rows = []
    for year, n in _from_to(min(paid), max(paid)):
        of_quarter = paid.get((year, n), {})
        by_component = {name: of_quarter.get(name, 0.0) for name in components}
        rows.append(QuarterCash(f"{year} Q{n}", by_component, sum(by_component.values())))

    def column(name: str) -> Column:
        return Column(name.replace("_", " "), lambda row: usd(row.by_component[name]), adds=True)

    columns = (
        Column("quarter"),
        *map(column, components),
        Column("USD", lambda row: usd(row.usd), adds=True),
    )
    lines = [
        "cash when it is paid, not discounted: what runs by the hour day by day, capital on the day on which it is "
        "due, upfront payments on the first day of each contract; what is due before the horizon counts on its first "
        "day",
    ]
    if plan.study.money.discount_fraction_per_year and any(len(o.chain) > 1 for o in plan.orders):
        lines.append(
            "present values, and the cost that is minimised, have the upfront payments of contracts one after the "
            "other all on the first one's first day: worth more than they are when they are paid"
        )
    return Section("CASH BY QUARTER", tuple(lines), columns, rows, most=None, part="picture", when_all=True)


def _by_quarter(plan: Plan, flow: Flow) -> Iterator[tuple[tuple[int, int], float]]:
    """A sum, day by day where it is paid evenly, by (year, quarter)."""
    horizon = plan.study.horizon
    if not flow.paid_over_months:
        day = min(after_months(horizon.start, flow.months), horizon.last_day)
        yield _quarter(day), flow.usd
        return
    begin = after_months(horizon.start, flow.months - flow.paid_over_months / 2)
    end = max(begin + timedelta(days=1), after_months(horizon.start, flow.months + flow.paid_over_months / 2))
    for quarter in _from_to(_quarter(begin), _quarter(end - timedelta(days=1))):
        first, behind = _days(quarter)
        days = (min(end, behind) - max(begin, first)).days
        yield quarter, flow.usd * days / (end - begin).days


def _quarter(day: date) -> tuple[int, int]:
    """Year and quarter of a day.

    Examples
    --------
    >>> _quarter(date(2027, 3, 31)), _quarter(date(2027, 4, 1))
    ((2027, 1), (2027, 2))
    """
    return day.year, (day.month - 1) // MONTHS_PER_QUARTER + 1


def _days(quarter: tuple[int, int]) -> tuple[date, date]:
    """Its first day, and the one behind its last."""
    first = date(quarter[0], MONTHS_PER_QUARTER * (quarter[1] - 1) + 1, 1)
    return first, after_months(first, MONTHS_PER_QUARTER)


def _from_to(first: tuple[int, int], last: tuple[int, int]) -> Iterator[tuple[int, int]]:
    while first <= last:
        yield first
        first = (first[0], first[1] + 1) if first[1] < 4 else (first[0] + 1, 1)
