"""A program with bounds and whole columns of one's own, solved by fresh instances: nothing is left of another solve."""

import numpy as np

from planner.problem.algebra import Array, Key
from planner.solve.fewer_routes import with_fewer_routes
from planner.solve.highs import Answer, Ends, Progress
from planner.solve.linear_program import INFINITY
from planner.solve.program import Program

LARGE_COLUMNS = 10_000
"""Programs beyond are large: their first linear program goes to an interior point method (a quarter of simplex's time,
on the full inventory), they are repaired from below, and windows stand for all that is near."""


class IntegerProgram:
    """A view of a program, to be renewed when failures have entered it.

    Parameters
    ----------
    lower, upper : bounds of the columns, in their own units
    integral : which columns are whole numbers always
    lp_values : values of the columns in the last linear solve of the program
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.renew()
        self.lp_values = program.values

    def renew(self) -> None:
        """Take up the columns and rows that have entered the program since."""
        self.lower, self.upper = self.program.lower, self.program.upper
        self.integral = self.program.integral

    def columns(self, name: str) -> tuple[list[Key], Array]:
        """Keys and positions of the columns of a decision; what is known beforehand has none."""
        keys: list[Key] = []
        positions = [np.zeros(0, dtype=int)]
        for own in self.program.owned:
            if own.name == name:
                keys += [(*own.of[i], *own.scope) for i in own.elements.tolist()]
                positions.append(own.columns)
        return keys, np.concatenate(positions)

    def value_usd(self, values: Array) -> float:
        """The objective at some values of the columns [USD]."""
        return self.program.value_of(values)

    def hold(self, values: Array) -> None:
        """Leave the program at some values: purchases and prices are read off it."""
        self.program.values = values
        self.program.objective = self.value_usd(values)

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
        """Solve by an instance of its own.

        Parameters
        ----------
        lower, upper : bounds in the place of the program's own; None: these
        integral : which columns are to be whole; None: none, a linear program
        start : values of all columns from which an integer search starts; not all solvers take one
        gap_fraction, most_nodes, seconds, good_enough_usd : what ends an integer search, whichever comes first
        only_bound, cutoff_usd, bound_alone : see `Ends`
        fewer_routes : whether streams have fewer routes: see `with_fewer_routes`; there is no bound then
        """
        program = self.program
        is_all = lower is None and upper is None
        target = -INFINITY if good_enough_usd is None else program.scaled(good_enough_usd)
        cutoff = program.scaled(cutoff_usd)
        kept = program.lower, program.upper, program.integral
        program.lower = program.lower if lower is None else lower
        program.upper = program.upper if upper is None else upper
        program.integral = np.zeros(program.n, dtype=bool) if integral is None else integral
        try:
            by_interior_point = is_all and program.n > LARGE_COLUMNS
            ends = Ends(
                gap_fraction, most_nodes, seconds, target, progress, by_interior_point, only_bound, cutoff, bound_alone
            )
            if fewer_routes:
                return with_fewer_routes(program, ends, start)
            return program.answer(ends, start)
        finally:
            program.lower, program.upper, program.integral = kept
