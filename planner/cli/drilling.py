"""`planner drill`: failures replayed on a plan or on today's fleet."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from planner.cli.console import answered, check_out, emit, plan_in, progress, tell, tell_findings


class Format(StrEnum):
    """How a result is written."""

    text = "text"
    md = "md"
    json = "json"


class Mode(StrEnum):
    """How traffic is moved in a failure."""

    resolve = "resolve"
    rescale = "rescale"


def register(app: typer.Typer) -> None:
    """Adds `drill` to the commands."""
    app.command(rich_help_panel="Question")(drill)


def drill(
    subject: Annotated[Path, typer.Argument(help="plan.json, or a CSV of what runs today")],
    study: Annotated[Path | None, typer.Option(help="the study, for a fleet: its failures and goals")] = None,
    mode: Annotated[
        Mode | None,
        typer.Option(
            help="resolve: new weights (default for plans); rescale: gateways renormalise (default for fleets)"
        ),
    ] = None,
    each: Annotated[
        list[str] | None, typer.Option(help="instead of the goals' failures: each component of this kind (site)")
    ] = None,
    pairs: Annotated[
        list[str] | None,
        typer.Option(help="also instead of them: each pair of components of these kinds (site)"),
    ] = None,
    hour: Annotated[
        str | None,
        typer.Option(help="of plans over time: these hours (quarter-1/*); default: the worst of each failure"),
    ] = None,
    format: Annotated[Format, typer.Option("--format", "-f", help="text, md or json")] = Format.text,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="file to write; default: stdout")] = None,
    all: Annotated[bool, typer.Option("--all", help="every row")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="no progress")] = False,
) -> None:
    """Replay every failure of the study on a plan or on today's fleet, by arithmetic of its own.

    Exit 1 when a survival goal breaks, in any hour of the plan; a fleet is replayed in the first period. Failures of
    --each and --pairs are held to a goal only where the study has one.

    Examples: `planner drill plan.json` · `planner drill fleet_today.csv --study examples/quickstart`
    · `planner drill plan.json --mode rescale --pairs site`
    """
    with answered(format):
        from planner.review.drilled import review_drill
        from planner.review.render import render

        check_out(out)
        which = (tuple(each or ()), tuple(pairs or ())) if each or pairs else None
        with progress(quiet) as told:

            def done(failures: int, of: int) -> None:
                told("replaying failures", failures / max(1, of), "")

            if subject.suffix.lower() == ".csv":
                result, claims = _fleet(subject, study, mode, done, which)
            else:
                result, claims = _plan(subject, mode, done, which)
        report = review_drill(result, claims, all, hour)
        emit(render(report, format.value), out)
        raise SystemExit(0 if report.good else 1)


def _fleet(subject: Path, study: Path | None, mode: Mode | None, done: Any, which: Any) -> tuple[Any, tuple[str, ...]]:
    from planner.drill import drill_fleet
    from planner.errors import refusal
    from planner.study.read import read_fleet, read_study

    if study is None:
        fix = "name the study whose failures are replayed"
        raise refusal(str(subject), "--study with a fleet", "none", fix)
    found, warnings = read_study(study)
    fleet = read_fleet(subject, found, warnings)
    tell_findings(warnings)
    return drill_fleet(found, fleet, mode=(mode or Mode.rescale).value, progress=done, which=which), ()


def _plan(subject: Path, mode: Mode | None, done: Any, which: Any) -> tuple[Any, tuple[str, ...]]:
    from planner.drill import drill_plan, drill_state_claims
    from planner.plan.file import digest

    made = plan_in(subject)
    edited = made.digest_sha256 != digest(made.model_dump(mode="json", by_alias=True))
    if edited:
        tell(f"{subject}: the file was changed after it was sealed")
    how: Any = mode.value if mode else getattr(made.study, "failover", "resolve")
    result = drill_plan(made, mode=how, progress=done, which=which)
    claims = drill_state_claims(made)
    return result, ("the file was changed after it was sealed", *claims) if edited else claims
