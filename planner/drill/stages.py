"""Failures whose parts work again at different times: stages, each a failure of what is still lost."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from planner.drill.failures import INSTANT_SECONDS, Failure, outages
from planner.drill.graph import Graph
from planner.drill.instance import ROUNDING, Flags, Instance, Numbers
from planner.study.records.inventory import Site
from planner.study.records.study import Study
from planner.units import SECONDS_PER_HOUR


def still_lost(failure: Failure) -> list[tuple[float, dict[str, float]]]:
    """Hours after which parts of a failure work again, or weights can be pushed, and what is lost from then on.

    The first is the failure as it begins, after 0 hours.
    """
    end = np.inf if failure.hours_to_repair is None else failure.hours_to_repair
    times = [*failure.repaired.values(), *([failure.hours_to_new_weights] if failure.hours_to_new_weights else [])]
    repairs = sorted({hours for hours in times if hours < end})
    losses = [(0.0, dict(failure.lost))]
    for hours in repairs:
        lost = {c: share for c, share in failure.lost.items() if failure.repaired.get(c, end) > hours}
        losses.append((hours, lost))
    return losses


def in_stages(instance: Instance, graph: Graph, failure: Failure) -> list[Failure]:
    """A failure as it begins, and after each repair of a part what is still lost of it.

    A stage counts from repair + the longest load of the placements that return with it, in part or in full: their
    replicas load their weights again, as the storage of their site feeds as many as can stand there at once. What
    needs no load, as a login or a control plane, returns at once; what may be started only since then is loaded from
    then on. A stage that is over before it counts is left out.
    """
    losses = still_lost(failure)
    if len(losses) == 1:
        return [failure]
    pushed = np.inf if failure.hours_to_new_weights is None else failure.hours_to_new_weights
    stages = [replace(failure, lost=lost, failover=failure.failover if at < pushed else None) for at, lost in losses]
    value = graph.values(outages(stages), len(stages))
    repairs = SECONDS_PER_HOUR * np.array([hours for hours, _ in losses])
    loads = np.maximum(_load_seconds(instance, value), _fed_seconds(instance, value))
    begins = np.maximum.accumulate(repairs + loads)
    end = np.inf if failure.hours_to_repair is None else failure.hours_to_repair * SECONDS_PER_HOUR
    ends = np.append(begins[1:], end)
    opens = _opens_seconds(instance, graph, value, repairs)
    targeted = falls_on(instance, value, failure.worst)
    made = []
    for k in np.flatnonzero(begins < ends):
        worst = failure.worst if targeted[k] else None
        stage = replace(
            stages[k],
            worst=worst,
            repaired_seconds=float(repairs[k]),
            begins_seconds=float(begins[k]),
            ends_seconds=float(ends[k]) if k + 1 < len(stages) else np.inf,
            opens_seconds={component: float(since[k]) for component, since in opens.items() if since[k] > 0},
        )
        if k:
            later = replace(stage, id=id_of_stage(failure, losses[k][0], worst), of=failure.id)
            made.append(_looked_at(instance, later, stage.begins_seconds))
        elif stage.deadlines:
            made.append(stage)
        else:
            detected = max(instance.study.detection_seconds, INSTANT_SECONDS)
            made.append(_looked_at(instance, stage, min(detected, stage.ends_seconds / 2)))
    return made


def id_of_stage(failure: Failure, hours: float, worst: str | None) -> str:
    """Id of a failure so many hours after it began, when parts of it work again.

    Parameters
    ----------
    worst : placement on which all falls that is lost then of its pool
    """
    after = f" after {hours:g} h" if hours else ""
    return f"{failure.name}{after}{failure.beside}{f' on {worst}' if worst else ''}"


def falls_on(instance: Instance, value: Mapping[str, Numbers], worst: str | None) -> Flags:
    """Whether a placement lives in a pool that is lost in part: all of the loss may fall on it, by stage [k]."""
    if worst is None:
        return np.zeros(len(next(iter(value.values()))), dtype=bool)
    of_pool = value[f"pool:{instance.study.pools[instance.pool_of[instance.placements[worst]]].id}"]
    partly: Flags = (of_pool > 0.0) & (of_pool < 1.0) & (value[f"placement:{worst}"] > 0)
    return partly


def _looked_at(instance: Instance, stage: Failure, elapsed: float) -> Failure:
    """A stage that is looked at at one time more, when nothing more is due [s]."""
    goals = {tier.name: [*stage.goals.get(tier.name, ()), (elapsed, 0.0)] for tier in instance.study.tiers}
    return replace(stage, goals=goals)


def _load_seconds(instance: Instance, value: Mapping[str, Numbers]) -> Numbers:
    """Of each stage the longest load of placements of which more lives than in the one before [k, s]."""
    lives = np.array([value[f"placement:{name}"] for name in instance.placements])
    if not len(lives):
        return np.zeros(len(next(iter(value.values()))))
    returns = np.diff(lives, axis=1, prepend=lives[:, :1]) > ROUNDING
    longest: Numbers = np.max(np.where(returns, instance.load_seconds[:, None], 0.0), axis=0)
    return longest


def _fed_seconds(instance: Instance, value: Mapping[str, Numbers]) -> Numbers:
    """Of each stage when all that returns with it at a site can have been read and started [k, s]; 0: without a limit.

    All machines that a pool may have are taken, each full of replicas of what reads most of them. What starts its
    engine longest is read first.
    """
    study = instance.study
    lives = np.array([value[f"placement:{name}"] for name in instance.placements])
    count = len(next(iter(value.values())))
    rates = instance.feeds_gib_per_second
    if not len(lives) or np.isinf(rates).all():
        return np.zeros(count)
    returns = np.maximum(np.diff(lives, axis=1, prepend=lives[:, :1]), 0.0)
    reads = returns * (instance.weights_gib / instance.machines_per_replica)[:, None]
    fed = np.zeros(count)
    for engine in np.unique(instance.engine_start_seconds).tolist():
        last = instance.engine_start_seconds >= engine
        per_machine = np.zeros((len(study.pools), count))
        np.maximum.at(per_machine, instance.pool_of[last], reads[last])
        for n in np.flatnonzero(np.isfinite(rates)).tolist():
            pools = np.unique(instance.pool_of[instance.site_of == n])
            for k in range(count):
                of_site = {int(q): per_machine[q, k] for q in pools if per_machine[q, k] > 0}
                gib = _read_at_most(study, study.sites[n], of_site)
                if 0 < gib < np.inf:
                    fed[k] = max(fed[k], gib / rates[n] + engine)
    return fed


def _read_at_most(study: Study, site: Site, per_machine: Mapping[int, float]) -> float:
    """Weights that the machines of a site read at the most, by pool [GiB]: no more than can stand there."""
    types = {machine.name: machine for machine in study.machine_types}
    halls = [phase.power_mw * 1e3 * phase.most for phase in study.build_outs if phase.site == site.id]
    power = np.inf if site.power_kw is None and not halls else (site.power_kw or 0.0) + sum(halls)
    all_machines, worst_per_kw = 0.0, 0.0
    for q, gib in per_machine.items():
        pool = study.pools[q]
        stand = float(sum(row.machines for row in study.holdings if row.pool == pool.id))
        for offer in study.offers:
            if offer.pool == pool.id and offer.kind in study.policies.offers and offer.kind != "spot":
                stand += np.inf if offer.most_units is None else offer.most_units * offer.machines_per_unit
        all_machines += stand * gib
        worst_per_kw = max(worst_per_kw, gib / kw if (kw := types[pool.machine_type].power_kw) else np.inf)
    if not per_machine or np.isinf(power):
        return all_machines
    return min(all_machines, power * worst_per_kw)


def _opens_seconds(
    instance: Instance, graph: Graph, value: Mapping[str, Numbers], repairs: Numbers
) -> dict[str, Numbers]:
    """Pool or placement -> since when it lives and replicas may start in it, in each stage [k, s].

    0 stands for: from the begin, or not at all.
    """
    allowed, opens = graph.may_start(value, len(repairs)), {}
    of_pools = (f"pool:{pool.id}" for pool in instance.study.pools)
    for component in (*of_pools, *(f"placement:{name}" for name in instance.placements)):
        may_start = (value[component] > 0) & (allowed[component] > 0)
        since = np.zeros(len(repairs))
        for k in range(1, len(repairs)):
            if may_start[k]:
                since[k] = since[k - 1] if may_start[k - 1] else repairs[k]
        opens[component] = since
    return opens
