"""Rules of each state that have the same coefficients in every failure: the name is the sentence that must hold."""

from collections.abc import Iterator

from planner.problem.algebra import Row, total
from planner.problem.decisions import Decisions
from planner.problem.problem import ANY_HOUR, Problem, State, flow_size
from planner.problem.rules.formulas import (
    alternatives_size,
    can_load,
    drawn_upon,
    is_normal,
    limit_drawn,
    live_placements,
    loading_pairs,
    replica_seconds_used,
    request_limit_size,
    requests_divided,
    requests_through,
    running,
    served,
)


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
        there = total([(1.0, served(p, x, w, o, s)), (1.0, x.shed[w, o, s]), (1.0, x.excess[w, o, s])])
        yield Row((w, o, s), there, "==", x.offered[w, o, s], flow_size(p, w, o, s[0]))


def replicas_carry_traffic(p: Problem, x: Decisions, s: State) -> Iterator[Row]:
    """Running replicas carry the peak of their traffic without being filled beyond the limit.

    Formula
        Σ_w,o replica_seconds[w,e] · burst_factor[w] · traffic[w,o,e,s]  ≤  utilisation[s] · (kept + loaded)[e,s]
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
        traffic[w,o,e,s]  ≤  largest[w,o,h] · (kept + loaded)[e,s]
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
    for w, o, e in p.specks.get(s[0], p.specks.get(ANY_HOUR, ())):
        if (w, o, e, s) in x.traffic:
            size = flow_size(p, w, o, s[0])
            yield Row((w, o, e, s), x.traffic[w, o, e, s], "<=", total([(size, running(x, e, s))]), size)


def running_replicas_stand_on_machines(p: Problem, x: Decisions, s: State) -> Iterator[Row]:
    """Running replicas, and in normal operation those of a rollout beside them, stand on machines that are up.

    Formula
        (1 + rollout_surge[e] in normal operation) · (kept + loaded)[e,s]  ≤  occupied[e,s]
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
            there = x.machines[q, s]
            if (q, s) in x.obtained:
                there = total([(1.0, there), (1.0, x.obtained[q, s])])
            yield Row((q, s), total(terms), "<=", there)


def what_is_obtained_is_counted(p: Problem, x: Decisions, s: State) -> Iterator[Row]:
    """Machines that are obtained in a failure take their part of quotas and power.

    Formula
        drawn[l,s]  =  Σ_q units_per_machine[l,q] / usable[q] · obtained[q,s]
    Units
        the limit's: machines, vcpu, chips, kW
    Rows
        (limit, state), for limits of pools in which the study counts on machines to be obtained
    Marginal value
        none of its own
    """
    for n in drawn_upon(p):
        if (n, s) in x.drawn:
            yield Row((p.limits[n].name, s), limit_drawn(p, x, n, s), "==", x.drawn[n, s])


def what_loads_occupies(p: Problem, x: Decisions, s: State) -> Iterator[Row]:
    """What runs later takes up room while it loads: a machine is used once per failure; what was let go is gone.

    Formula
        (kept + loaded)[e,(h,f,c)] ≤ occupied[e,(h,f,d)]   for the clock d before c, and any d with c − d < load_seconds
        kept[e,(h,f,c)] ≤ kept[e,(h,f,d)]                  for the clock d before c
    Units
        replicas
    Rows
        (placement, state, earlier clock), for placements that load in more than no time
    Marginal value
        what one replica loaded earlier would save [USD]
    Source
        safe, not exact: a machine that is left between two clocks is not loaded anew before the second
    """
    h, f, c = s
    earlier = [d for d in p.deadlines_seconds[f] if d < c]
    if not earlier:
        return
    before = (h, f, earlier[-1])
    for e in live_placements(p, f):
        yield Row((e, s, earlier[-1], "kept"), x.kept[e, s], "<=", x.kept[e, before])
        for d in loading_pairs(p, e, s):
            yield Row((e, s, d), running(x, e, s), "<=", x.occupied[e, (h, f, d)])


def storage_can_load_that_fast(p: Problem, x: Decisions, s: State) -> Iterator[Row]:
    """Storage feeds the weights of everything that was loaded at a site since the failure was detected.

    Formula
        Σ_e weights_gib[e] · loaded[e,s]  ≤  load_gib_per_second[site] · (c − detection_seconds)
        loaded[e,(h,f,d)]  ≤  loaded[e,(h,f,c)]      for the clock d before c: what was fed is not forgotten
    Units
        GiB; replicas
    Rows
        (site, state) and (placement, state), for sites with a storage rate, in failures
    Marginal value
        what one GiB more by then would save [USD]: what faster storage is worth
    """
    if is_normal(s):
        return
    seconds = max(0.0, s[2] - p.detection_seconds)
    for site, rate in p.load_gib_per_second.items():
        terms = [
            (p.weights_gib[e], x.cold_started[e, s])
            for e in live_placements(p, s[1])
            if p.site_of[p.pool_of[e]] == site and can_load(p, e, s)
        ]
        if terms:
            yield Row((site, s), total(terms), "<=", rate * seconds)
    earlier = [(s[0], s[1], d) for d in p.deadlines_seconds[s[1]] if d < s[2]]
    for e in live_placements(p, s[1]) if earlier else ():
        if p.site_of[p.pool_of[e]] in p.load_gib_per_second:
            yield Row((e, s), x.cold_started[e, earlier[-1]], "<=", x.cold_started[e, s])


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
