"""Failures that others imply: what survives the harder one survives the easier, so only the harder is tested."""

import numpy as np

from planner.problem.problem import Problem
from planner.problem.rules.formulas import available, due_fraction, further_surge
from planner.study.dependencies import NORMAL

CLOSE = 1e-12


def dominated(p: Problem) -> dict[str, str]:
    """Failure -> a failure that is at least as hard in every respect, which is not implied by another.

    `g` implies `f` when of every pool, placement, limited component and offer no less is left in `f`, nothing that may
    start in `g` may not in `f`, no way is closed in `f` that is open in `g`, and for every workload and origin no more
    is wanted and no more is due at any time, uncoverable demand left out. Clocks: before the last clock of `g` both
    have the same; from then on `f` may stay as `g` ends. Exact, for whole numbers too: the decisions of `g` are
    decisions of `f`. A loss that falls on one placement is compared with none.
    """
    names = [f for f in p.failures if f != NORMAL]
    if len(names) < 2 or p.failover == "rescale":  # what says the same is one row there
        return {}
    if p.priced:  # what a priced failure costs is its own, whatever another implies
        return {}
    things = [*p.pools, *p.placements, *p.most_requests_per_second]
    times = sorted({c for f in names for c in p.deadlines_seconds[f]})
    h = p.hours[0]
    left = np.array([[available(p, thing, f) for thing in things] for f in names])
    counted = np.array([[p.counted[f].get(b, 1.0) for b in p.offers] for f in names])
    had = np.array([[p.obtainable[f].get(b, (0.0, 0.0))[0] for b in p.offers] for f in names])
    after = np.array([[p.obtainable[f].get(b, (0.0, 0.0))[1] for b in p.offers] for f in names])
    stuck = np.array([[e in p.cannot_start[f] for e in p.placements] for f in names], dtype=bool)
    shut = np.array([[way in p.closed[f] for way in p.doors.ways] for f in names], dtype=bool)
    due = np.array([[[due_fraction(p, w, o, (h, f, c)) for w, o in p.flows] for c in times] for f in names])
    factor = np.array([[p.failures[f].surge_factor * further_surge(p, w, o, f) for w, o in p.flows] for f in names])
    wanted = due * factor[:, None, :]
    found: dict[int, int] = {}
    for i, f in enumerate(names):
        if p.failures[f].hit is not None:
            continue
        harder = (
            (left <= left[i] + CLOSE).all(1)
            & (counted <= counted[i] + CLOSE).all(1)
            & ((had <= CLOSE) | ((had <= had[i] + CLOSE) & (after >= after[i] - CLOSE))).all(1)
            & (stuck | ~stuck[i]).all(1)
            & (shut | ~shut[i]).all(1)
            & (wanted >= wanted[i] - CLOSE).all((1, 2))
        )
        for j in np.flatnonzero(harder):
            g = names[j]
            end = max(p.deadlines_seconds[g])
            before = [[c for c in p.deadlines_seconds[name] if c < end] for name in (f, g)]
            if i != j and p.failures[g].hit is None and before[0] == before[1] and not _leads(found, int(j), i):
                found[i] = int(j)
                break
    return {names[i]: names[_last(found, i)] for i in found}


def _leads(found: dict[int, int], start: int, end: int) -> bool:
    """Whether one failure is implied by another, over any number of steps: two that are equal imply each other once."""
    return _last(found, start) == end


def _last(found: dict[int, int], start: int) -> int:
    while start in found:
        start = found[start]
    return start
