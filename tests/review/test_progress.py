"""Audit and review say how far they are from their first state on, and answer the same with nobody to listen."""

import pytest
from studies import random_study

from planner.emit import cascade
from planner.plan.audit import audit
from planner.plan.in_hand import in_hand
from planner.plan.plan import WITHOUT_GOALS, make_plan
from planner.review.answer import review_plan
from planner.review.render import render
from planner.solve.whole_tests import SETTLING_STATES


@pytest.fixture(scope="module")
def plan():
    return in_hand(make_plan(random_study(3)))


def test_an_audit_says_how_many_states_are_checked(plan):
    said = []
    result = audit(plan, lambda *what: said.append(what))
    assert result == audit(plan)
    assert len(said) == result.states_checked
    assert {stage for stage, _, _ in said} == {"checking the rules"}
    assert [done for _, done, _ in said] == [n / len(said) for n in range(len(said))]


def test_a_review_says_how_far_each_of_its_long_parts_is(plan):
    said = []
    report = review_plan(plan, progress=lambda *what: said.append(what))
    assert render(report, "text") == render(review_plan(plan), "text")
    stages = list(dict.fromkeys(stage for stage, _, _ in said))
    assert stages[:3] == ["checking the rules", "failures under the static files", "looking for what is near"]
    for stage in stages:
        of_stage = [done for name, done, _ in said if name == stage]
        assert of_stage == sorted(of_stage) and of_stage[0] >= 0 and of_stage[-1] < 1


def test_how_soon_a_gateway_finds_a_loss_is_worked_out_once_a_route(plan, monkeypatch):
    asked = []

    def counted(study, route, gateway, own=cascade.loss_seconds):
        asked.append((route.workload, route.origin, gateway))
        return own(study, route, gateway)

    monkeypatch.setattr(cascade, "loss_seconds", counted)
    cascade.cascades_of_plan(plan)
    assert asked and len(asked) == len(set(asked))


def test_a_search_says_where_plan_and_bound_stand_until_it_ends():
    said = []
    make_plan(random_study(3), progress=lambda *what: said.append(what))
    settling = [detail for stage, _, detail in said if stage == SETTLING_STATES]
    assert settling and all("USD, at least " in detail and "gap " in detail for detail in settling)
    without_goals = [detail for stage, _, detail in said if stage == WITHOUT_GOALS]
    assert any("at least " in detail for detail in without_goals)
