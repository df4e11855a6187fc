"""HiGHS as a PuLP solver class that takes arrays: the instance of linear programs is kept between solves."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import highspy
import numpy as np
import pulp

from planner.interruption import noticed
from planner.problem.algebra import Array
from planner.solve.highs_instance import INFINITY, new_highs, run, set_option
from planner.solve.linear_program import LinearProgram, from_pulp
from planner.solve.stages import in_solver

OPTIONS = {
    # substitution in equations of two columns: with coefficients below 1e-6 HiGHS 1.16 has called optimal what was not,
    # as earlier releases do; those, with this rule off, call infeasible what is not: pyproject.toml leaves them out
    "presolve_rule_off": 1 << 9,
}
OPTIMAL = "optimal"
FEASIBLE = "feasible"
INFEASIBLE = "infeasible"
NOTHING = "nothing found"
Progress = Callable[[float, float], None]
DUAL, PRIMAL, INTERIOR_POINT = "dual simplex", "primal simplex", "interior point"
METHODS: dict[str, dict[str, Any]] = {
    DUAL: {"solver": "choose", "simplex_strategy": 1},
    PRIMAL: {"solver": "choose", "simplex_strategy": 4},
    INTERIOR_POINT: {"solver": "ipm"},
}
"""How a linear program is solved: by simplex from the last basis, or by an interior point method from nothing, which
ends in a basis, too."""
MISLED = 1e-5
"""Share by which the value of a solution may differ from what HiGHS says of it."""
FEWEST_SECONDS = 0.05
"""A solve has at least so long: with less HiGHS finds nothing."""


@dataclass(frozen=True)
class Answer:
    """What a solve came to, in the units of the program.

    Parameters
    ----------
    status : optimal, feasible (an end came first), infeasible or nothing found
    values, reduced_costs : of columns; duals : of rows; the last two of linear programs only
    objective, bound : value reached, and what no solution can beat
    """

    status: str
    values: Array | None
    objective: float
    bound: float
    reduced_costs: Array | None = None
    duals: Array | None = None
    nodes: int = 0


@dataclass(frozen=True)
class Ends:
    """When a solve ends before it is optimal.

    Parameters
    ----------
    gap_fraction : a relative gap at which an integer search may end
    most_nodes : nodes after which it ends; unlike a time limit this ends the same way every time
    seconds : time after which a solve ends; None: never
    target : an objective that is good enough to end an integer search
    progress : called with (best value so far or infinity, bound) of an integer search, whenever one of them moves
    by_interior_point : whether the first linear program of an integer search goes to an interior point method
    only_bound : whether a bound is wanted more than better values: neighbourhoods are not searched for them
    cutoff : an objective below which values are wanted: where an integer search proves that there are none, it is the
        bound, and the answer is infeasible
    bound_alone : whether no values are wanted: no program is solved for these alone
    restarts : whether an integer search may presolve anew at its root, with what it has fixed there
    """

    gap_fraction: float = 0.0
    most_nodes: int | None = None
    seconds: float | None = None
    target: float = -INFINITY
    progress: Progress | None = None
    by_interior_point: bool = False
    only_bound: bool = False
    cutoff: float = INFINITY
    bound_alone: bool = False
    restarts: bool = True


class KeptHiGHS(pulp.LpSolver):  # type: ignore[misc]
    """HiGHS as a PuLP solver that takes arrays, too: `linear` keeps its instance, and sends what is new or has changed.

    New columns and rows may be appended between solves; bounds and costs may change; old rows may not. Integer
    programs go to an instance of their own, with a start where there is one: nothing of another solve is left in it.
    """

    name = "KeptHiGHS"

    def __init__(self) -> None:
        super().__init__(mip=True, msg=False)
        self.highs: Any = None
        self.sent_blocks = 0
        self.costs, self.lower, self.upper = np.zeros(0), np.zeros(0), np.zeros(0)

    def available(self) -> bool:
        """HiGHS comes with the package."""
        return True

    def linear(self, lp: LinearProgram, seconds: float | None = None, method: str = DUAL) -> Answer:
        """Solve the linear program from where the last solve ended."""
        if self.highs is None:
            self.highs = new_highs(**OPTIONS)
        self.send(lp)
        until = INFINITY if seconds is None else self.highs.getRunTime() + seconds
        set_option(self.highs, "time_limit", until)
        if method == INTERIOR_POINT:
            self.highs.clearSolver()
        self._by(method)
        status = _run(self.highs)
        for other in (DUAL, PRIMAL, INTERIOR_POINT):
            if status != highspy.HighsModelStatus.kUnknown:
                break
            self.highs.clearSolver()  # a basis that led nowhere: once more from none
            self._by(other)
            status = _run(self.highs)
        return _answer(self.highs, lp, status, False)

    def fresh(self, lp: LinearProgram, ends: Ends, start: Array | None = None, presolve: bool = True) -> Answer:
        """Solve in an instance of its own, from a start where there is one (values of all columns).

        An integer program where columns are integral; a signal ends it, and is heeded afterwards. Where HiGHS says
        another value than its solution has, or none that is a number, it is asked again without the start, then without
        presolve; what it says of a bound then is not heeded either: seen in 1.16.

        Parameters
        ----------
        presolve : whether presolve is asked first: marginal values of a small program are nearer to each other without
        """
        attempts = [(None, True), (None, False)] if presolve else [(None, False)]
        for begin, is_presolved in [(start, presolve), *attempts] if start is not None else attempts:
            answer = self._fresh(lp, ends, begin, is_presolved)
            value = 0.0 if answer.values is None else float(lp.costs @ answer.values)
            # of what is no number nothing is true
            if answer.values is None or abs(value - answer.objective) <= MISLED * max(1.0, abs(value)):
                return _below(answer, ends.cutoff)
        return Answer(NOTHING, None, INFINITY, -INFINITY)

    def _fresh(self, lp: LinearProgram, ends: Ends, start: Array | None, presolve: bool) -> Answer:
        highs, is_mip = new_highs(**OPTIONS), bool(lp.integral.any())
        if not presolve:
            set_option(highs, "presolve", "off")
        highs.passModel(_model(lp))
        for option, value in (
            ("mip_rel_gap", ends.gap_fraction),
            ("mip_abs_gap", 0.0),
            ("mip_max_nodes", 2**31 - 1 if ends.most_nodes is None else ends.most_nodes),
            ("objective_target", ends.target),
            ("time_limit", INFINITY if ends.seconds is None else max(FEWEST_SECONDS, ends.seconds)),
        ):
            set_option(highs, option, value)
        if ends.by_interior_point:
            set_option(highs, "mip_lp_solver", "ipm")
        if ends.only_bound:
            set_option(highs, "mip_heuristic_run_rins", False)
            set_option(highs, "mip_heuristic_run_rens", False)
        if ends.bound_alone:
            set_option(highs, "mip_heuristic_effort", 0.0)
            set_option(highs, "mip_heuristic_run_root_reduced_cost", False)
        if not ends.restarts:
            set_option(highs, "mip_allow_restart", False)
        if ends.cutoff < INFINITY:
            set_option(highs, "objective_bound", ends.cutoff)
        if start is not None:
            solution = highspy.HighsSolution()
            solution.col_value = (start / lp.unit).tolist()
            highs.setSolution(solution)
        raised: list[BaseException] = []
        with noticed() as signals:
            if is_mip:
                _listen(highs, signals, raised, ends.progress)
            status = _run(highs)
        if raised:
            raise raised[0]
        return _answer(highs, lp, status, is_mip)

    def actualSolve(self, lp: Any, **_: Any) -> int:
        """Solve a PuLP problem from nothing."""
        program, columns, rows = from_pulp(lp)
        program.integral &= self.mip
        answer = self.fresh(program, Ends())
        sign = -1.0 if lp.sense == pulp.LpMaximize else 1.0
        for i, v in enumerate(columns):
            v.varValue = None if answer.values is None else float(answer.values[i])
            v.dj = None if answer.reduced_costs is None else sign * float(answer.reduced_costs[i])
        for i, row in enumerate(rows):
            row.pi = None if answer.duals is None else sign * float(answer.duals[i])
        status, solution = {
            OPTIMAL: (pulp.LpStatusOptimal, pulp.LpSolutionOptimal),
            FEASIBLE: (pulp.LpStatusOptimal, pulp.LpSolutionIntegerFeasible),
            INFEASIBLE: (pulp.LpStatusInfeasible, pulp.LpSolutionInfeasible),
        }.get(answer.status, (pulp.LpStatusNotSolved, pulp.LpSolutionNoSolutionFound))
        lp.assignStatus(status, solution)
        return int(status)

    def objective_with(self, lp: LinearProgram, rows: dict[int, float], columns: dict[int, float]) -> float | None:
        """The optimum of the last linear program with some upper bounds raised; None where there is none.

        A copy is solved, from the basis at hand: nothing of it is left behind.

        Parameters
        ----------
        rows, columns : position -> by how much, in its own unit
        """
        factors = np.concatenate([np.zeros(0), *(block.factor for block in lp.blocks)])
        copy = new_highs(**OPTIONS)
        copy.passModel(self.highs.getLp())
        copy.setBasis(self.highs.getBasis())
        for row, more in rows.items():
            _, lower, upper, _ = copy.getRow(row)
            copy.changeRowBounds(row, lower, upper + more * float(factors[row]))
        for column, more in columns.items():
            _, _, lower, upper, _ = copy.getCol(column)
            copy.changeColBounds(column, lower, upper + more / float(lp.unit[column]))
        solved = _run(copy) == highspy.HighsModelStatus.kOptimal
        return float(copy.getInfo().objective_function_value) if solved else None

    def _by(self, method: str) -> None:
        for option, value in METHODS[method].items():
            set_option(self.highs, option, value)

    def send(self, lp: LinearProgram) -> None:
        """Send columns and rows that are new, and bounds and costs that have changed."""
        old, n = len(self.lower), lp.n
        lower, upper, costs = lp.lower / lp.unit, lp.upper / lp.unit, lp.costs * lp.unit
        if n > old:
            none = np.zeros(0, dtype=np.int32)
            self.highs.addCols(n - old, costs[old:], lower[old:], upper[old:], 0, none, none, np.zeros(0))
            self.lower, self.upper = np.append(self.lower, lower[old:]), np.append(self.upper, upper[old:])
            self.costs = np.append(self.costs, costs[old:])
        changed = np.flatnonzero((lower != self.lower) | (upper != self.upper)).astype(np.int32)
        if len(changed):
            self.highs.changeColsBounds(len(changed), changed, lower[changed], upper[changed])
        moved = np.flatnonzero(costs != self.costs).astype(np.int32)
        if len(moved):
            self.highs.changeColsCost(len(moved), moved, costs[moved])
        self.lower, self.upper, self.costs = lower, upper, costs
        for block in lp.blocks[self.sent_blocks :]:
            low, high, begins, column, value = _scaled(lp, block)
            self.highs.addRows(len(low), low, high, len(column), begins, column, value)
        self.sent_blocks = len(lp.blocks)


def _run(highs: Any) -> Any:
    """The status of the model, solved: the time is the solver's."""
    with in_solver():
        return run(highs)


