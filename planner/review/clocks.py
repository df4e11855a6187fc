"""Who is served when: in each failure from its begin until it is repaired, by what serves."""

from collections.abc import Iterator
from typing import Any

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
from planner.review.report import MOST_ROWS, Section, percent, short_failure
from planner.study.dependencies import NORMAL
from planner.units import SECONDS_PER_HOUR

HOT, RECLAIMED, LOADED, STARTED = WAYS = ("hot", "reclaimed", "loaded", "started")
Split = dict[str, float]
"""hot, reclaimed, loaded, started -> replicas, or requests/s"""


def split_of(p: Problem, x: Decisions, e: str, s: State) -> Split:
    """The share of a placement's running replicas by how they come to run (0 to 1).

    Machines of a pool are taken in this order: there all along, back from others, obtained; by what was kept, then by
    what was loaded: of a pool all placements alike.
    """
    q, runs = p.pool_of[e], float(running(x, e, s))
    if runs <= 0:
        return dict.fromkeys(WAYS, 0.0)
    keeps = sum(p.machines_per_replica[k] * float(x.kept[k, s]) for k in p.on_pool[q])
    loads = sum(p.machines_per_replica[k] * float(x.cold_started[k, s]) for k in p.on_pool[q])
    back = float(machines_in_service(p, x, q, s))
    lent = machines_claimed(p, q, (s[0], NORMAL, 0.0)) - machines_claimed(p, q, s)
    own = max(0.0, back - available(p, q, s[1]) * p.usable_fraction[q] * lent)
    hot = min(keeps, own) / keeps if keeps else 0.0
    there = min(loads, max(0.0, own - keeps))
    returned = min(loads - there, max(0.0, back - max(own, keeps)))
    kept, cold_started = float(x.kept[e, s]) / runs, float(x.cold_started[e, s]) / runs
    return {
        HOT: kept * hot,
        RECLAIMED: kept * (1 - hot) + cold_started * (returned / loads if loads else 0.0),
        LOADED: cold_started * (there / loads if loads else 0.0),
        STARTED: cold_started * ((loads - there - returned) / loads if loads else 0.0),
    }


def at_once(p: Problem, x: Decisions, f: str, h: str) -> dict[tuple[str, str, str], float]:
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
    whole, runs = available(p, e, s[1]), float(x.replicas[e, s[0]])
    if not any(b in p.counted[s[1]] for b in p.offers_of[p.pool_of[e]]) or runs <= 0:
        return whole
    return min(whole, whole_survivors(p, x, e, s) / runs)


def moments(p: Problem, x: Decisions, f: str, h: str) -> Iterator[tuple[float, str, dict[str, Split]]]:
    """(seconds, what that is, tier -> share of its demand that is served, by what serves it), from the begin on."""
    usual = (h, NORMAL, 0.0)
    yield 0.0, "begin", _shares(p, at_once(p, x, f, h), (h, f, 0.0), {e: {HOT: 1.0} for e in p.placements})
    for s in (s for s in states(p, f) if s[0] == h):
        how = {e: split_of(p, x, e, s) for e in p.placements}
        yield s[2], "clock", _shares(p, _traffic(p, x, s), s, how)
    if (repair := p.failures[f].hours_to_repair) is not None:
        how = {e: {HOT: 1.0} for e in p.placements}
        yield repair * SECONDS_PER_HOUR, "repaired", _shares(p, _traffic(p, x, usual), usual, how)


def _traffic(p: Problem, x: Decisions, s: State) -> dict[tuple[str, str, str], float]:
    keys = ((w, o, e) for w, o in p.flows for e in p.placements)
    return {key: float(x.traffic[*key, s]) for key in keys if (*key, s) in x.traffic}


def _shares(p: Problem, sent: dict[tuple[str, str, str], float], s: State, how: dict[str, Split]) -> dict[str, Split]:
    """Tier -> share of its demand by what serves it."""
    wanted: dict[str, float] = {}
    for w, o in p.flows:
        wanted[p.tier_of[w]] = wanted.get(p.tier_of[w], 0.0) + requests_per_second(p, w, o, s)
    found = {tier: dict.fromkeys(WAYS, 0.0) for tier in wanted}
    for (w, _, e), value in sent.items():
        tier = p.tier_of[w]
        for way, part in how[e].items():
            found[tier][way] += part * value / wanted[tier] if wanted[tier] else 0.0
    return found


def clocks_section(p: Problem, x: Decisions, all_rows: bool) -> tuple[Section, ...]:
    """Each failure from its begin until it is repaired: who is served, and by what."""
    h = fullest_hour(p)
    data: list[dict[str, Any]] = []
    told: list[tuple[float, list[tuple[Any, ...]]]] = []
    for f in p.failures:
        if f == NORMAL:
            continue
        rows, last = list[tuple[Any, ...]](), dict[str, tuple[str, ...]]()
        for seconds, what, by_tier in moments(p, x, f, h):
            for tier, split in by_tier.items():
                served = sum(split.values())
                data.append(
                    {
                        "failure": f,
                        "seconds": seconds,
                        "moment": what,
                        "tier": tier,
                        "served_fraction": served,
                        **{f"{way}_fraction": split[way] for way in WAYS},
                    }
                )
                cells = (percent(served), *(percent(split[way]) if split[way] > 5e-3 else "" for way in WAYS))
                if cells != last.get(tier) or what == "repaired":
                    at = f"{seconds:g} s" if what != "repaired" else f"repaired, {seconds / SECONDS_PER_HOUR:g} h"
                    rows.append((short_failure(f), at, tier, *cells))
                last[tier] = cells
        told.append((min(d["served_fraction"] for d in data if d["failure"] == f), rows))
    told.sort(key=lambda one: (one[0], one[1][0][0]))
    every = [row for _, rows in told for row in rows]
    shown = every if all_rows else every[:MOST_ROWS]
    lines = (
        "share of each tier's demand that is served, and by what: replicas that ran all along, on machines back from "
        "others, loaded, loaded on machines obtained since; at 0 s nothing is moved yet (limits aside); a "
        "share holds until the next one; repaired: as in normal operation; without it, the last share stays",
        *((f"in {h}, the hour of most requests, of {len(p.hours)}",) if len(p.hours) > 1 else ()),
    )
    columns = ("when lost", "at", "tier", "served", *WAYS)
    return (Section("CLOCKS", lines, columns, tuple(shown), len(every) - len(shown), data=data),) if every else ()
