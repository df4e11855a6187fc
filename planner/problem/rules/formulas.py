"""Named sums that rules and costs share: one formula, one home. `p` is the problem, `x` the decisions."""

import math

from planner.problem.algebra import Linear, total
from planner.problem.decisions import Decisions
from planner.problem.problem import Problem, State, flow_size, size_of_all
from planner.problem.request_limits import Alternatives
from planner.study.dependencies import NORMAL
from planner.units import ROUNDING


def is_normal(s: State) -> bool:
    """Whether nothing is lost in a state."""
    return s[1] == NORMAL


def available(p: Problem, thing: str, f: str) -> float:
    """Available fraction of a pool or placement in a failure (0 to 1)."""
    return p.lost[f].get(thing, 1.0)


def live_edges(p: Problem, w: str, o: str, f: str) -> list[str]:
    """Placements that may serve (w, o) in a failure: eligible, near enough, not dead."""
    edges = p.edges if f == NORMAL else p.edges_in_failure
    return [e for e in edges[w, o] if available(p, e, f) > 0]


def live_placements(p: Problem, f: str) -> list[str]:
    """Placements that are not dead in a failure. A dead one has no columns, so it cannot come back by loading."""
    return [e for e in p.placements if available(p, e, f) > 0]


def requests_per_second(p: Problem, w: str, o: str, s: State) -> float:
    """Demand in a state, surges included [requests/s]."""
    h, f, _ = s
    failure = p.failures[f]
    return p.demand_requests_per_second[w, o, h] * failure.surge_factor * further_surge(p, w, o, f)


def further_surge(p: Problem, w: str, o: str, f: str) -> float:
    """Factor on the demand of one workload from one origin in a failure, beside the surge of all."""
    surges = p.failures[f].surges
    return surges.get(f"workload:{w}", 1.0) * surges.get(f"origin:{o}", 1.0)


def waits(p: Problem, w: str, s: State) -> bool:
    """Whether a workload is taken up over the hours of its period in this state, not in each of them."""
    return w in p.deferrable and is_normal(s)


def requests_offered(p: Problem, x: Decisions, w: str, o: str, s: State) -> Linear:
    """What a state has to serve of (w, o): its demand, or of work that waits what is taken up in it [requests/s]."""
    return x.offered[w, o, s] if waits(p, w, s) else requests_per_second(p, w, o, s)


def due_fraction(p: Problem, w: str, o: str, s: State) -> float:
    """Share of (w, o) that must be served by now (0 to 1).

    The largest promised fraction whose deadline has passed, 0 before, capped at what any capacity could serve. Normal
    operation is the failure in which nothing is lost: the tier's own fraction is due at once.
    """
    _, f, c = s
    if f == NORMAL:
        promised = p.serve_fraction[w]
    else:
        passed = (fraction for tier, fraction, within in p.promised[f] if tier == p.tier_of[w] and within <= c)
        promised = max(passed, default=0.0)
    return min(promised, p.coverable[f].get((w, o), 1.0))


def can_load(p: Problem, e: str, s: State) -> bool:
    """Whether a replica that is started when the failure is detected runs by this deadline."""
    in_time = p.detection_seconds + p.load_seconds[e] <= s[2] + ROUNDING
    return not is_normal(s) and in_time and e not in p.cannot_start[s[1]]


def units_active(p: Problem, x: Decisions, b: str, h: str) -> Linear:
    """Units of an offer that are there in an hour [units]: rented in it, or started with a term that covers its period.

    Formula
        rented[b,h]   or   Σ_u started[b,u]   over the periods u whose start covers the period of h
    """
    if b in p.hourly:
        return x.rented[b, h]
    vintages = p.vintages.get((b, p.period_of[h]), ())
    return x.started[b, vintages[0]] if len(vintages) == 1 else total((1.0, x.started[b, t]) for t in vintages)


def units_on_fullest_day(p: Problem, x: Decisions, b: str, h: str) -> Linear:
    """Units of an offer that are there on some day of an hour's period, at the same time at most [units].

    A contract that ends within a period is no capacity in it, but takes its part of quotas, power and the market.
    """
    vintages = p.vintages_on_some_day.get((b, p.period_of[h]))
    return units_active(p, x, b, h) if vintages is None else total((1.0, x.started[b, t]) for t in vintages)


