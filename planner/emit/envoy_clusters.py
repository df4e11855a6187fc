"""The clusters of an Envoy gateway: one a workload, in a file of their own that Envoy watches.

A level is a priority, a placement a locality. Endpoint weights are limits as shares of the peak, localities have the
weights of the plan; with `weighted_priority_health` and the overprovisioning factor a priority takes what its living
placements have room for, and the rest spills to the next. Behind the last stands a refusal of our own (429): requests
beyond all limits end there and overload nobody.
"""

import ipaddress
import math
from typing import Any

from planner.emit.behaviour import Host, Priority, envoy_priorities, retry_percent
from planner.emit.common import Given
from planner.emit.detection import (
    CHECKS_BEFORE_OUT,
    COUNTED_REQUESTS,
    ENVOY,
    FAILS_BEFORE_OUT,
    FAILURE_PERCENT,
    detections_of_route,
    step_seconds,
)
from planner.emit.envoy_parts import LOOPBACK, TYPE, address, duration, typed
from planner.emit.lint import Rows
from planner.emit.names import slug
from planner.emit.options import Endpoint
from planner.emit.routing import Route

SIGMAS = 4.0
TLS = "extensions.transport_sockets.tls.v3.UpstreamTlsContext"


def clusters(made: Given, origin: str) -> dict[str, Any]:
    """The clusters of one gateway as data: a response of the discovery service."""
    routes = made.table.of_origin(origin)
    return {
        "version_info": made.set_id,
        "resources": [{"@type": f"{TYPE}config.cluster.v3.Cluster", **_cluster(made, route)} for route in routes],
    }


def _cluster(made: Given, route: Route) -> dict[str, Any]:
    addresses = all(made.endpoints[x.placement].is_address for x in route.entries)
    step = duration(step_seconds(made.of.plan.study.detection_seconds))
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
        "hostname": at.authority,
        "address": address(at.host, at.port),
        "health_check_config": {"hostname": at.authority},
    }
    weighted = {"load_balancing_weight": host.health_weight, "endpoint": endpoint, "metadata": _reached(_socket(at))}
    return _group(number, host.locality_weight, place, weighted)


def _reached(socket: str) -> dict[str, Any]:
    """By which of the cluster's transport sockets an endpoint is reached."""
    return {"filter_metadata": {"envoy.transport_socket_match": {"scheme": socket}}}


def _socket(at: Endpoint) -> str:
    """The transport socket of an endpoint; one of its own for each address that is asked over TLS."""
    return f"https {at.host}" if at.scheme == "https" and at.is_address else at.scheme


def _own(port: int) -> dict[str, Any]:
    """An endpoint on loopback whose health nobody checks."""
    return {"address": address(LOOPBACK, port), "health_check_config": {"disable_active_health_check": True}}


def _padding(priority: Priority, number: int) -> dict[str, Any]:
    """Weight that never lives: it makes the priority as large as the largest, for the factor is one for all."""
    place = {"region": "padding", "sub_zone": f"padding--{number}"}
    endpoint = {"load_balancing_weight": priority.padding, "health_status": "UNHEALTHY", "endpoint": _own(9)}
    return _group(number, 1, place, endpoint)


def _refusing(made: Given, number: int, weight: int) -> dict[str, Any]:
    """Our own listener that answers 429: the last priority, and what is shed of a pushed one."""
    place = {"region": "refusal", "sub_zone": f"refusal--{number}"}
    endpoint = {"hostname": "refusal", **_own(made.integers["refusal_port"])}
    refusing = {"load_balancing_weight": weight, "endpoint": endpoint, "metadata": _reached("http")}
    return _group(number, weight, place, refusing)


def _transport(made: Given, route: Route) -> dict[str, Any]:
    """TLS to the endpoints that ask for it: each is named by its own host name, in health checks too, and its
    certificate has to be for that name. What the client calls the gateway is of no account there."""
    ends = [made.endpoints[x.placement] for x in route.entries]
    if all(at.scheme == "http" for at in ends):
        return {}
    trusted = {"trusted_ca": {"filename": made.options["ca_file"]}}
    secured = {
        _socket(at): _tls_to_address(at.host, trusted) if at.is_address else _tls_by_name(trusted)
        for at in ends
        if at.scheme == "https"
    }
    plain = typed("envoy.transport_sockets.raw_buffer", "extensions.transport_sockets.raw_buffer.v3.RawBuffer")
    return {
        "transport_socket_matches": [
            *({"name": name, "match": {"scheme": name}, "transport_socket": secured[name]} for name in sorted(secured)),
            {"name": "http", "match": {}, "transport_socket": plain},
        ],
    }


def _tls_by_name(trusted: dict[str, Any]) -> dict[str, Any]:
    """TLS to host names."""
    return typed(
        "envoy.transport_sockets.tls",
        TLS,
        auto_host_sni=True,
        auto_sni_san_validation=True,
        common_tls_context={"validation_context": trusted},
    )


def _tls_to_address(host: str, trusted: dict[str, Any]) -> dict[str, Any]:
    """TLS to an IP address, which is no server name (RFC 6066, section 3): its certificate names the address."""
    named = {"san_type": "IP_ADDRESS", "matcher": {"exact": ipaddress.ip_address(host).compressed}}
    context = {**trusted, "match_typed_subject_alt_names": [named]}
    return typed("envoy.transport_sockets.tls", TLS, common_tls_context={"validation_context": context})


def expected(made: Given, origin: str) -> Rows:
    """(cluster, sub-zone) -> (priority, locality weight, endpoint weight), from the routing table."""
    rows = {}
    for route in made.table.of_origin(origin):
        for number, priority in enumerate(envoy_priorities(route).priorities):
            for host in priority.hosts:
                key = route.id, f"{host.entry.id}--{number}"
                rows[key] = (number, host.locality_weight, host.health_weight)
    return rows
