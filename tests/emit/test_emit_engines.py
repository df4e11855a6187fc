"""The command of each replica: what the profile says, as the program takes it; and what happens before its end."""

import argparse
import ast
import importlib.util
import os
import re
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import yaml
from emitting import POOLS, planned

from planner.emit import drain
from planner.emit.engines import drain_seconds, known_arguments, literal
from planner.emit.fleet import fleet_of
from planner.emit.kubernetes import files
from planner.emit.kubernetes_options import FIXED_ARGUMENTS
from planner.emit.kubernetes_workloads import END_SECONDS, UNLISTED_SECONDS
from planner.emit.on_spot import on_spot_replicas
from planner.errors import InputError

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
KINDS = {"whole": int, "fraction": float, "text": str, "value": str}


def with_profiles(**changes):
    """The plan with every profile changed."""
    plan = planned()
    (m,) = plan.study.models
    profiles = tuple(p.model_copy(update=changes) for p in m.profiles)
    models = (m.model_copy(update={"profiles": profiles}),)
    return plan.model_copy(update={"study": plan.study.model_copy(update={"models": models})})


def pods(plan, options, worker=False):
    """Placement -> specification of its pods, or of its workers."""
    found = {}
    for path, text in files(plan, options).items():
        for o in yaml.load_all(text, Loader=LOADER) if path.endswith(".yaml") else ():
            spec = o["spec"] if o["kind"] in ("Deployment", "LeaderWorkerSet") else None
            if spec and "leaderWorkerTemplate" in spec:
                spec = {"template": spec["leaderWorkerTemplate"]["workerTemplate" if worker else "leaderTemplate"]}
            if spec:
                found[o["metadata"]["annotations"]["capacity-planner/placement"]] = spec["template"]["spec"]
    return found


def parser():
    """A parser that takes what the table says, and nothing else."""
    made = argparse.ArgumentParser(prog="vllm serve", allow_abbrev=False, exit_on_error=False)
    made.add_argument("model")
    for name, row in known_arguments().items():
        if row["kind"] == "flag":
            made.add_argument(name, action="store_true")
        else:
            made.add_argument(name, type=KINDS[row["kind"]], choices=row["values"].split() or None)
    return made


def expanded(text, variables):
    """What Kubernetes makes of an argument: `$$` is a sign, `$(NAME)` a variable where there is one."""
    return re.sub(r"\$\$|\$\(([^)]*)\)", lambda m: "$" if m[0] == "$$" else variables.get(m[1], m[0]), text)


def arguments(pod, rank=0):
    """The arguments of a pod as its program gets them, read by the table's parser."""
    variables = {"LWS_WORKER_INDEX": str(rank), "LWS_LEADER_ADDRESS": "m-0.m.serving"}
    return parser().parse_args([expanded(text, variables) for text in pod["containers"][0]["args"]])


def test_the_command_says_what_the_profile_says():
    plan = with_profiles(concurrency_limit=48, context_limit_tokens=16384, precision="bf16", kv_bytes_per_value=1.0)
    (m,) = plan.study.models
    profile_of = {f"{m.model}/{p.name}": p for p in m.profiles}
    found = pods(plan, {})
    assert set(found) == {r.placement for r in plan.replicas}
    for placement, pod in found.items():
        (container,) = pod["containers"]
        assert container["command"] == ["vllm", "serve"]
        said = arguments(pod)
        p = profile_of[placement.partition("@")[0]]
        assert said.tensor_parallel_size == p.accelerators_per_replica
        assert (said.max_num_seqs, said.max_model_len, said.port) == (48, 16384, 8000)
        assert (said.dtype, said.kv_cache_dtype, said.served_model_name) == ("bfloat16", "fp8", m.model)
        assert said.model == f"/models/{m.model}/bf16"
        assert said.gpu_memory_utilization == (None if p.stack == "neuron" else 0.9)
        assert container["ports"] == [{"name": "http", "containerPort": 8000}]


def test_ranks_go_before_chips_and_quantised_weights_say_so_themselves():
    for pod in pods(with_profiles(tensor_parallel_ranks=32, precision="fp8"), {}).values():
        said = arguments(pod)
        assert said.tensor_parallel_size == 32
        assert said.dtype is None and said.kv_cache_dtype is None


def test_the_nodes_of_a_wide_replica_find_each_other():
    plan = with_profiles(accelerators_per_replica=24)
    wide = "owned/hall-1/gb200-nvl72"
    placement = next(r.placement for r in plan.replicas if wide in r.placement)
    leader, worker = (pods(plan, {}, worker=of_worker)[placement] for of_worker in (False, True))
    for rank, pod in enumerate((leader, worker)):
        said = arguments(pod, rank)
        assert (said.nnodes, said.node_rank, said.master_addr) == (6, rank, "m-0.m.serving")
        assert said.tensor_parallel_size == 24 and said.headless == bool(rank)
    assert not {"ports", "readinessProbe", "lifecycle"} & set(worker["containers"][0])


