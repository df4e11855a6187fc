"""A coarse problem: the same pools and failures, and few streams. What it needs is a guess at what the whole needs.

Streams of a tier with the same edges become one, whatever the work of their requests: on a hundred workloads a quarter
of the columns. Its linear program says which failures bind and which pools are used, in a fraction of the time; the
linear program of the problem itself starts from both, and tests and reduced costs mend what was guessed wrong.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np

from planner.problem.algebra import Array
from planner.problem.arrays import full, of_tests
from planner.problem.decisions import Vectors
from planner.problem.problem import Problem, flow_size
from planner.solve.highs import DUAL, INFEASIBLE, INTERIOR_POINT, OPTIMAL, PRIMAL
from planner.solve.program import Program, bounds_restored

GROWN = 1.5
"""Growth of a program from which an interior point method from nothing is faster than simplex from the last basis."""
MANY_EDGES = 1500
"""Edges in failures, merged, from which a guess pays: a block of a failure has about as many columns."""
NOTHING = 1e-7


def has_many_edges(p: Problem) -> bool:
    """Whether a problem is so large that a guess pays."""
    return of_tests(p).E > MANY_EDGES


def coarse(p: Problem) -> Problem:
    """The problem with one stream in the place of those of a tier with the same edges.

    Formula
        demand[first, h] = Σ_members demand[w,o,h] · seconds[w] / seconds[first]
    Seconds are those of a request in failures, on the first of the edges.
    """
    groups: dict[tuple[object, ...], list[tuple[str, str]]] = {}
    for w, o in p.flows:
        key = (p.tier_of[w], w in p.deferrable, p.edges[w, o], p.edges_in_failure[w, o])
        groups.setdefault(key, []).append((w, o))
    wanted: dict[tuple[str, str, str], float] = {}
    sizes: dict[tuple[str, ...], float] = {}
    for members in groups.values():
        first = members[0]
        share = [(flow, _seconds(p, flow) / _seconds(p, first)) for flow in members]
        sizes[first] = sum(flow_size(p, *flow) * unit for flow, unit in share)
        for h in p.hours:
            wanted[*first, h] = sum(p.demand_requests_per_second[*flow, h] * unit for flow, unit in share)
            sizes[*first, h] = sum(flow_size(p, *flow, h) * unit for flow, unit in share)
    flows = tuple(flow for flow in p.flows if flow in sizes)
    return replace(p, flows=flows, demand_requests_per_second=wanted, sizes_requests_per_second=sizes)


def _seconds(p: Problem, flow: tuple[str, str]) -> float:
    """Replica-seconds of a request at its peak, on the first placement that may serve it."""
    w, _ = flow
    e = (*p.edges_in_failure[flow], *p.edges[flow])[0]
    seconds = p.replica_seconds_in_failure if p.edges_in_failure[flow] else p.replica_seconds
    return seconds[w, e] * p.burst_factor[w]


def pools_used(p: Problem, purchases: Vectors) -> frozenset[str]:
    """Pools in which a replica runs in any hour."""
    a = full(p)
    running = np.sum([purchases.replicas[h,] for h in p.hours], axis=0)
    return frozenset(p.pools[q] for q in a.pool_of_placement[running > NOTHING].tolist())


class InPools:
    """A linear program whose traffic goes to some pools at first, and to others where reduced costs say that it pays.

    What it ends with is the optimum of the whole program: no closed column has a reduced cost below zero
    by more than the solver's tolerance.

    Parameters
    ----------
    program : columns and rows may be added between solves
    pools : that are open from the first
    """

    def __init__(self, p: Problem, program: Program, pools: Iterable[str]) -> None:
        self.program, self.solved_columns = program, 0
        others = set(p.pools) - set(pools)
        self.elsewhere = {e for e in p.placements if p.pool_of[e] in others}
        self.opened = np.zeros(0, dtype=bool)
        """columns that were opened, as many as the program had"""

    def solve(self, seconds: Callable[[], float | None]) -> str:
        """Solve the linear program, opening what pays until nothing does. Bounds are left as they are.

        Parameters
        ----------
        seconds : to the time limit, None: there is none; asked before each of several solves
        """
        program, method = self.program, self._method()
        closed = self._closed()
        while True:
            with bounds_restored(program, np.flatnonzero(closed)):
                program.upper[closed] = 0.0
                status = program.solve(seconds(), method)
            if status == INFEASIBLE and closed.any():
                opening = closed
            elif status == OPTIMAL:
                opening = closed & (program.reduced_costs * program.unit < -NOTHING)
            else:
                return status
            if not opening.any():
                program.send()
                return status
            closed = closed & ~opening
            self.opened |= opening
            method = PRIMAL if status == OPTIMAL else INTERIOR_POINT

    def _closed(self) -> Array:
        """Columns of traffic elsewhere that were never opened; those that must have some are none of them."""
        program = self.program
        self.opened = np.append(self.opened, np.zeros(program.n - len(self.opened), dtype=bool))
        closed = np.zeros(program.n, dtype=bool)
        for own in program.owned:
            if own.name == "traffic":
                is_elsewhere = np.array([key[2] in self.elsewhere for key in own.of], dtype=bool)
                closed[own.columns] = is_elsewhere[own.elements]
        return closed & ~self.opened & (program.lower <= 0)

    def _method(self) -> str:
        """By an interior point method where much is new, else from the last basis."""
        is_new = self.program.n > GROWN * self.solved_columns
        self.solved_columns = self.program.n
        return INTERIOR_POINT if is_new else DUAL
