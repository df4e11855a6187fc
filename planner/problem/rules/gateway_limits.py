"""Limits of gateways that renormalise fixed weights over what remains: the sums, and the rules that they make up.

A reserve is what a gateway may send over an edge at most [requests/s], as long as nobody gives it new weights. Its
weights are proportional to it. A placement that is lost in part gets that part of its weight, and of its reserve.

The rules speak of normal operation and of the failures in which gateways keep their weights (`Problem.rescaled`), as
the study asks for `failover: rescale`, or such a failure does, or what pushing needs is lost in it. Together they are
sufficient, not necessary: reserves that meet them survive each of these failures, whatever else the gateways send up to
their limits. Here each flow is by itself, and edges are those of every state.
"""

from collections.abc import Iterator

import numpy as np

from planner.problem.algebra import Array, Rows, Vector, is_number, pick, spread, stacked, sum_by, total
from planner.problem.arrays import Arrays
from planner.problem.decisions import Vectors
from planner.problem.problem import Problem, State, size_of_all
from planner.problem.rules.formulas import (
    capacity,
    due_fraction,
    is_normal,
    lets_through,
    machines_in_service,
    met_fractions,
    replicas_targeted,
    request_limit_sizes,
    requests_per_second,
    survivors,
    targeted,
)
from planner.problem.things import Things, mask_of
from planner.study.dependencies import NORMAL
from planner.units import ROUNDING

Remaining = tuple[tuple[str, float], ...]
"""(placement, remaining fraction), for edges of which a failure takes something"""


def rescaled_failures(p: Problem) -> list[str]:
    """Failures in which gateways keep their weights, normal operation first; none where nobody's are fixed."""
    return [f for f in p.failures if f in p.rescaled]


def reserved_edges(p: Problem, w: str, o: str, f: str) -> tuple[str, ...]:
    """Edges with a weight that a failure does not forbid: those of normal operation that are near enough in it."""
    if f == NORMAL:
        return p.edges[w, o]
    near = set(p.edges_in_failure[w, o])
    return tuple(e for e in p.edges[w, o] if e in near)


def may_reserve(a: Arrays, f: str) -> Array:
    """Edges with a weight that a failure neither forbids nor kills [E]: see `reserved_edges`."""
    return a.may_serve(NORMAL) & a.may_serve(f)


def remaining_parts(p: Problem, w: str, o: str, f: str) -> Remaining:
    """Edges of (w, o) of which a failure leaves less than all, with the remaining part; 0 for those it forbids."""
    lost, may = p.lost[f], set(reserved_edges(p, w, o, f))
    return tuple((e, lost.get(e, 1.0) if e in may else 0.0) for e in p.edges[w, o] if e in lost or e not in may)


def remaining_reserve(a: Arrays, x: Vectors, s: State) -> Vector:
    """What the gateways may send for each flow in a state at most: the remaining reserves [requests/s; F].

    Formula
        Σ_e available[e,f] · reserve[w,o,e,h]      over live edges that have a weight
    """
    weight = a.available(s[1])[a.placement_of_edge] * may_reserve(a, s[1])
    return sum_by(weight * spread(x.reserve[s[0],], a.E), a.flow_of_edge, a.F)


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
    for f in rescaled_failures(p):
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


def renormalised(a: Arrays, x: Vectors, s: State) -> Array:
    """What gateways send over each edge in a state: its share of what comes in, its reserve at most [requests/s; E].

    Formula
        min(remaining, coverable · offered · remaining / Σ_e remaining)
        remaining = available[e,f] · reserve[w,o,e,h]

    For numbers only.
    """
    h, f, _ = s
    remaining = a.available(f)[a.placement_of_edge] * may_reserve(a, f) * spread(x.reserve[h,], a.E)
    comes_in = (a.requests(s) - a.uncoverable(s))[a.flow_of_edge]
    of_all = np.asarray(remaining_reserve(a, x, s))[a.flow_of_edge]
    share = np.divide(remaining, of_all, out=np.zeros(a.E), where=remaining > 0)
    return np.where(remaining > 0, np.minimum(remaining, comes_in * share), 0.0)


def whole_survivors(a: Things, x: Vectors, s: State) -> Array:
    """Whole replicas of each placement that survive a failure [P]."""
    surviving = np.array(survivors(a, x, s), dtype=float)
    if (only_one := targeted(a, s[1])).any():
        surviving[only_one] -= replicas_targeted(a, x, s)
    return np.asarray(np.floor(np.maximum(0.0, surviving) + ROUNDING))


