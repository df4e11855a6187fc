"""Failures whose parts work again at different times: stages, each a failure of what is still lost."""

from dataclasses import replace

import numpy as np

from planner.drill.failures import INSTANT_SECONDS, Failure, outages
from planner.drill.graph import Graph
from planner.drill.instance import ROUNDING, Flags, Instance, Numbers
from planner.units import SECONDS_PER_HOUR


def still_lost(failure: Failure) -> list[tuple[float, dict[str, float]]]:
    """Hours after which parts of a failure work again, before all of it does, and what is lost from then on.

    The first is the failure as it begins, after 0 hours.
    """
    end = np.inf if failure.hours_to_repair is None else failure.hours_to_repair
    repairs = sorted({hours for hours in failure.repaired.values() if hours < end})
    losses = [(0.0, dict(failure.lost))]
    for hours in repairs:
        lost = {c: share for c, share in failure.lost.items() if failure.repaired.get(c, end) > hours}
        if lost:
            losses.append((hours, lost))
    return losses


def in_stages(instance: Instance, graph: Graph, failure: Failure) -> list[Failure]:
    """A failure as it begins, and after each repair of a part what is still lost of it.

    A stage counts from repair + the longest load of the placements that return with it, in part or in full: their
    replicas load their weights again. What needs no load, as a login or a control plane, returns at once; what may be
    started only since then is loaded from then on. A stage that is over before it counts is left out.
    """
    losses = still_lost(failure)
    if len(losses) == 1:
        return [failure]
    stages = [replace(failure, lost=lost) for _, lost in losses]
    value, count = graph.values(outages(stages), len(stages)), len(stages)
    allowed = graph.may_start(value, count)
    names = [f"placement:{name}" for name in instance.placements]
    lives = np.array([value[name] for name in names]).reshape(len(names), count)
    repairs = SECONDS_PER_HOUR * np.array([hours for hours, _ in losses])
    begins = np.array([0.0, *(repairs[1:] + _load_seconds(instance, lives))])
    begins = np.maximum.accumulate(begins)
    end = np.inf if failure.hours_to_repair is None else failure.hours_to_repair * SECONDS_PER_HOUR
    ends = np.append(begins[1:], end)
    component_opens = {}
    for component in (*names, *(f"pool:{pool.id}" for pool in instance.study.pools)):
        component_opens[component] = _opens((value[component] > 0) & (allowed[component] > 0), repairs)
    made = []
    for k, stage in enumerate(stages):
        if begins[k] >= ends[k]:
            continue
        opens = {c: float(since[k]) for c, since in component_opens.items() if since[k] > 0}
        looked_at = begins[k] if k else min(max(instance.study.detection_seconds, INSTANT_SECONDS), ends[k] / 2)
        goals = failure.goals
        if k or not any(deadline < ends[k] for deadline in failure.deadlines):
            tiers = {tier.name for tier in instance.study.tiers}
            goals = {tier: [*failure.goals.get(tier, ()), (float(looked_at), 0.0)] for tier in sorted(tiers)}
        made.append(
            replace(
                stage,
                id=f"{failure.id} after {losses[k][0]:g} h" if k else failure.id,
                of=failure.id if k else None,
                repaired_seconds=float(repairs[k]),
                begins_seconds=float(begins[k]),
                ends_seconds=float(ends[k]) if k + 1 < count else np.inf,
                opens_seconds=opens,
                goals=goals,
            )
        )
    return made


def _load_seconds(instance: Instance, lives: Numbers) -> Numbers:
    """Of each later stage the longest load of placements of which more lives than before [s]; `lives` [e, k]."""
    returns = np.diff(lives, axis=1) > ROUNDING
    longest: Numbers = np.max(np.where(returns, instance.load_seconds[:, None], 0.0), axis=0, initial=0.0)
    return longest


def _opens(may_start: Flags, repairs: Numbers) -> Numbers:
    """Since when a component lives and may start replicas, in each stage [s]; 0: from the begin, or not at all."""
    since = np.zeros(len(repairs))
    for k in range(1, len(repairs)):
        if may_start[k]:
            since[k] = since[k - 1] if may_start[k - 1] else repairs[k]
    return since
