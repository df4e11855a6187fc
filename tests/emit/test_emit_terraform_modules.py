"""The modules as a platform team calls them, beside what exists: zones, what is held, nodes, both ends of versions."""

import json
import os
import sys
from pathlib import Path

import pytest
from emitting import HELD, TERRAFORM, mirror, needs_terraform, planned, renamed, terraform
from terraform_arguments import ARGUMENTS
from terraform_calls import module, planned_by_terraform, ready, root_of

from planner.emit.terraform import VERSIONS as ALLOWED
from planner.emit.terraform import files

AWS_6 = Path(__file__).parents[1] / "support" / "terraform_schemas" / "aws_6.25.0.json"
"""What of hashicorp/aws 6.25.0 the modules use (npm @cdktf/provider-aws 21.22.1, taken 2026-11-29)."""
AZURERM_5 = AWS_6.with_name("azurerm_5.10.0.json")
"""What of hashicorp/azurerm 5.10.0 they use (PyPI cdktn-provider-azurerm 18.9.0, taken 2026-11-29): names, types, and
what is required; which attributes are computed is known of ids and counts alone."""

GROUP = {"offer": "x", "spot": False, "labels": {}, "tags": {}, "neuron": False}
P5 = {**GROUP, "machine_type": "p5.48xlarge", "instrument": "immediate"}
AWS_CELLS = {
    "in-a": {**P5, "pool": "a", "machines": 2, "zone": "r1a"},
    "in-b": {**P5, "pool": "b", "machines": 3, "zone": "r1-az2"},
    "there": {**P5, "pool": "c", "machines": 4, "instrument": "none", "held": True},
    "named": {**P5, "pool": "d", "machines": 5, "zone": "r1b"},
    "spot": {**GROUP, "pool": "e", "machine_type": "trn1.32xlarge", "machines": 6, "instrument": "spot", "spot": True},
}
AWS = {
    "cells": AWS_CELLS,
    "environment": {
        "cluster_name": "c",
        "node_role_arn": "arn:aws:iam::000000000000:role/n",
        "subnet_ids": ["subnet-any"],
        "availability_zone": "r1c",
        "zone_names": {"r1-az2": "r1b"},
        "subnet_ids_by_zone": {"r1a": ["subnet-a"], "r1b": ["subnet-b"]},
        "reservation_ids": {"there": "cr-there", "named": "cr-named"},
        "most_machines": {"in-a": 7, "in-b": 4},
        "least_machines": {"in-a": 1},
        "taints": [{"key": "gpu", "value": "true", "effect": "NO_SCHEDULE"}],
        "root_volume_gib": 500,
        "placement_groups": True,
        "efa_interfaces": {"p5.48xlarge": 3},
        "security_group_ids": ["sg-efa"],
    },
}
SIZE = "Standard_NC96ads_A100_v4"
AZURE_CELLS = {
    "zone-1": {"zone": "1", "instrument": "immediate", "machines": 2, "short_name": "one"},
    "zone-2": {"zone": "2", "instrument": "immediate", "machines": 3, "short_name": "two"},
    "anywhere": {"instrument": "none", "machines": 4, "short_name": "any"},
    "there": {"instrument": "none", "machines": 5, "short_name": "there", "held": True},
}
AZURE = {
    "name": "r",
    "region": "eastus2",
    "cells": {
        name: {"pool": name, "offer": "x", "machine_type": SIZE, "spot": False, "labels": {}, "tags": {}, **cell}
        for name, cell in AZURE_CELLS.items()
    },
    "environment": {
        "kubernetes_cluster_id": "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/g"
        "/providers/Microsoft.ContainerService/managedClusters/k",
        "resource_group_name": "g",
        "zones": [],
        "reservation_ids": {"there": "group-there"},
        "most_machines": {"anywhere": 9},
        "taints": ["sku=gpu:NoSchedule"],
        "root_volume_gib": 300,
    },
}
GOOGLE = {
    "cells": {
        name: {"pool": name, "offer": "x", "spot": False, "labels": {}, **cell}
        for name, cell in {
            "gpu": {"machine_type": "a3-highgpu-8g", "machines": 2, "instrument": "immediate", "reservation": "gpu"},
            "tpu": {"machine_type": "tpu7x-standard-4t", "machines": 3, "instrument": "by_hand", "reservation": "tpu"},
            "there": {"machine_type": "a3-highgpu-8g", "machines": 4, "instrument": "none", "held": True},
        }.items()
    },
    "environment": {
        "project": "p",
        "cluster": "c",
        "location": "l",
        "zone": "l-a",
        "reservation_ids": {"tpu": "by-hand", "there": "theirs"},
        "most_machines": {"gpu": 5},
        "taints": [{"key": "gpu", "value": "true", "effect": "NO_SCHEDULE"}],
        "root_volume_gib": 200,
    },
}
PROVIDERS = {"aws": ("aws",), "azure": ("azurerm",), "google": ("google", "google-beta")}


