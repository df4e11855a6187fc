"""Fake model servers on loopback, a small plan whose gateways are run for real, and a client that counts."""

import asyncio
import json
import ssl
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from gateway_programs import free_ports
from studies import machine_type, model, offer, profile, site, study, workload

from planner.plan.plan import make_plan
from planner.solve.search import Effort
from planner.study.records.inventory import Pool
from planner.study.records.plan import PlanFile
from planner.study.records.serving import ContextClass
from planner.study.records.study import Goal, Origin, Study, Tier, Utilisation

SHORT_TOKENS, LONG_TOKENS = 400, 8000


def small_study(load_seconds: float = 500.0, **more) -> Study:
    """Three sites of three providers; a short and a long class of one model; any site may be lost.

    The profiles for short requests and those for long ones share the pools.
    """
    types = {"a": "m1", "b": "m2", "c": "m3"}
    stacks = {"a": "cuda", "b": "neuron", "c": "xla"}
    profiles = []
    for place, machine in types.items():
        loads: dict[str, Any] = {"load_seconds": load_seconds}
        short = {"context_limit_tokens": SHORT_TOKENS, "name": f"{machine}-short"}
        long = {"context_limit_tokens": LONG_TOKENS, "name": f"{machine}-long", "classes": ("long",)}
        profiles += [profile(machine, stacks[place], 5, **loads, **short)]
        profiles += [profile(machine, stacks[place], 2, **loads, **long)]
    pools = [Pool(site=f"{place}/s", machine_type=machine) for place, machine in types.items()]
    fields = {
        "sites": tuple(site(f"{place}/s", (50.0, 5.0 * i)) for i, place in enumerate(types)),
        "machine_types": tuple(machine_type(name) for name in types.values()),
        "pools": tuple(pools),
        "bought": [offer(q.id, price, most_units=9.0) for q, price in zip(pools, (3, 4, 5), strict=True)],
        "models": (model("m", profiles),),
        "context_classes": (
            ContextClass(name="short", most_tokens=SHORT_TOKENS),
            ContextClass(name="long", most_tokens=LONG_TOKENS),
        ),
        "origins": (Origin(name="o1", latitude=50.0, longitude=0.0), Origin(name="o2", latitude=50.0, longitude=4.0)),
        "tiers": (Tier(name="t", survive=(Goal(any="site", serve_fraction=1.0, within_seconds=60.0),)),),
        "workloads": (
            workload("chat", mean_input_tokens=20.0, mean_output_tokens=1.0),
            workload("long", context_class="long", mean_input_tokens=20.0, mean_output_tokens=1.0),
        ),
        "demand": {("chat", "o1"): 50.0, ("chat", "o2"): 10.0, ("long", "o1"): 3.0, ("long", "o2"): 1.0},
    }
    return study(**{**fields, **more})


def small_plan(**more) -> PlanFile:
    """The plan of the small study."""
    return make_plan(small_study(**more), Effort())


def shedding_plan() -> PlanFile:
    """One whose goals ask for seven tenths in a failure: the plan sheds, which no gateway does by itself."""
    goal = Goal(any="site", serve_fraction=0.7, within_seconds=60.0)
    return small_plan(
        load_seconds=20.0,
        tiers=(Tier(name="t", survive=(goal,)),),
        utilisation=Utilisation(basis="fixed", normal=0.7, in_failure=0.95),
        detection_seconds=2.0,
    )


OK, SILENT, SLOW, ERRORS, FULL = "ok", "silent", "slow", "errors", "full"
CUT, PAUSED, SENDS_HEAD = "cut", "paused", "sends its head and nothing more"
PROBE = b'"max_tokens":1'
"""In the probes of LiteLLM, and in no request of a client here."""


