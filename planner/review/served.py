"""Who is served: by tier and goal, in normal operation and in the worst of the goal's failures."""

from collections.abc import Iterable
from dataclasses import dataclass

from planner.plan.in_hand import Plan
from planner.problem.decisions import Decisions
from planner.problem.problem import Problem, State, states
from planner.problem.rules.formulas import due_fraction, requests_offered, served
from planner.review.report import Column, Section, percent, short_failure
from planner.study.dependencies import NORMAL, expand
from planner.study.records.study import Goal

LEAST_DIFFERENCE = 0.005
"""Smaller differences of shares round to none, and are not named."""
WORST_FLOW = "worst flow: workload and origin of the tier that fall shortest of what is due; goals hold for each alone"
HOLDS, UNCOVERABLE, BROKEN = VERDICTS = ("holds", "but for the uncoverable", "BROKEN")
"""From the best to the worst."""


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


def tier_served_fraction(p: Problem, x: Decisions, tier: str, s: State) -> float:
    """Served share of a tier in a state."""
    flows = [(w, o) for w, o in p.flows if p.tier_of[w] == tier]
    offered = sum(float(requests_offered(p, x, w, o, s)) for w, o in flows)
    return sum(float(served(p, x, w, o, s)) for w, o in flows) / offered if offered else 1.0


def worst_flow(p: Problem, x: Decisions, tier: str, among: Iterable[State]) -> WorstFlow | None:
    """The flow of a tier that falls shortest of what is due in some states; where none does, the least served."""
    worst: WorstFlow | None = None
    for s in among:
        for w, o in p.flows:
            offered = float(requests_offered(p, x, w, o, s)) if p.tier_of[w] == tier else 0.0
            if offered <= 0:
                continue
            share = min(1.0, float(served(p, x, w, o, s)) / offered)
            short = max(0.0, due_fraction(p, w, o, s) - share)
            flow = WorstFlow(w, o, round(share, 6), round(short, 6))
            if worst is None or _badness(flow) > _badness(worst):
                worst = flow
    return worst


def _badness(flow: WorstFlow) -> tuple[float, float]:
    return flow.short_fraction, -flow.served_fraction


def _verdict(p: Problem, x: Decisions, tier: str, s: State, fraction: float) -> str:
    """Whether every workload and origin of a tier is served in a state as is due, and as was asked."""
    verdict = HOLDS
    for w, o in p.flows:
        if p.tier_of[w] == tier:
            due, wanted = due_fraction(p, w, o, s), float(requests_offered(p, x, w, o, s))
            if wanted > 0 and due - float(served(p, x, w, o, s)) / wanted > 1e-6:
                return BROKEN
            if due < fraction:
                verdict = UNCOVERABLE
    return verdict


def served_section(plan: Plan) -> Section:
    """Every goal with the worst of its failures."""
    p = plan.problem
    usual, goals, rows = states(p, NORMAL), [], []
    with_flows = tiers_with_flows(plan)
    for tier in plan.study.tiers:
        if tier.name not in with_flows:
            continue
        text = f"normal operation: {percent(tier.serve_fraction)}"
        rows.append(_served(plan, tier.name, text, tier.serve_fraction, usual, 1))
        for goal in tier.survive:
            served_then = _goal_served(plan, tier.name, goal)
            goals.append(served_then)
            rows.append(served_then)
    has_worst = any(map(_worst_flow_text, rows))
    columns = (
        Column("tier"),
        Column("goal"),
        Column("failures"),
        Column("served, worst", lambda row: percent(row.served_fraction_worst)),
        Column("worst flow", _worst_flow_text, when=has_worst),
        Column("when lost", lambda row: short_failure(row.when_lost or "")),
        Column("by replicas"),
        Column("verdict"),
    )
    return Section("SERVED", (WORST_FLOW,) if has_worst else (), columns, rows, data=goals, most=None)


def _goal_served(plan: Plan, tier: str, goal: Goal) -> GoalServed:
    p, failures = plan.problem, [f.id for f in expand(goal, plan.study, plan.graph)]
    at = [s for f in failures for s in states(p, f) if s[2] == goal.within_seconds]
    return _served(plan, tier, goal_text(goal), goal.serve_fraction, at, len(failures))


def _served(plan: Plan, tier: str, goal: str, fraction: float, at: list[State], failures: int) -> GoalServed:
    p, x = plan.problem, plan.decisions
    least, when_lost, by_replicas = 1.0, NORMAL, "warm"
    verdict = HOLDS
    for s in at:
        share = tier_served_fraction(p, x, tier, s)
        if share < least:
            least, when_lost = share, s[1]
        verdict = max(verdict, _verdict(p, x, tier, s, fraction), key=VERDICTS.index)
        if any(x.cold_started[e, s] for e in p.placements):
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
        worst_flow(p, x, tier, at),
    )


def _worst_flow_text(row: GoalServed) -> str:
    """The worst flow, where it is served less than its tier as a whole, or short."""
    flow = row.worst_flow
    if flow is None or not flow.is_worse_than(row.served_fraction_worst):
        return ""
    return f"{flow.workload} from {flow.origin} {percent(flow.served_fraction)}"
