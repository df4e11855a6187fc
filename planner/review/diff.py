"""The report of diff: the answer first, then where the money goes, then a table for each part that differs."""

from planner.plan.file import digest
from planner.questions.diff import PARTS, Diff, Difference
from planner.review.bridges import ORDER_OF_STEPS, bridge_data, not_known, stand_together
from planner.review.figures import Figure, number
from planner.review.report import Cell, Column, Report, Section, item_columns, percent, signed, usd


def review_diff(diff: Diff, all_rows: bool = False) -> Report:
    """The comparison of two plans: ANSWER, BRIDGE, then a table for each part that differs."""
    sections = [_answer(diff), _bridge(diff)]
    for part in PARTS:
        rows = sorted((d for d in diff.differences if d.part == part), key=lambda d: (-d.apart_fraction, d.name))
        if rows:
            sections.append(part_section(part, rows))
    title = f"{diff.before.study.study} against {diff.after.study.study}"
    digests = {"before_sha256": diff.before.digest_sha256, "after_sha256": diff.after.digest_sha256}
    return Report(title, diff.same, tuple(sections), digests, tuple(not_known(diff.bridge)), all_rows=all_rows)


def _answer(diff: Diff) -> Section:
    counts = {part: sum(d.part == part for d in diff.differences) for part in PARTS}
    differ = ", ".join(f"{part} {n}" for part, n in counts.items() if n)
    lines = [f"DIFFERENT: {differ}" if differ else "the same"]
    if diff.within:
        lines.append(f"within the tolerance, and not listed: {diff.within}")
    if diff.ignored:
        lines.append(f"ignored, and not listed: {diff.ignored}")
    for which, plan in (("first", diff.before), ("second", diff.after)):
        if plan.digest_sha256 != digest(plan.model_dump(mode="json", by_alias=True)):
            lines.append(f"THE {which.upper()} PLAN was changed after it was sealed: what it says was not planned")
    if diff.before.study_sha256 == diff.after.study_sha256:
        lines.append("both are plans of the same study")
    data = {"same": diff.same, "within": diff.within, "ignored": diff.ignored, "differences": counts}
    return Section("ANSWER", tuple(lines), data=data)


def _bridge(diff: Diff) -> Section:
    bridge = diff.bridge
    rows = [("first plan", "", usd(bridge.before_usd))]
    for s in bridge.steps:
        parts = ", ".join(f"{name.replace('_', ' ')} {signed(v)}" for name, v in s.usd.items() if abs(v) >= 0.5)
        rows.append((s.name, parts, signed(s.total_usd)))
    rows.append(("second plan", "", usd(bridge.after_usd)))
    columns = item_columns("step", "of which", "USD")
    differ = f"{signed(bridge.least_usd)} to {signed(bridge.most_usd)} USD"
    after = (f"by the bounds of both, the best possible plans differ by {differ}", *stand_together(bridge))
    return Section("BRIDGE", (ORDER_OF_STEPS,), columns, rows, after, bridge_data(bridge), most=None)


def part_section(part: str, rows: list[Difference]) -> Section:
    """What differs in one of PARTS."""
    what = {"study": "what is asked", "traffic": "workload from origin at pool"}.get(part, part)
    columns = (
        Column(what, lambda d: f"{d.name} [{d.unit}]" if d.unit and part == "costs" else d.name),
        Column("first plan", lambda d: _cell(d.before, d)),
        Column("second plan", lambda d: _cell(d.after, d)),
        Column("change", _delta),
    )
    data = [
        {"name": d.name, "before": d.before, "after": d.after, "by_fraction": d.apart_fraction, "unit": d.unit}
        for d in rows
    ]
    return Section(part.upper(), (), columns, rows, data=data)


def _cell(value: object, d: Difference) -> Cell:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        if d.part == "traffic" or d.name.endswith("least served"):
            return percent(float(value), 1)
        return usd(float(value)) if d.unit == "USD" else number(value, ",.10g")
    return str(value) or "(none)"


def _delta(d: Difference) -> str:
    if d.before is None:
        return "only in the second"
    if d.after is None:
        return "only in the first"
    if isinstance(d.before, str) or isinstance(d.after, str):
        return ""
    change = float(d.after) - float(d.before)
    if d.part == "traffic" or d.name.endswith("least served"):
        return Figure(f"{100 * change:+.1f} points", change, "%")
    written = "+,.0f" if d.unit in ("USD", "machines", "modules") else "+,.6g"
    return number(change, written, unit="USD" if d.unit == "USD" else "")
