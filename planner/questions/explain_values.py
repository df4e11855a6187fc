"""What a step of each limit is worth: the LP bound of the study solved again with it moved; and the plan made again.

The bound is that of the plan with divisible replicas, over all failures. Where a step more saves nothing, a step less
is asked about as well: a dual says nothing of a step and, of a degenerate program, holds on one side only.
"""

from dataclasses import dataclass, replace

from planner.errors import InputError, NoPlan, SolverError
from planner.interruption import interrupted
from planner.plan.in_hand import Plan
from planner.problem.build import build
from planner.problem.eligibility import workloads_without_edge
from planner.problem.problem import Problem
from planner.questions.explain_bound import close_usd, solved_bound
from planner.questions.explain_steps import Kind, Step, steps_of
from planner.questions.planned import silent
from planner.solve.search import Effort, Infeasible, Progress, Search
from planner.solve.solve import solve
from planner.study.records.study import Study

MOST_STEPS = 10
"""Steps that are asked about unless all are wanted: each is a linear program over all failures, or two."""


@dataclass(frozen=True)
class Value:
    """What a step of something is worth.

    Parameters
    ----------
    kind, what, unit, step, means : of the step, see `Step`
    lp_saves_usd : by how much the LP bound falls with a step more headroom [USD over the horizon]; none: no bound;
        below zero where it rises, as by waiting it may
    saves_usd_per_month : the same, a month of the horizon
    lp_costs_usd : by how much it rises with a step less, below zero where it falls; none: not asked, or there is no
        such study, or no plan
    costs_usd_per_month : the same, a month
    loosened, tightened : why there is no `lp_saves_usd`, no `lp_costs_usd`; empty where there is one
    replanned_least_usd, replanned_most_usd : where planned again with a step more: between which savings the truth lies
        by the proofs of both plans [USD over the horizon]
    replanned_usd : what the two plans differ by [USD over the horizon]
    """

    kind: Kind
    what: str
    unit: str
    step: float
    means: str
    lp_saves_usd: float | None
    saves_usd_per_month: float | None
    lp_costs_usd: float | None
    costs_usd_per_month: float | None
    loosened: str = ""
    tightened: str = ""
    replanned_usd: float | None = None
    replanned_least_usd: float | None = None
    replanned_most_usd: float | None = None


@dataclass(frozen=True)
class Values:
    """Values of steps, those that save most first.

    Parameters
    ----------
    bound_usd : the LP bound of the plan's own study [USD over the horizon]
    not_asked : steps that were left out, as only so many are asked about, or a person ended it
    is_stopped : whether a person ended it
    by_waiting : whether utilisation is by waiting: what a longer round trip brings into reach holds queues to less
    """

    bound_usd: float
    months: float
    rows: tuple[Value, ...]
    not_asked: tuple[str, ...]
    is_stopped: bool = False
    by_waiting: bool = False


def values(
    plan: Plan,
    most: int | None = MOST_STEPS,
    plan_again: int = 0,
    effort: Effort = Effort(),
    progress: Progress = silent,
) -> Values:
    """What steps of a plan's limits are worth, confirmed by solving again.

    Parameters
    ----------
    most : steps that are asked about; none: all, each in both directions
    plan_again : of those that save most, how many are planned again, in whole numbers
    effort : of these plans

    Raises
    ------
    Infeasible
        when the study inside the plan has no plan: the file was changed by hand
    """
    search = solved_bound(plan.problem, plan.file.proof.binding_failures, progress)
    steps = steps_of(plan, search)
    asked = steps if most is None else steps[:most]
    rows, not_asked = list[tuple[Value, Step]](), [step.what for step in steps[len(asked) :]]
    is_stopped = False
    for n, step in enumerate(asked):
        if interrupted():
            not_asked, is_stopped = [each.what for each in steps[n:]], True
            break
        progress("solving the bound again", n / len(asked), step.what)
        try:
            rows.append((value_of(plan, search, step, both=most is None), step))
        except KeyboardInterrupt:
            not_asked, is_stopped = [each.what for each in steps[n:]], True
            break
    rows.sort(key=lambda row: (-(row[0].lp_saves_usd or 0.0), -(row[0].lp_costs_usd or 0.0), row[0].what))
    valued = []
    for n, (value, step) in enumerate(rows):
        if n < plan_again and not interrupted():
            progress("planning again", n / plan_again, step.what)
            try:
                value = _planned_again(plan, value, step, effort)
            except KeyboardInterrupt:
                is_stopped = True
        valued.append(value)
    by_waiting = plan.problem.waiting is not None
    is_stopped = is_stopped or interrupted()
    return Values(search.bound, plan.study.horizon.months, tuple(valued), tuple(not_asked), is_stopped, by_waiting)


