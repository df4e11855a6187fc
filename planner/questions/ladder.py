"""The ladder: what each survival goal costs when goals are added in turn, and what stays at risk at each step."""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from planner.drill import DrillResult, drill_plan
from planner.errors import Finding, InputError, SolverError
from planner.plan.decisions import gap_fraction
from planner.plan.plan import Case
from planner.problem.build import build
from planner.questions.planned import INTERRUPTED, is_stopped, plan_or_why_not, silent, within
from planner.solve.search import Effort, Progress
from planner.study.dependencies import NORMAL, components_of, dependency_graph
from planner.study.outage_costs import outage_usd_per_request
from planner.study.records.plan import PlanFile
from planner.study.records.study import Goal, Study
from planner.units import outage_usd_per_hour

NO_GOAL = "none"
KINDS = ("site", "region", "provider", "stack")
PAIRS = ("site", "provider")
ASSUMED_FRACTION = 1.0
DRILL_INTERRUPTED = "interrupted"
DRILL_NODES, MORE_DRILL_NODES = 100, 5000
"""Nodes of a search for whole replicas in a failure, and of another where these lead nowhere."""
ASSUMED_SECONDS = 300.0
"""Deadline of goals that the study does not have, where it has no goal at all."""

Goals = Mapping[str, tuple[Goal, ...]]
"""Tier -> goals"""


@dataclass(frozen=True)
class LadderStep:
    """Goals of one kind, that are added together.

    Parameters
    ----------
    name : `site`; `site:2` for pairs; `failure:NAME`; `none`
    goals : of each tier that has some
    own : whether the study asks for them; else they are assumed
    """

    name: str
    goals: Goals
    own: bool


@dataclass(frozen=True)
class Risk:
    """What the failures of all steps do to the plan of one, by the drill.

    Parameters
    ----------
    failures, not_survived : how many there are; in how many of them a goal of some step falls short
    worst : the costliest of them, at its worst deadline
    short_requests_per_second, usd_per_hour : below what the goals ask then, and what that costs
    uncoverable : failures in which some of what is asked can be served by no capacity; they cost the same at every step
    """

    failures: int
    not_survived: int
    worst: str | None
    short_requests_per_second: float
    usd_per_hour: float
    uncoverable: int


@dataclass(frozen=True)
class StepPlan:
    """One step as planned.

    Parameters
    ----------
    plan : the cheapest found with the goals of this step and of those below that have a plan; none: see `why_not`
    bound_usd : no plan costs less: the best bound of this step and those below
    adds_usd : cost beyond the last step with a plan
    adds_least_usd, adds_most_usd : what the best plans differ by, at least and at most
    risk : none where `not_drilled` says why
    plan_of : the step above whose plan came out cheaper and is taken here, too; empty: its own
    """

    step: LadderStep
    plan: PlanFile | None
    bound_usd: float = 0.0
    adds_usd: float = 0.0
    adds_least_usd: float = 0.0
    adds_most_usd: float = 0.0
    risk: Risk | None = None
    why_not: str = ""
    not_drilled: str = ""
    plan_of: str = ""
    holds_already: bool = False
    """whether it is the plan of the step below, which survives what this one asks by the drill: nothing was planned"""
    unsure: bool = False
    """whether the search or the drill failed: it is not known whether there is a plan, or what it survives"""

    @property
    def cost_usd(self) -> float:
        """Over the horizon; 0 without a plan."""
        return self.plan.proof.cost_usd if self.plan is not None else 0.0

    @property
    def gap_fraction(self) -> float:
        """(cost - bound) / cost."""
        return gap_fraction(self.cost_usd, self.bound_usd)

    @property
    def within_gaps(self) -> bool:
        """Whether the best plans of this step and the last may cost the same."""
        return self.adds_least_usd <= 0.0

    @property
    def not_planned(self) -> bool:
        """Whether an interruption came before."""
        return self.plan is None and self.why_not == INTERRUPTED


# ------------------------------------------------------------------ steps
def step_name(goal: Goal) -> str:
    """The step that a goal belongs to.

    Examples
    --------
    >>> step_name(Goal(any="site", of=2, within_seconds=60)), step_name(Goal(failure="flood", within_seconds=60))
    ('site:2', 'failure:flood')
    """
    if goal.failure is not None:
        return f"failure:{goal.failure}"
    return f"{goal.any}" if goal.of == 1 else f"{goal.any}:{goal.of}"


