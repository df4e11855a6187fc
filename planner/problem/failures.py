"""What a problem says of failures: which there are, what each takes, what counts in it."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from planner.problem.eligibility import Edges, Flow
from planner.problem.parts import Parts
from planner.problem.problem import HOURLY, Priced, Problem
from planner.problem.request_limits import RequestLimits
from planner.study.dependencies import (
    NORMAL,
    Failure,
    Graph,
    availability,
    cannot_start,
    control_planes,
    expand,
    failover_in,
    leaves,
    rated,
    without_new_weights,
)
from planner.study.records.inventory import Offer
from planner.study.records.plan import Purchase
from planner.study.records.study import Counted, Study, kind_and_name
from planner.study.request_limits import components_with_limits
from planner.units import SECONDS_PER_HOUR

JUST_AFTER_SECONDS = 1e-3
"""After machines that were lent come back: a claim is back at every deadline later than its return."""


def failures_of(
    parts: Parts, graph: Graph, with_goals: bool
) -> tuple[dict[str, Failure], dict[str, tuple[tuple[str, float, float], ...]]]:
    """Failures that the goals mean, normal operation first, and what is promised in each."""
    failures = {NORMAL: Failure(NORMAL)}
    promised: dict[str, list[tuple[str, float, float]]] = {NORMAL: []}
    for tier in parts.study.tiers if with_goals else ():
        for goal in tier.survive:
            for failure in expand(goal, parts.study, graph):
                failures.setdefault(failure.id, failure)
                promised.setdefault(failure.id, []).append((tier.name, goal.serve_fraction, goal.within_seconds))
    if with_goals and parts.study.objective != "cost":
        for failure in rated(parts.study, graph):
            failures.setdefault(failure.id, failure)
            promised.setdefault(failure.id, [])
    for f, failure in failures.items():
        if failure.begins_seconds > 0:  # what was due before is due in a later stage, too
            of_all = [row for g, other in failures.items() if other.outage == failure.outage for row in promised[g]]
            earlier = [row for row in of_all if row[2] < failure.begins_seconds]
            promised[f] = list(dict.fromkeys((*earlier, *promised[f])))
    return failures, {f: tuple(rows) for f, rows in promised.items()}


def deadlines_of(p: Problem, f: str) -> tuple[float, ...]:
    """Deadlines of a failure [s]: those of its goals, and before the last one the instants when machines arrive.

    Claims come back, machines are obtained. Replicas may be loading from such an instant on, so the plan is held to
    what fits just before and just after it. A priced failure is looked at from detection until it is repaired, and
    whenever what was started at detection or such an instant begins to run: deadlines of goals add nothing to that.
    A later stage of an outage is looked at from its own begin.
    """
    if f == NORMAL:
        return (0.0,)
    begins = p.failures[f].begins_seconds
    promised = {within for _, _, within in p.promised[f] if within >= begins}
    arrivals = _arrivals(p, f)
    instants = {p.detection_seconds + seconds for _, seconds in arrivals}
    instants |= {instant + JUST_AFTER_SECONDS for instant in instants}
    if f in p.priced:
        promised.add(begins or p.detection_seconds)
        instants |= _begin_to_run(p, f, arrivals)
        last = max(max(promised), p.priced[f].hours_to_repair * SECONDS_PER_HOUR)
    else:
        last = max(promised)
    return tuple(sorted(promised | {instant for instant in instants if begins <= instant < last}))


def _arrivals(p: Problem, f: str) -> set[tuple[str, float]]:
    """(pool, seconds from detection) when machines come back from claims, or are obtained, in pools that live."""
    arrivals = {(p.pool_of[b], seconds) for b, (_, seconds) in p.obtainable[f].items()}
    for (q, _), claims in p.claims.items():
        arrivals |= {(q, seconds) for machines, seconds in claims if machines and seconds is not None}
    return {(q, seconds) for q, seconds in arrivals if p.lost[f].get(q, 1.0) > 0}


def _begin_to_run(p: Problem, f: str, arrivals: set[tuple[str, float]]) -> set[float]:
    """When replicas run that are started at detection, or when machines arrive in their pool [s]."""
    instants = set()
    for e in p.placements:
        if p.load_seconds[e] > 0 and p.lost[f].get(e, 1.0) > 0 and e not in p.cannot_start[f]:
            startable = max(p.detection_seconds, p.failures[f].startable_seconds.get(e, 0.0))
            instants.add(startable + p.load_seconds[e])
            later = (seconds + JUST_AFTER_SECONDS for q, seconds in arrivals if q == p.pool_of[e])
            instants |= {max(startable, p.detection_seconds + seconds) + p.load_seconds[e] for seconds in later}
    return instants


def priced(study: Study, failure: Failure, years: float) -> Priced | None:
    """How often and how long a failure is reckoned with; None where the objective or the failure does not say."""
    if study.objective == "cost" or failure.hours_to_repair is None:
        return None
    if failure.failures_per_year is None and study.objective != "worst_case":
        return None
    ends = math.inf if failure.ends_seconds is None else failure.ends_seconds / SECONDS_PER_HOUR
    return Priced(
        0.0 if failure.failures_per_year is None else failure.failures_per_year * years,
        min(ends, failure.hours_to_repair),
        failure.id if failure.of is None else failure.of,
        failure.begins_seconds / SECONDS_PER_HOUR,
        failure.outage,
    )


@dataclass(frozen=True)
class Losses:
    """What a failure takes.

    Parameters
    ----------
    lost : pool, placement or component with a limit -> available fraction, where below 1
    coverable : (w, o) -> fraction that any capacity could serve, where below 1
    cannot_start : placements that live, and in which no replica can be started
    cannot_obtain : pools that live, and in which no machine can be obtained, as a control plane does not work
    closed : alternatives that are closed
    weightless : workloads and origins with demand whose gateways get no new weights
    """

    lost: Mapping[str, float]
    coverable: Mapping[Flow, float]
    cannot_start: frozenset[str]
    cannot_obtain: frozenset[str]
    closed: frozenset[str]
    weightless: tuple[str, ...]


def losses(
    parts: Parts,
    graph: Graph,
    failures: Mapping[str, Failure],
    edges: Edges,
    edges_in_failure: Edges,
    request_limits: RequestLimits,
) -> dict[str, Losses]:
    """f -> what it takes; `edges` of normal operation, and in failures: (w, o) -> placements."""
    limits = components_with_limits(parts.study)
    # a gateway that is lost in part lets less through; what is behind it is whole, unless machines need it
    lets_less = limits.keys() - _with_machines_below(graph)
    by_failure = {}
    for f, failure in failures.items():
        remaining = {c: 1 - failure.lost.get(c, 0.0) for c in limits}
        taken = {c: n for c, n in failure.lost.items() if c not in lets_less or remaining[c] <= 0}
        value = availability(graph, taken)
        available = {q: value[f"pool:{q}"] for q in parts.pools} | {c: min(remaining[c], value[c]) for c in limits}
        available |= {e: value[f"placement:{e}"] for e in parts.placements}
        if failure.targeted is not None:
            # the pool's loss falls on one placement: of the others, those that lose no more than the pool lose nothing
            pool = parts.pool[failure.targeted].id
            for e in parts.placements:
                if parts.pool[e].id == pool and available[e] == available[pool]:
                    available[e] = 1.0
        coverable = {}
        for (w, o), near in (edges if f == NORMAL else edges_in_failure).items():
            alive = any(available[e] > 0 for e in near)
            entry = min(value[f"workload:{w}"], value[f"origin:{o}"]) if alive else 0.0
            if entry < 1:
                coverable[w, o] = entry
        stuck = cannot_start(graph, value)
        by_failure[f] = Losses(
            {thing: part for thing, part in available.items() if part < 1},
            coverable,
            frozenset(e for e in parts.placements if f"placement:{e}" in stuck and available[e] > 0),
            _cannot_obtain(parts, value),
            request_limits.closed(value),
            tuple(without_new_weights(graph, value, edges)),
        )
    return by_failure


def rescaled_of(study: Study, failures: Mapping[str, Failure], taken: Mapping[str, Losses]) -> frozenset[str]:
    """Failures in which gateways keep their weights, and normal operation where there is any, or the study rescales."""
    rescaled = {
        f
        for f, failure in failures.items()
        if f != NORMAL and failover_in(failure, study.failover, taken[f].weightless) == "rescale"
    }
    return frozenset({NORMAL, *rescaled} if rescaled or study.failover == "rescale" else ())


def _cannot_obtain(parts: Parts, value: Mapping[str, float]) -> frozenset[str]:
    """Pools that live in a region of which a control plane does not work whole, by available fractions."""
    pools = set()
    for q, pool in parts.pools.items():
        site = parts.sites[pool.site]
        if value[f"pool:{q}"] > 0 and any(value[plane] < 1 for plane in control_planes(site.region_id, site.provider)):
            pools.add(q)
    return frozenset(pools)


def _with_machines_below(graph: Graph) -> set[str]:
    """Components without which no machine serves: losing a part of one takes that part of the machines."""
    needed: set[str] = set()
    waiting = [node for node in graph if kind_and_name(node)[0] in ("placement", "pool")]
    while waiting:
        node = waiting.pop()
        if node not in needed:
            needed.add(node)
            waiting += [leaf for part in graph.nodes[node]["needs"] for leaf in leaves(part)]
    return needed


def counted_of(
    study: Study, offers: Mapping[str, Offer], failures: Mapping[str, Failure], taken: Mapping[str, Losses]
) -> tuple[dict[str, dict[str, float]], dict[str, dict[str, tuple[float, float]]]]:
    """f -> b -> share of what runs that counts, where below 1; and what can be obtained: (share, seconds)."""
    counted: dict[str, dict[str, float]] = {f: {} for f in failures}
    obtainable: dict[str, dict[str, tuple[float, float]]] = {f: {} for f in failures}
    for f, failure in failures.items():
        kinds = {kind_and_name(component)[0] for component in failure.lost}
        for b, offer in offers.items() if f != NORMAL else ():
            if offer.kind == "spot":
                counted[f][b] = 0.0
                continue
            renewed = 1.0 - failure.lost.get(f"renewal:{b}", 0.0)
            entry = _counts(study, b, kinds)
            running = renewed * (1.0 if entry is None else entry.running_fraction)
            if running < 1:
                counted[f][b] = running
            if entry is None:
                continue
            may_obtain = offer.pool not in taken[f].cannot_obtain
            if may_obtain and entry.obtainable_fraction and offer.kind in HOURLY and offer.most_units is not None:
                later = max(0.0, failure.obtainable_seconds.get(offer.pool, 0.0) - study.moved_seconds)
                obtainable[f][b] = (entry.obtainable_fraction, later + entry.obtain_seconds)
    return counted, obtainable


def _counts(study: Study, offer: str, kinds: set[str]) -> Counted | None:
    """What the study says last of what counts of an offer when components of some kinds are lost."""
    for entry in reversed(study.policies.counted):
        if (entry.any is None or entry.any in kinds) and any(fnmatchcase(offer, pattern) for pattern in entry.offers):
            return entry
    return None


def uncounted_at_most(p: Problem, purchases: Iterable[Purchase]) -> dict[tuple[str, str], float]:
    """(b, t) or (b, h) -> units that a plan buys, of every offer of which nothing counts in any failure, like spot.

    What a plan without goals may buy of them on equal terms: no plan can stand on more of them in a failure.
    """
    failures = [f for f in p.failures if f != NORMAL]
    uncounted = [b for b in p.offers if failures and all(p.counted[f].get(b, 1.0) == 0 for f in failures)]
    most = {(b, when): 0.0 for b in uncounted for when in (p.hours if b in p.hourly else p.periods)}
    most.update({at: float(row.units) for row in purchases if (at := (row.offer, row.when)) in most})
    return most
