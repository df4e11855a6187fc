"""All that is given and all that is chosen, as sets and numbers.

Index letters, everywhere in this order: w workload, o origin, e placement, q pool, b offer, t period, h hour,
f failure, c deadline [s], s = (h, f, c).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from planner.problem.request_limits import RequestLimits
from planner.problem.waiting import Waiting
from planner.study.calendar import hour_id
from planner.study.dependencies import Failure
from planner.study.latency import Reach
from planner.study.records.study import Policies

State = tuple[str, str, float]
PERIOD = "period-1"
HOUR = hour_id(PERIOD, "mean-hour")
"""The period and the hour of a study that names none."""
HOURLY = ("on_demand", "spot")
FEW_UNITS = 4
"""A pool of at most so many units gets the row that ties each request to the opening of a unit."""
HAIR_FRACTION = 5e-7
"""What a plan may miss by the arithmetic of the solver: half of what an audit overlooks."""
LEAST_WEIGHT = 1e-3
"""What a stream counts for beside the largest at the least, where what is short of all of them is added up."""
CLOSE_TO_ALL = 1e-6
"""What losses of parts of a pool leave at the least, to be reckoned with."""


@dataclass(frozen=True)
class Limit:
    """A limit on machines held and bought together: `Σ units_per_machine[q] · machines ≤ most`."""

    name: str
    unit: str
    units_per_machine: Mapping[str, float]
    most: float
    periods: tuple[str, ...] | None = None
    """those in which it holds; None: all"""
    modules: Mapping[str, float] = field(default_factory=dict)
    """build-out -> what each of its modules adds to the limit"""
    uncounted: frozenset[str] = frozenset()
    """offers of these pools whose machines take nothing of it"""
    granted: Mapping[str, float] = field(default_factory=dict)
    """period -> the limit in it, where an increase is granted by then"""
    counts_held: bool = True
    """whether machines that are held take of it"""


@dataclass(frozen=True)
class ShareLimit:
    """A limit on the requests that a component serves in normal operation [fraction of all]."""

    component: str
    placements: frozenset[str]
    most_fraction: float


@dataclass(frozen=True)
class SpendYear:
    """A year of a spend commitment: what is spent on its offers, and what is short of it, add up to `usd`."""

    name: str
    year: int
    usd: float
    """of its periods' share of the year"""
    offers: tuple[str, ...]
    periods: tuple[str, ...]
    discount_factor: float
    """what a USD at its end is worth at the start of the horizon"""


@dataclass(frozen=True)
class CapitalCap:
    """A limit on the capital that is paid in some periods [USD], not discounted."""

    name: str
    most_usd: float
    periods: tuple[str, ...]


@dataclass(frozen=True)
class Priced:
    """How often a failure happens over the horizon, and how long it lasts [h]: what it costs is minimised, too.

    A stage of an outage lasts from its begin until the next one begins; what its stages cost adds up.
    """

    occurrences: float
    hours_to_repair: float
    """until then since it began [h]"""
    of: str
    """the failure as it happens: those that differ only in where a partial loss falls are one, of which the dearest
    counts"""
    begins_hours: float = 0.0
    """of a later stage, since the outage began"""
    stage_of: str | None = None
    """the outage of which it is a stage, where that has several"""

    @property
    def lasts_hours(self) -> float:
        """How long it lasts [h]: until repaired, or until the next stage begins."""
        return max(0.0, self.hours_to_repair - self.begins_hours)

    @property
    def outage(self) -> str:
        """What happens, of which this is all, or a stage."""
        return self.stage_of or self.of


@dataclass(frozen=True)
class Measure:
    """What is counted of a plan beside its cost: units of offers and build-outs, by the hour and by a weight.

    Parameters
    ----------
    per_unit_hour : offer or build-out -> what one of its units counts for in an hour; others count nothing
    usd_weight : where it is minimised, what a USD counts for beside it
    most : what it may be at most, where cost is minimised under it; none: it is minimised itself
    """

    per_unit_hour: Mapping[str, float]
    usd_weight: float = 0.0
    most: float | None = None


