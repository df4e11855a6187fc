"""Device memory of a replica: weights, and the cache of the requests in flight."""

from planner.study.lengths import live_tokens_at_tail
from planner.study.places import quoted
from planner.study.records.inventory import MachineType
from planner.study.records.serving import MEMORY_FRACTION, ModelFacts, Profile
from planner.study.records.study import Workload
from planner.units import BYTES_PER_GIB


def memory_needed_gib(facts: ModelFacts, profile: Profile, live_tokens: float) -> float:
    """Device memory of one replica at its concurrency limit [GiB].

    `weights_gib + concurrency_limit * bytes_per_layer_token * layer_tokens / 2**30`, where

    - `bytes_per_layer_token = 2 * kv_heads * head_dimension * kv_bytes_per_value * max(1, ranks / kv_heads)`: key and
      value; heads are replicated where there are more ranks than heads. With a latent instead (MLA):
      `kv_latent_dimension * kv_bytes_per_value * ranks`, as every rank holds all of it.
    - `layer_tokens = full * live_tokens + (layers - full) * min(live_tokens, windowed_attention_tokens)`.

    Parameters
    ----------
    facts : of the model
    profile : whose memory is asked
    live_tokens : tokens of a request in the cache, see `live_tokens_of`

    Source
    ------
    The architecture itself; replication of heads as in vLLM and NxD Inference.

    Examples
    --------
    80 layers, 8 KV heads of 128, 2 bytes: 320 KiB a token; 64 requests of 1024 tokens: 20 GiB. On 16 ranks: 40 GiB.

    >>> facts = ModelFacts(parameters=70e9, active_parameters=70e9, layers=80, query_heads=64, kv_heads=8,
    ...     head_dimension=128, context_limit_tokens=131072, evidence="published", source="config.json", as_of="2024")
    >>> profile = Profile.model_construct(weights_gib=130.0, concurrency_limit=64, kv_bytes_per_value=2.0,
    ...     accelerators_per_replica=8, tensor_parallel_ranks=None)
    >>> memory_needed_gib(facts, profile, 1024)
    150.0
    >>> memory_needed_gib(facts, profile.model_copy(update={"tensor_parallel_ranks": 16}), 1024)
    170.0
    """
    ranks = profile.tensor_parallel_ranks or profile.accelerators_per_replica
    if facts.kv_latent_dimension is not None:
        values = float(facts.kv_latent_dimension * ranks)
    else:
        values = 2 * facts.kv_heads * facts.head_dimension * max(1.0, ranks / facts.kv_heads)
    full = facts.full_attention_layers if facts.full_attention_layers is not None else facts.layers
    layer_tokens = full * live_tokens + (facts.layers - full) * min(live_tokens, facts.windowed_attention_tokens)
    cache_bytes = profile.concurrency_limit * values * profile.kv_bytes_per_value * layer_tokens
    return profile.weights_gib + cache_bytes / BYTES_PER_GIB


def usable_memory_gib(profile: Profile, machine: MachineType) -> float:
    """Device memory of one replica that weights and cache may fill [GiB]."""
    return MEMORY_FRACTION * profile.accelerators_per_replica * machine.memory_gib_per_accelerator


def holds_in_memory(facts: ModelFacts, profile: Profile, machine: MachineType, workload: Workload) -> bool:
    """Whether a replica holds as many requests of a workload as its concurrency limit says."""
    return memory_needed_gib(facts, profile, live_tokens_of(workload, profile)) <= usable_memory_gib(profile, machine)


def memory_texts(facts: ModelFacts, profile: Profile, machine: MachineType, workload: Workload) -> tuple[str, str]:
    """What a profile would have to hold and what it needs, for a finding: expected and got."""
    needed = memory_needed_gib(facts, profile, live_tokens_of(workload, profile))
    usable = usable_memory_gib(profile, machine)
    requests = f"{profile.concurrency_limit} requests of {quoted(workload.name)}"
    return (
        f"a profile that holds {requests} in {usable:.1f} GiB of a replica",
        f"{quoted(profile.name)}, which needs {needed:.1f} GiB for them",
    )


def live_tokens_of(workload: Workload, profile: Profile) -> float:
    """Tokens in the cache by request in flight: the mean over its time, input + output / 2, where a study states means.

    Where it states how lengths vary: what 99 of 100 moments do not exceed, see `live_tokens_at_tail`.
    """
    if workload.input_tokens_quantiles or workload.output_tokens_quantiles:
        return live_tokens_at_tail(workload, profile)
    return workload.mean_input_tokens + workload.mean_output_tokens / 2
