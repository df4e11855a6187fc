"""What a search for whole numbers is made of: which columns are bought, and bounds within which it looks.

All of it in arrays over the columns of the program: bounds are a pair of arrays, in the columns' own units.
"""

from collections.abc import Iterable

import numpy as np

from planner.problem.algebra import Sparse, spread
from planner.problem.arrays import Arrays
from planner.problem.decisions import Decisions, Vectors, table
from planner.problem.problem import Problem
from planner.problem.rules.formulas import machines_counted_apart, machines_non_preemptible
from planner.solve.integer_program import IntegerProgram
from planner.solve.program import Owned, Program
from planner.study.dependencies import NORMAL
from planner.units import ROUNDING

Bounds = tuple[np.ndarray, np.ndarray]
"""lower and upper bound of each column, in its own unit"""
REPLICAS = ("replicas", "non_preemptible", "on_offer", "opened")
"""What follows from what is bought at no price of its own."""
GO_ON = ("non_preemptible", "on_offer")
"""Replicas by the machines that they stand on: as many as can be go on."""
IN_FAILURES = ("kept", "cold_started")
"""What is whole in a failure: with these whole, what they occupy at the least is whole, too."""
WINDOW_FRACTION = 0.1
"""How far from a plan a window reaches, by what it buys; one of each at the least."""
NOTHING = 1e-7
"""A value below is none."""


def replicas_in_failures(program: Program) -> list[Owned]:
    """Columns of replicas of the failures that are in a program: whole where these are."""
    return [own for own in program.owned if own.name in IN_FAILURES and own.scope[0][1] != NORMAL]


def whole_names() -> tuple[str, ...]:
    """Decisions that hold in every failure alike, and are whole."""
    return tuple(d.name for d in table() if d.block == "purchases" and d.integer == "always")


class Bought:
    """The columns of what is bought and runs: where they are, and the bounds in which a search looks for them.

    Parameters
    ----------
    at : positions of the columns
    units, free : positions of those that are paid for, and of those that follow at no price of their own
    providers : those of the pools, sorted
    """

    def __init__(self, p: Problem, program: IntegerProgram) -> None:
        self.program = program
        self.keys: list[tuple[str, tuple[object, ...]]] = []
        positions: list[int] = []
        for name in whole_names():
            keys, at = program.columns(name)
            self.keys += [(name, key) for key in keys]
            positions += at.tolist()
        self.at = np.array(positions, dtype=int)
        is_free = np.array([name in REPLICAS for name, _ in self.keys], dtype=bool)
        self.units, self.free = self.at[~is_free], self.at[is_free]
        self._free = is_free
        pools = [p.pool_of.get(str(key[0]), str(key[0])) for _, key in self.keys]
        self._provider = np.array([p.provider_of.get(q, "") for q in pools], dtype=object)
        self.providers = sorted(set(self._provider.tolist()) - {""})
        number = {q: n for n, q in enumerate(dict.fromkeys(pools))}
        self._pool = np.array([number[q] for q in pools], dtype=int)

    def values_of(self, x: Decisions) -> np.ndarray:
        """What decisions have in the columns of `at`."""
        return np.array([float(getattr(x, name)[key]) for name, key in self.keys])

    def support(self, plans: Iterable[np.ndarray], whole_pools: bool) -> Bounds:
        """What none of some plans has is left at zero.

        Parameters
        ----------
        plans : values of all columns
        whole_pools : whether every placement of a pool may run where one of its placements does
        """
        lower, upper = self.program.lower.copy(), self.program.upper.copy()
        used = np.max([values[self.at] for values in plans], axis=0) > NOTHING
        if whole_pools:
            used_pools = np.zeros(len(self.at) + 1, dtype=bool)
            used_pools[self._pool[used]] = True
            used |= self._free & used_pools[self._pool]
        unused = self.at[~used]
        upper[unused] = np.maximum(0.0, lower[unused])
        return lower, upper

    def window(self, bounds: Bounds, values: np.ndarray, fraction: float = WINDOW_FRACTION) -> Bounds:
        """Narrower bounds: what is bought within a fraction of what a plan has, and within one of it at the least."""
        lower, upper = bounds[0].copy(), bounds[1].copy()
        here = np.round(values[self.at])
        width = np.maximum(1.0, np.round(fraction * here))
        lower[self.at] = np.clip(here - width, lower[self.at], upper[self.at])
        upper[self.at] = np.clip(here + width, lower[self.at], upper[self.at])
        return lower, upper

    def of_one_provider(self, provider: str, bounds: Bounds, values: np.ndarray) -> Bounds:
        """Narrower bounds: all of one provider, of the others within one of each of what a plan has."""
        lower, upper = self.window(bounds, values, 0.0)
        theirs = self.at[self._provider == provider]
        lower[theirs], upper[theirs] = bounds[0][theirs], bounds[1][theirs]
        return lower, upper

    def from_below(self, bounds: Bounds, values: np.ndarray, with_replicas: bool) -> Bounds:
        """Bounds in which nothing that a plan buys is given up, and with replicas none of those that run."""
        lower, upper = bounds[0].copy(), bounds[1].copy()
        kept = self.at if with_replicas else self.units
        lower[kept] = np.maximum(lower[kept], np.round(values[kept]))
        return lower, np.maximum(lower, upper)

    def at_most(self, values: np.ndarray) -> Bounds:
        """Bounds in which nothing is bought or runs that a plan does not have."""
        lower, upper = self.program.lower.copy(), self.program.upper.copy()
        upper[self.at] = np.clip(np.round(values[self.at]), lower[self.at], upper[self.at])
        return lower, upper

    def exactly(self, values: np.ndarray) -> Bounds | None:
        """Bounds that leave what is bought no choice; None where the program's own do not allow that."""
        lower, upper = self.program.lower.copy(), self.program.upper.copy()
        here = np.round(values[self.at])
        if (here < lower[self.at]).any() or (here > upper[self.at]).any():
            return None
        lower[self.at] = upper[self.at] = here
        return lower, upper

    def between(self, start: np.ndarray, lp_values: np.ndarray) -> Bounds:
        """Bounds between a similar plan and the linear program, and one more where there is any; elsewhere zero.

        Source
            Danna, Rothberg and Le Pape, Mathematical Programming 102 (2005): neighbourhoods between the linear
            program and a solution; here of another problem, so that a column may take any value between the two
        """
        lower, upper = self.program.lower.copy(), self.program.upper.copy()
        in_start, in_lp = np.round(start[self.at]), lp_values[self.at]
        least = np.minimum(np.floor(in_lp + 1e-6), in_start)
        most = np.maximum(np.ceil(in_lp - 1e-6), in_start)
        most += most > 0
        lower[self.at] = np.clip(least, lower[self.at], upper[self.at])
        upper[self.at] = np.clip(most, lower[self.at], upper[self.at])
        return lower, upper


