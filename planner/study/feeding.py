"""How long a site's storage feeds what returns at once, when a part of a failure works again.

How many replicas return is the plan's choice, and when a stage begins is not: so as many are reckoned with as machines
can stand there at the most, each with the profile that reads most. Where nothing bounds them, nothing is reckoned with.
"""

import math
from collections.abc import Mapping

from planner.study.loading import engine_start_seconds, storage_gib_per_second
from planner.study.records.inventory import Site
from planner.study.records.study import Study


def feed_seconds(
    study: Study, placed: Mapping[str, tuple[int, int, int]], before: Mapping[str, float], after: Mapping[str, float]
) -> float:
    """Longest time from which on all that may return to a site can run [s]; 0: no limit that is known.

    Formula
        max over sites and u: gib_returning[site, u] / rate[site] + u, where it reads anything
            gib_returning[site, u]: of what starts its engine for u or longer, which is read first

    Parameters
    ----------
    placed : placement -> indices of (model, profile, pool)
    before, after : available fractions of components, before something works again and then
    """
    longest, rates = 0.0, storage_gib_per_second(study)
    engine_seconds = {e: engine_start_seconds(study, study.models[m].profiles[p]) for e, (m, p, _) in placed.items()}
    for u in sorted(set(engine_seconds.values())):
        last = {e: indices for e, indices in placed.items() if engine_seconds[e] >= u}
        for site, gib in gib_returning(study, last, before, after).items():
            if 0 < gib < math.inf:
                longest = max(longest, gib / rates[site] + u)
    return longest


def gib_returning(
    study: Study, placed: Mapping[str, tuple[int, int, int]], before: Mapping[str, float], after: Mapping[str, float]
) -> dict[str, float]:
    """Site with a storage rate -> weights read at the most when something works again [GiB]; may be infinite."""
    by_site: dict[str, dict[str, float]] = {}
    rates = storage_gib_per_second(study)
    for e, (m, p, q) in placed.items():
        pool, profile = study.pools[q], study.models[m].profiles[p]
        returns = after[f"placement:{e}"] - before[f"placement:{e}"]
        if returns > 0 and pool.site in rates:
            accelerators = study.machine_type_by_name[pool.machine_type].accelerators
            gib = returns * (accelerators // profile.accelerators_per_replica) * profile.weights_gib
            of_pools = by_site.setdefault(pool.site, {})
            of_pools[pool.id] = max(gib, of_pools.get(pool.id, 0.0))
    return {id: _gib_at_most(study, study.site_by_id[id], of_pools) for id, of_pools in sorted(by_site.items())}


def _gib_at_most(study: Study, site: Site, gib_per_machine: Mapping[str, float]) -> float:
    """What the machines of a site read at the most: as many as are held and offered, and as it has power for [GiB]."""
    by_machines = sum(_machines_at_most(study, pool) * gib for pool, gib in sorted(gib_per_machine.items()))
    phases = [phase for phase in study.build_outs if phase.site == site.id]
    if site.power_kw is None and not phases:
        return by_machines
    power_kw = (site.power_kw or 0.0) + sum(phase.most * phase.power_kw for phase in phases)
    type_of = {pool.id: study.machine_type_by_name[pool.machine_type] for pool in study.pools}
    gib_per_kw = 0.0
    for pool, gib in gib_per_machine.items():
        kw = type_of[pool].power_kw or 0.0
        gib_per_kw = max(gib_per_kw, gib / kw if kw else math.inf)
    return min(by_machines, power_kw * gib_per_kw)


def _machines_at_most(study: Study, pool: str) -> float:
    """Machines of a pool that may run in a failure: held at any time, and all that its offers have but spot."""
    machines: float = sum(holding.machines for holding in study.holdings if holding.pool == pool)
    for offer in study.offers:
        if offer.pool == pool and offer.kind != "spot" and offer.kind in study.policies.offers:
            machines += math.inf if offer.most_units is None else offer.most_units * offer.machines_per_unit
    return machines
