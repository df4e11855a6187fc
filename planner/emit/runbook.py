"""RUNBOOK.md: per failure, worst first, how to recognise it, what to run by when, what it then shows, how to return."""

from dataclasses import dataclass

from planner.emit.capacity import surviving_replicas
from planner.emit.cascade import ALONE, NOTHING_DUE, OVERRIDE, TOO_LATE, WITH_REPLICAS, Outcome, is_unseen
from planner.emit.names import slug
from planner.emit.overrides import BASE, Override, deadline_id, steps
from planner.emit.routing import Route, Subject, Table
from planner.emit.text import markdown_cell
from planner.problem.arrays import full
from planner.problem.problem import states
from planner.study.dependencies import NORMAL

TO_DO = {
    ALONE: "nothing to do",
    WITH_REPLICAS: "nothing to push; replicas are cold-started and evicted as planned",
    NOTHING_DUE: "nothing to do: no goal asks for anything in it",
    OVERRIDE: "nothing to push: no gateway's routes change; replicas as planned",
    TOO_LATE: "nothing to push: no gateway's routes change",
}
MOST_NAMED = 40
"""Placements that are named in a sentence; the rest is counted."""


@dataclass(frozen=True)
class Pushing:
    """How a set is pushed to a gateway.

    Parameters
    ----------
    about : paragraphs before all failures
    command : run in the folder of the gateway; `{set}` stands for the folder of the set
    shows : command that says which set is in force, and what it must say; `{id}` stands for the set's name
    """

    about: tuple[str, ...]
    command: str
    shows: str


@dataclass(frozen=True)
class _Given:
    of: Subject
    table: Table
    pushed: tuple[Override, ...]
    pushing: Pushing


def runbook_text(
    of: Subject, table: Table, outcomes: tuple[Outcome, ...], pushed: tuple[Override, ...], pushing: Pushing
) -> str:
    """The runbook of one gateway as Markdown.

    Failures come with the largest shortfall of what is due under the static files first, then the least served.
    """
    given = _Given(of, table, pushed, pushing)
    ordered = sorted(
        (x for x in outcomes if x.failure != NORMAL),
        key=lambda x: (-x.meanwhile.short_requests_per_second, x.meanwhile.served_fraction, x.failure),
    )
    with_sets = [x for x in ordered if any(_steps(given, x.failure, o) for o in _origins(table))]
    lines = ["# What to do in a failure", ""]
    for paragraph in pushing.about:
        lines += [paragraph, ""]
    lines += [
        "Seconds count from the failure's begin. Sets are weights and limits of the plan's own state at that deadline;",
        "until the first, and wherever nothing is said of an origin, the files in force stay. A set counts on the",
        "replicas that are cold-started by its deadline: pushed before they answer, their share is refused.",
        "A deadline that is a thousandth of a second after another means right after it.",
        "Placements are named as in the files; `routing.json` says what each stands for.",
        "",
    ]
    for number, outcome in enumerate(with_sets, 1):
        lines += _failure(given, number, outcome)
    lines += ["## Nothing to push", "", "| failure | what to do |", "| --- | --- |"]
    for outcome in sorted(set(ordered) - set(with_sets), key=lambda x: x.failure):
        lines.append(f"| {markdown_cell(outcome.failure)} | {TO_DO[outcome.verdict]} |")
    return "\n".join(lines) + "\n"


def _origins(table: Table) -> list[str]:
    return sorted({route.origin for route in table.routes})


def _steps(given: _Given, failure: str, origin: str) -> tuple[Override, ...]:
    return steps(given.pushed, given.table, failure, origin)