def _listen(highs: Any, signals: list[int], raised: list[BaseException], progress: Progress | None) -> None:
    """Let a signal, or what `progress` raises, end an integer search; say where its value and its bound stand."""
    said: list[tuple[float, float]] = []

    def look(event: Any) -> None:
        if signals or raised:
            event.interrupt()
        at = (event.data_out.mip_primal_bound, event.data_out.mip_dual_bound)
        if progress is None or raised or at in said:
            return
        said[:] = [at]
        try:
            progress(*at)
        except BaseException as error:  # nothing may pass through the solver's own frames
            raised.append(error)

    highs.cbMipInterrupt += look


def _scaled(lp: LinearProgram, block: Any) -> tuple[Array, Array, Array, Array, Array]:
    """(low, high, begins, columns, values) of a block of rows, as the solver sees them."""
    terms = block.terms
    value = terms.value * lp.unit[terms.column] * block.factor[terms.row]
    begins, column = block.begins().astype(np.int32), terms.column.astype(np.int32)
    return block.low * block.factor, block.high * block.factor, begins, column, value


def _model(lp: LinearProgram) -> Any:
    """The whole program as a model of HiGHS."""
    model = highspy.HighsLp()
    model.num_col_, model.num_row_ = lp.n, lp.m
    model.col_cost_, model.col_lower_, model.col_upper_ = lp.costs * lp.unit, lp.lower / lp.unit, lp.upper / lp.unit
    parts = [_scaled(lp, block) for block in lp.blocks]
    offsets = np.cumsum([0, *(len(part[3]) for part in parts)])
    begins = [part[2] + offset for part, offset in zip(parts, offsets, strict=False)]
    model.row_lower_ = np.concatenate([np.zeros(0), *(part[0] for part in parts)])
    model.row_upper_ = np.concatenate([np.zeros(0), *(part[1] for part in parts)])
    model.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    model.a_matrix_.start_ = np.concatenate([*begins, [offsets[-1]]]).astype(np.int32)
    model.a_matrix_.index_ = np.concatenate([np.zeros(0), *(part[3] for part in parts)]).astype(np.int32)
    model.a_matrix_.value_ = np.concatenate([np.zeros(0), *(part[4] for part in parts)])
    kinds = (highspy.HighsVarType.kContinuous, highspy.HighsVarType.kInteger)
    if lp.integral.any():
        model.integrality_ = [kinds[int(one)] for one in lp.integral]
    return model


