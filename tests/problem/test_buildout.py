"""Build-outs end to end, by hand: clocks, lives, salvage, limits, energy, promises, other periods, bad input."""

import csv
from datetime import date
from pathlib import Path

import pytest
from buildouts import CLOCKS, HALL, START, hall, machines, phase
from helpers import FILES, write_study
from studies import SOURCED, machine_type, model, offer, profile, site, study, workload

from planner.drill import drill_plan
from planner.errors import InputError
from planner.plan.explain import obstacles
from planner.plan.file import sealed
from planner.plan.orders import phase_orders
from planner.plan.plan import make_plan
from planner.problem.build import build
from planner.problem.money import capital_recovery_factor
from planner.review.answer import review_plan
from planner.review.render import render
from planner.solve.search import Effort
from planner.study.read import read_study
from planner.study.records.buildout import (
    CapitalLimit,
    Electricity,
    LeadTimes,
    Lives,
    Money,
    SpendCommitment,
    TariffStep,
)
from planner.study.records.inventory import Pool
from planner.study.records.serving import ContextClass
from planner.study.records.study import Demand, Horizon, Hour, Period, Policies, RequestCost, Tier

EXACT = Effort(gap_fraction=0.0, most_nodes=10_000)
TENTH = Money(discount_fraction_per_year=0.1)
SWITCH = Path(__file__).parents[3] / "shared" / "cases" / "switch_new_builds_only"


def planned(asked):
    return make_plan(asked, EXACT)


def built(plan):
    """Phase -> (period from which it stands, modules)."""
    return {row.build_out.rpartition(":")[2]: (row.when, row.units) for row in plan.builds}


def bought(plan, name="build_out"):
    """(period, units) of an offer."""
    return [(row.when, row.units) for row in plan.purchases if row.offer.endswith(f":{name}")]


def lead_times(**months):
    return LeadTimes(**{**CLOCKS, **months})


def at(t):
    """What a USD after some quarters is worth at 10 % a year; n + 0.5 is the middle of a quarter."""
    return 1.1 ** (-t / 4)


# ------------------------------------------------------------------ cost
def test_the_hall_by_hand():
    """On demand for a year, 48,000; the hall 36,000, a machine 12,000, upkeep 2,000; left: 42,900. 55,100 USD.

    Left of the shell 20,000 · 19/20, of the power 10,000 · 19/20, of the fit-out 6,000 · 9/10, of the machine
    12,000 · 3/4. Renting on would cost 96,000.
    """
    plan = planned(hall())
    assert plan.proof.cost_usd == pytest.approx(48000 + 36000 + 12000 + 2000 - 42900)
    assert built(plan) == {"one": ("quarter-5", 1)} and bought(plan) == [("quarter-5", 1)]


def test_the_same_at_ten_percent():
    """Each part counts when it is ordered: power at once, shell at month 6, fit-out at 9, the machine at 12."""
    plan = planned(hall(money=TENTH))
    assert plan.costs_usd["hourly_machines"] == pytest.approx(12000 * sum(at(n + 0.5) for n in range(4)))
    assert plan.costs_usd["capital"] == pytest.approx(10000 + 20000 * at(2) + 6000 * at(3) + 12000 * at(4))
    assert plan.costs_usd["upkeep"] == pytest.approx(500 * sum(at(n + 0.5) for n in range(4, 8)))
    assert plan.costs_usd["salvage"] == pytest.approx(-42900 * at(8))
    assert plan.proof.cost_usd == pytest.approx(57626.50, abs=0.01)


def test_without_salvage_nothing_is_built_that_does_not_pay_within_the_horizon():
    """The hall costs 50,000 in all, the year that it saves 48,000."""
    assert built(planned(hall(money=Money(salvage="none")))) == {}
    assert built(planned(hall(money=Money(salvage="none"), cloud_usd_per_hour=42.0))) == {"one": ("quarter-5", 1)}


def test_a_life_decides_the_book_value():
    """A shell of 10 years instead of 20 is worth 18,000 instead of 19,000 after one."""
    short = phase("one", life_years=Lives(shell=10.0, power=20.0, fit_out=10.0))
    assert planned(hall(build_outs=(short,))).proof.cost_usd == pytest.approx(56100)


