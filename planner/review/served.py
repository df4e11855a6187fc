"""Who is served: by tier and goal, in normal operation and in the worst of the goal's failures."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from planner.plan.in_hand import Plan
from planner.problem.algebra import Array
from planner.problem.arrays import Arrays, full
from planner.problem.decisions import Vectors
from planner.problem.problem import State, states
from planner.problem.rules.formulas import served
from planner.review.report import AT_RISK, BROKEN, HELD, Column, Section, Severity, percent, short_failure
from planner.study.dependencies import NORMAL, expand
from planner.study.records.study import Goal

LEAST_DIFFERENCE = 0.005
"""Smaller differences of shares round to none, and are not named."""
WORST_FLOW = "worst flow: workload and origin of the tier that fall shortest of what is due; goals hold for each alone"
HOLDS, UNCOVERABLE, BREAKS = VERDICTS = ("holds", "but for the uncoverable", "BROKEN")
"""From the best to the worst."""
SEVERITIES: dict[str, Severity] = {HOLDS: HELD, UNCOVERABLE: AT_RISK, BREAKS: BROKEN}


def goal_text(goal: Goal) -> str:
    """A survival goal as people say it."""
    return f"{goal.lost_text}: {percent(goal.serve_fraction)} within {goal.within_seconds:g} s"


def tiers_with_flows(plan: Plan) -> list[str]:
    """The tiers that any workload with demand belongs to, in the study's order."""
    used = {plan.problem.tier_of[w] for w, _ in plan.problem.flows}
    return [tier.name for tier in plan.study.tiers if tier.name in used]


@dataclass(frozen=True)
class WorstFlow:
    """The flow of a tier that is worst off: the share of it that is served, and that is short of what is due."""

    workload: str
    origin: str
    served_fraction: float
    short_fraction: float

    def is_worse_than(self, tier_fraction: float) -> bool:
        """Whether it is short, or served clearly less than its tier on the whole."""
        return self.short_fraction > 0 or self.served_fraction <= tier_fraction - LEAST_DIFFERENCE


@dataclass(frozen=True)
class GoalServed:
    """A goal at its deadline, in the failure that serves the least; or normal operation in its worst hour.

    Parameters
    ----------
    failures : how many the goal expands to
    when_lost : the failure; None where everything is served in all
    """

    tier: str
    goal: str
    failures: int
    served_fraction_worst: float
    when_lost: str | None
    by_replicas: str
    verdict: str
    worst_flow: WorstFlow | None


def _flows_of(a: Arrays, tier: str) -> Array:
    """Flows of a tier [F]."""
    return np.array([a.p.tier_of[w] == tier for w, _ in a.flows], dtype=bool)


def tier_served_fraction(a: Arrays, x: Vectors, tier: str, s: State) -> float:
    """Served share of a tier in a state."""
    flows = _flows_of(a, tier)
    offered = sum(x.offered[s,][flows].tolist())
    return sum(served(a, x, s)[flows].tolist()) / offered if offered else 1.0


def worst_flow(a: Arrays, x: Vectors, tier: str, among: Iterable[State]) -> WorstFlow | None:
    """The flow of a tier that falls shortest of what is due in some states; where none does, the least served."""
    flows, worst = _flows_of(a, tier), list[WorstFlow]()
    for s in among:
        offered = x.offered[s,]
        asks = np.flatnonzero(flows & (offered > 0))
        share = np.minimum(1.0, served(a, x, s)[asks] / offered[asks])
        short = np.maximum(0.0, a.due_share(s)[asks] - share)
        for i in np.lexsort((np.round(share, 6), -np.round(short, 6)))[:1]:
            w, o = a.flows[asks[i]]
            worst.append(WorstFlow(w, o, round(float(share[i]), 6), round(float(short[i]), 6)))
    return max(worst, key=_badness, default=None)


