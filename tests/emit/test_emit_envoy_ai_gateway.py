"""Envoy AI Gateway: the table arrives in its objects, the API's own schemas take them, and Envoy spills as is said."""

import copy
import importlib.util
import json
import math
import re
import time
from functools import cache

import pytest
from ai_gateway_objects import ENDPOINT, entry, objects, of_gateway, of_kind, route
from emitting import SHARED, hostile_plan
from envoy_process import envoy_process, needs_envoy, page_of
from gateway_fakes import CUT, ERRORS, SILENT, Fakes, Flow, posts, small_plan, stream
from gateway_programs import free_ports, wait_until
from kubernetes_schemas import load, problems

from planner.emit.common import given
from planner.emit.envoy_ai_gateway import OPTIONS, files
from planner.emit.names import slug
from planner.emit.spill import backend_priorities, envoy_ai_gateway
from planner.errors import InputError

CRDS = SHARED / "schemas" / "crds"
SIGMAS = 4.5


@cache
def plan():
    return small_plan()


# ------------------------------------------------------------------ the objects
def test_the_table_arrives():
    made = given(plan(), ENDPOINT, OPTIONS)
    listed = files(plan(), ENDPOINT)
    assert {path for path in listed if path.endswith("gateway.yaml")} == {
        f"origins/{o}/gateway.yaml" for o in ("o1", "o2")
    }
    for origin in ("o1", "o2"):
        items = of_gateway(listed, origin)
        routes, backends = of_kind(items, "AIGatewayRoute"), of_kind(items, "AIServiceBackend")
        addresses = of_kind(items, "Backend")
        assert set(backends) == set(addresses)
        assert (
            set(routes) == {r.id for r in made.table.of_origin(origin)} == set(of_kind(items, "BackendTrafficPolicy"))
        )
        for r in made.table.of_origin(origin):
            (rule,) = routes[r.id]["spec"]["rules"]
            (match,) = rule["matches"][0]["headers"]
            assert (match["name"], match["value"]) == ("x-ai-eg-model", r.id)
            rows = {x["name"]: (x["priority"], x["weight"]) for x in rule["backendRefs"]}
            wanted = {
                slug(x.placement): (priority, weight)
                for priority, group in enumerate(backend_priorities(r))
                for x, weight in group
            }
            assert rows == wanted and set(rows) == {x.id for x in r.entries} <= set(backends)
            assert {x["modelNameOverride"] for x in rule["backendRefs"]} == {"m"}
            assert not any("group" in x for x in rule["backendRefs"])  # an InferencePool would lose the priority
            assert rule["timeouts"]["request"] == "0s"
        for name, one in addresses.items():
            assert backends[name]["spec"]["backendRef"] == {
                "group": "gateway.envoyproxy.io", "kind": "Backend", "name": name,
            }  # fmt: skip
            assert backends[name]["spec"]["schema"] == {"name": "OpenAI", "prefix": "/v1"}
            (at,) = one["spec"]["endpoints"]
            assert at == {"fqdn": {"hostname": f"{name}.example.com", "port": 443}}
            assert one["spec"]["tls"] == {"wellKnownCACertificates": "System"}


