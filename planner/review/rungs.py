"""The report of `planner ladder`: what each goal costs, rung by rung, and what stays at risk at each."""

from collections.abc import Mapping, Sequence
from typing import Any

from planner.questions.ladder import ASSUMED_FRACTION, NO_GOAL, StepPlan, longest_seconds
from planner.review.report import Cell, Report, Section, first_line, percent, short_failure, usd
from planner.study.records.study import Goal, Study

WHY_LINES = 4
NOT_IN = (
    "another order of rungs attributes costs differently: what a rung adds depends on the rungs below",
    "at risk: short of what the goals of all rungs ask, at the worst clock; tiers without a goal are not counted",
    "spot machines count in no failure: a plan that stands on them survives few",
    "USD/h: at outage_usd_per_request of the tiers, while the failure lasts; how often it happens is not counted",
)


def review_ladder(study: Study, steps: Sequence[StepPlan]) -> Report:
    """The report of a ladder; good when every rung of the study's own goals has a plan."""
    sections = (
        _answer(study, steps),
        _rungs(steps),
        *_at_risk(steps),
        *_no_plan(steps),
        Section("NOT IN", (*_assumed(study, steps), *NOT_IN)),
    )
    unsure = tuple(
        f"{rung_text(step.step.name)}: {first_line(step.why_not or step.not_drilled)}" for step in steps if step.unsure
    )
    return Report(f"ladder of study {study.study}", good(steps), sections, unsure=unsure)


def good(steps: Sequence[StepPlan]) -> bool:
    """Whether every rung of the study's own goals has a plan."""
    return all(step.plan is not None for step in steps if step.step.own)


def rung_text(name: str) -> str:
    """A rung as people say it.

    Examples
    --------
    >>> rung_text("site"), rung_text("site:2"), rung_text("failure:flood"), rung_text("none")
    ('any site', 'any 2 sites', 'failure flood', 'no goal')
    """
    kind, _, rest = name.partition(":")
    if name == NO_GOAL:
        return "no goal"
    if kind == "failure":
        return f"failure {rest}"
    return f"any {rest} {kind}s" if rest else f"any {kind}"


def _promise(goals: Mapping[str, Sequence[Goal]]) -> str:
    """What the goals of a rung promise; tiers are named where they differ."""
    said: dict[str, list[str]] = {}
    for tier, of in goals.items():
        text = ", ".join(_goal(goal) for goal in of)
        said.setdefault(text, []).append(tier)
    if len(said) == 1:
        return next(iter(said))
    return "; ".join(f"{', '.join(tiers)} {text}" for text, tiers in said.items())


def _goal(goal: Goal) -> str:
    left_out = f" except {', '.join(goal.except_)}" if goal.except_ else ""
    return f"{percent(goal.serve_fraction)} in {goal.within_seconds:g} s{left_out}{goal.while_out}"


def _differ(step: StepPlan) -> str:
    """What the best plans of a rung and the last differ by; a difference smaller than the gaps says so."""
    if step.plan is None or step.step.name == NO_GOAL:
        return ""
    if step.within_gaps:
        return f"within the gaps, ≤ {step.adds_most_usd:,.0f}"
    return f"{step.adds_least_usd:,.0f} to {step.adds_most_usd:,.0f}"


def _answer(study: Study, steps: Sequence[StepPlan]) -> Section:
    planned = [step for step in steps if step.plan is not None]
    lines = [f"USD over {study.horizon.months:g} months, at the study's prices; each within its gap of the best plan"]
    if study.objective != "cost":
        lines.append(f"USD include what failures are reckoned to cost: objective {study.objective}")
    own = [step for step in planned if step.step.own]
    for step in (own[0], own[-1]) if len(own) > 1 else own:
        assert step.plan is not None
        upto = "no goal" if step.step.name == NO_GOAL else f"the study's own goals, up to {rung_text(step.step.name)}"
        cost = f"{usd(step.cost_usd)} USD, gap {percent(step.gap_fraction, 2)}"
        lines.append(f"{upto}: {cost}{_at_risk_text(step)}")
    lines += _equal_terms(own)
    dear = [step for step in planned if step.step.name != NO_GOAL and not step.within_gaps]
    if dear:
        most = max(dear, key=lambda step: (step.adds_usd, step.step.name))
        lines.append(f"dearest rung: {rung_text(most.step.name)}, +{usd(most.adds_usd)} USD ({_differ(most)})")
    free = [rung_text(step.step.name) for step in planned[1:] if step.within_gaps]
    if free:
        lines.append(f"adds less than the gaps can tell: {', '.join(free)}")
    without = [step for step in steps if step.plan is None and not step.not_planned]
    if without:
        names = ", ".join(rung_text(step.step.name) + ("" if step.step.own else " (assumed)") for step in without)
        lines.append(f"NO PLAN: {names}; the rungs after it stand without its goals")
    left = [rung_text(step.step.name) for step in steps if step.not_planned]
    if left:
        lines.append(f"NOT PLANNED, interrupted: {', '.join(left)}")
    return Section("ANSWER", tuple(lines))