# ------------------------------------------------------------------ clocks
@pytest.mark.parametrize(
    ("months", "first"), [(12.0, "quarter-5"), (12.04, "quarter-6"), (15.0, "quarter-6"), (11.0, "quarter-5")]
)
def test_the_longest_lead_time_decides(months, first):
    """12 months end on 2028-01-01, the first day of quarter 5; a day later is a quarter later."""
    plan = planned(hall(build_outs=(phase("one", lead_months=lead_times(power=months)),)))
    assert built(plan) == {"one": (first, 1)}


def test_a_day_later_today_is_a_quarter_later():
    wanted = [Demand(workload="w", origin="o", requests_per_second=5.0)]
    wanted.append(wanted[0].model_copy(update={"requests_per_second": 0.0, "period": "quarter-1"}))
    assert built(planned(hall(demand=wanted))) == {"one": ("quarter-5", 1)}
    assert built(planned(hall(demand=wanted, today=date(2027, 1, 2)))) == {"one": ("quarter-6", 1)}


def test_another_lead_time_can_be_the_longest():
    slow = phase("one", lead_months=lead_times(commissioning=18.0))
    plan = planned(hall(build_outs=(slow,)))
    assert built(plan) == {"one": ("quarter-7", 1)}
    by = {order.part: order.order_by for order in phase_orders(plan, build(plan.study))}
    need = date(2028, 7, 2)  # 18 months after the start
    assert {part: round((need - day).days / 30.4375 - 14 / 30.4375) for part, day in by.items()} == {
        "shell": 6,
        "power": 12,
        "equipment": 3,
        "commissioning": 18,
    }


def test_a_slip_past_the_horizon_is_never_built_and_says_why():
    late = hall(build_outs=(phase("one", lead_months=lead_times(power=24.0)),))
    reason = build(late).not_built[f"{HALL}:one"]
    assert reason == "lead time: 24 months from 2027-01-01 end on 2029-01-01, after 2028-10-01"
    plan = planned(late)
    assert plan.builds == () and plan.proof.cost_usd == pytest.approx(96000)
    assert f"cannot be built: {HALL}:one: lead time: 24 months" in render(review_plan(plan), "text")


@pytest.mark.parametrize(
    ("said", "in_quarter"),
    [
        ({"never": True}, {}),
        ({"ready_in": ("quarter-7",)}, {"one": ("quarter-7", 1)}),
        ({"ready_in": ("quarter-2",)}, {}),
        ({"decide_by": date(2026, 12, 31)}, {}),
        ({"decide_by": START}, {"one": ("quarter-5", 1)}),
    ],
)
def test_when_a_phase_may_be_ready(said, in_quarter):
    """Decided on the first day at the latest: 12 months before quarter 5."""
    assert built(planned(hall(build_outs=(phase("one", **said),)))) == in_quarter


# ------------------------------------------------------------------ which, how many, in which order
def test_one_of_a_group_is_built_the_cheaper():
    dear = phase("dear", either_or="power", power_usd_per_mw=0.6e6)
    cheap = phase("cheap", either_or="power")
    assert built(planned(hall(demand=15.0, build_outs=(dear, cheap)))) == {"cheap": ("quarter-5", 1)}
    both = (dear.model_copy(update={"either_or": None}), cheap.model_copy(update={"either_or": None}))
    assert built(planned(hall(demand=15.0, build_outs=both))).keys() == {"cheap", "dear"}


def test_a_phase_stands_no_earlier_than_those_before_it():
    """Four machines need both; the second would be ready in quarter 5, the first only in quarter 6."""
    first = phase("first", lead_months=lead_times(power=15.0))
    second = phase("second", after=(f"{HALL}:first",))
    plan = planned(hall(demand=20.0, build_outs=(first, second)))
    assert built(plan) == {"first": ("quarter-6", 1), "second": ("quarter-6", 1)}
    alone = planned(hall(demand=20.0, build_outs=(first.model_copy(update={"never": True}), second)))
    assert alone.builds == (), "what comes after a phase that is never built is never built"


