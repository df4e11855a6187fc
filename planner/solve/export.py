"""A plan's program as a file that any solver reads: in own units, with names that say what columns and rows are."""

from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from planner.errors import Finding, InputError
from planner.problem.decisions import Decisions
from planner.problem.problem import Problem
from planner.solve.interchangeable import reduced
from planner.solve.linear_program import LinearProgram
from planner.solve.program import Program
from planner.solve.search import Effort, Search
from planner.solve.whole_numbers import replicas_in_failures

ENDINGS = (".lp", ".mps")


def program_of(p: Problem, binding: Iterable[str], similar: Decisions | None = None) -> Program:
    """The program with some failures in all their hours, their replicas whole: built, its costs set, and not solved.

    Parameters
    ----------
    similar : a plan at hand: the placements in which it runs replicas are in the program
    """
    p = reduced(p, similar).p
    search = Search(p, Effort(), None, lambda stage, done, detail: None)
    for f in binding:
        if search.is_tested(f):
            for h in p.hours:
                search.enter((f, h))
    search.minimise()
    program = search.program
    for own in replicas_in_failures(program):
        program.integral[own.columns] = True
    return program


def check_ending(path: Path) -> None:
    """Find out before long work whether a program can be written to a file.

    Raises
    ------
    InputError
        when its name ends in nothing that PuLP writes
    """
    if path.suffix.lower() not in ENDINGS:
        fix = "name a file such as program.mps, or program.lp"
        raise InputError([Finding(str(path), f"a name that ends in {' or '.join(ENDINGS)}", repr(path.name), fix)])


def program_text(program: Program, ending: str) -> str:
    """A program as LP or MPS, whole numbers marked, costs in USD over the horizon.

    Columns are named by their decision and a number, rows by their rule and a number. What costs money whatever is
    decided is a column that is one: `always`.
    """
    lp = _as_pulp(program)
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"program{ending.lower()}"
        write = lp.writeLP if path.suffix == ".lp" else lp.writeMPS
        write(str(path))
        return path.read_text(encoding="utf-8")


def _as_pulp(program: Program) -> Any:
    """The program as a problem of PuLP, in own units."""
    own = LinearProgram()
    own.add_columns(
        np.append(program.lower, 1.0),
        np.append(program.upper, 1.0),
        np.ones(program.n + 1),
        np.append(program.integral, False),
    )
    own.costs = np.append(program.costs * program.scale, program.constant)
    for block in program.blocks:
        own.add_rows(block.low, block.high, block.terms, np.ones(len(block.low)))
    names, row_names = ["always"] * own.n, [""] * own.m
    for decision in program.owned:
        for column in decision.columns.tolist():
            names[column] = f"{decision.name}_{column}"
    for added in program.added:
        for row in added.at.tolist():
            row_names[row] = f"{added.rule}_{row}"
    lp, _, _ = own.as_pulp(integer=True, names=names, row_names=row_names)
    return lp
