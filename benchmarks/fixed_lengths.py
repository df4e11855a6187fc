"""Make the table of waits for requests of fixed length: `python -m benchmarks.fixed_lengths` writes it again.

Servers whose requests all take the same time D serve those that arrive within D and wait at its end: their queue length
is a random walk that cannot fall below 0, `queue' = max(queue + Poisson(load) - servers, 0)`. Its distribution follows
from the factors of `1 - E[z^(Poisson(load) - servers)]` (Wiener and Hopf; Spitzer 1956), split by one transform, and
that of the wait from the queue length (Franx, Operations Research Letters 29, 2001). There is no chance in it: what is
written is exact to about nine digits, and tests simulate it.

Rows: servers and spare, `spare = (servers - load) / sqrt(load)`. Columns: waits in D / sqrt(servers); cells: the
logarithm of the share of requests that wait longer. In these units rows of many servers are nearly the same, as all of
them come near the maximum of a Gaussian random walk (Jelenkovic, Mandelbaum and Momcilovic, Queueing Systems 47, 2004).
"""

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
TABLE = Path(__file__).parents[1] / "planner" / "study" / "waits_of_fixed_lengths.csv"
SERVERS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 128, 256, 512, 1024, 4096, 16384)
SPARE = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.25, 2.5, 2.75, 3.0)
WAITS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0, 6.0, 8.0)
LEAST = 1e-9
"""Shares below it are extended by the slope before."""


def load_of(servers: float, spare: float) -> float:
    """Mean number of servers that are busy, where so much is spare."""
    return ((math.sqrt(spare * spare + 4 * servers) - spare) / 2) ** 2


def queue_lengths(servers: int, load: float) -> Array:
    """Distribution of the number of requests that wait."""
    tilt = _largest_tilt(servers, load) / 2
    points = 2 ** max(12, math.ceil(math.log2(40.0 / tilt)))
    z = np.exp(tilt + 2j * math.pi * np.arange(points) / points)
    step = np.exp(load * (z - 1) - servers * np.log(np.abs(z)) - 1j * servers * np.angle(z))
    terms = np.fft.fft(-np.log(1 - step)).real / points
    half = points // 2
    longer = np.zeros(points)
    longer[1:half] = terms[1:half] * np.exp(-tilt * np.arange(1, half))
    factor = np.exp(np.fft.ifft(longer) * points - longer.sum())
    lengths: Array = np.maximum(np.fft.fft(factor).real / points, 0.0)
    return lengths


def _largest_tilt(servers: int, load: float) -> float:
    """The logarithm of the z above 1 at which E[z^(Poisson(load) - servers)] is 1 again."""
    low, high = math.log(servers / load), 1.0
    while load * math.expm1(high) < servers * high:
        high *= 2
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if load * math.expm1(middle) < servers * middle else (low, middle)
    return low


def share_longer(servers: int, load: float, waits: Array) -> Array:
    """Share of requests that wait longer, exactly; waits in units of the time that a request takes."""
    at_most = np.cumsum(queue_lengths(servers, load))
    shares = np.empty(len(waits))
    for n, wait in enumerate(waits):
        k = math.floor(wait + 1e-12) + 1
        arrived = load * (k - wait)
        most = k * servers - 1
        j = np.arange(most + 1)
        log_chance = j * math.log(arrived) - arrived - _log_factorials(most) if arrived > 0 else np.where(j, -np.inf, 0)
        within = at_most[np.minimum(most - j, len(at_most) - 1)]
        shares[n] = 1.0 - math.fsum(np.exp(log_chance) * within)
    return shares


def _log_factorials(most: int) -> Array:
    logs = np.zeros(most + 1)
    logs[1:] = np.cumsum(np.log(np.arange(1, most + 1)))
    return logs


def table() -> list[list[float]]:
    """A row for each (servers, spare)."""
    rows = []
    for servers in SERVERS:
        for spare in SPARE:
            waits = np.array(WAITS) / math.sqrt(servers)
            shares = share_longer(servers, load_of(servers, spare), waits)
            usable = int((shares > LEAST).sum())
            logs = np.log(np.maximum(shares, LEAST))
            slope = (logs[usable - 1] - logs[usable - 2]) / (WAITS[usable - 1] - WAITS[usable - 2])
            logs[usable:] = logs[usable - 1] + slope * (np.array(WAITS[usable:]) - WAITS[usable - 1])
            rows.append([servers, spare, *(round(float(x), 4) for x in logs)])
    return rows


def main() -> None:
    """Write the table."""
    head = ",".join(["servers", "spare", *(f"{wait:g}" for wait in WAITS)])
    lines = [head, *(",".join(f"{x:g}" for x in row) for row in table())]
    TABLE.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
