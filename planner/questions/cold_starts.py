"""When the first replica of a placement that is cold-started in a failure can run."""

import numpy as np

from planner.problem.algebra import Array
from planner.problem.things import Things


def first_cold_start_seconds(a: Things, f: str) -> Array:
    """When a replica runs that is started as soon as it can be, if none else loads, since the failure began [s; P].

    Formula
        max(startable[e,f] + load_seconds[e], detection_seconds + weights_gib[e] / rate[site] + engine_start_seconds[e])
        the latter where storage has a rate: see the rules `no_replica_before_its_cold_start_ends` and
        `storage_can_load_that_fast`
    """
    rates = np.array([a.p.load_gib_per_second.get(a.p.site_of[a.p.pool_of[e]], np.inf) for e in a.p.placements])
    fed = a.p.detection_seconds + a.weights_gib / rates + a.engine_start_seconds
    return np.asarray(np.maximum(a.cold_start_seconds(f), np.where(np.isfinite(rates), fed, 0.0)))
