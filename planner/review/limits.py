"""What gateways must enforce when they fail over by themselves, and what that costs."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from planner.plan.in_hand import Plan
from planner.problem.arrays import Arrays, full
from planner.problem.decisions import Vectors
from planner.problem.rules.gateway_limits import may_reserve, rescaled_failures
from planner.review.figures import number
from planner.review.report import Column, Section, percent, short_failure, usd
from planner.study.dependencies import NORMAL
from planner.study.records.plan import PlanFile

LINES = (
    "requests/s that a gateway sends over a route at most, at any time: without these limits a tier that may be shed "
    "takes the headroom of one that may not",
    "weights are in proportion to the limits, in normal operation too; share: of the workload and origin; headroom: "
    "limit over traffic in normal operation; a placement lost in part gets that part of its weight and its limit",
)


def rescaling_lines(plan: PlanFile) -> tuple[str, ...]:
    """What fixed weights cost over weights chosen anew for each failure, in one line."""
    other = plan.re_solved
    if other is None:
        return ()
    more = max(0.0, plan.proof.cost_usd - other.cost_usd)
    share = f" (+{percent(more / other.cost_usd, 1)})" if other.cost_usd > 0 and more > 0 else ""
    least, most = plan.proof.bound_usd - other.cost_usd, plan.proof.cost_usd - other.bound_usd
    what = "failover by gateways alone" if plan.study.failover == "rescale" else "that some failures keep the weights"
    return (
        f"{what} costs {usd(more)} USD{share} more than with weights chosen anew for each failure "
        f"({usd(other.cost_usd)} USD): by the proofs of both between {usd(max(0.0, least))} and {usd(most)} USD",
    )


@dataclass(frozen=True)
class RouteLimit:
    """What a gateway may send over a route at most.

    Parameters
    ----------
    normal_fraction : share of the workload and origin that takes the route in normal operation
    most_used_requests_per_second, when_lost : in the failure in which most goes over it
    """

    workload: str
    origin: str
    placement: str
    hour: str
    limit_requests_per_second: float
    normal_requests_per_second: float
    normal_fraction: float
    most_used_requests_per_second: float
    when_lost: str


def limits_section(plan: Plan) -> Section | None:
    """What gateways must enforce, largest first; no section where weights are always chosen anew."""
    p, rows = plan.problem, list[RouteLimit]()
    if not p.rescaled:
        return None
    for h in p.hours:
        rows += _limits_in_hour(full(p), plan.vectors, h)
    rows.sort(key=_largest_first)
    columns = (
        Column("workload"),
        Column("origin"),
        Column("placement"),
        Column("limit req/s", lambda row: number(row.limit_requests_per_second, ",.1f")),
        Column("normal", lambda row: number(row.normal_requests_per_second, ",.1f")),
        Column("share", lambda row: percent(row.normal_fraction)),
        Column("headroom", _headroom),
        Column("most used", lambda row: number(row.most_used_requests_per_second, ",.1f")),
        Column("when lost", lambda row: short_failure(row.when_lost) if row.when_lost != NORMAL else ""),
    )
    return Section("LIMITS", LINES, columns, rows)


def _headroom(row: RouteLimit) -> str:
    usual = row.normal_requests_per_second
    return f"× {row.limit_requests_per_second / usual:.2f}" if usual > 0 else ""


def _largest_first(row: RouteLimit) -> tuple[float, str, str, str, str]:
    return -row.limit_requests_per_second, row.workload, row.origin, row.placement, row.hour


def _limits_in_hour(a: Arrays, x: Vectors, h: str) -> Iterator[RouteLimit]:
    """What gateways may send over each route in an hour, beside what they do."""
    failures, normal = rescaled_failures(a.p), (h, NORMAL, 0.0)
    used = np.zeros((len(failures), a.E))
    for n, f in enumerate(failures):
        used[n] = np.where(may_reserve(a, f), x.traffic[(h, f, a.p.deadlines_seconds[f][-1]),], -1.0)
    most = used.max(axis=0, initial=0.0)
    fullest = np.argmax(used >= most * (1 - 1e-9), axis=0)
    usual, asked = x.traffic[normal,], a.requests(normal)
    for i in np.flatnonzero(x.reserve[h,]).tolist():
        share = float(usual[i] / asked[a.flow_of_edge[i]])
        limit, most_used = float(x.reserve[h,][i]), float(most[i])
        w, o, e = a.edges[i]
        yield RouteLimit(w, o, e, h, limit, float(usual[i]), share, most_used, failures[fullest[i]])
