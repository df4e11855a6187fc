"""Variants: small named patches on a study, addressed by names, in any order, checked like a study that is read.

What is patched is the study as it was read, with every reference resolved. What was left out when it was read (other
pools of the inventory, round trips from other origins) cannot come back by a patch.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from planner.errors import Finding
from planner.questions.paths import addressed, parts_within, path_of
from planner.study.places import Loc, Place, Reading, quoted, read_record, unquoted
from planner.study.records.base import Name, Record
from planner.study.records.buildout import BuildOut, CapitalLimit, Electricity, LeadTimes, SpendCommitment, TariffStep
from planner.study.records.inventory import Price
from planner.study.records.study import Demand, PriceLine, PricePath, PriceStep, RequestCost, Study
from planner.study.tables import read_yaml, value_of

NUMBER = r"[0-9]+(?:\.[0-9]*)?|\.[0-9]+"
FACTOR = re.compile(rf"[x×*] ?({NUMBER})|({NUMBER}) ?[x×]")
MOST_FACTOR = 1e12
"""Up to which a factor is written without an exponent."""
PERCENT = re.compile(rf"([-+]?) ?({NUMBER}) ?%")
FIGURES: dict[type[Record], tuple[str, ...]] = {
    Demand: ("requests_per_second",),
    Price: ("usd_per_machine_hour", "usd_per_machine"),
    RequestCost: ("usd_per_request",),
    PriceLine: ("factor",),
    PricePath: ("steps",),
    PriceStep: ("factor",),
    BuildOut: ("usd_per_mw", "usd_per_mw_year"),
    LeadTimes: ("shell", "power", "equipment", "commissioning"),
    Electricity: ("usd_per_kwh", "steps"),
    TariffStep: ("usd_per_kwh",),
    SpendCommitment: ("usd_per_year",),
    CapitalLimit: ("most_usd",),
}
"""A factor on a whole record multiplies its figures: the fields that end like one of these."""
FIXED = ("near", "latitude", "longitude")
"""Where an origin is decides which round trips were read: no patch can change it."""


Action = Literal["set", "add", "remove"]


class PatchRecord(Record):
    """A small named change of a study."""

    name: Name = Field(description="name of the change, for tables and files")
    why: Name | None = Field(None, description="the question behind it")
    set: dict[Name, Any] = Field(default_factory=dict, description="path: value, or a factor as in x1.2")
    add: dict[Name, list[Any]] = Field(default_factory=dict, description="path of a list: elements to add")
    remove: tuple[Name, ...] = Field((), description="paths of elements to remove")


@dataclass(frozen=True)
class Change:
    """One line of a patch, with the place where it is written."""

    path: str
    action: Action
    value: Any
    where: str
    written: Callable[..., str] | None = field(default=None, compare=False, repr=False)

    def at(self, *loc: int | str) -> str:
        """Where a part of its value is written, with the name of the patch; as far as known."""
        return self.where if self.written is None else self.written(*loc)

    def __str__(self) -> str:
        """The change as people write it."""
        if self.action == "set":
            return f"{self.path} = {unquoted(self.value) or 'null'}"
        return f"{self.action} {self.path}" + (f": {unquoted(self.value)}" if self.action == "add" else "")


@dataclass(frozen=True)
class Patch:
    """A small named change of a study."""

    name: str
    why: str
    changes: tuple[Change, ...]


def patch_of(data: object, place: Place, reading: Reading) -> Patch | None:
    """A patch from plain data; None with findings when it is none."""
    record = read_record(PatchRecord, data, place, reading)
    if record is None:
        return None
    lines: list[tuple[str, Action, object, int | str]] = []
    lines += [(path, "set", value, path) for path, value in record.set.items()]
    lines += [(path, "add", value, path) for path, value in record.add.items()]
    lines += [(path, "remove", None, n) for n, path in enumerate(record.remove)]
    changes = []
    for path, action, value, key in lines:
        written = partial(_written, place, (action, key), record.name)
        changes.append(Change(path, action, value, written(), written))
    return Patch(record.name, record.why or "", tuple(changes))


def _written(place: Place, loc: Loc, name: str, *further: int | str) -> str:
    return f"{place.at(*loc, *further)} of {quoted(name)}"


def read_patch(path: Path, reading: Reading) -> Patch | None:
    """A patch from its own file; None with findings when it is none."""
    document = read_yaml(path, reading)
    return patch_of(*document, reading) if document is not None else None


def patch_of_text(text: str, reading: Reading) -> Patch | None:
    """A patch of one `path=value`: numbers, true, null, lists and fields as in JSON or YAML, anything else is text."""
    where = f"--set {quoted(text)}"
    equals = next((n for n, c in enumerate(text) if c == "=" and text.count("[", 0, n) == text.count("]", 0, n)), 0)
    if not text[:equals].strip():
        reading.error(where, "path=value", quoted(text), "write it in quotes, as in --set 'demand[*,london]=x1.2'")
        return None
    before = len(reading.findings)
    value = value_of(text[equals + 1 :].strip(), where, reading)
    if len(reading.findings) > before:
        return None
    return Patch(shortened(text.strip()), "", (Change(text[:equals].strip(), "set", value, where),))


# ------------------------------------------------------------------ patches together
@dataclass
class Edits:
    """What patches do together: by location the factors or the value, what is removed, what is added; and by whom."""

    factors: dict[Loc, list[tuple[float, Change]]]
    values: dict[Loc, list[tuple[Any, Change]]]
    removed: dict[Loc, Change]
    added: dict[Loc, list[tuple[list[Any], Change]]]


def edits_of(study: Study, patches: Iterable[Patch], reading: Reading) -> Edits:
    """Where each change of the patches applies."""
    edits = Edits({}, {}, {}, {})
    for change in (change for patch in patches for change in patch.changes):
        for loc, value in addressed(study, change.path, change.where, reading):
            if loc[0] == "origins" and (len(loc) < 3 or loc[-1] in FIXED) and change.action != "remove":
                fix = "change the origin in study.yaml, and ask again"
                got = f"{path_of(study, loc)}: its round trips were read for where it is"
                reading.error(change.where, "a field that a patch can change", got, fix)
            elif change.action == "remove":
                if isinstance(loc[-1], int):
                    edits.removed[loc] = change
                else:
                    fix = "name an element of a list; to unset a field, set it to null"
                    reading.error(change.where, "an element of a list", path_of(study, loc), fix)
            elif change.action == "add":
                if isinstance(value, tuple | list):
                    edits.added.setdefault(loc, []).append((change.value, change))
                else:
                    reading.error(change.where, "a list", path_of(study, loc), "name a list, or use `set`")
            elif (cure := _as_factor(change.value, loc, value)) is not None:
                reading.error(change.where, "a value, or a factor as in x1.2", quoted(change.value), cure)
            elif (factor := factor_of(change.value)) is None or isinstance(value, str):
                edits.values.setdefault(loc, []).append((change.value, change))
            else:
                figures = _figures(loc, value)
                for figure in figures:
                    edits.factors.setdefault(figure, []).append((factor, change))
                if not figures:
                    fix = "name a number, a row of demand or a price; to replace it, write a value"
                    got = f"{path_of(study, loc)}: {'nothing' if value is None else 'no number'}"
                    reading.error(change.where, "a number to multiply", got, fix)
    _check_conflicts(study, edits, reading)
    return edits


def factor_of(value: object) -> float | None:
    """The factor that a text means, if it means one.

    Examples
    --------
    >>> factor_of("x1.2"), factor_of("0.9x"), factor_of("1.2"), factor_of(1.2)
    (1.2, 0.9, None, None)
    """
    factor = FACTOR.fullmatch(value.strip()) if isinstance(value, str) else None
    return float(factor[1] or factor[2]) if factor is not None else None


def _as_factor(new: object, loc: Loc, old: object) -> str | None:
    """How to write a factor that was written otherwise, or as a number in the place of many; None: it was not."""
    percent = PERCENT.fullmatch(new.strip()) if isinstance(new, str) and not isinstance(old, str) else None
    if percent is not None:
        share = float(percent[2]) / 100
        if not percent[1]:
            as_value = f"write {share:.12g} for a share, or " if isinstance(old, int | float) else "write "
            return f"{as_value}x{share:.12g} to multiply what is there"
        factor = 1 + share if percent[1] == "+" else 1 - share
        return f"write x{factor:.12g}: a factor on what is there" if factor >= 0 else "write a factor of at least 0"
    if (
        isinstance(new, str)
        and not isinstance(old, str)
        and new.strip()[:1] in ("x", "×", "*")
        and factor_of(new) is None
    ):
        return "write a number of at least 0 after the x, as in x1.2"
    if isinstance(new, bool) or not isinstance(new, int | float):
        return None
    if isinstance(old, tuple | Mapping | Record) and _figures(loc, old):
        written = f"x{new:.12g}" if 0 <= new < MOST_FACTOR else "a factor, as in x1.2,"
        return f"write {written} to multiply what is there; to replace a number, name its field"
    return None


def _figures(loc: Loc, value: object) -> list[Loc]:
    """The numbers that a factor on a value multiplies: itself, or the figures of the records in it."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return [loc]
    if isinstance(value, tuple | Mapping):
        return [figure for key, _, item in parts_within(value) for figure in _figures((*loc, key), item)]
    endings = FIGURES.get(type(value), ())  # type: ignore[arg-type]
    figures = [(key, item) for key, name, item in parts_within(value) if endings and name.endswith(endings)]
    return [figure for key, item in figures for figure in _figures((*loc, key), item)]


