"""What is left free when purchases and replicas are chosen: routes by cost and latency, without negligible flows.

Gateways that rescale fail over by themselves: their reserves are chosen, and every state follows from them (forward
fault correction: Liu et al., SIGCOMM 2014).
"""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from planner.errors import SolverError
from planner.problem.algebra import Sparse, total
from planner.problem.decisions import Decisions, only, table
from planner.problem.problem import Problem, State, flow_weights, states, with_a_hair
from planner.problem.rules.costs import requests, unserved_requests
from planner.problem.rules.failures import no_replica_before_its_cold_start_ends
from planner.problem.rules.formulas import (
    alternative_shares,
    requests_divided,
    requests_per_second,
    short_of_spend,
    whole_occupied,
)
from planner.problem.rules.gateway_limits import conditions, renormalised, splits_replicas, whole_survivors
from planner.solve.columns import reserve_columns, start_program
from planner.solve.program import NEGLIGIBLE, OPTIMAL, Program, without_negligible_flows
from planner.study.dependencies import NORMAL

TIE = 1e-3
"""Share of the longest round trip by which the first of two placements is preferred to the last: it settles ties."""
NORMAL_RISE = 1e-6
"""Share by which normal operation may cost more without its negligible flows."""
WEIGHTLESS = 1e-7
"""Share of its demand below which an edge gets no weight: rounding of the solver."""


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
            round_trip_ms = p.round_trip_ms[o, site].round_trip_ms if (o, site) in p.round_trip_ms else ms_worst
            usd = p.request_usd.get((o, site), 0.0) / usd_worst if usd_worst else 0.0
            costs[o, e] = usd + weight * (round_trip_ms / ms_worst + TIE * rank / len(p.placements))
    return costs


def settle_normal(p: Problem, purchases: Decisions, solver: Any = None) -> Decisions:
    """Normal operation with purchases and replicas as numbers: least cost, then least latency, no negligible flows.

    Raises
    ------
    SolverError
        when it does not fit
    """
    x = _with_a_hair_more(_settle_normal, p, purchases, solver)
    if x is None:
        raise SolverError("normal operation cannot be settled")
    return x


def settle_reserves(p: Problem, purchases: Decisions, solver: Any = None) -> Decisions | None:
    """All decisions of a plan whose purchases and replicas are numbers: reserves, and every state that follows.

    The reserves are those that serve most in normal operation, then cost least and are nearest: large enough, no
    larger, and without negligible flows. None where whole replicas that survive are too few to carry what is due.
    """
    x = _with_a_hair_more(_settle_reserves, p, purchases, solver)
    return None if x is None else with_states(p, x)


def _with_a_hair_more(
    settle: Callable[[Problem, Problem, Decisions, Any], Decisions | None],
    p: Problem,
    purchases: Decisions,
    solver: Any,
) -> Decisions | None:
    """What `settle` finds; where it fits but for what the integer search missed, with that much more headroom."""
    x = settle(p, p, purchases, solver)
    return settle(p, with_a_hair(p), purchases, solver) if x is None else x


def _settle_normal(p: Problem, roomy: Problem, purchases: Decisions, solver: Any) -> Decisions | None:
    """Normal operation under the limits of `roomy`; None where it does not fit."""
    alone = replace(roomy, failures={NORMAL: p.failures[NORMAL]})
    program, x = start_program(alone, solver, purchases)
    costs = edge_costs(p)
    usd_worst = max(p.request_usd.values(), default=0.0) or 1.0
    usd = total([(1.0, requests(alone, x)), (1.0, unserved_requests(alone, x))])
    hours = max(p.present_hours.values(), default=1.0) if p.request_usd else 1.0
    weights = flow_weights(p)
    near = [(weights[w, o] * costs[o, e], v) for (w, o, e, s), v in x.traffic.items()]
    near += [(100.0 * weights[w, o], v) for (w, o, s), v in x.shed.items()]
    second = usd_worst * hours * (1e-7 if p.request_usd else 1.0)
    program.minimise(total([(1.0, usd), (second, total(near))]))
    if program.solve() != OPTIMAL:
        return None
    flows = [(v, x.offered[w, o, s].varValue or 0.0) for (w, o, _, s), v in x.traffic.items()]
    values = without_negligible_flows(program, flows, NORMAL_RISE)
    for decision in table():
        if decision.block == "states":
            columns = getattr(x, decision.name).items()
            chosen = {key: values[v] for key, v in columns if values[v] > 0 or (decision.free and values[v] < 0)}
            setattr(x, decision.name, Sparse(chosen))
    return x


