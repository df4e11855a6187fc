"""What a problem says of failures: which there are, what each takes, what counts in it."""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

from planner.problem.eligibility import Edges, Flow
from planner.problem.parts import Parts
from planner.problem.problem import HOURLY, Priced, Problem
from planner.problem.request_limits import RequestLimits
from planner.study.dependencies import NORMAL, Failure, Graph, availability, cannot_start, expand, leaves, rated
from planner.study.records.inventory import Offer
from planner.study.records.plan import Purchase
from planner.study.records.study import Study, kind_and_name
from planner.study.request_limits import components_with_limits


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
    return failures, {f: tuple(rows) for f, rows in promised.items()}


def priced(study: Study, failure: Failure, years: float) -> Priced | None:
    """How often and how long a failure is reckoned with; None where the objective or the failure does not say."""
    if study.objective == "cost" or failure.hours_to_repair is None:
        return None
    of = failure.id if failure.of is None else failure.of
    if failure.failures_per_year is None:
        return Priced(0.0, failure.hours_to_repair, of) if study.objective == "worst_case" else None
    return Priced(failure.failures_per_year * years, failure.hours_to_repair, of)


def losses(
    parts: Parts,
    graph: Graph,
    failures: Mapping[str, Failure],
    flows: tuple[Flow, ...],
    edges: Edges,
    edges_in_failure: Edges,
    request_limits: RequestLimits,
) -> tuple[
    dict[str, dict[str, float]], dict[str, dict[Flow, float]], dict[str, frozenset[str]], dict[str, frozenset[str]]
]:
    """What is lost of each thing in each failure, what can be covered, where nothing can be started, what is closed."""
    lost: dict[str, dict[str, float]] = {}
    coverable: dict[str, dict[Flow, float]] = {}
    stuck: dict[str, frozenset[str]] = {}
    closed: dict[str, frozenset[str]] = {}
    limits = components_with_limits(parts.study)
    # a gateway that is lost in part lets less through; what is behind it is whole, unless machines need it
    lets_less = limits.keys() - _with_machines_below(graph)
    for f, failure in failures.items():
        left = {c: 1 - failure.lost.get(c, 0.0) for c in limits}
        value = availability(graph, {c: n for c, n in failure.lost.items() if c not in lets_less or left[c] <= 0})
        things = {q: value[f"pool:{q}"] for q in parts.pools} | {c: min(left[c], value[c]) for c in limits}
        things |= {e: value[f"placement:{e}"] for e in parts.placements}
        if failure.hit is not None:
            # the pool's loss falls on one placement: what else of it is only as lost as the pool stands whole
            pool = parts.pool[failure.hit].id
            things |= {e: 1.0 for e in parts.placements if parts.pool[e].id == pool and things[e] == things[pool]}
        lost[f] = {thing: left for thing, left in things.items() if left < 1}
        closed[f] = request_limits.closed(value)
        waiting = cannot_start(graph, value)
        stuck[f] = frozenset(e for e in parts.placements if f"placement:{e}" in waiting)
        near_enough = edges if f == NORMAL else edges_in_failure
        coverable[f] = {}
        for w, o in flows:
            alive = any(things[e] > 0 for e in near_enough[w, o])
            entry = min(value[f"workload:{w}"], value[f"origin:{o}"]) if alive else 0.0
            if entry < 1:
                coverable[f][w, o] = entry
    return lost, coverable, stuck, closed


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
    study: Study, offers: Mapping[str, Offer], failures: Mapping[str, Failure]
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
            fitting = [
                entry
                for entry in study.policies.counted
                if (entry.any is None or entry.any in kinds) and any(fnmatchcase(b, p) for p in entry.offers)
            ]
            if fitting and fitting[-1].running_fraction < 1:
                counted[f][b] = fitting[-1].running_fraction
            if fitting and fitting[-1].obtainable_fraction and offer.kind in HOURLY and offer.most_units is not None:
                obtainable[f][b] = (fitting[-1].obtainable_fraction, fitting[-1].obtain_seconds)
    return counted, obtainable


def uncounted_at_most(p: Problem, purchases: Iterable[Purchase]) -> dict[tuple[str, str], float]:
    """(b, t) or (b, h) -> units that a plan buys, of every offer of which nothing counts in any failure, like spot.

    What a plan without goals may buy of them on equal terms: no plan can stand on more of them in a failure.
    """
    failures = [f for f in p.failures if f != NORMAL]
    uncounted = [b for b in p.offers if failures and all(p.counted[f].get(b, 1.0) == 0 for f in failures)]
    most = {(b, when): 0.0 for b in uncounted for when in (p.hours if b in p.hourly else p.periods)}
    most.update({at: float(row.units) for row in purchases if (at := (row.offer, row.when)) in most})
    return most