def longest_seconds(study: Study) -> float:
    """The longest deadline of the study's goals [s]; ASSUMED_SECONDS without any."""
    return max((goal.within_seconds for tier in study.tiers for goal in tier.survive), default=ASSUMED_SECONDS)


def ladder_steps(study: Study) -> tuple[LadderStep, ...]:
    """The steps of a study: what it asks for first, then what it does not.

    The order of both: any site, region, provider, stack; kinds of the study's own; its named failures; pairs. What the
    study does not ask for is assumed: all served within its longest deadline, by the tiers that have goals.
    """
    own: dict[str, dict[str, tuple[Goal, ...]]] = {}
    for tier in study.tiers:
        for goal in tier.survive:
            of_step = own.setdefault(step_name(goal), {})
            of_step[tier.name] = (*of_step.get(tier.name, ()), goal)
    more = {step_name(goal): goal for goal in _more_goals(study)}
    held = [tier.name for tier in study.tiers if tier.survive] or [tier.name for tier in study.tiers]
    steps = [LadderStep(name, goals, True) for name, goals in own.items()]
    steps += [LadderStep(name, dict.fromkeys(held, (goal,)), False) for name, goal in more.items() if name not in own]
    return (LadderStep(NO_GOAL, {}, True), *sorted(steps, key=_order))


def _more_goals(study: Study) -> Iterator[Goal]:
    """One goal of each kind that a ladder has, as it is assumed where the study has none."""
    graph = dependency_graph(study)

    def assumed(**what: Any) -> Goal:
        return Goal(serve_fraction=ASSUMED_FRACTION, within_seconds=longest_seconds(study), **what)

    for kind in KINDS:
        if len(components_of(graph, kind)) > 1:
            yield assumed(any=kind)
    for named in study.failures:
        yield assumed(failure=named.name)
    for kind in PAIRS:
        if len(components_of(graph, kind)) > 2:
            yield assumed(any=kind, of=2)


def _order(step: LadderStep) -> tuple[bool, int, int, str]:
    kind, _, of = step.name.partition(":")
    if kind == "failure":
        return (not step.own, 2, 0, step.name)
    place = KINDS.index(kind) if kind in KINDS else len(KINDS)
    return (not step.own, 3 if of else 0 if kind in KINDS else 1, place, step.name)


def chosen(steps: Sequence[LadderStep], texts: Iterable[str]) -> tuple[LadderStep, ...]:
    """The steps that are named, in that order, on `none`; all of them when none is named.

    Parameters
    ----------
    steps : all of them
    texts : names of steps, one or several with commas; a name may have commas of its own when it stands alone

    Raises
    ------
    InputError
        for each name that is no step
    """
    by_name = {step.name: step for step in steps}
    parts = (name for text in texts for name in ([text] if text in by_name else text.split(",")))
    wanted = list(dict.fromkeys((NO_GOAL, *(name.strip() for name in parts))))
    if findings := [
        Finding("--steps", f"one of {', '.join(by_name)}", name, "separate them with commas, lowest first")
        for name in wanted
        if name not in by_name
    ]:
        raise InputError(findings)
    return tuple(by_name[name] for name in wanted) if len(wanted) > 1 else tuple(steps)


def with_goals(study: Study, steps: Iterable[LadderStep]) -> Study:
    """The study with the goals of these steps alone."""
    goals: dict[str, tuple[Goal, ...]] = {}
    for step in steps:
        for tier, more in step.goals.items():
            goals[tier] = (*goals.get(tier, ()), *more)
    tiers = tuple(tier.model_copy(update={"survive": goals.get(tier.name, ())}) for tier in study.tiers)
    return study.model_copy(update={"tiers": tiers})


