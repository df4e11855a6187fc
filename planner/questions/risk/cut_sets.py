"""Minimal cut sets of order 1 and 2: the smallest sets of components whose loss breaks something.

Method: enumeration. Every set of at most two events is lost at once, in arrays with one bit for each set: broken, or
not. From the leaves up a component is broken by what breaks itself, or enough of what it needs. What is broken by no
smaller set is minimal.

Shares are settled by threshold: "at most x remains" is a fault tree of its own for each x, because minimum, maximum and
k-th largest all keep thresholds.

Source: Fault Tree Handbook, NUREG-0492 (1981), for the words and the bound on probability.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, reduce
from graphlib import TopologicalSorter
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from planner.study.dependencies import Failure, Graph, leaves, stages_of
from planner.study.records.study import Goal, Needs, Study, kind_and_name
from planner.units import ROUNDING, SECONDS_PER_HOUR

Flow = tuple[str, str]
"""(workload, origin)"""
Members = tuple[str, ...]
"""Components that are lost together, in alphabetical order."""
MOST_ORDER = 2
"""Sets of more members are not searched for."""
Bits: TypeAlias = npt.NDArray[np.uint8]
"""Whether something is broken, for each set of `LostSets`, eight sets in a byte."""
NOT_EVENTS = ("workload", "origin", "placement")
"""Kinds that break through what they need, and are no cause of their own."""
STACKED = ("qualification", "stack", "stack_version")


@dataclass(frozen=True)
class Cuts:
    """Minimal cut sets of one thing, up to order 2.

    Parameters
    ----------
    always : it is broken with nothing lost; there are no singles and no pairs then
    singles : events that break it alone
    pairs : pairs of events that break it together, each in alphabetical order; none holds a single
    """

    always: bool = False
    singles: frozenset[str] = frozenset()
    pairs: frozenset[tuple[str, str]] = frozenset()

    def __bool__(self) -> bool:
        """Whether there is any set."""
        return self.always or bool(self.singles) or bool(self.pairs)

    def sets(self) -> list[Members]:
        """Every set as a sorted tuple, singles first; the empty one when it is always broken."""
        return [()] * self.always + [(e,) for e in sorted(self.singles)] + sorted(self.pairs)


Levels = tuple[tuple[float, Cuts], ...]
"""Of a flow: (at least this fraction of it is broken, by these sets), largest fraction first."""


def union(parts: Collection[Cuts]) -> Cuts:
    """Cut sets of what breaks as soon as one of the parts does: without those that hold a smaller one.

    Examples
    --------
    >>> union([Cuts(singles=frozenset("a")), Cuts(pairs=frozenset({("a", "b"), ("b", "c")}))]).sets()
    [('a',), ('b', 'c')]
    """
    if any(part.always for part in parts):
        return Cuts(always=True)
    singles = frozenset().union(*(part.singles for part in parts))
    pairs = frozenset().union(*(part.pairs for part in parts))
    return Cuts(singles=singles, pairs=frozenset(pair for pair in pairs if singles.isdisjoint(pair)))


class LostSets:
    """Every set of at most two events: none of them, each alone, each pair; one bit for each in `Bits`."""

    def __init__(self, events: Iterable[str]) -> None:
        self.events = np.array(sorted(events), dtype=object)
        self.first, self.second = np.triu_indices(len(self.events), k=1)
        self.place = {event: n for n, event in enumerate(self.events)}
        self.every: Bits = np.packbits(np.ones(1 + len(self.events) + len(self.first), dtype=bool))

    def holding(self, events: Collection[str]) -> Bits:
        """The sets in which one of some events is lost."""
        if not events:
            return np.zeros_like(self.every)
        lost = np.zeros(len(self.events), dtype=bool)
        lost[[self.place[event] for event in events]] = True
        return np.packbits(np.concatenate([[False], lost, lost[self.first] | lost[self.second]]))

    def singles(self, broken: Bits) -> frozenset[str]:
        """Events that break it alone."""
        alone = np.unpackbits(broken, count=1 + len(self.events))[1:]
        return frozenset(self.events[alone > 0])

    def minimal(self, broken: Bits) -> Cuts:
        """The sets that break it and hold no smaller one that does."""
        n = len(self.events)
        bits = np.unpackbits(broken, count=1 + n + len(self.first)) > 0
        if bits[0]:
            return Cuts(always=True)
        alone = bits[1 : n + 1]
        pairs = bits[n + 1 :] & ~alone[self.first] & ~alone[self.second]
        a, b = self.events[self.first[pairs]], self.events[self.second[pairs]]
        return Cuts(singles=frozenset(self.events[alone]), pairs=frozenset(zip(a, b, strict=True)))

    def all_of(self, parts: Iterable[Bits]) -> Bits:
        """The sets that break every part; of no part all of them."""
        return reduce(np.bitwise_and, parts, self.every)


def broken_needs(part: str | Needs, broken: Mapping[str, Bits]) -> Bits:
    """The sets that break a need, given those that break the components that it names.

    `all_of` breaks with any part, `any_of` when all do, `at_least k` of n when n − k + 1 do.
    """
    if isinstance(part, str):
        return broken[part]
    parts = [broken_needs(inner, broken) for inner in part.all_of or part.any_of or part.of or ()]
    if part.all_of is not None:
        return reduce(np.bitwise_or, parts)
    if part.any_of is not None:
        return reduce(np.bitwise_and, parts)
    assert part.at_least is not None
    number = np.unpackbits(np.stack(parts), axis=1).sum(axis=0)
    return np.packbits(number > len(parts) - part.at_least)


def broken_components(
    sets: LostSets,
    needs: Mapping[str, Sequence[Needs]],
    events: Mapping[str, Mapping[str, float]],
    most_remaining: float = 0.0,
    within: Mapping[str, str] = MappingProxyType({}),
    gone: Mapping[str, Bits] | None = None,
) -> dict[str, Bits]:
    """Of every component the sets after which at most this fraction of it remains.

    Parameters
    ----------
    needs : component -> what it needs, all of which must hold; every component that is named is a key
    events : event -> component -> share that is lost; a component that fails by itself is an event of its own name
    most_remaining : fraction; 0: wholly lost
    within : component -> what it stands in, and is lost with when all of that is
    gone : of every component the sets that take all of it; none: what is asked for

    Examples
    --------
    >>> needs = {"site:s": [], "power:a": [], "power:b": []}
    >>> needs["site:s"] = [Needs(any_of=("power:a", "power:b"))]
    >>> sets = LostSets(needs)
    >>> sets.minimal(broken_components(sets, needs, {name: {name: 1.0} for name in needs})["site:s"]).sets()
    [('site:s',), ('power:a', 'power:b')]
    """
    own: dict[str, set[str]] = defaultdict(set)
    for event, lost in events.items():
        for component, share in lost.items():
            if 1.0 - share <= most_remaining + ROUNDING:
                own[component].add(event)
    below = {c: {leaf for part in parts for leaf in leaves(part)} for c, parts in needs.items()}
    for c, place in within.items():
        below[c] = {*below[c], place}
    broken: dict[str, Bits] = {}
    for c in TopologicalSorter(below).static_order():
        rows = [sets.holding(own[c]), *(broken_needs(part, broken) for part in needs[c])]
        if c in within:
            rows.append((broken if gone is None else gone)[within[c]])
        broken[c] = reduce(np.bitwise_or, rows)
    return broken


class FaultTrees:
    """What breaks the components and flows of a study, at every threshold that matters; each when first asked for.

    Parameters
    ----------
    graph : its dependency graph
    """

    def __init__(self, study: Study, graph: Graph) -> None:
        needs: dict[str, Sequence[Needs]] = {c: graph.nodes[c]["needs"] for c in graph}
        within = {c: place for c, place in graph.nodes(data="within") if place is not None}
        self.events = {c: {c: 1.0} for c in sorted(needs) if kind_and_name(c)[0] not in NOT_EVENTS}
        self.events |= {stage.id: dict(stage.lost) for stage, _ in stages_with_a_rate(study, graph)}
        self.sets = LostSets(self.events)
        self.at: Callable[[float], dict[str, Bits]] = cache(
            lambda remaining: broken_components(
                self.sets, needs, self.events, remaining, within, self.at(0.0) if remaining > 0 else None
            )
        )
        self.singles_of: Callable[[str], frozenset[str]] = cache(lambda c: self.sets.singles(self.at(0.0)[c]))
        self.all_dead: Callable[[frozenset[str]], Bits] = cache(
            lambda edges: self.sets.all_of(self.at(0.0)[f"placement:{e}"] for e in edges)
        )
        self.logins = {c: [login for login in graph.nodes[c]["logins"] if login[1] < 1.0] for c in needs}
        self.stacks_of: dict[str, set[str]] = defaultdict(set)
        for c in graph:
            below = {kind: [n for n in graph.successors(c) if kind_and_name(n)[0] == kind] for kind in STACKED}
            for qualified in below["qualification"]:
                self.stacks_of[qualified] |= {*below["stack"], *below["stack_version"]}
        shares = {share for lost in self.events.values() for share in lost.values()}
        self.remaining = sorted({0.0} | {round(1.0 - share, 9) for share in shares if 0 < share < 1})

    def killing(self, e: str) -> frozenset[str]:
        """Events that leave nothing of a placement."""
        return self.singles_of(f"placement:{e}")

    def takers(self, event: str) -> frozenset[str]:
        """Events whose loss takes this component with them; a stack takes what is qualified on it."""
        above = {event, *self.stacks_of.get(event, ())} & self.at(0.0).keys()
        return frozenset().union(*map(self.singles_of, above)) - {event}

    def levels(self, flow: Flow, edges: Iterable[str]) -> Levels:
        """Sets that break a flow, by the fraction of it that they break at least.

        Formula
            remaining = min(what it needs, 1 if any placement is alive else 0); a need of new logins counts as
            g + (1 − g) · remaining of what is needed, g = sessions_go_on_fraction
        """
        dead = self.all_dead(frozenset(edges))
        own = (f"workload:{flow[0]}", f"origin:{flow[1]}")
        logins = [login for component in own for login in self.logins[component]]
        with_logins = {round(g + (1 - g) * remaining, 9) for _, g in logins for remaining in self.remaining}
        levels: list[tuple[float, Cuts]] = []
        for remaining in sorted({*self.remaining, *with_logins}):
            rows = [dead, *(self.at(remaining)[component] for component in own)]
            for needs, g in logins:
                if remaining > g - ROUNDING:
                    needed = round(max(0.0, remaining - g) / (1 - g), 9)
                    rows.append(broken_needs(needs, self.at(needed)))
            cuts = self.sets.minimal(reduce(np.bitwise_or, rows))
            if cuts and not (levels and levels[-1][1] == cuts):
                levels.append((1.0 - remaining, cuts))
        return tuple(levels)


def stages_with_a_rate(study: Study, graph: Graph) -> list[tuple[Failure, float]]:
    """Failures with a rate, in the stages in which parts of them work again, and how long each of these lasts [h].

    What they lose has what is in maintenance in it. A stage that is over before it counts is left out.
    """
    stages: list[tuple[Failure, float]] = []
    for named in study.failures:
        if named.failures_per_year is None or named.hours_to_repair is None:
            continue
        for stage in stages_of(Goal(failure=named.name, within_seconds=1.0), study, graph):
            ends = math.inf if stage.ends_seconds is None else stage.ends_seconds / SECONDS_PER_HOUR
            hours = min(ends, named.hours_to_repair) - stage.begins_seconds / SECONDS_PER_HOUR
            if hours > 0:
                stages.append((stage, hours))
    return stages


def fractions(levels: Levels, order: int) -> dict[Members, float]:
    """Minimal cut set -> fraction of the flow that it breaks."""
    by_set: dict[Members, float] = {}
    for fraction, cuts in levels:
        for members in cuts.sets():
            if len(members) == order:
                by_set.setdefault(members, fraction)
    return by_set


def is_named_failure(event: str) -> bool:
    """Whether an event is a failure that the study names, not a component."""
    return kind_and_name(event)[0] == "failure"


# ------------------------------------------------------------------ probability
def unavailability(failures_per_year: float, hours_to_repair: float, hours_per_year: float) -> float:
    """Share of the time that something is down.

    Formula
        failures per year · hours to repair / hours per year, at most 1

    Examples
    --------
    >>> unavailability(2.0, 4.38, 8760.0)
    0.001
    """
    return min(1.0, failures_per_year * hours_to_repair / hours_per_year)


def probability(members: Collection[str], down: Mapping[str, float]) -> float:
    """Share of the time that all members of a cut set are down, if they fail independently; 0 without a rate.

    Formula
        Π unavailability
    """
    return reduce(lambda product, event: product * down.get(event, 0.0), members, 1.0)


def at_most(cuts: Cuts, down: Mapping[str, float]) -> float:
    """Upper bound on the share of the time that something is broken, over the sets whose members all have a rate.

    Formula
        Σ over minimal cut sets of Π unavailability, at most 1: the rare-event approximation
    Source
        Fault Tree Handbook, NUREG-0492 (1981); a union is no more probable than the sum of its parts (Boole)
    """
    return min(1.0, sum(probability(members, down) for members in cuts.sets()))
