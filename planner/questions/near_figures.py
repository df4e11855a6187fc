"""Which figures of a study may break a survival goal of its plan, and from which factor on: where a drill is to look.

Small programs over traffic: with the replicas of the plan's own states no goal breaks before the factor that they give.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from planner.plan.in_hand import Plan
from planner.problem.algebra import Row, Sparse, total
from planner.problem.decisions import Decisions, no_decisions
from planner.problem.problem import Problem, State, states
from planner.problem.rules.formulas import due_fraction, is_normal, live_edges, requests_per_second, running, waits
from planner.problem.rules.states import (
    components_pass_what_they_can,
    each_request_passes_one_alternative,
    throughput_is_counted,
)
from planner.solve.program import OPTIMAL, Program, bounds_restored, fix
from planner.study.records.study import Study

DEMAND = "all demand"
MOST_DEMAND = 10.0
LEAST_SPEED = 1e-3
"""Factors on demand and speed, as far as is looked."""
Kind = Literal["demand", "speed", "load time", "round trip"]
Edge = tuple[str, str, str]
"""(w, o, e)"""


@dataclass(frozen=True)
class Near:
    """Where a figure may break a goal: nothing breaks before the factor `guess`, with replicas as planned."""

    kind: Kind
    figure: str
    guess: float
    failure: str
    hour: str

    @property
    def move_fraction(self) -> float:
        """By which share the figure may move for sure."""
        return abs(self.guess - 1)


def near_figures(plan: Plan) -> list[Near]:
    """Each figure with each state that it may break, by small programs over traffic.

    Formula, per state and profile g
        minimise σ   subject to   Σ_w,o replica_seconds · burst · traffic[w,o,e] ≤ utilisation · running[e] · σ
        for e of g, the other placements with σ = 1, gateways with their limits, λ · all that is due served with λ = 1
    and for demand: maximise λ with every σ = 1.
    Load times: the largest factor with which cold starts run at their deadline, where the goal breaks without them.
    Round trips: limit / round trip, where the goal breaks without the edge; only those whose error reaches the limit.
    """
    p, x = plan.problem, plan.decisions
    figures = list[Near]()
    for f in p.failures:
        for s in states(p, f):
            at = _probe(p, x, s)
            figures += _demand_and_speeds(at, s)
            figures += _load_times(p, x, at, s)
            figures += _round_trips(p, x, plan.study, at, s)
    return figures


@dataclass(frozen=True)
class _Probe:
    """The program of one state over traffic, built once: a probe moves bounds and moves them back.

    Parameters
    ----------
    speed : profile -> column, 1: its speed
    cold_started : profile -> column, 1, never above its speed: that of its cold-started replicas
    growth : column, 1: factor on all demand
    edges : (w, o, e) -> column: requests/s
    """

    program: Program
    speed: dict[str, Any]
    cold_started: dict[str, Any]
    growth: Any
    edges: dict[Edge, Any]

    def holds(self, late: str | None = None, without: frozenset[Edge] = frozenset()) -> bool:
        """Whether all that is due can be served without the cold starts of a profile, or without some edges."""
        gone = [self.cold_started[late]] if late is not None else []
        gone += [self.edges[edge] for edge in sorted(without) if edge in self.edges]
        with bounds_restored(gone):
            for v in gone:
                fix(v, 0.0)
            self.program.minimise(total([(1.0, self.growth)]))
            return self.program.solve() == OPTIMAL


def _probe(p: Problem, x: Decisions, s: State) -> _Probe:
    """The program of one state."""
    utilisation = p.utilisation_normal if is_normal(s) else p.utilisation_in_failure
    program = Program()
    seconds = p.replica_seconds if is_normal(s) else p.replica_seconds_in_failure
    runs = [e for e in p.placements if running(x, e, s) > 0]
    speed = {g: program.column(upper=1.0) for g in sorted({p.profile_of[e] for e in runs})}
    new = sorted({p.profile_of[e] for e in runs if x.cold_started[e, s] > 0})
    cold_started = {g: program.column(upper=1.0) for g in new}
    growth = program.column(upper=1.0)
    for v in (growth, *speed.values(), *cold_started.values()):
        v.lowBound = 1.0
    edges: dict[Edge, Any] = {}
    load: dict[str, list[tuple[float, Any]]] = {e: [] for e in runs}
    rows = [Row((g,), v, "<=", speed[g]) for g, v in cold_started.items()]
    for w, o in p.flows:
        columns = []
        for e in live_edges(p, w, o, s[1]):
            if e in load:
                columns.append(program.column())
                edges[w, o, e] = columns[-1]
                load[e].append((seconds[w, e] * p.burst_factor[w], columns[-1]))
        wanted = float(x.offered[w, o, s]) if waits(p, w, s) else requests_per_second(p, w, o, s)
        due = due_fraction(p, w, o, s) * wanted
        rows.append(Row((w, o), total([*((1.0, v) for v in columns), (-due, growth)]), ">=", 0.0))
    for e, terms in load.items():
        g = p.profile_of[e]
        capacity = [(-utilisation * float(x.kept[e, s]), speed[g])]
        if g in cold_started:
            capacity.append((-utilisation * float(x.cold_started[e, s]), cold_started[g]))
        rows.append(Row((e,), total([*terms, *capacity]), "<=", 0.0))
    program.add("margin", rows)
    _add_request_limits(p, program, edges, s)
    return _Probe(program, speed, cold_started, growth, edges)


def _add_request_limits(p: Problem, program: Program, edges: Mapping[Edge, Any], s: State) -> None:
    """Columns and rows of what gateways let through: growing demand and moved requests pass them, too."""
    x = no_decisions()
    x.traffic = Sparse({(*edge, s): v for edge, v in edges.items()})
    x.component_throughput = Sparse({(c, s): program.column() for c in p.request_limits.components})
    open_alternatives = [a for a in p.request_limits.component_of if a not in p.closed[s[1]]]
    x.throughput = Sparse({(a, s): program.column() for a in open_alternatives})
    for rule in (throughput_is_counted, each_request_passes_one_alternative, components_pass_what_they_can):
        program.add(rule.__name__, rule(p, x, s))


def _demand_and_speeds(at: _Probe, s: State) -> Iterator[Near]:
    at.program.minimise(total([(-1.0, at.growth)]))
    with bounds_restored([at.growth]):
        at.growth.upBound = MOST_DEMAND
        most = max(1.0, at.growth.varValue) if at.program.solve() == OPTIMAL else 1.0
    if most < MOST_DEMAND:
        yield Near("demand", DEMAND, most, s[1], s[0])
    for g, column in at.speed.items():
        slower = [column, *([at.cold_started[g]] if g in at.cold_started else [])]
        with bounds_restored(slower):
            for v in slower:
                v.lowBound = 0.0
            at.program.minimise(total([(1.0, column)]))
            factor = min(1.0, column.varValue) if at.program.solve() == OPTIMAL else 1.0
        if factor > LEAST_SPEED:
            yield Near("speed", g, factor, s[1], s[0])


def _load_times(p: Problem, x: Decisions, at: _Probe, s: State) -> Iterator[Near]:
    """Profiles that are cold-started in a failure and without which its goal breaks at this deadline."""
    latest: dict[str, float] = {}
    for e in p.placements:
        if x.cold_started[e, s] > 0 and p.load_seconds[e] > 0:
            g = p.profile_of[e]
            latest[g] = min(_latest_load(p, x, e, s), latest.get(g, float("inf")))
    for g, factor in sorted(latest.items()):
        if not at.holds(late=g):
            yield Near("load time", g, factor, s[1], s[0])


def _latest_load(p: Problem, x: Decisions, e: str, s: State) -> float:
    """The factor on the load time with which replicas, started when they occupy machines, still run in s."""
    h, f, c = s
    later = [d for d in p.deadlines_seconds[f] if d < c and running(x, e, s) > x.occupied[e, (h, f, d)] + 1e-6]
    return (c - max([p.detection_seconds, *later])) / p.load_seconds[e]


def _round_trips(p: Problem, x: Decisions, study: Study, at: _Probe, s: State) -> Iterator[Near]:
    """Routes whose round trip may be beyond the limit within its error, and without which the goal breaks."""
    limit_ms = round_trip_limits_ms(study, s)
    near: dict[tuple[str, str], list[tuple[float, Edge]]] = {}
    for w, o in p.flows:
        for e in live_edges(p, w, o, s[1]):
            key = o, p.site_of[p.pool_of[e]]
            reach = p.round_trip_ms.get(key)
            if reach is not None and reach.round_trip_ms + reach.error_ms > limit_ms[w]:
                near.setdefault(key, []).append((limit_ms[w], (w, o, e)))
    for (o, site), edges in sorted(near.items()):
        if not any(x.traffic[(*edge, s)] > 0 for _, edge in edges):
            continue
        for limit in sorted({limit for limit, _ in edges}):
            if not at.holds(without=frozenset(edge for most, edge in edges if most <= limit)):
                factor = limit / p.round_trip_ms[o, site].round_trip_ms
                yield Near("round trip", route(o, site), factor, s[1], s[0])
                break


def round_trip_limits_ms(study: Study, s: State) -> dict[str, float]:
    """Longest round trip of each workload in a state [ms]."""
    of = {}
    for tier in study.tiers:
        limit = float("inf") if tier.round_trip_ms is None else tier.round_trip_ms
        longer = limit if tier.round_trip_ms_in_failure is None else tier.round_trip_ms_in_failure
        of[tier.name] = limit if is_normal(s) else longer
    return {w.name: of[w.tier] for w in study.workloads}


def route(origin: str, site: str) -> str:
    """What a round trip is called."""
    return f"{origin} to {site}"
