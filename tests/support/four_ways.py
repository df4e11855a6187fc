"""A report read back from what is written of it, as text, page, workbook and JSON; and where these say other numbers.

Nothing here knows how a figure is made: each format is parsed, and compared with the others, every row and column.
"""

import io
import itertools
import json
import math
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from os import terminal_size
from typing import Any
from unittest.mock import patch

import openpyxl
from pages import Element, parsed

from planner.api import workbook
from planner.review import terminal
from planner.review.render import render
from planner.review.report import Report, Section

WIDE = 4000
"""Columns of a terminal in which no cell is folded."""
SHOWN = re.compile(r"(?<![\w.,])([-+−]?)(\d+(?:,\d{3})*(?:\.\d+)?)(?:e([-+]?\d+))?(?!\d)(?: ?([Mh%])(?!\w))?")
SCALES = {"M": (1e6,), "%": (0.01,), "h": (1.0, 3600.0), None: (1.0,)}
MILLIONS = "M USD"
"""A column that says so: the others of its table are in millions as text."""
RULE = "─"
EQUAL = 1e-9
EQUALLY = {"rel_tol": EQUAL, "abs_tol": EQUAL}


@dataclass(frozen=True)
class FourWays:
    """What is written of a report: text with every row, page, workbook, JSON."""

    text: str
    html: str
    xlsx: bytes
    json: str


@dataclass(frozen=True)
class Parsed:
    """A section as one format has it: its sentences, the titles of its columns, its cells row by row."""

    lines: list[str]
    titles: list[str]
    rows: list[list[Any]]


def four_ways(report: Report) -> FourWays:
    """A report in the four formats, the text as wide as it needs."""
    whole = replace(report, all_rows=True)
    with patch.object(terminal, "MOST_WIDTH", WIDE), patch.object(shutil, "get_terminal_size", _wide):
        text = render(whole, "text")
    return FourWays(text, render(whole, "html"), workbook(whole), render(whole, "json"))


def _wide(fallback: tuple[int, int]) -> terminal_size:
    return terminal_size((WIDE, fallback[1]))


# ------------------------------------------------------------------ the comparison
def differences(report: Report, ways: FourWays) -> list[str]:
    """Where one of the four says another number, row or sentence than the others: a line each; none where all agree.

    Of `report` only the order of sections and the titles of columns in spreadsheets are read.
    """
    page, book = _page(ways.html), _workbook(ways.xlsx)
    of_json, sheets = json.loads(ways.json), iter(list(book)[1:])
    wrong = _other_names("sections as JSON", {s.key for s in report.sections}, set(of_json["sections"]))
    said = [line for rows in [book["answer"]] for _, line in rows[2:]]
    wrong += _other_names("sentences of the workbook", Counter(_sentences(page)), Counter(map(_plain, said)))
    for section in report.sections:
        where, of_page = section.title, page.get(section.title.casefold())
        if of_page is None:
            wrong.append(f"{where}: not on the page")
            continue
        of_text = _section_of_text(ways.text, section.title, of_page)
        wrong += _other_names(f"{where}: sentences", Counter(of_text.lines), Counter(of_page.lines))
        wrong += _other_names(f"{where}: rows", _filled(of_text), _filled(of_page))
        if section.rows and section.columns:
            wrong += _against_workbook(section, of_text, book[next(sheets)])
    wrong += _against_json(report, of_json["sections"], book)
    return wrong


def _other_names(where: str, a: Any, b: Any) -> list[str]:
    """What only one of two has."""
    return [f"{where}: only one has {sorted(map(str, only))[:4]}" for only in (a - b, b - a) if only]


def _filled(of: Parsed) -> Counter[tuple[str, ...]]:
    """Rows without their blank cells, each with how often it is there."""
    return Counter(tuple(cell for cell in row if cell) for row in of.rows)


def _against_workbook(section: Section, of_text: Parsed, sheet: list[list[Any]]) -> list[str]:
    """Every cell of the text against the one of the sheet: a number as it is rounded, a day, or the same words."""
    wrong, columns = [], [c for c in section.columns if c.when]
    titles, rows = sheet[0], sheet[1 : len(section.rows) + 1]
    at, place = {}, 0
    for column in columns:
        expected = column.spreadsheet_title or column.title.replace("M USD", "USD")
        while place < len(titles) and not str(titles[place]).startswith(expected or "column "):
            place += 1
        if not column.detail:
            at[column.title] = place
        place += 1
    if len(rows) != len(of_text.rows):
        return [f"{section.title}: {len(of_text.rows)} rows as text, {len(rows)} in the workbook"]
    for of_row, of_sheet in zip(of_text.rows, rows, strict=True):
        cells = dict(zip(of_text.titles, of_row, strict=True))
        for title, i in at.items():
            shown = cells.get(title, "")
            if not _is_shown(shown, of_sheet[i], MILLIONS in of_text.titles):
                wrong.append(f"{section.title}, {title}: {shown!r} as text, {of_sheet[i]!r} in the workbook")
    wrong += _wrong_sums(section.title, sheet)
    return wrong


