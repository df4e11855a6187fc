"""Failures whose parts work again at different times, replayed stage by stage.

As in `test_drill`: a replica serves 10 requests/s and takes 300 s to load, detection takes 10 s, demand is 100
requests/s of chat from town. A goal of half of it within 60 s unless it says otherwise.
"""

from typing import Any

import pytest
from drill_fixtures import at, chat, goal, hold, on_demand, plan, running, state, study
from drilled import A, B, row, served, tier

from planner.drill import DrillResult, OutageImpact, drill_fleet, drill_plan, drill_state_claims
from planner.questions.ladder import risk_of
from planner.questions.shortfalls import broken_goals
from planner.review.drill import review_drill
from planner.study.records.plan import PlanFile
from planner.study.records.study import Component, Dependency, NamedFailure, Needs

PLANE = "control_plane:google/b-region"
LATER = "failure:f after 0.5 h"


def both_lost(**more: Any) -> NamedFailure:
    """Both sites are lost, a for half an hour, all of it for two."""
    return NamedFailure(
        **({"name": "f", "lost": {A: 1.0, B: 1.0}, "repaired": {A: 0.5}, "hours_to_repair": 2.0} | more)
    )


def as_it_runs(failure: NamedFailure, *goals: Any, a: int = 6, b: int = 4, **changes: Any) -> PlanFile:
    """Of 100 requests/s a has 60 and b has 40; machines are as many as replicas."""
    asked = tier(*(goals or [goal(None, failure="f", fraction=0.0)]), outage_usd_per_request=0.01)
    s = study(**({"holdings": hold(a=a, b=b), "failures": (failure,), "tiers": (asked,)} | changes))
    return plan(s, {at("a"): a, at("b"): 4}, chat(a=60, b=40))


def impact(result: DrillResult) -> OutageImpact:
    (only,) = result.outage_impacts
    return only


@pytest.mark.parametrize("mode", ["resolve", "rescale"])
def test_what_returns_loads_and_then_serves(mode: Any) -> None:
    # a is back at 1,800 s and loaded at 2,100: its 6 replicas serve 60
    result = drill_plan(as_it_runs(both_lost()), mode)
    rows = {(r.failure, r.deadline_seconds): r.served_fraction for r in result.rows if r.failure != "normal"}
    assert rows.pop(("failure:f", 0.0)) == rows["failure:f", 60.0] == 0.0
    assert rows[LATER, 2100.0] == pytest.approx(0.6)
    assert {r.of for r in result.rows if r.failure == LATER} == {"failure:f"}
    # 100 for 2,100 s, 40 for the other 5,100 of two hours
    lost = 100 * 2100 + 40 * 5100
    of_all = impact(result)
    assert (of_all.failure, of_all.until_seconds) == ("failure:f", 7200.0)
    assert (of_all.requests_lost, of_all.usd_lost) == pytest.approx((lost, 0.01 * lost))
    assert of_all.served_last == {"chat": pytest.approx(0.6)} and of_all.served_worst == {"chat": 0.0}
    assert "1 failures and normal operation replayed" in " ".join(
        str(review_drill(result, ()).sections[0].lines[0]).split()
    )


@pytest.mark.parametrize(
    ("within", "fraction", "stage", "uncovered", "short"),
    [
        (2099.0, 0.6, "failure:f", 60.0, 0.0),
        (2100.0, 0.6, LATER, 0.0, 0.0),
        (2100.0, 0.7, LATER, 0.0, 10.0),
        (7000.0, 0.7, LATER, 0.0, 10.0),
    ],
)
def test_a_goal_is_held_in_the_stage_of_its_deadline(
    within: float, fraction: float, stage: str, uncovered: float, short: float
) -> None:
    # before a is back nothing can serve: then what is due is out of reach
    asked = goal(None, failure="f", within=within, fraction=fraction)
    result = drill_plan(as_it_runs(both_lost(), asked))
    due = row(result, stage, within)
    assert (due.due_fraction, due.broken) == (fraction, short > 0)
    assert (due.uncovered_requests_per_second, due.short_requests_per_second) == pytest.approx(
        (uncovered, short), abs=1e-3
    )
    assert {(r.failure, r.deadline_seconds) for r in result.rows} >= {("failure:f", 0.0), (LATER, 2100.0)}
    # asked for one stage, all of them are replayed: what a failure costs is the sum
    assert drill_plan(as_it_runs(both_lost(), asked), only=[LATER]).outage_impacts == result.outage_impacts


def test_where_nothing_died_a_part_returns_at_once_and_what_starts_loads_from_then() -> None:
    # b runs 4 on 10 machines; its control plane is back after 720 s, and 6 replicas run 300 s later
    failure = NamedFailure(name="f", lost={A: 1.0, PLANE: 1.0}, repaired={PLANE: 0.2}, hours_to_repair=1.0)
    for within, share in ((1019.0, 0.4), (1020.0, 1.0)):
        result = drill_plan(as_it_runs(failure, goal(None, failure="f", within=within), b=10))
        assert served(result, "failure:f after 0.2 h", 720.0) == pytest.approx(0.4)
        assert served(result, "failure:f after 0.2 h", within) == pytest.approx(share)
        assert impact(result).requests_lost == pytest.approx(60 * 1020)
        assert impact(result).all_again_seconds == pytest.approx(1020.0)


