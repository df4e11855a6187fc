"""How long the requests of a workload are, drawn: the drill's own reckoning, from the quantiles that a study states."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from planner.study.records.study import Quantile, Workload

Numbers = NDArray[np.float64]
SAMPLES = 400
"""Lengths that stand for all: of equal shares of the requests, each at its middle."""
DRAWN_TO = 1e-3
"""Share by which what is drawn so is exact."""
DEVIATIONS_99 = 2.326
"""Of a normal distribution: 99 of 100 values are no more than so many standard deviations above the mean."""


def lengths(quantiles: tuple[Quantile, ...], mean_tokens: float) -> Numbers:
    """Lengths that stand for all requests, from the shortest to the longest [tokens]."""
    if not quantiles:
        return np.full(1, mean_tokens)
    shares = (np.arange(SAMPLES) + 0.5) / SAMPLES
    return np.interp(shares, [q.percent / 100.0 for q in quantiles], [q.tokens for q in quantiles])


def states_lengths(workload: Workload) -> bool:
    """Whether a study says more of the lengths of a workload than their means."""
    return bool(workload.input_tokens_quantiles or workload.output_tokens_quantiles)


@lru_cache(maxsize=4096)
def tokens_in_flight(workload: Workload, reading: float, writing: float, in_flight: int) -> float:
    """Tokens in the cache by request in flight, when so many are: no more in 99 of 100 moments.

    Parameters
    ----------
    reading, writing : seconds that a token of input, and of output, takes
    """
    inputs = lengths(workload.input_tokens_quantiles, workload.mean_input_tokens)[:, None]
    outputs = lengths(workload.output_tokens_quantiles, workload.mean_output_tokens)[None, :]
    read, written = np.broadcast_arrays(reading * inputs, writing * outputs)
    weight = (read + written).sum()
    mean = (read * inputs + written * (inputs + outputs / 2.0)).sum() / weight
    # while it writes a request holds its input and from nothing to all of its output, each for as long
    spread = (inputs + outputs / 2.0 - mean) ** 2 + outputs**2 / 12.0
    variance = (read * (inputs - mean) ** 2 + written * spread).sum() / weight
    return float(mean + DEVIATIONS_99 * np.sqrt(variance / in_flight))


@lru_cache(maxsize=4096)
def variation_of_seconds(workload: Workload, reading: float, writing: float) -> float:
    """Squared coefficient of variation of the time that a request takes, input and output drawn apart."""
    inputs = reading * lengths(workload.input_tokens_quantiles, workload.mean_input_tokens)
    outputs = writing * lengths(workload.output_tokens_quantiles, workload.mean_output_tokens)
    return float((inputs.var() + outputs.var()) / (inputs.mean() + outputs.mean()) ** 2)
