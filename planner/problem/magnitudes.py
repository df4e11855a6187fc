"""The range of magnitudes in which a plan is proven: what lies outside is refused before anything is solved.

Numbers are scaled by what is asked for, so that tolerances of the solver mean the same at every magnitude. What is
left are spreads within one program, and counts that a floating-point number cannot tell apart.
"""

import math

from planner.errors import Finding
from planner.problem.problem import Problem, flow_size, replicas_filled
from planner.study.records.study import LEAST_REQUESTS_PER_SECOND

MOST_REPLICAS = 1e7
"""Replicas that one stream may need where it needs fewest."""
LEAST_SHARE = 1e-6
"""Of the most that is asked of a stream in any hour or failure, what is asked in another, where anything is."""
LEAST_USD, MOST_USD = 1e-6, 1e6
"""Price of a machine-hour, where it is not 0."""


def out_of_range(p: Problem) -> list[Finding]:
    """A finding for every number of a study that is too large or too small for a proof."""
    return [*_streams(p), *_prices(p)]


def _streams(p: Problem) -> list[Finding]:
    found = []
    surges = {(1.0, ())} | {(f.surge_factor, tuple(sorted(f.surges.items()))) for f in p.failures.values()}
    for w, o in p.flows:
        where, size, mine = f"demand: {w} from {o}", flow_size(p, w, o), (f"workload:{w}", f"origin:{o}")
        factors = {factor * math.prod(n for name, n in further if name in mine) for factor, further in surges}
        hours = {p.demand_requests_per_second[w, o, h] for h in p.hours}
        least = min((v for n in hours for factor in factors if (v := n * factor) > 0), default=size)
        if size < LEAST_REQUESTS_PER_SECOND:
            expected = f"0, or at least {LEAST_REQUESTS_PER_SECOND:g} requests/s"
            found.append(
                Finding(where, expected, f"{size:.3g}", "write requests per second; 0 where nothing is wanted")
            )
        elif least < LEAST_SHARE * size * (1 - LEAST_SHARE):
            expected = f"in every hour and failure 0, or at least a millionth of the most, {size:.6g} requests/s"
            fix = "write 0 for it, or correct the shape of the hours or the surge of the failure"
            found.append(Finding(where, expected, f"{least:.3g}", fix))
        edges = {e: replicas_filled(p, w, o, e) for e in (*p.edges[w, o], *p.edges_in_failure[w, o])}
        if edges and (fewest := min(edges.values())) > MOST_REPLICAS:
            e = min(edges, key=lambda one: (edges[one], one))
            expected = f"at most {MOST_REPLICAS:,.0f} replicas for all of it"
            got = f"{size:.6g} requests/s, which fill {fewest:,.0f} of {e}, the fastest"
            found.append(Finding(where, expected, got, "correct the demand, its surges, or the rates of the profile"))
    return found


def _prices(p: Problem) -> list[Finding]:
    fix = "write USD of a machine and hour"
    return [
        Finding(f"price of {b}", f"0, or {LEAST_USD:g} to {MOST_USD:,.0f} USD per machine and hour", f"{usd:g}", fix)
        for b, usd in p.price_usd_per_machine_hour.items()
        if usd and not LEAST_USD <= usd <= MOST_USD
    ]