@dataclass(frozen=True)
class Problem:
    """Everything that is given. Keys are ids; units are in the names; see the module for the index letters."""

    flows: tuple[tuple[str, str], ...]
    """(w, o) with demand"""
    placements: tuple[str, ...]
    """those with an edge, in normal operation or in failures"""
    pools: tuple[str, ...]
    offers: tuple[str, ...]
    periods: tuple[str, ...]
    hours: tuple[str, ...]
    period_of: Mapping[str, str]
    hours_in: Mapping[str, float]
    """t or h -> hours of the horizon that it stands for [h]"""
    failures: Mapping[str, Failure]
    """f -> failure, normal operation first"""
    deadlines_seconds: Mapping[str, tuple[float, ...]]
    """f -> deadlines of its goals, and instants before the last when machines arrive [s]"""
    promised: Mapping[str, tuple[tuple[str, float, float], ...]]
    """f -> (tier, serve fraction, within seconds)"""
    lost: Mapping[str, Mapping[str, float]]
    """f -> pool, placement or limited component -> available fraction, where below 1"""
    cannot_start: Mapping[str, frozenset[str]]
    """f -> placements in which no replica can be started"""
    request_limits: RequestLimits
    closed: Mapping[str, frozenset[str]]
    """f -> alternatives that are closed"""
    most_requests_per_second: Mapping[str, float]
    """component -> requests that it lets through [requests/s]"""
    coverable: Mapping[str, Mapping[tuple[str, str], float]]
    """f -> (w, o) -> fraction that any capacity could serve, where below 1"""
    edges: Mapping[tuple[str, str], tuple[str, ...]]
    edges_in_failure: Mapping[tuple[str, str], tuple[str, ...]]
    why_not: Mapping[tuple[str, str, str], str]
    """(w, o, e) -> reason for the missing edge"""
    tier_of: Mapping[str, str]
    demand_requests_per_second: Mapping[tuple[str, str, str], float]
    """(w, o, h)"""
    burst_factor: Mapping[str, float]
    serve_fraction: Mapping[str, float]
    """w -> share served in normal operation"""
    outage_usd_per_request: Mapping[str, float]
    replica_seconds: Mapping[tuple[str, str], float]
    """(w, e) -> replica-seconds per request"""
    replica_seconds_in_failure: Mapping[tuple[str, str], float]
    """the same with caches as they are after a move"""
    machines_per_replica: Mapping[str, float]
    load_seconds: Mapping[str, float]
    engine_start_seconds: Mapping[str, float]
    """e -> of load_seconds, what comes after its weights are read"""
    weights_gib: Mapping[str, float]
    rollout_surge_fraction: Mapping[str, float]
    pool_of: Mapping[str, str]
    """e or b -> q"""
    on_pool: Mapping[str, tuple[str, ...]]
    site_of: Mapping[str, str]
    load_gib_per_second: Mapping[str, float]
    """site -> storage rate, where limited"""
    usable_fraction: Mapping[str, float]
    spare_machines: Mapping[str, float]
    maybe_unused: Mapping[str, float]
    """q -> machines that it can have at most, for pools whose spare machines would have to be bought"""
    held_machines: Mapping[tuple[str, str], float]
    """(q, t) held through all of t"""
    claims: Mapping[tuple[str, str], tuple[tuple[float, float | None], ...]]
    """(q, t) -> (machines, seconds to reclaim or None)"""
    offers_of: Mapping[str, tuple[str, ...]]
    hourly: frozenset[str]
    counted: Mapping[str, Mapping[str, float]]
    """f -> b -> fraction of what runs that counts, where below 1; spot 0"""
    obtainable: Mapping[str, Mapping[str, tuple[float, float]]]
    """f -> b -> (fraction of what is still on the market that can be obtained, seconds until it is there)"""
    may_obtain: frozenset[str]
    """pools in which machines can be obtained in some failure"""
    with_spot: frozenset[str]
    """pools with an offer that does not count whole in every failure"""
    machines_per_unit: Mapping[str, int]
    most_units: Mapping[str, float]
    price_usd_per_machine_hour: Mapping[str, float]
    limits: tuple[Limit, ...]
    shares: tuple[ShareLimit, ...]
    budget_usd: float | None
    policies: Policies
    """as the study states them: a rule may read a field of its own there"""
    objective: str
    cvar_level: float
    priced: Mapping[str, Priced]
    """f -> rate, for failures whose cost is minimised with all else; empty where the objective is cost alone"""
    request_usd: Mapping[tuple[str, str], float]
    """(o, site) -> USD per request, where not zero"""
    round_trip_ms: Mapping[tuple[str, str], Reach]
    """(o, site)"""
    few_large_units: frozenset[str]
    utilisation_normal: float
    utilisation_in_failure: float
    detection_seconds: float
    """until traffic is moved: the push of new weights included, where they are pushed"""

    @property
    def edges_nested(self) -> bool:
        """Whether every edge of normal operation exists in failures, too."""
        return all(set(ends) <= set(self.edges_in_failure[flow]) for flow, ends in self.edges.items())

    profile_of: Mapping[str, str] = field(default_factory=dict)
    """e -> model/profile"""
    model_of: Mapping[str, str] = field(default_factory=dict)
    """e -> model"""
    provider_of: Mapping[str, str] = field(default_factory=dict)
    """q -> provider"""
    not_offered: Mapping[str, str] = field(default_factory=dict)
    """offer id -> why it cannot be bought in this study"""
    vintages: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    """(b, t) -> periods in which a unit can start that lasts through t; not for hourly offers"""
    vintages_on_some_day: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    """(b, t) -> the same of a unit that stands on some day of t: where it differs, limits count more than capacity"""
    held_at_most: Mapping[tuple[str, str], float] = field(default_factory=dict)
    """(q, t) machines held at the same time on some day of t, where more than through all of it"""
    paid_hours: Mapping[tuple[str, str], float] = field(default_factory=dict)
    """(b, t) -> hours of the horizon that a unit started in t is paid for; hourly: hours of t"""
    price_factor: Mapping[tuple[str, str], float] = field(default_factory=dict)
    """(b, t) -> factor on the list price of what starts or is rented in t, where not 1"""
    present_hours: Mapping[str, float] = field(default_factory=dict)
    """h -> hours it stands for, times what a USD then is worth at the start of the horizon [h]"""
    build_outs: tuple[str, ...] = ()
    """ids of phases; their modules are started like units of offers, and share `vintages` and `most_units`"""
    not_built: Mapping[str, str] = field(default_factory=dict)
    """build-out -> why it cannot be built within the horizon"""
    ordered: Mapping[tuple[str, str], tuple[float, float]] = field(default_factory=dict)
    """(b, t) or (b, h) -> (least, most) units that start, or are rented, as was decided already; none: all is open"""
    least_units: Mapping[str, float] = field(default_factory=dict)
    """build-out -> modules that are built at least, where any must be"""
    either_or: tuple[tuple[str, ...], ...] = ()
    """build-outs of which one at most is built"""
    after: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """build-out -> those that must stand by then"""
    start_usd: Mapping[str, Mapping[tuple[str, str], float]] = field(default_factory=dict)
    """cost component -> (b, t) -> what a unit that starts in t costs, at the start of the horizon [USD]"""
    capital_usd: Mapping[str, Mapping[tuple[str, str], float]] = field(default_factory=dict)
    """period of payment -> (b, t) -> capital paid in it for a unit that starts in t [USD]"""
    energy_usd_per_machine_hour: Mapping[tuple[str, str], float] = field(default_factory=dict)
    """(q, t) -> energy of a machine that is held or bought, where it is paid apart [USD/h]"""
    spend_years: tuple[SpendYear, ...] = ()
    capital_caps: tuple[CapitalCap, ...] = ()
    deferrable: frozenset[str] = frozenset()
    """workloads served over the hours of their period, in normal operation"""
    rescaled: frozenset[str] = frozenset()
    """failures in which gateways renormalise fixed weights over what remains, and normal operation, of which these are;
    in others weights are chosen anew; empty: no gateway has fixed weights"""
    sizes_requests_per_second: Mapping[tuple[str, ...], float] = field(default_factory=dict)
    """(w, o, h), (w, o) -> what any state (of the hour) may ask for at most, surges included: see `flow_size`"""
    waiting: Waiting | None = None
    """how far replicas may be filled by their number; none: as far as `utilisation_normal` and `_in_failure` say"""
    measure: Measure | None = None
    """what is minimised, or limited, beside cost: no part of a study, but of an alternative to a plan"""
    late_ms: Mapping[tuple[str, str, str], float] = field(default_factory=dict)
    """(w, o, e) -> by how much round trip and prefill exceed the first-token target, where there is no edge for that"""

    def may_start(self, b: str, t: str) -> bool:
        """Whether a unit of an offer can start in a period."""
        return t in self.vintages.get((b, t), ())


