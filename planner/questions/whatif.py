"""What-if: variants of a study, each planned like the study itself, and what they have in common."""

import math
import re
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, Literal, NamedTuple

import pandas as pd

from planner.interruption import interrupted
from planner.plan.decisions import gap_fraction
from planner.plan.file import sealed
from planner.plan.in_hand import Plan, in_hand
from planner.plan.plan import Case
from planner.problem.build import build
from planner.problem.eligibility import workloads_without_edge
from planner.problem.problem import HOURLY
from planner.questions.answer import NOT_PLANNED, Answer
from planner.questions.bridge import Bridge, bridge, costs_without_goals, key_without_goals
from planner.questions.held_plan import SAME_COST, each_at_its_least, the_cheaper
from planner.questions.planned import INTERRUPTED, cut_short, ended_of, plan_or_why_not, silent, within
from planner.questions.rows import NoRows, digest_of
from planner.questions.side_by_side import Lost, Workers, side_by_side
from planner.questions.variants import Variant, studies_of
from planner.solve.search import Effort, Progress, is_proven
from planner.study.records.plan import PlanFile
from planner.study.records.study import Study

STAGE = "planning variants"
AS_THE_STUDY_IS = Variant(())


@dataclass(frozen=True)
class Planning:
    """How every plan of a question is made.

    Parameters
    ----------
    study : as it is
    effort, case : of every plan, so that all are compared on equal terms
    """

    study: Study
    effort: Effort
    case: Case


def plan_variants(
    study: Study,
    variants: Sequence[Variant],
    effort: Effort = Effort(),
    case: Case = "base",
    base: PlanFile | None = None,
    progress: Progress = silent,
    done: Callable[[Answer], None] = lambda answer: None,
    workers: Workers = Workers(),
    rows: NoRows = NoRows(),
) -> tuple[Answer, ...]:
    """Plan a study and its variants, each from a plan that is there: its failures as hints, its whole numbers as start.

    That is the study's own, but within a matrix: there one variant of each row is planned first, and those that differ
    from it in their last change alone start from its plan (`first_of_rows`). So a variant's plan depends on the study
    and on what is asked, not on where it is planned or in which order variants end; where the study's own plan holds in
    the variant as well, it is never dearer than that.

    Parameters
    ----------
    study : as it is
    variants : in the order in which they are begun
    effort, case : of every plan, so that all are compared on equal terms
    base : the plan of the study as it is, where there is one: kept, unless less of a gap is asked for than it was
        planned with and has, and a cheaper one is found
    progress : called with (stage, fraction done, detail); the detail holds an estimate of the time that remains
    done : called with each answer, when it is there
    workers : where variants are planned
    rows : where answers are kept, and those of an earlier run of the same question taken from

    Returns
    -------
    The study as it is, then the variants; one without a plan says why.

    Raises
    ------
    InputError
        when patches are wrong, or the rows are of another question: before anything is planned
    """
    studies, _ = studies_of(study, variants)
    rows.expect(_files(variants))
    planning = Planning(study, effort, case)
    within_all = within(progress, STAGE, AS_THE_STUDY_IS.name, 0, len(variants) + 1, time.monotonic())
    own = plan_as_it_is(planning, base, within_all, rows)
    return _plan_beside(planning, own, variants, studies, progress, done, workers, rows)


def plan_as_it_is(planning: Planning, base: PlanFile | None, progress: Progress, rows: NoRows = NoRows()) -> Answer:
    """The answer for the study as it is: the plan that is given, a better one, or a new one; see `plan_variants`."""
    given_sha256 = None if base is None else base.digest_sha256
    digest = digest_of(planning.study, planning.effort, planning.case, given_sha256)
    if (kept := rows.kept(AS_THE_STUDY_IS, digest)) is not None:  # first: a folder of another question is left as it is
        return kept
    if base is not None and _is_enough(base, planning.effort):
        return Answer(AS_THE_STUDY_IS, base, asked_sha256=digest)
    start = None if base is None else Start(base, base.digest_sha256)
    answer = PlanOf(AS_THE_STUDY_IS, planning.study, planning.effort, planning.case, start)(progress)
    return answer if base is None else replace(answer, plan=the_better(base, answer.plan))


