"""Failures enter a linear program that is solved by hours, each in all of them, until none breaks."""

from collections.abc import Iterable, Sequence

import numpy as np

from planner.errors import SolverError
from planner.problem.algebra import Array
from planner.problem.problem import Problem
from planner.solve.by_hours import SAMPLE_FRACTION, ByHours, enter_in_all_hours
from planner.solve.highs import KeptHiGHS
from planner.solve.search import MOST_PASSES, Block, Search, Stopped, TimeLimitPassed

FEWEST_HOURS = 12
"""Hours from which on they are solved one by one. On 16 pools a plan at 1 % took 0.6 of the time of all at once with
six hours, and with twelve 0.55 of what all at once took without getting there (`benchmarks/periods.py`)."""
GAP_FRACTION, LEAST_GAP, LARGEST_GAP = 0.1, 1e-6, 1e-3
"""The gap at which the linear program ends: a share of the one that is asked of the plan, within limits."""
SAMPLE_GAP = 1e-2
"""The same where two hours of each period stand for all of them."""
ENTER_AT_ONCE = 6
MOST_RAISES = 4
"""How often what is short is made dearer before all hours are solved at once."""


def two_of_each_period(p: Problem) -> tuple[list[int], Array]:
    """The fullest hour of each period and one of the emptier third, with weights that stand for all of its hours."""
    wanted = [sum(p.demand_requests_per_second[w, o, h] for w, o in p.flows) for h in p.hours]
    lengths = np.array([p.hours_in[h] for h in p.hours])
    weights, picked = np.zeros(len(p.hours)), []
    for t in p.periods:
        of = sorted((k for k, h in enumerate(p.hours) if p.period_of[h] == t), key=lambda k: wanted[k])
        pair = sorted({of[-1], of[len(of) // 3]})
        weights[pair] = lengths[of].sum() / lengths[pair].sum()
        picked += pair
    return sorted(picked), weights


def goes_by_hours(search: Search) -> bool:
    """Whether the linear program is solved hour by hour."""
    p = search.p
    by_itself = not p.priced and p.measure is None
    return len(p.hours) >= FEWEST_HOURS and by_itself and isinstance(search.program.solver, KeptHiGHS)


def is_whole_by_hours(p: Problem) -> bool:
    """Whether whole numbers are looked for hour by hour."""
    if p.priced or p.deferrable or p.budget_usd is not None or p.spend_years or p.least_units or p.measure:
        return False
    return not p.rescaled


def goes_hour_by_hour(search: Search) -> bool:
    """Whether a linear program was solved hour by hour, and whole numbers are looked for so as well."""
    return search.by_hours is not None and is_whole_by_hours(search.p)


def enter_by_hours(
    search: Search,
    seeds: Iterable[str] = (),
    gap_fraction: float | None = None,
    started: dict[str, Array] | None = None,
) -> ByHours | None:
    """Enter failures, each in all hours, until the linear program survives all; None where it does not go by hours.

    The values, duals and reduced costs of the program are those at the best point, the bound is the master's.

    Parameters
    ----------
    seeds : failures that enter first
    gap_fraction : of the linear program; None: what the search asks for, see GAP_FRACTION
    started : what starts in each period of a similar plan: the first point of all hours
    """
    if gap_fraction is None:
        gap_fraction = min(LARGEST_GAP, max(LEAST_GAP, GAP_FRACTION * search.effort.gap_fraction))
    for f in seeds:
        enter_in_all_hours(search, f)
    why = "something is short at any price, or failures went on breaking"
    by_hours = None
    try:
        by_hours = ByHours(search)
        if _enter_what_breaks(by_hours, gap_fraction, started):
            return by_hours
    except (TimeLimitPassed, KeyboardInterrupt) as ended:
        if by_hours is None or not by_hours.is_usable():
            if isinstance(ended, KeyboardInterrupt):
                raise
            raise Stopped("the time limit came before the linear program was solved") from None
        by_hours.interrupted = isinstance(ended, KeyboardInterrupt)
        by_hours.hold()
        return by_hours
    except SolverError as error:  # an hour that contradicts itself, or arithmetic: the direct way says which
        why = str(error)
    search.progress("hour by hour", None, f"not solved, {why}: all hours at once")
    return None


def _enter_what_breaks(by_hours: ByHours, gap_fraction: float, started: dict[str, Array] | None) -> bool:
    """Whether the linear program survives all, nothing short."""
    search, every = by_hours.search, list(range(len(by_hours.p.hours)))
    several, weights = two_of_each_period(search.p)
    if len(several) < len(every):
        try:
            _enter_what_breaks_in(by_hours, several, weights, max(gap_fraction, SAMPLE_GAP))
        except TimeLimitPassed:  # of tests: all hours are to be solved once all the same
            search.check_time()
        point = None if started is None else by_hours.point_with(started)
        if point is not None:  # only now: duals where little is to be bought say little of what it costs
            by_hours.center = point
    search.all_failures_tested = _enter_what_breaks_in(by_hours, every, np.ones(len(every)), gap_fraction)
    return search.all_failures_tested


def _enter_what_breaks_in(by_hours: ByHours, hours: Sequence[int], weights: Array, gap_fraction: float) -> bool:
    """Enter failures until none breaks in some hours; whether that was reached, nothing short."""
    search, raises = by_hours.search, 0
    every = len(hours) == len(search.p.hours)
    for _ in range(MOST_PASSES):
        if not every and by_hours.is_late(SAMPLE_FRACTION):
            return False
        search.passes += 1
        by_hours.solve(hours, weights, gap_fraction)
        if by_hours.is_short():
            if raises == MOST_RAISES:
                return False
            raises += 1
            by_hours.dearer()
            continue
        by_hours.hold()
        broken = search.broken(search.purchases(integer=False), hours=[search.p.hours[k] for k in hours])
        if not broken:
            return True
        by_hours.enter(worst_first(broken)[:ENTER_AT_ONCE])
    return False


def worst_first(broken: Sequence[tuple[float, Block]]) -> list[str]:
    """Failures that broke, by what is short in all hours together."""
    short: dict[str, float] = {}
    for less, (f, _) in broken:
        short[f] = short.get(f, 0.0) + less
    return sorted(short, key=lambda f: (short[f], f))
