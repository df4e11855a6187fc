"""Periods and hours: worked plans over time, boundaries, and what may not change a total."""

from dataclasses import replace
from datetime import date

import pytest
from helpers import write_study
from one_pool import DAY, START, bought, planned, small
from studies import model, offer, profile, site, workload

from planner.errors import InputError
from planner.problem.build import build
from planner.review.answer import review_plan
from planner.review.render import render
from planner.study.calendar import demand_by_hour, spans
from planner.study.read import read_study
from planner.study.records.inventory import Pool
from planner.study.records.study import (
    Claim,
    Demand,
    Goal,
    Holding,
    Horizon,
    Hour,
    Period,
    Policies,
    Quota,
    Shape,
    Share,
    Tier,
)


def test_rented_by_the_hour_committed_by_the_period():
    # day 10 requests/s: 2 machines, night 5: 1; on demand 2 USD: 2·75·2 + 1·25·2 = 350 USD a month
    # a commitment at 1 USD for the month: 2 machines all month 200 USD
    horizon = Horizon(start=START, periods=(Period(name="jan", months=1), Period(name="feb", months=1)), hours=DAY)
    rows = [
        Demand(workload="w", origin="o", requests_per_second=10.0),
        Demand(workload="w", origin="o", requests_per_second=5.0, hour="night"),
        Demand(workload="w", origin="o", requests_per_second=20.0, period="feb", hour="day"),
    ]
    plan = planned(small(horizon, rows))
    assert bought(plan) == {
        ("on_demand", "jan/day"): 2,
        ("on_demand", "jan/night"): 1,
        ("on_demand", "feb/day"): 4,
        ("on_demand", "feb/night"): 1,
    }
    assert plan.proof.cost_usd == pytest.approx(350 + 4 * 75 * 2 + 50)
    both = small(horizon, rows, bought=[offer("a/x/m", 2), offer("a/x/m", 1.9, "commitment", term_months=1.0)])
    # a committed machine costs 190 USD a month, one rented by day only 150, one rented always 200
    assert bought(planned(both)) == {
        ("commitment", "jan"): 1,
        ("on_demand", "jan/day"): 1,
        ("commitment", "feb"): 1,
        ("on_demand", "feb/day"): 3,
    }


def test_a_row_that_says_more_counts():
    horizon = Horizon(start=START, quarters=2, hours=DAY)
    rows = [
        Demand(workload="w", origin="o", requests_per_second=1.0, shape="s"),
        Demand(workload="w", origin="o", requests_per_second=2.0, hour="day"),
        Demand(workload="w", origin="o", requests_per_second=3.0, period="quarter-2"),
        Demand(
            workload="w",
            origin="o",
            requests_per_second=4.0,
            period="quarter-2",
            hour="night",
            high_requests_per_second=8.0,
        ),
    ]
    asked = small(horizon, rows, shapes=(Shape(name="s", factors={"night": 0.5}),))
    assert demand_by_hour(asked, "base") == {
        ("w", "o", "quarter-1/day"): 2.0,
        ("w", "o", "quarter-1/night"): 0.5,
        ("w", "o", "quarter-2/day"): 3.0,
        ("w", "o", "quarter-2/night"): 4.0,
    }
    assert demand_by_hour(asked, "high")["w", "o", "quarter-2/night"] == 8.0


def test_growth_is_that_of_the_middle_of_the_period():
    row = Demand(
        workload="w",
        origin="o",
        requests_per_second=10.0,
        growth_fraction_per_year=0.44,
        low_growth_fraction_per_year=0.0,
        high_growth_fraction_per_year=1.0,
    )
    asked = small(Horizon(start=START, periods=(Period(name="a", months=12), Period(name="b", months=12))), [row])
    assert demand_by_hour(asked, "base") == pytest.approx(
        {("w", "o", "a/mean-hour"): 12.0, ("w", "o", "b/mean-hour"): 17.28}  # 10 · 1.44 ** 0.5, 10 · 1.44 ** 1.5
    )
    assert set(demand_by_hour(asked, "low").values()) == {10.0}
    assert demand_by_hour(asked, "high")["w", "o", "b/mean-hour"] == pytest.approx(10 * 2**1.5)


