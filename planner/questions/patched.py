"""A study with patches: changed, labelled and checked like a study that is read."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import date
from functools import partial
from typing import Any

from planner.errors import Finding
from planner.questions.patches import Change, Edits, Patch, edits_of, json_text, shortened, sortable
from planner.questions.paths import KnownParts, parts_within, path_of
from planner.study.checks.register import check_parts
from planner.study.outage_goals import with_outages_played
from planner.study.parts import Parts
from planner.study.places import Loc, Place, Reading, quoted, read_record
from planner.study.read import KEYS, catalogue_of_outages
from planner.study.records.base import Record, Sourced
from planner.study.records.policies import BY_WAITING, SHARES
from planner.study.records.study import Study, StudyFile
from planner.study.resolve import RESOLVED


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


def _applied(study: Study, edits: Edits) -> dict[str, Any]:
    """The study as plain data, with the edits in it but for what is removed: so that all is where it was."""
    data: dict[str, Any] = _plain(study)
    for loc, values in edits.values.items():
        _at(data, loc[:-1])[loc[-1]] = values[0][0]
    for loc, factors in edits.factors.items():
        before = _at(data, loc)
        # twelve digits: 540 x1.1 is 594, not 594.0000000000001
        after = float(f"{before * math.prod(sorted(factor for factor, _ in factors)):.12g}")
        is_whole = isinstance(before, int) and abs(after - round(after)) < 1e-9
        _at(data, loc[:-1])[loc[-1]] = round(after) if is_whole else after
    for loc, added in edits.added.items():
        _at(data, loc).extend(item for item, _, _ in _in_order(added))
    _take_shares_of_basis(study, data["utilisation"], {*edits.values, *edits.factors})
    return data


def _take_shares_of_basis(study: Study, filled: Any, changed: Iterable[Loc]) -> None:
    """Another basis of utilisation brings its own shares, where those of the study were the usual ones of its basis.

    With fixed shares what says how requests wait is of no effect, and goes.
    """
    before = study.utilisation.basis
    if not isinstance(filled, dict) or filled.get("basis") == before or ("utilisation", "basis") not in changed:
        return
    for name, usual in SHARES[before].items():
        if ("utilisation", name) not in changed and filled[name] == usual:
            del filled[name]
    for name in BY_WAITING if filled.get("basis") == "fixed" else ():
        if ("utilisation", name) not in changed:
            del filled[name]


def _without(data: dict[str, Any], removed: Iterable[Loc]) -> dict[str, Any]:
    """The data without elements of its lists."""
    for loc in sorted(removed, key=sortable, reverse=True):
        del _at(data, loc[:-1])[loc[-1]]
    return data


def _label(study: Study, data: dict[str, Any], edits: Edits, name: str, changes: list[Change]) -> None:
    """Say in the patched data what is no longer what its source says, and what was changed."""
    touched = {loc for mapping in (edits.values, edits.factors) for loc in mapping}
    assumed = {"evidence": "assumed", "source": shortened(f"what-if: {name}")}
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
    data["study"] = shortened(f"{study.study}, what-if {plain}").strip()
    before = data["assumptions"] if isinstance(data["assumptions"], list) else []
    data["assumptions"] = [*before, *(shortened(f"what-if {name}: {change}") for change in changes)]


# ------------------------------------------------------------------ checked like a study that is read
@dataclass(frozen=True)
class _PatchedPlace(Place):
    """Where a record of a patched study stands: the line of the patch that changed it, else its path in the study."""

    study: Study | None = None
    changed: Mapping[Loc, Callable[..., str]] | None = None
    known: KnownParts = field(default_factory=dict)

    def at(self, *loc: int | str) -> str:
        """`file:line: path of 'patch' (path)`, or `study with 'variant': path`."""
        assert self.study is not None and self.changed is not None
        full = self.prefix + loc
        path = path_of(self.study, full, self.known)
        for n in range(len(full), 0, -1):
            if full[:n] in self.changed:
                return f"{self.changed[full[:n]](*full[n:])} ({path})"
        return f"{self.file}: {path}"

    def within(self, *loc: int | str) -> "_PatchedPlace":
        """The place of a part."""
        return _PatchedPlace(self.file, self.lines, self.prefix + loc, self.study, self.changed, self.known)


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


def _findings_of(study: Study, place: Place, before: Study) -> list[Finding]:
    reading = Reading()
    parts = parts_of(study, place, before)
    check_parts(parts, reading)
    return reading.findings


def _always(where: str) -> Callable[..., str]:
    return lambda *further: where


def _changed(study: Study, edits: Edits) -> dict[Loc, Callable[..., str]]:
    """Location in the patched study -> where it is written in a patch, asked with the keys further in."""
    changed: dict[Loc, Callable[..., str]] = {}
    for mapping in (edits.values, edits.factors):
        for loc, changes in mapping.items():
            changed[loc] = changes[0][1].at
    for loc, added in edits.added.items():
        changed[loc] = _always(added[0][1].where)
        before = len(_at(_plain(study), loc))
        for n, (_, change, i) in enumerate(_in_order(added)):
            changed[*loc, before + n] = partial(change.at, i)
    return changed


def _in_order(added: list[tuple[list[Any], Change]]) -> list[tuple[Any, Change, int]]:
    """Elements that patches add to one list, in an order that does not depend on that of the patches."""
    items = [(item, change, i) for items, change in added for i, item in enumerate(items)]
    return sorted(items, key=lambda each: json_text(each[0]))


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
    edits = edits_of(study, patches, reading)
    findings = list(dict.fromkeys(reading.findings))  # a path may lead to many places
    if _is_refused(findings):
        return None, findings
    data = _applied(study, edits)
    _label(study, data, edits, name, changes)
    changed = _changed(study, edits)
    file = f"{study.study} with {quoted(shortened(name))}"
    place = _PatchedPlace(file, dict.fromkeys(_every_loc(data), 1), (), study, changed)
    result = read_record(Study, data, place, reading)
    if edits.removed and result is not None:
        changed = {loc[:-1]: _always(change.where) for loc, change in edits.removed.items()}
        place = _PatchedPlace(file, place.lines, (), study, changed)
        result = read_record(Study, _without(data, edits.removed), place, reading)
    if result is None:
        return None, list(dict.fromkeys(reading.findings))
    place = _PatchedPlace(file, place.lines, (), result, changed)
    result = with_outages_played(result, catalogue_of_outages(), place, reading)
    findings = list(dict.fromkeys(reading.findings))
    if _is_refused(findings):
        return None, findings
    more = _findings_of(result, place, study)
    if more:
        known = _findings_of(study, _PatchedPlace(file, {}, (), study, {}), study)
        more = [finding for finding in more if finding not in known]
    return (None if _is_refused(more) else result), findings + more


def _is_refused(findings: list[Finding]) -> bool:
    return any(finding.level == "error" for finding in findings)
