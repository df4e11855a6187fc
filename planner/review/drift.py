"""The reports of `planner emit` and `planner drift`."""

from collections.abc import Sequence
from dataclasses import dataclass

from planner.emit.drift import Drift
from planner.emit.quotas import QuotaUse
from planner.emit.reservation_use import ReservationUse
from planner.emit.write import Change
from planner.review.figures import number
from planner.review.report import BROKEN, Cell, Column, Report, Section, Several, made, percent, short_failure, usd

MOST_LINES = 200
MOST_FAILURES = 3


@dataclass(frozen=True)
class GoalBroken:
    """A goal that breaks on what is running, in these failures; the least that is served in any of them."""

    goal: str
    failures: tuple[str, ...]
    served_fraction: float
    worst_flow: str
    worst_flow_served_fraction: float


EDITED = "THE PLAN was changed after it was sealed: what it says was not planned, audited or proven"


def review_drift(drift: Drift, subject: str, edited: bool = False) -> Report:
    """What is not as planned, the goals that break, reservations and quotas, and what is only noted.

    Parameters
    ----------
    edited : whether the plan was changed after it was sealed: said first, and never good
    """
    differences = [d for d in drift.differences if not d.note]
    notes = [d for d in drift.differences if d.note]
    goals = [
        GoalBroken(b.text, b.failures, b.served_fraction, b.worst_flow, b.flow_served_fraction) for b in drift.goals
    ]
    idle = sum(d.usd_per_month for d in differences)
    asked = "the edited plan has it" if edited else "planned"
    lines = [line for line in (EDITED if edited else "", drift.outside_horizon) if line]
    lines += [
        f"compared with {subject}: {', '.join(drift.compared) or 'nothing'}; judged on {drift.on.isoformat()}",
        f"{len(differences)} differences, {len(goals)} goals broken" if drift.any else f"everything is as {asked}",
    ]
    if drift.planned_is:
        lines.append(f"planned: {drift.planned_is}")
    if drift.not_compared:
        lines.append(not_compared_line(drift.not_compared))
    if idle:
        lines.append(f"paid and not planned or not used: {usd(idle)} USD a month, at list prices")
    columns = (
        Column("what", lambda d: d.kind),
        Column("where", lambda d: d.subject),
        Column("planned"),
        Column("running", lambda d: d.actual),
        Column("USD/month", lambda d: usd(d.usd_per_month) if d.usd_per_month else "", adds=True),
        Column("detail"),
    )
    goal_columns = (
        Column("goal", severity=lambda b: BROKEN),
        Column("when lost", lambda b: ", ".join(short_failure(f) for f in b.failures[:MOST_FAILURES])),
        Column("failures", lambda b: len(b.failures)),
        Column("served, worst", lambda b: percent(b.served_fraction, 1)),
        Column("worst flow", lambda b: f"{b.worst_flow} {percent(b.worst_flow_served_fraction, 1)}"),
    )
    replayed = "every failure replayed on what is running, with new weights and cold starts" if goals else "none"
    noted = "what is somebody else's, what was taken at its word and old figures: no drift" if notes else "nothing"
    sections = made(
        Section("DRIFT", tuple(lines), columns, differences),
        Section("GOALS BROKEN", (replayed,), goal_columns, goals),
        reservations_section(drift.reservations),
        quotas_section(drift.quotas),
        Section("NOTED", (noted,), note_columns(), notes),
    )
    data = {
        "differences": drift.differences,
        "goals_broken": goals,
        "compared": drift.compared,
        "not_compared": drift.not_compared,
        "on": drift.on.isoformat(),
        "outside_horizon": drift.outside_horizon,
        "planned_is": drift.planned_is,
        "plan_edited": edited,
        "usd_per_month": round(idle, 2),
    }
    return Report("drift", not drift.any and not edited, sections, data)


def note_columns() -> tuple[Column, ...]:
    """Columns of what is only noted."""
    return (
        Column("what", lambda d: d.kind),
        Column("of", lambda d: d.subject),
        Column("count", lambda d: d.actual),
        Column("detail"),
    )


