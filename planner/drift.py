"""Drift: what runs against what the plan says, and the survival goals that the difference breaks."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from planner.drill import DrillResult, drill_plan
from planner.emit.fleet import Fleet, fleet_of, nodes_of, placed
from planner.emit.names import distinct, slug
from planner.errors import Finding, InputError
from planner.places import near_miss
from planner.records.plan import PlanFile, Purchase, Replicas
from planner.records.serving import Model
from planner.records.study import Holding
from planner.shortfalls import BrokenGoal, broken_goals

POOL_LABEL, PLACEMENT_LABEL = "capacity-planner/pool", "capacity-planner/placement"
STALE_MONTHS = 12
NEVER_SECONDS = 1e12
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


@dataclass(frozen=True)
class Actual:
    """What runs, as far as the files say: nothing said of a pool in none of them means none there.

    Parameters
    ----------
    machines : by pool; none: no file counts machines
    replicas : by placement; none: no file counts replicas
    reserved : machines in reservations by pool; none: no file counts them
    strange : things in the files that the plan does not know
    """

    machines: Mapping[str, int] | None
    replicas: Mapping[str, int] | None
    reserved: Mapping[str, int] | None
    strange: tuple[str, ...] = ()


@dataclass(frozen=True)
class Difference:
    """One thing that is not as planned.

    Parameters
    ----------
    kind : missing machines, missing spares, missing replicas, machines beyond the plan, replicas beyond the plan, idle
        reservation, unknown, expired qualification; noted only: stale figure
    usd_per_month : paid and not used
    """

    kind: str
    subject: str
    planned: int | None
    actual: int | None
    usd_per_month: float = 0.0
    detail: str = ""
    note: bool = False


@dataclass(frozen=True)
class Drift:
    """All differences, and the goals that break on what runs."""

    differences: tuple[Difference, ...]
    goals: tuple[BrokenGoal, ...]
    on: date
    compared: tuple[str, ...] = field(default=())

    @property
    def any(self) -> bool:
        """Whether something has to be done; stale figures alone are only noted."""
        return bool(self.goals) or any(not d.note for d in self.differences)


def drift(plan: PlanFile, actual: Actual, on: date) -> Drift:
    """Compare what runs with a plan, and replay every failure on what is less than planned.

    Parameters
    ----------
    on : day on which qualifications and figures are judged
    """
    fleet = fleet_of(plan)
    found: list[Difference] = [Difference("unknown", what, None, None) for what in actual.strange]
    compared = [
        what
        for what, counts in (
            ("machines", actual.machines),
            ("reservations", actual.reserved),
            ("replicas", actual.replicas),
        )
        if counts is not None
    ]
    if actual.machines is not None:
        found += _machines(fleet, actual.machines)
    if actual.reserved is not None:
        found += _reservations(fleet, actual.reserved, actual.machines)
    if actual.replicas is not None:
        found += _replicas(fleet, actual.replicas)
    found += [*_expired(fleet, on), *_stale(fleet, on)]
    less = any(d.kind.startswith("missing") for d in found) or any(d.kind == "expired qualification" for d in found)
    goals = broken_goals(plan.study, drill_actual(plan, actual, on)) if less else ()
    return Drift(tuple(found), goals, on, tuple(compared))


def drill_actual(plan: PlanFile, actual: Actual, on: date) -> DrillResult:
    """Replay the failures with the plan's routes and goals on the machines and replicas that are there.

    A pool with fewer machines than planned keeps those that count in failures: what is missing is taken from spot,
    then from what was bought, then from what is held. A stack whose qualification has expired serves nothing.
    """
    expired = {d.subject for d in _expired(fleet_of(plan), on)}
    less: dict[str, int] = {}
    if actual.machines is not None:
        fleet = fleet_of(plan)
        less = {q: max(0, fleet.machines(q) - actual.machines.get(q, 0)) for q in fleet.pools}
    kinds = {offer.id: offer for offer in plan.study.offers}
    purchases: list[Purchase] = []
    for bought in sorted(plan.purchases, key=lambda b: (kinds[b.offer].kind != "spot", b.offer)):
        offer = kinds[bought.offer]
        gone = min(bought.units, -(-less.get(offer.pool, 0) // offer.machines_per_unit))
        less[offer.pool] = max(0, less.get(offer.pool, 0) - gone * offer.machines_per_unit)
        purchases.append(bought.model_copy(update={"units": bought.units - gone}))
    holdings: list[Holding] = []
    for held in plan.study.holdings:
        gone = min(held.machines, less.get(held.pool, 0))
        less[held.pool] = less.get(held.pool, 0) - gone
        holdings.append(held.model_copy(update={"machines": held.machines - gone}))
    stack_of = {e: f"{model.model} on {profile.stack}" for e, (model, profile, _) in placed(plan).items()}
    replicas: list[Replicas] = []
    for row in plan.replicas:
        count = row.replicas if actual.replicas is None else min(row.replicas, actual.replicas.get(row.placement, 0))
        if stack_of[row.placement] in expired:
            count = 0
        firm = None if row.firm is None else min(row.firm, count)
        replicas.append(row.model_copy(update={"replicas": count, "firm": firm}))
    models = tuple(_without_starts(model, expired) for model in plan.study.models)
    study = plan.study.model_copy(update={"holdings": tuple(holdings), "models": models})
    changed = {"study": study, "purchases": tuple(purchases), "replicas": tuple(replicas)}
    return drill_plan(plan.model_copy(update=changed))


def _without_starts(model: Model, expired: set[str]) -> Model:
    """The model, expired stacks of which never finish loading: they stay what could serve, and serve nothing."""
    profiles = tuple(
        p.model_copy(update={"load_seconds": NEVER_SECONDS}) if f"{model.model} on {p.stack}" in expired else p
        for p in model.profiles
    )
    return model.model_copy(update={"profiles": profiles})


def _machines(fleet: Fleet, actual: Mapping[str, int]) -> Iterable[Difference]:
    for q, pool in fleet.pools.items():
        planned, there = fleet.machines(q), actual.get(q, 0)
        if there < planned:
            spare = int(min(pool.spare_machines, planned))
            kind = "missing spares" if there >= planned - spare else "missing machines"
            yield Difference(kind, q, planned, there)
        if there > planned:
            usd = (there - planned) * _usd_per_month(fleet, q)
            yield Difference("machines beyond the plan", q, planned, there, usd)
    for q in sorted(set(actual) - set(fleet.pools)):
        if actual[q]:
            yield Difference("machines beyond the plan", q, 0, actual[q], actual[q] * _usd_per_month(fleet, q))


def _reservations(
    fleet: Fleet, reserved: Mapping[str, int], machines: Mapping[str, int] | None
) -> Iterable[Difference]:
    """Reservations that nothing runs in, and those that the plan has and that are not there."""
    must: dict[str, int] = {}
    blocks: dict[str, int] = {}
    for lot in fleet.lots:
        for instrument, planned in (("immediate", must), ("capacity_block", blocks)):
            if lot.rule.instrument == instrument:
                planned[lot.pool] = planned.get(lot.pool, 0) + lot.machines
    for q in sorted({*must, *reserved}):
        there, least = reserved.get(q, 0), must.get(q, 0)
        wanted = least + min(blocks.get(q, 0), max(there - least, 0))
        run = None if machines is None else machines.get(q, 0)
        if there < wanted:
            yield Difference("missing reservation", q, wanted, there)
        idle = max(there - wanted, 0) if run is None else max(there - run, there - wanted, 0)
        if idle:
            run_text = "" if run is None else f"{run} machines run there"
            yield Difference("idle reservation", q, wanted, there, idle * _usd_per_month(fleet, q), run_text)


def _replicas(fleet: Fleet, actual: Mapping[str, int]) -> Iterable[Difference]:
    planned: dict[str, int] = {}
    for r in fleet.running:
        planned[r.placement] = planned.get(r.placement, 0) + r.replicas
    for e in sorted({*planned, *actual}):
        there, wanted = actual.get(e, 0), planned.get(e, 0)
        if there != wanted:
            kind = "missing replicas" if there < wanted else "replicas beyond the plan"
            yield Difference(kind, e, wanted, there)


def _expired(fleet: Fleet, on: date) -> Iterable[Difference]:
    """Stacks that serve a model in the plan and whose qualification ended before the day."""
    used = {(r.model.model, r.profile.stack) for r in fleet.running}
    for model in fleet.plan.study.models:
        for q in model.qualifications:
            if (model.model, q.stack) in used and q.until is not None and q.until < on:
                subject = f"{model.model} on {q.stack}"
                yield Difference("expired qualification", subject, None, None, 0.0, f"until {q.until.isoformat()}")


def _stale(fleet: Fleet, on: date) -> Iterable[Difference]:
    """Prices of what the plan buys and speeds of what it runs, older than twelve months; a year counts from January."""
    bought = {lot.offer.id for lot in fleet.lots if lot.offer}
    sources = [(f"price of {p.offer_id}", p.as_of) for p in fleet.plan.study.prices if p.offer_id in bought]
    for r in {(r.model.model, r.profile.name): r for r in fleet.running}.values():
        for point in r.profile.classes:
            sources.append((f"speed of {r.model.model}/{r.profile.name}, {point.context_class}", point.as_of))
    for what, as_of in sources:
        year, _, rest = as_of.partition("-")
        months = (on.year - int(year)) * 12 + on.month - int(rest[:2] or 1)
        if months > STALE_MONTHS:
            yield Difference("stale figure", what, None, None, 0.0, f"as of {as_of}", note=True)


def _usd_per_month(fleet: Fleet, pool: str) -> float:
    """What one machine of a pool costs a month: at the highest price of what the plan buys there, else on demand.

    Nothing is known of machines that are held alone.
    """
    study = fleet.plan.study
    price = {p.offer_id: p.price_usd_per_machine_hour for p in study.prices}
    bought = [price[lot.offer.id] for lot in fleet.lots if lot.pool == pool and lot.offer and lot.offer.id in price]
    listed = [price[b.id] for b in study.offers if b.pool == pool and b.kind == "on_demand" and b.id in price]
    return max(bought or listed or [0.0]) * study.hours_per_month


# Reading what runs


def read_actual(paths: Iterable[Path], plan: PlanFile) -> Actual:
    """Read Terraform state or plan JSON, lists of Kubernetes nodes and pods, and CSV; counts of several files add up.

    Raises
    ------
    InputError
        when a file is none of these
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
    if "nodes" in counts:  # a machine that is a rack of several nodes counts when all of its nodes are there
        counts["nodes"] = {q: n // nodes_of(fleet.machine_of[q]) for q, n in counts["nodes"].items()}
    # nodes count rather than the groups that should have them; what a person states counts rather than both
    stated = [found for what in ("machines", "nodes", "groups") if (found := counts.get(what)) is not None]
    machines = (
        None if not stated else {**stated[1], **stated[0]} if len(stated) > 1 and "machines" in counts else stated[0]
    )
    return Actual(machines, counts.get("replicas"), counts.get("reserved"), tuple(dict.fromkeys(strange)))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise _bad(path, "a file that can be read", error.strerror or str(error)) from error
    except UnicodeDecodeError as error:
        raise _bad(path, "UTF-8 text", f"other bytes at {error.start}") from error


def _bad(where: object, expected: str, got: str) -> InputError:
    fix = "terraform show -json, kubectl get nodes or pods -o json, or CSV with pool, machines, profile, replicas"
    return InputError([Finding(str(where), expected, got[:200], fix)])


def _read_json(path: Path, text: str, fleet: Fleet, counts: dict[str, dict[str, int]], strange: list[str]) -> None:
    try:
        data = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise _bad(path, "a whole JSON file", str(error)) from error
    if not isinstance(data, dict):
        raise _bad(path, "an object", f"a JSON {type(data).__name__}")
    try:
        if "items" in data:
            _read_list(path, data["items"], fleet, counts, strange)
        elif "resources" in data or "values" in data or "planned_values" in data:
            _read_state(data, fleet, counts, strange)
        else:
            raise _bad(path, "Terraform state, or a list of nodes or pods", f"fields {', '.join(map(str, data))[:80]}")
    except (AttributeError, TypeError, KeyError, ValueError) as error:
        raise _bad(path, "Terraform state, or a list of nodes or pods", f"{type(error).__name__}: {error}") from error


def _first(attributes: Mapping[str, Any], block: str) -> Mapping[str, Any]:
    found = attributes.get(block) or [{}]
    inner: Mapping[str, Any] = found[0] if isinstance(found, list) else found
    return inner


def _state_resources(data: Mapping[str, Any]) -> Iterable[tuple[str, Any, Mapping[str, Any]]]:
    """(type, index, attributes) of each instance, of a state file or of `terraform show -json`."""
    for resource in data.get("resources", ()):
        if resource.get("mode", "managed") == "managed":
            for instance in resource.get("instances", ()):
                yield resource["type"], instance.get("index_key"), instance.get("attributes") or {}
    top = data.get("values") or data.get("planned_values") or {}
    modules = [top.get("root_module") or {}]
    while modules:
        module = modules.pop()
        modules += module.get("child_modules", ())
        for resource in module.get("resources", ()):
            if resource.get("mode", "managed") == "managed":
                yield resource["type"], resource.get("index"), resource.get("values") or {}


def _read_state(data: Mapping[str, Any], fleet: Fleet, counts: dict[str, dict[str, int]], strange: list[str]) -> None:
    pool_of = {cell.name: cell.lot.pool for cloud in ("aws", "google", "azure") for cell in fleet.cells(cloud)}
    groups = counts.setdefault("groups", {})
    counts.setdefault("reserved", {})
    for kind, index, attributes in _state_resources(data):
        if kind not in COUNTS:
            continue
        what, read = COUNTS[kind]
        if index not in pool_of:
            strange.append(f"{kind} {attributes.get('name') or attributes.get('node_group_name') or index}")
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
        if item["kind"] == "Pod" and PLACEMENT_LABEL in labels:
            leader = labels.get("leaderworkerset.sigs.k8s.io/worker-index", "0") == "0"
            _count(counts["replicas"], placements, labels[PLACEMENT_LABEL], ready and leader, "pods", strange)


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
    known = {pool.id for pool in fleet.plan.study.pools}
    profiles = {f"{m.model}/{p.name}" for m in fleet.plan.study.models for p in m.profiles}
    findings: list[Finding] = []
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
            before = counts.setdefault(column, {}).setdefault(key, int(cell))
            if before != int(cell):
                findings.append(
                    Finding(f"{where}: {column}", f"{before}, as in an earlier row of it", cell, "state it once")
                )
    if findings:
        raise InputError(findings)
