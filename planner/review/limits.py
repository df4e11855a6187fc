"""What gateways must enforce when they fail over by themselves, and what that costs."""

from dataclasses import dataclass

from planner.plan.in_hand import Plan
from planner.problem.decisions import Decisions
from planner.problem.problem import Problem, State
from planner.problem.rules.formulas import available, requests_per_second
from planner.problem.rules.gateway_limits import reserved_edges
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
    return (
        f"failover by gateways alone costs {usd(more)} USD{share} more than with weights chosen anew for each failure "
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
    """What gateways must enforce, largest first; no section where weights are chosen anew."""
    p, x, rows = plan.problem, plan.decisions, []
    if p.failover != "rescale":
        return None
    for (w, o, e, h), limit in sorted(x.reserve.items(), key=lambda row: (-row[1], row[0])):
        normal: State = (h, NORMAL, 0.0)
        usual = x.traffic[w, o, e, normal]
        share = usual / requests_per_second(p, w, o, normal)
        rows.append(RouteLimit(w, o, e, h, limit, usual, share, *_fullest(p, x, w, o, e, h)))
    columns = (
        Column("workload"),
        Column("origin"),
        Column("placement"),
        Column("limit req/s", lambda row: f"{row.limit_requests_per_second:,.1f}"),
        Column("normal", lambda row: f"{row.normal_requests_per_second:,.1f}"),
        Column("share", lambda row: percent(row.normal_fraction)),
        Column("headroom", _headroom),
        Column("most used", lambda row: f"{row.most_used_requests_per_second:,.1f}"),
        Column("when lost", lambda row: short_failure(row.when_lost) if row.when_lost != NORMAL else ""),
    )
    return Section("LIMITS", LINES, columns, rows)


def _headroom(row: RouteLimit) -> str:
    usual = row.normal_requests_per_second
    return f"× {row.limit_requests_per_second / usual:.2f}" if usual > 0 else ""


def _fullest(p: Problem, x: Decisions, w: str, o: str, e: str, h: str) -> tuple[float, str]:
    """The most that goes over a route in any state, and the failure in which it does."""
    living = [f for f in p.failures if available(p, e, f) > 0 and e in reserved_edges(p, w, o, f)]
    used = {f: x.traffic[w, o, e, (h, f, p.deadlines_seconds[f][-1])] for f in living}
    most = max(used.values(), default=0.0)
    return most, next((f for f, value in used.items() if value >= most * (1 - 1e-9)), NORMAL)