def not_compared_line(what: Sequence[str]) -> str:
    """What no file counts, so that nobody takes it for as planned."""
    return f"not compared, as no file counts them: {', '.join(what)}"


def reservations_section(uses: Sequence[ReservationUse]) -> Section | None:
    """What is reserved, what of it runs and what is idle; no section where no file counts reservations."""
    if not uses:
        return None
    total, idle = sum(use.usd_per_month for use in uses), sum(use.idle_usd_per_month for use in uses)
    lines = [f"{usd(total)} USD a month at list prices, of which idle {usd(idle)}"]
    if any(use.inside is None for use in uses):
        lines.append("what runs in them is not known: give the lists of nodes")
    elif not all(use.inside_is_said for use in uses):
        lines.append("inside: by the cloud or the labels of nodes; else (~) what runs beyond what is held or on spot")
    columns = (
        Column("pool"),
        Column("planned", lambda use: use.wanted),
        Column("reserved"),
        Column("inside", _inside),
        Column("idle"),
        Column("USD/month", lambda use: usd(use.usd_per_month), adds=True),
        Column("idle USD/month", lambda use: usd(use.idle_usd_per_month), adds=True),
    )
    return Section("RESERVATIONS", tuple(lines), columns, uses)


def _inside(use: ReservationUse) -> Cell:
    if use.inside is None or use.inside_is_said:
        return use.inside
    return f"{use.inside} ~"


def _units(units: float | None) -> Cell:
    """Units of a quota, whole ones without decimals."""
    return None if units is None else number(units, ",.10g")


def quotas_section(uses: Sequence[QuotaUse]) -> Section | None:
    """Quotas against what the plan needs; no section where no file states them."""
    if not uses:
        return None
    lines = ["needed in the fullest hour, and in the worst failure with what is obtained in it"]
    if any(use.used is not None and use.others is None for use in uses):
        lines.append("used: whose it is is not known, as no file counts machines; it is not deducted")
    columns = (
        Column("quota"),
        Column("where", lambda use: f"{use.provider}/{use.where}"),
        Column("unit"),
        Column("granted", lambda use: _units(use.limit)),
        Column("used", lambda use: _units(use.used)),
        Column("by others", lambda use: _units(use.others)),
        Column("at the peak", lambda use: _units(use.peak)),
        Column("in failures", lambda use: _units(use.in_failures)),
        Column("short", lambda use: _units(use.short or None)),
    )
    return Section("QUOTAS", tuple(lines), columns, uses)


WORDS = {"new": "new", "changed": "changed", "same": "same", "stale": "stale", "kept": "stale, edited: kept"}
"""Kind of a change -> what a file is against the one that was there."""
DONE = {"new": "wrote", "changed": "wrote", "same": "left alone", "stale": "removed", "kept": "kept"}


def review_emission(changes: tuple[Change, ...], target: str, not_proven: tuple[str, ...], dry_run: bool) -> Report:
    """What was written, or would be, with the differences of a dry run."""
    counts = {word: sum(WORDS[change.kind] == word for change in changes) for word in WORDS.values()}
    lines = [", ".join(f"{n} {word}" for word, n in counts.items() if n) or "no files"]
    if dry_run:
        lines.append("nothing was written")
    edited = [change.path for change in changes if change.edited and change.kind in ("changed", "same")]
    if edited:
        lines.append(f"edited since the earlier emission, and {'would be ' * dry_run}overwritten: {', '.join(edited)}")
    columns = (
        Column("file", lambda change: change.path),
        Column("against what was there", lambda change: WORDS[change.kind]),
        Column("done", lambda change: "" if dry_run else DONE[change.kind]),
    )
    sections = [Section("FILES", tuple(lines), columns, changes, most=None)]
    if not_proven:
        sections.append(Section("NOT PROVEN", not_proven))
    if dry_run:
        difference = tuple(line for change in changes for line in change.difference.splitlines())
        sections.append(
            Section("DIFFERENCE", (Several(difference, "more lines", MOST_LINES),) if difference else ("none",))
        )
    data = {"files": changes, "target": target, "dry_run": dry_run, "not_proven": not_proven}
    return Report(f"emit {target}", True, tuple(sections), data, all_rows=False, all_by="--format json")
