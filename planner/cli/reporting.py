"""What every command has that answers with a report, whichever it is: --json and --section."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from planner.cli.console import FORMAT_BY_ENDING, answered, format_of, of_section
from planner.cli.options import Format, Out

AsJson = Annotated[bool, typer.Option("--json", help="short for --format json")]
OfSection = Annotated[
    str | None, typer.Option(help="this section alone, by its title, as in --section order; for csv: its table")
]


class App(typer.Typer):
    """Commands; those with a --format get --json beside it, those that answer with a report --section, too."""

    def command(  # type: ignore[override]  # whatever options the framework has
        self, *given: Any, **options: Any
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """As the framework's own."""
        register = super().command(*given, **options)

        def registered(function: Callable[..., Any]) -> Callable[..., Any]:
            register(_with_options(function))
            return function

        return registered


def _with_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """A command with the options that its own lead to; one without --format as it is."""
    signature = inspect.signature(function, eval_str=True)
    if "format" not in signature.parameters:
        return function
    reports = "csv" in _formats_of(signature.parameters["format"].annotation)
    has_out = "out" in signature.parameters and signature.parameters["out"].annotation == Out
    takes_report = reports and has_out and signature.parameters["format"].default is not None  # else --out is another's
    added = {"as_json": AsJson, **({"section": OfSection} if reports else {})}

    @wraps(function)
    def command(*given: Any, **options: Any) -> Any:
        section = options.pop("section", None)
        if options.pop("as_json", False):
            with answered("json"):
                _refuse_other_format(options["format"])
            options["format"] = Format.json
        out = options.get("out") if takes_report else None
        with answered(options["format"] or "text"):
            _refuse_other_ending(out, format_of(options["format"] or "text", out))
            if options["format"] == "xlsx":
                _refuse_terminal(out)
        with of_section(section):
            return function(*given, **options)

    parameters = list(signature.parameters.values())
    for name, annotation in added.items():
        default = False if name == "as_json" else None
        parameters.append(
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        )
    command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return command


def _formats_of(annotation: Any) -> list[str]:
    """The formats that an option may have, through what it is annotated with."""
    if isinstance(annotation, type):
        return [str(member) for member in getattr(annotation, "__members__", ())]
    parts = getattr(annotation, "__args__", None) or ()
    return [name for part in parts for name in _formats_of(part)]


def _refuse_terminal(out: Path | None) -> None:
    """Raise before any work where a workbook would go to a terminal.

    Raises
    ------
    InputError
        when it would
    """
    from planner.errors import refusal

    if out is None and sys.stdout is not None and sys.stdout.isatty():
        fix = "write it to a file: > report.xlsx, or --out report.xlsx where that names the report"
        raise refusal("--format xlsx", "a file for the workbook", "a terminal", fix)


def _refuse_other_ending(out: Path | None, format: str | None) -> None:
    """Raise before any work where a file would not be what its name says.

    Raises
    ------
    InputError
        when it would not
    """
    from planner.errors import refusal

    asks = FORMAT_BY_ENDING.get(out.suffix.lower()) if out is not None else None
    if asks is not None and format != asks:
        raise refusal(str(out), f"--format {asks} with it", f"--format {format}", f"add --format {asks}")


def _refuse_other_format(format: str | None) -> None:
    """Raise where another format is asked for beside --json.

    Raises
    ------
    InputError
        when one is
    """
    from planner.errors import refusal

    if format not in (None, "text", "json"):
        raise refusal("--json", "no other --format beside it", f"--format {format}", "leave one of them out")
