"""Named sums that rules and costs share: one formula, one home. `a` is the arrays, `x` the decisions as vectors.

Shapes stand in brackets, with the letters of `arrays`. Scalars of one thing are looked up in the arrays.
"""

import math

import numpy as np

from planner.problem.algebra import Array, Vector, is_number, pick, spread, stacked, sum_by
from planner.problem.arrays import Arrays, things_of
from planner.problem.decisions import Vectors
from planner.problem.problem import Problem, State, flow_size, size_of_all
from planner.problem.things import Things, numbers_of
from planner.study.dependencies import NORMAL
from planner.units import ROUNDING


# ---------------------------------------------------------------------------------------------- given, of one thing
def is_normal(s: State) -> bool:
    """Whether nothing is lost in a state."""
    return s[1] == NORMAL


def available(p: Problem, thing: str, f: str) -> float:
    """Available fraction of a pool or placement in a failure (0 to 1)."""
    return p.lost[f].get(thing, 1.0)


def live_edges(p: Problem, w: str, o: str, f: str) -> list[str]:
    """Placements that may serve (w, o) in a failure: eligible, near enough, not dead."""
    edges = p.edges if f == NORMAL else p.edges_in_failure
    lost = p.lost[f]
    return [e for e in edges[w, o] if lost.get(e, 1.0) > 0]


def is_live_edge(p: Problem, w: str, o: str, e: str, f: str) -> bool:
    """Whether a placement is one of `live_edges`."""
    edges = p.edges if f == NORMAL else p.edges_in_failure
    return p.lost[f].get(e, 1.0) > 0 and e in edges[w, o]


def requests_per_second(p: Problem, w: str, o: str, s: State) -> float:
    """Demand in a state, surges included [requests/s]."""
    things = things_of(p)
    return float(things.wanted(s)[things.flow_at[w, o]])


def waits(p: Problem, w: str, s: State) -> bool:
    """Whether a workload is taken up over the hours of its period in this state, not in each of them."""
    return w in p.deferrable and is_normal(s)


def due_fraction(p: Problem, w: str, o: str, s: State) -> float:
    """Share of (w, o) that must be served by now (0 to 1).

    The largest promised fraction whose deadline has passed, 0 before, capped at what any capacity could serve. Normal
    operation is the failure in which nothing is lost: the tier's own fraction is due at once.
    """
    things = things_of(p)
    return float(things.due_share(s)[things.flow_at[w, o]])


def can_load(p: Problem, e: str, s: State) -> bool:
    """Whether a replica that is started when the failure is detected runs by this deadline."""
    things = things_of(p)
    return bool(things.can_load(s)[things.placement_at[e]])


def unit_usd_per_hour(p: Problem, b: str, t: str) -> float:
    """Price of a unit of an offer that starts, or is rented by the hour, in a period [USD/h]."""
    return p.price_usd_per_machine_hour[b] * p.machines_per_unit[b] * p.price_factor.get((b, t), 1.0)


def units_usd_per_hour(a: Things, t: str) -> Array:
    """Prices of a unit of each offer that starts, or is rented by the hour, in a period [USD/h; B]; build-outs 0."""
    prices = [unit_usd_per_hour(a.p, b, t) for b in a.p.offers]
    return a.once(("unit price", t), lambda: np.array([*prices, *(0.0 for _ in a.p.build_outs)]))


def capacity(a: Things, f: str, replicas: Vector) -> Vector:
    """Work that running replicas take in a failure, or in normal operation [replica-seconds per second; P].

    Formula
        utilisation[f] · replicas
        where utilisation is by waiting, of a number of them: largest utilisation of these replicas · replicas
    A program reckons with the utilisation of a number of replicas that is known before: see `solve/by_waiting.py`.
    """
    return utilisation_of(a, f, replicas) * replicas


def utilisation_of(a: Things, f: str, replicas: Vector) -> float | Array:
    """How far so many running replicas may be filled in a failure, or in normal operation (0 to 1; of all, or P)."""
    if a.p.waiting is None or not is_number(replicas):
        utilisation: float | Array = a.utilisation(f)
        return utilisation
    of_each = np.asarray(spread(replicas, a.P)).tolist()
    return a.p.waiting.largest(f != NORMAL, a.p.placements, of_each)


