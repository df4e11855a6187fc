"""The ladder by hand: three sites with one pool each, 5 requests/s a machine at 2, 3 and 4 USD, 10 requests/s wanted.

No goal: 2 machines at x, 4 USD. Any site: one at each, 2 + 3 + 4 = 9. The flood takes x and y, so z needs 2, and x or y
another 2 for when z is lost: 2 x 2 + 2 x 4 = 12. Any two sites: 2 at each, 18. A region or a provider is a site here.
A request that is not served costs 0.01 USD: 10 requests/s for an hour are 360 USD.
"""

import json
from dataclasses import replace

import pytest
import yaml
from helpers import STUDY, write_study
from studies import offer
from three_sites import three_sites
from typer.testing import CliRunner

from planner.cli.main import app
from planner.errors import Finding, InputError
from planner.plan.plan import make_plan
from planner.questions import ladder, planned
from planner.questions.ladder import (
    LadderStep,
    StepPlan,
    chosen,
    climb,
    compared,
    ladder_steps,
    with_goals,
)
from planner.questions.planned import INTERRUPTED
from planner.review.render import render
from planner.review.steps import good, review_ladder
from planner.solve.search import Effort
from planner.study.read import data_folder, read_study
from planner.study.records.study import Goal, NamedFailure, Tier

EXACT = Effort(gap_fraction=0.0, most_nodes=10_000)
OWN = ["none", "site", "failure:flood"]
ASSUMED = ["region", "provider", "provider:2", "site:2"]


@pytest.fixture(scope="module")
def climbed():
    s = three_sites()
    return s, climb(s, ladder_steps(s), EXACT)


def test_steps_are_the_studys_own_first():
    steps = ladder_steps(three_sites())
    assert [step.name for step in steps if step.own] == OWN
    assert [step.name for step in steps if not step.own] == ["region", "provider", "site:2", "provider:2"]
    assert [step.own for step in steps] == sorted((step.own for step in steps), reverse=True)
    goal = steps[-1].goals["t"][0]
    assert (goal.serve_fraction, goal.within_seconds) == (1.0, 120.0), "the longest deadline of the study"
    assert steps[1].goals["t"][0].within_seconds == 60.0, "the study's own deadline"


def test_costs_by_hand(climbed):
    _, steps = climbed
    costs = {step.step.name: step.cost_usd for step in steps}
    assert costs == pytest.approx(
        {"none": 4, "site": 9, "failure:flood": 12, "region": 12, "provider": 12, "site:2": 18, "provider:2": 18}
    )
    adds = {step.step.name: step.adds_usd for step in steps}
    assert adds == pytest.approx(
        {"none": 0, "site": 5, "failure:flood": 3, "region": 0, "provider": 0, "site:2": 6, "provider:2": 0}
    )
    assert all(step.adds_least_usd == pytest.approx(step.adds_usd) for step in steps), "proven, gap 0"


def test_what_stays_at_risk_by_hand(climbed):
    """16 failures: 3 sites, 3 regions, 3 providers, the flood, 3 pairs of sites, 3 of providers.

    2 at x: x is lost in 3 of 9 single ones, in the flood and in 2 of 3 pairs, twice: 8. One at each: the flood and all
    pairs leave one, 5 short: 7. 2 at x and 2 at z: x and z lost, twice.
    """
    _, steps = climbed
    risk = {step.step.name: step.risk for step in steps}
    found = {
        name: (r.failures, r.not_survived, r.short_requests_per_second, r.usd_per_hour) for name, r in risk.items()
    }
    assert found["none"] == pytest.approx((16, 8, 10.0, 360.0))
    assert found["site"] == pytest.approx((16, 7, 5.0, 180.0))
    assert found["failure:flood"] == pytest.approx((16, 2, 10.0, 360.0))
    assert found["site:2"] == (16, 0, 0.0, 0.0) and risk["site:2"].worst is None
    assert risk["none"].worst == "failure:flood" and risk["failure:flood"].worst == "provider:a + provider:c"


def test_the_studys_own_steps_are_the_study(climbed):
    s, steps = climbed
    own = [step.step for step in steps if step.step.own]
    assert [sorted(map(str, t.survive)) for t in with_goals(s, own).tiers] == [
        sorted(map(str, t.survive)) for t in s.tiers
    ]
    assert steps[2].cost_usd == pytest.approx(make_plan(s, EXACT).proof.cost_usd)


