"""What runs, read from Terraform state, from lists of Kubernetes nodes and pods, and from CSV."""

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from planner.emit.fleet import Fleet, fleet_of, nodes_of
from planner.emit.names import distinct, slug
from planner.errors import Finding, InputError
from planner.study.files import parse_json
from planner.study.places import near_miss, printable_path
from planner.study.records.plan import PlanFile
from planner.study.tables import read_text

FIX = "terraform show -json, kubectl get nodes or pods -o json, or CSV with pool, machines, profile, replicas"
POOL_LABEL, PLACEMENT_LABEL = "capacity-planner/pool", "capacity-planner/placement"
COUNTS: Mapping[str, tuple[str, Callable[[Mapping[str, Any]], Any]]] = {
    "aws_eks_node_group": ("groups", lambda a: _first(a, "scaling_config").get("desired_size")),
    "google_container_node_pool": ("groups", lambda a: a.get("node_count")),
    "azurerm_kubernetes_cluster_node_pool": ("groups", lambda a: a.get("node_count")),
    "aws_ec2_capacity_reservation": ("reserved", lambda a: a.get("instance_count")),
    "aws_ec2_capacity_block_reservation": ("reserved", lambda a: a.get("instance_count")),
    "google_compute_reservation": ("reserved", lambda a: _first(a, "specific_reservation").get("count")),
    "azurerm_capacity_reservation": ("reserved", lambda a: _first(a, "sku").get("capacity")),
}
"""Terraform type: what it counts, and where in its attributes; none there: it is not counted."""
TYPES: Mapping[str, Callable[[Mapping[str, Any]], Any]] = {
    "aws_eks_node_group": lambda a: ", ".join(a.get("instance_types") or ()),
    "google_container_node_pool": lambda a: _first(a, "node_config").get("machine_type"),
    "azurerm_kubernetes_cluster_node_pool": lambda a: a.get("vm_size"),
    "aws_ec2_capacity_reservation": lambda a: a.get("instance_type"),
    "aws_ec2_capacity_block_reservation": lambda a: a.get("instance_type"),
    "google_compute_reservation": lambda a: _first(_first(a, "specific_reservation"), "instance_properties").get(
        "machine_type"
    ),
    "azurerm_capacity_reservation": lambda a: _first(a, "sku").get("name"),
}
"""Terraform type: where in its attributes the machine type stands."""
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


def read_actual(paths: Sequence[Path], plan: PlanFile) -> Actual:
    """Read Terraform state or plan JSON, lists of Kubernetes nodes and pods, and CSV; counts of several files add up.

    Raises
    ------
    InputError
        when a file is none of these, or none of them has anything to count
    """
    fleet = fleet_of(plan)
    counts: dict[str, dict[str, int]] = {}
    findings: list[Finding] = []
    strange: list[str] = []
    for path in paths:
        try:
            text = _text(path)
            if path.suffix.lower() == ".csv":
                _read_csv(path, text, fleet, counts)
            else:
                _read_json(path, text, fleet, counts, strange)
        except InputError as error:
            findings += error.findings
    if findings:
        raise InputError(findings)
    if not counts and not strange:
        fix = "export it again: what is not named counts as not there, so an export that failed must not pass for one"
        got = "nothing that is counted: no machines, nodes, groups, replicas or reservations"
        raise InputError([Finding(", ".join(map(printable_path, paths)), "what runs today", got, fix)])
    if "nodes" in counts:  # a machine that is a rack of several nodes counts when all of its nodes are there
        counts["nodes"] = {q: n // nodes_of(fleet.machine_of[q]) for q, n in counts["nodes"].items()}
    # nodes count rather than the groups that should have them; what a person states counts rather than both
    stated = [found for what in ("machines", "nodes", "groups") if (found := counts.get(what)) is not None]
    machines = (
        None if not stated else {**stated[1], **stated[0]} if len(stated) > 1 and "machines" in counts else stated[0]
    )
    strange_once = tuple(dict.fromkeys(strange))
    return Actual(machines, counts.get("replicas"), counts.get("reserved"), strange_once, counts.get("unlabelled", {}))


def _text(path: Path) -> str:
    return read_text(path, pipes=True)


def _bad(where: object, expected: str, got: str) -> InputError:
    return InputError([Finding(str(where), expected, got[:200], FIX)])


def _read_json(path: Path, text: str, fleet: Fleet, counts: dict[str, dict[str, int]], strange: list[str]) -> None:
    data = parse_json(text, printable_path(path), FIX)
    if not isinstance(data, dict):
        raise _bad(path, "an object", f"a JSON {type(data).__name__}")
    try:
        if "items" in data:
            _read_list(path, data["items"], fleet, counts, strange)
        elif "resources" in data or "values" in data or "planned_values" in data:
            _read_state(data, fleet, counts, strange)
        else:
            raise _bad(path, "Terraform state, or a list of nodes or pods", f"fields {', '.join(map(str, data))[:80]}")
    except (AttributeError, TypeError, KeyError, ValueError, OverflowError) as error:
        raise _bad(path, "Terraform state, or a list of nodes or pods", f"{type(error).__name__}: {error}") from error


def _first(attributes: Mapping[str, Any], block: str) -> Mapping[str, Any]:
    found = attributes.get(block) or [{}]
    inner: Mapping[str, Any] = found[0] if isinstance(found, list) else found
    return inner


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


def _read_state(data: Mapping[str, Any], fleet: Fleet, counts: dict[str, dict[str, int]], strange: list[str]) -> None:
    pool_of = {cell.name: cell.lot.pool for cloud in ("aws", "google", "azure") for cell in fleet.cells(cloud)}
    groups = counts.setdefault("groups", {})
    counts.setdefault("reserved", {})
    for kind, index, attributes, called in _state_resources(data):
        if kind not in COUNTS:
            continue
        what, read = COUNTS[kind]
        if index not in pool_of:
            name = attributes.get("name") or attributes.get("node_group_name") or index or called
            machine, count = TYPES[kind](attributes), read(attributes)
            strange.append(f"{kind} {name}" + (f" ({count or 0} of {machine})" if machine else ""))
            continue
        pool = pool_of[index]
        counts[what][pool] = counts[what].get(pool, 0) + int(read(attributes) or 0)
    owned = {
        q: fleet.machines(q) for q, site in fleet.site_of.items() if site.provider not in ("aws", "google", "azure")
    }
    for q, machines in owned.items():  # Terraform says nothing of them: as planned, unless another file counts
        groups.setdefault(q, machines)


def _read_list(path: Path, items: Any, fleet: Fleet, counts: dict[str, dict[str, int]], strange: list[str]) -> None:
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
        counts.setdefault("nodes", {})
    if "Pod" in kinds:
        counts.setdefault("replicas", {})
    for item in items:
        labels = item["metadata"].get("labels") or {}
        ready = _ready(item)
        if item["kind"] == "Node" and POOL_LABEL in labels:
            _count(counts["nodes"], pools, labels[POOL_LABEL], ready, "nodes", strange)
        elif item["kind"] == "Node":
            _count_unlabelled(counts.setdefault("unlabelled", {}), fleet, labels)
        if item["kind"] == "Pod" and PLACEMENT_LABEL in labels:
            leader = labels.get("leaderworkerset.sigs.k8s.io/worker-index", "0") == "0"
            _count(counts["replicas"], placements, labels[PLACEMENT_LABEL], ready and leader, "pods", strange)


def _count_unlabelled(into: dict[str, int], fleet: Fleet, labels: Mapping[str, Any]) -> None:
    """Count a node without our label by what the cloud's own labels say, when it is of a machine type of the study."""
    study = fleet.plan.study
    machine = next((labels[name] for name in TYPE_LABELS if name in labels), None)
    if machine not in {known.name for known in study.machine_types}:
        return
    places = [labels[name] for name in PLACE_LABELS if name in labels]
    sites = {site.id: site for site in study.sites}
    found = []
    for pool in study.pools:
        site = sites[pool.site]
        if pool.machine_type == machine and (site.region in places or site.site in places):
            found.append(pool.id)
    planned = [q for q in found if q in fleet.pools]
    where = (planned or found or [f"{machine} in {places[0] if places else 'a place that no label says'}"])[0]
    into[where] = into.get(where, 0) + 1


def _ready(item: Mapping[str, Any]) -> bool:
    conditions = (item.get("status") or {}).get("conditions") or ()
    return any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)


