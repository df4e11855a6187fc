"""The report of a drill: the verdict, who is served in the worst failures, what each failure costs, worst first."""

from dataclasses import replace
from fnmatch import fnmatchcase

from planner.drill import DrillResult, DrillRow, OutageImpact
from planner.errors import Finding, InputError
from planner.review.report import Report, Section, percent, short_failure, usd
from planner.review.served import WORST_FLOW

MOST_ROWS = 20
MOST_FAILURES = 6
NORMAL = "normal"
ASSUMES = {
    "resolve": "resolve: for each failure weights and the loading of replicas are chosen anew: first for what is due, "
    "then for all that can be served",
    "rescale": "rescale: gateways renormalise the weights of normal operation over what is left; nothing is loaded",
}
REVIEW_DIFFERS = {
    "resolve": "the review shows the plan's own answer, weights chosen anew and no more loaded than goals need: what "
    "is not due may differ from it, what is due must hold in both",
    "rescale": "the review shows the plan's own answer, by fixed weights within the limits it states, nothing loaded: "
    "what is not due may differ from it, what is due must hold in both",
}
WORST_HOUR = "shown: what breaks, and of each failure the hour in which it costs most; --hour shows others"
WAYS = ("warm", "reclaimed", "cold_start", "launched")
TOLD = 0.005
"""Smaller shares are not told: they round to none, and differences to equal."""


def review_drill(
    result: DrillResult, claims: tuple[str, ...], all_rows: bool = False, hour: str | None = None
) -> Report:
    """The report of a drill.

    Parameters
    ----------
    result : rows and tolls, worst first
    claims : what a plan states of itself and does not hold
    all_rows : show every row, not the worst 20 of each table
    hour : pattern of hours that are shown; none: of each failure the worst one
    """
    lost = any(_uncovered(row) for row in result.rows)
    good = not result.broken and not claims and not lost
    shown = in_hours(result, hour)
    sections = [_verdict(result, shown, claims, lost, all_rows)]
    if shown.outage_impacts:
        sections += [_heat(shown, all_rows), _tolls(shown, all_rows)]
    return Report("drill", good, tuple(sections))


def in_hours(result: DrillResult, pattern: str | None = None) -> DrillResult:
    """Rows and tolls of some hours; without a pattern of the hour in which each failure costs most, and what breaks.

    Raises
    ------
    InputError
        when no hour matches the pattern
    """
    if result.hours == 1:
        if pattern is not None:
            got = f"{pattern!r} of a plan that has one hour"
            raise InputError([Finding("--hour", "hours of a plan over time", got, "leave it out")])
        return result
    if pattern is not None:
        hours = sorted({row.hour for row in result.rows})
        if not any(fnmatchcase(hour, pattern) for hour in hours):
            fix = f"hours are period/hour, * matches anything: {', '.join(hours[:6])}"
            raise InputError([Finding("--hour", "an hour of the plan, or a pattern of them", repr(pattern), fix)])
        rows = tuple(row for row in result.rows if fnmatchcase(row.hour, pattern))
        return replace(
            result, rows=rows, outage_impacts=tuple(t for t in result.outage_impacts if fnmatchcase(t.hour, pattern))
        )
    worst: dict[str, str] = {}
    for toll in result.outage_impacts:
        worst.setdefault(toll.failure, toll.hour)
    for row in result.rows:
        worst.setdefault(row.failure, row.hour)
    rows = tuple(row for row in result.rows if row.broken or row.hour == worst[row.failure])
    return replace(
        result, rows=rows, outage_impacts=tuple(t for t in result.outage_impacts if t.hour == worst[t.failure])
    )


def _assumed(result: DrillResult) -> list[str]:
    """What the drill assumes of a failure, and what the review of the same plan does."""
    return [ASSUMES[result.mode], *([REVIEW_DIFFERS[result.planned]] if result.planned is not None else [])]


def _worst_flow(row: DrillRow) -> str:
    """The flow of the tier that is worst off, where it is served less than the tier as a whole."""
    if not row.due_fraction or (not row.broken and row.worst_served_fraction > row.served_fraction - TOLD):
        return ""
    return f"{row.worst_workload} from {row.worst_origin} {percent(row.worst_served_fraction)}"


def _uncovered(row: DrillRow) -> bool:
    return row.uncovered_requests_per_second > 0


def _uncoverable(row: DrillRow) -> str:
    return f"{row.uncoverable_requests_per_second:,.1f}" if row.uncoverable_requests_per_second else ""


def _how(row: DrillRow) -> str:
    """What serves, where it is not replicas that ran all along alone."""
    parts = [(name, getattr(row, f"{name}_fraction")) for name in WAYS]
    told = [f"{name.replace('_', ' ')} {percent(share)}" for name, share in parts if share >= TOLD]
    return " + ".join(told) if any(name != "warm" for name, share in parts if share >= TOLD) else "warm" if told else ""