def non_preemptible_at_its_largest(a: Arrays, x: Vectors, integer: bool) -> Sparse:
    """(h,) -> non-preemptible replicas [P]: those of a solution, and as many more as machines that always count carry.

    A solution has what the binding failures ask for, and they are not all. More only helps: what is not wanted is
    evicted. What is free is shared among the placements of a pool in proportion to what each lacks; where they must be
    whole, what remains goes to one after the other.

    Parameters
    ----------
    x : what is bought and the replicas, as numbers
    integer : whether non-preemptible replicas are whole numbers
    """
    largest, p = Sparse(), a.p
    for h in p.hours:
        replicas, sure = x.replicas[h,], np.array(spread(x.non_preemptible[h,], a.P), dtype=float)
        all_sure = np.asarray(machines_non_preemptible(a, x, h)) if a.with_spot.any() else np.zeros(a.Q)
        for q in np.flatnonzero(a.with_spot).tolist():
            on_pool = np.flatnonzero(a.pool_of_placement == q)
            lacks = np.maximum(0.0, replicas[on_pool] - sure[on_pool])
            sure[on_pool] += _more(sure[on_pool], lacks, a.machines_per_replica[on_pool], float(all_sure[q]), integer)
        largest[h,] = sure
    return largest


def on_offers_at_their_largest(a: Arrays, x: Vectors, integer: bool) -> Sparse:
    """(h,) -> replicas on offers that are counted apart [pairs]: those of a solution, and as many more as these carry.

    As `non_preemptible_at_its_largest` does, one offer after the other, of replicas that do not always count.

    Parameters
    ----------
    x : what is bought, the replicas and those that always count, as numbers
    integer : whether replicas on offers are whole numbers
    """
    largest, pairs = Sparse(), len(a.placements_on_offers)
    for h in a.p.hours:
        if not pairs:
            largest[h,] = np.zeros(0)
            continue
        on_offer = np.array(spread(x.on_offer[h,], pairs), dtype=float)
        others = np.asarray(x.replicas[h,]) - x.non_preemptible[h,]
        machines = np.asarray(machines_counted_apart(a, x, h))
        for pair, e in enumerate(
            a.placement_of_pair.tolist()
        ):  # what is on machines that always count is not here, too
            on_offer[pair] = min(on_offer[pair], others[e])
            others[e] -= on_offer[pair]
        for b in dict.fromkeys(a.offer_of_pair.tolist()):
            mine = np.flatnonzero(a.offer_of_pair == b)
            at = a.placement_of_pair[mine]
            more = _more(on_offer[mine], others[at], a.machines_per_replica[at], float(machines[b]), integer)
            on_offer[mine] += more
            others[at] -= more
        largest[h,] = on_offer
    return largest


def _more(stand: np.ndarray, lacks: np.ndarray, per_replica: np.ndarray, machines: float, integer: bool) -> np.ndarray:
    """Replicas that some machines carry beside those that stand on them, at most what each placement lacks.

    Parameters
    ----------
    stand, lacks : replicas of placements of a pool
    per_replica : machines of each
    machines : of all of them
    """
    more, wanted = np.zeros(len(stand)), float(per_replica @ lacks)
    if wanted <= 0:
        return more
    free = max(0.0, machines - float(per_replica @ stand))
    more = min(1.0, free / wanted) * lacks
    if not integer:
        return more
    more = np.floor(more + ROUNDING)
    for e in np.flatnonzero(lacks > 0).tolist():
        free = max(0.0, machines - float(per_replica @ (stand + more)))
        more[e] = min(lacks[e], more[e] + np.floor(free / per_replica[e] + ROUNDING))
    return more
