"""The search for whole numbers: bounds are of what is asked, shortcuts skip nothing that hurts."""

import pytest
from studies import model, offer, profile, random_study
from test_failures import asked, goal

from planner import search as searching
from planner.audit import audit
from planner.build import build
from planner.drill import drill_plan
from planner.plan import make_plan
from planner.records.study import Counted, Holding, NamedFailure, Policies, RequestCost
from planner.search import Effort, Infeasible
from planner.solve import solve

EXACT = Effort(gap_fraction=0.0)
LOADS = (model("m", [profile("m", "cuda", 1, load_seconds=20.0)]),)
A_IS_LOST = (NamedFailure(name="f", lost={"site:p/a": 1.0}),)


def tight(machines_at_b: float, demand: float = 10.0):
    """Without a all must be loaded at b, where there are so many machines."""
    bought = [offer("p/a/m", 1), offer("r/b/m", 2, most_units=machines_at_b)]
    return asked(models=LOADS, failures=A_IS_LOST, tiers=goal(), bought=bought, demand={("w", "o"): demand})


def test_room_for_rounding_is_in_no_bound_and_no_verdict(monkeypatch):
    monkeypatch.setattr(searching, "LARGE_COLUMNS", 0)
    # exactly as many machines as are needed: 1 % more would be too much
    assert solve(build(tight(10.0)), EXACT).cost_usd == pytest.approx(20.0)
    # rounding finds nothing: the integer search must not be of 101 requests/s
    monkeypatch.setattr(searching, "dive", lambda *_: False)
    found = solve(build(tight(200.0, 100.0)), EXACT)
    assert (found.cost_usd, found.bound_usd) == (pytest.approx(200.0), pytest.approx(200.0))


def test_a_commitment_that_counts_half_is_hurt_by_a_failure_elsewhere():
    # all of it runs in a; when unused b is lost half of what is committed counts: twice as many, or none of it
    half = Policies(counted=(Counted(offers=("p/a/*",), running_fraction=0.5),))
    bought = [offer("p/a/m", 1, "commitment", most_units=40.0), offer("r/b/m", 9, most_units=40.0)]
    lost = (NamedFailure(name="f", lost={"site:r/b": 1.0}),)
    plan = make_plan(asked(bought=bought, failures=lost, tiers=goal(), policies=half), EXACT)
    assert audit(plan).passed
    assert plan.proof.cost_usd == pytest.approx(20.0)


def test_what_is_shed_and_what_requests_cost_are_weighed_by_the_same_hours():
    # ten machines held, all needed when b is lost; a request is worth half of what serving it costs, and half is shed
    plan = make_plan(
        asked(
            hours_per_month=730.0,
            holdings=(Holding(pool="p/a/m", machines=11),),
            failures=(NamedFailure(name="f", lost={"site:r/b": 1.0}),),
            tiers=(goal()[0].model_copy(update={"serve_fraction": 0.5, "outage_usd_per_request": 0.0005}),),
            request_costs=tuple(RequestCost(origin="o", site=at, usd_per_request=0.001) for at in ("p/a", "r/b")),
        ),
        EXACT,
    )
    hours = sum(build(plan.study).present_hours.values())
    assert plan.proof.cost_usd == pytest.approx(3600 * hours * (5 * 0.001 + 5 * 0.0005), rel=1e-6)
    assert plan.proof.status == "proven"


def test_a_start_near_a_similar_plan_changes_nothing_that_is_proven(monkeypatch):
    plans, tried = 0, []
    looked_near = searching.near
    monkeypatch.setattr(searching, "near", lambda *asked: tried.append(looked_near(*asked)) or tried[-1])
    for seed in range(24):
        study = random_study(seed)
        try:
            before = make_plan(study, Effort(gap_fraction=0.05))
        except Infeasible:
            continue
        rows = (d.model_copy(update={"requests_per_second": d.requests_per_second * 1.1}) for d in study.demand)
        more = study.model_copy(update={"demand": tuple(rows)})
        try:
            cold = make_plan(more, Effort(gap_fraction=0.05))
        except Infeasible:
            with pytest.raises(Infeasible):
                make_plan(more, Effort(gap_fraction=0.05), start=before)
            continue
        warm = make_plan(more, Effort(gap_fraction=0.05), start=before)
        plans += 1
        assert audit(warm).passed and not drill_plan(warm).broken
        assert warm.proof.bound_usd <= cold.proof.cost_usd * (1 + 1e-6) + 1e-6
        assert cold.proof.bound_usd <= warm.proof.cost_usd * (1 + 1e-6) + 1e-6
    assert plans >= 12 and sum(values is not None for values in tried) >= 12, (plans, len(tried))
