"""How a table is laid out in so many columns of a terminal: always as a table, no number and no name broken.

What does not fit as it is loses its blank columns; then cells are folded at blanks, those first that make the table
least longer; then the last columns go to a second line of each row, below the first, and so on. Only words longer than
LONGEST_WORD, as paths are, are broken, at `/`, `-` and `_` where they have these.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from planner.review.written import Table

LONGEST_NUMBER = 16
"""Cells that begin with a number and are longer hold words: they may be folded between these."""
LONGEST_WORD = 40
"""What is longer, as a path, may be broken."""
NO_BREAK = "\N{NO-BREAK SPACE}"
GAP = 2
"""Between columns."""
INDENT = 4
"""Of the second line of a row, and of those below."""
LINES_OF_A_GOOD_ROW = 2.0
"""A row of one line whose cells are folded into more, on the mean, is compared with rows of several lines."""
PRICE_OF_A_LINE = 0.6
"""What a further line of a row must save [lines of folded cells a row]: it is harder to read."""
ROWS_THAT_DECIDE = 60
"""The layout is chosen by the first rows; no cell of any row is broken for that."""
NUMBER_OF_THINGS = re.compile(r"(?:^|(?<=[ ,+(×]))(\d[\d.,]*) (?=[^\W\d])|(?<=\d) (of|to) (?=\d)")
PIECES = re.compile(r"[^/_\-\u00a0]*[/_\-\u00a0]?")


def tied(cell: str, is_number: bool) -> str:
    """A cell with what belongs together tied: a short number as it is, a count to what is counted.

    Examples
    --------
    >>> tied("31 llama-3.3-70b, 1 qwen3-32b", False).split(" ")
    ['31\\xa0llama-3.3-70b,', '1\\xa0qwen3-32b']
    """
    if is_number and len(cell.strip()) <= LONGEST_NUMBER:
        kept = cell.lstrip(" ")
        return " " * (len(cell) - len(kept)) + kept.replace(" ", NO_BREAK)
    return NUMBER_OF_THINGS.sub(lambda match: match[0].replace(" ", NO_BREAK), cell)


def width_of(text: str) -> int:
    """The columns of a terminal that a text takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def folded(cell: str, width: int) -> list[str]:
    """A cell folded at blanks; the blanks it begins with stay, what goes on is indented further.

    Examples
    --------
    >>> folded("site owned/hall-ohio", 16), folded("a/long/path-of-words", 8)
    (['site', 'owned/hall-ohio'], ['a/long/', 'path-of-', 'words'])
    """
    if width_of(cell) <= width:
        return [cell]
    words = [word for word in cell.split(" ") if word]
    begin, going_on = cell[: len(cell) - len(cell.lstrip(" "))], " " * _indent_below(cell)
    lines, line = list[str](), begin
    for word in words:
        joined = f"{line} {word}" if line.strip(" ") else f"{line}{word}"
        if width_of(joined) <= width:
            line = joined
            continue
        if line.strip(" "):
            lines.append(line)
            line = going_on
        *full, line = _broken(word, width, line)
        lines += full
    return [*lines, line]


def _indent_below(cell: str) -> int:
    """How far in the second line of a cell begins: two columns more than its first, where that is indented."""
    indent = len(cell) - len(cell.lstrip(" "))
    return indent + 2 if indent else 0


def _broken(word: str, width: int, begin: str) -> list[str]:
    """A word in lines; where it is longer than these, broken behind one of `/`, `-`, `_`, else where a line ends."""
    lines, line = list[str](), begin
    for piece in PIECES.findall(word):
        if width_of(line + piece) > width and line.strip(" "):
            lines.append(line)
            line = begin
        while width_of(line + piece) > width:
            fits = _fitting(piece, width - width_of(line))
            lines.append(line + piece[:fits])
            line, piece = begin, piece[fits:]
        line += piece
    return [*lines, line]


def _fitting(piece: str, width: int) -> int:
    """How many of its characters fit, at least one."""
    fits = len(piece)
    while fits > 1 and width_of(piece[:fits]) > width:
        fits -= 1
    return max(1, fits)