def _below(answer: Answer, cutoff: float) -> Answer:
    """An answer to whether there is something below a cutoff: what a search came upon above it is none."""
    if cutoff == INFINITY or (answer.status in (OPTIMAL, FEASIBLE) and answer.objective <= cutoff):
        return answer
    if answer.status in (OPTIMAL, INFEASIBLE):
        return Answer(INFEASIBLE, None, INFINITY, cutoff, nodes=answer.nodes)
    return Answer(NOTHING, None, INFINITY, min(answer.bound, cutoff), nodes=answer.nodes)


def _answer(highs: Any, lp: LinearProgram, model_status: Any, is_mip: bool) -> Answer:
    kind, info = highspy.HighsModelStatus, highs.getInfo()
    bound = info.mip_dual_bound if is_mip else info.objective_function_value
    nodes = int(info.mip_node_count) if is_mip else 0
    ended = (kind.kObjectiveTarget, kind.kTimeLimit, kind.kSolutionLimit, kind.kIterationLimit, kind.kInterrupt)
    has_solution = info.primal_solution_status == highspy.SolutionStatus.kSolutionStatusFeasible
    if model_status == kind.kOptimal or (is_mip and model_status in ended and has_solution):
        solution = highs.getSolution()
        # a value is within its bounds, not within the solver's tolerance of them: nothing is sent to what is dead
        values = np.clip(np.array(solution.col_value) * lp.unit, lp.lower, lp.upper)
        status = OPTIMAL if model_status == kind.kOptimal else FEASIBLE
        if is_mip:
            return Answer(status, values, info.objective_function_value, bound, None, None, nodes)
        factors = np.concatenate([np.zeros(0), *(block.factor for block in lp.blocks)])
        reduced, duals = np.array(solution.col_dual) / lp.unit, np.array(solution.row_dual) * factors
        return Answer(status, values, info.objective_function_value, bound, reduced, duals, nodes)
    if model_status in (kind.kInfeasible, kind.kUnboundedOrInfeasible):
        return Answer(INFEASIBLE, None, INFINITY, INFINITY, nodes=nodes)
    return Answer(NOTHING, None, INFINITY, bound if is_mip else -INFINITY, nodes=nodes)
