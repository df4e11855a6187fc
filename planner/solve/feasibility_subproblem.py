"""The feasibility subproblem: purchases and replicas are numbers, a failure is a vector of bounds."""

from collections.abc import Iterable, Mapping
from copy import copy
from dataclasses import replace
from typing import Any

import numpy as np

from planner.errors import SolverError
from planner.problem.algebra import Array, Expr, Rows, Vector, is_number, spread, total
from planner.problem.arrays import of_tests
from planner.problem.decisions import Vectors, names
from planner.problem.problem import HAIR_FRACTION, Problem, State
from planner.problem.rules.costs import in_states_usd
from planner.problem.rules.formulas import least_occupied, machines_up, utilisation_of
from planner.problem.rules.register import INSIDE_RULES, LINK_RULES
from planner.problem.rules.states import replicas_carry_traffic
from planner.solve.coarse import has_many_edges
from planner.solve.columns import template_columns
from planner.solve.fewer_changes import fewer_changes
from planner.solve.program import (
    FEASIBLE,
    INFINITY,
    OPTIMAL,
    Program,
    bounds_restored,
    single_columns,
    without_negligible_flows,
)
from planner.study.dependencies import NORMAL
from planner.units import ROUNDING

TEST_NODES = 100
PRICED_GAP = 1e-4
MORE_TEST_NODES = 2000
SEARCHES_BY_NUMBER = 5
"""Searches for whole replicas that are not too full for their number, of one test."""
WHOLE = 1e-6
"""How far from a whole number the value of a whole column may be: the tolerance of the solver."""
NO_OBJECTIVE = np.zeros(1)
SHORT_COST = 1e4
"""What being short costs the solver: a replica that carries a ten millionth of a stream must be worth its while."""
CHURN_GAP = 0.3
KNOWN_GAP = 0.5
"""Gap within which known replicas will do, to the linear program: what a search ended at CHURN_GAP of its own bound."""
WHOLE_SHORT = 10.0
"""What counts as short where only whole numbers fail [of what counts as nothing]: less than divisible ones miss."""
Replicas = Mapping[tuple[str, State], Array]
"""(kept or cold_started, state) -> whole replicas by placement; more than survive: all that do"""


def tolerance(p: Problem, f: str, h: str | None = None) -> float:
    """What counts as nothing short in an hour (none: the first) of a failure [requests/s]: a share of what is asked."""
    wanted = of_tests(p).wanted((p.hours[0] if h is None else h, f, 0.0))
    return max(1e-7 * float(wanted.sum()), HAIR_FRACTION * float(wanted.max(initial=0.0)))


