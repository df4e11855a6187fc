"""Drift and Terraform: state that runs, never a plan; what is ours by key or tag, what is not is only noted."""

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
GROUP = {"scaling_config": [{"desired_size": 3}]}


def as_state(type_name, index, **attributes):
    """A resource as `terraform show -json` has it."""
    return {"mode": "managed", "type": type_name, "name": "cell", "index": index, "values": attributes}


def actual_of(folder, *states):
    paths = []
    for i, resources in enumerate(states):
        paths.append(folder / f"state{i}.json")
        module = {"child_modules": [{"address": "module.aws-us-east-1", "resources": resources}]}
        paths[-1].write_text(json.dumps({"format_version": "1.0", "values": {"root_module": module}}))
    return read_actual(paths, planned())


@pytest.mark.parametrize("field", ["planned_values", "resource_changes", "prior_state", "configuration"])
def test_a_plan_is_not_what_runs(tmp_path, field):
    path = tmp_path / "tfplan.json"
    path.write_text(json.dumps({"format_version": "1.2", field: {"root_module": {}}}))
    with pytest.raises(InputError) as refused:
        read_actual([path], planned())
    (finding,) = refused.value.findings
    assert (finding.where, finding.expected) == (str(path), "Terraform state")
    assert f"a Terraform plan (it has {field})" in finding.got and "without the name of a plan file" in finding.fix


def test_what_is_somebody_else_s_is_noted_and_is_no_drift(tmp_path):
    foreign = as_state("aws_eks_node_group", None, node_group_name="web", instance_types=["m7i.large"], **GROUP)
    actual = actual_of(tmp_path, [as_state("aws_eks_node_group", CELL, **GROUP), foreign])
    assert actual.machines[P5] == 3 and actual.strange == {}
    found = [d for d in drift(planned(), actual, DAY).differences if "web" in d.subject]
    assert [(d.kind, d.note) for d in found] == [("somebody else's", True)]


@pytest.mark.parametrize(
    "mark",
    [
        {"tags": {"managed-by": "capacity-planner"}},
        {"tags_all": {"managed-by": "capacity-planner"}},
        {"labels": {"capacity-planner/pool": "old"}},
        {"node_config": [{"labels": {"capacity-planner/pool": "old"}}]},
    ],
)
def test_what_an_earlier_plan_made_is_unknown_to_this_one(tmp_path, mark):
    actual = actual_of(tmp_path, [as_state("aws_eks_node_group", "old", node_group_name="old", **GROUP, **mark)])
    assert actual.strange == {"aws_eks_node_group old": "machines"} and actual.foreign == {}


def test_groups_and_reservations_of_another_type_do_not_count(tmp_path):
    group = as_state("aws_eks_node_group", CELL, instance_types=["p4d.24xlarge"], **GROUP)
    reservation = as_state("aws_ec2_capacity_reservation", CELL, instance_type="p4d.24xlarge", instance_count=3)
    found = {d.kind: d for d in drift(planned(), actual_of(tmp_path, [group, reservation]), DAY).differences}
    assert found["groups of another type"].detail == "not counted: p4d.24xlarge (3)"
    assert found["reservations of another type"].actual == 3
    assert "missing machines" in found and "missing reservation" in found


def test_groups_on_spot_stand_in_for_nothing_steady(tmp_path):
    actual = actual_of(tmp_path, [as_state("aws_eks_node_group", CELL, capacity_type="SPOT", **GROUP)])
    assert actual.on_spot == {P5: 3} and actual.of_contract == {}
    found = {d.kind: d for d in drift(planned(), actual, DAY).differences if d.subject == P5}
    assert (found["missing machines"].actual, found["spot machines beyond the plan"].actual) == (0, 3)


def test_a_state_in_two_files_counts_once(tmp_path):
    state = [as_state("aws_eks_node_group", CELL, id="cluster:group", **GROUP)]
    actual = actual_of(tmp_path, state, state)
    assert actual.machines[P5] == 3 and actual.repeated == {"resources": 1}


def test_nodes_of_a_gke_pool_are_counted_in_each_of_its_zones(tmp_path):
    pool = "google/us-west1/a3-highgpu-8g"
    cell = next(cell.name for cell in fleet_of(planned()).cells("google") if cell.lot.pool == pool)
    zones = {"node_locations": ["us-west1-a", "us-west1-b"]}
    for attributes, machines in (({}, 1), (zones, 2)):
        resource = as_state("google_container_node_pool", cell, node_count=1, **attributes)
        assert actual_of(tmp_path, [resource]).machines[pool] == machines


def test_what_was_replaced_and_is_not_destroyed_yet_does_not_run(tmp_path):
    resource = as_state("aws_eks_node_group", CELL, **GROUP)
    actual = actual_of(tmp_path, [resource, {**resource, "deposed_key": "5e0d3c1b"}])
    assert actual.machines[P5] == 3


def test_a_state_that_has_nothing_yet_is_the_first_day(tmp_path):
    """What `terraform show -json` says before the first apply: everything is still to be made."""
    path = tmp_path / "state.json"
    path.write_text(json.dumps({"format_version": "1.0", "terraform_version": "1.11.4"}))
    actual = read_actual([path], planned())
    assert not actual.machines.get(P5) and not actual.reserved
    missing = {d.subject for d in drift(planned(), actual, DAY).differences if not d.note}
    assert P5 in missing
