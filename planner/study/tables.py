"""YAML and CSV into plain data and records, each with its place. Nothing is raised; findings are collected."""

import csv
import io
import json
import math
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic.fields import FieldInfo

from planner.errors import InputError, refusal
from planner.study.files import read_bytes
from planner.study.places import (
    Loc,
    Place,
    R,
    Reading,
    Row,
    near_miss,
    printable_path,
    quoted,
    read_record,
    read_records,
    types_in,
    unique,
    unquoted,
)

DEEPEST = 40
"""Levels of nesting that are read; what people write has fewer than ten."""
NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
INTEGER = re.compile(r"[-+]?[0-9]+")
NOT_FINITE = re.compile(r"[-+]?\.?(inf|infinity|nan)", re.IGNORECASE)
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_text(path: Path, pipes: bool = False) -> str:
    """The text of a file in UTF-8, with or without a byte order mark; lines end in a line feed.

    Parameters
    ----------
    pipes : whether a pipe that ends will do, too

    Raises
    ------
    InputError
        when it is no file that can be read, no UTF-8, or holds control characters
    """
    where = printable_path(path)
    try:
        if not path.exists():
            siblings = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
            missing = "no such file" + near_miss(path.name, siblings)
            raise refusal(where, "a file", missing, "create it, or correct the path")
        raw = read_bytes(path, pipes)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise refusal(where, "a file that can be read", reason.lower(), "check the path, its permissions") from None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        where = f"{where}:{raw.count(10, 0, error.start) + 1}"
        got = f"the byte 0x{raw[error.start]:02x}"
        raise refusal(where, "UTF-8 text", got, "save the file as UTF-8") from None
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if control := CONTROL.search(text):
        where = f"{where}:{text.count(chr(10), 0, control.start()) + 1}"
        raise refusal(where, "text", f"the control character {quoted(control[0])}", "remove it")
    return text


def read_yaml(path: Path, reading: Reading) -> tuple[dict[str, Any], Place] | None:
    """A YAML file that holds a mapping; None with a finding otherwise.

    YAML 1.2: only true and false are booleans, so that `no` and `on` stay text. Keys are text. Duplicate keys are
    findings; aliases, tags and further documents are refused.
    """
    file = printable_path(path)
    lines: dict[Loc, int] = {(): 1}
    place = Place(file, lines)
    try:
        data = _document(read_text(path), place, lines, reading)
        if not isinstance(data, dict):
            got = "a list" if isinstance(data, list) else "an empty file" if data is None else quoted(data)
            raise refusal(f"{file}:1", "fields (name: value)", got, "write `field: value`, one a line")
        return data, place
    except InputError as error:
        reading.findings += error.findings
    except yaml.YAMLError as error:
        mark: Any = getattr(error, "problem_mark", None)
        problem: str = getattr(error, "problem", None) or str(error).splitlines()[0]
        where = f"{file}:{mark.line + 1}" if mark is not None else file
        if "nesting depth" in problem:  # newer parsers stop by themselves, before they run out of stack
            reading.error(where, f"at most {DEEPEST} levels", "more", "nest less deeply")
            return None
        hint = "indent with spaces, never tabs" if "tab" in problem else "check indentation, colons and quotes here"
        reading.error(where, "YAML", problem, f"{hint}; text with ': ' or '#' in it needs quotes")
    return None


def _document(text: str, place: Place, lines: dict[Loc, int], reading: Reading) -> Any:
    """The data of the only document of a YAML text."""
    around = (yaml.StreamStartEvent, yaml.StreamEndEvent, yaml.DocumentStartEvent, yaml.DocumentEndEvent)
    content: Iterator[Any] = (event for event in yaml.parse(text, Loader=_LOADER) if not isinstance(event, around))
    first = next(content, None)
    data = None if first is None else _build(first, content, (), place, lines, reading)
    if (further := next(content, None)) is not None:
        where = f"{place.file}:{further.start_mark.line + 1}"
        raise refusal(where, "one document in the file", "another", "move it to a file of its own")
    return data


