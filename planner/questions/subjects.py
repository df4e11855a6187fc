"""What outages are played on, a plan or what runs today: as it is, with changes to its study, or with more of it."""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from planner.drill import DrillResult, Mode, drill_fleet, drill_plan
from planner.study.dependencies import placements
from planner.study.footprint import Footprint, footprint_of
from planner.study.records.plan import PlanFile
from planner.study.records.study import Goal, Holding, RunningReplicas, Study

USUAL_SECONDS = 60.0
"""Deadline of tiers in a study that has no goals."""
MOST_NODES = 100
"""Of a search for whole replicas that carry what no goal of the study asks for: after these it may be said as short."""
INSTANT_SECONDS = 1e-3
"""After which something is wanted back at the soonest."""
Wish = Mapping[str, Sequence[tuple[float, float]]]
"""Tier -> (deadline [s], share wanted back by then)."""


class Subject(Protocol):
    """What outages are played on."""

    @property
    def study(self) -> Study:
        """The study that it is of."""

    @property
    def text(self) -> str:
        """What it is, as people say it."""

    @property
    def here(self) -> Footprint:
        """Where it has machines."""

    def play(self, study: Study, promised: Mapping[str, Wish]) -> list[DrillResult]:
        """Drills of some failures of a changed study, one for each answer to them that is tried.

        Parameters
        ----------
        study : as it is, with the failures
        promised : failure by name -> what the goals that cover it promise
        """

    def on(self, study: Study) -> "Subject":
        """The same with a changed study."""

    def enlarged(self, factor: int) -> "Subject":
        """So many times its replicas, each on machines as now, and traffic as now."""

    def reweighted(self) -> "Subject | None":
        """The same where gateways get new weights in failures; none: they do."""


@dataclass(frozen=True)
class PlanSubject:
    """A plan: new weights where the study says so and they can be pushed.

    Several answers to each outage are tried (`_wishes`), as each of them can be done. What counts is, of those that
    keep what the covering goals promise, the one that loses least.
    """

    plan: PlanFile

    @property
    def study(self) -> Study:
        """The study inside."""
        return self.plan.study

    @property
    def text(self) -> str:
        """What it is, as people say it."""
        return f"plan of {self.study.study}"

    @property
    def here(self) -> Footprint:
        """Where it has machines."""
        return footprint_of_plan(self.plan)

    def play(self, study: Study, promised: Mapping[str, Wish]) -> list[DrillResult]:
        """Drills of some failures; see `Subject`."""
        names = tuple(promised)

        def drill(changed: Study, only: Collection[str] | None) -> DrillResult:
            plan = self.plan.model_copy(update={"study": changed})
            if only is None:
                return drill_plan(plan, named=names)
            return drill_plan(plan, only=only, named=names, most_nodes=MOST_NODES)

        return _several_answers(drill, study, promised)

    def on(self, study: Study) -> "PlanSubject":
        """The same plan of a changed study."""
        return PlanSubject(self.plan.model_copy(update={"study": study}))

    def enlarged(self, factor: int) -> "PlanSubject":
        """So many times its replicas, on machines held, and as much more that gateways may send."""
        rows = []
        for row in self.plan.replicas:
            non_preemptible = None if row.non_preemptible is None else factor * row.non_preemptible
            rows.append(row.model_copy(update={"replicas": factor * row.replicas, "non_preemptible": non_preemptible}))
        limits = tuple(factor * rate for rate in self.plan.reserves.requests_per_second)
        machines_of = _machines_of_replicas(self.plan, factor - 1)
        holdings = tuple(Holding(pool=pool, machines=machines) for pool, machines in machines_of.items())
        changed = {
            "replicas": tuple(rows),
            "reserves": self.plan.reserves.model_copy(update={"requests_per_second": limits}),
            "study": self.study.model_copy(update={"holdings": (*self.study.holdings, *holdings)}),
        }
        return PlanSubject(self.plan.model_copy(update=changed))

    def reweighted(self) -> None:
        """Its gateways get new weights, where the study says so."""


@dataclass(frozen=True)
class FleetSubject:
    """What runs today: gateways renormalise, nobody is asked for new weights unless `mode` says so."""

    study: Study
    fleet: Sequence[RunningReplicas]
    mode: Mode = "rescale"

    @property
    def text(self) -> str:
        """What it is, as people say it."""
        return f"fleet of {self.study.study}"

    @property
    def here(self) -> Footprint:
        """Where it has machines."""
        return footprint_of_fleet(self.study, self.fleet)

    def play(self, study: Study, promised: Mapping[str, Wish]) -> list[DrillResult]:
        """The drill of some failures; see `Subject`."""
        names = tuple(promised)
        if self.mode == "rescale":
            return [drill_fleet(study, self.fleet, named=names)]
        return _several_answers(
            lambda changed, only: drill_fleet(changed, self.fleet, self.mode, named=names), study, promised
        )

    def on(self, study: Study) -> "FleetSubject":
        """The same fleet of a changed study."""
        return replace(self, study=study)

    def enlarged(self, factor: int) -> "FleetSubject":
        """So many times its replicas; a drill gives each the machines that it needs."""
        rows = [row.model_copy(update={"replicas": factor * row.replicas}) for row in self.fleet]
        return replace(self, fleet=rows)

    def reweighted(self) -> "FleetSubject | None":
        """The same with new weights, and replicas started where machines are free."""
        return None if self.mode == "resolve" else replace(self, mode="resolve")


