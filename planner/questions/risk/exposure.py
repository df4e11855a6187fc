"""What breaks what, without a plan or on one: single points of failure, pairs, blast radius, expected loss.

A flow (workload, origin) is broken when what it needs is dead or no live placement may serve it: no capacity helps
then. Whether what still lives has the capacity is not asked here; that is what a plan and a drill prove.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from itertools import product

from planner.plan.decisions import uncoverable
from planner.problem.problem import Problem
from planner.questions.risk.cut_sets import FaultTrees, Flow, Levels, Members, fractions, is_named_failure
from planner.questions.risk.expected_loss import (
    Contribution,
    Expected,
    expected_loss,
    mean_demand,
    parts_of_horizon,
    rates,
    usd_per_hour,
)
from planner.study.dependencies import NORMAL, Failure, dependency_graph, placement_id
from planner.study.records.plan import PlanFile, Uncoverable
from planner.study.records.study import RunningReplicas, Study
from planner.units import ROUNDING

Running = Mapping[Flow, frozenset[str]]
"""(w, o) -> placements that run and may be sent to."""
Traffic = Mapping[tuple[str, str, str], float]
"""(w, o, e) -> requests/s in normal operation."""
Demand = Mapping[Flow, float]
"""(w, o) -> requests/s, mean over the horizon."""


@dataclass(frozen=True)
class BrokenFlow:
    """What the loss of a set of components breaks of a flow.

    Parameters
    ----------
    fraction : of the flow; below 1 where authenticated sessions go on
    """

    workload: str
    origin: str
    fraction: float
    requests_per_second: float
    usd_per_hour: float


@dataclass(frozen=True)
class CutSet:
    """A minimal cut set of at least one flow of a tier.

    Parameters
    ----------
    flows : those for which it is minimal
    innermost : no other set breaks the same because this one takes its members with it
    wider : of an innermost one, the sets that break the same because they take its members with them, as a region
        that takes a site
    """

    tier: str
    members: Members
    flows: tuple[BrokenFlow, ...]
    innermost: bool = True
    wider: tuple[Members, ...] = ()

    @property
    def requests_per_second(self) -> float:
        """Requests/s that nothing can serve any more."""
        return sum(flow.requests_per_second for flow in self.flows)

    @property
    def usd_per_hour(self) -> float:
        """At the tier's cost of a request that is not served."""
        return sum(flow.usd_per_hour for flow in self.flows)


@dataclass(frozen=True)
class Blast:
    """What the loss of one component does.

    Parameters
    ----------
    lost_requests_per_second : that nothing can serve any more
    moved_requests_per_second : on a plan or fleet, what it carries in normal operation that goes elsewhere; without
        one, all requests/s of flows that lose some placement: what may have to move, at most
    placements_lost_fraction : share of the placements that meet the limits in normal operation, flows
        weighted by requests/s
    innermost, wider : as of a cut set: components whose loss does just the same, because they take this one with them
    """

    component: str
    lost_requests_per_second: float
    lost_usd_per_hour: float
    moved_requests_per_second: float
    placements_lost_fraction: float
    tiers: tuple[str, ...]
    innermost: bool = True
    wider: tuple[str, ...] = ()


@dataclass(frozen=True)
class Gap:
    """A flow that cannot be served in full when a component or failure is there, and what is missing.

    Parameters
    ----------
    promised : a survival goal asks for it
    any_capacity : False: no capacity helps; True: more placements that run would
    """

    failure: str
    workload: str
    origin: str
    coverable_fraction: float
    missing: str
    promised: bool
    any_capacity: bool


