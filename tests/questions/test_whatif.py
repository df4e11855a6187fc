"""Variants: patches by path, in any order, checked like a study that is read; planned and compared."""

import itertools
import json
import re
from datetime import date
from pathlib import Path

import pytest
import yaml
from buildouts import HALL, hall, phase, years
from helpers import write_study
from hypothesis import given, settings
from hypothesis import strategies as st
from sections import table
from studies import offer, random_study
from two_sites import call, changed, patch, refused, two_sites

from planner.drill import drill_plan
from planner.errors import InputError, NoPlan
from planner.plan.audit import audit
from planner.plan.file import plan_text, read_plan, sealed
from planner.plan.plan import make_plan
from planner.questions import planned
from planner.questions.answer import Answer
from planner.questions.patched import patched
from planner.questions.patches import Change, Patch, patch_of_text, read_patch
from planner.questions.paths import addressed, figures_of, path_of
from planner.questions.variants import Variant, read_axes, studies_of, variants_of
from planner.questions.whatif import file_names, in_common, plan_variants
from planner.review.variants import review_variants
from planner.solve.search import Effort
from planner.study.places import Reading
from planner.study.read import read_study
from planner.study.records.study import Demand, Horizon, PriceLine, PricePath, PriceStep, Shape, Tier, Utilisation


def test_longer_requests_than_a_profile_holds_are_no_error_unless_the_patch_names_it():
    """8 chips of 1000 GiB, 900 of each usable; 100 of weights, 256 bytes a token and request at one layer."""
    base = two_sites()
    (m,) = base.models
    tight = m.profiles[0].model_copy(update={"name": "tight", "weights_gib": 7199.99})
    base = base.model_copy(update={"models": (m.model_copy(update={"profiles": (*m.profiles, tight)}),)})
    made, found = patched(base, (patch("longer", set={"workloads[w].mean_input_tokens": 900}),), "longer")
    assert made is not None and found == []
    name = "models[m].profiles[tight].weights_gib"
    made, found = patched(base, (patch("heavier", set={name: 7201}),), "heavier")
    assert made is None and len(found) == 1 and "concurrency_limit" in found[0].where, found


@pytest.mark.parametrize(
    ("before", "change", "after"),
    [
        ({}, {"basis": "fixed"}, {"basis": "fixed"}),
        ({"basis": "fixed"}, {"basis": "waiting"}, {"basis": "waiting"}),
        ({"normal": 0.8}, {"basis": "fixed"}, {"basis": "fixed", "normal": 0.8}),
        ({}, {"basis": "fixed", "normal": 0.7}, {"basis": "fixed", "normal": 0.7}),
        ({"basis": "fixed"}, {"normal": 0.7}, {"basis": "fixed", "normal": 0.7}),
    ],
)
def test_another_basis_brings_its_own_shares(before, change, after):
    """Filled to the last request because a change named the basis alone would be a plan that nobody asked for."""
    base = two_sites().model_copy(update={"utilisation": Utilisation(**before)})
    changes = {f"utilisation.{name}": value for name, value in change.items()}
    made, found = patched(base, (patch("v", set=changes),), "v")
    assert found == [] and made is not None and made.utilisation == Utilisation(**after)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return read_study(write_study(tmp_path_factory.mktemp("tiny")))[0]


# ------------------------------------------------------------------ paths
@pytest.mark.parametrize(
    ("path", "value", "where", "now"),
    [
        ("policies.budget_usd", 5, "policies.budget_usd", 5),
        ("tiers[gold].survive[0].serve_fraction", 0.5, "tiers[gold].survive[provider].serve_fraction", 0.5),
        ("tiers[gold].survive[quake].serve_fraction", 0.25, "tiers[gold].survive[quake].serve_fraction", 0.25),
        ("demand[chat,london].requests_per_second", 7, "demand[chat,london].requests_per_second", 7),
        ("demand", "x1.5", "demand[batch,london].requests_per_second", 4.5),
        ("demand[*,london]", "1.2x", "demand[chat,london].high_requests_per_second", 14.4),
        ("demand[*,london]", "1.2x", "demand[chat,tokyo].requests_per_second", 5),
        ("prices[alpha/east-1/trn-16:yearly]", "x2",
         "prices[alpha/east-1/trn-16:yearly].price_usd_per_machine_hour", 51),
        ("prices[alpha/*].price_usd_per_machine_hour", "0.5x",
         "prices[alpha/east-1/trn-16:on_demand].price_usd_per_machine_hour", 20),
        ("offers[alpha/east-1/trn-16:yearly].lead_days", 90, "offers[alpha/east-1/trn-16:yearly].lead_days", 90),
        ("holdings[alpha/east-1/trn-16].machines", "x2", "holdings[alpha/east-1/trn-16].machines", 8),
        ("failures[quake].lost[stack:neuron]", 0.25, "failures[quake].lost[stack:neuron]", 0.25),
        ("models[small].profiles[trn].load_seconds", 10, "models[small].profiles[trn].load_seconds", 10),
        ("machine_types[trn-16].quota_units.vcpu", 96, "machine_types[trn-16].quota_units[vcpu]", 96),
        ("policies.quotas[trn].pools", ["alpha/*", "beta/*"], "policies.quotas[trn].pools[beta/*]", "beta/*"),
    ],
)  # fmt: skip
def test_a_path_leads_to_what_it_names(tiny, path, value, where, now):
    if path.startswith("policies.quotas"):  # vcpu of all machine types must be known
        tiny = changed(tiny, {"machine_types[gpu-8].quota_units": {"vcpu": 1}})
    before, after = figures_of(tiny), figures_of(changed(tiny, {path: value}))
    assert after[where] == pytest.approx(now)
    told = (".evidence", ".source", "study", "assumptions")
    others = {k for k in {*before, *after} if before.get(k) != after.get(k) and not k.endswith(told)}
    pointed = path.replace("*", "").split("[")[0]
    assert all(k.startswith((pointed, "assumptions")) for k in others)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("tier[gold].survive", "'tier' (did you mean 'tiers'?)"),
        ("tiers[gould].survive", "an element of tiers, got 'gould' (did you mean 'gold'?)"),
        ("tiers[gold].survive[7].serve_fraction", "an element of tiers[gold].survive, got '7'"),
        ("tiers[gold].serve_fractoin", "did you mean 'serve_fraction'?"),
        ("tiers.gold", "tiers[gold]: no number"),
        ("tiers[*].first_token_ms.x", "first_token_ms, which holds nothing further"),
        ("policies.budget_usd.x", "nothing further"),
        ("demand[chat,londn]", "did you mean 'chat,london'?"),
        ("..", "a path into the study"),
        ("[gold]", "a path into the study"),
        ("tiers[", "a path into the study"),
        ("origins[london].near", "its round trips were read for where it is"),
        ("policies.budget_usd", "a number to multiply, got policies.budget_usd: nothing"),
        ("tiers", "tiers: no number"),
    ],
)
def test_a_path_that_leads_nowhere_says_what_is_there(tiny, path, said):
    assert said in refused(tiny, {path: "x2"})


