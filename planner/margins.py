"""How far a figure may move before a survival goal breaks: what a plan leans on."""

from dataclasses import dataclass
from typing import Any

from planner.algebra import Row, total
from planner.formulas import due_fraction, live_edges, requests_per_second, running
from planner.problem import Decisions, Problem, State, states
from planner.program import OPTIMAL, Program

DEMAND = "all demand"
MOST_DEMAND = 10.0


@dataclass(frozen=True)
class Margin:
    """The factor on a figure at which a goal is about to break, with replicas as planned and filled completely.

    Parameters
    ----------
    figure : a profile `model/profile` (its speed, in every pool that runs it), or all demand
    factor : speed: the least factor that is survived (1: none slower, 0: the plan does without it); demand: the largest
    failure, clock_seconds : the state that breaks first
    """

    figure: str
    factor: float
    failure: str
    clock_seconds: float


def margins(p: Problem, x: Decisions) -> tuple[Margin, ...]:
    """Margin of all demand, then of every profile that runs, the one that breaks first before all others.

    Formula, per state and profile g, over traffic alone
        minimise σ   subject to   Σ_w,o replica_seconds · burst · traffic[w,o,e] ≤ running[e] · σ   (e of g)
        the other placements with σ = 1, and λ · all that is due served with λ = 1
    and for demand: maximise λ with every σ = 1. Utilisation limits are left out: they are the margin for queues.
    """
    worst: dict[str, Margin] = {}
    for f in p.failures:
        for s in states(p, f):
            program, speed, growth = _state_program(p, x, s)
            program.minimise(total([(-1.0, growth)]))
            growth.upBound = MOST_DEMAND
            most = growth.varValue if program.solve() == OPTIMAL else 1.0
            growth.upBound = 1.0
            if DEMAND not in worst or most < worst[DEMAND].factor:
                worst[DEMAND] = Margin(DEMAND, most, f, s[2])
            for g, column in speed.items():
                column.lowBound = 0.0
                program.minimise(total([(1.0, column)]))
                factor = column.varValue if program.solve() == OPTIMAL else 1.0
                column.lowBound = 1.0
                if g not in worst or factor > worst[g].factor:
                    worst[g] = Margin(g, factor, f, s[2])
    first = [worst.pop(DEMAND)] if DEMAND in worst else []
    return (*first, *sorted(worst.values(), key=lambda m: (-m.factor, m.figure)))


def _state_program(p: Problem, x: Decisions, s: State) -> tuple[Program, dict[str, Any], Any]:
    """The program of one state over traffic, speeds by profile and growth of demand; the latter fixed at 1."""
    program = Program()
    runs = [e for e in p.placements if running(x, e, s) > 0]
    speed = {g: program.column(upper=1.0) for g in sorted({e.partition("@")[0] for e in runs})}
    growth = program.column(upper=1.0)
    load: dict[str, list[tuple[float, Any]]] = {e: [] for e in runs}
    rows = []
    for v in (growth, *speed.values()):
        v.lowBound = 1.0
    for w, o in p.flows:
        columns = []
        for e in live_edges(p, w, o, s[1]):
            if e in load:
                columns.append(program.column())
                load[e].append((p.replica_seconds[w, e] * p.burst_factor[w], columns[-1]))
        due = due_fraction(p, w, o, s) * requests_per_second(p, w, o, s)
        rows.append(Row((w, o), total([*((1.0, v) for v in columns), (-due, growth)]), ">=", 0.0))
    for e, terms in load.items():
        rows.append(Row((e,), total([*terms, (-float(running(x, e, s)), speed[e.partition("@")[0]])]), "<=", 0.0))
    program.add("margin", rows)
    return program, speed, growth
