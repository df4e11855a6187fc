"""Kubernetes: replicas of each placement on the machines of its pool, where they are reached, and weights between them.

One cluster per region is assumed. What requests go to which cluster is the gateways' part; within a cluster an
HTTPRoute shares the requests of a workload among the Services of its placements.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from planner.emit.fleet import Fleet, Running, fleet_of
from planner.emit.kubernetes_options import OPTIONS, RESOURCES, Settings, settings
from planner.emit.kubernetes_routes import integer_weights, route_weights, workload_routes
from planner.emit.kubernetes_services import placement_route, service, service_backend
from planner.emit.kubernetes_workloads import disruption_budget, not_set, object_name, scripts, workload_objects
from planner.emit.names import distinct
from planner.emit.spreading import spread_head
from planner.emit.text import quoted_yaml, sorted_json
from planner.plan.in_hand import Plan
from planner.study.dependencies import NORMAL
from planner.study.records.plan import PlanFile

__all__ = ["OPTIONS", "RESOURCES", "by_region", "files", "kustomization", "manifest"]


def files(plan: PlanFile | Plan, options: Mapping[str, str]) -> dict[str, str]:
    """Manifests by region, and the replicas of every failure.

    Parameters
    ----------
    options : those of `planner.emit.kubernetes_options`

    Raises
    ------
    InputError
        when an option does not fit, or a stack has no known resource
    """
    fleet = fleet_of(plan)
    given = settings(fleet, options)
    made: dict[str, str] = {}
    not_proven = bool(options.get("not_proven"))
    for region, running in by_region(fleet).items():
        placements = {r.placement: r for r in running}
        objects = {
            "workloads.yaml": [_namespace(given), *_workloads(fleet, running, given)],
            "services.yaml": [service(fleet, r, given) for r in placements.values()],
            "routes.yaml": _routes(fleet, placements, given),
        }
        written = {name: listed for name, listed in objects.items() if listed}
        for name, listed in written.items():
            said = not_set(running, given) if name == "workloads.yaml" else []
            said += spread_head(fleet.plan) if name == "services.yaml" else []
            made[f"{region}/{name}"] = manifest(listed, not_proven, said)
        made[f"{region}/kustomization.yaml"] = manifest([kustomization(written)], not_proven)
    return made | {"failures.json": sorted_json(_failures(fleet))}


def by_region(fleet: Fleet) -> dict[str, list[Running]]:
    """Replicas by folder, `provider/region` with slugs of both."""
    providers = distinct(dict.fromkeys(site.provider for site in fleet.site_of.values()))
    by_folder: dict[str, list[Running]] = {}
    for r in fleet.running:
        folder = f"{providers[fleet.site_of[r.pool].provider]}/{fleet.region_name[r.pool]}"
        by_folder.setdefault(folder, []).append(r)
    return dict(sorted(by_folder.items()))


def kustomization(names: Iterable[str]) -> dict[str, Any]:
    """What `kubectl apply -k` reads of a folder."""
    return {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": list(names)}


def manifest(objects: list[dict[str, Any]], not_proven: bool, said: Iterable[str] = ()) -> str:
    """Objects as YAML documents, under what has to be said of them."""
    warning = ["NOT PROVEN, see NOT-PROVEN.md"] if not_proven else []
    head = "".join(f"# {line}\n" for line in ["Generated from a plan; do not edit.", *warning, *said])
    return head + "".join("---\n" + quoted_yaml(one) for one in objects)


def _namespace(given: Settings) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": given["namespace"]}}


def _workloads(fleet: Fleet, running: list[Running], given: Settings) -> list[dict[str, Any]]:
    """All replicas of a region, and a budget of disruptions for each placement."""
    made = scripts(running, given) + [one for r in running for one in workload_objects(fleet, r, given)]
    return made + [disruption_budget(placement, given) for placement in dict.fromkeys(r.placement for r in running)]


def _routes(fleet: Fleet, placements: Iterable[str], given: Settings) -> list[dict[str, Any]]:
    """Routes of workloads; and of placements, where a domain is set under which they have names."""
    placements = list(placements)
    made = workload_routes(fleet, placements, given, service_backend)
    return made + ([placement_route(placement, given) for placement in placements] if given["domain"] else [])


def _failures(fleet: Fleet) -> dict[str, Any]:
    """Replicas that run and weights that hold at each deadline of a failure, where normal operation has others."""
    regions = by_region(fleet)
    name_of = {r.placement: object_name(fleet, r) for r in reversed(fleet.running)}  # not that on spot where both are
    replicas, weights = [], []
    for state in fleet.plan.file.states:
        if state.failure == NORMAL or state.same_as_normal:
            continue
        when = {"failure": state.failure, "deadline_seconds": state.deadline_seconds, "hour": state.hour}
        for placement in sorted({*state.kept, *state.cold_started}):
            counts = {"kept": state.kept.get(placement), "cold_started": state.cold_started.get(placement, 0)}
            replicas.append({**when, "placement": placement, "name": name_of[placement], **counts})
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