def test_elements_of_one_name_are_told_apart_by_number(tiny):
    twice = changed(tiny, add={"holdings": [{"pool": "alpha/east-1/trn-16", "machines": 2}]})
    assert "2 called 'alpha/east-1/trn-16'" in refused(twice, {"holdings[alpha/east-1/trn-16].machines": 4})
    assert [h.machines for h in changed(twice, {"holdings[1].machines": 5}).holdings] == [4, 5]
    assert [h.machines for h in changed(twice, {"holdings[*].machines": 5}).holdings] == [5, 5]


@settings(max_examples=150, deadline=None)
@given(
    path=st.lists(st.sampled_from([*"[].*,x0", "tiers", "[gold]", ".survive", "demand", "[0]", "sites"]), max_size=6),
    value=st.sampled_from([None, 1, -1.5, "x2", [], {}, True, [{"name": "x"}], "x0", float("1e300")]),
)  # fmt: skip
def test_no_patch_ends_in_a_traceback(path, value):
    asked = two_sites()
    made, findings = patched(asked, (Patch("p", "", (Change("".join(path), "set", value, "p.yaml:1"),)),), "v")
    assert (made is None) == any(f.level == "error" for f in findings)


def test_paths_and_figures_name_the_same(tiny):
    for path in figures_of(tiny):
        found = addressed(tiny, path, "here", reading := Reading())
        assert len(found) == 1 and not reading.findings, path
        assert path_of(tiny, found[0][0]) == path


# ------------------------------------------------------------------ paths over time
TIME = years().model_copy(
    update={
        "demand": (
            Demand(workload="w", origin="o", requests_per_second=1.0, shape="day"),
            Demand(workload="w", origin="o", requests_per_second=2.0, period="quarter-1"),
            Demand(workload="w", origin="o", requests_per_second=3.0, hour="mean-hour"),
        ),
        "shapes": (Shape(name="day", factors={"mean-hour": 1.5}),),
        "price_book": (PriceLine(offers="a/*", factor=0.9),),
        "price_paths": (PricePath(offers="a/*", steps=(PriceStep(from_day=date(2027, 7, 1), factor=0.8),)),),
    }
)


