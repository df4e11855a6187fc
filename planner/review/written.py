"""A section as it is written: its lines, and its table with every cell as text; what is left out is cut here, once."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from planner.review.report import Command, Line, Report, Section, Several, Severity, severity_of_line

_ONE = r"[-+−≤≥<>×±(]*\s?\d(?:[\d.,:-]*\d)?[%a-zA-Z]{0,2}\)?"
_UNIT = r"(?:%|[A-Za-z/]{1,9})\)?"
NUMBER = re.compile(rf"{_ONE}(?:\s(?:{_ONE}|{_UNIT}))*")
"""A number, or several with words between them as short as units: `6.68 M`, `21 of 21`, `80 % (75 %)`, `2026-12-04`."""


@dataclass(frozen=True)
class Written:
    """A line or a cell as text, and how grave it is."""

    text: str
    severity: Severity | None = None
    is_command: bool = False


@dataclass(frozen=True)
class Table:
    """A table as people read it: the titles of its columns, and every cell."""

    titles: Sequence[str]
    rows: Sequence[Sequence[Written]]

    def is_number(self, column: int) -> bool:
        """Whether a column is of numbers, with units where they have any; a few words may stand for one that is not
        known, as `no plan`."""
        cells = [row[column].text.strip() for row in self.rows if row[column].text]
        words = [cell for cell in cells if not NUMBER.fullmatch(cell)]
        return 2 * len(words) < len(cells) and not any(map(str.isdigit, "".join(words)))

    def without_blank_columns(self) -> "Table":
        """Without the columns that are blank in every row."""
        keep = [i for i in range(len(self.titles)) if any(row[i].text for row in self.rows)]
        return Table([self.titles[i] for i in keep], [[row[i] for i in keep] for row in self.rows])


@dataclass(frozen=True)
class WrittenSection:
    """A section as people read it: lines, table, lines after it."""

    title: str
    before: list[Written]
    table: Table
    after: list[Written]


def written_section(section: Section, report: Report) -> WrittenSection:
    """A section of a report, cut as the report says."""
    kept = _kept(section.rows, report, section.most, section.always)
    columns = [column for column in section.columns if column.when and not column.detail]
    rows = [[Written(column.written(row), column.severity_in(row)) for column in columns] for row in kept]
    after = _more(len(section.rows) - len(kept), "more", report) + _lines(section.after, report)
    return WrittenSection(
        section.title, _lines(section.lines, report), Table([column.title for column in columns], rows), after
    )


def _kept(rows: Iterable[Any], report: Report, most: int | None, always: Callable[[Any], bool]) -> list[Any]:
    """The rows that are written: of a report that is cut the first `most`, and those that always are."""
    if report.all_rows or most is None:
        return list(rows)
    kept, others = [], 0
    for row in rows:
        others += not always(row)
        if always(row) or others <= most:
            kept.append(row)
    return kept


def _lines(lines: Iterable[Line], report: Report) -> list[Written]:
    """Every line that is written, of several of a kind the first ones."""
    written = []
    for line in lines:
        if isinstance(line, Several):
            kept = _kept(line.lines, report, line.most, lambda one: False)
            written += [Written(one, severity_of_line(one)) for one in kept]
            written += _more(len(line.lines) - len(kept), line.what, report)
        else:
            written.append(Written(line, severity_of_line(line), isinstance(line, Command)))
    return written


def _more(count: int, what: str, report: Report) -> list[Written]:
    return [Written(f"... and {count:,} {what}: {report.all_by}")] if count else []