def test_failing_requests_alone_put_a_backend_out_and_nothing_brings_it_back_sooner():
    items = of_gateway(files(plan(), {**ENDPOINT, "cooldown_seconds": "45"}), "o1")
    for name, policy in of_kind(items, "BackendTrafficPolicy").items():
        spec = policy["spec"]
        assert spec["targetRefs"] == [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": name}]
        assert "active" not in spec["healthCheck"] and spec["healthCheck"]["panicThreshold"] == 0
        passive = spec["healthCheck"]["passive"]
        assert (passive["baseEjectionTime"], passive["maxEjectionPercent"]) == ("45s", 100)
        assert 429 in spec["retry"]["retryOn"]["httpStatusCodes"]
        assert "retriable-status-codes" in spec["retry"]["retryOn"]["triggers"]
        assert spec["retry"]["numAttemptsPerPriority"] < spec["retry"]["numRetries"] + 1


def test_active_checks_come_with_a_patch_that_lets_them_bring_nothing_back():
    items = of_gateway(files(plan(), {**ENDPOINT, "checks": "active", "health_path": "/ready"}), "o1")
    policies, patches = of_kind(items, "BackendTrafficPolicy"), of_kind(items, "EnvoyPatchPolicy")
    assert set(policies) == set(patches) == set(of_kind(items, "AIGatewayRoute"))
    for name, policy in policies.items():
        assert policy["spec"]["healthCheck"]["active"]["http"] == {"path": "/ready"}
        changes = patches[name]["spec"]["jsonPatches"]
        assert {c["name"] for c in changes} == {f"httproute/ai-gateway/{name}/rule/0"}
        operations = {c["operation"]["path"]: c["operation"]["value"] for c in changes}
        assert operations["/outlier_detection/successful_active_health_check_uneject_host"] is False
    assert not of_kind(of_gateway(files(plan(), ENDPOINT), "o1"), "EnvoyPatchPolicy")


def test_active_checks_find_a_silent_placement_in_time():
    late = {}
    for checks in ("passive", "active"):
        data = json.loads(files(plan(), {**ENDPOINT, "checks": checks})["cascade.json"])
        late[checks] = max(f["found_seconds"] or 0.0 for f in data["failures"])
    detection = plan().study.detection_seconds
    assert late["active"] <= detection < late["passive"]


def test_an_address_is_an_address():
    made = given(plan(), ENDPOINT, OPTIONS)
    given_one_by_one = {e: f"http://10.0.0.{i}:8000/v1" for i, e in enumerate(sorted(made.endpoints), 1)}
    items = of_gateway(files(plan(), {"endpoints": json.dumps(given_one_by_one)}), "o1")
    for one in of_kind(items, "Backend").values():
        (at,) = one["spec"]["endpoints"]
        assert at["ip"]["port"] == 8000 and at["ip"]["address"].startswith("10.0.0.") and "tls" not in one["spec"]


@pytest.mark.parametrize(
    "options",
    [
        {"ai_gateway_namespace": "../x"},
        {"gateway": "A"},
        {"cooldown_seconds": "0"},
        {"port": "1"},
        {"checks": "on"},
        {"health_path": "x y"},
    ],
)
def test_options_that_do_not_fit_are_refused(options):
    with pytest.raises(InputError, match="option"):
        files(plan(), options)


def test_hostile_names_are_data():
    hostile = hostile_plan()
    made = files(hostile, {"not_proven": "x"})
    names = {w.name for w in hostile.study.workloads}
    for path, text in made.items():
        assert re.fullmatch(r"([a-z][a-z0-9-]*/)*[a-z][a-z0-9-]*\.(json|yaml|md)", path) or path == "RUNBOOK.md"
        if path.endswith(".yaml"):
            for o in objects(text):
                assert re.fullmatch(r"[a-z][a-z0-9-]{0,62}", o["metadata"]["name"])
                assert o["metadata"]["annotations"].get("capacity-planner/workload", next(iter(names))) in names


@pytest.mark.kubernetes
def test_the_schemas_of_the_gateway_accept_the_objects():
    if not CRDS.is_dir():
        pytest.skip("no schemas of custom resources beside the project (shared/schemas/crds)")
    missing = [name for name in ("jsonschema", "cel") if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"Python packages not installed: {', '.join(missing)}")
    schemas = load(CRDS)
    listed = files(plan(), ENDPOINT)
    items = of_gateway(listed, "o1")
    assert {o["kind"] for o in items} == {"AIGatewayRoute", "AIServiceBackend", "Backend", "BackendTrafficPolicy"}
    assert {(o["kind"], text) for o in items for text in problems(schemas, o)} == set()
    first = next(o for o in items if o["kind"] == "AIGatewayRoute")
    pool = {"group": "inference.networking.k8s.io", "kind": "InferencePool"}
    for change in ({"priority": -1}, {"wieght": 1}, pool):  # the last one breaks a rule in CEL: pools are not mixed in
        wrong = copy.deepcopy(first)
        wrong["spec"]["rules"][0]["backendRefs"][0] |= change
        assert problems(schemas, wrong), change


# ------------------------------------------------------------------ priorities
def test_what_takes_over_is_one_priority_shared_by_limits():
    a, b, c = entry("a", 1.0, 105.0), entry("b", 1.0, 30.0), entry("c", 1.0, 90.0)
    first, second = backend_priorities(route((a,), (b,), (c,)))
    assert first == ((a, 10_000),)
    assert second == ((b, 2500), (c, 7500))


def test_what_is_far_comes_last_where_the_near_ones_have_room():
    a, near, far = entry("a", 1.0, 105.0), entry("b", 1.0, 100.0), entry("c", 1.0, 90.0, beyond=True)
    assert [[x for x, _ in group] for group in backend_priorities(route((a,), (near,), (far,)))] == [[a], [near], [far]]
    small = entry("b", 1.0, 10.0)
    assert [[x for x, _ in group] for group in backend_priorities(route((a,), (small,), (far,)))] == [[a], [small, far]]


def test_a_negligible_share_takes_over_where_the_others_have_room_for_it():
    """97 and 3 of 100: 100 fit in a limit of 101, so the small one waits; they do not fit in 99."""
    roomy, small = entry("a", 0.97, 101.0), entry("b", 0.03, 3.0)
    assert [[x for x, _ in group] for group in backend_priorities(route((roomy, small)))] == [[roomy], [small]]
    full = entry("a", 0.97, 99.0)
    assert [[x for x, _ in group] for group in backend_priorities(route((full, small)))] == [[full, small]]


def test_spill_by_hand():
    """Two of which one lives: 140 · 1 / 2 = 70 percent stay; 30 go on, in the proportion of the limits."""
    a, b = entry("a", 0.6, 61.0), entry("b", 0.4, 41.0)
    c, d = entry("c", 0.5, 25.0), entry("d", 0.5, 75.0)
    r = route((a, b), (c, d))
    assert envoy_ai_gateway(r, {"a", "b", "c", "d"}, 100.0) == {"a": 60.0, "b": 40.0}
    assert envoy_ai_gateway(r, {"a", "c", "d"}, 100.0) == {"a": 70.0, "c": 7.5, "d": 22.5}
    assert envoy_ai_gateway(r, {"d"}, 100.0) == {"d": 100.0}
    assert envoy_ai_gateway(r, set(), 100.0) == {}
    # one of two, and one of three: 70 and 46 percent, of which the sum is beyond 100
    e = entry("e", 0.3, 30.0)
    assert envoy_ai_gateway(route((a, b), (c, d, e)), {"a", "e"}, 100.0) == {"a": 70.0, "e": 30.0}
    # one of three, and none: 46 percent are all there is
    assert envoy_ai_gateway(route((c, d, e), (a,), peak=1000.0), {"c"}, 100.0) == {"c": 100.0}


# ------------------------------------------------------------------ Envoy itself
def in_seconds(milliseconds):
    return f"{int(milliseconds.removesuffix('ms')) / 1000}s"


def envoy_config(items, name, port, admin, ports):
    """What Envoy Gateway makes of a route: a cluster; a locality of one endpoint of weight 1 for each backend."""
    (rule,) = of_kind(items, "AIGatewayRoute")[name]["spec"]["rules"]
    policy = of_kind(items, "BackendTrafficPolicy")[name]["spec"]
    groups = []
    for x in rule["backendRefs"]:
        address = {"socket_address": {"address": "127.0.0.1", "port_value": ports[x["name"]]}}
        at = {"load_balancing_weight": 1, "endpoint": {"address": address}}
        place = {"region": x["name"]}
        groups.append(
            {
                "priority": x["priority"],
                "load_balancing_weight": x["weight"],
                "locality": place,
                "lb_endpoints": [at],
            }
        )
    passive, retry = policy["healthCheck"]["passive"], policy["retry"]
    words = {"maxParallelRequests": "max_requests"}
    words |= {"maxConnections": "max_connections", "maxPendingRequests": "max_pending_requests"}
    budget = policy["circuitBreaker"]["retryBudget"]
    thresholds = {words[key]: value for key, value in policy["circuitBreaker"].items() if key in words}
    thresholds["retry_budget"] = {
        "budget_percent": {"value": budget["percent"]["numerator"]},
        "min_retry_concurrency": budget["minRetryConcurrency"],
    }
    cluster = {
        "name": name,
        "type": "STATIC",
        "lb_policy": "LEAST_REQUEST",
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}, "locality_weighted_lb_config": {}},
        "load_assignment": {"cluster_name": name, "endpoints": groups},
        "outlier_detection": {
            "consecutive_5xx": passive["consecutive5XxErrors"],
            "interval": in_seconds(passive["interval"]),
            "base_ejection_time": passive["baseEjectionTime"],
            "max_ejection_percent": passive["maxEjectionPercent"],
        },
        "circuit_breakers": {"thresholds": [thresholds]},
    }
    if active := policy["healthCheck"].get("active"):
        check = {key: in_seconds(active[key]) for key in ("interval", "timeout")}
        thresholds = {
            "unhealthy_threshold": active["unhealthyThreshold"],
            "healthy_threshold": active["healthyThreshold"],
        }
        cluster["health_checks"] = [{**check, **thresholds, "http_health_check": {"path": active["http"]["path"]}}]
        for change in of_kind(items, "EnvoyPatchPolicy")[name]["spec"]["jsonPatches"]:
            *parts, field = change["operation"]["path"].split("/")[1:]
            place = cluster
            for part in parts:
                place = place[int(part)] if isinstance(place, list) else place[part]
            place[field] = change["operation"]["value"]
    prefix = "type.googleapis.com/envoy.extensions."
    previous = f"{prefix}retry.priority.previous_priorities.v3.PreviousPrioritiesConfig"
    policy_of_route = {
        "retry_on": ",".join(retry["retryOn"]["triggers"]),
        "retriable_status_codes": retry["retryOn"]["httpStatusCodes"],
        "num_retries": retry["numRetries"],
        "host_selection_retry_max_attempts": 5,
        "retry_host_predicate": [
            {
                "name": "envoy.retry_host_predicates.previous_hosts",
                "typed_config": {"@type": f"{prefix}retry.host.previous_hosts.v3.PreviousHostsPredicate"},
            }
        ],
        "retry_priority": {
            "name": "envoy.retry_priorities.previous_priorities",
            "typed_config": {"@type": previous, "update_frequency": retry["numAttemptsPerPriority"]},
        },
    }
    forward = {"match": {"prefix": "/"}, "route": {"cluster": name, "timeout": "0s", "retry_policy": policy_of_route}}
    manager = {
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": {
            "@type": f"{prefix}filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "gateway",
            "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [forward]}]},
            "http_filters": [
                {
                    "name": "envoy.filters.http.router",
                    "typed_config": {"@type": f"{prefix}filters.http.router.v3.Router"},
                }
            ],
        },
    }
    listen = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    return {
        "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": admin}}},
        "static_resources": {
            "listeners": [{"name": "gateway", "address": listen, "filter_chains": [{"filters": [manager]}]}],
            "clusters": [cluster],
        },
    }


