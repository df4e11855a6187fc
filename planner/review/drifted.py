"""The reports of `planner emit` and `planner drift`."""

from dataclasses import asdict

from planner.emit.drift import Drift
from planner.emit.write import Change
from planner.review.report import Report, Section, percent, short_failure, usd

MOST_LINES = 200


def review_drift(found: Drift, subject: str) -> Report:
    """What is not as planned, the goals that break, and what is only noted."""
    real = [d for d in found.differences if not d.note]
    notes = [d for d in found.differences if d.note]
    idle = sum(d.usd_per_month for d in real)
    what = ", ".join(found.compared) or "nothing"
    lines = [f"compared with {subject}: {what}; judged on {found.on.isoformat()}"]
    lines.append(
        f"{len(real)} differences, {len(found.goals)} goals broken" if found.any else "everything is as planned"
    )
    if idle:
        lines.append(f"paid and not planned or not used: {usd(idle)} USD a month, at list prices")
    rows = tuple(
        (d.kind, d.subject, d.planned, d.actual, usd(d.usd_per_month) if d.usd_per_month else "", d.detail)
        for d in real
    )
    goals = tuple(
        (
            b.text,
            ", ".join(short_failure(f) for f in b.failures[:3]),
            len(b.failures),
            percent(b.served_fraction, 1),
            f"{b.worst_flow} {percent(b.flow_served_fraction, 1)}",
        )
        for b in found.goals
    )
    return Report(
        "drift",
        not found.any,
        (
            Section("DRIFT", tuple(lines), ("what", "where", "planned", "there", "USD/month", "detail"), rows),
            Section(
                "GOALS BROKEN",
                ("every failure replayed on what is there, with new weights and starts",) if goals else ("none",),
                ("goal", "when lost", "failures", "served, worst", "worst flow"),
                goals,
            ),
            Section(
                "NOTED",
                ("figures older than twelve months do not count as drift",) if notes else ("nothing",),
                ("what", "figure", "detail"),
                tuple((d.kind, d.subject, d.detail) for d in notes),
            ),
        ),
        {
            "differences": [asdict(d) for d in found.differences],
            "goals_broken": [
                {
                    "goal": b.text,
                    "failures": list(b.failures),
                    "served_fraction": b.served_fraction,
                    "worst_flow": b.worst_flow,
                    "worst_flow_served_fraction": b.flow_served_fraction,
                }
                for b in found.goals
            ],
            "on": found.on.isoformat(),
            "usd_per_month": round(idle, 2),
        },
    )


def review_emission(changes: tuple[Change, ...], target: str, not_proven: tuple[str, ...], dry_run: bool) -> Report:
    """What was written, or would be, with the differences of a dry run."""
    order = {"new": "wrote", "changed": "wrote", "same": "left alone", "stale": "removed", "kept": "kept"}
    words = {"new": "new", "changed": "changed", "same": "same", "stale": "stale", "kept": "stale, edited: kept"}
    counts = {word: sum(words[c.kind] == word for c in changes) for word in dict.fromkeys(words.values())}
    lines = [", ".join(f"{n} {word}" for word, n in counts.items() if n) or "no files"]
    if dry_run:
        lines.append("nothing was written")
    edited = [c.path for c in changes if c.edited and c.kind in ("changed", "same")]
    if edited:
        lines.append(f"edited since the earlier emission, and {'would be ' * dry_run}overwritten: {', '.join(edited)}")
    rows = tuple((c.path, words[c.kind], "" if dry_run else order[c.kind]) for c in changes)
    sections = [Section("FILES", tuple(lines), ("file", "against what was there", "done"), rows)]
    if not_proven:
        sections.append(Section("NOT PROVEN", not_proven))
    if dry_run:
        shown = [line for c in changes for line in c.difference.splitlines()]
        more = len(shown) - MOST_LINES
        cut = tuple(shown[:MOST_LINES]) + ((f"... and {more} more lines",) if more > 0 else ())
        sections.append(Section("DIFFERENCE", cut or ("none",)))
    data = {"files": [asdict(c) for c in changes], "target": target, "dry_run": dry_run, "not_proven": list(not_proven)}
    return Report(f"emit {target}", True, tuple(sections), data)