def test_a_login_returns_at_once() -> None:
    # 0.7 of sessions go on without a login that is back after six minutes; at first 0.6 of them, those at a
    depends = Dependency(
        component="workload:chat",
        needs=Needs(all_of=("identity:login",)),
        breaks="new_logins",
        sessions_go_on_fraction=0.7,
    )
    more = {"components": (Component(name="login", kind="identity"),), "dependencies": (depends,)}
    failure = NamedFailure(name="f", lost={"identity:login": 1.0, B: 1.0}, repaired={"identity:login": 0.1})
    result = drill_plan(as_it_runs(failure, a=10, **more))
    assert served(result, "failure:f") == pytest.approx(0.7)
    assert served(result, "failure:f after 0.1 h", 360.0) == pytest.approx(1.0)
    assert (impact(result).until, impact(result).requests_lost) == ("end of drill", pytest.approx(58 * 60 + 30 * 300))


def test_of_a_part_that_returns_replicas_load_as_well() -> None:
    # half of b's 4 replicas are lost for half an hour: loaded at 2,100 s, not at 1,800
    failure = NamedFailure(name="f", lost={A: 1.0, B: 0.5}, repaired={B: 0.5}, hours_to_repair=1.0)
    result = drill_plan(as_it_runs(failure))
    assert served(result, "failure:f") == pytest.approx(0.2)
    assert served(result, LATER, 2100.0) == pytest.approx(0.4)


def test_several_parts_come_back_in_order_and_the_last_ends_the_failure() -> None:
    # each part says when it is back: b at 360 s, the login at 1,440 s, a at 3,600 s; a and b load for 300 s. Without
    # the login 0.5 go on
    depends = Dependency(
        component="workload:chat",
        needs=Needs(all_of=("identity:login",)),
        breaks="new_logins",
        sessions_go_on_fraction=0.5,
    )
    more = {"components": (Component(name="login", kind="identity"),), "dependencies": (depends,)}
    back = {A: 1.0, B: 0.1, "identity:login": 0.4}
    failure = NamedFailure(name="f", lost=dict.fromkeys(back, 1.0), repaired=back)
    result = drill_plan(as_it_runs(failure, **more), named=("f",))
    stages = [f"failure:f after {hours} h" for hours in ("0.1", "0.4", "1")]
    assert {r.failure for r in result.rows} == {"normal", "failure:f", *stages}
    assert served(result, "failure:f after 0.1 h", 660.0) == pytest.approx(0.4)
    assert served(result, "failure:f after 0.4 h", 1440.0) == pytest.approx(0.4)
    of_all = impact(result)
    assert served(result, "failure:f after 1 h", 3900.0) == pytest.approx(1.0)
    assert (of_all.until, of_all.until_seconds, of_all.all_again_seconds) == ("end of drill", 3900.0, 3900.0)
    assert of_all.requests_lost == pytest.approx(100 * 660 + 60 * (3900 - 660))
    # what is left says when it is back by itself
    own = (Component(name="login", kind="identity", hours_to_repair=2.0),)
    failure = failure.model_copy(update={"repaired": {A: 1.0, B: 0.1}})
    assert impact(drill_plan(as_it_runs(failure, **(more | {"components": own})), named=("f",))).until_seconds == 7200.0
    # where that is sooner than others are back, it is not known when all is: a is still a stage
    soon = (Component(name="login", kind="identity", hours_to_repair=0.2),)
    sooner = drill_plan(as_it_runs(failure, **(more | {"components": soon})), named=("f",))
    assert "failure:f after 1 h" in {r.failure for r in sooner.rows}
    # where all is back before the end, surges go on: 100 · 1.5 on the 10 replicas of both
    surge = NamedFailure(name="f", lost={A: 1.0}, repaired={A: 0.5}, hours_to_repair=1.0, surge_factor=1.5)
    after = row(drill_plan(as_it_runs(surge)), LATER, 2100.0)
    assert after.served_fraction == pytest.approx(100 / 150)
    # what would be loaded after the end of all is no stage
    late = both_lost(repaired={A: 1.95})
    assert {r.failure for r in drill_plan(as_it_runs(late)).rows} == {"normal", "failure:f"}


