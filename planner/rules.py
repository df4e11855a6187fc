"""The rules of the plan: one function each, whose name is the sentence that must hold.

PURCHASE rules hold once. Per state, INSIDE rules have the same coefficients in every failure; LINK rules bound one
state variable by what is bought. Given variables a rule builds the program; given numbers it audits.
"""

from collections.abc import Callable, Iterator

from planner.algebra import Row, is_number, total
from planner.costs import cost_usd, operation_usd_per_hour, outage_usd
from planner.formulas import (
    available,
    can_load,
    due_fraction,
    is_normal,
    limit_used,
    live_edges,
    live_placements,
    loading_pairs,
    machines_firm,
    machines_up,
    passage_limit,
    replica_seconds_used,
    replicas_hit,
    requests_passing,
    requests_per_second,
    requests_served_by,
    running,
    served,
    survivors,
    units_active,
    units_at_pool,
    waits,
)
from planner.problem import Decisions, Problem, State, most_machines
from planner.reserve_rules import RESERVE_RELAXABLE, RESERVE_RULES, gateways_renormalise
from planner.risk import NORMAL

Rule = Callable[[Problem, Decisions], Iterator[Row]]
StateRule = Callable[[Problem, Decisions, State], Iterator[Row]]


def offers_have_limits(p: Problem, x: Decisions) -> Iterator[Row]:
    """No more units are bought of an offer than there are.

    Formula
        units_active[b,h] ≤ most_units[b]      ∀ b, h: rented in it, or started with a term that covers it
    Units
        units of the offer
    Rows
        (offer, period or hour), for offers with a limit
    Marginal value
        what one more unit on the market would save [USD]
    """
    for b in p.offers:
        if p.most_units[b] < float("inf"):
            if b in p.hourly:
                yield from (Row((b, h), x.rented[b, h], "<=", p.most_units[b]) for h in p.hours)
            else:
                first = {p.period_of[h]: h for h in reversed(p.hours)}
                yield from (Row((b, t), units_active(p, x, b, h), "<=", p.most_units[b]) for t, h in first.items())


def limits_hold(p: Problem, x: Decisions) -> Iterator[Row]:
    """Quotas, in the provider's own unit, and the power of a site hold for machines held and bought.

    Formula
        Σ_q units_per_machine[l,q] · (held[q] + Σ_b machines_per_unit[b] · units[b])  ≤  most[l]      ∀ l, h
    Units
        the limit's: machines, vcpu, chips, kW
    Rows
        (limit, hour)
    Marginal value
        what one more vcpu, chip or kW would save [USD]: what asking for it is worth
    """
    for index, limit in enumerate(p.limits):
        for h in p.hours:
            if limit.periods is not None and p.period_of[h] not in limit.periods:
                continue
            yield Row((limit.name, h), limit_used(p, x, index, h), "<=", limit.most)


def shares_hold(p: Problem, x: Decisions) -> Iterator[Row]:
    """No component serves more than its share of all requests, in normal operation.

    Formula
        Σ_(w,o,e) with the component traffic[w,o,e,(h,normal)]  ≤  most_fraction · Σ_(w,o) demand[w,o,h]
    Units
        requests/s
    Rows
        (component, hour)
    Marginal value
        what one request/s more on that component would save [USD]
    """
    for share in p.shares:
        for h in p.hours:
            all_requests = total((1.0, p.demand_requests_per_second[w, o, h]) for w, o in p.flows)
            by_component = requests_served_by(p, x, share.placements, h)
            yield Row((share.component, h), by_component, "<=", share.most_fraction * all_requests)


def budget_holds(p: Problem, x: Decisions) -> Iterator[Row]:
    """No more is spent than the budget.

    Formula
        Σ of all costs  ≤  budget
    Units
        USD over the horizon
    Rows
        one, where a budget is given
    Marginal value
        what a larger budget would save [USD per USD]: nothing, unless it makes a plan possible
    """
    if p.budget_usd is not None:
        yield Row(("budget",), cost_usd(p, x), "<=", p.budget_usd)


