"""`planner whatif` and `planner diff`: a study with changes, and two plans side by side."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from planner.cli.console import (
    KEEPS_PLANS,
    answered,
    check_out,
    deliver,
    emit,
    is_edited,
    plan_in,
    progress,
    study_in,
    tell,
    tell_findings,
)
from planner.cli.options import (
    AllRows,
    AsFormat,
    Backend,
    Changes,
    DemandCase,
    DemandOfPlan,
    Format,
    Jobs,
    Most,
    Nodes,
    OnBackend,
    Out,
    PlansOut,
    Quiet,
    Rounds,
    Scheduler,
    Seconds,
    Sets,
    StudyOrPlan,
    UsualGap,
    fraction_of,
    gap_of,
    workers_of,
)

if TYPE_CHECKING:
    from planner.plan.plan import Case
    from planner.questions.answer import Answer
    from planner.questions.patches import Patch
    from planner.questions.rows import NoRows
    from planner.solve.search import Effort
    from planner.study.places import Reading
    from planner.study.records.plan import PlanFile
    from planner.study.records.study import Study


@dataclass(frozen=True)
class Asked:
    """What a question is about, and how its plans are made.

    Parameters
    ----------
    study : with the changes that were asked for
    base : the plan that was named, where it is of this study and demand
    """

    study: "Study"
    base: "PlanFile | None"
    case: "Case"
    effort: "Effort"


def whatif(
    study: StudyOrPlan,
    set_: Sets = None,
    change: Changes = None,
    matrix: Annotated[Path | None, typer.Option(help="YAML file of axes of changes: their product is planned")] = None,
    steps: Annotated[
        bool, typer.Option("--steps", help="also plan each variant's changes one after another: what does each cost")
    ] = False,
    out: PlansOut = None,
    format: AsFormat = Format.text,
    gap: UsualGap = None,
    seconds: Seconds = None,
    nodes: Nodes = None,
    rounds: Rounds = 3,
    quick: Annotated[
        bool, typer.Option("--quick", help="variants end at the first plan found near that of the study, gap as it is")
    ] = False,
    demand: DemandOfPlan = None,
    most: Most = 64,
    jobs: Jobs = None,
    backend: OnBackend = Backend.joblib,
    scheduler: Scheduler = None,
    all: AllRows = False,
    quiet: Quiet = False,
) -> None:
    """Plan a study with changes and compare: what would it cost, what would we sign, what would no longer hold.

    All --set and --change make one variant together; --matrix makes one of each combination of its axes. Exit 1 when
    a variant has no plan, or one is not proven.

    Examples: `planner whatif mine --set demand=x1.2` · `planner whatif mine --matrix growth.yaml --out variants`
    """
    with answered(format):
        from planner.questions.variants import read_axes, studies_of, variants_of
        from planner.questions.whatif import file_names, plan_variants
        from planner.review.variants import review_variants
        from planner.study.places import Reading

        workers = workers_of(jobs, backend, scheduler)
        with progress(quiet, stage="reading the study"):
            asked = asked_about(study, None, None, gap, seconds, nodes, rounds, demand, quick)
        reading = Reading()
        patches = _patches(set_, change, reading)
        axes = read_axes(matrix, reading) if matrix is not None else []
        if not (set_ or change or matrix):
            fix = "--set demand=x1.2, --change FILE or --matrix FILE"
            reading.error("planner whatif", "a change", "none", fix)
        _stop_on(reading)
        variants = variants_of(patches, axes, most, steps)
        with progress(quiet, stage="making the variants"):
            studies, warnings = studies_of(asked.study, variants)
        effort = asked.effort if gap is not None else _to_the_widest(asked.effort, studies)
        tell_findings(warnings)
        check_out(None)
        rows = rows_in(out)
        with progress(quiet, KEEPS_PLANS) as advance:
            answers = plan_variants(
                asked.study, variants, effort, asked.case, asked.base, advance, workers=workers, rows=rows
            )
        names = file_names(answers) if out is not None else None
        report = review_variants(asked.study, answers, names, all, gap_asked_fraction=effort.gap_fraction)
        deliver(report, format, None)
        tell_unsure(answers)
        raise SystemExit(0 if report.good and answers and all_proven(answers, effort.gap_fraction) else 1)


def _to_the_widest(effort: "Effort", studies: "Iterable[Study]") -> "Effort":
    """The effort where a change of how replicas are filled is one of the changes: all to the same gap."""
    from planner.solve.search import usual_gap_fraction

    return replace(effort, gap_fraction=max([effort.gap_fraction, *map(usual_gap_fraction, studies)]))


def diff(
    first: Annotated[Path, typer.Argument(help="plan.json")],
    second: Annotated[Path, typer.Argument(help="plan.json to compare with it; it may be of another study")],
    within: Annotated[
        str, typer.Option(help="figures this close are the same: 2% of the larger; shares by 2 points")
    ] = "0%",
    ignore: Annotated[
        list[str] | None,
        typer.Option(help="part or part/name to leave out, with *: study, 'traffic/batch*'; may be repeated"),
    ] = None,
    format: AsFormat = Format.text,
    out: Out = None,
    all: AllRows = False,
) -> None:
    """Compare two plans: what is asked, goals, costs, machines, orders, traffic, and where the money goes.

    Exit 0 when they are the same within the tolerance, 1 when they differ, 2 when one cannot be read.

    Example: `planner diff before.json after.json --within 2% --ignore study`
    """
    with answered(format):
        from planner.questions.diff import diff_plans
        from planner.review.diff import review_diff

        tolerance = fraction_of(within, "--within")
        with progress(stage="comparing the plans"):
            differences = diff_plans(plan_in(first).file, plan_in(second).file, tolerance, ignore or ())
        report = review_diff(differences, all)
        deliver(report, format, out)
        raise SystemExit(0 if report.good else 1)


def asked_about(
    path: Path,
    sets: list[str] | None,
    changes: list[Path] | None,
    gap: str | None = None,
    seconds: float | None = None,
    nodes: int | None = None,
    rounds: int = 3,
    demand: DemandCase | None = None,
    quick: bool = False,
) -> Asked:
    """The study that is asked about, with its changes; its plan where that is what was named; and the effort.

    Raises
    ------
    InputError
        when a file cannot be read, or a change leads nowhere
    """
    from planner.questions.patched import patched
    from planner.solve.search import Effort
    from planner.study.places import Reading

    study, base = _study_and_plan(path)
    effort = Effort(gap_fraction=gap_of(gap, study), seconds=seconds, most_nodes=nodes, rounds=rounds, quick=quick)
    case: Case = demand.value if demand is not None else base.demand_case if base is not None else "base"
    if base is not None and base.demand_case != case:
        base = None  # it is a plan of another demand
    reading = Reading()
    patches = _patches(sets, changes, reading)
    _stop_on(reading)
    if not patches:
        return Asked(study, base, case, effort)
    changed, findings = patched(study, tuple(patches), "as asked")
    reading.findings += findings
    _stop_on(reading)
    tell_findings(findings)
    assert changed is not None, "without an error there is a study"
    return Asked(changed, None, case, effort)


def all_proven(answers: "Sequence[Answer]", gap_fraction: float) -> bool:
    """Whether every plan that there is is proven to the gap that was asked for; on stderr, which are not."""
    from planner.review.variants import MOST_NAMES, not_proven

    unproven = list(not_proven(answers, gap_fraction).values())
    if unproven:
        more = f" and {len(unproven) - MOST_NAMES} more" if len(unproven) > MOST_NAMES else ""
        tell(f"not proven: {', '.join(unproven[:MOST_NAMES])}{more}; more --nodes or --rounds may close it")
    return not unproven


def tell_unsure(answers: "Iterable[Answer]") -> None:
    """What a search that failed has left open, on stderr, too: on a page it may be overlooked."""
    for answer in answers:
        if answer.unsure:
            tell(f"not known: {answer.variant.name}: {answer.why_not}")


def rows_in(folder: Path | None) -> "NoRows":
    """The rows of a folder, made if it is not there, with those that an earlier run kept; nothing where none is named.

    Raises
    ------
    InputError
        when it cannot be written, or holds something else
    """
    from planner.questions.rows import NoRows, Rows

    return NoRows() if folder is None else Rows(folder, emit)


def _study_and_plan(path: Path) -> "tuple[Study, PlanFile | None]":
    """The study that is asked about, and its plan where that is what was named."""
    if path.suffix.lower() != ".json":
        return study_in(path), None
    plan = plan_in(path)
    if is_edited(plan):
        tell(f"{path} was changed after it was sealed: its study is planned again")
        return plan.study, None
    return plan.study, plan.file


def _patches(sets: list[str] | None, changes: list[Path] | None, reading: "Reading") -> "list[Patch]":
    """The changes of the command line, those that can be read."""
    from planner.questions.patches import patch_of_text, read_patch

    patches = [read_patch(path, reading) for path in changes or []]
    patches += [patch_of_text(text, reading) for text in sets or []]
    return [patch for patch in patches if patch is not None]


def _stop_on(reading: "Reading") -> None:
    from planner.errors import InputError
    from planner.study.places import sorted_findings

    if any(finding.level == "error" for finding in reading.findings):
        raise InputError(sorted_findings(reading.findings))
