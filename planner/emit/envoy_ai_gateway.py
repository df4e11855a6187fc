"""Envoy AI Gateway: objects of one gateway, that is, an origin; backends have priorities, and shares are their weights.

Clients name the workload as the model; the gateway puts that into the header `x-ai-eg-model`, and the backend is asked
for the model itself. Backends are AIServiceBackends, for priority and weight are ignored for InferencePools. Health is
judged by requests alone: an active check that succeeds would bring back at once what failing requests have put out.
With `checks=active` there are such checks, and a patch of what the gateway makes of them takes that back.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from planner.emit.behaviour import retry_percent
from planner.emit.common import GatewayFile, Given, gateway_files, given
from planner.emit.detection import (
    CHECKS_BEFORE_OUT,
    COUNTED_REQUESTS,
    ENVOY_AI_GATEWAY,
    ENVOY_AI_GATEWAY_ACTIVE,
    FAILS_BEFORE_OUT,
    FAILURE_PERCENT,
    step_seconds,
    waits,
)
from planner.emit.envoy import RETRIES
from planner.emit.envoy_clusters import in_flight, least_retries
from planner.emit.fleet import placed
from planner.emit.kubernetes_options import PREFIX, is_name
from planner.emit.lint import Rows, differing, raise_if_any
from planner.emit.names import slug
from planner.emit.options import PATH, Endpoint, endpoints
from planner.emit.routing import Route, override_data
from planner.emit.spill import backend_priorities
from planner.emit.text import quoted_yaml
from planner.errors import Finding
from planner.plan.in_hand import Plan
from planner.study.dependencies import NORMAL
from planner.study.records.plan import PlanFile
from planner.units import MS_PER_SECOND

OPTIONS: Mapping[str, str] = {
    "endpoint": "",
    "endpoints": "",
    "limits": "goals",
    "cooldown_seconds": "30",
    "gateway_replicas": "1",
    "checks": "passive",
    "health_path": "/health",
    "ai_gateway_namespace": "ai-gateway",
    "gateway": "inference-gateway",
}
PASSIVE, ACTIVE = "passive", "active"
MODEL_HEADER = "x-ai-eg-model"
ATTEMPTS_PER_PRIORITY = 2
"""First another backend of the same priority, then another priority."""
RETRIED = (429, 500, 502, 503, 504)
TRIGGERS = ("connect-failure", "refused-stream", "reset", "retriable-status-codes")
COMMENTS = (
    "Envoy AI Gateway of one origin. Clients ask for a workload as the model.",
    "Hour of the plan: the one with the largest total traffic, of {hours}.",
    "No limit of a placement is kept: priorities spill by how many backends live, not by what they have room for.",
    "Keys of providers pass through from the client; none is here.",
    "A request that fails after a part of its answer may be run twice.",
)
OVERRIDE_COMMENTS = (
    "Routes of one gateway from a deadline of a failure on, until the next; applying the origin's own file undoes it.",
    "A workload without backends is not served. Of one that is shed in part all requests still come.",
)


def files(plan: PlanFile | Plan, options: Mapping[str, str]) -> dict[str, str]:
    """Objects of the gateways of a plan: path -> text.

    Parameters
    ----------
    options : endpoint (template of the addresses), endpoints (JSON, placement: address), limits (goals or always),
        cooldown_seconds, gateway_replicas, checks (passive or active), health_path, ai_gateway_namespace, gateway
        (the Gateway that routes attach to)

    Raises
    ------
    InputError
        for every option that does not fit, and every entry that the plan does not bear out
    """
    made = given(plan, options, OPTIONS)
    raise_if_any(_unfit(made))
    pushed = _pushed(made)
    made = with_endpoints(made, pushed)

    def objects(made: Given, origin: str) -> dict[str, Any]:
        return config(made, origin, {e for push in pushed for e in push.placements(origin)})

    parts = (GatewayFile("gateway.yaml", objects, COMMENTS, _lint, is_pushed=False),)
    return gateway_files(made, _named(made), parts) | _overrides(made, pushed)


def _is_active(made: Given) -> bool:
    return made.options["checks"] == ACTIVE


def _named(made: Given) -> str:
    """Under which name it is known how the gateway finds out what fails."""
    return ENVOY_AI_GATEWAY_ACTIVE if _is_active(made) else ENVOY_AI_GATEWAY


def _unfit(made: Given) -> list[Finding]:
    """Names that Kubernetes does not take, and other options that do not fit."""
    checks, path = made.options["checks"], made.options["health_path"]
    findings = []
    for key in ("ai_gateway_namespace", "gateway"):
        if not is_name(made.options[key]):
            expected = "a name of lower-case letters, digits and hyphens"
            findings.append(Finding(f"option {key}", expected, repr(made.options[key])[:80], "correct it"))
    if checks not in (PASSIVE, ACTIVE):
        fix = f"{PASSIVE} is the default"
        findings.append(Finding("option checks", f"{PASSIVE} or {ACTIVE}", repr(checks)[:40], fix))
    if not path or not PATH.fullmatch(path):
        findings.append(Finding("option health_path", "a path, as in /health", repr(path)[:80], "correct it"))
    return findings


def config(made: Given, origin: str, also: Collection[str] = ()) -> dict[str, Any]:
    """The objects of one gateway, as a list that is applied as one.

    Parameters
    ----------
    also : placements that only overrides refer to
    """
    routes = made.table.of_origin(origin)
    placements = sorted({entry.placement for route in routes for entry in route.entries} | set(also))
    items = [one for e in placements for one in _backend(made, e)]
    items += [one for route in routes for one in (_static_route(made, route), _traffic_policy(made, route))]
    items += [_patch(made, route) for route in routes if _is_active(made)]
    return _listed(items)


def _listed(items: list[dict[str, Any]]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "List", "items": items}


def _object(made: Given, api: str, kind: str, name: str, about: dict[str, str], spec: dict[str, Any]) -> dict[str, Any]:
    annotations = {f"{PREFIX}/{key}": value for key, value in about.items()}
    metadata = {"name": name, "namespace": made.options["ai_gateway_namespace"], "annotations": annotations}
    return {"apiVersion": api, "kind": kind, "metadata": metadata, "spec": spec}


# ------------------------------------------------------------------ placements
def _backend(made: Given, e: str) -> list[dict[str, Any]]:
    """Where a placement is, and that it speaks OpenAI's interface."""
    at, name = made.endpoints[e], slug(e)
    spec: dict[str, Any] = {"endpoints": [_address(at)]}
    if at.scheme == "https":
        spec["tls"] = {"wellKnownCACertificates": "System"}
    of = {"group": "gateway.envoyproxy.io", "kind": "Backend", "name": name}
    serves = {"schema": {"name": "OpenAI", "prefix": at.path or "/"}, "backendRef": of}
    about = {"placement": e}
    return [
        _object(made, "gateway.envoyproxy.io/v1alpha1", "Backend", name, about, spec),
        _object(made, "aigateway.envoyproxy.io/v1beta1", "AIServiceBackend", name, about, serves),
    ]


