"""Decisions as the records of a plan, and back: what is bought, the states, what cannot be covered."""

import math
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np

from planner.errors import Finding, InputError, refusal
from planner.problem.algebra import Array, Key, Sparse
from planner.problem.arrays import full
from planner.problem.build import build
from planner.problem.decisions import CHOSEN, ONCE, Decisions, Vectors, no_decisions, stored_in, table
from planner.problem.problem import Problem, flow_size, states
from planner.problem.rules.costs import COSTS, rank_outages
from planner.problem.rules.formulas import (
    is_normal,
    limit_drawn,
    machines_in_service,
    requests_through,
    served,
    short_of_spend,
    units_active,
    whole_occupied,
)
from planner.problem.rules.gateway_limits import whole_survivors
from planner.problem.rules.index_sets import INDEX_SETS, as_vectors, by_id
from planner.study.dependencies import NORMAL, availability, dependency_graph, leaves
from planner.study.records.plan import (
    Built,
    Chosen,
    PlanFile,
    Purchase,
    Replicas,
    Reserves,
    State,
    Uncoverable,
)
from planner.study.records.study import Study

DECIMALS = 9
"""Of requests/s in a plan, where a stream asks for 0.01 and more; the smaller the stream, the more of them."""


def gap_fraction(cost_usd: float, bound_usd: float) -> float:
    """How much cheaper the best possible plan might be: `(cost − bound) / cost`.

    Examples
    --------
    >>> gap_fraction(200.0, 199.0)
    0.005
    """
    return max(0.0, cost_usd - bound_usd) / cost_usd if cost_usd > 0 else 0.0


def decimals(p: Problem, w: str, o: str, h: str) -> int:
    """Decimals with which requests/s of (w, o) in an hour are stated: to a ten millionth of what is asked for."""
    return DECIMALS + max(0, math.ceil(-math.log10(flow_size(p, w, o, h)) - 2))


def finest_decimals(p: Problem) -> int:
    """Decimals with which sums over all of (w, o) in all hours are stated."""
    return max((decimals(p, w, o, h) for w, o in p.flows for h in p.hours), default=DECIMALS)


def costs_usd(p: Problem, x: Decisions) -> dict[str, float]:
    """Cost by component [USD over the horizon]."""
    a, vectors = full(p), as_vectors(p, x)
    return {cost.__name__: float(cost(a, vectors)[0]) for cost in COSTS}


def with_shortfall(p: Problem, x: Decisions) -> Decisions:
    """The decisions with what each year of each spend commitment is short of."""
    short = short_of_spend(full(p), as_vectors(p, x))
    x.shortfall = Sparse(((k.name, k.year), float(usd)) for k, usd in zip(p.spend_years, short, strict=True))
    return x


def upkeep_apart(p: Problem, x: Decisions, stated: Mapping[str, float]) -> dict[str, float]:
    """Costs as stated, with upkeep of machines that are bought apart: earlier versions have it in commitments."""
    upkeep = p.start_usd.get("upkeep", {})
    of_machines = sum(usd * float(x.started[b, t]) for (b, t), usd in upkeep.items() if b in p.pool_of)
    of_phases = sum(usd * float(x.started[m, t]) for (m, t), usd in upkeep.items() if m in p.build_outs)
    earlier = {"commitments", "upkeep"} <= set(stated) and abs(stated["upkeep"] - of_phases) < 0.01 < of_machines
    if not earlier:
        return dict(stated)
    return {**stated, "commitments": stated["commitments"] - of_machines, "upkeep": stated["upkeep"] + of_machines}


def purchases_of(p: Problem, x: Decisions) -> tuple[Purchase, ...]:
    """What is bought of offers, as records; zeros left out."""
    bought = sorted({**x.started, **x.rented}.items())
    return tuple(Purchase(offer=b, when=t, units=int(n)) for (b, t), n in bought if n and b not in p.build_outs)


def builds_of(p: Problem, x: Decisions) -> tuple[Built, ...]:
    """What is built, as records; zeros left out."""
    built = sorted(x.started.items())
    return tuple(Built(build_out=m, when=t, units=int(n)) for (m, t), n in built if n and m in p.build_outs)


def purchased(
    hourly: Container[str],
    purchases: Iterable[Purchase],
    builds: Iterable[Built] = (),
    replicas: Iterable[Replicas] = (),
    pool_of: Mapping[str, str] = MappingProxyType({}),
) -> Decisions:
    """What is bought, built and run, as decisions.

    Parameters
    ----------
    hourly : offers that are rented by the hour
    pool_of : placement -> pool, which is open where a replica runs
    """
    x = no_decisions()
    for row in purchases:
        (x.rented if row.offer in hourly else x.started)[row.offer, row.when] = float(row.units)
    for built in builds:
        x.started[built.build_out, built.when] = float(built.units)
    for run in replicas:
        e, h = run.placement, run.hour
        x.replicas[e, h] = float(run.replicas)
        x.non_preemptible[e, h] = float(run.replicas if run.non_preemptible is None else run.non_preemptible)
        for b, n in run.on_offers.items():
            x.on_offer[e, b, h] = float(n)
        if run.replicas:
            x.opened[pool_of.get(e, ""), h] = 1.0
    return x