# ------------------------------------------------------------------ risk
def risk_of(study: Study, result: DrillResult) -> Risk:
    """What stays at risk, of the rows of a drill.

    Formula
        usd_per_hour = 3600 · Σ over tiers short_requests_per_second · outage_usd_per_request, at the worst deadline
    """
    usd = outage_usd_per_request(study)
    short: dict[tuple[str, float], tuple[float, float]] = {}
    failures, uncoverable = set[str](), set[str]()
    for row in result.rows:
        if row.failure == NORMAL:
            continue
        failure = row.of or row.failure  # its stages are one failure
        failures.add(failure)
        if row.uncovered_requests_per_second > 0:
            uncoverable.add(failure)
        if row.broken:
            cost, requests = short.get((failure, row.deadline_seconds), (0.0, 0.0))
            more = row.short_requests_per_second
            short[failure, row.deadline_seconds] = (
                cost + outage_usd_per_hour(more, usd[row.tier]),
                requests + more,
            )
    ranked = sorted((-cost, -requests, f, deadline) for (f, deadline), (cost, requests) in short.items())
    cost, requests, worst, _ = ranked[0] if ranked else (0.0, 0.0, None, 0.0)
    broken = {f for f, _ in short}
    return Risk(len(failures), len(broken), worst, abs(requests), abs(cost), len(uncoverable))


# ------------------------------------------------------------------ climbing
def climb(
    study: Study,
    steps: Sequence[LadderStep],
    effort: Effort = Effort(gap_fraction=0.03),
    case: Case = "base",
    progress: Progress = silent,
) -> tuple[StepPlan, ...]:
    """Plan a study with the goals of each step added in turn, and drill the failures of all steps on every plan.

    A step starts from the plan of the one below and the failures that decided those, and leaves out the goals of steps
    without a plan. Where that plan survives what the step asks, it is the plan of this one, too. More goals never cost
    less: a bound holds for every step above, too, and a cheaper plan from above for every step below.

    Parameters
    ----------
    study : its goals are replaced by those of the steps
    steps : in the order in which they are added
    effort, case : of every plan
    progress : called with (stage, fraction done, detail); the detail holds an estimate of the time that remains

    Returns
    -------
    one plan per step; after an interruption the rest says so
    """
    everything = with_goals(study, steps)
    plans, kept, hints = list[StepPlan](), list[LadderStep](), tuple[str, ...]()
    below, verdict = None, NOT_DRILLED
    began, stopped = time.monotonic(), False
    for n, step in enumerate(steps):
        if stopped:
            plans.append(StepPlan(step, None, why_not=INTERRUPTED))
            continue
        asked = with_goals(study, [*kept, step])
        if below is not None and _survives(verdict, asked, case):
            plans.append(replace(below, step=step, holds_already=True))
            kept.append(step)
            continue
        within_all = within(progress, "climbing", step.name, n, len(steps), began)
        start = below.plan if below is not None else None
        plan, why_not, unsure = plan_or_why_not(asked, effort, case, within_all, hints, start)
        if below is not None and below.plan is not None and plan is not None and drills_the_same(below.plan, plan):
            drilled = verdict
        else:
            drilled = _drilled(everything, plan, within_all) if plan is not None else NOT_DRILLED
        unsure = unsure or drilled.why_not not in ("", DRILL_INTERRUPTED)
        one = StepPlan(step, plan, risk=drilled.risk, why_not=why_not, not_drilled=drilled.why_not, unsure=unsure)
        plans.append(one)
        stopped = is_stopped(plan, why_not or drilled.why_not, effort)
        if plan is not None:
            below, verdict = one, drilled
            kept.append(step)
            hints = tuple(dict.fromkeys((*hints, *plan.proof.binding_failures)))
    return compared(plans)


def compared(plans: Sequence[StepPlan]) -> tuple[StepPlan, ...]:
    """The plans with what each adds: cheaper plans from above taken over first, bounds from below next.

    Formula
        bound_usd[k] = max(bound_usd[k - 1], bound of the plan)
        adds_least_usd = max(0, bound_usd[k] - cost[k - 1]);  adds_most_usd = cost[k] - bound_usd[k - 1]    [USD]
    """
    cheapest: StepPlan | None = None
    cheaper: list[StepPlan] = []
    for one in reversed(plans):
        if one.plan is not None and (cheapest is None or one.cost_usd <= cheapest.cost_usd):
            cheapest = one
        elif one.plan is not None and cheapest is not None:
            bound = one.plan.proof.bound_usd
            one = replace(cheapest, step=one.step, bound_usd=bound, plan_of=cheapest.step.name)
        cheaper.insert(0, one)
    steps: list[StepPlan] = []
    last: StepPlan | None = None
    for one in cheaper:
        if one.plan is not None:
            own = one.bound_usd if one.plan_of else one.plan.proof.bound_usd
            bound = min(one.cost_usd, max(own, last.bound_usd if last is not None else own))
            one = replace(one, bound_usd=bound)
            if last is not None:
                one = replace(
                    one,
                    adds_usd=one.cost_usd - last.cost_usd,
                    adds_least_usd=max(0.0, bound - last.cost_usd),
                    adds_most_usd=one.cost_usd - last.bound_usd,
                )
            last = one
        steps.append(one)
    return tuple(steps)


