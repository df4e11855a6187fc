"""The figures of a plan that a gate holds against its limits, each with the name of what it is of."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date

import numpy as np

from planner.plan.cash import NO_CASH
from planner.plan.in_hand import Plan
from planner.problem.arrays import full, things_of
from planner.problem.problem import State, states
from planner.problem.rules.formulas import machines_held_or_bought
from planner.review.assumptions import EVIDENCE, Known, known_figures
from planner.review.filled import filled, occupied
from planner.review.prices import age_days
from planner.review.report import short_failure
from planner.study.dependencies import NORMAL, profile_id
from planner.study.places import matches
from planner.study.records.components import stack_and_version
from planner.study.records.gate import ConcentrationRule, EvidenceRule, PricesRule, UtilisationRule

MONTHS_OF = {"month": 1.0, "quarter": 3.0}
LEAST_REQUESTS_PER_SECOND = 1e-9
"""A tier that is served less than this in a state has no requests in it."""


@dataclass(frozen=True)
class Measured:
    """A figure of a plan, and the name of what it is of; none: of the plan."""

    value: float
    name: str = ""


def largest(figures: Iterable[Measured]) -> Measured:
    """The largest of several, of equal ones the first; 0 of nothing where there is none."""
    return max(figures, key=lambda one: one.value, default=Measured(0.0))


def smallest(figures: Iterable[Measured], otherwise: float) -> Measured:
    """The smallest of several, of equal ones the first; `otherwise` of nothing where there is none."""
    return min(figures, key=lambda one: one.value, default=Measured(otherwise))


def normal_states(plan: Plan) -> list[State]:
    """Normal operation, hour by hour."""
    return [(h, NORMAL, 0.0) for h in plan.problem.hours]


def failure_states(plan: Plan) -> list[State]:
    """Every hour, failure and deadline of the goals."""
    p = plan.problem
    return [s for f in p.failures if f != NORMAL for s in states(p, f)]


# ------------------------------------------------------------------ money
def cost_usd(plan: Plan, per: str) -> Measured:
    """The plan's cost over the horizon, or its mean of a month or quarter [USD]."""
    parts = plan.study.horizon.months / MONTHS_OF[per] if per in MONTHS_OF else 1.0
    return Measured(plan.file.proof.cost_usd / parts)


