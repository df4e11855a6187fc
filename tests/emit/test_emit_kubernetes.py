"""Kubernetes: replicas and weights arrive, every string is a string, and the API's own schemas accept the files."""

import copy
import json
import re
from functools import cache
from importlib.util import find_spec

import pytest
import yaml
from emitting import POOLS, SHARED, hostile_plan, planned
from kubernetes_schemas import load, problems

from planner.emit.fleet import fleet_of
from planner.emit.inference_extension import files as pool_files
from planner.emit.kubernetes import files
from planner.emit.kubernetes_routes import WEIGHTS_ADD_UP_TO
from planner.emit.owned import files as owned_files
from planner.emit.terraform import files as terraform_files
from planner.errors import InputError

CRDS = SHARED / "schemas" / "crds"
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
REPLICATED = ("Deployment", "LeaderWorkerSet")
FULL = {
    "image": "registry.example:5000/serving/vllm:v0.33.0",
    "image.neuron": f"registry.example/neuron@sha256:{64 * 'a'}",
    "weights.m": "organisation/Model-70B",
    "arguments.cuda": "--quantization=compressed-tensors --enable-expert-parallel",
    "cache_claim": "models",
    "token_secret": "hugging-face",
    "cpu_per_accelerator": "12.5",
    "memory_gib_per_accelerator": "128",
    "domain": "serving.example.com",
    "taints": "gpu=true:NoSchedule",
}
"""Every setting once."""
NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")


def objects(made):
    return [o for path, text in made.items() if path.endswith(".yaml") for o in yaml.load_all(text, Loader=LOADER)]


def of_kind(made, *kinds):
    return [o for o in objects(made) if o["kind"] in kinds]


def rack_plan():
    """The plan with a replica of 24 chips in the rack, whose nodes have 4 each, and a failure that starts replicas."""
    plan = planned()
    (m,) = plan.study.models
    wide = [
        p.model_copy(update={"accelerators_per_replica": 24}) if p.machine_type == "gb200-nvl72" else p
        for p in m.profiles
    ]
    study = plan.study.model_copy(update={"models": (m.model_copy(update={"profiles": tuple(wide)}),)})
    return plan.model_copy(update={"study": study})


def test_the_replicas_of_the_plan_arrive():
    plan = planned()
    made = files(plan, {})
    said = [(o["metadata"]["annotations"]["capacity-planner/placement"], o) for o in of_kind(made, *REPLICATED)]
    assert {e: o["spec"]["replicas"] for e, o in said} == {r.placement: r.replicas for r in plan.replicas}
    assert len(said) == len(plan.replicas)
    for o in of_kind(made, "Deployment"):
        pod = o["spec"]["template"]["spec"]
        pool = o["metadata"]["annotations"]["capacity-planner/placement"].partition("@")[2]
        kind, machine = POOLS[pool][2], pool.rpartition("/")[2]
        (resource,) = pod["containers"][0]["resources"]["limits"].items()
        wanted = {"neuron": "aws.amazon.com/neuron", "xla-tpu": "google.com/tpu", "cuda": "nvidia.com/gpu"}[
            POOLS[pool][1]
        ]
        chips = min(8, POOLS[pool][0])
        assert resource == (wanted, str(chips))
        selector = pod["nodeSelector"]
        assert selector["capacity-planner/pool"] == fleet_of(plan).pool_name[pool]
        assert selector["capacity-planner/counts-in-failures"] == ("false" if kind == "spot" else "true")
        if POOLS[pool][1] == "xla-tpu":
            assert selector["cloud.google.com/gke-tpu-topology"] in ("2x4", "2x2x1")
        elif not pool.startswith("owned"):
            assert selector["node.kubernetes.io/instance-type"] == machine
        assert pod["containers"][0]["startupProbe"]["failureThreshold"] == 20  # twice 100 s of loading, every 10 s


