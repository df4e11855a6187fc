"""Which plans of a comparison are proven is judged by what the question asked for, not by what their makers did."""

import pytest
from studies import random_study

from planner.plan.plan import make_plan
from planner.questions.answer import Answer
from planner.questions.patches import Patch
from planner.questions.variants import AS_IT_IS, Variant
from planner.review.variants import not_proven, review_variants


@pytest.fixture(scope="module")
def plan():
    return make_plan(random_study(1))


def answer(plan, gap: float, asked: float, status: str) -> Answer:
    proof = plan.proof.model_copy(update={"gap_fraction": gap, "gap_asked_fraction": asked, "status": status})
    return Answer(Variant(()), plan.model_copy(update={"proof": proof}))


@pytest.mark.parametrize(
    ("gap", "made_for", "status", "asked", "says"),
    [
        (0.008, 0.01, "proven", 0.01, ""),
        (0.008, 0.01, "proven", 0.005, "gap 0.80 %, 0.50 % was asked"),
        (0.008, 0.001, "gap", 0.01, ""),
        (0.03, 0.001, "stopped", 0.01, "gap 3.00 %, 1.00 % was asked, its search was ended"),
        (0.008, 0.001, "gap", None, "gap 0.80 %, 0.10 % was asked"),
    ],
)
def test_a_plan_is_held_to_what_the_question_asks_for(plan, gap, made_for, status, asked, says):
    answers = [answer(plan, gap, made_for, status)]
    name = AS_IT_IS
    assert not_proven(answers, asked) == ({name: f"{name} ({says})"} if says else {})
    report = review_variants(plan.study, answers, gap_asked_fraction=asked)
    lines = [line for line in report.sections[0].lines if "NOT PROVEN" in line]
    assert lines == ([f"NOT PROVEN to the gap that was asked: {name} ({says})"] if says else [])
    assert report.sections[0].data["not_proven"] == ([name] if says else [])


def test_what_may_be_cheapest_within_the_gaps_is_named(plan):
    """The cheapest costs 100 at least 90; of 105 at least 95, and of 120 at least 101: only the first may be below."""
    variants = {"near": (100.0, 90.0), "also near": (105.0, 95.0), "far": (120.0, 101.0)}
    answers = []
    for name, (cost_usd, bound_usd) in variants.items():
        proof = plan.proof.model_copy(update={"cost_usd": cost_usd, "bound_usd": bound_usd})
        patch = Patch(name, "", ())
        answers.append(Answer(Variant((patch,)), plan.model_copy(update={"proof": proof})))
    lines = review_variants(plan.study, answers).sections[0].lines
    cheapest, dearest = (next(line for line in lines if line.startswith(word)) for word in ("cheapest", "dearest"))
    assert cheapest.startswith("cheapest: near, ")
    assert cheapest.endswith("; within the gaps it may be: also near")
    assert dearest.startswith("dearest: far, ")
    assert dearest.endswith("; within the gaps it may be: also near")
