"""What breaks machines and replicas on purpose: templates of AWS FIS, Azure Chaos Studio and Chaos Mesh.

Actions, what they aim at and their parameters stand with their sources in fault_actions.csv; nothing else is written.
"""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files as packaged
from typing import Any

from planner.emit.names import slug
from planner.study.records.base import Name, Record

PREFIX = "capacity-planner"
PERCENT = 100
EKS_GROUP = "eks:nodegroup-name"
"""Tag that EKS gives the instances and the Auto Scaling group of a managed node group."""


class FaultAction(Record):
    """An action that a service knows."""

    service: Name
    action: Name
    target_key: Name
    target_type: Name
    parameters: tuple[str, ...]
    source: Name
    as_of: Name


def _read() -> dict[str, FaultAction]:
    text = packaged("planner.emit").joinpath("fault_actions.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines())
    return {row["action"]: FaultAction.model_validate({**row, "parameters": row["parameters"].split()}) for row in rows}


FAULT_ACTIONS: Mapping[str, FaultAction] = _read()
STOP, NO_CAPACITY = "aws:ec2:stop-instances", "aws:ec2:asg-insufficient-instance-capacity-error"
DISCONNECT = "aws:network:disrupt-connectivity"
SHUT_DOWN = "urn:csci:microsoft:virtualMachineScaleSet:shutdown/2.0"
POD_FAILURE, PARTITION = "pod-failure", "partition"


@dataclass(frozen=True)
class Group:
    """Machines of one group of nodes, and the share of them that is lost (0 to 1).

    Parameters
    ----------
    zone : none: the environment's
    tag : (key, value) of its instances and its Auto Scaling group; none: that of the EKS node group of its name
    """

    name: str
    lost_fraction: float
    zone: str | None
    tag: tuple[str, str] | None = None


def _percent(lost_fraction: float) -> int:
    """Whole percent, at least 1: what is lost is never rounded to nothing."""
    return max(1, round(PERCENT * lost_fraction))


def _duration(minutes: int) -> str:
    """ISO 8601."""
    return f"PT{minutes}M"


# ------------------------------------------------------------------ AWS
def aws_template(
    failure: str,
    groups: Sequence[Group],
    minutes: int,
    zones: str,
    role_arn: str,
    alarm_arn: str | None,
    subnet_tag: tuple[str, str] | None,
    is_region_lost: bool,
) -> dict[str, Any]:
    """Input of FIS CreateExperimentTemplate, for one region: nodes stop, none is made in their place.

    Instances and Auto Scaling groups of an EKS managed node group are known by the tag that EKS gives them. Where all
    of the region is lost and the subnets are known, they are cut off, too.

    Parameters
    ----------
    zones : availability zones in which no instance is to be had, with commas, where a group does not name its own
    alarm_arn : CloudWatch alarm that ends the experiment; none: nothing but a person does
    subnet_tag : (key, value) of the subnets to cut off
    is_region_lost : whether nothing of the plan's groups in the region remains: only then are its subnets cut off
    """
    lasts = _duration(minutes)
    targets: dict[str, Any] = {}
    actions: dict[str, Any] = {}

    def act(name: str, action: str, group: str, target: dict[str, Any], parameters: dict[str, str]) -> None:
        known = FAULT_ACTIONS[action]
        targets[f"{name}-{group}"] = {"resourceType": known.target_type, **target}
        aim = {known.target_key: f"{name}-{group}"}
        actions[f"{name}-{group}"] = {"actionId": action, "parameters": parameters, "targets": aim}

    for group in groups:
        tags = dict([group.tag or (EKS_GROUP, group.name)])
        running = [{"path": "State.Name", "values": ["running"]}]
        part = "ALL" if group.lost_fraction >= 1 else f"PERCENT({_percent(group.lost_fraction)})"
        stop = {"startInstancesAfterDuration": lasts, "completeIfInstancesTerminated": "true"}
        act("stop", STOP, group.name, {"resourceTags": tags, "filters": running, "selectionMode": part}, stop)
        starved = {
            "availabilityZoneIdentifiers": group.zone or zones,
            "duration": lasts,
            "percentage": str(_percent(group.lost_fraction)),
        }
        act("starve", NO_CAPACITY, group.name, {"resourceTags": tags, "selectionMode": "ALL"}, starved)
    if subnet_tag and is_region_lost:
        subnets = {"resourceTags": dict([subnet_tag]), "selectionMode": "ALL"}
        act("cut", DISCONNECT, "subnets", subnets, {"duration": lasts, "scope": "all"})
    stop_at = {"source": "aws:cloudwatch:alarm", "value": alarm_arn} if alarm_arn else {"source": "none"}
    return {
        "clientToken": slug(f"game day {failure}"),
        "description": f"Game day: {slug(failure)}",
        "stopConditions": [stop_at],
        "targets": targets,
        "actions": actions,
        "roleArn": role_arn,
        "tags": {"managed-by": PREFIX, "failure": slug(failure)},
        "experimentOptions": {"accountTargeting": "single-account", "emptyTargetResolutionMode": "fail"},
    }


# ------------------------------------------------------------------ Azure
def azure_experiment(
    failure: str, region: str, groups: Sequence[Group], minutes: int, scale_sets: Mapping[str, str]
) -> dict[str, Any]:
    """Body of a Chaos Studio experiment, for one region: the scale sets of node pools shut down, abruptly.

    Parameters
    ----------
    groups : that are lost whole; a scale set cannot be shut down in part but by zone
    scale_sets : group -> resource id of its scale set
    """
    known = FAULT_ACTIONS[SHUT_DOWN]
    selectors, branches = [], []
    for group in groups:
        target = {
            "type": known.target_key,
            "id": f"{scale_sets[group.name]}/providers/Microsoft.Chaos/targets/{known.target_type}",
        }
        selector: dict[str, Any] = {"type": "List", "id": group.name, "targets": [target]}
        if group.zone:
            selector["filter"] = {"type": "Simple", "parameters": {"zones": [group.zone]}}
        selectors.append(selector)
        action = {
            "type": "continuous",
            "name": SHUT_DOWN,
            "selectorId": group.name,
            "duration": _duration(minutes),
            "parameters": [{"key": "abruptShutdown", "value": "true"}],
        }
        branches.append({"name": group.name, "actions": [action]})
    return {
        "location": region,
        "identity": {"type": "SystemAssigned"},
        "tags": {"managed-by": PREFIX, "failure": slug(failure)},
        "properties": {"selectors": selectors, "steps": [{"name": slug(failure), "branches": branches}]},
    }


# ------------------------------------------------------------------ Kubernetes
def chaos_mesh(
    failure: str,
    action: str,
    namespace: str,
    lost_fraction: Mapping[str, float],
    minutes: int,
    gateway_namespace: str = "",
) -> list[dict[str, Any]]:
    """Objects of Chaos Mesh for one cluster: pods of placements fail (connections are refused), or nothing that they
    send arrives (connections are never answered).

    Parameters
    ----------
    action : pod-failure or partition
    lost_fraction : placement -> share of its replicas (0 to 1)
    gateway_namespace : pods are cut off from those of this namespace alone; empty: from everything, the kubelet too
    """
    cut_off: dict[str, Any] = {"direction": "to"}
    if gateway_namespace:
        cut_off["target"] = {"mode": "all", "selector": {"namespaces": [gateway_namespace]}}
    by_percent: dict[int, list[str]] = {}
    for placement, fraction in sorted(lost_fraction.items()):
        by_percent.setdefault(PERCENT if fraction >= 1 else _percent(fraction), []).append(slug(placement))
    made = []
    for percent, placements in sorted(by_percent.items()):
        # a share of each placement, not of all together: one object a placement where only a part is lost
        for chosen in [placements] if percent == PERCENT else [[one] for one in placements]:
            name = slug(f"{failure} {action} {percent} {' '.join(chosen)}")
            spec: dict[str, Any] = {
                "action": action,
                "mode": "all" if percent == PERCENT else "fixed-percent",
                **({} if percent == PERCENT else {"value": str(percent)}),
                "duration": f"{minutes}m",
                "selector": {
                    "namespaces": [namespace],
                    "expressionSelectors": [{"key": f"{PREFIX}/placement", "operator": "In", "values": chosen}],
                },
                **(cut_off if action == PARTITION else {}),
            }
            metadata = {"name": name, "namespace": namespace, "labels": {"app.kubernetes.io/managed-by": PREFIX}}
            kind = FAULT_ACTIONS[action].target_type
            made.append({"apiVersion": "chaos-mesh.org/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec})
    return made