def test_no_more_modules_than_there_are():
    """25 requests/s are 5 machines, 3 modules of 2 machines; of 2 modules the fifth machine stays in the cloud."""
    plan = planned(hall(demand=25.0, build_outs=(phase("one", most=3),)))
    assert built(plan) == {"one": ("quarter-5", 3)} and bought(plan) == [("quarter-5", 5)]
    plan = planned(hall(demand=25.0, build_outs=(phase("one", most=2),)))
    assert built(plan) == {"one": ("quarter-5", 2)} and bought(plan) == [("quarter-5", 4)]
    assert dict(bought(plan, "on_demand")) == {f"quarter-{n}/mean-hour": 5 if n < 5 else 1 for n in range(1, 9)}


def test_a_site_with_power_of_its_own_needs_no_hall_for_it():
    """10 kW are there: one machine is bought for quarter 1 and stands in them, no hall is built."""
    own = site(HALL).model_copy(update={"power_kw": 10.0})
    plan = planned(hall(sites=(own, site("a/x"))))
    assert plan.builds == () and bought(plan) == [("quarter-1", 1)]
    assert plan.proof.cost_usd == pytest.approx(12000 * (1 - 2 / 4))  # left: half of its life


def test_a_capital_limit_moves_a_phase_a_quarter_later():
    """In 2027 the hall pays 36,000 when it stands in quarter 5; a quarter later 6,000 of fit-out move to 2028.

    Later by a quarter: 12,000 more of cloud, 500 less of upkeep, and 250 + 125 + 150 + 750 more are left at the end.
    """
    limit = CapitalLimit(name="2027", most_usd=35999.0, until=date(2027, 12, 31))
    plan = planned(hall(policies=Policies(capital_limits=(limit,))))
    assert built(plan) == {"one": ("quarter-6", 1)}
    assert plan.proof.cost_usd == pytest.approx(55100 + 12000 - 500 - 1275)
    enough = limit.model_copy(update={"most_usd": 36000.0})
    assert built(planned(hall(policies=Policies(capital_limits=(enough,))))) == {"one": ("quarter-5", 1)}


def test_machines_are_bought_again_when_their_life_ends():
    """Machines for half a year: retired at the end of quarter 6, others start with quarter 7, in the same place."""
    plan = planned(hall(bought=[machines(capital=1000.0, life=0.5), offer("a/x/m", 40)]))
    assert bought(plan) == [("quarter-5", 1), ("quarter-7", 1)]
    assert plan.costs_usd["salvage"] == pytest.approx(-33900), "nothing is left of machines; 33,900 of the hall"


# ------------------------------------------------------------------ what is paid beside
def test_energy_with_pue_and_price_steps():
    """10 kW · 0.5 · 1.5 · 0.1 USD/kWh = 0.75 USD/h; from July 2028 twice that. Two quarters of 300 h each."""
    tariff = Electricity(
        site=HALL,
        usd_per_kwh=0.1,
        pue=1.5,
        draw_fraction=0.5,
        steps=(
            TariffStep(from_day=date(2028, 7, 1), usd_per_kwh=0.2),
            TariffStep(from_day=date(2027, 6, 1), usd_per_kwh=0.1),
        ),
        **SOURCED,
    )
    plan = planned(hall(electricity=(tariff,)))
    assert plan.costs_usd["energy"] == pytest.approx(600 * 0.75 + 600 * 1.5)
    cost = planned(hall(electricity=(tariff,), money=TENTH)).costs_usd["energy"]
    assert cost == pytest.approx(225 * (at(4.5) + at(5.5)) + 450 * (at(6.5) + at(7.5)))


@pytest.mark.parametrize(("rate", "name"), [(0.0, "upfront"), (0.1, "monthly")])
def test_paying_upfront_is_dearer_the_higher_the_discount(rate, name):
    """A year: 1,200 h at 0.98 USD upfront are 1,176; at 1 USD in four parts 1,200, at 10 % worth 1,144.55."""
    year = [
        offer("a/x/m", 0.98, "commitment", name="upfront", term_months=12.0, upfront_fraction=1.0),
        offer("a/x/m", 1.0, "commitment", name="monthly", term_months=12.0),
    ]
    asked = hall(4, build_outs=(), pools=(Pool(site="a/x", machine_type="m"),), bought=year)
    plan = planned(asked.model_copy(update={"money": Money(discount_fraction_per_year=rate)}))
    assert bought(plan, name) == [("quarter-1", 1)]
    assert plan.proof.cost_usd == pytest.approx(1200 * sum(at(n + 0.5) / 4 for n in range(4)) if rate else 1176)


