"""How far replicas may be filled so that first tokens come in time: the drill's own reckoning, from its meaning.

Requests come one by one and take the next free slot. What they wait for is worked out from the share of them that waits
at all, of c slots under a load of a (Erlang's B and C, here by Simpson's rule), and from how fast the queue ends.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from planner.study.records.policies import Utilisation

Numbers = NDArray[np.float64]
HALVINGS = 36
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
        return replace(self, met_seconds=self.met_seconds * factor, _known={})

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
        low, high = 0.0, root**2 / alone
        if _waits(alone, queues, high, percentile) <= allowed:
            return high
        for _ in range(HALVINGS):
            middle = (low + high) / 2.0
            low, high = (middle, high) if _waits(alone, queues, middle, percentile) <= allowed else (low, middle)
        return low


def _waits(slots: float, queues: float, filled: float, percentile: float) -> float:
    """What so many of a hundred requests wait at most, in units of the time that a request keeps a slot.

    Where each request joins the shortest of several queues at once it waits for its own: these end later than one.
    """
    if filled <= 0:
        return 0.0
    blocked = 1.0 / _inverse_of_blocked(slots, slots * filled)
    waiting = blocked / (1.0 - filled * (1.0 - blocked))
    times_late = max(1.0, waiting / (1.0 - percentile / 100.0))
    return math.log(times_late) / (slots / queues * (1.0 - math.pow(filled, queues)))


def _inverse_of_blocked(slots: float, load: float) -> float:
    """One by the share of requests that find no slot where none may wait: `load · ∫ exp(-load t) (1 + t)^slots dt`."""
    peak = max(0.0, slots / load - 1.0)
    width = max(math.sqrt(slots) / load, 1.0 / load)
    t = np.linspace(max(0.0, peak - 14.0 * width), peak + max(14.0 * width, 60.0 / load), POINTS)
    with np.errstate(over="ignore"):  # then none is without a slot
        values = load * np.exp(slots * np.log1p(t) - load * t)
        return float((t[1] - t[0]) / 3.0 * (SIMPSON * values).sum())
