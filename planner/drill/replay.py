"""The drill: every failure replayed, on a plan or on today's fleet."""

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from planner.drill.baseline import hours_of, of_fleet, of_plan
from planner.drill.expansion import failures_named, failures_of_goals, failures_of_kind
from planner.drill.failover import in_modes, mode_of_all, mode_of_normal
from planner.drill.failures import NORMAL, Failure
from planner.drill.graph import Graph, build_graph
from planner.drill.instance import NO_LATENCIES, TOLERANCE, Instance, Latencies, build_instance
from planner.drill.names import check_counts, check_failures, check_study, names_in_plan
from planner.drill.one_hour import Fleets, Progress, Search, dearest_first, drill_hour, worst_first
from planner.drill.pushes import plan_as_pushed, study_as_pushed
from planner.drill.result import DrillResult, DrillRow, Mode, OutageImpact
from planner.drill.rules import rules_not_judged
from planner.drill.solving import MOST_NODES
from planner.drill.time_slices import TimeSlice, not_done, not_ready, taken_up, time_slices_of, without_power
from planner.study.records.plan import PlanFile
from planner.study.records.study import RunningReplicas, Study

Block = tuple[str, str]
"""(hour, failure)"""
Which = tuple[Sequence[str], Sequence[str]]
"""Kinds of component: each lost by itself, and in pairs."""


def prepare(
    study: Study, case: str = "base", longer: Latencies = NO_LATENCIES
) -> tuple[Instance, Graph, tuple[Failure, ...]]:
    """The study as arrays, its graph, and the failures that its goals expand to; `longer`: see `broken_rows`.

    Raises
    ------
    InputError
        when names lead nowhere, dependencies form a cycle, or requests pass limits in a way that is not judged
    """
    check_study(study)
    instance = build_instance(study, case, longer)
    graph = build_graph(instance)
    check_failures(study, graph.order)
    return instance, graph, failures_of_goals(instance, graph)


def drill_plan(
    plan: PlanFile,
    mode: Mode | None = None,
    progress: Progress | None = None,
    which: Which | None = None,
    most_nodes: int = MOST_NODES,
    only: Collection[str] | None = None,
    jobs: int = 1,
    only_goals: bool = False,
    named: Sequence[str] = (),
) -> DrillResult:
    """Replay every failure of the plan's study on the plan's machines and replicas.

    Parameters
    ----------
    plan : the plan; of its states only the traffic of normal operation is used, see `drill_state_claims` for the rest
    mode : of all failures; `resolve`: the best new weights and starts per failure; `rescale`: base weights over what
        remains; none: each as gateways fail over in it, normal operation by what they fall back on
    progress : called with (failures done, failures in all)
    which, named : instead of the failures of the study's goals: kinds of component that are lost one by one, and in
        pairs; failures of the study by name, whether or not a goal names them
    most_nodes : of a search for whole replicas; after fewer, what is short may be less than is said; 0: parts of
        replicas will do, so what is short is short for sure, and may be more
    only : of these failures those that are replayed; none: all
    jobs : threads in which failures are re-solved side by side; the answer is the same
    only_goals : whether it is only asked which goals are broken: re-solved, there are no rows after the last deadline
        and no impacts, and what parts of replicas break is as short as with these

    Returns
    -------
    rows of (failure, seconds since it began, tier), worst first; rates in requests/s

    Raises
    ------
    InputError
        when the plan states an hour that its study does not have, the study names what does not exist, its
        dependencies form a cycle, or requests pass limits in a way that is not judged
    SolverError
        when the solver fails
    """
    check_counts(plan)
    plan = plan_as_pushed(plan) if (mode or plan.study.failover) == "resolve" else plan
    instance, graph, failures = prepare(plan.study, plan.demand_case)
    findings = names_in_plan(plan, [failure.id for failure in failures], instance.placements)
    replayed = _asked(instance, graph, failures, which, named)
    if only is not None:  # all stages of a failure, or none
        begun = {failure.as_it_begins for failure in replayed if failure.id in only}
        replayed = tuple(failure for failure in replayed if failure.as_it_begins in begun)
    replayed = _in_mode(mode, replayed)
    in_normal = mode or mode_of_normal(plan.study.failover, failures)
    slices = hours_of(plan)
    findings += [*not_ready(plan, slices), *not_done(plan, slices)]
    rows: list[DrillRow] = []
    impacts: list[OutageImpact] = []
    search = Search(most_nodes=most_nodes, only_goals=only_goals, jobs=jobs, obtaining=not only_goals)
    for n, one in enumerate(slices):
        within = _within(progress, n, len(slices)) if progress else None
        fleets = fleets_of(instance, failures, plan, one, slices)
        result = drill_hour(fleets, graph, replayed, in_normal, within, search)
        name = one.hour if len(slices) > 1 else ""
        rows += [replace(row, hour=name) for row in result.rows]
        impacts += [replace(impact, hour=name) for impact in result.outage_impacts]
        findings += [f"{name}: {text}" if name else text for text in result.findings]
        findings += without_power(plan, one, slices)
    by_default = mode or plan.study.failover
    return DrillResult(
        mode=mode_of_all(by_default, replayed) or "mixed",
        subject=f"plan of {plan.study.study}",
        rows=tuple(sorted(rows, key=worst_first)),
        findings=tuple(dict.fromkeys(findings)),
        outage_impacts=tuple(sorted(impacts, key=dearest_first)),
        hours=len(slices),
        planned=mode_of_all(plan.study.failover, failures) or "mixed",
        not_judged=rules_not_judged(plan),
        rescaled=_rescaled(by_default, replayed),
    )


