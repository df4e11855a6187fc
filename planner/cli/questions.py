"""`planner drill`, `planner risk` and `planner ladder`: what breaks, what breaks what, and what each goal costs."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from planner.cli.console import (
    EDITED,
    KEEPS_PLANS,
    answered,
    check_out,
    deliver,
    emit,
    fleet_in,
    is_edited,
    plan_in,
    progress,
    study_in,
    tell,
)
from planner.cli.options import (
    AllRows,
    AsFormat,
    Demand,
    DemandCase,
    Format,
    Gap,
    Nodes,
    Out,
    Quiet,
    Rounds,
    Seconds,
    StudyPath,
    Threads,
    fraction_of,
    threads_of,
)
from planner.cli.outages import OutagesAsked, drill_outages, outage_ids
from planner.cli.simulating import RoutingAsked, SimulationAsked, drill_simulated
from planner.study.files import REPORT

if TYPE_CHECKING:
    from planner.drill import Mode as HowMoved
    from planner.problem.problem import Problem
    from planner.questions.risk.exposure import Running, Traffic
    from planner.study.records.study import Study

    Subject = tuple[str, Study, Problem, Running | None, Traffic | None]

StudyOfFleet = Annotated[Path | None, typer.Option(help="the study, for a CSV of what runs today")]


class Mode(StrEnum):
    """How traffic is moved in a failure."""

    resolve = "resolve"
    rescale = "rescale"


class Drawing(StrEnum):
    """How the dependency graph is drawn."""

    mermaid = "mermaid"
    dot = "dot"


def drill(
    subject: Annotated[Path, typer.Argument(help="plan.json, or a CSV of what runs today")],
    study: StudyOfFleet = None,
    mode: Annotated[
        Mode | None,
        typer.Option(
            help="of all failures; resolve: new weights; rescale: gateways renormalise what is left (default for "
            "fleets); default for plans: each failure as its gateways fail over in it"
        ),
    ] = None,
    each: Annotated[
        list[str] | None, typer.Option(help="instead of the goals' failures: each component of this kind (site)")
    ] = None,
    pairs: Annotated[
        list[str] | None,
        typer.Option(help="also instead of them: each pair of components of these kinds (site)"),
    ] = None,
    hour: Annotated[
        str | None,
        typer.Option(help="of plans over time: these hours (quarter-1/*); default: the worst of each failure"),
    ] = None,
    outages: Annotated[
        bool, typer.Option("--outages", help="instead: outages that happened, each as it would have gone here")
    ] = False,
    outage: Annotated[
        list[str] | None,
        typer.Option(help="of them this one, by its id or a pattern; may be repeated", autocompletion=outage_ids),
    ] = None,
    where: Annotated[
        str | None, typer.Option(help="with outages: where they happen instead, a provider or provider/region")
    ] = None,
    catalogue: Annotated[
        list[Path] | None,
        typer.Option(help="with outages: a YAML file of your own, as inventories/outages.yaml; may be repeated"),
    ] = None,
    simulate: Annotated[
        bool, typer.Option("--simulate", help="instead: request by request, how long they wait (docs/waiting.md)")
    ] = False,
    requests: Annotated[
        int | None, typer.Option(min=1, help="with --simulate: requests of a state, at the least; default: 1,000,000")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="with --simulate: decides what is drawn; default: 1")] = None,
    failure: Annotated[
        list[str] | None,
        typer.Option(help="with --simulate: this failure, or a pattern (site:*); default: the three fullest"),
    ] = None,
    routing: Annotated[
        list[RoutingAsked] | None,
        typer.Option(help="with --simulate: how a gateway spreads requests over replicas; default: best and worst"),
    ] = None,
    variation: Annotated[
        float | None,
        typer.Option(min=0, max=100, help="with --simulate: of output lengths, 0 fixed, 1 exponential (default)"),
    ] = None,
    jobs: Threads = None,
    format: AsFormat = Format.text,
    out: Out = None,
    all: AllRows = False,
    quiet: Quiet = False,
) -> None:
    """Replay every failure of the study on a plan or on today's fleet, by arithmetic of its own.

    Exit 1 when a survival goal breaks, in any hour of the plan; a fleet is replayed in the first period. Failures of
    --each and --pairs, and outages that happened (docs/outages.md), are held to a goal only where the study has one.
    --simulate judges no goal: exit 1 where utilisation is by waiting and fewer first tokens come in time than a tier's
    percentile asks for.

    Examples: `planner drill plan.json` · `planner drill fleet_today.csv --study examples/quickstart`
    · `planner drill plan.json --mode rescale --pairs site` · `planner drill plan.json --outages`
    · `planner drill plan.json --outage azure-south-central-us-2024-12-26 --where azure/eastus`
    · `planner drill plan.json --simulate --failure 'provider:*'`
    """
    with answered(format):
        simulation = SimulationAsked(requests, seed, variation, routing or [], failure or [])
        others = {
            "--mode": mode is not None,
            "--each": bool(each),
            "--pairs": bool(pairs),
            "--study": study is not None,
        }
        others |= {"--outages": bool(outages or outage or catalogue), "--where": where is not None}
        _refuse_beside_simulation(simulate, simulation, [option for option, is_given in others.items() if is_given])
        if simulate:
            good = drill_simulated(subject, simulation, hour, threads_of(jobs), format, out, all, quiet)
            raise SystemExit(0 if good else 1)
        if outages or outage or where is not None or catalogue:
            _refuse_beside_outages(outages or bool(outage), mode is not None, bool(each), bool(pairs), hour is not None)
            asked_for = OutagesAsked(outage or [], where, catalogue or [])
            good = drill_outages(subject, study, asked_for, threads_of(jobs), format, out, all, quiet)
            raise SystemExit(0 if good else 1)
        from planner import api
        from planner.drill import drill_state_claims
        from planner.review.drill import review_drill

        how: HowMoved | None = None
        if mode is not None:
            how = mode.value
        claims: tuple[str, ...] = ()
        threads = threads_of(jobs)
        with progress(quiet, stage="reading what is drilled") as advance:

            def done(failures: int, of: int) -> None:
                advance("replaying failures", failures / max(1, of), "")

            if subject.suffix.lower() == ".csv":
                asked, fleet = fleet_in(subject, study)
                check_out(out, kind=REPORT)
                result = api.drill(
                    asked, fleet, mode=how, each=each or (), pairs=pairs or (), jobs=threads, progress=done
                )
            else:
                plan = plan_in(subject)
                check_out(out, kind=REPORT)
                if is_edited(plan):
                    tell(f"{subject}: {EDITED}")
                    claims = (EDITED,)
                result = api.drill(plan, mode=how, each=each or (), pairs=pairs or (), jobs=threads, progress=done)
                claims += drill_state_claims(plan.file)
        report = review_drill(result, claims, all, hour)
        deliver(report, format, out)
        raise SystemExit(0 if report.good else 1)


def _refuse_beside_simulation(simulate: bool, simulation: SimulationAsked, others: list[str]) -> None:
    """States are simulated as the plan has them.

    Raises
    ------
    InputError
        when options of a simulation are given without one, or those of another drill beside it
    """
    from planner.errors import Finding, InputError

    findings = []
    if not simulate:
        findings += [Finding(option, "--simulate with it", "none", "add --simulate") for option in simulation.given]
    else:
        fix = "leave one of them out: a simulation replays the states of a plan as it has them"
        findings += [Finding(option, "none beside --simulate", "one", fix) for option in others]
    if findings:
        raise InputError(findings)


def _refuse_beside_outages(asked: bool, mode: bool, each: bool, pairs: bool, hour: bool) -> None:
    """Outages are played by themselves.

    Raises
    ------
    InputError
        when a place is named without them, or failures, a mode or hours of another drill beside them
    """
    from planner.errors import Finding, InputError

    if not asked:
        fix = "add --outages, or --outage ID"
        raise InputError([Finding("--where, --catalogue", "outages to play", "none asked for", fix)])
    given = {"--mode": mode, "--each": each, "--pairs": pairs, "--hour": hour}
    findings = []
    for option in (option for option, is_given in given.items() if is_given):
        fix = "leave one of them out: each outage says itself how gateways fail over, and its worst hour is written"
        findings.append(Finding(option, "none beside outages", "one", fix))
    if findings:
        raise InputError(findings)


def risk(
    subject: Annotated[Path, typer.Argument(help="study.yaml or its folder, plan.json, or a CSV of what runs today")],
    study: StudyOfFleet = None,
    format: AsFormat = Format.text,
    out: Out = None,
    all: AllRows = False,
    draw: Annotated[
        Drawing | None, typer.Option(help="print a drawing of what needs what instead: mermaid or dot (Graphviz)")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Single points of failure, pairs, blast radius and expected loss, from what needs what. Nothing is solved.

    Exit 1 when a tier with survival goals has a single point of failure, or a promise that no capacity can cover.

    Examples: `planner risk examples/quickstart` · `planner risk plan.json --all` · `planner risk mine --draw mermaid`
    """
    with answered(format):
        from planner.questions.risk.exposure import exposure
        from planner.review.drawing import drawing
        from planner.review.risks import review_risks

        with progress(quiet, stage="looking for what breaks alone, and in pairs"):
            title, asked, p, running, traffic = _at_risk(subject, study)
            exposed = exposure(asked, p, running, traffic)
        if draw is not None:
            emit(drawing(asked, p, exposed, draw.value, running), out)
        else:
            deliver(review_risks(exposed, title, all), format, out)
        raise SystemExit(0 if exposed.good else 1)


