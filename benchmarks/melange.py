"""Mélange's program (Griggs et al., 2024) beside ours: the cheapest mix of GPUs for one model, by sizes of requests.

Slices of the demand each go to one type of GPU; a type has as many machines as its slices fill. The example is that of
the published solver (github.com/tyler-griggs/melange-release at d46ab438: 8 requests/s, slice factor 4), with its
optimum. Ours may split a slice: its optimum is never dearer.
"""

import random
import sys
from pathlib import Path
from typing import Any

import pulp

from benchmarks.measure import Measured, Timer
from planner.problem.build import build
from planner.solve.search import Effort
from planner.solve.solve import solve

SUPPORT = str(Path(__file__).resolve().parents[1] / "tests" / "support")
SLICES = 4
EXAMPLE_USD = 3.67
"""What the published solver finds [USD per hour]."""


def example() -> dict[str, Any]:
    """The published example: machines that a slice of each bucket fills, by type."""
    requests = (0.4, 0.2, 1.0, 0.4)
    """requests/s of a slice of each bucket"""
    use: dict[str, tuple[float, ...]] = {"A10G": (0.5, 1.0, 0.2, 0.5), "A100-80GB": (0.05, 0.05, 0.025, 0.05)}
    """machine-seconds a request"""
    return _case("melange-example", {"A10G": 1.01, "A100-80GB": 3.67}, requests, use)


def larger(types: int = 5, buckets: int = 40, seed: int = 1) -> dict[str, Any]:
    """A case of the same kind: more types, each better at requests of some size."""
    chance = random.Random(seed)
    prices = {f"gpu{n}": round(0.8 * 1.7**n, 2) for n in range(types)}
    requests = tuple(round(chance.uniform(0.2, 2.0), 3) for _ in range(buckets))
    use = {
        name: tuple(round(chance.uniform(0.3, 0.9) / price**0.95, 4) for _ in range(buckets))
        for name, price in prices.items()
    }
    return _case("melange-larger", prices, requests, use)


def _case(
    name: str, prices: dict[str, float], requests: tuple[float, ...], use: dict[str, tuple[float, ...]]
) -> dict[str, Any]:
    slices = [(bucket, n) for bucket in range(len(requests)) for n in range(SLICES)]
    return {
        "name": name,
        "pools": [{"id": q, "unit_price": price} for q, price in prices.items()],
        "demands": [{"id": f"bucket{bucket}-{n}", "amount": requests[bucket]} for bucket, n in slices],
        "use": [[use[q][bucket] for bucket, _ in slices] for q in prices],
    }


CASES = {"example": example, "larger": larger}


def ours(name: str) -> Measured:
    """The case as a study, proven optimal."""
    sys.path.insert(0, SUPPORT)
    from cases import machine_study

    p, timer = build(machine_study(CASES[name]())), Timer()
    solution = solve(p, Effort(gap_fraction=1e-6, most_nodes=1_000_000))
    hours = sum(p.hours_in[h] for h in p.hours)
    return Measured(solution.cost_usd / hours, timer.seconds(), solution.bound_usd / hours)


def transcription(name: str) -> Measured:
    """The program of the paper in PuLP, by PuLP's own HiGHS.

    Formula
        min Σ_g price[g] · machines[g];  Σ_g goes[i,g] = 1  ∀ i
        Σ_i use[g,i] · amount[i] · goes[i,g] ≤ machines[g]  ∀ g
    """
    case, timer = CASES[name](), Timer()
    lp = pulp.LpProblem("melange", pulp.LpMinimize)
    types, slices = range(len(case["pools"])), range(len(case["demands"]))
    machines = [lp.add_variable(f"machines{g}", 0, None, pulp.LpInteger) for g in types]
    goes = [[lp.add_variable(f"goes{i}_{g}", 0, 1, pulp.LpInteger) for g in types] for i in slices]
    lp.setObjective(pulp.lpSum(q["unit_price"] * machines[g] for g, q in enumerate(case["pools"])))
    for i in slices:
        lp.addConstraint(pulp.lpSum(goes[i]) == 1)
    for g in types:
        filled = (case["use"][g][i] * case["demands"][i]["amount"] * goes[i][g] for i in slices)
        lp.addConstraint(pulp.lpSum(filled) <= machines[g])
    lp.solve(pulp.HiGHS(msg=False, threads=1, gapRel=1e-6))
    value = float(pulp.value(lp.objective))
    return Measured(value, timer.seconds())
