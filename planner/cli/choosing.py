"""`planner alternatives`: plans within a margin of the cost of one, that have least of something."""

from pathlib import Path
from typing import Annotated

import typer

from planner.cli.console import KEEPS_PLANS, answered, check_out, deliver, emit, plan_in, progress, refuse_edited
from planner.cli.options import AsFormat, Format, PlanPath, Quiet, fraction_of
from planner.study.files import PLAN


def alternatives(
    plan: PlanPath,
    within: Annotated[str, typer.Option(help="what an alternative may cost more than the plan: 5% or 0.05")] = "5%",
    provider: Annotated[
        list[str] | None,
        typer.Option(help="least of this provider; may be repeated; default: of each that is bought from"),
    ] = None,
    format: AsFormat = Format.text,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="folder for the plans")] = None,
    quiet: Quiet = False,
) -> None:
    """Other plans for nearly the same money: least of one provider, fewest pools, fewest changes, and what that costs.

    Each is a plan of the same study, within --within of the cost of this one: least of each provider, least bound by a
    term, least owned, fewest changes from what is held today, fewest pools. All survive the same failures and pass the
    audit; the table says what each gives up. Ctrl-C or SIGTERM keeps what is done. Exit 1 when one could not be looked
    for, or not to its end.

    Examples: `planner alternatives plan.json` · `planner alternatives plan.json --within 10% --out others`
    """
    with answered(format):
        from planner.plan.file import plan_text
        from planner.questions.alternatives import aims_of, files_of
        from planner.questions.alternatives import alternatives as look_for
        from planner.review.alternatives import review_alternatives

        within_fraction = fraction_of(within, "--within")
        made = plan_in(plan)
        refuse_edited(made, plan)
        aims = aims_of(made, provider or ())
        if out is not None:
            _make_folder(out)
        files = {aim: out / name for aim, name in files_of(aims).items()} if out is not None else {}
        for path in files.values():
            check_out(path, kind=PLAN)
        with progress(quiet, KEEPS_PLANS) as advance:
            results = look_for(made, aims, within_fraction, advance)
        written = {}
        for one in results:
            if one.plan is not None and not one.is_same and one.aim in files:
                emit(plan_text(one.plan), files[one.aim])
                written[one.aim] = str(files[one.aim])
        report = review_alternatives(made, results, within_fraction, written, aims[len(results) :])
        deliver(report, format, None)
        raise SystemExit(0 if report.good else 1)


def _make_folder(folder: Path) -> None:
    """A folder for plans, where there is none yet.

    Raises
    ------
    InputError
        when it cannot be made
    """
    from planner.errors import refusal

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise refusal(str(folder), "a folder for the plans", why, "name another folder with --out") from None
