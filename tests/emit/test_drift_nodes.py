"""Drift sees what nodes and pods are: type, place, accelerators, spot, state, and each of them once."""

import json
from datetime import date

import pytest
from emitting import HELD, POOLS, planned
from studies import site

from planner.emit.actual import read_actual
from planner.emit.drift import drift
from planner.emit.fleet import fleet_of, node_labels
from planner.emit.names import slug
from planner.emit.node_facts import facts_of, where_is
from planner.errors import InputError

DAY = date(2026, 6, 1)
TOTAL = {q: n + HELD.get(q, 0) for q, (*_, n) in POOLS.items()}
P5, TRN1, V5E = "aws/us-east-1/p5.48xlarge", "aws/eu-north-1/trn1.32xlarge", "google/us-west1/v5litepod-8"
TYPE, ZONE, REGION = "node.kubernetes.io/instance-type", "topology.kubernetes.io/zone", "topology.kubernetes.io/region"
IN_VIRGINIA = {REGION: "us-east-1", ZONE: "us-east-1a"}


def node(pool=P5, uid=None, labels=IN_VIRGINIA, named="p5.48xlarge", chips=8, **more):
    """A ready node of the plan, as the cloud and the kubelet describe it."""
    of = {"capacity-planner/pool": fleet_of(planned()).pool_name[pool]} if pool else {}
    about = {"name": "n", "labels": {TYPE: named, **labels, **of}}
    allocatable = {"cpu": "190", "nvidia.com/gpu": str(chips)}
    made = {
        "kind": "Node",
        "metadata": about | ({"uid": uid} if uid else {}),
        "spec": {},
        "status": {"allocatable": allocatable, "conditions": [{"type": "Ready", "status": "True"}]},
    }
    for key, value in more.items():
        made[key] = {**made[key], **value}
    return made


def pod(placement, uid, **about):
    labels = {"capacity-planner/placement": slug(placement)}
    ready = {"conditions": [{"type": "Ready", "status": "True"}]}
    return {"kind": "Pod", "metadata": {"name": "p", "uid": uid, "labels": labels, **about}, "status": ready}


def actual_of(folder, *lists, **about):
    paths = []
    for i, items in enumerate(lists):
        paths.append(folder / f"nodes{i}.json")
        paths[-1].write_text(json.dumps({"kind": "List", "items": items, **about}))
    return read_actual(paths, planned())


def told(actual, pool=P5):
    """Differences about a pool: kind -> (planned, actual, detail)."""
    found = drift(planned(), actual, DAY).differences
    return {d.kind: (d.planned, d.actual, d.detail) for d in found if d.subject == pool and not d.note}


@pytest.mark.kubernetes
def test_nodes_and_pods_of_these_tests_are_what_kubernetes_has():
    kubernetes_validate = pytest.importorskip("kubernetes_validate")
    going = {"name": "n", "deletionTimestamp": "2026-06-01T00:00:00Z"}
    of_cloud = {"unschedulable": True, "providerID": "aws:///us-east-1a/i-1"}
    conditions = [{"type": "Ready", "status": "True"}]
    kept = {"conditions": conditions, "allocatable": {"nvidia.com/gpu": "8"}}
    running = pod("m/x@p", "u", deletionTimestamp="2026-06-01T00:00:00Z")
    running["spec"] = {"containers": [{"name": "c", "image": "i"}]}
    for made in (node(uid="u", metadata=going, spec=of_cloud, status=kept), running):
        whole_object = {"apiVersion": "v1", **made}
        kubernetes_validate.validate(whole_object, kubernetes_validate.latest_version(), strict=True)


def test_nodes_as_planned_are_no_difference(tmp_path):
    assert told(actual_of(tmp_path, [node()] * 3)) == {}


