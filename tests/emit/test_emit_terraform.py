"""Terraform: the plan's counts arrive, each pool by its instrument, and no name becomes code."""

import json
import os
import re
import shutil
import unicodedata
from importlib.resources import files as packaged

import pytest
import yaml
from emitting import (
    HELD,
    POOLS,
    SCHEMAS,
    TERRAFORM,
    hostile_plan,
    mirror,
    needs_terraform,
    planned,
    terraform,
    write_all,
)
from terraform_arguments import ARGUMENTS

from planner.emit.actual import read_actual
from planner.emit.kubernetes import files as manifests
from planner.emit.terraform import files, root_variables

META = {"for_each", "count", "provider", "depends_on", "lifecycle"}
CLOUDS = {"aws": "aws", "google": "google", "azure": "azurerm"}


def cells(made):
    data = json.loads(made["plan.auto.tfvars.json"])
    return {
        name: cell for regions in data.values() for region in regions.values() for name, cell in region["cells"].items()
    }


def by_pool(made):
    found = {}
    for cell in cells(made).values():
        found[cell["pool"]] = found.get(cell["pool"], 0) + cell["machines"]
    return found


def test_the_counts_of_the_plan_arrive():
    in_clouds = {q: n + HELD.get(q, 0) for q, (*_, n) in POOLS.items() if not q.startswith("owned/")}
    assert by_pool(files(planned(), {})) == in_clouds


def test_each_pool_by_its_instrument():
    made = files(planned(), {})
    found = {(cell["pool"].split("/", 1)[1], cell["instrument"]) for cell in cells(made).values()}
    assert found == {
        ("us-east-1/p5.48xlarge", "immediate"),
        ("us-east-1/trn2.48xlarge", "capacity_block"),
        ("eu-north-1/trn1.32xlarge", "spot"),
        ("us-east5-a/ct6e-standard-8t", "future_reservation"),
        ("us-east5-a/tpu7x-standard-4t", "by_hand"),
        ("us-west1/v5litepod-8", "none"),
        ("us-west1/a3-highgpu-8g", "immediate"),
        ("eastus2/Standard_ND96isr_H100_v5", "none"),
        ("eastus2/Standard_NC96ads_A100_v4", "immediate"),
    }
    blocks = [cell["machines"] for cell in cells(made).values() if cell["instrument"] == "capacity_block"]
    assert sorted(blocks) == [2, 4, 16]  # 22 in blocks that can be bought
    plan = planned()
    offers = [b.model_copy(update={"most_units_at_once": 8}) for b in plan.study.offers]
    study = plan.study.model_copy(update={"offers": tuple(offers)})
    fewer = cells(files(plan.model_copy(update={"study": study}), {})).values()
    assert sorted(c["machines"] for c in fewer if c["instrument"] == "capacity_block") == [2, 4, 8, 8]
    drafts = [cell["draft"] for cell in cells(made).values() if cell.get("draft")]
    assert drafts == [
        {
            "vm_family": "VM_FAMILY_CLOUD_TPU_LITE_POD_SLICE_CT6E",
            "accelerator_type": "ct6e",
            "accelerator_count": 5 * 8,
            "commitment_plan": "THIRTY_SIX_MONTH",
            "start": "2026-03-01T00:00:00Z",
            "end": "2029-03-01T00:00:00Z",
        }
    ]
    zones = {cell["pool"]: cell["zone"] for cell in cells(made).values()}
    assert zones["google/us-east5-a/ct6e-standard-8t"] == "us-east5-a" and zones["aws/us-east-1/p5.48xlarge"] is None
    machine = {cell["pool"]: cell["machine_type"] for cell in cells(made).values()}
    assert machine["google/us-west1/v5litepod-8"] == "ct5lp-hightpu-8t"


