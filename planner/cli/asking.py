"""`planner whatif` and `planner diff`: a study with changes, and two plans side by side."""

from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from planner.cli.console import answered, check_out, emit, plan_in, progress, tell, tell_findings, tell_unsure

READY_MADE = "Ready-made questions"
MOST_LATE = 1200
"""Periods or months that something may be late by."""

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from planner.cli.questions import Question
    from planner.questions.whatif import Answer
    from planner.study.places import Reading
    from planner.study.records.plan import PlanFile
    from planner.study.records.study import Study


class AskedFormat(StrEnum):
    """How an answer is written."""

    text = "text"
    md = "md"
    json = "json"


class DemandCase(StrEnum):
    """Which demand is planned."""

    low = "low"
    base = "base"
    high = "high"


class Ask(StrEnum):
    """A ready-made question."""

    slip = "slip"
    crossover = "crossover"
    sequence = "sequence"


class By(StrEnum):
    """What is compared with each other."""

    machine_type = "machine_type"
    accelerator = "accelerator"
    workload = "workload"


AsFormat = Annotated[AskedFormat, typer.Option("--format", "-f", help="text, md or json")]
AllRows = Annotated[bool, typer.Option("--all", help="every row of every table")]


def whatif(
    study: Annotated[Path, typer.Argument(help="study.yaml or its folder; or a plan.json, whose study is asked about")],
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", "-s", help="path=value, or a factor: 'demand[*,london]=x1.2'; may be repeated"),
    ] = None,
    change: Annotated[
        list[Path] | None, typer.Option(help="YAML file of a change: name, why, set, add, remove; may be repeated")
    ] = None,
    matrix: Annotated[Path | None, typer.Option(help="YAML file of axes of changes: their product is planned")] = None,
    steps: Annotated[
        bool, typer.Option("--steps", help="also plan each variant's changes one after another: what does each cost")
    ] = False,
    ask: Annotated[
        Ask | None, typer.Option(help="a ready-made question: slip, crossover, sequence", rich_help_panel=READY_MADE)
    ] = None,
    what: Annotated[
        list[str] | None,
        typer.Option(help="slip: phases or offers; crossover: pools; ids or patterns", rich_help_panel=READY_MADE),
    ] = None,
    clock: Annotated[
        list[str] | None,
        typer.Option(help="slip: shell, power, equipment, commissioning; default: power", rich_help_panel=READY_MADE),
    ] = None,
    periods: Annotated[
        str | None, typer.Option(help="slip: late by so many periods; default: 1,2", rich_help_panel=READY_MADE)
    ] = None,
    months: Annotated[
        str | None, typer.Option(help="slip: late by so many months instead, as 3,6", rich_help_panel=READY_MADE)
    ] = None,
    known_on: Annotated[
        str | None,
        typer.Option(
            help="slip: also when it is known only on a DATE, or when it is due: ready", rich_help_panel=READY_MADE
        ),
    ] = None,
    by: Annotated[
        By,
        typer.Option(
            help="crossover: compare machine types; accelerators per chip; workloads per request",
            rich_help_panel=READY_MADE,
        ),
    ] = By.machine_type,
    within: Annotated[
        str, typer.Option(help="sequence: list what costs at most so much more", rich_help_panel=READY_MADE)
    ] = "3%",
    pairs: Annotated[
        bool, typer.Option("--pairs", help="sequence: also two changes at once", rich_help_panel=READY_MADE)
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="folder for the plans, made if it is not there")
    ] = None,
    format: AsFormat = AskedFormat.text,
    gap: Annotated[
        str, typer.Option(help="every plan is proven within this of its best, 1% or 0.01; smaller is slower")
    ] = "1%",
    seconds: Annotated[
        float | None, typer.Option(min=0.1, help="a clock that ends each search; not reproducible")
    ] = None,
    nodes: Annotated[int | None, typer.Option(min=1, help="nodes of one integer search; default: by size")] = None,
    rounds: Annotated[int, typer.Option(min=0, help="neighbourhoods searched to improve a large study's plan")] = 3,
    quick: Annotated[
        bool, typer.Option("--quick", help="variants end at the first plan found near that of the study, gap as it is")
    ] = False,
    demand: Annotated[DemandCase | None, typer.Option(help="low, base or high demand of the study")] = None,
    most: Annotated[int, typer.Option(min=1, help="variants that are planned at most")] = 64,
    jobs: Annotated[int, typer.Option(min=1, help="plans made at a time, each in a process of its own")] = 1,
    all: AllRows = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="no progress")] = False,
) -> None:
    """Plan a study with changes and compare: what would it cost, what would we sign, what would no longer hold.

    All --set and --change make one variant together; --matrix makes one of each combination of its axes. Exit 1 when
    a variant has no plan, or one is not proven.

    With --ask a ready-made question is answered, on the study with --set and --change. slip: what does it cost when a
    phase or a delivery is late, and what breaks until it is there. crossover: from which utilisation is owned or
    committed cheaper than on demand, by date; nothing is planned. sequence: which phases, in which order, when; what
    the next best would need to win.

    Examples: `planner whatif mine --set demand=x1.2` · `planner whatif mine --matrix growth.yaml --out variants` ·
    `planner whatif plan.json --ask slip --months 3,6 --known-on ready` ·
    `planner whatif mine --ask crossover --what 'aws/*'` · `planner whatif plan.json --ask sequence --within 5%`
    """
    with answered(format):
        from planner.cli.questions import How, reported
        from planner.questions.patches import patch_of_text, patched, read_patch
        from planner.questions.whatif import (
            Answer,
            Variant,
            file_names,
            plan_variants,
            read_axes,
            studies_of,
            variants_of,
        )
        from planner.review.compared import review_variants
        from planner.review.render import render
        from planner.solve.search import Effort
        from planner.study.places import Reading

        gap_fraction = tolerance_of(gap, "--gap")
        found, base = _subject(study)
        reading = Reading()
        common = [p for path in change or [] if (p := read_patch(path, reading)) is not None]
        common += [p for text in set_ or [] if (p := patch_of_text(text, reading)) is not None]
        axes = read_axes(matrix, reading) if matrix is not None else []
        _stop_on(reading, bool(set_ or change or matrix or ask))
        variants = variants_of(common, axes, most, steps)
        _, warnings = studies_of(found, variants)
        tell_findings(warnings)
        case = demand.value if demand is not None else base.demand_case if base is not None else "base"
        check_out(None)
        effort = Effort(gap_fraction=gap_fraction, seconds=seconds, most_nodes=nodes, rounds=rounds, quick=quick)
        if base is not None and base.demand_case != case:
            base = None  # it is a plan of another demand
        if ask is not None:
            question = _question(ask, what, clock, periods, months, known_on, by, within, pairs, bool(matrix or steps))
            made, _ = patched(found, tuple(common), "as asked")
            assert made is not None, "studies_of has checked it"
            folder = _folder(out) if out is not None and ask != Ask.crossover else None
            with progress(quiet, "Ctrl-C or SIGTERM keeps what is done") as told:
                how = How(effort, case, base if not common else None, told, most, jobs, all)
                report, answers = reported(question, made, how)
            _keep(folder, file_names(answers), answers)
            emit(render(report, format.value), None)
            tell_unsure(report, answers)
            raise SystemExit(0 if report.good and _proven(answers, gap_fraction) else 1)
        names = file_names([Answer(v, None) for v in (Variant(()), *variants)])
        folder = _folder(out) if out is not None else None

        with progress(quiet, "Ctrl-C or SIGTERM keeps what is done") as told:
            answers = plan_variants(
                found, variants, effort, case, base, told, lambda answer: _keep(folder, names, [answer]), jobs
            )
        report = review_variants(found, answers, names if folder is not None else None, all)
        emit(render(report, format.value), None)
        tell_unsure(report, answers)
        raise SystemExit(0 if report.good and answers and _proven(answers, gap_fraction) else 1)


