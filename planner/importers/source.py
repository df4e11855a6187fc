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

from pydantic import BaseModel, ValidationError

from planner.errors import Finding, InputError
from planner.study.files import parse_json
from planner.study.places import Reading, listed, near_miss, printable_path, quoted
from planner.study.records.base import Record
from planner.study.tables import NUMBER, read_text

R = TypeVar("R", bound=Record)

MOST_FINDINGS = 100
"""Findings that are listed of one source; a wrong column of a large table would print a page for each of its rows."""
MOST_PLACES = 3
"""Places that are named of what is skipped for one reason."""
DATE = re.compile(r"\d{4}(-\d{2}){0,2}")


@dataclass
class Imported(Generic[R]):
    """What came out of a source.

    Parameters
    ----------
    what : the shape that was recognised
    unit : what is counted
    rows : records, in the order of their keys
    read, kept : items of the source that were read, and that entered a row
    skipped : reason: items
    places : reason: where the first of them are, as far as told
    notes : what the reader should know about the rows
    more : further results by name, for the report
    """

    what: str
    unit: str
    rows: list[R] = field(default_factory=list)
    read: int = 0
    kept: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    places: dict[str, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    more: dict[str, Any] = field(default_factory=dict)

    def skip(self, reason: str, items: int = 1, where: str = "") -> None:
        """Count what is left out, and keep the first places."""
        self.skipped[reason] += items
        if where and len(self.places.setdefault(reason, [])) < MOST_PLACES:
            self.places[reason].append(where)

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


def stop_on_errors(reading: Reading) -> None:
    """Raise what was found.

    Raises
    ------
    InputError
        with every finding, at most MOST_FINDINGS and the number of the others.
    """
    found = list(dict.fromkeys(f for f in reading.findings if f.level == "error"))
    if len(found) > MOST_FINDINGS:
        more, last = len(found) - MOST_FINDINGS, found[MOST_FINDINGS - 1]
        where = last.where.split(": ")[0]
        rest = Finding(where, "nothing else wrong", f"{more} more findings like those above", "correct those first")
        found = [*found[:MOST_FINDINGS], rest]
    if found:
        raise InputError(found)


def refuse(where: str, expected: str, got: str, fix: str) -> InputError:
    """A single finding as the error that ends an import."""
    return InputError([Finding(where, expected, got, fix)])


def load_text(path: Path) -> str:
    """The text of a source.

    Raises
    ------
    InputError
        when it cannot be read, is no UTF-8 text or empty.
    """
    text = read_text(path, pipes=True)
    if not text.strip():
        raise refuse(f"{printable_path(path)}:1", "a source to import", "an empty file", "name the file with the data")
    return text


def is_json(text: str) -> bool:
    """Whether a text means to be JSON rather than a table."""
    return text.lstrip()[:1] in ("{", "[")


def load_json(text: str, where: str) -> Any:
    """The data of a JSON text, see `parse_json`."""
    return parse_json(text, where, "save the answer whole, as it came")


def load_json_lines(text: str, where: str) -> list[tuple[str, Any]]:
    """One JSON document, or one a line; each with its place.

    Raises
    ------
    InputError
        when there is none
    """
    lines = [(i, line) for i, line in enumerate(text.split("\n"), 1) if line.strip()]
    if len(lines) > 1 and all(line.lstrip().startswith("{") and line.rstrip().endswith("}") for _, line in lines):
        return [(f"{where}:{i}", load_json(line, f"{where}:{i}")) for i, line in lines]
    data = load_json(text, where)
    if data == []:
        raise refuse(f"{where}:1", "a source to import", "an empty list", "name the file with the data")
    return [(f"{where}: [{i}]", item) for i, item in enumerate(data)] if isinstance(data, list) else [(where, data)]


@dataclass(frozen=True)
class Table:
    """A CSV: its columns, and its rows with their lines."""

    file: str
    header: tuple[str, ...]
    rows: list[tuple[int, dict[str, str]]]

    def at(self, line: int, column: str = "") -> str:
        """`file:line: column`; line 0 is no line."""
        return self.file + (f":{line}" if line else "") + (f": {column}" if column else "")


def load_table(text: str, file: str, reading: Reading) -> Table:
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
                reading.error(f"{file}:{start}", f"{len(header)} cells", got, fix)
                continue
            rows.append((start, {name: cell.strip() for name, cell in zip(header, cells, strict=True)}))
    except csv.Error as error:
        raise refuse(
            f"{file}:{reader.line_num}", "CSV", str(error), "close every quote; save the table again"
        ) from None
    double = sorted({name for name in header if header.count(name) > 1})
    if double:
        raise refuse(f"{file}:1", "each column once", f"{listed(double)} more than once", "remove one of them")
    if len(header) == 1 and (";" in header[0] or "\t" in header[0]):
        raise refuse(f"{file}:1", "cells separated by commas", quoted(header[0]), "save the table with commas")
    if not rows and not reading.findings:
        raise refuse(f"{file}:1", "a header and rows", "no rows", "save the table whole")
    return Table(file, tuple(header), rows)


def unknown_shape(where: str, got: str, shapes: Mapping[str, str]) -> InputError:
    """The refusal of a source whose shape is not known: what was expected, each in a few words."""
    expected = "one of: " + "; ".join(f"{name} ({mark})" for name, mark in shapes.items())
    return refuse(where, expected, got, "save the answer as it came, or bring it into one of these shapes")


def columns_of(spec: str | None, known: Iterable[str], header: Iterable[str], where: str) -> dict[str, str]:
    """`field=column,...` as a mapping of fields to columns that the table has.

    Raises
    ------
    InputError
        for each unknown field and column.
    """
    reading, known, header = Reading(), list(known), list(header)
    found: dict[str, str] = {}
    for part in (spec or "").split(",") if spec else []:
        name, equals, column = (x.strip() for x in part.partition("="))
        if not equals or name not in known:
            got = quoted(part) + near_miss(name, known)
            reading.error("--columns", f"field=column with a field of {', '.join(known)}", got, "as in from=src,to=dst")
        elif column not in header:
            got = quoted(column) + near_miss(column, header)
            reading.error(f"{where}: --columns {name}", "a column of the table", got, f"one of: {listed(header, 40)}")
        elif name in found:
            reading.error("--columns", f"{name} once", "it twice", "remove one of them")
        else:
            found[name] = column
    stop_on_errors(reading)
    return found


def number(
    value: object, where: str, what: str, reading: Reading, least: float = 0.0, above: bool = False
) -> float | None:
    """A finite number of at least `least` (above it), from JSON or a cell; None with a finding otherwise."""
    expected = f"{what}: a number {'above' if above else 'of at least'} {least:g}"
    fix = "write digits with a decimal point, without unit or separators"
    figure: float | None = None
    if isinstance(value, str) and NUMBER.fullmatch(value.strip()):
        value = float(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            figure = float(value)
        except OverflowError:
            figure = math.inf
    if figure is None or not math.isfinite(figure) or figure < least or (above and figure == least):
        reading.error(where, expected, quoted(value), fix)
        return None
    return figure


def whole(value: object, where: str, what: str, reading: Reading, least: int = 0) -> int | None:
    """A whole number of at least `least`; None with a finding otherwise."""
    figure = number(value, where, what, reading, least)
    if figure is None:
        return None
    if figure != int(figure) or abs(figure) > 2**53:
        reading.error(where, f"{what}: a whole number", quoted(value), "correct it where it comes from")
        return None
    return int(figure)


def text_of(data: Mapping[str, Any], name: str, where: str, reading: Reading) -> str | None:
    """A text that is not blank; None with a finding otherwise."""
    value = data.get(name)
    if isinstance(value, str) and value.strip():
        return value.strip()
    got = "no such field" if name not in data else quoted(value)
    reading.error(f"{where}: {name}", "text", got, "save the answer whole, as it came")
    return None


def date_of(value: object) -> str | None:
    """The year, month or day a date begins with: `2026-03-14` of `2026-03-14T00:00:00Z`; None when it does not."""
    if not isinstance(value, str) or not (found := DATE.match(value.strip())):
        return None
    rest = value.strip()[found.end() :]
    return found[0] if _is_day(found[0]) and (not rest or rest[0] in "T (") else None


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
        raise refuse("--as-of", "a year, month or day: 2026, 2026-03, 2026-03-14", quoted(value), "correct it")
    return value


def record(cls: type[R], data: dict[str, Any], where: str, reading: Reading) -> R | None:
    """Plain data as a record, strictly; None with a finding otherwise."""
    try:
        return cls.model_validate(data, strict=True)
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            name = ".".join(str(part) for part in detail["loc"])
            reading.error(
                f"{where}: {name}", detail["msg"].lower(), quoted(detail["input"]), "correct it in the source"
            )
        return None


def within_length(text: str, most: int = 200) -> str:
    """A text cut in its middle to what a name or source may be long: begin and end tell the most."""
    return text if len(text) <= most else f"{text[: most // 2 - 3]} ... {text[2 - most // 2 :]}"


def csv_text(cls: type[BaseModel], rows: Iterable[BaseModel]) -> str:
    """Records as CSV: a column for each field, blank where there is none; numbers as short as they are exact."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    names = list(cls.model_fields)
    writer.writerow(names)
    for row in rows:
        writer.writerow([_cell(getattr(row, name)) for name in names])
    return out.getvalue()


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return repr(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)
    return str(value)


def without_conflicts(
    rows: list[tuple[R, str]], key: Callable[[R], str], figure: Callable[[R], float], out: Imported[R]
) -> list[R]:
    """The rows, each key once: the latest date counts; of one date with different figures none does.

    Parameters
    ----------
    rows : records, each with its date
    """
    groups: dict[str, list[tuple[R, str]]] = {}
    for row in rows:
        groups.setdefault(key(row[0]), []).append(row)
    kept: list[R] = []
    for name, group in sorted(groups.items()):
        latest = max(day for _, day in group)
        last = [row for row, day in group if day == latest]
        out.skip("an older figure for the same", len(group) - len(last))
        if len({figure(row) for row in last}) > 1:
            out.skip("different figures for the same, of the same date: none of them can be trusted", len(last))
            figures = ", ".join(f"{x:g}" for x in sorted({figure(row) for row in last}))
            out.notes.append(f"{name} has {figures}: not taken")
            continue
        out.skip("a repetition of the same figure", len(last) - 1)
        kept.append(last[0])
    out.skipped = Counter({reason: n for reason, n in out.skipped.items() if n})
    out.kept += len(kept)
    return kept
