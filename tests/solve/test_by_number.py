"""Programs by how many replicas run: lines that touch what they carry, and plans below a cutoff ruled out."""

from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
from failing import asked, goal
from studies import offer, random_study

from planner.plan.plan import make_plan
from planner.problem.build import build
from planner.problem.rules.formulas import is_normal
from planner.problem.waiting import Queue, Waiting
from planner.solve import below_cutoff, by_waiting, reached, whole_by_number
from planner.solve.below_cutoff import BelowCutoff
from planner.solve.highs import Ends
from planner.solve.lp_bound import relax
from planner.solve.program import INFEASIBLE, OPTIMAL
from planner.solve.search import Effort, Search
from planner.solve.tangents import below_tangents, tangents
from planner.solve.whole_by_number import WholeByNumber
from planner.study.records.study import NamedFailure, Study, Utilisation

COUNTS = list(range(17))


def waits(s: Study, first_token_ms: float = 1500.0, spread: str = "one-queue") -> Study:
    tiers = tuple(t.model_copy(update={"first_token_ms": first_token_ms}) for t in s.tiers)
    return s.model_copy(update={"utilisation": Utilisation(basis="waiting", spread=spread), "tiers": tiers})


def searched(s: Study) -> WholeByNumber:
    """A search after its linear program, with the replicas of its failures whole."""
    p = build(s)
    most = by_waiting.most_of_use(p)
    search = Search(by_waiting._reckoning_with(p, most), Effort(gap_fraction=0.0), None, lambda *_: None)
    relax(search, None)
    whole_plan = WholeByNumber(search, most)
    whole_plan.tests.make_whole(search.blocks)
    return whole_plan


def two_pools(requests: int, fraction: float, surge: float) -> tuple[Study, float, set[tuple[int, int]]]:
    """A study of two pools of which one may be lost, what its plans cost at the least, and what the cheapest run."""
    lost = NamedFailure(name="f", lost={"site:p/a": 1.0}, surge_factor=surge)
    bought = [offer("p/a/m", 1, most_units=16.0), offer("r/b/m", 1.3, most_units=16.0)]
    s = waits(asked(bought=bought, demand={("w", "o"): requests}, failures=(lost,), tiers=goal(fraction=fraction)))
    p = build(s)
    assert p.waiting is not None
    of_pool = {p.pool_of[e]: e for e in p.placements}
    a, b = (p.waiting.largest(False, [of_pool[q]] * 17, COUNTS) * COUNTS for q in ("p/a/m", "r/b/m"))
    b_alone = p.waiting.largest(True, [of_pool["r/b/m"]] * 17, COUNTS) * COUNTS
    costs = {
        (n, m): n + 1.3 * m
        for n in COUNTS
        for m in COUNTS
        if a[n] + b[m] >= requests - 1e-9 and b_alone[m] >= surge * fraction * requests - 1e-9
    }
    least = min(costs.values())
    return s, least, {numbers for numbers, cost in costs.items() if cost <= least + 1e-6}


@pytest.mark.parametrize("spread", ["one-queue", "least-requests"])
@pytest.mark.parametrize("concurrency, wait", [(1.0, 0.0), (8.0, 1.0), (64.0, 0.2)])
def test_a_tangent_touches_what_replicas_carry_and_is_nowhere_above(
    spread: Literal["one-queue", "least-requests"], concurrency: float, wait: float
) -> None:
    waiting = Waiting(Utilisation(basis="waiting", spread=spread), {"e": Queue(concurrency, 10.0, {95.0: wait})})
    n = np.arange(1.0, 200.0)
    carried = waiting.largest(False, ["e"] * len(n), n.tolist()) * n
    for at in (1, 2, 5, 20, 150):
        slope, constant = tangents(waiting, False, ["e"], [float(at)])
        above = slope[0] * n + constant[0] - carried
        assert above[at - 1] == pytest.approx(0.0, abs=1e-9)
        assert (above <= 1e-6 * carried).all() and constant[0] <= 0


def test_below_tangents_no_part_of_a_replica_carries_anything() -> None:
    s = waits(asked(demand={("w", "o"): 3}, bought=[offer("p/a/m", 1, most_units=40.0)]))
    w = searched(s)
    below = below_tangents(w.carried, w.carried.reckoned)
    lower, upper = w.integers.lower, w.integers.upper
    answer = below.solve(w.tests.integral(), lower, upper, Ends(), None)
    (e,) = [e for e in w.p.placements if w.p.pool_of[e] == "p/a/m"]
    needed = next(n for n in range(1, 41) if w.carried.waiting.largest(False, [e], [n])[0] * n >= 3)
    assert answer.status == OPTIMAL and answer.objective == pytest.approx(needed)
    assert answer.values is not None
    for state, runs, work in w.carried.running(answer.values):
        at_most = w.carried.waiting.largest(not is_normal(state), w.p.placements, np.maximum(1.0, runs).tolist()) * runs
        assert (work <= at_most + 1e-6).all()


def test_of_plans_below_a_cutoff_no_more_run_than_are_paid_for() -> None:
    w = searched(waits(asked(demand={("w", "o"): 3}, bought=[offer("p/a/m", 1, most_units=40.0)])))
    below = BelowCutoff(w.carried, 9.5)
    assert below.tighten(None)
    (cap,) = {cap for (s, _), cap in below.caps.items() if is_normal(s)}
    assert cap == 9.0  # one USD each
    # three requests' work takes more of nine than of the most, and a plan with as much of them costs that
    (e,) = {e for s, e in below.caps if is_normal(s)}
    at_least = 3 / w.carried.waiting.largest(False, [e], [9.0])[0]
    answer = below.bound(np.zeros(w.search.program.n, dtype=bool), 0.0, 1, None, 9.5)
    assert answer.bound >= min(9.5, at_least) - 1e-6
    assert not BelowCutoff(w.carried, 2.0).tighten(None), (
        "three requests cost more than two replicas of which none waits"
    )


