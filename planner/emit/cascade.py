"""Which failures the static files survive by themselves, which need the override, and what is served meanwhile."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial

from planner.emit.behaviour import BEHAVIOURS, EVERY_BEHAVIOUR, WHILE_FINDING
from planner.emit.capacity import capacity_of_placement, planned_replicas, surviving_replicas
from planner.emit.detection import Detection, loss_seconds
from planner.emit.routing import Subject, Table, peak_requests_per_second, routing_table, subject
from planner.emit.text import markdown_cell
from planner.plan.in_hand import Plan
from planner.problem.algebra import Array
from planner.problem.arrays import full
from planner.problem.decisions import Vectors
from planner.problem.problem import State, states
from planner.problem.rules.formulas import due_fraction, is_live_edge
from planner.problem.things import Things
from planner.study.dependencies import NORMAL
from planner.study.records.plan import PlanFile
from planner.study.records.study import kind_and_name

ALONE = "alone"
WITH_REPLICAS = "with replicas"
OVERRIDE = "override"
TOO_LATE = "found too late"
NOTHING_DUE = "nothing due"
NOT_PUSHED = "no weights"
MEANS = {
    ALONE: "the static file serves what every goal asks, with the replicas that survive; nothing has to be done",
    WITH_REPLICAS: "the static file serves it at each deadline once replicas are cold-started and evicted as planned",
    OVERRIDE: "the override of this failure has to be pushed, and in force, before the deadline",
    TOO_LATE: "at a deadline this gateway still sends to what is lost: the goal breaks, whatever is pushed then",
    NOTHING_DUE: "no goal asks for anything that could be served in it: there is nothing to survive",
    NOT_PUSHED: "no weights are pushed in it, and this gateway alone does not serve what the goals ask: they break",
}
TOLERANCE_FRACTION = 2e-4
"""Of what is due, and of a placement's capacity: whole weights are off by one in 10,000."""
LEAST_STATED = 0.05
"""Less than this rounds to nothing."""

Replicas = Callable[[Things, Vectors, State], Array]
"""(arrays, the plan's numbers, state) -> replicas of each placement"""


@dataclass(frozen=True)
class Worst:
    """The stream that is shortest in a state: what is served of it, and what is due [fractions of what is offered]."""

    workload: str
    origin: str
    served: float
    due: float


@dataclass(frozen=True)
class Overfull:
    """A placement that gets more than its capacity."""

    placement: str
    times_its_capacity: float


@dataclass(frozen=True)
class Served:
    """What a static file does in one state.

    Parameters
    ----------
    served_fraction : of all requests offered; an overfull placement serves no more than its capacity
    due_fraction : of all requests offered, what the goals ask by this deadline
    short_requests_per_second : of what is due, the sum over workloads and origins
    worst : None when no stream is short
    overfull : the fullest first
    """

    failure: str
    deadline_seconds: float
    served_fraction: float
    due_fraction: float
    short_requests_per_second: float
    worst: Worst | None
    overfull: tuple[Overfull, ...]

    @property
    def good(self) -> bool:
        """Whether what is due is served and no placement is over its capacity."""
        return self.worst is None and not self.overfull


@dataclass(frozen=True)
class _Stream:
    """What is offered, served and due of a workload from an origin [requests/s]."""

    workload: str
    origin: str
    offered: float
    served: float
    due: float

    @property
    def short(self) -> float:
        """What is due and not served [requests/s]."""
        return self.due - self.served


@dataclass(frozen=True)
class Push:
    """What the override of a failure does that no gateway does by itself, at its last deadline, peak.

    Parameters
    ----------
    shed_requests_per_second : of streams that are served in normal operation, for capacity
    moved_requests_per_second : of streams that the failure does not touch, for capacity
    cold_started_replicas : since the failure began; not by the gateway, but weights follow them
    """

    shed_requests_per_second: float
    moved_requests_per_second: float
    cold_started_replicas: float


