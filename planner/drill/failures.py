"""A failure that is replayed: what is lost together, what is asked of each tier, how gateways fail over."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from planner.drill.instance import Instance, Numbers
from planner.drill.result import Mode
from planner.study.records.study import Study, kind_and_name

NORMAL = "normal"
INSTANT_SECONDS = 1e-3
"""Around the time machines come, or a failure begins: what holds just before and just after is looked at."""


@dataclass(frozen=True)
class Failure:
    """Components lost together, those in maintenance beside them, and what goals ask of each tier.

    Parameters
    ----------
    goals : tier -> (deadline [s], fraction) of its goals
    name, beside : parts of the id of a failure that the study names: `failure:NAME`, and what is out at the same time
    failover : how gateways fail over in it, where the failure says so
    hours_to_new_weights : after how many hours the study's mode holds instead; none: not before the end
    mode : how it is replayed
    worst : placement that takes all that is lost of its pool, where the loss may fall on one
    falls_on : the same of all its stages, also where the loss may fall on one in another stage only; else empty
    recovery_shown : whether it is looked at when all has recovered that can, also where a deadline comes later
    repaired : component that is lost -> hours until it works again, where that may be before the end
    of : id of the failure as it begins, where this is a later stage of it; else none
    repaired_seconds : when the parts work again that a stage has and the one before had not, since the failure began
    begins_seconds, ends_seconds : from when on a stage counts, and until the next one does, since the failure began
    opens_seconds : component -> since when replicas may start in it, where that is later than detection, since the
        failure began
    answers_wrongly : whether what is lost answers wrongly until it is found out, when the failure begins
    hours_to_find_out : how long that is; none: not known
    weights_since_seconds : since when new weights can be pushed, where that is later than detection, likewise
    """

    id: str
    lost: Mapping[str, float]
    surge_factor: float = 1.0
    surges: Mapping[str, float] = field(default_factory=dict)
    in_maintenance: Mapping[str, float] = field(default_factory=dict)
    worst: str | None = None
    falls_on: str = ""
    hours_to_repair: float | None = None
    name: str = ""
    beside: str = ""
    failover: Mode | None = None
    hours_to_new_weights: float | None = None
    mode: Mode = "resolve"
    recovery_shown: bool = False
    repaired: Mapping[str, float] = field(default_factory=dict)
    of: str | None = None
    repaired_seconds: float = 0.0
    begins_seconds: float = 0.0
    ends_seconds: float = math.inf
    opens_seconds: Mapping[str, float] = field(default_factory=dict)
    weights_since_seconds: float = 0.0
    answers_wrongly: bool = False
    hours_to_find_out: float | None = None
    goals: Mapping[str, Sequence[tuple[float, float]]] = field(default_factory=dict)

    @property
    def deadlines(self) -> list[float]:
        """Deadlines that fall into it [s], sorted."""
        deadlines = {within for goals in self.goals.values() for within, _ in goals}
        return sorted(within for within in deadlines if self.counts_at(within))

    @property
    def as_it_begins(self) -> str:
        """Its id, or of a later stage that of the failure."""
        return self.of or self.id

    @property
    def times_stated(self) -> list[float]:
        """Deadlines at which a plan states what it does [s]; of stages those at which a goal asks for something."""
        if self.of is None and math.isinf(self.ends_seconds):
            return self.deadlines
        asked = {within for goals in self.goals.values() for within, fraction in goals if fraction > 0}
        return [within for within in self.deadlines if within in asked]

    def counts_at(self, elapsed: float) -> bool:
        """Whether this is what is lost so many seconds after the failure began."""
        return self.begins_seconds <= elapsed < self.ends_seconds

    def due(self, tier: str, elapsed: float) -> float:
        """Largest fraction of a tier whose deadline has passed, from the begin of the stage on."""
        if elapsed < self.begins_seconds:
            return 0.0
        return max((fraction for within, fraction in self.goals.get(tier, ()) if within <= elapsed), default=0.0)

    @property
    def kinds(self) -> frozenset[str]:
        """Kinds of component that are lost or out."""
        return frozenset(kind_and_name(c)[0] for c in (*self.lost, *self.in_maintenance))

    @property
    def not_renewed(self) -> frozenset[tuple[str, float]]:
        """Renewals of contracts that are lost, with the share of their machines."""
        lost = {c: self.lost.get(c, 0.0) + self.in_maintenance.get(c, 0.0) for c in (*self.lost, *self.in_maintenance)}
        return frozenset((c, share) for c, share in lost.items() if kind_and_name(c)[0] == "renewal")

    def surge(self, instance: Instance) -> Numbers:
        """Factor on the demand of each flow, with what clients send again while something is lost [i]."""
        factors = np.full(len(instance.flows), self.surge_factor)
        if self.surges:
            of_flow = [
                self.surges.get(f"workload:{w}", 1.0) * self.surges.get(f"origin:{o}", 1.0) for w, o in instance.flows
            ]
            factors *= np.array(of_flow)
        if self.lost or self.in_maintenance:
            factors *= np.array([1.0 + tier.retry_surge_fraction for tier in instance.tier_of])
        return factors


def normal_operation(study: Study) -> Failure:
    """The failure in which nothing is lost."""
    return Failure(NORMAL, {}, goals={tier.name: [(0.0, tier.serve_fraction)] for tier in study.tiers})


def outages(failures: Sequence[Failure]) -> dict[str, Numbers]:
    """Component -> share that is lost or in maintenance in each failure [f]."""
    out: dict[str, Numbers] = {}
    for f, failure in enumerate(failures):
        for component, share in itertools.chain(failure.lost.items(), failure.in_maintenance.items()):
            out.setdefault(component, np.zeros(len(failures)))[f] += share
    return out
