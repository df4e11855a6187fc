"""How requests of a workload are shared among the placements of a cluster: an HTTPRoute each, with whole weights."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from planner.emit.fleet import Fleet
from planner.emit.kubernetes_options import NO_TIME_LIMIT, PREFIX, Settings
from planner.emit.names import distinct
from planner.emit.overrides import BASE
from planner.emit.routing import largest_remainder
from planner.errors import Finding, InputError
from planner.study.dependencies import NORMAL
from planner.study.records.plan import State

WEIGHTS_ADD_UP_TO = 10_000
MOST_BACKENDS = 16
"""Backends of one rule of an HTTPRoute (Gateway API v1)."""
WORKLOAD_HEADER = "x-planner-workload"


def route_weights(fleet: Fleet, placements: Iterable[str], states: Iterable[State]) -> dict[str, dict[str, float]]:
    """Workload: placement: requests/s over all origins in the given states; the largest where there are several."""
    inside = set(placements)
    most: dict[str, dict[str, float]] = {}
    for state in states:
        sums: dict[tuple[str, str], float] = {}
        for w, e, value in zip(state.workload, state.placement, state.requests_per_second, strict=True):
            if e in inside and value > 0:
                sums[w, e] = sums.get((w, e), 0.0) + value
        for (w, e), value in sums.items():
            flows = most.setdefault(w, {})
            flows[e] = max(flows.get(e, 0.0), value)
    return dict(sorted(most.items()))


def integer_weights(flows: Mapping[str, float]) -> dict[str, int]:
    """Weights of a route that add up to 10,000, by placement."""
    order = sorted(flows)
    return dict(zip(order, largest_remainder([flows[e] for e in order], WEIGHTS_ADD_UP_TO), strict=True))


def workload_routes(
    fleet: Fleet, placements: Iterable[str], given: Settings, backend: Callable[[str], dict[str, Any]]
) -> list[dict[str, Any]]:
    """An HTTPRoute of each workload; requests say whose they are in the header `x-planner-workload`.

    Parameters
    ----------
    placements : those of the cluster
    backend : what a route refers to for a placement

    Raises
    ------
    InputError
        when a workload has more placements in a cluster than a rule takes
    """
    normal = [state for state in fleet.plan.file.states if state.failure == NORMAL]
    names = distinct(w.name for w in fleet.plan.study.workloads)
    flows = route_weights(fleet, placements, normal)
    return [workload_route(w, names[w], flows_of, given, backend) for w, flows_of in flows.items()]


def workload_route(
    w: str,
    name: str,
    flows: Mapping[str, float],
    given: Settings,
    backend: Callable[[str], dict[str, Any]],
    set_id: str = BASE,
) -> dict[str, Any]:
    """The HTTPRoute of a workload; without flows it has no backends, so that requests are answered with an error.

    Parameters
    ----------
    flows : placement -> requests/s
    set_id : what it belongs to, `base` or FAILURE/DEADLINE

    Raises
    ------
    InputError
        when there are more placements than a rule takes
    """
    if len(flows) > MOST_BACKENDS:
        expected, fix = f"at most {MOST_BACKENDS} placements", "plan fewer profiles of its model in the region"
        raise InputError([Finding(f"workload {w[:80]!r}", expected, str(len(flows)), fix)])
    weights, total = integer_weights(flows) if flows else {}, sum(flows.values())
    error = max((abs(n / WEIGHTS_ADD_UP_TO - flows[e] / total) for e, n in weights.items()), default=0.0)
    header = {"type": "Exact", "name": WORKLOAD_HEADER, "value": name}
    backends = [{**backend(e), "weight": n} for e, n in weights.items()]
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {
            "name": name,
            "namespace": given["namespace"],
            "annotations": {
                f"{PREFIX}/workload": w,
                f"{PREFIX}/requests-per-second": f"{total:.6f}",
                f"{PREFIX}/weight-error": f"{error:.2e}",
                f"{PREFIX}/set": set_id,
            },
        },
        "spec": {
            "parentRefs": [{"name": given["gateway"]}],
            "rules": [{"matches": [{"headers": [header]}], "backendRefs": backends, **NO_TIME_LIMIT}],
        },
    }
