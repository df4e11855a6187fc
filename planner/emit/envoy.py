"""Envoy: one configuration a gateway, that is, an origin; one cluster and one route a workload.

Clusters stand in a file of their own that Envoy watches: a renaming replaces them all at once, in a failure by those of
its override. Endpoints of their own (EDS) would not do: there Envoy keeps only the first of those with one address
(eds.cc; issue 23445 of envoyproxy/envoy), and a placement stands in two priorities.

A level is a priority, a placement a locality. Endpoint weights are limits as shares of the peak, localities have the
weights of the plan; with `weighted_priority_health` and the overprovisioning factor a priority takes what its living
placements have room for, and the rest spills to the next. Behind the last stands a refusal of our own (429): requests
beyond all limits end there and overload nobody.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from planner.emit.behaviour import SCALE, Host, Priority, envoy_priorities, retry_percent
from planner.emit.common import GatewayFile, Given, gateway_files, given
from planner.emit.detection import (
    CHECKS_BEFORE_OUT,
    COUNTED_REQUESTS,
    ENVOY,
    FAILS_BEFORE_OUT,
    FAILURE_PERCENT,
    detections_of_route,
    step_seconds,
    stream_wait_seconds,
    whole_wait_seconds,
)
from planner.emit.lint import Rows, lint_envoy, lint_envoy_clusters, raise_if_any
from planner.emit.names import slug
from planner.emit.options import Endpoint
from planner.emit.pushing import envoy_pushing
from planner.emit.routing import Route
from planner.errors import Finding
from planner.plan.in_hand import Plan
from planner.study.records.plan import PlanFile
from planner.units import MS_PER_SECOND

OPTIONS: Mapping[str, str] = {
    "endpoint": "",
    "endpoints": "",
    "limits": "goals",
    "listen": "127.0.0.1",
    "port": "10000",
    "admin_port": "9901",
    "refusal_port": "10001",
    "health_path": "/health",
    "ca_file": "/etc/ssl/certs/ca-certificates.crt",
    "cooldown_seconds": "30",
    "folder": ".",
    "gateway_replicas": "1",
}
REFUSED = 429
RETRIES = 3
PICKS_BEFORE_RETRY = 30
"""How often another host is drawn for a retry before one that failed already is taken again."""
SIGMAS = 4.0
MOST_BODY_BYTES = 1 << 24
"""Longest request that is read for its `stream`, and that can be tried again; a longer one is refused, 413."""
OF_REQUEST = "planner.request"
"""Namespace of what is read from a request's body."""
TYPE = "type.googleapis.com/envoy."
LOOPBACK = "127.0.0.1"
CLUSTERS = "clusters.yaml"
GATEWAY_COMMENTS = (
    "Envoy gateway of one origin. Clients ask for /WORKLOAD/...; Envoy does not count tokens, so whoever sets the",
    "path answers for the context class. Keys of providers pass through from the client; none is here.",
    f"Placements, weights and limits are in {CLUSTERS}, which is watched: see option folder.",
)
COMMENTS = (
    "Placements, weights and limits of one origin's Envoy gateway. Replace it by renaming: what is changed in place is",
    "not read again. How and when: RUNBOOK.md.",
    f"Endpoint weights: limits, of {SCALE} at the peak; in an override: shares, of 10000 that are served.",
    "Spill is in whole percents of the peak, rounded down.",
    "Hour of the plan: the one with the largest total traffic, of {hours}.",
    "Shares follow health, not rates: beyond the peak every placement gets more than its limit.",
    "One address a placement: a name that resolves to several counts several times.",
    "A request that fails after a part of its answer may be run twice.",
)


def files(plan: PlanFile | Plan, options: Mapping[str, str]) -> dict[str, str]:
    """Files of the Envoy gateways of a plan: path -> text.

    Parameters
    ----------
    options : endpoint (template of the addresses), endpoints (JSON, placement: address), limits (goals or always),
        listen, port, admin_port, refusal_port, health_path, ca_file, cooldown_seconds, folder, gateway_replicas

    Raises
    ------
    InputError
        for every option that does not fit, and every entry that the plan does not bear out
    """
    made = given(plan, options, OPTIONS)
    raise_if_any(_unfit(made))
    parts = (
        GatewayFile("envoy.yaml", config, GATEWAY_COMMENTS, _lint, is_pushed=False),
        GatewayFile(CLUSTERS, clusters, COMMENTS, _lint_clusters, is_pushed=True),
    )
    return gateway_files(made, "envoy", parts, envoy_pushing(made.options["folder"], made.integers["admin_port"]))