def test_a_step_starts_from_what_decided_those_below(monkeypatch):
    given = []

    def spy(*args, hints=(), **more):
        given.append(tuple(hints))
        return make_plan(*args, hints=hints, **more)

    monkeypatch.setattr(planned, "make_plan", spy)
    s = three_sites()
    steps = climb(s, chosen(ladder_steps(s), ["site", "site:2"]), EXACT)
    assert given[0] == given[1] == () and set(given[2]) >= set(steps[1].plan.proof.binding_failures) != set()


def test_a_plan_that_survives_a_step_is_the_plan_of_that_too(climbed, monkeypatch):
    """Two at x and two at z survive the flood, and any region or provider; any two sites need two at each."""
    s, steps = climbed
    assert [step.step.name for step in steps if step.holds_already] == ["region", "provider", "provider:2"]
    assert all(step.adds_usd == step.adds_least_usd == 0 for step in steps if step.holds_already)
    text = render(review_ladder(s, steps), "text")
    assert "the plan of the step before survives it, too, by the drill: any region, any provider, any 2" in text
    # where the drill cannot judge all, every step is planned: at the same cost
    monkeypatch.setattr(ladder, "_survives", lambda *args: False)
    planned_all = climb(s, ladder_steps(s), EXACT)
    assert [step.cost_usd for step in planned_all] == pytest.approx([step.cost_usd for step in steps])
    assert not any(step.holds_already for step in planned_all)


def test_what_runs_the_same_is_drilled_once(climbed, monkeypatch):
    """Where the drill is not asked whether a plan survives the next goals, they are planned: the flood's plan again."""
    s, _ = climbed
    drilled, original = [], ladder._drilled

    def counted(everything, plan, progress):
        drilled.append(plan.proof.cost_usd)
        return original(everything, plan, progress)

    monkeypatch.setattr(ladder, "_drilled", counted)
    monkeypatch.setattr(ladder, "_survives", lambda *asked: False)
    again = climb(s, ladder_steps(s)[:5], EXACT)
    assert [step.cost_usd for step in again] == pytest.approx([4, 9, 12, 12, 12]) and drilled == pytest.approx(
        [4, 9, 12]
    )
    assert [step.risk for step in again[2:]] == [again[2].risk] * 3


def test_a_rule_that_the_drill_does_not_judge_leaves_nothing_to_it(climbed, monkeypatch):
    s, _ = climbed
    drill = ladder.drill_plan
    monkeypatch.setattr(ladder, "drill_plan", lambda *a, **m: replace(drill(*a, **m), not_judged=("a rule",)))
    steps = climb(s, chosen(ladder_steps(s), ["site", "region"]), EXACT)
    assert not any(step.holds_already for step in steps)


def test_two_passes_of_the_drill_say_what_one_does(climbed):
    """With parts of replicas first: the same failures break, and the worst is as short."""
    s, steps = climbed
    everything = with_goals(s, [step.step for step in steps])
    for step in steps:
        asked = step.plan.model_copy(update={"study": everything})
        assert step.risk == ladder.risk_of(everything, ladder.drill_plan(asked))


def test_what_breaks_for_want_of_nodes_is_searched_once_more(climbed, monkeypatch):
    """A search that ends early calls a failure broken which replicas survive: the next says what is so."""
    s, steps = climbed
    drill, asked = ladder.drill_plan, []

    def ended_early(plan, *args, most_nodes, **more):
        result = drill(plan, *args, most_nodes=most_nodes, **more)
        asked.append(more.get("only"))
        if most_nodes != ladder.DRILL_NODES:
            return result
        return replace(result, rows=tuple(replace(r, broken=r.broken or r.failure == "site:a/x") for r in result.rows))

    monkeypatch.setattr(ladder, "drill_plan", ended_early)
    everything = with_goals(s, [step.step for step in steps])
    verdict = ladder._drilled(everything, steps[-1].plan, ladder.silent)
    assert verdict.risk == steps[-1].risk and verdict.risk.not_survived == 0
    assert asked == [None, {"site:a/x"}, {"site:a/x"}]


