"""Ready-made questions, by hand: where offers cross, what a month of delay costs, which order of phases is the best."""

import json
import re
from datetime import date

import pytest
from buildouts import HALL, hall, machines, phase
from studies import SOURCED, machine_type, model, offer, profile, site
from two_sites import call, changed, refused

from planner.errors import InputError
from planner.plan.audit import audit
from planner.plan.file import plan_text
from planner.plan.plan import make_plan
from planner.questions.crossover import crossover
from planner.questions.delay import delays_of
from planner.questions.delay_cost import costs_of_delays, known_late
from planner.questions.sequence import sequence_variants, sequences, single_changes
from planner.questions.whatif import plan_variants
from planner.solve.search import Effort
from planner.study.records.buildout import Electricity, Money
from planner.study.records.inventory import Pool
from planner.study.records.study import Goal, Holding, Horizon, Policies, PriceLine, PricePath, PriceStep, Tier

ONE, DEAR = f"{HALL}:one", f"{HALL}:dear"


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
    # 0.01 MW of: 1 million paid 6 months and 0.5 a year ahead, over 20 years (0.0943929); 0.3 million 3 months ahead,
    # over 10 (0.1423775); 0.1 million a year
    ahead = 1e6 * 1.07**0.5 + 0.5e6 * 1.07
    hall_usd = 0.01 * (ahead * 0.0943929 + 0.3e6 * 1.07**0.25 * 0.1423775 + 0.1e6)
    assert owned.parts["hall"] == pytest.approx(hall_usd / 1200, rel=1e-5)
    # 10 kW, half drawn, 1.5 at the meter
    assert owned.parts["energy"] == pytest.approx(10 * 0.5 * 1.5 * 0.1)
    assert not [o for o in found.options if o.pool == f"{HALL}/m" and o.period == "quarter-4"], "no hall yet"
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
    found = crossover(study, basis="accelerator")
    # 10 USD for 8 chips on demand, 3 USD for 4 committed
    assert crossing(found, "a/x/half:commitment").utilisation == pytest.approx((3 / 4) / (10 / 8))


def test_workloads_compare_request_by_request():
    fast = model("m", [profile("m", "cuda", 5), profile("fast", "cuda", 20, accelerators_per_replica=4)])
    study = contracts(
        machine_types=(machine_type("m"), machine_type("fast")),
        models=(fast,),
        pools=(Pool(site="a/x", machine_type="m", usable_fraction=0.5), Pool(site="a/x", machine_type="fast")),
        bought=[offer("a/x/m", 10.0), offer("a/x/fast", 24.0, "commitment", term_months=12.0)],
    )
    found = crossover(study, basis="workload")
    # 2.5 requests/s of a machine at 10 USD/h; 2 replicas of 20 requests/s at 24 USD/h
    hired, fixed = only(found, "a/x/m:on_demand"), only(found, "a/x/fast:commitment")
    assert hired.group == fixed.group == "w"
    assert hired.usd_per_hour == pytest.approx(10 / (2.5 * 3600) * 1e6)
    assert fixed.usd_per_hour == pytest.approx(24 / (40 * 3600) * 1e6, rel=1e-6)
    assert crossing(found, "a/x/fast:commitment").utilisation == pytest.approx((24 / 40) / (10 / 2.5))


# ------------------------------------------------------------------ delay
@pytest.fixture(scope="module")
def built():
    """The hall of one module, ready in the fifth quarter, a machine in it; cloud at 40 USD/h until then."""
    return make_plan(hall())


def answers_to(plan, found):
    variants = [delay.variant for delay in found if delay.ready is not None]
    return costs_of_delays(found, plan_variants(plan.study, variants, base=plan), lambda *told: None)


def test_the_value_of_a_month_on_a_study_of_one_site(built):
    asked = delays_of(built, months=(6.0,))
    (found,) = answers_to(built, asked)
    assert (found.delay.ready, found.delay.until) == ("quarter-5", "quarter-7")
    # six months of cloud at 40 USD for 100 hours a month; less upkeep of 2,000 USD a year, and half a year of wear:
    # 20,000 / 20 and 10,000 / 20 and 6,000 / 10 and, for the machine, 12,000 / 4
    expected = 6 * 100 * 40 - 1000 - (1000 + 500 + 600 + 3000) / 2
    assert found.delay_usd == pytest.approx(expected)
    assert found.usd_per_month == pytest.approx(expected / 6)
    assert found.least_usd <= expected <= found.most_usd
    # 5 requests/s have nowhere to go until then: the cloud was let go
    assert [(b.period, b.goal, b.requests_per_second) for b in found.broken] == [
        ("quarter-5", "normal operation", pytest.approx(5)),
        ("quarter-6", "normal operation", pytest.approx(5)),
    ]


