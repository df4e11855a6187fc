"""Rules that bound one variable of a state by what is bought: the name is the sentence that must hold."""

from collections.abc import Iterator

from planner.problem.algebra import Row, is_number, total
from planner.problem.decisions import Decisions
from planner.problem.problem import Problem, State, flow_size, most_machines, taken_up
from planner.problem.rules.costs import outage_size_usd, outage_usd
from planner.problem.rules.formulas import (
    alternatives_size,
    available,
    can_load,
    drawn_upon,
    due_fraction,
    is_normal,
    lets_through,
    limit_there,
    limit_used,
    live_edges,
    live_placements,
    machines_standing,
    machines_to_obtain,
    machines_up,
    replicas_hit,
    request_limit_size,
    requests_per_second,
    survivors,
    units_at_pool,
    waits,
)


def requests_go_where_they_may(p: Problem, x: Decisions, s: State) -> Iterator[Row]:
    """No request goes over an edge that does not exist: ineligible, too far, or dead in this failure.

    Formula
        traffic[w,o,e,s]  =  0      where e is not a live edge of (w,o) in f
    Units
        requests/s
    Rows
        (workload, origin, placement, state); the program has no such columns, the audit looks
    Marginal value
        none: eligibility is the same in every failure, but for the round trip
    """
    for w, o in p.flows:
        live = set(live_edges(p, w, o, s[1]))
        for e in p.placements:
            if e not in live and (w, o, e, s) in x.traffic:
                yield Row((w, o, e, s), x.traffic[w, o, e, s], "<=", 0.0, flow_size(p, w, o, s[0]))


def components_pass_what_they_can(p: Problem, x: Decisions, s: State) -> Iterator[Row]:
    """A gateway or an ingress lets no more requests through than it can, of what is left of it.

    Formula
        component_throughput[c,s]  ≤  most_requests_per_second[c] · available[c,f]
    Units
        requests/s
    Rows
        (component, state), for components that let only so many requests through
    Marginal value
        what one request/s more through this component would save [USD]
    """
    for c in p.request_limits.components:
        yield Row((c, s), x.component_throughput[c, s], "<=", lets_through(p, c, s[1]), request_limit_size(p, c))


def no_request_passes_a_closed_alternative(p: Problem, x: Decisions, s: State) -> Iterator[Row]:
    """No request passes an alternative that is dead, or of which something that it needs is.

    Formula
        throughput[a,s]  =  0      where available = 0
    Units
        requests/s
    Rows
        (alternative, state), for those that are closed (the program has no such columns, the audit looks)
    Marginal value
        none: no capacity helps
    """
    for alternatives in p.request_limits.alternatives:
        for a in sorted(p.closed[s[1]].intersection(alternatives.ids)):
            if (a, s) in x.throughput:
                yield Row((a, s), x.throughput[a, s], "<=", 0.0, alternatives_size(p, alternatives))


def offered_is_demand(p: Problem, x: Decisions, s: State) -> Iterator[Row]:
    """What is offered in a state is the demand with its surge.

    Formula
        offered[w,o,s]  =  demand[w,o,h] · surge[f]      ∀ w, o, s, but for deferrable work in normal operation
    Units
        requests/s
    Rows
        (workload, origin, state)
    Marginal value
        what one request/s less would save [USD]
    """
    for w, o in p.flows:
        if not waits(p, w, s):
            yield Row((w, o, s), x.offered[w, o, s], "==", requests_per_second(p, w, o, s), flow_size(p, w, o, s[0]))


def survival_goals_are_met(p: Problem, x: Decisions, s: State) -> Iterator[Row]:
    """No more is shed than the goals allow by this clock; normal operation is the failure in which nothing is lost.

    Formula
        shed[w,o,s]  ≤  (1 − due[w,o,s]) · demand[w,o,h] · surge[f]      ∀ w, o, s
    Units
        requests/s
    Rows
        (workload, origin, state)
    Marginal value
        what one request/s of leniency would save [USD]: the price of the goal
    """
    for w, o in p.flows:
        allowed = (1 - due_fraction(p, w, o, s)) * requests_per_second(p, w, o, s)
        yield Row((w, o, s), x.shed[w, o, s], "<=", allowed, flow_size(p, w, o, s[0]))


