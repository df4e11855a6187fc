"""Rules of what is bought, which hold once: one function each, whose name is the sentence that must hold."""

from collections.abc import Iterator

import numpy as np

from planner.problem.algebra import Key, Rows, Vector, pick, spread, sum_by, total
from planner.problem.arrays import Arrays
from planner.problem.decisions import ONCE, Vectors
from planner.problem.problem import size_of_all
from planner.problem.rules.costs import (
    cost_usd,
    dearest_of,
    dearest_usd,
    measured,
    operation_usd_per_hour,
    outage_column,
    outage_size_usd,
    stages_of_outages,
    tail_usd,
)
from planner.problem.rules.formulas import (
    first_hours,
    limit_capacity,
    limit_used,
    machines_counted_apart,
    machines_non_preemptible,
    replicas_on_offers,
    requests_served_by,
    spent_in_years_usd,
    units_active,
    units_on_fullest_day,
)
from planner.problem.things import numbers_of
from planner.study.dependencies import NORMAL


def offers_have_limits(a: Arrays, x: Vectors) -> Iterator[Rows]:
    """No more units are bought of an offer than there are.

    Formula
        units[b,h] ≤ most_units[b]      ∀ b, h: rented in it, or started with a term that runs on some day of it
    Units
        units of the offer
    Rows
        (offer, period or hour), for offers with a limit
    Marginal value
        what one more unit on the market would save [USD]
    """
    p, first = a.p, first_hours(a)
    offered = np.zeros(a.B, dtype=bool)
    offered[a.in_pool] = True
    limited = np.isfinite(a.most_units) & offered
    for t, h in first.items():
        rows = Rows(a.offers, (t,), units_on_fullest_day(a, x, h), "<=", a.most_units)
        yield rows.only(limited & ~a.hourly)
    for h in p.hours:
        yield Rows(a.offers, (h,), x.rented[h,], "<=", a.most_units).only(limited & a.hourly)


def limits_hold(a: Arrays, x: Vectors) -> Iterator[Rows]:
    """Quotas, in the provider's own unit, and the power of a site hold for machines held and bought.

    Formula
        Σ_q units_per_machine[l,q] · (counts_held[l] · held[q,h] + Σ_b machines_per_unit[b] · units[b,h])
            ≤  granted[l,t] + Σ_m power_kw[m] · modules[m,h]      ∀ l, h in period t;  b that l counts
        granted: the largest increase of a quota that is granted before t begins, else most[l]
        counts_held: 1, or 0 for a quota that counts some kinds of purchase, and not what is held
        modules: for the power of a site that is built
    Units
        the limit's: machines, vcpu, chips, kW; of machines and units that are there on some day of the period
    Rows
        (limit, hour)
    Marginal value
        what one more vcpu, chip or kW would save [USD]: what asking for it is worth
    """
    for h in a.p.hours if a.limits else ():
        rows = Rows(a.limits, (h,), limit_used(a, x, h), "<=", limit_capacity(a, x, h))
        yield rows.only(a.limits_in(h))


def shares_hold(a: Arrays, x: Vectors) -> Iterator[Rows]:
    """No component serves more than its share of all requests, in normal operation.

    Formula
        Σ_(w,o,e) with the component traffic[w,o,e,(h,normal)]  ≤  most_fraction · Σ_(w,o) offered[w,o,(h,normal)]
        offered: the demand of the hour, of work that waits what is taken up in it
    Units
        requests/s
    Rows
        (component, hour)
    Marginal value
        what one request/s more on that component would save [USD]
    """
    normal = a.of(NORMAL)
    for share in a.p.shares:
        for h in a.p.hours:
            demand = normal.requests((h, NORMAL, 0.0))
            offered = total(normal.waits * spread(x.offered[(h, NORMAL, 0.0),], normal.F) + ~normal.waits * demand)
            by_component = requests_served_by(normal, x, share.placements, h)
            key = [(share.component,)]
            yield Rows(key, (h,), by_component, "<=", share.most_fraction * offered, size_of_all(a.p))


