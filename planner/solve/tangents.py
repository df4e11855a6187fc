"""Plans by how many replicas run: a program in which each placement is filled no further than its number may be.

What n replicas carry grows faster than n, and each one more carries more than the one before: a line that touches it at
some number is nowhere above it, exact at that number and nearly so beside it. A column says whether any runs, as the
line is below zero where few do. At the limit beside the formula what is carried bends the other way: there the
program's own rows hold, and what is too full nevertheless the tests of whole numbers find.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from planner.problem.algebra import Array, Expr, Rows, numbers, stacked
from planner.problem.problem import most_machines
from planner.problem.rules.formulas import is_normal
from planner.problem.waiting import Waiting
from planner.solve.below_cutoff import Key, key_of
from planner.solve.by_number import Carried, Row
from planner.solve.highs import Answer, Ends, Progress
from planner.solve.integer_program import IntegerProgram
from planner.solve.program import INFINITY, Program

ANY = 1e-6
"""Replicas from which any run."""


def tangents(
    waiting: Waiting, in_failure: bool, placements: Sequence[str], touched: Sequence[float]
) -> tuple[Array, Array]:
    """(slope, constant) of the line that touches what replicas of each placement carry, at some number of them.

    Formula
        slope = (carried(n + 1) - carried(n - 1)) / 2, of one carried(2) - carried(1)
        constant = carried(n) - slope · n, zero at the most
        where what n carry is convex no number is above the line
    """
    n = np.asarray(touched, dtype=float)

    def carried(replicas: Array) -> Array:
        return np.asarray(waiting.largest(in_failure, placements, replicas.tolist()) * replicas)

    here, more = carried(n), carried(n + 1)
    slope = np.where(n > 1, (more - carried(np.maximum(1.0, n - 1))) / 2, more - here)
    return slope, np.minimum(0.0, here - slope * n)


@dataclass(frozen=True)
class BelowTangents:
    """A program below tangents.

    Parameters
    ----------
    program : that of the search, and tangents beside its rows
    runs : replicas of which it matters whether any run
    any_run : positions of the columns that say so
    """

    program: Program
    runs: Expr
    any_run: Array

    def solve(self, integral: Array, lower: Array, upper: Array, ends: Ends, start: Array | None) -> Answer:
        """The answer within bounds of the columns that the search has, in these columns.

        Parameters
        ----------
        integral, lower, upper, start : of these columns
        """
        program, many = self.program, len(lower)
        program.integral[:many] = integral
        program.lower[:many], program.upper[:many] = lower, upper
        lifted_lower, lifted_upper = np.zeros(program.n), np.zeros(program.n)
        lifted_lower[:many], lifted_upper[:many] = lower, upper
        program.lower[self.any_run] = np.asarray(numbers(self.runs, lifted_lower)) > ANY
        program.upper[self.any_run] = np.asarray(numbers(self.runs, lifted_upper)) > ANY
        if start is not None:
            lifted = np.zeros(program.n)
            lifted[:many] = start
            lifted[self.any_run] = np.asarray(numbers(self.runs, lifted)) > ANY
            start = lifted
        answer = program.answer(ends, start)
        return answer if answer.values is None else replace(answer, values=answer.values[:many])


def below_tangents(carried: Carried, touched: Mapping[Row, float]) -> BelowTangents:
    """The program of a search below tangents that touch what replicas carry at some numbers."""
    p, program = carried.p, carried.program.extended()
    program.lower, program.upper = program.lower.copy(), program.upper.copy()
    program.integral = program.integral.copy()
    of_runs = dict[Key, Expr]()
    all_runs = list[Expr]()
    for s, runs, work, several in carried.chosen():
        names = [p.placements[e] for e in several]
        slope, constant = tangents(carried.waiting, not is_normal(s), names, [touched[s, e] for e in names])
        any_run = []
        for e, name in zip(several, names, strict=True):
            its = runs[np.array([e])]
            key = key_of(its)
            if key not in of_runs:
                of_runs[key] = program.columns(np.ones(1, dtype=bool), integral=True)
                program.upper[of_runs[key].column] = 1.0
                all_runs.append(its)
                most = most_machines(p, p.pool_of[name]) / p.machines_per_replica[name] + 1.0
                program.add("any_run", [Rows([(name,)], (s,), its, "<=", most * of_runs[key])], as_rows=True)
            any_run.append(of_runs[key])
        below = slope * runs[np.array(several)] + constant * stacked(any_run)
        rows = Rows([(e,) for e in names], (s,), work[np.array(several)], "<=", below)
        program.add("replicas_carry_by_tangents", [rows], as_rows=True)
    positions = np.array([column.column[0] for column in of_runs.values()], dtype=int)
    return BelowTangents(program, stacked(all_runs), positions)


class IntegerByNumber(IntegerProgram):
    """A view of the program in which all that is found keeps to what so many replicas carry, as far as it says.

    Parameters
    ----------
    as_reckoned : whether each placement is filled as far as the number may be that is reckoned with, rather than below
        a tangent: without further columns, and fuller than it may be where fewer run
    """

    def __init__(self, carried: Carried) -> None:
        self.carried, self.as_reckoned = carried, False
        self._made: tuple[int, dict[Row, float], BelowTangents] | None = None
        super().__init__(carried.program)

    def renew(self) -> None:
        """Take up the columns and rows that have entered the program since."""
        self.carried.renew()
        super().renew()

    def solve(
        self,
        lower: Array | None = None,
        upper: Array | None = None,
        integral: Array | None = None,
        start: Array | None = None,
        gap_fraction: float = 0.0,
        most_nodes: int | None = None,
        seconds: float | None = None,
        good_enough_usd: float | None = None,
        progress: Progress | None = None,
        only_bound: bool = False,
        cutoff_usd: float = INFINITY,
        bound_alone: bool = False,
        fewer_routes: bool = False,
    ) -> Answer:
        """As that of a program without, by all routes in any case; its bound is none for all plans."""
        if self.as_reckoned:
            with self.carried.filled_as(self.carried.reckoned):
                return super().solve(
                    lower,
                    upper,
                    integral,
                    start,
                    gap_fraction,
                    most_nodes,
                    seconds,
                    good_enough_usd,
                    progress,
                    only_bound,
                    cutoff_usd,
                    bound_alone,
                    fewer_routes,
                )
        program = self.program
        target = -INFINITY if good_enough_usd is None else program.scaled(good_enough_usd)
        cutoff = program.scaled(cutoff_usd)
        ends = Ends(gap_fraction, most_nodes, seconds, target, progress, False, only_bound, cutoff, bound_alone)
        return self._below_tangents().solve(
            np.zeros(program.n, dtype=bool) if integral is None else integral,
            self.lower if lower is None else lower,
            self.upper if upper is None else upper,
            ends,
            start,
        )

    def _below_tangents(self) -> BelowTangents:
        """That of the numbers that are reckoned with now: made anew where these or the program have changed."""
        made = self._made
        if made is None or made[0] != self.program.m or made[1] != self.carried.reckoned:
            reckoned = dict(self.carried.reckoned)
            self._made = made = self.program.m, reckoned, below_tangents(self.carried, reckoned)
        return made[2]
