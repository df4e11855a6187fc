"""How far to trust a plan: what its figures rest on, and how far they may move."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import asdict

from planner.errors import InputError
from planner.plan.cash import Cash, cash_by_evidence
from planner.problem.decisions import Decisions
from planner.problem.problem import Problem, State, fullest_hour
from planner.questions.margins import Margin, margins
from planner.review.report import Section, percent, short_failure
from planner.review.rests import Known, known_figures
from planner.review.spending import prices_text
from planner.study.dependencies import NORMAL, profile_id
from planner.study.records.plan import PlanFile

ROUNDED_FROM = 0.05
MOVED = {"demand": "more", "speed": "slower", "load time": "longer", "round trip": "longer"}
NOT_LEANED_ON = {
    "demand": "ten times as much breaks no goal",
    "speed": "no profile is needed",
    "load time": "no goal leans on when replicas are loaded",
    "round trip": "no goal leans on one whose error (proxy 14 ms, estimated 67 ms) reaches the tier's limit",
}
AFTER = (
    "holds to, breaks at: factors on the figure, drilled at the study's own limits; between them whole replicas decide",
    "a speed is that of a profile in all its pools; normal operation gets new weights, too; round trips: only those "
    "whose error reaches a limit are drilled",
    "a plan at the lowest cost has little to spare: for slack, plan with --demand high, a lower "
    "utilisation.in_failure, or higher goals",
)
FIXED_WEIGHTS = "weights stay as they are, as gateways rescale them"
Progress = Callable[[str, float | None, str], None]


def trust_section(
    plan: PlanFile,
    p: Problem,
    x: Decisions,
    paid: Cash,
    progress: Progress = lambda stage, done, detail: None,
) -> Section:
    """What the figures rest on, and how far each may move before a goal breaks."""
    known = known_figures(plan.study)
    by_speed, by_trip = _by_evidence(p, x, known)
    price_of = {price.offer_id: price for price in plan.study.prices}
    dates = sorted(price_of[b.offer].as_of for b in plan.purchases)
    to = f" to {dates[-1]}" if dates and dates[-1] != dates[0] else ""
    lowest: dict[str, float] = {}
    for model in plan.study.models:
        for profile in model.profiles:
            lowest[profile_id(model.model, profile.name)] = min([1.0, *(c.low_factor for c in profile.classes)])
    found, why_not = _margins(plan, p, x, progress)
    lines = (
        f"speed: {_shares(by_speed)} (share of requests in normal operation)",
        f"round trips: {_shares(by_trip)} (share of requests)",
        prices_text(paid),
        *([f"prices of what is ordered: as of {dates[0]}{to}"] if dates else []),
        "demand: as the study states it; its assumptions stand under NOT IN",
        *([f"first to break: not known, as the drill refuses the study: {why_not}"] if why_not else ()),
        *(() if why_not else _first_to_break(found, lowest)),
    )
    rows = tuple(
        (
            m.figure if m.kind == "demand" else f"{m.kind}: {m.figure}",
            _evidence(p, known, m),
            f"× {lowest[m.figure]:.2f}" if m.kind == "speed" else "",
            f"× {m.factor:.4f}",
            f"× {m.breaks_at:.4f}",
            f"{short_failure(m.failure)} at {m.deadline_seconds:g} s" + (f", {m.hour}" if len(p.hours) > 1 else ""),
        )
        for m in found
    )
    return Section(
        "TRUST",
        lines,
        ("figure", "evidence", "its low end", "holds to", "breaks at", "first when lost"),
        rows,
        after=(*AFTER, FIXED_WEIGHTS) if p.failover == "rescale" else AFTER,
        data={
            "speed_share": by_speed,
            "round_trip_share": by_trip,
            "price_share": cash_by_evidence(paid),
            "margins": [asdict(m) for m in found],
        },
    )


def _margins(plan: PlanFile, p: Problem, x: Decisions, progress: Progress) -> tuple[tuple[Margin, ...], str]:
    """The margins, or why there are none: a study that was edited inside its plan cannot be drilled."""
    try:
        return margins(plan, p, x, progress), ""
    except InputError as error:
        first = error.findings[0]
        return (), f"{first.where}: expected {first.expected}, got {first.got}"


def _by_evidence(p: Problem, x: Decisions, known: Known) -> tuple[dict[str, float], ...]:
    """Requests/s in normal operation by the evidence of speed and of round trip."""
    s: State = (fullest_hour(p), NORMAL, 0.0)
    by_speed: dict[str, float] = defaultdict(float)
    by_trip: dict[str, float] = defaultdict(float)
    for w, o in p.flows:
        for e in p.edges[w, o]:
            if value := x.traffic[w, o, e, s]:
                by_speed[known.speed[p.profile_of[e], known.context_class[w]].evidence] += value
                by_trip[p.round_trip_ms[o, p.site_of[p.pool_of[e]]].evidence] += value
    return dict(by_speed), dict(by_trip)


def _shares(found: Mapping[str, float]) -> str:
    whole = sum(found.values())
    largest_first = sorted(found.items(), key=lambda r: (-r[1], r[0]))
    return ", ".join(f"{percent(v / whole)} {name}" for name, v in largest_first) if whole else "none"


def _evidence(p: Problem, known: Known, m: Margin) -> str:
    """How the figure of a margin is known."""
    if m.kind == "speed":
        return " and ".join(sorted({f.evidence for (g, _), f in known.speed.items() if g == m.figure}))
    if m.kind == "load time":
        return known.load[m.figure].evidence
    if m.kind == "round trip":
        return next(r.evidence for (o, site), r in p.round_trip_ms.items() if f"{o} to {site}" == m.figure)
    return "of the study"


def _first_to_break(found: tuple[Margin, ...], lowest: Mapping[str, float]) -> list[str]:
    """One line a kind: the figure whose error breaks a goal first, and by how much it may be wrong."""
    lines = []
    for kind, moved in MOVED.items():
        m = next((m for m in found if m.kind == kind), None)
        if m is None:
            lines.append(f"  {kind}: {NOT_LEANED_ON[kind]}")
            continue
        what = "" if kind == "demand" else f" of {m.figure}"
        error = ""
        if kind == "speed":
            stated = 1 - lowest[m.figure]
            within = "within" if stated > m.move_fraction else "beyond"
            error = f"; {within} its stated error ({percent(stated)} slower)" if stated else "; its error is not stated"
        elif kind == "round trip":
            error = "; within its error"
        where = f"when {short_failure(m.failure)} is lost" if m.failure != NORMAL else "in normal operation"
        digits = 1 if m.move_fraction >= ROUNDED_FROM else 2
        holds, breaks = percent(abs(m.factor - 1), digits), percent(m.move_fraction, digits)
        lines.append(f"  {kind}{what}: {holds} {moved} holds, {breaks} {moved} breaks a goal {where}{error}")
    return ["first to break, each by itself:", *lines]