def _verdict(result: DrillResult, shown: DrillResult, claims: tuple[str, ...], lost: bool, all_rows: bool) -> Section:
    several, asked = result.hours > 1, any(r.due_fraction > 0 for r in result.rows if r.failure != NORMAL)
    failures = {row.failure for row in result.rows if row.broken}
    broken = sum(row.broken for row in result.rows)
    verdict = (
        f"goals BREAK, in {len(failures)} failures (a tier falls short {broken} times)"
        if broken
        else "every goal holds, but for what no capacity can cover"
        if lost
        else "every goal holds"
        if asked or len({r.failure for r in result.rows}) == 1
        else "no goal asks for these failures, so nothing is due in them"
    )
    some = shown.rows if all_rows else shown.rows[:MOST_ROWS]
    flows, uncoverable = any(map(_worst_flow, some)), any(r.uncoverable_requests_per_second for r in some)
    rows = [
        (
            short_failure(r.failure),
            *((r.hour,) if several else ()),
            f"{r.deadline_seconds:g}{', recovered' if r.recovered else ''}",
            r.tier,
            percent(r.due_fraction),
            percent(r.served_fraction),
            *((_worst_flow(r),) if flows else ()),
            _how(r),
            f"{r.short_requests_per_second:,.1f}",
            *((_uncoverable(r),) if uncoverable else ()),
            "BROKEN" if r.broken else "uncoverable" if _uncovered(r) else "holds" if r.due_fraction else "nothing due",
        )
        for r in some
    ]
    said = tuple(dict.fromkeys((*result.findings, *claims)))
    told = said if all_rows else said[:MOST_ROWS]
    lines = [
        f"{len({r.failure for r in result.rows} - {NORMAL}):,} failures and normal operation replayed in {result.mode},"
        f" on {result.subject}{f', in each of {result.hours} hours' if several else ''}: {verdict}",
        *((WORST_HOUR,) if several else ()),
        *_assumed(result),
        *((WORST_FLOW,) if flows else ()),
        *told,
        *([f"... and {len(said) - len(told):,} findings more: --all"] if len(said) > len(told) else []),
    ]
    return Section(
        "DRILL",
        tuple(lines),
        (
            "lost",
            *(("in",) if several else ()),
            "at s",
            "tier",
            "due",
            "served",
            *(("worst flow",) if flows else ()),
            "by",
            "short req/s",
            *(("uncoverable req/s",) if uncoverable else ()),
            "verdict",
        ),
        tuple(rows),
        len(shown.rows) - len(rows),
        data={**result.as_dict(), "claims_that_do_not_hold": claims},
    )


def _heat(result: DrillResult, all_rows: bool) -> Section:
    """Workload x failure: the worst failures are the columns."""

    def least(toll: OutageImpact) -> tuple[float, float, str]:
        return (min(toll.served_last.values(), default=1.0), min(toll.served_worst.values(), default=1.0), toll.failure)

    worst = sorted(result.outage_impacts, key=least)[:MOST_FAILURES]
    workloads = sorted({w for toll in worst for w in toll.served_last})
    rows = [
        (w, *(f"{percent(toll.served_last[w])} / {percent(toll.served_worst[w])}" for toll in worst)) for w in workloads
    ]
    kept = rows if all_rows else rows[:MOST_ROWS]
    return Section(
        "HEAT",
        (
            "share served at the end of the drill / at its worst; columns: the worst failures"
            f" ({len(worst)} of {len(result.outage_impacts):,}; all of them with --format json)",
        ),
        ("workload", *(short_failure(toll.failure) for toll in worst)),
        tuple(kept),
        len(rows) - len(kept),
        data={
            "served_last": {toll.failure: toll.served_last for toll in result.outage_impacts},
            "served_worst": {toll.failure: toll.served_worst for toll in result.outage_impacts},
        },
    )


def _tolls(result: DrillResult, all_rows: bool) -> Section:
    def again(seconds: float | None) -> str:
        return "not before repair" if seconds is None else f"{seconds:g} s"

    rows = [
        (
            short_failure(toll.failure),
            *((toll.hour,) if result.hours > 1 else ()),
            f"{toll.requests_lost:,.0f}",
            usd(toll.usd_lost),
            f"{toll.until}, {toll.until_seconds:g} s",
            again(toll.due_again_seconds),
            again(toll.all_again_seconds),
        )
        for toll in result.outage_impacts
    ]
    kept = rows if all_rows else rows[:MOST_ROWS]
    return Section(
        "TOLL",
        (
            "requests and USD lost until repair where hours_to_repair is given, else until the end of the drill;"
            " between two clocks what the first serves holds, so these are upper estimates",
        ),
        (
            "lost",
            *(("in",) if result.hours > 1 else ()),
            "requests lost",
            "USD lost",
            "counted until",
            "all due again at",
            "all again at",
        ),
        tuple(kept),
        len(rows) - len(kept),
        data=[
            {
                "failure": toll.failure,
                "hour": toll.hour,
                "requests_lost": toll.requests_lost,
                "usd_lost": toll.usd_lost,
                "until": toll.until,
                "until_seconds": toll.until_seconds,
                "due_again_seconds": toll.due_again_seconds,
                "all_again_seconds": toll.all_again_seconds,
            }
            for toll in result.outage_impacts
        ],
    )
