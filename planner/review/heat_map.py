"""The heat map: what each workload is served in each failure, at its last deadline."""

from dataclasses import dataclass

import numpy as np

from planner.plan.in_hand import Plan
from planner.problem.arrays import full
from planner.problem.problem import Problem, State, fullest_hour
from planner.problem.rules.formulas import served
from planner.review.failures import hour_text
from planner.review.figures import Figure, number
from planner.review.report import BROKEN, Column, Section, Shade, percent, short_failure
from planner.review.worst_first import worst_first

SHORT = 1e-6
"""Shares closer than this to what is due are as is due."""


@dataclass(frozen=True)
class FailureByWorkload:
    """What a failure leaves served of each workload, in the hour of most requests.

    Parameters
    ----------
    served_fraction : by workload, of all its origins
    due_fraction : by workload, what its goals ask for of all its origins; 0 where nothing is due
    asked_fraction : by workload, what its goals ask for by then, whether or not any capacity can serve it
    short : workloads of which an origin is served less than is due
    uncoverable : workloads of which goals ask for more at an origin than any capacity can serve
    """

    failure: str
    deadline_seconds: float
    served_fraction: dict[str, float]
    due_fraction: dict[str, float]
    asked_fraction: dict[str, float]
    short: tuple[str, ...]
    uncoverable: tuple[str, ...]


def heat_rows(plan: Plan) -> list[FailureByWorkload]:
    """Every failure at its last deadline, in the order of FAILURES."""
    p = plan.problem
    return [_row(plan, (fullest_hour(p), f, p.deadlines_seconds[f][-1])) for f in worst_first(plan)]


def _row(plan: Plan, s: State) -> FailureByWorkload:
    a, x = full(plan.problem), plan.vectors
    offered, goes, due = x.offered[s,], served(a, x, s), a.due_share(s)
    share, is_due, asked, short, uncoverable = {}, {}, {}, [], []
    by_tier = _asked_by_tier(plan.problem, s)
    for w in dict.fromkeys(w for w, _ in a.flows):
        of_it = np.array([other == w for other, _ in a.flows], dtype=bool)
        wanted = float(offered[of_it].sum())
        if wanted <= 0:
            continue
        share[w] = min(1.0, float(goes[of_it].sum()) / wanted)
        is_due[w] = float((due * offered)[of_it].sum()) / wanted
        asked[w] = by_tier.get(plan.problem.tier_of[w], 0.0)
        if (goes[of_it] < (due * offered)[of_it] * (1 - SHORT)).any():
            short.append(w)
        if (due[of_it & (offered > 0)] < asked[w] * (1 - SHORT)).any():
            uncoverable.append(w)
    return FailureByWorkload(s[1], s[2], share, is_due, asked, tuple(short), tuple(uncoverable))


def _asked_by_tier(p: Problem, s: State) -> dict[str, float]:
    """The largest share that goals of a tier ask for by a deadline."""
    asked: dict[str, float] = {}
    for tier, fraction, within in p.promised[s[1]]:
        if within <= s[2]:
            asked[tier] = max(fraction, asked.get(tier, 0.0))
    return asked


def heat_map_section(plan: Plan) -> Section | None:
    """HEAT MAP: a row a failure, a column a workload; none where nothing fails."""
    rows, p = heat_rows(plan), plan.problem
    if not rows:
        return None

    def column(w: str) -> Column:
        return Column(
            f"{w} ({p.tier_of[w]})",
            lambda row: _text(row, w),
            severity=lambda row: BROKEN if w in (*row.short, *row.uncoverable) else None,
            shade=lambda row: _shade(row, w),
        )

    columns = (
        Column("when lost", lambda row: short_failure(row.failure)),
        Column("at s", lambda row: number(row.deadline_seconds, "g")),
        *(column(w) for w in dict.fromkeys(w for w, _ in p.flows)),
    )
    lines = (
        "share of a workload that is served at the failure's last deadline, of all its origins; 80 % of 80 %: of what "
        "its goals ask for; SHORT: less than that; UNCOVERABLE: goals ask for more than any capacity can serve; "
        "in brackets where no goal asks for any, and all may go unserved",
        *hour_text(p),
    )
    return Section("HEAT MAP", lines, columns, rows, most=None, part="evidence", when_all=True)


def _shade(row: FailureByWorkload, w: str) -> Shade | None:
    """What a workload is served, against all of it, what is due, and what goals ask for."""
    if w not in row.served_fraction:
        return None
    if w in row.short or w in row.uncoverable:
        return "short"
    if row.served_fraction[w] >= 1 - SHORT:
        return "all"
    return "due" if row.due_fraction[w] > 0 else "undue"


def _text(row: FailureByWorkload, w: str) -> Figure | None:
    shade = _shade(row, w)
    if shade is None:
        return None
    share, due = percent(row.served_fraction[w]), percent(row.due_fraction[w])
    asked = percent(row.asked_fraction[w])
    missed = f"{share} SHORT of {due}" if w in row.short else f"{share} of {asked}, UNCOVERABLE"
    texts = {"all": share, "due": f"{share} of {due}", "undue": f"({share})", "short": missed}
    return Figure(texts[shade], share.value, share.unit, due=row.due_fraction[w])
