"""What a model does on a chip where nobody has measured it: a roofline with fitted efficiencies.

A request of `i` input and `o` output tokens, on a replica of `n` chips that has `N` requests in flight, takes

    first = i F / (n peak e_p n^-g)                                                   [s], all chips on its prompt
    step  = max(R / (n bandwidth e_d n^-g), N 2 active / (n peak e_p n^-g)) + layers t  [s], one token for each of the N
    seconds of the replica = first + o step / N                                       [s]

    F = 2 active + 4 query_heads head_dimension sum over layers of min(i / 2, window)  [FLOP a token]
    R = weights read + N keys and values of i + o / 2 tokens                          [bytes a step]
    weights read = always + routed (1 - (1 - k / E)^N)                                E experts, k of them a token

`e_p` is the share of the chip's peak that prompts reach, `e_d` = 0.80 that of its bandwidth (fixed: launch time `t` and
`e_d` cannot be told apart), `g` what is lost with every further chip. They ship in `models/evidence/estimator.yaml`;
`planner.importers.refit` fits them to measured rows, docs/evidence.md tells how well.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
from pydantic import Field

from planner.errors import InputError, refusal
from planner.study.memory import memory_needed_gib
from planner.study.places import Reading, listed, near_miss, quoted, read_record
from planner.study.read import data_folder
from planner.study.records.base import Count, Name, NotNegative, Positive, PositiveCount, Record, Sourced
from planner.study.records.serving import MEMORY_FRACTION, ModelFacts, Profile
from planner.study.tables import read_yaml
from planner.units import BYTES_PER_GB, BYTES_PER_GIB, MS_PER_SECOND

FLOPS_PER_TFLOPS = 1e12
MOST_IN_FLIGHT = 128
"""Requests in flight beyond which hardly a row was fitted: no estimate goes there by itself."""
KV_BYTES_PER_VALUE = 2.0
"""Of one key or value in the cache."""

Kind = Literal["dense", "sparse"]


class Chip(Sourced):
    """What a data sheet says of a chip."""

    name: Name = Field(description="the accelerator, as in machine_types.yaml")
    peak_tflops: dict[Name, Positive] = Field(
        description="dense peak at which weights of a precision are computed [TFLOPS]"
    )
    bandwidth_gb_per_second: Positive = Field(description="memory bandwidth [GB/s]")
    ranks_per_chip: PositiveCount = Field(1, description="ranks that one chip is split into (NeuronCores)")
    precisions: tuple[Name, ...] = Field((), description="precisions to serve in, the preferred one first")
    stack: Name = Field("unknown", description="software it is served with")


class EngineStart(Sourced):
    """How long an engine starts beside reading weights, by stack and kind of model."""

    stack: Name = Field(description="software it is")
    kind: Kind = Field(description="dense, or sparse: a mixture of experts")
    start_seconds: NotNegative = Field(description="from start to ready, with compiled code from a cache [s]")
    start_evidence: Name = Field(description="how that is known")
    compile_seconds: NotNegative = Field(description="so much longer where nothing was compiled before [s]")
    compile_evidence: Name = Field(description="how that is known: measured, published, estimated or assumed, then how")


class Fit(Sourced):
    """Efficiencies of one kind of model on some chips, and how far they miss."""

    name: Name = Field(description="name of the fit")
    chips: tuple[Name, ...] = Field(description="chips it holds for")
    kind: Kind = Field(description="dense, or sparse: a mixture of experts")
    fitted: tuple[Literal["prefill_fraction", "chips_exponent", "layer_us"], ...] = Field(
        (), description="constants that `--refit` fits; the others stay as written"
    )
    single_stream: bool = Field(False, description="fit to rows with one request in flight: there are no others")
    like: Name | None = Field(None, description="fit whose constants are taken over")
    prefill_factor: Positive = Field(1.0, description="factor on its prefill_fraction")
    prefill_fraction: Positive = Field(description="share of the peak that prompts reach on one chip, e_p")
    chips_exponent: NotNegative = Field(description="loss with the number of chips n: everything x n^-g")
    layer_us: NotNegative = Field(description="launch and exchange per layer and step, t [us]")
    low_factor: Positive = Field(description="factor on the rates, low case")
    high_factor: Positive = Field(description="factor on the rates, high case")
    first_token_high_factor: Positive = Field(description="factor on the time to first token, high case")
    rows: Count = Field(0, description="measured rows behind it")


class Alias(Record):
    """A name under which benchmarks list a model of ours."""

    name: Name = Field(description="as the benchmark writes it")
    model: Name = Field(description="name of the model here: the same layers")
    precisions: dict[str, Name] = Field(default_factory=dict, description="what its precisions mean here")


class Estimator(Record):
    """The constants of the estimator."""

    bandwidth_fraction: Positive = Field(description="share of the bandwidth that steps reach, e_d")
    first_token_base_ms: NotNegative = Field(description="time to first token of an empty prompt [ms]")
    first_token_waiting_fraction: NotNegative = Field(description="share of the others' prompts that one waits for")
    long_input_tokens: Positive = Field(8192.0, description="prompts from here on have the wide band [tokens]")
    long_low_factor: Positive = Field(0.5, description="factor on the rates there, low case")
    long_high_factor: Positive = Field(2.0, description="factor on the rates there, high case")
    load_gib_per_second: Positive = Field(1.0, description="rate at which weights are loaded [GiB/s]")
    load_evidence: Name = Field("assumed", description="how that rate is known")
    bytes_per_parameter: dict[Name, Positive] = Field(description="by precision of the weights")
    chips: tuple[Chip, ...]
    engine_starts: tuple[EngineStart, ...] = Field((), description="by stack and kind of model")
    fits: tuple[Fit, ...]
    measured_as: tuple[Alias, ...] = Field((), description="names of our models in tables of measured rows")

    def weights_gib(self, facts: ModelFacts, precision: str) -> float:
        """Weights of a model in a precision: parameters x bytes [GiB]."""
        if precision not in self.bytes_per_parameter:
            fix = f"write one of: {listed(self.bytes_per_parameter)}"
            raise _unknown("a precision with bytes_per_parameter", quoted(precision), fix)
        return facts.parameters * self.bytes_per_parameter[precision] / BYTES_PER_GIB

    def chip(self, name: str) -> Chip:
        """The data sheet of a chip."""
        chips = {chip.name: chip for chip in self.chips}
        if name not in chips:
            fix = f"add its data sheet and a fit there; known: {listed(chips)}"
            raise _unknown("a chip of models/evidence/estimator.yaml", quoted(name) + near_miss(name, chips), fix)
        return chips[name]

    def engine_start(self, stack: str, kind: Kind) -> EngineStart:
        """How long an engine of a stack starts with a kind of model."""
        for start in self.engine_starts:
            if (start.stack, start.kind) == (stack, kind):
                return start
        fix = "add one to models/evidence/estimator.yaml"
        raise _unknown(f"the start of an engine for {kind} models on {stack}", "none", fix)

    def fit(self, chip: str, kind: Kind) -> Fit:
        """The efficiencies that hold for a kind of model on a chip."""
        for fit in self.fits:
            if chip in fit.chips and fit.kind == kind:
                return fit
        raise _unknown(f"a fit for {kind} models on {chip}", "none", "add one to models/evidence/estimator.yaml")


@dataclass(frozen=True)
class Serving:
    """A replica and the requests it is asked about: what the formula needs besides efficiencies.

    Parameters
    ----------
    chips : of the replica; heads are split among all ranks that they have
    precision, weights_gib : of the weights
    input_tokens, output_tokens : of a request, mean
    concurrency : requests in flight
    """

    facts: ModelFacts
    chip: Chip
    chips: int
    precision: str
    weights_gib: float
    input_tokens: float
    output_tokens: float
    concurrency: int


@dataclass(frozen=True)
class Terms:
    """The roofline at efficiency 1, and what scales it. Numbers, or arrays with one entry per row.

    Parameters
    ----------
    prompt_seconds : compute of one prompt
    read_seconds, compute_seconds : of one step: memory, arithmetic
    layers, chips, concurrency, output_tokens : of the replica and its requests
    """

    prompt_seconds: Any
    read_seconds: Any
    compute_seconds: Any
    layers: Any
    chips: Any
    concurrency: Any
    output_tokens: Any

    def times(self, prefill_fraction: float, chips_exponent: float, layer_us: float, bandwidth: float) -> Any:
        """(first, step): seconds of the replica for a prompt, and for a step of all requests in flight."""
        loss = self.chips**chips_exponent
        first = self.prompt_seconds * loss / prefill_fraction
        arithmetic = self.compute_seconds * loss / prefill_fraction
        return first, np.maximum(self.read_seconds * loss / bandwidth, arithmetic) + self.layers * layer_us * 1e-6

    def request_seconds(self, first: Any, step: Any) -> Any:
        """Seconds of the replica per request: first + o step / N."""
        return first + self.output_tokens * step / self.concurrency


@dataclass(frozen=True)
class Point:
    """An estimated operating point; units and meaning as in `OperatingPoint`."""

    prefill_tokens_per_second: float
    decode_tokens_per_second: float
    first_token_ms: float
    first_token_ms_high: float
    per_token_ms: float
    low_factor: float
    high_factor: float
    request_seconds: float


@cache
def shipped() -> Estimator:
    """The constants that ship with the planner."""
    reading = Reading()
    document = read_yaml(data_folder("models") / "evidence" / "estimator.yaml", reading)
    estimator = read_record(Estimator, *document, reading) if document else None
    if estimator is None or reading.findings:
        raise InputError(reading.findings)
    return estimator


def kind_of(facts: ModelFacts) -> Kind:
    """Dense, or sparse when it has experts."""
    return "sparse" if facts.experts else "dense"


def peak_tflops(chip: Chip, precision: str) -> float:
    """The dense peak of a chip for weights of a precision [TFLOPS].

    Raises
    ------
    InputError
        when the chip has none.
    """
    if precision in chip.peak_tflops:
        return chip.peak_tflops[precision]
    got, fix = quoted(precision) + near_miss(precision, chip.peak_tflops), f"use one of: {listed(chip.peak_tflops)}"
    raise _unknown(f"a precision that {chip.name} computes in", got, fix)


def token_flops(facts: ModelFacts, input_tokens: float) -> float:
    """Arithmetic of one prompt token, F: two per active parameter, four per head value and token attended to [FLOP].

    Examples
    --------
    Two layers with 4 heads of 8, 1000 parameters, 20 tokens: 2 x 1000 + 4 x 32 x 2 x 10.

    >>> facts = ModelFacts(parameters=1e3, active_parameters=1e3, layers=2, query_heads=4, kv_heads=4,
    ...     head_dimension=8, context_limit_tokens=64, evidence="assumed", source="a case", as_of="2026")
    >>> token_flops(facts, 20)
    4560.0
    """
    full = facts.full_attention_layers if facts.full_attention_layers is not None else facts.layers
    seen = input_tokens / 2
    layer_tokens = full * seen + (facts.layers - full) * min(seen, facts.windowed_attention_tokens)
    return 2 * facts.active_parameters + 4 * facts.query_heads * facts.head_dimension * layer_tokens


def weights_read_fraction(facts: ModelFacts, concurrency: float) -> float:
    """Share of the weights that one step reads.

    `(always + routed * (1 - (1 - k / E) ** concurrency)) / parameters`, where `always + routed * k / E = active` and
    `always + routed = parameters`; 1 for a dense model.

    Examples
    --------
    Of 128 experts 4 answer a token: one request reads the active 4.4 %, 64 requests read 87.1 %.

    >>> facts = ModelFacts(parameters=116.8e9, active_parameters=5.13e9, layers=36, query_heads=64, kv_heads=8,
    ...     head_dimension=64, experts=128, experts_per_token=4, context_limit_tokens=131072, evidence="published",
    ...     source="config.json of openai/gpt-oss-120b", as_of="2025-08")
    >>> round(weights_read_fraction(facts, 1), 3), round(weights_read_fraction(facts, 64), 3)
    (0.044, 0.871)
    """
    if not facts.experts or not facts.experts_per_token:
        return 1.0
    share = facts.experts_per_token / facts.experts
    always = max(0.0, (facts.active_parameters - facts.parameters * share) / (1 - share))
    routed = facts.parameters - always
    read: float = always + routed * (1 - (1 - share) ** concurrency)
    return read / facts.parameters


def cache_gib(serving: Serving, tokens: float) -> float:
    """Keys and values of all requests in flight with so many tokens each, by `memory_needed_gib` [GiB]."""
    of_profile: dict[str, Any] = {
        "weights_gib": serving.weights_gib,
        "concurrency_limit": serving.concurrency,
        "kv_bytes_per_value": KV_BYTES_PER_VALUE,
        "tensor_parallel_ranks": serving.chips * serving.chip.ranks_per_chip,
    }
    return memory_needed_gib(serving.facts, Profile.model_construct(**of_profile), tokens) - serving.weights_gib


def most_that_fit(serving: Serving, memory_gib_per_chip: float) -> int:
    """Requests that fit in memory at their full length beside the weights; 0 when the weights alone do not.

    `(0.9 * chips * memory - weights) / cache of one request of input + output tokens`
    """
    headroom_gib = MEMORY_FRACTION * serving.chips * memory_gib_per_chip - serving.weights_gib
    of_one = cache_gib(serving, serving.input_tokens + serving.output_tokens) / serving.concurrency
    return max(0, int(headroom_gib / of_one))


def terms(serving: Serving) -> Terms:
    """The roofline of a replica at efficiency 1."""
    facts, chip, at_once = serving.facts, serving.chip, serving.concurrency
    flops = serving.chips * peak_tflops(chip, serving.precision) * FLOPS_PER_TFLOPS
    weights = serving.weights_gib * weights_read_fraction(facts, at_once)
    read = (weights + cache_gib(serving, serving.input_tokens + serving.output_tokens / 2)) * BYTES_PER_GIB
    return Terms(
        prompt_seconds=serving.input_tokens * token_flops(facts, serving.input_tokens) / flops,
        read_seconds=read / (serving.chips * chip.bandwidth_gb_per_second * BYTES_PER_GB),
        compute_seconds=at_once * 2 * facts.active_parameters / flops,
        layers=facts.layers,
        chips=serving.chips,
        concurrency=at_once,
        output_tokens=serving.output_tokens,
    )


def estimate_point(serving: Serving, fit: Fit, estimator: Estimator) -> Point:
    """What a replica does, by the formula at the head of this module.

    `prefill = i / first`, `decode = N / step`, `first token = base + first * (1 + 0.13 * N)`, `per token = what remains
    of N * (first + o * step / N)`, and at least a step: on any point the time per request equals
    (first token + (output - 1) * per token) / concurrency unless that bound holds.

    Parameters
    ----------
    serving : replica and requests
    fit : efficiencies for the chip and the kind of model
    estimator : what holds for all fits

    Raises
    ------
    InputError
        when the chip does not compute in the precision.

    Examples
    --------
    70.6e9 parameters in fp8 on 4 chips of 2000 TFLOPS and 5000 GB/s, half of each reached, nothing else lost. A prompt
    of 1000: (141.2e9 + 4 x 64 x 128 x 80 x 500) x 1000 / 4e15 = 35.6 ms. A step of 10: 70.6 GB + 10 x 1050 x 327,680
    bytes over 10,000 GB/s = 7.40 ms. Ten requests: 10 x 35.6 + 100 x 7.40 = 1097 ms, first token 100 + 2.3 x 35.6.

    >>> chip = Chip(name="x", peak_tflops={"fp8": 2000.0}, bandwidth_gb_per_second=5000.0, evidence="assumed",
    ...     source="a case", as_of="2026")
    >>> fit = Fit(name="x", chips=("x",), kind="dense", prefill_fraction=0.5, chips_exponent=0.0, layer_us=0.0,
    ...     low_factor=0.7, high_factor=1.3, first_token_high_factor=2.0, evidence="assumed", source="-", as_of="2026")
    >>> facts = ModelFacts(parameters=70.6e9, active_parameters=70.6e9, layers=80, query_heads=64, kv_heads=8,
    ...     head_dimension=128, context_limit_tokens=131072, evidence="published", source="config.json", as_of="2024")
    >>> serving = Serving(facts, chip, 4, "fp8", 70.6e9 / 2**30, 1000, 100, 10)
    >>> point = estimate_point(serving, fit, Estimator(bandwidth_fraction=0.5, first_token_base_ms=100.0,
    ...     first_token_waiting_fraction=0.13, bytes_per_parameter={"fp8": 1.0}, chips=(chip,), fits=(fit,)))
    >>> round(point.prefill_tokens_per_second), round(point.decode_tokens_per_second), round(point.first_token_ms)
    (28068, 1351, 182)
    >>> round(point.per_token_ms, 2), round(point.request_seconds * 10, 3)
    (9.24, 1.097)
    """
    roofline = terms(serving)
    times = roofline.times(fit.prefill_fraction, fit.chips_exponent, fit.layer_us, estimator.bandwidth_fraction)
    first, step = float(times[0]), float(times[1])
    seconds, at_once = float(roofline.request_seconds(first, step)), serving.concurrency
    first_ms = first_token_ms(first, at_once, estimator)
    wide = serving.input_tokens >= estimator.long_input_tokens
    return Point(
        prefill_tokens_per_second=serving.input_tokens / first,
        decode_tokens_per_second=at_once / step,
        first_token_ms=first_ms,
        first_token_ms_high=first_ms * fit.first_token_high_factor,
        per_token_ms=per_token_ms(seconds, at_once, first_ms, serving.output_tokens, step * MS_PER_SECOND),
        low_factor=min(fit.low_factor, estimator.long_low_factor) if wide else fit.low_factor,
        high_factor=max(fit.high_factor, estimator.long_high_factor) if wide else fit.high_factor,
        request_seconds=seconds,
    )


def per_token_ms(
    request_seconds: float, concurrency: float, first_ms: float, output_tokens: float, step_ms: float
) -> float:
    """Time per token after the first that the rates imply in a closed loop [ms]; at least a step.

    `(concurrency * request_seconds - first token) / (output - 1)`: what remains of the time in flight after the first.

    Parameters
    ----------
    request_seconds : of the replica per request, input / prefill + output / decode
    concurrency : requests in flight
    first_ms : time to first token [ms]
    output_tokens : of a request
    step_ms : time in which each request in flight gets a token, concurrency / decode [ms]

    Examples
    --------
    64 in flight at 0.0952 s of the replica each: 6091 ms, of which 468 pass before the first of 211 tokens.

    >>> round(per_token_ms(1155 / 18957.0 + 211 / 6161.7, 64, 467.6, 211, 64 / 6161.7 * 1000), 2)
    26.78
    """
    remaining_ms = concurrency * request_seconds * MS_PER_SECOND - first_ms
    return max(step_ms, remaining_ms / max(1.0, output_tokens - 1))


def first_token_ms(first: Any, concurrency: Any, estimator: Estimator) -> Any:
    """Time to first token: a base, the prompt, and a share of the other prompts in flight [ms]."""
    waiting = 1 + estimator.first_token_waiting_fraction * concurrency
    return estimator.first_token_base_ms + first * MS_PER_SECOND * waiting


def _unknown(expected: str, got: str, fix: str) -> InputError:
    """What the constants do not have."""
    return refusal("planner import estimate", expected, got, fix)
