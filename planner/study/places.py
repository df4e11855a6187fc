"""Where things stand in files, what was found wrong with them, and plain data into records."""

import difflib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from planner.errors import Finding, InputError, printable
from planner.study.records.base import SCHEMA_VERSION, Contradiction, Record
from planner.study.records.renamed import NEW_NAMES

R = TypeVar("R", bound=Record)
T = TypeVar("T")
Loc = tuple[int | str, ...]
Near = Callable[[str, Iterable[str]], str]
"""A name and those that are known -> which was meant, for a message; or nothing."""


@dataclass(frozen=True)
class Place:
    """Where a record stands: the file, the line of each of its fields, the way to it within the file."""

    file: str
    lines: Mapping[Loc, int] = field(default_factory=dict)
    prefix: Loc = ()

    def line(self, *loc: int | str) -> int:
        """The line of a field, else of the nearest thing around it."""
        path = self.prefix + loc
        return next((self.lines[path[:n]] for n in range(len(path), -1, -1) if path[:n] in self.lines), 1)

    def at(self, *loc: int | str) -> str:
        """`file:line: field.path`."""
        path = ""
        for part in self.prefix + loc:
            path += f"[{part}]" if isinstance(part, int) else f".{unquoted(part)}"
        return f"{self.file}:{self.line(*loc)}" + (f": {path.removeprefix('.')}" if path else "")

    def within(self, *loc: int | str) -> "Place":
        """The place of a part."""
        return Place(self.file, self.lines, self.prefix + loc)

    def rows(self, records: Iterable[T], *loc: int | str) -> list[tuple[T, "Place"]]:
        """The parts of a list, each with its place."""
        return [(record, self.within(*loc, i)) for i, record in enumerate(records)]


Row = tuple[R, Place]


@dataclass
class UnknownName:
    """A name that leads nowhere, said once: the number of its finding, what that got, and all places of it."""

    number: int
    got: str
    places: list[str]


@dataclass
class Reading:
    """What has been found so far, and the names of things that exist but could not be read.

    `broken` holds (record class, name), `(class, "*")` for a whole table: nothing else is reported for pointing there.
    `unknown` holds (what was expected, the name that stands instead).
    """

    findings: list[Finding] = field(default_factory=list)
    broken: set[tuple[type[Record], str]] = field(default_factory=set)
    unknown: dict[tuple[str, str], UnknownName] = field(default_factory=dict)

    def error(self, where: str, expected: str, got: str, fix: str) -> None:
        """Report what must be put right."""
        self.findings.append(Finding(where, expected, got, fix))

    def warning(self, where: str, expected: str, got: str, fix: str) -> None:
        """Report what the reader should know."""
        self.findings.append(Finding(where, expected, got, fix, "warning"))

    def any_broken(self, *classes: type[Record]) -> bool:
        """Whether records of one of these classes could not be read, so that what they lead to is not known."""
        return any(cls in classes for cls, _ in self.broken)

    def refer(
        self,
        where: str,
        cls: type[Record],
        what: str,
        name: str,
        known: Iterable[str],
        fix: str | None = None,
        near: Near | None = None,
    ) -> bool:
        """Whether `name` is known; if it neither is nor is broken, say so with the nearest name, as `near` finds it."""
        names = set(known)
        if name in names:
            return True
        if not {(cls, name), (cls, "*")} & self.broken:
            self.unknown_name(where, what, name, names, fix or f"write one of: {listed(names)}", near)
        return False

    def unknown_name(
        self, where: str, what: str, name: str, known: Iterable[str], fix: str, near: Near | None = None
    ) -> None:
        """Say that a name leads nowhere, with the nearest one: once, however often the same stands for the same."""
        if (what, name) not in self.unknown:
            got = quoted(name) + (near or near_miss)(name, known)
            self.unknown[what, name] = UnknownName(len(self.findings), got, [where])
            self.error(where, what, got, fix)
            return
        first = self.unknown[what, name]
        first.places.append(where)
        more = len(first.places) - 2
        got = f"{first.got}, also at {first.places[1]}" + (f" and {more} more" if more else "")
        self.findings[first.number] = replace(self.findings[first.number], got=got)

    def refer_pattern(
        self, where: str, cls: type[Record], what: str, pattern: str, known: Iterable[str], form: str
    ) -> None:
        """Say of a pattern that matches none of the known ids so, with the nearest one and the form that ids have."""
        ids = list(known)
        if not any(fnmatchcase(id, pattern) for id in ids) and not self.any_broken(cls):
            got = f"{quoted(pattern)}, which matches none{near_miss(pattern, ids)}"
            self.error(where, what, got, f"ids are {form}, * matches anything: {listed(ids, 4)}")

    def raise_errors(self) -> None:
        """Raise `InputError` with every finding, when one of them is an error."""
        if any(finding.level == "error" for finding in self.findings):
            raise InputError(sorted_findings(self.findings))


