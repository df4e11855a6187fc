"""What the gateways' files survive by themselves, and what needs weights to be pushed."""

from dataclasses import dataclass
from functools import partial

from planner.emit.behaviour import BEHAVIOURS
from planner.emit.cascade import NOT_PUSHED, NOTHING_DUE, OVERRIDE, TOO_LATE, cascades_of_plan
from planner.plan.in_hand import Plan
from planner.questions.planned import silent
from planner.review.report import AT_RISK, BROKEN, Column, Section, Severity, percent, short_failure
from planner.solve.search import Progress
from planner.study.dependencies import NORMAL

SEVERITIES: dict[str, Severity] = {OVERRIDE: AT_RISK, TOO_LATE: BROKEN, NOT_PUSHED: BROKEN}


def _counted(gateway: str, verdicts: list[str]) -> str:
    """How many failures a gateway's file survives; a failure in which nothing is due is not survived by it."""
    counted = (OVERRIDE, NOTHING_DUE, TOO_LATE, NOT_PUSHED)
    needing, idle, late, dark = (verdicts.count(verdict) for verdict in counted)
    survived = f"{len(verdicts) - needing - idle - late - dark} of {len(verdicts)} failures are survived by its file"
    nothing = f", in {idle} nothing is due that could be served" if idle else ""
    too_late = f", {late} are found too late by it" if late else ""
    too_late += f", {dark} break goals as no weights are pushed in them" if dark else ""
    return f"{gateway}: {survived}, {needing} need the override of the failure{too_late}{nothing}; served meanwhile:"


@dataclass(frozen=True)
class StaticOutcome:
    """Whether a gateway's file survives a failure by itself, and the share served until an override comes."""

    failure: str
    gateway: str
    verdict: str
    served_fraction_meanwhile: float


def static_section(plan: Plan, progress: Progress = silent) -> Section:
    """Per failure and gateway: whether the static file survives it, and what is served until an override comes."""
    gateways, by_failure = sorted(BEHAVIOURS), dict[str, dict[str, StaticOutcome]]()
    for o in cascades_of_plan(plan, partial(progress, "failures under the static files")):
        if o.failure != NORMAL:
            outcome = StaticOutcome(o.failure, o.gateway, o.verdict, o.meanwhile.served_fraction)
            by_failure.setdefault(o.failure, {})[o.gateway] = outcome
    rows = sorted(by_failure.values(), key=_worst_first)
    columns = [Column("when lost", lambda row: short_failure(row[gateways[0]].failure))]
    for gateway in gateways:
        columns += _columns(gateway)
    lines = tuple(_counted(gateway, [row[gateway].verdict for row in rows]) for gateway in gateways)
    every = [row[gateway] for row in rows for gateway in gateways]
    return Section("STATIC FILES", lines, tuple(columns), rows, data=every)


def _worst_first(row: dict[str, StaticOutcome]) -> tuple[float, str]:
    outcomes = row.values()
    return min(o.served_fraction_meanwhile for o in outcomes), next(o.failure for o in outcomes)


def _columns(gateway: str) -> list[Column]:
    return [
        Column(gateway, lambda row: row[gateway].verdict, severity=lambda row: SEVERITIES.get(row[gateway].verdict)),
        Column("serves", lambda row: percent(row[gateway].served_fraction_meanwhile)),
    ]
