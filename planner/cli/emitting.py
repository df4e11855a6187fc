"""`planner emit` and `planner drift`: hand a plan over, and see whether it is what runs."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from planner.cli.console import answered, as_json, deliver, emit, plan_in, progress, tell, tell_if_edited
from planner.cli.options import AsFormat, Format, Out, PlanPath, Quiet
from planner.emit.known import ALL, TARGETS

TARGET_HELP = "; ".join(f"{name}: {target.about}" for name, target in TARGETS.items()) + f"; or {ALL}"


def emit_command(
    target: Annotated[str, typer.Argument(help=TARGET_HELP)],
    plan: PlanPath,
    out: Annotated[Path, typer.Option("--out", "-o", help="folder to write")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="show the difference to what is there, write nothing")
    ] = False,
    even_if_unproven: Annotated[
        bool,
        typer.Option("--even-if-unproven", help="emit a plan that fails its audit, proof or drill; the files say so"),
    ] = False,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="key=value for a target, as in image=registry.example/serve")
    ] = None,
    format: AsFormat = Format.text,
    quiet: Quiet = False,
) -> None:
    """Write the files that carry a plan out: infrastructure code, manifests, inventories, gateways.

    The plan is audited and drilled first. Files that this command did not write are never replaced. Cut off, it leaves
    the old files or the new, and says which; after a crash the next emission puts the old ones back first.

    Exit 1 when the plan is not proven: nothing is written then, unless --even-if-unproven.

    Examples: `planner emit terraform plan.json --out infra --dry-run` · `planner emit all plan.json --out out`
    """
    with answered(format):
        from planner.emit.cascade import warnings_of_files
        from planner.emit.spreading import spread_warnings
        from planner.emit.targets import about, emitted, gate
        from planner.emit.write import changes, recover, refuse_other_target, write
        from planner.review.drift import review_emission

        options = _settings(settings or [])
        with progress(quiet, stage="reading the plan") as advance:
            made = plan_in(plan)
            advance("auditing", None, "")
            gated = gate(made, lambda done, of: advance("drilling", done / of, f"{done} of {of} failures"))
        reasons = gated.not_proven
        for warning in gated.warnings:
            tell(f"not judged: {warning}")
        if reasons and not even_if_unproven:
            if format == Format.json:
                emit(as_json({"files": [], "not_proven": reasons}), None)
            for reason in reasons:
                tell(f"not proven: {reason}")
            tell("nothing was written; --even-if-unproven writes it all the same, and the files say so")
            raise SystemExit(1)
        _ = made.problem  # what holds together is written even if unproven, what leads nowhere never
        if not dry_run and recover(out):
            tell(f"{out}: an earlier emission was cut off in it; the files from before it were put back first")
        refuse_other_target(out, target)
        with progress(quiet, stage="making files") as advance:
            files = emitted(made, target, options, reasons, advance)
        for late in warnings_of_files(files):
            tell(f"warning: {late}")
        for less in spread_warnings(made, target, options):
            tell(f"warning: {less}")
        changed = changes(out, files) if dry_run else write(out, files, about(made, target, options, reasons))
        deliver(review_emission(changed, target, reasons, dry_run), format, None)


def drift_command(
    plan: PlanPath,
    actual: Annotated[
        list[Path],
        typer.Argument(help="terraform show -json, kubectl get nodes or pods -o json, CSV of pools or of quotas"),
    ],
    on: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="day on which figures are judged; default: today")
    ] = None,
    format: AsFormat = Format.text,
    out: Out = None,
    quiet: Quiet = False,
) -> None:
    """Compare what runs with a plan: idle and missing machines, the goals that break, quotas, what has expired.

    A machine counts by its type, zone, accelerators and readiness, then by our label. Give the lists of all clusters:
    what no file names is not there. A Terraform plan is no state, and is refused.

    Exit 0 when all that the files count is as planned, 1 when something is not, or the plan was edited after it was
    sealed, 2 when a file cannot be read.

    Examples: `planner drift plan.json state.json` · `planner drift plan.json nodes.json pods.json --format json`
    """
    with answered(format):
        from planner.emit.actual import read_actual
        from planner.emit.drift import drift
        from planner.review.drift import review_drift

        with progress(quiet, stage="reading the plan"):
            made = plan_in(plan)
        day = on or datetime.now()  # what has expired depends on the day; nothing else does
        with progress(quiet, stage="reading what runs") as advance:
            runs = read_actual(actual, made)

            def replayed(done: int, of: int) -> None:
                advance("replaying every failure on what runs", done / max(of, 1), f"{done:,} of {of:,}")

            compared = drift(made, runs, day.date(), replayed)
        report = review_drift(compared, f"plan of {made.study.study}", tell_if_edited(made))
        deliver(report, format, out)
        raise SystemExit(0 if report.good else 1)


def _settings(pairs: list[str]) -> dict[str, str]:
    from planner.errors import Finding, InputError

    options = dict(pair.partition("=")[::2] for pair in pairs)
    findings = [
        Finding(f"--set {pair[:80]!r}", "key=value", "no = in it", "as in --set image=registry.example/serve")
        for pair in pairs
        if "=" not in pair or pair.startswith("=")
    ]
    if "not_proven" in options:
        findings.append(Finding("--set not_proven", "a setting of a target", "what the audit says", "leave it out"))
    if findings:
        raise InputError(findings)
    return options
