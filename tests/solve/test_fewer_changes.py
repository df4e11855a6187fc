"""What a search evicted or started for nothing: settled, it runs on."""

import numpy as np
import pytest
from studies import model, profile
from two_sites import two_sites

from planner.plan.audit import audit
from planner.plan.in_hand import in_hand
from planner.plan.plan import make_plan
from planner.solve.feasibility_subproblem import FeasibilitySubproblem
from planner.solve.search import Effort
from planner.study.records.inventory import Pool
from planner.study.records.study import Claim, Goal, Holding, Tier

LENT = (Claim(pool="b/y/m", machines=1, reclaim_seconds=100.0, lent_to="training"),)


@pytest.fixture(scope="module")
def plan():
    """Site a is lost: of 10 requests/s all are due after 300 s; four machines at b, one of which is back at 110 s."""
    goal = Goal(any="site", except_=("b/y",), within_seconds=300.0)
    profiles = [profile("m", "cuda", 5, load_seconds=120.0), profile("m", "rocm", 5, name="other", load_seconds=120.0)]
    return in_hand(
        make_plan(
            two_sites(
                models=(model("m", profiles),),
                tiers=(Tier(name="t", survive=(goal,)),),
                holdings=(Holding(pool="a/x/m", machines=2), Holding(pool="b/y/m", machines=4)),
                pools=(Pool(site="a/x", machine_type="m"), Pool(site="b/y", machine_type="m")),
                claims=LENT,
            ),
            Effort(gap_fraction=0.0),
        )
    )


def settled(plan, running, kept, cold_started):
    """Replicas of a failure as they are settled: (kept, cold-started) of the first placement at b by deadline."""
    p, f = plan.problem, "site:a/x"
    deadlines = p.deadlines_seconds[f]
    sub = FeasibilitySubproblem(p, deadlines)
    at = next(i for i, e in enumerate(p.placements) if p.pool_of[e] == "b/y/m")
    x = plan.vectors
    for h in p.hours:
        replicas = np.zeros(len(p.placements))
        replicas[at] = running
        x.replicas[h,] = replicas
        x.non_preemptible[h,] = replicas
    found = {}
    for s in sub.states(f):
        for name, last in (("kept", kept), ("cold_started", cold_started)):
            of_state = np.zeros(len(p.placements))
            of_state[at] = last if name == "kept" or s[2] >= 130.0 else 0.0
            found[name, s] = of_state
    states = sub.settle(f, x, found, np.ones(sub.a.E))
    return [(states.kept[s,][at], states.cold_started[s,][at]) for s in sub.states(f)], sub.states(f)


def test_what_is_evicted_and_started_again_stays(plan):
    """Two ran at b, both evicted and two started by 300 s: they stay all along."""
    now, states = settled(plan, 2.0, 0.0, 2.0)
    assert [s[2] for s in states] == [110.0, pytest.approx(110.001), 300.0]
    assert now == [(2.0, 0.0)] * 3


def test_what_has_machines_runs_on(plan):
    """Three ran, one is kept and one started; three machines at first: all three stay, none is started."""
    now, _ = settled(plan, 3.0, 1.0, 1.0)
    assert now == [(3.0, 0.0)] * 3


def test_the_plan_keeps_to_all_rules(plan):
    assert audit(plan.file).violations == ()