def test_periods_are_counted_from_where_the_plan_has_it(built):
    assert [(s.months, s.until) for s in delays_of(built)] == [(3, "quarter-6"), (6, "quarter-7")]
    one, two = answers_to(built, delays_of(built))
    assert one.delay_usd == pytest.approx(two.delay_usd / 2) and len(one.broken) == 1


def test_a_clock_that_does_not_decide_costs_nothing_when_it_is_known(built):
    # equipment takes 3 of 12 months; 3 more are free, if they are known; the plan as it stands would have it late
    (found,) = answers_to(built, delays_of(built, lead_times=("equipment",), months=(3.0,)))
    assert found.delay_usd == pytest.approx(0) and [b.period for b in found.broken] == ["quarter-5"]


def test_a_month_late_is_a_quarter_late_where_plans_count_quarters(built):
    one, three = answers_to(built, delays_of(built, months=(1.0, 3.0)))
    assert one.delay.until == "quarter-6" and one.delay.months_without == 3
    assert one.usd_per_month == pytest.approx(three.usd_per_month)


def test_a_delay_past_the_horizon_is_never_built(built):
    (found,) = answers_to(built, delays_of(built, months=(24.0,)))
    assert found.delay.until is None
    # twelve months of cloud instead of a hall and a machine, of which a year is used
    wear = 1000 + 500 + 600 + 3000
    assert found.delay_usd == pytest.approx(12 * 100 * 40 - 2000 - wear)
    assert found.usd_per_month == pytest.approx((12 * 100 * 40 - 2000 - wear) / 12), "missing for a year of the plan"
    assert [b.period for b in found.broken] == ["quarter-5", "quarter-6", "quarter-7", "quarter-8"]


def test_a_phase_that_is_not_built_may_be_late_for_nothing(built):
    dear = make_plan(changed(built.study, {f"build_outs[{HALL}:one]": "x100"}))
    (found,) = answers_to(dear, delays_of(dear, months=(6.0,)))
    assert found.delay.ready is None and found.delay_usd == 0 and not found.broken


@pytest.mark.parametrize("said", [{"least": 1}, {"ready_in": ("quarter-5",)}, {"least": 1, "ready_in": ("quarter-5",)}])
def test_what_is_committed_keeps_its_decision_and_gets_a_later_date(said):
    """A hall that must be built, or has a date: the same as for one that may be built whenever it is ready."""
    plan = make_plan(hall(build_outs=(phase("one", **said),)))
    half, never = answers_to(plan, delays_of(plan, months=(6.0, 24.0)))
    wear = 1000 + 500 + 600 + 3000
    assert half.delay_usd == pytest.approx(6 * 100 * 40 - 1000 - wear / 2), half.why_not
    assert half.delay.until == "quarter-7" and [b.period for b in half.broken] == ["quarter-5", "quarter-6"]
    assert never.delay_usd == pytest.approx(12 * 100 * 40 - 2000 - wear) and never.delay.until is None
    late = known_late(plan, half.delay, None, Effort(), lambda *told: None)
    assert late.usd == pytest.approx(half.delay_usd), "on demand is there on the day"


def test_a_date_with_slack_moves_with_the_delay_and_energy_and_cash_follow():
    """12 months of lead times, decided for the seventh quarter: late by one, it is there in the eighth, and must be."""
    power = Electricity(site=HALL, usd_per_kwh=0.1, pue=1.5, draw_fraction=0.5, **SOURCED)
    asked = hall(build_outs=(phase("one", least=1, ready_in=("quarter-7",)),), electricity=(power,))
    plan = make_plan(asked)
    (delay,) = delays_of(plan, months=(3.0,))
    _, answer = plan_variants(asked, [delay.variant], base=plan)
    assert [(m.when, m.units) for m in answer.plan.builds] == [("quarter-8", 1)]
    assert answer.plan.costs_usd["energy"] == pytest.approx(plan.costs_usd["energy"] / 2)
    assert answer.plan.costs_usd["upkeep"] == pytest.approx(plan.costs_usd["upkeep"] / 2)
    assert answer.plan.costs_usd["capital"] == pytest.approx(plan.costs_usd["capital"])


