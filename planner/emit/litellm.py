"""LiteLLM: one config.yaml a gateway, that is, an origin.

Levels are `order`; limits are `rpm`, which the pre-call checks hold; context classes are model groups of
their own with `max_input_tokens`; placements that only the longer round trip of a failure reaches stand in a group of
their own, behind `fallbacks`. Names in the files are slugs; routing.json says what they stand for.
"""

from collections.abc import Mapping
from typing import Any

from planner.emit.common import GatewayFile, Given, gateway_files, given
from planner.emit.detection import (
    allowed_fails,
    expected_requests_per_second,
    probe_interval_seconds,
    probe_seconds,
    waits_of,
)
from planner.emit.lint import Rows, lint_litellm
from planner.emit.names import slug
from planner.emit.options import secret_name
from planner.emit.pushing import litellm_pushing
from planner.emit.routing import Entry, Route
from planner.errors import Finding
from planner.plan.in_hand import Plan
from planner.study.records.plan import PlanFile

OPTIONS: Mapping[str, str] = {
    "endpoint": "",
    "endpoints": "",
    "limits": "goals",
    "cooldown_seconds": "30",
    "timeout_seconds": "0",
    "gateway_replicas": "1",
}
SECONDS_PER_MINUTE = 60
RETRIES = 2
ALLOWED_FAILS = 1
NEVER = 1_000_000_000
"""More refusals than a deployment gives within a cooldown: one that is full is no failure."""
COUNTED_FAILURES = (
    "TimeoutErrorAllowedFails",
    "InternalServerErrorAllowedFails",
    "ServiceUnavailableErrorAllowedFails",
    "BadGatewayErrorAllowedFails",
)
PROBE_TOKENS = 1
NOWHERE = "http://127.0.0.1:9/v1"
"""Never asked: LiteLLM gives the answer itself."""
MASTER_KEY = "os.environ/LITELLM_MASTER_KEY"
BEYOND = "beyond-reach"
COMMENTS = (
    "LiteLLM gateway of one origin. Rates are requests per minute at the peak, rounded down: at most 1/60",
    "request/s below the limit. Weights add up to 10000 a level; rounding is at most 1 of them.",
    "Hour of the plan: the one with the largest total traffic, of {hours}.",
    "For LiteLLM 1.106.2: the router of 1.110.2 does not hold rpm by pre-call checks.",
    "Limits are counted in each process: run one worker, or give all of them one Redis.",
    "The proxy wants a master key: it is read from the environment, LITELLM_MASTER_KEY, and not here.",
    "Probes are the proxy's: a Router in a program of one's own makes none.",
    "A request that fails after a part of its answer may be run twice.",
)


def files(plan: PlanFile | Plan, options: Mapping[str, str]) -> dict[str, str]:
    """Files of the LiteLLM gateways of a plan: path -> text.

    Parameters
    ----------
    options : endpoint (template of the addresses), endpoints (JSON, placement: address), limits (goals or always),
        cooldown_seconds, timeout_seconds, gateway_replicas

    Raises
    ------
    InputError
        for every option that does not fit, and every entry that the plan does not bear out
    """
    made = given(plan, options, OPTIONS)
    parts = (GatewayFile("config.yaml", config, COMMENTS, _lint, is_pushed=True),)
    return gateway_files(made, "litellm", parts, litellm_pushing(made.of.plan.study))


def _lint(made: Given, origin: str, path: str, data: Any) -> list[Finding]:
    return lint_litellm(path, expected(made, origin), data)


def group_of(route: Route, beyond: bool = False) -> str:
    """Name of the model group that clients ask for; `beyond`: of the group behind `fallbacks`, which holds what only
    the round trip allowed in a failure reaches."""
    return slug(f"{route.workload} {BEYOND}") if beyond else slug(route.workload)


def config(made: Given, origin: str) -> dict[str, Any]:
    """The configuration of one gateway as data."""
    routes = made.table.of_origin(origin)
    models, fallbacks = [], []
    for route in routes:
        for order, level in enumerate(route.levels, 1):
            models += [_deployment(made, route, order, entry) for entry in level]
        if not route.entries:
            models.append(_refusing(made, route))
        if any(entry.beyond_normal_reach for entry in route.entries):
            fallbacks.append({group_of(route): [group_of(route, beyond=True)]})
    detection = made.of.plan.study.detection_seconds
    return {
        "model_list": models,
        "general_settings": {
            "master_key": MASTER_KEY,
            "background_health_checks": True,
            "enable_health_check_routing": True,
            "health_check_interval": probe_interval_seconds(detection),
        },
        "router_settings": {
            "routing_strategy": "simple-shuffle",
            "enable_pre_call_checks": True,
            "num_retries": RETRIES,
            "enable_weighted_failover": True,
            "allowed_fails": ALLOWED_FAILS,
            "cooldown_time": made.integers["cooldown_seconds"],
            "fallbacks": fallbacks,
            "context_window_fallbacks": context_window_fallbacks(made, routes),
        },
    }


