"""Decisions as the records of a plan, and back: what is bought, the states, what cannot be covered."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from planner.errors import Finding, InputError
from planner.problem.algebra import Sparse, total
from planner.problem.build import build
from planner.problem.decisions import Decisions, no_decisions
from planner.problem.problem import Problem, flow_size, states
from planner.problem.rules.costs import COSTS, rank_outages
from planner.problem.rules.formulas import (
    drawn_upon,
    is_normal,
    limit_drawn,
    live_placements,
    machines_standing,
    requests_per_second,
    requests_through,
    served,
    short_of_spend,
    units_active,
    waits,
    whole_occupied,
)
from planner.problem.rules.reserves import whole_survivors
from planner.study.dependencies import NORMAL, availability, dependency_graph, leaves
from planner.study.records.plan import (
    Built,
    PlanFile,
    Purchase,
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


def costs_usd(p: Problem, x: Decisions) -> dict[str, float]:
    """Cost by component [USD over the horizon]."""
    return {cost.__name__: float(cost(p, x)) for cost in COSTS}


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


def units_by_period(
    p: Problem, purchases: Iterable[Purchase], builds: Iterable[Built] = ()
) -> dict[tuple[str, str], int]:
    """(b, t) -> units of an offer, or modules of a phase, there in a period, in its fullest hour; zeros left out."""
    x = no_decisions()
    for row in purchases:
        (x.rented if row.offer in p.hourly else x.started)[row.offer, row.when] = row.units  # type: ignore[index]
    for built in builds:
        x.started[built.build_out, built.when] = built.units  # type: ignore[index]
    most: dict[tuple[str, str], int] = {}
    for b in sorted({b for b, _ in (*x.rented, *x.started)} & {*p.offers, *p.build_outs}):
        for h in p.hours:
            key = b, p.period_of[h]
            most[key] = max(most.get(key, 0), round(units_active(p, x, b, h)))
    return {key: n for key, n in most.items() if n}


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


def state_records(p: Problem, x: Decisions) -> list[State]:
    """The states as records; what equals normal operation is said in one word."""
    index: dict[tuple[str, str, float], list[tuple[str, str, str, float]]] = {}
    for (w, o, e, s), value in x.traffic.items():
        if (rounded := round(value, decimals(p, w, o, s[0]))) > 0:
            index.setdefault(s, []).append((w, o, e, rounded))
    found, fine = [], max((decimals(p, w, o, h) for w, o in p.flows for h in p.hours), default=DECIMALS)
    for f in p.failures:
        for s in states(p, f):
            rows = sorted(index.get(s, []))
            shed: dict[str, dict[str, float]] = {}
            for w, o in p.flows:
                if (value := round(x.shed[w, o, s], decimals(p, w, o, s[0]))) > 0:
                    shed.setdefault(w, {})[o] = value
            kept, cold_started, occupied = {}, {}, {}
            for e in live_placements(p, f):
                alive = whole_survivors(p, x, e, s)
                kept_now, loaded_now = round(x.kept[e, s]), round(x.cold_started[e, s])
                runs = kept_now + loaded_now
                if f != NORMAL:
                    if kept_now != alive:
                        kept[e] = kept_now
                    if loaded_now:
                        cold_started[e] = loaded_now
                    if round(x.occupied[e, s]) > runs:
                        occupied[e] = round(x.occupied[e, s])
            usual = (s[0], NORMAL, 0.0)
            throughput = {a: v for a in p.request_limits.component_of if (v := round(x.throughput[a, s], fine)) > 0}
            as_usual = {a: v for a in p.request_limits.component_of if (v := round(x.throughput[a, usual], fine)) > 0}
            normal = sorted(index.get(usual, []))
            same = (
                f != NORMAL
                and rows == normal
                and throughput == as_usual
                and not (shed or kept or cold_started or occupied)
                and all(requests_per_second(p, w, o, s) == requests_per_second(p, w, o, usual) for w, o in p.flows)
            )
            columns: Any = ((), (), (), ()) if same or not rows else zip(*rows, strict=True)
            w_, o_, e_, v_ = (tuple(column) for column in columns)
            found.append(
                State(
                    hour=s[0],
                    failure=f,
                    deadline_seconds=s[2],
                    same_as_normal=same,
                    workload=w_,
                    origin=o_,
                    placement=e_,
                    requests_per_second=v_,
                    routed_via=() if same else tuple(throughput),
                    throughput_requests_per_second=() if same else tuple(throughput.values()),
                    shed=shed,
                    kept=kept,
                    cold_started=cold_started,
                    occupied=occupied,
                )
            )
    return found


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
        raise InputError([Finding("plan: study", "a study whose parts fit each other", got, fix)]) from error
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


def decisions_of(plan: PlanFile, p: Problem) -> Decisions:
    """The plan's numbers as decisions, for the rules to audit; machines are what the occupied replicas need."""
    x = no_decisions()
    hourly = {(b.offer, b.when): float(b.units) for b in plan.purchases if b.offer in p.hourly}
    x.rented = Sparse(hourly)
    started = {(b.offer, b.when): float(b.units) for b in plan.purchases if b.offer not in p.hourly}
    x.started = Sparse(started | {(m.build_out, m.when): float(m.units) for m in plan.builds})
    x.shortfall = Sparse(short_of_spend(p, x))
    x.replicas = Sparse({(r.placement, r.hour): float(r.replicas) for r in plan.replicas})
    non_preemptible = {
        (r.placement, r.hour): r.replicas if r.non_preemptible is None else r.non_preemptible for r in plan.replicas
    }
    x.non_preemptible = Sparse(
        {(e, h): float(n) for (e, h), n in non_preemptible.items() if p.pool_of.get(e) in p.with_spot}
    )
    x.opened = Sparse({(p.pool_of.get(e, ""), h): 1.0 for (e, h), n in x.replicas.items() if n})
    limits = plan.reserves
    of = zip(limits.workload, limits.origin, limits.placement, limits.hour, strict=True)
    x.reserve = Sparse(dict(zip(of, limits.requests_per_second, strict=True)))
    normal = {state.hour: state for state in plan.states if state.failure == NORMAL}
    known = {s for f in p.failures for s in states(p, f)}
    for state in plan.states:
        s = (state.hour, state.failure, state.deadline_seconds)
        if s not in known:
            continue
        shown = normal.get(state.hour, state) if state.same_as_normal else state
        for w, o, e, value in zip(
            shown.workload, shown.origin, shown.placement, shown.requests_per_second, strict=True
        ):
            x.traffic[w, o, e, s] = x.traffic[w, o, e, s] + value  # type: ignore[index]
        for w, o in p.flows:
            x.offered[w, o, s] = requests_per_second(p, w, o, s)  # type: ignore[index]
        for w, by_origin in shown.shed.items():
            for o, value in by_origin.items():
                x.shed[w, o, s] = value  # type: ignore[index]
        for w, o in p.flows:
            if waits(p, w, s):  # what is taken up in an hour is what is served and shed in it
                x.offered[w, o, s] = served(p, x, w, o, s) + x.shed[w, o, s]  # type: ignore[index]
        for e in p.placements:
            kept = state.kept.get(e, whole_survivors(p, x, e, s))
            x.kept[e, s] = float(kept)  # type: ignore[index]
            x.cold_started[e, s] = float(state.cold_started.get(e, 0))  # type: ignore[index]
            x.occupied[e, s] = max(whole_occupied(p, x, e, s), float(state.occupied.get(e, 0)))  # type: ignore[index]
        for alternative, value in zip(shown.routed_via, shown.throughput_requests_per_second, strict=True):
            x.throughput[alternative, s] = value  # type: ignore[index]
        for c in p.request_limits.components:
            x.component_throughput[c, s] = requests_through(p, x, c, s)  # type: ignore[index]
        for q in p.pools:
            stands = float(total((p.machines_per_replica[e], x.occupied[e, s]) for e in p.on_pool[q]))
            if q in p.may_obtain and not is_normal(s):  # what was there before is used first
                before = min(stands, max(0.0, float(machines_standing(p, x, q, s))))
                x.obtained[q, s], stands = stands - before, before  # type: ignore[index]
            x.machines[q, s] = stands  # type: ignore[index]
        for n in drawn_upon(p) if not is_normal(s) else ():
            x.drawn[n, s] = limit_drawn(p, x, n, s)  # type: ignore[index]
    rank_outages(p, x)
    return x