def test_further_arguments_replace_those_of_the_profile():
    options = {"arguments.cuda": "--tensor-parallel-size=2 --quantization='compressed-tensors'", "weights.m": "org/M"}
    stacks = {r.placement: POOLS[r.placement.partition("@")[2]][1] for r in planned().replicas}
    for placement, pod in pods(planned(), options).items():
        args = pod["containers"][0]["args"]
        assert args[0] == "org/M"
        sizes = [a for a in args if a.startswith("--tensor-parallel-size=")]
        assert len(sizes) == 1 and ("--quantization=compressed-tensors" in args) == (stacks[placement] == "cuda")
        assert (sizes == ["--tensor-parallel-size=2"]) == (stacks[placement] == "cuda")


@pytest.mark.parametrize(
    "options",
    [
        {"image": "registry.example/vllm"},
        {"image": "registry.example/vllm:latest"},
        {"image": "vllm:v1"},
        {"image.cuda": "registry.example/vllm:latest@sha256:" + 64 * "a"},
        {"arguments.cuda": "rm -rf /"},
        {"arguments.cuda": "--port=80"},
        {"arguments.m": "--api-key=x"},
        {"arguments.cuda": "--disable-log-st"},
        {"arguments.cuda": "--a 'b"},
        {"arguments.nobody": "--a=b"},
        {"weights.m": "--help"},
        {"engine.cuda": "sglang"},
        {"cpu_per_accelerator": "-1"},
        {"cache_claim": "A"},
        {"token_secret": "a b"},
        {"domain": "no_domain"},
    ],
)
def test_settings_that_do_not_fit_are_refused(options):
    with pytest.raises(InputError, match="--set"):
        files(planned(), options)


def test_each_argument_that_others_rely_on_is_a_finding_with_its_reason():
    text = "--api-k=x --ssl-keyfile=y --enable-prefix-caching --served-model-name=z"
    with pytest.raises(InputError) as refused:
        files(planned(), {"arguments.cuda": text})
    got = [(finding.got, finding.fix) for finding in refused.value.findings]
    assert [part for part, _ in got] == ["'--api-k=x'", "'--ssl-keyfile=y'", "'--served-model-name=z'"]
    assert all(fix.removeprefix("leave it out: ") in FIXED_ARGUMENTS.values() for _, fix in got)


def test_what_is_not_set_is_said_where_it_is_read():
    bare = {path: text for path, text in files(planned(), {}).items() if path.endswith("workloads.yaml")}
    assert all("IMAGES ARE NOT SET" in text and "WEIGHTS ARE NOT SET" in text for text in bare.values())
    full = files(planned(), {"image": "registry.example/vllm:v0.33.0", "cache_claim": "models"})
    assert not any("NOT SET" in text for text in full.values())


def test_no_service_sets_a_variable_of_the_program():
    assert all(pod["enableServiceLinks"] is False for pod in pods(planned(), {}).values())


def test_another_program_brings_its_own_command():
    for pod in pods(planned(), {f"engine.{stack}": "none" for _, stack, *_ in POOLS.values()}).values():
        (container,) = pod["containers"]
        assert "command" not in container and "args" not in container
        assert container["lifecycle"]["preStop"] == {"sleep": {"seconds": 10}}


def test_memory_processors_token_and_cache_are_as_set():
    options = {"cpu_per_accelerator": "12.5", "memory_gib_per_accelerator": "100", "token_secret": "hugging-face"}
    placement, pod = next((e, pod) for e, pod in pods(planned(), options).items() if "p5" in e)
    (container,) = pod["containers"]
    wanted = {"nvidia.com/gpu": "8", "cpu": "100000m", "memory": "819200Mi"}
    assert container["resources"] == {"requests": wanted, "limits": wanted}, placement
    token = next(v for v in container["env"] if v["name"] == "HF_TOKEN")
    assert token["valueFrom"] == {"secretKeyRef": {"name": "hugging-face", "key": "token"}}
    mounts = {m["mountPath"]: m["name"] for m in container["volumeMounts"]}
    volumes = {v["name"]: v for v in pod["volumes"]}
    assert volumes[mounts["/dev/shm"]]["emptyDir"] == {"medium": "Memory", "sizeLimit": "16Gi"}
    assert volumes[mounts["/models"]]["emptyDir"] == {}
    claimed = pods(planned(), {"cache_claim": "models"})[placement]["volumes"]
    assert {"name": "cache", "persistentVolumeClaim": {"claimName": "models"}} in claimed


def test_a_busy_replica_is_not_taken_for_a_dead_one():
    for pod in pods(planned(), {}).values():
        (container,) = pod["containers"]
        ready, alive = container["readinessProbe"], container["livenessProbe"]
        assert ready["timeoutSeconds"] >= 5 and ready["failureThreshold"] >= 3
        assert alive["periodSeconds"] * alive["failureThreshold"] >= 120
        assert {p["httpGet"]["path"] for p in (ready, alive, container["startupProbe"])} == {"/health"}


