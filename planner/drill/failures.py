"""The failures that are replayed: those that goals expand to, or components and pairs of them."""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from planner.drill.graph import Graph
from planner.drill.world import Numbers, World
from planner.errors import Finding, InputError
from planner.study.records.study import Goal, NamedFailure, Study, kind_and_name

NORMAL = "normal"
MOST_FAILURES = 100_000


@dataclass(frozen=True)
class Failure:
    """Components lost together, those in maintenance beside them, and what goals ask of each tier.

    Parameters
    ----------
    goals : tier -> (deadline [s], fraction) of its goals
    worst : placement that takes all that is lost of its pool, where the loss may fall on one
    """

    id: str
    lost: Mapping[str, float]
    surge_factor: float = 1.0
    surges: Mapping[str, float] = field(default_factory=dict)
    in_maintenance: Mapping[str, float] = field(default_factory=dict)
    worst: str | None = None
    hours_to_repair: float | None = None
    goals: Mapping[str, Sequence[tuple[float, float]]] = field(default_factory=dict)

    @property
    def clocks(self) -> list[float]:
        """Deadlines [s], sorted."""
        return sorted({within for goals in self.goals.values() for within, _ in goals})

    def due(self, tier: str, clock: float) -> float:
        """Largest fraction of a tier whose deadline has passed."""
        return max((fraction for within, fraction in self.goals.get(tier, ()) if within <= clock), default=0.0)

    @property
    def kinds(self) -> frozenset[str]:
        """Kinds of component that are lost or out."""
        return frozenset(kind_and_name(c)[0] for c in (*self.lost, *self.in_maintenance))

    def surge(self, world: World) -> Numbers:
        """Factor on the demand of each flow [i]."""
        return np.array(
            [
                self.surge_factor * self.surges.get(f"workload:{w}", 1.0) * self.surges.get(f"origin:{o}", 1.0)
                for w, o in world.flows
            ]
        )


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


def failures_of_goals(world: World, graph: Graph) -> tuple[Failure, ...]:
    """Every failure that a goal of any tier expands to, by id."""
    found: dict[str, Failure] = {}
    for tier in world.study.tiers:
        for goal in tier.survive:
            for failure in _expanded(world, graph, goal):
                goals = dict(found[failure.id].goals) if failure.id in found else {}
                goals[tier.name] = [*goals.get(tier.name, []), (goal.within_seconds, goal.serve_fraction)]
                found[failure.id] = replace(failure, goals=goals)
    for failure in _priced(world, graph):
        found.setdefault(failure.id, failure)
    return tuple(found[id] for id in sorted(found))


def _priced(world: World, graph: Graph) -> list[Failure]:
    """Failures that a plan reckons with by their cost, without a goal: held to nothing, looked at when detected."""
    study = world.study
    if study.objective == "cost":
        return []
    counted = study.objective == "worst_case"
    to_nothing = {tier.name: [(study.detection_seconds, 0.0)] for tier in study.tiers}
    found = []
    for own in study.components:
        if own.hours_to_repair is not None and (counted or own.failures_per_year is not None):
            id = f"{own.kind}:{own.name}"
            found.append(Failure(id, {id: 1.0}, hours_to_repair=own.hours_to_repair, goals=to_nothing))
    for named in study.failures:
        if named.hours_to_repair is not None and (counted or named.failures_per_year is not None):
            goal = Goal(failure=named.name, serve_fraction=0.0, within_seconds=max(study.detection_seconds, 1e-9))
            found += [replace(failure, goals=to_nothing) for failure in _expanded(world, graph, goal)]
    return found


def failures_of_kind(world: World, graph: Graph, each: Sequence[str], pairs: Sequence[str]) -> tuple[Failure, ...]:
    """Each component of the kinds `each` lost, and each pair of components of the kinds `pairs`.

    A failure that goals of the study expand to as well keeps these goals; others are held to nothing, and looked at
    at all deadlines of the study.

    Raises
    ------
    InputError
        when the graph has no component of a kind, or the failures are too many
    """
    kinds = sorted({kind_and_name(c)[0] for c in graph.order} - {"placement", "workload", "origin"})
    if unknown := [kind for kind in (*each, *pairs) if kind not in kinds]:
        fix = f"one of {', '.join(kinds)}"
        raise InputError([Finding("--each, --pairs", "a kind of component", kind, fix) for kind in unknown])
    both = sorted({c for kind in pairs for c in graph.of_kind(kind)})
    if (many := math.comb(len(both), 2)) > MOST_FAILURES:
        raise InputError([Finding("--pairs", f"at most {MOST_FAILURES:,} failures", f"{many:,}", "name fewer kinds")])
    sets: list[tuple[str, ...]] = [(c,) for kind in dict.fromkeys(each) for c in graph.of_kind(kind)]
    sets += list(itertools.combinations(both, 2))
    goals = {failure.id: failure.goals for failure in failures_of_goals(world, graph)}
    every = sorted({g.within_seconds for tier in world.study.tiers for g in tier.survive}) or [60.0]
    held_to_nothing = {tier.name: [(within, 0.0) for within in every] for tier in world.study.tiers}
    return tuple(
        Failure(
            id := " + ".join(lost),
            dict.fromkeys(lost, 1.0),
            hours_to_repair=_repair(graph, lost),
            goals=goals.get(id, held_to_nothing),
        )
        for lost in sets
    )


def _repair(graph: Graph, lost: Iterable[str]) -> float | None:
    """Hours until the last of the lost components works again; none unless all of them say."""
    hours = [graph.hours_to_repair.get(component) for component in lost]
    stated = [h for h in hours if h is not None]
    return max(stated) if stated and len(stated) == len(hours) else None


def _expanded(world: World, graph: Graph, goal: Goal) -> list[Failure]:
    if goal.failure is not None:
        named: NamedFailure = next(f for f in world.study.failures if f.name == goal.failure)
        failures = [
            Failure(
                f"failure:{named.name}",
                dict(named.lost),
                named.surge_factor,
                dict(named.surges),
                dict(named.in_maintenance),
                hours_to_repair=named.hours_to_repair or _repair(graph, named.lost),
            )
        ]
        worst_part = named.worst_part
    else:
        spared = {f"{goal.any}:{name.removeprefix(f'{goal.any}:')}" for name in goal.except_}
        kind = [c for c in graph.of_kind(goal.any or "") if c not in spared]
        failures = [
            Failure(" + ".join(lost), dict.fromkeys(lost, 1.0), hours_to_repair=_repair(graph, lost))
            for lost in itertools.combinations(kind, goal.of)
        ]
        worst_part = False
    if goal.in_maintenance:
        failures = [_while_out(failure, goal) for failure in failures]
    return [part for failure in failures for part in _parts(world, graph, failure)] if worst_part else failures


def _while_out(failure: Failure, goal: Goal) -> Failure:
    out = dict(failure.in_maintenance)
    for component, share in goal.in_maintenance.items():
        out[component] = out.get(component, 0.0) + share
    return replace(failure, id=f"{failure.id}{goal.while_out}", in_maintenance=out)


def _parts(world: World, graph: Graph, failure: Failure) -> list[Failure]:
    """One failure for each living placement of a pool that is lost in part, which takes the whole loss."""
    value = graph.values(outages([failure]), 1)
    left = [value[f"pool:{pool.id}"][0] for pool in world.study.pools]
    alive = [name for name in world.placements if value[f"placement:{name}"][0] > 0]
    placements = [name for name in alive if 0.0 < left[world.pool_of[world.placements[name]]] < 1.0]
    return [replace(failure, id=f"{failure.id} on {e}", worst=e) for e in sorted(placements)] or [failure]
