"""What must hold between the parts of a study: every reference leads somewhere, every number fits the others."""

import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from graphlib import CycleError, TopologicalSorter
from typing import Any

from planner.study.dependencies import placement_id, profile_id
from planner.study.places import Loc, Place, Reading, Row, listed, near_miss, quoted, unique, unquoted
from planner.study.records.inventory import MachineType, Offer, Pool, Price, RoundTrip, Site
from planner.study.records.serving import ContextClass, Model, Profile
from planner.study.records.study import (
    Claim,
    Component,
    Demand,
    Dependency,
    Goal,
    Holding,
    NamedFailure,
    Needs,
    Origin,
    RequestCost,
    StudyFile,
    Tier,
    Workload,
    kind_and_name,
    stack_and_version,
)
from planner.units import MONTHS_PER_YEAR

BUILT_IN = ("provider", "region", "site", "pool", "stack", "stack_version", "qualification")
FORBIDDEN_CATEGORIES = ("Cc", "Cs", "Zl", "Zp")
BIDIRECTIONAL = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@dataclass
class Parts:
    """All that was read for a study, each record with its place; the inventory's and the models' by id.

    The tables of the inventory are whole; `considered_pools` are those that the study asks for.
    """

    file: StudyFile
    place: Place
    origins: list[Row[Origin]]
    tiers: list[Row[Tier]]
    workloads: list[Row[Workload]]
    holdings: list[Row[Holding]]
    claims: list[Row[Claim]]
    components: list[Row[Component]]
    dependencies: list[Row[Dependency]]
    failures: list[Row[NamedFailure]]
    machine_types: dict[str, Row[MachineType]] = field(default_factory=dict)
    sites: dict[str, Row[Site]] = field(default_factory=dict)
    round_trips: dict[str, Row[RoundTrip]] = field(default_factory=dict)
    pools: dict[str, Row[Pool]] = field(default_factory=dict)
    offers: dict[str, Row[Offer]] = field(default_factory=dict)
    prices: dict[str, Row[Price]] = field(default_factory=dict)
    context_classes: dict[str, Row[ContextClass]] = field(default_factory=dict)
    models: dict[str, Row[Model]] = field(default_factory=dict)
    shipped_profiles: set[str] = field(default_factory=set)
    """`model/profile` of those that the user did not write: where one does not fit, an edge is missing, no more"""
    demand: list[Row[Demand]] = field(default_factory=list)
    request_costs: list[Row[RequestCost]] = field(default_factory=list)

    @property
    def considered_pools(self) -> dict[str, Pool]:
        """The pools whose id matches a pattern of the study, by id."""
        patterns = self.file.pools
        return {id: self.pools[id][0] for id in sorted(self.pools) if any(fnmatchcase(id, p) for p in patterns)}

    @property
    def used_models(self) -> dict[str, Row[Model]]:
        """The models of the study's workloads, by name."""
        names = sorted({workload.model for workload, _ in self.workloads})
        return {name: self.models[name] for name in names if name in self.models}


def check_references(parts: Parts, reading: Reading) -> None:
    """Report every name that leads nowhere, and what stands where nothing can come of it."""
    _check_names(parts, reading)
    _check_inventory(parts, reading)
    _check_pools(parts, reading)
    _check_workloads(parts, reading)
    _check_demand(parts, reading)
    components = component_names(parts)
    _check_goals(parts, components, reading)
    _check_failures(parts, reading)
    _check_failover(parts, reading)
    _check_components(parts, components, reading)
    needs = _needs(parts, components)
    _check_cycles(parts, needs, reading)
    _check_needed(parts, needs, components, reading)


