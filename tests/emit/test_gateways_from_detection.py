"""From the study's detection time to what stands in the files: by hand, and the promises that follow."""

import json
import math
from functools import cache

import pytest
from gateway_fakes import small_plan
from typer.testing import CliRunner

from planner.emit import envoy, litellm
from planner.emit.behaviour import envoy_while_finding, retry_percent
from planner.emit.cascade import TOO_LATE, cascades_of_plan, later_than_planned, warnings_of_files
from planner.emit.common import given
from planner.emit.detection import (
    CUT,
    PAUSED,
    SILENT,
    SLOW,
    allowed_fails,
    detections,
    envoy_seconds,
    litellm_seconds,
    probe_interval_seconds,
    probe_seconds,
    step_seconds,
)
from planner.emit.routing import Entry, Route
from planner.emit.text import yaml_data
from planner.errors import InputError
from planner.plan.in_hand import in_hand
from planner.review.static import static_section
from planner.study.records.study import Goal, Tier

GOAL = Goal(any="site", serve_fraction=1.0, within_seconds=60.0)


@cache
def plan_for(detection_seconds, first_token_ms=300.0, within_seconds=60.0, requests_per_second=50.0):
    goal = GOAL.model_copy(update={"within_seconds": within_seconds})
    tiers = (Tier(name="t", first_token_ms=first_token_ms, survive=(goal,)),)
    demand = {("chat", "o1"): requests_per_second, ("chat", "o2"): 10.0, ("long", "o1"): 3.0, ("long", "o2"): 1.0}
    return small_plan(tiers=tiers, detection_seconds=detection_seconds, demand=demand)


def envoy_parts(plan, **options):
    files = envoy.files(plan, options)
    data = yaml_data(files["origins/o1/envoy.yaml"])["static_resources"]
    clusters = yaml_data(files["origins/o1/clusters.yaml"])["resources"]
    (manager,) = data["listeners"][0]["filter_chains"][0]["filters"]
    routes = manager["typed_config"]["route_config"]["virtual_hosts"][0]["routes"]
    of_chat = [r for r in routes if r["match"]["prefix"] == "/chat/"]
    return next(c for c in clusters if c["name"] == "chat"), of_chat


def litellm_parts(plan, **options):
    data = yaml_data(litellm.files(plan, options)["origins/o1/config.yaml"])
    return data, [row for row in data["model_list"] if row["model_name"] == "chat"]


# ------------------------------------------------------------------ by hand
def test_ten_seconds_become_these_settings():
    """D = 10: checks every 2 s for 2 s, twice; a stream may pause for 5 s; LiteLLM probes for 2.5 s, every 4."""
    cluster, (streamed, other) = envoy_parts(plan_for(10.0))
    (check,) = cluster["health_checks"]
    assert (check["interval"], check["timeout"], check["no_traffic_interval"]) == ("2s", "2s", "2s")
    assert (check["unhealthy_threshold"], check["healthy_threshold"]) == (2, 2)
    outliers = cluster["outlier_detection"]
    assert (outliers["interval"], outliers["base_ejection_time"], outliers["max_ejection_time"]) == ("2s", "30s", "30s")
    assert outliers["successful_active_health_check_uneject_host"] is False
    assert outliers["failure_percentage_threshold"] < 50 and outliers["failure_percentage_minimum_hosts"] == 1
    assert outliers["enforcing_failure_percentage"] == 100
    policy = streamed["route"]["retry_policy"]
    assert policy["per_try_idle_timeout"] == "5s" and "per_try_timeout" not in policy
    assert {"5xx", "reset", "retriable-status-codes"} <= set(policy["retry_on"].split(","))
    assert policy["retriable_status_codes"] == [429]
    assert streamed["match"]["dynamic_metadata"][0]["value"] == {"bool_match": True}
    assert other["route"]["retry_policy"]["per_try_idle_timeout"] == "10s" and "dynamic_metadata" not in other["match"]
    data, rows = litellm_parts(plan_for(10.0))
    general = data["general_settings"]
    assert general["health_check_interval"] == 4 and general["background_health_checks"] is True
    assert general["enable_health_check_routing"] is True and general["master_key"] == "os.environ/LITELLM_MASTER_KEY"
    for row in rows:
        assert (row["litellm_params"]["stream_timeout"], row["litellm_params"]["timeout"]) == (5.0, 10.0)
        assert (row["model_info"]["health_check_timeout"], row["model_info"]["cooldown_time"]) == (2.5, 30)
        policy = row["model_info"]["allowed_fails_policy"]
        assert policy["RateLimitErrorAllowedFails"] > 1e6  # a 429 never cools down
        assert policy["TimeoutErrorAllowedFails"] == policy["InternalServerErrorAllowedFails"] < 1e3
    # a policy of the router itself would switch the health filter off
    assert "allowed_fails_policy" not in data["router_settings"]


