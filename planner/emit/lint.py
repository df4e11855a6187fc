"""What is looked at before anything is written: gateways accept misspelt names, dead references and doubled ids."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from planner.emit.capacity import capacity_of_placement, planned_replicas
from planner.emit.names import slug
from planner.emit.options import endpoint
from planner.emit.routing import WEIGHTS_ADD_UP_TO, Subject, Table
from planner.errors import Finding, InputError
from planner.problem.arrays import full
from planner.problem.problem import Problem, State, states
from planner.problem.rules.formulas import capacity, live_edges

TOLERANCE = 1e-6
DEFECT = "a defect: report it"
PLAN_AGAIN = "plan again"
SECRET = re.compile(r"os\.environ/[A-Z][A-Z0-9_]*")
LITELLM_KEYS = {
    "": {"model_list", "general_settings", "router_settings"},
    "model": {"model_name", "litellm_params", "model_info"},
    "litellm_params": {
        "model",
        "api_base",
        "api_key",
        "order",
        "weight",
        "rpm",
        "timeout",
        "stream_timeout",
        "mock_response",
        "num_retries",
    },
    "model_info": {
        "id",
        "set",
        "max_input_tokens",
        "cooldown_time",
        "allowed_fails",
        "allowed_fails_policy",
        "health_check_timeout",
        "health_check_max_tokens",
        "disable_background_health_check",
    },
    "general_settings": {
        "master_key",
        "background_health_checks",
        "enable_health_check_routing",
        "health_check_interval",
    },
    "router_settings": {
        "routing_strategy",
        "enable_pre_call_checks",
        "num_retries",
        "enable_weighted_failover",
        "allowed_fails",
        "cooldown_time",
        "fallbacks",
        "context_window_fallbacks",
    },
}
"""LiteLLM takes any further key in silence: these are the ones that mean something."""

Rows = dict[tuple[str, str], tuple[int, int, int]]
"""What a configuration says of a placement: LiteLLM (model group, deployment id) -> (order, weight, rpm); Envoy
(cluster, sub-zone) -> (priority, locality weight, endpoint weight)."""


def raise_if_any(findings: Iterable[Finding]) -> None:
    """End the emission when something does not hold.

    Raises
    ------
    InputError
        with all findings
    """
    if findings := list(findings):
        raise InputError(findings)


# ------------------------------------------------------------------ the table against the plan
def lint_table(of: Subject, table: Table) -> list[Finding]:
    """Every entry is eligible and within its capacity, every name is its own; the overrides as well as the table."""
    return [*_routes(of, table), *_normal_load(of, table), *_limits(of, table), *_names(of, table), *_overrides(of)]


def _routes(of: Subject, table: Table) -> Iterator[Finding]:
    p = of.problem
    without_route = set(p.flows) - {(route.workload, route.origin) for route in table.routes}
    for w, o in sorted(without_route):
        if p.serve_fraction[w] > 0 and p.edges[w, o]:
            yield Finding(f"route {w} from {o}", "a route", "none: the plan serves none of it", PLAN_AGAIN)
    for route in table.routes:
        flow = (route.workload, route.origin)
        for number, level in enumerate(route.levels, 1):
            where = f"route {route.workload} from {route.origin}, level {number}"
            allowed = p.edges[flow] if number == 1 else p.edges_in_failure[flow]
            for entry in level:
                if entry.placement not in allowed:
                    yield _not_eligible(p, where, flow, entry.placement)
                if entry.limit_requests_per_second <= 0:
                    yield Finding(where, "a limit above 0", f"none at {entry.placement}", PLAN_AGAIN)
            if sum(entry.weight for entry in level) != WEIGHTS_ADD_UP_TO:
                yield Finding(where, f"weights that add up to {WEIGHTS_ADD_UP_TO}", "others", DEFECT)


def _not_eligible(p: Problem, where: str, flow: tuple[str, str], e: str) -> Finding:
    """Model, stack, context class, jurisdiction and round trip: the reason is that of the missing edge."""
    if e not in p.placements:
        got = f"{e}: no such placement, or its stack is not qualified for the model"
    else:
        got = f"{e}: {p.why_not.get((*flow, e), 'it serves another model')}"
    return Finding(where, "a placement that may serve it", got, "plan again: the plan is not one of this study")


def _beyond(where: str, work: float, most: float, expected: str) -> Iterator[Finding]:
    """A finding where work is more than it may be [replicas]; `{}` in what is expected stands for the most."""
    if work > most * (1 + TOLERANCE) + TOLERANCE:
        yield Finding(where, expected.format(f"{most:.3f} replicas of work"), f"{work:.3f}", PLAN_AGAIN)


def _normal_load(of: Subject, table: Table) -> Iterator[Finding]:
    """In normal operation the streams of a placement keep within its capacity."""
    p, x = of.problem, of.decisions
    load: dict[str, float] = {}
    for route in table.routes:
        first = route.levels[0] if route.levels else ()
        sent = min(route.requests_per_second, sum(entry.limit_requests_per_second for entry in first))
        for entry in first:
            work = entry.share_fraction * sent * p.replica_seconds.get((route.workload, entry.placement), 0.0)
            load[entry.placement] = load.get(entry.placement, 0.0) + work
    for e, work in sorted(load.items()):
        capacity = capacity_of_placement(p, e, float(x.replicas[e, of.hour])) if e in p.placements else 0.0
        yield from _beyond(f"placement {e}", work, capacity, "at most {} in normal operation")


def _limits(of: Subject, table: Table) -> Iterator[Finding]:
    """No limit is beyond all the capacity that its placement ever has in the plan."""
    p, a = of.problem, full(of.problem)
    in_states = [s for f in p.failures for s in states(p, f)]
    replicas = np.max([planned_replicas(a, of.vectors, s) for s in in_states], axis=0)
    most = dict(zip(p.placements, replicas.tolist(), strict=True))
    for route in table.routes:
        for entry in route.entries:
            e = entry.placement
            if (route.workload, e) in p.replica_seconds:  # else its edge is missing, which is said already
                work = p.replica_seconds[route.workload, e] * entry.limit_requests_per_second
                where = f"route {route.workload} from {route.origin}, {e}"
                yield from _beyond(where, work, capacity_of_placement(p, e, most[e]), "a limit of at most {}")


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
    """What a failure's override sends has a live edge and capacity in the plan's state."""
    p = of.problem
    for f in p.failures:
        for s in states(p, f):
            yield from _state(of, s)


def _state(of: Subject, s: State) -> Iterator[Finding]:
    p, a = of.problem, full(of.problem)
    load: dict[str, float] = {}
    for (w, o), sent in of.sent.get(s, {}).items():
        live = set(live_edges(p, w, o, s[1])) if (w, o) in p.edges else set()
        for e, value in sent.items():
            if e not in live:
                yield _not_eligible(p, f"{s[1]} at {s[2]:g} s, {w} from {o}", (w, o), e)
            else:
                load[e] = load.get(e, 0.0) + p.replica_seconds[w, e] * p.burst_factor[w] * value
    most = capacity(a, s[1], planned_replicas(a, of.vectors, s))
    for e, work in sorted(load.items()):
        where = f"{s[1]} at {s[2]:g} s, placement {e}"
        yield from _beyond(where, work, float(most[a.placement_at[e]]), "at most {}")


# ------------------------------------------------------------------ a configuration, read back
def differing(where: str, what: str, expected: Rows, rows: Rows) -> Iterator[Finding]:
    """Where a configuration does not say what the table does."""
    for key in sorted({*expected, *rows}):
        if rows.get(key) != expected.get(key):
            yield Finding(f"{where}: {key[1]}", f"{what} {expected.get(key)}", f"{rows.get(key)}", DEFECT)


def _repeated(where: str, names: Iterable[Any], expected: str, fix: str) -> Iterator[Finding]:
    """Names or numbers that several things have."""
    for name, times in sorted(Counter(names).items()):
        if times > 1:
            yield Finding(where, expected, f"{name}, {times} times", fix)


def litellm_rows(data: Any) -> Rows:
    """(model group, deployment id) -> (order, weight, rpm) of a configuration that was read back."""
    rows = {}
    for row in data["model_list"]:
        params = row["litellm_params"]
        rows[row["model_name"], row["model_info"]["id"]] = (params["order"], params["weight"], params["rpm"])
    return rows


def lint_litellm(where: str, expected: Rows, data: Any) -> list[Finding]:
    """A configuration, read back from its text, holds what the table says, and every reference leads somewhere.

    Parameters
    ----------
    expected : of the table
    data : what a YAML reader made of the text
    """
    ids = [row["model_info"]["id"] for row in data["model_list"]]
    return [
        *_litellm_keys(where, data),
        *_repeated(f"{where}: model_info.id", ids, "an id of its own", "rename a placement"),
        *_litellm_references(where, data),
        *_litellm_values(where, data),
        *differing(where, "order, weight, rpm", expected, litellm_rows(data)),
    ]


def _litellm_keys(where: str, data: Any) -> Iterator[Finding]:
    parts = [("", data), *((name, data[name]) for name in ("general_settings", "router_settings"))]
    for row in data["model_list"]:
        parts += [("model", row), ("litellm_params", row["litellm_params"]), ("model_info", row["model_info"])]
    for kind, part in parts:
        for key in sorted(set(part) - LITELLM_KEYS[kind]):
            yield Finding(f"{where}: {kind}", "a key that LiteLLM reads", repr(key), DEFECT)


def _litellm_references(where: str, data: Any) -> Iterator[Finding]:
    groups = {row["model_name"] for row in data["model_list"]}
    for kind in ("fallbacks", "context_window_fallbacks"):
        for row in data["router_settings"][kind]:
            for name in [*row, *(target for targets in row.values() for target in targets)]:
                if name not in groups:
                    yield Finding(f"{where}: {kind}", "a model group", repr(name), DEFECT)


def _litellm_values(where: str, data: Any) -> Iterator[Finding]:
    if not SECRET.fullmatch(str(data["general_settings"]["master_key"])):
        yield Finding(f"{where}: master_key", "a reference os.environ/NAME", "something else", DEFECT)
    for row in data["model_list"]:
        base, key, model = (row["litellm_params"][name] for name in ("api_base", "api_key", "model"))
        if not isinstance(base, str) or endpoint(base) is None:
            yield Finding(f"{where}: api_base", "an http or https address", repr(base)[:120], "correct it")
        if not isinstance(key, str) or not SECRET.fullmatch(key):
            yield Finding(f"{where}: api_key", "a reference os.environ/NAME", "something else", DEFECT)
        if not isinstance(model, str) or not model.startswith("openai/"):
            yield Finding(f"{where}: model", "openai/MODEL", repr(model)[:120], DEFECT)


NOT_PLACEMENTS = ("padding", "refusal")
"""Regions of localities of Envoy that are no provider; a provider of that name has a zone."""


def envoy_rows(data: Any) -> Rows:
    """(cluster, sub-zone) -> (priority, locality weight, endpoint weight) of a configuration that was read back."""
    rows = {}
    for cluster in data["resources"]:
        for group in cluster["load_assignment"]["endpoints"]:
            place = group["locality"]
            if place["region"] not in NOT_PLACEMENTS or "zone" in place:
                of_endpoint = group["lb_endpoints"][0]["load_balancing_weight"]
                weights = (group["priority"], group["load_balancing_weight"], of_endpoint)
                rows[cluster["name"], place["sub_zone"]] = weights
    return rows


def lint_envoy(where: str, clusters: list[str], data: Any) -> list[Finding]:
    """A gateway, read back from its text: every route leads to a cluster, every listener has a port of its own.

    Unknown fields and values out of range are found by Envoy itself: `envoy --mode validate`.
    """
    listeners = data["static_resources"]["listeners"]
    routes = [r for host in _virtual_hosts(listeners) for r in host["routes"] if "route" in r]
    ports = [part["address"]["socket_address"]["port_value"] for part in (*listeners, data["admin"])]
    apart = "set port, admin_port, refusal_port apart"
    return [
        *(
            Finding(f"{where}: routes", "one route a cluster", name, DEFECT)
            for name in sorted({r["route"]["cluster"] for r in routes} ^ set(clusters))
        ),
        *_repeated(f"{where}: ports", ports, "a port for each listener", apart),
    ]


def lint_envoy_clusters(where: str, routes: list[str], expected: Rows, data: Any) -> list[Finding]:
    """Clusters, read back from their text, hold what the table says, one for each route.

    Parameters
    ----------
    routes : ids of the origin's routes
    """
    names = [cluster["name"] for cluster in data["resources"]]
    return [
        *_repeated(f"{where}: clusters", names, "a name of its own", "rename a workload"),
        *(
            Finding(f"{where}: clusters", "a cluster for each route", name, DEFECT)
            for name in sorted(set(names) ^ set(routes))
        ),
        *_priorities(where, data["resources"]),
        *differing(where, "priority, weights", expected, envoy_rows(data)),
    ]


def _priorities(where: str, clusters: Any) -> Iterator[Finding]:
    for cluster in clusters:
        numbers = {group["priority"] for group in cluster["load_assignment"]["endpoints"]}
        if numbers != set(range(len(numbers))):
            got = f"{sorted(numbers)}"
            yield Finding(f"{where}: {cluster['name']}", "priorities without a gap", got, DEFECT)


def _virtual_hosts(listeners: Any) -> Iterator[Any]:
    for listener in listeners:
        for chain in listener["filter_chains"]:
            for item in chain["filters"]:
                yield from item["typed_config"]["route_config"]["virtual_hosts"]