def test_a_promise_makes_the_dearer_pool_the_cheaper_one():
    """A year at 40 USD is 48,000, at 35 elsewhere 42,000. With 30,000 promised to the first and not spent: 72,000."""
    pools = (Pool(site="a/x", machine_type="m"), Pool(site="b/y", machine_type="m"))
    both = [offer("a/x/m", 40), offer("b/y/m", 35)]
    asked = hall(4, build_outs=(), sites=(site("a/x"), site("b/y")), pools=pools, bought=both)
    plan = planned(asked)
    assert {row.offer for row in plan.purchases} == {"b/y/m:on_demand"} and plan.proof.cost_usd == pytest.approx(42000)
    # two quarters and a half at 12,000 use it up: three in a/x, one in b/y, 36,000 + 10,500
    promise = SpendCommitment(name="a", offers=("a/*",), usd_per_year=30000.0)
    plan = planned(asked.model_copy(update={"spend_commitments": (promise,)}))
    assert plan.proof.cost_usd == pytest.approx(36000 + 10500)
    # a quarter there costs 1,500 more: with 2,000 promised it is taken, 1,000 are paid for nothing
    less = promise.model_copy(update={"usd_per_year": 2000.0})
    assert planned(asked.model_copy(update={"spend_commitments": (less,)})).proof.cost_usd == pytest.approx(43500)
    small = promise.model_copy(update={"usd_per_year": 1000.0})
    plan = planned(asked.model_copy(update={"spend_commitments": (small,)}))
    assert plan.proof.cost_usd == pytest.approx(43000) and plan.costs_usd["spend_shortfalls"] == pytest.approx(1000)


def test_what_stands_in_the_way_of_a_plan_is_a_limit_or_the_offers_not_the_number_of_halls():
    """20 requests/s are 4 machines, and the cloud has one: with as many as wanted, there is a plan. Halls stay two."""
    few = [machines(), offer("a/x/m", 40, most_units=1)]
    phases = (phase("one"), phase("two", after=(f"{HALL}:one",)))
    p = build(hall(demand=20.0, bought=few, build_outs=phases))
    limits = list(obstacles(p, lambda stage, done, detail: None))
    assert len(limits) == 2 and limits[1].startswith("without the stock of offers (most_units) there is a plan for")
    assert limits[0].startswith(f"without power of {HALL} (at most 0 kW)") and limits[0].endswith(
        "which takes 40 kW"
    ), limits


def test_a_drill_knows_phases_and_those_that_there_are_not():
    plan = make_plan(hall(), EXACT, no_regret=True)
    assert any(row.offer == f"{HALL}:one" for row in plan.no_regret) and drill_plan(plan).findings == ()
    other = tuple(row.model_copy(update={"build_out": f"{HALL}:none"}) for row in plan.builds)
    findings = drill_plan(sealed(plan.model_copy(update={"builds": other}))).findings
    assert f"builds: phase {HALL}:none: no such phase" in findings


# ------------------------------------------------------------------ other periods
def of_periods(*months, **more):
    named = tuple(Period(name=f"p{n}", months=length) for n, length in enumerate(months))
    return hall(**more).model_copy(update={"horizon": Horizon(start=START, periods=named)})


def test_halves_and_months_change_no_total():
    in_quarters = planned(hall()).proof.cost_usd
    for months in ([12, 12], [12, 6, 6], [1] * 24):
        assert planned(of_periods(*months)).proof.cost_usd == pytest.approx(in_quarters), months


def test_with_a_discount_shorter_periods_move_payments_within_them_alone():
    """What is paid hour by hour counts in the middle of its period: the first year as one, or in halves."""
    one, two = planned(of_periods(12, 12, money=TENTH)), planned(of_periods(6, 6, 12, money=TENTH))
    assert one.costs_usd["capital"] == pytest.approx(two.costs_usd["capital"])
    assert one.costs_usd["salvage"] == pytest.approx(two.costs_usd["salvage"])
    assert one.costs_usd["hourly_machines"] == pytest.approx(48000 * at(2))
    assert two.costs_usd["hourly_machines"] == pytest.approx(24000 * (at(1) + at(3)))
    difference = 24000 * (at(1) + at(3)) - 48000 * at(2)  # 13 USD of 45,765: the curve within a year
    assert two.proof.cost_usd - one.proof.cost_usd == pytest.approx(difference) and 0 < difference < 15


