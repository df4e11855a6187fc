"""The package for programs: what each command of the command line does, as a function.

    import planner

    study = planner.read_study("examples/quickstart")
    plan = planner.plan(study, gap_fraction=0.02)
    print(plan.file.proof.cost_usd, planner.drill(plan).broken)
    planner.tables(plan).orders.to_csv("orders.csv")

Everything that a user can cause is a `planner.errors.PlannerError`: InputError with all findings, NoPlan with its
reason. Nothing heavy is imported before a function needs it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from datetime import date

    from planner.drill import DrillResult
    from planner.errors import Finding
    from planner.plan.audit import Audit
    from planner.plan.in_hand import Plan
    from planner.plan.tables import Tables
    from planner.questions.alternatives import Alternative
    from planner.questions.outages import OutagesAnswer
    from planner.questions.restored import Relaxations
    from planner.questions.simulated import Simulated
    from planner.review.report import Report
    from planner.study.records.plan import PlanFile
    from planner.study.records.study import RunningReplicas, Study

Progress = Callable[[str, float | None, str], None]
"""Called with (stage, fraction done where known, detail) while something takes time."""


def _refuse_unless(*asked: tuple[bool, str, str, object]) -> None:
    """Raise what is wrong with arguments, all at once: (is it right, its name, what is expected, what is given).

    Raises
    ------
    InputError
        when one is not right
    """
    from planner.errors import Finding, InputError

    fix = "see docs/python.md"
    if findings := [
        Finding(name, expected, f"{given!r}"[:200], fix) for right, name, expected, given in asked if not right
    ]:
        raise InputError(findings)


def _silent(stage: str, done_fraction: float | None, detail: str) -> None:
    """Progress that nobody looks at."""


def read_study(path: str | Path, warnings: list[Finding] | None = None) -> Study:
    """A study with all that it names, validated.

    Parameters
    ----------
    path : study.yaml, or its folder
    warnings : gets the findings that do not stop

    Raises
    ------
    InputError
        with all findings at once
    """
    from planner.study.read import read_study

    study, findings = read_study(Path(path))
    if warnings is not None:
        warnings += findings
    return study


def read_fleet(path: str | Path, study: Study, warnings: list[Finding] | None = None) -> tuple[RunningReplicas, ...]:
    """What runs today, from a CSV of replicas and weights (docs/files.md).

    Raises
    ------
    InputError
        with all findings at once
    """
    from planner.study.read import read_fleet

    return read_fleet(Path(path), study, warnings)


def read_plan(path: str | Path, warnings: list[Finding] | None = None) -> Plan:
    """A plan from plan.json, in hand: with its study, problem, decisions, orders, cash and tables.

    Raises
    ------
    InputError
        when the file is none; one that was edited is read, and `audit` says so
    """
    from planner.plan.file import read_plan
    from planner.plan.in_hand import Plan

    return Plan(read_plan(Path(path), warnings))


def plan(
    study: Study,
    *,
    gap_fraction: float | None = None,
    demand: Literal["low", "base", "high"] = "base",
    seconds: float | None = None,
    nodes: int | None = None,
    rounds: int = 3,
    no_regret: bool = False,
    value_limits: int = 0,
    solver: str = "HiGHS",
    jobs: int = 1,
    progress: Progress = _silent,
) -> Plan:
    """The cheapest machines, placements and routes that survive every failure as the study promises, with a proof.

    Parameters
    ----------
    study : as read
    gap_fraction : end when proven within this of the best plan; None: 0.02, by fixed shares 0.01
    demand : which case of the study's demand is planned
    seconds : time limit of the search [s]; the plan is not reproducible then
    nodes, rounds : branch-and-bound nodes of one integer search; windows searched in a large study
    no_regret : also plan the low and high demand: which orders all three have
    value_limits : plan again with a machine's worth more of so many limits that bind
    solver : HiGHS, or any solver that PuLP finds
    jobs : threads in which the hours of a study with many are worked on side by side; the plan is the same
    progress : called with (stage, fraction done where known, detail), in the thread that asks

    Raises
    ------
    NoPlan
        with what is short, by how much, and what would help
    """
    from planner.plan.explain import diagnose
    from planner.plan.in_hand import Plan
    from planner.plan.plan import make_plan, with_valued_limits
    from planner.solve.program import solver_named
    from planner.solve.search import Effort, Infeasible, usual_gap_fraction
    from planner.study.records.study import Study

    _refuse_unless(
        (isinstance(study, Study), "study", "a Study, as read_study gives it", study),
        (gap_fraction is None or 0 <= gap_fraction < 1, "gap_fraction", "a share from 0 to below 1", gap_fraction),
        (demand in ("low", "base", "high"), "demand", "low, base or high", demand),
        (seconds is None or seconds > 0, "seconds", "a number above 0, or None", seconds),
        (nodes is None or nodes >= 1, "nodes", "a whole number from 1 on, or None", nodes),
        (rounds >= 0, "rounds", "a whole number from 0 on", rounds),
        (value_limits >= 0, "value_limits", "a whole number from 0 on", value_limits),
        (jobs >= 1, "jobs", "a whole number from 1 on", jobs),
    )
    gap = usual_gap_fraction(study) if gap_fraction is None else gap_fraction
    effort = Effort(gap_fraction=gap, seconds=seconds, most_nodes=nodes, rounds=rounds, jobs=jobs)
    try:
        file = make_plan(study, effort, solver_named(solver), solver, progress, no_regret, demand)
        if value_limits:
            file = with_valued_limits(file, effort, value_limits, progress)
    except Infeasible:
        raise diagnose(study, demand, progress) from None
    return Plan(file)


def program_text(plan: Plan | PlanFile, ending: Literal[".lp", ".mps"] = ".mps") -> str:
    """The program of a plan as any solver reads it, with the failures that bind, their replicas whole.

    Its optimum is at least the bound of the plan, and at most its cost.
    """
    from planner.plan.in_hand import in_hand
    from planner.solve.export import program_of, program_text

    held = in_hand(plan)
    return program_text(program_of(held.problem, held.file.proof.binding_failures, held.decisions), ending)


def tables(plan: Plan | PlanFile) -> Tables:
    """The tables of a plan as pandas DataFrames: `orders`, `traffic`, `replicas`, `cash` and more (docs/python.md)."""
    from planner.plan.in_hand import in_hand
    from planner.plan.tables import Tables

    return Tables(in_hand(plan))


def audit(plan: Plan | PlanFile, *, progress: Progress = _silent) -> Audit:
    """Every rule in every state, and every stated total, on the plan's own numbers."""
    from planner.plan.audit import audit

    return audit(plan, progress)


