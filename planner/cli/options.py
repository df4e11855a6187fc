"""Arguments and options that several commands share, and what is written in them."""

import math
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from planner.questions.side_by_side import Workers
    from planner.study.records.study import Study

MOST_LATE = 1200
"""Periods or months that something may be late by."""


class Format(StrEnum):
    """How a result is written."""

    text = "text"
    md = "md"
    json = "json"
    html = "html"
    csv = "csv"
    xlsx = "xlsx"


class DemandCase(StrEnum):
    """Which demand is planned."""

    low = "low"
    base = "base"
    high = "high"


class Backend(StrEnum):
    """Where plans are made that need nothing of each other."""

    joblib = "joblib"
    dask = "dask"


StudyPath = Annotated[Path, typer.Argument(help="study.yaml, or its folder")]
PlanPath = Annotated[Path, typer.Argument(help="plan.json")]
StudyOrPlan = Annotated[
    Path, typer.Argument(help="study.yaml or its folder; or a plan.json, whose study is asked about")
]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="file to write; default: stdout")]
PlanOut = Annotated[Path | None, typer.Option("--out", "-o", help="file for the plan; default: stdout")]
PlansOut = Annotated[
    Path | None,
    typer.Option("--out", "-o", help="folder for the plans and rows.jsonl; the same command again goes on in it"),
]
AsFormat = Annotated[
    Format,
    typer.Option(
        "--format",
        "-f",
        help="text, md, json; html: a page; xlsx: a sheet a table; csv: one table (--section) or, with --out NAME.zip "
        "or a new folder, a file for each; default: as the name of --out ends, else text",
    ),
]
AllRows = Annotated[bool, typer.Option("--all", help="every row of every table")]
Brief = Annotated[bool | None, typer.Option("--brief/--full", help="one screen, or all of it", show_default=False)]
Margins = Annotated[
    bool | None,
    typer.Option(
        "--margins/--no-margins",
        help="how far figures may move before a goal breaks, which drills the plan again and again: as a rule but on "
        "a page",
        show_default=False,
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="no progress")]

GAP = "end when proven within this of the best plan, 1% or 0.01; smaller is slower"
Gap = Annotated[str, typer.Option(help=GAP)]
UsualGap = Annotated[
    str | None, typer.Option("--gap", help=GAP, show_default="2%; 1% where utilisation is by fixed shares")
]
LEAST_SECONDS = 0.1


def _finite(seconds: float | None) -> float | None:
    """A time limit that is a number; raises typer.BadParameter for what compares with none."""
    if seconds is not None and not math.isfinite(seconds):
        raise typer.BadParameter(f"should be greater than or equal to {LEAST_SECONDS:g}")
    return seconds


Seconds = Annotated[
    float | None,
    typer.Option(min=LEAST_SECONDS, callback=_finite, help="time limit of each plan, which is not reproducible then"),
]
Nodes = Annotated[int | None, typer.Option(min=1, help="nodes of one integer search; default: by size")]
Rounds = Annotated[int, typer.Option(min=0, help="windows searched around the best plan of a large study")]
Demand = Annotated[DemandCase, typer.Option(help="low, base or high demand of the study")]
DemandOfPlan = Annotated[DemandCase | None, typer.Option(help="low, base or high demand of the study")]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", "-s", help="path=value, or a factor: 'demand[*,london]=x1.2'; may be repeated"),
]
Changes = Annotated[
    list[Path] | None, typer.Option(help="YAML file of a change: name, why, set, add, remove; may be repeated")
]
Most = Annotated[int, typer.Option(min=1, help="variants that are planned at most")]
Jobs = Annotated[
    int | None,
    typer.Option(min=1, help="plans made at a time, each in a process of its own; default: one per processor"),
]
Threads = Annotated[
    int | None,
    typer.Option(
        "--jobs",
        min=1,
        help="hours, and failures, worked on at a time, each in a thread; default: one per processor; same result",
    ),
]
OnBackend = Annotated[
    Backend, typer.Option(help="where plans are made: joblib, processes of this machine; dask, a cluster that runs")
]
Scheduler = Annotated[str | None, typer.Option(help="address of the scheduler of that cluster: tcp://host:8786")]


def workers_of(jobs: int | None, backend: Backend, scheduler: str | None) -> "Workers":
    """Where plans are made side by side.

    Raises
    ------
    InputError
        when a scheduler is named that nobody asks, --jobs for a cluster, whose workers are as many as they are, or a
        cluster that is not there
    """
    from planner.errors import refusal
    from planner.questions.side_by_side import Workers, check_workers, processors

    if backend is Backend.joblib and scheduler is not None:
        raise refusal("--scheduler", "--backend dask with it", "--backend joblib", "add --backend dask")
    if backend is Backend.dask and jobs is not None:
        raise refusal("--jobs", "none with --backend dask", f"{jobs}", "leave it out: the cluster has its workers")
    workers = Workers(jobs or processors(), backend.value, scheduler)
    check_workers(workers)
    return workers


def threads_of(jobs: int | None) -> int:
    """Threads in which one plan, or one drill, is worked on."""
    from planner.threads import processors

    return jobs or processors()


def fraction_of(text: str, option: str) -> float:
    """A share as a fraction: `2%`, `2 %` or `0.02`.

    Raises
    ------
    InputError
        when it is neither; a number from 1 on, which may be meant in percent, is told how to write that

    Examples
    --------
    >>> fraction_of("2%", "--gap"), fraction_of("0.02", "--gap")
    (0.02, 0.02)
    """
    from planner.errors import Finding, InputError
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
        raise InputError([Finding(option, "a share from 0 % to below 100 %", quoted(text), fix)])
    return value


def gap_of(text: str | None, study: "Study") -> float:
    """The gap that is asked for, as a fraction; of none that of the study's basis of utilisation.

    Raises
    ------
    InputError
        as `fraction_of`
    """
    from planner.solve.search import usual_gap_fraction

    return usual_gap_fraction(study) if text is None else fraction_of(text, "--gap")


def numbers_of(text: str | None, option: str, integers: bool = False) -> list[float]:
    """Numbers with commas between them; none where the option was not given.

    Raises
    ------
    InputError
        when they are not numbers above 0, or too large
    """
    from planner.errors import Finding, InputError
    from planner.study.places import quoted

    try:
        numbers = (
            [float(int(part) if integers else float(part)) for part in text.split(",")] if text is not None else []
        )
    except ValueError:
        numbers = [0.0]
    if any(not 0 < n <= MOST_LATE for n in numbers):
        fix = f"write {option} 1,2" if integers else f"write {option} 3,6"
        expected = f"{'whole ' if integers else ''}numbers above 0 and at most {MOST_LATE:g}, with commas between them"
        raise InputError([Finding(option, expected, quoted(text), fix)])
    return numbers


def day_of(text: str, option: str) -> date:
    """A date.

    Raises
    ------
    InputError
        when it is none
    """
    from planner.errors import Finding, InputError
    from planner.study.places import quoted

    try:
        return date.fromisoformat(text)
    except ValueError:
        fix = f"write {option} 2027-10-01, or {option} ready"
        raise InputError([Finding(option, "a date, or `ready`", quoted(text), fix)]) from None
