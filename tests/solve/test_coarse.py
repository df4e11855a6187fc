"""The guess of a coarse problem: what it merges, and that nothing depends on its being right."""

import pytest
from studies import beset_study, random_study

from planner.errors import NoPlan
from planner.problem.build import build
from planner.problem.problem import Problem
from planner.solve import coarse as coarsely
from planner.solve.coarse import InPools, coarse, pools_used
from planner.solve.lp_bound import enter_what_breaks, relax
from planner.solve.search import Effort, Search
from planner.solve.solve import solve


def started(p: Problem) -> Search:
    """A search with nothing done."""
    return Search(p, Effort(), None, lambda stage, done, detail: None)


def bound_of(p: Problem) -> float | None:
    """The LP bound; None: there is no plan."""
    try:
        return relax(started(p))
    except NoPlan:
        return None


@pytest.mark.parametrize("seed", [*range(24), 27])
def test_the_bound_is_the_same_with_and_without_a_guess(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the coarse problem says: no plan where it has one, other failures, other pools."""
    p = build(beset_study(seed) if seed % 2 else random_study(seed, "small"))
    direct = bound_of(p)
    monkeypatch.setattr(coarsely, "MANY_EDGES", -1)
    by_a_guess = bound_of(p)
    assert (direct is None) == (by_a_guess is None)
    assert by_a_guess == pytest.approx(direct, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("seed", range(12))
def test_flows_that_pay_are_opened_wherever_they_were_closed(seed: int) -> None:
    """With one pool open, and with none, the optimum is that of all: bounds are as they were."""
    p = build(random_study(seed, "small"))
    for pools in ((), p.pools[:1]):
        direct, narrow = started(p), started(p)
        try:
            enter_what_breaks(direct)
        except NoPlan:
            continue
        program = narrow.program
        enter_what_breaks(narrow, InPools(p, program, pools))
        assert (narrow.program.solver.upper * program.unit == program.upper).all(), "copies see all that is open"
        assert narrow.bound == pytest.approx(direct.bound, rel=1e-6, abs=1e-6)
        assert (program.upper[program.reduced_costs >= 0] >= program.values[program.reduced_costs >= 0]).all()


def test_a_time_limit_in_the_guess_ends_in_a_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock stands until the guess has begun its tests; then its share of the limit has passed."""
    p = build(random_study(1, "small"))
    monkeypatch.setattr(coarsely, "MANY_EDGES", -1)
    monkeypatch.setattr(Search, "spent_seconds", lambda self: 5.0 if self.p is not p else 0.0)
    assert solve(p, Effort(seconds=10.0)).cost_usd == pytest.approx(solve(p).cost_usd, rel=0.02)


def test_streams_with_the_same_edges_are_one_by_their_work() -> None:
    """All work is there: requests of a member count by its seconds beside those of the first."""
    for seed in range(6):
        p = build(random_study(seed, "small"))
        few = coarse(p)
        assert set(few.flows) <= set(p.flows)
        for h in p.hours:
            assert work(few, h) == pytest.approx(work(p, h))


def work(p: Problem, h: str) -> float:
    """Replicas that everything fills, each flow on the first placement that may serve it in failures."""
    filled = 0.0
    for w, o in p.flows:
        e = (*p.edges_in_failure[w, o], *p.edges[w, o])[0]
        filled += p.demand_requests_per_second[w, o, h] * p.replica_seconds_in_failure[w, e] * p.burst_factor[w]
    return filled


def test_the_pools_that_are_used_have_a_replica() -> None:
    """Those of the optimum, no others."""
    p = build(random_study(1, "small"))
    search = started(p)
    enter_what_breaks(search)
    purchases = search.purchases(integer=False)
    used = pools_used(p, purchases)
    for h in p.hours:
        for e, replicas in zip(p.placements, purchases.replicas[h,], strict=True):
            assert p.pool_of[e] in used or replicas <= 1e-7
