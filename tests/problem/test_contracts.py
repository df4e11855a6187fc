"""Contracts over time: starts, terms, ends inside the horizon, blocks, windows, prices; each boundary by hand."""

from datetime import date, timedelta

import pytest
from one_pool import DAY, EXACT, START, bought, planned, small
from studies import offer

from planner.errors import NoPlan
from planner.plan.audit import audit
from planner.plan.explain import diagnose, obstacles
from planner.plan.in_hand import in_hand
from planner.plan.orders import orders
from planner.plan.plan import make_plan
from planner.problem.build import build
from planner.review.orders import order_section, quota_section
from planner.study.calendar import covers, may_start, paid_months, spans
from planner.study.records.study import (
    Demand,
    Holding,
    Horizon,
    Period,
    Policies,
    PriceLine,
    PricePath,
    PriceStep,
    Quota,
    QuotaIncrease,
)

EIGHT = Horizon(start=START, quarters=8)
YEAR = Horizon(start=START, quarters=4)
MONTHS = Horizon(start=START, periods=tuple(Period(name=f"m{n}", months=1) for n in range(3)))


def by_quarter(*requests: float) -> list[Demand]:
    """Demand of each quarter."""
    return [
        Demand(workload="w", origin="o", requests_per_second=float(value), period=f"quarter-{n + 1}")
        for n, value in enumerate(requests)
    ]


def test_commitments_start_overlap_and_end_inside_the_horizon():
    # 1 machine, 2 in quarters 2 and 3: 7 machine-quarters of 300 h; terms of two quarters at 1 USD, on demand 3 USD:
    # four terms (one quarter is paid and not used) cost 2400 USD; three and a quarter on demand would cost 2700
    terms = offer("a/x/m", 1, "commitment", term_months=6.0)
    plan = planned(small(Horizon(start=START, quarters=5), by_quarter(5, 10, 10, 5, 5), [offer("a/x/m", 3), terms]))
    assert plan.proof.cost_usd == pytest.approx(4 * 600)
    quarters = [int(when[-1]) for (name, when), n in bought(plan).items() for _ in range(n) if name == "commitment"]
    active = [sum(start <= quarter < start + 2 for start in quarters) for quarter in range(1, 6)]
    assert [n >= need for n, need in zip(active, (1, 2, 2, 1, 1), strict=True)] == [True] * 5


@pytest.mark.parametrize(("price", "cost", "kind"), [(3.0, 900.0, "on_demand"), (5.0, 1200.0, "commitment")])
def test_a_commitment_is_paid_used_or_not(price, cost, kind):
    # needed for one quarter: a year at 1 USD is 1200 USD, a quarter on demand 900 or 1500
    year = offer("a/x/m", 1, "commitment", term_months=12.0)
    plan = planned(small(YEAR, by_quarter(5, 0, 0, 0), [offer("a/x/m", price), year]))
    assert [name for name, _ in bought(plan)] == [kind]
    assert plan.proof.cost_usd == pytest.approx(cost)


def test_a_term_longer_than_the_horizon_needs_leave_and_is_paid_within_it():
    asked = small(YEAR, 5.0, [offer("a/x/m", 3), offer("a/x/m", 1, "commitment", term_months=36.0)])
    assert "run past the horizon" in build(asked).not_offered["a/x/m:commitment"]
    plan = planned(asked.model_copy(update={"policies": Policies(terms_beyond_horizon=True)}))
    assert bought(plan) == {("commitment", "quarter-1"): 1}
    assert plan.proof.cost_usd == pytest.approx(1200)


def test_without_leave_nothing_starts_whose_term_ends_after_the_horizon():
    p = build(small(EIGHT, 5.0, [offer("a/x/m", 1, "commitment", term_months=12.0)]))
    assert [t for t in p.periods if p.may_start("a/x/m:commitment", t)] == [f"quarter-{n}" for n in range(1, 6)]
    assert p.vintages["a/x/m:commitment", "quarter-4"] == ("quarter-1", "quarter-2", "quarter-3", "quarter-4")
    assert p.vintages["a/x/m:commitment", "quarter-8"] == ("quarter-5",)