def budget_holds(a: Arrays, x: Vectors) -> Iterator[Rows]:
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
    if a.p.budget_usd is not None:
        yield Rows([("budget",)], (), cost_usd(a, x), "<=", a.p.budget_usd, a.p.budget_usd or 1.0)


def measure_is_limited(a: Arrays, x: Vectors) -> Iterator[Rows]:
    """No more is counted of an alternative than its measure may be.

    Formula
        Σ_(b,h) hours[h] · per_unit_hour[b] · units[b,h]  ≤  most
    Units
        of the measure: machine-hours
    Rows
        one, where a measure is limited
    Marginal value
        what one more of the measure would save [USD]
    """
    if a.p.measure is not None and a.p.measure.most is not None:
        most = a.p.measure.most
        yield Rows([("measure",)], (), measured(a, x), "<=", most, most or 1.0)


def non_preemptible_replicas_stand_on_non_preemptible_machines(a: Arrays, x: Vectors) -> Iterator[Rows]:
    """Which replicas stand on machines that count in every failure, or on one offer, is decided before any failure.

    Formula
        non_preemptible[e,h] + Σ_b on_offer[e,b,h]  ≤  replicas[e,h]
        Σ_e machines_per_replica[e] · non_preemptible[e,h]  ≤  usable[q] · (held + least counted of bought − claims)[q]
        Σ_e machines_per_replica[e] · on_offer[e,b,h]  ≤  usable[q] · (more[b] − least[b]) · machines of b
    Units
        replicas; machines
    Rows
        (placement, hour), (pool, hour) and (offer, hour), for pools with an offer that does not count whole in every
        failure: spot; offers of which more counts than the least where another of their pool counts less
    Marginal value
        what one more machine that always counts would save [USD]
    """
    on_spot = a.with_spot[a.pool_of_placement]
    used = a.with_spot & a.any_on_pool(np.ones(a.P, dtype=bool))
    for h in a.p.hours if on_spot.any() else ():
        sure = spread(x.non_preemptible[h,], a.P)
        go_on = sure + replicas_on_offers(a, x, h) if a.placements_on_offers else sure
        yield Rows(a.placements, (h,), go_on, "<=", x.replicas[h,]).only(on_spot)
        stand = sum_by(a.machines_per_replica * sure, a.pool_of_placement, a.Q)
        yield Rows(a.pools, (h,), stand, "<=", machines_non_preemptible(a, x, h)).only(used)
        if a.placements_on_offers:
            at = np.array([a.offer_at[b] for b in a.counted_apart], dtype=int)
            of_pair = a.machines_per_replica[a.placement_of_pair] * spread(x.on_offer[h,], len(a.placements_on_offers))
            stand = pick(sum_by(of_pair, a.offer_of_pair, len(a.p.offers)), at)
            offers: list[Key] = [(b,) for b in a.counted_apart]
            yield Rows(offers, (h,), stand, "<=", pick(machines_counted_apart(a, x, h), at))


def a_pool_in_use_keeps_spare_machines(a: Arrays, x: Vectors) -> Iterator[Rows]:
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
    used = a.maybe_unused & a.any_on_pool(np.ones(a.P, dtype=bool))
    most = numbers_of(a.p.maybe_unused, a.p.pools, 0.0)
    for h in a.p.hours if used.any() else ():
        run = sum_by(a.machines_per_replica * spread(x.replicas[h,], a.P), a.pool_of_placement, a.Q)
        opened = spread(x.opened[h,], a.Q)
        yield Rows(a.pools, (h,), run, "<=", most * opened).only(used)
        yield Rows(a.pools, (h, "once"), opened, "<=", 1.0).only(used)


