"""What a plan breaks as it stands while machines are missing.

It buys what it buys, and each survival goal is put to the test in each period until the late machines are there.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from planner.plan.explain import Shortage, shortage
from planner.problem.decisions import Decisions
from planner.problem.problem import Problem
from planner.problem.rules.formulas import limit_capacity, limit_used, machines_held_or_bought
from planner.questions.diff import goal_name
from planner.questions.slip import DELIVERY, Slip
from planner.study.calendar import ALMOST, spans
from planner.study.dependencies import NORMAL, dependency_graph, expand
from planner.study.records.plan import PlanFile

NORMAL_OPERATION = "normal operation"


@dataclass(frozen=True)
class Broken:
    """A survival goal that the plan as it stands cannot keep while machines are missing, or normal operation.

    Parameters
    ----------
    failures : in which it breaks, in order of their names
    requests_per_second : that are short in the worst of them, at the least; None: normal operation is short, too
    """

    period: str
    goal: str
    failures: tuple[str, ...]
    requests_per_second: float | None


def broken_by(
    plan: PlanFile, p: Problem, x: Decisions, slip: Slip, tested: dict[object, Shortage | None]
) -> list[Broken]:
    """What breaks in each period in which something is missing, in the order of the periods and goals.

    Parameters
    ----------
    p, x : the plan's problem, and what it buys as decisions
    tested : answers of tests that were made already, by what was there
    """
    begins = {t.name: t.begins_months for t in spans(plan.study)}
    missing = [t for t in p.periods if _late_starts(p, x, slip, t, begins)]
    graph, goals = dependency_graph(plan.study), dict[tuple[str, str], tuple[str, ...]]()
    for tier in plan.study.tiers:
        for promise in tier.survive:
            ids = tuple(failure.id for failure in expand(promise, plan.study, graph) if failure.id in p.failures)
            goals[tier.name, goal_name(tier.name, promise)] = ids
    found = []
    for t in missing:
        short = {f: _short(p, x, slip, t, f, begins, tested) for f in p.failures}
        if (normal := short[NORMAL]) is not None:
            found.append(Broken(t, NORMAL_OPERATION, (), normal.requests_per_second))
        for (tier_name, name), ids in goals.items():
            broken = {f: one for f in ids if (one := _of_tier(p, tier_name, short[f])) is not None}
            if broken:
                worst = max(broken.values())
                found.append(Broken(t, name, tuple(sorted(broken)), worst if worst else None))
    return found


def _of_tier(p: Problem, tier: str, short: Shortage | None) -> float | None:
    """Requests/s of a tier that are short; 0 when nothing could be said; None when nothing is."""
    if short is None or not short.rows:
        return None if short is None else 0.0
    rows = [requests for w, _, _, requests in short.rows if p.tier_of[w] == tier]
    return sum(rows) if rows else None


def _short(
    p: Problem,
    x: Decisions,
    slip: Slip,
    t: str,
    f: str,
    begins: Mapping[str, float],
    tested: dict[object, Shortage | None],
) -> Shortage | None:
    """What a failure is short of in the worst hour of a period, with what is bought less what is late."""
    worst = None
    for h in (h for h in p.hours if p.period_of[h] == t):
        there = _there(p, x, slip, h, f, begins)
        key = (h, f, tuple(sorted(there.items())))
        if key not in tested:
            tested[key] = shortage(_in_one_hour(p, h, f, there), f)
        one = tested[key]
        if one is not None and (worst is None or one.requests_per_second > worst.requests_per_second):
            worst = one
    return worst


def _there(p: Problem, x: Decisions, slip: Slip, h: str, f: str, begins: Mapping[str, float]) -> dict[str, float]:
    """q -> machines held and bought, that count in a failure, less those that are late or have no power yet."""
    there = {q: float(machines_held_or_bought(p, x, q, h, f)) for q in p.pools}
    b, late = slip.subject, _late_starts(p, x, slip, p.period_of[h], begins)
    if slip.clock == DELIVERY:
        units = float(x.rented[b, h]) if b in p.hourly else sum(float(x.started[b, u]) for u in late)
        there[p.pool_of[b]] -= p.machines_per_unit[b] * p.counted[f].get(b, 1.0) * units
        return there
    for index, limit in enumerate(p.limits):
        if b in limit.modules:
            kw = float(limit_capacity(p, x, index, h)) - limit.modules[b] * sum(float(x.started[b, u]) for u in late)
            used = float(limit_used(p, x, index, h))
            share = min(1.0, max(0.0, kw) / used) if used > 0 else 1.0
            there |= {q: share * there[q] for q, power in limit.units_per_machine.items() if power}
    return there


def _late_starts(p: Problem, x: Decisions, slip: Slip, t: str, begins: Mapping[str, float]) -> list[str]:
    """The periods in which something started that should be there in a period, and is not: it comes months later."""
    b = slip.subject
    if b in p.hourly:
        rented = [u for u in p.periods if any(x.rented[b, h] for h in p.hours if p.period_of[h] == u)]
        starts = rented[:1] if t in rented else []
    else:
        starts = [u for u in p.vintages.get((b, t), ()) if x.started[b, u]]
    return [u for u in starts if begins[t] < begins[u] + slip.months - ALMOST]


def _in_one_hour(p: Problem, h: str, f: str, there: Mapping[str, float]) -> Problem:
    """The problem of one hour in which some machines are there and nothing can be bought.

    Normal operation need not be served where that is asked apart, so that a failure is only called broken when no
    placement of replicas on these machines would do.
    """
    t = p.period_of[h]
    apart = f != NORMAL and bool(p.with_spot or p.deferrable)
    return replace(
        p,
        hours=(h,),
        periods=(t,),
        offers=(),
        offers_of=dict.fromkeys(p.pools, ()),
        hourly=frozenset(),
        held_machines={(q, t): n for q, n in there.items()},
        vintages={},
        build_outs=(),
        least_units={},
        either_or=(),
        after={},
        limits=(),
        shares=(),
        spend_years=(),
        capital_caps=(),
        budget_usd=None,
        counted={g: {} for g in p.failures},
        obtainable={g: {} for g in p.failures},
        with_spot=frozenset(),
        maybe_unused={},
        spare_machines=dict.fromkeys(p.pools, 0.0),
        few_large_units=frozenset(),
        priced={},
        objective="cost",
        failover="resolve",
        deferrable=frozenset(),
        serve_fraction={w: 0.0 if apart or w in p.deferrable else fraction for w, fraction in p.serve_fraction.items()},
    )
