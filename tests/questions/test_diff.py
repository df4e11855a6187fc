"""Two plans side by side: differences with tolerances, and a bridge of costs that adds up."""

import importlib
import json

import pytest
from buildouts import HALL, hall
from studies import offer, random_study, site
from two_sites import changed, two_sites
from typer.testing import CliRunner

from planner.cli.main import app
from planner.errors import NoPlan
from planner.plan.file import plan_text, sealed
from planner.plan.in_hand import Plan
from planner.plan.plan import make_plan
from planner.questions.bridge import COMMITMENTS, DELAY, DEMAND, PRICES, REDUNDANCY, SERVING, STEPS, bridge
from planner.questions.diff import _machines, apart, diff_plans
from planner.questions.whatif import units_bought
from planner.study.dependencies import NORMAL
from planner.study.records.study import Goal, Horizon

runner = CliRunner()


def call(*words):
    return runner.invoke(app, [str(word) for word in words])


@pytest.fixture(scope="module")
def base():
    """Two machines at each of two sites: 2 x 2 + 2 x 3 = 10 USD; 4 USD without goals."""
    return make_plan(two_sites())


def of(base, **sets):
    return make_plan(changed(base.study, sets))


def told(found, part):
    return {d.name: (d.before, d.after) for d in found.differences if d.part == part}


# ------------------------------------------------------------------ the bridge
@pytest.mark.parametrize(
    ("sets", "steps"),
    [
        # b 3 -> 6 USD: two machines there cost 6 more; nothing else changes
        ({"prices[b/*]": "x2"}, {PRICES: 6}),
        # a third machine at each site: 2 USD serve more, 3 USD keep it safe
        ({"demand": "x1.5"}, {DEMAND: 2, REDUNDANCY: 3}),
        # in this order: 2 machines at b cost 6 more; a third at a 2; a third at b, now 6
        ({"demand": "x1.5", "prices[b/*]": "x2"}, {PRICES: 6, DEMAND: 2, REDUNDANCY: 6}),
        # without the goal two machines at a are enough
        ({"tiers[t].survive": []}, {REDUNDANCY: -6}),
        # a 2 -> 8 USD: two there cost 12 more; without goals they move to b: 6 instead of 16
        ({"prices[a/*]": "x4"}, {PRICES: 12, SERVING: 6 - 16, REDUNDANCY: 22 - 6 - (22 - 16)}),
        # the same and demand: the third machine costs 3 at b without goals, 8 more with them
        ({"prices[a/*]": "x4", "demand": "x1.5"}, {PRICES: 12, SERVING: -10, DEMAND: 3, REDUNDANCY: 33 - 9 - 6}),
        # one at a is held: one less to buy, with goals or without
        ({"holdings": [{"pool": "a/x/m", "machines": 1}]}, {COMMITMENTS: -2}),
        # a is there too late to serve without goals: two at b cost 6 instead of 4; nothing survives b's loss then
        ({"offers[a/*].lead_days": 60, "tiers[t].survive": []}, {DELAY: 2, REDUNDANCY: -6}),
        # half as fast: two machines more at each site
        ({"models[m].profiles[*].classes[*].decode_tokens_per_second": "x0.5"}, {SERVING: 4, REDUNDANCY: 6}),
    ],
)
def test_worked_bridges(base, sets, steps):
    found = bridge(base, of(base, **sets))
    assert {step.name: step.total_usd for step in found.steps} == pytest.approx({**dict.fromkeys(STEPS, 0), **steps})
    assert found.before_usd == pytest.approx(10) and found.after_usd - 10 == pytest.approx(sum(steps.values()))
    assert found.least_usd <= found.after_usd - found.before_usd <= found.most_usd and not found.together


def random_plans():
    plans = []
    for seed in range(40):
        try:
            plans.append(make_plan(random_study(seed)))
        except NoPlan:
            continue
        if len(plans) == 6:
            return plans
    raise AssertionError("too few random studies have a plan")


def test_steps_and_components_add_up_between_any_two_plans():
    plans = random_plans()
    for before in plans:
        for after in plans:
            found = bridge(before, after)
            difference = after.proof.cost_usd - before.proof.cost_usd
            assert sum(step.total_usd for step in found.steps) == pytest.approx(difference, abs=1e-6)
            for name in after.costs_usd:
                parts = sum(step.usd[name] for step in found.steps)
                assert parts == pytest.approx(after.costs_usd[name] - before.costs_usd[name], abs=1e-6)
            assert (before is after) == diff_plans(before, after).same


