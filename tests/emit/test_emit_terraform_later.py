"""A later plan on what an earlier one made: how many nodes there are, with an autoscaler and without."""

import json

import pytest
from emitting import mirror, needs_terraform, terraform, write_all
from terraform_calls import planned_by_terraform, ready, root_of

ENVIRONMENTS = {
    "aws": {
        "cluster_name": "c",
        "node_role_arn": "arn:aws:iam::000000000000:role/n",
        "subnet_ids": ["subnet-any"],
        "availability_zone": "r1c",
    },
    "azure": {
        "kubernetes_cluster_id": "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/g"
        "/providers/Microsoft.ContainerService/managedClusters/k",
        "resource_group_name": "g",
        "zones": [],
    },
    "google": {"project": "p", "cluster": "c", "location": "l", "zone": "l-a"},
}
MACHINES = {"aws": "p5.48xlarge", "azure": "Standard_NC96ads_A100_v4", "google": "a3-highgpu-8g"}
NODES = {
    "aws": "aws_eks_node_group",
    "azure": "azurerm_kubernetes_cluster_node_pool",
    "google": "google_container_node_pool",
}
AT_AWS = """moved {
  from = module.aws.aws_eks_node_group.cell["moved"]
  to   = module.aws.aws_eks_node_group.autoscaled["moved"]
}
"""


def calls_with(machines, most_machines):
    """Of each cloud two groups of as many machines; an autoscaler may grow those that are named."""
    group = {"offer": "x", "spot": False, "instrument": "none", "labels": {}, "tags": {}, "neuron": False}
    calls = {}
    for cloud, environment in ENVIRONMENTS.items():
        of_all = {**group, "machine_type": MACHINES[cloud], "machines": machines}
        cells = {name: {**of_all, "pool": name, "short_name": name} for name in ("fixed", "moved")}
        calls[cloud] = {"cells": cells, "environment": {**environment, "most_machines": most_machines}}
    calls["azure"] |= {"name": "r", "region": "eastus2"}
    return calls


def desired(values):
    """Nodes of a group, and their bounds where it has any."""
    if "scaling_config" in values:
        (scaling,) = values["scaling_config"]
        return scaling["desired_size"], scaling["min_size"], scaling["max_size"]
    bounds = [(s["total_min_node_count"], s["total_max_node_count"]) for s in values.get("autoscaling") or ()]
    least, most = bounds[0] if bounds else (values.get("min_count"), values.get("max_count"))
    return values["node_count"], least, most


def changed(folder, texts):
    """(cloud, cell) -> what is done, nodes and bounds before and after, of what another plan changes."""
    write_all(folder, texts)
    _, shown = planned_by_terraform(folder)
    found = {}
    for change in shown["resource_changes"]:
        for cloud, kind in NODES.items():
            if change["type"] == kind:
                at, said = (cloud, change["index"]), change["change"]
                assert at not in found, "in two resources"
                found[at] = said["actions"], desired(said["before"]), desired(said["after"])
    return found


@pytest.fixture
def applied(tmp_path):
    """Two groups of 16 of each cloud that are there, by whether an autoscaler moves one of them; it then has 18."""
    needs_terraform()
    providers = mirror(tmp_path / "mirror")

    def apply(most_machines):
        folder = ready(tmp_path / "root", root_of(calls_with(16, most_machines)), providers)
        done = terraform(folder, "apply", "-auto-approve", "-input=false", "-no-color")
        assert done.returncode == 0, done.stderr
        state = json.loads((folder / "terraform.tfstate").read_text(encoding="utf-8"))
        for resource in state["resources"]:
            for instance in resource["instances"] if resource["type"] in NODES.values() else ():
                if instance["index_key"] in most_machines:
                    of = instance["attributes"]
                    of = of["scaling_config"][0] if "scaling_config" in of else of
                    of["desired_size" if "desired_size" in of else "node_count"] = 18
        state["serial"] += 1
        (folder / "terraform.tfstate").write_text(json.dumps(state), encoding="utf-8")
        return folder

    return apply


@pytest.mark.terraform
@pytest.mark.parametrize("machines", [20, 12])
def test_a_later_plan_reaches_the_nodes_and_leaves_alone_what_an_autoscaler_moves(applied, machines):
    folder = applied({"moved": 24})
    found = changed(folder, root_of(calls_with(machines, {"moved": 24})))
    assert found == {
        ("aws", "fixed"): (["update"], (16, 16, 16), (machines, machines, machines)),
        ("aws", "moved"): (["no-op"], (18, 0, 24), (18, 0, 24)),
        ("azure", "fixed"): (["update"], (16, None, None), (machines, None, None)),
        ("azure", "moved"): (["update"], (18, 16, 24), (18, machines, 24)),
        ("google", "fixed"): (["update"], (16, None, None), (machines, None, None)),
        ("google", "moved"): (["update"], (18, 16, 24), (18, machines, 24)),
    }


@pytest.mark.terraform
def test_an_autoscaler_can_be_given_nodes_that_are_there(applied):
    folder = applied({})
    found = changed(folder, {**root_of(calls_with(16, {"moved": 24})), "moved.tf": AT_AWS})
    assert {at: actions for at, (actions, _, _) in found.items()} == {
        (cloud, cell): ["update"] if cell == "moved" else ["no-op"] for cloud in NODES for cell in ("fixed", "moved")
    }
    assert {after for (_, cell), (_, _, after) in found.items() if cell == "moved"} == {(16, 0, 24), (16, 16, 24)}