class FeasibilitySubproblem:
    """One program for all failures with the same deadlines: what is bought are numbers, a test is a change of bounds.

    Built once, with everything alive; the LINK rules of a failure in an hour, with numbers for what is bought, are
    bounds. Given what is bought no hour of a failure depends on another: each is a test of its own.

    Parameters
    ----------
    deadlines_seconds : of the failures
    merge : whether flows that are one in all failures are one: to test; each by itself to settle what has its own cost
    """

    __test__ = False

    def __init__(
        self, p: Problem, deadlines_seconds: tuple[float, ...], solver: Any = None, merge: bool = True
    ) -> None:
        self.p, self.a, self.program = p, of_tests(p, merge), Program(solver)
        self.deadlines_seconds = deadlines_seconds
        f = next(f for f in p.failures if p.deadlines_seconds[f] == deadlines_seconds and f != NORMAL)
        self.hour = p.hours[0]
        self.template = Vectors()
        """columns, by (deadline,)"""
        x = Vectors()
        self.more: dict[float, Array] = {}
        """deadline -> columns of what replicas carry beyond what is reckoned with, where utilisation is by waiting"""
        for s in self.states(f):
            template_columns(self.a, self.program, x, s)
        for s in self.states(f):
            for rule in INSIDE_RULES:
                blocks: Iterable[Rows] = rule(self.a, x, s)
                if rule is replicas_carry_traffic and p.waiting is not None:
                    blocks = [self._with_more(s, rows) for rows in blocks]
                self.program.add(rule.__name__, blocks, as_rows=True)
        for name in names("states"):
            vectors = getattr(x, name)
            getattr(self.template, name).update({(s[2],): vectors[s,] for s in self.states(f)})
        self.lower, self.upper = np.zeros(self.program.n), np.full(self.program.n, INFINITY)
        for columns in self.more.values():
            self.upper[columns] = 0.0
        short: Vector = np.zeros(1)
        for excess in self.template.excess.values():
            short = short + total(self.a.weights(1.0) * excess)
        self.shortfall = short
        """requests/s that the goals are short of; each flow is judged by its size beside the largest"""
        self.is_large = has_many_edges(p)
        self.survived: dict[tuple[str, float], Array] = {}
        """(kept or cold_started, deadline) -> the replicas that survived last, of whichever failure"""

    def with_another(self, solver: Any) -> "FeasibilitySubproblem":
        """Another of the same rows, which may be asked at the same time; nothing of what this one solved is in it."""
        other = copy(self)
        other.program, other.survived = self.program.with_another(solver), {}
        return other

    # -------------------------------------------------------------- a failure in an hour
    def in_hour(self, hour: str) -> "FeasibilitySubproblem":
        """The same program, whose next tests are of this hour."""
        self.hour = hour
        return self

    def states(self, f: str) -> list[State]:
        """The states of a failure in the hour at hand, deadlines rising."""
        return [(self.hour, f, c) for c in self.deadlines_seconds]

    def all_warm(self, f: str) -> Replicas:
        """The replicas of a failure in which all that survives runs on, and nothing is started."""
        return {("kept", s): np.full(self.a.P, INFINITY) for s in self.states(f)}

    def view(self, f: str, purchases: Vectors) -> Vectors:
        """The template's columns as the decisions of a failure, beside the numbers of what is bought."""
        x = Vectors()
        for name in names("purchases"):
            setattr(x, name, getattr(purchases, name))
        for name in names("states"):
            columns = getattr(self.template, name)
            getattr(x, name).update({(s,): columns[s[2],] for s in self.states(f)})
        return x

    def set_failure(self, f: str, purchases: Vectors, integer: bool) -> Vectors:
        """Make the program that of failure `f` under what is bought: every row of a LINK rule becomes a bound."""
        lower, upper = self.lower.copy(), self.upper.copy()
        x = self.view(f, purchases)
        for s in self.states(f):
            for rule in LINK_RULES:
                for rows in rule(self.a, x, s):
                    if is_number(rows.lhs):  # of numbers nothing is chosen, or the row is of what is bought
                        continue
                    columns, at_least, at_most = single_columns(rule.__name__, rows)
                    np.maximum.at(lower, columns, at_least)
                    np.minimum.at(upper, columns, at_most)
        crossed = (lower > upper) & (lower <= upper + ROUNDING * np.maximum(1.0, np.abs(upper)))
        upper[crossed] = lower[crossed]
        self.program.lower, self.program.upper = lower, upper
        if integer:
            kept = self._columns(f, x, "kept")
            self.program.upper[kept] = np.floor(self.program.upper[kept] + WHOLE)
        return x

    def signature(self, f: str, purchases: Vectors) -> bytes:
        """The same for failures that leave the same of what is bought: what is a decision of one is one of the other.

        Where nothing can run it makes no difference whether a pool is lost or has no machines.
        """
        a, x = self.a, self.set_failure(f, purchases, integer=True)
        upper = self.program.upper.copy()

        def may_be(which: Expr) -> Array:
            """Whether each may be above 0; what has no column may not."""
            above = np.zeros(len(which), dtype=bool)
            above[which.row] = upper[which.column] > 0
            return above

        for s in self.states(f):
            kept, cold_started, machines = x.kept[s,], x.cold_started[s,], x.machines[s,]
            runs = (may_be(kept) | may_be(cold_started)) & may_be(machines)[a.pool_of_placement]
            for which, stays in (
                (kept, runs),
                (cold_started, runs),
                (x.occupied[s,], runs),
                (x.traffic[s,], runs[a.placement_of_edge]),
                (machines, a.any_on_pool(runs)),
            ):
                upper[which.column[~stays[which.row]]] = 0.0
        return self.program.lower.tobytes() + upper.tobytes()

    def _columns(self, f: str, x: Vectors, *which: str) -> Array:
        """Positions of the columns of some decisions, states in order."""
        columns = [getattr(x, name)[s,].column for name in which for s in self.states(f)]
        return np.concatenate([np.zeros(0, dtype=int), *columns])

    # -------------------------------------------------------------- tests
    def test(self, f: str, purchases: Vectors) -> float:
        """Requests/s that the goals are short of in a failure, replicas divisible; 0: survived."""
        self.set_failure(f, purchases, integer=False)
        self.program.minimise(self.shortfall, SHORT_COST)
        status = self.program.solve()
        if status != OPTIMAL:
            raise SolverError(f"the test of {f} ended {status}")
        return self.program.objective

    def test_whole(
        self,
        f: str,
        purchases: Vectors,
        most_nodes: int | None = MORE_TEST_NODES,
        seconds: float | None = None,
        known: Replicas | None = None,
        least_churn: bool = False,
    ) -> tuple[float, Replicas]:
        """The test on whole numbers: requests/s short, and the replicas kept and cold-started.

        Warm replicas alone are tried first (everything that survives runs on); only where that is not enough the
        integer program decides what is evicted and what is cold-started. A search that its nodes end counts as broken.
        In a large program what survived before is tried, too: most failures take the same away, or nothing in use.

        Parameters
        ----------
        known : with which this failure was survived under similar purchases: tried before a search
        least_churn : whether as little is to be started and evicted as can be, where any replicas would do for a test
        """
        x = self.set_failure(f, purchases, integer=True)
        self.program.minimise(self.shortfall, SHORT_COST)
        enough = tolerance(self.p, f, self.hour)
        kept, cold_started = self._columns(f, x, "kept"), self._columns(f, x, "cold_started")
        all_warm = self.program.upper[kept], np.zeros(len(cold_started))
        any_before = self.is_large and not least_churn
        if not (
            (any_before and self._is_known(f, x, known or {}, enough))
            or self._holds(f, x, *all_warm, enough)
            or (any_before and self._is_known(f, x, self._as_survived_last(f), enough))
        ):
            if (status := self.program.solve()) != OPTIMAL:
                raise SolverError(f"the test of {f} ended {status}")
            if self.program.objective > enough:
                return self.program.objective, {}
            self._nothing_short(x, f)
            search = self._least_churn if least_churn else self._any_replicas
            if not search(f, x, most_nodes, seconds, known or {}):
                return WHOLE_SHORT * enough, {}
        replicas = self._replicas(f, x)
        self.survived = {(name, s[2]): vector for (name, s), vector in replicas.items()}
        return 0.0, replicas

    def _as_survived_last(self, f: str) -> Replicas:
        """The replicas that survived last, as those of a failure in the hour at hand."""
        return {(name, (self.hour, f, c)): vector for (name, c), vector in self.survived.items()}

    def _with_more(self, s: State, rows: Rows) -> Rows:
        """Rows of what replicas carry, with a column of what they carry beyond what is reckoned with: at first 0."""
        more = self.program.columns(np.ones(len(rows), dtype=bool))
        self.more[s[2]] = more.column
        return replace(rows, rhs=rows.rhs + more)

    def _fix(self, columns: Array, values: Array) -> None:
        self.program.lower[columns] = self.program.upper[columns] = values

    def _carry_by_number(self, f: str, x: Vectors, which: Array | None = None) -> None:
        """Let replicas carry what so many may: exact where they are fixed, safe for more.

        Parameters
        ----------
        which : replicas of each state, one after the other; None: those that are fixed
        """
        if not self.more:
            return
        lower = self.program.lower
        for n, s in enumerate(self.states(f)):
            of_both = (lower[getattr(x, name)[s,].column] for name in ("kept", "cold_started"))
            replicas = sum(of_both) if which is None else which[n * self.a.P : (n + 1) * self.a.P]
            more = (utilisation_of(self.a, f, replicas) - self.a.utilisation(f)) * replicas
            self._fix(self.more[s[2]], more if which is None else np.minimum(more, 0.0))

    def _replicas(self, f: str, x: Vectors) -> Replicas:
        """Whole replicas of the last solve."""
        return {
            (name, s): np.asarray(np.round(self.program.number(getattr(x, name)[s,])))
            for name in ("kept", "cold_started")
            for s in self.states(f)
        }

    def _any_replicas(self, f: str, x: Vectors, most_nodes: int | None, seconds: float | None, known: Replicas) -> bool:
        """Whether there are whole replicas with nothing short: rounded, else as they are known, else searched."""
        return self._rounded(f, x) is None or self._is_known(f, x, known) or self._searched(f, x, most_nodes, seconds)

    def _searched(self, f: str, x: Vectors, most_nodes: int | None, seconds: float | None) -> bool:
        """Whether a search finds whole replicas, whatever they change."""
        self.program.minimise(NO_OBJECTIVE)
        return self._whole_by_number(f, x, 1.0, most_nodes, seconds)

    def _whole_by_number(
        self, f: str, x: Vectors, gap_fraction: float, most_nodes: int | None, seconds: float | None
    ) -> bool:
        """Whether a search finds whole replicas that carry no more than so many may.

        Where utilisation is by waiting, those that are too full for their number are reckoned with by that number, and
        it is searched again.
        """
        for _ in range(SEARCHES_BY_NUMBER if self.more else 1):
            if self.program.solve_whole(gap_fraction, most_nodes, seconds) not in (OPTIMAL, FEASIBLE):
                return False
            if not self.more:
                return True
            values = self.program.values
            kept, cold_started = (np.round(values[self._columns(f, x, name)]) for name in ("kept", "cold_started"))
            if self._holds(f, x, kept, cold_started):
                return True
            self._carry_by_number(f, x, kept + cold_started)
        return False

    def _least_churn(self, f: str, x: Vectors, most_nodes: int | None, seconds: float | None, known: Replicas) -> bool:
        """The same with as little started and evicted as can be: what is known will do where it is near the least."""
        if (least := self._rounded(f, x)) is None:
            return True
        if self._is_known(f, x, known) and self.program.objective - least <= KNOWN_GAP * abs(self.program.objective):
            return True
        if self._whole_by_number(f, x, CHURN_GAP, TEST_NODES, seconds):
            return True
        return self._is_known(f, x, known) or self._searched(f, x, most_nodes, seconds)

    def _nothing_short(self, x: Vectors, f: str) -> None:
        self.program.upper[self._columns(f, x, "excess")] = 0.0

    def _churn(self, f: str, x: Vectors) -> Vector:
        """What a failure's replicas change: weights read for what is cold-started, or to be loaded again [GiB]."""
        churn: Vector = np.zeros(1)
        for s in self.states(f):
            changes = x.cold_started[s,] - x.kept[s,] + 1e-3 * x.occupied[s,]
            churn = churn + total(self.a.weights_gib * changes)
        return churn

    def _rounded(self, f: str, x: Vectors) -> float | None:
        """None: the least churn survives, cold starts rounded up and what is kept rounded down; else that churn."""
        self.program.minimise(self._churn(f, x))
        if self.program.solve() != OPTIMAL:
            return -INFINITY
        least, values = self.program.objective, self.program.values
        kept, cold_started = self._columns(f, x, "kept"), self._columns(f, x, "cold_started")
        rounded = np.floor(values[kept] + WHOLE), np.ceil(values[cold_started] - WHOLE)
        return None if self._holds(f, x, *rounded) else least

    def _is_known(self, f: str, x: Vectors, known: Replicas, enough: float = INFINITY) -> bool:
        """Whether a failure is survived with replicas that are known, or with as many of them as it leaves."""
        if not known:
            return False
        kept, cold_started = (
            np.concatenate([np.zeros(0), *(spread(known.get((name, s), 0.0), self.a.P) for s in self.states(f))])
            for name in ("kept", "cold_started")
        )
        return self._holds(f, x, kept, cold_started, enough)

    def _holds(self, f: str, x: Vectors, kept: Array, cold_started: Array, enough: float = INFINITY) -> bool:
        """Whether the program has a solution with these whole replicas, as far as they may be, of so much at most."""
        program = self.program
        with bounds_restored(program):
            for name, replicas in (("kept", kept), ("cold_started", cold_started)):
                columns = self._columns(f, x, name)
                self._fix(columns, np.minimum(replicas, program.upper[columns]))
            self._carry_by_number(f, x)
            return program.solve() == OPTIMAL and program.objective <= enough

    def recourse(self, f: str, purchases: Vectors) -> float:
        """What the states of a priced failure cost at the least, goals held, replicas divisible [USD]."""
        x = self.set_failure(f, purchases, integer=False)
        self._nothing_short(x, f)
        self.program.minimise(in_states_usd(self.a, x, f, [self.hour]))
        if (status := self.program.solve()) != OPTIMAL:
            raise SolverError(f"the recourse of {f} ended {status}")
        return self.program.objective

    def cheapest_whole(
        self, f: str, purchases: Vectors, most_nodes: int, seconds: float | None = None
    ) -> Replicas | None:
        """Whole replicas kept and cold-started with which a priced failure costs least; None when none are found.

        Where utilisation is by waiting: of those that several searches come upon, each priced by what so many carry.
        """
        x = self.set_failure(f, purchases, integer=True)
        self._nothing_short(x, f)
        self.program.minimise(in_states_usd(self.a, x, f, [self.hour]))
        least, cheapest = INFINITY, None
        for _ in range(SEARCHES_BY_NUMBER if self.more else 1):
            if self.program.solve_whole(PRICED_GAP, most_nodes, seconds) not in (OPTIMAL, FEASIBLE):
                break
            reckoned, replicas = self.program.objective, self._replicas(f, x)
            if not self.more:
                return replicas
            kept, cold_started = (
                np.concatenate([replicas[name, s] for s in self.states(f)]) for name in ("kept", "cold_started")
            )
            if self._holds(f, x, kept, cold_started) and self.program.objective < least:
                least, cheapest = self.program.objective, replicas
            if least <= reckoned + PRICED_GAP * abs(reckoned):
                break
            self._carry_by_number(f, x, kept + cold_started)
        return cheapest

    # -------------------------------------------------------------- the decisions of a failure
    def settle(self, f: str, purchases: Vectors, replicas: Replicas, edge_cost: Array) -> Vectors:
        """The decisions of a failure as numbers: replicas as its test found them, requests routed best.

        None is evicted or started that need not be, as far as that is seen. Least shed, the dearest last; then least
        cost and latency (`edge_cost`, of the edges here), then no negligible flows.
        """
        a, x = self.a, self.set_failure(f, purchases, integer=True)
        known = self._with_fewer_changes(f, x, purchases, replicas)
        for name in ("kept", "cold_started"):
            for s in self.states(f):
                self._fix(getattr(x, name)[s,].column, getattr(known, name)[s,])
        self._carry_by_number(f, x)
        for s in self.states(f):
            self._fix(x.occupied[s,].column, least_occupied(a, known, s))
        weights, worst = a.weights(), float(edge_cost.max(initial=0.0)) or 1.0
        wanted: Vector = np.zeros(1)
        if f in self.p.priced:
            usd = in_states_usd(a, x, f, [self.hour])
            largest = float(np.abs(usd.value).max(initial=0.0)) if isinstance(usd, Expr) else 0.0
            wanted = 1e3 * worst / (largest or 1.0) * usd
            for s in self.states(f):
                wanted = wanted + total(1e-3 * weights * x.shed[s,])
        else:
            dearest = max(self.p.outage_usd_per_request.values(), default=0.0) or 1.0
            shed_cost = weights * worst * (100.0 + 900.0 * a.outage_usd_per_request / dearest)
            for s in self.states(f):
                wanted = wanted + total(weights[a.flow_of_edge] * edge_cost * x.traffic[s,])
                wanted = wanted + total(shed_cost * x.shed[s,])
        # what is due comes before all else, at no price: requests that take little room must not push out others
        self._nothing_short(x, f)
        self.program.minimise(wanted)
        if self.program.solve() != OPTIMAL:
            self._least_short(f, x)
            self.program.minimise(wanted)
            if self.program.solve() != OPTIMAL:
                raise SolverError(f"the states of {f} cannot be settled")
        traffic = [x.traffic[s,].column for s in self.states(f)]
        offered = [self.program.number(x.offered[s,])[a.flow_of_edge] for s in self.states(f)]
        values = without_negligible_flows(self.program, np.concatenate(traffic), np.concatenate(offered))
        return self._numbers(f, x, values)

    def _with_fewer_changes(self, f: str, x: Vectors, purchases: Vectors, replicas: Replicas) -> Vectors:
        """Whole replicas kept and cold-started in each state: as they are known, or with less changed if that holds."""
        known, states = Vectors(), self.states(f)
        most = {s: self.program.upper[x.kept[s,].column].copy() for s in states}
        for s in states:
            for name in ("kept", "cold_started"):
                columns = getattr(x, name)[s,].column
                number = np.minimum(spread(replicas.get((name, s), 0.0), self.a.P), self.program.upper[columns])
                getattr(known, name)[s,] = number
        if all((known.kept[s,] >= np.floor(most[s] + ROUNDING)).all() for s in states):
            return known
        machines = {s: machines_up(self.a, purchases, s) for s in states}
        kept, cold_started = fewer_changes(self.a, states, most, machines, known)
        with bounds_restored(self.program):
            self._nothing_short(x, f)
            self.program.minimise(NO_OBJECTIVE)
            if self._holds(f, x, np.concatenate([*kept.values()]), np.concatenate([*cold_started.values()])):
                for s in states:
                    known.kept[s,], known.cold_started[s,] = kept[s], cold_started[s]
        return known

    def _least_short(self, f: str, x: Vectors) -> None:
        """Let the states be short of what they are at the least, where nothing short is out of the solver's reach."""
        excess = self._columns(f, x, "excess")
        self.program.upper[excess] = INFINITY
        self.program.minimise(self.shortfall, SHORT_COST)
        if self.program.solve() == OPTIMAL:
            sizes = np.concatenate([self.a.sizes() for _ in self.states(f)])
            self.program.upper[excess] = self.program.values[excess] + 1e-7 * sizes

    def _numbers(self, f: str, x: Vectors, values: Array) -> Vectors:
        """The decisions of a failure, for some values of the columns."""
        numbers = Vectors()
        for name in names("states"):
            for s in self.states(f):
                vector = getattr(x, name)[s,]
                getattr(numbers, name)[s,] = np.maximum(0.0, vector.at(values))
        return numbers
