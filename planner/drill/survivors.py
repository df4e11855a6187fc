"""Whether the replicas that run on carry all requests that can be served at all: then nothing need start.

Most failures of a fleet with redundancy ask no more than that. It is asked by a linear program without times, and
starts from a basis with nothing lost: few of its edges are, so few pivots follow.
"""

from dataclasses import dataclass
from typing import Any

import highspy
import numpy as np

from planner.drill.instance import ROUNDING, Indices, Numbers
from planner.drill.remaining import Remaining
from planner.drill.solving import Rows, solver_of
from planner.drill.traffic import LimitRows
from planner.solve.highs_instance import run


@dataclass(frozen=True)
class SurvivorsProgram:
    """The program of failures with the same kinds of flows and surges, of which only bounds change.

    Parameters
    ----------
    flow, placement : of an edge, whose column is the share of offered that it carries [k]
    largest : replica-seconds/s of the largest edge of a placement, by which its row is divided [e]
    low, high : bounds of the rows before a failure sets those of `coverable` [i], `carry` [e] and of limits
    upper : bounds of the columns that the solver has now
    basis : of the solution with nothing lost: the same start for each failure, whatever their order
    """

    flow: Indices
    placement: Indices
    largest: Numbers
    coverable: slice
    carry: slice
    limits: LimitRows
    low: Numbers
    high: Numbers
    upper: Numbers
    solver: Any
    basis: Any


def build_survivors(remaining: Remaining) -> SurvivorsProgram | None:
    """The program of a failure and of those like it; none where there is no edge."""
    instance, offered = remaining.instance, remaining.offered[0]
    flow, placement = np.nonzero(instance.in_failure)
    if not len(flow):
        return None
    n_k, n_i, n_e = len(flow), len(instance.demand), len(instance.placements)
    per_share = instance.replica_seconds_in_failure[flow, placement] * offered[flow]
    largest = np.zeros(n_e)
    np.maximum.at(largest, placement, per_share)
    largest = np.where(largest > 0, largest, 1.0)
    rows, share = Rows(), np.arange(n_k)
    coverable = rows.add(np.ones(n_i), np.ones(n_i), (flow, share, np.ones(n_k)))
    everything = instance.filled(True, remaining.fleet.replicas) * remaining.fleet.replicas / largest
    carry = rows.at_most(everything, (placement, share, per_share / largest[placement]))
    limits = LimitRows(remaining.limits, offered[flow], flow, placement, n_k)
    limits.add(rows, share)
    lp = rows.program(limits.columns)
    low, high, upper = np.array(lp.row_lower_), np.array(lp.row_upper_), np.full(limits.columns, np.inf)
    upper[share] = 1.0
    nothing_lost = high.copy()
    nothing_lost[[row for row, _ in limits.row_of]] = np.inf
    lp.col_upper_, lp.row_upper_ = upper, nothing_lost
    solver = solver_of(lp)
    run(solver)
    of_edges = flow, placement, largest
    return SurvivorsProgram(*of_edges, coverable, carry, limits, low, high, upper, solver, basis=solver.getBasis())


def survivors_carry_all(remaining: Remaining, made: SurvivorsProgram, elapsed: float, fewer: bool = False) -> bool:
    """Whether the survivors of one failure, on machines that ran all along, carry all that can be covered.

    Parameters
    ----------
    elapsed : the earliest time that is asked about; machines only become more [s]
    fewer : where machines are too few for the survivors, ask those that have some; else the answer is no
    """
    instance = remaining.instance
    alive = remaining.placements[0] > 0
    all_survivors = remaining.survivors[0] * alive
    survivors = _with_machines(remaining, all_survivors, elapsed)
    if not fewer and (survivors < all_survivors).any():
        return False
    coverable = remaining.coverable[0]
    upper, low, high = made.upper.copy(), made.low.copy(), made.high.copy()
    made.limits.bound(upper, high, remaining.limits)
    upper[: len(made.flow)] = alive[made.placement] & (coverable > 0)[made.flow]
    low[made.coverable] = high[made.coverable] = coverable
    high[made.carry] = instance.filled(True, survivors) * survivors / made.largest
    solver, rows, columns = made.solver, np.arange(len(low), dtype=np.int32), np.flatnonzero(upper != made.upper)
    solver.changeColsBounds(len(columns), columns.astype(np.int32), np.zeros(len(columns)), upper[columns])
    made.upper[:] = upper
    solver.changeRowsBounds(len(rows), rows, low, high)
    solver.setBasis(made.basis)
    return bool(run(solver) == highspy.HighsModelStatus.kOptimal)


def _with_machines(remaining: Remaining, survivors: Numbers, elapsed: float) -> Numbers:
    """Whole survivors with machines that ran all along [e]: where these are too few, each placement has its part."""
    instance = remaining.instance
    own = remaining.machines(elapsed, reclaimed=False, obtained=False)[0]
    part = remaining.part_of_pool(elapsed)
    partly = np.where(survivors > part, np.floor(part + ROUNDING), survivors)
    need = instance.by_pool(instance.machines_per_replica * partly)
    too_few = need > own + ROUNDING * np.maximum(need, 1.0)
    share = np.divide(own, need, out=np.ones_like(need), where=too_few)[instance.pool_of]
    return np.where(too_few[instance.pool_of], np.floor(partly * share + ROUNDING), partly)
