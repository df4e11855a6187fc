"""The optimiser, its audit and the drill, which shares no code with them, agree."""

import random
from dataclasses import replace

import pytest
from over_time import study_over_time
from studies import random_study

import planner.problem.eligibility
from planner.drill import drill_plan, drill_state_claims
from planner.plan.audit import audit
from planner.plan.decisions import decisions_of
from planner.plan.plan import make_plan
from planner.problem.arrays import merged
from planner.problem.build import build
from planner.problem.rules.index_sets import as_vectors
from planner.solve.feasibility_subproblem import tolerance
from planner.solve.search import Effort, Infeasible, Search
from planner.study.dependencies import NORMAL

SEEDS = [("tiny", seed) for seed in range(180)] + [("small", seed) for seed in range(60)]
SEEDS += [("tiny", seed) for seed in range(180, 204)]
PARTS = 8


def planned(size, seed):
    study = random_study(seed, size)
    try:
        return make_plan(study, Effort(gap_fraction=0.1))
    except Infeasible:
        return None


@pytest.mark.parametrize("part", range(PARTS))
def test_audit_and_drill_pass_on_random_plans_and_judge_weakened_ones_alike(part):
    plans = loading = broken = 0
    for size, seed in SEEDS[part::PARTS]:
        plan = planned(size, seed)
        if plan is None:
            continue
        plans += 1
        loading += any(state.cold_started for state in plan.states)
        assert audit(plan).passed, (size, seed, audit(plan).violations[:3])
        assert not drill_plan(plan).broken, (size, seed)
        assert not drill_state_claims(plan), (size, seed)
        # fewer replicas and machines: does each failure still hold? the two must say the same
        g, p = random.Random(seed), build(plan.study)
        run = {r.placement: max(0, r.replicas - g.choice([0, 0, 1, 2])) for r in plan.replicas}
        bought = {b.offer: max(0, b.units - g.choice([0, 0, 0, 1])) for b in plan.purchases}
        weak = plan.model_copy(
            update={
                "replicas": tuple(
                    r.model_copy(
                        update={
                            "replicas": n,
                            "non_preemptible": None if r.non_preemptible is None else min(r.non_preemptible, n),
                        }
                    )
                    for r in plan.replicas
                    for n in [run[r.placement]]
                ),
                "purchases": tuple(b.model_copy(update={"units": bought[b.offer]}) for b in plan.purchases),
            }
        )
        drilled = {row.failure for row in drill_plan(weak).rows if row.broken} - {NORMAL}
        search, x = Search(p, Effort(), None, lambda *_: None), as_vectors(p, decisions_of(weak, p))
        tested = {f for f in search.failures() if search.subproblem(f).test_whole(f, x, None)[0] > tolerance(p, f)}
        assert tested == drilled, (size, seed, tested ^ drilled)
        broken += len(drilled)
    # at least 200 plans in all; each part has plans that load replicas, and weakened ones that break
    assert plans >= 25 and loading >= 1 and broken >= 20, (plans, loading, broken)


YEARS = range(80)


@pytest.mark.parametrize("part", range(4))
def test_over_periods_and_hours_the_two_judge_every_hour_alike(part):
    plans = expired = broken = 0
    for seed in YEARS[part::4]:
        study = study_over_time(seed)
        try:
            plan = make_plan(study, Effort(gap_fraction=0.05))
        except Infeasible:
            continue
        plans += 1
        assert audit(plan).passed, (seed, audit(plan).violations[:3])
        result = drill_plan(plan)
        assert not result.broken and not result.findings, (seed, result.findings, result.rows[:3])
        assert not drill_state_claims(plan), (seed, drill_state_claims(plan)[:3])
        p, g = build(plan.study), random.Random(seed)
        assert result.hours == len(p.hours)
        run = [max(0, r.replicas - g.choice([0, 0, 1, 2])) for r in plan.replicas]
        weak = plan.model_copy(
            update={
                "replicas": tuple(
                    r.model_copy(
                        update={
                            "replicas": n,
                            "non_preemptible": None if r.non_preemptible is None else min(r.non_preemptible, n),
                        }
                    )
                    for r, n in zip(plan.replicas, run, strict=True)
                ),
                "purchases": tuple(
                    b.model_copy(update={"units": max(0, b.units - g.choice([0, 0, 1]))}) for b in plan.purchases
                ),
            }
        )
        drilled = {(r.failure, r.hour) for r in drill_plan(weak).rows if r.broken and r.failure != NORMAL}
        search, x = Search(p, Effort(), None, lambda *_: None), as_vectors(p, decisions_of(weak, p))
        tested = {
            (f, h)
            for f in search.failures()
            for h in p.hours
            if search.subproblem(f, h).test_whole(f, x, None)[0] > tolerance(p, f)
        }
        assert tested == drilled, (seed, tested ^ drilled)
        broken += len(drilled)
        terms = {
            b.offer: p.vintages.get((b.offer, p.periods[-1]), ()) for b in plan.purchases if b.offer not in p.hourly
        }
        expired += any(b.units and b.when not in terms.get(b.offer, (b.when,)) for b in plan.purchases)
    # at least 60 plans in all; in each part something bought is gone before the horizon ends, and weakened ones break
    assert plans >= 15 and expired >= 3 and broken >= 20, (plans, expired, broken)


def test_a_wrong_formula_passes_the_audit_and_fails_the_drill(monkeypatch):
    right = planner.problem.eligibility.replica_seconds_per_request
    monkeypatch.setattr(
        planner.problem.eligibility,
        "replica_seconds_per_request",
        lambda w, point, cached=None: right(w, point, cached) / 2,
    )
    plan = planned("small", 0)
    assert audit(plan).passed, "the audit shares the wrong formula"
    assert drill_plan(plan).broken
    assert drill_state_claims(plan)


@pytest.mark.parametrize("seed", range(4))
def test_the_loop_finds_what_the_whole_program_finds(seed):
    """The relaxation over the failures that entered costs what the program with all of them costs."""
    from planner.problem.rules.costs import cost_usd
    from planner.solve.columns import add_failure, start_program
    from planner.solve.lp_bound import relax
    from planner.solve.program import OPTIMAL

    p = build(random_study(seed, "small"))
    search = Search(p, Effort(), None, lambda *_: None)
    loop = relax(search)
    program, x = start_program(p)
    for f in search.failures():
        add_failure(merged(p)(f), program, x, f)
    program.minimise(cost_usd(merged(p)(NORMAL), x))
    assert program.solve() == OPTIMAL
    assert loop == pytest.approx(program.objective, rel=1e-7, abs=1e-7)


def test_without_goals_is_cheaper_and_normal_operation_only():
    p = build(random_study(3, "small"))
    bare = build(random_study(3, "small"), with_goals=False)
    assert set(bare.failures) == {NORMAL} and set(p.failures) > {NORMAL}
    by_failure = (
        "failures",
        "promised",
        "lost",
        "coverable",
        "deadlines_seconds",
        "counted",
        "obtainable",
        "with_spot",
        "cannot_start",
        "closed",
    )
    assert replace(bare, **{name: getattr(p, name) for name in by_failure}) == p