@pytest.mark.parametrize(
    ("path", "value", "now"),
    [
        ("demand[w,o]", "x2", {"demand[w,o].requests_per_second": 2}),
        ("demand[*,o]", "x2", {"demand[w,o].requests_per_second": 2,
                               "demand[w,o,quarter-1].requests_per_second": 4,
                               "demand[w,o,every period,mean-hour].requests_per_second": 6}),
        ("demand[w,o,quarter-1].requests_per_second", 5, {"demand[w,o,quarter-1].requests_per_second": 5}),
        ("demand[w,o].growth_fraction_per_year", 0.5, {"demand[w,o].growth_fraction_per_year": 0.5}),
        ("shapes[day].factors", "x2", {"shapes[day].factors[mean-hour]": 3}),
        ("price_book[a/*]", "x0.5", {"price_book[a/*].factor": 0.45}),
        ("price_paths", "x0.5", {"price_paths[a/*].steps[2027-07-01].factor": 0.4}),
        (f"build_outs[{HALL}:one]", "x2", {f"build_outs[{HALL}:one].shell_usd_per_mw": 2e6,
                                           f"build_outs[{HALL}:one].power_usd_per_mw": 1e6,
                                           f"build_outs[{HALL}:one].fit_out_usd_per_mw": 0.6e6,
                                           f"build_outs[{HALL}:one].usd_per_mw_year": 0.2e6}),
        ("build_outs[*:two].lead_months", "x2", {f"build_outs[{HALL}:two].lead_months.shell": 12,
                                                   f"build_outs[{HALL}:two].lead_months.power": 24,
                                                   f"build_outs[{HALL}:two].lead_months.equipment": 6,
                                                   f"build_outs[{HALL}:two].lead_months.commissioning": 2}),
        (f"build_outs[{HALL}:one].ready_in", ["quarter-6"],
         {f"build_outs[{HALL}:one].ready_in[quarter-6]": "quarter-6"}),
        (f"build_outs[{HALL}:one].never", True, {f"build_outs[{HALL}:one].never": True}),
        (f"electricity[{HALL}]", "x2", {f"electricity[{HALL}].usd_per_kwh": 0.2}),
        ("spend_commitments[promise]", "x2", {"spend_commitments[promise].usd_per_year": 96000}),
        ("policies.capital_limits", "x2", {"policies.capital_limits[first year].most_usd": 220000}),
        ("money.discount_fraction_per_year", 0.1, {"money.discount_fraction_per_year": 0.1}),
        (f"prices[{HALL}/m:build_out]", "x2", {f"prices[{HALL}/m:build_out].capital_usd_per_machine": 24000}),
        (f"offers[{HALL}/*].life_years", 5, {f"offers[{HALL}/m:build_out].life_years": 5}),
        ("tiers[t].deferrable_hours", 24, {"tiers[t].deferrable_hours": 24}),
        ("hours_per_month", 730, {"hours_per_month": 730}),
    ],
)  # fmt: skip
def test_a_path_leads_to_what_changes_over_time(path, value, now):
    before, after = figures_of(TIME), figures_of(changed(TIME, {path: value}))
    told = (".evidence", ".source", "study")
    differ = {
        k
        for k in {*before, *after}
        if before.get(k) != after.get(k) and not k.endswith(told) and not k.startswith("assumptions")
    }
    whole = {k for k in differ if not k.endswith("ready_in")}
    assert {k: after[k] for k in whole} == pytest.approx(now)
    if path != "demand[w,o]":
        return
    assert len(figures_of(TIME)) == len({*before}), "names of its own for each row of demand"


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        ({"build_outs[own/h:on].never": True}, "did you mean 'own/h:one'?"),
        ({"build_outs[own/h:one].clock_months": 3}, "did you mean 'lead_months'?"),
        ({"build_outs[own/h:one].lead_months.power": -3}, "build_outs[own/h:one].lead_months.power"),
        ({"build_outs[own/h:one].power_mw": 0}, "build_outs[own/h:one].power_mw"),
        ({"demand[w,o].period": "quarter-9"}, "a period of the horizon"),
        ({"demand[w,o].growth_fraction_per_year": 1e4, "demand[w,o].requests_per_second": 1e5}, "growth to at most"),
        ({"horizon.quarters": 4}, "the periods add up to 12 months, the horizon is 24"),
        ({"money.discount_fraction_per_year": 7}, "money.discount_fraction_per_year"),
    ],
)
def test_a_patch_over_time_is_checked_like_a_study(sets, said):
    assert said in refused(TIME, sets)


def test_lists_that_a_study_leaves_out_can_be_added_to():
    more = phase("first").model_dump(mode="json")
    made = changed(hall(build_outs=()), add={"build_outs": [more]})
    assert [m.id for m in made.build_outs] == [f"{HALL}:first"]


# ------------------------------------------------------------------ patches together
def test_the_order_of_patches_does_not_matter(tiny):
    patches = (
        patch("a", set={"demand": "x1.1"}),
        patch("b", set={"demand[chat,*]": "x1.3"}, add={"holdings": [{"pool": "beta/west-1/gpu-8", "machines": 3}]}),
        patch("c", set={"demand[chat,london]": "x0.7"}, remove=["tiers[gold].survive[quake]"]),
        patch("d", add={"holdings": [{"pool": "beta/west-1/gpu-8", "machines": 1}]}),
    )
    made = [patched(tiny, order, "v")[0] for order in itertools.permutations(patches)]
    assert made[0] is not None and all(other == made[0] for other in made)
    assert made[0].demand[0].requests_per_second == pytest.approx(10 * 1.1 * 1.3 * 0.7)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ({"set": {"policies.budget_usd": 1}}, {"set": {"policies.budget_usd": 2}}),
        ({"set": {"demand[chat,london]": "x2"}}, {"set": {"demand[chat,london].requests_per_second": 4}}),
        ({"set": {"tiers[gold].survive": []}}, {"set": {"tiers[gold].survive[0].serve_fraction": 0.5}}),
        ({"remove": ["tiers[gold].survive[0]"]}, {"set": {"tiers[gold].survive[0].serve_fraction": 0.5}}),
        ({"set": {"holdings": []}}, {"add": {"holdings": [{"pool": "beta/west-1/gpu-8", "machines": 1}]}}),
        ({"set": {"holdings": []}}, {"set": {"holdings[0].machines": "x2"}}),
    ],
)
def test_patches_that_conflict_are_refused_in_both_orders(tiny, one, two):
    pair = [patch("a", **one), patch("b", **two)]
    for patches in (pair, pair[::-1]):
        made, findings = patched(tiny, tuple(patches), "v")
        assert made is None and len(findings) == 1
        assert "one change of" in findings[0].expected and "p.yaml:1" in findings[0].got


def test_patches_that_say_the_same_agree(tiny):
    both = (patch("a", set={"policies.budget_usd": 1e9}), patch("b", set={"policies.budget_usd": 1e9}))
    made, _ = patched(tiny, both, "v")
    assert made is not None and made.policies.budget_usd == 1e9


def test_conflicts_name_file_and_line_of_both(tmp_path, tiny):
    for name, value in (("one", 1), ("two", 2)):
        text = f"name: {name}\nwhy: to see\nset:\n  policies.budget_usd: {value}\n"
        (tmp_path / f"{name}.yaml").write_text(text)
    reading = Reading()
    patches = tuple(read_patch(tmp_path / f"{name}.yaml", reading) for name in ("one", "two"))
    _, findings = patched(tiny, patches, "v")
    assert "two.yaml:4: set.policies.budget_usd" in findings[0].where and "one.yaml:4" in findings[0].got


