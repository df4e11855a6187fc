"""What remains in failures: available fractions, surviving replicas, machines that count, for many failures at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from planner.drill.failures import NORMAL, Failure, outages
from planner.drill.graph import Graph
from planner.drill.installed import Counts, InstalledFleet
from planner.drill.instance import ROUNDING, TOLERANCE, Flags, Indices, Instance, Numbers
from planner.drill.needs import available
from planner.drill.request_limits import RequestLimits, request_limits_of


@dataclass(frozen=True)
class Remaining:
    """What remains of a fleet in each of some failures; f counts them.

    Parameters
    ----------
    pools, placements : available fractions [f, q], [f, e]
    ingress : available fraction of what requests enter by, workload and origin together [f, i]
    coverable : of each flow the fraction that capacity can cover at all [f, i]
    may_start : whether replicas of a placement may start [f, e]
    start_seconds : from when on they may, since the failure began [f, e]
    weights : share of their weight that gateways leave placements: what is available, and all of it in a pool whose
        partial loss falls on one placement [f, e]
    survivors : whole replicas that run on [f, e]
    offered : requests/s, surges included [f, i]
    limits : how requests pass components with a limit
    """

    fleet: InstalledFleet
    failures: tuple[Failure, ...]
    pools: Numbers
    placements: Numbers
    ingress: Numbers
    coverable: Numbers
    may_start: Flags
    start_seconds: Numbers
    weights: Numbers
    survivors: Numbers
    offered: Numbers
    counts: tuple[Counts, ...]
    limits: RequestLimits

    @property
    def instance(self) -> Instance:
        """The study as arrays."""
        return self.fleet.instance

    def one(self, f: int) -> "Remaining":
        """What remains in one of the failures."""
        arrays = ["pools", "placements", "ingress", "coverable", "may_start", "start_seconds"]
        arrays += ["weights", "survivors", "offered"]
        return replace(
            self,
            failures=self.failures[f : f + 1],
            counts=self.counts[f : f + 1],
            limits=self.limits.one(f),
            **{name: getattr(self, name)[f : f + 1] for name in arrays},
        )

    def that_can_run(self) -> "Remaining":
        """The same failures without placements that have no machines in any of them: what they cover stays covered."""
        has_machines = (np.array([count.machines for count in self.counts]) > 0) & (self.pools > 0)
        for f, count in enumerate(self.counts):
            for _, q, _ in count.obtained:
                has_machines[f, q] = self.pools[f, q] > 0
        can_run = (self.survivors > 0) | (self.placements > 0) & has_machines[:, self.instance.pool_of]
        columns = np.flatnonzero(can_run.any(axis=0))
        arrays = ["placements", "may_start", "start_seconds", "weights", "survivors"]
        return replace(
            self,
            fleet=self.fleet.of_placements(columns),
            counts=tuple(replace(count, go_on=count.go_on[columns]) for count in self.counts),
            limits=self.limits.of_placements(columns),
            **{name: getattr(self, name)[:, columns] for name in arrays},
        )

    def counts_less(self) -> Flags:
        """Whether an offer of a placement's pool counts less than all of it [f, e]."""
        less: Flags = np.array([count.less for count in self.counts])[:, self.instance.pool_of] > 0
        return less

    def machines(self, elapsed: float, reclaimed: bool = True, obtained: bool = True) -> Numbers:
        """Machines for replicas so many seconds after the failure [f, q].

        available · usable · (held + counted of what was bought + obtained by now - still lent)
        """
        machines = np.array([count.machines for count in self.counts])
        for f, count in enumerate(self.counts if obtained else ()):
            for at, q, more in count.obtained:
                machines[f, q] += more if at <= elapsed else 0.0
        machines -= self.fleet.still_out(elapsed, reclaimed)
        usable: Numbers = np.maximum(self.pools * self.fleet.usable * machines, 0.0)
        return usable

    def part_of_pool(self, elapsed: float) -> Numbers:
        """Replicas for which machines are left of what a partly lost placement has, in the first failure [e].

        Infinite where a placement is not lost in part by itself.
        """
        pool_of, per_replica = self.instance.pool_of, self.instance.machines_per_replica
        of_pool, own = self.pools[0][pool_of], self.placements[0]
        share = np.divide(own, of_pool, out=np.zeros_like(of_pool), where=of_pool > 0)
        partly = (own > 0) & (own < of_pool)
        return np.where(partly, share * self.machines(elapsed)[0][pool_of] / per_replica, np.inf)

    def due(self, elapsed: float) -> Numbers:
        """Fraction of offered that is due and can be covered [f, i]."""
        due = np.zeros_like(self.offered)
        for f, failure in enumerate(self.failures):
            for tier, flows in self.instance.flows_of_tier:
                due[f, flows] = failure.due(tier.name, elapsed)
        return np.minimum(due, self.coverable)

    def short(self, elapsed: float, served: Numbers) -> Numbers:
        """Requests/s that `served` [i] is below what is due and can be covered, in the first failure [i]."""
        short: Numbers = np.maximum(self.due(elapsed)[0] * self.offered[0] - served, 0.0)
        return short

    def is_broken(self, flows: Indices, short: Numbers) -> bool:
        """Whether one of the flows of a tier is so short that its goal is broken, in the first failure."""
        return bool((short[flows] > TOLERANCE * self.offered[0][flows].sum()).any())


