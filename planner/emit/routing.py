"""The routing table of a plan: for each workload and origin ordered levels of placements, with weights and limits.

Rates in a table are peaks: the mean of the hour times the workload's burst factor, as in the plan's capacity rows.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

import numpy as np

from planner.emit.limits import GOALS, burst_factors, limits_of
from planner.emit.names import slug
from planner.plan.in_hand import Plan, in_hand
from planner.problem.algebra import Array
from planner.problem.arrays import Arrays, full
from planner.problem.decisions import Decisions, Vectors
from planner.problem.problem import Problem, State, states
from planner.problem.rules.formulas import is_normal, requests_per_second
from planner.study.dependencies import NORMAL
from planner.study.records.plan import PlanFile

WEIGHTS_ADD_UP_TO = 10_000
"""Whole weights of a level; the error of rounding is at most one of so many."""
NEGLIGIBLE_FRACTION = 1e-4
"""What is less than this share of a stream's requests is no entry of a table."""
LEAST_FAILOVER_FRACTION = 0.01
"""A failover that may take less than this share of a stream is no entry."""
SAME_LEVEL_FRACTION = 0.5
"""A level takes the placements whose largest traffic is at least this share of the largest that remains."""

Flow = tuple[str, str]


@dataclass(frozen=True)
class Entry:
    """A placement in a level.

    Parameters
    ----------
    placement, id : its id in the plan, and its name in the gateway
    weight : its share of the level's requests as a whole number; weights of a level add up to 10,000
    share_fraction : the same, while all of the level live
    limit_requests_per_second : most that this gateway sends there, peak
    beyond_normal_reach : only the round trip allowed in a failure reaches it
    """

    placement: str
    id: str
    weight: int
    share_fraction: float
    limit_requests_per_second: float
    beyond_normal_reach: bool


@dataclass(frozen=True)
class Route:
    """Where the requests of a workload from an origin go: level 1 in normal operation, the next as levels fill up.

    Parameters
    ----------
    requests_per_second : peak demand in normal operation; of a pushed route: in its state
    pushed : of an override: level 1 is all that the plan uses in that state, and takes no more than its limits
    shed_fraction : of the requests of a pushed route, what is refused
    in_failures : placements that the plan sends these requests to in some failure, which a set may lead to
    """

    workload: str
    origin: str
    id: str
    requests_per_second: float
    levels: tuple[tuple[Entry, ...], ...]
    pushed: bool = False
    shed_fraction: float = 0.0
    in_failures: tuple[str, ...] = ()

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All entries, levels in order."""
        return tuple(entry for level in self.levels for entry in level)

    @property
    def placements(self) -> tuple[str, ...]:
        """All placements that the route, or a set in its place, may send to, sorted."""
        return tuple(sorted({*(x.placement for x in self.entries), *self.in_failures}))


@dataclass(frozen=True)
class Table:
    """Routes of all workloads and origins in one hour of a plan."""

    hour: str
    hours: int
    """hours in the plan: the table shows the one with the largest total traffic"""
    routes: tuple[Route, ...]

    def of_origin(self, origin: str) -> tuple[Route, ...]:
        """Routes of one gateway."""
        return tuple(route for route in self.routes if route.origin == origin)


@dataclass(frozen=True)
class Subject:
    """A plan with its hour of the largest total traffic: what every part of a gateway's emission reads."""

    plan: Plan
    hour: str
    sent: Mapping[State, Mapping[Flow, Mapping[str, float]]]
    """state -> (w, o) -> placement -> mean requests/s, where above zero"""

    @property
    def problem(self) -> Problem:
        """The study as sets and numbers."""
        return self.plan.problem

    @property
    def decisions(self) -> Decisions:
        """The plan's numbers."""
        return self.plan.decisions

    @property
    def vectors(self) -> Vectors:
        """The same as vectors."""
        return self.plan.vectors


def subject(plan: PlanFile | Plan) -> Subject:
    """A plan and the hour with the largest total traffic."""
    plan = in_hand(plan)
    p, x = plan.problem, plan.decisions
    total = dict.fromkeys(p.hours, 0.0)
    for (_, _, _, s), value in x.traffic.items():
        if is_normal(s):
            total[s[0]] += value
    sent: dict[State, dict[Flow, dict[str, float]]] = {}
    for (w, o, e, s), value in sorted(x.traffic.items()):
        if value > 0:
            sent.setdefault(s, {}).setdefault((w, o), {})[e] = float(value)
    return Subject(plan, max(p.hours, key=lambda h: (total[h], h)), sent)


