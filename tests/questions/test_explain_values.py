"""What a step of a limit is worth, and from which price on an offer enters: by hand, and against the whole program."""

import os
from functools import cache

import pytest
from studies import offer, random_study, site
from three_sites import three_sites
from two_sites import two_sites
from whole_program import optimum

import planner
from planner.errors import NoPlan, SolverError
from planner.plan.in_hand import Plan, in_hand
from planner.plan.plan import make_plan
from planner.problem.arrays import merged
from planner.problem.build import build
from planner.problem.eligibility import workloads_without_edge
from planner.questions import explain_prices, explain_values
from planner.questions.explain_bound import solved_bound
from planner.questions.explain_prices import BESIDE_FRACTION, entry_prices
from planner.questions.explain_steps import steps_of
from planner.questions.explain_values import value_of, values
from planner.review.explain import values_sections
from planner.review.render import render
from planner.review.report import Report
from planner.solve.interchangeable import reduced
from planner.solve.search import Effort
from planner.study.records.study import Goal, Origin, Policies, Quota, Study, Tier, Utilisation

SEEDS = range(int(os.environ.get("EXPLAIN_SEEDS", "20")))
"""Random studies: more where a person asks for them."""
ALL = "EXPLAIN_SEEDS" in os.environ
"""Whether all steps and offers of each study are looked at, or a few."""
FAR_TOO_DEAR = 1e4
"""Factor on the price of what is not to be bought."""
ROUGH = Effort(gap_fraction=0.5)


def planned(study: Study) -> Plan:
    return in_hand(make_plan(study, Effort(gap_fraction=0.0)))


def by_what(plan: Plan):
    return {row.what: row for row in values(plan, None).rows}


def whole_usd(study: Study) -> float | None:
    """The linear program with every failure in it from the first, by none of the search's steps [USD]."""
    p = build(study)
    if workloads_without_edge(p):
        return None
    p = reduced(p).p
    return optimum(p, merged(p))


# ------------------------------------------------------------------ by hand
def test_demand_goals_and_utilisation_by_hand():
    """Two machines of 5 requests/s at each of two sites, 2 and 3 USD: 10 USD; each must carry all 10 requests/s."""
    rows = by_what(planned(two_sites()))
    demand, goal = rows["all demand"], rows["goal of tier t: any site lost: 100 % within 60 s"]
    assert (demand.lp_saves_usd, demand.lp_costs_usd) == (pytest.approx(0.1), pytest.approx(0.1))
    assert demand.saves_usd_per_month == pytest.approx(0.1)
    assert goal.lp_saves_usd == pytest.approx(0.1) and goal.lp_costs_usd is None
    assert goal.tightened == "cannot be moved so far", "no goal asks for more than all"
    failures = rows["utilisation in failures"]
    assert failures.lp_saves_usd is None and failures.lp_costs_usd == pytest.approx(10 / 0.99 - 10)
    assert rows["utilisation in normal operation"].lp_costs_usd == pytest.approx(0.0), "two of four would do"


def test_a_unit_more_by_hand():
    """Of the cheapest of three sites one unit can be had: one more saves what the second costs more, 3 - 2 USD."""
    cheap = [offer("a/x/m", 2, most_units=1.0), offer("b/y/m", 3), offer("c/z/m", 4)]
    row = by_what(planned(three_sites(bought=cheap)))["most_units of a/x/m:on_demand"]
    assert row.kind == "offer" and row.means == "1 unit more"
    assert row.lp_saves_usd == pytest.approx(1.0) and row.lp_costs_usd == pytest.approx(1.0)


def test_a_quota_by_hand():
    policies = Policies(quotas=(Quota(name="few", pools=("a/x/m",), most=1.0),))
    row = by_what(planned(three_sites(policies=policies)))["few"]
    assert row.kind == "limit" and row.step == 1.0 and row.lp_saves_usd == pytest.approx(1.0)


