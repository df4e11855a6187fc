# ruff: noqa: RUF009 - a row of the table is a field of Decisions
"""All that is chosen, as one table: a row a decision, which the program, whole numbers, plan file and audit read.

A rule that needs a decision adds a field to `Decisions`, which is its row, and where none fits an index set to
`rules/index_sets.py`. A field that says nothing of its record is stored in the plan file's `chosen`: of what is bought
("purchases") or of states, as costs and reserves are worked out anew from those.

Decisions are written in two ways: by id, in a plan; and as vectors over an index set, in rules, program and audit.
"""

from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any, Literal, TypeVar

from planner.problem.algebra import Sparse

Block = Literal["purchases", "costs", "reserves", "states"]
"""purchases hold in every failure alike; costs follow from purchases and states; reserves are what gateways that
rescale may send; states are chosen anew in each (hour, failure, deadline)"""
Integer = Literal["always", "in tests", "follows", "never"]
"""in tests: the program takes them as divisible until a failure breaks on whole numbers; follows: whole where what it
follows from is"""
ONCE: tuple[()] = ()
"""The scope of what is chosen once; others are (period,), (hour,) and (state,)."""
CHOSEN = "chosen"
"""The record of decisions that have none of their own."""


@dataclass(frozen=True)
class Decision:
    """A row of the table.

    Parameters
    ----------
    name : of the field of `Decisions`
    index : index letters, in the order of its keys
    means : what its numbers are, with their unit
    over : index set of its columns, see `rules/index_sets.py`
    block : what it is chosen with
    integer : whether it is a whole number
    free : whether it may be below zero
    records : fields of the plan file that hold it; none: it follows from the others
    """

    name: str
    index: str
    means: str
    over: str
    block: Block
    integer: Integer
    free: bool
    records: tuple[str, ...]


def row(
    index: str,
    means: str,
    over: str,
    block: Block,
    integer: Integer = "never",
    free: bool = False,
    records: str = CHOSEN,
) -> Any:
    """A field of `Decisions` that is a row of the table: see `Decision`."""
    given = {"index": index, "means": means, "over": over, "block": block, "integer": integer, "free": free}
    return field(default_factory=Sparse, metadata={**given, "records": tuple(records.split())})


@dataclass
class Decisions:
    """All that is chosen, by id: numbers of a plan. What is absent is zero.

    The order of the rows is that of the program's columns.
    """

    started: Sparse = row(
        "b t",
        "units of offers that are not hourly, and modules of build-outs",
        "starts",
        "purchases",
        "always",
        records="purchases builds",
    )
    shortfall: Sparse = row(
        "commitment year",
        "USD that a spend commitment is not used for, and that are paid",
        "spend years",
        "costs",
        records="",
    )
    rented: Sparse = row("b h", "units of hourly offers", "rents", "purchases", "always", records="purchases")
    replicas: Sparse = row(
        "e h", "replicas that run in normal operation", "placements", "purchases", "always", records="replicas"
    )
    opened: Sparse = row(
        "q h",
        "1 where a replica runs, for pools of `maybe_unused`",
        "pools that may be unused",
        "purchases",
        "always",
        records="",
    )
    outage: Sparse = row(
        "f",
        "USD that one occurrence of a priced failure costs beyond normal operation",
        "priced failures",
        "costs",
        free=True,
        records="",
    )
    tail: Sparse = row(
        "part g",
        "USD of (of, g) the dearest outage of failures that are one; (worst) of all; (threshold), (above, g)",
        "tail of outages",
        "costs",
        free=True,
        records="",
    )
    non_preemptible: Sparse = row(
        "e h",
        "replicas on machines that count in every failure, for pools of `with_spot`; elsewhere all are",
        "spot placements",
        "purchases",
        "always",
        records="replicas",
    )
    on_offer: Sparse = row(
        "e b h",
        "replicas on machines of an offer of `counted_apart` that count wherever not the least of it does",
        "placements on offers",
        "purchases",
        "always",
        records="replicas",
    )
    reserve: Sparse = row(
        "w o e h",
        "requests/s that a gateway may send at most, to which its weights are proportional; rescaling only",
        "reserves",
        "reserves",
        records="reserves",
    )
    offered: Sparse = row("w o s", "requests/s that are asked for", "flows", "states", records="")
    shed: Sparse = row("w o s", "requests/s not served", "flows", "states", records="states")
    excess: Sparse = row(
        "w o s",
        "requests/s short of the goal: zero in every plan, freed in tests",
        "flows in tests",
        "states",
        records="",
    )
    traffic: Sparse = row("w o e s", "requests/s over an edge", "live edges", "states", records="states")
    component_throughput: Sparse = row(
        "component s", "requests/s through a component with a limit", "components with limits", "states", records=""
    )
    throughput: Sparse = row(
        "alternative s", "requests/s through an alternative", "open alternatives", "states", records="states"
    )
    survives_loss: Sparse = row(
        "e s",
        "1 where a placement on which a partial loss falls keeps replicas",
        "targeted placements",
        "states",
        "always",
        records="",
    )
    kept: Sparse = row(
        "e s",
        "replicas that ran before the failure and still run",
        "live placements",
        "states",
        "in tests",
        records="states",
    )
    occupied: Sparse = row(
        "e s", "replicas that take up machines", "live placements", "states", "follows", records="states"
    )
    cold_started: Sparse = row(
        "e s", "replicas cold-started since", "cold starts", "states", "in tests", records="states"
    )
    machines: Sparse = row("q s", "machines that are up and ours to use", "live pools", "states", records="")
    obtained: Sparse = row(
        "q s",
        "machines that are up and were obtained since the failure was detected, for pools of `may_obtain`",
        "pools that obtain",
        "states",
        records="",
    )
    drawn: Sparse = row(
        "limit s", "what machines that were obtained take of a limit", "limits drawn upon", "states", records=""
    )


class Vectors(Decisions):
    """All that is chosen, as vectors: scope -> expressions of columns, or numbers, in the order of the index set.

    A key is what an element is of, and its scope: `traffic[s,]` has that of edge (w, o, e) for key (w, o, e, s).
    """


D = TypeVar("D", bound=Decisions)


def table() -> tuple[Decision, ...]:
    """The rows, in the order of the program's columns."""
    return _rows_of(Decisions)


@cache
def _rows_of(decisions: type[Decisions]) -> tuple[Decision, ...]:
    return tuple(Decision(each.name, **each.metadata) for each in fields(decisions))


def names(block: Block) -> tuple[str, ...]:
    """Names of the decisions of a block."""
    return tuple(decision.name for decision in table() if decision.block == block)


def stored_in(record: str) -> tuple[Decision, ...]:
    """Decisions that a field of the plan file holds."""
    return tuple(decision for decision in table() if record in decision.records)


def no_decisions() -> Decisions:
    """Nothing chosen: every decision zero."""
    return Decisions()


def only(x: D, block: Block) -> D:
    """The decisions of one block; all others zero."""
    chosen = type(x)()
    for name in names(block):
        setattr(chosen, name, getattr(x, name))
    return chosen