# ------------------------------------------------------------------ what differs
def test_a_plan_and_its_replan_are_the_same(base):
    found = diff_plans(base, make_plan(base.study))
    assert found.same and found.within == 0 and all(step.total_usd == 0 for step in found.bridge.steps)


def test_every_part_that_differs_is_named(base):
    found = diff_plans(base, of(base, demand="x1.5", order_slack_days=44))
    assert told(found, "study") == {
        "demand[w,o].requests_per_second": (10.0, 15.0),
        "order_slack_days": (14.0, 44.0),
    }
    assert told(found, "machines") == {"a/x/m:on_demand": (2, 3), "b/y/m:on_demand": (2, 3)}
    assert told(found, "costs") == {"hourly_machines": (10.0, 15.0)}
    # 14 and 44 days before 2026-01-01, which is today
    late = ("2025-12-18 (14 days late)", "2025-11-18 (44 days late)")
    assert told(found, "orders") == {"a/x/m:on_demand": late, "b/y/m:on_demand": late}


def test_traffic_is_compared_by_share(base):
    """All goes to one of the two sites, whichever, as machines stand at both; then three tenths of it to the other."""
    (used,) = next(state.placement for state in base.states if state.failure == NORMAL)
    other = {"m/m-cuda@a/x/m": "m/m-cuda@b/y/m", "m/m-cuda@b/y/m": "m/m-cuda@a/x/m"}[used]

    def routed(state):
        if state.failure != NORMAL:
            return state
        columns = {"workload": ("w", "w"), "origin": ("o", "o"), "requests_per_second": (7.0, 3.0)}
        return state.model_copy(update={**columns, "placement": (used, other)})

    moved = base.model_copy(update={"states": tuple(routed(state) for state in base.states)})
    found = diff_plans(base, moved, ignore=["goals"])
    shares = told(found, "traffic")
    assert (
        sum(before for before, _ in shares.values()) == pytest.approx(1) == sum(after for _, after in shares.values())
    )
    assert shares[f"w from o at {other.partition('@')[2]}"][1] == pytest.approx(0.3)
    assert diff_plans(base, moved, within_fraction=0.35, ignore=["goals"]).same


def test_a_goal_that_is_gone_or_lost_is_seen(base):
    gone = told(diff_plans(base, of(base, **{"tiers[t].survive": []})), "goals")
    assert gone["t: any site within 60 s"] == ("held, 1 due", None)
    halved = told(diff_plans(base, of(base, **{"tiers[t].survive[0].serve_fraction": 0.5})), "goals")
    assert halved["t: any site within 60 s"] == ("held, 1 due", "held, 0.5 due")
    shed = base.model_copy(update={"states": tuple(
        state.model_copy(update={"requests_per_second": tuple(v / 2 for v in state.requests_per_second)})
        if state.failure != NORMAL else state for state in base.states)})  # fmt: skip
    lost = told(diff_plans(base, shed), "goals")
    assert lost["t: any site within 60 s"] == ("held, 1 due", "LOST, 1 due")
    assert lost["t: any site within 60 s, least served"] == (1.0, 0.5)


def test_names_on_one_side_only_are_listed(base):
    other = two_sites(
        sites=(site("a/x"), site("c/z", (50.0, 1.0))),
        pools=tuple(p.model_copy(update={"site": "c/z"}) if p.site == "b/y" else p for p in base.study.pools),
        bought=[offer("a/x/m", 2), offer("c/z/m", 3)],
        tiers=(base.study.tiers[0].model_copy(update={"survive": (Goal(any="provider", within_seconds=60.0),)}),),
    )
    found = diff_plans(base, make_plan(other))
    assert told(found, "machines") == {"b/y/m:on_demand": (2, None), "c/z/m:on_demand": (None, 2)}
    goals = told(found, "goals")
    assert goals["t: any site within 60 s"][1] is None and goals["t: any provider within 60 s"][0] is None
    assert sum(step.total_usd for step in found.bridge.steps) == pytest.approx(0)


