"""What a plan of a similar problem tells a search: the replicas with which it survives each failure."""

import numpy as np

from planner.problem.arrays import full
from planner.problem.decisions import Decisions
from planner.problem.problem import Problem, State, states
from planner.solve.search import Survived
from planner.study.dependencies import NORMAL


def known_replicas(p: Problem, similar: Decisions) -> Survived:
    """Failure in an hour -> the replicas by placement with which a similar plan survives it.

    Of failures that both have, with the same deadlines; of placements that the problem has.

    Parameters
    ----------
    similar : what the plan buys and, where that is known, does in each failure
    """
    placement_at, vectors = full(p).placement_at, dict[tuple[str, State], np.ndarray]()
    for name in ("kept", "cold_started"):
        for (e, s), replicas in getattr(similar, name).items():
            if e in placement_at:
                vector = vectors.setdefault((name, s), np.zeros(len(placement_at)))
                vector[placement_at[e]] = replicas
    known: Survived = {}
    for f in p.failures:
        for h in p.hours if f != NORMAL else ():
            of_failure = [s for s in states(p, f) if s[0] == h]
            if all(("kept", s) in vectors for s in of_failure):
                keys = [(name, s) for name in ("kept", "cold_started") for s in of_failure]
                known[f, h] = {key: vectors[key] for key in keys if key in vectors}
    return known
