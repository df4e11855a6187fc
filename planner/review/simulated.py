"""The report of simulated states: how long requests wait, and how many have their first token within the target."""

from collections.abc import Callable
from functools import partial

from planner.drill.simulated_queue import Routing
from planner.drill.simulated_tiers import SimulatedTier
from planner.questions.simulated import Simulated
from planner.review.figures import Figure, number
from planner.review.report import Cell, Column, Report, Section, as_data, made, percent, short_failure
from planner.study.places import listed
from planner.units import MS_PER_SECOND

MOST_ROWS = 20
LEAST_BELOW = 0.005
"""By so much less a placement must serve within the target than all of a tier to be listed."""
ESTIMATES = (
    "estimates, by an event simulation that shares no formula with the plan: each request waits for a slot of a "
    "replica (concurrency_limit), first come first served, and keeps it as long as in a full replica"
)
FIXED = "lengths: all of a workload have the mean lengths that the study states"
EXPONENTIAL = (
    "lengths: inputs all have the mean length that the study states, outputs are exponential about theirs, as a study "
    "states no distribution"
)
LOGNORMAL = (
    "lengths: inputs all have the mean length that the study states, outputs are lognormal about theirs, variation {:g}"
)
ARRIVALS = "arrivals: Poisson, at the peak of the hour (burst_factor); what is shed is not counted"
ROUTINGS = {
    "least-requests": "least-requests: the gateway sends each request to the replica that has the fewest",
    "two-at-random": "two-at-random: to that of two replicas, drawn at random, that has fewer (LEAST_REQUEST of Envoy)",
    "random": "random: to any replica, as by fixed weights, hashes or a plain service",
    "round-robin": "round-robin: to each replica in turn",
    "one-queue": "one-queue: the gateway holds a request back until a slot of any replica is free",
}
IN_TIME = (
    "in time: share of requests whose first token (round trip + wait + first_token_ms) is within the target, ± what "
    "chance may have moved, 95 of 100 times; high end: the same by first_token_ms_high, where an estimate has one"
)
BUSY = (
    "busy: share of all slots, the mean where the tier is sent; fullest in FAILURES of a review is of one placement, "
    "of how far it may be filled"
)
Row = dict[Routing, SimulatedTier]
"""A tier in a state, by routing."""


def review_simulated(simulated: Simulated, all_rows: bool = False) -> Report:
    """The report of states that were simulated: good unless a plan by waiting does not keep what its tiers ask for."""
    of_state: dict[tuple[str, str, float, str], Row] = {}
    for row in simulated.rows:
        of_state.setdefault((row.hour, row.failure, row.deadline_seconds, row.tier), {})[row.routing] = row
    rows = list(of_state.values())
    if not rows:
        nothing = Section("WAITING, SIMULATED", ("the plan serves nothing in these states",), data={"rows": []})
        return Report("simulation", True, (nothing,))
    sections = (_judged(simulated), _in_time(simulated, rows), _first_token(rows), _worst_placements(simulated))
    return Report("simulation", not simulated.late, made(*sections), all_rows=all_rows)


def _judged(simulated: Simulated) -> Section | None:
    """What a plan by waiting promises, and whether it is kept; no section where it promises nothing of waits."""
    if simulated.judged is None:
        return None
    of_plan = [row for row in simulated.rows if row.routing == simulated.judged and row.target_ms is not None]
    late = simulated.late
    asked = ", ".join(f"{tier} {percent(fraction)}" for tier, fraction in sorted(simulated.asked_fraction.items()))
    lines = (
        f"{len(of_plan) - len(late)} of {len(of_plan)} tiers in states have as many first tokens in time as they ask "
        f"for ({asked}), by {simulated.judged}, as the plan reckons, and at the high end of prefill",
        "one is late where even with what chance may have moved fewer are in time",
    )
    columns = (
        Column("lost", lambda row: short_failure(row.failure)),
        Column("at s", lambda row: number(row.deadline_seconds, "g")),
        Column("tier"),
        Column("in time", lambda row: f"{percent(row.within_high_fraction, 1)} ± {100 * row.error_fraction:.1f}"),
    )
    return Section("IN TIME", lines, columns, late, data={"asked_fraction": simulated.asked_fraction, "late": late})


def _first(row: Row) -> SimulatedTier:
    return next(iter(row.values()))


def _state_columns(rows: list[Row]) -> tuple[Column, ...]:
    several = len({_first(row).hour for row in rows}) > 1
    return (
        Column("lost", lambda row: short_failure(_first(row).failure)),
        Column("in", lambda row: _first(row).hour, when=several),
        Column("at s", lambda row: number(_first(row).deadline_seconds, "g")),
        Column("tier", lambda row: _first(row).tier),
    )


