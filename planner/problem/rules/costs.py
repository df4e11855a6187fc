"""What is minimised: one function per component, in USD over the horizon. The same functions state a plan's cost.

Each is a vector of one: a sum over all that it counts.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np

from planner.problem.algebra import Key, Vector, pick, spread, total
from planner.problem.arrays import Arrays
from planner.problem.decisions import ONCE, Vectors
from planner.problem.problem import Problem, State, flow_size
from planner.problem.rules.formulas import machines_held_or_bought, units_active, units_usd_per_hour
from planner.problem.things import Things
from planner.study.dependencies import NORMAL
from planner.units import SECONDS_PER_HOUR


def commitments(a: Arrays, x: Vectors) -> Vector:
    """Commitments and capacity blocks: paid for every hour of their term in the horizon, used or not.

    The price by the hour of machines that are bought is upkeep.

    Formula
        Σ_b,t start_usd[b,t] · started[b,t],   start_usd = Σ price[b,t] · machines_per_unit[b] · hours · discount_factor
    Units
        USD over the horizon, as of its first day
    """
    return _of_vintages(a, x, "commitments")


def capital(a: Arrays, x: Vectors) -> Vector:
    """What is built and the machines that are bought: each part is paid when it must be ordered.

    Formula
        Σ_b,t start_usd[b,t] · started[b,t]
        start_usd  =  Σ_part usd_per_mw[part] · power_mw · discount_factor(need − lead time[part])
                      or capital_usd_per_machine · machines_per_unit · discount_factor(need − lead time)
    Units
        USD over the horizon, as of its first day; discount_factor = 1 / (1 + discount) ^ years
    """
    return _of_vintages(a, x, "capital")


def upkeep(a: Arrays, x: Vectors) -> Vector:
    """Staff, upkeep and land of what is built, and upkeep of machines that are bought, from their first day on.

    Formula
        Σ_b,t start_usd[b,t] · started[b,t]
        start_usd  =  Σ_u≥t usd_per_mw_year · power_mw · years[u] · discount_factor[u]
                      or Σ_u price[b,t] · machines_per_unit[b] · hours[u] · discount_factor[u], of machines in use
    Units
        USD over the horizon, as of its first day
    """
    return _of_vintages(a, x, "upkeep")


def salvage(a: Arrays, x: Vectors) -> Vector:
    """Book value of what was bought when the horizon ends: a cost below zero.

    Formula
        − Σ_b,t discount_factor(end) · capital[b,t] · max(0, 1 − age / life) · started[b,t]
    Units
        USD over the horizon, as of its first day
    Source
        straight-line depreciation: IAS 16, paragraph 62
    """
    return _of_vintages(a, x, "salvage")


def _of_vintages(a: Things, x: Vectors, component: str) -> Vector:
    usd_of = a.p.start_usd.get(component, {})
    usd: Vector = np.zeros(1)
    for t in a.p.periods if usd_of else ():
        each = np.array([usd_of.get((b, t), 0.0) for (b,) in a.offers])
        usd = usd + total(each * spread(x.started[t,], a.B))
    return usd


def energy(a: Arrays, x: Vectors) -> Vector:
    """Energy of the machines that are held or bought at sites that pay it apart.

    Formula
        Σ_q,h present_hours[h] · power_kw · draw_fraction · pue · usd_per_kwh[t] · machines[q,h]
    Units
        USD over the horizon, as of its first day
    """
    usd: Vector = np.zeros(1)
    for h in a.p.hours if a.p.energy_usd_per_machine_hour else ():
        usd = usd + a.p.present_hours[h] * total(energy_usd_per_hour(a, x, h))
    return usd


def energy_usd_per_hour(a: Things, x: Vectors, h: str) -> Vector:
    """Energy of the machines of each pool that are held or bought, where it is paid apart [USD/h; Q]."""
    t = a.p.period_of[h]
    each = np.array([a.p.energy_usd_per_machine_hour.get((q, t), 0.0) for q in a.p.pools])
    return each * machines_held_or_bought(a, x, h)


def spend_shortfalls(a: Arrays, x: Vectors) -> Vector:
    """What was promised to providers and not used: it is paid at the end of each year of the contract.

    Formula
        Σ_k,year discount_factor(end of the year) · shortfall[k,year]
    Units
        USD over the horizon, as of its first day
    """
    factors = np.array([year.discount_factor for year in a.p.spend_years])
    return total(factors * spread(x.shortfall[ONCE], len(factors)))


def hourly_machines(a: Arrays, x: Vectors) -> Vector:
    """On-demand and spot machines: paid while they are rented.

    Formula
        Σ_b,h price[b,t] · machines_per_unit[b] · present_hours[h] · rented[b,h]
    Units
        USD over the horizon, as of its first day
    """
    usd: Vector = np.zeros(1)
    for h in a.p.hours:
        usd = usd + a.p.present_hours[h] * total(rented_usd_per_hour(a, x, h))
    return usd


def rented_usd_per_hour(a: Things, x: Vectors, h: str) -> Vector:
    """What is paid for the units of each hourly offer [USD/h; B]."""
    return units_usd_per_hour(a, a.p.period_of[h]) * a.hourly * spread(x.rented[h,], a.B)


def requests(a: Arrays, x: Vectors) -> Vector:
    """Cost of requests by origin and site, in normal operation.

    Formula
        Σ_h present_hours[h] · requests_usd_per_hour(h, normal)
    Units
        USD over the horizon, as of its first day
    """
    usd: Vector = np.zeros(1)
    for h in a.p.hours if a.p.request_usd else ():
        usd = usd + a.p.present_hours[h] * requests_usd_per_hour(a.of(NORMAL), x, (h, NORMAL, 0.0))
    return usd


def requests_usd_per_hour(a: Arrays, x: Vectors, s: State) -> Vector:
    """Cost of the requests of one state [USD/h]: Σ_w,o,e 3600 · request_usd[o, site(e)] · traffic[w,o,e,s]."""
    if not a.p.request_usd:
        return np.zeros(1)
    return total(SECONDS_PER_HOUR * a.request_usd * spread(x.traffic[s,], a.E))


def unserved_requests(a: Arrays, x: Vectors) -> Vector:
    """Requests that normal operation leaves unserved, at the tier's cost of an outage.

    Formula
        Σ_w,o,h 3600 · present_hours[h] · outage_usd[w] · shed[w,o,(h,normal,0)]
    Units
        USD over the horizon, as of its first day
    """
    usd, normal = np.zeros(1), a.of(NORMAL)
    for h in a.p.hours:
        usd = usd + a.p.present_hours[h] * unserved_usd_per_hour(normal, x, (h, NORMAL, 0.0))
    return usd


def unserved_usd_per_hour(a: Arrays, x: Vectors, s: State) -> Vector:
    """Requests of a state that are not served, at the tier's cost of an outage [USD/h; one]."""
    return total(SECONDS_PER_HOUR * a.outage_usd_per_request * spread(x.shed[s,], a.F))