def test_nodes_carry_the_labels_that_pods_ask_for():
    labels = {}
    for cell in cells(files(planned(), {})).values():
        said = cell["labels"]["capacity-planner/pool"], cell["labels"]["capacity-planner/counts-in-failures"]
        labels.setdefault(cell["pool"], set()).add(said)
    asked = {}
    for path, text in manifests(planned(), {}).items():
        for o in yaml.safe_load_all(text) if path.endswith("workloads.yaml") else ():
            if o["kind"] == "Deployment":
                selector = o["spec"]["template"]["spec"]["nodeSelector"]
                pool = o["metadata"]["annotations"]["capacity-planner/placement"].partition("@")[2]
                said = selector["capacity-planner/pool"], selector["capacity-planner/counts-in-failures"]
                asked.setdefault(pool, set()).add(said)
    assert {q: said for q, said in asked.items() if not q.startswith("owned/")} == labels
    assert {said for _, said in labels["aws/eu-north-1/trn1.32xlarge"]} == {"false"}


def test_tickets_for_what_a_person_must_do():
    made = files(planned(), {})
    found = {t["pool"]: t for t in json.loads(made["tickets/tickets.json"])["tickets"]}
    assert {q.split("/", 1)[1]: t["reservation"] for q, t in found.items()} == {
        "us-east-1/p5.48xlarge": "immediate",  # the discount is signed by hand
        "us-east-1/trn2.48xlarge": "capacity_block",
        "us-east5-a/ct6e-standard-8t": "future_reservation",
        "us-east5-a/tpu7x-standard-4t": "by_hand",
        "us-west1/v5litepod-8": "none",
        "eastus2/Standard_ND96isr_H100_v5": "none",
    }
    block = found["aws/us-east-1/trn2.48xlarge"]
    assert block["machines"] == 22 and block["renew_by"][0] == "2026-07-05"  # 182 days on, eight weeks before
    assert block["blocks"][0]["instances"] == [16, 4, 2] and len(block["blocks"]) == len(block["renew_by"]) + 1
    assert [x["order_from"] or x["order_by"] for x in block["blocks"][1:]] == block["renew_by"]
    page = made[f"tickets/{block['ticket']}.md"]
    assert all(f" | 16, 4, 2 | {x['order_from']} | {x['order_by']} |" in page for x in block["blocks"])
    assert len([p for p in made if p.startswith("tickets/") and p.endswith(".md")]) == len(found)


def test_what_is_dangerous_is_off_and_safe():
    variables = root_variables()
    for name in ("purchase_capacity_blocks", "capacity_blocks_active", "reservations_delivered"):
        block = variables[variables.index(f'variable "{name}"') :]
        assert re.search(r"default\s+= false", block[: block.index("}\n")])
    aws = module("aws")
    block = aws[aws.index('resource "aws_ec2_capacity_block_reservation"') :]
    block = block[: block.index("\n}\n")]
    assert "prevent_destroy = true" in block and "ignore_changes  = [capacity_block_offering_id]" in block
    google = module("google")
    assert re.search(r'planning_status\s+= "DRAFT"', google) and "SUBMITTED" not in google


def module(cloud):
    return packaged("planner.emit").joinpath("modules", cloud, "main.tf").read_text(encoding="utf-8")


def arguments(text):
    """(block path, argument) of every resource and data source of a module in HCL."""
    stack: list[str] = []
    for raw in text.splitlines():
        line = raw.strip()
        if opened := re.fullmatch(r'(resource|data) "(\w+)" "\w+" \{', line):
            stack = [("data." if opened[1] == "data" else "") + opened[2]]
        elif not stack:
            continue
        elif opened := re.fullmatch(r'dynamic "(\w+)" \{', line):
            stack.append(f"~{opened[1]}")
        elif line == "content {":
            stack.append("~")
        elif opened := re.fullmatch(r"(\w+) \{", line):
            stack.append(opened[1])
        elif line == "}":
            stack.pop()
        elif (said := re.fullmatch(r"(\w+)\s+= .*", line)) and not (stack[-1].startswith("~") and len(stack[-1]) > 1):
            path = [part.lstrip("~") for part in stack if part != "~"]
            if "lifecycle" not in path and not (len(path) == 1 and said[1] in META):
                yield ".".join(path), said[1]