@pytest.fixture(scope="module")
def called(tmp_path_factory):
    """What the modules of all clouds would make for a team that calls them."""
    needs_terraform()
    texts = root_of({"aws": AWS, "azure": AZURE, "google": GOOGLE})
    providers = mirror(tmp_path_factory.mktemp("mirror"))
    return planned_by_terraform(ready(tmp_path_factory.mktemp("called"), texts, providers))


@pytest.mark.terraform
def test_two_zones_of_a_region_have_reservations_and_nodes_of_their_own(called):
    made, shown = called
    reserved = {name: r for (kind, name), r in made.items() if kind == "aws_ec2_capacity_reservation"}
    assert {name: (r["availability_zone"], r["instance_count"]) for name, r in reserved.items()} == {
        "in-a": ("r1a", 2),
        "in-b": ("r1b", 3),
    }
    groups = {name: g for (kind, name), g in made.items() if kind == "aws_eks_node_group"}
    assert {name: g["subnet_ids"] for name, g in groups.items()} == {
        "in-a": ["subnet-a"],
        "in-b": ["subnet-b"],
        "named": ["subnet-b"],
        "spot": ["subnet-any"],
    }
    assert made["aws_launch_template", "named"]["capacity_reservation_specification"] == [
        {"capacity_reservation_preference": None}
        | {
            "capacity_reservation_target": [
                {"capacity_reservation_id": "cr-named", "capacity_reservation_resource_group_arn": None}
            ]
        }
    ]
    ids = shown["output_changes"]["aws_ids"]
    assert ids["after"] == {"there": "cr-there", "named": "cr-named", "in-a": None, "in-b": None}, "made: known then"


@pytest.mark.terraform
def test_a_zonal_reservation_of_azure_has_a_zonal_pool(called):
    made, _ = called
    groups = {name: g["zones"] for (kind, name), g in made.items() if kind == "azurerm_capacity_reservation_group"}
    assert groups == {"1": ["1"], "2": ["2"]}
    reserved = {name: r["zone"] for (kind, name), r in made.items() if kind == "azurerm_capacity_reservation"}
    pools = {name: p for (kind, name), p in made.items() if kind == "azurerm_kubernetes_cluster_node_pool"}
    assert reserved == {"zone-1": "1", "zone-2": "2"}
    assert {name: p["zones"] for name, p in pools.items()} == {"zone-1": ["1"], "zone-2": ["2"], "anywhere": None}


@pytest.mark.terraform
def test_nothing_is_made_for_what_is_held(called):
    made, _ = called
    assert not [kind for kind, name in made if name == "there"]


@pytest.mark.terraform
def test_nodes_are_what_the_environment_says(called):
    made, _ = called
    template = made["aws_launch_template", "in-a"]
    (disk,) = template["block_device_mappings"]
    assert (disk["ebs"][0]["volume_size"], disk["ebs"][0]["encrypted"]) == (500, "true")
    cards = [(i["network_card_index"], i["device_index"], i["interface_type"]) for i in template["network_interfaces"]]
    assert cards == [(0, 0, "interface"), (0, 1, "efa-only"), (1, 0, "efa-only"), (2, 0, "efa-only")]
    assert made["aws_placement_group", "in-a"]["strategy"] == "cluster" and template["placement"]
    assert not made["aws_launch_template", "spot"]["network_interfaces"]
    assert ("aws_placement_group", "spot") not in made
    group = made["aws_eks_node_group", "in-a"]
    assert group["taint"] == [{"key": "gpu", "value": "true", "effect": "NO_SCHEDULE"}]
    bounds = {}
    for (kind, name), other in made.items():
        if kind == "aws_eks_node_group":
            (scaling,) = other["scaling_config"]
            bounds[name] = scaling["min_size"], scaling["max_size"]
    assert bounds == {"in-a": (1, 7), "in-b": (0, 4), "named": (5, 5), "spot": (0, 6)}
    pool = made["google_container_node_pool", "gpu"]
    (config,), (scaling,) = pool["node_config"], pool["autoscaling"]
    assert (config["disk_size_gb"], config["taint"][0]["effect"]) == (200, "NO_SCHEDULE")
    assert (scaling["total_min_node_count"], scaling["total_max_node_count"]) == (2, 5)
    tpu = made["google_container_node_pool", "tpu"]  # named: it is there at once
    assert tpu["node_config"][0]["reservation_affinity"][0]["values"] == ["by-hand"] and not tpu["autoscaling"]
    any_zone = made["azurerm_kubernetes_cluster_node_pool", "anywhere"]
    assert (any_zone["auto_scaling_enabled"], any_zone["min_count"], any_zone["max_count"]) == (True, 4, 9)
    assert (any_zone["os_disk_size_gb"], any_zone["node_taints"]) == (300, ["sku=gpu:NoSchedule"])


