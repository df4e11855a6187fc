"""What requests pass on their way: components with a limit, and choices between them, from the dependency graph.

A component that a request meets twice, at the workload and at the origin or through two others, counts once. What an
edge cannot avoid is said once and for all; what it can, as columns: how much takes each way of a choice.
"""

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import networkx as nx

from planner.study.dependencies import Graph, dependency_graph, leaves, met, placements
from planner.study.records.study import Needs, Study, kind_and_name

Edge = tuple[str, str, str]
"""(w, o, e)"""
Part = str | Needs
MOST_WAYS = 200
"""Ways through choices that share components; a study with more is refused when it is read."""


class TooManyWays(ValueError):
    """Choices share components in more ways than are looked at."""

    def __init__(self, components: Iterable[str]) -> None:
        self.components = tuple(sorted(components))
        super().__init__(f"more than {MOST_WAYS} ways through choices that share {', '.join(self.components)}")


@dataclass(frozen=True)
class Way:
    """One way of a choice.

    Parameters
    ----------
    passes : components with a limit that all on it pass
    needs : what must live, at least in part, for the way to be open
    """

    passes: tuple[str, ...]
    needs: tuple[Part, ...]


@dataclass(frozen=True)
class Choice:
    """Ways of which each request takes so many; requests may be split over them as one likes.

    Parameters
    ----------
    at_least : how many ways each request takes
    ways : ids
    edges : (w, o, e) whose requests choose here; none: those that take the way `within` of another choice
    """

    at_least: int
    ways: tuple[str, ...]
    edges: tuple[Edge, ...] = ()
    within: str | None = None


@dataclass(frozen=True)
class Doors:
    """Components that let only so many requests through, and which requests pass them.

    Parameters
    ----------
    always : component -> edges whose requests cannot avoid it
    on_ways : component -> ways on which it is passed
    choices : each before those within its ways
    ways : id -> way
    shared : components that choices of the same requests share
    """

    always: Mapping[str, tuple[Edge, ...]] = field(default_factory=dict)
    on_ways: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    choices: tuple[Choice, ...] = ()
    ways: Mapping[str, Way] = field(default_factory=dict)
    shared: frozenset[str] = frozenset()

    @property
    def components(self) -> tuple[str, ...]:
        """Components with a limit that some request may pass, sorted."""
        return tuple(sorted({*self.always, *self.on_ways}))

    def closed(self, value: Mapping[str, float]) -> frozenset[str]:
        """Ways that are closed when components have these available fractions."""
        return frozenset(id for id, way in self.ways.items() if any(met(need, value) <= 0 for need in way.needs))


# ------------------------------------------------------------------ needs as paths with forks
@dataclass(frozen=True)
class _Path:
    """Components with a limit that cannot be avoided, and forks that all must be taken."""

    passes: frozenset[str] = frozenset()
    forks: frozenset["_Fork"] = frozenset()

    @property
    def free(self) -> bool:
        return not self.passes and not self.forks

    def limited(self) -> frozenset[str]:
        """Every component with a limit in it."""
        return self.passes.union(*(fork.limited() for fork in self.forks))


@dataclass(frozen=True)
class _Fork:
    """At least so many of some branches."""

    at_least: int
    branches: tuple[tuple[tuple[Part, ...], _Path], ...]
    """(what must live, path)"""

    def limited(self) -> frozenset[str]:
        return frozenset().union(*(path.limited() for _, path in self.branches))


def components_with_limits(study: Study) -> dict[str, float]:
    """Components that let only so many requests through, by id [requests/s]."""
    rows = ((f"{c.kind}:{c.name}", c.most_requests_per_second) for c in study.components)
    return {name: most for name, most in rows if most is not None}


def with_machines_below(graph: Graph) -> frozenset[str]:
    """Components without which no machine serves: losing a part of one takes that part of the machines."""
    found: set[str] = set()
    waiting = [node for node in graph if kind_and_name(node)[0] in ("placement", "pool")]
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting += [leaf for part in graph.nodes[node]["needs"] for leaf in leaves(part)]
    return frozenset(found)


def _paths(graph: Graph, limits: Iterable[str]) -> dict[str, _Path]:
    """The path through every component, each after what it needs."""
    limited, made = frozenset(limits), dict[str, _Path]()
    for node in reversed(list(nx.topological_sort(graph))):
        parts = [*graph.nodes[node]["needs"], *(need for need, _ in graph.nodes[node]["logins"])]
        own = _Path(limited & {node})
        made[node] = _together([own, *(_path(part, made) for part in parts)])
    return made


