"""The tables of a report for other programs: CSV, and a workbook (XLSX) of a sheet a table.

Both are written from the same rows as text and page, every row of them, with figures as the numbers that they were
written from: money in US dollars, shares as fractions of 1, days as dates. The same report gives the same bytes.

What would be taken for a formula (text that begins with = + - or @) stays text. In a workbook it is a cell of text, as
it stands. CSV knows no types: an apostrophe is put before it there, one character more than the name has; where names
must come back as they are, take JSON or the workbook. Texts are in quotes, numbers never.

XlsxWriter rather than openpyxl: it stores beside each formula the value that it has, so that programs that calculate
nothing (viewers, pandas) read totals, too; and it writes no time of its own.
"""

import io
import math
import re
import zipfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from planner.errors import printable, refusal
from planner.review.figures import Figure, number, percent, usd
from planner.review.report import Cell, Report, Section, Several

FORMULA_SIGNS = tuple("=+-@\N{FULLWIDTH EQUALS SIGN}\N{FULLWIDTH PLUS SIGN}\N{FULLWIDTH COMMERCIAL AT}")
DIGITS = 12
"""Of a number: more are noise of the arithmetic."""
NEVER = (1980, 1, 1, 0, 0, 0)
"""The time of each file in an archive: the same report gives the same bytes."""
MOST_LETTERS_OF_A_SHEET = 31
MOST_LETTERS_OF_A_CELL = 32_767
MOST_ROWS_OF_A_SHEET = 1_048_576
MOST_WIDTH = 90
"""Of a column in a workbook, in letters."""
AGREES = 1e-9
"""By which a sum may miss the total that the report states, of the largest of its parts."""


@dataclass(frozen=True)
class Table:
    """A table of a report with its cells as they are.

    Parameters
    ----------
    key : the section, as options and files name it
    titles : unique and not blank
    rows : cells in the order of the titles: None, texts, numbers, figures
    total : the position of the row that adds up those before it
    adds : of each title, whether its figures add up to something
    """

    key: str
    titles: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    total: int | None
    adds: tuple[bool, ...]


def report_tables(report: Report) -> tuple[Table, ...]:
    """The tables of a report, in its order; sections without rows have none."""
    return tuple(_table(section) for section in report.sections if section.rows and section.columns)


def _table(section: Section) -> Table:
    columns = [column for column in section.columns if column.when]
    titles: list[str] = []
    cells: list[list[Cell]] = []
    adds: list[bool] = []
    for column in columns:
        of_column = [column.value(row) for row in section.rows]
        title = _with_unit(column.spreadsheet_title or column.title.replace("M USD", "USD"), of_column)
        titles.append(title)
        cells.append(of_column)
        adds.append(column.adds)
        for name in dict.fromkeys(name for cell in of_column for name in getattr(cell, "beside", ())):
            parts = [_beside(cell, name) for cell in of_column]
            titles.append(_with_unit(f"{column.title}, {name}", parts))
            cells.append(parts)
            adds.append(False)
    total = next((i for i, row in enumerate(section.rows) if row is section.total), None)
    return Table(section.key, _unique(titles), tuple(zip(*cells, strict=True)), total, tuple(adds))


def _with_unit(title: str, cells: Sequence[Cell]) -> str:
    """The title of a column with the unit of its figures, where it does not say it; shares are fractions of 1.

    Examples
    --------
    >>> _with_unit("cash", [Figure("3.50", 3.5, "USD")]), _with_unit("USD/h", [Figure("3.50", 3.5, "USD")])
    ('cash [USD]', 'USD/h')
    """
    units = {cell.unit for cell in cells if isinstance(cell, Figure)}
    unit = units.pop() if len(units) == 1 else ""
    return title if unit in ("", "%") or re.search(rf"\b{unit}\b", title) else f"{title} [{unit}]"


def _beside(cell: Cell, name: str) -> Cell:
    """What a cell says beside its figure, by its name; numbers in the unit of the figure."""
    part = cell.beside.get(name) if isinstance(cell, Figure) else None
    if part is None or isinstance(part, str):
        return part
    unit = getattr(cell, "unit", "")
    if unit == "%":
        return percent(part, 1)
    if unit == "USD":
        return usd(part)
    return number(part, ",.6g", unit=unit)


