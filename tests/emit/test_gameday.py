"""Game days break what a failure takes, no more and no less, in words that each service knows."""

import copy
import json
from datetime import date
from functools import cache
from importlib.util import find_spec

import pytest
import yaml
from emitting import SHARED, hostile_plan, planned
from kubernetes_schemas import load, problems
from one_pool import small
from studies import model, offer, profile

from planner.emit.faults import FAULT_ACTIONS, Group, aws_template, azure_experiment, chaos_mesh
from planner.emit.fleet import fleet_of, zone_of
from planner.emit.gameday import TOLERANCE_POINTS, _is_region_lost, breaks, expected, files
from planner.emit.gameday_options import aks_names, unaddressed
from planner.emit.names import slug
from planner.emit.routing import subject
from planner.errors import InputError
from planner.plan.in_hand import in_hand
from planner.plan.plan import make_plan
from planner.solve.search import Effort
from planner.study.dependencies import NORMAL
from planner.study.records.study import Goal, Holding, Horizon, Tier

CRDS = SHARED / "schemas" / "crds"
ROLE = "arn:aws:iam::123456789012:role/fis"
SCALE_SET = (
    "/subscriptions/01234567-89ab-cdef-0123-456789abcdef/resourceGroups/nodes"
    "/providers/Microsoft.Compute/virtualMachineScaleSets/aks-gpu-1-vmss"
)


@cache
def made(**options: str) -> dict[str, str]:
    return files(planned(), {"fis_role_arn": ROLE, **options})


def of_services(made: dict[str, str], start: str) -> list[dict]:
    return [json.loads(text) for path, text in made.items() if path.rpartition("/")[2].startswith(start)]


def test_what_is_broken_is_what_the_failure_loses():
    of = subject(planned())
    fleet = fleet_of(of.plan)
    for f, failure in of.problem.failures.items():
        taken = breaks(of, fleet, f)
        lost = {q for q in of.problem.pools if of.problem.lost[f].get(q, 1.0) < 1}
        names = {group.name for groups in taken.groups.values() for group in groups}
        cells = [cell for provider in ("aws", "google", "azure", "owned") for cell in fleet.cells(provider)]
        assert names == {cell.name for cell in cells if cell.lot.pool in lost}
        placements = {e for of_region in taken.lost_fraction.values() for e in of_region}
        assert placements == {r.placement for r in fleet.running if r.pool in lost}
        assert bool(placements) == (f != NORMAL), failure.lost


def test_a_contract_that_is_not_renewed_takes_its_machines_and_no_others():
    """Two of three machines are a block that is renewed, the third is held: two thirds of the replicas go."""
    block = offer("a/x/m", 1.0, "capacity_block", name="block", most_days=182.0)
    tier = Tier(name="t", survive=(Goal(any="renewal", serve_fraction=0.3, within_seconds=60.0),))
    held = (Holding(pool="a/x/m", machines=1),)
    year = small(Horizon(start=date(2027, 1, 1), months=12), 15.0, bought=[block], holdings=held, tiers=(tier,))
    of = subject(make_plan(year, Effort()))
    fleet = fleet_of(of.plan)
    assert {lot.kind: lot.machines for lot in fleet.lots} == {"capacity_block": 2, "held": 1}
    taken = breaks(of, fleet, "renewal:a/x/m:block")
    (groups,) = taken.groups.values()
    blocks = {cell.name for cell in fleet.cells("a") if cell.lot.kind == "capacity_block"}
    assert {group.name for group in groups} == blocks and all(group.lost_fraction == 1 for group in groups)
    (fractions,) = taken.lost_fraction.values()
    assert list(fractions.values()) == [pytest.approx(2 / 3)]
    readme = next(text for path, text in files(of.plan, {}).items() if path.startswith("renewal") and "README" in path)
    assert "No machine and no replica" not in readme


