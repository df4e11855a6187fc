"""What gateways must enforce when they fail over by themselves, and what that costs."""

from planner.problem.decisions import Decisions
from planner.problem.problem import Problem
from planner.problem.rules.formulas import available, requests_per_second
from planner.problem.rules.gateway_limits import reserved_edges
from planner.review.report import MOST_ROWS, Section, percent, short_failure, usd
from planner.study.dependencies import NORMAL
from planner.study.records.plan import PlanFile

LINES = (
    "requests/s that a gateway sends over a route at most, at any time: without these limits a tier that may be shed "
    "takes the room of one that may not",
    "weights are in proportion to the limits, in normal operation too; share: of the workload and origin; room: "
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


def limits_section(plan: PlanFile, p: Problem, x: Decisions, all_rows: bool) -> tuple[Section, ...]:
    """LIMITS: what gateways must enforce, largest first; nothing where weights are chosen anew."""
    if p.failover != "rescale":
        return ()
    rows, data = [], []
    for (w, o, e, h), limit in sorted(x.reserve.items(), key=lambda row: (-row[1], row[0])):
        usual = x.traffic[w, o, e, (h, NORMAL, 0.0)]
        share = usual / requests_per_second(p, w, o, (h, NORMAL, 0.0))
        fullest, when = _fullest(p, x, w, o, e, h)
        data.append(
            {
                "workload": w,
                "origin": o,
                "placement": e,
                "hour": h,
                "limit_requests_per_second": limit,
                "normal_requests_per_second": usual,
                "most_used_requests_per_second": fullest,
                "when_lost": when,
            }
        )
        room = f"× {limit / usual:.2f}" if usual > 0 else ""
        most = short_failure(when) if when != NORMAL else ""
        rows.append((w, o, e, f"{limit:,.1f}", f"{usual:,.1f}", percent(share), room, f"{fullest:,.1f}", most))
    kept = rows if all_rows else rows[:MOST_ROWS]
    columns = ("workload", "origin", "placement", "limit req/s", "normal", "share", "room", "most used", "when lost")
    return (Section("LIMITS", LINES, columns, tuple(kept), len(rows) - len(kept), data=data),)


def _fullest(p: Problem, x: Decisions, w: str, o: str, e: str, h: str) -> tuple[float, str]:
    """The most that goes over a route in any state, and the failure in which it does."""
    found = [(x.traffic[w, o, e, (h, f, p.deadlines_seconds[f][-1])], f) for f in p.failures if _living(p, w, o, e, f)]
    most = max((value for value, _ in found), default=0.0)
    return most, next((f for value, f in found if value >= most * (1 - 1e-9)), NORMAL)


def _living(p: Problem, w: str, o: str, e: str, f: str) -> bool:
    return available(p, e, f) > 0 and e in reserved_edges(p, w, o, f)
