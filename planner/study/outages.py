"""An outage that happened, as a failure of a study: what it would have taken here, or why it would have taken nothing.

What generalises: an outage of somebody else's login, ingress or deployment system is one of *yours*, each in turn, and
of what two of yours share; a part of a provider or region stays that provider's, unless it is moved (`--where`).
"""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

from planner.errors import InputError
from planner.study.dependencies import leaves
from planner.study.footprint import Footprint, PlacementHere, PoolHere, footprint_of
from planner.study.parts import BUILT_IN
from planner.study.places import Reading, listed, matches, near_miss, quoted, unique
from planner.study.records.outages import OF_A_REGION, OWN_KINDS, LostPart, Outage
from planner.study.records.study import NamedFailure, Needs, Study, kind_and_name, stack_and_version
from planner.study.tables import read_list

Verdict = Literal["played", "not concerned", "not mapped"]
MOST_NAME = 200
"""Characters of a failure's name."""
MOST_ALTERNATIVES = 1000
"""Failures that one outage may be here: of several parts, each in turn with each of the others."""
ROLES = {"identity": "login", "ingress": "ingress", "deployment": "deployment system"}


@dataclass(frozen=True)
class Where:
    """A place to which an outage is moved: a provider, and a region of it where one is named (`provider/region`)."""

    provider: str
    region: str | None = None

    @property
    def text(self) -> str:
        """As people write it."""
        return self.region or self.provider


@dataclass(frozen=True)
class Alternative:
    """One thing of several that a part of an outage may take here: its name, and component -> share lost."""

    name: str
    lost: Mapping[str, float]


@dataclass(frozen=True)
class PartHere:
    """What a part of an outage may take here, one of the alternatives in turn; without any, why, and what to do.

    Parameters
    ----------
    unnamed : whether it would concern the study, which does not name what it has
    """

    alternatives: tuple[Alternative, ...] = ()
    why: str = ""
    fix: str = ""
    unnamed: bool = False


@dataclass(frozen=True)
class OutageHere:
    """What an outage is here.

    Parameters
    ----------
    failures : the same outage on each thing it may have taken here; the worst of them counts
    why, fix : where it is not played: why not, and how it could be
    notes : what is assumed of it, and what is left out
    """

    outage: Outage
    verdict: Verdict
    failures: tuple[NamedFailure, ...] = ()
    why: str = ""
    fix: str = ""
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
        rows = unique(read_list(Outage, path, reading), lambda outage: outage.id, reading)
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
        else:
            others.append(meets)
    if not played:
        return _not_played(outage, others, tuple(notes))
    notes += [f"beside it, not played: {other.why}" for other in others]
    if any("pushing" in part.effects for part, _ in played):
        notes.append("no new weights can be pushed while it lasts: gateways renormalise those in force")
    combined = itertools.islice(itertools.product(*(meets.alternatives for _, meets in played)), MOST_ALTERNATIVES)
    at = f" at {where.text}" if where is not None and _can_move(outage) else ""
    parts = [part for part, _ in played]
    combinations_here = list(combined)
    failures = []
    for n, alternatives in enumerate(combinations_here, 1):
        names = dict.fromkeys(one.name for one in alternatives if one.name)
        name = f"{outage.id}{at}"
        if len(combinations_here) > 1 and names:
            name += f" on {', '.join(names)}"
        failures.append(_failure(outage, name if len(name) <= MOST_NAME else f"{outage.id} ({n})", parts, alternatives))
    return OutageHere(outage, "played", tuple(failures), notes=tuple(dict.fromkeys(notes)))


def _in_turn(each: Sequence[OutageHere]) -> OutageHere:
    """The same outage in one region after the other."""
    played = [one for one in each if one.failures]
    if not played:
        return each[0]
    failures = tuple(failure for one in played for failure in one.failures)
    notes = tuple(dict.fromkeys(note for one in played for note in one.notes))
    return OutageHere(played[0].outage, "played", failures, notes=notes)