def firm_replicas_stand_on_firm_machines(p: Problem, x: Decisions) -> Iterator[Row]:
    """Which replicas stand on machines that count in every failure is decided once, before any of them.

    Formula
        firm[e,h]  ≤  replicas[e,h]
        Σ_e machines_per_replica[e] · firm[e,h]  ≤  usable[q] · (held + least counted of bought − claims)[q]
    Units
        replicas; machines
    Rows
        (placement, hour) and (pool, hour), for pools with an offer that does not count whole in every failure: spot
    Marginal value
        what one more machine that always counts would save [USD]
    """
    for q in sorted(p.with_spot):
        for h in p.hours:
            yield from (Row((e, h), x.firm[e, h], "<=", x.replicas[e, h]) for e in p.on_pool[q])
            stand = total((p.machines_per_replica[e], x.firm[e, h]) for e in p.on_pool[q])
            if p.on_pool[q]:
                yield Row((q, h), stand, "<=", machines_firm(p, x, q, h))


def a_pool_in_use_keeps_spare_machines(p: Problem, x: Decisions) -> Iterator[Row]:
    """Where a replica runs, the pool's spare machines are kept beside it; a pool that nothing uses needs none.

    Formula
        Σ_e machines_per_replica[e] · replicas[e,h]  ≤  most_machines[q] · opened[q,h],      opened 0 or 1
    Units
        machines
    Rows
        (pool, hour), for pools with spare machines that what is held without buying does not cover
    Marginal value
        none of its own
    """
    for q in sorted(p.maybe_unused):
        for h in p.hours:
            run = total((p.machines_per_replica[e], x.replicas[e, h]) for e in p.on_pool[q])
            if p.on_pool[q]:
                yield Row((q, h), run, "<=", total([(p.maybe_unused[q], x.opened[q, h])]))
                yield Row((q, h, "once"), x.opened[q, h], "<=", 1.0)


def outages_are_ranked(p: Problem, x: Decisions) -> Iterator[Row]:
    """The dearest outage costs no less than any; what is above the threshold of the tail is no less than it is.

    Formula
        worst  ≥  outage_usd[f],  worst ≥ 0
        above[f]  ≥  outage_usd[f] − threshold
    Units
        USD of one occurrence
    Rows
        (failure), where the objective is worst_case or cvar
    Marginal value
        how much of the objective this failure is (0 to 1)
    Source
        Rockafellar and Uryasev, Journal of Risk 2 (2000)
    """
    for f in p.priced:
        if p.objective == "worst_case":
            yield Row((f,), x.tail["worst",], ">=", x.outage[f,])
        elif p.objective == "cvar":
            yield Row((f,), total([(1.0, x.tail["above", f]), (1.0, x.tail["threshold",])]), ">=", x.outage[f,])


def an_outage_saves_no_more_than_operation(p: Problem, x: Decisions) -> Iterator[Row]:
    """An outage costs no less than nothing: at best it saves what normal operation costs in the same time.

    Formula
        outage_usd[f]  ≥  − repair_hours · operation_usd(normal)
    Units
        USD of one occurrence
    Rows
        (failure), for priced failures: true of every plan, it holds the estimate before a failure has entered
    Marginal value
        none of its own
    """
    hours = sum(p.hours_in[h] for h in p.hours)
    for f, rate in p.priced.items():
        normal = [
            (rate.hours_to_repair * p.hours_in[h] / hours, operation_usd_per_hour(p, x, (h, NORMAL, 0.0)))
            for h in p.hours
        ]
        yield Row((f,), total([(1.0, x.outage[f,]), *normal]), ">=", 0.0)


