"""Cash by hand: payments, their worth against the plan's cost, annuities, tokens, MW, limits, promises."""

import json
from dataclasses import asdict
from datetime import date

import pytest
from buildouts import HALL, START, hall, machines, phase, years
from studies import offer, random_study

from planner.plan.audit import audit
from planner.plan.cash import NO_CASH, cash, cash_by_evidence
from planner.plan.decisions import decisions_of
from planner.plan.file import sealed
from planner.plan.plan import make_plan
from planner.problem.build import build
from planner.problem.rules.costs import COSTS
from planner.problem.rules.index_sets import as_vectors
from planner.review.answer import review_plan
from planner.review.render import render
from planner.solve.search import Effort
from planner.study.records.buildout import CapitalLimit, Electricity, Money, SpendCommitment
from planner.study.records.inventory import Pool
from planner.study.records.study import Demand, Horizon, Hour, Period, Policies, RequestCost

EXACT = Effort(gap_fraction=0.0, most_nodes=10_000)
SOURCED = {"evidence": "estimated", "source": "made up for a test", "as_of": "2026"}
TENTH = Money(discount_fraction_per_year=0.1)


def cash_of(study):
    plan = make_plan(study, EXACT)
    p = build(study)
    return plan, cash(plan, p, as_vectors(p, decisions_of(plan, p)))


def everything():
    """Three machines, four in the first quarter; a hall for two of them: all that can be paid is."""
    bought, price = machines()
    upfront = offer("a/x/m", 60, "commitment", term_months=6.0, upfront_fraction=0.5)
    wanted = Demand(workload="w", origin="o", requests_per_second=12.5)
    return hall(
        demand=[wanted, wanted.model_copy(update={"requests_per_second": 20.0, "period": "quarter-1"})],
        bought=[(bought, price.model_copy(update={"price_usd_per_machine_hour": 0.5})), offer("a/x/m", 100), upfront],
        electricity=(Electricity(site=HALL, usd_per_kwh=0.1, pue=1.5, draw_fraction=0.5, **SOURCED),),
        spend_commitments=(SpendCommitment(name="promise", offers=("a/*:on_demand",), usd_per_year=40000.0),),
        request_costs=(RequestCost(origin="o", site=HALL, usd_per_request=0.0001),),
        money=TENTH,
    )


# ------------------------------------------------------------------ worth on the first day is the plan's cost
def of_random(seed):
    """A random study over three periods of unequal length with two hours, discounted."""
    periods = tuple(Period(name=f"p{n}", months=months) for n, months in enumerate((1.0, 4.0, 7.0)))
    hours = (Hour(name="day", weight_fraction=0.4), Hour(name="night", weight_fraction=0.6))
    study = random_study(seed)
    return study.model_copy(
        update={
            "horizon": Horizon(start=study.horizon.start, periods=periods, hours=hours),
            "money": Money(discount_fraction_per_year=0.03 * seed),
            "hours_per_month": 730.0,
        }
    )


@pytest.mark.parametrize(
    "study",
    [everything(), years(), hall(), hall(money=TENTH), of_random(1), of_random(4)],
    ids=["everything", "years", "hall", "discounted", "random-1", "random-4"],
)
def test_payments_are_worth_what_the_plan_costs(study):
    plan, paid = cash_of(study)
    for name, usd in plan.costs_usd.items():
        if name != "outages":
            assert paid.present_value_usd.get(name, 0.0) == pytest.approx(usd, abs=0.005), name
    without_outages = plan.proof.cost_usd - plan.costs_usd["outages"]
    assert sum(paid.present_value_usd.values()) == pytest.approx(without_outages, abs=0.005)
    for flow in paid.flows:
        assert 0 <= flow.months <= study.horizon.months and flow.period in paid.by_period


def test_everything_is_paid_somewhere():
    _, paid = cash_of(everything())
    there = {flow.component for flow in paid.flows}
    assert there == {cost.__name__ for cost in COSTS} - {"unserved_requests", "outages"}


# ------------------------------------------------------------------ by hand
def test_cash_of_the_hall_by_hand():
    """On demand for a year at 40 USD, 300 h a quarter: 12,000. The hall stands from month 12, each part paid when it is
    ordered: power at 0, shell at 6, fit-out at 9, a machine at 12. Upkeep 2,000 a year. Left: 20,000 · 19/20 +
    10,000 · 19/20 + 6,000 · 9/10 + 12,000 · 3/4 = 42,900."""
    _, paid = cash_of(hall())
    assert [dict(paid.by_period[f"quarter-{n}"]) for n in range(1, 9)] == [
        {"capital": 10000, "hourly_machines": 12000},
        {"hourly_machines": 12000},
        {"capital": 20000, "hourly_machines": 12000},
        {"capital": 6000, "hourly_machines": 12000},
        {"capital": 12000, "upkeep": 500},
        {"upkeep": 500},
        {"upkeep": 500},
        {"upkeep": 500, "salvage": -42900},
    ]
    # without interest: shell 20,000 / 20, power 10,000 / 20, fit-out 6,000 / 10, machine 12,000 / 4 a year
    assert {a.asset: a.annuity_usd_per_year for a in paid.assets} == {
        "shell": 1000,
        "power": 500,
        "fit_out": 600,
        "machines": 3000,
    }
    assert [paid.annuity_by_period[f"quarter-{n}"] for n in (1, 4, 5, 8)] == [12000, 12000, 1775, 1775]
    assert paid.annuity_usd_per_year == pytest.approx(55100 / 2)
    # 5 requests/s of 1.001 tokens over 2400 h
    assert paid.million_tokens == pytest.approx(5 * 1.001 * 3600 * 2400 / 1e6)
    assert paid.usd_per_million_tokens == pytest.approx(55100 / (5 * 1.001 * 3600 * 2400 / 1e6))
    # 0.02 MW for a year: 36,000 + 12,000 + 2,000 − 42,900 = 7,100 USD, of which 3,000 for the machine
    (site,) = paid.sites
    assert (site.site, site.mw_built, site.mw_years) == (HALL, 0.02, pytest.approx(0.02))
    assert site.usd_per_mw_year == pytest.approx(7100 / 0.02) and site.machines_usd == pytest.approx(3000)


