"""A report: sections of sentences and tables, from which text, Markdown and JSON are rendered."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from planner.review.figures import Figure
from planner.review.figures import percent as percent
from planner.review.figures import signed as signed
from planner.review.figures import usd as usd
from planner.study.records.base import Record

if TYPE_CHECKING:
    import pandas as pd

Cell = str | int | float | None
MOST_ROWS = 12
"""Rows of a table that are written unless all are asked for."""
WHY_LINES = 4
Shade = Literal["all", "due", "undue", "short"]
"""All is served; less, and no less than is due; less, and nothing is due; less than is due."""
Part = Literal["answer", "picture", "evidence", "beside", "section"]
"""Where a page has a section: first, under the picture drawn from it, as what holds where and how that is known, beside
another plan, or with all that a report is made of."""


Severity = Literal["held", "at risk", "broken"]
HELD: Severity = "held"
AT_RISK: Severity = "at risk"
BROKEN: Severity = "broken"
"""How grave a line or a cell is: what colours are chosen by. It never says more than the words beside it."""


class Judged(str):
    """A line with its severity; otherwise a line like any other."""

    severity: Severity

    def __new__(cls, line: str, severity: Severity) -> "Judged":
        """A line, and how grave it is."""
        judged = super().__new__(cls, line)
        judged.severity = severity
        return judged


class Command(str):
    """A line that is pasted into a shell as it is: never folded but where a shell reads on."""


def severity_of_line(line: str) -> Severity | None:
    """How grave a line is; None where nobody judged it."""
    return line.severity if isinstance(line, Judged) else None


@dataclass(frozen=True)
class Column:
    """A column of a table: its title, and how its cell is written from a row.

    Parameters
    ----------
    cell : from a row to what people read; none: the field that is named like the title. A number, a `Figure` or a day
        is one in spreadsheets, too
    when : whether the table has this column at all
    shade : of a row: how a page colours its cell, where a table is a map; the text alone says the same
    severity : from a row to how grave its cell is; none: nobody judges it
    adds : whether its figures add up to something: a spreadsheet then has their total
    detail : whether only spreadsheets have it: what would not fit on a page, and programs read by its field
    spreadsheet_title : its title there, where that is not the one of the page
    """

    title: str
    cell: Callable[[Any], Cell] | None = None
    when: bool = True
    shade: Callable[[Any], Shade | None] = lambda row: None
    severity: Callable[[Any], Severity | None] | None = None
    adds: bool = False
    detail: bool = False
    spreadsheet_title: str = ""

    def value(self, row: Any) -> Cell:
        """The cell of a row as it is: a number, a figure with its number, a text, or nothing."""
        return self.cell(row) if self.cell is not None else getattr(row, self.title.replace(" ", "_"))

    def written(self, row: Any) -> str:
        """The cell of a row as text; nothing for None, thousands apart in numbers."""
        cell = self.value(row)
        if cell is None:
            return ""
        return f"{cell:,}" if isinstance(cell, int | float) else str(cell)

    def severity_in(self, row: Any) -> Severity | None:
        """How grave the cell of a row is; None where nobody judges it."""
        return None if self.severity is None else self.severity(row)


@dataclass(frozen=True)
class Several:
    """Lines of one kind, of which the first `most` are written unless all are asked for."""

    lines: tuple[str, ...]
    what: str
    most: int = MOST_ROWS


Line = str | Several


def item_columns(*titles: str) -> tuple[Column, ...]:
    """The columns of a table whose rows are tuples, in their order."""

    def column(place: int, title: str) -> Column:
        return Column(title, lambda row: row[place])

    return tuple(column(place, title) for place, title in enumerate(titles))


@dataclass(frozen=True)
class Section:
    """A titled part of a report: lines, a table, and lines that explain the table.

    In JSON a section is the list of its rows, field by field; one without a table its lines; or `data`, where given.

    Parameters
    ----------
    title : what stands in brackets is no part of the key in JSON
    columns, rows : a table of records of one type, each row a record
    data : the section in JSON, where that is neither its rows nor its lines
    most : rows that are written unless all are asked for; none: every row
    always : of a row: whether it is written whatever is left out
    part : where a page has it
    when_all : whether text and Markdown have it only where every row is written; the other formats always do
    total : the row among them that adds up those before it; spreadsheets have a formula there
    """

    title: str
    lines: tuple[Line, ...] = ()
    columns: tuple[Column, ...] = ()
    rows: Sequence[Any] = ()
    after: tuple[Line, ...] = ()
    data: Any = None
    most: int | None = MOST_ROWS
    always: Callable[[Any], bool] = lambda row: False
    part: Part = "section"
    when_all: bool = False
    total: Any = None

    @property
    def key(self) -> str:
        """Its name for programs, options and files: the title in small letters, without what stands in brackets."""
        return self.title.partition(" (")[0].lower()


class Drawing(Protocol):
    """A picture on a page."""

    @property
    def title(self) -> str:
        """What stands above it."""

    @property
    def summary(self) -> str:
        """A sentence that says what it shows."""

    @property
    def svg(self) -> str:
        """Its markup, names in it escaped."""

    @property
    def section(self) -> Section:
        """The rows that it is drawn from."""


def no_drawings() -> Sequence[Drawing]:
    """Of a report without pictures."""
    return ()


def frame_section(
    title: str, lines: tuple[Line, ...], frame: "pd.DataFrame", data: Any = None, zero: Cell = None
) -> Section:
    """A section whose table is a frame, every row of it; `zero` is what stands for a count of 0."""

    def column(name: str) -> Column:
        return Column(name.replace("_", " "), lambda row: row[name] or zero)

    return Section(title, lines, tuple(map(column, frame.columns)), frame.to_dict("records"), data=data, most=None)


@dataclass(frozen=True)
class Report:
    """What a command answers.

    Parameters
    ----------
    good : decides the exit code
    data : more for JSON, beside the sections
    unsure : what could not be found out, as the report says it; commands say it on stderr, too
    all_rows : whether every row is written
    all_by : the option that writes them
    drawings : makes the pictures that a page has, when one is written
    """

    title: str
    good: bool
    sections: tuple[Section, ...]
    data: dict[str, Any] = field(default_factory=dict)
    unsure: tuple[str, ...] = ()
    all_rows: bool = True
    all_by: str = "--all"
    drawings: Callable[[], Sequence[Drawing]] = no_drawings

    @property
    def in_short(self) -> tuple[Section, ...]:
        """The sections of text and Markdown: those that only a report with every row has are left out of others."""
        return tuple(section for section in self.sections if self.all_rows or not section.when_all)


def made(*sections: Section | None) -> tuple[Section, ...]:
    """The sections that there are."""
    return tuple(section for section in sections if section is not None)


def no_plan_section(why_not: Mapping[str, str], data: Any = None) -> Section | None:
    """What has no plan, and why; no section where all has one."""
    lines = []
    for name, why in why_not.items():
        lines += [f"{name}:", *(f"  {line.strip()}" for line in why.splitlines()[:WHY_LINES])]
    return Section("NO PLAN", tuple(lines), data=data) if lines else None


def as_data(value: Any) -> Any:
    """Records, and what they hold, as plain data for JSON: field by field, numbers as they are."""
    if isinstance(value, Record):
        return value.model_dump(mode="json", by_alias=True)
    if is_dataclass(value):
        return {part.name: as_data(getattr(value, part.name)) for part in fields(value)}
    if isinstance(value, Mapping):
        return {key: as_data(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [as_data(part) for part in value]
    return value


def between(ends: Sequence[float] | None) -> str:
    """The least and the most that a difference in money can be; nothing where that is not known."""
    return "" if ends is None else Figure(f"{signed(ends[0])} to {signed(ends[1])}", ends[0], "USD", most=ends[1])


def first_line(text: str) -> str:
    """The first line of a text."""
    return text.partition("\n")[0]


def first_of(names: Sequence[str], most: int) -> str:
    """The first names of several, and how many more there are.

    Examples
    --------
    >>> first_of(["a", "b", "c"], 2), first_of(["a"], 2)
    ('a, b and 1 more', 'a')
    """
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def short_failure(f: str) -> str:
    """A failure as people say it.

    Examples
    --------
    >>> short_failure("provider:aws + stack:cuda")
    'provider aws + stack cuda'
    """
    return " + ".join(part.replace(":", " ", 1) for part in f.split(" + "))
