"""A bridge, as whatif and diff show it: where the difference between two plans comes from, step by step."""

from typing import Any

from planner.questions.bridge import STEPS, Bridge
from planner.review.report import Column, signed, usd

ORDER_OF_STEPS = (
    "in this order, each step after the ones before it: prices (what the first plan buys, at the other's), then the "
    "change without survival goals: serving (moves to what is cheaper then, speeds, limits), demand, commitments "
    "(offers, holdings, claims, promises), delay (lead times, dates); redundancy is the rest: what the plans "
    "cost beyond the cheapest plans without goals, which may stand on spot"
)


def bridge_columns(first: str) -> tuple[Column, ...]:
    """A bridge in a row, which is its name and the bridge: from the cost of the first plan to that of the other."""

    def step(place: int, name: str) -> Column:
        return Column(name, lambda row: signed(row[1].steps[place].total_usd))

    return (
        Column(first, lambda row: usd(row[1].before_usd)),
        *(step(place, name) for place, name in enumerate(STEPS)),
        Column("is", lambda row: usd(row[1].after_usd)),
    )


def stand_together(bridge: Bridge) -> list[str]:
    """Which steps stand in the one after them, and why."""
    apart = [step for step in bridge.together if step not in bridge.unsure]
    lines = [f"{', '.join(apart)} stands in the step after it: nothing between the two can be planned"] if apart else []
    return [*lines, *not_known(bridge)]


def not_known(bridge: Bridge) -> list[str]:
    """Which steps are not known, as a search ended."""
    return [f"{step} stands in the step after it: the search ended: {why}" for step, why in bridge.unsure.items()]


def bridge_data(bridge: Bridge) -> dict[str, Any]:
    """A bridge as data: steps by cost component [USD over the horizon]."""
    return {
        "before_usd": bridge.before_usd,
        "after_usd": bridge.after_usd,
        "steps": [{"step": s.name, "usd": s.total_usd, "components_usd": s.usd} for s in bridge.steps],
        "together": bridge.together,
        "unsure": bridge.unsure,
        "best_plans_differ_by_usd": (bridge.least_usd, bridge.most_usd),
    }