def _check_names(parts: Parts, reading: Reading) -> None:
    """The study's own names are text on one line, and each names one thing."""
    names = [(parts.file.study, parts.place.at("study"))]
    named: tuple[list[Row[Any]], ...] = (parts.origins, parts.tiers, parts.workloads, parts.components, parts.failures)
    for rows in named:
        unique(rows, lambda row: f"{row.kind}:{row.name}" if isinstance(row, Component) else row.name, reading)
        names += [(record.name, place.at("name")) for record, place in rows]
    names += [(component.kind, place.at("kind")) for component, place in parts.components]
    for i, quota in enumerate(parts.file.policies.quotas):
        names.append((quota.name, parts.place.at("policies", "quotas", i, "name")))
    for name, where in names:
        if any(unicodedata.category(c) in FORBIDDEN_CATEGORIES or c in BIDIRECTIONAL for c in name):
            reading.error(where, "a name on one line, without control characters", quoted(name), "remove them")
        if name != name.strip():
            reading.error(where, "a name without blanks around it", quoted(name), f"write {quoted(name.strip())}")
    for component, place in parts.components:
        if ":" in component.kind or component.kind in ("workload", "origin", "placement", "failure"):
            fix = "choose another word, as in power, network, identity"
            reading.error(place.at("kind"), "a kind without ':' that is not built in", quoted(component.kind), fix)


def _check_inventory(parts: Parts, reading: Reading) -> None:
    """Pools stand at a site, offers are for a pool, prices for an offer."""
    for pool, place in parts.pools.values():
        reading.refer(place.at("site"), Site, "the id of a site (provider/site)", pool.site, parts.sites)
        what, types = "a machine type of the inventory", parts.machine_types
        reading.refer(place.at("machine_type"), MachineType, what, pool.machine_type, types)
    for offer, place in parts.offers.values():
        if offer.pool not in parts.pools:
            fix = "add the pool to pools.csv, or correct site and machine type"
            reading.refer(place.at("site"), Pool, "site and machine type of a pool", offer.pool, parts.pools, fix)
    for price, place in parts.prices.values():
        if price.offer_id not in parts.offers and not {(Offer, price.offer_id), (Offer, "*")} & reading.broken:
            got = quoted(price.offer_id) + near_miss(price.offer_id, parts.offers)
            reading.warning(place.at("offer"), "an offer with these terms", got, "nothing; the price is not used")


def _check_pools(parts: Parts, reading: Reading) -> None:
    """The study considers pools; each has an offer with a price, or a holding."""
    considered = parts.considered_pools
    for i, pattern in enumerate(parts.file.pools):
        if not any(fnmatchcase(id, pattern) for id in parts.pools) and not reading.any_broken(Pool):
            got = f"{quoted(pattern)}, which matches none{near_miss(pattern, parts.pools)}"
            fix = f"ids are provider/site/machine-type, * matches anything: {listed(parts.pools, 4)}"
            reading.error(parts.place.at("pools", i), "a pool, or a pattern that matches pools", got, fix)
    offered = {offer.pool for offer, _ in parts.offers.values()}
    for id, (offer, place) in parts.offers.items():
        if offer.pool in considered and id not in parts.prices and not {(Price, id), (Price, "*")} & reading.broken:
            fix = f"add the row {offer.site},{offer.machine_type},{offer.offer},... to prices.csv, or remove the offer"
            reading.error(place.at("offer"), "a price of the offer", f"none for {quoted(id)}", fix)
    held = {holding.pool for holding, _ in parts.holdings}
    for id in considered:
        if id not in offered | held and not reading.any_broken(Offer, Holding):
            fix = "add an offer to offers.csv, or a holding; as it is, the pool cannot be used"
            reading.warning(parts.pools[id][1].at(), "an offer or a holding", f"neither for {quoted(id)}", fix)