def test_the_same_at_ten_percent():
    """Equal payments of an asset are worth, over its life from its first use, what was paid at its order.

    Shell: 20,000 at month 6 is 20,000 · 1.1^0.5 at month 12, times the capital recovery factor over 20 years 0.117460.
    """
    _, paid = cash_of(hall(money=TENTH))
    by_asset = {a.asset: a.annuity_usd_per_year for a in paid.assets}
    assert by_asset["shell"] == pytest.approx(20000 * 1.1**0.5 * 0.1174596, rel=1e-6)
    assert by_asset["power"] == pytest.approx(10000 * 1.1 * 0.1174596, rel=1e-6)
    assert by_asset["machines"] == pytest.approx(12000 * 0.3154708, rel=1e-6)
    # over two years 0.576190 of the cost each
    assert paid.annuity_usd_per_year == pytest.approx(sum(paid.present_value_usd.values()) * 0.5761905, rel=1e-6)
    # tokens count like payments on their day: the middle of each quarter
    middle = [1.1 ** -((n + 0.5) / 4) for n in range(8)]
    tokens = 5 * 1.001 * 3600 * 300 / 1e6 * sum(middle)
    assert paid.usd_per_million_tokens == pytest.approx(sum(paid.present_value_usd.values()) / tokens)
    (site,) = paid.sites
    mw_years = 0.02 / 4 * sum(middle[4:])
    salvage = -42900 / 1.1**2
    capital = 20000 / 1.1**0.5 + 10000 + 6000 / 1.1**0.75 + 12000 / 1.1
    assert site.present_value_usd == pytest.approx(capital + 500 * sum(middle[4:]) + salvage)
    assert site.usd_per_mw_year == pytest.approx(site.present_value_usd / mw_years)


def test_machines_that_are_retired_have_an_annuity_for_their_life_alone():
    """Machines with a life of half a year are bought again in quarter 7: 1,000 USD each, 2,000 a year for its life."""
    _, paid = cash_of(hall(bought=[machines(capital=1000.0, life=0.5), offer("a/x/m", 40)]))
    bought = [a for a in paid.assets if a.asset == "machines"]
    assert [(a.used_from, a.usd, a.annuity_usd_per_year) for a in bought] == [
        ("quarter-5", 1000, 2000),
        ("quarter-7", 1000, 2000),
    ]
    # 500 of upkeep, 2,100 / 4 of the hall, 2,000 / 4 of the machine
    assert [paid.annuity_by_period[f"quarter-{n}"] for n in (5, 6, 7, 8)] == [pytest.approx(1525)] * 4


def test_upfront_is_paid_at_the_start_the_rest_as_it_is_used():
    """A year at 1 USD and 100 h a month, half of it upfront: 600 in quarter 1, then 150 a quarter."""
    year = offer("a/x/m", 1, "commitment", term_months=12.0, upfront_fraction=0.5)
    plan, paid = cash_of(
        hall(4, build_outs=(), pools=(Pool(site="a/x", machine_type="m"),), bought=[year], money=TENTH)
    )
    assert [paid.by_period[f"quarter-{n}"]["commitments"] for n in range(1, 5)] == [750, 150, 150, 150]
    assert plan.proof.cost_usd == pytest.approx(600 + 150 * sum(1.1 ** -((n + 0.5) / 4) for n in range(4)))
    assert [flow.months for flow in paid.flows] == [0, 1.5, 4.5, 7.5, 10.5]


def test_what_is_promised_and_not_spent_is_paid_at_the_end_of_its_year():
    """On demand for a year is 48,000 USD, and 55,000 are promised: 7,000 short, less than one machine more."""
    promise = SpendCommitment(name="promise", offers=("a/*",), usd_per_year=55000.0)
    plan, paid = cash_of(hall(4, spend_commitments=(promise,)))
    (year,) = paid.promises
    assert (year.promised_usd, year.spent_usd, year.short_usd) == (55000, 48000, 7000)
    assert paid.by_period["quarter-4"]["spend_shortfalls"] == 7000
    assert plan.proof.cost_usd == pytest.approx(55000)
    text = render(review_plan(plan), "text")
    assert "promised promise, year 1: 48,000 of 55,000 USD spent, 7,000 paid for nothing" in text


