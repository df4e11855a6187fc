"""Limits of gateways that renormalise fixed weights over what remains: the sums, and the rules that they make up.

A reserve is what a gateway may send over an edge at most [requests/s], in normal operation and in every failure. Its
weights are proportional to it. A placement that is lost in part gets that part of its weight, and of its reserve.

The rules say nothing unless the study asks for `failover: rescale`. Together they are sufficient, not necessary:
reserves that meet them survive every failure, whatever else the gateways send up to their limits.
"""

import math
from collections.abc import Iterator, Mapping

from planner.problem.algebra import Linear, Row, is_number, total
from planner.problem.problem import Decisions, Problem, State, flow_size, size_of_all
from planner.problem.rules.formulas import (
    available,
    due_fraction,
    is_normal,
    lets_through,
    machines_in_service,
    replicas_targeted,
    request_limit_size,
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


def remaining_parts(p: Problem, w: str, o: str, f: str) -> Left:
    """Edges of (w, o) of which a failure leaves less than all, with what it leaves; 0 for those it forbids."""
    lost, may = p.lost[f], set(reserved_edges(p, w, o, f))
    return tuple((e, lost.get(e, 1.0) if e in may else 0.0) for e in p.edges[w, o] if e in lost or e not in may)


def remaining_reserve(p: Problem, x: Decisions, w: str, o: str, s: State) -> Linear:
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
        left = remaining_parts(p, w, o, f)
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
    return float(min(left, comes_in * left / remaining_reserve(p, x, w, o, s)))


def whole_survivors(p: Problem, x: Decisions, e: str, s: State) -> int:
    """Whole replicas of a placement that survive a failure."""
    hit = replicas_targeted(p, x, e, s) if p.failures[s[1]].targeted == e else 0.0
    return math.floor(max(0.0, float(survivors(p, x, e, s) - hit)) + ROUNDING)


def splits_replicas(p: Problem, e: str, f: str) -> bool:
    """Whether a failure leaves a part of a placement's replicas: whole ones must be counted."""
    return p.failures[f].targeted == e or 0 < available(p, e, f) < 1


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
                hit = f if failure.targeted == e else None
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


def rescales(p: Problem) -> bool:
    """Whether gateways fail over by themselves."""
    return p.failover == "rescale"


def reserves_cover_what_is_due(p: Problem, x: Decisions) -> Iterator[Row]:
    """What is left of the reserves covers what is due, in normal operation and in every failure.

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
                left = remaining_reserve(p, x, w, o, last_state(p, f, h))
                yield Row((w, o, h, f), left, ">=", due_requests_per_second(p, w, o, f, h), flow_size(p, w, o, h))


def replicas_carry_what_is_reserved(p: Problem, x: Decisions) -> Iterator[Row]:
    """What is left of replicas carries what is left of reserves, all of them used at the same time.

    Formula
        Σ_w,o replica_seconds[w,e] · burst_factor[w] · available[e,f] · reserve[w,o,e,h]  ≤  utilisation · hot[e,f,h]
        in normal operation reserve / headroom[w,o]: no less than that above traffic in every plan
    Units
        replicas (replica-seconds per second)
    Rows
        (placement, hour, failure), one for failures that leave the placement alike; hot: whole replicas that survive
    Marginal value
        what one more hot replica would save [USD]
    Source
        forward fault correction: Liu et al., Traffic engineering with forward fault correction, SIGCOMM 2014
    """
    for h in p.hours if rescales(p) else ():
        above = headrooms(p, h)
        for e, found in conditions(p, h).items():
            for s in found:
                limit = p.utilisation_normal if is_normal(s) else p.utilisation_in_failure
                yield Row((e, h, s[1]), work_at_most(p, x, e, s, above), "<=", total([(limit, hot(p, x, e, s))]))


def warm_replicas_stand_on_machines(p: Problem, x: Decisions) -> Iterator[Row]:
    """Where a pool's partial loss falls on one placement, what is left of it and of the others has room.

    Formula
        Σ_e machines_per_replica[e] · hot[e,f,h]  ≤  machines up[q,f,h]
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
            stand = total((p.machines_per_replica[e], hot(p, x, e, s)) for e in p.on_pool[q])
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
    """Traffic is what gateways send that renormalise their weights over what is left, up to their limits.

    Formula
        traffic[w,o,e,s]  =  min(left[e], coverable · offered · left[e] / Σ_e left[e]),  left = available · reserve
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
