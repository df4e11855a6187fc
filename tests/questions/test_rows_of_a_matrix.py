"""A matrix is planned from the middle of each row outwards: the same plans wherever and in whatever order they end."""

import pytest
from two_sites import patch, two_sites

from planner.cli.console import emit
from planner.plan.plan import make_plan
from planner.questions import held_plan, whatif
from planner.questions.held_plan import the_cheaper
from planner.questions.rows import Rows
from planner.questions.side_by_side import Workers
from planner.questions.variants import variants_of
from planner.questions.whatif import first_of_rows, plan_variants
from planner.solve.search import Effort

AXES = [
    (patch("d1", set={"demand": "x1.1"}), patch("d2", set={"demand": "x1.6"})),
    tuple(patch(f"p{n}", set={"prices[a/*]": f"x{n}"}) for n in (2, 3, 4)),
]


def test_the_middle_of_a_row_is_planned_first():
    variants = variants_of((), AXES)
    assert [variant.name for variant in variants] == [f"d{d} + p{p}" for d in (1, 2) for p in (2, 3, 4)]
    assert first_of_rows(variants) == {0: 1, 2: 1, 3: 4, 5: 4}
    assert first_of_rows(variants_of((), AXES[:1])) == first_of_rows(variants[:1]) == {}


def test_the_others_of_a_row_start_from_its_plan(monkeypatch):
    original, started = whatif.plan_or_why_not, {}

    def seen(study, effort, case, progress, hints, start):
        started[study.study.partition("what-if ")[2]] = start and start.file
        return original(study, effort, case, progress, hints, start)

    monkeypatch.setattr(whatif, "plan_or_why_not", seen)
    own, *answers = plan_variants(two_sites(), variants_of((), AXES))
    by_name = {answer.variant.name: answer.plan for answer in answers}
    assert started[""] is None
    for row in ("d1", "d2"):
        assert started[f"{row} + p3"] == own.plan
        assert started[f"{row} + p2"] == started[f"{row} + p4"] == by_name[f"{row} + p3"] != own.plan


def test_plans_of_a_matrix_do_not_depend_on_where_they_are_made_or_where_it_ended(tmp_path):
    variants = variants_of((), AXES)
    answers = plan_variants(two_sites(), variants)
    assert plan_variants(two_sites(), variants, workers=Workers(2)) == answers

    def ended(answer):
        if answer.variant.name == "d2 + p3":  # the last of the first round
            raise KeyboardInterrupt

    begun = plan_variants(two_sites(), variants, done=ended, rows=Rows(tmp_path / "plans", emit))
    assert [a.plan is not None for a in begun] == [True, False, True, False, False, True, False]
    assert plan_variants(two_sites(), variants, rows=Rows(tmp_path / "plans", emit)) == answers


def test_a_plan_below_the_bound_is_not_even_audited(monkeypatch):
    """At 1.6 times the demand the plan of the study as it is, 10 USD, costs less than any that serves it."""
    base = make_plan(two_sites())
    more = make_plan(two_sites(demand={("w", "o"): 16.0}), Effort(gap_fraction=0.0))
    assert base.proof.cost_usd == pytest.approx(10) and more.proof.bound_usd == pytest.approx(20)
    monkeypatch.setattr(held_plan, "audit", None)
    assert the_cheaper(base, more) == more
