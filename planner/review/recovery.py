"""Who is served when: in each failure from its begin until it is repaired, by what serves."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from planner.plan.in_hand import Plan
from planner.problem.algebra import Array, sum_by
from planner.problem.arrays import Arrays, full
from planner.problem.decisions import Vectors
from planner.problem.problem import Problem, State, fullest_hour, states
from planner.problem.rules.formulas import machines_in_service, running
from planner.problem.things import Things
from planner.review.failures import hour_text
from planner.review.figures import Figure, number
from planner.review.report import Column, Section, percent, short_failure
from planner.review.worst_first import ORDERED, at_once, protected_tiers, worst_first
from planner.study.dependencies import NORMAL
from planner.units import SECONDS_PER_HOUR

WARM, RECLAIMED, COLD_START, LAUNCHED = HOW = (
    "warm_fraction",
    "reclaimed_fraction",
    "cold_start_fraction",
    "launched_fraction",
)
"""How replicas come to run: fields of `Slice`."""
LEAST_SHARE = 0.005
MOVED, REPAIRED = "moved", "repaired"
EVICTED = (
    "when the failure is detected, requests are moved to what runs, and replicas that make headroom for what is loaded "
    "by the next second here are evicted; what is evicted for a later one goes right after the one before that; "
    "planner explain --failure looks at deadlines of goals alone, and evicts for each at the one before"
)
JUST_AFTER = (
    "a second with .001: just after machines came back or were obtained, which may be loaded from then on; the plan is "
    "held to both sides of it"
)
STAGES = (
    "after so many hours: a later stage of the same failure, named after when parts of it work again; it counts from "
    "when these have loaded their weights, until then the last share of the one before stays"
)
Split = dict[str, Array]
"""One of HOW -> share of each placement's replicas [P]"""


@dataclass(frozen=True)
class Slice:
    """What a tier is served in a failure from some second on, as shares of its demand.

    Parameters
    ----------
    event : what happens then: begin; moved: requests are moved, and replicas evicted; deadline; repaired
    warm_fraction : by replicas that ran all along
    reclaimed_fraction : on machines back from others
    cold_start_fraction, launched_fraction : by replicas loaded since: on machines that were there, on machines obtained
    """

    failure: str
    seconds: float
    event: str
    tier: str
    served_fraction: float
    warm_fraction: float
    reclaimed_fraction: float
    cold_start_fraction: float
    launched_fraction: float


def split_of(a: Things, x: Vectors, s: State) -> Split:
    """The share of each placement's running replicas by how they come to run (0 to 1).

    Machines of a pool are taken in this order: there all along, back from others, obtained; by what was kept, then by
    what was loaded: of a pool all placements by the same shares.
    """
    pool, runs = a.pool_of_placement, running(a, x, s)
    keeps = sum_by(a.machines_per_replica * x.kept[s,], pool, a.Q)
    loads = sum_by(a.machines_per_replica * x.cold_started[s,], pool, a.Q)
    back = machines_in_service(a, x, s)
    lent = a.claimed((s[0], NORMAL, 0.0)) - a.claimed(s)
    own = np.maximum(0.0, back - a.available_pools(s[1]) * a.usable_fraction * lent)
    ran_all_along = _divided(np.minimum(keeps, own), keeps)[pool]
    on_own = np.minimum(loads, np.maximum(0.0, own - keeps))
    on_returned = np.minimum(loads - on_own, np.maximum(0.0, back - np.maximum(own, keeps)))
    kept, per_load = _divided(x.kept[s,], runs), _divided(_divided(x.cold_started[s,], runs), loads[pool])
    return {
        WARM: kept * ran_all_along,
        RECLAIMED: kept * (1 - ran_all_along) + per_load * on_returned[pool],
        COLD_START: per_load * on_own[pool],
        LAUNCHED: per_load * (loads - on_own - on_returned)[pool],
    }


def _divided(part: Array, of: Array) -> Array:
    """Shares of a whole; of nothing 0."""
    return np.asarray(np.divide(part, of, out=np.zeros(len(of)), where=of > 0))


def slices_of(p: Problem, x: Vectors, f: str) -> Iterator[Slice]:
    """A failure from its begin to its repair, tier by tier, in the hour of most requests."""
    a, h = full(p), fullest_hour(p)
    usual, all_warm = (h, NORMAL, 0.0), {WARM: np.ones(a.P)}
    usually_offered, failure = x.offered[usual,], p.failures[f]
    if not failure.begins_seconds:
        offered = a.surge(f) * usually_offered
        yield from _slices(a, at_once(a, x, f, h), offered, all_warm, f, 0.0, "begin")
        first: State = (h, f, p.deadlines_seconds[f][0])
        if p.detection_seconds < first[2]:
            runs = {WARM: split_of(a, x, first)[WARM]}
            yield from _slices(a, x.traffic[first,], x.offered[first,], runs, f, p.detection_seconds, MOVED)
    for s in states(p, f):
        if s[0] == h:
            yield from _slices(a, x.traffic[s,], x.offered[s,], split_of(a, x, s), f, s[2], "deadline")
    later = (g for g in p.failures.values() if failure.outage is not None and g.outage == failure.outage)
    is_last = all(g.begins_seconds <= failure.begins_seconds for g in later)
    if (repair := failure.hours_to_repair) is not None and is_last:
        seconds = repair * SECONDS_PER_HOUR
        yield from _slices(a, x.traffic[usual,], usually_offered, all_warm, f, seconds, REPAIRED)


