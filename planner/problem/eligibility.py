"""Which placement may serve which stream of requests, and why not; what a request takes there."""

from collections import Counter

from planner.errors import Finding
from planner.problem.parts import Parts
from planner.problem.problem import Problem
from planner.study.loading import cached_fraction_in_failure
from planner.study.memory import holds_in_memory
from planner.study.records.inventory import MachineType, Site
from planner.study.records.serving import ModelFacts, OperatingPoint, Profile
from planner.study.records.study import Study, Tier, Workload

WHY_NOT = {
    reason.partition(":")[0]: reason
    for reason in (
        "context: the profile does not admit the context class",
        "precision: not among those the workload allows",
        "feature: the profile lacks a feature that the workload needs",
        "memory: weights and cache of all requests in flight, of the lengths that are stated, do not fit",
        "first token: slower than the tier's target for the worst class that the profile admits",
        "per token: slower than the tier's target for the worst class that the profile admits",
        "jurisdiction: the site is outside those the workload allows",
        "label: the site lacks a label that the workload needs",
        "round trip: longer than the tier's limit, or not known",
        "wait: round trip and prefill alone take longer than the tier's first-token target (utilisation by waiting)",
    )
}
"""The closed list of reasons for which an edge to a placement of the workload's model is missing.

A placement exists only where the machine type is right and the stack is qualified for the model."""
Flow = tuple[str, str]
Edges = dict[Flow, tuple[str, ...]]


def replica_seconds_per_request(
    workload: Workload, point: OperatingPoint, cached_fraction: float | None = None
) -> float:
    """Replica-seconds that one request takes.

    Formula
        input tokens · (1 − cached fraction) / prefill rate + output tokens / decode rate
    Units
        s of one replica per request
    `cached_fraction` stands in for the workload's own where given: caches are cold after a move.

    Source
        Little's law: on a measured row of the same shape it equals
        (time to first token + (output − 1) · time per token) / concurrency, by the choice of the two rates.
    """
    cached = workload.cached_fraction if cached_fraction is None else cached_fraction
    return (
        workload.mean_input_tokens * (1 - cached) / point.prefill_tokens_per_second
        + workload.mean_output_tokens / point.decode_tokens_per_second
    )


def misfit(
    w: Workload, tier: Tier, facts: ModelFacts, profile: Profile, machine: MachineType, most_tokens: int, site: Site
) -> str | None:
    """Why a profile of the workload's model cannot serve it at a site, however near; None when it can."""
    first_token_ms = slowest_first_token_ms(profile)
    admitted = {p.context_class for p in profile.classes}
    holds = {
        "context": w.context_class in admitted and profile.context_limit_tokens >= most_tokens,
        "precision": not w.precisions or profile.precision in w.precisions,
        "feature": set(w.features) <= set(profile.features),
        "memory": holds_in_memory(facts, profile, machine, w),
        "first token": tier.first_token_ms is None or first_token_ms <= tier.first_token_ms,
        "per token": tier.per_token_ms is None or slowest_per_token_ms(profile) <= tier.per_token_ms,
        "jurisdiction": not w.jurisdictions or site.jurisdiction in w.jurisdictions,
        "label": set(w.site_labels) <= set(site.labels),
    }
    return next((WHY_NOT[reason] for reason, held in holds.items() if not held), None)


def slowest_first_token_ms(profile: Profile) -> float:
    """Time to first token of the worst class that a profile admits, its high end where that is known [ms]."""
    return max(p.first_token_ms if p.first_token_ms_high is None else p.first_token_ms_high for p in profile.classes)


def slowest_per_token_ms(profile: Profile) -> float:
    """Time per token of the worst class that a profile admits, its high end where that is known [ms]."""
    return max(p.per_token_ms if p.per_token_ms_high is None else p.per_token_ms_high for p in profile.classes)


def most_wait_ms(tier: Tier, profile: Profile, round_trip_ms: float) -> float:
    """What a tier's first-token target leaves to wait for a replica [ms]; infinite: it has no target.

    Formula
        first_token_ms of the tier - round trip - slowest first token of the profile
    """
    if tier.first_token_ms is None:
        return float("inf")
    return tier.first_token_ms - round_trip_ms - slowest_first_token_ms(profile)


