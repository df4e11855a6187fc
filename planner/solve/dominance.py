"""Dominated failures: what survives the harder one survives the easier, so only the harder is tested."""

from collections.abc import Collection, Sequence

import numpy as np

from planner.problem.algebra import Array, spread
from planner.problem.arrays import full
from planner.problem.decisions import Vectors
from planner.problem.problem import Problem
from planner.problem.rules.formulas import available, units_active
from planner.study.dependencies import NORMAL

CLOSE = 1e-12
OF_ALL = -1
"""In place of a pool: what counts whatever is bought."""


def dominated(p: Problem) -> dict[str, str]:
    """Failure -> a failure that is at least as hard in every respect, which no other dominates."""
    return Dominance(p).dominated()


class Dominance:
    """How hard failures are in every respect, as columns; those of a pool are left out where nothing stands in it.

    `g` dominates `f` when of every pool, placement, limited component and offer no less survives in `f`, nothing that
    may start in `g` may not as soon in `f`, no alternative is closed in `f` that is open in `g`, and for every workload
    and origin no more is wanted and no more is due at any time, uncoverable demand left out. Deadlines: before the last
    one of `g` both have the same; from then on `f` may stay as `g` ends. Exact, for whole numbers too: the decisions of
    `g` are decisions of `f`. A loss that falls on one placement is compared with none, nor is a failure in which
    gateways keep their weights.

    Parameters
    ----------
    names : failures that may be compared
    hardness : the larger the harder [failures, columns]; pool_of_column : pool of each, or OF_ALL
    kind : of each failure, by its deadlines; one whose loss falls on one placement has a kind of its own
    comparable : whether failures of a kind may dominate those of another [kinds, kinds]
    """

    def __init__(self, p: Problem) -> None:
        self.p, self.a = p, full(p)
        # what says the same is one row there; what a priced failure costs is its own, whatever dominates it; by waiting
        # each shows that it is survived, by the numbers of its own replicas
        self.names = (
            [] if p.priced or p.waiting is not None else [f for f in p.failures if f != NORMAL and f not in p.rescaled]
        )
        self.at = {f: n for n, f in enumerate(self.names)}
        if not self.names:
            return
        self.hardness, self.pool_of_column = self._columns()
        ends = {f: None if p.failures[f].targeted is None else f for f in self.names}
        kinds = list(dict.fromkeys((p.deadlines_seconds[f], ends[f]) for f in self.names))
        self.kind = np.array([kinds.index((p.deadlines_seconds[f], ends[f])) for f in self.names])
        self.comparable = np.array([[_comparable(g, f) for f in kinds] for g in kinds])

    def _columns(self) -> tuple[Array, Array]:
        p, a, names = self.p, self.a, self.names
        h = p.hours[0]
        times = sorted({c for f in names for c in p.deadlines_seconds[f]})
        had = np.array([[p.obtainable[f].get(b, (0.0, 0.0))[0] for b in p.offers] for f in names])
        after = np.array([[p.obtainable[f].get(b, (0.0, 0.0))[1] for b in p.offers] for f in names])
        due = np.array([[a.due_share((h, f, c)) for c in times] for f in names])
        wanted = due * np.array([a.surge(f) for f in names])[:, None, :]
        none, each_pool, of_all = had <= CLOSE, np.arange(a.Q), np.full(1, OF_ALL)
        parts: list[tuple[Array, Array]] = [
            (-np.array([a.available_pools(f) for f in names]), each_pool),
            (-np.array([a.available(f) for f in names]), a.pool_of_placement),
            (-np.array([[available(p, c, f) for c in p.most_requests_per_second] for f in names]), of_all),
            (-np.array([a.counted(f) for f in names]), a.pool_of_offer),
            (-np.where(none, 0.0, had), a.pool_of_offer),
            (np.where(none, np.inf, after), a.pool_of_offer),
            (np.array([a.stuck(f) for f in names]), a.pool_of_placement),
            (np.array([a.startable_seconds(f) for f in names]), a.pool_of_placement),
            (np.array([~a.open(f) for f in names]), of_all),
            (wanted, of_all),
        ]
        columns = [part.reshape(len(names), -1).astype(float) for part, _ in parts]
        of = [np.broadcast_to(pool, part.shape[1]) for part, (_, pool) in zip(columns, parts, strict=True)]
        # what is said twice of a pool is compared once, and what all failures say alike not at all
        hardness, pool = np.hstack(columns), np.concatenate(of)
        differs = (hardness != hardness[:1]).any(axis=0)
        every = np.unique(np.vstack([pool[differs], hardness[:, differs]]), axis=1)
        return every[1:], every[0].astype(int)

    def dominated(self) -> dict[str, str]:
        """Failure -> one that dominates it, which no other dominates, whatever is bought."""
        return self._dominated(self.names, np.ones(self.a.Q, dtype=bool))

    def dominated_with(self, purchases: Vectors, h: str, among: Sequence[str], last: Collection[str]) -> dict[str, str]:
        """The same of some failures in an hour, given what is bought and runs: a pool without machines is none.

        Parameters
        ----------
        among : the failures; last : of those that are as hard, one of these is to stand for the others
        """
        a, on_market = self.a, np.flatnonzero(self.a.may_obtain)
        bought = a.pool_of_offer[np.asarray(spread(units_active(a, purchases, h), a.B))[a.in_pool] > 0]
        runs = a.pool_of_placement[np.asarray(spread(purchases.replicas[h,], a.P)) > 0]
        used = np.asarray(a.held(h)) > 0
        used[np.concatenate([on_market, bought, runs])] = True
        names = [f for f in among if f in self.at]
        return self._dominated(sorted(names, key=lambda f: f in last), used)

    def _dominated(self, names: Sequence[str], used: Array) -> dict[str, str]:
        """Among failures by what they do to the pools in use; of equals the last stands for the others."""
        if len(names) < 2:
            return {}
        at = np.array([self.at[f] for f in names])
        columns = (self.pool_of_column == OF_ALL) | used[self.pool_of_column]
        by_kind = np.column_stack([self.kind[at], self.hardness[np.ix_(at, columns)]])
        groups, group = np.unique(by_kind, axis=0, return_inverse=True)
        group = group.ravel()
        kind, hardness = groups[:, 0].astype(int), groups[:, 1:]
        harder_than: dict[int, int] = {}
        for i in range(len(groups)):
            as_hard = (hardness >= hardness[i] - CLOSE).all(1) & self.comparable[kind, kind[i]]
            for j in np.flatnonzero(as_hard).tolist():
                if i != j and _last(harder_than, j) != i:  # two that are equal dominate each other once
                    harder_than[i] = j
                    break
        stands_for = dict(zip(group.tolist(), names, strict=True))
        hardest = [stands_for[_last(harder_than, i)] for i in group.tolist()]
        return {f: g for f, g in zip(names, hardest, strict=True) if f != g}


def _comparable(g: tuple[tuple[float, ...], str | None], f: tuple[tuple[float, ...], str | None]) -> bool:
    """Whether a failure of deadlines `g` may dominate one of deadlines `f`; with each what its loss falls on alone."""
    if g[1] is not None or f[1] is not None:
        return False
    end = max(g[0])
    return [c for c in f[0] if c < end] == [c for c in g[0] if c < end]


def _last(harder_than: dict[int, int], start: int) -> int:
    """The failure at the end of the steps from one to another that is harder."""
    while start in harder_than:
        start = harder_than[start]
    return start