def far_and_near(limit_ms: float, *goals: Goal) -> Study:
    """The cheaper of two sites is 30.5 ms away by its distance, the other where the requests enter."""
    tiers = (Tier(name="t", round_trip_ms=limit_ms, survive=goals),)
    sites = (site("a/x"), site("b/y", (50.0, 20.0)))
    return two_sites(sites=sites, tiers=tiers, bought=[offer("a/x/m", 3), offer("b/y/m", 2)])


def test_ten_milliseconds_by_hand():
    """A limit of 25 ms leaves the dearer site: with 35 ms two machines cost 4 USD, not 6."""
    row = by_what(planned(far_and_near(25.0)))["round trip of tier t"]
    assert row.lp_saves_usd == pytest.approx(2.0) and row.lp_costs_usd == 0.0 and not row.caution
    row = by_what(planned(far_and_near(35.0)))["round trip of tier t"]
    assert row.lp_saves_usd == 0.0 and row.lp_costs_usd == pytest.approx(2.0)


def shared_wait() -> Study:
    """Two sites with an origin at each, 30.5 ms apart: with 35 ms either serves both, but the far one has less to wait.

    Such a replica takes fewer requests: the bound rises. The plan falls, as far requests fill machines that are bought.
    """
    return two_sites(
        sites=(site("a/x"), site("b/y", (50.0, 20.0))),
        bought=[offer("a/x/m", 2), offer("b/y/m", 2)],
        origins=(Origin(name="near", latitude=50.0, longitude=0.0), Origin(name="far", latitude=50.0, longitude=20.0)),
        tiers=(Tier(name="t", round_trip_ms=25.0, first_token_ms=131.0),),
        demand={("w", "near"): 11.75, ("w", "far"): 11.75},
        utilisation=Utilisation(basis="waiting", spread="one-queue"),
    )


def test_a_step_that_makes_the_bound_dearer_says_by_how_much():
    """10.63 USD, and 11.32 with 10 ms more; planned again 24 and 20 USD: planned first, as the bound says otherwise."""
    plan = planned(shared_wait())
    valued = values(plan, None, plan_again=1)
    (row,) = [each for each in valued.rows if each.kind == "latency"]
    longer = build(steps_of(plan, solved_bound(plan.problem))[0].moved(10.0))
    assert row.lp_saves_usd == pytest.approx(valued.bound_usd - solved_bound(longer).bound) and row.lp_saves_usd < -0.5
    assert row.replanned_usd == pytest.approx(4.0) and row.caution.startswith("by waiting")
    answer, table = values_sections(plan, valued)
    (line,) = [line for line in answer.lines if "10 ms longer would cost" in line]
    assert "the bound may move another way than the plan" in line
    assert render(Report("why", True, (table,), {}), "text").count("costs 0.") == 1


def test_what_cannot_be_covered_is_not_due_and_said():
    row = by_what(planned(far_and_near(35.0, Goal(any="site", within_seconds=60.0))))["round trip of tier t"]
    assert row.lp_costs_usd is None and row.tightened == "less can be covered in 1 of the failures, as site:a/x"


def test_a_step_less_may_leave_no_plan():
    """Where a site is not lost, what is out of reach is not served: all must be."""
    row = by_what(planned(far_and_near(8.0)))["round trip of tier t"]
    assert row.lp_costs_usd is None and row.tightened == "cannot be moved so far"
    few = two_sites(bought=[offer("a/x/m", 2, most_units=2.0), offer("b/y/m", 3, most_units=2.0)])
    assert by_what(planned(few))["all demand"].lp_costs_usd is None
    assert by_what(planned(few))["all demand"].tightened == "no plan"


