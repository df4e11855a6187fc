"""`planner delay`, `planner crossover` and `planner sequence`: questions of a build-out, from a study or its plan."""

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from planner.cli.console import KEEPS_PLANS, answered, deliver, progress
from planner.cli.options import (
    AllRows,
    AsFormat,
    Backend,
    Changes,
    DemandOfPlan,
    Format,
    Jobs,
    Most,
    Nodes,
    OnBackend,
    PlansOut,
    Quiet,
    Rounds,
    Scheduler,
    Seconds,
    Sets,
    StudyOrPlan,
    UsualGap,
    day_of,
    fraction_of,
    numbers_of,
    workers_of,
)
from planner.cli.whatif import all_proven, asked_about, rows_in, tell_unsure

if TYPE_CHECKING:
    from planner.cli.whatif import Asked
    from planner.questions.answer import Answer
    from planner.questions.rows import NoRows
    from planner.questions.side_by_side import Workers
    from planner.questions.variants import Variant
    from planner.solve.search import Progress
    from planner.study.records.plan import PlanFile
    from planner.study.records.study import Study


class ComparedBy(StrEnum):
    """What is compared with each other."""

    machine_type = "machine_type"
    accelerator = "accelerator"
    workload = "workload"


def delay(
    study: StudyOrPlan,
    what: Annotated[list[str] | None, typer.Option(help="phases or offers that come late; ids or patterns")] = None,
    lead_time: Annotated[
        list[str] | None,
        typer.Option(help="part that takes longer: shell, power, equipment, commissioning; default: power"),
    ] = None,
    periods: Annotated[str | None, typer.Option(help="late by so many periods; default: 1,2")] = None,
    months: Annotated[str | None, typer.Option(help="late by so many months instead, as 3,6")] = None,
    known_on: Annotated[
        str | None, typer.Option(help="also when it is known only on a DATE, or when it is due: ready")
    ] = None,
    set_: Sets = None,
    change: Changes = None,
    out: PlansOut = None,
    format: AsFormat = Format.text,
    gap: UsualGap = None,
    seconds: Seconds = None,
    nodes: Nodes = None,
    rounds: Rounds = 3,
    demand: DemandOfPlan = None,
    most: Most = 64,
    jobs: Jobs = None,
    backend: OnBackend = Backend.joblib,
    scheduler: Scheduler = None,
    all: AllRows = False,
    quiet: Quiet = False,
) -> None:
    """Cost of delay: what does it cost when a phase or a delivery is late, and what breaks until it is there.

    Exit 1 when a late variant has no plan, or one is not proven.

    Examples: `planner delay plan.json` · `planner delay plan.json --what 'owned/*' --months 3,6 --known-on ready`
    """
    with answered(format):
        from planner.questions.delay import Delay, delays_of
        from planner.questions.delay_cost import KnownLate, costs_of_delays, known_late
        from planner.review.delays import review_delays

        late_periods = tuple(int(n) for n in numbers_of(periods, "--periods", integers=True))
        late_months = tuple(numbers_of(months, "--months"))
        day = day_of(known_on, "--known-on") if known_on not in (None, "ready") else None
        with progress(quiet, stage="reading the study"):
            asked = asked_about(study, set_, change, gap, seconds, nodes, rounds, demand)
        workers, rows = workers_of(jobs, backend, scheduler), rows_in(out)
        with progress(quiet, KEEPS_PLANS) as advance:
            own, plan = _planned_as_it_is(asked, advance, rows)
            parts = tuple(lead_time or ("power",))
            delays = delays_of(plan, tuple(what or ("*",)), parts, late_periods or (1, 2), late_months)
            variants = [late.variant for late in delays if late.ready is not None]
            answers = _planned(asked, own, variants, most, advance, workers, rows)

            def when_known(plan: "PlanFile", late: Delay) -> "KnownLate | None":
                if known_on is None:
                    return None
                advance("known late", None, late.patch.name)
                return known_late(plan, late, day, asked.effort, advance)

            report = review_delays(asked.study, costs_of_delays(delays, answers, advance, when_known), all)
        deliver(report, format, None)
        tell_unsure(answers)
        raise SystemExit(0 if report.good and all_proven(answers, asked.effort.gap_fraction) else 1)


