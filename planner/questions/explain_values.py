"""What a step of each limit is worth: the LP bound of the study solved again with it moved; and the plan made again.

The bound is that of the plan with divisible replicas, over all failures. Where a step more saves nothing, a step less
is asked about as well: a dual says nothing of a step and, of a degenerate program, holds on one side only. A step more
can also be dearer: by waiting a longer round trip adds edges, and the longest of them sets the wait of all.
"""

import math
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

INTERRUPTED = "interrupted"
MOST_STEPS = 10
"""Steps that are asked about unless all are wanted: each is a linear program over all failures, or two."""
BY_WAITING = "by waiting: the bound may move another way than the plan, whose replicas wait together"
"""Said of a longer round trip where utilisation is by waiting: the edge with least time to wait sets that of all."""


@dataclass(frozen=True)
class Value:
    """What a step of something is worth.

    Parameters
    ----------
    kind, what, unit, step, means : of the step, see `Step`
    lp_saves_usd : by how much the LP bound falls with a step more headroom [USD over the horizon]; below zero: by how
        much it rises; none: no bound
    saves_usd_per_month : the same, a month of the horizon
    lp_costs_usd : by how much it rises with a step less; below zero: by how much it falls; none: not asked, or there
        is no such study, or no plan
    costs_usd_per_month : the same, a month
    loosened, tightened : why there is no `lp_saves_usd`, no `lp_costs_usd`; empty where there is one
    replanned_least_usd, replanned_most_usd : where planned again with a step more: between which savings the truth lies
        by the proofs of both plans [USD over the horizon]
    replanned_usd : what the two plans differ by [USD over the horizon]
    not_replanned : why there is none of these, where it was to be planned again; empty where there are, or it was not
    caution : why these figures of the bound may say nothing of the plan; empty: nothing is known against it
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
    not_replanned: str = ""
    caution: str = ""


@dataclass(frozen=True)
class Values:
    """Values of steps, those that save most first.

    Parameters
    ----------
    bound_usd : the LP bound of the plan's own study [USD over the horizon]
    not_asked : steps that were left out, as only so many are asked about, or a person ended it
    is_stopped : whether a person ended it
    """

    bound_usd: float
    months: float
    rows: tuple[Value, ...]
    not_asked: tuple[str, ...]
    is_stopped: bool = False


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
    plan_again : of those that save most, how many are planned again, in whole numbers; first those of which the bound
        may say nothing
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
    valued = [value for value, _ in rows]
    by_need = sorted(range(len(rows)), key=lambda at: not valued[at].caution)
    for n, at in enumerate(by_need[:plan_again]):
        step = rows[at][1]
        progress("planning again", n / plan_again, step.what)
        if not interrupted():
            valued[at] = _planned_again(plan, valued[at], step, effort)
    is_stopped = is_stopped or interrupted() or any(value.not_replanned == INTERRUPTED for value in valued)
    return Values(search.bound, plan.study.horizon.months, tuple(valued), tuple(not_asked), is_stopped)


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
        costs_usd, tightened = _moved_usd(plan, search, step.moved(-step.size))
    is_by_waiting = step.kind == "latency" and plan.problem.waiting is not None
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
        caution=BY_WAITING if is_by_waiting else "",
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
        return None, _not_known(error)
    difference_usd = moved_usd - search.bound
    return (0.0 if abs(difference_usd) <= close_usd(search) else difference_usd), ""


def _not_known(error: Exception) -> str:
    return f"not known: {str(error).partition(chr(10))[0]}"


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
    """A value with what planning again with a step more headroom saves, and between what that lies by both proofs.

    More headroom is never dearer, but where the value says caution: elsewhere nothing below zero is possible. What the
    bound does not compare is not compared here: where less is due a plan is cheaper, and nothing was saved.
    """
    if value.loosened:
        return replace(value, not_replanned=value.loosened)
    if interrupted():
        return replace(value, not_replanned=INTERRUPTED)
    study, proof = step.moved(step.size), plan.file.proof
    assert study is not None, "loosened says where there is none"
    try:
        p = build(study, plan.file.demand_case)
        solution = solve(p, effort, None, silent, proof.binding_failures, plan.decisions)
    except KeyboardInterrupt:
        return replace(value, not_replanned=INTERRUPTED)
    except (InputError, NoPlan, SolverError) as error:
        return replace(value, not_replanned=_not_known(error))
    least_usd = -math.inf if value.caution else 0.0
    return replace(
        value,
        replanned_usd=max(least_usd, proof.cost_usd - solution.cost_usd),
        replanned_least_usd=max(least_usd, proof.bound_usd - solution.cost_usd),
        replanned_most_usd=max(least_usd, proof.cost_usd - solution.bound_usd),
    )
