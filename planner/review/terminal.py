"""Reports as text for a terminal: as wide as that is, in colour where it has any."""

import itertools
import re
import shutil
from collections.abc import Iterable, Sequence

from planner.errors import printable
from planner.review.layout import GAP, INDENT, NO_BREAK, Layout, folded, laid_out, width_of
from planner.review.report import AT_RISK, BROKEN, HELD, Report, Severity
from planner.review.written import Table, Written, WrittenSection, written_section

LEAST_WIDTH, MOST_WIDTH, USUAL_WIDTH = 60, 160, 120
UNIT = re.compile(r"(?<=[\d×±]) (?=%|(?:s|h|ms|M|USD|USD/h|months|days)\b)|(?<=[×±]) ")
SHELL_WORD = re.compile(r"""(?:'[^']*'|"[^"]*"|[^\s'"])+""")
"""A word as a shell reads it, with its quotes, as `shlex.quote` writes them."""
READS_ON = " \\"
BOLD, PLAIN = "\x1b[1m", "\x1b[0m"
COLOURS: dict[Severity, str] = {HELD: "\x1b[32m", AT_RISK: "\x1b[33m", BROKEN: "\x1b[1;31m"}
"""Green, yellow, red: of a terminal's own colours, which are made for its background."""


def text(report: Report, colour: bool = False) -> str:
    """A report for a terminal; names are never read as markup, and steer nothing."""
    width = max(LEAST_WIDTH, min(MOST_WIDTH, shutil.get_terminal_size((USUAL_WIDTH, 40)).columns))
    lines = [_bold(printable(report.title), colour)]
    for section in report.in_short:
        lines += ["", *_section(written_section(section, report), width, colour)]
    return "\n".join(line.rstrip() for line in lines).replace(NO_BREAK, " ") + "\n"


def _section(section: WrittenSection, width: int, colour: bool) -> list[str]:
    lines = [_bold(printable(section.title), colour), *_wrapped(section.before, width, colour)]
    if section.table.rows:
        titles = [printable(title) for title in section.table.titles]
        rows = [[Written(_tied(cell.text), cell.severity) for cell in row] for row in section.table.rows]
        lines += _drawn(Table(titles, rows), width, colour)
    return [*lines, *_wrapped(section.after, width, colour)]


def _bold(title: str, colour: bool) -> str:
    return f"{BOLD}{title}{PLAIN}" if colour else title


def _tinted(line: str, severity: Severity | None, colour: bool) -> str:
    """A piece of a line in the colour of its severity; the blanks around it stay outside."""
    if not colour or severity is None or not line.strip():
        return line
    begin, end = len(line) - len(line.lstrip(" ")), len(line.rstrip(" "))
    return f"{line[:begin]}{COLOURS[severity]}{line[begin:end]}{PLAIN}{line[end:]}"


def _tied(words: str) -> str:
    """A text with numbers tied to their units, so that no line ends between them."""
    return UNIT.sub(NO_BREAK, printable(words))


def _wrapped(lines: Iterable[Written], width: int, colour: bool, indent: str = "  ") -> list[str]:
    """Sentences folded at blanks; what goes on is indented further."""
    wrapped = []
    for line in lines:
        if line.is_command:
            wrapped += _going_on(printable(line.text), width, indent)
            continue
        wrapped += [_tinted(part, line.severity, colour) for part in folded(f"{indent}{_tied(line.text)}", width)]
    return wrapped


def _going_on(command: str, width: int, indent: str) -> list[str]:
    """A command that can be pasted: in lines at blanks outside quotes, each but the last ends as a shell reads on."""
    first, *words = SHELL_WORD.findall(command)
    lines, line = list[str](), f"{indent}{first}"
    for word in words:
        if width_of(f"{line} {word}{READS_ON}") > width:
            lines.append(f"{line}{READS_ON}")
            line = f"{indent}  {word}"
        else:
            line = f"{line} {word}"
    return [*lines, line]


def _drawn(table: Table, width: int, colour: bool) -> list[str]:
    """A table in lines: the titles, a rule, the rows."""
    layout = laid_out(table, width)
    titles = [[Written(column.title) for column in layout.columns]]
    lines = [*_rows(titles, layout, False), "─" * _table_width(layout, width)]
    cells = zip(*(column.cells for column in layout.columns), strict=True)
    for row, is_head in zip(layout.table.rows, layout.heads, strict=True):
        if is_head:
            lines += [_tinted(line, row[0].severity, colour) for line in folded(row[0].text, width)]
            continue
        words = zip(next(cells), row, strict=True)
        lines += _rows([[Written(cell, written.severity) for cell, written in words]], layout, colour)
    return lines


def _rows(rows: Iterable[Sequence[Written]], layout: Layout, colour: bool) -> list[str]:
    """Rows in lines: first the columns of the first group, below them, further in, those of the next ones."""
    lines = []
    for row in rows:
        for n, group in enumerate(layout.groups):
            if n and not any(row[i].text for i, _ in group):
                continue
            cells = [folded(row[i].text, size) for i, size in group]
            for part in itertools.zip_longest(*cells, fillvalue=""):
                pieces = []
                for (i, size), piece in zip(group, part, strict=True):
                    blanks = " " * (size - width_of(piece))
                    padded = blanks + piece if layout.columns[i].is_number else piece + blanks
                    pieces.append(_tinted(padded, row[i].severity, colour))
                lines.append(" " * (INDENT if n else 0) + (" " * GAP).join(pieces))
    return lines


def _table_width(layout: Layout, width: int) -> int:
    groups = enumerate(layout.groups)
    sums = [(INDENT if n else 0) + sum(size for _, size in group) + GAP * (len(group) - 1) for n, group in groups]
    heads = [width_of(row[0].text) for row, is_head in zip(layout.table.rows, layout.heads, strict=True) if is_head]
    return min(width, max([*sums, *heads]))