@dataclass(frozen=True)
class Outcome:
    """One failure under one gateway's static file.

    Parameters
    ----------
    verdict : one of those in MEANS
    seen_by : how the gateway learns of it
    meanwhile : with the replicas that survive, against what is due at the last deadline
    at_deadlines : with the plan's own replicas at each deadline
    found_seconds : when the last gateway has what is lost out, at the latest; none: nothing is lost that it could find
    overfull_while_finding : placements that live and get more than their capacity until then, of requests that are
        tried again
    """

    gateway: str
    failure: str
    verdict: str
    seen_by: str
    override_does: Push
    meanwhile: Served
    at_deadlines: tuple[Served, ...]
    found_seconds: float | None
    overfull_while_finding: tuple[Overfull, ...]


def cascade(
    of: Subject, table: Table, gateway: str, progress: Callable[[int, int], None] | None = None
) -> tuple[Outcome, ...]:
    """Every failure of the plan's goals, normal operation first, under the static file of one gateway.

    `progress` is called with (failures done, failures in all).
    """
    out_seconds = [loss_seconds(of.plan.study, route, gateway) for route in table.routes]
    outcomes = []
    for n, f in enumerate(of.problem.failures):
        if progress is not None:
            progress(n, len(of.problem.failures))
        outcomes.append(_outcome(of, table, gateway, f, out_seconds))
    return tuple(outcomes)


def cascades_of_plan(
    plan: PlanFile | Plan, progress: Callable[[float, str], None] | None = None
) -> tuple[Outcome, ...]:
    """The same from a plan alone, for every gateway that files can be made for.

    `progress` is called with (fraction done, gateway).
    """
    of = subject(plan)
    table = routing_table(of)
    outcomes: list[Outcome] = []
    for i, gateway in enumerate(sorted(BEHAVIOURS)):
        done: Callable[[int, int], None] | None = None
        if progress is not None:
            done = partial(_of_several, progress, gateway, i)
        outcomes += cascade(of, table, gateway, done)
    return tuple(outcomes)


def _of_several(progress: Callable[[float, str], None], gateway: str, i: int, n: int, of: int) -> None:
    """Progress of gateway number i, as that of all of them."""
    progress((i + n / of) / len(BEHAVIOURS), gateway)


def _outcome(of: Subject, table: Table, gateway: str, f: str, out_seconds: Sequence[float]) -> Outcome:
    in_states = [s for s in states(of.problem, f) if s[0] == of.hour]
    planned = tuple(served_by(of, table, gateway, s, planned_replicas) for s in in_states)
    warm = [served_by(of, table, gateway, s, surviving_replicas) for s in in_states]
    found_seconds = _found_seconds(of, table, f, out_seconds)
    if any(x.due_fraction > 0 and _is_late(of, table, gateway, x, found_seconds) for x in warm):
        verdict = TOO_LATE
    elif all(x.good for x in warm):
        verdict = ALONE if any(x.due_fraction > 0 for x in warm) else NOTHING_DUE
    elif all(x.good or y.good for x, y in zip(planned, warm, strict=True)):
        verdict = WITH_REPLICAS
    else:
        verdict = NOT_PUSHED if keeps_its_weights(of, f) else OVERRIDE
    seen, push = _seen_by(of, f), _push(of, in_states[-1])
    overfull: tuple[Overfull, ...] = ()
    if found_seconds is not None:
        overfull = served_by(of, table, gateway, in_states[0], surviving_replicas, is_found=False).overfull
    return Outcome(gateway, f, verdict, seen, push, warm[-1], planned, found_seconds, overfull)


def _found_seconds(of: Subject, table: Table, f: str, out_seconds: Sequence[float]) -> float | None:
    """When what a failure takes away is out of all routes that it touches [s]; none: it takes away nothing whole, or
    nobody can see it. `out_seconds`: of each route."""
    if f == NORMAL or is_unseen(of, f):
        return None
    s = next(s for s in states(of.problem, f) if s[0] == of.hour)
    gone = _gone(of, s)
    touched = []
    for route, seconds in zip(table.routes, out_seconds, strict=True):
        if gone & {x.placement for x in route.entries}:
            touched.append(seconds)
    return max(touched, default=None)