@dataclass(frozen=True)
class Verdict:
    """What the drill says of a plan.

    Parameters
    ----------
    broken : failures in which some goal of some step falls short
    complete : whether it knows every rule of the study, and was not ended early
    why_not : why there is none; empty: there is
    """

    risk: Risk | None = None
    broken: frozenset[str] = frozenset()
    complete: bool = False
    why_not: str = ""


NOT_DRILLED = Verdict()


def _survives(verdict: Verdict, asked: Study, case: Case) -> bool:
    """Whether the plan that was drilled survives every failure that a study asks about."""
    return verdict.complete and not verdict.broken & build(asked, case).failures.keys()


def drills_the_same(one: PlanFile, other: PlanFile) -> bool:
    """Whether a drill of the same failures says the same of two plans: it reads no more of them than this."""

    def drilled(plan: PlanFile) -> tuple[object, ...]:
        normal = [state for state in plan.states if state.failure == NORMAL]
        return plan.purchases, plan.builds, plan.replicas, plan.reserves, plan.chosen, plan.rules, normal

    return drilled(one) == drilled(other)


def _drilled(everything: Study, plan: PlanFile, progress: Progress) -> Verdict:
    """The failures of all steps, drilled on the plan of one."""
    asked = plan.model_copy(update={"study": everything})

    def drilled(failures: int, of: int) -> None:
        progress("drilling the failures of all steps", failures / max(1, of), "")

    try:
        result = _by_what_breaks(asked, drilled)
    except KeyboardInterrupt:
        return Verdict(why_not=DRILL_INTERRUPTED)
    except InputError as error:
        first = error.findings[0]
        return Verdict(why_not=f"{first.where}: the drill expects {first.expected}, got {first.got}")
    except SolverError as error:
        return Verdict(why_not=str(error))
    return Verdict(risk_of(everything, result), _broken(result), not result.not_judged)


def _by_what_breaks(plan: PlanFile, progress: Callable[[int, int], None]) -> DrillResult:
    """The drill of what goals ask for, and of failures that break one until all has recovered.

    There parts of replicas will do: what breaks with these does so for sure, and how much more is short with whole ones
    takes a search each, and is asked of the worst alone. Where most will break, as without goals, that comes first.
    What breaks with whole replicas alone may do so for want of nodes: it is searched once more, with many.
    """
    has_goals = plan.proof.failures_tested > 0
    if has_goals:
        result = drill_plan(plan, None, progress, most_nodes=DRILL_NODES, only_goals=True)
        for_sure = _broken(result)
        if for_sure:
            parts = drill_plan(plan, most_nodes=0, only=for_sure)
            for_sure = _broken(parts)
            result = _replaced(result, parts, for_sure)
    else:
        result = drill_plan(plan, None, progress, most_nodes=0)
        for_sure = _broken(result)
        others = {row.failure for row in result.rows} - for_sure - {NORMAL}
        if others:
            again = drill_plan(plan, most_nodes=DRILL_NODES, only_goals=True, only=others)
            result = _replaced(result, again, others)
    doubtful = _broken(result) - for_sure - {NORMAL}
    if doubtful:
        again = drill_plan(plan, most_nodes=MORE_DRILL_NODES, only_goals=True, only=doubtful)
        result = _replaced(result, again, doubtful)
    worst = risk_of(plan.study, result).worst
    if worst is not None:  # something breaks, and not in normal operation alone
        again = drill_plan(plan, most_nodes=DRILL_NODES, only=[worst])
        result = _replaced(result, again, _broken(again))
    return result


def _broken(result: DrillResult) -> frozenset[str]:
    """Failures that break a goal."""
    return frozenset(row.failure for row in result.rows if row.broken)


def _replaced(result: DrillResult, again: DrillResult, failures: Collection[str]) -> DrillResult:
    """A result with the rows of another drill, of some failures."""
    rows = [row for row in result.rows if row.failure not in failures]
    return replace(result, rows=(*rows, *(row for row in again.rows if row.failure in failures)))
