"""What runs, read from Terraform state, from lists of Kubernetes nodes and pods, and from CSV."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from planner.emit.fleet import Fleet, fleet_of, nodes_of
from planner.emit.names import distinct, slug
from planner.errors import Finding, InputError
from planner.plan.in_hand import Plan
from planner.study.files import parse_json
from planner.study.places import near_miss, printable_path
from planner.study.records.plan import PlanFile
from planner.study.tables import read_text

FIX = "terraform show -json, kubectl get nodes or pods -o json, or CSV with pool, machines, profile, replicas"
POOL_LABEL, PLACEMENT_LABEL = "capacity-planner/pool", "capacity-planner/placement"
CLOUDS = ("aws", "google", "azure")
COUNTED: Mapping[str, tuple[str, str, str]] = {
    "aws_eks_node_group": ("groups", "scaling_config.desired_size", "instance_types"),
    "google_container_node_pool": ("groups", "node_count", "node_config.machine_type"),
    "azurerm_kubernetes_cluster_node_pool": ("groups", "node_count", "vm_size"),
    "aws_ec2_capacity_reservation": ("reserved", "instance_count", "instance_type"),
    "aws_ec2_capacity_block_reservation": ("reserved", "instance_count", "instance_type"),
    "google_compute_reservation": (
        "reserved",
        "specific_reservation.count",
        "specific_reservation.instance_properties.machine_type",
    ),
    "azurerm_capacity_reservation": ("reserved", "sku.capacity", "sku.name"),
}
"""Terraform type: what it counts, and where in its attributes the count and the machine type stand."""
TYPE_LABELS = ("node.kubernetes.io/instance-type", "beta.kubernetes.io/instance-type")
PLACE_LABELS = (
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
)
"""Labels that clouds put on nodes themselves: what a node is, and where."""


@dataclass(frozen=True)
class Actual:
    """What runs, as far as the files say: nothing said of a pool in none of them means none there.

    Parameters
    ----------
    machines : by pool; none: no file counts machines
    replicas : by placement; none: no file counts replicas
    reserved : machines in reservations by pool; none: no file counts them
    strange : things in the files that the plan does not know
    unlabelled : nodes of a machine type of the study that no label counts to a pool, by the pool that they would be in,
        or by type and place where there is none
    """

    machines: Mapping[str, int] | None
    replicas: Mapping[str, int] | None
    reserved: Mapping[str, int] | None
    strange: tuple[str, ...] = ()
    unlabelled: Mapping[str, int] = field(default_factory=dict)


@dataclass
class _Counts:
    """What the files say so far: of each kind (machines, nodes, groups, reserved, replicas, unlabelled) by pool or
    placement; a kind that no file counts is not in it."""

    of: dict[str, dict[str, int]] = field(default_factory=dict)
    strange: list[str] = field(default_factory=list)

    def add(self, kind: str, key: str, count: int) -> None:
        """So many more."""
        by_key = self.of.setdefault(kind, {})
        by_key[key] = by_key.get(key, 0) + count

    def machines(self) -> dict[str, int] | None:
        """Nodes count rather than the groups that should have them; what a person states counts rather than both."""
        stated, nodes, groups = (self.of.get(kind) for kind in ("machines", "nodes", "groups"))
        counted = groups if nodes is None else nodes
        if stated is None or counted is None:
            return counted if stated is None else stated
        return {**counted, **stated}


def read_actual(paths: Sequence[Path], plan: PlanFile | Plan) -> Actual:
    """Read Terraform state or plan JSON, lists of Kubernetes nodes and pods, and CSV; counts of several files add up.

    Raises
    ------
    InputError
        when a file is none of these, or none of them has anything to count
    """
    fleet = fleet_of(plan)
    counts = _Counts()
    findings: list[Finding] = []
    for path in paths:
        try:
            text = _text(path)
            if path.suffix.lower() == ".csv":
                _read_csv(path, text, fleet, counts)
            else:
                _read_json(path, text, fleet, counts)
        except InputError as error:
            findings += error.findings
    if findings:
        raise InputError(findings)
    if not counts.of and not counts.strange:
        fix = "export it again: what is not named counts as not there, so an export that failed must not pass for one"
        got = "nothing that is counted: no machines, nodes, groups, replicas or reservations"
        raise InputError([Finding(", ".join(map(printable_path, paths)), "what runs today", got, fix)])
    for pool, nodes in counts.of.get("nodes", {}).items():  # a machine of several nodes counts when it has all of them
        counts.of["nodes"][pool] = nodes // nodes_of(fleet.machine_of[pool])
    return Actual(
        machines=counts.machines(),
        replicas=counts.of.get("replicas"),
        reserved=counts.of.get("reserved"),
        strange=tuple(dict.fromkeys(counts.strange)),
        unlabelled=counts.of.get("unlabelled", {}),
    )


def _text(path: Path) -> str:
    return read_text(path, pipes=True)


def _bad(where: object, expected: str, got: str) -> InputError:
    return InputError([Finding(str(where), expected, got[:200], FIX)])


def _read_json(path: Path, text: str, fleet: Fleet, counts: _Counts) -> None:
    data = parse_json(text, printable_path(path), FIX)
    if not isinstance(data, dict):
        raise _bad(path, "an object", f"a JSON {type(data).__name__}")
    try:
        if "items" in data:
            _read_list(path, data["items"], fleet, counts)
        elif "resources" in data or "values" in data or "planned_values" in data:
            _read_state(data, fleet, counts)
        else:
            raise _bad(path, "Terraform state, or a list of nodes or pods", f"fields {', '.join(map(str, data))[:80]}")
    except (AttributeError, TypeError, KeyError, ValueError, OverflowError) as error:
        raise _bad(path, "Terraform state, or a list of nodes or pods", f"{type(error).__name__}: {error}") from error


# ------------------------------------------------------------------ Terraform
def _at(attributes: Mapping[str, Any], path: str) -> Any:
    """What stands at a dotted path of attributes, in the first block of each name; None where nothing does."""
    value: Any = attributes
    for name in path.split("."):
        block = value[0] if isinstance(value, list) and value else value or {}
        value = block.get(name)
    return value


def _state_resources(data: Mapping[str, Any]) -> Iterable[tuple[str, Any, Mapping[str, Any], Any]]:
    """(type, index, attributes, name) of each instance, of a state file or of `terraform show -json`."""
    for resource in data.get("resources", ()):
        if resource.get("mode", "managed") == "managed":
            for instance in resource.get("instances", ()):
                if instance.get("deposed"):
                    continue  # replaced, and about to be destroyed
                yield (
                    resource["type"],
                    instance.get("index_key"),
                    instance.get("attributes") or {},
                    resource.get("name"),
                )
    top = data.get("values") or data.get("planned_values") or {}
    modules = [top.get("root_module") or {}]
    while modules:
        module = modules.pop()
        modules += module.get("child_modules", ())
        for resource in module.get("resources", ()):
            if resource.get("mode", "managed") == "managed":
                yield resource["type"], resource.get("index"), resource.get("values") or {}, resource.get("name")


def _read_state(data: Mapping[str, Any], fleet: Fleet, counts: _Counts) -> None:
    pool_of = {cell.name: cell.lot.pool for cloud in CLOUDS for cell in fleet.cells(cloud)}
    counts.of.setdefault("groups", {})
    counts.of.setdefault("reserved", {})
    for resource, index, attributes, called in _state_resources(data):
        if resource not in COUNTED:
            continue
        kind, count_at, type_at = COUNTED[resource]
        count, machine = _at(attributes, count_at) or 0, _at(attributes, type_at)
        if index in pool_of:
            counts.add(kind, pool_of[index], int(count))
            continue
        name = attributes.get("name") or attributes.get("node_group_name") or index or called
        machine = ", ".join(machine) if isinstance(machine, list) else machine
        counts.strange.append(f"{resource} {name}" + (f" ({count} of {machine})" if machine else ""))
    for pool, site in fleet.site_of.items():
        if site.provider not in CLOUDS:  # Terraform says nothing of it: as planned, unless another file counts
            counts.of["groups"].setdefault(pool, fleet.machines(pool))


# ------------------------------------------------------------------ Kubernetes
def _read_list(path: Path, items: Any, fleet: Fleet, counts: _Counts) -> None:
    pools = {name: q for q, name in fleet.pool_name.items()}
    placements = {slug(e): e for e in distinct({r.placement for r in fleet.running})}
    kinds = {item.get("kind") for item in items}
    if not kinds:  # kubectl does not say of what a list is empty
        named = [kind for kind in ("Node", "Pod") if kind.lower() in path.name.lower()]
        if len(named) != 1:
            raise _bad(path, "nodes or pods; of an empty list the file's name must say which", "an empty list")
        kinds = {named[0]}
    if not kinds <= {"Node", "Pod"}:
        raise _bad(path, "a list of nodes or pods", ", ".join(sorted(map(str, kinds))))
    if "Node" in kinds:
        counts.of.setdefault("nodes", {})
    if "Pod" in kinds:
        counts.of.setdefault("replicas", {})
    for item in items:
        labels = item["metadata"].get("labels") or {}
        ready = _ready(item)
        if item["kind"] == "Node" and POOL_LABEL in labels:
            _count(counts, "nodes", pools, labels[POOL_LABEL], ready)
        elif item["kind"] == "Node":
            _count_unlabelled(counts, fleet, labels)
        elif PLACEMENT_LABEL in labels:
            leader = labels.get("leaderworkerset.sigs.k8s.io/worker-index", "0") == "0"
            _count(counts, "replicas", placements, labels[PLACEMENT_LABEL], ready and leader)


def _count_unlabelled(counts: _Counts, fleet: Fleet, labels: Mapping[str, Any]) -> None:
    """Count a node without our label by what the cloud's own labels say, when it is of a machine type of the study."""
    study = fleet.plan.study
    machine = next((labels[name] for name in TYPE_LABELS if name in labels), None)
    if machine not in {known.name for known in study.machine_types}:
        return
    places = [labels[name] for name in PLACE_LABELS if name in labels]
    sites = {site.id: site for site in study.sites}
    pools = []
    for pool in study.pools:
        site = sites[pool.site]
        if pool.machine_type == machine and (site.region in places or site.site in places):
            pools.append(pool.id)
    planned = [q for q in pools if q in fleet.pools]
    nowhere = f"{machine} in {places[0] if places else 'a place that no label says'}"
    counts.add("unlabelled", (planned or pools or [nowhere])[0], 1)