def test_what_comes_after_is_late_with_it():
    """Two halls with dates, one after the other: the second is not to be before the first, and is not lost by that."""
    first = phase("one", least=1, ready_in=("quarter-5",))
    second = phase("two", least=1, ready_in=("quarter-5", "quarter-6"), after=(ONE,))
    plan = make_plan(hall(demand=15.0, build_outs=(first, second)))
    quarter, half, year = delays_of(plan, what=(ONE,), months=(3.0, 6.0, 12.0))
    assert [c.path for c in quarter.patch.changes][1:] == [f"build_outs[{ONE}].ready_in"]
    answers = plan_variants(plan.study, [one.variant for one in (quarter, half, year)], base=plan)[1:]
    assert [sorted(m.when for m in answer.plan.builds) for answer in answers] == [
        ["quarter-6", "quarter-6"],
        ["quarter-7", "quarter-7"],
        [],
    ]
    late = known_late(plan, half, None, Effort(), lambda *told: None)
    assert late.usd == pytest.approx(answers[1].plan.proof.cost_usd - plan.proof.cost_usd)


def test_how_late_a_committed_hall_may_be_is_answered_by_the_command(tmp_path):
    """With cloud held for the first year and a half, a quarter late breaks nothing; half a year and more does."""
    held = (Holding(pool="a/x/m", machines=1, until=date(2028, 3, 31)),)
    plan = make_plan(hall(build_outs=(phase("one", least=1, ready_in=("quarter-5",)),), holdings=held))
    path = tmp_path / "plan.json"
    path.write_text(plan_text(plan), encoding="utf-8")
    done = call("delay", path, "--periods", "1,2,3", "--quiet")
    assert done.exit_code == 0, done.output
    assert f"as the plan stands, {ONE}, power, may be 3 months late, not 6" in done.output
    assert f"""build_outs[{ONE}].ready_in=["quarter-6"]""" in done.output.replace("\n", "").replace("    ", "")


def test_survival_goals_that_break_are_named_by_period():
    """Two machines in the hall and two in the cloud survive the loss of either; one cloud machine is held."""
    goal = Goal(any="site", within_seconds=60.0, serve_fraction=0.5)
    study = hall(
        demand=10.0,
        tiers=(Tier(name="t", survive=(goal,)),),
        holdings=(Holding(pool="a/x/m", machines=2),),
        policies=Policies(offers=("build_out",)),
        horizon=Horizon(start=date(2028, 1, 1), quarters=4),
    )
    plan = make_plan(study)
    assert [(b.when, b.units) for b in plan.builds] == [("quarter-1", 1)]
    (found,) = answers_to(plan, delays_of(plan, months=(3.0,)))
    # the cloud alone serves everything, until it is lost
    (broken,) = found.broken
    assert broken.period == "quarter-1" and broken.goal == "t: any site within 60 s"
    assert broken.failures == ("site:a/x",) and broken.requests_per_second == pytest.approx(5)
    assert found.delay_usd is None and "a/x" in found.why_not


def test_a_delay_that_is_known_late_costs_what_was_ordered_as_well():
    """A year's commitment instead of on demand for the first year; a second hall that could have been ordered."""
    bought = [machines(), offer("a/x/m", 40.0), offer("a/x/m", 30.0, "commitment", term_months=6.0)]
    study = hall(bought=bought, build_outs=(phase("dear", shell_usd_per_mw=1.5e6, either_or="s"),
                                            phase("one", either_or="s")))  # fmt: skip
    plan = make_plan(study)
    asked = delays_of(plan, what=(ONE,), months=(6.0,))

    def late(on):
        known = lambda plan, delay: known_late(plan, delay, on, Effort(), lambda *told: None)  # noqa: E731
        answers = plan_variants(plan.study, [delay.variant for delay in asked], base=plan)
        return costs_of_delays(asked, answers, lambda *told: None, known)[0]

    found = late(None)
    assert found.delay_usd == pytest.approx(500), "known now the other hall is ordered instead"
    # known on the day: half a year of commitment at 30 USD more, and the hall and its machine come half a year later
    assert found.known_late.known_on == date(2028, 1, 1)
    expected = 6 * 100 * 30 - (2000 + 1000 + 500 + 600 + 3000) / 2
    assert found.known_late.usd == pytest.approx(expected)
    assert found.known_late.least_usd <= expected <= found.known_late.most_usd
    # known a quarter after it should have been there: nothing else was rented until then, and nothing was served
    assert late(date(2028, 4, 1)).known_late.usd is None
    assert late(date(2027, 10, 1)).known_late.usd == pytest.approx(expected), (
        "lead times have run too far for another hall"
    )