# ------------------------------------------------------------------ checked like a study that is read
@pytest.mark.parametrize(
    ("sets", "said"),
    [
        ({"tiers[gold].survive[0].serve_fraction": 1.5}, "a number of at most 1, got 1.5"),
        ({"holdings[0].machines": "x1.1"}, "a whole number, got 4.4"),
        ({"holdings[0].machines": 0}, "at most 0 machines lent"),
        ({"workloads[chat].tier": "golden"}, "a tier of the study, got 'golden' (did you mean 'gold'?)"),
        ({"tiers[gold].survive[0].any": "rack"}, "a kind of component, got 'rack'"),
        ({"tiers[gold].survive[0].within_seconds": 5}, "more than 10 s, the study's detection_seconds"),
        ({"push_seconds": 50}, "more than 60 s, the study's detection_seconds and push_seconds"),
        ({"policies.quotas[trn].most": 10}, "at least 768 vcpu, what is held in these pools"),
        ({"demand": "x0"}, "some demand"),
        ({"models[small].profiles[gpu].concurrency_limit": 100000}, "GiB"),
        ({"policies.quotas": [{"name": "q"}]}, "a value, got nothing"),
        ({"horizon.start": "tomorrow"}, "a date"),
        ({"demand[chat,london].requests_per_second": float("nan")}, "text that can be stored"),
        ({"demand[chat,london].requests_per_second": "x99999999999999999999"}, "a number of at most 1e+09"),
        ({"policies": {"colour": 1}}, "a known field, got 'colour'"),
    ],
)
def test_a_patched_study_passes_the_checks_of_one_that_is_read(tiny, sets, said):
    told = refused(tiny, sets)
    assert (said in told and "tiny" in told) or "p.yaml:1" in told


def of_text(text):
    """The value of a --set, or the finding about it."""
    reading = Reading()
    made = patch_of_text(text, reading)
    return made.changes[0].value if made is not None else str(reading.findings[0])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a=[b]", ["b"]),
        ("a= [b, c d] ", ["b", "c d"]),
        ('a=["b"]', ["b"]),
        ("a=[1, 2.5, true, null]", [1, 2.5, True, None]),
        ("a=[]", []),
        ("a={b: 1, c: [d]}", {"b": 1, "c": ["d"]}),
        ("a=[{pool: b/c, machines: 2}]", [{"pool": "b/c", "machines": 2}]),
        ("a=b", "b"),
        ("a=0.5", 0.5),
        ("a=x1.2", "x1.2"),
        ("a[b=c]=2026-01-01", "2026-01-01"),
    ],
)
def test_a_value_is_what_would_stand_in_the_file(text, value):
    assert of_text(text) == value


@pytest.mark.parametrize("text", ["a=1e400", 'a=[1, {"b": -1e999}]', "a=NaN", "a=Infinity"])
def test_a_number_that_is_none_is_a_finding(text):
    assert "expected finite numbers" in of_text(text)


@pytest.mark.parametrize("text", ["a=[b", "a={b: 1", "a=[*b]", "a=[b]]", "a={b: 1, b: 2}", "a=[!!python/name:x b]"])
def test_a_value_that_is_half_a_list_is_a_finding(text):
    assert of_text(text).startswith(f"--set '{text}'\n  expected ")


def test_a_list_of_names_is_set_from_the_command_line(tiny):
    made, _ = patched(tiny, (patch_of_text("workloads[chat].jurisdictions=[GB, US]", Reading()),), "v")
    assert made.workloads[0].jurisdictions == ("GB", "US")


@pytest.mark.parametrize(
    ("path", "value", "cure"),
    [
        ("demand", 1.2, "write x1.2 to multiply"),
        ("demand[chat,london]", 1.2, "write x1.2 to multiply"),
        ("prices[alpha/*]", 0.9, "write x0.9 to multiply"),
        ("demand", "+20%", "write x1.2:"),
        ("demand", "+20 %", "write x1.2:"),
        ("demand[chat,london].requests_per_second", "-10%", "write x0.9:"),
        ("demand", "120%", "write x1.2 to multiply"),
        ("tiers[gold].survive[0].serve_fraction", "80%", "write 0.8 for a share, or x0.8 to multiply"),
        ("demand", 1e308, "write a factor, as in x1.2, to multiply"),
        ("demand", "x", "write a number of at least 0 after the x, as in x1.2"),
        ("demand", "x-1", "write a number of at least 0 after the x, as in x1.2"),
        ("demand", "xnan", "write a number of at least 0 after the x, as in x1.2"),
    ],
)
def test_a_percentage_is_told_as_the_factor_that_it_means(tiny, path, value, cure):
    told = refused(tiny, {path: value})
    assert f"fix: {cure}" in told and told.count("fix:") == 1
    written = re.search(r"x[0-9.]*[0-9]", cure)[0]
    assert changed(tiny, {path: written})


def test_a_number_for_what_has_no_figures_is_not_told_a_factor(tiny):
    assert "write x5" not in refused(tiny, {"tiers[gold]": 5})


