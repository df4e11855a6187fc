"""What resilience costs, step by step, of what a plan says itself: without goals, on equal terms, with its goals."""

from dataclasses import dataclass

from planner.plan.in_hand import Plan
from planner.review.report import Column, Section, between, percent, signed, usd

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
    adds_least_usd, adds_most_usd : what the best plans of the two differ by, as the gaps of both allow
    """

    step: str
    what_for: str
    cost_usd: float
    bound_usd: float
    adds_usd: float
    adds_least_usd: float
    adds_most_usd: float


def differ_usd(
    before_cost_usd: float, before_bound_usd: float, cost_usd: float, bound_usd: float
) -> tuple[float, float]:
    """What the best plan costs beyond the best with less to hold: at least and at most [USD], never less than nothing.

    Examples
    --------
    >>> differ_usd(100.0, 90.0, 130.0, 120.0)
    (20.0, 40.0)
    """
    return max(0.0, bound_usd - before_cost_usd), cost_usd - before_bound_usd


def differ_text(least_usd: float, most_usd: float) -> str:
    """The two ends as a clause; empty where they are the same, as people read them."""
    ends = between((least_usd, most_usd))
    return "" if signed(least_usd) == signed(most_usd) else f"the best plans differ by {ends} USD"


def steps_section(title: str, lines: tuple[str, ...], rows: list[ResilienceStep]) -> Section:
    """Steps from the cheapest on, each with what it adds."""
    columns = (
        Column("step"),
        Column("USD", lambda row: usd(row.cost_usd)),
        Column("at least", lambda row: usd(row.bound_usd)),
        Column("adds USD", lambda row: signed(row.adds_usd) if row is not rows[0] else None),
        Column(
            "best plans differ by",
            lambda row: between((row.adds_least_usd, row.adds_most_usd)) if row is not rows[0] else None,
        ),
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
    rows = list[ResilienceStep]()
    for step, what_for, cost_usd, bound_usd in steps:
        adds_usd, ends_usd = 0.0, (0.0, 0.0)
        if rows:
            adds_usd = cost_usd - rows[-1].cost_usd
            ends_usd = differ_usd(rows[-1].cost_usd, rows[-1].bound_usd, cost_usd, bound_usd)
        rows.append(ResilienceStep(step, what_for, cost_usd, bound_usd, adds_usd, *ends_usd))
    first, last = rows[0], rows[-1]
    more_usd = last.cost_usd - first.cost_usd
    share = f", {percent(more_usd / first.cost_usd)} more" if first.cost_usd > 0 else ""
    differ = differ_text(*differ_usd(first.cost_usd, first.bound_usd, last.cost_usd, last.bound_usd))
    cost = f"goals cost {usd(more_usd)} USD over {plan.study.horizon.months:g} months{share}"
    lines = (f"{cost}; {differ}" if differ else cost, LADDER)
    return steps_section("COST OF RESILIENCE", lines, rows)
