"""The traffic of a plan in normal operation, from which shares are summed."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import fsum

from planner.plan.in_hand import Plan
from planner.problem.problem import State, fullest_hour
from planner.review.assumptions import known_figures
from planner.study.dependencies import NORMAL


@dataclass(frozen=True)
class ServedBy:
    """Requests of a flow at a placement; speed and round_trip: how these are known."""

    provider: str
    speed: str
    round_trip: str
    requests_per_second: float


def traffic_rows(plan: Plan) -> list[ServedBy]:
    """A row for each flow and placement that may serve it, in the hour of most requests."""
    p, x, known = plan.problem, plan.decisions, known_figures(plan.study)
    s: State = (fullest_hour(p), NORMAL, 0.0)
    rows = []
    for w, o in p.flows:
        for e in p.edges[w, o]:
            pool, speed = p.pool_of[e], known.speed[p.profile_of[e], known.context_class[w]]
            round_trip = p.round_trip_ms[o, p.site_of[pool]]
            rate = float(x.traffic[w, o, e, s])
            rows.append(ServedBy(p.provider_of[pool], speed.evidence, round_trip.evidence, rate))
    return rows


def requests_by(rows: Iterable[ServedBy], of: Callable[[ServedBy], str]) -> dict[str, float]:
    """Sums of requests by what a function says of a row, by its name [requests/s]."""
    rates: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        rates[of(row)].append(row.requests_per_second)
    return {name: fsum(rates[name]) for name in sorted(rates)}
