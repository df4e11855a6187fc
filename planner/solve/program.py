"""The PuLP program, built from the rules; and the test program, in which a failure is a change of bounds."""

import itertools
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import pulp

from planner.errors import Finding, InputError, SolverError
from planner.problem.algebra import Key, Linear, Row, Sparse, is_number, total
from planner.problem.decisions import Decisions, no_decisions
from planner.problem.problem import Problem, State, flow_size, states
from planner.problem.rules.costs import dearest_of, outage_size_usd
from planner.problem.rules.formulas import (
    available,
    can_load,
    choice_size,
    door_size,
    drawn_upon,
    due_fraction,
    is_normal,
    live_edges,
    live_placements,
    machines_standing,
    requests_per_second,
    short_of_spend,
    survivors,
)
from planner.problem.rules.register import PURCHASE_RULES, STATE_RULES
from planner.solve.highs import KeptHiGHS
from planner.study.dependencies import NORMAL

BOUGHT = ("started", "rented", "replicas", "non_preemptible", "opened")
"""Decisions that hold in every failure alike."""
INFEASIBLE = "infeasible"
OPTIMAL = "optimal"
FEASIBLE = "feasible"
NOTHING = "nothing found"
INFINITY = float("inf")


class Program:
    """A linear or integer program with its columns in their own order and its rows by rule and key.

    Solver names carry no meaning: columns are x0, x1, ..., rows c0, c1, ..., and nothing is parsed from them.
    """

    def __init__(self, solver: Any = None) -> None:
        self.lp: Any = pulp.LpProblem("placement", pulp.LpMinimize)
        self.lp.columns, self.lp.rows, self.lp.units, self.lp.factors = [], [], {}, []
        self.solver = KeptHiGHS() if solver is None else solver
        self.rows: dict[tuple[str, Key], Any] = {}
        self.bounds: dict[tuple[str, Key], Any] = {}
        self.scale = 1.0
        self.bound = -INFINITY
        self.constant = 0.0
        self.objective = INFINITY
        self._counter = itertools.count()

    def column(self, upper: float | None = None, integer: bool = False, unit: float = 1.0) -> Any:
        """A new column, at least zero; `unit` is what is large in it: 1 of what is counted, all requests of a stream.

        The solver sees multiples of the unit, so that its tolerances mean the same whatever the magnitude.
        """
        cat = pulp.LpInteger if integer else pulp.LpContinuous
        variable = self.lp.add_variable(f"x{len(self.lp.columns)}", 0, upper, cat)
        self.lp.columns.append(variable)
        if unit != 1.0:
            self.lp.units[variable] = power_of_two(unit)
        return variable

    def add(self, rule: str, rows: Iterable[Row]) -> None:
        """Add the rows of a rule; a row of one column and a number becomes a bound of that column."""
        for row in rows:
            lhs, rhs = row.lhs, row.rhs
            if isinstance(lhs, pulp.LpVariable) and isinstance(rhs, int | float):
                set_bound(lhs, row.sense, float(rhs))
                self.bounds[rule, row.key] = lhs
                continue
            difference = total([(1.0, lhs), (-1.0, rhs)])
            if not isinstance(difference, int | float) and not any(difference.values()):
                difference = difference.constant  # the same decisions on both sides: only numbers are left
            if isinstance(difference, int | float):
                numbers = (
                    row if is_number(lhs) and is_number(rhs) else Row(row.key, difference, row.sense, 0.0, row.size)
                )
                if numbers.shortfall() > 1e-7 * numbers.scale():
                    raise SolverError(f"{rule} {row.key}: no decision can make {lhs} {row.sense} {rhs}")
                continue
            sense = {"<=": pulp.LpConstraintLE, ">=": pulp.LpConstraintGE, "==": pulp.LpConstraintEQ}[row.sense]
            constraint = pulp.LpConstraint(difference, sense, f"c{next(self._counter)}", 0.0)
            self.lp.addConstraint(constraint)
            self.lp.rows.append(constraint)
            self.lp.factors.append(1.0 if row.size == 1.0 else 1.0 / power_of_two(row.size))
            self.rows[rule, row.key] = constraint

    def minimise(self, objective: Linear) -> None:
        """Set the objective: the largest coefficient becomes about one, in the units of its columns."""
        if isinstance(objective, int | float):
            objective = pulp.LpAffineExpression(constant=float(objective))
        units = self.lp.units
        largest = max((abs(value) * units.get(v, 1.0) for v, value in objective.items()), default=1.0)
        self.scale = largest or 1.0
        self.constant = objective.constant
        self.lp.setObjective(pulp.LpAffineExpression({v: value / self.scale for v, value in objective.items()}))

    def solve(
        self,
        integer: bool = False,
        gap_fraction: float = 0.0,
        most_nodes: int | None = None,
        seconds: float | None = None,
        good_enough: float | None = None,
    ) -> str:
        """Solve; returns optimal, feasible (an end came first), infeasible or nothing found.

        An integer search ends by gap, nodes or seconds, or at a solution that costs `good_enough` or less. It is given
        no start.

        `self.bound` is then what no solution can beat, in the objective's unit; `self.objective` the value reached.
        """
        if isinstance(self.solver, KeptHiGHS):
            kept = self.solver
            kept.gap_fraction, kept.most_nodes, kept.seconds, kept.integer = gap_fraction, most_nodes, seconds, integer
            kept.target = -INFINITY if good_enough is None else (good_enough - self.constant) / self.scale
            self.lp.solver = kept
            kept.actualResolve(self.lp)
            bound = kept.bound
        else:
            bound = self._solve_elsewhere(integer, gap_fraction, seconds)
        found = {
            pulp.LpSolutionOptimal: OPTIMAL,
            pulp.LpSolutionIntegerFeasible: FEASIBLE,
            pulp.LpSolutionInfeasible: INFEASIBLE,
        }.get(self.lp.sol_status, NOTHING)
        self.bound = bound * self.scale + self.constant
        if found in (OPTIMAL, FEASIBLE):
            self.objective = self.value_of({v: v.varValue for v in self.lp.objective})
        return found

    def _solve_elsewhere(self, integer: bool, gap_fraction: float, seconds: float | None) -> float:
        # any other PuLP solver: everything is sent anew; its bound is known only when it proves optimality
        self.solver.mip = integer
        self.solver.timeLimit = seconds
        self.solver.optionsDict["gapRel"] = gap_fraction
        scaled = pulp.LpProblem("placement", pulp.LpMinimize)
        units = self.lp.units
        columns = {}
        for v in self.lp.columns:
            unit = units.get(v, 1.0)
            lower, upper = (None if bound is None else bound / unit for bound in (v.lowBound, v.upBound))
            cat = v.cat if integer else pulp.LpContinuous
            columns[v] = scaled.add_variable(v.name, lower, upper, cat)
        scaled.setObjective(_in_units(self.lp.objective, columns, units, 1.0))
        rows = []
        for row, factor in zip(self.lp.rows, self.lp.factors, strict=True):
            rows.append(pulp.LpConstraint(_in_units(row, columns, units, factor), row.sense, row.name, 0.0))
            scaled.addConstraint(rows[-1])
        scaled.solve(self.solver)
        for v, column in columns.items():
            v.varValue = None if column.varValue is None else column.varValue * units.get(v, 1.0)
            v.dj = None if column.dj is None else column.dj / units.get(v, 1.0)
        for row, sent, factor in zip(self.lp.rows, rows, self.lp.factors, strict=True):
            row.pi = None if sent.pi is None else sent.pi * factor
        self.lp.assignStatus(scaled.status, scaled.sol_status)
        if self.lp.sol_status == pulp.LpSolutionOptimal:
            value = sum(c * (v.varValue or 0.0) for v, c in self.lp.objective.items())
            return float(value - abs(value) * gap_fraction)
        return INFINITY if self.lp.sol_status == pulp.LpSolutionInfeasible else -INFINITY

    def value_of(self, values: Mapping[Any, float]) -> float:
        """The objective at some values of the columns."""
        return float(sum(c * values[v] for v, c in self.lp.objective.items())) * self.scale + self.constant

    def values(self) -> dict[Any, float]:
        """Column -> value of the last solve."""
        return {v: v.varValue or 0.0 for v in self.lp.columns}


