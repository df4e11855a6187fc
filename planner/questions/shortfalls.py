"""Survival goals that a drill finds broken, as goals of the study."""

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from planner.drill import DrillResult, DrillRow, broken_without, drill_plan
from planner.errors import InputError, refusal
from planner.plan.in_hand import Plan, in_hand
from planner.study.dependencies import NORMAL, Graph, dependency_graph, expand
from planner.study.outage_costs import outage_usd_per_request
from planner.study.records.plan import PlanFile
from planner.study.records.study import Goal, Study
from planner.units import HOURS_PER_DAY, outage_usd_per_hour

MOST_NODES = 100
"""Of a search for whole replicas in a failure, where parts of replicas break nothing."""


@dataclass(frozen=True)
class BrokenGoal:
    """A survival goal that does not hold.

    Parameters
    ----------
    goal : none: normal operation
    failures : those in which it breaks, the worst first
    served_fraction : of the tier's demand, in the worst of them
    worst_flow : its workload and origin that are worst off there; `flow_served_fraction` of its demand is served
    in_parts : whether parts of replicas count: whole ones serve less in all, and may share it out otherwise
    """

    tier: str
    goal: Goal | None
    failures: tuple[str, ...]
    served_fraction: float
    worst_flow: str
    flow_served_fraction: float
    in_parts: bool = False

    @property
    def text(self) -> str:
        """The goal as people say it."""
        if self.goal is None:
            return f"{self.tier}: normal operation"
        within = f"{100 * self.goal.serve_fraction:g} % within {self.goal.within_seconds:g} s"
        return f"{self.tier}: {self.goal.lost_text}, {within}"


def broken_goals(study: Study, result: DrillResult, graph: Graph | None = None) -> tuple[BrokenGoal, ...]:
    """The goals behind the broken rows of a drill, in the order of the study, normal operation first.

    Parameters
    ----------
    graph : the dependency graph of the study, where it is at hand
    """
    return _goals_of_rows(study, result.rows, dependency_graph(study) if graph is None else graph, in_parts=False)


def _goals_of_rows(study: Study, all_rows: Sequence[DrillRow], graph: Graph, in_parts: bool) -> tuple[BrokenGoal, ...]:
    """The goals behind broken rows; `in_parts`: whether parts of replicas count in rows of failures."""
    broken = []
    for tier in study.tiers:
        mine = [row for row in all_rows if row.broken and row.tier == tier.name]
        if normal := [row for row in mine if row.failure == NORMAL]:
            broken.append(_broken(tier.name, None, normal, in_parts=False))
        for goal in tier.survive:
            of_goal = {f.id for f in expand(goal, study, graph)}
            rows = [r for r in mine if r.failure in of_goal or r.of in of_goal]
            rows = [r for r in rows if r.deadline_seconds >= goal.within_seconds]
            # where another goal asks for more at that deadline, it may be the only one that breaks
            rows = [r for r in rows if goal.serve_fraction >= r.due_fraction or _short_of(r, goal.serve_fraction)]
            if rows:
                broken.append(_broken(tier.name, goal, rows, in_parts))
    return tuple(broken)


def _short_of(row: DrillRow, fraction: float) -> bool:
    """Whether the worst flow of a tier is served less than a fraction of it, as far as that can be covered."""
    return row.worst_served_fraction < min(fraction, row.worst_due_fraction)


def _broken(tier: str, goal: Goal | None, rows: list[DrillRow], in_parts: bool) -> BrokenGoal:
    """A goal with the failures of its broken rows, the one first whose worst flow is served least."""
    worst = sorted(rows, key=lambda r: (r.worst_served_fraction, r.served_fraction, r.failure))
    names = tuple(dict.fromkeys(r.failure for r in worst))
    first = worst[0]
    flow = f"{first.worst_workload} from {first.worst_origin}"
    served, of_flow = max(0.0, first.served_fraction), max(0.0, first.worst_served_fraction)
    return BrokenGoal(tier, goal, names, served, flow, of_flow, in_parts)


def drilled(plan: PlanFile, progress: Callable[[int, int], None] | None = None) -> DrillResult:
    """A drill of a plan whose study may have been changed by hand.

    Parameters
    ----------
    progress : called with (failures done, failures in all)

    Raises
    ------
    InputError
        when names or numbers of the study do not fit together
    """
    try:
        return drill_plan(plan, progress=progress)
    except (ArithmeticError, LookupError, StopIteration) as error:
        raise _cannot_be_drilled(error) from error


def _cannot_be_drilled(error: Exception) -> InputError:
    got, fix = f"{type(error).__name__} {error}", "make the plan again with `planner plan`"
    return refusal("plan: study", "one that can be drilled", got[:120], fix)


@dataclass(frozen=True)
class Late:
    """What it costs when machines come late.

    Parameters
    ----------
    goals : that break while they are missing
    usd_per_day : outage cost of requests that normal operation does not serve, on the plan's own routes [USD/day]
    """

    goals: tuple[BrokenGoal, ...]
    usd_per_day: float


def cost_of_being_late(plan: PlanFile | Plan, late: Collection[tuple[str, str]]) -> Late:
    """What breaks while purchases (offer, period or hour) are late, and what that costs a day at the worst.

    Formula
        usd_per_day = Σ_tier short_requests_per_second · usd_per_request · 86400
    """
    return costs_of_being_late(plan, [late])[0]


def costs_of_being_late(
    plan: PlanFile | Plan,
    sets: Sequence[Collection[tuple[str, str]]],
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> list[Late]:
    """`cost_of_being_late` of each of some sets of purchases; what they have in common is asked once.

    What is short although parts of replicas count is short for sure, and that is the answer: how much more is short
    with whole replicas takes a search in every failure. Where no failure breaks so, whole replicas are looked for.

    Parameters
    ----------
    progress : called with (failures replayed, failures in all)

    Raises
    ------
    InputError
        when names or numbers of the study do not fit together
    """
    hand = in_hand(plan)
    try:
        rows_of = broken_without(hand.file, sets, 0, progress)
        breaks = [any(row.failure != NORMAL for row in rows) for rows in rows_of]
        again = [keys for keys, broken in zip(sets, breaks, strict=True) if not broken]
        searched = iter(broken_without(hand.file, again, MOST_NODES) if again else ())
    except (ArithmeticError, LookupError, StopIteration) as error:
        raise _cannot_be_drilled(error) from error
    return [
        _late(hand, rows, in_parts=True) if broken else _late(hand, next(searched), in_parts=False)
        for rows, broken in zip(rows_of, breaks, strict=True)
    ]


def _late(plan: Plan, rows: tuple[DrillRow, ...], in_parts: bool) -> Late:
    """What breaks, as goals and as money."""
    by_hour: dict[str, float] = defaultdict(float)
    usd_per_request = outage_usd_per_request(plan.study)
    for r in rows:
        if r.failure == NORMAL:
            by_hour[r.hour] += outage_usd_per_hour(r.short_requests_per_second, usd_per_request[r.tier])
    goals = _goals_of_rows(plan.study, rows, plan.graph, in_parts)
    return Late(goals, max(by_hour.values(), default=0.0) * HOURS_PER_DAY)
