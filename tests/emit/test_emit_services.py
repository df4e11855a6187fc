"""Where a placement is reached: what gateways address is there, selects pods that answer, and says if it is well."""

import shutil
import subprocess
from urllib.parse import urlsplit

import pytest
import yaml
from emitting import every_instrument, planned, write_all

from planner.emit import envoy, litellm
from planner.emit.inference_extension import files as pool_files
from planner.emit.kubernetes import files
from planner.emit.kubernetes_options import endpoint_template
from planner.emit.targets import emitted
from planner.plan.plan import make_plan
from planner.solve.search import Effort

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
IN_CLUSTER = "http://{placement}.serving.svc.cluster.local:8000/v1"
DOMAIN = "serving.example.com"


@pytest.fixture(scope="module")
def good():
    return make_plan(every_instrument(), Effort(), no_regret=False)


def objects(made):
    return [o for path, text in made.items() if path.endswith(".yaml") for o in yaml.load_all(text, Loader=LOADER)]


def of_kind(made, *kinds):
    return [o for o in objects(made) if o["kind"] in kinds]


def placement_of(o):
    return o["metadata"]["annotations"]["capacity-planner/placement"]


def templates(made):
    """Labels and specification of the pods that answer requests, by what makes them."""
    for o in of_kind(made, "Deployment", "LeaderWorkerSet"):
        leader = {"leaderworkerset.sigs.k8s.io/worker-index": "0"} if o["kind"] == "LeaderWorkerSet" else {}
        template = o["spec"].get("template") or o["spec"]["leaderWorkerTemplate"]["leaderTemplate"]
        yield o, template["metadata"]["labels"] | leader, template["spec"]


def addresses(made):
    """Every address of a placement in the files of a gateway."""
    found = set()
    for path, text in made.items():
        if path.startswith("origins/"):
            data = yaml.load(text, Loader=LOADER)
            found |= {m["litellm_params"]["api_base"] for m in data.get("model_list", ())}
            for cluster in data.get("resources", ()):
                for group in cluster["load_assignment"]["endpoints"]:
                    for at in group["lb_endpoints"]:
                        socket = at["endpoint"]["address"]["socket_address"]
                        found.add(f"http://{socket['address']}:{socket['port_value']}/v1")
    return {a for a in found if "127.0.0.1" not in a}


def test_a_service_reaches_exactly_the_pods_of_its_placement():
    made = files(planned(), {})
    services = of_kind(made, "Service")
    assert {placement_of(s) for s in services} == {r.placement for r in planned().replicas}
    assert len(services) == len({s["metadata"]["name"] for s in services})
    for service in services:
        chosen = [
            (o, pod)
            for o, labels, pod in templates(made)
            if service["spec"]["selector"].items() <= labels.items()
            and o["metadata"]["namespace"] == service["metadata"]["namespace"]
        ]
        assert {placement_of(o) for o, _ in chosen} == {placement_of(service)}
        (port,) = service["spec"]["ports"]
        for _, pod in chosen:
            (container,) = pod["containers"]
            assert {p["containerPort"] for p in container["ports"]} == {port["targetPort"]}
            assert container["readinessProbe"]["httpGet"]["port"] == port["targetPort"]


def test_workers_answer_nothing_and_no_service_has_the_name_of_a_set():
    made = files(planned(), {})
    sets = of_kind(made, "LeaderWorkerSet")
    assert sets
    assert not {o["metadata"]["name"] for o in sets} & {s["metadata"]["name"] for s in of_kind(made, "Service")}
    for o in sets:
        service = next(s for s in of_kind(made, "Service") if placement_of(s) == placement_of(o))
        assert service["spec"]["selector"]["leaderworkerset.sigs.k8s.io/worker-index"] == "0"


@pytest.mark.parametrize("gateway", [envoy, litellm])
def test_what_gateways_address_in_a_cluster_is_a_service(good, gateway):
    made = files(good, {})
    there = {(s["metadata"]["name"], s["spec"]["ports"][0]["port"]) for s in of_kind(made, "Service")}
    asked = addresses(gateway.files(good, {"endpoint": IN_CLUSTER}))
    assert asked
    for address in asked:
        host = urlsplit(address)
        name, rest = host.hostname.split(".", 1)
        assert rest == "serving.svc.cluster.local" and (name, host.port) in there


