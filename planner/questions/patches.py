"""Variants: small named patches on a study, addressed by names, in any order, checked like a study that is read.

What is patched is the study as it was read, with every reference resolved. What was left out when it was read (other
pools of the inventory, round trips from other origins) cannot come back by a patch.
"""

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from planner.errors import Finding
from planner.questions.paths import addressed, parts_within, path_of
from planner.study.checks.register import check_parts
from planner.study.parts import Parts
from planner.study.places import Loc, Place, Reading, quoted, read_record, unquoted
from planner.study.read import KEYS
from planner.study.records.base import Name, Record, Sourced
from planner.study.records.buildout import BuildOut, CapitalLimit, Electricity, LeadTimes, SpendCommitment, TariffStep
from planner.study.records.inventory import Price
from planner.study.records.study import Demand, PriceLine, PricePath, PriceStep, RequestCost, Study, StudyFile
from planner.study.resolve import RESOLVED
from planner.study.tables import read_yaml, value_of

NUMBER = r"[0-9]+(?:\.[0-9]*)?|\.[0-9]+"
FACTOR = re.compile(rf"[x×*] ?({NUMBER})|({NUMBER}) ?[x×]")
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
    action: Literal["set", "add", "remove"]
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
    changes = [_change(path, "set", value, place, ("set", path), record.name) for path, value in record.set.items()]
    changes += [_change(path, "add", value, place, ("add", path), record.name) for path, value in record.add.items()]
    changes += [
        _change(path, "remove", None, place, ("remove", i), record.name) for i, path in enumerate(record.remove)
    ]
    return Patch(record.name, record.why or "", tuple(changes))


def _change(
    path: str, action: Literal["set", "add", "remove"], value: object, place: Place, loc: Loc, name: str
) -> Change:
    """A change that is written in a file: its findings give the line, and the patch."""
    written = partial(_written, place, loc, name)
    return Change(path, action, value, written(), written)


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
    return Patch(_short(text.strip()), "", (Change(text[:equals].strip(), "set", value, where),))


# ------------------------------------------------------------------ patches together
@dataclass
class _Edits:
    """What patches do together: by location the factors or the value, what is removed, what is added; and by whom."""

    factors: dict[Loc, list[tuple[float, Change]]]
    values: dict[Loc, list[tuple[Any, Change]]]
    removed: dict[Loc, Change]
    added: dict[Loc, list[tuple[list[Any], Change]]]


def _edits(study: Study, patches: Iterable[Patch], reading: Reading) -> _Edits:
    """Where each change of the patches applies."""
    edits = _Edits({}, {}, {}, {})
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
    found = FACTOR.fullmatch(value.strip()) if isinstance(value, str) else None
    return float(found[1] or found[2]) if found is not None else None


def _as_factor(new: object, loc: Loc, old: object) -> str | None:
    """How to write a factor that was written in another way, or as a number in the place of many; None: it was not."""
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
    is_number = isinstance(new, int | float) and not isinstance(new, bool)
    if is_number and isinstance(old, tuple | Mapping | Record) and _figures(loc, old):
        return f"write x{new:.12g} to multiply what is there; to replace a number, name its field"
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


def _check_conflicts(study: Study, edits: _Edits, reading: Reading) -> None:
    """Two changes of the same thing are a finding, unless both multiply it or both say the same."""
    by: dict[Loc, list[tuple[str, Change]]] = {}
    for loc, factors in edits.factors.items():
        by[loc] = [("a factor", change) for _, change in factors]
    for loc, values in edits.values.items():
        by.setdefault(loc, []).extend((f"the value {_canonical(value)}", change) for value, change in values)
    for loc, change in edits.removed.items():
        by.setdefault(loc, []).append(("removal", change))
    for loc, added in edits.added.items():
        by.setdefault(loc, []).extend(("more elements", change) for _, change in added)
    whole = {loc for mapping in (edits.values, edits.removed) for loc in mapping}
    found: dict[tuple[str, str], Finding] = {}

    def report(loc: Loc, *two: tuple[str, Change]) -> None:
        (where, kind), (at, other) = sorted(((change.where, kind) for kind, change in two), reverse=True)
        got = f"{unquoted(kind)} here, and {unquoted(other)} at {at}"
        fix = "leave one of them out: what patches do together must not depend on their order"
        found.setdefault((where, at), Finding(where, f"one change of {path_of(study, loc)}", got, fix))

    for loc in sorted(by, key=_sortable):
        here = by[loc]
        for other in here[1:]:
            if other[0] != here[0][0]:
                report(loc, here[0], other)
        for n in range(1, len(loc)):
            if loc[:n] in whole:
                report(loc[:n], here[0], by[loc[:n]][0])
    reading.findings.extend(found[key] for key in sorted(found))