@pytest.mark.parametrize("requests, fraction, surge", [(4, 0.75, 1.0), (7, 0.3, 1.5), (6, 0.9, 1.0)])
@pytest.mark.parametrize("above", [1.0, 1.001, 1.2, 2.0])
def test_the_cheapest_plans_are_never_ruled_out(requests: int, fraction: float, surge: float, above: float) -> None:
    s, least, cheapest = two_pools(requests, fraction, surge)
    w = searched(s)
    below = BelowCutoff(w.carried, least * above)
    for _ in range(3):
        assert below.tighten(None)
        for (state, e), cap in below.caps.items():
            if is_normal(state):
                which = 0 if w.p.pool_of[e] == "p/a/m" else 1
                assert cap >= max(numbers[which] for numbers in cheapest)
    answer = below.bound(w.tests.integral(), 0.0, 1000, None, least * above)
    assert answer.bound <= least + 1e-6


@pytest.mark.parametrize("requests, fraction, surge", [(4, 0.75, 1.0), (7, 0.3, 1.5), (6, 0.9, 1.0)])
@pytest.mark.parametrize("above", [0.97, 1.001, 1.2, 2.0])
def test_ranges_up_to_the_most_of_any_plan_rule_none_out(
    requests: int, fraction: float, surge: float, above: float
) -> None:
    s, least, _ = two_pools(requests, fraction, surge)
    w = searched(s)
    cutoff_usd = least * above
    below = BelowCutoff(w.carried, cutoff_usd)
    without = below.bound(w.tests.integral(), 0.0, 1000, None, cutoff_usd)
    below.is_all_ranged = True
    answer = below.bound(w.tests.integral(), 0.0, 1000, None, cutoff_usd)
    assert not below.caps
    assert min(without.bound, cutoff_usd) - 1e-6 <= answer.bound <= least + 1e-6
    if above < 1:
        assert answer.status == INFEASIBLE and answer.bound == pytest.approx(cutoff_usd)


@pytest.mark.parametrize("more", [0.0, 1.0, 5.0])
def test_more_may_run_than_do_all_of_the_work_and_carry_no_more(more: float) -> None:
    w = searched(waits(asked(demand={("w", "o"): 3}, bought=[offer("p/a/m", 1, most_units=40.0)])))
    below = BelowCutoff(w.carried, 40.0)
    below.is_all_ranged = True
    (row,) = {(s, e) for s, e in w.carried.reckoned if is_normal(s) and w.p.pool_of[e] == "p/a/m"}
    most = w.carried.most_of(row[1])
    ((runs, e),) = [
        (runs, e) for s, runs, _, several in w.carried.chosen() for e in several if (s, w.p.placements[e]) == row
    ]
    assert most < 40, "the pool can have more than do all of the work"
    program = below._with_ranges({row: 1.0})
    program.lower, program.integral = program.lower.copy(), program.integral.copy()
    program.lower[runs[np.array([e])].column] = most + more
    program.integral[: w.search.program.n] = w.tests.integral()
    answer = program.answer(Ends())
    assert answer.status == OPTIMAL and answer.objective == pytest.approx(most + more)


@pytest.mark.parametrize("requests, fraction, surge", [(4, 0.75, 1.0), (7, 0.3, 1.5), (6, 0.9, 1.0)])
def test_large_programs_have_plans_and_bounds_beside_those_with_every_number(
    requests: int, fraction: float, surge: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    s, least, _ = two_pools(requests, fraction, surge)
    for module in (reached, below_cutoff):
        monkeypatch.setattr(module, "LARGE_COLUMNS", 0)
    plan = make_plan(s, Effort(gap_fraction=0.01))
    assert plan.proof.bound_usd - 1e-6 <= least <= plan.proof.cost_usd + 1e-6


@pytest.mark.parametrize("requests, fraction, surge", [(4, 0.75, 1.0), (7, 0.3, 1.5), (6, 0.9, 1.0)])
def test_what_is_below_the_cheapest_plan_is_ruled_out(requests: int, fraction: float, surge: float) -> None:
    s, least, _ = two_pools(requests, fraction, surge)
    w = searched(s)
    below = BelowCutoff(w.carried, least * 0.97)
    if below.tighten(None):
        answer = below.bound(w.tests.integral(), 0.0, 1000, None, least * 0.97)
        assert answer.status == INFEASIBLE and answer.bound == pytest.approx(least * 0.97)


@pytest.mark.parametrize("seed", range(12))
def test_bounds_without_every_number_are_below_plans_with_every_number(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    s = waits(random_study(seed), 900.0)
    effort = Effort(gap_fraction=0.01, most_nodes=200)
    exact = make_plan(s, effort)
    monkeypatch.setattr(whole_by_number, "FEW_NUMBERS", 0)
    plan = make_plan(s, replace(effort, gap_fraction=0.005))
    assert plan.proof.bound_usd <= exact.proof.cost_usd * (1 + 1e-6)
    assert exact.proof.bound_usd <= plan.proof.cost_usd * (1 + 1e-6)
