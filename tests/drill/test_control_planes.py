"""Without its control plane a region goes on as it runs: nothing is started in it, and nothing obtained.

As in `test_drill`: a replica serves 10 requests/s and takes 300 s to load, detection takes 10 s, demand is 100
requests/s of chat from town; b has 10 machines, and runs 4 replicas unless it says otherwise.
"""

from typing import Any

import pytest
from drill_fixtures import at, chat, goal, hold, on_demand, plan, state, study
from drilled import A, row, served, tier

from planner.drill import drill_plan, drill_state_claims
from planner.drill.result import DrillResult
from planner.study.records.study import Dependency, NamedFailure, Needs

OWN, OF_PROVIDER = "control_plane:google/b-region", "control_plane:google"


def drilled(lost: dict[str, float], within: float = 400.0, **changes: Any) -> DrillResult:
    changes = {"holdings": hold(a=10, b=10), "failures": (NamedFailure(name="f", lost=lost),)} | changes
    s = study(tiers=(tier(goal(None, failure="f", within=within)),), **changes)
    return drill_plan(plan(s, {at("a"): 10, at("b"): 4}, chat(a=60, b=40)))


@pytest.mark.parametrize("plane", [OWN, OF_PROVIDER])
def test_nothing_starts_without_a_control_plane(plane: str) -> None:
    # 6 more load at b until 310 s; where its control plane, or its provider's, is down in part they cannot
    assert served(drilled({A: 1.0}), "failure:f", 400.0) == pytest.approx(1.0)
    assert served(drilled({A: 1.0, plane: 0.1}), "failure:f", 400.0) == pytest.approx(0.4)
    assert served(drilled({A: 1.0, "control_plane:aws": 1.0}), "failure:f", 400.0) == pytest.approx(1.0)
    # what runs goes on
    result = drilled({plane: 1.0}, within=60.0)
    assert served(result, "failure:f", 0.0) == served(result, "failure:f", 60.0) == 1.0


def test_nothing_is_obtained_without_a_control_plane() -> None:
    # 4 rented of 16: 6 of the others can be had after 10 + 40 = 50 s, and run 300 s later
    for lost, machines in (({A: 1.0}, 10), ({A: 1.0, OWN: 1.0}, 4)):
        fails = {
            "failures": (NamedFailure(name="f", lost=lost),),
            "tiers": (tier(goal(None, failure="f", within=400)),),
        }
        s = on_demand(obtainable_fraction=0.5, obtain_seconds=40.0).model_copy(update=fails)
        eleven = state(chat(b=100), "failure:f", 400.0, cold_started={at("b"): 7})
        p = plan(s, {at("a"): 10, at("b"): 4}, chat(a=60, b=40), [eleven], purchases={"google/b/m:on_demand": 4})
        late = row(drill_plan(p), "failure:f", 400.0)
        assert (late.served_fraction, late.launched_fraction) == pytest.approx((machines / 10, machines / 10 - 0.4))
        said = f"failure:f at 400 s: machines: google/b/m has 11, at most {machines}"
        assert said in drill_state_claims(p)


def test_goals_ask_for_control_planes_and_claims_know_them() -> None:
    s = study(holdings=hold(a=10, b=10), tiers=(tier(goal("control_plane")),))
    bad = state(chat(a=40, b=60), "control_plane:google", 60.0, cold_started={at("b"): 1})
    p = plan(s, {at("a"): 10, at("b"): 10}, chat(a=60, b=40), [bad])
    lost = {"control_plane:aws", "control_plane:aws/a-region", OF_PROVIDER, OWN}
    assert {r.failure for r in drill_plan(p).rows} == {"normal", *lost} and not drill_plan(p).broken
    said = "control_plane:google at 60 s: cold-started replicas: llm/p@google/b/m has 1, at most 0"
    assert said in drill_state_claims(p)


def test_a_control_plane_may_run_in_a_region_that_it_controls() -> None:
    # AWS's own stands in one region: without it nothing starts in the others
    depends = Dependency(component=OF_PROVIDER, needs=Needs(all_of=(A, "region:google/b-region")))
    assert served(drilled({A: 1.0}, dependencies=(depends,)), "failure:f", 400.0) == pytest.approx(0.4)
