"""Limits of gateways that renormalise fixed weights over what remains: the sums, and the rules that they make up.

A reserve is what a gateway may send over an edge at most [requests/s], in normal operation and in every failure. Its
weights are proportional to it. A placement that is lost in part gets that part of its weight, and of its reserve.

The rules say nothing unless the study asks for `failover: rescale`. Together they are sufficient, not necessary:
reserves that meet them survive every failure, whatever else the gateways send up to their limits.
"""

import math
from collections.abc import Iterator, Mapping

from planner.problem.algebra import Linear, Row, is_number, total
from planner.problem.decisions import Decisions
from planner.problem.problem import Problem, State, flow_size, size_of_all
from planner.problem.rules.formulas import (
    available,
    due_fraction,
    is_normal,
    lets_through,
    machines_in_service,
    met_fractions,
    replicas_targeted,
    request_limit_size,
    requests_per_second,
    survivors,
)
from planner.study.dependencies import NORMAL
from planner.units import ROUNDING

Remaining = tuple[tuple[str, float], ...]
"""(placement, remaining fraction), for edges of which a failure takes something"""
Sent = dict[tuple[str, str], Linear]


def reserved_edges(p: Problem, w: str, o: str, f: str) -> tuple[str, ...]:
    """Edges with a weight that a failure does not forbid: those of normal operation that are near enough in it."""
    if f == NORMAL:
        return p.edges[w, o]
    near = set(p.edges_in_failure[w, o])
    return tuple(e for e in p.edges[w, o] if e in near)


def remaining_parts(p: Problem, w: str, o: str, f: str) -> Remaining:
    """Edges of (w, o) of which a failure leaves less than all, with the remaining part; 0 for those it forbids."""
    lost, may = p.lost[f], set(reserved_edges(p, w, o, f))
    return tuple((e, lost.get(e, 1.0) if e in may else 0.0) for e in p.edges[w, o] if e in lost or e not in may)


def remaining_reserve(p: Problem, x: Decisions, w: str, o: str, s: State) -> Linear:
    """What the gateways may send for (w, o) in a state at most: the remaining reserves [requests/s].

    Formula
        Σ_e available[e,f] · reserve[w,o,e,h]      over live edges that have a weight
    """
    parts = ((available(p, e, s[1]), x.reserve[w, o, e, s[0]]) for e in reserved_edges(p, w, o, s[1]))
    return total((part, reserve) for part, reserve in parts if part > 0)


def last_state(p: Problem, f: str, h: str) -> State:
    """The state of a failure in which most is due."""
    return (h, f, max(p.deadlines_seconds[f]))


def due_requests_per_second(p: Problem, w: str, o: str, f: str, h: str) -> float:
    """What must be served of (w, o) in a failure by its last deadline [requests/s]."""
    s = last_state(p, f, h)
    return due_fraction(p, w, o, s) * requests_per_second(p, w, o, s)


def hardest(p: Problem, w: str, o: str, h: str) -> dict[Remaining, str]:
    """What failures leave of the edges of (w, o) -> the failure in which most is due of those that leave it.

    Failures that leave the same and ask for no more say nothing new: thousands of failures are a few rows.
    """
    most_due: dict[Remaining, tuple[float, str]] = {}
    for f in p.failures:
        due = due_requests_per_second(p, w, o, f, h)
        remaining = remaining_parts(p, w, o, f)
        if due > 0 and due > most_due.get(remaining, (0.0, ""))[0]:
            most_due[remaining] = due, f
    return {remaining: f for remaining, (_, f) in most_due.items()}


def without_weights(p: Problem) -> list[tuple[str, str, str]]:
    """(w, o, f) of which something is due, and no edge of normal operation remains to send it over."""
    unroutable = []
    for h in p.hours:
        for w, o in p.flows:
            for remaining, f in hardest(p, w, o, h).items():
                if set(p.edges[w, o]) <= _dead(remaining):
                    unroutable.append((w, o, f))
    return unroutable