def most_machines(p: Problem, q: str) -> float:
    """Machines that a pool can have, or that could ever be of use there [machines].

    Formula
        Σ_e machines_per_replica[e] · (⌈work[e]⌉ / remaining + 1) / usable
        where a partial loss may fall on one placement: ((Σ + spare) / usable + unit) / (least counted · (1 − targeted))
    Nothing needs more replicas than serve everything, with every surge, from the whole ones that the worst partial loss
    leaves. Where that loss may fall on each of some placements, each needs as many machines on top as the pool loses.
    """
    surge = max(
        f.surge_factor * math.prod(max(1.0, factor) for factor in f.surges.values()) for f in p.failures.values()
    )
    held = max(p.held_machines[q, t] for t in p.periods)
    most = held + sum(p.machines_per_unit[b] * p.most_units[b] for b in p.offers_of[q])
    parts = {lost.get(e, 1.0) for lost in p.lost.values() for e in (*p.on_pool[q], q)}
    remaining = min((part for part in parts if part > 0), default=1.0)
    needed = 0.0
    for e in p.on_pool[q]:
        work = sum(
            max(p.replica_seconds[w, e], p.replica_seconds_in_failure[w, e]) * p.burst_factor[w] * taken_up(p, w, o, h)
            for w, o, h in p.demand_requests_per_second
            if (w, e) in p.replica_seconds
        )
        replicas = math.ceil(work * (surge / _utilisation_of_one(p, e)))
        needed += p.machines_per_replica[e] * (replicas / remaining + 1)
    useful = needed / p.usable_fraction[q]
    if targeted := targeted_fraction(p, q):
        counted = {by_offer.get(b, 1.0) for by_offer in p.counted.values() for b in p.offers_of[q]} - {0.0}
        unit = max((p.machines_per_unit[b] for b in p.offers_of[q]), default=0)
        useful += p.spare_machines[q] / p.usable_fraction[q] + unit
        useful /= min(counted, default=1.0) * (1 - targeted)
    return min(most, max(held, useful))


