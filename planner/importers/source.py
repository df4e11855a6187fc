"""What all importers share: reading a source strictly, counting what is skipped, rows as CSV."""

import csv
import io
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Generic, TypeVar

import pandas as pd
from pydantic import BaseModel, ValidationError

from planner.errors import Finding, InputError, refusal
from planner.study.files import parse_json
from planner.study.places import Reading, listed, near_miss, printable_path, quoted
from planner.study.records.base import Record
from planner.study.tables import NUMBER, read_text

R = TypeVar("R", bound=Record)
T = TypeVar("T", bound=Record)

MOST_FINDINGS = 100
"""Findings that are listed of one source; a wrong column of a large table would print a page for each of its rows."""
MOST_PLACES = 3
"""Places that are named of what is skipped for one reason."""
DATE = re.compile(r"\d{4}(-\d{2}){0,2}")
SAVE_AGAIN = "save the answer whole, as it came"


class Source(Reading):
    """What is wrong with a source, and strict ways to take a value out of it: None with a finding where it is not."""

    def raise_errors(self) -> None:
        """Raise the findings.

        Raises
        ------
        InputError
            with every finding, at most MOST_FINDINGS and the number of the others.
        """
        errors = list(dict.fromkeys(finding for finding in self.findings if finding.level == "error"))
        if len(errors) > MOST_FINDINGS:
            where = errors[MOST_FINDINGS - 1].where.split(": ")[0]
            got = f"{len(errors) - MOST_FINDINGS} more findings like those above"
            errors[MOST_FINDINGS:] = [Finding(where, "nothing else wrong", got, "correct those first")]
        if errors:
            raise InputError(errors)

    def number(self, value: object, where: str, what: str, least: float = 0.0, above: bool = False) -> float | None:
        """A finite number of at least `least` (above it), from JSON or a cell."""
        figure = figure_of(value)
        if figure is None or not math.isfinite(figure) or figure < least or (above and figure == least):
            expected = f"{what}: a number {'above' if above else 'of at least'} {least:g}"
            self.error(where, expected, quoted(value), "write digits with a decimal point, without unit or separators")
            return None
        return figure

    def count(self, value: object, where: str, what: str, least: int = 0) -> int | None:
        """A whole number of at least `least`."""
        figure = self.number(value, where, what, least)
        if figure is not None and (figure != int(figure) or abs(figure) > 2**53):
            self.error(where, f"{what}: a whole number", quoted(value), "correct it where it comes from")
            return None
        return None if figure is None else int(figure)

    def date(self, value: object, where: str, what: str) -> str | None:
        """A year, month or day."""
        date = date_of(value)
        if date is None:
            got = "no date" if value is None else quoted(value)
            self.error(where, f"the date of the {what}", got, "give --as-of, the day it was measured or fetched")
        return date

    def text(self, data: Mapping[str, Any], name: str, where: str) -> str | None:
        """A text that is not blank."""
        value = data.get(name)
        if isinstance(value, str) and value.strip():
            return value.strip()
        got = quoted(value) if name in data else "no such field"
        self.error(f"{where}: {name}", "text", got, SAVE_AGAIN)
        return None

    def record(self, cls: type[T], data: dict[str, Any], where: str) -> T | None:
        """Plain data as a record, strictly."""
        try:
            return cls.model_validate(data, strict=True)
        except ValidationError as error:
            for detail in error.errors(include_url=False):
                name, got = ".".join(map(str, detail["loc"])), quoted(detail["input"])
                self.error(f"{where}: {name}", detail["msg"].lower(), got, "correct it in the source")
            return None


