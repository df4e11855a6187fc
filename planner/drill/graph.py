"""What needs what: available fractions of every component, for many failures at once."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import networkx as nx
import numpy as np

from planner.drill.instance import Instance, Numbers, last_day
from planner.drill.needs import Part, available, leaves
from planner.drill.request_limits import Passed, check_met_once, passed_by_component
from planner.errors import Finding, InputError
from planner.study.records.study import Needs, kind_and_name, stack_and_version


@dataclass(frozen=True)
class Graph:
    """Needs of components: to serve, for new logins, to start replicas, to push weights.

    Parameters
    ----------
    order : every component, each after all that it needs
    stands_in : control plane -> region or provider, without any of which it is gone
    logins : component -> (needs, fraction of sessions that go on without them)
    limits : component -> most requests/s that it passes when nothing of it is lost
    passed : component -> what the requests pass that need it
    serving : edges from what serves to what needs it for that, whether alone or as one of several
    ingresses : components with a limit that no machines need: lost in part, they let less through
    """

    order: tuple[str, ...]
    needs: Mapping[str, Sequence[Part]]
    logins: Mapping[str, Sequence[tuple[Needs, float]]]
    starting: Mapping[str, Sequence[Needs]]
    pushing: Mapping[str, Sequence[Needs]]
    stands_in: Mapping[str, str]
    limits: Mapping[str, float]
    passed: Mapping[str, Passed]
    serving: nx.DiGraph
    ingresses: frozenset[str]
    hours_to_repair: dict[str, float]

    def of_kind(self, kind: str) -> list[str]:
        """Components of a kind, sorted."""
        return sorted(c for c in self.order if kind_and_name(c)[0] == kind)

    def values(self, out: Mapping[str, Numbers], count: int) -> dict[str, Numbers]:
        """Available fraction of every component [f]: its own share, and never more than what it needs has.

        Parameters
        ----------
        out : component -> share that is lost or in maintenance [f]
        count : number of failures
        """
        value: dict[str, Numbers] = {}
        one = np.ones(count)
        for component in self.order:
            fraction = one - np.minimum(out[component], 1.0) if component in out else one
            for part in self.needs.get(component, ()):
                fraction = np.minimum(fraction, available(part, value, one))
            for part, goes_on in self.logins.get(component, ()):
                fraction = np.minimum(fraction, goes_on + (1.0 - goes_on) * available(part, value, one))
            if component in self.stands_in:
                fraction = np.where(value[self.stands_in[component]] > 0.0, fraction, 0.0)
            value[component] = fraction
        return value

    def may_start(self, value: Mapping[str, Numbers], count: int) -> dict[str, Numbers]:
        """1 where replicas of what contains or needs a component may start, else 0 [f]."""
        one = np.ones(count)
        allowed: dict[str, Numbers] = defaultdict(lambda: one)
        for component, needs in self.starting.items():
            free = one
            for need in needs:
                free = np.where(available(need, value, one) < 1.0, 0.0, free)
            if free.all():
                continue
            for behind in (component, *nx.descendants(self.serving, component)):
                allowed[behind] = np.minimum(allowed[behind], free)
        return allowed


def build_graph(instance: Instance) -> Graph:
    """The dependency graph of a study.

    Raises
    ------
    InputError
        when a component needs itself, or needs what does not exist, or requests pass limits in a way that is not judged
    """
    study = instance.study
    needs = _built_in(instance)
    logins: dict[str, list[tuple[Needs, float]]] = defaultdict(list)
    starting, stands_in = _control_planes(instance, needs)
    pushing: dict[str, list[Needs]] = defaultdict(list)
    for workload in study.workloads:
        needs.setdefault(f"workload:{workload.name}", [])
    for origin in study.origins:
        needs.setdefault(f"origin:{origin.name}", [])
    limits, repair = {}, {}
    for own in study.components:
        id = f"{own.kind}:{own.name}"
        needs.setdefault(id, [])
        if own.most_requests_per_second is not None:
            limits[id] = own.most_requests_per_second
        if own.hours_to_repair is not None:
            repair[id] = own.hours_to_repair
    known, named = set(needs), set[str]()
    for dependency in study.dependencies:
        named |= {dependency.component, *leaves(dependency.needs)}
        if dependency.breaks == "new_logins":
            logins[dependency.component].append((dependency.needs, dependency.sessions_go_on_fraction or 0.0))
        elif dependency.breaks == "starting":
            starting[dependency.component].append(dependency.needs)
        elif dependency.breaks == "pushing":
            pushing[dependency.component].append(dependency.needs)
        else:
            needs[dependency.component].append(dependency.needs)
    if unknown := sorted(named - known):
        fix = "name a component of the study (kind:name)"
        raise InputError([Finding("dependencies", "a component that exists", name, fix) for name in unknown])

    serving = nx.DiGraph({component: [] for component in sorted(known)})
    for component, parts in needs.items():
        serving.add_edges_from((leaf, component) for part in parts for leaf in leaves(part))
    all_needs = nx.DiGraph(serving)
    all_needs.add_edges_from((place, plane) for plane, place in stands_in.items())
    # what starting or pushing needs may need the component itself: what runs goes on without
    for dependency in (one for one in study.dependencies if one.breaks in ("serving", "new_logins")):
        all_needs.add_edges_from((leaf, dependency.component) for leaf in leaves(dependency.needs))
    try:
        order = tuple(nx.topological_sort(all_needs))
    except nx.NetworkXUnfeasible:
        in_cycle = nx.find_cycle(all_needs)[0][0]
        got = f"{in_cycle} that needs itself"
        raise InputError([Finding("dependencies", "no cycle", got, "break the cycle")]) from None
    passed = passed_by_component(order, needs, logins, limits)
    check_met_once(instance, passed, limits)
    machines = {c for c in known if kind_and_name(c)[0] in ("pool", "placement")}
    ingresses = frozenset(c for c in limits if machines.isdisjoint({c, *nx.descendants(serving, c)}))
    return Graph(order, needs, logins, starting, pushing, stands_in, limits, passed, serving, ingresses, repair)


def _control_planes(
    instance: Instance, needs: defaultdict[str, list[Part]]
) -> tuple[defaultdict[str, list[Needs]], dict[str, str]]:
    """Region -> the control planes without which no replica is started there: its own and its provider's.

    And control plane -> the region or provider that it stands in. They become components in `needs`. They may need what
    runs in a region themselves: that is no cycle, as what runs goes on without them.
    """
    starting: defaultdict[str, list[Needs]] = defaultdict(list)
    stands_in: dict[str, str] = {}
    site_of = {site.id: site for site in instance.study.sites}
    for site in (site_of[pool.site] for pool in instance.study.pools):
        planes = f"control_plane:{site.region_id}", f"control_plane:{site.provider}"
        starting[f"region:{site.region_id}"] = [Needs(all_of=planes)]
        needs[planes[0]] = [planes[1]]  # a provider's stands for those of all its regions
        needs[planes[1]] = []
        stands_in |= {planes[0]: f"region:{site.region_id}", planes[1]: f"provider:{site.provider}"}
    return starting, stands_in


def _built_in(instance: Instance) -> defaultdict[str, list[Part]]:
    """What pools, their sites and placements need by what they are."""
    study = instance.study
    needs: defaultdict[str, list[Part]] = defaultdict(list)
    site_of = {site.id: site for site in study.sites}
    for pool in study.pools:
        site = site_of[pool.site]
        needs[f"pool:{pool.id}"] = [f"site:{site.id}"]
        above = f"region:{site.region_id}"
        if site.site != site.region:  # the site is a zone
            needs[f"zone:{site.id}"] = [above]
            above = f"zone:{site.id}"
        needs[f"site:{site.id}"] = [above]
        needs[f"region:{site.region_id}"] = [f"provider:{site.provider}"]
        needs[f"provider:{site.provider}"] = []
    horizon_days = (last_day(study) - study.horizon.start).days + 1
    for offer in study.offers:
        if offer.most_days is not None and offer.length_days is None and horizon_days > offer.most_days:
            needs[f"renewal:{offer.id}"] = []
    for name, e in instance.placements.items():
        model, profile = instance.made_of[e]
        base, version = stack_and_version(profile.stack)
        of_stack = f"stack_version:{profile.stack}" if version else f"stack:{base}"
        qualification = f"qualification:{model.model}/{profile.stack}"
        needs[f"placement:{name}"] = [f"pool:{study.pools[instance.pool_of[e]].id}", of_stack, qualification]
        needs[qualification] = []
        needs[f"stack:{base}"] = []
        if version:
            needs[of_stack] = [f"stack:{base}"]
    return needs