def test_outside_a_cluster_each_placement_has_a_name_that_says_whether_it_is_well(good):
    made = files(good, {"domain": DOMAIN})
    routes = {r["spec"]["hostnames"][0]: r for r in of_kind(made, "HTTPRoute") if "hostnames" in r["spec"]}
    asked = addresses(litellm.files(good, {"endpoint": endpoint_template({"domain": DOMAIN})}))
    assert asked and {urlsplit(a).hostname for a in asked} <= set(routes)
    services = {s["metadata"]["name"] for s in of_kind(made, "Service")}
    for host, route in routes.items():
        (rule,) = route["spec"]["rules"]
        assert [m["path"]["value"] for m in rule["matches"]] == ["/v1", envoy.OPTIONS["health_path"]]
        (backend,) = rule["backendRefs"]
        assert backend["kind"] == "Service" and backend["name"] in services
        assert host == f"{backend['name']}.{DOMAIN}"


def test_all_targets_agree_where_a_placement_is(good):
    made = emitted(good, "all", {"domain": DOMAIN})
    config = {path.removeprefix("litellm/"): text for path, text in made.items() if path.startswith("litellm/")}
    assert addresses(config) and all(urlsplit(a).hostname.endswith(DOMAIN) for a in addresses(config))
    given = emitted(good, "all", {"domain": DOMAIN, "endpoint": "https://{placement}.elsewhere.example/v1"})
    assert all("serving.example.com" not in text for path, text in given.items() if path.startswith("litellm/origins"))


def test_at_most_one_replica_of_a_placement_is_drained_at_a_time():
    made = files(planned(), {})
    budgets = of_kind(made, "PodDisruptionBudget")
    assert {placement_of(b) for b in budgets} == {r.placement for r in planned().replicas}
    for budget in budgets:
        assert budget["spec"]["maxUnavailable"] == 1
        labels = budget["spec"]["selector"]["matchLabels"]
        chosen = {placement_of(o) for o, pod_labels, _ in templates(made) if labels.items() <= pod_labels.items()}
        assert chosen == {placement_of(budget)}


def test_every_pool_has_the_picker_it_refers_to():
    bare = pool_files(planned(), {})
    assert not of_kind(bare, "Deployment")
    assert all("ENDPOINT PICKERS ARE NOT SET" in t for path, t in bare.items() if path.endswith("pools.yaml"))
    made = pool_files(planned(), {"picker_image": "registry.example/picker:v1", "namespace": "models"})
    assert not any("NOT SET" in text for text in made.values())
    pools, services = of_kind(made, "InferencePool"), of_kind(made, "Service")
    assert {placement_of(p) for p in pools} == {r.placement for r in planned().replicas}
    for pool in pools:
        at = pool["spec"]["endpointPickerRef"]
        service = next(s for s in services if s["metadata"]["name"] == at["name"])
        assert service["spec"]["ports"][0]["port"] == at["port"]["number"]
        (picker,) = (
            d
            for d in of_kind(made, "Deployment")
            if service["spec"]["selector"].items() <= d["spec"]["template"]["metadata"]["labels"].items()
        )
        args = picker["spec"]["template"]["spec"]["containers"][0]["args"]
        assert f"--pool-name={pool['metadata']['name']}" in args and "--pool-namespace=models" in args
        assert picker["spec"]["template"]["spec"]["serviceAccountName"] == "endpoint-picker"


def test_pools_choose_the_pods_that_services_choose():
    services, pools = of_kind(files(planned(), {}), "Service"), of_kind(pool_files(planned(), {}), "InferencePool")
    chosen = {placement_of(s): s["spec"]["selector"] for s in services}
    assert chosen == {placement_of(p): p["spec"]["selector"]["matchLabels"] for p in pools}


def test_routes_to_pools_take_the_place_of_routes_to_services(good):
    named = [{o["metadata"]["name"] for o in of_kind(make(good, {}), "HTTPRoute")} for make in (files, pool_files)]
    assert named[0] == named[1] != set()


@pytest.mark.kubernetes
def test_kubectl_reads_the_folders(tmp_path):
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    for name, make in (("kubernetes", files), ("pools", pool_files)):
        made = make(planned(), {"domain": DOMAIN} if make is files else {"picker_image": "registry.example/picker:v1"})
        write_all(tmp_path / name, made)
        for folder in sorted({path.rpartition("/")[0] for path in made if path.endswith("kustomization.yaml")}):
            command = ["kubectl", "kustomize", str(tmp_path / name / folder)]
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
            assert done.returncode == 0, done.stderr
            one = {path: text for path, text in made.items() if path.rpartition("/")[0] == folder}
            read = [o["kind"] for o in yaml.load_all(done.stdout, Loader=LOADER)]
            assert sorted(read) == sorted(o["kind"] for o in objects(one) if o["kind"] != "Kustomization")
