"""A study's plan, or why it has none: what every question asks that plans more than one study."""

import time
from collections.abc import Sequence
from typing import NamedTuple

from planner.errors import NoPlan, SolverError
from planner.interruption import interrupted
from planner.plan.explain import diagnose
from planner.plan.in_hand import Plan
from planner.plan.plan import Case, make_plan
from planner.problem.problem import Problem
from planner.solve.search import Effort, Infeasible, Progress, Solution
from planner.solve.solve import solve
from planner.study.records.plan import PlanFile
from planner.study.records.study import Study

INTERRUPTED = "not planned: interrupted"


def silent(stage: str, done: float | None, detail: str) -> None:
    """Progress that nobody looks at."""


class Planned(NamedTuple):
    """A plan, or why there is none.

    Parameters
    ----------
    unsure : whether the search failed: it is not known whether there is a plan
    """

    plan: PlanFile | None
    why_not: str = ""
    unsure: bool = False


def cut_short(plan: PlanFile | None, why_not: str, effort: Effort) -> bool:
    """Whether a person ended this search before its end."""
    by_person = effort.seconds is None and plan is not None and plan.proof.status == "stopped"
    return by_person or why_not.endswith("interrupted")


def is_stopped(plan: PlanFile | None, why_not: str, effort: Effort) -> bool:
    """Whether a person ended a search, so that nothing more is to be planned."""
    return interrupted() or cut_short(plan, why_not, effort)


def plan_or_why_not(
    study: Study,
    effort: Effort,
    case: Case,
    progress: Progress = silent,
    hints: Sequence[str] = (),
    start: PlanFile | Plan | None = None,
) -> Planned:
    """The plan of a study, as of `make_plan`; without one, what it is short of."""
    try:
        return Planned(make_plan(study, effort, progress=progress, case=case, hints=hints, start=start))
    except KeyboardInterrupt:
        return Planned(None, INTERRUPTED)
    except Infeasible:
        pass
    except (NoPlan, SolverError) as error:
        return Planned(None, str(error), unsure=True)
    try:
        return Planned(None, str(diagnose(study, case, progress)))
    except KeyboardInterrupt:
        return Planned(None, "no plan exists; the search for the reason was interrupted")


def solution_or_why_not(
    p: Problem, effort: Effort, progress: Progress = silent, hints: Sequence[str] = ()
) -> tuple[Solution | None, str]:
    """The solution of a problem; without one, why it is not known whether there is one: empty where there is none."""
    try:
        return solve(p, effort, None, progress, hints), ""
    except Infeasible:
        return None, ""
    except (NoPlan, SolverError) as error:
        return None, str(error)


def within(progress: Progress, stage: str, name: str, n: int, of: int, began: float) -> Progress:
    """Progress of one plan within all of them, with an estimate of the time that remains once one is done.

    Parameters
    ----------
    stage : what is done with all of them
    n, of : plans made before this one, of how many
    began : `time.monotonic` when the first was begun [s]
    """

    def inner(inner_stage: str, done: float | None, detail: str) -> None:
        estimate = f", about {(time.monotonic() - began) / n * (of - n):,.0f} s left" if n else ""
        progress(stage, n / of, f"{n + 1} of {of}: {name}" + (f": {inner_stage}" if inner_stage else "") + estimate)

    return inner


def ended_of(ended: int, of: int, began: float) -> str:
    """How many plans have ended of those made side by side, with an estimate of the time that remains.

    Parameters
    ----------
    began : `time.monotonic` when the first was begun [s]
    """
    estimate = f", about {(time.monotonic() - began) / ended * (of - ended):,.0f} s left" if ended else ""
    return f"{ended} of {of}{estimate}"
