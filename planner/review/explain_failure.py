"""A failure step by step: in which order what happens, who goes where, and what is short."""

from dataclasses import dataclass

from planner.questions.explain_failure import ORDER, FailureExplained, FailureStep, TierServed
from planner.review.report import Column, Section, first_of, made, percent, short_failure
from planner.units import SECONDS_PER_HOUR

MOST_NAMED = 6
REQUESTS = ("moved", "more demand", "served again", "not served")
PAIRED = (
    "gateways get shares, not pairs: what a placement has less of is paired with what another has more of, the largest "
    "first; by s: when the last of it can be served there: at once by what runs, else when it is loaded"
)
ORDERED = (
    "the plan's own answer: seconds since the failure began; what is loaded begins as soon as it can, on machines that "
    "what is evicted leaves; between deadlines of goals nothing is due"
)


@dataclass(frozen=True)
class OrderRow:
    """What happens at a second of a failure, added up."""

    seconds: float
    begins_seconds: float
    what: str
    placements: int
    replicas: float
    machines: float
    requests_per_second: float
    largest: str


def failure_sections(explained: FailureExplained) -> tuple[Section, ...]:
    """A failure step by step."""
    return made(_answer(explained), _order(explained), _replicas(explained), _requests(explained), _short(explained))


def _answer(explained: FailureExplained) -> Section:
    lost = [
        short_failure(component) + (f" ({percent(share)})" if share < 1 else "")
        for component, share in explained.lost.items()
    ]
    lines = [
        f"lost: {first_of(lost, MOST_NAMED) or 'nothing'}; detected, and requests moved, at "
        f"{explained.detected_seconds:g} s"
    ]
    if explained.keeps_weights:
        lines.append("gateways keep their weights: no new ones are pushed, nothing is started")
    if explained.nothing_moves:
        lines.append("nothing that is in use is lost: all goes on as in normal operation")
    else:
        lines.append("; ".join(_sums(explained)))
    last = max((row.deadline_seconds for row in explained.served), default=0.0)
    for row in explained.served:
        if row.deadline_seconds == last:
            lines.append(_served_text(row))
    lines.append("the plan is sized by it" if explained.binding else "the plan is not sized by it: others need as much")
    return Section(f"WHEN LOST ({short_failure(explained.failure)})", tuple(lines))


def _sums(explained: FailureExplained) -> list[str]:
    """What happens in all, by kind."""
    sums = []
    for what in ORDER:
        steps = [step for step in explained.steps if step.what == what]
        if not steps or what == "repaired":
            continue
        sums.append(f"{what}: {_how_much(_order_row(steps))}")
    return sums


def _served_text(row: TierServed) -> str:
    wanted, served = row.wanted_requests_per_second, row.served_requests_per_second
    share = percent(served / wanted) if wanted > 0 else "100 %"
    due = percent(row.due_requests_per_second / wanted) if wanted > 0 else "0 %"
    verdict = "SHORT of what is due" if row.is_short else "as promised"
    if row.due_requests_per_second <= 0:
        verdict = "nothing is due"
    return f"tier {row.tier} at {row.deadline_seconds:g} s: {share} served, {due} due: {verdict}"


def _order(explained: FailureExplained) -> Section | None:
    groups: dict[tuple[float, str], list[FailureStep]] = {}
    for step in explained.steps:
        groups.setdefault((step.seconds, step.what), []).append(step)
    rows = [_order_row(steps) for steps in groups.values()]
    if not rows:
        return None
    columns = (
        Column("at s", lambda row: _at(row.seconds)),
        Column("begins s", lambda row: _at(row.begins_seconds)),
        Column("what"),
        Column("how much", _how_much),
        Column("the largest", lambda row: row.largest),
    )
    return Section("IN ORDER", (), columns, rows, (ORDERED,), most=None)


def _order_row(steps: list[FailureStep]) -> OrderRow:
    first = steps[0]
    names = {step.placement or step.from_placement or step.pool for step in steps} - {""}
    return OrderRow(
        first.seconds,
        min(step.begins_seconds for step in steps),
        first.what,
        len(names),
        sum(step.replicas for step in steps),
        sum(step.machines for step in steps),
        sum(step.requests_per_second for step in steps),
        f"{first.workload} from {first.origin}" if first.workload else first.pool,
    )


def _replicas(explained: FailureExplained) -> Section | None:
    rows = [step for step in explained.steps if step.what not in (*REQUESTS, "repaired")]
    if not rows:
        return None
    columns = (
        Column("at s", lambda row: _at(row.seconds)),
        Column("begins s", lambda row: _at(row.begins_seconds)),
        Column("what"),
        Column("placement", lambda row: row.placement or row.pool),
        Column("replicas", lambda row: _number(row.replicas)),
        Column("machines", lambda row: _number(row.machines), when=any(row.machines for row in rows)),
    )
    return Section("REPLICAS AND MACHINES", (), columns, rows)


def _requests(explained: FailureExplained) -> Section | None:
    rows = [step for step in explained.steps if step.what in REQUESTS]
    if not rows:
        return None
    columns = (
        Column("by s", lambda row: _at(row.seconds)),
        Column("what"),
        Column("stream", lambda row: f"{row.workload} from {row.origin}"),
        Column("requests/s", lambda row: _rate(row.requests_per_second)),
        Column("from, to", _route),
        Column("", lambda row: "DUE" if row.due else ""),
    )
    return Section("WHO GOES WHERE", (), columns, rows, (PAIRED,), always=lambda row: row.due)


def _short(explained: FailureExplained) -> Section | None:
    columns = (
        Column("tier"),
        Column("at s", lambda row: _at(row.deadline_seconds)),
        Column("wanted req/s", lambda row: _rate(row.wanted_requests_per_second)),
        Column("served", lambda row: _rate(row.served_requests_per_second)),
        Column("due", lambda row: _rate(row.due_requests_per_second)),
        Column("", lambda row: "SHORT" if row.is_short else ""),
    )
    return Section("SERVED", (), columns, explained.served, most=None)


def _how_much(row: OrderRow | FailureStep) -> str:
    """Replicas, machines and requests of what happens, as people say it."""
    parts = []
    if row.replicas:
        parts.append(f"{row.replicas:,.0f} replicas")
    if row.machines:
        parts.append(f"{row.machines:,.0f} machines")
    if row.requests_per_second:
        parts.append(f"{row.requests_per_second:,.1f} req/s")
    return ", ".join(parts)


def _route(row: FailureStep) -> str:
    """Where requests went, and where they go."""
    came_from = row.from_pool or "(not served before)"
    return f"{came_from} → {row.pool or '(not served)'}"


def _at(seconds: float) -> str:
    return f"{seconds:g}" if seconds < SECONDS_PER_HOUR else f"{seconds / SECONDS_PER_HOUR:g} h"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value else ""


def _rate(value: float) -> str:
    return f"{value:,.1f}" if value else ""