# ---------------------------------------------------------------------------------------------- purchases
def units_active(a: Things, x: Vectors, h: str) -> Vector:
    """Units of each offer, and modules of each build-out, that are there in an hour [units; B].

    Formula
        rented[b,h]   or   Σ_u started[b,u]   over the periods u whose start covers the period of h
    """
    return _units(a, x, h, on_some_day=False)


def units_on_fullest_day(a: Things, x: Vectors, h: str) -> Vector:
    """Units of each offer that are there on some day of an hour's period, at the same time at most [units; B].

    A contract that ends within a period is no capacity in it, but takes its part of quotas, power and the market.
    """
    return _units(a, x, h, on_some_day=True)


def _units(a: Things, x: Vectors, h: str, on_some_day: bool) -> Vector:
    units = spread(x.rented[h,], a.B)
    for u, mask in a.covers(h, on_some_day):
        units = units + mask * spread(x.started[u,], a.B)
    return units


def spent_usd(a: Things, x: Vectors, t: str) -> Vector:
    """What is spent on each offer in a period, not discounted; paid upfront counts where it is used [USD; B]."""
    p = a.p
    hours = [h for h in p.hours if p.period_of[h] == t]
    usd: Vector = np.zeros(a.B)
    for h in hours:
        usd = usd + p.hours_in[h] * units_usd_per_hour(a, t) * spread(x.rented[h,], a.B)
    for u, mask in a.covers(hours[0]):
        usd = usd + p.hours_in[t] * mask * units_usd_per_hour(a, u) * spread(x.started[u,], a.B)
    return usd


def spent_in_years_usd(a: Things, x: Vectors) -> Vector:
    """What is spent on the offers of each year of each spend commitment, not discounted [USD; spend years]."""
    years = []
    for k in a.p.spend_years:
        offers = np.array([a.offer_at[b] for b in k.offers if b in a.offer_at], dtype=int)
        usd: Vector = np.zeros(1)
        for t in k.periods:
            usd = usd + sum_by(pick(spent_usd(a, x, t), offers), np.zeros(len(offers), dtype=int), 1)
        years.append(usd)
    return stacked(years)


def short_of_spend(a: Things, x: Vectors) -> Array:
    """What each year of each spend commitment is short of, for purchases as numbers [USD; spend years]."""
    promised = np.array([k.usd for k in a.p.spend_years])
    return np.asarray(np.maximum(0.0, promised - spent_in_years_usd(a, x)))


# ---------------------------------------------------------------------------------------------- machines
def machines_held_or_bought(a: Things, x: Vectors, h: str, f: str = NORMAL) -> Vector:
    """Machines of each pool, broken ones included [machines; Q]; in a failure only what is counted of what runs."""
    return a.held(h) + _machines_bought(a, units_active(a, x, h), a.counted(f))


def _machines_bought(a: Things, units: Vector, counted: Array | float) -> Vector:
    return sum_by(counted * a.machines_per_unit * pick(units, a.in_pool), a.pool_of_offer, a.Q)


def first_hours(a: Things) -> dict[str, str]:
    """Period -> its first hour: what is there is there in all of them."""
    return {a.p.period_of[h]: h for h in reversed(a.p.hours)}


def units_at_pool(a: Things, x: Vectors, h: str) -> Vector:
    """Units bought at each pool, of any offer [units; Q]."""
    return sum_by(pick(units_active(a, x, h), a.in_pool), a.pool_of_offer, a.Q)


def machines_obtainable(a: Things, x: Vectors, s: State) -> Vector:
    """Machines that can be obtained by this deadline of what is on the market [machines; Q]; 0 unless a study says."""
    h, f, c = s
    p, part = a.p, np.zeros(len(a.in_pool))
    for b, (fraction, seconds) in p.obtainable[f].items():
        if fraction and p.detection_seconds + seconds < c:
            part[a.offer_at[b]] = p.machines_per_unit[b] * fraction
    on_market = np.where(part > 0, a.most_units[a.in_pool], 0.0)
    remaining = part * (on_market - (part > 0) * pick(spread(x.rented[h,], a.B), a.in_pool))
    return sum_by(remaining, a.pool_of_offer, a.Q)