def _proven(answers: "Sequence[Answer]", gap_fraction: float) -> bool:
    """Whether every plan that there is is proven to the gap that was asked for."""
    from planner.solve.search import is_proven

    return all(is_proven(a.plan.proof.gap_fraction, gap_fraction) for a in answers if a.plan is not None)


def _keep(folder: Path | None, names: "Mapping[str, str]", answers: "Iterable[Answer]") -> None:
    """Write plans into the folder, where one was named."""
    from planner.plan.file import plan_text

    for answer in answers:
        if folder is not None and answer.plan is not None:
            emit(plan_text(answer.plan), folder / names[answer.variant.name])


def _question(
    ask: Ask,
    what: list[str] | None,
    clock: list[str] | None,
    periods: str | None,
    months: str | None,
    known_on: str | None,
    by: By,
    within: str,
    pairs: bool,
    more: bool,
) -> "Question":
    """The question with its options, checked.

    Raises
    ------
    InputError
        when a list holds no numbers, or a matrix is asked about, too
    """
    from planner.cli.questions import Question
    from planner.errors import refusal

    if more:
        fix = "ask one question at a time"
        raise refusal("--ask", "neither --matrix nor --steps beside it", "one of them", fix)
    return Question(
        ask.value,
        tuple(what or ()),
        tuple(clock or ()),
        tuple(int(n) for n in _numbers("--periods", periods, whole=True)),
        tuple(_numbers("--months", months)),
        known_on is not None,
        _day("--known-on", known_on) if known_on not in (None, "ready") else None,
        by.value,
        tolerance_of(within, "--within"),
        pairs,
    )


