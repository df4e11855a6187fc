"""Reports as text for a terminal, as Markdown, and as JSON."""

import io
import json
import re
import shutil
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Literal

from planner.errors import printable
from planner.review.report import Cell, Report, Section

LEAST_WIDTH, MOST_WIDTH, USUAL_WIDTH = 60, 160, 120
LONGEST_NUMBER = 16
"""Cells that begin with a number and are longer hold words: they may be folded between these."""
LONGEST_WORD = 40
"""What is longer, as a path, may be broken."""
NO_BREAK = "\N{NO-BREAK SPACE}"
UNIT = re.compile(r"(?<=[\d×±]) (?=%|(?:s|h|ms|M|USD|USD/h|months|days)\b)|(?<=[×±]) ")
GAP = 2
"""Between columns; a table that does not fit whole words and numbers is written as blocks of `column: cell`."""
WHOLE_COLUMNS = ("pool", "by", "units", "offer", "tier", "goal", "USD", "USD/h", "for goals")
"""Columns that are never folded: names that people copy."""


def render(report: Report, format: str) -> str:
    """The report in one of the formats text, md, json."""
    return {"text": _text, "md": _markdown, "json": _json}[format](report)


def _shown(cell: Cell) -> str:
    if cell is None:
        return ""
    return f"{cell:,}" if isinstance(cell, int | float) else str(cell)


def _is_number(section: Section, column: int) -> bool:
    cells = [row[column] for row in section.rows if row[column] not in (None, "")]
    return bool(cells) and all(_shown(cell).strip().lstrip("-+≤")[:1].isdigit() for cell in cells)


def _text(report: Report) -> str:
    from rich.console import Console

    out = io.StringIO()
    width = max(LEAST_WIDTH, min(MOST_WIDTH, shutil.get_terminal_size((USUAL_WIDTH, 40)).columns))
    console = Console(file=out, width=width, color_system=None, highlight=False)
    lines = [printable(report.title)]
    for section in map(_together, report.sections):
        lines += ["", printable(section.title), *_wrapped(section.lines, width)]
        if section.rows:
            lines += _rows(console, out, section, width)
        if section.more:
            lines.append(f"  ... and {section.more} more: --all")
        lines += _wrapped(section.after, width)
    return "\n".join(line.rstrip() for line in lines).replace(NO_BREAK, " ") + "\n"


def _together(section: Section) -> Section:
    """The section with numbers tied to their units, so that no line ends between them."""

    def tied(text: Cell) -> Cell:
        return UNIT.sub(NO_BREAK, text) if isinstance(text, str) else text

    return replace(
        section,
        columns=tuple(map(printable, section.columns)),
        lines=tuple(str(tied(printable(line))) for line in section.lines),
        rows=tuple(tuple(tied(printable(c) if isinstance(c, str) else c) for c in row) for row in section.rows),
        after=tuple(str(tied(printable(line))) for line in section.after),
    )


def _wrapped(lines: Iterable[str], width: int, indent: str = "  ") -> list[str]:
    """Sentences folded at blanks; what goes on is indented further."""
    found = []
    for line in lines:
        begin = indent + " " * (len(line) - len(line.lstrip(" ")))
        found += textwrap.wrap(
            line.strip(), width, initial_indent=begin, subsequent_indent=begin + "  ", break_on_hyphens=False
        ) or [""]
    return found


def _rows(console: Any, out: io.StringIO, section: Section, width: int) -> list[str]:
    """A table; where it is too wide without its blank columns, then with names folded, else blocks."""
    filled = [i for i in range(len(section.columns)) if any(row[i] not in (None, "") for row in section.rows)]
    shorter = replace(
        section,
        columns=tuple(section.columns[i] for i in filled),
        rows=tuple(tuple(row[i] for i in filled) for row in section.rows),
    )
    for part, whole_columns in ((section, WHOLE_COLUMNS), (shorter, WHOLE_COLUMNS), (shorter, ())):
        widths = _widths(part, width, whole_columns)
        if widths is not None:
            return _table(console, out, part, widths)
    return _blocks(section, width)


