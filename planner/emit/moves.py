"""Replicas that are evicted and started from one deadline of a failure to the next, and when their starts begin."""

from collections.abc import Mapping
from dataclasses import dataclass

from planner.emit.capacity import surviving_replicas
from planner.emit.names import slug
from planner.emit.routing import Subject
from planner.problem.arrays import full
from planner.problem.problem import states


@dataclass(frozen=True)
class Move:
    """A placement whose replicas change.

    Parameters
    ----------
    folder : PROVIDER/REGION, as the manifests of Kubernetes are sorted
    begin_by_seconds : when a start begins at the latest, counted from the failure's begin
    """

    placement: str
    folder: str
    before: int
    after: int
    evicted: int
    started: int
    begin_by_seconds: float


@dataclass(frozen=True)
class Moves:
    """All moves by one deadline, those that start first, the earliest first."""

    rows: tuple[Move, ...] = ()

    @property
    def has_starts(self) -> bool:
        """Whether replicas are started."""
        return any(x.started for x in self.rows)

    @property
    def has_evictions(self) -> bool:
        """Whether replicas are evicted."""
        return any(x.evicted for x in self.rows)


def moves_of(of: Subject, f: str) -> dict[float, Moves]:
    """Deadline [s] -> what is evicted and started from the deadline before, at first from what survives.

    Formula
        evicted = kept before - kept;  started = cold-started - cold-started before
        begin_by = deadline - push_seconds - the longer of load_seconds, and of what storage takes for all starts of
        the site and the engine after it
    """
    p, detected = of.problem, of.plan.study.detection_seconds
    push = p.detection_seconds - detected
    in_states = [s for s in states(p, f) if s[0] == of.hour]
    survive = surviving_replicas(full(p), of.vectors, in_states[0]).tolist()
    kept = {e: round(n) for e, n in zip(p.placements, survive, strict=True)}
    started: Mapping[str, int] = {}
    rows_of = {x.deadline_seconds: x for x in of.plan.file.states if x.failure == f and x.hour == of.hour}
    made = {}
    for _, _, c in in_states:
        x = rows_of.get(c)
        kept_then = kept | (x.kept if x else {})
        started_then = x.cold_started if x else {}
        feeding = _feeding_seconds(of, started_then)
        rows = []
        for e in p.placements:
            evicted, new = kept[e] - kept_then[e], started_then.get(e, 0) - started.get(e, 0)
            if evicted or new:
                fed = feeding.get(p.site_of[p.pool_of[e]], 0.0)
                loading = max(p.load_seconds[e], fed + p.engine_start_seconds[e] if fed else 0.0)
                begin_by = max(detected, c - push - loading)
                counts = kept[e] + started.get(e, 0), kept_then[e] + started_then.get(e, 0)
                rows.append(Move(e, _folder(of, e), *counts, evicted + max(0, -new), max(0, new), round(begin_by, 3)))
        rows.sort(key=lambda row: (row.started == 0, row.begin_by_seconds, row.placement))
        made[c], kept, started = Moves(tuple(rows)), kept_then, started_then
    return made


def _feeding_seconds(of: Subject, started: Mapping[str, int]) -> dict[str, float]:
    """Site -> how long its storage takes to feed all starts of the failure [s], where its rate is limited."""
    p = of.problem
    gib: dict[str, float] = {}
    for e, n in started.items():
        site = p.site_of[p.pool_of[e]]
        gib[site] = gib.get(site, 0.0) + n * p.weights_gib[e]
    return {site: amount / p.load_gib_per_second[site] for site, amount in gib.items() if site in p.load_gib_per_second}


def _folder(of: Subject, e: str) -> str:
    """PROVIDER/REGION of a placement."""
    p = of.problem
    site_id = p.site_of[p.pool_of[e]]
    site = next(site for site in of.plan.study.sites if site.id == site_id)
    return f"{slug(site.provider)}/{slug(site.region)}"
