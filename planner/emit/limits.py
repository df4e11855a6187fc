"""How the capacity of each placement is shared out among the gateways, so that together they do not overfill it.

Gateways do not know of each other: each has its own limit at a placement. Capacity kept for failures is shared, as in
the plan: a stream whose placements all live does not spill, so in each failure only the streams that it touches
count with their limit, or with all that they lost where that is less, and the others with their normal traffic. The
limits are chosen by small linear programs so that the static files survive as much as they can by themselves.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from planner.emit.capacity import capacity_replica_seconds, surviving_replicas
from planner.errors import SolverError
from planner.problem.algebra import Linear, Row, Sparse, total
from planner.problem.decisions import Decisions
from planner.problem.problem import Problem, State, states
from planner.problem.rules.formulas import due_fraction, live_edges, requests_per_second
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
Flow = tuple[str, str]
Spills = Mapping[tuple[str, Edge], float]
"""(failure, edge) -> most that comes there, for streams that count with it and not with their limit [requests/s]"""


@dataclass(frozen=True)
class _Given:
    """What the linear program of one hour is made of."""

    p: Problem
    x: Decisions
    hour: str
    most: Mapping[Edge, float]
    """(w, o, e) -> largest peak traffic in any state of the plan [requests/s]"""
    normal: Mapping[Edge, float]
    """(w, o, e) -> peak traffic in normal operation, with headroom [requests/s]"""
    warm: tuple[Edge, ...]
    """edges to placements that run in normal operation"""
    into: Mapping[str, tuple[Edge, ...]]
    """placement -> the warm edges that lead to it"""
    used: Mapping[Flow, tuple[str, ...]]
    """(w, o) -> placements of its normal traffic"""
    headroom: float
    always: bool

    def last_states(self) -> list[State]:
        """The state at the last deadline of each failure, in this hour."""
        return [next(s for s in reversed(states(self.p, f)) if s[0] == self.hour) for f in self.p.failures]

    def touched(self, flow: Flow, s: State) -> bool:
        """Whether a stream may spill in a failure: one of its placements is lost in part, or its demand surges."""
        p, mine = self.p, self.used.get(flow, ())
        lost = any(surviving_replicas(p, self.x, e, s) < self.x.replicas[e, self.hour] for e in mine)
        return self.always or not mine or lost or p.failures[s[1]].surge_factor > 1

    def spill(self, key: Edge, s: State) -> float:
        """Most that comes to a placement of a touched stream: all, but what its other living placements take."""
        p, (w, o, e) = self.p, key
        offered = requests_per_second(p, w, o, s) * p.burst_factor[w]
        others = [x for x in self.used.get((w, o), ()) if x != e and surviving_replicas(p, self.x, x, s) > 0]
        return max(0.0, offered - sum(self.normal[w, o, x] / self.headroom for x in others))

    def alone(self, key: Edge) -> float:
        """What a placement takes of a stream when it serves nothing else [requests/s]."""
        w, _, e = key
        return capacity_replica_seconds(self.p, float(self.x.replicas[e, self.hour])) / self.p.replica_seconds[w, e]

    def tighter(self, limit: Mapping[Edge, float]) -> Spills:
        """Where what spills is less than the limit."""
        if self.always:
            return {}
        return {
            (s[1], key): most
            for s in self.last_states()
            for key in self.warm
            if (most := self.spill(key, s)) < limit.get(key, 0.0)
        }


def limits_of(p: Problem, x: Decisions, h: str, most: Mapping[Edge, float], hold: str = GOALS) -> dict[Edge, float]:
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

    Raises
    ------
    SolverError
        when the solver finds no limits: normal traffic alone is a solution, so there always are some
    """
    headroom = max(1.0, min(1 + HEADROOM_FRACTION, p.utilisation_in_failure / p.utilisation_normal))
    edges = [(w, o, e) for w, o in p.flows for e in sorted({*p.edges[w, o], *p.edges_in_failure[w, o]})]
    s = (h, NORMAL, 0.0)
    normal = {(w, o, e): float(x.traffic[w, o, e, s]) * p.burst_factor[w] * headroom for w, o, e in edges}
    warm = tuple(key for key in edges if x.replicas[key[2], h] > 0)
    into: dict[str, list[Edge]] = {}
    used: dict[Flow, list[str]] = {}
    for w, o, e in warm:
        into.setdefault(e, []).append((w, o, e))
        if normal[w, o, e] > NEGLIGIBLE_FRACTION * requests_per_second(p, w, o, s):
            used.setdefault((w, o), []).append(e)
    given = _Given(
        p,
        x,
        h,
        most,
        normal,
        warm,
        {e: tuple(keys) for e, keys in into.items()},
        {flow: tuple(names) for flow, names in used.items()},
        headroom,
        hold == ALWAYS,
    )
    if not warm:
        return _cold(given)
    limit: dict[Edge, float] = {}
    spills: Spills = {}
    for _ in range(ROUNDS):
        before, spills = spills, given.tighter(limit)
        if limit and spills == before:
            break
        limit = _spread(given, spills)
    return _filled(given, limit, spills) | _cold(given)


