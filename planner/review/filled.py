"""How full replicas and machines are: the shares that a review shows and a gate limits, each worked out here only."""

import numpy as np

from planner.problem.algebra import Array
from planner.problem.arrays import Arrays
from planner.problem.decisions import Vectors
from planner.problem.problem import State
from planner.problem.rules.formulas import capacity, machines_in_service, replica_seconds_used, running

LEAST = 1e-9
"""Replicas or machines below which nothing runs or stands."""


def filled(a: Arrays, x: Vectors, s: State) -> Array:
    """Share of the rate of its running replicas that each placement uses in a state (0 to 1; P).

    Formula
        replica_seconds_used[e] / running[e]
    """
    return _share(replica_seconds_used(a, x, s), running(a, x, s))


def filled_of_limit(a: Arrays, x: Vectors, s: State) -> Array:
    """The same of what its replicas may be filled in a state, its limit (0 to 1; P).

    Formula
        replica_seconds_used[e] / capacity[e]
    """
    return _share(replica_seconds_used(a, x, s), capacity(a, s[1], running(a, x, s)))


def machines_usable(a: Arrays, x: Vectors, s: State) -> Array:
    """Machines of each pool in service in a state, and those obtained by then [machines; Q].

    Without those that are lost, broken, lent or, in normal operation, spare; nor what could be obtained and is not.
    """
    return np.asarray(np.maximum(0.0, machines_in_service(a, x, s)) + x.obtained[s,])


def machines_occupied(a: Arrays, x: Vectors, s: State) -> Array:
    """Of them those on which replicas stand: that run, that load, or of a rollout beside them [machines; Q]."""
    return np.asarray((x.machines[s,] + x.obtained[s,]) * np.ones(a.Q))


def occupied(a: Arrays, x: Vectors, s: State) -> Array:
    """Share of the usable machines of each pool on which replicas stand in a state (0 to 1; Q)."""
    return _share(machines_occupied(a, x, s), machines_usable(a, x, s))


def _share(part: object, of: object) -> Array:
    """Part of each; 0 where there is nothing."""
    parts, all_of = np.asarray(part, dtype=float), np.asarray(of, dtype=float)
    return np.asarray(np.divide(parts, all_of, out=np.zeros(all_of.shape), where=all_of > LEAST))
