"""The search for whole numbers: bounds are of what is asked, shortcuts skip nothing that hurts."""

from dataclasses import replace
from datetime import date

import pytest
from failing import asked, goal
from studies import model, offer, profile, random_study, workload

from planner.drill import drill_plan, drill_state_claims
from planner.plan.audit import audit
from planner.plan.plan import make_plan
from planner.problem.algebra import Sparse
from planner.problem.arrays import full
from planner.problem.build import build
from planner.problem.decisions import no_decisions
from planner.problem.rules.formulas import can_load, loading
from planner.problem.rules.index_sets import as_vectors
from planner.solve import reached
from planner.solve import whole_plan as searching
from planner.solve.search import Effort, Infeasible, unhurt
from planner.solve.solve import solve
from planner.solve.whole_numbers import non_preemptible_at_its_largest
from planner.study.records.plan import PlanFile
from planner.study.records.study import (
    Counted,
    Demand,
    Goal,
    Holding,
    Horizon,
    Hour,
    NamedFailure,
    Policies,
    RequestCost,
    Tier,
)

EXACT = Effort(gap_fraction=0.0)
LOADS = (model("m", [profile("m", "cuda", 1, load_seconds=20.0)]),)
A_IS_LOST = (NamedFailure(name="f", lost={"site:p/a": 1.0}),)


def tight(machines_at_b: float, demand: float = 10.0):
    """Without a all must be loaded at b, where there are so many machines."""
    bought = [offer("p/a/m", 1), offer("r/b/m", 2, most_units=machines_at_b)]
    return asked(models=LOADS, failures=A_IS_LOST, tiers=goal(), bought=bought, demand={("w", "o"): demand})


def test_where_the_first_whole_numbers_lead_nowhere_everything_is_searched(monkeypatch):
    monkeypatch.setattr(reached, "LARGE_COLUMNS", 0)
    # exactly as many machines as are needed: 1 % more would be too much
    assert solve(build(tight(10.0)), EXACT).cost_usd == pytest.approx(20.0)
    monkeypatch.setattr(searching.WholePlan, "_first_plan", lambda self: None)
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
    plans, near = 0, []
    for name in ("_keep_similar_plan", "_search_near"):
        look = getattr(searching.WholePlan, name)

        def looked(self, start, look=look):
            look(self, start)
            if self.best is not None and self not in near:
                near.append(self)

        monkeypatch.setattr(searching.WholePlan, name, looked)
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
    assert plans >= 12 and len(near) >= 12, (plans, len(near))


def ends_well(study, cost_usd: float) -> PlanFile:
    """The plan of a study, which costs what it should, passes its audit and its drill, and states no false number."""
    plan = make_plan(study, EXACT)
    assert audit(plan).violations == ()
    assert not drill_plan(plan, study.failover).broken and drill_state_claims(plan) == ()
    assert plan.proof.cost_usd == pytest.approx(cost_usd)
    return plan


def test_what_is_due_is_served_before_what_takes_little_room():
    """Reduced from a crash: one request of v takes as much room as 20 of w, at the same price when it is not served.

    Without a 80 % are due: 8 of v on 8 replicas, 80 of w on 4, so 12 replicas in b at 2 USD. Normal operation needs
    15, 3 of them in a at 1 USD. All 100 of w would leave room for 7 of v.
    """
    (tier,) = goal(fraction=0.8)
    plan = ends_well(
        asked(
            models=(model("m", [profile("m", "cuda", 20, load_seconds=100.0)]),),
            failures=A_IS_LOST,
            tiers=(tier.model_copy(update={"outage_usd_per_request": 0.01}),),
            workloads=(workload("v", mean_output_tokens=20.0), workload("w")),
            demand={("v", "o"): 10, ("w", "o"): 100},
        ),
        12 * 2 + 3 * 1,
    )
    (state,) = (s for s in plan.states if s.failure == "failure:f")
    assert sum(sum(shed.values()) for shed in state.shed.values()) == pytest.approx(22.0)


@pytest.mark.parametrize("hours", [(), ("day", "night")])
def test_replicas_on_machines_that_count_are_firm_though_no_failure_asks(hours):
    """Reduced from a crash: spot is sold where nobody buys it, and what is lost is not in use, so nothing is tested."""
    each = tuple(Hour(name=h, weight_fraction=0.5) for h in hours)
    lost = (NamedFailure(name="f", lost={"site:r/b": 1.0}),)
    bought = [offer("p/a/m", 1), offer("p/a/m", 9, "spot"), offer("r/b/m", 2)]
    plan = ends_well(
        asked(
            bought=bought,
            models=LOADS,  # in 20 s, which is too late: what does not run on is not there
            failures=lost,
            tiers=goal(within=15.0),
            horizon=Horizon(start=date(2026, 1, 1), months=1.0, hours=each),
        ),
        10.0,
    )
    assert {row.non_preemptible for row in plan.replicas} <= {None, 10}


