"""The pictures of a plan's page, in the order in which they are asked about."""

from collections.abc import Callable, Sequence

from planner.plan.in_hand import Plan
from planner.review.charts.chart import Chart
from planner.review.charts.sankey import sankey
from planner.review.charts.site_map import site_map
from planner.review.report import Drawing

CHARTS: tuple[Callable[[Plan], Chart | None], ...] = (site_map, sankey)
"""Each a function of the plan to its picture, or to None where it has nothing of the kind."""


def drawings_of(plan: Plan) -> Sequence[Drawing]:
    """Every picture that there is something to draw for."""
    drawn = [draw(plan) for draw in CHARTS]
    return [chart for chart in drawn if chart is not None]
