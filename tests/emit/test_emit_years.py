"""What is emitted of plans over years, and of plans that rescale: orders by period, phases, limits as reserved."""

import json

import pytest
from buildouts import hall
from one_pool import EXACT
from studies import random_study

from planner.emit.cascade import cascades_of_plan
from planner.emit.owned import files
from planner.emit.routing import routing_table, subject
from planner.plan.decisions import problem_of
from planner.plan.plan import make_plan
from planner.solve.search import Effort, Infeasible


def test_a_phase_is_a_ticket_and_power_of_its_hall():
    plan = make_plan(hall(cloud_usd_per_hour=100.0), EXACT)
    made = files(plan, {})
    tickets = json.loads(made["tickets/tickets.json"])
    (phase,) = tickets["phases"]
    assert (phase["build_out"], phase["modules"], phase["usable_from"]) == ("own/h:one", 1, "2028-01-01")
    # clocks of 12, 6, 3 and 1 months before 2028, and 14 days of slack
    assert [(o["part"], o["by"], o["usd"]) for o in phase["parts"]] == [
        ("power", "2026-12-18", 10000.0),
        ("shell", "2027-06-17", 20000.0),
        ("equipment", "2027-09-17", 6000.0),
        ("commissioning", "2027-11-17", 0.0),
    ]
    assert "0.02 MW of IT power, usable from 2028-01-01" in made[f"tickets/{phase['ticket']}.md"]


def test_each_order_of_a_plan_over_time_has_its_own_day():
    # machines of our own halls: a life of a year, so that they are bought again
    from buildouts import HALL, machines
    from studies import site

    from planner.study.records.inventory import Pool

    study = hall(
        quarters=8,
        sites=(site("owned/h", power_kw=100.0),),
        pools=(Pool(site="owned/h", machine_type="m"),),
        bought=[tuple(x.model_copy(update={"site": "owned/h"}) for x in machines(life=1.0))],
        build_outs=(),
    )
    assert HALL == "own/h"
    files_made = files(make_plan(study, EXACT), {})
    (rack,) = json.loads(files_made["inventory.json"])["halls"][0]["racks"]
    assert [(p["needed"], p["machines"]) for p in rack["phases"]] == [("2027-01-01", 1), ("2028-01-01", 1)]
    assert rack["machines"] == 1 and len({host for p in rack["phases"] for host in p["hosts"]}) == 2
    made = json.loads(files_made["tickets/tickets.json"])
    assert [(t["period"], t["units"]) for t in made["tickets"]] == [("quarter-1", 1), ("quarter-5", 1)]
    assert [t["needed"] for t in made["tickets"]] == ["2027-01-01", "2028-01-01"]


def test_limits_of_a_plan_that_rescales_are_its_reserves():
    plans = 0
    for seed in range(30):
        study = random_study(seed).model_copy(update={"failover": "rescale"})
        try:
            plan = make_plan(study, Effort(gap_fraction=0.1))
        except Infeasible:
            continue
        plans += 1
        p, r = problem_of(plan), plan.reserves
        of = zip(r.workload, r.origin, r.placement, r.requests_per_second, strict=True)
        reserved = {(w, o, e): rate * p.burst_factor[w] for w, o, e, rate in of}
        table = routing_table(subject(plan))
        emitted = {
            (x.workload, x.origin, e.placement): e.limit_requests_per_second for x in table.routes for e in x.entries
        }
        assert all(len(x.levels) == 1 for x in table.routes)
        for edge, limit in emitted.items():
            assert limit == pytest.approx(reserved[edge], rel=1e-6), (seed, edge)
        assert sum(reserved[edge] for edge in reserved.keys() - emitted.keys()) <= 1e-2 * sum(reserved.values())
        assert cascades_of_plan(plan)
    assert plans >= 15
