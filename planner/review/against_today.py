"""The report of `planner review --against-today`: what carrying the plan out adds, changes and removes."""

from planner.emit.against_today import Action, AgainstToday, Step
from planner.review.drift import EDITED, not_compared_line, note_columns, quotas_section
from planner.review.report import Column, Report, Section, made, signed, usd

SIGN: dict[Action, str] = {"add": "+", "change": "~", "remove": "-"}


def review_against_today(against: AgainstToday, subject: str, all_rows: bool = False, edited: bool = False) -> Report:
    """What the plan does to what runs, in machines, replicas and money, closing with one line that counts.

    Parameters
    ----------
    edited : whether the plan was changed after it was sealed: said first, and never good
    """
    summary = {action: against.count(action) for action in SIGN}
    closing = "Plan: {add} to add, {change} to change, {remove} to remove.".format(**summary)
    sections = made(
        Section(
            "AGAINST TODAY",
            ((EDITED,) if edited else ()) + _lines(against, subject),
            data={**_data(against, summary), "plan_edited": edited},
        ),
        _steps(against, "machines", "pool"),
        _steps(against, "reservations", "pool"),
        _steps(against, "replicas", "placement"),
        quotas_section(against.quotas),
        Section("NOTED", (), note_columns(), against.notes) if against.notes else None,
        Section("IN ONE LINE", (closing,), data=closing),
    )
    return Report("plan against what runs", against.same and not edited, sections, all_rows=all_rows)


def _lines(against: AgainstToday, subject: str) -> tuple[str, ...]:
    lines = [f"{subject}, compared with what runs: {', '.join(against.compared) or 'nothing'}"]
    if against.planned_is:
        lines.append(f"plan: {against.planned_is}")
    if against.not_compared:
        lines.append(not_compared_line(against.not_compared))
    for what in ("machines", "replicas"):
        changes = [step.planned - (step.today or 0) for step in against.steps if step.what == what]
        more, fewer = sum(n for n in changes if n > 0), -sum(n for n in changes if n < 0)
        if changes:
            lines.append(f"{what}: {more:,} more, {fewer:,} fewer")
    lines.append(f"{signed(against.usd_per_month)} USD a month, at list prices and for every hour of the month")
    if against.idle_usd_per_month:
        lines.append(
            f"deducted: {usd(against.idle_usd_per_month)} USD, paid today for reservations in which nothing runs"
        )
    if against.without_price:
        lines.append(f"steps without a price in the plan, not in the sum: {against.without_price}")
    return tuple(lines)


def _data(against: AgainstToday, summary: dict[Action, int]) -> dict[str, object]:
    return {
        "same": against.same,
        "steps": summary,
        "usd_per_month": round(against.usd_per_month, 2),
        "idle_usd_per_month": round(against.idle_usd_per_month, 2),
        "steps_without_price": against.without_price,
        "planned_is": against.planned_is,
        "compared": against.compared,
        "not_compared": against.not_compared,
    }


def _steps(against: AgainstToday, what: str, of: str) -> Section | None:
    """The steps of a kind; no section where there are none."""
    steps = [step for step in against.steps if step.what == what]
    if not steps:
        return None
    columns = (
        Column("step", lambda step: f"{SIGN[step.action]} {step.action}"),
        Column(of, lambda step: step.of),
        Column("contract", when=what == "machines"),
        Column("today"),
        Column("plan", lambda step: step.planned),
        Column("USD/month", _usd, when=what == "machines", adds=True),
        Column("detail"),
    )
    return Section(what.upper(), (), columns, steps, most=None)


def _usd(step: Step) -> str:
    if step.usd_per_month is None:
        return "no price"
    return signed(step.usd_per_month)
