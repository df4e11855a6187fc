"""Rescale plans: worked by hand, proven by audit, and replayed by the drill, which shares no code with them."""

from dataclasses import replace

import pytest
from studies import machine_type, model, offer, profile, random_study, site, study, workload

from planner.audit import audit
from planner.drill import drill_plan, drill_state_claims
from planner.plan import make_plan
from planner.problem import HOUR, build
from planner.records.inventory import Pool
from planner.records.plan import PlanFile
from planner.records.study import Component, Dependency, Goal, NamedFailure, Needs, Study, Tier
from planner.reserves import hardest, headrooms, least_reserve
from planner.risk import NORMAL
from planner.solve import Effort, Infeasible, solve

PLANS = 100
SMALL_FROM = 80


def rescaled(seed: int, size: str) -> PlanFile | None:
    asked = random_study(seed, size).model_copy(update={"failover": "rescale"})
    try:
        return make_plan(asked, Effort(gap_fraction=0.2, most_nodes=50))
    except Infeasible:
        return None


def test_a_hundred_random_plans_survive_every_failure_by_their_weights():
    plans = tight = dearer = seed = 0
    while plans < PLANS:
        plan = rescaled(seed, "tiny" if plans < SMALL_FROM else "small")
        seed += 1
        if plan is None:
            continue
        plans += 1
        assert audit(plan).passed, (seed, audit(plan).violations[:3])
        result = drill_plan(plan, "rescale")
        assert not result.broken and not result.findings, (seed, [r for r in result.rows if r.broken][:3])
        assert not drill_plan(plan).broken and not drill_state_claims(plan), seed
        dearer += plan.proof.cost_usd > plan.re_solved.cost_usd * 1.001
        # one replica less where most run: does the drill notice?
        most = max(plan.replicas, key=lambda r: r.replicas)
        fewer = [r.model_copy(update={"replicas": r.replicas - (r == most), "firm": None}) for r in plan.replicas]
        tight += drill_plan(plan.model_copy(update={"replicas": tuple(fewer)}), "rescale").broken
    assert tight > PLANS / 2 and dearer > PLANS / 4, (tight, dearer)