def machines_to_obtain(a: Things, x: Vectors, s: State) -> Vector:
    """Machines of each pool that can be used in a state once they are obtained [machines; Q]."""
    return a.available_pools(s[1]) * a.usable_fraction * machines_obtainable(a, x, s)


def machines_in_service(a: Things, x: Vectors, s: State) -> Vector:
    """Machines of each pool that can be used in a state, held or bought before [machines; Q].

    Formula
        available[q,f] · usable[q] · (held or counted of bought − claims) − spare[q] · opened[q] in normal operation
    """
    h, f, _ = s
    part = a.available_pools(f) * a.usable_fraction
    machines = part * (machines_held_or_bought(a, x, h, f) - a.claimed(s))
    if not is_normal(s):
        return machines
    unused = a.maybe_unused
    spare = a.spare_machines * (~unused + unused * spread(x.opened[h,], a.Q))
    return machines - spare


def machines_up(a: Things, x: Vectors, s: State) -> Vector:
    """Machines of each pool that can be used in a state [machines; Q], all that can be obtained among them."""
    return machines_in_service(a, x, s) + machines_to_obtain(a, x, s)


def machines_non_preemptible(a: Things, x: Vectors, h: str) -> Vector:
    """Machines of each pool, not lent, broken ones left out, that count in every failure [machines; Q].

    Of an offer that counts in part, the least part of all failures: spot none.
    """
    bought = _machines_bought(a, units_active(a, x, h), a.least_counted)
    return a.usable_fraction * (a.held(h) - a.claimed((h, NORMAL, 0.0)) + bought)


def machines_counted_apart(a: Things, x: Vectors, h: str) -> Vector:
    """Machines of each offer beyond its least, broken ones left out: they count in some failures [machines; B].

    Formula
        usable[q] · (more[b] − least[b]) · machines_per_unit[b] · active[b,h]
    """
    beyond = a.usable_fraction[a.pool_of_offer] * (a.more_counted - a.least_counted) * a.machines_per_unit
    return beyond * pick(units_active(a, x, h), a.in_pool)


# ---------------------------------------------------------------------------------------------- limits
def limit_used(a: Things, x: Vectors, h: str) -> Vector:
    """What the machines held and bought take of each limit on the fullest day of a period [its unit; limits].

    A quota counts the kinds of purchase that it names: all of them, and what is held, where it names none.
    """
    of, pool, units = a.limit_units
    held = sum_by(units * a.limit_counts_held[of] * pick(a.held_at_most(h), pool), of, len(a.limits))
    limit, offer, per_unit = a.limit_offers
    return held + sum_by(per_unit * pick(units_on_fullest_day(a, x, h), offer), limit, len(a.limits))


def limit_capacity(a: Things, x: Vectors, h: str) -> Vector:
    """What there is of each limit in an hour [the limit's unit; limits]: granted by then, and of what is built."""
    of, build_out, kw = a.limit_modules
    t = a.p.period_of[h]
    most = np.array([limit.granted.get(t, limit.most) for limit in a.p.limits])
    return most + sum_by(kw * pick(units_active(a, x, h), build_out), of, len(a.limits)) if len(of) else most


def limit_drawn(a: Things, x: Vectors, s: State) -> Vector:
    """What machines that were obtained take of each limit drawn upon, broken ones included [its unit; limits drawn]."""
    of, pool, units = a.limit_obtained
    may = a.may_obtain[pool]
    taken = units[may] / a.usable_fraction[pool[may]] * pick(spread(x.obtained[s,], a.Q), pool[may])
    return pick(sum_by(taken, of[may], len(a.limits)), a.drawn_upon)


# ---------------------------------------------------------------------------------------------- replicas
def survivors(a: Things, x: Vectors, s: State) -> Vector:
    """Replicas that run on after a failure until they are evicted [replicas; P].

    Which replicas stand on which machines is decided once, not by each failure for itself: where an offer of the pool
    does not count whole, non-preemptible replicas run on, and those on offers of which more counts than the least.

    Formula
        available[e,f] · (non_preemptible[e,h] + Σ_b on_offer[e,b,h])   over the offers b with counted[b,f] > least[b]
    """
    h, f, _ = s
    discounted = a.counts_less(f)[a.pool_of_placement]
    undiscounted = (a.available(f) * ~discounted) * spread(x.replicas[h,], a.P)
    if not discounted.any():
        return undiscounted
    go_on = spread(x.non_preemptible[h,], a.P)
    if a.placements_on_offers:
        go_on = go_on + replicas_on_offers(a, x, h, a.counts_more(f)[a.offer_of_pair])
    return undiscounted + (a.available(f) * discounted) * go_on