def test_other_times_become_other_settings():
    texts = {d: envoy.files(plan_for(d), {})["origins/o1/envoy.yaml"] for d in (1.0, 10.0, 55.0)}
    assert len(set(texts.values())) == 3
    texts = {d: litellm.files(plan_for(d), {})["origins/o1/config.yaml"] for d in (1.0, 10.0, 55.0)}
    assert len(set(texts.values())) == 3


@pytest.mark.parametrize("detection_seconds", [1.0, 2.0, 7.5, 10.0, 60.0, 600.0])
def test_every_worst_case_is_within_the_time_but_for_stated_floors(detection_seconds):
    wait = detection_seconds / 2
    by_envoy = envoy_seconds(detection_seconds, wait, 1e9)
    assert max(streamed for streamed, _ in by_envoy.values()) <= detection_seconds
    assert by_envoy[SILENT][1] <= detection_seconds  # health checks do not ask how a client wants its answer
    step = step_seconds(detection_seconds)
    assert by_envoy[SILENT] == pytest.approx((4 * step, 4 * step)) and by_envoy[PAUSED][0] == wait + 2 * step
    by_litellm = litellm_seconds(detection_seconds, wait, 1e9)
    probed = probe_interval_seconds(detection_seconds) + 2 * probe_seconds(detection_seconds)
    assert by_litellm[SILENT] == (min(wait + step, probed), probed) and by_litellm[CUT][0] == math.inf
    assert probed <= detection_seconds or detection_seconds < 2  # whole seconds, and half a second for a probe


def test_what_is_tolerated_is_passed_in_time():
    """Beyond 10 requests in D, the failures that LiteLLM tolerates and one more come within a fifth of D."""
    for d in (1.0, 10.0, 55.0):
        for rate in (10 / d, 20 / d, 7.0, 450.0):
            if rate * d >= 10:
                assert (allowed_fails(d, rate) + 1) / rate <= step_seconds(d) + 1e-9


def test_a_slow_first_token_makes_a_gateway_later_and_it_says_so():
    """Within 8 s a healthy placement may begin to answer, so nothing can be told earlier: 8 + 2 s, 8 + 4 s of 10."""
    plan = plan_for(10.0, first_token_ms=8000.0)
    made = given(plan, {}, envoy.OPTIONS)
    found = {x.fault: x for x in detections(plan.study, made.table, "envoy")}
    assert found[SLOW].streamed_seconds == 10.0 and found[PAUSED].streamed_seconds == 12.0
    said = later_than_planned(tuple(found.values()))
    assert any(PAUSED in text and "out after 12.0 s, 2.0 s later" in text for text in said)
    files = envoy.files(plan, {})
    assert said == warnings_of_files(files) == json.loads(files["cascade.json"])["later_than_planned"]
    assert "| pauses within an answer | 12.0 s |" in files["cascade.md"]
    # and what is never out is null in JSON, never in words
    by_litellm = json.loads(litellm.files(plan, {})["cascade.json"])["detection"]
    (cut,) = [x for x in by_litellm if x["fault"] == CUT]
    assert cut["streamed_seconds"] is None and cut["later_seconds"] is None


# ------------------------------------------------------------------ goals that break because of it
def test_a_goal_with_a_deadline_before_the_gateway_has_found_out_is_broken():
    """D = 0.1 s and a goal at 0.5 s: Envoy has a lost site out after 0.8 s, LiteLLM after 2 s. At 60 s both have."""
    soon = plan_for(0.1, within_seconds=0.5)
    for gateway, seconds in (("envoy", 0.8), ("litellm", 2.0)):
        lost = [x for x in cascades_of_plan(soon) if x.gateway == gateway and x.failure.startswith("site:")]
        assert {round(x.found_seconds, 6) for x in lost if x.found_seconds is not None} == {seconds}
        late = [x for x in lost if x.verdict == TOO_LATE]
        assert late and all(x.meanwhile.deadline_seconds == 0.5 for x in late)
    assert "are found too late by it" in static_section(in_hand(soon)).lines[0]
    later = cascades_of_plan(plan_for(0.1))
    assert all(x.verdict != TOO_LATE for x in later)


