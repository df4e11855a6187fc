"""Reports as text for a terminal, as Markdown, as JSON, and their tables as CSV."""

import itertools
import json

from planner.errors import printable
from planner.review import terminal
from planner.review.report import Report, Several, as_data
from planner.review.report_file import REPORT_SCHEMA_VERSION
from planner.review.tables import csv_of
from planner.review.written import Written, written_section


def render(report: Report, format: str, colour: bool = False) -> str:
    """The report in one of the formats text, md, json, csv, html; text in colour where that is asked for."""
    if format == "text":
        return terminal.text(report, colour)
    return {"md": _markdown, "json": _json, "csv": csv_of, "html": _html}[format](report)


def _html(report: Report) -> str:
    """A page; what it is made with is only loaded where one is asked for."""
    from planner.review.page.page import page

    return page(report)


# ------------------------------------------------------------------ Markdown and JSON
def _markdown(report: Report) -> str:
    lines = [f"# {_escaped(report.title)}", ""]
    for section in report.in_short:
        written = written_section(section, report)
        table = written.table
        lines += [f"## {printable(section.title)}", "", *_list(written.before)]
        if table.rows:
            rule = ["--:" if table.is_number(i) else "---" for i in range(len(table.titles))]
            rows = [map(_escaped, table.titles), rule]
            rows += [[_escaped(cell.text) for cell in row] for row in table.rows]
            lines += [*(f"| {' | '.join(row)} |" for row in rows), ""]
        lines += _list(written.after)
    return "\n".join(lines)


def _list(lines: list[Written]) -> list[str]:
    return [*(f"- {_escaped(line.text)}" for line in lines), ""] if lines else []


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