def test_expiry_start_and_retirement_in_the_same_period():
    # 2 machines held through quarter 2; a commitment of two quarters takes over in quarter 3 and ends with quarter 4
    asked = small(YEAR, 10.0, [offer("a/x/m", 1, "commitment", term_months=6.0)])
    last = spans(asked)[1].last_day
    plan = planned(asked.model_copy(update={"holdings": (Holding(pool="a/x/m", machines=2, until=last),)}))
    assert bought(plan) == {("commitment", "quarter-3"): 2}
    # a day less, and quarter 2 is not covered: bought for it, too
    short = (Holding(pool="a/x/m", machines=2, until=last - timedelta(days=1)),)
    plan = planned(asked.model_copy(update={"holdings": short}))
    assert bought(plan)["commitment", "quarter-3"] == 2
    assert plan.proof.cost_usd == pytest.approx(2 * 2 * 600)


def test_zero_lead_time_starts_at_once_and_a_day_too_many_a_period_later():
    lead = (spans(small(YEAR))[1].first_day - date(2026, 1, 1)).days
    for days, first in ((0, "quarter-1"), (lead, "quarter-2"), (lead + 1, "quarter-3")):
        p = build(small(YEAR, 5.0, [offer("a/x/m", 1, "commitment", lead_days=float(days))]))
        assert next(t for t in p.periods if p.may_start("a/x/m:commitment", t)) == first
    late = small(YEAR, 5.0, [offer("a/x/m", 1, lead_days=3000.0)])
    assert "lead time" in build(late).not_offered["a/x/m:on_demand"]


def test_on_demand_that_must_be_asked_for_is_not_rented_before():
    lead = float((spans(small(YEAR))[1].first_day - date(2026, 1, 1)).days)
    asked = small(YEAR, by_quarter(0, 5, 5, 5), [offer("a/x/m", 1, lead_days=lead)])
    assert [when for _, when in bought(planned(asked))] == [f"quarter-{n}/mean-hour" for n in (2, 3, 4)]
    assert not build(asked).may_start("a/x/m:on_demand", "quarter-1")


def test_a_block_that_ends_inside_a_period_leaves_a_gap():
    # 120 days cover the first quarter (91.3 days) and a part of the second, which is counted for none of it
    block = offer("a/x/m", 1, "capacity_block", length_days=120.0)
    asked = small(YEAR, by_quarter(5, 5, 0, 0), [offer("a/x/m", 3), block])
    first, second = spans(asked)[:2]
    assert covers(block[0], first, first, True) and not covers(block[0], first, second, True)
    assert paid_months(block[0], first, 12.0) == pytest.approx(120 / (365.25 / 12))
    plan = planned(asked)
    # a block is 120 days of 3.94 months at 100 h and 1 USD: cheaper than 900 USD on demand; it must be bought twice
    assert bought(plan) == {("capacity_block", "quarter-1"): 1, ("capacity_block", "quarter-2"): 1}
    assert plan.proof.cost_usd == pytest.approx(2 * 100 * 120 / (365.25 / 12))


def test_a_block_shorter_than_every_period_cannot_be_bought():
    block = offer("a/x/m", 1, "capacity_block", length_days=27.0)
    assert "through no whole period" in build(small(YEAR, 1.0, [block])).not_offered["a/x/m:capacity_block"]
    assert "length" in build(small(MONTHS, 1.0, [block])).not_offered["a/x/m:capacity_block"]
    longer = (block[0].model_copy(update={"length_days": 28.0}), block[1])  # February
    assert build(small(MONTHS, 1.0, [longer])).not_offered == {}


