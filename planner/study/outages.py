"""An outage that happened, as failures of a study: what it would take here, or why it would take nothing."""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

from planner.errors import InputError
from planner.study.footprint import Footprint, footprint_of
from planner.study.outage_parts import PARTS, Alternative, PartHere, Where
from planner.study.places import Reading, listed, matches, near_id, near_miss, quoted, unique
from planner.study.records.outages import OF_A_REGION, OWN_KINDS, LostPart, Outage
from planner.study.records.study import NamedFailure, Study
from planner.study.tables import read_list, read_yaml

Verdict = Literal["played", "not concerned", "not mapped"]
MOST_NAME = 200
"""Characters of a failure's name."""
MOST_ALTERNATIVES = 1000
"""Failures that one outage may be here: of several parts, each in turn with each of the others."""


@dataclass(frozen=True)
class OutageHere:
    """What an outage is here.

    Parameters
    ----------
    failures : the same outage on each thing it may have taken here; the worst of them counts
    why, fix : where it is not played, or a part of it cannot be mapped: why not, and what to do
    move_to : provider or region to which it can be moved; none: it cannot
    notes : what is assumed of it, and what is left out
    """

    outage: Outage
    verdict: Verdict
    failures: tuple[NamedFailure, ...] = ()
    why: str = ""
    fix: str = ""
    move_to: str = ""
    notes: tuple[str, ...] = field(default=())


def read_outages(paths: Iterable[Path]) -> dict[str, Outage]:
    """The outages of catalogues by id; what a later one says of an outage counts instead.

    Raises
    ------
    InputError
        with every finding, when a catalogue cannot be read
    """
    reading = Reading()
    outages: dict[str, Outage] = {}
    for path in paths:
        if not path.exists():
            read_yaml(path, reading)  # says that it is not there
        rows = unique(read_list(Outage, path, reading, "outages"), lambda outage: outage.id, reading)
        outages |= {outage.id: outage for outage, _ in rows}
    reading.raise_errors()
    return outages


def where_of(text: str, here: Footprint, at: str, reading: Reading) -> Where | None:
    """The place that is meant by `provider` or `provider/region`; None with a finding where nothing of it is here."""
    if text in here.providers:
        return Where(text)
    for pool in here.pools:
        if pool.region == text:
            return Where(pool.provider, text)
    known = [*here.providers, *here.regions()]
    got = quoted(text) + near_miss(text, known)
    reading.error(at, f"a provider or region of {here.subject}", got, f"write one of: {listed(known, 40)}")
    return None


def place_of(text: str | None, study: Study, at: str) -> Where | None:
    """The place that is named for outages of a study; none where none is named.

    Raises
    ------
    InputError
        when the study has no pool there
    """
    if text is None:
        return None
    reading = Reading()
    where = where_of(text, footprint_of(study), at, reading)
    if where is None:
        raise InputError(reading.findings)
    return where


def outage_here(outage: Outage, here: Footprint, where: Where | None = None) -> OutageHere:
    """What an outage is on a footprint, at its own place or moved; moved to a provider, in each of its regions."""
    first_region = next((part.region for part in outage.parts if part.region is not None), None)
    if where is not None and where.region is None and first_region is not None:
        return _in_turn([outage_here(outage, here, Where(where.provider, r)) for r in here.regions(where.provider)])
    played: list[tuple[LostPart, PartHere]] = []
    others: list[PartHere] = []
    notes: list[str] = []
    if where is not None and not _can_move(outage):
        notes.append("it belongs to no place: where it happens changes nothing")
    for part in outage.parts:
        if where is not None and part.region not in (None, first_region):
            notes.append(f"what was lost in {part.provider}/{part.region} is left out: one region is asked for")
            continue
        if part.share_fraction is None:
            notes.append(f"left out, as no share is published: {part.note or part.kind}")
            continue
        meets = PARTS[part.kind](part, here, where, outage)
        if meets.alternatives:
            played.append((part, meets))
            notes += [part.note] if part.note and part.evidence != "published" else []
            notes += meets.notes
        else:
            others.append(meets)
    if not played:
        return _not_played(outage, others, tuple(notes))
    notes += [f"beside it, not played: {other.why}" for other in others if not other.unnamed]
    unnamed = [other for other in others if other.unnamed]
    if any("pushing" in part.effects for part, _ in played):
        notes.append("while no new weights can be pushed gateways renormalise those in force")
    several = list(itertools.islice(itertools.product(*(meets.alternatives for _, meets in played)), MOST_ALTERNATIVES))
    if len(several) < math.prod(len(meets.alternatives) for _, meets in played):
        notes.append(f"only the first {MOST_ALTERNATIVES:,} combinations of what it may have taken are played")
    at = f" at {where.text}" if where is not None and _can_move(outage) else ""
    failures = []
    for n, alternatives in enumerate(several, 1):
        names = dict.fromkeys(one.name for one in alternatives if one.name)
        name = f"{outage.id}{at}"
        if len(several) > 1 and names:
            name += f" on {' and '.join(names)}"
        short_name = name if len(name) <= MOST_NAME else f"{outage.id} ({n})"
        failures.append(_failure(outage, short_name, [part for part, _ in played], alternatives))
    why, fix = _why_and_fix(unnamed)
    return OutageHere(outage, "played", tuple(failures), why, fix, notes=tuple(dict.fromkeys(notes)))