def _lint(made: Given, origin: str, path: str, data: Any) -> list[Finding]:
    return lint_envoy(path, [route.id for route in made.table.of_origin(origin)], data)


def _lint_clusters(made: Given, origin: str, path: str, data: Any) -> list[Finding]:
    return lint_envoy_clusters(path, [x.id for x in made.table.of_origin(origin)], expected(made, origin), data)


def _unfit(made: Given) -> list[Finding]:
    """What Envoy cannot do: several paths behind one route; and values that are no address or path."""
    findings = set()
    for route in made.table.routes:
        sent = {e for s in made.of.sent.values() for e in s.get((route.workload, route.origin), {})}
        used = {x.placement for x in route.entries} | (sent & set(made.endpoints))
        paths = sorted({made.endpoints[e].path for e in used})
        if len(paths) > 1:
            where, fix = f"endpoints of {route.workload}", "let them differ in host or port only"
            findings.add(Finding(where, "one path for all placements", ", ".join(paths)[:120], fix))
    path, ca, listen = (made.options[name] for name in ("health_path", "ca_file", "listen"))
    if not (path.isascii() and path.isprintable() and path.startswith("/") and " " not in path):
        findings.add(Finding("option health_path", "a path, as in /health", repr(path)[:80], "correct it"))
    if not (ca.isascii() and ca.isprintable() and ca.startswith("/")):
        findings.add(Finding("option ca_file", "an absolute path", repr(ca)[:80], "correct it"))
    folder = made.options["folder"]
    if not (folder.isascii() and folder.isprintable() and folder):
        findings.add(Finding("option folder", "a path, as /etc/envoy", repr(folder)[:80], "correct it"))
    if not Endpoint("http", listen, 80, "").is_address:
        findings.add(Finding("option listen", "an IP address", repr(listen)[:80], "correct it"))
    return sorted(findings)


# ------------------------------------------------------------------ the parts of a configuration
def config(made: Given, origin: str) -> dict[str, Any]:
    """The configuration of one gateway as data, but its clusters."""
    routes = made.table.of_origin(origin)
    ports = made.integers
    entries = [entry for route in routes for entry in _routes(made, route)]
    folder = made.options["folder"].rstrip("/")
    watched = {"path": f"{folder}/{CLUSTERS}", "watched_directory": {"path": folder or "/"}}
    return {
        "node": {"id": slug(origin), "cluster": "gateways"},
        "dynamic_resources": {"cds_config": {"resource_api_version": "V3", "path_config_source": watched}},
        "admin": {"address": _address(LOOPBACK, ports["admin_port"])},
        "static_resources": {
            "listeners": [
                _listener("gateway", made.options["listen"], ports["port"], entries, [_reads_stream()]),
                _listener("refusal", LOOPBACK, ports["refusal_port"], [_refusal()]),
            ],
        },
    }


def clusters(made: Given, origin: str) -> dict[str, Any]:
    """The clusters of one gateway as data: a response of the discovery service."""
    routes = made.table.of_origin(origin)
    return {
        "version_info": made.set_id,
        "resources": [{"@type": f"{TYPE}config.cluster.v3.Cluster", **_cluster(made, route)} for route in routes],
    }