def sorted_findings(findings: Iterable[Finding]) -> list[Finding]:
    """Errors first, otherwise as they came; none twice."""
    return sorted(dict.fromkeys(findings), key=lambda finding: finding.level != "error")


def matches(id: str, patterns: Iterable[str]) -> bool:
    """Whether an id is, or matches, one of some patterns (`*`, `?`, `[...]`)."""
    return any(fnmatchcase(id, pattern) for pattern in patterns)


def quoted(value: object) -> str:
    """A value as findings print it: text in quotes, anything else as JSON, in the form of `unquoted`."""
    if value is None or value == "":
        return "nothing (blank)"
    return f"'{unquoted(value)}'" if isinstance(value, str) else unquoted(value)


def unquoted(value: object, most: int = 80) -> str:
    """A value on one line, without control characters, at most `most` characters; nothing for nothing."""
    if value is None or value == "":
        return ""
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    return printable(text if len(text) <= most else f"{text[: most - 3]}...")


def listed(names: Iterable[str], most: int = 8) -> str:
    """The first names of many, for a fix."""
    every = sorted(names)
    more = f", and {len(every) - most} more" if len(every) > most else ""
    return ", ".join(unquoted(name) for name in every[:most]) + more if every else "(there is none yet)"


def near_miss(word: str, known: Iterable[str], likeness: float = 0.6) -> str:
    """` (did you mean 'x'?)`, or nothing."""
    if len(word) > 200:
        return ""
    lower = {name.lower(): name for name in sorted(known, reverse=True)}
    close = difflib.get_close_matches(word.lower(), lower, 1, likeness)
    return f" (did you mean {quoted(lower[close[0]])}?)" if close else ""


def near_id(word: str, ids: Iterable[str], likeness: float = 0.8) -> str:
    """As `near_miss`, for ids of several words (`cloudflare-2025-11-18`): else those that have all words of this one.

    Each of them as it is, or nearly.
    """
    known = sorted(set(ids))
    if nearest := near_miss(word, known):
        return nearest
    asked = word[:200].lower().split("-")
    have_all = [id for id in known if all(difflib.get_close_matches(w, id.split("-"), 1, likeness) for w in asked)]
    if len(have_all) < 2:
        return f" (did you mean {quoted(have_all[0])}?)" if have_all else ""
    return f" (did you mean one of: {listed(have_all)}?)"


def printable_path(path: Path) -> str:
    """A path as findings print it: relative to the working folder where it lies within."""
    try:
        return unquoted(str(path.resolve().relative_to(Path.cwd())), most=1000)
    except (OSError, RuntimeError, ValueError):
        return unquoted(str(path), most=1000)