def units_by_period(
    p: Problem, purchases: Iterable[Purchase], builds: Iterable[Built] = ()
) -> dict[tuple[str, str], int]:
    """(b, t) -> units of an offer, or modules of a phase, up in a period, in its fullest hour; zeros left out."""
    a, x = full(p), as_vectors(p, purchased(p.hourly, purchases, builds))
    most: dict[tuple[str, str], int] = {}
    for h in p.hours:
        units: list[float] = np.asarray(units_active(a, x, h)).tolist()
        for i, n in enumerate(units):
            key = a.offers[i][0], p.period_of[h]
            most[key] = max(most.get(key, 0), round(n))
    return {key: n for key, n in sorted(most.items()) if n}


def reserves_of(p: Problem, x: Decisions) -> Reserves:
    """The limits of gateways as a record, in the order of their edges."""
    rounded = ((key, round(v, decimals(p, key[0], key[1], key[3]))) for key, v in sorted(x.reserve.items()))
    rows = [(*key, value) for key, value in rounded if value > 0]
    workload, origin, placement, hour, rates = zip(*rows, strict=True) if rows else ((), (), (), (), ())
    return Reserves(workload=workload, origin=origin, placement=placement, hour=hour, requests_per_second=rates)


def non_preemptible_of(p: Problem, x: Decisions, e: str, h: str) -> int | None:
    """Replicas on machines that count in every failure, where not all are."""
    non_preemptible = int(x.non_preemptible[e, h])
    return non_preemptible if p.pool_of[e] in p.with_spot and non_preemptible != int(x.replicas[e, h]) else None


def on_offers_of(p: Problem, x: Decisions, e: str, h: str) -> dict[str, int]:
    """Offer -> replicas on machines of it that are counted apart; zeros left out."""
    counts = {b: int(x.on_offer[e, b, h]) for b in full(p).counted_apart if p.pool_of[b] == p.pool_of[e]}
    return {b: n for b, n in counts.items() if n}


def state_records(p: Problem, x: Decisions) -> list[State]:
    """The states as records; what equals normal operation is said in one word."""
    flows: dict[tuple[str, str, float], list[tuple[str, str, str, float]]] = {}
    for (w, o, e, s), value in x.traffic.items():
        if (rounded := round(value, decimals(p, w, o, s[0]))) > 0:
            flows.setdefault(s, []).append((w, o, e, rounded))
    for rows in flows.values():
        rows.sort()
    vectors = as_vectors(p, x)
    return [_state_record(p, x, vectors, s, flows) for f in p.failures for s in states(p, f)]


def _state_record(
    p: Problem,
    x: Decisions,
    vectors: Vectors,
    s: tuple[str, str, float],
    flows: Mapping[tuple[str, str, float], list[tuple[str, str, str, float]]],
) -> State:
    """One state as a record; `vectors`: the decisions; `flows`: state -> sorted (w, o, e, requests/s)."""
    h, f, c = s
    usual = (h, NORMAL, 0.0)
    shed: dict[str, dict[str, float]] = {}
    for w, o in p.flows:
        value = x.shed[w, o, s]
        if value > 0 and (rounded := round(value, decimals(p, w, o, h))) > 0:
            shed.setdefault(w, {})[o] = rounded
    kept, cold_started, occupied = dict[str, int](), dict[str, int](), dict[str, int]()
    a = full(p)
    surviving = whole_survivors(a, vectors, s)
    if f != NORMAL:
        kept_now, cold_started_now, occupied_now = (
            np.round(of[s,]) for of in (vectors.kept, vectors.cold_started, vectors.occupied)
        )
        live = a.live(f)
        kept = _whole_of(p, kept_now, live & (kept_now != surviving))
        cold_started = _whole_of(p, cold_started_now, live & (cold_started_now > 0))
        occupied = _whole_of(p, occupied_now, live & (occupied_now > kept_now + cold_started_now))
    throughput = _throughput(p, x, s)
    same = (
        f != NORMAL
        and flows.get(s) == flows.get(usual)
        and throughput == _throughput(p, x, usual)
        and not (shed or kept or cold_started or occupied)
        and bool((a.wanted(s) == a.wanted(usual)).all())
    )
    rows = [] if same else flows.get(s, [])
    workload, origin, placement, rates = zip(*rows, strict=True) if rows else ((), (), (), ())
    return State(
        hour=h,
        failure=f,
        deadline_seconds=c,
        same_as_normal=same,
        workload=workload,
        origin=origin,
        placement=placement,
        requests_per_second=rates,
        routed_via=() if same else tuple(throughput),
        throughput_requests_per_second=() if same else tuple(throughput.values()),
        shed=shed,
        kept=kept,
        cold_started=cold_started,
        occupied=occupied,
    )