def _build(event: Any, events: Iterator[Any], loc: Loc, place: Place, lines: dict[Loc, int], reading: Reading) -> Any:
    """Plain data from YAML events, noting the line of everything on the way."""
    where = f"{place.file}:{event.start_mark.line + 1}"
    if isinstance(event, yaml.AliasEvent):
        anchor = unquoted(event.anchor)
        raise refusal(where, "values written out", f"the alias *{anchor}", "repeat what it stands for")
    if event.tag not in (None, "!", "tag:yaml.org,2002:str"):
        tag = unquoted(event.tag)
        raise refusal(where, "plain values", f"the tag {tag}", "remove the tag, or put the value in quotes")
    if len(loc) > DEEPEST:
        raise refusal(where, f"at most {DEEPEST} levels", "more", "nest less deeply")
    lines.setdefault(loc, event.start_mark.line + 1)
    if isinstance(event, yaml.ScalarEvent):
        return _scalar(event.value) if event.implicit[0] and event.tag is None else event.value
    if isinstance(event, yaml.SequenceStartEvent):
        items: list[Any] = []
        while not isinstance(event := next(events), yaml.SequenceEndEvent):
            items.append(_build(event, events, (*loc, len(items)), place, lines, reading))
        return items
    fields: dict[str, Any] = {}
    while not isinstance(event := next(events), yaml.MappingEndEvent):
        line = event.start_mark.line + 1
        if not isinstance(event, yaml.ScalarEvent):
            raise refusal(
                f"{place.file}:{line}", "text as the name of a field", "a list or mapping", "write `name: value`"
            )
        key = event.value
        if key in fields:
            got = f"it on lines {place.line(*loc, key)} and {line}"
            reading.error(Place(place.file, {(): line}).at(*loc, key), "each field once", got, "remove one of them")
            _build(next(events), events, (*loc, key), place, {}, reading)
            continue
        lines[*loc, key] = line
        fields[key] = _build(next(events), events, (*loc, key), place, lines, reading)
    return fields


def _is_finite(data: Any) -> bool:
    """Whether no number in JSON is beyond what a float holds, or none at all."""
    if isinstance(data, dict | list):
        return all(map(_is_finite, data.values() if isinstance(data, dict) else data))
    return not isinstance(data, float) or math.isfinite(data)


