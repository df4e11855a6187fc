"""That dependencies, failures and limits name components that exist, that are needed, and form no circle."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter

import networkx as nx

from planner.study.dependencies import control_planes
from planner.study.parts import BUILT_IN, OFFER_IDS, Parts
from planner.study.places import Loc, Reading, listed, near_miss, quoted, unquoted
from planner.study.records.base import Record
from planner.study.records.inventory import MachineType, Offer, Pool, Site
from planner.study.records.serving import Model
from planner.study.records.study import (
    Component,
    Dependency,
    Horizon,
    Needs,
    Origin,
    Workload,
    kind_and_name,
    stack_and_version,
)


def check_components(parts: Parts, reading: Reading) -> None:
    """Report names of components that lead nowhere, dependencies in a circle, components that nothing needs."""
    _check_failures(parts, reading)
    _check_dependencies(parts, reading)
    _check_counted(parts, reading)
    for component, place in parts.components:
        if component.kind in BUILT_IN:
            check_component(component.id, parts, place.at("name"), reading)
    for share, place in parts.rows("policies", "shares"):
        check_component(share.component, parts, place.at("component"), reading, BUILT_IN)
    serving = _needs(parts)
    _check_cycles(parts, serving, reading)
    _check_needed(parts, _with_needs_of_the_study(parts, serving, ("starting", "pushing")), reading)


def check_component(id: str, parts: Parts, where: str, reading: Reading, kinds: Iterable[str] | None = None) -> None:
    """A component id leads to a component, of one of some kinds where they are given."""
    names = parts.component_names if kinds is None else {kind: parts.component_names[kind] for kind in kinds}
    kind, name = kind_and_name(id)
    of_zones = parts.components_of_zones(kind, name)
    if name in names.get(kind, ()) and not of_zones:
        return
    doubtful: tuple[type[Record], ...] = (Pool, Site, MachineType, Model, Component)
    if kind in ("workload", "origin"):
        doubtful = (Workload,) if kind == "workload" else (Origin,)
    elif kind in ("stack", "stack_version", "qualification", "placement"):
        doubtful += (Workload, Horizon)  # by the models of the workloads, and when they are qualified
    if reading.any_broken(*doubtful):
        return
    known: set[str] = set()
    for other_kind, others in names.items():
        if other_kind != "placement":
            known |= {f"{other_kind}:{other}" for other in others}
    same_kind = {other for other in known if kind_and_name(other)[0] == kind}
    if of_zones:
        fix = f"it is split into zones; write one of: {listed(of_zones)}"
        reading.error(where, "the id of a component", quoted(id), fix)
        return
    fix = f"write one of: {listed(same_kind)}" if same_kind else f"write kind:name; the kinds are {listed(names, 20)}"
    near = same_kind if near_miss(id, same_kind) else known
    reading.unknown_name(where, "the id of a component (kind:name)", id, near, fix)


def _within(needs: Needs, loc: Loc) -> Iterator[tuple[str | Needs, Loc]]:
    """A `Needs` and all in it, component ids too, each with the way to it."""
    yield needs, loc
    for name in ("all_of", "any_of", "of"):
        for i, part in enumerate(getattr(needs, name) or ()):
            if isinstance(part, str):
                yield part, (*loc, name, i)
            else:
                yield from _within(part, (*loc, name, i))


def component_places(parts: Parts) -> Iterator[tuple[str, str]]:
    """Every component id that failures and dependencies name, with its place."""
    for failure, place in parts.failures:
        for name in ("lost", "in_maintenance"):
            yield from ((id, place.at(name, id)) for id in getattr(failure, name))
    for dependency, place in parts.dependencies:
        yield dependency.component, place.at("component")
        named = _within(dependency.needs, ("needs",))
        yield from ((part, place.at(*loc)) for part, loc in named if isinstance(part, str))


def _check_failures(parts: Parts, reading: Reading) -> None:
    """Failures name components that exist."""
    for failure, place in parts.failures:
        for id in failure.lost:
            check_component(id, parts, place.at("lost", id), reading)
        for id in failure.in_maintenance:
            check_component(id, parts, place.at("in_maintenance", id), reading)
        for id in failure.surges:
            check_component(id, parts, place.at("surges", id), reading, ("workload", "origin"))


def _check_dependencies(parts: Parts, reading: Reading) -> None:
    """Dependencies name components that exist, of kinds that can have them, and can be met."""
    for dependency, place in parts.dependencies:
        check_component(dependency.component, parts, place.at("component"), reading)
        kind = kind_and_name(dependency.component)[0]
        if dependency.breaks == "new_logins" and kind not in ("workload", "origin"):
            fix = "say which workloads or origins need the login"
            reading.error(place.at("component"), "a workload or an origin", quoted(dependency.component), fix)
        if dependency.breaks == "pushing" and kind not in ("workload", "origin"):
            fix = "say to the gateways of which workloads or origins no weights can be pushed without it"
            reading.error(place.at("component"), "a workload or an origin", quoted(dependency.component), fix)
        if kind == "renewal":
            fix = "name what needs its machines: the pool, or a failure of the study that loses both"
            reading.error(place.at("component"), "not the renewal of a contract", quoted(dependency.component), fix)
        if dependency.breaks == "starting" and kind in ("workload", "origin"):
            fix = "say which site, stack, pool or placement cannot start replicas without it"
            reading.error(place.at("component"), "where replicas start", quoted(dependency.component), fix)
        for part, loc in _within(dependency.needs, ("needs",)):
            if isinstance(part, str):
                check_component(part, parts, place.at(*loc), reading)
            elif part.at_least is not None and part.of is not None and part.at_least > len(part.of):
                fix = "lower at_least, or add parts; as it is, this can never be met"
                reading.error(place.at(*loc, "at_least"), f"at most {len(part.of)}", str(part.at_least), fix)


def _check_counted(parts: Parts, reading: Reading) -> None:
    """What counts of machines in failures is said of kinds and offers that exist."""
    for counted, place in parts.rows("policies", "counted"):
        if counted.any is not None and not reading.any_broken(Component):
            reading.refer(place.at("any"), Component, "a kind of component", counted.any, parts.component_kinds)
        for j, pattern in enumerate(counted.offers):
            where = place.at("offers", j)
            reading.refer_pattern(where, Offer, "an offer, or a pattern of them", pattern, parts.offer_ids, OFFER_IDS)


def _needs(parts: Parts) -> dict[str, set[str]]:
    """Component -> what it needs to serve, or stands in, by the built-in dependencies and those of the study.

    What only starting or pushing needs is not there: it may need the component, as what runs goes on without.
    """
    needs: dict[str, set[str]] = {}
    for id, pool in parts.considered_pools.items():
        if pool.site in parts.sites:
            site = parts.sites[pool.site][0]
            needs[f"pool:{id}"] = {f"site:{site.id}"}
            needs[f"site:{site.id}"] = {f"zone:{site.id}" if site.is_zone else f"region:{site.region_id}"}
            if site.is_zone:
                needs[f"zone:{site.id}"] = {f"region:{site.region_id}"}
            planes = control_planes(site.region_id, site.provider)
            needs[f"region:{site.region_id}"] = {f"provider:{site.provider}"}
            needs[planes[0]] = {planes[1], f"region:{site.region_id}"}
            needs[planes[1]] = {f"provider:{site.provider}"}
    for placement, (_, profile, at) in parts.placements.items():
        stack, _ = stack_and_version(profile.stack)
        needs[f"placement:{placement}"] = {f"pool:{at}", f"stack:{stack}"}
    return _with_needs_of_the_study(parts, needs, ("serving", "new_logins"))


def _with_needs_of_the_study(
    parts: Parts, needs: Mapping[str, set[str]], breaks: Collection[str]
) -> dict[str, set[str]]:
    """Component -> what it needs, those dependencies of the study added that break one of these."""
    added = {component: set(below) for component, below in needs.items()}
    for dependency, _ in parts.dependencies:
        if dependency.breaks in breaks:
            named = {part for part, _ in _within(dependency.needs, ()) if isinstance(part, str)}
            added.setdefault(dependency.component, set()).update(named)
    return added


def _check_needed(parts: Parts, needs: dict[str, set[str]], reading: Reading) -> None:
    """Each of the study's own components is needed by something that serves, asks, or stands in the inventory."""
    named = {part for dependency, _ in parts.dependencies for part in needs[dependency.component]}
    every = {f"{kind}:{name}" for kind, names in parts.component_names.items() for name in names}
    if named - every or reading.any_broken(Dependency):
        return  # a name that leads nowhere is reported where it stands
    used = [id for id in needs if kind_and_name(id)[0] in (*BUILT_IN, "workload", "origin", "placement")]
    reached = {id for layer in nx.bfs_layers(nx.DiGraph(needs), used) for id in layer}
    for component, place in parts.components:
        if component.id not in reached and component.kind not in BUILT_IN:
            fix = "add a dependency that names it, or remove it; as it is, its loss or its limit changes nothing"
            reading.warning(place.at("name"), f"something that needs {unquoted(component.id)}", "nothing", fix)


def _check_cycles(parts: Parts, needs: Mapping[str, set[str]], reading: Reading) -> None:
    """Nothing needs itself."""
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        cycle = list(reversed(error.args[1]))
        where = next(place.at("needs") for dependency, place in parts.dependencies if dependency.component in cycle)
        circle = " needs ".join(unquoted(id) for id in cycle)
        fix = "remove one of these dependencies; pool needs site needs region needs provider is built in"
        reading.error(where, "dependencies without a circle", circle, fix)
