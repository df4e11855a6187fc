"""What is left free when purchases and replicas are chosen: routes by cost and latency, without slivers."""

from dataclasses import replace
from typing import Any

from planner.errors import SolverError
from planner.problem.algebra import Sparse, total
from planner.problem.decisions import Decisions, no_decisions
from planner.problem.problem import Problem, flow_weights, states, with_a_hair
from planner.problem.rules.costs import requests, unserved_requests
from planner.problem.rules.formulas import short_of_spend
from planner.problem.rules.register import PURCHASE_RULES, STATE_RULES
from planner.solve.feasibility_subproblem import SLIVER, STATE_NAMES
from planner.solve.program import BOUGHT, OPTIMAL, Program, state_columns
from planner.study.dependencies import NORMAL

TIE = 1e-3
"""Share of the longest round trip by which the first of two placements is preferred to the last: it settles ties."""


def edge_costs(p: Problem) -> dict[tuple[str, str], float]:
    """(o, e) -> what routing prefers: cost of the request first, then the shorter round trip (both below 1).

    Of placements that are equal in both the first is taken, so that no release of a solver decides it.
    """
    usd_worst = max(p.request_usd.values(), default=0.0)
    known = [r.round_trip_ms for r in p.round_trip_ms.values()]
    ms_worst = max(known, default=1.0) or 1.0
    weight = 1e-7 if usd_worst else 1.0
    costs = {}
    for o in sorted({o for _, o in p.flows}):
        for rank, e in enumerate(p.placements):
            site = p.site_of[p.pool_of[e]]
            trip = p.round_trip_ms[o, site].round_trip_ms if (o, site) in p.round_trip_ms else ms_worst
            usd = p.request_usd.get((o, site), 0.0) / usd_worst if usd_worst else 0.0
            costs[o, e] = usd + weight * (trip / ms_worst + TIE * rank / len(p.placements))
    return costs


def settle_normal(p: Problem, purchases: Decisions, solver: Any = None) -> Decisions:
    """Normal operation with purchases and replicas as numbers: least cost, then least latency, no slivers.

    Where it fits but for what the integer search missed by its arithmetic, it is settled with that much more room.

    Raises
    ------
    SolverError
        when it does not fit
    """
    found = _settle_normal(p, purchases, solver)
    found = _settle_normal(with_a_hair(p), purchases, solver) if found is None else found
    if found is None:
        raise SolverError("normal operation cannot be settled")
    return found


def _settle_normal(p: Problem, purchases: Decisions, solver: Any = None) -> Decisions | None:
    q = replace(p, failures={NORMAL: p.failures[NORMAL]})
    program, x = (
        Program(solver),
        replace(no_decisions(), **{name: getattr(purchases, name) for name in BOUGHT}),
    )
    x.shortfall = Sparse(short_of_spend(q, x))
    for s in states(q, NORMAL):
        state_columns(q, program, x, s)
        for rule in STATE_RULES:
            program.add(rule.__name__, rule(q, x, s))
    for purchase_rule in PURCHASE_RULES:
        program.add(purchase_rule.__name__, purchase_rule(q, x))
    costs = edge_costs(p)
    usd_worst = max(p.request_usd.values(), default=0.0) or 1.0
    usd = total([(1.0, requests(q, x)), (1.0, unserved_requests(q, x))])
    hours = max(q.present_hours.values(), default=1.0) if p.request_usd else 1.0
    weights = flow_weights(p)
    comfort = total(
        [(weights[w, o] * costs[o, e], v) for (w, o, e, s), v in x.traffic.items()]
        + [(100.0 * weights[w, o], v) for (w, o, s), v in x.shed.items()]
    )
    program.minimise(total([(1.0, usd), (usd_worst * hours * (1e-7 if p.request_usd else 1.0), comfort)]))
    if program.solve() != OPTIMAL:
        return None
    reached, values = program.objective, program.values()
    slivers = [v for (w, o, e, s), v in x.traffic.items() if 0 < values[v] < SLIVER * values[x.offered[w, o, s]]]
    for v in slivers:
        v.upBound = 0.0
    if slivers and program.solve() == OPTIMAL and program.objective <= reached * (1 + 1e-6) + 1e-9 * program.scale:
        values = program.values()
    for name in STATE_NAMES:
        setattr(x, name, Sparse({k: values[v] for k, v in getattr(x, name).items() if values[v] > 0}))
    return x
