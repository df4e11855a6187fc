"""Requests that queue, one after the other: replicas with slots, arrivals, lengths, and how requests are spread.

No formula of waiting is in it: each request begins when a slot is free, and keeps it as long as it takes. What is drawn
depends on the seed alone.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from planner.drill.instance import Indices, Numbers

Routing = Literal["one-queue", "least-requests", "two-at-random", "round-robin", "random"]
"""one-queue: one queue before all slots; else each replica has a queue of its own, and a request is sent at once: to
the replica with the fewest, to that of two drawn at random which has fewer, to each in turn, or to any."""
ROUTINGS: tuple[Routing, ...] = get_args(Routing)


@dataclass(frozen=True)
class Lengths:
    """How lengths vary about their mean.

    Parameters
    ----------
    variation : coefficient of variation: 0 fixed, 1 exponential, else lognormal
    shares, values : instead: quantiles, the share from 0 to 1 of requests that are at most so long; straight between
    """

    variation: float = 1.0
    shares: tuple[float, ...] = ()
    values: tuple[float, ...] = ()

    def drawn(self, random: np.random.Generator, n: int) -> Numbers:
        """So many lengths, of mean 1."""
        if self.values:
            at = np.interp(random.random(n), self.shares, self.values)
            middles = (np.array(self.values[1:]) + np.array(self.values[:-1])) / 2
            mean = float((np.diff(self.shares) * middles).sum())
            return np.asarray(at / mean, dtype=np.float64)
        if self.variation == 0:
            return np.ones(n)
        if self.variation == 1:
            return random.standard_exponential(n)
        spread = float(np.log1p(self.variation**2))
        return random.lognormal(-spread / 2, spread**0.5, n)


def arrivals(random: np.random.Generator, n: int, per_second: float, squared_variation: float = 1.0) -> Numbers:
    """Times at which so many requests arrive [s]: Poisson's, or more or less in bursts.

    Times between two are exponential at a squared variation of 1, gamma below it (0: all the same), and above it mixed
    of two exponential ones of balanced means.
    """
    if squared_variation == 0:
        gaps = np.ones(n)
    elif squared_variation < 1:
        shape = 1 / squared_variation
        gaps = random.gamma(shape, 1 / shape, n)
    else:
        share = (1 + ((squared_variation - 1) / (squared_variation + 1)) ** 0.5) / 2
        short = random.random(n) < share
        gaps = random.standard_exponential(n) / np.where(short, 2 * share, 2 * (1 - share))
    return np.asarray(np.cumsum(gaps) / per_second, dtype=np.float64)


def waits(
    random: np.random.Generator,
    at: Numbers,
    seconds: Numbers,
    replicas: int,
    slots_per_replica: int,
    routing: Routing,
    begins_idle: bool = False,
) -> Numbers:
    """How long each request waits for a slot [s].

    As the first arrives as many slots are busy as are on the mean, each with what remains of a request, unless all
    begins idle; what has not become steady is for whoever asks to leave out.

    Parameters
    ----------
    at : when requests arrive [s], rising
    seconds : how long each keeps a slot [s]
    """
    slots = replicas * slots_per_replica
    busy = np.zeros(slots) if begins_idle else _busy_at_first(random, at, seconds, slots)
    if routing == "one-queue":
        return _of_one_queue(at.tolist(), seconds.tolist(), busy.tolist())
    of_replica = np.array_split(random.permutation(busy), replicas)
    free = [queue.tolist() for queue in of_replica]
    if routing == "least-requests":
        return _fewest_requests(at.tolist(), seconds.tolist(), free)
    n = len(at)
    if routing == "two-at-random":
        return _fewer_of_two(at.tolist(), seconds.tolist(), free, pairs(random, n, replicas))
    to = np.arange(n) % replicas if routing == "round-robin" else random.integers(0, replicas, n)
    return _each_alone(at, seconds, to, of_replica)


def pairs(random: np.random.Generator, n: int, replicas: int) -> Indices:
    """For each of so many requests two different replicas, the only one twice [n, 2]."""
    first = random.integers(0, replicas, n)
    if replicas == 1:
        return np.stack([first, first], axis=1)
    return np.stack([first, (first + random.integers(1, replicas, n)) % replicas], axis=1)


def _busy_at_first(random: np.random.Generator, at: Numbers, seconds: Numbers, slots: int) -> Numbers:
    """When each slot is free, from the first arrival on [s; slots]."""
    span = float(at[-1] - at[0])
    share = min(float(seconds.sum()) / (span * slots), 1.0) if span > 0 else 1.0
    # what somebody who looks in sees of a request: longer ones more often, and any part of them yet to come
    looked_at = random.choice(seconds, slots, p=seconds / seconds.sum())
    is_busy = random.random(slots) < share
    return np.asarray(at[0] + np.where(is_busy, looked_at * random.random(slots), 0.0), dtype=np.float64)


def _of_one_queue(at: Sequence[float], seconds: Sequence[float], free: list[float]) -> Numbers:
    """Waits where the first in the queue takes the first slot that is free [s]."""
    heapq.heapify(free)
    replace, began = heapq.heapreplace, []
    for now, needs in zip(at, seconds, strict=True):
        first = free[0]
        begin = first if first > now else now
        replace(free, begin + needs)
        began.append(begin)
    return np.subtract(began, at, dtype=np.float64)


def _each_alone(at: Numbers, seconds: Numbers, to: Indices, free: Sequence[Numbers]) -> Numbers:
    """The same where each replica has the requests that it is sent in a queue of its own [s]."""
    waited = np.zeros(len(at))
    for replica, slots in enumerate(free):
        mine = np.flatnonzero(to == replica)
        waited[mine] = _of_one_queue(at[mine].tolist(), seconds[mine].tolist(), slots.tolist())
    return waited


def _in_flight(now: float, free: list[list[float]]) -> tuple[list[int], list[tuple[float, int]]]:
    """Requests of each replica, and when each of them ends, the soonest first; slots become heaps, too."""
    counts, ends = [0] * len(free), []
    for replica, slots in enumerate(free):
        for slot in slots:
            if slot > now:
                counts[replica] += 1
                ends.append((slot, replica))
        heapq.heapify(slots)
    heapq.heapify(ends)
    return counts, ends


def _fewest_requests(at: Sequence[float], seconds: Sequence[float], free: list[list[float]]) -> Numbers:
    """The same where each request is sent at once to the replica with the fewest, those that wait among them [s]."""
    counts, ends = _in_flight(at[0], free)
    # the fewest first; what a replica had before stays in it until it comes to the top
    fewest = [(count, replica) for replica, count in enumerate(counts)]
    heapq.heapify(fewest)
    replace, push, pop, began = heapq.heapreplace, heapq.heappush, heapq.heappop, []
    for now, needs in zip(at, seconds, strict=True):
        while ends and ends[0][0] <= now:
            replica = pop(ends)[1]
            counts[replica] -= 1
            push(fewest, (counts[replica], replica))
        count, replica = fewest[0]
        while counts[replica] != count:
            pop(fewest)
            count, replica = fewest[0]
        slots = free[replica]
        begin = slots[0] if slots[0] > now else now
        replace(slots, begin + needs)
        push(ends, (begin + needs, replica))
        counts[replica] += 1
        replace(fewest, (counts[replica], replica))
        began.append(begin)
    return np.subtract(began, at, dtype=np.float64)


def _fewer_of_two(at: Sequence[float], seconds: Sequence[float], free: list[list[float]], drawn: Indices) -> Numbers:
    """The same where each request is sent to that of two replicas which has fewer, the first where both have as many
    [s].

    Parameters
    ----------
    drawn : the two of each request
    """
    counts, ends = _in_flight(at[0], free)
    replace, push, pop, began = heapq.heapreplace, heapq.heappush, heapq.heappop, []
    for now, needs, (first, second) in zip(at, seconds, drawn.tolist(), strict=True):
        while ends and ends[0][0] <= now:
            counts[pop(ends)[1]] -= 1
        replica = second if counts[second] < counts[first] else first
        slots = free[replica]
        begin = slots[0] if slots[0] > now else now
        replace(slots, begin + needs)
        push(ends, (begin + needs, replica))
        counts[replica] += 1
        began.append(begin)
    return np.subtract(began, at, dtype=np.float64)
