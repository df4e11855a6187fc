"""What follows from a similar plan without a search: its bound where nothing gets cheaper, states where nothing moves.

Two machines at each of two sites, 2 and 3 USD: 10 USD.
"""

from dataclasses import fields, replace

import pytest
from studies import random_study
from two_sites import changed, two_sites

from planner.errors import NoPlan
from planner.plan.audit import audit
from planner.plan.file import sealed
from planner.plan.plan import make_plan
from planner.problem.build import build
from planner.problem.problem import Problem, SpendYear
from planner.solve import search
from planner.solve.program import INFINITY
from planner.solve.search import Effort
from planner.solve.similar_plan import OF_FAILURES, OF_PURCHASES_ALONE, PRICES, SimilarProblem, bound_that_holds_usd
from planner.solve.whole_plan import WholePlan
from planner.solve.whole_tests import WholeTests
from planner.study.records.study import Goal

PAIR = Goal(any="site", of=2, serve_fraction=0.0, within_seconds=60.0)


def with_goal(asked, goal):
    tier = asked.tiers[0]
    return asked.model_copy(update={"tiers": (tier.model_copy(update={"survive": (*tier.survive, goal)}),)})


def carried(asked, before):
    return bound_that_holds_usd(build(asked), SimilarProblem(build(before), 10.0))


def test_a_bound_holds_where_nothing_gets_cheaper():
    asked = two_sites()
    dearer, harder = changed(asked, {"prices[b/*]": "x1.5"}), with_goal(asked, PAIR)
    assert [carried(other, asked) for other in (asked, dearer, harder)] == [10.0] * 3
    assert [carried(asked, other) for other in (dearer, harder)] == [-INFINITY] * 2, "the other way round it does not"
    for what in ({"demand": "x1.1"}, {"demand": "x0.9"}, {"tiers[t].survive[0].serve_fraction": 0.5}):
        assert carried(changed(asked, what), asked) == -INFINITY, what
    one_up, one_down = {"prices[a/*]": "x1.5"}, {"prices[b/*]": "x0.9"}
    assert carried(changed(asked, one_up, one_down), asked) == -INFINITY


def test_spend_that_is_committed_is_paid_at_any_price():
    """At higher prices less of it is missing: it may cost no more."""
    p = build(two_sites())
    year = SpendYear("c", 1, 100.0, p.offers, p.periods, 1.0)
    before = replace(p, spend_years=(year,))
    dearer = replace(before, price_usd_per_machine_hour=dict.fromkeys(p.offers, 9.0))
    assert bound_that_holds_usd(dearer, SimilarProblem(before, 10.0)) == -INFINITY
    assert bound_that_holds_usd(before, SimilarProblem(before, 10.0)) == 10.0


def test_whatever_else_is_said_of_a_problem_must_be_the_same():
    """A field that comes later is compared, too; what may differ is a field."""
    assert {*OF_FAILURES, *PRICES, *OF_PURCHASES_ALONE} <= {each.name for each in fields(Problem)}
    p = build(two_sites())
    for other in (replace(p, utilisation_normal=0.5), replace(p, most_units=dict.fromkeys(p.offers, 3.0))):
        assert bound_that_holds_usd(other, SimilarProblem(p, 10.0)) == -INFINITY


@pytest.mark.parametrize("seed", range(3))
def test_no_plan_costs_less_than_a_bound_that_holds(seed):
    """At gap 0 what costs 1.2 times as much for one offer costs at least what it did."""
    asked, exact = random_study(seed, "small"), Effort(gap_fraction=0.0)
    offer = asked.offers[seed % len(asked.offers)].id
    dearer = changed(asked, {f"prices[{offer}]": "x1.2"})
    bound = bound_that_holds_usd(build(dearer), SimilarProblem(build(asked), 1.0))
    assert bound == (-INFINITY if asked.spend_commitments else 1.0)
    try:
        before, after = make_plan(asked, exact), make_plan(dearer, exact)
    except NoPlan:
        return
    assert after.proof.cost_usd >= before.proof.bound_usd * (1 - 1e-6)


def test_a_plan_that_a_known_bound_proves_is_not_searched_for(monkeypatch):
    """One goal more that nothing has to be bought for: no integer search but that of the plan itself."""
    base, labels, original = make_plan(two_sites()), [], WholePlan._solve

    def counted(self, label, *args, **more):
        labels.append(label)
        return original(self, label, *args, **more)

    monkeypatch.setattr(WholePlan, "_solve", counted)
    monkeypatch.setattr("planner.solve.solve.relax", lambda search, start: 0.0)  # a linear program that says nothing
    plan = make_plan(with_goal(base.study, PAIR), start=base)
    assert set(labels) <= {"the similar plan", "dropping what nothing needs"}
    assert plan.proof.status == "proven" and plan.proof.bound_usd == pytest.approx(10)


def test_a_plan_of_another_version_lends_no_bound(monkeypatch):
    """Nor does one whose file was changed after it was sealed."""
    base = make_plan(two_sites())
    edited = base.model_copy(update={"proof": base.proof.model_copy(update={"bound_usd": 9.9, "cost_usd": 10.0})})
    false = sealed(edited)
    seen, original = [], search.Search.check_time

    def looked(self):
        seen.append(self.bound)
        return original(self)

    monkeypatch.setattr(search.Search, "check_time", looked)
    make_plan(base.study, start=sealed(false.model_copy(update={"planner_version": "0.0.1"})))
    make_plan(base.study, start=edited)
    assert seen and 9.9 not in seen
    seen.clear()
    monkeypatch.setattr("planner.solve.solve.relax", lambda search, start: 0.0)
    make_plan(base.study, Effort(gap_fraction=0.0), start=false)
    assert 9.9 in seen


def test_states_stay_where_nothing_they_depend_on_has_changed(monkeypatch):
    settled, original = [], WholeTests._settle

    def counted(self, f, h, *args):
        settled.append(f)
        return original(self, f, h, *args)

    base = make_plan(two_sites())
    monkeypatch.setattr(WholeTests, "_settle", counted)
    dearer = make_plan(changed(base.study, {"prices[b/*]": "x1.1"}), start=base)
    assert not settled and dearer.states == base.states and audit(dearer).passed
    one_more = make_plan(with_goal(base.study, PAIR), start=base)
    assert set(settled) == {"site:a/x + site:b/y"} and audit(one_more).passed
    settled.clear()
    more = make_plan(changed(base.study, {"demand": "x1.01"}), start=base)
    assert set(settled) == {"site:a/x", "site:b/y"} and audit(more).passed
