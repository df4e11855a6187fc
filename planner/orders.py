"""Orders: what the plan asks to buy, beyond what is held, by which date and why."""

from dataclasses import dataclass
from datetime import date, timedelta

from planner.periods import spans
from planner.plan import units_by_period
from planner.problem import Problem
from planner.records.plan import PlanFile, Purchase


@dataclass(frozen=True)
class Order:
    """An action that the plan asks for.

    Parameters
    ----------
    period, need : from when on it must be there, and that period's first day
    by : latest day to order: need − lead − slack, until then it can wait; `days_late` when that day has passed
    usd : over the horizon
    blocks : how the units are sold, where only 1, 2, 4, ... are sold at once
    units_without_goals : of them, at most those that the cheapest plan without survival goals has then
    reasons : failures that pay for the pool, largest share first
    firm_units, firm_in : units of the order that the low, base and high demand plans all have by then, and how many of
        the three have as many; None when not asked
    """

    offer: str
    kind: str
    pool: str
    units: int
    machines: int
    period: str
    need: date
    by: date
    days_late: int
    usd_per_hour: float
    usd: float
    term_months: float
    instrument: str
    blocks: tuple[int, ...]
    units_without_goals: int
    reasons: tuple[str, ...]
    firm_units: int | None
    firm_in: int | None


def orders(plan: PlanFile, p: Problem) -> tuple[Order, ...]:
    """The plan's orders, earliest first, then the most expensive; hourly offers once a period, for its fullest hour."""
    study = plan.study
    offers, periods = {b.id: b for b in study.offers}, {span.name: span for span in spans(study)}
    bare = units_by_period(p, plan.without_goals.purchases)
    firm = {(row.offer, row.when or p.periods[0]): row for row in plan.firm}
    active = units_by_period(p, plan.purchases)
    bought: dict[tuple[str, str], list[Purchase]] = {}
    for purchase in plan.purchases:
        bought.setdefault((purchase.offer, p.period_of.get(purchase.when, purchase.when)), []).append(purchase)
    rows = []
    for (b, t), purchases in bought.items():
        offer, need = offers[b], periods[t].first_day
        by = need - timedelta(days=offer.lead_days + study.order_slack_days)
        units = max(purchase.units for purchase in purchases)
        price = p.price_usd_per_machine_hour[b] * p.price_factor.get((b, t), 1.0)
        counts = firm.get((b, t))
        in_all = (counts.low_units, counts.base_units, counts.high_units) if counts else None
        there = active.get((b, t), units)
        rows.append(
            Order(
                offer=b,
                kind=offer.kind,
                pool=offer.pool,
                units=units,
                machines=units * offer.machines_per_unit,
                period=t,
                need=need,
                by=by,
                days_late=max(0, (study.today - by).days),
                usd_per_hour=units * offer.machines_per_unit * price,
                usd=sum(
                    row.units
                    * offer.machines_per_unit
                    * price
                    * (p.hours_in[row.when] if b in p.hourly else p.paid_hours[b, t])
                    for row in purchases
                ),
                term_months=offer.term_months,
                instrument=offer.instrument,
                blocks=blocks(units, offer.most_units_at_once),
                units_without_goals=min(units, bare.get((b, t), 0)),
                reasons=plan.drivers.get(offer.pool, ()),
                firm_units=min(units, max(0, units - there + min(in_all))) if in_all else None,
                firm_in=sum(n >= there for n in in_all) if in_all else None,
            )
        )
    return tuple(sorted(rows, key=lambda r: (r.by, -r.usd, r.offer)))


def blocks(units: int, most_at_once: int | None) -> tuple[int, ...]:
    """Units as blocks of 1, 2, 4, ..., the largest first; empty where any number is sold at once.

    Examples
    --------
    >>> blocks(150, 64)
    (64, 64, 16, 4, 2)
    """
    if most_at_once is None:
        return ()
    largest = 1 << (most_at_once.bit_length() - 1)
    found = [largest] * (units // largest)
    left = units % largest
    return (*found, *(1 << bit for bit in reversed(range(left.bit_length())) if left >> bit & 1))
