"""The report of a drill: the verdict, who is served in the worst failures, what each failure costs, worst first."""

from planner.drill import DrillResult, DrillRow, Toll
from planner.review.report import Report, Section, percent, short_failure, usd

MOST_ROWS = 20
MOST_FAILURES = 6
NORMAL = "normal"
WAYS = ("hot", "reclaimed", "loaded", "started")


def review_drill(result: DrillResult, claims: tuple[str, ...], all_rows: bool = False) -> Report:
    """The report of a drill.

    Parameters
    ----------
    result : rows and tolls, worst first
    claims : what a plan states of itself and does not hold
    all_rows : show every row, not the worst 20 of each table
    """
    lost = any(_uncovered(row) for row in result.rows)
    good = not result.broken and not claims and not lost
    sections = [_verdict(result, claims, lost, all_rows)]
    if result.tolls:
        sections += [_heat(result, all_rows), _tolls(result, all_rows)]
    return Report("drill", good, tuple(sections))


def _uncovered(row: DrillRow) -> bool:
    return row.due_fraction > 0 and row.uncoverable_requests_per_second > 0


def _how(row: DrillRow) -> str:
    """What serves, where it is not replicas that ran all along alone."""
    parts = [(name, getattr(row, f"{name}_fraction")) for name in WAYS]
    told = [f"{name} {percent(share)}" for name, share in parts if share >= 0.005]
    return " + ".join(told) if any(name != "hot" for name, share in parts if share >= 0.005) else "hot" if told else ""


def _verdict(result: DrillResult, claims: tuple[str, ...], lost: bool, all_rows: bool) -> Section:
    failures = {row.failure for row in result.rows if row.broken}
    broken = sum(row.broken for row in result.rows)
    verdict = (
        f"goals BREAK, in {len(failures)} failures (a tier falls short {broken} times)"
        if broken
        else "every goal holds, but for what no capacity can cover"
        if lost
        else "every goal holds"
    )
    rows = [
        (
            short_failure(r.failure),
            f"{r.clock_seconds:g}",
            r.tier,
            percent(r.due_fraction),
            percent(r.served_fraction),
            _how(r),
            f"{r.short_requests_per_second:,.1f}",
            f"{r.uncoverable_requests_per_second:,.1f}" if r.uncoverable_requests_per_second else "",
            "BROKEN" if r.broken else "uncoverable" if _uncovered(r) else "holds" if r.due_fraction else "nothing due",
        )
        for r in (result.rows if all_rows else result.rows[:MOST_ROWS])
    ]
    said = tuple(dict.fromkeys((*result.findings, *claims)))
    told = said if all_rows else said[:MOST_ROWS]
    lines = [
        f"{len({r.failure for r in result.rows} - {NORMAL}):,} failures and normal operation replayed in {result.mode},"
        f" on {result.subject}: {verdict}",
        *told,
        *([f"... and {len(said) - len(told):,} findings more: --all"] if len(said) > len(told) else []),
    ]
    return Section(
        "DRILL",
        tuple(lines),
        ("lost", "at s", "tier", "due", "served", "by", "short req/s", "uncoverable req/s", "verdict"),
        tuple(rows),
        len(result.rows) - len(rows),
        data={**result.as_dict(), "claims_that_do_not_hold": claims},
    )


def _heat(result: DrillResult, all_rows: bool) -> Section:
    """Workload x failure: the worst failures are the columns."""

    def least(toll: Toll) -> tuple[float, float, str]:
        return (min(toll.served_last.values(), default=1.0), min(toll.served_worst.values(), default=1.0), toll.failure)

    worst = sorted(result.tolls, key=least)[:MOST_FAILURES]
    workloads = sorted({w for toll in worst for w in toll.served_last})
    rows = [
        (w, *(f"{percent(toll.served_last[w])} / {percent(toll.served_worst[w])}" for toll in worst)) for w in workloads
    ]
    kept = rows if all_rows else rows[:MOST_ROWS]
    return Section(
        "HEAT",
        (
            "share served at the last clock / at its worst; columns: the worst failures"
            f" ({len(worst)} of {len(result.tolls):,}; all of them with --format json)",
        ),
        ("workload", *(short_failure(toll.failure) for toll in worst)),
        tuple(kept),
        len(rows) - len(kept),
        data={
            "served_last": {toll.failure: toll.served_last for toll in result.tolls},
            "served_worst": {toll.failure: toll.served_worst for toll in result.tolls},
        },
    )


def _tolls(result: DrillResult, all_rows: bool) -> Section:
    def again(seconds: float | None) -> str:
        return "not before repair" if seconds is None else f"{seconds:g} s"

    rows = [
        (
            short_failure(toll.failure),
            f"{toll.requests_lost:,.0f}",
            usd(toll.usd_lost),
            f"{toll.until}, {toll.until_seconds:g} s",
            again(toll.due_again_seconds),
            again(toll.all_again_seconds),
        )
        for toll in result.tolls
    ]
    kept = rows if all_rows else rows[:MOST_ROWS]
    return Section(
        "TOLL",
        (
            "requests and USD lost until repair where hours_to_repair is given, else until the last clock; between two"
            " clocks what the first serves holds, so these are upper estimates",
        ),
        ("lost", "requests lost", "USD lost", "counted until", "all due again at", "all again at"),
        tuple(kept),
        len(rows) - len(kept),
        data=[
            {
                "failure": toll.failure,
                "requests_lost": toll.requests_lost,
                "usd_lost": toll.usd_lost,
                "until": toll.until,
                "until_seconds": toll.until_seconds,
                "due_again_seconds": toll.due_again_seconds,
                "all_again_seconds": toll.all_again_seconds,
            }
            for toll in result.tolls
        ],
    )
