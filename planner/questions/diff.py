"""Two plans side by side: what differs in what is asked, bought, routed and promised, and where the money goes."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from planner.plan.in_hand import Plan, in_hand
from planner.plan.orders import Order, PhaseOrder
from planner.problem.arrays import full
from planner.problem.problem import states
from planner.problem.rules.formulas import served
from planner.questions.bridge import Bridge, asked, bridge
from planner.study.dependencies import NORMAL, expand
from planner.study.places import matches
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
    apart_fraction : how far apart, as a fraction of the larger; 1 for words and what exists on one side only
    unit : of the figures
    """

    part: str
    name: str
    before: Value
    after: Value
    apart_fraction: float
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


def diff_plans(
    before: PlanFile | Plan, after: PlanFile | Plan, within_fraction: float = 0.0, ignore: Iterable[str] = ()
) -> Diff:
    """Compare two plans; they may be of different studies.

    Parameters
    ----------
    before, after : the plans
    within_fraction : figures this close, as a fraction of the larger, are the same; shares of traffic by difference
    ignore : patterns of `part/name` or of a part that are left out, as in `orders/aws/*` or `study`
    """
    a, b = in_hand(before), in_hand(after)
    every = _every(a, b)
    patterns = tuple(pattern.replace("[", "[[]") for pattern in ignore)  # brackets stand in names; * and ? are special
    kept = [d for d in every if not (matches(d.id, patterns) or matches(d.part, patterns))]
    differences = tuple(d for d in kept if d.apart_fraction > max(within_fraction, SAME))
    within, ignored = len(kept) - len(differences), len(every) - len(kept)
    return Diff(a.file, b.file, differences, bridge(a, b), within, ignored)


def differences_of(a: Plan, b: Plan) -> list[Difference]:
    """All in which two plans differ; nothing is planned for it, which a bridge may need."""
    return [d for d in _every(a, b) if d.apart_fraction > SAME]


def _every(a: Plan, b: Plan) -> list[Difference]:
    """What is not the same, part by part, however little."""
    every = [
        *_values("study", asked(a.study), asked(b.study), ""),
        *_values("goals", _goals(a), _goals(b), "worst served fraction"),
        *_values("costs", a.file.costs_usd, b.file.costs_usd, "USD"),
        *_values("build-outs", _builds(a), _builds(b), "modules"),
        *_values("machines", _machines(a), _machines(b), "machines"),
        *_values("orders", _orders(a), _orders(b), "order by"),
        *_traffic(a, b),
    ]
    cases = a.file.demand_case, b.file.demand_case
    if cases[0] != cases[1]:
        every.insert(0, Difference("study", "demand case", *cases, 1.0))
    return every


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
    rows = []
    for name in dict.fromkeys((*before, *after)):
        a, b = before.get(name), after.get(name)
        if a == b and (name in before) == (name in after):
            continue
        figures = all(isinstance(v, int | float) and not isinstance(v, bool) for v in (a, b))
        fraction = apart(float(a or 0), float(b or 0)) if figures else 1.0
        if fraction > 0:
            rows.append(Difference(part, name, a, b, fraction, unit if figures or a is None or b is None else ""))
    return rows


def goal_name(tier: str, goal: Goal) -> str:
    """A goal by what is lost and when it is due: `interactive: any provider within 300 s`."""
    if goal.failure is not None:
        lost = goal.failure
    else:
        lost = f"any {goal.any}" if goal.of == 1 else f"any {goal.of} {goal.any}s"
    but = f" except {', '.join(goal.except_)}" if goal.except_ else ""
    return f"{tier}: {lost}{but} within {goal.within_seconds:g} s"


