"""`planner drill --outages`: outages that happened, played on a plan or on today's fleet."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from planner.cli.console import EDITED, check_out, deliver, fleet_in, is_edited, plan_in, progress, tell


def outage_ids(incomplete: str) -> list[str]:
    """Ids of the catalogue that begin so, for the shell; none where it cannot be read."""
    from planner.errors import InputError
    from planner.study.outages import read_outages
    from planner.study.read import catalogue_of_outages

    try:
        return [id for id in read_outages([catalogue_of_outages()]) if id.startswith(incomplete)]
    except InputError:
        return []


@dataclass(frozen=True)
class OutagesAsked:
    """Which outages, where, and from which catalogues beside the one that ships."""

    ids: list[str]
    where: str | None
    catalogues: list[Path]


def drill_outages(
    subject: Path,
    study: Path | None,
    asked_for: OutagesAsked,
    jobs: int,
    format: str,
    out: Path | None,
    all_rows: bool,
    quiet: bool,
) -> bool:
    """Play outages on a plan or a fleet and write the report; whether all goals that name them hold.

    Raises
    ------
    InputError
        when an id or a place leads to nothing, or the subject cannot be read
    """
    from planner import api
    from planner.review.outages import review_outages

    check_out(out)
    options: dict[str, Any] = vars(asked_for)
    with progress(quiet, stage="reading what they are played on") as advance:

        def done(outages: int, of: int) -> None:
            advance("playing outages", outages / max(1, of), "")

        if subject.suffix.lower() == ".csv":
            asked, fleet = fleet_in(subject, study)
            answer = api.outages(asked, fleet, **options, jobs=jobs, progress=done)
        else:
            plan = plan_in(subject)
            if is_edited(plan):
                tell(f"{subject}: {EDITED}")
            answer = api.outages(plan, **options, jobs=jobs, progress=done)
    report = review_outages(answer, all_rows)
    deliver(report, format, out)
    return report.good
