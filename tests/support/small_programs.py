"""Programs of random studies with the failures that bind in them, and by how much values miss such a program."""

import numpy as np
from studies import beset_study, random_study

from planner.errors import NoPlan
from planner.problem.build import build
from planner.solve.lp_bound import relax
from planner.solve.program import Program
from planner.solve.search import Effort, Search
from planner.study.records.study import Study

SEEDS = [*range(10), 27]


def study_of(seed: int) -> Study:
    """Of every second seed one with limits of all kinds."""
    return beset_study(seed) if seed % 2 else random_study(seed, "small")


def program_of(seed: int) -> Program | None:
    """The program with the failures that bind, solved; None: there is no plan."""
    search = Search(build(study_of(seed)), Effort(), None, lambda stage, done, detail: None)
    try:
        relax(search)
    except NoPlan:
        return None
    return search.program


def off(program: Program, values: np.ndarray) -> float:
    """By how much values miss a row or a bound of a program at the most, beside the size of the row."""
    misses = [np.maximum(program.lower - values, values - program.upper).max(initial=0.0)]
    for block in program.blocks:
        at, size = block.terms.at(values) - block.terms.constant, np.maximum(1.0, 1.0 / block.factor)
        misses.append((np.maximum(block.low - at, at - block.high) / size).max(initial=0.0))
    return float(max(misses))