def _check_workloads(parts: Parts, reading: Reading) -> None:
    """Origins are near a region that is known; workloads name a model that can serve them, a class, a tier."""
    regions = {site.region_id for site, _ in parts.sites.values()}
    regions |= {region for row, _ in parts.round_trips.values() for region in (row.from_region, row.to_region)}
    for origin, place in parts.origins:
        if origin.near is not None:
            reading.refer(place.at("near"), Site, "a region (provider/region) of the inventory", origin.near, regions)
    considered = {pool.machine_type for pool in parts.considered_pools.values()}
    for workload, place in parts.workloads:
        reading.refer(place.at("tier"), Tier, "a tier of the study", workload.tier, {t.name for t, _ in parts.tiers})
        name, classes = workload.context_class, parts.context_classes
        if reading.refer(place.at("context_class"), ContextClass, "a context class", name, classes):
            tokens, most = workload.mean_input_tokens + workload.mean_output_tokens, classes[name][0].most_tokens
            if tokens > most:
                expected = f"a class of at least {tokens:g} tokens, the mean of input plus output"
                fix = "name a class of longer requests, or correct the means"
                reading.error(place.at("context_class"), expected, f"{quoted(name)} with up to {most}", fix)
        if not reading.refer(place.at("model"), Model, "a model", workload.model, parts.models):
            continue
        profiles = [p for p in parts.models[workload.model][0].profiles if p.machine_type in considered]
        if reading.any_broken(Pool, MachineType) or not considered:
            continue
        if not profiles:
            expected = f"a model with a profile on a machine type of the study: {listed(considered)}"
            fix = "add a profile to the model, or pools with the machine types that it has profiles for"
            reading.error(place.at("model"), expected, quoted(workload.model), fix)
        elif name in classes and not any(
            point.context_class == name for profile in profiles for point in profile.classes
        ):
            admitted = {point.context_class for profile in profiles for point in profile.classes}
            expected = f"a class that a profile of {unquoted(workload.model)} in the study's pools admits"
            reading.error(place.at("context_class"), expected, quoted(name), f"write one of: {listed(admitted)}")


def _check_demand(parts: Parts, reading: Reading) -> None:
    """Demand and costs name what the study has; there is some demand."""
    workloads = {workload.name for workload, _ in parts.workloads}
    origins = {origin.name for origin, _ in parts.origins}
    for row, place in parts.demand:
        reading.refer(place.at("workload"), Workload, "a workload of the study", row.workload, workloads)
        reading.refer(place.at("origin"), Origin, "an origin of the study", row.origin, origins)
    for cost, place in parts.request_costs:
        reading.refer(place.at("origin"), Origin, "an origin of the study", cost.origin, origins)
        reading.refer(place.at("site"), Site, "the id of a site (provider/site)", cost.site, parts.sites)
    if reading.any_broken(Demand):
        return
    if sum(row.requests_per_second for row, _ in parts.demand) <= 0:
        fix = "write at least one row with requests_per_second above 0"
        return reading.error(parts.place.at("demand"), "some demand", "none: all rows add up to 0", fix)
    wanted = {row.workload for row, _ in parts.demand}
    for workload, place in parts.workloads:
        if workload.name not in wanted:
            fix = f"add rows to {unquoted(parts.file.demand)}, or remove the workload"
            reading.warning(place.at("name"), "rows of demand", f"none for {quoted(workload.name)}", fix)
    return None


def component_names(parts: Parts) -> dict[str, set[str]]:
    """Names of the components by kind, as in the dependency graph: built in, and the study's own."""
    names: dict[str, set[str]] = {kind: set() for kind in (*BUILT_IN, "workload", "origin", "placement")}
    pools = parts.considered_pools
    names["pool"] = set(pools)
    for site in (parts.sites[pool.site][0] for pool in pools.values() if pool.site in parts.sites):
        names["site"].add(site.id)
        names["region"].add(site.region_id)
        names["provider"].add(site.provider)
    for model, _ in parts.used_models.values():
        last = parts.file.horizon.last_day
        qualified = {q.stack for q in model.qualifications if q.until is None or q.until >= last}
        for profile in (profile for profile in model.profiles if profile.stack in qualified):
            if any(pool.machine_type == profile.machine_type for pool in pools.values()):
                stack, version = stack_and_version(profile.stack)
                names["stack"].add(stack)
                names["stack_version"].update([profile.stack] if version else [])
                names["qualification"].add(f"{model.model}/{profile.stack}")
    names["placement"] = set(placed(parts))
    names["workload"] = {workload.name for workload, _ in parts.workloads}
    names["origin"] = {origin.name for origin, _ in parts.origins}
    for component, _ in parts.components:
        if component.kind not in BUILT_IN:
            names.setdefault(component.kind, set()).add(component.name)
    return names