def test_a_part_that_falls_on_one_placement_stays_there() -> None:
    # half of a falls on one placement for half an hour, b is away for an hour
    failure = NamedFailure(name="f", lost={A: 0.5, B: 1.0}, repaired={B: 0.5}, hours_to_repair=1.0, worst_part=True)
    result = drill_plan(as_it_runs(failure))
    on_a = f"failure:f on {at('a')}"
    assert served(result, on_a) == pytest.approx(0.3)
    later_on_a = f"failure:f after 0.5 h on {at('a')}"
    assert served(result, later_on_a, 2100.0) == pytest.approx(0.7)
    assert row(result, later_on_a, 2100.0).of == impact(result).failure == on_a
    # in part first, and not at all later
    back = failure.model_copy(update={"repaired": {A: 0.5}})
    result = drill_plan(as_it_runs(back))
    assert row(result, LATER, 2100.0).of == on_a and served(result, LATER, 2100.0) == pytest.approx(0.6)
    # a pool that is lost whole first, and in part later
    failure = failure.model_copy(
        update={"lost": {A: 0.5, "region:aws/a-region": 1.0}, "repaired": {"region:aws/a-region": 0.5}}
    )
    result = drill_plan(as_it_runs(failure))
    assert served(result, "failure:f") == pytest.approx(0.4)
    assert row(result, later_on_a, 2100.0).of == "failure:f"
    assert served(result, later_on_a, 2100.0) == pytest.approx(0.7)


def test_machines_are_obtained_once_the_control_plane_is_back() -> None:
    # 6 of the market can be had 40 s after the control plane is back at 360 s, and run 300 s later
    failure = NamedFailure(name="f", lost={A: 1.0, PLANE: 1.0}, repaired={PLANE: 0.1}, hours_to_repair=1.0)
    for within, share in ((699.0, 0.4), (700.0, 1.0)):
        asked = {"failures": (failure,), "tiers": (tier(goal(None, failure="f", within=within)),)}
        s = on_demand(obtainable_fraction=0.5, obtain_seconds=40.0).model_copy(update=asked)
        p = plan(s, {at("a"): 10, at("b"): 4}, chat(a=60, b=40), purchases={"google/b/m:on_demand": 4})
        late = row(drill_plan(p), "failure:f after 0.1 h", within)
        assert (late.served_fraction, late.launched_fraction) == pytest.approx((share, share - 0.4))


def test_weights_are_pushed_once_they_can_be() -> None:
    # b has 10 machines and 4 replicas; without a, by weights alone, these serve 40. From 360 s on the others load
    pushing = Dependency(component="origin:town", needs=Needs(all_of=("deployment:ci",)), breaks="pushing")
    more = {"components": (Component(name="ci", kind="deployment"),), "dependencies": (pushing,)}
    back = {"deployment:ci": 0.1}
    failure = NamedFailure(name="f", lost={A: 1.0, "deployment:ci": 1.0}, repaired=back, hours_to_repair=1.0)
    result = drill_plan(as_it_runs(failure, b=10, **more))
    assert (result.mode, result.rescaled) == ("mixed", ("failure:f",))
    assert served(result, "failure:f after 0.1 h", 360.0) == pytest.approx(0.4)
    assert served(result, "failure:f after 0.1 h", 660.0) == pytest.approx(1.0)
    assert impact(result).requests_lost == pytest.approx(60 * 660)


def test_a_failure_says_itself_when_weights_can_be_pushed_again() -> None:
    # as above, where nothing that works again says so
    failure = NamedFailure(name="f", lost={A: 1.0}, failover="rescale", hours_to_new_weights=0.1, hours_to_repair=1.0)
    result = drill_plan(as_it_runs(failure, b=10))
    assert (result.mode, result.rescaled) == ("mixed", ("failure:f",))
    assert served(result, "failure:f after 0.1 h", 360.0) == pytest.approx(0.4)
    assert served(result, "failure:f after 0.1 h", 660.0) == pytest.approx(1.0)
    assert impact(result).requests_lost == pytest.approx(60 * 660)


def test_claims_are_judged_by_stage() -> None:
    # 60 of 100 on a: right from 2,100 s on, said of a later stage; what no goal asks for a plan need not say
    asked = goal(None, failure="f", within=3000.0, fraction=0.6)
    p = as_it_runs(both_lost(repaired={A: 0.5, B: 1.0}), asked)
    none = state({}, "failure:f", 10.0, shed={"chat": {"town": 100.0}})
    right = state(chat(a=60), LATER, 3000.0, shed={"chat": {"town": 40.0}})
    assert drill_state_claims(p.model_copy(update={"states": (*p.states, none, right)})) == ()
    early = state(chat(a=60), "failure:f", 2000.0, shed={"chat": {"town": 40.0}})
    said = drill_state_claims(p.model_copy(update={"states": (*p.states, none, right, early)}))
    assert any(text.startswith("failure:f at 2000 s: chat from town on llm/p@aws/a/m: dead") for text in said)


def test_a_fleet_is_replayed_in_stages() -> None:
    s = study(failures=(both_lost(),))
    result = drill_fleet(s, [running("a", 6, 60), running("b", 4, 40)], named=("f",))
    assert served(result, LATER, 2100.0) == pytest.approx(0.6)


def test_a_goal_that_breaks_in_a_later_stage_is_named() -> None:
    asked = goal(None, failure="f", within=3000.0, fraction=0.7)
    p = as_it_runs(both_lost(), asked)
    (broken,) = broken_goals(p.study, drill_plan(p))
    assert (broken.goal, broken.failures, broken.served_fraction) == (asked, (LATER,), pytest.approx(0.6))
    risk = risk_of(p.study, drill_plan(p))
    assert (risk.failures, risk.not_survived) == (1, 1) and risk.worst == "failure:f"
