"""Which failures the static files survive by themselves, which need the override, and what is served meanwhile."""

from collections.abc import Callable
from dataclasses import dataclass

from planner.emit.behaviour import BEHAVIOURS
from planner.emit.rooms import planned_replicas, room_replica_seconds, surviving_replicas
from planner.emit.routing import Subject, Table, peak_requests_per_second, routing_table, subject
from planner.plan.decisions import problem_of
from planner.problem.decisions import Decisions
from planner.problem.problem import Problem, State, states
from planner.problem.rules.formulas import due_fraction, live_edges
from planner.study.dependencies import NORMAL
from planner.study.records.plan import PlanFile
from planner.study.records.study import kind_and_name

ALONE = "alone"
WITH_REPLICAS = "with replicas"
OVERRIDE = "override"
NOTHING_DUE = "nothing due"
MEANS = {
    ALONE: "the static file serves what every goal asks, with the replicas that survive; nothing has to be done",
    WITH_REPLICAS: "the static file serves it at each deadline once replicas are loaded and let go as planned",
    OVERRIDE: "the override of this failure has to be pushed before the deadline",
    NOTHING_DUE: "no goal asks for anything that could be served in it: there is nothing to survive",
}
TOLERANCE_FRACTION = 2e-4
"""Of what is due, and of a placement's room: whole weights are off by one in 10,000."""
SHOWN = 0.05
"""Less than this rounds to nothing."""

Replicas = Callable[[Problem, Decisions, str, State], float]


@dataclass(frozen=True)
class Served:
    """What a static file does in one state.

    Parameters
    ----------
    served_fraction : of all requests offered; an overfull placement serves no more than its room
    due_fraction : of all requests offered, what the goals ask by this clock
    short_requests_per_second : of what is due, the sum over workloads and origins
    worst : (workload, origin, served fraction, due fraction) of the stream that is shortest; None when none is
    overfull : (placement, times its room), the fullest first
    """

    deadline_seconds: float
    served_fraction: float
    due_fraction: float
    short_requests_per_second: float
    worst: tuple[str, str, float, float] | None
    overfull: tuple[tuple[str, float], ...]

    @property
    def good(self) -> bool:
        """Whether what is due is served and no placement is over its room."""
        return self.worst is None and not self.overfull


@dataclass(frozen=True)
class Push:
    """What the override of a failure does that no gateway does by itself, at its last clock, peak.

    Parameters
    ----------
    shed_requests_per_second : of streams that are served in normal operation, to make room
    moved_requests_per_second : of streams that the failure does not touch, to make room
    loaded_replicas : started since the failure began; not by the gateway, but weights follow them
    """

    shed_requests_per_second: float
    moved_requests_per_second: float
    loaded_replicas: float


@dataclass(frozen=True)
class Outcome:
    """One failure under one gateway's static file.

    Parameters
    ----------
    verdict : alone, with replicas, override, or nothing due
    meanwhile : with the replicas that survive, against what is due at the last clock
    at_clocks : with the plan's own replicas at each clock
    push : what the override does
    seen_by : how the gateway learns of it
    """

    gateway: str
    failure: str
    verdict: str
    meanwhile: Served
    at_clocks: tuple[Served, ...]
    push: Push
    seen_by: str


def cascade(of: Subject, table: Table, gateway: str) -> tuple[Outcome, ...]:
    """Every failure of the plan's goals, normal operation first, under the static file of one gateway."""
    return tuple(_outcome(of, table, gateway, f) for f in of.problem.failures)


def cascades_of_plan(plan: PlanFile) -> tuple[Outcome, ...]:
    """The same from a plan alone, for every gateway that files can be made for."""
    of = subject(plan, problem_of(plan))
    table = routing_table(of)
    return tuple(outcome for gateway in sorted(BEHAVIOURS) for outcome in cascade(of, table, gateway))


