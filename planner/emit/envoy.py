"""Envoy: one configuration a gateway, that is, an origin; one cluster and one route a workload.

Clusters stand in a file of their own that Envoy watches: a renaming replaces them all at once, in a failure by those of
its override. Endpoints of their own (EDS) would not do: there Envoy keeps only the first of those with one address
(eds.cc; issue 23445 of envoyproxy/envoy), and a placement stands in two priorities.

What clusters are made of is in envoy_clusters.py.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from planner.emit.behaviour import SCALE
from planner.emit.common import GatewayFile, Given, gateway_files, given
from planner.emit.detection import waits_of
from planner.emit.envoy_clusters import clusters, expected
from planner.emit.envoy_parts import LOOPBACK, address, duration, typed
from planner.emit.lint import lint_envoy, lint_envoy_clusters, raise_if_any
from planner.emit.names import slug
from planner.emit.options import Endpoint
from planner.emit.pushing import envoy_pushing
from planner.emit.routing import Route
from planner.errors import Finding
from planner.plan.in_hand import Plan
from planner.study.records.plan import PlanFile

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
MOST_BODY_BYTES = 1 << 24
"""Longest request that is read for its `stream`, and that can be tried again; a longer one is refused, 413."""
OF_REQUEST = "planner.request"
"""Namespace of what is read from a request's body."""
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
    "One address a placement: a name that resolves to several counts several times; one that resolves to none is out.",
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
    pushing = envoy_pushing(made.of.plan.study, made.options["folder"], made.integers["admin_port"])
    return gateway_files(made, "envoy", parts, pushing)


def _lint(made: Given, origin: str, path: str, data: Any) -> list[Finding]:
    return lint_envoy(path, [route.id for route in made.table.of_origin(origin)], data)


def _lint_clusters(made: Given, origin: str, path: str, data: Any) -> list[Finding]:
    return lint_envoy_clusters(path, [x.id for x in made.table.of_origin(origin)], expected(made, origin), data)


def _unfit(made: Given) -> list[Finding]:
    """What Envoy cannot do: several paths behind one route; and values that are no address or path."""
    findings = set()
    for route in made.table.routes:
        paths = sorted({made.endpoints[e].path for e in route.placements})
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
        "admin": {"address": address(LOOPBACK, ports["admin_port"])},
        "static_resources": {
            "listeners": [
                _listener("gateway", made.options["listen"], ports["port"], entries, [_reads_stream()]),
                _listener("refusal", LOOPBACK, ports["refusal_port"], [_refusal()]),
            ],
        },
    }


def _listener(
    name: str, host: str, port: int, routes: list[dict[str, Any]], filters: Sequence[dict[str, Any]] = ()
) -> dict[str, Any]:
    manager = typed(
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
        http_filters=[*filters, typed("envoy.filters.http.router", "extensions.filters.http.router.v3.Router")],
    )
    return {
        "name": name,
        "address": address(host, port),
        "per_connection_buffer_limit_bytes": MOST_BODY_BYTES,
        "filter_chains": [{"filters": [manager]}],
    }


def _reads_stream() -> dict[str, Any]:
    """A filter that reads `stream` from a request's body, for the route to depend on."""
    rule = {"selectors": [{"key": "stream"}], "on_present": {"metadata_namespace": OF_REQUEST, "key": "stream"}}
    return typed(
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
    stream_wait, whole_wait = waits_of(made.of.plan.study, route, made.profiles)
    # no per_try_timeout: once the answer has begun it does nothing, and where it ends first no idle timeout comes after
    # it (Envoy 1.40.0): an engine that sends its head before the first token would be waited for without end
    streamed = _route(made, route, duration(stream_wait))
    path = [{"key": "stream"}]
    streamed["match"]["dynamic_metadata"] = [{"filter": OF_REQUEST, "path": path, "value": {"bool_match": True}}]
    return [streamed, _route(made, route, duration(whole_wait))]


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
                    typed(
                        "envoy.retry_host_predicates.previous_hosts",
                        "extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate",
                    )
                ],
                # first another host of the same level, where there is one, then another level
                "retry_priority": typed(
                    "envoy.retry_priorities.previous_priorities",
                    "extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig",
                    update_frequency=1 if alone else 2,
                ),
            },
        },
    }