def _wrong_sums(where: str, sheet: list[list[Any]]) -> list[str]:
    """Sums below a table that are not those of the cells above."""
    last, wrong = sheet[-1], []
    if "total" in last and len(sheet) > 2:
        for i, value in enumerate(last):
            parts = [row[i] for row in sheet[1:-1] if isinstance(row[i], int | float)]
            if isinstance(value, int | float) and not math.isclose(value, math.fsum(parts), rel_tol=EQUAL):
                wrong.append(f"{where}, {sheet[0][i]}: total {value}, sum {math.fsum(parts)}")
    return wrong


def _against_json(report: Report, of_json: dict[str, Any], book: dict[str, list[list[Any]]]) -> list[str]:
    """Every number of a column is one field of the records of its rows as JSON; of other data, one of its numbers."""
    wrong, sheets = [], iter(list(book)[1:])
    for section in report.sections:
        if not (section.rows and section.columns):
            continue
        titles, *rows = book[next(sheets)][: len(section.rows) + 1]
        data = of_json[section.key]
        by_row = isinstance(data, list) and len(data) == len(rows)
        records = data if by_row else [dict(enumerate(numbers_in(data)))] * len(rows)
        for i, title in enumerate(titles):
            values = [row[i] for row in rows]
            if not _is_a_field(values, records, title if by_row else None):
                wrong.append(f"{section.title}, {title}: {values[:6]} in the workbook are no field as JSON")
    return wrong


def _is_a_field(values: list[Any], records: list[Any], title: str | None) -> bool:
    """Whether numbers stand in their records: with the title of their column all at one place, one called so if any."""
    places: set[str] | None = None
    for value, record in zip(values, records, strict=True):
        if isinstance(value, int | float):
            numbers = dict(placed_numbers(record))
            at = {place for place, number in numbers.items() if math.isclose(value, number, **EQUALLY)}
            if title is not None:
                at &= {place for place in numbers if _is_called(place, title)} or at
                at &= at if places is None else places
            places = at
            if not places:
                return False
    return True


def _is_called(place: str, title: str) -> bool:
    """Whether a field is called as a column is: `cash_usd` as `cash [USD]`."""
    words, name = re.sub(r"[^a-z0-9]+", "_", title.partition(" [")[0].lower()).strip("_"), place.rpartition("/")[2]
    return name == words or name in (f"{words}_usd", f"{words}_fraction", f"{words}_machines", f"{words}_mw")


# ------------------------------------------------------------------ numbers in words
def numbers_in(data: Any) -> Iterator[float]:
    """Every number in data."""
    return (number for _, number in placed_numbers(data))


def placed_numbers(data: Any, place: str = "") -> Iterator[tuple[str, float]]:
    """Every number in data, with the names that lead there."""
    if isinstance(data, list):
        data = dict(enumerate(data))
    if isinstance(data, dict):
        for name, part in data.items():
            yield from placed_numbers(part, f"{place}/{name}")
    elif isinstance(data, int | float):
        yield place, data


def strings_in(data: Any) -> Iterator[str]:
    """Every text in data, keys with them."""
    if isinstance(data, dict):
        yield from data
        data = list(data.values())
    if isinstance(data, list):
        for part in data:
            yield from strings_in(part)
    elif isinstance(data, str):
        yield data


def _is_rounded(match: re.Match[str], value: float) -> bool:
    """Whether a number is what is shown, rounded to the digits that it is shown with."""
    sign, digits, exponent, unit = match.groups()
    decimals = len(digits.partition(".")[2])
    power = 10.0 ** int(exponent or 0)
    shown = float(digits.replace(",", "")) * power * (-1 if sign in ("-", "−") else 1)
    step = 10.0**-decimals * power
    for scale in SCALES[unit]:
        number = value / scale
        if abs(shown - number) <= step * (0.5 + 1e-6) + EQUAL * abs(number):
            return True
        if unit == "%" and shown == 100 - step and shown < number < 100:
            return True  # never rounded up to all
    return False


def _is_shown(shown: str, value: Any, in_millions: bool) -> bool:
    """Whether a cell of the text is that of the workbook."""
    if value is None or isinstance(value, str):
        return shown == _plain(value or "")
    if isinstance(value, datetime):
        return shown.startswith(value.date().isoformat())
    first = SHOWN.search(shown)
    return first is not None and (_is_rounded(first, value) or (in_millions and _is_rounded(first, value / 1e6)))


def numbers_that_stand_nowhere(lines: list[str], data: Any) -> list[str]:
    """Numbers in sentences that are no field of data, rounded as they are shown, nor in one of its texts."""
    numbers, texts = list(numbers_in(data)), " ".join(strings_in(data))
    nowhere = []
    for line in lines:
        for match in SHOWN.finditer(line):
            if match[0] not in texts and not any(_is_rounded(match, value) for value in numbers):
                nowhere.append(f"{match[0]} in {line!r}")
    return nowhere


