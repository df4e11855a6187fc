"""Google's and Azure's own lists of reservations: what is reserved, and what runs in it."""

import json
from datetime import date

import pytest
from emitting import planned

from planner.emit.actual import read_actual
from planner.emit.against_today import against_today
from planner.emit.drift import drift
from planner.emit.fleet import fleet_of
from planner.errors import InputError

DAY = date(2026, 6, 1)
A3 = "google/us-west1/a3-highgpu-8g"
A100 = "azure/eastus2/Standard_NC96ads_A100_v4"
CELLS = {cell.lot.pool: cell.name for cloud in ("google", "azure") for cell in fleet_of(planned()).cells(cloud)}
PLANNED = {cell.lot.pool: cell.machines for cloud in ("google", "azure") for cell in fleet_of(planned()).cells(cloud)}
AT = "projects/p/zones/us-west1-a/reservations"


def of_google(name=CELLS[A3], count=4, inside=1, status="READY", machine="a3-highgpu-8g"):
    """As the API answers: whole numbers of 64 bits are text."""
    return {
        "kind": "compute#reservation",
        "id": "1",
        "name": name,
        "selfLink": f"https://www.googleapis.com/compute/v1/{AT}/{name}",
        "status": status,
        "zone": "https://www.googleapis.com/compute/v1/projects/p/zones/us-west1-a",
        "specificReservation": {
            "count": str(count),
            "inUseCount": str(inside),
            "instanceProperties": {"machineType": machine},
        },
    }


def of_azure(name=CELLS[A100], count=5, inside=2, tags=True, view=True):
    group = "/subscriptions/s/resourceGroups/RG/providers/Microsoft.Compute/capacityReservationGroups/g"
    allocated = [{"id": f"vm-{n}"} for n in range(inside)]
    use = {"utilizationInfo": {"currentCapacity": count, "virtualMachinesAllocated": allocated}}
    return {
        "id": f"{group}/capacityReservations/{name}",
        "name": name,
        "sku": {"name": "Standard_NC96ads_A100_v4", "capacity": count},
        "provisioningState": "Succeeded",
        "tags": {"managed-by": "capacity-planner"} if tags else None,
        **({"instanceView": use} if view else {}),
    }


def actual_of(folder, data, *also):
    path = folder / "reservations.json"
    path.write_text(json.dumps(data))
    return read_actual([path, *also], planned())


@pytest.mark.parametrize(("pool", "made"), [(A3, of_google), (A100, of_azure)])
def test_what_runs_inside_is_what_the_cloud_says(tmp_path, pool, made):
    compared = drift(planned(), actual_of(tmp_path, [made(count=9, inside=1)]), DAY)
    (use,) = (use for use in compared.reservations if use.pool == pool)
    assert (use.wanted, use.reserved, use.inside, use.inside_is_said, use.idle) == (PLANNED[pool], 9, 1, True, 8)
    others = "aws, azure" if pool == A3 else "aws, google"
    assert f"reservations of {others}" in compared.not_compared


@pytest.mark.parametrize("machine", ["tpu7x-standard-4t", "ct6e-standard-8t"])
def test_a_reservation_that_is_ordered_by_hand_or_drafted_is_the_plans(tmp_path, machine):
    pool = f"google/us-east5-a/{machine}"
    planned_there = PLANNED[pool]
    actual = actual_of(tmp_path, [of_google(CELLS[pool], planned_there + 1, 1, machine=machine)])
    (use,) = (use for use in drift(planned(), actual, DAY).reservations if use.pool == pool)
    assert (use.wanted, use.reserved, use.inside, use.idle) == (planned_there, planned_there + 1, 1, planned_there)
    actual = actual_of(tmp_path, [of_google(CELLS[pool], planned_there, 1, machine=machine)])
    assert pool not in [step.of for step in against_today(planned(), actual).steps if step.what == "reservations"]
    none = [use for use in drift(planned(), actual_of(tmp_path, [of_google()]), DAY).reservations if use.pool == pool]
    assert none == []  # not delivered yet: its machines are missing, not a reservation


def test_one_reservation_of_azure_is_no_list_and_without_its_view_nothing_is_said_to_run_in_it(tmp_path):
    assert actual_of(tmp_path, of_azure()).running_inside == {A100: 2}
    bare = actual_of(tmp_path, [of_azure(view=False)])
    assert bare.reserved == {A100: 5} and bare.running_inside == {}


def test_others_are_noted_and_what_holds_nothing_does_not_count(tmp_path):
    chips = {"name": "tpu", "aggregateReservation": {"vmFamily": "x"}}
    rows = [of_google("theirs", 3, 2), of_google(status="CREATING"), of_azure(tags=False), chips]
    actual = actual_of(tmp_path, rows)
    assert actual.reserved == {}
    assert sorted(actual.foreign) == [
        f"reservation {CELLS[A100]} (5 of Standard_NC96ads_A100_v4, 2 run in it)",
        "reservation theirs (3 of a3-highgpu-8g, 2 run in it)",
        "reservation tpu of chips, which are not compared",
    ]
    other = actual_of(tmp_path, [of_google(machine="a2-highgpu-8g")])
    assert other.reserved == {} and [x.kind for x in other.uncounted] == ["reservations of another type"]


@pytest.mark.parametrize("first", [True, False])
def test_with_the_state_each_counts_once(tmp_path, first):
    name = CELLS[A3]
    block = {"count": 4, "instance_properties": [{"machine_type": "a3-highgpu-8g"}]}
    values = {"id": f"{AT}/{name}", "name": name, "specific_reservation": [block]}
    azure = {"id": of_azure()["id"].replace("RG", "rg"), "sku": [{"capacity": 5, "name": "Standard_NC96ads_A100_v4"}]}
    resources = [
        {"type": "google_compute_reservation", "instances": [{"index_key": name, "attributes": values}]},
        {"type": "azurerm_capacity_reservation", "instances": [{"index_key": CELLS[A100], "attributes": azure}]},
    ]
    state = tmp_path / "state.json"
    state.write_text(json.dumps({"resources": resources}))
    actual_of(tmp_path, [of_google(), of_azure()])
    paths = [state, tmp_path / "reservations.json"]
    actual = read_actual(paths if first else paths[::-1], planned())
    assert actual.reserved == {A3: 4, A100: 5} and actual.running_inside == {A3: 1, A100: 2}


@pytest.mark.parametrize("data", [[], [{"a": 1}], [1], "text", 3])
def test_what_is_no_list_of_reservations_is_refused(tmp_path, data):
    with pytest.raises(InputError):
        actual_of(tmp_path, data)


def test_the_fields_are_those_of_the_clouds():
    google = pytest.importorskip("google.cloud.compute_v1", reason="google-cloud-compute is not installed")
    fields = {f.json_name for f in google.Reservation.pb(google.Reservation()).DESCRIPTOR.fields}
    assert set(of_google()) <= fields and "aggregateReservation" in fields
    held = google.AllocationSpecificSKUReservation
    assert set(of_google()["specificReservation"]) <= {f.json_name for f in held.pb(held()).DESCRIPTOR.fields}
    assert {"READY", "UPDATING", "CREATING"} <= set(google.Reservation.Status.__members__)
    models = pytest.importorskip("azure.mgmt.compute.models", reason="azure-mgmt-compute is not installed")
    assert {"current_capacity", "virtual_machines_allocated"} <= set(
        models.CapacityReservationUtilization.__annotations__
    )
    assert {"instance_view", "provisioning_state"} <= set(models.CapacityReservationProperties.__annotations__)
