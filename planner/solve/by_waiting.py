"""Plans whose utilisation goes by how many replicas run: programs that reckon with it, until a plan keeps to it.

How much work n replicas take, `largest utilisation(n) · n`, grows faster than n: it is no linear row. The bound is
that of the linear program in which each takes as much as of the most that its pool can use, or that carry all that may
be served there: no plan does better.
A plan is looked for by the numbers of each state first (`whole_by_number`), which has a bound of its own. What follows
is for what that does not plan, and where its gap is far from the asked, or the program small.
A plan is looked for with the utilisation of fewer, which is safe for as many or more: at first as many as the linear
program runs, or as a binding failure leaves of these. Where a plan runs fewer in a state, and they are too full for
their number, that number is reckoned with from then on, and the search goes on from that plan. Numbers only fall, to
one at last, which is safe for all: so it ends. What is left to the audit is no more than arithmetic.
Where a plan's own numbers carry more than those that it was found with, by what matters to the gap that was asked for,
it is looked for anew from that plan with these: it stays one, and a cheaper one may keep to them, too. Small programs
are searched from the most replicas as well.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from planner.errors import NoPlan
from planner.interruption import interrupted
from planner.problem.algebra import Array, pick, sum_by
from planner.problem.arrays import Arrays, full
from planner.problem.decisions import Decisions, Vectors
from planner.problem.problem import Problem, State, states, taken_up
from planner.problem.rules.formulas import is_normal, replica_seconds_used, running, survivors
from planner.problem.rules.gateway_limits import conditions, warm
from planner.problem.rules.index_sets import as_vectors
from planner.problem.rules.states import replicas_carry_traffic
from planner.problem.waiting import Of
from planner.solve.by_number import PART_OF_THEM, UNUSED_REPLICAS
from planner.solve.enter_by_hours import goes_hour_by_hour
from planner.solve.integer_program import LARGE_COLUMNS, IntegerProgram
from planner.solve.lp_bound import relax
from planner.solve.program import INFINITY, OPTIMAL
from planner.solve.reached import PART_GAP, SEARCH_GAP
from planner.solve.search import Infeasible, Search, Solution, Status, TooFull, is_proven
from planner.solve.similar_plan import known_replicas
from planner.solve.whole_by_number import FAR_FROM_PROVEN, WholeByNumber
from planner.solve.whole_plan import MANY_COLUMNS, WholePlan
from planner.study.dependencies import NORMAL
from planner.units import ROUNDING

TOO_FULL = 1e-6
"""Share by which replicas are too full: what the audit overlooks."""
HALVED_FROM, ONE_FROM = 4, 8
"""Rounds from which a number that is too large is halved as well, and from which it is one: the search must end."""
MOST_ROUNDS = 12
FEW_COLUMNS = 150
"""Of a program so small that it is searched from the most replicas as well, from which numbers fall elsewhere."""
BOUND_NODE_WORK = 25_000
"""Columns times nodes of the search for a bound: quick, not thorough."""
MOST_AGAIN, PAYS = 2, 0.5
"""How often a plan is looked for anew with the numbers of the last, and share of the asked gap by which these must
carry more than those it was found with."""
SearchOf = Callable[[Problem], Search]
SolveOnce = Callable[[Problem, Iterable[str], Decisions | None], Solution]
Planned = Callable[[Search, WholePlan, float], Solution]
"""The plan of a search after its linear program, whose cost is given [USD over the horizon]."""


def solve_by_waiting(
    p: Problem,
    search_of: SearchOf,
    solve_once: SolveOnce,
    planned: Planned,
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
    planned : the plan of a search for whole numbers
    hints, start : see `solve`
    gap_fraction : that was asked for

    Raises
    ------
    Infeasible
        when no plan exists, whatever runs
    NoPlan
        when none was found in which replicas are not too full for their number
    """
    p = _reckoning_with(p, most := most_of_use(p))
    search = search_of(p)
    for f in hints:
        if search.is_tested(f) and f not in search.dominated:
            search.enter((f, p.hours[0]))
    if start is not None:
        search.known.update(known_replicas(p, start))
    bound_usd = relax(search, start)
    at_first, is_small = _of_linear_program(search, most), search.program.n <= FEW_COLUMNS
    by_number = _with_own_numbers(search, most, planned, bound_usd, start)
    if by_number is not None and by_number.status != "gap":
        return by_number
    if by_number is not None and not is_small and _gap(by_number) <= FAR_FROM_PROVEN * gap_fraction:
        return by_number
    lp_bound_usd, bound_usd = bound_usd, max(bound_usd, search.bound)
    try:
        in_rounds = _in_rounds(search, _Asked(p, solve_once, most), at_first, bound_usd, start, gap_fraction)
    except NoPlan:
        if by_number is None:
            raise
        return by_number
    except KeyboardInterrupt:
        if by_number is None:
            raise
        return replace(by_number, status="stopped")
    best = in_rounds if by_number is None or in_rounds.cost_usd < by_number.cost_usd else by_number
    if in_rounds.status == "stopped":
        best = replace(best, status="stopped")
    best = _with_bound(best, max(bound_usd, in_rounds.bound_usd), gap_fraction)
    return replace(best, lp_bound_usd=min(lp_bound_usd, best.cost_usd))