@pytest.mark.terraform
def test_a_name_that_is_no_cells_is_refused(tmp_path):
    needs_terraform()
    calls = json.loads(json.dumps({"aws": AWS, "azure": AZURE, "google": GOOGLE}))
    calls["azure"]["environment"]["reservation_ids"] = {"no-such-cell": "x"}
    for call in calls.values():
        call["environment"]["most_machines"] = {"no-such-cell": 9}
    folder = ready(tmp_path / "root", root_of(calls), mirror(tmp_path / "mirror"))
    done = terraform(folder, "plan", "-refresh=false", "-input=false", "-no-color")
    said = " ".join(done.stderr.replace("│", " ").split())
    assert done.returncode == 1 and "environment.reservation_ids: a name that is no cell's" in said
    assert said.count("environment.most_machines: a name that is no cell's") == 3
    assert "environment.least_machines: a name that is not in most_machines" in said


def mirror_of(folder, schemas):
    """A mirror with a provider that has some schemas."""
    needs_terraform()
    name, _, version = schemas.stem.partition("_")
    place = folder / "registry.terraform.io" / "hashicorp" / name / version / "linux_amd64"
    place.mkdir(parents=True)
    program = place / f"terraform-provider-{name}_v{version}"
    provider = Path(__file__).parents[1] / "support" / "terraform_provider.py"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{provider}" "{schemas}"\n', encoding="utf-8")
    program.chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def aws_6(tmp_path_factory):
    """A mirror with a provider of the next major version of AWS."""
    return mirror_of(tmp_path_factory.mktemp("mirror"), AWS_6)


@pytest.mark.terraform
def test_the_next_major_version_of_azure_takes_the_same_module(tmp_path):
    folder = ready(tmp_path / "root", root_of({"azure": AZURE}), mirror_of(tmp_path / "mirror", AZURERM_5))
    made, _ = planned_by_terraform(folder)
    kinds = ("azurerm_kubernetes_cluster_node_pool", "azurerm_capacity_reservation")
    assert [sorted(name for kind, name in made if kind == one) for one in kinds] == [
        ["anywhere", "zone-1", "zone-2"],
        ["zone-1", "zone-2"],
    ]


@pytest.mark.terraform
def test_the_next_major_version_of_aws_takes_the_same_module(tmp_path, aws_6):
    made, _ = planned_by_terraform(ready(tmp_path, root_of({"aws": AWS}), aws_6))
    assert sorted(name for kind, name in made if kind == "aws_eks_node_group") == ["in-a", "in-b", "named", "spot"]


BLOCK_TEST = """
mock_provider "aws" {
  override_during = plan
  mock_resource "aws_ec2_capacity_block_reservation" {
    defaults = { availability_zone = "r1b" }
  }
}
run "machines_of_a_block_start_where_it_is" {
  command = plan
  assert {
    condition     = aws_eks_node_group.cell["block"].subnet_ids == toset(["subnet-b"])
    error_message = "not in the zone of the block"
  }
  assert {
    condition     = aws_eks_node_group.cell["block"].capacity_type == "CAPACITY_BLOCK"
    error_message = "not of the block"
  }
}
run "before_its_window_there_are_none" {
  command   = plan
  variables {
    capacity_blocks_active = false
  }
  assert {
    condition     = length(aws_eks_node_group.cell) == 0 && length(aws_ec2_capacity_block_reservation.block) == 1
    error_message = "nodes before the window, or no block"
  }
}
run "one_that_was_bought_is_not_bought_again" {
  command   = plan
  variables {
    environment = merge(var.environment, { reservation_ids = { block = "cr-block" } })
  }
  assert {
    condition     = length(aws_ec2_capacity_block_reservation.block) == 0
    error_message = "bought again"
  }
  assert {
    condition     = output.reservation_ids["block"] == "cr-block"
    error_message = "not the one that was named"
  }
  assert {
    condition     = aws_eks_node_group.cell["block"].scaling_config[0].desired_size == 4
    error_message = "its nodes are not there"
  }
}
"""


@pytest.mark.terraform
def test_a_capacity_block_has_its_nodes_in_its_own_zone_and_window_and_is_bought_once(tmp_path, aws_6):
    window = {"hours": 4368, "start": "2026-03-01T00:00:00Z", "end": "2026-08-31T00:00:00Z"}
    block = {**GROUP, "pool": "f", "machine_type": "trn2.48xlarge", "machines": 4, "instrument": "capacity_block"}
    environment = {**AWS["environment"], "reservation_ids": {}, "most_machines": {}, "least_machines": {}}
    values = {"cells": {"block": {**block, "window": window}}, "environment": environment}
    switches = {"purchase_capacity_blocks": True, "capacity_blocks_active": True}
    texts = {
        "main.tf": module("aws"),
        "block.tftest.hcl": BLOCK_TEST,
        "terraform.tfvars.json": json.dumps(values | switches),
    }
    done = terraform(ready(tmp_path, texts, aws_6), "test", "-no-color")
    assert done.returncode == 0 and "3 passed, 0 failed" in done.stdout, done.stdout + done.stderr


