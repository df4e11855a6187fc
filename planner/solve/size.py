"""How large a study's program is: what was merged, what entered, and what its memory grows with."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from planner.problem.arrays import Arrays, merged, of_tests, unmerged
from planner.problem.decisions import Decisions
from planner.problem.problem import Problem
from planner.solve.interchangeable import reduced
from planner.solve.program import Program
from planner.solve.search import Effort, Search
from planner.study.dependencies import NORMAL

TERM_BYTES = 750
"""Memory of a term, a number in a row, while the linear program is solved: as measured on programs of 100,000 and of
300,000 terms; 150 of it are there as soon as it is built."""


@dataclass(frozen=True)
class Merged:
    """Flows and edges of one kind of states, each by itself and merged; of failures: the mean over them."""

    what: str
    flows: float
    edges: float
    merged_flows: float
    merged_edges: float

    @property
    def factor(self) -> float:
        """Edges for one that is merged."""
        return self.edges / self.merged_edges if self.merged_edges else 1.0


@dataclass(frozen=True)
class Block:
    """Columns, rows and terms that a part of the program has."""

    what: str
    columns: int
    rows: int
    terms: int


@dataclass(frozen=True)
class SizeOfProgram:
    """How large a program is.

    Parameters
    ----------
    merged : of normal operation, a failure in the mean, and the tests
    blocks : the program's parts: purchases and normal operation, then each binding failure in all its hours
    failures, dominated : how many failures there are, and how many of them harder ones cover
    same_priced : how many priced failures differ in nothing from another, and are one with it
    placements, dominated_placements : how many placements there are, and how many of them others cover
    monolith_columns : columns if all failures entered, each as large as a binding one in the mean; 0: none is binding
    """

    merged: tuple[Merged, ...]
    blocks: tuple[Block, ...]
    failures: int
    dominated: int
    same_priced: int
    placements: int
    dominated_placements: int
    monolith_columns: int

    @property
    def program(self) -> Block:
        """All of the program."""
        columns, rows, terms = (sum(getattr(b, name) for b in self.blocks) for name in ("columns", "rows", "terms"))
        return Block("the program", columns, rows, terms)

    @property
    def mib(self) -> float:
        """Memory of the program at its end, in arrays and in a solver at work on its linear program, roughly [MiB]."""
        return self.program.terms * TERM_BYTES / 2**20


def size_of(p: Problem, binding: Iterable[str], similar: Decisions | None = None) -> SizeOfProgram:
    """The size of the program with some failures, in all their hours: built once more, and not solved.

    Parameters
    ----------
    similar : a plan at hand: the placements in which it runs replicas are in the program
    """
    smaller = reduced(p, similar)
    p = smaller.p
    search = Search(p, Effort(), None, lambda stage, done, detail: None)
    blocks = [_block("purchases and normal operation", search.program, ())]
    for f in binding:
        if search.is_tested(f):
            for h in p.hours:
                search.enter((f, h))
            blocks.append(_block(f, search.program, blocks))
    binding_blocks = blocks[1:]
    failures = len(p.failures) - 1
    others = failures - len(binding_blocks)
    mean = sum(block.columns for block in binding_blocks) / len(binding_blocks) if binding_blocks else 0.0
    return SizeOfProgram(
        _merged(p),
        tuple(blocks),
        len(smaller.asked.failures) - 1,
        len(search.dominated),
        len(smaller.failures),
        len(smaller.asked.placements),
        len(smaller.placements),
        round(search.program.n + others * mean) if binding_blocks else 0,
    )


def _block(what: str, program: Program, before: Iterable[Block]) -> Block:
    """What a program has beyond some parts."""
    before = tuple(before)
    terms = sum(len(block.terms.value) for block in program.blocks)
    return Block(
        what,
        program.n - sum(block.columns for block in before),
        program.m - sum(block.rows for block in before),
        terms - sum(block.terms for block in before),
    )


def _merged(p: Problem) -> tuple[Merged, ...]:
    """What is merged in each kind of states."""
    single, family = unmerged(p), merged(p)
    failures = [f for f in p.failures if f != NORMAL]
    every = [_counted("", single(f), family(f)) for f in failures]
    rows = [_counted("normal operation", single(NORMAL), family(NORMAL))]
    if every:
        means = (float(np.mean([getattr(one, name) for one in every])) for name in NUMBERS)
        rows.append(Merged("a failure, in the mean", *means))
        rows.append(_counted("tests of failures", of_tests(p, merge=False), of_tests(p)))
    return tuple(rows)


NUMBERS = ("flows", "edges", "merged_flows", "merged_edges")


def _counted(what: str, single: Arrays, merged: Arrays) -> Merged:
    return Merged(what, single.F, single.E, merged.F, merged.E)
