"""A plan that is given is kept in a changed study where it holds and nothing cheaper is found.

Two machines at each of two sites, 2 and 3 USD: 10 USD. At twice the price of the second, 2 x 2 + 2 x 6 = 16 USD.
"""

import pytest
from studies import random_study
from two_sites import changed, patch, two_sites

from planner.errors import NoPlan
from planner.plan.audit import audit
from planner.plan.plan import make_plan
from planner.questions import whatif
from planner.questions.held_plan import the_cheaper
from planner.questions.planned import Planned
from planner.questions.variants import Variant
from planner.questions.whatif import plan_variants
from planner.solve.search import Effort


def with_one_more(asked):
    """A plan of the study that buys what one and a half times the demand needs: a machine more at each site."""
    needs, dearer = make_plan(asked), make_plan(changed(asked, {"demand": "x1.5"}))
    figures = {"cost_usd": dearer.proof.cost_usd, "gap_fraction": 0.4, "status": "gap"}
    proof = needs.proof.model_copy(update=figures)
    return needs.model_copy(update={"purchases": dearer.purchases, "costs_usd": dearer.costs_usd, "proof": proof})


@pytest.mark.parametrize("failover", ["resolve", "rescale"])
def test_a_dearer_plan_gives_way_to_the_one_that_was_given(failover, monkeypatch):
    base = make_plan(two_sites(failover=failover))
    asked = changed(base.study, {"prices[b/*]": "x2"})
    dearer = with_one_more(asked)
    kept = the_cheaper(base, dearer)
    assert kept.study == asked and kept.purchases == base.purchases != dearer.purchases
    assert kept.proof.cost_usd == pytest.approx(16) and audit(kept).passed
    assert kept.proof.bound_usd == dearer.proof.bound_usd == pytest.approx(16) and kept.proof.status == "proven"
    monkeypatch.setattr(whatif, "plan_or_why_not", lambda *args: Planned(dearer))
    _, answer = plan_variants(base.study, [Variant((patch("p", set={"prices[b/*]": "x2"}),))], base=base)
    assert answer.plan == kept


def test_what_no_longer_holds_is_not_kept():
    base = make_plan(two_sites())
    for change in ({"demand": "x2"}, {"offers[b/*].most_units": 1}):
        try:
            again = make_plan(changed(base.study, change))
        except NoPlan:
            continue
        assert the_cheaper(base, again) == again, change
    gone = changed(base.study, remove=["offers[b/*]", "prices[b/*]"], set={"tiers[t].survive": []})
    again = make_plan(gone)
    assert the_cheaper(base, again) == again and the_cheaper(again, base) == base


@pytest.mark.parametrize("failover", ["resolve", "rescale"])
def test_a_variant_never_costs_more_than_the_plan_that_is_given(failover):
    """At other prices the plan as it is holds, at what its parts cost then: no answer is dearer, however hasty."""
    hasty, plans = Effort(gap_fraction=0.9, most_nodes=1, rounds=0), 0
    for seed in range(5):
        asked = random_study(seed).model_copy(update={"failover": failover})
        try:
            base = make_plan(asked, Effort(gap_fraction=0.0))
        except NoPlan:
            continue
        variant = Variant((patch("p", set={"prices[*]": "x1.5"}),))
        _, answer = plan_variants(asked, [variant], hasty, base=base)
        plans += 1
        assert answer.plan is not None and audit(answer.plan).passed
        assert answer.plan.proof.cost_usd <= 1.5 * base.proof.cost_usd * (1 + 1e-9)
    assert plans > 1
