"""Capacity reservations as EC2 describes them, with how many instances run in each."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from planner.emit.counts import Counts, not_counted
from planner.emit.fleet import Fleet
from planner.emit.node_facts import is_of

LIST = "CapacityReservations"
ACTIVE = "active"
"""State in which a reservation holds machines (EC2 API, CapacityReservationState; botocore 1.44)."""


def read_reservations(path: Path, data: Mapping[str, Any], fleet: Fleet, counts: Counts) -> None:
    """Count what `aws ec2 describe-capacity-reservations` lists: ours by the tags that the plan's files give.

    Raises
    ------
    InputError
        when it is a page of several
    """
    if data.get("NextToken"):
        got = f"its first {len(data[LIST])} reservations (it has NextToken)"
        raise not_counted(path, "all reservations of a region", got, "leave --max-items and --no-paginate out")
    counts.reservations_of.add("aws")
    lot_of = {cell.name: cell.lot for cell in fleet.cells("aws")}
    for kind in ("reserved", "running inside"):
        counts.of.setdefault(kind, {})
    for reservation in data[LIST]:
        if reservation["State"] != ACTIVE:
            continue
        tags = {tag["Key"]: tag["Value"] for tag in reservation.get("Tags") or ()}
        total, machine = int(reservation["TotalInstanceCount"]), str(reservation["InstanceType"])
        inside = total - int(reservation["AvailableInstanceCount"])
        lot = lot_of.get(tags.get("Name", ""))
        id = str(reservation["CapacityReservationId"])
        if lot is None or tags.get("managed-by") != "capacity-planner":
            zone = reservation.get("AvailabilityZone")
            counts.add_foreign(f"capacity reservation {id} ({total} of {machine} in {zone}, {inside} run in it)")
            continue
        is_other = not is_of(fleet.machine_of[lot.pool], machine)
        if not counts.is_repeated("resources", {resource_key(id)}):
            if is_other:
                counts.leave_out("reservations of another type", lot.pool, machine, total)
            else:
                counts.add("reserved", lot.pool, total)
        if not is_other and not counts.is_repeated("descriptions of reservations", {f"inside {id}"}):
            counts.add("running inside", lot.pool, inside)


def resource_key(id: object) -> str:
    """What tells a cloud's resource apart, whichever file names it: Google by a link or from the project on, Azure in
    any case of letters.

    Examples
    --------
    >>> resource_key("https://www.googleapis.com/compute/v1/projects/p/zones/z/reservations/r")
    'resource projects/p/zones/z/reservations/r'
    """
    text = str(id).lower()
    return f"resource {text[max(0, text.find('projects/')) :]}" if "/reservations/" in text else f"resource {text}"