# ------------------------------------------------------------------ retries and breakers
def entry(name, share, limit):
    return Entry(name, name, round(share * 10_000), share, limit, False)


WORKED = Route("chat", "o", "chat", 100.0, ((entry("a", 0.75, 90.0), entry("b", 0.25, 35.0)), (entry("c", 1.0, 60.0),)))


def test_retries_fill_the_others_of_a_level_until_it_is_found_out():
    """a is dead: its 75 are tried again at b, which has 35, beside its own 25: the headroom is 85 %."""
    assert retry_percent(WORKED) == 85
    assert envoy_while_finding(WORKED, {"b", "c"}, 100.0) == pytest.approx({"b": 100.0})
    assert envoy_while_finding(WORKED, {"a", "b", "c"}, 100.0) == pytest.approx({"a": 75.0, "b": 25.0})
    assert envoy_while_finding(WORKED, {"c"}, 100.0) == pytest.approx({"c": 85.0})  # no more than the budget


def test_the_cascade_counts_retries():
    plan = plan_for(10.0)
    outcomes = [x for x in cascades_of_plan(plan) if x.failure.startswith("site:")]
    assert any(x.overfull_while_finding for x in outcomes if x.gateway == "envoy")
    assert not any(x.overfull_while_finding for x in outcomes if x.gateway == "litellm")  # its limits count retries


def test_breakers_hold_limits_what_hangs_and_are_shared_by_the_gateways_of_an_origin():
    plan = plan_for(10.0)
    one, two = (envoy_parts(plan, gateway_replicas=n)[0]["circuit_breakers"]["thresholds"][0] for n in ("1", "2"))
    made = given(plan, {}, envoy.OPTIONS)
    route = next(r for r in made.table.routes if (r.workload, r.origin) == ("chat", "o1"))
    held = 9.0 * route.requests_per_second  # hanging until the last fault of streams is out
    for x in route.entries:
        seconds = made.of.problem.replica_seconds["chat", x.placement]
        held += x.limit_requests_per_second * seconds * made.profiles[x.placement].concurrency_limit
    assert one["max_requests"] == math.ceil(held + 4 * math.sqrt(held))
    assert two["max_requests"] == math.ceil(held / 2 + 4 * math.sqrt(held / 2))
    assert one["retry_budget"]["budget_percent"]["value"] == retry_percent(route)
    _, rows = litellm_parts(plan)
    _, halves = litellm_parts(plan, gateway_replicas="2")
    for whole, half in zip(rows, halves, strict=True):
        assert half["litellm_params"]["rpm"] == pytest.approx(whole["litellm_params"]["rpm"] / 2, abs=1)
        assert "tpm" not in half["litellm_params"]  # nothing that spills reads it


@pytest.mark.parametrize("target", [envoy, litellm])
@pytest.mark.parametrize("replicas", ["0", "1.5", "", "-1"])
def test_replicas_of_a_gateway_are_a_whole_number(target, replicas):
    with pytest.raises(InputError) as caught:
        target.files(plan_for(10.0), {"gateway_replicas": replicas})
    assert caught.value.findings[0].where == "option gateway_replicas"


def test_the_only_deployment_of_a_group_is_not_cooled_down():
    """With nowhere else to go a cooldown would refuse what the deployment may still serve."""
    plan = plan_for(10.0, requests_per_second=2.0)
    made = given(plan, {}, litellm.OPTIONS)
    for route in made.table.routes:
        for x in route.entries:
            policy = litellm._breaker(made, route, x)["allowed_fails_policy"]
            assert ("TimeoutErrorAllowedFails" in policy) == (len(route.entries) > 1)


def test_emit_says_on_stderr_what_is_later(tmp_path):
    from planner.cli.main import app
    from planner.plan.file import plan_text

    path = tmp_path / "plan.json"
    path.write_text(plan_text(plan_for(10.0, first_token_ms=8000.0)))
    done = CliRunner().invoke(app, ["emit", "envoy", str(path), "--out", str(tmp_path / "out"), "--even-if-unproven"])
    assert done.exit_code == 0, done.output
    assert "warning:" in done.stderr and "2.0 s later than the plan counts on" in done.stderr.replace("\n", " ")