def spent_usd(p: Problem, x: Decisions, b: str, t: str) -> Linear:
    """What is spent on an offer in a period, not discounted; what is paid upfront counts where it is used [USD]."""
    if b in p.hourly:
        hours = ((unit_usd_per_hour(p, b, t) * p.hours_in[h], x.rented[b, h]) for h in p.hours if p.period_of[h] == t)
        return total(hours)
    return total((unit_usd_per_hour(p, b, u) * p.hours_in[t], x.started[b, u]) for u in p.vintages.get((b, t), ()))


def short_of_spend(p: Problem, x: Decisions) -> dict[tuple[str, int], float]:
    """What each year of each spend commitment is short of, for purchases as numbers [USD]."""
    shortfalls = {}
    for k in p.spend_years:
        spent = sum(float(spent_usd(p, x, b, t)) for b in k.offers for t in k.periods)
        shortfalls[k.name, k.year] = max(0.0, k.usd - spent)
    return shortfalls


def unit_usd_per_hour(p: Problem, b: str, t: str) -> float:
    """Price of a unit of an offer that starts, or is rented by the hour, in a period [USD/h]."""
    return p.price_usd_per_machine_hour[b] * p.machines_per_unit[b] * p.price_factor.get((b, t), 1.0)


def machines_held_or_bought(p: Problem, x: Decisions, q: str, h: str, f: str = NORMAL) -> Linear:
    """Machines of a pool, broken ones included [machines]; in a failure only what is counted of what runs."""
    t = p.period_of[h]
    terms = [(1.0, p.held_machines[q, t])]
    for b in p.offers_of[q]:
        terms.append((p.machines_per_unit[b] * p.counted[f].get(b, 1.0), units_active(p, x, b, h)))
    return total(terms)


def machines_obtainable(p: Problem, x: Decisions, q: str, s: State) -> Linear:
    """Machines that can be obtained by this deadline of what is on the market [machines]; 0 unless the study says."""
    h, f, c = s
    terms = []
    for b in p.offers_of[q]:
        fraction, seconds = p.obtainable[f].get(b, (0.0, 0.0))
        if fraction and p.detection_seconds + seconds < c:
            terms.append((p.machines_per_unit[b] * fraction, p.most_units[b] - x.rented[b, h]))
    return total(terms)


def machines_non_preemptible(p: Problem, x: Decisions, q: str, h: str) -> Linear:
    """Machines of a pool, not lent, broken ones left out, that count in every failure [machines].

    Of an offer that counts in part, the least part of all failures: spot none.
    """
    t = p.period_of[h]
    owned = [(1.0, p.held_machines[q, t]), *((-1.0, machines) for machines, _ in p.claims[q, t])]
    for b in p.offers_of[q]:
        least = min(counted.get(b, 1.0) for counted in p.counted.values())
        owned.append((least * p.machines_per_unit[b], units_active(p, x, b, h)))
    return total((p.usable_fraction[q] * part, machines) for part, machines in owned)


def survivors(p: Problem, x: Decisions, e: str, s: State) -> Linear:
    """Replicas that run on after a failure until they are evicted [replicas].

    Which replicas stand on spot machines is decided once, not by each failure for itself: where an offer of the pool
    does not count whole, only non-preemptible replicas do.
    """
    h, f, _ = s
    q = p.pool_of[e]
    discounted = q in p.with_spot and any(b in p.counted[f] for b in p.offers_of[q])
    return total([(available(p, e, f), x.non_preemptible[e, h] if discounted else x.replicas[e, h])])


def machines_claimed(p: Problem, q: str, s: State) -> float:
    """Machines of ours that others have in a state [machines]: all in normal operation, those not yet back else."""
    return sum(
        machines
        for machines, seconds in p.claims[q, p.period_of[s[0]]]
        if is_normal(s) or seconds is None or p.detection_seconds + seconds >= s[2]
    )


def machines_up(p: Problem, x: Decisions, q: str, s: State) -> Linear:
    """Machines of a pool that can be used in a state [machines], all that can be obtained among them."""
    terms = [(1.0, machines_in_service(p, x, q, s))]
    if q in p.may_obtain:
        terms.append((1.0, machines_to_obtain(p, x, q, s)))
    return total(terms)


def machines_to_obtain(p: Problem, x: Decisions, q: str, s: State) -> Linear:
    """Machines of a pool that can be used in a state once they are obtained [machines]."""
    part = available(p, q, s[1]) * p.usable_fraction[q]
    return total([(part, machines_obtainable(p, x, q, s))])


