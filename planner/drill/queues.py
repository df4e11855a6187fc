"""How far replicas may be filled so that first tokens come in time: the drill's own reckoning, from its meaning.

Requests come one by one and take the next free slot. What they wait for is worked out from the share of them that waits
at all, of c slots under a load of a (Erlang's B and C, here by Simpson's rule), and from how fast the queue ends.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from planner.study.records.policies import Utilisation

Numbers = NDArray[np.float64]
MOST_STEPS = 60
CLOSE = 1e-11
"""Share of a queue's load to which the largest is known."""
POINTS = 2401
"""Of Simpson's rule, an odd number."""
SIMPSON = np.array([1.0, *[4.0, 2.0] * (POINTS // 2 - 1), 4.0, 1.0])
MOST_SLOTS = 1e5
"""Of a queue whose wait is worked out; with more no request waits."""
LEAST_SPARE = 0.05
"""Slots that stay free on average, in square roots of the load: with fewer a queue does not end in any time."""


@dataclass(frozen=True)
class Queues:
    """What the requests of each placement wait in.

    Parameters
    ----------
    said : how requests come and are spread
    slots : of a replica [e]
    met_seconds : E[S²]/E[S] of the time S that a request keeps one, the most of any workload [e]
    wait_seconds : percentile -> what so many of a hundred requests may wait at most, infinite: any time [e]
    """

    said: Utilisation
    slots: Numbers
    met_seconds: Numbers
    wait_seconds: Mapping[float, Numbers]
    _known: dict[tuple[int, float], float] = field(default_factory=dict, compare=False, repr=False)

    def of_placements(self, columns: NDArray[np.int64]) -> "Queues":
        """Those of some placements [e]."""
        waits = {percentile: seconds[columns] for percentile, seconds in self.wait_seconds.items()}
        met = self.met_seconds[columns]
        return replace(self, slots=self.slots[columns], met_seconds=met, wait_seconds=waits, _known={})

    def with_seconds(self, factor: Numbers) -> "Queues":
        """The same where requests keep a slot so many times as long [e]."""
        known = {(e, replicas): most for (e, replicas), most in self._known.items() if factor[e] == 1.0}
        return replace(self, met_seconds=self.met_seconds * factor, _known=known)

    def most_filled(self, in_failure: bool, replicas: Numbers) -> Numbers:
        """How far so many replicas may be filled (0 to 1) [..., e]."""
        limit = self.said.in_failure if in_failure else self.said.normal
        filled = np.full(replicas.shape, limit)
        for at in zip(*np.nonzero(replicas > 0), strict=True):
            filled[at] = min(limit, self._of(at[-1], max(1.0, math.floor(replicas[at] + 1e-9))))
        return filled

    def _of(self, e: int, replicas: float) -> float:
        if (e, replicas) not in self._known:
            together = 1.0 if self.said.spread == "each" else replicas
            queues = replicas if self.said.spread == "least-requests" else 1.0
            within = [self._within(self.slots[e] * together, queues, e, percentile) for percentile in self.wait_seconds]
            self._known[e, replicas] = min(within, default=1.0)
        return self._known[e, replicas]

    def _within(self, slots: float, queues: float, e: int, percentile: float) -> float:
        """The most that so many slots may be filled for one of the percentiles, with so many queues before them."""
        wait = self.wait_seconds[percentile][e]
        if slots > MOST_SLOTS:
            return 1.0
        arrivals = self.said.arrivals_variation
        # bursts come as if there were fewer slots, each request alone; long requests keep others waiting for longer
        fewer = slots * 2.0 / (arrivals + 1.0)
        alone = max(1.0, fewer)
        seconds = self.met_seconds[e] / 2.0 * alone / fewer
        allowed = wait / seconds if seconds > 0 else math.inf
        root = (math.sqrt(LEAST_SPARE**2 + 4.0 * alone) - LEAST_SPARE) / 2.0
        return _largest(lambda filled: _waits_too_long(alone, queues, filled, percentile, allowed), root**2 / alone)


def _largest(excess: Callable[[float], float], high: float) -> float:
    """The largest number from 0 to `high` without excess, which rises with it: what is returned has none.

    Source
        false position, half of the end that stays (the Illinois method)
    """
    above = excess(high)
    if above <= 0:
        return high
    low, below, narrow, last = 0.0, -math.inf, high * CLOSE, 0
    for _ in range(MOST_STEPS):
        if high - low <= narrow:
            break
        if math.isfinite(below) and math.isfinite(above):
            middle = high - above * (high - low) / (above - below)
            # not nearer to an end than what is to be known: so both come close
            middle = min(max(middle, low + narrow / 2.0), high - narrow / 2.0)
        else:
            middle = (low + high) / 2.0
        at = excess(middle)
        if at <= 0:
            above = above / 2.0 if last < 0 else above
            low, below, last = middle, at, -1
        else:
            below = below / 2.0 if last > 0 else below
            high, above, last = middle, at, 1
    return low


def _waits_too_long(slots: float, queues: float, filled: float, percentile: float, allowed: float) -> float:
    """Above 0 where so many of a hundred requests wait longer than allowed, in times that a request keeps a slot.

    Where each request joins the shortest of several queues at once it waits for its own: these end later than one.
    """
    blocked = 1.0 / _inverse_of_blocked(slots, slots * filled)
    waiting = blocked / (1.0 - filled * (1.0 - blocked))
    if waiting <= 0:
        return -math.inf
    return math.log(waiting / (1.0 - percentile / 100.0)) - allowed * slots / queues * (1.0 - math.pow(filled, queues))


def _inverse_of_blocked(slots: float, load: float) -> float:
    """One by the share of requests that find no slot where none may wait: `load · ∫ exp(-load t) (1 + t)^slots dt`."""
    peak = max(0.0, slots / load - 1.0)
    width = max(math.sqrt(slots) / load, 1.0 / load)
    t = np.linspace(max(0.0, peak - 14.0 * width), peak + max(14.0 * width, 60.0 / load), POINTS)
    with np.errstate(over="ignore"):  # then none is without a slot
        values = load * np.exp(slots * np.log1p(t) - load * t)
        return float((t[1] - t[0]) / 3.0 * (SIMPSON * values).sum())
