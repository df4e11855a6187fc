"""Replicas of a placement for Kubernetes: settings, a Deployment or LeaderWorkerSet, a budget of disruptions."""

import math
import re
from collections.abc import Sequence
from typing import Any

from planner.emit.engines import (
    CACHE_PATH,
    VLLM,
    drain_script,
    drain_seconds,
    has_no_weights,
    variables,
    vllm_arguments,
)
from planner.emit.fleet import Fleet, Running, node_chips
from planner.emit.kubernetes_options import HEALTH_PATH, IMAGE_NOT_SET, PORT, PREFIX, Settings
from planner.emit.names import slug
from planner.emit.taints import taints_of
from planner.study.loading import load_seconds

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
START_CHECK_SECONDS = 10
BUSY_CHECK_SECONDS = 5
BUSY_ANSWER_SECONDS = 5
"""How long a check may take: a replica at its concurrency answers it late, not never."""
BUSY_CHECKS = 3
DEAD_CHECKS = 24
"""Checks in a row without an answer after which a replica is started anew: two minutes."""
UNLISTED_SECONDS = 10
"""Until a replica that is to end is off every list of endpoints (assumed)."""
END_SECONDS = 20
"""From the signal to the end of the program (assumed)."""
SHARED_GIB_PER_ACCELERATOR = 2
SCRIPTS, SCRIPTS_PATH, SCRIPT = f"{PREFIX}-scripts", f"/opt/{PREFIX}", "drain.py"
LEADER = {"leaderworkerset.sigs.k8s.io/worker-index": "0"}
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")


def nodes_of_replica(fleet: Fleet, r: Running) -> int:
    """Nodes that one replica stands on."""
    return math.ceil(r.profile.accelerators_per_replica / node_chips(fleet.machine_of[r.pool]))


def grace_seconds(fleet: Fleet, r: Running) -> int:
    """How long a replica that is to end is let live [s]."""
    return UNLISTED_SECONDS + drain_seconds(fleet, r) + END_SECONDS


def object_name(fleet: Fleet, r: Running) -> str:
    """Name of what runs replicas; a LeaderWorkerSet makes a Service of its name, which is not to be a placement's."""
    name = fleet.running_name[r.id]
    return f"{name}-set" if nodes_of_replica(fleet, r) > 1 else name


def placement_labels(placement: str) -> dict[str, str]:
    """Labels of all pods of a placement, on spot machines or not."""
    return {f"{PREFIX}/placement": slug(placement)}


def answering_labels(fleet: Fleet, r: Running) -> dict[str, str]:
    """Labels of the pods of a placement that answer requests: all of them, or the leaders."""
    return placement_labels(r.placement) | (LEADER if nodes_of_replica(fleet, r) > 1 else {})


def workload_objects(fleet: Fleet, r: Running, given: Settings) -> list[dict[str, Any]]:
    """The profile's settings as a ConfigMap, and a Deployment, or a LeaderWorkerSet where a replica spans nodes."""
    metadata = _metadata(fleet, r, given)
    settings = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": _settings(r)}
    nodes = nodes_of_replica(fleet, r)
    if nodes > 1:
        return [settings, _leader_worker_set(fleet, r, given, metadata, nodes)]
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
            "progressDeadlineSeconds": max(600, grace_seconds(fleet, r) + math.ceil(3 * _load_seconds(fleet, r))),
            "template": _template(fleet, r, given, nodes),
        },
    }
    return [settings, deployment]


def scripts(running: Sequence[Running], given: Settings) -> list[dict[str, Any]]:
    """What runs inside the serving images, as a ConfigMap; none where no replica needs it."""
    if not any(given.engine(r) == "vllm" for r in running):
        return []
    metadata = {"name": SCRIPTS, "namespace": given["namespace"]}
    return [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {SCRIPT: drain_script()}}]