def test_a_delivery_that_is_known_late(built):
    bought = (f"{HALL}/m:build_out",)
    (found,) = delays_of(built, what=bought, months=(3.0,))
    late = known_late(built, found, None, Effort(), lambda *told: None)
    # three months of cloud; the machine wears three months less, the hall stands empty for as long
    assert late.usd == pytest.approx(3 * 100 * 40 - 3 / 12 * 3000)
    never = delays_of(built, what=bought, months=(15.0,))[0]
    assert known_late(built, never, None, Effort(), lambda *told: None) is None


def test_a_late_delivery_is_a_delay_of_its_offer(built):
    (found,) = answers_to(built, delays_of(built, what=(f"{HALL}/m:build_out",), months=(15.0,)))
    assert found.delay.lead_time == "delivery" and found.delay.until is None
    # ordered on the first day the machine is there in the sixth quarter: three more months of cloud, less wear
    assert found.delay_usd == pytest.approx(3 * 100 * 40 - 3 / 12 * (2000 + 1000 + 500 + 600 + 3000))
    assert {b.period for b in found.broken} == {"quarter-5", "quarter-6", "quarter-7", "quarter-8"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"what": ("own/nowhere:*",)}, "own/nowhere:*"),
        ({"lead_times": ("water",)}, "one of shell, power, equipment, commissioning"),
        ({"months": (-1.0,)}, "a delay above 0"),
        ({"periods": (0,)}, "a delay above 0"),
    ],
)
def test_a_delay_of_nothing_is_a_finding(built, words, said):
    with pytest.raises(InputError, match=re.escape(said)):
        delays_of(built, **words)


# ------------------------------------------------------------------ sequence


def two_phases(**more):
    """Phase `dear` costs 10,000 USD more for its shell: of one module, 500 USD of wear in the year that it is used."""
    return hall(build_outs=(phase("dear", shell_usd_per_mw=1.5e6, **more), phase("one", **more)))


def sequences_of(plan, within=0.03, pairs=False):
    answers = plan_variants(plan.study, sequence_variants(plan, pairs), base=plan)
    return sequences(answers, within)


def test_the_next_best_sequences_and_what_they_need_to_win():
    plan = make_plan(two_phases(either_or="site"))
    found = sequences_of(plan)
    assert [(m.build_out, m.when) for m in found.plan.builds] == [(ONE, "quarter-5")]
    (dear,) = found.near
    assert dear.names == (f"{DEAR} built", f"{ONE} never") and [m.build_out for m in dear.builds] == [DEAR]
    assert dear.needs_usd == pytest.approx(500)
    # 30,000 of shell, 10,000 of power, 6,000 of fit-out, a machine
    assert dear.share_of_capital == pytest.approx(500 / 58000)
    assert dear.least_usd <= 500 <= dear.most_usd
    # a quarter of cloud more, less upkeep and wear of a quarter
    (later,) = found.further
    assert later.names == (f"{ONE} a period later",)
    assert later.needs_usd == pytest.approx(3 * 100 * 40 - (2000 + 1000 + 500 + 600 + 3000) / 4)
    assert found.not_asked == {
        f"{ONE} a period earlier": "its longest lead time is 12 months, and decide_by holds",
    }
    assert not found.cheaper and not found.without
    assert not sequences_of(plan, within=0.001).near


def test_the_only_better_order_is_found():
    wrong = make_plan(changed(two_phases(), {f"build_outs[{ONE}].never": True}))
    found = sequences_of(wrong.model_copy(update={"study": two_phases()}))
    (better,) = found.cheaper
    assert better.needs_usd == pytest.approx(-500) and better.names == (f"{DEAR} never", f"{ONE} built")


def test_pairs_find_what_no_single_change_does():
    plan = make_plan(two_phases())
    single, both = sequences_of(plan, within=1), sequences_of(plan, within=1, pairs=True)
    assert not any(not a.builds for a in single.near)
    (none,) = [a for a in both.near if not a.builds and a.capital_usd == 0]
    assert none.share_of_capital is None
    assert {a.builds for a in single.near} <= {a.builds for a in both.near}


def test_modules_one_by_one():
    plan = make_plan(hall(demand=15.0, build_outs=(phase("one", most=3),)))
    assert [(m.when, m.units) for m in plan.builds] == [("quarter-5", 2)]
    names = {patch.name for patch in single_changes(plan)[0][ONE]}
    assert names == {f"{ONE} never", f"{ONE} a period later", f"{ONE} a module fewer", f"{ONE} a module more"}
    more = sequences_of(plan, within=1).near[0]
    # a third module stands empty for the last quarter: 2,000 USD a year, and the wear of its shell, power and fit-out
    assert more.names == (f"{ONE} a module more",) and more.needs_usd == pytest.approx((2000 + 1000 + 500 + 600) / 4)


