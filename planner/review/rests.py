"""What survival goals rest on: the figures behind each, and the weakest of them in the worst of its failures."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass

from planner.problem.decisions import Decisions
from planner.problem.problem import Problem, State, fullest_hour
from planner.problem.rules.formulas import due_fraction, live_edges, running
from planner.questions.margins import round_trip_limits_ms
from planner.review.report import Section, percent, short_failure
from planner.review.served import goal_text
from planner.study.dependencies import dependency_graph, expand, profile_id
from planner.study.records.study import Goal, Study

EVIDENCE = ("measured", "published", "proxy", "estimated", "assumed")
"""Strongest first; proxy: a round trip measured between regions near by."""
KINDS = ("speed", "load time", "round trip", "stack")


@dataclass(frozen=True, order=True)
class Figure:
    """A figure that a goal may rest on, with its error as people read it."""

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
            known = profile.load_evidence.partition(":")[0].strip()
            evidence = known if known in EVIDENCE else "assumed"
            load[g] = Figure("load time", f"{g}, {profile.load_seconds:g} s", evidence, "not stated")
            if profile.stack in qualified:
                name = f"{model.model} on {profile.stack}"
                stack[g] = Figure("stack", name, qualified[profile.stack], "works or not")
    return Known(speed, load, stack, {w.name: w.context_class for w in study.workloads})


def leans_on(p: Problem, known: Known, limit_ms: Mapping[str, float], w: str, o: str, e: str) -> Iterator[Figure]:
    """Figures that an edge rests on: speed, stack, and the round trip where its error reaches the limit."""
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
class Rest:
    """The weakest figures of one kind that a goal rests on, in the failure in which most traffic does.

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


def goals_rest_on(study: Study, p: Problem, x: Decisions) -> list[tuple[Rest, ...]]:
    """For each survival goal its rests by kind, the weakest first."""
    known, graph = known_figures(study), dependency_graph(study)
    found = []
    for tier in study.tiers:
        for goal in tier.survive:
            worst: dict[str, Rest] = {}
            for failure in expand(goal, study, graph):
                s = (fullest_hour(p), failure.id, goal.within_seconds)
                for rest in _rests(study, p, x, known, tier.name, goal, s):
                    kind = rest.figure.kind
                    if kind not in worst or rest.weakness > worst[kind].weakness:
                        worst[kind] = rest
            if worst:
                found.append(tuple(sorted(worst.values(), key=lambda r: (r.weakness, r.figure), reverse=True)))
    return found


def _rests(study: Study, p: Problem, x: Decisions, known: Known, tier: str, goal: Goal, s: State) -> Iterator[Rest]:
    """The weakest figures of each kind in one state."""
    limit_ms = round_trip_limits_ms(study, s)
    on: dict[Figure, float] = defaultdict(float)
    whole = 0.0
    for w, o in p.flows:
        for e in live_edges(p, w, o, s[1]) if p.tier_of[w] == tier else ():
            value = x.traffic[w, o, e, s]
            if value <= 0:
                continue
            whole += value
            for figure in leans_on(p, known, limit_ms, w, o, e):
                on[figure] += value
            if x.cold_started[e, s] > 0:
                on[known.load[p.profile_of[e]]] += value * x.cold_started[e, s] / float(running(x, e, s))
    for kind in KINDS:
        least = max((figure.weakness for figure in on if figure.kind == kind), default=None)
        weakest = {g: v for g, v in on.items() if g.kind == kind and g.weakness == least}
        if weakest:
            most = max(sorted(weakest), key=lambda g: weakest[g])
            share = sum(weakest.values()) / whole
            yield Rest(tier, goal_text(goal), most, weakest[most] / whole, share, s[1])


def rests_section(study: Study, p: Problem, x: Decisions, all_rows: bool) -> Section:
    """The weakest figure of every goal, and the stack it rests on; with all rows, of every kind."""
    goals = goals_rest_on(study, p, x)
    rows: list[tuple[str, ...]] = []
    for rests in goals:
        number = next((rest for rest in rests if rest.figure.kind != "stack"), None)
        chosen = [rest for rest in rests if all_rows or rest is number or rest is rests[0]]
        rows.append((f"{rests[0].tier}: {rests[0].goal}", "", "", "", "", ""))
        rows += [
            (
                f"  {rest.figure.kind} {rest.figure.name}",
                rest.figure.evidence,
                rest.figure.error,
                percent(rest.figure_fraction),
                percent(rest.evidence_fraction),
                short_failure(rest.failure),
            )
            for rest in chosen
        ]
    return Section(
        "RESTS ON",
        ("the weakest figures that each goal rests on, in the failure in which most of its traffic does",),
        ("goal, and its weakest figures", "evidence", "error", "of traffic", "all such", "when lost"),
        tuple(rows),
        sum(map(len, goals)) + len(goals) - len(rows),
        (
            "of traffic: share of the tier's requests then on this figure; all such: on any of its kind and evidence",
            "stack: that the model may be served on it, true or not; round trips count where their error reaches the "
            "tier's limit, load times where replicas are loaded; prices decide what a goal costs, not whether it holds",
        ),
        data=[asdict(rest) for rests in goals for rest in rests],
    )


@dataclass(frozen=True)
class Floor:
    """What a goal can be met with at best, before anything is planned.

    Parameters
    ----------
    cases : evidence -> cases (failure, workload, origin)
    case : one of the weakest evidence, of these one with the fewest placements
    figure, placements : the figure it can rest on at best, and the placements that outlive the failure
    """

    tier: str
    goal: str
    cases: Mapping[str, int]
    case: str
    figure: Figure
    placements: int


def floors(study: Study, p: Problem) -> list[Floor]:
    """For each goal the worst over failures and flows of the best over edges of the weakest figure of an edge."""
    known, graph = known_figures(study), dependency_graph(study)
    found = []
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
                    best = min((max(leans_on(p, known, limit_ms, w, o, e), key=_weakness) for e in live), key=_weakness)
                    cases[best.evidence] += 1
                    case = f"{w} from {o} when {short_failure(failure.id)} is lost"
                    worst.append((-best.weakness, len(live), case, best))
            if worst:
                _, live_count, case, figure = min(worst)
                counts = {evidence: cases[evidence] for evidence in EVIDENCE if cases[evidence]}
                found.append(Floor(tier.name, goal_text(goal), counts, case, figure, live_count))
    return found


def _weakness(figure: Figure) -> int:
    return figure.weakness


def guarantees_section(study: Study, p: Problem) -> Section:
    """Before a plan: the best evidence with which each goal could be met."""
    found = floors(study, p)
    used = [evidence for evidence in EVIDENCE if any(evidence in floor.cases for floor in found)]
    return Section(
        "GUARANTEES",
        (
            "cases (failure, workload, origin) of each goal by the best evidence with which they could be met: the "
            "best of all placements that outlive the failure, each as weak as its weakest of speed, stack, round trip",
        ),
        ("tier", "goal", *used),
        tuple((f.tier, f.goal, *(f.cases.get(evidence, "") for evidence in used)) for f in found),
        after=tuple(
            f"{f.tier}, {f.goal}: no better than {f.figure.evidence}: {f.case}, placements left {f.placements}, "
            f"{f.figure.kind} {f.figure.name} ({f.figure.error})"
            for f in found
        ),
        data=[asdict(f) for f in found],
    )
