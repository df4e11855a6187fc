"""Orders: what the plan asks to buy, beyond what is held, by which date and why."""

from dataclasses import dataclass
from datetime import date, timedelta

from planner.problem import Problem
from planner.records.plan import PlanFile


@dataclass(frozen=True)
class Order:
    """An action that the plan asks for.

    Parameters
    ----------
    by : latest day to order: need − lead − slack; `days_late` when that day has passed
    usd : over the horizon
    units_without_goals : how many the cheapest plan without survival goals buys too
    reasons : failures that pay for the pool, largest share first
    firm_in : in how many of the low, base and high demand plans at least this many are bought; None when not asked
    """

    offer: str
    kind: str
    pool: str
    units: int
    machines: int
    by: date
    days_late: int
    usd_per_hour: float
    usd: float
    term_months: float
    instrument: str
    units_without_goals: int
    reasons: tuple[str, ...]
    firm_units: int | None
    firm_in: int | None


def orders(plan: PlanFile, p: Problem) -> tuple[Order, ...]:
    """The plan's orders, earliest first, then the most expensive."""
    study = plan.study
    offers = {b.id: b for b in study.offers}
    bare = {b.offer: b.units for b in plan.without_goals.purchases}
    firm = {row.offer: row for row in plan.firm}
    rows = []
    for purchase in plan.purchases:
        offer = offers[purchase.offer]
        by = study.horizon.start - timedelta(days=offer.lead_days + study.order_slack_days)
        machines = purchase.units * offer.machines_per_unit
        usd_per_hour = machines * p.price_usd_per_machine_hour[offer.id]
        counts = firm.get(offer.id)
        in_all = (counts.low_units, counts.base_units, counts.high_units) if counts else None
        rows.append(
            Order(
                offer=offer.id,
                kind=offer.kind,
                pool=offer.pool,
                units=purchase.units,
                machines=machines,
                by=by,
                days_late=max(0, (study.today - by).days),
                usd_per_hour=usd_per_hour,
                usd=usd_per_hour * p.hours_in[purchase.when],
                term_months=offer.term_months,
                instrument=offer.instrument,
                units_without_goals=min(purchase.units, bare.get(offer.id, 0)),
                reasons=plan.drivers.get(offer.pool, ()),
                firm_units=min(in_all) if in_all else None,
                firm_in=sum(units >= purchase.units for units in in_all) if in_all else None,
            )
        )
    return tuple(sorted(rows, key=lambda r: (r.by, -r.usd, r.offer)))