@pytest.mark.parametrize(
    ("other", "kind", "why"),
    [
        (node(named="p4d.24xlarge"), "nodes of another type", "p4d.24xlarge (3)"),
        (node(named="m7i.large", chips=0), "nodes of another type", "m7i.large (3)"),
        (node(labels={REGION: "eu-west-1", ZONE: "eu-west-1b"}), "nodes elsewhere", "eu-west-1b (3)"),
        (node(chips=0), "nodes out of service", "0 of 8 accelerators allocatable (3)"),
        (node(chips=7), "nodes out of service", "7 of 8 accelerators allocatable (3)"),
        (node(spec={"unschedulable": True}), "nodes out of service", "cordoned (3)"),
        (node(metadata={"deletionTimestamp": "2026-06-01T00:00:00Z"}), "nodes out of service", "being deleted (3)"),
        (
            node(status={"conditions": [{"type": "Ready", "status": "Unknown"}]}),
            "nodes out of service",
            "not ready (3)",
        ),
    ],
)
def test_nodes_that_are_not_what_their_label_says_do_not_count(tmp_path, other, kind, why):
    actual = actual_of(tmp_path, [other] * 3)
    assert actual.machines.get(P5, 0) == 0
    assert told(actual) == {kind: (3, 3, f"not counted: {why}"), "missing machines": (3, 0, "")}
    assert drift(planned(), actual, DAY).any


@pytest.mark.parametrize(
    "label",
    [
        {"karpenter.sh/capacity-type": "spot"},
        {"eks.amazonaws.com/capacityType": "SPOT"},
        {"cloud.google.com/gke-spot": "true"},
        {"cloud.google.com/gke-preemptible": "true"},
        {"cloud.google.com/gke-provisioning": "spot"},
        {"kubernetes.azure.com/scalesetpriority": "spot"},
        {"capacity-planner/counts-in-failures": "false"},
    ],
)
def test_spot_nodes_stand_in_for_nothing_steady(tmp_path, label):
    actual = actual_of(tmp_path, [node(labels={**IN_VIRGINIA, **label})] * 3)
    assert (actual.machines[P5], actual.on_spot[P5]) == (3, 3)
    assert told(actual) == {
        "missing machines": (3, 0, "3 more run on spot, which counts in no failure"),
        "spot machines beyond the plan": (0, 3, "no price in the plan"),
    }


def test_a_cloud_that_says_on_demand_is_believed_before_our_label(tmp_path):
    labels = {"karpenter.sh/capacity-type": "on-demand", "capacity-planner/counts-in-failures": "false"}
    assert told(actual_of(tmp_path, [node(labels={**IN_VIRGINIA, **labels})] * 3)) == {}


def test_steady_nodes_stand_in_for_spot(tmp_path):
    labels = {REGION: "eu-north-1", "karpenter.sh/capacity-type": "on-demand"}
    neuron = {"allocatable": {"aws.amazon.com/neuron": "16"}}
    trn1 = node(TRN1, named="trn1.32xlarge", labels=labels, status=neuron)
    assert told(actual_of(tmp_path, [trn1] * 2), TRN1) == {}
    assert told(actual_of(tmp_path, [trn1]), TRN1) == {"missing machines": (2, 1, "")}


def test_a_tpu_slice_has_the_name_that_compute_engine_gives_it(tmp_path):
    labels = {REGION: "us-west1", ZONE: "us-west1-c"}
    slice_of = {"named": "ct5lp-hightpu-8t", "labels": labels, "status": {"allocatable": {"google.com/tpu": "8"}}}
    assert told(actual_of(tmp_path, [node(V5E, **slice_of)] * 4), V5E) == {}
    unlabelled = actual_of(tmp_path, [node(V5E, **slice_of), node(None, **slice_of)])
    assert unlabelled.unlabelled == {V5E: 1}


def test_a_node_in_another_zone_is_not_the_zone_s(tmp_path):
    tpu = "google/us-east5-a/ct6e-standard-8t"
    of = {"named": "ct6e-standard-8t", "status": {"allocatable": {"google.com/tpu": "8"}}}
    beside = node(None, labels={REGION: "us-east5", ZONE: "us-east5-b"}, **of)
    inside = node(tpu, labels={REGION: "us-east5", ZONE: "us-east5-a"}, **of)
    actual = actual_of(tmp_path, [beside, inside])
    assert actual.machines[tpu] == 1 and actual.unlabelled == {"ct6e-standard-8t in us-east5-b": 1}


