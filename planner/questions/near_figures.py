"""Which figures of a study may break a survival goal of its plan, and from which factor on: where a drill is to look.

Small programs over traffic: with the replicas of the plan's own states no goal breaks before the factor that they give.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from planner.plan.in_hand import Plan
from planner.problem.algebra import Array, Expr, Key, Rows, pick, sum_by
from planner.problem.arrays import Arrays, full
from planner.problem.decisions import Vectors
from planner.problem.problem import State, states
from planner.problem.rules.formulas import is_normal, running, utilisation_of
from planner.problem.rules.states import (
    components_pass_what_they_can,
    each_request_passes_one_alternative,
    throughput_is_counted,
)
from planner.problem.things import positions
from planner.questions.planned import silent
from planner.solve.program import OPTIMAL, Program, bounds_restored
from planner.solve.search import Progress
from planner.study.records.study import Study

DEMAND = "all demand"
MOST_DEMAND = 10.0
LEAST_SPEED = 1e-3
"""Factors on demand and speed, as far as is looked."""
Kind = Literal["demand", "speed", "load time", "round trip"]


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


def near_figures(plan: Plan, progress: Progress = silent, least_speed: float = LEAST_SPEED) -> list[Near]:
    """Each figure with each state that it may break, by small programs over traffic.

    Formula, per state and profile g
        minimise σ   subject to   Σ_w,o replica_seconds · burst · traffic[w,o,e] ≤ utilisation · running[e] · σ
        for e of g, the other placements with σ = 1, gateways with their limits, λ · all that is due served with λ = 1
    and for demand: maximise λ with every σ = 1.
    Load times: the largest factor with which cold starts run at their deadline, where the goal breaks without them.
    Round trips: limit / round trip, where the goal breaks without the edge; only those whose error reaches the limit.

    Parameters
    ----------
    least_speed : speeds below it may be left out, where it is known that they hold: with more demand by a factor λ they
        do with every speed times 1 / λ
    """
    p, a, x = plan.problem, full(plan.problem), plan.vectors
    farthest_ms = _farthest_ms(a)
    figures = list[Near]()
    for n, f in enumerate(p.failures):
        progress("looking for what is near", n / len(p.failures), f)
        for s in states(p, f):
            at = _probe(a, x, s)
            demand = list(_demand(at, s))
            figures += demand
            if least_speed * min((near.guess for near in demand), default=MOST_DEMAND) < 1:
                figures += _speeds(at, s)
            figures += _load_times(a, x, at, s)
            figures += _round_trips(a, x, farthest_ms, round_trip_limits_ms(plan.study, s), at, s)
    return figures


def demand_that_holds(plan: Plan) -> Near:
    """The state in which more of all demand may break a goal first, and the factor up to which none does."""
    p, a, x = plan.problem, full(plan.problem), plan.vectors
    nears = (near for f in p.failures for s in states(p, f) for near in _demand(_probe(a, x, s), s))
    return min(nears, key=lambda near: near.guess, default=Near("demand", DEMAND, MOST_DEMAND, "", ""))


@dataclass(frozen=True)
class _Probe:
    """The program of one state over traffic, built once: a probe moves bounds and moves them back.

    Parameters
    ----------
    profiles : by name, in order
    speed : 1 for each profile that runs: its speed [profiles]
    cold_started : 1, never above its speed: that of its cold-started replicas [profiles]
    growth : 1: factor on all demand [one]
    traffic : requests/s [E]
    """

    program: Program
    profiles: list[str]
    speed: Expr
    cold_started: Expr
    growth: Expr
    traffic: Expr

    def holds(self, late: str | None = None, without: Array | None = None) -> bool:
        """Whether all that is due can be served without the cold starts of a profile, or without some edges."""
        gone = np.zeros(0, dtype=int)
        if late is not None:
            gone = self.cold_started[np.array([self.profiles.index(late)])].column
        if without is not None:
            gone = self.traffic[without].column
        with bounds_restored(self.program, gone):
            self.program.lower[gone] = self.program.upper[gone] = 0.0
            self.program.minimise(self.growth)
            return self.program.solve() == OPTIMAL


def _probe(a: Arrays, x: Vectors, s: State) -> _Probe:
    """The program of one state."""
    p, program = a.p, Program()
    runs = running(a, x, s) > 0
    profiles = sorted(set(p.profile_of.values()))
    at = positions(profiles)
    profile = np.array([at[p.profile_of[e]] for e in p.placements], dtype=int)
    speed = _ones(program, np.bincount(profile, runs, minlength=len(profiles)) > 0)
    loads = runs & (x.cold_started[s,] > 0)
    cold_started = _ones(program, np.bincount(profile, loads, minlength=len(profiles)) > 0)
    growth = program.column(upper=1.0, lower=1.0)
    traffic = program.columns(a.may_serve(s[1]) & runs[a.placement_of_edge])
    names: list[Key] = [(g,) for g in profiles]
    due = a.due_share(s) * x.offered[s,]
    served = sum_by(traffic, a.flow_of_edge, a.F)
    work = sum_by(a.replica_seconds(s[1]) * traffic, a.placement_of_edge, a.P)
    kept, started = x.kept[s,] * pick(speed, profile), x.cold_started[s,] * pick(cold_started, profile)
    rows = [
        Rows(names, (s,), cold_started, "<=", speed),
        Rows(a.flows, (s,), served, ">=", due * pick(growth, np.zeros(a.F, dtype=int))),
        Rows(a.placements, (s,), work, "<=", utilisation_of(a, s[1], running(a, x, s)) * (kept + started)).only(runs),
    ]
    program.add("margin", rows, as_rows=True)  # bounds are moved: what is a row must not be one
    _add_request_limits(a, program, traffic, s)
    return _Probe(program, profiles, speed, cold_started, growth, traffic)


def _ones(program: Program, where: Array) -> Expr:
    """New columns that are 1, where a mask is true."""
    columns = program.columns(where)
    program.lower[columns.column] = program.upper[columns.column] = 1.0
    return columns


def _add_request_limits(a: Arrays, program: Program, traffic: Expr, s: State) -> None:
    """Columns and rows of what gateways let through: growing demand and moved requests pass them, too."""
    x = Vectors()
    x.traffic[s,] = traffic
    x.component_throughput[s,] = program.columns(np.ones(len(a.components), dtype=bool))
    x.throughput[s,] = program.columns(a.open(s[1]))
    for rule in (throughput_is_counted, each_request_passes_one_alternative, components_pass_what_they_can):
        program.add(rule.__name__, rule(a, x, s))


def _demand(at: _Probe, s: State) -> Iterator[Near]:
    program, growth = at.program, at.growth.column
    program.minimise(-at.growth)
    with bounds_restored(program, growth):
        program.upper[growth] = MOST_DEMAND
        most = max(1.0, float(program.values[growth[0]])) if program.solve() == OPTIMAL else 1.0
    if most < MOST_DEMAND:
        yield Near("demand", DEMAND, most, s[1], s[0])


def _speeds(at: _Probe, s: State) -> Iterator[Near]:
    program = at.program
    for g in at.speed.row.tolist():
        column = at.speed[np.array([g])]
        slower = np.append(column.column, at.cold_started[np.array([g])].column)
        with bounds_restored(program, slower):
            program.lower[slower] = 0.0
            program.minimise(column)
            factor = min(1.0, float(program.number(column)[0])) if program.solve() == OPTIMAL else 1.0
        if factor > LEAST_SPEED:
            yield Near("speed", at.profiles[g], factor, s[1], s[0])


def _load_times(a: Arrays, x: Vectors, at: _Probe, s: State) -> Iterator[Near]:
    """Profiles that are cold-started in a failure and without which its goal breaks at this deadline."""
    latest: dict[str, float] = {}
    loads = (x.cold_started[s,] > 0) & (a.load_seconds > 0)
    factors = _latest_loads(a, x, s)
    for i in np.flatnonzero(loads).tolist():
        g = a.p.profile_of[a.p.placements[i]]
        latest[g] = min(float(factors[i]), latest.get(g, float("inf")))
    for g, factor in sorted(latest.items()):
        if not at.holds(late=g):
            yield Near("load time", g, factor, s[1], s[0])


def _latest_loads(a: Arrays, x: Vectors, s: State) -> Array:
    """The factors on load times with which replicas, started when they occupy machines, still run in s [P]."""
    begins, runs = np.full(a.P, a.p.detection_seconds), running(a, x, s)
    for before in a.earlier(s):
        begins = np.where(runs > x.occupied[before,] + 1e-6, np.maximum(begins, before[2]), begins)
    return np.asarray(np.divide(s[2] - begins, a.load_seconds, out=np.zeros(a.P), where=a.load_seconds > 0))


def _farthest_ms(a: Arrays) -> Array:
    """The longest that the round trip over each edge may be within its error [ms; E]; minus infinity: not known."""
    farthest = np.full(a.E, -np.inf)
    for i, (_, o, e) in enumerate(a.edges):
        reach = a.p.round_trip_ms.get((o, a.p.site_of[a.p.pool_of[e]]))
        if reach is not None:
            farthest[i] = reach.round_trip_ms + reach.error_ms
    return farthest


def _round_trips(
    a: Arrays, x: Vectors, farthest_ms: Array, limits_ms: dict[str, float], at: _Probe, s: State
) -> Iterator[Near]:
    """Routes whose round trip may be beyond the limit within its error, and without which the goal breaks."""
    p = a.p
    limit_ms = np.array([limits_ms[w] for w, _ in a.flows])[a.flow_of_edge]
    near: dict[tuple[str, str], list[int]] = {}
    for i in np.flatnonzero(a.may_serve(s[1]) & (farthest_ms > limit_ms)).tolist():
        _, o, e = a.edges[i]
        near.setdefault((o, p.site_of[p.pool_of[e]]), []).append(i)
    for (o, site), those in sorted(near.items()):
        edges = np.array(those, dtype=int)
        if not (x.traffic[s,][edges] > 0).any():
            continue
        for limit in np.unique(limit_ms[edges]).tolist():
            if not at.holds(without=edges[limit_ms[edges] <= limit]):
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
