"""A plan that is given, in a study that was changed: what it costs there, where it holds."""

from planner.errors import InputError
from planner.plan.audit import audit
from planner.plan.decisions import costs_usd, decisions_of, gap_fraction, problem_of
from planner.plan.file import sealed
from planner.problem.arrays import full
from planner.problem.rules.index_sets import as_vectors
from planner.problem.rules.register import rules_with_rows
from planner.solve.search import is_proven
from planner.solve.whole_tests import SHORT
from planner.study.records.plan import PlanFile

SAME_COST = 1e-9
"""Share by which costs may differ by arithmetic."""


def the_cheaper(given: PlanFile, again: PlanFile) -> PlanFile:
    """The plan that was found for a study, or one that was given, of another study, where that holds and costs less.

    It is held to every rule of the study by the audit, with what it does in each state; so it is kept where what is
    asked is the same, as when prices change. What stands beside the plan is that of the one that was found: the bound
    is the study's, whichever plan it is.

    Returns
    -------
    A plan of the study of `again`, never dearer than it.
    """
    same = ("purchases", "builds", "replicas", "states", "reserves", "chosen")
    if all(getattr(given, name) == getattr(again, name) for name in same):
        return again
    here = again.model_copy(update={name: getattr(given, name) for name in same})
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
