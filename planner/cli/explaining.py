"""`planner explain PLAN`: why a plan is as it is."""

from typing import Annotated

import typer

from planner.cli.console import KEEPS_PLANS, answered, check_out, deliver, plan_in, progress, refuse_edited
from planner.cli.options import AllRows, AsFormat, Format, Out, PlanPath, Quiet, UsualGap, gap_of
from planner.study.files import REPORT


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
    gap: UsualGap = None,
    format: AsFormat = Format.text,
    out: Out = None,
    all: AllRows = False,
    quiet: Quiet = False,
) -> None:
    """Why: what sizes a plan and what a step of each limit is worth; why a pool, a placement, a move in a failure.

    Without an option: bottlenecks in words, USD a month for a step of each limit, goal, round trip and of demand, each
    confirmed by solving the LP bound again; with --plan-again N by planning again, too, within --gap. With --pool,
    --workload and --origin, or --failure, instead: these; --failure beside --workload shows its candidates then. --all
    asks about every limit, in both directions. Ctrl-C keeps what is done.

    Exit 1 when a failure that is asked about falls short of what is due, or it was interrupted; 2 for a plan that was
    changed since it was sealed.

    Examples: `planner explain plan.json` · `planner explain plan.json --pool aws/us-east-1/p5.48xlarge`
    · `planner explain plan.json --workload chat --origin tokyo --failure provider:google`
    """
    with answered(format):
        from planner.questions.explain_subjects import asked_of
        from planner.review.explain import review_explained
        from planner.solve.search import Effort

        made = plan_in(plan)
        effort = Effort(gap_fraction=gap_of(gap, made.study))
        refuse_edited(made, plan)
        asked = asked_of(made, pool, workload, origin, failure, hour)
        check_out(out, kind=REPORT)
        with progress(quiet, KEEPS_PLANS) as advance:
            report = review_explained(made, asked, all, plan_again, effort, advance)
        deliver(report, format, out)
        raise SystemExit(0 if report.good else 1)
