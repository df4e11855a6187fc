"""What is installed: machines, replicas and routes in normal operation, and what of it counts in a failure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import NamedTuple

import numpy as np

from planner.drill.instance import ROUNDING, Flags, Indices, Instance, Numbers
from planner.drill.time_slices import HOURLY
from planner.study.records.inventory import Offer
from planner.study.records.plan import State
from planner.study.records.study import Study

NotRenewed = frozenset[tuple[str, float]]
"""(`renewal:OFFER`, share of its machines) of the contracts that are not renewed in a failure."""


class OnOffer(NamedTuple):
    """Replicas on machines of an offer that go on wherever more than the least of it counts.

    Parameters
    ----------
    offer : its id
    least, more : share of its machines that counts in every failure, and wherever the least does not
    replicas : of each placement [e]
    """

    offer: str
    least: float
    more: float
    replicas: Numbers


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
    less : whether an offer of the pool counts less than all of it: only replicas that are known to stand elsewhere go
        on in it [q]
    go_on : these: non-preemptible ones, and those on offers that count as far as they must [e]
    obtained : (seconds after the begin of the failure, pool, machines that can be had by then)
    """

    machines: Numbers
    less: Numbers
    go_on: Numbers
    obtained: tuple[tuple[float, int, float], ...]

    def obtained_in(self, pools: Flags, late_seconds: Numbers) -> "Counts":
        """The same where machines can be obtained in some pools only, and in some later than else [q]."""
        if not self.obtained or (pools.all() and not late_seconds.any()):
            return self
        rows = [(at + float(late_seconds[q]), q, more) for at, q, more in self.obtained if pools[q]]
        return replace(self, obtained=tuple(sorted(rows)))


@dataclass(frozen=True)
class InstalledFleet:
    """Replicas[e], traffic[i, e] in normal operation [requests/s], machines of pools.

    Parameters
    ----------
    instance : with the demand of the hour
    non_preemptible : of the replicas, those on machines that count in every failure [e]
    on_offers : of the others, those on machines of one offer of which more counts in some failures
    unroutable : traffic sent where nothing can serve it [i, requests/s]
    held : machines owned or committed before the plan [q]
    claims : (pool, machines, seconds until they are back or none)
    gateway_limits : what gateways send over an edge at most, where the plan says so [i, e, requests/s]
    stated : failure -> its states in the plan: replicas to be tried, not believed
    """

    instance: Instance
    replicas: Numbers
    non_preemptible: Numbers
    base: Numbers
    unroutable: Numbers
    held: Numbers
    usable: Numbers
    spare: Numbers
    bought: tuple[Bought, ...] = ()
    gateway_limits: Numbers | None = None
    claims: tuple[tuple[int, float, float | None], ...] = ()
    stated: Mapping[str, Sequence[State]] = field(default_factory=dict)
    on_offers: tuple[OnOffer, ...] = ()

    def of_placements(self, columns: Indices) -> "InstalledFleet":
        """What is installed of some placements [e]."""
        limits = self.gateway_limits
        return replace(
            self,
            instance=self.instance.of_placements(columns),
            replicas=self.replicas[columns],
            non_preemptible=self.non_preemptible[columns],
            base=self.base[:, columns],
            gateway_limits=None if limits is None else limits[:, columns],
            on_offers=tuple(row._replace(replicas=row.replicas[columns]) for row in self.on_offers),
        )

    def lent(self) -> Numbers:
        """Machines that others have in normal operation [q]."""
        return self.still_out(0.0, reclaimed=False)

    def running(self, share_of: Mapping[str, float] | None = None) -> Numbers:
        """Machines held, and bought, or of what was bought these shares by offer [q]."""
        machines = self.held.copy()
        for row in self.bought:
            machines[row.pool] += row.machines * (1.0 if share_of is None else share_of[row.offer.id])
        return machines

    def machines_in_normal(self) -> Numbers:
        """Machines for replicas in normal operation [q]."""
        return np.maximum(self.usable * (self.running() - self.lent()) - self.spare, 0.0)

    def still_out(self, elapsed: float, reclaimed: bool = True) -> Numbers:
        """Machines that others still have so long after a failure [q]; a claim returns strictly before that."""
        lent = np.zeros_like(self.usable)
        for q, machines, back in self.claims:
            if back is None or not back < elapsed or not reclaimed:
                lent[q] += machines
        return lent

    def counts(self, kinds: frozenset[str], not_renewed: NotRenewed = frozenset()) -> Counts:
        """What counts in failures that lose components of these kinds, and in which contracts are not renewed."""
        study = self.instance.study
        number = {pool.id: q for q, pool in enumerate(study.pools)}
        units: dict[str, float] = {}
        for row in self.bought:
            units[row.offer.id] = units.get(row.offer.id, 0.0) + row.units
        priced = {price.offer_id for price in study.prices}
        shares, obtained, less = dict[str, float](), [], np.zeros_like(self.held)
        gone = dict(not_renewed)
        for offer in study.offers:
            shares[offer.id], obtainable, seconds = fractions(study, offer, kinds)
            shares[offer.id] *= 1.0 - min(gone.get(f"renewal:{offer.id}", 0.0), 1.0)
            if offer.pool not in number:
                continue
            if shares[offer.id] < 1.0:
                less[number[offer.pool]] = 1.0
            may = offer.kind in HOURLY and offer.kind in study.policies.offers and offer.id in priced
            if may and offer.most_units is not None:
                more = max(offer.most_units - units.get(offer.id, 0.0), 0.0)
                machines = obtainable * more * offer.machines_per_unit
                obtained.append((study.detection_seconds + seconds, number[offer.pool], machines))
        go_on = self.non_preemptible.copy()
        for stand in self.on_offers:
            if shares[stand.offer] >= stand.more - ROUNDING:
                go_on += stand.replicas
        go_on = np.minimum(go_on, self.replicas)
        return Counts(self.running(shares), less, go_on, tuple(sorted(row for row in obtained if row[2] > 0)))


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


def more_counted(study: Study, offer: Offer, failures: Iterable[tuple[frozenset[str], NotRenewed]]) -> float:
    """Share of machines on an offer that counts in every failure in which more than the least does; else the least."""
    about = list(failures)
    least = least_counted(study, offer, about)
    shares = [least_counted(study, offer, [one]) for one in about]
    return min((share for share in shares if share > least + ROUNDING), default=least)


def least_counted(study: Study, offer: Offer, failures: Iterable[tuple[frozenset[str], NotRenewed]]) -> float:
    """Share of machines on an offer that counts in every failure, of each its kinds and what is not renewed."""
    least = 0.0 if offer.kind == "spot" else 1.0
    for kinds, not_renewed in failures:
        gone = min(dict(not_renewed).get(f"renewal:{offer.id}", 0.0), 1.0)
        least = min(least, fractions(study, offer, kinds)[0] * (1.0 - gone))
    return least
