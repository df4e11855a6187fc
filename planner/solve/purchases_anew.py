"""What is bought for longer, chosen anew for what stands in each hour; all else stays as it is."""

import numpy as np

from planner.errors import SolverError
from planner.problem.algebra import Array, Expr, Rows, spread
from planner.problem.arrays import full
from planner.problem.decisions import Decisions, Vectors, table
from planner.problem.problem import Problem
from planner.problem.rules.costs import minimised
from planner.problem.rules.formulas import is_normal, machines_held_or_bought
from planner.problem.rules.index_sets import INDEX_SETS
from planner.problem.rules.register import PURCHASE_RULES
from planner.solve.columns import new_columns
from planner.solve.highs import Ends, KeptHiGHS
from planner.solve.hour_instance import DEAREST
from planner.solve.hour_part import all_rows
from planner.solve.linear_program import INFINITY, LinearProgram
from planner.solve.program import Program

PURCHASES_GAP, PURCHASES_NODES = 2e-4, 200
BOUGHT = ("started", "rented")


def started_in(p: Problem, plan: Decisions) -> dict[str, Array]:
    """Units that start in each period of a similar plan, as far as they can start here [units; B]."""
    a, started = full(p), {}
    for t in p.periods:
        units = np.array([float(plan.started[b, t]) for (b,) in a.offers])
        started[t] = a.may_start(t) * np.minimum(units, a.most_units)
    return started


def restricted(program: LinearProgram, columns: Array, weight: Array, values: Array, ends: Ends | None) -> Array:
    """Values of some columns at the least cost, all others as they are; rows with others may be short at a price.

    Parameters
    ----------
    weight : of the cost of each column; zero: what it is of does not count, nor do rows that it is in
    values : of all columns
    ends : when a search for whole numbers ends, of the columns that are whole; None: divisible

    Raises
    ------
    SolverError
        when no values are found
    """
    low, high, factor, terms = all_rows(program)
    rows = len(low)
    position = np.full(program.n, -1)
    position[columns] = np.arange(len(columns))
    chosen = position[terms.column] >= 0
    has_chosen = np.bincount(terms.row[chosen], minlength=rows) > 0
    has_other = np.bincount(terms.row[weight[terms.column] == 0], minlength=rows) > 0
    stays = np.flatnonzero(has_chosen & ~has_other)
    n, at = len(stays), np.full(rows, -1)
    at[stays] = np.arange(n)
    given = ~chosen & (at[terms.row] >= 0)
    shift = np.bincount(at[terms.row[given]], (terms.value * values[terms.column])[given], minlength=n)
    small = LinearProgram()
    small.add_columns(program.lower[columns], program.upper[columns], program.unit[columns], program.integral[columns])
    small.costs = program.costs[columns] * weight[columns]
    factors = np.tile(factor[stays], 2)
    dearest = DEAREST * float(np.max(np.abs(small.costs) * small.unit, initial=0.0))
    slacks = small.add_columns(np.zeros(2 * n), np.full(2 * n, INFINITY), 1.0 / factors, np.zeros(2 * n, dtype=bool))
    small.costs[slacks] = dearest * factors
    must_hold = np.tile(
        np.bincount(at[terms.row[given]], minlength=n) == 0, 2
    )  # of what is chosen alone: a limit holds
    small.upper[slacks[must_hold]] = 0.0
    mine = chosen & (at[terms.row] >= 0)
    row = np.concatenate([at[terms.row[mine]], np.arange(n), np.arange(n)])
    column = np.concatenate([position[terms.column[mine]], slacks])
    value = np.concatenate([terms.value[mine], np.ones(n), -np.ones(n)])
    expression = Expr(row, column, value, np.zeros(n)).combined(small.n)
    small.add_rows(low[stays] - shift, high[stays] - shift, expression, factor[stays])
    answer = KeptHiGHS().linear(small) if ends is None else KeptHiGHS().fresh(small, ends)
    if answer.values is None:
        raise SolverError(f"purchases for what runs ended {answer.status}")
    return answer.values[: len(columns)]


def purchases_once_more(p: Problem, x: Vectors, nodes: int = PURCHASES_NODES, seconds: float | None = None) -> Vectors:
    """The plan with the least purchases with which every state of it stands as it does.

    Only where every offer counts whole in every failure, so that a machine is a machine, and no loss falls on one
    placement, which loses more where its pool has more.
    """
    targeted = any(failure.targeted is not None for failure in p.failures.values())
    if targeted or p.with_spot or p.may_obtain or any(p.counted.values()):
        return x
    a, program = full(p), Program()
    again = Vectors()
    for decision in table():
        getattr(again, decision.name).update(getattr(x, decision.name))
    for decision in table():
        if decision.name in BOUGHT:
            for scope in getattr(x, decision.name):
                where = INDEX_SETS[decision.over].where(a, *scope, False)
                getattr(again, decision.name)[scope] = new_columns(a, program, decision, scope, where)
    for rule in PURCHASE_RULES:
        program.add(rule.__name__, rule(a, again))
    needed = machines_needed(p, x)
    for h in p.hours:
        stands = machines_held_or_bought(a, again, h)
        program.add("machines stay", [Rows(a.pools, (h,), stands, ">=", needed[h])])
    usd = minimised(a, again)
    program.minimise(usd)
    start = np.zeros(program.n)
    for name in BOUGHT:
        for scope, vector in getattr(again, name).items():
            start[vector.column] = np.asarray(getattr(x, name)[scope])[vector.row]
    program.solve_whole(PURCHASES_GAP, nodes, seconds, None, start)
    values = np.round(program.values)
    if not len(values) or program.value_of(values) >= float(minimised(a, x)[0]):
        return x
    for name in BOUGHT:
        for scope, vector in getattr(again, name).items():
            getattr(again, name)[scope] = vector.at(values)
    for rule in PURCHASE_RULES:  # of numbers: a row that does not hold is an error
        Program().add(rule.__name__, rule(a, again))
    return again


def machines_needed(p: Problem, x: Vectors) -> dict[str, Array]:
    """Machines of each pool that all states of a plan need to be held or bought in each hour [machines; Q]."""
    a = full(p)
    needed = {h: np.zeros(a.Q) for h in p.hours}
    for (s,) in x.occupied:
        h, f, _ = s
        occupied = np.bincount(a.pool_of_placement, a.machines_per_replica * x.occupied[s,], minlength=a.Q)
        if is_normal(s):
            unused = a.maybe_unused
            occupied = occupied + a.spare_machines * (~unused + unused * spread(x.opened[h,], a.Q))
            needed[h] = np.maximum(needed[h], a.live_pools(f) * a.claimed(s))  # also where nothing of ours runs
        part = a.available_pools(f) * a.usable_fraction
        alive = part > 0
        each = np.zeros(a.Q)
        each[alive] = occupied[alive] / part[alive]
        needed[h] = np.maximum(needed[h], np.where(occupied > 0, each + a.claimed(s), 0.0))
    return needed
