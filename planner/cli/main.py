"""`planner VERB FILE...`: 0 fine; 1 a finding about the subject; 2 wrong input or an internal error."""

import os
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from planner import __version__
from planner.cli.buildout import crossover, delay, sequence
from planner.cli.choosing import alternatives
from planner.cli.console import (
    KEEPS,
    answered,
    check_apart,
    check_out,
    deliver,
    emit,
    format_of,
    lead_nowhere,
    plan_in,
    progress,
    ready_streams,
    study_in,
    tell,
    tell_if_edited,
)
from planner.cli.effort import Effort
from planner.cli.emitting import drift_command, emit_command
from planner.cli.estimating import estimate
from planner.cli.explaining import explain
from planner.cli.gating import gate
from planner.cli.importing import app as import_app
from planner.cli.listing import list_command
from planner.cli.options import (
    AllRows,
    AsFormat,
    Brief,
    Demand,
    DemandCase,
    Format,
    Margins,
    Nodes,
    Out,
    PlanOut,
    PlanPath,
    Quiet,
    Rounds,
    Seconds,
    StudyPath,
    Threads,
    UsualGap,
    gap_of,
    threads_of,
)
from planner.cli.questions import drill, ladder, risk
from planner.cli.relaxing import relax, without_plan
from planner.cli.reporting import App
from planner.cli.usage import Commands
from planner.cli.whatif import diff, whatif
from planner.interruption import end_at_once, exit_code
from planner.solve.stages import READING, REVIEWING, WRITING, stage, watched
from planner.study.files import PLAN, PROGRAM, REPORT

if TYPE_CHECKING:
    from planner.plan.in_hand import Plan
    from planner.review.report import Section

app = App(
    name="planner",
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    help="Plans where AI model-serving workloads run: failover-ready, at the lowest cost, with a proof.\n\n"
    "Start: `planner init mine` · `planner plan mine --out plan.json` · `planner review plan.json`",
)
ASK, QUESTION, HAND_OVER = "Ask", "Question", "Hand over"


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
        from planner.importers.from_fleet import start_from_fleet
        from planner.importers.new_study import start_study
        from planner.review.schemas import schema_files

        if fleet is not None and example is not None:
            raise refusal("init", "--example or --from", "both", "leave one out")
        schemas = schema_files(in_yaml_only=True)
        if fleet is None:
            written = start_study(folder, example or "quickstart", schemas)
        else:
            written = start_from_fleet(folder, fleet, schemas=schemas)
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
    quiet: Quiet = False,
) -> None:
    """Read a study: findings, what each goal expands to, which edges are missing and why, what cannot be covered.

    Examples: `planner check examples/quickstart` · `planner check mine --coverage`
    """
    with answered(format):
        from planner.api import read_study
        from planner.errors import Finding
        from planner.review.check import check_study

        warnings: list[Finding] = []
        with progress(quiet, stage="checking the study"):
            report = check_study(read_study(study, warnings), warnings, coverage)
        deliver(report, format, out)
        raise SystemExit(0 if report.good else 1)