def power_of_two(size: float) -> float:
    """The power of two below a size: to scale by it changes no digit."""
    return 2.0 ** math.floor(math.log2(size))


def _in_units(expression: Any, columns: Mapping[Any, Any], units: Mapping[Any, float], factor: float) -> Any:
    """An expression over the columns that a solver sees, times a factor."""
    terms = {columns[v]: value * units.get(v, 1.0) * factor for v, value in expression.items()}
    return pulp.LpAffineExpression(terms, constant=expression.constant * factor)


def solver_named(name: str) -> Callable[[], Any] | None:
    """A maker of PuLP solvers by name; None for HiGHS with a kept instance.

    Raises
    ------
    InputError
        when PuLP does not find a solver of that name on this machine
    """
    if name.lower() == "highs":
        return None
    there = pulp.listSolvers(onlyAvailable=True)
    if name not in there:
        known = ", ".join(dict.fromkeys(("HiGHS", *there)))
        raise InputError([Finding("--solver", f"one of {known}", repr(name), "name a solver that PuLP finds here")])
    return lambda: pulp.getSolver(name, msg=False)


def set_bound(variable: Any, sense: str, value: float) -> None:
    """Tighten a column by `variable sense value`."""
    if sense in ("<=", "=="):
        variable.upBound = value if variable.upBound is None else min(variable.upBound, value)
    if sense in (">=", "=="):
        variable.lowBound = max(variable.lowBound or 0.0, value)


