"""What-if: variants of a study, each planned like the study itself, and what they have in common."""

import math
import re
import signal
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, ProcessPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from multiprocessing import active_children, get_context
from typing import Any, Literal

import pandas as pd

from planner.plan.decisions import gap_fraction
from planner.plan.file import sealed
from planner.plan.in_hand import in_hand
from planner.plan.plan import Case
from planner.problem.build import build
from planner.problem.eligibility import workloads_without_edge
from planner.problem.problem import HOURLY
from planner.questions.bridge import Bridge, bridge, costs_without_goals, key_without_goals
from planner.questions.planned import INTERRUPTED, is_stopped, plan_or_why_not, silent, within
from planner.questions.variants import Variant, studies_of
from planner.solve.search import Effort, Progress, is_proven
from planner.study.records.plan import PlanFile
from planner.study.records.study import Study

ENDED_EARLY = "not planned: its process ended early, as for want of memory; try fewer --jobs"
STAGE = "planning variants"
SAME_COST = 1e-9
"""Share by which costs may differ by arithmetic."""


@dataclass(frozen=True)
class Answer:
    """A variant with its plan, or why it has none."""

    variant: Variant
    plan: PlanFile | None
    why_not: str = ""
    unsure: bool = False
    """whether the search failed: it is not known whether there is a plan"""

    @property
    def not_planned(self) -> bool:
        """Whether nobody tried: a person ended it, or its process did."""
        return self.plan is None and self.why_not in (INTERRUPTED, ENDED_EARLY)


def plan_variants(
    study: Study,
    variants: Sequence[Variant],
    effort: Effort = Effort(),
    case: Case = "base",
    base: PlanFile | None = None,
    progress: Progress = silent,
    done: Callable[[Answer], None] = lambda answer: None,
    jobs: int = 1,
) -> tuple[Answer, ...]:
    """Plan a study and its variants, each from the study's own plan: its failures as hints, its whole numbers as start.

    A variant's plan depends on the study and on what it changes, not on what else is asked with it.

    Parameters
    ----------
    study : as it is
    variants : in the order in which they are planned
    effort, case : of every plan, so that all are compared on equal terms
    base : the plan of the study as it is, where there is one: kept, unless less of a gap is asked for than it was
        planned with and has, and a cheaper one is found
    progress : called with (stage, fraction done, detail); the detail holds an estimate of the time that remains
    done : called with each answer, in order
    jobs : processes that plan variants at a time; the plans are the same with any number

    Returns
    -------
    The study as it is, then the variants; one without a plan says why.

    Raises
    ------
    InputError
        when patches are wrong: before anything is planned
    """
    studies, _ = studies_of(study, variants)
    first = Variant(())
    if base is not None and _is_enough(base, effort):
        own = kept = Answer(first, base)
    else:
        within_all = within(progress, STAGE, first.name, 0, len(variants) + 1, time.monotonic())
        own = _answer(first, study, within_all, effort, case, base)
        kept = own if base is None else Answer(first, the_better(base, own.plan))
    answers = [kept]
    done(kept)
    asked = list(zip(variants, studies, strict=True))
    answering = partial(_answer, effort=effort, case=case, start=kept.plan)
    stopped = is_stopped(own.plan, own.why_not, effort)
    if jobs == 1:
        following = _one_by_one(asked, answering, effort, progress, stopped)
    else:
        following = _side_by_side(asked, answering, effort, progress, stopped, jobs)
    for answer in following:
        answers.append(answer)
        done(answer)
    return tuple(answers)


def _is_enough(base: PlanFile, effort: Effort) -> bool:
    """Whether planning again with this effort could do no better than a plan that is there: it was asked for as much.

    A time limit or a person that ended it is no reason: what is asked about is this plan.
    """
    proof = base.proof
    return is_proven(proof.gap_fraction, effort.gap_fraction) or proof.gap_asked_fraction <= effort.gap_fraction


def the_better(given: PlanFile, again: PlanFile | None) -> PlanFile:
    """The plan that was given, unless the same study planned again is cheaper; with the better bound of the two."""
    if again is None:
        return given
    a, b = given.proof, again.proof
    bound_usd = min(max(a.bound_usd, b.bound_usd), a.cost_usd, b.cost_usd)
    kept, gap_asked = (again if b.cost_usd < a.cost_usd * (1 - SAME_COST) else given), b.gap_asked_fraction
    gap = gap_fraction(kept.proof.cost_usd, bound_usd)
    proven: Literal["proven", "gap"] = "proven" if is_proven(gap, gap_asked) else "gap"
    status = kept.proof.status if kept.proof.status == "stopped" else proven
    more = {"bound_usd": bound_usd, "gap_fraction": gap, "gap_asked_fraction": gap_asked, "status": status}
    proof = kept.proof.model_copy(update=more)
    return kept if proof == kept.proof else sealed(kept.model_copy(update={"proof": proof}))


Asked = Sequence[tuple[Variant, Study]]
Answering = Callable[..., Answer]
"""(variant, study, progress) -> its answer"""