def value_of(plan: Plan, search: Search, step: Step, both: bool = True) -> Value:
    """What a step is worth, beside a search at the LP bound of the plan's own problem.

    Parameters
    ----------
    both : whether a step less is asked about where a step more saves something, too
    """
    months = plan.study.horizon.months
    difference_usd, loosened = _moved_usd(plan, search, step.moved(step.size))
    saves_usd = None if difference_usd is None else 0.0 - difference_usd
    costs_usd, tightened = None, "not asked"
    if both or saves_usd is None or saves_usd <= 0:
        difference_usd, tightened = _moved_usd(plan, search, step.moved(-step.size))
        costs_usd = difference_usd
    return Value(
        step.kind,
        step.what,
        step.unit,
        step.size,
        step.means,
        saves_usd,
        None if saves_usd is None else saves_usd / months,
        costs_usd,
        None if costs_usd is None else costs_usd / months,
        loosened,
        tightened,
    )


def _moved_usd(plan: Plan, search: Search, study: Study | None) -> tuple[float | None, str]:
    """By how much the LP bound of a moved study is above that of the plan's [USD]; none: with the reason."""
    if study is None:
        return None, "cannot be moved so far"
    try:
        p = build(study, plan.file.demand_case)
        if p.coverable != plan.problem.coverable and not workloads_without_edge(p):
            return None, _covers(plan.problem, p)
        if p == plan.problem:
            return 0.0, ""  # as where no placement comes into reach
        moved_usd = solved_bound(p, search.binding).bound
    except Infeasible:
        return None, "no plan"
    except (InputError, NoPlan, SolverError) as error:
        return None, f"not known: {str(error).partition(chr(10))[0]}"
    difference_usd = moved_usd - search.bound
    return (0.0 if abs(difference_usd) <= close_usd(search) else difference_usd), ""


def _covers(before: Problem, after: Problem) -> str:
    """That what any capacity could serve in failures is another: then less, or more, is due, and costs do not compare.

    What nothing can serve is not due: see `Problem.coverable`.
    """
    less, more = list[str](), list[str]()
    for f, of in before.coverable.items():
        then = after.coverable.get(f, {})
        if any(share < of.get(flow, 1.0) for flow, share in then.items()):
            less.append(f)
        elif of != then:
            more.append(f)
    named = [("less", less), ("more", more)]
    said = [f"{word} can be covered in {len(those)} of the failures, as {those[0]}" for word, those in named if those]
    return "; ".join(said)


def _planned_again(plan: Plan, value: Value, step: Step, effort: Effort) -> Value:
    """A value with what planning again with a step more headroom saves, and between what that lies by both proofs."""
    study = step.moved(step.size)
    if study is None:
        return value
    proof = plan.file.proof
    try:
        p = build(study, plan.file.demand_case)
        solution = solve(p, effort, None, silent, proof.binding_failures, plan.decisions)
    except (InputError, NoPlan, SolverError):
        return value
    return replace(
        value,
        replanned_usd=_saved_usd(p, proof.cost_usd - solution.cost_usd),
        replanned_least_usd=_saved_usd(p, proof.bound_usd - solution.cost_usd),
        replanned_most_usd=_saved_usd(p, proof.cost_usd - solution.bound_usd),
    )


def _saved_usd(p: Problem, usd: float) -> float:
    """A saving by a step more headroom: never below nothing, but by waiting, where it may cost more."""
    return usd if p.waiting is not None else max(0.0, usd)
