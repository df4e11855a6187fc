"""The report of another order of phases: the chosen sequence, the next best, and what they would have to save."""

from collections.abc import Iterable, Sequence
from typing import Any

from planner.questions.sequence import Alternative, Sequences
from planner.review.report import (
    Column,
    Report,
    Section,
    between,
    item_columns,
    made,
    no_plan_section,
    percent,
    signed,
    usd,
)
from planner.study.records.plan import Built


def review_sequences(sequences: Sequences, all_rows: bool = False, pairs: bool = False) -> Report:
    """The chosen sequence and the next best: ANSWER, NEXT BEST, FURTHER, NO PLAN, NOT ASKED."""
    share, not_asked = percent(sequences.within_fraction, 1), list(sequences.not_asked.items())
    columns = item_columns("change", "why")
    sections = made(
        _answer(sequences, pairs),
        _alternatives("NEXT BEST", f"within {share} of the plan's cost", sequences.near),
        _alternatives("FURTHER", f"more than {share} dearer", sequences.further),
        no_plan_section(sequences.without, sequences.without),
        Section("NOT ASKED", (), columns, not_asked, data=sequences.not_asked, most=None) if not_asked else None,
    )
    title = f"sequences of {sequences.plan.study.study}"
    return Report(title, not sequences.cheaper, sections, all_rows=all_rows)


def builds_text(builds: Iterable[Built]) -> str:
    """What is built when, in one line."""
    parts = [f"{row.build_out} from {row.when}" + (f" x{row.units}" if row.units > 1 else "") for row in builds]
    return ", ".join(parts) or "nothing is built"


def _answer(sequences: Sequences, pairs: bool) -> Section:
    plan, proof = sequences.plan, sequences.plan.proof
    lines = [
        f"chosen: {builds_text(plan.builds)}",
        f"{usd(proof.cost_usd)} USD over {plan.study.horizon.months:g} months; gap {percent(proof.gap_fraction, 2)}",
    ]
    for better in sequences.cheaper[:1]:
        saves = f"{usd(-better.needs_usd)} USD less"
        lines.append(f"CHEAPER than the plan, which is not the best: {builds_text(better.builds)}, {saves}")
    for best in [a for a in sequences.near if a.needs_usd >= 0][:1]:
        share = f" ({_share_of_capital(best)} of its capital)" if best.share_of_capital is not None else ""
        lines.append(f"next best: {builds_text(best.builds)}, {usd(best.needs_usd)} USD{share} more")
    within = percent(sequences.within_fraction, 1)
    lines.append(f"within {within}, alternatives: {len(sequences.near)}; further away: {len(sequences.further)}")
    what = "one or two changes" if pairs else "one change"
    lines.append(f"each alternative is {what} to the chosen sequence, and everything else chosen anew: not every order")
    data = {"builds": plan.builds, "cost_usd": proof.cost_usd, "gap_fraction": proof.gap_fraction}
    return Section("ANSWER", tuple(lines), data=data)


def _share_of_capital(a: Alternative) -> str:
    return percent(a.share_of_capital, 1) if a.share_of_capital is not None else ""


def _alternatives(title: str, line: str, alternatives: Sequence[Alternative]) -> Section:
    columns = (
        Column("sequence", lambda a: builds_text(a.builds)),
        Column("changes", lambda a: "; ".join(a.names)),
        Column("USD", lambda a: usd(a.cost_usd)),
        Column("needs to win", lambda a: signed(a.needs_usd)),
        Column("of its capital", _share_of_capital),
        Column("the best plans differ by", lambda a: between((a.least_usd, a.most_usd))),
        Column("gap", lambda a: percent(a.gap_fraction, 2)),
    )
    lines = (line if alternatives else f"{line}: none",)
    return Section(title, lines, columns, alternatives, data=[_data(a) for a in alternatives])


def _data(a: Alternative) -> dict[str, Any]:
    return {
        "changes": a.names,
        "builds": a.builds,
        "cost_usd": a.cost_usd,
        "needs_usd": a.needs_usd,
        "share_of_capital": a.share_of_capital,
        "best_plans_differ_by_usd": (a.least_usd, a.most_usd),
        "gap_fraction": a.gap_fraction,
    }
