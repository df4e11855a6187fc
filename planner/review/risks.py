"""The report of `planner risk`: single points of failure, pairs, blast radius, what is missing, expected loss."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from planner.questions.risk.cut_sets import MOST_ORDER, Flow, Members
from planner.questions.risk.exposure import Blast, CutSet, Exposure, Gap
from planner.review.report import Cell, Report, Section, percent, short_failure, usd
from planner.study.records.study import kind_and_name

MOST_ROWS = 12
MOST_NAMES = 4
PLACES = ("pool", "site", "region", "provider")
NOT_IN = (
    "workloads, origins and placements are no causes: they break through what they need",
    "a component is lost whole; a part lost counts in named failures that have a rate, at doors only",
    "what only the starting of replicas needs breaks nothing that runs",
    "demand: mean over the horizon; a tier without outage_usd_per_request costs nothing per request",
)


def review_risks(x: Exposure, title: str, all_rows: bool = False) -> Report:
    """What a study, a plan or a fleet is exposed to; good when no tier with goals has a single point of failure."""
    sections = (
        _answer(x),
        _tiers(x),
        _sets(x, 1, "SINGLE POINTS OF FAILURE", all_rows),
        _sets(x, 2, "PAIRS", all_rows),
        _blast(x, all_rows),
        _missing(x, all_rows),
        *_expected(x, all_rows),
        _not_in(x),
    )
    return Report(title, x.good, sections)


# ------------------------------------------------------------------ names
def named(members: Iterable[str]) -> str:
    """A set of components as people say it."""
    return short_failure(" + ".join(members))


def _some(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def _wider_text(members: Members, wider: Sequence[Members]) -> str:
    """What takes the members with it; the places around a place by their kind only."""
    if len(members) > 1:
        return f"{len(wider)} wider" if wider else ""
    kinds = [kind_and_name(other)[0] for (other,) in wider]
    if kind_and_name(members[0])[0] in PLACES and set(kinds) <= set(PLACES):
        return f"its {', '.join(kind for kind in PLACES if kind in kinds)}" if kinds else ""
    return _some([named(other) for other in wider])


def _hours(hours: float) -> str:
    return f"{hours:,.0f}" if hours >= 100 else f"{hours:.3g}"


def _tiers_text(tiers: Sequence[str], x: Exposure) -> str:
    return "every tier" if set(tiers) == x.demand_requests_per_second.keys() else _some(tiers)


def flows_text(flows: Iterable[Flow], of: Iterable[Flow]) -> str:
    """Flows as people say them: `chat from everywhere, code from london`."""
    origins: dict[str, list[str]] = defaultdict(list)
    for w, o in flows:
        origins[w].append(o)
    everywhere: dict[str, int] = defaultdict(int)
    for w, _ in of:
        everywhere[w] += 1
    whole = [w for w in origins if len(origins[w]) == everywhere[w]]
    parts = [f"{_some(whole)} from everywhere"] if whole else []
    parts += [f"{w} from {_some(found)}" for w, found in origins.items() if w not in whole]
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
    found = lines[:MOST_NAMES]
    if len(lines) > MOST_NAMES:
        found.append(f"and {len(lines) - MOST_NAMES} more single points of failure, below")
    if not lines:
        found.append(
            f"no single point of failure: with any one of {x.components} components lost, every flow has a way"
        )
    for tier, w, o in x.always_broken:
        found.append(f"{w} from {o} (tier {tier}) has no way even when nothing is lost")
    promised = sum(gap.promised for gap in x.gaps)
    if promised:
        found.append(f"PROMISED AND NOT COVERED by any capacity: {promised} cases of a survival goal, below")
    if x.expected:
        loss = usd(sum(row.usd_per_year for row in x.expected))
        lacking = f", {len(x.without_rate)} components in cut sets have no rate" if x.without_rate else ""
        found.append(f"expected loss at most {loss} USD per year, where rates are given{lacking}")
    pairs = len({cut.members for cut in x.innermost(2)})
    those = f"{pairs} pairs" if pairs > 1 else "1 pair" if pairs else "no pair"
    found.append(f"{those} of components whose loss together leaves a flow without a way")
    found.append(
        f"minimal cut sets of order 1 and {MOST_ORDER} are found exactly (MICSUP); larger sets are not searched for"
    )
    found.append("a way: the doors stand and a placement lives; whether it has room is for `plan` and `drill` to prove")
    return Section("ANSWER", tuple(found))


def _tiers(x: Exposure) -> Section:
    expected = {row.tier: row for row in x.expected}
    rates = ("broken h/year ≤", "USD/year ≤") if expected else ()
    rows: list[tuple[Cell, ...]] = []
    for tier, requests_per_second in x.demand_requests_per_second.items():
        row: tuple[Cell, ...] = (
            tier,
            "yes" if tier in x.with_goals else "no",
            f"{requests_per_second:,.0f}",
            sum(cut.tier == tier for cut in x.innermost(1)),
            sum(cut.tier == tier for cut in x.innermost(2)),
        )
        if expected:
            row += (_hours(expected[tier].hours_per_year), usd(expected[tier].usd_per_year))
        rows.append(row)
    columns = ("tier", "goals", "requests/s", "single points", "pairs", *rates)
    return Section("TIERS", (), columns, tuple(rows))


def _sets(x: Exposure, order: int, title: str, all_rows: bool) -> Section:
    cuts = x.innermost(order)
    shown = cuts if all_rows else cuts[:MOST_ROWS]
    rows = tuple(
        (
            cut.tier,
            named(cut.members),
            _wider_text(cut.members, cut.wider),
            f"{cut.requests_per_second:,.1f}",
            percent(cut.requests_per_second / x.demand_requests_per_second[cut.tier], 1),
            usd(cut.usd_per_hour),
            _broken_flows(cut, x),
        )
        for cut in shown
    )
    columns = ("tier", "lost", "also lost with", "requests/s", "of the tier", "USD/h", "without a way")
    lines = () if rows else ("none",)
    return Section(title, lines, columns, rows, len(cuts) - len(shown), data=[_cut_data(cut) for cut in x.order(order)])


def _broken_flows(cut: CutSet, x: Exposure) -> str:
    """The flows of a set, with the fraction that is broken where sessions go on."""
    by_fraction: dict[float, list[Flow]] = defaultdict(list)
    for flow in cut.flows:
        by_fraction[flow.fraction].append((flow.workload, flow.origin))
    return "; ".join(
        flows_text(flows, x.flows) + ("" if fraction == 1 else f" ({percent(fraction)} of it; the rest goes on)")
        for fraction, flows in sorted(by_fraction.items(), reverse=True)
    )


def _cut_data(cut: CutSet) -> dict[str, Any]:
    return {
        "tier": cut.tier,
        "lost": list(cut.members),
        "innermost": cut.innermost,
        "also_lost_with": [list(members) for members in cut.wider],
        "requests_per_second": cut.requests_per_second,
        "usd_per_hour": cut.usd_per_hour,
        "flows": [
            {
                "workload": flow.workload,
                "origin": flow.origin,
                "broken_fraction": flow.fraction,
                "requests_per_second": flow.requests_per_second,
                "usd_per_hour": flow.usd_per_hour,
            }
            for flow in cut.flows
        ],
    }


def _blast(x: Exposure, all_rows: bool) -> Section:
    folded = [blast for blast in x.blasts if blast.innermost]
    shown = folded if all_rows else folded[:MOST_ROWS]
    rows = tuple(
        (
            short_failure(blast.component),
            _wider_text((blast.component,), [(component,) for component in blast.wider]),
            f"{blast.lost_requests_per_second:,.1f}",
            usd(blast.lost_usd_per_hour),
            f"{blast.moved_requests_per_second:,.1f}",
            percent(blast.placements_lost_fraction, 1),
            _tiers_text(blast.tiers, x),
        )
        for blast in shown
    )
    moved = "moves requests/s" if x.on_plan else "may move, at most"
    columns = ("lost", "also lost with", "no way requests/s", "USD/h", moved, "placements lost", "tiers")
    lines = (
        "moves: requests/s that it carries in normal operation and that have another way"
        if x.on_plan
        else "may move: all requests/s of flows that lose some placement; what moves is known when there is a plan",
        "placements lost: of those that meet the limits in normal operation, flows weighted by requests/s",
    )
    return Section(
        "BLAST RADIUS", lines, columns, rows, len(folded) - len(shown), data=[_blast_data(b) for b in x.blasts]
    )


def _blast_data(blast: Blast) -> dict[str, Any]:
    return {
        "lost": blast.component,
        "innermost": blast.innermost,
        "also_lost_with": list(blast.wider),
        "no_way_requests_per_second": blast.lost_requests_per_second,
        "no_way_usd_per_hour": blast.lost_usd_per_hour,
        "moved_requests_per_second": blast.moved_requests_per_second,
        "placements_lost_fraction": blast.placements_lost_fraction,
        "tiers": list(blast.tiers),
    }


def _missing(x: Exposure, all_rows: bool) -> Section:
    alike: dict[tuple[str, float, str, bool, bool], list[Gap]] = defaultdict(list)
    stands = {(cut.members[0], f.workload, f.origin) for cut in x.innermost(1) for f in cut.flows}
    for gap in x.gaps:
        if not gap.promised and (gap.failure, gap.workload, gap.origin) not in stands:
            continue  # told with the component that it takes with it
        alike[gap.failure, gap.coverable_fraction, gap.missing, gap.promised, gap.any_capacity].append(gap)
    found = sorted(alike, key=lambda key: (not key[3], key[4]))
    shown = found if all_rows else found[:MOST_ROWS]
    rows = tuple(
        (
            short_failure(key[0]),
            flows_text([(gap.workload, gap.origin) for gap in alike[key]], x.flows),
            percent(key[1]),
            "yes" if key[3] else "no",
            key[2],
        )
        for key in shown
    )
    columns = ("lost", "without a way", "at most served", "promised", "missing")
    lines = () if rows else ("nothing: each flow outlives each component, and what is promised can be covered",)
    data = [
        {
            "lost": gap.failure,
            "workload": gap.workload,
            "origin": gap.origin,
            "coverable_fraction": gap.coverable_fraction,
            "missing": gap.missing,
            "promised": gap.promised,
            "any_capacity": gap.any_capacity,
        }
        for gap in x.gaps
    ]
    return Section("MISSING", lines, columns, rows, len(found) - len(shown), data=data)


def _expected(x: Exposure, all_rows: bool) -> tuple[Section, ...]:
    lacking = _some([short_failure(event) for event in x.without_rate])
    if not x.expected:
        why = "no component in a cut set and no failure has failures_per_year and hours_to_repair: nothing is assumed"
        return (Section("EXPECTED", (why,), data={"tiers": [], "sets": [], "no_rate_given": list(x.without_rate)}),)
    shown = x.contributions if all_rows else x.contributions[:MOST_ROWS]
    rows = tuple(
        (named(c.members), _hours(c.hours_per_year), usd(c.usd_per_year), _tiers_text(c.tiers, x)) for c in shown
    )
    lines = (
        "an estimate from above: the sum over minimal cut sets (rare-event approximation, NUREG-0492) of products of",
        "the members' unavailability, failures_per_year · hours_to_repair / hours per year; they fail independently",
        "it counts sets of at most 2 members that all have a rate, and no shortage of room",
    )
    after = (f"no rate given, counted as nothing: {lacking}",) if lacking else ()
    data = {
        "tiers": [
            {"tier": e.tier, "hours_per_year": e.hours_per_year, "usd_per_year": e.usd_per_year} for e in x.expected
        ],
        "sets": [
            {
                "lost": list(c.members),
                "tiers": list(c.tiers),
                "hours_per_year": c.hours_per_year,
                "usd_per_year": c.usd_per_year,
            }
            for c in x.contributions
        ],
        "no_rate_given": list(x.without_rate),
    }
    columns = ("lost", "h/year", "USD/year", "tiers")
    return (Section("EXPECTED", lines, columns, rows, len(x.contributions) - len(shown), after, data),)


def _not_in(x: Exposure) -> Section:
    plan, fleet = "in a plan a placement that runs, or is loaded in a failure, in any hour", "in a fleet"
    runs = (f"a way: {plan}; {fleet} one that a weight sends to",)
    return Section("NOT IN", NOT_IN + (runs if x.on_plan else ()))
