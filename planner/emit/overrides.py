"""What is pushed to gateways in a failure: for each deadline the routes as the plan has them then.

A pushed route has one level: the placements that the plan uses in that state, with its weights, its traffic as limits,
and the share that it sheds. Streams that stay as they are keep the route of the static file, but what is lost.

What fails and still answers is found by no gateway: whatever the static files would survive, a set from detection on
takes it out.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from planner.emit.capacity import planned_replicas, surviving_replicas
from planner.emit.cascade import OVERRIDE, TOO_LATE, Outcome, Replicas, is_unseen, keeps_its_weights
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
from planner.problem.arrays import full
from planner.problem.problem import State, states
from planner.study.dependencies import NORMAL

NEEDED = (OVERRIDE, TOO_LATE)
"""Verdicts of failures in which something is pushed."""
BASE = "base"
"""The set of normal operation."""
RIGHT_AFTER_SECONDS = 0.0011
"""A deadline no later after another is the moment right after it."""


@dataclass(frozen=True)
class Override:
    """All routes of one failure, from one of its deadlines on.

    Parameters
    ----------
    deadline_seconds : of the plan's state; or when the plan counts a failure as detected, where nobody else finds it
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


def in_seconds(seconds: float) -> str:
    """Seconds for people.

    Examples
    --------
    >>> in_seconds(130.001)
    '130.001 s'
    """
    return f"{deadline_id(seconds).removesuffix('s')} s"


def overrides(of: Subject, table: Table, outcomes: tuple[Outcome, ...]) -> tuple[Override, ...]:
    """What is pushed in each failure that the static files do not survive, or that no gateway sees, in the order of
    the outcomes; nothing where nothing can be pushed."""
    made: list[Override] = []
    for outcome in outcomes:
        if outcome.failure == NORMAL or keeps_its_weights(of, outcome.failure):
            continue
        if is_unseen(of, outcome.failure):
            made += _until_the_plan_moves(of, table, outcome)
        if outcome.verdict in NEEDED:
            made += _at_deadlines(of, table, outcome.failure)
    return tuple(made)


def _until_the_plan_moves(of: Subject, table: Table, outcome: Outcome) -> list[Override]:
    """The static routes without what is lost, from detection on; none where a set of the plan comes no later."""
    s = next(s for s in states(of.problem, outcome.failure) if s[0] == of.hour)
    detected = of.problem.detection_seconds
    if outcome.verdict in NEEDED and s[2] <= detected:
        return []
    gone = _gone(of, s, surviving_replicas)
    return [Override(outcome.failure, detected, tuple(without(route, gone) for route in table.routes))]


def _at_deadlines(of: Subject, table: Table, failure: str) -> list[Override]:
    """The plan's own routes at each deadline; a gateway that is given any is given none to what is lost."""
    made = []
    given_to = {route.origin for route in table.routes} if is_unseen(of, failure) else set()
    for s in states(of.problem, failure):
        if s[0] != of.hour:
            continue
        gone = _gone(of, s, planned_replicas)
        routes = [pushed_route(of, route, s) for route in table.routes]
        given_to |= {route.origin for route in routes if route.pushed}
        routes = [without(x, gone) if x.origin in given_to and not x.pushed else x for x in routes]
        made.append(Override(failure, s[2], tuple(routes)))
    return made


def _gone(of: Subject, s: State, replicas: Replicas) -> set[str]:
    """Placements of which nothing runs in a failure: lost or evicted, or such that cannot be started in it.

    What only failures start, and this one does not take, stands as in the static file.
    """
    p, a = of.problem, full(of.problem)
    before, part = of.vectors.replicas[of.hour,].tolist(), a.available(s[1]).tolist()
    then = replicas(a, of.vectors, s).tolist()
    rows = zip(p.placements, before, part, then, strict=True)
    return {e for e, n, remains, m in rows if m <= 0 and (n > 0 or remains <= 0)}


def without(route: Route, gone: Collection[str]) -> Route:
    """A static route without some placements; itself where it has none of them, all shed where it has no others.

    What remains of a level shares in the old proportion. In the first level a share of the peak is no more than the
    limit: the rest goes to the next level.
    """
    if not any(x.placement in gone for x in route.entries):
        return route
    living = [[x for x in level if x.placement not in gone] for level in route.levels]
    living = [level for level in living if level]
    if not living:
        return replace(route, levels=(), pushed=True, shed_fraction=1.0)
    first, *others = [_shared(level) for level in living]
    levels = [_within_limits(first, route.requests_per_second), *others]
    if all(x.beyond_normal_reach for level in levels for x in level):  # behind no others it would never be asked
        levels = [[replace(x, beyond_normal_reach=False) for x in level] for level in levels]
    return replace(route, levels=tuple(tuple(level) for level in levels))


def _shared(level: Sequence[Entry]) -> list[Entry]:
    """Weights and shares of a level that has lost some of its placements."""
    together = math_sum(x.share_fraction for x in level)
    shares = [x.share_fraction / together for x in level]
    weights = largest_remainder(shares, WEIGHTS_ADD_UP_TO)
    return [replace(x, weight=n, share_fraction=share) for x, n, share in zip(level, weights, shares, strict=True)]


def _within_limits(level: Sequence[Entry], peak: float) -> list[Entry]:
    """Shares of the peak, all reduced in proportion so that none is beyond its limit."""
    most = min(
        (x.limit_requests_per_second / (x.share_fraction * peak) for x in level if x.share_fraction > 0), default=1.0
    )
    return [replace(x, share_fraction=x.share_fraction * min(1.0, most)) for x in level]


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
    levels = (entries,) if entries else ()
    return replace(route, requests_per_second=coming, levels=levels, pushed=True, shed_fraction=shed)


def _is_as_before(first: Mapping[str, float], second: Mapping[str, float], coming: float) -> bool:
    """Whether the same is sent to each placement."""
    least = NEGLIGIBLE_FRACTION * coming
    return all(abs(first.get(e, 0.0) - second.get(e, 0.0)) <= least for e in {*first, *second})
