"""Rules of every state, normal operation and failures alike: the name is the sentence that must hold."""

from collections.abc import Iterator

from planner.problem.algebra import Row, is_number, total
from planner.problem.decisions import Decisions
from planner.problem.problem import ANY_HOUR, Problem, State, flow_size, taken_up
from planner.problem.rules.formulas import (
    alternatives_size,
    is_normal,
    lets_through,
    live_edges,
    live_placements,
    machines_in_service,
    replica_seconds_used,
    request_limit_size,
    requests_divided,
    requests_per_second,
    requests_through,
    running,
    served,
    units_at_pool,
    waits,
)


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


def demand_is_served(p: Problem, x: Decisions, s: State) -> Iterator[Row]:
    """Every request is served or counted as shed.

    Formula
        Σ_e traffic[w,o,e,s] + shed[w,o,s] + excess[w,o,s]  =  offered[w,o,s]      ∀ w, o, s
    Units
        requests/s
    Rows
        (workload, origin, state); excess is zero in every plan and freed in tests only
    Marginal value
        what one request/s less would save [USD]
    """
    for w, o in p.flows:
        accounted = total([(1.0, served(p, x, w, o, s)), (1.0, x.shed[w, o, s]), (1.0, x.excess[w, o, s])])
        yield Row((w, o, s), accounted, "==", x.offered[w, o, s], flow_size(p, w, o, s[0]))


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
    audited = is_number(next(iter(x.traffic.values()), 0.0))
    for w, o in p.flows:
        live = set(live_edges(p, w, o, s[1]))
        # a program has columns of edges only; a plan may say anything
        ends = p.placements if audited else dict.fromkeys((*p.edges_in_failure[w, o], *p.edges[w, o]))
        for e in ends:
            if e not in live and (w, o, e, s) in x.traffic:
                yield Row((w, o, e, s), x.traffic[w, o, e, s], "<=", 0.0, flow_size(p, w, o, s[0]))


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


def replicas_carry_traffic(p: Problem, x: Decisions, s: State) -> Iterator[Row]:
    """Running replicas carry the peak of their traffic without being filled beyond the limit.

    Formula
        Σ_w,o replica_seconds[w,e] · burst_factor[w] · traffic[w,o,e,s]  ≤  utilisation[s] · (kept + cold_started)[e,s]
    Units
        replicas (replica-seconds per second)
    Rows
        (placement, state), for placements that are not dead
    Marginal value
        what one more replica there would save [USD]
    """
    utilisation = p.utilisation_normal if is_normal(s) else p.utilisation_in_failure
    for e in live_placements(p, s[1]):
        yield Row((e, s), replica_seconds_used(p, x, e, s), "<=", total([(utilisation, running(x, e, s))]))


def nothing_is_served_before_a_replica_runs(p: Problem, x: Decisions, s: State) -> Iterator[Row]:
    """What takes next to nothing of a replica is not served without one.

    Formula
        traffic[w,o,e,s]  ≤  largest[w,o,h] · (kept + cold_started)[e,s]
                             where replica_seconds · burst_factor · largest < 0.001 · utilisation
        largest  =  demand[w,o,h] · the largest surge of all failures
    Units
        requests/s
    Rows
        (workload, origin, placement, state), for streams that ask for less than a thousandth of a replica there
    Marginal value
        none of its own: implied by replicas_carry_traffic where replicas are whole, but for rounding: to a solver a
        millionth of a replica is none
    """
    for w, o, e in p.negligible_flows.get(s[0], p.negligible_flows.get(ANY_HOUR, ())):
        if (w, o, e, s) in x.traffic:
            size = flow_size(p, w, o, s[0])
            yield Row((w, o, e, s), x.traffic[w, o, e, s], "<=", total([(size, running(x, e, s))]), size)


def a_unit_opens_what_it_serves(p: Problem, x: Decisions, s: State) -> Iterator[Row]:
    """A pool of few large units serves nothing before a unit is bought (strengthens the LP bound).

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


def running_replicas_stand_on_machines(p: Problem, x: Decisions, s: State) -> Iterator[Row]:
    """Running replicas, and in normal operation those of a rollout beside them, stand on machines that are up.

    Formula
        (1 + rollout_surge[e] in normal operation) · (kept + cold_started)[e,s]  ≤  occupied[e,s]
        Σ_e machines_per_replica[e] · occupied[e,s]  ≤  machines[q,s] + obtained[q,s]      ∀ q, s
    Units
        replicas; machines
    Rows
        (placement, state); (pool, state), for pools with a placement
    Marginal value
        what one more machine there saves [USD]: what a build-out must beat
    """
    alive = live_placements(p, s[1])
    for e in alive:
        surge = p.rollout_surge_fraction[e] if is_normal(s) else 0.0
        yield Row((e, s), total([(1 + surge, running(x, e, s))]), "<=", x.occupied[e, s])
    for q in p.pools:
        if terms := [(p.machines_per_replica[e], x.occupied[e, s]) for e in p.on_pool[q] if (e, s) in x.occupied]:
            up = x.machines[q, s]
            if (q, s) in x.obtained:
                up = total([(1.0, up), (1.0, x.obtained[q, s])])
            yield Row((q, s), total(terms), "<=", up)


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
            yield Row((q, s), x.machines[q, s], "<=", machines_in_service(p, x, q, s))


def throughput_is_counted(p: Problem, x: Decisions, s: State) -> Iterator[Row]:
    """Requests that pass a component with a limit are counted, each once.

    Formula
        component_throughput[c,s]  =  Σ_w,o,e that cannot avoid c traffic[w,o,e,s]  +  Σ_a that are c throughput[a,s]
    Units
        requests/s
    Rows
        (component, state), for components that let only so many requests through
    Marginal value
        none of its own
    """
    for c in p.request_limits.components:
        size = request_limit_size(p, c)
        yield Row((c, s), requests_through(p, x, c, s), "==", x.component_throughput[c, s], size)


def each_request_passes_one_alternative(p: Problem, x: Decisions, s: State) -> Iterator[Row]:
    """Where any of some components will do each request passes one of them.

    Formula
        Σ_a throughput[a,s]  =  Σ_w,o,e that pass one of the alternatives a traffic[w,o,e,s]
    Units
        requests/s
    Rows
        (alternatives, state)
    Marginal value
        none of its own
    """
    for n, alternatives in enumerate(p.request_limits.alternatives, 1):
        through = total((1.0, x.throughput[a, s]) for a in alternatives.ids)
        size = alternatives_size(p, alternatives)
        yield Row((f"alternatives {n}", s), through, "==", requests_divided(x, alternatives, s), size)


def components_pass_what_they_can(p: Problem, x: Decisions, s: State) -> Iterator[Row]:
    """A gateway or an ingress lets no more requests through than it can, of what remains of it.

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