def disruption_budget(placement: str, given: Settings) -> dict[str, Any]:
    """At most one replica of a placement is drained at a time: the plan has no spare for more."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {
            "name": slug(placement),
            "namespace": given["namespace"],
            "annotations": {f"{PREFIX}/placement": placement},
        },
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": placement_labels(placement)}},
    }


def _metadata(fleet: Fleet, r: Running, given: Settings) -> dict[str, Any]:
    """Slugs as labels, what people wrote as annotations."""
    return {
        "name": object_name(fleet, r),
        "namespace": given["namespace"],
        "labels": _labels(fleet, r),
        "annotations": {f"{PREFIX}/placement": r.placement, f"{PREFIX}/plan": fleet.plan.file.digest_sha256},
    }


def _labels(fleet: Fleet, r: Running) -> dict[str, str]:
    return {
        "app.kubernetes.io/managed-by": PREFIX,
        **placement_labels(r.placement),
        f"{PREFIX}/replicas": fleet.running_name[r.id],
    }


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


def _leader_worker_set(
    fleet: Fleet, r: Running, given: Settings, metadata: dict[str, Any], nodes: int
) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "replicas": r.replicas,
        "leaderWorkerTemplate": {
            "size": nodes,
            "restartPolicy": "RecreateGroupOnPodRestart",
            "leaderTemplate": _template(fleet, r, given, nodes),
            "workerTemplate": _template(fleet, r, given, nodes, worker=True),
        },
    }
    return {"apiVersion": "leaderworkerset.x-k8s.io/v1", "kind": "LeaderWorkerSet", "metadata": metadata, "spec": spec}


def _template(fleet: Fleet, r: Running, given: Settings, nodes: int, worker: bool = False) -> dict[str, Any]:
    spec = {
        "nodeSelector": _node_selector(fleet, r),
        "tolerations": _tolerations(fleet, r, given),
        "terminationGracePeriodSeconds": grace_seconds(fleet, r),
        "enableServiceLinks": False,  # a Service called vllm would set VLLM_PORT, which vLLM reads
        "containers": [_container(fleet, r, given, nodes, worker)],
        "volumes": _volumes(r, given, nodes, worker),
    }
    return {"metadata": {"labels": _labels(fleet, r)}, "spec": spec}


# ------------------------------------------------------------------ the container
def _container(fleet: Fleet, r: Running, given: Settings, nodes: int, worker: bool) -> dict[str, Any]:
    amount = _resources(r, given, nodes)
    made: dict[str, Any] = {"name": "serve", "image": given.image(r)}
    if given.engine(r) == "vllm":
        made["command"] = list(VLLM)
        made["args"] = [*vllm_arguments(r, given, nodes), *(["--headless"] if worker else [])]
    made["envFrom"] = [{"configMapRef": {"name": object_name(fleet, r)}}]
    made["env"] = _variables(r, given)
    made["resources"] = {"requests": amount, "limits": amount}
    made["volumeMounts"] = [
        {"name": "shared-memory", "mountPath": "/dev/shm"},
        {"name": "cache", "mountPath": CACHE_PATH},
    ]
    if worker:  # answers no requests: its leader is asked, and restarts all of them
        return made
    if given.engine(r) == "vllm":
        made["volumeMounts"].append({"name": "scripts", "mountPath": SCRIPTS_PATH})
    made["ports"] = [{"name": "http", "containerPort": PORT}]
    made["lifecycle"] = {"preStop": _before_the_end(fleet, r, given)}
    return made | _probes(fleet, r)


def _variables(r: Running, given: Settings) -> list[dict[str, Any]]:
    """Where things are kept, and the token by reference."""
    made: list[dict[str, Any]] = []
    if given.engine(r) == "vllm":
        made = [{"name": name, "value": value} for name, value in variables(r).items()]
    if given["token_secret"]:
        key = {"name": given["token_secret"], "key": "token"}
        made.append({"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": key}})
    return made


def _load_seconds(fleet: Fleet, r: Running) -> float:
    """How long its replicas take to start, as the study plans it [s]."""
    return load_seconds(fleet.plan.study, r.profile)


def _probes(fleet: Fleet, r: Running) -> dict[str, Any]:
    """Time to load twice over; then a busy replica is let answer late, and one that is silent for long starts anew."""
    check = {"httpGet": {"path": HEALTH_PATH, "port": PORT}}
    tries = max(3, math.ceil(2 * _load_seconds(fleet, r) / START_CHECK_SECONDS))
    busy = {**check, "periodSeconds": BUSY_CHECK_SECONDS, "timeoutSeconds": BUSY_ANSWER_SECONDS}
    return {
        "startupProbe": {**check, "periodSeconds": START_CHECK_SECONDS, "failureThreshold": tries},
        "readinessProbe": {**busy, "failureThreshold": BUSY_CHECKS},
        "livenessProbe": {**busy, "failureThreshold": DEAD_CHECKS},
    }


def _before_the_end(fleet: Fleet, r: Running, given: Settings) -> dict[str, Any]:
    """What happens before the signal to end: vLLM is waited for, another program is only taken off the lists."""
    if given.engine(r) != "vllm":
        return {"sleep": {"seconds": UNLISTED_SECONDS}}
    most = UNLISTED_SECONDS + drain_seconds(fleet, r)
    metrics = f"http://127.0.0.1:{PORT}/metrics"
    return {"exec": {"command": ["python3", f"{SCRIPTS_PATH}/{SCRIPT}", metrics, str(UNLISTED_SECONDS), str(most)]}}


def _resources(r: Running, given: Settings, nodes: int) -> dict[str, str]:
    """Accelerators of a pod; processors and memory where the settings say how many an accelerator has."""
    chips = math.ceil(r.profile.accelerators_per_replica / nodes)
    amount = {given.resource(r): str(chips)}
    if given["cpu_per_accelerator"]:
        amount["cpu"] = f"{math.ceil(1000 * chips * float(given['cpu_per_accelerator']))}m"
    if given["memory_gib_per_accelerator"]:
        amount["memory"] = f"{math.ceil(1024 * chips * float(given['memory_gib_per_accelerator']))}Mi"
    return amount


def _volumes(r: Running, given: Settings, nodes: int, worker: bool) -> list[dict[str, Any]]:
    """Shared memory for the ranks of a pod, what is downloaded and compiled, and what runs before the end."""
    chips = math.ceil(r.profile.accelerators_per_replica / nodes)
    shared = {"medium": "Memory", "sizeLimit": f"{SHARED_GIB_PER_ACCELERATOR * chips}Gi"}
    claim = given["cache_claim"]
    kept = {"persistentVolumeClaim": {"claimName": claim}} if claim else {"emptyDir": {}}
    made = [{"name": "shared-memory", "emptyDir": shared}, {"name": "cache", **kept}]
    if given.engine(r) == "vllm" and not worker:
        made.append({"name": "scripts", "configMap": {"name": SCRIPTS}})
    return made


# ------------------------------------------------------------------ which nodes
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


def _tolerations(fleet: Fleet, r: Running, given: Settings) -> list[dict[str, str]]:
    """What clouds and device plugins taint accelerators with, and what the settings say that nodes have."""
    tolerations = [{"key": given.resource(r), "operator": "Exists", "effect": "NoSchedule"}]
    tolerations += [taint.toleration() for taint in taints_of(given["taints"]) or ()]
    if r.on_spot and fleet.site_of[r.pool].provider == "azure":
        spot = {"key": "kubernetes.azure.com/scalesetpriority", "operator": "Equal", "value": "spot"}
        tolerations.append({**spot, "effect": "NoSchedule"})
    return tolerations


def not_set(running: Sequence[Running], given: Settings) -> list[str]:
    """What only the settings can say and do not, in our own words: the head of the files says it."""
    said = []
    if any(given.image(r) == IMAGE_NOT_SET for r in running):
        said.append("IMAGES ARE NOT SET: hosts under .invalid are placeholders; see setting image.")
    if any(given.engine(r) == "vllm" and has_no_weights(r, given) for r in running):
        said.append(f"WEIGHTS ARE NOT SET: {CACHE_PATH} is empty at first; see settings weights and cache_claim.")
    return said
