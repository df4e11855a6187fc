"""What is answered wrongly before a failure is found out, by hand: said apart, and nothing else moves by it."""

from typing import Any

import pytest
from failing import EXACT, asked
from studies import workload

from planner.emit.cascade import is_unseen
from planner.emit.routing import subject
from planner.plan.plan import make_plan
from planner.review.answer import review_plan
from planner.review.report import Section
from planner.study.records.plan import PlanFile
from planner.study.records.study import Goal, NamedFailure, Tier


def planned(**more: Any) -> PlanFile:
    """8 requests/s of gold and 2 of iron, all at a, of which a quarter is lost: 0.01 and 0.001 USD a request."""
    tiers = (
        Tier(name="gold", outage_usd_per_request=0.01, survive=(Goal(failure="f", within_seconds=60.0),)),
        Tier(name="iron", outage_usd_per_request=0.001),
    )
    failure = NamedFailure(name="f", lost={"site:p/a": 0.25}, **more)
    both = (workload("w", tier="gold"), workload("v", tier="iron"))
    return make_plan(
        asked(failures=(failure,), tiers=tiers, workloads=both, demand={("w", "o"): 8, ("v", "o"): 2}), EXACT
    )


def section_of(plan: PlanFile) -> Section | None:
    return next((s for s in review_plan(plan).sections if s.title == "ANSWERED WRONGLY"), None)


def test_what_is_sent_to_what_is_lost_is_answered_wrongly_until_it_is_found_out():
    section = section_of(planned(answers_wrongly=True, hours_to_find_out=2.0))
    assert section is not None
    rows = [(r.failure, r.tier, r.requests_per_second, r.hours, r.requests, r.usd) for r in section.rows]
    # a quarter of 8 and of 2 requests/s, for 7200 s
    assert rows == [
        ("failure:f", "gold", 2.0, 2.0, 14_400.0, pytest.approx(144.0)),
        ("failure:f", "iron", 0.5, 2.0, 3_600.0, pytest.approx(3.6)),
    ]
    assert "answered wrongly until it was found out" in section.lines[0]


def test_as_long_as_nobody_knows_how_long_it_is_said_by_the_hour():
    section = section_of(planned(answers_wrongly=True))
    assert section is not None
    assert [(r.hours, r.requests) for r in section.rows] == [(None, 7_200.0), (None, 1_800.0)]
    assert [column.written(section.rows[0]) for column in section.columns][3:5] == ["not known", "7,200 each hour"]


def test_nothing_else_moves_by_it_but_that_no_gateway_finds_it():
    plain, wrong = planned(), planned(answers_wrongly=True, hours_to_find_out=2.0)
    assert section_of(plain) is None
    same = ("purchases", "replicas", "states", "costs_usd", "proof")
    assert all(getattr(plain, name) == getattr(wrong, name) for name in same)
    assert [is_unseen(subject(plan), "failure:f") for plan in (plain, wrong)] == [False, True]