@dataclass(frozen=True)
class Exposure:
    """All that `planner risk` tells; see the records for the parts.

    Parameters
    ----------
    cut_sets : minimal cut sets of order 1 and 2, all of them, largest loss first
    always_broken : (tier, w, o) that nothing serves even when nothing is lost
    expected, contributions : empty where no rate is given
    without_rate : members of cut sets without failures_per_year and hours_to_repair
    """

    flows: tuple[Flow, ...]
    demand_requests_per_second: Mapping[str, float]
    """by tier"""
    with_goals: frozenset[str]
    components: int
    cut_sets: tuple[CutSet, ...]
    always_broken: tuple[tuple[str, str, str], ...]
    blasts: tuple[Blast, ...]
    gaps: tuple[Gap, ...]
    expected: tuple[Expected, ...]
    contributions: tuple[Contribution, ...]
    without_rate: tuple[str, ...]
    on_plan: bool

    def order(self, members: int) -> tuple[CutSet, ...]:
        """Cut sets with so many members."""
        return tuple(cut for cut in self.cut_sets if len(cut.members) == members)

    def innermost(self, members: int) -> tuple[CutSet, ...]:
        """Those with so many members that stand for the wider ones too."""
        return tuple(cut for cut in self.order(members) if cut.innermost)

    @property
    def good(self) -> bool:
        """No tier with goals has a single point of failure, or a promise that cannot be covered."""
        single = any(cut.tier in self.with_goals for cut in self.order(1))
        return (
            not single
            and not any(gap.promised for gap in self.gaps)
            and self.with_goals.isdisjoint(tier for tier, _, _ in self.always_broken)
        )


def exposure(study: Study, p: Problem, running: Running | None = None, traffic: Traffic | None = None) -> Exposure:
    """What breaks what in a study, or on what runs.

    Parameters
    ----------
    p : problem of the study
    running : what runs; none: every placement that meets the limits
    traffic : in normal operation, where something runs
    """
    graph, demand = dependency_graph(study), mean_demand(p)
    trees = FaultTrees(study, graph)
    full = {flow: trees.levels(flow, p.edges_in_failure[flow]) for flow in p.flows}
    levels = full
    if running is not None:
        levels = {f: trees.levels(f, [e for e in p.edges_in_failure[f] if e in running[f]]) for f in p.flows}
    cuts = _cut_sets(p, demand, levels)
    down = rates(study, graph)
    expected, contributions = expected_loss(study, p, demand, levels, down) if down else ((), ())
    tiers: dict[str, float] = defaultdict(float)
    for (w, _), requests_per_second in demand.items():
        tiers[p.tier_of[w]] += requests_per_second
    return Exposure(
        flows=p.flows,
        demand_requests_per_second=dict(tiers),
        with_goals=frozenset(tier.name for tier in study.tiers if tier.survive),
        components=sum(not is_named_failure(event) for event in trees.events),
        cut_sets=tuple(_folded(cuts, trees)),
        always_broken=_always_broken(p, levels),
        blasts=_blasts(p, demand, trees, levels, None if running is None else traffic or {}),
        gaps=tuple(_gaps(study, p, full, levels, running)),
        expected=expected,
        contributions=contributions,
        without_rate=tuple(sorted({event for cut in cuts for event in cut.members} - down.keys())),
        on_plan=running is not None,
    )


def running_in(plan: PlanFile, p: Problem) -> tuple[Running, Traffic]:
    """What a plan runs in any hour, normally or cold-started in a failure; traffic: mean of normal operation."""
    runs = frozenset(r.placement for r in plan.replicas if r.replicas > 0)
    runs |= {e for state in plan.states for e, n in state.cold_started.items() if n > 0}
    traffic: dict[tuple[str, str, str], float] = defaultdict(float)
    part = parts_of_horizon(p)
    for s in plan.states:
        if s.failure == NORMAL:
            rows = zip(s.workload, s.origin, s.placement, s.requests_per_second, strict=True)
            for w, o, e, value in rows:
                traffic[w, o, e] += part[s.hour] * value
    return dict.fromkeys(p.flows, runs), dict(traffic)


def running_now(fleet: Iterable[RunningReplicas], p: Problem) -> tuple[Running, Traffic]:
    """What a fleet runs for each flow, and its traffic: demand by the weights of the gateway."""
    demand = mean_demand(p)
    weights: dict[Flow, dict[str, float]] = {flow: {} for flow in p.flows}
    for row in fleet:
        if (row.workload, row.origin) in weights and row.replicas > 0 and row.weight > 0:
            weights[row.workload, row.origin][placement_id(row.profile, row.pool)] = row.weight
    traffic = {
        (*flow, e): demand[flow] * weight / sum(of.values()) for flow, of in weights.items() for e, weight in of.items()
    }
    return {flow: frozenset(of) for flow, of in weights.items()}, traffic