def _together(paths: Iterable[_Path]) -> _Path:
    """The path that takes all of some."""
    some = list(paths)
    return _Path(frozenset().union(*(p.passes for p in some)), frozenset().union(*(p.forks for p in some)))


def _path(part: Part, made: Mapping[str, _Path]) -> _Path:
    if isinstance(part, str):
        return made[part]
    inner = [(_needed(each), _path(each, made)) for each in part.all_of or part.any_of or part.of or ()]
    at_least = len(inner) if part.all_of is not None else part.at_least or 1
    if at_least >= len(inner):
        return _together(path for _, path in inner)
    if all(path.free for _, path in inner):
        return _Path()
    inner.sort(key=lambda branch: [*map(_name, branch[0])])  # the same choice in another order is the same
    return _Path(frozenset(), frozenset({_Fork(at_least, tuple(inner))}))


def _needed(part: Part) -> tuple[Part, ...]:
    """What must live for a branch to be open, all of it."""
    if isinstance(part, str) or part.all_of is None:
        return (part,)
    return tuple(dict.fromkeys(need for inner in part.all_of for need in _needed(inner)))


def _without(path: _Path, known: frozenset[str]) -> _Path:
    """What is left of a path for requests that pass some components anyway: a component counts once.

    Where all that is left of a fork is free nothing is left: the available fractions say whether enough of it lives.
    """
    every = known | path.passes
    forks = (
        _Fork(fork.at_least, tuple((needs, _without(inner, every)) for needs, inner in fork.branches))
        for fork in path.forks
    )
    return _Path(path.passes - known, frozenset(fork for fork in forks if fork.limited()))


def _name(part: Part) -> str:
    """A need in words."""
    if isinstance(part, str):
        return part
    inner = [_name(each) for each in part.all_of or part.any_of or part.of or ()]
    if part.all_of is not None:
        return " and ".join(inner)
    return f"({' or '.join(inner)})" if part.any_of is not None else f"({part.at_least} of {', '.join(inner)})"


def _order(fork: _Fork) -> tuple[object, ...]:
    """A stable order of forks."""
    branches = sorted((" and ".join(map(_name, needs)), sorted(path.limited())) for needs, path in fork.branches)
    return (branches, fork.at_least, [sorted(map(_order, path.forks)) for _, path in fork.branches])


# ------------------------------------------------------------------ forks that share components
def _each_once(fork: _Fork) -> bool:
    """Whether a request that takes this fork can meet no component twice."""
    inner_once = all(_apart(path.forks) and all(map(_each_once, path.forks)) for _, path in fork.branches)
    limited = [path.limited() for _, path in fork.branches]
    return inner_once and (fork.at_least == 1 or not any(a & b for a, b in itertools.combinations(limited, 2)))


def _apart(forks: Iterable[_Fork]) -> bool:
    """Whether no two forks share a component."""
    return not any(a.limited() & b.limited() for a, b in itertools.combinations(forks, 2))


def _clusters(forks: frozenset[_Fork]) -> Iterator[list[_Fork]]:
    """Forks in groups that share components with each other only."""
    waiting = sorted(forks, key=_order)
    while waiting:
        group, limited = [waiting.pop(0)], frozenset[str]()
        while limited != (limited := frozenset().union(*(fork.limited() for fork in group))):
            group += [fork for fork in waiting if fork.limited() & limited]
            waiting = [fork for fork in waiting if not fork.limited() & limited]
        yield group


_Set = tuple[frozenset[Part], frozenset[str]]
"""What must live, and components that are passed."""


def _written_out(group: list[_Fork]) -> _Fork:
    """One fork with a branch for each way through some forks, so that what is met twice on one is passed once.

    Raises
    ------
    TooManyWays
        when there are more than MOST_WAYS
    """
    components = frozenset().union(*(fork.limited() for fork in group))
    ways = _product([_sets(fork, components) for fork in group], components)
    branches = [(tuple(sorted(needs, key=_name)), _Path(passes)) for needs, passes in ways]
    return _Fork(1, tuple(sorted(branches, key=lambda branch: ([*map(_name, branch[0])], sorted(branch[1].passes)))))


def _sets(fork: _Fork, components: frozenset[str]) -> set[_Set]:
    """The ways through a fork."""
    branches = [
        _product([{(frozenset(needs), path.passes)}, *(_sets(f, components) for f in path.forks)], components)
        for needs, path in fork.branches
    ]
    found: set[_Set] = set()
    for some in itertools.combinations(branches, fork.at_least):
        found |= _product(some, components)
        found = _fewest(found, components)
    return found


