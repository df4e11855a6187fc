"""`planner explain PLAN`: why a plan is as it is."""

from typing import TYPE_CHECKING, Annotated

import typer

from planner.cli.console import KEEPS_PLANS, answered, check_out, deliver, plan_in, progress, tell_if_edited
from planner.cli.options import AllRows, AsFormat, Format, Gap, Out, PlanPath, Quiet, fraction_of
from planner.study.files import REPORT

if TYPE_CHECKING:
    from planner.plan.in_hand import Plan
    from planner.questions.explain_subjects import Asked
    from planner.review.report import Section
    from planner.solve.search import Effort, Progress


def explain(
    plan: PlanPath,
    pool: Annotated[
        str | None,
        typer.Option(help="why a pool, or an offer of it, is used or not, and at which price it would enter"),
    ] = None,
    workload: Annotated[
        str | None, typer.Option(help="with --origin: every candidate for it, why each is refused, its price and rank")
    ] = None,
    origin: Annotated[str | None, typer.Option(help="where the requests of --workload enter")] = None,
    failure: Annotated[
        str | None, typer.Option(help="a failure step by step: who goes where, in which order and second")
    ] = None,
    hour: Annotated[
        str | None, typer.Option(help="of a plan over time: the hour that is looked at; default: fullest")
    ] = None,
    plan_again: Annotated[
        int, typer.Option(min=0, help="plan again with a step of so many of the limits that save most")
    ] = 0,
    gap: Gap = "1%",
    format: AsFormat = Format.text,
    out: Out = None,
    all: AllRows = False,
    quiet: Quiet = False,
) -> None:
    """Why: what sizes a plan and what a step of each limit is worth; why a pool, a placement, a move in a failure.

    Without an option: bottlenecks in words, USD a month for a step of each limit, goal, round trip and of demand, each
    confirmed by solving the LP bound again; with --plan-again N by planning again. With --pool, --workload and
    --origin, or --failure, instead: these; --failure beside --workload shows its candidates then. --all asks about
    every limit, in both directions. Ctrl-C keeps what is done.

    Exit 1 when a failure that is asked about falls short of what is due.

    Examples: `planner explain plan.json` · `planner explain plan.json --pool aws/us-east-1/p5.48xlarge`
    · `planner explain plan.json --workload chat --origin tokyo --failure provider:google`
    """
    with answered(format):
        from planner.questions.explain_subjects import asked_of
        from planner.review.explain import review_explained
        from planner.solve.search import Effort

        effort = Effort(gap_fraction=fraction_of(gap, "--gap"))
        made = plan_in(plan)
        asked = asked_of(made, pool, workload, origin, failure, hour)
        check_out(out, kind=REPORT)
        tell_if_edited(made)
        with progress(quiet, KEEPS_PLANS) as advance:
            sections, good = _sections(made, asked, all, plan_again, effort, advance)
        report = review_explained(made, sections, asked, good, all)
        deliver(report, format, out)
        raise SystemExit(0 if good else 1)


def _sections(
    made: "Plan", asked: "Asked", everything: bool, plan_again: int, effort: "Effort", advance: "Progress"
) -> tuple[tuple["Section", ...], bool]:
    """The sections of what is asked about, and whether nothing that is due is short."""
    sections: list[Section] = []
    good = True
    if asked.pool is not None:
        from planner.questions.explain_pool import explain_pool
        from planner.review.explain_pool import pool_sections

        sections += pool_sections(made, explain_pool(made, asked.pool, asked.hour, asked.offer, advance))
    if asked.workload is not None and asked.origin is not None:
        from planner.questions.explain_candidates import explain_candidates
        from planner.review.explain_candidates import candidates_section

        sections.append(
            candidates_section(explain_candidates(made, asked.workload, asked.origin, asked.hour, asked.failure))
        )
    if asked.failure is not None:
        from planner.questions.explain_failure import explain_failure
        from planner.review.explain_failure import failure_sections

        explained = explain_failure(made, asked.failure, asked.hour)
        sections += failure_sections(explained)
        good = not any(row.is_short for row in explained.served)
    if not sections:
        from planner.questions.explain_values import MOST_STEPS, values
        from planner.review.explain import values_sections

        sections += values_sections(made, values(made, None if everything else MOST_STEPS, plan_again, effort, advance))
    return tuple(sections), good
