"""Procurement tickets: orders that no API carries out, or that a person must decide, as Markdown and JSON."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from planner.emit.fleet import Fleet, Lot, blocks_of, sizes_of
from planner.emit.names import distinct
from planner.emit.quota_tickets import quota_body, quota_data, quota_tickets
from planner.emit.text import markdown_cell, sorted_json
from planner.plan.in_hand import Plan
from planner.plan.orders import Order, PhaseOrder
from planner.questions.shortfalls import BrokenGoal, Late, costs_of_being_late
from planner.study.calendar import hours_of

TO_DO: Mapping[str, str] = {
    "capacity_block": "Decide, then set `purchase_capacity_blocks` and apply: paid upfront, never cancelled. Set"
    " `capacity_blocks_active` when the window has begun. The plan counts the whole horizon: renew each window.",
    "future_reservation": "Agree it with the account team. Then submit the draft that Terraform makes; set"
    " `reservations_delivered` when it is there.",
    "none": "No reservation object secures these machines: have the quota granted and start them by the date;"
    " what runs is kept, what is stopped may be gone.",
    "immediate": "Terraform makes the reservation. Sign the discount that the plan counts on.",
    "by_hand": "Order them; no API does. A name that is said must be the reservation's, or"
    " Terraform is told another in `reservation_ids`.",
}


Progress = Callable[[int, int], None]
"""Called with (failures replayed, failures in all)."""
Purchases = frozenset[tuple[str, str]]
"""(offer, period or hour)"""

IN_PARTS = (
    "In failures parts of replicas count: that something breaks there is sure, and no more is served in all. Whole"
    " replicas serve less, may share it out otherwise, and may break more goals."
)


@dataclass(frozen=True)
class Asked:
    """An order that a person carries out, and the purchases that are missing while it is late."""

    name: str
    lot: Lot
    order: Order
    purchases: Purchases


@dataclass(frozen=True)
class PhaseAsked:
    """A phase of a site of our own that a person has built, part by part, and what is missing while it is late."""

    name: str
    parts: tuple[PhaseOrder, ...]
    purchases: Purchases


@dataclass(frozen=True)
class Ticket:
    """An order that a person carries out."""

    name: str
    lot: Lot
    order: Order
    late: Late
    renew_by: tuple[date, ...]


@dataclass(frozen=True)
class PhaseTicket:
    """A phase of a site of our own that a person has built, part by part."""

    name: str
    parts: tuple[PhaseOrder, ...]
    late: Late


def tickets(
    fleet: Fleet, owned: bool, progress: Progress = lambda done, of: None
) -> tuple[list[Ticket], list[PhaseTicket]]:
    """Tickets of a plan, by date: for owned halls and their phases, or for everything else.

    What breaks while machines are missing is asked for all of them together: they share what a drill is made of.
    """
    orders, phases = _asked(fleet, owned), _phases_asked(fleet.plan) if owned else []
    sets = [order.purchases for order in orders] + [phase.purchases for phase in phases]
    late = iter(costs_of_being_late(fleet.plan, sets, progress) if sets else ())
    made = [Ticket(o.name, o.lot, o.order, next(late), _renewals(o.lot, o.order)) for o in orders]
    return made, [PhaseTicket(phase.name, phase.parts, next(late)) for phase in phases]


def _asked(fleet: Fleet, owned: bool) -> list[Asked]:
    """Orders that a person carries out.

    An order needs no ticket when Terraform carries it out alone: on demand with an immediate reservation, and spot.
    """
    lots = {
        lot.id: lot
        for lot in fleet.lots
        if lot.offer
        and (fleet.site_of[lot.pool].provider == "owned") == owned
        and not (lot.kind == "spot" or (lot.kind == "on_demand" and lot.rule.instrument == "immediate"))
    }
    if not lots:
        return []
    orders = [order for order in fleet.plan.orders if order.offer in lots]
    several = len({order.period for order in fleet.plan.orders}) > 1
    ids = [f"{order.offer} {order.period}" if several else order.offer for order in orders]
    names = distinct(ids, 60)
    (period_of, _), _ = hours_of(fleet.plan.study)
    asked = []
    for id, order in zip(ids, orders, strict=True):
        purchases = frozenset(
            (row.offer, row.when)
            for row in fleet.plan.file.purchases
            if row.offer == order.offer and period_of.get(row.when, row.when) == order.period
        )
        asked.append(Asked(names[id], lots[order.offer], order, purchases))
    return asked


def _phases_asked(plan: Plan) -> list[PhaseAsked]:
    """Each phase that is built; while it is missing, so are the site's machines bought from then on."""
    p = plan.problem
    parts: dict[tuple[str, str], list[PhaseOrder]] = {}
    for order in plan.phase_orders:
        parts.setdefault((order.build_out, order.period), []).append(order)
    names = distinct([f"{m} {t}" for m, t in parts], 60)
    site_of, periods = {m.id: m.site for m in plan.study.build_outs}, list(p.periods)
    asked = []
    for (m, t), of_phase in parts.items():
        later = set(periods[periods.index(t) :])
        purchases = frozenset(
            (row.offer, row.when)
            for row in plan.file.purchases
            if p.site_of[p.pool_of[row.offer]] == site_of[m] and p.period_of.get(row.when, row.when) in later
        )
        asked.append(PhaseAsked(names[f"{m} {t}"], tuple(of_phase), purchases))
    return asked


