"""Ways to the same linear program: ours, and those of peers. Each is timed from the problem to the optimum.

Building the problem from the study is in none of them: it is the same for all.
"""

from collections.abc import Callable, Iterable
from importlib.util import find_spec
from typing import Any

import numpy as np
import pulp

from benchmarks.measure import Measured, Timer
from benchmarks.studies import Size, generated
from planner.problem.arrays import Arrays, merged, unmerged
from planner.problem.build import build
from planner.problem.decisions import Vectors
from planner.problem.problem import Problem
from planner.problem.rules.costs import cost_usd
from planner.solve.columns import add_failure, add_purchase_rules, purchase_columns
from planner.solve.highs import DUAL, KeptHiGHS
from planner.solve.interchangeable import reduced
from planner.solve.linear_program import LinearProgram
from planner.solve.lp_bound import relax
from planner.solve.program import OPTIMAL, Program
from planner.solve.search import Block, Effort, Search
from planner.study.dependencies import NORMAL

Family = Callable[[str], Arrays]
"""Kind of states -> its arrays."""


def silent(stage: str, done: float | None, detail: str) -> None:
    """Progress that nobody looks at."""


# ------------------------------------------------------------------ the program
def entered(p: Problem, family: Family, blocks: Iterable[Block], solver: Any = None) -> Program:
    """The program of purchases, normal operation and some failures in their hours, all at once."""
    program, x, a = Program(solver), Vectors(), family(NORMAL)
    purchase_columns(a, program, x)
    add_failure(a, program, x, NORMAL)
    add_purchase_rules(a, program, x)
    for f, h in blocks:
        add_failure(family(f), program, x, f, h)
    program.minimise(cost_usd(a, x))
    return program


def every_block(p: Problem) -> list[Block]:
    """Every failure in every hour."""
    return [(f, h) for f in p.failures if f != NORMAL for h in p.hours]


def optimum(program: Program, limit_seconds: float | None, method: str = DUAL) -> float | None:
    """The optimum of a linear program; None when a time limit came first.

    Raises
    ------
    RuntimeError
        when none is found, and no limit was given
    """
    status = program.solve(limit_seconds, method)
    if status != OPTIMAL and limit_seconds is None:
        raise RuntimeError(f"the linear program ended {status}")
    return program.objective if status == OPTIMAL else None


def size_of(program: LinearProgram) -> dict[str, Any]:
    """How large a program is."""
    terms = sum(len(block.terms.value) for block in program.blocks)
    return {"columns": program.n, "rows": program.m, "terms": terms}


# ------------------------------------------------------------------ ours
def ours(size: Size, seed: int) -> Measured:
    """Failures are tested, and those that break enter, until none does."""
    p, timer = build(generated(size, seed=seed)), Timer()
    search = Search(reduced(p).p, Effort(), None, silent)
    value = relax(search)
    seconds, wall_seconds = timer.seconds(), timer.wall_seconds()
    facts = {"passes": search.passes, "blocks": sorted(search.blocks), "wall_seconds": wall_seconds}
    return Measured(value, seconds, facts={**size_of(search.program), **facts})


# ------------------------------------------------------------------ all at once, in arrays
def at_once(
    size: Size,
    seed: int,
    blocks: list[Block] | None,
    merge: bool,
    method: str = DUAL,
    limit_seconds: float | None = None,
) -> Measured:
    """Some failures at once (none named: all), merged as ours or each flow by itself, by a method of HiGHS."""
    p, timer = build(generated(size, seed=seed)), Timer()
    p = reduced(p).p if merge else p
    chosen = every_block(p) if blocks is None else blocks
    program = entered(p, merged(p) if merge else unmerged(p), chosen, KeptHiGHS())
    built = timer.seconds()
    value = optimum(program, limit_seconds, method)
    return Measured(value, timer.seconds(), facts={**size_of(program), "built_seconds": built})


