"""The report of a gate: the verdict first, then a row a rule, then what differs from the base plan."""

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

from planner.errors import Finding, InputError
from planner.plan.audit import Audit, audit
from planner.plan.in_hand import Plan, in_hand
from planner.questions.diff import diff_plans
from planner.questions.planned import silent
from planner.review.answer import NOT_A_PLAN
from planner.review.diff import review_diff
from planner.review.gate_policy import Policy, read_policy
from planner.review.gate_rules import PASSES, WARNS, GateRow, audit_row, gate_rows, limit_text, value_text
from planner.review.render import render
from planner.review.report import Column, Report, Section
from planner.solve.search import Progress
from planner.study.records.plan import PlanFile

MOST_CHARACTERS = 65_536
"""Of a comment: GitHub refuses longer ones."""
COMMENT_MARK = "<!-- planner gate -->"
"""First line of a comment, by which a job knows its own."""
NOTICED = re.compile(
    r"@(?=[\w-])|#(?=\d)|(?<=GH)-(?=\d)|(?<=https:)(?=//)|(?<=http:)(?=//)|(?<=www)(?=\.)|~(?=~)|:(?=[\w+-]+:)", re.I
)
"""What GitHub makes a mention, a reference, a link, a strike or a picture of, wherever it stands."""
BREAK = "&#8203;"
"""A blank without width: what it parts is no name, number or address any more."""
CUT = "\n\n… cut: {lines} lines more than a comment may hold; `planner gate --format text` writes them all\n"
NOT_A_PLAN_TEXT = "the plan does not hold what it says: no other rule is judged"


def review_gate(
    plan: PlanFile | Plan,
    policy: Path,
    base: PlanFile | Plan | None = None,
    today: date | None = None,
    all_rows: bool = False,
    progress: Progress = silent,
) -> Report:
    """A plan held to a policy: ANSWER, RULES, and against a base plan what differs from it.

    Parameters
    ----------
    policy : file of the policy
    base : the plan that this one is to replace
    today : from which ages of prices and dates of orders are counted; none: the day of the study

    Raises
    ------
    InputError
        with every finding, when the policy cannot be read or names what the plan does not know; that the plan does not
        hold what it says is then one of them
    """
    judged, before = in_hand(plan), in_hand(base) if base is not None else None
    checked = audit(judged, progress)
    known, name = _known(policy, judged, before is not None, checked), policy.name
    if _is_no_plan(checked):
        rows = [audit_row(checked)]
        sections = [_answer(rows, (NOT_A_PLAN_TEXT,)), _rules(rows)]
    else:
        name, day = known.file.policy, today or judged.study.today
        rows = gate_rows(judged, known, day, checked, before, progress)
        sections = [_answer(rows, (f"ages and dates are counted from {day}",)), _rules(rows)]
        if before is not None:
            sections += _difference(before, judged, all_rows)
    good = all(row.passes for row in rows)
    return Report(f"gate {name}: plan of {judged.study.study}", good, tuple(sections), all_rows=all_rows)


def _is_no_plan(checked: Audit) -> bool:
    """Whether the plan does not hold what it says, so that no other rule can be judged."""
    return any(violation.rule in NOT_A_PLAN for violation in checked.violations)


def _known(policy: Path, judged: Plan, has_base: bool, checked: Audit) -> Policy:
    """The policy; where it has findings, with that of a plan that does not hold what it says."""
    try:
        return read_policy(policy, judged, has_base)
    except InputError as error:
        if not _is_no_plan(checked):
            raise
        row = audit_row(checked)
        wrong = Finding("the plan", "one that holds what it says", row.name, row.fix)
        raise InputError([*error.findings, wrong]) from None


def _answer(rows: Sequence[GateRow], after: tuple[str, ...]) -> Section:
    failing = [row for row in rows if not row.passes]
    warning = [row for row in rows if row.verdict == WARNS]
    counts = {"rules": len(rows), "failing": len(failing), "warning": len(warning)}
    verdict = f"FAILS: {len(failing)} of {len(rows)} rules" if failing else f"PASSES: {len(rows)} rules"
    warns = f"; warnings: {len(warning)}" if warning else ""
    return Section("ANSWER", (verdict + warns, *after), data={"passes": not failing, **counts})


def _rules(rows: Sequence[GateRow]) -> Section:
    columns = (
        Column("rule"),
        Column("limit", limit_text),
        Column("value", value_text),
        Column("of", lambda row: row.name),
        Column("verdict"),
        Column("what to do", lambda row: row.fix),
    )
    worst_first = sorted(rows, key=lambda row: (row.passes, row.verdict == PASSES))
    return Section("RULES", (), columns, worst_first, most=None)


def _difference(before: Plan, judged: Plan, all_rows: bool) -> list[Section]:
    """What differs from the base plan, as `planner diff` says it."""
    diff = diff_plans(before, judged)
    first, *others = review_diff(diff, all_rows).sections
    return [replace(first, title="AGAINST THE BASE PLAN (first: base)"), *(() if diff.same else others)]


def gate_comment(report: Report) -> str:
    """The report as a comment of a pull request: Markdown that mentions nobody, no longer than GitHub takes."""
    return _cut([COMMENT_MARK, *map(_unnoticed, render(report, "md").splitlines())])


def _unnoticed(line: str) -> str:
    """A line of Markdown without mentions, references and addresses."""
    return NOTICED.sub(lambda sign: f"{sign[0]}{BREAK}", line)


def _cut(lines: Sequence[str]) -> str:
    """Lines as one text; those that a comment has no place for are counted."""
    headroom = MOST_CHARACTERS - len(CUT) - len(f"{len(lines)}")
    size = 0
    if sum(len(line) + 1 for line in lines) <= MOST_CHARACTERS:
        return "\n".join(lines) + "\n"
    for n, line in enumerate(lines):
        size += len(line) + 1
        if size > headroom:
            return "\n".join(lines[:n]) + CUT.format(lines=len(lines) - n)
    return "\n".join(lines) + "\n"
