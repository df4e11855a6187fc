"""The drill of one hour: every failure replayed in its mode, its stages one after the other."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from planner.drill.failures import Failure, normal_operation
from planner.drill.graph import Graph
from planner.drill.installed import InstalledFleet
from planner.drill.instance import ROUNDING, Numbers
from planner.drill.outage_impacts import outage_impact
from planner.drill.remaining import Remaining, what_remains
from planner.drill.rescale import (
    LAUNCHED,
    Routes,
    all_warm,
    carried,
    rescaled,
    routes_of,
    times_of_weights,
    unmoved,
)
from planner.drill.resolve import Lent, Programs, Resolved, resolve
from planner.drill.result import DrillResult, DrillRow, Mode, OutageImpact
from planner.drill.rows import tier_rows
from planner.drill.shared_answers import Answers
from planner.drill.solving import MOST_NODES
from planner.drill.traffic import routed_anew, steered
from planner.drill.wrong_answers import wrong_answers
from planner.threads import side_by_side

Progress = Callable[[int, int], None]
Served = dict[float, Numbers]
"""Seconds since the failure began -> requests/s of each flow [i]"""
CHUNK = 128
"""Failures whose arrays are in memory at the same time."""


@dataclass(frozen=True)
class Search:
    """How a drill looks.

    Parameters
    ----------
    normal : whether normal operation is looked at, too
    anew : whether it gets new weights
    most_nodes : of a search for whole replicas; 0: parts of replicas will do
    jobs : threads in which failures are re-solved side by side
    only_goals : whether it is only asked if goals are broken: see `drill_plan`
    obtaining : whether it is asked, too, what is served where nothing can be obtained
    """

    normal: bool = True
    anew: bool = False
    most_nodes: int = MOST_NODES
    jobs: int = 1
    only_goals: bool = False
    obtaining: bool = False


AS_IT_RUNS = Search()


@dataclass(frozen=True)
class Fleets:
    """What is installed in an hour, with the traffic of normal operation and with what failures ask for."""

    normal: InstalledFleet
    in_failure: InstalledFleet
    findings: tuple[str, ...]


@dataclass
class _Stages:
    """What is served over the stages of a failure so far, and where nothing can be obtained.

    Parameters
    ----------
    begin : the failure as it begins
    """

    begin: Failure | None = None
    served: Served = field(default_factory=dict)
    without_obtaining: Served = field(default_factory=dict)
    differ: bool = False

    def add(self, failure: Failure, served: Served, without_obtaining: Served | None) -> None:
        """One stage more."""
        self.begin = self.begin or failure
        self.served |= served
        without = served if without_obtaining is None else without_obtaining
        self.without_obtaining |= {elapsed: _latest(without, elapsed) for elapsed in served.keys() | without.keys()}
        self.differ |= without_obtaining is not None


def _latest(served: Served, elapsed: float) -> Numbers:
    """What is served at the latest time until then."""
    return served[max(at for at in served if at <= elapsed)]


def drill_hour(
    fleets: Fleets,
    graph: Graph,
    failures: Sequence[Failure],
    in_normal: Mode,
    progress: Progress | None,
    search: Search = AS_IT_RUNS,
) -> DrillResult:
    """The drill of one hour: each failure in its mode, normal operation in another."""
    fleet, findings = fleets.in_failure, list(fleets.findings)
    rows = in_normal_operation(fleets.normal, graph, in_normal, search.anew) if search.normal else []
    impacts, lent, stages = list[OutageImpact](), Lent(), _Stages()
    routes = routes_of(fleet.base)

    def moved(alone: Remaining) -> Resolved:
        with lent.programs() as programs:
            answer = resolve(alone, programs, search.most_nodes, search.only_goals)
            if not search.obtaining or not any(of[LAUNCHED].sum() > ROUNDING for of in answer.served_by.values()):
                return answer
            nothing_obtained = replace(alone, counts=(replace(alone.counts[0], obtained=()),))
            without = resolve(nothing_obtained, programs, search.most_nodes)
            findings_of_both = (*answer.findings, *without.findings)
            return replace(answer, findings=findings_of_both, without_obtaining=without.served)

    shared = Answers(moved, search.only_goals)
    for start in range(0, len(failures), CHUNK):
        remaining = what_remains(fleet, graph, failures[start : start + CHUNK])
        weighed = _by_weights(remaining, routes)
        first = unmoved(remaining, routes)
        alone = [remaining.one(f) for f in range(len(remaining.failures))]
        by_program = [one for one in alone if one.failures[0].mode == "resolve"]
        with side_by_side(moved, shared.new(by_program), search.jobs) as new:
            answers = shared.each(by_program, new)
            for f, failure in enumerate(remaining.failures):
                answer = next(answers) if failure.mode == "resolve" else weighed[f]
                findings += answer.findings
                if failure.of is None:
                    answer = _from_begin(answer, first[f])
                answer = _counted(answer, failure)
                rows += _rows(alone[f], answer)
                stages.add(failure, answer.served, answer.without_obtaining)
                following = failures[start + f + 1 : start + f + 2]
                if not following or following[0].of is None:
                    if len(fleet.instance.demand) and not search.only_goals:
                        impacts.append(_impact(fleets, graph, alone[f], stages))
                    stages = _Stages()
                if progress:
                    progress(start + f + 1, len(failures))
    return DrillResult(
        mode=in_normal,
        subject="",
        rows=tuple(sorted(rows, key=worst_first)),
        findings=tuple(dict.fromkeys(findings)),
        outage_impacts=tuple(sorted(impacts, key=dearest_first)),
    )


def broken_in(remaining: Remaining, programs: Programs, most_nodes: int) -> list[DrillRow]:
    """Rows of one re-solved failure that break, until its last deadline."""
    return broken_of(remaining, resolve(remaining, programs, most_nodes, only_goals=True))


def broken_of(remaining: Remaining, answer: Resolved) -> list[DrillRow]:
    """Rows of the answer to one failure that break."""
    offered, rows = remaining.offered[0], []
    for elapsed in filter(remaining.failures[0].counts_at, sorted(answer.served)):
        served = answer.served[elapsed]
        if (remaining.due(elapsed)[0] * offered > served).any():  # mostly all is well, and no row is asked for
            rows += tier_rows(remaining, elapsed, served, answer.served_by[elapsed])
    return [row for row in rows if row.broken]


def _by_weights(remaining: Remaining, routes: Routes) -> dict[int, Resolved]:
    """What gateways serve by the weights that they have, in the failures in which none can be pushed."""
    detection = remaining.instance.study.detection_seconds
    of = {f: one for f, one in enumerate(remaining.failures) if one.mode == "rescale"}
    times = sorted({elapsed for failure in of.values() for elapsed in times_of_weights(failure, detection)})
    at_once = {elapsed: rescaled(remaining, routes, elapsed) for elapsed in times}
    answers = {}
    for f, failure in of.items():
        mine = times_of_weights(failure, detection)
        served = {elapsed: at_once[elapsed][0][f] for elapsed in mine}
        answers[f] = Resolved(served, {elapsed: at_once[elapsed][1][:, f] for elapsed in mine}, ())
    return answers


def _from_begin(answer: Resolved, unmoved_rates: Numbers) -> Resolved:
    """The answer with what is served at 0 s, when nothing has been moved yet."""
    without = answer.without_obtaining
    return replace(
        answer,
        served=answer.served | {0.0: unmoved_rates},
        served_by=answer.served_by | {0.0: all_warm(unmoved_rates)},
        without_obtaining=None if without is None else without | {0.0: unmoved_rates},
    )


def _counted(answer: Resolved, failure: Failure) -> Resolved:
    """The answer at the times at which a stage counts, sorted."""

    def mine(served: Served) -> Served:
        return {elapsed: served[elapsed] for elapsed in sorted(served) if failure.counts_at(elapsed)}

    without = answer.without_obtaining
    return replace(answer, served=mine(answer.served), without_obtaining=None if without is None else mine(without))


def _rows(remaining: Remaining, answer: Resolved) -> list[DrillRow]:
    """Rows of a failure, or of one stage: at first, at deadlines and at last, and whatever breaks."""
    times, without, rows = list(answer.served), answer.without_obtaining or {}, list[DrillRow]()
    asked = {*times[:1], *remaining.failures[0].deadlines, *times[-1:]}
    for elapsed in times:
        alternative = _latest(without, elapsed) if without else None
        at_time = tier_rows(remaining, elapsed, answer.served[elapsed], answer.served_by[elapsed], alternative)
        rows += [row for row in at_time if row.broken or elapsed in asked]
    return rows


def _impact(fleets: Fleets, graph: Graph, last: Remaining, stages: _Stages) -> OutageImpact:
    """What a failure costs over all its stages; `last`: what remains in the last of them."""
    impact = outage_impact(last, stages.served)
    if stages.differ:
        without = outage_impact(last, stages.without_obtaining)
        impact = replace(
            impact,
            requests_lost_without_obtaining=without.requests_lost,
            usd_lost_without_obtaining=without.usd_lost,
        )
    if stages.begin is None or not stages.begin.answers_wrongly:
        return impact
    wrong = wrong_answers(fleets.normal, graph, stages.begin)
    return replace(
        impact,
        wrong_requests=wrong.requests,
        wrong_requests_per_second=wrong.requests_per_second,
        wrong_usd=wrong.usd,
        hours_to_find_out=stages.begin.hours_to_find_out,
    )


def worst_first(r: DrillRow) -> tuple[object, ...]:
    """Order of rows: what breaks, then what is due, and of it what is served least."""
    return not r.broken, r.due_fraction <= 0, r.served_fraction, r.failure, r.deadline_seconds, r.tier, r.hour


def dearest_first(impact: OutageImpact) -> tuple[object, ...]:
    """Order of outage impacts."""
    return -impact.usd_lost, -impact.requests_lost, impact.failure, impact.hour


def in_normal_operation(fleet: InstalledFleet, graph: Graph, mode: Mode, anew: bool = False) -> list[DrillRow]:
    """Rows of the failure in which nothing is lost; re-solved, requests split best over gateways with a limit."""
    instance = fleet.instance
    remaining = what_remains(fleet, graph, [normal_operation(instance.study)])
    replicas = instance.that_fit(fleet.replicas, fleet.machines_in_normal())
    if anew and len(instance.demand):
        rates = routed_anew(remaining, replicas)
        return tier_rows(remaining, 0.0, rates, all_warm(rates))
    routes = routes_of(fleet.base * instance.normal)
    if mode == "resolve":
        sent = steered(remaining, routes.sent, routes.flow, routes.placement)[None, :]
    else:
        sent = remaining.limits.cut(routes.sent[None, :], routes.flow, routes.placement)
    capacity = (instance.filled(False, replicas) * replicas)[None, :]
    rates = routes.by_flow(carried(routes, sent, instance.replica_seconds, capacity))[0]
    return tier_rows(remaining, 0.0, rates, all_warm(rates))