def peak_requests_per_second(p: Problem, w: str, o: str, s: State) -> float:
    """Peak of the requests that are offered in a state [requests/s]."""
    return requests_per_second(p, w, o, s) * p.burst_factor[w]


def routing_table(of: Subject, hold: str = GOALS) -> Table:
    """The table of a plan.

    Level 1 has the weights of normal operation. The others have the placements that take over in the failures of the
    goals: those within the normal round trip first, those with the largest traffic first; weights follow the capacity.
    """
    p, a = of.problem, full(of.problem)
    largest = most_traffic(a, of.vectors)
    most = {edge: value for edge, value in zip(a.edges, largest.tolist(), strict=True) if value > 0}
    # plans with reserves say themselves what a gateway may send: weights are proportional to it, and there is one level
    limits_in = reserved if p.rescaled else limits_of
    by_hour = [limits_in(a, of.vectors, h, largest, hold) for h in p.hours]
    limit: dict[Flow, dict[str, float]] = {}
    for w, o, e in sorted(set().union(*by_hour)):
        limit.setdefault((w, o), {})[e] = max(of_hour.get((w, o, e), 0.0) for of_hour in by_hour)
    in_failures = _in_failures(of)
    routes = []
    for w, o in sorted(p.flows):
        levels = _levels(of, (w, o), limit.get((w, o), {}), most)
        if levels:
            peak = peak_requests_per_second(p, w, o, (of.hour, NORMAL, 0.0))
            routes.append(Route(w, o, slug(w), peak, levels, in_failures=tuple(sorted(in_failures.get((w, o), ())))))
    return Table(of.hour, len(p.hours), tuple(routes))


def _in_failures(of: Subject) -> dict[Flow, set[str]]:
    """Stream -> placements that the plan sends it to in some failure of the table's hour."""
    made: dict[Flow, set[str]] = {}
    for s, by_flow in of.sent.items():
        if s[0] == of.hour and not is_normal(s):
            for flow in by_flow:
                made.setdefault(flow, set()).update(as_sent(of, flow, s))
    return made


def reserved(a: Arrays, x: Vectors, h: str, most: Array, hold: str) -> dict[tuple[str, str, str], float]:
    """(w, o, e) -> what the plan reserves there: the limit that the gateway must enforce [requests/s, peak]."""
    peaks = x.reserve[h,] * burst_factors(a)
    return {a.edges[i]: float(peaks[i]) for i in np.flatnonzero(peaks > 0).tolist()}


def most_traffic(a: Arrays, x: Vectors) -> Array:
    """Largest peak traffic over all states of the plan [requests/s; E]."""
    most = np.zeros(a.E)
    for traffic in x.traffic.values():
        most = np.maximum(most, traffic)
    return most * burst_factors(a)


def _levels(
    of: Subject, flow: Flow, limit: Mapping[str, float], most: Mapping[tuple[str, str, str], float]
) -> tuple[tuple[Entry, ...], ...]:
    p, (w, o) = of.problem, flow
    s = (of.hour, NORMAL, 0.0)
    peak = peak_requests_per_second(p, w, o, s)
    normal = {e: v * p.burst_factor[w] for e, v in of.sent.get(s, {}).get(flow, {}).items() if e in limit}
    normal = _but_negligible(normal, peak)
    near = set(p.edges[flow])
    others = [e for e, v in limit.items() if e not in normal and v > LEAST_FAILOVER_FRACTION * peak]
    others.sort(key=lambda e: (e not in near, -most.get((w, o, e), 0.0), -limit[e], e))
    levels = [normal] if normal else []
    while others:
        least = SAME_LEVEL_FRACTION * most.get((w, o, others[0]), 0.0)
        is_near = others[0] in near
        level = {e: limit[e] for e in others if (e in near) == is_near and most.get((w, o, e), 0.0) >= least}
        levels.append(level)
        others = others[len(level) :]
    return tuple(_level(p, flow, shares, limit) for shares in levels)


def _but_negligible(peaks: dict[str, float], offered: float) -> dict[str, float]:
    """What is sent by placement [requests/s], but what is negligible beside what is offered."""
    return {e: value for e, value in peaks.items() if value > NEGLIGIBLE_FRACTION * offered} or peaks


