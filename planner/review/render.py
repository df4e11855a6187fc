"""Reports as text for a terminal, as Markdown, as JSON, and their tables as CSV."""

import io
import itertools
import json
import re
import shutil
import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from planner.errors import printable
from planner.review.report import Line, Report, Section, Several, as_data
from planner.review.report_file import REPORT_SCHEMA_VERSION
from planner.review.tables import csv_of

LEAST_WIDTH, MOST_WIDTH, USUAL_WIDTH = 60, 160, 120
LONGEST_NUMBER = 16
"""Cells that begin with a number and are longer hold words: they may be folded between these."""
LONGEST_WORD = 40
"""What is longer, as a path, may be broken."""
NO_BREAK = "\N{NO-BREAK SPACE}"
UNIT = re.compile(r"(?<=[\d×±]) (?=%|(?:s|h|ms|M|USD|USD/h|months|days)\b)|(?<=[×±]) ")
GAP = 2
"""Between columns; a table that does not fit with words and numbers unbroken becomes blocks of `column: cell`."""
NEVER_FOLDED = ("pool", "order by", "units", "offer", "tier", "goal", "USD", "USD/h", "for goals")
"""Columns that hold names that people copy, and sums."""


def render(report: Report, format: str) -> str:
    """The report in one of the formats text, md, json, csv."""
    return {"text": _text, "md": _markdown, "json": _json, "csv": csv_of}[format](report)


@dataclass(frozen=True)
class _Table:
    """A table as people read it: the titles of its columns, and every cell as text."""

    titles: Sequence[str]
    rows: Sequence[Sequence[str]]

    def is_number(self, column: int) -> bool:
        cells = [row[column] for row in self.rows if row[column]]
        return bool(cells) and all(cell.strip().lstrip("-+≤")[:1].isdigit() for cell in cells)

    def filled(self) -> "_Table":
        """Without the columns that are blank in every row."""
        keep = [i for i in range(len(self.titles)) if any(row[i] for row in self.rows)]
        return _Table([self.titles[i] for i in keep], [[row[i] for i in keep] for row in self.rows])


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


def _lines(lines: Iterable[Line], report: Report) -> list[str]:
    """Every line that is written, of several of a kind the first ones."""
    written = []
    for line in lines:
        if isinstance(line, Several):
            kept = _kept(line.lines, report, line.most, lambda one: False)
            written += [*kept, *_more(len(line.lines) - len(kept), line.what, report)]
        else:
            written.append(line)
    return written


def _more(count: int, what: str, report: Report) -> list[str]:
    return [f"... and {count:,} {what}: {report.all_by}"] if count else []


def _parts(section: Section, report: Report) -> tuple[list[str], _Table, list[str]]:
    """A section as people read it: lines, table, lines after it."""
    kept = _kept(section.rows, report, section.most, section.always)
    columns = [column for column in section.columns if column.when and not column.detail]
    table = _Table([column.title for column in columns], [[column.written(row) for column in columns] for row in kept])
    after = _more(len(section.rows) - len(kept), "more", report) + _lines(section.after, report)
    return _lines(section.lines, report), table, after


# ------------------------------------------------------------------ text
def _text(report: Report) -> str:
    width = max(LEAST_WIDTH, min(MOST_WIDTH, shutil.get_terminal_size((USUAL_WIDTH, 40)).columns))
    lines = [printable(report.title)]
    for section in report.sections:
        before, table, after = _parts(section, report)
        lines += ["", printable(section.title), *_wrapped(map(_tied, before), width)]
        if table.rows:
            titles = [printable(title) for title in table.titles]
            lines += _fitted(_Table(titles, [[_tied(cell) for cell in row] for row in table.rows]), width)
        lines += _wrapped(map(_tied, after), width)
    return "\n".join(line.rstrip() for line in lines).replace(NO_BREAK, " ") + "\n"


def _tied(text: str) -> str:
    """A text with numbers tied to their units, so that no line ends between them."""
    return UNIT.sub(NO_BREAK, printable(text))


def _wrapped(lines: Iterable[str], width: int, indent: str = "  ") -> list[str]:
    """Sentences folded at blanks; what goes on is indented further."""
    folded = []
    for line in lines:
        begin = indent + " " * (len(line) - len(line.lstrip(" ")))
        folded += textwrap.wrap(
            line.strip(), width, initial_indent=begin, subsequent_indent=begin + "  ", break_on_hyphens=False
        ) or [""]
    return folded


