"""Sums and rows that hold numbers or variables alike: the same rule builds the program and audits the plan."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pulp

Linear = Any
"""A number, a variable or a linear expression of variables: what `+`, `-` and a number times it are defined for."""

Key = tuple[Any, ...]


class Sparse(dict[Key, Linear]):
    """A mapping in which what is absent is zero: a decision that cannot be taken has no column."""

    def __missing__(self, key: Key) -> float:
        return 0.0


def total(terms: Iterable[tuple[float, Linear]]) -> Linear:
    """Sum of `coefficient · quantity`, in linear time for numbers and for variables.

    Examples
    --------
    >>> total([(2.0, 3.0), (1.0, 0.5)])
    6.5
    """
    number: list[float] = []
    expression: dict[Any, float] = {}
    for coefficient, quantity in terms:
        if isinstance(quantity, pulp.LpVariable):
            expression[quantity] = expression.get(quantity, 0.0) + coefficient
        elif isinstance(quantity, pulp.LpAffineExpression):
            for variable, inner in quantity.items():
                expression[variable] = expression.get(variable, 0.0) + coefficient * inner
            number.append(coefficient * quantity.constant)
        else:
            number.append(coefficient * quantity)
    constant = math.fsum(number)
    return pulp.LpAffineExpression(expression, constant=constant) if expression else constant


def is_number(quantity: Linear) -> bool:
    """Whether a quantity is known, not to be chosen."""
    return isinstance(quantity, int | float)


@dataclass(frozen=True)
class Row:
    """`lhs (<= | == | >=) rhs`, for one key of one rule."""

    key: Key
    lhs: Linear
    sense: str
    rhs: Linear
    size: float = 1.0
    """what is large in this row, in its own unit: one whole thing, or for requests and USD all that is asked for"""

    def shortfall(self) -> float:
        """How far the row is from holding, in its own unit (0 when it holds); for numbers only."""
        gap = float(self.lhs - self.rhs)
        return {"<=": max(gap, 0.0), ">=": max(-gap, 0.0), "==": abs(gap)}[self.sense]

    def scale(self) -> float:
        """What a shortfall is judged against: the larger side, at least the row's size; for numbers only."""
        return max(self.size, abs(float(self.lhs)), abs(float(self.rhs)))
