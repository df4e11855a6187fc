"""The report of `planner ladder`: what each goal costs, step by step, and what stays at risk at each."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from planner.questions.ladder import ASSUMED_FRACTION, NO_GOAL, Risk, StepPlan, longest_seconds
from planner.review.figures import Figure, number
from planner.review.report import (
    AT_RISK,
    HELD,
    Column,
    Drawing,
    Report,
    Section,
    as_data,
    first_line,
    made,
    no_plan_section,
    percent,
    short_failure,
    usd,
)
from planner.review.resilience import ResilienceStep, steps_section
from planner.study.records.study import Goal, Study

OUT_OF_SCOPE = (
    "another order of steps attributes costs differently: what a step adds depends on the steps before",
    "at risk: short of what the goals of all steps ask, at the worst deadline; tiers without a goal are not counted",
    "how much is short: at least, as with parts of replicas; with whole ones in the worst failure of each step",
    "spot machines count in no failure: a plan that stands on them survives few",
    "USD/h: at outage_usd_per_request or outage_usd_per_hour of the tiers, while the failure lasts; how often it "
    "happens is not counted",
)


def review_ladder(study: Study, steps: Sequence[StepPlan]) -> Report:
    """The report of a ladder; good when every step of the study's own goals has a plan."""
    out_of_scope = Section("OUT OF SCOPE", (*_assumed(study, steps), *OUT_OF_SCOPE))
    no_plan = {step_text(step.step.name): step.why_not for step in steps if step.plan is None and not step.not_planned}
    unsure = tuple(
        f"{step_text(step.step.name)}: {first_line(step.why_not or step.not_drilled)}" for step in steps if step.unsure
    )
    sections = made(_answer(study, steps), _steps(steps), _at_risk(steps), no_plan_section(no_plan), out_of_scope)
    drawings = partial(_drawings, study, steps)
    return Report(f"ladder of study {study.study}", good(steps), sections, unsure=unsure, drawings=drawings)


def _drawings(study: Study, steps: Sequence[StepPlan]) -> Sequence[Drawing]:
    """What each step adds to the cost of those before, of the steps that have a plan."""
    from planner.review.charts.resilience import cascade

    rows = []
    for step in steps:
        if step.plan is not None:
            what_for = step_text(step.step.name) + ("" if step.step.own else ", assumed")
            adds_usd = (step.adds_usd, step.adds_least_usd, step.adds_most_usd)
            rows.append(ResilienceStep(_row_name(step), what_for, step.cost_usd, step.bound_usd, *adds_usd))
    lines = ("what each step adds beyond the last one with a plan; its goals, gap and risks: STEPS, AT RISK",)
    section = steps_section("COST OF EACH STEP", lines, rows)
    chart = cascade("ladder", "What each goal costs, step by step", section, study.horizon.months)
    return () if chart is None else (chart,)


def good(steps: Sequence[StepPlan]) -> bool:
    """Whether every step of the study's own goals has a plan."""
    return all(step.plan is not None for step in steps if step.step.own)


def step_text(name: str) -> str:
    """A step as people say it.

    Examples
    --------
    >>> step_text("site"), step_text("site:2"), step_text("failure:flood"), step_text("none")
    ('any site', 'any 2 sites', 'failure flood', 'no goal')
    """
    kind, _, rest = name.partition(":")
    if name == NO_GOAL:
        return "no goal"
    if kind == "failure":
        return f"failure {rest}"
    return f"any {rest} {kind}s" if rest else f"any {kind}"


def _promise(goals: Mapping[str, Sequence[Goal]]) -> str:
    """What the goals of a step promise; tiers are named where they differ."""
    tiers_of: dict[str, list[str]] = {}
    for tier, of in goals.items():
        tiers_of.setdefault(", ".join(_goal(goal) for goal in of), []).append(tier)
    if len(tiers_of) == 1:
        return next(iter(tiers_of))
    return "; ".join(f"{', '.join(tiers)} {text}" for text, tiers in tiers_of.items())


def _goal(goal: Goal) -> str:
    exceptions = f" except {', '.join(goal.except_)}" if goal.except_ else ""
    return f"{percent(goal.serve_fraction)} in {goal.within_seconds:g} s{exceptions}{goal.while_out}"


