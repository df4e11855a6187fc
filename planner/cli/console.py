"""What every command shares: results on stdout, progress and messages on stderr, errors as three lines and a code."""

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from planner.errors import Finding, InputError, NoPlan, PlannerError

SHOW_PROGRESS_AFTER_SECONDS = 1.0


def tell(message: str) -> None:
    """A message on stderr."""
    print(message, file=sys.stderr)


def emit(text: str, out: Path | None, inputs: Iterable[Path] = ()) -> None:
    """A result on stdout, or in a file that is written whole or not at all, and is none of the inputs."""
    if out is None:
        sys.stdout.write(text if text.endswith("\n") else text + "\n")
        return
    from planner.planfile import check_writable, write_atomically

    check_writable(out, inputs)
    write_atomically(out, text if text.endswith("\n") else text + "\n")
    tell(f"wrote {out}")


def tell_unsure(report: Any, answers: Iterable[Any] = ()) -> None:
    """What a search that failed has left open, on stderr, too: on a page it may be overlooked."""
    for line in report.unsure:
        tell(f"not known: {line}")
    for answer in answers:
        if answer.unsure:
            tell(f"not known: {answer.variant.name}: {answer.why_not}")


def as_json(data: Any) -> str:
    """JSON for people and programs: sorted, indented."""
    return json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False, default=str)


def tell_findings(findings: list[Finding]) -> None:
    """Warnings and errors on stderr, in a stable order."""
    for finding in findings:
        tell(f"{finding.level}: {finding}")


@contextmanager
def answered(format: str = "text") -> Iterator[None]:
    """Turn whatever a user can cause into findings on stderr and an exit code, never a traceback."""
    try:
        yield
    except InputError as error:
        if format == "json":
            sys.stdout.write(as_json({"findings": [f.as_dict() for f in error.findings]}) + "\n")
        else:
            tell_findings(error.findings)
            errors = sum(f.level == "error" for f in error.findings)
            tell(f"{errors} error{'s' if errors != 1 else ''}")
        raise SystemExit(2) from None
    except NoPlan as error:
        if format == "json":
            sys.stdout.write(as_json({"plan": None, "message": str(error), "diagnosis": error.diagnosis}) + "\n")
        else:
            tell(str(error))
        raise SystemExit(1) from None
    except PlannerError as error:
        tell(f"error: {error}")
        raise SystemExit(error.exit_code) from None
    except KeyboardInterrupt:
        tell("interrupted; nothing was written")
        raise SystemExit(130) from None
    except BrokenPipeError:
        sys.stderr.close()
        raise SystemExit(0) from None


@contextmanager
def progress(quiet: bool = False) -> Iterator[Callable[[str, float | None, str], None]]:
    """A progress callback (stage, fraction, detail): a bar with an estimate on a terminal, one line per stage else.

    Nothing is shown for work that takes less than a second.
    """
    began = time.monotonic()
    if quiet:
        yield lambda stage, done, detail: None
        return
    if not sys.stderr.isatty():
        told: dict[str, float] = {}

        def line(stage: str, done: float | None, detail: str) -> None:
            now = time.monotonic()
            if now - began > SHOW_PROGRESS_AFTER_SECONDS and now - told.get(stage, 0.0) > 10.0:
                told[stage] = now
                share = "" if done is None else f" {done:.0%}"
                tell(f"{now - began:5.0f} s  {stage}{share}  {detail}")

        yield line
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[detail]}", markup=False),
        console=Console(stderr=True),
        transient=True,
    )
    tasks: dict[str, Any] = {}

    def update(stage: str, done: float | None, detail: str) -> None:
        if time.monotonic() - began < SHOW_PROGRESS_AFTER_SECONDS:
            return
        if stage not in tasks:
            bar.start()
            for task in tasks.values():
                bar.update(task, visible=False)
            tasks[stage] = bar.add_task(stage, total=1.0, detail="")
        bar.update(tasks[stage], completed=done, detail=detail, visible=True, total=None if done is None else 1.0)

    try:
        yield update
    finally:
        bar.stop()