@pytest.mark.terraform
def test_the_provider_of_aws_accepts_such_a_call(tmp_path):
    plugins = os.environ.get("TF_PLUGINS")
    if TERRAFORM is None or not plugins:
        pytest.skip("terraform, or TF_PLUGINS: a folder of plugins with hashicorp/aws 5.100, is not there")
    done = terraform(ready(tmp_path, root_of({"aws": AWS}), plugins), "validate", "-no-color")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("schemas", [AWS_6, AZURERM_5])
def test_every_argument_is_one_that_the_next_major_version_has(schemas):
    ((source, provided),) = json.loads(schemas.read_text(encoding="utf-8"))["provider_schemas"].items()
    prefix, looked_at = source.rpartition("/")[2] + "_", 0
    for block, names in ARGUMENTS.items():
        if not block.removeprefix("data.").startswith(prefix):
            continue
        kind, *path = block.removeprefix("data.").split(".")
        schema = provided["data_source_schemas" if block.startswith("data.") else "resource_schemas"][kind]["block"]
        for part in path:
            schema = schema["block_types"][part]["block"]
        assert names <= set(schema["attributes"]), block
        assert {name for name, a in schema["attributes"].items() if a.get("required")} <= names, block
        looked_at += 1
    assert looked_at >= 4


def test_versions_of_the_root_are_those_of_the_modules():
    for cloud, providers in PROVIDERS.items():
        text = module(cloud)
        for provider in providers:
            assert f'version = "{ALLOWED[provider]}"' in text, provider


def test_google_asks_for_the_names_that_the_tickets_say():
    made = files(planned(), {})
    tickets = {t["pool"]: t for t in json.loads(made["tickets/tickets.json"])["tickets"]}
    data = json.loads(made["plan.auto.tfvars.json"])["google"]
    asked = {c["pool"]: c["reservation"] for r in data.values() for c in r["cells"].values() if c["reservation"]}
    tpu7x = "google/us-east5-a/tpu7x-standard-4t"
    assert tickets[tpu7x]["reservation"] == "by_hand" and tickets[tpu7x]["reservation_names"] == [asked[tpu7x]]
    assert f"| its name | {asked[tpu7x]} |" in made[f"tickets/{tickets[tpu7x]['ticket']}.md"]
    for pool, ticket in tickets.items():
        assert ticket["reservation_names"] == ([asked[pool]] if pool in asked else [])


@pytest.mark.parametrize(
    ("site", "region", "zone"),
    [
        ("aws/us-east-1", "us-east-1", None),
        ("aws/us-east-1a", "us-east-1", "us-east-1a"),
        ("aws/use1-az4", "us-east-1", "use1-az4"),
        ("google/us-east5-a", "us-east5", "us-east5-a"),
        ("azure/eastus2-1", "eastus2", "1"),
        ("azure/eastus2", "eastus2", None),
    ],
)
def test_a_zone_is_called_as_its_provider_does(site, region, zone):
    """The plan's own sites by other names: what is written for Terraform has the zone."""
    provider, _, name = site.partition("/")
    old = next(s for s in planned().study.sites if s.provider == provider)
    names = {f"{provider}/{old.site}": site}
    plan = renamed(planned(), names)
    sites = tuple(
        s.model_copy(update={"site": name, "region": region}) if s.id in (old.id, site) else s for s in plan.study.sites
    )
    plan = plan.model_copy(update={"study": plan.study.model_copy(update={"sites": sites})})
    made = files(plan, {})
    data = json.loads(made["plan.auto.tfvars.json"])[provider]
    cells = [c for r in data.values() for c in r["cells"].values() if c["pool"].startswith(f"{site}/")]
    assert cells and {c["zone"] for c in cells} == {zone}
    asked = json.loads(made["environment.example.json"])[f"{provider}_environment"].values()
    names_of_ids = [environment["zone_names"] for environment in asked if "zone_names" in environment]
    assert names_of_ids == ([{zone: "REPLACE"}] if zone == "use1-az4" else [])


def test_held_machines_are_marked():
    data = json.loads(files(planned(), {})["plan.auto.tfvars.json"])
    cells = [c for cloud in data.values() for region in cloud.values() for c in region["cells"].values()]
    held = {c["pool"]: c["machines"] for c in cells if c["held"]}
    assert held == {pool: n for pool, n in HELD.items() if not pool.startswith("owned/")}