def _settle_reserves(p: Problem, roomy: Problem, purchases: Decisions, solver: Any) -> Decisions | None:
    """Purchases and reserves under the limits of `roomy`; None where they do not fit."""
    program, x = reserve_program(roomy, solver, purchases)
    costs = edge_costs(p)
    weights = flow_weights(p)
    wanted = [(weights[w, o] * (costs[o, e] + 1e-6), v) for (w, o, e, h), v in x.reserve.items()]
    wanted += [(1e4 * weights[w, o], v) for (w, o, s), v in x.shed.items()]
    program.minimise(total(wanted))
    if program.solve() != OPTIMAL:
        return None
    offered = {key: requests_per_second(p, key[0], key[1], (key[3], NORMAL, 0.0)) for key in x.reserve}
    values = without_negligible_flows(program, [(v, offered[key]) for key, v in x.reserve.items()], NEGLIGIBLE)
    settled = only(purchases, "purchases")
    settled.shortfall = Sparse(short_of_spend(p, settled))
    weighty = {key: values[v] for key, v in x.reserve.items() if values[v] > WEIGHTLESS * offered[key]}
    settled.reserve = Sparse(weighty)
    return settled


def reserve_program(p: Problem, solver: Any = None, bought: Decisions | None = None) -> tuple[Program, Decisions]:
    """The program of purchases, replicas, reserves and normal operation; with `bought`, over the rest of it.

    No failure enters it: the reserves survive all of them.
    """
    return start_program(p, solver, bought, _reserves_and_survivors)


def _reserves_and_survivors(p: Problem, program: Program, x: Decisions) -> None:
    """Columns of reserves, and of whole replicas that survive where a failure leaves a part of them."""
    reserve_columns(p, program, x)
    for h in p.hours:
        for e, in_states in conditions(p, h).items():
            for s in in_states:
                if splits_replicas(p, e, s[1]):
                    _split_columns(p, program, x, e, s)


def _split_columns(p: Problem, program: Program, x: Decisions, e: str, s: State) -> None:
    """Whole replicas of a placement that survive: no more than what no_replica_before_its_cold_start_ends leaves."""
    if isinstance(x.replicas[e, s[0]], int | float):
        x.kept[e, s] = float(whole_survivors(p, x, e, s))
        return
    x.kept[e, s] = program.column(integer=True)
    if p.failures[s[1]].targeted == e:
        x.survives_loss[e, s] = program.column(integer=True)
    rule = no_replica_before_its_cold_start_ends
    program.add(rule.__name__, (row for row in rule(p, x, s) if row.key[0] == e))


def with_states(p: Problem, x: Decisions) -> Decisions:
    """The decisions with the states that follow: what survives runs on, gateways renormalise."""
    for f in p.failures:
        part = alternative_shares(p, f)
        for s in states(p, f):
            for w, o in p.flows:
                sent = {e: renormalised(p, x, w, o, e, s) for e in p.edges[w, o] if (w, o, e, s[0]) in x.reserve}
                for e, value in sent.items():
                    if value > 0:
                        x.traffic[w, o, e, s] = value
                offered = requests_per_second(p, w, o, s)
                x.offered[w, o, s] = offered
                x.shed[w, o, s] = max(0.0, offered - math.fsum(sent.values()))
            for e in p.placements:
                if n := whole_survivors(p, x, e, s):
                    x.kept[e, s] = float(n)
                    x.occupied[e, s] = whole_occupied(p, x, e, s)
            for alternatives in p.request_limits.alternatives:
                comes_in = requests_divided(x, alternatives, s)
                for a in alternatives.ids:
                    x.throughput[a, s] = part[a] * comes_in
    return x
