"""Where requests go in normal operation: from each origin to each model and pool, and to each site on the map."""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from planner.plan.in_hand import Plan
from planner.problem.arrays import full
from planner.problem.problem import State, fullest_hour
from planner.review.failures import hour_text
from planner.review.figures import Figure, number
from planner.review.fleet import pools_of
from planner.review.report import Column, Section
from planner.study.dependencies import NORMAL
from planner.study.latency import origin_place, region_places

Place = tuple[float, float]
"""Latitude and longitude [degrees north, east]"""


@dataclass(frozen=True)
class Route:
    """Requests of an origin that a model at a pool serves, of all workloads together."""

    origin: str
    model: str
    pool: str
    site: str
    provider: str
    requests_per_second: float


@dataclass(frozen=True)
class SiteTraffic:
    """A site with machines, and what an origin sends there; one that gets nothing in normal operation has no origin.

    Parameters
    ----------
    origin_place, site_place : latitude, longitude; an origin's own, else those of the region that it is near
    machines : at the site, held and ordered, from whichever origin they are used
    round_trip_ms : between the two; None without an origin
    """

    origin: str | None
    origin_place: Place | None
    site: str
    city: str
    provider: str
    site_place: Place
    machines: int
    requests_per_second: float
    round_trip_ms: float | None


def rate_text(requests_per_second: float) -> Figure:
    """Requests/s as people read them.

    Examples
    --------
    >>> rate_text(1234.56), rate_text(3.14159), rate_text(0.05)
    ('1,235', '3.1', '0.05')
    """
    if requests_per_second >= 10:
        return number(requests_per_second, ",.0f")
    return number(requests_per_second, ".1f" if requests_per_second >= 1 else ".2g")


def routes_of(plan: Plan) -> list[Route]:
    """Every route that carries something in normal operation, in the hour of most requests: the largest first."""
    p, a = plan.problem, full(plan.problem)
    s: State = (fullest_hour(p), NORMAL, 0.0)
    sent: dict[tuple[str, str, str], float] = defaultdict(float)
    traffic = plan.vectors.traffic[s,]
    for i in np.flatnonzero(traffic > 0).tolist():
        _, o, e = a.edges[i]
        sent[o, p.model_of[e], p.pool_of[e]] += float(traffic[i])
    rows = []
    for (o, model, q), requests in sent.items():
        rows.append(Route(o, model, q, p.site_of[q], p.provider_of[q], requests))
    return sorted(rows, key=_largest_first)


def _largest_first(row: Route) -> tuple[float, str, str, str]:
    return -row.requests_per_second, row.origin, row.model, row.pool


def routes_section(plan: Plan) -> Section | None:
    """Which model at which pool serves each origin in normal operation; no section where nothing is served."""
    rows = routes_of(plan)
    if not rows:
        return None
    columns = (
        Column("origin"),
        Column("model"),
        Column("pool"),
        Column("provider"),
        Column("requests/s", lambda row: rate_text(row.requests_per_second), adds=True),
    )
    return Section("ROUTES IN NORMAL OPERATION", hour_text(plan.problem), columns, rows, part="picture", when_all=True)


def sites_of(plan: Plan) -> list[SiteTraffic]:
    """Sites with machines or traffic, each with what the origins send there; origins in the study's order."""
    p, study = plan.problem, plan.study
    regions, site_of = region_places(study.sites), {site.id: site for site in study.sites}
    origins = {origin.name: origin_place(origin, regions) for origin in study.origins}
    order = {name: n for n, name in enumerate(origins)}
    sent: dict[tuple[str, str], float] = defaultdict(float)
    machines: dict[str, int] = defaultdict(int)
    for route in routes_of(plan):
        sent[route.site, route.origin] += route.requests_per_second
    for pool in pools_of(plan):
        machines[p.site_of[pool.pool]] += pool.machines
    rows = []
    for id in sorted({*machines, *(site for site, _ in sent)}):
        site = site_of[id]
        from_origins = sorted((o for at, o in sent if at == id), key=order.__getitem__)
        if not from_origins and not machines[id]:
            continue
        for o in from_origins or (None,):
            rows.append(
                SiteTraffic(
                    origin=o,
                    origin_place=None if o is None else origins[o],
                    site=id,
                    city=site.city,
                    provider=site.provider,
                    site_place=(site.latitude, site.longitude),
                    machines=machines[id],
                    requests_per_second=0.0 if o is None else sent[id, o],
                    round_trip_ms=None if o is None else p.round_trip_ms[o, id].round_trip_ms,
                )
            )
    return rows


def map_section(plan: Plan) -> Section | None:
    """Sites and what each origin sends there; no section where there is neither a machine nor traffic."""
    rows = sites_of(plan)
    if not rows:
        return None
    columns = (
        Column("site"),
        Column("city"),
        Column("machines"),
        Column("origin", lambda row: row.origin or "none in normal operation"),
        Column("requests/s", lambda row: rate_text(row.requests_per_second), adds=True),
        Column("round trip ms", lambda row: None if row.round_trip_ms is None else number(row.round_trip_ms, ".0f")),
    )
    return Section("SITES AND ORIGINS", hour_text(plan.problem), columns, rows, part="picture", when_all=True)