def _level(p: Problem, flow: Flow, shares: Mapping[str, float], limit: Mapping[str, float]) -> tuple[Entry, ...]:
    names = sorted(shares, key=lambda e: (-shares[e], e))
    together = math_sum(shares.values())
    weights = largest_remainder([shares[e] for e in names], WEIGHTS_ADD_UP_TO)
    near = set(p.edges[flow])
    return tuple(
        Entry(e, slug(e), weight, shares[e] / together, limit[e], e not in near)
        for e, weight in zip(names, weights, strict=True)
    )


def math_sum(values: Iterable[float]) -> float:
    """Sum in the order of size: the same whatever the order of what is added."""
    return sum(sorted(values))


def largest_remainder(shares: list[float], adding_up_to: int) -> list[int]:
    """Whole numbers that add up to a number, in the proportion of the shares, each at least 1.

    Examples
    --------
    >>> largest_remainder([2.0, 1.0, 1.0], 10)
    [5, 3, 2]
    """
    total = math_sum(shares)
    exact = [adding_up_to * share / total for share in shares]
    weights = [max(1, int(value)) for value in exact]
    by_remainder = sorted(range(len(shares)), key=lambda i: (int(exact[i]) - exact[i], i))
    for i in range(adding_up_to - sum(weights)):
        weights[by_remainder[i % len(weights)]] += 1
    for _ in range(sum(weights) - adding_up_to):
        weights[weights.index(max(weights))] -= 1
    return weights


def weight_error_fraction(table: Table) -> float:
    """Largest difference between a whole weight's share and the share it stands for."""
    entries = [entry for route in table.routes for entry in route.entries]
    return max((abs(x.weight / WEIGHTS_ADD_UP_TO - x.share_fraction) for x in entries), default=0.0)


# ------------------------------------------------------------------ as data
def table_data(of: Subject, table: Table) -> dict[str, object]:
    """The table as plain data: names as the study has them beside the names in the gateway."""
    p = of.problem
    return {
        "hour": table.hour,
        "hours_in_plan": table.hours,
        "hour_is": "the hour of the plan with the largest total traffic",
        "rates_are": "requests per second at the peak: mean of the hour times burst_factor",
        "weight_error_fraction": weight_error_fraction(table),
        "origins": {o: slug(o) for o in sorted({o for _, o in p.flows})},
        "workloads": {w: slug(w) for w in sorted({w for w, _ in p.flows})},
        "placements": {x.placement: x.id for route in table.routes for x in route.entries},
        "routes": [
            {
                "workload": route.workload,
                "origin": route.origin,
                "requests_per_second": route.requests_per_second,
                "levels": [[asdict(entry) for entry in level] for level in route.levels],
            }
            for route in table.routes
        ],
    }


def override_data(of: Subject, f: str) -> dict[str, object]:
    """Weights of one failure at each of its deadlines, for control planes that push weights."""
    p = of.problem
    rows = [
        {"deadline_seconds": s[2], "routes": [_override_route(of, flow, s) for flow in sorted(p.flows)]}
        for s in states(p, f)
        if s[0] == of.hour
    ]
    return {
        "failure": f,
        "lost": dict(sorted(p.failures[f].lost.items())),
        "hour": of.hour,
        "rates_are": "requests per second at the peak: mean of the hour times burst_factor",
        "use": "from each deadline on, until the next; before the first deadline the static file holds",
        "states": rows,
    }


def as_sent(of: Subject, flow: Flow, s: State) -> dict[str, float]:
    """Placement -> what the plan sends there in a state [requests/s, peak], but what is negligible."""
    w, o = flow
    sent = {e: v * of.problem.burst_factor[w] for e, v in of.sent.get(s, {}).get(flow, {}).items()}
    return _but_negligible(sent, peak_requests_per_second(of.problem, w, o, s))


def _override_route(of: Subject, flow: Flow, s: State) -> dict[str, object]:
    p, (w, o) = of.problem, flow
    sent = as_sent(of, flow, s)
    names = sorted(sent, key=lambda e: (-sent[e], e))
    weights = largest_remainder([sent[e] for e in names], WEIGHTS_ADD_UP_TO) if names else []
    return {
        "workload": w,
        "origin": o,
        "route": slug(w),
        "shed_requests_per_second": float(of.decisions.shed[w, o, s]) * p.burst_factor[w],
        "placements": [
            {"placement": e, "id": slug(e), "weight": weight, "requests_per_second": sent[e]}
            for e, weight in zip(names, weights, strict=True)
        ],
    }