def _at_risk(subject: Path, study: Path | None) -> "Subject":
    """A title, the study with its problem, and what runs where the subject is a plan or a fleet."""
    from planner.errors import Finding, InputError
    from planner.problem.build import build
    from planner.questions.risk.exposure import running_in, running_now

    kind = subject.suffix.lower()
    if kind != ".csv" and study is not None:
        fix = "leave --study out: a plan carries its study with it"
        raise InputError([Finding(str(subject), "a CSV of what runs today, for --study", "another file", fix)])
    if kind == ".json":
        plan = plan_in(subject)
        if is_edited(plan):
            tell(f"warning: {EDITED}")
        title = f"risk of the plan of study {plan.study.study}"
        return (title, plan.study, plan.problem, *running_in(plan.file, plan.problem))
    if kind == ".csv":
        asked, fleet = fleet_in(subject, study)
        p = build(asked)
        return (f"risk of what runs today, study {asked.study}", asked, p, *running_now(fleet, p))
    asked = study_in(subject)
    return (f"risk of study {asked.study}, before any plan", asked, build(asked), None, None)


def ladder(
    study: StudyPath,
    steps: Annotated[
        list[str] | None,
        typer.Option(help="steps to climb, lowest first, with commas: site,provider,site:2,failure:NAME; default: all"),
    ] = None,
    gap: Gap = "3%",
    seconds: Seconds = None,
    nodes: Nodes = None,
    rounds: Rounds = 3,
    demand: Demand = DemandCase.base,
    format: AsFormat = Format.text,
    out: Out = None,
    quiet: Quiet = False,
) -> None:
    """What each goal costs: plans with no goal, then any site, region, provider, stack, the study's own, pairs added.

    First what the study asks for, then what it does not. On each plan the failures of all steps are drilled: what is
    still at risk. Ctrl-C or SIGTERM keeps what is done. Exit 1 when a step of the study's own goals has no plan.

    Examples: `planner ladder examples/quickstart` · `planner ladder mine --steps site,provider,stack --gap 0.01`
    """
    with answered(format):
        from planner.plan.explain import diagnose
        from planner.problem.build import build
        from planner.problem.eligibility import workloads_without_edge
        from planner.questions.ladder import chosen, climb, ladder_steps
        from planner.review.steps import review_ladder
        from planner.solve.search import Effort, is_proven

        gap_fraction = fraction_of(gap, "--gap")
        with progress(quiet, stage="reading the study"):
            asked = study_in(study)
            wanted = chosen(ladder_steps(asked), steps or ())
            if workloads_without_edge(build(asked, demand.value, with_goals=False)):
                raise diagnose(asked, demand.value)
        effort = Effort(gap_fraction=gap_fraction, seconds=seconds, most_nodes=nodes, rounds=rounds)
        check_out(out, kind=REPORT)
        with progress(quiet, KEEPS_PLANS) as advance:
            climbed = climb(asked, wanted, effort, demand.value, advance)
        report = review_ladder(asked, climbed)
        deliver(report, format, out)
        if unproven := [each.step.name for each in climbed if not is_proven(each.gap_fraction, gap_fraction)]:
            tell(f"not proven to the gap that was asked: {', '.join(unproven)}; more --nodes or --rounds may close it")
        if any(each.plan is not None and each.plan.proof.status == "stopped" for each in climbed):
            tell("a time limit or a person ended a search: its plan holds, but is not reproducible")
        raise SystemExit(0 if report.good else 1)