def _check_conflicts(study: Study, edits: Edits, reading: Reading) -> None:
    """Two changes of the same thing are a finding, unless both multiply it or both say the same."""
    kinds: dict[Loc, list[tuple[str, Change]]] = {}
    for loc, factors in edits.factors.items():
        kinds[loc] = [("a factor", change) for _, change in factors]
    for loc, values in edits.values.items():
        kinds.setdefault(loc, []).extend((f"the value {json_text(value)}", change) for value, change in values)
    for loc, change in edits.removed.items():
        kinds.setdefault(loc, []).append(("removal", change))
    for loc, added in edits.added.items():
        kinds.setdefault(loc, []).extend(("more elements", change) for _, change in added)
    replaced = edits.values.keys() | edits.removed.keys()
    findings: dict[tuple[str, str], Finding] = {}

    def report(loc: Loc, *two: tuple[str, Change]) -> None:
        (where, kind), (at, other) = sorted(((change.where, kind) for kind, change in two), reverse=True)
        got = f"{unquoted(kind)} here, and {unquoted(other)} at {at}"
        fix = "leave one of them out: what patches do together must not depend on their order"
        findings.setdefault((where, at), Finding(where, f"one change of {path_of(study, loc)}", got, fix))

    for loc in sorted(kinds, key=sortable):
        here = kinds[loc]
        for other in here[1:]:
            if other[0] != here[0][0]:
                report(loc, here[0], other)
        for n in range(1, len(loc)):
            if loc[:n] in replaced:
                report(loc[:n], here[0], kinds[loc[:n]][0])
    reading.findings.extend(findings[key] for key in sorted(findings))


def sortable(loc: Loc) -> tuple[tuple[bool, int, str], ...]:
    """A location as what it is ordered by: numbers by size, names by letters."""
    return tuple((isinstance(k, int), k if isinstance(k, int) else 0, str(k)) for k in loc)


def json_text(value: object) -> str:
    """A value as JSON in one form, to compare and to order by."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)


def shortened(text: str, most: int = 200) -> str:
    """A text that is no longer than so many characters."""
    return text if len(text) <= most else f"{text[: most - 3]}..."