def _outcome(of: Subject, table: Table, gateway: str, f: str) -> Outcome:
    clocks = [s for s in states(of.problem, f) if s[0] == of.hour]
    meanwhile = served_by(of, table, gateway, clocks[-1], surviving_replicas)
    planned = tuple(served_by(of, table, gateway, s, planned_replicas) for s in clocks)
    hot = [served_by(of, table, gateway, s, surviving_replicas) for s in clocks]
    if all(x.good for x in hot):
        verdict = ALONE if any(x.due_fraction > 0 for x in hot) else NOTHING_DUE
    elif all(x.good or y.good for x, y in zip(planned, hot, strict=True)):
        verdict = WITH_REPLICAS
    else:
        verdict = OVERRIDE
    return Outcome(gateway, f, verdict, meanwhile, planned, _push(of, clocks[-1]), _seen_by(of, f))


def _push(of: Subject, s: State) -> Push:
    p, x = of.problem, of.decisions
    normal_state = (of.hour, NORMAL, 0.0)
    shed = moved = 0.0
    for w, o in p.flows:
        now, before = of.sent.get(s, {}).get((w, o), {}), of.sent.get(normal_state, {}).get((w, o), {})
        shed += max(0.0, float(x.shed[w, o, s] - x.shed[w, o, normal_state])) * p.burst_factor[w]
        if all(surviving_replicas(p, x, e, s) >= x.replicas[e, of.hour] for e in before):
            moved += sum(max(0.0, v - before.get(e, 0.0)) for e, v in now.items()) * p.burst_factor[w]
    return Push(shed, moved, sum(float(x.cold_started[e, s]) for e in p.placements))


def _seen_by(of: Subject, f: str) -> str:
    """A placement that gives wrong answers passes every health check: somebody has to take it down."""
    kinds = {kind_and_name(component)[0] for component in of.problem.failures[f].lost}
    if f == NORMAL:
        return "nothing is lost"
    if kinds & {"stack", "stack_version", "qualification"}:
        return "nobody, while it answers: take its endpoints down"
    return "health checks and failing requests"


def served_by(of: Subject, table: Table, gateway: str, s: State, replicas: Replicas) -> Served:
    """What the static files of all gateways together do in a state, with given replicas."""
    p, x = of.problem, of.decisions
    behaviour = BEHAVIOURS[gateway]
    running = {e: replicas(p, x, e, s) for e in p.placements}
    offered: dict[tuple[str, str], float] = {}
    got: dict[tuple[str, str], dict[str, float]] = {}
    for route in table.routes:
        flow = (route.workload, route.origin)
        # what a dead login or gateway keeps out never comes to be routed
        coming = peak_requests_per_second(p, *flow, s) * p.coverable[s[1]].get(flow, 1.0)
        alive = {entry.placement for entry in route.entries if running[entry.placement] > 0}
        got[flow] = behaviour(route, alive, coming)
    load: dict[str, float] = {}
    for (w, _), sent in got.items():
        for e, value in sent.items():
            load[e] = load.get(e, 0.0) + p.replica_seconds[w, e] * value
    times = {e: v / room if (room := room_replica_seconds(p, e, running[e])) else 0.0 for e, v in load.items()}
    overfull = sorted(
        ((e, n) for e, n in times.items() if n > 1 + TOLERANCE_FRACTION), key=lambda row: (-row[1], row[0])
    )
    rows = []
    for w, o in sorted(p.flows):
        offered[w, o] = peak_requests_per_second(p, w, o, s)
        # a gateway does not know of round trips: what goes too far fills a placement, and is not served as promised
        near = set(live_edges(p, w, o, s[1]))
        served = sum(value / max(1.0, times[e]) for e, value in got.get((w, o), {}).items() if e in near)
        rows.append((w, o, served, due_fraction(p, w, o, s) * offered[w, o]))
    whole = sum(offered.values())
    short = [(due - served, w, o, served, due) for w, o, served, due in rows if due - served > TOLERANCE_FRACTION * due]
    worst = max(short, key=lambda row: (row[0] / offered[row[1], row[2]], row[1:3]), default=None)
    return Served(
        deadline_seconds=s[2],
        served_fraction=min(1.0, sum(row[2] for row in rows) / whole) if whole else 1.0,
        due_fraction=sum(row[3] for row in rows) / whole if whole else 0.0,
        short_requests_per_second=sum(row[0] for row in short),
        worst=None
        if worst is None
        else (worst[1], worst[2], worst[3] / offered[worst[1], worst[2]], worst[4] / offered[worst[1], worst[2]]),
        overfull=tuple(overfull),
    )


