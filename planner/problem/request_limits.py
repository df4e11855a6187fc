"""Components that let only so many requests through, and which requests pass them."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from planner.errors import InputError
from planner.study.checks.request_limits import not_counted
from planner.study.dependencies import Graph
from planner.study.records.study import Study
from planner.study.request_limits import components_with_limits, passed_by_component, together

Edge = tuple[str, str, str]
"""(w, o, e)"""


@dataclass(frozen=True)
class Alternatives:
    """Components of which each request passes one; requests may be split over them as one likes.

    Parameters
    ----------
    ids : of the alternatives, each a component; the same component may be an alternative of other requests, too
    edges : (w, o, e) whose requests pass one of them
    """

    ids: tuple[str, ...]
    edges: tuple[Edge, ...]


@dataclass(frozen=True)
class RequestLimits:
    """Components that let only so many requests through, and which requests pass them.

    Parameters
    ----------
    always : component with a limit -> edges whose requests cannot avoid it
    alternatives : of which a part of the requests pass one each
    component_of : id of an alternative -> component
    ids_of : component with a limit -> ids of the alternatives that it is
    """

    always: Mapping[str, tuple[Edge, ...]] = field(default_factory=dict)
    alternatives: tuple[Alternatives, ...] = ()
    component_of: Mapping[str, str] = field(default_factory=dict)
    ids_of: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def components(self) -> tuple[str, ...]:
        """Components with a limit that some request may pass, sorted."""
        return tuple(sorted({*self.always, *self.ids_of}))

    def closed(self, value: Mapping[str, float]) -> frozenset[str]:
        """Alternatives that are closed when components have these available fractions."""
        return frozenset(id for id, component in self.component_of.items() if value[component] <= 0)


def request_limits_of(study: Study, graph: Graph, edges: Iterable[Edge]) -> RequestLimits:
    """What the requests of edges pass.

    Requests with the same alternatives are one stream: divisible, so that a split of all is a split of each.

    Raises
    ------
    InputError
        when what passes a limit cannot be counted
    """
    limits = components_with_limits(study)
    if not limits:
        return RequestLimits()
    if findings := not_counted(study, graph):
        raise InputError(findings)
    passed = passed_by_component(graph, limits)
    always: dict[str, list[Edge]] = defaultdict(list)
    takes_one: dict[tuple[str, ...], list[Edge]] = defaultdict(list)
    for w, o, e in sorted(edges):
        stream = together([passed[f"workload:{w}"], passed[f"origin:{o}"], passed[f"placement:{e}"]])
        for component in stream.always:
            always[component].append((w, o, e))
        for need in stream.any_of:
            takes_one[need].append((w, o, e))
    alternatives: list[Alternatives] = []
    component_of: dict[str, str] = {}
    ids_of: dict[str, list[str]] = defaultdict(list)
    for n, need in enumerate(sorted(takes_one), 1):
        ids = {f"{n}.{k} {component}"[:200].rstrip(): component for k, component in enumerate(need, 1)}
        alternatives.append(Alternatives(tuple(ids), tuple(takes_one[need])))
        component_of |= ids
        for id, component in ids.items():
            if component in limits:
                ids_of[component].append(id)
    return RequestLimits(
        {c: tuple(those) for c, those in sorted(always.items())},
        tuple(alternatives),
        component_of,
        {c: tuple(ids) for c, ids in sorted(ids_of.items())},
    )
