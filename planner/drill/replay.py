"""The drill: every failure replayed, on a plan or on today's fleet."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from planner.drill.failures import NORMAL, Failure, failures_of_goals, failures_of_kind, normal_operation
from planner.drill.graph import Graph, build_graph
from planner.drill.left import Left, what_is_left
from planner.drill.limits import cut
from planner.drill.moments import Moment, moments, not_done, not_ready, taken_up, without_power
from planner.drill.names import check_counts, check_failures, check_study, names_in_plan
from planner.drill.outage_impacts import toll
from planner.drill.rescale import HOT, LOADED, RECLAIMED, STARTED, WAYS, Routes, carried, rescaled, routes_of, unmoved
from planner.drill.resolve import resolve, routed_anew, steered
from planner.drill.result import DrillResult, DrillRow, Mode, OutageImpact
from planner.drill.solving import MOST_NODES
from planner.drill.standing import hours_of, of_fleet, of_plan
from planner.drill.stock import Stock, that_fit
from planner.drill.world import NO_TRIPS, TOLERANCE, Indices, Numbers, Trips, World, build_world
from planner.study.records.plan import PlanFile
from planner.study.records.study import RunningReplicas, Study

Progress = Callable[[int, int], None]
CHUNK = 128
"""Failures whose arrays are in memory at the same time."""


Block = tuple[str, str]
"""(hour, failure)"""


@dataclass(frozen=True)
class Search:
    """How a drill looks.

    Parameters
    ----------
    normal : whether normal operation is looked at, too
    anew : whether it gets new weights
    most_nodes : of a search for whole replicas; 0: parts of replicas will do
    """

    normal: bool = True
    anew: bool = False
    most_nodes: int = MOST_NODES


AS_IT_RUNS = Search()
Which = tuple[Sequence[str], Sequence[str]]
"""Kinds of component: each lost by itself, and in pairs."""


def prepare(study: Study, case: str = "base", longer: Trips = NO_TRIPS) -> tuple[World, Graph, tuple[Failure, ...]]:
    """The study as arrays, its graph, and the failures that its goals expand to; `longer`: see `broken_rows`.

    Raises
    ------
    InputError
        when names lead nowhere, or dependencies form a cycle
    """
    check_study(study)
    world = build_world(study, case, longer)
    graph = build_graph(world)
    check_failures(study, graph.order)
    return world, graph, failures_of_goals(world, graph)


def drill_plan(
    plan: PlanFile, mode: Mode = "resolve", progress: Progress | None = None, which: Which | None = None
) -> DrillResult:
    """Replay every failure of the plan's study on the plan's machines and replicas.

    Parameters
    ----------
    plan : the plan; of its states only the traffic of normal operation is used, see `drill_state_claims` for the rest
    mode : `resolve`: the best new weights and starts per failure; `rescale`: base weights over what is left
    progress : called with (failures done, failures in all)
    which : kinds of component that are lost one by one, and in pairs; none: the failures of the study's goals

    Returns
    -------
    rows of (failure, clock [s], tier), worst first; rates in requests/s

    Raises
    ------
    InputError
        when the plan states an hour that its study does not have, the study names what does not exist, or its
        dependencies form a cycle
    SolverError
        when the solver fails
    """
    check_counts(plan)
    world, graph, failures = prepare(plan.study, plan.demand_case)
    findings = names_in_plan(plan, [failure.id for failure in failures], world.placements)
    replayed = failures if which is None else failures_of_kind(world, graph, *which)
    every = hours_of(plan)
    findings += [*not_ready(plan.study, plan, every), *not_done(plan.study, plan, every)]
    rows: list[DrillRow] = []
    outage_impacts: list[OutageImpact] = []
    for n, moment in enumerate(every):
        told = _within(progress, n, len(every)) if progress else None
        result = _in_hour(world, graph, failures, replayed, plan, moment, every, mode, told)
        name = moment.hour if len(every) > 1 else ""
        rows += [replace(row, hour=name) for row in result.rows]
        outage_impacts += [replace(toll, hour=name) for toll in result.outage_impacts]
        findings += [f"{name}: {text}" if name else text for text in result.findings]
        findings += without_power(plan.study, plan, moment, every)
    rows.sort(key=_worst_first)
    outage_impacts.sort(key=lambda t: (-t.usd_lost, -t.requests_lost, t.failure, t.hour))
    return DrillResult(
        mode,
        f"plan of {plan.study.study}",
        tuple(rows),
        tuple(dict.fromkeys(findings)),
        tuple(outage_impacts),
        len(every),
        plan.study.failover,
    )


def broken_rows(
    plan: PlanFile,
    only: Sequence[Block],
    mode: Mode = "resolve",
    most_nodes: int = MOST_NODES,
    longer: Trips = NO_TRIPS,
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
    world, graph, failures = prepare(plan.study, plan.demand_case, longer)
    every = hours_of(plan)
    moments = {moment.hour: moment for moment in every}
    by_hour: dict[str, list[str]] = {}
    for hour, name in only:
        by_hour.setdefault(hour, []).append(name)
    together = by_hour.items() if mode == "rescale" else [(hour, [name]) for hour, name in only]
    for hour, names in together:
        asked = [failure for failure in failures if failure.id in names]
        search = Search(NORMAL in names, mode == "resolve", most_nodes)
        result = _in_hour(world, graph, failures, asked, plan, moments[hour], every, mode, None, search)
        bad = [row for row in result.rows if row.broken or (reach and row.uncovered_requests_per_second > TOLERANCE)]
        if bad:
            return [replace(row, hour=hour) for row in sorted(bad, key=_worst_first)]
    return []


def _worst_first(r: DrillRow) -> tuple[object, ...]:
    return not r.broken, r.due_fraction <= 0, r.served_fraction, r.failure, r.deadline_seconds, r.tier, r.hour


def _within(progress: Progress, n: int, of: int) -> Progress:
    """Progress of one hour within all of them."""
    return lambda failures, all_failures: progress(n * all_failures + failures, of * all_failures)


def _in_hour(
    world: World,
    graph: Graph,
    failures: Sequence[Failure],
    replayed: Sequence[Failure],
    plan: PlanFile,
    moment: Moment,
    every: Sequence[Moment],
    mode: Mode,
    progress: Progress | None,
    search: Search = AS_IT_RUNS,
) -> DrillResult:
    """The drill of a plan in one hour.

    Work that can wait is taken up in normal operation when the plan says; in a failure it asks for what the hour wants.
    """
    usual = world.at(taken_up(plan.study, plan, moment))
    stock, findings = of_plan(usual, plan, failures, moment, every)
    normal = in_normal_operation(usual, graph, stock, mode, search.anew) if search.normal else []
    here = usual
    if usual.demand.tolist() != (wants := world.at(moment.wanted)).demand.tolist() or usual.flows != wants.flows:
        here = wants
        again, _ = of_plan(here, plan, failures, moment, every)
        sent = again.base.sum(axis=1) + again.astray
        share = np.divide(here.demand, sent, out=np.ones_like(sent), where=sent > 0)
        waits = np.array([tier.deferrable_hours > 0 for tier in here.tier_of], dtype=bool)
        stock = replace(again, base=again.base * np.where(waits, share, 1.0)[:, None])
    result = _drill(here, graph, replayed, stock, mode, "", findings, progress, search)
    return replace(result, rows=(*normal, *(row for row in result.rows if row.failure != NORMAL)))


def drill_fleet(
    study: Study,
    fleet: Sequence[RunningReplicas],
    mode: Mode = "rescale",
    progress: Progress | None = None,
    which: Which | None = None,
) -> DrillResult:
    """Replay every failure of a study on today's fleet: the machines are what its replicas need, whole per pool.

    Parameters
    ----------
    study : gives demand [requests/s] in the fullest hour of its first period, profiles, dependencies and goals; its
        holdings and claims are not used
    fleet : replicas per (pool, profile), weights per (workload, origin)
    mode, progress, which : as for `drill_plan`

    Returns
    -------
    as `drill_plan`; a row whose edge is not eligible is a finding, and what it is sent is not served
    """
    world, graph, failures = prepare(study)
    every = moments(study)
    today = [m for m in every if m.period == every[0].period]
    fullest = max(today, key=lambda m: sum(m.wanted.values()))
    world = world.at(fullest.wanted)
    stock, findings = of_fleet(world, fleet)
    replayed = failures if which is None else failures_of_kind(world, graph, *which)
    at = f" at {fullest.hour}, the hour of most requests of the first period" if len(every) > 1 else ""
    return _drill(world, graph, replayed, stock, mode, f"fleet of {study.study}{at}", findings, progress)


def _drill(
    world: World,
    graph: Graph,
    failures: Sequence[Failure],
    stock: Stock,
    mode: Mode,
    subject: str,
    findings: list[str],
    progress: Progress | None,
    search: Search = AS_IT_RUNS,
) -> DrillResult:
    routes = routes_of(world, stock.base)
    rows = in_normal_operation(world, graph, stock, mode) if search.normal else []
    outage_impacts, templates = list[OutageImpact](), dict[Any, Any]()
    for start in range(0, len(failures), CHUNK):
        left = what_is_left(world, graph, stock, failures[start : start + CHUNK])
        at_once = _rescaled(world, stock, left, routes) if mode == "rescale" else None
        first, deadlines = unmoved(world, stock, left, routes), _deadlines(left)
        for f, failure in enumerate(left.failures):
            alone = left.one(f)
            if at_once is None:
                answer = resolve(world, stock, alone, templates, search.most_nodes)
                served, how = dict(answer.served), dict(answer.how)
                findings += answer.findings
            else:
                clocks = {clock for clock in at_once if clock in failure.clocks or clock not in deadlines}
                served = {clock: at_once[clock][0][f] for clock in clocks}
                how = {clock: at_once[clock][1][:, f] for clock in clocks}
            served[0.0] = first[f]
            how[0.0] = _all_hot(first[f])
            shown = {0.0, *failure.clocks, max(served)}
            for clock in sorted(served):
                of_clock = tier_rows(world, failure, alone, clock, served[clock], how[clock])
                rows += [row for row in of_clock if row.broken or clock in shown]
            if len(world.demand):
                outage_impacts.append(toll(world, failure, alone, served))
            if progress:
                progress(start + f + 1, len(failures))
    rows.sort(key=_worst_first)
    outage_impacts.sort(key=lambda t: (-t.usd_lost, -t.requests_lost, t.failure))
    return DrillResult(mode, subject, tuple(rows), tuple(dict.fromkeys(findings)), tuple(outage_impacts))


def in_normal_operation(world: World, graph: Graph, stock: Stock, mode: Mode, anew: bool = False) -> list[DrillRow]:
    """Rows of the failure in which nothing is lost; re-solved, requests split best over gateways with a limit."""
    normal = normal_operation(world.study)
    left = what_is_left(world, graph, stock, [normal])
    if anew and len(world.demand):
        rates = routed_anew(world, left, that_fit(world, stock.replicas, stock.machines_in_normal()))
        return tier_rows(world, normal, left, 0.0, rates, _all_hot(rates))
    routes = routes_of(world, stock.base * world.normal)
    stand = that_fit(world, stock.replicas, stock.machines_in_normal())
    if mode == "resolve":
        sent = steered(left, routes.sent, routes.flow, routes.placement)[None, :]
    else:
        sent = cut(left.passage, routes.sent[None, :], routes.flow, routes.placement)
    capacity = (world.study.utilisation.normal * stand)[None, :]
    rates = routes.by_flow(carried(world, routes, sent, world.replica_seconds, capacity))[0]
    return tier_rows(world, normal, left, 0.0, rates, _all_hot(rates))


def _deadlines(left: Left) -> set[float]:
    return {clock for failure in left.failures for clock in failure.clocks}


def _rescaled(world: World, stock: Stock, left: Left, routes: Routes) -> dict[float, tuple[Numbers, Numbers]]:
    """What is served at every clock of the failures [f, i], and how [4, f, i]; also when traffic has moved."""
    found = {}
    for clock in sorted(_deadlines(left) | {world.study.detection_seconds}):
        rates, back = rescaled(world, stock, left, routes, clock)
        how = np.zeros((len(WAYS), *rates.shape))
        how[HOT], how[RECLAIMED] = rates - back, back
        found[clock] = rates, how
    return found


def _all_hot(rates: Numbers) -> Numbers:
    how = np.zeros((len(WAYS), len(rates)))
    how[HOT] = rates
    return how


def tier_rows(
    world: World, failure: Failure, left: Left, clock: float, served: Numbers, how: Numbers
) -> list[DrillRow]:
    """What each tier with demand is served [i] at a clock, and by what [4, i]."""
    offered = left.offered[0]
    due = left.due(world, clock)[0]
    short = np.maximum(due * offered - served, 0.0)
    flows, rows = list(world.flows), []
    for tier in world.study.tiers:
        mine = np.array([of.name == tier.name for of in world.tier_of], dtype=bool)
        if not mine.any():
            continue
        asked = float(offered[mine].sum())
        uncovered = np.maximum(failure.due(tier.name, clock) - left.coverable[0] - TOLERANCE, 0.0)
        broken = bool((short[mine] > TOLERANCE * asked).any())
        worst = _worst_flow(np.flatnonzero(mine), offered, served, short)
        split = [round(min(float(part), 1.0), 9) for part in how[:, mine].sum(axis=1) / (asked or 1.0)]
        rows.append(
            DrillRow(
                failure=failure.id,
                deadline_seconds=clock,
                tier=tier.name,
                due_fraction=failure.due(tier.name, clock),
                served_fraction=round(min(float(served[mine].sum()) / asked, 1.0), 9) if asked else 1.0,
                short_requests_per_second=round(float(short[mine].sum()), 9) if broken else 0.0,
                broken=broken,
                uncoverable_requests_per_second=round(float(((1.0 - left.coverable[0]) * offered)[mine].sum()), 9),
                uncovered_requests_per_second=round(float((uncovered * offered)[mine].sum()), 9),
                warm_fraction=split[HOT],
                reclaimed_fraction=split[RECLAIMED],
                cold_start_fraction=split[LOADED],
                launched_fraction=split[STARTED],
                recovered=bool(failure.clocks) and clock > failure.clocks[-1],
                worst_workload=flows[worst][0],
                worst_origin=flows[worst][1],
                worst_served_fraction=round(min(_share(served[worst], offered[worst]), 1.0), 9),
                worst_due_fraction=round(float(due[worst]), 9),
            )
        )
    return rows


def _worst_flow(some: Indices, offered: Numbers, served: Numbers, short: Numbers) -> int:
    """Of some flows the one that falls shortest of what is due, by share of its demand; else the least served."""

    def badness(i: int) -> tuple[float, float]:
        missing = short[i] / offered[i] if offered[i] else 0.0
        return round(float(missing), 9), round(1.0 - _share(served[i], offered[i]), 9)

    return max((int(i) for i in some), key=badness)


def _share(served: float, offered: float) -> float:
    """The share of requests that is served; all of none, where a failure leaves no demand."""
    return float(served / offered) if offered else 1.0
