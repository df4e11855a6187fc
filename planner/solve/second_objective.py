"""What is left free when purchases and replicas are chosen: routes by cost and latency, without negligible flows.

Gateways that rescale fail over by themselves: their reserves are chosen, and every state follows from them (forward
fault correction: Liu et al., SIGCOMM 2014).
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from planner.errors import SolverError
from planner.problem.algebra import Array, Vector, numbers, spread, total
from planner.problem.arrays import Arrays, full
from planner.problem.decisions import ONCE, Vectors, only, table
from planner.problem.problem import Problem, State, states, with_a_hair
from planner.problem.rules.costs import requests, unserved_requests
from planner.problem.rules.failures import no_replica_before_its_cold_start_ends
from planner.problem.rules.formulas import (
    alternative_shares,
    requests_divided,
    served,
    short_of_spend,
    targeted,
    whole_occupied,
)
from planner.problem.rules.gateway_limits import (
    conditions,
    renormalised,
    rescaled_failures,
    splits_replicas,
    whole_survivors,
)
from planner.solve.columns import block_columns, new_columns, start_program
from planner.solve.program import NEGLIGIBLE, OPTIMAL, Program, without_negligible_flows
from planner.study.dependencies import NORMAL

TIE = 1e-3
"""Share of the longest round trip by which the first of two placements is preferred to the last: it settles ties."""
NORMAL_RISE = 1e-6
"""Share by which normal operation may cost more without its negligible flows."""
WEIGHTLESS = 1e-7
"""Share of its demand below which an edge gets no weight: rounding of the solver."""


def edge_costs(a: Arrays) -> Array:
    """What routing prefers: cost of the request first, then the shorter round trip (both below 1) [E].

    Of placements that are equal in both the first is taken, so that no release of a solver decides it.
    """
    p = a.p
    usd_worst = max(p.request_usd.values(), default=0.0)
    known = [r.round_trip_ms for r in p.round_trip_ms.values()]
    ms_worst = max(known, default=1.0) or 1.0
    weight = 1e-7 if usd_worst else 1.0
    by_origin = {}
    for o in sorted({o for _, o in p.flows}):
        costs = np.zeros(a.P)
        for rank, e in enumerate(p.placements):
            site = p.site_of[p.pool_of[e]]
            round_trip_ms = p.round_trip_ms[o, site].round_trip_ms if (o, site) in p.round_trip_ms else ms_worst
            usd = p.request_usd.get((o, site), 0.0) / usd_worst if usd_worst else 0.0
            costs[rank] = usd + weight * (round_trip_ms / ms_worst + TIE * rank / len(p.placements))
        by_origin[o] = costs
    origin_at = {o: n for n, o in enumerate(by_origin)}
    origin = np.array([origin_at[o] for _, o in a.flows], dtype=int)[a.flow_of_edge]
    every = np.stack(list(by_origin.values())) if by_origin else np.zeros((0, a.P))
    return np.asarray(every[origin, a.placement_of_edge])


def settle_normal(p: Problem, purchases: Vectors, solver: Any = None) -> Vectors:
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


def settle_reserves(p: Problem, purchases: Vectors, solver: Any = None) -> Vectors | None:
    """Decisions of a plan whose purchases and replicas are numbers: reserves, and every state that follows from them.

    The reserves are those that serve most in normal operation, then cost least and are nearest: large enough, no
    larger, and without negligible flows. None where whole replicas that survive are too few to carry what is due.
    """
    x = _with_a_hair_more(_settle_reserves, p, purchases, solver)
    return None if x is None else with_states(p, x)


def _with_a_hair_more(
    settle: Callable[[Problem, Problem, Vectors, Any], Vectors | None],
    p: Problem,
    purchases: Vectors,
    solver: Any,
) -> Vectors | None:
    """What `settle` finds; where it fits but for what the integer search missed, with that much more headroom."""
    x = settle(p, p, purchases, solver)
    return settle(p, with_a_hair(p), purchases, solver) if x is None else x


def _settle_normal(p: Problem, roomy: Problem, purchases: Vectors, solver: Any) -> Vectors | None:
    """Normal operation under the limits of `roomy`; None where it does not fit."""
    alone = replace(roomy, failures={NORMAL: p.failures[NORMAL]})
    program, x = start_program(alone, solver, purchases)
    a = full(alone)
    edge_cost, weights = edge_costs(a), a.weights()
    usd_worst = max(p.request_usd.values(), default=0.0) or 1.0
    hours = max(p.present_hours.values(), default=1.0) if p.request_usd else 1.0
    second = usd_worst * hours * (1e-7 if p.request_usd else 1.0)
    wanted = requests(a, x) + unserved_requests(a, x)
    for h in p.hours:
        s = (h, NORMAL, 0.0)
        wanted = wanted + second * total(weights[a.flow_of_edge] * edge_cost * x.traffic[s,])
        wanted = wanted + second * total(100.0 * weights * spread(x.shed[s,], a.F))
    program.minimise(wanted)
    if program.solve() != OPTIMAL:
        return None
    traffic, offered = [], []
    for h in p.hours:
        s = (h, NORMAL, 0.0)
        edge = x.traffic[s,].row
        traffic.append(x.traffic[s,].column)
        offered.append(program.number(x.offered[s,])[a.flow_of_edge[edge]])
    values = without_negligible_flows(program, np.concatenate(traffic), np.concatenate(offered), NORMAL_RISE)
    return as_numbers(x, values)


def as_numbers(x: Vectors, values: Array) -> Vectors:
    """Decisions as numbers, for some values of the columns; none below zero but those that may be."""
    settled = Vectors()
    for decision in table():
        for scope, vector in getattr(x, decision.name).items():
            number = numbers(vector, values)
            getattr(settled, decision.name)[scope] = number if decision.free else np.maximum(number, 0.0)
    return settled


def _settle_reserves(p: Problem, roomy: Problem, purchases: Vectors, solver: Any) -> Vectors | None:
    """Purchases and reserves under the limits of `roomy`; None where they do not fit."""
    program, x = reserve_program(roomy, solver, purchases)
    a = full(roomy)
    edge_cost, weights = edge_costs(a), a.weights()
    wanted: Vector = np.zeros(1)
    columns, offered = [], []
    for h in p.hours:
        s = (h, NORMAL, 0.0)
        wanted = wanted + total(weights[a.flow_of_edge] * (edge_cost + 1e-6) * x.reserve[h,])
        wanted = wanted + total(1e4 * weights * spread(x.shed[s,], a.F))
        columns.append(x.reserve[h,].column)
        offered.append(a.requests(s)[a.flow_of_edge[x.reserve[h,].row]])
    program.minimise(wanted)
    if program.solve() != OPTIMAL:
        return None
    values = without_negligible_flows(program, np.concatenate(columns), np.concatenate(offered), NEGLIGIBLE)
    settled = only(purchases, "purchases")
    settled.shortfall[ONCE] = short_of_spend(a, settled)
    for h in p.hours:
        reserve = numbers(x.reserve[h,], values)
        weighty = reserve > WEIGHTLESS * a.requests((h, NORMAL, 0.0))[a.flow_of_edge]
        settled.reserve[h,] = np.where(weighty, reserve, 0.0)
    return settled


def reserve_program(p: Problem, solver: Any = None, bought: Vectors | None = None) -> tuple[Program, Vectors]:
    """The program of purchases, replicas, reserves and normal operation; with `bought`, over the rest of it.

    The reserves survive the failures in which gateways keep their weights: none of these enters it.
    """
    return start_program(p, solver, bought, _reserves_and_survivors)


def _reserves_and_survivors(a: Arrays, program: Program, x: Vectors) -> None:
    """Columns of reserves, and of whole replicas that survive where a failure leaves a part of them."""
    block_columns(a, program, x, "reserves")
    for h in a.p.hours:
        for s, placements in conditions(a, h).items():
            split = placements & splits_replicas(a, s[1])
            if split.any():
                _split_columns(a, program, x, s, split)


def _split_columns(a: Arrays, program: Program, x: Vectors, s: State, split: Array) -> None:
    """Whole replicas that survive: no more than what no_replica_before_its_cold_start_ends leaves."""
    of = {decision.name: decision for decision in table()}
    replicas = x.replicas[s[0],]
    if isinstance(replicas, np.ndarray):
        x.kept[s,] = split * whole_survivors(a, x, s)
        return
    x.kept[s,] = new_columns(a, program, of["kept"], (s,), split, integral=True)
    x.survives_loss[s,] = new_columns(a, program, of["survives_loss"], (s,), split & targeted(a, s[1]))
    rule = no_replica_before_its_cold_start_ends
    for rows in rule(a, x, s):
        mine = np.array([split[a.placement_at[e]] for (e,) in rows.of], dtype=bool)
        if rows.scope[1] in ("kept", "survives_loss"):
            program.add(rule.__name__, [rows.only(mine)])


def with_states(p: Problem, x: Vectors) -> Vectors:
    """The decisions with the states that follow from reserves: what survives runs on, gateways renormalise."""
    a = full(p)
    for f in rescaled_failures(p):
        part = alternative_shares(a, f) if a.alternatives else np.zeros(0)
        for s in states(p, f):
            x.traffic[s,] = renormalised(a, x, s)
            x.offered[s,] = a.requests(s)
            x.shed[s,] = np.maximum(0.0, x.offered[s,] - served(a, x, s))
            x.kept[s,] = whole_survivors(a, x, s)
            x.occupied[s,] = whole_occupied(a, x, s)
            if a.alternatives:
                x.throughput[s,] = part * requests_divided(a, x, s)[a.group_of_alternative]
    return x
