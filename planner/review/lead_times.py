"""What has to be ordered, built and asked for, by when: all deadlines of a plan in one order."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from planner.plan.in_hand import Plan
from planner.review.figures import Figure, day
from planner.review.report import Column, Section, usd
from planner.units import after_months

ORDER, BUILD, QUOTA = KINDS = ("order", "build-out", "quota")
DELAYS = "what it costs when one is late, and how late it may be: planner delay plan.json"


@dataclass(frozen=True)
class Deadline:
    """An order, a part of a phase, or an increase of a quota.

    Parameters
    ----------
    what : what is ordered, built or asked for, with its number
    period, need : from when on it must be up, and that period's first day
    order_by : latest day, lead time and slack before; `days_late` when that day has passed
    lead_days : from an order on the last day that is in time until it is there
    slack_days : so many days after `order_by` that day is
    usd : cost of the order, capital of the part; 0 for a quota
    """

    kind: str
    what: str
    period: str
    order_by: date
    need: date
    days_late: int
    lead_days: int
    slack_days: int
    usd: float


def lead_times_section(plan: Plan) -> Section | None:
    """Deadlines, the earliest first; no section where nothing is ordered."""
    rows = sorted(_deadlines(plan), key=lambda row: (row.order_by, row.need, -row.usd, row.what))
    if not rows:
        return None
    columns = (
        Column("order by", _due),
        Column("days late", lambda row: row.days_late, when=any(row.days_late for row in rows)),
        Column("kind"),
        Column("what"),
        Column("needed", lambda row: day(row.need)),
        Column("lead days", lambda row: row.lead_days),
        Column("slack days", lambda row: row.slack_days),
        Column("USD", lambda row: usd(row.usd) if row.usd else None, adds=True),
    )
    late = sum(row.days_late > 0 for row in rows)
    passed = f"{late or 'none'} of {len(rows)} deadlines {'have' if late > 1 else 'has'} passed"
    lines = (
        f"today is {plan.study.today}: {passed}",
        "order by = needed − lead time − slack: within the slack it may still be late and is there in time",
        DELAYS,
    )
    return Section("LEAD TIMES", lines, columns, rows, part="picture", when_all=True)


def _due(row: Deadline) -> Figure:
    late = "LATE" if row.days_late else ""
    return Figure(f"{row.order_by} {late}".rstrip(), row.order_by, note=late)


def _deadlines(plan: Plan) -> Iterator[Deadline]:
    study = plan.study
    offers, phases = {offer.id: offer for offer in study.offers}, {phase.id: phase for phase in study.build_outs}
    for o in plan.orders:
        offer = offers[o.offer]
        days = _days(o.order_by, o.need - timedelta(days=math.ceil(offer.lead_days)), o.need)
        what = f"{o.units:,} {offer.offer} of {o.pool}"
        yield Deadline(ORDER, what, o.period, o.order_by, o.need, o.days_late, *days, o.usd)
    for part in plan.phase_orders:
        months = getattr(phases[part.build_out].lead_months, part.part)
        days = _days(part.order_by, after_months(part.need, -months), part.need)
        what = f"{part.build_out}, {part.part}" + (f", {part.modules} modules" if part.modules > 1 else "")
        yield Deadline(BUILD, what, part.period, part.order_by, part.need, part.days_late, *days, part.usd)
    for quota in plan.quota_orders:
        days = _days(quota.order_by, quota.order_by + timedelta(days=math.floor(study.order_slack_days)), quota.need)
        what = f"{quota.quota}: {quota.most:,.0f} to {quota.granted:,.0f} {quota.unit}"
        yield Deadline(QUOTA, what, quota.period, quota.order_by, quota.need, quota.days_late, *days, 0.0)


def _days(order_by: date, in_time: date, need: date) -> tuple[int, int]:
    """Lead time and slack: from the last day that is in time on, and from the day to order by until then."""
    in_time = max(order_by, in_time)
    return (need - in_time).days, (in_time - order_by).days
