"""RUNBOOK.md: per failure, worst first, how to recognise it, what to run by when, what it then shows, how to return."""

from collections.abc import Callable
from dataclasses import dataclass

from planner.emit.capacity import surviving_replicas
from planner.emit.cascade import (
    ALONE,
    NOT_PUSHED,
    NOTHING_DUE,
    OVERRIDE,
    TOO_LATE,
    WITH_REPLICAS,
    Outcome,
    is_unseen,
)
from planner.emit.moves import Moves, moves_of
from planner.emit.names import slug
from planner.emit.overrides import BASE, RIGHT_AFTER_SECONDS, Override, in_seconds, steps
from planner.emit.routing import Route, Subject, Table
from planner.emit.set_served import served_table, side_by_side
from planner.emit.text import markdown_cell, percent
from planner.problem.arrays import full
from planner.problem.problem import states
from planner.study.dependencies import NORMAL

REPLICAS = "`failures.json` of target kubernetes"
TO_DO = {
    ALONE: "nothing to do",
    WITH_REPLICAS: f"nothing to push; replicas are cold-started and evicted: {REPLICAS}",
    NOTHING_DUE: "nothing to do: no goal asks for anything in it",
    OVERRIDE: f"nothing to push: no gateway's routes change; replicas: {REPLICAS}",
    TOO_LATE: "nothing to push: no gateway's routes change",
    NOT_PUSHED: "nothing can be pushed, and goals break: have gateways share out by the weights and limits of the plan",
}
UNSEEN_TO_DO = "nothing to do: no route leads to what is lost, though no health check tells"
UNSEEN_PARTS = "no health check tells, and no set: take down the replicas that answer wrongly of"
MOST_NAMED = 40
"""Placements that are named in a sentence or table; the rest is counted."""


@dataclass(frozen=True)
class Pushing:
    """How a set is pushed to a gateway.

    Parameters
    ----------
    about : paragraphs before all failures
    command : run in the folder of the gateway; `{set}` stands for the folder of the set
    shows : command that says which set is in force, and what it must say; `{id}` stands for the set's name
    key_of : provider -> environment variable from which the configuration reads its key; none: it reads no keys
    master_key : variable with the gateway's own key, where it reads any
    shares : what each placement gets of a route, in words; none: as a gateway that keeps limits and refuses beyond
    """

    about: tuple[str, ...]
    command: str
    shows: str
    key_of: Callable[[str], str] | None = None
    master_key: str = ""
    shares: Callable[[Route], str] | None = None


@dataclass(frozen=True)
class _Given:
    of: Subject
    table: Table
    pushed: tuple[Override, ...]
    pushing: Pushing


def runbook_text(
    of: Subject,
    table: Table,
    outcomes: tuple[Outcome, ...],
    pushed: tuple[Override, ...],
    pushing: Pushing,
    not_proven: str = "",
) -> str:
    """The runbook of one gateway as Markdown.

    Failures come with the largest shortfall of what is due under the static files first, then the least served.

    Parameters
    ----------
    not_proven : why the plan is not proven; empty: it is
    """
    given = _Given(of, table, pushed, pushing)
    ordered = sorted(
        (x for x in outcomes if x.failure != NORMAL),
        key=lambda x: (-x.meanwhile.short_requests_per_second, x.meanwhile.served_fraction, x.failure),
    )
    with_sets = [x for x in ordered if any(_steps(given, x.failure, o) for o in _origins(table))]
    lines = ["# What to do in a failure", ""]
    if not_proven:
        lines += [f"**NOT PROVEN.** {markdown_cell(not_proven)}", ""]
    for paragraph in _about(given):
        lines += [paragraph, ""]
    for number, outcome in enumerate(with_sets, 1):
        lines += _failure(given, number, outcome)
    lines += ["## Nothing to push", "", "| failure | what to do |", "| --- | --- |"]
    for outcome in sorted(set(ordered) - set(with_sets), key=lambda x: x.failure):
        lines.append(f"| {markdown_cell(outcome.failure)} | {_to_do(of, outcome)} |")
    return "\n".join(lines) + "\n"


