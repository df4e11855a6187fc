"""EC2's own list of capacity reservations: what is reserved, and what runs in it."""

import json
from datetime import date

import pytest
from emitting import planned

from planner.emit.actual import read_actual
from planner.emit.drift import drift
from planner.emit.fleet import fleet_of
from planner.errors import InputError

DAY = date(2026, 6, 1)
P5 = "aws/us-east-1/p5.48xlarge"
CELL = next(cell.name for cell in fleet_of(planned()).cells("aws") if cell.lot.pool == P5)
OURS = ({"Key": "Name", "Value": CELL}, {"Key": "managed-by", "Value": "capacity-planner"})


def reservation(id="cr-1", total=4, available=1, state="active", tags=OURS, machine="p5.48xlarge"):
    return {
        "CapacityReservationId": id,
        "InstanceType": machine,
        "AvailabilityZone": "us-east-1a",
        "TotalInstanceCount": total,
        "AvailableInstanceCount": available,
        "State": state,
        "Tags": list(tags),
    }


def actual_of(folder, *reservations, also=(), **more):
    path = folder / "reservations.json"
    path.write_text(json.dumps({"CapacityReservations": reservations, **more}))
    return read_actual([path, *also], planned())


def test_what_runs_inside_is_what_ec2_says(tmp_path):
    actual = actual_of(tmp_path, reservation(), reservation("cr-2", state="expired"))
    found = drift(planned(), actual, DAY)
    (use,) = found.reservations
    assert (use.wanted, use.reserved, use.inside, use.inside_is_said, use.idle) == (3, 4, 3, True, 1)
    assert actual.machines is None and found.compared == ("reservations",)
    assert "reservations of google, azure" in found.not_compared


def test_others_are_noted_and_another_type_does_not_count(tmp_path):
    others = reservation("cr-9", 5, 2, tags=())
    actual = actual_of(tmp_path, others, reservation(machine="p4d.24xlarge"))
    assert actual.foreign == {"capacity reservation cr-9 (5 of p5.48xlarge in us-east-1a, 3 run in it)": 1}
    assert actual.reserved == {} and [thing.kind for thing in actual.uncounted] == ["reservations of another type"]


@pytest.mark.parametrize("first", [True, False])
def test_with_the_state_it_counts_once(tmp_path, first):
    values = {"id": "cr-1", "instance_count": 4, "instance_type": "p5.48xlarge"}
    resource = {"type": "aws_ec2_capacity_reservation", "instances": [{"index_key": CELL, "attributes": values}]}
    state = tmp_path / "state.json"
    state.write_text(json.dumps({"resources": [resource]}))
    actual_of(tmp_path, reservation())
    paths = [state, tmp_path / "reservations.json"]
    actual = read_actual(paths if first else paths[::-1], planned())
    assert actual.reserved == {P5: 4} and actual.running_inside == {P5: 3}


def test_a_page_of_several_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"all reservations of a region, got its first 1 reservations"):
        actual_of(tmp_path, reservation(), NextToken="more")


def test_the_fields_are_those_of_ec2():
    loaders = pytest.importorskip("botocore.loaders")
    from botocore.model import ServiceModel

    model = ServiceModel(loaders.Loader().load_service_model("ec2", "service-2"))
    answer = model.operation_model("DescribeCapacityReservations").output_shape.members
    item = answer["CapacityReservations"].member.members
    assert set(reservation()) <= set(item) and "NextToken" in answer
    assert "active" in item["State"].enum and set(item["Tags"].member.members) == {"Key", "Value"}
