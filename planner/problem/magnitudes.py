"""The range of magnitudes in which a plan is proven: what lies outside is refused before anything is solved.

Numbers are scaled by what is asked for, so that tolerances of the solver mean the same at every magnitude. What
remains are spreads within one program, and counts that a floating-point number cannot tell apart.
"""

import numpy as np

from planner.errors import Finding
from planner.problem.arrays import full
from planner.problem.problem import Problem, flow_size, taken_up
from planner.study.records.study import LEAST_REQUESTS_PER_SECOND

MOST_REPLICAS = 1e7
"""Replicas that one stream may need where it needs fewest."""
LEAST_SHARE = 1e-6
"""Of the most that is asked of a stream in any hour or failure, what is asked in another, where anything is."""
LEAST_USD, MOST_USD = 1e-6, 1e6
"""Price of a machine-hour, where it is not 0."""


def sizes(p: Problem) -> dict[tuple[str, ...], float]:
    """(w, o, h), and (w, o) -> what normal operation and failures may ask for (in an hour) at most [requests/s]."""
    most: dict[tuple[str, ...], float] = {}
    for w, o in p.flows:
        surge = max(_surge_factors(p, w, o))
        most |= {(w, o, h): surge * taken_up(p, w, o, h) for h in p.hours}
        most[w, o] = max(most[w, o, h] for h in p.hours)
    return most


def _surge_factors(p: Problem, w: str, o: str) -> set[float]:
    """Factors on the demand of (w, o) in normal operation and in failures."""
    factors = {1.0}
    for failure in p.failures.values():
        further = failure.surges.get(f"origin:{o}", 1.0) * failure.surges.get(f"workload:{w}", 1.0)
        factors.add(failure.surge_factor * further)
    return factors


def out_of_range(p: Problem) -> list[Finding]:
    """A finding for every number of a study that is too large or too small for a proof."""
    return [*_streams(p), *_prices(p)]


def _streams(p: Problem) -> list[Finding]:
    findings = []
    a = full(p)
    filled, fewest = a.replicas_filled(), np.full(a.F, np.inf)
    np.minimum.at(fewest, a.flow_of_edge, filled)
    for n, (w, o) in enumerate(p.flows):
        where, size = f"demand: {w} from {o}", flow_size(p, w, o)
        hours = {v for h in p.hours if (v := p.demand_requests_per_second[w, o, h]) > 0}
        factors = {factor for factor in _surge_factors(p, w, o) if factor > 0}
        least = min(hours) * min(factors) if hours else size
        if size < LEAST_REQUESTS_PER_SECOND:
            expected = f"0, or at least {LEAST_REQUESTS_PER_SECOND:g} requests/s"
            findings.append(
                Finding(where, expected, f"{size:.3g}", "write requests per second; 0 where nothing is wanted")
            )
        elif least < LEAST_SHARE * size * (1 - LEAST_SHARE):
            expected = f"in every hour and failure 0, or at least a millionth of the most, {size:.6g} requests/s"
            fix = "write 0 for it, or correct the shape of the hours or the surge of the failure"
            findings.append(Finding(where, expected, f"{least:.3g}", fix))
        if np.isfinite(fewest[n]) and fewest[n] > MOST_REPLICAS:
            edges = np.flatnonzero(a.flow_of_edge == n)
            e = p.placements[a.placement_of_edge[edges[np.argmin(filled[edges])]]]
            expected = f"at most {MOST_REPLICAS:,.0f} replicas for all of it"
            got = f"{size:.6g} requests/s, which fill {fewest[n]:,.0f} of {e}, the fastest"
            findings.append(
                Finding(where, expected, got, "correct the demand, its surges, or the rates of the profile")
            )
    return findings


def _prices(p: Problem) -> list[Finding]:
    fix = "write USD of a machine and hour"
    return [
        Finding(f"price of {b}", f"0, or {LEAST_USD:g} to {MOST_USD:,.0f} USD per machine and hour", f"{usd:g}", fix)
        for b, usd in p.price_usd_per_machine_hour.items()
        if usd and not LEAST_USD <= usd <= MOST_USD
    ]
