"""Sums of rescaling: what gateways send when they renormalise fixed weights over what is left of them.

A reserve is what a gateway may send over an edge at most [requests/s], in normal operation and in every failure. Its
weights are proportional to it. A placement that is lost in part gets that part of its weight, and of its reserve.
"""

import math
from collections.abc import Mapping

from planner.problem.algebra import Linear, is_number, total
from planner.problem.decisions import Decisions
from planner.problem.problem import Problem, State
from planner.problem.rules.formulas import (
    available,
    due_fraction,
    is_normal,
    lets_through,
    replicas_hit,
    requests_per_second,
    survivors,
)
from planner.study.dependencies import NORMAL
from planner.units import ROUNDING

Left = tuple[tuple[str, float], ...]
"""(placement, fraction left of it), for edges that are not left whole"""
Sent = dict[tuple[str, str], Linear]


def reserved_edges(p: Problem, w: str, o: str, f: str) -> tuple[str, ...]:
    """Edges with a weight that a failure does not forbid: those of normal operation that are near enough in it."""
    if f == NORMAL:
        return p.edges[w, o]
    near = set(p.edges_in_failure[w, o])
    return tuple(e for e in p.edges[w, o] if e in near)


def not_whole(p: Problem, w: str, o: str, f: str) -> Left:
    """Edges of (w, o) of which a failure leaves less than all, with what it leaves; 0 for those it forbids."""
    lost, may = p.lost[f], set(reserved_edges(p, w, o, f))
    return tuple((e, lost.get(e, 1.0) if e in may else 0.0) for e in p.edges[w, o] if e in lost or e not in may)


def reserve_left(p: Problem, x: Decisions, w: str, o: str, s: State) -> Linear:
    """What the gateways may send for (w, o) in a state at most: reserves, of what is left [requests/s].

    Formula
        Σ_e available[e,f] · reserve[w,o,e,h]      over live edges that have a weight
    """
    left = ((available(p, e, s[1]), x.reserve[w, o, e, s[0]]) for e in reserved_edges(p, w, o, s[1]))
    return total((part, reserve) for part, reserve in left if part > 0)


def last_state(p: Problem, f: str, h: str) -> State:
    """The state of a failure in which most is due."""
    return (h, f, max(p.deadlines_seconds[f]))


def due_requests_per_second(p: Problem, w: str, o: str, f: str, h: str) -> float:
    """What must be served of (w, o) in a failure by its last deadline [requests/s]."""
    s = last_state(p, f, h)
    return due_fraction(p, w, o, s) * requests_per_second(p, w, o, s)


def hardest(p: Problem, w: str, o: str, h: str) -> dict[Left, str]:
    """What failures leave of the edges of (w, o) -> the failure in which most is due of those that leave it.

    Failures that leave the same and ask for no more say nothing new: thousands of failures are a few rows.
    """
    found: dict[Left, tuple[float, str]] = {}
    for f in p.failures:
        due = due_requests_per_second(p, w, o, f, h)
        left = not_whole(p, w, o, f)
        if due > 0 and due > found.get(left, (0.0, ""))[0]:
            found[left] = due, f
    return {left: f for left, (_, f) in found.items()}


def without_weights(p: Problem) -> list[tuple[str, str, str]]:
    """(w, o, f) of which something is due, and no edge of normal operation is left to send it over."""
    every = {(w, o): set(p.edges[w, o]) for w, o in p.flows}
    return [
        (w, o, f)
        for h in p.hours
        for (w, o), edges in every.items()
        for left, f in hardest(p, w, o, h).items()
        if edges <= {e for e, part in left if part <= 0}
    ]