def replicas_on_offers(a: Things, x: Vectors, h: str, of_pair: Array | float = 1.0) -> Vector:
    """Replicas of each placement on offers that are counted apart, of some pairs of the two [replicas; P]."""
    return sum_by(of_pair * spread(x.on_offer[h,], len(a.placements_on_offers)), a.placement_of_pair, a.P)


def running(a: Things, x: Vectors, s: State) -> Vector:
    """Replicas that run in a state: kept and cold-started [replicas; P]."""
    return spread(x.kept[s,], a.P) + spread(x.cold_started[s,], a.P)


def replicas_targeted(a: Things, x: Vectors, s: State) -> Vector:
    """Replicas that a pool's partial loss takes when all of it falls on one placement [replicas; one].

    Formula
        (1 − available[q,f]) · usable[q] / machines_per_replica[e] · (held or counted of bought − claims)
    """
    h, f, _ = s
    e = np.array([a.placement_at[a.p.failures[f].targeted or ""]])
    q = a.pool_of_placement[e]
    owned = pick(machines_held_or_bought(a, x, h, f) - a.claimed((h, NORMAL, 0.0)), q)
    return (1 - a.available_pools(f)[q]) * a.usable_fraction[q] / a.machines_per_replica[e] * owned


def targeted(a: Things, f: str) -> Array:
    """Whether a failure's partial loss falls on a placement [P]; none where it falls on one that may serve nothing."""
    mask = np.zeros(a.P, dtype=bool)
    if (e := a.p.failures[f].targeted or "") in a.placement_at:
        mask[a.placement_at[e]] = True
    return mask


def beside(a: Things, s: State) -> Array | float:
    """Replicas that occupy machines for each that runs: in normal operation those of a rollout beside it [P]."""
    return 1 + a.rollout_surge_fraction if is_normal(s) else 1.0


def whole_occupied(a: Things, x: Vectors, s: State) -> Array:
    """Replicas that occupy machines for what runs, those of a rollout beside them counted whole [replicas; P]."""
    return np.asarray(np.ceil(beside(a, s) * running(a, x, s) - ROUNDING))


def loading(a: Things, s: State) -> list[tuple[State, Array]]:
    """Earlier states of a failure, with the placements of which what runs in `s` occupies machines already [P].

    The one before, and any from which a cold start would not end by now: until a deadline the state before it
    goes on, and what it serves is not interrupted. Safe, not exact: a machine that one replica leaves between two
    deadlines could be used by another before the second.
    """
    earlier = a.earlier(s)
    takes_time = a.load_seconds > 0
    return [
        (before, takes_time & ((s[2] - before[2] < a.load_seconds - ROUNDING) | (before == earlier[-1])))
        for before in earlier
    ]


def least_occupied(a: Things, x: Vectors, s: State) -> Array:
    """Replicas that occupy machines at the least: those that run, and those that load now [replicas; P]."""
    h, f, c = s
    least = running(a, x, s)
    for d in a.p.deadlines_seconds[f]:
        for before, mask in loading(a, (h, f, d)) if d > c else ():
            if before == s:
                least = np.maximum(least, mask * running(a, x, (h, f, d)))
    return np.asarray(least)


def replica_seconds_used(a: Arrays, x: Vectors, s: State) -> Vector:
    """Work that each placement's peak traffic asks for [replica-seconds/s; P]."""
    return sum_by(a.replica_seconds(s[1]) * x.traffic[s,], a.placement_of_edge, a.P)


# ---------------------------------------------------------------------------------------------- requests
def served(a: Arrays, x: Vectors, s: State) -> Vector:
    """Requests of each flow that are served in a state [requests/s; F]."""
    return sum_by(x.traffic[s,], a.flow_of_edge, a.F)