@app.command(rich_help_panel=ASK)
def plan(
    study: StudyPath,
    out: PlanOut = None,
    format: Annotated[
        Format | None, typer.Option("--format", "-f", help="of the review; none: text when --out")
    ] = None,
    brief: Brief = None,
    gap: UsualGap = None,
    seconds: Seconds = None,
    nodes: Nodes = None,
    rounds: Rounds = 3,
    jobs: Threads = None,
    demand: Demand = DemandCase.base,
    no_regret: Annotated[
        bool, typer.Option("--no-regret", help="also plan low and high demand: which orders all three have")
    ] = False,
    value_limits: Annotated[
        int, typer.Option(min=0, help="plan again with a machine's worth more of so many limits")
    ] = 0,
    solver: Annotated[str, typer.Option(help="HiGHS, or any solver that PuLP finds (PULP_CBC_CMD)")] = "HiGHS",
    profile: Annotated[
        bool, typer.Option("--profile", help="also say where the time went: stages, and the solver apart")
    ] = False,
    explain_size: Annotated[
        bool, typer.Option("--explain-size", help="also say how large the program is, and what was merged")
    ] = False,
    program: Annotated[
        Path | None,
        typer.Option(help="also write the program of the failures that bind, as .lp or .mps: no less than the bound"),
    ] = None,
    relaxing: Annotated[
        bool, typer.Option("--relax/--no-relax", help="where there is no plan: what restores one, priced")
    ] = True,
    quiet: Quiet = False,
) -> None:
    """Plan a study: the cheapest machines, placements and routes that survive every failure as promised.

    Without --out the plan itself goes to stdout. With --out a brief is printed, the review on one screen; --full prints
    the review, as other formats than text do unless --brief is given. Ctrl-C or SIGTERM ends the search
    with the best plan found so far. --profile and --explain-size add a section each to the review; where none is
    printed they go to stderr. Of a study with many hours these go side by side (--jobs): the plan is the same.

    Exit 1 when there is no plan, or it is not proven to the gap that was asked for. Where there is none, what is short
    is said at once; then what restores one, as of `planner relax`, where the review would stand, or on stderr.

    Examples: `planner plan examples/quickstart --out plan.json` · `planner plan mine --out plan.json --profile`
    · `planner plan mine --out plan.json --jobs 2`
    """
    with answered("json" if format == Format.json else "text"), watched() if profile else nullcontext() as watch:
        from planner import api
        from planner.errors import NoPlan
        from planner.solve.search import Stopped

        with stage(READING), progress(quiet, stage="reading the study"):
            asked = study_in(study)
        gap_fraction = gap_of(gap, asked)
        check_out(out, kind=PLAN)
        if program is not None:
            from planner.solve.export import check_ending

            check_ending(program)
            check_out(program, "--program", PROGRAM)
            check_apart(out, program)
        try:
            with progress(quiet, KEEPS, "building the program") as advance:
                made = api.plan(
                    asked,
                    gap_fraction=gap_fraction,
                    demand=demand.value,
                    seconds=seconds,
                    nodes=nodes,
                    rounds=rounds,
                    no_regret=no_regret,
                    value_limits=value_limits,
                    solver=solver,
                    jobs=threads_of(jobs),
                    progress=advance,
                )
        except NoPlan as error:
            if not relaxing or isinstance(error, Stopped):
                raise
            raise SystemExit(without_plan(asked, study, demand.value, error, format, out is not None, quiet)) from None
        if out is not None or format is None:
            with stage(WRITING):
                emit(made.text, out)
        if program is not None:
            ending: Literal[".lp", ".mps"] = ".lp" if program.suffix.lower() == ".lp" else ".mps"
            emit(api.program_text(made, ending), program, "--program")
        effort = Effort(watch, explain_size)
        if out is not None or format is not None:
            asked_format = format or Format.text
            if asked_format is Format.text if brief is None else brief:
                code = _brief(made, asked_format, None, out, quiet, effort)
            else:
                code = _review(made, asked_format, None, quiet=quiet, effort=effort)
        else:
            code = 0
            effort.tell(made)
        proven = _tell_what_is_open(made, no_regret)
        raise SystemExit(code if proven else 1)


def _tell_what_is_open(made: "Plan", no_regret: bool) -> bool:
    """Say on stderr what the search has left open; whether the plan is proven to the gap that was asked for."""
    from planner.solve.search import is_proven

    file, proof = made.file, made.file.proof
    if file.on_equal_terms is None:
        tell("what redundancy costs on equal terms is not known: the search for it was interrupted, or failed")
    if no_regret and not file.no_regret:
        tell("the low or the high demand has no plan (or was interrupted): which orders are no-regret is not known")
    proven = is_proven(proof.gap_fraction, proof.gap_asked_fraction)
    if not proven:
        reached = f"gap {proof.gap_fraction:.2%}, {proof.gap_asked_fraction:.2%} was asked"
        more = "more time" if proof.status == "stopped" else "more --nodes or --rounds"
        tell(f"not proven: {reached}; {more} may close it")
    if proof.status == "stopped":
        tell("a time limit or a person ended the search: the plan holds, but is not reproducible")
    return proven