@pytest.mark.parametrize(
    ("zone", "region", "at", "where"),
    [
        ("1", "eastus", "eastus-1", "here"),
        ("eastus-1", "eastus", "1", "here"),
        ("eastus-1", "eastus", "eastus", "here"),
        ("EastUS-1", "East US", "eastus-1", "here"),
        ("eastus-2", "eastus", "eastus-1", "elsewhere"),
        ("eastus2-1", "eastus2", "eastus", "elsewhere"),
        (None, "eastus", "eastus-1", "not said"),
        ("eastus-1", None, "eastus-1", "here"),
        (None, None, "eastus", "not said"),
    ],
)
def test_zones_as_clouds_write_them(zone, region, at, where):
    there = site("azure/x").model_copy(update={"site": at, "region": "eastus"})
    assert where_is(there, zone, region) == where


@pytest.mark.parametrize(
    ("labels", "where"),
    [
        ({ZONE: "us-east-2b", "topology.k8s.aws/zone-id": "use2-az1"}, "here"),
        ({ZONE: "us-east-2b", "topology.k8s.aws/zone-id": "use2-az2"}, "elsewhere"),
        ({ZONE: "us-east-2b"}, "not said"),  # which id that is differs by account
        ({ZONE: "us-east-1b"}, "elsewhere"),
        ({ZONE: "use2-az1"}, "here"),
    ],
)
def test_a_zone_written_as_its_id_is_compared_with_the_id_of_the_node_s(labels, where):
    at = site("aws/use2-az1").model_copy(update={"region": "us-east-2"})
    facts = facts_of({"metadata": {"labels": labels}})
    assert where_is(at, facts.zone_at(at), facts.region) == where


def test_a_zone_says_its_region_in_every_cloud():
    for provider, region, zone in (("aws", "us-east-1", "us-east-1a"), ("google", "us-east5", "us-east5-a")):
        there = site(f"{provider}/{region}")
        assert where_is(there, zone, None) == "here" and where_is(there, "eu-west-1a", None) == "elsewhere"


def test_a_node_of_unknown_zone_counts_by_its_label_and_that_is_noted(tmp_path):
    actual = actual_of(tmp_path, [node(labels={})] * 3)
    found = drift(planned(), actual, DAY).differences
    assert told(actual) == {}
    assert [(d.subject, d.actual) for d in found if d.kind == "counted by our label alone"] == [(P5, 3)]


def test_accelerators_of_a_vendor_that_is_not_known_are_not_judged(tmp_path):
    models = planned().study.models
    strange = tuple(p.model_copy(update={"stack": "synapse"}) for p in models[0].profiles)
    study = planned().study.model_copy(update={"models": (models[0].model_copy(update={"profiles": strange}),)})
    (tmp_path / "nodes.json").write_text(json.dumps({"items": [node(chips=0)]}))
    assert read_actual([tmp_path / "nodes.json"], planned().model_copy(update={"study": study})).machines == {P5: 1}


def test_a_node_in_two_files_counts_once(tmp_path):
    nodes = [node(uid="a"), node(uid="b")]
    actual = actual_of(tmp_path, nodes, nodes, [node(uid="c", spec={"providerID": "aws:///us-east-1a/i-1"})])
    assert actual.machines == {P5: 3} and actual.repeated == {"nodes": 2}
    again = node(uid="d", spec={"providerID": "aws:///us-east-1a/i-1"})  # the same machine, registered anew
    assert actual_of(tmp_path, nodes, [again], [again]).machines == {P5: 3}
    noted = [d for d in drift(planned(), actual, DAY).differences if d.kind == "named more than once"]
    assert [(d.subject, d.actual, d.note) for d in noted] == [("nodes", 2, True)]


def test_foreign_nodes_with_accelerators_are_noted(tmp_path):
    foreign = [node(None, named="g5.xlarge", chips=1)] * 2 + [node(None, named="m7i.large", chips=0)]
    actual = actual_of(tmp_path, [node()] * 3 + foreign)
    assert actual.foreign == {"node g5.xlarge in us-east-1a": 2} and told(actual) == {}


