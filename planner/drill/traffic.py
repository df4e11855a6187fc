"""Traffic split best over alternatives, by one small program: replicas as they are."""

import highspy
import numpy as np

from planner.drill.instance import Indices, Numbers
from planner.drill.remaining import Remaining
from planner.drill.request_limits import RequestLimits
from planner.drill.solving import Rows, solver_of
from planner.errors import SolverError
from planner.solve.highs_instance import run


class LimitRows:
    """Rows of components with a limit: what passes them, with any split of requests over alternatives.

    Parameters
    ----------
    rate : what an edge carries when its share is one [k, requests/s]
    columns : of the program so far; those of alternatives are added
    """

    def __init__(self, limits: RequestLimits, rate: Numbers, flow: Indices, placement: Indices, columns: int) -> None:
        self.components, self.rate, self.first, self.columns = limits.components, rate, columns, columns
        self.groups = limits.groups(flow, placement)
        self.row_of: list[tuple[int, int]] = []
        """(row, number of the component)"""

    def add(self, rows: Rows, share: Indices) -> None:
        """The rows at one time, of the columns `share` [k] of that time."""
        loads: dict[str, list[tuple[Indices, Numbers]]] = {name: [] for name in self.components}
        for passed, edges in self.groups:
            requests = share[edges], self.rate[edges]
            for name in passed.always:
                loads[name].append(requests)
            for names in passed.any_of:
                taken = np.arange(self.columns, self.columns + len(names))
                self.columns += len(names)
                _row(rows, requests, (taken, -np.ones(len(names))))
                for name, column in zip(names, taken, strict=True):
                    loads[name].append((np.array([column]), np.ones(1)))
        for name, terms in loads.items():
            if terms:
                self.row_of.append((_row(rows, *terms), self.components[name]))

    def bound(self, upper: Numbers, high: Numbers, limits: RequestLimits) -> None:
        """Bounds of the columns and rows of the program in the first of some failures; a dead component passes none."""
        upper[self.first :] = np.inf
        for row, number in self.row_of:
            high[row] = limits.most[0, number]


def _row(rows: Rows, *terms: tuple[Indices, Numbers]) -> int:
    """One row, of which the sum of terms is at most 0; its number."""
    at_first = [(np.zeros(len(columns), dtype=np.int64), columns, values) for columns, values in terms]
    return int(rows.at_most(np.zeros(1), *at_first).start)


def steered(remaining: Remaining, sent: Numbers, flow: Indices, placement: Indices) -> Numbers:
    """Requests/s on edges [k] that pass all limits when they are split best over alternatives, in one failure."""
    rows, share = Rows(), np.arange(len(sent))
    limits = LimitRows(remaining.limits, sent, flow, placement, len(sent))
    limits.add(rows, share)
    if not rows.count:
        return sent
    upper, cost = np.ones(limits.columns), np.zeros(limits.columns)
    cost[share] = -sent
    passed: Numbers = _least_cost(remaining, rows, limits, upper, cost)[share] * sent
    return passed


def routed_anew(remaining: Remaining, replicas: Numbers) -> Numbers:
    """Requests/s of each flow [i] that normal operation serves with the best new weights on these replicas [e]."""
    instance = remaining.instance
    flow, placement = np.nonzero(instance.normal)
    n_k, n_i = len(flow), len(instance.demand)
    if not n_k:
        return np.zeros(n_i)
    share, beyond, short = np.split(np.arange(n_k + 2 * n_i), [n_k, n_k + n_i])
    each, ones = np.arange(n_i), np.ones(n_i)
    rows = Rows()
    rows.add(ones, ones, (flow, share, np.ones(n_k)), (each, beyond, ones), (each, short, ones))
    per_share = instance.replica_seconds[flow, placement] * instance.demand[flow]
    largest = per_share.max()
    capacity = instance.filled(False, replicas) * replicas / largest
    rows.at_most(capacity, (placement, share, per_share / largest))
    limits = LimitRows(remaining.limits, instance.demand[flow], flow, placement, n_k + 2 * n_i)
    limits.add(rows, share)
    upper, cost = np.ones(limits.columns), np.zeros(limits.columns)
    upper[share] = (remaining.placements[0] > 0)[placement]
    upper[beyond] = 1.0 - remaining.due(0.0)[0]
    part = instance.demand / instance.demand.max()
    cost[short], cost[beyond] = 100.0 * part, 0.01 * part
    value = _least_cost(remaining, rows, limits, upper, cost)
    served: Numbers = np.maximum(1.0 - value[beyond] - value[short], 0.0) * instance.demand
    return served


def _least_cost(remaining: Remaining, rows: Rows, limits: LimitRows, upper: Numbers, cost: Numbers) -> Numbers:
    """The columns of least cost.

    Raises
    ------
    SolverError
        when the solver fails
    """
    lp = rows.program(limits.columns)
    high = np.array(lp.row_upper_)
    limits.bound(upper, high, remaining.limits)
    lp.col_cost_, lp.col_upper_, lp.row_upper_ = cost, upper, high
    solver = solver_of(lp)
    if (status := run(solver)) != highspy.HighsModelStatus.kOptimal:
        raise SolverError(f"drill: the solver ended with {status}")
    return np.array(solver.getSolution().col_value)
