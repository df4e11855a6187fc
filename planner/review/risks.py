"""The report of `planner risk`: single points of failure, pairs, blast radius, what is missing, expected loss."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from planner.questions.risk.cut_sets import MOST_ORDER, Flow, Members
from planner.questions.risk.exposure import CutSet, Exposure, Gap
from planner.review.figures import number
from planner.review.report import (
    AT_RISK,
    BROKEN,
    HELD,
    Column,
    Report,
    Section,
    Severity,
    as_data,
    first_of,
    percent,
    short_failure,
    usd,
)
from planner.study.records.study import kind_and_name

MOST_NAMES = 4
PLACES = ("pool", "site", "zone", "region", "provider")
OUT_OF_SCOPE = (
    "workloads, origins and placements are no causes: they break through what they need",
    "a component is lost whole; a part lost counts in named failures that have a rate, at request limits only",
    "what only the starting of replicas needs breaks nothing that runs",
    "demand: mean over the horizon; a tier without outage_usd_per_request or outage_usd_per_hour costs nothing",
)


RUNS = (
    "a way: in a plan a placement that runs, or starts cold in a failure, in any hour; in a fleet one that a weight "
    "sends to"
)


def review_risks(x: Exposure, title: str, all_rows: bool = False) -> Report:
    """What a study, a plan or a fleet is exposed to; good when no tier with goals has a single point of failure."""
    sections = (
        _answer(x),
        _tiers(x),
        _sets(x, 1, "SINGLE POINTS OF FAILURE"),
        _sets(x, 2, "PAIRS"),
        _blast(x),
        _missing(x),
        _expected(x),
        Section("OUT OF SCOPE", OUT_OF_SCOPE + ((RUNS,) if x.on_plan else ())),
    )
    return Report(title, x.good, sections, all_rows=all_rows)


KEYS = {
    "component": "lost",
    "members": "lost",
    "failure": "lost",
    "wider": "also_lost_with",
    "fraction": "broken_fraction",
    "lost_requests_per_second": "no_way_requests_per_second",
    "lost_usd_per_hour": "no_way_usd_per_hour",
}
"""Fields of the records of an exposure -> their keys in JSON, where these differ."""


def _keyed(record: Any) -> Any:
    """A record as data, its fields by their keys in JSON."""

    def renamed(value: Any) -> Any:
        if isinstance(value, dict):
            return {KEYS.get(name, name): renamed(part) for name, part in value.items()}
        return [renamed(part) for part in value] if isinstance(value, list) else value

    return renamed(as_data(record))


# ------------------------------------------------------------------ names
def named(members: Iterable[str]) -> str:
    """A set of components as people say it."""
    return short_failure(" + ".join(members))


def _wider_text(members: Members, wider: Sequence[Members]) -> str:
    """What takes the members with it; the places around a place by their kind only."""
    if len(members) > 1:
        return f"{len(wider)} wider" if wider else ""
    kinds = [kind_and_name(other)[0] for (other,) in wider]
    if kind_and_name(members[0])[0] in PLACES and set(kinds) <= set(PLACES):
        return f"its {', '.join(kind for kind in PLACES if kind in kinds)}" if kinds else ""
    return first_of([named(other) for other in wider], MOST_NAMES)


def _hours(hours: float) -> str:
    return number(hours, ",.0f" if hours >= 100 else ".3g")


def _tiers_text(tiers: Sequence[str], x: Exposure) -> str:
    return "every tier" if set(tiers) == x.demand_requests_per_second.keys() else first_of(tiers, MOST_NAMES)


def flows_text(flows: Iterable[Flow], of: Iterable[Flow]) -> str:
    """Flows as people say them: `chat from everywhere, code from london`."""
    origins: dict[str, list[str]] = defaultdict(list)
    for w, o in flows:
        origins[w].append(o)
    origin_count = Counter(w for w, _ in of)
    everywhere = [w for w in origins if len(origins[w]) == origin_count[w]]
    parts = [f"{first_of(everywhere, MOST_NAMES)} from everywhere"] if everywhere else []
    parts += [f"{w} from {first_of(names, MOST_NAMES)}" for w, names in origins.items() if w not in everywhere]
    return "; ".join(parts)


# ------------------------------------------------------------------ sections
def _answer(x: Exposure) -> Section:
    single: dict[Members, list[CutSet]] = defaultdict(list)
    for cut in x.innermost(1):
        single[cut.members].append(cut)
    lines = []
    for members, cuts in sorted(single.items(), key=lambda row: (-sum(c.usd_per_hour for c in row[1]), row[0])):
        tiers = [cut.tier for cut in cuts]
        lost = sum(cut.requests_per_second for cut in cuts)
        cost = usd(sum(cut.usd_per_hour for cut in cuts))
        of = _tiers_text(tiers, x)
        lines.append(f"{named(members)} is a single point of failure of {of}: {lost:,.0f} requests/s, {cost} USD/h")
    if len(lines) > MOST_NAMES:
        lines = [*lines[:MOST_NAMES], f"and {len(lines) - MOST_NAMES} more single points of failure, below"]
    if not lines:
        lines = [f"no single point of failure: with any one of {x.components} components lost, every flow has a way"]
    for tier, w, o in x.always_broken:
        lines.append(f"{w} from {o} (tier {tier}) has no way even when nothing is lost")
    promised = sum(gap.promised for gap in x.gaps)
    if promised:
        lines.append(f"PROMISED AND NOT COVERED by any capacity: {promised} cases of a survival goal, below")
    if x.expected:
        loss = usd(sum(row.usd_per_year for row in x.expected))
        lacking = f", {len(x.without_rate)} components in cut sets have no rate" if x.without_rate else ""
        lines.append(f"expected loss at most {loss} USD per year, where rates are given{lacking}")
    pairs = len({cut.members for cut in x.innermost(2)})
    those = f"{pairs} pairs" if pairs > 1 else "1 pair" if pairs else "no pair"
    lines.append(f"{those} of components whose loss together leaves a flow without a way")
    lines.append(
        f"minimal cut sets of order 1 and {MOST_ORDER} are all found, by enumeration; larger sets are not searched for"
    )
    lines.append(
        "a way: what has request limits stands and a placement lives; whether it has headroom is for `plan` and "
        "`drill` to prove"
    )
    return Section("ANSWER", tuple(lines))


@dataclass(frozen=True)
class TierExposed:
    """What a tier is exposed to; the expected loss, where rates are given, from above."""

    tier: str
    with_goals: bool
    requests_per_second: float
    single_points: int
    pairs: int
    broken_hours_per_year: float | None
    usd_per_year: float | None


def _severity(row: TierExposed) -> Severity:
    """How grave a tier's single points of failure are: broken is what has goals, at risk what has none."""
    if not row.single_points:
        return HELD
    return BROKEN if row.with_goals else AT_RISK