def crossover(
    study: StudyOrPlan,
    what: Annotated[list[str] | None, typer.Option(help="pools that are compared; ids or patterns")] = None,
    basis: Annotated[
        ComparedBy, typer.Option("--by", help="compare machine types; accelerators per chip; workloads per request")
    ] = ComparedBy.machine_type,
    set_: Sets = None,
    change: Changes = None,
    format: AsFormat = Format.text,
    all: AllRows = False,
    quiet: Quiet = False,
) -> None:
    """From which utilisation is owned or committed cheaper than on demand, by date. Nothing is planned.

    Examples: `planner crossover mine --what 'aws/*'` · `planner crossover mine --by accelerator`
    """
    with answered(format):
        from planner.questions.crossover import crossover
        from planner.review.crossovers import review_crossover

        with progress(quiet, stage="reading the study"):
            asked = asked_about(study, set_, change)
        pools = tuple(what or ("*",))
        _stop_on_nothing(asked.study, pools)
        with progress(quiet, stage="comparing contracts"):
            crossed = crossover(asked.study, pools, basis.value)
        deliver(review_crossover(asked.study, crossed, all), format, None)


def sequence(
    study: StudyOrPlan,
    within: Annotated[str, typer.Option(help="list what costs at most so much more")] = "3%",
    pairs: Annotated[bool, typer.Option("--pairs", help="also two changes at once")] = False,
    set_: Sets = None,
    change: Changes = None,
    out: PlansOut = None,
    format: AsFormat = Format.text,
    gap: UsualGap = None,
    seconds: Seconds = None,
    nodes: Nodes = None,
    rounds: Rounds = 3,
    demand: DemandOfPlan = None,
    most: Most = 64,
    jobs: Jobs = None,
    backend: OnBackend = Backend.joblib,
    scheduler: Scheduler = None,
    all: AllRows = False,
    quiet: Quiet = False,
) -> None:
    """Which phases, in which order, when; and what the next best would need to win.

    Exit 1 when a plan is not proven.

    Example: `planner sequence plan.json --within 5%`
    """
    with answered(format):
        from planner.errors import Finding, InputError
        from planner.questions.sequence import sequence_variants, sequences
        from planner.review.sequences import review_sequences

        within_fraction = fraction_of(within, "--within")
        with progress(quiet, stage="reading the study"):
            asked = asked_about(study, set_, change, gap, seconds, nodes, rounds, demand)
        if not asked.study.build_outs:
            fix = "add build_outs to study.yaml; there is no order of phases to ask about"
            raise InputError([Finding("planner sequence", "a study with build_outs", "none", fix)])
        workers, rows = workers_of(jobs, backend, scheduler), rows_in(out)
        with progress(quiet, KEEPS_PLANS) as advance:
            own, plan = _planned_as_it_is(asked, advance, rows)
            answers = _planned(asked, own, sequence_variants(plan, pairs), most, advance, workers, rows)
        best = sequences(answers, within_fraction)
        assert best is not None, "the study as it is has a plan"
        report = review_sequences(best, all, pairs)
        deliver(report, format, None)
        tell_unsure(answers)
        raise SystemExit(0 if report.good and all_proven(answers, asked.effort.gap_fraction) else 1)


def _stop_on_nothing(study: "Study", patterns: Sequence[str]) -> None:
    """Raise those patterns that no pool of the study matches."""
    from fnmatch import fnmatchcase

    from planner.errors import Finding, InputError

    findings = []
    for pattern in patterns:
        if not any(fnmatchcase(pool.id, pattern) for pool in study.pools):
            fix = "write provider/site/machine-type, or aws/*"
            findings.append(Finding("--what", "the id of a pool, or a pattern of them", pattern, fix))
    if findings:
        raise InputError(findings)


def _planned_as_it_is(asked: "Asked", advance: "Progress", rows: "NoRows") -> "tuple[Answer, PlanFile]":
    """The answer for the study as it is, and its plan: the one that was named, a better one, or a new one.

    Raises
    ------
    NoPlan
        when it has none
    """
    from planner.errors import NoPlan
    from planner.questions.whatif import Planning, plan_as_it_is

    own = plan_as_it_is(Planning(asked.study, asked.effort, asked.case), asked.base, advance, rows)
    if own.plan is None:
        raise NoPlan(own.why_not)
    return own, own.plan


def _planned(
    asked: "Asked",
    own: "Answer",
    variants: "Sequence[Variant]",
    most: int,
    advance: "Progress",
    workers: "Workers",
    rows: "NoRows",
) -> "Sequence[Answer]":
    """The answers for variants of a study, beside its own.

    Raises
    ------
    InputError
        when they are more than may be planned
    """
    from planner.errors import Finding, InputError
    from planner.questions.whatif import Planning, plan_beside

    if len(variants) > most:
        fix = "ask about less with --what, or raise --most"
        raise InputError([Finding("--most", f"at most {most} variants to plan", f"{len(variants)}", fix)])
    planning = Planning(asked.study, asked.effort, asked.case)
    return plan_beside(planning, own, variants, advance, workers=workers, rows=rows)
