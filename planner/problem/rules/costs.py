"""What is minimised: one function per component, in USD over the horizon. The same functions state a plan's cost."""

from collections.abc import Callable

from planner.problem.algebra import Linear, Sparse, total
from planner.problem.decisions import Decisions
from planner.problem.problem import Problem, State, flow_size
from planner.problem.rules.formulas import (
    available,
    further_surge,
    live_edges,
    machines_held_or_bought,
    requests_per_second,
    unit_usd_per_hour,
)
from planner.study.dependencies import NORMAL
from planner.units import SECONDS_PER_HOUR


def commitments(p: Problem, x: Decisions) -> Linear:
    """Commitments and capacity blocks: paid for every hour of their term in the horizon, used or not.

    The price by the hour of machines that are bought is upkeep.

    Formula
        Σ_b,t start_usd[b,t] · started[b,t],   start_usd = Σ price[b,t] · machines_per_unit[b] · hours · discount_factor
    Units
        USD over the horizon, as of its first day
    """
    return _of_vintages(p, x, "commitments")


def capital(p: Problem, x: Decisions) -> Linear:
    """What is built and the machines that are bought: each part is paid when it must be ordered.

    Formula
        Σ_b,t start_usd[b,t] · started[b,t]
        start_usd  =  Σ_part usd_per_mw[part] · power_mw · discount_factor(need − lead time[part])
                      or capital_usd_per_machine · machines_per_unit · discount_factor(need − lead time)
    Units
        USD over the horizon, as of its first day; discount_factor = 1 / (1 + discount) ^ years
    """
    return _of_vintages(p, x, "capital")


def upkeep(p: Problem, x: Decisions) -> Linear:
    """Staff, upkeep and land of what is built, and upkeep of machines that are bought, from their first day on.

    Formula
        Σ_b,t start_usd[b,t] · started[b,t]
        start_usd  =  Σ_u≥t usd_per_mw_year · power_mw · years[u] · discount_factor[u]
                      or Σ_u price[b,t] · machines_per_unit[b] · hours[u] · discount_factor[u], of machines in use
    Units
        USD over the horizon, as of its first day
    """
    return _of_vintages(p, x, "upkeep")


def salvage(p: Problem, x: Decisions) -> Linear:
    """Book value of what was bought when the horizon ends: a cost below zero.

    Formula
        − Σ_b,t discount_factor(end) · capital[b,t] · max(0, 1 − age / life) · started[b,t]
    Units
        USD over the horizon, as of its first day
    Source
        straight-line depreciation: IAS 16, paragraph 62
    """
    return _of_vintages(p, x, "salvage")


def _of_vintages(p: Problem, x: Decisions, component: str) -> Linear:
    return total((usd, x.started[key]) for key, usd in p.start_usd.get(component, {}).items())


def energy(p: Problem, x: Decisions) -> Linear:
    """Energy of the machines that are held or bought at sites that pay it apart.

    Formula
        Σ_q,h present_hours[h] · power_kw · draw_fraction · pue · usd_per_kwh[t] · machines[q,h]
    Units
        USD over the horizon, as of its first day
    """
    return total(
        (p.present_hours[h] * usd, machines_held_or_bought(p, x, q, h))
        for q in p.pools
        for h in p.hours
        if (usd := p.energy_usd_per_machine_hour.get((q, p.period_of[h]), 0.0))
    )


def spend_shortfalls(p: Problem, x: Decisions) -> Linear:
    """What was promised to providers and not used: it is paid at the end of each year of the contract.

    Formula
        Σ_k,year discount_factor(end of the year) · shortfall[k,year]
    Units
        USD over the horizon, as of its first day
    """
    return total((year.discount_factor, x.shortfall[year.name, year.year]) for year in p.spend_years)


def hourly_machines(p: Problem, x: Decisions) -> Linear:
    """On-demand and spot machines: paid while they are rented.

    Formula
        Σ_b,h price[b,t] · machines_per_unit[b] · present_hours[h] · rented[b,h]
    Units
        USD over the horizon, as of its first day
    """
    return total(
        (unit_usd_per_hour(p, b, p.period_of[h]) * p.present_hours[h], x.rented[b, h])
        for b in p.offers
        if b in p.hourly
        for h in p.hours
    )


def requests(p: Problem, x: Decisions) -> Linear:
    """Cost of requests by origin and site, in normal operation.

    Formula
        Σ_h present_hours[h] · requests_usd_per_hour(h, normal)
    Units
        USD over the horizon, as of its first day
    """
    return total((p.present_hours[h], requests_usd_per_hour(p, x, (h, NORMAL, 0.0))) for h in p.hours)