def explain(
    plan: Plan | PlanFile,
    *,
    pool: str | None = None,
    workload: str | None = None,
    origin: str | None = None,
    failure: str | None = None,
    hour: str | None = None,
    plan_again: int = 0,
    all_rows: bool = False,
    progress: Progress = _silent,
) -> Report:
    """Why a plan is as it is: what sizes it and what a step of each limit is worth; or what is named here, instead.

    Parameters
    ----------
    pool : or an offer: why it is used or not, and at which price it would enter
    workload, origin : together: every candidate for these requests, why each is refused, its price and rank
    failure : step by step: who goes where, in which order and second
    hour : the hour that is looked at; none: that of most requests
    plan_again : plan again with a step of so many of the limits that save most
    all_rows : every row, and every limit asked about in both directions

    Raises
    ------
    InputError
        with all names that lead nowhere
    """
    from planner.plan.in_hand import in_hand
    from planner.questions.explain_subjects import asked_of
    from planner.review.explain import review_explained

    _refuse_unless((plan_again >= 0, "plan_again", "a whole number from 0 on", plan_again))
    held = in_hand(plan)
    asked = asked_of(held, pool, workload, origin, failure, hour)
    return review_explained(held, asked, all_rows, plan_again, progress=progress)


def drill(
    subject: Plan | PlanFile | Study,
    fleet: Sequence[RunningReplicas] = (),
    *,
    mode: Literal["resolve", "rescale"] | None = None,
    each: Sequence[str] = (),
    pairs: Sequence[str] = (),
    named: Sequence[str] = (),
    jobs: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> DrillResult:
    """Every failure replayed, by arithmetic that shares none with the optimiser.

    Parameters
    ----------
    subject : a plan; or a study, whose failures are replayed on `fleet`
    mode : how traffic is moved in all failures: `resolve` (new weights), `rescale` (gateways renormalise what is left;
        the default for fleets); none: of a plan each failure as its study says, and as its gateways can be reached
    each, pairs : instead of the failures of the goals: each component of these kinds lost by itself, and in pairs
    named : also instead of them: failures of the study by name, whether or not a goal names them
    jobs : threads in which failures are re-solved side by side; the answer is the same
    progress : called with (failures done, failures in all)

    Raises
    ------
    InputError
        when the subject names what does not exist
    """
    from planner.drill import drill_fleet, drill_plan
    from planner.plan.in_hand import Plan, in_hand
    from planner.study.records.plan import PlanFile
    from planner.study.records.study import Study

    of_study = isinstance(subject, Study)
    _refuse_unless(
        (mode in (None, "resolve", "rescale"), "mode", "resolve, rescale or None", mode),
        (isinstance(subject, Study | Plan | PlanFile), "subject", "a plan, or a Study with a fleet", subject),
        (of_study or not fleet, "fleet", "no fleet beside a plan: it has its own", "one"),
        (jobs >= 1, "jobs", "a whole number from 1 on", jobs),
    )
    which = (tuple(each), tuple(pairs)) if each or pairs else None
    if isinstance(subject, Study):
        return drill_fleet(subject, fleet, mode or "rescale", progress, which, jobs, named)
    plan = in_hand(subject)
    return drill_plan(plan.file, mode, progress, which, jobs=jobs, named=named)


def outages(
    subject: Plan | PlanFile | Study,
    fleet: Sequence[RunningReplicas] = (),
    *,
    ids: Sequence[str] = (),
    where: str | None = None,
    catalogues: Sequence[Path] = (),
    jobs: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> OutagesAnswer:
    """Outages that happened, played on a plan, or on a fleet of a study: what each would have taken here, worst first.

    Parameters
    ----------
    subject : a plan; or a study, whose `fleet` it is
    ids : of the outages (docs/outages.md lists them), or patterns of ids; none: all of the catalogue
    where : `provider` or `provider/region` where they happen instead
    catalogues : YAML files of outages beside those that ship; what they say of an outage counts instead
    jobs : threads in which outages are played side by side; the answer is the same
    progress : called with (outages played, outages to play)

    Raises
    ------
    InputError
        when an id leads to no outage, or the place to nothing of the subject's study
    """
    from planner.plan.in_hand import Plan, in_hand
    from planner.questions.outages import outages_on_fleet, outages_on_plan
    from planner.study.outages import chosen_outages, place_of, read_outages
    from planner.study.read import catalogue_of_outages
    from planner.study.records.plan import PlanFile
    from planner.study.records.study import Study

    of_study = isinstance(subject, Study)
    _refuse_unless(
        (isinstance(subject, Study | Plan | PlanFile), "subject", "a plan, or a Study with a fleet", subject),
        (of_study or not fleet, "fleet", "no fleet beside a plan: it has its own", "one"),
        (jobs >= 1, "jobs", "a whole number from 1 on", jobs),
    )
    chosen = chosen_outages(read_outages([catalogue_of_outages(), *catalogues]), ids, "--outage")
    if isinstance(subject, Study):
        at = place_of(where, subject, "--where")
        return outages_on_fleet(subject, fleet, chosen, at, jobs, progress)
    file = in_hand(subject).file
    return outages_on_plan(file, chosen, place_of(where, file.study, "--where"), jobs, progress)


def simulate(
    plan: Plan | PlanFile,
    *,
    requests: int = 1_000_000,
    seed: int = 1,
    variation: float = 1.0,
    routings: Sequence[Literal["one-queue", "least-requests", "two-at-random", "round-robin", "random"]] = (
        "least-requests",
        "random",
    ),
    failures: Sequence[str] = (),
    hour: str | None = None,
    jobs: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Simulated:
    """States of a plan simulated request by request: how long requests wait, by tier; estimates.

    Parameters
    ----------
    requests : of a state and routing, at the least: a placement gets no fewer than 40,000
    seed : decides what is drawn
    variation : coefficient of variation of lengths of outputs: 0 fixed, 1 exponential, else lognormal
    routings : how gateways spread requests over the replicas of a placement, each simulated
    failures : ids of failures of the plan's goals, or patterns; none: the three whose slots are fullest
    hour : pattern of the hours of a plan over time; none: of each failure the fullest
    jobs : processes side by side; the answer is the same
    progress : called with (queues simulated, queues in all)

    Raises
    ------
    InputError
        when a pattern matches nothing
    """
    from planner.drill.simulated_queue import ROUTINGS, Lengths
    from planner.drill.simulated_tiers import Sampling
    from planner.plan.in_hand import in_hand
    from planner.questions.simulated import simulate

    known = bool(routings) and all(routing in ROUTINGS for routing in routings)
    _refuse_unless(
        (requests >= 1, "requests", "a whole number from 1 on", requests),
        (seed >= 0, "seed", "a whole number from 0 on", seed),
        (0 <= variation <= 100, "variation", "a number from 0 to 100", variation),
        (known, "routings", f"some of {', '.join(ROUTINGS)}", routings),
        (jobs >= 1, "jobs", "a whole number from 1 on", jobs),
    )
    sampling = Sampling(requests, seed=seed, output=Lengths(variation))
    return simulate(in_hand(plan).file, sampling, tuple(routings), tuple(failures), hour, jobs, progress)


def relaxations(
    study: Study,
    *,
    demand: Literal["low", "base", "high"] = "base",
    kinds: Sequence[Literal["capacity", "latency", "goal", "policy", "budget"]] = (),
    most: int = 2,
    gap_fraction: float = 0.05,
    progress: Progress = _silent,
) -> Relaxations:
    """Where a study has no plan: the smallest sets of changes that restore one, with what the plan costs then.

    Parameters
    ----------
    kinds : of changes that are looked at; none: all
    most : sets of each kind that are planned
    gap_fraction : of their plans
    """
    from planner.questions.relaxable import KINDS
    from planner.questions.relaxations import relaxations
    from planner.study.records.study import Study

    known = all(kind in KINDS for kind in kinds)
    _refuse_unless(
        (isinstance(study, Study), "study", "a Study, as read_study gives it", study),
        (known, "kinds", f"some of {', '.join(KINDS)}", kinds),
        (most >= 1, "most", "a whole number from 1 on", most),
        (0 <= gap_fraction < 1, "gap_fraction", "a share from 0 to below 1", gap_fraction),
    )
    return relaxations(study, demand, progress, tuple(kinds) or tuple(KINDS), most, gap_fraction)


def alternatives(
    plan: Plan | PlanFile,
    *,
    within_fraction: float = 0.05,
    providers: Sequence[str] = (),
    progress: Progress = _silent,
) -> tuple[Alternative, ...]:
    """Plans of the same study that cost at most so much more and have least of something.

    Parameters
    ----------
    within_fraction : what they may cost more
    providers : of which there is to be least, one plan each; none: all that the plan buys from

    Raises
    ------
    InputError
        for a provider that the study does not know
    """
    from planner.plan.in_hand import in_hand
    from planner.questions.alternatives import aims_of, alternatives

    held = in_hand(plan)
    _refuse_unless((within_fraction >= 0, "within_fraction", "a share from 0 on", within_fraction))
    return alternatives(held, aims_of(held, providers), within_fraction, progress)


def review(
    plan: Plan | PlanFile, *, all_rows: bool = False, progress: Progress = _silent, with_margins: bool = True
) -> Report:
    """What people read of a plan: the answer, the orders, every failure, how far to trust it. `render` writes it.

    Parameters
    ----------
    with_margins : also search how far each figure may move before a goal breaks: that takes longer than all else
    """
    from planner.review.answer import review_plan

    return review_plan(plan, all_rows, progress, with_margins)


def gate(
    plan: Plan | PlanFile,
    policy: str | Path,
    *,
    base: Plan | PlanFile | None = None,
    today: date | None = None,
    all_rows: bool = False,
    progress: Progress = _silent,
) -> Report:
    """A plan held to a policy: a row a rule, and what differs from the plan that it is to replace. `good`: it passes.

    Parameters
    ----------
    policy : file of the policy (docs/files.md)
    base : the plan that this one is to replace
    today : from which ages of prices and dates of orders are counted; none: the day of the study

    Raises
    ------
    InputError
        with all findings at once: the policy cannot be read, or names what the plan does not know
    """
    from planner.review.gate import review_gate

    return review_gate(plan, Path(policy), base, today, all_rows, progress)


def brief(
    plan: Plan | PlanFile, *, path: str | None = None, progress: Progress = _silent, with_margins: bool = True
) -> Report:
    """The review of a plan on one screen. `path`: of its file, for the commands that it ends with; else as `review`."""
    from planner.review.brief import brief_plan

    return brief_plan(plan, path, progress, with_margins)


def render(report: Report, format: Literal["text", "md", "json", "csv", "html"] = "text") -> str:
    """A report as text, Markdown, JSON, its tables as CSV, or a page of HTML."""
    from planner.review.render import render

    formats = ("text", "md", "json", "csv", "html")
    _refuse_unless((format in formats, "format", "text, md, json, csv or html", format))
    return render(report, format)


def workbook(report: Report) -> bytes:
    """A report as a workbook (XLSX): its lines, then a sheet for each table."""
    from planner.review.tables import xlsx_bytes

    return xlsx_bytes(report)
