"""What a plan claims of its own states, replayed number by number."""

import math
from collections import defaultdict
from collections.abc import Mapping

import numpy as np

from planner.drill.baseline import hours_of, of_plan, stated
from planner.drill.failures import NORMAL, normal_operation
from planner.drill.instance import TOLERANCE, Numbers
from planner.drill.names import above, check_counts, names_in_plan
from planner.drill.one_hour import CHUNK
from planner.drill.pushes import plan_as_pushed
from planner.drill.remaining import Remaining, what_remains
from planner.drill.replay import prepare
from planner.drill.rescale import all_warm
from planner.drill.resolve import times_of
from planner.drill.rows import tier_rows
from planner.drill.time_slices import not_done, not_ready, taken_up, without_power
from planner.study.records.plan import PlanFile, State

States = Mapping[float, State]
"""Deadline rounded to a millionth [s] -> state of one failure in one hour"""


def drill_state_claims(plan: PlanFile) -> tuple[str, ...]:
    """Replay the numbers that the plan states for each of its states, and list what does not hold.

    Traffic stands on eligible, living placements and within their capacity; replicas kept and cold-started exist, stand
    on machines, and could start in time, none of them where no weights can be pushed; what is due is served. A state
    left out is as normal operation.

    Raises
    ------
    InputError
        when the plan states an hour that its study does not have, its dependencies form a cycle, or requests pass
        limits in a way that is not judged
    """
    check_counts(plan)
    plan = plan_as_pushed(plan) if plan.study.failover == "resolve" else plan
    instance, graph, failures = prepare(plan.study, plan.demand_case)
    findings: list[str] = names_in_plan(plan, [failure.id for failure in failures], instance.placements)
    slices = hours_of(plan)
    findings += [*not_ready(plan, slices), *not_done(plan, slices)]
    for one in slices:
        states: defaultdict[str, dict[float, State]] = defaultdict(dict)
        for state in plan.states:
            if state.hour == one.hour:
                states[state.failure][round(state.deadline_seconds, 6)] = state
        fleet, of_hour = of_plan(instance.at(taken_up(plan, one)), plan, failures, one, slices)
        normal = what_remains(fleet, graph, [normal_operation(plan.study)])
        of_hour += _claimed_traffic(normal, 0.0, states[NORMAL].get(0.0), fleet.replicas)
        fleet, _ = of_plan(instance.at(one.wanted), plan, failures, one, slices)
        for first in range(0, len(failures), CHUNK):
            remaining = what_remains(fleet, graph, failures[first : first + CHUNK])
            for f, failure in enumerate(remaining.failures):
                of_hour += _claimed(remaining.one(f), states[failure.id])
        findings += [f"{one.hour}: {text}" for text in of_hour] if len(slices) > 1 else of_hour
        findings += without_power(plan, one, slices)
    return tuple(dict.fromkeys(findings))


def _claimed(remaining: Remaining, states: States) -> list[str]:
    """Findings on all states of a failure, one deadline after the other."""
    instance, failure, findings = remaining.instance, remaining.failures[0], list[str]()
    names = list(instance.placements)
    own = {round(deadline, 6) for deadline in failure.times_stated}
    further = {deadline for deadline in states if deadline not in own}
    before: list[tuple[float, Numbers, Numbers]] = []
    for deadline in sorted(further | set(failure.times_stated)):
        state = states.get(round(deadline, 6))
        of_replicas, kept, running, occupied = _claimed_replicas(remaining, deadline, state)
        findings += of_replicas
        where = f"{failure.id} at {deadline:g} s"
        if before:
            findings += above(f"{where}: kept after fewer were", names, kept, before[-1][1])
        for earlier, _, could_run in before:
            last = earlier == before[-1][0]
            late = deadline - earlier < instance.load_seconds - TOLERANCE
            most = np.where(late | (last & (instance.load_seconds > 0)), could_run, np.inf)
            findings += above(f"{where}: running, loading at {earlier:g} s", names, running, most)
        before.append((deadline, kept, occupied))
        findings += _claimed_arrivals(remaining, deadline, running)
        findings += _claimed_traffic(remaining, deadline, state, running)
    return findings