def test_deferrable_work_is_served_when_machines_are_free():
    # w: 10 requests/s by day, none by night; batch: 5 at all hours; n machines committed for the month carry 5 n.
    # at once 15 / 5 = 3 machines; waiting: 75 h · (5 n − 10) + 25 h · 5 n ≥ 100 h · 5, n ≥ 2.5: 3
    horizon = Horizon(start=START, months=1, hours=DAY)
    rows = [
        Demand(workload="w", origin="o", requests_per_second=10.0, hour="day"),
        Demand(workload="batch", origin="o", requests_per_second=5.0),
    ]
    waits = Tier(name="waits", deferrable_hours=24.0)
    asked = small(
        horizon,
        rows,
        bought=[offer("a/x/m", 1, "commitment", term_months=1.0)],
        tiers=(Tier(name="t"), waits),
        workloads=(workload("w"), workload("batch", tier="waits")),
    )
    plan = planned(asked)
    assert bought(plan) == {("commitment", "period-1"): 3}
    taken_up = {
        state.hour: sum(v for w, v in zip(state.workload, state.requests_per_second, strict=True) if w == "batch")
        for state in plan.states
    }
    assert 75 * taken_up["period-1/day"] + 25 * taken_up["period-1/night"] == pytest.approx(500)
    at_once = asked.model_copy(update={"tiers": (Tier(name="t"), Tier(name="waits"))})
    assert bought(planned(at_once)) == {("commitment", "period-1"): 3}
    more = [rows[0], Demand(workload="batch", origin="o", requests_per_second=17.0)]
    # at once 27 / 5 = 5.4: 6 machines; waiting: 500 n − 750 ≥ 1700, n ≥ 4.9: 5 machines
    assert bought(planned(at_once.model_copy(update={"demand": tuple(more)}))) == {("commitment", "period-1"): 6}
    assert bought(planned(asked.model_copy(update={"demand": tuple(more)}))) == {("commitment", "period-1"): 5}


def test_shares_are_of_what_is_taken_up_not_of_what_the_hour_asks_for():
    """10 by day and 2 by night wait: 6 in each hour, half of it at a, half at b, on a machine of 3/s each.

    Of the night's own demand a could serve 1 at most, and 5 by day: a second machine there.
    """
    halves = tuple(Hour(name=name, weight_fraction=0.5) for name in ("day", "night"))
    rows = [Demand(workload="w", origin="o", requests_per_second=v, hour=h) for h, v in (("day", 10.0), ("night", 2.0))]
    pools = (Pool(site="a/x", machine_type="m"), Pool(site="b/y", machine_type="m"))
    asked = small(
        Horizon(start=START, months=1, hours=halves),
        rows,
        bought=[offer("a/x/m", 1, "commitment", term_months=1), offer("b/y/m", 10, "commitment", term_months=1)],
        sites=(site("a/x"), site("b/y")),
        pools=pools,
        models=(model("m", [profile("m", "cuda", 3)]),),
        tiers=(Tier(name="t", deferrable_hours=24.0),),
        policies=Policies(shares=(Share(component="provider:a", most_fraction=0.5),)),
    )
    plan = planned(asked)
    assert sorted((row.offer, row.units) for row in plan.purchases) == [
        ("a/x/m:commitment", 1),
        ("b/y/m:commitment", 1),
    ]


