"""What a plan claims of its own states, replayed number by number."""

import math
from collections.abc import Mapping

import numpy as np

from planner.drill.failures import NORMAL, normal_operation
from planner.drill.left import Left, what_is_left
from planner.drill.moments import not_done, not_ready, taken_up, without_power
from planner.drill.names import above, check_counts, names_in_plan
from planner.drill.replay import prepare, tier_rows
from planner.drill.resolve import part_of_pool, times_of
from planner.drill.standing import hours_of, of_plan, stated
from planner.drill.stock import Stock
from planner.drill.world import TOLERANCE, Numbers, World
from planner.study.records.plan import PlanFile, State


def drill_state_claims(plan: PlanFile) -> tuple[str, ...]:
    """Replay the numbers that the plan states for each of its states, and list what does not hold.

    Traffic stands on eligible, living placements and within their capacity; replicas kept and loaded exist, stand on
    machines, and could be loaded in time; what is due is served. A state left out is as normal operation.

    Raises
    ------
    InputError
        when the plan states an hour that its study does not have, or its dependencies form a cycle
    """
    check_counts(plan)
    world, graph, failures = prepare(plan.study, plan.demand_case)
    findings: list[str] = names_in_plan(plan, [failure.id for failure in failures], world.placements)
    every = hours_of(plan)
    findings += [*not_ready(plan.study, plan, every), *not_done(plan.study, plan, every)]
    for moment in every:
        states = {(s.failure, round(s.deadline_seconds, 6)): s for s in plan.states if s.hour == moment.hour}
        usual = world.at(taken_up(plan.study, plan, moment))
        stock, found = of_plan(usual, plan, failures, moment, every)
        normal = what_is_left(usual, graph, stock, [normal_operation(plan.study)])
        found += _claimed_traffic(usual, normal, 0.0, states.get((NORMAL, 0.0)), stock, stock.replicas)
        here = world.at(moment.wanted)
        stock, _ = of_plan(here, plan, failures, moment, every)
        for failure in failures:
            found += _claimed(here, what_is_left(here, graph, stock, [failure]), states, stock)
        findings += [f"{moment.hour}: {text}" for text in found] if len(every) > 1 else found
        findings += without_power(plan.study, plan, moment, every)
    return tuple(dict.fromkeys(findings))


def _claimed(world: World, left: Left, states: Mapping[tuple[str, float], State], stock: Stock) -> list[str]:
    """Findings on all states of a failure, from clock to clock."""
    failure, findings = left.failures[0], list[str]()
    further = {c for name, c in states if name == failure.id and c not in {round(d, 6) for d in failure.clocks}}
    before: list[tuple[float, Numbers, Numbers]] = []
    for clock in sorted(further | set(failure.clocks)):
        state = states.get((failure.id, round(clock, 6)))
        found, kept, running, occupied = _claimed_replicas(world, left, clock, state, stock)
        findings += found
        where = f"{failure.id} at {clock:g} s"
        names = list(world.placements)
        if before:
            findings += above(f"{where}: kept after fewer were", names, kept, before[-1][1])
        for earlier, _, room in before:
            last = earlier == before[-1][0]
            loads = (clock - earlier < world.load_seconds - TOLERANCE) | (last & (world.load_seconds > 0))
            loading = np.where(loads, room, np.inf)
            findings += above(f"{where}: running, loading at {earlier:g} s", names, running, loading)
        before.append((clock, kept, occupied))
        findings += _claimed_arrivals(world, stock, left, clock, running)
        findings += _claimed_traffic(world, left, clock, state, stock, running)
    return findings