def _can_move(outage: Outage) -> bool:
    """Whether a place belongs to any of its parts."""
    return any(part.kind not in (*OWN_KINDS, "routing") for part in outage.parts)


def _not_played(outage: Outage, others: Sequence[PartHere], notes: tuple[str, ...]) -> OutageHere:
    """An outage of which no part takes anything here."""
    unnamed = [other for other in others if other.unnamed]
    chosen = unnamed or others
    why = "; ".join(dict.fromkeys(other.why for other in chosen)) or "nothing of it can be played"
    fix = "; ".join(dict.fromkeys(other.fix for other in chosen if other.fix))
    return OutageHere(outage, "not mapped" if unnamed else "not concerned", why=why, fix=fix, notes=notes)


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
    return NamedFailure(
        name=name,
        lost=dict(sorted(lost.items())),
        worst_part=any(part.kind in OF_A_REGION for part in parts) and any(0 < share < 1 for share in lost.values()),
        hours_to_repair=end,
        repaired={c: h for c, h in sorted(hours.items()) if h is not None and (end is None or h < end)},
        failover="rescale" if any("pushing" in part.effects for part in parts) else None,
        answers_wrongly=wrong,
        hours_to_find_out=outage.hours_to_find_out if wrong else None,
    )


# ------------------------------------------------------------------ what a part takes here, by its kind
def _place(part: LostPart, here: Footprint, where: Where | None) -> tuple[str, list[str]]:
    """The provider of a part, and its regions (`provider/region`) each in turn; none: all of the provider."""
    provider = part.provider if where is None else where.provider
    assert provider is not None
    if part.region is None:
        return provider, []
    if where is None:
        return provider, [f"{provider}/{part.region}"]
    return provider, [where.region] if where.region is not None else here.regions(provider)


def _elsewhere(here: Footprint, provider: str, what: str = "the same elsewhere") -> str:
    """How an outage could be played on what is here."""
    regions = here.regions(provider) or here.regions()
    return f"{what}: --where {regions[0]}" if regions else ""


def _control_plane(part: LostPart, here: Footprint, where: Where | None, outage: Outage) -> PartHere:
    provider, regions = _place(part, here, where)
    mine = here.regions(provider)
    if not mine or (regions and not set(regions) & set(mine)):
        at = regions[0] if regions else provider
        return PartHere(why=f"no machine of {here.subject} at {at}", fix=_elsewhere(here, provider))
    if regions:
        planes = [Alternative(region, {f"control_plane:{region}": 1.0}) for region in regions if region in mine]
        return PartHere(tuple(planes))
    apart = {other.region for other in outage.parts if other.kind == "control_plane"} - {None}
    if not apart:
        return PartHere((Alternative(provider, {f"control_plane:{provider}": 1.0}),))
    own = {f"{provider}/{region}" for region in apart} if where is None else {where.region} - {None}
    lost = {f"control_plane:{region}": 1.0 for region in mine if region not in own}
    if not lost:
        return PartHere(why=f"no other region of {here.subject} at {provider}")
    return PartHere((Alternative(provider, lost),))


def _provider(part: LostPart, here: Footprint, where: Where | None, outage: Outage) -> PartHere:
    provider, _ = _place(part, here, where)
    if provider not in here.providers:
        return PartHere(why=f"no machine of {here.subject} at {provider}", fix=_elsewhere(here, provider))
    return PartHere((Alternative(provider, {f"provider:{provider}": _share(part)}),))


