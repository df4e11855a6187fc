"""What is pushed to gateways in a failure: for each deadline the routes as the plan has them then.

A pushed route has one level: the placements that the plan uses in that state, with its weights, its traffic as limits,
and the share that it sheds. Streams that stay as they are keep the route of the static file.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from planner.emit.cascade import OVERRIDE, TOO_LATE, Outcome
from planner.emit.names import slug
from planner.emit.routing import (
    NEGLIGIBLE_FRACTION,
    WEIGHTS_ADD_UP_TO,
    Entry,
    Route,
    Subject,
    Table,
    as_sent,
    largest_remainder,
    math_sum,
    peak_requests_per_second,
)
from planner.problem.problem import State, states
from planner.study.dependencies import NORMAL

NEEDED = (OVERRIDE, TOO_LATE)
"""Verdicts of failures in which something is pushed."""
BASE = "base"
"""The set of normal operation."""


@dataclass(frozen=True)
class Override:
    """All routes of one failure, from one of its deadlines on.

    Parameters
    ----------
    routes : of all origins, in the order of the table; those that do not change are the table's own
    """

    failure: str
    deadline_seconds: float
    routes: tuple[Route, ...]

    @property
    def id(self) -> str:
        """Its folder under `overrides`."""
        return f"{slug(self.failure)}/{deadline_id(self.deadline_seconds)}"

    def of_origin(self, origin: str) -> tuple[Route, ...]:
        """Routes of one gateway."""
        return tuple(route for route in self.routes if route.origin == origin)


def deadline_id(deadline_seconds: float) -> str:
    """A deadline as the name of a folder.

    Examples
    --------
    >>> deadline_id(60.0), deadline_id(0.5)
    ('60s', '0.5s')
    """
    return f"{deadline_seconds:.10g}s"


def overrides(of: Subject, table: Table, outcomes: tuple[Outcome, ...]) -> tuple[Override, ...]:
    """What is pushed in each failure that the static files do not survive, in the order of the outcomes."""
    made = []
    for outcome in outcomes:
        if outcome.verdict in NEEDED and outcome.failure != NORMAL:
            for s in states(of.problem, outcome.failure):
                if s[0] == of.hour:
                    made.append(Override(s[1], s[2], tuple(pushed_route(of, route, s) for route in table.routes)))
    return tuple(made)


def steps(made: tuple[Override, ...], table: Table, failure: str, origin: str) -> tuple[Override, ...]:
    """What one gateway is given in a failure, deadlines in order: those from which on something changes."""
    sequence, before = [], table.of_origin(origin)
    for override in made:
        if override.failure == failure and override.of_origin(origin) != before:
            sequence.append(override)
            before = override.of_origin(origin)
    return tuple(sequence)


def pushed_route(of: Subject, route: Route, s: State) -> Route:
    """A route as the plan has it in a state; itself where nothing of it changes.

    Formula
        limit of a placement = its traffic;  shed_fraction = 1 - traffic of all / what comes
    Units
        requests/s, peak: mean of the hour times burst_factor
    """
    p, flow = of.problem, (route.workload, route.origin)
    # what a dead login or gateway keeps out never comes to be routed
    coming = peak_requests_per_second(p, *flow, s) * p.coverable[s[1]].get(flow, 1.0)
    sent = as_sent(of, flow, s)
    normal_state = (of.hour, NORMAL, 0.0)
    if coming <= 0 or _is_as_before(sent, as_sent(of, flow, normal_state), coming):
        return route
    names = sorted(sent, key=lambda e: (-sent[e], e))
    together = math_sum(sent.values())
    weights = largest_remainder([sent[e] for e in names], WEIGHTS_ADD_UP_TO) if names else []
    entries = tuple(
        Entry(e, slug(e), weight, sent[e] / together, sent[e], beyond_normal_reach=False)
        for e, weight in zip(names, weights, strict=True)
    )
    shed = max(0.0, 1 - together / coming)
    shed = shed if shed > NEGLIGIBLE_FRACTION else 0.0
    return Route(*flow, route.id, coming, (entries,) if entries else (), pushed=True, shed_fraction=shed)


def _is_as_before(first: Mapping[str, float], second: Mapping[str, float], coming: float) -> bool:
    """Whether the same is sent to each placement."""
    least = NEGLIGIBLE_FRACTION * coming
    return all(abs(first.get(e, 0.0) - second.get(e, 0.0)) <= least for e in {*first, *second})
