"""Waiting: Erlang's C by his recursion, fixed lengths by simulation, what rises and falls, and the peers' figures."""

import sys
from pathlib import Path

import numpy as np
import pytest

from planner.study import waiting
from planner.study.waiting import (
    erlang_c,
    mean_wait_s,
    queues_of,
    servers_of,
    share_that_waits_longer,
    utilisation_that_meets,
    wait_at_percentile_s,
)

sys.path.append(str(Path(__file__).parents[2]))

from benchmarks import fixed_lengths


def by_recursion(servers: int, utilisation: float) -> float:
    """C by Erlang's recursion for B, one server more at a time."""
    b, load = 1.0, servers * utilisation
    for k in range(1, servers + 1):
        b = load * b / (k + load * b)
    return b / (1 - utilisation + utilisation * b)


@pytest.mark.parametrize(
    "servers, utilisation",
    [(1, 0.3), (2, 0.01), (8, 0.85), (32, 0.85), (100, 0.2), (1000, 0.99), (5, 0.999999), (100_000, 0.999)],
)
def test_erlang_c_is_what_his_recursion_says(servers, utilisation):
    assert erlang_c(servers, utilisation).item() == pytest.approx(by_recursion(servers, utilisation), rel=1e-9)


def test_many_at_once_are_as_one_by_one():
    servers, utilisation = np.array([[1.0], [32.0]]), np.array([0.5, 0.85, 0.95])
    at_once = utilisation_that_meets(0.5, 95, servers, np.array([1.0, 10.0, 20.0]), cs2=utilisation)
    for i, c in enumerate(servers[:, 0]):
        for j, (service, cs2) in enumerate(zip((1.0, 10.0, 20.0), utilisation, strict=True)):
            assert at_once[i, j] == utilisation_that_meets(0.5, 95, c, service, cs2=cs2)


def test_a_utilisation_takes_few_steps(monkeypatch):
    asked, answer = [], waiting.erlang_c
    monkeypatch.setattr(waiting, "erlang_c", lambda *of: asked.append(of) or answer(*of))
    servers, target = np.geomspace(1.0, 1e5, 40), np.array([[0.0], [0.01], [1.0], [1e9]])
    allowed = utilisation_that_meets(target, 95, servers, 10.0, cs2=2.0)
    assert len(asked) <= 16
    assert (wait_at_percentile_s(95, servers, allowed, 10.0, cs2=2.0) <= target + 1e-9).all()
    fuller = allowed + 1e-9 * (1 - allowed)
    later = wait_at_percentile_s(95, servers, fuller, 10.0, cs2=2.0) > target
    assert later[:3].all()


