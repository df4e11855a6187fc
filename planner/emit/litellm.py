"""LiteLLM: one config.yaml a gateway, that is, an origin.

Levels are `order`; limits are `rpm` and `tpm`, which the pre-call checks hold; context classes are model groups of
their own with `max_input_tokens`; placements that only the longer round trip of a failure reaches stand in a group of
their own, behind `fallbacks`. Names in the files are slugs; routing.json says what they stand for.
"""

from collections.abc import Mapping
from typing import Any

from planner.emit.common import Given, given, shared_files
from planner.emit.lint import lint_litellm, litellm_rows, raise_if_any
from planner.emit.names import slug
from planner.emit.options import secret_name
from planner.emit.routing import Entry, Route
from planner.emit.text import quoted_yaml, yaml_data
from planner.plan.in_hand import Plan
from planner.study.records.plan import PlanFile
from planner.study.records.study import Workload

OPTIONS: Mapping[str, str] = {
    "endpoint": "",
    "endpoints": "",
    "limits": "goals",
    "cooldown_seconds": "30",
    "timeout_seconds": "600",
}
SECONDS_PER_MINUTE = 60
RETRIES = 2
ALLOWED_FAILS = 1
BEYOND = "beyond-reach"


def files(plan: PlanFile | Plan, options: Mapping[str, str]) -> dict[str, str]:
    """Files of the LiteLLM gateways of a plan: path -> text.

    Parameters
    ----------
    options : endpoint (template of the addresses), endpoints (JSON, placement: address), limits (goals or always),
        cooldown_seconds, timeout_seconds

    Raises
    ------
    InputError
        for every option that does not fit, and every entry that the plan does not bear out
    """
    made = given(plan, options, OPTIONS)
    found: dict[str, str] = {}
    for origin in sorted({route.origin for route in made.table.routes}):
        text = quoted_yaml(config(made, origin), _comments(made))
        path = f"origins/{slug(origin)}/config.yaml"
        raise_if_any(lint_litellm(path, expected(made, origin), yaml_data(text)))
        found[path] = text
    return found | shared_files(made, "litellm")


def _comments(made: Given) -> tuple[str, ...]:
    return (
        "LiteLLM gateway of one origin. Rates are requests per minute at the peak, rounded down: at most 1/60",
        "request/s below the limit. Weights add up to 10000 a level; rounding is at most 1 of them.",
        f"Hour of the plan: the one with the largest total traffic, of {made.table.hours}.",
        "Limits are counted in each process: run one worker, or give all of them one Redis.",
        "A request that fails after a part of its answer may be run twice.",
        *(
            ()
            if all(at.is_set for at in made.endpoints.values())
            else ("ENDPOINTS ARE NOT SET: hosts under .invalid are placeholders; see option endpoint.",)
        ),
    )


def group_of(route: Route) -> str:
    """Name of the model group that clients ask for: the workload's slug."""
    return slug(route.workload)


def beyond_group_of(route: Route) -> str:
    """Name of the group behind `fallbacks`: what only the round trip allowed in a failure reaches."""
    return slug(f"{route.workload} {BEYOND}")


def config(made: Given, origin: str) -> dict[str, Any]:
    """The configuration of one gateway as data."""
    routes = made.table.of_origin(origin)
    models, fallbacks = [], []
    for route in routes:
        for order, level in enumerate(route.levels, 1):
            models += [_deployment(made, route, order, entry) for entry in level]
        if any(entry.beyond_normal_reach for entry in route.entries):
            fallbacks.append({group_of(route): [beyond_group_of(route)]})
    return {
        "model_list": models,
        "router_settings": {
            "routing_strategy": "simple-shuffle",
            "enable_pre_call_checks": True,
            "num_retries": RETRIES,
            "allowed_fails": ALLOWED_FAILS,
            "cooldown_time": made.whole["cooldown_seconds"],
            "fallbacks": fallbacks,
            "context_window_fallbacks": context_window_fallbacks(made, routes),
        },
    }


def _deployment(made: Given, route: Route, order: int, entry: Entry) -> dict[str, Any]:
    p, e = made.of.problem, entry.placement
    workload = made.workloads[route.workload]
    rpm = rpm_of(entry)
    provider = p.provider_of[p.pool_of[e]]
    return {
        "model_name": beyond_group_of(route) if entry.beyond_normal_reach else group_of(route),
        "litellm_params": {
            "model": f"openai/{workload.model}",
            "api_base": made.endpoints[e].url,
            "api_key": f"os.environ/{secret_name(provider)}",
            "order": order,
            "weight": entry.weight,
            "rpm": rpm,
            "tpm": tpm_of(rpm, workload),
            "timeout": made.whole["timeout_seconds"],
        },
        "model_info": {
            "id": deployment_id(route, entry),
            "max_input_tokens": most_input_tokens(made, route.workload, e),
        },
    }


def deployment_id(route: Route, entry: Entry) -> str:
    """Id of a deployment: one a workload and placement."""
    return f"{route.id}--{entry.id}"  # no slug has two hyphens in a row


def rpm_of(entry: Entry) -> int:
    """Limit in whole requests per minute, rounded down; at least one.

    The first product is rounded to nine decimals, so that 0.7 requests/s are 42 and not 41 a minute.
    """
    return max(1, int(round(SECONDS_PER_MINUTE * entry.limit_requests_per_second, 9)))


def tpm_of(rpm: int, workload: Workload) -> int:
    """Limit in tokens per minute: that many requests of mean length, input and output, rounded up."""
    return -int(-round(rpm * (workload.mean_input_tokens + workload.mean_output_tokens), 6) // 1)


def most_input_tokens(made: Given, workload: str, e: str) -> int:
    """Longest input that is sent to a placement: of the context class, and of what the profile is configured for."""
    return min(made.most_tokens[workload], made.context_limit_tokens[e])


def context_window_fallbacks(made: Given, routes: tuple[Route, ...]) -> list[dict[str, list[str]]]:
    """Where a request goes that is too long for its class: to workloads of the same model with a longer class."""
    found = []
    for route in routes:
        mine = made.workloads[route.workload]
        longer = [
            other
            for other in routes
            if made.workloads[other.workload].model == mine.model
            and made.most_tokens[other.workload] > made.most_tokens[route.workload]
        ]
        longer.sort(key=lambda other: (made.most_tokens[other.workload], other.workload))
        if longer:
            names = [group_of(other) for other in longer]
            found.append({group_of(route): names})
            if any(entry.beyond_normal_reach for entry in route.entries):
                found.append({beyond_group_of(route): names})
    return found


def expected(made: Given, origin: str) -> dict[tuple[str, str], tuple[int, int, int]]:
    """(model group, deployment id) -> (order, weight, rpm), from the routing table."""
    return {
        (beyond_group_of(route) if entry.beyond_normal_reach else group_of(route), deployment_id(route, entry)): (
            order,
            entry.weight,
            rpm_of(entry),
        )
        for route in made.table.of_origin(origin)
        for order, level in enumerate(route.levels, 1)
        for entry in level
    }


def read_back(text: str) -> dict[tuple[str, str], tuple[int, int, int]]:
    """(model group, deployment id) -> (order, weight, rpm), from an emitted file."""
    return litellm_rows(yaml_data(text))