# ------------------------------------------------------------------ bad input
HALLS = {
    "inventory/sites.csv": FILES["inventory/sites.csv"] + "own,hall,hall,Paris,48.9,2.4,FR,,assumed,made up,2026\n",
    "inventory/own/pools.csv": "site,machine_type\nown/hall,gpu-8\n",
    "inventory/own/offers.csv": "site,machine_type,offer,kind,instrument,life_years,upfront_fraction,evidence,source,"
    "as_of\n"
    "own/hall,gpu-8,bought,build_out,purchase,4,,assumed,made up,2026\n",
    "inventory/own/prices.csv": "site,machine_type,offer,price_usd_per_machine_hour,capital_usd_per_machine,evidence,"
    "source,as_of\nown/hall,gpu-8,bought,0,400000,assumed,made up,2026\n",
    "models/small.yaml": FILES["models/small.yaml"].replace("until: 2028", "until: 2038"),
    "inventory/machine_types.yaml": FILES["inventory/machine_types.yaml"].replace(
        "memory_gib_per_accelerator: 80", "memory_gib_per_accelerator: 80\n    power_kw: 10"
    ),
}
PHASE = {
    "site": "own/hall",
    "name": "one",
    "power_mw": 1,
    "lead_months": {"shell": 6, "power": 9, "equipment": 6, "commissioning": 2},
    "life_years": {"shell": 20, "power": 20, "fit_out": 10},
    "evidence": "assumed",
    "source": "made up",
    "as_of": "2026",
}
POWER = {"site": "own/hall", "usd_per_kwh": 0.1, "evidence": "assumed", "source": "made up", "as_of": "2026"}
SPEND = {"name": "a", "offers": ["alpha/*"], "usd_per_year": 1000}
OFFERS, PRICES = "inventory/own/offers.csv", "inventory/own/prices.csv"
TWO_YEARS = {"start": "2026-07-01", "quarters": 8}


def findings_of(folder, edits=(), **fields):
    """Errors and warnings of a study with a hall."""
    fields = {"horizon": TWO_YEARS, "build_outs": [PHASE], "electricity": [POWER], **fields}
    try:
        return read_study(write_study(folder, edits, HALLS, **fields))[1]
    except InputError as error:
        return error.findings


def test_the_hall_of_these_tests_has_no_findings(tmp_path):
    assert findings_of(tmp_path) == []


def two(**more):
    return [PHASE, {**PHASE, "name": "two", **more}]