def _differ(step: StepPlan) -> str:
    """What the best plans of a step and the last differ by; a difference smaller than the gaps says so."""
    if step.plan is None or step.step.name == NO_GOAL:
        return ""
    if step.within_gaps:
        text = f"within the gaps, ≤ {step.adds_most_usd:,.0f}"
        return Figure(text, step.adds_least_usd, "USD", most=step.adds_most_usd, note="within the gaps")
    text = f"{step.adds_least_usd:,.0f} to {step.adds_most_usd:,.0f}"
    return Figure(text, step.adds_least_usd, "USD", most=step.adds_most_usd)


def _answer(study: Study, steps: Sequence[StepPlan]) -> Section:
    planned = [step for step in steps if step.plan is not None]
    lines = [f"USD over {study.horizon.months:g} months, at the study's prices; each within its gap of the best plan"]
    if study.objective != "cost":
        lines.append(f"USD include what failures are reckoned to cost: objective {study.objective}")
    own = [step for step in planned if step.step.own]
    for step in (own[0], own[-1]) if len(own) > 1 else own:
        assert step.plan is not None
        upto = "no goal" if step.step.name == NO_GOAL else f"the study's own goals, up to {step_text(step.step.name)}"
        cost = f"{usd(step.cost_usd)} USD, gap {percent(step.gap_fraction, 2)}"
        lines.append(f"{upto}: {cost}{_at_risk_text(step)}")
    lines += _equal_terms(own)
    dear = [step for step in planned if step.step.name != NO_GOAL and not step.within_gaps]
    if dear:
        most = max(dear, key=lambda step: (step.adds_usd, step.step.name))
        lines.append(f"dearest step: {step_text(most.step.name)}, +{usd(most.adds_usd)} USD ({_differ(most)})")
    free = [step_text(step.step.name) for step in planned[1:] if step.within_gaps]
    if free:
        lines.append(f"adds less than the gaps can tell: {', '.join(free)}")
    without = [step for step in steps if step.plan is None and not step.not_planned]
    if without:
        names = ", ".join(step_text(step.step.name) + ("" if step.step.own else " (assumed)") for step in without)
        lines.append(f"NO PLAN: {names}; the steps after it stand without its goals")
    not_planned = [step_text(step.step.name) for step in steps if step.not_planned]
    if not_planned:
        lines.append(f"NOT PLANNED, interrupted: {', '.join(not_planned)}")
    return Section("ANSWER", tuple(lines))


def _equal_terms(own: Sequence[StepPlan]) -> list[str]:
    """How much of what the study's own goals add is for not standing on spot, where no goal does."""
    top = own[-1].plan if own else None
    if top is None or len(own) < 2 or top.on_equal_terms is None:
        return []
    without_goals, equal = own[0].cost_usd, top.on_equal_terms.cost_usd
    if top.on_equal_terms.bound_usd <= without_goals:  # no more than the gaps can tell
        return []
    return [
        f"no goal, on equal terms with them: {usd(equal)} USD, buying no more of what counts in no failure (spot): of "
        f"what the goals add {usd(equal - without_goals)} USD are for not standing on it, "
        f"{usd(top.proof.cost_usd - equal)} USD for redundancy"
    ]


def _at_risk_text(step: StepPlan) -> str:
    risk = step.risk
    if risk is None:
        return ""
    if risk.worst is None:
        return f"; survives all {risk.failures} failures of the ladder"
    short = f"{risk.short_requests_per_second:,.0f} requests/s short, {usd(risk.usd_per_hour)} USD/h"
    lost = f"{risk.not_survived} of {risk.failures} failures of the ladder are not survived"
    return f"; {lost}, worst {short_failure(risk.worst)}: {short}"


def _row_name(step: StepPlan) -> str:
    return step_text(step.step.name) if step.step.name == NO_GOAL else f"+ {step_text(step.step.name)}"


def _cost(step: StepPlan) -> str:
    if step.plan is not None:
        return usd(step.cost_usd)
    return "not planned" if step.not_planned else "no plan"