def _goals(plan: Plan) -> dict[str, float | str]:
    """Each goal with the worst fraction of a stream that its failures leave served when it is due.

    In words where the goal does not hold: what is served may then only be compared by people.
    """
    p, a = plan.problem, full(plan.problem)
    goals: dict[str, float | str] = {}
    for tier in plan.study.tiers:
        flows = np.flatnonzero([p.tier_of[w] == tier.name for w, _ in p.flows])
        for goal in tier.survive:
            worst, holds, coverable = 1.0, True, True
            for failure in expand(goal, plan.study, plan.graph):
                for s in (s for s in states(p, failure.id) if s[2] == goal.within_seconds):
                    requests, due = a.requests(s)[flows], a.due_share(s)[flows]
                    is_served = served(a, plan.vectors, s)[flows]
                    fractions = np.divide(is_served, requests, out=np.ones(len(flows)), where=requests > 0)
                    worst = min(worst, float(fractions.min(initial=1.0)))
                    holds = holds and bool((fractions >= due - SAME).all())
                    coverable = coverable and bool((due >= goal.serve_fraction - SAME).all())
            verdict = "held" if holds and coverable else "held but for the uncoverable" if holds else "LOST"
            goals[goal_name(tier.name, goal)] = f"{verdict}, {goal.serve_fraction:.4g} due"
            goals[f"{goal_name(tier.name, goal)}, least served"] = round(worst, 6)
    return goals


def _machines(plan: Plan) -> dict[str, int]:
    """Machines bought by pool and offer, in each period or hour where there are several."""
    several = len(plan.problem.hours) > 1
    machines: dict[str, int] = {}
    for b in plan.file.purchases:
        name = f"{b.offer} at {b.when}" if several else b.offer
        machines[name] = machines.get(name, 0) + b.units * plan.study.offer_by_id[b.offer].machines_per_unit
    return machines


def _builds(plan: Plan) -> dict[str, int]:
    """Modules that may be used from a period on, by phase."""
    return {f"{m.build_out} from {m.when}": m.units for m in plan.file.builds}


def _orders(plan: Plan) -> dict[str, str]:
    """Dates on which to order, by offer and by part of a phase; for each period where there are several."""
    several = len(plan.problem.periods) > 1
    dates: dict[str, list[str]] = defaultdict(list)
    for order in plan.orders:
        dates[f"{order.offer} for {order.period}" if several else order.offer].append(_date(order))
    for part in plan.phase_orders:
        dates[f"{part.build_out} {part.part} for {part.period}"].append(_date(part))
    return {name: ", ".join(of_name) for name, of_name in dates.items()}


def _date(order: Order | PhaseOrder) -> str:
    return f"{order.order_by}" + (f" ({order.days_late} days late)" if order.days_late else "")


def _traffic(a: Plan, b: Plan) -> list[Difference]:
    """Shares of the requests of each workload and origin by pool, in normal operation; per hour where several."""
    rows = []
    before, after = _shares(a), _shares(b)
    for flow in dict.fromkeys((*before, *after)):
        for pool in dict.fromkeys((*before.get(flow, {}), *after.get(flow, {}))):
            x = before[flow].get(pool, 0.0) if flow in before else None
            y = after[flow].get(pool, 0.0) if flow in after else None
            fraction = 1.0 if x is None or y is None else abs(x - y)
            if fraction > 0:
                rows.append(Difference("traffic", f"{flow} at {pool}", x, y, fraction, "share"))
    return rows


def _shares(plan: Plan) -> dict[str, dict[str, float]]:
    """Flow -> pool -> share of its requests in normal operation."""
    p = plan.problem
    by_flow: dict[str, dict[str, float]] = {}
    for state in plan.file.states:
        if state.failure != NORMAL:
            continue
        at = f" at {state.hour}" if len(p.hours) > 1 else ""
        columns = zip(state.workload, state.origin, state.placement, state.requests_per_second, strict=True)
        for w, o, e, value in columns:
            demand = p.demand_requests_per_second.get((w, o, state.hour), 0.0)
            if demand > 0:
                shares = by_flow.setdefault(f"{w} from {o}{at}", {})
                pool = p.pool_of.get(e, "")
                shares[pool] = round(shares.get(pool, 0.0) + value / demand, 9)
    return by_flow


def offers_that_differ(before: PlanFile, after: PlanFile) -> tuple[str, ...]:
    """Offers of which two plans do not buy the same."""

    def units(plan: PlanFile) -> dict[tuple[str, str], int]:
        return {(b.offer, b.when): b.units for b in plan.purchases}

    a, b = units(before), units(after)
    return tuple(sorted({offer for offer, when in {*a, *b} if a.get((offer, when)) != b.get((offer, when))}))