def an_outage_costs_what_is_not_served(p: Problem, x: Decisions, s: State) -> Iterator[Row]:
    """An outage costs what is shed while it lasts, and what serving costs beyond normal operation.

    Formula
        outage_usd[f]  ≥  Σ over its clocks, until repair, of what requests cost, served or not (costs.outage_usd)
    Units
        USD of one occurrence
    Rows
        (failure), for priced failures, with the last state of its block
    Marginal value
        how often it is reckoned with
    """
    h, f, c = s
    if f in p.priced and h == p.hours[-1] and c == p.deadlines_seconds[f][-1]:
        yield Row((f,), x.outage[f,], ">=", outage_usd(p, x, f), outage_size_usd(p))


def no_request_passes_a_dead_component(p: Problem, x: Decisions, s: State) -> Iterator[Row]:
    """What a dead login, gateway or origin keeps out is not served, whatever the capacity.

    Formula
        shed[w,o,s]  ≥  (1 − coverable[f,w,o]) · demand[w,o,h] · surge[f]
    Units
        requests/s
    Rows
        (workload, origin, state), where something is uncoverable
    Marginal value
        none: no capacity helps
    """
    for (w, o), fraction in p.coverable[s[1]].items():
        least = (1 - fraction) * requests_per_second(p, w, o, s)
        yield Row((w, o, s), x.shed[w, o, s], ">=", least, flow_size(p, w, o, s[0]))


def survivors_only(p: Problem, x: Decisions, s: State) -> Iterator[Row]:
    """Only machines that survive, are usable, counted and not lent to others are used.

    Formula
        normal:      machines[q,s] ≤ usable[q] · ((held + bought)[q] − claims[q]) − spare[q] · opened[q]
        in failures: machines[q,s] ≤ available[q,f] · usable[q] · ((held + counted)[q] − claims still out)
    Units
        machines
    Rows
        (pool, state), for pools with a placement that is not dead
    Marginal value
        what one more machine that survives would save [USD]
    """
    for q in p.pools:
        if (q, s) in x.machines:
            yield Row((q, s), x.machines[q, s], "<=", machines_standing(p, x, q, s))


def only_what_is_left_is_obtained(p: Problem, x: Decisions, s: State) -> Iterator[Row]:
    """In a failure no more is obtained than the study counts on, nor than quotas and power leave.

    Formula
        obtained[q,s]  ≤  available[q,f] · usable[q] · Σ_b fraction[b,f] · machines_per_unit[b] · (most − units)[b]
                          over the offers that have come by now
        drawn[l,s]  ≤  what there is of l in the hour − what is held and bought takes of it
    Units
        machines; the limit's: machines, vcpu, chips, kW
    Rows
        (pool, state) and (limit, state), for pools in which the study counts on machines to be obtained
    Marginal value
        what one more that can be had would save [USD]
    """
    for q in sorted(p.may_obtain):
        if (q, s) in x.obtained:
            yield Row((q, s), x.obtained[q, s], "<=", machines_to_obtain(p, x, q, s))
    for n in drawn_upon(p):
        limit = p.limits[n]
        if (n, s) in x.drawn and (limit.periods is None or p.period_of[s[0]] in limit.periods):
            left = total([(1.0, limit_there(p, x, n, s[0])), (-1.0, limit_used(p, x, n, s[0]))])
            yield Row((limit.name, s), x.drawn[n, s], "<=", left)


def replicas_run_in_normal_operation(p: Problem, x: Decisions, s: State) -> Iterator[Row]:
    """The replicas that failures may count on run, on machines, in normal operation.

    Formula
        kept[e,(h,normal)]  =  replicas[e,h]      ∀ e, h
    Units
        replicas
    Rows
        (placement, state), normal operation only
    Marginal value
        what a replica that ran for nothing would save [USD]
    """
    if is_normal(s):
        for e in p.placements:
            yield Row((e, s), x.kept[e, s], "==", x.replicas[e, s[0]])