def what_remains(fleet: InstalledFleet, graph: Graph, failures: Sequence[Failure]) -> Remaining:
    """What remains in each failure: of a component its own share, and never more than of what it needs."""
    instance, n = fleet.instance, len(failures)
    out = outages(failures)
    # an ingress that is lost in part lets less through, and all of what is behind it remains
    through = {c: 1.0 - np.minimum(out[c], 1.0) for c in graph.ingresses if c in out}
    value = graph.values(out | {c: np.where(part > 0, 0.0, 1.0) for c, part in through.items()}, n)
    allowed = graph.may_start(value, n)

    def column(ids: list[str], of: Mapping[str, Numbers]) -> Numbers:
        values: Numbers = np.array([of[id] for id in ids]).reshape(len(ids), n).T
        return values

    names = [f"placement:{name}" for name in instance.placements]
    pools = column([f"pool:{pool.id}" for pool in instance.study.pools], value)
    placements = column(names, value)
    of_workload = column([f"workload:{w}" for w, _ in instance.flows], value)
    ingress = np.minimum(of_workload, column([f"origin:{o}" for _, o in instance.flows], value))
    normal = np.array([failure.id == NORMAL for failure in failures])
    alive = placements > 0
    reached = np.empty((n, len(instance.flows)), dtype=bool)
    for of_kind, edges in ((normal, instance.normal), (~normal, instance.in_failure)):
        reached[of_kind] = alive[of_kind] @ edges.T
    counted = {(failure.kinds, failure.not_renewed) for failure in failures}
    counts_of = {about: fleet.counts(*about) for about in counted}
    opens = column([f"pool:{pool.id}" for pool in instance.study.pools], allowed) > 0
    detection = instance.study.detection_seconds
    late = np.maximum(_opens_seconds(failures, [f"pool:{pool.id}" for pool in instance.study.pools]) - detection, 0.0)
    counts = tuple(
        counts_of[f.kinds, f.not_renewed].obtained_in(*of) for f, *of in zip(failures, opens, late, strict=True)
    )
    surges = np.array([failure.surge(instance) for failure in failures]).reshape(n, len(instance.flows))
    throughput = value | {c: np.minimum(value[c], part) for c, part in through.items()}
    remaining = Remaining(
        fleet=fleet,
        failures=tuple(failures),
        pools=pools,
        placements=placements,
        ingress=ingress,
        coverable=np.where(reached, ingress, 0.0),
        may_start=column(names, allowed) > 0,
        start_seconds=np.maximum(_opens_seconds(failures, names), detection),
        weights=placements.copy(),
        survivors=np.zeros_like(placements),
        offered=instance.demand * surges,
        counts=counts,
        limits=request_limits_of(instance, graph.passed, graph.limits, throughput, n),
    )
    # where an offer of the pool counts less than all of it, only replicas that are known to stand elsewhere go on
    go_on = np.where(remaining.counts_less(), np.array([count.go_on for count in counts]), fleet.replicas)
    for f, failure in enumerate(failures):
        if failure.not_renewed:  # also where no goal says so, and replicas were laid out without it
            stay = np.maximum(fleet.usable * (counts[f].machines - fleet.lent()), 0.0)
            go_on[f] = np.floor(instance.that_fit(go_on[f], stay) + ROUNDING)
    remaining.survivors[:] = np.floor(placements * go_on + ROUNDING)
    for f, failure in enumerate(failures):
        if failure.worst is not None and failure.worst in instance.placements:
            _lose_on_one(remaining, graph, f, instance.placements[failure.worst], go_on[f])
    return remaining


def _opens_seconds(failures: Sequence[Failure], components: Sequence[str]) -> Numbers:
    """Since when replicas may start in components, where that is late [f, component]; 0 elsewhere."""
    seconds = np.zeros((len(failures), len(components)))
    for f, failure in enumerate(failures):
        if failure.opens_seconds:
            seconds[f] = [failure.opens_seconds.get(component, 0.0) for component in components]
        seconds[f] = np.maximum(seconds[f], failure.weights_since_seconds)
    return seconds


def _lose_on_one(remaining: Remaining, graph: Graph, f: int, worst: int, go_on: Numbers) -> None:
    """Of a pool that is lost in part one placement takes all of the loss, by machines; the others of it none."""
    instance, fleet, failure = remaining.instance, remaining.fleet, remaining.failures[f]
    q = instance.pool_of[worst]
    mine = np.flatnonzero(instance.pool_of == q)
    alive = _apart_from_pool(instance, graph, failure, mine)
    lost = (1.0 - remaining.pools[f, q]) * fleet.usable[q]
    lost *= max(remaining.counts[f].machines[q] - fleet.lent()[q], 0.0) / instance.machines_per_replica[worst]
    kept = alive * go_on[mine]
    at = int(np.flatnonzero(mine == worst)[0])
    kept[at] = min(kept[at], max(0.0, go_on[worst] - lost))
    remaining.survivors[f, mine] = np.floor(kept + ROUNDING)
    remaining.weights[f, mine] = alive


def _apart_from_pool(instance: Instance, graph: Graph, failure: Failure, placements: Indices) -> Numbers:
    """Available fraction of placements of one pool by all that they need but for the pool."""
    pool = f"pool:{instance.study.pools[instance.pool_of[placements[0]]].id}"
    out = {**outages([failure]), pool: np.zeros(1)}
    value = graph.values(out, 1)
    names, fractions = list(instance.placements), []
    for e in placements:
        name = f"placement:{names[int(e)]}"
        own = 1.0 - min(float(out[name][0]), 1.0) if name in out else 1.0
        parts = [part for part in graph.needs[name] if part != pool]
        fractions.append(min([own, *(float(available(part, value, np.ones(1))[0]) for part in parts)]))
    return np.array(fractions)