def test_without_goals_what_breaks_for_sure_is_drilled_first(climbed, monkeypatch):
    """Eight of sixteen break with parts of replicas: only the others are asked whether whole ones survive."""
    s, steps = climbed
    drill, asked = ladder.drill_plan, []

    def counted(*args, **more):
        asked.append((more["most_nodes"] == 0, len(more["only"]) if more.get("only") is not None else None))
        return drill(*args, **more)

    monkeypatch.setattr(ladder, "drill_plan", counted)
    everything = with_goals(s, [step.step for step in steps])
    assert ladder._drilled(everything, steps[0].plan, ladder.silent).risk == steps[0].risk
    assert asked == [(True, None), (False, 8), (False, 1)]


def test_a_step_without_a_plan_says_why_and_the_next_goes_on():
    """One machine at z: neither the flood nor two sites can be survived; regions can."""
    s = three_sites(bought=[offer("a/x/m", 2), offer("b/y/m", 3), offer("c/z/m", 4, most_units=1.0)])
    steps = climb(s, chosen(ladder_steps(s), ["site", "site:2", "failure:flood", "region"]), EXACT)
    assert [step.plan is not None for step in steps] == [True, True, False, False, True]
    assert "short of: w from o by 5.0 requests/s" in steps[2].why_not
    assert steps[4].cost_usd == pytest.approx(9) and steps[4].adds_usd == pytest.approx(0)
    assert steps[4].risk.failures == 3 + 3 + 3 + 1, "what has no plan is at risk all the same"
    assert not good(steps), "the flood is the study's own"
    assert good([step for step in steps if step.step.name != "failure:flood"])
    text = render(review_ladder(s, steps), "text")
    assert "NO PLAN: any 2 sites (assumed), failure flood; the steps after it stand without" in text


def test_bounds_go_up_and_cheaper_plans_go_down(climbed):
    """Costs 10, 12, 11 with bounds 9.8, 9, 10: the second takes the third's plan, and the first's bound."""
    _, steps = climbed
    made = []
    for step, cost, bound in zip(steps, (10.0, 12.0, 11.0), (9.8, 9.0, 10.0), strict=False):
        proof = step.plan.proof.model_copy(update={"cost_usd": cost, "bound_usd": bound})
        made.append(StepPlan(step.step, step.plan.model_copy(update={"proof": proof}), risk=step.risk))
    first, second, third = compared(made)
    assert [s.cost_usd for s in (first, second, third)] == [10.0, 11.0, 11.0]
    assert [s.bound_usd for s in (first, second, third)] == [9.8, 9.8, 10.0]
    assert second.plan_of == third.step.name and second.risk == third.risk and not first.plan_of
    assert (second.adds_usd, second.adds_least_usd, second.adds_most_usd) == pytest.approx((1.0, 0.0, 1.2))
    assert second.within_gaps and third.adds_most_usd == pytest.approx(1.2)
    text = render(review_ladder(three_sites(), (first, second, third)), "text")
    assert "within the gaps" in text and "came out cheaper and is taken for: any site" in text


def test_a_proven_difference_is_not_within_the_gaps(climbed):
    _, steps = climbed
    assert [step.within_gaps for step in steps[1:]] == [False, False, True, True, False, True]


def test_an_interruption_keeps_what_is_done(monkeypatch):
    calls = []

    def interrupted(*args, **more):
        calls.append(args)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return make_plan(*args, **more)

    monkeypatch.setattr(planned, "make_plan", interrupted)
    s = three_sites()
    steps = climb(s, chosen(ladder_steps(s), ["site", "failure:flood"]), EXACT)
    assert steps[0].plan is not None and [step.why_not for step in steps[1:]] == [INTERRUPTED] * 2 and len(calls) == 2
    text = render(review_ladder(s, steps), "text")
    assert "NOT PLANNED, interrupted: any site, failure flood" in text and not good(steps)


def test_an_interrupted_drill_keeps_the_plan(monkeypatch):
    def interrupted(*args, **more):
        raise KeyboardInterrupt

    monkeypatch.setattr(ladder, "drill_plan", interrupted)
    s = three_sites()
    steps = climb(s, chosen(ladder_steps(s), ["site"]), EXACT)
    assert steps[0].plan is not None and steps[0].risk is None and steps[1].not_planned
    assert "not drilled: interrupted" in render(review_ladder(s, steps), "text")


