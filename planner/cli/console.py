"""What every command shares: results on stdout, progress and messages on stderr, errors as three lines and a code."""

from __future__ import annotations

import io
import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from planner.cli.progress import AT_WORK, Advance, is_live, progress_on
from planner.errors import Finding, InputError, NoPlan, PlannerError, Undelivered, printable, refusal
from planner.interruption import ends_at_once, exit_code, listen
from planner.study.files import REPORT, check_writable, kind_of, remembering, write_atomically, write_new_folder

if TYPE_CHECKING:
    from planner.plan.in_hand import Plan
    from planner.review.report import Report
    from planner.study.records.study import RunningReplicas, Study

PLAIN = str.maketrans({"─": "-", "×": "x", "…": "...", "≤": "<=", "≥": ">=", "·": "-", "→": "->", "±": "+-"})
"""What reports are drawn with, for a terminal that has ASCII only."""
_STEERING = re.compile(r"[\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


KEEPS = "Ctrl-C or SIGTERM ends it with the best plan found so far"
KEEPS_PLANS = "Ctrl-C or SIGTERM keeps what is done"
"""What the progress of a search says of an end before its time."""

FORMAT_BY_ENDING = {
    ".html": "html",
    ".htm": "html",
    ".md": "md",
    ".json": "json",
    ".xlsx": "xlsx",
    ".csv": "csv",
    ".zip": "csv",
}
"""What the name of a file says of how it is written."""

EDITED = "the file was changed after it was sealed"

_written: list[str] = []
_section: ContextVar[str | None] = ContextVar("_section", default=None)
"""The one section of reports that is asked for."""


def tell(message: str) -> None:
    """A message on stderr, without what steers a terminal; where nobody can be told, nothing happens."""
    if sys.stderr is None:
        return  # `print` would take standard output instead
    try:
        print(printable(message, keep="\n"), file=sys.stderr, flush=True)
    except (OSError, ValueError):
        lead_nowhere(2)


def emit(result: str | bytes, out: Path | None, option: str = "--out") -> None:
    """A result on stdout, or in a file that is written whole or not at all, and replaces none of those that were read,
    nor one of another kind.

    `option` is the one that names the file: what is refused says to name another there.

    Raises
    ------
    InputError
        when the file cannot be written, or is an input or a result of this command
    Undelivered
        when it should go to stdout, which is closed or full
    """
    if isinstance(result, str) and not result.endswith("\n"):
        result += "\n"
    if out is None:
        if isinstance(result, str):
            _say(result)
        else:
            _say_bytes(result)
        return
    check_writable(out, option=option)
    if os.path.realpath(out) in _written:
        fix = "name another file"
        raise refusal(str(out), "a file of its own for each result", "one that was just written", fix)
    check_writable(out, option=option, kind=kind_of(result) if isinstance(result, str) else REPORT)
    target = write_atomically(out, result, option)
    if target.is_file():
        _written.append(os.path.realpath(target))
    tell(f"wrote {out}" + (f", a link to {target}" if out.is_symlink() and target != out else ""))


def check_apart(out: Path | None, other: Path) -> None:
    """Find out before long work whether two results would be one file.

    Raises
    ------
    InputError
        when they would
    """
    if out is not None and os.path.realpath(out) == os.path.realpath(other):
        raise refusal(str(other), "a file of its own for each result", "that of --out, too", "name another file")


def check_out(out: Path | None, option: str = "--out", kind: str | None = None) -> None:
    """Find out before long work whether its result, of this kind, can be written; `option` names the file.

    Raises
    ------
    InputError, Undelivered
        as `emit`
    """
    if out is not None:
        check_writable(out, option=option, kind=kind)
    elif sys.stdout is None:
        raise Undelivered("standard output is closed: nothing can be written there; name a file with --out")


def _say(text: str) -> None:
    """Text on stdout, now: what cannot be delivered is said, not found out when the process ends."""
    check_out(None)
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    is_json = text.startswith(("{", "["))
    if is_json:
        text = _STEERING.sub(_escaped, text)
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        if is_json:
            text = re.sub(r"[^\x00-\x7f]", _escaped, text)
        else:
            text = text.translate(PLAIN).encode(encoding, "backslashreplace").decode(encoding)
            tell(f"standard output is {encoding}: other characters are written as escapes; --out writes UTF-8")
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever reads has enough: the work goes on, and its exit code is what it is
        lead_nowhere(1)
        tell("standard output was closed by its reader: the rest was not written")
    except OSError as error:
        lead_nowhere(1)
        raise Undelivered(f"standard output cannot be written: {(error.strerror or str(error)).lower()}") from None


def _say_bytes(data: bytes) -> None:
    """A workbook on stdout.

    Raises
    ------
    Undelivered
        when it is closed or full
    """
    check_out(None)
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except OSError as error:
        lead_nowhere(1)
        raise Undelivered(f"standard output cannot be written: {(error.strerror or str(error)).lower()}") from None


def _escaped(sign: re.Match[str]) -> str:
    """A character as JSON escapes it."""
    return json.dumps(sign[0])[1:-1]


def lead_nowhere(descriptor: int) -> None:
    """Let a stream that cannot be written lead nowhere, so that nothing else fails for it when the process ends."""
    with suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, descriptor)
        os.close(nowhere)


