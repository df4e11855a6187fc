"""Tiny random problems against brute force: the same cost, and infeasible together."""

from collections import Counter

import pytest
from oracle import cheapest
from sharp import found, tiny_study, troubled_study

from planner.problem.build import build
from planner.problem.problem import states
from planner.solve.lp_bound import relax
from planner.solve.search import Effort, Search, Solution
from planner.solve.whole_plan import WholePlan
from planner.study.dependencies import NORMAL
from planner.study.records.study import Study

SEEDS = range(200)
FEATURES = (
    "dead stack",
    "room made for another stack",
    "loads",
    "binding deadline",
    "pool limit",
    "surge",
    "claim",
    "claim comes back",
    "partial loss",
    "partial loss of a pool in use",
    "spot",
    "two at once",
    "shed",
    "infeasible",
)


def features(study: Study, solution: Solution | None) -> set[str]:
    """What a seed is a test of, by the study and by what the plan does."""
    p = build(study)
    seen = set()
    if any(p.lost[f].get(e, 1.0) == 0 for f in p.failures for e in p.placements if f.startswith("stack:")):
        seen.add("dead stack")
    if any(failure.surge_factor > 1 for failure in p.failures.values()):
        seen.add("surge")
    if any(0 < share < 1 for lost in p.lost.values() for share in lost.values()):
        seen.add("partial loss")
    if any(" + " in f for f in p.failures):
        seen.add("two at once")
    if study.claims:
        seen.add("claim")
    if any(c % 1 for clocks in p.deadlines_seconds.values() for c in clocks):
        seen.add("claim comes back")
    if solution is None:
        return seen | {"infeasible"}
    x = solution.decisions
    bought = {**x.started, **x.rented}
    if any(n >= p.most_units[b] for (b, _), n in bought.items()):
        seen.add("pool limit")
    if any(n and any(b in counted for counted in p.counted.values()) for (b, _), n in bought.items()):
        seen.add("spot")
    if any(n > 0.5 for n in x.cold_started.values()):
        seen.add("loads")
    for (e, h), n in x.replicas.items():
        for f in p.failures:
            share = p.lost[f].get(e, 1.0)
            if n and 0 < share < 1:
                seen.add("partial loss of a pool in use")
            if share > 0 and any(x.kept[e, s] < int(share * n + 1e-9) - 0.5 for s in states(p, f) if s[0] == h):
                seen.add("room made for another stack")
    if any(value > 1e-6 and s[1] != NORMAL for (_, _, s), value in x.shed.items()):
        seen.add("shed")
    return seen


def a_deadline_binds(study: Study, solution: Solution | None) -> bool:
    """Whether the plan costs more than if all were loaded at once: it is solved a second time for that."""
    at_once = None if solution is None else found(_with_load_seconds(study, 0.0))
    return at_once is not None and at_once.cost_usd < solution.cost_usd - 1e-6


def _with_load_seconds(study: Study, seconds: float) -> Study:
    old = study.models[0]
    profiles = tuple(f.model_copy(update={"load_seconds": seconds}) for f in old.profiles)
    return study.model_copy(update={"models": (old.model_copy(update={"profiles": profiles}),)})


def test_the_cheapest_plan_costs_what_brute_force_finds():
    counts: Counter[str] = Counter()
    differ = []
    for seed in SEEDS:
        study = tiny_study(seed)
        truth, solution = cheapest(study), found(study)
        if (truth is None) != (solution is None) or (
            truth is not None and solution is not None and solution.cost_usd != pytest.approx(truth[0], abs=1e-6)
        ):
            differ.append((seed, truth and truth[0], solution and solution.cost_usd))
        if truth is not None and solution is not None:
            assert solution.bound_usd <= truth[0] + 1e-6, f"seed {seed}: a bound above the cheapest plan"
        counts.update(features(study, solution))
        if not counts["binding deadline"]:  # one is enough, and each takes as long as the comparison itself
            counts["binding deadline"] += a_deadline_binds(study, solution)
    assert not differ, "(seed, brute force, planner) [USD]"
    assert {name: counts[name] for name in FEATURES if not counts[name]} == {}, "not in the set, so not tested"


def test_the_bound_with_less_whole_is_no_higher_than_what_brute_force_finds():
    """Replicas in failures divisible: it bounds every plan, and more tightly than the linear program."""
    tighter = compared = 0
    for seed in range(40):
        study = tiny_study(seed)
        truth = cheapest(study)
        if truth is None:
            continue
        search = Search(build(study), Effort(gap_fraction=0.0), None, lambda *_: None)
        lp_bound = relax(search)
        search_whole = WholePlan(search)
        search_whole.tests.make_whole(search.blocks)
        search_whole._search_loosened()
        assert lp_bound - 1e-6 <= search.bound <= truth[0] + 1e-6, f"seed {seed}"
        compared += 1
        tighter += search.bound > lp_bound + 1e-3
    assert compared > 20 and tighter > 10, (compared, tighter)


TOO_LONG = {5, 15, 17, 27, 37, 47, 53, 57}
"""Seeds on which brute force takes more than seconds."""


def test_what_can_be_obtained_or_counts_in_part_costs_what_brute_force_finds():
    """Markets of few units, shares of what runs, two maintenance shares of the same site."""
    differ, plans, obtained = [], 0, 0
    for seed in sorted({*range(60)} - TOO_LONG):
        study = troubled_study(seed)
        truth, solution = cheapest(study), found(study)
        if (truth is None) != (solution is None):
            differ.append((seed, truth and truth[0], solution and solution.cost_usd))
        if truth is None or solution is None:
            continue
        plans += 1
        obtained += any(n > 0.5 for n in solution.decisions.obtained.values())
        if solution.cost_usd != pytest.approx(truth[0], abs=1e-6) or solution.bound_usd > truth[0] + 1e-6:
            differ.append((seed, truth[0], solution.cost_usd, solution.bound_usd))
    assert not differ, "(seed, brute force, planner) [USD]"
    assert plans > 25 and obtained > 10


def test_no_cheaper_plan_is_overlooked():
    """HiGHS 1.15, when given a start, overlooked this optimum: searches are given none."""
    study = tiny_study(995)
    pools = tuple(q.model_copy(update={"spare_machines": 1.5 * q.spare_machines}) for q in study.pools)
    study = study.model_copy(update={"pools": pools})
    truth, solution = cheapest(study), found(study)
    assert truth is not None and solution is not None
    assert (truth[0], solution.cost_usd, solution.bound_usd) == pytest.approx((18.0, 18.0, 18.0))
