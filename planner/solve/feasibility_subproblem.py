"""The feasibility subproblem: purchases and replicas are numbers, a failure is a change of bounds."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pulp

from planner.errors import SolverError
from planner.problem.algebra import Key, Linear, Sparse, is_number, total
from planner.problem.decisions import Decisions, names, no_decisions
from planner.problem.problem import HAIR_FRACTION, Problem, State, flow_size, flow_weights, states
from planner.problem.rules.costs import in_states_usd
from planner.problem.rules.formulas import (
    least_occupied,
    requests_per_second,
)
from planner.problem.rules.register import INSIDE_RULES, LINK_RULES
from planner.solve.columns import state_columns
from planner.solve.program import (
    FEASIBLE,
    NOTHING,
    OPTIMAL,
    Program,
    bounds_restored,
    fix,
    set_bound,
    without_negligible_flows,
)
from planner.study.dependencies import Failure


class _AsFailure(Mapping[Key, Linear]):
    """The template's columns under the keys of one failure in one hour."""

    def __init__(self, inner: Mapping[Key, Linear], f: str, hour: str) -> None:
        self.inner, self.f, self.hour = inner, f, hour

    def _key(self, key: Key) -> Key:
        h, f, c = key[-1]
        return (*key[:-1], (TEMPLATE, TEMPLATE, c) if (h, f) == (self.hour, self.f) else (h, f, c))

    def __getitem__(self, key: Key) -> Linear:
        return self.inner.get(self._key(key), 0.0)

    def __contains__(self, key: object) -> bool:
        return self._key(key) in self.inner  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[Key]:
        return iter(self.inner)

    def __len__(self) -> int:
        return len(self.inner)


TEMPLATE = "template"
TEST_NODES = 100
PRICED_GAP = 1e-4
MORE_TEST_NODES = 2000
WHOLE = 1e-6
CHURN_GAP = 0.3
WHOLE_SHORT = 10.0
"""What counts as short where only whole numbers fail [of what counts as nothing]: less than divisible ones miss."""


def tolerance(p: Problem, f: str, h: str | None = None) -> float:
    """What counts as nothing short in an hour (none: the first) of a failure [requests/s]: a share of what is asked."""
    s = (p.hours[0] if h is None else h, f, 0.0)
    wanted = [requests_per_second(p, w, o, s) for w, o in p.flows]
    return max(1e-7 * math.fsum(wanted), HAIR_FRACTION * max(wanted, default=0.0))