def test_only_so_many_are_asked_about_and_a_plan_again_says_between_what():
    plan = planned(two_sites())
    few = values(plan, 1, plan_again=1)
    (row,) = few.rows
    assert row.what == "all demand" and row.tightened == "not asked" and len(few.not_asked) == 3
    assert row.replanned_usd == pytest.approx(0.0), "four machines are needed all the same"
    assert row.replanned_least_usd <= 0.0 + 1e-9 <= row.replanned_most_usd + 1e-6


@pytest.mark.parametrize("error", [SolverError("time limit of 1 s passed"), KeyboardInterrupt()], ids=str)
def test_why_a_step_was_not_planned_again_is_on_its_row(monkeypatch, error):
    def fails(*given):
        raise error

    plan = planned(two_sites())
    monkeypatch.setattr(explain_values, "solve", fails)
    valued = values(plan, 1, plan_again=1)
    (row,) = valued.rows
    why = "interrupted" if isinstance(error, KeyboardInterrupt) else "not known: time limit of 1 s passed"
    assert row.replanned_usd is None and row.not_replanned == why
    assert why in render(Report("why", True, values_sections(plan, valued), {}), "text")


def test_what_does_not_compare_is_not_planned_again():
    """With 10 ms more the far site is in reach, and all is due when the near one is lost: 10 USD, not 6."""
    plan = planned(far_and_near(25.0, Goal(any="site", within_seconds=60.0)))
    valued = values(plan, None, plan_again=10)
    (row,) = [each for each in valued.rows if each.kind == "latency"]
    assert row.loosened == row.not_replanned == "more can be covered in 1 of the failures, as site:a/x"
    assert row.replanned_usd is None and row.lp_saves_usd is None


def test_entry_prices_by_hand():
    """Two sites are lost at once, so the third is needed at any price; of the two either does for when that is lost."""
    plan = planned(three_sites())
    entries = {each.offer: each for each in entry_prices(plan, list(plan.problem.offers))}
    cheap, middle, dear = (entries[f"{pool}:on_demand"] for pool in ("a/x/m", "b/y/m", "c/z/m"))
    assert cheap.use == "bought" and cheap.entry_usd_per_machine_hour == pytest.approx(3.0)
    assert cheap.beyond_fraction == pytest.approx(0.5) and cheap.without_usd == pytest.approx(2.0)
    assert middle.use == "would enter" and middle.entry_usd_per_machine_hour == pytest.approx(2.0)
    assert middle.beyond_fraction == pytest.approx(-1 / 3) and middle.is_confirmed
    assert (middle.below_machine_hours, middle.above_machine_hours) == (pytest.approx(2.0), 0.0)
    assert dear.use == "at any price" and dear.entry_usd_per_machine_hour is None


def test_an_offer_that_counts_in_no_failure_may_enter_at_no_price():
    study = two_sites(bought=[offer("a/x/m", 2), offer("b/y/m", 3), offer("b/y/m", 1, "spot")])
    (entry,) = entry_prices(planned(study), ["b/y/m:spot"])
    assert entry.use == "at no price" and entry.entry_usd_per_machine_hour is None


def test_a_budget_does_not_move_a_price_of_entry():
    with_budget = three_sites(policies=Policies(budget_usd=12.5))
    (entry,) = entry_prices(planned(with_budget), ["b/y/m:on_demand"])
    assert entry.entry_usd_per_machine_hour == pytest.approx(2.0) and entry.is_confirmed


def test_what_is_done_is_kept_when_a_person_ends_it(monkeypatch):
    """Ctrl-C in the second step: the first has its value; in a price: the others are not worked out."""
    plan, calls = planned(two_sites()), list[int]()

    def ended_in_the_third(*given):
        calls.append(1)
        if len(calls) > 2:
            raise KeyboardInterrupt
        return solved_bound(*given)

    monkeypatch.setattr(explain_values, "solved_bound", ended_in_the_third)
    valued = values(plan)
    assert [row.what for row in valued.rows] == ["all demand"] and len(valued.not_asked) == 3
    calls.clear()
    report = planner.explain(plan)
    assert not report.good and any("INTERRUPTED" in str(line) for line in report.sections[0].lines)
    monkeypatch.setattr(explain_prices, "solved_bound", ended_in_the_third)
    entries = entry_prices(plan, list(plan.problem.offers))
    assert [(each.use, each.why) for each in entries] == [("not worked out", "interrupted")] * 2
    assert not planner.explain(plan, pool=plan.problem.pools[0]).good