def _day(option: str, text: str) -> date:
    from planner.errors import refusal
    from planner.study.places import quoted

    try:
        return date.fromisoformat(text)
    except ValueError:
        fix = f"write {option} 2027-10-01, or {option} ready"
        raise refusal(option, "a date, or `ready`", quoted(text), fix) from None


def _numbers(option: str, text: str | None, whole: bool = False) -> list[float]:
    """Numbers with commas between them."""
    from planner.errors import refusal
    from planner.study.places import quoted

    try:
        found = [float(int(part) if whole else float(part)) for part in text.split(",")] if text is not None else []
    except ValueError:
        found = [0.0]
    if any(not 0 < n <= MOST_LATE for n in found):
        fix = f"write {option} 1,2" if whole else f"write {option} 3,6"
        expected = f"{'whole ' if whole else ''}numbers above 0 and at most {MOST_LATE:g}, with commas between them"
        raise refusal(option, expected, quoted(text), fix)
    return found


def _subject(path: Path) -> "tuple[Study, PlanFile | None]":
    """The study that is asked about, and its plan where that is what was named."""
    from planner.plan.file import digest
    from planner.study.read import read_study

    if path.suffix.lower() == ".json":
        plan = plan_in(path)
        if plan.digest_sha256 != digest(plan.model_dump(mode="json", by_alias=True)):
            tell(f"{path} was changed after it was sealed: its study is planned again")
            return plan.study, None
        return plan.study, plan
    study, warnings = read_study(path)
    tell_findings(warnings)
    return study, None


def _stop_on(reading: "Reading", asked: bool) -> None:
    """Raise what was found, and that nothing was asked."""
    from planner.errors import InputError
    from planner.study.places import sorted_findings

    if not asked:
        fix = "--set demand=x1.2, --change FILE, --matrix FILE or --ask slip"
        reading.error("planner whatif", "a change", "none", fix)
    if reading.findings:
        raise InputError(sorted_findings(reading.findings))


def _folder(path: Path) -> Path:
    """The folder for the plans, made if it is not there."""
    from planner.errors import refusal

    try:
        path.mkdir(exist_ok=True)
        if any(path.iterdir()):
            fix = "name another --out, or remove what is in it"
            raise refusal(str(path), "a new or an empty folder", "one with files in it", fix)
    except OSError as error:
        got = error.strerror or str(error)
        raise refusal(str(path), "a folder that can be written", got, "name another --out") from None
    return path


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
    format: AsFormat = AskedFormat.text,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="file to write; default: stdout")] = None,
    all: AllRows = False,
) -> None:
    """Compare two plans: what is asked, goals, costs, machines, orders, traffic, and where the money goes.

    Exit 0 when they are the same within the tolerance, 1 when they differ, 2 when one cannot be read.

    Example: `planner diff before.json after.json --within 2% --ignore study`
    """
    with answered(format):
        from planner.questions.diff import diff_plans
        from planner.review.compared import review_diff
        from planner.review.render import render

        tolerance = tolerance_of(within)
        report = review_diff(diff_plans(plan_in(first), plan_in(second), tolerance, ignore or ()), all)
        emit(render(report, format.value), out)
        tell_unsure(report)
        raise SystemExit(0 if report.good else 1)


def tolerance_of(text: str, option: str = "--within") -> float:
    """A tolerance as a fraction: `2%`, `2 %` or `0.02`.

    Raises
    ------
    InputError
        when it is neither; a number from 1 on, which may be meant in percent, is told how to write that

    Examples
    --------
    >>> tolerance_of("2%"), tolerance_of("0.02")
    (0.02, 0.02)
    """
    from planner.errors import refusal
    from planner.study.places import quoted

    number = text.strip().removesuffix("%").strip()
    try:
        value = float(number) / (100.0 if "%" in text else 1.0)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1:
        fix = f"write {option} 2%, or {option} 0.02"
        if 1 <= value < 100 and "%" not in text:
            fix = f"write {option} {value:g}% or {option} {value / 100:g} if percent were meant; a number is a share"
        raise refusal(option, "a share from 0 % to below 100 %", quoted(text), fix)
    return value
