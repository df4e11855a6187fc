"""`planner gate`: a plan held to a policy, for a job that decides whether a change may be merged."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from planner.cli.console import answered, check_out, deliver, emit, plan_in, progress
from planner.cli.options import AllRows, AsFormat, Format, Out, PlanPath, Quiet


def gate(
    plan: PlanPath,
    policy: Annotated[Path, typer.Argument(help="policy.yaml: the rules (docs/files.md)")],
    base: Annotated[
        Path | None, typer.Option(help="plan.json that this one is to replace: what changes, and rules of `change`")
    ] = None,
    today: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="day from which ages and dates count; default: that of the study"),
    ] = None,
    format: AsFormat = Format.text,
    out: Out = None,
    all: AllRows = False,
    quiet: Quiet = False,
) -> None:
    """Hold a plan to a policy: a row a rule with its limit, the plan's value, the verdict, and what to do.

    Exit 0 when it passes, 1 when a rule fails, 2 when the plan, the base or the policy cannot be read. With
    --format md it writes a comment for a pull request, at most 65,536 characters, with what differs from the base plan.

    Example: `planner gate plan.json policy.yaml --base main.json --format md --out comment.md`
    """
    with answered(format):
        from planner.review.gate import gate_comment, review_gate

        check_out(out)
        judged = plan_in(plan)
        before = plan_in(base) if base is not None else None
        with progress(quiet) as advance:
            report = review_gate(judged, policy, before, today.date() if today else None, all, advance)
        if format == Format.md:
            emit(gate_comment(report), out)
        else:
            deliver(report, format, out)
        raise SystemExit(0 if report.good else 1)
