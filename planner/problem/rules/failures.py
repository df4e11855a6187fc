"""Rules of what failures leave, ask for and bring: the name is the sentence that must hold."""

from collections.abc import Iterator

import numpy as np

from planner.problem.algebra import Rows, is_number, maybe_some, pick, picked, spread, sum_by
from planner.problem.arrays import Arrays
from planner.problem.decisions import Vectors
from planner.problem.problem import State, most_machines
from planner.problem.rules.costs import outage_column, outage_size_usd, outage_usd
from planner.problem.rules.formulas import (
    is_normal,
    limit_capacity,
    limit_drawn,
    limit_used,
    loading,
    machines_to_obtain,
    machines_up,
    replicas_targeted,
    running,
    survivors,
    targeted,
)


def survival_goals_are_met(a: Arrays, x: Vectors, s: State) -> Iterator[Rows]:
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
    yield Rows(a.flows, (s,), x.shed[s,], "<=", a.not_due(s), a.sizes(s[0]))


def no_request_passes_a_dead_component(a: Arrays, x: Vectors, s: State) -> Iterator[Rows]:
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
    least = a.uncoverable(s)
    yield Rows(a.flows, (s,), x.shed[s,], ">=", least, a.sizes(s[0])).only(least > 0)


def an_outage_costs_what_is_not_served(a: Arrays, x: Vectors, s: State) -> Iterator[Rows]:
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
    if f in a.p.priced and h == a.p.hours[-1] and c == a.p.deadlines_seconds[f][-1]:
        usd = outage_column(a, x, [f])
        yield Rows([(f,)], (), usd, ">=", outage_usd(a, x, f), outage_size_usd(a.p))


def no_replica_before_its_cold_start_ends(a: Arrays, x: Vectors, s: State) -> Iterator[Rows]:
    """What runs without a cold start since is what survived; no cold start ends before its time.

    Formula
        kept[e,s]  ≤  available[e,f] · replicas[e,h]      (non_preemptible[e,h] where an offer of the pool counts less)
        kept[e,s]  ≤  max(0, replicas[e,h] − targeted[e,s])    where all of the pool's partial loss falls on e:
            kept ≤ M · survives_loss,  kept ≤ replicas − targeted + M · (1 − survives_loss),  survives_loss 0 or 1
        cold_started[e,s]  ≤  0      where startable[e,f] + load_seconds[e] > c, in normal operation, and where gateways
            keep their weights;  startable[e,f] = detection_seconds, or when what starting needs has returned
    Units
        replicas
    Rows
        (placement, state), for placements that are not dead; kept in failures only
    Marginal value
        what one more warm replica would save [USD]
    """
    alive, only_one = a.live(s[1]), targeted(a, s[1])
    if not is_normal(s):
        rows = Rows(a.placements, (s, "kept"), x.kept[s,], "<=", survivors(a, x, s))
        yield rows.only(alive & ~only_one)
        if (alive & only_one).any():
            yield from _kept_where_targeted(a, x, s)
    late = alive & ~a.can_load(s)
    yield Rows(a.placements, (s, "cold_started"), x.cold_started[s,], "<=", 0.0).only(late)


def _kept_where_targeted(a: Arrays, x: Vectors, s: State) -> Iterator[Rows]:
    """kept ≤ max(0, replicas − targeted): for numbers as it stands, for variables by a choice."""
    e = a.p.failures[s[1]].targeted or ""
    of, at = [(e,)], np.array([a.placement_at[e]])
    kept, replicas = pick(spread(x.kept[s,], a.P), at), pick(survivors(a, x, s), at)
    lost = replicas_targeted(a, x, s)
    if is_number(replicas) and is_number(lost):
        yield Rows(of, (s, "kept"), kept, "<=", np.maximum(0.0, replicas - lost))
        return
    most = most_machines(a.p, a.p.pool_of[e]) / a.p.machines_per_replica[e] + 1
    survives = pick(spread(x.survives_loss[s,], a.P), at)
    yield Rows(of, (s, "kept", "survives_loss"), kept, "<=", most * survives)
    yield Rows(of, (s, "kept"), kept, "<=", replicas - lost + most * (1.0 - survives))
    yield Rows(of, (s, "survives_loss"), survives, "<=", 1.0)


