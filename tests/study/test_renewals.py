"""Chains of contracts: lengths as they are sold, dates, and what a renewal that is refused takes."""

from datetime import date, timedelta

import pytest
from one_pool import EXACT, START, bought, planned, small
from pydantic import ValidationError
from studies import machine_type, model, offer, profile, site

from planner.drill import drill_plan
from planner.drill.graph import build_graph
from planner.drill.instance import build_instance
from planner.errors import NoPlan
from planner.plan.audit import audit
from planner.plan.in_hand import in_hand
from planner.plan.plan import make_plan
from planner.review.orders import order_section
from planner.review.spend import quarters_section
from planner.study.dependencies import dependency_graph
from planner.study.records.buildout import Money
from planner.study.records.inventory import Pool
from planner.study.records.study import Goal, Holding, Horizon, Tier, kind_and_name
from planner.study.renewals import chain_of, sold_days

SOLD = {"most_days": 182.0, "weeks_after_days": 14.0, "order_days_ahead": 56.0, "ended_minutes_early": 30.0}
YEAR = Horizon(start=START, months=12)
MEAN = "period-1/mean-hour"


def block(pool: str, usd: float, **more):
    """A block as it is sold, ordered two weeks before at the latest."""
    return offer(pool, usd, "capacity_block", name="block", **{**SOLD, "lead_days": 14.0, **more})


def test_lengths_as_they_are_sold():
    by_week = block("a/x/m", 1.0)[0]
    assert [sold_days(by_week, n) for n in (1, 14, 15, 21, 22, 176, 182, 183)] == [1, 14, 21, 21, 28, 182, 182, 182]
    by_day = block("a/x/m", 1.0, weeks_after_days=None, most_days=90.0)[0]
    assert [sold_days(by_day, n) for n in (1, 15, 90, 91)] == [1, 15, 90, 90]
    assert chain_of(offer("a/x/m", 1.0)[0], START, date(2027, 12, 31)) == ()


def test_dates_of_a_chain():
    """A year is 182 + 182 + 1 days; each is ordered at most 56 days before, and at least 14."""
    chain = chain_of(block("a/x/m", 1.0)[0], START, date(2027, 12, 31))
    assert [(one.first_day, one.days) for one in chain] == [
        (date(2027, 1, 1), 182),
        (date(2027, 7, 2), 182),
        (date(2027, 12, 31), 1),
    ]
    assert [(one.order_from, one.order_by) for one in chain[1:]] == [
        (date(2027, 5, 7), date(2027, 6, 18)),
        (date(2027, 11, 5), date(2027, 12, 17)),
    ]


def test_an_order_names_its_chain():
    """Half a year and 20 days: 182 days, then 22 that are sold as 28: six days that are paid and not counted."""
    plan = planned(small(Horizon(start=START, months=6.74), bought=[block("a/x/m", 1.0)]))
    hand = in_hand(plan)
    (order,) = hand.orders
    needed = (plan.study.horizon.last_day - START).days + 1
    assert [one.days for one in order.chain] == [182, 28] and order.chain_days_beyond == 210 - needed > 0
    said = " ".join(line for line in order_section(hand).after if isinstance(line, str))
    assert "2 contracts one after the other, 182 days, then from 2027-07-02 for 28 days" in said
    assert f"the last ends {order.chain_days_beyond} days later" in said and "30 minutes before" in said
    assert "--each renewal" in said