def test_replicas_that_stand_on_another_contract_are_left_alone():
    """Two chains of a machine each, a replica of one model on each: the one that ends takes its own, all of it."""
    sold = [
        offer("a/x/m", usd, "capacity_block", name=name, most_days=182.0, most_units=1)
        for name, usd in (("first", 1.0), ("second", 1.5))
    ]
    tier = Tier(name="t", survive=(Goal(any="renewal", serve_fraction=0.5, within_seconds=60.0),))
    slow = profile("m", "cuda", 5, load_seconds=600.0)
    year = Horizon(start=date(2027, 1, 1), months=12)
    of = subject(make_plan(small(year, 10.0, bought=sold, models=(model("m", [slow]),), tiers=(tier,)), Effort()))
    (row,) = of.plan.file.replicas
    only = {"replicas": 1, "on_offers": {"a/x/m:second": 1}}
    one_model = of.plan.file.model_copy(update={"replicas": (row.model_copy(update=only),)})
    for name, share in (("first", [0.5]), ("second", [0.5])):
        (fractions,) = breaks(of, fleet_of(of.plan), f"renewal:a/x/m:{name}").lost_fraction.values()
        assert list(fractions.values()) == share
    fleet = fleet_of(in_hand(one_model))
    assert breaks(of, fleet, "renewal:a/x/m:first").lost_fraction == {}
    assert list(breaks(of, fleet, "renewal:a/x/m:second").lost_fraction["a", "x"].values()) == [1.0]


def test_aws_stops_every_group_of_a_lost_region_and_lets_none_be_made_again():
    fleet = fleet_of(planned())
    groups = {cell.name for cell in fleet.cells("aws") if cell.lot.pool.startswith("aws/us-east-1/")}
    blocks = {c.name for c in fleet.cells("aws") if c.lot.kind == "capacity_block"} & groups
    assert len(groups) > len(blocks) > 0
    named = {f"node_group.{name}": name for name in blocks}
    text = made(failures="site:aws/us-east-1", **{"zones.us-east-1": "us-east-1a,us-east-1b"}, **named)
    (template,) = of_services(text, "aws-fis")
    for action, key in (("aws:ec2:stop-instances", "Instances"),
                        ("aws:ec2:asg-insufficient-instance-capacity-error", "AutoScalingGroups")):  # fmt: skip
        aimed = [a["targets"][key] for a in template["actions"].values() if a["actionId"] == action]
        assert {template["targets"][name]["resourceTags"]["eks:nodegroup-name"] for name in aimed} == groups
        assert all(template["targets"][name]["selectionMode"] == "ALL" for name in aimed)
    zones = {a["parameters"].get("availabilityZoneIdentifiers") for a in template["actions"].values()} - {None}
    assert zones == {"us-east-1a,us-east-1b"}
    assert "NOT-SET" not in json.dumps(text)


def test_what_terraform_does_not_make_is_left_out_and_said_until_it_is_named():
    fleet, f = fleet_of(planned()), "site:aws/us-east-1"
    blocks = [c.name for c in fleet.cells("aws") if c.lot.kind == "capacity_block" and "us-east-1" in c.lot.pool]
    block, *others = blocks
    page = f"{slug(f)}/README.md"

    def tags(text):
        (template,) = of_services(text, "aws-fis")
        return [target["resourceTags"] for target in template["targets"].values()]

    bare = made(failures=f)
    assert not any(block in tag.values() for tag in tags(bare))
    assert f"- {block}: a Capacity Block" in bare[page] and f"node_group.{block}" in bare["README.md"]
    by_tag = made(failures=f, **{f"node_group.{block}": "team=gpu"})
    assert {"team": "gpu"} in tags(by_tag) and f"node_group.{block}" not in by_tag["README.md"]
    left_out = made(failures=f, **{f"node_group.{block}": "none"})
    assert not any(block in tag.values() for tag in tags(left_out)) and "as it was asked for" in left_out[page]
    assert f"node_group.{block}" not in left_out["README.md"]
    assert all(f"node_group.{name}" in left_out["README.md"] for name in others)
    held = next(cell for cell in fleet_of(hostile_plan("aws")).cells("aws") if cell.lot.offer is None)
    assert unaddressed(held) and not unaddressed(next(c for c in fleet.cells("aws") if c.lot.kind == "spot"))