def test_findings_about_patches_give_the_line_and_the_patch(tmp_path, tiny):
    text = """name: more of all
set:
  tiers[gold].survive:
  - {any: provider, within_seconds: 300}
  - {any: provider,
     serve_fraction: 2.0, within_seconds: 300}
add:
  holdings:
  - {pool: beta/west-1/gpu-8, machines: 3}
  - {pool: beta/west-1/gpu-9, machines: 1}
"""
    (tmp_path / "more.yaml").write_text(text)
    made = read_patch(tmp_path / "more.yaml", Reading())
    _, (only,) = patched(tiny, (made,), "v")
    where = f"{tmp_path / 'more.yaml'}:6: set.tiers[gold].survive[1].serve_fraction of 'more of all'"
    assert only.where.startswith(where)
    (tmp_path / "more.yaml").write_text(text.replace("2.0", "0.5"))
    made = read_patch(tmp_path / "more.yaml", Reading())
    _, found = patched(tiny, (made,), "v")
    (only,) = [f for f in found if f.level == "error"]
    assert only.where.startswith(f"{tmp_path / 'more.yaml'}:10: add.holdings[1].pool of 'more of all'")


def test_what_a_patch_breaks_elsewhere_names_the_variant(tiny):
    told = refused(tiny, {"holdings[0].machines": 40})
    assert "tiny with 'v': policies.quotas[trn].most" in told


def test_a_warning_of_all_variants_is_told_once(tiny):
    change = {"utilisation": {"basis": "waiting", "normal": 0.9, "in_failure": 0.8}}
    common = patch("fuller", set=change)
    axis = tuple(patch(f"x{n}", set={"demand": f"x{n}"}) for n in (1, 2, 3))
    _, warnings = studies_of(tiny, variants_of([common], [axis]))
    assert len(warnings) == 1 and "'fuller'" in warnings[0].where and warnings[0].level == "warning"


def test_all_findings_come_at_once(tiny):
    told = refused(tiny, {"policies.budget": 1}, {"tiers[golf].survive": []}, {"demand[a,b]": "x2"})
    assert told.count("p.yaml:1") == 3


def test_a_patched_study_is_the_one_of_edited_files(tmp_path):
    edits = [
        ("demand.csv", "chat,london,10,12", "chat,london,20,24"),
        ("inventory/beta/prices.csv", "on_demand,60,", "on_demand,54,"),
        ("study.yaml", "serve_fraction: 0.5, within_seconds: 600", "serve_fraction: 0.4, within_seconds: 600"),
        ("study.yaml", "machines: 4}", "machines: 9}"),
    ]
    edited, _ = read_study(write_study(tmp_path / "edited", edits))
    asked, _ = read_study(write_study(tmp_path / "asked"))
    sets = {
        "demand[chat,london]": "x2",
        "prices[beta/*]": "x0.9",
        "tiers[gold].survive[quake].serve_fraction": 0.4,
        "holdings[alpha/east-1/trn-16].machines": 9,
    }
    a, b = figures_of(edited), figures_of(changed(asked, sets))
    told = {k for k in {*a, *b} if a.get(k) != b.get(k)}
    assert all(k == "study" or k.startswith(("assumptions", "prices[beta/")) for k in told)
    assert all(k.endswith((".source", "study")) or k.startswith("assumptions") for k in told)


def test_what_was_changed_is_said_and_counts_as_assumed(tiny):
    priced = tiny.model_copy(
        update={"prices": tuple(p.model_copy(update={"evidence": "published"}) for p in tiny.prices)}
    )
    made = changed(priced, {"prices[beta/*]": "x0.9"})
    assert {p.evidence for p in made.prices if p.site.startswith("beta")} == {"assumed"}
    assert {p.evidence for p in made.prices if p.site.startswith("alpha")} == {"published"}
    assert made.assumptions[-1] == "what-if v: prices[beta/*] = x0.9"
    assert made.study == "tiny, what-if v"


def test_what_is_removed_moves_nothing_else(tiny):
    last = "prices[beta/west-1/gpu-8:on_demand]"
    made = changed(tiny, set={last: "x2"}, remove=["offers[alpha/*:yearly]", "prices[alpha/*:yearly]"])
    assert [(p.offer_id, p.price_usd_per_machine_hour, p.source) for p in made.prices] == [
        ("alpha/east-1/trn-16:on_demand", 40, "made up for a test"),
        ("beta/west-1/gpu-8:on_demand", 120, "what-if: v"),
    ]
    assert "at least 1 in the list" in refused(tiny, remove=["workloads[*]"])
    assert "a model" not in refused(tiny, remove=["origins[tokyo]"]), "its demand is what is wrong"
    assert "an origin of the study, got 'tokyo'" in refused(tiny, remove=["origins[tokyo]"])
    assert "a number of at most 1" in refused(tiny, set={"tiers[gold].serve_fraction": 2}, remove=["claims[0]"])


# ------------------------------------------------------------------ what is asked
def test_the_product_of_the_axes_leaves_out_the_study_itself_and_what_is_twice():
    nothing = Patch("as planned", "", ())
    up, down = patch("up", set={"demand": "x2"}), patch("down", set={"demand": "x0.5"})
    dear = patch("dear", set={"prices": "x2"})
    variants = variants_of((), [(nothing, up, down), (nothing, dear)])
    assert [v.name for v in variants] == ["dear", "up", "up + dear", "down", "down + dear"]
    assert len(variants_of((), [(up, patch("again", set={"demand": "x2"}))])) == 1
    steps = variants_of((), [(up, down), (dear,)], steps=True)
    assert [(v.name, v.asked) for v in steps] == [
        ("up + dear", True), ("down + dear", True), ("up", False), ("down", False)]  # fmt: skip


def test_variants_of_one_name_are_refused():
    axes = [
        (Patch("none", "", ()), patch("x", set={"demand": "x2"})),
        (Patch("none", "", ()), patch("x", set={"prices": "x2"})),
    ]
    with pytest.raises(InputError) as error:
        variants_of((), axes)
    assert "two called 'x'" in str(error.value)