@pytest.mark.parametrize("cloud", CLOUDS)
def test_every_argument_is_one_that_the_provider_has(cloud):
    used = {}
    for block, argument in arguments(module(cloud)):
        used.setdefault(block, set()).add(argument)
    provider = CLOUDS[cloud] if cloud != "azure" else "azurerm"
    assert used == {k: v for k, v in ARGUMENTS.items() if k.removeprefix("data.").startswith(f"{provider}_")}


@pytest.mark.parametrize("block", ARGUMENTS)
def test_the_list_of_arguments_is_that_of_the_schemas(block):
    if not SCHEMAS.is_dir():
        pytest.skip("no schemas of providers beside the project (shared/schemas/terraform)")
    kind, *path = block.removeprefix("data.").split(".")
    file = {"aws": "aws", "google": "google", "azurerm": "azurerm"}[kind.partition("_")[0]]
    file = "google-beta" if kind == "google_compute_future_reservation" else file
    (found,) = json.loads((SCHEMAS / f"{file}.json").read_text(encoding="utf-8"))["provider_schemas"].values()
    schema = found["data_source_schemas" if block.startswith("data.") else "resource_schemas"][kind]["block"]
    for part in path:
        schema = schema["block_types"][part]["block"]
    assert ARGUMENTS[block] <= set(schema["attributes"])
    required = {name for name, a in schema["attributes"].items() if a.get("required")}
    assert required <= ARGUMENTS[block]


@pytest.mark.parametrize("provider", CLOUDS)
def test_hostile_names_are_literal_data(provider):
    plan = hostile_plan(provider)
    made = files(plan, {})
    machines = {h.pool: h.machines for h in plan.study.holdings}
    for bought in plan.purchases:
        offer = next(b for b in plan.study.offers if b.id == bought.offer)
        machines[offer.pool] += bought.units
    found = by_pool(made)
    assert {q: n for q, n in found.items() if q in machines} == {q: machines[q] for q in found}
    assert len(found) >= 500 and all(found[q] >= h for q, h in ((h.pool, h.machines) for h in plan.study.holdings))
    allowed = re.compile(r"[A-Za-z0-9 _.,;:/>=<\[\]\"$(){}+-]*")
    for path in ("main.tf.json", "plan.tftest.json"):
        text = made[path]
        slugs = set(re.findall(r'\[\\"(.*?)\\"\]', text))
        assert slugs and all(re.fullmatch(r"[a-z][a-z0-9-]*", name) for name in slugs)
        words = re.sub(r'\\"', '"', text)
        assert all(allowed.fullmatch(line) for line in words.splitlines()), path
    assert all(text.isascii() for path, text in made.items() if path.startswith("modules/"))


def test_a_plan_that_is_not_proven_says_so():
    made = files(planned(), {"not_proven": "audit: x"})
    assert any("NOT PROVEN" in line for line in json.loads(made["main.tf.json"])["//"])
    assert json.loads(made["tickets/tickets.json"])["not_proven"] == "audit: x"


@pytest.mark.terraform
def test_terraform_formats_nothing(tmp_path):
    needs_terraform()
    write_all(tmp_path, {path: text for path, text in files(planned(), {}).items() if path.endswith(".tf")})
    done = terraform(tmp_path, "fmt", "-check", "-recursive")
    assert (done.returncode, done.stdout) == (0, "")


@pytest.fixture(scope="module")
def ready(tmp_path_factory):
    """The folder of the plan, initialised with providers that serve schemas only."""
    needs_terraform()
    folder = write_all(tmp_path_factory.mktemp("root"), files(planned(), {}))
    providers = mirror(tmp_path_factory.mktemp("mirror"))
    done = terraform(folder, "init", "-input=false", "-no-color", f"-plugin-dir={providers}")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.terraform
