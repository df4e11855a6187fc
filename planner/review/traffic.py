"""The traffic of a plan in normal operation as a table, from which shares are summed."""

from typing import TYPE_CHECKING

from planner.plan.in_hand import Plan
from planner.problem.problem import State, fullest_hour
from planner.review.assumptions import known_figures
from planner.study.dependencies import NORMAL

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("provider", "speed", "round_trip", "requests_per_second")


def traffic_table(plan: Plan) -> "pd.DataFrame":
    """A row for each flow and placement that may serve it, in the hour of most requests [requests/s].

    Columns: provider; speed and round_trip: how these are known; requests_per_second.
    """
    import pandas as pd

    p, x, known = plan.problem, plan.decisions, known_figures(plan.study)
    s: State = (fullest_hour(p), NORMAL, 0.0)
    rows = []
    for w, o in p.flows:
        for e in p.edges[w, o]:
            pool, speed = p.pool_of[e], known.speed[p.profile_of[e], known.context_class[w]]
            round_trip = p.round_trip_ms[o, p.site_of[pool]]
            rows.append((p.provider_of[pool], speed.evidence, round_trip.evidence, float(x.traffic[w, o, e, s])))
    return pd.DataFrame(rows, columns=list(COLUMNS))