def _with_own_numbers(
    search: Search, most: Mapping[Of, float], planned: Planned, bound_usd: float, start: Decisions | None
) -> Solution | None:
    """A plan of which each state is filled by its own numbers, and its bound; None where none is found so."""
    p = search.p
    if search.has_reserves or p.priced or p.measure is not None or search.by_hours is not None:
        return None
    if search.program.n > MANY_COLUMNS:  # it would be searched with fewer routes, which know no numbers
        return None
    whole_plan = WholeByNumber(search, most, start)
    try:
        solution = planned(search, whole_plan, bound_usd)
    except NoPlan:
        return None
    return None if too_full(p, solution.decisions) else solution


def _in_rounds(
    search: Search,
    asked: "_Asked",
    at_first: dict[Of, float],
    bound_usd: float,
    start: Decisions | None,
    gap_fraction: float,
) -> Solution:
    """A plan of rounds, in each of which a placement is filled as far as one number may be in all its states.

    Parameters
    ----------
    at_first : the numbers of the first round
    bound_usd : what no plan costs less than
    start, gap_fraction : see `solve_by_waiting`
    """
    p, most = asked.p, asked.most
    solution, reckoned = asked.from_numbers(at_first, search.binding, start)
    if search.program.n <= FEW_COLUMNS and _with_bound(solution, bound_usd, gap_fraction).status == "gap":
        try:
            other, its = asked.from_numbers(dict(most), solution.binding, None)
        except NoPlan:
            pass
        except KeyboardInterrupt:
            solution = replace(solution, status="stopped")
        else:
            if other.cost_usd < solution.cost_usd:
                solution, reckoned = other, its
    for _ in range(MOST_AGAIN):
        best = _with_bound(solution, bound_usd, gap_fraction)
        own = _of_plan(p, solution.decisions, goes_hour_by_hour(search))
        if best.status != "gap" or more_carried(p, own, reckoned) <= PAYS * gap_fraction:
            break
        try:
            again, reckoned = asked.from_numbers(reckoned | own, solution.binding, solution.decisions)
        except NoPlan:
            break
        except KeyboardInterrupt:
            solution = replace(solution, status="stopped")
            break
        if again.cost_usd >= solution.cost_usd:
            break
        solution = again
    search.check_bound(solution.cost_usd)
    best = _with_bound(solution, bound_usd, gap_fraction)
    if best.status == "gap":
        best = _with_bound(solution, max(bound_usd, _bound_of_whole_numbers(search, best, gap_fraction)), gap_fraction)
    return best


@dataclass(frozen=True)
class _Asked:
    """What is asked for, whichever numbers are reckoned with.

    Parameters
    ----------
    p, solve_once : see `solve_by_waiting`
    most : replicas to be reckoned with at the most
    """

    p: Problem
    solve_once: SolveOnce
    most: Mapping[Of, float]

    def from_numbers(
        self, reckoned: dict[Of, float], hints: Iterable[str], start: Decisions | None
    ) -> tuple[Solution, dict[Of, float]]:
        """A plan that keeps to the utilisation of what it runs, and the numbers it was found with.

        Parameters
        ----------
        reckoned : replicas to reckon with at first
        hints, start : see `solve`
        """
        for n in range(MOST_ROUNDS):
            try:
                solution = self.solve_once(_reckoning_with(self.p, reckoned), hints, start)
            except Infeasible as error:
                if n > 0:
                    raise _none_found() from error
                reckoned = dict(self.most)
                continue
            except TooFull as error:
                reckoned = fewer_than(reckoned, error.replicas, n)
                continue
            fewer = too_full(self.p, solution.decisions)
            if not fewer:
                return solution, reckoned
            hints, start = solution.binding, solution.decisions
            reckoned = reckoned | {of: _lowered(reckoned[of], m, n) for of, m in fewer.items()}
        raise _none_found()


