"""A hall that can be built, for worked numbers: two phases and an alternative, machines to buy, cloud beside it."""

from datetime import date
from typing import Any

from studies import SOURCED, machine_type, model, offer, profile, site, study, workload

from planner.study.records.buildout import BuildOut, CapitalLimit, Electricity, LeadTimes, Lives, Money, SpendCommitment
from planner.study.records.inventory import Pool, Price
from planner.study.records.study import Demand, Horizon, Policies, Study, Tier

START = date(2027, 1, 1)
HALL = "own/h"
CLOCKS = {"shell": 6.0, "power": 12.0, "equipment": 3.0, "commissioning": 1.0}


def phase(name: str, **more: Any) -> BuildOut:
    """A module of 20 kW: 20,000 USD of shell, 10,000 of power, 6,000 of fit-out; 2,000 USD a year."""
    fields: dict[str, Any] = {
        "power_mw": 0.02,
        "lead_months": LeadTimes(**CLOCKS),
        "shell_usd_per_mw": 1e6,
        "power_usd_per_mw": 0.5e6,
        "fit_out_usd_per_mw": 0.3e6,
        "life_years": Lives(shell=20.0, power=20.0, fit_out=10.0),
        "usd_per_mw_year": 0.1e6,
    }
    return BuildOut(site=HALL, name=name, **SOURCED, **{**fields, **more})


def machines(capital: float = 12000.0, life: float = 4.0, **more: Any) -> tuple[Any, Price]:
    """Machines to buy for the hall: 10 kW each, 12,000 USD, 4 years."""
    bought, price = offer(f"{HALL}/m", 0.0, "build_out", life_years=life, **more)
    return bought, price.model_copy(update={"capital_usd_per_machine": capital})


def hall(quarters: int = 8, demand: list[Demand] | float = 5.0, cloud_usd_per_hour: float = 40.0, **more: Any) -> Study:
    """A replica a machine, 5 requests/s, 100 hours a month; ordered on the first day, ready a year later."""
    rows = [Demand(workload="w", origin="o", requests_per_second=demand)] if isinstance(demand, float) else demand
    fields: dict[str, Any] = {
        "today": START,
        "horizon": Horizon(start=START, quarters=quarters),
        "hours_per_month": 100.0,
        "sites": (site(HALL), site("a/x")),
        "machine_types": (machine_type("m", power_kw=10.0),),
        "pools": (Pool(site=HALL, machine_type="m"), Pool(site="a/x", machine_type="m")),
        "bought": [machines(), offer("a/x/m", cloud_usd_per_hour)],
        "models": (model("m", [profile("m", "cuda", 5)]),),
        "tiers": (Tier(name="t"),),
        "workloads": (workload("w"),),
        "demand": {("w", "o"): 1},
        "build_outs": (phase("one"),),
    }
    return study(**{**fields, **more}).model_copy(update={"demand": tuple(rows)})


def years() -> Study:
    """All that is built, promised and limited at once: for points inside and outside of each rule."""
    return hall(
        build_outs=(
            phase("one", most=2),
            phase("two", after=(f"{HALL}:one",), either_or="second"),
            phase("other", either_or="second"),
        ),
        electricity=(Electricity(site=HALL, usd_per_kwh=0.1, pue=1.5, draw_fraction=0.5, **SOURCED),),
        spend_commitments=(SpendCommitment(name="promise", offers=("a/*",), usd_per_year=48000.0),),
        policies=Policies(
            capital_limits=(CapitalLimit(name="first year", most_usd=110000.0, until=date(2027, 12, 31)),)
        ),
        money=Money(discount_fraction_per_year=0.21),
    )