def splits_replicas(a: Things, f: str) -> Array:
    """Whether a failure leaves a part of a placement's replicas: whole ones must be counted [P]."""
    part = a.available(f)
    return targeted(a, f) | ((part > 0) & (part < 1))


def warm(a: Things, x: Vectors, s: State) -> Vector:
    """Replicas that run in a state when nothing is started and nothing evicted [replicas; P]."""
    if is_normal(s):
        return x.replicas[s[0],]
    surviving, split = survivors(a, x, s), splits_replicas(a, s[1])
    if not split.any():
        return surviving
    counted = whole_survivors(a, x, s) if is_number(surviving) else spread(x.kept[s,], a.P)
    return surviving * ~split + counted * split


def conditions(a: Things, h: str) -> dict[State, Array]:
    """State of the hour -> placements [P] that it leaves in a condition in which no state before it leaves them."""
    p = a.p
    known: list[set[object]] = [set() for _ in p.placements]
    by_state: dict[State, Array] = {(h, NORMAL, 0.0): np.ones(a.P, dtype=bool)}
    for f in rescaled_failures(p):
        if f == NORMAL:
            continue
        failure = p.failures[f]
        part, less = a.available(f), a.counts_less(f)[a.pool_of_placement]
        goes_on, new = a.counts_more(f)[a.offer_of_pair], np.zeros(a.P, dtype=bool)
        for i, e in enumerate(p.placements):
            on_offers = tuple(goes_on[a.placement_of_pair == i].tolist()) if less[i] else ()
            condition = (float(part[i]), bool(less[i]), on_offers, f if failure.targeted == e else None)
            if part[i] > 0 and condition not in known[i]:
                known[i].add(condition)
                new[i] = True
        if new.any():
            by_state[h, f, p.deadlines_seconds[f][0]] = new
    return by_state


def headrooms(a: Arrays, h: str) -> Array:
    """Factor by which reserves are above the traffic of normal operation, at the least, in every plan [F]."""
    p, factors = a.p, np.ones(a.F)
    for i, (w, o) in enumerate(p.flows):
        wanted = requests_per_second(p, w, o, (h, NORMAL, 0.0))
        if wanted > 0:
            factors[i] = max(1.0, least_reserve(p, w, o, h, hardest(p, w, o, h)) / wanted)
    return factors


def sent_at_most(a: Arrays, x: Vectors, s: State, above: Array) -> Vector:
    """Requests/s over each edge in a state at most [E]; `above`: as `headrooms`, used when normal.

    Formula
        available[e,f] · reserve[w,o,e,h]; in normal operation reserve[w,o,e,h] / headroom[w,o]
    """
    weighted = a.may_serve(NORMAL)
    if is_normal(s):
        part = weighted / above[a.flow_of_edge]
    else:
        part = weighted * a.may_serve(s[1]) * a.available(s[1])[a.placement_of_edge]
    return part * spread(x.reserve[s[0],], a.E)


def work_at_most(a: Arrays, x: Vectors, s: State, above: Array) -> Vector:
    """Work that each placement is sent in a state at most, at its peak [replica-seconds/s; P]."""
    return sum_by(a.replica_seconds(s[1]) * sent_at_most(a, x, s, above), a.placement_of_edge, a.P)


def throughput_at_most(a: Arrays, x: Vectors, s: State, above: Array) -> Vector:
    """Requests that pass each component in a state at most [requests/s; C].

    Where all edges of a flow pass it alike, at the entry of a workload or an origin, what comes in, where it fits; else
    what the reserves let on.
    """
    fraction, most = met_fractions(a, s[1]), lets_through(a, s[1])
    normal, at_entry = np.flatnonzero(a.may_serve(NORMAL)), np.full((len(a.components), a.F), np.inf)
    for c in range(len(a.components)):
        np.minimum.at(at_entry[c], a.flow_of_edge[normal], fraction[c, normal])
    at_entry[np.isinf(at_entry)] = 0.0
    comes_in = at_entry @ (a.requests(s) - a.uncoverable(s))
    fits = comes_in <= most
    sent = sent_at_most(a, x, s, above)
    through = []
    for c in range(len(a.components)):
        beyond = fraction[c] - (at_entry[c][a.flow_of_edge] if fits[c] else 0.0)
        through.append(total(beyond * sent) + (comes_in[c] if fits[c] else 0.0))
    return stacked(through)