def test_a_start_window():
    block, price = offer("a/x/m", 1, "capacity_block", length_days=100.0, starts_from=date(2027, 3, 1))
    asked = small(YEAR, 1.0, [(block, price)])
    assert [may_start(asked, block, t) for t in spans(asked)] == [False, True, True, False]  # 100 days: past the end
    closed = block.model_copy(update={"starts_until": date(2027, 4, 30)})
    assert [may_start(asked, closed, t) for t in spans(asked)] == [False, True, False, False]
    never = block.model_copy(update={"starts_until": date(2027, 3, 2)})
    assert "start" in build(small(YEAR, 1.0, [(never, price)])).not_offered["a/x/m:capacity_block"]


def test_what_overlaps_stays_within_what_there_is():
    # one unit at a time, terms of 6 months; 2 machines wanted in quarter 2: one of them on demand
    terms = offer("a/x/m", 1, "commitment", term_months=6.0, most_units=1.0)
    plan = planned(small(YEAR, by_quarter(5, 10, 5, 5), [offer("a/x/m", 3), terms]))
    assert plan.proof.cost_usd == pytest.approx(2 * 600 + 900)
    assert bought(plan)["on_demand", "quarter-2/mean-hour"] == 1


def test_prices_by_date_and_of_ones_own():
    # 10 % off everything of a, 20 % more off on demand; on demand half as much again from a day on
    asked = small(Horizon(start=START, quarters=2), 5.0)
    second = spans(asked)[1].first_day
    path = PricePath(offers="*:on_demand", steps=(PriceStep(from_day=second, factor=1.5),))
    book = (PriceLine(offers="a/*", factor=0.9), PriceLine(offers="*:on_demand", factor=0.8))
    cost = planned(asked.model_copy(update={"price_paths": (path,), "price_book": book})).proof.cost_usd
    assert cost == pytest.approx(300 * 2 * 0.72 + 300 * 2 * 0.72 * 1.5)
    later = PricePath(offers="*:on_demand", steps=(PriceStep(from_day=second + timedelta(days=1), factor=1.5),))
    assert planned(asked.model_copy(update={"price_paths": (later,)})).proof.cost_usd == pytest.approx(1200)


def test_a_commitment_keeps_the_price_of_its_start():
    # prices double in quarter 2: two quarters committed at once for 1 USD an hour, whatever comes
    path = PricePath(offers="*", steps=(PriceStep(from_day=date(2027, 2, 1), factor=2.0),))
    asked = small(Horizon(start=START, quarters=2), 5.0, [offer("a/x/m", 1, "commitment", term_months=6.0)])
    assert planned(asked.model_copy(update={"price_paths": (path,)})).proof.cost_usd == pytest.approx(600)


def test_what_is_built_lasts():
    # a build-out that can be there from quarter 3 on is paid from then to the end: 600 h at 1 USD; before, on demand
    lead = float((spans(small(YEAR))[2].first_day - date(2026, 1, 1)).days)
    plan = planned(small(YEAR, 5.0, [offer("a/x/m", 3), offer("a/x/m", 1, "build_out", lead_days=lead)]))
    assert bought(plan)["build_out", "quarter-3"] == 1
    assert plan.proof.cost_usd == pytest.approx(600 * 3 + 600)


def test_orders_over_time_by_date_and_how_firm():
    # low demand never needs the second machine, high demand needs it at once: what can wait is not firm
    rows = [
        Demand(workload="w", origin="o", requests_per_second=5.0, high_requests_per_second=10.0, period="quarter-1"),
        Demand(workload="w", origin="o", requests_per_second=10.0, low_requests_per_second=5.0, period="quarter-2"),
    ]
    terms = offer("a/x/m", 1, "commitment", term_months=3.0, lead_days=30.0, most_units_at_once=64)
    asked = small(Horizon(start=START, quarters=2), rows, [terms])
    plan = make_plan(asked, EXACT, no_regret=True)
    assert audit(plan).passed
    lines = [
        (o.period, o.order_by, o.units, o.no_regret_units, o.no_regret_in, o.usd) for o in orders(plan, build(asked))
    ]
    second = spans(asked)[1].first_day
    assert lines == [
        ("quarter-1", START - timedelta(days=44), 1, 1, 3, 300.0),
        ("quarter-2", second - timedelta(days=44), 2, 1, 2, 600.0),
    ]
    changed = plan.no_regret[0].model_copy(update={"base_units": 7})
    assert any(v.rule == "no_regret" for v in audit(plan.model_copy(update={"no_regret": (changed,)})).violations)