def machines_within_limits(p: Problem, q: str) -> float:
    """Machines that a pool can have within the limits that hold [machines]; infinity where none says.

    Formula
        max over periods of the least of: max(held, most / units_per_machine), or held + most / units_per_machine where
        a limit counts none that are held; and what is bought of offers that a limit does not count on top
    Limits to which build-outs add are left out, and pools in which machines may be obtained in a failure.
    """
    if any(fraction and b in p.offers_of[q] for of in p.obtainable.values() for b, (fraction, _) in of.items()):
        return math.inf
    most = 0.0
    for t in p.periods:
        held, of_period = p.held_machines[q, t], math.inf
        for limit in p.limits:
            units = limit.units_per_machine.get(q, 0.0)
            if units <= 0 or limit.modules or not (limit.periods is None or t in limit.periods):
                continue
            counted = limit.granted.get(t, limit.most) / units
            within = max(held, counted) if limit.counts_held else held + counted
            apart = sum(p.machines_per_unit[b] * p.most_units[b] for b in p.offers_of[q] if b in limit.uncounted)
            of_period = min(of_period, within + apart)
        most = max(most, of_period)
    return most


def _utilisation_of_one(p: Problem, e: str) -> float:
    """The utilisation of a replica that runs alone: the least that there is (above 0 to 1)."""
    least = min(p.utilisation_normal, p.utilisation_in_failure)
    if p.waiting is None:
        return least
    return min(least, *(float(p.waiting.largest(in_failure, [e], [1.0])[0]) for in_failure in (False, True)))