def _review(
    made: "Plan",
    format: Format,
    out: Path | None,
    all_rows: bool = False,
    quiet: bool = False,
    effort: Effort = Effort(),
    beside: "tuple[Plan, tuple[str, str]] | None" = None,
    more: "tuple[Section, ...]" = (),
    margins: bool | None = None,
) -> int:
    """Deliver the review of a plan; `beside` is another one and the names of both, `more` are sections that follow."""
    from planner import api

    with_margins = format_of(format, out) != Format.html if margins is None else margins
    with stage(REVIEWING), progress(quiet, stage="reviewing") as advance:
        report = api.review(made, all_rows=all_rows, progress=advance, with_margins=with_margins)
    if beside is not None:
        from planner.review.beside import beside_sections, called

        other, names = beside
        title = f"{report.title}, {names[0]}, beside {called(other, names[1])}"
        more, report = (*more, *beside_sections(made, other, names)), replace(report, title=title)
    report = replace(report, sections=(*report.sections, *more, *effort.sections(made)))
    deliver(report, format, out)
    return 0 if report.good else 1


def _is_kept(file: Path) -> bool:
    """Whether a path leads to a file that is still there for the next command: no pipe, nothing of this process."""
    return file.is_file() and Path("/dev") not in file.absolute().parents


def _brief(
    made: "Plan",
    format: Format,
    out: Path | None,
    file: Path | None,
    quiet: bool,
    effort: Effort = Effort(),
    margins: bool | None = None,
) -> int:
    """The brief of a plan that is in a file; with the effort, where that was asked for."""
    from planner import api

    with stage(REVIEWING), progress(quiet, stage="reviewing") as advance:
        path = str(file) if file is not None and _is_kept(file) else None
        report = api.brief(made, path=path, progress=advance, with_margins=margins is not False)
    deliver(replace(report, sections=(*report.sections, *effort.sections(made))), format, out)
    return 0 if report.good else 1


@app.command(rich_help_panel=ASK)
def review(
    plan: PlanPath,
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            help="another plan.json, to compare it with; or, with --against-today, what runs, in the files that "
            "`drift` reads"
        ),
    ] = None,
    against_today: Annotated[
        bool,
        typer.Option(
            "--against-today",
            help="instead: what the plan adds, changes and removes against what runs; on a page: also",
        ),
    ] = False,
    brief: Brief = None,
    format: AsFormat = Format.text,
    out: Out = None,
    all: AllRows = False,
    margins: Margins = None,
    quiet: Quiet = False,
) -> None:
    """Review a plan: the answer, what to order by when, who is served in each failure, and how far to trust it.

    Exit 1 when a goal is not met, something cannot be covered, the audit fails or the plan is not proven.

    A name that ends with .html makes it one page for a meeting: the decision first, pictures, and every table; it needs
    no network and no script, and is made without drilling or planning anything again. With two plans the review is of
    the first, and both stand side by side.

    With --against-today: machines by pool and contract, reservations and replicas by placement, in USD a month. Exit 0
    when nothing is to be added, changed or removed, 1 when something is, or the plan was edited after it was sealed, 2
    when a file cannot be read.

    Examples: `planner review plan.json --out review.html` · `planner review plan.json before.json --out review.html` ·
    `planner review plan.json --against-today state.json nodes.json pods.json`
    """
    with answered(format):
        with progress(quiet, stage="reading the plan"):
            made = plan_in(plan)
        if against_today:
            raise SystemExit(_review_against_today(made, files or [], format, out, all, quiet, margins))
        from planner.errors import printable

        beside = (_other_plan(files), (printable(str(plan)), printable(str(files[0])))) if files else None
        if brief:
            raise SystemExit(_brief(made, format, out, plan, quiet, margins=margins))
        raise SystemExit(_review(made, format, out, all, quiet, beside=beside, margins=margins))


