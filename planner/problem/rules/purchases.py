"""Rules of what is bought, which hold once: one function each, whose name is the sentence that must hold."""

from collections.abc import Iterator

from planner.problem.algebra import Row, total
from planner.problem.decisions import Decisions
from planner.problem.problem import Problem, flow_size, size_of_all
from planner.problem.rules.costs import cost_usd, dearest_of, operation_usd_per_hour, outage_size_usd
from planner.problem.rules.formulas import (
    limit_capacity,
    limit_used,
    machines_non_preemptible,
    requests_offered,
    requests_served_by,
    spent_usd,
    units_active,
    units_on_fullest_day,
)
from planner.study.dependencies import NORMAL


def offers_have_limits(p: Problem, x: Decisions) -> Iterator[Row]:
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
    for b in p.offers:
        if p.most_units[b] < float("inf"):
            if b in p.hourly:
                yield from (Row((b, h), x.rented[b, h], "<=", p.most_units[b]) for h in p.hours)
            else:
                first = {p.period_of[h]: h for h in reversed(p.hours)}
                yield from (
                    Row((b, t), units_on_fullest_day(p, x, b, h), "<=", p.most_units[b]) for t, h in first.items()
                )


def limits_hold(p: Problem, x: Decisions) -> Iterator[Row]:
    """Quotas, in the provider's own unit, and the power of a site hold for machines held and bought.

    Formula
        Σ_q units_per_machine[l,q] · (held[q,h] + Σ_b machines_per_unit[b] · units[b,h])
            ≤  most[l] + Σ_m power_kw[m] · modules[m,h]      ∀ l, h;  modules for the power of a site that is built
    Units
        the limit's: machines, vcpu, chips, kW; of machines and units that are there on some day of the period
    Rows
        (limit, hour)
    Marginal value
        what one more vcpu, chip or kW would save [USD]: what asking for it is worth
    """
    for index, limit in enumerate(p.limits):
        for h in p.hours:
            if limit.periods is not None and p.period_of[h] not in limit.periods:
                continue
            yield Row((limit.name, h), limit_used(p, x, index, h), "<=", limit_capacity(p, x, index, h))


def shares_hold(p: Problem, x: Decisions) -> Iterator[Row]:
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
    for share in p.shares:
        for h in p.hours:
            most = total((share.most_fraction, requests_offered(p, x, w, o, (h, NORMAL, 0.0))) for w, o in p.flows)
            yield Row((share.component, h), requests_served_by(p, x, share.placements, h), "<=", most, size_of_all(p))


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
        yield Row(("budget",), cost_usd(p, x), "<=", p.budget_usd, p.budget_usd or 1.0)


def non_preemptible_replicas_stand_on_non_preemptible_machines(p: Problem, x: Decisions) -> Iterator[Row]:
    """Which replicas stand on machines that count in every failure is decided once, before any of them.

    Formula
        non_preemptible[e,h]  ≤  replicas[e,h]
        Σ_e machines_per_replica[e] · non_preemptible[e,h]  ≤  usable[q] · (held + least counted of bought − claims)[q]
    Units
        replicas; machines
    Rows
        (placement, hour) and (pool, hour), for pools with an offer that does not count whole in every failure: spot
    Marginal value
        what one more machine that always counts would save [USD]
    """
    for q in sorted(p.with_spot):
        for h in p.hours:
            yield from (Row((e, h), x.non_preemptible[e, h], "<=", x.replicas[e, h]) for e in p.on_pool[q])
            stand = total((p.machines_per_replica[e], x.non_preemptible[e, h]) for e in p.on_pool[q])
            if p.on_pool[q]:
                yield Row((q, h), stand, "<=", machines_non_preemptible(p, x, q, h))


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
        above[g]  ≥  outage_usd[f] − threshold      ∀ f that are g
        dearest[g]  ≥  outage_usd[f]                ∀ f that are g, where they are several
    Units
        USD of one occurrence
    Rows
        (failure), where the objective is worst_case or cvar, or a partial loss may fall on several placements
    Marginal value
        how much of the objective this failure is (0 to 1)
    Source
        Rockafellar and Uryasev, Journal of Risk 2 (2000)
    """
    one, size = dearest_of(p), outage_size_usd(p)
    for f, rate in p.priced.items():
        if len(one[rate.of]) > 1:
            yield Row((f, rate.of), x.tail["of", rate.of], ">=", x.outage[f,], size)
        if p.objective == "worst_case":
            yield Row((f,), x.tail["worst",], ">=", x.outage[f,], size)
        elif p.objective == "cvar":
            tail = total([(1.0, x.tail["above", rate.of]), (1.0, x.tail["threshold",])])
            yield Row((f,), tail, ">=", x.outage[f,], size)


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
            (rate.hours_to_repair * p.present_hours[h] / hours, operation_usd_per_hour(p, x, (h, NORMAL, 0.0)))
            for h in p.hours
        ]
        yield Row((f,), total([(1.0, x.outage[f,]), *normal]), ">=", 0.0, outage_size_usd(p))


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
            wanted = sum(n * p.demand_requests_per_second[w, o, h] for n, h in hours)
            yield Row((w, o, t), taken_up, "==", wanted, flow_size(p, w, o) * sum(n for n, _ in hours))


def build_outs_have_limits(p: Problem, x: Decisions) -> Iterator[Row]:
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
    last = p.hours[-1]
    yield from (Row((m,), units_active(p, x, m, last), "<=", p.most_units[m]) for m in p.build_outs)
    yield from (Row((m, "least"), units_active(p, x, m, last), ">=", least) for m, least in p.least_units.items())
    for group in p.either_or:
        yield Row(group, total((1.0, units_active(p, x, m, last)) for m in group), "<=", 1.0)


def phases_follow_each_other(p: Problem, x: Decisions) -> Iterator[Row]:
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
    first = {p.period_of[h]: h for h in reversed(p.hours)}
    for m, earlier in sorted(p.after.items()):
        for n in earlier:
            for t in p.periods:
                stands = total([(p.most_units[m], units_active(p, x, n, first[t]))])
                yield Row((m, n, t), units_active(p, x, m, first[t]), "<=", stands)


def capital_has_limits(p: Problem, x: Decisions) -> Iterator[Row]:
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
    for cap in p.capital_caps:
        paid = [(usd, x.started[key]) for t in cap.periods for key, usd in p.capital_usd.get(t, {}).items()]
        yield Row((cap.name,), total(paid), "<=", cap.most_usd, cap.most_usd or 1.0)


def spend_commitments_are_used_or_paid(p: Problem, x: Decisions) -> Iterator[Row]:
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
    for k in p.spend_years:
        spent = [(1.0, spent_usd(p, x, b, t)) for b in k.offers for t in k.periods]
        yield Row((k.name, k.year), total([*spent, (1.0, x.shortfall[k.name, k.year])]), ">=", k.usd, k.usd or 1.0)


def what_was_ordered_stays(p: Problem, x: Decisions) -> Iterator[Row]:
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
    for (b, when), (least, most) in sorted(p.ordered.items()):
        bought = x.rented[b, when] if b in p.hourly else x.started[b, when]
        if least > 0:
            yield Row((b, when, "least"), bought, ">=", least)
        if most < float("inf"):
            yield Row((b, when, "most"), bought, "<=", most)