def _dead(remaining: Remaining) -> set[str]:
    return {e for e, part in remaining if part <= 0}


def least_reserve(p: Problem, w: str, o: str, h: str, hard: dict[Remaining, str]) -> float:
    """What the reserves of (w, o) come to at the least, in every plan [requests/s].

    Formula
        Σ_e reserve[e]  ≥  Σ_f due[f] / (k − 1)      for k failures that together leave no edge alive
    since what is dead in f is at most Σ reserve − due[f], and the dead parts cover all edges. The failures are taken
    greedily: each kills most of what remains.
    """
    dues = {remaining: due_requests_per_second(p, w, o, f, h) for remaining, f in hard.items()}
    dead = {remaining: _dead(remaining) for remaining in hard}
    waiting, cover = set(p.edges[w, o]), list[Remaining]()
    while waiting:
        best = max(dead, key=lambda key: (len(dead[key] & waiting), dues[key], key), default=None)
        if best is None or not dead[best] & waiting:
            return max(dues.values(), default=0.0)
        cover.append(best)
        waiting -= dead[best]
    covered = sum(dues[remaining] for remaining in cover) / (len(cover) - 1) if len(cover) > 1 else 0.0
    return max([covered, *dues.values()])


def renormalised(p: Problem, x: Decisions, w: str, o: str, e: str, s: State) -> float:
    """What a gateway sends over an edge in a state: its share of what comes in, its reserve at most [requests/s].

    Formula
        min(remaining, coverable · offered · remaining / Σ_e remaining)
        remaining = available[e,f] · reserve[w,o,e,h]

    For numbers only.
    """
    h, f, _ = s
    remaining = available(p, e, f) * x.reserve[w, o, e, h]
    if remaining <= 0 or e not in reserved_edges(p, w, o, f):
        return 0.0
    comes_in = p.coverable[f].get((w, o), 1.0) * requests_per_second(p, w, o, s)
    return float(min(remaining, comes_in * remaining / remaining_reserve(p, x, w, o, s)))


def whole_survivors(p: Problem, x: Decisions, e: str, s: State) -> int:
    """Whole replicas of a placement that survive a failure."""
    lost = replicas_targeted(p, x, e, s) if p.failures[s[1]].targeted == e else 0.0
    return math.floor(max(0.0, float(survivors(p, x, e, s) - lost)) + ROUNDING)


def splits_replicas(p: Problem, e: str, f: str) -> bool:
    """Whether a failure leaves a part of a placement's replicas: whole ones must be counted."""
    return p.failures[f].targeted == e or 0 < available(p, e, f) < 1


def warm(p: Problem, x: Decisions, e: str, s: State) -> Linear:
    """Replicas that run in a state when nothing is started and nothing evicted [replicas]."""
    if is_normal(s):
        return x.replicas[e, s[0]]
    surviving = survivors(p, x, e, s)
    if not splits_replicas(p, e, s[1]):
        return surviving
    numbers = is_number(x.replicas[e, s[0]]) and is_number(surviving)
    return whole_survivors(p, x, e, s) if numbers else x.kept[e, s]


def conditions(p: Problem, h: str) -> dict[str, tuple[State, ...]]:
    """Placement -> normal operation, and a state of the hour for each different condition that failures leave it in."""
    states: dict[str, dict[object, State]] = {e: {NORMAL: (h, NORMAL, 0.0)} for e in p.placements}
    for f, failure in p.failures.items():
        if f == NORMAL:
            continue
        counted_less = {p.pool_of[b] for b in p.counted[f]} & p.with_spot
        for e, by_condition in states.items():
            part = available(p, e, f)
            if part > 0:
                condition = (part, p.pool_of[e] in counted_less, f if failure.targeted == e else None)
                by_condition.setdefault(condition, (h, f, p.deadlines_seconds[f][0]))
    return {e: tuple(by_condition.values()) for e, by_condition in states.items()}


