"""`planner ladder`: what each survival goal costs, added in turn, and what stays at risk."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from planner.cli.asking import tolerance_of
from planner.cli.console import answered, check_out, emit, progress, tell, tell_findings, tell_unsure


class Format(StrEnum):
    """How a result is written."""

    text = "text"
    md = "md"
    json = "json"


class Case(StrEnum):
    """Which demand is planned."""

    low = "low"
    base = "base"
    high = "high"


def register(app: typer.Typer) -> None:
    """Adds `ladder` to the commands."""
    app.command(rich_help_panel="Question")(ladder)


def ladder(
    study: Annotated[Path, typer.Argument(help="study.yaml, or its folder")],
    steps: Annotated[
        list[str] | None,
        typer.Option(help="steps to climb, lowest first, with commas: site,provider,site:2,failure:NAME; default: all"),
    ] = None,
    gap: Annotated[
        str, typer.Option(help="every plan is proven within this of its best, 3% or 0.03; smaller is slower")
    ] = "3%",
    seconds: Annotated[
        float | None, typer.Option(min=0.1, help="a clock that ends each search; not reproducible")
    ] = None,
    nodes: Annotated[int | None, typer.Option(min=1, help="nodes of one integer search; default: by size")] = None,
    rounds: Annotated[int, typer.Option(min=0, help="neighbourhoods searched to improve a large study's plan")] = 3,
    demand: Annotated[Case, typer.Option(help="low, base or high demand of the study")] = Case.base,
    format: Annotated[Format, typer.Option("--format", "-f", help="text, md or json")] = Format.text,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="file to write; default: stdout")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="no progress")] = False,
) -> None:
    """What each goal costs: plans with no goal, then any site, region, provider, stack, the study's own, pairs added.

    First what the study asks for, then what it does not. On each plan the failures of all steps are drilled: what is
    still at risk. Ctrl-C or SIGTERM keeps what is done. Exit 1 when a step of the study's own goals has no plan.

    Examples: `planner ladder examples/quickstart` · `planner ladder mine --steps site,provider,stack --gap 0.01`
    """
    with answered(format):
        from planner.plan.explain import diagnose
        from planner.problem.build import build
        from planner.problem.eligibility import workloads_without_edge
        from planner.questions.ladder import chosen, climb, ladder_steps
        from planner.review.render import render
        from planner.review.steps import review_ladder
        from planner.solve.search import Effort, is_proven
        from planner.study.read import read_study

        gap_fraction = tolerance_of(gap, "--gap")
        found, warnings = read_study(study)
        tell_findings(warnings)
        wanted = chosen(ladder_steps(found), steps or ())
        if workloads_without_edge(build(found, demand.value, with_goals=False)):
            raise diagnose(found, demand.value)
        effort = Effort(gap_fraction=gap_fraction, seconds=seconds, most_nodes=nodes, rounds=rounds)
        check_out(out)
        with progress(quiet, "Ctrl-C or SIGTERM keeps what is done") as told:
            plans = climb(found, wanted, effort, demand.value, told)
        report = review_ladder(found, plans)
        emit(render(report, format.value), out)
        tell_unsure(report)
        if unproven := [step.step.name for step in plans if not is_proven(step.gap_fraction, gap_fraction)]:
            tell(f"not proven to the gap that was asked: {', '.join(unproven)}; more --nodes or --rounds may close it")
        if any(step.plan is not None and step.plan.proof.status == "stopped" for step in plans):
            tell("a clock or a person ended a search: its plan holds, but is not reproducible")
        raise SystemExit(0 if report.good else 1)