def test_goals_hold_in_every_hour():
    # two sites, each loss survived whole: in each hour twice what it needs; by night a machine each, by day two each
    horizon = Horizon(start=START, quarters=2, hours=DAY)
    rows = [
        Demand(workload="w", origin="o", requests_per_second=10.0),
        Demand(workload="w", origin="o", requests_per_second=5.0, hour="night"),
    ]
    asked = small(
        horizon,
        rows,
        sites=(site("a/x"), site("b/y")),
        pools=(Pool(site="a/x", machine_type="m"), Pool(site="b/y", machine_type="m")),
        bought=[offer("a/x/m", 2), offer("b/y/m", 2)],
        models=(model("m", [profile("m", "cuda", 5, load_seconds=3600.0)]),),
        tiers=(Tier(name="t", survive=(Goal(any="site", within_seconds=60.0),)),),
    )
    plan = planned(asked)
    hours = [f"quarter-{q}/{h}" for q in (1, 2) for h in ("day", "night")]
    assert [r.replicas for h in hours for r in plan.replicas if r.hour == h] == [2, 2, 1, 1, 2, 2, 1, 1]
    assert plan.proof.cost_usd == pytest.approx(2 * 300 * 2 * (0.75 * 4 + 0.25 * 2))


def test_what_is_there_for_part_of_a_period_is_counted_for_none_of_it():
    horizon = Horizon(start=START, quarters=3)
    second = spans(small(horizon))[1]
    holdings = (
        Holding(pool="a/x/m", machines=3, until=second.last_day),
        Holding(pool="a/x/m", machines=5, until=date(second.last_day.year, second.last_day.month, 1)),
        Holding(pool="a/x/m", machines=7, from_day=second.first_day),
    )
    lent = Claim(pool="a/x/m", machines=1, reclaim_seconds=None, lent_to="t", from_day=second.last_day, until=None)
    quota = Quota(name="q", pools=("*",), most=20, until=second.first_day)
    p = build(small(horizon, holdings=holdings, claims=(lent,), policies=Policies(quotas=(quota,))))
    assert [p.held_machines["a/x/m", f"quarter-{n}"] for n in (1, 2, 3)] == [8, 10, 7]
    assert [sum(m for m, _ in p.claims["a/x/m", f"quarter-{n}"]) for n in (1, 2, 3)] == [0, 1, 1]
    assert p.limits[0].periods == ("quarter-1", "quarter-2")


def test_halves_months_and_minutes_change_no_total():
    once = small(Horizon(start=START, months=6), 23.0)
    whole = planned(once).proof.cost_usd
    assert whole == pytest.approx(5 * 2 * 600)  # 23 / 5: 5 machines, 2 USD/h
    halves = Horizon(start=START, periods=(Period(name="a", months=3), Period(name="b", months=3)))
    months = Horizon(start=START, periods=tuple(Period(name=f"m{n}", months=1) for n in range(6)))
    quarters = Horizon(start=START, quarters=2)
    for horizon in (halves, months, quarters):
        assert planned(once.model_copy(update={"horizon": horizon})).proof.cost_usd == pytest.approx(whole)
    two = Horizon(
        start=START, months=6, hours=(Hour(name="a", weight_fraction=0.4), Hour(name="b", weight_fraction=0.6))
    )
    assert planned(once.model_copy(update={"horizon": two})).proof.cost_usd == pytest.approx(whole)
    by_minute = once.model_copy(
        update={
            "hours_per_month": 6000.0,
            "prices": tuple(
                row.model_copy(update={"price_usd_per_machine_hour": row.price_usd_per_machine_hour / 60})
                for row in once.prices
            ),
        }
    )
    assert planned(by_minute).proof.cost_usd == pytest.approx(whole)


def test_one_period_named_or_not_is_the_same_problem():
    plain = build(small(Horizon(start=START, months=6), 23.0))
    named = build(small(Horizon(start=START, months=6, periods=(Period(name="period-1", months=6),)), 23.0))
    assert replace(plain) == replace(named)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "the length of the horizon"),
        ({"months": 7.0, "quarters": 2}, "add up to 6 months, the horizon is 7"),
        ({"quarters": 2, "periods": (Period(name="a", months=6),)}, "not both"),
        ({"periods": (Period(name="a", months=1), Period(name="a", months=1))}, "a name of its own for each period"),
        ({"months": 1.0, "hours": (Hour(name="a", weight_fraction=0.4),)}, "add up to 1, not 0.4"),
    ],
)
def test_a_horizon_that_does_not_add_up(fields, said):
    with pytest.raises(ValueError, match=said):
        Horizon(start=START, **fields)


