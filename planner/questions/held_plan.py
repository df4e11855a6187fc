"""A plan that is given, in a study that was changed: what it costs there, where it holds."""

from collections.abc import Sequence

from planner.errors import InputError
from planner.plan.audit import audit
from planner.plan.decisions import costs_usd, decisions_of, gap_fraction, problem_of, purchased
from planner.plan.file import sealed
from planner.problem.arrays import full
from planner.problem.rules.index_sets import as_vectors
from planner.problem.rules.register import rules_with_rows
from planner.solve.search import SHORT, is_proven
from planner.study.records.plan import PlanFile

SAME_COST = 1e-9
"""Share by which costs may differ by arithmetic."""
RUNS = ("purchases", "builds", "replicas")
"""What a plan buys and runs, by field of its file."""


def the_cheaper(given: PlanFile, again: PlanFile) -> PlanFile:
    """The plan that was found for a study, or one that was given, of another study, where that holds and costs less.

    It is held to every rule of the study by the audit, with what it does in each state; so it is kept where what is
    asked is the same, as when prices change. What stands beside the plan is that of the one that was found: the bound
    is the study's, whichever plan it is.

    Returns
    -------
    A plan of the study of `again`, never dearer than it.
    """
    taken = (*RUNS, "states", "reserves", "chosen")
    if all(getattr(given, name) == getattr(again, name) for name in taken):
        return again
    here = again.model_copy(update={name: getattr(given, name) for name in taken})
    asked = {(state.hour, state.failure) for state in again.states}
    here = here.model_copy(update={"states": tuple(s for s in given.states if (s.hour, s.failure) in asked)})
    try:
        p = problem_of(here)
        x = decisions_of(here, p)
        costs = costs_usd(p, x)
        cost_usd = sum(costs.values())
        # what costs less than any plan of the study does not hold there
        least_usd, most_usd = again.proof.bound_usd * (1 - SHORT), again.proof.cost_usd * (1 - SAME_COST)
        if not least_usd <= cost_usd < most_usd:
            return again
        rules = rules_with_rows(full(p), as_vectors(p, x))
    except (InputError, LookupError, ValueError, ArithmeticError):
        return again  # it runs on what the study no longer has
    bound_usd = min(again.proof.bound_usd, cost_usd)
    gap = gap_fraction(cost_usd, bound_usd)
    status = again.proof.status
    if status == "gap" and is_proven(gap, again.proof.gap_asked_fraction):
        status = "proven"
    lp_bound_usd = min(again.proof.lp_bound_usd, cost_usd)
    figures = {"cost_usd": cost_usd, "bound_usd": bound_usd, "lp_bound_usd": lp_bound_usd, "gap_fraction": gap}
    proof = again.proof.model_copy(update={**figures, "status": status})
    here = sealed(here.model_copy(update={"costs_usd": costs, "rules": rules, "proof": proof}))
    return here if audit(here).passed else again


def each_at_its_least(plans: Sequence[PlanFile]) -> list[PlanFile]:
    """Plans of several studies, each as it is or, where that of another holds in its study and costs less, that one.

    So no study is answered with a dearer plan than one that asks more of the same: what survives more holds there.
    Which plan is taken does not depend on the order, and none is where this is asked again.
    """
    return [_at_its_least(plan, [other for other in plans if _may_hold(other, plan)]) for plan in plans]


def _may_hold(other: PlanFile, plan: PlanFile) -> bool:
    """Whether one plan sends what is asked for in the study of another, and is not the same."""
    asks_the_same = other.study.demand == plan.study.demand and other.study.horizon == plan.study.horizon
    return asks_the_same and any(getattr(other, name) != getattr(plan, name) for name in RUNS)


def _at_its_least(plan: PlanFile, others: Sequence[PlanFile]) -> PlanFile:
    """A plan, or the cheapest of others that hold in its study; the cheapest of what they buy is tried first."""
    if not others:
        return plan
    p, cheaper = problem_of(plan), list[tuple[float, str, PlanFile]]()
    for other in others:
        bought = purchased(p.hourly, other.purchases, other.builds, other.replicas, p.pool_of)
        usd = sum(costs_usd(p, bought).values())  # at the least: requests are in it with nothing
        if p.priced or usd < plan.proof.cost_usd * (1 - SAME_COST):
            cheaper.append((usd, other.digest_sha256, other))
    for _, _, other in sorted(cheaper, key=lambda each: each[:2]):
        plan = the_cheaper(other, plan)
    return plan