def least_reserve(p: Problem, w: str, o: str, h: str, hard: dict[Left, str]) -> float:
    """What the reserves of (w, o) come to at the least, in every plan [requests/s].

    Formula
        Σ_e reserve[e]  ≥  Σ_f due[f] / (k − 1)      for k failures that together leave no edge alive
    since what is dead in f is at most Σ reserve − due[f], and the dead parts cover all edges. The failures are found
    greedily: each kills most of what is left.
    """
    dues = {left: due_requests_per_second(p, w, o, f, h) for left, f in hard.items()}
    dead = {left: {e for e, part in left if part <= 0} for left in hard}
    waiting, cover = set(p.edges[w, o]), list[Left]()
    while waiting:
        best = max(dead, key=lambda left: (len(dead[left] & waiting), dues[left], left), default=None)
        if best is None or not dead[best] & waiting:
            return max(dues.values(), default=0.0)
        cover.append(best)
        waiting -= dead[best]
    covered = sum(dues[left] for left in cover) / (len(cover) - 1) if len(cover) > 1 else 0.0
    return max([covered, *dues.values()])


def renormalised(p: Problem, x: Decisions, w: str, o: str, e: str, s: State) -> float:
    """What a gateway sends over an edge in a state: its share of what comes in, its reserve at most [requests/s].

    Formula
        min(left, coverable · offered · left / Σ_e left)      with left = available[e,f] · reserve[w,o,e,h]

    For numbers only.
    """
    h, f, _ = s
    left = available(p, e, f) * x.reserve[w, o, e, h]
    if left <= 0 or e not in reserved_edges(p, w, o, f):
        return 0.0
    comes_in = p.coverable[f].get((w, o), 1.0) * requests_per_second(p, w, o, s)
    return float(min(left, comes_in * left / reserve_left(p, x, w, o, s)))


def whole_survivors(p: Problem, x: Decisions, e: str, s: State) -> int:
    """Whole replicas of a placement that survive a failure."""
    hit = replicas_hit(p, x, e, s) if p.failures[s[1]].hit == e else 0.0
    return math.floor(max(0.0, float(survivors(p, x, e, s) - hit)) + ROUNDING)


def splits_replicas(p: Problem, e: str, f: str) -> bool:
    """Whether a failure leaves a part of a placement's replicas: whole ones must be counted."""
    return p.failures[f].hit == e or 0 < available(p, e, f) < 1


def hot(p: Problem, x: Decisions, e: str, s: State) -> Linear:
    """Replicas that run in a state when nothing is started and nothing let go [replicas]."""
    if is_normal(s):
        return x.replicas[e, s[0]]
    if is_number(x.replicas[e, s[0]]) and is_number(whole := survivors(p, x, e, s)):
        return whole_survivors(p, x, e, s) if splits_replicas(p, e, s[1]) else whole
    return x.kept[e, s] if splits_replicas(p, e, s[1]) else survivors(p, x, e, s)


def conditions(p: Problem, h: str) -> dict[str, tuple[State, ...]]:
    """Placement -> normal operation, and a state of the hour for each different condition that failures leave it in."""
    found: dict[str, dict[object, State]] = {e: {NORMAL: (h, NORMAL, 0.0)} for e in p.placements}
    for f, failure in p.failures.items():
        if f == NORMAL:
            continue
        counted_less = {p.pool_of[b] for b in p.counted[f]} & p.with_spot
        for e, of in found.items():
            part = available(p, e, f)
            if part > 0:
                hit = f if failure.hit == e else None
                of.setdefault((part, p.pool_of[e] in counted_less, hit), (h, f, p.deadlines_seconds[f][0]))
    return {e: tuple(of.values()) for e, of in found.items()}


def headrooms(p: Problem, h: str) -> dict[tuple[str, str], float]:
    """(w, o) -> factor by which reserves are above the traffic of normal operation, at the least, in every plan."""
    found = {}
    for w, o in p.flows:
        wanted = requests_per_second(p, w, o, (h, NORMAL, 0.0))
        found[w, o] = max(1.0, least_reserve(p, w, o, h, hardest(p, w, o, h)) / wanted) if wanted > 0 else 1.0
    return found


