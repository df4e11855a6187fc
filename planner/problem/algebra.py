"""Vectors of numbers or of linear expressions alike: the same rule builds the program and audits the plan.

A rule speaks of whole indices at once: traffic over all edges, replicas of all placements. Given expressions of columns
it builds rows of the program, given numbers it audits them. It asks which of the two it has only where what a plan must
hold is no linear row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Vector = Any
"""An array of numbers, or `Expr`: what `+`, `-`, a number times it, picking by positions and `sum_by` are defined for.
A single number stands for as many of it."""
Key = tuple[Any, ...]


class Sparse(dict[Key, Any]):
    """A mapping in which what is absent is zero."""

    def __missing__(self, key: Key) -> float:
        return 0.0


class Expr:
    """n linear expressions of columns.

    Parameters
    ----------
    row, column, value : of each term: expression `row[k]` has `value[k]` times column `column[k]`
    constant : of each expression, n of them
    """

    __array_ufunc__ = None  # numpy leaves `array * expression` to us
    ndim = 1
    __slots__ = ("column", "constant", "row", "value")

    def __init__(self, row: Array, column: Array, value: Array, constant: Array) -> None:
        self.row, self.column, self.value, self.constant = row, column, value, constant

    def __len__(self) -> int:
        return len(self.constant)

    def __getitem__(self, pick: Array) -> Expr:
        """The expressions at some positions (or where a mask is true), each as often as it is named."""
        pick = np.flatnonzero(pick) if pick.dtype == bool else pick
        if len(self.row) == len(self) and (self.row[1:] > self.row[:-1]).all():  # one term each, in order
            return Expr(np.arange(len(pick)), self.column[pick], self.value[pick], self.constant[pick])
        order = np.argsort(self.row, kind="stable")
        count = np.bincount(self.row, minlength=len(self))
        first = np.cumsum(count) - count
        many = count[pick]
        row = np.repeat(np.arange(len(pick)), many)
        term = order[np.arange(len(row)) + np.repeat(first[pick] - (np.cumsum(many) - many), many)]
        return Expr(row, self.column[term], self.value[term], self.constant[pick])

    def __mul__(self, factor: Any) -> Expr:
        factors = np.broadcast_to(np.asarray(factor, dtype=float), (len(self),))
        return Expr(self.row, self.column, self.value * factors[self.row], self.constant * factors)

    __rmul__ = __mul__

    def __neg__(self) -> Expr:
        return self * -1.0

    def __add__(self, other: Any) -> Expr:
        if not isinstance(other, Expr):
            return Expr(self.row, self.column, self.value, self.constant + other)
        row, column = np.concatenate([self.row, other.row]), np.concatenate([self.column, other.column])
        value = np.concatenate([self.value, other.value])
        return Expr(row, column, value, self.constant + other.constant)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Expr:
        return self.__add__(-other)

    def __rsub__(self, other: Any) -> Expr:
        return (-self).__add__(other)

    def at(self, values: Array) -> Array:
        """The numbers that these expressions are, for some values of the columns."""
        terms = np.bincount(self.row, self.value * values[self.column], minlength=len(self))
        return np.asarray(self.constant + terms)

    def combined(self, columns: int) -> Expr:
        """The same: each of so many columns at most once in an expression, in order, without terms of zero."""
        key, where = np.unique(self.row.astype(np.int64) * columns + self.column, return_inverse=True)
        value = np.bincount(where, self.value, minlength=len(key))
        kept = value != 0.0
        return Expr(key[kept] // columns, key[kept] % columns, value[kept], self.constant)


def is_number(vector: Vector) -> bool:
    """Whether a vector is known, not to be chosen."""
    return not isinstance(vector, Expr)


def maybe_some(vector: Vector, n: int) -> Array:
    """Which of n elements are, or may be chosen to be, other than zero."""
    if isinstance(vector, Expr):
        return np.asarray((vector.constant != 0) | (np.bincount(vector.row, minlength=n) > 0))
    return np.asarray(spread(vector, n) != 0)


def numbers(vector: Vector, values: Array) -> Vector:
    """A vector as numbers, for some values of the columns."""
    return vector.at(values) if isinstance(vector, Expr) else vector


def spread(vector: Vector, n: int) -> Vector:
    """A vector of n elements: a single number stands for as many of it."""
    if isinstance(vector, Expr) or (isinstance(vector, np.ndarray) and vector.shape == (n,) and vector.dtype == float):
        return vector
    return np.broadcast_to(np.asarray(vector, dtype=float), (n,))


def pick(vector: Vector, positions: Array) -> Vector:
    """Elements at some positions, or where a mask is true; a single number stays one."""
    return vector if np.ndim(vector) == 0 else vector[positions]


def sum_by(vector: Vector, group: Array, n: int) -> Vector:
    """Sums over the groups 0 to n - 1: element i belongs to `group[i]`.

    Examples
    --------
    >>> sum_by(np.array([1.0, 2.0, 4.0]), np.array([0, 1, 0]), 3).tolist()
    [5.0, 2.0, 0.0]
    """
    vector = spread(vector, len(group))
    if isinstance(vector, Expr):
        constant = np.bincount(group, vector.constant, minlength=n)
        return Expr(group[vector.row], vector.column, vector.value, constant)
    return np.bincount(group, vector, minlength=n)


def total(vector: Vector) -> Vector:
    """The sum of a vector, as a vector of one."""
    return sum_by(vector, np.zeros(len(vector), dtype=int), 1)


def stacked(vectors: Sequence[Vector]) -> Vector:
    """Vectors one after the other."""
    if all(is_number(vector) for vector in vectors):
        return np.concatenate([np.zeros(0), *vectors])
    offsets = np.cumsum([0, *(len(vector) for vector in vectors)])
    parts = [as_expression(vector) for vector in vectors]
    row = np.concatenate([part.row + offset for part, offset in zip(parts, offsets, strict=False)])
    column, value = np.concatenate([part.column for part in parts]), np.concatenate([part.value for part in parts])
    return Expr(row, column, value, np.concatenate([part.constant for part in parts]))


def as_expression(vector: Vector) -> Expr:
    """A vector as expressions; numbers are constants."""
    if isinstance(vector, Expr):
        return vector
    none = np.zeros(0, dtype=int)
    return Expr(none, none, np.zeros(0), np.asarray(vector, dtype=float))


@dataclass(frozen=True)
class Rows:
    """`lhs (<= | == | >=) rhs`, element by element.

    Parameters
    ----------
    of : what each element is of: the first part of its key
    scope : the last part of all keys: nothing, (hour,), (state,)
    lhs, rhs : as many as `of`; a single number stands for as many of it
    size : what is large in a row, in its own unit: one whole thing, or for requests and USD all that is asked for
    """

    of: Sequence[Key]
    scope: Key
    lhs: Vector
    sense: str
    rhs: Vector
    size: Any = 1.0

    def __len__(self) -> int:
        return len(self.of)

    def key(self, i: int) -> Key:
        """Of row i."""
        return (*self.of[i], *self.scope)

    def only(self, mask: Array) -> Rows:
        """The rows where a mask is true."""
        where = np.flatnonzero(mask)
        if len(where) == len(self.of):
            return self
        of = [self.of[i] for i in where.tolist()]
        return Rows(of, self.scope, pick(self.lhs, where), self.sense, pick(self.rhs, where), pick(self.size, where))

    def shortfall(self) -> Array:
        """How far each row is from holding, in its own unit (0 when it holds); for numbers only."""
        gap = spread(self.lhs, len(self)) - spread(self.rhs, len(self))
        return np.asarray({"<=": np.maximum(gap, 0.0), ">=": np.maximum(-gap, 0.0), "==": np.abs(gap)}[self.sense])

    def scale(self) -> Array:
        """What a shortfall is judged against: the larger side, at least the row's size; for numbers only."""
        n = len(self)
        sides = np.maximum(np.abs(spread(self.lhs, n)), np.abs(spread(self.rhs, n)))
        return np.asarray(np.maximum(sides, spread(self.size, n)))


def picked(of: Sequence[Key], mask: Array) -> list[Key]:
    """What elements are of, where a mask is true."""
    return [of[i] for i in np.flatnonzero(mask).tolist()]