def test_capital_against_its_limits():
    first = CapitalLimit(name="first year", most_usd=36000.0, until=date(2027, 12, 31))
    later = CapitalLimit(name="later", most_usd=20000.0, from_day=date(2028, 1, 1))
    _, paid = cash_of(hall(policies=Policies(capital_limits=(first, later))))
    assert [(row.name, row.paid_usd, row.most_usd) for row in paid.capital] == [
        ("first year", 36000, 36000),
        ("later", 12000, 20000),
    ]
    assert paid.capital[0].periods == ("quarter-1", "quarter-2", "quarter-3", "quarter-4")


# ------------------------------------------------------------------ in a review
def test_money_in_a_review():
    plan, paid = cash_of(everything())
    text = render(review_plan(plan), "text")
    money = text[text.index("\nMONEY\n") : text.index("\nASSETS\n")]
    cash_usd = sum(flow.usd for flow in paid.flows if flow.component not in NO_CASH)
    assert f"cash {cash_usd:,.0f} USD over 24 months" in money and "at 10.0 % a year" in money
    assert "book value" in money and "IAS 16" in money and "estimated" in money
    rows = [line.split() for line in money.splitlines() if line.startswith("quarter-")]
    assert len(rows) == 8
    for row in rows:
        here = sum(usd for name, usd in paid.by_period[row[0]].items() if name not in NO_CASH)
        assert float(row[-2].replace(",", "")) == pytest.approx(here, abs=1)
    data = json.loads(render(review_plan(plan), "json"))["sections"]["money"]
    by_row = {row["period"]: row["cash_usd"] for row in data.pop("rows")}
    assert by_row.pop("all") == pytest.approx(sum(by_row.values())) and list(by_row) == list(paid.by_period)
    assert data == json.loads(json.dumps(asdict(paid)))


def test_no_salvage_is_said():
    plan, paid = cash_of(hall(money=Money(salvage="none"), cloud_usd_per_hour=400.0))
    assert "salvage" not in paid.present_value_usd and "counts for nothing" in render(review_plan(plan), "text")


def test_a_study_of_one_period_that_rents_has_no_money_section():
    rented = hall(build_outs=(), bought=[offer("a/x/m", 40)]).model_copy(
        update={"horizon": Horizon(start=START, months=3)}
    )
    assert "\nMONEY\n" not in render(review_plan(make_plan(rented, EXACT)), "text")
    assert "\nMONEY\n" in render(review_plan(make_plan(rented.model_copy(update={"money": TENTH}), EXACT)), "text")
    assert phase("one").id == f"{HALL}:one"


# ------------------------------------------------------------------ one measure of how prices are known
def test_trust_and_money_say_the_same_of_prices():
    """Of all cash: promises and requests given by the study, energy estimated, the rest assumed."""
    plan, paid = cash_of(everything())
    known = cash_by_evidence(paid)
    assert sum(known.values()) == pytest.approx(sum(flow.usd for flow in paid.flows if flow.component not in NO_CASH))
    assert set(known) == {"assumed", "estimated", "given"}
    sections = {s.title: s for s in review_plan(plan).sections}
    money = [line for line in sections["MONEY"].after if line.startswith("prices:")]
    trust = [line for line in sections["TRUST"].lines if line.startswith("prices:")]
    assert money == trust and len(money) == 1 and "share of all cash in the plan" in money[0]
    assert sections["TRUST"].data["price_share"] == known


# ------------------------------------------------------------------ upkeep of machines
def with_upkeep():
    """The hall with a machine that costs 0.5 USD an hour once it is bought: 300 h a quarter, 150 USD."""
    bought, price = machines()
    return hall(bought=[(bought, price.model_copy(update={"price_usd_per_machine_hour": 0.5})), offer("a/x/m", 40)])


def test_upkeep_of_machines_is_upkeep_as_that_of_the_hall_is():
    plan, paid = cash_of(with_upkeep())
    assert plan.costs_usd["commitments"] == 0
    assert plan.costs_usd["upkeep"] == pytest.approx(4 * (500 + 150))
    assert [paid.by_period[f"quarter-{n}"].get("upkeep", 0) for n in range(4, 9)] == [0, 650, 650, 650, 650]
    assert not any(flow.component == "commitments" for flow in paid.flows)


def test_plans_of_earlier_versions_pass_with_it_under_commitments():
    plan = make_plan(with_upkeep(), EXACT)
    earlier = {**plan.costs_usd, "commitments": 600.0, "upkeep": 2000.0}
    assert audit(sealed(plan.model_copy(update={"costs_usd": earlier}))).passed
    wrong = {**plan.costs_usd, "commitments": 700.0, "upkeep": 1900.0}
    found = audit(sealed(plan.model_copy(update={"costs_usd": wrong}))).violations
    assert {v.key for v in found if v.rule == "costs_usd"} == {"commitments", "upkeep"}
