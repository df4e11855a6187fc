"""Index sets: over what a decision is a vector, in which scopes, and where it may be other than zero.

The program has a column for each element that may, the audit knows no others.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from planner.problem.algebra import Array, Key
from planner.problem.arrays import Arrays, full
from planner.problem.decisions import ONCE, Decisions, Vectors, table
from planner.problem.problem import Problem, State, states
from planner.problem.rules.costs import outage_size_usd, tail_of_outages
from planner.problem.rules.formulas import group_sizes, is_normal, request_limit_sizes, targeted
from planner.study.dependencies import NORMAL

Scopes = Literal["once", "period", "hour", "state"]
Where = Callable[..., Array]
"""(arrays, what the scope is: nothing, period, hour or state, whether in a feasibility subproblem) -> mask"""


@dataclass(frozen=True)
class IndexSet:
    """Elements of a decision, and what is large in it.

    Parameters
    ----------
    of : arrays -> what the elements are of: the first part of their keys
    scopes : how often there is a vector of them
    where : which may be other than zero
    sizes : unit in which the solver sees a column
    """

    of: Callable[[Arrays], list[Key]]
    scopes: Scopes
    where: Where
    sizes: Callable[..., Array | float] = lambda a, *scope: 1.0

    def keys(self, a: Arrays, scope: Key, testing: bool = False) -> list[Key]:
        """Keys of the elements that may be other than zero in a scope."""
        where = np.flatnonzero(self.where(a, *scope, testing))
        of = self.of(a)
        return [(*of[i], *scope) for i in where.tolist()]


def scopes(p: Problem, index_set: IndexSet) -> list[Key]:
    """The scopes of an index set in a problem."""
    of: dict[str, list[Key]] = {
        "once": [ONCE],
        "period": [(t,) for t in p.periods],
        "hour": [(h,) for h in p.hours],
        "state": [(s,) for f in p.failures for s in states(p, f)],
    }
    return of[index_set.scopes]


def every_key(p: Problem, name: str) -> Iterator[Key]:
    """Keys for which a decision may be other than zero in a plan, of all scopes."""
    (over,) = (decision.over for decision in table() if decision.name == name)
    index_set = INDEX_SETS[over]
    for scope in scopes(p, index_set):
        yield from index_set.keys(full(p), scope)


def as_vectors(p: Problem, x: Decisions) -> Vectors:
    """Decisions by id as vectors over every edge and flow; what is of no element of an index set is left out."""
    a, vectors = full(p), Vectors()
    for decision in table():
        index_set, by_key = INDEX_SETS[decision.over], getattr(x, decision.name)
        of, vector = index_set.of(a), getattr(vectors, decision.name)
        at = {key: i for i, key in enumerate(of)}
        length = 0 if index_set.scopes == "once" else 1
        for scope in scopes(p, index_set):
            vector[scope] = np.zeros(len(of))
        for key, value in by_key.items():
            thing, scope = (key, ONCE) if not length else (key[:-1], key[-1:])
            if thing in at and scope in vector:
                vector[scope][at[thing]] = value
    return vectors


def by_id(p: Problem, x: Vectors, a: Arrays | None = None) -> Decisions:
    """Vectors of numbers over every edge and flow as decisions by id; zeros left out."""
    a, decisions = full(p) if a is None else a, Decisions()
    for decision in table():
        of, by_key = INDEX_SETS[decision.over].of(a), getattr(decisions, decision.name)
        for scope, vector in getattr(x, decision.name).items():
            for i in np.flatnonzero(vector).tolist():
                by_key[(*of[i], *scope)] = float(vector[i])
    return decisions


# ------------------------------------------------------------------ where a decision may be other than zero
def _always(of: Callable[[Arrays], list[Key]]) -> Where:
    return lambda a, *scope: np.ones(len(of(a)), dtype=bool)


def _reserves(a: Arrays, h: str, testing: bool) -> Array:
    return a.may_serve(NORMAL)


def _targeted_placements(a: Arrays, s: State, testing: bool) -> Array:
    """On which a partial loss falls; in tests it is known what remains of it."""
    return targeted(a, s[1]) & (not testing)


def _live_pools(a: Arrays, s: State, testing: bool) -> Array:
    return a.any_on_pool(_live(a, s, testing))


def _live(a: Arrays, s: State, testing: bool) -> Array:
    return np.ones(a.P, dtype=bool) if testing else a.live(s[1])


def _cold_starts(a: Arrays, s: State, testing: bool) -> Array:
    return np.ones(a.P, dtype=bool) if testing else a.live(s[1]) & a.can_load(s)


def _pools_that_obtain(a: Arrays, s: State, testing: bool) -> Array:
    """In which machines may have been obtained by now; in tests whenever that is."""
    if is_normal(s) or not a.may_obtain.any():
        return np.zeros(a.Q, dtype=bool)
    if testing:
        return a.may_obtain & a.any_on_pool(np.ones(a.P, dtype=bool))
    p, in_time = a.p, np.zeros(a.Q, dtype=bool)
    for b, (_, seconds) in p.obtainable[s[1]].items():
        if p.detection_seconds + seconds < s[2]:
            in_time[a.pool_at[p.pool_of[b]]] = True
    return in_time & a.live_pools(s[1]) & ~pools_that_just_run_on(a, s[1])


def pools_that_just_run_on(a: Arrays, f: str) -> Array:
    """Pools of which a failure takes nothing in part, and in which nothing can be cold-started before it ends [Q].

    Nothing is evicted there, as nothing could use the headroom: what survives is what runs, and it stands where it
    stood.
    """
    return a.once(("just run on", f), lambda: _just_run_on(a, f))


def _just_run_on(a: Arrays, f: str) -> Array:
    h = a.p.hours[0]
    able = np.zeros(a.P, dtype=bool)
    for c in a.p.deadlines_seconds[f]:
        able |= a.live(f) & a.can_load((h, f, c))
    part, of_pool = a.available(f), a.available_pools(f)
    in_part = (part > 0) & (part < 1)
    return ~a.any_on_pool(able | in_part) & ~((of_pool > 0) & (of_pool < 1))


def _limits_drawn(a: Arrays, s: State, testing: bool) -> Array:
    obtains = _pools_that_obtain(a, s, testing).any()
    return np.full(len(a.limits_drawn), obtains)


def _open(a: Arrays, s: State, testing: bool) -> Array:
    return np.ones(len(a.alternatives), dtype=bool) if testing else a.open(s[1])


def _sizes(a: Arrays, s: State) -> Array:
    return a.sizes(s[0])


INDEX_SETS: dict[str, IndexSet] = {
    "starts": IndexSet(lambda a: a.offers, "period", lambda a, t, testing: a.may_start(t)),
    "rents": IndexSet(lambda a: a.offers, "hour", lambda a, h, testing: a.may_rent(h)),
    "spend years": IndexSet(
        lambda a: a.spend_years,
        "once",
        _always(lambda a: a.spend_years),
        lambda a: np.array([k.usd or 1.0 for k in a.p.spend_years]),
    ),
    "placements": IndexSet(lambda a: a.placements, "hour", _always(lambda a: a.placements)),
    "spot placements": IndexSet(lambda a: a.placements, "hour", lambda a, h, testing: a.with_spot[a.pool_of_placement]),
    "placements on offers": IndexSet(
        lambda a: a.placements_on_offers, "hour", _always(lambda a: a.placements_on_offers)
    ),
    "pools that may be unused": IndexSet(lambda a: a.pools, "hour", lambda a, h, testing: a.maybe_unused),
    "priced failures": IndexSet(
        lambda a: a.priced, "once", _always(lambda a: a.priced), lambda a: outage_size_usd(a.p)
    ),
    "tail of outages": IndexSet(
        lambda a: list(tail_of_outages(a.p)),
        "once",
        lambda a, testing: np.ones(len(tail_of_outages(a.p)), dtype=bool),
        lambda a: outage_size_usd(a.p),
    ),
    "reserves": IndexSet(lambda a: a.edges, "hour", _reserves, lambda a, h: a.sizes(h)[a.flow_of_edge]),
    "flows": IndexSet(lambda a: a.flows, "state", _always(lambda a: a.flows), _sizes),
    "flows in tests": IndexSet(lambda a: a.flows, "state", lambda a, s, testing: np.full(a.F, testing), _sizes),
    "live edges": IndexSet(
        lambda a: a.edges,
        "state",
        lambda a, s, testing: np.ones(a.E, dtype=bool) if testing else a.may_serve(s[1]),
        lambda a, s: a.sizes(s[0])[a.flow_of_edge],
    ),
    "components with limits": IndexSet(
        lambda a: a.components, "state", _always(lambda a: a.components), lambda a, s: request_limit_sizes(a)
    ),
    "open alternatives": IndexSet(
        lambda a: a.alternatives,
        "state",
        _open,
        lambda a, s: group_sizes(a)[a.group_of_alternative],
    ),
    "targeted placements": IndexSet(lambda a: a.placements, "state", _targeted_placements),
    "live placements": IndexSet(lambda a: a.placements, "state", _live),
    "cold starts": IndexSet(lambda a: a.placements, "state", _cold_starts),
    "live pools": IndexSet(lambda a: a.pools, "state", _live_pools),
    "pools that obtain": IndexSet(lambda a: a.pools, "state", _pools_that_obtain),
    "limits drawn upon": IndexSet(lambda a: a.limits_drawn, "state", _limits_drawn),
}
