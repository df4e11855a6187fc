"""`planner VERB FILE...`: 0 fine; 1 a finding about the subject; 2 wrong input or an internal error."""

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from planner import __version__
from planner.cli.asking import diff, tolerance_of, whatif
from planner.cli.console import (
    KEEPS,
    answered,
    check_out,
    emit,
    lead_nowhere,
    plan_in,
    progress,
    ready_streams,
    tell,
    tell_findings,
)
from planner.cli.drilling import register as register_drill
from planner.cli.emitting import drift_command, emit_command
from planner.cli.estimating import estimate
from planner.cli.importing import app as import_app
from planner.cli.laddering import register as register_ladder
from planner.cli.risking import risk
from planner.interruption import exit_code, listen

app = typer.Typer(
    name="planner",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    help="Plans where AI model-serving workloads run: failover-ready, at the lowest cost, with a proof.\n\n"
    "Start: `planner init mine` · `planner plan mine --out plan.json` · `planner review plan.json`",
)
ASK, QUESTION, HAND_OVER = "Ask", "Question", "Hand over"


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


StudyPath = Annotated[Path, typer.Argument(help="study.yaml, or its folder")]
PlanPath = Annotated[Path, typer.Argument(help="plan.json")]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="file to write; default: stdout")]
AsFormat = Annotated[Format, typer.Option("--format", "-f", help="text, md or json")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="no progress")]


@app.command(rich_help_panel=ASK)
def init(
    folder: Annotated[Path, typer.Argument(help="folder to make")],
    example: Annotated[
        str | None, typer.Option(help="example to start from: quickstart (the default), postmortem, buildout")
    ] = None,
    fleet: Annotated[Path | None, typer.Option("--from", help="CSV of what runs today, instead of an example")] = None,
) -> None:
    """Make a ready study in a new folder, from an example or from what runs today.

    Examples: `planner init mine && planner plan mine --out plan.json` · `planner init mine --from fleet.csv`
    """
    with answered():
        from planner.errors import refusal
        from planner.importers.start import start_from_fleet, start_study

        if fleet is not None and example is not None:
            raise refusal("init", "--example or --from", "both", "leave one out")
        written = start_study(folder, example or "quickstart") if fleet is None else start_from_fleet(folder, fleet)
        for path in written:
            tell(f"wrote {path}")
        tell(f"next: planner check {folder}")


@app.command(rich_help_panel=ASK)
def check(
    study: StudyPath,
    coverage: Annotated[
        bool, typer.Option("--coverage", help="also the evidence each goal can rest on, sources, ages, missing prices")
    ] = False,
    format: AsFormat = Format.text,
    out: Out = None,
) -> None:
    """Read a study: findings, what each goal expands to, which edges are missing and why, what cannot be covered.

    Examples: `planner check examples/quickstart` · `planner check mine --coverage`
    """
    with answered(format):
        from planner.review.check import check_study
        from planner.review.render import render
        from planner.study.read import read_study

        found, warnings = read_study(study)
        report = check_study(found, warnings, coverage)
        emit(render(report, format.value), out)
        raise SystemExit(0 if report.good else 1)


@app.command(rich_help_panel=ASK)
def plan(
    study: StudyPath,
    out: Out = None,
    format: Annotated[
        Format | None, typer.Option("--format", "-f", help="of the review; none: text when --out")
    ] = None,
    gap: Annotated[str, typer.Option(help="end when proven within this of the best plan, 1% or 0.01")] = "1%",
    seconds: Annotated[
        float | None, typer.Option(min=0.1, help="a clock that ends the search; not reproducible")
    ] = None,
    nodes: Annotated[int | None, typer.Option(min=1, help="nodes of one integer search; default: by size")] = None,
    rounds: Annotated[int, typer.Option(min=0, help="neighbourhoods searched to improve a large study's plan")] = 3,
    demand: Annotated[Case, typer.Option("--demand", help="low, base or high demand of the study")] = Case.base,
    no_regret: Annotated[
        bool, typer.Option("--no-regret", help="also plan low and high demand: which orders all three have")
    ] = False,
    value_limits: Annotated[
        int, typer.Option(min=0, help="plan again with a machine's worth more of so many limits")
    ] = 0,
    solver: Annotated[str, typer.Option(help="HiGHS, or any solver that PuLP finds (PULP_CBC_CMD)")] = "HiGHS",
    quiet: Quiet = False,
) -> None:
    """Plan a study: the cheapest machines, placements and routes that survive every failure as promised.

    Without --out the plan itself goes to stdout. With --out the review is printed. Ctrl-C or SIGTERM ends the search
    with the best plan found so far.

    Example: `planner plan examples/quickstart --out plan.json`
    """
    with answered("json" if format == Format.json else "text"):
        from planner.plan.explain import diagnose
        from planner.plan.file import plan_text
        from planner.plan.plan import make_plan, with_valued_limits
        from planner.solve.program import solver_named
        from planner.solve.search import Effort, Infeasible, is_proven
        from planner.study.read import read_study

        gap_fraction = tolerance_of(gap, "--gap")
        found, warnings = read_study(study)
        tell_findings(warnings)
        check_out(out)
        effort = Effort(gap_fraction=gap_fraction, seconds=seconds, most_nodes=nodes, rounds=rounds)
        with progress(quiet, KEEPS) as told:
            try:
                made = make_plan(found, effort, solver_named(solver), solver, told, no_regret, demand.value)
                if value_limits:
                    made = with_valued_limits(made, effort, value_limits, told)
            except Infeasible:
                raise diagnose(found, demand.value, told) from None
        if out is None and format is None:
            emit(plan_text(made), None)
        elif out is not None:
            emit(plan_text(made), out)
        shown = out is not None or format is not None
        code = _review(made, format or Format.text, None, quiet=quiet) if shown else 0
        if made.on_equal_terms is None:
            tell("what redundancy costs on equal terms is not known: the search for it was interrupted, or failed")
        if no_regret and not made.no_regret:
            tell("the low or the high demand has no plan (or was interrupted): which orders are no-regret is not known")
        proven = is_proven(made.proof.gap_fraction, gap_fraction)
        if not proven:
            reached = f"{made.proof.gap_fraction:.2%}"
            tell(f"not proven: gap {reached}, {gap_fraction:.2%} was asked; more --nodes or --rounds may close it")
        if made.proof.status == "stopped":
            tell("a time limit or a person ended the search: the plan holds, but is not reproducible")
        raise SystemExit(code if proven else 1)


