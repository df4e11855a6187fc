"""What redundancy costs, by hand: a machine serves 5 requests/s, for 4 USD on demand and 1 USD on spot.

Chat wants 10 requests/s from a machine type at two sites, and all of it when either is lost: 4 machines on demand, 16
USD. Bulk wants 10 requests/s without a goal, and its machine type is sold on spot alone: 2 USD. The plan costs 18 USD.
Without goals chat stands on spot, too: 4 USD. On equal terms bulk keeps its spot machines and chat has 2 on demand: 10.
"""

import pytest
from studies import machine_type, model, offer, profile, random_study, site, study, workload

from planner.errors import NoPlan
from planner.plan.audit import audit
from planner.plan.decisions import problem_of
from planner.plan.file import plan_text, sealed
from planner.plan.orders import orders
from planner.plan.plan import make_plan
from planner.questions.ladder import climb, ladder_steps
from planner.review.answer import review_plan
from planner.review.render import render
from planner.review.steps import review_ladder
from planner.solve.search import Effort
from planner.study.records.inventory import Pool
from planner.study.records.plan import PlanFile, Purchase
from planner.study.records.study import Goal, Tier

EXACT = Effort(gap_fraction=0.0, most_nodes=10_000)


def on_spot(**parts):
    fields = {
        "sites": (site("a/x"), site("b/y", (50.0, 1.0))),
        "machine_types": (machine_type("m"), machine_type("n")),
        "pools": (
            Pool(site="a/x", machine_type="m"),
            Pool(site="b/y", machine_type="m"),
            Pool(site="a/x", machine_type="n"),
        ),
        "bought": [
            offer("a/x/m", 4),
            offer("b/y/m", 4),
            offer("a/x/m", 1, "spot"),
            offer("b/y/m", 1, "spot"),
            offer("a/x/n", 1, "spot"),
        ],
        "models": (model("m", [profile("m", "cuda", 5)]), model("n", [profile("n", "cuda", 5)])),
        "tiers": (Tier(name="t", survive=(Goal(any="site", within_seconds=60.0),)), Tier(name="none")),
        "workloads": (workload("chat"), workload("bulk", tier="none", model="n")),
        "demand": {("chat", "o"): 10.0, ("bulk", "o"): 10.0},
    }
    return study(**{**fields, **parts})


@pytest.fixture(scope="module")
def plan():
    return make_plan(on_spot(), EXACT)


def test_both_figures_and_what_each_compares(plan):
    assert plan.proof.cost_usd == pytest.approx(18)
    assert plan.without_goals.cost_usd == pytest.approx(4)
    assert plan.on_equal_terms.cost_usd == pytest.approx(10), "as much spot as the plan has, for bulk, and no more"
    report = review_plan(plan)
    answer = report.sections[0]
    assert any(
        "redundancy costs 8.00 USD (+80 %) on equal terms: against 10.00 USD (gap 0.00 %)" in line
        for line in answer.lines
    )
    assert any("without survival goals 4.00 USD: redundancy costs 14.00 USD (+350 %)" in line for line in answer.lines)
    assert answer.data["redundancy_usd"] == pytest.approx(14)
    assert answer.data["redundancy_on_equal_terms_usd"] == pytest.approx(8)
    assert audit(plan).passed


def test_an_order_is_for_goals_where_equal_terms_do_not_ask_for_it(plan):
    """Of 4 machines on demand 2 carry chat in normal operation; against a plan on spot all 4 would be for goals."""
    bought = {order.offer: order for order in orders(plan, problem_of(plan))}
    on_demand = [bought["a/x/m:on_demand"], bought["b/y/m:on_demand"]]
    assert sum(order.units for order in on_demand) == 4
    assert sum(order.units_without_goals for order in on_demand) == 2
    assert bought["a/x/n:spot"].units == bought["a/x/n:spot"].units_without_goals == 2


def test_one_figure_where_the_plan_without_goals_is_on_equal_terms(plan):
    alike = make_plan(on_spot(bought=[offer("a/x/m", 4), offer("b/y/m", 4), offer("a/x/n", 1, "spot")]), EXACT)
    assert alike.on_equal_terms.cost_usd == alike.without_goals.cost_usd == pytest.approx(10)
    lines = [line for line in review_plan(alike).sections[0].lines if "redundancy" in line]
    assert len(lines) == 1 and "8.00 USD (+80 %); on equal terms: that plan" in lines[0]


def test_a_study_without_goals_compares_with_itself():
    plain = make_plan(on_spot(tiers=(Tier(name="t"), Tier(name="none"))), EXACT)
    assert plain.on_equal_terms.cost_usd == plain.without_goals.cost_usd == plain.proof.cost_usd == pytest.approx(4)


def test_plans_of_earlier_versions_stay_readable_and_say_that_it_is_not_known(plan):
    old = sealed(plan.model_copy(update={"on_equal_terms": None}))
    assert "on_equal_terms" not in plan_text(old), "no trace: the digest is that of an earlier version"
    read = PlanFile.model_validate_json(plan_text(old))
    assert audit(read).passed
    assert any("on equal terms: not known" in line for line in review_plan(read).sections[0].lines)


def test_what_counts_in_no_failure_is_not_more_than_the_plan_has(plan):
    equal = plan.on_equal_terms
    hour = plan.purchases[0].when
    forged = equal.model_copy(
        update={"purchases": (*equal.purchases, Purchase(offer="a/x/m:spot", when=hour, units=1))}
    )
    found = audit(sealed(plan.model_copy(update={"on_equal_terms": forged})))
    assert any(v.rule == "on_equal_terms" and "counts in no failure" in v.detail for v in found.violations)


def test_an_interruption_leaves_the_plan(monkeypatch):
    from planner.plan import plan as made

    solve = made.solve

    def interrupted(p, *rest):
        if p.ordered:
            raise KeyboardInterrupt
        return solve(p, *rest)

    monkeypatch.setattr(made, "solve", interrupted)
    found = make_plan(on_spot(), EXACT)
    assert found.on_equal_terms is None and found.proof.cost_usd == pytest.approx(18) and audit(found).passed


def test_the_ladder_says_what_its_first_step_stands_on():
    s = on_spot()
    steps = climb(s, [rung for rung in ladder_steps(s) if rung.own], EXACT)
    text = " ".join(render(review_ladder(s, steps), "text").split())
    assert "no goal, on equal terms with them: 10.00 USD" in text
    assert "6.00 USD are for not standing on it, 8.00 USD for redundancy" in text


@pytest.mark.parametrize("seed", range(0, 40, 4))
def test_equal_terms_lie_between_no_goals_and_the_plan(seed):
    try:
        found = make_plan(random_study(seed), EXACT)
    except NoPlan:
        pytest.skip("no plan")
    costs = [other.cost_usd for other in (found.without_goals, found.on_equal_terms)] + [found.proof.cost_usd]
    assert costs == pytest.approx(sorted(costs))
    assert audit(found).passed