def _of_region(part: LostPart, here: Footprint, where: Where | None, outage: Outage) -> PartHere:
    """A region, or zones of it: where a site here is the region, by their share of it; else zones in turn."""
    provider, regions = _place(part, here, where)
    alternatives: list[Alternative] = []
    for region in regions:
        sites = sorted({pool.site for pool in here.pools if pool.region == region})
        if not sites:
            continue
        if part.kind == "region":
            alternatives.append(Alternative(region, {f"region:{region}": _share(part)}))
        elif sites == [region]:
            assert part.zones is not None and part.zones_in_region is not None
            share = round(_share(part) * part.zones / part.zones_in_region, 9)
            alternatives.append(Alternative(region, {f"site:{region}": share}))
        else:
            for zones in itertools.combinations(sites, min(part.zones or 1, len(sites))):
                lost = {f"site:{zone}": _share(part) for zone in zones}
                alternatives.append(Alternative(" and ".join(zones), lost))
    if not alternatives:
        at = regions[0] if regions else provider
        return PartHere(why=f"no machine of {here.subject} at {at}", fix=_elsewhere(here, provider))
    return PartHere(tuple(alternatives))


def _machines(part: LostPart, here: Footprint, where: Where | None, outage: Outage) -> PartHere:
    """Machines of a family, at one provider after the other; moved, each kind of machine there in turn."""
    kind = ", ".join(part.accelerators)
    groups: dict[str, list[PoolHere]] = {}
    for pool in here.pools:
        if where is not None:
            if pool.provider == where.provider and where.region in (None, pool.region):
                groups.setdefault(pool.accelerator, []).append(pool)
        elif matches(pool.accelerator, part.accelerators) and part.provider in (None, pool.provider):
            groups.setdefault(pool.provider, []).append(pool)
    if not groups:
        why = f"no machine of {kind}{f' at {part.provider}' if part.provider else ''} in {here.subject}"
        return PartHere(why=why, fix=_elsewhere(here, "", "the same with machines of yours"))
    return PartHere(
        tuple(
            Alternative(name, {f"pool:{pool.id}": _share(part) for pool in pools})
            for name, pools in sorted(groups.items())
        )
    )


def _stack(part: LostPart, here: Footprint, where: Where | None, outage: Outage) -> PartHere:
    assert part.stack is not None
    name, version = stack_and_version(part.stack)
    mine = {row.stack for row in here.placements}
    if part.stack not in mine and (version or name not in {stack_and_version(stack)[0] for stack in mine}):
        return PartHere(why=f"nothing of {here.subject} runs on {part.stack}")
    id = f"stack_version:{part.stack}" if version else f"stack:{name}"
    return PartHere((Alternative(part.stack, {id: _share(part)}),))


def _qualification(part: LostPart, here: Footprint, where: Where | None, outage: Outage) -> PartHere:
    """A model on a stack, each in turn where none is named or it is moved; of one provider, its placements there."""

    def concerned(row: PlacementHere) -> bool:
        if where is not None:
            return row.provider == where.provider and where.region in (None, row.region)
        stack = part.stack in (None, row.stack, stack_and_version(row.stack)[0])
        return stack and part.model in (None, row.model) and part.provider in (None, row.provider)

    rows = [row for row in here.placements if row.model in here.asked and concerned(row)]
    if not rows:
        what = " on ".join(name for name in (part.model, part.stack) if name)
        at = f" at {part.provider}" if part.provider else ""
        return PartHere(
            why=f"{what} is not served{at} in {here.subject}",
            fix=_elsewhere(here, part.provider or "", "the same with each model of yours in turn"),
        )
    pairs = sorted({(row.model, row.stack) for row in rows})
    of_one_place = part.provider is not None or where is not None
    alternatives = []
    for model, stack in pairs:
        lost = {f"qualification:{model}/{stack}": _share(part)}
        if of_one_place:
            same = [row for row in rows if (row.model, row.stack) == (model, stack)]
            lost = {f"placement:{row.id}": _share(part) for row in same}
        alternatives.append(Alternative(f"{model}/{stack}", lost))
    return PartHere(tuple(alternatives))


