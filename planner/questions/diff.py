"""Two plans side by side: what differs in what is asked, bought, routed and promised, and where the money goes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from planner.plan.decisions import decisions_of, problem_of
from planner.plan.orders import Order, PhaseOrder, orders, phase_orders
from planner.problem.decisions import Decisions
from planner.problem.problem import Problem, states
from planner.problem.rules.formulas import due_fraction, requests_per_second, served
from planner.questions.bridge import Bridge, asked, bridge
from planner.study.dependencies import NORMAL, dependency_graph, expand
from planner.study.records.plan import PlanFile
from planner.study.records.study import Goal

SAME = 1e-6
"""Relative difference below which two figures are the same: they are kept with nine decimals."""
PARTS = ("study", "goals", "costs", "build-outs", "machines", "orders", "traffic")
Value = str | int | float | bool | None


@dataclass(frozen=True)
class Difference:
    """One thing that two plans do not share.

    Parameters
    ----------
    part : of PARTS
    name : of the thing within its part
    before, after : figures or words; None: it exists on the other side only
    by : how far apart, as a fraction of the larger; 1 for words and what exists on one side only
    unit : of the figures
    """

    part: str
    name: str
    before: Value
    after: Value
    by: float
    unit: str = ""

    @property
    def id(self) -> str:
        """`part/name`, what `--ignore` is matched with."""
        return f"{self.part}/{self.name}"


@dataclass(frozen=True)
class Diff:
    """What differs between two plans beyond a tolerance."""

    before: PlanFile
    after: PlanFile
    differences: tuple[Difference, ...]
    bridge: Bridge
    within: int
    """differences within the tolerance"""
    ignored: int
    """differences that a pattern leaves out"""

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return not self.differences


@dataclass(frozen=True)
class _Side:
    """A plan with its numbers."""

    plan: PlanFile
    p: Problem
    x: Decisions


def diff_plans(before: PlanFile, after: PlanFile, within_fraction: float = 0.0, ignore: Iterable[str] = ()) -> Diff:
    """Compare two plans; they may be of different studies.

    Parameters
    ----------
    before, after : the plans
    within_fraction : figures this close, as a fraction of the larger, are the same; shares of traffic by difference
    ignore : patterns of `part/name` or of a part that are left out, as in `orders/aws/*` or `study`
    """
    a, b = _side(before), _side(after)
    found = [
        *_values("study", asked(before.study), asked(after.study), ""),
        *_values("goals", _goals(a), _goals(b), "worst served fraction"),
        *_values("costs", before.costs_usd, after.costs_usd, "USD"),
        *_values("build-outs", _builds(a), _builds(b), "modules"),
        *_values("machines", _machines(a), _machines(b), "machines"),
        *_orders(a, b),
        *_traffic(a, b),
    ]
    if before.demand_case != after.demand_case:
        found.insert(0, Difference("study", "demand case", before.demand_case, after.demand_case, 1.0))
    patterns = tuple(pattern.replace("[", "[[]") for pattern in ignore)  # brackets stand in names; * and ? are special
    kept = [d for d in found if not any(fnmatchcase(d.id, p) or fnmatchcase(d.part, p) for p in patterns)]
    differences = tuple(d for d in kept if d.by > max(within_fraction, SAME))
    return Diff(before, after, differences, bridge(before, after), len(kept) - len(differences), len(found) - len(kept))


def _side(plan: PlanFile) -> _Side:
    p = problem_of(plan)
    return _Side(plan, p, decisions_of(plan, p))


def apart(a: float, b: float) -> float:
    """How far two figures are apart, as a fraction of the larger.

    Examples
    --------
    >>> apart(100.0, 98.0), apart(0.0, 0.0)
    (0.02, 0.0)
    """
    most = max(abs(a), abs(b))
    return abs(a - b) / most if most > 0 else 0.0


def _values(part: str, before: Mapping[str, Any], after: Mapping[str, Any], unit: str) -> list[Difference]:
    """What differs between two mappings of names to figures or words."""
    found = []
    for name in dict.fromkeys((*before, *after)):
        a, b = before.get(name), after.get(name)
        if a == b and (name in before) == (name in after):
            continue
        figures = all(isinstance(v, int | float) and not isinstance(v, bool) for v in (a, b))
        by = apart(float(a or 0), float(b or 0)) if figures else 1.0
        if by > 0:
            found.append(Difference(part, name, a, b, by, unit if figures or a is None or b is None else ""))
    return found


def goal_name(tier: str, goal: Goal) -> str:
    """A goal by what is lost and when it is due: `interactive: any provider within 300 s`."""
    lost = (
        goal.failure
        if goal.failure is not None
        else f"any {goal.any}"
        if goal.of == 1
        else f"any {goal.of} {goal.any}s"
    )
    but = f" except {', '.join(goal.except_)}" if goal.except_ else ""
    return f"{tier}: {lost}{but} within {goal.within_seconds:g} s"


def _goals(side: _Side) -> dict[str, float | str]:
    """Each goal with the worst fraction of a stream that its failures leave served when it is due.

    In words where the goal does not hold: what is served may then only be compared by people.
    """
    graph = dependency_graph(side.plan.study)
    found: dict[str, float | str] = {}
    for tier in side.plan.study.tiers:
        flows = [(w, o) for w, o in side.p.flows if side.p.tier_of[w] == tier.name]
        for goal in tier.survive:
            worst, holds, coverable = 1.0, True, True
            due_at = [
                s
                for failure in expand(goal, side.plan.study, graph)
                for s in states(side.p, failure.id)
                if s[2] == goal.within_seconds
            ]
            for w, o in flows:
                for s in due_at:
                    wanted = requests_per_second(side.p, w, o, s)
                    fraction = float(served(side.p, side.x, w, o, s)) / wanted if wanted else 1.0
                    due = due_fraction(side.p, w, o, s)
                    worst = min(worst, fraction)
                    holds = holds and fraction >= due - SAME
                    coverable = coverable and due >= goal.serve_fraction - SAME
            verdict = "held" if holds and coverable else "held but for the uncoverable" if holds else "LOST"
            found[goal_name(tier.name, goal)] = f"{verdict}, {goal.serve_fraction:.4g} due"
            found[f"{goal_name(tier.name, goal)}, least served"] = round(worst, 6)
    return found


def _machines(side: _Side) -> dict[str, int]:
    """Machines bought by pool and offer, in each period or hour where there are several."""
    offers = {b.id: b for b in side.plan.study.offers}
    several = len(side.p.hours) > 1
    found: dict[str, int] = {}
    for b in side.plan.purchases:
        name = f"{b.offer} at {b.when}" if several else b.offer
        found[name] = found.get(name, 0) + b.units * offers[b.offer].machines_per_unit
    return found


def _builds(side: _Side) -> dict[str, int]:
    """Modules that may be used from a period on, by phase."""
    return {f"{m.build_out} from {m.when}": m.units for m in side.plan.builds}


def _orders(a: _Side, b: _Side) -> list[Difference]:
    """Orders whose date differs, and those that only one side has; for each period where there are several."""

    def dates(side: _Side) -> dict[str, str]:
        several = len(side.p.periods) > 1
        found: dict[str, list[Order | PhaseOrder]] = {}
        for order in orders(side.plan, side.p):
            found.setdefault(f"{order.offer} for {order.period}" if several else order.offer, []).append(order)
        for part in phase_orders(side.plan, side.p):
            found.setdefault(f"{part.build_out} {part.part} for {part.period}", []).append(part)
        return {
            name: ", ".join(f"{o.by}" + (f" ({o.days_late} days late)" if o.days_late else "") for o in rows)
            for name, rows in found.items()
        }

    return _values("orders", dates(a), dates(b), "order by")


def _traffic(a: _Side, b: _Side) -> list[Difference]:
    """Shares of the requests of each workload and origin by pool, in normal operation; per hour where several."""
    found = []
    before, after = _shares(a), _shares(b)
    for flow in dict.fromkeys((*before, *after)):
        one, two = before.get(flow), after.get(flow)
        for pool in dict.fromkeys((*(one or {}), *(two or {}))):
            x = None if one is None else one.get(pool, 0.0)
            y = None if two is None else two.get(pool, 0.0)
            by = 1.0 if x is None or y is None else abs(x - y)
            if by > 0:
                found.append(Difference("traffic", f"{flow} at {pool}", x, y, by, "share"))
    return found


def _shares(side: _Side) -> dict[str, dict[str, float]]:
    """Flow -> pool -> share of its requests in normal operation."""
    found: dict[str, dict[str, float]] = {}
    for state in side.plan.states:
        if state.failure != NORMAL:
            continue
        at = f" at {state.hour}" if len(side.p.hours) > 1 else ""
        columns = zip(state.workload, state.origin, state.placement, state.requests_per_second, strict=True)
        for w, o, e, value in columns:
            wanted = side.p.demand_requests_per_second.get((w, o, state.hour), 0.0)
            pool = side.p.pool_of.get(e, "")
            if wanted > 0:
                shares = found.setdefault(f"{w} from {o}{at}", {})
                shares[pool] = round(shares.get(pool, 0.0) + value / wanted, 9)
    return found


def offers_that_differ(before: PlanFile, after: PlanFile) -> tuple[str, ...]:
    """Offers of which two plans do not buy the same."""

    def units(plan: PlanFile) -> dict[tuple[str, str], int]:
        return {(b.offer, b.when): b.units for b in plan.purchases}

    a, b = units(before), units(after)
    return tuple(sorted({offer for offer, when in {*a, *b} if a.get((offer, when)) != b.get((offer, when))}))
