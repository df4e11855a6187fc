"""The brief of a plan: its review on one screen, from the same rows; what must be seen is never left out."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from planner.plan.audit import Audit, audit
from planner.plan.in_hand import Plan, in_hand
from planner.problem.problem import Problem
from planner.review.answer import as_audited, cost_usd_per_month, proof_line, review_audited, verdict_lines
from planner.review.assumptions import EVIDENCE, Assumption
from planner.review.failures import LEAST_SHORT, FailureServed, tier_column
from planner.review.figures import million_usd
from planner.review.limits import rescaling_lines
from planner.review.money import prices_text
from planner.review.orders import OrderRow, due_text, late_severity
from planner.review.recovery import Slice
from planner.review.redundancy import redundancy_in_short
from planner.review.report import (
    AT_RISK,
    BROKEN,
    Column,
    Judged,
    Line,
    Report,
    Section,
    made,
    percent,
    short_failure,
    usd,
)
from planner.review.served import HOLDS, SEVERITIES, GoalServed
from planner.review.static import SEVERITIES as VERDICTS
from planner.review.static import StaticOutcome
from planner.review.trust import (
    NOT_ASKED,
    Progress,
    is_within_its_error,
    lowest_factors,
    margin_text,
    not_drilled,
    silent,
    speed_text,
    spread_lines,
)
from planner.review.worst_first import protected_tiers
from planner.study.records.plan import PlanFile

MOST_ORDERS, LARGEST, EARLIEST = 6, 4, 3
"""Orders of a brief: all, where they are so few; else the largest, and those with the first deadlines."""
MOST_FAILURES, MOST_GOALS, MOST_ASSUMPTIONS = 3, 5, 3
PLAN_FILE = "plan.json"
MOST_BESIDE = 76
"""Characters of a command and what it is for, beside each other on a line of 80; longer ones stand below each other."""


@dataclass(frozen=True)
class WorstFailure:
    """One of the worst failures: what it takes, who is served at once and at its last deadline, and when all are again.

    Parameters
    ----------
    failure : its row of FAILURES
    served_at_once_fraction, tier_at_once : of the tier that is served least before anything is moved, of those
        with a goal in the failure where one has; None: it is a later stage of another failure, and begins with what
        that one has left
    hours_to_repair : None where the study does not say
    """

    failure: FailureServed
    served_at_once_fraction: float | None
    tier_at_once: str
    hours_to_repair: float | None


def brief_plan(
    plan: PlanFile | Plan, path: str | None = None, progress: Progress = silent, with_margins: bool = True
) -> Report:
    """The brief of a plan; `path` as of `brief_of`, `with_margins` as of `review_plan`."""
    held = in_hand(plan)
    checked = audit(held, progress)
    return brief_of(held, checked, review_audited(held, checked, False, progress, with_margins), path)


def brief_of(plan: Plan, checked: Audit, review: Report, path: str | None = None) -> Report:
    """The brief of a plan, of which the audit and the review are at hand.

    Parameters
    ----------
    path : of the plan's file, for the commands to go on with; none: it is not written
    """
    part = {section.title: section for section in review.sections}
    sections = [_answer(plan, checked, part)]
    if "ORDER" in part:
        sections += [_order(plan, part), _worst_failures(plan, part), _trust(plan, part)]
    sections.append(_read_next(path))
    return Report(review.title, review.good, made(*sections), review.data, review.unsure)


def _answer(plan: Plan, checked: Audit, part: dict[str, Section]) -> Section:
    """Whether goals are held, what it costs, and how far that is from the least possible."""
    lines = verdict_lines(plan, checked, in_short=True)
    goals: Sequence[GoalServed] = part["SERVED"].rows if "SERVED" in part else ()
    short = [row for row in goals if row.verdict != HOLDS]
    for row in short[:MOST_GOALS]:
        lines.append(Judged(f"  {row.tier}: {row.goal}: {row.verdict}", SEVERITIES[row.verdict]))
    if len(short) > MOST_GOALS:
        lines.append(Judged(f"  ... and {len(short) - MOST_GOALS} more goals", AT_RISK))
    proof, study = plan.file.proof, plan.study
    prices = "your" if study.price_book else "list"
    cost = (
        f"cost {usd(cost_usd_per_month(plan))} USD a month, {usd(proof.cost_usd)} USD over {study.horizon.months:g} "
        f"months, at {prices} prices; machines held already cost nothing here"
    )
    lines += [
        as_audited(cost, checked),
        proof_line(plan),
        redundancy_in_short(plan.file),
        *rescaling_lines(plan.file),
    ]
    return Section("ANSWER", tuple(lines), data=part["ANSWER"].data)


# ------------------------------------------------------------------ what is ordered
def _order(plan: Plan, part: dict[str, Section]) -> Section:
    """The largest orders, and those with the first deadlines."""
    section, called = part["ORDER"], {offer.id: offer.offer for offer in plan.study.offers}
    every: Sequence[OrderRow] = section.rows
    rows = _chosen(every)
    columns = (
        Column("order by", lambda o: due_text(o.order_by, o.days_late), severity=late_severity),
        Column("what", lambda o: f"{o.units:,} {called[o.offer]}"),
        Column("pool"),
        Column("USD", lambda o: million_usd(o.usd)),
    )
    lines = list(section.lines)
    late = [o for o in every if o.days_late]
    if late:
        amount = usd(sum(o.usd for o in late))
        lines.append(Judged(f"LATE: {len(late)} orders, {amount} USD, by days that have passed", BROKEN))
    after = list[Line]()
    if len(every) > len(rows):
        others_usd = sum(o.usd for o in every) - sum(o.usd for o in rows)
        after.append(f"... and {len(every) - len(rows)} more, {usd(others_usd)} USD")
    beyond_usd = sum(o.beyond_horizon_usd for o in every)
    if beyond_usd:
        after.append(f"binds beyond the horizon: {usd(beyond_usd)} USD that are in no cost here")
    after += _other_orders(part)
    return Section("ORDER", tuple(lines), columns, rows, tuple(after), most=None)


def _chosen(every: Sequence[OrderRow]) -> list[OrderRow]:
    """Every order where they are few; else the largest and the earliest, in their order."""
    if len(every) <= MOST_ORDERS:
        return list(every)
    largest = sorted(range(len(every)), key=lambda n: -every[n].usd)[:LARGEST]
    return [every[n] for n in sorted({*largest, *range(EARLIEST)})]


def _other_orders(part: dict[str, Section]) -> list[Line]:
    """Increases of quotas to ask for, and phases to build: how many, and the first day."""
    lines = list[Line]()
    for title, what in ("QUOTAS TO ASK FOR", "increases of quotas to ask for"), ("BUILD", "parts to build"):
        rows = part[title].rows if title in part else ()
        if rows:
            first = min(rows, key=lambda o: o.order_by)
            line = f"{what}: {len(rows)}, the first by {due_text(first.order_by, first.days_late)}"
            lines.append(Judged(line, BROKEN) if first.days_late else line)
        lines += part[title].lines if title in part and title == "BUILD" else ()
    return lines


# ------------------------------------------------------------------ what fails
def _worst_failures(plan: Plan, part: dict[str, Section]) -> Section:
    """The first of FAILURES, with any in which something due is short."""
    p, every = plan.problem, part["FAILURES"].rows
    begin: dict[str, Slice] = {}
    slices: list[Slice] = part["RECOVERY TIMELINE"].data if "RECOVERY TIMELINE" in part else []
    protected = {f: protected_tiers(p, f) for f in p.failures}
    for row in slices:
        if row.event != "begin" or (protected[row.failure] and row.tier not in protected[row.failure]):
            continue
        least = begin.get(row.failure)
        if least is None or row.served_fraction < least.served_fraction:
            begin[row.failure] = row
    rows = []
    for n, row in enumerate(every):
        if n < MOST_FAILURES or _is_short(row):
            at_once = begin.get(row.failure)
            rows.append(
                WorstFailure(
                    row,
                    at_once.served_fraction if at_once else None,
                    at_once.tier if at_once else "",
                    p.failures[row.failure].hours_to_repair,
                )
            )
    tiers = list(every[0].served_fraction) if every else []
    columns = (
        Column("when lost", lambda row: short_failure(row.failure.failure)),
        Column("lost", lambda row: int(row.failure.replicas_lost)),
        Column("at once", _at_once),
        *(_tier_column(p, tier) for tier in tiers),
        Column("all back", _all_back),
    )
    lines = ("replicas lost; at once: what the least served tier with a goal is served; by tier: at the last deadline",)
    more = len(every) - len(rows)
    after: list[Line] = [f"... and {more} less grave failures"] if more else []
    after += _files_that_break(part.get("STATIC FILES"))
    return Section("WORST FAILURES", lines if rows else ("none",), columns, rows, tuple(after), most=None)


def _files_that_break(static: Section | None) -> list[Line]:
    """In how many failures goals break as a gateway finds them too late, or gets no new weights."""
    lines = list[Line]()
    rows: Sequence[dict[str, StaticOutcome]] = static.rows if static is not None else ()
    for gateway in rows[0] if rows else ():
        broken = sum(VERDICTS.get(row[gateway].verdict) == BROKEN for row in rows)
        if broken:
            lines.append(Judged(f"{gateway}: goals break in {broken} failures by its file: see STATIC FILES", BROKEN))
    return lines


def _is_short(row: FailureServed) -> bool:
    return any(flow is not None and flow.short_fraction > LEAST_SHORT for flow in row.worst_flow.values())


def _tier_column(p: Problem, tier: str) -> Column:
    """The column of FAILURES, of the row in there."""
    column = tier_column(p, tier)
    return Column(tier, lambda row: column.written(row.failure), severity=lambda row: column.severity_in(row.failure))


def _at_once(row: WorstFailure) -> str:
    return percent(row.served_at_once_fraction) if row.served_at_once_fraction is not None else ""


def _all_back(row: WorstFailure) -> str:
    """From when on everything is served."""
    if min(row.failure.served_fraction.values(), default=1.0) > 1 - LEAST_SHORT:
        return f"{row.failure.deadline_seconds:g} s"
    return "repaired" if row.hours_to_repair is None else f"repaired, {row.hours_to_repair:g} h"


# ------------------------------------------------------------------ how far to trust it
def _trust(plan: Plan, part: dict[str, Section]) -> Section:
    """What breaks a goal first, the weakest figures that goals depend on, and how speeds and prices are known."""
    trust, rows = part["TRUST"].data, _weakest(part["KEY ASSUMPTIONS"].data)
    lines: list[Line] = [_first_to_break(plan, trust), *spread_lines(plan)]
    for a in rows:
        figure, share = f"{a.figure.kind} {a.figure.name}", percent(a.figure_fraction)
        line = f"{a.figure.evidence}: {figure}, {share} of {a.tier} at worst"
        lines.append(Judged(line, AT_RISK) if a.figure.weakness >= EVIDENCE.index("estimated") else line)
    known = (speed_text(trust["speed_share"]), prices_text(plan.cash))
    shares = {name: trust[name] for name in ("speed_fraction", "price_fraction", "spread")}
    data = {"margins": trust["margins"][:1], "moves": trust["moves"][:1], **shares, "key_assumptions": rows}
    return Section("TRUST", (*lines, *known), data=data)


def _first_to_break(plan: Plan, trust: dict[str, Any]) -> Line:
    """The figure whose error breaks a goal first."""
    if not trust["margins_asked"]:
        return NOT_ASKED
    if trust["why_no_margins"]:
        return Judged(not_drilled(trust["why_no_margins"]), AT_RISK)
    for m in trust["margins"][:1]:
        lowest = lowest_factors(plan.study)
        line = f"first to break: {margin_text(m, lowest)}"
        return Judged(line, AT_RISK) if is_within_its_error(m, lowest) else line
    return "first to break: nothing, as far as was looked"


def _weakest(every: Sequence[Assumption]) -> list[Assumption]:
    """The weakest figures that goals depend on, each once, where most depends on it."""
    worst_of: dict[str, Assumption] = {}
    for assumption in sorted(every, key=lambda a: (*a.weakness, a.figure_fraction), reverse=True):
        worst_of.setdefault(assumption.figure.name, assumption)
    return list(worst_of.values())[:MOST_ASSUMPTIONS]


def _read_next(path: str | None) -> Section:
    """The commands to go on with, with the path of this plan."""
    file = shlex.quote(path or PLAN_FILE)
    commands = {
        f"planner review {file}": "all of it; -o review.html: a page",
        f"planner explain {file}": "why; what a step of a limit is worth",
        f"planner drill {file}": "every failure replayed",
        f"planner emit all {file} --out out": "files to carry it out",
    }
    width = max(map(len, commands))
    lines = list[Line]()
    if path is None:
        lines.append(f"this plan is not kept in a file: planner plan STUDY --out {PLAN_FILE}, or save what was piped")
    are_beside = width + max(map(len, commands.values())) <= MOST_BESIDE
    for command, what in commands.items():
        lines += [f"{command:{width}s}  {what}"] if are_beside else [command, f"  {what}"]
    return Section("READ NEXT", tuple(lines))