def _routing(part: LostPart, here: Footprint, where: Where | None, outage: Outage) -> PartHere:
    """The servers of a model's shorter context class, where the model is served in a longer one as well."""
    alternatives = []
    for model, classes in sorted(here.asked.items()):
        longest = max(classes, key=lambda one: (here.most_tokens.get(one, 0), one))
        rows = [row for row in here.placements if row.model == model]
        shorter = [row for row in rows if (classes - {longest}) & row.classes and longest not in row.classes]
        if len(classes) > 1 and shorter and any(longest in row.classes for row in rows):
            alternatives.append(Alternative(model, {f"placement:{row.id}": _share(part) for row in shorter}))
    if not alternatives:
        why = f"no model of {here.subject} has servers for more than one context class, between which to err"
        return PartHere(why=why)
    return PartHere(tuple(alternatives))


def _own(part: LostPart, here: Footprint, where: Where | None, outage: Outage) -> PartHere:
    """A login, ingress or deployment system of yours, each in turn; what two of them need counts as one, too."""
    mine = [component.id for component in here.components if component.kind == part.kind]
    if not mine:
        fix = f"name your {ROLES[part.kind]} under `components:` with `kind: {part.kind}`, and what needs it under "
        return PartHere(why=f"the study names no {ROLES[part.kind]}", fix=f"{fix}`dependencies:`", unnamed=True)
    needed: dict[str, set[str]] = {}
    for dependency in here.dependencies:
        if dependency.component in mine:
            for leaf in leaves(dependency.needs):
                if kind_and_name(leaf)[0] not in BUILT_IN:
                    needed.setdefault(leaf, set()).add(dependency.component)
    shared = sorted(leaf for leaf, users in needed.items() if len(users) > 1 and leaf not in mine)
    alternatives = []
    for id in (*mine, *shared):
        lost = {id: _share(part)}
        if part.kind == "deployment" and "serving" in part.effects:
            lost |= _reached(id, here, _share(part))
        alternatives.append(Alternative(" ".join(kind_and_name(id)), lost))
    return PartHere(tuple(alternatives))


def _reached(id: str, here: Footprint, share: float) -> dict[str, float]:
    """What stands on a system that rolls out, in whatever way: a bad roll-out breaks all of it."""
    return {d.component: share for d in here.dependencies if not _met_without(d.needs, id)}


def _met_without(part: str | Needs, lost: str) -> bool:
    """Whether a need is met when one component is lost."""
    if isinstance(part, str):
        return part != lost
    if part.all_of is not None:
        return all(_met_without(inner, lost) for inner in part.all_of)
    if part.any_of is not None:
        return any(_met_without(inner, lost) for inner in part.any_of)
    met = sum(_met_without(inner, lost) for inner in part.of or ())
    return met >= (part.at_least or 0)


def _share(part: LostPart) -> float:
    assert part.share_fraction is not None
    return part.share_fraction


PARTS: Mapping[str, Callable[[LostPart, Footprint, Where | None, Outage], PartHere]] = {
    "control_plane": _control_plane,
    "provider": _provider,
    "region": _of_region,
    "zone": _of_region,
    "machines": _machines,
    "stack": _stack,
    "qualification": _qualification,
    "routing": _routing,
    **dict.fromkeys(OWN_KINDS, _own),
}


def chosen_outages(outages: Mapping[str, Outage], ids: Sequence[str], at: str) -> tuple[Outage, ...]:
    """The outages that are named, by id or a pattern of ids; without a name all of them.

    Raises
    ------
    InputError
        when an id leads to none
    """
    reading = Reading()
    for id in ids:
        if not any(fnmatchcase(known, id) for known in outages):
            got = quoted(id) + near_miss(id, outages)
            reading.error(at, "an outage of the catalogue", got, f"write one of: {listed(outages, 40)}")
    if reading.findings:
        raise InputError(reading.findings)
    return tuple(outage for id, outage in outages.items() if not ids or matches(id, ids))