def test_firm_replicas_are_as_many_as_the_machines_that_count_carry():
    """Two models share a pool: of 4 + 4 replicas 5 stand on machines that count, wherever the solver put the first."""
    p = build(
        asked(
            models=(model("m", [profile("m", "cuda", 1)]), model("k", [profile("m", "cuda", 1)])),
            workloads=(workload("w"), workload("v", model="k")),
            demand={("w", "o"): 4, ("v", "o"): 4},
            bought=[offer("p/a/m", 2), offer("p/a/m", 1, "spot")],
            failures=(NamedFailure(name="f", lost={"site:r/b": 1.0}),),
            tiers=goal(fraction=0.5),
        )
    )
    (h,), ours = p.hours, p.on_pool["p/a/m"]
    x = no_decisions()
    x.rented = Sparse({("p/a/m:on_demand", h): 5.0, ("p/a/m:spot", h): 3.0})
    x.replicas, a = Sparse({(e, h): 4.0 for e in ours}), full(p)
    for first in ({}, {(ours[0], h): 4.0}, {(ours[1], h): 3.0}):
        x.non_preemptible = Sparse(first)
        vectors = as_vectors(p, x)
        whole = non_preemptible_at_its_largest(a, vectors, integer=True)
        (replicas,) = whole.values()
        assert replicas.sum() == 5.0 and all(replicas[a.placement_at[e]] >= n for (e, _), n in first.items())
        assert all(n == int(n) <= 4.0 for n in replicas)
        (divisible,) = non_preemptible_at_its_largest(a, vectors, integer=False).values()
        assert divisible.sum() == pytest.approx(5.0)
        vectors.non_preemptible = whole
        assert not unhurt(p, vectors, "failure:f", h)


def test_gateways_that_rescale_have_the_replicas_of_each_hour():
    """Any of two halls is lost: 4 by day and 10 at night in each, half of the time; the first hour is no measure."""
    hours = tuple(Hour(name=h, weight_fraction=0.5) for h in ("day", "night"))
    ends_well(
        asked(
            failover="rescale",
            horizon=Horizon(start=date(2026, 1, 1), months=1.0, hours=hours),
            tiers=(Tier(name="t", survive=(Goal(any="site", serve_fraction=1.0, within_seconds=60.0),)),),
            demand=tuple(
                Demand(workload="w", origin="o", hour=h, requests_per_second=n) for h, n in (("day", 4), ("night", 10))
            ),
            bought=[offer("p/a/m", 1), offer("r/b/m", 2)],
        ),
        0.5 * (4 + 10) * (1 + 2),
    )


def test_an_outage_that_costs_nothing_is_settled():
    ends_well(
        asked(
            objective="expected",
            failures=(NamedFailure(name="f", lost={"site:p/a": 1.0}, failures_per_year=1.0, hours_to_repair=1.0),),
            tiers=goal(fraction=0.5),
            bought=[offer("p/a/m", 1), offer("r/b/m", 2)],
        ),
        5 * 1 + 5 * 2,
    )


def test_what_loads_until_the_deadline_is_in_time():
    """0.1 s until the failure is detected and 0.2 s to load are 0.3 s, though not to the last bit."""
    models = (model("m", [profile("m", "cuda", 1, load_seconds=0.2)]),)
    p = build(asked(models=models, failures=A_IS_LOST, tiers=goal(within=0.3), detection_seconds=0.1))
    late = (p.hours[0], "failure:f", 0.3)
    assert 0.1 + 0.2 > 0.3 and p.deadlines_seconds["failure:f"] == (0.3,)
    assert [can_load(p, e, late) for e in p.on_pool["r/b/m"]] == [True]
    # and what began to load 25 s before, at 30.001 s, is there
    assert 55.001 - 30.001 < 25.0
    p = replace(
        p, load_seconds=dict.fromkeys(p.placements, 25.0), deadlines_seconds={"failure:f": (30.001, 40.0, 55.001)}
    )
    a = full(p)
    earlier = [before[2] for before, mask in loading(a, (p.hours[0], "failure:f", 55.001)) if mask[0]]
    assert earlier == [40.0]


def test_what_an_outage_costs_is_weighed_with_whole_replicas():
    """One outage, in which 30 % of a is lost; each of 10 requests/s that is not served costs 20 USD, a machine 9.

    Divisible, 14 machines leave 9.8: 126 + 4 = 130 USD, less than 13 (117 + 18) and 15 (135 + 0). Whole, 14 leave 9 and
    cost 146, as many as 13 leave for 137; 15 leave 10: 135 USD.
    """
    part = NamedFailure(name="f", lost={"site:p/a": 0.3}, failures_per_year=12.0, hours_to_repair=1.0)
    plan = ends_well(
        asked(
            objective="expected",
            detection_seconds=0.0,
            models=(model("m", [profile("m", "cuda", 1, load_seconds=7200.0)]),),
            failures=(part,),
            tiers=(Tier(name="t", outage_usd_per_request=20 / 3600),),
            bought=[offer("p/a/m", 9)],
        ),
        135.0,
    )
    assert plan.proof.status == "proven" and plan.proof.bound_usd == pytest.approx(135.0)
