"""The program of a failure in which replicas start, and what so many of them carry where that goes by their number."""

from dataclasses import dataclass
from typing import Any

import highspy
import numpy as np

from planner.drill.instance import TOLERANCE, Indices, Instance, Numbers
from planner.drill.remaining import Remaining
from planner.drill.solving import solver_of
from planner.drill.traffic import LimitRows
from planner.solve.highs_instance import run

MANY_REPLICAS = 1e5
"""Of which one may be filled as far as any, where that goes by how many run: what a search begins with."""


@dataclass
class Template:
    """The program of failures with the same times and surges; columns by time: see `build`.

    Parameters
    ----------
    flow, placement : of an edge [k]
    share, beyond, short, kept, cold_started, headroom : columns [t, .]: share of offered [k], not due and not served
        [i], short [i], replicas kept, cold-started, that could run beyond these [e]
    coverable, part, machines, carries : rows by time whose bounds a failure sets
    largest : replica-seconds/s by which the rows of `carries` are divided [e]
    per_share : what all of a flow is in them [k]
    """

    times: list[float]
    flow: Indices
    placement: Indices
    share: Indices
    beyond: Indices
    short: Indices
    kept: Indices
    cold_started: Indices
    headroom: Indices
    coverable: list[slice]
    part: list[slice]
    machines: list[slice]
    carries: list[slice]
    largest: Numbers
    per_share: Numbers
    limits: LimitRows
    lp: highspy.HighsLp
    solver: Any


def less_is_carried(instance: Instance, made: Template, value: Numbers) -> bool:
    """Let replicas carry no more than so many may, where they are too full for their number; whether any are.

    What more of them carry is reckoned with no less than for these.
    """
    if instance.queues is None:
        return False
    most = instance.filled(True, np.full(len(instance.placements), MANY_REPLICAS))
    lower, upper = np.array(made.lp.row_lower_), np.array(made.lp.row_upper_)
    is_less = False
    for t, rows in enumerate(made.carries):
        running, load, carry = _filled_at(instance, made, value, t)
        too_full = load > carry + TOLERANCE / 10
        upper[rows] = np.where(too_full, np.minimum(upper[rows], carry - most * running / made.largest), upper[rows])
        is_less |= bool(too_full.any())
    made.lp.row_upper_ = upper
    made.solver.clearSolver()
    made.solver.changeRowsBounds(len(lower), np.arange(len(lower), dtype=np.int32), lower, upper)
    return is_less


def _filled_at(instance: Instance, made: Template, value: Numbers, t: int) -> tuple[Numbers, Numbers, Numbers]:
    """Replicas that run at a time [e], what they have to carry, and what so many may, both as in rows of `carries`."""
    running = np.round(value[made.kept[t]] + value[made.cold_started[t]])
    taken = value[made.share[t]] * made.per_share
    load = np.bincount(made.placement, weights=taken, minlength=len(running)).astype(np.float64)
    return running, load, instance.filled(True, running) * running / made.largest


def as_stated(remaining: Remaining, made: Template, upper: Numbers, cost: Numbers, integer: Indices) -> Numbers | None:
    """The columns with the replicas that the plan states, as far as they may run, and what so many may carry."""
    instance, fleet = remaining.instance, remaining.fleet
    states = sorted(fleet.stated.get(remaining.failures[0].id, ()), key=lambda state: state.deadline_seconds)
    if not states:
        return None
    low, high, row_high = np.zeros(len(upper)), upper.copy(), np.array(made.lp.row_upper_)
    most = instance.filled(True, np.full(len(instance.placements), MANY_REPLICAS))
    for t, elapsed in enumerate(made.times):
        state = next((state for state in states if state.deadline_seconds >= elapsed - TOLERANCE), states[-1])
        kept, cold_started = upper[made.kept[t]], np.zeros(len(instance.placements))
        of_both = (made.kept[t], kept, state.kept), (made.cold_started[t], cold_started, state.cold_started)
        for columns, replicas, stated in of_both:
            for name, count in stated.items():
                if name in instance.placements:  # those without machines may be left out
                    replicas[instance.placements[name]] = count
            low[columns] = high[columns] = np.minimum(replicas, upper[columns])
        running = low[made.kept[t]] + low[made.cold_started[t]]
        row_high[made.carries[t]] = (instance.filled(True, running) - most) * running / made.largest
    rows, columns = np.arange(len(row_high), dtype=np.int32), np.arange(len(upper), dtype=np.int32)
    solver = solver_of(made.lp)
    solver.changeRowsBounds(len(rows), rows, np.array(made.lp.row_lower_), row_high)
    solver.changeColsBounds(len(columns), columns, low, high)
    solver.changeColsCost(len(columns), columns, cost)
    if run(solver) != highspy.HighsModelStatus.kOptimal:
        return None
    return np.array(solver.getSolution().col_value)


def without_too_much(instance: Instance, made: Template, value: Numbers) -> Numbers:
    """The columns with what replicas are too full for counted as short."""
    value = value.copy()
    for t, short in enumerate(made.short):
        _, load, carry = _filled_at(instance, made, value, t)
        share = np.divide(carry, load, out=np.ones_like(load), where=load > carry)[made.placement]
        lost = value[made.share[t]] * (1 - share)
        value[short] += np.bincount(made.flow, weights=lost, minlength=len(short))
    return value