def no_replica_before_its_cold_start_ends(p: Problem, x: Decisions, s: State) -> Iterator[Row]:
    """What runs without having been loaded since is what survived; nothing is loaded before its time.

    Formula
        kept[e,s]  ≤  available[e,f] · replicas[e,h]      (firm[e,h] in pools of which some offer counts less)
        kept[e,s]  ≤  max(0, replicas[e,h] − hit[e,s])    where all of the pool's partial loss falls on e:
            kept ≤ M · spared,  kept ≤ replicas − hit + M · (1 − spared),  spared 0 or 1
        loaded[e,s]  ≤  0      where detection_seconds + load_seconds[e] > c, and in normal operation
    Units
        replicas
    Rows
        (placement, state), for placements that are not dead; kept in failures only
    Marginal value
        what one more hot replica would save [USD]
    """
    for e in live_placements(p, s[1]):
        if e == p.failures[s[1]].hit:
            yield from _kept_of_what_is_hit(p, x, e, s)
        elif not is_normal(s):
            yield Row((e, s, "kept"), x.kept[e, s], "<=", survivors(p, x, e, s))
        if not can_load(p, e, s):
            yield Row((e, s, "cold_started"), x.cold_started[e, s], "<=", 0.0)


def _kept_of_what_is_hit(p: Problem, x: Decisions, e: str, s: State) -> Iterator[Row]:
    """kept ≤ max(0, replicas − hit): for numbers as it stands, for variables by a choice."""
    whole, hit = survivors(p, x, e, s), replicas_hit(p, x, e, s)
    if is_number(whole) and is_number(hit):
        yield Row((e, s, "kept"), x.kept[e, s], "<=", max(0.0, whole - hit))
        return
    most = most_machines(p, p.pool_of[e]) / p.machines_per_replica[e] + 1
    spared = x.spared[e, s]
    yield Row((e, s, "kept", "spared"), x.kept[e, s], "<=", total([(most, spared)]))
    left = total([(1.0, whole), (-1.0, hit), (most, 1.0), (-most, spared)])
    yield Row((e, s, "kept"), x.kept[e, s], "<=", left)
    yield Row((e, s, "spared"), spared, "<=", 1.0)


def only_the_living_run(p: Problem, x: Decisions, s: State) -> Iterator[Row]:
    """A dead placement runs nothing, also after its load time; a partly dead one stays within its part of the pool.

    Formula
        kept[e,s] ≤ 0,  loaded[e,s] ≤ 0      where available[e,f] = 0
        machines_per_replica[e] · occupied[e,s]  ≤  available[e,f] / available[q,f] · (machines up)[q,s]
                                             where 0 < available[e,f] < available[q,f]
    Units
        replicas
    Rows
        (placement, state), for dead placements (the program has no such columns, the audit looks) and partly dead ones
    Marginal value
        none: nothing can be bought
    """
    for e in p.placements:
        if available(p, e, s[1]) <= 0:
            yield Row((e, s, "kept"), x.kept[e, s], "<=", 0.0)
            yield Row((e, s, "cold_started"), x.cold_started[e, s], "<=", 0.0)
        elif available(p, e, s[1]) < available(p, p.pool_of[e], s[1]):
            part = available(p, e, s[1]) / available(p, p.pool_of[e], s[1]) / p.machines_per_replica[e]
            yield Row((e, s, "part"), x.occupied[e, s], "<=", total([(part, machines_up(p, x, p.pool_of[e], s))]))


def a_unit_opens_what_it_serves(p: Problem, x: Decisions, s: State) -> Iterator[Row]:
    """A pool of few large units serves nothing before a unit is bought (strengthens the relaxation).

    Formula
        traffic[w,o,e,s]  ≤  most[w,o,s] · Σ_b units[b]      e in q, q of few large units, nothing held
        most  =  demand[w,o,h] · surge[f];  of work that waits: all that the hour could take up
    Units
        requests/s
    Rows
        (workload, origin, placement, state), but for pools in which machines can be obtained during the failure
    Marginal value
        none of its own: implied by the other rules once units are whole, as nothing else stands in these pools
    Source
        the strong formulation of facility location
    """
    obtainable = {p.pool_of[b] for b in p.obtainable[s[1]]}
    opened = {q: units_at_pool(p, x, q, s[0]) for q in sorted(p.few_large_units - obtainable)}
    for w, o in p.flows if opened else ():
        for e in live_edges(p, w, o, s[1]):
            if p.pool_of[e] in opened:
                wanted = taken_up(p, w, o, s[0]) if waits(p, w, s) else requests_per_second(p, w, o, s)
                most = total([(wanted, opened[p.pool_of[e]])])
                yield Row((w, o, e, s), x.traffic[w, o, e, s], "<=", most, flow_size(p, w, o, s[0]))
