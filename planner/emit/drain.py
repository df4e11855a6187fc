"""Waits until a replica that is to end has answered what it has; its program gets the signal to end afterwards.

Runs inside the serving image, by itself: the standard library only, and nothing newer than Python 3.8.
"""

import sys
import time
import urllib.request

IN_FLIGHT = ("vllm:num_requests_running", "vllm:num_requests_waiting")
"""Gauges of vLLM (documentation, production metrics, 2026)."""


def requests_in_flight(text: str) -> float:
    """Requests that run or wait, from a page of metrics; several engines add up."""
    lines = [line for line in text.splitlines() if line.startswith(IN_FLIGHT)]
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines)


def wait(url: str, first_seconds: float, most_seconds: float, every_seconds: float = 1.0) -> None:
    """Wait while new requests still come, then until none is in flight, at most so long; a dead program ends it.

    Parameters
    ----------
    first_seconds : until everybody who sends requests knows that this replica is to end
    """
    end = time.monotonic() + most_seconds
    time.sleep(min(first_seconds, most_seconds))
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(url, timeout=10) as page:
                if requests_in_flight(page.read().decode()) == 0:
                    return
        except (OSError, ValueError):
            return
        time.sleep(every_seconds)


if __name__ == "__main__":
    wait(sys.argv[1], float(sys.argv[2]), float(sys.argv[3]))
