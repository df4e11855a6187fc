"""No variant is answered with a dearer plan than that of another that holds in it, whatever was found for it first.

Two machines at each of two sites, 2 and 3 USD: 10 USD. Three at each, 15 USD, hold as well.
"""

import pytest
from test_held_plan import with_one_more
from two_sites import changed, patch, two_sites

from planner.plan.audit import audit
from planner.plan.file import read_plan, sealed
from planner.plan.plan import make_plan
from planner.questions import whatif
from planner.questions.held_plan import each_at_its_least
from planner.questions.planned import Planned
from planner.questions.rows import Rows
from planner.questions.variants import variants_of
from planner.questions.whatif import bridges_of, plan_variants
from planner.review.render import render
from planner.review.variants import review_variants
from planner.study.files import write_atomically

LOOSER = "tiers[t].survive[0].serve_fraction"
GOALS = [(patch("all", set={LOOSER: 1.0}), patch("most", set={LOOSER: 0.99}))]


def rows_of(folder):
    """Those of a run of their own."""
    return Rows(folder, lambda text, path: write_atomically(path, text))


def dear_for_most(study, *asked):
    """The plan of a study; where the goal is looser three machines at each site."""
    plan = make_plan(study)
    is_looser = study.tiers[0].survive[0].serve_fraction < 1.0
    return Planned(sealed(with_one_more(study)) if is_looser else plan)


@pytest.fixture
def far_off(monkeypatch):
    """A study as it is at twice the demand: its plan is no plan of what is asked about."""
    monkeypatch.setattr(whatif, "plan_or_why_not", dear_for_most)
    return changed(two_sites(), {"demand": "x2"})


HALF = patch("half", set={"demand": "x0.5"})


def test_a_looser_goal_costs_no_more_than_the_stricter(far_off):
    own, all_, most = plan_variants(far_off, variants_of([HALF], GOALS))
    assert [a.plan.proof.cost_usd for a in (own, all_, most)] == pytest.approx([20, 10, 10])
    assert most.plan.purchases == all_.plan.purchases and most.plan.study != all_.plan.study
    assert audit(most.plan).passed and most.plan.proof.bound_usd <= 10


def test_what_does_not_hold_or_is_asked_at_other_demand_is_not_taken():
    """What survives one site, 4 USD, is no plan of what survives none; nor is one of half the demand."""
    strict = make_plan(two_sites())
    loose = make_plan(changed(two_sites(), {"tiers[t].survive": []}))
    small = make_plan(changed(two_sites(), {"demand": "x0.5"}))
    plans = [strict, loose, small]
    assert each_at_its_least(plans) == plans and loose.proof.cost_usd < strict.proof.cost_usd
    dear = sealed(with_one_more(two_sites()))
    assert [plan.proof.cost_usd for plan in each_at_its_least([dear, strict])] == pytest.approx([10, 10])
    once = each_at_its_least([dear, strict])
    assert each_at_its_least(once) == once


def test_a_question_that_was_ended_goes_on_to_the_same(far_off, tmp_path):
    """Also where it ended in the middle of taking the cheaper plans over."""
    variants, folder = variants_of([HALF], GOALS), tmp_path / "plans"
    answers = plan_variants(far_off, variants, rows=rows_of(folder))
    ended = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert plan_variants(far_off, variants, rows=rows_of(folder)) == answers
    before, last = tmp_path / "before", variants[-1]

    def done(answer):
        if answer.variant == last:
            raise KeyboardInterrupt

    plan_variants(far_off, variants, done=done, rows=rows_of(before))
    (name,) = [path.name for path in before.glob("02-*")]
    assert read_plan(before / name).proof.cost_usd == pytest.approx(15), "as it was found"
    (before / name).write_bytes(ended[name])  # the plan that is taken over, without its row
    assert plan_variants(far_off, variants, rows=rows_of(before)) == answers
    assert {path.name: path.read_bytes() for path in before.iterdir()} == ended


