"""What a problem says of failures: which there are, what each takes, what counts in it."""

import itertools
from collections.abc import Mapping
from fnmatch import fnmatchcase

from planner.edges import Edges, Flow
from planner.parts import Parts
from planner.problem import HOURLY, Passage, Priced
from planner.records.inventory import Offer
from planner.records.study import Needs, Study
from planner.risk import NORMAL, Failure, Graph, availability, cannot_start, expand, rated

MOST_PASSAGES = 500
"""Unions of choices between limited components that are looked at; beyond, the rows that are there still hold."""


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
    of = failure.id if failure.hit is None else failure.id.removesuffix(f" on {failure.hit}")
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
) -> tuple[dict[str, dict[str, float]], dict[str, dict[Flow, float]], dict[str, frozenset[str]]]:
    """What is lost of each thing in each failure, what can be covered at all, where nothing can be started."""
    lost: dict[str, dict[str, float]] = {}
    coverable: dict[str, dict[Flow, float]] = {}
    stuck: dict[str, frozenset[str]] = {}
    limits = components_with_limits(parts.study)
    for f, failure in failures.items():
        # a gateway that is lost in part lets less through; what is behind it is whole
        left = {c: 1 - failure.lost.get(c, 0.0) for c in limits}
        value = availability(graph, {c: share for c, share in failure.lost.items() if left.get(c, 0.0) <= 0})
        things = {q: value[f"pool:{q}"] for q in parts.pools} | {c: min(left[c], value[c]) for c in limits}
        things |= {e: value[f"placement:{e}"] for e in parts.placements}
        if failure.hit is not None:
            # the pool's loss falls on one placement: what else of it is only as lost as the pool stands whole
            pool = parts.pool[failure.hit].id
            things |= {e: 1.0 for e in parts.placements if parts.pool[e].id == pool and things[e] == things[pool]}
        lost[f] = {thing: left for thing, left in things.items() if left < 1}
        waiting = cannot_start(graph, value)
        stuck[f] = frozenset(e for e in parts.placements if f"placement:{e}" in waiting)
        near_enough = edges if f == NORMAL else edges_in_failure
        coverable[f] = {}
        for w, o in flows:
            alive = any(things[e] > 0 for e in near_enough[w, o])
            door = min(value[f"workload:{w}"], value[f"origin:{o}"]) if alive else 0.0
            if door < 1:
                coverable[f][w, o] = door
    return lost, coverable, stuck


def components_with_limits(study: Study) -> dict[str, float]:
    """Components that let only so many requests through, by id [requests/s]."""
    rows = ((f"{c.kind}:{c.name}", c.most_requests_per_second) for c in study.components)
    return {name: most for name, most in rows if most is not None}


def passages_of(parts: Parts, graph: Graph, placements: tuple[str, ...]) -> tuple[Passage, ...]:
    """What requests must pass, from the dependency graph: any of some limited components, and unions of such choices.

    Requests may be split over a choice as one likes. That is possible exactly when, for every union of choices, those
    that must pass within it are no more than it lets through (Hall; Gale, Pacific Journal of Mathematics 7, 1957).
    """
    limits = frozenset(components_with_limits(parts.study))
    if not limits:
        return ()
    choices: dict[str, list[frozenset[str]]] = {}

    def ways(node: str) -> list[frozenset[str]]:
        if node not in choices:
            own = [frozenset({node})] if node in limits else []
            choices[node] = own + [way for part in graph.nodes[node]["needs"] for way in of(part)]
        return choices[node]

    def of(part: str | Needs) -> list[frozenset[str]]:
        if isinstance(part, str):
            return ways(part)
        if part.all_of is not None:
            return [way for inner in part.all_of for way in of(inner)]
        inner_ways = [of(inner) for inner in part.any_of or part.of or ()]
        if not all(inner_ways):
            return []  # a way without a limit
        return [frozenset().union(*some) for some in itertools.product(*inner_ways)]

    doors = [f"workload:{w}" for w in parts.workloads] + [f"origin:{o.name}" for o in parts.study.origins]
    passing = {door: ways(door) for door in doors} | {e: ways(f"placement:{e}") for e in placements}
    unions = {way for found in passing.values() for way in found}
    while len(unions) <= MOST_PASSAGES and (more := {a | b for a in unions for b in unions if a & b} - unions):
        unions |= more
    return tuple(
        Passage(tuple(sorted(u)), {k: n for k, found in passing.items() if (n := sum(way <= u for way in found))})
        for u in sorted(unions, key=lambda u: (len(u), sorted(u)))
    )


def counted_of(
    study: Study, offers: Mapping[str, Offer], failures: Mapping[str, Failure]
) -> tuple[dict[str, dict[str, float]], dict[str, dict[str, tuple[float, float]]]]:
    """f -> b -> share of what runs that counts, where below 1; and what can be obtained: (share, seconds)."""
    counted: dict[str, dict[str, float]] = {f: {} for f in failures}
    obtainable: dict[str, dict[str, tuple[float, float]]] = {f: {} for f in failures}
    for f, failure in failures.items():
        kinds = {component.partition(":")[0] for component in failure.lost}
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
