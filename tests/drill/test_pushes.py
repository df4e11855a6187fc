"""A push takes time: what a goal is held to, in the check, the plan, the drill and the runbook."""

from functools import cache

import pytest
from gateway_fakes import small_plan, small_study

from planner.drill import drill_plan, drill_state_claims
from planner.emit import envoy, litellm
from planner.emit.moves import moves_of
from planner.emit.routing import subject
from planner.plan.audit import audit
from planner.problem.build import build


@cache
def plan(detection_seconds, push_seconds=0.0):
    return small_plan(load_seconds=20.0, detection_seconds=detection_seconds, push_seconds=push_seconds)


def broken(plan, mode="resolve"):
    return {row.failure for row in drill_plan(plan, mode=mode).rows if row.broken}


def with_push(plan, seconds):
    return plan.model_copy(update={"study": plan.study.model_copy(update={"push_seconds": seconds})})


def test_a_push_counts_like_a_later_detection():
    """Nothing is moved before 2 + 8 s, and what loads for 20 s gets requests at 30 s: as when known at 10 s."""
    pushed, later = plan(2.0, 8.0), plan(10.0)
    assert pushed.states == later.states and pushed.purchases == later.purchases
    assert audit(pushed).violations == () and drill_state_claims(pushed) == () and broken(pushed) == set()


def test_what_a_push_comes_too_late_for_is_not_counted_on():
    """Known at 10 s, loaded at 30 s: with 31 s for a push nothing that is started gets requests within 60 s."""
    assert any(sum(state.cold_started.values()) for state in plan(10.0).states)
    late = plan(10.0, 31.0)
    assert not any(sum(state.cold_started.values()) for state in late.states) and broken(late) == set()


def test_a_goal_that_a_push_comes_too_late_for_is_broken():
    """Known at 10 s, loaded at 30 s: with 31 s for a push requests come at 61 s, and 60 s were promised."""
    assert broken(with_push(plan(10.0), 30.0)) == set()
    assert broken(with_push(plan(10.0), 31.0)) != set()
    assert any("cold-started" in claim for claim in drill_state_claims(with_push(plan(10.0), 31.0)))


def test_gateways_that_rescale_need_no_push():
    made = plan(10.0)
    assert drill_plan(with_push(made, 45.0), mode="rescale").rows == drill_plan(made, mode="rescale").rows
    study = small_study(detection_seconds=10.0, push_seconds=45.0, failover="rescale")
    assert build(study).detection_seconds == study.moved_seconds == 10.0
    assert build(small_study(detection_seconds=10.0, push_seconds=45.0)).detection_seconds == 55.0


def test_starts_leave_room_for_loading_and_for_the_push():
    """By 60 s, less 8 for the push, less 20 for loading; and no sooner than it is known."""
    for made, by in ((plan(2.0, 8.0), 32.0), (plan(2.0, 37.0), 3.0)):
        rows = [row for f in ("site:a/s", "site:b/s") for x in moves_of(subject(made), f).values() for row in x.rows]
        assert {row.begin_by_seconds for row in rows if row.started} == {by}


@pytest.mark.parametrize("target", [envoy, litellm], ids=["envoy", "litellm"])
def test_the_runbook_says_what_a_push_counts_with(target):
    files = target.files(plan(2.0, 8.0), {})
    assert "The plan counts a push with 8 s." in files["cascade.md"]
    head, _, _ = files["RUNBOOK.md"].partition("\n## ")
    assert "counts on 8 s for a push" in head and "known, at 2 s" in head
    files = target.files(plan(10.0), {})
    assert "The plan counts a push with no time" in files["cascade.md"]
    head, _, _ = files["RUNBOOK.md"].partition("\n## ")
    assert "counts on no time for a push" in head


def test_a_study_without_it_is_written_as_before():
    assert (
        "push_seconds" not in plan(10.0).study.model_dump() and plan(2.0, 8.0).study.model_dump()["push_seconds"] == 8
    )
