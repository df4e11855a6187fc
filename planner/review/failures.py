"""Every failure of a plan: who is served at its last deadline, what moves, and what is lost, evicted and started."""

from dataclasses import dataclass

import numpy as np

from planner.plan.in_hand import Plan
from planner.problem.algebra import total
from planner.problem.arrays import Arrays, full
from planner.problem.decisions import Vectors
from planner.problem.problem import Problem, State, fullest_hour
from planner.problem.rules.costs import requests_usd_per_hour
from planner.problem.rules.formulas import due_fraction
from planner.problem.rules.gateway_limits import rescaled_failures, whole_survivors
from planner.review.figures import Figure, number
from planner.review.filled import filled_of_limit
from planner.review.report import AT_RISK, BROKEN, HELD, Column, Section, Severity, percent, short_failure, usd
from planner.review.served import WorstFlow, tier_served_fraction, tiers_with_flows, worst_flow
from planner.review.worst_first import ORDERED, worst_first
from planner.study.dependencies import NORMAL
from planner.units import ROUNDING

ASSUMES = {
    "resolve": "the plan's own answer to each failure: weights chosen anew, no more cold starts than goals need; "
    "planner drill answers each failure anew with all that can be started: what is not due may differ there",
    "rescale": "the plan's own answer to each failure: fixed weights over what remains, within LIMITS, no cold starts: "
    "planner drill works them out again, in --mode resolve with weights chosen anew",
}


IN_SOME = (
    "fixed weights over what remains, within LIMITS, no cold starts, also of gateways that could be reached, "
    "where no new ones are pushed:"
)
FULLEST = (
    "fullest: the fullest placement at that deadline, of how far its replicas may be filled in a failure ({}); "
    "UTILISATION BY POOL is of all machines of a pool, the idle ones too, at its fullest deadline; planner gate's of a "
    "placement is of the full rate of its replicas, that of drill --simulate of their slots"
)
MOVED_WITHOUT_NEED = (
    "where no replica is lost, what moves need not have to: each failure has routes of its own in the plan, which are "
    "not chosen to be the nearest to those of normal operation"
)
MOST_NAMED = 4
LEAST_SHORT = 1e-6
"""Smaller shares are rounding."""
LEAST_MOVED_REQUESTS_PER_SECOND = 0.5
"""Fewer are written as 0."""


@dataclass(frozen=True)
class FailureServed:
    """A failure at its last deadline, in the hour of most requests.

    Parameters
    ----------
    served_fraction, worst_flow : by tier
    moved_requests_per_second : more than in normal operation at the placements that take over
    replicas_kept, replicas_lost, replicas_evicted : of those of normal operation; evicted make headroom for others
    fullest_placement, fullest_fraction_of_limit : the one that is nearest to its limit, and how near
    binding : whether the search had to plan for this failure itself
    """

    failure: str
    deadline_seconds: float
    served_fraction: dict[str, float]
    worst_flow: dict[str, WorstFlow | None]
    moved_requests_per_second: float
    replicas_kept: float
    replicas_lost: float
    replicas_evicted: float
    replicas_cold_started: float
    fullest_placement: str
    fullest_fraction_of_limit: float
    requests_usd_per_hour: float
    binding: bool


def hour_text(p: Problem) -> tuple[str, ...]:
    """Which hour a section is about, where the plan has several."""
    return (f"in {fullest_hour(p)}, the hour of most requests, of {len(p.hours)}",) if len(p.hours) > 1 else ()


def _assumed(p: Problem) -> list[str]:
    """How gateways fail over: alike in all failures, or which of them keep their weights."""
    fixed = [f for f in rescaled_failures(p) if f != NORMAL]
    if not fixed or len(fixed) == len(p.failures) - 1:
        return [ASSUMES["rescale" if p.rescaled else "resolve"]]
    names = ", ".join(short_failure(f) for f in fixed[:MOST_NAMED])
    more = f" and {len(fixed) - MOST_NAMED} more" if len(fixed) > MOST_NAMED else ""
    return [f"{IN_SOME} {names}{more}; in the others", ASSUMES["resolve"]]


def failure_rows(plan: Plan) -> list[FailureServed]:
    """Every failure, the worst first."""
    tiers = tiers_with_flows(plan)
    return [_failure_served(plan, f, tiers) for f in worst_first(plan)]


def _limit_text(p: Problem) -> str:
    """How far replicas may be filled in failures."""
    return "by waiting" if p.waiting is not None else f"{percent(p.utilisation_in_failure)} of their full rate"