def outages_are_ranked(a: Arrays, x: Vectors) -> Iterator[Rows]:
    """The dearest outage costs no less than any; what is above the threshold of the tail is no less than it is.

    Formula
        worst  ≥  outage_usd[f],  worst ≥ 0
        above[g]  ≥  outage_usd[f] − threshold      ∀ f that are g
        dearest[g]  ≥  outage_usd[f]                ∀ f that are g, where they are several
        of an outage in stages Σ_g dearest[g] over its stages g in the place of outage_usd[f]
    Units
        USD of one occurrence
    Rows
        (failure), where the objective is worst_case or cvar, or a partial loss may fall on several placements;
        (outage), where it has several stages
    Marginal value
        how much of the objective this failure is (0 to 1)
    Source
        Rockafellar and Uryasev, Journal of Risk 2 (2000)
    """
    p, size = a.p, outage_size_usd(a.p)
    one, stages = dearest_of(p), stages_of_outages(p)
    for f, rate in p.priced.items():
        usd = outage_column(a, x, [f])
        if len(one[rate.of]) > 1:
            yield Rows([(f, rate.of)], (), tail_usd(a, x, [("of", rate.of)]), ">=", usd, size)
        if len(stages[rate.outage]) == 1:
            yield from _ranked(a, x, f, rate.outage, usd)
    for outage, several in stages.items():
        if len(several) > 1:
            in_all: Vector = np.zeros(1)
            for g in several:
                in_all = in_all + dearest_usd(a, x, g, one[g])
            yield from _ranked(a, x, outage, outage, in_all)


def _ranked(a: Arrays, x: Vectors, name: str, outage: str, usd: Vector) -> Iterator[Rows]:
    """That the dearest outage, or what is above the threshold, is no less than what one costs [USD]."""
    size = outage_size_usd(a.p)
    if a.p.objective == "worst_case":
        yield Rows([(name,)], (), tail_usd(a, x, [("worst",)]), ">=", usd, size)
    elif a.p.objective == "cvar":
        tail = tail_usd(a, x, [("above", outage)]) + tail_usd(a, x, [("threshold",)])
        yield Rows([(name,)], (), tail, ">=", usd, size)


def an_outage_saves_no_more_than_operation(a: Arrays, x: Vectors) -> Iterator[Rows]:
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
    p, hours = a.p, sum(a.p.hours_in[h] for h in a.p.hours)
    if not p.priced:
        return
    operation: Vector = np.zeros(1)
    for h in p.hours:
        operation = operation + p.present_hours[h] / hours * operation_usd_per_hour(a.of(NORMAL), x, (h, NORMAL, 0.0))
    for f, rate in p.priced.items():
        usd = outage_column(a, x, [f]) + rate.lasts_hours * operation
        yield Rows([(f,)], (), usd, ">=", 0.0, outage_size_usd(p))


def deferred_work_is_done(a: Arrays, x: Vectors) -> Iterator[Rows]:
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
    p, normal = a.p, a.of(NORMAL)
    for t in p.periods if normal.waits.any() else ():
        hours = [h for h in p.hours if p.period_of[h] == t]
        taken_up: Vector = np.zeros(normal.F)
        for h in hours:
            taken_up = taken_up + p.hours_in[h] * x.offered[(h, NORMAL, 0.0),]
        wanted = normal.by_flow(np.sum([p.hours_in[h] * normal.demand(h) for h in hours], axis=0))
        size = normal.sizes() * sum(p.hours_in[h] for h in hours)
        yield Rows(normal.flows, (t,), taken_up, "==", wanted, size).only(normal.waits)


def build_outs_have_limits(a: Arrays, x: Vectors) -> Iterator[Rows]:
    """No more modules of a phase are built than there are, no fewer than must be, and of a group of phases only one.

    Formula
        least[m]  ≤  Σ_t started[m,t]  ≤  most[m];      Σ_m in group Σ_t started[m,t]  ≤  1
    Units
        modules
    Rows
        (build-out), (build-out, least) where any must be built, and (build-outs of the group)
    Marginal value
        what one more module would save [USD]
    """
    p = a.p
    if not p.build_outs:
        return
    built = units_active(a, x, p.hours[-1])
    phases = np.array([a.offer_at[m] for m in p.build_outs], dtype=int)
    yield Rows([(m,) for m in p.build_outs], (), pick(built, phases), "<=", a.most_units[phases])
    if p.least_units:
        least = np.array([a.offer_at[m] for m in p.least_units], dtype=int)
        of = [(m,) for m in p.least_units]
        yield Rows(of, ("least",), pick(built, least), ">=", np.array(list(p.least_units.values())))
    for group in p.either_or:
        either = np.array([a.offer_at[m] for m in group], dtype=int)
        yield Rows([group], (), total(pick(built, either)), "<=", 1.0)


