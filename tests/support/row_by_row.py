"""Rules of whole indices, looked at one row at a time, at a point of numbers by id."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from planner.problem.algebra import Key, Rows, spread
from planner.problem.arrays import full
from planner.problem.decisions import Decisions
from planner.problem.problem import Problem, State, states
from planner.problem.rules.index_sets import as_vectors
from planner.problem.rules.register import PURCHASE_RULES, RULES


@dataclass(frozen=True)
class Row:
    """One row of numbers."""

    key: Key
    lhs: float
    sense: str
    rhs: float
    size: float
    shortfall: float
    scale: float


def one_by_one(blocks: Iterable[Rows]) -> Iterator[Row]:
    """Each row of numbers of some blocks."""
    for rows in blocks:
        n = len(rows)
        sides = [spread(side, n) for side in (rows.lhs, rows.rhs, rows.size, rows.shortfall(), rows.scale())]
        assert all(isinstance(side, np.ndarray) and side.shape == (n,) for side in sides), "a side of another length"
        for i in range(n):
            lhs, rhs, *rest = (float(side[i]) for side in sides)
            yield Row(rows.key(i), lhs, rows.sense, rhs, *rest)


def rows_of(rule: str, p: Problem, x: Decisions, s: State | None = None) -> list[Row]:
    """The rows of a rule by name, once or in a state; none given: in every state."""
    function: Any = next(r for r in RULES if r.__name__ == rule)
    a, vectors = full(p), as_vectors(p, x)
    if function in PURCHASE_RULES:
        return list(one_by_one(function(a, vectors)))
    every = [s for f in p.failures for s in states(p, f)] if s is None else [s]
    return [row for s in every for row in one_by_one(function(a, vectors, s))]
