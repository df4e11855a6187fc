"""What is served with what must be obtained in a failure, and beside it without.

As in `test_drill`: a replica serves 10 requests/s and takes 300 s to load, detection takes 10 s, demand is 100
requests/s of chat from town. Site a holds 10 machines; b rents 4 of a market of 16, half of the rest can be had.
"""

import pytest
from drill_fixtures import at, chat, on_demand, plan
from drilled import row

import planner
from planner.drill import DrillResult, drill_plan
from planner.drill.replay import broken_rows
from planner.review.drill import review_drill
from planner.study.records.plan import PlanFile
from planner.study.records.study import NamedFailure

LATE = "provider:aws"


def rented(**counted: float) -> PlanFile:
    s = on_demand(**counted)
    (usd,) = [t.model_copy(update={"outage_usd_per_request": 0.01}) for t in s.tiers]
    failure = NamedFailure(name="f", lost={LATE: 1.0}, hours_to_repair=1.0)
    s = s.model_copy(update={"tiers": (usd,), "failures": (failure,)})
    return plan(s, {at("a"): 10, at("b"): 4}, chat(a=60, b=40), purchases={"google/b/m:on_demand": 4})


def lost(result: DrillResult) -> tuple[float, float | None, float, float | None]:
    (impact,) = result.outage_impacts
    without = impact.requests_lost_without_obtaining, impact.usd_lost_without_obtaining
    return impact.requests_lost, without[0], impact.usd_lost, without[1]


def test_both_are_said_where_they_differ() -> None:
    # 6 machines come after 50 s and run 300 s later: without them 4 replicas serve 40
    p = rented(obtainable_fraction=0.5, obtain_seconds=40.0)
    result = drill_plan(p)
    early, late = row(result, LATE, 60.0), row(result, LATE, 400.0)
    assert (early.served_fraction, early.without_obtaining_fraction) == (pytest.approx(0.4), None)
    assert (late.served_fraction, late.without_obtaining_fraction) == pytest.approx((1.0, 0.4))
    # 60 requests/s are short until 350 s, or until repair; looked at at deadlines alone, until 400 s
    assert lost(drill_plan(p, named=("f",))) == pytest.approx((60 * 350, 60 * 3600, 0.6 * 350, 0.6 * 3600), abs=0.1)
    impacts = {one.failure: one for one in result.outage_impacts}
    assert impacts["provider:google"].requests_lost_without_obtaining is None
    assert impacts[LATE].requests_lost == impacts[LATE].requests_lost_without_obtaining == pytest.approx(60 * 400)
    text = " ".join(planner.render(review_drill(result, ())).split())
    assert "nothing obtained: what is served where no machine can be had in the failure" in text
    assert "400 s provider aws" not in text and " 100 % 40 % " in text


def test_where_they_do_not_differ_nothing_is_said() -> None:
    for mode, counted in (("resolve", {}), ("rescale", {"obtainable_fraction": 0.5})):
        result = drill_plan(rented(**counted), mode)
        assert all(r.without_obtaining_fraction is None for r in result.rows)
        assert all(one.usd_lost_without_obtaining is None for one in result.outage_impacts)
        assert "nothing obtained" not in planner.render(review_drill(result, ()))


def test_who_asks_again_and_again_is_not_told() -> None:
    tight = rented(obtainable_fraction=0.25, obtain_seconds=40.0)
    rows = broken_rows(tight, [("h", LATE)])
    assert rows and all(r.without_obtaining_fraction is None for r in rows)
