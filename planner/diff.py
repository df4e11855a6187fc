"""Two plans side by side: what differs in what is asked, bought, routed and promised, and where the money goes."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from planner.build import build
from planner.costs import COSTS
from planner.formulas import due_fraction, requests_per_second, served
from planner.orders import Order, orders
from planner.paths import figures_of
from planner.plan import costs_usd, decisions_of, problem_of
from planner.problem import Decisions, Problem, no_decisions, states
from planner.records.plan import PlanFile, Purchase
from planner.records.study import Goal, Study
from planner.risk import NORMAL, dependency_graph, expand

SAME = 1e-6
"""Relative difference below which two figures are the same: they are kept with nine decimals."""
PARTS = ("study", "goals", "costs", "machines", "orders", "traffic")
PRICES, SERVING, REDUNDANCY = "machine prices", "serving", "redundancy"
NOT_COMPARED = ("study", "assumptions", "schema_version")
"""Parts of a study that change no plan: its name, and what its reader must know."""
WHERE_FROM = (".evidence", ".source", ".as_of")
"""How a figure is known changes no plan either."""

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
class Step:
    """A step of a cost bridge: the change of each cost component [USD over the horizon]."""

    name: str
    usd: Mapping[str, float]

    @property
    def total_usd(self) -> float:
        """All components together [USD over the horizon]."""
        return sum(self.usd.values())


@dataclass(frozen=True)
class Bridge:
    """From the cost of one plan to that of another in steps that add up.

    `least_usd`, `most_usd`: between these lies the difference of the best possible plans, by the bounds of both.
    """

    before_usd: float
    after_usd: float
    steps: tuple[Step, ...]
    least_usd: float
    most_usd: float


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
        *_values("study", _asked(before.study), _asked(after.study), ""),
        *_values("goals", _goals(a), _goals(b), "worst served fraction"),
        *_values("costs", before.costs_usd, after.costs_usd, "USD"),
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


def _asked(study: Study) -> dict[str, Value]:
    """What is asked, by path; what changes no plan left out."""
    return {
        path: v if isinstance(v, str | int | float | bool) else "" if v in (None, ()) else str(v)
        for path, v in figures_of(study).items()
        if re.split(r"[.\[]", path)[0] not in NOT_COMPARED and not path.endswith(WHERE_FROM)
    }


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
                    fraction = float(served(side.p, side.x, w, o, s)) / requests_per_second(side.p, w, o, s)
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
    times = {b.when for b in side.plan.purchases}
    found: dict[str, int] = {}
    for b in side.plan.purchases:
        name = b.offer if len(times) <= 2 else f"{b.offer} at {b.when}"
        found[name] = found.get(name, 0) + b.units * offers[b.offer].machines_per_unit
    return found


def _orders(a: _Side, b: _Side) -> list[Difference]:
    """Orders whose date differs, and those that only one side has."""

    def dates(side: _Side) -> dict[str, str]:
        found: dict[str, list[Order]] = {}
        for order in orders(side.plan, side.p):
            found.setdefault(order.offer, []).append(order)
        return {
            offer: ", ".join(f"{o.by}" + (f" ({o.days_late} days late)" if o.days_late else "") for o in rows)
            for offer, rows in found.items()
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
            pool = e.partition("@")[2]
            if wanted > 0:
                shares = found.setdefault(f"{w} from {o}{at}", {})
                shares[pool] = round(shares.get(pool, 0.0) + value / wanted, 9)
    return found


# ------------------------------------------------------------------ where the money goes
def bridge(before: PlanFile, after: PlanFile) -> Bridge:
    """From one plan's cost to another's: machine prices, then serving, then redundancy; the steps add up exactly.

    Formula
        machine prices  = what `before` buys, at the prices of `after`, less its cost        (offers that both have)
        serving         = cost without goals of `after` less that of `before`, at the prices of `after`
        redundancy      = (cost − cost without goals) of `after` less that of `before`, at the prices of `after`
    Units
        USD over the horizon, by cost component

    Every step takes the ones before it as done: another order would attribute the product of two changes elsewhere.
    """
    repriced = _repriced(before.study, after.study)
    names = [cost.__name__ for cost in COSTS]
    whole_before, bare_before = before.costs_usd, before.without_goals.costs_usd
    change = _revalued(before, repriced, before.purchases)
    bare_change = _revalued(before, repriced, before.without_goals.purchases)
    whole_after, bare_after = after.costs_usd, after.without_goals.costs_usd
    names = list(dict.fromkeys((*names, *whole_before, *whole_after)))
    prices, serving, redundancy = {}, {}, {}
    for name in names:
        bare_then = bare_before.get(name, 0.0) + bare_change.get(name, 0.0)
        prices[name] = change.get(name, 0.0)
        serving[name] = bare_after.get(name, 0.0) - bare_then
        whole_then = whole_before.get(name, 0.0) + prices[name]
        redundancy[name] = (whole_after.get(name, 0.0) - bare_after.get(name, 0.0)) - (whole_then - bare_then)
    a, b = before.proof, after.proof
    return Bridge(
        a.cost_usd,
        b.cost_usd,
        (Step(PRICES, prices), Step(SERVING, serving), Step(REDUNDANCY, redundancy)),
        b.bound_usd - a.cost_usd,
        b.cost_usd - a.bound_usd,
    )


def _repriced(before: Study, after: Study) -> Study:
    """The study with the prices of another, for the offers that both have."""
    prices = {price.offer_id: price for price in after.prices}
    return before.model_copy(update={"prices": tuple(prices.get(price.offer_id, price) for price in before.prices)})


def _revalued(plan: PlanFile, repriced: Study, purchases: tuple[Purchase, ...]) -> dict[str, float]:
    """Change of each cost component of purchases when prices change and nothing else [USD over the horizon]."""
    if repriced.prices == plan.study.prices:
        return {}
    old, new = build(plan.study, plan.demand_case), build(repriced, plan.demand_case)
    x = no_decisions()
    for b in purchases:
        (x.rented if b.offer in old.hourly else x.started)[b.offer, b.when] = float(b.units)  # type: ignore[index]
    was, now = costs_usd(old, x), costs_usd(new, x)
    return {name: now[name] - was[name] for name in now}


def offers_that_differ(before: PlanFile, after: PlanFile) -> tuple[str, ...]:
    """Offers of which two plans do not buy the same."""

    def units(plan: PlanFile) -> dict[tuple[str, str], int]:
        return {(b.offer, b.when): b.units for b in plan.purchases}

    a, b = units(before), units(after)
    return tuple(sorted({offer for offer, when in {*a, *b} if a.get((offer, when)) != b.get((offer, when))}))