def ticket_files(
    fleet: Fleet, options: Mapping[str, str], owned: bool, progress: Progress = lambda done, of: None
) -> dict[str, str]:
    """`tickets/*.md`, one each, and `tickets/tickets.json`; none when there is nothing to do."""
    of_orders, phases = tickets(fleet, owned, progress)
    of_quotas = [] if owned else quota_tickets(fleet.plan)
    if not of_orders and not phases and not of_quotas:
        return {}
    data = {"plan": fleet.plan.file.digest_sha256, "tickets": [_data(fleet, ticket) for ticket in of_orders]}
    if phases:
        data["phases"] = [_phase_data(phase) for phase in phases]
    if of_quotas:
        data["quotas"] = [quota_data(ticket) for ticket in of_quotas]
    if options.get("not_proven"):
        data["not_proven"] = options["not_proven"]
    bodies = {ticket.name: _order_body(fleet, ticket) for ticket in of_orders}
    bodies |= {f"phase-{phase.name}": _phase_body(fleet, phase) for phase in phases}
    notice = ["**The plan is not proven: see NOT-PROVEN.md.**", ""] if options.get("not_proven") else []
    foot = f"Plan {fleet.digest}. Replayed without these machines, all other orders in time."
    made = {"tickets/tickets.json": sorted_json(data)}
    for name, body in bodies.items():
        made[f"tickets/{name}.md"] = "\n".join([f"# {name}", "", *notice, *body, foot]) + "\n"
    for ticket in of_quotas:
        body = [f"# {ticket.name}", "", *notice, *quota_body(ticket), f"Plan {fleet.digest}."]
        made[f"tickets/{ticket.name}.md"] = "\n".join(body) + "\n"
    return made


def _phase_data(phase: PhaseTicket) -> dict[str, Any]:
    first = phase.parts[0]
    return {
        "ticket": f"phase-{phase.name}",
        "build_out": first.build_out,
        "modules": first.modules,
        "usable_from": first.need.isoformat(),
        "period": first.period,
        "parts": [
            {"part": o.part, "by": o.order_by.isoformat(), "days_late": o.days_late, "usd": round(o.usd, 2)}
            for o in phase.parts
        ],
        "built_without_goals": first.modules_without_goals,
        "while_missing": _late_data(phase.late),
    }


def _phase_body(fleet: Fleet, phase: PhaseTicket) -> list[str]:
    first = phase.parts[0]
    of = next(m for m in fleet.plan.study.build_outs if m.id == first.build_out)
    build_out, period = markdown_cell(first.build_out), markdown_cell(first.period)
    rows = [
        f"| {o.part} | {o.order_by.isoformat()}{f', {o.days_late} days late' if o.days_late else ''} | {o.usd:,.0f} |"
        for o in phase.parts
    ]
    return [
        f"{first.modules} of {build_out}, {of.power_mw * first.modules:g} MW of IT power, usable from "
        f"{first.need.isoformat()} ({period}); "
        f"{first.modules - first.modules_without_goals} of them for goals.",
        "",
        "| part | order by | capital USD |",
        "|---|---|---|",
        *rows,
        "",
        f"Figures of the phase: {', '.join(map(markdown_cell, (of.evidence, of.source, of.as_of)))}.",
        *_while_late(phase.late, "the machines bought for the site from then on are"),
    ]


def _late_data(late: Late) -> dict[str, Any]:
    return {
        "goals_that_break": [
            {
                "tier": broken.tier,
                "goal": None if broken.goal is None else broken.goal.model_dump(mode="json", by_alias=True),
                "failures": list(broken.failures),
                "served_fraction_in_the_worst": broken.served_fraction,
                "worst_flow": broken.worst_flow,
                "worst_flow_served_fraction": broken.flow_served_fraction,
                "in_parts_of_replicas": broken.in_parts,
            }
            for broken in late.goals
        ],
        "usd_per_day_in_normal_operation": round(late.usd_per_day, 2),
    }


def _while_late(late: Late, what: str) -> list[str]:
    goals = [_broken_line(broken) for broken in late.goals]
    in_parts = any(broken.in_parts for broken in late.goals)
    return [
        "",
        f"## While {what} missing",
        "",
        f"Normal operation, on the plan's own routes: {late.usd_per_day:,.0f} USD a day of outage cost.",
        "",
        *(["Survival goals that break:", "", *goals] if goals else ["No survival goal breaks."]),
        *(["", IN_PARTS] if in_parts else []),
        "",
    ]


def _broken_line(broken: BrokenGoal) -> str:
    """One goal that breaks."""
    return (
        f"- {markdown_cell(broken.text)}; served {100 * broken.served_fraction:.1f} %, "
        f"{markdown_cell(broken.worst_flow)} {100 * broken.flow_served_fraction:.1f} %, "
        f"in the worst of {len(broken.failures)}: {markdown_cell(', '.join(broken.failures[:3]))}"
        f"{' and others' if len(broken.failures) > 3 else ''}"
    )