def outages(a: Arrays, x: Vectors) -> Vector:
    """What failures cost beyond normal operation, where the objective counts that: in the mean, at worst, in the tail.

    Formula
        expected:    Σ_g occurrences[g] · dearest[g]
        worst_case:  max(0, max_k outage[k])
        cvar:        many · threshold + Σ_k occurrences[k] · max(0, outage[k] − threshold) / (1 − level)
        dearest[g]  =  max over the failures f that are g, but for where a partial loss falls, of outage_usd[f]
        outage[k]  =  Σ over the g that are stages of k of dearest[g]; of most outages k there is one
        many  =  max(1, Σ_k occurrences[k])
    Units
        USD over the horizon
    Source
        Rockafellar and Uryasev, Journal of Risk 2 (2000), for the last. Where less than one outage is to be expected:
        the mean of the dearest share of all cases, none among them. Where more are: of all outages, the mean of the
        dearest share, times how many are to be expected; never less than what is expected of them
    """
    p = a.p
    if not p.priced:
        return np.zeros(1)
    if p.objective == "worst_case":
        return tail_usd(a, x, [("worst",)])
    often = {rate.of: rate.occurrences for rate in p.priced.values()}
    if p.objective == "expected":
        usd: Vector = np.zeros(1)
        for g, same in dearest_of(p).items():
            usd = usd + often[g] * dearest_usd(a, x, g, same)
        return usd
    occurrences = occurrences_of(p)
    above = tail_usd(a, x, [("above", k) for k in occurrences])
    per_outage = np.array(list(occurrences.values())) / (1 - p.cvar_level)
    return outages_expected(p) * tail_usd(a, x, [("threshold",)]) + total(per_outage * above)


def dearest_usd(a: Things, x: Vectors, g: str, same: list[str]) -> Vector:
    """What one occurrence of failures that are one costs, at its dearest [USD; one]."""
    return outage_column(a, x, same) if len(same) == 1 else tail_usd(a, x, [("of", g)])


def outage_column(a: Things, x: Vectors, failures: list[str]) -> Vector:
    """What one occurrence of some failures costs [USD; failures]."""
    return pick(x.outage[ONCE], np.array([a.priced_at[f] for f in failures], dtype=int))