def test_a_variant_may_have_any_name(tiny):
    made, findings = patched(tiny, (patch("a@b\u202e", set={"demand": "x2"}),), "a@b\u202e\n")
    assert made is not None and not findings and made.study == "tiny, what-if a at b"


def test_too_many_variants_are_refused_before_anything_is_planned():
    axes = [tuple(patch(f"{a}{i}", set={f"x{a}{i}": i}) for i in range(5)) for a in "abc"]
    with pytest.raises(InputError) as error:
        variants_of((), axes)
    assert "at most 64 variants to plan, got 125 (5 x 5 x 5 levels)" in str(error.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("axes: {}\n", "axes with patches"),
        ("axis: {}\n", "'axis'"),
        ("axes: {a: 3}\n", "a list of patches, got 3"),
        ("axes:\n  a:\n  - {set: {demand: x2}}\n", "axes.a[0].name"),
        ("axes:\n  a:\n  - {name: x, sett: {demand: x2}}\n", "did you mean 'set'?"),
        ("axes:\n  a:\n  - {name: x}\n  - {name: x}\n", "each name once in an axis"),
        ("axes:\n  a:\n  - gone.yaml\n", "no such file"),
        ("axes:\n  a:\n  - 7\n", "fields (name: value)"),
    ],
)
def test_a_bad_matrix_says_where(tmp_path, text, said):
    (tmp_path / "matrix.yaml").write_text(text)
    reading = Reading()
    read_axes(tmp_path / "matrix.yaml", reading)
    told = "\n".join(str(f) for f in reading.findings)
    assert said in told and ("matrix.yaml:" in told or "gone.yaml" in told)


@pytest.mark.parametrize("text", ["demand", "=x2", "", "demand[a=b]"])
def test_text_that_is_no_change_is_refused(text):
    reading = Reading()
    assert patch_of_text(text, reading) is None and "path=value" in str(reading.findings[0])


def test_the_value_of_a_set_is_json_or_text():
    def value(text):
        return patch_of_text(f"failures[a=b].x={text}", Reading()).changes[0].value

    assert [value(t) for t in ("3", "null", "[1]", "x1.2", "true", "a=b")] == [3, None, [1], "x1.2", True, "a=b"]


# ------------------------------------------------------------------ what is answered
@pytest.fixture(scope="module")
def answers():
    """Worked: see two_sites; and one variant without a plan, one with a workload that nothing may serve."""
    axes = [
        (
            Patch("as planned", "", ()),
            patch("demand x1.5", set={"demand": "x1.5"}),
            patch("out of stock", set={"offers[*].most_units": 1}),
            patch("one stack", remove=["models[m].qualifications[cuda]"]),
        ),
        (Patch("list", "", ()), patch("b twice", set={"prices[b/*]": "x2"})),
    ]
    return plan_variants(two_sites(), variants_of((), axes))


def test_each_variant_is_planned(answers):
    costs = {a.variant.name: a.plan.proof.cost_usd if a.plan else None for a in answers}
    assert costs == pytest.approx({
        "as it is": 2 * 2 + 2 * 3,
        "b twice": 2 * 2 + 2 * 6,
        "demand x1.5": 3 * 2 + 3 * 3,
        "demand x1.5 + b twice": 3 * 2 + 3 * 6,
        "out of stock": None,
        "out of stock + b twice": None,
        "one stack": None,
        "one stack + b twice": None,
    })  # fmt: skip
    for answer in answers:
        if answer.plan is not None:
            assert audit(answer.plan).passed and not drill_plan(answer.plan).broken


def test_a_variant_without_a_plan_is_a_row_that_says_why(answers):
    why = {a.variant.name: a.why_not for a in answers if a.plan is None}
    assert "short of: w from o" in why["out of stock"]
    assert "workload w from o: none" in why["one stack"]
    report = review_variants(two_sites(), answers)
    (section,) = [s for s in report.sections if s.title == "VARIANTS"]
    usd = {row["variant"]: row["USD"] for row in table(section)}
    assert usd["out of stock"] == "no plan" and not report.good


def test_what_all_plans_buy_is_found(answers):
    # two or three machines at each site in four plans
    assert in_common(answers) == [
        {"offer": "a/x/m:on_demand", "least": 2, "most": 3, "in": 4, "of": 4},
        {"offer": "b/y/m:on_demand", "least": 2, "most": 3, "in": 4, "of": 4},
    ]


def test_a_variant_costs_what_its_study_costs_alone(answers):
    for answer in answers:
        if answer.plan is not None:
            assert make_plan(answer.plan.study).proof.cost_usd == pytest.approx(answer.plan.proof.cost_usd)


def test_changes_one_after_another_add_up(answers):
    both = variants_of(
        (), [(patch("d", set={"demand": "x1.5"}),), (patch("p", set={"prices[b/*]": "x2"}),)], steps=True
    )
    report = review_variants(two_sites(), plan_variants(two_sites(), both))
    (row,) = next(s for s in report.sections if s.title == "BY CHANGE").rows
    assert [(s["change"], s["usd"]) for s in row["steps"]] == [("d", pytest.approx(5)), ("p", pytest.approx(9))]
    assert len(next(s for s in report.sections if s.title == "VARIANTS").rows) == 2, "steps are no variants"


def test_an_interruption_keeps_what_is_there(monkeypatch):
    made = []

    def interrupted(study, *args, **more):
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append(make_plan(study, *args, **more))
        return made[-1]

    monkeypatch.setattr(planned, "make_plan", interrupted)
    levels = tuple(patch(f"x{i}", set={"demand": f"x{i}"}) for i in (2, 3, 4))
    found = plan_variants(two_sites(), variants_of((), [levels]))
    assert [a.plan is not None for a in found] == [True, True, False, False]
    assert all(a.not_planned for a in found[2:])
    report = review_variants(two_sites(), found)
    assert "NOT PLANNED, variants: 2 of 4" in "\n".join(report.sections[0].lines) and not report.good


