"""A PuLP solver class that hands a problem to HiGHS as arrays and keeps the instance between solves."""

from collections.abc import Mapping
from typing import Any

import highspy
import numpy as np
import pulp

from planner.solve.highs_instance import INFINITY, new_highs, run, set_option

OPTIONS = {
    # measured on the example study: less heuristic effort and no symmetry detection take a fifth off
    "mip_heuristic_effort": 0.02,
    "mip_detect_symmetry": False,
    # substitution in equations of two columns: with coefficients below 1e-6 HiGHS 1.16 has called optimal what was not,
    # as earlier releases do; those, with this rule off, call infeasible what is not: pyproject.toml leaves them out
    "presolve_rule_off": 1 << 9,
}


class KeptHiGHS(pulp.LpSolver):  # type: ignore[misc]
    """HiGHS with a kept instance: `solve` sends everything, `resolve` sends what is new or has changed.

    Columns and rows are taken in the order of `problem.columns` and `problem.rows` where the problem has these lists
    (PuLP's own order of columns is by name and costs a scan of every row).
    Columns are sent in the units of `problem.units` (column -> unit), rows times their `problem.factors`, where it has
    these: this is the one place where numbers are scaled. Values, bounds and duals of the problem are in its own units.
    New columns and rows may be appended between solves; bounds, costs and
    integrality of old columns may change; old rows may not.

    Parameters
    ----------
    gap_fraction : a relative gap at which a search may end
    most_nodes : nodes after which a search ends; unlike a time limit this ends the same way every time
    seconds : time after which a solve ends; None: never

    Before a solve `target` may be set: an objective that is good enough to end an integer search.
    """

    name = "KeptHiGHS"

    def __init__(self, gap_fraction: float = 0.0, most_nodes: int | None = None, seconds: float | None = None) -> None:
        super().__init__(mip=True, msg=False)
        self.gap_fraction, self.most_nodes, self.seconds = gap_fraction, most_nodes, seconds
        self.highs: Any = None
        self.integer = True
        self.target = -INFINITY
        self.bound = -INFINITY

    def available(self) -> bool:
        """HiGHS comes with the package."""
        return True

    def actualSolve(self, lp: Any, **_: Any) -> int:
        """Send the whole problem to a new instance and solve it."""
        self.highs = new_highs(**OPTIONS)
        self.index: dict[Any, int] = {}
        self.sent_rows = 0
        self.objective: Any = None
        self.costs = np.zeros(0)
        self.lower = np.zeros(0)
        self.upper = np.zeros(0)
        self.integral = np.zeros(0, dtype=bool)
        self.units = np.zeros(0)
        self.factors = np.zeros(0)
        return self.actualResolve(lp)

    def actualResolve(self, lp: Any, **_: Any) -> int:
        """Send what is new or has changed, and solve from where the last solve ended."""
        if self.highs is None:
            return self.actualSolve(lp)
        columns = lp.columns if hasattr(lp, "columns") else lp.variables()
        self._send_columns(lp, columns)
        self._send_rows(lp)
        self._set_options()
        if self.integral.any():
            # what is left of the last solve would be a start, and with one HiGHS 1.15 has called optimal what was not
            self.highs.clearSolver()
        status = run(self.highs)
        if status == highspy.HighsModelStatus.kUnknown:
            # a basis that led nowhere: once more from none
            self.highs.clearSolver()
            status = run(self.highs)
        return self._read(lp, columns, status)

    def objective_with(self, rows: Mapping[int, float], columns: Mapping[int, float]) -> float | None:
        """The optimum of the last linear program with some upper bounds raised; None where there is none.

        A copy is solved, from the basis at hand: nothing of it is left behind.

        Parameters
        ----------
        rows, columns : number of a row or column, in the order in which they were sent -> by how much, in its own unit
        """
        copy = new_highs(**OPTIONS)
        copy.passModel(self.highs.getLp())
        copy.setBasis(self.highs.getBasis())
        factors = getattr(self, "factors", None)
        for row, more in rows.items():
            change = more if factors is None else more * float(factors[row])
            _, lower, upper, _ = copy.getRow(row)
            copy.changeRowBounds(row, lower, upper + change)
        for column, more in columns.items():
            _, _, lower, upper, _ = copy.getCol(column)
            copy.changeColBounds(column, lower, upper + more)
        solved = run(copy) == highspy.HighsModelStatus.kOptimal
        return float(copy.getInfo().objective_function_value) if solved else None

    def _send_columns(self, lp: Any, columns: list[Any]) -> None:
        old, n = len(self.index), len(columns)
        lower = np.array([-INFINITY if v.lowBound is None else v.lowBound for v in columns], dtype=float)
        upper = np.array([INFINITY if v.upBound is None else v.upBound for v in columns], dtype=float)
        integral = np.array([self.integer and v.cat == pulp.LpInteger for v in columns], dtype=bool)
        if n > old:
            given = getattr(lp, "units", {})
            more = np.array([given.get(v, 1.0) for v in columns[old:]], dtype=float)
            self.units = np.concatenate([self.units, more])
        lower, upper = lower / self.units, upper / self.units
        if n > old:
            none = np.zeros(0, dtype=np.int32)
            self.highs.addCols(n - old, np.zeros(n - old), lower[old:], upper[old:], 0, none, none, np.zeros(0))
            self.index.update((column, i) for i, column in enumerate(columns[old:], old))
            grown = np.zeros(n - old)
            self.costs = np.concatenate([self.costs, grown])
            self.lower = np.concatenate([self.lower, lower[old:]])
            self.upper = np.concatenate([self.upper, upper[old:]])
            self.integral = np.concatenate([self.integral, grown.astype(bool)])
        changed = np.flatnonzero((lower != self.lower) | (upper != self.upper)).astype(np.int32)
        if len(changed):
            self.highs.changeColsBounds(len(changed), changed, lower[changed], upper[changed])
        switched = np.flatnonzero(integral != self.integral).astype(np.int32)
        if len(switched):
            self.highs.changeColsIntegrality(len(switched), switched, integral[switched].astype(np.uint8))
        self.lower, self.upper, self.integral = lower, upper, integral
        if lp.objective is not self.objective or n > old:
            costs = np.zeros(n)
            for column, coefficient in (lp.objective or {}).items():
                costs[self.index[column]] = coefficient
            costs *= self.units
            moved = np.flatnonzero(costs != self.costs).astype(np.int32)
            if len(moved):
                self.highs.changeColsCost(len(moved), moved, costs[moved])
            self.costs, self.objective = costs, lp.objective
            self.sign = -1.0 if lp.sense == pulp.LpMaximize else 1.0
            if self.sign < 0:
                self.highs.changeObjectiveSense(highspy.ObjSense.kMaximize)

    def _send_rows(self, lp: Any) -> None:
        new = self._rows(lp)[self.sent_rows :]
        if not new:
            return
        row_starts: list[int] = []
        indices: list[int] = []
        values: list[float] = []
        lower: list[float] = []
        upper: list[float] = []
        for row in new:
            row_starts.append(len(indices))
            indices.extend(self.index[column] for column in row)
            values.extend(row.values())
            rhs = -row.constant
            lower.append(rhs if row.sense in (pulp.LpConstraintGE, pulp.LpConstraintEQ) else -INFINITY)
            upper.append(rhs if row.sense in (pulp.LpConstraintLE, pulp.LpConstraintEQ) else INFINITY)
        at = np.array(indices, dtype=np.int32)
        begins = np.array(row_starts, dtype=np.int32)
        given = getattr(lp, "factors", None)
        factors = np.array(given[self.sent_rows :]) if given is not None else np.ones(len(new))
        each = np.repeat(factors, np.diff(begins, append=len(at)))
        self.highs.addRows(
            len(new),
            np.array(lower) * factors,
            np.array(upper) * factors,
            len(at),
            begins,
            at,
            np.array(values) * self.units[at] * each,
        )
        self.factors = np.concatenate([self.factors, factors])
        self.sent_rows += len(new)

    @staticmethod
    def _rows(lp: Any) -> list[Any]:
        return lp.rows if hasattr(lp, "rows") else list(lp.constraints())

    def _set_options(self) -> None:
        # options persist between solves: every one that is ever set is set each time
        nodes = 2**31 - 1 if self.most_nodes is None else self.most_nodes
        for option, value in (
            ("mip_rel_gap", self.gap_fraction),
            ("mip_abs_gap", 0.0),
            ("mip_max_nodes", nodes),
            ("objective_target", self.target),
            ("time_limit", INFINITY if self.seconds is None else self.highs.getRunTime() + self.seconds),
        ):
            set_option(self.highs, option, value)

    def _read(self, lp: Any, columns: list[Any], model_status: Any) -> int:
        kind = highspy.HighsModelStatus
        info = self.highs.getInfo()
        is_mip = bool(self.integral.any())
        limits = (kind.kObjectiveTarget, kind.kTimeLimit, kind.kSolutionLimit, kind.kIterationLimit, kind.kInterrupt)
        has_solution = info.primal_solution_status == highspy.SolutionStatus.kSolutionStatusFeasible
        self.bound = info.mip_dual_bound if is_mip else info.objective_function_value
        if model_status == kind.kOptimal or (model_status in limits and has_solution and is_mip):
            solution = self.highs.getSolution()
            # a value is within its bounds, not within the solver's tolerance of them: nothing is sent to what is dead
            values = np.clip(np.array(solution.col_value), self.lower, self.upper) * self.units
            for column, value in zip(columns, values.tolist(), strict=True):
                column.varValue = value
            if not is_mip:
                for column, dual in zip(columns, (np.array(solution.col_dual) / self.units).tolist(), strict=True):
                    column.dj = dual
                for row, dual in zip(
                    self._rows(lp), (np.array(solution.row_dual) * self.factors).tolist(), strict=True
                ):
                    row.pi = dual
            status = pulp.LpStatusOptimal
            solution_status = (
                pulp.LpSolutionOptimal if model_status == kind.kOptimal else pulp.LpSolutionIntegerFeasible
            )
        elif model_status in (kind.kInfeasible, kind.kUnboundedOrInfeasible):
            self.bound = INFINITY
            status, solution_status = pulp.LpStatusInfeasible, pulp.LpSolutionInfeasible
        elif model_status == kind.kUnbounded:
            status, solution_status = pulp.LpStatusUnbounded, pulp.LpSolutionUnbounded
        else:
            status, solution_status = pulp.LpStatusNotSolved, pulp.LpSolutionNoSolutionFound
        lp.assignStatus(status, solution_status)
        return int(status)