def tail_usd(a: Things, x: Vectors, parts: list[tuple[str, ...]]) -> Vector:
    """Of the tail of outages, some parts: see `tail` in the table of decisions [USD; parts]."""
    at = {part: i for i, part in enumerate(tail_of_outages(a.p))}
    return pick(x.tail[ONCE], np.array([at[part] for part in parts], dtype=int))


def tail_of_outages(p: Problem) -> list[tuple[str, ...]]:
    """("above", k) of outages, ("of", g) of failures that are one; ("worst",), ("threshold",)."""
    parts: list[tuple[str, ...]] = []
    dearest = dearest_of(p)
    for k, stages in stages_of_outages(p).items():
        parts += [("above", k), *(("of", g) for g in stages if len(dearest[g]) > 1)]
    return [*parts, ("worst",), ("threshold",)] if p.priced else []


def dearest_of(p: Problem) -> dict[str, list[str]]:
    """Priced failures that are one, but for the placement on which a partial loss falls: of these the dearest counts.

    Which placement it falls on is not known, and no chance is made up for it.
    """
    same: dict[str, list[str]] = {}
    for f, rate in p.priced.items():
        same.setdefault(rate.of, []).append(f)
    return same


def stages_of_outages(p: Problem) -> dict[str, list[str]]:
    """Outages -> the failures that are their stages, in order; most have one: see `dearest_of` for what is one."""
    begins = {rate.of: (rate.outage, rate.begins_hours) for rate in p.priced.values()}
    stages: dict[str, list[str]] = {}
    for g, (outage, _) in sorted(begins.items(), key=lambda each: each[1][1]):
        stages.setdefault(outage, []).append(g)
    return {outage: stages[outage] for outage, _ in begins.values()}


def occurrences_of(p: Problem) -> dict[str, float]:
    """Outages -> how often each is to be expected over the horizon."""
    return {rate.outage: rate.occurrences for rate in p.priced.values()}


def outages_expected(p: Problem) -> float:
    """Outages that are to be expected over the horizon, at least one: by what the threshold of the tail is weighted."""
    return max(1.0, sum(occurrences_of(p).values()))


def outage_usd(a: Arrays, x: Vectors, f: str) -> Vector:
    """What one occurrence of a failure costs beyond normal operation in the same time [USD]; may be below zero.

    Formula
        Σ_h present_hours[h] / Σ hours · ( Σ_c seconds[c] · operation_usd(h,f,c) + detection · unmoved_usd(h,f)
                                   − repair · operation_usd(h,normal) )
        operation_usd = cost of requests that are served + outage_usd_per_request · shed; a deadline's state lasts
        until the next, the last until repair; until detection nothing is moved: what is sent to the dead is shed.
        A later stage of an outage lasts from its begin on, and the one before until then
    """
    return in_states_usd(a.of(f), x, f, a.p.hours) + beside_states_usd(a.of(NORMAL), x, f)


def outage_size_usd(p: Problem) -> float:
    """The size by which the cost of outages is scaled and judged: the longest with nothing served [USD]; never 0."""
    dearest = max(p.request_usd.values(), default=0.0)
    hours = max((rate.hours_to_repair for rate in p.priced.values()), default=0.0)
    usd_per_second = (max(p.outage_usd_per_request[w], dearest) * flow_size(p, w, o) for w, o in p.flows)
    return SECONDS_PER_HOUR * hours * sum(usd_per_second) or 1.0


def in_states_usd(a: Arrays, x: Vectors, f: str, hours: Sequence[str]) -> Vector:
    """The part of `outage_usd` that the states of the failure in some hours decide [USD]."""
    p, usd = a.p, np.zeros(1)
    all_hours = sum(p.hours_in[h] for h in p.hours)
    for h in hours:
        for s, seconds in intervals(p, f, h):
            share = p.present_hours[h] / all_hours * seconds / SECONDS_PER_HOUR
            usd = usd + share * operation_usd_per_hour(a, x, s)
    return usd


def beside_states_usd(a: Arrays, x: Vectors, f: str) -> Vector:
    """The part of `outage_usd` that normal operation decides: until detection, and what it would have cost [USD]."""
    p, usd = a.p, np.zeros(1)
    all_hours = sum(p.hours_in[h] for h in p.hours)
    rate = p.priced[f]
    repair_hours = rate.lasts_hours
    until_hours = 0.0 if rate.begins_hours else min(p.detection_seconds / SECONDS_PER_HOUR, repair_hours)
    for h in p.hours:
        share = p.present_hours[h] / all_hours
        usd = usd + share * until_hours * unmoved_usd_per_hour(a, x, (h, f, 0.0))
        usd = usd - share * repair_hours * operation_usd_per_hour(a, x, (h, NORMAL, 0.0))
    return usd