# ------------------------------------------------------------------ as files
def cascade_data(outcomes: tuple[Outcome, ...]) -> dict[str, object]:
    """The table as plain data."""
    return {
        "verdicts": MEANS,
        "rates_are": "requests per second at the peak: mean of the hour times burst_factor",
        "failures": [
            {
                "gateway": x.gateway,
                "failure": x.failure,
                "verdict": x.verdict,
                "seen_by": x.seen_by,
                "override_does": {
                    "shed_requests_per_second": x.push.shed_requests_per_second,
                    "moved_requests_per_second": x.push.moved_requests_per_second,
                    "loaded_replicas": x.push.loaded_replicas,
                },
                "meanwhile": _served_data(x.meanwhile),
                "at_clocks": [_served_data(at) for at in x.at_clocks],
            }
            for x in outcomes
        ],
    }


def _served_data(x: Served) -> dict[str, object]:
    return {
        "deadline_seconds": x.deadline_seconds,
        "served_fraction": x.served_fraction,
        "due_fraction": x.due_fraction,
        "short_requests_per_second": x.short_requests_per_second,
        "worst": None if x.worst is None else dict(zip(("workload", "origin", "served", "due"), x.worst, strict=True)),
        "overfull": [{"placement": e, "times_its_room": times} for e, times in x.overfull],
    }


def cascade_text(outcomes: tuple[Outcome, ...]) -> str:
    """The table as Markdown: one row a failure."""
    count = {verdict: sum(x.verdict == verdict and x.failure != NORMAL for x in outcomes) for verdict in MEANS}
    lines = ["# What the static files survive by themselves", ""]
    lines += [f"- **{verdict}** ({count[verdict]}): {meaning}" for verdict, meaning in MEANS.items()]
    lines += [
        "",
        "*Meanwhile*: served with the replicas that survive and the static file, from when the gateway has found out",
        "until replicas or the override come; *due* is what the goals ask at the last deadline. Shares of all",
        "requests, at the peak. A placement over its room serves no more than its room. Spot machines do not count.",
        "*The override*: what it does that no gateway does by itself. It sheds streams that are not due, and moves",
        "streams that the failure does not touch, in requests/s, to make room; it follows replicas that are loaded.",
        "",
        "| failure | verdict | meanwhile | due | shortest stream | over its room | the override | found out by |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for x in outcomes:
        at = x.meanwhile
        worst = (
            ""
            if at.worst is None
            else f"{at.worst[0]} from {at.worst[1]}: {_percent(at.worst[2])} of {_percent(at.worst[3])}"
        )
        over = "; ".join(f"{e} {times:.2f} times" for e, times in at.overfull[:2])
        shares = (_percent(at.served_fraction), _percent(at.due_fraction))
        push = "" if x.verdict in (ALONE, NOTHING_DUE) else _pushed(x.push)
        cells = (x.failure, x.verdict, *shares, worst, over, push, x.seen_by)
        lines.append("| " + " | ".join(_cell(text) for text in cells) + " |")
    return "\n".join(lines) + "\n"


def _pushed(push: Push) -> str:
    parts = (
        (push.shed_requests_per_second, "sheds {:,.1f}"),
        (push.moved_requests_per_second, "moves {:,.1f}"),
        (push.loaded_replicas, "{:,.0f} replicas loaded"),
    )
    return ", ".join(text.format(value) for value, text in parts if value >= SHOWN)


def _percent(fraction: float) -> str:
    return f"{100 * fraction - 0.05:.1f} %" if 0.9995 <= fraction < 1 - 1e-9 else f"{100 * fraction:.1f} %"


def _cell(text: str) -> str:
    """Text that stays one cell: names are the user's own."""
    plain = "".join(c if c.isprintable() else " " for c in text)
    for letter in "\\|`*_[]<>&":
        plain = plain.replace(letter, "\\" + letter)
    return plain