def most_filled(p: Problem, e: str) -> float:
    """How far a placement is filled in normal operation at the most: by waiting, with as many replicas as may be."""
    return p.utilisation_normal if p.waiting is None else p.waiting.utilisation[e, False]


def targeted_fraction(p: Problem, q: str) -> float:
    """What losses that fall on one placement take of a pool, over all placements of which something remains.

    Formula
        the largest Σ_e h[e] below 1, with h[e] one of the shares lost when all of it falls on one placement, or 0
    """
    targeted = {f for f, x in p.failures.items() if p.pool_of.get(x.targeted or "") == q}
    shares = {1 - p.lost[f].get(q, 1.0) for f in targeted}
    sums = {0.0}
    for _ in p.on_pool[q] if shares else ():
        more = {round(total + share, 9) for total in sums for share in shares if total + share < 1 - CLOSE_TO_ALL}
        sums |= more
    return max(sums)


def taken_up(p: Problem, w: str, o: str, h: str) -> float:
    """Requests that normal operation may have to serve in an hour at most [requests/s]: all of a period if they wait.

    Formula
        demand[w,o,h];  for deferrable work Σ_k in t hours[k] · demand[w,o,k] / hours[h]
    """
    if w not in p.deferrable:
        return p.demand_requests_per_second[w, o, h]
    same = (k for k in p.hours if p.period_of[k] == p.period_of[h])
    return sum(p.hours_in[k] * p.demand_requests_per_second[w, o, k] for k in same) / p.hours_in[h]


def flow_size(p: Problem, w: str, o: str, h: str = "") -> float:
    """The size of what is asked for (w, o), by which its requests are scaled and judged [requests/s]; never 0.

    Of an hour; of all where none is named, or where nothing is asked for in it.
    """
    known = p.sizes_requests_per_second
    return known.get((w, o, h), 0.0) or known.get((w, o), 0.0) or 1.0


def size_of_all(p: Problem) -> float:
    """The size of all that is asked for together [requests/s]; never 0."""
    return math.fsum(flow_size(p, w, o) for w, o in p.flows) or 1.0


def with_a_hair(p: Problem) -> Problem:
    """The problem with as much more room as a solver may miss in a row, and an audit overlooks."""
    more = 1 + HAIR_FRACTION
    return replace(
        p,
        utilisation_normal=p.utilisation_normal * more,
        utilisation_in_failure=p.utilisation_in_failure * more,
        most_requests_per_second={c: most * more for c, most in p.most_requests_per_second.items()},
        shares=tuple(replace(share, most_fraction=share.most_fraction * more) for share in p.shares),
    )


def fullest_hour(p: Problem) -> str:
    """The hour in which most requests are wanted: the one that a review shows where it can only show one."""
    return max(p.hours, key=lambda h: sum(p.demand_requests_per_second[w, o, h] for w, o in p.flows))


def states(p: Problem, f: str) -> list[State]:
    """States (h, f, c) of a failure, hours first, deadlines rising."""
    return [(h, f, c) for h in p.hours for c in p.deadlines_seconds[f]]
