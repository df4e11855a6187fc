"""The drill over periods and hours: contracts, growth and work that waits, as the audit has them."""

import random
from dataclasses import replace
from datetime import date, timedelta

import pytest
from buildouts import hall
from one_pool import DAY, EXACT, START, small
from studies import offer, random_study

from planner.drill import drill_fleet, drill_plan, drill_state_claims
from planner.drill.time_slices import time_slices_of
from planner.errors import InputError
from planner.plan.audit import audit
from planner.plan.decisions import decisions_of
from planner.plan.plan import make_plan
from planner.problem.build import build
from planner.problem.rules.index_sets import as_vectors
from planner.review.drill import in_hours, review_drill
from planner.solve.feasibility_subproblem import tolerance
from planner.solve.search import Effort, Infeasible, Search
from planner.study.calendar import hours_of
from planner.study.dependencies import NORMAL
from planner.study.records.study import (
    Demand,
    Goal,
    Holding,
    Horizon,
    Hour,
    NamedFailure,
    Period,
    Policies,
    Shape,
    Tier,
)

TWO = (Hour(name="day", weight_fraction=0.7), Hour(name="night", weight_fraction=0.3))


def over_time(seed: int):
    """A random study over two or three periods of two hours: growth, shapes, contracts, and machines that go."""
    g, s = random.Random(1000 + seed), random_study(seed)
    names = [f"p{n}" for n in range(g.choice([2, 3]))]
    periods = tuple(Period(name=name, months=float(g.choice([1, 2, 3]))) for name in names)
    horizon = Horizon(start=date(2027, 1, 1), periods=periods, hours=TWO)
    inside = horizon.start + timedelta(days=40)
    terms = [
        offer(q.id, g.randint(1, 3), "commitment", term_months=float(g.choice([2, 3])), most_units=2.0) for q in s.pools
    ]
    waits = g.random() < 0.4
    return s.model_copy(
        update={
            "today": date(2026, 1, 1),
            "horizon": horizon,
            "offers": (*s.offers, *(b for b, _ in terms)),
            "prices": (*s.prices, *(price for _, price in terms)),
            "holdings": tuple(h.model_copy(update={"until": g.choice([None, inside])}) for h in s.holdings),
            "claims": tuple(c.model_copy(update={"until": g.choice([None, inside])}) for c in s.claims),
            "tiers": tuple(
                t.model_copy(update={"deferrable_hours": 24.0}) if waits and t.name == "iron" else t for t in s.tiers
            ),
            "shapes": (Shape(name="sun", factors={"day": 1.2, "night": 0.5}),),
            "demand": tuple(
                row.model_copy(
                    update={"shape": g.choice(["sun", None]), "growth_fraction_per_year": g.choice([0.0, 1.0])}
                )
                for row in s.demand
            ),
            "policies": Policies(terms_beyond_horizon=True),
        }
    )


def test_audit_and_drill_agree_over_time_also_on_weakened_plans():
    """With what a random study holds and lends by itself; test_agreement.py has 80 studies of all contracts."""
    plans = broken = waiting = 0
    for seed in range(0, 64, 4):
        study = over_time(seed)
        try:
            plan = make_plan(study, Effort(gap_fraction=0.05))
        except Infeasible:
            continue
        plans, waiting = plans + 1, waiting + any(t.deferrable_hours for t in study.tiers)
        assert audit(plan).passed, (seed, audit(plan).violations[:3])
        result = drill_plan(plan)
        assert not result.broken and not result.findings, (seed, result.findings[:3], result.rows[:1])
        assert not drill_state_claims(plan), (seed, drill_state_claims(plan)[:3])
        g, p = random.Random(seed), build(study)
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
                    for n in [max(0, r.replicas - g.choice([0, 1]))]
                )
            }
        )
        drilled = {(row.failure, row.hour) for row in drill_plan(weak).rows if row.broken and row.failure != NORMAL}
        search, x = Search(p, Effort(), None, lambda *_: None), as_vectors(p, decisions_of(weak, p))
        tested = {
            (f, h)
            for f in search.failures()
            for h in p.hours
            if search.subproblem(f, h).test_whole(f, x, None)[0] > tolerance(p, f)
        }
        assert tested == drilled, (seed, tested ^ drilled)
        broken += len(drilled)
    assert plans >= 12 and broken >= 20 and waiting >= 3, (plans, broken, waiting)