# ------------------------------------------------------------------ random studies
@cache
def random_plan(seed: int) -> Plan | None:
    try:
        return in_hand(make_plan(random_study(seed), ROUGH))
    except NoPlan:
        return None


@pytest.mark.parametrize("seed", SEEDS)
def test_values_equal_finite_differences_of_the_whole_program(seed):
    plan = random_plan(seed)
    if plan is None:
        pytest.skip("no plan")
    search = solved_bound(plan.problem, plan.file.proof.binding_failures)
    steps, before = steps_of(plan, search), whole_usd(plan.study)
    assert search.bound == pytest.approx(before, rel=1e-6)
    for step in steps if ALL else {steps[seed % len(steps)], steps[(3 * seed + 1) % len(steps)]}:
        row = value_of(plan, search, step)
        for amount, usd, sign in ((step.size, row.lp_saves_usd, -1), (-step.size, row.lp_costs_usd, 1)):
            study = step.moved(amount)
            if usd is None:
                why = row.loosened if sign < 0 else row.tightened
                is_other = study is not None and build(study).coverable != plan.problem.coverable
                has_none = study is None or is_other or whole_usd(study) is None
                assert (why == "not asked" and sign > 0) or has_none, (row.what, amount)
                continue
            after = whole_usd(study)
            assert usd == pytest.approx(sign * (after - before), abs=2e-6 * max(1.0, before)), row.what


@pytest.mark.parametrize("seed", SEEDS)
def test_offers_enter_below_their_price_of_entry_and_not_above(seed):
    plan = random_plan(seed)
    if plan is None:
        pytest.skip("no plan")
    study = plan.study
    offers = sorted(plan.problem.offers)
    one = [offers[seed % len(offers)]]
    for entry in entry_prices(plan, offers if ALL else one):
        without = whole_usd(priced(study, entry.offer, FAR_TOO_DEAR))
        if entry.use == "at any price":
            assert without > 10 * plan.file.proof.cost_usd, entry
            continue
        tolerance = 1e-6 * max(1.0, without)
        if entry.entry_usd_per_machine_hour is None:
            assert whole_usd(priced(study, entry.offer, 0.01)) == pytest.approx(without, abs=tolerance), entry
            continue
        assert entry.is_confirmed, entry
        here = entry.entry_usd_per_machine_hour / entry.price_usd_per_machine_hour
        below, above = (whole_usd(priced(study, entry.offer, here * (1 + n * BESIDE_FRACTION))) for n in (-2, 2))
        assert below < without - 1e-7 * max(1.0, without) and above == pytest.approx(without, abs=tolerance), entry


def priced(study: Study, b: str, factor: float) -> Study:
    prices = [
        row.model_copy(update={"price_usd_per_machine_hour": row.price_usd_per_machine_hour * factor})
        if row.offer_id == b
        else row
        for row in study.prices
    ]
    return study.model_copy(update={"prices": tuple(prices)})


def test_the_program_is_as_it_was_after_prices_were_moved():
    """Prices of entry are asked one after another of one program: the order makes no difference."""
    plan = planned(three_sites())
    offers = list(plan.problem.offers)
    forwards, backwards = entry_prices(plan, offers), entry_prices(plan, offers[::-1])

    for one, other in zip(forwards, backwards[::-1], strict=True):
        assert (one.offer, one.use) == (other.offer, other.use)
        for name in ("entry_usd_per_machine_hour", "below_machine_hours", "without_usd"):
            assert getattr(one, name) == pytest.approx(getattr(other, name))