def requests_usd_per_hour(p: Problem, x: Decisions, s: State) -> Linear:
    """Cost of the requests of one state [USD/h]: Σ_w,o,e 3600 · request_usd[o, site(e)] · traffic[w,o,e,s]."""
    if not p.request_usd:
        return 0.0
    return total(
        (SECONDS_PER_HOUR * usd, x.traffic[w, o, e, s])
        for w, o in p.flows
        for e in live_edges(p, w, o, s[1])
        if (usd := p.request_usd.get((o, p.site_of[p.pool_of[e]]), 0.0))
    )


def unserved_requests(p: Problem, x: Decisions) -> Linear:
    """Requests that normal operation leaves unserved, at the tier's cost of an outage.

    Formula
        Σ_w,o,h 3600 · present_hours[h] · outage_usd[w] · shed[w,o,(h,normal,0)]
    Units
        USD over the horizon, as of its first day
    """
    return total(
        (SECONDS_PER_HOUR * p.present_hours[h] * p.outage_usd_per_request[w], x.shed[w, o, (h, NORMAL, 0.0)])
        for w, o in p.flows
        for h in p.hours
    )


def outages(p: Problem, x: Decisions) -> Linear:
    """What failures cost beyond normal operation, where the objective counts that: in the mean, at worst, in the tail.

    Formula
        expected:    Σ_g occurrences[g] · dearest[g]
        worst_case:  max(0, max_g dearest[g])
        cvar:        many · threshold + Σ_g occurrences[g] · max(0, dearest[g] − threshold) / (1 − level)
        dearest[g]  =  max over the failures f that are g, but for where a partial loss falls, of outage_usd[f]
        many  =  max(1, Σ_g occurrences[g])
    Units
        USD over the horizon
    Source
        Rockafellar and Uryasev, Journal of Risk 2 (2000), for the last. Where less than one outage is to be expected:
        the mean of the dearest share of all cases, none among them. Where more are: of all outages, the mean of the
        dearest share, times how many are to be expected; never less than what is expected of them
    """
    if not p.priced:
        return 0.0
    if p.objective == "worst_case":
        return total([(1.0, x.tail["worst",])])
    rates = {rate.of: rate.occurrences for rate in p.priced.values()}
    if p.objective == "expected":
        one = dearest_of(p)
        cost = {g: x.outage[same[0],] if len(same) == 1 else x.tail["of", g] for g, same in one.items()}
        return total((often, cost[g]) for g, often in rates.items())
    above = [(often / (1 - p.cvar_level), x.tail["above", g]) for g, often in rates.items()]
    return total([(outages_expected(p), x.tail["threshold",]), *above])


def dearest_of(p: Problem) -> dict[str, list[str]]:
    """Priced failures that are one, but for the placement on which a partial loss falls: of these the dearest counts.

    Which placement it falls on is not known, and no chance is made up for it.
    """
    same: dict[str, list[str]] = {}
    for f, rate in p.priced.items():
        same.setdefault(rate.of, []).append(f)
    return same


def outages_expected(p: Problem) -> float:
    """Outages that are to be expected over the horizon, at least one: by what the threshold of the tail is weighted."""
    return max(1.0, sum({rate.of: rate.occurrences for rate in p.priced.values()}.values()))


def outage_usd(p: Problem, x: Decisions, f: str) -> Linear:
    """What one occurrence of a failure costs beyond normal operation in the same time [USD]; may be below zero.

    Formula
        Σ_h present_hours[h] / Σ hours · ( Σ_c seconds[c] · operation_usd(h,f,c) + detection · unmoved_usd(h,f)
                                   − repair · operation_usd(h,normal) )
        operation_usd = cost of requests that are served + outage_usd_per_request · shed; a deadline's state lasts
        until the next, the last until repair; until detection nothing is moved: what is sent to the dead is shed
    """
    return total([(1.0, in_states_usd(p, x, f)), (1.0, beside_states_usd(p, x, f))])


def outage_size_usd(p: Problem) -> float:
    """The size by which the cost of outages is scaled and judged: the longest with nothing served [USD]; never 0."""
    dearest = max(p.request_usd.values(), default=0.0)
    hours = max((rate.hours_to_repair for rate in p.priced.values()), default=0.0)
    usd_per_second = (max(p.outage_usd_per_request[w], dearest) * flow_size(p, w, o) for w, o in p.flows)
    return SECONDS_PER_HOUR * hours * sum(usd_per_second) or 1.0