@pytest.mark.gateways
def test_envoy_spills_as_it_is_said(tmp_path):
    needs_envoy()
    made = given(plan(), ENDPOINT, OPTIONS)
    table = next(r for r in made.table.of_origin("o1") if r.workload == "chat")
    names = [x.id for x in table.entries]
    assert len(names) == 3
    items = of_gateway(files(plan(), {**ENDPOINT, "cooldown_seconds": "60"}), "o1")
    fakes = Fakes(names)
    port, admin = free_ports(2)
    with envoy_process(tmp_path, envoy_config(items, table.id, port, admin, fakes.port)):
        wait_until(lambda: page_of(admin, "/ready"), "Envoy to be ready")
        alive = {x.placement: x.id for x in table.entries}
        count = 1600
        for dead in (None, *(x for x, _ in backend_priorities(table)[0])):
            if dead:
                fakes.kill(dead.id)
                del alive[dead.placement]
                assert set(posts(port, "/v1/chat/completions", 80)) == {200}  # failing requests put it out
                time.sleep(1.5)
            fakes.counted()
            assert posts(port, "/v1/chat/completions", count) == {200: count}
            hits = fakes.counted()
            said = envoy_ai_gateway(table, set(alive), 1.0)
            for e, name in alive.items():
                share = said.get(e, 0.0)
                slack = SIGMAS * math.sqrt(count * share * (1 - share)) + 0.01 * count + 1
                assert abs(hits.get(name, 0) - share * count) <= slack, (dead, hits, said)
    fakes.close()