class Fakes:
    """OpenAI-compatible servers, one a name, all in one thread; a dead one refuses connections.

    `mode` of a name, beside `OK`: accepts and never answers, health checks neither; says nothing or answers 500 while
    its health checks pass; answers 429; cuts a stream after its first piece, or pauses in it. With `tls` they listen on
    the loopback of IPv6, to which Envoy resolves names under `.localhost` first.
    """

    def __init__(self, names: Iterable[str], tls: ssl.SSLContext | None = None) -> None:
        self._tls, self._host = tls, "127.0.0.1" if tls is None else "::1"
        self.mode: dict[str, str] = {}
        self.posted: list[tuple[float, str]] = []
        """when a client's request came, and where"""
        self.answer_seconds = 0.0
        """how long an answer takes"""
        self.hits: Counter[str] = Counter()
        self.longest: Counter[str] = Counter()
        self.port: dict[str, int] = {}
        self._servers: dict[str, asyncio.Server] = {}
        self._writers: dict[str, set[asyncio.StreamWriter]] = {name: set() for name in names}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        for name, port in zip(self._writers, free_ports(len(self._writers)), strict=True):
            self._call(self._listen(name, port))

    def _call(self, work):
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _listen(self, name: str, port: int) -> None:
        server = await asyncio.start_server(lambda r, w: self._talk(name, r, w), self._host, port, ssl=self._tls)
        self._servers[name] = server
        self.port[name] = port

    async def _talk(self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers[name].add(writer)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = next(
                    (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
                )
                body = await reader.readexactly(length)
                is_post = head.startswith(b"POST")
                if is_post and PROBE not in body.replace(b" ", b""):
                    self.hits[name] += 1
                    self.longest[name] = max(self.longest[name], len(body))
                    self.posted.append((time.monotonic(), name))
                mode = self.mode.get(name, OK)
                if mode == SILENT or (is_post and mode == SLOW):
                    await reader.read()  # until the other side gives up
                    return
                if is_post and self.answer_seconds:
                    await asyncio.sleep(self.answer_seconds)
                streamed = is_post and b'"stream":true' in body.replace(b" ", b"")
                writer.write(_said(name, mode if is_post else OK, streamed))
                await writer.drain()
                if is_post and streamed and mode == CUT:
                    writer.transport.abort()
                    return
                if is_post and streamed and mode in (PAUSED, SENDS_HEAD):
                    await reader.read()
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._writers[name].discard(writer)
            writer.close()

    def kill(self, name: str) -> None:
        self._call(self._kill(name))

    async def _kill(self, name: str) -> None:
        self._servers[name].close()
        for writer in list(self._writers[name]):
            writer.transport.abort()

    def revive(self, name: str) -> None:
        self._call(self._listen(name, self.port[name]))

    def counted(self) -> dict[str, int]:
        """Requests since the last count."""
        found = dict(self.hits)
        self.hits.clear()
        return found

    def close(self) -> None:
        for name in self._writers:
            self._call(self._kill(name))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)


def _said(name: str, mode: str, streamed: bool) -> bytes:
    """What a server in a mode writes."""
    if mode in (ERRORS, FULL):
        status = b"500 Internal Server Error" if mode == ERRORS else b"429 Too Many Requests"
        body = b'{"error": {"message": "no"}}'
        return b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
            status,
            len(body),
            body,
        )
    if not streamed:
        return answer(name)
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    pieces = [_piece(name, "o"), _piece(name, "k"), _piece(name, None), b"data: [DONE]\n\n"]
    if mode == SENDS_HEAD:
        return head
    if mode in (CUT, PAUSED):
        return head + _chunk(pieces[0])
    return head + b"".join(map(_chunk, pieces)) + b"0\r\n\r\n"


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _piece(name: str, text: str | None) -> bytes:
    """An event of a streamed chat completion; the last has no text."""
    delta = {} if text is None else {"role": "assistant", "content": text}
    choice = {"index": 0, "delta": delta, "finish_reason": "stop" if text is None else None}
    event = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": name, "choices": [choice]}
    return b"data: %b\n\n" % json.dumps(event).encode()