LIMIT = {"name": "cap", "most_usd": 1}
BAD = {
    "a site that is not there": ({"build_outs": [{**PHASE, "site": "own/hal"}]}, ".site", "did you mean"),
    "the same phase twice": ({"build_outs": [PHASE, PHASE]}, "build_outs[1]", "own/hall:one"),
    "a site where nothing can stand": ({"build_outs": [{**PHASE, "site": "beta/far-1"}]}, ".site", "which has none"),
    "after what is not there": ({"build_outs": two(after=["own/hall:on"])}, ".after", "did you mean"),
    "after each other": (
        {"build_outs": [{**PHASE, "after": ["own/hall:two"]}, *two(after=["own/hall:one"])[1:]]},
        ".after",
        "own/hall:one after own/hall:two",
    ),
    "several modules of which one is built": (
        {"build_outs": [{**PHASE, "most": 2, "either_or": "g"}, *two(either_or="g")[1:]]},
        ".most",
        "most: 2 in group 'g'",
    ),
    "a group of one": ({"build_outs": [{**PHASE, "either_or": "g"}]}, ".either_or", "one in 'g'"),
    "a group that overlaps what comes after what": (
        {"build_outs": [{**PHASE, "either_or": "g"}, *two(either_or="g", after=["own/hall:one"])[1:]]},
        ".either_or",
        "so it is never built",
    ),
    "a period that is not there": ({"build_outs": [{**PHASE, "ready_in": ["quarter-9"]}]}, ".ready_in", "quarter-9"),
    "clocks beyond the horizon": (
        {"build_outs": [{**PHASE, "lead_months": {**PHASE["lead_months"], "power": 40}}]},
        ".lead_months",
        "40",
    ),
    "a hall that does not outlive the horizon": (
        {"build_outs": [{**PHASE, "life_years": {**PHASE["life_years"], "fit_out": 1.5}}]},
        ".life_years.fit_out",
        "1.5",
    ),
    "power of a module": ({"build_outs": [{**PHASE, "power_mw": 0}]}, "power_mw", "0"),
    "electricity nowhere": ({"electricity": [POWER, {**POWER, "site": "own/hal"}]}, ".site", "did you mean"),
    "electricity twice": ({"electricity": [POWER, POWER]}, "electricity[1]", "own/hall"),
    "a price twice on a day": (
        {"electricity": [{**POWER, "steps": [{"from_day": "2027-01-01", "usd_per_kwh": 0.2}] * 2}]},
        ".steps",
        "a day twice",
    ),
    "a promise for nothing": ({"spend_commitments": [{**SPEND, "offers": ["alfa/*"]}]}, ".offers", "'alfa/*'"),
    "the same promise twice": ({"spend_commitments": [SPEND, SPEND]}, "spend_commitments[1]", "a"),
    "a promise that ends before it begins": (
        {"spend_commitments": [{**SPEND, "from_day": "2027-05-01", "until": "2027-04-30"}]},
        ".until",
        "2027-04-30",
    ),
    "a promise that is over": (
        {"spend_commitments": [{**SPEND, "until": "2026-01-31"}]},
        ".until",
        "the start to 2026-01-31",
    ),
    "a limit that comes too late": (
        {"policies": {"capital_limits": [{**LIMIT, "from_day": "2031-01-01"}]}},
        "policies.capital_limits[0].from_day",
        "2031-01-01 to the end",
    ),
    "the same limit twice": ({"policies": {"capital_limits": [LIMIT, LIMIT]}}, "policies.capital_limits[1]", "cap"),
    "a hall and energy in the price as well": (
        {"edits": [(PRICES, ",0,400000,", ",14,,")]},
        "price_usd_per_machine_hour",
        "14 USD per machine-hour, all in",
    ),
    "machines without a life": ({"edits": [(OFFERS, ",purchase,4,", ",purchase,,")]}, "offer", "none for"),
    "machines bought on demand": (
        {"edits": [(OFFERS, "build_out,purchase,4", "on_demand,purchase,")]},
        "capital_usd_per_machine",
        "capital for on_demand",
    ),
    "a life of what is rented": (
        {"edits": [(OFFERS, "build_out,purchase,4", "commitment,purchase,4"), (PRICES, ",0,400000,", ",9,,")]},
        "life_years",
        "commitment",
    ),
    "by the hour and upfront": (
        {"edits": [(OFFERS, "build_out,purchase,4,", "on_demand,purchase,,0.5"), (PRICES, ",0,400000,", ",9,,")]},
        "upfront_fraction",
        "more",
    ),
    "machines that draw nothing": (
        {"edits": [("inventory/machine_types.yaml", "power_kw: 10", "quota_units: {chips: 8}")]},
        "machine_types.yaml",
        "none",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_is_said(tmp_path, name):
    """Place, what was expected, what was found, what to do: of each thing that cannot be built, paid or promised."""
    fields, where, got = BAD[name]
    findings = findings_of(tmp_path, **fields)
    ours = [finding for finding in findings if where in finding.where and got in finding.got]
    assert ours, [str(finding) for finding in findings]
    for finding in ours:
        assert finding.expected and finding.fix and finding.level in ("error", "warning")
        assert ":" in finding.where and str(tmp_path) not in finding.fix


# ------------------------------------------------------------------ a public example of another planner
HOURS = ("noon", "night")


def table(name):
    return list(csv.DictReader((SWITCH / f"{name}.csv").read_text(encoding="utf-8").splitlines()))


@pytest.mark.skipif(not SWITCH.is_dir(), reason="the published case is not beside this checkout")
def test_new_builds_only_of_switch_through_a_plan():
    """Three kinds of plants for one zone, as machines that serve MW instead of requests: 14,998,608.83 USD.

    A machine is what serves 0.5 MW (gas) or 0.1 MW (the others) when nothing of it is out. Each of ten years pays the
    loan and the fixed upkeep of a plant by the hour, and each MWh as the cost of 3,600 requests. The sun serves at noon
    alone, by context class. Switch pays at the end of each year and reckons from 2015; here payments fall in the middle
    of each year from 2017 on: two years and a half, a factor on the total.
    """
    (money,), info = table("financials"), table("gen_info")
    interest, discount = float(money["interest_rate"]), float(money["discount_rate"])
    costs = {row["GENERATION_PROJECT"]: row for row in table("gen_build_costs")}
    fuel_usd = float(table("fuel_cost")[0]["fuel_cost"])
    noon = next(
        float(r["gen_max_capacity_factor"]) for r in table("variable_capacity_factors") if r["timepoint"] == "1"
    )
    hours_a_year = 8766.0
    pools, bought_at, profiles, request_costs, kinds = [], [], [], [], []
    for row in info:
        name = row["GENERATION_PROJECT"]
        plant, heat = name.lower(), row["gen_full_load_heat_rate"]
        lent = float(costs[name]["gen_overnight_cost"]) + float(row["gen_connect_cost_per_mw"])
        yearly = lent * capital_recovery_factor(interest, float(row["gen_max_age"])) + float(
            costs[name]["gen_fixed_om"]
        )
        sure = 1 - float(row["gen_forced_outage_rate"])
        sure *= 1 - float(row["gen_scheduled_outage_rate"]) if row["gen_is_baseload"] == "1" else 1.0
        sun = row["gen_is_variable"] == "1"
        served_mw = 0.5 if plant.endswith("cc") else 0.1
        capacity_mw = served_mw / sure / (noon if sun else 1.0)
        limit = None if row["gen_capacity_limit_mw"] == "." else float(row["gen_capacity_limit_mw"]) // capacity_mw
        pools.append(Pool(site=f"{plant}/s", machine_type=plant))
        kinds.append(machine_type(plant))
        usd_per_hour = yearly * capacity_mw / hours_a_year
        bought_at.append(offer(f"{plant}/s/{plant}", usd_per_hour, "commitment", term_months=120.0, most_units=limit))
        profiles.append(profile(plant, plant, served_mw, classes=HOURS[:1] if sun else HOURS))
        usd_per_mwh = float(row["gen_variable_om"]) + (0.0 if heat == "." else float(heat) * fuel_usd)
        request_costs.append(RequestCost(origin="o", site=f"{plant}/s", usd_per_request=usd_per_mwh / 3600))
    wanted = {(w, w): float(row["zone_demand_mw"]) for w, row in zip(HOURS, table("loads"), strict=True)}
    asked = study(
        demand=tuple(
            Demand(workload=w, origin="o", requests_per_second=wanted.get((w, h), 0.0), hour=h)
            for w in HOURS
            for h in HOURS
        ),
        today=date(2017, 1, 1),
        horizon=Horizon(
            start=date(2017, 1, 1),
            periods=tuple(Period(name=f"{2017 + n}", months=12) for n in range(10)),
            hours=tuple(Hour(name=h, weight_fraction=0.5) for h in HOURS),
        ),
        hours_per_month=hours_a_year / 12,
        money=Money(discount_fraction_per_year=discount),
        context_classes=tuple(ContextClass(name=name, most_tokens=1000) for name in HOURS),
        sites=tuple(site(pool.site) for pool in pools),
        machine_types=tuple(kinds),
        pools=tuple(pools),
        bought=bought_at,
        models=(model("m", profiles),),
        tiers=(Tier(name="t"),),
        workloads=tuple(workload(name, context_class=name) for name in HOURS),
        request_costs=tuple(request_costs),
    )
    plan = planned(asked)
    gas = [(row.offer.rpartition(":")[0], row.when, row.units) for row in plan.purchases]
    assert gas == [("s-ng_cc/s/s-ng_cc", "2017", 16)], "8 MW, and nothing else"
    assert plan.proof.cost_usd * (1 + discount) ** -2.5 == pytest.approx(14_998_608.829253994, rel=1e-9)
