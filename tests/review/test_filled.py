"""How full things are is one figure wherever it is said: the gate and UTILISATION BY POOL, by hand."""

import pytest
from studies import offer
from two_sites import two_sites

from planner.plan.in_hand import Plan
from planner.plan.plan import make_plan
from planner.review.gate_figures import fullest
from planner.review.utilisation import utilisation_section
from planner.study.records.gate import UtilisationRule
from planner.study.records.inventory import Pool
from planner.study.records.policies import Counted, Policies
from planner.study.records.study import Goal, NamedFailure, Tier


def shares_of(plan, when):
    """What the gate says of pools and of placements in a state."""
    return [fullest(plan, UtilisationRule(of=of, when=when, most_fraction=1.0)).value for of in ("pool", "placement")]


def loads_of(plan):
    return {row.pool: row for row in utilisation_section(plan).rows}


def test_machines_obtained_count_and_those_that_could_be_do_not():
    # when a is lost, 2 machines of the 40 · 0.25 that could be obtained at b are, and serve all: none stands idle
    market = Policies(counted=(Counted(offers=("b/y/*",), obtainable_fraction=0.25, obtain_seconds=20.0),))
    plan = Plan(
        make_plan(
            two_sites(
                policies=market,
                bought=[offer("a/x/m", 2, most_units=40.0), offer("b/y/m", 3, most_units=40.0)],
                failures=(NamedFailure(name="f", lost={"site:a/x": 1.0}),),
                tiers=(Tier(name="t", survive=(Goal(failure="f", within_seconds=60.0),)),),
            )
        )
    )
    assert [row.offer for row in plan.file.purchases] == ["a/x/m:on_demand"]
    assert shares_of(plan, "failures") == pytest.approx([1.0, 1.0])
    at_b = loads_of(plan)["b/y/m"]
    assert at_b.normal.machines == 0 and (at_b.worst.machines, at_b.worst.busy_fraction) == pytest.approx((2.0, 1.0))


def test_spares_are_no_headroom_of_normal_operation():
    # two machines at each site, one of them spare: in normal operation one of one serves, in a failure two of two
    pools = tuple(Pool(site=at, machine_type="m", spare_machines=1.0) for at in ("a/x", "b/y"))
    plan = Plan(make_plan(two_sites(pools=pools)))
    assert shares_of(plan, "normal") == pytest.approx([1.0, 1.0])
    for row in loads_of(plan).values():
        assert (row.normal.machines, row.normal.running_machines, row.headroom_machines) == pytest.approx((1, 1, 0))
        assert row.worst.machines == pytest.approx(2)
