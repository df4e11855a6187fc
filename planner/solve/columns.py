"""Columns and rows of the program: vectors of columns for each decision in the table, rows from the rules."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from planner.problem.algebra import Array, Vector, spread
from planner.problem.arrays import Arrays, full, merged
from planner.problem.decisions import ONCE, Decision, Vectors, only, table
from planner.problem.problem import Problem, State, states
from planner.problem.rules.costs import tail_of_outages
from planner.problem.rules.formulas import (
    is_normal,
    limit_drawn,
    machines_in_service,
    requests_through,
    running,
    short_of_spend,
    survivors,
)
from planner.problem.rules.index_sets import INDEX_SETS, pools_that_just_run_on, scopes
from planner.problem.rules.purchases import limits_hold
from planner.problem.rules.register import PURCHASE_RULES, STATE_RULES
from planner.solve.program import Owned, Program
from planner.study.dependencies import NORMAL


def new_columns(
    a: Arrays, program: Program, decision: Decision, scope: tuple[Any, ...], where: Array, integral: bool = False
) -> Vector:
    """The columns of a decision in a scope, where a mask is true."""
    index_set = INDEX_SETS[decision.over]
    is_integral = integral or decision.integer == "always"
    columns = program.columns(where, index_set.sizes(a, *scope), is_integral, decision.free)
    program.owned.append(Owned(decision.name, scope, index_set.of(a), columns.row, columns.column))
    return columns


def block_columns(a: Arrays, program: Program, x: Vectors, *blocks: str) -> None:
    """Columns of the decisions of some blocks that are chosen once, by period or by hour."""
    for decision in table():
        if decision.block in blocks:
            index_set = INDEX_SETS[decision.over]
            for scope in scopes(a.p, index_set):
                where = index_set.where(a, *scope, False)
                getattr(x, decision.name)[scope] = new_columns(a, program, decision, scope, where)


def purchase_columns(a: Arrays, program: Program, x: Vectors) -> None:
    """Columns of what is bought, of the replicas that run, and of the costs that follow."""
    block_columns(a, program, x, "purchases", "costs")
    for i, part in enumerate(tail_of_outages(a.p)):
        if part[0] != "of":  # the dearest of several failures may be cheaper than normal operation
            program.lower[x.tail[ONCE].column[i]] = 0.0


def state_columns(a: Arrays, program: Program, x: Vectors, s: State, short: bool = False) -> None:
    """Columns of one state of the program; what is known, or follows from other decisions, has none.

    Nothing is gained by serving what is not due in a failure without a price: such requests are shed. What just runs on
    stands where it stood. Machines are all that stand. What occupies machines is what runs, but where something may be
    loading for a later deadline, and beside a rollout.

    Parameters
    ----------
    short : whether requests may be short of the goal: `excess` has columns
    """
    known = _known(a, x, s)
    for decision in table():
        if decision.block != "states" or decision.name in FOLLOW:
            continue
        where = INDEX_SETS[decision.over].where(a, s, short and decision.name == "excess")
        vector: Vector = 0.0
        if decision.name in known:
            chosen, vector = known[decision.name]
            where = where & chosen
        getattr(x, decision.name)[s,] = new_columns(a, program, decision, (s,), where) + vector
    for decision in table():
        if decision.block == "states" and decision.name in FOLLOW:
            getattr(x, decision.name)[s,] = FOLLOW[decision.name](a, program, x, s, decision)


def _known(a: Arrays, x: Vectors, s: State) -> dict[str, tuple[Array, Vector]]:
    """Decision -> where it is to be chosen, and what it is elsewhere."""
    requests, not_due = a.requests(s), a.not_due(s)
    free = is_normal(s) or s[1] in a.p.priced
    waits = a.waits & is_normal(s)
    known: dict[str, tuple[Array, Vector]] = {
        "offered": (waits, np.where(waits, 0.0, requests)),
        "shed": (np.full(a.F, free), np.zeros(a.F) if free else not_due),
        "traffic": (((requests > not_due) | free)[a.flow_of_edge], 0.0),
    }
    if is_normal(s):
        known["kept"] = np.zeros(a.P, dtype=bool), x.replicas[s[0],]
    else:
        stays = pools_that_just_run_on(a, s[1])[a.pool_of_placement]
        known["kept"] = ~stays, (stays & a.live(s[1])) * survivors(a, x, s)
    return known


def _occupied(a: Arrays, program: Program, x: Vectors, s: State, decision: Decision) -> Vector:
    """What runs; is_integral beside a rollout, and free where something may be loading for a later deadline."""
    h, f, c = s
    if is_normal(s):
        rolls = a.rollout_surge_fraction > 0
        return new_columns(a, program, decision, (s,), rolls, integral=True) + ~rolls * running(a, x, s)
    later = np.zeros(a.P, dtype=bool)
    for d in a.p.deadlines_seconds[f]:
        if d > c:
            later |= a.live(f) & a.can_load((h, f, d)) & (a.load_seconds > 0)
    return new_columns(a, program, decision, (s,), later) + ~later * running(a, x, s)


def _machines(a: Arrays, program: Program, x: Vectors, s: State, decision: Decision) -> Vector:
    """All that are in service, of pools with a placement that is not dead."""
    return a.live_pools(s[1]) * machines_in_service(a, x, s)


def _component_throughput(a: Arrays, program: Program, x: Vectors, s: State, decision: Decision) -> Vector:
    return requests_through(a, x, s)


def _drawn(a: Arrays, program: Program, x: Vectors, s: State, decision: Decision) -> Vector:
    return limit_drawn(a, x, s)


FOLLOW: dict[str, Callable[[Arrays, Program, Vectors, State, Decision], Vector]] = {
    "occupied": _occupied,
    "machines": _machines,
    "component_throughput": _component_throughput,
    "drawn": _drawn,
}
"""Decisions of states that follow from others, wholly or in part."""


def start_program(
    p: Problem,
    solver: Any = None,
    bought: Vectors | None = None,
    further: Callable[[Arrays, Program, Vectors], None] = lambda a, program, x: None,
) -> tuple[Program, Vectors]:
    """The program of purchases and normal operation; with `bought` as numbers, of what is left to choose.

    Flows are merged where purchases are chosen; under given ones each is by itself. `further` adds columns that rules
    of purchases speak of.
    """
    program, x = Program(solver), Vectors()
    a = merged(p)(NORMAL) if bought is None else full(p)
    if bought is None:
        purchase_columns(a, program, x)
    else:
        x = only(bought, "purchases")
        x.shortfall[ONCE] = short_of_spend(a, x)
    further(a, program, x)
    add_failure(a, program, x, NORMAL)
    add_purchase_rules(a, program, x)
    return program, x


def add_purchase_rules(a: Arrays, program: Program, x: Vectors) -> None:
    """Add the rows that hold once."""
    for rule in PURCHASE_RULES:
        program.add(rule.__name__, rule(a, x), as_rows=rule is limits_hold)  # each limit has a dual of its own


def add_failure(a: Arrays, program: Program, x: Vectors, f: str, hour: str | None = None, short: bool = False) -> None:
    """Add the block of a failure, `a` its arrays: columns and rows of its states in an hour; none named: in all."""
    add_states(a, program, x, [s for s in states(a.p, f) if hour is None or s[0] == hour], short)


def add_states(a: Arrays, program: Program, x: Vectors, block: Iterable[State], short: bool = False) -> None:
    """Add columns and rows of some states of one failure; `short`: see `state_columns`."""
    block = tuple(block)
    for s in block:
        state_columns(a, program, x, s, short)
    for s in block:
        for rule in STATE_RULES:
            program.add(rule.__name__, rule(a, x, s))


def template_columns(a: Arrays, program: Program, x: Vectors, s: State) -> None:
    """Columns of one state of a feasibility subproblem: every decision of states is chosen, whatever is lost."""
    for decision in table():
        if decision.block == "states":
            where = INDEX_SETS[decision.over].where(a, s, True)
            is_integral = decision.integer == "in tests"
            vector = new_columns(a, program, decision, (s,), where, is_integral)
            getattr(x, decision.name)[s,] = spread(vector, len(where))