def placed(parts: Parts) -> dict[str, tuple[Model, Profile, str]]:
    """Placement -> its model, profile and the id of its pool: same machine type, and the stack qualified."""
    found = {}
    for model, _ in parts.used_models.values():
        last = parts.file.horizon.last_day
        qualified = {q.stack for q in model.qualifications if q.until is None or q.until >= last}
        for profile in (profile for profile in model.profiles if profile.stack in qualified):
            for id, pool in parts.considered_pools.items():
                if pool.machine_type == profile.machine_type:
                    found[placement_id(profile_id(model.model, profile.name), id)] = (model, profile, id)
    return found


def _check_component(id: str, components: Mapping[str, set[str]], where: str, reading: Reading) -> None:
    """A component id leads to a component."""
    kind, name = kind_and_name(id)
    if name in components.get(kind, ()):
        return
    doubtful = {"workload": (Workload,), "origin": (Origin,)}.get(kind, (Pool, Site, MachineType, Model, Component))
    if reading.any_broken(*doubtful):
        return
    every = {f"{kind}:{name}" for kind, names in components.items() for name in names if kind != "placement"}
    alike = {f"{kind}:{other}" for other in components.get(kind, ()) if kind != "placement"}
    fix = f"write one of: {listed(alike)}" if alike else f"write kind:name; the kinds are {listed(components, 20)}"
    got = quoted(id) + (near_miss(id, alike) or near_miss(id, every))
    reading.error(where, "the id of a component (kind:name)", got, fix)


def _check_failover(parts: Parts, reading: Reading) -> None:
    """Gateways that only rescale shed what they must, not what costs least."""
    if parts.file.failover == "rescale" and parts.file.objective != "cost":
        fix = "leave out objective, or choose failover: resolve"
        reading.error(parts.place.at("objective"), "cost, with failover: rescale", parts.file.objective, fix)
    for tier, place in parts.tiers:
        if parts.file.failover == "rescale" and tier.deferrable_hours:
            fix = "leave deferrable_hours out, or choose failover: resolve: fixed weights cannot wait for the night"
            reading.error(place.at("deferrable_hours"), "0, with failover: rescale", f"{tier.deferrable_hours:g}", fix)


def _check_goals(parts: Parts, components: Mapping[str, set[str]], reading: Reading) -> None:
    """Survival goals name what can fail, and leave time to detect it."""
    failures = {failure.name for failure, _ in parts.failures}
    kinds = {*BUILT_IN, *(component.kind for component, _ in parts.components)}
    detection = parts.file.detection_seconds
    for tier, place in parts.tiers:
        for i, goal in enumerate(tier.survive):
            at = place.within("survive", i)
            if goal.serve_fraction > 0 and goal.within_seconds <= detection:
                expected = f"more than {detection:g} s, the study's detection_seconds"
                fix = "no traffic is moved before a failure is detected: allow more time, or detect it sooner"
                reading.error(at.at("within_seconds"), expected, f"{goal.within_seconds:g}", fix)
            if goal.failure is not None:
                what = "a failure named in the study"
                reading.refer(at.at("failure"), NamedFailure, what, goal.failure, failures)
            elif goal.any in kinds:
                _check_goal(goal, at, components.get(goal.any, set()), reading)
            elif not reading.any_broken(Component):
                reading.refer(at.at("any"), Component, "a kind of component", goal.any or "", kinds)
            for id in goal.in_maintenance:
                _check_component(id, components, at.at("in_maintenance", id), reading)


