"""What a plan changes: the fleet that the study holds against what the plan orders, builds, lends and evicts."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from planner.plan.in_hand import Plan
from planner.review.failures import failure_rows
from planner.review.report import Column, Section, short_failure, usd
from planner.study.calendar import spans, touches

Action = Literal["add", "change", "remove"]
SIGN: dict[Action, str] = {"add": "+", "change": "~", "remove": "-"}


@dataclass(frozen=True)
class ChangeOfFleet:
    """One thing that the plan adds to what is held, changes or removes.

    Parameters
    ----------
    of : pool, phase or failure
    contract : offer, `held`, `lent to` someone; of replicas: which of them
    today, planned : how many, of `unit`
    usd : over the horizon, not discounted; None: not paid for in the plan
    """

    action: Action
    of: str
    contract: str
    today: int
    planned: int
    unit: str
    usd: float | None
    detail: str


def changes_of_fleet(plan: Plan) -> list[ChangeOfFleet]:
    """What is ordered, built, lent, evicted, and what ends."""
    return [*_ordered(plan), *_built(plan), *_lent(plan), *_evicted(plan), *_ending(plan)]


def _ordered(plan: Plan) -> Iterator[ChangeOfFleet]:
    called = {offer.id: offer.offer for offer in plan.study.offers}
    for o in plan.orders:
        detail = f"order by {o.order_by}{' LATE' if o.days_late else ''}"
        yield ChangeOfFleet("add", o.pool, called[o.offer], 0, o.machines, "machines", o.usd, detail)


def _built(plan: Plan) -> Iterator[ChangeOfFleet]:
    usd_of: dict[tuple[str, str], float] = defaultdict(float)
    for part in plan.phase_orders:
        usd_of[part.build_out, part.period] += part.usd
    for built in plan.file.builds:
        paid = usd_of[built.build_out, built.when]
        usable = f"usable from {built.when}"
        yield ChangeOfFleet("add", built.build_out, "build-out", 0, built.units, "modules", paid, usable)


def _lent(plan: Plan) -> Iterator[ChangeOfFleet]:
    """What is lent and taken back when something fails; what never comes back stays as it is."""
    for claim in plan.study.claims:
        if claim.machines and claim.reclaim_seconds is not None:
            detail = f"taken back in a failure, {claim.reclaim_seconds:g} s after it is detected"
            to = f"lent to {claim.lent_to}"
            yield ChangeOfFleet("change", claim.pool, to, claim.machines, 0, "machines", None, detail)


def _evicted(plan: Plan) -> Iterator[ChangeOfFleet]:
    """The failure in which most replicas are evicted for others."""
    worst = max(failure_rows(plan), key=lambda row: (row.replicas_evicted, row.failure), default=None)
    if worst is not None and worst.replicas_evicted >= 1:
        runs, lost, evicted = (
            round(n)
            for n in (worst.replicas_kept + worst.replicas_evicted, worst.replicas_lost, worst.replicas_evicted)
        )
        detail = f"{evicted:,} evicted for others while it lasts, the most in any failure; {lost:,} lost"
        when = f"when {short_failure(worst.failure)} is lost"
        yield ChangeOfFleet("change", when, "of those that survive", runs, runs - evicted, "replicas", None, detail)


def _ending(plan: Plan) -> Iterator[ChangeOfFleet]:
    last_day = plan.study.horizon.last_day
    for held in plan.study.holdings:
        if held.machines and held.until is not None and held.until <= last_day:
            ends = f"what is held ends on {held.until}"
            yield ChangeOfFleet("remove", held.pool, "held", held.machines, 0, "machines", None, ends)


def held_today(plan: Plan) -> tuple[int, int]:
    """Machines that the study holds in its first period, and in how many pools."""
    first = spans(plan.study)[0]
    held = [row for row in plan.study.holdings if row.machines and touches(row.from_day, row.until, first)]
    return sum(row.machines for row in held), len({row.pool for row in held})


def changes_section(plan: Plan) -> Section:
    """CHANGES AGAINST TODAY: + ~ -, closing with one line that counts."""
    rows = changes_of_fleet(plan)
    machines, pools = held_today(plan)
    counts = {action: sum(row.action == action for row in rows) for action in SIGN}
    columns = (
        Column("step", lambda row: f"{SIGN[row.action]} {row.action}"),
        Column("of"),
        Column("what", lambda row: f"{row.unit}, {row.contract}"),
        Column("today"),
        Column("plan", lambda row: row.planned),
        Column("USD", lambda row: None if row.usd is None else usd(row.usd), adds=True),
        Column("detail"),
    )
    lines = (
        f"held today, by the study: {machines:,} machines in {pools} pools; what is not named below stays as it is",
    )
    closing = "Plan: {add} to add, {change} to change, {remove} to remove.".format(**counts)
    after = (
        "USD over the horizon, not discounted; against what runs, read from files: planner review PLAN --against-today "
        "FILES",
        closing,
    )
    return Section("CHANGES AGAINST TODAY", lines, columns, rows, after, part="answer", when_all=True)