def _ready(item: Mapping[str, Any]) -> bool:
    conditions = (item.get("status") or {}).get("conditions") or ()
    return any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)


def _count(counts: _Counts, kind: str, known: Mapping[str, str], label: str, is_one: bool) -> None:
    if label in known:
        counts.add(kind, known[label], int(is_one))
    else:
        counts.strange.append(f"{'nodes' if kind == 'nodes' else 'pods'} of {label}")


# ------------------------------------------------------------------ CSV
def _read_csv(path: Path, text: str, fleet: Fleet, counts: _Counts) -> None:
    """Columns pool, machines, profile, replicas: machines the same in each row of a pool."""
    rows = csv.DictReader(io.StringIO(text))
    header = list(rows.fieldnames or ())
    if "pool" not in header or not set(header) <= {"pool", "machines", "profile", "replicas"}:
        raise _bad(f"{path}:1", "columns pool, machines, profile, replicas", ", ".join(map(str, header)))
    study = fleet.plan.study
    pools = {pool.id for pool in study.pools}
    profiles = {f"{m.model}/{p.name}": p for m in study.models for p in m.profiles}
    findings: list[Finding] = []
    machines: dict[str, int] = {}
    replicas: dict[str, dict[str, int]] = {}
    place_of: dict[str, str] = {}
    for line, row in enumerate(rows, start=2):
        where, pool, profile = f"{path}:{line}", row.get("pool") or "", row.get("profile") or ""
        if pool not in pools:
            got = f"{pool[:80]!r}{near_miss(pool, pools)}"
            findings.append(Finding(f"{where}: pool", "a pool of the plan", got, "correct it"))
            continue
        if profile and profile not in profiles:
            got = f"{profile[:80]!r}{near_miss(profile, profiles)}"
            findings.append(Finding(f"{where}: profile", "a profile of the plan", got, "correct it"))
            continue
        for column, key in (("machines", pool), ("replicas", f"{profile}@{pool}" if profile else "")):
            cell = (row.get(column) or "").strip()
            if not cell or not key:
                continue
            if not (cell.isascii() and cell.isdigit()) or len(cell) > 9:
                findings.append(Finding(f"{where}: {column}", "a whole number", repr(cell[:80]), "count them"))
                continue
            count = int(cell)
            if column == "machines":
                machines.setdefault(pool, count)
            else:
                replicas.setdefault(pool, {}).setdefault(profile, count)
                place_of.setdefault(pool, f"{where}: {column}")
            before = counts.of.setdefault(column, {}).setdefault(key, count)
            if before != count:
                expected = f"{before}, as in an earlier row of it"
                findings.append(Finding(f"{where}: {column}", expected, cell, "state it once"))
    chips = {machine.name: machine.accelerators for machine in study.machine_types}
    chips_in = {pool.id: chips[pool.machine_type] for pool in study.pools}
    for pool in sorted(machines.keys() & replicas.keys()):
        needed = sum(n * profiles[profile].accelerators_per_replica for profile, n in replicas[pool].items())
        if needed > machines[pool] * chips_in[pool]:
            expected = f"replicas that fit on {machines[pool]} machines of {chips_in[pool]} accelerators"
            got = f"{sum(replicas[pool].values())}, which take {needed} accelerators"
            fix = "count replicas and machines of the pool again"
            findings.append(Finding(place_of[pool], expected, got, fix))
    if findings:
        raise InputError(findings)
