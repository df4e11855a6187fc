"""Reports as text for a terminal, as Markdown, and as JSON."""

import io
import json
import shutil
import textwrap
from collections.abc import Iterable
from typing import Any, Literal

from planner.review.report import Cell, Report, Section

LEAST_WIDTH, MOST_WIDTH, USUAL_WIDTH = 60, 160, 120
LONGEST_NUMBER = 16
"""Cells that begin with a number and are longer hold words: they may be folded between these."""
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


def _printable(text: str) -> str:
    # control characters of hostile names must not reach a terminal
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def _is_number(section: Section, column: int) -> bool:
    cells = [row[column] for row in section.rows if row[column] not in (None, "")]
    return bool(cells) and all(_shown(cell).strip().lstrip("-+≤")[:1].isdigit() for cell in cells)


def _text(report: Report) -> str:
    from rich.console import Console

    out = io.StringIO()
    width = max(LEAST_WIDTH, min(MOST_WIDTH, shutil.get_terminal_size((USUAL_WIDTH, 40)).columns))
    console = Console(file=out, width=width, color_system=None, highlight=False)
    lines = [_printable(report.title)]
    for section in report.sections:
        lines += ["", section.title, *_wrapped(section.lines, width)]
        if section.rows:
            widths = _widths(section, width)
            lines += _blocks(section, width) if widths is None else _table(console, out, section, widths)
        if section.more:
            lines.append(f"  ... and {section.more} more: --all")
        lines += _wrapped(section.after, width)
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _wrapped(lines: Iterable[str], width: int, indent: str = "  ") -> list[str]:
    """Sentences folded at blanks; what goes on is indented further."""
    found = []
    for line in map(_printable, lines):
        begin = indent + " " * (len(line) - len(line.lstrip(" ")))
        found += textwrap.wrap(
            line.strip(), width, initial_indent=begin, subsequent_indent=begin + "  ", break_on_hyphens=False
        ) or [""]
    return found


def _widths(section: Section, width: int) -> list[int] | None:
    """Widths of the columns with every word and number whole; None when they do not fit."""
    widest, least = [], []
    for i, column in enumerate(section.columns):
        cells = [_printable(_shown(row[i])) for row in section.rows]
        words = column.split() + [word for cell in cells for word in cell.split()]
        whole = max(map(len, [*cells, *column.split()]), default=0)
        widest.append(max(len(column), whole))
        number = _is_number(section, i) and whole <= LONGEST_NUMBER
        least.append(whole if column in WHOLE_COLUMNS or number else max(map(len, words), default=0))
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
        table.add_row(*(Text(_printable(_shown(cell))) for cell in row))
    out.seek(0)
    out.truncate()
    console.print(table)
    return out.getvalue().splitlines()


def _blocks(section: Section, width: int) -> list[str]:
    """The rows of a table that is too wide, each as a paragraph: what it is first, then `column: cell`."""
    lines = []
    for row in section.rows:
        cells = [(c, _printable(_shown(cell)).strip()) for c, cell in zip(section.columns, row, strict=True)]
        parts = [f"{column}: {cell}" if column else cell for column, cell in cells if cell]
        lines += _wrapped(["; ".join(parts)], width)
    return lines


def _markdown(report: Report) -> str:
    def cell(value: Cell) -> str:
        text = _printable(_shown(value))
        for character in "\\|<>*_`[]":
            text = text.replace(character, {"<": "&lt;", ">": "&gt;"}.get(character, "\\" + character))
        return text

    lines = [f"# {cell(report.title)}", ""]
    for section in report.sections:
        lines += [f"## {section.title}", ""]
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