def _unique(titles: Iterable[str]) -> tuple[str, ...]:
    """Titles of which none is blank, and none stands twice.

    Examples
    --------
    >>> _unique(["gateway", "serves", "", "serves"])
    ('gateway', 'serves', 'column 3', 'serves 2')
    """
    count: Counter[str] = Counter()
    unique: list[str] = []
    for place, title in enumerate(titles, 1):
        name = title.strip() or f"column {place}"
        count[name] += 1
        unique.append(f"{name} {count[name]}" if count[name] > 1 else name)
    return tuple(unique)


def one_section(report: Report, name: str) -> Report:
    """The report with one of its sections alone, and the pictures that are drawn from it.

    Raises
    ------
    InputError
        when it has no such section; with those that there are
    """
    from planner.study.places import near_miss, quoted

    keys = [section.key for section in report.sections]
    kept = tuple(section for section in report.sections if section.key == name.strip().lower())
    if not kept:
        got = quoted(name) + near_miss(name.strip().lower(), keys)
        raise refusal("--section", "a section of this report", got, f"write one of: {', '.join(keys)}")
    titles = {section.title for section in kept}
    drawings = report.drawings
    return replace(report, sections=kept, drawings=lambda: [one for one in drawings() if one.section.title in titles])


def value_of(cell: Cell) -> float | date | str | None:
    """A cell as the number, day or text that it is; None where it is blank.

    Examples
    --------
    >>> value_of(Figure("6.99 M", 6_992_640.3)), value_of("aws"), value_of("")
    (6992640.3, 'aws', None)
    """
    if isinstance(cell, Figure):
        return cell.value if isinstance(cell.value, date) else _plain(cell.value)
    if isinstance(cell, int | float):
        return _plain(cell)
    return printable(cell) if cell else None


def _plain(value: float) -> float | str:
    """A number without noise; what is none, as infinity, as text."""
    if not math.isfinite(value):
        return str(value)
    if float(value).is_integer() and abs(value) < 10.0**DIGITS:
        return int(value)
    return float(f"{value:.{DIGITS}g}")


# ------------------------------------------------------------------ CSV
def csv_text(table: Table) -> str:
    r"""A table as CSV by RFC 4180, but for line ends: texts in quotes, numbers and dates without.

    Examples
    --------
    >>> rows = (("=1+1", Figure("3.50", 3.5)), ("a", None))
    >>> print(csv_text(Table("order", ("pool", "USD"), rows, None, (False, True))))
    "pool","USD"
    "'=1+1",3.5
    "a",
    <BLANKLINE>
    """
    lines = [",".join(_csv_cell(title) for title in table.titles)]
    for row in table.rows:
        lines.append(",".join(_csv_cell(value_of(cell)) for cell in row))
    return "\n".join(lines) + "\n"


def _csv_cell(value: float | date | str | None) -> str:
    if value is None:
        return ""
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, str):
        safe = f"'{value}" if value.strip().startswith(FORMULA_SIGNS) else value
        return '"' + safe.replace('"', '""') + '"'
    return repr(value)


def csv_of(report: Report) -> str:
    """The tables of a report as one text: one table alone, several each below a line `# SECTION`, a blank line between.

    A report without a table has its lines, as a table.
    """
    tables = report_tables(report)
    if not tables:
        return csv_text(lines_table(report))
    if len(tables) == 1:
        return csv_text(tables[0])
    return "\n".join(f"# {table.key}\n{csv_text(table)}" for table in tables)


def csv_files(report: Report) -> dict[str, bytes]:
    """A CSV file for each table of a report, and one for its lines: name -> bytes."""
    files = {"lines.csv": csv_text(lines_table(report)).encode()}
    for table in report_tables(report):
        files[f"{_file_name(table.key, files)}.csv"] = csv_text(table).encode()
    return files


def _file_name(key: str, taken: Iterable[str]) -> str:
    """A name of letters, digits and hyphens that no other file has.

    Examples
    --------
    >>> _file_name("fleet over time", ()), _file_name("waiting, simulated", ["waiting-simulated.csv"])
    ('fleet-over-time', 'waiting-simulated-2')
    """
    name = re.sub(r"[^a-z0-9]+", "-", key).strip("-") or "table"
    numbered, n = name, 1
    while f"{numbered}.csv" in taken:
        n += 1
        numbered = f"{name}-{n}"
    return numbered


