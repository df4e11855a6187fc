"""Records of what is served: context classes, models with their facts, qualifications and profiles."""

from datetime import date

from pydantic import Field, model_validator

from planner.study.records.base import (
    Contradiction,
    Count,
    Fraction,
    Name,
    NotNegative,
    Positive,
    PositiveCount,
    Record,
    Sourced,
    unset,
)

MEMORY_FRACTION = 0.9
"""Share of the device memory that weights and cache may fill; the rest is for activations and fragments (assumed)."""


class ContextClass(Record):
    """A range of request lengths."""

    name: Name = Field(description="short, medium, long")
    most_tokens: PositiveCount = Field(description="longest request of the class, input plus output [tokens]")


class ModelFacts(Sourced):
    """Public facts of a model's architecture: what decides memory and speed."""

    parameters: Positive = Field(description="all parameters")
    active_parameters: Positive = Field(description="parameters active per token")
    layers: PositiveCount = Field(description="transformer layers")
    full_attention_layers: PositiveCount | None = Field(
        None, description="layers whose keys and values grow with the context; none: all of them"
    )
    windowed_attention_tokens: Count = Field(0, description="window of the other layers [tokens]")
    query_heads: PositiveCount = Field(description="attention heads")
    kv_heads: PositiveCount = Field(description="key-value heads")
    head_dimension: PositiveCount = Field(description="width of one head")
    kv_latent_dimension: PositiveCount | None = Field(
        None, description="width of the latent that replaces keys and values (MLA); none: ordinary attention"
    )
    experts: PositiveCount | None = Field(None, description="routed experts; none: dense")
    experts_per_token: PositiveCount | None = Field(None, description="experts active per token")
    context_limit_tokens: PositiveCount = Field(description="longest context the model was made for [tokens]")


class Qualification(Sourced):
    """That a model may be served on a stack; without it no placement exists."""

    stack: Name = Field(description="stack that is qualified, as in profiles: `neuron` does not cover `neuron@2.21`")
    until: date | None = Field(None, description="last day it holds; none: until revoked")


class OperatingPoint(Sourced):
    """How a profile serves one context class, at its concurrency.

    The rates are marginal: a request of `i` input and `o` output tokens takes `i / prefill + o / decode` seconds of a
    replica.
    """

    context_class: Name = Field(description="context class that is admitted")
    prefill_tokens_per_second: Positive = Field(description="input tokens of one replica [tokens/s]")
    decode_tokens_per_second: Positive = Field(description="output tokens of one replica [tokens/s]")
    first_token_ms: NotNegative = Field(description="time to first token [ms]")
    first_token_ms_high: NotNegative | None = Field(
        None, description="high end of an estimate [ms]; where given, this is what must meet the tier's target"
    )
    per_token_ms: NotNegative = Field(description="time per output token [ms]")
    low_factor: Positive = Field(1.0, description="factor on the rates, low case")
    high_factor: Positive = Field(1.0, description="factor on the rates, high case")


class Profile(Record):
    """One serving configuration of a model on a machine type."""

    name: Name = Field(description="name within the model")
    machine_type: Name = Field(description="machine type it runs on")
    stack: Name = Field(description="software it is served with")
    precision: Name = Field(description="of the weights: bf16, fp8, int8, mxfp4")
    accelerators_per_replica: PositiveCount = Field(description="chips of one replica")
    tensor_parallel_ranks: PositiveCount | None = Field(
        None, description="ranks among which heads are split; none: one per chip"
    )
    weights_gib: Positive = Field(description="weights of one replica [GiB]")
    kv_bytes_per_value: Positive = Field(2.0, description="bytes of one key or value in the cache")
    context_limit_tokens: PositiveCount = Field(description="longest request that is configured [tokens]")
    concurrency_limit: PositiveCount = Field(description="requests in flight per replica at the operating point")
    load_seconds: NotNegative = Field(
        description="from start to ready with the machine there, compiled code from a cache [s]"
    )
    load_evidence: Name = Field(
        "estimated",
        description="how the load time is known: measured, published, estimated or assumed, then `: how`",
    )
    engine_start_seconds: NotNegative = Field(
        0.0,
        exclude_if=unset,
        description="of load_seconds, what is not reading weights: kernels, graphs, warm-up [s]",
    )
    compile_seconds: NotNegative = Field(
        0.0,
        exclude_if=unset,
        description="so much longer where nothing was compiled before: counted with `compile_caches: cold` [s]",
    )
    compile_evidence: Name | None = Field(
        None, exclude_if=unset, description="how compile_seconds is known, as in load_evidence; none: not stated"
    )
    features: tuple[Name, ...] = Field((), description="what it offers beyond plain serving (tools, vision)")
    classes: tuple[OperatingPoint, ...] = Field(min_length=1, description="context classes that are admitted")

    @model_validator(mode="after")
    def _starts_within_its_load(self) -> "Profile":
        if self.engine_start_seconds > self.load_seconds:
            expected = f"engine_start_seconds of at most load_seconds ({self.load_seconds:g}), whose part it is"
            fix = "lower it, or leave it out: all of load_seconds then counts as reading weights"
            raise Contradiction(f"{expected}, not {self.engine_start_seconds:g}", fix)
        return self


class Model(Record):
    """An AI model that is served."""

    model: Name = Field(description="name of the model")
    facts: ModelFacts = Field(description="public facts")
    rollout_surge_fraction: Fraction = Field(
        0.0,
        description="share of further replicas that run while a new version is rolled out, in normal operation; "
        "rounded up to whole replicas of each placement",
    )
    qualifications: tuple[Qualification, ...] = Field(description="stacks that may serve it")
    profiles: tuple[Profile, ...] = Field(min_length=1, description="serving configurations")

    def qualified_stacks(self, last_day: date) -> set[str]:
        """Stacks that may serve it until a day: a qualification that ends before does not count."""
        return {q.stack for q in self.qualifications if q.until is None or q.until >= last_day}
