"""How far a figure may move before a survival goal breaks: what a plan leans on."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from planner.algebra import Row, Sparse, total
from planner.formulas import due_fraction, is_normal, live_edges, requests_per_second, running, waits
from planner.inside_rules import requests_choose_their_way, what_passes_is_counted
from planner.link_rules import components_pass_what_they_can
from planner.problem import Decisions, Problem, State, no_decisions, states
from planner.program import OPTIMAL, Program
from planner.records.study import Study

DEMAND = "all demand"
MOST_DEMAND = 10.0
Kind = Literal["demand", "speed", "load time", "round trip"]
Edge = tuple[str, str, str]
"""(w, o, e)"""


@dataclass(frozen=True)
class Margin:
    """The factor on a figure at which a goal is about to break, with replicas as planned and filled completely.

    Parameters
    ----------
    kind : demand, speed, load time, round trip
    figure : all demand, a profile `model/profile` (in every pool that runs it), or `origin to site`
    factor : speed: the least factor that is survived (1: none slower, 0: the plan does without it); else the largest
    failure, clock_seconds : the state that breaks first
    """

    kind: Kind
    figure: str
    factor: float
    failure: str
    clock_seconds: float

    @property
    def breaks(self) -> bool:
        """Whether a goal breaks beyond the factor: not where the plan does without, or demand grows tenfold."""
        return self.factor > 1e-6 if self.kind == "speed" else self.factor < MOST_DEMAND or self.kind != "demand"

    @property
    def move_fraction(self) -> float:
        """By which share the figure may move the wrong way."""
        return abs(self.factor - 1)


def margins(p: Problem, x: Decisions, study: Study) -> tuple[Margin, ...]:
    """Margin of all demand, of every profile that runs or is loaded, of round trips near a limit; the least first.

    Formula, per state and profile g, over traffic alone
        minimise σ   subject to   Σ_w,o replica_seconds · burst · traffic[w,o,e] ≤ running[e] · σ   (e of g)
        the other placements with σ = 1, gateways with their limits, and λ · all that is due served with λ = 1
    and for demand: maximise λ with every σ = 1. Utilisation limits are left out: they are the margin for queues.
    Load times: the largest factor with which what is loaded runs at its clock, where the goal breaks without it.
    Round trips: limit / round trip, where the goal breaks without the edge; only those whose error reaches the limit.
    """
    worst: dict[tuple[Kind, str], Margin] = {}
    for f in p.failures:
        for s in states(p, f):
            at = _probe(p, x, s)
            for found in (*_demand_and_speeds(at, s), *_load_times(p, x, at, s), *_round_trips(p, x, study, at, s)):
                known = worst.get((found.kind, found.figure))
                if known is None or found.move_fraction < known.move_fraction:
                    worst[found.kind, found.figure] = found
    return tuple(sorted(worst.values(), key=lambda m: (m.move_fraction, m.kind, m.figure)))


@dataclass(frozen=True)
class _Probe:
    """The program of one state over traffic, built once: a probe moves bounds and moves them back.

    Parameters
    ----------
    speed : profile -> column, 1: its speed
    loaded : profile -> column, 1, never above its speed: that of its replicas that were loaded since
    growth : column, 1: factor on all demand
    edges : (w, o, e) -> column: requests/s
    """

    program: Program
    speed: dict[str, Any]
    loaded: dict[str, Any]
    growth: Any
    edges: dict[Edge, Any]

    def holds(self, late: str | None = None, without: frozenset[Edge] = frozenset()) -> bool:
        """Whether all that is due can be served without what a profile has loaded, or without some edges."""
        gone = [self.loaded[late]] if late is not None else []
        gone += [self.edges[edge] for edge in sorted(without) if edge in self.edges]
        before = [(v, v.lowBound, v.upBound) for v in gone]
        for v in gone:
            v.lowBound, v.upBound = 0.0, 0.0
        self.program.minimise(total([(1.0, self.growth)]))
        held = self.program.solve() == OPTIMAL
        for v, lower, upper in before:
            v.lowBound, v.upBound = lower, upper
        return held


def _probe(p: Problem, x: Decisions, s: State) -> _Probe:
    """The program of one state."""
    program = Program()
    seconds = p.replica_seconds if is_normal(s) else p.replica_seconds_in_failure
    runs = [e for e in p.placements if running(x, e, s) > 0]
    speed = {g: program.column(upper=1.0) for g in sorted({p.profile_of[e] for e in runs})}
    new = sorted({p.profile_of[e] for e in runs if x.loaded[e, s] > 0})
    loaded = {g: program.column(upper=1.0) for g in new}
    growth = program.column(upper=1.0)
    for v in (growth, *speed.values(), *loaded.values()):
        v.lowBound = 1.0
    edges: dict[Edge, Any] = {}
    load: dict[str, list[tuple[float, Any]]] = {e: [] for e in runs}
    rows = [Row((g,), v, "<=", speed[g]) for g, v in loaded.items()]
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
        room = [(-float(x.kept[e, s]), speed[g])]
        room += [(-float(x.loaded[e, s]), loaded[g])] if g in loaded else []
        rows.append(Row((e,), total([*terms, *room]), "<=", 0.0))
    program.add("margin", rows)
    _add_doors(p, program, edges, s)
    return _Probe(program, speed, loaded, growth, edges)


def _add_doors(p: Problem, program: Program, edges: Mapping[Edge, Any], s: State) -> None:
    """Columns and rows of what gateways let through: growing demand and moved requests pass them, too."""
    x = no_decisions()
    x.traffic = Sparse({(*edge, s): v for edge, v in edges.items()})
    x.passing = Sparse({(c, s): program.column() for c in p.doors.components})
    x.taking = Sparse({(way, s): program.column() for way in p.doors.ways if way not in p.closed[s[1]]})
    for rule in (what_passes_is_counted, requests_choose_their_way, components_pass_what_they_can):
        program.add(rule.__name__, rule(p, x, s))


def _demand_and_speeds(at: _Probe, s: State) -> Iterator[Margin]:
    at.program.minimise(total([(-1.0, at.growth)]))
    at.growth.upBound = MOST_DEMAND
    most = at.growth.varValue if at.program.solve() == OPTIMAL else 1.0
    at.growth.upBound = 1.0
    yield Margin("demand", DEMAND, most, s[1], s[2])
    for g, column in at.speed.items():
        slower = [column, *([at.loaded[g]] if g in at.loaded else [])]
        for v in slower:
            v.lowBound = 0.0
        at.program.minimise(total([(1.0, column)]))
        factor = column.varValue if at.program.solve() == OPTIMAL else 1.0
        for v in slower:
            v.lowBound = 1.0
        yield Margin("speed", g, factor, s[1], s[2])


def _load_times(p: Problem, x: Decisions, at: _Probe, s: State) -> Iterator[Margin]:
    """Profiles that are loaded in a failure and without which its goal breaks at this clock."""
    latest: dict[str, float] = {}
    for e in p.placements:
        if x.loaded[e, s] > 0 and p.load_seconds[e] > 0:
            g = p.profile_of[e]
            latest[g] = min(_latest_load(p, x, e, s), latest.get(g, float("inf")))
    for g, factor in sorted(latest.items()):
        if not at.holds(late=g):
            yield Margin("load time", g, factor, s[1], s[2])


def _latest_load(p: Problem, x: Decisions, e: str, s: State) -> float:
    """The factor on the load time with which a placement's replicas, started when they take up room, still run in s."""
    h, f, c = s
    later = [d for d in p.clocks_seconds[f] if d < c and running(x, e, s) > x.occupied[e, (h, f, d)] + 1e-6]
    return (c - max([p.detection_seconds, *later])) / p.load_seconds[e]