def test_modules_that_must_be_built_are_built_and_audited():
    study = changed(two_phases(), {f"build_outs[{DEAR}].least": 1})
    plan = make_plan(study)
    assert [m.build_out for m in plan.builds] == [DEAR] and not audit(plan).violations
    assert audit(plan.model_copy(update={"builds": (), "purchases": ()})).violations
    assert "at most 1, the modules" in refused(study, {f"build_outs[{DEAR}].least": 2})
    assert "where never is set" in refused(study, {f"build_outs[{DEAR}].never": True})
    lead_times = {f"build_outs[{DEAR}].lead_months.power": 40}
    assert "where the phase can never be ready" in refused(study, lead_times)


# ------------------------------------------------------------------ the command
@pytest.fixture(scope="module")
def plan_file(tmp_path_factory):
    file = tmp_path_factory.mktemp("hall") / "plan.json"
    file.write_text(plan_text(make_plan(two_phases(either_or="site"))))
    return file


def asked(command, *words):
    quiet = [] if command == "crossover" else ["--quiet"]  # it plans nothing: there is no progress
    done = call(command, *words, *quiet, "--format", "json")
    return done.exit_code, json.loads(done.stdout)


def test_the_command_answers_each_question(plan_file, tmp_path):
    code, data = asked("delay", plan_file, "--months", "3", "--what", ONE, "--out", tmp_path / "plans")
    (row,) = data["sections"]["delays"]
    assert code == 0 and row["delay_usd"] == pytest.approx(500), "the other phase takes its place"
    assert row["goals_broken"] == ["normal operation"] and row["usd_per_month"] == pytest.approx(500 / 3)
    assert data["sections"]["value of a month"][HALL]["of"] == f"{ONE} power +3 months"
    assert len(list((tmp_path / "plans").glob("*.json"))) == 2
    code, data = asked("delay", plan_file, "--months", "3", "--what", ONE, "--known-on", "2027-12-01")
    (late,) = data["sections"]["known late"]
    assert late["known_on"] == "2027-12-01" and late["usd"] == pytest.approx(10225)
    code, data = asked("crossover", plan_file, "--by", "accelerator", "--set", "prices[a/*]=x0.5")
    last = data["sections"]["crossover"][-1]
    assert code == 0 and last["group"] == "chip-of-m" and last["on_demand_usd_per_hour"] == pytest.approx(20 / 8)
    code, data = asked("sequence", plan_file, "--within", "1%")
    assert code == 0 and [row["needs_usd"] for row in data["sections"]["next best"]] == [pytest.approx(500)]
    for format in ("text", "md"):
        shown = call("sequence", plan_file, "--quiet", "--format", format).stdout
        assert "needs to win" in shown and "0.9 %" in shown and "not every order" in shown


def test_a_change_is_asked_about_together_with_the_question(plan_file):
    code, data = asked("delay", plan_file, "--months", "3", "--what", ONE, "--set", f"build_outs[{DEAR}].never=true")
    assert code == 0 and data["sections"]["delays"][0]["delay_usd"] == pytest.approx(10225)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("delay", "--what", "own/h:on"), "the id of a phase or an offer"),
        (("delay", "--lead-time", "water"), "one of shell, power, equipment, commissioning"),
        (("delay", "--months", "soon"), "numbers above 0"),
        (("delay", "--periods", "1.5"), "whole numbers"),
        (("delay", "--months", "-3"), "numbers above 0"),
        (("delay", "--months", "inf"), "numbers above 0"),
        (("delay", "--known-on", "soon"), "a date, or `ready`"),
        (("crossover", "--what", "nowhere/*"), "the id of a pool"),
        (("sequence", "--within", "much"), "--within"),
        (("sequence", "--pairs", "--most", "2"), "at most 2 variants"),
    ],
)
def test_wrong_options_are_findings(plan_file, words, said):
    command, *options = words
    done = call(command, plan_file, *options)
    assert done.exit_code == 2 and said in " ".join(done.stderr.split()) and "Traceback" not in done.output


def test_a_study_without_phases_has_no_sequence(tmp_path):
    (tmp_path / "plan.json").write_text(plan_text(make_plan(contracts())))
    done = call("sequence", tmp_path / "plan.json", "--quiet")
    assert done.exit_code == 2 and "a study with build_outs" in done.stderr
    done = call("delay", tmp_path / "plan.json", "--quiet")
    assert done.exit_code == 0 and "the plan has none of what could be late" in done.stdout
