"""Whole replicas of a failure that change less than those a search came upon: what need not be evicted runs on.

A search that its nodes end may evict a replica and start another of the same placement, or evict what has its machines
anyway: nothing that is due asks for it, but users are served less until the start has ended.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from planner.problem.algebra import Array
from planner.problem.decisions import Vectors
from planner.problem.problem import State
from planner.problem.rules.formulas import least_occupied
from planner.problem.things import Things
from planner.units import ROUNDING

ByState = Mapping[State, Array]


def fewer_changes(
    a: Things, states: Sequence[State], most_kept: ByState, machines: ByState, survived_with: Vectors
) -> tuple[dict[State, Array], dict[State, Array]]:
    """Replicas kept and cold-started that change less, by state [replicas; P].

    First what is evicted and started again stays; then, the latest state first, what has machines that nothing
    occupies runs on. What runs is never less than before, in no state, so neither is what can be served; whether all
    rules hold is for the program to say.

    Parameters
    ----------
    states : of the failure in an hour, by deadline
    most_kept : replicas that survive [replicas; P]
    machines : that replicas can stand on [machines; Q]
    survived_with : whole replicas kept and cold-started with which the failure is survived
    """
    kept = {s: np.array(survived_with.kept[s,], dtype=float) for s in states}
    cold = {s: np.array(survived_with.cold_started[s,], dtype=float) for s in states}
    evicted = np.min([most_kept[s] - kept[s] for s in states], axis=0)
    stay = np.floor(np.minimum(np.maximum(evicted, 0.0), cold[states[-1]]) + ROUNDING)
    for s in states:
        kept[s], cold[s] = kept[s] + stay, np.maximum(cold[s] - stay, 0.0)
    spare = _spare_machines(a, states, machines, kept, cold)
    order = np.argsort(-(most_kept[states[0]] * a.machines_per_replica), kind="stable")
    for last in reversed(range(len(states))):
        until = states[: last + 1]  # what is kept at a time was kept before
        for e in order.tolist():
            pool, each = a.pool_of_placement[e], a.machines_per_replica[e]
            could = min(most_kept[s][e] - kept[s][e] for s in until)
            fits = min(spare[s][pool] for s in until) / each
            more = np.floor(min(could, fits) + ROUNDING)
            for s in until if more > 0 else ():
                kept[s][e] += more
                spare[s][pool] -= more * each
    return kept, cold


def _spare_machines(
    a: Things, states: Sequence[State], machines: ByState, kept: ByState, cold: ByState
) -> dict[State, Array]:
    """Machines of each pool that no replica occupies, by state [machines; Q]."""
    x = Vectors()
    for s in states:
        x.kept[s,], x.cold_started[s,] = kept[s], cold[s]
    occupied = {s: a.machines_per_replica * least_occupied(a, x, s) for s in states}
    return {s: machines[s] - np.bincount(a.pool_of_placement, occupied[s], minlength=a.Q) for s in states}
