"""Envoy AI Gateway: objects of one gateway, that is, an origin; backends have priorities, and shares are their weights.

Clients name the workload as the model; the gateway puts that into the header `x-ai-eg-model`, and the backend is asked
for the model itself. Backends are AIServiceBackends, for priority and weight are ignored for InferencePools. Health is
judged by requests alone: an active check that succeeds would bring back at once what failing requests have put out.
With `checks=active` there are such checks, and a patch of what the gateway makes of them takes that back.

What is pushed in a failure is the file of all routes. A stream that is shed in part gets a rate limit: its filter comes
after the one that finds out the model (envoyproxy/ai-gateway, internal/extensionserver/post_translate_modify.go, 2026).
An injected fault would be a share, but its filter comes before, and would refuse requests of other workloads.
"""

import math
from collections.abc import Mapping
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
from planner.emit.kubectl_pushing import ai_gateway_pushing
from planner.emit.kubernetes_options import PREFIX, is_name
from planner.emit.lint import Rows, differing, raise_if_any
from planner.emit.names import slug
from planner.emit.options import PATH, Endpoint
from planner.emit.routing import Route
from planner.emit.spill import backend_groups, let_through_fraction
from planner.errors import Finding
from planner.plan.in_hand import Plan
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
LEAST_PER_SECOND = 20
"""A limit of fewer requests/s is one of a minute: rounded to whole requests it would miss by more than 5 %."""
SECONDS_PER_MINUTE = 60
RETRIED = (429, 500, 502, 503, 504)
TRIGGERS = ("connect-failure", "refused-stream", "reset", "retriable-status-codes")
COMMENTS = (
    "Envoy AI Gateway of one origin: placements, of its routes and of every set. Apply it before routes.yaml.",
    "Keys of providers pass through from the client; none is here.",
)
ROUTE_COMMENTS = (
    "Envoy AI Gateway of one origin: its routes. Clients ask for a workload as the model.",
    "Hour of the plan: the one with the largest total traffic, of {hours}.",
    "No limit of a placement is kept: priorities spill by how many backends live, not by what they have room for.",
    "A request that fails after a part of its answer may be run twice.",
    "A workload without backends is not served; one that is shed in part has a rate limit.",
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
    parts = (
        GatewayFile("gateway.yaml", gateway_objects, COMMENTS, _lint_backends, is_pushed=False),
        GatewayFile("routes.yaml", route_objects, ROUTE_COMMENTS, _lint_routes, is_pushed=True),
    )
    return gateway_files(made, _named(made), parts, ai_gateway_pushing(made.options["ai_gateway_namespace"]))


def _named(made: Given) -> str:
    """Under which name it is known how the gateway finds out what fails."""
    return ENVOY_AI_GATEWAY_ACTIVE if made.options["checks"] == ACTIVE else ENVOY_AI_GATEWAY


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


def gateway_objects(made: Given, origin: str) -> dict[str, Any]:
    """What stays whatever fails, as a list that is applied as one: placements, and patches where checks are active."""
    items = [one for e in sorted(_reached(made, origin)) for one in _backend(made, e)]
    if made.options["checks"] == ACTIVE:
        items += [_patch(made, route) for route in made.table.of_origin(origin)]
    return _listed(items)


def _reached(made: Given, origin: str) -> set[str]:
    """Placements that a route of an origin refers to, or a set of it may."""
    return {e for route in made.table.of_origin(origin) for e in route.placements}


def route_objects(made: Given, origin: str) -> dict[str, Any]:
    """The routes of one gateway, with what says how they fail over: what a set replaces, all of it."""
    routes = made.table.of_origin(origin)
    return _listed([one for route in routes for one in (_route(made, route), _traffic_policy(made, route))])


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
def _route(made: Given, route: Route) -> dict[str, Any]:
    """Where the requests of a workload go; to no backend: an error."""
    model = made.workloads[route.workload].model
    backends = [
        {"name": slug(x.placement), "modelNameOverride": model, "weight": weight, "priority": priority}
        for priority, group in enumerate(backend_groups(route))
        for x, weight in group
    ]
    header = {"type": "Exact", "name": MODEL_HEADER, "value": route.id}
    rule = {
        "matches": [{"headers": [header]}],
        **({"backendRefs": backends} if backends else {}),
        "timeouts": {"request": "0s"},  # without it a request ends after 60 s
    }
    spec = {"parentRefs": [{"name": made.options["gateway"]}], "rules": [rule]}
    return _object(made, "aigateway.envoyproxy.io/v1beta1", "AIGatewayRoute", route.id, _about(made, route), spec)


def _about(made: Given, route: Route) -> dict[str, str]:
    return {"workload": route.workload, "origin": route.origin, "set": made.set_id}


def _traffic_policy(made: Given, route: Route) -> dict[str, Any]:
    """Retries, ejection by failing requests, and requests in flight; of the HTTPRoute that the route above becomes."""
    target = {"targetRefs": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": route.id}]}
    spec = target | (_behaviour(made, route) if route.levels else {})
    about = _about(made, route)
    return _object(made, "gateway.envoyproxy.io/v1alpha1", "BackendTrafficPolicy", route.id, about, spec)


def _behaviour(made: Given, route: Route) -> dict[str, Any]:
    _, wait = waits(made.of.plan.study, route)
    flight = in_flight(made, route, _named(made))
    return {
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
        **_rate_limit(made, route),
    }


def _rate_limit(made: Given, route: Route) -> dict[str, Any]:
    """What one gateway lets through of a route that is not served in full; empty: all.

    Formula
        ⌊let_through_fraction · requests_per_second / gateway_replicas⌋ a second from 20 on, else a minute; at least 1
    Units
        requests
    """
    fraction = let_through_fraction(route)
    if fraction >= 1:
        return {}
    rate = fraction * route.requests_per_second / made.integers["gateway_replicas"]
    unit, requests = ("Second", rate) if rate >= LEAST_PER_SECOND else ("Minute", SECONDS_PER_MINUTE * rate)
    limit = {"requests": max(1, math.floor(round(requests, 6))), "unit": unit}
    return {"rateLimit": {"type": "Local", "local": {"rules": [{"limit": limit}]}}}


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
    return {"panicThreshold": 0, "passive": passive} | ({"active": active} if made.options["checks"] == ACTIVE else {})


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


# ------------------------------------------------------------------ read back
def expected(made: Given, origin: str) -> Rows:
    """(route, backend) -> (priority, weight, 0), from the routing table or the set."""
    return {
        (route.id, slug(x.placement)): (priority, weight, 0)
        for route in made.table.of_origin(origin)
        for priority, backends in enumerate(backend_groups(route))
        for x, weight in backends
    }


def rows_of(data: Any) -> Rows:
    """The same from the objects."""
    rows = {}
    for one in data["items"]:
        if one["kind"] == "AIGatewayRoute":
            for x in one["spec"]["rules"][0].get("backendRefs", []):
                rows[one["metadata"]["name"], x["name"]] = (x["priority"], x["weight"], 0)
    return rows


def _lint_routes(made: Given, origin: str, path: str, data: Any) -> list[Finding]:
    """Backends of each route, with their priorities and weights, are those of the table."""
    return list(differing(path, "backends", expected(made, origin), rows_of(data)))


def _lint_backends(made: Given, origin: str, path: str, data: Any) -> list[Finding]:
    """Each placement that a route or a set may name has a backend, at its own address."""
    wanted: Rows = {("Backend", slug(e)): (made.endpoints[e].port, 0, 0) for e in _reached(made, origin)}
    written: Rows = {}
    for one in data["items"]:
        if one["kind"] == "Backend":
            (at,) = one["spec"]["endpoints"]
            written["Backend", one["metadata"]["name"]] = (next(iter(at.values()))["port"], 0, 0)
    return list(differing(path, "port", wanted, written))
