"""How the capacity of each placement is shared out among the gateways, so that together they do not overfill it.

Gateways do not know of each other: each has its own limit at a placement. Capacity kept for failures is shared, as in
the plan: a stream whose placements all live does not spill, so in each failure only the streams that it touches
count with their limit, or with all that they lost where that is less, and the others with their normal traffic. The
limits are chosen by small linear programs so that the static files survive as much as they can by themselves.

Shapes: E edges of every state, F flows, P placements, S last states of the failures.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from planner.emit.capacity import capacity_replica_seconds, planned_replicas, surviving_replicas
from planner.errors import SolverError
from planner.problem.algebra import Array, Expr, Key, Rows, Vector, pick, sum_by, total
from planner.problem.arrays import Arrays
from planner.problem.decisions import Vectors
from planner.problem.problem import State, states
from planner.problem.rules.formulas import is_normal
from planner.solve.program import OPTIMAL, Program
from planner.study.calendar import NEGLIGIBLE_FRACTION
from planner.study.dependencies import NORMAL

GOALS, ALWAYS = "goals", "always"
"""Limits that hold in every failure of the goals; or whatever fails: then they add up to each placement's capacity."""
AS_PLANNED = 1e-3
"""What a request/s of limit beyond the plan's own largest traffic costs, against one that is short."""
PARTS = ((0.5, 0.3), (1.0, 1.0), (1.03, 0.1))
"""(share of what is due, what a request/s short of it costs): half for all before all for some; last a margin, for
gateways round shares to whole percents."""
ROUNDS = 4
"""Linear programs, one after the other: each counts a stream by the tighter of two bounds, from the one before."""
HEADROOM_FRACTION = 0.05
"""Of normal traffic, above it: a minute may have more requests than the mean."""

Edge = tuple[str, str, str]


@dataclass(frozen=True)
class _Given:
    """What the linear program of one hour is made of.

    Parameters
    ----------
    most : largest peak traffic in any state of the plan [requests/s; E]
    normal : peak traffic in normal operation, with headroom [requests/s; E]
    seconds : replica-seconds of a request in normal operation [E]
    warm : edges to placements that run in normal operation [E]
    used : those of them with normal traffic that is not negligible [E]
    last_states : the state at the last deadline of each failure, in this hour [S]
    survive : replicas that survive it [S, P]
    """

    a: Arrays
    x: Vectors
    hour: str
    most: Array
    normal: Array
    seconds: Array
    warm: Array
    used: Array
    headroom: float
    always: bool
    last_states: tuple[State, ...]
    survive: Array

    @property
    def burst(self) -> Array:
        """Factor from the mean to the peak [F]."""
        return np.array([self.a.p.burst_factor[w] for w, _ in self.a.flows], dtype=float)

    def touched(self, n: int) -> Array:
        """Whether a stream may spill in a failure: one of its placements is lost in part, or its demand surges [F]."""
        a, failure = self.a, self.a.p.failures[self.last_states[n][1]]
        if self.always or failure.surge_factor > 1:
            return np.ones(a.F, dtype=bool)
        lost = (self.survive[n] < self.x.replicas[self.hour,])[a.placement_of_edge]
        uses_none = np.bincount(a.flow_of_edge, self.used, minlength=a.F) == 0
        return np.asarray(uses_none | (np.bincount(a.flow_of_edge, self.used & lost, minlength=a.F) > 0))

    def alive(self, n: int) -> Array:
        """Edges to placements of which something survives [E]."""
        return np.asarray((self.survive[n] > 0)[self.a.placement_of_edge])

    def spill(self, n: int) -> Array:
        """Most that comes over an edge of a touched stream: all, but what its other living placements take [E]."""
        a = self.a
        offered = a.requests(self.last_states[n]) * self.burst
        takes = self.normal / self.headroom * (self.used & self.alive(n))
        of_others = sum_by(takes, a.flow_of_edge, a.F)[a.flow_of_edge] - takes
        return np.asarray(np.maximum(0.0, offered[a.flow_of_edge] - of_others))

    def alone(self) -> Array:
        """What a placement takes of a stream when it serves nothing else [requests/s; E], where it is warm."""
        capacity = capacity_replica_seconds(self.a, self.x.replicas[self.hour,])[self.a.placement_of_edge]
        return np.asarray(np.divide(capacity, self.seconds, out=np.zeros(self.a.E), where=self.warm))

    def tighter(self, limit: Array) -> Array:
        """What spills, where that is less than the limit; elsewhere without end [requests/s; S, E]."""
        tighter = np.full((len(self.last_states), self.a.E), np.inf)
        for n in range(0 if self.always else len(self.last_states)):
            spill = self.spill(n)
            less = self.warm & (spill < limit)
            tighter[n, less] = spill[less]
        return tighter