def sent_at_most(p: Problem, x: Decisions, e: str, s: State, above: Mapping[tuple[str, str], float]) -> Sent:
    """(w, o) -> requests/s that a placement is sent in a state at most; `above`: as `headrooms`, used when normal.

    Formula
        available[e,f] · reserve[w,o,e,h]; in normal operation reserve[w,o,e,h] / headroom[w,o]
    """
    h, f, _ = s
    part = available(p, e, f)
    return {
        (w, o): total([(1 / above[w, o] if is_normal(s) else part, x.reserve[w, o, e, h])])
        for w, o in p.flows
        if (w, o, e, h) in x.reserve and (is_normal(s) or e in p.edges_in_failure[w, o])
    }


def work_at_most(p: Problem, x: Decisions, e: str, s: State, above: Mapping[tuple[str, str], float]) -> Linear:
    """Work that a placement is sent in a state at most, at its peak [replica-seconds/s]."""
    seconds = p.replica_seconds if is_normal(s) else p.replica_seconds_in_failure
    sent = sent_at_most(p, x, e, s, above)
    return total((seconds[w, e] * p.burst_factor[w], value) for (w, _), value in sent.items())


def taken(p: Problem, f: str) -> dict[str, float]:
    """Alternative -> share of the requests that passes it, when nothing steers them (0 to 1).

    Requests split by what each alternative lets through; where some have no limit, evenly over these.
    """
    share: dict[str, float] = {}
    for alternatives in p.request_limits.alternatives:
        most = {a: _lets_through(p, a, f) for a in alternatives.ids}
        if math.inf in most.values():
            most = {a: float(math.isinf(v)) for a, v in most.items()}
        of_all = math.fsum(most.values())
        share |= {a: v / of_all if of_all > 0 else 0.0 for a, v in most.items()}
    return share


def _lets_through(p: Problem, alternative: str, f: str) -> float:
    """Requests/s through an alternative at most: 0 where it is closed, infinite where nothing limits it."""
    component = p.request_limits.component_of[alternative]
    if alternative in p.closed[f]:
        return 0.0
    return lets_through(p, component, f) if component in p.request_limits.ids_of else math.inf


def met_fractions(p: Problem, f: str) -> dict[str, dict[tuple[str, str, str], float]]:
    """Component -> (w, o, e) -> share of its requests that pass it, when nothing steers them over alternatives."""
    limits, share = p.request_limits, taken(p, f)
    met = {c: dict.fromkeys(limits.always.get(c, ()), 1.0) for c in limits.components}
    for alternatives in limits.alternatives:
        for a in alternatives.ids:
            if (component := limits.component_of[a]) in met:
                met[component] |= dict.fromkeys(alternatives.edges, share[a])
    return met


def throughput_at_most(
    p: Problem,
    x: Decisions,
    component: str,
    fractions: Mapping[tuple[str, str, str], float],
    s: State,
    above: Mapping[tuple[str, str], float],
) -> Linear:
    """Requests that pass a component in a state at most [requests/s]; `fractions` of each edge: as `met_fractions`.

    Where all edges of (w, o) pass it alike, at the entry of a workload or an origin, what comes in, where it fits; else
    what the reserves let on.
    """
    f, most = s[1], lets_through(p, component, s[1])
    entry = {flow: min((fractions.get((*flow, e), 0.0) for e in p.edges[flow]), default=0.0) for flow in p.flows}
    comes_in = sum(n * p.coverable[f].get((w, o), 1.0) * requests_per_second(p, w, o, s) for (w, o), n in entry.items())
    fits = comes_in <= most
    terms: list[tuple[float, Linear]] = [(1.0, comes_in)] if fits else []
    for e in sorted({e for (_, _, e), part in fractions.items() if part > 0 and available(p, e, f) > 0}):
        for flow, value in sent_at_most(p, x, e, s, above).items():
            terms.append((fractions.get((*flow, e), 0.0) - (entry[flow] if fits else 0.0), value))
    return total(terms)