def _claimed_replicas(
    world: World, left: Left, clock: float, state: State | None, stock: Stock
) -> tuple[list[str], Numbers, Numbers, Numbers]:
    """Findings on the replicas of a state; its kept, running and occupied replicas [e]."""
    where, findings = f"{left.failures[0].id} at {clock:g} s", []
    most, placements = left.survivors[0], left.placements[0]

    def column(of: Mapping[str, int], default: Numbers) -> Numbers:
        values = default.copy()
        for name, value in of.items():
            if name in world.placements:
                values[world.placements[name]] = value
            else:
                findings.append(f"{where}: replicas of {name}: no such placement")
        return values

    kept = column(state.kept if state else {}, most)
    cold_started = column(state.cold_started if state else {}, np.zeros_like(most))
    running = kept + cold_started
    occupied = column(state.occupied if state else {}, running)
    loads = world.study.detection_seconds + world.load_seconds <= clock + TOLERANCE
    in_time = (placements > 0) & left.may_start[0] & loads
    need = world.by_pool(world.machines_per_replica * occupied)
    feeds = [site.load_gib_per_second for site in world.study.sites]
    since = max(clock - world.study.detection_seconds, 0.0)
    fed = np.array([math.inf if rate is None else rate * since for rate in feeds])
    weights = np.bincount(world.site_of, weights=world.weights_gib * cold_started, minlength=len(feeds)).astype(
        np.float64
    )
    names = list(world.placements)
    findings += above(f"{where}: kept replicas", names, kept, most)
    findings += above(f"{where}: loaded replicas", names, cold_started, np.where(in_time, np.inf, 0.0))
    findings += above(f"{where}: running, of those with room", names, running, occupied)
    pools = [pool.id for pool in world.study.pools]
    findings += above(f"{where}: machines", pools, need, left.machines(stock, clock)[0])
    findings += above(
        f"{where}: replicas of a placement lost in part", names, occupied, part_of_pool(world, stock, left, clock)
    )
    findings += above(f"{where}: GiB loaded", [site.id for site in world.study.sites], weights, fed)
    return findings, kept, running, occupied


def _claimed_arrivals(world: World, stock: Stock, left: Left, clock: float, running: Numbers) -> list[str]:
    """Findings where replicas must have been loading before their machines came back or were obtained."""
    where, findings = f"{left.failures[0].id} at {clock:g} s", list[str]()
    pools = [pool.id for pool in world.study.pools]
    for at in (at for at in times_of(stock, left) if at < clock):
        loading = np.where(clock - at < world.load_seconds - TOLERANCE, running, 0.0)
        need = world.by_pool(world.machines_per_replica * loading)
        findings += above(f"{where}: machines under what loads at {at:g} s", pools, need, left.machines(stock, at)[0])
    return findings


def _claimed_traffic(
    world: World, left: Left, clock: float, state: State | None, stock: Stock, running: Numbers
) -> list[str]:
    """Findings on the traffic of a state: eligible, alive, within capacity, no more than asked and all that is due."""
    failure, offered = left.failures[0], left.offered[0]
    where, in_failure = f"{failure.id} at {clock:g} s", failure.id != NORMAL
    findings: list[str] = []
    if state is None or state.same_as_normal:
        traffic, shed = stock.base, None
    else:
        traffic, _, findings = stated(world, state, in_failure)
        shed = np.array([state.shed.get(w, {}).get(o, 0.0) for w, o in world.flows])
    edges = (world.in_failure if in_failure else world.normal) & (left.placements[0] > 0)
    names, flows = list(world.placements), [f"{w} from {o}" for w, o in world.flows]
    wrong = np.where(edges, 0.0, traffic)
    for i, e in zip(*np.nonzero(wrong > TOLERANCE * np.maximum(1.0, offered)[:, None]), strict=True):
        findings.append(f"{where}: {flows[i]} on {names[e]}: dead, or not eligible")
    served = (traffic - wrong).sum(axis=1)
    utilisation = world.study.utilisation.in_failure if in_failure else world.study.utilisation.normal
    seconds = world.replica_seconds_in_failure if in_failure else world.replica_seconds
    load = (seconds * traffic).sum(axis=0)
    findings += above(f"{where}: load in replicas", names, load, utilisation * running)
    findings += above(f"{where}: requests/s", flows, served, offered * left.front[0])
    if shed is not None:
        adrift = np.where(left.coverable[0] < 1, 0.0, np.abs(served + shed - offered))
        findings += above(f"{where}: served and shed off demand", flows, adrift, TOLERANCE * offered)
    findings += _claimed_limits(left, where, traffic)
    for row in tier_rows(world, failure, left, clock, served, np.zeros((4, len(served)))):
        if row.broken:
            findings.append(f"{where}: tier {row.tier} is short by {row.short_requests_per_second:g} requests/s of due")
    return findings


def _claimed_limits(left: Left, where: str, traffic: Numbers) -> list[str]:
    """Findings where requests that cannot avoid a component are more than it passes."""
    passage, findings = left.passage, list[str]()
    for number, name in enumerate(passage.limited):
        flows = [i for i, way in passage.ways_of_flows.items() if name in way.passes]
        placements = [e for e, way in passage.ways_of_placements.items() if name in way.passes]
        needed = np.zeros_like(traffic, dtype=bool)
        needed[flows], needed[:, placements] = True, True
        through, most = float(traffic[needed].sum()), float(passage.most[0, number])
        findings += above(f"{where}: requests/s through", [name], np.array([through]), np.array([most]))
    return findings