# ------------------------------------------------------------------ cut sets by tier
def _cut_sets(p: Problem, demand: Demand, levels: Mapping[Flow, Levels]) -> list[CutSet]:
    """Every minimal cut set of every flow, per tier; largest loss first, single points before pairs."""
    broken: dict[tuple[str, Members], list[BrokenFlow]] = defaultdict(list)
    for (w, o), of in levels.items():
        for members, fraction in (fractions(of, 1) | fractions(of, 2)).items():
            if any(map(is_named_failure, members)):
                continue  # no component; it counts where rates do
            lost = fraction * demand[w, o]
            broken[p.tier_of[w], members].append(BrokenFlow(w, o, fraction, lost, usd_per_hour(p, w, lost)))
    rows = [CutSet(tier, members, tuple(flows)) for (tier, members), flows in broken.items()]
    return sorted(rows, key=lambda c: (len(c.members), -c.usd_per_hour, -c.requests_per_second, c.tier, c.members))


def _always_broken(p: Problem, levels: Mapping[Flow, Levels]) -> tuple[tuple[str, str, str], ...]:
    return tuple((p.tier_of[w], w, o) for (w, o), of in levels.items() if any(cuts.always for _, cuts in of))


def _folded(cuts: list[CutSet], trees: FaultTrees) -> list[CutSet]:
    """The sets, each innermost one with those that break the same because they take its members with them."""
    same: dict[tuple[object, ...], dict[Members, CutSet]] = defaultdict(dict)
    for cut in cuts:
        same[cut.tier, cut.flows][cut.members] = cut
    wider: dict[tuple[str, Members], tuple[Members, ...]] = {}
    for group in same.values():
        folded: set[Members] = set()
        # what takes something with it is taken by fewer: the innermost come first
        for cut in sorted(group.values(), key=lambda c: (-sum(len(trees.takers(e)) for e in c.members), c.members)):
            if cut.members in folded:
                continue
            takers = product(*({e} | trees.takers(e) for e in cut.members))
            others = {tuple(sorted(taken)) for taken in takers} & group.keys() - {cut.members}
            folded |= others
            wider[cut.tier, cut.members] = tuple(sorted(others))
    rows = []
    for cut in cuts:
        key = cut.tier, cut.members
        rows.append(replace(cut, innermost=key in wider, wider=wider.get(key, ())))
    return rows


# ------------------------------------------------------------------ blast radius and what is missing
def _blasts(
    p: Problem, demand: Demand, trees: FaultTrees, levels: Mapping[Flow, Levels], traffic: Traffic | None
) -> tuple[Blast, ...]:
    """What each event breaks and what it makes move; events that do neither are left out; largest first."""
    lost: dict[str, dict[Flow, float]] = defaultdict(dict)
    for flow, broken in levels.items():
        for (event,), fraction in fractions(broken, 1).items():
            lost[event][flow] = fraction
    moves: dict[str, dict[Flow, float]] = defaultdict(dict)
    for event, flow, value in _carried(p, demand, trees, traffic):
        elsewhere = value * (1.0 - lost.get(event, {}).get(flow, 0.0))
        if elsewhere > ROUNDING:
            moves[event][flow] = moves[event].get(flow, 0.0) + elsewhere
    placements_lost = _placements_lost(p, demand, trees)
    rows = []
    for event in sorted(lost.keys() | moves.keys()):
        here = {flow: fraction * demand[flow] for flow, fraction in lost.get(event, {}).items()}
        moved = moves.get(event, {})
        rows.append(
            Blast(
                component=event,
                lost_requests_per_second=sum(here.values(), 0.0),
                lost_usd_per_hour=sum((usd_per_hour(p, w, value) for (w, _), value in here.items()), 0.0),
                moved_requests_per_second=sum(moved.values(), 0.0),
                placements_lost_fraction=placements_lost.get(event, 0.0),
                tiers=tuple(sorted({p.tier_of[w] for w, _ in here.keys() | moved.keys()})),
            )
        )
    return tuple(sorted(_folded_blasts(rows, trees), key=_largest))