def answer(name: str) -> bytes:
    """A chat completion of one token, as HTTP."""
    body = json.dumps(
        {
            "id": "x",
            "object": "chat.completion",
            "created": 1,
            "model": name,
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "ok"}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 20, "completion_tokens": 1, "total_tokens": 21},
        }
    ).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


def posts(port: int, path: str, count: int, at_once: int = 8) -> Counter[int]:
    """Status codes of so many POST requests over a few kept connections."""
    found: Counter[int] = Counter()
    body = b'{"model":"m","messages":[]}'
    request = b"POST %b HTTP/1.1\r\nhost: gateway\r\ncontent-length: %d\r\n\r\n%b" % (path.encode(), len(body), body)

    async def worker(n: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(n):
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(int(x[15:]) for x in head.lower().split(b"\r\n") if x.startswith(b"content-length:"))
            await reader.readexactly(length)
            found[int(head.split(b" ", 2)[1])] += 1
        writer.close()

    async def all_of_them() -> None:
        await asyncio.gather(*(worker(count // at_once) for _ in range(at_once)))

    asyncio.run(all_of_them())
    return found


WHOLE, REFUSED_BY_GATEWAY, BROKEN, ENDED_EARLY, ERROR_EVENT = "whole", "refused", "broken", "ended early", "error event"


async def stream(port: int, path: str, group: str, key: str = "") -> str:
    """How one streamed request over a connection of its own went, as its client sees it.

    Whole; refused, with a status other than 200; broken off without the last chunk; ended as if whole without its last
    event; or told of an error within the stream.
    """
    body = json.dumps({"model": group, "stream": True, "messages": [{"role": "user", "content": "word"}]}).encode()
    authorization = b"authorization: Bearer %b\r\n" % key.encode() if key else b""
    head = (
        b"POST %b HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\ncontent-type: application/json\r\n" % path.encode()
    )
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head + authorization + b"content-length: %d\r\n\r\n%b" % (len(body), body))
        got = await reader.read()
        writer.close()
    except OSError:
        return BROKEN
    if not got.startswith(b"HTTP/1.1 200"):
        return f"{REFUSED_BY_GATEWAY} {got[9:12].decode()}" if got else BROKEN
    if b"data: [DONE]" in got and b'"error"' not in got:
        return WHOLE
    if b'"error"' in got:
        return ERROR_EVENT
    return ENDED_EARLY if got.endswith(b"0\r\n\r\n") else BROKEN


class Flow:
    """Streamed requests at a steady rate, until it is told to end; each in a task of its own, in a thread of their own.

    Parameters
    ----------
    ask : makes one request and gives how it went
    requests_per_second : rate; a request that hangs keeps no other back
    """

    def __init__(self, ask: Callable[[], Awaitable[str]], requests_per_second: float) -> None:
        self.outcomes: list[tuple[float, str]] = []
        """when each request began, and how it went; those under way are missing"""
        self.begun: list[float] = []
        self._ask, self._pause = ask, 1 / requests_per_second
        self._ends = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def __enter__(self) -> "Flow":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join(30)

    async def _run(self) -> None:
        tasks, due = set(), time.monotonic()
        while not self._ends.is_set():
            tasks.add(asyncio.create_task(self._one()))
            due += self._pause
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        _, hanging = await asyncio.wait(tasks, timeout=1.0)
        for task in hanging:
            task.cancel()

    async def _one(self) -> None:
        begun = time.monotonic()
        self.begun.append(begun)
        self.outcomes.append((begun, await self._ask()))

    def pace(self, begin: float) -> float:
        """Requests/s that were sent from a time until the last."""
        sent = [at for at in self.begun if at >= begin]
        return (len(sent) - 1) / (sent[-1] - sent[0]) if len(sent) > 1 and sent[-1] > sent[0] else 0.0

    def since(self, begin: float) -> Counter[str]:
        """Outcomes of the requests that began from a time on."""
        return Counter(outcome for begun, outcome in self.outcomes if begun >= begin)
