"""How far replicas may be filled where first tokens are to come in time: by how many take from one queue.

A placement's queue is as strict as the strictest of all that may be served there: of each tier the edge with the least
to wait, and of all requests the one that keeps a slot longest. That is on the safe side: what a request finds before it
takes E[S²]/E[S] of a slot, of a mix no more than the most of its kinds, mean · (1 + variation of lengths).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from planner.study.records.study import Utilisation
from planner.study.waiting import queues_of, servers_of, utilisation_that_meets
from planner.units import ROUNDING

Array = np.ndarray[Any, Any]
Of = tuple[str, bool]
"""(placement, whether in a failure)"""
MOST_SERVERS = 1e5
"""Slots up to which the formula holds its digits: more are taken to be filled up to the limit."""


@dataclass(frozen=True)
class Queue:
    """What the requests of a placement wait in.

    Parameters
    ----------
    concurrency : slots of a replica
    service_seconds : that a request keeps a slot, of the workload that keeps it longest
    most_wait_seconds : percentile -> what so many of a hundred requests may wait at most
    lengths_variation : squared coefficient of variation of that time, with which E[S²]/E[S] is the most of any workload
    """

    concurrency: float
    service_seconds: float
    most_wait_seconds: Mapping[float, float]
    lengths_variation: float = 1.0


@dataclass(frozen=True)
class Waiting:
    """The queues of all placements, and how far a program reckons that they may be filled.

    Parameters
    ----------
    said : how requests come and are spread, and limits beside
    queues : of each placement with an edge
    replicas : with which a program reckons: of as many or more
    utilisation : of these, the same in all that the program says of a placement
    """

    said: Utilisation
    queues: Mapping[str, Queue]
    replicas: Mapping[Of, float] = field(default_factory=dict)
    utilisation: Mapping[Of, float] = field(default_factory=dict)
    _known: dict[tuple[str, float], float] = field(default_factory=dict, compare=False, repr=False)

    def largest(self, in_failure: bool, placements: Sequence[str], replicas: Iterable[float]) -> Array:
        """The largest utilisation of so many running replicas of each placement (0 to 1); of parts of one, as of whole.

        Formula
            min over tiers: the largest u at which percentile of requests wait no longer than what is left to wait
            in G/G/c with c = replicas · concurrency, or concurrency (each)
        Source
            planner/study/waiting.py
        """
        counts = [max(1.0, float(np.floor(n + ROUNDING))) for n in replicas]
        keys = list(zip(placements, counts, strict=True))
        self._work_out({key for key in keys if key not in self._known})
        most = self.said.in_failure if in_failure else self.said.normal
        return np.asarray(np.minimum([self._known[key] for key in keys], most))

    def that_carry(self, in_failure: bool, placements: Sequence[str], work: Iterable[float]) -> Array:
        """The fewest whole replicas of each placement that carry some work [replica-seconds/s]; one at least."""
        needed = np.asarray(list(work))
        low, high = np.zeros(len(needed)), np.maximum(1.0, np.ceil(needed))
        while (few := self._capacity(in_failure, placements, high) < needed).any():
            low, high = np.where(few, high, low), np.where(few, 2 * high, high)
        while (high - low > 1).any():
            middle = np.floor((low + high) / 2)
            few = self._capacity(in_failure, placements, middle) < needed
            low, high = np.where(few & (middle > low), middle, low), np.where(few, high, middle)
        return np.asarray(high)

    def _capacity(self, in_failure: bool, placements: Sequence[str], replicas: Array) -> Array:
        return np.asarray(self.largest(in_failure, placements, replicas.tolist()) * replicas)

    def _work_out(self, keys: Iterable[tuple[str, float]]) -> None:
        """The largest utilisation of some placements with some numbers of replicas, all at once."""
        by_percentile: dict[float, list[tuple[str, float]]] = {}
        for key in sorted(keys):
            self._known[key] = 1.0
            for percentile in self.queues[key[0]].most_wait_seconds:
                by_percentile.setdefault(percentile, []).append(key)
        for percentile, several in by_percentile.items():
            queues = [self.queues[e] for e, _ in several]
            replicas = [n for _, n in several]
            servers = servers_of(replicas, [queue.concurrency for queue in queues], self.said.spread)
            at_most = utilisation_that_meets(
                [queue.most_wait_seconds[percentile] for queue in queues],
                percentile,
                np.minimum(servers, MOST_SERVERS),
                [queue.service_seconds for queue in queues],
                self.said.arrivals_variation,
                [queue.lengths_variation for queue in queues],
                queues_of(replicas, self.said.spread),
            )
            at_most = np.where(servers > MOST_SERVERS, 1.0, at_most)
            for key, utilisation in zip(several, at_most.tolist(), strict=True):
                self._known[key] = min(self._known[key], utilisation)

    def by_replicas(self, replicas: Mapping[Of, float]) -> Waiting:
        """The same, with a program that reckons with so many replicas of some placements; of others as before."""
        utilisation = dict(self.utilisation)
        for in_failure in (False, True):
            those = {e: n for (e, fails), n in replicas.items() if fails == in_failure}
            at_most = self.largest(in_failure, list(those), those.values()).tolist()
            utilisation |= {(e, in_failure): most for e, most in zip(those, at_most, strict=True)}
        return replace(self, replicas={**self.replicas, **replicas}, utilisation=utilisation)