def _blocks(lot: Lot, order: Order) -> list[dict[str, Any]]:
    """The Capacity Blocks of an order, one window after the other: instances of each, first and last day to order."""
    if lot.rule.instrument != "capacity_block" or lot.offer is None:
        return []
    sizes = list(sizes_of(replace(lot, machines=order.machines)))
    return [
        {
            "instances": sizes,
            "first_day": block.first_day.isoformat(),
            "last_day": block.last_day.isoformat(),
            "order_from": None if block.order_from is None else block.order_from.isoformat(),
            "order_by": block.order_by.isoformat(),
        }
        for block in blocks_of(lot, order)
    ]


def _block_lines(blocks: list[dict[str, Any]]) -> list[str]:
    """Windows of Capacity Blocks as a table; empty where nothing is one."""
    if not blocks:
        return []
    rows = [
        f"| {block['first_day']} to {block['last_day']} | {', '.join(map(str, block['instances']))} |"
        f" {block['order_from'] or 'any day'} | {block['order_by']} |"
        for block in blocks
    ]
    return [
        "",
        "Each number is a Capacity Block of its own, of so many instances. Days here have none of the study's slack.",
        "",
        "| used | blocks | order from | order by |",
        "| --- | --- | --- | --- |",
        *rows,
    ]


def _renewals(lot: Lot, order: Order) -> tuple[date, ...]:
    """First day on which each further Capacity Block of an order can be bought."""
    if lot.rule.instrument != "capacity_block" or lot.offer is None:
        return ()
    return tuple(block.order_from or block.order_by for block in blocks_of(lot, order)[1:])


def _data(fleet: Fleet, ticket: Ticket) -> dict[str, Any]:
    order, lot, site = ticket.order, ticket.lot, fleet.site_of[ticket.lot.pool]
    return {
        "ticket": ticket.name,
        "offer": order.offer,
        "pool": order.pool,
        "provider": site.provider,
        "region": site.region,
        "site": site.site,
        "city": site.city,
        "machine_type": fleet.pools[lot.pool].machine_type,
        "units": order.units,
        "machines": order.machines,
        "period": order.period,
        "by": order.order_by.isoformat(),
        "days_late": order.days_late,
        "needed": order.need.isoformat(),
        "term_months": order.term_months,
        "usd_per_hour": round(order.usd_per_hour, 2),
        "usd": round(order.usd, 2),
        "kind": order.kind,
        "instrument": order.instrument,
        "reservation": lot.rule.instrument,
        "reservation_why": lot.rule.why,
        "reservation_source": f"{lot.rule.source}, {lot.rule.as_of}",
        "reservation_names": _reservation_names(fleet, lot),
        "to_do": TO_DO[lot.rule.instrument],
        "blocks": _blocks(lot, order),
        "renew_by": [day.isoformat() for day in ticket.renew_by],
        "bought_without_goals": order.units_without_goals,
        "above_all_when_lost": list(order.reasons),
        "while_missing": _late_data(ticket.late),
    }


def _reservation_names(fleet: Fleet, lot: Lot) -> list[str]:
    """Names that Google's node pools ask for: those of the reservations that are made, drafted or had by hand."""
    if fleet.site_of[lot.pool].provider != "google" or lot.rule.instrument in ("spot", "none"):
        return []
    return [cell.name for cell in fleet.cells("google") if cell.lot == lot]


def _order_body(fleet: Fleet, ticket: Ticket) -> list[str]:
    order, lot, site = ticket.order, ticket.lot, fleet.site_of[ticket.lot.pool]
    late = f", {order.days_late} days late on the plan's day" if order.days_late else ""
    rows = {
        "what": f"{order.units} units of {order.offer}: {order.machines} machines",
        "machine type": fleet.pools[lot.pool].machine_type,
        "where": f"{site.id} ({site.city})",
        "order by": f"{order.order_by.isoformat()}{late}; needed on {order.need.isoformat()}",
        "instrument": order.instrument,
        "reservation": f"{lot.rule.instrument}: {lot.rule.why} ({lot.rule.source}, {lot.rule.as_of})",
        "cost": f"{order.usd:,.2f} USD over the horizon, {order.usd_per_hour:,.2f} USD/h, at the plan's prices",
        "for goals": f"{order.units - order.units_without_goals} of {order.units} units are not bought without goals",
    }
    if names := _reservation_names(fleet, lot):
        rows["its name"] = ", ".join(names)
    if order.term_months:
        rows["term"] = f"{order.term_months:g} months"
    if ticket.renew_by:
        rows["renew from"] = ", ".join(day.isoformat() for day in ticket.renew_by)
    return [
        "| | |",
        "|---|---|",
        *(f"| {what} | {markdown_cell(value)} |" for what, value in rows.items()),
        "",
        TO_DO[lot.rule.instrument],
        *_block_lines(_blocks(lot, order)),
        *_while_late(ticket.late, "they are"),
    ]
