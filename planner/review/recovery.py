"""Who is served when: in each failure from its begin until it is repaired, by what serves."""

from collections.abc import Iterator
from dataclasses import dataclass

from planner.plan.in_hand import Plan
from planner.problem.decisions import Decisions
from planner.problem.problem import Problem, State, fullest_hour, states
from planner.problem.rules.formulas import (
    available,
    further_surge,
    machines_claimed,
    machines_in_service,
    requests_per_second,
    running,
)
from planner.problem.rules.gateway_limits import whole_survivors
from planner.review.failures import hour_text
from planner.review.report import Column, Section, percent, short_failure
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
REPAIRED = "repaired"
Split = dict[str, float]
"""One of HOW -> share of replicas, or of demand"""
Sent = dict[tuple[str, str, str], float]
"""(workload, origin, placement) -> requests/s"""


@dataclass(frozen=True)
class Slice:
    """What a tier is served in a failure from some second on, as shares of its demand.

    Parameters
    ----------
    event : what happens then: begin, deadline, repaired
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


def split_of(p: Problem, x: Decisions, e: str, s: State) -> Split:
    """The share of a placement's running replicas by how they come to run (0 to 1).

    Machines of a pool are taken in this order: there all along, back from others, obtained; by what was kept, then by
    what was loaded: of a pool all placements by the same shares.
    """
    q, runs = p.pool_of[e], float(running(x, e, s))
    if runs <= 0:
        return dict.fromkeys(HOW, 0.0)
    keeps = sum(p.machines_per_replica[k] * float(x.kept[k, s]) for k in p.on_pool[q])
    loads = sum(p.machines_per_replica[k] * float(x.cold_started[k, s]) for k in p.on_pool[q])
    back = float(machines_in_service(p, x, q, s))
    lent = machines_claimed(p, q, (s[0], NORMAL, 0.0)) - machines_claimed(p, q, s)
    own = max(0.0, back - available(p, q, s[1]) * p.usable_fraction[q] * lent)
    ran_all_along = min(keeps, own) / keeps if keeps else 0.0
    on_own = min(loads, max(0.0, own - keeps))
    on_returned = min(loads - on_own, max(0.0, back - max(own, keeps)))
    kept, cold_started = float(x.kept[e, s]) / runs, float(x.cold_started[e, s]) / runs
    per_load = cold_started / loads if loads else 0.0
    return {
        WARM: kept * ran_all_along,
        RECLAIMED: kept * (1 - ran_all_along) + per_load * on_returned,
        COLD_START: per_load * on_own,
        LAUNCHED: per_load * (loads - on_own - on_returned),
    }


def at_once(p: Problem, x: Decisions, f: str, h: str) -> Sent:
    """(w, o, e) -> requests/s that are served before anything is moved: what normal operation sends to the living.

    Where an offer counts less than whole, what does not go on is gone at once. Limits of gateways, and of how far
    replicas may be filled, are left aside for these seconds.
    """
    sent, alive = {}, {e: _alive(p, x, e, (h, f, 0.0)) for e in p.placements}
    for w, o in p.flows:
        surge = p.failures[f].surge_factor * further_surge(p, w, o, f) * p.coverable[f].get((w, o), 1.0)
        for e in p.edges[w, o]:
            if (value := surge * alive[e] * float(x.traffic[w, o, e, (h, NORMAL, 0.0)])) > 0:
                sent[w, o, e] = value
    return sent


def _alive(p: Problem, x: Decisions, e: str, s: State) -> float:
    """Share of a placement that lives on (0 to 1)."""
    share, runs = available(p, e, s[1]), float(x.replicas[e, s[0]])
    if not any(b in p.counted[s[1]] for b in p.offers_of[p.pool_of[e]]) or runs <= 0:
        return share
    return min(share, whole_survivors(p, x, e, s) / runs)


def slices_of(p: Problem, x: Decisions, f: str) -> Iterator[Slice]:
    """A failure from its begin to its repair, tier by tier, in the hour of most requests."""
    h = fullest_hour(p)
    usual, all_warm = (h, NORMAL, 0.0), {e: {WARM: 1.0} for e in p.placements}
    yield from _slices(p, at_once(p, x, f, h), (h, f, 0.0), all_warm, f, 0.0, "begin")
    for s in states(p, f):
        if s[0] == h:
            how = {e: split_of(p, x, e, s) for e in p.placements}
            yield from _slices(p, _traffic(p, x, s), s, how, f, s[2], "deadline")
    if (repair := p.failures[f].hours_to_repair) is not None:
        yield from _slices(p, _traffic(p, x, usual), usual, all_warm, f, repair * SECONDS_PER_HOUR, REPAIRED)


def _traffic(p: Problem, x: Decisions, s: State) -> Sent:
    keys = ((w, o, e) for w, o in p.flows for e in p.placements)
    return {key: float(x.traffic[*key, s]) for key in keys if (*key, s) in x.traffic}


def _slices(
    p: Problem, sent: Sent, s: State, how: dict[str, Split], f: str, seconds: float, event: str
) -> Iterator[Slice]:
    """One slice a tier: of its demand in a state, the shares by what serves them."""
    wanted: dict[str, float] = {}
    for w, o in p.flows:
        wanted[p.tier_of[w]] = wanted.get(p.tier_of[w], 0.0) + requests_per_second(p, w, o, s)
    shares = {tier: dict.fromkeys(HOW, 0.0) for tier in wanted}
    for (w, _, e), value in sent.items():
        tier = p.tier_of[w]
        for name, part in how[e].items():
            shares[tier][name] += part * value / wanted[tier] if wanted[tier] else 0.0
    for tier, split in shares.items():
        yield Slice(f, seconds, event, tier, sum(split.values()), **split)


def recovery_section(plan: Plan) -> Section | None:
    """Each failure from its begin until it is repaired, the worst first: who is served, and by what."""
    p = plan.problem
    by_failure = {f: list(slices_of(p, plan.decisions, f)) for f in p.failures if f != NORMAL}

    def worst_first(f: str) -> tuple[float, str]:
        return min((row.served_fraction for row in by_failure[f]), default=1.0), short_failure(f)

    rows = [row for f in sorted(by_failure, key=worst_first) for row in _changes(by_failure[f])]
    if not rows:
        return None
    lines = (
        "share of each tier's demand that is served, and by what: warm: replicas that ran all along; reclaimed: on "
        "machines back from others; cold starts: loaded since, on machines that were there; launched: loaded on "
        "machines obtained since; at 0 s nothing is moved yet (limits aside); a share holds until the next one; "
        "repaired: as in normal operation; without it, the last share stays",
        *hour_text(p),
    )
    columns = (
        Column("when lost", lambda row: short_failure(row.failure)),
        Column("at", _at),
        Column("tier"),
        Column("served", lambda row: percent(row.served_fraction)),
        Column("warm", lambda row: _share(row.warm_fraction)),
        Column("reclaimed", lambda row: _share(row.reclaimed_fraction)),
        Column("cold starts", lambda row: _share(row.cold_start_fraction)),
        Column("launched", lambda row: _share(row.launched_fraction)),
    )
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
    return f"repaired, {row.seconds / SECONDS_PER_HOUR:g} h" if row.event == REPAIRED else f"{row.seconds:g} s"