def limit_drawn(p: Problem, x: Decisions, limit: int, s: State) -> Linear:
    """What machines that were obtained take of a limit, broken ones included, in the limit's unit."""
    units = p.limits[limit].units_per_machine
    return total((units[q] / p.usable_fraction[q], x.obtained[q, s]) for q in units if q in p.may_obtain)


def drawn_upon(p: Problem) -> list[int]:
    """Limits, by position, of which machines that are obtained in a failure take a part."""
    return [n for n, limit in enumerate(p.limits) if not p.may_obtain.isdisjoint(limit.units_per_machine)]


def machines_in_service(p: Problem, x: Decisions, q: str, s: State) -> Linear:
    """Machines of a pool that can be used in a state, held or bought before [machines]."""
    h, f, _ = s
    claimed = machines_claimed(p, q, s)
    owned = machines_held_or_bought(p, x, q, h, f)
    part = available(p, q, f) * p.usable_fraction[q]
    kept = (x.opened[q, h] if q in p.maybe_unused else 1.0) if is_normal(s) else 0.0
    return total([(part, owned), (-part, claimed), (-p.spare_machines[q], kept)])


def running(x: Decisions, e: str, s: State) -> Linear:
    """Replicas that run in a state: kept and cold-started."""
    return total([(1.0, x.kept[e, s]), (1.0, x.cold_started[e, s])])


def whole_occupied(p: Problem, x: Decisions, e: str, s: State) -> float:
    """Replicas that occupy machines for what runs, those of a rollout beside them counted whole [replicas]."""
    surge = p.rollout_surge_fraction[e] if is_normal(s) else 0.0
    return float(math.ceil((1 + surge) * running(x, e, s) - ROUNDING))


def loading_pairs(p: Problem, e: str, s: State) -> list[float]:
    """Earlier deadlines at which what runs in `s` occupies machines already [s].

    The one before, and any from which a cold start would not end by now: until a deadline the state before it
    goes on, and what it serves is not interrupted. Safe, not exact: a machine that one replica leaves between two
    deadlines could be used by another before the second.
    """
    _, f, c = s
    earlier = [d for d in p.deadlines_seconds[f] if d < c]
    if p.load_seconds[e] <= 0:
        return []
    return [d for d in earlier if d == earlier[-1] or c - d < p.load_seconds[e] - ROUNDING]


def least_occupied(p: Problem, x: Decisions, e: str, s: State) -> float:
    """Replicas that occupy machines in a state at the least: those that run, and those that run later and load now."""
    h, f, c = s
    later = [(h, f, d) for d in p.deadlines_seconds[f] if d > c and c in loading_pairs(p, e, (h, f, d))]
    return float(max([running(x, e, s), *(running(x, e, after) for after in later)]))


def replica_seconds_used(p: Problem, x: Decisions, e: str, s: State) -> Linear:
    """Work that a placement's peak traffic asks for [replica-seconds/s]."""
    seconds = p.replica_seconds if is_normal(s) else p.replica_seconds_in_failure
    return total((seconds[w, e] * p.burst_factor[w], x.traffic[w, o, e, s]) for w, o in p.flows if (w, e) in seconds)


def requests_through(p: Problem, x: Decisions, component: str, s: State) -> Linear:
    """Requests that pass a component with a limit, each once [requests/s]."""
    always = [(1.0, x.traffic[w, o, e, s]) for w, o, e in p.request_limits.always.get(component, ())]
    return total([*always, *((1.0, x.throughput[a, s]) for a in p.request_limits.ids_of.get(component, ()))])


def requests_divided(x: Decisions, alternatives: Alternatives, s: State) -> Linear:
    """Requests that pass one of some alternatives each [requests/s]."""
    return total((1.0, x.traffic[w, o, e, s]) for w, o, e in alternatives.edges)


def lets_through(p: Problem, component: str, f: str) -> float:
    """Requests that a component with a limit lets through, of what remains of it [requests/s]."""
    return p.most_requests_per_second[component] * available(p, component, f)


