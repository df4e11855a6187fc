"""From a study to its problem."""

from dataclasses import replace

from planner.errors import InputError, refusal
from planner.problem.capacity import (
    capital_caps_of,
    claims_of,
    either_or_of,
    energy_of,
    held_at_most,
    held_machines,
    limits_of,
    not_offered,
    paid_hours_of,
    phases_of,
    price_factors_of,
    shares_of,
    spend_years_of,
    unit_costs,
    vintages_of,
    vintages_on_some_day,
)
from planner.problem.eligibility import edges_of, replica_seconds_by_placement
from planner.problem.failures import counted_of, deadlines_of, failures_of, losses, priced, rescaled_of
from planner.problem.magnitudes import out_of_range, sizes
from planner.problem.money import discount_factor
from planner.problem.parts import parts_of
from planner.problem.problem import FEW_UNITS, HOURLY, Problem, machines_within_limits, most_machines
from planner.problem.queues import waiting_of
from planner.problem.request_limits import request_limits_of
from planner.problem.waiting import Waiting
from planner.study.calendar import demand_by_hour, hours_of, spans
from planner.study.dependencies import NORMAL, dependency_graph, profile_id
from planner.study.loading import engine_start_seconds, load_seconds, storage_gib_per_second
from planner.study.outage_costs import outage_usd_per_request
from planner.study.places import listed
from planner.study.records.study import Study
from planner.study.request_limits import components_with_limits
from planner.units import MONTHS_PER_YEAR