def reserves_cover_what_is_due(a: Arrays, x: Vectors) -> Iterator[Rows]:
    """The remaining reserves cover what is due, in normal operation and wherever gateways keep their weights.

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
    p = a.p
    for h in p.hours if p.rescaled else ():
        by_failure: dict[str, list[int]] = {}
        for i, (w, o) in enumerate(p.flows):
            for f in hardest(p, w, o, h).values():
                by_failure.setdefault(f, []).append(i)
        for f, flows in by_failure.items():
            s, at = last_state(p, f, h), np.array(flows)
            of = [a.flows[i] for i in flows]
            reserve = pick(remaining_reserve(a, x, s), at)
            yield Rows(of, (h, f), reserve, ">=", a.due(s)[at], a.sizes(h)[at])


def replicas_carry_what_is_reserved(a: Arrays, x: Vectors) -> Iterator[Rows]:
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
    p = a.p
    for h in p.hours if p.rescaled else ():
        above = headrooms(a, h)
        for s, placements in conditions(a, h).items():
            work = work_at_most(a, x, s, above)
            yield Rows(a.placements, (h, s[1]), work, "<=", capacity(a, s[1], warm(a, x, s))).only(placements)


def warm_replicas_stand_on_machines(a: Arrays, x: Vectors) -> Iterator[Rows]:
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
    p = a.p
    for f in rescaled_failures(p):
        failure = p.failures[f]
        if failure.targeted is None or failure.targeted not in a.placement_at:
            continue
        pool = np.array([a.pool_at[p.pool_of[failure.targeted]]])
        for h in p.hours:
            s = (h, f, p.deadlines_seconds[f][0])
            stand = sum_by(a.machines_per_replica * warm(a, x, s), a.pool_of_placement, a.Q)
            up = pick(machines_in_service(a, x, s), pool)
            yield Rows([(p.pool_of[failure.targeted],)], (h, f), pick(stand, pool), "<=", up)


def components_pass_what_is_reserved(a: Arrays, x: Vectors) -> Iterator[Rows]:
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
    p = a.p
    for f in rescaled_failures(p) if a.components else ():
        for h in p.hours:
            s = last_state(p, f, h)
            above = headrooms(a, h) if f == NORMAL else np.ones(a.F)
            through = throughput_at_most(a, x, s, above)
            yield Rows(a.components, (h, f), through, "<=", lets_through(a, f), request_limit_sizes(a))


def weights_keep_to_shares(a: Arrays, x: Vectors) -> Iterator[Rows]:
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
    p = a.p
    for h in p.hours if p.rescaled and p.shares else ():
        s = (h, NORMAL, 0.0)
        sent = sent_at_most(a, x, s, headrooms(a, h))
        for share in p.shares:
            among = mask_of(share.placements, p.placements)[a.placement_of_edge]
            most = share.most_fraction * float(a.requests(s).sum())
            yield Rows([(share.component,)], (h,), total(among * sent), "<=", most, size_of_all(p))


def gateways_renormalise(a: Arrays, x: Vectors, s: State) -> Iterator[Rows]:
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
    if s[1] not in a.p.rescaled:
        return
    weighted, size = a.may_serve(NORMAL), a.sizes(s[0])[a.flow_of_edge]
    traffic, reserve = x.traffic[s,], spread(x.reserve[s[0],], a.E)
    if is_number(traffic) and is_number(reserve):
        yield Rows(a.edges, (s,), traffic, "==", renormalised(a, x, s), size).only(weighted)
    elif is_normal(s):
        above = headrooms(a, s[0])[a.flow_of_edge]
        yield Rows(a.edges, (s,), above * traffic, "<=", reserve, size).only(weighted)
    if is_number(traffic):
        yield Rows(a.edges, (s, "no weight"), traffic, "<=", 0.0, size).only(~weighted)


def limits_are_of_edges(a: Arrays, x: Vectors) -> Iterator[Rows]:
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
    for h in a.p.hours if a.p.rescaled else ():
        size = a.sizes(h)[a.flow_of_edge]
        yield Rows(a.edges, (h,), x.reserve[h,], "<=", 0.0, size).only(~a.may_serve(NORMAL))