def limits_of(a: Arrays, x: Vectors, h: str, most: Array, hold: str = GOALS) -> dict[Edge, float]:
    """(w, o, e) -> most that the gateway of o sends of w to e [requests/s, peak].

    Formula
        minimise   Σ_f,w,o,part cost[part] · short[w,o,f,part]  +  small · Σ (limit − the plan's own largest traffic)
        so that    Σ_touched replica_seconds · min(limit, spill)  +  Σ_others replica_seconds · normal  ≤  capacity[e,f]
                   limit  ≥  (1 + headroom) · normal
                   Σ_e alive limit[w,o,e] + short[w,o,f,part]  ≥  part · due[w,o,f] · offered[w,o,f]
        then what remains of each placement's capacity is added in proportion.
    Units
        requests/s; capacity in replicas: utilisation in failure · replicas that survive
    Source
        the minimum is not linear: each round counts with the smaller of the two by the round before. Both bound what
        can come, so every round is safe, and none is worse than the one before.

    Parameters
    ----------
    most : largest peak traffic in any state of the plan [requests/s; E]

    Raises
    ------
    SolverError
        when the solver finds no limits: normal traffic alone is a solution, so there always are some
    """
    given = _given(a, x, h, most, hold)
    limit = _cold(given)
    if given.warm.any():
        warm, spills = np.zeros(a.E), np.zeros(0)
        for _ in range(ROUNDS):
            before, spills = spills, given.tighter(warm)
            if np.array_equal(spills, before):
                break
            warm = _spread(given, spills)
        limit = np.where(given.warm, _filled(given, warm, spills), limit)
    return {a.edges[i]: float(limit[i]) for i in np.flatnonzero(limit > 0).tolist()}


def _given(a: Arrays, x: Vectors, h: str, most: Array, hold: str) -> _Given:
    p, s = a.p, (h, NORMAL, 0.0)
    headroom = max(1.0, min(1 + HEADROOM_FRACTION, p.utilisation_in_failure / p.utilisation_normal))
    normal = x.traffic[s,] * burst_factors(a) * headroom
    warm = (x.replicas[h,] > 0)[a.placement_of_edge]
    last_states = tuple(next(s for s in reversed(states(p, f)) if s[0] == h) for f in p.failures)
    return _Given(
        a=a,
        x=x,
        hour=h,
        most=most,
        normal=normal,
        seconds=np.array([p.replica_seconds[w, e] for w, _, e in a.edges]),
        warm=warm,
        used=warm & (normal > NEGLIGIBLE_FRACTION * a.requests(s)[a.flow_of_edge]),
        headroom=headroom,
        always=hold == ALWAYS,
        last_states=last_states,
        survive=np.array([surviving_replicas(a, x, last) for last in last_states]),
    )


def burst_factors(a: Arrays) -> Array:
    """Factor from the mean to the peak [E]."""
    return np.array([a.p.burst_factor[w] for w, _ in a.flows])[a.flow_of_edge]


def _any_at(a: Arrays, edges: Array) -> Array:
    """Placements to which any of some edges leads [P]."""
    return np.asarray(np.bincount(a.placement_of_edge, edges, minlength=a.P) > 0)


def _loads(given: _Given, limit: Vector, spills: Array) -> Iterator[tuple[Array, Array, Vector, Array, Array]]:
    """(lives, limited, work, capacity, least) of each failure's placements [P].

    lives : something survives of it, and an edge leads there
    limited : a limit counts in its work
    work, least : at the limits, and of normal traffic [replica-seconds/s]
    """
    a, at = given.a, given.a.placement_of_edge
    least = sum_by(given.warm * given.seconds * given.normal, at, a.P)
    for n, survive in enumerate(given.survive):
        spilling = given.warm & given.touched(n)[a.flow_of_edge]
        by_limit = spilling & np.isinf(spills[n])
        sent = np.where(spilling, np.where(by_limit, 0.0, spills[n]), given.warm * given.normal)
        work = sum_by(pick(limit, by_limit) * given.seconds[by_limit], at[by_limit], a.P)
        work = work + sum_by(given.seconds * sent, at, a.P)
        lives = _any_at(a, given.warm) & (survive > 0)
        yield lives, _any_at(a, by_limit), work, capacity_replica_seconds(a, survive), least


