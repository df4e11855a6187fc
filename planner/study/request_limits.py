"""What requests pass: components that let only so many through, and alternatives of which each takes one.

Read from the dependency graph. A component that a request meets twice, at the workload and at the origin or through two
others, counts once.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from planner.study.dependencies import Graph, leaves
from planner.study.places import Loc
from planner.study.records.study import Needs, Study

Part = str | Needs


@dataclass(frozen=True)
class Passed:
    """What the requests pass that need some component.

    Parameters
    ----------
    always : components with a limit that they cannot avoid
    any_of : needs of which each request passes one component, where some of them have a limit: ids, sorted
    """

    always: frozenset[str] = frozenset()
    any_of: frozenset[tuple[str, ...]] = frozenset()

    @property
    def components(self) -> frozenset[str]:
        """Components that any of them may pass."""
        return self.always.union(*self.any_of)

    @property
    def unlimited(self) -> bool:
        """Whether no limit is in it."""
        return not self.always and not self.any_of


def components_with_limits(study: Study) -> dict[str, float]:
    """Components that let only so many requests through, by id [requests/s]."""
    rows = ((f"{c.kind}:{c.name}", c.most_requests_per_second) for c in study.components)
    return {name: most for name, most in rows if most is not None}


def all_needed(part: Part, loc: Loc = ()) -> Iterator[tuple[Part, Loc]]:
    """What a need asks for, all of it: names, and needs that leave a choice; each with its place in the need."""
    if isinstance(part, str):
        yield part, loc
        return
    kind = next(kind for kind in ("all_of", "any_of", "of") if getattr(part, kind) is not None)
    parts = getattr(part, kind)
    if kind != "all_of" and (part.at_least or 1) < len(parts):
        yield part, loc
        return
    for n, inner in enumerate(parts):
        yield from all_needed(inner, (*loc, kind, n))


def passed_by_component(graph: Graph, limits: Iterable[str]) -> dict[str, Passed]:
    """Component -> what the requests pass that need it, itself among it; `limits`: components with a limit."""
    limited = frozenset(limits)
    passed: dict[str, Passed] = {}
    for node in graph.graph["order"]:
        parts = [Passed(limited & {node})]
        for need in (*graph.nodes[node]["needs"], *(login for login, _ in graph.nodes[node]["logins"])):
            parts += (_passed(part, passed) for part, _ in all_needed(need))
        passed[node] = together(parts)
    return passed


def _passed(part: Part, passed: Mapping[str, Passed]) -> Passed:
    if isinstance(part, str):
        return passed[part]
    names = tuple(sorted(set(leaves(part))))
    if all(passed[name].unlimited for name in names):
        return Passed()
    return Passed(any_of=frozenset({names}))


def together(parts: Iterable[Passed]) -> Passed:
    """What requests pass that need several things; who passes a component anyway takes it as an alternative."""
    every = list(parts)
    always = frozenset[str]().union(*(part.always for part in every))
    any_of = frozenset[tuple[str, ...]]().union(*(part.any_of for part in every))
    return Passed(always, frozenset(need for need in any_of if always.isdisjoint(need)))
