"""Paths into a study: fields by name, elements of lists by what they are called."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from planner.study.places import Loc, Reading, listed, near_miss, quoted
from planner.study.read import KEYS
from planner.study.records.base import Record
from planner.study.records.buildout import BuildOut, Electricity, TariffStep
from planner.study.records.inventory import RoundTrip
from planner.study.records.renamed import NEW_NAMES
from planner.study.records.serving import OperatingPoint, Qualification
from planner.study.records.study import (
    Claim,
    Demand,
    Dependency,
    Goal,
    Holding,
    PriceLine,
    PricePath,
    PriceStep,
    RequestCost,
    Share,
    Study,
)

STEP = re.compile(r"\.?([^.\[\]]+)|\[([^\[\]]*)\]")
EVERY = "every period"
"""In the name of a row of demand that is for an hour, whatever the period."""


def _demand(row: Demand) -> str:
    """`workload,origin`, then the period and the hour that the row is for, where it is for one only."""
    when = [row.period or EVERY] if row.period or row.hour else []
    return ",".join([row.workload, row.origin, *when, *([row.hour] if row.hour else [])])


NAMES: dict[type[Record], Callable[[Any], str]] = {
    **KEYS,
    Demand: _demand,
    RequestCost: lambda r: f"{r.origin},{r.site}",
    RoundTrip: lambda r: f"{r.from_region},{r.to_region}",
    Holding: lambda r: r.pool,
    Claim: lambda r: r.pool,
    Share: lambda r: r.component,
    Dependency: lambda r: r.component,
    Goal: lambda r: r.any or r.failure or r.outage,
    Qualification: lambda r: r.stack,
    OperatingPoint: lambda r: r.context_class,
    PriceLine: lambda r: r.offers,
    PricePath: lambda r: r.offers,
    PriceStep: lambda r: str(r.from_day),
    TariffStep: lambda r: str(r.from_day),
    Electricity: lambda r: r.site,
    BuildOut: lambda r: r.id,
}
"""What an element of a list is called in a path; other records by their `name`."""


def name_of(item: object) -> str:
    """What an element of a list is called in a path; empty when it has no name."""
    if isinstance(item, str):
        return item
    named = next((NAMES[cls] for cls in NAMES if type(item) is cls), None)
    return str(named(item) if named is not None else getattr(item, "name", ""))


def parts_within(value: object) -> list[tuple[int | str, str, object]]:
    """(key, name, value) of all that is directly within a record, a mapping or a list."""
    if isinstance(value, Record):
        return [(f.alias or n, f.alias or n, getattr(value, n)) for n, f in type(value).model_fields.items()]
    if isinstance(value, Mapping):
        return [(key, str(key), item) for key, item in value.items()]
    return [(i, name_of(item), item) for i, item in enumerate(value)] if isinstance(value, tuple | list) else []


def _steps(path: str) -> list[tuple[str, bool]] | None:
    """(name, whether in brackets) of each step of a path; None when it is none."""
    steps, at = [], 0
    while at < len(path):
        step = STEP.match(path, at)
        if step is None or (at == 0) == path[at : at + 1].startswith((".", "[")):
            return None
        name = step[1] if step[1] is not None else step[2]
        steps.append((name.strip(), step[1] is None))
        at = step.end()
    return steps or None


def addressed(study: Study, path: str, where: str, reading: Reading) -> list[tuple[Loc, object]]:
    """(location, value) of all that a path means; none, with a finding, when it leads nowhere."""
    steps = _steps(path)
    if steps is None:
        fix = "write field.field, and elements of a list by name: tiers[chat].survive[0].serve_fraction"
        reading.error(where, "a path into the study", quoted(path), fix)
        return []
    spots: list[tuple[Loc, object]] = [((), study)]
    for n, (name, bracketed) in enumerate(steps):
        inside = [
            (loc, value, parts_within(value), isinstance(value, tuple | list) or (bracketed and not loc))
            for loc, value in spots
        ]
        new_name = NEW_NAMES.get(name, "")
        if not bracketed and any(part == new_name for _, _, parts, _ in inside for _, part, _ in parts):
            fix = f"write `{new_name}` in the path; the old name is read for this version only"
            reading.warning(where, f"`{new_name}`", f"`{name}`, as it was called in schema version 1", fix)
            name = new_name
        chosen = [
            ((*loc, key), item) for loc, _, parts, is_list in inside for key, item in _chosen(name, parts, is_list)
        ]
        so_far = path_of(study, spots[0][0]) or "the study"
        if not chosen:
            _leads_nowhere(where, name, so_far, [part for _, _, parts, _ in inside for part in parts], inside, reading)
            return []
        exact = [loc for loc, _ in chosen if sum(other[:-1] == loc[:-1] for other, _ in chosen) > 1]
        if exact and not _is_pattern(name):
            numbers = ", ".join(f"[{loc[-1]}]" for loc in exact[:4])
            fix = f"write its number, one of {numbers}, or * for all"
            reading.error(where, f"one element of {so_far}", f"{len(exact)} called {quoted(name)}", fix)
            return []
        is_last = n == len(steps) - 1
        spots = chosen if is_last else [(loc, item) for loc, item in chosen if parts_within(item)]
        if not spots:
            got = f"{path_of(study, chosen[0][0])}, which holds nothing further"
            reading.error(where, "a field with fields or elements", got, "shorten the path, or set it as a whole")
            return []
    return spots


def _is_pattern(name: str) -> bool:
    return "*" in name or "?" in name


def _chosen(name: str, parts: list[tuple[int | str, str, object]], is_list: bool) -> list[tuple[int | str, object]]:
    """The parts of that name; in a list else the one of that number; else those whose name it begins, or fits as a
    pattern: `chat,london` is every row of demand of that stream, whatever the period and hour."""
    exact = [(key, item) for key, called, item in parts if called == name]
    if exact:
        return exact
    if is_list and re.fullmatch(r"[0-9]{1,9}", name):
        return [(key, item) for key, _, item in parts if key == int(name)]
    if not _is_pattern(name):
        return [(key, item) for key, called, item in parts if is_list and called.startswith(f"{name},")]
    return [(key, item) for key, called, item in parts if fnmatchcase(called, name) or fnmatchcase(called, f"{name},*")]


def _leads_nowhere(
    where: str,
    name: str,
    so_far: str,
    parts: list[tuple[int | str, str, object]],
    inside: list[Any],
    reading: Reading,
) -> None:
    """The finding for a step that nothing answers to."""
    known = {called for _, called, _ in parts if called}
    if any(isinstance(value, tuple | list) for _, value, _, _ in inside):
        what, fix = f"an element of {so_far}", f"write one of: {listed(known)}; or its number; * matches anything"
    elif known:
        what, fix = f"a field of {so_far}", f"the fields here are: {listed(known, 40)}"
    else:
        what, fix = f"a path that ends at {so_far}", "shorten the path"
    reading.error(where, what, quoted(name) + near_miss(name, known), fix)


KnownParts = dict[Loc, dict[int | str, tuple[str, object]]]
"""Location -> key -> label and value of what is directly within"""


def path_of(study: Study, loc: Loc, known: KnownParts | None = None) -> str:
    """A location as a path with names.

    Parameters
    ----------
    known : what earlier calls for the same study have found out; it is added to

    Examples
    --------
    `("tiers", 0, "survive", 1)` is `tiers[chat].survive[1]`: goals of the same kind are told apart by number.
    """
    known = {} if known is None else known
    path = ""
    value: object = study
    for n, key in enumerate(loc):
        if loc[:n] not in known:
            known[loc[:n]] = {part_key: (label, item) for part_key, label, item in _labelled(value)}
        if key not in known[loc[:n]]:
            return f"{path}[{key}]"
        label, value = known[loc[:n]][key]
        path += label
    return path.removeprefix(".")


def figures_of(study: Study) -> dict[str, Any]:
    """Every value of a study by its path: what two studies are compared by."""
    return dict(_figures_within(study, ""))


def _figures_within(value: object, path: str) -> Iterator[tuple[str, Any]]:
    parts = _labelled(value)
    if not parts:
        yield path.removeprefix("."), value
    for _, label, item in parts:
        yield from _figures_within(item, path + label)


def _labelled(value: object) -> list[tuple[int | str, str, object]]:
    """(key, label in a path, value) of all that is directly within; where a name stands twice, numbers are labels."""
    parts = parts_within(value)
    if isinstance(value, Record):
        return [(key, f".{key}", item) for key, _, item in parts]
    number = Counter(name for _, name, _ in parts)
    rows = list[tuple[int | str, str, object]]()
    for key, name, item in parts:
        alone = isinstance(value, Mapping) or number[name] == 1
        rows.append((key, f"[{name if name and alone else key}]", item))
    return rows
