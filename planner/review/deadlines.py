"""What has to be ordered, built and asked for, by when: all deadlines of a plan in one order."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from planner.plan.in_hand import Plan
from planner.review.report import Column, Section, usd

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
    usd : cost of the order, capital of the part; 0 for a quota
    """

    kind: str
    what: str
    period: str
    order_by: date
    need: date
    days_late: int
    usd: float

    @property
    def lead_days(self) -> int:
        """Lead time and slack [days]."""
        return (self.need - self.order_by).days


def deadlines_section(plan: Plan) -> Section | None:
    """Deadlines, the earliest first; no section where nothing is ordered."""
    rows = sorted(_deadlines(plan), key=lambda row: (row.order_by, row.need, -row.usd, row.what))
    if not rows:
        return None
    columns = (
        Column("order by", lambda row: f"{row.order_by}{f' LATE {row.days_late} days' if row.days_late else ''}"),
        Column("kind"),
        Column("what"),
        Column("needed", lambda row: f"{row.need}"),
        Column("days", lambda row: row.lead_days),
        Column("USD", lambda row: usd(row.usd) if row.usd else ""),
    )
    slack = f"days: lead time and slack ({plan.study.order_slack_days:g} days) before it is needed"
    late = sum(row.days_late > 0 for row in rows)
    lines = (
        f"today is {plan.study.today}: {late or 'none'} of {len(rows)} deadlines {'have' if late else 'has'} passed",
        slack,
        DELAYS,
    )
    return Section("DEADLINES", lines, columns, rows)


def _deadlines(plan: Plan) -> Iterator[Deadline]:
    name_of = {offer.id: offer.offer for offer in plan.study.offers}
    for o in plan.orders:
        what = f"{o.units:,} {name_of[o.offer]} of {o.pool}"
        yield Deadline(ORDER, what, o.period, o.order_by, o.need, o.days_late, o.usd)
    for part in plan.phase_orders:
        what = f"{part.build_out}, {part.part}" + (f", {part.modules} modules" if part.modules > 1 else "")
        yield Deadline(BUILD, what, part.period, part.order_by, part.need, part.days_late, part.usd)
    for quota in plan.quota_orders:
        what = f"{quota.quota}: {quota.most:,.0f} to {quota.granted:,.0f} {quota.unit}"
        yield Deadline(QUOTA, what, quota.period, quota.order_by, quota.need, quota.days_late, 0.0)