def zipped(files: dict[str, bytes]) -> bytes:
    """Files in an archive, always the same bytes for the same files."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name, NEVER)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, data)
    return out.getvalue()


def lines_table(report: Report) -> Table:
    """What a report says in lines, of every section: the answer first."""
    rows: list[tuple[Cell, ...]] = [(report.sections[0].key if report.sections else "", report.title)]
    for section in report.sections:
        for line in (*section.lines, *section.after):
            for each in line.lines if isinstance(line, Several) else (line,):
                rows.append((section.key, each.rstrip()))
    return Table("lines", ("section", "line"), tuple(rows), None, (False, False))


# ------------------------------------------------------------------ workbook
def xlsx_bytes(report: Report) -> bytes:
    """A report as a workbook: the sheet `answer` with all lines, then a sheet a table, headers frozen, totals as sums.

    Raises
    ------
    InputError
        when the package that writes workbooks is not installed, or a table has more rows than a sheet
    """
    try:
        import xlsxwriter
    except ImportError:
        fix = "pip install xlsxwriter, or --format csv"
        raise refusal("--format xlsx", "the package xlsxwriter", "none installed", fix) from None
    out = io.BytesIO()
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    book = xlsxwriter.Workbook(out, options)
    book.set_properties({"title": printable(report.title), "created": datetime(*NEVER)})
    formats = _Formats(book)
    taken: list[str] = []
    for table in (lines_table(report), *report_tables(report)):
        if len(table.rows) + 2 > MOST_ROWS_OF_A_SHEET:
            expected = f"at most {MOST_ROWS_OF_A_SHEET - 2:,} rows a table"
            raise refusal("--format xlsx", expected, f"{len(table.rows):,} of {table.key}", "take --format csv")
        name = "answer" if table.key == "lines" else _sheet_name(table.key, taken)
        taken.append(name.lower())
        _write_sheet(book.add_worksheet(name), table, formats)
    book.close()
    return out.getvalue()


def _sheet_name(key: str, taken: Sequence[str]) -> str:
    """A name that a sheet may have, and no other has: at most 31 letters, none of []:*?/\\ in it.

    Examples
    --------
    >>> _sheet_name("fleet", []), _sheet_name("answer", ["answer"])
    ('fleet', 'answer 2')
    """
    name = re.sub(r"[\[\]:*?/\\']", " ", key)[:MOST_LETTERS_OF_A_SHEET].strip() or "table"
    numbered, n = name, 1
    while numbered.lower() in taken:
        n += 1
        numbered = f"{name[: MOST_LETTERS_OF_A_SHEET - 4]} {n}"
    return numbered


class _Formats:
    """The formats of a workbook, each made once."""

    def __init__(self, book: Any) -> None:
        self._book, self._made = book, dict[tuple[str, bool], Any]()
        self.header = book.add_format({"bold": True, "bottom": 1, "text_wrap": True, "valign": "top"})
        self.text = book.add_format({"num_format": "@", "text_wrap": True, "valign": "top"})

    def of(self, cell: Cell, bold: bool = False) -> Any:
        pattern = _pattern(cell)
        if (pattern, bold) not in self._made:
            described = {"num_format": pattern, "bold": bold, "valign": "top"}
            self._made[pattern, bold] = self._book.add_format(described)
        return self._made[pattern, bold]


def _pattern(cell: Cell) -> str:
    """How a spreadsheet shows a figure: with the decimals that people read, and its unit.

    Examples
    --------
    >>> _pattern(Figure("80.5 %", 0.805, "%")), _pattern(Figure("6.99 M", 6_992_640.3, "USD")), _pattern(3)
    ('0.0 %', '#,##0 "USD"', '#,##0')
    """
    if not isinstance(cell, Figure):
        return "#,##0" if isinstance(cell, int) else "General"
    if isinstance(cell.value, date):
        return "yyyy-mm-dd"
    decimals = re.search(r"\.(\d+)", cell)
    point = "." + "0" * len(decimals[1]) if decimals else ""
    if cell.unit == "USD":
        return '#,##0 "USD"' if abs(cell.value) >= 1000 else f'#,##0{point} "USD"'
    if cell.unit == "%":
        return f"0{point} %"
    return f'#,##0{point} "{cell.unit}"' if cell.unit else f"#,##0{point}"


def _write_sheet(sheet: Any, table: Table, formats: _Formats) -> None:
    """A table with its header frozen; its own total, or one of the columns that add up, as a formula."""
    sheet.freeze_panes(1, 0)
    for i, title in enumerate(table.titles):
        sheet.write_string(0, i, printable(title), formats.header)
        longest = max((_letters(row[i]) for row in table.rows), default=0)
        sheet.set_column(i, i, min(MOST_WIDTH, max(len(title), longest) + 2))
    for n, row in enumerate(table.rows):
        for i, cell in enumerate(row):
            sums = table.total == n and _sum_agrees(table, i, n)
            _write_cell(sheet, (n + 1, i), cell, formats, sums)
    if table.rows:
        sheet.autofilter(0, 0, len(table.rows) if table.total is None else table.total, len(table.titles) - 1)
    if table.total is None and any(table.adds):
        _write_totals(sheet, table, formats)


def _letters(cell: Cell) -> int:
    """How wide a spreadsheet shows a cell: money in full, where a page has millions.

    Examples
    --------
    >>> _letters(Figure("6.99 M", 6_992_640.3, "USD")), _letters("aws"), _letters(None)
    (13, 3, 0)
    """
    value = value_of(cell)
    if isinstance(value, int | float):
        decimals = 2 if isinstance(cell, Figure) and "." in _pattern(cell) else 0
        return len(f"{value:,.{decimals}f} {getattr(cell, 'unit', '')}".rstrip())
    return 0 if value is None else len(str(value))


def _write_cell(sheet: Any, at: tuple[int, int], cell: Cell, formats: _Formats, sums: bool) -> None:
    value = value_of(cell)
    if value is None:
        return
    if sums:
        sheet.write_formula(*at, _sum_formula(at[1], at[0]), formats.of(cell, True), value)
    elif isinstance(value, date):
        sheet.write_datetime(*at, value, formats.of(cell))
    elif isinstance(value, str):
        if len(value) > MOST_LETTERS_OF_A_CELL:
            value = value[: MOST_LETTERS_OF_A_CELL - 3] + "..."
        sheet.write_string(*at, value, formats.text)
    else:
        sheet.write_number(*at, value, formats.of(cell))


def _sum_formula(column: int, row: int) -> str:
    """The sum of all rows of a column below the header and above a row."""
    from xlsxwriter.utility import xl_col_to_name

    letters = xl_col_to_name(column)
    return f"=SUM({letters}2:{letters}{row})"


def _numbers(table: Table, column: int, rows: int) -> list[float]:
    """The numbers of a column in its first rows."""
    values = [value_of(row[column]) for row in table.rows[:rows]]
    return [value for value in values if isinstance(value, int | float)]


def _sum_agrees(table: Table, column: int, row: int) -> bool:
    """Whether the total that the report states is the sum of the rows before it: else it stays a number."""
    stated, parts = value_of(table.rows[row][column]), _numbers(table, column, row)
    if not isinstance(stated, int | float) or not parts:
        return False
    return abs(math.fsum(parts) - stated) <= AGREES * max(map(abs, (*parts, stated)))


def _write_totals(sheet: Any, table: Table, formats: _Formats) -> None:
    """A last row with the sum of each column that adds up."""
    at, labelled = len(table.rows) + 1, False
    for i, adds in enumerate(table.adds):
        parts = _numbers(table, i, len(table.rows))
        if adds and parts:
            cell = next(row[i] for row in table.rows if isinstance(value_of(row[i]), int | float))
            sum_format = formats.of(Figure(str(cell), math.fsum(parts), getattr(cell, "unit", "")), True)
            sheet.write_formula(at, i, _sum_formula(i, at), sum_format, _plain(math.fsum(parts)))
        elif not labelled:
            sheet.write_string(at, i, "total", formats.header)
            labelled = True