def read_record(cls: type[R], data: object, place: Place, reading: Reading) -> R | None:
    """Validate plain data as a record, strictly (a number in quotes is text); None with findings otherwise."""
    try:
        return cls.model_validate_json(json.dumps(data), strict=True, by_alias=True, by_name=False)
    except ValidationError as error:
        for loc, detail in _errors(error, place):
            _report(cls, loc, detail, place, reading)
        called = "name" if "name" in cls.model_fields else "model"
        name = data.get(called) if isinstance(data, dict) else None
        reading.broken.add((cls, name if isinstance(name, str) else "*"))
        return None


def read_records(cls: type[R], items: list[object], place: Place, reading: Reading) -> list[Row[R]]:
    """The records of a list that can be read, each with its place; findings for the others."""
    rows = []
    for item, at in place.rows(items):
        record = read_record(cls, item, at, reading)
        if record is not None:
            rows.append((record, at))
    return rows


def _errors(error: ValidationError, place: Place) -> list[tuple[Loc, ErrorDetails]]:
    """Errors by field: one per field, and of a choice between text and a mapping only what fits the value."""
    chosen: dict[Loc, ErrorDetails] = {}
    for detail in error.errors(include_url=False):
        loc: Loc = ()
        for part in detail["loc"]:  # leaves out pydantic's names for the members of a union
            if (place.prefix + loc + (part,)) in place.lines:
                loc += (part,)
        if detail["type"] == "missing" or (detail["type"] == "extra_forbidden" and loc != detail["loc"]):
            loc += (detail["loc"][-1],)
        misfit = "string_type" if isinstance(detail["input"], dict) else "model_type"
        if loc not in chosen or chosen[loc]["type"] == misfit:
            chosen[loc] = detail
    deeper = {loc[:n] for loc in chosen for n in range(len(loc))}
    misspelt = _misspelt(chosen)
    return [
        (loc, detail)
        for loc, detail in chosen.items()
        if not (loc in deeper and _only_follows(detail)) and not (detail["type"] == "missing" and loc in misspelt)
    ]


def _only_follows(detail: ErrorDetails) -> bool:
    """Whether an error says no more than one within it: text or a mapping, or a list without what is wrong in it."""
    no_text = detail["type"] == "string_type" and isinstance(detail["input"], dict)
    return no_text or (detail["type"] == "too_short" and bool(detail["input"]))


def _misspelt(errors: Mapping[Loc, ErrorDetails]) -> set[Loc]:
    """Fields that are missing and stand there under a name that is nearly theirs, or was before: said once, there."""
    missing: dict[Loc, list[str]] = {}
    for loc, detail in errors.items():
        if detail["type"] == "missing":
            missing.setdefault(loc[:-1], []).append(str(loc[-1]))
    meant: set[Loc] = set()
    for loc, detail in errors.items():
        if detail["type"] == "extra_forbidden" and loc[:-1] in missing:
            word, names = str(loc[-1]), missing[loc[:-1]]
            near = [name for name in names if name == NEW_NAMES.get(word)]
            near = near or difflib.get_close_matches(word.lower(), names, 1)
            meant.update((*loc[:-1], name) for name in near)
    return meant


def _field(cls: type[BaseModel], loc: Loc) -> tuple[type[BaseModel] | None, FieldInfo | None]:
    """The record that the last name of `loc` belongs to, and its field there."""
    current: type[BaseModel] | None = cls
    owner, info = current, None
    for part in loc:
        if isinstance(part, int):
            continue
        owner, info = current, None
        if current is not None:
            fields = current.model_fields
            info = fields.get(part) or next((f for f in fields.values() if f.alias == part), None)
        current = _nested(info.annotation) if info is not None else None
    return owner, info


def types_in(annotation: object) -> Iterator[object]:
    """The types that an annotation is made of, at any depth: `tuple` and `Workload` of `tuple[Workload, ...]`."""
    yield get_origin(annotation) or annotation
    for part in get_args(annotation):
        yield from types_in(part)


def records_in(annotation: object) -> set[type[Record]]:
    """The classes of records in an annotation, and in their fields, at any depth: what cannot be read with it."""
    records: set[type[Record]] = set()
    for part in types_in(annotation):
        if isinstance(part, type) and issubclass(part, Record) and part not in records:
            records.add(part)
            for info in part.model_fields.values():
                if part not in types_in(info.annotation):  # parts of its own kind: `Needs`
                    records |= records_in(info.annotation)
    return records


