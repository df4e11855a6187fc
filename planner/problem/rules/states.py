"""Rules of every state, normal operation and failures alike: the name is the sentence that must hold."""

from collections.abc import Iterator

import numpy as np

from planner.problem.algebra import Rows, is_number, maybe_some, pick, picked, spread, sum_by
from planner.problem.arrays import Arrays
from planner.problem.decisions import Vectors
from planner.problem.problem import State
from planner.problem.rules.formulas import (
    beside,
    group_sizes,
    is_normal,
    lets_through,
    machines_in_service,
    replica_seconds_used,
    request_limit_sizes,
    requests_divided,
    requests_through,
    running,
    served,
    units_at_pool,
    utilisation_of,
)


def offered_is_demand(a: Arrays, x: Vectors, s: State) -> Iterator[Rows]:
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
    rows = Rows(a.flows, (s,), x.offered[s,], "==", a.requests(s), a.sizes(s[0]))
    yield rows.only(~a.waits) if is_normal(s) else rows


def demand_is_served(a: Arrays, x: Vectors, s: State) -> Iterator[Rows]:
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
    accounted = served(a, x, s) + x.shed[s,] + x.excess[s,]
    yield Rows(a.flows, (s,), accounted, "==", x.offered[s,], a.sizes(s[0]))


def requests_go_where_they_may(a: Arrays, x: Vectors, s: State) -> Iterator[Rows]:
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
    yield Rows(a.edges, (s,), x.traffic[s,], "<=", 0.0, a.sizes(s[0])[a.flow_of_edge]).only(~a.may_serve(s[1]))


def replicas_run_in_normal_operation(a: Arrays, x: Vectors, s: State) -> Iterator[Rows]:
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
        yield Rows(a.placements, (s,), x.kept[s,], "==", x.replicas[s[0],])


def replicas_carry_traffic(a: Arrays, x: Vectors, s: State) -> Iterator[Rows]:
    """Running replicas carry the peak of their traffic without being filled beyond the limit.

    Formula
        Σ_w,o replica_seconds[w,e] · burst_factor[w] · traffic[w,o,e,s]  ≤  utilisation[s] · (kept + cold_started)[e,s]
        where utilisation is by waiting: utilisation[e,s] of so many replicas
    Units
        replicas (replica-seconds per second)
    Rows
        (placement, state), for placements that are not dead
    Marginal value
        what one more replica there would save [USD]
    """
    runs = running(a, x, s)
    how_many = x.replicas[s[0],] if is_normal(s) else runs
    yield Rows(a.placements, (s,), replica_seconds_used(a, x, s), "<=", utilisation_of(a, s[1], how_many) * runs)


def nothing_is_served_before_a_replica_runs(a: Arrays, x: Vectors, s: State) -> Iterator[Rows]:
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
    few, size = a.negligible(s[0]), a.sizes(s[0])[a.flow_of_edge]
    if few.any():
        running_there = pick(running(a, x, s), a.placement_of_edge[few])
        yield Rows(picked(a.edges, few), (s,), pick(x.traffic[s,], few), "<=", size[few] * running_there, size[few])


def a_unit_opens_what_it_serves(a: Arrays, x: Vectors, s: State) -> Iterator[Rows]:
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
    few = a.few_large_units.copy()
    for b in a.p.obtainable[s[1]]:
        few[a.pool_at[a.p.pool_of[b]]] = False
    tied = few[a.pool_of_edge] & a.may_serve(s[1])
    if tied.any():
        most = np.where(a.waits, a.largest(s[0]), a.requests(s)) if is_normal(s) else a.requests(s)
        flow, size = a.flow_of_edge[tied], a.sizes(s[0])
        opened = pick(units_at_pool(a, x, s[0]), a.pool_of_edge[tied])
        yield Rows(picked(a.edges, tied), (s,), pick(x.traffic[s,], tied), "<=", most[flow] * opened, size[flow])


def running_replicas_stand_on_machines(a: Arrays, x: Vectors, s: State) -> Iterator[Rows]:
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
    yield Rows(a.placements, (s,), beside(a, s) * running(a, x, s), "<=", x.occupied[s,])
    used = a.any_on_pool(np.ones(a.P, dtype=bool))
    stand = sum_by(a.machines_per_replica * spread(x.occupied[s,], a.P), a.pool_of_placement, a.Q)
    yield Rows(a.pools, (s,), stand, "<=", x.machines[s,] + spread(x.obtained[s,], a.Q)).only(used)


def survivors_only(a: Arrays, x: Vectors, s: State) -> Iterator[Rows]:
    """Only machines that survive, are usable, counted and not lent to others are used.

    Formula
        normal:      machines[q,s] ≤ usable[q] · ((held + bought)[q] − claims[q]) − spare[q] · opened[q]
        in failures: machines[q,s] ≤ available[q,f] · usable[q] · ((held + counted)[q] − claims still out)
    Units
        machines
    Rows
        (pool, state), for pools with a placement that is not dead, and any of which a plan says that machines are used
    Marginal value
        what one more machine that survives would save [USD]
    """
    used = a.live_pools(s[1])
    if is_number(x.machines[s,]):
        used = used | maybe_some(x.machines[s,], a.Q)
    yield Rows(a.pools, (s,), x.machines[s,], "<=", machines_in_service(a, x, s)).only(used)


def throughput_is_counted(a: Arrays, x: Vectors, s: State) -> Iterator[Rows]:
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
    if a.components:
        through, counted = requests_through(a, x, s), x.component_throughput[s,]
        yield Rows(a.components, (s,), through, "==", counted, request_limit_sizes(a))


def each_request_passes_one_alternative(a: Arrays, x: Vectors, s: State) -> Iterator[Rows]:
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
    groups = [(f"alternatives {n}",) for n, _ in enumerate(a.p.request_limits.alternatives, 1)]
    if groups:
        through = sum_by(x.throughput[s,], a.group_of_alternative, len(groups))
        yield Rows(groups, (s,), through, "==", requests_divided(a, x, s), group_sizes(a))


def components_pass_what_they_can(a: Arrays, x: Vectors, s: State) -> Iterator[Rows]:
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
    if a.components:
        sizes = request_limit_sizes(a)
        yield Rows(a.components, (s,), x.component_throughput[s,], "<=", lets_through(a, s[1]), sizes)


def no_request_passes_a_closed_alternative(a: Arrays, x: Vectors, s: State) -> Iterator[Rows]:
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
    sizes = group_sizes(a)[a.group_of_alternative]
    yield Rows(a.alternatives, (s,), x.throughput[s,], "<=", 0.0, sizes).only(~a.open(s[1]))
