"""The dependency graph and the failures that the survival goals expand to.

Provider ⊃ region ⊃ zone ⊃ site ⊃ pool (a zone where the site is one) and placement = pool, stack (with its version) and
qualification are built in, and the control planes of regions and providers, without which no replica is started there,
and renewals of contracts that are chained, without which their machines are gone; a study adds components and
dependencies.

Where something that pushing needs is lost, gateways keep the weights that they have: see `failover_in`.
"""

import itertools
import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import networkx as nx

from planner.study.feeding import feed_seconds
from planner.study.loading import load_seconds
from planner.study.records.study import Failover, Goal, Needs, Study, kind_and_name, stack_and_version
from planner.study.renewals import is_renewed
from planner.units import SECONDS_PER_HOUR

Graph: TypeAlias = nx.DiGraph
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
    surges : workload:NAME or origin:NAME -> further factor on its demand
    targeted : placement on whose machines all of a pool's partial loss falls; None: on all in proportion
    failures_per_year, hours_to_repair : how often and how long, where known
    of : id of the failure as it happens, where this is one of those that differ only in `targeted`
    failover : how gateways fail over in it, where the failure says; None: as the study says
    outage : id of the failure of which this is a stage, where parts of it work again before others; None: it has one
    begins_seconds, ends_seconds : when the stage begins and ends, since the outage began; None: when all is repaired
    startable_seconds : placement -> from when on since the outage began replicas can be started, where that is later
    obtainable_seconds : pool -> the same of machines that are to be obtained
    answers_wrongly : whether what is lost answered wrongly until it was found out, when the failure begins
    hours_to_find_out : how long it did so, where known
    """

    id: str
    lost: Mapping[str, float] = field(default_factory=dict)
    surge_factor: float = 1.0
    surges: Mapping[str, float] = field(default_factory=dict)
    targeted: str | None = None
    failures_per_year: float | None = None
    hours_to_repair: float | None = None
    of: str | None = None
    failover: Failover | None = None
    outage: str | None = None
    begins_seconds: float = 0.0
    ends_seconds: float | None = None
    startable_seconds: Mapping[str, float] = field(default_factory=dict)
    obtainable_seconds: Mapping[str, float] = field(default_factory=dict)
    answers_wrongly: bool = False
    hours_to_find_out: float | None = None


def profile_id(model: str, profile: str) -> str:
    """`model/profile`."""
    return f"{model}/{profile}"


def placement_id(profile: str, pool: str) -> str:
    """`model/profile@pool`, of the ids of a profile and of a pool. Ids are made, never parsed: names hold any sign."""
    return f"{profile}@{pool}"


def placements(study: Study) -> dict[str, tuple[int, int, int]]:
    """Placement id -> indices of (model, profile, pool): same machine type, and the stack qualified for the model.

    A qualification that ends inside the horizon does not count, as a holding that ends there.
    """
    indices = {}
    for m, model in enumerate(study.models):
        qualified = model.qualified_stacks(study.horizon.last_day)
        for p, profile in enumerate(model.profiles):
            for q, pool in enumerate(study.pools):
                if profile.machine_type == pool.machine_type and profile.stack in qualified:
                    indices[placement_id(profile_id(model.model, profile.name), pool.id)] = (m, p, q)
    return indices


def dependency_graph(study: Study) -> Graph:
    """Component -> what it needs. Node attributes:

    - `needs`: list of `Needs`, all of which must hold for it to serve;
    - `logins`: list of (`Needs`, share of sessions that go on without);
    - `starting`: list of `Needs` without which no replica is started there, while those that run live;
    - `pushing`: list of `Needs` without which its gateways get no new weights, while those in force go on;
    - `within`: what it stands in, without any of which it is lost: of a control plane its region or provider; or None.

    Edges lead to what a component needs to serve, or stands in. What starting or pushing needs may need the component:
    what runs goes on. `graph.graph["order"]` has every component after all of that: sorted once, every failure uses it.

    Raises
    ------
    ValueError
        when the dependencies form a cycle; `read` finds that first and says where.
    """
    graph = nx.DiGraph()

    def node(component: str) -> dict[str, Any]:
        """The attributes of a component, which becomes a node where it is none."""
        if component not in graph:
            graph.add_node(component, needs=[], logins=[], starting=[], pushing=[], within=None)
        attributes: dict[str, Any] = graph.nodes[component]
        return attributes

    def need(component: str, *all_of: str) -> None:
        node(component)["needs"].append(Needs(all_of=all_of))

    for own in study.components:
        node(own.id)
    for workload in study.workloads:
        node(f"workload:{workload.name}")
    for origin in study.origins:
        node(f"origin:{origin.name}")
    for pool in study.pools:
        need(f"pool:{pool.id}", f"site:{pool.site}")
    sites = [study.site_by_id[id] for id in sorted({pool.site for pool in study.pools})]
    for site in sites:
        if site.is_zone:
            need(f"site:{site.id}", f"zone:{site.id}")
            need(f"zone:{site.id}", f"region:{site.region_id}")
        else:
            need(f"site:{site.id}", f"region:{site.region_id}")
    for region_id, provider in sorted({(site.region_id, site.provider) for site in sites}):
        need(f"region:{region_id}", f"provider:{provider}")
        node(f"provider:{provider}")
        planes = control_planes(region_id, provider)
        node(f"region:{region_id}")["starting"].append(Needs(all_of=planes))
        need(planes[0], planes[1])  # a provider's stands for those of all its regions
        node(planes[0])["within"] = f"region:{region_id}"
        node(planes[1])["within"] = f"provider:{provider}"
    for offer in study.offers:
        if is_renewed(study.horizon, offer):
            node(f"renewal:{offer.id}")
    for placement, (m, p, q) in placements(study).items():
        named = study.models[m].profiles[p].stack
        stack, version = stack_and_version(named)
        parts = [f"pool:{study.pools[q].id}", f"stack:{stack}", f"qualification:{study.models[m].model}/{named}"]
        if version:
            parts.append(f"stack_version:{named}")
            if parts[-1] not in graph:
                need(parts[-1], f"stack:{stack}")
        need(f"placement:{placement}", *parts)
    for dependency in study.dependencies:
        attributes = node(dependency.component)
        if dependency.breaks == "new_logins":
            attributes["logins"].append((dependency.needs, dependency.sessions_go_on_fraction or 0.0))
        else:
            attributes["needs" if dependency.breaks == "serving" else dependency.breaks].append(dependency.needs)
    for component, attributes in list(graph.nodes(data=True)):
        logins = [part for part, _ in attributes["logins"]]
        for part in (*attributes["needs"], *logins, *attributes["starting"], *attributes["pushing"]):
            for leaf in leaves(part):
                node(leaf)
        for part in (*attributes["needs"], *logins):
            graph.add_edges_from((component, leaf) for leaf in leaves(part))
        if attributes["within"] is not None:
            graph.add_edge(component, attributes["within"])
    if not nx.is_directed_acyclic_graph(graph):
        raise ValueError(f"dependencies form a cycle: {nx.find_cycle(graph)}")
    graph.graph["order"] = tuple(reversed(list(nx.topological_sort(graph))))
    return graph


def leaves(needs: Needs) -> Iterable[str]:
    """Component ids that a `Needs` names, at any depth."""
    for part in needs.all_of or needs.any_of or needs.of or ():
        yield from [part] if isinstance(part, str) else leaves(part)


def availability(graph: Graph, lost: Mapping[str, float]) -> dict[str, float]:
    """Available fraction of every component when `lost` (component -> share) is lost.

    `all_of` is the minimum, `any_of` the maximum, `at_least k` the k-th largest; a component is never more available
    than anything it needs, and never more than what is left of itself; where what it stands in is gone, it is, too.
    """
    value: dict[str, float] = {}
    for node in graph.graph["order"]:
        own = 1.0 - lost.get(node, 0.0)
        serving = (met(part, value) for part in graph.nodes[node]["needs"])
        logged_in = (goes_on + (1 - goes_on) * met(part, value) for part, goes_on in graph.nodes[node]["logins"])
        within = graph.nodes[node]["within"]
        stands = within is None or value[within] > 0
        value[node] = min([own, *serving, *logged_in]) if stands else 0.0
    return value


def met(part: str | Needs, value: Mapping[str, float]) -> float:
    """How far a need is met by the available fractions of components (0 to 1)."""
    if isinstance(part, str):
        return value[part]
    if part.all_of is not None:
        return min((met(inner, value) for inner in part.all_of), default=1.0)
    if part.any_of is not None:
        return max((met(inner, value) for inner in part.any_of), default=0.0)
    assert part.of is not None and part.at_least is not None
    best = sorted((met(inner, value) for inner in part.of), reverse=True)
    return best[part.at_least - 1] if part.at_least <= len(best) else 0.0


def cannot_start(graph: Graph, value: Mapping[str, float]) -> set[str]:
    """Components in which no replica can be started: a need for starting is not met whole, there or below."""
    stuck = {node for node, needs in graph.nodes(data="starting") if any(met(part, value) < 1 for part in needs)}
    for node in graph.graph["order"] if stuck else ():
        if stuck.intersection(leaf for part in graph.nodes[node]["needs"] for leaf in leaves(part)):
            stuck.add(node)
    return stuck


def without_new_weights(graph: Graph, value: Mapping[str, float], flows: Iterable[tuple[str, str]]) -> list[str]:
    """Workloads and origins of some flows (w, o) whose gateways get no new weights, by available fractions; sorted."""
    unmet = {c for c, needs in graph.nodes(data="pushing") if any(met(part, value) < 1 for part in needs)}
    if not unmet:
        return []
    return sorted(unmet & ({f"workload:{w}" for w, _ in flows} | {f"origin:{o}" for _, o in flows}))


def failover_in(failure: Failure, by_default: Failover, weightless: Collection[str]) -> Failover:
    """How gateways fail over in a failure.

    Parameters
    ----------
    by_default : what the study says
    weightless : workloads and origins whose gateways get no new weights in it, whatever anybody says
    """
    return "rescale" if weightless else failure.failover or by_default


def control_planes(region_id: str, provider: str) -> tuple[str, str]:
    """Components without which nothing is started in a region, and no machine is obtained there."""
    return f"control_plane:{region_id}", f"control_plane:{provider}"


def components_of(graph: Graph, kind: str) -> list[str]:
    """Component ids of one kind, sorted."""
    return sorted(node for node in graph if kind_and_name(node)[0] == kind)


def expand(goal: Goal, study: Study, graph: Graph) -> list[Failure]:
    """The failures that a goal means: a named one, or each combination of `of` components of a kind.

    Of one whose parts work again one after the other the stage in which the goal's deadline falls. How often they
    happen is known of failures as they are, not of those that fall into a goal's maintenance.
    """
    out = goal.while_out
    if goal.failure is not None:
        stages = stages_of(goal, study, graph)
        last = [stage for stage in stages if stage.begins_seconds <= goal.within_seconds][-1]
        return _on_each_placement(last, goal, study, graph)
    assert goal.any is not None
    excluded = {f"{goal.any}:{name.removeprefix(goal.any + ':')}" for name in goal.except_}
    parts = [c for c in components_of(graph, goal.any) if c not in excluded]
    rated = {component.id: component for component in study.components if not out}
    failures = []
    for combination in itertools.combinations(parts, goal.of):
        alone = rated.get(combination[0]) if len(combination) == 1 else None
        failures.append(
            Failure(
                " + ".join(combination) + out,
                _together(dict.fromkeys(combination, 1.0), goal.in_maintenance),
                surges=_with_retries(study),
                failures_per_year=None if alone is None else alone.failures_per_year,
                hours_to_repair=None if alone is None else alone.hours_to_repair,
            )
        )
    return failures


def stages_of(goal: Goal, study: Study, graph: Graph) -> list[Failure]:
    """The stages of a named failure, beside what the goal has in maintenance; one where all works again at once.

    A stage has lost what is not repaired by then; the first from which weights can be pushed again fails over as the
    study says. It counts from when what has just returned is loaded again, and from
    no earlier than the one before; until then what that one serves goes on, as what lives only grows.
    """
    named = next(f for f in study.failures if f.name == goal.failure)
    end = math.inf if named.hours_to_repair is None else named.hours_to_repair
    out, returns = goal.while_out, {c: hours if hours < end else math.inf for c, hours in named.repaired.items()}
    pushed = end if named.hours_to_new_weights is None else named.hours_to_new_weights
    again = {*returns.values(), pushed if pushed < end else math.inf} - {math.inf}
    stages: list[Failure] = []
    for hours in (0.0, *sorted(again)):
        remaining = {c: share for c, share in named.lost.items() if returns.get(c, math.inf) > hours}
        lost = _together(remaining, named.in_maintenance, goal.in_maintenance)
        stage = Failure(
            f"failure:{named.name}{f' after {hours:g} h' if hours else ''}{out}",
            lost,
            named.surge_factor,
            _with_retries(study, named.surges) if lost else dict(named.surges),
            None,
            None if out else named.failures_per_year,
            None if out else named.hours_to_repair,
            failover=named.failover if hours < pushed else None,
            answers_wrongly=named.answers_wrongly,
            hours_to_find_out=named.hours_to_find_out,
        )
        stages.append(_after(stages[-1], stage, hours * SECONDS_PER_HOUR, study, graph) if stages else stage)
    if len(stages) == 1:
        return stages
    ends = [*(stage.begins_seconds for stage in stages[1:]), None]
    return [
        replace(stage, outage=stages[0].id, ends_seconds=seconds) for stage, seconds in zip(stages, ends, strict=True)
    ]


def _after(before: Failure, stage: Failure, seconds: float, study: Study, graph: Graph) -> Failure:
    """The stage that follows another when parts of it work again, so many seconds since the outage began.

    It counts from when the longest load of what lives, or lives in a larger part, than before is over, and when storage
    has fed all of it that may return at once. Once weights can
    be pushed again, what nobody could start or obtain before begins: in all of them.
    """
    value, known = availability(graph, stage.lost), availability(graph, before.lost)
    stuck, were_stuck = cannot_start(graph, value), cannot_start(graph, known)
    pushed_again = failover_of(before, study, graph, known) == "rescale" != failover_of(stage, study, graph, value)
    placed, startable = placements(study), dict(before.startable_seconds)
    longest_seconds = feed_seconds(study, placed, known, value)
    for e, (m, p, _) in placed.items():
        node = f"placement:{e}"
        if value[node] > known[node]:
            longest_seconds = max(longest_seconds, load_seconds(study, study.models[m].profiles[p]))
        if value[node] > 0 and node not in stuck and (pushed_again or known[node] <= 0 or node in were_stuck):
            startable[e] = seconds
    obtainable = dict(before.obtainable_seconds)
    for pool in study.pools:
        node, site = f"pool:{pool.id}", study.site_by_id[pool.site]
        planes = control_planes(site.region_id, site.provider)
        may, might = (of[node] > 0 and all(of[c] >= 1 for c in planes) for of in (value, known))
        if may and (pushed_again or not might):
            obtainable[pool.id] = seconds
    begins = max(before.begins_seconds, seconds + longest_seconds)
    return replace(stage, begins_seconds=begins, startable_seconds=startable, obtainable_seconds=obtainable)


def failover_of(failure: Failure, study: Study, graph: Graph, value: Mapping[str, float]) -> Failover:
    """How gateways fail over in a failure, by available fractions of components in it."""
    asking = [row for row in study.demand if max(row.requests_per_second, row.high_requests_per_second or 0.0) > 0]
    flows = [(row.workload, row.origin) for row in asking]
    return failover_in(failure, study.failover, without_new_weights(graph, value, flows))


def _lasts(stage: Failure) -> bool:
    """Whether a stage lasts for any time before it is over, or all is repaired."""
    ends = math.inf if stage.ends_seconds is None else stage.ends_seconds
    return stage.begins_seconds < min(ends, (stage.hours_to_repair or math.inf) * SECONDS_PER_HOUR)


def _on_each_placement(failure: Failure, goal: Goal, study: Study, graph: Graph) -> list[Failure]:
    """The failure, or where its partial loss may fall on one placement of a pool, one for each on which it may."""
    named = next(f for f in study.failures if f.name == goal.failure)
    targets = _partly_lost(study, graph, failure.lost) if named.worst_part else []
    return [replace(failure, id=f"{failure.id} on {e}", targeted=e, of=failure.id) for e in targets] or [failure]


def rated(study: Study, graph: Graph) -> list[Failure]:
    """Named failures, in their stages, and single components with a known time to repair: what can be priced."""
    goals = [Goal(failure=f.name, within_seconds=1.0) for f in study.failures if f.hours_to_repair is not None]
    stages = [(stage, goal) for goal in goals for stage in stages_of(goal, study, graph)]
    named = [f for stage, goal in stages if _lasts(stage) for f in _on_each_placement(stage, goal, study, graph)]
    single = [
        Failure(
            c.id,
            {c.id: 1.0},
            surges=_with_retries(study),
            failures_per_year=c.failures_per_year,
            hours_to_repair=c.hours_to_repair,
        )
        for c in study.components
        if c.id in graph
    ]
    return [f for f in (*named, *single) if f.hours_to_repair is not None]


def _with_retries(study: Study, surges: Mapping[str, float] | None = None) -> dict[str, float]:
    """Surges of a failure in which something is lost: clients of some tiers send again what was not answered."""
    again = {tier.name: tier.retry_surge_fraction for tier in study.tiers if tier.retry_surge_fraction}
    made = dict(surges or {})
    for workload in study.workloads if again else ():
        if workload.tier in again:
            id = f"workload:{workload.name}"
            made[id] = made.get(id, 1.0) * (1.0 + again[workload.tier])
    return made


def _together(*losses: Mapping[str, float]) -> dict[str, float]:
    """Shares that are lost or out at the same time; of one component they add up."""
    lost: dict[str, float] = {}
    for shares in losses:
        for component, share in shares.items():
            lost[component] = min(1.0, lost.get(component, 0.0) + share)
    return lost


def _partly_lost(study: Study, graph: Graph, lost: Mapping[str, float]) -> list[str]:
    """Placements that live in pools which lose a part of their machines."""
    value = availability(graph, lost)
    partly = {pool for pool in components_of(graph, "pool") if 0 < value[pool] < 1}
    pool_of = {e: f"pool:{study.pools[q].id}" for e, (_, _, q) in placements(study).items()}
    return [e for e in sorted(pool_of) if value[f"placement:{e}"] > 0 and pool_of[e] in partly]