@dataclass(frozen=True)
class TableColumn:
    """A column of a table: its title and cells, what belongs together tied."""

    title: str
    cells: Sequence[str]
    is_number: bool
    _lines: dict[int, np.ndarray] = field(default_factory=dict)
    _longest: dict[int, int] = field(default_factory=dict)

    @cached_property
    def widest(self) -> int:
        """With nothing folded."""
        return max(1, width_of(self.title), max(map(width_of, self.cells), default=0))

    @cached_property
    def least(self) -> int:
        """With every word whole that is not longer than LONGEST_WORD."""
        cells = [_indent_below(cell) + _longest_word(cell) for cell in dict.fromkeys(self.cells)]
        return max(1, _longest_word(self.title), max(cells, default=0))

    def lines(self, width: int) -> np.ndarray:
        """How many lines the title and each of the first cells take at a width [1 + rows]; a blank cell none."""
        if width not in self._lines:
            self._fold(width)
        return self._lines[width]

    def narrower(self, width: int) -> int:
        """The width of its longest line when it is a column narrower: no more than `width` - 1."""
        if width - 1 not in self._longest:
            self._fold(width - 1)
        return max(self.least, self._longest[width - 1])

    def _fold(self, width: int) -> None:
        lines_of = {}
        for cell in {self.title, *self.cells[:ROWS_THAT_DECIDE]}:
            lines_of[cell] = folded(cell, width) if cell else []
        counts = [len(lines_of[cell]) for cell in (self.title, *self.cells[:ROWS_THAT_DECIDE])]
        self._lines[width] = np.array(counts)
        self._longest[width] = max((width_of(line) for lines in lines_of.values() for line in lines), default=1)


def _longest_word(cell: str) -> int:
    return max((min(LONGEST_WORD, width_of(word)) for word in cell.split(" ")), default=0)


@dataclass(frozen=True)
class Layout:
    """Where the cells of a table stand.

    Parameters
    ----------
    table : without columns that are not written
    columns : its columns, with the cells of all rows but heads
    heads : of each row, whether it has its first cell only and takes the full width
    groups : the columns on the first line of each row, on the second and so on, each with its width
    """

    table: Table
    columns: list[TableColumn]
    heads: list[bool]
    groups: list[list[tuple[int, int]]]


def laid_out(table: Table, width: int) -> Layout:
    """The layout of a table in so many columns of a terminal."""
    columns, heads = _columns(table)
    if _sum([column.widest for column in columns]) > width:
        table = table.without_blank_columns()
        columns, heads = _columns(table)
    n, indent = len(columns), INDENT
    one_line = _narrowed(columns, width)
    rows = 1 + min(ROWS_THAT_DECIDE, len(heads) - sum(heads))
    if one_line is not None and _height(columns, one_line) <= LINES_OF_A_GOOD_ROW * rows:
        return Layout(table, columns, heads, [list(enumerate(one_line))])
    best: list[tuple[float, list[list[tuple[int, int]]]]] = [(0.0, [])] * (n + 1)
    for first in reversed(range(n)):
        options = []
        for end in range(n, first, -1):
            part = columns[first:end]
            widths = _narrowed(part, width - indent if first else width)
            if widths is None and end > first + 1:
                continue
            widths = widths or [min(part[0].least, width - indent)]
            price = _height(part, widths) + (PRICE_OF_A_LINE * rows if first else 0.0)
            group = list(zip(range(first, end), widths, strict=True))
            options.append((price + best[end][0], [group, *best[end][1]]))
        best[first] = min(options, key=lambda option: option[0])
    return Layout(table, columns, heads, best[0][1])


def _columns(table: Table) -> tuple[list[TableColumn], list[bool]]:
    """The columns of a table, and of each row whether it is a heading: its first cell, and nothing else."""
    heads = [len(row) > 1 and bool(row[0].text) and not any(cell.text for cell in row[1:]) for row in table.rows]
    columns = []
    for i, title in enumerate(table.titles):
        is_number = table.is_number(i)
        rows = (row for row, is_head in zip(table.rows, heads, strict=True) if not is_head)
        columns.append(TableColumn(title, [tied(row[i].text, is_number) for row in rows], is_number))
    return columns, heads


def _sum(widths: Sequence[int]) -> int:
    return sum(widths) + GAP * (len(widths) - 1)


def _narrowed(columns: Sequence[TableColumn], width: int) -> list[int] | None:
    """Widths of columns that fit side by side; None where words would have to be broken.

    The column is folded, step by step, that makes the table least longer by each column of the terminal it gives up.
    """
    if _sum([column.least for column in columns]) > width:
        return None
    widths = [column.widest for column in columns]
    while (excess := _sum(widths) - width) > 0:
        lines = np.stack([column.lines(at) for column, at in zip(columns, widths, strict=True)])
        options = []
        for i, column in enumerate(columns):
            if widths[i] <= column.least:
                continue
            at = column.narrower(widths[i])
            others = np.delete(lines, i, axis=0).max(axis=0, initial=0)
            longer = int(np.maximum(others, column.lines(at)).sum() - np.maximum(others, lines[i]).sum())
            folds = int(column.lines(at).sum() - lines[i].sum())
            gain = min(widths[i] - at, excess)
            options.append((longer / gain, folds / gain, -widths[i], i, at))
        *_, i, at = min(options)
        widths[i] = at
    return widths


def _height(columns: Sequence[TableColumn], widths: Sequence[int]) -> int:
    """Lines that titles and the first rows take."""
    lines = np.stack([column.lines(at) for column, at in zip(columns, widths, strict=True)])
    return int(lines.max(axis=0).sum())
