"""Plans whose utilisation goes by how many replicas run: programs that reckon with it, until a plan keeps to it.

How much work n replicas take, `largest utilisation(n) · n`, grows faster than n: it is no linear row. The bound is
that of the linear program in which each takes as much as of the most that its pool can ever use: no plan does better.
A plan is looked for with the utilisation of fewer, which is safe for as many or more: at first as many as the linear
program runs, or as a binding failure leaves of these. Where a plan runs fewer in a state, and they are too full for
their number, that number is reckoned with from then on, and the search goes on from that plan. Numbers only fall, to
one at last, which is safe for all: so it ends. What is left to the audit is no more than arithmetic.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import numpy as np

from planner.errors import NoPlan
from planner.problem.algebra import Array
from planner.problem.arrays import Arrays, full
from planner.problem.decisions import Decisions
from planner.problem.problem import Problem, states
from planner.problem.rules.formulas import is_normal, running, survivors
from planner.problem.rules.index_sets import as_vectors
from planner.problem.rules.states import replicas_carry_traffic
from planner.problem.waiting import Of
from planner.solve.lp_bound import relax
from planner.solve.search import Infeasible, Search, Solution, Status, TooFull, is_proven
from planner.units import ROUNDING

TOO_FULL = 1e-6
"""Share by which replicas are too full: what the audit overlooks."""
HALVED_FROM, ONE_FROM = 4, 8
"""Rounds from which a number that is too large is halved as well, and from which it is one: the search must end."""
MOST_ROUNDS = 12
PART_OF_THEM = 0.8
"""Share that is reckoned with of the replicas that do the work of the linear program: a plan may run fewer, and it
costs little, as the utilisation of many hardly rises with their number."""
UNUSED_REPLICAS = 8.0
"""Reckoned with of a placement that the linear program does not use: of one it would seem dearer than it is."""
SearchOf = Callable[[Problem], Search]
SolveOnce = Callable[[Problem, Iterable[str], Decisions | None], Solution]


def solve_by_waiting(
    p: Problem,
    search_of: SearchOf,
    solve_once: SolveOnce,
    hints: Iterable[str],
    start: Decisions | None,
    gap_fraction: float,
) -> Solution:
    """A plan that keeps to the utilisation of the replicas that it runs in every state, and a bound for all such plans.

    Parameters
    ----------
    p : that reckons with the utilisation of the most replicas of each placement
    search_of : begins a search
    solve_once : solves a problem, given failures that are likely to bind and a similar plan
    hints, start : see `solve`
    gap_fraction : that was asked for

    Raises
    ------
    Infeasible
        when no plan exists, whatever runs
    NoPlan
        when none was found in which replicas are not too full for their number
    """
    search, reckoned = search_of(p), _most(p)
    for f in hints:
        if search.is_tested(f) and f not in search.dominated:
            search.enter((f, p.hours[0]))
    bound_usd = relax(search, start)
    reckoned = {of: min(reckoned[of], m) for of, m in _of_linear_program(search).items()}
    hints = search.binding
    for n in range(MOST_ROUNDS):
        try:
            solution = solve_once(_reckoning_with(p, reckoned), hints, start)
        except Infeasible as error:
            if n > 0:
                raise _none_found() from error
            reckoned = _most(p)
            continue
        except TooFull as error:
            halves = {of: m / 2 for of, m in reckoned.items()}
            fewer = {of: m for of, m in error.replicas.items() if m < reckoned[of]} or halves
        else:
            fewer = too_full(p, solution.decisions)
            if not fewer:
                return _with_bound(solution, bound_usd, gap_fraction)
            hints, start = solution.binding, solution.decisions
        reckoned |= {of: _lowered(reckoned[of], m, n) for of, m in fewer.items()}
    raise _none_found()


def _most(p: Problem) -> dict[Of, float]:
    """(placement, whether in a failure) -> replicas that its pool can ever use."""
    return {} if p.waiting is None else dict(p.waiting.replicas)


def _reckoning_with(p: Problem, replicas: Mapping[Of, float]) -> Problem:
    assert p.waiting is not None
    return replace(p, waiting=p.waiting.by_replicas(replicas))


def _lowered(reckoned: float, running_replicas: float, n: int) -> float:
    """The number of replicas to reckon with after round n, in which fewer ran and were too full."""
    if n >= ONE_FROM:
        return 1.0
    fewer = min(running_replicas, reckoned - 1) / (2 if n >= HALVED_FROM else 1)
    return max(1.0, float(np.floor(fewer)))


def _of_linear_program(search: Search) -> dict[Of, float]:
    """(placement, whether in a failure) -> replicas that do the work of those in the linear program: in failures of the
    fewest that a binding one leaves.

    In failures as many as in normal operation where none of these leaves any.
    """
    p, a = search.p, full(search.p)
    purchases = search.purchases(integer=False)
    fewest: dict[Of, float] = {}
    for h in p.hours:
        _lower(fewest, a, False, np.asarray(purchases.replicas[h,]))
    for f, h in sorted(search.blocks):
        _lower(fewest, a, True, np.asarray(survivors(a, purchases, (h, f, max(p.deadlines_seconds[f])))))
    needed = _by_number(p, fewest)
    used = {(e, False): needed.get((e, False)) for e in p.placements}
    used |= {(e, True): needed.get((e, True), used[e, False]) for e in p.placements}
    return {of: UNUSED_REPLICAS if n is None else max(1.0, float(np.floor(PART_OF_THEM * n))) for of, n in used.items()}


def _by_number(p: Problem, replicas: Mapping[Of, float]) -> dict[Of, float]:
    """As many replicas as carry the work of those of a program that fills them further than so many may be."""
    waiting, needed = p.waiting, dict[Of, float]()
    assert waiting is not None
    for in_failure in (False, True):
        those = [e for e, fails in replicas if fails == in_failure]
        work = [waiting.utilisation[e, in_failure] * replicas[e, in_failure] for e in those]
        counts = waiting.that_carry(in_failure, those, work).tolist()
        needed |= {(e, in_failure): n for e, n in zip(those, counts, strict=True)}
    return needed


def _lower(fewest: dict[Of, float], a: Arrays, in_failure: bool, replicas: Array) -> None:
    """Lower the numbers of placements that run one whole replica at the least."""
    replicas = np.floor(replicas + ROUNDING)
    for i in np.flatnonzero(replicas >= 1).tolist():
        of = a.p.placements[i], in_failure
        fewest[of] = min(fewest.get(of, np.inf), float(replicas[i]))


def too_full(p: Problem, x: Decisions) -> dict[Of, float]:
    """(placement, whether in a failure) -> fewest replicas of a state in which they carry more than they may."""
    a, vectors = full(p), as_vectors(p, x)
    fewest: dict[Of, float] = {}
    for s in (s for f in p.failures for s in states(p, f)):
        (rows,) = replicas_carry_traffic(a, vectors, s)
        full_at = rows.shortfall() > TOO_FULL * rows.scale()
        _lower(fewest, a, not is_normal(s), np.where(full_at, running(a, vectors, s), 0.0))
    return fewest


def _with_bound(solution: Solution, bound_usd: float, gap_fraction: float) -> Solution:
    """The solution with a bound for all plans: what it was found with binds it more than it must."""
    bound_usd = min(bound_usd, solution.cost_usd)
    gap = (solution.cost_usd - bound_usd) / solution.cost_usd if solution.cost_usd > 0 else 0.0
    status: Status = "proven" if is_proven(gap, gap_fraction) else "gap"
    return replace(
        solution,
        bound_usd=bound_usd,
        lp_bound_usd=bound_usd,
        status="stopped" if solution.status == "stopped" else status,
    )


def _none_found() -> NoPlan:
    return NoPlan(
        "no plan found in which replicas are not too full for their number, though larger ones could carry all\n"
        "  would help: longer first_token_ms or a lower percentile of a tier, more machines in one place, or\n"
        "  utilisation: {basis: fixed}, in which no request waits"
    )