def _tiers(x: Exposure) -> Section:
    expected, rows = {row.tier: row for row in x.expected}, []
    for tier, requests_per_second in x.demand_requests_per_second.items():
        singles, pairs = (sum(cut.tier == tier for cut in x.innermost(order)) for order in (1, 2))
        loss = expected.get(tier)
        at_most = (loss.hours_per_year, loss.usd_per_year) if loss is not None else (None, None)
        rows.append(TierExposed(tier, tier in x.with_goals, requests_per_second, singles, pairs, *at_most))
    columns = (
        Column("tier"),
        Column("goals", lambda row: "yes" if row.with_goals else "no"),
        Column("requests/s", lambda row: number(row.requests_per_second, ",.0f")),
        Column("single points", severity=_severity),
        Column("pairs"),
        Column("broken h/year ≤", lambda row: _hours(row.broken_hours_per_year), when=bool(expected)),
        Column("USD/year ≤", lambda row: usd(row.usd_per_year), when=bool(expected)),
    )
    return Section("TIERS", (), columns, rows, most=None)


def _sets(x: Exposure, order: int, title: str) -> Section:
    rows = x.innermost(order)
    demand = x.demand_requests_per_second
    columns = (
        Column("tier"),
        Column("lost", lambda cut: named(cut.members)),
        Column("also lost with", lambda cut: _wider_text(cut.members, cut.wider)),
        Column("requests/s", lambda cut: number(cut.requests_per_second, ",.1f")),
        Column("of the tier", lambda cut: percent(cut.requests_per_second / demand[cut.tier], 1)),
        Column("USD/h", lambda cut: usd(cut.usd_per_hour)),
        Column("without a way", lambda cut: _broken_flows(cut, x)),
    )
    data = []
    for cut in x.order(order):
        data.append(_keyed(cut) | {"requests_per_second": cut.requests_per_second, "usd_per_hour": cut.usd_per_hour})
    return Section(title, () if rows else ("none",), columns, rows, data=data)


