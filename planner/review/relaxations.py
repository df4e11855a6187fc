"""The report of what restores a plan where there is none: the answer, sets of changes with their prices."""

import shlex
from collections.abc import Iterator

from planner.errors import NoPlan
from planner.questions.relaxable import KINDS
from planner.questions.relaxations import OfKind, Relaxations, Restored
from planner.questions.smallest_sets import MOST_IN_SET
from planner.review.report import Column, Report, Section, first_line, made, percent, signed, usd

OUT_OF_SCOPE = (
    "least: with a tighter value, the others as they are, no plan exists; raised: whole numbers need more than parts "
    "of machines do, and a little less may do, too",
    "USD: with requests that are not served in normal operation, at the cost of an outage of their tier",
    "several things at once go as far as the first of them needs, then the next: other shares between them may do, too",
    "not relaxed: pools and inventories that the study does not read, demand, machines that are held, prices",
    "more stock is stock that a provider may not have; a qualification is work: these are what to ask for, no promise",
)

MAY_TIGHTEN = "by waiting, a longer round trip or a policy dropped may also take a plan away"


def review_relaxations(result: Relaxations, error: NoPlan | None = None) -> Report:
    """What restores a plan: ANSWER, WHAT IS SHORT, WHAT RESTORES A PLAN, BY KIND, NEXT, OUT OF SCOPE.

    Parameters
    ----------
    error : what is short, where that is known; the first line of it is the answer's
    """
    diagnosis = "" if error is None else str(error)
    if result.has_plan:
        line = f"study {result.study.study} has a plan as it is: nothing need be relaxed"
        return Report(_title(result), True, (Section("ANSWER", (line,)),))
    sections = made(
        _answer(result, diagnosis),
        _short(diagnosis),
        _restored(result),
        _kinds(result),
        _next(result),
        Section("OUT OF SCOPE", OUT_OF_SCOPE) if result.restored else None,
    )
    unsure = tuple(f"{'; '.join(row.changes)}: {first_line(row.why_not)}" for row in result.restored if row.why_not)
    unsure += tuple(f"some sets of changes: {why}" for why in result.unsure)
    if result.is_stopped:
        unsure += ("interrupted: more sets of changes may restore a plan",)
    data = {} if error is None else {"message": diagnosis, "diagnosis": error.diagnosis}
    return Report(_title(result), False, sections, {"plan": None, **data}, unsure)


def _title(result: Relaxations) -> str:
    return f"what restores a plan of study {result.study.study}"


def _answer(result: Relaxations, diagnosis: str) -> Section:
    name = result.study.study
    unplanned = (
        f"no plan of study {name} exists as it is" if result.is_known else f"study {name} may have a plan as it is"
    )
    lines = [first_line(diagnosis) or unplanned]
    if not result.restores:
        lines.append("no relaxation restores one: with all that can be relaxed as far as it goes there is none, either")
        lines += [f"  {line.strip()}" for line in result.why_not.splitlines()]
    elif result.why_not:
        lines.append(f"whether there is one is not known: {first_line(result.why_not)}")
    elif not result.restored and not result.is_proven_smallest and not result.is_stopped and result.is_known:
        lines.append(f"no relaxation that was tried restores one; {MAY_TIGHTEN}: others may")
    elif result.unsure and not result.restored:
        lines.append(f"whether a relaxation restores one is not known: {first_line(result.unsure[0])}")
    planned = [row for row in result.restored if row.cost_usd is not None]
    if planned:
        least = planned[0]
        lines.append(f"cheapest that restores one: {'; '.join(least.changes)}: {usd(least.cost_usd or 0.0)} USD")
    if result.in_whole_numbers:
        lines.append("with parts of machines and replicas there would be one: only whole numbers have none")
    if result.not_in_whole_numbers:
        many = result.not_in_whole_numbers
        lines.append(
            f"{many} more would restore one with parts of machines, but not in whole numbers, and are left out"
        )
    if result.is_stopped:
        lines.append("INTERRUPTED: what is written was come upon until then")
    return Section("ANSWER", tuple(lines))


def _short(diagnosis: str) -> Section | None:
    lines = tuple(line.strip() for line in diagnosis.splitlines()[1:])
    return Section("WHAT IS SHORT", lines) if lines else None


def _restored(result: Relaxations) -> Section | None:
    if not result.restored:
        return None
    columns = (
        Column("change", lambda row: "; ".join(row.changes)),
        Column("kind", lambda row: " + ".join(row.kinds)),
        Column("USD", _cost),
        Column("against the cheapest", _against),
        Column("gap", lambda row: "" if row.gap_fraction is None else percent(row.gap_fraction, 1)),
        Column("values", lambda row: "least" if row.is_least else "raised"),
    )
    months = f"{result.study.horizon.months:g} months"
    lines = (f"smallest sets of changes: no part of one does by itself; USD over {months}, each within its gap",)
    after = ["from: no plan with these changes costs less; it was not planned"] if _unplanned(result) else []
    if not result.is_proven_smallest:
        after.append(f"{MAY_TIGHTEN}: smaller sets, and tighter values of several at once, are not ruled out")
    return Section("WHAT RESTORES A PLAN", lines, columns, result.restored, tuple(after), most=None)


def _unplanned(result: Relaxations) -> bool:
    return any(row.cost_usd is None for row in result.restored)


def _cost(row: Restored) -> str:
    return f"from {usd(row.lp_usd)}" if row.cost_usd is None else usd(row.cost_usd)


def _against(row: Restored) -> str:
    if row.more_usd is None or row.more_fraction is None:
        return ""
    return f"{signed(row.more_usd)} ({row.more_fraction:+.1%})" if row.more_usd else "the cheapest"


def _kinds(result: Relaxations) -> Section | None:
    if not result.of_kinds:
        return None
    columns = (
        Column("kind"),
        Column("what it means", lambda row: KINDS[row.kind]),
        Column("things"),
        Column("by itself", _does),
    )
    data = {row.kind: row for row in result.of_kinds}
    return Section("BY KIND", (), columns, result.of_kinds, data=data, most=None)


def _does(row: OfKind) -> str:
    if not row.restores:
        return "does not restore a plan" if row.complete else "not known"
    many = f"{row.sets} smallest set{'s' if row.sets != 1 else ''}"
    return many if row.complete else f"{many}, there may be more"


def _next(result: Relaxations) -> Section | None:
    if not result.restored:
        return None
    return Section("NEXT", tuple(_commands(result)), after=(f"sets of up to {MOST_IN_SET} changes were looked for",))


def _commands(result: Relaxations) -> Iterator[str]:
    for row in result.restored:
        yield f"planner whatif STUDY {' '.join(f'--set {shlex.quote(text)}' for text in row.sets)}"
