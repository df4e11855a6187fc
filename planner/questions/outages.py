"""Would we have survived it? Outages that happened, played on a plan or on what runs today, worst first."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from planner.drill import DrillResult, DrillRow, OutageImpact, drill_fleet, drill_plan
from planner.questions.prevention import ALL_SERVED, Carriers, Prevention
from planner.study.dependencies import Graph, dependency_graph, expand
from planner.study.footprint import Footprint, footprint_of
from planner.study.outage_parts import Where
from planner.study.outages import OutageHere, outage_here
from planner.study.records.outages import Outage
from planner.study.records.plan import PlanFile
from planner.study.records.study import Goal, NamedFailure, RunningReplicas, Study
from planner.threads import side_by_side

USUAL_SECONDS = 60.0
"""Deadline of tiers in a study that has no goals."""
MOST_NODES = 100
"""Of a search for whole replicas that carry what no goal of the study asks for: after these it may be said as short."""
INSTANT_SECONDS = 1e-3
"""After which something is wanted back at the soonest."""
Progress = Callable[[int, int], None]
Wish = Mapping[str, Sequence[tuple[float, float]]]
"""Tier -> (deadline [s], share wanted back by then)."""
Play = Callable[[Study, Mapping[str, Wish]], list[DrillResult]]
"""From a study and, of each failure that is to be played, what the goals that cover it promise."""


@dataclass(frozen=True)
class PlayedOutage:
    """One outage as it goes here: on the worst of what it may have taken.

    Parameters
    ----------
    failure : of the study, that it is played as
    others : how many more it was played as, which cost no more
    rows : what each tier is served over time
    impact : requests and USD lost until repair; none where nothing is asked for
    prevention : which goals cover it, and what would have helped
    broken_tiers : tiers whose own goals name this failure and break in it
    """

    here: OutageHere
    failure: NamedFailure
    others: int
    rows: tuple[DrillRow, ...]
    impact: OutageImpact | None
    prevention: Prevention
    broken_tiers: tuple[str, ...] = ()

    def served_fractions(self, tier: str) -> list[tuple[float, float]]:
        """(seconds since the begin, share served) of a tier, in order of time."""
        return [(row.deadline_seconds, row.served_fraction) for row in self.rows if row.tier == tier]


@dataclass(frozen=True)
class OutagesAnswer:
    """Every outage that was asked for: played, worst first; of no concern; not mapped.

    Parameters
    ----------
    findings : of the drills, each once
    """

    subject: str
    tiers: tuple[str, ...]
    played: tuple[PlayedOutage, ...]
    not_concerned: tuple[OutageHere, ...]
    not_mapped: tuple[OutageHere, ...]
    findings: tuple[str, ...] = field(default=())

    @property
    def broken(self) -> bool:
        """Whether a goal of the study breaks in one of them."""
        return any(one.broken_tiers for one in self.played)


def footprint_of_plan(plan: PlanFile) -> Footprint:
    """Where a plan has machines: bought, or held for a part of its time."""
    study = plan.study
    pools = {study.offer_by_id[purchase.offer].pool for purchase in plan.purchases if purchase.units}
    pools |= {holding.pool for holding in study.holdings if holding.machines}
    return footprint_of(study, "this plan", pools)


def footprint_of_fleet(study: Study, fleet: Sequence[RunningReplicas]) -> Footprint:
    """Where replicas run today."""
    return footprint_of(study, "what runs today", {row.pool for row in fleet if row.replicas})


def outages_on_plan(
    plan: PlanFile,
    outages: Iterable[Outage],
    where: Where | None = None,
    jobs: int = 1,
    progress: Progress | None = None,
) -> OutagesAnswer:
    """Each outage on the machines and replicas of a plan; new weights where the study says so and they can be pushed.

    Several answers to each outage are tried (`_wishes`), as each of them can be done. What counts is, of those that
    keep what the covering goals promise, the one that loses least.
    """

    def play(study: Study, promised: Mapping[str, Wish]) -> list[DrillResult]:
        names = tuple(promised)
        results = [drill_plan(plan.model_copy(update={"study": study}), named=names)]
        pending = _not_at_once(results[0], study)
        for wish in _wishes(study, promised):
            if not pending:
                break
            changed = plan.model_copy(update={"study": wanted_back(study, wish)})
            result = drill_plan(changed, only=pending, named=names, most_nodes=MOST_NODES)
            results.append(result)
            pending &= _not_at_once(result, study)
        return results

    return _answer(
        f"plan of {plan.study.study}", plan.study, footprint_of_plan(plan), outages, where, play, jobs, progress
    )


def outages_on_fleet(
    study: Study,
    fleet: Sequence[RunningReplicas],
    outages: Iterable[Outage],
    where: Where | None = None,
    jobs: int = 1,
    progress: Progress | None = None,
) -> OutagesAnswer:
    """Each outage on what runs today; gateways renormalise, nobody is asked for new weights."""

    def play(changed: Study, promised: Mapping[str, Wish]) -> list[DrillResult]:
        return [drill_fleet(changed, fleet, named=tuple(promised))]

    here = footprint_of_fleet(study, fleet)
    return _answer(f"fleet of {study.study}", study, here, outages, where, play, jobs, progress)


def with_failures(study: Study, failures: Sequence[NamedFailure]) -> tuple[Study, tuple[NamedFailure, ...]]:
    """A copy of a study with more failures, and these as they are called in it: one that it has already stays it."""
    known = {failure.name: failure for failure in study.failures}
    more: dict[str, NamedFailure] = {}
    called: list[NamedFailure] = []
    for failure in failures:
        one, n = failure, 2
        while one.name in known and not _same(known[one.name], one):
            one, n = failure.model_copy(update={"name": f"{failure.name[:190]} ({n})"}), n + 1
        if one.name not in known:
            known[one.name] = more[one.name] = one
        called.append(known[one.name])
    return study.model_copy(update={"failures": (*study.failures, *more.values())}), tuple(called)


def _same(one: NamedFailure, other: NamedFailure) -> bool:
    """Whether two failures are the same but for how often they happen."""
    return one.model_copy(update={"failures_per_year": None}) == other.model_copy(update={"failures_per_year": None})


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


def _promised(covering: Iterable[tuple[str, Goal]]) -> Wish:
    """What covering goals promise to each tier."""
    promised: dict[str, list[tuple[float, float]]] = {}
    for tier, goal in covering:
        promised.setdefault(tier, []).append((goal.within_seconds, goal.serve_fraction))
    return promised


def _answer(
    subject: str,
    study: Study,
    here: Footprint,
    outages: Iterable[Outage],
    where: Where | None,
    play: Play,
    jobs: int,
    progress: Progress | None,
) -> OutagesAnswer:
    mapped = [outage_here(outage, here, where) for outage in outages]
    graph = dependency_graph(study)
    carriers = Carriers(study, graph)

    def play_one(one: OutageHere) -> tuple[PlayedOutage, DrillResult]:
        changed, failures = with_failures(study, one.failures)
        promised = {failure.name: _promised(carriers.covering(failure)) for failure in failures}
        results = play(looked_at(changed, tuple(promised)), promised)
        of_id = _failures_by_id(failures, changed, graph)
        for impact in (impact for result in results for impact in result.outage_impacts):
            of_id.setdefault(impact.failure, failures[0])  # what a drill calls otherwise is not left out
        return _worst(replace(one, failures=failures), of_id, promised, carriers, results)

    played: list[PlayedOutage] = []
    findings: dict[str, None] = {}
    to_play = [one for one in mapped if one.failures]
    with side_by_side(play_one, to_play, jobs) as answers:
        for n, (worst, result) in enumerate(answers, 1):
            played.append(worst)
            findings |= dict.fromkeys(result.findings)
            if progress is not None:
                progress(n, len(to_play))
    return OutagesAnswer(
        subject,
        tuple(tier.name for tier in study.tiers if any(w.tier == tier.name for w in study.workloads)),
        tuple(sorted(played, key=_worst_first)),
        tuple(one for one in mapped if one.verdict == "not concerned"),
        tuple(one for one in mapped if one.verdict == "not mapped"),
        tuple(findings),
    )


def _worst_first(one: PlayedOutage) -> tuple[object, ...]:
    costs = (0.0, 0.0, 0.0) if one.impact is None else _cost(one.impact)
    return *(-cost for cost in costs), one.here.outage.id


def _cost(impact: OutageImpact) -> tuple[float, float, float]:
    return impact.usd_lost, impact.requests_lost, sum(impact.wrong_requests_per_second.values())


def _not_at_once(result: DrillResult, study: Study) -> set[str]:
    """Failures in which not all is served again as soon as they are detected: a better answer may be possible."""
    late = set()
    for impact in result.outage_impacts:
        if impact.all_again_seconds is None or impact.all_again_seconds > study.detection_seconds:
            late.add(impact.failure)
    return late


def _keeps(rows: Iterable[DrillRow], promised: Wish) -> bool:
    """Whether rows of a failure serve what covering goals promise, as far as any capacity can."""
    for row in rows:
        due = max((share for within, share in promised.get(row.tier, ()) if within <= row.deadline_seconds), default=0)
        if row.worst_served_fraction < due * ALL_SERVED and not row.uncoverable_requests_per_second:
            return False
    return True


def _worst(
    here: OutageHere,
    of_id: Mapping[str, NamedFailure],
    promised: Mapping[str, Wish],
    carriers: Carriers,
    results: Sequence[DrillResult],
) -> tuple[PlayedOutage, DrillResult]:
    """The alternative of an outage that costs most, by the answer to it that counts, and the drill of that.

    Parameters
    ----------
    of_id : id in a drill -> failure
    promised : failure by name -> what the goals that cover it promise
    """
    best: dict[tuple[str, str], tuple[tuple[bool, float, float, float], OutageImpact, DrillResult]] = {}
    for result in results:
        rows_of = rows_by_failure(result)
        for impact in result.outage_impacts:
            if impact.failure not in of_id:
                continue
            key = impact.failure, impact.hour
            keeps = _keeps(rows_of.get(key, ()), promised[of_id[impact.failure].name])
            rank = not keeps, *_cost(impact)
            if key not in best or rank < best[key][0]:
                best[key] = rank, impact, result
    if not best:
        failure = here.failures[0]
        return PlayedOutage(here, failure, len(of_id) - 1, (), None, carriers.prevention(failure, ())), results[0]
    _, impact, result = max(best.values(), key=lambda row: _cost(row[1]))
    rows = sorted(
        rows_by_failure(result)[impact.failure, impact.hour], key=lambda row: (row.deadline_seconds, row.tier)
    )
    broken = sorted({row.tier for row in results[0].rows if row.broken and (row.of or row.failure) in of_id})
    failure = of_id[impact.failure]
    why = carriers.prevention(failure, rows)
    return PlayedOutage(here, failure, len(of_id) - 1, tuple(rows), impact, why, tuple(broken)), result


def rows_by_failure(result: DrillResult) -> dict[tuple[str, str], list[DrillRow]]:
    """(failure as it begins, hour) -> its rows, those of later stages too."""
    rows: dict[tuple[str, str], list[DrillRow]] = {}
    for row in result.rows:
        rows.setdefault((row.of or row.failure, row.hour), []).append(row)
    return rows


def _failures_by_id(failures: Sequence[NamedFailure], study: Study, graph: Graph) -> dict[str, NamedFailure]:
    """Id in a drill -> failure: one that may fall on one placement has an id for each."""
    ids: dict[str, NamedFailure] = {}
    for failure in failures:
        for expanded in expand(Goal(failure=failure.name, within_seconds=1.0), study, graph):
            ids[expanded.id] = failure
    return ids
