"""What no plan costs less than where utilisation goes by how many replicas run: the plans below a cutoff, ruled out.

A plan that costs less than a cutoff runs no more replicas of a placement in a state than the linear program has at the
most for that cost, and so many are filled no further than their number may be. With that the linear program costs more,
and once more the most is fewer. Where its replicas would still carry more than they may, by what matters, their number
is taken apart in ranges. What such a program costs at the least is what any plan costs, or the cutoff.

Source
    bound tightening by the objective: Gleixner, Berthold, Müller and Weltge, Journal of Global Optimization 67 (2017)
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from planner.problem.algebra import Array, Expr, Rows
from planner.problem.rules.formulas import is_normal
from planner.solve.by_number import Carried, Ranged, Row, ranges_up_to
from planner.solve.highs import PRIMAL, Answer, Ends, KeptHiGHS
from planner.solve.integer_program import LARGE_COLUMNS
from planner.solve.program import INFEASIBLE, INFINITY, OPTIMAL, Program

MATTERS = 0.001
"""Of the asked gap, what replicas that carry more than they may save at the least where ranges are to rule that out."""
ALL_MATTERS, FINER_FACTOR = 1e-5, 2.0
"""The same, and the last number of a range by that before its first, where ranges go up to the most of any plan."""
OFF = 1e-4
"""Replicas by which a linear program may miss the most that run."""
FEWEST_ROWS, TIGHTEN_WORK = 20, 500_000
"""Linear programs by which replicas are limited, of those first that save the most by carrying too much: so many at the
least, and columns times programs at the most."""
Key = tuple[tuple[tuple[int, float], ...], float]
"""(column, coefficient) of replicas that run, and those that run in any case"""


class BelowCutoff:
    """The plans that cost less than a cutoff.

    Parameters
    ----------
    carried : of the search
    cutoff_usd : the cutoff [USD over the horizon]
    """

    def __init__(self, carried: Carried, cutoff_usd: float) -> None:
        self.carried, self.cutoff_usd = carried, cutoff_usd
        self.most = {(s, e): carried.most[e, not is_normal(s)] for s, e in carried.reckoned}
        """replicas in a state by which it is reckoned what may be carried: of any plan, or what do all of the work"""
        self.caps: dict[Row, float] = {}
        """replicas in a state that no such plan has more than, of those for which there is such a number"""
        self.is_all_ranged = False
        """whether ranges of a bound go up to the most of any plan where there is no such number; else there are none"""

    def tighten(self, seconds: float | None) -> bool:
        """Lower the most replicas of each placement in each state; whether any plan remains, as far as it is seen.

        Parameters
        ----------
        seconds : for each linear program; None: as many as it takes
        """
        with self.carried.filled_as(self.most):
            program = self._program()
            if program.solve(seconds) == INFEASIBLE:
                return False
            saved, known = self._saved_by_too_much(seconds), dict[Key, float]()
            rows = dict[Row, Expr]()
            for s, runs, _, several in self.carried.chosen():
                rows |= {(s, self.carried.p.placements[e]): runs[np.array([e])] for e in several}
            worst = sorted((row for row in rows if saved.get(row, 0.0) > 0), key=lambda row: (-saved[row], row))
            for row in worst:
                key = key_of(rows[row])
                if key not in known and len(known) < max(FEWEST_ROWS, TIGHTEN_WORK // program.n):
                    known[key] = self._most_running(program, rows[row], seconds)
        for row, runs in rows.items():
            most = known.get(key_of(runs), INFINITY)
            if most < INFINITY:
                cap = max(1.0, float(np.floor(most + float(runs.constant[0]) + OFF * max(1.0, most / 100.0))))
                self.caps[row] = min(cap, self.caps.get(row, INFINITY))
                self.most[row] = min(cap, self.most[row])
        return True

    def _program(self) -> Program:
        """The program of all that costs less than the cutoff, with nothing whole."""
        every = self.carried.program
        program = every.extended()
        program.solver = KeptHiGHS() if isinstance(every.solver, KeptHiGHS) else every.solver
        at = np.flatnonzero(every.costs)
        cost = Expr(np.zeros(len(at), dtype=int), at, every.costs[at], np.zeros(1))
        program.add("costs_less", [Rows([("cutoff",)], (), cost, "<=", every.scaled(self.cutoff_usd))], as_rows=True)
        program.costs = np.zeros(program.n)
        return program

    def _most_running(self, program: Program, runs: Expr, seconds: float | None) -> float:
        """Replicas that run at the most in a linear program, beside their constant; infinity where it is not known."""
        program.costs = np.zeros(program.n)
        program.costs[runs.column] = -runs.value
        solved = program.solve(seconds, PRIMAL) == OPTIMAL
        return -float(program.costs @ program.values) if solved else INFINITY

    def bound(
        self, integral: Array, gap_fraction: float, nodes: int, seconds: float | None, cutoff_usd: float
    ) -> Answer:
        """What no plan costs less than, as far as nodes go; infeasible: none costs less than the cutoff.

        Parameters
        ----------
        integral : columns of the search that are whole
        gap_fraction : that was asked for
        cutoff_usd : no more than that of these plans
        """
        with self.carried.filled_as(self.most):
            saved = self._saved_by_too_much(seconds)
            least = (ALL_MATTERS if self.is_all_ranged else MATTERS) * gap_fraction * abs(self.cutoff_usd)
            program = self._with_ranges({row: usd for row, usd in saved.items() if usd > least})
            program.integral = program.integral.copy()
            program.integral[: len(integral)] = integral
            cutoff = program.scaled(min(cutoff_usd, self.cutoff_usd))
            by_interior_point = self.carried.program.n > LARGE_COLUMNS
            # with ranges of all, restarts take half as long again as the root for a ten-thousandth of bound; after one
            # HiGHS 1.16 has said a bound 2 % above that of other seeds and cutoffs: not to be believed
            restarts = not self.is_all_ranged
            ends = Ends(0.0, nodes, seconds, -INFINITY, None, by_interior_point, True, cutoff, True, restarts)
            answer = program.answer(ends)
        return replace(answer, values=None)

    def _saved_by_too_much(self, seconds: float | None) -> dict[Row, float]:
        """What is saved where replicas of a linear program carry more than so many may [USD over the horizon]."""
        carried = self.carried
        solver = carried.program.solver
        # what a kept instance was sent has the most of any plan: it goes on from where the linear program ended
        is_as_sent = self.is_all_ranged and not self.caps
        program = carried.program.with_another(None if isinstance(solver, KeptHiGHS) and not is_as_sent else solver)
        if program.solve(seconds) != OPTIMAL:
            return {}
        usd, saved = carried.usd_per_work(program), dict[Row, float]()
        for s, runs, work in carried.running(program.values):
            may = carried.waiting.largest(not is_normal(s), carried.p.placements, np.maximum(1.0, runs).tolist()) * runs
            for e in np.flatnonzero(work > may).tolist():
                row = s, carried.p.placements[e]
                if row in self.most:
                    saved[row] = usd[row] * float(work[e] - may[e])
        return saved

    def _with_ranges(self, rows: Mapping[Row, float]) -> Program:
        """The program with ranges of the replicas of some rows: what runs alike in several states has the same."""
        carried = self.carried
        program, ranged = carried.program.extended(), dict[tuple[int, Key], Ranged]()
        for s, runs, work, several in carried.chosen():
            of_state = dict[int, Ranged]()
            for e in several:
                name = carried.p.placements[e]
                if (s, name) not in rows or not (self.is_all_ranged or (s, name) in self.caps):
                    continue
                its = runs[np.array([e])]
                key = e, key_of(its)
                if key not in ranged and (s, name) in self.caps:
                    low, high = ranges_up_to(self.caps[s, name])
                    ranged[key] = carried.add_ranges(program, s, e, runs, low, high, high)
                elif key not in ranged:
                    low, high = ranges_up_to(carried.most_of(name), FINER_FACTOR)
                    ranged[key] = carried.add_ranges(program, s, e, runs, low, high, None)
                of_state[e] = ranged[key]
            if of_state:
                carried.add_lines(program, of_state, s, work)
        return program


def key_of(runs: Expr) -> Key:
    """What replicas run by, of one placement in a state."""
    return tuple(sorted(zip(runs.column.tolist(), runs.value.tolist(), strict=True))), float(runs.constant[0])