def test_pods_tolerate_the_taints_that_terraform_gives_its_groups():
    option = {"taints": "gpu=true:NoSchedule,example.com/team=serving:NoExecute"}
    environments = json.loads(terraform_files(planned(), option)["environment.example.json"])
    effects = {"NO_SCHEDULE": "NoSchedule", "NO_EXECUTE": "NoExecute"}
    given = set()
    for regions in environments.values():
        for environment in regions.values():
            for taint in environment["taints"]:
                if isinstance(taint, str):  # azurerm's form
                    key, _, rest = taint.partition("=")
                    taint = {"key": key, "value": rest.rpartition(":")[0], "effect": rest.rpartition(":")[2]}
                effect = effects.get(taint["effect"], taint["effect"])
                given.add((taint["key"], taint["value"], effect))
    assert given == {("gpu", "true", "NoSchedule"), ("example.com/team", "serving", "NoExecute")}
    for o in of_kind(files(planned(), option), "Deployment"):
        tolerations = o["spec"]["template"]["spec"]["tolerations"]
        assert given <= {(t["key"], t.get("value"), t["effect"]) for t in tolerations}
    for target in (files, terraform_files):
        with pytest.raises(InputError, match="taints"):
            target(planned(), {"taints": "gpu=true:Never"})


def test_nodes_of_our_own_are_told_the_labels_that_pods_choose_by():
    (hall,) = json.loads(owned_files(planned(), {})["inventory.json"])["halls"]
    labels = [phase["node_labels"] for rack in hall["racks"] for phase in rack["phases"]]
    sets = of_kind(files(planned(), {}), "LeaderWorkerSet")  # a rack has several nodes
    pods = [o["spec"]["leaderWorkerTemplate"]["workerTemplate"]["spec"] for o in sets]
    here = [pod for pod in pods if pod["nodeSelector"]["capacity-planner/pool"] == labels[0]["capacity-planner/pool"]]
    assert here and labels
    assert all(pod["nodeSelector"].items() <= label.items() for pod in here for label in labels)


def test_a_replica_that_spans_nodes_is_a_leader_worker_set():
    made = files(rack_plan(), {})
    (found,) = of_kind(made, "LeaderWorkerSet")
    assert found["spec"]["replicas"] == POOLS["owned/hall-1/gb200-nvl72"][4]
    template = found["spec"]["leaderWorkerTemplate"]
    assert template["size"] == 6  # 24 chips on nodes of 4
    limits = template["workerTemplate"]["spec"]["containers"][0]["resources"]["limits"]
    assert limits == {"nvidia.com/gpu": "4"}


@pytest.mark.parametrize(("target", "kind"), [(files, "Service"), (pool_files, "InferencePool")])
def test_weights_are_those_of_normal_operation(target, kind):
    plan = planned()
    state = next(s for s in plan.states if s.failure == "normal")
    run = [r.placement for r in plan.replicas if "us-east-1" in r.placement]
    rates = (7.0, 2.0)
    new = state.model_copy(
        update={"workload": ("w",) * 2, "origin": ("o",) * 2, "placement": tuple(run), "requests_per_second": rates}
    )
    made = target(plan.model_copy(update={"states": (new,)}), {})
    (route,) = of_kind(made, "HTTPRoute")
    (rule,) = route["spec"]["rules"]
    assert {b["kind"] for b in rule["backendRefs"]} == {kind}
    weights = {b["name"]: b["weight"] for b in rule["backendRefs"]}
    pools = {
        o["metadata"]["name"]: o["metadata"]["annotations"]["capacity-planner/placement"] for o in of_kind(made, kind)
    }
    assert {pools[name]: n for name, n in weights.items()} == {run[0]: 7778, run[1]: 2222}
    error = float(route["metadata"]["annotations"]["capacity-planner/weight-error"])
    assert error == pytest.approx(abs(7778 / WEIGHTS_ADD_UP_TO - 7 / 9), rel=0.01) and error < 1 / WEIGHTS_ADD_UP_TO


def test_what_failures_start_has_a_deployment_and_is_listed():
    plan = planned()
    state = next(s for s in plan.states if s.failure == "normal")
    idle, other = plan.replicas[0].placement, plan.replicas[1].placement
    lost = state.model_copy(
        update={
            "failure": "site:x",
            "deadline_seconds": 60.0,
            "cold_started": {idle: 3},
            "kept": {other: 1},
            "same_as_normal": False,
        }
    )
    made = files(plan.model_copy(update={"states": (*plan.states, lost), "replicas": plan.replicas[1:]}), {})
    rows = json.loads(made["failures.json"])["replicas"]
    counts = {row["placement"]: (row["kept"], row["cold_started"]) for row in rows if row["failure"] == "site:x"}
    assert counts == {idle: (None, 3), other: (1, 0)}
    deployments = {o["metadata"]["name"]: o["spec"]["replicas"] for o in of_kind(made, "Deployment")}
    assert {deployments[row["name"]] for row in rows if row["placement"] == idle} == {0}