def _address(host: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": host, "port_value": port}}


def _typed(name: str, type_name: str, **config: Any) -> dict[str, Any]:
    """An extension of Envoy: its name, and its configuration with its type."""
    return {"name": name, "typed_config": {"@type": f"{TYPE}{type_name}", **config}}


def _listener(
    name: str, host: str, port: int, routes: list[dict[str, Any]], filters: Sequence[dict[str, Any]] = ()
) -> dict[str, Any]:
    manager = _typed(
        "envoy.filters.network.http_connection_manager",
        "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix=name,
        stream_idle_timeout="0s",
        # clusters come later than routes; the emission has looked that each is there
        route_config={
            "name": name,
            "validate_clusters": False,
            "virtual_hosts": [{"name": name, "domains": ["*"], "routes": routes}],
        },
        http_filters=[*filters, _typed("envoy.filters.http.router", "extensions.filters.http.router.v3.Router")],
    )
    return {
        "name": name,
        "address": _address(host, port),
        "per_connection_buffer_limit_bytes": MOST_BODY_BYTES,
        "filter_chains": [{"filters": [manager]}],
    }


def _reads_stream() -> dict[str, Any]:
    """A filter that reads `stream` from a request's body, for the route to depend on."""
    rule = {"selectors": [{"key": "stream"}], "on_present": {"metadata_namespace": OF_REQUEST, "key": "stream"}}
    return _typed(
        "envoy.filters.http.json_to_metadata",
        "extensions.filters.http.json_to_metadata.v3.JsonToMetadata",
        request_rules={"rules": [rule]},
    )


def _refusal() -> dict[str, Any]:
    return {
        "match": {"prefix": "/"},
        "direct_response": {"status": REFUSED, "body": {"inline_string": "all placements are at their limits\n"}},
        # with the second header Envoy does not try it again: all placements are full
        "response_headers_to_add": [
            {"header": {"key": "retry-after", "value": "1"}},
            {"header": {"key": "x-envoy-ratelimited", "value": "true"}},
        ],
    }


def _routes(made: Given, route: Route) -> list[dict[str, Any]]:
    """Two routes of a workload: an answer that is streamed has begun by its first-token limit, another may say nothing
    until it is whole."""
    study = made.of.plan.study
    profiles = [made.profiles[x.placement] for x in route.entries]
    workload = made.workloads[route.workload]
    wait = _duration(stream_wait_seconds(study, workload, profiles))
    # no per_try_timeout: once the answer has begun it does nothing, and where it ends first no idle timeout comes after
    # it (Envoy 1.40.0): an engine that sends its head before the first token would be waited for without end
    streamed = _route(made, route, wait)
    path = [{"key": "stream"}]
    streamed["match"]["dynamic_metadata"] = [{"filter": OF_REQUEST, "path": path, "value": {"bool_match": True}}]
    longest = whole_wait_seconds(study, workload, profiles)
    return [streamed, _route(made, route, _duration(longest))]


def _duration(seconds: float) -> str:
    """Seconds as Envoy reads them, rounded up to a millisecond."""
    return f"{math.ceil(round(seconds * MS_PER_SECOND, 6)) / MS_PER_SECOND:.10g}s"


def _route(made: Given, route: Route, idle_timeout: str) -> dict[str, Any]:
    path = made.endpoints[route.entries[0].placement].path
    alone = len(route.levels[0]) == 1
    return {
        "match": {"prefix": f"/{route.id}/"},
        "route": {
            "cluster": route.id,
            "prefix_rewrite": f"{path}/",
            "auto_host_rewrite": True,
            "timeout": "0s",
            "retry_policy": {
                "retry_on": "5xx,reset,connect-failure,refused-stream,retriable-status-codes",
                "retriable_status_codes": [REFUSED],
                "num_retries": RETRIES,
                "per_try_idle_timeout": idle_timeout,
                "host_selection_retry_max_attempts": PICKS_BEFORE_RETRY,
                "retry_host_predicate": [
                    _typed(
                        "envoy.retry_host_predicates.previous_hosts",
                        "extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate",
                    )
                ],
                # first another host of the same level, where there is one, then another level
                "retry_priority": _typed(
                    "envoy.retry_priorities.previous_priorities",
                    "extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig",
                    update_frequency=1 if alone else 2,
                ),
            },
        },
    }


def _cluster(made: Given, route: Route) -> dict[str, Any]:
    addresses = all(made.endpoints[x.placement].is_address for x in route.entries)
    step = _duration(step_seconds(made.of.plan.study.detection_seconds))
    return {
        "name": route.id,
        "type": "STATIC" if addresses else "STRICT_DNS",
        "connect_timeout": step,
        "lb_policy": "ROUND_ROBIN",
        "common_lb_config": {
            "healthy_panic_threshold": {"value": 0},
            "locality_weighted_lb_config": {},
            "update_merge_window": "0s",  # workers hear of a death at once, not up to a second later
        },
        "load_assignment": _assignment(made, route),
        "health_checks": [
            {
                "timeout": step,
                "interval": step,
                "no_traffic_interval": step,
                "unhealthy_threshold": CHECKS_BEFORE_OUT,
                "healthy_threshold": CHECKS_BEFORE_OUT,
                "http_health_check": {"path": made.options["health_path"]},
            }
        ],
        "outlier_detection": _outliers(step, f"{made.integers['cooldown_seconds']}s"),
        "circuit_breakers": {"thresholds": [_breaker(made, route)]},
        **_transport(made, route),
    }


def _assignment(made: Given, route: Route) -> dict[str, Any]:
    """All endpoints of a cluster: priorities of placements, what pads them, and the refusal behind the last."""
    shape = envoy_priorities(route)
    groups = [
        _locality(made, host, number) for number, priority in enumerate(shape.priorities) for host in priority.hosts
    ]
    groups += [_padding(priority, number) for number, priority in enumerate(shape.priorities) if priority.padding]
    groups += [_refusing(made, number, p.refused) for number, p in enumerate(shape.priorities) if p.refused]
    groups.append(_refusing(made, len(shape.priorities), 1))
    return {
        "cluster_name": route.id,
        "endpoints": groups,
        "policy": {
            "overprovisioning_factor": shape.overprovisioning_factor,
            "weighted_priority_health": True,
        },
    }


def _outliers(step: str, cooldown: str) -> dict[str, Any]:
    """What takes a placement out although its health checks pass, for the cooldown, whatever they say meanwhile."""
    return {
        "consecutive_5xx": FAILS_BEFORE_OUT,
        "enforcing_consecutive_5xx": 100,
        "consecutive_gateway_failure": FAILS_BEFORE_OUT,
        "enforcing_consecutive_gateway_failure": 100,
        "enforcing_success_rate": 0,
        # a stream that is cut after its 200 is no consecutive failure, for the 200 came before
        "failure_percentage_threshold": FAILURE_PERCENT,
        "enforcing_failure_percentage": 100,
        "failure_percentage_minimum_hosts": 1,
        "failure_percentage_request_volume": COUNTED_REQUESTS,
        "interval": step,
        "base_ejection_time": cooldown,
        "max_ejection_time": cooldown,
        "max_ejection_percent": 100,
        "successful_active_health_check_uneject_host": False,
    }


def _breaker(made: Given, route: Route) -> dict[str, Any]:
    """The circuit breaker of a route: what the limits of its failures keep in flight, and the retries among them."""
    flight = in_flight(made, route)
    return {
        # connections are kept after their requests: were they no more, requests would queue behind idle ones
        "max_connections": 2 * flight,
        **dict.fromkeys(("max_pending_requests", "max_requests"), flight),
        "retry_budget": {
            "budget_percent": {"value": retry_percent(route)},
            "min_retry_concurrency": least_retries(flight),
        },
        "track_remaining": True,
    }


def in_flight(made: Given, route: Route, gateway: str = ENVOY) -> int:
    """Requests of a route that may be in flight in one gateway: what all placements at their limits hold, what hangs
    in those that fail until they are out, and its fluctuation. Limits are those that hold in each failure; gateways of
    an origin share them.

    Formula
        n + 4 √n,   n = (Σ limit · replica_seconds · concurrency of a replica + peak · seconds) / gateway replicas,
        seconds: until the last fault of streamed answers is out
    Units
        requests
    Source
        Little's law: a replica-second holds as many requests as the profile's concurrency; independent arrivals stay
        within four standard deviations but once in 30,000
    """
    p, study = made.of.problem, made.of.plan.study
    held = route.requests_per_second * max(x.streamed_seconds for x in detections_of_route(study, route, gateway))
    for x in route.entries:
        seconds = p.replica_seconds[route.workload, x.placement]
        held += x.limit_requests_per_second * seconds * made.profiles[x.placement].concurrency_limit
    held /= made.integers["gateway_replicas"]
    return max(1, math.ceil(round(held + SIGMAS * math.sqrt(held), 6)))


def least_retries(flight: int) -> int:
    """Requests that may be tried again at once however few are in flight: what their number fluctuates by.

    Examples
    --------
    >>> least_retries(100)
    40
    """
    return math.ceil(SIGMAS * math.sqrt(flight))


def _group(number: int, weight: int, place: dict[str, str], endpoint: dict[str, Any]) -> dict[str, Any]:
    """A locality of one endpoint in a priority."""
    return {"priority": number, "load_balancing_weight": weight, "locality": place, "lb_endpoints": [endpoint]}


def _locality(made: Given, host: Host, number: int) -> dict[str, Any]:
    p, e = made.of.problem, host.entry.placement
    at, pool = made.endpoints[e], p.pool_of[e]
    place = {
        "region": slug(p.provider_of[pool]),
        "zone": slug(p.site_of[pool]),
        "sub_zone": f"{host.entry.id}--{number}",
    }
    endpoint = {
        "hostname": at.host,
        "address": _address(at.host, at.port),
        "health_check_config": {"hostname": at.host},
    }
    weighted = {"load_balancing_weight": host.health_weight, "endpoint": endpoint, "metadata": _scheme(at.scheme)}
    return _group(number, host.locality_weight, place, weighted)


def _scheme(name: str) -> dict[str, Any]:
    """By which of the cluster's transport sockets an endpoint is reached."""
    return {"filter_metadata": {"envoy.transport_socket_match": {"scheme": name}}}


def _own(port: int) -> dict[str, Any]:
    """An endpoint on loopback whose health nobody checks."""
    return {"address": _address(LOOPBACK, port), "health_check_config": {"disable_active_health_check": True}}


def _padding(priority: Priority, number: int) -> dict[str, Any]:
    """Weight that never lives: it makes the priority as large as the largest, for the factor is one for all."""
    place = {"region": "padding", "sub_zone": f"padding--{number}"}
    endpoint = {"load_balancing_weight": priority.padding, "health_status": "UNHEALTHY", "endpoint": _own(9)}
    return _group(number, 1, place, endpoint)


def _refusing(made: Given, number: int, weight: int) -> dict[str, Any]:
    """Our own listener that answers 429: the last priority, and what is shed of a pushed one."""
    place = {"region": "refusal", "sub_zone": f"refusal--{number}"}
    endpoint = {"hostname": "refusal", **_own(made.integers["refusal_port"])}
    refusing = {"load_balancing_weight": weight, "endpoint": endpoint, "metadata": _scheme("http")}
    return _group(number, weight, place, refusing)


def _transport(made: Given, route: Route) -> dict[str, Any]:
    """TLS to the endpoints that ask for it: each is named by its own host name, in health checks too, and its
    certificate has to be for that name. What the client calls the gateway is of no account there."""
    if all(made.endpoints[x.placement].scheme == "http" for x in route.entries):
        return {}
    trusted = {"trusted_ca": {"filename": made.options["ca_file"]}}
    tls = _typed(
        "envoy.transport_sockets.tls",
        "extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        auto_host_sni=True,
        auto_sni_san_validation=True,
        common_tls_context={"validation_context": trusted},
    )
    plain = _typed("envoy.transport_sockets.raw_buffer", "extensions.transport_sockets.raw_buffer.v3.RawBuffer")
    return {
        "transport_socket_matches": [
            {"name": "https", "match": {"scheme": "https"}, "transport_socket": tls},
            {"name": "http", "match": {}, "transport_socket": plain},
        ],
    }


def expected(made: Given, origin: str) -> Rows:
    """(cluster, sub-zone) -> (priority, locality weight, endpoint weight), from the routing table."""
    rows = {}
    for route in made.table.of_origin(origin):
        for number, priority in enumerate(envoy_priorities(route).priorities):
            for host in priority.hosts:
                key = route.id, f"{host.entry.id}--{number}"
                rows[key] = (number, host.locality_weight, host.health_weight)
    return rows