def _bound_of_whole_numbers(search: Search, best: Solution, gap_fraction: float) -> float:
    """What the program of the most replicas costs at the least where what is bought and runs is whole [USD].

    Of a small program; most of it comes of the cuts at the root, so that few nodes do.
    """
    integers = IntegerProgram(search.program)
    many = len(integers.lower)
    if many > LARGE_COLUMNS or interrupted() or search.out_of_time():
        return -INFINITY
    try:
        answer = integers.solve(
            integral=integers.integral,
            gap_fraction=PART_GAP * gap_fraction,
            most_nodes=max(1, BOUND_NODE_WORK // many),
            seconds=search.remaining_seconds(),
            only_bound=True,
            bound_alone=True,
            cutoff_usd=best.cost_usd * (1 - SEARCH_GAP * gap_fraction) if gap_fraction else INFINITY,
        )
    except KeyboardInterrupt:
        return -INFINITY
    return min(answer.bound, answer.objective if answer.status == OPTIMAL else INFINITY)


def most_of_use(p: Problem) -> dict[Of, float]:
    """(placement, whether in a failure) -> replicas that its pool can use, or that carry all that may be served there.

    As many may be reckoned with of all others, too: fewer are filled no further, and what more carry is no more work.
    """
    assert p.waiting is not None
    a, most = full(p), dict(p.waiting.replicas)
    for in_failure in (False, True):
        several = [s for f in p.failures if (f != NORMAL) == in_failure for s in states(p, f)]
        if several:
            work = np.max([_all_work(a, s) for s in several], axis=0)
            carry = p.waiting.that_carry(in_failure, p.placements, work.tolist()).tolist()
            most |= {(e, in_failure): min(most[e, in_failure], n) for e, n in zip(p.placements, carry, strict=True)}
    return most


def _all_work(a: Arrays, s: State) -> Array:
    """Work of each placement if all that may be served there were [replica-seconds/s; P]."""
    p, (h, f, _) = a.p, s
    requests = np.array([taken_up(p, w, o, h) for w, o in p.flows]) if is_normal(s) else a.wanted(s)
    work = a.may_serve(f) * a.replica_seconds(f) * np.asarray(pick(requests, a.flow_of_edge))
    return np.asarray(sum_by(work, a.placement_of_edge, a.P))


def _reckoning_with(p: Problem, replicas: Mapping[Of, float]) -> Problem:
    assert p.waiting is not None
    return replace(p, waiting=p.waiting.by_replicas(replicas))


def _lowered(reckoned: float, running_replicas: float, n: int) -> float:
    """The number of replicas to reckon with after round n, in which fewer ran and were too full."""
    if n >= ONE_FROM:
        return 1.0
    fewer = min(running_replicas, reckoned - 1) / (2 if n >= HALVED_FROM else 1)
    return max(1.0, float(np.floor(fewer)))


def _of_linear_program(search: Search, most: Mapping[Of, float]) -> dict[Of, float]:
    """(placement, whether in a failure) -> replicas that do the work of those in the linear program.

    Where whole numbers are looked for hour by hour, each reckons with its own: those of the hour with the most.
    """
    p, purchases = search.p, search.purchases(integer=False)
    if not goes_hour_by_hour(search):
        used = used_in(p, purchases, p.hours, search.blocks)
    else:
        used = {}
        for h in p.hours:
            for of, n in used_in(p, purchases, (h,), search.blocks).items():
                used[of] = max(n, used.get(of, 0.0))
    return reckoned_with(p, used, most)


def used_in(p: Problem, purchases: Vectors, hours: Iterable[str], blocks: Iterable[tuple[str, str]]) -> dict[Of, float]:
    """(placement, whether in a failure) -> replicas that do the work of those of a linear program in some hours: in
    failures of the fewest that one of them leaves.

    Parameters
    ----------
    blocks : failures in hours, of all hours
    """
    a, fewest = full(p), dict[Of, float]()
    for h in hours:
        _lower(fewest, a, False, np.asarray(purchases.replicas[h,]))
        for s, placements in conditions(a, h).items() if p.rescaled else ():  # in which gateways keep their weights
            _lower(fewest, a, not is_normal(s), np.where(placements, np.asarray(warm(a, purchases, s)), 0.0))
        for f in sorted(f for f, of in blocks if of == h):
            _lower(fewest, a, True, np.asarray(survivors(a, purchases, (h, f, max(p.deadlines_seconds[f])))))
    return _by_number(p, fewest)


def reckoned_with(p: Problem, used: Mapping[Of, float], most: Mapping[Of, float]) -> dict[Of, float]:
    """What is reckoned with where a linear program uses some replicas: a part of them, in failures as many as in normal
    operation where none leaves any, and no more than the most."""
    needed = {(e, False): used.get((e, False)) for e in p.placements}
    needed |= {(e, True): used.get((e, True), needed[e, False]) for e in p.placements}
    few = {
        of: UNUSED_REPLICAS if n is None else max(1.0, float(np.floor(PART_OF_THEM * n))) for of, n in needed.items()
    }
    return {of: min(most[of], n) for of, n in few.items()}


def fewer_than(reckoned: Mapping[Of, float], running: Mapping[Of, float], n: int) -> dict[Of, float]:
    """What is reckoned with after round n, in which whole numbers led nowhere, as replicas were too full."""
    halves = {of: m / 2 for of, m in reckoned.items()}
    fewer = {of: m for of, m in running.items() if m < reckoned[of]} or halves
    return {**reckoned, **{of: _lowered(reckoned[of], m, n) for of, m in fewer.items()}}


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


def _of_plan(p: Problem, x: Decisions, fullest_hour: bool) -> dict[Of, float]:
    """(placement, whether in a failure) -> fewest replicas of a state in which it serves anything.

    Parameters
    ----------
    fullest_hour : whether of the hour in which these are most, as each reckons with its own; else of all hours
    """
    a, vectors = full(p), as_vectors(p, x)
    by_hour: dict[str, dict[Of, float]] = {}
    for s in (s for f in p.failures for s in states(p, f)):
        serves = np.asarray(replica_seconds_used(a, vectors, s)) > 0
        of_hour = by_hour.setdefault(s[0] if fullest_hour else "", {})
        _lower(of_hour, a, not is_normal(s), np.where(serves, running(a, vectors, s), 0.0))
    most: dict[Of, float] = {}
    for fewest in by_hour.values():
        most |= {of: max(n, most.get(of, 0.0)) for of, n in fewest.items()}
    return most


def more_carried(p: Problem, own: Mapping[Of, float], reckoned: Mapping[Of, float]) -> float:
    """How much more the replicas of a plan may carry than was reckoned with [fraction], normal operation and failures,
    the larger."""
    waiting, more = p.waiting, 0.0
    assert waiting is not None
    for in_failure in (False, True):
        those = {e: n for (e, fails), n in own.items() if fails == in_failure}
        counts = np.array(list(those.values()))
        at_most = waiting.largest(in_failure, list(those), counts.tolist()) * counts
        before = waiting.largest(in_failure, list(those), [reckoned[e, in_failure] for e in those]) * counts
        more = max(more, float(at_most.sum() / before.sum() - 1.0) if len(counts) else 0.0)
    return more


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
    gap = _gap(replace(solution, bound_usd=bound_usd))
    status: Status = "proven" if is_proven(gap, gap_fraction) else "gap"
    return replace(
        solution,
        bound_usd=bound_usd,
        status="stopped" if solution.status == "stopped" else status,
    )


def _gap(solution: Solution) -> float:
    """How much cheaper the best possible plan might be [fraction]."""
    return (solution.cost_usd - solution.bound_usd) / solution.cost_usd if solution.cost_usd > 0 else 0.0


def _none_found() -> NoPlan:
    return NoPlan(
        "no plan found in which replicas are not too full for their number, though larger ones could carry all\n"
        "  would help: longer first_token_ms or a lower percentile of a tier, more machines in one place, or\n"
        "  utilisation: {basis: fixed}, in which no request waits"
    )