def value_of(text: str, where: str, reading: Reading) -> Any:
    """A value as it would stand in a file: JSON, or a list or fields in the brackets of YAML; any other text is text.

    Examples
    --------
    >>> value_of("[a, b]", "here", Reading()), value_of("0.5", "here", Reading()), value_of("x2", "here", Reading())
    (['a', 'b'], 0.5, 'x2')
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        if not text.startswith(("[", "{")):
            return text
    else:
        if not _is_finite(data):
            fix = "write a number below 1e308; to leave a limit out, write null"
            reading.error(where, "finite numbers", quoted(text), fix)
        return data
    nested = Reading()
    data = None
    try:
        data = _document(text, Place(where), {}, nested)
    except InputError as error:
        nested.findings += error.findings
    except yaml.YAMLError:
        fix = "close every bracket, part elements by commas: [a, b] or {name: value}"
        nested.error(where, "a list or fields in brackets", quoted(text), fix)
    for finding in nested.findings:
        reading.error(where, finding.expected, finding.got, finding.fix)
    return data


def _scalar(text: str) -> Any:
    """A plain scalar by the core schema of YAML 1.2."""
    if text in ("", "~", "null", "Null", "NULL"):
        return None
    if text in ("true", "True", "TRUE", "false", "False", "FALSE"):
        return text.lower() == "true"
    if re.fullmatch(r"0o[0-7]+|0x[0-9a-fA-F]+", text) and len(text) < 20:
        return int(text, 0)
    if re.fullmatch(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", text):
        return float(text.replace(".", ""))
    return _number(text) if NUMBER.fullmatch(text) else text


def _number(text: str) -> float:
    return int(text) if INTEGER.fullmatch(text) and len(text) < 20 else float(text)


def read_list(cls: type[R], path: Path, reading: Reading, field: str | None = None) -> list[Row[R]]:
    """The records of a YAML file that holds one list, under a field named as the file is, or as is said."""
    field = field or path.stem
    if not os.path.lexists(path):
        return []
    document = read_yaml(path, reading)
    data, place = document if document is not None else ({}, Place(""))
    items = data.get(field)
    others = [name for name in data if name != field]
    for name in others:
        fix = f"the only field here is {field}"
        reading.error(place.at(name), "a known field", quoted(name) + near_miss(name, [field]), fix)
    if not isinstance(items, list):
        reading.broken.add((cls, "*"))
        if document is not None and not others:
            got = "nothing" if items is None else quoted(items)
            reading.error(place.at(field), "a list", got, f"write `{field}:` and each of them after `- `")
        return []
    return read_records(cls, items, place.within(field), reading)


def read_csv(cls: type[R], path: Path, reading: Reading, key: Callable[[R], str]) -> list[Row[R]]:
    """The rows of a CSV whose columns are the fields of a record, each with its place.

    A blank cell is the field's default; lists are split at `;`. A second row with the same `key` is a finding.
    """
    rows: list[Row[R]] = []
    try:
        text = read_text(path)
    except InputError as error:
        reading.findings += error.findings
        reading.broken.add((cls, "*"))
        return rows
    file = printable_path(path)
    fields = {info.alias or name: info for name, info in cls.model_fields.items()}
    reader, header, line = csv.reader(io.StringIO(text, newline=""), strict=True), list[str](), 0
    try:
        for cells in reader:
            line, start = reader.line_num, line + 1
            if not any(cell.strip() for cell in cells):
                continue
            if header:
                place = Place(file, {(): start} | {(name,): start for name in header})
                record = _record(cls, header, cells, fields, place, reading)
                if record is not None:
                    rows.append((record, place))
                else:
                    reading.broken.add((cls, _raw_key(cls, key, header, cells)))
                continue
            header = [cell.strip() for cell in cells]
            if not _header_holds(header, fields, f"{file}:{start}", reading):
                reading.broken.add((cls, "*"))
                return rows
    except csv.Error as error:
        reading.error(f"{file}:{reader.line_num}", "CSV", str(error), "close every quote; double a quote within text")
        reading.broken.add((cls, "*"))
    if not header:
        fix = f"begin with the line {','.join(name for name, f in fields.items() if f.is_required())}"
        reading.error(f"{file}:1", "a header and rows", "an empty file", fix)
        reading.broken.add((cls, "*"))
    return unique(rows, key, reading)


def _record(
    cls: type[R], header: list[str], cells: list[str], fields: dict[str, FieldInfo], place: Place, reading: Reading
) -> R | None:
    """The record of a row; None with findings when it is none."""
    if len(cells) != len(header):
        got = f"{len(cells)}: {quoted(','.join(cells))}"
        fix = "one cell per column; put text with a comma in quotes, write numbers with a decimal point"
        reading.error(place.at(), f"{len(header)} cells", got, fix)
        return None
    data = _cells(dict(zip(header, cells, strict=True)), fields, place, reading)
    return None if data is None else read_record(cls, data, place, Reading(reading.findings))


def _header_holds(header: list[str], fields: dict[str, FieldInfo], where: str, reading: Reading) -> bool:
    """Whether the columns are those of the record; what is wrong is reported."""
    before = len(reading.findings)
    fix = f"the columns are: {','.join(fields)}"
    if len(header) == 1 and (";" in header[0] or "\t" in header[0]):
        reading.error(where, "cells separated by commas", quoted(header[0]), "save the table with commas")
        return False
    for name in sorted({name for name in header if header.count(name) > 1}):
        reading.error(where, "each column once", f"{quoted(name)} {header.count(name)} times", "remove one of them")
    for name in header:
        if name not in fields:
            got = quoted(name) + near_miss(name, fields)
            reading.error(f"{where}: {unquoted(name)}", "a known column", got, fix)
    for name, info in fields.items():
        if info.is_required() and name not in header:
            reading.error(f"{where}: {name}", "the column", "no such column", f"add `{name}`: {info.description}")
    return len(reading.findings) == before


def _cells(
    cells: dict[str, str], fields: dict[str, FieldInfo], place: Place, reading: Reading
) -> dict[str, object] | None:
    """Cells as the types of their fields; None with findings where a cell does not hold what it must."""
    data: dict[str, object] = {}
    before = len(reading.findings)
    for name, raw in cells.items():
        cell, info = raw.strip(), fields[name]
        types = list(types_in(info.annotation))
        if not cell:
            if info.is_required():
                reading.error(place.at(name), "a value", f"a blank {_noun(name)}", str(info.description))
        elif tuple in types:
            data[name] = [part.strip() for part in cell.split(";") if part.strip()]
        elif int not in types and float not in types:
            data[name] = cell
        elif NUMBER.fullmatch(cell):
            data[name] = _number(cell)
        elif NOT_FINITE.fullmatch(cell):
            data[name] = float(cell.replace(".", ""))
        else:
            reading.error(place.at(name), "a number", quoted(cell), f"{_number_fix(cell)}; {info.description}")
    return data if len(reading.findings) == before else None


def _noun(column: str) -> str:
    """`price` of `price_usd_per_machine_hour`."""
    return column.partition("_usd")[0].replace("_", " ")


def _number_fix(cell: str) -> str:
    """How to write what was meant as a number."""
    if re.fullmatch(r"[-+]?[0-9]+,[0-9]+", cell):
        fix = f"write the decimal point as {cell.replace(',', '.')}"
        return f"{fix}, or without the separator as {cell.replace(',', '')}" if re.search(r",[0-9]{3}$", cell) else fix
    plain = re.sub(r"[,' _\u00a0\u202f]", "", cell)
    if NUMBER.fullmatch(plain):
        return f"write it without thousands separators: {plain}"
    return "write digits with a decimal point, without unit or currency"


def _raw_key(cls: type[R], key: Callable[[R], str], header: list[str], cells: list[str]) -> str:
    """The key of a row that is no record, so that what points to it is not reported as well."""
    try:
        return key(cls.model_construct(**dict(zip(header, (cell.strip() for cell in cells), strict=False))))  # type: ignore[arg-type]
    except (AttributeError, TypeError):
        return "*"
