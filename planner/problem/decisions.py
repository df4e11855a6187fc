"""All that is chosen, as one table: a row a decision, which the program, whole numbers, plan file and audit read.

A rule that needs a decision adds a field to `Decisions`, which is its row, and where none fits an index set to
`rules/index_sets.py`. A field that says nothing of its record is stored in the plan file's `chosen`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any, Literal

from planner.problem.algebra import Key, Linear, Sparse

Block = Literal["purchases", "costs", "reserves", "states"]
"""purchases hold in every failure alike; costs follow from purchases and states; reserves are what gateways that
rescale may send; states are chosen anew in each (hour, failure, deadline)"""
Whole = Literal["always", "in tests", "never"]
"""in tests: the program takes them as divisible until a failure breaks on whole numbers"""
CHOSEN = "chosen"
"""The record of decisions that have none of their own."""


@dataclass(frozen=True)
class Decision:
    """A row of the table.

    Parameters
    ----------
    name : of the field of `Decisions`
    index : index letters, in the order of its keys
    over : index set of its columns, see `rules/index_sets.py`
    block : what it is chosen with
    whole : whether it is a whole number
    free : whether it may be below zero
    records : fields of the plan file that hold it; none: it follows from the others
    """

    name: str
    index: str
    over: str
    block: Block
    whole: Whole
    free: bool
    records: tuple[str, ...]


def row(
    index: str,
    over: str,
    block: Block,
    whole: Whole = "never",
    free: bool = False,
    records: tuple[str, ...] = (CHOSEN,),
) -> Any:
    """A field of `Decisions` that is a row of the table: see `Decision`."""
    given = {"index": index, "over": over, "block": block, "whole": whole, "free": free, "records": records}
    return field(default_factory=Sparse, metadata=given)


@dataclass
class Decisions:
    """All that is chosen: variables of a program, or numbers of a plan. What is absent is zero.

    The order of the rows is that of the program's columns.
    """

    started: Mapping[Key, Linear] = row("b t", "starts", "purchases", "always", records=("purchases", "builds"))
    """units of offers that are not hourly, and modules of build-outs"""
    shortfall: Mapping[Key, Linear] = row("commitment year", "spend years", "costs", records=())
    """USD that a spend commitment is not used for, and that are paid"""
    rented: Mapping[Key, Linear] = row("b h", "rents", "purchases", "always", records=("purchases",))
    """units of hourly offers"""
    replicas: Mapping[Key, Linear] = row("e h", "placements", "purchases", "always", records=("replicas",))
    """replicas that run in normal operation"""
    opened: Mapping[Key, Linear] = row("q h", "pools that may be unused", "purchases", "always", records=())
    """1 where a replica runs, for pools of `maybe_unused`"""
    outage: Mapping[Key, Linear] = row("f", "priced failures", "costs", free=True, records=())
    """USD that one occurrence of a priced failure costs beyond normal operation, any sign"""
    tail: Mapping[Key, Linear] = row("part g", "tail of outages", "costs", free=True, records=())
    """("of", g) the dearest outage of failures that are one; ("worst",) of all; ("threshold",), ("above", g):
    Rockafellar and Uryasev's variables [USD]"""
    non_preemptible: Mapping[Key, Linear] = row("e h", "spot placements", "purchases", "always", records=("replicas",))
    """replicas on machines that count in every failure, for pools of `with_spot`; elsewhere all are"""
    reserve: Mapping[Key, Linear] = row("w o e h", "reserves", "reserves", records=("reserves",))
    """requests/s that a gateway may send at most, to which its weights are proportional; rescaling only"""
    offered: Mapping[Key, Linear] = row("w o s", "flows", "states", records=())
    """requests/s"""
    shed: Mapping[Key, Linear] = row("w o s", "flows", "states", records=("states",))
    """requests/s not served"""
    excess: Mapping[Key, Linear] = row("w o s", "flows in tests", "states", records=())
    """requests/s short of the goal: zero in every plan, freed in tests"""
    traffic: Mapping[Key, Linear] = row("w o e s", "live edges", "states", records=("states",))
    """requests/s"""
    component_throughput: Mapping[Key, Linear] = row("component s", "components with limits", "states", records=())
    """requests/s through a component with a limit"""
    throughput: Mapping[Key, Linear] = row("alternative s", "open alternatives", "states", records=("states",))
    """requests/s through an alternative"""
    spared: Mapping[Key, Linear] = row("e s", "targeted placements", "states", "always", records=())
    """1 where a placement on which a partial loss falls keeps replicas"""
    kept: Mapping[Key, Linear] = row("e s", "live placements", "states", "in tests", records=("states",))
    """replicas that ran before the failure and still run"""
    occupied: Mapping[Key, Linear] = row("e s", "live placements", "states", "in tests", records=("states",))
    """replicas that take up room"""
    cold_started: Mapping[Key, Linear] = row("e s", "cold starts", "states", "in tests", records=("states",))
    """replicas started since"""
    machines: Mapping[Key, Linear] = row("q s", "live pools", "states", records=())
    """machines that are up and ours to use"""
    obtained: Mapping[Key, Linear] = row("q s", "pools that obtain", "states", records=())
    """machines that are up and were obtained since the failure was detected, for pools of `may_obtain`"""
    drawn: Mapping[Key, Linear] = row("limit s", "limits drawn upon", "states", records=())
    """what machines that were obtained take of a limit"""


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


def only(x: Decisions, block: Block) -> Decisions:
    """The decisions of one block; all others zero."""
    chosen = no_decisions()
    for name in names(block):
        setattr(chosen, name, getattr(x, name))
    return chosen
