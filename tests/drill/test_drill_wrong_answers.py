"""What a failure answers wrongly until it is found out: said beside what is served and lost, and counted as neither.

As in `test_drill`: a replica serves 10 requests/s and takes 300 s to load, detection takes 10 s, demand is 100
requests/s of chat from town, of which a has 60 and b has 40. Of ten replicas at each site either serves all.
"""

from typing import Any

import pytest
from drill_fixtures import at, chat, goal, hold, model, plan, running, study, workload
from drilled import A, B, served, tier

import planner
from planner.drill import OutageImpact, drill_fleet, drill_plan
from planner.review.drill import review_drill
from planner.study.records.study import Component, Demand, Dependency, NamedFailure, Needs

USD = 0.01


def impact_of(failure: NamedFailure, mode: Any = None, **changes: Any) -> OutageImpact:
    asked = tier(goal(None, failure="f"), outage_usd_per_request=USD)
    s = study(**({"holdings": hold(a=10, b=10), "failures": (failure,), "tiers": (asked,)} | changes))
    (impact,) = drill_plan(plan(s, {at("a"): 10, at("b"): 10}, chat(a=60, b=40)), mode).outage_impacts
    return impact


def wrong(lost: dict[str, float], hours: float | None = 2.0, **more: Any) -> NamedFailure:
    return NamedFailure(name="f", lost=lost, answers_wrongly=True, hours_to_find_out=hours, **more)


@pytest.mark.parametrize("mode", ["resolve", "rescale"])
def test_what_normal_operation_sends_there_is_wrong_until_it_is_found_out(mode: Any) -> None:
    impact = impact_of(wrong({A: 1.0}, hours_to_repair=1.0), mode)
    assert impact.wrong_requests_per_second == {"gold": pytest.approx(60.0)}
    assert impact.wrong_requests == pytest.approx(60 * 7200) and impact.wrong_usd == pytest.approx(USD * 60 * 7200)
    # from then on it is a failure like others: 60 are lost until b has all, at 60 s
    plainly = impact_of(NamedFailure(name="f", lost={A: 1.0}, hours_to_repair=1.0), mode)
    assert impact.requests_lost == plainly.requests_lost and impact.usd_lost == plainly.usd_lost
    assert (plainly.wrong_requests, plainly.wrong_usd, plainly.wrong_requests_per_second) == (0.0, 0.0, {})


def test_an_hour_without_the_tier_is_priced_like_its_requests() -> None:
    """36 USD for an hour of 100 requests/s are 0.0001 USD for each of them."""
    impact = impact_of(wrong({A: 1.0}), tiers=(tier(goal(None, failure="f"), outage_usd_per_hour=36.0),))
    assert impact.wrong_usd == pytest.approx(0.0001 * 60 * 7200)


def test_a_part_is_wrong_in_part_and_maintenance_answers_nothing() -> None:
    half = impact_of(wrong({A: 0.5}, in_maintenance={A: 0.2, B: 1.0}, surge_factor=3.0))
    assert half.wrong_requests_per_second == {"gold": pytest.approx(30.0)}
    assert half.wrong_requests == pytest.approx(30 * 7200)


def test_nobody_knows_for_how_long() -> None:
    impact = impact_of(wrong({A: 1.0}, None))
    assert (impact.wrong_requests, impact.wrong_usd, impact.hours_to_find_out) == (None, None, None)
    assert impact.wrong_requests_per_second == {"gold": pytest.approx(60.0)}
    assert impact_of(wrong({A: 1.0}, 0.0)).wrong_requests == 0.0


def test_a_gateway_answers_all_that_passes_it() -> None:
    gateway = Component(name="g", kind="gateway", most_requests_per_second=500.0)
    needs = Dependency(component="workload:chat", needs=Needs(all_of=("gateway:g",)))
    impact = impact_of(wrong({"gateway:g": 0.25}), components=(gateway,), dependencies=(needs,))
    assert impact.wrong_requests_per_second == {"gold": pytest.approx(25.0)}


def test_each_tier_and_the_placement_on_which_it_falls() -> None:
    # of 20 machines at a 5 answer wrongly, all of them under chat or all of them under code: 5 of its 10 replicas
    s = study(
        holdings=hold(a=20),
        models=(model(), model("coder")),
        workloads=(workload(), workload("code", model="coder", tier="other")),
        demand=tuple(Demand(workload=w, origin="town", requests_per_second=100.0) for w in ("chat", "code")),
        failures=(wrong({A: 0.25}, 1.0, worst_part=True),),
        tiers=(tier(), tier(name="other", outage_usd_per_request=USD)),
    )
    traffic = chat(a=100.0) | {("code", "town", at("a", "coder/p")): 100.0}
    result = drill_plan(plan(s, {at("a"): 10, at("a", "coder/p"): 10}, traffic), named=("f",))
    impacts = {impact.failure: impact for impact in result.outage_impacts}
    on_chat, on_code = (impacts[f"failure:f on {at('a', e)}"] for e in ("llm/p", "coder/p"))
    assert on_chat.wrong_requests_per_second == {"gold": pytest.approx(50.0)}
    assert on_code.wrong_requests_per_second == {"other": pytest.approx(50.0)}
    assert (on_chat.wrong_usd, on_code.wrong_usd) == (0.0, pytest.approx(USD * 50 * 3600))


def test_the_page_says_it_apart() -> None:
    rows = [running("a", 10, 6), running("b", 10, 4)]
    said = []
    for hours in (2.0, None):
        s = study(failures=(wrong({A: 1.0}, hours),), tiers=(tier(outage_usd_per_request=USD),))
        result = drill_fleet(s, rows, named=("f",))
        assert served(result, "failure:f", 60.0) == 1.0
        assert result.as_dict()["outage_impacts"][0]["wrong_requests_per_second"] == {"gold": pytest.approx(60.0)}
        said.append(" ".join(planner.render(review_drill(result, ())).split()))
    known = (
        "failure f: answered wrongly until it was found out: 432,000 requests (gold 60.0 requests/s for 2 h), 4,320 USD"
    )
    assert known in said[0]
    assert (
        "failure f: answered wrongly, 216,000 requests each hour that nobody notices (gold 60.0 requests/s)" in said[1]
    )