def _address(at: Endpoint) -> dict[str, Any]:
    if at.is_address:
        return {"ip": {"address": at.host, "port": at.port}}
    return {"fqdn": {"hostname": at.host.lower(), "port": at.port}}


# ------------------------------------------------------------------ workloads
def _static_route(made: Given, route: Route) -> dict[str, Any]:
    backends = [
        (x.placement, weight, priority)
        for priority, group in enumerate(backend_priorities(route))
        for x, weight in group
    ]
    return _route(made, route.workload, route.origin, backends)


def _route(made: Given, w: str, origin: str, backends: list[tuple[str, int, int]]) -> dict[str, Any]:
    """Where the requests of a workload go: (placement, weight, priority) of each backend; to none: an error."""
    model, name = made.workloads[w].model, slug(w)
    listed = [
        {"name": slug(e), "modelNameOverride": model, "weight": weight, "priority": priority}
        for e, weight, priority in backends
    ]
    header = {"type": "Exact", "name": MODEL_HEADER, "value": name}
    rule = {
        "matches": [{"headers": [header]}],
        **({"backendRefs": listed} if listed else {}),
        "timeouts": {"request": "0s"},  # without it a request ends after 60 s
    }
    spec = {"parentRefs": [{"name": made.options["gateway"]}], "rules": [rule]}
    about = {"workload": w, "origin": origin}
    return _object(made, "aigateway.envoyproxy.io/v1beta1", "AIGatewayRoute", name, about, spec)