@dataclass
class Imported(Source, Generic[R]):
    """What came out of a source, and what is wrong with it.

    Parameters
    ----------
    unit : what is counted
    what : the shape that was recognised
    rows : records, in the order of their keys
    read, kept : items of the source that were read, and that entered a row
    skipped : reason: items
    places : reason: where the first of them are, as far as known
    notes : what the reader should know about the rows
    more : further results by name, for the report
    """

    unit: str = ""
    what: str = ""
    rows: list[R] = field(default_factory=list)
    read: int = 0
    kept: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    places: dict[str, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    more: dict[str, Any] = field(default_factory=dict)

    def skip(self, reason: str, items: int = 1, where: str = "") -> None:
        """Count what is left out, and keep the first places."""
        if items:
            self.skipped[reason] += items
        if where and len(self.places.setdefault(reason, [])) < MOST_PLACES:
            self.places[reason].append(where)

    def keep_latest(self, rows: Iterable[tuple[R, str]], key: Callable[[R], str], figure: Callable[[R], float]) -> None:
        """Take rows, each key once: the latest date counts; of one date with different figures none does.

        Parameters
        ----------
        rows : records, each with its date
        """
        data = [(row, date, key(row), figure(row)) for row, date in rows]
        table = pd.DataFrame(data, columns=["row", "date", "key", "figure"])
        latest = table[table["date"] == table.groupby("key")["date"].transform("max")]
        clear = latest.groupby("key")["figure"].transform("nunique") == 1
        for name, figures in latest[~clear].groupby("key")["figure"]:
            self.notes.append(f"{name} has {', '.join(f'{x:g}' for x in sorted(set(figures)))}: not taken")
        taken = latest[clear].drop_duplicates("key").sort_values("key")
        self.skip("an older figure for the same", len(table) - len(latest))
        self.skip("different figures for the same, of the same date: none of them can be trusted", int((~clear).sum()))
        self.skip("a repetition of the same figure", int(clear.sum()) - len(taken))
        self.rows = list(taken["row"])
        self.kept += len(taken)

    def as_dict(self) -> dict[str, Any]:
        """The report as plain data."""
        return {
            "recognised": self.what,
            "unit": self.unit,
            "read": self.read,
            "kept": self.kept,
            "skipped": dict(sorted(self.skipped.items())),
            "skipped_at": dict(sorted(self.places.items())),
            "rows": len(self.rows),
            "notes": list(self.notes),
            **self.more,
        }

    def as_text(self) -> str:
        """The report as people read it: one line a fact."""
        lines = [f"{self.what}: {self.read} {self.unit} read, {self.kept} used, {len(self.rows)} rows"]
        for reason, n in sorted(self.skipped.items(), key=lambda x: (-x[1], x[0])):
            places = self.places.get(reason, [])
            at = f" ({', '.join(places)}{', ...' if n > len(places) else ''})" if places else ""
            lines.append(f"  skipped {n:>6}  {reason}{at}")
        return "\n".join(lines + [f"  note: {note}" for note in self.notes])


def load_text(path: Path) -> str:
    """The text of a source.

    Raises
    ------
    InputError
        when it cannot be read, is no UTF-8 text or empty.
    """
    text = read_text(path, pipes=True)
    if not text.strip():
        raise refusal(f"{printable_path(path)}:1", "a source to import", "an empty file", "name the file with the data")
    return text


@dataclass(frozen=True)
class Table:
    """A CSV: its columns, and its rows with their lines."""

    file: str
    header: tuple[str, ...]
    rows: list[tuple[int, dict[str, str]]]

    def at(self, line: int, column: str = "") -> str:
        """`file:line: column`; line 0 is no line."""
        return self.file + (f":{line}" if line else "") + (f": {column}" if column else "")

    def lacks(self, columns: Iterable[str]) -> list[str]:
        """The columns that are not in the table."""
        return [name for name in columns if name not in self.header]


def load_table(text: str, file: str, source: Reading) -> Table:
    """A CSV with a header; rows with a wrong number of cells are findings and left out.

    Raises
    ------
    InputError
        when there is no table to read.
    """
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header: list[str] = []
    rows: list[tuple[int, dict[str, str]]] = []
    line = 0
    try:
        for cells in reader:
            line, start = reader.line_num, line + 1
            if not any(cell.strip() for cell in cells):
                continue
            if not header:
                header = [cell.strip() for cell in cells]
                continue
            if len(cells) != len(header):
                fix = "one cell per column; put text with a comma in quotes"
                got = f"{len(cells)}: {quoted(','.join(cells))}"
                source.error(f"{file}:{start}", f"{len(header)} cells", got, fix)
                continue
            rows.append((start, {name: cell.strip() for name, cell in zip(header, cells, strict=True)}))
    except csv.Error as error:
        fix = "close every quote; save the table again"
        raise refusal(f"{file}:{reader.line_num}", "CSV", str(error), fix) from None
    double = sorted({name for name in header if header.count(name) > 1})
    if double:
        raise refusal(f"{file}:1", "each column once", f"{listed(double)} more than once", "remove one of them")
    if len(header) == 1 and (";" in header[0] or "\t" in header[0]):
        raise refusal(f"{file}:1", "cells separated by commas", quoted(header[0]), "save the table with commas")
    if not rows and not source.findings:
        raise refusal(f"{file}:1", "a header and rows", "no rows", "save the table whole")
    return Table(file, tuple(header), rows)


def load(path: Path, source: Reading, lines: bool = False) -> Any:
    """A source: a `Table`, or the data of its JSON; with `lines` the documents in it, each with its place.

    Raises
    ------
    InputError
        when it cannot be read
    """
    text, where = load_text(path), printable_path(path)
    if text.lstrip()[:1] not in ("{", "["):
        return load_table(text, where, source)
    numbered = [(i, line.strip()) for i, line in enumerate(text.split("\n"), 1) if line.strip()]
    if lines and len(numbered) > 1 and all(line[0] == "{" and line[-1] == "}" for _, line in numbered):
        return [(f"{where}:{i}", parse_json(line, f"{where}:{i}", SAVE_AGAIN)) for i, line in numbered]
    data = parse_json(text, where, SAVE_AGAIN)
    if lines and data == []:
        raise refusal(f"{where}:1", "a source to import", "an empty list", "name the file with the data")
    if not lines:
        return data
    return [(f"{where}: [{i}]", item) for i, item in enumerate(data)] if isinstance(data, list) else [(where, data)]


def unknown_shape(where: str, got: str, shapes: Mapping[str, str]) -> InputError:
    """The refusal of a source whose shape is not known: what was expected, each in a few words."""
    expected = "one of: " + "; ".join(f"{name} ({mark})" for name, mark in shapes.items())
    return refusal(where, expected, got, "save the answer as it came, or bring it into one of these shapes")


def unknown_data(where: str, data: object, shapes: Mapping[str, str]) -> InputError:
    """The refusal of JSON whose shape is not known."""
    got = "a list" if isinstance(data, list) else quoted(data)
    return unknown_shape(where, f"the fields {listed(data)}" if isinstance(data, dict) else got, shapes)


def unknown_table(table: Table, columns: Iterable[str], shapes: Mapping[str, str]) -> InputError:
    """The refusal of a table without some of the columns that the nearest shape has."""
    missing = table.lacks(columns)
    got = f"a table without {listed(missing)}{near_miss(missing[0], table.header)}"
    return unknown_shape(f"{table.file}:1", got, shapes)


def columns_of(spec: str | None, known: Iterable[str], table: Table) -> dict[str, str]:
    """`field=column,...` as a mapping of fields to columns that the table has.

    Raises
    ------
    InputError
        for each unknown field and column.
    """
    source, columns = Source(), dict[str, str]()
    for part in spec.split(",") if spec else ():
        name, equals, column = (x.strip() for x in part.partition("="))
        if not equals or name not in known:
            got = quoted(part) + near_miss(name, known)
            source.error("--columns", f"field=column with a field of {', '.join(known)}", got, "as in from=src,to=dst")
        elif column not in table.header:
            got, fix = quoted(column) + near_miss(column, table.header), f"one of: {listed(table.header, 40)}"
            source.error(f"{table.file}: --columns {name}", "a column of the table", got, fix)
        elif name in columns:
            source.error("--columns", f"{name} once", "it twice", "remove one of them")
        else:
            columns[name] = column
    source.raise_errors()
    return columns


def figure_of(value: object) -> float | None:
    """A number of JSON or of a cell, infinite where no float holds it; None for anything else."""
    if isinstance(value, str) and NUMBER.fullmatch(value.strip()):
        return float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf


def within(data: object, path: str) -> Any:
    """The value at a dotted path of JSON; None where it does not lead anywhere."""
    for part in path.split("."):
        data = data.get(part) if isinstance(data, dict) else None
    return data


def fields_of(value: object) -> dict[str, Any]:
    """The fields of a JSON object; none of anything else."""
    return value if isinstance(value, dict) else {}


def date_of(value: object) -> str | None:
    """The year, month or day a date begins with: `2026-03-14` of `2026-03-14T00:00:00Z`; None when it does not."""
    text = value.strip() if isinstance(value, str) else ""
    match = DATE.match(text)
    if match is None or not _is_day(match[0]):
        return None
    after = text[match.end() :]
    return match[0] if not after or after[0] in "T (" else None


def _is_day(text: str) -> bool:
    """Whether a year, month or day is one of the calendar."""
    try:
        return bool(date.fromisoformat(text + "-01-01"[len(text) - 4 :]))
    except ValueError:
        return False


def stated_date(value: str | None) -> str | None:
    """A date given as an option, checked.

    Raises
    ------
    InputError
        when it is not a year, month or day.
    """
    if value is not None and not (DATE.fullmatch(value) and _is_day(value)):
        raise refusal("--as-of", "a year, month or day: 2026, 2026-03, 2026-03-14", quoted(value), "correct it")
    return value


def within_length(text: str, most: int = 200) -> str:
    """A text cut in its middle to what a name or source may be long: begin and end tell the most."""
    return text if len(text) <= most else f"{text[: most // 2 - 3]} ... {text[2 - most // 2 :]}"


def csv_text(cls: type[BaseModel], rows: Iterable[BaseModel]) -> str:
    """Records as CSV: a column for each field, blank where there is none; numbers as short as they are exact."""
    cells = [{name: _cell(value) for name, value in row} for row in rows]
    return pd.DataFrame(cells, columns=list(cls.model_fields)).to_csv(index=False, lineterminator="\n")


def _cell(value: object) -> str:
    if isinstance(value, float):
        return repr(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)
    return "" if value is None else str(value)