def _deployment(made: Given, route: Route, order: int, entry: Entry) -> dict[str, Any]:
    p, e = made.of.problem, entry.placement
    study = made.of.plan.study
    workload = made.workloads[route.workload]
    provider = p.provider_of[p.pool_of[e]]
    stream_wait, whole_wait = waits_of(study, route, made.profiles)
    longest = made.integers["timeout_seconds"] or whole_wait
    return {
        "model_name": group_of(route, entry.beyond_normal_reach),
        "litellm_params": {
            "model": f"openai/{workload.model}",
            "api_base": made.endpoints[e].url,
            "api_key": f"os.environ/{secret_name(provider)}",
            "order": order,
            "weight": entry.weight,
            "rpm": rpm_of(entry, made.integers["gateway_replicas"]),
            "timeout": round(longest, 3),
            "stream_timeout": round(stream_wait, 3),
        },
        "model_info": {
            "id": deployment_id(route, entry),
            "set": made.set_id,  # means nothing to LiteLLM; /model/info tells it
            "max_input_tokens": most_input_tokens(made, route.workload, e),
            # beside the router's own, so that a header Retry-After does not shorten it
            "cooldown_time": made.integers["cooldown_seconds"],
            **_breaker(made, route, entry),
            "health_check_timeout": probe_seconds(study.detection_seconds),
            "health_check_max_tokens": PROBE_TOKENS,
        },
    }


def _refusing(made: Given, route: Route) -> dict[str, Any]:
    """What answers 429 where all of a workload is shed: a group without deployments would be no known model, 400."""
    model = made.workloads[route.workload].model
    return {
        "model_name": group_of(route),
        "litellm_params": {
            "model": f"openai/{model}",
            "api_base": NOWHERE,
            "api_key": MASTER_KEY,
            "order": 1,
            "weight": 1,
            "rpm": NEVER,
            "mock_response": "litellm.RateLimitError",
            "num_retries": 0,
        },
        "model_info": {
            "id": refusal_id(route),
            "set": made.set_id,
            "allowed_fails_policy": {"RateLimitErrorAllowedFails": NEVER},
            "disable_background_health_check": True,
        },
    }


def refusal_id(route: Route) -> str:
    """Id of the deployment that refuses all of a workload."""
    return f"{route.id}--refusal"


def _breaker(made: Given, route: Route, entry: Entry) -> dict[str, Any]:
    """When a deployment cools down. A refusal for want of capacity, 429, is no failure.

    Where there is no other deployment to go to, nothing is gained by a cooldown: LiteLLM never cools down the only one
    of a group by `allowed_fails`, but by a policy that names the failure it does.
    """
    rate = expected_requests_per_second(route, entry) / made.integers["gateway_replicas"]
    fails = allowed_fails(made.of.plan.study.detection_seconds, rate)
    policy = {"RateLimitErrorAllowedFails": NEVER}
    in_group = sum(x.beyond_normal_reach == entry.beyond_normal_reach for x in route.entries)
    if in_group > 1 or (in_group < len(route.entries) and not entry.beyond_normal_reach):
        policy |= dict.fromkeys(COUNTED_FAILURES, fails)
    return {"allowed_fails": fails, "allowed_fails_policy": policy}


def deployment_id(route: Route, entry: Entry) -> str:
    """Id of a deployment: one a workload and placement."""
    return f"{route.id}--{entry.id}"  # no slug has two hyphens in a row


def rpm_of(entry: Entry, gateway_replicas: int = 1) -> int:
    """Limit of one of the gateways of an origin in whole requests per minute, rounded down; at least one.

    The first product is rounded to nine decimals, so that 0.7 requests/s are 42 and not 41 a minute.
    """
    return max(1, int(round(SECONDS_PER_MINUTE * entry.limit_requests_per_second / gateway_replicas, 9)))


def most_input_tokens(made: Given, workload: str, e: str) -> int:
    """Longest input that is sent to a placement: of the context class, and of what the profile is configured for."""
    return min(made.most_tokens[workload], made.profiles[e].context_limit_tokens)


def context_window_fallbacks(made: Given, routes: tuple[Route, ...]) -> list[dict[str, list[str]]]:
    """Where a request goes that is too long for its class: to workloads of the same model with a longer class."""
    fallbacks = []
    for route in routes:
        model, most = made.workloads[route.workload].model, made.most_tokens[route.workload]
        longer = [
            other
            for other in routes
            if made.workloads[other.workload].model == model and made.most_tokens[other.workload] > most
        ]
        longer.sort(key=lambda other: (made.most_tokens[other.workload], other.workload))
        if longer:
            names = [group_of(other) for other in longer]
            fallbacks.append({group_of(route): names})
            if any(entry.beyond_normal_reach for entry in route.entries):
                fallbacks.append({group_of(route, beyond=True): names})
    return fallbacks


def expected(made: Given, origin: str) -> Rows:
    """(model group, deployment id) -> (order, weight, rpm), from the routing table."""
    rows = {}
    for route in made.table.of_origin(origin):
        if not route.entries:
            rows[group_of(route), refusal_id(route)] = (1, 1, NEVER)
        for order, level in enumerate(route.levels, 1):
            for entry in level:
                key = group_of(route, entry.beyond_normal_reach), deployment_id(route, entry)
                rows[key] = (order, entry.weight, rpm_of(entry, made.integers["gateway_replicas"]))
    return rows
