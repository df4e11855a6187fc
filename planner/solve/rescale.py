"""Plans for gateways that fail over by themselves: one integer program, no failure blocks, no loop over failures.

What is bought, replicas and reserves are chosen so that every failure is survived by renormalised weights (forward
fault correction: Liu et al., SIGCOMM 2014). Normal operation and every state follow from the reserves.
"""

import math
from typing import Any

from planner.problem.algebra import Sparse, total
from planner.problem.decisions import Decisions, no_decisions
from planner.problem.problem import Problem, State, flow_size, flow_weights, states, with_a_hair
from planner.problem.rules.formulas import requests_choosing, requests_per_second, short_of_spend, whole_occupied
from planner.problem.rules.link import no_replica_before_its_cold_start_ends
from planner.problem.rules.reserves import conditions, renormalised, splits_replicas, taken, whole_survivors
from planner.solve.feasibility_subproblem import SLIVER
from planner.solve.polish import edge_costs
from planner.solve.program import BOUGHT, OPTIMAL, Program, start_program
from planner.study.dependencies import NORMAL

WEIGHTLESS = 1e-7
"""Share of its demand below which an edge gets no weight: rounding of the solver."""


def reserve_program(p: Problem, solver: Any = None, bought: Decisions | None = None) -> tuple[Program, Decisions]:
    """The program of purchases, replicas, reserves and normal operation; with `bought`, over the rest of it."""
    return start_program(p, solver, bought, reserve_columns)


def reserve_columns(p: Problem, program: Program, x: Decisions) -> None:
    """Columns of reserves, and of whole replicas that survive where a failure leaves a part of them."""
    edges = [(w, o, e) for w, o in p.flows for e in p.edges[w, o]]
    x.reserve = Sparse({(w, o, e, h): program.column(unit=flow_size(p, w, o, h)) for w, o, e in edges for h in p.hours})
    for h in p.hours:
        for e, found in conditions(p, h).items():
            for s in found:
                if splits_replicas(p, e, s[1]):
                    _split_columns(p, program, x, e, s)


def _split_columns(p: Problem, program: Program, x: Decisions, e: str, s: State) -> None:
    """Whole replicas of a placement that survive: no more than what no_replica_before_its_cold_start_ends leaves."""
    if isinstance(x.replicas[e, s[0]], int | float):
        x.kept[e, s] = float(whole_survivors(p, x, e, s))  # type: ignore[index]
        return
    x.kept[e, s] = program.column(integer=True)  # type: ignore[index]
    if p.failures[s[1]].hit == e:
        x.spared[e, s] = program.column(integer=True)  # type: ignore[index]
    rule = no_replica_before_its_cold_start_ends
    program.add(rule.__name__, (row for row in rule(p, x, s) if row.key[0] == e))


def settled(p: Problem, purchases: Decisions, solver: Any = None) -> Decisions | None:
    """As `_settled`; where it fits but for what the integer search missed, with that much more room."""
    found = _settled(p, p, purchases, solver)
    return _settled(p, with_a_hair(p), purchases, solver) if found is None else found


def _settled(p: Problem, roomy: Problem, purchases: Decisions, solver: Any = None) -> Decisions | None:
    """All decisions of a plan whose purchases and replicas are numbers: reserves, and every state that follows.

    The reserves are those that serve most in normal operation, then cost least and are nearest: large enough, no
    larger, and without slivers. None where whole replicas that survive are too few to carry what is due.
    """
    program, x = reserve_program(roomy, solver, purchases)
    costs = edge_costs(p)
    weights = flow_weights(p)
    program.minimise(
        total(
            [(weights[w, o] * (costs[o, e] + 1e-6), v) for (w, o, e, h), v in x.reserve.items()]
            + [(1e4 * weights[w, o], v) for (w, o, s), v in x.shed.items()]
        )
    )
    if program.solve() != OPTIMAL:
        return None
    reached, values = program.objective, program.values()

    def least(key: tuple[str, str, str, str], share: float) -> float:
        w, o, _, h = key
        return share * requests_per_second(p, w, o, (h, NORMAL, 0.0))

    slivers = [v for key, v in x.reserve.items() if 0 < values[v] < least(key, SLIVER)]
    for v in slivers:
        v.upBound = 0.0
    if slivers and program.solve() == OPTIMAL and program.objective <= (reached + 1e-9 * program.scale) * (1 + SLIVER):
        values = program.values()
    found = no_decisions()
    for name in BOUGHT:
        setattr(found, name, getattr(purchases, name))
    found.shortfall = Sparse(short_of_spend(p, found))
    found.reserve = Sparse({key: values[v] for key, v in x.reserve.items() if values[v] > least(key, WEIGHTLESS)})
    return with_states(p, found)


def with_states(p: Problem, x: Decisions) -> Decisions:
    """The decisions with the states that follow: what survives runs on, gateways renormalise."""
    for f in p.failures:
        part = taken(p, f)
        for s in states(p, f):
            for w, o in p.flows:
                sent = {e: renormalised(p, x, w, o, e, s) for e in p.edges[w, o] if (w, o, e, s[0]) in x.reserve}
                for e, value in sent.items():
                    if value > 0:
                        x.traffic[w, o, e, s] = value  # type: ignore[index]
                offered = requests_per_second(p, w, o, s)
                x.offered[w, o, s] = offered  # type: ignore[index]
                x.shed[w, o, s] = max(0.0, offered - math.fsum(sent.values()))  # type: ignore[index]
            for e in p.placements:
                if n := whole_survivors(p, x, e, s):
                    x.kept[e, s] = float(n)  # type: ignore[index]
                    x.occupied[e, s] = whole_occupied(p, x, e, s)  # type: ignore[index]
            for n, choice in enumerate(p.doors.choices):
                comes_in = requests_choosing(p, x, n, s)
                for way in choice.ways:
                    x.taking[way, s] = part[way] * comes_in  # type: ignore[index]
    return x