def _about(given: _Given) -> list[str]:
    """What holds for all failures."""
    folders = [f"`origins/{slug(o)}`" for o in _origins(given.table)]
    said = list(given.pushing.about)
    if given.pushing.key_of is not None:
        p = given.of.problem
        places = {x.placement for routes in _all_routes(given) for route in routes for x in route.entries}
        keys = {given.pushing.key_of(p.provider_of[p.pool_of[e]]) for e in places}
        names = [given.pushing.master_key, *sorted(keys)]
        said.append(f"Every set reads some of these environment variables: {', '.join(f'`{x}`' for x in names)}.")
    return [
        *said,
        f"Commands run in the folder of the gateway that the step names, of {_first(folders)}.",
        "Seconds count from the failure's begin. Sets are weights and limits of the plan's own state at that\n"
        "deadline; until the first, and wherever nothing is said of an origin, the files in force stay.",
        "A set counts on the replicas of its table. One that starts none holds at once: push it, then evict. One that\n"
        "starts some: evict, start, and push it when they answer; pushed before, their share is refused. A start\n"
        "begins by the second in its row: the deadline less what loading takes. That may be before a step in front is\n"
        "due: then the steps that hold by then are pushed and evicted first. Replicas are those of the hour with the\n"
        f"largest traffic, as the sets are; {REPLICAS} has the same figures, of every hour.",
        "The table before the steps has what the plan serves with each step done, beside what the static files serve\n"
        "at that moment with no push, nothing evicted and nothing started, once what is lost is out of their routes\n"
        "(what answers wrongly: taken down): of what is offered. A step that serves less says what that is for.",
        "Placements are named as in the files; `routing.json` says what each stands for.",
    ]


def _all_routes(given: _Given) -> list[tuple[Route, ...]]:
    return [given.table.routes, *(override.routes for override in given.pushed)]


def _to_do(of: Subject, outcome: Outcome) -> str:
    """What to do where no set is pushed."""
    if not is_unseen(of, outcome.failure):
        return TO_DO[outcome.verdict]
    partly = [slug(e) for e, _, n in _fewer(of, outcome.failure) if n > 0]
    return f"{UNSEEN_PARTS} {listed_names(partly)}" if partly else UNSEEN_TO_DO


def _origins(table: Table) -> list[str]:
    return sorted({route.origin for route in table.routes})


def _steps(given: _Given, failure: str, origin: str) -> tuple[Override, ...]:
    return steps(given.pushed, given.table, failure, origin)


def _failure(given: _Given, number: int, outcome: Outcome) -> list[str]:
    f = outcome.failure
    lines = [f"## {number}. {markdown_cell(f)}", "", f"**Recognise it.** {recognised(given.of, f)}", ""]
    lines += [f"**Without a push.** {_without(given.of, outcome)}", ""]
    of_origin = {o: _steps(given, f, o) for o in _origins(given.table)}
    before = {o: given.table.of_origin(o) for o in of_origin}
    moves = moves_of(given.of, f)
    of_step = []
    for override in (x for x in given.pushed if x.failure == f):
        origins = [o for o, sequence in of_origin.items() if override in sequence]
        if origins or moves.get(override.deadline_seconds, Moves()).rows:
            of_step.append((override, origins))
    compared = [(x, side_by_side(given.of, given.table, outcome.gateway, x)) for x, _ in of_step]
    lines += served_table(given.of, compared, moves)
    for n, (override, origins) in enumerate(of_step):
        until = of_step[n + 1][0].deadline_seconds if n + 1 < len(of_step) else None
        moved = moves.get(override.deadline_seconds, Moves())
        lines += [f"**Step {n + 1}, {when_due(given.of, override, moved, until, bool(origins))}**{_at(origins)}", ""]
        push = _push(given, override, origins, before) if origins else []
        lines += [*replica_table(moved), *push] if moved.has_starts else [*push, *replica_table(moved)]
        before |= {o: override.of_origin(o) for o in origins}
    origins = [o for o, sequence in of_origin.items() if sequence]
    return [*lines, *_return(given, f, origins, any(moves.get(x.deadline_seconds, Moves()).rows for x, _ in of_step))]