def _folded_blasts(rows: list[Blast], trees: FaultTrees) -> list[Blast]:
    same: dict[Blast, set[str]] = defaultdict(set)
    for row in rows:
        same[replace(row, component="")].add(row.component)
    wider = {row.component: trees.takers(row.component) & same[replace(row, component="")] for row in rows}
    folded = frozenset().union(*wider.values())
    folds = []
    for row in rows:
        innermost = row.component not in folded
        folds.append(replace(row, innermost=innermost, wider=tuple(sorted(wider[row.component]))))
    return folds


def _largest(blast: Blast) -> tuple[float, float, float, float, str]:
    sizes = (blast.lost_usd_per_hour, blast.lost_requests_per_second, blast.moved_requests_per_second)
    return (-sizes[0], -sizes[1], -sizes[2], -blast.placements_lost_fraction, blast.component)


def _carried(
    p: Problem, demand: Demand, trees: FaultTrees, traffic: Traffic | None
) -> Iterator[tuple[str, Flow, float]]:
    """(event, flow, requests/s) that placements which die with the event carry; without traffic: at most all of it."""
    if traffic is not None:
        for (w, o, e), value in traffic.items():
            for event in trees.killing(e):
                yield event, (w, o), value
        return
    killing_any = cache(lambda edges: frozenset().union(*map(trees.killing, edges)))
    for flow in p.flows:
        for event in killing_any(p.edges[flow]):
            yield event, flow, demand[flow]


def _placements_lost(p: Problem, demand: Demand, trees: FaultTrees) -> dict[str, float]:
    """Event -> share of the placements that meet the limits in normal operation that die with it, by requests/s."""
    number = cache(lambda edges: Counter(event for e in edges for event in trees.killing(e)))
    share: dict[str, float] = defaultdict(float)
    all_demand = sum(demand.values())
    for flow in p.flows:
        edges = p.edges[flow]
        for event, n in number(edges).items():
            share[event] += n / len(edges) * demand[flow] / all_demand
    return share


def _gap(row: Uncoverable, promised: bool) -> Gap:
    return Gap(row.failure, row.workload, row.origin, row.coverable_fraction, row.missing, promised, False)


def _gaps(
    study: Study,
    p: Problem,
    full: Mapping[Flow, Levels],
    levels: Mapping[Flow, Levels],
    running: Running | None,
) -> Iterable[Gap]:
    """What no capacity helps, promised or not; on a plan or fleet also what only more running placements would."""
    known = set()
    for row in uncoverable(study, p):
        known.add((row.failure, row.workload, row.origin))
        yield _gap(row, promised=True)
    coverable: dict[str, dict[Flow, float]] = defaultdict(dict)
    for flow, of in full.items():
        for (event,), fraction in fractions(of, 1).items():
            if not is_named_failure(event) and (event, *flow) not in known:
                coverable[event][flow] = 1.0 - fraction
    everything = tuple((tier.name, 1.0, 0.0) for tier in study.tiers)
    failures = {event: Failure(event, {event: 1.0}) for event in sorted(coverable)}
    one_by_one = replace(p, failures=failures, promised=dict.fromkeys(failures, everything), coverable=coverable)
    for row in uncoverable(study, one_by_one):
        known.add((row.failure, row.workload, row.origin))
        yield _gap(row, promised=False)
    if running is None:
        return
    for (w, o), of in levels.items():
        runs = sum(e in running[w, o] for e in p.edges_in_failure[w, o])
        missing = (
            f"a running placement that outlives it: {runs} of {len(p.edges_in_failure[w, o])} within the limits run"
        )
        for (event,), fraction in sorted(fractions(of, 1).items()):
            if not is_named_failure(event) and (event, w, o) not in known:
                yield Gap(event, w, o, 1.0 - fraction, missing, False, True)