def _failure(given: _Given, number: int, outcome: Outcome) -> list[str]:
    f = outcome.failure
    lines = [f"## {number}. {markdown_cell(f)}", "", f"**Recognise it.** {_recognised(given.of, f)}", ""]
    lines += [f"**Without a push.** {_without(outcome)}", ""]
    of_origin = {o: _steps(given, f, o) for o in _origins(given.table)}
    before = {o: given.table.of_origin(o) for o in of_origin}
    for override in (x for x in given.pushed if x.failure == f):
        origins = [o for o, sequence in of_origin.items() if override in sequence]
        if origins:
            lines += _push(given, override, origins, before)
            before |= {o: override.of_origin(o) for o in origins}
    origins = [o for o, sequence in of_origin.items() if sequence]
    lines += [
        f"**Return.** When what was lost answers again with the replicas of normal operation, at {_named(origins)}:",
        "",
        f"    {given.pushing.command.format(set=BASE)}",
        "",
    ]
    return lines


def _recognised(of: Subject, f: str) -> str:
    """Which placements stop answering at once, and which lose a part."""
    a, x = full(of.problem), of.vectors
    s = next(s for s in states(of.problem, f) if s[0] == of.hour)
    before = x.replicas[of.hour,].tolist()
    after = surviving_replicas(a, x, s).tolist()
    rows = [(slug(e), m, n) for e, m, n in zip(of.problem.placements, before, after, strict=True) if n < m]
    stopped = [name for name, _, n in rows if n <= 0]
    partly = [f"{name} ({n:,.0f} of {m:,.0f} replicas live)" for name, m, n in rows if n > 0]
    failure = of.problem.failures[f]
    said = []
    if is_unseen(of, f):
        said.append("No health check tells: what fails answers, wrongly. Take its endpoints down first.")
    if stopped:
        stop = "Concerned are" if is_unseen(of, f) else "These stop answering at once:"
        said.append(f"{stop} {_named(stopped)}.")
    if partly:
        said.append(f"In part: {_named(partly)}.")
    if failure.surge_factor > 1:
        said.append(f"Requests rise to {failure.surge_factor:.2f} times.")
    if not stopped and not partly and failure.surge_factor <= 1:
        lost = [markdown_cell(component) for component in sorted(failure.lost)]
        said.append(f"No placement stops; lost is {_named(lost)}.")
    return " ".join(said)


def _named(names: list[str]) -> str:
    more = len(names) - MOST_NAMED
    return ", ".join([*map(markdown_cell, names[:MOST_NAMED]), *([f"and {more} more"] if more > 0 else [])])


def _without(outcome: Outcome) -> str:
    at = outcome.meanwhile
    shares = _percent(at.served_fraction), _percent(at.due_fraction)
    said = "The static files serve {} of what is offered; {} is due.".format(*shares)
    if at.worst is not None:
        stream = f"{markdown_cell(at.worst.workload)} from {markdown_cell(at.worst.origin)}"
        said += f" Shortest: {stream}, {_percent(at.worst.served)} of {_percent(at.worst.due)}."
    if at.overfull:
        x = at.overfull[0]
        said += f" {slug(x.placement)} gets {x.times_its_capacity:.2f} times its capacity."
    if outcome.found_seconds is not None:
        said += f" What is lost is out after {outcome.found_seconds:.1f} s."
    if outcome.verdict == TOO_LATE:
        said += " At a deadline the gateway still sends there: that goal breaks, whatever is pushed."
    return said


def _push(given: _Given, override: Override, origins: list[str], before: dict[str, tuple[Route, ...]]) -> list[str]:
    """One set: the command, where, by when, and what it must show."""
    where = f"overrides/{override.id}"
    lines = [
        f"**In force at {deadline_id(override.deadline_seconds).removesuffix('s')} s**, at {_named(origins)}:",
        "",
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
                lines.append("| " + " | ".join([*map(markdown_cell, cells), _shares(route)]) + " |")
    return [*lines, ""]


def _shares(route: Route) -> str:
    served = 1 - route.shed_fraction
    level = route.levels[0] if route.levels else ()
    shares = [f"{x.id} {_percent(x.share_fraction * served)}" for x in level]
    if not level:
        shares = ["refused (429) 100.0 %"]
    elif route.shed_fraction > 0:
        shares.append(f"refused (429) {_percent(route.shed_fraction)}")
    return ", ".join(shares)


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.1f} %"