def _at(origins: list[str]) -> str:
    return f", at {listed_names(origins)}:" if origins else "; no routes change."


def when_due(of: Subject, override: Override, moved: Moves, until: float | None, is_pushed: bool) -> str:
    """From when a set holds, by when it is due, and until when; and what comes first, the push or the replicas."""
    due = override.deadline_seconds
    end = _until(due, until)
    if moved.has_starts:
        first = "evict, start" if moved.has_evictions else "start"
        soonest = in_seconds(min(x.begin_by_seconds for x in moved.rows if x.started))
        push = ", then push" if is_pushed else ""
        return f"from when its replicas answer, by {in_seconds(due)}, {end}: {first} by {soonest}{push}"
    if not is_pushed:
        return f"by {in_seconds(due)}, {end}: evict"
    then = ", then evict" if moved.has_evictions else ""
    detected = of.problem.detection_seconds
    earlier = max((c for c in of.problem.deadlines_seconds[override.failure] if c < due), default=detected)
    if 0 < due - earlier <= RIGHT_AFTER_SECONDS:
        replaces = f"at {in_seconds(earlier)}, in place of what holds until then: at once after it, not before; {end}"
        return f"{replaces}: push{then}"
    latest = f", by {in_seconds(due)}" if due > earlier else ""
    return f"from {in_seconds(min(earlier, due))}{latest}, {end}: push at once{then}"


def _until(due: float, until: float | None) -> str:
    """Until when a set holds; one that the next replaces at the same second says so."""
    if until is None:
        return "until the return"
    if until - due <= RIGHT_AFTER_SECONDS:
        return f"until {in_seconds(due)}, when the next step replaces it at once"
    return f"until {in_seconds(until)}"