def _spread(given: _Given, spills: Array) -> Array:
    """One linear program over the placements that run in normal operation: limits of warm edges [requests/s; E]."""
    a, warm = given.a, given.warm
    program = Program()
    limit, beyond = program.columns(warm), program.columns(warm)
    rows = [
        Rows(a.edges, ("normal",), limit, ">=", given.normal).only(warm),
        Rows(a.edges, ("plan",), limit - beyond, "<=", given.most).only(warm),
        Rows(a.edges, ("capacity",), limit, "<=", np.maximum(given.normal, given.alone())).only(warm),
    ]
    for s, load in zip(given.last_states, _loads(given, limit, spills), strict=True):
        lives, limited, work, capacity, least = load
        # where all count with what they spill the round before saw to it
        rows.append(Rows(a.placements, (s,), work, "<=", np.maximum(capacity, least)).only(lives & limited))
    objective = AS_PLANNED * total(beyond)
    for n, s in enumerate(given.last_states):
        if not is_normal(s):
            short_rows, cost = _short(given, program, limit, n)
            rows.append(short_rows)
            objective = objective + cost
    program.add("limits", rows)
    program.minimise(objective)
    if (status := program.solve()) != OPTIMAL:  # normal traffic alone is a solution, and keeps nothing for failures
        raise SolverError(f"limits of gateways in {given.hour}: the search ended with {status}; nothing was made")
    return np.where(warm, np.maximum(given.normal, program.number(limit)), 0.0)


def _short(given: _Given, program: Program, limit: Expr, n: int) -> tuple[Rows, Vector]:
    """What is short of each part of what is due in a failure, as rows, and what that costs."""
    a, s = given.a, given.last_states[n]
    due = a.due_share(s) * a.requests(s) * given.burst
    flows = np.repeat(np.flatnonzero(due > 0), len(PARTS))
    share, cost = (np.tile(column, len(flows) // len(PARTS)) for column in zip(*PARTS, strict=True))
    short = program.columns(np.ones(len(flows), dtype=bool))
    program.upper[short.column] = share * due[flows]
    may_serve = given.warm & a.may_serve(s[1]) & given.alive(n)
    served = sum_by(pick(limit, may_serve), a.flow_of_edge[may_serve], a.F)
    of: list[Key] = [(*a.flows[flow], part) for flow, part in zip(flows.tolist(), share.tolist(), strict=True)]
    return Rows(of, (s,), pick(served, flows) + short, ">=", share * due[flows]), total(cost * short)


def _filled(given: _Given, limit: Array, spills: Array) -> Array:
    """Limits with what remains of each placement's capacity added in proportion [requests/s; E]."""
    growth = np.full(given.a.P, np.inf)
    for lives, _, work, capacity, _ in _loads(given, limit, spills):
        grows = np.divide(capacity, work, out=np.full(given.a.P, np.inf), where=lives & (work > 0))
        growth = np.minimum(growth, grows)
    growth[np.isinf(growth)] = 1.0
    grown = limit * growth[given.a.placement_of_edge]
    return np.asarray(np.maximum(limit, np.minimum(given.alone(), grown)) * (limit > 0))


def _cold(given: _Given) -> Array:
    """Limits of placements that run in failures only: the plan's largest traffic, within the fewest replicas [E]."""
    a, x, at = given.a, given.x, given.a.placement_of_edge
    fewest = np.full(a.P, np.inf)
    for f in a.p.failures:
        for s in states(a.p, f):
            if s[0] == given.hour:
                replicas = planned_replicas(a, x, s)
                fewest = np.where(replicas > 0, np.minimum(fewest, replicas), fewest)
    cold = np.isfinite(fewest) & (x.replicas[given.hour,] <= 0)
    limit = given.most * cold[at]
    work = sum_by(given.seconds * limit, at, a.P)
    capacity = capacity_replica_seconds(a, np.where(cold, fewest, 0.0))
    fits = np.minimum(1.0, np.divide(capacity, work, out=np.zeros(a.P), where=work > 0))
    return np.asarray(limit * fits[at])
