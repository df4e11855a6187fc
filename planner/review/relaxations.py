"""The report of what restores a plan where there is none: the answer, sets of changes with their prices."""

import shlex
from collections.abc import Iterator, Sequence

from planner.errors import NoPlan
from planner.questions.relaxable import KINDS
from planner.questions.restored import OfKind, Relaxations, Restored
from planner.questions.smallest_sets import MOST_IN_SET
from planner.review.report import (
    AT_RISK,
    BROKEN,
    Column,
    Command,
    Judged,
    Line,
    Report,
    Section,
    first_line,
    made,
    percent,
    short_failure,
    signed,
    usd,
)

OUT_OF_SCOPE = (
    "least: with a tighter value, the others as they are, no plan exists; raised: whole numbers need more than parts "
    "of machines do, and a little less may do, too",
    "a set of changes restores a plan also where nothing can cover a failure then; whether a larger set would cover it "
    "is not looked for",
    "USD: with requests that are not served in normal operation, at the cost of an outage of their tier",
    "several things at once go as far as the first of them needs, then the next: other shares between them may do, too",
    "not relaxed: pools and inventories that the study does not read, demand, machines that are held, prices",
    "more stock is stock that a provider may not have; a qualification is work: these are what to ask for, no promise",
)
CANNOT_BE_COVERED = (
    "cannot be covered: cases of a failure, a workload and an origin that no capacity can serve with these changes: "
    "the plan leaves them out, the goal does not hold in them"
)

MAY_TIGHTEN = "by waiting, a longer round trip or a policy dropped may also take a plan away"


def review_relaxations(result: Relaxations, error: NoPlan | None = None, study_path: str = "STUDY") -> Report:
    """What restores a plan: ANSWER, WHAT IS SHORT, WHAT RESTORES A PLAN, BY KIND, NEXT, OUT OF SCOPE.

    Parameters
    ----------
    error : what is short, where that is known; the first line of it is the answer's
    study_path : of the study, for the commands to go on with
    """
    diagnosis = "" if error is None else str(error)
    if result.has_plan:
        line = f"study {result.study.study} has a plan as it is: nothing need be relaxed"
        lines = [line, *_beyond_capacity(result.uncoverable)]
        return Report(_title(result), True, (Section("ANSWER", tuple(lines)),))
    sections = made(
        _answer(result, diagnosis),
        _short(diagnosis),
        _restored(result),
        _kinds(result),
        _next(result, study_path),
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
    lines: list[Line] = [first_line(diagnosis) or unplanned]
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
        of_these = " and leaves fewest cases uncovered" if _cover_unlike(planned) else ""
        said = f"{'; '.join(least.changes)}: {usd(least.cost_usd or 0.0)} USD"
        lines.append(f"cheapest that restores one{of_these}: {said}")
        if least.uncoverable:
            lines.append(Judged(_cases(least), BROKEN))
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


def _beyond_capacity(cases: int) -> list[Line]:
    """That a plan leaves out what no capacity can serve; nothing where that is nothing."""
    if not cases:
        return []
    return [Judged(f"it leaves out what CANNOT BE COVERED by any capacity, cases: {cases}: see planner check", BROKEN)]


def _cover_unlike(rows: Sequence[Restored]) -> bool:
    """Whether sets leave other cases uncovered than the first."""
    return any({*row.uncoverable} != {*rows[0].uncoverable} for row in rows)


def _cases(row: Restored) -> str:
    """What a plan with these changes leaves out, with the first case by name."""
    f, w, o = row.uncoverable[0]
    return (
        f"then CANNOT BE COVERED by any capacity, cases: {len(row.uncoverable)}, as {w} from {o} when "
        f"{short_failure(f)} is lost: the plan leaves them out"
    )


def _short(diagnosis: str) -> Section | None:
    lines = tuple(line.strip() for line in diagnosis.splitlines()[1:])
    return Section("WHAT IS SHORT", lines) if lines else None


def _restored(result: Relaxations) -> Section | None:
    if not result.restored:
        return None
    is_compared = any(row.more_usd is not None for row in result.restored)
    columns = (
        Column("change", lambda row: "; ".join(row.changes)),
        Column("kind", lambda row: " + ".join(row.kinds)),
        Column("USD", _cost),
        Column(
            "cannot be covered",
            lambda row: len(row.uncoverable),
            severity=lambda row: BROKEN if row.uncoverable else None,
        ),
        Column("against the cheapest", lambda row: _against(row, is_compared)),
        Column("gap", lambda row: "" if row.gap_fraction is None else percent(row.gap_fraction, 1)),
        Column("values", _values),
    )
    months = f"{result.study.horizon.months:g} months"
    lines = (f"smallest sets of changes: no part of one does by itself; USD over {months}, each within its gap",)
    after: list[Line] = [CANNOT_BE_COVERED]
    if _unplanned(result):
        after.append("from: no plan with these changes costs less; it was not planned")
    if any(row.is_to_cover for row in result.restored):
        after.append("to cover: the least values that leave no more uncovered than the loosest do")
    named = [row for row in result.restored if row.uncoverable]
    after += [Judged(f"{'; '.join(row.changes)}: {_cases(row)}", AT_RISK) for row in named]
    if not result.is_proven_smallest:
        after.append(f"{MAY_TIGHTEN}: smaller sets, and tighter values of several at once, are not ruled out")
    return Section("WHAT RESTORES A PLAN", lines, columns, result.restored, tuple(after), most=None)


def _unplanned(result: Relaxations) -> bool:
    return any(row.cost_usd is None for row in result.restored)


def _cost(row: Restored) -> str:
    return f"from {usd(row.lp_usd)}" if row.cost_usd is None else usd(row.cost_usd)


def _against(row: Restored, is_compared: bool) -> str:
    if row.more_usd is None or row.more_fraction is None:
        return "not compared: leaves other cases out" if is_compared and row.cost_usd is not None else ""
    return f"{signed(row.more_usd)} ({row.more_fraction:+.1%})" if row.more_usd else "the cheapest"


def _values(row: Restored) -> str:
    if not row.is_least:
        return "raised"
    return "to cover" if row.is_to_cover else "least"


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


def _next(result: Relaxations, study_path: str) -> Section | None:
    if not result.restored:
        return None
    return Section(
        "NEXT", tuple(_commands(result, study_path)), after=(f"sets of up to {MOST_IN_SET} changes were looked for",)
    )


def _commands(result: Relaxations, study_path: str) -> Iterator[Command]:
    for row in result.restored:
        sets = " ".join(f"--set {shlex.quote(text)}" for text in row.sets)
        yield Command(f"planner whatif {shlex.quote(study_path)} {sets}")
