"""A small sample of benchmarks/waiting.py: the formula against the simulator, on placements drawn at random."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[1]))

from benchmarks.waiting import Placement, checked, drawn, simulated_share


def decided(n: int, routing: str, bursts: float = 1.0) -> list[Placement]:
    """Placements whose target decides, not too full to be simulated in short."""
    placements = [of for of in drawn(8, routing, seed=5, bursts=(bursts,)) if of.utilisation < 0.9]
    return placements[:n]


@pytest.mark.parametrize(
    "routing, bursts", [("one-queue", 1.0), ("least-requests", 1.0), ("random", 1.0), ("one-queue", 3.0)]
)
def test_placements_wait_as_the_formula_says_or_less(routing, bursts):
    simulated, allowed = [], []
    for of in decided(3, routing, bursts):
        assert of.share_longer(of.utilisation) == pytest.approx(1 - of.percentile / 100, rel=1e-3)
        simulated += simulated_share(of, of.utilisation, 15_000, range(3))
        allowed += 3 * [1 - of.percentile / 100]
    error = np.std(np.subtract(simulated, allowed)) / len(simulated) ** 0.5
    assert np.mean(simulated) <= 1.1 * np.mean(allowed) + 2 * error


def test_bursts_of_long_tails_wait_no_longer_than_the_formula_says():
    """Of few slots, half busy, it is the arrivals that make requests wait, however their lengths vary."""
    of = Placement(3, 6, 16.4, 0.25, 2.5, bursts=4.0, target_wait_s=0.53, percentile=95.0, routing="one-queue")
    assert 0.3 < of.utilisation < 0.54
    assert np.mean(simulated_share(of, of.utilisation, 60_000, range(3))) <= 1.1 * 0.05


def test_the_formula_gives_little_away():
    (of,) = decided(1, "one-queue")
    row = checked(of, 20_000, 2)
    assert row.holds and row.excess is not None and -0.05 < row.excess < 0.1
