"""What the gateways' files survive by themselves, and what needs weights to be pushed."""

from planner.emit.behaviour import BEHAVIOURS
from planner.emit.cascade import NOTHING_DUE, OVERRIDE, cascades_of_plan
from planner.review.report import MOST_ROWS, Section, percent, short_failure
from planner.study.dependencies import NORMAL
from planner.study.records.plan import PlanFile


def _counted(gateway: str, verdicts: list[str]) -> str:
    """How many failures a gateway's file survives; a failure in which nothing is due is not survived by it."""
    needing, idle = verdicts.count(OVERRIDE), verdicts.count(NOTHING_DUE)
    survived = f"{len(verdicts) - needing - idle} of {len(verdicts)} failures are survived by its file"
    nothing = f", in {idle} nothing is due that could be served" if idle else ""
    return f"{gateway}: {survived}, {needing} need the override of the failure{nothing}; served meanwhile:"


def static_section(plan: PlanFile, all_rows: bool = False) -> Section:
    """Per failure and gateway: whether the static file survives it, and what is served until an override comes."""
    outcomes = [outcome for outcome in cascades_of_plan(plan) if outcome.failure != NORMAL]
    gateways = sorted(BEHAVIOURS)
    found = {(outcome.failure, outcome.gateway): outcome for outcome in outcomes}
    failures = sorted(
        {f for f, _ in found},
        key=lambda f: (min(found[f, g].meanwhile.served_fraction for g in gateways), f),
    )
    lines = [_counted(g, [found[f, g].verdict for f in failures]) for g in gateways]
    shown = failures if all_rows else failures[:MOST_ROWS]
    rows = tuple(
        (
            short_failure(f),
            *(cell for g in gateways for cell in (found[f, g].verdict, percent(found[f, g].meanwhile.served_fraction))),
        )
        for f in shown
    )
    columns = ("when lost", *(name for g in gateways for name in (g, "serves")))
    data = [
        {
            "failure": f,
            "gateway": g,
            "verdict": found[f, g].verdict,
            "served_fraction_meanwhile": found[f, g].meanwhile.served_fraction,
        }
        for f in failures
        for g in gateways
    ]
    return Section("STATIC FILES", tuple(lines), columns, rows, len(failures) - len(shown), data=data)
