"""How long requests are: mean powers of lengths that a study states by quantiles, and what requests in flight hold.

Between two quantiles lengths are spread evenly, so that mean powers are sums over the pieces. Inputs and outputs of a
request are taken to have nothing to do with each other. What has no quantiles has its mean.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

from planner.study.records.serving import OperatingPoint, Profile
from planner.study.records.study import Quantile, Workload

Powers = tuple[float, float, float]
"""mean of the length, of its square and of its cube [tokens, tokens², tokens³]"""
TAIL_DEVIATIONS = 2.326
"""Standard deviations that 99 of 100 instants do not exceed (normal, as sums of many are); assumed to be enough."""


def mean_powers(quantiles: Sequence[Quantile], mean_tokens: float) -> Powers:
    """Means of a length, its square and its cube; those of the mean itself where there are no quantiles.

    Formula
        Σ pieces: share · (b^(k+1) − a^(k+1)) / ((k + 1)(b − a)), written without the division

    Examples
    --------
    Evenly from 0 to 30: 15, 300, 6750.

    >>> mean_powers([Quantile(percent=0, tokens=0), Quantile(percent=100, tokens=30)], 15.0)
    (15.0, 300.0, 6750.0)
    """
    if not quantiles:
        return mean_tokens, mean_tokens**2, mean_tokens**3
    first = second = third = 0.0
    for low, high in pairwise(quantiles):
        share, a, b = (high.percent - low.percent) / 100.0, low.tokens, high.tokens
        first += share * (a + b) / 2.0
        second += share * (a * a + a * b + b * b) / 3.0
        third += share * (a**3 + a * a * b + a * b * b + b**3) / 4.0
    return first, second, third


def of_workload(workload: Workload) -> tuple[Powers, Powers]:
    """Powers of its inputs and of its outputs."""
    return (
        mean_powers(workload.input_tokens_quantiles, workload.mean_input_tokens),
        mean_powers(workload.output_tokens_quantiles, workload.mean_output_tokens),
    )


def squared_variation(workload: Workload, point: OperatingPoint, cached_fraction: float, otherwise: float) -> float:
    """Squared coefficient of variation of the time that a request keeps a slot.

    `otherwise` : that of all of it where no quantiles are stated, and of outputs that have none beside inputs.

    Formula
        (α² Var input + β² Var output) / (α · input + β · output)²,
        α = (1 − cached fraction) / prefill rate, β = 1 / decode rate
    """
    if not workload.input_tokens_quantiles and not workload.output_tokens_quantiles:
        return otherwise
    (inputs, inputs_2, _), (outputs, outputs_2, _) = of_workload(workload)
    reading = (1.0 - cached_fraction) / point.prefill_tokens_per_second
    writing = 1.0 / point.decode_tokens_per_second
    mean = reading * inputs + writing * outputs
    of_outputs = outputs_2 - outputs**2 if workload.output_tokens_quantiles else otherwise * outputs**2
    variance = reading**2 * (inputs_2 - inputs**2) + writing**2 * of_outputs
    return variance / mean**2


def live_tokens_at_tail(workload: Workload, profile: Profile) -> float:
    """Tokens in the cache of a full replica, by request in flight, that 99 of 100 instants do not exceed.

    Who looks in finds a request in the measure of the time that it takes: while its input is read it holds all of it,
    while its output is written as much of that as is written. Of N requests in flight

        N · mean + 2.326 · sqrt(N · variance)

    is exceeded in one moment of a hundred where many are in flight (their sum is nearly normal; of few with long tails
    in some more); then an engine preempts. Never less than of mean lengths, input + output / 2.

    Formula
        T = α I + β O;   mean = (α E I² + β (E I E O + E O² / 2)) / T
        mean of squares = (α E I³ + β (E I² E O + E I E O² + E O³ / 3)) / T
        α = (1 − cached fraction) / prefill rate, β = 1 / decode rate
    """
    (i, i_2, i_3), (o, o_2, o_3) = of_workload(workload)
    point = next((p for p in profile.classes if p.context_class == workload.context_class), profile.classes[0])
    reading = (1.0 - workload.cached_fraction) / point.prefill_tokens_per_second
    writing = 1.0 / point.decode_tokens_per_second
    seconds = reading * i + writing * o
    mean = (reading * i_2 + writing * (i * o + o_2 / 2.0)) / seconds
    squares = (reading * i_3 + writing * (i_2 * o + i * o_2 + o_3 / 3.0)) / seconds
    variance = max(0.0, squares - mean**2)
    at_most = mean + TAIL_DEVIATIONS * math.sqrt(variance / profile.concurrency_limit)
    return max(at_most, workload.mean_input_tokens + workload.mean_output_tokens / 2)
