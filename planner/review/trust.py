"""How far to trust a plan: how its figures are known, and how far they may move."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from planner.errors import InputError
from planner.plan.cash import cash_by_evidence
from planner.plan.in_hand import Plan
from planner.problem.problem import Problem
from planner.questions.margins import Margin, margins
from planner.review.assumptions import Known, known_figures
from planner.review.figures import Figure
from planner.review.money import prices_text
from planner.review.report import AT_RISK, Column, Judged, Section, percent, short_failure
from planner.review.traffic import ServedBy, requests_by, traffic_rows
from planner.study.dependencies import NORMAL, profile_id
from planner.study.records.study import Study
from planner.study.waiting import SPREADS
from planner.units import ROUNDING

Progress = Callable[[str, float | None, str], None]
ROUNDED_FROM = 0.05
MOVED = {"demand": "more", "speed": "slower", "load time": "longer", "round trip": "longer"}
NOT_NEEDED = {
    "demand": "ten times as much breaks no goal",
    "speed": "no profile is needed",
    "load time": "no goal depends on when replicas are loaded",
    "round trip": "no goal depends on one whose error (proxy 14 ms, estimated 67 ms) reaches the tier's limit",
}
AFTER = (
    "holds to, breaks at: factors on the figure, drilled at the study's own limits; in between it depends on "
    "how replicas round",
    "a speed is that of a profile in all its pools; normal operation gets new weights, too; round trips: only those "
    "whose error reaches a limit are drilled",
    "a plan at the lowest cost has little headroom: for more, plan with --demand high, a lower "
    "utilisation.in_failure, or higher goals",
)
NOT_ASKED = "first to break: not asked here, as it drills the plan again and again: planner review PLAN --margins"
BY_NUMBERS = (
    "by waiting the drill looks for numbers of replicas that carry what is moved, and may miss some: more may hold "
    "than is said here"
)
FIXED_WEIGHTS = "weights stay as they are, as gateways rescale them"


def silent(stage: str, done: float | None, detail: str) -> None:
    """Progress that nobody is told."""


def trust_section(plan: Plan, progress: Progress = silent, with_margins: bool = True) -> Section:
    """How the figures are known, and how far each may move before a goal breaks.

    Parameters
    ----------
    with_margins : whether that is searched for, which drills the plan again and again
    """
    p, study = plan.problem, plan.study
    known = known_figures(study)
    traffic = [row for row in traffic_rows(plan) if row.requests_per_second]
    by_speed, by_round_trip = requests_by(traffic, _speed), requests_by(traffic, _round_trip)
    by_price, lowest = cash_by_evidence(plan.cash), lowest_factors(study)
    first_to_break, why_not = _margins(plan, progress) if with_margins else ((), "")
    lines = [
        speed_text(by_speed),
        f"round trips: {_shares(by_round_trip)} (share of requests)",
        *spread_lines(plan),
        prices_text(plan.cash),
        *_price_dates(plan),
        "demand: as the study states it; its assumptions stand under OUT OF SCOPE",
    ]
    if not with_margins:
        lines.append(NOT_ASKED)
    elif why_not:
        lines.append(Judged(not_drilled(why_not), AT_RISK))
    else:
        lines += _first_to_break(first_to_break, lowest)

    def breaks_in(m: Margin) -> str:
        hour = f", {m.hour}" if len(p.hours) > 1 else ""
        return f"{short_failure(m.failure)} at {m.deadline_seconds:g} s{hour}"

    columns = (
        Column("figure", lambda m: m.figure if m.kind == "demand" else f"{m.kind}: {m.figure}"),
        Column("evidence", lambda m: _evidence(p, known, m)),
        Column("its low end", lambda m: _times(lowest[m.figure], 2) if m.kind == "speed" else ""),
        Column("holds to", lambda m: _times(_holds_to(m), 4)),
        Column("breaks at", lambda m: _times(m.breaks_at, 4)),
        Column("first when lost", breaks_in),
    )
    after: tuple[str, ...] = ()
    if with_margins:
        after = AFTER
        after += (FIXED_WEIGHTS,) if p.rescaled else ()
        after += (BY_NUMBERS,) if p.waiting is not None else ()
    data = {
        "speed_share": by_speed,
        "round_trip_share": by_round_trip,
        "price_share": by_price,
        "speed_fraction": _fractions(by_speed),
        "round_trip_fraction": _fractions(by_round_trip),
        "price_fraction": _fractions(by_price),
        "spread": None if p.waiting is None else p.waiting.said.spread,
        "margins_asked": with_margins,
        "margins": first_to_break,
        "moves": [_move(m, lowest) for m in first_to_break],
        "why_no_margins": why_not,
    }
    return Section("TRUST", tuple(lines), columns, first_to_break, after, data)


def spread_lines(plan: Plan) -> tuple[str, ...]:
    """What plans by waiting count on of whoever spreads requests over replicas: it decides most, and is assumed."""
    waiting = plan.problem.waiting
    return () if waiting is None else (f"assumed: {SPREADS[waiting.said.spread]} (utilisation.spread)",)


def _move(m: Margin, lowest: Mapping[str, float]) -> dict[str, Any]:
    """By which fractions a figure moves where all holds, rounded down, and where a goal breaks; its error."""
    low_factor = lowest[m.figure] if m.kind == "speed" else None
    return {
        "kind": m.kind,
        "figure": m.figure,
        "holds_fraction": _held(m, _digits(m) + 2),
        "holds_factor": _holds_to(m),
        "breaks_fraction": m.move_fraction,
        "low_factor": low_factor,
        "stated_error_fraction": None if low_factor is None else 1 - low_factor,
    }


def _digits(m: Margin) -> int:
    return 1 if m.move_fraction >= ROUNDED_FROM else 2


def _held(m: Margin, decimals: int) -> float:
    """By which fraction a figure may move while all holds, as it is said: rounded down, so that it holds."""
    step = 10.0**-decimals
    return math.floor(abs(m.factor - 1) / step + ROUNDING) * step


def _holds_to(m: Margin) -> float:
    """The factor on a figure at which all holds, as it is said."""
    return 1 + math.copysign(_held(m, 4), m.factor - 1)


def _times(factor: float, decimals: int) -> Figure:
    return Figure(f"× {factor:.{decimals}f}", factor)


def _margins(plan: Plan, progress: Progress) -> tuple[tuple[Margin, ...], str]:
    """The margins, or why there are none: a study that was edited inside its plan cannot be drilled."""
    try:
        return margins(plan, progress), ""
    except InputError as error:
        first = error.findings[0]
        return (), f"{first.where}: expected {first.expected}, got {first.got}"


def _price_dates(plan: Plan) -> list[str]:
    """Of which days the prices of what is ordered are."""
    price_of = {price.offer_id: price for price in plan.study.prices}
    dates = sorted({price_of[row.offer].as_of for row in plan.file.purchases})
    return [f"prices of what is ordered: as of {' to '.join(dict.fromkeys((dates[0], dates[-1])))}"] if dates else []


def _speed(row: ServedBy) -> str:
    return row.speed


def _round_trip(row: ServedBy) -> str:
    return row.round_trip


def lowest_factors(study: Study) -> dict[str, float]:
    """Profile id -> the least factor on any of its speeds that their stated errors allow."""
    lowest: dict[str, float] = {}
    for model in study.models:
        for profile in model.profiles:
            lowest[profile_id(model.model, profile.name)] = min([1.0, *(c.low_factor for c in profile.classes)])
    return lowest


def not_drilled(why: str) -> str:
    """That it is not known what breaks first, and why."""
    return f"first to break: not known, as the drill refuses the study: {why}"


def speed_text(requests_by_evidence: Mapping[str, float]) -> str:
    """How the speeds are known at which requests are served, in one line: the same wherever it stands."""
    return f"speed: {_shares(requests_by_evidence)} (share of requests in normal operation)"


def _shares(by_evidence: Mapping[str, float]) -> str:
    """Shares of a sum in percent, the largest first."""
    if not by_evidence:
        return "none"
    largest_first = sorted(_fractions(by_evidence).items(), key=lambda part: (-part[1], part[0]))
    return ", ".join(f"{percent(fraction)} {evidence}" for evidence, fraction in largest_first)


def _fractions(by_evidence: Mapping[str, float]) -> dict[str, float]:
    """Parts of a sum as fractions of it; none of nothing."""
    total = sum(by_evidence.values())
    return {evidence: value / total for evidence, value in by_evidence.items()} if total else {}


def _evidence(p: Problem, known: Known, m: Margin) -> str:
    """How the figure of a margin is known."""
    if m.kind == "speed":
        return " and ".join(sorted({f.evidence for (g, _), f in known.speed.items() if g == m.figure}))
    if m.kind == "load time":
        return known.load[m.figure].evidence
    if m.kind == "round trip":
        return next(r.evidence for (o, site), r in p.round_trip_ms.items() if f"{o} to {site}" == m.figure)
    return "of the study"


def _first_to_break(first: tuple[Margin, ...], lowest: Mapping[str, float]) -> list[str]:
    """One line a kind: the figure whose error breaks a goal first, and by how much it may be wrong."""
    lines = []
    for kind in MOVED:
        m = next((m for m in first if m.kind == kind), None)
        if m is None:
            lines.append(f"  {kind}: {NOT_NEEDED[kind]}")
            continue
        lines.append(f"  {margin_text(m, lowest)}")
    return ["first to break, each by itself:", *lines]


def is_within_its_error(m: Margin, lowest: Mapping[str, float]) -> bool:
    """Whether the figure may be that wrong by its own error; of demand and load times none is stated."""
    return m.kind == "round trip" or (m.kind == "speed" and 1 - lowest[m.figure] > m.move_fraction)


def margin_text(m: Margin, lowest: Mapping[str, float]) -> str:
    """A figure, how far it may be wrong, and which goal that breaks; `lowest` by `lowest_factors`."""
    what, moved = "" if m.kind == "demand" else f" of {m.figure}", MOVED[m.kind]
    error = ""
    if m.kind == "speed":
        stated = 1 - lowest[m.figure]
        within = "within" if is_within_its_error(m, lowest) else "beyond"
        error = f"; {within} its stated error ({percent(stated)} slower)" if stated else "; its error is not stated"
    elif m.kind == "round trip":
        error = "; within its error"
    where = f"when {short_failure(m.failure)} is lost" if m.failure != NORMAL else "in normal operation"
    digits = _digits(m)
    holds, breaks = percent(_held(m, digits + 2), digits), percent(m.move_fraction, digits)
    return f"{m.kind}{what}: {holds} {moved} holds, {breaks} {moved} breaks a goal {where}{error}"
