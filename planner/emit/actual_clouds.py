"""Google's and Azure's own lists of reservations: what is reserved, and how many machines run in each.

`gcloud compute reservations list --format json`, and of Azure a list of, or one, `az capacity reservation show
--instance-view -o json`; `az capacity reservation list` has no instance view: what runs inside stays unknown by it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from planner.emit.actual_aws import resource_key
from planner.emit.counts import Counts, not_counted
from planner.emit.fleet import Fleet
from planner.emit.node_facts import is_of

GOOGLE_HOLDS = ("READY", "UPDATING")
"""Statuses in which a reservation holds machines (Compute Engine API v1, reservations; google-cloud-compute 1.57)."""
AZURE_FAILED = "Failed"
"""Provisioning state of a reservation that holds nothing (azure-mgmt-compute 39.0, CapacityReservation)."""
OF_AZURE = "/capacityreservations/"
WHAT = "a list of reservations, of gcloud compute reservations list or az capacity reservation"


@dataclass(frozen=True)
class Reservation:
    """A reservation as its cloud describes it.

    Parameters
    ----------
    inside : machines that run in it; none: not said
    is_ours : whether a plan's files made it, where its cloud has tags; else its name decides
    """

    cloud: str
    id: str
    name: str
    machine_type: str
    machines: int
    inside: int | None
    is_ours: bool


def read_reservation_list(path: Path, data: Sequence[Any], fleet: Fleet, counts: Counts) -> None:
    """Count what a list has: ours by the names that the plan's files give.

    Raises
    ------
    InputError
        when it is empty, for nobody says of which cloud, or has anything else in it
    """
    if not data:
        raise not_counted(path, WHAT, "an empty list: of which cloud it is nobody says", "leave it out")
    for row in data:
        if row.get("specificReservation"):
            _count(_of_google(row), fleet, counts)
        elif row.get("aggregateReservation"):
            counts.reservations_of.add("google")
            counts.add_foreign(f"reservation {row['name']} of chips, which are not compared")
        elif OF_AZURE in str(row.get("id", "")).lower():
            _count(_of_azure(row), fleet, counts)
        else:
            raise not_counted(path, WHAT, f"fields {', '.join(map(str, row))[:80]}")


def _of_google(row: Mapping[str, Any]) -> Reservation:
    held = row["specificReservation"]
    holds = row.get("status", GOOGLE_HOLDS[0]) in GOOGLE_HOLDS
    return Reservation(
        cloud="google",
        id=str(row.get("selfLink") or row["id"]),
        name=str(row["name"]),
        machine_type=str(held["instanceProperties"]["machineType"]),
        machines=int(held["count"]) if holds else 0,
        inside=int(held.get("inUseCount", 0)) if holds else 0,
        is_ours=True,
    )


def _of_azure(row: Mapping[str, Any]) -> Reservation:
    properties = {**row, **(row.get("properties") or {})}
    use = (properties.get("instanceView") or {}).get("utilizationInfo")
    holds = properties.get("provisioningState") != AZURE_FAILED
    machines = int((use or {}).get("currentCapacity", row["sku"]["capacity"])) if holds else 0
    inside = None if use is None else len(use.get("virtualMachinesAllocated") or ())
    return Reservation(
        cloud="azure",
        id=str(row["id"]),
        name=str(row["name"]),
        machine_type=str(row["sku"]["name"]),
        machines=machines,
        inside=inside,
        is_ours=(row.get("tags") or {}).get("managed-by") == "capacity-planner",
    )


def _count(of: Reservation, fleet: Fleet, counts: Counts) -> None:
    counts.reservations_of.add(of.cloud)
    counts.of.setdefault("reserved", {})
    if not of.machines:
        return
    lot = next((cell.lot for cell in fleet.cells(of.cloud) if cell.name == of.name), None)
    if lot is None or not of.is_ours:
        within = "" if of.inside is None else f", {of.inside} run in it"
        counts.add_foreign(f"reservation {of.name} ({of.machines} of {of.machine_type}{within})")
        return
    is_other = not is_of(fleet.machine_of[lot.pool], of.machine_type)
    if not counts.is_repeated("resources", {resource_key(of.id)}):
        if is_other:
            counts.leave_out("reservations of another type", lot.pool, of.machine_type, of.machines)
        else:
            counts.add("reserved", lot.pool, of.machines)
    if of.inside is None or is_other:
        return
    if not counts.is_repeated("descriptions of reservations", {f"inside {of.id.lower()}"}):
        counts.add("running inside", lot.pool, of.inside)