def in_states_usd(p: Problem, x: Decisions, f: str) -> Linear:
    """The part of `outage_usd` that the states of the failure decide [USD]."""
    hours = sum(p.hours_in[h] for h in p.hours)
    return total(
        (p.present_hours[h] / hours * seconds / SECONDS_PER_HOUR, operation_usd_per_hour(p, x, s))
        for h in p.hours
        for s, seconds in intervals(p, f, h)
    )


def beside_states_usd(p: Problem, x: Decisions, f: str) -> Linear:
    """The part of `outage_usd` that normal operation decides: until detection, and what it would have cost [USD]."""
    hours = sum(p.hours_in[h] for h in p.hours)
    repair_hours = p.priced[f].hours_to_repair
    until_hours = min(p.detection_seconds / SECONDS_PER_HOUR, repair_hours)
    terms: list[tuple[float, Linear]] = []
    for h in p.hours:
        share = p.present_hours[h] / hours
        terms.append((share * until_hours, unmoved_usd_per_hour(p, x, (h, f, 0.0))))
        terms.append((-share * repair_hours, operation_usd_per_hour(p, x, (h, NORMAL, 0.0))))
    return total(terms)


def rank_outages(p: Problem, x: Decisions) -> None:
    """Set what outages cost, the dearest and the tail, from the numbers of all states."""
    each = {f: float(outage_usd(p, x, f)) for f in p.priced}
    x.outage = Sparse({(f,): usd for f, usd in each.items()})
    cost = {g: max(each[f] for f in same) for g, same in dearest_of(p).items()}
    chance = {rate.of: rate.occurrences / (1 - p.cvar_level) for rate in p.priced.values()}
    many = outages_expected(p)

    def tail(threshold: float) -> float:
        return many * threshold + sum(chance[g] * max(0.0, usd - threshold) for g, usd in cost.items())

    threshold = min({0.0, *(usd for usd in cost.values() if usd > 0)}, key=lambda z: (tail(z), z))
    x.tail = Sparse({("above", g): max(0.0, usd - threshold) for g, usd in cost.items()})
    x.tail.update({("of", g): usd for g, usd in cost.items()})
    x.tail["worst",], x.tail["threshold",] = max([0.0, *cost.values()]), threshold


def intervals(p: Problem, f: str, h: str) -> list[tuple[State, float]]:
    """States of a failure with the seconds that each lasts: from its deadline to the next, the last until repair."""
    end = p.priced[f].hours_to_repair * SECONDS_PER_HOUR
    deadlines = p.deadlines_seconds[f]
    return [
        ((h, f, c), max(0.0, min(later, end) - c)) for c, later in zip(deadlines, (*deadlines[1:], end), strict=True)
    ]


def operation_usd_per_hour(p: Problem, x: Decisions, s: State) -> Linear:
    """Cost of serving and of not serving in a state [USD/h]."""
    shed = ((SECONDS_PER_HOUR * p.outage_usd_per_request[w], x.shed[w, o, s]) for w, o in p.flows)
    return total([(1.0, requests_usd_per_hour(p, x, s)), *shed])


def unmoved_usd_per_hour(p: Problem, x: Decisions, s: State) -> Linear:
    """Cost of serving and of not serving before traffic is moved [USD/h].

    Formula
        Σ_w,o 3600 · (outage_usd[w] · (wanted − sent) + Σ_e request_usd[o, site(e)] · sent[e])
        sent[e] = surge · coverable · available[e,f] · traffic[w,o,e,(h,normal)]: what goes to the dead is not served
    """
    h, f, _ = s
    terms: list[tuple[float, Linear]] = []
    for w, o in p.flows:
        usd = SECONDS_PER_HOUR * p.outage_usd_per_request[w]
        wanted = requests_per_second(p, w, o, s)
        surge = p.failures[f].surge_factor * further_surge(p, w, o, f) * p.coverable[f].get((w, o), 1.0)
        terms.append((usd, wanted))
        for e in p.edges[w, o]:
            to_serve = SECONDS_PER_HOUR * p.request_usd.get((o, p.site_of[p.pool_of[e]]), 0.0)
            sent = (to_serve - usd) * surge * available(p, e, f)
            terms.append((sent, x.traffic[w, o, e, (h, NORMAL, 0.0)]))
    return total(terms)


COSTS: tuple[Callable[[Problem, Decisions], Linear], ...] = (
    commitments,
    hourly_machines,
    capital,
    upkeep,
    energy,
    salvage,
    spend_shortfalls,
    requests,
    unserved_requests,
    outages,
)


def cost_usd(p: Problem, x: Decisions) -> Linear:
    """All costs together [USD, of the horizon's first day]."""
    return total((1.0, cost(p, x)) for cost in COSTS)
