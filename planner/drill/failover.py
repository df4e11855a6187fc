"""How gateways fail over in each failure: by new weights, or, where none can be pushed, by those that they have."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from planner.drill.failures import Failure, outages
from planner.drill.graph import Graph
from planner.drill.instance import Flags, Instance
from planner.drill.needs import available
from planner.drill.result import Mode

CHUNK = 1024
"""Failures whose components are valued at the same time."""


def with_modes(instance: Instance, graph: Graph, failures: Sequence[Failure]) -> tuple[Failure, ...]:
    """The failures, each with the mode in which it is replayed.

    Rescale, where the failure says so, where gateways of a workload or an origin with demand cannot be reached, or
    where the study says so and the failure says nothing.
    """
    by_default = instance.study.failover
    modes: list[Mode] = [failure.failover or by_default for failure in failures]
    for first in range(0, len(failures) if graph.pushing else 0, CHUNK):
        unreached = _gateways_unreached(instance, graph, failures[first : first + CHUNK])
        for f in np.flatnonzero(unreached):
            modes[first + int(f)] = "rescale"
    return in_modes(failures, modes)


def in_modes(failures: Iterable[Failure], modes: Iterable[Mode]) -> tuple[Failure, ...]:
    """The failures in these modes; where new weights are pushed in a later stage first, nothing started before it."""
    made: list[Failure] = []
    since = 0.0
    for failure, mode in zip(failures, modes, strict=True):
        if failure.of is None:
            since = 0.0
        elif mode == "resolve" and made[-1].mode == "rescale":
            since = failure.repaired_seconds
        made.append(replace(failure, mode=mode, weights_since_seconds=since))
    return tuple(made)


def _gateways_unreached(instance: Instance, graph: Graph, failures: Sequence[Failure]) -> Flags:
    """Whether a need for pushing weights of a workload or an origin with demand is not met in full [f]."""
    asking = {f"workload:{w}" for w, _ in instance.flows} | {f"origin:{o}" for _, o in instance.flows}
    value, one = graph.values(outages(failures), len(failures)), np.ones(len(failures))
    unreached = np.zeros(len(failures), dtype=bool)
    for component, needs in graph.pushing.items():
        for need in needs if component in asking else ():
            unreached |= available(need, value, one) < 1.0
    return unreached


def mode_of_normal(by_default: Mode, failures: Sequence[Failure]) -> Mode:
    """Normal operation has the weights that gateways fall back on, where there is a failure in which they do."""
    if not failures:
        return by_default
    return "rescale" if any(failure.mode == "rescale" for failure in failures) else "resolve"


def mode_of_all(by_default: Mode, failures: Sequence[Failure]) -> Mode | None:
    """The mode that all failures have; none where they differ."""
    modes = {failure.mode for failure in failures} or {by_default}
    return modes.pop() if len(modes) == 1 else None