@pytest.mark.gateways
@pytest.mark.parametrize("fault", [SILENT, ERRORS, CUT])
def test_with_active_checks_a_fault_is_out_in_time_and_stays_out(tmp_path, fault):
    """Health checks of two of the faults pass all the time: nothing may come back because of them."""
    needs_envoy()
    detection = 2.0
    quick = small_plan(detection_seconds=detection)
    options = {**ENDPOINT, "cooldown_seconds": "60", "checks": "active"}
    table = next(r for r in given(quick, options, OPTIONS).table.of_origin("o1") if r.workload == "chat")
    fakes = Fakes([x.id for x in table.entries])
    port, admin = free_ports(2)
    items = of_gateway(files(quick, options), "o1")
    with envoy_process(tmp_path, envoy_config(items, table.id, port, admin, fakes.port)):
        wait_until(lambda: page_of(admin, "/ready"), "Envoy to be ready")
        time.sleep(1.0)
        faulty = backend_priorities(table)[0][0][0].id
        with Flow(lambda: stream(port, "/v1/chat/completions", "chat"), 50.0):
            time.sleep(0.5)
            begin = time.monotonic()
            fakes.mode[faulty] = fault
            time.sleep(3 * detection)
        last = max((when for when, name in fakes.posted if name == faulty), default=begin)
        assert any(name == faulty for when, name in fakes.posted if when < begin)
        assert last - begin <= detection + 0.5  # workers hear of it up to half a second later on a busy machine
    fakes.close()
