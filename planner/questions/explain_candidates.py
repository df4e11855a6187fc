"""Every placement that might serve a workload from an origin: why it may not, or its price and rank."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from planner.plan.in_hand import Plan
from planner.problem.arrays import full
from planner.problem.eligibility import WHY_NOT
from planner.problem.problem import Problem, most_filled
from planner.problem.rules.formulas import unit_usd_per_hour
from planner.questions.cold_starts import first_cold_start_seconds
from planner.questions.explain_refusals import Refusals
from planner.solve.dominated_placements import dominated_placements
from planner.study.dependencies import NORMAL, placement_id, profile_id
from planner.study.records.serving import Model, Profile
from planner.units import ROUNDING, SECONDS_PER_HOUR

MILLION = 1e6
NO_POOL = "machine type: the study has no pool of it"
NOT_QUALIFIED = "qualification: the stack is not qualified for the model until the horizon ends"
DOMINATED = "dominated: another placement of its pool does all that it does, with no more of anything"
NOTHING_TO_BUY = "no machines: nothing is held there, and nothing can be bought"
SMALL = 1e-9


@dataclass(frozen=True)
class Candidate:
    """A placement, or a profile without one, that might serve a workload from an origin.

    Parameters
    ----------
    placement : id; of a profile without a pool its own id
    chosen : whether the plan sends requests there in normal operation; chosen_in_failure: in the failure
    refused : why it may not serve in normal operation, of the closed list of reasons; empty: it may
    refused_by : the same with the figures that decide it
    requests_per_second, share_fraction : sent there in normal operation, and of the demand of the flow
    usd_per_million_requests : of machines at the utilisation of normal operation, at the cheapest offer of its pool
        that counts in failures, else at any; and what a request costs there. None: nothing can be bought
    offer : that offer; `held` where machines are held and nothing can be bought
    rank : by that price, among those that may serve; 1 is the cheapest
    round_trip_ms : none: not known
    note : what else is to be said of it
    refused_in_failure, in_failure_requests_per_second, in_failure_share_fraction : the same in the failure, where one
        is asked about, at its last deadline
    """

    placement: str
    profile: str
    pool: str
    chosen: bool
    refused: str
    refused_by: str
    requests_per_second: float
    share_fraction: float
    usd_per_million_requests: float | None
    offer: str
    rank: int | None
    round_trip_ms: float | None
    note: str
    chosen_in_failure: bool = False
    refused_in_failure: str = ""
    in_failure_requests_per_second: float = 0.0
    in_failure_share_fraction: float = 0.0


@dataclass(frozen=True)
class Candidates:
    """All that might serve a workload from an origin, those that are chosen first, then by rank, then the others.

    Parameters
    ----------
    demand_requests_per_second : in normal operation; in_failure: with its surge
    shed_requests_per_second : not served in normal operation, and in the failure at its last deadline
    deadline_seconds : the last of the failure
    """

    workload: str
    origin: str
    tier: str
    model: str
    hour: str
    demand_requests_per_second: float
    shed_requests_per_second: float
    rows: tuple[Candidate, ...]
    failure: str | None = None
    deadline_seconds: float | None = None
    in_failure_requests_per_second: float = 0.0
    shed_in_failure_requests_per_second: float = 0.0


def explain_candidates(plan: Plan, workload: str, origin: str, hour: str, failure: str | None = None) -> Candidates:
    """Every candidate for a workload from an origin.

    Parameters
    ----------
    hour : whose states are looked at
    failure : in which they are looked at as well
    """
    p = plan.problem
    a, x = full(p), plan.vectors
    at = a.flow_at[workload, origin]
    normal = (hour, NORMAL, 0.0)
    model = plan.study.workload_by_name[workload].model
    candidates = Candidates(
        workload,
        origin,
        p.tier_of[workload],
        model,
        hour,
        float(np.asarray(x.offered[normal,])[at]),
        float(np.asarray(x.shed[normal,])[at]),
        (),
    )
    rows = [*_placements(plan, workload, origin, hour), *_others(plan, model)]
    if failure is not None:
        s = (hour, failure, p.deadlines_seconds[failure][-1])
        rows = [_in_failure(plan, workload, origin, s, row) for row in rows]
        asked = float(np.asarray(x.offered[s,])[at])
        shed = float(np.asarray(x.shed[s,])[at])
        candidates = replace(
            candidates,
            failure=failure,
            deadline_seconds=s[2],
            in_failure_requests_per_second=asked,
            shed_in_failure_requests_per_second=shed,
        )
    return replace(candidates, rows=tuple(sorted(rows, key=_first)))


def _first(row: Candidate) -> tuple[bool, bool, float, bool, str]:
    rank = math.inf if row.rank is None else row.rank
    return not row.chosen, not row.chosen_in_failure, rank, bool(row.refused_in_failure), row.placement


def _placements(plan: Plan, w: str, o: str, hour: str) -> Iterator[Candidate]:
    p, x = plan.problem, plan.decisions
    why_not = {e: reason for (w_, o_, e), reason in p.why_not.items() if (w_, o_) == (w, o)}
    may = p.edges[w, o]
    dominated = dominated_placements(p)
    prices = {e: price for e in may if (price := usd_per_million_requests(p, w, o, e)) is not None}
    ranks = {e: 1 + sum(other < price[0] - SMALL for other, _ in prices.values()) for e, price in prices.items()}
    profiles, refusals = _profiles_of(plan), Refusals(plan, w, o)
    normal = (hour, NORMAL, 0.0)
    demand = p.demand_requests_per_second[w, o, hour]
    for e in sorted({*may, *p.edges_in_failure[w, o], *why_not}):
        (of, profile), pool = profiles[e]
        site = plan.study.site_by_id[plan.study.pool_by_id[pool].site]
        refused = why_not.get(e, "")
        sent = x.traffic[w, o, e, normal]
        price = prices.get(e)
        reach = p.round_trip_ms.get((o, site.id))
        note = ""
        if price is None and e in may and not _is_held(p, pool):
            note = NOTHING_TO_BUY
        elif e in may and sent <= 0:
            note = f"{DOMINATED}: {dominated[e]}" if e in dominated else _unused(x.replicas[e, hour])
        yield Candidate(
            e,
            of,
            pool,
            sent > 0,
            refused,
            refusals.text(refused, profile, site) if refused else "",
            sent,
            sent / demand if demand > 0 else 0.0,
            None if price is None else price[0],
            price[1] if price is not None else "held" if _is_held(p, pool) else "",
            ranks.get(e),
            None if reach is None else reach.round_trip_ms,
            note,
        )


def _unused(replicas: float) -> str:
    """What is said of a placement that may serve, and does not."""
    return f"{replicas:g} replicas there serve others" if replicas > 0 else "nothing runs there"


def usd_per_million_requests(p: Problem, w: str, o: str, e: str) -> tuple[float, str] | None:
    """What a million requests of a workload cost at a placement [USD], and by which offer; None: nothing can be bought.

    Formula
        10^6 · (machine_seconds / usable / 3600 · machine_usd + request_usd)
        machine_seconds = replica_seconds · burst / utilisation · machines_per_replica
        machine_usd: machine_usd_per_hour of the cheapest offer of the pool that counts whole in every failure; where
        none does, of the cheapest
    """
    pool = p.pool_of[e]
    counts = [b for b in p.offers_of[pool] if all(by_offer.get(b, 1.0) >= 1 for by_offer in p.counted.values())]
    prices = []
    for b in counts or p.offers_of[pool]:
        prices.append((machine_usd_per_hour(p, b), b))
    if not prices:
        return None
    price, offer = min(prices)
    utilisation = most_filled(p, e)
    machine_seconds = p.replica_seconds[w, e] * p.burst_factor[w] / utilisation * p.machines_per_replica[e]
    usd = machine_seconds / p.usable_fraction[pool] / SECONDS_PER_HOUR * price
    return MILLION * (usd + p.request_usd.get((o, p.site_of[pool]), 0.0)), offer


def machine_usd_per_hour(p: Problem, b: str) -> float:
    """What a machine of an offer costs by the hour, from the first period on in which one can be had [USD/h].

    Formula
        price + energy, where the site pays it apart
        of machines that are bought: (Σ start_usd / machines_per_unit + Σ_h present_hours · energy) / Σ_h present_hours
        over all components of what a unit costs (capital, upkeep, salvage), and the hours that it stands in the horizon
    """
    pool, first = p.pool_of[b], next((t for t in p.periods if p.may_start(b, t)), p.periods[0])
    energy = p.energy_usd_per_machine_hour
    if (b, first) not in p.start_usd.get("capital", {}):
        return unit_usd_per_hour(p, b, first) / p.machines_per_unit[b] + energy.get((pool, first), 0.0)
    usd = sum(usd_of.get((b, first), 0.0) for usd_of in p.start_usd.values()) / p.machines_per_unit[b]
    stands = [h for h in p.hours if first in p.vintages.get((b, p.period_of[h]), ())]
    usd += sum(p.present_hours[h] * energy.get((pool, p.period_of[h]), 0.0) for h in stands)
    return usd / sum(p.present_hours[h] for h in stands)


def _is_held(p: Problem, pool: str) -> bool:
    return any(p.held_machines[pool, t] > 0 for t in p.periods)


def _profiles_of(plan: Plan) -> dict[str, tuple[tuple[str, Profile], str]]:
    """Placement -> its profile, with its id, and its pool, of all of the study: also of those that may serve nobody."""
    study, profiles = plan.study, dict[str, tuple[tuple[str, Profile], str]]()
    for model in study.models:
        for profile in model.profiles:
            for pool in study.pools:
                if pool.machine_type == profile.machine_type:
                    of = profile_id(model.model, profile.name)
                    profiles[placement_id(of, pool.id)] = (of, profile), pool.id
    return profiles


def _others(plan: Plan, name: str) -> Iterator[Candidate]:
    """Profiles of the model without a placement: of machines that the study has none of, or not qualified."""
    model: Model = next(m for m in plan.study.models if m.model == name)
    qualified = model.qualified_stacks(plan.study.horizon.last_day)
    for profile in model.profiles:
        of = profile_id(model.model, profile.name)
        pools = [pool.id for pool in plan.study.pools if pool.machine_type == profile.machine_type]
        nothing = (0.0, 0.0, None, "", None, None, "")
        if not pools:
            yield Candidate(of, of, "", False, NO_POOL, f"machine type: no pool of {profile.machine_type}", *nothing)
        elif profile.stack not in qualified:
            why = f"qualification: {profile.stack} is not qualified for {name}"
            for pool in pools:
                yield Candidate(placement_id(of, pool), of, pool, False, NOT_QUALIFIED, why, *nothing)


def _in_failure(plan: Plan, w: str, o: str, s: tuple[str, str, float], row: Candidate) -> Candidate:
    """A candidate with what becomes of it in a failure."""
    x, e = plan.decisions, row.placement
    sent = x.traffic[w, o, e, s]
    asked = x.offered[w, o, s]
    return replace(
        row,
        chosen_in_failure=sent > 0,
        in_failure_requests_per_second=sent,
        in_failure_share_fraction=sent / asked if asked > 0 else 0.0,
        refused_in_failure="" if sent > 0 else _why_not_then(plan, (w, o), s, row),
    )


def _why_not_then(plan: Plan, flow: tuple[str, str], s: tuple[str, str, float], row: Candidate) -> str:
    """Why a placement may not serve in a failure, or cannot run by its last deadline; empty: it could."""
    p, e, f = plan.problem, row.placement, s[1]
    if e not in p.edges_in_failure[flow]:
        if row.refused == WHY_NOT["round trip"]:
            return Refusals(plan, *flow).in_failures_text(plan.study.pool_by_id[row.pool].site)
        return row.refused_by
    if p.lost[f].get(e, 1.0) <= 0:
        return f"lost: with {f}"
    x = plan.decisions
    if x.kept[e, s] + x.cold_started[e, s] > 0:
        return ""
    if f in p.rescaled:
        return "weights: gateways keep theirs in this failure, and it has none"
    if e in p.cannot_start[f]:
        return f"start: no replica can be started while {f} lasts"
    a = full(p)
    runs_at = float(first_cold_start_seconds(a, f)[a.placement_at[e]])
    if runs_at > s[2] + ROUNDING:
        return f"load time: a cold start runs after {runs_at:g} s, past the deadline of {s[2]:g} s"
    return ""
