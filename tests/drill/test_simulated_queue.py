"""The simulator: request for request what SimPy and Ciw do, and by percentiles what Erlang and Pollaczek say."""

import numpy as np
import pytest

from planner.drill.simulated_queue import ROUTINGS, Lengths, arrivals, pairs, waits


def drawn(requests: int, servers: int, utilisation: float, lengths: Lengths = Lengths(), seed: int = 1):
    """When requests arrive, and what each takes; 1 s on the mean."""
    random = np.random.default_rng(seed)
    return arrivals(random, requests, servers * utilisation), lengths.drawn(random, requests)


@pytest.mark.parametrize("routing", ROUTINGS[:4])
def test_every_request_waits_as_in_simpy(routing):
    simpy = pytest.importorskip("simpy")
    replicas, slots = 3, 4
    at, seconds = drawn(3000, replicas * slots, 0.9, Lengths(1.5))
    environment, waited = simpy.Environment(), np.zeros(len(at))
    one = routing == "one-queue"
    random = np.random.default_rng(0)
    random.permutation(replicas * slots)  # the slots, which are all free
    drawn_for = pairs(random, len(at), replicas)
    queues = [simpy.Resource(environment, replicas * slots if one else slots) for _ in range(1 if one else replicas)]

    def chosen(n: int):
        if routing == "round-robin":
            return queues[n % replicas]
        among = [queues[i] for i in drawn_for[n]] if routing == "two-at-random" else queues
        return min(among, key=lambda queue: queue.count + len(queue.queue))

    def served(queue, n: int):
        with queue.request() as slot:
            yield slot
            waited[n] = environment.now - at[n]
            yield environment.timeout(seconds[n])

    def source():
        for n, when in enumerate(at):
            yield environment.timeout(when - environment.now)
            environment.process(served(chosen(n), n))

    environment.process(source())
    environment.run()
    ours = waits(np.random.default_rng(0), at, seconds, replicas, slots, routing, begins_idle=True)
    assert ours == pytest.approx(waited, abs=1e-7) and (ours > 0).mean() > 0.2


def test_every_request_waits_as_in_ciw():
    ciw = pytest.importorskip("ciw")
    at, seconds = drawn(2000, 5, 0.9)
    network = ciw.create_network(
        arrival_distributions=[ciw.dists.Sequential([*np.diff(at, prepend=0.0).tolist(), float("inf")])],
        service_distributions=[ciw.dists.Sequential(seconds.tolist())],
        number_of_servers=[5],
    )
    simulation = ciw.Simulation(network)
    simulation.simulate_until_max_customers(len(at), method="Finish")
    theirs = sorted((record.arrival_date, record.waiting_time) for record in simulation.get_all_records())
    ours = waits(np.random.default_rng(0), at, seconds, 1, 5, "one-queue", begins_idle=True)
    assert ours[: len(theirs)] == pytest.approx([wait for _, wait in theirs][: len(at)], abs=1e-7)
    assert len(theirs) == len(at)


def test_exponential_requests_wait_as_erlang_says():
    """20 slots, 0.8 busy: the share that waits is C, of those one in e waits longer than 1 / (c (1 - u))."""
    b = 1.0
    for k in range(1, 21):
        b = 16 * b / (k + 16 * b)
    c = b / (0.2 + 0.8 * b)
    at, seconds = drawn(250_000, 20, 0.8)
    waited = waits(np.random.default_rng(2), at, seconds, 1, 20, "one-queue")[25_000:]
    assert (waited > 0).mean() == pytest.approx(c, rel=0.03)
    assert (waited > 0.25).mean() == pytest.approx(c / np.e, rel=0.06)


@pytest.mark.parametrize("variation", [0.0, 0.5, 1.0])
def test_one_slot_waits_as_pollaczek_and_khinchine_say(variation):
    at, seconds = drawn(250_000, 1, 0.6, Lengths(variation))
    waited = waits(np.random.default_rng(2), at, seconds, 1, 1, "one-queue")
    assert waited.mean() == pytest.approx(0.6 * (1 + variation**2) / (2 * 0.4), rel=0.04)


def test_one_replica_is_the_same_however_requests_are_spread():
    at, seconds = drawn(5000, 8, 0.9)
    ways = [waits(np.random.default_rng(2), at, seconds, 1, 8, routing, True).tolist() for routing in ROUTINGS]
    assert all(one == ways[0] for one in ways)


def test_the_more_is_shared_the_less_is_waited():
    at, seconds = drawn(40_000, 80, 0.9)
    means = {r: waits(np.random.default_rng(2), at, seconds, 10, 8, r).mean() for r in ROUTINGS}
    assert list(means) == sorted(means, key=lambda routing: means[routing]) == list(ROUTINGS)


def test_two_that_are_drawn_are_different_and_all_are_drawn():
    drawn_for = pairs(np.random.default_rng(1), 3000, 3)
    assert (drawn_for[:, 0] != drawn_for[:, 1]).all()
    every, counts = np.unique(drawn_for, axis=0, return_counts=True)
    assert len(every) == 6 and counts.min() > 400
    assert (pairs(np.random.default_rng(1), 5, 1) == 0).all()


def test_the_seed_decides():
    at, seconds = drawn(2000, 8, 0.9)
    one, same, other = (waits(np.random.default_rng(n), at, seconds, 2, 4, "random").tolist() for n in (5, 5, 6))
    assert one == same != other


@pytest.mark.parametrize("variation", [0.0, 0.5, 1.0, 2.0])
def test_lengths_have_their_mean_and_variation(variation):
    lengths = Lengths(variation).drawn(np.random.default_rng(3), 200_000)
    assert lengths.mean() == pytest.approx(1.0, rel=0.02) and lengths.std() == pytest.approx(variation, rel=0.05)


def test_lengths_by_quantiles():
    lengths = Lengths(shares=(0.0, 0.5, 1.0), values=(0.0, 100.0, 500.0)).drawn(np.random.default_rng(3), 100_000)
    assert lengths.mean() == pytest.approx(1.0, rel=0.01)
    assert np.quantile(lengths, [0.25, 0.5, 0.75]) == pytest.approx(np.array([50, 100, 300]) / 175, rel=0.02)


@pytest.mark.parametrize("squared", [0.0, 0.4, 1.0, 5.0])
def test_arrivals_come_at_their_rate_and_in_their_bursts(squared):
    gaps = np.diff(arrivals(np.random.default_rng(4), 200_000, 20.0, squared))
    assert gaps.mean() == pytest.approx(0.05, rel=0.02)
    assert gaps.var() / gaps.mean() ** 2 == pytest.approx(squared, rel=0.06, abs=1e-9)