def test_machines_of_several_periods_are_told_apart(base):
    whens = ("quarter-1/mean-hour", "quarter-2/mean-hour", "quarter-3/mean-hour")
    asked = base.study.model_copy(update={"horizon": Horizon(start=base.study.today, quarters=3)})
    rows = tuple(
        b.model_copy(update={"when": t, "units": n}) for n, t in enumerate(whens, 1) for b in base.purchases[:1]
    )
    plan = base.model_copy(update={"study": asked, "purchases": rows})
    assert _machines(Plan(plan)) == {f"a/x/m:on_demand at {t}": n for n, t in enumerate(whens, 1)}
    assert units_bought(plan) == {"a/x/m:on_demand": 3}, "rented by the hour: the hour with most"
    yearly = tuple(b.model_copy(update={"kind": "commitment"}) for b in plan.study.offers)
    committed = plan.model_copy(update={"study": plan.study.model_copy(update={"offers": yearly})})
    assert units_bought(committed) == {"a/x/m:on_demand": 6}, "started in three periods"


def test_a_diff_builds_one_problem_and_one_graph_of_each_plan(base, monkeypatch):
    dearer = of(base, demand="x1.2")
    built = []
    for what in ("planner.plan.decisions.build", "planner.plan.in_hand.dependency_graph"):
        module, _, name = what.rpartition(".")
        original = getattr(importlib.import_module(module), name)
        monkeypatch.setattr(what, lambda *given, original=original: built.append(original.__name__) or original(*given))
    assert not diff_plans(base, dearer).same
    assert sorted(built) == ["build"] * 2 + ["dependency_graph"] * 2


# ------------------------------------------------------------------ over years
@pytest.fixture(scope="module")
def built():
    """The hall of one module, ready in the fifth quarter, with a machine in it; cloud at 40 USD/h until then."""
    return make_plan(hall())


def test_a_slip_and_a_dearer_build_are_steps_of_their_own(built):
    late = make_plan(changed(built.study, {f"build_outs[{HALL}:one].lead_months.power": 18}))
    found = diff_plans(built, late)
    steps = {step.name: step.total_usd for step in found.bridge.steps}
    assert steps == pytest.approx({**dict.fromkeys(STEPS, 0), DELAY: late.proof.cost_usd - built.proof.cost_usd})
    # six months of cloud at 40 USD/h and 100 h a month; less upkeep of 2,000 USD a year; half a year less of wear
    wear = 20000 / 20 + 10000 / 20 + 6000 / 10 + 12000 / 4
    assert steps[DELAY] == pytest.approx(6 * 100 * 40 - 1000 - wear / 2)
    assert told(found, "build-outs") == {
        f"{HALL}:one from quarter-5": (1, None),
        f"{HALL}:one from quarter-7": (None, 1),
    }
    assert f"{HALL}/m:build_out for quarter-5" in told(found, "orders")
    assert ("a/x/m:on_demand at quarter-5/mean-hour", (None, 1)) in told(found, "machines").items()
    dearer = make_plan(changed(built.study, {f"build_outs[{HALL}:one].shell_usd_per_mw": "x1.5"}))
    steps = {step.name: step.total_usd for step in bridge(built, dearer).steps}
    # 10,000 USD more for the shell, of which 19 of 20 years are left after one
    assert steps == pytest.approx({**dict.fromkeys(STEPS, 0), PRICES: 10000 * 1 / 20})


def test_all_kinds_at_once_add_up(built):
    other = make_plan(
        changed(
            built.study,
            {
                "demand": "x2.5",
                f"build_outs[{HALL}:one].lead_months.power": 15,
                "money.discount_fraction_per_year": 0.1,
                "offers[a/*].most_units": 30,
                "models[m].profiles[*].classes[*].decode_tokens_per_second": "x0.7",
            },
            add={"holdings": [{"pool": "a/x/m", "machines": 1}]},
        )
    )
    found = bridge(built, other)
    assert all(abs(step.total_usd) > 1 for step in found.steps[:5]) and not found.together
    difference = other.proof.cost_usd - built.proof.cost_usd
    assert sum(step.total_usd for step in found.steps) == pytest.approx(difference)
    back = bridge(other, built)
    assert sum(step.total_usd for step in back.steps) == pytest.approx(-difference)