def _steps(steps: Sequence[StepPlan]) -> Section:
    columns = (
        Column("step", _row_name),
        Column("goal", lambda step: _promise(step.step.goals) + ("" if step.step.own else ", assumed")),
        Column("USD", _cost),
        Column("gap", lambda step: percent(step.gap_fraction, 2) if step.plan is not None else ""),
        Column("adds USD", _adds),
        Column("best plans differ by", _differ),
    )
    after = [
        "adds: beyond the last step with a plan; best plans differ by: at least and at most, as the gaps allow",
        "gap: against the best bound of a step and those before: more goals never cost less",
    ]
    if taken := [step_text(step.step.name) for step in steps if step.plan_of]:
        after.append(f"the plan of a later step came out cheaper and is taken for: {', '.join(taken)}")
    if holds := [step_text(step.step.name) for step in steps if step.holds_already and not step.plan_of]:
        after.append(f"the plan of the step before survives it, too, by the drill: {', '.join(holds)}")
    return Section("STEPS", (), columns, steps, tuple(after), data=[_data(step) for step in steps])


def _adds(step: StepPlan) -> str:
    return "" if step.plan is None or step.step.name == NO_GOAL else number(step.adds_usd, "+,.0f", unit="USD")


def _at_risk(steps: Sequence[StepPlan]) -> Section | None:
    """What each step's plan does not survive of the failures of all steps."""
    drilled = [(step, step.risk) for step in steps if step.risk is not None]
    lines = ["failures of all steps, drilled on each step's plan; worst: by USD/h, then requests/s"]
    lines += [f"not drilled: {why}" for why in dict.fromkeys(s.not_drilled for s in steps if s.not_drilled)]
    if most := max((risk.uncoverable for _, risk in drilled), default=0):
        lines.append(
            f"no capacity covers all that is asked in {most} of the failures: planner risk says what is missing"
        )
    columns = (
        Column("with", lambda row: _row_name(row[0])),
        Column(
            "not survived",
            lambda row: f"{row[1].not_survived} of {row[1].failures}",
            severity=lambda row: AT_RISK if row[1].not_survived else HELD,
        ),
        _risk_column("worst when lost", lambda risk: short_failure(risk.worst or "")),
        _risk_column("requests/s short", lambda risk: number(risk.short_requests_per_second, ",.0f")),
        _risk_column("USD/h of outage", lambda risk: usd(risk.usd_per_hour)),
    )
    data = [{"step": step.step.name, **_risk_data(risk)} for step, risk in drilled]
    return Section("AT RISK", tuple(lines), columns, drilled, data=data) if drilled or len(lines) > 1 else None


def _risk_column(title: str, cell: Callable[[Risk], str]) -> Column:
    """A column about the worst failure; blank where all are survived."""
    return Column(title, lambda row: "" if row[1].worst is None else cell(row[1]))


def _risk_data(risk: Risk) -> dict[str, Any]:
    data: dict[str, Any] = as_data(risk)
    return {"uncoverable_failures" if name == "uncoverable" else name: value for name, value in data.items()}


def _data(step: StepPlan) -> dict[str, Any]:
    data: dict[str, Any] = {
        "step": step.step.name,
        "own": step.step.own,
        "goals": step.step.goals,
        "plan": None,
        "why_not": step.why_not,
    }
    if step.plan is None:
        return data
    return data | {
        "plan": {
            "cost_usd": step.cost_usd,
            "bound_usd": step.bound_usd,
            "gap_fraction": step.gap_fraction,
            "status": step.plan.proof.status,
            "plan_sha256": step.plan.digest_sha256,
        },
        "adds_usd": step.adds_usd,
        "best_plans_differ_by_usd": [step.adds_least_usd, step.adds_most_usd],
        "within_gaps": step.within_gaps,
        "not_drilled": step.not_drilled,
        "plan_of": step.plan_of or step.step.name,
        "at_risk": None if step.risk is None else _risk_data(step.risk),
    }


def _assumed(study: Study, steps: Sequence[StepPlan]) -> tuple[str, ...]:
    names = [step_text(step.step.name) for step in steps if not step.step.own]
    if not names:
        return ()
    within = f"{percent(ASSUMED_FRACTION)} within {longest_seconds(study):g} s, the longest deadline of its goals"
    return (f"assumed, the study has no such goal: {', '.join(names)}: {within}",)