def headrooms(p: Problem, h: str) -> dict[tuple[str, str], float]:
    """(w, o) -> factor by which reserves are above the traffic of normal operation, at the least, in every plan."""
    factors = dict.fromkeys(p.flows, 1.0)
    for w, o in p.flows:
        wanted = requests_per_second(p, w, o, (h, NORMAL, 0.0))
        if wanted > 0:
            factors[w, o] = max(1.0, least_reserve(p, w, o, h, hardest(p, w, o, h)) / wanted)
    return factors


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


def rescales(p: Problem) -> bool:
    """Whether gateways fail over by themselves."""
    return p.failover == "rescale"


def reserves_cover_what_is_due(p: Problem, x: Decisions) -> Iterator[Row]:
    """The remaining reserves cover what is due, in normal operation and in every failure.

    Formula
        Σ_e available[e,f] · reserve[w,o,e,h]  ≥  due[w,o,f] · demand[w,o,h] · surge[f]      ∀ w, o, h, f
    Units
        requests/s
    Rows
        (workload, origin, hour, failure), one for failures that leave the same; due: by the last deadline
    Marginal value
        what one request/s less in that failure would save [USD]: the price of the goal
    Source
        forward fault correction: Liu et al., Traffic engineering with forward fault correction, SIGCOMM 2014
    """
    for h in p.hours if rescales(p) else ():
        for w, o in p.flows:
            for f in hardest(p, w, o, h).values():
                reserve, due = (
                    remaining_reserve(p, x, w, o, last_state(p, f, h)),
                    due_requests_per_second(p, w, o, f, h),
                )
                yield Row((w, o, h, f), reserve, ">=", due, flow_size(p, w, o, h))


def replicas_carry_what_is_reserved(p: Problem, x: Decisions) -> Iterator[Row]:
    """The remaining replicas carry the remaining reserves, all of them used at the same time.

    Formula
        Σ_w,o replica_seconds[w,e] · burst_factor[w] · available[e,f] · reserve[w,o,e,h]  ≤  utilisation · warm[e,f,h]
        in normal operation reserve / headroom[w,o]: no less than that above traffic in every plan
    Units
        replicas (replica-seconds per second)
    Rows
        (placement, hour, failure), one for failures that leave the same of it; warm: whole replicas that survive
    Marginal value
        what one more warm replica would save [USD]
    Source
        forward fault correction: Liu et al., Traffic engineering with forward fault correction, SIGCOMM 2014
    """
    for h in p.hours if rescales(p) else ():
        above = headrooms(p, h)
        for e, conditions_of in conditions(p, h).items():
            for s in conditions_of:
                limit = p.utilisation_normal if is_normal(s) else p.utilisation_in_failure
                yield Row((e, h, s[1]), work_at_most(p, x, e, s, above), "<=", total([(limit, warm(p, x, e, s))]))


def warm_replicas_stand_on_machines(p: Problem, x: Decisions) -> Iterator[Row]:
    """Where a pool's partial loss falls on one placement, machines remain for it and for the others.

    Formula
        Σ_e machines_per_replica[e] · warm[e,f,h]  ≤  machines up[q,f,h]
    Units
        machines
    Rows
        (pool, hour, failure), for losses that fall on one placement; of others each placement loses its part
    Marginal value
        what one more machine there would save [USD]
    """
    for f, failure in p.failures.items() if rescales(p) else ():
        q = p.pool_of.get(failure.targeted or "", "")
        for h in p.hours if q else ():
            s = (h, f, p.deadlines_seconds[f][0])
            stand = total((p.machines_per_replica[e], warm(p, x, e, s)) for e in p.on_pool[q])
            yield Row((q, h, f), stand, "<=", machines_in_service(p, x, q, s))