def _traffic_policy(made: Given, route: Route) -> dict[str, Any]:
    """Retries, ejection by failing requests, and requests in flight; of the HTTPRoute that the route above becomes."""
    study = made.of.plan.study
    _, wait = waits(study, route)
    flight = in_flight(made, route, _named(made))
    spec = {
        "targetRefs": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": route.id}],
        "retry": {
            "numRetries": RETRIES,
            "numAttemptsPerPriority": ATTEMPTS_PER_PRIORITY,
            "perRetry": {"timeout": f"{math.ceil(wait)}s"},
            "retryOn": {"triggers": list(TRIGGERS), "httpStatusCodes": list(RETRIED)},
        },
        "healthCheck": _health(made),
        "circuitBreaker": {
            "maxConnections": 2 * flight,  # they are kept after their requests
            **dict.fromkeys(("maxPendingRequests", "maxParallelRequests"), flight),
            "retryBudget": {
                "percent": {"numerator": retry_percent(route)},
                "minRetryConcurrency": least_retries(flight),
            },
        },
    }
    about = {"workload": route.workload, "origin": route.origin}
    return _object(made, "gateway.envoyproxy.io/v1alpha1", "BackendTrafficPolicy", route.id, about, spec)


def _health(made: Given) -> dict[str, Any]:
    """Failing requests put a backend out; checks do too where they are active."""
    step = f"{math.ceil(MS_PER_SECOND * step_seconds(made.of.plan.study.detection_seconds))}ms"
    passive = {
        "consecutive5XxErrors": FAILS_BEFORE_OUT,
        "interval": step,
        "baseEjectionTime": f"{made.integers['cooldown_seconds']}s",
        "maxEjectionPercent": 100,
    }
    active = {
        "type": "HTTP",
        "http": {"path": made.options["health_path"]},
        "interval": step,
        "timeout": step,
        "unhealthyThreshold": CHECKS_BEFORE_OUT,
        "healthyThreshold": 1,
    }
    return {"panicThreshold": 0, "passive": passive} | ({"active": active} if _is_active(made) else {})


def _patch(made: Given, route: Route) -> dict[str, Any]:
    """What the API has no words for: a check that succeeds brings nothing back, cut streams count as failures, checks
    come as often before the first request as after it, and workers hear of a death at once."""
    outlier, cooldown = "/outlier_detection/", f"{made.integers['cooldown_seconds']}s"
    values = {
        f"{outlier}successful_active_health_check_uneject_host": False,
        f"{outlier}max_ejection_time": cooldown,
        f"{outlier}failure_percentage_threshold": FAILURE_PERCENT,
        f"{outlier}enforcing_failure_percentage": 100,
        f"{outlier}failure_percentage_minimum_hosts": 1,
        f"{outlier}failure_percentage_request_volume": COUNTED_REQUESTS,
        "/health_checks/0/no_traffic_interval": f"{step_seconds(made.of.plan.study.detection_seconds):.10g}s",
        "/common_lb_config/update_merge_window": "0s",
    }
    patches = [
        {
            "type": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
            "name": f"httproute/{made.options['ai_gateway_namespace']}/{route.id}/rule/0",
            "operation": {"op": "add", "path": path, "value": value},
        }
        for path, value in values.items()
    ]
    target = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": made.options["gateway"]}
    spec = {"targetRef": target, "type": "JSONPatch", "jsonPatches": patches}
    about = {"workload": route.workload, "origin": route.origin}
    return _object(made, "gateway.envoyproxy.io/v1alpha1", "EnvoyPatchPolicy", route.id, about, spec)