def build(study: Study, demand: str = "base", with_goals: bool = True) -> Problem:
    """The problem of a study.

    Parameters
    ----------
    study : validated, every reference resolved
    demand : `base`, `low` or `high`
    with_goals : False leaves normal operation only

    Raises
    ------
    InputError
        when the study prices outages of gateways that only rescale: they shed what they must, not what costs least;
        when a number is too large or too small for a proof
    """
    parts = parts_of(study)
    pools = parts.pools
    wanted = demand_by_hour(study, demand)
    flows = tuple(dict.fromkeys((w, o) for w, o, _ in wanted))
    edges, edges_in_failure, why_not, late_ms = edges_of(parts, flows)
    graph = dependency_graph(study)
    failures, promised = failures_of(parts, graph, with_goals)
    years = study.horizon.months / MONTHS_PER_YEAR
    every_edge = {(w, o, e) for w, o in flows for e in (*edges[w, o], *edges_in_failure[w, o])}
    serving = {e for _, _, e in every_edge}
    names = tuple(e for e in parts.placements if e in serving)
    used = {parts.pool[e].site for e in names}
    request_limits = request_limits_of(study, graph, every_edge)
    taken = losses(parts, graph, failures, edges, edges_in_failure, request_limits)
    rescaled = rescaled_of(study, failures, taken)
    if rescaled and study.objective != "cost":
        raise _priced_without_new_weights(study, rescaled)
    periods = spans(study)
    (period_of, hours_in), hours = hours_of(study)
    price = study.price_by_offer
    refused = {b.id: reason for b in study.offers if (reason := not_offered(study, b)) is not None}
    offers = {b.id: b for b in sorted(study.offers, key=lambda b: b.id) if b.id not in refused and b.id in price}
    offers_of = {q: tuple(b for b in offers if offers[b].pool == q) for q in pools}
    most_units = {b: float("inf") if offer.most_units is None else offer.most_units for b, offer in offers.items()}
    most_units |= {m.id: float(m.most) for m in study.build_outs}
    held = {(q, t.name): held_machines(study, q, t) for q in pools for t in periods}
    at_most = {(q, t.name): held_at_most(study, q, t) for q in pools for t in periods}
    vintages = vintages_of(study, offers)
    usd_per_request = outage_usd_per_request(study)
    start_usd, capital_usd = unit_costs(study, offers, vintages)
    phases, not_built = phases_of(study)
    counted, obtainable = counted_of(study, offers, failures, taken)
    factor_in = {t.name: discount_factor(study, t.begins_months + t.months / 2) for t in periods}
    seconds = {in_failure: replica_seconds_by_placement(parts, in_failure) for in_failure in (False, True)}
    problem = Problem(
        flows=flows,
        placements=names,
        pools=tuple(pools),
        offers=tuple(offers),
        periods=tuple(t.name for t in periods),
        hours=hours,
        period_of=period_of,
        hours_in=hours_in,
        failures=failures,
        deadlines_seconds={},
        promised=promised,
        lost={f: loss.lost for f, loss in taken.items()},
        coverable={f: loss.coverable for f, loss in taken.items()},
        cannot_start={f: loss.cannot_start for f, loss in taken.items()},
        request_limits=request_limits,
        closed={f: loss.closed for f, loss in taken.items()},
        most_requests_per_second=components_with_limits(study),
        edges=edges,
        edges_in_failure=edges_in_failure,
        why_not=why_not,
        late_ms=late_ms,
        tier_of={w.name: w.tier for w in study.workloads},
        demand_requests_per_second=wanted,
        burst_factor={w.name: w.burst_factor for w in study.workloads},
        serve_fraction={w.name: parts.tiers[w.tier].serve_fraction for w in study.workloads},
        outage_usd_per_request={w.name: usd_per_request[w.tier] for w in study.workloads},
        replica_seconds=seconds[False],
        replica_seconds_in_failure=seconds[True],
        machines_per_replica={
            # whole replicas on a machine: what is left over of its accelerators is lost
            e: 1 / (parts.machine[parts.pool[e].machine_type].accelerators // parts.profile[e].accelerators_per_replica)
            for e in names
        },
        load_seconds={e: load_seconds(study, parts.profile[e]) for e in names},
        engine_start_seconds={e: engine_start_seconds(study, parts.profile[e]) for e in names},
        weights_gib={e: parts.profile[e].weights_gib for e in names},
        rollout_surge_fraction={e: parts.model[e].rollout_surge_fraction for e in names},
        pool_of={e: parts.pool[e].id for e in names} | {b: offers[b].pool for b in offers},
        on_pool={q: tuple(e for e in names if parts.pool[e].id == q) for q in pools},
        site_of={q: pools[q].site for q in pools},
        profile_of={e: profile_id(parts.model[e].model, parts.profile[e].name) for e in names},
        model_of={e: parts.model[e].model for e in names},
        provider_of={q: parts.sites[pools[q].site].provider for q in pools},
        load_gib_per_second={s: rate for s, rate in storage_gib_per_second(study).items() if s in used},
        usable_fraction={q: pools[q].usable_fraction for q in pools},
        spare_machines={q: pools[q].spare_machines for q in pools},
        maybe_unused={},
        held_machines=held,
        held_at_most={key: n for key, n in at_most.items() if n > held[key]},
        claims={(q, t.name): claims_of(study, q, t) for q in pools for t in periods},
        offers_of=offers_of,
        hourly=frozenset(b for b in offers if offers[b].kind in HOURLY),
        counted=counted,
        obtainable=obtainable,
        may_obtain=frozenset(offers[b].pool for by_offer in obtainable.values() for b in by_offer),
        with_spot=frozenset(offers[b].pool for by_offer in counted.values() for b in by_offer),
        machines_per_unit={b: offers[b].machines_per_unit for b in offers},
        most_units=most_units,
        price_usd_per_machine_hour={b: price[b].price_usd_per_machine_hour for b in offers},
        limits=limits_of(parts),
        shares=shares_of(parts),
        budget_usd=study.policies.budget_usd,
        policies=study.policies,
        objective=study.objective,
        cvar_level=study.cvar_level,
        priced={f: rate for f, failure in failures.items() if (rate := priced(study, failure, years)) and with_goals},
        request_usd={(r.origin, r.site): r.usd_per_request for r in study.request_costs if r.usd_per_request},
        round_trip_ms=parts.reach,
        few_large_units=frozenset(),
        utilisation_normal=study.utilisation.normal,
        utilisation_in_failure=study.utilisation.in_failure,
        detection_seconds=study.moved_seconds,
        not_offered=refused,
        rescaled=rescaled,
        present_hours={h: hours_in[h] * factor_in[period_of[h]] for h in hours},
        energy_usd_per_machine_hour=energy_of(parts),
        deferrable=frozenset(w.name for w in study.workloads if parts.tiers[w.tier].deferrable_hours),
        vintages=vintages,
        vintages_on_some_day=vintages_on_some_day(study, offers),
        paid_hours=paid_hours_of(study, offers),
        price_factor=price_factors_of(study, offers),
        start_usd=start_usd,
        capital_usd=capital_usd,
        build_outs=tuple(m.id for m in phases),
        not_built=not_built,
        least_units={m.id: float(m.least) for m in phases if m.least},
        either_or=either_or_of(phases),
        after={m.id: m.after for m in phases if m.after},
        spend_years=tuple(spend_years_of(study)),
        capital_caps=capital_caps_of(study),
        waiting=waiting_of(parts, (edges, edges_in_failure), (seconds[False], seconds[True])),
    )
    problem = replace(
        problem,
        deadlines_seconds={f: deadlines_of(problem, f) for f in failures},
        sizes_requests_per_second=sizes(problem),
    )
    if findings := out_of_range(problem):
        raise InputError(findings)
    return as_its_limits_say(problem)


def as_its_limits_say(problem: Problem) -> Problem:
    """The problem with what follows from how much there can be of everything: to be asked where a limit changed."""
    return replace(
        problem,
        few_large_units=_few_large_units(problem),
        maybe_unused=_maybe_unused(problem),
        waiting=_at_most(problem),
    )


def _at_most(p: Problem) -> Waiting | None:
    """How requests wait, with a utilisation that no plan exceeds: that of all replicas that a pool can ever use."""
    if p.waiting is None:
        return None
    for in_failure in (False, True):  # all at once: what one replica carries is asked for each below
        p.waiting.largest(in_failure, p.placements, [1.0] * len(p.placements))
    machines = {q: min(most_machines(p, q), machines_within_limits(p, q)) for q in p.pools}
    most = {e: machines[p.pool_of[e]] / p.machines_per_replica[e] for e in p.placements}
    replicas = {(e, in_failure): n for e, n in most.items() for in_failure in (False, True)}
    return p.waiting.by_replicas(replicas)


def _priced_without_new_weights(study: Study, rescaled: frozenset[str]) -> InputError:
    """Gateways that only rescale shed what they must, not what costs least."""
    if study.failover == "rescale":
        fix = "leave out objective, or choose failover: resolve"
        return refusal("study: objective", "cost, with failover: rescale", study.objective, fix)
    without = listed(sorted(rescaled - {NORMAL}), 3)
    fix = f"leave out objective, or leave no failure without new weights; here: {without}"
    return refusal("study: objective", "cost, where gateways only rescale in a failure", study.objective, fix)


def _few_large_units(p: Problem) -> frozenset[str]:
    """Pools in which nothing is held, and only few units can be bought."""
    few = set()
    for q in p.pools:
        held = any(p.held_machines[q, t] for t in p.periods)
        if p.offers_of[q] and not held and sum(p.most_units[b] for b in p.offers_of[q]) <= FEW_UNITS:
            few.add(q)
    return frozenset(few)


def _maybe_unused(p: Problem) -> dict[str, float]:
    """Pools whose spare machines would have to be bought -> machines that they can have, or ever use, at most."""
    most = {}
    for q in p.pools:
        least = min(p.held_machines[q, t] - sum(machines for machines, _ in p.claims[q, t]) for t in p.periods)
        if p.spare_machines[q] > 0 and p.usable_fraction[q] * least < p.spare_machines[q]:
            most[q] = most_machines(p, q)
    return most
