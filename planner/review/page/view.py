"""A report as its page lays it out: sections by where they stand, tables with what is read at once and what unfolds."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from planner.errors import printable
from planner.review.report import Column, Command, Line, Report, Section, Several, Severity, severity_of_line
from planner.review.written import NUMBER

WIDE_CHARACTERS, SHORT_CHARACTERS = 40, 14
"""A column with a longer cell is kept wide enough to be read; one with none longer is not folded."""
CLASS_OF: dict[Severity, str] = {"held": "held", "at risk": "at-risk", "broken": "broken"}
UNIT = re.compile(r"(?<=[\d×]) (?=%|(?:s|h|ms|M|USD|kW|MW|GiB|months|days)\b|\d)|(?<=[×±]) ")
NO_BREAK = "\N{NO-BREAK SPACE}"
"""Between a number and its unit, so that no line ends there."""
INDENT = "  "
"""What begins with it belongs to the line, or row, before."""
ORDER_OF_ANSWER = (
    "DECISION",
    "ANSWER",
    "DUE BY DAY",
    "SERVED",
    "CANNOT BE COVERED",
    "CHANGES AGAINST TODAY",
    "WEAKEST ASSUMPTIONS",
)
"""Sections that answer, in the order in which they are asked about; others follow."""


@dataclass(frozen=True)
class Header:
    """The head of a column, and the classes of its cells."""

    title: str
    classes: str


@dataclass(frozen=True)
class CellView:
    """A cell: its text and classes, and whether it names its row."""

    text: str
    classes: str
    is_header: bool


@dataclass(frozen=True)
class TableView:
    """A table: rows that are read at once, and those that unfold."""

    caption: str
    headers: Sequence[Header]
    rows: Sequence[Sequence[CellView]]
    more: Sequence[Sequence[CellView]]


@dataclass(frozen=True)
class LineView:
    """A sentence, and its classes: `part` where it belongs to the one before, how grave it is."""

    text: str
    classes: str


@dataclass(frozen=True)
class SectionView:
    """A section with an id for its heading; `table` is None where it has no rows."""

    id: str
    title: str
    lines: Sequence[LineView]
    more_lines: Sequence[LineView]
    table: TableView | None
    after: Sequence[LineView]
    more_after: Sequence[LineView]


def sections_in(report: Report, part: str) -> list[Section]:
    """The sections of one part of the page, in its order."""
    sections = [section for section in report.sections if section.part == part]
    if part == "answer":
        sections.sort(key=_place)
    return sections


def _place(section: Section) -> int:
    titles = ORDER_OF_ANSWER
    return titles.index(section.title) if section.title in titles else len(titles)


def section_view(section: Section, id: str) -> SectionView:
    """A section as the page writes it, every row and line of it."""
    lines, more_lines = _lines(section.lines)
    after, more_after = _lines(section.after)
    title = title_of(section.title)
    return SectionView(id, title, lines, more_lines, _table(section, title), after, more_after)


def title_of(title: str) -> str:
    """A title in capitals as a heading; what stands in brackets, and other titles, as they are.

    Examples
    --------
    >>> title_of("BOTTLENECKS (shadow prices)"), title_of("Where")
    ('Bottlenecks (shadow prices)', 'Where')
    """
    name, bracket, rest = printable(title).partition(" (")
    return (name.capitalize() if name.isupper() else name) + bracket + rest


def tied(text: str) -> str:
    """A text without what steers a reader's program, numbers tied to their units."""
    return UNIT.sub(NO_BREAK, printable(text))


def _lines(lines: Iterable[Line]) -> tuple[list[LineView], list[LineView]]:
    """Lines that are read at once, and those that unfold."""
    first, more = [], []
    for line in lines:
        if isinstance(line, Several):
            first += [_line(text) for text in line.lines[: line.most]]
            more += [_line(text) for text in line.lines[line.most :]]
        else:
            first.append(_line(line))
    return first, more


def _line(text: str) -> LineView:
    severity = severity_of_line(text)
    classes = ["part"] if text.startswith(INDENT) else []
    line = text if isinstance(text, Command) else tied(text.strip())
    return LineView(line, " ".join([*classes, *([CLASS_OF[severity]] if severity else [])]))


def _table(section: Section, title: str) -> TableView | None:
    if not section.rows:
        return None
    columns = [column for column in section.columns if column.when and not column.detail]
    texts = [[tied(column.written(row)) for column in columns] for row in section.rows]
    by_column = list(zip(*texts, strict=True))
    is_number = [_are_numbers(cells) for cells in by_column]
    names_row = is_number.index(False) if False in is_number else 0
    headers = []
    for column, number, texts_of_it in zip(columns, is_number, by_column, strict=True):
        headers.append(Header(printable(column.title), "number" if number else _width(texts_of_it)))
    first, more = list[Sequence[CellView]](), list[Sequence[CellView]]()
    for row, of_row in zip(section.rows, texts, strict=True):
        cells = []
        for i, text in enumerate(of_row):
            classes = [headers[i].classes, *_classes(columns[i], row), "part" if text.startswith(INDENT) else ""]
            cells.append(CellView(text.strip(), " ".join(filter(None, classes)), i == names_row))
        is_first = section.most is None or section.always(row) or len(first) < section.most
        (first if is_first else more).append(cells)
    return TableView(title, headers, first, more)


def _width(texts: Sequence[str]) -> str:
    """The class of a column of words, by its longest cell."""
    longest = max(map(len, texts))
    return "wide" if longest > WIDE_CHARACTERS else "short" if longest <= SHORT_CHARACTERS else ""


def _are_numbers(cells: Sequence[str]) -> bool:
    """Whether the cells of a column, but for blank ones, are numbers, with their units where they have one."""
    filled = [cell.strip() for cell in cells if cell]
    return bool(filled) and all(NUMBER.fullmatch(cell) for cell in filled)


def _classes(column: Column, row: Any) -> list[str]:
    """The classes of a cell: its colour on a map, and how grave it is."""
    shade, severity = column.shade(row), column.severity_in(row)
    classes = [] if shade is None else [f"shade-{shade}"]
    return classes if severity is None else [*classes, CLASS_OF[severity]]
