"""A report: sections of sentences and tables, from which text, Markdown and JSON are rendered."""

from dataclasses import dataclass, field
from typing import Any

Cell = str | int | float | None
MOST_ROWS = 12
"""Rows of a table that are shown unless all are asked for."""


@dataclass(frozen=True)
class Section:
    """A titled part of a report.

    Parameters
    ----------
    columns, rows : a table; cells as people read them
    more : rows left out
    data : the same figures as data, for JSON
    """

    title: str
    lines: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[Cell, ...], ...] = ()
    more: int = 0
    after: tuple[str, ...] = ()
    data: Any = None


@dataclass(frozen=True)
class Report:
    """What a command answers.

    Parameters
    ----------
    good : decides the exit code
    unsure : what could not be found out, as the report says it; commands say it on stderr, too
    """

    title: str
    good: bool
    sections: tuple[Section, ...]
    data: dict[str, Any] = field(default_factory=dict)
    unsure: tuple[str, ...] = ()


def usd(value: float) -> str:
    """Money as people read it.

    Examples
    --------
    >>> usd(12_345_678.0), usd(3.5)
    ('12,345,678', '3.50')
    """
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:,.2f}"


def percent(fraction: float, decimals: int = 0) -> str:
    """A fraction in percent, never rounded up to 100 when it is less.

    Examples
    --------
    >>> percent(0.9996), percent(1.0), percent(0.805, 1)
    ('99 %', '100 %', '80.5 %')
    """
    shown = round(100 * fraction, decimals)
    if shown >= 100 > 100 * fraction + 1e-6:
        shown = 100 - 10.0**-decimals
    return f"{shown:.{decimals}f} %"


def first_line(text: str) -> str:
    """The first line of a text."""
    return text.partition("\n")[0]


def short_failure(f: str) -> str:
    """A failure as people say it.

    Examples
    --------
    >>> short_failure("provider:aws + stack:cuda")
    'provider aws + stack cuda'
    """
    return " + ".join(part.replace(":", " ", 1) for part in f.split(" + "))