def components_pass_what_is_reserved(p: Problem, x: Decisions) -> Iterator[Row]:
    """A gateway or an ingress lets through what comes in, or else all that the reserves let on.

    Formula
        Σ_w,o,e fraction[c,(w,o,e),f] · (available[e,f] · reserve[w,o,e,h], or at entries what comes in, if it fits)
            ≤  most_requests_per_second[c] · available[c,f]
        fraction: 1 where c cannot be avoided; over alternatives by what each lets through, as nothing steers it
    Units
        requests/s
    Rows
        (component, hour, failure), for components that let only so many requests through
    Marginal value
        what one request/s more through this component would save [USD]
    """
    for f in p.failures if rescales(p) and p.request_limits.components else ():
        fractions = met_fractions(p, f)
        for h in p.hours:
            s, above = last_state(p, f, h), headrooms(p, h) if f == NORMAL else {}
            for c in p.request_limits.components:
                component_throughput = throughput_at_most(p, x, c, fractions[c], s, above)
                yield Row((c, h, f), component_throughput, "<=", lets_through(p, c, f), request_limit_size(p, c))


def weights_keep_to_shares(p: Problem, x: Decisions) -> Iterator[Row]:
    """No component is sent more than its share of all requests in normal operation, by the weights.

    Formula
        Σ_(w,o,e) with the component reserve[w,o,e,h] / headroom[w,o]  ≤  most_fraction · Σ_(w,o) demand[w,o,h]
    Units
        requests/s
    Rows
        (component, hour)
    Marginal value
        what one request/s more on that component would save [USD]
    """
    for h in p.hours if rescales(p) and p.shares else ():
        above, s = headrooms(p, h), (h, NORMAL, 0.0)
        most = sum(p.demand_requests_per_second[w, o, h] for w, o in p.flows)
        for share in p.shares:
            sent = total((1.0, v) for e in sorted(share.placements) for v in sent_at_most(p, x, e, s, above).values())
            yield Row((share.component, h), sent, "<=", share.most_fraction * most, size_of_all(p))


def gateways_renormalise(p: Problem, x: Decisions, s: State) -> Iterator[Row]:
    """Traffic is what gateways send that renormalise their weights over what remains, up to their limits.

    Formula
        traffic[w,o,e,s]  =  min(remaining[e], coverable · offered · remaining[e] / Σ_e remaining[e])
        remaining  =  available · reserve
        in the program, where it is no linear row: headroom[w,o] · traffic[w,o,e,(h,normal)]  ≤  reserve[w,o,e,h]
    Units
        requests/s
    Rows
        (workload, origin, placement, state)
    Marginal value
        none of its own: normal operation and failures follow from the reserves
    """
    if not rescales(p):
        return
    above = headrooms(p, s[0]) if is_normal(s) else {}
    for w, o in p.flows:
        for e in p.edges[w, o]:
            traffic, reserve = x.traffic[w, o, e, s], x.reserve[w, o, e, s[0]]
            if is_number(traffic) and is_number(reserve):
                yield Row((w, o, e, s), traffic, "==", renormalised(p, x, w, o, e, s), flow_size(p, w, o, s[0]))
            elif is_normal(s):
                yield Row((w, o, e, s), total([(above[w, o], traffic)]), "<=", reserve, flow_size(p, w, o, s[0]))
    for w, o in p.flows:
        for e in p.edges_in_failure[w, o]:
            if e not in p.edges[w, o] and is_number(x.traffic[w, o, e, s]) and (w, o, e, s) in x.traffic:
                yield Row((w, o, e, s, "no weight"), x.traffic[w, o, e, s], "<=", 0.0, flow_size(p, w, o, s[0]))


def limits_are_of_edges(p: Problem, x: Decisions) -> Iterator[Row]:
    """No gateway has a weight on what is not an edge of normal operation.

    Formula
        reserve[w,o,e,h]  =  0      where e is not an edge of (w,o) in normal operation
    Units
        requests/s
    Rows
        (workload, origin, placement, hour); the program has no such columns, the audit looks
    Marginal value
        none: eligibility is the same in every failure, but for the round trip
    """
    for (w, o, e, h), reserve in x.reserve.items() if rescales(p) else ():
        if (w, o) not in p.edges or e not in reserved_edges(p, w, o, NORMAL):
            yield Row((w, o, e, h), reserve, "<=", 0.0, flow_size(p, w, o, h))
