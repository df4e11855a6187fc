"""The command that serves a profile: vLLM, whose command line is the same on CUDA, ROCm, TPU and Neuron.

Arguments say what the profile says and nothing else. They are held to `engine_arguments.csv`, a table of what the
program takes, with its source.
"""

import csv
import math
from collections.abc import Mapping
from functools import cache
from importlib.resources import files as packaged

from planner.emit.fleet import Fleet, Running
from planner.emit.kubernetes_options import PORT, Settings, first_word
from planner.emit.names import slug
from planner.study.records.serving import MEMORY_FRACTION
from planner.units import MS_PER_SECOND

VLLM = ("vllm", "serve")
CACHE_PATH = "/models"
ONE_IN = 1000
"""The longest answer that is waited for: one in so many is longer."""
LEAST_DRAIN_SECONDS = 30
MEMORY_STACKS = ("cuda", "rocm", "xla")
"""Stacks on which vLLM takes a share of the device memory."""


@cache
def known_arguments() -> dict[str, dict[str, str]]:
    """What the program takes: argument -> its kind (whole, fraction, text, flag, value), its values, the source."""
    text = packaged("planner.emit").joinpath("engine_arguments.csv").read_text(encoding="utf-8")
    return {row["argument"]: row for row in csv.DictReader(text.splitlines())}


@cache
def drain_script() -> str:
    """Text of `drain.py`, which runs in the serving image."""
    return packaged("planner.emit").joinpath("drain.py").read_text(encoding="utf-8")


def weights_of(r: Running, given: Settings) -> str:
    """Where the weights are: what is set, else a folder of the cache volume for the model and its precision."""
    default = f"{CACHE_PATH}/{slug(r.model.model)}/{slug(r.profile.precision)}"
    return given.of("weights", r) or default


def vllm_arguments(r: Running, given: Settings, nodes: int) -> list[str]:
    """Arguments of `vllm serve`; further ones of the settings replace those of the same name.

    A checkpoint says itself how its weights are quantised; vLLM reads it there, so that no argument does. On several
    nodes the leader and each worker get their place from the variables that LeaderWorkerSet sets.
    """
    p = r.profile
    said = {
        "--served-model-name": r.model.model,
        "--port": str(PORT),
        "--tensor-parallel-size": str(p.tensor_parallel_ranks or p.accelerators_per_replica),
        "--max-model-len": str(p.context_limit_tokens),
        "--max-num-seqs": str(p.concurrency_limit),
    }
    if first_word(r.profile.stack) in MEMORY_STACKS:
        said["--gpu-memory-utilization"] = str(MEMORY_FRACTION)
    if p.precision == "bf16":
        said["--dtype"] = "bfloat16"
    if p.kv_bytes_per_value == 1:
        said["--kv-cache-dtype"] = "fp8"
    arguments = [f"{name}={literal(value)}" for name, value in said.items()]
    if nodes > 1:
        arguments.append(f"--nnodes={nodes}")
    further = [literal(text) for text in given.arguments(r)]
    names = {text.partition("=")[0] for text in further}
    kept = [text for text in arguments if text.partition("=")[0] not in names]
    placed = ["--node-rank=$(LWS_WORKER_INDEX)", "--master-addr=$(LWS_LEADER_ADDRESS)"] if nodes > 1 else []
    return [literal(weights_of(r, given)), *kept, *placed, *further]


def literal(text: str) -> str:
    """A text that Kubernetes does not expand: `$(NAME)` in a command is a variable, `$$` a sign (Kubernetes API, 2026).

    Examples
    --------
    >>> literal("$(HOME)")
    '$$(HOME)'
    """
    return text.replace("$", "$$")


def drain_seconds(fleet: Fleet, r: Running) -> int:
    """How long a replica that is to end goes on answering: as long as its longest answer but one in a thousand.

    Formula
        max(30, largest over workloads of the model whose class it serves of
            first_token_ms_high + min(most tokens of the class, ln(1000) · mean output tokens) · per_token_ms)
    Units
        s
    Source
        lengths without memory (each token may be the last): one answer in 1000 is longer than ln(1000) means
    """
    most = {c.name: c.most_tokens for c in fleet.plan.study.context_classes}
    longest = float(LEAST_DRAIN_SECONDS)
    for workload in fleet.plan.study.workloads:
        for point in r.profile.classes:
            if workload.model == r.model.model and workload.context_class == point.context_class:
                tokens = min(most[point.context_class], math.log(ONE_IN) * workload.mean_output_tokens)
                first_ms = point.first_token_ms_high or point.first_token_ms
                longest = max(longest, (first_ms + tokens * point.per_token_ms) / MS_PER_SECOND)
    return math.ceil(longest)


def variables(r: Running) -> Mapping[str, str]:
    """Where vLLM keeps what it downloads and compiles: on the cache volume, so that the next start is a warm one."""
    cache_of = f"{CACHE_PATH}/cache/{slug(r.profile.stack)}"
    made = {"HF_HOME": f"{CACHE_PATH}/hugging-face", "VLLM_CACHE_ROOT": cache_of}
    return made | ({"VLLM_XLA_CACHE_PATH": f"{cache_of}/xla"} if first_word(r.profile.stack) == "xla" else {})


def has_no_weights(r: Running, given: Settings) -> bool:
    """Whether the weights are expected on a cache volume that nobody has named."""
    return not given["cache_claim"] and given.of("weights", r) is None
