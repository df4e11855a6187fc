"""The pictures of a plan's page, in the order in which they are asked about."""

from collections.abc import Sequence

from planner.plan.in_hand import Plan
from planner.review.report import Drawing


def drawings_of(plan: Plan) -> Sequence[Drawing]:
    """Every picture that there is something to draw for."""
    return ()