def test_hourly_orders_are_for_the_fullest_hour_and_cost_all_of_them():
    horizon = Horizon(start=START, months=1, hours=DAY)
    rows = [
        Demand(workload="w", origin="o", requests_per_second=10.0),
        Demand(workload="w", origin="o", requests_per_second=5.0, hour="night"),
    ]
    asked = small(horizon, rows)
    (order,) = orders(planned(asked), build(asked))
    assert (order.units, order.usd_per_hour, order.usd) == (2, 4.0, 350.0)  # 2·2·75 + 1·2·25 USD


def test_blocks_are_sold_by_powers_of_two():
    block = offer("a/x/m", 1, "capacity_block", length_days=92.0, most_units_at_once=4)
    asked = small(Horizon(start=START, quarters=2), by_quarter(55, 0), [block])
    plan, p = planned(asked), build(asked)
    (order,) = orders(plan, p)
    assert (order.units, order.blocks) == (11, (4, 4, 2, 1))
    said = [line for line in order_section(in_hand(plan)).after if isinstance(line, str)]
    assert any("blocks of 4 + 4 + 2 + 1 units" in line for line in said), said


def test_what_ends_within_a_period_still_takes_its_part_of_limits():
    """Terms of four months in periods of three: in month four both would be there, of a quota and a stock of one."""
    halves = Horizon(start=START, periods=(Period(name="a", months=3.0), Period(name="b", months=3.0)))
    term = offer("a/x/m", 1, "commitment", most_units=1.0, term_months=4)
    asked = small(halves, 5.0, [term], policies=Policies(terms_beyond_horizon=True))
    with pytest.raises(NoPlan):
        make_plan(asked, EXACT)
    plenty = (term[0].model_copy(update={"most_units": 2.0}), term[1])
    two = small(halves, 5.0, [plenty], policies=Policies(terms_beyond_horizon=True))
    assert bought(planned(two)) == {("commitment", "a"): 1, ("commitment", "b"): 1}
    quota = Policies(terms_beyond_horizon=True, quotas=(Quota(name="q", pools=("a/x/m",), most=1.0),))
    with pytest.raises(NoPlan):
        make_plan(two.model_copy(update={"policies": quota}), EXACT)
    # one that is renewed when it ends is never there twice; one held until the middle of b is
    exact = offer("a/x/m", 1, "commitment", most_units=1.0, term_months=3)
    assert bought(planned(small(halves, 5.0, [exact], policies=quota))) == {("commitment", t): 1 for t in "ab"}
    held = (Holding(pool="a/x/m", machines=1, until=spans(two)[1].first_day),)
    with pytest.raises(NoPlan):
        make_plan(two.model_copy(update={"policies": quota, "holdings": held}), EXACT)
    until = (Holding(pool="a/x/m", machines=1, until=spans(two)[0].last_day),)
    plan = planned(two.model_copy(update={"policies": quota, "holdings": until}))
    assert bought(plan) == {("commitment", "b"): 1}


def test_a_quota_counts_the_kinds_of_purchase_that_it_names():
    """Two machines are wanted; one may run on demand, as its quota is 10 vcpu: the other is spot, which has its own."""
    spot = offer("a/x/m", 1.0, "spot")
    asked = small(Horizon(start=START, months=1), bought=[offer("a/x/m", 2.0), spot])

    def with_quota(*counts, most=10.0, **more):
        quota = Quota(name="q", pools=("a/x/m",), unit="vcpu", most=most, counts=counts)
        policies = Policies(quotas=(quota,), **more)
        return asked.model_copy(update={"policies": policies})

    with pytest.raises(NoPlan):
        make_plan(with_quota(), EXACT)
    assert bought(planned(with_quota("on_demand"))) == {("spot", "period-1/mean-hour"): 2}
    assert bought(planned(with_quota("spot"))) == {
        ("on_demand", "period-1/mean-hour"): 1,
        ("spot", "period-1/mean-hour"): 1,
    }
    # what is held is counted where it is named: three are wanted, one is held, and a quota of one leaves none to buy
    held = {
        "holdings": (Holding(pool="a/x/m", machines=1),),
        "demand": (Demand(workload="w", origin="o", requests_per_second=15.0),),
    }
    with pytest.raises(NoPlan):
        make_plan(with_quota("on_demand", "held", most=10.0, offers=("on_demand",)).model_copy(update=held), EXACT)
    plan = planned(with_quota("on_demand", most=20.0, offers=("on_demand",)).model_copy(update=held))
    assert bought(plan) == {("on_demand", "period-1/mean-hour"): 2}