def _one_by_one(
    asked: Asked, answering: Answering, effort: Effort, progress: Progress, stopped: bool
) -> Iterator[Answer]:
    """The answers, each when it is there; after an interruption the rest says so."""
    began = time.monotonic()
    for n, (variant, study) in enumerate(asked):
        if stopped:
            yield Answer(variant, None, INTERRUPTED)
            continue
        answer = answering(variant, study, within(progress, STAGE, variant.name, n, len(asked), began))
        stopped = is_stopped(answer.plan, answer.why_not, effort)
        yield answer


def _side_by_side(
    asked: Asked, answering: Answering, effort: Effort, progress: Progress, stopped: bool, jobs: int
) -> Iterator[Answer]:
    """The same answers from several processes at a time, in the order of the variants."""
    began = time.monotonic()
    with ProcessPoolExecutor(jobs, get_context("spawn"), _leave_interruptions_to_the_parent) as pool:
        futures = [pool.submit(answering, variant, study) for variant, study in asked]
        for future, (variant, _) in zip(futures, asked, strict=True):
            if stopped:
                future.cancel()
            try:
                while not future.done():
                    n = sum(f.done() for f in futures)
                    within(progress, STAGE, variant.name, n, len(asked), began)("", None, "")
                    wait([future], timeout=1.0)
                answer = future.result()
                stopped = stopped or is_stopped(answer.plan, answer.why_not, effort)
            except (KeyboardInterrupt, CancelledError):
                stopped = True
                pool.shutdown(wait=False, cancel_futures=True)
                for child in active_children():
                    child.terminate()
                answer = Answer(variant, None, INTERRUPTED)
            except BrokenExecutor:
                answer = Answer(variant, None, INTERRUPTED if stopped else ENDED_EARLY)
            yield answer


def _leave_interruptions_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _answer(
    variant: Variant,
    study: Study,
    progress: Progress = silent,
    effort: Effort = Effort(),
    case: Case = "base",
    start: PlanFile | None = None,
) -> Answer:
    """The answer for one variant, planned from the plan of the study as it is, where there is one."""
    if findings := list(workloads_without_edge(build(study, case, with_goals=False)).values()):
        more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
        return Answer(variant, None, f"{findings[0].where}: {findings[0].got}{more}")
    hints = start.proof.binding_failures if start is not None else ()
    return Answer(variant, *plan_or_why_not(study, effort, case, progress, hints, start))


def file_names(answers: Iterable[Answer]) -> dict[str, str]:
    """Name of the variant -> name of its plan's file: letters, digits and dashes, none twice.

    Examples
    --------
    `demand[*,london] = x1.2` as the third variant: `03-demand-london-x1.2.json`; the study as it is: `00-as-it-is.json`
    """
    answers = list(answers)
    digits = max(2, math.ceil(math.log10(len(answers) + 1)))
    names = {}
    for n, answer in enumerate(answers):
        slug = re.sub(r"[^a-z0-9.]+", "-", answer.variant.name.lower()).strip("-.")[:80].rstrip("-.")
        names[answer.variant.name] = f"{n:0{digits}}-{slug}.json" if slug else f"{n:0{digits}}.json"
    return names


def bridges_of(answers: Sequence[Answer]) -> dict[str, Bridge]:
    """Name of the variant -> from the plan of the study as it is to its plan; none where one of the two is missing.

    What lies between is planned without survival goals, each once, unless it is one of the variants itself.
    """
    base, plans = answers[0].plan, {a.variant.name: a.plan for a in answers[1:] if a.plan is not None}
    if base is None:
        return {}
    known = {
        key_without_goals(plan.study, plan.demand_case): plan.without_goals.costs_usd
        for plan in (base, *plans.values())
    }
    without_goals = costs_without_goals(Effort(gap_fraction=base.proof.gap_asked_fraction), known)
    hand = in_hand(base)
    return {name: bridge(hand, plan, without_goals) for name, plan in plans.items()}


def units_bought(plan: PlanFile) -> dict[str, int]:
    """Units of each offer: of all periods together, and of the hour with most of those rented by the hour."""
    hourly = {offer.id for offer in plan.study.offers if offer.kind in HOURLY}
    units: dict[str, int] = {}
    for b in plan.purchases:
        before = units.get(b.offer, 0)
        units[b.offer] = max(before, b.units) if b.offer in hourly else before + b.units
    return units


def in_common(answers: Iterable[Answer]) -> list[dict[Hashable, Any]]:
    """Offers with the units of each plan: what all of them buy can be signed whichever variant comes true.

    Returns
    -------
    By offer, those in most plans first: least and most units, in how many plans it is bought, of how many.
    """
    plans = [units_bought(answer.plan) for answer in answers if answer.plan is not None and answer.variant.asked]
    units = pd.DataFrame(plans).fillna(0).astype(int)
    columns = {"least": units.min(), "most": units.max(), "in": (units > 0).sum()}
    table = pd.DataFrame(columns).rename_axis("offer").reset_index().assign(of=len(plans))
    return table.sort_values(["in", "least", "offer"], ascending=[False, False, True]).to_dict("records")
