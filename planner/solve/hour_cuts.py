"""What an hour costs at the least, whatever the master has: cuts from dual solutions, of which each serves all hours.

For any dual numbers y of the rows of an hour, and its reduced costs r = c − A'y,

    V(given)  ≥  Σ_i (y_i > 0 ? y_i · low_i : y_i · high_i) + Σ_j (r_j > 0 ? r_j · lower_j : r_j · upper_j)
                 − Σ_i y_i · (terms of the master in row i)

by weak duality. Nothing is asked of y but that no infinite bound is met, so what solves one hour bounds every hour with
the same matrix, and a bound does not rest on what a solver calls optimal. Where reduced costs of columns without an
upper bound are below zero, y is made smaller until they are not; of those without a cost, which nothing helps, a
reduced cost below zero by no more than the solver's tolerance counts as zero.
"""

from collections.abc import Sequence

import numpy as np

from planner.problem.algebra import Array
from planner.solve.hour_instance import cost_ratio
from planner.solve.hour_part import HourPart

DUAL_TOLERANCE = 1e-6
"""By which a reduced cost may be below zero, in the solver's units."""


class HourCuts:
    """Cuts for hours with one matrix: V ≥ constant + slope · parameters.

    Parameters
    ----------
    parts : the hours
    """

    def __init__(self, parts: Sequence[HourPart]) -> None:
        self._constants: list[list[float]] = [[] for _ in parts]
        self._slopes: list[list[Array]] = [[] for _ in parts]
        self.renew(parts)

    def renew(self, parts: Sequence[HourPart]) -> None:
        """Columns and rows have come; cuts from before hold for them, too."""
        before = getattr(self, "parameters", [np.zeros(0, dtype=int) for _ in parts])
        self.parts = parts
        self.parameters = [np.unique(part.given.column) for part in parts]
        self._at = [np.searchsorted(of, part.given.column) for of, part in zip(self.parameters, parts, strict=True)]
        for k, slopes in enumerate(self._slopes):
            position = np.searchsorted(self.parameters[k], before[k])
            for i, slope in enumerate(slopes):
                slopes[i] = np.zeros(len(self.parameters[k]))
                slopes[i][position] = slope

    def add(self, solved: int, duals: Array) -> None:
        """Add the cut of a dual solution of one of the hours, to each of them where it says something."""
        first = self.parts[solved]
        duals = np.where(np.isinf(first.low), np.minimum(duals, 0.0), duals)
        duals = np.where(np.isinf(first.high), np.maximum(duals, 0.0), duals)
        priced = first.terms.transposed(duals, first.n)
        for k, part in enumerate(self.parts):
            cut = cut_of(part, duals, priced, cost_ratio(part, first))
            if cut is not None:
                constant, scaled = cut
                slope = -np.bincount(
                    self._at[k], part.given.value * scaled * duals[part.given.row], minlength=len(self.parameters[k])
                )
                self._constants[k].append(constant)
                self._slopes[k].append(slope)

    def best(self, k: int, given: Array) -> tuple[float, float, Array]:
        """(value there, constant, slope) of the cut that says most of an hour, for values of the master's columns."""
        constants, slopes = np.array(self._constants[k]), np.array(self._slopes[k])
        if not len(constants):
            return -np.inf, 0.0, np.zeros(len(self.parameters[k]))
        values = constants + slopes @ given[self.parameters[k]]
        i = int(values.argmax())
        return float(values[i]), float(constants[i]), slopes[i]


def cut_of(part: HourPart, duals: Array, priced: Array, scale: float) -> tuple[float, float] | None:
    """(constant, factor on the duals) of the cut of an hour; None where an infinite bound would be met.

    Parameters
    ----------
    duals : of rows, none of a side that has no bound
    priced : Σ over the rows of dual · value, of each column
    scale : factor on the duals to begin with: less where reduced costs would be below zero
    """
    open_above, open_below = np.isinf(part.upper), np.isinf(part.lower)
    reduced = part.costs - scale * priced
    off = open_above & (reduced < 0) & (part.costs > 0)
    if off.any():
        scale *= float((part.costs[off] / (scale * priced[off])).min())
        reduced = part.costs - scale * priced
    if (open_below & (reduced * part.unit > DUAL_TOLERANCE)).any():
        return None
    if (open_above & (reduced * part.unit < -DUAL_TOLERANCE)).any():
        return None
    at_columns = np.where(reduced > 0, part.lower, part.upper)
    none = np.isinf(at_columns) | (reduced == 0)
    of_columns = float((reduced[~none] * at_columns[~none]).sum())
    at_rows = np.where(duals > 0, part.low, part.high)
    used = duals != 0
    return scale * float((duals[used] * at_rows[used]).sum()) + of_columns, scale