def _other_plan(files: list[Path]) -> "Plan":
    """The plan to compare with.

    Raises
    ------
    InputError
        when several files are named, or one that is no plan
    """
    from planner.errors import refusal

    if len(files) > 1 or files[0].suffix.lower() != ".json":
        fix = "name one other plan.json; or add --against-today before files of what runs; or leave the files out"
        expected = "one plan, or --against-today with files of what runs, or two plans"
        raise refusal("review", expected, ", ".join(map(str, files)), fix)
    return plan_in(files[0])


def _review_against_today(
    made: "Plan",
    files: list[Path],
    format: Format,
    out: Path | None,
    all_rows: bool,
    quiet: bool,
    margins: bool | None,
) -> int:
    """The changes against what runs: a report of their own, on a page with the review."""
    from planner.emit.actual import read_actual
    from planner.emit.against_today import against_today
    from planner.errors import refusal
    from planner.review.against_today import review_against_today

    if not files:
        fix = "name them, as in `planner review plan.json --against-today state.json nodes.json`"
        raise refusal("--against-today", "files of what runs", "none", fix)
    with progress(stage="reading what runs"):
        against = against_today(made, read_actual(files, made))
    report = review_against_today(against, f"plan of {made.study.study}", all_rows, tell_if_edited(made))
    if format_of(format, out) == Format.html:
        more = tuple(replace(section, part="answer") for section in report.sections)
        return max(_review(made, format, out, all_rows, quiet, more=more, margins=margins), 0 if report.good else 1)
    deliver(report, format, out)
    return 0 if report.good else 1


app.command(rich_help_panel=QUESTION)(drill)


@app.command(rich_help_panel=HAND_OVER)
def audit(plan: PlanPath, format: AsFormat = Format.text, out: Out = None, quiet: Quiet = False) -> None:
    """Check every rule in every state, and every stated total, on the plan's own numbers.

    Exit 1 when something does not hold.

    Example: `planner audit plan.json`
    """
    with answered(format):
        from planner import api
        from planner.plan.audit import not_checked
        from planner.review.answer import review_audit

        with progress(quiet, stage="reading the plan") as advance:
            made = plan_in(plan)
            result = api.audit(made, progress=advance)
        deliver(review_audit(result, not_checked(made.file)), format, out)
        raise SystemExit(0 if result.passed else 1)


@app.command(rich_help_panel=HAND_OVER)
def show(
    what: Annotated[str, typer.Argument(help="a rule, rules, a unit, units, schema, or schema:NAME")] = "rules",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="file to write; of `schema` a folder for all of them")
    ] = None,
) -> None:
    """Show a rule with its formula, the units, or the JSON Schema of a file, by which editors complete and check it.

    Examples: `planner show survivors_only` · `planner show schema --out schemas` · `planner show schema:study`
    """
    with answered():
        from planner.review.topics import topic_text

        if what == "schema" and out is not None:
            _write_schemas(out)
        else:
            emit(topic_text(what), out)


def _write_schemas(folder: Path) -> None:
    """The schema of every file that people write, in a folder that is made where there is none."""
    from planner.review.schemas import schema_files
    from planner.study.files import made_folder

    texts = {made_folder(folder) / name: text for name, text in schema_files().items()}
    for path in texts:
        check_out(path, kind=REPORT)
    for path, text in texts.items():
        emit(text, path)


app.command(rich_help_panel=QUESTION)(relax)
app.command(rich_help_panel=QUESTION)(alternatives)
for question in (risk, ladder, whatif, delay, crossover, sequence, diff):
    app.command(rich_help_panel=QUESTION)(question)
app.command(rich_help_panel=QUESTION)(explain)
app.command("list", rich_help_panel=QUESTION)(list_command)
app.command("emit", rich_help_panel=HAND_OVER)(emit_command)
app.command("drift", rich_help_panel=HAND_OVER)(drift_command)
import_app.command()(estimate)
app.add_typer(import_app, name="import", rich_help_panel=HAND_OVER)
app.command(rich_help_panel=HAND_OVER)(gate)


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
    code = _code()
    end_at_once("the command had ended")
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