def plan_beside(
    planning: Planning,
    own: Answer,
    variants: Sequence[Variant],
    progress: Progress = silent,
    done: Callable[[Answer], None] = lambda answer: None,
    workers: Workers = Workers(),
    rows: NoRows = NoRows(),
) -> tuple[Answer, ...]:
    """The answers for variants beside that for the study as it is, which is the first; see `plan_variants`.

    Parameters
    ----------
    own : the answer of `plan_as_it_is`

    Raises
    ------
    InputError
        when patches are wrong, or the rows are of another question: before a variant is planned
    """
    studies, _ = studies_of(planning.study, variants)
    rows.expect(_files(variants))
    return _plan_beside(planning, own, variants, studies, progress, done, workers, rows)


def _plan_beside(
    planning: Planning,
    own: Answer,
    variants: Sequence[Variant],
    studies: Sequence[Study],
    progress: Progress,
    done: Callable[[Answer], None],
    workers: Workers,
    rows: NoRows,
) -> tuple[Answer, ...]:
    """The answers, in two rounds: the second starts from plans of the first."""
    answers = list[Answer | None]([None] * len(variants))
    first_of = first_of_rows(variants)
    began = time.monotonic()

    def take(answer: Answer) -> None:
        rows.keep(answer)
        done(answer)

    def plan_of(n: int) -> PlanOf:
        first = answers[first_of[n]] if n in first_of else None
        start = start_of(first) or start_of(own)
        return PlanOf(variants[n], studies[n], planning.effort, planning.case, start, start_of(own))

    take(own)
    stopped = own.is_stopped
    try:
        for numbers in ([n for n in range(len(variants)) if n not in first_of], list(first_of)):
            plans = {n: plan_of(n) for n in numbers}
            for n, plan in plans.items():
                answers[n] = kept = rows.kept(plan.variant, plan.asked_sha256)
                if kept is not None:
                    done(kept)
            open_plans = {n: plan for n, plan in plans.items() if answers[n] is None}
            at, counted = list(open_plans), Counted(len(numbers) - len(open_plans), len(variants), began)
            stopped = stopped or interrupted()
            for number, answer in _answered(list(open_plans.values()), workers, progress, stopped, counted):
                answers[at[number]] = answer
                take(answer)
                stopped = stopped or answer.is_stopped
    except KeyboardInterrupt:
        pass  # what ended before is kept
    planned = (own, *(a if a is not None else plan_of(n).not_planned() for n, a in enumerate(answers)))
    every = each_with_its_least(planned)
    rows.sort(planned, every)
    return every


def each_with_its_least(answers: Sequence[Answer]) -> tuple[Answer, ...]:
    """The answers, each with the cheapest of all their plans that holds in its study; that of the study stays as it is.

    Only when all are final: an answer must not depend on how far a question came that goes on later.
    """
    if not all(answer.is_final for answer in answers):
        return tuple(answers)
    least = iter(each_at_its_least([answer.plan for answer in answers if answer.plan is not None]))
    every = []
    for answer in answers:
        plan = next(least) if answer.plan is not None else None
        every.append(replace(answer, plan=plan) if answer.variant.patches else answer)
    return tuple(every)


class Start(NamedTuple):
    """A plan to start from.

    Parameters
    ----------
    asked_sha256 : digest of what was asked for it; of one that is given its own
    """

    plan: PlanFile
    asked_sha256: str


def start_of(answer: Answer | None) -> Start | None:
    """The plan of an answer, where it has one."""
    return None if answer is None or answer.plan is None else Start(answer.plan, answer.asked_sha256)