def _check_failures(parts: Parts, reading: Reading) -> None:
    """A named failure takes something, and somebody asks for it: a goal, or what an outage costs."""
    asked = {goal.failure for tier, _ in parts.tiers for goal in tier.survive}
    cold = any(w.cached_fraction_in_failure is not None for w, _ in parts.workloads)
    rates = [(f.failures_per_year, f.hours_to_repair) for f, _ in parts.failures]
    rates += [(c.failures_per_year, c.hours_to_repair) for c, _ in parts.components]
    hours = sum((often or 0.0) * (lasts or 0.0) for often, lasts in rates)
    year = parts.file.hours_per_month * MONTHS_PER_YEAR
    if parts.file.objective in ("expected", "cvar") and hours > year:
        fix = "correct failures_per_year and hours_to_repair: this much is no failure but normal operation"
        expected = f"failures that take less than a year, {year:,.0f} h, together"
        reading.error(parts.place.at("failures"), expected, f"{hours:,.0f} h", fix)
    for f, place in parts.failures:
        taken = any(f.lost.values()) or any(f.in_maintenance.values())
        if not (taken or f.surges or f.surge_factor != 1 or cold):
            fix = "name what is lost, and its share; as it is, nothing happens in this failure"
            reading.warning(place.at("lost"), "a component with a share above 0, or a surge", "nothing lost", fix)
        if f.name not in asked and f.failures_per_year is None and not reading.any_broken(Tier):
            fix = "name it in a goal (`failure:`), or give its rate for `planner risk`; as it is, no plan is held to it"
            reading.warning(place.at("name"), "a goal for the failure", f"none for {quoted(f.name)}", fix)


def _check_goal(goal: Goal, at: Place, names: set[str], reading: Reading) -> None:
    """A goal by kind: what it leaves out exists, and something is left."""
    if goal.any in BUILT_IN and (reading.any_broken(Pool, Site, MachineType, Model) or not names):
        return  # reported where the cause is
    excluded = {name.removeprefix(f"{goal.any}:") for name in goal.except_}
    for j, name in enumerate(goal.except_):
        what = f"the name of a {unquoted(goal.any)}"
        reading.refer(at.at("except", j), Component, what, name.removeprefix(f"{goal.any}:"), names)
    if len(names - excluded) < goal.of:
        got = f"{len(names - excluded)} of kind {quoted(goal.any)}"
        expected = f"at least {goal.of} that can be lost together"
        reading.error(at.at("of"), expected, got, "lower `of`, or remove the goal")


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


