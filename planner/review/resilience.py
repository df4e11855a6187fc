"""What resilience costs, step by step, of what a plan says itself: without goals, on equal terms, with its goals."""

from dataclasses import dataclass

from planner.plan.in_hand import Plan
from planner.review.report import Column, Section, percent, signed, usd

WITHOUT_GOALS = "no goals"
EQUAL_TERMS = "no goals, on equal terms"
GOALS = "this plan, with its goals"
LADDER = "what each goal costs, one after the other: planner ladder STUDY"


@dataclass(frozen=True)
class ResilienceStep:
    """A plan of the same study with more to hold than the one before.

    Parameters
    ----------
    what_for : what it adds is for
    cost_usd, bound_usd : over the horizon; no plan of the step costs less than its bound
    adds_usd : beyond the step before; of the first, nothing
    """

    step: str
    what_for: str
    cost_usd: float
    bound_usd: float
    adds_usd: float


def steps_section(title: str, lines: tuple[str, ...], rows: list[ResilienceStep]) -> Section:
    """Steps from the cheapest on, each with what it adds."""
    columns = (
        Column("step"),
        Column("USD", lambda row: usd(row.cost_usd)),
        Column("at least", lambda row: usd(row.bound_usd)),
        Column("adds USD", lambda row: signed(row.adds_usd) if row is not rows[0] else None),
        Column("for", lambda row: row.what_for),
    )
    return Section(title, lines, columns, rows, most=None, part="picture", when_all=True)


def resilience_section(plan: Plan) -> Section:
    """The steps that a plan holds: two, or three where one on equal terms differs from the one without goals."""
    without, equal, proof = plan.file.without_goals, plan.file.on_equal_terms, plan.file.proof
    steps = [(WITHOUT_GOALS, "normal operation", without.cost_usd, without.bound_usd)]
    if equal is not None and (equal.purchases != without.purchases or equal.builds != without.builds):
        steps.append((EQUAL_TERMS, "not standing on spot machines", equal.cost_usd, equal.bound_usd))
    steps.append((GOALS, "redundancy", proof.cost_usd, proof.bound_usd))
    rows, before = [], None
    for step, what_for, cost_usd, bound_usd in steps:
        rows.append(ResilienceStep(step, what_for, cost_usd, bound_usd, 0.0 if before is None else cost_usd - before))
        before = cost_usd
    first, last = rows[0].cost_usd, rows[-1].cost_usd
    share = f", {percent((last - first) / first)} more" if first > 0 else ""
    lines = (f"goals cost {usd(last - first)} USD over {plan.study.horizon.months:g} months{share}", LADDER)
    return steps_section("COST OF RESILIENCE", lines, rows)