def rank_outages(a: Arrays, x: Vectors) -> None:
    """Set what outages cost, the dearest and the tail, from the numbers of all states."""
    p = a.p
    each = {f: float(outage_usd(a, x, f)[0]) for f in p.priced}
    x.outage[ONCE] = np.array(list(each.values()))
    dearest = {g: max(each[f] for f in same) for g, same in dearest_of(p).items()}
    cost = {k: math.fsum(dearest[g] for g in stages) for k, stages in stages_of_outages(p).items()}
    chance = {k: often / (1 - p.cvar_level) for k, often in occurrences_of(p).items()}
    many = outages_expected(p)

    def tail(threshold: float) -> float:
        return many * threshold + sum(chance[g] * max(0.0, usd - threshold) for g, usd in cost.items())

    threshold = min({0.0, *(usd for usd in cost.values() if usd > 0)}, key=lambda z: (tail(z), z))
    values: dict[Key, float] = {("above", k): max(0.0, usd - threshold) for k, usd in cost.items()}
    values |= {("of", g): usd for g, usd in dearest.items()}
    values |= {("worst",): max([0.0, *cost.values()]), ("threshold",): threshold}
    x.tail[ONCE] = np.array([values[part] for part in tail_of_outages(p)])


def intervals(p: Problem, f: str, h: str) -> list[tuple[State, float]]:
    """States of a failure with the seconds that each lasts: from its deadline to the next, the last until repair."""
    end = p.priced[f].hours_to_repair * SECONDS_PER_HOUR
    deadlines = p.deadlines_seconds[f]
    return [
        ((h, f, c), max(0.0, min(later, end) - c)) for c, later in zip(deadlines, (*deadlines[1:], end), strict=True)
    ]


def operation_usd_per_hour(a: Arrays, x: Vectors, s: State) -> Vector:
    """Cost of serving and of not serving in a state [USD/h]."""
    return requests_usd_per_hour(a, x, s) + unserved_usd_per_hour(a, x, s)


def unmoved_usd_per_hour(a: Arrays, x: Vectors, s: State) -> Vector:
    """Cost of serving and of not serving before traffic is moved [USD/h]; `a`: of normal operation.

    Formula
        Σ_w,o 3600 · (outage_usd[w] · (wanted − sent) + Σ_e request_usd[o, site(e)] · sent[e])
        sent[e] = surge · coverable · available[e,f] · traffic[w,o,e,(h,normal)]: what goes to the dead is not served
    """
    h, f, _ = s
    usd = SECONDS_PER_HOUR * a.outage_usd_per_request
    reached = (a.surge(f) * a.coverable(f))[a.first][a.flow_of_edge] * a.available(f)[a.placement_of_edge]
    per_request = (SECONDS_PER_HOUR * a.request_usd - usd[a.flow_of_edge]) * reached * a.may_serve(NORMAL)
    unserved = np.array([float(np.sum(usd * a.requests(s)))])
    return unserved + total(per_request * spread(x.traffic[(h, NORMAL, 0.0),], a.E))


COSTS: tuple[Callable[[Arrays, Vectors], Vector], ...] = (
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


def cost_usd(a: Arrays, x: Vectors) -> Vector:
    """All costs together [USD, of the horizon's first day]."""
    usd: Vector = np.zeros(1)
    for cost in COSTS:
        usd = usd + cost(a, x)
    return usd


def measured(a: Arrays, x: Vectors) -> Vector:
    """The measure of an alternative, where there is one.

    Formula
        Σ_b,h hours[h] · per_unit_hour[b] · units_active[b,h]
    Units
        of the measure: machine-hours, where a unit counts for its machines
    """
    count: Vector = np.zeros(1)
    if a.p.measure is not None:
        per_unit_hour = np.array([a.p.measure.per_unit_hour.get(b, 0.0) for (b,) in a.offers])
        for h in a.p.hours:
            count = count + a.p.hours_in[h] * total(per_unit_hour * units_active(a, x, h))
    return count


def minimised(a: Arrays, x: Vectors) -> Vector:
    """What is minimised: all costs, or a measure with a little of them beside it."""
    measure = a.p.measure
    if measure is None or measure.most is not None:
        return cost_usd(a, x)
    return measured(a, x) + measure.usd_weight * cost_usd(a, x)
