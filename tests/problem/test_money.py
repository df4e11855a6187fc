"""Money over time: worked numbers, identities, and a published plan whose every payment is written out."""

import csv
from pathlib import Path

import pytest

from planner.problem.money import (
    annuity_factor,
    capital_recovery_factor,
    present_value_factor,
    present_value_usd,
    salvage_usd,
)

SWITCH = Path(__file__).parents[3] / "shared" / "cases" / "switch_new_builds_only"


def test_equal_payments_pay_back_what_was_lent():
    # 1000 USD at 7 % over 3 years: payments of 381.05 USD leave 688.95, 356.12, 0.00
    owed, payment = 1000.0, 1000.0 * capital_recovery_factor(0.07, 3)
    assert payment == pytest.approx(381.05, abs=0.005)
    for left in (688.95, 356.12, 0.0):
        owed = owed * 1.07 - payment
        assert owed == pytest.approx(left, abs=0.005)


@pytest.mark.parametrize("rate", [-0.02, 1e-9, 0.05, 0.3])
def test_a_loan_is_worth_what_was_lent(rate):
    payment = 500.0 * capital_recovery_factor(rate, 8)
    assert present_value_usd(rate, tuple((year, payment) for year in range(1, 9))) == pytest.approx(500.0, rel=1e-6)
    assert annuity_factor(rate, 8) == pytest.approx(sum(present_value_factor(rate, year) for year in range(1, 9)))


def test_parts_of_years_follow_on_each_other():
    assert present_value_factor(0.08, 0.25) ** 4 == pytest.approx(1 / 1.08)


def test_salvage_falls_in_a_line_and_stops_at_nothing():
    assert [salvage_usd(900.0, 3, age) for age in (0, 1, 2, 3, 4)] == pytest.approx([900.0, 600.0, 300.0, 0.0, 0.0])


# ------------------------------------------------------------------ a public example of another planner
def table(name: str) -> list[dict[str, str]]:
    """A table of the example."""
    return list(csv.DictReader((SWITCH / f"{name}.csv").read_text(encoding="utf-8").splitlines()))


@pytest.mark.skipif(not SWITCH.is_dir(), reason="the published case is not beside this checkout")
def test_new_builds_only_of_switch():
    """Three kinds of plants for one zone: 14,998,608.83 USD, with each payment written out.

    A plant is a loan over its life at the interest rate: (overnight + connection cost) · capital recovery factor a
    year, plus fixed upkeep; a MWh costs variable upkeep, and gas its heat rate · price. Every year of the period costs
    the same and is discounted to the base year. Which plants are built, and what runs in the two hours, is found by
    trying: the program of two hours and three plants has its best point where two plants fill what the third leaves.
    """
    (money,) = table("financials")
    interest, discount = float(money["interest_rate"]), float(money["discount_rate"])
    (period,), (series,) = table("periods"), table("timeseries")
    first, last, base = int(period["period_start"]), int(period["period_end"]), int(money["base_financial_year"])
    years = last - first + 1
    # each year's costs at its end: in the first year of the period 1 / (1 + discount) of that year's beginning
    worth = annuity_factor(discount, years) * present_value_factor(discount, first - base)
    hours_a_year = float(series["ts_duration_of_tp"]) * float(series["ts_scale_to_period"]) / years
    cost, info = {r["GENERATION_PROJECT"]: r for r in table("gen_build_costs")}, table("gen_info")
    (fuel,) = table("fuel_cost")
    fixed, variable, sure = {}, {}, {}
    for row in info:
        name = row["GENERATION_PROJECT"]
        lent = float(cost[name]["gen_overnight_cost"]) + float(row["gen_connect_cost_per_mw"])
        life = float(row["gen_max_age"])
        fixed[name] = lent * capital_recovery_factor(interest, life) + float(cost[name]["gen_fixed_om"])
        heat = 0.0 if row["gen_full_load_heat_rate"] == "." else float(row["gen_full_load_heat_rate"])
        variable[name] = float(row["gen_variable_om"]) + heat * float(fuel["fuel_cost"])
        baseload = 1 - float(row["gen_scheduled_outage_rate"]) if row["gen_is_baseload"] == "1" else 1.0
        sure[name] = baseload * (1 - float(row["gen_forced_outage_rate"]))
    gas, sun, heat_pump = "S-NG_CC", "S-Central_PV-1", "S-Geothermal"
    demand = [float(row["zone_demand_mw"]) for row in table("loads")]
    shine = [float(row["gen_max_capacity_factor"]) for row in table("variable_capacity_factors")]

    def usd(sun_mw: float, heat_mw: float) -> float:
        left = [d - heat_mw * sure[heat_pump] for d in demand]
        by_sun = [min(n, sun_mw * part * sure[sun]) for n, part in zip(left, shine, strict=True)]
        by_gas = [n - s for n, s in zip(left, by_sun, strict=True)]
        if min(by_gas) < -1e-9:
            return float("inf")
        yearly = sun_mw * fixed[sun] + heat_mw * fixed[heat_pump] + max(by_gas) / sure[gas] * fixed[gas]
        running = sum(by_gas) * variable[gas] + sum(by_sun) * variable[sun]
        running += heat_mw * sure[heat_pump] * len(demand) * variable[heat_pump]
        return worth * (yearly + hours_a_year * running)

    tried = [(usd(s / 10, g / 100), s / 10, g / 100) for s in range(21) for g in range(51)]
    best = min(tried)
    assert best[0] == pytest.approx(14_998_608.829253994, rel=1e-6)
