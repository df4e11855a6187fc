"""How long the requests of a workload are: the drill's own reckoning, by a few lengths that stand for all."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from planner.study.records.study import Quantile, Workload

Numbers = NDArray[np.float64]
POINTS, WEIGHTS = np.polynomial.legendre.leggauss(4)
"""Where lengths between two quantiles are looked at, and what each counts: exact for means of cubes."""
DEVIATIONS_99 = 2.326
"""Of a normal distribution: 99 of 100 values are no more than so many standard deviations above the mean."""


def lengths(quantiles: tuple[Quantile, ...], mean_tokens: float) -> tuple[Numbers, Numbers]:
    """Lengths that stand for all requests, from the shortest to the longest [tokens], and the share of each."""
    if not quantiles:
        return np.full(1, mean_tokens), np.ones(1)
    percent, tokens = (np.array([getattr(q, name) for q in quantiles]) for name in ("percent", "tokens"))
    middles, halves = (tokens[1:] + tokens[:-1]) / 2.0, (tokens[1:] - tokens[:-1]) / 2.0
    at = middles[:, None] + halves[:, None] * POINTS
    shares = (percent[1:] - percent[:-1])[:, None] / 100.0 * WEIGHTS / 2.0
    return at.ravel(), shares.ravel()


def states_lengths(workload: Workload) -> bool:
    """Whether a study says more of the lengths of a workload than their means."""
    return bool(workload.input_tokens_quantiles or workload.output_tokens_quantiles)


@lru_cache(maxsize=4096)
def tokens_in_flight(workload: Workload, reading: float, writing: float, in_flight: int) -> float:
    """Tokens in the cache by request in flight, of so many: no more in 99 of 100 instants, nor less than of means.

    Parameters
    ----------
    reading, writing : seconds that a token of input, and of output, takes
    """
    inputs, of_inputs = lengths(workload.input_tokens_quantiles, workload.mean_input_tokens)
    outputs, of_outputs = lengths(workload.output_tokens_quantiles, workload.mean_output_tokens)
    inputs, outputs = inputs[:, None], outputs[None, :]
    both = of_inputs[:, None] * of_outputs[None, :]
    read, written = both * reading * inputs, both * writing * outputs
    weight = (read + written).sum()
    mean = (read * inputs + written * (inputs + outputs / 2.0)).sum() / weight
    # while it writes a request holds its input and from nothing to all of its output, each for as long
    spread = (inputs + outputs / 2.0 - mean) ** 2 + outputs**2 / 12.0
    variance = (read * (inputs - mean) ** 2 + written * spread).sum() / weight
    at_most = float(mean + DEVIATIONS_99 * np.sqrt(variance / in_flight))
    return max(at_most, workload.mean_input_tokens + 0.5 * workload.mean_output_tokens)


@lru_cache(maxsize=4096)
def variation_of_seconds(workload: Workload, reading: float, writing: float, otherwise: float) -> float:
    """Squared coefficient of variation of the time that a request takes, input and output drawn apart.

    `otherwise`: that of outputs of which the study says no more than their mean.
    """
    seconds = spread = 0.0
    for each, quantiles, mean_tokens in (
        (reading, workload.input_tokens_quantiles, workload.mean_input_tokens),
        (writing, workload.output_tokens_quantiles, workload.mean_output_tokens),
    ):
        tokens, shares = lengths(quantiles, mean_tokens)
        mean = float((shares * tokens).sum())
        seconds += each * mean
        spread += each**2 * float((shares * (tokens - mean) ** 2).sum())
    if not workload.output_tokens_quantiles:
        spread += otherwise * (writing * workload.mean_output_tokens) ** 2
    return spread / seconds**2