def _sortable(loc: Loc) -> tuple[tuple[bool, int, str], ...]:
    return tuple((isinstance(k, int), k if isinstance(k, int) else 0, str(k)) for k in loc)


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)


def _plain(value: Any) -> Any:
    """A record as plain data, with what it does not say, too: a patch may be the first to say it."""
    if isinstance(value, Record | Mapping):
        return {key: _plain(item) for key, _, item in parts_within(value)}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value.isoformat() if isinstance(value, date) else value


def _at(data: Any, loc: Loc) -> Any:
    """The part of plain data at a location."""
    for key in loc:
        data = data[key]
    return data


def _applied(study: Study, edits: _Edits) -> dict[str, Any]:
    """The study as plain data, with the edits in it but for what is removed: so that all is where it was."""
    data: dict[str, Any] = _plain(study)
    for loc, values in edits.values.items():
        _at(data, loc[:-1])[loc[-1]] = values[0][0]
    for loc, factors in edits.factors.items():
        before = _at(data, loc)
        # twelve digits: 540 x1.1 is 594, not 594.0000000000001
        after = float(f"{before * math.prod(sorted(factor for factor, _ in factors)):.12g}")
        whole = isinstance(before, int) and abs(after - round(after)) < 1e-9
        _at(data, loc[:-1])[loc[-1]] = round(after) if whole else after
    for loc, added in edits.added.items():
        _at(data, loc).extend(item for item, _, _ in _in_order(added))
    return data


def _without(data: dict[str, Any], removed: Iterable[Loc]) -> dict[str, Any]:
    """The data without elements of its lists."""
    for loc in sorted(removed, key=_sortable, reverse=True):
        del _at(data, loc[:-1])[loc[-1]]
    return data


def _label(study: Study, data: dict[str, Any], edits: _Edits, name: str, changes: list[Change]) -> None:
    """Say in the patched data what is no longer what its source says, and what was changed."""
    touched = {loc for mapping in (edits.values, edits.factors) for loc in mapping}
    assumed = {"evidence": "assumed", "source": _short(f"what-if: {name}")}
    for loc in touched:
        value: Any = study
        sourced: Loc = ()
        for n, key in enumerate(loc[:-1], 1):
            value = next(item for k, _, item in parts_within(value) if k == key)
            sourced = loc[:n] if isinstance(value, Sourced) else sourced
        if sourced:
            _at(data, sourced).update({k: v for k, v in assumed.items() if (*sourced, k) not in touched})
    # what a study may be called: one line, no @
    plain = "".join(c if c.isprintable() else " " for c in name).replace("@", " at ")
    data["study"] = _short(f"{study.study}, what-if {plain}").strip()
    told = [_short(f"what-if {name}: {change}") for change in changes]
    data["assumptions"] = [*(data["assumptions"] if isinstance(data["assumptions"], list) else []), *told]


def _short(text: str, most: int = 200) -> str:
    return text if len(text) <= most else f"{text[: most - 3]}..."


# ------------------------------------------------------------------ checked like a study that is read
@dataclass(frozen=True)
class _PatchedPlace(Place):
    """Where a record of a patched study stands: the line of the patch that changed it, else its path in the study."""

    study: Study | None = None
    changed: Mapping[Loc, Callable[..., str]] | None = None

    def at(self, *loc: int | str) -> str:
        """`file:line: path of 'patch' (path)`, or `study with 'variant': path`."""
        assert self.study is not None and self.changed is not None
        whole = self.prefix + loc
        path = path_of(self.study, whole)
        for n in range(len(whole), 0, -1):
            if whole[:n] in self.changed:
                return f"{self.changed[whole[:n]](*whole[n:])} ({path})"
        return f"{self.file}: {path}"

    def within(self, *loc: int | str) -> "_PatchedPlace":
        """The place of a part."""
        return _PatchedPlace(self.file, self.lines, self.prefix + loc, self.study, self.changed)