def _loads(given: _Given, limit: Mapping[Edge, Linear], spills: Spills) -> Iterator[tuple[str, Linear, float, float]]:
    """(placement, work at the limits, capacity, work of normal traffic) of each failure and placement [replicas]."""
    p = given.p
    for s in given.last_states():
        touched = {flow for flow in p.flows if given.touched(flow, s)}
        for e, keys in sorted(given.into.items()):
            if (n := surviving_replicas(p, given.x, e, s)) <= 0:
                continue
            spilling = [key for key in keys if key[:2] in touched]
            rest = sum(p.replica_seconds[key[0], e] * given.normal[key] for key in keys if key[:2] not in touched)
            least = rest + sum(p.replica_seconds[key[0], e] * given.normal[key] for key in spilling)
            terms = [(p.replica_seconds[key[0], e], spills.get((s[1], key), limit[key])) for key in spilling]
            yield e, total([*terms, (1.0, rest)]), capacity_replica_seconds(p, n), least


def _spread(given: _Given, spills: Spills) -> dict[Edge, float]:
    """One linear program over the placements that run in normal operation."""
    p, normal = given.p, given.normal
    program = Program()
    limit = Sparse({key: program.column() for key in given.warm})
    rows = [Row((key, "normal"), limit[key], ">=", normal[key]) for key in given.warm]
    objective = []
    for key in given.warm:
        beyond = program.column()
        objective.append((AS_PLANNED, beyond))
        rows.append(Row((key, "plan"), total([(1.0, limit[key]), (-1.0, beyond)]), "<=", given.most.get(key, 0.0)))
        rows.append(Row((key, "capacity"), limit[key], "<=", max(normal[key], given.alone(key))))
    for i, (e, work, capacity, least) in enumerate(_loads(given, limit, spills)):
        if not isinstance(work, float):  # where all count with what they spill the round before saw to it
            rows.append(Row((e, i), work, "<=", max(capacity, least)))
    for s in given.last_states():
        for w, o in p.flows:
            due = due_fraction(p, w, o, s) * requests_per_second(p, w, o, s) * p.burst_factor[w]
            if due <= 0 or s[1] == NORMAL:
                continue
            served = [
                (1.0, limit[w, o, e])
                for e in live_edges(p, w, o, s[1])
                if (w, o, e) in limit and surviving_replicas(p, given.x, e, s) > 0
            ]
            for part, cost in PARTS:
                short = program.column(upper=part * due)
                objective.append((cost, short))
                rows.append(Row((s[1], w, o, cost), total([*served, (1.0, short)]), ">=", part * due))
    program.add("limits", rows)
    program.minimise(total(objective))
    if (status := program.solve()) != OPTIMAL:  # normal traffic alone is a solution, and keeps nothing for failures
        raise SolverError(f"limits of gateways in {given.hour}: the search ended with {status}; nothing was made")
    return {key: max(normal[key], float(limit[key].varValue or 0.0)) for key in given.warm}


def _filled(given: _Given, limit: Mapping[Edge, float], spills: Spills) -> dict[Edge, float]:
    """Limits with what remains of each placement's capacity added in proportion."""
    growth: dict[str, float] = {}
    for e, work, capacity, _ in _loads(given, limit, spills):
        if work > 0:
            growth[e] = min(growth.get(e, capacity / work), capacity / work)
    return {
        key: max(value, min(given.alone(key), value * growth.get(key[2], 1.0)))
        for key, value in limit.items()
        if value > 0
    }


def _cold(given: _Given) -> dict[Edge, float]:
    """Limits of placements that run in failures only: the plan's largest traffic, within the fewest replicas."""
    p, x = given.p, given.x
    fewest: dict[str, float] = {}
    for f in p.failures:
        for s in states(p, f):
            for e in p.placements:
                n = float(x.kept[e, s] + x.cold_started[e, s])
                if s[0] == given.hour and x.replicas[e, given.hour] <= 0 < n:
                    fewest[e] = min(fewest.get(e, n), n)
    limit = {key: value for key, value in given.most.items() if key[2] in fewest and value > 0}
    used: dict[str, float] = {}
    for (w, _, e), value in limit.items():
        used[e] = used.get(e, 0.0) + p.replica_seconds[w, e] * value
    fits = {e: min(1.0, capacity_replica_seconds(p, fewest[e]) / work) for e, work in used.items()}
    return {key: value * fits[key[2]] for key, value in limit.items()}