def deferred_work_is_done(p: Problem, x: Decisions) -> Iterator[Row]:
    """Work that can wait is taken up over the hours of its period, not in each of them.

    Formula
        Σ_h in t hours[h] · offered[w,o,(h,normal)]  =  Σ_h in t hours[h] · demand[w,o,h]      ∀ w deferrable, o, t
    Units
        requests/s times hours
    Rows
        (workload, origin, period), for workloads of a tier with deferrable_hours; normal operation only
    Marginal value
        what one request/s less, all through the period, would save [USD/h]
    """
    for w, o in p.flows:
        for t in p.periods if w in p.deferrable else ():
            hours = [(p.hours_in[h], h) for h in p.hours if p.period_of[h] == t]
            taken_up = total((n, x.offered[w, o, (h, NORMAL, 0.0)]) for n, h in hours)
            yield Row((w, o, t), taken_up, "==", sum(n * p.demand_requests_per_second[w, o, h] for n, h in hours))


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
        yield Row((w, o, s), there, "==", x.offered[w, o, s])


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
                yield Row((w, o, e, s), x.traffic[w, o, e, s], "<=", 0.0)


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


def running_replicas_stand_on_machines(p: Problem, x: Decisions, s: State) -> Iterator[Row]:
    """Running replicas, and in normal operation those of a rollout beside them, stand on machines that are up.

    Formula
        (1 + rollout_surge[e] in normal operation) · (kept + loaded)[e,s]  ≤  occupied[e,s]
        Σ_e machines_per_replica[e] · occupied[e,s]  ≤  machines[q,s]      ∀ q, s
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
            yield Row((q, s), total(terms), "<=", x.machines[q, s])


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
    earlier = [d for d in p.clocks_seconds[f] if d < c]
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
            (p.weights_gib[e], x.loaded[e, s])
            for e in live_placements(p, s[1])
            if p.site_of[p.pool_of[e]] == site and can_load(p, e, s)
        ]
        if terms:
            yield Row((site, s), total(terms), "<=", rate * seconds)
    earlier = [(s[0], s[1], d) for d in p.clocks_seconds[s[1]] if d < s[2]]
    for e in live_placements(p, s[1]) if earlier else ():
        if p.site_of[p.pool_of[e]] in p.load_gib_per_second:
            yield Row((e, s), x.loaded[e, earlier[-1]], "<=", x.loaded[e, s])


def what_passes_is_counted(p: Problem, x: Decisions, s: State) -> Iterator[Row]:
    """Requests that must pass components with a limit, as often as they must.

    Formula
        passing[g,s]  =  Σ_w,o,e times[g,(w,o,e)] · traffic[w,o,e,s]
    Units
        requests/s
    Rows
        (passage, state), for components that let only so many requests through, and unions of choices between them
    Marginal value
        none of its own
    """
    for g, passage in enumerate(p.passages):
        yield Row((passage.components, s), requests_passing(p, x, g, s), "==", x.passing[g, s])


def components_pass_what_they_can(p: Problem, x: Decisions, s: State) -> Iterator[Row]:
    """A gateway or an ingress lets no more requests through than it can, nor do several that share them.

    Formula
        passing[g,s]  ≤  Σ_c in g most_requests_per_second[c] · available[c,f]
    Units
        requests/s
    Rows
        (passage, state)
    Marginal value
        what one request/s more through these components would save [USD]
    Source
        splitting over choices: feasibility of a transport problem (Gale, Pacific Journal of Mathematics 7, 1957)
    """
    for g, passage in enumerate(p.passages):
        yield Row((passage.components, s), x.passing[g, s], "<=", passage_limit(p, g, s[1]))


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
            yield Row((w, o, s), x.offered[w, o, s], "==", requests_per_second(p, w, o, s))


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
        yield Row((w, o, s), x.shed[w, o, s], "<=", allowed)


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
    if f in p.priced and h == p.hours[-1] and c == p.clocks_seconds[f][-1]:
        yield Row((f,), x.outage[f,], ">=", outage_usd(p, x, f))


def no_request_passes_a_dead_door(p: Problem, x: Decisions, s: State) -> Iterator[Row]:
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
        yield Row((w, o, s), x.shed[w, o, s], ">=", (1 - fraction) * requests_per_second(p, w, o, s))


def survivors_only(p: Problem, x: Decisions, s: State) -> Iterator[Row]:
    """Only machines that survive, are usable, counted and not lent to others are used.

    Formula
        normal:      machines[q,s] ≤ usable[q] · ((held + bought)[q] − claims[q]) − spare[q] · opened[q]
        in failures: machines[q,s] ≤ available[q,f] · usable[q] · ((held + counted + obtained)[q] − claims still out)
    Units
        machines
    Rows
        (pool, state), for pools with a placement that is not dead
    Marginal value
        what one more machine that survives would save [USD]
    """
    for q in p.pools:
        if (q, s) in x.machines:
            yield Row((q, s), x.machines[q, s], "<=", machines_up(p, x, q, s))


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


def no_replica_before_it_is_loaded(p: Problem, x: Decisions, s: State) -> Iterator[Row]:
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
            yield Row((e, s, "loaded"), x.loaded[e, s], "<=", 0.0)


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
            yield Row((e, s, "loaded"), x.loaded[e, s], "<=", 0.0)
        elif available(p, e, s[1]) < available(p, p.pool_of[e], s[1]):
            part = available(p, e, s[1]) / available(p, p.pool_of[e], s[1]) / p.machines_per_replica[e]
            yield Row((e, s, "part"), x.occupied[e, s], "<=", total([(part, machines_up(p, x, p.pool_of[e], s))]))


def a_unit_opens_what_it_serves(p: Problem, x: Decisions, s: State) -> Iterator[Row]:
    """A pool of few large units serves nothing before a unit is bought (strengthens the relaxation).

    Formula
        traffic[w,o,e,s]  ≤  demand[w,o,h] · surge[f] · Σ_b units[b]      e in q, q of few large units, nothing held
    Units
        requests/s
    Rows
        (workload, origin, placement, state)
    Marginal value
        none of its own: implied by the other rules once units are whole
    Source
        the strong formulation of facility location
    """
    opened = {q: units_at_pool(p, x, q, s[0]) for q in sorted(p.few_large_units)}
    for w, o in p.flows if opened else ():
        for e in live_edges(p, w, o, s[1]):
            if p.pool_of[e] in opened:
                most = total([(requests_per_second(p, w, o, s), opened[p.pool_of[e]])])
                yield Row((w, o, e, s), x.traffic[w, o, e, s], "<=", most)


PURCHASE_RULES: tuple[Rule, ...] = (
    offers_have_limits,
    limits_hold,
    shares_hold,
    budget_holds,
    firm_replicas_stand_on_firm_machines,
    a_pool_in_use_keeps_spare_machines,
    outages_are_ranked,
    an_outage_saves_no_more_than_operation,
    deferred_work_is_done,
    *RESERVE_RULES,
)
INSIDE_RULES: tuple[StateRule, ...] = (
    demand_is_served,
    replicas_carry_traffic,
    running_replicas_stand_on_machines,
    what_loads_occupies,
    storage_can_load_that_fast,
    what_passes_is_counted,
)
LINK_RULES: tuple[StateRule, ...] = (
    requests_go_where_they_may,
    offered_is_demand,
    survival_goals_are_met,
    components_pass_what_they_can,
    no_request_passes_a_dead_door,
    an_outage_costs_what_is_not_served,
    survivors_only,
    replicas_run_in_normal_operation,
    no_replica_before_it_is_loaded,
    only_the_living_run,
    a_unit_opens_what_it_serves,
    gateways_renormalise,
)
STATE_RULES = INSIDE_RULES + LINK_RULES
RULES = (*PURCHASE_RULES, *STATE_RULES)
RELAXABLE = {
    "offers_have_limits": "by policy",
    "limits_hold": "by policy",
    "shares_hold": "by policy",
    "budget_holds": "by policy",
    "survival_goals_are_met": "by policy",
    "survivors_only": "by buying",
    "firm_replicas_stand_on_firm_machines": "by buying",
    "no_replica_before_it_is_loaded": "by buying",
    "storage_can_load_that_fast": "by buying",
    "components_pass_what_they_can": "by buying",
    "replicas_carry_traffic": "by policy",
    **RESERVE_RELAXABLE,
}
"""What can be done about a rule: `by buying`, `by policy`; what is not named here is physics: no."""