def _fitted(table: _Table, width: int) -> list[str]:
    """A table; where it is too wide without its blank columns, then with names folded, else blocks."""
    shorter = table.filled()
    for part, never_folded in ((table, NEVER_FOLDED), (shorter, NEVER_FOLDED), (shorter, ())):
        widths = _widths(part, width, never_folded)
        if widths is not None:
            return _drawn(part, widths, width)
    return _blocks(table, width)


def _widths(table: _Table, width: int, never_folded: Sequence[str]) -> list[int] | None:
    """Widths of the columns with every word and number unbroken, which rich does not promise; None: they do not fit."""
    widest, least = [], []
    for i, title in enumerate(table.titles):
        cells = [row[i] for row in table.rows]
        longest = max(map(len, [*cells, *title.split()]), default=0)
        words = [word for cell in cells for word in cell.split(" ")]
        word = max(map(len, [*words, *title.split()]), default=0)
        is_short_number = table.is_number(i) and longest <= LONGEST_NUMBER
        widest.append(max(1, len(title), longest))
        if title in never_folded or is_short_number:
            least.append(longest)
        else:
            least.append(word if title in NEVER_FOLDED else min(LONGEST_WORD, word))
    while sum(widest) + GAP * (len(widest) - 1) > width:
        foldable = [(size, i) for i, size in enumerate(widest) if size > least[i]]
        if not foldable:
            return None
        widest[max(foldable)[1]] -= 1
    return widest


def _drawn(table: _Table, widths: list[int], width: int) -> list[str]:
    """A table by rich."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    for i, title in enumerate(table.titles):
        justify: Literal["right", "left"] = "right" if table.is_number(i) else "left"
        drawn.add_column(Text(title), justify=justify, overflow="fold", width=widths[i])
    for row in table.rows:
        cells = zip(row, widths, strict=True)
        drawn.add_row(*(Text("\n".join(_folded(cell, size))) for cell, size in cells))
    out = io.StringIO()
    Console(file=out, width=width, color_system=None, highlight=False).print(drawn)
    return out.getvalue().splitlines()


def _folded(cell: str, width: int) -> list[str]:
    """A cell folded at blanks; the blanks it begins with stay."""
    indent = " " * (len(cell) - len(cell.lstrip(" ")))
    return textwrap.wrap(cell, width, subsequent_indent=f"{indent}  " if indent else "", break_on_hyphens=False)


def _blocks(table: _Table, width: int) -> list[str]:
    """The rows of a table that is too wide, each as a paragraph: what it is first, then `column: cell`."""
    lines = []
    for row in table.rows:
        cells = [(title, cell.strip()) for title, cell in zip(table.titles, row, strict=True)]
        parts = [f"{title}: {cell}" if title else cell for title, cell in cells if cell]
        lines += _wrapped(["; ".join(parts)], width)
    return lines


# ------------------------------------------------------------------ Markdown and JSON
def _markdown(report: Report) -> str:
    lines = [f"# {_escaped(report.title)}", ""]
    for section in report.sections:
        before, table, after = _parts(section, report)
        lines += [f"## {printable(section.title)}", "", *_list(before)]
        if table.rows:
            rule = ["--:" if table.is_number(i) else "---" for i in range(len(table.titles))]
            rows = [map(_escaped, table.titles), rule, *(map(_escaped, row) for row in table.rows)]
            lines += [*(f"| {' | '.join(row)} |" for row in rows), ""]
        lines += _list(after)
    return "\n".join(lines)


def _list(lines: list[str]) -> list[str]:
    return [*(f"- {_escaped(line)}" for line in lines), ""] if lines else []


def _escaped(text: str) -> str:
    """A text of which nothing is read as Markdown."""
    text = printable(text)
    for character in "\\|<>*_`[]":
        text = text.replace(character, {"<": "&lt;", ">": "&gt;"}.get(character, "\\" + character))
    return text


def _json(report: Report) -> str:
    sections = {}
    for section in report.sections:
        if section.data is not None:
            data = section.data
        elif section.columns:
            data = section.rows
        else:
            several = [line.lines if isinstance(line, Several) else (line,) for line in section.lines]
            data = {"lines": list(itertools.chain(*several)), "rows": []}
        sections[section.key] = as_data(data)
    stated = {"schema_version": REPORT_SCHEMA_VERSION, "title": report.title, "good": report.good}
    data = {**as_data(report.data), **stated, "sections": sections}
    return json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False, default=str) + "\n"
