"""Every candidate for a workload from an origin, those that the plan chose ticked."""

from planner.questions.explain_candidates import Candidate, Candidates
from planner.review.report import Column, Section, percent, short_failure

TICK = "x"
PRICE = (
    "USD: of a million requests, of machines at the utilisation of normal operation, at the cheapest offer of the pool "
    "that counts in failures, with energy where it is paid apart; of machines that are bought the capital, less what "
    "they are worth when the horizon ends, and upkeep, by the hours that they stand; rank by that price, among those "
    "that may serve; what a plan needs for failures, quotas, halls and whole machines is not in it: planner explain "
    "PLAN --pool POOL has the price at which a pool would enter"
)


def candidates_section(candidates: Candidates) -> Section:
    """Every placement that might serve a workload from an origin: its share, price and rank, or why it is refused."""
    failure = candidates.failure
    may = [row for row in candidates.rows if not row.refused]
    chosen = [row for row in may if row.chosen]
    lines = [
        f"tier {candidates.tier}, model {candidates.model}: {candidates.demand_requests_per_second:,.1f} requests/s"
        f"{_shed(candidates.shed_requests_per_second)}; {len(candidates.rows)} candidates, {len(may)} may serve, "
        f"{len(chosen)} chosen ({TICK})",
    ]
    ranks = sorted(row.rank for row in chosen if row.rank is not None)
    if ranks:
        lines.append(f"chosen by price: rank {', '.join(map(str, ranks))} of {sum(r.rank is not None for r in may)}")
    if failure is not None and candidates.deadline_seconds is not None:
        then = [row for row in candidates.rows if row.chosen_in_failure]
        lines.append(
            f"when {short_failure(failure)} is lost, at {candidates.deadline_seconds:g} s: "
            f"{candidates.in_failure_requests_per_second:,.1f} requests/s"
            f"{_shed(candidates.shed_in_failure_requests_per_second)}; served by {len(then)} of them"
        )
    columns = (
        Column("", lambda row: TICK if row.chosen else ""),
        Column("placement"),
        Column("share", lambda row: _share(row.chosen, row.share_fraction)),
        Column("rank", lambda row: row.rank),
        Column("USD", _usd),
        Column("why not", lambda row: row.refused_by or row.note),
        Column(
            "then", lambda row: _share(row.chosen_in_failure, row.in_failure_share_fraction), when=failure is not None
        ),
        Column("why not then", lambda row: row.refused_in_failure, when=failure is not None),
    )
    title = f"WHO MAY SERVE ({candidates.workload} from {candidates.origin})"
    return Section(title, tuple(lines), columns, candidates.rows, (PRICE,), most=None)


def _shed(requests_per_second: float) -> str:
    return f", {requests_per_second:,.1f} of them not served" if requests_per_second > 0 else ""


def _share(chosen: bool, fraction: float) -> str:
    if not chosen:
        return ""
    return percent(fraction) if fraction >= 0.005 else "< 0.5 %"


def _usd(row: Candidate) -> str:
    if row.usd_per_million_requests is None:
        return row.offer
    return f"{row.usd_per_million_requests:,.2f}"