# ------------------------------------------------------------------ PuLP
def pulp_monolith(size: Size, seed: int, merge: bool, limit_seconds: float | None = None) -> Measured:
    """All failures as a PuLP problem, solved by PuLP's own HiGHS."""
    p, timer = build(generated(size, seed=seed)), Timer()
    p = reduced(p).p if merge else p
    program = entered(p, merged(p) if merge else unmerged(p), every_block(p))
    lp, _, _ = program.as_pulp(integer=False)
    built = timer.seconds()
    lp.solve(pulp.HiGHS(msg=False, threads=1, timeLimit=limit_seconds))
    is_solved = lp.sol_status == pulp.LpSolutionOptimal
    value = pulp.value(lp.objective) * program.scale + program.constant if is_solved else None
    return Measured(value, timer.seconds(), facts={**size_of(program), "built_seconds": built})


# ------------------------------------------------------------------ linopy
def has_linopy() -> bool:
    """Whether linopy is installed."""
    return find_spec("linopy") is not None


def linopy_monolith(size: Size, seed: int, merge: bool, limit_seconds: float | None = None) -> Measured:
    """All failures as a linopy model, handed over to HiGHS directly."""
    import linopy  # noqa: F401  what importing takes is not measured

    p, timer = build(generated(size, seed=seed)), Timer()
    p = reduced(p).p if merge else p
    program = entered(p, merged(p) if merge else unmerged(p), every_block(p))
    model = as_linopy(program)
    built = timer.seconds()
    limit = {} if limit_seconds is None else {"time_limit": limit_seconds}
    status, _ = model.solve("highs", io_api="direct", threads=1, output_flag=False, **limit)
    value = float(model.objective.value) * program.scale + program.constant if status == "ok" else None
    return Measured(value, timer.seconds(), facts={**size_of(program), "built_seconds": built})


def as_linopy(program: LinearProgram) -> Any:
    """A linear program as a linopy model: one variable, and constraints of rows of one sense and about as many terms.

    linopy has rows of as many terms as the longest of their constraint: rows are sorted by powers of two.
    """
    import linopy
    import pandas as pd
    import xarray as xr

    model, unit, blocks = linopy.Model(), program.unit, program.blocks
    names = pd.RangeIndex(program.n, name="column")
    lower, upper = (xr.DataArray(bound / unit, coords=[names]) for bound in (program.lower, program.upper))
    x = model.add_variables(lower=lower, upper=upper, name="x")
    labels = x.labels.to_numpy()
    low = np.concatenate([block.low * block.factor for block in blocks])
    high = np.concatenate([block.high * block.factor for block in blocks])
    first = np.cumsum([0, *(len(block.low) for block in blocks)])
    row = np.concatenate([block.terms.row + at for block, at in zip(blocks, first, strict=False)])
    column = np.concatenate([block.terms.column for block in blocks])
    value = np.concatenate([block.terms.value * block.factor[block.terms.row] for block in blocks]) * unit[column]
    count = np.bincount(row, minlength=len(low))
    place = np.arange(len(row)) - (np.cumsum(count) - count)[row]
    sense = np.where(low == high, "=", np.where(np.isinf(low), "<=", ">="))
    width = np.ceil(np.log2(np.maximum(count, 1)))
    for kind in np.unique(sense):
        for each in np.unique(width[sense == kind]):
            rows = np.flatnonzero((sense == kind) & (width == each))
            at = np.full(len(low), -1)
            at[rows] = np.arange(len(rows))
            terms = np.flatnonzero(at[row] >= 0)
            shape = len(rows), int(count[rows].max())
            coefficients, variables = np.zeros(shape), np.full(shape, -1)
            coefficients[at[row[terms]], place[terms]] = value[terms]
            variables[at[row[terms]], place[terms]] = labels[column[terms]]
            index = pd.RangeIndex(len(rows), name="row")
            parts = {
                "coeffs": (("row", "_term"), coefficients),
                "vars": (("row", "_term"), variables),
                "const": (("row",), np.zeros(len(rows))),
            }
            left = linopy.LinearExpression(xr.Dataset(parts, coords={"row": index}), model)
            right = (high if kind == "<=" else low)[rows]
            model.add_constraints(left, str(kind), xr.DataArray(right, coords=[index]))
    model.add_objective((x * xr.DataArray(program.costs * unit, coords=[names])).sum())
    return model