def _slices(a: Arrays, sent: Array, offered: Array, how: Split, f: str, seconds: float, event: str) -> Iterator[Slice]:
    """One slice a tier: of what is offered, with what deferrable work takes up then, the shares by what serves them."""
    tiers = len(a.tiers)
    wanted = sum_by(offered, a.tier_of_flow, tiers)
    tier_of_edge = a.tier_of_flow[a.flow_of_edge]
    shares = {name: np.zeros(tiers) for name in HOW}
    for name, part in how.items():
        share = _divided(part[a.placement_of_edge] * sent, wanted[tier_of_edge])
        shares[name] = sum_by(share, tier_of_edge, tiers)
    for n in dict.fromkeys(a.tier_of_flow.tolist()):
        split = {name: float(share[n]) for name, share in shares.items()}
        yield Slice(f, seconds, event, a.tiers[n], sum(split.values()), **split)


@dataclass(frozen=True)
class AskedSlice(Slice):
    """A slice with what the tier's goals ask to be served by then, at the most; None before the first deadline."""

    asked_fraction: float | None


def slices_by_failure(plan: Plan) -> dict[str, list[Slice]]:
    """Every failure from its begin to its repair."""
    p = plan.problem
    return {f: list(slices_of(p, plan.vectors, f)) for f in p.failures if f != NORMAL}


def worst_recovery_section(plan: Plan) -> Section | None:
    """The first of FAILURES in which a goal protects a tier; no section where goals protect none."""
    p = plan.problem
    f = next((f for f in worst_first(plan) if protected_tiers(p, f)), None)
    if f is None:
        return None
    rows = []
    for row in slices_of(p, plan.vectors, f):
        due = [share for tier, share, seconds in p.promised[f] if tier == row.tier and seconds <= row.seconds]
        rows.append(AskedSlice(**vars(row), asked_fraction=max(due, default=None)))
    lines = (
        f"when {short_failure(f)} is lost, the first of FAILURES; {ORDERED}; a share holds until the next one",
        *_seconds_lines(rows),
        *hour_text(p),
    )
    columns = (
        *share_columns(),
        Column("asked", lambda row: None if row.asked_fraction is None else percent(row.asked_fraction)),
    )
    return Section("RECOVERY FROM THE WORST FAILURE", lines, columns, rows, most=None, part="picture", when_all=True)


def _seconds_lines(rows: Sequence[Slice]) -> list[str]:
    """What happens at the seconds of slices that is not plain from their shares."""
    lines = [EVICTED] if any(row.event == MOVED for row in rows) else []
    is_just_after = any(row.seconds % 1 and row.event == "deadline" for row in rows)
    return [*lines, JUST_AFTER] if is_just_after else lines


def share_columns() -> tuple[Column, ...]:
    """What a slice says, but of which failure it is."""
    return (
        Column("at", _at),
        Column("tier"),
        Column("served", lambda row: percent(row.served_fraction)),
        Column("warm", lambda row: _share(row.warm_fraction)),
        Column("reclaimed", lambda row: _share(row.reclaimed_fraction)),
        Column("cold starts", lambda row: _share(row.cold_start_fraction)),
        Column("launched", lambda row: _share(row.launched_fraction)),
    )


def recovery_section(plan: Plan) -> Section | None:
    """Each failure from its begin until it is repaired, the worst first: who is served, and by what."""
    p, by_failure = plan.problem, slices_by_failure(plan)
    rows = [row for f in worst_first(plan) for row in _changes(by_failure[f])]
    if not rows:
        return None
    lines = (
        "share of each tier's demand that is served, and by what: warm: replicas that ran all along; reclaimed: on "
        "machines back from others; cold starts: loaded since, on machines that were there; launched: loaded on "
        "machines obtained since; at 0 s nothing is moved yet (limits aside); a share holds until the next one; "
        "repaired: as in normal operation; without it, the last share stays",
        *_seconds_lines(rows),
        *(STAGES for _ in [f for f in p.failures.values() if f.outage is not None][:1]),
        *hour_text(p),
    )
    columns = (Column("when lost", lambda row: short_failure(row.failure)), *share_columns())
    every = [row for slices in by_failure.values() for row in slices]
    return Section("RECOVERY TIMELINE", lines, columns, rows, data=every)


def _changes(slices: list[Slice]) -> Iterator[Slice]:
    """The slices that say something else than the one before of the same tier."""
    last: dict[str, list[str]] = {}
    for row in slices:
        cells = [percent(row.served_fraction), *(_share(getattr(row, name)) for name in HOW)]
        if cells != last.get(row.tier) or row.event == REPAIRED:
            yield row
        last[row.tier] = cells


def _share(fraction: float) -> str:
    return percent(fraction) if fraction > LEAST_SHARE else ""


def _at(row: Slice) -> str:
    if row.event == REPAIRED:
        return Figure(f"repaired, {row.seconds / SECONDS_PER_HOUR:g} h", row.seconds, "s", note="repaired")
    return number(row.seconds, "g", " s", "s")
