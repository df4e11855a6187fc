"""The one order in which failures are listed: the gravest first, by the tiers that goals protect in them."""

import numpy as np

from planner.plan.in_hand import Plan
from planner.problem.algebra import Array, sum_by
from planner.problem.arrays import Arrays, full
from planner.problem.decisions import Vectors
from planner.problem.problem import Problem, State, fullest_hour
from planner.problem.rules.gateway_limits import whole_survivors
from planner.problem.things import Things
from planner.review.report import short_failure
from planner.review.served import tier_served_fraction, tiers_with_flows
from planner.study.dependencies import NORMAL

ORDERED = (
    "the worst first: by what the least served of the tiers that a goal protects in the failure is served at the last "
    "deadline, then at once or at any; then by the other tiers"
)
DIGITS = 6
"""Of shares, beyond which they are rounding and order nothing."""


def worst_first(plan: Plan) -> list[str]:
    """Every failure, the gravest first, in the hour of most requests."""
    keys = {f: _gravity(plan, f) for f in plan.problem.failures if f != NORMAL}
    return sorted(keys, key=keys.__getitem__)


def protected_tiers(p: Problem, f: str) -> set[str]:
    """The tiers of which a goal asks for a share in a failure."""
    return {tier for tier, fraction, _ in p.promised[f] if fraction > 0}


def _gravity(plan: Plan, f: str) -> tuple[float, float, float, float, str]:
    """The least comes first: at the last deadline, and at any time, of tiers with goals; then of the others; moved."""
    p, a, x, h = plan.problem, full(plan.problem), plan.vectors, fullest_hour(plan.problem)
    last, normal = (h, f, p.deadlines_seconds[f][-1]), (h, NORMAL, 0.0)
    tiers = tiers_with_flows(plan)
    at_last = {tier: round(tier_served_fraction(a, x, tier, last), DIGITS) for tier in tiers}
    protected = [tier for tier in tiers if tier in protected_tiers(p, f)]
    ever = [at_last[tier] for tier in protected]
    for c in p.deadlines_seconds[f][:-1]:
        ever += [round(tier_served_fraction(a, x, tier, (h, f, c)), DIGITS) for tier in protected]
    if not p.failures[f].begins_seconds:
        begins = _served_at_once(a, x, f, h)
        ever += [round(begins[tier], DIGITS) for tier in protected if tier in begins]
    least = min((at_last[tier] for tier in protected), default=1.0)
    moved = float(np.maximum(0.0, x.traffic[last,] - x.traffic[normal,]).sum())
    return least, min(ever, default=1.0), min(at_last.values(), default=1.0), -round(moved, DIGITS), short_failure(f)


def _served_at_once(a: Arrays, x: Vectors, f: str, h: str) -> dict[str, float]:
    """Share of each tier that is served before anything is moved."""
    tiers = len(a.tiers)
    wanted = sum_by(a.surge(f) * x.offered[(h, NORMAL, 0.0),], a.tier_of_flow, tiers)
    served = sum_by(at_once(a, x, f, h), a.tier_of_flow[a.flow_of_edge], tiers)
    return {a.tiers[n]: float(served[n] / wanted[n]) for n in range(tiers) if wanted[n] > 0}


def at_once(a: Arrays, x: Vectors, f: str, h: str) -> Array:
    """Requests/s over each edge that are served before anything is moved: what goes to the living as always [E].

    Where an offer counts less than whole, what does not go on is gone at once. Limits of gateways, and of how far
    replicas may be filled, are left aside for these seconds.
    """
    surge, alive = a.surge(f) * a.coverable(f), _alive(a, x, (h, f, 0.0))
    usual = x.traffic[(h, NORMAL, 0.0),] * a.may_serve(NORMAL)
    return np.asarray(surge[a.flow_of_edge] * alive[a.placement_of_edge] * usual)


def _alive(a: Things, x: Vectors, s: State) -> Array:
    """Share of each placement that lives on (0 to 1) [P]."""
    share, runs = a.available(s[1]), x.replicas[s[0],]
    in_part = a.counts_less(s[1])[a.pool_of_placement] & (runs > 0)
    living = np.divide(whole_survivors(a, x, s), runs, out=np.zeros(a.P), where=runs > 0)
    return np.where(in_part, np.minimum(share, living), share)
