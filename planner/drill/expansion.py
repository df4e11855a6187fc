"""The failures that goals expand to, or that are asked for by kind or by name."""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from planner.drill.failover import with_modes
from planner.drill.failures import INSTANT_SECONDS, Failure, outages
from planner.drill.graph import Graph
from planner.drill.instance import Instance
from planner.drill.stages import falls_on, id_of_stage, in_stages, still_lost
from planner.errors import Finding, InputError
from planner.study.records.study import Goal, NamedFailure, Study, kind_and_name

MOST_FAILURES = 100_000
Key = tuple[str, str]
"""Id of a failure as it begins, and the placement on which its loss falls, at the begin or later; else empty."""


def failures_of_goals(instance: Instance, graph: Graph) -> tuple[Failure, ...]:
    """Every failure that a goal of any tier expands to, by id, each followed by its later stages."""
    failures = _with_goals(instance, graph)
    return _in_full(instance, graph, [failures[key] for key in sorted(failures)])


def _with_goals(instance: Instance, graph: Graph) -> dict[Key, Failure]:
    """Every failure that a goal of any tier expands to, with its goals."""
    failures: dict[Key, Failure] = {}
    for tier in instance.study.tiers:
        for goal in tier.survive:
            for failure in _expanded(instance, graph, goal):
                goals = dict(failures.get(_key(failure), failure).goals)
                goals[tier.name] = [*goals.get(tier.name, []), (goal.within_seconds, goal.serve_fraction)]
                failures[_key(failure)] = replace(failure, goals=goals)
    for failure in _priced(instance, graph):
        failures.setdefault(_key(failure), failure)
    return failures


def _key(failure: Failure) -> Key:
    return failure.id, failure.worst or ""


def _in_full(instance: Instance, graph: Graph, failures: Sequence[Failure]) -> tuple[Failure, ...]:
    """The failures, each followed by its later stages, and how gateways fail over in each."""
    staged: list[Failure] = []
    for failure in failures:
        staged += in_stages(instance, graph, failure)
    return with_modes(instance, graph, staged)


def _priced(instance: Instance, graph: Graph) -> list[Failure]:
    """Failures that a plan reckons with by their cost, without a goal: held to nothing, looked at when detected."""
    study = instance.study
    if study.objective == "cost":
        return []
    counted = study.objective == "worst_case"
    failures = []
    for own in study.components:
        if own.hours_to_repair is not None and (counted or own.failures_per_year is not None):
            id = f"{own.kind}:{own.name}"
            failures.append(Failure(id, {id: 1.0}, hours_to_repair=own.hours_to_repair))
    for named in study.failures:
        if named.hours_to_repair is not None and (counted or named.failures_per_year is not None):
            failures += _expanded(instance, graph, Goal(failure=named.name, serve_fraction=0.0, within_seconds=1.0))
    return [_held_to_nothing(study, failure, [study.detection_seconds]) for failure in failures]


def failures_named(instance: Instance, graph: Graph, names: Sequence[str]) -> tuple[Failure, ...]:
    """Failures of the study by name, whether or not a goal names them; parts that may fall on one placement, each.

    A failure that goals name keeps these goals; beside them each is looked at when it is detected, at all deadlines of
    the study, and when what can recover has.

    Raises
    ------
    InputError
        when the study has no failure of a name
    """
    study = instance.study
    known = sorted(named.name for named in study.failures)
    if unknown := [name for name in dict.fromkeys(names) if name not in known]:
        fix = f"one of {', '.join(known)}" if known else "the study has none: add it to `failures`"
        raise InputError([Finding("named", "a failure of the study", repr(name)[:120], fix) for name in unknown])
    with_goals = _with_goals(instance, graph)
    times = sorted({max(study.detection_seconds, INSTANT_SECONDS), *_deadlines(study)})
    failures = []
    for name in dict.fromkeys(names):
        for failure in _expanded(instance, graph, Goal(failure=name, within_seconds=1.0)):
            looked_at = _held_to_nothing(study, failure, times)
            own = with_goals.get(_key(failure), failure).goals
            both = {tier: [*own.get(tier, ()), *rows] for tier, rows in looked_at.goals.items()}
            failures.append(replace(looked_at, goals=both, recovery_shown=True))
    return _in_full(instance, graph, failures)