def capital_usd(plan: Plan, per: str) -> Measured:
    """Capital that is paid over the horizon, or in its dearest month or quarter; before it: in the first [USD]."""
    paid: dict[int, float] = defaultdict(float)
    for flow in plan.cash.flows:
        if flow.component == "capital":
            n = int(max(0.0, flow.months) // MONTHS_OF[per]) if per in MONTHS_OF else 0
            paid[n] += flow.usd
    return largest(Measured(usd, f"{per} {n + 1}" if per in MONTHS_OF else "") for n, usd in sorted(paid.items()))


# ------------------------------------------------------------------ shares
def group_of_placements(plan: Plan, per: str) -> dict[str, str]:
    """Placement -> its provider, region, site, pool or stack."""
    p, of_pool = plan.problem, group_of_pools(plan, per)
    if per != "stack":
        return {e: of_pool[p.pool_of[e]] for e in p.placements}
    stack_of = {
        profile_id(model.model, profile.name): stack_and_version(profile.stack)[0]
        for model in plan.study.models
        for profile in model.profiles
    }
    return {e: stack_of[p.profile_of[e]] for e in p.placements}


def group_of_pools(plan: Plan, per: str) -> dict[str, str]:
    """Pool -> its provider, region, site or itself; of stacks none."""
    p, region_of = plan.problem, {site.id: site.region_id for site in plan.study.sites}
    if per == "provider":
        return dict(p.provider_of)
    if per == "region":
        return {q: region_of[p.site_of[q]] for q in p.pools}
    if per == "site":
        return {q: p.site_of[q] for q in p.pools}
    return {q: q for q in p.pools} if per == "pool" else {}


def names_of(plan: Plan, per: str) -> list[str]:
    """All providers, regions, sites, pools or stacks that a plan may use."""
    return sorted({*group_of_placements(plan, per).values(), *group_of_pools(plan, per).values()})


def largest_share(plan: Plan, rule: ConcentrationRule) -> Measured:
    """The largest share of one of those that a rule names, in any hour."""
    shares = {"requests": _of_requests, "cost": _of_cost, "accelerators": _of_accelerators}[rule.share_of]
    several = len(plan.problem.hours) > 1 and rule.share_of != "cost"
    figures = []
    for hour, sums in shares(plan, rule.per):
        total = sum(sums.values())
        for name, value in sorted(sums.items()):
            if total > 0 and matches(name, rule.names):
                figures.append(Measured(value / total, f"{name} in {hour}" if several else name))
    return largest(figures)


def _of_requests(plan: Plan, per: str) -> Iterator[tuple[str, dict[str, float]]]:
    """Hour, requests/s that each serves in normal operation."""
    a, x, group = full(plan.problem), plan.vectors, group_of_placements(plan, per)
    for s in normal_states(plan):
        sums: dict[str, float] = defaultdict(float)
        by_placement = np.bincount(a.placement_of_edge, x.traffic[s,], minlength=a.P)
        for e, value in zip(plan.problem.placements, by_placement.tolist(), strict=True):
            sums[group[e]] += value
        yield s[0], sums


def _of_accelerators(plan: Plan, per: str) -> Iterator[tuple[str, dict[str, float]]]:
    """Hour, accelerators of each, held and bought."""
    a, x = things_of(plan.problem), plan.vectors
    accelerators_of = {machine.name: machine.accelerators for machine in plan.study.machine_types}
    type_of = {pool.id: pool.machine_type for pool in plan.study.pools}
    for h in plan.problem.hours:
        machines = np.asarray(machines_held_or_bought(a, x, h)).tolist()
        of_pool = {q: n * accelerators_of[type_of[q]] for q, n in zip(plan.problem.pools, machines, strict=True)}
        yield h, _summed(plan, per, of_pool, h)


def _of_cost(plan: Plan, per: str) -> Iterator[tuple[str, dict[str, float]]]:
    """What is paid for what stands with each, over the horizon [USD]: offers and energy by pool, phases by site."""
    pool_of, site_usd, pool_usd = plan.problem.pool_of, defaultdict[str, float](float), defaultdict[str, float](float)
    for flow in plan.cash.flows:
        if flow.component in NO_CASH or not flow.site:
            continue
        pool = pool_of.get(flow.item, flow.item)
        if pool in plan.study.pool_by_id:
            pool_usd[pool] += flow.usd
        else:
            site_usd[flow.site] += flow.usd
    for site, usd in site_usd.items():  # a hall of our own: its pools share it by their machines' cost, else evenly
        pools = [q for q in plan.problem.pools if plan.problem.site_of[q] == site]
        of_pools_usd = sum(pool_usd[q] for q in pools)
        for q, before in [(q, pool_usd[q]) for q in pools]:
            pool_usd[q] += usd * (before / of_pools_usd if of_pools_usd > 0 else 1 / len(pools))
    yield "", _summed(plan, per, pool_usd, None)


def _summed(plan: Plan, per: str, of_pool: dict[str, float], hour: str | None) -> dict[str, float]:
    """Sums over pools; of stacks by the machines that run each in an hour (none: all), of an idle pool evenly."""
    sums: dict[str, float] = defaultdict(float)
    if per != "stack":
        group = group_of_pools(plan, per)
        for q, value in of_pool.items():
            sums[group[q]] += value
        return sums
    p, x, stack_of = plan.problem, plan.decisions, group_of_placements(plan, per)
    hours = p.hours if hour is None else (hour,)
    for q, value in of_pool.items():
        used: dict[str, float] = defaultdict(float)
        for e in p.on_pool[q]:
            used[stack_of[e]] += sum(p.machines_per_replica[e] * x.replicas[e, h] for h in hours)
        in_all = sum(used.values())
        for stack, machines in used.items():
            sums[stack] += value * (machines / in_all if in_all > 0 else 1 / len(used))
    return sums


# ------------------------------------------------------------------ utilisation
def fullest(plan: Plan, rule: UtilisationRule) -> Measured:
    """The most occupied pool, or the placement that is filled most, of all states that a rule means."""
    p, a, x = plan.problem, full(plan.problem), plan.vectors
    figures = []
    for s in normal_states(plan) if rule.when == "normal" else failure_states(plan):
        names, share = (p.pools, occupied(a, x, s)) if rule.of == "pool" else (p.placements, filled(a, x, s))
        if len(names):
            n = int(np.argmax(share))
            figures.append(Measured(float(share[n]), f"{names[n]}{state_text(plan, s)}"))
    return largest(figures)


def state_text(plan: Plan, s: State) -> str:
    """A state, as it follows a name: nothing for normal operation of a plan with one hour."""
    at = f" in {s[0]}" if len(plan.problem.hours) > 1 else ""
    return at if s[1] == NORMAL else f"{at} when {short_failure(s[1])} is lost, at {s[2]:g} s"


# ------------------------------------------------------------------ evidence
def well_known_share(plan: Plan, rule: EvidenceRule, tier: str) -> Measured:
    """The least share of a tier's requests on figures that are known well enough, in the states that a rule means."""
    p, a, x = plan.problem, full(plan.problem), plan.vectors
    known, weakest = known_figures(plan.study), EVIDENCE.index(rule.weakest)
    good = np.array([_weakness(plan, known, rule.figure, *edge) <= weakest for edge in a.edges], dtype=bool)
    of_tier = np.array([p.tier_of[w] == tier for w, _, _ in a.edges], dtype=bool)
    figures = []
    for s in [*normal_states(plan), *(failure_states(plan) if rule.when == "failures" else ())]:
        traffic = np.where(of_tier, x.traffic[s,], 0.0)
        total = float(traffic.sum())
        if total > LEAST_REQUESTS_PER_SECOND:
            figures.append(Measured(float(traffic[good].sum()) / total, f"{tier}{state_text(plan, s)}"))
    return smallest(figures, otherwise=1.0)


def _weakness(plan: Plan, known: Known, figure: str, w: str, o: str, e: str) -> int:
    """Place of an edge's evidence among EVIDENCE."""
    p, g = plan.problem, plan.problem.profile_of[e]
    if figure == "speed":
        return known.speed[g, known.context_class[w]].weakness
    if figure == "stack":
        return known.stack[g].weakness
    return EVIDENCE.index(p.round_trip_ms[o, p.site_of[p.pool_of[e]]].evidence)


# ------------------------------------------------------------------ dates
def oldest_price_days(plan: Plan, rule: PricesRule, today: date) -> Measured:
    """The age of the oldest price of what is ordered [days]."""
    ordered = sorted({row.offer for row in plan.file.purchases if matches(row.offer, rule.offers)})
    price_of = plan.study.price_by_offer
    ages = [Measured(age_days(price_of[b].as_of, today), f"{b}, as of {price_of[b].as_of}") for b in ordered]
    return largest(ages)


def days_to_order(plan: Plan, today: date) -> Measured | None:
    """Days from today to the earliest order; None: nothing is to be ordered."""
    orders = [
        *((o.order_by, o.offer) for o in plan.orders),
        *((o.order_by, f"{o.part} of {o.build_out}") for o in plan.phase_orders),
        *((o.order_by, f"increase of {o.quota}") for o in plan.quota_orders),
    ]
    if not orders:
        return None
    day, name = min(orders)
    return Measured((day - today).days, f"{name}, by {day}")


# ------------------------------------------------------------------ change
def cost_growth(plan: Plan, base: Plan) -> Measured:
    """Growth of the cost a month against the base plan; from nothing: without bound."""
    after, before = cost_usd(plan, "month").value, cost_usd(base, "month").value
    if before > 0:
        return Measured(after / before - 1)
    return Measured(float("inf") if after > 0 else 0.0)


def machines_removed(plan: Plan, base: Plan) -> Measured:
    """Machines of pools that have fewer than in the base plan, the most of all hours of each."""
    after, before = _most_machines(plan), _most_machines(base)
    fewer = {q: n - after.get(q, 0.0) for q, n in before.items() if n - after.get(q, 0.0) > 0}
    most = max(sorted(fewer), key=lambda q: fewer[q], default="")
    return Measured(round(sum(fewer.values()), 6), f"above all {most}" if len(fewer) > 1 else most)


def _most_machines(plan: Plan) -> dict[str, float]:
    """Pool -> machines held and bought, in the hour that has most of them."""
    p, a, x = plan.problem, things_of(plan.problem), plan.vectors
    machines = np.max([np.asarray(machines_held_or_bought(a, x, h)) for h in p.hours], axis=0)
    return dict(zip(p.pools, machines.tolist(), strict=True))