def test_the_longest_answer_is_waited_for():
    """Mean of 100 tokens: one answer in 1000 has more than 690.8; at 500 ms a token and 2 s before the first."""
    plan = planned()
    (m,), (w,) = plan.study.models, plan.study.workloads
    points = {"first_token_ms": 1000.0, "first_token_ms_high": 2000.0, "per_token_ms": 500.0}
    profiles = tuple(p.model_copy(update={"classes": (p.classes[0].model_copy(update=points),)}) for p in m.profiles)
    changes = {
        "models": (m.model_copy(update={"profiles": profiles}),),
        "workloads": (w.model_copy(update={"mean_output_tokens": 100.0}),),
    }
    plan = plan.model_copy(update={"study": plan.study.model_copy(update=changes)})
    fleet = fleet_of(plan)
    assert {drain_seconds(fleet, r) for r in fleet.running} == {348}  # 2 + 690.8 * 0.5 = 347.4
    for pod in pods(plan, {}).values():
        assert pod["terminationGracePeriodSeconds"] == UNLISTED_SECONDS + 348 + END_SECONDS
        command = pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
        assert command[-2:] == ["10", "358"] and command[:2] == ["python3", "/opt/capacity-planner/drain.py"]


@pytest.mark.parametrize("name", ["$(HOME)", "$$(HOME)", "$$", "a$", "$(", "${x}", "$$$(LWS_WORKER_INDEX)"])
def test_no_name_is_a_variable(name):
    assert expanded(literal(name), {"HOME": "/root", "LWS_WORKER_INDEX": "0"}) == name


# ------------------------------------------------------------------ what runs before the end
class Metrics(BaseHTTPRequestHandler):
    """A page of metrics with one request less each time it is read."""

    remaining = 3

    def do_GET(self):
        page = f'# HELP vllm:num_requests_running x\nvllm:num_requests_running{{engine="0"}} {type(self).remaining}.0\n'
        page += 'vllm:num_requests_waiting{engine="0"} 0.0\nvllm:num_requests_waiting_by_reason{reason="a b"} 0\n'
        type(self).remaining = max(0, type(self).remaining - 1)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(page.encode())

    def log_message(self, *arguments):
        pass


@pytest.fixture
def metrics():
    Metrics.remaining = 3
    server = HTTPServer(("127.0.0.1", 0), Metrics)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/metrics"
    server.shutdown()
    server.server_close()


def test_what_is_in_flight_is_answered_first(metrics):
    drain.wait(metrics, 0.0, 20.0, every_seconds=0.01)
    assert Metrics.remaining == 0


def test_it_waits_no_longer_than_it_may(metrics):
    Metrics.remaining = 10**6
    begin = time.monotonic()
    drain.wait(metrics, 0.0, 0.2, every_seconds=0.01)
    assert 0.2 <= time.monotonic() - begin < 2


def test_it_runs_by_itself_and_lets_a_dead_program_go():
    """As in the image: the file alone, without the package, and nobody answers."""
    begin = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-I", drain.__file__, "http://127.0.0.1:9/metrics", "0.1", "60"], check=False, timeout=30
    )
    assert done.returncode == 0 and time.monotonic() - begin < 20


# ------------------------------------------------------------------ on spot machines
def test_no_more_replicas_are_on_spot_than_its_machines_have_chips_for():
    """24 chips: five replicas of 8 may be on spot and three fit; nothing remains for the other placement there."""
    needs = {"a": ("q", 8), "b": ("q", 4), "c": ("r", 4)}
    run = planned().replicas[0]
    rows = [
        run.model_copy(update={"placement": e, "replicas": n, "non_preemptible": sure})
        for e, n, sure in (("a", 7, 2), ("b", 3, 1), ("c", 3, 0), ("c", 2, None))
    ]
    assert on_spot_replicas(rows, needs, {"q": 24}) == [3, 0, 0, 0]
    assert on_spot_replicas(rows, needs, {"q": 48, "r": 9}) == [5, 2, 2, 0]


# ------------------------------------------------------------------ the table
def vllm_source():
    """Folder of vLLM's own source: installed, or unpacked where VLLM_SOURCE says."""
    if given := os.environ.get("VLLM_SOURCE"):
        return Path(given) / "vllm"
    found = importlib.util.find_spec("vllm")
    return Path(found.origin).parent if found and found.origin else None


def test_every_argument_has_a_source():
    assert all(re.fullmatch(r"vllm-project/vllm \S+ vllm/\S+\.py", row["source"]) for row in known_arguments().values())
    assert {row["kind"] for row in known_arguments().values()} <= {*KINDS, "flag"}


@pytest.mark.kubernetes
def test_the_program_takes_what_the_table_says():
    source = vllm_source()
    if source is None:
        pytest.skip("vLLM is not installed, and VLLM_SOURCE names no folder with its source")
    flags, values = set(), set()
    for path in ("engine/arg_utils.py", "entrypoints/common/cli_args.py", "config/model.py", "config/cache.py"):
        for node in ast.walk(ast.parse((source / path).read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                flags.add(node.value)
                values.add(node.value)
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):  # fields become arguments
                flags.add("--" + node.target.id.replace("_", "-"))
    assert set(known_arguments()) <= flags
    assert set(FIXED_ARGUMENTS) - {"--model-tag"} <= flags  # that one is the argument without a name
    assert {v for row in known_arguments().values() for v in row["values"].split()} <= values