def test_firm_replicas_never_stand_on_spot_machines():
    plan = planned()
    row = next(r for r in plan.replicas if "trn1" in r.placement)
    row = row.model_copy(update={"replicas": 5, "non_preemptible": 3})
    made = files(plan.model_copy(update={"replicas": (row,)}), {})
    found = {
        o["spec"]["template"]["spec"]["nodeSelector"]["capacity-planner/counts-in-failures"]: o["spec"]["replicas"]
        for o in of_kind(made, "Deployment")
    }
    assert found == {"true": 3, "false": 2}


def test_no_replica_waits_for_spot_machines_that_the_plan_does_not_buy():
    plan = planned()
    (pool, machines) = next((q, n) for q, (_, _, kind, _, n) in POOLS.items() if kind == "spot")
    row = next(r for r in plan.replicas if pool in r.placement)  # 8 of the 16 chips of a machine
    for bought, on_spot in ((0, 0), (machines, 2 * machines)):
        purchases = [b.model_copy(update={"units": bought}) if b.offer == f"{pool}:spot" else b for b in plan.purchases]
        changed = row.model_copy(update={"replicas": 7, "non_preemptible": 1})
        made = files(plan.model_copy(update={"replicas": (changed,), "purchases": tuple(purchases)}), {})
        found = {
            o["spec"]["template"]["spec"]["nodeSelector"]["capacity-planner/counts-in-failures"]: o["spec"]["replicas"]
            for o in of_kind(made, "Deployment")
        }
        assert found == {"true": 7 - on_spot} | ({"false": on_spot} if on_spot else {})


@pytest.mark.parametrize(
    "options",
    [{"image": "Bad Image"}, {"image": "x\ny"}, {"namespace": "../x"}, {"resource.cuda": "no slash"}, {"gateway": "A"}],
)
def test_bad_settings_are_refused(options):
    with pytest.raises(InputError, match="--set"):
        files(planned(), options)


def test_an_unknown_stack_is_refused_until_its_resource_is_named():
    plan = planned()
    (m,) = plan.study.models
    other = tuple(p.model_copy(update={"stack": "groq"}) for p in m.profiles)
    study = plan.study.model_copy(update={"models": (m.model_copy(update={"profiles": other}),)})
    plan = plan.model_copy(update={"study": study})
    with pytest.raises(InputError, match=r"resource\.groq"):
        files(plan, {})
    (first, *_) = of_kind(files(plan, {"resource.groq": "groq.com/lpu"}), "Deployment")
    assert "groq.com/lpu" in str(first)


def test_no_image_that_exists_is_made_up():
    images = {
        o["spec"]["template"]["spec"]["containers"][0]["image"] for o in of_kind(files(planned(), {}), "Deployment")
    }
    assert all(image.startswith("replace.invalid/") for image in images)


@cache
def hostile_files():
    return files(hostile_plan(), {})


def test_hostile_names_are_data():
    plan, made = hostile_plan(), hostile_files()
    found = objects(made)
    replicas = {
        o["metadata"]["annotations"]["capacity-planner/placement"]: o["spec"]["replicas"]
        for o in found
        if o["kind"] == "Deployment"
    }
    assert replicas == {r.placement: r.replicas for r in plan.replicas} and len(replicas) >= 500
    routes = [o for o in found if o["kind"] == "HTTPRoute"]
    assert {o["metadata"]["annotations"]["capacity-planner/workload"] for o in routes} == {
        w.name for w in plan.study.workloads
    }
    data = {o["data"]["PLANNER_MODEL"] for o in found if o["kind"] == "ConfigMap" and "drain.py" not in o["data"]}
    assert data == {m.model for m in plan.study.models}
    for o in found:
        if o["kind"] != "Kustomization":
            assert NAME.fullmatch(o["metadata"]["name"])
            assert all(LABEL.fullmatch(value) for value in o["metadata"].get("labels", {}).values())
    assert all(re.fullmatch(r"[a-z0-9/-]+(/[a-z]+\.yaml)|failures\.json", path) for path in made)


