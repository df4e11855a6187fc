"""Why a plan is as it is: its report, a section for each question."""

from planner.plan.in_hand import Plan
from planner.questions.explain_candidates import explain_candidates
from planner.questions.explain_failure import explain_failure
from planner.questions.explain_pool import explain_pool
from planner.questions.explain_prices import INTERRUPTED
from planner.questions.explain_subjects import Asked
from planner.questions.explain_values import MOST_STEPS, Value, Values, values
from planner.questions.planned import silent
from planner.review.explain_candidates import candidates_section
from planner.review.explain_failure import failure_sections
from planner.review.explain_pool import pool_sections
from planner.review.report import (
    AT_RISK,
    Column,
    Judged,
    Line,
    Report,
    Section,
    first_of,
    percent,
    short_failure,
    usd,
)
from planner.solve.search import Effort, Progress

MOST_SENTENCES = 5
MOST_NAMED = 6
FAR_BEYOND_FRACTION = 0.05
"""Share by which a plan costs more than the LP bound, and values of the bound say little of it."""
STOPPED = "INTERRUPTED: what is written was worked out until then; other limits may be worth more"
CONFIRMED = (
    "a step: so much more headroom, or less asked for; saves, a step less costs: by how much the LP bound, that of the "
    "plan with divisible replicas over all failures, falls and rises when it is solved again with the limit moved: "
    "each figure is confirmed so, for that step, by itself"
)
PLANNED_AGAIN = (
    "planned again: the plan made again, in whole numbers, with the step (--plan-again N); by the proofs of both plans "
    "the saving of the best plan lies between these, USD a month"
)


def review_explained(
    plan: Plan,
    asked: Asked,
    all_rows: bool = False,
    plan_again: int = 0,
    effort: Effort = Effort(),
    progress: Progress = silent,
) -> Report:
    """What was asked about a plan, a few sections each; where nothing was named, or is planned again, what sizes it.

    It is not good where a failure that is asked about falls short of what is due, or a person ended it.

    Parameters
    ----------
    all_rows : every row, and every limit asked about in both directions
    plan_again : steps that are planned again, by this effort: of those that save most

    Raises
    ------
    Infeasible
        when the study inside the plan has no plan: the file was changed by hand
    """
    sections, good, unsure = list[Section](), True, tuple[str, ...]()
    if asked.pool is not None:
        explained_pool = explain_pool(plan, asked.pool, asked.hour, asked.offer, progress)
        sections += pool_sections(plan, explained_pool)
        missing = [row.offer for row in explained_pool.offers if row.entry is not None and row.entry.why == INTERRUPTED]
        unsure += (f"{INTERRUPTED}: the price of entry of {first_of(missing, MOST_NAMED)}",) if missing else ()
    if asked.workload is not None and asked.origin is not None:
        candidates = explain_candidates(plan, asked.workload, asked.origin, asked.hour, asked.failure)
        sections.append(candidates_section(candidates))
    if asked.failure is not None:
        explained = explain_failure(plan, asked.failure, asked.hour)
        sections += failure_sections(explained)
        good = not any(row.is_short for row in explained.served)
    if not sections or plan_again:
        valued = values(plan, None if all_rows else MOST_STEPS, plan_again, effort, progress)
        sections += values_sections(plan, valued)
        unsure += (STOPPED,) if valued.is_stopped else ()
    title, good = f"why: plan of study {plan.study.study}", good and not unsure
    return Report(title, good, tuple(sections), {"asked": asked}, unsure, all_rows=all_rows)


def values_sections(plan: Plan, valued: Values) -> tuple[Section, ...]:
    """What sizes the plan, in words, and what a step of each limit is worth."""
    return _answer(plan, valued), _values(valued)


