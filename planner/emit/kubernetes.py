"""Kubernetes: replicas of each placement on the machines of its pool, and weights between placements of a cluster.

One cluster per region is assumed. What requests go to which cluster is the gateways' part; within a cluster an
HTTPRoute shares the requests of a workload among the InferencePools of its placements.
"""

import math
import re
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any

from planner.emit.fleet import Fleet, Running, fleet_of, node_chips
from planner.emit.names import distinct, slug
from planner.emit.routing import largest_remainder
from planner.emit.text import quoted_yaml, sorted_json
from planner.errors import Finding, InputError
from planner.plan.in_hand import Plan
from planner.study.dependencies import NORMAL
from planner.study.records.plan import PlanFile, State

RESOURCES = {
    "neuron": "aws.amazon.com/neuron",
    "xla": "google.com/tpu",
    "cuda": "nvidia.com/gpu",
    "rocm": "amd.com/gpu",
}
"""Extended resource of a stack, by the stack's first word; `--set resource.STACK=vendor.com/thing` adds others."""
TPU_SLICE = {
    "v5litepod-8": ("tpu-v5-lite-podslice", "2x4"),
    "ct5lp-hightpu-8t": ("tpu-v5-lite-podslice", "2x4"),
    "ct5lp-hightpu-4t": ("tpu-v5-lite-podslice", "2x2"),
    "ct5p-hightpu-4t": ("tpu-v5p-slice", "2x2x1"),
    "ct6e-standard-4t": ("tpu-v6e-slice", "2x2"),
    "ct6e-standard-8t": ("tpu-v6e-slice", "2x4"),
    "tpu7x-standard-4t": ("tpu7x", "2x2x1"),
}
"""GKE's accelerator and topology labels of single-host slices (GKE documentation, plan TPUs, 2026)."""
IMAGE = "replace.invalid/serve"
"""A host that can never exist (RFC 2606): `--set image=REGISTRY/NAME` gives the real one."""
PORT = 8000
WEIGHTS_ADD_UP_TO = 10_000
MOST_BACKENDS = 16
"""Backends of one rule of an HTTPRoute (Gateway API v1)."""
MOST_POOL_NAME = 50
PROBE_SECONDS = 10
PREFIX = "capacity-planner"
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_RESOURCE = re.compile(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?/[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_IMAGE = re.compile(r"[a-z0-9]([a-z0-9._/:-]{0,180}[a-z0-9])?")
OPTIONS = {"image": IMAGE, "namespace": "serving", "gateway": "inference-gateway", "resource.": ""}


def files(plan: PlanFile | Plan, options: Mapping[str, str]) -> dict[str, str]:
    """Manifests by region, and the replicas of every failure.

    Parameters
    ----------
    options : `image`: registry and name of the serving image, the profile's slug is its tag; `namespace`; `gateway`:
        name of the Gateway that routes attach to; `resource.STACK`: extended resource of a stack

    Raises
    ------
    InputError
        when an option is none of them or a stack has no known resource
    """
    fleet = fleet_of(plan)
    given = _options(fleet, options)
    made: dict[str, str] = {}
    for region, running in _by_region(fleet).items():
        workloads = [workload_objects(fleet, r, given) for r in running]
        objects = [_namespace(given), *chain.from_iterable(workloads)]
        made[f"{region}/workloads.yaml"] = _yaml(objects, options)
        routes = _routes(fleet, running, given)
        if routes:
            made[f"{region}/routes.yaml"] = _yaml([*_inference_pools(fleet, running, given), *routes], options)
        names = ["workloads.yaml", *(["routes.yaml"] if routes else [])]
        kustomization = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": names}
        made[f"{region}/kustomization.yaml"] = _yaml([kustomization], options)
    return made | {"failures.json": sorted_json(_failures(fleet))}


def _options(fleet: Fleet, options: Mapping[str, str]) -> dict[str, str]:
    findings = []
    given = {key: default for key, default in OPTIONS.items() if default}
    resources: dict[str, str] = {}
    checks = {"image": _IMAGE, "namespace": _NAME, "gateway": _NAME}
    for key, value in options.items():
        if key in checks:
            given[key] = value
            if not checks[key].fullmatch(value):
                expected = "lower-case letters, digits and . - / :"
                findings.append(Finding(f"--set {key}", expected, repr(value)[:80], "change it"))
        if key.startswith("resource."):
            resources[key.removeprefix("resource.")] = value
            if not _RESOURCE.fullmatch(value):
                expected = "an extended resource, vendor/thing"
                findings.append(Finding(f"--set {key}", expected, repr(value)[:80], "change it"))
    for stack in sorted({r.profile.stack for r in fleet.running}):
        resource = resources.get(stack) or RESOURCES.get(stack.partition("-")[0])
        if resource is None:
            fix = f"--set resource.{stack[:40]}=vendor.com/thing"
            findings.append(Finding(f"stack {stack[:80]!r}", "a known extended resource", "none", fix))
        else:
            given[f"resource.{stack}"] = resource
    if findings:
        raise InputError(findings)
    return given


def _by_region(fleet: Fleet) -> dict[str, list[Running]]:
    """Replicas by folder, `provider-region` with slugs of both."""
    providers = distinct(dict.fromkeys(site.provider for site in fleet.site_of.values()))
    by_folder: dict[str, list[Running]] = {}
    for r in fleet.running:
        folder = f"{providers[fleet.site_of[r.pool].provider]}/{fleet.region_name[r.pool]}"
        by_folder.setdefault(folder, []).append(r)
    return dict(sorted(by_folder.items()))


def _namespace(given: Mapping[str, str]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": given["namespace"]}}


def _metadata(fleet: Fleet, r: Running, given: Mapping[str, str]) -> dict[str, Any]:
    """Slugs as labels, what people wrote as annotations."""
    return {
        "name": fleet.running_name[r.id],
        "namespace": given["namespace"],
        "labels": _labels(fleet, r),
        "annotations": {
            f"{PREFIX}/placement": r.placement,
            f"{PREFIX}/plan": fleet.plan.file.digest_sha256,
        },
    }


def _labels(fleet: Fleet, r: Running) -> dict[str, str]:
    return {
        "app.kubernetes.io/managed-by": PREFIX,
        f"{PREFIX}/placement": slug(r.placement),
        f"{PREFIX}/replicas": fleet.running_name[r.id],
    }


def workload_objects(fleet: Fleet, r: Running, given: Mapping[str, str]) -> list[dict[str, Any]]:
    """The profile's settings as a ConfigMap, and a Deployment, or a LeaderWorkerSet where a replica spans nodes."""
    metadata = _metadata(fleet, r, given)
    settings = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": _settings(r)}
    nodes = math.ceil(r.profile.accelerators_per_replica / node_chips(fleet.machine_of[r.pool]))
    chips = math.ceil(r.profile.accelerators_per_replica / nodes)
    template = {"metadata": {"labels": _labels(fleet, r)}, "spec": _pod(fleet, r, given, chips)}
    if nodes > 1:
        return [settings, _leader_worker_set(fleet, r, metadata, template, nodes)]
    surge = r.model.rollout_surge_fraction
    rolling = (
        {"maxSurge": f"{math.ceil(100 * surge)}%", "maxUnavailable": 0}
        if surge
        else {"maxSurge": 0, "maxUnavailable": 1}
    )
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {
            "replicas": r.replicas,
            "selector": {"matchLabels": {f"{PREFIX}/replicas": fleet.running_name[r.id]}},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": rolling},
            "progressDeadlineSeconds": max(600, math.ceil(3 * r.profile.load_seconds)),
            "template": template,
        },
    }
    return [settings, deployment]


def _leader_worker_set(
    fleet: Fleet, r: Running, metadata: dict[str, Any], template: dict[str, Any], nodes: int
) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "replicas": r.replicas,
        "leaderWorkerTemplate": {
            "size": nodes,
            "restartPolicy": "RecreateGroupOnPodRestart",
            "leaderTemplate": template,
            "workerTemplate": template,
        },
    }
    return {"apiVersion": "leaderworkerset.x-k8s.io/v1", "kind": "LeaderWorkerSet", "metadata": metadata, "spec": spec}


def _settings(r: Running) -> dict[str, str]:
    """What the serving program has to know, as environment variables; a ConfigMap's values are never expanded."""
    p = r.profile
    return {
        "PLANNER_MODEL": r.model.model,
        "PLANNER_PROFILE": p.name,
        "PLANNER_STACK": p.stack,
        "PLANNER_PRECISION": p.precision,
        "PLANNER_ACCELERATORS": str(p.accelerators_per_replica),
        "PLANNER_TENSOR_PARALLEL_RANKS": str(p.tensor_parallel_ranks or p.accelerators_per_replica),
        "PLANNER_CONTEXT_LIMIT_TOKENS": str(p.context_limit_tokens),
        "PLANNER_CONCURRENCY_LIMIT": str(p.concurrency_limit),
    }


def _pod(fleet: Fleet, r: Running, given: Mapping[str, str], chips: int) -> dict[str, Any]:
    resource = given[f"resource.{r.profile.stack}"]
    amount = {resource: str(chips)}
    tries = max(3, math.ceil(2 * r.profile.load_seconds / PROBE_SECONDS))
    check = {"httpGet": {"path": "/health", "port": PORT}}
    container = {
        "name": "serve",
        "image": f"{given['image']}:{slug(f'{r.model.model}/{r.profile.name}')}",
        "envFrom": [{"configMapRef": {"name": fleet.running_name[r.id]}}],
        "ports": [{"name": "http", "containerPort": PORT}],
        "resources": {"requests": amount, "limits": amount},
        "startupProbe": {**check, "periodSeconds": PROBE_SECONDS, "failureThreshold": tries},
        "readinessProbe": {**check, "periodSeconds": PROBE_SECONDS, "failureThreshold": 1},
    }
    return {
        "nodeSelector": _node_selector(fleet, r),
        "tolerations": _tolerations(fleet, r, resource),
        "containers": [container],
    }


def _node_selector(fleet: Fleet, r: Running) -> dict[str, str]:
    """Nodes of the pool; replicas that failures count on never stand on spot machines."""
    machine, provider = fleet.machine_of[r.pool].name, fleet.site_of[r.pool].provider
    selector = {
        f"{PREFIX}/pool": fleet.pool_name[r.pool],
        f"{PREFIX}/counts-in-failures": "false" if r.on_spot else "true",
    }
    if provider == "google" and machine in TPU_SLICE:
        accelerator, topology = TPU_SLICE[machine]
        selector |= {
            "cloud.google.com/gke-tpu-accelerator": accelerator,
            "cloud.google.com/gke-tpu-topology": topology,
        }
    elif provider in ("aws", "azure", "google") and _LABEL.fullmatch(machine):
        selector["node.kubernetes.io/instance-type"] = machine
    return selector


def _tolerations(fleet: Fleet, r: Running, resource: str) -> list[dict[str, str]]:
    tolerations = [{"key": resource, "operator": "Exists", "effect": "NoSchedule"}]
    if r.on_spot and fleet.site_of[r.pool].provider == "azure":
        spot = {"key": "kubernetes.azure.com/scalesetpriority", "operator": "Equal", "value": "spot"}
        tolerations.append({**spot, "effect": "NoSchedule"})
    return tolerations


def _inference_pools(fleet: Fleet, running: Iterable[Running], given: Mapping[str, str]) -> list[dict[str, Any]]:
    """An InferencePool of each placement: its non-preemptible replicas and those on spot machines together."""
    placements = {r.placement: r for r in running}
    names = distinct(placements, MOST_POOL_NAME)
    return [
        {
            "apiVersion": "inference.networking.k8s.io/v1",
            "kind": "InferencePool",
            "metadata": {
                "name": names[placement],
                "namespace": given["namespace"],
                "annotations": {f"{PREFIX}/placement": placement},
            },
            "spec": {
                "selector": {"matchLabels": _pool_selector(placement, fleet, r)},
                "targetPorts": [{"number": PORT}],
                "endpointPickerRef": {
                    "name": f"{names[placement]}-epp",
                    "port": {"number": 9002},
                    "failureMode": "FailOpen",
                },
            },
        }
        for placement, r in sorted(placements.items())
    ]


def _pool_selector(placement: str, fleet: Fleet, r: Running) -> dict[str, str]:
    """Pods that answer requests: all of them, or the leaders."""
    spans = r.profile.accelerators_per_replica > node_chips(fleet.machine_of[r.pool])
    leaders = {"leaderworkerset.sigs.k8s.io/worker-index": "0"} if spans else {}
    return {f"{PREFIX}/placement": slug(placement), **leaders}


def route_weights(fleet: Fleet, placements: Iterable[str], states: Iterable[State]) -> dict[str, dict[str, float]]:
    """Workload: placement: requests/s over all origins in the given states; the largest where there are several."""
    inside = set(placements)
    most: dict[str, dict[str, float]] = {}
    for state in states:
        sums: dict[tuple[str, str], float] = {}
        for w, e, value in zip(state.workload, state.placement, state.requests_per_second, strict=True):
            if e in inside and value > 0:
                sums[w, e] = sums.get((w, e), 0.0) + value
        for (w, e), value in sums.items():
            flows = most.setdefault(w, {})
            flows[e] = max(flows.get(e, 0.0), value)
    return dict(sorted(most.items()))


def integer_weights(flows: Mapping[str, float]) -> dict[str, int]:
    """Weights of a route that add up to 10,000, by placement."""
    order = sorted(flows)
    return dict(zip(order, largest_remainder([flows[e] for e in order], WEIGHTS_ADD_UP_TO), strict=True))


def _routes(fleet: Fleet, running: list[Running], given: Mapping[str, str]) -> list[dict[str, Any]]:
    """An HTTPRoute of each workload; requests say whose they are in the header `x-planner-workload`."""
    normal = [state for state in fleet.plan.file.states if state.failure == NORMAL]
    routes = []
    names = distinct(w.name for w in fleet.plan.study.workloads)
    pools = distinct({r.placement for r in running}, MOST_POOL_NAME)
    for w, flows in route_weights(fleet, pools, normal).items():
        if len(flows) > MOST_BACKENDS:
            expected, fix = f"at most {MOST_BACKENDS} placements", "plan fewer profiles of its model in the region"
            raise InputError([Finding(f"workload {w[:80]!r}", expected, str(len(flows)), fix)])
        weights, total = integer_weights(flows), sum(flows.values())
        error = max(abs(n / WEIGHTS_ADD_UP_TO - flows[e] / total) for e, n in weights.items())
        backends = [
            {"group": "inference.networking.k8s.io", "kind": "InferencePool", "name": pools[e], "weight": n}
            for e, n in weights.items()
        ]
        header = {"type": "Exact", "name": "x-planner-workload", "value": names[w]}
        routes.append(
            {
                "apiVersion": "gateway.networking.k8s.io/v1",
                "kind": "HTTPRoute",
                "metadata": {
                    "name": names[w],
                    "namespace": given["namespace"],
                    "annotations": {
                        f"{PREFIX}/workload": w,
                        f"{PREFIX}/requests-per-second": f"{total:.6f}",
                        f"{PREFIX}/weight-error": f"{error:.2e}",
                    },
                },
                "spec": {
                    "parentRefs": [{"name": given["gateway"]}],
                    "rules": [{"matches": [{"headers": [header]}], "backendRefs": backends}],
                },
            }
        )
    return routes


def _failures(fleet: Fleet) -> dict[str, Any]:
    """Replicas that run and weights that hold at each deadline of a failure, where normal operation has others."""
    regions = _by_region(fleet)
    replicas, weights = [], []
    for state in fleet.plan.file.states:
        if state.failure == NORMAL or state.same_as_normal:
            continue
        when = {"failure": state.failure, "deadline_seconds": state.deadline_seconds, "hour": state.hour}
        for placement in sorted({*state.kept, *state.cold_started}):
            counts = {"kept": state.kept.get(placement), "cold_started": state.cold_started.get(placement, 0)}
            replicas.append({**when, "placement": placement, "name": fleet.running_name[placement], **counts})
        for region, running in regions.items():
            for w, flows in route_weights(fleet, {r.placement for r in running}, [state]).items():
                weights.append({**when, "region": region, "workload": w, "weights": integer_weights(flows)})
    return {
        "plan": fleet.plan.file.digest_sha256,
        "meaning": {
            "replicas": "kept: replicas still running, null: all that survive; cold_started: replicas to start",
            "weights": "of a workload's route in the cluster of a region; a route that is missing serves nothing",
        },
        "replicas": replicas,
        "weights": weights,
    }


def _yaml(objects: list[dict[str, Any]], options: Mapping[str, str]) -> str:
    said = ("NOT PROVEN, see NOT-PROVEN.md",) if options.get("not_proven") else ()
    head = "".join(f"# {line}\n" for line in ("Generated from a plan; do not edit.", *said))
    return head + "".join("---\n" + quoted_yaml(one) for one in objects)