def _round_trips(p: Problem, x: Decisions, study: Study, at: _Probe, s: State) -> Iterator[Margin]:
    """Routes whose round trip may be beyond the limit within its error, and without which the goal breaks."""
    limit_ms = round_trip_limits_ms(study, s)
    near: dict[tuple[str, str], list[tuple[float, Edge]]] = {}
    for w, o in p.flows:
        for e in live_edges(p, w, o, s[1]):
            there = o, p.site_of[p.pool_of[e]]
            reach = p.round_trip_ms.get(there)
            if reach is not None and reach.round_trip_ms + reach.error_ms > limit_ms[w]:
                near.setdefault(there, []).append((limit_ms[w], (w, o, e)))
    for (o, site), edges in sorted(near.items()):
        if not any(x.traffic[(*edge, s)] > 0 for _, edge in edges):
            continue
        for limit in sorted({limit for limit, _ in edges}):
            if not at.holds(without=frozenset(edge for most, edge in edges if most <= limit)):
                factor = limit / p.round_trip_ms[o, site].round_trip_ms
                yield Margin("round trip", f"{o} to {site}", factor, s[1], s[2])
                break


def round_trip_limits_ms(study: Study, s: State) -> dict[str, float]:
    """Longest round trip of each workload in a state [ms]."""
    of = {}
    for tier in study.tiers:
        limit = float("inf") if tier.round_trip_ms is None else tier.round_trip_ms
        longer = limit if tier.round_trip_ms_in_failure is None else tier.round_trip_ms_in_failure
        of[tier.name] = limit if is_normal(s) else longer
    return {w.name: of[w.tier] for w in study.workloads}
