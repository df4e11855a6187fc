"""What a part of an outage would take of a study, by its kind.

What generalises: an outage of somebody else's login, ingress or deployment system is one of *yours*, each in turn, and
of what two of yours share; a part of a provider or region stays that provider's, unless it is moved.
"""

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from planner.study.dependencies import leaves
from planner.study.footprint import Footprint, PlacementHere, PoolHere
from planner.study.parts import BUILT_IN
from planner.study.places import listed, matches
from planner.study.records.outages import OWN_KINDS, LostPart, Outage
from planner.study.records.study import Needs, kind_and_name, stack_and_version

ELSEWHERE = "play it somewhere else"
ROLES = {"identity": "login", "ingress": "ingress", "deployment": "deployment system", "database": "database"}


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
    move_to : provider or region to which the outage can be moved
    unnamed : whether it would concern the study, which does not name what it has
    notes : what the study says of it that holds beside what the outage says
    """

    alternatives: tuple[Alternative, ...] = ()
    why: str = ""
    fix: str = ""
    move_to: str = ""
    unnamed: bool = False
    notes: tuple[str, ...] = ()


def _place(part: LostPart, here: Footprint, where: Where | None) -> tuple[str, list[str]]:
    """The provider of a part, and its regions (`provider/region`) each in turn; none: all of the provider."""
    provider = part.provider if where is None else where.provider
    assert provider is not None
    if part.region is None:
        return provider, []
    if where is None:
        return provider, [f"{provider}/{part.region}"]
    return provider, [where.region] if where.region is not None else here.regions(provider)


def _nothing_at(place: str, provider: str, here: Footprint) -> PartHere:
    return PartHere(why=f"no machine of {here.subject} at {place}", fix=ELSEWHERE, move_to=_elsewhere(here, provider))


def _elsewhere(here: Footprint, provider: str | None) -> str:
    """A region to which an outage can be moved, of the same provider if it may be."""
    regions = here.regions(provider) or here.regions()
    return regions[0] if regions else ""


def _control_plane(part: LostPart, here: Footprint, where: Where | None, outage: Outage) -> PartHere:
    provider, regions = _place(part, here, where)
    mine = here.regions(provider)
    if not mine or (regions and not set(regions) & set(mine)):
        at = regions[0] if regions else provider
        return _nothing_at(at, provider, here)
    if regions:
        planes = [Alternative(region, {f"control_plane:{region}": 1.0}) for region in regions if region in mine]
        return PartHere(tuple(planes))
    return PartHere((Alternative(provider, {f"control_plane:{provider}": 1.0}),))


def _provider(part: LostPart, here: Footprint, where: Where | None, outage: Outage) -> PartHere:
    provider, _ = _place(part, here, where)
    if provider not in here.providers:
        return _nothing_at(provider, provider, here)
    return PartHere((Alternative(provider, {f"provider:{provider}": _share(part)}),))


def _of_region(part: LostPart, here: Footprint, where: Where | None, outage: Outage) -> PartHere:
    """A region, or zones of it: where a site here is the region, by their share of it; zones of their own in turn.

    Where a region is split in part both: whose zone nobody names loses the share beside each of the zones.
    """
    provider, regions = _place(part, here, where)
    alternatives: list[Alternative] = []
    for region in regions:
        sites = sorted({pool.site for pool in here.pools if pool.region == region})
        if not sites:
            continue
        if part.kind == "region":
            alternatives.append(Alternative(region, {f"region:{region}": _share(part)}))
            continue
        assert part.zones is not None and part.zones_in_region is not None
        in_part = _share(part) * part.zones / part.zones_in_region
        of_region = {f"site:{site}": in_part for site in sites if site == region}
        own_zones = [site for site in sites if site != region]
        for zones in itertools.combinations(own_zones, min(part.zones, len(own_zones))):
            lost = {f"site:{zone}": _share(part) for zone in zones}
            alternatives.append(Alternative(" and ".join(zones) or region, lost | of_region))
    if not alternatives:
        at = regions[0] if regions else provider
        return _nothing_at(at, provider, here)
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
        return PartHere(why=why, fix="play it on machines of yours", move_to=_elsewhere(here, part.provider))
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
            fix="play it on models of yours, each in turn",
            move_to=_elsewhere(here, part.provider),
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
    """A login, ingress, deployment system or database of yours, each in turn; what two of them need counts as one, too.

    One of a provider's, in a region where nothing runs here, is none of yours.
    """
    if part.provider is not None:
        provider, regions = _place(part, here, where)
        if not (set(regions) & set(here.regions(provider)) if regions else provider in here.providers):
            return _nothing_at(regions[0] if regions else provider, provider, here)
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
    alternatives, notes = [], []
    for id in (*mine, *shared):
        lost = {id: _share(part)}
        if part.kind == "deployment" and "serving" in part.effects:
            lost |= _reached(id, here, _share(part))
            if serve_on := sorted({c for c, breaks in _standing_on(id, here) if breaks == "pushing"} - lost.keys()):
                notes.append(f"{listed(serve_on)} serve on: the study says {id} only pushes their weights")
        alternatives.append(Alternative(" ".join(kind_and_name(id)), lost))
    return PartHere(tuple(alternatives), notes=tuple(notes))


def _standing_on(id: str, here: Footprint) -> list[tuple[str, str]]:
    """What stands on a system, and what of it breaks without, as the study says."""
    return [(d.component, d.breaks) for d in here.dependencies if not _met_without(d.needs, id)]


def _reached(id: str, here: Footprint, share: float) -> dict[str, float]:
    """What a system rolls out to: a bad roll-out breaks it, whatever it needs the system for.

    Not gateways whose weights it pushes, and nothing more: what the study says of these holds.
    """
    return {component: share for component, breaks in _standing_on(id, here) if breaks != "pushing"}


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