def only_the_living_run(a: Arrays, x: Vectors, s: State) -> Iterator[Rows]:
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
    part, of_pool = a.available(s[1]), a.available_pools(s[1])[a.pool_of_placement]
    dead = part <= 0
    yield Rows(a.placements, (s, "kept"), x.kept[s,], "<=", 0.0).only(dead)
    yield Rows(a.placements, (s, "cold_started"), x.cold_started[s,], "<=", 0.0).only(dead)
    partly = ~dead & (part < of_pool)
    if partly.any():
        share = part[partly] / of_pool[partly] / a.machines_per_replica[partly]
        up = pick(machines_up(a, x, s), a.pool_of_placement[partly])
        of = picked(a.placements, partly)
        yield Rows(of, (s, "part"), pick(spread(x.occupied[s,], a.P), partly), "<=", share * up)


def what_loads_occupies(a: Arrays, x: Vectors, s: State) -> Iterator[Rows]:
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
    if earlier := a.earlier(s):
        before = earlier[-1]
        yield Rows(a.placements, (s, before[2], "kept"), x.kept[s,], "<=", x.kept[before,])
    for before, mask in loading(a, s):
        yield Rows(a.placements, (s, before[2]), running(a, x, s), "<=", x.occupied[before,]).only(mask)


def storage_can_load_that_fast(a: Arrays, x: Vectors, s: State) -> Iterator[Rows]:
    """Storage feeds the weights of every cold start at a site since the failure was detected, before its engine starts.

    Formula
        Σ_e weights_gib[e] · cold_started[e,s]  ≤  load_gib_per_second[site] · max(0, c − detection_seconds − u)
            over the placements with engine_start_seconds[e] ≥ u, for each u that a placement of the site has
        cold_started[e,(h,f,d)]  ≤  cold_started[e,(h,f,c)]    for the deadline d before c: what was fed stays
    Units
        GiB; replicas
    Rows
        (site, u, state) and (placement, state), for sites with a storage rate, in failures
    Marginal value
        what one GiB more by then would save [USD]: what faster storage is worth
    Source
        weights may be read in any order, those first of which the engine starts longest: then these rows suffice
    """
    if is_normal(s) or not a.storage_feeds:
        return
    cold = spread(x.cold_started[s,], a.P)
    feeds = a.storage_feeds
    of = np.repeat(np.arange(len(feeds)), [len(feed.placements) for feed in feeds])
    gib = pick(a.weights_gib * cold, np.concatenate([feed.placements for feed in feeds]))
    read = sum_by(gib, of, len(feeds))
    seconds = [max(0.0, s[2] - a.p.detection_seconds - feed.engine_start_seconds) for feed in feeds]
    most = np.array(seconds) * np.array([feed.gib_per_second for feed in feeds])
    yield Rows([feed.key for feed in feeds], (s,), read, "<=", most)
    if earlier := a.earlier(s):
        fed_before = x.cold_started[earlier[-1],]
        yield Rows(a.placements, (s,), fed_before, "<=", cold).only(a.fed_from_storage)


def what_is_obtained_is_counted(a: Arrays, x: Vectors, s: State) -> Iterator[Rows]:
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
    if a.limits_drawn and not is_normal(s):
        names = [a.limits[n] for n in a.drawn_upon.tolist()]
        yield Rows(names, (s,), limit_drawn(a, x, s), "==", x.drawn[s,])


def only_what_is_on_the_market_is_obtained(a: Arrays, x: Vectors, s: State) -> Iterator[Rows]:
    """In a failure no more is obtained than the study counts on and the market has, nor than quotas and power allow.

    Formula
        obtained[q,s]  ≤  available[q,f] · usable[q] · Σ_b fraction[b,f] · machines_per_unit[b] · (most − units)[b]
                          over the offers that have come by now
        drawn[l,s]  ≤  what there is of l in the hour − what is held and bought takes of it
    Units
        machines; the limit's: machines, vcpu, chips, kW
    Rows
        (pool, state) and (limit, state), where machines may be obtained by now
    Marginal value
        what one more that can be had would save [USD]
    """
    if is_normal(s) or not a.may_obtain.any():
        return
    may = a.may_obtain & maybe_some(x.obtained[s,], a.Q)
    yield Rows(a.pools, (s,), x.obtained[s,], "<=", machines_to_obtain(a, x, s)).only(may)
    if a.limits_drawn:
        drawn = a.drawn_upon
        in_force = a.limits_in(s[0])[drawn] & maybe_some(x.drawn[s,], len(drawn))
        spare_units = pick(limit_capacity(a, x, s[0]) - limit_used(a, x, s[0]), drawn)
        yield Rows([a.limits[n] for n in drawn.tolist()], (s,), x.drawn[s,], "<=", spare_units).only(in_force)