def test_every_string_is_quoted():
    """What is plain is a number, or the one thing that is false."""
    made = hostile_files()
    for path, text in made.items():
        if path.endswith(".yaml"):
            before = ""
            for token in yaml.scan(text):
                if isinstance(token, yaml.ScalarToken):
                    if token.plain and (before, token.value) != ("enableServiceLinks", "false"):
                        assert re.fullmatch(r"\d+", token.value), (path, token.value)
                    before = token.value
        if path > "aws/r1":
            break


def test_a_plan_that_is_not_proven_says_so():
    made = files(planned(), {"not_proven": "x"})
    assert all("# NOT PROVEN" in text for path, text in made.items() if path.endswith(".yaml"))


@pytest.mark.kubernetes
def test_the_api_servers_schemas_accept_core_objects():
    if find_spec("kubernetes_validate") is None:
        pytest.skip("kubernetes-validate is not installed")
    import kubernetes_validate

    kinds = ("Namespace", "ConfigMap", "Deployment", "Service", "PodDisruptionBudget")
    core = of_kind(files(rack_plan(), FULL), *kinds)
    assert {o["kind"] for o in core} == set(kinds)
    kinds = ("ServiceAccount", "Role", "RoleBinding", "Deployment", "Service")
    pickers = of_kind(pool_files(rack_plan(), {"picker_image": "registry.example/picker:v1"}), *kinds)
    assert {o["kind"] for o in pickers} == set(kinds)
    core += pickers
    assert len(core) > 10
    for o in core:
        kubernetes_validate.validate(o, kubernetes_validate.latest_version(), strict=True)
    wrong = copy.deepcopy(next(o for o in core if o["kind"] == "Deployment"))
    wrong["spec"]["template"]["spec"]["nodeSelectors"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, kubernetes_validate.latest_version(), strict=True)


@pytest.mark.kubernetes
def test_the_schemas_of_custom_resources_accept_the_others():
    if not CRDS.is_dir():
        pytest.skip("no schemas of custom resources beside the project (shared/schemas/crds)")
    missing = [name for name in ("jsonschema", "cel") if find_spec(name) is None]
    if missing:
        pytest.skip(f"Python packages not installed: {', '.join(missing)}")
    schemas = load(CRDS)
    plan = rack_plan()
    state = next(s for s in plan.states if s.failure == "normal")
    runs = [r.placement for r in plan.replicas]
    even = {
        "workload": ("w",) * len(runs), "origin": ("o",) * len(runs), "placement": tuple(runs),
        "requests_per_second": (1.0,) * len(runs),
    }  # fmt: skip
    even_plan = plan.model_copy(update={"states": (state.model_copy(update=even),)})
    found = of_kind(
        files(even_plan, {"domain": "serving.example.com"}), "HTTPRoute", "LeaderWorkerSet",
    )  # fmt: skip
    found += of_kind(
        pool_files(even_plan, {"domain": "serving.example.com"}), "HTTPRoute", "InferencePool",
    )  # fmt: skip
    assert {o["kind"] for o in found} == {"HTTPRoute", "InferencePool", "LeaderWorkerSet"}
    assert {(o["kind"], text) for o in found for text in problems(schemas, o)} == set()
    route = next(o for o in found if "InferencePool" in str(o["spec"].get("rules")))
    for change in ({"weight": 1_000_001}, {"wieght": 1}, {"name": ""}, {"group": "", "kind": "Service"}):
        wrong = copy.deepcopy(route)
        wrong["spec"]["rules"][0]["backendRefs"][0] |= change  # the last one breaks a rule in CEL: a Service has a port
        assert problems(schemas, wrong), change
    pool = copy.deepcopy(next(o for o in found if o["kind"] == "InferencePool"))
    del pool["spec"]["targetPorts"]
    assert problems(schemas, pool)


def test_probe_and_surge_follow_the_profile():
    plan = planned()
    (m,) = plan.study.models
    study = plan.study.model_copy(update={"models": (m.model_copy(update={"rollout_surge_fraction": 0.25}),)})
    for o in of_kind(files(plan.model_copy(update={"study": study}), {}), "Deployment"):
        assert o["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": "25%", "maxUnavailable": 0}
