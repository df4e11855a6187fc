"""What failures leave: available fractions, surviving replicas, machines that count, for many failures at once."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from planner.drill.failures import NORMAL, Failure, outages
from planner.drill.graph import Graph, available
from planner.drill.limits import Passage, passage
from planner.drill.stock import Counts, Stock, counts
from planner.drill.world import WHOLE, Flags, Indices, Numbers, World


@dataclass(frozen=True)
class Left:
    """What is left in each of some failures; f counts them.

    Parameters
    ----------
    pools, placements : available fractions [f, q], [f, e]
    front : available fraction of the door of each flow, workload and origin together [f, i]
    coverable : of each flow the fraction that capacity can cover at all [f, i]
    may_start : whether replicas of a placement may start [f, e]
    weights : share of their weight that gateways leave placements: what is available, and all of it in a pool whose
        partial loss falls on one placement [f, e]
    survivors : whole replicas that run on [f, e]
    offered : requests/s, surges included [f, i]
    passage : how requests pass components with a limit
    """

    failures: tuple[Failure, ...]
    pools: Numbers
    placements: Numbers
    front: Numbers
    coverable: Numbers
    may_start: Flags
    weights: Numbers
    survivors: Numbers
    offered: Numbers
    counts: tuple[Counts, ...]
    passage: Passage

    def one(self, f: int) -> "Left":
        """What one of the failures leaves."""
        arrays = ("pools", "placements", "front", "coverable", "may_start", "weights", "survivors", "offered")
        return replace(
            self,
            failures=self.failures[f : f + 1],
            counts=self.counts[f : f + 1],
            passage=self.passage.one(f),
            **{name: getattr(self, name)[f : f + 1] for name in arrays},
        )

    def machines(self, stock: Stock, clock: float, reclaimed: bool = True, obtained: bool = True) -> Numbers:
        """Machines for replicas at a clock [f, q].

        available · usable · (held + counted of what was bought + obtained by now - still lent)
        """
        here = np.array([count.machines for count in self.counts])
        for f, count in enumerate(self.counts if obtained else ()):
            for at, q, machines in count.obtained:
                here[f, q] += machines if at <= clock else 0.0
        here -= stock.still_out(clock, reclaimed)
        usable: Numbers = np.maximum(self.pools * stock.usable * here, 0.0)
        return usable

    def due(self, world: World, clock: float) -> Numbers:
        """Fraction of offered that is due and can be covered [f, i]."""
        due = np.zeros_like(self.offered)
        for f, failure in enumerate(self.failures):
            of_tier = {tier.name: failure.due(tier.name, clock) for tier in world.study.tiers}
            due[f] = [of_tier[tier.name] for tier in world.tier_of]
        return np.minimum(due, self.coverable)


def what_is_left(world: World, graph: Graph, stock: Stock, failures: Sequence[Failure]) -> Left:
    """What each failure leaves: own share left, and never more than what is needed leaves."""
    n = len(failures)
    out = outages(failures)
    # a gateway that is lost in part lets less through, and what is behind it is whole, unless machines need it
    less = {c: 1.0 - np.minimum(out[c], 1.0) for c in graph.limits if c in out and c not in graph.below_machines()}
    value = graph.values(out | {c: np.where(part > 0, 0.0, 1.0) for c, part in less.items()}, n)
    starts = graph.may_start(value, n)

    def column(ids: list[str], of: dict[str, Numbers]) -> Numbers:
        values: Numbers = np.array([of[id] for id in ids]).reshape(len(ids), n).T
        return values

    names = [f"placement:{name}" for name in world.placements]
    pools = column([f"pool:{pool.id}" for pool in world.study.pools], value)
    placements = column(names, value)
    front = np.minimum(
        column([f"workload:{w}" for w, _ in world.flows], value), column([f"origin:{o}" for _, o in world.flows], value)
    )
    normal = [failure.id == NORMAL for failure in failures]
    alive = placements > 0
    reached = np.where(np.array(normal)[:, None], alive @ world.normal.T, alive @ world.in_failure.T)
    known: dict[frozenset[str], Counts] = {}
    for kinds in {failure.kinds for failure in failures}:
        known[kinds] = counts(world, stock, kinds)
    counted = tuple(known[failure.kinds] for failure in failures)
    return Left(
        failures=tuple(failures),
        pools=pools,
        placements=placements,
        front=front,
        coverable=np.where(reached, front, 0.0),
        may_start=column(names, starts) > 0,
        weights=_weights(world, graph, failures, placements),
        survivors=_survivors(world, graph, stock, failures, pools, placements, counted),
        offered=world.demand * np.array([failure.surge(world) for failure in failures]).reshape(n, len(world.flows)),
        counts=counted,
        passage=passage(world, graph, value | {c: np.minimum(value[c], part) for c, part in less.items()}, n),
    )


def _survivors(
    world: World,
    graph: Graph,
    stock: Stock,
    failures: Sequence[Failure],
    pools: Numbers,
    placements: Numbers,
    counted: tuple[Counts, ...],
) -> Numbers:
    """Whole replicas that run on [f, e]: the available share; where one placement takes the loss, by machines.

    Where an offer of the pool counts less than whole, only replicas on machines that always count go on.
    """
    less = np.array([count.less for count in counted])[:, world.pool_of] > 0
    go_on = np.where(less, stock.non_preemptible, stock.replicas)
    survivors = np.floor(placements * go_on + WHOLE)
    for f, failure in enumerate(failures):
        if failure.worst is None or failure.worst not in world.placements:
            continue
        worst = world.placements[failure.worst]
        q = world.pool_of[worst]
        mine = np.flatnonzero(world.pool_of == q)
        whole = {**outages([failure]), f"pool:{world.study.pools[q].id}": np.zeros(1)}
        alive = _apart_from_pool(world, graph, whole, mine)
        lost = (1.0 - pools[f, q]) * stock.usable[q] * max(counted[f].machines[q] - stock.lent()[q], 0.0)
        kept = alive * go_on[f, mine]
        at = int(np.flatnonzero(mine == worst)[0])
        kept[at] = min(kept[at], max(0.0, go_on[f, worst] - lost / world.machines_per_replica[worst]))
        survivors[f, mine] = np.floor(kept + WHOLE)
    return survivors


def _weights(world: World, graph: Graph, failures: Sequence[Failure], placements: Numbers) -> Numbers:
    """Share of its weight that a placement keeps [f, e]; a loss that falls on one placement of a pool takes none."""
    weights = placements.copy()
    for f, failure in enumerate(failures):
        if failure.worst in world.placements:
            q = world.pool_of[world.placements[failure.worst]]
            mine = np.flatnonzero(world.pool_of == q)
            whole = {**outages([failure]), f"pool:{world.study.pools[q].id}": np.zeros(1)}
            weights[f, mine] = _apart_from_pool(world, graph, whole, mine)
    return weights


def _apart_from_pool(world: World, graph: Graph, out: dict[str, Numbers], placements: Indices) -> Numbers:
    """Available fraction of placements by all that they need but for their pool."""
    value = graph.values(out, 1)
    names = list(world.placements)
    left = []
    for e in placements:
        name = f"placement:{names[int(e)]}"
        pool = f"pool:{world.study.pools[world.pool_of[int(e)]].id}"
        own = 1.0 - min(float(out[name][0]), 1.0) if name in out else 1.0
        parts = [part for part in graph.needs[name] if part != pool]
        left.append(min([own, *(float(available(part, value, np.ones(1))[0]) for part in parts)]))
    return np.array(left)