def test_a_folder_that_grew_holds_the_same_as_a_new_one(monkeypatch, tmp_path):
    """`most`, in the middle of its row, is planned for 15 USD, then answered for 10: others start from the 15."""
    started = []

    def seen(study, effort, case, progress, hints, start):
        if study.tiers[0].survive[0].serve_fraction == 0.98:
            started.append(start.file.proof.cost_usd)
        return dear_for_most(study)

    monkeypatch.setattr(whatif, "plan_or_why_not", seen)
    study, least = changed(two_sites(), {"demand": "x2"}), patch("least", set={LOOSER: 0.98})
    longer = variants_of([HALF], [(*GOALS[0], least)])
    grown, new = tmp_path / "grown", tmp_path / "new"
    plan_variants(study, variants_of([HALF], GOALS), rows=rows_of(grown))
    answers = plan_variants(study, longer, rows=rows_of(grown))
    assert plan_variants(study, longer, rows=rows_of(new)) == answers
    assert started == pytest.approx([15, 15])
    bytes_of = {path.name: path.read_bytes() for path in new.iterdir()}
    assert {path.name: path.read_bytes() for path in grown.iterdir()} == bytes_of
    (kept,) = new.glob("02-*.as-planned")
    assert read_plan(kept).proof.cost_usd == pytest.approx(15), "beside the one that it is answered with"
    lines = (grown / "rows.jsonl").read_text().splitlines(keepends=True)
    (grown / "rows.jsonl").write_text("".join(lines[:-1]))  # a row that is gone is planned from the same
    assert plan_variants(study, longer, rows=rows_of(grown)) == answers
    assert started == pytest.approx([15] * 3)
    assert {path.name: path.read_bytes() for path in grown.iterdir()} == bytes_of


def test_a_question_ended_while_it_grows_is_one_of_plans_as_made(far_off, tmp_path):
    """What was taken over goes until all are there, as in a new folder; what was edited meanwhile is written anew."""
    longer = variants_of([HALF], [(*GOALS[0], patch("least", set={LOOSER: 0.98}))])
    ended, new = tmp_path / "ended", tmp_path / "new"
    plan_variants(far_off, variants_of([HALF], GOALS), rows=rows_of(ended))

    def interrupted(answer):
        if answer.variant == longer[1]:
            raise KeyboardInterrupt

    for folder in (ended, new):
        plan_variants(far_off, longer, done=interrupted, rows=rows_of(folder))
        (most,) = folder.glob("02-*")
        assert read_plan(most).proof.cost_usd == pytest.approx(15)
    answers = plan_variants(far_off, longer, rows=rows_of(ended))
    assert plan_variants(far_off, longer, rows=rows_of(new)) == answers
    bytes_of = {path.name: path.read_bytes() for path in new.iterdir()}
    next(new.glob("02-*.json")).write_text("{}")
    assert plan_variants(far_off, longer, rows=rows_of(new)) == answers
    for folder in (ended, new):
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == bytes_of


def test_a_difference_within_the_gaps_says_so():
    """10 and 10.5 USD, at the least 9 each: the second may be the cheaper one."""
    own, other = plan_variants(two_sites(), variants_of((), [GOALS[0][1:]]))
    proof = own.plan.proof.model_copy(update={"bound_usd": 9.0, "gap_fraction": 0.1})
    dearer = proof.model_copy(update={"cost_usd": 10.5})
    answers = [
        whatif.replace(own, plan=own.plan.model_copy(update={"proof": proof})),
        whatif.replace(other, plan=other.plan.model_copy(update={"proof": dearer})),
    ]
    (bridge,) = bridges_of(answers).values()
    assert bridge.within_gaps and bridge.difference_usd == pytest.approx(0.5)
    assert "within the gaps" in render(review_variants(two_sites(), answers), "text")
    assert "within the gaps" not in render(review_variants(two_sites(), [own, other]), "text"), "they cost the same"
