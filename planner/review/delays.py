"""The report of what a delay costs: the answer first, then each delay, what it breaks, and what a month is worth."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from planner.questions.delay_cost import BrokenWhileLate, DelayCost, KnownLate
from planner.questions.patches import Change
from planner.review.figures import day, number
from planner.review.report import (
    BROKEN,
    Column,
    Report,
    Section,
    as_data,
    between,
    first_line,
    first_of,
    made,
    no_plan_section,
    short_failure,
    signed,
)
from planner.study.calendar import ALMOST
from planner.study.records.study import Study

MOST_FAILURES = 2
MOST_DELAYS = 3
MOST_GOALS = 4
KNOWN_NOW = (
    "cost of the delay: cost of the re-plan that knows of it today, less the cost as it is: the least that it can "
    "cost; true to within both gaps"
)
AS_IT_STANDS = (
    "as the plan stands nothing else is bought: replicas may be placed anew on the machines that are there, in parts "
    "of machines, so a goal that is named breaks for sure, and one that is not may break by rounding"
)


def review_delays(study: Study, costs: Sequence[DelayCost], all_rows: bool = False) -> Report:
    """What each delay costs: ANSWER, DELAYS, KNOWN LATE, VALUE OF A MONTH, BROKEN, NO PLAN."""
    why_not = {one.delay.patch.name: one.why_not for one in costs if one.delay_usd is None}
    sections = made(
        _answer(costs),
        _delays(costs),
        _known_late(costs),
        _values(costs),
        _broken(costs),
        no_plan_section(why_not, [{"delay": name, "why_not": why} for name, why in why_not.items()]),
        _next(costs),
    )
    unsure = tuple(f"{name}: {first_line(late.unsure)}" for name, late in _late(costs) if late.unsure)
    return Report(f"delays of {study.study}", not why_not, sections, unsure=unsure, all_rows=all_rows)


def _next(costs: Sequence[DelayCost]) -> Section | None:
    in_plan = [one for one in costs if one.delay.ready is not None]
    if not in_plan:
        return None
    sets = " ".join(f"--set '{_written(change)}'" for change in in_plan[0].delay.patch.changes)
    return Section("NEXT", (f"planner whatif STUDY {sets}  one of them against the plan",))


def _written(change: Change) -> str:
    """A change as `--set` takes it."""
    value = f"{change.value:g}" if isinstance(change.value, float) else json.dumps(change.value, ensure_ascii=False)
    return f"{change.path}={value}"


def _answer(costs: Sequence[DelayCost]) -> Section:
    lines = []
    valued = [one for one in costs if one.usd_per_month is not None]
    for one in sorted(valued, key=lambda o: (-(o.usd_per_month or 0.0), o.delay.patch.name))[:MOST_DELAYS]:
        cost = f"{signed(one.delay_usd or 0.0)} USD, {signed(one.usd_per_month or 0.0)} USD a month"
        lines.append(
            f"{one.delay.subject}, {one.delay.lead_time}: {one.delay.months:g} months cost {cost}, when known now"
        )
    goals = {b.goal for one in costs for b in one.broken}
    if goals:
        lines.append(f"as the plan stands, delays break {len(goals)}: {'; '.join(sorted(goals)[:MOST_GOALS])}")
    lines += _how_late(costs)
    without = [one.delay.patch.name for one in costs if one.delay_usd is None]
    if without:
        lines.append(f"NO PLAN with {', '.join(without[:MOST_FAILURES])}")
    if all(one.delay.ready is None for one in costs):
        lines.append("the plan has none of what could be late: nothing depends on it")
    return Section("ANSWER", tuple(lines), data={"delays": len(costs), "without_plan": without, "goals": sorted(goals)})


def _how_late(costs: Sequence[DelayCost]) -> list[str]:
    """Of each lead time that was asked about with several delays: how late it may be as the plan stands."""
    by_lead_time: dict[tuple[str, str], list[DelayCost]] = {}
    for one in costs:
        if one.delay.ready is not None:
            by_lead_time.setdefault((one.delay.subject, one.delay.lead_time), []).append(one)
    lines = []
    for (subject, lead_time), several in sorted(by_lead_time.items()):
        first_broken = min((one.delay.months for one in several if one.broken), default=float("inf"))
        held = max((one.delay.months for one in several if one.delay.months < first_broken), default=0.0)
        if held:
            more = f", not {first_broken:g}" if first_broken < float("inf") else ", the longest that was asked about"
            lines.append(f"as the plan stands, {subject}, {lead_time}, may be {held:g} months late{more}")
    return lines


def _delays(costs: Sequence[DelayCost]) -> Section:
    columns = (
        Column("late", lambda one: one.delay.patch.name),
        Column("missing from", lambda one: one.delay.ready or "not in the plan"),
        Column("until", lambda one: (one.delay.until or "the end") if one.delay.ready else ""),
        Column("delay costs USD", lambda one: "no plan" if one.delay_usd is None else signed(one.delay_usd)),
        Column("the best plans differ by", lambda one: between(_ends(one)) if one.delay.ready else ""),
        Column("USD/month", lambda one: "" if one.delay_usd is None else signed(one.usd_per_month or 0.0)),
        Column("goals broken", lambda one: len({b.goal for b in one.broken}) if one.delay.ready else None),
    )
    after = [KNOWN_NOW, AS_IT_STANDS]
    if any(one.delay.months_without > one.delay.months + ALMOST for one in costs):
        after.append("USD/month: by the months in which it is missing; plans count whole periods: split the horizon")
    return Section("DELAYS", (), columns, costs, tuple(after), [_delay_data(one) for one in costs])


def _ends(one: DelayCost) -> tuple[float, float] | None:
    return (one.least_usd, one.most_usd) if one.delay_usd is not None else None


def _delay_data(one: DelayCost) -> dict[str, Any]:
    delay = one.delay
    return {
        "subject": delay.subject,
        "site": delay.site,
        "lead_time": delay.lead_time,
        "months": delay.months,
        "planned_for": delay.ready,
        "arrives_in": delay.until if delay.ready else None,
        "months_without": delay.months_without,
        "delay_usd": one.delay_usd,
        "best_plans_differ_by_usd": _ends(one),
        "usd_per_month": one.usd_per_month,
        "goals_broken": sorted({b.goal for b in one.broken}),
        "why_not": one.why_not,
    }


def _late(costs: Sequence[DelayCost]) -> list[tuple[str, KnownLate]]:
    return [(one.delay.patch.name, one.known_late) for one in costs if one.known_late is not None]


def _known_late(costs: Sequence[DelayCost]) -> Section | None:
    """What delays cost that are known late, where that was asked, beside what they cost when they are known now."""
    rows = _late(costs)
    now_usd = {one.delay.patch.name: one.delay_usd for one in costs}

    def known_now(row: tuple[str, KnownLate]) -> str:
        cost_usd = now_usd[row[0]]
        return "no plan" if cost_usd is None else signed(cost_usd)

    columns = (
        Column("late", lambda row: row[0]),
        Column("known on", lambda row: day(row[1].known_on)),
        Column("known now USD", known_now),
        Column("known late USD", lambda row: _late_cost(row[1])),
        Column(
            "the best plans differ by",
            lambda row: between((row[1].least_usd, row[1].most_usd) if row[1].usd is not None else None),
        ),
    )
    line = (
        "what had to be ordered before that day is as in the plan, and nothing beside it; the late phase is built and "
        "paid all the same, and the machines for its site wait with it; no plan: then goals break in between"
    )
    after = tuple(f"{name}: not known: {first_line(late.unsure)}" for name, late in rows if late.unsure)
    data = [{"delay": name, **as_data(late), "known_on": str(late.known_on)} for name, late in rows]
    return Section("KNOWN LATE", (line,), columns, rows, after, data, most=None) if rows else None


def _late_cost(late: KnownLate) -> str:
    if late.usd is not None:
        return signed(late.usd)
    return "not known" if late.unsure else "no plan"


def _values(costs: Sequence[DelayCost]) -> Section | None:
    """The value of a month at each site: of its dearest delay."""
    dearest: dict[str, DelayCost] = {}
    for one in costs:
        if one.usd_per_month is not None:
            other = dearest.get(one.delay.site)
            if other is None or one.usd_per_month > (other.usd_per_month or 0.0):
                dearest[one.delay.site] = one
    columns = (
        Column("site", lambda row: row[0]),
        Column("USD/month", lambda row: signed(row[1].usd_per_month or 0.0)),
        Column("of", lambda row: row[1].delay.patch.name),
    )
    rows = sorted(dearest.items())
    line = "what a month less of delay is worth, of the dearest delay of the site that was asked about"
    data = {site: {"usd_per_month": one.usd_per_month, "of": one.delay.patch.name} for site, one in rows}
    return Section("VALUE OF A MONTH", (line,), columns, rows, data=data, most=None) if rows else None


@dataclass(frozen=True)
class BrokenRow:
    """A goal that breaks as the plan stands: in these periods and failures; `delay` is blank below its first goal."""

    delay: str
    periods: str
    goal: str
    failures: tuple[str, ...]
    requests_per_second: float


def _broken(costs: Sequence[DelayCost]) -> Section | None:
    rows: list[BrokenRow] = []
    for one in costs:
        by_goal: dict[str, list[BrokenWhileLate]] = {}
        for b in one.broken:
            by_goal.setdefault(b.goal, []).append(b)
        name = one.delay.patch.name
        for goal, broken in by_goal.items():
            periods = broken[0].period + (f" to {broken[-1].period}" if len(broken) > 1 else "")
            failures = tuple(sorted({f for b in broken for f in b.failures}))
            short = max(b.requests_per_second or 0.0 for b in broken)
            rows.append(BrokenRow(name, periods, goal, failures, short))
            name = ""
    columns = (
        Column("late", lambda row: row.delay),
        Column("in", lambda row: row.periods),
        Column("goal", severity=lambda row: BROKEN),
        Column("when lost", lambda row: first_of([short_failure(f) for f in row.failures], MOST_FAILURES)),
        Column("requests/s", lambda row: number(row.requests_per_second, ",.4g") if row.requests_per_second else ""),
    )
    line = (
        "what the plan as it stands cannot keep while the machines are missing, and requests/s short in the worst of "
        "it; none given: normal operation is short already"
    )
    data = [{"delay": one.delay.patch.name, **as_data(b)} for one in costs for b in one.broken]
    return Section("BROKEN", (line,), columns, rows, data=data) if rows else None