def _check_components(parts: Parts, components: Mapping[str, set[str]], reading: Reading) -> None:
    """Failures, dependencies and shares name components that exist."""
    for failure, place in parts.failures:
        for id in failure.lost:
            _check_component(id, components, place.at("lost", id), reading)
        for id in failure.in_maintenance:
            _check_component(id, components, place.at("in_maintenance", id), reading)
        for id in failure.surges:
            doors = {kind: components[kind] for kind in ("workload", "origin")}
            _check_component(id, doors, place.at("surges", id), reading)
    for dependency, place in parts.dependencies:
        _check_component(dependency.component, components, place.at("component"), reading)
        kind = kind_and_name(dependency.component)[0]
        if dependency.breaks == "new_logins" and kind not in ("workload", "origin"):
            fix = "say which workloads or origins need the login"
            reading.error(place.at("component"), "a workload or an origin", quoted(dependency.component), fix)
        if dependency.breaks == "starting" and kind in ("workload", "origin"):
            fix = "say which site, stack, pool or placement cannot start replicas without it"
            reading.error(place.at("component"), "where replicas start", quoted(dependency.component), fix)
        for part, loc in _within(dependency.needs, ("needs",)):
            if isinstance(part, str):
                _check_component(part, components, place.at(*loc), reading)
            elif part.at_least is not None and part.of is not None and part.at_least > len(part.of):
                fix = "lower at_least, or add parts; as it is, this can never be met"
                reading.error(place.at(*loc, "at_least"), f"at most {len(part.of)}", str(part.at_least), fix)
    kinds = {*BUILT_IN, *(component.kind for component, _ in parts.components)}
    for i, counted in enumerate(parts.file.policies.counted):
        at = parts.place.within("policies", "counted", i)
        if counted.any is not None and not reading.any_broken(Component):
            reading.refer(at.at("any"), Component, "a kind of component", counted.any, kinds)
        for j, pattern in enumerate(counted.offers):
            if not any(fnmatchcase(id, pattern) for id in parts.offers) and not reading.any_broken(Offer):
                got = f"{quoted(pattern)}, which matches none{near_miss(pattern, parts.offers)}"
                reading.error(
                    at.at("offers", j), "an offer, or a pattern", got, "ids are pool:offer; * matches anything"
                )
    for component, place in parts.components:
        if component.kind in BUILT_IN:
            _check_component(f"{component.kind}:{component.name}", components, place.at("name"), reading)
    for i, share in enumerate(parts.file.policies.shares):
        where = parts.place.at("policies", "shares", i, "component")
        _check_component(share.component, {kind: components[kind] for kind in BUILT_IN}, where, reading)


def _needs(parts: Parts, components: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """Component -> what it needs, by the built-in dependencies and those of the study."""
    needs: dict[str, set[str]] = {}
    for id, pool in parts.considered_pools.items():
        if pool.site in parts.sites:
            site = parts.sites[pool.site][0]
            needs[f"pool:{id}"] = {f"site:{site.id}"}
            needs[f"site:{site.id}"] = {f"region:{site.region_id}"}
            needs[f"region:{site.region_id}"] = {f"provider:{site.provider}"}
    for placement, (_, profile, at) in placed(parts).items():
        stack, _ = stack_and_version(profile.stack)
        needs[f"placement:{placement}"] = {f"pool:{at}", f"stack:{stack}"}
    for dependency, _ in parts.dependencies:
        needs.setdefault(dependency.component, set()).update(
            part for part, _ in _within(dependency.needs, ()) if isinstance(part, str)
        )
    return needs


def _check_needed(parts: Parts, needs: dict[str, set[str]], names: Mapping[str, set[str]], reading: Reading) -> None:
    """Each of the study's own components is needed by something that serves, asks, or stands in the inventory."""
    named = {part for dependency, _ in parts.dependencies for part in needs[dependency.component]}
    # a name that leads nowhere is told where it stands
    every = {f"{kind}:{name}" for kind, all_of in names.items() for name in all_of}
    unknown = bool(named - every) or reading.any_broken(Dependency)
    waiting = [id for id in needs if kind_and_name(id)[0] in (*BUILT_IN, "workload", "origin", "placement")]
    reached = set(waiting)
    while waiting:
        more = needs.get(waiting.pop(), set()) - reached
        reached |= more
        waiting += more
    for component, place in parts.components:
        id = f"{component.kind}:{component.name}"
        if id not in reached and component.kind not in BUILT_IN and not unknown:
            fix = "add a dependency that names it, or remove it; as it is, its loss or its limit changes nothing"
            reading.warning(place.at("name"), f"something that needs {unquoted(id)}", "nothing", fix)


def _check_cycles(parts: Parts, needs: Mapping[str, set[str]], reading: Reading) -> None:
    """Nothing needs itself."""
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        cycle = list(reversed(error.args[1]))
        where = next(place.at("needs") for dependency, place in parts.dependencies if dependency.component in cycle)
        way = " needs ".join(unquoted(id) for id in cycle)
        fix = "remove one of these dependencies; pool needs site needs region needs provider is built in"
        reading.error(where, "dependencies without a circle", way, fix)
