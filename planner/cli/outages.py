"""`planner drill --outages`: outages that happened, played on a plan or on today's fleet."""

from pathlib import Path

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


def drill_outages(
    subject: Path,
    study: Path | None,
    ids: list[str],
    where: str | None,
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
    with progress(quiet) as advance:

        def done(outages: int, of: int) -> None:
            advance("playing outages", outages / max(1, of), "")

        if subject.suffix.lower() == ".csv":
            asked, fleet = fleet_in(subject, study)
            answer = api.outages(asked, fleet, ids=ids, where=where, jobs=jobs, progress=done)
        else:
            plan = plan_in(subject)
            if is_edited(plan):
                tell(f"{subject}: {EDITED}")
            answer = api.outages(plan, ids=ids, where=where, jobs=jobs, progress=done)
    report = review_outages(answer, all_rows)
    deliver(report, format, out)
    return report.good