def test_what_cannot_be_planned_between_is_said(base):
    # four machines are there at most; more demand and more machines only fit together
    few = of(base, **{"offers[*].most_units": 2})
    more = of(few, **{"demand": "x1.5", "offers[*].most_units": 3, "tiers[t].survive": []})
    few = of(few, **{"tiers[t].survive": []})
    assert bridge(few, more).together == ()
    least = of(few, **{"offers[*].most_units": 1})
    most = of(few, **{"demand": "x2", "offers[*].most_units": 2})
    found = bridge(least, most)
    steps = {step.name: step.total_usd for step in found.steps}
    assert found.together == (DEMAND,) and steps == pytest.approx({**dict.fromkeys(STEPS, 0), COMMITMENTS: 5})


def test_tolerance_and_patterns(base):
    # two machines at 3.03 instead of 3 USD: 0.6 % of the cost, 1 % of the price
    dearer = of(base, **{"prices[b/*]": "x1.01"})
    names = {d.id for d in diff_plans(base, dearer).differences}
    assert names == {"study/prices[b/y/m:on_demand].price_usd_per_machine_hour", "costs/hourly_machines"}
    assert not diff_plans(base, dearer, within_fraction=0.005).same
    within = diff_plans(base, dearer, within_fraction=0.02)
    assert within.same and within.within == 2
    one = diff_plans(base, dearer, ignore=["study/prices[b/*].price*"])
    assert one.ignored == 1 and [d.part for d in one.differences] == ["costs"]
    ignored = diff_plans(base, dearer, ignore=["study", "costs/hourly*"])
    assert ignored.same and ignored.ignored == 2
    assert not diff_plans(base, dearer, ignore=["study"]).same
    assert apart(0.0, 3.0) == 1.0 and apart(-1.0, 1.0) == 2.0


# ------------------------------------------------------------------ the command
@pytest.fixture(scope="module")
def files(base, tmp_path_factory):
    folder = tmp_path_factory.mktemp("plans")
    (folder / "a.json").write_text(plan_text(base))
    (folder / "again.json").write_text(plan_text(make_plan(base.study)))
    (folder / "b.json").write_text(plan_text(of(base, demand="x1.5")))
    (folder / "cut.json").write_text(plan_text(base)[:1000])
    return folder


def test_exit_codes_for_ci(files):
    same = call("diff", files / "a.json", files / "again.json")
    assert same.exit_code == 0 and "the same" in same.stdout
    other = call("diff", files / "a.json", files / "b.json")
    assert other.exit_code == 1 and "DIFFERENT: study 1, costs 1, machines 2" in other.stdout
    assert call("diff", files / "a.json", files / "b.json", "--within", "50%").exit_code == 0
    for words in (("cut.json",), ("gone.json",), ("b.json", "--within", "much"), ("b.json", "--within", "-1%")):
        wrong = call("diff", files / "a.json", files / words[0], *words[1:])
        assert wrong.exit_code == 2 and "fix:" in wrong.stderr and "Traceback" not in wrong.output


def test_the_formats_say_the_same(files):
    data = json.loads(call("diff", files / "a.json", files / "b.json", "--format", "json").stdout)
    assert data["good"] is False and data["sections"]["answer"]["differences"]["machines"] == 2
    assert [row["name"] for row in data["sections"]["machines"]] == ["a/x/m:on_demand", "b/y/m:on_demand"]
    assert data["sections"]["bridge"]["after_usd"] == pytest.approx(15)
    shown = call("diff", files / "a.json", files / "b.json", "--format", "md").stdout
    assert "| a/x/m:on\\_demand | 2 | 3 | +1 |" in shown
    assert str(files) not in shown


def test_an_edited_plan_is_said(files, base):
    (files / "edited.json").write_text(plan_text(base.model_copy(update={"demand_case": "high"})))
    shown = call("diff", files / "a.json", files / "edited.json")
    assert shown.exit_code == 1 and "demand case" in shown.stdout and "was changed after it was sealed" in shown.stdout
    (files / "sealed.json").write_text(plan_text(sealed(base)))
    assert "sealed" not in call("diff", files / "a.json", files / "sealed.json").stdout