def _answer(plan: Plan, valued: Values) -> Section:
    proof, lines = plan.file.proof, list[Line]()
    if valued.is_stopped:
        lines.append(Judged(STOPPED, AT_RISK))
    binding = [short_failure(f) for f in proof.binding_failures]
    lines.append(
        f"the plan costs {usd(proof.cost_usd)} USD; with divisible replicas no plan costs less than "
        f"{usd(valued.bound_usd)} USD, the LP bound"
    )
    beyond = proof.cost_usd / valued.bound_usd - 1 if valued.bound_usd > 0 else 0.0
    if beyond > FAR_BEYOND_FRACTION:
        lines.append(
            f"the plan is {percent(beyond)} above that bound, by whole machines and its gap: what a step saves of the "
            "plan itself may be another amount, see --plan-again"
        )
    if binding:
        count = f"{len(binding)} failures" if len(binding) > 1 else "one failure"
        lines.append(f"sized by {count}: {first_of(binding, MOST_NAMED)}; the others follow from these")
    else:
        lines.append("sized by normal operation: no failure needs more than that")
    saving = [row for row in valued.rows if (row.saves_usd_per_month or 0.0) > 0]
    for row in saving[:MOST_SENTENCES]:
        lines.append(f"{sentence(row)}{_beside(row)}")
    dearer = [row for row in valued.rows if (row.saves_usd_per_month or 0.0) < 0]
    for row in dearer[:MOST_SENTENCES]:
        more = usd(-(row.saves_usd_per_month or 0.0))
        lines.append(f"{row.what}: {row.means} would cost {more} USD a month more{_beside(row)}")
    tight = [row for row in valued.rows if not row.saves_usd_per_month and (row.costs_usd_per_month or 0.0) > 0]
    for row in tight[:MOST_SENTENCES]:
        lines.append(
            f"{row.what}: {row.means} saves nothing; as much less would cost {usd(row.costs_usd_per_month or 0.0)} USD "
            f"a month{_beside(row)}"
        )
    if not saving and not dearer and not tight:
        lines.append("nothing that was asked about saves or costs anything")
    return Section("ANSWER", tuple(lines))


def sentence(row: Value) -> str:
    """What a step saves, as people say it."""
    return f"{row.what}: {row.means} would save {usd(row.saves_usd_per_month or 0.0)} USD a month"


def _beside(row: Value) -> str:
    bound = f" (bound; {row.caution})" if row.caution else " (bound)"
    if row.replanned_usd is not None:
        return f"{bound}; planned again: see below"
    return f"{bound}; see --plan-again" if row.caution else ""


def _values(valued: Values) -> Section:
    months = valued.months

    def planned_again(row: Value) -> str:
        if row.replanned_least_usd is None or row.replanned_most_usd is None:
            return row.not_replanned
        return f"{usd(row.replanned_least_usd / months)} to {usd(row.replanned_most_usd / months)}"

    is_planned = any(row.replanned_usd is not None or row.not_replanned for row in valued.rows)
    columns = (
        Column("what"),
        Column("a step", lambda row: row.means),
        Column("saves USD/month", _saves),
        Column("a step less costs USD/month", _costs),
        Column("planned again saves", planned_again, when=is_planned),
    )
    after = [CONFIRMED]
    if is_planned:
        after.append(PLANNED_AGAIN)
    after += dict.fromkeys(f"{row.what} {row.caution}: see --plan-again" for row in valued.rows if row.caution)
    if valued.not_asked:
        after.append(
            f"not asked about: {first_of(list(valued.not_asked), MOST_NAMED)}; --all asks about each, both ways"
        )
    after.append(
        "why a pool is used or not: --pool POOL; who may serve a stream: --workload W --origin O; a failure step by "
        "step: --failure F"
    )
    return Section("VALUES", (), columns, valued.rows, tuple(after), most=None)


def _money(value: float, below_zero: str) -> str:
    if value < 0:
        return f"{below_zero} {usd(-value)}"
    return usd(value) if value else "nothing"


def _saves(row: Value) -> str:
    return row.loosened if row.saves_usd_per_month is None else _money(row.saves_usd_per_month, "costs")


def _costs(row: Value) -> str:
    if row.costs_usd_per_month is not None:
        return _money(row.costs_usd_per_month, "saves")
    return row.tightened