def test_a_review_of_several_hours_says_which_it_shows():
    horizon = Horizon(start=START, quarters=2, hours=DAY)
    rows = [
        Demand(workload="w", origin="o", requests_per_second=0.0, hour="day"),
        Demand(workload="w", origin="o", requests_per_second=5.0, hour="night"),
        Demand(workload="batch", origin="o", requests_per_second=5.0, period="quarter-1"),
        Demand(workload="batch", origin="o", requests_per_second=6.0, period="quarter-2"),
    ]
    asked = small(
        horizon,
        rows,
        sites=(site("a/x"), site("b/y")),
        pools=(Pool(site="a/x", machine_type="m"), Pool(site="b/y", machine_type="m")),
        bought=[offer("a/x/m", 2), offer("b/y/m", 2), offer("b/y/m", 1, "commitment", term_months=6.0)],
        tiers=(
            Tier(name="t", survive=(Goal(any="site", within_seconds=60.0),)),
            Tier(name="waits", deferrable_hours=24.0),
        ),
        workloads=(workload("w"), workload("batch", tier="waits")),
    )
    text = render(review_plan(planned(asked)), "text")
    assert "in quarter-2/night, the hour of most requests, of 4" in text
    assert "2 periods and 4 representative hours" in text and "BROKEN" not in text
    assert " quarter-1 " in text and " quarter-2 " in text  # orders say from when on


HEAD = "workload,origin,requests_per_second,period,hour,shape,growth_fraction_per_year\n"
EIGHT_QUARTERS = {"start": "2026-07-01", "quarters": 8}


@pytest.mark.parametrize(
    ("rows", "fields", "said"),
    [
        ("chat,london,1,quarter-9,,,\nbatch,london,1,,,,\n", {}, "a period of the horizon"),
        ("chat,london,1,quarter-1,,,\nbatch,london,1,,,,\n", {}, "demand for every period and hour"),
        ("chat,london,1,,noon,,\nbatch,london,1,,,,\n", {}, "an hour of the horizon"),
        ("chat,london,1,,,daily,\nbatch,london,1,,,,\n", {}, "a shape of the study"),
        (
            "chat,london,1,,,,9999\nbatch,london,1,,,,\n",
            {"horizon": {"start": "2026-07-01", "quarters": 40}},
            "growth to",
        ),
        (
            "chat,london,1,,,,\nbatch,london,1,,,,\n",
            {"price_book": [{"offers": "gamma/*", "factor": 0.5}]},
            "an offer of",
        ),
        (
            "chat,london,1,,,,\nbatch,london,1,,,,\n",
            {"horizon": {"start": "2026-07-01"}},
            "the length of the horizon",
        ),
    ],
)
def test_time_that_leads_nowhere_is_said(tmp_path, rows, fields, said):
    path = write_study(tmp_path, files={"demand.csv": HEAD + rows}, **{"horizon": EIGHT_QUARTERS, **fields})
    with pytest.raises(InputError) as caught:
        read_study(path)
    assert any(said in finding.expected for finding in caught.value.findings), caught.value.findings


def test_quarters_are_read(tmp_path):
    rows = "chat,london,1,,,,0.5\nchat,tokyo,1,quarter-1,,,\nchat,tokyo,2,,,,\nbatch,london,1,,,,\n"
    study, _ = read_study(write_study(tmp_path, files={"demand.csv": HEAD + rows}, horizon=EIGHT_QUARTERS))
    assert study.horizon.months == 24 and len(build(study).periods) == 8
    assert type(study).model_validate_json(study.model_dump_json(by_alias=True)) == study
    assert demand_by_hour(study, "base")["chat", "tokyo", "quarter-1/mean-hour"] == 1.0