def edges_of(
    parts: Parts, flows: tuple[Flow, ...]
) -> tuple[Edges, Edges, dict[tuple[str, str, str], str], dict[tuple[str, str, str], float]]:
    """Edges in normal operation and in failures, and the reason for each that is missing in normal operation.

    Where the reason is `wait`: by how much first tokens are late [ms].
    """
    edges: Edges = {}
    edges_in_failure: Edges = {}
    why_not: dict[tuple[str, str, str], str] = {}
    late_ms: dict[tuple[str, str, str], float] = {}
    for w, o in flows:
        workload = parts.workloads[w]
        tier = parts.tiers[workload.tier]
        limit = float("inf") if tier.round_trip_ms is None else tier.round_trip_ms
        limit_in_failure = limit if tier.round_trip_ms_in_failure is None else tier.round_trip_ms_in_failure
        normal, in_failure = [], []
        for e in parts.placements:
            if parts.model[e].model != workload.model:
                continue
            site, profile, most = parts.sites[parts.pool[e].site], parts.profile[e], parts.most_tokens
            facts, machine = parts.model[e].facts, parts.machine[profile.machine_type]
            reason = misfit(workload, tier, facts, profile, machine, most[workload.context_class], site)
            if reason is not None:
                why_not[w, o, e] = reason
                continue
            reach = parts.reach.get((o, site.id))
            round_trip_ms = float("inf") if reach is None else reach.round_trip_ms
            if round_trip_ms < float("inf") and not _may_wait(parts.study, tier, profile, round_trip_ms):
                why_not[w, o, e] = WHY_NOT["wait"]
                late_ms[w, o, e] = -most_wait_ms(tier, profile, round_trip_ms)
                continue
            if round_trip_ms <= limit:
                normal.append(e)
            else:
                why_not[w, o, e] = WHY_NOT["round trip"]
            if round_trip_ms <= limit_in_failure:
                in_failure.append(e)
        edges[w, o], edges_in_failure[w, o] = tuple(normal), tuple(in_failure)
    return edges, edges_in_failure, why_not, late_ms


def _may_wait(study: Study, tier: Tier, profile: Profile, round_trip_ms: float) -> bool:
    """Whether anything of a first-token target is left for a wait, where utilisation is by waiting."""
    return study.utilisation.basis == "fixed" or most_wait_ms(tier, profile, round_trip_ms) >= 0


NO_PLACEMENT = "add a profile for a machine type of the study's pools, on a stack that is qualified for the model"
CURES = {
    "context": "a profile that admits its context class",
    "precision": "another of its precisions, or a profile that has one",
    "feature": "a profile with its features",
    "first token": "a longer first_token_ms of its tier, or a faster profile",
    "per token": "a longer per_token_ms of its tier, or a faster profile",
    "memory": "a profile with more accelerators per replica, or fewer requests in flight at the rates measured there",
    "jurisdiction": "pools at a site in its jurisdictions, or another jurisdiction",
    "label": "pools at a site with its site_labels, or fewer of them",
    "round trip": "a longer round_trip_ms of its tier, or pools that are nearer",
    "wait": "a longer first_token_ms of its tier, pools that are nearer, or a profile with a shorter prefill",
}
"""What gives a workload the edges that are missing for a reason of `WHY_NOT`."""


def workloads_without_edge(p: Problem) -> dict[Flow, Finding]:
    """A finding for every (workload, origin) that no placement may serve in normal operation, with the reasons."""
    findings = {}
    for w, o in p.flows:
        if not p.edges[w, o]:
            reasons = Counter(why.partition(":")[0] for (w_, o_, _), why in p.why_not.items() if (w_, o_) == (w, o))
            counted = ", ".join(f"{reason} {n}" for reason, n in reasons.most_common())
            got = f"none: {counted or 'no placement of its model exists'}"
            cures = [CURES[reason] for reason, _ in reasons.most_common() if reason in CURES]
            late = [(ms, e) for (w_, o_, e), ms in p.late_ms.items() if (w_, o_) == (w, o)]
            if late:
                ms, e = min(late)
                got += f"; round trip and prefill alone take {ms:,.0f} ms more than its first_token_ms even at {e}"
            fix = "; or ".join(cures) or NO_PLACEMENT
            findings[w, o] = Finding(f"workload {w} from {o}", "a placement that may serve it", got, fix)
    return findings


def replica_seconds_by_placement(parts: Parts, in_failure: bool) -> dict[tuple[str, str], float]:
    """(w, e) -> replica-seconds per request; in failures with caches as they are after a move."""
    seconds = {}
    for w in parts.workloads.values():
        cached_fraction = cached_fraction_in_failure(parts.study.cold_starts, w) if in_failure else None
        for e in parts.placements:
            if parts.model[e].model == w.model:
                for point in parts.profile[e].classes:
                    if point.context_class == w.context_class:
                        seconds[w.name, e] = replica_seconds_per_request(w, point, cached_fraction)
    return seconds
