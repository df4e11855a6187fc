"""Failures of a study replayed by name, whether or not a goal asks for them.

As in `test_drill`: a replica serves 10 requests/s and takes 300 s to load, detection takes 10 s, demand is 100
requests/s of chat from town.
"""

import pytest
from drill_fixtures import at, chat, goal, hold, plan, running, study
from drilled import A, row, served, tier

import planner
from planner.drill import drill_fleet, drill_plan
from planner.errors import InputError
from planner.study.records.study import NamedFailure

LOST = NamedFailure(name="f", lost={A: 1.0}, hours_to_repair=1.0)
AT_A_LOAD = {at("a"): 10, at("b"): 4}


def test_a_failure_that_no_goal_names_is_held_to_nothing_and_costs_what_is_not_served() -> None:
    # b has 10 machines and runs 4 replicas: 40 of 100 requests/s until the others are loaded, 10 + 300 s
    s = study(
        failures=(LOST,), holdings=hold(a=10, b=10), tiers=(tier(goal(within=60.0), outage_usd_per_request=0.01),)
    )
    p = plan(s, AT_A_LOAD, chat(a=60, b=40))
    result = drill_plan(p, named=("f",))
    assert {(r.failure, r.deadline_seconds) for r in result.rows} == {
        ("normal", 0.0),
        *(("failure:f", t) for t in (0.0, 10.0, 60.0, 310.0)),
    }
    assert [served(result, "failure:f", t) for t in (0.0, 10.0, 60.0, 310.0)] == pytest.approx([0.4, 0.4, 0.4, 1.0])
    assert not result.broken and row(result, "failure:f", 60.0).due_fraction == 0.0
    (impact,) = result.outage_impacts
    assert (impact.until, impact.until_seconds) == ("repair", 3600.0)
    assert (impact.requests_lost, impact.usd_lost) == pytest.approx((60 * 310, 0.01 * 60 * 310))
    assert planner.drill(p, named=["f"]) == result
    # twice or beside components: each once
    assert drill_plan(p, named=("f", "f")) == result
    both = drill_plan(p, which=(("site",), ()), named=("f",))
    assert {r.failure for r in both.rows} == {"normal", "failure:f", A, "site:google/b"}


def test_a_failure_that_a_goal_names_keeps_its_goals() -> None:
    tiers = (tier(goal(None, failure="f", within=60.0, fraction=0.5)),)
    s = study(failures=(LOST,), holdings=hold(a=10, b=10), tiers=tiers)
    result = drill_plan(plan(s, AT_A_LOAD, chat(a=60, b=40)), named=("f",))
    assert row(result, "failure:f", 10.0).due_fraction == 0.0
    late = row(result, "failure:f", 60.0)
    assert late.broken and late.short_requests_per_second == pytest.approx(10.0)


def test_on_a_fleet_a_part_may_fall_on_either_placement() -> None:
    half = NamedFailure(name="half", lost={A: 0.5}, worst_part=True)
    result = drill_fleet(study(failures=(half,)), [running("a", 10, 1)], named=("half",))
    assert served(result, f"failure:half on {at('a')}", 10.0) == pytest.approx(0.5)


def test_a_name_that_no_failure_has_is_refused() -> None:
    with pytest.raises(InputError, match="one of f"):
        drill_fleet(study(failures=(LOST,)), [], named=("g",))
    with pytest.raises(InputError, match="add it to `failures`"):
        planner.drill(study(), [], named=("g",))