def test_a_scale_set_may_be_named_by_the_short_name_of_its_pool():
    f, fleet = "site:azure/eastus2", fleet_of(planned())
    names = aks_names(fleet)
    for name in (*names, *names.values()):
        text = made(failures=f, **{f"scale_set.{name}": SCALE_SET})
        (body,) = of_services(text, "azure-chaos")
        ids = [target["id"] for s in body["properties"]["selectors"] for target in s["targets"]]
        assert any(id.startswith(f"{SCALE_SET}/providers/Microsoft.Chaos") for id in ids)
        assert all(short in text[f"{slug(f)}/README.md"] for short in names.values())


def test_pods_are_cut_off_from_gateways_alone_where_their_namespace_is_known():
    f = "site:aws/us-east-1"
    path = f"{slug(f)}/chaos-mesh-aws-us-east-1-never-answer.yaml"
    everything = made(failures=f)[path]
    assert "after about 15 s they are not ready" in everything and "target" not in everything
    text = made(failures=f, gateway_namespace="front")[path]
    (one,) = yaml.safe_load_all(text)
    assert one["spec"]["target"] == {"mode": "all", "selector": {"namespaces": ["front"]}} and "front" in text[:200]


def test_what_is_not_set_is_said_in_the_folder_and_in_the_index():
    text = files(planned(), {"failures": "site:aws/us-east-1"})
    for path in ("README.md", f"{slug('site:aws/us-east-1')}/README.md"):
        assert "fis_role_arn" in text[path] and "zones.us-east-1" in text[path]
    assert "No alarm ends" in text[f"{slug('site:aws/us-east-1')}/README.md"]
    with_alarm = {
        "stop_alarm_arn": "arn:aws:cloudwatch:us-east-1:123456789012:alarm:errors",
        "failures": "site:aws/us-east-1",
    }
    text = files(planned(), with_alarm)
    assert "No alarm ends" not in text[f"{slug('site:aws/us-east-1')}/README.md"]
    (template,) = of_services(text, "aws-fis")
    assert template["stopConditions"] == [{"source": "aws:cloudwatch:alarm", "value": with_alarm["stop_alarm_arn"]}]


def test_a_part_is_lost_as_a_part():
    half = aws_template("f", [Group("g", 0.5, "us-east-1a")], 5, "-", ROLE, None, ("tier", "gpu"), False)
    assert half["targets"]["stop-g"]["selectionMode"] == "PERCENT(50)"
    assert half["actions"]["starve-g"]["parameters"]["percentage"] == "50"
    assert not any("subnets" in name for name in half["targets"])  # whole subnets would be more than is lost
    all_of_it = aws_template("f", [Group("g", 1.0, None)], 5, "us-east-1a", ROLE, None, ("tier", "gpu"), True)
    assert all_of_it["targets"]["cut-subnets"]["resourceTags"] == {"tier": "gpu"}
    some, rest = chaos_mesh("f", "pod-failure", "serving", {"a": 1.0, "b": 0.004}, 5)[::-1]
    assert (some["spec"]["mode"], rest["spec"]["mode"], rest["spec"]["value"]) == ("all", "fixed-percent", "1")
    values = [one["spec"]["selector"]["expressionSelectors"][0]["values"] for one in (some, rest)]
    assert values == [["a"], ["b"]]


def test_expectations_are_the_plans_traffic_and_what_is_due():
    plan = planned()
    of = subject(plan)
    f = "site:aws/us-east-1"
    (at,) = expected(of, f)["deadlines"]
    (state,) = [s for s in plan.states if s.failure == f]
    if not state.placement:  # all stays as it is
        (state,) = [s for s in plan.states if s.failure == NORMAL]
    sent = dict.fromkeys(state.placement, 0.0)
    for placement, rate in zip(state.placement, state.requests_per_second, strict=True):
        sent[placement] += rate
    assert at["within_seconds"] == 60
    assert {row["placement"]: row["share_fraction"] for row in at["placements"]} == pytest.approx(
        {e: rate / sum(sent.values()) for e, rate in sent.items() if rate}
    )
    (row,) = at["workloads"]
    assert row["due_fraction"] == pytest.approx(1) and row["served_fraction"] == pytest.approx(sum(sent.values()) / 100)
    assert f"{TOLERANCE_POINTS:g} percentage points" in made(failures=f)[f"{slug(f)}/README.md"]


