"""Fake model servers on loopback, a small plan whose gateways are run for real, and a client that counts."""

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Iterable
from typing import Any

from studies import machine_type, model, offer, profile, site, study, workload

from planner.plan.plan import make_plan
from planner.solve.search import Effort
from planner.study.records.inventory import Pool
from planner.study.records.plan import PlanFile
from planner.study.records.serving import ContextClass
from planner.study.records.study import Goal, Origin, Study, Tier

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


class Fakes:
    """OpenAI-compatible servers, one a name, all in one thread; a dead one refuses connections."""

    def __init__(self, names: Iterable[str]) -> None:
        self.hits: Counter[str] = Counter()
        self.longest: Counter[str] = Counter()
        self.port: dict[str, int] = {}
        self._servers: dict[str, asyncio.Server] = {}
        self._writers: dict[str, set[asyncio.StreamWriter]] = {name: set() for name in names}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        for name in self._writers:
            self._call(self._listen(name, 0))

    def _call(self, work):
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _listen(self, name: str, port: int) -> None:
        server = await asyncio.start_server(lambda r, w: self._talk(name, r, w), "127.0.0.1", port)
        self._servers[name] = server
        self.port[name] = server.sockets[0].getsockname()[1]

    async def _talk(self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers[name].add(writer)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = next(
                    (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
                )
                body = await reader.readexactly(length)
                if head.startswith(b"POST"):
                    self.hits[name] += 1
                    self.longest[name] = max(self.longest[name], len(body))
                writer.write(answer(name))
                await writer.drain()
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