def test_pods_that_are_ending_are_no_replicas(tmp_path):
    e = planned().replicas[0].placement
    wanted = planned().replicas[0].replicas
    ending = [pod(e, i, deletionTimestamp="2026-06-01T00:00:00Z") for i in range(wanted)]
    actual = actual_of(tmp_path, ending)
    assert actual.replicas == {e: 0}
    assert told(actual, e) == {"missing replicas": (wanted, 0, f"pods: terminating ({wanted})")}
    assert actual_of(tmp_path, [pod(e, 1)], [pod(e, 1)]).replicas == {e: 1}


def test_lists_of_several_kinds_and_lists_that_are_cut(tmp_path):
    e = planned().replicas[0].placement
    others = [{"kind": "Service", "metadata": {"name": "s"}}, {"kind": "Deployment", "metadata": {"name": "d"}}]
    actual = actual_of(tmp_path, [*others, node(), pod(e, 1)])
    assert actual.machines == {P5: 1} and actual.replicas == {e: 1}
    bare = {k: v for k, v in node().items() if k != "kind"}  # the API server does not repeat a list's kind
    assert actual_of(tmp_path, [bare], kind="NodeList").machines == {P5: 1}
    assert actual_of(tmp_path, [], kind="PodList").replicas == {}
    with pytest.raises(InputError, match=r"a list to its end, got its first 1 items of 8"):
        actual_of(tmp_path, [node()], metadata={"continue": "token", "remainingItemCount": 7})


def test_nodes_in_and_out_of_service_fill_a_reservation(tmp_path):
    (lot,) = [lot for lot in fleet_of(planned()).lots if lot.pool == P5]
    cell = next(c.name for c in fleet_of(planned()).cells("aws") if c.lot == lot)
    reserved = {"index_key": cell, "attributes": {"instance_count": 5, "instance_type": "p5.48xlarge"}}
    state = {"resources": [{"type": "aws_ec2_capacity_reservation", "instances": [reserved]}]}
    (tmp_path / "state.json").write_text(json.dumps(state))
    nodes = [node(), node(chips=0), node(spec={"unschedulable": True})]
    (tmp_path / "nodes.json").write_text(json.dumps({"items": nodes}))
    paths = [tmp_path / "state.json", tmp_path / "nodes.json"]
    (use,) = drift(planned(), read_actual(paths, planned()), DAY).reservations[:1]
    assert (use.pool, use.wanted, use.reserved, use.inside, use.inside_is_said, use.idle) == (P5, 3, 5, 3, False, 2)
    hours = planned().study.hours_per_month  # 3 USD/h each
    assert (use.usd_per_month, use.idle_usd_per_month) == (5 * 3 * hours, 2 * 3 * hours)
    inside = node(labels={**IN_VIRGINIA, "karpenter.sh/capacity-type": "reserved"})
    (tmp_path / "nodes.json").write_text(json.dumps({"items": [inside, node(), node()]}))
    use = drift(planned(), read_actual(paths, planned()), DAY).reservations[0]
    assert (use.inside, use.inside_is_said, use.idle) == (1, True, 4)


def test_the_contract_of_a_node_is_known_by_its_lot(tmp_path):
    (lot,) = [lot for lot in fleet_of(planned()).lots if lot.pool == P5]
    labels = {**IN_VIRGINIA, **node_labels(fleet_of(planned()), lot)}
    assert actual_of(tmp_path, [node(labels=labels)] * 2 + [node()]).of_contract == {lot.id: 2}
    on_spot = {**labels, "karpenter.sh/capacity-type": "spot"}
    assert actual_of(tmp_path, [node(labels=on_spot)]).of_contract == {}


def test_accelerators_are_a_quantity_of_kubernetes(tmp_path):
    written = {"allocatable": {"cpu": "190", "nvidia.com/gpu": "8000m"}}
    good = [node(uid=f"n{i}", status=written) for i in range(TOTAL[P5])]
    assert P5 not in {d.subject for d in drift(planned(), actual_of(tmp_path, good), DAY).differences}
    with pytest.raises(InputError, match="no quantity"):
        actual_of(tmp_path, [node(status={"allocatable": {"nvidia.com/gpu": "eight"}})])