def test_wrong_patches_are_found_before_anything_is_planned(monkeypatch):
    monkeypatch.setattr(planned, "make_plan", lambda *args, **more: pytest.fail("planned"))
    levels = (patch("a", set={"demnd": "x2"}), patch("b", set={"tiers[x].survive": []}))
    with pytest.raises(InputError) as error:
        plan_variants(two_sites(), variants_of((), [levels]))
    assert len(error.value.findings) == 2


def test_file_names_are_safe_and_different():
    names = ["../../etc/passwd", "a/b", "a b", "", "..", "x" * 300, "demand[*,london]=x1.2", "Ä\x1b[31m"]
    variants = [Variant((Patch(name, "", (Change(f"p{i}", "set", 1, ""),)),)) for i, name in enumerate(names)]
    found = file_names([Answer(v, None) for v in variants])
    assert len(set(found.values())) == len(names)
    for file in found.values():
        assert "/" not in file and file[0].isdigit() and file.isascii() and len(file) < 100 and ".." not in file


# ------------------------------------------------------------------ the command
@pytest.fixture
def files(tmp_path):
    asked = write_study(tmp_path / "study")
    (tmp_path / "price.yaml").write_text("name: beta dearer\nwhy: renewal\nset: {'prices[beta/*]': x1.5}\n")
    matrix = {"axes": {
        "demand": [{"name": "as planned"}, {"name": "ten times", "set": {"demand": "x10"}}],
        "price": [{"name": "list"}, "price.yaml"],
    }}  # fmt: skip
    (tmp_path / "matrix.yaml").write_text(yaml.safe_dump(matrix))
    return asked, tmp_path


def test_a_matrix_from_files(files):
    asked, folder = files
    words = ("whatif", asked, "--matrix", folder / "matrix.yaml", "--out", folder / "plans", "--quiet")
    result = call(*words, "--format", "json")
    assert result.exit_code == 0, result.output
    sections = json.loads(result.stdout)["sections"]
    assert [row["variant"] for row in sections["variants"]] == [
        "as it is", "beta dearer", "ten times", "ten times + beta dearer"]  # fmt: skip
    files_of_it = {p.name: p.read_bytes() for p in (folder / "plans").iterdir()}
    assert sorted(files_of_it) == sorted([*sections["files"].values(), "rows.jsonl"])
    for row in sections["variants"]:
        assert read_plan(folder / "plans" / row["file"]).proof.cost_usd == row["cost_usd"]
    again = call(*words, "--format", "json")
    assert again.stdout == result.stdout and "wrote" not in again.stderr, "nothing is planned again"
    assert {p.name: p.read_bytes() for p in (folder / "plans").iterdir()} == files_of_it
    other = call(*words, "--gap", "3%")
    assert other.exit_code == 2 and "of another study, effort or version" in other.stderr
    other = call(*words, "--set", "demand=x1.1")
    assert other.exit_code == 2 and "one of this very question" in other.stderr
    assert {p.name: p.read_bytes() for p in (folder / "plans").iterdir()} == files_of_it
    shown = call("whatif", asked, "--matrix", folder / "matrix.yaml", "--quiet")
    for title in ("ANSWER", "CHANGES", "VARIANTS", "BRIDGE", "BY CHANGE", "ORDERS", "NEXT"):
        assert f"\n{title}\n" in shown.stdout
    assert str(folder) not in shown.stdout


def test_sets_and_a_plan_as_the_subject(files):
    asked, folder = files
    assert call("plan", asked, "--out", folder / "plan.json", "--quiet").exit_code == 0
    for subject in (asked, folder / "plan.json"):
        result = call("whatif", subject, "--set", "demand=x10", "--set", "tiers[gold].survive=[]", "-q", "-f", "json")
        assert result.exit_code == 0, result.output
        base, variant = json.loads(result.stdout)["sections"]["variants"]
        assert variant["cost_usd"] > base["cost_usd"] and variant["redundancy_usd"] == pytest.approx(0, abs=1)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "a change, got none"),
        (("--set", "demand"), "path=value"),
        (("--set", "demnd=x2"), "did you mean 'demand'?"),
        (("--set", "demand=x2", "--set", "demand[chat,london].requests_per_second=3"), "one change of"),
        (("--matrix", "gone.yaml"), "no such file"),
        (("--change", "gone.yaml"), "no such file"),
        (("--set", "demand=x2", "--most", "0"), "most"),
        (("--set", "horizon.months=0"), "a number above 0"),
    ],
)
def test_wrong_input_is_told_with_exit_code_2(files, words, said):
    result = call("whatif", files[0], *words, "--quiet")
    assert result.exit_code == 2 and said in result.stderr and "Traceback" not in result.output


def test_a_variant_without_a_plan_is_exit_code_1(files):
    sets = ("--set", "policies.quotas[trn].most=768", "--set", "demand=x30")
    result = call("whatif", files[0], *sets, "--quiet")
    assert result.exit_code == 1 and "NO PLAN" in result.stdout and "short of: chat" in result.stdout


def test_the_horizon_is_not_touched_by_other_patches(tiny):
    assert changed(tiny, {"horizon.months": 6}).horizon == Horizon(start=tiny.horizon.start, months=6)


# ------------------------------------------------------------------ from the plan of the study as it is
def random_bases(most=5):
    found = 0
    for seed in range(60):
        asked = random_study(seed)
        try:
            yield asked, make_plan(asked)
        except NoPlan:
            continue
        found += 1
        if found == most:
            return
    raise AssertionError("too few random studies have a plan")