def _gone(of: Subject, s: State) -> set[str]:
    """Placements of which nothing survives."""
    survive = surviving_replicas(full(of.problem), of.vectors, s).tolist()
    return {e for e, replicas in zip(of.problem.placements, survive, strict=True) if replicas <= 0}


def _is_late(of: Subject, table: Table, gateway: str, at: Served, found_seconds: float | None) -> bool:
    """Whether a goal breaks at a deadline that comes before the gateway has found out what is lost.

    The plan has moved everything after detection, and after the push where new weights are pushed. What the gateway
    still sends to what is lost is not served, also where it is tried again after a while: its first token comes late.
    """
    if found_seconds is None or not of.problem.detection_seconds < found_seconds > at.deadline_seconds:
        return False
    p = of.problem
    s = next(s for s in states(p, at.failure) if s[0] == of.hour and s[2] == at.deadline_seconds)
    gone, offered, served = _gone(of, s), 0.0, 0.0
    for route in table.routes:
        coming = peak_requests_per_second(p, route.workload, route.origin, s)
        sent = EVERY_BEHAVIOUR[gateway](route, {x.placement for x in route.entries}, coming)
        offered += coming
        served += sum(value for e, value in sent.items() if e not in gone)
    return served < at.due_fraction * offered * (1 - TOLERANCE_FRACTION)


def _push(of: Subject, s: State) -> Push:
    p, x = of.problem, of.decisions
    normal_state = (of.hour, NORMAL, 0.0)
    shed = moved = 0.0
    a = full(p)
    survives = surviving_replicas(a, of.vectors, s) >= of.vectors.replicas[of.hour,]
    for w, o in p.flows:
        now, before = of.sent.get(s, {}).get((w, o), {}), of.sent.get(normal_state, {}).get((w, o), {})
        shed += max(0.0, float(x.shed[w, o, s] - x.shed[w, o, normal_state])) * p.burst_factor[w]
        if all(survives[a.placement_at[e]] for e in before):
            moved += sum(max(0.0, v - before.get(e, 0.0)) for e, v in now.items()) * p.burst_factor[w]
    return Push(shed, moved, sum(float(x.cold_started[e, s]) for e in p.placements))


def _seen_by(of: Subject, f: str) -> str:
    """A placement that gives wrong answers passes every health check: somebody has to take it down."""
    if f == NORMAL:
        return "nothing is lost"
    if is_unseen(of, f):
        return "nobody, while it answers: take its endpoints down"
    return "health checks and failing requests"


def is_unseen(of: Subject, f: str) -> bool:
    """Whether what fails still answers its health checks: software that gives wrong answers."""
    failure = of.problem.failures[f]
    kinds = {kind_and_name(component)[0] for component in failure.lost}
    return failure.answers_wrongly or bool(kinds & {"stack", "stack_version", "qualification"})


def keeps_its_weights(of: Subject, f: str) -> bool:
    """Whether nothing is pushed in a failure, as it says so or nothing can be, where that is not so in all of them."""
    return f in of.problem.rescaled and of.plan.study.failover != "rescale"


def meanings(outcomes: tuple[Outcome, ...]) -> dict[str, str]:
    """Verdicts and what they mean; the one on failures in which nothing is pushed only where there is one."""
    verdicts = {outcome.verdict for outcome in outcomes}
    return {verdict: text for verdict, text in MEANS.items() if verdict != NOT_PUSHED or verdict in verdicts}


