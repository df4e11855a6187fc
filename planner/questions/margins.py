"""How far a figure may move before a survival goal breaks: what a plan leans on, found by drilling it again.

The drill is asked, at the study's own limits. Where to look comes from small programs over traffic: with the replicas
of the plan's own states no goal breaks before the factor that they give; the drill may place others, and breaks later.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from planner.drill import DrillRow, broken_rows
from planner.problem.algebra import Row, Sparse, total
from planner.problem.decisions import Decisions, no_decisions
from planner.problem.problem import Problem, State, states
from planner.problem.rules.formulas import due_fraction, is_normal, live_edges, requests_per_second, running, waits
from planner.problem.rules.states import (
    components_pass_what_they_can,
    each_request_passes_one_alternative,
    throughput_is_counted,
)
from planner.solve.program import OPTIMAL, Program
from planner.study.dependencies import profile_id
from planner.study.latency import reaches
from planner.study.records.plan import PlanFile
from planner.study.records.study import Study

DEMAND = "all demand"
FIRST_STEP = 0.002
CLOSE = 0.0005
CLOSE_TO_MOVE = 0.02
"""How close the factor that holds and the one that breaks are found [fraction of the figure, of the move]."""
MOST_DEMAND = 10.0
LEAST_SPEED = 1e-3
MOST_LOAD = 1000.0
JUST_BEYOND = 1 + 1e-6
SAME_RATE = 1e-6
MOST_STEPS = 12
WHOLE_STEPS = 3
"""Steps of the bisection with whole replicas: each takes a second on the example study."""
FEW_NODES = 20
Kind = Literal["demand", "speed", "load time", "round trip"]
KINDS: tuple[Kind, ...] = ("demand", "speed", "load time", "round trip")
SIGN: dict[Kind, float] = {"demand": 1.0, "speed": -1.0, "load time": 1.0}
MOST: dict[Kind, float] = {"demand": MOST_DEMAND, "speed": LEAST_SPEED, "load time": MOST_LOAD}
"""Which way is the wrong one, and as far as is looked."""
Edge = tuple[str, str, str]
"""(w, o, e)"""


@dataclass(frozen=True)
class Margin:
    """How far a figure may move: the drill holds at one factor on it, and a goal breaks at the next.

    Parameters
    ----------
    kind : demand, speed, load time, round trip
    figure : all demand, a profile `model/profile` (in every pool that runs it), or `origin to site`
    factor : at which every goal still holds
    breaks_at : at which one breaks
    failure, deadline_seconds, hour : where it breaks first
    """

    kind: Kind
    figure: str
    factor: float
    breaks_at: float
    failure: str
    deadline_seconds: float
    hour: str

    @property
    def move_fraction(self) -> float:
        """By which share the figure moves the wrong way where a goal breaks."""
        return abs(self.breaks_at - 1)


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


def margins(
    plan: PlanFile,
    p: Problem,
    x: Decisions,
    progress: Callable[[str, float | None, str], None] = lambda stage, done, detail: None,
) -> tuple[Margin, ...]:
    """The first figure of each kind to break a goal, each by itself: bisection on the drill; the least move first.

    A kind without one breaks nothing: demand up to tenfold, any profile without speed, any load time, round trips as
    far as they may be off.
    """
    by_figure: dict[tuple[Kind, str], list[Near]] = {}
    near = near_figures(p, x, plan.study)
    if plan.study.failover == "rescale":
        near = [*_fixed(p, x), *(one for one in near if one.kind == "round trip")]
    for one in near:
        by_figure.setdefault((one.kind, one.figure), []).append(one)
    found = []
    for n, kind in enumerate(KINDS):
        figures = [_Drilled(plan, near) for (of, _), near in by_figure.items() if of == kind]
        told = partial(progress, "looking for what breaks first", n / len(KINDS))
        first = _first(sorted(figures, key=lambda figure: (figure.near[0].move_fraction, figure.figure)), told)
        found += [first] if first is not None else []
    return tuple(sorted(found, key=lambda m: (m.move_fraction, m.kind)))


def _first(figures: list["_Drilled"], told: Callable[[str], None]) -> Margin | None:
    """The figure that breaks a goal first, of one kind; those that come later are not drilled any closer."""
    best: tuple[_Drilled, float] | None = None
    for one in figures:
        told(f"{one.kind}: {one.figure}")
        if best is not None and one.near[0].move_fraction >= abs(best[1] - 1):
            break
        if best is not None and one.kind != "round trip" and not one.breaks(best[1], 0):
            continue
        factor = one.surely_breaks(best[1] if best is not None else None)
        if factor is not None and (best is None or abs(factor - 1) < abs(best[1] - 1)):
            best = one, factor
    return best[0].margin(best[1]) if best is not None else None


def _fixed(p: Problem, x: Decisions) -> list[Near]:
    """Where weights are fixed, no program over traffic says what holds: demand and all that runs, in every failure."""
    profiles = sorted({p.profile_of[e] for (e, _), n in x.replicas.items() if n > 0})
    figures: list[tuple[Kind, str]] = [("demand", DEMAND), *(("speed", g) for g in profiles)]
    return [Near(kind, figure, 1.0, f, h) for kind, figure in figures for h in p.hours for f in p.failures]


class _Drilled:
    """One figure of a plan's study, moved, and what the drill says then of the failures that are near.

    near : the failures that the figure may break, nearest first
    """

    def __init__(self, plan: PlanFile, near: list[Near]) -> None:
        self.near = sorted(near, key=lambda one: (one.move_fraction, one.failure, one.hour))
        self.plan, self.kind, self.figure = plan, near[0].kind, near[0].figure
        self.mode = plan.study.failover
        self.known: dict[tuple[float, int], DrillRow | None] = {}

    def broken(self, factor: float, most_nodes: int) -> DrillRow | None:
        """What breaks with the figure times a factor, of the failures that may break by then."""
        if (factor, most_nodes) not in self.known:
            self.known[factor, most_nodes] = self._drilled(factor, most_nodes)
        return self.known[factor, most_nodes]

    def _drilled(self, factor: float, most_nodes: int) -> DrillRow | None:
        plan, longer = moved(self.plan, self.kind, self.figure, factor)
        may = [(one.hour, one.failure) for one in self.near if abs(factor - 1) > one.move_fraction - CLOSE]
        if self.kind != "round trip":
            rows = broken_rows(plan, may, self.mode, most_nodes)
            return rows[0] if rows else None
        # a flow that has lost its last edge is not short but out of reach: as much of it is not as before
        for at in may:
            before = {key_of(row): row.uncovered_requests_per_second for row in self._out_of_reach(at)}
            for row in broken_rows(plan, [at], self.mode, most_nodes, longer, reach=True):
                if row.broken or row.uncovered_requests_per_second > before.get(key_of(row), 0.0) + SAME_RATE:
                    return row
        return None

    def _out_of_reach(self, at: tuple[str, str]) -> list[DrillRow]:
        return broken_rows(self.plan, [at], self.mode, 0, reach=True)

    def breaks(self, factor: float, most_nodes: int) -> bool:
        """Whether something breaks."""
        return self.broken(factor, most_nodes) is not None

    def surely_breaks(self, known: float | None) -> float | None:
        """The least factor found at which a goal breaks, whatever is done with parts of replicas; None: none does.

        `known`: one that does.
        """
        guess = self.near[0].guess
        if self.kind == "round trip":
            return guess * JUST_BEYOND if self.breaks(guess * JUST_BEYOND, 0) else None
        sign, most = SIGN[self.kind], MOST[self.kind]
        holds, breaks, step = guess, known, max(FIRST_STEP, abs(guess - 1) / 4)
        if self.kind == "load time" and known is None and not self.breaks(most, 0):
            return None
        while breaks is None:
            factor = guess + sign * step
            if sign * (factor - most) >= 0:
                if not self.breaks(most, 0):
                    return None
                breaks = most
            elif self.breaks(factor, 0):
                breaks = factor
            else:
                holds, step = factor, 2 * step
        return self._closer(holds, breaks, 0, MOST_STEPS)[1]

    def margin(self, breaks: float) -> Margin:
        """Between which factors a goal breaks: what holds with whole replicas, and what breaks with parts of them."""
        row = self.broken(breaks, 0)
        assert row is not None, "it has just broken"
        holds = self.near[0].guess
        if self.kind == "round trip":
            holds /= JUST_BEYOND
        else:
            holds, _ = self._closer(holds, breaks, FEW_NODES, WHOLE_STEPS)
        if self.breaks(holds, FEW_NODES):
            holds = 1.0
        return Margin(self.kind, self.figure, holds, breaks, row.failure, row.deadline_seconds, row.hour)

    def _closer(self, holds: float, breaks: float, most_nodes: int, steps: int) -> tuple[float, float]:
        """A factor that holds and one that breaks, closer to each other."""
        for _ in range(steps):
            if abs(breaks - holds) <= max(CLOSE, CLOSE_TO_MOVE * abs(breaks - 1)):
                break
            middle = (holds + breaks) / 2
            if self.breaks(middle, most_nodes):
                breaks = middle
            else:
                holds = middle
        return holds, breaks


def key_of(row: DrillRow) -> tuple[str, float]:
    """Which tier at which clock of a failure."""
    return row.tier, row.deadline_seconds


def moved(plan: PlanFile, kind: Kind, figure: str, factor: float) -> tuple[PlanFile, dict[tuple[str, str], float]]:
    """The plan with one figure of its study times a factor, and the round trip that holds instead of the study's [ms].

    All else is as planned. With more demand, normal operation is sent where it was sent, in the same shares.
    """
    if kind == "round trip":
        key = next(key for key in reaches(plan.study) if route(*key) == figure)
        return plan, {key: reaches(plan.study)[key].round_trip_ms * factor}
    if kind == "demand":
        return _with_more_demand(plan, factor), {}
    models = []
    for model in plan.study.models:
        profiles = []
        for profile in model.profiles:
            if profile_id(model.model, profile.name) == figure and kind == "speed":
                slower = tuple(
                    c.model_copy(
                        update={
                            "prefill_tokens_per_second": c.prefill_tokens_per_second * factor,
                            "decode_tokens_per_second": c.decode_tokens_per_second * factor,
                        }
                    )
                    for c in profile.classes
                )
                profile = profile.model_copy(update={"classes": slower})
            elif profile_id(model.model, profile.name) == figure:
                profile = profile.model_copy(update={"load_seconds": profile.load_seconds * factor})
            profiles.append(profile)
        models.append(model.model_copy(update={"profiles": tuple(profiles)}))
    return plan.model_copy(update={"study": plan.study.model_copy(update={"models": tuple(models)})}), {}


def _with_more_demand(plan: PlanFile, factor: float) -> PlanFile:
    rates = ("requests_per_second", "low_requests_per_second", "high_requests_per_second")
    demand = []
    for row in plan.study.demand:
        values = {name: getattr(row, name) for name in rates}
        demand.append(row.model_copy(update={n: v if v is None else v * factor for n, v in values.items()}))
    states_ = []
    for state in plan.states:
        if is_normal((state.hour, state.failure, state.deadline_seconds)):
            sent = tuple(v * factor for v in state.requests_per_second)
            shed = {w: {o: v * factor for o, v in of.items()} for w, of in state.shed.items()}
            state = state.model_copy(update={"requests_per_second": sent, "shed": shed})
        states_.append(state)
    study = plan.study.model_copy(update={"demand": tuple(demand)})
    return plan.model_copy(update={"study": study, "states": tuple(states_)})


def route(origin: str, site: str) -> str:
    """What a round trip is called."""
    return f"{origin} to {site}"


# ------------------------------------------------------------------ where to look
def near_figures(p: Problem, x: Decisions, study: Study) -> list[Near]:
    """Each figure with each state that it may break, by small programs over traffic.

    Formula, per state and profile g
        minimise σ   subject to   Σ_w,o replica_seconds · burst · traffic[w,o,e] ≤ utilisation · running[e] · σ
        for e of g, the other placements with σ = 1, gateways with their limits, λ · all that is due served with λ = 1
    and for demand: maximise λ with every σ = 1.
    Load times: the largest factor with which what is loaded runs at its clock, where the goal breaks without it.
    Round trips: limit / round trip, where the goal breaks without the edge; only those whose error reaches the limit.
    """
    found = []
    for f in p.failures:
        for s in states(p, f):
            at = _probe(p, x, s)
            found += [*_demand_and_speeds(at, s), *_load_times(p, x, at, s), *_round_trips(p, x, study, at, s)]
    return found


@dataclass(frozen=True)
class _Probe:
    """The program of one state over traffic, built once: a probe moves bounds and moves them back.

    Parameters
    ----------
    speed : profile -> column, 1: its speed
    cold_started : profile -> column, 1, never above its speed: that of its replicas that were loaded since
    growth : column, 1: factor on all demand
    edges : (w, o, e) -> column: requests/s
    """

    program: Program
    speed: dict[str, Any]
    cold_started: dict[str, Any]
    growth: Any
    edges: dict[Edge, Any]

    def holds(self, late: str | None = None, without: frozenset[Edge] = frozenset()) -> bool:
        """Whether all that is due can be served without what a profile has loaded, or without some edges."""
        gone = [self.cold_started[late]] if late is not None else []
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
        room = [(-utilisation * float(x.kept[e, s]), speed[g])]
        room += [(-utilisation * float(x.cold_started[e, s]), cold_started[g])] if g in cold_started else []
        rows.append(Row((e,), total([*terms, *room]), "<=", 0.0))
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
    at.growth.upBound = MOST_DEMAND
    most = max(1.0, at.growth.varValue) if at.program.solve() == OPTIMAL else 1.0
    at.growth.upBound = 1.0
    if most < MOST_DEMAND:
        yield Near("demand", DEMAND, most, s[1], s[0])
    for g, column in at.speed.items():
        slower = [column, *([at.cold_started[g]] if g in at.cold_started else [])]
        for v in slower:
            v.lowBound = 0.0
        at.program.minimise(total([(1.0, column)]))
        factor = min(1.0, column.varValue) if at.program.solve() == OPTIMAL else 1.0
        for v in slower:
            v.lowBound = 1.0
        if factor > LEAST_SPEED:
            yield Near("speed", g, factor, s[1], s[0])


def _load_times(p: Problem, x: Decisions, at: _Probe, s: State) -> Iterator[Near]:
    """Profiles that are loaded in a failure and without which its goal breaks at this clock."""
    latest: dict[str, float] = {}
    for e in p.placements:
        if x.cold_started[e, s] > 0 and p.load_seconds[e] > 0:
            g = p.profile_of[e]
            latest[g] = min(_latest_load(p, x, e, s), latest.get(g, float("inf")))
    for g, factor in sorted(latest.items()):
        if not at.holds(late=g):
            yield Near("load time", g, factor, s[1], s[0])


def _latest_load(p: Problem, x: Decisions, e: str, s: State) -> float:
    """The factor on the load time with which a placement's replicas, started when they take up room, still run in s."""
    h, f, c = s
    later = [d for d in p.deadlines_seconds[f] if d < c and running(x, e, s) > x.occupied[e, (h, f, d)] + 1e-6]
    return (c - max([p.detection_seconds, *later])) / p.load_seconds[e]


def _round_trips(p: Problem, x: Decisions, study: Study, at: _Probe, s: State) -> Iterator[Near]:
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
