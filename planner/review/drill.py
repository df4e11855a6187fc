"""The report of a drill: the verdict, who is served in the worst failures, what each failure costs, worst first."""

from dataclasses import replace
from fnmatch import fnmatchcase

from planner.drill import DrillResult, DrillRow, OutageImpact
from planner.errors import Finding, InputError
from planner.review.figures import Figure, number
from planner.review.report import (
    AT_RISK,
    BROKEN,
    HELD,
    Column,
    Judged,
    Report,
    Section,
    Several,
    Severity,
    as_data,
    percent,
    short_failure,
    usd,
)
from planner.review.served import LEAST_DIFFERENCE, WORST_FLOW
from planner.units import SECONDS_PER_HOUR

MOST_ROWS = 20
MOST_FAILURES = 6
NORMAL = "normal"
ASSUMES = {
    "resolve": "resolve: for each failure weights and cold starts of replicas are chosen anew: first for what is due, "
    "then for all that can be served",
    "rescale": "rescale: gateways renormalise the weights of normal operation over what remains; no cold starts",
}
MIXED = "each as gateways fail over in it: no weights can be pushed in {many} of {all}, replayed in rescale: {which}"
REVIEW_DIFFERS = {
    "resolve": "the review shows the plan's own answer, weights chosen anew and no more cold starts than goals need: "
    "what is not due may differ from it, what is due must hold in both",
    "rescale": "the review shows the plan's own answer, by fixed weights within the limits it states, no cold starts: "
    "what is not due may differ from it, what is due must hold in both",
    "mixed": "the review shows the plan's own answer, where no weights can be pushed by fixed ones within its limits, "
    "else by weights chosen anew: what is not due may differ from it, what is due must hold in both",
}
NOT_JUDGED = "not judged: rule {rule} of the plan is not known to the drill; its verdict does not cover it"
NOTHING_OBTAINED = (
    "nothing obtained: what is served where no machine can be had in the failure, other than `policies.counted` says"
)
WORST_HOUR = "rows: what breaks, and of each failure the hour in which it costs most; --hour shows others"
HOW = ("warm", "reclaimed", "cold_start", "launched")
"""How replicas come to run: NAME_fraction of a row is the share that they serve."""


def review_drill(
    result: DrillResult, claims: tuple[str, ...], all_rows: bool = False, hour: str | None = None
) -> Report:
    """The report of a drill.

    Parameters
    ----------
    result : rows and outage impacts, worst first
    claims : what a plan states of itself and does not hold
    all_rows : write every row, not the worst 20 of each table
    hour : pattern of the hours that are listed; none: of each failure the worst one
    """
    lost = any(_uncovered(row) for row in result.rows)
    good = not result.broken and not claims and not lost
    selected = in_hours(result, hour)
    sections = [_verdict(result, selected, claims, lost)]
    if selected.outage_impacts:
        sections += [_heat_map(selected), _outage_impact(selected)]
    return Report("drill", good, tuple(sections), all_rows=all_rows)


