"""What stands: machines, replicas and routes in normal operation, and what of it counts in a failure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import NamedTuple

import numpy as np

from planner.drill.world import WHOLE, Numbers, World
from planner.study.records.inventory import Offer
from planner.study.records.study import Study

HOURLY = ("on_demand", "spot")


class Bought(NamedTuple):
    """What runs on an offer: number of its pool, machines; units rented."""

    offer: Offer
    pool: int
    machines: float
    units: float


@dataclass(frozen=True)
class Counts:
    """What counts in failures that lose components of certain kinds.

    Parameters
    ----------
    machines : held, and counted of what was bought [q]
    less : whether an offer of the pool counts less than whole: only replicas that the plan calls firm go on there [q]
    obtained : (seconds after the begin of the failure, pool, machines that can be had by then)
    """

    machines: Numbers
    less: Numbers
    obtained: tuple[tuple[float, int, float], ...]


@dataclass(frozen=True)
class Stock:
    """What stands: replicas[e], traffic[i, e] in normal operation [requests/s], machines of pools.

    Parameters
    ----------
    non_preemptible : of the replicas, those on machines that count in every failure [e]
    astray : traffic sent where nothing can serve it [i, requests/s]
    held : machines owned or committed before the plan [q]
    claims : (pool, machines, seconds until they are back or none)
    limits : what gateways send over an edge at most, where the plan says so [i, e, requests/s]
    """

    replicas: Numbers
    non_preemptible: Numbers
    base: Numbers
    astray: Numbers
    held: Numbers
    usable: Numbers
    spare: Numbers
    bought: tuple[Bought, ...] = ()
    limits: Numbers | None = None
    claims: tuple[tuple[int, float, float | None], ...] = ()

    def lent(self) -> Numbers:
        """Machines that others have in normal operation [q]."""
        lent = np.zeros_like(self.usable)
        for q, machines, _ in self.claims:
            lent[q] += machines
        return lent

    def running(self, share_of: Mapping[str, float] | None = None) -> Numbers:
        """Machines held, and bought, or of what was bought these shares by offer [q]."""
        machines = self.held.copy()
        for row in self.bought:
            machines[row.pool] += row.machines * (1.0 if share_of is None else share_of[row.offer.id])
        return machines

    def machines_in_normal(self) -> Numbers:
        """Machines for replicas in normal operation [q]."""
        return np.maximum(self.usable * (self.running() - self.lent()) - self.spare, 0.0)

    def still_out(self, clock: float, reclaimed: bool = True) -> Numbers:
        """Machines that others still have at a clock [q]; a claim returns strictly before the clock."""
        lent = np.zeros_like(self.usable)
        for q, machines, back in self.claims:
            if back is None or not back < clock or not reclaimed:
                lent[q] += machines
        return lent


def fractions(study: Study, offer: Offer, kinds: frozenset[str]) -> tuple[float, float, float]:
    """Of machines on an offer: the share that counts of those that run, that can be obtained, and after how long [s].

    The last entry of the study's policies that matches wins; spot never counts.
    """
    if offer.kind == "spot":
        return 0.0, 0.0, 0.0
    for entry in reversed(study.policies.counted):
        asked = entry.any is None or entry.any in kinds
        if asked and any(fnmatchcase(offer.id, pattern) for pattern in entry.offers):
            return entry.running_fraction, entry.obtainable_fraction, entry.obtain_seconds
    return 1.0, 0.0, 0.0


def counts(world: World, stock: Stock, kinds: frozenset[str]) -> Counts:
    """What counts in failures that lose components of these kinds."""
    study = world.study
    number = {pool.id: q for q, pool in enumerate(study.pools)}
    machines, less = stock.held.copy(), np.zeros_like(stock.held)
    units: dict[str, float] = {}
    for row in stock.bought:
        share = fractions(study, row.offer, kinds)[0]
        machines[row.pool] += share * row.machines
        units[row.offer.id] = units.get(row.offer.id, 0.0) + row.units
    for offer in study.offers:
        if offer.pool in number and fractions(study, offer, kinds)[0] < 1.0:
            less[number[offer.pool]] = 1.0
    obtained = []
    priced = {price.offer_id for price in study.prices}
    for offer in study.offers if study.policies.counted else ():
        _, share, seconds = fractions(study, offer, kinds)
        may = offer.kind in HOURLY and offer.kind in study.policies.offers and offer.id in priced
        if share > 0 and may and offer.most_units is not None and offer.pool in number:
            left = max(offer.most_units - units.get(offer.id, 0.0), 0.0)
            at = study.detection_seconds + seconds
            obtained.append((at, number[offer.pool], share * left * offer.machines_per_unit))
    return Counts(machines, less, tuple(sorted(row for row in obtained if row[2] > 0)))


def least_counted(study: Study, offer: Offer, kinds: Iterable[frozenset[str]]) -> float:
    """Share of machines on an offer that counts in every failure."""
    return 0.0 if offer.kind == "spot" else min((fractions(study, offer, lost)[0] for lost in kinds), default=1.0)


def that_fit(world: World, replicas: Numbers, machines: Numbers) -> Numbers:
    """Replicas that find room [..., e] on machines [..., q]; where not all do, all of a pool give up the same share."""
    per_pool = np.zeros((len(world.placements), len(world.study.pools)))
    per_pool[np.arange(len(world.placements)), world.pool_of] = world.machines_per_replica
    need = replicas @ per_pool
    tight = need > machines + WHOLE * np.maximum(need, 1.0)
    share = np.where(tight, machines / np.where(need > 0, need, 1.0), 1.0)[..., world.pool_of]
    return np.where(share < 1, np.floor(replicas * share + WHOLE), replicas)
