"""Terraform state: groups of nodes and reservations that a plan's files made, by their keys; others are named."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from planner.emit.actual_aws import resource_key
from planner.emit.actual_nodes import POOL_LABEL
from planner.emit.counts import Counts, not_counted
from planner.emit.fleet import Fleet, Lot
from planner.emit.node_facts import is_of
from planner.emit.terraform import CLOUDS


@dataclass(frozen=True)
class Kind:
    """A type of resource that is counted, and where in its attributes things stand.

    Parameters
    ----------
    counts : groups or reserved
    each : attribute that lists what the count is for each of, as zones
    spot : attribute, and its value in small letters, of machines that may be taken away
    """

    counts: str
    count: str
    machine_type: str
    spot: tuple[tuple[str, str], ...] = ()
    each: str = ""


IN_GOOGLE = "specific_reservation.instance_properties.machine_type"
COUNTED: Mapping[str, Kind] = {
    "aws_eks_node_group": Kind("groups", "scaling_config.desired_size", "instance_types", (("capacity_type", "spot"),)),
    "google_container_node_pool": Kind(
        "groups",
        "node_count",
        "node_config.machine_type",
        (("node_config.spot", "true"), ("node_config.preemptible", "true")),
        each="node_locations",
    ),
    "azurerm_kubernetes_cluster_node_pool": Kind("groups", "node_count", "vm_size", (("priority", "spot"),)),
    "aws_ec2_capacity_reservation": Kind("reserved", "instance_count", "instance_type"),
    "aws_ec2_capacity_block_reservation": Kind("reserved", "instance_count", "instance_type"),
    "google_compute_reservation": Kind("reserved", "specific_reservation.count", IN_GOOGLE),
    "azurerm_capacity_reservation": Kind("reserved", "sku.capacity", "sku.name"),
}
"""Terraform type -> what it counts; attributes as in the providers' schemas (aws 5.100, google 6.50, azurerm 4.55).

GKE counts the nodes of a pool by zone (google provider, google_container_node_pool: node_count)."""
FORMAT = "format_version"
"""What `terraform show -json` says where there is no state yet, and little else: nothing runs."""
OF_A_PLAN = ("planned_values", "resource_changes", "prior_state", "configuration")
"""Fields that `terraform show -json` has of a plan only (HashiCorp, JSON Output Format 1.2)."""


def read_state(path: Path, data: Mapping[str, Any], fleet: Fleet, counts: Counts) -> None:
    """Count the groups and reservations of a state file, or of `terraform show -json`.

    Raises
    ------
    InputError
        when it is a Terraform plan: what is going to be is nothing that runs
    """
    if of_plan := [field for field in OF_A_PLAN if field in data]:
        got = f"a Terraform plan (it has {', '.join(of_plan)}): what will be, not what runs"
        fix = "`terraform show -json` without the name of a plan file shows the state"
        raise not_counted(path, "Terraform state", got, fix)
    lot_of = {cell.name: cell.lot for cloud in CLOUDS for cell in fleet.cells(cloud)}
    counts.of.setdefault("groups", {})
    counts.of.setdefault("reserved", {})
    counts.reservations_of.update(CLOUDS)
    for type_name, index, attributes, called in _resources(data):
        if type_name not in COUNTED:
            continue
        keys = {resource_key(attributes["id"])} if attributes.get("id") else set()
        if not counts.is_repeated("resources", keys):
            _count(type_name, attributes, lot_of.get(index), index or called, fleet, counts)
    for pool, site in fleet.site_of.items():
        if site.provider not in CLOUDS:  # Terraform says nothing of it: as planned, unless another file counts
            counts.of["groups"].setdefault(pool, fleet.machines(pool))


def _count(
    type_name: str, attributes: Mapping[str, Any], lot: Lot | None, called: object, fleet: Fleet, counts: Counts
) -> None:
    kind = COUNTED[type_name]
    count, machine = int(_at(attributes, kind.count) or 0), _at(attributes, kind.machine_type)
    count *= max(1, len(attributes.get(kind.each) or ()))
    types = [str(part) for part in (machine if isinstance(machine, list) else [machine]) if part]
    if lot is None:
        name = attributes.get("name") or attributes.get("node_group_name") or called
        named = f"{type_name} {name}" + (f" ({count} of {', '.join(types)})" if types else "")
        if _is_ours(attributes):
            counts.strange[named] = "machines" if kind.counts == "groups" else "reservations"
        else:
            counts.add_foreign(named)
        return
    if any(not is_of(fleet.machine_of[lot.pool], name) for name in types):
        what = "groups of another type" if kind.counts == "groups" else "reservations of another type"
        counts.leave_out(what, lot.pool, ", ".join(types), count)
        return
    counts.add(kind.counts, lot.pool, count)
    if kind.counts == "groups":
        on_spot = any(str(_at(attributes, at)).lower() == value for at, value in kind.spot)
        if on_spot:
            counts.add("groups on spot", lot.pool, count)
        if on_spot == (lot.kind == "spot"):
            counts.add("groups of a contract", lot.id, count)


def _is_ours(attributes: Mapping[str, Any]) -> bool:
    """Whether a plan's files made it, by the tags and labels that they give."""
    tags = {**(attributes.get("tags") or {}), **(attributes.get("tags_all") or {})}
    labels = [attributes.get("labels"), attributes.get("node_labels"), _at(attributes, "node_config.labels")]
    return tags.get("managed-by") == "capacity-planner" or any(POOL_LABEL in (part or {}) for part in labels)


def _at(attributes: Mapping[str, Any], path: str) -> Any:
    """What stands at a dotted path of attributes, in the first block of each name; None where nothing does."""
    value: Any = attributes
    for name in path.split("."):
        block = value[0] if isinstance(value, list) and value else value or {}
        value = block.get(name)
    return value


def _resources(data: Mapping[str, Any]) -> Iterable[tuple[str, Any, Mapping[str, Any], Any]]:
    """(type, index, attributes, name) of each instance, of a state file or of `terraform show -json`."""
    for resource in data.get("resources", ()):
        if resource.get("mode", "managed") != "managed":
            continue
        for instance in resource.get("instances", ()):
            if not instance.get("deposed"):  # replaced, and about to be destroyed
                index = instance.get("index_key")
                yield resource["type"], index, instance.get("attributes") or {}, resource.get("name")
    modules = [(data.get("values") or {}).get("root_module") or {}]
    while modules:
        module = modules.pop()
        modules += module.get("child_modules", ())
        for resource in module.get("resources", ()):
            if resource.get("mode", "managed") == "managed" and not resource.get("deposed_key"):
                yield resource["type"], resource.get("index"), resource.get("values") or {}, resource.get("name")