def test_a_start_changes_how_a_plan_is_found_not_what_it_is_worth():
    for asked, base in random_bases():
        for factor in ("x0.7", "x1.3"):
            try:
                other = changed(asked, {"demand": factor})
                cold = make_plan(other)
            except NoPlan:
                with pytest.raises(NoPlan):
                    make_plan(other, start=base)
                continue
            for quick in (False, True):
                found = make_plan(other, Effort(quick=quick), start=base, hints=base.proof.binding_failures)
                proof = found.proof
                assert audit(found).passed and not drill_plan(found).broken
                assert proof.bound_usd <= min(proof.cost_usd, cold.proof.cost_usd) + 1e-6
                assert quick or proof.cost_usd <= cold.proof.cost_usd / 0.99 + 1e-6


@pytest.mark.parametrize("units", [0, 50])
def test_a_start_that_is_far_off_does_no_harm(units):
    asked = two_sites(bought=[offer("a/x/m", 2, most_units=60.0), offer("b/y/m", 3, most_units=60.0)])
    base = make_plan(asked)
    start = base.model_copy(
        update={
            "purchases": tuple(b.model_copy(update={"units": units}) for b in base.purchases),
            "replicas": tuple(r.model_copy(update={"replicas": units}) for r in base.replicas),
        }
    )
    for quick in (False, True):
        assert make_plan(asked, Effort(quick=quick), start=start).proof.cost_usd == pytest.approx(10)
    gone = make_plan(two_sites(pools=asked.pools[:1], bought=[offer("a/x/m", 2)], tiers=(Tier(name="t"),)))
    assert make_plan(asked, start=gone).proof.cost_usd == pytest.approx(10), "a plan of another study"


def test_quick_variants_over_years():
    base = make_plan(hall(demand=15.0, build_outs=(phase("one", most=3),)))
    asked = [
        Variant((patch("more", set={"demand": "x2"}),)),
        Variant((patch("late", set={"build_outs[*].ready_in": ["quarter-7"]}),)),
    ]
    quick = plan_variants(base.study, asked, Effort(quick=True), base=base)
    cold = [make_plan(answer.plan.study) for answer in quick[1:]]
    for answer, other in zip(quick[1:], cold, strict=True):
        assert audit(answer.plan).passed
        assert answer.plan.proof.cost_usd == pytest.approx(other.proof.cost_usd, rel=0.02)


# ------------------------------------------------------------------ a plan that is given
@pytest.fixture(scope="module")
def at_hand():
    """A plan of the build-out example, within 10 % of the best."""
    return make_plan(read_study(Path(__file__).parents[2] / "examples" / "buildout")[0], Effort(gap_fraction=0.1))


def test_a_plan_that_holds_is_kept_unless_a_better_one_is_found(at_hand):
    """Asked for less, the search alone ends at a dearer plan, near the given one or not; it is a start like any."""
    again = make_plan(at_hand.study, Effort(gap_fraction=0.3), start=at_hand)
    assert again.proof.cost_usd < at_hand.proof.cost_usd or again.purchases == at_hand.purchases
    # what no longer holds is no plan: twice the demand is planned anew
    assert make_plan(changed(two_sites(), {"demand": "x2"}), start=make_plan(two_sites())).proof.cost_usd == 20


def test_a_wider_gap_throws_no_plan_away(at_hand, tmp_path):
    path = tmp_path / "plan.json"
    path.write_text(plan_text(at_hand), encoding="utf-8")
    done = call("whatif", path, "--set", "demand=x1", "--gap", "0.3", "--quiet", "-f", "json", "--out", tmp_path / "o")
    assert done.exit_code == 0, done.output
    assert (tmp_path / "o" / "00-as-it-is.json").read_bytes() == path.read_bytes()
    plans = [read_plan(file) for file in sorted((tmp_path / "o").glob("*.json"))]
    assert max(plan.proof.cost_usd for plan in plans) <= at_hand.proof.cost_usd


def test_a_narrower_gap_keeps_a_plan_that_no_other_beats(monkeypatch):
    """Of the plan that was given and the one that is found, the cheaper, with the better bound of both."""
    exact = make_plan(two_sites(), Effort(gap_fraction=0.0))
    proof = {"bound_usd": 9.0, "lp_bound_usd": 9.0, "gap_fraction": 0.1, "gap_asked_fraction": 0.1, "status": "gap"}
    loose = sealed(exact.model_copy(update={"proof": exact.proof.model_copy(update=proof)}))
    dearer = {"cost_usd": 12.0, "bound_usd": 9.8, "gap_fraction": 0.18, "gap_asked_fraction": 0.01, "status": "gap"}
    worse = exact.model_copy(update={"purchases": (), "proof": exact.proof.model_copy(update=dearer)})
    monkeypatch.setattr("planner.questions.planned.make_plan", lambda *args, **more: worse)
    (answer,) = plan_variants(loose.study, (), base=loose)
    assert answer.plan.purchases == exact.purchases and answer.plan.proof.cost_usd == 10
    assert answer.plan.proof.bound_usd == 9.8 and answer.plan.proof.gap_fraction == pytest.approx(0.02)
    assert answer.plan.proof.status == "gap" and answer.plan.proof.gap_asked_fraction == 0.01
    assert audit(answer.plan).passed
    monkeypatch.undo()
    (answer,) = plan_variants(loose.study, (), base=loose)
    assert answer.plan.proof.status == "proven" and answer.plan.proof.bound_usd == pytest.approx(10)