def alternative_shares(p: Problem, f: str) -> dict[str, float]:
    """Alternative -> share of the requests that passes it, when nothing steers them (0 to 1).

    Requests split by what each alternative lets through; where some have no limit, evenly over these.
    """
    share: dict[str, float] = {}
    for alternatives in p.request_limits.alternatives:
        most = {a: _lets_through(p, a, f) for a in alternatives.ids}
        if math.inf in most.values():
            most = {a: float(math.isinf(v)) for a, v in most.items()}
        of_all = math.fsum(most.values())
        share |= {a: v / of_all if of_all > 0 else 0.0 for a, v in most.items()}
    return share


def _lets_through(p: Problem, alternative: str, f: str) -> float:
    """Requests/s through an alternative at most: 0 where it is closed, infinite where nothing limits it."""
    component = p.request_limits.component_of[alternative]
    if alternative in p.closed[f]:
        return 0.0
    return lets_through(p, component, f) if component in p.request_limits.ids_of else math.inf


def met_fractions(p: Problem, f: str) -> dict[str, dict[tuple[str, str, str], float]]:
    """Component -> (w, o, e) -> share of its requests that pass it, when nothing steers them over alternatives."""
    limits, share = p.request_limits, alternative_shares(p, f)
    met = {c: dict.fromkeys(limits.always.get(c, ()), 1.0) for c in limits.components}
    for alternatives in limits.alternatives:
        for a in alternatives.ids:
            if (component := limits.component_of[a]) in met:
                met[component] |= dict.fromkeys(alternatives.edges, share[a])
    return met


def request_limit_size(p: Problem, component: str) -> float:
    """The size by which requests through a component with a limit are scaled and judged [requests/s]; never 0."""
    return min(p.most_requests_per_second[component], size_of_all(p)) or size_of_all(p)


def alternatives_size(p: Problem, alternatives: Alternatives) -> float:
    """The size by which requests that pass one of some alternatives are scaled and judged [requests/s]; never 0."""
    return math.fsum({(w, o): flow_size(p, w, o) for w, o, _ in alternatives.edges}.values()) or 1.0


def replicas_targeted(p: Problem, x: Decisions, e: str, s: State) -> Linear:
    """Replicas that a pool's partial loss takes when all of it falls on one placement [replicas]."""
    h, f, _ = s
    q = p.pool_of[e]
    owned = total([(1.0, machines_held_or_bought(p, x, q, h, f)), (-1.0, machines_claimed(p, q, (h, NORMAL, 0.0)))])
    return total([((1 - available(p, q, f)) * p.usable_fraction[q] / p.machines_per_replica[e], owned)])


def served(p: Problem, x: Decisions, w: str, o: str, s: State) -> Linear:
    """Requests of (w, o) that are served in a state [requests/s]."""
    return total((1.0, x.traffic[w, o, e, s]) for e in live_edges(p, w, o, s[1]))


def units_at_pool(p: Problem, x: Decisions, q: str, h: str) -> Linear:
    """Units bought at a pool, of any offer [units]."""
    return total((1.0, units_active(p, x, b, h)) for b in p.offers_of[q])


def limit_used(p: Problem, x: Decisions, limit: int, h: str) -> Linear:
    """What the machines held and bought take of a limit on the fullest day of a period, in the limit's unit."""
    units = p.limits[limit].units_per_machine
    return total((units[q], machines_on_fullest_day(p, x, q, h)) for q in units)


def machines_on_fullest_day(p: Problem, x: Decisions, q: str, h: str) -> Linear:
    """Machines of a pool that are held or bought on the fullest day of an hour's period [machines]."""
    held = p.held_at_most.get((q, p.period_of[h]), p.held_machines[q, p.period_of[h]])
    return total([(1.0, held), *((p.machines_per_unit[b], units_on_fullest_day(p, x, b, h)) for b in p.offers_of[q])])


def limit_capacity(p: Problem, x: Decisions, limit: int, h: str) -> Linear:
    """What there is of a limit in an hour, in its unit: of itself, and of what is built by then."""
    modules = p.limits[limit].modules
    if not modules:
        return p.limits[limit].most
    return total([(p.limits[limit].most, 1.0), *((kw, units_active(p, x, m, h)) for m, kw in modules.items())])


def requests_served_by(p: Problem, x: Decisions, placements: frozenset[str], h: str) -> Linear:
    """Requests that some placements serve in normal operation [requests/s]."""
    s = (h, NORMAL, 0.0)
    return total((1.0, x.traffic[w, o, e, s]) for w, o in p.flows for e in p.edges[w, o] if e in placements)