def _whole_of(p: Problem, replicas: Array, which: Array) -> dict[str, int]:
    """Whole replicas by placement, where a mask is true."""
    return {p.placements[i]: int(replicas[i]) for i in np.flatnonzero(which).tolist()}


def _throughput(p: Problem, x: Decisions, s: tuple[str, str, float]) -> dict[str, float]:
    """Alternative -> requests/s that are routed via it in a state; zeros left out."""
    fine = full(p).once("finest decimals", lambda: finest_decimals(p))
    return {a: value for a in p.request_limits.component_of if (value := round(x.throughput[a, s], fine)) > 0}


def chosen_of(x: Decisions) -> tuple[Chosen, ...]:
    """Decisions that have no record of their own, in the order of the table; zeros left out."""
    rows = []
    for decision in stored_in(CHOSEN):
        for key, value in sorted(getattr(x, decision.name).items()):
            if value:
                of, s = (key[:-1], key[-1]) if decision.block == "states" else (key, (None, None, None))
                at = {"hour": s[0], "failure": s[1], "deadline_seconds": s[2]}
                rows.append(Chosen(decision=decision.name, of=of, value=float(value), **at))
    return tuple(rows)


def chosen_key(row: Chosen) -> tuple[Any, ...]:
    """The key of a decision that a record holds."""
    return row.of if row.failure is None else (*row.of, (row.hour, row.failure, row.deadline_seconds))


def problem_of(plan: PlanFile) -> Problem:
    """The problem of a plan's study.

    Raises
    ------
    InputError
        when none can be built, or the plan buys what it does not know: the file was changed by hand
    """
    fix = "make the plan again with `planner plan`"
    try:
        p = build(plan.study, plan.demand_case)
    except (ValueError, LookupError, ArithmeticError, StopIteration) as error:
        got = f"no problem can be built from it: {error!r}"[:200]
        raise refusal("plan: study", "a study whose parts fit each other", got, fix) from error
    times = {b: p.hours if b in p.hourly else p.periods for b in p.offers}
    unknown = [
        Finding(f"plan: purchases[{n}]", "an offer of the study, in one of its periods or hours", got, fix)
        for n, row in enumerate(plan.purchases)
        if row.when not in times.get(row.offer, ())
        for got in [f"{row.offer} in {row.when}"]
    ]
    unknown += [
        Finding(f"plan: builds[{n}]", "a build-out of the study, in one of its periods", got, fix)
        for n, row in enumerate(plan.builds)
        if row.build_out not in p.build_outs or row.when not in p.periods
        for got in [f"{row.build_out} in {row.when}"]
    ]
    if unknown:
        raise InputError(unknown)
    return p


def without_survival_goals(study: Study, case: str) -> Problem:
    """The problem of a study without its survival goals, gateways steered: what a plan is compared with."""
    return replace(build(study, case, with_goals=False), rescaled=frozenset())


def decisions_of(plan: PlanFile, p: Problem) -> Decisions:
    """The plan's numbers as decisions, for the rules to audit; machines are what the occupied replicas need."""
    x = purchased(p.hourly, plan.purchases, plan.builds, plan.replicas, p.pool_of)
    for e, h in list(x.non_preemptible):
        if p.pool_of.get(e) not in p.with_spot:
            del x.non_preemptible[e, h]
    limits = plan.reserves
    of = zip(limits.workload, limits.origin, limits.placement, limits.hour, strict=True)
    x.reserve = Sparse(dict(zip(of, limits.requests_per_second, strict=True)))
    stored = {decision.name for decision in stored_in(CHOSEN)}
    for row in plan.chosen:
        if row.decision in stored:
            getattr(x, row.decision)[chosen_key(row)] = row.value
    normal = {state.hour: state for state in plan.states if state.failure == NORMAL}
    known = {s for f in p.failures for s in states(p, f)}
    for state in plan.states:
        if (state.hour, state.failure, state.deadline_seconds) in known:
            _read_state(p, x, state, normal.get(state.hour, state) if state.same_as_normal else state)
    return _completed(p, x, plan)


