"""Lists of Kubernetes nodes and pods: what is ready and is what the plan means by it counts; the rest is named."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from planner.emit.counts import Counts, not_counted
from planner.emit.fleet import Fleet, node_chips
from planner.emit.names import distinct, slug
from planner.emit.node_facts import (
    NodeFacts,
    facts_of,
    is_going,
    is_of,
    is_ready,
    keys_of,
    of_other_vendors,
    where_is,
)
from planner.emit.terraform import CLOUDS
from planner.errors import Finding, InputError
from planner.study.places import printable_path

POOL_LABEL, PLACEMENT_LABEL = "capacity-planner/pool", "capacity-planner/placement"
LOT_LABEL, WORKER_LABEL = "capacity-planner/lot", "leaderworkerset.sigs.k8s.io/worker-index"
LISTS = {"NodeList": "Node", "PodList": "Pod"}
"""Kinds of lists of one kind: the API server does not repeat it in each item."""
LIST_FIX = "export it again, whole: kubectl get nodes or pods -A -o json"
MOST_FINDINGS = 20
OTHER_TYPE, ELSEWHERE, OUT_OF_SERVICE = "nodes of another type", "nodes elsewhere", "nodes out of service"


def read_list(path: Path, data: Mapping[str, Any], fleet: Fleet, counts: Counts) -> None:
    """Count the nodes and pods of a list; other kinds in it are left aside.

    Raises
    ------
    InputError
        when it has neither, is only a part of a longer list, has items that are none, or is empty and nobody says of
        what
    """
    _refuse_part(path, data)
    _refuse_incomplete(path, data)
    items = [_with_kind(item, LISTS.get(str(data.get("kind")))) for item in data["items"]]
    kinds = {str(item.get("kind")) for item in items} or {_kind_of_empty(path, data)}
    if not kinds & {"Node", "Pod"}:
        raise not_counted(path, "a list of nodes or pods", ", ".join(sorted(kinds)))
    if "Node" in kinds:
        for kind in ("nodes", "nodes there"):
            counts.of.setdefault(kind, {})
    if "Pod" in kinds:
        counts.of.setdefault("replicas", {})
    nodes = _NodeCounter(fleet, counts)
    placements = {slug(e): e for e in distinct({r.placement for r in fleet.running})}
    for item in items:
        if item["kind"] == "Node":
            nodes.count(item)
        elif item["kind"] == "Pod":
            _count_pod(item, placements, counts)


def _refuse_part(path: Path, data: Mapping[str, Any]) -> None:
    about = data.get("metadata") or {}
    if about.get("continue"):
        remaining = about.get("remainingItemCount")
        got = f"its first {len(data['items'])} items" + (f" of {len(data['items']) + remaining}" if remaining else "")
        fix = "kubectl get reads all of it; with the API itself follow metadata.continue to the end"
        raise not_counted(path, "a list to its end", got, fix)


def _refuse_incomplete(path: Path, data: Mapping[str, Any]) -> None:
    """Every item says what it is, and a node or pod which it is: one that is left out would count as not there."""
    if not isinstance(data["items"], list):
        raise not_counted(f"{printable_path(path)}: items", "a list", type(data["items"]).__name__, LIST_FIX)
    findings = []
    for i, item in enumerate(data["items"]):
        at = f"{printable_path(path)}: items[{i}]"
        if not isinstance(item, dict):
            findings.append(Finding(at, "a node or a pod", f"a JSON {type(item).__name__}", LIST_FIX))
            continue
        kind = _with_kind(item, LISTS.get(str(data.get("kind")))).get("kind")
        if not isinstance(kind, str):
            findings.append(Finding(f"{at}: kind", "what it is, as Node or Pod", _said(item, "kind"), LIST_FIX))
        elif kind in LISTS.values() and not isinstance(item.get("metadata"), dict):
            findings.append(Finding(f"{at}: metadata", f"that of a {kind}", _said(item, "metadata"), LIST_FIX))
    if (more := len(findings) - MOST_FINDINGS) > 0:
        rest = Finding(f"{printable_path(path)}: items", "nodes and pods", f"{more} more mistakes", LIST_FIX)
        findings = [*findings[:MOST_FINDINGS], rest]
    if findings:
        raise InputError(findings)


def _said(item: Mapping[str, Any], name: str) -> str:
    return f"{item[name]!r}"[:80] if name in item else f"none; it has {', '.join(map(str, item))[:80] or 'no fields'}"


def _with_kind(item: Mapping[str, Any], kind: str | None) -> Mapping[str, Any]:
    return item if kind is None or "kind" in item else {**item, "kind": kind}


def _kind_of_empty(path: Path, data: Mapping[str, Any]) -> str:
    """Of what an empty list is: its kind may say, else the name of the file must."""
    if kind := LISTS.get(str(data.get("kind"))):
        return kind
    named = [kind for kind in ("Node", "Pod") if kind.lower() in path.name.lower()]
    if len(named) != 1:
        expected = "nodes or pods; of an empty list the file's name must say which"
        raise not_counted(printable_path(path), expected, "an empty list")
    return named[0]


# ------------------------------------------------------------------ nodes
class _NodeCounter:
    """Counts nodes to the pools of a fleet: by type, place, accelerators and state first, by our labels second."""

    def __init__(self, fleet: Fleet, counts: Counts) -> None:
        self.fleet, self.counts = fleet, counts
        self.pool_of = {name: q for q, name in fleet.pool_name.items()}
        self.lot_of = {slug(lot.id): lot for lot in fleet.lots}
        study = fleet.plan.study
        self.sites = {site.id: site for site in study.sites}
        self.machines = {machine.name: machine for machine in study.machine_types}
        self.of_other_vendors = of_other_vendors(study)

    def count(self, node: Mapping[str, Any]) -> None:
        """Count one node, or say why it does not count."""
        facts = facts_of(node)
        if self.counts.is_repeated("nodes", set(facts.keys)):
            return
        labels = node["metadata"].get("labels") or {}
        if POOL_LABEL not in labels:
            self._count_unlabelled(facts)
        elif labels[POOL_LABEL] not in self.pool_of:
            self.counts.strange[f"nodes of {labels[POOL_LABEL]}"] = "machines"
        else:
            self._count_labelled(self.pool_of[labels[POOL_LABEL]], labels.get(LOT_LABEL), facts)

    def _count_labelled(self, pool: str, lot_label: object, facts: NodeFacts) -> None:
        counts = self.counts
        if why := self._misplaced(pool, facts):
            counts.leave_out(why[0], pool, why[1])
            return
        counts.add("nodes there", pool, 1)
        if facts.in_reservation:
            counts.add("nodes in a reservation", pool, 1)
        state = facts.state or self._too_few(pool, facts)
        counts.add("nodes", pool, int(not state))
        if state:
            counts.leave_out(OUT_OF_SERVICE, pool, state)
            return
        if facts.on_spot:
            counts.add("nodes on spot", pool, 1)
        lot = self.lot_of.get(str(lot_label))
        if lot is not None and lot.pool == pool and (lot.kind == "spot") == facts.on_spot:
            counts.add("nodes of a contract", lot.id, 1)
        if unsaid := self._unsaid(pool, facts):
            counts.add(f"{unsaid} not said", pool, 1)

    def _misplaced(self, pool: str, facts: NodeFacts) -> tuple[str, str] | None:
        """How a node contradicts its label, and by what; a cloud's names are known, of others those of the study."""
        site, machine = self.fleet.site_of[pool], self.fleet.machine_of[pool]
        named = facts.machine_type
        can_tell = named is not None and (site.provider in CLOUDS or named in self.machines)
        if named is not None and can_tell and not is_of(machine, named):
            return OTHER_TYPE, named
        if where_is(site, facts.zone_at(site), facts.region) == "elsewhere":
            return ELSEWHERE, facts.place
        return None

    def _too_few(self, pool: str, facts: NodeFacts) -> str:
        """What is missing of the accelerators; blank: nothing, or nobody says."""
        machine = self.fleet.machine_of[pool]
        chips = node_chips(machine)
        judged = facts.accelerators is not None and machine.name not in self.of_other_vendors
        if not judged or (facts.accelerators or 0) >= chips:
            return ""
        return f"{facts.accelerators} of {chips} accelerators allocatable"

    def _unsaid(self, pool: str, facts: NodeFacts) -> str:
        """What only our label says of a node of a cloud."""
        site = self.fleet.site_of[pool]
        if site.provider not in CLOUDS:
            return ""
        if facts.machine_type is None:
            return "type"
        return "zone" if where_is(site, facts.zone_at(site), facts.region) == "not said" else ""

    def _count_unlabelled(self, facts: NodeFacts) -> None:
        """A node of a type of the study is the pool's that it would be in; one with accelerators is named."""
        study, named = self.fleet.plan.study, facts.machine_type
        types = [machine.name for machine in study.machine_types if named is not None and is_of(machine, named)]
        if not types:
            if facts.accelerators:
                self.counts.add_foreign(f"node {named or 'of an unknown type'} in {facts.place}")
            return
        pools = [pool.id for pool in study.pools if pool.machine_type in types and self._may_be_at(pool.site, facts)]
        planned = [q for q in pools if q in self.fleet.pools]
        self.counts.add("unlabelled", (planned or pools or [f"{named} in {facts.place}"])[0], 1)

    def _may_be_at(self, site: str, facts: NodeFacts) -> bool:
        at = self.sites[site]
        where = where_is(at, facts.zone_at(at), facts.region)
        return where == "here" or (where == "not said" and facts.region == at.region)


# ------------------------------------------------------------------ pods
def _count_pod(pod: Mapping[str, Any], placements: Mapping[str, str], counts: Counts) -> None:
    """Count a replica by its pod, of several by the first; one that is ending is none, ready or not."""
    labels = pod["metadata"].get("labels") or {}
    if PLACEMENT_LABEL not in labels or counts.is_repeated("pods", set(keys_of(pod))):
        return
    label = labels[PLACEMENT_LABEL]
    if label not in placements:
        counts.strange[f"pods of {label}"] = "replicas"
        return
    if labels.get(WORKER_LABEL, "0") != "0":
        return
    placement = placements[label]
    why = "terminating" if is_going(pod) else "" if is_ready(pod) else "not ready"
    counts.add("replicas", placement, int(not why))
    if why:
        counts.leave_out("pods", placement, why)


def in_words(reasons: Iterable[tuple[str, int]]) -> str:
    """Reasons with how many there are of each, as in `cordoned (2), not ready (1)`."""
    return ", ".join(f"{why} ({count})" for why, count in reasons)
