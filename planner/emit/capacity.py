"""The capacity that placements have in a failure."""

import numpy as np

from planner.problem.algebra import Array
from planner.problem.decisions import Vectors
from planner.problem.problem import Problem, State
from planner.problem.rules.formulas import capacity, is_normal, running
from planner.problem.rules.gateway_limits import whole_survivors
from planner.problem.things import Things

IN_FAILURE = "any failure"
"""Utilisation is one in all of them."""


def capacity_replica_seconds(a: Things, replicas: Array) -> Array:
    """Work that so many replicas of each placement take in a failure [replica-seconds/s; P]."""
    return np.asarray(capacity(a, IN_FAILURE, replicas))


def capacity_of_placement(p: Problem, e: str, replicas: float) -> float:
    """Work that so many replicas of a placement take in a failure [replica-seconds/s]: `utilisation · replicas`."""
    if p.waiting is None:
        return p.utilisation_in_failure * replicas
    return float(p.waiting.largest(True, [e], [replicas])[0]) * replicas


def surviving_replicas(a: Things, x: Vectors, s: State) -> Array:
    """Undivided replicas that run on when none is started and none is evicted [replicas; P]."""
    return np.asarray(x.replicas[s[0],]) if is_normal(s) else whole_survivors(a, x, s)


def planned_replicas(a: Things, x: Vectors, s: State) -> Array:
    """Replicas that the plan runs in a state: kept and cold-started [replicas; P]."""
    return np.asarray(running(a, x, s))
