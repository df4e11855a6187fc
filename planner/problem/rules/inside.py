"""Rules of each state that have the same coefficients in every failure: the name is the sentence that must hold."""

from collections.abc import Iterator

from planner.problem.algebra import Row, total
from planner.problem.decisions import Decisions
from planner.problem.problem import ANY_HOUR, Problem, State, flow_size
from planner.problem.rules.formulas import (
    can_load,
    choice_size,
    door_size,
    drawn_upon,
    is_normal,
    limit_drawn,
    live_placements,
    loading_pairs,
    replica_seconds_used,
    requests_choosing,
    requests_passing,
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


def what_passes_is_counted(p: Problem, x: Decisions, s: State) -> Iterator[Row]:
    """Requests that pass a component with a limit are counted, each once.

    Formula
        passing[c,s]  =  Σ_w,o,e that cannot avoid c traffic[w,o,e,s]  +  Σ_ways on which c is passed taking[way,s]
    Units
        requests/s
    Rows
        (component, state), for components that let only so many requests through
    Marginal value
        none of its own
    """
    for c in p.doors.components:
        yield Row((c, s), requests_passing(p, x, c, s), "==", x.passing[c, s], door_size(p, c))


def requests_choose_their_way(p: Problem, x: Decisions, s: State) -> Iterator[Row]:
    """Each request that comes to a choice takes as many of its ways as are needed, none twice.

    Formula
        Σ_way of the choice taking[way,s]  =  at_least · comes_in
        taking[way,s]  ≤  comes_in                              where at_least is above 1
        comes_in  =  Σ_w,o,e of the choice traffic[w,o,e,s], or taking of the way that the choice is within
    Units
        requests/s
    Rows
        (choice, state); (way, state)
    Marginal value
        none of its own
    Source
        shares of at most 1 that add up to k are a mix of sets of k: Birkhoff and von Neumann, as for any transport
    """
    for n, choice in enumerate(p.doors.choices):
        comes_in, size = requests_choosing(p, x, n, s), choice_size(p, n)
        taken = total((1.0, x.taking[way, s]) for way in choice.ways)
        yield Row((f"choice {n + 1}", s), taken, "==", total([(float(choice.at_least), comes_in)]), size)
        for way in choice.ways if choice.at_least > 1 else ():
            yield Row((way, s), x.taking[way, s], "<=", comes_in, size)