def phases_follow_each_other(a: Arrays, x: Vectors) -> Iterator[Rows]:
    """A phase stands no earlier than those that it comes after.

    Formula
        Σ_u≤t started[m,u]  ≤  most[m] · Σ_u≤t started[n,u]      ∀ n before m, t
    Units
        modules
    Rows
        (build-out, the one before, period)
    Marginal value
        what the later phase alone would save [USD]
    """
    pairs = [(m, n) for m, earlier in sorted(a.p.after.items()) for n in earlier]
    if not pairs:
        return
    later = np.array([a.offer_at[m] for m, _ in pairs], dtype=int)
    known = np.array([n in a.offer_at for _, n in pairs])  # what cannot be built within the horizon never stands
    before = np.array([a.offer_at.get(n, 0) for _, n in pairs], dtype=int)
    for t, h in first_hours(a).items():
        stand = units_active(a, x, h)
        yield Rows(pairs, (t,), pick(stand, later), "<=", known * a.most_units[later] * pick(stand, before))


def capital_has_limits(a: Arrays, x: Vectors) -> Iterator[Rows]:
    """No more capital is paid in some time than there is.

    Formula
        Σ_b,t capital_usd[u,b,t] · started[b,t]  ≤  most_usd      over the periods u of the limit
    Units
        USD, not discounted; what is paid before the horizon counts in its first period
    Rows
        (limit)
    Marginal value
        what one USD more then would save [USD]
    """
    for cap in a.p.capital_caps:
        paid: Vector = np.zeros(1)
        for u in cap.periods:
            usd_of = a.p.capital_usd.get(u, {})
            for t in a.p.periods if usd_of else ():
                usd = np.array([usd_of.get((b, t), 0.0) for (b,) in a.offers])
                paid = paid + total(usd * spread(x.started[t,], a.B))
        yield Rows([(cap.name,)], (), paid, "<=", cap.most_usd, cap.most_usd or 1.0)


def spend_commitments_are_used_or_paid(a: Arrays, x: Vectors) -> Iterator[Rows]:
    """What was promised to a provider for a year is spent on its offers, or paid as it is.

    Formula
        Σ_b,t in year spent_usd[b,t] + shortfall[k,year]  ≥  usd[k,year]
    Units
        USD, not discounted
    Rows
        (commitment, year of the contract)
    Marginal value
        what a smaller promise would save [USD per USD]
    """
    if a.spend_years:
        promised = np.array([k.usd for k in a.p.spend_years])
        accounted = spent_in_years_usd(a, x) + x.shortfall[ONCE]
        yield Rows(a.spend_years, (), accounted, ">=", promised, np.where(promised > 0, promised, 1.0))


def what_was_ordered_stays(a: Arrays, x: Vectors) -> Iterator[Rows]:
    """What was decided already is bought, no less and no more: a plan that is changed while it is carried out.

    Formula
        least[b,t]  ≤  started[b,t]  ≤  most[b,t];      the same for rented[b,h]
    Units
        units of the offer, modules
    Rows
        (offer or build-out, period or hour, least or most), for what was decided
    Marginal value
        what one unit less, or more, would have saved [USD]
    """
    for (b, when), (least, most) in sorted(a.p.ordered.items()):
        i = np.array([a.offer_at[b]])
        bought = pick(spread((x.rented if b in a.p.hourly else x.started)[when,], a.B), i)
        if least > 0:
            yield Rows([(b, when)], ("least",), bought, ">=", least)
        if most < float("inf"):
            yield Rows([(b, when)], ("most",), bought, "<=", most)