def _several_answers(
    drill: Callable[[Study, Collection[str] | None], DrillResult], study: Study, promised: Mapping[str, Wish]
) -> list[DrillResult]:
    """Drills of some failures, with one wish after the other until all is served again at once.

    Parameters
    ----------
    drill : of a study, and of the failures that are asked for by id; none: all of them
    """
    results = [drill(study, None)]
    pending = _not_at_once(results[0], study)
    for wish in _wishes(study, promised):
        if not pending:
            break
        results.append(drill(wanted_back(study, wish), pending))
        pending &= _not_at_once(results[-1], study)
    return results


def _machines_of_replicas(plan: PlanFile, times: int) -> dict[str, int]:
    """Pool -> machines for so many times the replicas of a plan, in the hour in which they are most."""
    study = plan.study
    places = placements(study)
    needed: dict[tuple[str, str], float] = {}
    for row in plan.replicas:
        if row.placement not in places:
            continue
        m, p, q = places[row.placement]
        pool, profile = study.pools[q], study.models[m].profiles[p]
        per_replica = profile.accelerators_per_replica / study.machine_type_by_name[pool.machine_type].accelerators
        key = pool.id, row.hour
        needed[key] = needed.get(key, 0.0) + times * row.replicas * per_replica / pool.usable_fraction
    most: dict[str, int] = {}
    for (pool_id, _), machines in sorted(needed.items()):
        most[pool_id] = max(most.get(pool_id, 0), math.ceil(machines - 1e-9))
    return most


def footprint_of_plan(plan: PlanFile) -> Footprint:
    """Where a plan has machines: bought, or held for a part of its time."""
    study = plan.study
    pools = {study.offer_by_id[purchase.offer].pool for purchase in plan.purchases if purchase.units}
    pools |= {holding.pool for holding in study.holdings if holding.machines}
    return footprint_of(study, "this plan", pools)


def footprint_of_fleet(study: Study, fleet: Sequence[RunningReplicas]) -> Footprint:
    """Where replicas run today."""
    return footprint_of(study, "what runs today", {row.pool for row in fleet if row.replicas})


def _wishes(study: Study, promised: Mapping[str, Wish]) -> list[dict[str, Wish]]:
    """Failure -> what is wanted back and when, in several ways.

    What goals promise, and all at the last deadline; all at once and at all deadlines; what goals promise alone, or
    where they promise nothing all of the tiers that have goals.
    """
    of_tier: dict[str, list[float]] = {}
    for tier in study.tiers:
        of_tier[tier.name] = sorted({goal.within_seconds for goal in tier.survive if goal.serve_fraction > 0})
    every = sorted({within for deadlines in of_tier.values() for within in deadlines}) or [USUAL_SECONDS]
    at_once = max(study.detection_seconds, INSTANT_SECONDS)
    all_soon = {}
    for name, deadlines in of_tier.items():
        all_soon[name] = [(within, 1.0) for within in (at_once, *(deadlines or every))]
    with_goals = {tier: [(within, 1.0) for within in deadlines] for tier, deadlines in of_tier.items()}
    at_last = {tier: rows[-1:] for tier, rows in all_soon.items()}
    first: dict[str, Wish] = {}
    for name, wish in promised.items():
        first[name] = {tier: [*wish.get(tier, ()), *rows] for tier, rows in at_last.items()}
    last = {name: wish or with_goals for name, wish in promised.items()}
    return [first, dict.fromkeys(promised, all_soon), last]


def wanted_back(study: Study, wishes: Mapping[str, Wish]) -> Study:
    """The study with goals by which tiers want shares back in some failures, by a deadline or several.

    A drill looks for the best answer to what goals ask for, and adds to that what else it can: of what no goal asks for
    it makes less than can be had.
    """
    changed = []
    for tier in study.tiers:
        goals = []
        for name, wish in wishes.items():
            for within, share in wish.get(tier.name, ()):
                goals.append(Goal(failure=name, serve_fraction=share, within_seconds=within))
        changed.append(tier.model_copy(update={"survive": (*tier.survive, *goals)}))
    return study.model_copy(update={"tiers": tuple(changed)})


def noticed_later(study: Study, seconds: float) -> Study:
    """The study in which failures are detected so many seconds later, and all that goals ask for is due as much later.

    Goals count from when a failure is detected: before that nothing can be served that is lost.
    """
    tiers = []
    for tier in study.tiers:
        later = [goal.model_copy(update={"within_seconds": goal.within_seconds + seconds}) for goal in tier.survive]
        tiers.append(tier.model_copy(update={"survive": tuple(later)}))
    changed = {"tiers": tuple(tiers), "detection_seconds": study.detection_seconds + seconds}
    return study.model_copy(update=changed)


def looked_at(study: Study, names: Sequence[str]) -> Study:
    """The study with goals that ask for nothing, so that a drill says what is served when machines come to be used.

    They come back from others, or are obtained; what is evicted to make headroom is missing from then on for a while.
    """
    comes = [claim.reclaim_seconds for claim in study.claims if claim.reclaim_seconds is not None]
    comes += [counted.obtain_seconds for counted in study.policies.counted if counted.obtainable_fraction > 0]
    times = {study.detection_seconds + seconds + after for seconds in comes for after in (0.0, INSTANT_SECONDS)}
    goals = []
    for name in names:
        goals += [Goal(failure=name, serve_fraction=0.0, within_seconds=at) for at in sorted(times) if at > 0]
    first, *others = study.tiers
    first = first.model_copy(update={"survive": (*first.survive, *goals)})
    return study.model_copy(update={"tiers": (first, *others)})


def _not_at_once(result: DrillResult, study: Study) -> set[str]:
    """Failures in which not all is served again as soon as they are detected: a better answer may be possible."""
    late = set()
    for impact in result.outage_impacts:
        if impact.all_again_seconds is None or impact.all_again_seconds > study.detection_seconds:
            late.add(impact.failure)
    return late
