"""Why a placement may not serve a workload from an origin, with the figures that decide it."""

from collections.abc import Callable

from planner.plan.in_hand import Plan
from planner.problem.eligibility import WHY_NOT, most_wait_ms, slowest_first_token_ms
from planner.study.memory import live_tokens_of, memory_needed_gib, usable_memory_gib
from planner.study.records.inventory import Site
from planner.study.records.serving import Model, Profile
from planner.study.records.study import Tier, Workload

KEY_OF = {reason: key for key, reason in WHY_NOT.items()}


class Refusals:
    """The refusals of one workload from one origin, in words.

    Parameters
    ----------
    plan : whose study is asked about
    """

    def __init__(self, plan: Plan, workload: str, origin: str) -> None:
        study = plan.study
        self.plan, self.study, self.origin = plan, study, origin
        self.w: Workload = study.workload_by_name[workload]
        self.tier: Tier = study.tier_by_name[self.w.tier]
        self.model: Model = next(m for m in study.models if m.model == self.w.model)
        self.said: dict[str, Callable[[Profile, Site], str]] = {
            "context": self._context,
            "precision": lambda profile, site: f"{profile.precision}, allowed: {', '.join(self.w.precisions)}",
            "feature": lambda profile, site: f"lacks {', '.join(sorted(set(self.w.features) - set(profile.features)))}",
            "memory": self._memory,
            "first token": lambda profile, site: (
                f"{slowest_first_token_ms(profile):,.0f} ms, target {self.tier.first_token_ms:,.0f} ms"
            ),
            "per token": lambda profile, site: (
                f"{max(p.per_token_ms for p in profile.classes):,.1f} ms, target {self.tier.per_token_ms:,.1f} ms"
            ),
            "jurisdiction": lambda profile, site: f"{site.jurisdiction}, allowed: {', '.join(self.w.jurisdictions)}",
            "label": lambda profile, site: f"lacks {', '.join(sorted(set(self.w.site_labels) - set(site.labels)))}",
            "round trip": lambda profile, site: self.round_trip(site.id, self.tier.round_trip_ms),
            "wait": self._wait,
        }

    def text(self, reason: str, profile: Profile, site: Site) -> str:
        """A reason of the closed list with its figures; one that is not on it as it is."""
        key = KEY_OF.get(reason)
        return reason if key is None else f"{key}: {self.said[key](profile, site)}"

    def round_trip(self, site: str, limit_ms: float | None) -> str:
        """A round trip beside its limit."""
        reach = self.plan.problem.round_trip_ms.get((self.origin, site))
        if reach is None:
            return "not known"
        return f"{reach.round_trip_ms:g} ms" + ("" if limit_ms is None else f", limit {limit_ms:g} ms")

    def in_failures_text(self, site: str) -> str:
        """That a round trip is too long, even in failures."""
        longer = self.tier.round_trip_ms_in_failure
        return f"round trip: {self.round_trip(site, self.tier.round_trip_ms if longer is None else longer)}"

    def _context(self, profile: Profile, site: Site) -> str:
        admitted = ", ".join(point.context_class for point in profile.classes)
        limit = f"{profile.context_limit_tokens:,} tokens at most"
        return f"{self.w.context_class} is not admitted: {admitted}; {limit}"

    def _memory(self, profile: Profile, site: Site) -> str:
        needed = memory_needed_gib(self.model.facts, profile, live_tokens_of(self.w, profile))
        usable = usable_memory_gib(profile, self.study.machine_type_by_name[profile.machine_type])
        return f"needs {needed:,.0f} GiB for {profile.concurrency_limit} requests, has {usable:,.0f} GiB"

    def _wait(self, profile: Profile, site: Site) -> str:
        reach = self.plan.problem.round_trip_ms.get((self.origin, site.id))
        round_trip_ms = 0.0 if reach is None else reach.round_trip_ms
        return f"{-most_wait_ms(self.tier, profile, round_trip_ms):,.0f} ms past the target without any wait"
