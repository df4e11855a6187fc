"""Dominated failures: what survives the harder one survives the easier, so only the harder is tested."""

import numpy as np

from planner.problem.arrays import full
from planner.problem.problem import Problem
from planner.problem.rules.formulas import available
from planner.study.dependencies import NORMAL

CLOSE = 1e-12


def dominated(p: Problem) -> dict[str, str]:
    """Failure -> a failure that is at least as hard in every respect, which no other dominates.

    `g` dominates `f` when of every pool, placement, limited component and offer no less survives in `f`, nothing that
    may start in `g` may not as soon in `f`, no alternative is closed in `f` that is open in `g`, and for every workload
    and origin no more is wanted and no more is due at any time, uncoverable demand left out. Deadlines: before the last
    one of `g` both have the same; from then on `f` may stay as `g` ends. Exact, for whole numbers too: the decisions of
    `g` are decisions of `f`. A loss that falls on one placement is compared with none, nor is a failure in which
    gateways keep their weights.
    """
    names = [f for f in p.failures if f != NORMAL and f not in p.rescaled]  # what says the same is one row there
    if len(names) < 2:
        return {}
    if p.priced:  # what a priced failure costs is its own, whatever dominates it
        return {}
    if p.waiting is not None:  # by waiting each shows that it is survived, by the numbers of its own replicas
        return {}
    a, h = full(p), p.hours[0]
    times = sorted({c for f in names for c in p.deadlines_seconds[f]})
    limited = [np.array([available(p, c, f) for c in p.most_requests_per_second]) for f in names]
    parts = zip(names, limited, strict=True)
    remaining = np.array([np.concatenate([a.available_pools(f), a.available(f), part]) for f, part in parts])
    counted = np.array([a.counted(f) for f in names])
    had = np.array([[p.obtainable[f].get(b, (0.0, 0.0))[0] for b in p.offers] for f in names])
    after = np.array([[p.obtainable[f].get(b, (0.0, 0.0))[1] for b in p.offers] for f in names])
    stuck = np.array([a.stuck(f) for f in names])
    startable = np.array([a.startable_seconds(f) for f in names])
    shut = np.array([~a.open(f) for f in names])
    due = np.array([[a.due_share((h, f, c)) for c in times] for f in names])
    wanted = due * np.array([a.surge(f) for f in names])[:, None, :]
    harder_than: dict[int, int] = {}
    for i, f in enumerate(names):
        if p.failures[f].targeted is not None:
            continue
        as_hard = (
            (remaining <= remaining[i] + CLOSE).all(1)
            & (counted <= counted[i] + CLOSE).all(1)
            & ((had <= CLOSE) | ((had <= had[i] + CLOSE) & (after >= after[i] - CLOSE))).all(1)
            & (stuck | ~stuck[i]).all(1)
            & (startable >= startable[i] - CLOSE).all(1)
            & (shut | ~shut[i]).all(1)
            & (wanted >= wanted[i] - CLOSE).all((1, 2))
        )
        for j in np.flatnonzero(as_hard):
            g = names[j]
            end = max(p.deadlines_seconds[g])
            before = [[c for c in p.deadlines_seconds[name] if c < end] for name in (f, g)]
            comparable = i != j and p.failures[g].targeted is None and before[0] == before[1]
            if comparable and _last(harder_than, int(j)) != i:  # two that are equal dominate each other once
                harder_than[i] = int(j)
                break
    return {names[i]: names[_last(harder_than, i)] for i in harder_than}


def _last(harder_than: dict[int, int], start: int) -> int:
    """The failure at the end of the steps from one to another that is harder."""
    while start in harder_than:
        start = harder_than[start]
    return start