def _in_turn(each: Sequence[OutageHere]) -> OutageHere:
    """The same outage in one region after the other."""
    played = [one for one in each if one.failures]
    if not played:
        return each[0]
    failures = tuple(failure for one in played for failure in one.failures)
    notes = tuple(dict.fromkeys(note for one in played for note in one.notes))
    return replace(played[0], failures=failures, notes=notes)


def _can_move(outage: Outage) -> bool:
    """Whether a place belongs to any of its parts."""
    return any(part.kind not in (*OWN_KINDS, "routing", "stack") for part in outage.parts)


def _not_played(outage: Outage, others: Sequence[PartHere], notes: tuple[str, ...]) -> OutageHere:
    """An outage of which no part takes anything here."""
    unnamed = [other for other in others if other.unnamed]
    chosen = unnamed or others
    why, fix = _why_and_fix(chosen)
    why = why or "nothing of it can be played"
    move_to = next((other.move_to for other in chosen if other.move_to), "")
    verdict: Verdict = "not mapped" if unnamed else "not concerned"
    return OutageHere(outage, verdict, why=why, fix=fix, move_to=move_to, notes=notes)


def _why_and_fix(parts: Sequence[PartHere]) -> tuple[str, str]:
    """Why parts are not played, and what to do."""
    why = "; ".join(dict.fromkeys(part.why for part in parts))
    return why, "; ".join(dict.fromkeys(part.fix for part in parts if part.fix))


def _failure(outage: Outage, name: str, parts: Sequence[LostPart], alternatives: Sequence[Alternative]) -> NamedFailure:
    """The failure of one alternative of each part: shares of one component add up, the last repair of it counts."""
    lost: dict[str, float] = {}
    hours: dict[str, float | None] = {}
    for part, alternative in zip(parts, alternatives, strict=True):
        for component, share in alternative.lost.items():
            lost[component] = min(1.0, lost.get(component, 0.0) + share)
            before = hours.get(component, 0.0)
            known = before is not None and part.hours_to_repair is not None
            hours[component] = max(before or 0.0, part.hours_to_repair or 0.0) if known else None
    stated = [h for h in hours.values() if h is not None]
    end = max(stated) if len(stated) == len(hours) else None
    wrong = any("wrong_answers" in part.effects for part in parts)
    pushing = [part.hours_to_repair for part in parts if "pushing" in part.effects]
    pushed = max((hours for hours in pushing if hours is not None), default=None)
    if None in pushing or (pushed is not None and end is not None and pushed >= end):
        pushed = None  # not before all of it is repaired
    return NamedFailure(
        name=name,
        lost=dict(sorted(lost.items())),
        worst_part=any(part.kind in OF_A_REGION for part in parts) and any(0 < share < 1 for share in lost.values()),
        hours_to_repair=end,
        repaired={c: h for c, h in sorted(hours.items()) if h is not None and (end is None or h < end)},
        failover="rescale" if pushing else None,
        hours_to_new_weights=pushed,
        answers_wrongly=wrong,
        hours_to_find_out=outage.hours_to_find_out if wrong else None,
    )


def chosen_outages(outages: Mapping[str, Outage], ids: Sequence[str], at: str) -> tuple[Outage, ...]:
    """The outages that are named, by id or a pattern of ids; without a name all of them.

    Raises
    ------
    InputError
        when an id leads to none
    """
    reading = Reading()
    for id in ids:
        if id not in outages and not any(fnmatchcase(known, id) for known in outages):
            got = quoted(id) + near_id(id, outages)
            reading.error(at, "an outage of the catalogue", got, f"write one of: {listed(outages, 40)}")
    if reading.findings:
        raise InputError(reading.findings)
    return tuple(outage for id, outage in outages.items() if not ids or id in ids or matches(id, ids))