def _read_state(p: Problem, x: Decisions, state: State, routes: State) -> None:
    """Add the decisions of a state; `routes`: the record of its requests, its own or that of normal operation."""
    s = (state.hour, state.failure, state.deadline_seconds)
    columns = (routes.workload, routes.origin, routes.placement, routes.requests_per_second)
    for w, o, e, value in zip(*columns, strict=True):
        x.traffic[w, o, e, s] = x.traffic[w, o, e, s] + value
    for w, by_origin in routes.shed.items():
        for o, value in by_origin.items():
            x.shed[w, o, s] = value
    for e, n in state.cold_started.items():
        x.cold_started[e, s] = float(n)
    for a, value in zip(routes.routed_via, routes.throughput_requests_per_second, strict=True):
        x.throughput[a, s] = value


def _completed(p: Problem, x: Decisions, plan: PlanFile) -> Decisions:
    """The decisions with what follows from those that a plan states: what survives runs on, unless it says else."""
    a, vectors = full(p), as_vectors(p, x)
    stated = {(state.hour, state.failure, state.deadline_seconds): state for state in plan.states}
    for f in p.failures:
        for s in states(p, f):
            kept, occupied = whole_survivors(a, vectors, s), np.zeros(a.P)
            if s in stated:
                _put(kept, a.placement_at, stated[s].kept)
                _put(occupied, a.placement_at, stated[s].occupied)
            vectors.kept[s,] = kept
            occupied = vectors.occupied[s,] = np.maximum(occupied, whole_occupied(a, vectors, s))
            # what is taken up in an hour of work that waits is what is served and shed in it
            taken_up = served(a, vectors, s) + vectors.shed[s,]
            vectors.offered[s,] = np.where(a.waits & is_normal(s), taken_up, a.requests(s))
            vectors.component_throughput[s,] = requests_through(a, vectors, s)
            stand = np.bincount(a.pool_of_placement, a.machines_per_replica * occupied, minlength=a.Q)
            obtains = a.may_obtain & (not is_normal(s))  # what stood before is used first
            before = np.minimum(stand, np.maximum(0.0, machines_in_service(a, vectors, s)))
            vectors.machines[s,] = np.where(obtains, before, stand)
            vectors.obtained[s,] = np.where(obtains, stand - before, 0.0)
            if not is_normal(s) and a.limits_drawn:
                vectors.drawn[s,] = limit_drawn(a, vectors, s)
    vectors.shortfall[ONCE] = short_of_spend(a, vectors)
    rank_outages(a, vectors)
    completed = by_id(p, vectors)
    for name in ("traffic", "reserve"):  # what is over no edge is for the audit to find
        getattr(completed, name).update(without_element(p, x, name))
    return completed


def _put(vector: Array, at: Mapping[str, int], stated: Mapping[str, float]) -> None:
    for name, value in stated.items():
        if name in at:
            vector[at[name]] = float(value)


def without_element(p: Problem, x: Decisions, name: str) -> dict[Key, float]:
    """What a decision says of what is of no element of its index set."""
    (decision,) = (decision for decision in table() if decision.name == name)
    known = set(INDEX_SETS[decision.over].of(full(p)))
    return {key: value for key, value in getattr(x, name).items() if key[:-1] not in known}


def uncoverable_flows(p: Problem) -> Iterator[tuple[str, str, str, float]]:
    """Failure, workload, origin, and the share that any capacity can serve then, wherever more is promised."""
    for f in p.failures:
        promised_to = {tier for tier, fraction, _ in p.promised[f] if fraction > 0}
        if f == NORMAL or not promised_to:
            continue
        for (w, o), fraction in p.coverable[f].items():
            wanted = max((x for tier, x, _ in p.promised[f] if tier == p.tier_of[w]), default=0.0)
            if wanted > fraction:
                yield f, w, o, fraction


def uncoverable(study: Study, p: Problem) -> list[Uncoverable]:
    """What no capacity helps, with the missing ingredient; found before anything is solved."""
    rows = []
    graph = dependency_graph(study)
    models = {w.name: w.model for w in study.workloads}
    value_in: dict[str, dict[str, float]] = {}
    for f, w, o, fraction in uncoverable_flows(p):
        if f not in value_in:
            value_in[f] = availability(graph, p.failures[f].lost)
        value = value_in[f]
        entries = [d for d in (f"workload:{w}", f"origin:{o}") if value[d] < 1]
        if entries:
            parts = {d: [*graph.nodes[d]["needs"], *(need for need, _ in graph.nodes[d]["logins"])] for d in entries}
            needs = sorted({leaf for d in entries for part in parts[d] for leaf in leaves(part) if value[leaf] < 1})
            missing = f"a second way for {' and '.join(entries)} beside {', '.join(needs) or 'itself'}"
        else:
            n = len(p.edges_in_failure[w, o])
            missing = (
                f"a placement of {models[w]} that outlives {f}: all {n} that meet the limits are lost"
                if n
                else f"a placement of {models[w]} that meets the limits at all"
            )
        rows.append(Uncoverable(failure=f, workload=w, origin=o, coverable_fraction=fraction, missing=missing[:200]))
    return rows
