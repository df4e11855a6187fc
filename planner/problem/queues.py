"""From a study to the queues of its placements: what may wait there, for how long."""

from collections.abc import Mapping

from planner.problem.eligibility import Edges, most_wait_ms
from planner.problem.parts import Parts
from planner.problem.waiting import Queue, Waiting
from planner.study.lengths import squared_variation
from planner.study.loading import cached_fraction_in_failure
from planner.study.records.policies import ColdStarts
from planner.study.records.serving import Profile
from planner.study.records.study import Workload
from planner.units import MS_PER_SECOND

ENDLESS_SECONDS = 1e9
"""The wait that a tier without a first-token target allows: the queue must end, and no more is asked."""


def waiting_of(
    parts: Parts, several_edges: tuple[Edges, Edges], several_seconds: tuple[Mapping[tuple[str, str], float], ...]
) -> Waiting | None:
    """The queues of a study's placements; None where utilisation is fixed.

    Parameters
    ----------
    several_edges : (w, o) -> placements, in normal operation and in failures: a queue is as strict in one as in both
    several_seconds : (w, e) -> replica-seconds per request, in either
    """
    said = parts.study.utilisation
    if said.basis == "fixed":
        return None
    service_seconds: dict[str, float] = {}
    met_seconds: dict[str, float] = {}  # E[S²]/E[S]: what a request that comes finds of one before it, twice
    waits: dict[str, dict[float, float]] = {}
    for w, o, e in ((w, o, e) for edges in several_edges for (w, o), ends in edges.items() for e in ends):
        workload, profile = parts.workloads[w], parts.profile[e]
        tier = parts.tiers[workload.tier]
        slot_seconds = profile.concurrency_limit * max(seconds[w, e] for seconds in several_seconds)
        service_seconds[e] = max(service_seconds.get(e, 0.0), slot_seconds)
        variation = _variation(workload, profile, parts.study.cold_starts, said.lengths_variation)
        met_seconds[e] = max(met_seconds.get(e, 0.0), slot_seconds * (1.0 + variation))
        round_trip_ms = parts.reach[o, parts.pool[e].site].round_trip_ms
        wait_seconds = min(most_wait_ms(tier, profile, round_trip_ms) / MS_PER_SECOND, ENDLESS_SECONDS)
        of_placement = waits.setdefault(e, {})
        of_placement[tier.percentile] = min(of_placement.get(tier.percentile, ENDLESS_SECONDS), wait_seconds)
    queues = {}
    for e, most_wait_seconds in waits.items():
        variation = met_seconds[e] / service_seconds[e] - 1.0
        concurrency = float(parts.profile[e].concurrency_limit)
        queues[e] = Queue(concurrency, service_seconds[e], most_wait_seconds, variation)
    return Waiting(said, queues)


def _variation(workload: Workload, profile: Profile, cold_starts: ColdStarts, otherwise: float) -> float:
    """Squared coefficient of variation of the time that a request keeps a slot, 1 at the least: as quantiles say.

    `otherwise` : where there are none. Of normal operation and failures, which differ in what is cached, the larger.
    """
    point = next(p for p in profile.classes if p.context_class == workload.context_class)
    cached = (workload.cached_fraction, cached_fraction_in_failure(cold_starts, workload))
    return max(1.0, *(squared_variation(workload, point, fraction, otherwise) for fraction in cached))
