"""Minimal cut sets of order 1 and 2: the smallest sets of components whose loss breaks something.

Method: MICSUP, "minimal cut sets upwards" (Pande, Spector and Chatterjee, TREEL and MICSUP, University of California,
Berkeley, ORC 75-3, 1975; Fault Tree Handbook, NUREG-0492, 1981). From the leaves up, the cut sets of a component are
made of those of what it needs: a union where one loss is enough, products where several must come together; a set that
holds a smaller one is dropped. Sets of more than two members are dropped at once. That is exact for orders 1 and 2,
because a product has no fewer members than its factors.

Shares are settled by threshold: "at most x is left" is a fault tree of its own for each x, because minimum, maximum and
k-th largest all keep thresholds.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from graphlib import TopologicalSorter

from planner.study.dependencies import leaves
from planner.study.records.study import Needs
from planner.units import ROUNDING

Flow = tuple[str, str]
"""(workload, origin)"""
Members = tuple[str, ...]
"""Components that are lost together, in alphabetical order."""
MOST_ORDER = 2
"""Sets of more members are not searched for."""

Pair = tuple[str, str]
"""Two events, in alphabetical order."""


@dataclass(frozen=True)
class Cuts:
    """Minimal cut sets of one thing, up to order 2.

    Parameters
    ----------
    always : it is broken with nothing lost; there are no singles and no pairs then
    singles : events that break it alone
    pairs : pairs of events that break it together; none holds a single
    """

    always: bool = False
    singles: frozenset[str] = frozenset()
    pairs: frozenset[Pair] = frozenset()

    def __bool__(self) -> bool:
        """Whether there is any set."""
        return self.always or bool(self.singles) or bool(self.pairs)

    def sets(self) -> list[tuple[str, ...]]:
        """Every set as a sorted tuple, singles first; the empty one when it is always broken."""
        return [()] * self.always + [(e,) for e in sorted(self.singles)] + sorted(self.pairs)

    def broken_while_late(self, lost: Collection[str]) -> bool:
        """Whether losing these events (at most two) breaks it."""
        return self.always or any(e in self.singles for e in lost) or tuple(sorted(lost)) in self.pairs


NEVER = Cuts()
ALWAYS = Cuts(always=True)


def _minimal(singles: frozenset[str], pairs: Iterable[Pair]) -> Cuts:
    return Cuts(False, singles, frozenset(p for p in pairs if p[0] not in singles and p[1] not in singles))


def any_breaks(parts: Iterable[Cuts]) -> Cuts:
    """Cut sets of what breaks as soon as one of the parts does: their union, without sets that hold a smaller one.

    Examples
    --------
    >>> any_breaks([Cuts(singles=frozenset("a")), Cuts(pairs=frozenset({("a", "b"), ("b", "c")}))]).sets()
    [('a',), ('b', 'c')]
    """
    found = list(parts)
    if any(part.always for part in found):
        return ALWAYS
    singles = frozenset().union(*(part.singles for part in found))
    return _minimal(singles, (pair for part in found for pair in part.pairs))


def both_break(a: Cuts, b: Cuts) -> Cuts:
    """Cut sets of what breaks when both parts do: the products of their sets, up to order 2.

    Examples
    --------
    >>> both_break(Cuts(singles=frozenset("ax")), Cuts(singles=frozenset("bx"))).sets()
    [('x',), ('a', 'b')]
    """
    if a.always or b.always:
        return b if a.always else a
    singles = a.singles & b.singles
    products = {(x, y) if x < y else (y, x) for x in a.singles - singles for y in b.singles - singles}
    products |= {p for p in a.pairs if p[0] in b.singles or p[1] in b.singles or p in b.pairs}
    products |= {p for p in b.pairs if p[0] in a.singles or p[1] in a.singles}
    return _minimal(singles, products)


def all_break(parts: Iterable[Cuts]) -> Cuts:
    """Cut sets of what breaks only when every part does; with no part it is always broken."""
    found = ALWAYS
    for part in dict.fromkeys(parts):
        found = both_break(found, part)
        if not found:
            break
    return found


def so_many_break(parts: Sequence[Cuts], least: int) -> Cuts:
    """Cut sets of what breaks when at least so many of the parts do.

    Formula
        of the first n parts, j break: those of the first n − 1 of which j do, or j − 1 do and so does part n

    Examples
    --------
    >>> so_many_break([Cuts(singles=frozenset(e)) for e in "abc"], 2).sets()
    [('a', 'b'), ('a', 'c'), ('b', 'c')]
    """
    rows = [ALWAYS] + [NEVER] * max(0, least)
    for part in parts:
        for j in range(len(rows) - 1, 0, -1):
            rows[j] = any_breaks((rows[j], both_break(rows[j - 1], part)))
    return rows[-1]


def broken_needs(part: str | Needs, cuts: Mapping[str, Cuts]) -> Cuts:
    """Cut sets of a `Needs`, given those of the components that it names.

    `all_of` breaks with any part, `any_of` when all do, `at_least k` of n when n − k + 1 do.
    """
    if isinstance(part, str):
        return cuts[part]
    if part.all_of is not None:
        return any_breaks(broken_needs(p, cuts) for p in part.all_of)
    if part.any_of is not None:
        return all_break(broken_needs(p, cuts) for p in part.any_of)
    assert part.of is not None and part.at_least is not None
    return so_many_break([broken_needs(p, cuts) for p in part.of], len(part.of) - part.at_least + 1)


def cut_sets(
    needs: Mapping[str, Sequence[Needs]], events: Mapping[str, Mapping[str, float]], most_left: float = 0.0
) -> dict[str, Cuts]:
    """Minimal cut sets of every component, for "at most this fraction of it is left".

    Parameters
    ----------
    needs : component -> what it needs, all of which must hold; every component that is named is a key
    events : event -> component -> share that is lost; a component that fails by itself is an event of its own name
    most_left : fraction; 0: wholly lost

    Examples
    --------
    >>> needs = {"site:s": [], "power:a": [], "power:b": []}
    >>> needs["site:s"] = [Needs(any_of=("power:a", "power:b"))]
    >>> cut_sets(needs, {name: {name: 1.0} for name in needs})["site:s"].sets()
    [('site:s',), ('power:a', 'power:b')]
    """
    own: dict[str, set[str]] = {}
    for event, lost in events.items():
        for component, share in lost.items():
            if 1.0 - share <= most_left + ROUNDING:
                own.setdefault(component, set()).add(event)
    below = {c: {leaf for part in parts for leaf in leaves(part)} for c, parts in needs.items()}
    found: dict[str, Cuts] = {}
    for c in TopologicalSorter(below).static_order():
        parts = [broken_needs(part, found) for part in needs[c]]
        found[c] = any_breaks([Cuts(singles=frozenset(own.get(c, ()))), *parts])
    return found


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
    return reduce(lambda found, event: found * down.get(event, 0.0), members, 1.0)


def at_most(cuts: Cuts, down: Mapping[str, float]) -> float:
    """Upper bound on the share of the time that something is broken, over the sets whose members all have a rate.

    Formula
        Σ over minimal cut sets of Π unavailability, at most 1: the rare-event approximation
    Source
        Fault Tree Handbook, NUREG-0492 (1981); a union is no more probable than the sum of its parts (Boole)
    """
    return min(1.0, sum(probability(members, down) for members in cuts.sets()))