def test_an_increase_of_a_quota_counts_once_it_is_granted_and_is_an_order():
    """Two machines of 10 vcpu from the first quarter on, three from the second; 20 are granted, 30 may be in March."""
    sooner = QuotaIncrease(most=25.0, lead_days=1000.0, chance_fraction=1.0)
    later = QuotaIncrease(most=30.0, lead_days=455.0, chance_fraction=0.7)  # 2026-01-01 + 455 days: 2027-04-01
    quota = Quota(name="q", pools=("*",), unit="vcpu", most=20.0, increases=(sooner, later))
    asked = small(YEAR, by_quarter(10, 15, 15, 15), policies=Policies(quotas=(quota,)))
    plan = planned(asked)
    assert [plan_units for (_, _), plan_units in sorted(bought(plan).items(), key=lambda row: row[0][1])] == [
        2,
        3,
        3,
        3,
    ]
    (order,) = in_hand(plan).quota_orders
    assert (order.quota, order.most, order.granted, order.used, order.period) == ("q", 20.0, 30.0, 30.0, "quarter-2")
    assert order.chance_fraction == 0.7 and order.need == date(2027, 4, 1)
    assert (order.order_by, order.days_late) == (date(2025, 12, 18), 14)  # 14 days of slack are used up
    section = quota_section(in_hand(plan))
    assert section.rows == (order,) and section.after[0].startswith("ask by = need (")
    late = later.model_copy(update={"lead_days": 456.0})
    too_late = quota.model_copy(update={"increases": (late,)})
    with pytest.raises(NoPlan):
        make_plan(asked.model_copy(update={"policies": Policies(quotas=(too_late,))}), EXACT)
    # five machines in the last quarter are more than is granted by then: what is in the way says both
    more = small(YEAR, by_quarter(10, 15, 15, 25), policies=Policies(quotas=(quota,)))
    assert "quota q (20 vcpu, 30 once granted)" in str(diagnose(more))
    (obstacle,) = obstacles(build(more), lambda stage, done, detail: None)
    assert obstacle.startswith("without q (at most 20 vcpu, 30 once granted) there is a plan")
    # where the quota will do, nothing is asked for
    few = small(YEAR, by_quarter(10, 10, 10, 10), policies=Policies(quotas=(quota,)))
    assert in_hand(planned(few)).quota_orders == () and quota_section(in_hand(planned(few))) is None


def test_one_more_unit_is_worth_what_it_saves_in_all_periods():
    """A year at 1 USD or by the quarter at 3: one more unit of the year's saves 2 USD an hour, all through it."""
    year = offer("a/x/m", 1, "commitment", term_months=12.0, most_units=1.0)
    by_quarter_ = offer("a/x/m", 3, "commitment", name="quarter", term_months=3.0)
    asked = small(YEAR, 10.0, [year, by_quarter_])
    plan = planned(asked)
    more = (year[0].model_copy(update={"most_units": 2.0}), year[1])
    saves = plan.proof.cost_usd - planned(small(YEAR, 10.0, [more, by_quarter_])).proof.cost_usd
    assert saves == pytest.approx(2 * 1200)
    (bottleneck,) = (row for row in plan.bottlenecks if row.limit == "most_units of a/x/m:commitment")
    assert bottleneck.marginal_usd == pytest.approx(saves)