def first_of_rows(variants: Sequence[Variant]) -> dict[int, int]:
    """Number of a variant -> that of the variant whose plan it starts from; the others start from the study's own.

    A row are variants of several changes that differ in the last alone, as in a matrix; first is that in its middle.

    Examples
    --------
    Of demand x1.1, x1.2 and prices x0.9, x1.0, x1.1, in this order: {0: 1, 2: 1, 3: 4, 5: 4}
    """
    rows = dict[tuple[str, ...], list[int]]()
    for n, variant in enumerate(variants):
        if len(variant.patches) > 1:
            rows.setdefault(variant.before_last().key, []).append(n)
    middle = {n: row[len(row) // 2] for row in rows.values() for n in row}
    return {n: middle[n] for n in sorted(middle) if n != middle[n]}


@dataclass(frozen=True)
class PlanOf:
    """The plan of one variant, to be made in any process.

    Parameters
    ----------
    study : with the changes of the variant
    start : the plan that it starts from, where there is one
    own : the plan of the study as it is, where there is one
    """

    variant: Variant
    study: Study
    effort: Effort
    case: Case
    start: Start | None
    own: Start | None = None

    @cached_property
    def asked_sha256(self) -> str:
        """Digest of what is planning."""
        at_hand = (each and each.asked_sha256 for each in (self.start, self.own))
        return digest_of(self.study, self.effort, self.case, *at_hand)

    def __call__(self, progress: Progress = silent, hand: Callable[[PlanFile], Plan] = in_hand) -> Answer:
        """The answer; what goes wrong is part of it, and ends no other.

        Parameters
        ----------
        hand : what takes a plan that is there in hand
        """
        try:
            return self._answer(progress, hand)
        except KeyboardInterrupt:
            return self.not_planned()
        except Exception as error:  # hours of other variants must not be lost for it
            return self.lost(f"{error!r}, please report it with the study")

    def not_planned(self) -> Answer:
        """The answer after an interruption."""
        return Answer(self.variant, None, INTERRUPTED, is_stopped=True, asked_sha256=self.asked_sha256)

    def lost(self, why: str) -> Answer:
        """The answer where something went wrong that another run may not meet."""
        return Answer(self.variant, None, NOT_PLANNED + why, unsure=True, asked_sha256=self.asked_sha256)

    def _answer(self, progress: Progress, hand: Callable[[PlanFile], Plan]) -> Answer:
        if findings := list(workloads_without_edge(build(self.study, self.case, with_goals=False)).values()):
            more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
            why_not = f"{findings[0].where}: {findings[0].got}{more}"
            return Answer(self.variant, None, why_not, asked_sha256=self.asked_sha256)
        start = hand(self.start.plan) if self.start is not None else None
        hints = start.file.proof.binding_failures if start is not None else ()
        planned = plan_or_why_not(self.study, self.effort, self.case, progress, hints, start)
        ended_early = interrupted() and planned.plan is not None and planned.plan.proof.status == "stopped"
        is_stopped = ended_early or cut_short(planned.plan, planned.why_not, self.effort)
        plan = planned.plan
        given = (self.start,) if self.own == self.start else (self.start, self.own)
        for each in given if self.variant.patches else ():
            plan = the_cheaper(each.plan, plan) if plan is not None and each is not None else plan
        return Answer(self.variant, plan, planned.why_not, planned.unsure, is_stopped, self.asked_sha256)


class LatestInHand:
    """The plan in hand that was asked for last, as the next variant most often starts from it, too."""

    def __init__(self) -> None:
        self._plan: Plan | None = None

    def __call__(self, plan: PlanFile) -> Plan:
        """A plan in hand."""
        if self._plan is None or self._plan.file is not plan:
            self._plan = in_hand(plan)
        return self._plan


class Counted(NamedTuple):
    """Where a round of plans stands among all.

    Parameters
    ----------
    before, of : plans that were made before it, of how many
    began : `time.monotonic` when the first of all was begun [s]
    """

    before: int
    of: int
    began: float


def _answered(
    plans: Sequence[PlanOf], workers: Workers, progress: Progress, stopped: bool, counted: Counted
) -> Iterator[tuple[int, Answer]]:
    """(number, answer) as they end; in this process an interruption ends the one that runs with what it has."""
    before, of, began = counted
    here = workers.run_here(len(plans))
    jobs: list[Callable[[], Answer]] = list(plans)
    if here:
        latest = LatestInHand()
        jobs = [
            partial(plan, within(progress, STAGE, plan.variant.name, n, of, began), latest)
            for n, plan in enumerate(plans, before)
        ]
    elif not stopped:
        progress(STAGE, before / of, ended_of(before, of, began))
    with closing(side_by_side(jobs if not stopped else (), workers)) as results:
        for ended, (n, result) in enumerate(results, before + 1):
            answer = plans[n].lost(result.why) if isinstance(result, Lost) else result
            if not here:
                progress(STAGE, ended / of, ended_of(ended, of, began))
            yield n, answer
            if answer.is_stopped or interrupted():
                return


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


def _files(variants: Iterable[Variant]) -> dict[str, str]:
    return file_names([Answer(variant, None) for variant in (AS_THE_STUDY_IS, *variants)])


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