def _equal_terms(own: Sequence[StepPlan]) -> list[str]:
    """How much of what the study's own goals add is for not standing on spot, where no goal does."""
    top = own[-1].plan if own else None
    if top is None or len(own) < 2 or top.on_equal_terms is None:
        return []
    bare, equal = own[0].cost_usd, top.on_equal_terms.cost_usd
    if top.on_equal_terms.bound_usd <= bare:  # no more than the gaps can tell
        return []
    return [
        f"no goal, on equal terms with them: {usd(equal)} USD, buying no more of what counts in no failure (spot): of "
        f"what the goals add {usd(equal - bare)} USD are for not standing on it, {usd(top.proof.cost_usd - equal)} USD "
        "for redundancy"
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
    return rung_text(step.step.name) if step.step.name == NO_GOAL else f"+ {rung_text(step.step.name)}"


def _rungs(steps: Sequence[StepPlan]) -> Section:
    rows: list[tuple[Cell, ...]] = []
    for step in steps:
        promise = _promise(step.step.goals) + ("" if step.step.own else ", assumed")
        if step.plan is None:
            rows.append((_row_name(step), promise, "not planned" if step.not_planned else "no plan", "", "", ""))
            continue
        adds = "" if step.step.name == NO_GOAL else f"{step.adds_usd:+,.0f}"
        cost = usd(step.cost_usd)
        rows.append((_row_name(step), promise, cost, percent(step.gap_fraction, 2), adds, _differ(step)))
    columns = ("rung", "goal", "USD", "gap", "adds USD", "best plans differ by")
    after: tuple[str, ...] = (
        "adds: beyond the last rung with a plan; best plans differ by: at least and at most, as the gaps allow",
        "gap: against the best bound of a rung and those below: more goals never cost less",
    )
    if taken := [rung_text(step.step.name) for step in steps if step.plan_of]:
        after += (f"the plan of a rung above came out cheaper and is taken for: {', '.join(taken)}",)
    return Section("RUNGS", (), columns, tuple(rows), after=after, data=[_data(step) for step in steps])


def _at_risk(steps: Sequence[StepPlan]) -> tuple[Section, ...]:
    found = [(step, step.risk) for step in steps if step.risk is not None]
    rows: list[tuple[Cell, ...]] = []
    for step, risk in found:
        lost = f"{risk.not_survived} of {risk.failures}"
        if risk.worst is None:
            rows.append((_row_name(step), lost, "", "", ""))
            continue
        short = f"{risk.short_requests_per_second:,.0f}"
        rows.append((_row_name(step), lost, short_failure(risk.worst), short, usd(risk.usd_per_hour)))
    columns = ("with", "not survived", "worst when lost", "requests/s short", "USD/h of outage")
    lines = ["failures of all rungs, drilled on each rung's plan; worst: by USD/h, then requests/s"]
    lines += [f"not drilled: {why}" for why in dict.fromkeys(s.not_drilled for s in steps if s.not_drilled)]
    if most := max((risk.uncoverable for _, risk in found), default=0):
        lines.append(
            f"no capacity covers all that is asked in {most} of the failures: planner risk says what is missing"
        )
    return (Section("AT RISK", tuple(lines), columns, tuple(rows)),) if rows or len(lines) > 1 else ()


def _data(step: StepPlan) -> dict[str, Any]:
    found: dict[str, Any] = {
        "rung": step.step.name,
        "own": step.step.own,
        "goals": {t: [g.model_dump(mode="json", by_alias=True) for g in of] for t, of in step.step.goals.items()},
        "plan": None,
        "why_not": step.why_not,
    }
    if step.plan is None:
        return found
    risk = step.risk
    return found | {
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
        "at_risk": None
        if risk is None
        else {
            "failures": risk.failures,
            "not_survived": risk.not_survived,
            "worst": risk.worst,
            "short_requests_per_second": risk.short_requests_per_second,
            "usd_per_hour": risk.usd_per_hour,
            "uncoverable_failures": risk.uncoverable,
        },
    }


def _no_plan(steps: Sequence[StepPlan]) -> tuple[Section, ...]:
    lines: list[str] = []
    for step in steps:
        if step.plan is None and not step.not_planned:
            lines.append(f"{rung_text(step.step.name)}:")
            lines += [f"  {line.strip()}" for line in step.why_not.splitlines()[:WHY_LINES]]
    return (Section("NO PLAN", tuple(lines)),) if lines else ()


def _assumed(study: Study, steps: Sequence[StepPlan]) -> tuple[str, ...]:
    names = [rung_text(step.step.name) for step in steps if not step.step.own]
    if not names:
        return ()
    within = f"{percent(ASSUMED_FRACTION)} within {longest_seconds(study):g} s, the longest deadline of its goals"
    return (f"assumed, the study has no such goal: {', '.join(names)}: {within}",)