def _broken_flows(cut: CutSet, x: Exposure) -> str:
    """The flows of a set, with the fraction that is broken where sessions go on."""
    by_fraction: dict[float, list[Flow]] = defaultdict(list)
    for flow in cut.flows:
        by_fraction[flow.fraction].append((flow.workload, flow.origin))
    return "; ".join(
        flows_text(flows, x.flows) + ("" if fraction == 1 else f" ({percent(fraction)} of it; the rest goes on)")
        for fraction, flows in sorted(by_fraction.items(), reverse=True)
    )


def _blast(x: Exposure) -> Section:
    columns = (
        Column("lost", lambda row: short_failure(row.component)),
        Column("also lost with", lambda row: _wider_text((row.component,), [(other,) for other in row.wider])),
        Column("no way requests/s", lambda row: number(row.lost_requests_per_second, ",.1f")),
        Column("USD/h", lambda row: usd(row.lost_usd_per_hour)),
        Column(
            "moves requests/s" if x.on_plan else "may move, at most",
            lambda row: number(row.moved_requests_per_second, ",.1f"),
        ),
        Column("placements lost", lambda row: percent(row.placements_lost_fraction, 1)),
        Column("tiers", lambda row: _tiers_text(row.tiers, x)),
    )
    lines = (
        "moves: requests/s that it carries in normal operation and that have another way"
        if x.on_plan
        else "may move: all requests/s of flows that lose some placement; what moves is known when there is a plan",
        "placements lost: of those that meet the limits in normal operation, flows weighted by requests/s",
    )
    rows = [blast for blast in x.blasts if blast.innermost]
    return Section("BLAST RADIUS", lines, columns, rows, data=[_keyed(blast) for blast in x.blasts])


def _missing(x: Exposure) -> Section:
    """What cannot be covered: flows for which the same is missing stand in one row."""
    in_single_points = {(cut.members[0], f.workload, f.origin) for cut in x.innermost(1) for f in cut.flows}
    same: dict[tuple[str, float, str, bool, bool], list[Gap]] = defaultdict(list)
    for gap in x.gaps:
        if (
            gap.promised or (gap.failure, gap.workload, gap.origin) in in_single_points
        ):  # others: with what takes it along
            same[gap.failure, gap.coverable_fraction, gap.missing, gap.promised, gap.any_capacity].append(gap)
    rows = sorted(same.values(), key=lambda gaps: (not gaps[0].promised, gaps[0].any_capacity))
    columns = (
        Column("lost", lambda gaps: short_failure(gaps[0].failure)),
        Column("without a way", lambda gaps: flows_text([(gap.workload, gap.origin) for gap in gaps], x.flows)),
        Column("at most served", lambda gaps: percent(gaps[0].coverable_fraction)),
        Column("promised", lambda gaps: "yes" if gaps[0].promised else "no"),
        Column("missing", lambda gaps: gaps[0].missing),
    )
    lines = () if rows else ("nothing: each flow outlives each component, and what is promised can be covered",)
    return Section("MISSING", lines, columns, rows, data=[_keyed(gap) for gap in x.gaps])


def _expected(x: Exposure) -> Section:
    data = {"tiers": x.expected, "sets": [_keyed(row) for row in x.contributions], "no_rate_given": x.without_rate}
    if not x.expected:
        why = "no component in a cut set and no failure has failures_per_year and hours_to_repair: nothing is assumed"
        return Section("EXPECTED", (why,), data={**data, "sets": []})
    columns = (
        Column("lost", lambda row: named(row.members)),
        Column("h/year", lambda row: _hours(row.hours_per_year)),
        Column("USD/year", lambda row: usd(row.usd_per_year)),
        Column("tiers", lambda row: _tiers_text(row.tiers, x)),
    )
    lines = (
        "an estimate from above: the sum over minimal cut sets (rare-event approximation, NUREG-0492) of products of",
        "the members' unavailability, failures_per_year · hours_to_repair / hours per year; they fail independently",
        "a failure whose parts work again one after the other counts by its stages, each as long as it lasts",
        "it counts sets of at most 2 members that all have a rate, and no shortage of headroom",
    )
    lacking = first_of([short_failure(event) for event in x.without_rate], MOST_NAMES)
    after = (f"no rate given, counted as nothing: {lacking}",) if lacking else ()
    return Section("EXPECTED", lines, columns, x.contributions, after, data)