def _review(made: Any, format: Format, out: Path | None, all_rows: bool = False, quiet: bool = False) -> int:
    from planner.review.answer import review_plan
    from planner.review.render import render

    with progress(quiet) as told:
        report = review_plan(made, all_rows, told)
    emit(render(report, format.value), out)
    return 0 if report.good else 1


@app.command(rich_help_panel=ASK)
def review(
    plan: PlanPath,
    format: AsFormat = Format.text,
    out: Out = None,
    all: Annotated[bool, typer.Option("--all", help="every row of every table")] = False,
) -> None:
    """Review a plan: the answer, what to order by when, who is served in each failure, and how far to trust it.

    Exit 1 when a goal is not met, something cannot be covered, the audit fails or the plan is not proven.

    Example: `planner review plan.json --format md --out review.md`
    """
    with answered(format):
        raise SystemExit(_review(plan_in(plan), format, out, all))


register_drill(app)


@app.command(rich_help_panel=HAND_OVER)
def audit(plan: PlanPath, format: AsFormat = Format.text, out: Out = None) -> None:
    """Check every rule in every state, and every stated total, on the plan's own numbers.

    Exit 1 when something does not hold.

    Example: `planner audit plan.json`
    """
    with answered(format):
        from planner.plan.audit import audit as audit_plan
        from planner.plan.audit import not_checked
        from planner.review.answer import review_audit
        from planner.review.render import render

        made = plan_in(plan)
        result = audit_plan(made)
        emit(render(review_audit(result, not_checked(made)), format.value), out)
        raise SystemExit(0 if result.passed else 1)


@app.command(rich_help_panel=HAND_OVER)
def show(
    what: Annotated[str, typer.Argument(help="a rule, rules, a unit, units, schema, or schema:NAME")] = "rules",
) -> None:
    """Show a rule with its formula, the units, or the JSON Schema of a file.

    Examples: `planner show survivors_only` · `planner show schema:study > study.schema.json`
    """
    with answered():
        from planner.review.shown import shown

        emit(shown(what), None)


app.command(rich_help_panel=QUESTION)(risk)
register_ladder(app)
app.command(rich_help_panel=QUESTION)(whatif)
app.command(rich_help_panel=QUESTION)(diff)
app.command("emit", rich_help_panel=HAND_OVER)(emit_command)
app.command("drift", rich_help_panel=HAND_OVER)(drift_command)
import_app.command()(estimate)
app.add_typer(import_app, name="import", rich_help_panel=HAND_OVER)


@app.callback(invoke_without_command=True)
def main(version: Annotated[bool, typer.Option("--version", help="show the version")] = False) -> None:
    """Plans where AI model-serving workloads run."""
    if version:
        with answered():
            emit(__version__, None)
        raise typer.Exit


def run() -> None:
    """The console script: the streams and signals that it meets, and an exit code, whatever happens."""
    ready_streams()
    listen()
    code = _code()
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        lead_nowhere(1)
    except OSError as error:
        lead_nowhere(1)
        tell(f"error: standard output cannot be written: {(error.strerror or str(error)).lower()}")
        code = 2
    raise SystemExit(code)


def _code() -> int:
    """The command's exit code. An internal error says what to report; it is ours, not the user's."""
    try:
        app()
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else 0
    except KeyboardInterrupt as error:
        tell("interrupted; nothing was written")
        return exit_code(error)
    except OSError as error:
        if error.filename is not None:
            return _defect(error)
        lead_nowhere(1)  # help that could not be printed
        tell(f"error: standard output cannot be written: {(error.strerror or str(error)).lower()}")
        return 2
    except Exception as error:  # the last line of defence: a user sees a sentence, not a traceback
        return _defect(error)
    return 0


def _defect(error: Exception) -> int:
    if os.environ.get("PLANNER_TRACEBACK"):
        raise error
    tell(
        f"internal error: {type(error).__name__}: {error}\n"
        "  this is a defect of the planner; set PLANNER_TRACEBACK=1 and report what it prints"
    )
    return 2
