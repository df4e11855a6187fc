"""Would we have survived it? Outages that happened, played on a plan or on what runs today, worst first."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from planner.drill import DrillResult, DrillRow, OutageImpact
from planner.questions.prevention import ALL_SERVED, Carriers, Prevention
from planner.questions.remedies import Help, Lost, confirmed
from planner.questions.subjects import FleetSubject, PlanSubject, Subject, Wish, looked_at, noticed_later
from planner.study.dependencies import Graph, dependency_graph, expand
from planner.study.outage_parts import Where
from planner.study.outages import OutageHere, outage_here
from planner.study.records.outages import Outage
from planner.study.records.plan import PlanFile
from planner.study.records.study import Goal, NamedFailure, RunningReplicas, Study
from planner.threads import side_by_side
from planner.units import SECONDS_PER_HOUR

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class PlayedOutage:
    """One outage as it goes here: on the worst of what it may have taken.

    Parameters
    ----------
    failure : of the study, that it is played as
    others : how many more it was played as, which cost no more
    rows : what each tier is served over time
    impact : requests and USD lost until repair; none where nothing is asked for
    prevention : which goals cover it, and whether they are kept
    helps : what would have helped, as far as a replay confirms it
    broken_tiers : tiers whose own goals name this failure and break in it
    noticed_late : what is lost where it is noticed no sooner than it was found out then; none: that is not known, or
        not later than the study detects failures, or nothing is lost
    """

    here: OutageHere
    failure: NamedFailure
    others: int
    rows: tuple[DrillRow, ...]
    impact: OutageImpact | None
    prevention: Prevention
    helps: tuple[Help, ...] = ()
    broken_tiers: tuple[str, ...] = ()
    noticed_late: Lost | None = None

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


def outages_on_plan(
    plan: PlanFile,
    outages: Iterable[Outage],
    where: Where | None = None,
    jobs: int = 1,
    progress: Progress | None = None,
) -> OutagesAnswer:
    """Each outage on the machines and replicas of a plan, with new weights where they can be pushed."""
    return _answer(PlanSubject(plan), outages, where, jobs, progress)


def outages_on_fleet(
    study: Study,
    fleet: Sequence[RunningReplicas],
    outages: Iterable[Outage],
    where: Where | None = None,
    jobs: int = 1,
    progress: Progress | None = None,
) -> OutagesAnswer:
    """Each outage on what runs today; gateways renormalise, nobody is asked for new weights."""
    return _answer(FleetSubject(study, fleet), outages, where, jobs, progress)


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


def _promised(covering: Iterable[tuple[str, Goal]]) -> Wish:
    """What covering goals promise to each tier."""
    promised: dict[str, list[tuple[float, float]]] = {}
    for tier, goal in covering:
        promised.setdefault(tier, []).append((goal.within_seconds, goal.serve_fraction))
    return promised


@dataclass(frozen=True)
class _Player:
    """Plays outages on a subject, and on what would have helped there."""

    subject: Subject
    where: Where | None
    graph: Graph
    carriers: Carriers

    @classmethod
    def of(cls, subject: Subject, where: Where | None) -> "_Player":
        """A player on a subject."""
        graph = dependency_graph(subject.study)
        return cls(subject, where, graph, Carriers(subject.study, graph))

    def play(self, here: OutageHere) -> tuple[PlayedOutage, DrillResult]:
        """An outage on the worst of what it may have taken, and the drill of that."""
        study = self.subject.study
        changed, failures = with_failures(study, here.failures)
        promised = {failure.name: _promised(self.carriers.covering(failure)) for failure in failures}
        results = self.subject.play(looked_at(changed, tuple(promised)), promised)
        of_id = _failures_by_id(failures, changed, self.graph)
        for impact in (impact for result in results for impact in result.outage_impacts):
            of_id.setdefault(impact.failure, failures[0])  # what a drill calls otherwise is not left out
        return _worst(replace(here, failures=failures), of_id, promised, self.carriers, results)

    def with_help(self, here: OutageHere) -> tuple[PlayedOutage, DrillResult]:
        """The same, with what would have helped, and what is lost where it is noticed late."""
        one, result = self.play(here)
        if one.impact is None:
            return one, result
        remedies = self.carriers.remedies(one.failure, one.rows)
        before = Lost(one.impact.requests_lost, one.impact.usd_lost)

        def replay(subject: Subject, anew: bool) -> Lost | None:
            other = replace(here, failures=(one.failure,))
            if anew:
                other = outage_here(here.outage, subject.here, self.where)
            return _Player.of(subject, self.where).lost(other)

        can_push = not self.carriers.loss_of_named(one.failure).rescaled
        helps = confirmed(remedies, self.subject, before, replay, can_push)
        return replace(one, helps=tuple(helps), noticed_late=self._noticed_late(one)), result

    def lost(self, here: OutageHere) -> Lost | None:
        """What is lost in an outage; none: it takes nothing here."""
        impact = self.play(here)[0].impact if here.failures else None
        return None if impact is None else Lost(impact.requests_lost, impact.usd_lost)

    def _noticed_late(self, one: PlayedOutage) -> Lost | None:
        """What is lost where the same failure is noticed no sooner than it was found out then."""
        study, hours = self.subject.study, one.here.outage.hours_to_find_out
        if hours is None or one.failure.answers_wrongly or hours * SECONDS_PER_HOUR <= study.detection_seconds:
            return None
        if one.impact is None or not one.impact.requests_lost:
            return None  # nothing is lost from the begin on, whoever notices
        one_failure = replace(one.here, failures=(one.failure,))
        late = noticed_later(study, hours * SECONDS_PER_HOUR - study.detection_seconds)
        return _Player.of(self.subject.on(late), self.where).lost(one_failure)


def _answer(
    subject: Subject, outages: Iterable[Outage], where: Where | None, jobs: int, progress: Progress | None
) -> OutagesAnswer:
    study, here = subject.study, subject.here
    mapped = [outage_here(outage, here, where) for outage in outages]
    played: list[PlayedOutage] = []
    findings: dict[str, None] = {}
    to_play = [one for one in mapped if one.failures]
    with side_by_side(_Player.of(subject, where).with_help, to_play, jobs) as answers:
        for n, (worst, result) in enumerate(answers, 1):
            played.append(worst)
            findings |= dict.fromkeys(result.findings)
            if progress is not None:
                progress(n, len(to_play))
    return OutagesAnswer(
        subject.text,
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


def _harm(impact: OutageImpact) -> tuple[float, float, float]:
    """What is lost and what was answered wrongly, together: USD, requests; of what nobody knows how long, the rate."""
    usd = impact.usd_lost + (impact.wrong_usd or 0.0)
    requests = impact.requests_lost + (impact.wrong_requests or 0.0)
    return usd, requests, sum(impact.wrong_requests_per_second.values())


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
    """The alternative of an outage that costs most, wrong answers too, by the answer that counts, and its drill.

    Parameters
    ----------
    of_id : id in a drill -> failure
    promised : failure by name -> what the goals that cover it promise
    """
    best: dict[Played, tuple[tuple[bool, float, float, float], OutageImpact, DrillResult]] = {}
    for result in results:
        rows_of = rows_by_failure(result)
        for impact in result.outage_impacts:
            if impact.failure not in of_id:
                continue
            key = impact.failure, impact.hour, impact.falls_on
            keeps = _keeps(rows_of.get(key, ()), promised[of_id[impact.failure].name])
            rank = not keeps, *_cost(impact)
            if key not in best or rank < best[key][0]:
                best[key] = rank, impact, result
    if not best:
        failure = here.failures[0]
        return PlayedOutage(here, failure, len(of_id) - 1, (), None, carriers.prevention(failure, ())), results[0]
    (name, hour, falls_on), impact, result = max(
        ((key, impact, result) for key, (_, impact, result) in best.items()), key=lambda row: _harm(row[1])
    )
    rows = sorted(rows_by_failure(result)[name, hour, falls_on], key=lambda row: (row.deadline_seconds, row.tier))
    broken = sorted({row.tier for row in results[0].rows if row.broken and (row.of or row.failure) in of_id})
    failure = of_id[impact.failure]
    why = carriers.prevention(failure, rows)
    return PlayedOutage(here, failure, len(of_id) - 1, tuple(rows), impact, why, (), tuple(broken)), result


Played = tuple[str, str, str]
"""Failure as it begins, hour, and placement on which all falls that is lost of its pool."""


def rows_by_failure(result: DrillResult) -> dict[Played, list[DrillRow]]:
    """The rows of each failure that was played, those of later stages too."""
    rows: dict[Played, list[DrillRow]] = {}
    for row in result.rows:
        rows.setdefault((row.of or row.failure, row.hour, row.falls_on), []).append(row)
    return rows


def _failures_by_id(failures: Sequence[NamedFailure], study: Study, graph: Graph) -> dict[str, NamedFailure]:
    """Id in a drill -> failure: one that may fall on one placement has an id for each."""
    ids: dict[str, NamedFailure] = {}
    for failure in failures:
        for expanded in expand(Goal(failure=failure.name, within_seconds=1.0), study, graph):
            ids[expanded.id] = failure
    return ids
