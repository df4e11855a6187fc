"""Priced failures that differ in nothing but how often they happen: one, whose rates add up.

Two are one where the problem says the same of both: what remains of pools, placements and components with limits, what
can be covered, started and obtained, what counts, surges, deadlines, promises, and hours to repair. Decisions in the
states of one are then decisions in those of the other, at the same cost of an outage: the cheapest of one are the
cheapest of both. The mean and the tail count an outage by its rate, and rates at the same cost add up; the dearest is
the same. Failures that differ in where a partial loss falls stay: of those the dearest counts. So do stages of an
outage, whose costs add up.
"""

import math
from collections.abc import Hashable, Mapping
from dataclasses import replace

from planner.problem.arrays import full
from planner.problem.decisions import Decisions, names
from planner.problem.problem import Problem
from planner.problem.rules.costs import dearest_of, rank_outages
from planner.problem.rules.index_sets import as_vectors, by_id


def same_priced(p: Problem) -> dict[str, str]:
    """Priced failure -> the first that differs from it in nothing; those that are the first are left out."""
    several_places = {f for one in dearest_of(p).values() if len(one) > 1 for f in one}
    in_stages = {f for f, rate in p.priced.items() if rate.stage_of is not None}
    first: dict[Hashable, str] = {}
    same: dict[str, str] = {}
    for f in p.priced:
        if p.failures[f].targeted is None and f not in several_places | in_stages:
            one = first.setdefault(_all_that_is_said(p, f), f)
            if one != f:
                same[f] = one
    return same


def _all_that_is_said(p: Problem, f: str) -> Hashable:
    """What the problem says of a priced failure, but for its name and its rate."""
    failure = p.failures[f]
    by_key = (p.lost[f], p.coverable[f], p.counted[f], p.obtainable[f], failure.surges)
    return (
        *(frozenset(given.items()) for given in by_key),
        p.cannot_start[f],
        p.closed[f],
        failure.surge_factor,
        p.deadlines_seconds[f],
        frozenset(p.promised[f]),
        p.priced[f].hours_to_repair,
    )


def with_rates_added(p: Problem, same: Mapping[str, str]) -> Problem:
    """The problem without failures that are one with another, which happens as often as all of them."""
    if not same:
        return p
    rates: dict[str, list[float]] = {}
    for f, rate in p.priced.items():
        rates.setdefault(same.get(f, f), []).append(rate.occurrences)
    return replace(
        p,
        failures={f: failure for f, failure in p.failures.items() if f not in same},
        priced={f: replace(p.priced[f], occurrences=math.fsum(of_all)) for f, of_all in rates.items()},
    )


def with_each_failure(p: Problem, same: Mapping[str, str], x: Decisions) -> Decisions:
    """The decisions of a plan in which failures are one with another, for each failure: those of the other.

    Parameters
    ----------
    p : the problem with all failures
    """
    if not same:
        return x
    others: dict[str, list[str]] = {}
    for f, one in same.items():
        others.setdefault(one, []).append(f)
    for name in names("states"):
        values = getattr(x, name)
        for (*of, (h, f, c)), value in list(values.items()):
            values.update({(*of, (h, other, c)): value for other in others.get(f, ())})
    vectors = as_vectors(p, x)
    rank_outages(full(p), vectors)
    ranked = by_id(p, vectors)
    x.outage, x.tail = ranked.outage, ranked.tail
    return x
