"""Ready-made questions, by hand: where offers cross, what a month of delay costs, which order of phases is the best."""

import json
from datetime import date

import pytest
from buildouts import CLOCKS, HALL, hall, phase
from studies import SOURCED, machine_type, offer, site
from test_whatif import call, changed

from planner.crossover import crossover
from planner.plan import make_plan, plan_text
from planner.records.buildout import Clocks, Electricity, Lives, Money
from planner.records.inventory import Pool
from planner.records.study import PriceLine, PricePath, PriceStep


# ------------------------------------------------------------------ crossover
def only(found, name, period="quarter-1"):
    (option,) = [o for o in found.options if o.name == name and o.period == period]
    return option


def crossing(found, name, period="quarter-1"):
    (one,) = [c for c in found.crossings if c.fixed.name == name and c.fixed.period == period]
    return one


def contracts(**more):
    """Two years; on demand 10 USD/h, a year's commitment 6 USD/h a machine."""
    bought = [
        offer("a/x/m", 10.0),
        offer("a/x/m", 3.0, "spot"),
        offer("a/x/m", 6.0, "commitment", term_months=12.0, **more.pop("terms", {})),
    ]
    fields = {"sites": (site("a/x"),), "pools": (Pool(site="a/x", machine_type="m"),), "build_outs": ()}
    return hall(**{**fields, "bought": bought, **more})


def test_a_commitment_is_cheaper_above_the_ratio_of_the_prices():
    found = crossover(contracts())
    committed = only(found, "a/x/m:commitment")
    assert committed.usd_per_used_hour(0.5) == 12 and committed.usd_per_used_hour(1) == 6
    assert only(found, "a/x/m:on_demand").usd_per_used_hour(0.5) == 10
    one = crossing(found, "a/x/m:commitment")
    assert one.hourly.kind == "on_demand" and one.utilisation == pytest.approx(0.6)
    at = one.utilisation
    assert one.fixed.usd_per_used_hour(at) == pytest.approx(one.hourly.usd_per_used_hour(at)), "equal where they cross"
    # it can start in the first five of eight quarters: a year must fit
    assert [c.fixed.period for c in found.crossings] == [f"quarter-{n}" for n in range(1, 6)]


def test_upfront_costs_interest():
    terms = {"upfront_fraction": 1.0}
    found = crossover(contracts(terms=terms, money=Money(discount_fraction_per_year=0.1)))
    # 72 USD for 12 hours at once; 1 USD an hour for a year is worth 11.446 then
    assert only(found, "a/x/m:commitment").usd_per_hour == pytest.approx(72 / 11.446, rel=1e-4)
    assert crossover(contracts(terms=terms)).crossings[0].utilisation == pytest.approx(0.6), "without interest none"


def test_a_falling_price_moves_the_crossing():
    falls = PricePath(offers="a/*:on_demand", steps=(PriceStep(from_day=date(2027, 6, 1), factor=0.5),))
    found = crossover(contracts(price_paths=(falls,)))
    # two quarters at 10 and two at 5; from the third quarter on 5 throughout
    assert crossing(found, "a/x/m:commitment").hourly_usd_per_hour == pytest.approx(7.5)
    assert crossing(found, "a/x/m:commitment").utilisation == pytest.approx(0.8)
    assert crossing(found, "a/x/m:commitment", "quarter-3").utilisation == pytest.approx(1.2), "never"


def test_the_price_book_is_said():
    found = crossover(contracts(price_book=(PriceLine(offers="*:commitment", factor=0.5),)))
    assert crossing(found, "a/x/m:commitment").utilisation == pytest.approx(0.3)
    assert only(found, "a/x/m:commitment").price == "yours" and only(found, "a/x/m:on_demand").price == "list"


def test_owned_machines_carry_their_hall_and_energy():
    power = Electricity(site=HALL, usd_per_kwh=0.1, pue=1.5, draw_fraction=0.5, **SOURCED)
    study = hall(electricity=(power,), money=Money(discount_fraction_per_year=0.07), hours_per_month=100.0)
    found = crossover(study)
    owned = only(found, f"{HALL}/m:build_out in one", "quarter-5")
    # a machine of 12,000 USD over 4 years at 7 %: 3,542.74 USD a year of 1,200 hours
    assert owned.parts["machines"] == pytest.approx(3542.74 / 1200, rel=1e-5)
    # 0.01 MW of: 1.5 million over 20 years (0.0943929), 0.3 million over 10 (0.1423775), 0.1 million a year
    hall_usd = 0.01 * (1.5e6 * 0.0943929 + 0.3e6 * 0.1423775 + 0.1e6)
    assert owned.parts["hall"] == pytest.approx(hall_usd / 1200, rel=1e-5)
    # 10 kW, half drawn, 1.5 at the meter
    assert owned.parts["energy"] == pytest.approx(10 * 0.5 * 1.5 * 0.1)
    one = crossing(found, f"{HALL}/m:build_out in one", "quarter-5")
    assert one.hourly.pool == "a/x/m" and one.utilisation == pytest.approx(owned.usd_per_hour / 40)


def test_accelerators_compare_chip_by_chip():
    half = machine_type("half", accelerators=4).model_copy(update={"accelerator": "chip-of-m"})
    study = contracts(
        machine_types=(machine_type("m"), half),
        pools=(Pool(site="a/x", machine_type="m"), Pool(site="a/x", machine_type="half")),
        bought=[offer("a/x/m", 10.0), offer("a/x/half", 3.0, "commitment", term_months=12.0)],
    )
    assert crossover(study).alone == ("half",) and not crossover(study).crossings
    found = crossover(study, by="accelerator")
    # 10 USD for 8 chips on demand, 3 USD for 4 committed
    assert crossing(found, "a/x/half:commitment").utilisation == pytest.approx((3 / 4) / (10 / 8))
