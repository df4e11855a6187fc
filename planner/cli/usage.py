"""A command line that cannot be read: a finding of three lines, as for any other input."""

import re
import sys
from collections.abc import Sequence
from typing import Any

from typer.core import TyperGroup

from planner.errors import Finding


class Commands(TyperGroup):
    """All commands. What is wrong with a command line is told as a finding, exit 2."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **more: Any,
    ) -> Any:
        """Run a command; as the framework's own, but for how it says that it was not called rightly."""
        words = list(sys.argv[1:] if args is None else args)
        try:
            result = super().main(words, prog_name, complete_var, False, windows_expand_args, **more)
        except Exception as error:
            if not standalone_mode or not hasattr(error, "format_message"):
                raise
            if type(error).__name__ == "NoArgsIsHelpError":
                error.show()  # type: ignore[attr-defined]  # `planner` alone: what there is
                raise SystemExit(2) from None
            _tell(usage_finding(error, words))
            raise SystemExit(2) from None
        if not standalone_mode:
            return result
        raise SystemExit(result if isinstance(result, int) else 0)


def _tell(finding: Finding) -> None:
    from planner.cli.console import tell, tell_findings

    tell_findings([finding])
    tell("1 error")


def usage_finding(error: Any, words: Sequence[str]) -> Finding:
    """What the framework could not read of a command line, as a finding.

    Parameters
    ----------
    error : a usage error of the framework: of a parameter, of a name that is none, or of the count of words
    words : the command line, without the program
    """
    from planner.study.places import near_miss, quoted

    command, what = _command(error), type(error).__name__
    see = f"`{command} --help` says what there is"
    if what == "NoSuchOption":
        hint = near_miss(error.option_name, error.possibilities or ())
        return Finding(command, "an option that it has", quoted(error.option_name) + hint, see)
    param = getattr(error, "param", None)
    if what == "MissingParameter" and param is not None:
        name, described = _name(param), getattr(param, "help", None) or ""
        return Finding(command, f"{name}: {described}".removesuffix(": "), "nothing", f"add it; {see}")
    if param is not None:
        value = _value(param, words)
        of_argument = re.search(r"'(.*)' is not one of ", error.message)  # the framework alone knows which word it was
        if value is None and of_argument is not None:
            value = of_argument[1]
        got = "a value that cannot be read" if value is None else quoted(value)
        described = getattr(param, "help", None) or "see its help"
        return Finding(_name(param), _expected(error.message), got, f"correct it: {described}; {see}")
    unknown = re.match(r"No such command '(.*?)'\.?(.*)", error.format_message(), re.DOTALL)
    if unknown is not None:
        commands = sorted(getattr(error.ctx.command, "commands", ()))
        got = quoted(unknown[1]) + near_miss(unknown[1], commands)
        return Finding(command, "a command", got, f"write one of: {', '.join(commands)}")
    surplus = re.match(r"Got unexpected extra arguments?(?:\(s\))? \((.*)\)", error.format_message(), re.DOTALL)
    if surplus is not None:
        return Finding(command, "no more arguments", quoted(surplus[1]), f"leave it out; {see}")
    if what == "BadOptionUsage":
        return Finding(error.option_name, "a value after it", "nothing", see)
    return Finding(command, "a command line that can be read", error.format_message(), see)


def _command(error: Any) -> str:
    """The command that was called, as people write it."""
    names: list[str] = []
    context = getattr(error, "ctx", None)
    while context is not None and context.parent is not None:
        names.insert(0, str(context.info_name))
        context = context.parent
    return " ".join(("planner", *names))


def _name(param: Any) -> str:
    """An option by its long name, an argument by its own in capitals."""
    names = [name for name in param.opts if name.startswith("--")]
    return names[0] if names else str(param.name).upper()


def _value(param: Any, words: Sequence[str]) -> str | None:
    """The last value of an option in a command line; None where it is not an option, or has none there."""
    value = None
    for word, after in zip(words, (*words[1:], None), strict=True):
        name, sign, rest = word.partition("=")
        if name in param.opts and name.startswith("-"):
            value = rest if sign else after
        elif any(len(opt) == 2 and word.startswith(opt) and len(word) > 2 for opt in param.opts):
            value = word[2:]
    return value


def _expected(message: str) -> str:
    """What a parameter should be, of the framework's words for what it is not.

    Examples
    --------
    >>> _expected("Input should be greater than or equal to 1")
    'a number of at least 1'
    >>> _expected("Input should be less than or equal to 100")
    'a number of at most 100'
    >>> _expected("101.0 is not in the range 0<=x<=100.")
    'a number from 0 to 100'
    >>> _expected("'few' is not a valid integer range.")
    'a whole number'
    >>> _expected("Value error, 'pdf' is not one of 'text', 'md', 'json'.")
    "one of 'text', 'md', 'json'"
    """
    least = re.search(r"(?:greater than or equal to|range x>=) ?(\S+?)\.?$", message)
    if least is not None:
        return f"a number of at least {least[1]}"
    within = re.search(r"range (\S+?)<=x<=(\S+?)\.?$", message)
    if within is not None:
        return f"a number from {within[1]} to {within[2]}"
    most = re.search(r"(?:less than or equal to|range x<=) ?(\S+?)\.?$", message)
    if most is not None:
        return f"a number of at most {most[1]}"
    options = re.search(r"is not one of (.*?)\.?$", message)
    if options is not None:
        return f"one of {options[1]}"
    kind = re.search(r"(?:should be|is not) a valid (\w+)", message)  # the second: typer on click
    if kind is not None:
        return {"integer": "a whole number", "number": "a number", "float": "a number"}.get(kind[1], f"a {kind[1]}")
    return message.rstrip(".")