def _product(parts: Iterable[set[_Set]], components: frozenset[str]) -> set[_Set]:
    """The ways through all of some parts."""
    found: set[_Set] = {(frozenset(), frozenset())}
    for part in parts:
        found = _fewest({(a | c, b | d) for a, b in found for c, d in part}, components)
    return found


def _fewest(ways: set[_Set], components: frozenset[str]) -> set[_Set]:
    """Ways of which none needs and passes all that another does."""
    if len(ways) > MOST_WAYS**2 / 20:
        raise TooManyWays(components)
    found = {
        way for way in ways if not any(other != way and other[0] <= way[0] and other[1] <= way[1] for other in ways)
    }
    if len(found) > MOST_WAYS:
        raise TooManyWays(components)
    return found


# ------------------------------------------------------------------ from a study to its doors
class _Paths:
    """Paths of edges, each combination of paths at workload, origin and placement looked at once."""

    def __init__(self, study: Study, graph: Graph) -> None:
        self.of = _paths(graph, components_with_limits(study))
        self.known: dict[tuple[_Path, _Path, _Path], tuple[frozenset[str], tuple[_Fork, ...], frozenset[str]]] = {}

    def at(self, w: str, o: str, e: str) -> tuple[frozenset[str], tuple[_Fork, ...], frozenset[str]]:
        """Components that cannot be avoided; forks that share nothing; components that forks as written share."""
        three = self.of[f"workload:{w}"], self.of[f"origin:{o}"], self.of[f"placement:{e}"]
        if three not in self.known:
            path = _without(_together(three), frozenset())
            forks, shared = list[_Fork](), frozenset[str]()
            for group in _clusters(path.forks):
                once = len(group) == 1 and _each_once(group[0])
                forks.append(group[0] if once else _written_out(group))
                shared |= frozenset() if once else forks[-1].limited()
            self.known[three] = path.passes, tuple(forks), shared
        return self.known[three]


def doors_of(study: Study, graph: Graph, edges: Iterable[Edge]) -> Doors:
    """What the requests of edges pass.

    Requests with the same choice are one stream: divisible, so that a split of all is a split of each.

    Raises
    ------
    TooManyWays
        when choices that share components have more ways than are looked at
    """
    if not components_with_limits(study):
        return Doors()
    paths = _Paths(study, graph)
    always: dict[str, list[Edge]] = defaultdict(list)
    choosing: dict[_Fork, list[Edge]] = defaultdict(list)
    shared: frozenset[str] = frozenset()
    for edge in sorted(edges):
        passes, forks, twice = paths.at(*edge)
        shared |= twice
        for component in passes:
            always[component].append(edge)
        for fork in forks:
            choosing[fork].append(edge)
    choices: list[Choice] = []
    ways: dict[str, Way] = {}
    on_ways: dict[str, list[str]] = defaultdict(list)

    def add(fork: _Fork, edges: tuple[Edge, ...], within: str | None) -> None:
        number = len(choices) + 1
        ids = [
            f"{number}.{n} {' and '.join(map(_name, needs))}"[:200].rstrip()
            for n, (needs, _) in enumerate(fork.branches, 1)
        ]
        choices.append(Choice(fork.at_least, tuple(ids), edges, within))
        for id, (needs, path) in zip(ids, fork.branches, strict=True):
            ways[id] = Way(tuple(sorted(path.passes)), needs)
            for component in ways[id].passes:
                on_ways[component].append(id)
            for inner in sorted(path.forks, key=_order):
                add(inner, (), id)

    for fork in sorted(choosing, key=_order):
        add(fork, tuple(choosing[fork]), None)
    return Doors(
        {c: tuple(some) for c, some in sorted(always.items())},
        {c: tuple(some) for c, some in sorted(on_ways.items())},
        tuple(choices),
        ways,
        shared,
    )


def limited_by_login(study: Study) -> frozenset[str]:
    """Components with a limit that are needed for new logins: what passes them is not known."""
    limits = components_with_limits(study)
    logins = [d for d in study.dependencies if d.breaks == "new_logins"] if limits else []
    paths = _paths(dependency_graph(study), limits) if logins else {}
    return frozenset().union(*(_path(d.needs, paths).limited() for d in logins))


def shared_in(study: Study) -> frozenset[str]:
    """Components that choices of some requests share; what no request passes is not looked at.

    Raises
    ------
    TooManyWays
        when choices that share components have more ways than are looked at
    """
    found = placements(study)
    edges = (
        (w.name, o.name, e)
        for w in study.workloads
        for o in study.origins
        for e, (m, _, _) in found.items()
        if study.models[m].model == w.model
    )
    return doors_of(study, dependency_graph(study), edges).shared