def test_what_the_drill_refuses_is_said(monkeypatch):
    def refused(*args, **more):
        raise InputError([Finding("demand", "one mean hour", "demand that moves", "none")])

    monkeypatch.setattr(ladder, "drill_plan", refused)
    s = three_sites()
    steps = climb(s, chosen(ladder_steps(s), ["site"]), EXACT)
    assert [step.plan is not None and step.risk is None for step in steps] == [True, True]
    assert "not drilled: demand: the drill expects one mean hour" in render(review_ladder(s, steps), "text")


def test_a_study_without_goals_has_assumed_steps_only():
    s = three_sites(tiers=(Tier(name="t"),), failures=())
    steps = ladder_steps(s)
    assert [step.name for step in steps if step.own] == ["none"]
    assert {step.name for step in steps if not step.own} == {"site", *ASSUMED}
    assert all(step.goals["t"][0].within_seconds == 300.0 for step in steps[1:])


def test_steps_of_the_quickstart():
    found, _ = read_study(data_folder("examples") / "quickstart")
    steps = ladder_steps(found)
    assert [step.name for step in steps if step.own] == ["none", "site", "provider", "stack"]
    assert [step.name for step in steps if not step.own] == ["region", "site:2", "provider:2"]
    assert all("batch" not in step.goals for step in steps), "tiers without goals get none"


def test_steps_that_are_not_there_are_findings():
    steps = ladder_steps(three_sites())
    assert [step.name for step in chosen(steps, ["site:2", "site"])] == ["none", "site:2", "site"]
    assert chosen(steps, []) == steps
    assert chosen(steps, ["site:2, site"]) == chosen(steps, ["site:2", "site"])
    named = ladder_steps(
        three_sites(failures=(NamedFailure(name="flood", lost={}), NamedFailure(name="a, b", lost={})))
    )
    assert [step.name for step in chosen(named, ["failure:a, b", "site"])] == ["none", "failure:a, b", "site"]
    with pytest.raises(InputError) as error:
        chosen(steps, ["sites", "site", "moon"])
    assert [finding.got for finding in error.value.findings] == ["sites", "moon"]


def test_goals_that_share_a_step():
    """Two tiers with the same goal, and one with another: the step says which promises what."""
    goal = Goal(any="site", within_seconds=60.0)
    step = LadderStep(
        "site", {"t": (goal,), "u": (goal,), "v": (goal.model_copy(update={"serve_fraction": 0.8}),)}, True
    )
    text = render(review_ladder(three_sites(), [StepPlan(step, None, why_not=INTERRUPTED)]), "text")
    assert "t, u 100 % in 60 s; v 80 % in 60 s" in " ".join(text.split())


def call(*words):
    return CliRunner().invoke(app, ["ladder", *(str(word) for word in words), "--quiet"])


def test_the_command(tmp_path):
    path = write_study(tmp_path / "tiny")
    result = call(path, "--format", "json")
    assert result.exit_code in (0, 1), result.output
    data = json.loads(result.stdout)["sections"]["steps"]
    assert data[0]["step"] == "none" and data[0]["own"] and data[0]["at_risk"]["failures"] > 0
    costs = [row["plan"]["cost_usd"] for row in data if row["plan"]]
    assert costs == sorted(costs) and len(costs) > 1
    assert result.exit_code == (0 if all(row["plan"] for row in data if row["own"]) else 1)
    text = call(path, "--steps", "site", "--out", tmp_path / "ladder.md", "--format", "md")
    assert text.exit_code == 0 and "| + any site |" in (tmp_path / "ladder.md").read_text(encoding="utf-8")


def test_the_command_names_what_is_wrong(tmp_path):
    path = write_study(tmp_path / "tiny")
    result = call(path, "--steps", "site,moon")
    assert result.exit_code == 2 and "got moon" in result.stderr and "expected one of none, provider" in result.stderr
    result = call(path, "--out", path)
    assert result.exit_code == 2 and yaml.safe_load(path.read_text()) == yaml.safe_load(STUDY)