def test_terraform_runs_the_generated_tests(ready):
    done = terraform(ready, "test", "-no-color")
    assert done.returncode == 0 and "3 passed, 0 failed" in done.stdout, done.stdout + done.stderr


@pytest.mark.terraform
def test_terraform_plans_what_the_plan_says_and_reads_names_as_data(ready):
    data = json.loads((ready / "plan.auto.tfvars.json").read_text(encoding="utf-8"))
    hostile = [s.city for s in hostile_plan().study.sites]
    first = next(iter(data["aws"].values()))["cells"]
    next(iter(first.values()))["tags"] |= {f"k{i}": name for i, name in enumerate(hostile)}
    env = json.loads((ready / "environment.example.json").read_text(encoding="utf-8"))
    other = ready.parent / "other"
    shutil.copytree(ready, other, symlinks=True, dirs_exist_ok=True)
    write_all(other, {"plan.auto.tfvars.json": json.dumps(data), "environment.auto.tfvars.json": json.dumps(env)})
    options = [
        f"-var={name}=true" for name in ("purchase_capacity_blocks", "capacity_blocks_active", "reservations_delivered")
    ]
    done = terraform(other, "plan", "-refresh=false", "-input=false", "-no-color", "-out=p", *options)
    assert done.returncode == 0, done.stderr[-3000:]
    shown = terraform(other, "show", "-json", "p")
    with_values = {"values": json.loads(shown.stdout)["planned_values"]}  # as if it were there: a plan is no state
    (other / "shown.json").write_text(json.dumps(with_values), encoding="utf-8")
    actual = read_actual([other / "shown.json"], planned())
    assert actual.machines == {q: n + HELD.get(q, 0) for q, (*_, n) in POOLS.items()} and not actual.strange
    tags = [
        r["values"]["tags"]
        for m in json.loads(shown.stdout)["planned_values"]["root_module"]["child_modules"]
        for r in m["resources"]
        if "k0" in (r["values"].get("tags") or {})
    ]
    assert len(hostile) >= 500 and tags
    for found in tags:
        assert [found[f"k{i}"] for i in range(len(hostile))] == [unicodedata.normalize("NFC", name) for name in hostile]


@pytest.mark.terraform
def test_the_provider_of_aws_accepts_its_module(tmp_path):
    plugins = os.environ.get("TF_PLUGINS")
    if TERRAFORM is None or not plugins:
        pytest.skip("terraform, or TF_PLUGINS: a folder of plugins with hashicorp/aws 5.100, is not there")
    plan = planned()
    bought = tuple(b for b in plan.purchases if b.offer.startswith("aws/"))
    study = plan.study.model_copy(update={"holdings": ()})
    made = files(plan.model_copy(update={"purchases": bought, "study": study, "replicas": ()}), {})
    write_all(tmp_path, made)
    assert terraform(tmp_path, "init", "-input=false", f"-plugin-dir={plugins}").returncode == 0
    done = terraform(tmp_path, "validate", "-no-color")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.terraform
def test_terraform_test_finds_a_wrong_count(ready):
    data = json.loads((ready / "plan.auto.tfvars.json").read_text(encoding="utf-8"))
    wrong = ready.parent / "wrong"
    shutil.copytree(ready, wrong, symlinks=True, dirs_exist_ok=True)
    cell = next(c for r in data["azure"].values() for c in r["cells"].values() if c["instrument"] == "none")
    cell["machines"] += 1
    write_all(wrong, {"plan.auto.tfvars.json": json.dumps(data)})
    done = terraform(wrong, "test", "-no-color", "-filter=plan.tftest.json")
    assert done.returncode == 1 and "the plan has" in done.stdout + done.stderr
