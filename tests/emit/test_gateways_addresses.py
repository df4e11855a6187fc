"""Where gateways reach placements: names and addresses, http and https, in the base and in sets."""

import json
from dataclasses import replace

import pytest
from gateway_fakes import small_plan

from planner.emit import envoy, litellm
from planner.emit.behaviour import LARGEST_WEIGHT, envoy_priorities
from planner.emit.common import given
from planner.emit.detection import waits_of
from planner.emit.routing import Entry, Route
from planner.emit.targets import emitted
from planner.emit.text import yaml_data
from planner.errors import InputError

ONLY_IN_A_SET = "m/m2-short@b/s/m2"
"""Chat from o2 goes there in failures only."""


@pytest.fixture(scope="module")
def plan():
    """One that starts replicas in failures, where its routes do not lead otherwise."""
    return small_plan(load_seconds=20.0, detection_seconds=2.0)


def route_of(made, workload, origin):
    return next(x for x in made.table.routes if (x.workload, x.origin) == (workload, origin))


# ------------------------------------------------------------------ what only a set leads to
def test_a_route_knows_where_its_sets_lead(plan):
    made = given(plan, {}, envoy.OPTIONS)
    route = route_of(made, "chat", "o2")
    assert ONLY_IN_A_SET not in {x.placement for x in route.entries} and ONLY_IN_A_SET in route.placements


def test_a_slow_placement_of_a_set_is_waited_for(plan):
    """Envoy's routes stay when a set is pushed. Without a target 5 times 4 s: 20 s, and no 10 s, for each answer."""
    made = given(plan, {}, envoy.OPTIONS | litellm.OPTIONS)
    profile = made.profiles[ONLY_IN_A_SET]
    points = tuple(x.model_copy(update={"first_token_ms": 4000.0}) for x in profile.classes)
    profiles = {**made.profiles, ONLY_IN_A_SET: profile.model_copy(update={"classes": points})}
    assert waits_of(plan.study, route_of(made, "chat", "o2"), profiles) == (20.0, 20.0)
    slow = replace(made, profiles=profiles)
    (manager,) = envoy.config(slow, "o2")["static_resources"]["listeners"][0]["filter_chains"][0]["filters"]
    routes = manager["typed_config"]["route_config"]["virtual_hosts"][0]["routes"]
    waits = {r["match"]["prefix"]: r["route"]["retry_policy"]["per_try_idle_timeout"] for r in routes}
    assert waits == {"/chat/": "20s", "/long/": "10s"}
    rows = [row for row in litellm.config(slow, "o2")["model_list"] if row["model_name"] == "chat"]
    assert {row["litellm_params"]["stream_timeout"] for row in rows} == {20.0}


@pytest.mark.parametrize("target", [envoy, litellm], ids=["envoy", "litellm"])
def test_a_set_has_an_address_for_each_placement_too(plan, target):
    other = route_of(given(plan, {}, target.OPTIONS), "chat", "o2").entries[0].placement
    endpoints = json.dumps(dict.fromkeys((other, ONLY_IN_A_SET), "https://one.example/v1"))
    with pytest.raises(InputError, match=r"endpoints of chat from o2\n.*an address for each placement"):
        target.files(plan, {"endpoint": "https://{placement}.example/v1", "endpoints": endpoints})


# ------------------------------------------------------------------ every kind of address
KINDS = {
    "http://name.example/v1": ("name.example", 80, "name.example", "http"),
    "http://name.example:8000/v1": ("name.example", 8000, "name.example", "http"),
    "https://name.example/v1": ("name.example", 443, "name.example", "https"),
    "https://name.example:8443/v1": ("name.example", 8443, "name.example", "https"),
    "http://10.0.0.1:8000/v1": ("10.0.0.1", 8000, "10.0.0.1", "http"),
    "https://10.0.0.1/v1": ("10.0.0.1", 443, "10.0.0.1", "https 10.0.0.1"),
    "http://[fd00::1]/v1": ("fd00::1", 80, "[fd00::1]", "http"),
    "https://[fd00::1]/v1": ("fd00::1", 443, "[fd00::1]", "https fd00::1"),
}
"""Address -> host and port of the socket, what requests and checks name it, its transport socket."""