def _widths(section: Section, width: int, whole_columns: Sequence[str]) -> list[int] | None:
    """Widths of the columns with every word and number whole; None when they do not fit."""
    widest, least = [], []
    for i, column in enumerate(section.columns):
        cells = [_shown(row[i]) for row in section.rows]
        words = column.split() + [word for cell in cells for word in cell.split(" ")]
        whole = max(map(len, [*cells, *column.split()]), default=0)
        widest.append(max(1, len(column), whole))
        number = _is_number(section, i) and whole <= LONGEST_NUMBER
        word = max(map(len, words), default=0)
        foldable = word if column in WHOLE_COLUMNS else min(LONGEST_WORD, word)
        least.append(whole if column in whole_columns or number else foldable)
    while sum(widest) + GAP * (len(widest) - 1) > width:
        widths = [(size, i) for i, size in enumerate(widest) if size > least[i]]
        if not widths:
            return None
        widest[max(widths)[1]] -= 1
    return widest


def _table(console: Any, out: io.StringIO, section: Section, widths: list[int]) -> list[str]:
    """A table by rich."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    for i, column in enumerate(section.columns):
        justify: Literal["right", "left"] = "right" if _is_number(section, i) else "left"
        table.add_column(Text(column), justify=justify, overflow="fold", width=widths[i])
    for row in section.rows:
        cells = zip(map(_shown, row), widths, strict=True)
        table.add_row(*(Text("\n".join(_folded(cell, size))) for cell, size in cells))
    out.seek(0)
    out.truncate()
    console.print(table)
    return out.getvalue().splitlines()


def _folded(cell: str, width: int) -> list[str]:
    """A cell folded at blanks; the blanks it begins with stay."""
    indent = " " * (len(cell) - len(cell.lstrip(" ")))
    return textwrap.wrap(cell, width, subsequent_indent=f"{indent}  " if indent else "", break_on_hyphens=False)


def _blocks(section: Section, width: int) -> list[str]:
    """The rows of a table that is too wide, each as a paragraph: what it is first, then `column: cell`."""
    lines = []
    for row in section.rows:
        cells = [(c, _shown(cell).strip()) for c, cell in zip(section.columns, row, strict=True)]
        parts = [f"{column}: {cell}" if column else cell for column, cell in cells if cell]
        lines += _wrapped(["; ".join(parts)], width)
    return lines


def _markdown(report: Report) -> str:
    def cell(value: Cell) -> str:
        text = printable(_shown(value))
        for character in "\\|<>*_`[]":
            text = text.replace(character, {"<": "&lt;", ">": "&gt;"}.get(character, "\\" + character))
        return text

    lines = [f"# {cell(report.title)}", ""]
    for section in report.sections:
        lines += [f"## {printable(section.title)}", ""]
        lines += [f"- {cell(line)}" for line in section.lines] + [""] * bool(section.lines)
        if section.rows:
            lines.append("| " + " | ".join(cell(c) for c in section.columns) + " |")
            rule = ("--:" if _is_number(section, i) else "---" for i in range(len(section.columns)))
            lines.append("| " + " | ".join(rule) + " |")
            lines += ["| " + " | ".join(cell(c) for c in row) + " |" for row in section.rows] + [""]
        if section.more:
            lines += [f"... and {section.more} more", ""]
        lines += [f"- {cell(line)}" for line in section.after] + [""] * bool(section.after)
    return "\n".join(lines)


def _json(report: Report) -> str:
    data = {
        "title": report.title,
        "good": report.good,
        "sections": {
            section.title.lower(): section.data
            if section.data is not None
            else {
                "lines": list(section.lines),
                "rows": [dict(zip(section.columns, row, strict=True)) for row in section.rows],
            }
            for section in report.sections
        },
        **report.data,
    }
    return json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False, default=str) + "\n"