def _claimed_replicas(
    remaining: Remaining, deadline: float, state: State | None
) -> tuple[list[str], Numbers, Numbers, Numbers]:
    """Findings on the replicas of a state; its kept, running and occupied replicas [e]."""
    instance, study = remaining.instance, remaining.instance.study
    where, findings = f"{remaining.failures[0].id} at {deadline:g} s", list[str]()
    most, by_program = remaining.survivors[0], remaining.failures[0].mode == "resolve"

    def column(of: Mapping[str, int], default: Numbers) -> Numbers:
        values = default.copy()
        for name, value in of.items():
            if name in instance.placements:
                values[instance.placements[name]] = value
            else:
                findings.append(f"{where}: replicas of {name}: no such placement")
        return values

    kept = column(state.kept if state else {}, most)
    cold_started = column(state.cold_started if state else {}, np.zeros_like(most))
    running = kept + cold_started
    occupied = column(state.occupied if state else {}, running)
    loads = remaining.start_seconds[0] + instance.load_seconds <= deadline + TOLERANCE
    in_time = (remaining.placements[0] > 0) & remaining.may_start[0] & loads & by_program
    need = instance.by_pool(instance.machines_per_replica * occupied)
    since = max(deadline - study.detection_seconds, 0.0)
    names, pools = list(instance.placements), [pool.id for pool in study.pools]
    findings += above(f"{where}: kept replicas", names, kept, most)
    findings += above(f"{where}: cold-started replicas", names, cold_started, np.where(in_time, np.inf, 0.0))
    findings += above(f"{where}: running, of those with machines", names, running, occupied)
    machines = remaining.machines(deadline, obtained=by_program)[0]
    findings += above(f"{where}: machines", pools, need, machines)
    partly_lost = f"{where}: replicas of a placement lost in part"
    findings += above(partly_lost, names, occupied, remaining.part_of_pool(deadline))
    sites = [site.id for site in study.sites]
    for engine in np.unique(instance.engine_start_seconds).tolist():
        # what starts its engine for so long, or longer, must have been read by then
        last = instance.engine_start_seconds >= engine
        gib = np.bincount(instance.site_of, weights=instance.weights_gib * cold_started * last, minlength=len(sites))
        reads = max(since - engine, 0.0)
        fed = np.array([math.inf if math.isinf(rate) else rate * reads for rate in instance.feeds_gib_per_second])
        findings += above(f"{where}: GiB loaded", sites, gib.astype(np.float64), fed)
    return findings, kept, running, occupied


def _claimed_arrivals(remaining: Remaining, deadline: float, running: Numbers) -> list[str]:
    """Findings where replicas must have been loading before their machines came back or were obtained."""
    instance, findings = remaining.instance, list[str]()
    where = f"{remaining.failures[0].id} at {deadline:g} s: machines under what loads at"
    pools = [pool.id for pool in instance.study.pools]
    for at in (at for at in times_of(remaining) if at < deadline):
        loading = np.where(deadline - at < instance.load_seconds - TOLERANCE, running, 0.0)
        need = instance.by_pool(instance.machines_per_replica * loading)
        findings += above(f"{where} {at:g} s", pools, need, remaining.machines(at)[0])
    return findings


def _claimed_traffic(remaining: Remaining, deadline: float, state: State | None, running: Numbers) -> list[str]:
    """Findings on the traffic of a state: eligible, alive, within capacity, no more than asked and all that is due."""
    instance, failure, offered = remaining.instance, remaining.failures[0], remaining.offered[0]
    where, in_failure = f"{failure.id} at {deadline:g} s", failure.id != NORMAL
    findings: list[str] = []
    if state is None or state.same_as_normal:
        traffic, shed = remaining.fleet.base, None
    else:
        traffic, _, findings = stated(instance, state, in_failure)
        shed = np.array([state.shed.get(w, {}).get(o, 0.0) for w, o in instance.flows])
    edges = (instance.in_failure if in_failure else instance.normal) & (remaining.placements[0] > 0)
    names, flows = list(instance.placements), [f"{w} from {o}" for w, o in instance.flows]
    wrong = np.where(edges, 0.0, traffic)
    for i, e in zip(*np.nonzero(wrong > TOLERANCE * np.maximum(1.0, offered)[:, None]), strict=True):
        findings.append(f"{where}: {flows[i]} on {names[e]}: dead, or not eligible")
    served = (traffic - wrong).sum(axis=1)
    seconds = instance.replica_seconds_in_failure if in_failure else instance.replica_seconds
    load = (seconds * traffic).sum(axis=0)
    findings += above(f"{where}: load in replicas", names, load, instance.filled(in_failure, running) * running)
    findings += above(f"{where}: requests/s", flows, served, offered * remaining.ingress[0])
    if shed is not None:
        off = np.where(remaining.coverable[0] < 1, 0.0, np.abs(served + shed - offered))
        findings += above(f"{where}: served and shed off demand", flows, off, TOLERANCE * offered)
    findings += _claimed_limits(remaining, where, traffic)
    for row in tier_rows(remaining, deadline, served, all_warm(served)):
        if row.broken:
            findings.append(f"{where}: tier {row.tier} is short by {row.short_requests_per_second:g} requests/s of due")
    return findings


def _claimed_limits(remaining: Remaining, where: str, traffic: Numbers) -> list[str]:
    """Findings where requests that cannot avoid a component are more than it passes."""
    limits = remaining.limits
    through = np.zeros(len(limits.components))
    flow, placement = np.nonzero(traffic)
    for passed, edges in limits.groups(flow, placement):
        for name in passed.always:
            through[limits.components[name]] += traffic[flow[edges], placement[edges]].sum()
    return above(f"{where}: requests/s through", limits.components, through, limits.most[0])