def test_a_renewal_that_is_refused_is_survived_where_a_goal_asks_for_it():
    """Two machines are wanted: blocks at 1 USD without the goal; with it two more that go on, at 3 USD."""
    bought_at = [block("a/x/m", 1.0), offer("a/x/m", 3.0)]
    plain = small(YEAR, bought=bought_at)
    assert bought(planned(plain)) == {("block", "period-1"): 2}
    goal = Goal(any="renewal", serve_fraction=1.0, within_seconds=60.0)
    asked = plain.model_copy(update={"tiers": (Tier(name="t", survive=(goal,)),)})
    plan = planned(asked)
    assert bought(plan) == {("on_demand", MEAN): 2} and not drill_plan(plan).broken
    # half of it may fail: one goes on; and a plan that has only the block is broken by the drill
    half = asked.model_copy(
        update={"tiers": (Tier(name="t", survive=(goal.model_copy(update={"serve_fraction": 0.5}),)),)}
    )
    assert bought(planned(half)) == {("block", "period-1"): 1, ("on_demand", MEAN): 1}
    alone = plain.model_copy(update={"tiers": asked.tiers, "holdings": (Holding(pool="a/x/m", machines=1),)})
    kept = planned(alone)
    assert bought(kept) == {("on_demand", MEAN): 1} and not drill_plan(kept).broken
    without = planned(plain).model_copy(update={"study": asked})
    broken = [row for row in drill_plan(without).rows if row.broken]
    assert {row.failure for row in broken} == {"renewal:a/x/m:block"} and broken[0].served_fraction == 0.0
    # the same where no goal asks, as the review says to do: half of it is held, and goes on
    some_held = planned(plain.model_copy(update={"holdings": (Holding(pool="a/x/m", machines=1),)}))
    assert bought(some_held) == {("block", "period-1"): 1}
    rows = [row for row in drill_plan(some_held, which=(("renewal",), ())).rows if row.failure != "normal"]
    assert rows and {row.served_fraction for row in rows} == {0.5}


def test_chains_that_end_on_the_same_days_are_said():
    """Machines of both are ended half an hour before the next contracts: a renewal at a time says nothing of that."""
    asked = two_chains(0.5)
    said = " ".join(line for line in order_section(in_hand(planned(asked))).after if isinstance(line, str))
    together = "ended at the same time, before 2027-07-02, 2027-12-31: a/x/m:first, a/x/m:second;"
    assert together in said and "with `of: 2` as many" in said
    to_the_end = tuple(one.model_copy(update={"ended_minutes_early": 0.0}) for one in asked.offers)
    kept = asked.model_copy(update={"offers": to_the_end})
    said = " ".join(line for line in order_section(in_hand(planned(kept))).after if isinstance(line, str))
    assert "ended at the same time" not in said


def test_contracts_of_less_than_a_day_are_refused():
    for terms in ({"most_days": 1.0, "length_days": 0.5}, {"most_days": 5.0, "weeks_after_days": 0.5}):
        with pytest.raises(ValidationError, match="greater than or equal to 1"):
            block("a/x/m", 1.0, **terms)


def test_what_a_provider_sells_in_all():
    """Three pools of one provider, ten wanted, four in all as blocks: the rest is on demand."""
    sites = tuple(site(f"a/{name}") for name in "xy")
    pools = tuple(Pool(site=one.id, machine_type="m") for one in sites)
    sold = [block(pool.id, 1.0, most_machines_in_all=4.0) for pool in pools] + [offer(pool.id, 2.0) for pool in pools]
    asked = small(YEAR, 50.0, sold, sites=sites, pools=pools, machine_types=(machine_type("m"),))
    plan = make_plan(asked, EXACT)
    blocks = sum(row.units for row in plan.purchases if row.offer.endswith(":block"))
    assert blocks == 4 and sum(row.units for row in plan.purchases) == 10
    only = small(YEAR, 50.0, sold[:2], sites=sites, pools=pools, machine_types=(machine_type("m"),))
    with pytest.raises(NoPlan):
        make_plan(only, EXACT)


def test_what_is_no_renewal():
    """Three months take one block: nothing is renewed, no goal has one to survive; six months and a half take two."""
    sold = [block("a/x/m", 1.0), offer("a/x/m", 3.0)]
    quarter = small(Horizon(start=START, months=3), bought=sold)
    assert not [c for c in dependency_graph(quarter) if kind_and_name(c)[0] == "renewal"]
    longer = small(Horizon(start=START, months=6.5), bought=sold)
    assert [c for c in dependency_graph(longer) if kind_and_name(c)[0] == "renewal"] == ["renewal:a/x/m:block"]
    assert set(build_graph(build_instance(longer)).order) == set(dependency_graph(longer))
    fixed = block("a/x/m", 1.0, length_days=120.0)[0]
    assert [one.days for one in chain_of(fixed, START, date(2027, 12, 31))] == [120]


def test_an_order_is_not_due_before_it_is_sold():
    """56 days ahead, a lead of 30, a slack of 40: the slack cannot be had; what is never in time is refused."""
    late = block("a/x/m", 1.0, lead_days=30.0)
    plan = planned(small(YEAR, bought=[late], order_slack_days=40.0))
    (order,) = in_hand(plan).orders
    assert order.order_by == date(2026, 11, 6) == START - timedelta(days=56)
    with pytest.raises(ValidationError, match="order_days_ahead"):
        block("a/x/m", 1.0, lead_days=60.0)


