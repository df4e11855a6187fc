"""Index sets: for which keys a decision may be other than zero, by the name that its row in the table has.

The program has a column for each key, the audit knows no others.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from planner.problem.algebra import Key
from planner.problem.problem import Problem, State, flow_size, states
from planner.problem.rules.costs import dearest_of, outage_size_usd
from planner.problem.rules.formulas import (
    alternatives_size,
    available,
    can_load,
    drawn_upon,
    is_normal,
    live_edges,
    live_placements,
    request_limit_size,
)

Once = Callable[[Problem], Iterable[Key]]
InState = Callable[[Problem, State, bool], Iterable[Key]]
"""(problem, state, whether in a feasibility subproblem)"""


@dataclass(frozen=True)
class IndexSet:
    """Keys of a decision, and what is large in it.

    Parameters
    ----------
    keys : of decisions that are chosen once: of the problem; of states: of problem, state and whether it is a test
    thing : so many parts of a key name the thing whose columns, of all its decisions, stand together; 0: none does
    size : unit in which the solver sees a column
    """

    keys: Callable[..., Iterable[Key]]
    thing: int = 0
    size: Callable[[Problem, Key], float] = lambda p, key: 1.0


def vintage_starts(p: Problem) -> Iterator[Key]:
    """(b, t) in which a unit of an offer that is not hourly, or a module of a build-out, can start."""
    for b in (*(b for b in p.offers if b not in p.hourly), *p.build_outs):
        yield from ((b, t) for t in p.periods if p.may_start(b, t))


def rents(p: Problem) -> Iterator[Key]:
    """(b, h) in which an hourly offer can be rented."""
    for b in p.offers:
        if b in p.hourly:
            yield from ((b, h) for h in p.hours if p.may_start(b, p.period_of[h]))


def tail_of_outages(p: Problem) -> Iterator[Key]:
    """("above", g), ("of", g) of failures that are one; ("worst",), ("threshold",)."""
    for g, one in dearest_of(p).items():
        yield "above", g
        if len(one) > 1:
            yield "of", g
    if p.priced:
        yield ("worst",)
        yield ("threshold",)


def reserves(p: Problem) -> Iterator[Key]:
    """(w, o, e, h) over which gateways may send."""
    for w, o in p.flows:
        for e in p.edges[w, o]:
            yield from ((w, o, e, h) for h in p.hours)


def edges_alive(p: Problem, s: State, testing: bool) -> Iterator[Key]:
    """(w, o, e, s) over which requests may go in a state."""
    for w, o in p.flows:
        yield from ((w, o, e, s) for e in live_edges(p, w, o, s[1]))


def open_alternatives(p: Problem, s: State, testing: bool) -> Iterator[Key]:
    """(alternative, s) of alternatives that are not closed."""
    for alternatives in p.request_limits.alternatives:
        yield from ((a, s) for a in alternatives.ids if a not in p.closed[s[1]])


def targeted_placements(p: Problem, s: State, testing: bool) -> Iterator[Key]:
    """(e, s) on which a partial loss falls; in tests it is known what is left of it."""
    targeted = p.failures[s[1]].targeted
    if targeted is not None and not testing:
        yield targeted, s


def live_pools(p: Problem, s: State, testing: bool) -> list[Key]:
    """(q, s) of pools with a placement that is not dead."""
    return [(q, s) for q in sorted({p.pool_of[e] for e in live_placements(p, s[1])})]


def pools_that_obtain(p: Problem, s: State, testing: bool) -> Iterator[Key]:
    """(q, s) of pools in which machines may have been obtained by now; in tests whenever that is."""
    just_warm = pools_that_just_run_on(p, s[1]) if p.may_obtain and not testing and not is_normal(s) else set()
    for q, _ in live_pools(p, s, testing):
        if q in p.may_obtain - just_warm:
            seconds = [seconds for b, (_, seconds) in p.obtainable[s[1]].items() if b in p.offers_of[q]]
            if testing or any(p.detection_seconds + each < s[2] for each in seconds):
                yield q, s


def pools_that_just_run_on(p: Problem, f: str) -> set[str]:
    """Pools of which a failure takes nothing in part, and in which nothing can be cold-started before it ends.

    Nothing is evicted there, as nothing could use the headroom: what survives is what runs, and it stands where it
    stood.
    """
    able = {p.pool_of[e] for s in states(p, f) for e in live_placements(p, f) if can_load(p, e, s)}
    lost_in_part = {p.pool_of[e] for e in p.placements if 0 < available(p, e, f) < 1}
    lost_in_part |= {q for q in p.pools if 0 < available(p, q, f) < 1}
    return set(p.pools) - able - lost_in_part


def limits_drawn_upon(p: Problem, s: State, testing: bool) -> list[Key]:
    """(limit, s) of which machines that are obtained take a part, where any may be."""
    obtains = any(True for _ in pools_that_obtain(p, s, testing))
    return [(n, s) for n in drawn_upon(p)] if obtains else []


def _size_of_flow(p: Problem, key: Key) -> float:
    s = key[-1]
    return flow_size(p, key[0], key[1], s if isinstance(s, str) else s[0])


def _size_of_alternative(p: Problem, key: Key) -> float:
    return alternatives_size(p, next(several for several in p.request_limits.alternatives if key[0] in several.ids))


def _size_of_outages(p: Problem, key: Key) -> float:
    return outage_size_usd(p)


def _size_of_commitment(p: Problem, key: Key) -> float:
    return next(k.usd for k in p.spend_years if (k.name, k.year) == key) or 1.0


def _each(of: Callable[[Problem], Iterable[Any]]) -> Once:
    """Keys (thing, h) of all hours."""
    return lambda p: ((thing, h) for thing in of(p) for h in p.hours)


INDEX_SETS: dict[str, IndexSet] = {
    "starts": IndexSet(vintage_starts),
    "rents": IndexSet(rents),
    "spend years": IndexSet(lambda p: ((k.name, k.year) for k in p.spend_years), 0, _size_of_commitment),
    "placements": IndexSet(_each(lambda p: p.placements)),
    "spot placements": IndexSet(_each(lambda p: (e for q in sorted(p.with_spot) for e in p.on_pool[q]))),
    "pools that may be unused": IndexSet(_each(lambda p: sorted(p.maybe_unused))),
    "priced failures": IndexSet(lambda p: ((f,) for f in p.priced), 0, _size_of_outages),
    "tail of outages": IndexSet(tail_of_outages, 0, _size_of_outages),
    "reserves": IndexSet(reserves, 0, _size_of_flow),
    "flows": IndexSet(lambda p, s, testing: ((w, o, s) for w, o in p.flows), 2, _size_of_flow),
    "flows in tests": IndexSet(lambda p, s, testing: ((w, o, s) for w, o in p.flows if testing), 2, _size_of_flow),
    "live edges": IndexSet(edges_alive, 2, _size_of_flow),
    "components with limits": IndexSet(
        lambda p, s, testing: ((c, s) for c in p.request_limits.components),
        0,
        lambda p, key: request_limit_size(p, key[0]),
    ),
    "open alternatives": IndexSet(open_alternatives, 0, _size_of_alternative),
    "targeted placements": IndexSet(targeted_placements),
    "live placements": IndexSet(lambda p, s, testing: ((e, s) for e in live_placements(p, s[1])), 1),
    "cold starts": IndexSet(lambda p, s, testing: ((e, s) for e in live_placements(p, s[1]) if can_load(p, e, s)), 1),
    "live pools": IndexSet(live_pools, 1),
    "pools that obtain": IndexSet(pools_that_obtain, 1),
    "limits drawn upon": IndexSet(limits_drawn_upon),
}