@pytest.mark.parametrize(
    ("options", "where"),
    [
        ({"failures": "site:aws/us-east-9"}, "failures"),
        ({"failures": "[1]"}, "failures"),
        ({"failures": '["site:aws/us-east-1"'}, "failures"),
        ({"failures": '["site:aws/us-east-1", ["x"]]'}, "failures"),
        ({"minutes": "0"}, "minutes"),
        ({"minutes": "1e1"}, "minutes"),
        ({"fis_role_arn": "role"}, "fis_role_arn"),
        ({"namespace": "a\n- b"}, "namespace"),
        ({"subnet_tag": "tier"}, "subnet_tag"),
        ({"scale_set.nobody": "/subscriptions/x"}, "scale_set.nobody"),
        ({"zones.nowhere": "a"}, "zones.nowhere"),
        ({"zones.us-east-1": "a b"}, "zones.us-east-1"),
        ({"zones.us-east-1": "eu-north-1a"}, "zones.us-east-1"),
        ({"zones.us-east-1": "us-east-1a,us-east-1a"}, "zones.us-east-1"),
        ({"fis_role_arn": "arn:aws:iam::123:role/fis"}, "fis_role_arn"),
        ({"fis_role_arn": "arn:aws:sns:us-east-1:123456789012:fis"}, "fis_role_arn"),
        ({"stop_alarm_arn": ROLE}, "stop_alarm_arn"),
        ({"gateway_namespace": "A_B"}, "gateway_namespace"),
        ({"node_group.nobody": "x"}, "node_group.nobody"),
        ({"node_group.CELL": "a=b=c,d"}, "node_group."),
        ({"scale_set.SHORT": "/subscriptions/x"}, "scale_set."),
    ],
)
def test_options_that_do_not_fit_are_refused(options, where):
    fleet = fleet_of(planned())
    names = {"CELL": fleet.cells("aws")[0].name, "SHORT": next(iter(aks_names(fleet).values()))}
    for placeholder, name in names.items():
        options = {key.replace(placeholder, name): value for key, value in options.items()}
    with pytest.raises(InputError) as refused:
        files(planned(), options)
    assert any(where in finding.where for finding in refused.value.findings)


def test_all_that_does_not_fit_is_said_at_once():
    with pytest.raises(InputError) as refused:
        files(planned(), {"minutes": "0", "namespace": "A_B", "failures": "nobody"})
    assert len(refused.value.findings) == 3


def test_a_plan_that_is_not_proven_says_so_wherever_one_begins_to_read():
    options = {"failures": "site:aws/us-east-1"}
    said = files(planned(), {**options, "not_proven": "drill: a goal does not hold"})
    first = {path: text.splitlines()[0] for path, text in said.items() if path.endswith("README.md")}
    assert len(first) == 2 and all("NOT PROVEN" in line for line in first.values())
    assert not any("NOT PROVEN" in text for text in files(planned(), options).values())


def test_no_name_of_a_person_leaves_its_place():
    text = files(hostile_plan("aws"), {})
    for path, content in text.items():
        assert set(path) <= set("abcdefghijklmnopqrstuvwxyz0123456789-./README"), path
        if path.endswith(".yaml"):
            assert all(one["kind"] in ("PodChaos", "NetworkChaos") for one in yaml.safe_load_all(content))


