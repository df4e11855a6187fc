"""What a plan of a similar problem tells a search: a bound, replicas that survive each failure, states that stay.

Each is taken over only where it holds here as well: that is read off the two problems, field by field.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from planner.problem.algebra import Rows
from planner.problem.arrays import full, merged
from planner.problem.decisions import Decisions, names, table
from planner.problem.problem import Problem, State, states
from planner.problem.rules.costs import cost_usd
from planner.solve.program import INFINITY, OPTIMAL
from planner.solve.search import ARITHMETIC_FRACTION, Block, Search, Survived
from planner.study.dependencies import NORMAL

OF_FAILURES = (
    "failures",
    "deadlines_seconds",
    "promised",
    "lost",
    "cannot_start",
    "closed",
    "coverable",
    "counted",
    "obtainable",
)
"""What a problem says of each failure by itself."""
PRICES = ("price_usd_per_machine_hour", "energy_usd_per_machine_hour", "start_usd", "capital_usd", "request_usd")
"""What one of each costs: where none of these goes down, no plan costs less."""
OF_PURCHASES_ALONE = tuple(name for name in (*PRICES, "price_factor") if name != "request_usd")
"""What is paid for purchases, wherever requests go: no state depends on it where what is bought stays."""


@dataclass(frozen=True)
class SimilarProblem:
    """The problem that a plan was made for.

    Parameters
    ----------
    p : as it was asked
    bound_usd : no plan of it costs less; minus infinity: not known
    """

    p: Problem
    bound_usd: float = -INFINITY


def known_replicas(p: Problem, similar: Decisions) -> Survived:
    """Failure in an hour -> the replicas by placement with which a similar plan survives it.

    Of failures that both have, with the same deadlines; of placements that the problem has.

    Parameters
    ----------
    similar : what the plan buys and, where that is known, does in each failure
    """
    placement_at, vectors = full(p).placement_at, dict[tuple[str, State], np.ndarray]()
    for name in ("kept", "cold_started"):
        for (e, s), replicas in getattr(similar, name).items():
            if e in placement_at:
                vector = vectors.setdefault((name, s), np.zeros(len(placement_at)))
                vector[placement_at[e]] = replicas
    known: Survived = {}
    for f in p.failures:
        for h in p.hours if f != NORMAL else ():
            of_failure = [s for s in states(p, f) if s[0] == h]
            if all(("kept", s) in vectors for s in of_failure):
                keys = [(name, s) for name in ("kept", "cold_started") for s in of_failure]
                known[f, h] = {key: vectors[key] for key in keys if key in vectors}
    return known


def bound_that_holds_usd(p: Problem, similar: SimilarProblem) -> float:
    """The bound of a similar problem where no plan here can cost less than one there [USD]; else minus infinity.

    That is where every plan here is a plan there, and costs no less: here are more failures, prices are as high or
    higher, and all else is the same. Spend that is committed is paid either way, so prices must stay with it.
    """
    before = similar.p
    differ = _fields_that_differ(p, before)
    is_dearer = all(_no_less(getattr(p, name), getattr(before, name)) for name in differ & set(PRICES))
    stays = differ <= {*OF_FAILURES, *PRICES} and not (p.spend_years and differ & set(PRICES))
    return similar.bound_usd if stays and _fails_as_much(p, before) and is_dearer else -INFINITY


def keep_to_bound(search: Search, p: Problem, similar: SimilarProblem) -> None:
    """Let what a search finds cost, at the prices of a similar problem, no less than the bound there.

    That cuts off no plan where every plan here is a plan there, whatever has become of prices; with it the linear
    program has a better bound. Where prices decide what may be bought (budgets, limits on capital, committed spend), or
    failures have a price, that is not so, and nothing is done; nor where hours are solved by themselves.

    Formula
        cost at the prices there  >=  bound there
    Parameters
    ----------
    search : after its linear program, whose marginal values were read
    p : the problem as it was asked
    """
    before = similar.p
    differ = _fields_that_differ(p, before)
    prices = differ & set(OF_PURCHASES_ALONE)
    decide = p.measure is not None or p.priced or p.budget_usd is not None or p.spend_years or p.capital_caps
    if not prices or decide or differ - {*OF_FAILURES, *prices} or not _fails_as_much(p, before):
        return
    if similar.bound_usd == -INFINITY or search.by_hours is not None:
        return
    at_those_prices = replace(search.p, **{name: getattr(before, name) for name in prices})
    cost, program = cost_usd(merged(at_those_prices)(NORMAL), search.x), search.program
    least_usd = similar.bound_usd - ARITHMETIC_FRACTION * abs(similar.bound_usd)
    row = Rows([("similar problem",)], (), cost, ">=", least_usd, size=max(1.0, abs(least_usd)))
    program.add("costs_no_less_there", [row], as_rows=True)
    if program.solve(search.remaining_seconds()) == OPTIMAL:
        search.bound = max(search.bound, program.objective)


def _fails_as_much(p: Problem, before: Problem) -> bool:
    """Whether all that fails in a similar problem fails here, too, and asks the same."""
    return before.failures.keys() <= p.failures.keys() and all(_same_failure(p, before, f) for f in before.failures)


def states_that_stay(p: Problem, similar: SimilarProblem, start: Decisions, purchases: Decisions) -> set[Block]:
    """Failures in hours in which a similar plan does what can be done here: nothing they depend on has changed.

    Parameters
    ----------
    start : the similar plan
    purchases : what is bought and runs here
    """
    before = similar.p
    stated = [d.name for d in table() if d.block == "purchases" and d.records]
    same = all(getattr(start, name) == getattr(purchases, name) for name in stated)
    if not same or p.priced or p.rescaled:
        return set()
    if not _fields_that_differ(p, before) <= {*OF_FAILURES, *OF_PURCHASES_ALONE}:
        return set()
    of_both = [f for f in p.failures if f != NORMAL and f in before.failures and _same_failure(p, before, f)]
    return {(f, h) for f in of_both for h in p.hours}


def take_over(x: Decisions, start: Decisions, blocks: Set[Block]) -> None:
    """Let a plan do in some failures in hours what a similar one does."""
    for name in names("states") if blocks else ():
        mine = getattr(x, name)
        for key, value in getattr(start, name).items():
            h, f, _ = key[-1]
            if (f, h) in blocks:
                mine[key] = value


def _fields_that_differ(p: Problem, other: Problem) -> set[str]:
    return {each.name for each in fields(Problem) if getattr(p, each.name) != getattr(other, each.name)}


def _same_failure(p: Problem, other: Problem, f: str) -> bool:
    """Whether two problems say the same of a failure; of what they say nothing of neither must."""
    return all(getattr(p, name).get(f) == getattr(other, name).get(f) for name in OF_FAILURES)


def _no_less(prices: Mapping[Any, Any], before: Mapping[Any, Any]) -> bool:
    """Whether each price is as high as it was or higher; one that is absent is zero."""
    for key in {*prices, *before}:
        now, then = prices.get(key, 0.0), before.get(key, 0.0)
        nested = isinstance(now or then, Mapping)
        if not (_no_less(now or {}, then or {}) if nested else now >= then):
            return False
    return True