def _nested(annotation: object) -> type[BaseModel] | None:
    """The record within an annotation such as `tuple[Workload, ...]`."""
    records = (part for part in types_in(annotation) if isinstance(part, type) and issubclass(part, BaseModel))
    return next(records, None)


_EXPECTED: dict[str, str] = {
    "missing": "a value",
    "string_type": "text",
    "string_too_short": "text",
    "string_too_long": "at most {max_length} characters",
    "string_pattern_mismatch": "a year, month or day: 2026, 2026-03, 2026-03-14",
    "float_type": "a number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing_size": "a number of ordinary size",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "greater_than": "a number above {gt:g}",
    "greater_than_equal": "a number of at least {ge:g}",
    "less_than": "a number below {lt:g}",
    "less_than_equal": "a number of at most {le:g}",
    "literal_error": "one of {expected}",
    "date_type": "a date: 2026-03-14",
    "date_parsing": "a date: 2026-03-14",
    "date_from_datetime_parsing": "a date: 2026-03-14",
    **dict.fromkeys(
        ("datetime_type", "datetime_parsing", "datetime_from_date_parsing", "timezone_aware"),
        "a time in UTC: 2026-03-14T09:30Z",
    ),
    "tuple_type": "a list",
    "too_short": "at least {min_length} in the list",
    "dict_type": "fields (name: value)",
    "model_type": "fields (name: value)",
    "json_invalid": "text that can be stored",
}


def _report(cls: type[Record], loc: Loc, detail: ErrorDetails, place: Place, reading: Reading) -> None:
    """One pydantic error as a finding."""
    kind, value, context = detail["type"], detail["input"], detail.get("ctx", {})
    owner, info = _field(cls, loc)
    description = (info.description if info is not None else None) or "see the schema"
    expected = _EXPECTED[kind].format(**context) if kind in _EXPECTED else detail["msg"]
    got, fix = quoted(value), description
    if kind == "extra_forbidden":
        fields = {f.alias or name for name, f in owner.model_fields.items()} if owner is not None else set()
        word = str(loc[-1]) if loc else ""
        hint = near_miss(word, fields)
        if NEW_NAMES.get(word) in fields:
            hint = f" (called {quoted(NEW_NAMES[word])} since schema version {SCHEMA_VERSION})"
        expected, got, fix = "a known field", quoted(word) + hint, f"the fields here are: {listed(fields, 40)}"
    elif kind == "missing":
        got, fix = "nothing", f"add `{loc[-1]}`: {description}"
    elif kind == "value_error":
        reason = context.get("error", detail["msg"])
        expected, fix = str(reason), reason.fix if isinstance(reason, Contradiction) else description
    elif kind == "string_type" and isinstance(value, int | float):
        fix = f"put it in quotes; {description}"
    elif kind in ("float_type", "int_type") and isinstance(value, str):
        fix = f"write digits with a decimal point, no quotes, unit or separators; {description}"
    elif kind == "literal_error":
        got += near_miss(str(value), re.findall(r"'([^']*)'", str(context.get("expected", ""))))
    elif kind == "too_short":
        got = "none"
    reading.error(place.at(*loc), expected, got, fix)


def unique(rows: list[Row[R]], key: Callable[[R], str], reading: Reading) -> list[Row[R]]:
    """The rows without those whose key came before; each of these is a finding with both places."""
    first: dict[str, Row[R]] = {}
    for record, place in rows:
        name = key(record)
        if name in first:
            other = first[name][1]
            got = f"{quoted(name)} here and at {other.file}:{other.line()}"
            reading.error(place.at(), "each of them once", got, "remove one of them, or correct its name")
        else:
            first[name] = (record, place)
    return list(first.values())
