"""What redundancy costs, and against what: the cheapest plan without survival goals, and the same on equal terms."""

from typing import Any

from planner.plan.decisions import gap_fraction
from planner.review.report import percent, usd
from planner.study.records.plan import PlanFile, WithoutGoals

ON_EQUAL_TERMS = (
    "redundancy on equal terms, against the cheapest plan without survival goals that buys no more than the plan "
    "itself of what counts in no failure (spot) [USD]"
)


def beyond_usd(plan: PlanFile, other: WithoutGoals | None) -> float | None:
    """What a plan costs beyond another [USD over the horizon]; None where the other is not known."""
    return None if other is None else plan.proof.cost_usd - other.cost_usd


def redundancy_lines(plan: PlanFile) -> tuple[str, ...]:
    """Both figures, each with what it compares; one, where the plan without goals is on equal terms already."""
    without, equal = plan.without_goals, plan.on_equal_terms
    against_it = f"without survival goals {usd(without.cost_usd)} USD: redundancy costs {_extra(plan, without)}"
    if equal is None:
        return (f"{against_it}; on equal terms: not known, this plan does not say (plan again)",)
    if equal.purchases == without.purchases and equal.builds == without.builds:
        return (f"{against_it}; on equal terms: that plan buys no more than this one of what counts in no failure",)
    gap = percent(_gap(equal), 2)
    return (
        f"redundancy costs {_extra(plan, equal)} on equal terms: against {usd(equal.cost_usd)} USD (gap {gap}), the "
        "cheapest plan without survival goals that buys no more than this one of what counts in no failure (spot)",
        f"{against_it}: of it {usd(equal.cost_usd - without.cost_usd)} USD for not standing on what counts in no "
        "failure",
    )


def redundancy_in_short(plan: PlanFile) -> str:
    """What redundancy costs on equal terms, where that is known; else against the plan without survival goals."""
    without, equal = plan.without_goals, plan.on_equal_terms
    if equal is None:
        against = "against the plan without survival goals; on equal terms not known"
        return f"redundancy costs {_extra(plan, without)} {against}"
    return f"redundancy costs {_extra(plan, equal)} on equal terms"


def redundancy_data(plan: PlanFile) -> dict[str, Any]:
    """The same figures [USD over the horizon, fractions of what they are compared with]."""
    without, equal = plan.without_goals, plan.on_equal_terms
    return {
        "without_goals_usd": without.cost_usd,
        "redundancy_usd": beyond_usd(plan, without),
        "redundancy_fraction": _extra_fraction(plan, without),
        "on_equal_terms_usd": None if equal is None else equal.cost_usd,
        "on_equal_terms_gap_fraction": None if equal is None else _gap(equal),
        "redundancy_on_equal_terms_usd": beyond_usd(plan, equal),
        "redundancy_on_equal_terms_fraction": None if equal is None else _extra_fraction(plan, equal),
        "not_on_equal_terms_usd": None if equal is None else equal.cost_usd - without.cost_usd,
    }


def _extra(plan: PlanFile, other: WithoutGoals) -> str:
    fraction = _extra_fraction(plan, other)
    share = f" (+{percent(fraction)})" if fraction is not None else ""
    return f"{usd(plan.proof.cost_usd - other.cost_usd)} USD{share}"


def _extra_fraction(plan: PlanFile, other: WithoutGoals) -> float | None:
    """What a plan costs beyond another, as a fraction of that; None where that costs nothing."""
    return (plan.proof.cost_usd - other.cost_usd) / other.cost_usd if other.cost_usd > 0 else None


def _gap(other: WithoutGoals) -> float:
    return gap_fraction(other.cost_usd, other.bound_usd)
