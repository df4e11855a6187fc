"""Gateway API inference extension: an InferencePool a placement, whose endpoint picker chooses the replica.

The routes have the names of those that `kubernetes` makes, so that applying them moves a workload from Services to
pools and applying the others moves it back. The picker is a program of the llm-d project; its image is a setting.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from planner.emit.behaviour import INFERENCE_EXTENSION
from planner.emit.fleet import Fleet, Running, fleet_of
from planner.emit.kubernetes import by_region, kustomization, manifest
from planner.emit.kubernetes_options import BY_REQUESTS, PORT, PREFIX, Settings, settings
from planner.emit.kubernetes_options import OPTIONS as KUBERNETES
from planner.emit.kubernetes_routes import workload_routes
from planner.emit.kubernetes_services import placement_route
from planner.emit.kubernetes_sets import Cluster, set_files
from planner.emit.kubernetes_workloads import answering_labels
from planner.emit.names import distinct
from planner.emit.routing import subject
from planner.emit.spreading import falls_short, picker_of, spread_head
from planner.plan.in_hand import Plan
from planner.study.records.plan import PlanFile

GROUP = "inference.networking.k8s.io"
MOST_POOL_NAME = 50
PICKER = "endpoint-picker"
PICKER_PORT, PICKER_HEALTH_PORT = 9002, 9003
PICKER_END_SECONDS = 130
"""As in the charts of llm-d/llm-d-router (config/charts/routerlib, 2026)."""
PICKER_CONFIG: Mapping[str, Any] = {
    "apiVersion": "llm-d.ai/v1alpha1",
    "kind": "EndpointPickerConfig",
    "plugins": [{"type": "active-request-scorer"}, {"type": "max-score-picker"}],
    "schedulingProfiles": [
        {
            "name": "default",
            "plugins": [{"pluginRef": "active-request-scorer"}, {"pluginRef": "max-score-picker"}],
        }
    ],
}
"""By requests in flight alone, any of those with the fewest (llm-d/llm-d-router, docs/architecture.md and
pkg/epp/framework/plugins/scheduling/scorer/activerequest, 2026)."""
OPTIONS: Mapping[str, str] = {
    "namespace": KUBERNETES["namespace"],
    "gateway": KUBERNETES["gateway"],
    "domain": KUBERNETES["domain"],
    "picker_image": "",
    "picker": "",
}
NOT_SET = (
    "ENDPOINT PICKERS ARE NOT SET: each pool refers to a Service NAME-epp that is yours; see setting picker_image."
)


def files(plan: PlanFile | Plan, options: Mapping[str, str]) -> dict[str, str]:
    """Pools, pickers and routes by region, sets of routes for each failure; replicas are those of `kubernetes`.

    Parameters
    ----------
    options : `namespace`, `gateway`, `domain`: as of `kubernetes`; `picker_image`: image of the endpoint picker in
        full; `picker`: how it chooses a replica, by requests in flight alone or as it comes; as the plan counts on

    Raises
    ------
    InputError
        when an option does not fit
    """
    of = subject(plan)
    fleet = fleet_of(of.plan)
    given = settings(fleet, options, OPTIONS)
    head = [] if given["picker_image"] else [NOT_SET]
    head += spread_head(fleet.plan) if falls_short(fleet.plan, INFERENCE_EXTENSION, options) else []
    config = PICKER_CONFIG if picker_of(fleet.plan, given["picker"]) == BY_REQUESTS else None
    not_proven = bool(options.get("not_proven"))
    made: dict[str, str] = {}
    clusters = []
    for region, running in by_region(fleet).items():
        placements = {r.placement: r for r in running}
        names = distinct(placements, MOST_POOL_NAME)
        pools = [_pool(fleet, r, names[e], given) for e, r in sorted(placements.items())]
        backends = {e: _backend(name) for e, name in names.items()}
        clusters.append(Cluster(region, frozenset(placements), backends.__getitem__))
        objects = {
            "pools.yaml": pools,
            "pickers.yaml": _pickers(names.values(), given, config) if given["picker_image"] else [],
            "routes.yaml": _routes(fleet, backends, given),
        }
        written = {name: listed for name, listed in objects.items() if listed}
        for name, listed in written.items():
            said = head if name == "pools.yaml" else []
            made[f"{region}/{name}"] = manifest(listed, not_proven, said)
        made[f"{region}/kustomization.yaml"] = manifest([kustomization(written)], not_proven)
    return made | set_files(fleet, of, clusters, given, options.get("not_proven", ""))


def _routes(fleet: Fleet, backends: Mapping[str, dict[str, Any]], given: Settings) -> list[dict[str, Any]]:
    """Routes of workloads; and of placements, where a domain is set: requests to the pool, checks to the Service."""
    made = workload_routes(fleet, backends, given, backends.__getitem__)
    if given["domain"]:
        made += [placement_route(placement, given, backend) for placement, backend in backends.items()]
    return made


def _backend(name: str) -> dict[str, Any]:
    return {"group": GROUP, "kind": "InferencePool", "name": name}


def _pool(fleet: Fleet, r: Running, name: str, given: Settings) -> dict[str, Any]:
    """The pool of a placement: its non-preemptible replicas and those on spot machines together."""
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": "InferencePool",
        "metadata": {
            "name": name,
            "namespace": given["namespace"],
            "annotations": {f"{PREFIX}/placement": r.placement},
        },
        "spec": {
            "selector": {"matchLabels": answering_labels(fleet, r)},
            "targetPorts": [{"number": PORT}],
            "endpointPickerRef": {
                "name": f"{name}-epp",
                "port": {"number": PICKER_PORT},
                "failureMode": "FailOpen",
            },
        },
    }


# ------------------------------------------------------------------ endpoint pickers
def _pickers(names: Iterable[str], given: Settings, config: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """A picker of each pool, and the account that lets them read pods and pools.

    Parameters
    ----------
    config : how pickers choose; none: as they come
    """
    made = _account(given)
    for name in sorted(names):
        made += [_picker(name, given, config), _picker_service(name, given)]
    return made


def _account(given: Settings) -> list[dict[str, Any]]:
    metadata = {"name": PICKER, "namespace": given["namespace"]}
    read = ["get", "list", "watch"]
    rules = [
        {"apiGroups": [""], "resources": ["pods"], "verbs": read},
        {"apiGroups": [GROUP], "resources": ["inferencepools"], "verbs": read},
        {"apiGroups": ["llm-d.ai"], "resources": ["inferenceobjectives", "inferencemodelrewrites"], "verbs": read},
    ]
    group = "rbac.authorization.k8s.io"
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata},
        {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": metadata, "rules": rules},
        {
            "apiVersion": f"{group}/v1",
            "kind": "RoleBinding",
            "metadata": metadata,
            "subjects": [{"kind": "ServiceAccount", **metadata}],
            "roleRef": {"apiGroup": group, "kind": "Role", "name": PICKER},
        },
    ]


def _picker(name: str, given: Settings, config: Mapping[str, Any] | None) -> dict[str, Any]:
    """One replica: what a picker knows of caches and requests it knows alone; a second one would not share it."""
    labels = {f"{PREFIX}/picker": name}
    flags = {
        "pool-name": name,
        "pool-namespace": given["namespace"],
        "pool-group": GROUP,
        "grpc-port": str(PICKER_PORT),
        "grpc-health-port": str(PICKER_HEALTH_PORT),
        "metrics-endpoint-auth": "false",
        "tracing": "false",
        **({} if config is None else {"config-text": json.dumps(config)}),
    }
    check = {"grpc": {"port": PICKER_HEALTH_PORT, "service": "inference-extension"}}
    container = {
        "name": "picker",
        "image": given["picker_image"],
        "args": [f"--{flag}={value}" for flag, value in flags.items()],
        "ports": [
            {"name": "grpc", "containerPort": PICKER_PORT},
            {"name": "grpc-health", "containerPort": PICKER_HEALTH_PORT},
        ],
        "readinessProbe": {**check, "periodSeconds": 2},
        "livenessProbe": {**check, "initialDelaySeconds": 5, "periodSeconds": 10},
    }
    pod = {
        "serviceAccountName": PICKER,
        "terminationGracePeriodSeconds": PICKER_END_SECONDS,
        "containers": [container],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": f"{name}-epp", "namespace": given["namespace"]},
        "spec": {
            "replicas": 1,
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def _picker_service(name: str, given: Settings) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": f"{name}-epp", "namespace": given["namespace"]},
        "spec": {
            "selector": {f"{PREFIX}/picker": name},
            "ports": [{"name": "grpc", "port": PICKER_PORT, "targetPort": PICKER_PORT, "appProtocol": "http2"}],
        },
    }