def in_hours(result: DrillResult, pattern: str | None = None) -> DrillResult:
    """Rows and outage impacts of some hours; without a pattern of the hour that costs most, and what breaks.

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
    for impact in result.outage_impacts:
        worst.setdefault(impact.failure, impact.hour)
    for row in result.rows:
        worst.setdefault(row.of or row.failure, row.hour)
    rows = tuple(row for row in result.rows if row.broken or row.hour == worst[row.of or row.failure])
    return replace(
        result, rows=rows, outage_impacts=tuple(t for t in result.outage_impacts if t.hour == worst[t.failure])
    )


def _assumed(result: DrillResult) -> list[str]:
    """What the drill assumes of a failure, and what the review of the same plan does."""
    assumed = list(ASSUMES.values()) if result.mode == "mixed" else [ASSUMES[result.mode]]
    return [*_by_weights(result), *assumed, *([REVIEW_DIFFERS[result.planned]] if result.planned is not None else [])]


def _by_weights(result: DrillResult) -> list[str]:
    """Which failures were rescaled, where others were re-solved."""
    if result.mode != "mixed":
        return []
    named, all_of_them = result.rescaled[:MOST_FAILURES], {row.failure for row in result.rows} - {NORMAL}
    more = len(result.rescaled) - len(named)
    which = ", ".join(short_failure(id) for id in named) + (f" and {more} more" if more else "")
    return [MIXED.format(many=len(result.rescaled), all=len(all_of_them), which=which)]


def _worst_flow(row: DrillRow) -> str:
    """The flow of the tier that is worst off, where it is served less than the tier as a whole."""
    if not row.due_fraction or (not row.broken and row.worst_served_fraction > row.served_fraction - LEAST_DIFFERENCE):
        return ""
    return f"{row.worst_workload} from {row.worst_origin} {percent(row.worst_served_fraction)}"


def _uncovered(row: DrillRow) -> bool:
    return row.uncovered_requests_per_second > 0


def _at(row: DrillRow) -> Figure:
    note = "recovered" if row.recovered else ""
    text = f"{row.deadline_seconds:g}{', ' if note else ''}{note}"
    return Figure(text, row.deadline_seconds, note=note)


def _nothing_obtained(row: DrillRow) -> str:
    """What is served where nothing can be obtained, where that is less."""
    return "" if row.without_obtaining_fraction is None else percent(row.without_obtaining_fraction)


def _uncoverable(row: DrillRow) -> str:
    return number(row.uncoverable_requests_per_second, ",.1f") if row.uncoverable_requests_per_second else ""


def _how(row: DrillRow) -> str:
    """What serves, where it is not replicas that ran all along alone."""
    shares = {name.replace("_", " "): getattr(row, f"{name}_fraction") for name in HOW}
    served = {name: share for name, share in shares.items() if share >= LEAST_DIFFERENCE}
    if served.keys() <= {"warm"}:
        return ", ".join(served)
    return " + ".join(f"{name} {percent(share)}" for name, share in served.items())


def _summary(result: DrillResult, lost: bool) -> str:
    """What holds and what breaks, in one phrase."""
    broken = [row.failure for row in result.rows if row.broken]
    if broken:
        return f"goals BREAK, in {len(set(broken))} failures (a tier falls short {len(broken)} times)"
    if lost:
        return "every goal holds, but for what no capacity can cover"
    is_asked = any(row.due_fraction > 0 for row in result.rows if row.failure != NORMAL)
    if is_asked or len({row.failure for row in result.rows}) == 1:
        return "every goal holds"
    return "no goal asks for these failures, so nothing is due in them"


def _severity(row: DrillRow) -> Severity | None:
    """How grave a row is; None where nothing is due in it."""
    if row.broken:
        return BROKEN
    if _uncovered(row):
        return AT_RISK
    return HELD if row.due_fraction else None


def _row_verdict(row: DrillRow) -> str:
    if row.broken:
        return "BROKEN"
    if _uncovered(row):
        return "uncoverable"
    return "holds" if row.due_fraction else "nothing due"


def _verdict(result: DrillResult, selected: DrillResult, claims: tuple[str, ...], lost: bool) -> Section:
    several = result.hours > 1
    has_worst_flow, has_uncoverable = any(map(_worst_flow, selected.rows)), any(map(_uncoverable, selected.rows))
    columns = (
        Column("lost", lambda row: short_failure(row.failure)),
        Column("in", lambda row: row.hour, when=several),
        Column("at s", _at),
        Column("tier"),
        Column("due", lambda row: percent(row.due_fraction)),
        Column("served", lambda row: percent(row.served_fraction)),
        Column("nothing obtained", _nothing_obtained, when=any(map(_nothing_obtained, selected.rows))),
        Column("worst flow", _worst_flow, when=has_worst_flow),
        Column("by replicas", _how),
        Column("short req/s", lambda row: number(row.short_requests_per_second, ",.1f")),
        Column("uncoverable req/s", _uncoverable, when=has_uncoverable),
        Column("verdict", _row_verdict, severity=_severity),
    )
    failures = len({row.of or row.failure for row in result.rows} - {NORMAL})
    on = f"{result.subject}{f', in each of {result.hours} hours' if several else ''}"
    how = "" if result.mode == "mixed" else f" in {result.mode}"
    said = f"{failures:,} failures and normal operation replayed{how}, on {on}: {_summary(result, lost)}"
    lines = (
        Judged(said, BROKEN if result.broken else AT_RISK if lost else HELD),
        *((WORST_HOUR,) if several else ()),
        *_assumed(result),
        *((NOTHING_OBTAINED,) if any(map(_nothing_obtained, selected.rows)) else ()),
        *((WORST_FLOW,) if has_worst_flow else ()),
        *(NOT_JUDGED.format(rule=rule) for rule in result.not_judged),
        Several(tuple(dict.fromkeys((*result.findings, *claims))), "findings more", MOST_ROWS),
    )
    data = {**result.as_dict(), "claims_that_do_not_hold": claims}
    return Section("DRILL", lines, columns, selected.rows, data=data, most=MOST_ROWS)


def _last_and_worst(last: float, worst: float) -> Figure:
    return Figure(f"{percent(last)} / {percent(worst)}", last, "%", worst=worst)


def _heat_map(result: DrillResult) -> Section:
    """Workload x failure: the worst failures are the columns."""

    def worst_first(impact: OutageImpact) -> tuple[float, float, str]:
        last, worst = impact.served_last.values(), impact.served_worst.values()
        return min(last, default=1.0), min(worst, default=1.0), impact.failure

    def column(impact: OutageImpact) -> Column:
        return Column(
            short_failure(impact.failure),
            lambda w: _last_and_worst(impact.served_last[w], impact.served_worst[w]),
        )

    worst = sorted(result.outage_impacts, key=worst_first)[:MOST_FAILURES]
    workloads = sorted({w for impact in worst for w in impact.served_last})
    line = (
        "share served at the end of the drill / at its worst; columns: the worst failures"
        f" ({len(worst)} of {len(result.outage_impacts):,}; all of them with --format json)"
    )
    data = {
        "served_last": {impact.failure: impact.served_last for impact in result.outage_impacts},
        "served_worst": {impact.failure: impact.served_worst for impact in result.outage_impacts},
    }
    columns = (Column("workload", lambda w: w), *map(column, worst))
    return Section("HEAT MAP", (line,), columns, workloads, data=data, most=MOST_ROWS)


def _outage_impact(result: DrillResult) -> Section:
    """What each failure costs until it is repaired, and when all is served again."""
    columns = (
        Column("lost", lambda impact: short_failure(impact.failure)),
        Column("in", lambda impact: impact.hour, when=result.hours > 1),
        Column("requests lost", lambda impact: number(impact.requests_lost, ",.0f")),
        Column("USD lost", lambda impact: usd(impact.usd_lost)),
        Column("nothing obtained", lost_without, when=any(map(lost_without, result.outage_impacts))),
        Column("counted until", lambda impact: f"{impact.until}, {impact.until_seconds:g} s"),
        Column(
            "all due again at",
            lambda impact: _again(impact.due_again_seconds),
            severity=lambda impact: BROKEN if impact.due_again_seconds is None else None,
        ),
        Column(
            "all again at",
            lambda impact: _again(impact.all_again_seconds),
            severity=lambda impact: AT_RISK if impact.all_again_seconds is None else None,
        ),
    )
    wrong = Several(tuple(filter(None, map(answered_wrongly, result.outage_impacts))), "answered wrongly", MOST_ROWS)
    line = (
        "requests and USD lost until repair where hours_to_repair is given, else until the end of the drill; between "
        "two deadlines what the first serves holds, so these are upper estimates"
    )
    impacts = [as_data(impact) for impact in result.outage_impacts]
    data = [{name: value for name, value in impact.items() if not name.startswith("served_")} for impact in impacts]
    return Section("OUTAGE IMPACT", (line, wrong), columns, result.outage_impacts, data=data, most=MOST_ROWS)


def lost_without(impact: OutageImpact) -> str:
    """What is lost where nothing can be obtained, where that is more."""
    if impact.requests_lost_without_obtaining is None or impact.usd_lost_without_obtaining is None:
        return ""
    return f"{impact.requests_lost_without_obtaining:,.0f}, {usd(impact.usd_lost_without_obtaining)} USD"


def answered_wrongly(impact: OutageImpact) -> str:
    """What normal operation has answered wrongly until a failure was found out; nothing where none was."""
    rates = impact.wrong_requests_per_second
    if not rates:
        return ""
    what = short_failure(impact.failure) + (f" in {impact.hour}" if impact.hour else "")
    by_tier = ", ".join(f"{tier} {rate:,.1f}" for tier, rate in rates.items())
    if impact.wrong_requests is None or impact.wrong_usd is None:
        each_hour = sum(rates.values()) * SECONDS_PER_HOUR
        return (
            f"{what}: answered wrongly, {each_hour:,.0f} requests each hour that nobody notices ({by_tier} requests/s)"
        )
    return (
        f"{what}: answered wrongly until it was found out: {impact.wrong_requests:,.0f} requests ({by_tier} requests/s "
        f"for {impact.hours_to_find_out:g} h), {usd(impact.wrong_usd)} USD apart from what is lost"
    )


def _again(seconds: float | None) -> str:
    return "not before repair" if seconds is None else number(seconds, "g", " s", "s")