def test_every_action_is_in_the_table_with_its_parameters():
    templates = of_services(made(subnet_tag="tier=gpu"), "aws-fis")
    assert templates
    for template in templates:
        for action in template["actions"].values():
            known = FAULT_ACTIONS[action["actionId"]]
            assert set(action["parameters"]) <= set(known.parameters)
            ((key, target),) = action["targets"].items()
            assert (key, template["targets"][target]["resourceType"]) == (known.target_key, known.target_type)
    for body in of_services(made(), "azure-chaos"):
        for step in body["properties"]["steps"]:
            for branch in step["branches"]:
                (action,) = branch["actions"]
                assert {row["key"] for row in action["parameters"]} <= set(FAULT_ACTIONS[action["name"]].parameters)


@pytest.mark.kubernetes
def test_aws_knows_the_shape():
    if find_spec("botocore") is None:
        pytest.skip("botocore is not installed: requirements-emit.txt")
    from botocore.session import get_session
    from botocore.validate import ParamValidator

    shape = get_session().get_service_model("fis").operation_model("CreateExperimentTemplate").input_shape
    templates = of_services(made(subnet_tag="tier=gpu"), "aws-fis")
    assert templates
    for template in templates:
        report = ParamValidator().validate(template, shape)
        assert not report.has_errors(), report.generate_report()
    wrong = copy.deepcopy(templates[0])
    wrong["stopCondition"] = wrong.pop("stopConditions")
    assert ParamValidator().validate(wrong, shape).has_errors()


@pytest.mark.kubernetes
def test_azure_knows_the_shape():
    if find_spec("azure.mgmt.chaos" if find_spec("azure") else "azure") is None:
        pytest.skip("azure-mgmt-chaos is not installed: requirements-emit.txt")
    from azure.mgmt.chaos.models import Experiment

    bodies = of_services(made(), "azure-chaos")
    zonal = azure_experiment("f", "eastus", [Group("g", 1.0, "1")], 5, {"g": "/subscriptions/x"})
    assert bodies
    for body in [*bodies, zonal]:
        assert Experiment.deserialize(body).serialize() == body  # what is not known is lost on the way


@pytest.mark.kubernetes
def test_chaos_mesh_knows_the_shape():
    if not CRDS.is_dir():
        pytest.skip("no schemas of custom resources beside the project (shared/schemas/crds)")
    missing = [name for name in ("jsonschema", "cel") if find_spec(name) is None]
    if missing:
        pytest.skip(f"Python packages not installed: {', '.join(missing)}")
    schemas = load(CRDS)
    parts = [yaml.safe_load_all(text) for path, text in made().items() if path.endswith(".yaml")]
    objects = [one for part in parts for one in part]
    objects += chaos_mesh("f", "partition", "serving", {"a": 0.5}, 5, "front")
    assert {one["kind"] for one in objects} == {"PodChaos", "NetworkChaos"}
    assert {text for one in objects for text in problems(schemas, one)} == set()
    wrong = copy.deepcopy(objects[0])
    wrong["spec"]["mode"] = "every"
    assert problems(schemas, wrong)


def test_subnets_are_cut_off_only_where_nothing_of_a_region_remains():
    """A zone or a pool of a region is lost: its other groups stand in subnets of the same tag."""
    for f in (f for f in subject(planned()).problem.failures if f != NORMAL):
        for template in of_services(files(planned(), {"subnet_tag": "tier=gpu", "failures": f}), "aws-fis"):
            assert any(name.startswith("cut-") for name in template["targets"]), f
    study = planned().study
    (lost_pool,) = [pool.id for pool in study.pools if pool.id == "aws/us-east-1/p5.48xlarge"]
    groups = [Group(cell.name, 1.0, None) for cell in fleet_of(planned()).cells("aws") if cell.lot.pool == lost_pool]
    assert groups and not _is_region_lost(fleet_of(planned()), "aws", "us-east-1", groups)


def test_zones_are_named_as_their_provider_does():
    (study_site, *_) = [one for one in planned().study.sites if one.provider == "azure"]
    zonal = study_site.model_copy(update={"site": f"{study_site.region}-1"})
    assert (zone_of(study_site), zone_of(zonal)) == (None, "1")
    (aws, *_) = [one for one in planned().study.sites if one.provider == "aws"]
    assert zone_of(aws.model_copy(update={"site": f"{aws.region}a"})) == f"{aws.region}a"