def _count(
    into: dict[str, int], known: Mapping[str, str], label: str, counts: bool, what: str, strange: list[str]
) -> None:
    if label not in known:
        strange.append(f"{what} of {label}")
        return
    into[known[label]] = into.get(known[label], 0) + counts


def _read_csv(path: Path, text: str, fleet: Fleet, counts: dict[str, dict[str, int]]) -> None:
    """Columns pool, machines, profile, replicas: machines the same in each row of a pool."""
    rows = csv.DictReader(io.StringIO(text))
    header = list(rows.fieldnames or ())
    if "pool" not in header or not set(header) <= {"pool", "machines", "profile", "replicas"}:
        raise _bad(f"{path}:1", "columns pool, machines, profile, replicas", ", ".join(map(str, header)))
    study = fleet.plan.study
    known = {pool.id for pool in study.pools}
    profiles = {f"{m.model}/{p.name}": p for m in study.models for p in m.profiles}
    findings: list[Finding] = []
    machines: dict[str, int] = {}
    replicas: dict[str, dict[str, int]] = {}
    at: dict[str, str] = {}
    for line, row in enumerate(rows, start=2):
        where, pool = f"{path}:{line}", row.get("pool") or ""
        if pool not in known:
            findings.append(
                Finding(f"{where}: pool", "a pool of the plan", f"{pool[:80]!r}{near_miss(pool, known)}", "correct it")
            )
            continue
        profile = row.get("profile") or ""
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
            if column == "machines":
                machines.setdefault(pool, int(cell))
            else:
                replicas.setdefault(pool, {}).setdefault(profile, int(cell))
                at.setdefault(pool, f"{where}: {column}")
            before = counts.setdefault(column, {}).setdefault(key, int(cell))
            if before != int(cell):
                findings.append(
                    Finding(f"{where}: {column}", f"{before}, as in an earlier row of it", cell, "state it once")
                )
    chips = {machine.name: machine.accelerators for machine in study.machine_types}
    chips_in = {pool.id: chips[pool.machine_type] for pool in study.pools}
    for pool in sorted(machines.keys() & replicas.keys()):
        taken = sum(n * profiles[profile].accelerators_per_replica for profile, n in replicas[pool].items())
        if taken > machines[pool] * chips_in[pool]:
            expected = f"replicas that fit on {machines[pool]} machines of {chips_in[pool]} accelerators"
            got = f"{sum(replicas[pool].values())}, which take {taken} accelerators"
            findings.append(Finding(at[pool], expected, got, "count replicas and machines of the whole pool again"))
    if findings:
        raise InputError(findings)