def _moves_without_loss(row: FailureServed) -> bool:
    return row.replicas_lost < ROUNDING and row.moved_requests_per_second >= LEAST_MOVED_REQUESTS_PER_SECOND


def failures_section(plan: Plan) -> Section:
    """FAILURES: every failure, the worst first."""
    p, tiers, rows = plan.problem, tiers_with_flows(plan), failure_rows(plan)
    lines = (
        "served by tier at the last deadline, in brackets a tier's flow that is worst off; replicas lost, evicted for "
        "others, and cold starts; binding: sizes the plan, the others are covered by what these need",
        FULLEST.format(_limit_text(p)),
        ORDERED,
        *([MOVED_WITHOUT_NEED] if any(_moves_without_loss(row) for row in rows) else []),
        *_assumed(p),
        *hour_text(p),
    )

    columns = (
        Column("when lost", lambda row: short_failure(row.failure)),
        Column("at s", lambda row: number(row.deadline_seconds, "g")),
        *(tier_column(p, tier) for tier in tiers),
        Column("moved req/s", lambda row: number(row.moved_requests_per_second, ",.0f")),
        Column("lost", lambda row: int(row.replicas_lost)),
        Column("evicted", lambda row: int(row.replicas_evicted)),
        Column("cold starts", lambda row: int(row.replicas_cold_started)),
        Column("fullest", lambda row: percent(row.fullest_fraction_of_limit)),
        Column("", lambda row: "binding" if row.binding else "", spreadsheet_title="binding"),
        Column("requests USD/h", lambda row: usd(row.requests_usd_per_hour), when=bool(p.request_usd)),
    )
    return Section("FAILURES", lines, columns, rows)


def tier_column(p: Problem, tier: str) -> Column:
    """What a tier is served in the failure of each row: held where that is all, broken where something due is short."""

    def severity(row: FailureServed) -> Severity:
        flow = row.worst_flow[tier]
        if flow is not None and flow.short_fraction > LEAST_SHORT:
            return BROKEN
        return HELD if row.served_fraction[tier] > 1 - LEAST_SHORT else AT_RISK

    return Column(tier, lambda row: _with_worst(p, tier, row), severity=severity)


def _failure_served(plan: Plan, f: str, tiers: list[str]) -> FailureServed:
    p, a, x, h = plan.problem, full(plan.problem), plan.vectors, fullest_hour(plan.problem)
    normal: State = (h, NORMAL, 0.0)
    s: State = (h, f, p.deadlines_seconds[f][-1])
    moved = total(np.maximum(0.0, x.traffic[s,] - x.traffic[normal,]))
    replicas, kept = float(x.replicas[h,].sum()), float(x.kept[s,].sum())
    lost = float((x.replicas[h,] - whole_survivors(a, x, s)).sum())
    fullest_fraction, fullest = _fullest(a, x, s)
    return FailureServed(
        failure=f,
        deadline_seconds=s[2],
        served_fraction={tier: tier_served_fraction(a, x, tier, s) for tier in tiers},
        worst_flow={tier: worst_flow(a, x, tier, [s]) for tier in tiers},
        moved_requests_per_second=float(moved[0]),
        replicas_kept=kept,
        replicas_lost=lost,
        replicas_evicted=replicas - lost - kept,
        replicas_cold_started=float(x.cold_started[s,].sum()),
        fullest_placement=fullest,
        fullest_fraction_of_limit=fullest_fraction,
        requests_usd_per_hour=float(requests_usd_per_hour(a, x, s)[0]),
        binding=f in plan.file.proof.binding_failures,
    )


def _with_worst(p: Problem, tier: str, row: FailureServed) -> str:
    """What a tier is served, and its worst flow where that is less and something is due to the tier."""
    s, share, flow = (
        (fullest_hour(p), row.failure, row.deadline_seconds),
        row.served_fraction[tier],
        row.worst_flow[tier],
    )
    is_due = any(p.tier_of[w] == tier and due_fraction(p, w, o, s) > 0 for w, o in p.flows)
    if is_due and flow is not None and flow.is_worse_than(share):
        worst = percent(flow.served_fraction)
        return Figure(f"{percent(share)} ({worst})", share, "%", worst_flow=flow.served_fraction)
    return percent(share)


def _fullest(a: Arrays, x: Vectors, s: State) -> tuple[float, str]:
    """The placement that is nearest to its limit, with the share of the limit."""
    by_name = zip(filled_of_limit(a, x, s).tolist(), a.p.placements, strict=True)
    return max(((share, e) for share, e in by_name if share > 0), default=(0.0, ""))