class FeasibilitySubproblem:
    """One program for all failures with the same deadlines: what is bought are numbers, a test is a bound change.

    Built once, for one hour, with everything alive; the LINK rules of a failure in an hour, with numbers for what is
    bought, are bounds. Given what is bought no hour of a failure depends on another: each is a test of its own.
    """

    __test__ = False

    def __init__(self, p: Problem, deadlines_seconds: tuple[float, ...], solver: Any = None) -> None:
        self.p, self.program, self.x = p, Program(solver), no_decisions()
        q = replace(
            p,
            hours=(TEMPLATE,),
            period_of={TEMPLATE: p.period_of[p.hours[0]]},
            failures={TEMPLATE: Failure(TEMPLATE)},
            deadlines_seconds={TEMPLATE: deadlines_seconds},
            promised={TEMPLATE: ()},
            lost={TEMPLATE: {}},
            counted={TEMPLATE: {}},
            obtainable={TEMPLATE: {}},
            cannot_start={TEMPLATE: frozenset()},
            closed={TEMPLATE: frozenset()},
            coverable={TEMPLATE: {}},
        )
        self.hour = p.hours[0]
        self.states = states(q, TEMPLATE)
        for s in self.states:
            state_columns(q, self.program, self.x, s, testing=True)
        for s in self.states:
            for rule in INSIDE_RULES:
                self.program.add(rule.__name__, rule(q, self.x, s))
        columns = self.program.lp.columns
        self.default = [(v.lowBound, v.upBound) for v in columns]
        self.weights = flow_weights(p)
        short = flow_weights(p, 1.0)
        self.shortfall = total((short[w, o], v) for (w, o, _), v in self.x.excess.items())
        self.program.minimise(self.shortfall)

    def view(self, f: str, purchases: Decisions) -> Decisions:
        """The template's columns as the decisions of a failure, beside the numbers of what is bought."""
        state: dict[str, Any] = {name: _AsFailure(getattr(self.x, name), f, self.hour) for name in names("states")}
        return replace(purchases, **state)

    def in_hour(self, hour: str) -> "FeasibilitySubproblem":
        """The same program, whose next tests are of this hour."""
        self.hour = hour
        return self

    def hour_states(self, f: str) -> list[State]:
        """The states of a failure in the hour at hand, deadlines rising."""
        return [s for s in states(self.p, f) if s[0] == self.hour]

    def set_failure(self, f: str, purchases: Decisions, whole: bool) -> Decisions:
        """Make the program that of failure `f` under what is bought: every LINK row becomes a bound."""
        for v, (lower, upper) in zip(self.program.lp.columns, self.default, strict=True):
            v.lowBound, v.upBound = lower, upper
        x = self.view(f, purchases)
        for s in self.hour_states(f):
            for rule in LINK_RULES:
                for row in rule(self.p, x, s):
                    if isinstance(row.lhs, pulp.LpVariable):
                        set_bound(row.lhs, row.sense, row.rhs)
                    elif not is_number(row.lhs):  # of numbers nothing is chosen, or the row is of what is bought
                        raise SolverError(f"{rule.__name__} {row.key} is no bound of one column in a test")
            if whole:
                for e in self.p.placements:
                    kept = x.kept[e, s]
                    if isinstance(kept, pulp.LpVariable):
                        kept.upBound = float(int((kept.upBound or 0.0) + 1e-6))
        return x

    def test(self, f: str, purchases: Decisions) -> float:
        """Requests/s that the goals are short of in a failure, by `flow_weights`, replicas divisible; 0: survived."""
        self.set_failure(f, purchases, whole=False)
        self.program.minimise(self.shortfall)
        status = self.program.solve()
        if status != OPTIMAL:
            raise SolverError(f"the test of {f} ended {status}")
        return self.program.objective

    def test_whole(
        self, f: str, purchases: Decisions, most_nodes: int | None = TEST_NODES
    ) -> tuple[float, dict[Any, float]]:
        """The test on whole numbers: requests/s short, and the replicas kept and cold-started, by column.

        Warm replicas alone are tried first (everything that survives runs on); only where that is not enough the
        integer program decides what is evicted and what is cold-started. A search that its nodes end counts as broken.
        """
        x = self.set_failure(f, purchases, whole=True)
        self.program.minimise(self.shortfall)
        enough = tolerance(self.p, f, self.hour)
        replicas = self._replica_columns(f, x)
        with bounds_restored(replicas):
            for v in self._columns(f, x, "kept"):
                fix(v, v.upBound)
            for v in self._columns(f, x, "cold_started"):
                fix(v, 0.0)
            warm = self.program.solve() == OPTIMAL and self.program.objective <= enough
        if not warm:
            if (status := self.program.solve()) != OPTIMAL:
                raise SolverError(f"the test of {f} ended {status}")
            if self.program.objective > enough:
                return self.program.objective, {}
            if not self._least_churn(f, x, most_nodes):
                return WHOLE_SHORT * enough, {}
        return 0.0, {v: float(round(v.varValue or 0.0)) for v in replicas}

    def _least_churn(self, f: str, x: Decisions, most_nodes: int | None) -> bool:
        """With nothing short: as little started and evicted as can be, rounded, and searched where rounding fails."""
        self._nothing_short()
        self.program.minimise(self._churn(f, x))
        if self._rounded(f, x):
            return True
        gap = CHURN_GAP if most_nodes is not None else 1.0
        status = self.program.solve(True, gap, most_nodes)
        if status == NOTHING and most_nodes is not None:
            status = self.program.solve(True, 1.0, MORE_TEST_NODES)
        return status in (OPTIMAL, FEASIBLE)

    def _nothing_short(self) -> None:
        for v in self.x.excess.values():
            v.upBound = 0.0

    def _churn(self, f: str, x: Decisions) -> Linear:
        """What a failure's replicas change: weights read for what is cold-started, or to be loaded again [GiB]."""
        terms = []
        for s in self.hour_states(f):
            for e in self.p.placements:
                weight = self.p.weights_gib[e]
                terms += [(weight, x.cold_started[e, s]), (-weight, x.kept[e, s]), (1e-3 * weight, x.occupied[e, s])]
        return total(terms)

    def _rounded(self, f: str, x: Decisions) -> bool:
        """Whether the least churn, cold starts rounded up and what is kept rounded down, still survives."""
        if self.program.solve() != OPTIMAL:
            return False
        kept, cold_started = self._columns(f, x, "kept"), self._columns(f, x, "cold_started")
        rounded = [math.floor(v.varValue + WHOLE) for v in kept] + [math.ceil(v.varValue - WHOLE) for v in cold_started]
        with bounds_restored(kept + cold_started):
            for v, value in zip(kept + cold_started, rounded, strict=True):
                fix(v, float(value if v.upBound is None else min(value, v.upBound)))
            return self.program.solve() == OPTIMAL and all(
                abs(v.varValue - round(v.varValue)) < WHOLE for v in self._columns(f, x, "occupied")
            )

    def _columns(self, f: str, x: Decisions, name: str) -> list[Any]:
        return [v for _, v in self._keyed(f, getattr(x, name))]

    def _keyed(self, f: str, columns: Mapping[Key, Linear]) -> list[tuple[Key, Any]]:
        keys = [(e, s) for s in self.hour_states(f) for e in self.p.placements]
        return [(key, v) for key in keys if isinstance(v := columns[key], pulp.LpVariable)]

    def _replica_columns(self, f: str, x: Decisions) -> list[Any]:
        return [v for name in ("kept", "cold_started") for v in self._columns(f, x, name)]

    def recourse(self, f: str, purchases: Decisions) -> float:
        """What the states of a priced failure cost at the least, goals held, replicas divisible [USD]."""
        x = self.set_failure(f, purchases, whole=False)
        self._nothing_short()
        self.program.minimise(in_states_usd(self.p, x, f))
        if (status := self.program.solve()) != OPTIMAL:
            raise SolverError(f"the recourse of {f} ended {status}")
        return self.program.objective

    def cheapest_whole(self, f: str, purchases: Decisions, most_nodes: int) -> dict[Any, float] | None:
        """Whole replicas kept and cold-started with which a priced failure costs least; None when none are found."""
        x = self.set_failure(f, purchases, whole=True)
        self._nothing_short()
        self.program.minimise(in_states_usd(self.p, x, f))
        if self.program.solve(True, PRICED_GAP, most_nodes) not in (OPTIMAL, FEASIBLE):
            return None
        return {v: float(round(v.varValue or 0.0)) for v in self._replica_columns(f, x)}

    def settle(
        self, f: str, purchases: Decisions, replicas: Mapping[Any, float], edge_cost: Mapping[tuple[str, str], float]
    ) -> Decisions:
        """The decisions of a failure as numbers: replicas as its test found them, requests routed best.

        Least shed, the dearest last; then least cost and latency (`edge_cost`, by origin and placement), then no
        negligible flows.
        """
        x = self.set_failure(f, purchases, whole=True)
        for v, value in replicas.items():
            fix(v, value)
        numbers = replace(
            x,
            kept=Sparse({key: replicas.get(v, 0.0) for key, v in self._keyed(f, x.kept)}),
            cold_started=Sparse({key: replicas.get(v, 0.0) for key, v in self._keyed(f, x.cold_started)}),
        )
        for (e, s), v in self._keyed(f, x.occupied):
            fix(v, least_occupied(self.p, numbers, e, s))
        worst = max(edge_cost.values(), default=1.0) or 1.0
        weights = self.weights
        if f in self.p.priced:
            usd = in_states_usd(self.p, x, f)
            usd_each = usd.values() if isinstance(usd, pulp.LpAffineExpression) else ()
            largest = max(map(abs, usd_each), default=1.0) or 1.0
            wanted = [(1e3 * worst / largest, usd)]
            wanted += [(1e-3 * weights[w, o], v) for (w, o, _), v in self.x.shed.items()]
        else:
            dearest = max(self.p.outage_usd_per_request.values(), default=0.0) or 1.0
            wanted = [(weights[w, o] * edge_cost[o, e], v) for (w, o, e, s), v in self.x.traffic.items()]
            wanted += [
                (weights[w, o] * worst * (100.0 + 900.0 * self.p.outage_usd_per_request[w] / dearest), v)
                for (w, o, _), v in self.x.shed.items()
            ]
        # what is due comes before all else, at no price: requests that take little room must not push out others
        self._nothing_short()
        self.program.minimise(total(wanted))
        if self.program.solve() != OPTIMAL:
            self._least_short()
            self.program.minimise(total(wanted))
            if self.program.solve() != OPTIMAL:
                raise SolverError(f"the states of {f} cannot be settled")
        flows = ((v, self.x.offered[w, o, s].varValue or 0.0) for (w, o, _, s), v in self.x.traffic.items())
        return self.numbers(f, without_negligible_flows(self.program, list(flows)))

    def _least_short(self) -> None:
        """Let the states be short of what they are at the least, where nothing short is out of the solver's reach."""
        for v in self.x.excess.values():
            v.upBound = None
        self.program.minimise(self.shortfall)
        if self.program.solve() == OPTIMAL:
            for (w, o, _), v in self.x.excess.items():
                v.upBound = v.varValue + 1e-7 * flow_size(self.p, w, o)

    def numbers(self, f: str, values: Mapping[Any, float]) -> Decisions:
        """The template's values under the keys of a failure; zeros left out."""
        numbers = no_decisions()
        for name in names("states"):
            for key, v in getattr(self.x, name).items():
                if values[v] > 0:
                    getattr(numbers, name)[*key[:-1], (self.hour, f, key[-1][2])] = values[v]
        return numbers