# ------------------------------------------------------------------ overrides
@dataclass(frozen=True)
class Push:
    """What an override says from a deadline of a failure on: origin -> workload -> (placement, weight)."""

    failure: str
    deadline_seconds: float
    routes: Mapping[str, Mapping[str, tuple[tuple[str, int], ...]]]

    def placements(self, origin: str) -> set[str]:
        """Those that the override of an origin refers to."""
        return {e for backends in self.routes.get(origin, {}).values() for e, _ in backends}


def _pushed(made: Given) -> list[Push]:
    """The overrides of all failures, as in `overrides/FAILURE.json`."""
    pushed = []
    for f in made.of.problem.failures:
        states: Any = override_data(made.of, f)["states"] if f != NORMAL else []
        for state in states:
            routes: dict[str, dict[str, tuple[tuple[str, int], ...]]] = {}
            for row in state["routes"]:
                backends = tuple((x["placement"], x["weight"]) for x in row["placements"])
                routes.setdefault(row["origin"], {})[row["workload"]] = backends
            pushed.append(Push(f, state["deadline_seconds"], routes))
    return pushed


def with_endpoints(made: Given, pushed: list[Push]) -> Given:
    """With the addresses of the placements that only overrides refer to."""
    needed = {e for push in pushed for origin in push.routes for e in push.placements(origin)}
    known = placed(made.of.plan.study)
    models = {e: known[e][0].model for e in sorted(needed - set(made.endpoints))}
    more = endpoints(made.of.problem, models, made.options["endpoint"], made.options["endpoints"])
    return replace(made, endpoints={**made.endpoints, **more})


def _overrides(made: Given, pushed: list[Push]) -> dict[str, str]:
    """Routes to apply from each deadline of a failure on; applying the origin's own file undoes it."""
    written = {}
    for push in pushed:
        folder = f"overrides/{slug(push.failure)}/{slug(f'at-{push.deadline_seconds:g}-s')}"
        for origin, workloads in push.routes.items():
            routes = [
                _route(made, w, origin, [(e, weight, 0) for e, weight in backends]) for w, backends in workloads.items()
            ]
            written[f"{folder}/{slug(origin)}.yaml"] = quoted_yaml(_listed(routes), OVERRIDE_COMMENTS)
    return written


# ------------------------------------------------------------------ read back
def expected(made: Given, origin: str) -> Rows:
    """(route, backend) -> (priority, weight, the port of its address), from the routing table."""
    rows = {}
    for route in made.table.of_origin(origin):
        for priority, backends in enumerate(backend_priorities(route)):
            for x, weight in backends:
                rows[route.id, slug(x.placement)] = (priority, weight, made.endpoints[x.placement].port)
    return rows


def rows_of(data: Any) -> Rows:
    """The same from the objects."""
    ports: dict[str, int] = {}
    for one in data["items"]:
        if one["kind"] == "Backend":
            (at,) = one["spec"]["endpoints"]
            ports[one["metadata"]["name"]] = next(iter(at.values()))["port"]
    rows = {}
    for one in data["items"]:
        if one["kind"] == "AIGatewayRoute":
            for x in one["spec"]["rules"][0]["backendRefs"]:
                rows[one["metadata"]["name"], x["name"]] = (x["priority"], x["weight"], ports.get(x["name"], 0))
    return rows


def _lint(made: Given, origin: str, path: str, data: Any) -> list[Finding]:
    return list(differing(path, "backends", expected(made, origin), rows_of(data)))
