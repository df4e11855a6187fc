"""Reports as text for a terminal, as Markdown, and as JSON."""

import io
import json
import shutil
from typing import Literal

from planner.review.report import Cell, Report, Section

LEAST_WIDTH = 100
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
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    out = io.StringIO()
    width = max(LEAST_WIDTH, min(160, shutil.get_terminal_size((120, 40)).columns))
    console = Console(file=out, width=width, color_system=None, highlight=False)
    console.print(Text(_printable(report.title)))
    for section in report.sections:
        console.print()
        console.print(Text(section.title))
        for line in section.lines:
            console.print(Text("  " + _printable(line)))
        if section.rows:
            table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
            for i, column in enumerate(section.columns):
                justify: Literal["right", "left"] = "right" if _is_number(section, i) else "left"
                table.add_column(Text(column), justify=justify, overflow="fold", no_wrap=column in WHOLE_COLUMNS)
            for row in section.rows:
                table.add_row(*(Text(_printable(_shown(cell))) for cell in row))
            console.print(table)
        if section.more:
            console.print(Text(f"  ... and {section.more} more: --all"))
        for line in section.after:
            console.print(Text("  " + _printable(line)))
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


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