def replica_table(moved: Moves) -> list[str]:
    """What is evicted and started by the step, by placement."""
    if not moved.rows:
        return []
    lines = [
        "| replicas of | in | from | to | evict | start | begin by |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for x in moved.rows[:MOST_NAMED]:
        begin = in_seconds(x.begin_by_seconds) if x.started else ""
        counts = (
            f"{x.before:,}",
            f"{x.after:,}",
            f"{x.evicted:,}" if x.evicted else "",
            f"{x.started:,}" if x.started else "",
        )
        lines.append("| " + " | ".join([slug(x.placement), x.folder, *counts, begin]) + " |")
    more = len(moved.rows) - MOST_NAMED
    return [*lines, *(["", f"And {more} more placements: see {REPLICAS}."] if more > 0 else []), ""]


def _return(given: _Given, f: str, origins: list[str], has_moves: bool) -> list[str]:
    """When and in which order normal operation comes back, and what says that it has."""
    back = "When what was lost answers again"
    if is_unseen(given.of, f):
        back = "Somebody decides it, no check does: when what was lost has been repaired and answers rightly"
    order = "start the replicas of normal operation, and when all answer push base" if has_moves else "push base"
    ended = " Replicas that normal operation has not are ended after it; before only where others need their machines."
    return [
        f"**Return.** {back}, {order}, at {listed_names(origins)}:",
        "",
        f"    {given.pushing.command.format(set=BASE)}",
        "",
        f"It is in force when {given.pushing.shows.format(id=BASE)}.{ended if has_moves else ''}",
        "",
    ]


def _fewer(of: Subject, f: str) -> list[tuple[str, float, float]]:
    """(placement, replicas before, replicas that survive) of those that a failure takes anything of."""
    s = next(s for s in states(of.problem, f) if s[0] == of.hour)
    before = of.vectors.replicas[of.hour,].tolist()
    after = surviving_replicas(full(of.problem), of.vectors, s).tolist()
    return [(e, m, n) for e, m, n in zip(of.problem.placements, before, after, strict=True) if n < m]


def recognised(of: Subject, f: str) -> str:
    """Which placements stop answering at once, and which lose a part."""
    rows = _fewer(of, f)
    stopped = [slug(e) for e, _, n in rows if n <= 0]
    partly = [f"{slug(e)} ({n:,.0f} of {m:,.0f} replicas live)" for e, m, n in rows if n > 0]
    failure = of.problem.failures[f]
    said = []
    if is_unseen(of, f):
        said.append("No health check tells: what fails answers, wrongly.")
        if stopped:
            said.append("The push of step 1 takes it out of all routes.")
        said.append(f"The plan counts on somebody's knowing after {in_seconds(of.plan.study.detection_seconds)}.")
    if stopped:
        stop = "Concerned are" if is_unseen(of, f) else "These stop answering at once:"
        said.append(f"{stop} {listed_names(stopped)}.")
    if partly:
        said.append(f"In part: {listed_names(partly)}.")
        if is_unseen(of, f):
            said.append("These stay in the sets: take down those of their replicas that answer wrongly.")
    if failure.surge_factor > 1:
        said.append(f"Requests rise to {failure.surge_factor:.2f} times.")
    if not stopped and not partly and failure.surge_factor <= 1:
        lost = [markdown_cell(component) for component in sorted(failure.lost)]
        said.append(f"No placement stops; lost is {listed_names(lost)}.")
    return " ".join(said)


def _first(folders: list[str]) -> str:
    return f"{', '.join(folders[:3])}{' and so on' if len(folders) > 3 else ''}"


def listed_names(names: list[str]) -> str:
    """Names of people or of ours in a sentence, 40 at most."""
    more = len(names) - MOST_NAMED
    return ", ".join([*map(markdown_cell, names[:MOST_NAMED]), *([f"and {more} more"] if more > 0 else [])])


def _without(of: Subject, outcome: Outcome) -> str:
    at = outcome.meanwhile
    shares = percent(at.served_fraction), percent(at.due_fraction)
    said = "The static files serve {} of what is offered; {} is due.".format(*shares)
    if is_unseen(of, outcome.failure):
        said = "The static files go on sending to what answers wrongly. "
        said += "Without it they serve {} of what is offered; {} is due.".format(*shares)
    if at.worst is not None:
        stream = f"{markdown_cell(at.worst.workload)} from {markdown_cell(at.worst.origin)}"
        said += f" Shortest: {stream}, {percent(at.worst.served)} of {percent(at.worst.due)}."
    if at.overfull:
        x = at.overfull[0]
        said += f" {slug(x.placement)} gets {x.times_its_capacity:.2f} times its capacity."
    if outcome.found_seconds is not None:
        said += f" What is lost is out after {outcome.found_seconds:.1f} s."
    if outcome.verdict == TOO_LATE:
        said += " At a deadline the gateway still sends there: that goal breaks, whatever is pushed."
    return said


def _push(given: _Given, override: Override, origins: list[str], before: dict[str, tuple[Route, ...]]) -> list[str]:
    """One set: the command, and what it must show."""
    where, shares = f"overrides/{override.id}", given.pushing.shares or _shares
    lines = [
        f"    {given.pushing.command.format(set=where)}",
        "",
        f"It is in force when {given.pushing.shows.format(id=override.id)}. Shares afterwards, of what comes:",
        "",
        "| origin | workload | requests/s | shares |",
        "| --- | --- | --- | --- |",
    ]
    for origin in origins:
        for route, old in zip(override.of_origin(origin), before[origin], strict=True):
            if route != old:
                cells = (origin, route.workload, f"{route.requests_per_second:,.1f}")
                lines.append("| " + " | ".join([*map(markdown_cell, cells), shares(route)]) + " |")
    return [*lines, ""]


def _shares(route: Route) -> str:
    served = 1 - route.shed_fraction
    level = route.levels[0] if route.levels else ()
    shares = [f"{x.id} {percent(x.share_fraction * served)}" for x in level]
    more = len({x.placement for x in route.entries} - {x.placement for x in level})
    if not level:
        shares = ["refused (429) 100.0 %"]
    elif not route.pushed:
        shares.append(f"the rest to {more} more" if more else "the rest refused (429)")
        shares.append("where replicas run, up to their limits")
    elif route.shed_fraction > 0:
        shares.append(f"refused (429) {percent(route.shed_fraction)}")
    return ", ".join(shares)
