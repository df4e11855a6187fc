"""The size of a program: its parts are all of it, and what is merged is counted edge by edge."""

from two_sites import two_sites

from planner.problem.build import build
from planner.solve.lp_bound import relax
from planner.solve.search import Effort, Search
from planner.solve.size import size_of
from planner.study.dependencies import NORMAL
from planner.study.records.study import Origin


def two_origins():
    """Two cities whose requests may go to either site: one but for their size."""
    cities = tuple(Origin(name=name, latitude=50.0, longitude=0.0) for name in ("o", "u"))
    return build(two_sites(origins=cities, demand={("w", "o"): 4.0, ("w", "u"): 6.0}))


def test_two_origins_with_the_same_edges_are_one():
    """Two flows of two edges are one of two; in a failure one site is dead: one edge each."""
    size = size_of(two_origins(), [])
    normal, failure, tests = size.merged
    assert (normal.flows, normal.edges, normal.merged_flows, normal.merged_edges) == (2, 4, 1, 2)
    assert (failure.flows, failure.edges, failure.merged_flows, failure.merged_edges) == (2, 2, 1, 1)
    assert (tests.edges, tests.merged_edges, tests.factor) == (4, 2, 2)
    assert (size.failures, len(size.blocks), size.monolith_columns) == (2, 1, 0)


def test_the_parts_are_the_program_of_the_search():
    p = two_origins()
    search = Search(p, Effort(), None, lambda stage, done, detail: None)
    relax(search)
    size = size_of(p, search.binding)
    assert [block.what for block in size.blocks[1:]] == search.binding != []
    assert (size.program.columns, size.program.rows) == (search.program.n, search.program.m)
    assert size.program.terms == sum(len(block.terms.value) for block in search.program.blocks)
    every = size_of(p, [f for f in p.failures if f != NORMAL])
    assert every.monolith_columns == every.program.columns >= size.program.columns