def served_by(of: Subject, table: Table, gateway: str, s: State, replicas: Replicas, is_found: bool = True) -> Served:
    """What the static files of all gateways together do in a state, with given replicas.

    Parameters
    ----------
    is_found : whether the gateways have what is lost out; until then they send there, and try again what fails
    """
    p, behaviour = of.problem, (EVERY_BEHAVIOUR if is_found else WHILE_FINDING)[gateway]
    running = dict(zip(p.placements, replicas(full(p), of.vectors, s).tolist(), strict=True))
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
    times = {}
    for e, work in load.items():
        capacity = capacity_of_placement(p, e, running[e])
        times[e] = work / capacity if capacity else 0.0
    overfull = [Overfull(e, n) for e, n in times.items() if n > 1 + TOLERANCE_FRACTION]
    overfull.sort(key=lambda x: (-x.times_its_capacity, x.placement))
    streams = []
    for w, o in sorted(p.flows):
        offered = peak_requests_per_second(p, w, o, s)
        # a gateway does not know of round trips: what goes too far fills a placement, and is not served as promised
        near = [(e, value) for e, value in got.get((w, o), {}).items() if is_live_edge(p, w, o, e, s[1])]
        served = sum(value / max(1.0, times[e]) for e, value in near)
        streams.append(_Stream(w, o, offered, served, due_fraction(p, w, o, s) * offered))
    short = [x for x in streams if x.short > TOLERANCE_FRACTION * x.due]
    short_in_all = sum(x.short for x in short)
    worst = None
    if short:
        short.sort(key=lambda x: (x.short / x.offered, x.workload, x.origin))
        stream = short[-1]
        worst = Worst(stream.workload, stream.origin, stream.served / stream.offered, stream.due / stream.offered)
    together = sum(x.offered for x in streams)
    return Served(
        failure=s[1],
        deadline_seconds=s[2],
        served_fraction=min(1.0, sum(x.served for x in streams) / together) if together else 1.0,
        due_fraction=sum(x.due for x in streams) / together if together else 0.0,
        short_requests_per_second=short_in_all,
        worst=worst,
        overfull=tuple(overfull),
    )


# ------------------------------------------------------------------ as files
def cascade_data(outcomes: tuple[Outcome, ...], detected: tuple[Detection, ...] = ()) -> dict[str, object]:
    """The table as plain data, and how soon the gateway has each fault out; null: never."""
    return {
        "verdicts": meanings(outcomes),
        "detection": [_detection_data(x) for x in detected],
        "later_than_planned": later_than_planned(detected),
        "rates_are": "requests per second at the peak: mean of the hour times burst_factor",
        "failures": [asdict(x) for x in outcomes],
    }


def _detection_data(x: Detection) -> dict[str, object]:
    times = {"streamed_seconds": x.streamed_seconds, "whole_seconds": x.whole_seconds, "later_seconds": x.later_seconds}
    finite = {name: seconds if math.isfinite(seconds) else None for name, seconds in times.items()}
    return {**asdict(x), **finite}


def later_than_planned(detected: tuple[Detection, ...]) -> list[str]:
    """What a gateway finds later than the plan counts on, a sentence each."""
    said = []
    for x in detected:
        for kind, seconds in (("streamed", x.streamed_seconds), ("not streamed", x.whole_seconds)):
            if seconds > x.planned_seconds:
                late = f"out after {seconds:.1f} s, {seconds - x.planned_seconds:.1f} s later than the plan counts on"
                late = late if math.isfinite(seconds) else "never out by itself: the gateway does not count it"
                said.append(f"fault {x.fault!r}, answers of {x.workload!r} that are {kind}: {late}")
    return said


def detection_text(detected: tuple[Detection, ...]) -> list[str]:
    """How soon each fault is out, as Markdown."""
    lines = [
        "## How soon a placement that fails is out",
        "",
        f"Seconds from the fault's begin until no request is sent there, at the slowest workload; the plan counts on "
        f"{detected[0].planned_seconds:g}. Streamed: answers with `stream: true`.",
        "",
        "| fault | streamed | not streamed | later than planned | workload |",
        "| --- | --- | --- | --- | --- |",
    ]
    for x in detected:
        cells = [_seconds(x.streamed_seconds), _seconds(x.whole_seconds), _seconds(x.later_seconds)]
        lines.append(f"| {x.fault} | {' | '.join(cells)} | {markdown_cell(x.workload)} |")
    return [*lines, ""]


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f} s" if math.isfinite(seconds) else "never"