def _of_routing(routing: Routing, cell: Callable[[SimulatedTier], Cell], row: Row) -> Cell:
    return cell(row[routing])


def _in_time(simulated: Simulated, rows: list[Row]) -> Section:
    """Who has a first token in time, by routing."""
    routings = list(dict.fromkeys(row.routing for row in simulated.rows))
    columns = [
        *_state_columns(rows),
        Column("busy", lambda row: percent(_first(row).utilisation)),
        Column("target s", lambda row: _target(_first(row))),
    ]
    for routing in routings:
        columns.append(Column(f"in time, {routing}", partial(_of_routing, routing, _share_in_time)))
        columns.append(Column("high end", partial(_of_routing, routing, _share_at_high_end)))
    requests = sum(row.requests for row in simulated.rows)
    variation = simulated.sampling.output.variation
    lengths = [{0.0: FIXED, 1.0: EXPONENTIAL}.get(variation, LOGNORMAL.format(variation))]
    if simulated.by_quantiles:
        lengths.append(f"lengths of {listed(simulated.by_quantiles)}: by the quantiles that the study states")
    lines = (
        f"{len({row.failure for row in simulated.rows}) - 1:,} failures and normal operation of the plan of "
        f"{simulated.study}, as it states them: {requests:,} requests simulated, "
        f"{simulated.sampling.least_requests:,} a placement at the least, seed {simulated.sampling.seed}",
        ESTIMATES,
        *lengths,
        ARRIVALS,
        *(ROUTINGS[routing] for routing in routings),
        IN_TIME,
        BUSY,
    )
    data = {
        "assumes": lines[1:],
        "sampling": {"requests": simulated.sampling.requests, "seed": simulated.sampling.seed, "variation": variation},
        "rows": [as_data(row) for row in simulated.rows],
    }
    return Section("WAITING, SIMULATED", lines, tuple(columns), rows, data=data, most=MOST_ROWS)


def _target(row: SimulatedTier) -> str:
    return "" if row.target_ms is None else number(row.target_ms / MS_PER_SECOND, "g")


def _share_in_time(row: SimulatedTier) -> str:
    if row.within_fraction is None or row.error_fraction is None:
        return ""
    text = f"{percent(row.within_fraction, 1)} ± {100 * row.error_fraction:.1f}"
    return Figure(text, row.within_fraction, "%", error=row.error_fraction)


def _share_at_high_end(row: SimulatedTier) -> str:
    return "" if row.within_high_fraction is None else percent(row.within_high_fraction, 1)


def _first_token(rows: list[Row]) -> Section:
    """First tokens and waits by percentile, by routing."""
    columns = list(_state_columns(rows))
    for routing in rows[0]:
        columns.append(Column(f"first token s, {routing}", partial(_of_routing, routing, _first_tokens)))
        columns.append(Column("wait s", partial(_of_routing, routing, _waits)))
    line = "at the 50th / 95th / 99th percentile"
    return Section("FIRST TOKEN, SIMULATED", (line,), tuple(columns), rows, data=[], most=MOST_ROWS)


def _first_tokens(row: SimulatedTier) -> str:
    return _seconds(row.first_token_ms)


def _waits(row: SimulatedTier) -> str:
    return _seconds(row.wait_ms)


def _seconds(of: dict[int, float]) -> str:
    return " / ".join(f"{value / MS_PER_SECOND:.2f}" for value in of.values())


def _worst_placements(simulated: Simulated) -> Section:
    """The placement of each tier with the fewest in time, where that is fewer than of all."""
    columns = (
        Column("lost", lambda row: short_failure(row.failure)),
        Column("at s", lambda row: number(row.deadline_seconds, "g")),
        Column("tier"),
        Column("routing"),
        Column("placement", lambda row: row.worst_placement),
        Column("busy", lambda row: percent(row.worst_utilisation)),
        Column("in time", lambda row: percent(row.worst_within_fraction, 1)),
    )
    rows = [row for row in simulated.rows if _is_below(row)]
    rows.sort(key=lambda row: (row.worst_within_fraction, row.failure, row.tier, row.routing))
    line = "of each tier the placement with the fewest in time, least first" if rows else "none is below its tier"
    return Section("WORST PLACEMENTS, SIMULATED", (line,), columns, rows, data=[], most=MOST_ROWS)


def _is_below(row: SimulatedTier) -> bool:
    if row.within_fraction is None or row.worst_within_fraction is None:
        return False
    return row.worst_within_fraction < row.within_fraction - LEAST_BELOW