def ready_streams() -> None:
    """Before anything else: no file may be opened under the number of a standard stream that is closed.

    A closed stdout stays known as such (`sys.stdout` is None), messages to a closed stderr lead nowhere.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            with suppress(OSError):
                os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def as_json(data: Any) -> str:
    """JSON for people and programs: sorted, indented."""
    return json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False, default=str)


def tell_findings(findings: list[Finding]) -> None:
    """Warnings and errors on stderr, in a stable order."""
    for finding in findings:
        tell(f"{finding.level}: {finding}")


def study_in(path: Path) -> Study:
    """The study in a file or folder; its warnings are told on stderr."""
    from planner.api import read_study

    warnings: list[Finding] = []
    study = read_study(path, warnings)
    tell_findings(warnings)
    return study


def plan_in(path: Path) -> Plan:
    """The plan in a file; what was renamed since its schema version is told on stderr."""
    from planner.api import read_plan

    warnings: list[Finding] = []
    plan = read_plan(path, warnings)
    tell_findings(warnings)
    return plan


def fleet_in(path: Path, study_path: Path | None) -> tuple[Study, tuple[RunningReplicas, ...]]:
    """A study, and what runs today by a CSV; its warnings are told on stderr.

    Raises
    ------
    InputError
        when no study was named
    """
    from planner.api import read_fleet, read_study

    if study_path is None:
        fix = "name the study whose components, demand and goals are meant"
        raise InputError([Finding(str(path), "--study with a fleet", "none", fix)])
    warnings: list[Finding] = []
    study = read_study(study_path, warnings)
    fleet = read_fleet(path, study, warnings)
    tell_findings(warnings)
    return study, fleet


def is_edited(plan: Plan) -> bool:
    """Whether a plan was changed after it was sealed."""
    from planner.plan.file import digest

    return plan.file.digest_sha256 != digest(plan.file.model_dump(mode="json", by_alias=True))


def refuse_edited(plan: Plan, path: Path) -> None:
    """Refuse to say why of a plan that was changed after it was sealed: what it says was never planned.

    Raises
    ------
    InputError
        for one that was
    """
    if is_edited(plan):
        fix = "plan the study again, and ask about that plan"
        raise refusal(str(path), "a plan as it was sealed", "one that was changed since", fix)


def tell_if_edited(plan: Plan) -> bool:
    """Whether a plan was changed after it was sealed; told on stderr."""
    edited = is_edited(plan)
    if edited:
        tell(f"warning: {plan.study.study}: {EDITED}")
    return edited


def in_colour(stream: TextIO | None) -> bool:
    """Whether a stream is written to in colour: on a terminal that has any, but never with NO_COLOR; always with
    FORCE_COLOR (no-color.org, force-color.org)."""
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or is_live(stream)


def format_of(format: str, out: Path | None) -> str:
    """The format that is asked for; where none other than text is, the one that the file's name ends with.

    Examples
    --------
    >>> format_of("text", Path("a.html")), format_of("json", Path("a.html")), format_of("text", None)
    ('html', 'json', 'text')
    """
    return FORMAT_BY_ENDING.get(out.suffix.lower(), format) if format == "text" and out is not None else format


@contextmanager
def of_section(name: str | None) -> Iterator[None]:
    """Reports that are delivered within are cut down to one section; none: they stay whole."""
    token = _section.set(name)
    try:
        yield
    finally:
        _section.reset(token)


def deliver(report: Report, format: str, out: Path | None) -> None:
    """A report on stdout or in a file; what could not be found out is said on stderr, too.

    Raises
    ------
    InputError
        when the section that is asked for is not in it
    """
    from planner.api import workbook
    from planner.review.render import render

    if (name := _section.get()) is not None:
        from planner.review.tables import one_section

        report = one_section(report, name)
    format = format_of(format, out)
    if format == "xlsx":
        emit(workbook(report), out)
    elif format == "csv":
        _deliver_csv(report, out)
    else:
        emit(render(report, format, colour=out is None and in_colour(sys.stdout)), out)
    for line in report.unsure:
        tell(f"not known: {line}")


def _deliver_csv(report: Report, out: Path | None) -> None:
    """Tables as CSV: in NAME.zip or a new folder a file for each, else one, or one below the other."""
    from planner.review.tables import csv_files, csv_of, report_tables, zipped

    ending = "" if out is None else out.suffix.lower()
    if ending == ".zip":
        emit(zipped(csv_files(report)), out)
    elif out is not None and not ending:
        _emit_folder(csv_files(report), out)
    else:
        emit(csv_of(report), out)
        keys = [table.key for table in report_tables(report)]
        if len(keys) > 1:
            apart = f"--section NAME writes one ({', '.join(keys)}), --out NAME.zip a file for each"
            tell(f"{len(keys)} tables, one below the other: {apart}")


def _emit_folder(files: dict[str, bytes], folder: Path) -> None:
    """Files in a new folder, all or none.

    Raises
    ------
    InputError
        when it exists, or cannot be written
    """
    if folder.exists():
        raise refusal(str(folder), "a new folder, or NAME.zip", "one that exists", "name another --out")
    check_writable(folder)
    for path in write_new_folder(folder, files):
        tell(f"wrote {path}")


@contextmanager
def answered(format: str = "text") -> Iterator[None]:
    """Turn whatever a user can cause into findings on stderr and an exit code, never a traceback.

    What is read within is remembered as input: `emit` refuses to write over it. Signals end work in order from here on.
    """
    _written.clear()
    try:
        if ends_at_once():
            listen()
        with remembering():
            try:
                yield
            except (InputError, NoPlan) as error:
                if format != "json":
                    raise
                _say(as_json(_as_data(error)) + "\n")
                raise SystemExit(error.exit_code) from None
    except InputError as error:
        tell_findings(error.findings)
        errors = sum(f.level == "error" for f in error.findings)
        tell(f"{errors} error{'s' if errors != 1 else ''}")
        raise SystemExit(2) from None
    except NoPlan as error:
        tell(str(error))
        raise SystemExit(1) from None
    except PlannerError as error:
        tell(f"error: {error}")
        raise SystemExit(error.exit_code) from None
    except KeyboardInterrupt as error:
        tell(f"interrupted; {'; '.join(_written_before(error))}")
        raise SystemExit(exit_code(error)) from None


def _as_data(error: InputError | NoPlan) -> dict[str, Any]:
    """What stopped a command, for programs."""
    if isinstance(error, InputError):
        return {"findings": [finding.as_dict() for finding in error.findings]}
    return {"plan": None, "message": str(error), "diagnosis": error.diagnosis}


def _written_before(error: KeyboardInterrupt) -> list[str]:
    """What an interrupted command has written."""
    notes: list[str] = [*getattr(error, "__notes__", ()), *(f"{name} was written before, whole" for name in _written)]
    return notes or ["nothing was written"]


def progress(quiet: bool = False, keeps: str = "", stage: str = AT_WORK) -> AbstractContextManager[Advance]:
    """A progress callback (stage, fraction, detail) that shows on stderr how far work is; see `progress_on`."""
    return progress_on(sys.stderr, tell, quiet, keeps, stage)