def purchase_columns(p: Problem, program: Program, x: Decisions) -> None:
    """Columns of what is bought and of the replicas that run."""
    can_start = [(b, t) for b in p.offers if b not in p.hourly for t in p.periods if p.may_start(b, t)]
    can_start += [(m, t) for m in p.build_outs for t in p.periods if p.may_start(m, t)]
    x.started = Sparse({(b, t): program.column(integer=True) for b, t in can_start})
    x.shortfall = Sparse({(k.name, k.year): program.column(unit=k.usd or 1.0) for k in p.spend_years})
    can_rent = [(b, h) for b in p.offers if b in p.hourly for h in p.hours if p.may_start(b, p.period_of[h])]
    x.rented = Sparse({(b, h): program.column(integer=True) for b, h in can_rent})
    x.replicas = Sparse({(e, h): program.column(integer=True) for e in p.placements for h in p.hours})
    x.opened = Sparse({(q, h): program.column(integer=True) for q in sorted(p.maybe_unused) for h in p.hours})
    usd = outage_size_usd(p)
    for f in p.priced:
        x.outage[f,] = program.column(unit=usd)  # type: ignore[index]
        x.outage[f,].lowBound = None
    for g, one in dearest_of(p).items():
        x.tail["above", g] = program.column(unit=usd)  # type: ignore[index]
        if len(one) > 1:
            x.tail["of", g] = program.column(unit=usd)  # type: ignore[index]
            x.tail["of", g].lowBound = None
    for name in ("worst", "threshold") if p.priced else ():
        x.tail[name,] = program.column(unit=usd)  # type: ignore[index]
    on_spot = [e for q in sorted(p.with_spot) for e in p.on_pool[q]]
    x.non_preemptible = Sparse({(e, h): program.column(integer=True) for e in on_spot for h in p.hours})