def _every_loc(value: Any, loc: Loc = ()) -> Iterable[Loc]:
    yield loc
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from _every_loc(item, (*loc, key))


def parts_of(study: Study, place: Place, before: Study) -> Parts:
    """What was read for a study, as far as it is still in it: to check it again.

    Profiles that are as they were before count as shipped: what the patch does not name may not fit and end nothing.
    """
    common = (Study.model_fields.keys() & StudyFile.model_fields.keys()) - {*RESOLVED}
    file = StudyFile(demand="demand", **{name: getattr(study, name) for name in common})
    tables: dict[str, Any] = {}
    for table in fields(Parts):
        if table.name in ("file", "place", "shipped_profiles"):
            continue
        rows = [(row, place.within(table.name, i)) for i, row in enumerate(getattr(study, table.name, ()))]
        by_id = table.default_factory is dict
        tables[table.name] = {KEYS[type(row)](row): (row, at) for row, at in rows} if by_id else rows
    was = {(m.model, p.name): (m.facts, p) for m in before.models for p in m.profiles}
    now = {(m.model, p.name): (m.facts, p) for m in study.models for p in m.profiles}
    same = {f"{model}/{profile}" for (model, profile), what in now.items() if was.get((model, profile)) == what}
    return Parts(file=file, place=place, shipped_profiles=same, **tables)


def _found_in(study: Study, place: Place, before: Study) -> list[Finding]:
    reading = Reading()
    parts = parts_of(study, place, before)
    check_parts(parts, reading)
    return reading.findings


def _always(where: str) -> Callable[..., str]:
    return lambda *further: where


def _changed(study: Study, edits: _Edits) -> dict[Loc, Callable[..., str]]:
    """Location in the patched study -> where it is written in a patch, asked with the way further in."""
    changed: dict[Loc, Callable[..., str]] = {}
    for mapping in (edits.values, edits.factors):
        changed |= {loc: by[0][1].at for loc, by in mapping.items()}
    for loc, added in edits.added.items():
        changed[loc] = _always(added[0][1].where)
        before = len(_at(_plain(study), loc))
        for n, (_, change, i) in enumerate(_in_order(added)):
            changed[*loc, before + n] = partial(change.at, i)
    return changed


def _in_order(added: list[tuple[list[Any], Change]]) -> list[tuple[Any, Change, int]]:
    """Elements that patches add to one list, in an order that does not depend on that of the patches."""
    items = [(item, change, i) for items, change in added for i, item in enumerate(items)]
    return sorted(items, key=lambda each: _canonical(each[0]))


def patched(study: Study, patches: tuple[Patch, ...], name: str) -> tuple[Study | None, list[Finding]]:
    """The study with the patches, and what is wrong with it; the study itself when there are none.

    The order of the patches does not matter: factors on the same number multiply, anything else that changes the same
    thing twice is a finding. The result passes the checks of a study that is read; figures that were changed count as
    assumed, and the changes stand among the assumptions.

    Parameters
    ----------
    study : as it was read
    patches : what to change
    name : of the variant
    """
    changes = sorted((change for patch in patches for change in patch.changes), key=lambda c: (c.path, str(c), c.where))
    if not changes:
        return study, []
    reading = Reading()
    edits = _edits(study, patches, reading)
    told = list(dict.fromkeys(reading.findings))  # a path may lead to many places: it is told once
    if any(finding.level == "error" for finding in told):
        return None, told
    data = _applied(study, edits)
    _label(study, data, edits, name, changes)
    changed = _changed(study, edits)
    file = f"{study.study} with {quoted(_short(name))}"
    place = _PatchedPlace(file, dict.fromkeys(_every_loc(data), 1), (), study, changed)
    made = read_record(Study, data, place, reading)
    if edits.removed and made is not None:
        changed = {loc[:-1]: _always(change.where) for loc, change in edits.removed.items()}
        place = _PatchedPlace(file, place.lines, (), study, changed)
        made = read_record(Study, _without(data, edits.removed), place, reading)
    if made is None:
        return None, list(dict.fromkeys(reading.findings))
    place = _PatchedPlace(file, place.lines, (), made, changed)
    known = _found_in(study, _PatchedPlace(file, {}, (), study, {}), study)
    found = [finding for finding in _found_in(made, place, study) if finding not in known]
    return (None if any(finding.level == "error" for finding in found) else made), told + found