def test_a_longest_contract_that_is_no_whole_week():
    odd = block("a/x/m", 1.0, most_days=180.0)[0]
    assert [sold_days(odd, n) for n in (14, 15, 175, 176, 365)] == [14, 21, 175, 175, 175]


def two_chains(serve_fraction: float, *more, **fields):
    """Two chains of blocks in a pool, one machine each at most, and machines by the hour at three times the price."""
    first, second = (
        (one.model_copy(update={"offer": name, "most_units": 1}), price.model_copy(update={"offer": name}))
        for name, (one, price) in (("first", block("a/x/m", 1.0)), ("second", block("a/x/m", 1.5)))
    )
    goal = Goal(any="renewal", serve_fraction=serve_fraction, within_seconds=60.0)
    sold = [first, second, offer("a/x/m", 3.0), *more]
    slow = profile("m", "cuda", 5)
    fields = {"models": (model("m", [slow.model_copy(update={"load_seconds": 600.0})]),), **fields}
    return small(YEAR, bought=sold, **fields).model_copy(update={"tiers": (Tier(name="t", survive=(goal,)),)})


def test_of_two_chains_in_a_pool_the_other_goes_on():
    """Ten wanted of five each, half may fail, nothing loads in a minute: one of each chain."""
    asked = two_chains(0.5)
    plan = planned(asked)
    assert bought(plan) == {("first", "period-1"): 1, ("second", "period-1"): 1}
    assert plan.replicas[0].non_preemptible == 0
    assert plan.replicas[0].on_offers == {"a/x/m:first": 1, "a/x/m:second": 1}
    drilled = drill_plan(plan)
    assert not drilled.broken and not drilled.findings
    assert {row.served_fraction for row in drilled.rows if row.failure != "normal"} == {0.5}


def test_a_chain_beside_spot_goes_on_where_something_else_is_not_renewed():
    """Where the other chain ends, all of one beside spot counts, and what stands on it goes on."""
    plan = planned(two_chains(1.0, offer("a/x/m", 0.1, "spot", most_units=1)))
    assert bought(plan) == {("first", "period-1"): 1, ("second", "period-1"): 1, ("on_demand", MEAN): 1}
    assert plan.replicas[0].non_preemptible == 1 and not drill_plan(plan).broken


def test_replicas_on_an_offer_are_held_against_what_is_bought_of_it():
    """Two said to stand on one machine of a chain, and one on an offer that is not told apart."""
    plan = planned(two_chains(0.5))
    (row,) = plan.replicas
    edited = plan.model_copy(update={"replicas": (row.model_copy(update={"on_offers": {"a/x/m:first": 2}}),)})
    assert "non_preemptible_replicas_stand_on_non_preemptible_machines" in {v.rule for v in audit(edited).violations}
    assert any("machines of a/x/m:first" in line for line in drill_plan(edited).findings)
    edited = plan.model_copy(update={"replicas": (row.model_copy(update={"on_offers": {"a/x/m:on_demand": 1}}),)})
    assert "replicas.on_offers" in {v.rule for v in audit(edited).violations}


@pytest.mark.parametrize("rate", [0.0, 0.1])
def test_each_contract_of_a_chain_is_paid_when_it_begins(rate):
    """Two machines at 1 USD for a year of 365 days, all upfront: 182, 182 and 1 of them; worth what the plan costs."""
    paid_first = block("a/x/m", 1.0, upfront_fraction=1.0)
    asked = small(YEAR, bought=[paid_first]).model_copy(update={"money": Money(discount_fraction_per_year=rate)})
    hand = in_hand(planned(asked))
    year_usd = hand.file.costs_usd["commitments"]
    section = quarters_section(hand)
    by_quarter = {row.quarter: row.usd for row in section.rows}
    assert by_quarter == pytest.approx(
        {f"2027 Q{n}": year_usd * days / 365 for n, days in ((1, 182), (2, 0), (3, 182), (4, 1))}
    )
    assert hand.cash.present_value_usd["commitments"] == pytest.approx(year_usd)
    assert any("on the first one's first day" in line for line in section.lines) == bool(rate)