def _deadlines(study: Study) -> list[float]:
    """Deadlines of all goals of the study [s]; 60 s where it has none."""
    return sorted({goal.within_seconds for tier in study.tiers for goal in tier.survive}) or [60.0]


def _held_to_nothing(study: Study, failure: Failure, deadlines: Sequence[float]) -> Failure:
    """The failure with no goal, looked at at some times."""
    return replace(failure, goals={tier.name: [(within, 0.0) for within in deadlines] for tier in study.tiers})


def failures_of_kind(
    instance: Instance, graph: Graph, each: Sequence[str], pairs: Sequence[str]
) -> tuple[Failure, ...]:
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
    with_goals = _with_goals(instance, graph)
    deadlines = _deadlines(instance.study)
    failures = []
    for lost in sets:
        failure = _held_to_nothing(instance.study, _all_lost(graph, lost), deadlines)
        failures.append(replace(failure, goals=with_goals.get(_key(failure), failure).goals))
    return with_modes(instance, graph, failures)


def _all_lost(graph: Graph, lost: Sequence[str]) -> Failure:
    """Some components lost together, all of each."""
    return Failure(" + ".join(lost), dict.fromkeys(lost, 1.0), hours_to_repair=_repair(graph.hours_to_repair, lost))


def _repair(hours_of: Mapping[str, float], lost: Iterable[str]) -> float | None:
    """Hours until the last of the lost components works again; none unless all of them say."""
    hours = [hours_of.get(component) for component in lost]
    stated = [h for h in hours if h is not None]
    return max(stated) if stated and len(stated) == len(hours) else None


def _expanded(instance: Instance, graph: Graph, goal: Goal) -> list[Failure]:
    """The failures of one goal, without what it asks."""
    if goal.failure is not None:
        named: NamedFailure = next(f for f in instance.study.failures if f.name == goal.failure)
        id, out = f"failure:{named.name}", dict(named.in_maintenance)
        repair = named.hours_to_repair
        if repair is None:  # what does not say so in the failure may say it of itself, where that is later
            rest = _repair(graph.hours_to_repair, [c for c in named.lost if c not in named.repaired])
            repair = rest if rest is not None and rest > max(named.repaired.values(), default=0.0) else None
        failure = Failure(
            id,
            dict(named.lost),
            named.surge_factor,
            dict(named.surges),
            out,
            hours_to_repair=repair,
            name=id,
            failover=named.failover,
            hours_to_new_weights=named.hours_to_new_weights,
            repaired=dict(named.repaired),
            answers_wrongly=named.answers_wrongly,
            hours_to_find_out=named.hours_to_find_out,
        )
        failure = _while_out(failure, goal)
        return _on_each_placement(instance, graph, failure) if named.worst_part else [failure]
    excepted = {f"{goal.any}:{name.removeprefix(f'{goal.any}:')}" for name in goal.except_}
    kind = [c for c in graph.of_kind(goal.any or "") if c not in excepted]
    return [_while_out(_all_lost(graph, lost), goal) for lost in itertools.combinations(kind, goal.of)]


def _while_out(failure: Failure, goal: Goal) -> Failure:
    """The failure beside what the goal has in maintenance."""
    if not goal.in_maintenance:
        return failure
    out = dict(failure.in_maintenance)
    for component, share in goal.in_maintenance.items():
        out[component] = out.get(component, 0.0) + share
    return replace(failure, id=f"{failure.id}{goal.while_out}", beside=goal.while_out, in_maintenance=out)


def _on_each_placement(instance: Instance, graph: Graph, failure: Failure) -> list[Failure]:
    """One failure for each living placement of a pool that is lost in part at any stage; it takes all of the loss."""
    stages = [replace(failure, lost=lost) for _, lost in still_lost(failure)]
    value = graph.values(outages(stages), len(stages))
    failures = []
    for name in sorted(instance.placements):
        targeted = falls_on(instance, value, name)
        if targeted.any():
            id = id_of_stage(failure, 0.0, name if targeted[0] else None)
            failures.append(replace(failure, id=id, worst=name, falls_on=name))
    return failures or [failure]