def in_turn(servers: int, load: float, requests: int, seed: int) -> np.ndarray:
    """Waits for servers that all take 1 s: each takes every so manyth request (what remains when all are the same)."""
    gaps = np.random.default_rng(seed).exponential(1 / load, requests // servers * servers)
    at = np.cumsum(gaps).reshape(-1, servers)
    turn = np.arange(len(at))[:, None]
    begun = np.maximum.accumulate(at - turn, axis=0) + turn
    return (begun - at)[len(at) // 10 :].ravel()


@pytest.mark.parametrize("servers, spare", [(1, 0.5), (5, 0.8), (32, 0.9), (48, 1.3)])
def test_fixed_lengths_wait_as_simulated(servers, spare):
    load = fixed_lengths.load_of(servers, spare)
    waits = in_turn(servers, load, 1_500_000, 1)
    for wait in (0.0, 0.05, 0.1):
        simulated = float((waits > wait).mean())
        share = share_that_waits_longer(wait, servers, load / servers, 1.0, cs2=0.0).item()
        assert share == pytest.approx(simulated, rel=0.04), wait


def test_the_table_is_what_its_script_makes():
    lines = waiting.TABLE.read_text("utf-8").splitlines()
    assert [float(x) for x in lines[0].split(",")[2:]] == list(fixed_lengths.WAITS)
    assert len(lines) == 1 + len(fixed_lengths.SERVERS) * len(fixed_lengths.SPARE)
    for line in (lines[4], lines[-60]):
        servers, spare, *logs = map(float, line.split(","))
        waits = np.array(fixed_lengths.WAITS) / servers**0.5
        shares = fixed_lengths.share_longer(int(servers), fixed_lengths.load_of(servers, spare), waits)
        usable = shares > fixed_lengths.LEAST
        assert np.log(shares[usable]) == pytest.approx(np.array(logs)[usable], abs=1e-4)


def test_an_exponential_tail_says_too_little_of_fixed_lengths():
    """The reason for the table: at 32 servers, 0.85 busy, `C exp(-2 (c mu - lambda) t)` is well below what is so."""
    t = 0.1
    exponential = by_recursion(32, 0.85) * np.exp(-2 * 32 * 0.15 * t)
    share = share_that_waits_longer(t, 32, 0.85, 1.0, cs2=0.0).item()
    assert 1.1 < share / exponential < 1.25


@pytest.mark.parametrize("cs2", [0.0, 0.3, 1.0, 4.0])
@pytest.mark.parametrize("ca2", [0.5, 1.0, 5.0])
def test_utilisation_rises_with_servers(cs2, ca2):
    for target in (0.0, 0.2, 100.0):
        servers = np.append(np.arange(1, 40), np.arange(40, 2000, 49))
        meets = utilisation_that_meets(target, 95, servers, 10.0, ca2, cs2)
        assert (np.diff(meets) >= -1e-12).all() and meets[0] > 0 and meets[-1] < 1


@pytest.mark.parametrize("cs2", [0.0, 0.4, 2.0])
def test_what_meets_the_target_meets_it_and_no_more_would(cs2):
    for servers in (1, 7, 200):
        meets = utilisation_that_meets(0.5, 99, servers, 10.0, cs2=cs2)
        assert wait_at_percentile_s(99, servers, meets, 10.0, cs2=cs2).item() <= 0.5
        assert wait_at_percentile_s(99, servers, meets + 1e-6, 10.0, cs2=cs2).item() > 0.5
        assert share_that_waits_longer(0.5, servers, meets, 10.0, cs2=cs2).item() == pytest.approx(0.01, rel=1e-3)


def test_no_wait_is_short_enough_for_a_target_below_none():
    assert utilisation_that_meets([-0.1, 0.0], 95, 10, 5.0).tolist()[0] == 0.0 < utilisation_that_meets(0, 95, 10, 5.0)


def test_means_at_both_ends_are_exact():
    """Pollaczek and Khinchine of one server: `u (1 + cs2) / (2 (1 - u))`; Erlang of many."""
    for cs2 in (0.0, 0.5, 1.0, 3.0):
        assert mean_wait_s(1, 0.8, 10.0, cs2=cs2).item() == pytest.approx(10 * 0.8 * (1 + cs2) / 2 / 0.2)
    assert mean_wait_s(50, 0.9, 10.0).item() == pytest.approx(by_recursion(50, 0.9) * 10 / 50 / 0.1)


def test_bursts_take_servers_away():
    """Arrivals four times as uneven: the mean is that of Allen and Cunneen where all wait, and never less wait."""
    waits = wait_at_percentile_s(95, 40, 0.9, 1.0, ca2=np.array([0.5, 1.0, 2.0, 4.0, 9.0])).tolist()
    assert waits == sorted(waits) and waits[0] < waits[-1]
    assert mean_wait_s(40, 0.999, 1.0, ca2=4.0) == pytest.approx(mean_wait_s(40, 0.999, 1.0) * 2.5, rel=0.05)


def test_replicas_that_are_looked_at_count_together():
    assert (
        servers_of([1, 20], 16, "one-queue").tolist() == servers_of([1, 20], 16, "least-requests").tolist() == [16, 320]
    )
    assert servers_of([1, 20], 16, "each").tolist() == [16, 16]
    assert [queues_of(20, spread).item() for spread in ("one-queue", "least-requests", "each")] == [1, 20, 1]


def test_the_shortest_of_several_queues_is_between_one_queue_and_each_alone():
    of = {}
    for spread in ("one-queue", "least-requests", "each"):
        of[spread] = wait_at_percentile_s(99, servers_of(20, 16, spread), 0.95, 10.0, queues=queues_of(20, spread))
    assert of["one-queue"] < of["least-requests"] < of["each"]
    one, several = (wait_at_percentile_s(99, 320, 0.95, 10.0, queues=n).item() for n in (1, 20))
    assert several / one == pytest.approx(20 * 0.05 / (1 - 0.95**20))


def test_utilisation_rises_with_replicas_of_the_fewest_requests():
    replicas = np.append(np.arange(1, 30), np.arange(30, 300, 9))
    for target in (0.0, 0.2, 2.0):
        for cs2 in (0.0, 0.3):
            meets = utilisation_that_meets(target, 95, 8 * replicas, 10.0, cs2=cs2, queues=replicas)
            assert (np.diff(meets) >= -1e-12).all()
