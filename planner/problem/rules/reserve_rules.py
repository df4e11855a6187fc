"""The rules of rescaling: gateways renormalise fixed weights over what is left; nothing is started or let go.

They say nothing unless the study asks for `failover: rescale`. Together they are sufficient, not necessary: reserves
that meet them survive every failure, whatever else the gateways send up to their limits.
"""

from collections.abc import Iterator

from planner.problem.algebra import Row, is_number, total
from planner.problem.decisions import Decisions
from planner.problem.problem import Problem, State, flow_size, size_of_all
from planner.problem.rules.formulas import is_normal, lets_through, machines_standing, request_limit_size
from planner.problem.rules.reserves import (
    conditions,
    due_requests_per_second,
    hardest,
    headrooms,
    hot,
    last_state,
    met_fractions,
    renormalised,
    reserve_left,
    reserved_edges,
    sent_at_most,
    throughput_at_most,
    work_at_most,
)
from planner.study.dependencies import NORMAL


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
                left = reserve_left(p, x, w, o, last_state(p, f, h))
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


def hot_replicas_stand_on_machines(p: Problem, x: Decisions) -> Iterator[Row]:
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
        q = p.pool_of.get(failure.hit or "", "")
        for h in p.hours if q else ():
            s = (h, f, p.deadlines_seconds[f][0])
            stand = total((p.machines_per_replica[e], hot(p, x, e, s)) for e in p.on_pool[q])
            yield Row((q, h, f), stand, "<=", machines_standing(p, x, q, s))


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


RESERVE_RULES = (
    reserves_cover_what_is_due,
    replicas_carry_what_is_reserved,
    hot_replicas_stand_on_machines,
    components_pass_what_is_reserved,
    weights_keep_to_shares,
    limits_are_of_edges,
)
RESERVE_RELAXABLE = {
    "reserves_cover_what_is_due": "by policy",
    "replicas_carry_what_is_reserved": "by buying",
    "hot_replicas_stand_on_machines": "by buying",
    "components_pass_what_is_reserved": "by buying",
    "weights_keep_to_shares": "by policy",
}