def heads(report: Report, ways: FourWays) -> list[str]:
    """What is read first on a page: the sentences of its answer, and its tiles; of one without tiles every sentence."""
    page = _page(ways.html)
    if "decision" not in page:
        return _sentences(page)
    tiles = [cell for row in page["decision"].rows for cell in row]
    answers = [page[section.title.casefold()].lines for section in report.sections if section.part == "answer"]
    return [*tiles, *itertools.chain(*answers)]


def captions(ways: FourWays) -> dict[str, str]:
    """What is said below each picture, by the key of the section that it is drawn from."""
    said = {}
    for section in parsed(ways.html).every("section"):
        for caption in section.every("figcaption") if not section.every("section") else ():
            said[_drawn_from(section).partition(" (")[0].lower()] = _plain(caption.text)
    return said


def sums_of(records: list[dict[str, Any]]) -> list[float]:
    """Counts and sums of records: of each number, of all and by each of their texts; and shares of one in another."""
    flat = [dict(placed_numbers(record)) for record in records]
    totals = [math.fsum(row.get(name, 0.0) for row in flat) for name in {name for row in flat for name in row}]
    sums = [float(len(records)), *totals, *(a / b for a, b in itertools.product(totals, totals) if b)]
    for by in {by for record in records for by, value in record.items() if isinstance(value, str)}:
        groups: dict[str, list[dict[str, float]]] = {}
        for record, row in zip(records, flat, strict=True):
            groups.setdefault(record[by], []).append(row)
        sums.append(len(groups))
        for rows, name in itertools.product(groups.values(), {name for row in flat for name in row}):
            part, of_all = (math.fsum(row.get(name, 0.0) for row in of) for of in (rows, flat))
            sums += [part, part / of_all if of_all else 0.0]
    return sums


# ------------------------------------------------------------------ each format
def _plain(text: str) -> str:
    return " ".join(str(text).replace("\N{NO-BREAK SPACE}", " ").split())


def _section_of_text(text: str, title: str, of_page: Parsed) -> Parsed:
    """A section of a text of which the table has as many rows, and the same headings over parts of it, as of a page."""
    lines = text.split("\n")
    begin = lines.index(title) + 1
    end = next((i for i in range(begin, len(lines)) if not lines[i]), len(lines))
    lines = lines[begin:end]
    rule = next((i for i, line in enumerate(lines) if line and not line.strip(RULE)), None)
    if rule is None:
        return Parsed(list(map(_plain, lines)), [], [])
    after = rule + 1 + len(of_page.rows)
    headings = {filled[0] for row in of_page.rows if len(filled := [cell for cell in row if cell]) == 1}
    titles, *cells = _cells([lines[rule - 1], *lines[rule + 1 : after]], headings)
    return Parsed(list(map(_plain, [*lines[: rule - 1], *lines[after:]])), titles, cells)


def _cells(lines: list[str], headings: set[str]) -> list[list[str]]:
    """Lines of a table as cells: columns are between two blanks or more in every line but headings, which have one."""
    width = max(map(len, lines))
    padded = [line.ljust(width) for line in lines]
    of_columns = [line for line in padded if _plain(line) not in headings]
    filled = "".join(" " if all(line[i] == " " for line in of_columns) else "x" for i in range(width))
    ends = [(match.start(), match.end()) for match in re.finditer(r"x+(?: x+)*", filled)]
    rows = []
    for line in padded:
        cells = [_plain(line[begin:end]) for begin, end in ends]
        rows.append([_plain(line)] + [""] * (len(ends) - 1) if _plain(line) in headings else cells)
    return rows


def _page(html: str) -> dict[str, Parsed]:
    """The sections of a page by their titles in small letters; the tiles as a table of three columns."""
    root, sections = parsed(html), {}
    for section in root.every("section"):
        if section.every("section"):
            continue
        lines = [_plain(item.text) for item in section.every("li")]
        title = next(iter(section.every("h2", "h3", "h4"))).text
        if section.every("figure"):
            title = _drawn_from(section)
        titles = [[_plain(cell.text) for cell in head.every("th")] for head in section.every("thead")]
        rows = [[_plain(cell.text) for cell in row.every("th", "td")] for row in section.every("tr") if row.every("td")]
        sections[title.casefold()] = Parsed(lines, titles[0] if titles else [], rows)
    for tiles in root.every("dl"):
        rows = [[_plain(part.text) for part in tile.every("dt", "dd")] for tile in tiles.every("div")]
        lead = [_plain(p.text) for p in root.every("p") if p.attributes.get("class") == "lead"]
        sections["decision"] = Parsed(lead, ["what", "figure", "detail"], rows)
    return sections


def _drawn_from(section: Element) -> str:
    """The title of the section that a picture is drawn from."""
    return section.every("details")[0].every("summary")[0].text.partition(": ")[2]


def _sentences(page: dict[str, Parsed]) -> list[str]:
    return [line for section in page.values() for line in section.lines]


def _workbook(data: bytes) -> dict[str, list[list[Any]]]:
    """The cells of each sheet, its titles first; the first sheet has all sentences."""
    book = openpyxl.load_workbook(io.BytesIO(data), data_only=True)
    return {sheet.title: [list(row) for row in sheet.iter_rows(values_only=True)] for sheet in book.worksheets}