def test_hours_and_days_are_those_of_the_study():
    study = over_time(3)
    (period_of, _), hours = hours_of(study)
    slices = time_slices_of(study)
    assert [m.hour for m in slices] == list(hours) and {m.hour: m.period for m in slices} == period_of
    p = build(study)
    for m in slices:
        for w, o in p.flows:
            assert m.wanted[w, o] == pytest.approx(p.demand_requests_per_second[w, o, m.hour])


def test_machines_that_go_are_missed_in_the_period_after():
    # 2 machines held through quarter 1, on demand afterwards; without what is rented in quarter 2 that quarter breaks
    horizon = Horizon(start=START, quarters=2)
    ends = START + timedelta(days=91)
    plan = make_plan(small(horizon, 10.0, holdings=(Holding(pool="a/x/m", machines=2, until=ends),)), EXACT)
    assert [row.when for row in plan.purchases] == ["quarter-2/mean-hour"] and not drill_plan(plan).broken
    less = plan.model_copy(update={"purchases": ()})
    result = drill_plan(less)
    assert next(text for text in result.findings if "machines with rollouts" in text).startswith(
        "quarter-2/mean-hour: "
    )
    assert {row.hour for row in result.rows if row.broken} == {"quarter-2/mean-hour"}


def test_work_that_waits_is_done_over_its_period():
    # 12 requests/s by day, 0 at night, or any split with the same mean of 9: one machine serves 5
    asked = small(
        Horizon(start=START, quarters=1, hours=DAY),
        [
            Demand(workload="w", origin="o", requests_per_second=value, hour=hour)
            for hour, value in (("day", 12.0), ("night", 0.0))
        ],
        tiers=(Tier(name="t", deferrable_hours=24.0),),
    )
    plan = make_plan(asked, EXACT)
    assert audit(plan).passed and not drill_plan(plan).findings and not drill_state_claims(plan)
    states = tuple(
        s.model_copy(update={"requests_per_second": tuple(v / 2 for v in s.requests_per_second)}) for s in plan.states
    )
    lazy = plan.model_copy(update={"states": states})
    assert any("are taken up, wanted 9" in text for text in drill_plan(lazy).findings)


def test_machines_without_power_are_found():
    plan = make_plan(hall(cloud_usd_per_hour=100.0), EXACT)
    assert plan.builds and not drill_plan(plan).findings
    (text,) = drill_plan(plan.model_copy(update={"builds": ()})).findings[:1]
    assert "machines at own/h draw 10 kW, at most 0" in text


def test_a_fleet_is_drilled_in_the_fullest_hour_and_says_so():
    study = small(
        Horizon(start=START, quarters=2, hours=DAY),
        [Demand(workload="w", origin="o", requests_per_second=10.0, shape="sun")],
        shapes=(Shape(name="sun", factors={"day": 1.0, "night": 0.5}),),
    )
    assert drill_fleet(study, []).subject.endswith("at quarter-1/day, the hour of most requests of the first period")


def test_the_worst_hour_of_each_failure_is_shown_and_others_on_demand():
    study = small(
        Horizon(start=START, quarters=2, hours=DAY),
        [Demand(workload="w", origin="o", requests_per_second=10.0, shape="sun")],
        tiers=(
            Tier(
                name="t",
                outage_usd_per_request=1.0,
                survive=(Goal(failure="f", serve_fraction=0.1, within_seconds=60.0),),
            ),
        ),
        failures=(NamedFailure(name="f", lost={"pool:a/x/m": 0.5}, hours_to_repair=1.0),),
        shapes=(Shape(name="sun", factors={"day": 1.0, "night": 0.5}),),
    )
    result = drill_plan(make_plan(study, EXACT))
    assert {t.hour for t in result.outage_impacts} == {f"quarter-{n}/{h}" for n in (1, 2) for h in ("day", "night")}
    assert [t.hour.rpartition("/")[2] for t in in_hours(result).outage_impacts] == ["day"]
    assert {t.hour for t in in_hours(result, "*/night").outage_impacts} == {"quarter-1/night", "quarter-2/night"}
    assert "in each of 4 hours" in review_drill(result, ()).sections[0].lines[0]
    with pytest.raises(InputError, match="--hour"):
        in_hours(result, "noon")
    with pytest.raises(InputError, match="one hour"):
        in_hours(replace(result, hours=1), "noon")
