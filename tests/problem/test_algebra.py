"""Vectors of expressions against dense matrices, and rows: what is picked, summed, stacked, judged."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.problem.algebra import (
    Array,
    Expr,
    Rows,
    as_expression,
    is_number,
    maybe_some,
    numbers,
    pick,
    picked,
    spread,
    stacked,
    sum_by,
    total,
)

COLUMNS = 4
NUMBER = st.integers(-3, 3).map(float)
NUMBERS = np.array([1.5, -2.0, 0.25, 4.0])
"""Of the columns, where numbers are asked for."""


@st.composite
def expressions(draw: st.DrawFn, n: int | None = None) -> Expr:
    """A few expressions; a column may be several times in one, and with 0."""
    n = draw(st.integers(0, 4)) if n is None else n
    place = st.tuples(st.integers(0, max(n - 1, 0)), st.integers(0, COLUMNS - 1), NUMBER)
    terms = draw(st.lists(place, max_size=8 if n else 0))
    row, column, value = (np.array([term[i] for term in terms], dtype=kind) for i, kind in enumerate((int, int, float)))
    return Expr(row, column, value, np.array(draw(st.lists(NUMBER, min_size=n, max_size=n)), dtype=float))


def dense(vector: Expr | Array) -> Array:
    """A row for each element: what it has of each column, and its constant."""
    expression = as_expression(vector)
    matrix = np.zeros((len(expression), COLUMNS + 1))
    np.add.at(matrix, (expression.row, expression.column), expression.value)
    matrix[:, COLUMNS] = expression.constant
    return matrix


def same(vector: Expr | Array, matrix: Array) -> None:
    np.testing.assert_allclose(dense(vector), matrix, rtol=0, atol=1e-12)


@st.composite
def alike(draw: st.DrawFn) -> tuple[Expr, Expr, Array]:
    """Two vectors of expressions and one of numbers, of the same length."""
    n = draw(st.integers(0, 4))
    factors = draw(st.lists(NUMBER, min_size=n, max_size=n))
    return draw(expressions(n)), draw(expressions(n)), np.array(factors, dtype=float)


def constants(values: Array | float, n: int) -> Array:
    matrix = np.zeros((n, COLUMNS + 1))
    matrix[:, COLUMNS] = values
    return matrix


@settings(max_examples=40, deadline=None)
@given(alike(), NUMBER)
def test_sums_and_multiples_are_those_of_matrices(three: tuple[Expr, Expr, Array], factor: float):
    one, other, factors = three
    a, b, n = dense(one), dense(other), len(one)
    same(one + other, a + b)
    same(one - other, a - b)
    same(-one, -a)
    same(factors * one, factors[:, None] * a)
    same(one * factors, factors[:, None] * a)
    same(factor * one, factor * a)
    same(one + factors, a + constants(factors, n))
    same(factors - one, constants(factors, n) - a)
    same(factor + one, a + constants(factor, n))
    same(one - factor, a - constants(factor, n))
    same(2.0 * one + factors * other + 3.0 * factors, 2 * a + factors[:, None] * b + constants(3 * factors, n))
    # the same decisions on both sides: only numbers are left
    same((one - one + factors).combined(COLUMNS), constants(factors, n))


@settings(max_examples=40, deadline=None)
@given(alike(), st.data())
def test_what_is_picked_summed_and_stacked_is_that_of_matrices(three: tuple[Expr, Expr, Array], data: st.DataObject):
    one, other, factors = three
    a, n = dense(one), len(one)
    positions = np.array(data.draw(st.lists(st.integers(0, max(n - 1, 0)), max_size=6 if n else 0)), dtype=int)
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)), dtype=bool)
    group = np.array(data.draw(st.lists(st.integers(0, 2), min_size=n, max_size=n)), dtype=int)
    same(one[positions], a[positions])
    same(one[mask], a[mask])
    same(pick(one, positions), a[positions])
    assert pick(2.5, positions) == 2.5 and list(pick(factors, mask)) == list(factors[mask])
    of_groups = np.zeros((3, COLUMNS + 1))
    np.add.at(of_groups, group, a)
    same(sum_by(one, group, 3), of_groups)
    same(sum_by(dense(one)[:, COLUMNS], group, 3), constants(of_groups[:, COLUMNS], 3))
    same(total(one), a.sum(axis=0, keepdims=True))
    same(stacked([one, other]), np.vstack([a, dense(other)]))
    same(stacked([factors, one, factors]), np.vstack([constants(factors, n), a, constants(factors, n)]))
    assert is_number(stacked([factors, factors])) and len(stacked([])) == 0
    np.testing.assert_allclose(numbers(one, NUMBERS), a[:, :COLUMNS] @ NUMBERS + a[:, COLUMNS], atol=1e-12)
    assert numbers(factors, NUMBERS) is factors


@settings(max_examples=40, deadline=None)
@given(expressions())
def test_combined_has_each_column_once_in_order_and_no_zeros(one: Expr):
    combined = one.combined(COLUMNS)
    same(combined, dense(one))
    places = list(zip(combined.row.tolist(), combined.column.tolist(), strict=True))
    assert places == sorted(set(places)) and (combined.value != 0).all()


def test_a_single_number_stands_for_as_many():
    assert spread(2.0, 3).tolist() == [2.0, 2.0, 2.0] and sum_by(2.0, np.array([0, 1, 0]), 2).tolist() == [4.0, 2.0]
    one = Expr(np.array([1]), np.array([0]), np.array([1.0]), np.zeros(2))
    assert spread(one, 2) is one
    assert maybe_some(one, 2).tolist() == [False, True] and maybe_some(one + np.array([0.5, 0.0]), 2).all()
    assert maybe_some(np.array([0.0, -1.0]), 2).tolist() == [False, True] and not maybe_some(0.0, 2).any()


# ------------------------------------------------------------------ rows
def worked(sense: str) -> Rows:
    """Three rows of numbers in a scope: 1, 2, 5 beside 2 each; of the last, 10 are large."""
    return Rows(
        [("a", "x"), ("b", "x"), ("c", "x")], ("h",), np.array([1.0, 2.0, 5.0]), sense, 2.0, np.array([1.0, 1.0, 10.0])
    )


@pytest.mark.parametrize(
    ("sense", "shortfall"), [("<=", [0.0, 0.0, 3.0]), (">=", [1.0, 0.0, 0.0]), ("==", [1.0, 0.0, 3.0])]
)
def test_how_far_a_row_is_from_holding(sense: str, shortfall: list[float]):
    rows = worked(sense)
    assert rows.shortfall().tolist() == shortfall
    assert rows.scale().tolist() == [2.0, 2.0, 10.0]  # the larger side, or what is large
    assert [rows.key(i) for i in range(len(rows))] == [("a", "x", "h"), ("b", "x", "h"), ("c", "x", "h")]


def test_only_the_rows_where_a_mask_is_true():
    mask = np.array([True, False, True])
    rows = worked("<=").only(mask)
    assert [rows.key(i) for i in range(len(rows))] == [("a", "x", "h"), ("c", "x", "h")]
    assert (rows.lhs.tolist(), rows.rhs, rows.size.tolist(), rows.sense) == ([1.0, 5.0], 2.0, [1.0, 10.0], "<=")
    assert rows.shortfall().tolist() == [0.0, 3.0] and picked([("a",), ("b",), ("c",)], mask) == [("a",), ("c",)]
    assert len(worked("<=").only(np.zeros(3, dtype=bool))) == 0
    assert worked("<=").only(np.ones(3, dtype=bool)).shortfall().tolist() == [0.0, 0.0, 3.0]


@settings(max_examples=40, deadline=None)
@given(alike(), st.data())
def test_only_picks_the_same_rows_of_expressions(three: tuple[Expr, Expr, Array], data: st.DataObject):
    lhs, rhs, size = three
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=len(lhs), max_size=len(lhs))), dtype=bool)
    of = [(i,) for i in range(len(lhs))]
    rows = Rows(of, (), lhs, "<=", rhs, size).only(mask)
    same(rows.lhs, dense(lhs)[mask])
    same(rows.rhs, dense(rhs)[mask])
    assert rows.of == picked(of, mask) and rows.size.tolist() == size[mask].tolist()