def _badness(flow: WorstFlow) -> tuple[float, float]:
    return flow.short_fraction, -flow.served_fraction


def _verdict(a: Arrays, x: Vectors, tier: str, s: State, fraction: float) -> str:
    """Whether every workload and origin of a tier is served in a state as is due, and as was asked."""
    flows = _flows_of(a, tier)
    due, wanted = a.due_share(s)[flows], x.offered[s,][flows]
    share = np.divide(served(a, x, s)[flows], wanted, out=np.ones(len(wanted)), where=wanted > 0)
    if (due - share > 1e-6).any():
        return BREAKS
    return UNCOVERABLE if (due < fraction).any() else HOLDS


def goals_served(plan: Plan) -> list[GoalServed]:
    """Every goal of a tier that has demand, in the study's order."""
    with_flows = tiers_with_flows(plan)
    tiers = [tier for tier in plan.study.tiers if tier.name in with_flows]
    return [goal_served(plan, tier.name, goal) for tier in tiers for goal in tier.survive]


def served_section(plan: Plan) -> Section:
    """Every goal with the worst of its failures."""
    usual, goals, rows = states(plan.problem, NORMAL), goals_served(plan), list[GoalServed]()
    with_flows = tiers_with_flows(plan)
    for tier in plan.study.tiers:
        if tier.name not in with_flows:
            continue
        text = f"normal operation: {percent(tier.serve_fraction)}"
        rows.append(_served(plan, tier.name, text, tier.serve_fraction, usual, 1))
        rows += [goal for goal in goals if goal.tier == tier.name]
    has_worst = any(map(_worst_flow_text, rows))
    columns = (
        Column("tier"),
        Column("goal"),
        Column("failures"),
        Column("served, worst", lambda row: percent(row.served_fraction_worst)),
        Column("worst flow", _worst_flow_text, when=has_worst),
        Column("when lost", lambda row: short_failure(row.when_lost or "")),
        Column("by replicas"),
        Column("verdict", severity=lambda row: SEVERITIES[row.verdict]),
    )
    lines = (WORST_FLOW,) if has_worst else ()
    return Section("SERVED", lines, columns, rows, most=None, part="answer")


def goal_served(plan: Plan, tier: str, goal: Goal) -> GoalServed:
    """A goal of a tier at its deadline, in the failure that serves the least of it."""
    """A goal of a tier at its deadline, in the failure that serves the least of it."""
    p, failures = plan.problem, [f.id for f in expand(goal, plan.study, plan.graph)]
    at = [s for f in failures for s in states(p, f) if s[2] == goal.within_seconds]
    return _served(plan, tier, goal_text(goal), goal.serve_fraction, at, len(failures))


def _served(plan: Plan, tier: str, goal: str, fraction: float, at: list[State], failures: int) -> GoalServed:
    a, x = full(plan.problem), plan.vectors
    least, when_lost, by_replicas = 1.0, NORMAL, "warm"
    verdict = HOLDS
    for s in at:
        share = tier_served_fraction(a, x, tier, s)
        if share < least:
            least, when_lost = share, s[1]
        verdict = max(verdict, _verdict(a, x, tier, s, fraction), key=VERDICTS.index)
        if x.cold_started[s,].any():
            by_replicas = "warm, cold starts"
    is_normal, all_served = all(s[1] == NORMAL for s in at), least > 1 - 1e-9
    return GoalServed(
        tier,
        goal,
        failures,
        1.0 if all_served else least,
        None if all_served or is_normal else when_lost,
        "" if is_normal and at else by_replicas,
        verdict,
        worst_flow(a, x, tier, at),
    )


def _worst_flow_text(row: GoalServed) -> str:
    """The worst flow, where it is served less than its tier as a whole, or short."""
    flow = row.worst_flow
    if flow is None or not flow.is_worse_than(row.served_fraction_worst):
        return ""
    return f"{flow.workload} from {flow.origin} {percent(flow.served_fraction)}"