def warnings_of_files(files: Mapping[str, str]) -> list[str]:
    """What the gateways of an emission find later than its plan counts on, by path -> text of its files."""
    said = []
    for path, text in sorted(files.items()):
        if path.rpartition("/")[2] == "cascade.json":
            target = path.rpartition("/")[0]
            said += [f"{target + ': ' if target else ''}{late}" for late in json.loads(text)["later_than_planned"]]
    return said


def cascade_text(outcomes: tuple[Outcome, ...], detected: tuple[Detection, ...] = (), push_seconds: float = 0.0) -> str:
    """The table as Markdown: one row a failure; before it, how soon each fault is out.

    Parameters
    ----------
    push_seconds : what the plan counts on a push to take
    """
    counted = f"with {push_seconds:g} s" if push_seconds else "with no time: the study does not say `push_seconds`"
    means = meanings(outcomes)
    count = {verdict: sum(x.verdict == verdict and x.failure != NORMAL for x in outcomes) for verdict in means}
    lines = ["# What the static files survive by themselves", ""]
    lines += [f"- **{verdict}** ({count[verdict]}): {meaning}" for verdict, meaning in means.items()]
    lines += [
        "",
        *(detection_text(detected) if detected else ()),
        "*Meanwhile*: served with the replicas that survive and the static file, from when the gateway has found out",
        "until replicas or the override come; *due* is what the goals ask at the last deadline. Shares of all",
        "requests, at the peak. A placement over its capacity serves no more than its capacity. Spot does not count.",
        "*The override*: what it does that no gateway does by itself. It sheds streams that are not due, and moves",
        "streams that the failure does not touch, in requests/s, for capacity; it follows cold-started replicas.",
        f"The plan counts a push {counted}.",
        "*While finding out*: placements that requests which are tried again fill beyond their capacity until then.",
        "",
        "| failure | verdict | meanwhile | due | shortest stream | over its capacity | the override | found out by "
        "| out after | while finding out |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for outcome in outcomes:
        at = outcome.meanwhile
        worst = ""
        if at.worst is not None:
            shares_of = f"{_percent(at.worst.served)} of {_percent(at.worst.due)}"
            worst = f"{at.worst.workload} from {at.worst.origin}: {shares_of}"
        shares = (_percent(at.served_fraction), _percent(at.due_fraction))
        push = "" if outcome.verdict in (ALONE, NOTHING_DUE, TOO_LATE, NOT_PUSHED) else _pushed(outcome.override_does)
        over = _overfull(at.overfull)
        after = "" if outcome.found_seconds is None else _seconds(outcome.found_seconds)
        finding = _overfull(outcome.overfull_while_finding)
        cells = (outcome.failure, outcome.verdict, *shares, worst, over, push, outcome.seen_by, after, finding)
        lines.append("| " + " | ".join(markdown_cell(text) for text in cells) + " |")
    return "\n".join(lines) + "\n"


def _overfull(placements: tuple[Overfull, ...]) -> str:
    return "; ".join(f"{x.placement} {x.times_its_capacity:.2f} times" for x in placements[:2])


def _pushed(push: Push) -> str:
    parts = (
        (push.shed_requests_per_second, "sheds {:,.1f}"),
        (push.moved_requests_per_second, "moves {:,.1f}"),
        (push.cold_started_replicas, "{:,.0f} replicas cold-started"),
    )
    return ", ".join(text.format(value) for value, text in parts if value >= LEAST_STATED)


def _percent(fraction: float) -> str:
    return f"{100 * fraction - 0.05:.1f} %" if 0.9995 <= fraction < 1 - 1e-9 else f"{100 * fraction:.1f} %"