def uncoverable(study: Study, p: Problem) -> list[Uncoverable]:
    """What no capacity helps, with the missing ingredient; found before anything is solved."""
    rows = []
    graph = dependency_graph(study)
    models = {w.name: w.model for w in study.workloads}
    for f, failure in p.failures.items():
        promised_to = {tier for tier, fraction, _ in p.promised[f] if fraction > 0}
        if f == NORMAL or not promised_to:
            continue
        value = None
        for (w, o), fraction in p.coverable[f].items():
            wanted = max((x for tier, x, _ in p.promised[f] if tier == p.tier_of[w]), default=0.0)
            if wanted <= fraction:
                continue
            value = availability(graph, failure.lost) if value is None else value
            doors = [d for d in (f"workload:{w}", f"origin:{o}") if value[d] < 1]
            if doors:
                parts = {d: [*graph.nodes[d]["needs"], *(need for need, _ in graph.nodes[d]["logins"])] for d in doors}
                needs = sorted({leaf for d in doors for part in parts[d] for leaf in leaves(part) if value[leaf] < 1})
                missing = f"a second way for {' and '.join(doors)} beside {', '.join(needs) or 'itself'}"
            else:
                n = len(p.edges_in_failure[w, o])
                missing = (
                    f"a placement of {models[w]} that outlives {f}: all {n} that meet the limits are lost"
                    if n
                    else f"a placement of {models[w]} that meets the limits at all"
                )
            rows.append(
                Uncoverable(failure=f, workload=w, origin=o, coverable_fraction=fraction, missing=missing[:200])
            )
    return rows
