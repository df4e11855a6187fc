"""Key assumptions: the figures that each survival goal depends on, and the weakest of them in the worst failure."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from planner.plan.in_hand import Plan
from planner.problem.arrays import full
from planner.problem.problem import Problem, State, fullest_hour
from planner.problem.rules.formulas import due_fraction, live_edges, running
from planner.questions.near_figures import round_trip_limits_ms
from planner.review.report import Column, Section, percent, short_failure
from planner.review.served import goal_text
from planner.study.dependencies import Graph, expand, profile_id
from planner.study.loading import load_seconds
from planner.study.records.serving import Profile
from planner.study.records.study import Goal, Study

EVIDENCE = ("measured", "published", "proxy", "estimated", "assumed")
"""Strongest first; proxy: a round trip measured between regions near by."""
KINDS = ("speed", "load time", "round trip", "stack")


@dataclass(frozen=True, order=True)
class Figure:
    """A figure that a goal may depend on, with its error as people read it."""

    kind: str
    name: str
    evidence: str
    error: str

    @property
    def weakness(self) -> int:
        """Place of the evidence among EVIDENCE."""
        return EVIDENCE.index(self.evidence)


@dataclass(frozen=True)
class Known:
    """The figures of a study, by what they are of."""

    speed: Mapping[tuple[str, str], Figure]
    """(profile id, context class)"""
    load: Mapping[str, Figure]
    """profile id"""
    stack: Mapping[str, Figure]
    """profile id -> that the model may be served on the stack"""
    context_class: Mapping[str, str]
    """w"""


def known_figures(study: Study) -> Known:
    """Every figure of profiles and qualifications."""
    speed, load, stack = {}, {}, {}
    last = study.horizon.last_day
    for model in study.models:
        qualified = {q.stack: q.evidence for q in model.qualifications if q.until is None or q.until >= last}
        for profile in model.profiles:
            g = profile_id(model.model, profile.name)
            for point in profile.classes:
                name = f"{g} {point.context_class}"
                stated = point.low_factor != 1 or point.high_factor != 1
                error = f"× {point.low_factor:.2f} to {point.high_factor:.2f}" if stated else "not stated"
                speed[g, point.context_class] = Figure("speed", name, point.evidence, error)
            load[g] = Figure(
                "load time", f"{g}, {load_seconds(study, profile):g} s", _weakest(study, profile), "not stated"
            )
            if profile.stack in qualified:
                name = f"{model.model} on {profile.stack}"
                stack[g] = Figure("stack", name, qualified[profile.stack], "works or not")
    return Known(speed, load, stack, {w.name: w.context_class for w in study.workloads})


def _weakest(study: Study, profile: Profile) -> str:
    """How the time to load is known: by the weakest of its parts; assumed where one does not say."""
    parts = [profile.load_evidence]
    if study.cold_starts.compile_caches == "cold":
        parts.append(profile.compile_evidence or "")
    known = [part.partition(":")[0].strip() for part in parts]
    return max((one if one in EVIDENCE else "assumed" for one in known), key=EVIDENCE.index)


def figures_of_edge(
    p: Problem, known: Known, limit_ms: Mapping[str, float], w: str, o: str, e: str
) -> Iterator[Figure]:
    """Figures that an edge depends on: speed, stack, and the round trip where its error reaches the limit."""
    g = p.profile_of[e]
    yield known.speed[g, known.context_class[w]]
    yield known.stack[g]
    site = p.site_of[p.pool_of[e]]
    reach = p.round_trip_ms.get((o, site))
    if reach is not None and reach.round_trip_ms + reach.error_ms > limit_ms[w]:
        of = "any" if limit_ms[w] == float("inf") else f"{limit_ms[w]:g}"
        name = f"{o} to {site}, {reach.round_trip_ms:.0f} of {of} ms"
        yield Figure("round trip", name, reach.evidence, f"± {reach.error_ms:g} ms")


@dataclass(frozen=True)
class Assumption:
    """The weakest figures of one kind that a goal depends on, in the failure in which most traffic does.

    Parameters
    ----------
    figure : that of them with the most traffic; its share of the tier's requests is `figure_fraction`
    evidence_fraction : share of the tier's requests on any figure of that kind and evidence
    """

    tier: str
    goal: str
    figure: Figure
    figure_fraction: float
    evidence_fraction: float
    failure: str

    @property
    def weakness(self) -> tuple[int, float]:
        """What is compared: the evidence, then the share."""
        return self.figure.weakness, self.evidence_fraction


def assumptions_of_goals(plan: Plan) -> list[tuple[Assumption, ...]]:
    """For each survival goal its assumptions by kind, the weakest first."""
    study, known, of_goals = plan.study, known_figures(plan.study), []
    for tier in study.tiers:
        for goal in tier.survive:
            worst: dict[str, Assumption] = {}
            for failure in expand(goal, study, plan.graph):
                s = (fullest_hour(plan.problem), failure.id, goal.within_seconds)
                for assumption in _assumptions(plan, known, tier.name, goal, s):
                    kind = assumption.figure.kind
                    if kind not in worst or assumption.weakness > worst[kind].weakness:
                        worst[kind] = assumption
            if worst:
                weakest_first = sorted(worst.values(), key=lambda a: (a.weakness, a.figure), reverse=True)
                of_goals.append(tuple(weakest_first))
    return of_goals


def _assumptions(plan: Plan, known: Known, tier: str, goal: Goal, s: State) -> Iterator[Assumption]:
    """The weakest figures of each kind in one state."""
    p, a, x = plan.problem, full(plan.problem), plan.vectors
    limit_ms, traffic = round_trip_limits_ms(plan.study, s), x.traffic[s,]
    started, runs = x.cold_started[s,], running(a, x, s)
    on: dict[Figure, float] = defaultdict(float)
    served = 0.0
    for i in np.flatnonzero(a.may_serve(s[1]) & (traffic > 0)).tolist():
        w, o, e = a.edges[i]
        if p.tier_of[w] != tier:
            continue
        value, at = float(traffic[i]), a.placement_of_edge[i]
        served += value
        for figure in figures_of_edge(p, known, limit_ms, w, o, e):
            on[figure] += value
        if started[at] > 0:
            on[known.load[p.profile_of[e]]] += value * float(started[at]) / float(runs[at])
    for kind in KINDS:
        least = max((figure.weakness for figure in on if figure.kind == kind), default=None)
        weakest = {figure: v for figure, v in on.items() if figure.kind == kind and figure.weakness == least}
        if weakest:
            most = max(sorted(weakest), key=lambda figure: weakest[figure])
            share = sum(weakest.values()) / served
            yield Assumption(tier, goal_text(goal), most, weakest[most] / served, share, s[1])


@dataclass(frozen=True)
class AssumptionRow:
    """A line of KEY ASSUMPTIONS: a goal (with any of its assumptions), or an assumption below it."""

    assumption: Assumption
    is_goal: bool
    is_key: bool


def assumptions_section(plan: Plan) -> Section:
    """The weakest figure of every goal, and the stack it depends on; with all rows, of every kind."""
    of_goals, rows = assumptions_of_goals(plan), []
    for assumptions in of_goals:
        weakest = assumptions[0]
        weakest_number = next((a for a in assumptions if a.figure.kind != "stack"), None)
        rows.append(AssumptionRow(weakest, True, True))
        rows += [AssumptionRow(a, False, a is weakest or a is weakest_number) for a in assumptions]
    columns = (
        Column("goal, and its weakest figures", _name),
        _column("evidence", lambda a: a.figure.evidence),
        _column("error", lambda a: a.figure.error),
        _column("of traffic", lambda a: percent(a.figure_fraction)),
        _column("all such", lambda a: percent(a.evidence_fraction)),
        _column("when lost", lambda a: short_failure(a.failure)),
    )
    return Section(
        "KEY ASSUMPTIONS",
        ("the weakest figures that each goal depends on, in the failure in which most of its traffic does",),
        columns,
        rows,
        (
            "of traffic: share of the tier's requests then on this figure; all such: on any of its kind and evidence",
            "stack: that the model may be served on it, true or not; round trips count where their error reaches the "
            "tier's limit, load times where replicas start cold; prices decide what a goal costs, not whether it holds",
        ),
        data=[assumption for assumptions in of_goals for assumption in assumptions],
        most=0,
        always=lambda row: row.is_key,
    )


def _name(row: AssumptionRow) -> str:
    a = row.assumption
    return f"{a.tier}: {a.goal}" if row.is_goal else f"  {a.figure.kind} {a.figure.name}"


def _column(title: str, cell: Callable[[Assumption], str]) -> Column:
    """A column that says nothing beside the name of a goal."""
    return Column(title, lambda row: "" if row.is_goal else cell(row.assumption))


# ------------------------------------------------------------------ before a plan
@dataclass(frozen=True)
class Floor:
    """What a goal can be met with at best, before anything is planned.

    Parameters
    ----------
    cases : evidence -> cases (failure, workload, origin)
    case : one of the weakest evidence, of these one with the fewest placements
    figure, placements : the figure it can depend on at best, and the placements that outlive the failure
    """

    tier: str
    goal: str
    cases: Mapping[str, int]
    case: str
    figure: Figure
    placements: int


def floors(study: Study, p: Problem, graph: Graph) -> list[Floor]:
    """For each goal the worst over failures and flows of the best over edges of the weakest figure of an edge."""
    known, of_goals = known_figures(study), []
    for tier in study.tiers:
        for goal in tier.survive:
            cases: Counter[str] = Counter()
            worst: list[tuple[int, int, str, Figure]] = []
            for failure in expand(goal, study, graph):
                s = (fullest_hour(p), failure.id, goal.within_seconds)
                limit_ms = round_trip_limits_ms(study, s)
                for w, o in p.flows:
                    if p.tier_of[w] != tier.name or due_fraction(p, w, o, s) <= 0:
                        continue
                    live = live_edges(p, w, o, failure.id)
                    weakest = [max(figures_of_edge(p, known, limit_ms, w, o, e), key=_weakness) for e in live]
                    best = min(weakest, key=_weakness)
                    cases[best.evidence] += 1
                    case = f"{w} from {o} when {short_failure(failure.id)} is lost"
                    worst.append((-best.weakness, len(live), case, best))
            if worst:
                _, live_count, case, figure = min(worst)
                counts = {evidence: cases[evidence] for evidence in EVIDENCE if cases[evidence]}
                of_goals.append(Floor(tier.name, goal_text(goal), counts, case, figure, live_count))
    return of_goals


def _weakness(figure: Figure) -> int:
    return figure.weakness


def guarantees_section(study: Study, p: Problem, graph: Graph) -> Section:
    """Before a plan: the best evidence with which each goal could be met."""
    rows = floors(study, p, graph)

    def cases_column(evidence: str) -> Column:
        return Column(evidence, lambda row: row.cases.get(evidence), when=any(evidence in row.cases for row in rows))

    return Section(
        "GUARANTEES",
        (
            "cases (failure, workload, origin) of each goal by the best evidence with which they could be met: the "
            "best of all placements that outlive the failure, each as weak as its weakest of speed, stack, round trip",
        ),
        (Column("tier"), Column("goal"), *map(cases_column, EVIDENCE)),
        rows,
        tuple(
            f"{f.tier}, {f.goal}: no better than {f.figure.evidence}: {f.case}, placements remaining {f.placements}, "
            f"{f.figure.kind} {f.figure.name} ({f.figure.error})"
            for f in rows
        ),
    )
