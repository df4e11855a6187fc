"""Tickets for increases of quotas that a plan counts on: by when, from what to what, the chance, what needs it."""

from dataclasses import dataclass
from typing import Any

from planner.emit.names import distinct
from planner.emit.text import markdown_cell
from planner.plan.in_hand import Plan
from planner.plan.orders import Order, QuotaOrder


@dataclass(frozen=True)
class Takes:
    """An order that takes of a quota while the increase is in use.

    Parameters
    ----------
    amount : of the quota, in its unit
    """

    order: Order
    amount: float


@dataclass(frozen=True)
class QuotaTicket:
    """An increase that a person asks for."""

    name: str
    increase: QuotaOrder
    needed_by: tuple[Takes, ...]


def quota_tickets(plan: Plan) -> list[QuotaTicket]:
    """A ticket for each increase that the plan counts on, by date."""
    increases = plan.quota_orders
    ids = [f"quota {x.quota} {x.period}" for x in increases]
    names = distinct(ids, 60)
    return [QuotaTicket(names[id], x, _needed_by(plan, x)) for id, x in zip(ids, increases, strict=True)]


def _needed_by(plan: Plan, increase: QuotaOrder) -> tuple[Takes, ...]:
    """Orders whose machines take of a quota on the day from which the increase is used, the largest first."""
    limit = next(x for x in plan.problem.limits if x.name == increase.quota)
    takes = []
    for order in plan.orders:
        each = 0.0 if order.offer in limit.uncounted else limit.units_per_machine.get(order.pool, 0.0)
        if each > 0 and order.need <= increase.need <= order.counted_until:
            takes.append(Takes(order, each * order.machines))
    return tuple(sorted(takes, key=lambda x: (-x.amount, x.order.offer, x.order.need)))


def quota_data(ticket: QuotaTicket) -> dict[str, Any]:
    """A ticket as plain data."""
    x = ticket.increase
    return {
        "ticket": ticket.name,
        "quota": x.quota,
        "unit": x.unit,
        "from": x.most,
        "to": x.granted,
        "used": x.used,
        "period": x.period,
        "by": x.order_by.isoformat(),
        "days_late": x.days_late,
        "needed": x.need.isoformat(),
        "chance_fraction": x.chance_fraction,
        "needed_by": [
            {"offer": y.order.offer, "pool": y.order.pool, "machines": y.order.machines, "takes": y.amount}
            for y in ticket.needed_by
        ],
    }


def quota_body(ticket: QuotaTicket) -> list[str]:
    """A ticket as Markdown."""
    x = ticket.increase
    late = f", {x.days_late} days late on the plan's day" if x.days_late else ""
    rows = {
        "what": f"increase of quota {x.quota}, in {x.unit}",
        "from": f"{x.most:,g}",
        "to": f"{x.granted:,g}; the plan uses {x.used:,g} in its fullest hour",
        "ask by": f"{x.order_by.isoformat()}{late}; needed on {x.need.isoformat()} ({x.period})",
        "chance": f"{x.chance_fraction:.0%}, as the study says",
    }
    needs = [
        f"| {markdown_cell(y.order.offer)} | {y.order.machines:,} | {y.amount:,g} |" for y in ticket.needed_by
    ] or ["| machines that are held | | |"]
    return [
        "| | |",
        "|---|---|",
        *(f"| {what} | {markdown_cell(value)} |" for what, value in rows.items()),
        "",
        "Ask the provider for it. The plan counts on it, whatever its chance: refused, a part of these machines cannot",
        "be had, and the plan has to be made anew without the increase. What is held may take of it, too.",
        "",
        f"| needed by | machines | takes {markdown_cell(x.unit)} |",
        "| --- | --: | --: |",
        *needs,
        "",
    ]
