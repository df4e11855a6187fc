"""The LP bound of a problem, solved: what `planner explain` moves limits and prices in, and solves again."""

from collections.abc import Iterable

from planner.problem.eligibility import workloads_without_edge
from planner.problem.problem import Problem
from planner.questions.planned import silent
from planner.solve.enter_by_hours import goes_by_hours
from planner.solve.interchangeable import reduced
from planner.solve.lp_bound import enter_what_breaks, relax
from planner.solve.search import Effort, Progress, Search
from planner.solve.solve import fullest_hours, nothing_may_serve

CLOSE, CLOSE_BY_HOURS = 1e-7, 3e-6
"""Shares of a bound by which two of them may differ and be the same: by the arithmetic of the solver, and where each
was solved hour by hour, to the least gap of that."""
MOST_COLUMNS_AT_ONCE = 10_000
"""Columns of normal operation in all hours up to which all hours are solved at once, however many: exactly."""
DUAL = 1e-9
"""A dual below is none."""


def solved_bound(p: Problem, hints: Iterable[str] = (), progress: Progress = silent) -> Search:
    """A search at the LP bound of a problem, by the same program that a plan is bounded with: `bound` is its cost.

    Parameters
    ----------
    hints : failures that are likely to bind; they enter first, and change nothing

    Raises
    ------
    Infeasible
        when no plan exists
    """
    if orphans := workloads_without_edge(p):
        raise nothing_may_serve(p, orphans)
    search = Search(reduced(p).p if p.waiting is None else p, Effort(gap_fraction=0.0), None, progress)
    by_hours = is_by_hours(search)
    hours = search.p.hours if by_hours else fullest_hours(search.p)
    for f in dict.fromkeys(hints):
        if search.is_tested(f) and f not in search.dominated:
            for h in hours:
                search.enter((f, h))
    if goes_by_hours(search) and not by_hours:
        enter_what_breaks(search)
    else:
        relax(search)
    return search


def is_by_hours(search: Search) -> bool:
    """Whether the bound of a search that has just begun is solved hour by hour: of many hours, where all are large."""
    return goes_by_hours(search) and search.program.n > MOST_COLUMNS_AT_ONCE


def close_usd(search: Search) -> float:
    """What two bounds may differ by and be the same [USD]."""
    close = CLOSE if search.by_hours is None else CLOSE_BY_HOURS
    return close * max(1.0, abs(search.bound))


def binding_of(search: Search, rule: str) -> set[str]:
    """Of what the rows of a rule bind in the linear program: the first id of their keys.

    A row that became the upper bound of a column binds where the column would rise: its reduced cost is below zero. Of
    a program that was solved hour by hour nothing is known here: see `has_duals`.
    """
    program, of = search.program, set[str]()
    for added in program.added:
        if added.rule == rule:
            of.update(key[0] for key, at in added.keyed() if abs(float(program.duals[at])) > DUAL)
    for bound in program.bounded:
        if bound.rule == rule:
            of.update(key[0] for key, at in bound.keyed() if float(program.reduced_costs[at]) < -DUAL)
    return of


def has_duals(search: Search) -> bool:
    """Whether the duals of all rows are known: not where the linear program went hour by hour."""
    return search.by_hours is None and len(search.program.duals) == search.program.m
