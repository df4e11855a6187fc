"""WAITING: how far replicas are filled, and how far so many of them may be, where utilisation is by waiting."""

from dataclasses import dataclass

import numpy as np

from planner.plan.in_hand import Plan
from planner.problem.arrays import full
from planner.problem.problem import State, states
from planner.problem.rules.formulas import is_normal, running, utilisation_of
from planner.review.figures import number
from planner.review.filled import filled
from planner.review.report import Column, Section, percent
from planner.study.waiting import SPREADS

NO_LIMIT_SECONDS = 1e8
"""A wait that no tier limits."""


@dataclass(frozen=True)
class FilledPlacement:
    """A placement in the state in which it is nearest to what its replicas may carry."""

    placement: str
    failure: str
    replicas: int
    filled_fraction: float
    largest_fraction: float
    most_wait_seconds: dict[str, float]
    """percentile -> what so many of a hundred requests may wait at most"""


def waiting_section(plan: Plan) -> Section | None:
    """WAITING: the fullest placement first; no section where utilisation is fixed."""
    p, waiting = plan.problem, plan.problem.waiting
    if waiting is None:
        return None
    said = waiting.said
    lines = [
        f"estimate: {SPREADS[said.spread]}; waiting in G/G/c (docs/waiting.md)",
        f"squared coefficients of variation: {said.arrivals_variation:g} of the times between requests, "
        f"{said.lengths_variation:g} of the time that one takes",
        "in time: first token = round trip + wait + prefill, its high end where that is known",
    ]
    for tier in plan.study.tiers:
        if tier.first_token_ms is not None:
            requests = f"{tier.percentile:g} of 100 requests"
            lines.append(f"{tier.name}: {requests} have theirs within {tier.first_token_ms:g} ms")
    fullest: dict[str, FilledPlacement] = {}
    for s in (s for f in p.failures for s in states(p, f)):
        for row in _filled(plan, s):
            known = fullest.get(row.placement)
            if known is None or _nearness(row) > _nearness(known):
                fullest[row.placement] = row
    rows = sorted(fullest.values(), key=lambda row: (-_nearness(row), row.placement))
    columns = (
        Column("placement"),
        Column("lost", lambda row: row.failure),
        Column("replicas", lambda row: number(row.replicas, ",")),
        Column("filled", lambda row: percent(row.filled_fraction, 1)),
        Column("at most", lambda row: percent(row.largest_fraction, 1)),
        Column("wait, s", _waits),
    )
    after = ("at most: of so many replicas, with all that may be served there; wait: of the percentile of each tier",)
    return Section("WAITING", tuple(lines), columns, rows, after)


def _waits(row: FilledPlacement) -> str:
    """What each tier's requests may wait there."""
    waits = [number(wait, ".2f") for wait in row.most_wait_seconds.values()]
    return waits[0] if len(waits) == 1 else ", ".join(waits) or "any"


def _nearness(row: FilledPlacement) -> float:
    return row.filled_fraction / row.largest_fraction


def _filled(plan: Plan, s: State) -> list[FilledPlacement]:
    """Every placement that runs in a state."""
    p, a, x = plan.problem, full(plan.problem), plan.vectors
    assert p.waiting is not None
    runs, share = np.asarray(running(a, x, s)), filled(a, x, s)
    most = np.broadcast_to(utilisation_of(a, s[1], runs), (a.P,))
    rows = []
    for i in np.flatnonzero(runs > 0).tolist():
        waits = p.waiting.queues[p.placements[i]].most_wait_seconds
        rows.append(
            FilledPlacement(
                placement=p.placements[i],
                failure="nothing" if is_normal(s) else s[1],
                replicas=round(float(runs[i])),
                filled_fraction=float(share[i]),
                largest_fraction=float(most[i]),
                most_wait_seconds={f"{q:g}": wait for q, wait in waits.items() if wait < NO_LIMIT_SECONDS},
            )
        )
    return rows