def state_columns(p: Problem, program: Program, x: Decisions, s: State, testing: bool = False) -> None:
    """Columns of one state; what is dead or cannot have loaded yet has none.

    In a failure nothing is gained by serving what is not due: unless it is a test, such requests are shed as numbers.
    """
    alive = live_placements(p, s[1])
    for w, o in p.flows:
        free = p.outage_usd_per_request[w] <= 0 or s[1] not in p.priced
        if not testing and not is_normal(s) and due_fraction(p, w, o, s) <= 0 and free:
            x.offered[w, o, s] = x.shed[w, o, s] = requests_per_second(p, w, o, s)  # type: ignore[index]
            continue
        size = flow_size(p, w, o, s[0])
        x.offered[w, o, s] = program.column(unit=size)  # type: ignore[index]
        x.shed[w, o, s] = program.column(unit=size)  # type: ignore[index]
        if testing:
            x.excess[w, o, s] = program.column(unit=size)  # type: ignore[index]
        for e in live_edges(p, w, o, s[1]):
            x.traffic[w, o, e, s] = program.column(unit=size)  # type: ignore[index]
    for c in p.doors.components:
        x.passing[c, s] = program.column(unit=door_size(p, c))  # type: ignore[index]
    for n, choice in enumerate(p.doors.choices):
        for way in choice.ways:
            if way not in p.closed[s[1]]:
                x.taking[way, s] = program.column(unit=choice_size(p, n))  # type: ignore[index]
    hit = p.failures[s[1]].hit
    if hit is not None and not testing:
        x.spared[hit, s] = program.column(integer=True)  # type: ignore[index]
    just_hot = set() if testing or is_normal(s) else pools_that_just_run_on(p, s[1])
    for e in alive:
        if p.pool_of[e] in just_hot:
            x.kept[e, s] = x.occupied[e, s] = survivors(p, x, e, s)  # type: ignore[index]
            continue
        x.kept[e, s] = program.column(integer=testing)  # type: ignore[index]
        beside = s[1] == NORMAL and p.rollout_surge_fraction[e] > 0
        x.occupied[e, s] = program.column(integer=testing or beside)  # type: ignore[index]
        if can_load(p, e, s):
            x.cold_started[e, s] = program.column(integer=testing)  # type: ignore[index]
    for q in sorted({p.pool_of[e] for e in alive}):
        x.machines[q, s] = machines_standing(p, x, q, s) if q in just_hot else program.column()  # type: ignore[index]
        come = (
            p.detection_seconds + seconds < s[2]
            for b, (_, seconds) in p.obtainable[s[1]].items()
            if b in p.offers_of[q]
        )
        if q in p.may_obtain and q not in just_hot and (testing or any(come)):
            x.obtained[q, s] = program.column()  # type: ignore[index]
    if any(key[-1] == s for key in x.obtained):
        for n in drawn_upon(p):
            x.drawn[n, s] = program.column()  # type: ignore[index]


def pools_that_just_run_on(p: Problem, f: str) -> set[str]:
    """Pools of which a failure takes nothing in part, and in which nothing can be loaded before it ends.

    Nothing is let go there, as nothing could use the room: what survives is what runs, and it stands where it stood.
    """
    able = {p.pool_of[e] for s in states(p, f) for e in live_placements(p, f) if can_load(p, e, s)}
    partly = {p.pool_of[e] for e in p.placements if 0 < available(p, e, f) < 1} | {
        q for q in p.pools if 0 < available(p, q, f) < 1
    }
    return set(p.pools) - able - partly


def start_program(
    p: Problem,
    solver: Any = None,
    bought: Decisions | None = None,
    further: Callable[[Problem, Program, Decisions], None] = lambda p, program, x: None,
) -> tuple[Program, Decisions]:
    """The program of purchases and normal operation; with `bought` as numbers, of what is left to choose.

    `further` adds columns that rules of purchases speak of.
    """
    program, x = Program(solver), no_decisions()
    if bought is None:
        purchase_columns(p, program, x)
    else:
        x = replace(x, **{name: getattr(bought, name) for name in BOUGHT})
        x.shortfall = Sparse(short_of_spend(p, x))
    further(p, program, x)
    add_failure(p, program, x, NORMAL)
    for rule in PURCHASE_RULES:
        program.add(rule.__name__, rule(p, x))
    return program, x


def add_failure(p: Problem, program: Program, x: Decisions, f: str, hour: str | None = None) -> None:
    """Add the block of a failure: columns and rows of its states in an hour; none named: in all."""
    block = [s for s in states(p, f) if hour is None or s[0] == hour]
    for s in block:
        state_columns(p, program, x, s)
    for s in block:
        for rule in STATE_RULES:
            program.add(rule.__name__, rule(p, x, s))