def requests_sent_to_lost(a: Arrays, x: Vectors, s: State) -> Vector:
    """Requests of each flow that normal operation sends to what a failure takes [requests/s; F].

    Formula
        Σ_e (1 − available[e,f]) · traffic[w,o,e,(h,normal)]
    """
    taken = (1 - a.available(s[1]))[a.placement_of_edge] * a.may_serve(NORMAL)
    return sum_by(taken * spread(x.traffic[(s[0], NORMAL, 0.0),], a.E), a.flow_of_edge, a.F)


def requests_served_by(a: Arrays, x: Vectors, placements: frozenset[str], h: str) -> Vector:
    """Requests that some placements serve in normal operation [requests/s; one]."""
    among = numbers_of(dict.fromkeys(placements, 1.0), a.p.placements, 0.0)[a.placement_of_edge] > 0
    counted = (among & a.may_serve(NORMAL)) * spread(x.traffic[(h, NORMAL, 0.0),], a.E)
    return sum_by(counted, np.zeros(a.E, dtype=int), 1)


def requests_through(a: Arrays, x: Vectors, s: State) -> Vector:
    """Requests that pass each component with a limit, each once [requests/s; C]."""
    of, edge = a.passes_component
    n = len(a.components)
    through = sum_by(pick(x.traffic[s,], edge), of, n) if len(of) else np.zeros(n)
    limited = a.component_of_alternative < n
    if not limited.any():
        return through
    via = pick(spread(x.throughput[s,], len(a.alternatives)), limited)
    return through + sum_by(via, a.component_of_alternative[limited], n)


def requests_divided(a: Arrays, x: Vectors, s: State) -> Vector:
    """Requests that pass one of some alternatives each [requests/s; groups]."""
    of, edge = a.passes_group
    n = len(a.p.request_limits.alternatives)
    return sum_by(pick(x.traffic[s,], edge), of, n) if len(of) else np.zeros(n)


def lets_through(a: Arrays, f: str) -> Array:
    """Requests that each component with a limit lets through, of what remains of it [requests/s; C]."""
    return np.array([a.p.most_requests_per_second[c] * available(a.p, c, f) for (c,) in a.components])


def alternative_shares(a: Arrays, f: str) -> Array:
    """Share of the requests that passes each alternative, when nothing steers them (0 to 1) [alternatives].

    Requests split by what each alternative lets through; where some have no limit, evenly over these.
    """
    most = np.append(lets_through(a, f), math.inf)[a.component_of_alternative]
    most = np.where(a.open(f), most, 0.0)
    endless = np.isinf(most)
    group, n = a.group_of_alternative, len(a.p.request_limits.alternatives)
    some_endless = np.bincount(group, endless, minlength=n)[group] > 0
    most = np.where(some_endless, endless.astype(float), np.where(endless, 0.0, most))
    of_all = np.bincount(group, most, minlength=n)[group]
    return np.asarray(np.divide(most, of_all, out=np.zeros(len(most)), where=of_all > 0))


def met_fractions(a: Arrays, f: str) -> Array:
    """Share of the requests of an edge that pass a component, when nothing steers them over alternatives [C, E]."""
    fraction = np.zeros((len(a.components), a.E))
    of, edge = a.passes_component
    fraction[of, edge] = 1.0
    shares, (group, edge) = alternative_shares(a, f), a.passes_group
    for i, component in enumerate(a.component_of_alternative):
        if component < len(a.components):
            fraction[component, edge[group == a.group_of_alternative[i]]] = shares[i]
    return fraction


def request_limit_sizes(a: Arrays) -> Array:
    """The size by which requests through each component with a limit are scaled and judged [requests/s; C]; never 0."""
    everything = size_of_all(a.p)
    return np.array([min(a.p.most_requests_per_second[c], everything) or everything for (c,) in a.components])


def group_sizes(a: Arrays) -> Array:
    """The size by which requests that pass one of some alternatives are scaled and judged [requests/s; groups]."""
    sizes = []
    for one in a.p.request_limits.alternatives:
        flows = dict.fromkeys((w, o) for w, o, _ in one.edges)
        sizes.append(math.fsum(flow_size(a.p, w, o) for w, o in flows) or 1.0)
    return np.array(sizes)
