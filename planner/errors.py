"""Findings and the error tree.

A finding has four parts: where, what was expected, what was found, how to fix it. Everything a user can cause ends in
one of these errors; the command line turns them into three lines per finding and an exit code.
"""

from dataclasses import asdict, dataclass


def printable(text: str, keep: str = "") -> str:
    r"""A text without what steers a terminal: control characters, escapes, marks of direction, but those to `keep`.

    Examples
    --------
    >>> print(printable("a\x1b[31mb\x9b2J"))
    a\x1b[31mb\x9b2J
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text)


@dataclass(frozen=True, order=True)
class Finding:
    """One thing wrong with the input.

    Parameters
    ----------
    where : `file:line: field`, as far as known
    expected, got : what should stand there, and what does
    fix : what to do about it
    level : `error` stops, `warning` is told and the work goes on
    """

    where: str
    expected: str
    got: str
    fix: str
    level: str = "error"

    def __str__(self) -> str:
        where, expected, got, fix = map(printable, (self.where, self.expected, self.got, self.fix))
        return f"{where}\n  expected {expected}, got {got}\n  fix: {fix}"

    def as_dict(self) -> dict[str, str]:
        """The finding as plain data, for machine-readable output."""
        return asdict(self)


class PlannerError(Exception):
    """Anything that a user can cause. `exit_code` is what the command line ends with."""

    exit_code = 2


class InputError(PlannerError):
    """The input is wrong; all findings at once."""

    def __init__(self, findings: list[Finding]) -> None:
        self.findings = findings
        super().__init__("\n".join(str(finding) for finding in findings))


def refusal(where: str, expected: str, got: str, fix: str) -> InputError:
    """The error of one finding, to be raised: the parts of a `Finding`, in their order."""
    return InputError([Finding(where, expected, got, fix)])


class SolverError(PlannerError):
    """The solver answered something that is neither a solution nor a proof of infeasibility."""


class Undelivered(PlannerError):
    """A result cannot be written where it should go: standard output is closed, or its disk is full."""


class NoPlan(PlannerError):
    """No plan meets the survival goals; the message is the diagnosis."""

    exit_code = 1

    def __init__(self, message: str, diagnosis: tuple[dict[str, object], ...] = ()) -> None:
        self.diagnosis = diagnosis
        super().__init__(message)