def broken_rows(
    plan: PlanFile,
    only: Sequence[Block],
    mode: Mode | None = None,
    most_nodes: int = MOST_NODES,
    longer: Latencies = NO_LATENCIES,
    reach: bool = False,
) -> list[DrillRow]:
    """What breaks first of a plan in some failures alone: to look again and again, a figure of its study changed.

    Normal operation is routed anew, too, where weights are: it is asked what the replicas can carry.

    Parameters
    ----------
    plan : as for `drill_plan`
    only : (hour, failure) that are replayed, one after the other, until one breaks; rescaled, all of an hour together
    most_nodes : of a search for whole replicas; 0: what breaks does so with parts of replicas as well, so for sure
    longer : (origin, site id) -> round trip that holds instead of the study's [ms]
    reach : also rows of what is due and out of reach of any capacity, which breaks nothing

    Returns
    -------
    rows that break a goal, worst first, of the first failure that has any
    """
    plan = plan_as_pushed(plan) if (mode or plan.study.failover) == "resolve" else plan
    instance, graph, failures = prepare(plan.study, plan.demand_case, longer)
    slices = hours_of(plan)
    by_hour: dict[str, list[str]] = {}
    for hour, name in only:
        by_hour.setdefault(hour, []).append(name)
    failures = _in_mode(mode, failures)
    in_normal = mode or mode_of_normal(plan.study.failover, failures)
    all_rescaled = mode_of_all(in_normal, failures) == "rescale"
    together = by_hour.items() if all_rescaled else [(hour, [name]) for hour, name in only]
    for hour, names in together:
        asked = [failure for failure in failures if failure.id in names]
        search = Search(NORMAL in names, in_normal == "resolve", most_nodes)
        one = next(one for one in slices if one.hour == hour)
        result = drill_hour(fleets_of(instance, failures, plan, one, slices), graph, asked, in_normal, None, search)
        bad = [row for row in result.rows if row.broken or (reach and row.uncovered_requests_per_second > TOLERANCE)]
        if bad:
            return [replace(row, hour=hour) for row in bad]
    return []


def drill_fleet(
    study: Study,
    fleet: Sequence[RunningReplicas],
    mode: Mode = "rescale",
    progress: Progress | None = None,
    which: Which | None = None,
    jobs: int = 1,
    named: Sequence[str] = (),
) -> DrillResult:
    """Replay every failure of a study on today's fleet: the machines are what its replicas need, rounded up in a pool.

    Parameters
    ----------
    study : gives demand [requests/s] in the fullest hour of its first period, profiles, dependencies and goals; its
        holdings and claims are not used
    fleet : replicas per (pool, profile), weights per (workload, origin)
    mode, progress, which, jobs, named : as for `drill_plan`

    Returns
    -------
    as `drill_plan`; a row whose edge is not eligible is a finding, and what it is sent is not served
    """
    study = study_as_pushed(study) if (mode or study.failover) == "resolve" else study
    instance, graph, failures = prepare(study)
    slices = time_slices_of(study)
    today = [one for one in slices if one.period == slices[0].period]
    fullest = max(today, key=lambda one: sum(one.wanted.values()))
    installed, findings = of_fleet(instance.at(fullest.wanted), fleet)
    replayed = _in_mode(mode, _asked(installed.instance, graph, failures, which, named))
    at = f" at {fullest.hour}, the hour of most requests of the first period" if len(slices) > 1 else ""
    result = drill_hour(
        Fleets(installed, installed, tuple(findings)),
        graph,
        replayed,
        mode,
        progress,
        Search(jobs=jobs, obtaining=True),
    )
    return replace(result, subject=f"fleet of {study.study}{at}")


def _asked(
    instance: Instance, graph: Graph, of_goals: tuple[Failure, ...], which: Which | None, named: Sequence[str]
) -> tuple[Failure, ...]:
    """The failures that are replayed; see `drill_plan`."""
    if which is None and not named:
        return of_goals
    return (*(failures_of_kind(instance, graph, *which) if which else ()), *failures_named(instance, graph, named))


def _in_mode(mode: Mode | None, failures: tuple[Failure, ...]) -> tuple[Failure, ...]:
    """The failures, all of one mode where one is given."""
    return failures if mode is None else in_modes(failures, [mode] * len(failures))


def _rescaled(by_default: Mode, failures: Sequence[Failure]) -> tuple[str, ...]:
    """Ids of the failures that are rescaled, where others are not."""
    if mode_of_all(by_default, failures) is not None:
        return ()
    return tuple(failure.id for failure in failures if failure.mode == "rescale")


def fleets_of(
    instance: Instance, failures: Sequence[Failure], plan: PlanFile, one: TimeSlice, slices: Sequence[TimeSlice]
) -> Fleets:
    """What a plan installs in an hour.

    Work that can wait is taken up in normal operation when the plan says; in a failure it asks for what the hour wants.
    """
    normal, findings = of_plan(instance.at(taken_up(plan, one)), plan, failures, one, slices)
    wanted = instance.at(one.wanted)
    if normal.instance.flows == wanted.flows and normal.instance.demand.tolist() == wanted.demand.tolist():
        return Fleets(normal, normal, tuple(findings))
    fleet, _ = of_plan(wanted, plan, failures, one, slices)
    sent = fleet.base.sum(axis=1) + fleet.unroutable
    share = np.divide(wanted.demand, sent, out=np.ones_like(sent), where=sent > 0)
    waits = np.array([tier.deferrable_hours > 0 for tier in wanted.tier_of], dtype=bool)
    scaled = fleet.base * np.where(waits, share, 1.0)[:, None]
    return Fleets(normal, replace(fleet, base=scaled), tuple(findings))


def _within(progress: Progress, n: int, of: int) -> Progress:
    """Progress of one hour within all of them."""
    return lambda failures, all_failures: progress(n * all_failures + failures, of * all_failures)
