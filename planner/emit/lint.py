"""What is looked at before anything is written: gateways accept misspelt names, dead references and doubled ids."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from planner.emit.names import slug
from planner.emit.options import endpoint
from planner.emit.rooms import planned_replicas, room_replica_seconds
from planner.emit.routing import WEIGHTS_ADD_UP_TO, Route, Subject, Table
from planner.errors import Finding, InputError
from planner.problem.problem import Problem, State, states
from planner.problem.rules.formulas import live_edges
from planner.study.dependencies import NORMAL

TOLERANCE = 1e-6
SECRET = re.compile(r"os\.environ/[A-Z][A-Z0-9_]*")
LITELLM_KEYS = {
    "": {"model_list", "router_settings"},
    "model": {"model_name", "litellm_params", "model_info"},
    "litellm_params": {"model", "api_base", "api_key", "order", "weight", "rpm", "tpm", "timeout"},
    "model_info": {"id", "max_input_tokens"},
    "router_settings": {
        "routing_strategy",
        "enable_pre_call_checks",
        "num_retries",
        "allowed_fails",
        "cooldown_time",
        "fallbacks",
        "context_window_fallbacks",
    },
}
"""LiteLLM takes any further key in silence: these are the ones that mean something."""


def raise_if_any(findings: list[Finding]) -> None:
    """End the emission when something does not hold.

    Raises
    ------
    InputError
        with all findings
    """
    if findings:
        raise InputError(findings)


# ------------------------------------------------------------------ the table against the plan
def lint_table(of: Subject, table: Table) -> list[Finding]:
    """Every entry is eligible and within its room, every name is its own; the overrides as well as the table."""
    return [*_routes(of, table), *_room(of, table), *_limits(of, table), *_names(of, table), *_overrides(of)]


def _routes(of: Subject, table: Table) -> Iterator[Finding]:
    p = of.problem
    missing = set(p.flows) - {(route.workload, route.origin) for route in table.routes}
    for w, o in sorted(missing):
        if p.serve_fraction[w] > 0 and p.edges[w, o]:
            yield Finding(f"route {w} from {o}", "a route", "none: the plan serves none of it", "plan again")
    for route in table.routes:
        flow = (route.workload, route.origin)
        for number, level in enumerate(route.levels, 1):
            for entry in level:
                where = f"route {route.workload} from {route.origin}, level {number}"
                allowed = p.edges[flow] if number == 1 else p.edges_in_failure[flow]
                if entry.placement not in allowed:
                    yield _not_eligible(p, where, flow, entry.placement)
                if entry.limit_requests_per_second <= 0:
                    yield Finding(where, "a limit above 0", f"none at {entry.placement}", "plan again")
            if sum(entry.weight for entry in level) != WEIGHTS_ADD_UP_TO:
                yield Finding(where, f"weights that add up to {WEIGHTS_ADD_UP_TO}", "others", "a defect: report it")


def _not_eligible(p: Problem, where: str, flow: tuple[str, str], e: str) -> Finding:
    """Model, stack, context class, jurisdiction and round trip: the reason is that of the missing edge."""
    if e not in p.placements:
        got = f"{e}: no such placement, or its stack is not qualified for the model"
    else:
        got = f"{e}: {p.why_not.get((*flow, e), 'it serves another model')}"
    return Finding(where, "a placement that may serve it", got, "plan again: the plan is not one of this study")


def _room(of: Subject, table: Table) -> Iterator[Finding]:
    """In normal operation the streams of a placement keep within its room."""
    p, x = of.problem, of.decisions
    load: dict[str, float] = {}
    for route in table.routes:
        for entry in route.levels[0] if route.levels else ():
            sent = entry.share_fraction * min(route.requests_per_second, _limit(route))
            work = sent * p.replica_seconds.get((route.workload, entry.placement), 0.0)
            load[entry.placement] = load.get(entry.placement, 0.0) + work
    for e, work in sorted(load.items()):
        room = room_replica_seconds(p, e, float(x.replicas[e, of.hour])) if e in p.placements else 0.0
        if work > room * (1 + TOLERANCE) + TOLERANCE:
            yield Finding(
                f"placement {e}",
                f"at most {room:.3f} replicas of work in normal operation",
                f"{work:.3f}",
                "plan again",
            )


def _limits(of: Subject, table: Table) -> Iterator[Finding]:
    """No limit is beyond all the room that its placement ever has in the plan."""
    p, x = of.problem, of.decisions
    in_states = [s for f in p.failures for s in states(p, f)]
    most = {e: max(planned_replicas(p, x, e, s) for s in in_states) for e in p.placements}
    for route in table.routes:
        for entry in route.entries:
            e = entry.placement
            if (route.workload, e) not in p.replica_seconds:
                continue  # said by its edge already
            work = p.replica_seconds[route.workload, e] * entry.limit_requests_per_second
            room = room_replica_seconds(p, e, most[e])
            if work > room * (1 + TOLERANCE) + TOLERANCE:
                yield Finding(
                    f"route {route.workload} from {route.origin}, {e}",
                    f"a limit of at most {room:.3f} replicas of work",
                    f"{work:.3f}",
                    "plan again",
                )


def _limit(route: Route) -> float:
    return sum(entry.limit_requests_per_second for entry in route.levels[0])


def _names(of: Subject, table: Table) -> Iterator[Finding]:
    """Different names of a kind have different ids."""
    kinds: Mapping[str, set[tuple[str, str]]] = {
        "workload": {(route.workload, route.id) for route in table.routes},
        "placement": {(entry.placement, entry.id) for route in table.routes for entry in route.entries},
        "failure": {(f, slug(f)) for f in of.problem.failures},
        "origin": {(route.origin, slug(route.origin)) for route in table.routes},
    }
    for kind, pairs in kinds.items():
        times = Counter(id_ for _, id_ in pairs)
        for name, id_ in sorted(pairs):
            if times[id_] > 1:
                yield Finding(f"{kind} {name!r}", "an id of its own", f"{id_}, as another", "rename one of them")


def _overrides(of: Subject) -> Iterator[Finding]:
    """What a failure's override sends has a live edge and room in the plan's state."""
    p = of.problem
    for f in p.failures:
        for s in states(p, f):
            yield from _state(of, s)


def _state(of: Subject, s: State) -> Iterator[Finding]:
    p, x = of.problem, of.decisions
    load: dict[str, float] = {}
    for (w, o), sent in of.sent.get(s, {}).items():
        live = set(live_edges(p, w, o, s[1])) if (w, o) in p.edges else set()
        for e, value in sent.items():
            if e not in live:
                yield _not_eligible(p, f"{s[1]} at {s[2]:g} s, {w} from {o}", (w, o), e)
            else:
                load[e] = load.get(e, 0.0) + p.replica_seconds[w, e] * p.burst_factor[w] * value
    utilisation = p.utilisation_normal if s[1] == NORMAL else p.utilisation_in_failure
    for e, work in sorted(load.items()):
        room = utilisation * planned_replicas(p, x, e, s)
        if work > room * (1 + TOLERANCE) + TOLERANCE:
            yield Finding(
                f"{s[1]} at {s[2]:g} s, placement {e}",
                f"at most {room:.3f} replicas of work",
                f"{work:.3f}",
                "plan again",
            )


# ------------------------------------------------------------------ LiteLLM
LiteLLMRows = dict[tuple[str, str], tuple[int, int, int]]


def litellm_rows(data: Any) -> LiteLLMRows:
    """(model group, deployment id) -> (order, weight, rpm) of a configuration that was read back."""
    return {
        (row["model_name"], row["model_info"]["id"]): (
            row["litellm_params"]["order"],
            row["litellm_params"]["weight"],
            row["litellm_params"]["rpm"],
        )
        for row in data["model_list"]
    }


def lint_litellm(where: str, expected: LiteLLMRows, data: Any) -> list[Finding]:
    """A configuration, read back from its text, holds what the table says, and every reference leads somewhere.

    Parameters
    ----------
    expected : of the table
    data : what a YAML reader made of the text
    """
    return [*_litellm_keys(where, data), *_litellm_references(where, data), *_litellm_values(where, expected, data)]


def _litellm_keys(where: str, data: Any) -> Iterator[Finding]:
    parts = [("", data), ("router_settings", data["router_settings"])]
    for row in data["model_list"]:
        parts += [("model", row), ("litellm_params", row["litellm_params"]), ("model_info", row["model_info"])]
    for kind, part in parts:
        for key in sorted(set(part) - LITELLM_KEYS[kind]):
            yield Finding(f"{where}: {kind}", "a key that LiteLLM reads", repr(key), "a defect: report it")


def _litellm_references(where: str, data: Any) -> Iterator[Finding]:
    groups = {row["model_name"] for row in data["model_list"]}
    ids = Counter(row["model_info"]["id"] for row in data["model_list"])
    for id_, times in sorted(ids.items()):
        if times > 1:
            yield Finding(f"{where}: model_info.id", "an id of its own", f"{id_}, {times} times", "rename a placement")
    for kind in ("fallbacks", "context_window_fallbacks"):
        for row in data["router_settings"][kind]:
            for name in [*row, *(target for targets in row.values() for target in targets)]:
                if name not in groups:
                    yield Finding(f"{where}: {kind}", "a model group", repr(name), "a defect: report it")


def _litellm_values(where: str, expected: LiteLLMRows, data: Any) -> Iterator[Finding]:
    for row in data["model_list"]:
        params = row["litellm_params"]
        if not isinstance(params["api_base"], str) or endpoint(params["api_base"]) is None:
            yield Finding(
                f"{where}: api_base", "an http or https address", repr(params["api_base"])[:120], "correct it"
            )
        if not isinstance(params["api_key"], str) or not SECRET.fullmatch(params["api_key"]):
            yield Finding(f"{where}: api_key", "a reference os.environ/NAME", "something else", "a defect: report it")
        if not isinstance(params["model"], str) or not params["model"].startswith("openai/"):
            yield Finding(f"{where}: model", "openai/MODEL", repr(params["model"])[:120], "a defect: report it")
    found = litellm_rows(data)
    for key in sorted({*expected, *found}):
        if found.get(key) != expected.get(key):
            yield Finding(
                f"{where}: {key[1]}",
                f"order, weight, rpm {expected.get(key)}",
                f"{found.get(key)}",
                "a defect: report it",
            )


# ------------------------------------------------------------------ Envoy
EnvoyRows = dict[tuple[str, str], tuple[int, int, int]]
NOT_PLACEMENTS = ("padding", "refusal")


def envoy_rows(data: Any) -> EnvoyRows:
    """(cluster, sub-zone) -> (priority, locality weight, endpoint weight) of a configuration that was read back."""
    return {
        (cluster["name"], group["locality"]["sub_zone"]): (
            group["priority"],
            group["load_balancing_weight"],
            group["lb_endpoints"][0]["load_balancing_weight"],
        )
        for cluster in data["static_resources"]["clusters"]
        for group in cluster["load_assignment"]["endpoints"]
        if group["locality"]["region"] not in NOT_PLACEMENTS or "zone" in group["locality"]
    }


def lint_envoy(where: str, expected: EnvoyRows, data: Any) -> list[Finding]:
    """A configuration, read back from its text, holds what the table says, and every reference leads somewhere.

    Unknown fields and values out of range are found by Envoy itself: `envoy --mode validate`.
    """
    parts = data["static_resources"]
    findings = []
    names = Counter(cluster["name"] for cluster in parts["clusters"])
    routes = [r for host in _virtual_hosts(parts["listeners"]) for r in host["routes"] if "route" in r]
    for name, times in sorted(names.items()):
        if times > 1:
            findings.append(Finding(f"{where}: clusters", "a name of its own", name, "rename a workload"))
    for name in sorted({r["route"]["cluster"] for r in routes} ^ set(names)):
        findings.append(Finding(f"{where}: routes", "one route a cluster", name, "a defect: report it"))
    for cluster in parts["clusters"]:
        groups = cluster["load_assignment"]["endpoints"]
        numbers = {group["priority"] for group in groups}
        if numbers != set(range(len(numbers))):
            findings.append(
                Finding(
                    f"{where}: {cluster['name']}",
                    "priorities without a gap",
                    f"{sorted(numbers)}",
                    "a defect: report it",
                )
            )
    ports = Counter(listener["address"]["socket_address"]["port_value"] for listener in parts["listeners"])
    ports[data["admin"]["address"]["socket_address"]["port_value"]] += 1
    for port, times in sorted(ports.items()):
        if times > 1:
            findings.append(
                Finding(
                    f"{where}: ports",
                    "a port for each listener",
                    f"{port} {times} times",
                    "set port, admin_port, refusal_port apart",
                )
            )
    found = envoy_rows(data)
    for key in sorted({*expected, *found}):
        if found.get(key) != expected.get(key):
            findings.append(
                Finding(
                    f"{where}: {key[1]}",
                    f"priority, weights {expected.get(key)}",
                    f"{found.get(key)}",
                    "a defect: report it",
                )
            )
    return findings


def _virtual_hosts(listeners: Any) -> Iterator[Any]:
    for listener in listeners:
        for chain in listener["filter_chains"]:
            for item in chain["filters"]:
                yield from item["typed_config"]["route_config"]["virtual_hosts"]
