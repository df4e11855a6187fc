"""All drawings of a plan, in the order in which they are asked about."""

from collections.abc import Callable

from planner.plan.in_hand import Plan
from planner.review.charts.cash_by_quarter import cash_by_quarter
from planner.review.charts.chart import Chart
from planner.review.charts.recovery import recovery
from planner.review.charts.resilience import resilience
from planner.review.charts.sankey import sankey
from planner.review.charts.site_map import site_map
from planner.review.charts.spend import spend
from planner.review.charts.timeline import timeline
from planner.review.charts.utilisation import utilisation

CHARTS: tuple[Callable[[Plan], Chart | None], ...] = (
    site_map,
    spend,
    cash_by_quarter,
    sankey,
    recovery,
    utilisation,
    resilience,
    timeline,
)
"""Each from a plan to its drawing, or to None where it has nothing to draw."""


def charts_of(plan: Plan) -> tuple[Chart, ...]:
    """The drawings that there are."""
    return tuple(chart for draw in CHARTS if (chart := draw(plan)) is not None)
