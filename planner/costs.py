"""What is minimised: one function per component, in USD over the horizon. The same functions state a plan's cost."""

from collections.abc import Callable

from planner.algebra import Linear, total
from planner.formulas import live_edges
from planner.problem import Decisions, Problem, State
from planner.risk import NORMAL
from planner.units import SECONDS_PER_HOUR


def commitments(p: Problem, x: Decisions) -> Linear:
    """Commitments, capacity blocks and build-outs: paid for every hour of the period, used or not.

    Formula
        Σ_b,t price[b] · machines_per_unit[b] · hours[t] · started[b,t]
    Units
        USD over the horizon
    """
    return total(
        (p.price_usd_per_machine_hour[b] * p.machines_per_unit[b] * p.hours_in[t], x.started[b, t])
        for b in p.offers
        if b not in p.hourly
        for t in p.periods
    )


def hourly_machines(p: Problem, x: Decisions) -> Linear:
    """On-demand and spot machines: paid while they are rented.

    Formula
        Σ_b,h price[b] · machines_per_unit[b] · hours[h] · rented[b,h]
    Units
        USD over the horizon
    """
    return total(
        (p.price_usd_per_machine_hour[b] * p.machines_per_unit[b] * p.hours_in[h], x.rented[b, h])
        for b in p.offers
        if b in p.hourly
        for h in p.hours
    )


def requests(p: Problem, x: Decisions) -> Linear:
    """Cost of requests by origin and site, in normal operation.

    Formula
        Σ_h hours[h] · requests_usd_per_hour(h, normal)
    Units
        USD over the horizon
    """
    return total((p.hours_in[h], requests_usd_per_hour(p, x, (h, NORMAL, 0.0))) for h in p.hours)


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
        Σ_w,o,h 3600 · hours[h] · outage_usd[w] · shed[w,o,(h,normal,0)]
    Units
        USD over the horizon
    """
    return total(
        (SECONDS_PER_HOUR * p.hours_in[h] * p.outage_usd_per_request[w], x.shed[w, o, (h, NORMAL, 0.0)])
        for w, o in p.flows
        for h in p.hours
    )


COSTS: tuple[Callable[[Problem, Decisions], Linear], ...] = (
    commitments,
    hourly_machines,
    requests,
    unserved_requests,
)


def cost_usd(p: Problem, x: Decisions) -> Linear:
    """All costs together [USD over the horizon]."""
    return total((1.0, cost(p, x)) for cost in COSTS)
