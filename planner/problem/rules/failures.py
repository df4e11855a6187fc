"""Rules of what failures leave, ask for and bring: the name is the sentence that must hold."""

from collections.abc import Iterator

from planner.problem.algebra import Row, is_number, total
from planner.problem.decisions import Decisions
from planner.problem.problem import Problem, State, flow_size, most_machines
from planner.problem.rules.costs import outage_size_usd, outage_usd
from planner.problem.rules.formulas import (
    available,
    can_load,
    drawn_upon,
    due_fraction,
    is_normal,
    limit_capacity,
    limit_drawn,
    limit_used,
    live_placements,
    loading_pairs,
    machines_to_obtain,
    machines_up,
    replicas_targeted,
    requests_per_second,
    running,
    survivors,
)


def survival_goals_are_met(p: Problem, x: Decisions, s: State) -> Iterator[Row]:
    """No more is shed than the goals allow by this deadline; normal operation is the failure in which nothing is lost.

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


def an_outage_costs_what_is_not_served(p: Problem, x: Decisions, s: State) -> Iterator[Row]:
    """An outage costs what is shed while it lasts, and what serving costs beyond normal operation.

    Formula
        outage_usd[f]  ≥  Σ over its deadlines, until repair, of what requests cost, served or not (costs.outage_usd)
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


def no_replica_before_its_cold_start_ends(p: Problem, x: Decisions, s: State) -> Iterator[Row]:
    """What runs without a cold start since is what survived; no cold start ends before its time.

    Formula
        kept[e,s]  ≤  available[e,f] · replicas[e,h]      (non_preemptible[e,h] where an offer of the pool counts less)
        kept[e,s]  ≤  max(0, replicas[e,h] − targeted[e,s])    where all of the pool's partial loss falls on e:
            kept ≤ M · survives_loss,  kept ≤ replicas − targeted + M · (1 − survives_loss),  survives_loss 0 or 1
        cold_started[e,s]  ≤  0      where detection_seconds + load_seconds[e] > c, and in normal operation
    Units
        replicas
    Rows
        (placement, state), for placements that are not dead; kept in failures only
    Marginal value
        what one more warm replica would save [USD]
    """
    for e in live_placements(p, s[1]):
        if e == p.failures[s[1]].targeted:
            yield from _kept_where_targeted(p, x, e, s)
        elif not is_normal(s):
            yield Row((e, s, "kept"), x.kept[e, s], "<=", survivors(p, x, e, s))
        if not can_load(p, e, s):
            yield Row((e, s, "cold_started"), x.cold_started[e, s], "<=", 0.0)


def _kept_where_targeted(p: Problem, x: Decisions, e: str, s: State) -> Iterator[Row]:
    """kept ≤ max(0, replicas − targeted): for numbers as it stands, for variables by a choice."""
    replicas, targeted = survivors(p, x, e, s), replicas_targeted(p, x, e, s)
    if is_number(replicas) and is_number(targeted):
        yield Row((e, s, "kept"), x.kept[e, s], "<=", max(0.0, replicas - targeted))
        return
    most = most_machines(p, p.pool_of[e]) / p.machines_per_replica[e] + 1
    survives = x.survives_loss[e, s]
    yield Row((e, s, "kept", "survives_loss"), x.kept[e, s], "<=", total([(most, survives)]))
    remaining = total([(1.0, replicas), (-1.0, targeted), (most, 1.0), (-most, survives)])
    yield Row((e, s, "kept"), x.kept[e, s], "<=", remaining)
    yield Row((e, s, "survives_loss"), survives, "<=", 1.0)


def only_the_living_run(p: Problem, x: Decisions, s: State) -> Iterator[Row]:
    """A dead placement runs nothing, also after its load time; a partly dead one stays within its part of the pool.

    Formula
        kept[e,s] ≤ 0,  cold_started[e,s] ≤ 0      where available[e,f] = 0
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


def what_loads_occupies(p: Problem, x: Decisions, s: State) -> Iterator[Row]:
    """What runs later occupies machines while it loads: each is used once per failure; what was evicted is gone.

    Formula
        (kept + cold_started)[e,(h,f,c)] ≤ occupied[e,(h,f,d)]
            for the deadline d before c, and any d with c − d < load_seconds
        kept[e,(h,f,c)] ≤ kept[e,(h,f,d)]      for the deadline d before c
    Units
        replicas
    Rows
        (placement, state, earlier deadline), for placements that load in more than no time
    Marginal value
        what one replica that starts earlier would save [USD]
    Source
        safe, not exact: a machine that becomes free between two deadlines is not used anew before the second
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
    """Storage feeds the weights of every cold start at a site since the failure was detected.

    Formula
        Σ_e weights_gib[e] · cold_started[e,s]  ≤  load_gib_per_second[site] · (c − detection_seconds)
        cold_started[e,(h,f,d)]  ≤  cold_started[e,(h,f,c)]    for the deadline d before c: what was fed stays
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


def only_what_is_on_the_market_is_obtained(p: Problem, x: Decisions, s: State) -> Iterator[Row]:
    """In a failure no more is obtained than the study counts on and the market has, nor than quotas and power allow.

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
            spare_units = total([(1.0, limit_capacity(p, x, n, s[0])), (-1.0, limit_used(p, x, n, s[0]))])
            yield Row((limit.name, s), x.drawn[n, s], "<=", spare_units)
