"""The decision: what is committed, what is due by which day, and what the cost leaves out."""

from datetime import date, timedelta

import pytest
from buildouts import hall
from one_pool import EXACT, START, planned, small
from studies import offer
from two_sites import two_sites

from planner.plan.in_hand import Plan, in_hand
from planner.plan.plan import make_plan
from planner.review import decision
from planner.review.bottlenecks import bottlenecks_section
from planner.review.changes import changes_of_fleet, changes_section
from planner.review.charts.utilisation import utilisation
from planner.review.decision import deadlines, decision_figures, decision_section
from planner.review.weakest import weakest_figures
from planner.study.records.plan import Bottleneck
from planner.study.records.study import Claim, Demand, Holding, Horizon, Period

BLOCK = {"most_days": 182.0, "order_days_ahead": 56.0, "lead_days": 14.0, "most_units": 1}


def said(hand):
    (line,) = decision_section(hand).lines
    return line, {row.what: row for row in decision_figures(hand)}


def test_what_is_paid_by_the_hour_is_not_committed_and_each_contract_of_a_chain_is_due():
    """A machine in blocks, a year in 182 + 182 + 1 days, and one by the hour at 3 USD for 1200 hours."""
    sold = [offer("a/x/m", 1.0, "capacity_block", **BLOCK), offer("a/x/m", 3.0)]
    hand = in_hand(planned(small(Horizon(start=START, months=12), bought=sold)))
    line, rows = said(hand)
    assert rows["committed in all"].figure == pytest.approx(1200) and "3,600 USD by the hour" in line
    assert rows["committed in all"].detail.startswith("contracts 1,200 USD; besides, 3,600 USD by the hour, not")
    assert line.startswith("Sign 4 orders: 1,200 USD committed and 3,600 USD by the hour;")
    assert rows["to sign"].figure == 4
    slack = timedelta(days=hand.study.order_slack_days)
    of_day = {row.order_by + slack: row for row in deadlines(hand)}
    assert of_day[date(2027, 6, 18)].usd == pytest.approx(1200 * 182 / 365)
    assert of_day[date(2027, 12, 17)].usd == pytest.approx(1200 / 365)
    assert deadlines(hand)[-1].usd_so_far == pytest.approx(4800)
    assert "again from 2027-07-02 to 2027-12-30" in of_day[date(2027, 6, 18)].what[0]


def test_salvage_is_said_beside_the_cost_and_among_the_weakest_figures():
    hand = in_hand(make_plan(hall(), EXACT))
    line, _ = said(hand)
    assert "after 42,900 USD of book value that remains at its end" in line
    (row,) = [row for row in weakest_figures(hand) if row.kind == "salvage"]
    assert row.decides == "42,900 USD deducted from the cost" and row.share_fraction == pytest.approx(42.9 / 48)


def test_how_much_more_demand_holds_is_said_without_a_drill(monkeypatch):
    """Two machines of 5 requests/s serve 8: a quarter more."""
    hand = in_hand(planned(small(Horizon(start=START, months=12), 8.0)))
    _, rows = said(hand)
    growth = rows["demand may grow at least by"]
    assert growth.text == "25.00 %" and "first at risk in normal operation" in growth.detail
    monkeypatch.setattr(decision, "MOST_STATES", 0)
    assert "demand may grow at least by" not in {row.what for row in decision_figures(hand)}
    assert "planner review PLAN --margins" in decision_section(hand).lines[1]


def test_what_failures_need_is_not_called_headroom():
    hand = in_hand(make_plan(two_sites(), EXACT))
    chart = utilisation(hand)
    assert chart is not None and "kept for failures, and not all of it is room to grow" in chart.summary


def test_only_what_changes_is_a_change_and_each_offer_is_one():
    """By the hour one machine, then two; two are lent, and back in a failure: no change of today's."""
    periods = (Period(name="first", months=6), Period(name="second", months=6))
    rows = [
        Demand(workload="w", origin="o", period=t, requests_per_second=rate)
        for t, rate in (("first", 5), ("second", 10))
    ]
    lent = Claim(pool="a/x/m", machines=2, lent_to="training", reclaim_seconds=60.0)
    held = Holding(pool="a/x/m", machines=2)
    hand = in_hand(planned(small(Horizon(start=START, periods=periods), rows, claims=(lent,), holdings=(held,))))
    (row,) = changes_of_fleet(hand)
    assert (row.action, row.today, row.planned, row.usd) == ("add", 0, 2, pytest.approx(2 * 600 + 4 * 600))
    assert row.detail.endswith(": 1 in first, 2 in second") and row.detail.startswith("2 orders")
    after = changes_section(hand).after
    assert after[-1] == "Plan: 1 to add, 0 to change, 0 to remove." and "2 machines of a/x/m that are lent" in after[1]


def test_what_a_limit_is_worth_names_the_unit_that_it_is_for():
    hand = in_hand(make_plan(two_sites(), EXACT))
    rows = (Bottleneck(limit="cores", unit="vcpu", marginal_usd=2.0, step=10.0),)
    section = bottlenecks_section(Plan(hand.file.model_copy(update={"bottlenecks": rows})))
    (row,) = section.data
    assert row["marginal_usd_is"] == "USD over the horizon per vcpu" and row["saves_at_most_usd"] == 20.0
