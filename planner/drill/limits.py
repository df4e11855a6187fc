"""Components that pass so many requests/s: which requests need them, and how they split over alternatives."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from planner.drill.graph import Graph, Part, available
from planner.drill.world import Indices, Numbers, World
from planner.study.records.study import Needs

NONE: tuple[str, ...] = ()


@dataclass(frozen=True)
class Choice:
    """Requests that need `k` of some alternatives, each of which may pass limited components."""

    k: int
    alternatives: tuple["Way", ...]


@dataclass(frozen=True)
class Way:
    """What a request passes: limited components that it cannot avoid, and choices among others.

    Parameters
    ----------
    part : the need itself, whose available fraction says whether it is open
    """

    part: Part
    passes: frozenset[str]
    choices: tuple[Choice, ...]

    @property
    def free(self) -> bool:
        """Whether nothing on it has a limit."""
        return not self.passes and not self.choices


@dataclass(frozen=True)
class Passage:
    """How requests pass components with a limit, in each of some failures.

    Parameters
    ----------
    limited : the components, sorted
    most : requests/s that they pass: limit · available fraction [f, l]
    flows, placements : share of the requests of a flow, of a placement, that pass them, when a gateway splits its
        requests over alternatives in proportion to their limits [f, l, i], [f, l, e]
    ways_of_flows, ways_of_placements : by index, only those that pass something
    """

    limited: tuple[str, ...]
    most: Numbers
    flows: Numbers
    placements: Numbers
    ways_of_flows: Mapping[int, Way]
    ways_of_placements: Mapping[int, Way]
    value: Mapping[str, Numbers]

    def one(self, f: int) -> "Passage":
        """Those of one failure."""
        if not self.limited:
            return self
        value = {component: left[f : f + 1] for component, left in self.value.items()}
        arrays = {name: getattr(self, name)[f : f + 1] for name in ("most", "flows", "placements")}
        return replace(self, value=value, **arrays)

    def open(self, part: Part) -> bool:
        """Whether a need is met at all, in the first failure."""
        return bool(available(part, self.value, np.ones(1))[0] > 0)


def passage(world: World, graph: Graph, value: Mapping[str, Numbers], count: int) -> Passage:
    """How requests pass components with a limit, in failures that leave these available fractions."""
    limited = tuple(sorted(graph.limits))
    n_i, n_e = len(world.flows), len(world.placements)
    shape = (count, len(limited))
    if not limited:
        return Passage(NONE, np.zeros(shape), np.zeros((*shape, n_i)), np.zeros((*shape, n_e)), {}, {}, {})
    most = np.array([graph.limits[c] * value[c] for c in limited]).T
    made: dict[str, Way] = {}
    for component in graph.order:  # what is needed comes first, so that no chain is too long
        _way(graph, component, made)
    ways: tuple[dict[int, Way], dict[int, Way]] = {}, {}
    for i, (w, o) in enumerate(world.flows):
        way = _joined(_way(graph, f"workload:{w}", made), _way(graph, f"origin:{o}", made))
        if not way.free:
            ways[0][i] = way
    for name, e in world.placements.items():
        way = _way(graph, f"placement:{name}", made)
        if not way.free:
            ways[1][e] = way
    known: dict[Way, Numbers] = {}

    def shares(of: Mapping[int, Way], width: int) -> Numbers:
        all_of = np.zeros((*shape, width))
        for n, way in of.items():
            if way not in known:
                known[way] = _shares(way, limited, most, value, count)
            all_of[:, :, n] = known[way]
        return all_of

    return Passage(limited, most, shares(ways[0], n_i), shares(ways[1], n_e), ways[0], ways[1], value)


def _joined(a: Way, b: Way) -> Way:
    both = Needs(all_of=tuple(part for part in (a.part, b.part)))
    return Way(both, a.passes | b.passes, tuple(dict.fromkeys((*a.choices, *b.choices))))


def _way(graph: Graph, part: Part, made: dict[str, Way]) -> Way:
    """The way through a component or a need."""
    if isinstance(part, str):
        if part not in made:
            inner = [_way(graph, need, made) for need in graph.needs.get(part, ())]
            inner += [_way(graph, need, made) for need, _ in graph.logins.get(part, ())]
            own = frozenset({part} if part in graph.limits else ())
            passes = own.union(*(way.passes for way in inner))
            made[part] = Way(part, passes, tuple(dict.fromkeys(c for way in inner for c in way.choices)))
        return made[part]
    inner = [_way(graph, need, made) for need in part.all_of or part.any_of or part.of or ()]
    k = len(inner) if part.all_of is not None else part.at_least or 1
    if k >= len(inner):
        passes = frozenset().union(*(way.passes for way in inner)) if inner else frozenset()
        return Way(part, passes, tuple(dict.fromkeys(c for way in inner for c in way.choices)))
    if all(way.free for way in inner):
        return Way(part, frozenset(), ())
    return Way(part, frozenset(), (Choice(k, tuple(inner)),))


def _room(way: Way, limited: tuple[str, ...], most: Numbers, value: Mapping[str, Numbers]) -> Numbers:
    """Requests/s that a way passes [f]: 0 where it is closed, infinite where nothing limits it."""
    one = np.ones(len(most))
    parts = [most[:, limited.index(component)] for component in way.passes]
    for choice in way.choices:
        parts.append(_of_each(choice.k, [_room(each, limited, most, value) for each in choice.alternatives]))
    return np.where(available(way.part, value, one) > 0, np.min(parts, axis=0) if parts else np.inf, 0.0)


def _splits(choice: Choice, limited: tuple[str, ...], most: Numbers, value: Mapping[str, Numbers]) -> Numbers:
    """Share of the requests that take each alternative [a, f]: by what they pass; those without a limit come first.

    No request takes one twice: what is more than all of them is left to the others.
    """
    rooms = np.array([_room(each, limited, most, value) for each in choice.alternatives])
    endless = np.isinf(rooms)
    share = np.zeros_like(rooms)
    for weight in (endless.astype(float), np.where(endless, 0.0, rooms)):
        for _ in rooms:
            left = choice.k - share.sum(axis=0)
            weight = np.where(share < 1.0, weight, 0.0)
            total = weight.sum(axis=0)
            more = np.divide(left * weight, total, out=np.zeros_like(weight), where=total > 0)
            share = np.minimum(share + more, 1.0)
    return share


def _shares(way: Way, limited: tuple[str, ...], most: Numbers, value: Mapping[str, Numbers], count: int) -> Numbers:
    """Share of the requests on a way that pass each limited component [f, l]."""
    shares = np.zeros((count, len(limited)))
    for component in way.passes:
        shares[:, limited.index(component)] = 1.0
    for choice in way.choices:
        splits = _splits(choice, limited, most, value)
        parts = [
            part[:, None] * _shares(each, limited, most, value, count)
            for each, part in zip(choice.alternatives, splits, strict=True)
        ]
        shares = np.maximum(shares, np.minimum(np.sum(parts, axis=0), 1.0))
    return shares


def _of_each(k: int, parts: list[Numbers]) -> Numbers:
    """How many can have `k` different parts each [f]: none more than there is of any k − j, the j largest left out.

    The most t with Σ min(part, t) >= k t.
    """
    sums = np.cumsum(np.sort(parts, axis=0), axis=0)
    least: Numbers = np.min([sums[len(parts) - 1 - j] / (k - j) for j in range(k)], axis=0)
    return least


def cut(passage: Passage, sent: Numbers, flow_of: Indices, placement_of: Indices) -> Numbers:
    """Requests/s on edges [f, k] that pass all limits; what has too much passes all of it equally less.

    What reaches a component is reckoned as if nothing were lost before it: never more gets through than it passes.
    """
    if not passage.limited:
        return sent
    passes = np.ones_like(passage.most)
    for n in range(len(passage.limited)):
        share = np.maximum(passage.flows[:, n][:, flow_of], passage.placements[:, n][:, placement_of])
        through, most = (share * sent).sum(axis=1), passage.most[:, n]
        passes[:, n] = np.divide(most, through, out=np.ones_like(most), where=through > most)
    known: dict[Way, Numbers] = {}

    def let_through(way: Way) -> Numbers:
        if way not in known:
            parts = [passes[:, passage.limited.index(component)] for component in way.passes]
            for choice in way.choices:
                splits = _splits(choice, passage.limited, passage.most, passage.value)
                each = [let_through(inner) * part for inner, part in zip(choice.alternatives, splits, strict=True)]
                parts.append(_of_each(choice.k, each))
            known[way] = np.min(parts, axis=0) if parts else np.ones(len(passes))
        return known[way]

    share = np.ones_like(sent)
    for of, ways in ((flow_of, passage.ways_of_flows), (placement_of, passage.ways_of_placements)):
        for n, way in ways.items():
            edges = of == n
            share[:, edges] = np.minimum(share[:, edges], let_through(way)[:, None])
    return sent * share
