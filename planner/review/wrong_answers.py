"""What is answered wrongly before a failure is found out: served to nobody's use, and in no other figure."""

from dataclasses import dataclass

import numpy as np

from planner.plan.in_hand import Plan
from planner.problem.arrays import full
from planner.problem.problem import fullest_hour
from planner.problem.rules.formulas import requests_sent_to_lost
from planner.review.failures import hour_text
from planner.review.figures import Figure, number
from planner.review.report import Column, Section, short_failure, usd
from planner.units import SECONDS_PER_HOUR

LINES = (
    "answered wrongly until it was found out: what normal operation sends to what the failure takes, times the share "
    "that is lost; it counts as lost nowhere else, and nobody was served by it",
    "USD at outage_usd_per_request or outage_usd_per_hour of the tier, in no sum of this review; without "
    "hours_to_find_out: requests each hour that nobody notices",
)


@dataclass(frozen=True)
class WrongAnswers:
    """What a tier is answered wrongly before a failure is found out.

    Parameters
    ----------
    hours : until it is found out; None: not known, and requests and usd are those of an hour
    """

    failure: str
    tier: str
    requests_per_second: float
    hours: float | None
    requests: float
    usd: float


def wrong_answers_section(plan: Plan) -> Section | None:
    """What is answered wrongly, most first; no section where no failure answers wrongly."""
    failures = plan.problem.failures.items()
    before = [f for f, failure in failures if failure.answers_wrongly and not failure.begins_seconds]
    rows = [row for f in before for row in _of(plan, f)]
    if not rows:
        return None
    rows.sort(key=lambda row: (-row.requests_per_second, row.failure, row.tier))
    columns = (
        Column("before it is found out", lambda row: short_failure(row.failure)),
        Column("tier"),
        Column("wrong req/s", lambda row: number(row.requests_per_second, ",.1f")),
        Column("for hours", lambda row: "not known" if row.hours is None else number(row.hours, "g")),
        Column("requests", lambda row: _each_hour(row, number(row.requests, ",.0f"))),
        Column("USD", lambda row: _each_hour(row, usd(row.usd))),
    )
    return Section("ANSWERED WRONGLY", (*LINES, *hour_text(plan.problem)), columns, rows)


def _each_hour(row: WrongAnswers, amount: Figure) -> Figure:
    if row.hours is not None:
        return amount
    return Figure(f"{amount} each hour", amount.value, amount.unit, note="each hour")


def _of(plan: Plan, f: str) -> list[WrongAnswers]:
    """What each tier is answered wrongly, in the hour of most requests; tiers without any left out."""
    p, a = plan.problem, full(plan.problem)
    hours = p.failures[f].hours_to_find_out
    wrong = np.asarray(requests_sent_to_lost(a, plan.vectors, (fullest_hour(p), f, 0.0)))
    seconds = SECONDS_PER_HOUR * (1.0 if hours is None else hours)
    rows = []
    for n, tier in enumerate(a.tiers):
        rates = wrong * (a.tier_of_flow == n)
        if (sent := float(rates.sum())) > 0:
            cost_usd = seconds * float(rates @ a.outage_usd_per_request)
            rows.append(WrongAnswers(f, tier, sent, hours, seconds * sent, cost_usd))
    return rows
