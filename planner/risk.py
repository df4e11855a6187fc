"""The dependency graph and the failures that the survival goals expand to.

Provider ⊃ region ⊃ site ⊃ pool, and placement = pool and stack, are built in; a study adds components and dependencies.
"""

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import networkx as nx

from planner.records.study import Goal, Needs, Study

NORMAL = "normal"
"""Id of the failure in which nothing is lost."""


@dataclass(frozen=True)
class Failure:
    """A set of components lost together.

    Parameters
    ----------
    id : component ids joined by ` + `, or `failure:NAME`
    lost : component id -> share lost (0 to 1)
    surge_factor : factor on all demand while it lasts
    """

    id: str
    lost: Mapping[str, float] = field(default_factory=dict)
    surge_factor: float = 1.0


def profile_id(model: str, profile: str) -> str:
    """`model/profile`."""
    return f"{model}/{profile}"


def placement_id(model: str, profile: str, pool: str) -> str:
    """`model/profile@pool`."""
    return f"{profile_id(model, profile)}@{pool}"


def placements(study: Study) -> dict[str, tuple[int, int, int]]:
    """Placement id -> indices of (model, profile, pool): same machine type, and the stack qualified for the model.

    A qualification that ends inside the horizon does not count, as a holding that ends there.
    """
    found = {}
    for m, model in enumerate(study.models):
        qualified = {q.stack for q in model.qualifications if q.until is None or q.until >= study.horizon.last_day}
        for p, profile in enumerate(model.profiles):
            for q, pool in enumerate(study.pools):
                if profile.machine_type == pool.machine_type and profile.stack in qualified:
                    found[placement_id(model.model, profile.name, pool.id)] = (m, p, q)
    return found


def dependency_graph(study: Study) -> nx.DiGraph:
    """Component -> what it needs. Node attribute `needs`: list of `Needs`, all of which must hold.

    Raises
    ------
    ValueError
        when the dependencies form a cycle; `read` finds that first and says where.
    """
    graph = nx.DiGraph()
    needs: dict[str, list[Needs]] = {}

    def add(component: str, need: Needs) -> None:
        needs.setdefault(component, []).append(need)

    for own in study.components:
        needs.setdefault(f"{own.kind}:{own.name}", [])
    for workload in study.workloads:
        needs.setdefault(f"workload:{workload.name}", [])
    for origin in study.origins:
        needs.setdefault(f"origin:{origin.name}", [])
    site_of = {site.id: site for site in study.sites}
    for pool in study.pools:
        site = site_of[pool.site]
        add(f"pool:{pool.id}", Needs(all_of=(f"site:{site.id}",)))
    for site_id in sorted({pool.site for pool in study.pools}):
        add(f"site:{site_id}", Needs(all_of=(f"region:{site_of[site_id].region_id}",)))
    for region_id, provider in sorted({(site_of[p.site].region_id, site_of[p.site].provider) for p in study.pools}):
        add(f"region:{region_id}", Needs(all_of=(f"provider:{provider}",)))
        needs.setdefault(f"provider:{provider}", [])
    for placement, (m, p, q) in placements(study).items():
        stack = f"stack:{study.models[m].profiles[p].stack}"
        needs.setdefault(stack, [])
        add(f"placement:{placement}", Needs(all_of=(f"pool:{study.pools[q].id}", stack)))
    for dependency in study.dependencies:
        add(dependency.component, dependency.needs)
    for component, parts in needs.items():
        graph.add_node(component, needs=parts)
        graph.add_edges_from((component, leaf) for part in parts for leaf in leaves(part))
    for node in graph:
        graph.nodes[node].setdefault("needs", [])
    if not nx.is_directed_acyclic_graph(graph):
        raise ValueError(f"dependencies form a cycle: {nx.find_cycle(graph)}")
    return graph


def leaves(needs: Needs) -> Iterable[str]:
    """Component ids that a `Needs` names, at any depth."""
    for part in needs.all_of or needs.any_of or needs.of or ():
        yield from [part] if isinstance(part, str) else leaves(part)


def availability(graph: nx.DiGraph, lost: Mapping[str, float]) -> dict[str, float]:
    """Available fraction of every component when `lost` (component -> share) is lost.

    `all_of` is the minimum, `any_of` the maximum, `at_least k` the k-th largest; a component is never more available
    than anything it needs, and never more than what is left of itself.
    """
    value: dict[str, float] = {}

    def of(part: str | Needs) -> float:
        if isinstance(part, str):
            return value[part]
        if part.all_of is not None:
            return min(map(of, part.all_of), default=1.0)
        if part.any_of is not None:
            return max(map(of, part.any_of), default=0.0)
        assert part.of is not None and part.at_least is not None
        best = sorted(map(of, part.of), reverse=True)
        return best[part.at_least - 1] if part.at_least <= len(best) else 0.0

    for node in reversed(list(nx.topological_sort(graph))):
        own = 1.0 - lost.get(node, 0.0)
        value[node] = min([own, *(of(part) for part in graph.nodes[node]["needs"])])
    return value


def components_of(graph: nx.DiGraph, kind: str) -> list[str]:
    """Component ids of one kind, sorted."""
    return sorted(node for node in graph if node.partition(":")[0] == kind)


def expand(goal: Goal, study: Study, graph: nx.DiGraph) -> list[Failure]:
    """The failures that a goal means: a named one, or each combination of `of` components of a kind."""
    if goal.failure is not None:
        named = next(f for f in study.failures if f.name == goal.failure)
        return [Failure(f"failure:{named.name}", dict(named.lost), named.surge_factor)]
    assert goal.any is not None
    left_out = {f"{goal.any}:{name.removeprefix(goal.any + ':')}" for name in goal.except_}
    parts = [c for c in components_of(graph, goal.any) if c not in left_out]
    return [
        Failure(" + ".join(combination), dict.fromkeys(combination, 1.0))
        for combination in itertools.combinations(parts, goal.of)
    ]
