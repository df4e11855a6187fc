"""What a plan changes: the fleet that the study holds against what the plan orders, builds, lends and evicts."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from planner.plan.decisions import units_by_period
from planner.plan.in_hand import Plan
from planner.plan.orders import Order
from planner.review.failures import failure_rows
from planner.review.report import Column, Section, first_of, short_failure, usd
from planner.study.calendar import spans, touches
from planner.study.records.study import Claim

Action = Literal["add", "change", "remove"]
SIGN: dict[Action, str] = {"add": "+", "change": "~", "remove": "-"}
NAMED = 3
"""Periods that a detail names at most."""


@dataclass(frozen=True)
class ChangeOfFleet:
    """One thing that the plan adds to what is held, changes or removes.

    Parameters
    ----------
    of : pool or phase
    contract : offer, build-out or `held`
    today, planned : how many, of `unit`; planned: the most at once, over the periods
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


@dataclass(frozen=True)
class Evicted:
    """Replicas in the failure in which most are evicted: of those that survive it; and those that are lost in it."""

    failure: str
    survive: int
    evicted: int
    lost: int


@dataclass(frozen=True)
class InFailuresOnly:
    """What a failure changes for as long as it lasts, and nothing else does."""

    taken_back: tuple[Claim, ...]
    most_evicted: Evicted | None


def changes_of_fleet(plan: Plan) -> list[ChangeOfFleet]:
    """What is ordered and built, and what ends; what only a failure changes is in none of it."""
    return [*_ordered(plan), *_built(plan), *_ending(plan)]


def _ordered(plan: Plan) -> Iterator[ChangeOfFleet]:
    """Each offer once, whatever the periods that it is ordered for."""
    offers, orders_of = {offer.id: offer for offer in plan.study.offers}, defaultdict[str, list[Order]](list)
    for o in plan.orders:
        orders_of[o.offer].append(o)
    active = units_by_period(plan.problem, plan.file.purchases)
    for b, orders in orders_of.items():
        offer, first = offers[b], orders[0]
        machines = {t: offer.machines_per_unit * active.get((b, t), 0) for t in plan.problem.periods}
        late = " LATE" if any(o.days_late for o in orders) else ""
        detail = f"order by {first.order_by}{late}"
        if len(orders) > 1:
            levels = [f"{machines[o.period]} in {o.period}" for o in sorted(orders, key=lambda o: o.need)]
            detail = f"{len(orders)} orders, the first by {first.order_by}{late}: {first_of(levels, NAMED)}"
        most, paid_usd = max(machines.values()), sum(o.usd for o in orders)
        yield ChangeOfFleet("add", offer.pool, offer.offer, 0, most, "machines", paid_usd, detail)


def _built(plan: Plan) -> Iterator[ChangeOfFleet]:
    usd_of: dict[tuple[str, str], float] = defaultdict(float)
    for part in plan.phase_orders:
        usd_of[part.build_out, part.period] += part.usd
    for built in plan.file.builds:
        paid = usd_of[built.build_out, built.when]
        usable = f"usable from {built.when}"
        yield ChangeOfFleet("add", built.build_out, "build-out", 0, built.units, "modules", paid, usable)


def in_failures_only(plan: Plan) -> InFailuresOnly:
    """What is taken back and evicted while something is lost; what is never taken back stays as it is."""
    claims = tuple(claim for claim in plan.study.claims if claim.machines and claim.reclaim_seconds is not None)
    worst = max(failure_rows(plan), key=lambda row: (row.replicas_evicted, row.failure), default=None)
    if worst is None or worst.replicas_evicted < 1:
        return InFailuresOnly(claims, None)
    survive, evicted = worst.replicas_kept + worst.replicas_evicted, worst.replicas_evicted
    return InFailuresOnly(claims, Evicted(worst.failure, round(survive), round(evicted), round(worst.replicas_lost)))


def _in_failures_only(plan: Plan) -> Iterator[str]:
    """The same in sentences."""
    only = in_failures_only(plan)
    for claim in only.taken_back:
        yield (
            f"in a failure only, no change: {claim.machines} machines of {claim.pool} that are lent to "
            f"{claim.lent_to} are taken back, {claim.reclaim_seconds:g} s after it is detected"
        )
    if (most := only.most_evicted) is not None:
        yield (
            f"in a failure only, no change: when {short_failure(most.failure)} is lost, {most.evicted:,} of "
            f"{most.survive:,} replicas that survive are evicted for others while it lasts, the most in any; "
            f"{most.lost:,} are lost"
        )


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
        *_in_failures_only(plan),
        closing,
    )
    return Section("CHANGES AGAINST TODAY", lines, columns, rows, after, part="answer", when_all=True)
