"""`planner relax`: what restores a plan where a study has none; `planner plan` says the same."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from planner.cli.console import KEEPS_PLANS, answered, check_out, deliver, progress, study_in, tell
from planner.cli.options import AsFormat, Demand, DemandCase, Format, Gap, Out, Quiet, StudyPath, fraction_of
from planner.study.files import REPORT

if TYPE_CHECKING:
    from planner.errors import NoPlan
    from planner.plan.plan import Case
    from planner.questions.relaxable import Kind
    from planner.review.report import Report
    from planner.study.records.study import Study

Kinds = Annotated[
    list[str] | None,
    typer.Option("--kind", help="capacity, latency, goal, policy or budget; may be repeated; default: all"),
]
MostPriced = Annotated[int, typer.Option("--most", min=1, help="sets of changes of a kind that are planned")]


def relax(
    study: StudyPath,
    kind: Kinds = None,
    most: MostPriced = 2,
    gap: Gap = "5%",
    demand: Demand = DemandCase.base,
    format: AsFormat = Format.text,
    out: Out = None,
    quiet: Quiet = False,
) -> None:
    """What restores a plan of a study that has none: the smallest sets of changes, of every kind, each with its price.

    More machines, longer round trips, lower goals, a policy dropped, more budget; of several kinds where none does by
    itself. `planner plan` says the same where it ends without a plan. Ctrl-C or SIGTERM keeps what is done. Exit 0
    when the study has a plan as it is, 1 when it has none.

    Examples: `planner relax mine` · `planner relax mine --kind capacity --kind goal --most 5`
    """
    with answered(format):
        asked, gap_fraction, kinds = study_in(study), fraction_of(gap, "--gap"), kinds_of(kind)
        check_out(out, kind=REPORT)
        report = _relaxed(asked, study, demand.value, kinds, most, gap_fraction, quiet)
        deliver(report, format, out)
        raise SystemExit(0 if report.good else 1)


def kinds_of(names: list[str] | None) -> "tuple[Kind, ...]":
    """Kinds of changes by their names, in their own order; all where none is named.

    Raises
    ------
    InputError
        for a name that is no kind
    """
    from planner.errors import Finding, InputError
    from planner.questions.relaxable import KINDS
    from planner.study.places import near_miss, quoted

    if findings := [
        Finding("--kind", f"one of {', '.join(KINDS)}", quoted(name) + near_miss(name, KINDS), "name one of these")
        for name in names or []
        if name not in KINDS
    ]:
        raise InputError(findings)
    return tuple(kind for kind in KINDS if not names or kind in names)


def without_plan(
    study: "Study", path: Path, case: "Case", error: "NoPlan", format: Format | None, beside_plan: bool, quiet: bool
) -> int:
    """Where `planner plan` has none: what is short on stderr at once, then what restores one; the exit code.

    Parameters
    ----------
    path : of the study
    format : of the review that was asked for; none: text, where the plan itself was to go elsewhere
    beside_plan : whether the plan was to go to a file: else standard output waits for nothing but the plan
    """
    from planner.api import render
    from planner.errors import SolverError
    from planner.questions.relaxable import KINDS
    from planner.questions.relaxations import MOST_PRICED, ROUGH_GAP
    from planner.questions.restored import Relaxations
    from planner.review.relaxations import review_relaxations

    if format != Format.json:
        tell(str(error))
    try:
        report = _relaxed(study, path, case, tuple(KINDS), MOST_PRICED, ROUGH_GAP, quiet, error)
    except SolverError as failed:  # what is short is known all the same
        report = review_relaxations(Relaxations(study, False, unsure=(str(failed),)), error, str(path))
    if format is None and not beside_plan:
        tell(render(report).rstrip())
    else:
        deliver(report, format or Format.text, None)
    return error.exit_code


def _relaxed(
    study: "Study",
    path: Path,
    case: "Case",
    kinds: "tuple[Kind, ...]",
    most: int,
    gap_fraction: float,
    quiet: bool,
    error: "NoPlan | None" = None,
) -> "Report":
    """What restores a plan, as a report; with what is short, where that is known."""
    from planner.questions.relaxations import relaxations
    from planner.review.relaxations import review_relaxations

    with progress(quiet, KEEPS_PLANS) as advance:
        result = relaxations(study, case, advance, kinds, most, gap_fraction)
    return review_relaxations(result, error, str(path))