PLAIN = {"name": "http", "transport_socket": {"typed_config": {}}}


def ends(files):
    """(cluster, endpoint) of every placement in the base and in all sets."""
    for path, text in files.items():
        for cluster in yaml_data(text)["resources"] if path.endswith("clusters.yaml") else ():
            for group in cluster["load_assignment"]["endpoints"]:
                if not group["locality"]["sub_zone"].startswith(("padding", "refusal")):
                    yield cluster, group["lb_endpoints"][0]


@pytest.mark.parametrize("address", KINDS)
def test_envoy_reaches_what_is_named_in_every_way_in_the_base_and_in_sets(plan, address):
    """One placement is named so, the others by names over TLS; checks go to the same socket and name the same host."""
    host, port, name, socket = KINDS[address]
    options = {"endpoint": "https://{placement}.example/v1", "health_path": "/ready"}
    one, seen = json.dumps({ONLY_IN_A_SET: address}), 0
    for cluster, at in ends(envoy.files(plan, {**options, "endpoints": one})):
        (check,) = cluster["health_checks"]
        assert check["http_health_check"] == {"path": "/ready"}, "the host is each endpoint's own"
        where, said = at["endpoint"]["address"]["socket_address"], at["endpoint"]["hostname"]
        assert at["endpoint"]["health_check_config"] == {"hostname": said}, "and the port that of its requests"
        matches = cluster.get("transport_socket_matches", [PLAIN])  # none: there is nothing but http
        sockets = {x["name"]: x["transport_socket"]["typed_config"] for x in matches}
        chosen = at["metadata"]["filter_metadata"]["envoy.transport_socket_match"]["scheme"]
        tls = sockets[chosen]
        if said != name:
            assert (where["port_value"], chosen, tls["auto_host_sni"]) == (443, "https", True)
            continue
        assert (where["address"], where["port_value"], chosen) == (host, port, socket)
        assert tls.get("auto_host_sni", False) == (socket == "https"), "an address is no server name"
        context = tls.get("common_tls_context", {}).get("validation_context", {})
        exact = [x["matcher"]["exact"] for x in context.get("match_typed_subject_alt_names", ())]
        assert exact == ([host] if socket.startswith("https ") else [])
        seen += 1
    assert seen >= 2


def test_gateways_ask_under_a_domain_what_its_routes_lead_to(plan):
    options = {"domain": "serving.example.com", "health_path": "/ready"}
    with pytest.raises(InputError, match="which the routes under domain lead to"):
        emitted(plan, "all", options)


def test_clusters_resolve_names_where_there_are_any(plan):
    made = given(plan, {}, envoy.OPTIONS)
    addresses = {e: f"http://10.0.0.{n}/v1" for n, e in enumerate(made.endpoints)}
    kinds = {c["type"] for c, _ in ends(envoy.files(plan, {"endpoints": json.dumps(addresses)}))}
    assert kinds == {"STATIC"}
    named = addresses | {ONLY_IN_A_SET: "http://name.example/v1"}
    for cluster, _ in ends(envoy.files(plan, {"endpoints": json.dumps(named)})):
        hosts = {g["lb_endpoints"][0]["endpoint"].get("hostname") for g in cluster["load_assignment"]["endpoints"]}
        assert cluster["type"] == ("STRICT_DNS" if "name.example" in hosts else "STATIC")


def test_weights_keep_within_what_envoy_takes():
    """A stream that is nearly all shed has a refusal of 100 million: padded as often as fits."""
    entry = Entry("a", "a", 10_000, 1.0, 1.0, False)
    (priority,) = envoy_priorities(Route("w", "o", "w", 1.0, ((entry,),), True, 1.0)).priorities
    assert (priority.refused, priority.padding) == (100_000_000, 20 * 100_010_000)
    assert 10_000 + priority.refused + priority.padding <= LARGEST_WEIGHT
