"""`planner whatif --ask`: slip, crossover and sequence, each from the study or plan to its report."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from planner.plan.plan import Case
    from planner.questions.bridging import Late
    from planner.questions.crossover import By
    from planner.questions.slip import Slip
    from planner.questions.whatif import Answer, Variant
    from planner.review.report import Report
    from planner.solve.search import Effort, Progress
    from planner.study.records.plan import PlanFile
    from planner.study.records.study import Study

QUESTIONS = ("slip", "crossover", "sequence")


@dataclass(frozen=True)
class Question:
    """A ready-made question with its options, as they stand on the command line.

    Parameters
    ----------
    what : ids or patterns of phases and offers (slip), of pools (crossover)
    is_late, known_on : whether a slip is also asked about as known late, and when; None: when it is due
    """

    ask: str
    what: tuple[str, ...] = ()
    clocks: tuple[str, ...] = ()
    periods: tuple[int, ...] = ()
    months: tuple[float, ...] = ()
    is_late: bool = False
    known_on: date | None = None
    by: "By" = "machine_type"
    within_fraction: float = 0.03
    pairs: bool = False


@dataclass(frozen=True)
class How:
    """How its plans are made."""

    effort: "Effort"
    case: "Case"
    base: "PlanFile | None"
    progress: "Progress"
    most: int
    jobs: int
    all_rows: bool


def reported(question: Question, study: "Study", how: How) -> "tuple[Report, Sequence[Answer]]":
    """The report that answers a question, and the plans that were made for it.

    Raises
    ------
    InputError
        when an option leads nowhere
    NoPlan
        when the study as it is has none
    """
    return {"slip": _slip, "crossover": _crossover, "sequence": _sequence}[question.ask](question, study, how)


def _crossover(question: Question, study: "Study", how: How) -> "tuple[Report, Sequence[Answer]]":
    from fnmatch import fnmatchcase

    from planner.errors import Finding, InputError
    from planner.questions.crossover import crossover
    from planner.review.asked import review_crossover

    pools = question.what or ("*",)
    findings = [
        Finding("--what", "the id of a pool, or a pattern of them", p, "write provider/site/machine-type, or aws/*")
        for p in pools
        if not any(fnmatchcase(pool.id, p) for pool in study.pools)
    ]
    if findings:
        raise InputError(findings)
    return review_crossover(study, crossover(study, pools, question.by), how.all_rows), ()


def _slip(question: Question, study: "Study", how: How) -> "tuple[Report, Sequence[Answer]]":
    from planner.questions.bridging import known_late, slipped
    from planner.questions.slip import slips
    from planner.review.asked import review_slips

    plan = _base(study, how)
    asked = slips(
        plan,
        question.what or ("*",),
        question.clocks or ("power",),
        question.periods or (1, 2),
        question.months,
    )
    answers = _planned(study, [slip.variant for slip in asked if slip.ready is not None], how, plan)

    def late(plan: "PlanFile", slip: "Slip") -> "Late | None":
        how.progress("known late", None, slip.patch.name)
        return known_late(plan, slip, question.known_on, how.effort, how.progress) if question.is_late else None

    return review_slips(study, slipped(asked, answers, how.progress, late), how.all_rows), answers


def _sequence(question: Question, study: "Study", how: How) -> "tuple[Report, Sequence[Answer]]":
    from planner.errors import refusal
    from planner.questions.sequence import sequence_variants, sequences
    from planner.review.asked import review_sequences

    if not study.build_outs:
        fix = "add build_outs to study.yaml; there is no order of phases to ask about"
        raise refusal("--ask sequence", "a study with build_outs", "none", fix)
    plan = _base(study, how)
    answers = _planned(study, sequence_variants(plan, question.pairs), how, plan)
    found = sequences(answers, question.within_fraction)
    assert found is not None, "the study as it is has a plan"
    return review_sequences(found, how.all_rows, question.pairs), answers


def _base(study: "Study", how: How) -> "PlanFile":
    """The plan of the study as it is: the one that was named, a better one, or a new one."""
    from planner.errors import NoPlan
    from planner.questions.whatif import plan_variants

    (answer,) = plan_variants(study, (), how.effort, how.case, how.base, how.progress)
    if answer.plan is None:
        raise NoPlan(answer.why_not)
    return answer.plan


def _planned(study: "Study", variants: "Sequence[Variant]", how: How, plan: "PlanFile") -> "Sequence[Answer]":
    from planner.errors import refusal
    from planner.questions.whatif import plan_variants

    if len(variants) > how.most:
        fix = "ask about less with --what, or raise --most"
        raise refusal("--ask", f"at most {how.most} variants to plan", f"{len(variants)}", fix)
    return plan_variants(study, variants, how.effort, how.case, plan, how.progress, jobs=how.jobs)
