"""`planner risk`: what breaks what, before there is a plan or on what runs."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from planner.cli.console import answered, emit, plan_in, tell, tell_findings

if TYPE_CHECKING:
    from planner.problem.problem import Problem
    from planner.questions.exposure import Running, Traffic
    from planner.study.records.study import Study

    Subject = tuple[str, Study, Problem, Running | None, Traffic | None]


class Format(StrEnum):
    """How a result is written."""

    text = "text"
    md = "md"
    json = "json"


class Drawing(StrEnum):
    """How the dependency graph is drawn."""

    mermaid = "mermaid"
    dot = "dot"


def risk(
    subject: Annotated[Path, typer.Argument(help="study.yaml or its folder, plan.json, or a CSV of what runs today")],
    study: Annotated[Path | None, typer.Option(help="the study, for a CSV of what runs today")] = None,
    format: Annotated[Format, typer.Option("--format", "-f", help="text, md or json")] = Format.text,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="file to write; default: stdout")] = None,
    all: Annotated[bool, typer.Option("--all", help="every row of every table")] = False,
    draw: Annotated[
        Drawing | None, typer.Option(help="print a drawing of what needs what instead: mermaid or dot (Graphviz)")
    ] = None,
) -> None:
    """Single points of failure, pairs, blast radius and expected loss, from what needs what. Nothing is solved.

    Exit 1 when a tier with survival goals has a single point of failure, or a promise that no capacity can cover.

    Examples: `planner risk examples/quickstart` · `planner risk plan.json --all` · `planner risk mine --draw mermaid`
    """
    with answered(format):
        from planner.questions.exposure import exposure
        from planner.review.drawing import drawing
        from planner.review.render import render
        from planner.review.risks import review_risks

        title, found, p, running, traffic = _read(subject, study)
        told = exposure(found, p, running, traffic)
        if draw is not None:
            text = drawing(found, p, told, draw.value, running)
        else:
            text = render(review_risks(told, title, all), format.value)
        emit(text, out)
        raise SystemExit(0 if told.good else 1)


def _read(subject: Path, study: Path | None) -> "Subject":
    """A title, the study with its problem, and what runs where the subject is a plan or a fleet."""
    from planner.errors import refusal
    from planner.plan.file import digest
    from planner.problem.build import build
    from planner.questions.exposure import running_in, running_now
    from planner.study.read import read_fleet, read_study

    kind = subject.suffix.lower()
    if kind == ".csv" and study is None:
        fix = "name the study whose components and demand are meant"
        raise refusal(str(subject), "--study with a fleet", "none", fix)
    if kind != ".csv" and study is not None:
        fix = "leave --study out: a plan carries its study with it"
        raise refusal(str(subject), "a CSV of what runs today, for --study", "another file", fix)
    if kind == ".json":
        made = plan_in(subject)
        if made.digest_sha256 != digest(made.model_dump(mode="json", by_alias=True)):
            tell("warning: the plan was changed after it was sealed")
        p = build(made.study, made.demand_case)
        return (f"risk of the plan of study {made.study.study}", made.study, p, *running_in(made, p))
    found, warnings = read_study(study or subject)
    fleet = read_fleet(subject, found, warnings) if kind == ".csv" else None
    tell_findings(warnings)
    p = build(found)
    if fleet is not None:
        return (f"risk of what runs today, study {found.study}", found, p, *running_now(fleet, p))
    return (f"risk of study {found.study}, before any plan", found, p, None, None)
