"""What of a program is of one hour, in arrays: its columns, its rows, and what these know of what is bought."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from planner.problem.algebra import Array
from planner.solve.linear_program import LinearProgram


@dataclass(frozen=True)
class Terms:
    """Terms of rows: row `row[i]` has `value[i]` times column `column[i]`."""

    row: Array
    column: Array
    value: Array

    def times(self, values: Array, rows: int) -> Array:
        """The rows at some values of the columns."""
        return np.bincount(self.row, self.value * values[self.column], minlength=rows)

    def transposed(self, duals: Array, columns: int) -> Array:
        """Σ over the rows of dual · value, of each column."""
        return np.bincount(self.column, self.value * duals[self.row], minlength=columns)

    def same(self, other: "Terms") -> bool:
        """Whether both have the same terms in the same order."""
        return all(
            np.array_equal(mine, its)
            for mine, its in ((self.row, other.row), (self.column, other.column), (self.value, other.value))
        )


@dataclass(frozen=True)
class HourPart:
    """What of a program is of one hour, columns and rows by their position here.

    Parameters
    ----------
    columns, rows : positions in the program; rows that link come first, at the position of the row that is split
    lower, upper, costs, unit : of columns, as in the program
    low, high, factor : of rows
    terms : of its own columns
    given : of parameters, by their position among the columns of the master
    """

    columns: Array
    rows: Array
    lower: Array
    upper: Array
    costs: Array
    unit: Array
    low: Array
    high: Array
    factor: Array
    terms: Terms
    given: Terms

    @property
    def n(self) -> int:
        """Columns."""
        return len(self.columns)

    @property
    def m(self) -> int:
        """Rows."""
        return len(self.rows)

    def same_matrix(self, other: "HourPart") -> bool:
        """Whether two hours differ in bounds, costs and parameters only: what solves one may start the other."""
        return (
            self.n == other.n
            and self.m == other.m
            and self.terms.same(other.terms)
            and np.array_equal(np.isinf(self.low), np.isinf(other.low))
            and np.array_equal(np.isinf(self.high), np.isinf(other.high))
            and np.array_equal(np.unique(self.given.row), np.unique(other.given.row))
        )


@dataclass(frozen=True)
class Link:
    """What one hour takes of a row that links hours.

    Parameters
    ----------
    column : of the master: so much
    row : of the program, that is split
    columns, values : its terms of this hour, columns of the program
    """

    column: int
    row: int
    columns: Array
    values: Array


def all_rows(program: LinearProgram) -> tuple[Array, Array, Array, Terms]:
    """(low, high, factor, terms) of all rows of a program, one block after the other."""
    blocks = program.blocks
    offsets = np.cumsum([0, *(len(block.low) for block in blocks)])
    none = np.zeros(0)
    row = [block.terms.row + offset for block, offset in zip(blocks, offsets, strict=False)]
    return (
        np.concatenate([none, *(block.low for block in blocks)]),
        np.concatenate([none, *(block.high for block in blocks)]),
        np.concatenate([none, *(block.factor for block in blocks)]),
        Terms(
            np.concatenate([none, *row]).astype(int),
            np.concatenate([none, *(block.terms.column for block in blocks)]).astype(int),
            np.concatenate([none, *(block.terms.value for block in blocks)]),
        ),
    )


def same_matrices(parts: Sequence[HourPart]) -> list[int]:
    """Position of the first part with the same matrix, of each."""
    firsts: list[int] = []
    first_of: list[int] = []
    for k, part in enumerate(parts):
        first = next((i for i in firsts if part.same_matrix(parts[i])), k)
        if first == k:
            firsts.append(k)
        first_of.append(first)
    return first_of
