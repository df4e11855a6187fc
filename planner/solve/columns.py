"""Columns and rows of the program: a column for each key of each decision in the table, rows from the rules."""

from collections.abc import Callable, Iterable
from typing import Any

from planner.problem.algebra import Key, Sparse
from planner.problem.decisions import Decision, Decisions, no_decisions, only, table
from planner.problem.problem import Problem, State, states
from planner.problem.rules.formulas import (
    due_fraction,
    is_normal,
    live_placements,
    machines_in_service,
    requests_per_second,
    short_of_spend,
    survivors,
)
from planner.problem.rules.index_sets import INDEX_SETS, pools_that_just_run_on
from planner.problem.rules.register import PURCHASE_RULES, STATE_RULES
from planner.solve.program import Program
from planner.study.dependencies import NORMAL


def add_column(p: Problem, program: Program, x: Decisions, decision: Decision, key: Key, testing: bool = False) -> None:
    """The column of a decision for one key."""
    whole = decision.whole == "always" or (decision.whole == "in tests" and testing)
    variable = program.column(integer=whole, unit=INDEX_SETS[decision.over].size(p, key))
    if decision.free:
        variable.lowBound = None
    getattr(x, decision.name)[key] = variable


def purchase_columns(p: Problem, program: Program, x: Decisions) -> None:
    """Columns of what is bought, of the replicas that run, and of the costs that follow."""
    for decision in table():
        if decision.block in ("purchases", "costs"):
            for key in INDEX_SETS[decision.over].keys(p):
                add_column(p, program, x, decision, key)
    for part, variable in x.tail.items():
        if part[0] != "of":  # the dearest of several failures may be cheaper than normal operation
            variable.lowBound = 0.0


def reserve_columns(p: Problem, program: Program, x: Decisions) -> None:
    """Columns of what gateways that rescale may send."""
    for decision in table():
        if decision.block == "reserves":
            for key in INDEX_SETS[decision.over].keys(p):
                add_column(p, program, x, decision, key)


def state_columns(p: Problem, program: Program, x: Decisions, s: State, testing: bool = False) -> None:
    """Columns of one state; what is dead or cannot have been cold-started yet has none.

    The columns of a thing (flow, placement, pool) stand together, whichever decisions they are of.
    """
    known = set() if testing or is_normal(s) else _known(p, x, s)
    by_thing: dict[object, list[tuple[Decision, Key]]] = {}
    for decision in table():
        if decision.block != "states":
            continue
        index_set = INDEX_SETS[decision.over]
        for key in index_set.keys(p, s, testing):
            thing = key[: index_set.thing] if index_set.thing else decision.name
            if thing not in known:
                by_thing.setdefault(thing, []).append((decision, key))
    for columns in by_thing.values():
        for decision, key in columns:
            add_column(p, program, x, decision, key, testing)
    for e in live_placements(p, s[1]) if is_normal(s) else ():
        if p.rollout_surge_fraction[e] > 0:  # what stands beside is counted whole
            program.make_whole(x.occupied[e, s])


def _known(p: Problem, x: Decisions, s: State) -> set[object]:
    """Set what is no decision in a failure, and return the things that need no columns, as parts of their keys.

    Nothing is gained by serving what is not due: such requests are shed. What just runs on stands where it stood.
    """
    known: set[object] = set()
    for w, o in p.flows:
        free = p.outage_usd_per_request[w] <= 0 or s[1] not in p.priced
        if due_fraction(p, w, o, s) <= 0 and free:
            x.offered[w, o, s] = x.shed[w, o, s] = requests_per_second(p, w, o, s)
            known.add((w, o))
    just_warm = pools_that_just_run_on(p, s[1])
    for e in live_placements(p, s[1]):
        if (q := p.pool_of[e]) in just_warm:
            x.kept[e, s] = x.occupied[e, s] = survivors(p, x, e, s)
            x.machines[q, s] = machines_in_service(p, x, q, s)
            known |= {(e,), (q,)}
    return known


def start_program(
    p: Problem,
    solver: Any = None,
    bought: Decisions | None = None,
    further: Callable[[Problem, Program, Decisions], None] = lambda p, program, x: None,
) -> tuple[Program, Decisions]:
    """The program of purchases and normal operation; with `bought` as numbers, of what is left to choose.

    `further` adds columns that rules of purchases speak of.
    """
    program, x = Program(solver), no_decisions()
    if bought is None:
        purchase_columns(p, program, x)
    else:
        x = only(bought, "purchases")
        x.shortfall = Sparse(short_of_spend(p, x))
    further(p, program, x)
    add_failure(p, program, x, NORMAL)
    add_purchase_rules(p, program, x)
    return program, x


def add_purchase_rules(p: Problem, program: Program, x: Decisions) -> None:
    """Add the rows that hold once."""
    for rule in PURCHASE_RULES:
        program.add(rule.__name__, rule(p, x))


def add_failure(p: Problem, program: Program, x: Decisions, f: str, hour: str | None = None) -> None:
    """Add the block of a failure: columns and rows of its states in an hour; none named: in all."""
    add_states(p, program, x, [s for s in states(p, f) if hour is None or s[0] == hour])


def add_states(p: Problem, program: Program, x: Decisions, block: Iterable[State], testing: bool = False) -> None:
    """Add columns and rows of some states of one failure."""
    block = tuple(block)
    for s in block:
        state_columns(p, program, x, s, testing)
    for s in block:
        for rule in STATE_RULES:
            program.add(rule.__name__, rule(p, x, s))
