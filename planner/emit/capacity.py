"""The capacity that placements have in a failure."""

from typing import Any

import numpy as np

from planner.problem.algebra import Array
from planner.problem.decisions import Vectors
from planner.problem.problem import Problem, State
from planner.problem.rules.formulas import is_normal, running
from planner.problem.rules.gateway_limits import whole_survivors
from planner.problem.things import Things


def capacity_replica_seconds(p: Problem, replicas: Any) -> Any:
    """Work that replicas, a number or a vector, take in a failure [replica-seconds/s]: `utilisation · replicas`."""
    return p.utilisation_in_failure * replicas


def surviving_replicas(a: Things, x: Vectors, s: State) -> Array:
    """Undivided replicas that run on when none is started and none is evicted [replicas; P]."""
    return np.asarray(x.replicas[s[0],]) if is_normal(s) else whole_survivors(a, x, s)


def planned_replicas(a: Things, x: Vectors, s: State) -> Array:
    """Replicas that the plan runs in a state: kept and cold-started [replicas; P]."""
    return np.asarray(running(a, x, s))
