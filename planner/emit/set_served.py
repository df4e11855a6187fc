"""What a set serves beside what no push at all serves at the same moment of a failure, and what a lesser set is for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from planner.emit.capacity import planned_replicas, surviving_replicas
from planner.emit.cascade import Served, served_by
from planner.emit.moves import Moves
from planner.emit.overrides import RIGHT_AFTER_SECONDS, Override, in_seconds
from planner.emit.routing import Subject, Table
from planner.emit.text import percent
from planner.problem.problem import State, states
from planner.problem.rules.formulas import due_fraction

SAME_FRACTION = 0.0005
"""Of what is offered: less than this is no difference that percentages with one decimal show."""


@dataclass(frozen=True)
class SideBySide:
    """A moment of a failure with its set and without.

    Parameters
    ----------
    with_set : the routes of the set, with the replicas that the plan runs by then
    its_replicas : the static files, with those same replicas
    without_push : the static files, with the replicas that survive: none evicted, none started
    due_fraction : of what is offered, what the goals ask by then; none before the plan's first deadline
    """

    with_set: Served
    its_replicas: Served
    without_push: Served
    due_fraction: float

    @property
    def less_fraction(self) -> float:
        """How much less the set serves than no push [of what is offered]; 0 where it serves as much or more."""
        return _beyond(self.without_push, self.with_set)

    @property
    def less_by_routes_fraction(self) -> float:
        """How much less it serves than the static files do with its own replicas [of what is offered]."""
        return min(self.less_fraction, _beyond(self.its_replicas, self.with_set))


def _beyond(more: Served, less: Served) -> float:
    difference = more.served_fraction - less.served_fraction
    return difference if difference >= SAME_FRACTION else 0.0


def side_by_side(of: Subject, table: Table, gateway: str, override: Override) -> SideBySide:
    """What is served with a set and without a push, as `served_by` says it of all.

    A set from detection on, ahead of the first deadline of the plan, has the replicas that survive.
    """
    in_failure = [s for s in states(of.problem, override.failure) if s[0] == of.hour]
    at_deadline = [s for s in in_failure if s[2] == override.deadline_seconds]
    s = at_deadline[0] if at_deadline else in_failure[0]
    replicas = planned_replicas if at_deadline else surviving_replicas
    without_push = served_by(of, table, gateway, s, surviving_replicas)
    return SideBySide(
        with_set=served_by(of, replace(table, routes=override.routes), gateway, s, replicas),
        its_replicas=served_by(of, table, gateway, s, replicas),
        without_push=without_push,
        due_fraction=without_push.due_fraction if at_deadline else 0.0,
    )


def served_table(of: Subject, steps: Sequence[tuple[Override, SideBySide]], moves: Mapping[float, Moves]) -> list[str]:
    """A row a step: what is served with it, without any push, and what is due; then what each lesser set is for.

    Parameters
    ----------
    moves : of the failure, by deadline
    """
    lines = ["| step | by | served with it | without any push | due by then |", "| --- | --- | --- | --- | --- |"]
    reasons: list[str] = []
    before = -1.0
    for n, (override, sides) in enumerate(steps, 1):
        seconds = override.deadline_seconds
        deadline = in_seconds(seconds) if seconds - before > RIGHT_AFTER_SECONDS else f"at once after step {n - 1}"
        shares = (sides.with_set.served_fraction, sides.without_push.served_fraction)
        due = percent(sides.due_fraction) if sides.due_fraction > 0 else "nothing"
        cells = (str(n), deadline, *map(percent, shares), due)
        lines.append("| " + " | ".join(cells) + " |")
        before = seconds
        if sides.less_fraction:
            why = " ".join(_what_for(of, override, sides, moves))
            less = _points(sides.less_fraction)
            reasons += [f"Step {n} serves **{less} less than no push at all**. {why}", ""]
    return [*lines, "", *reasons]


def _what_for(of: Subject, override: Override, sides: SideBySide, moves: Mapping[float, Moves]) -> list[str]:
    """Why a set serves less than no push: a goal by then, machines for a later start, or nothing."""
    c = override.deadline_seconds
    asks_now = sides.due_fraction > 0 and not sides.without_push.good
    said = [
        "A goal due by then asks for it: no push does not keep that." if asks_now else "No goal asks for it by then."
    ]
    evicted = _evicted(of, c, moves)
    later = _started_there(of, override.failure, c, moves, set(evicted))
    if later is not None:
        seconds, is_due, pools = later
        replicas = sum(evicted[q] for q in pools)
        price = "the price of the later goal, due" if is_due else "for what the plan serves"
        said.append(
            f"It is {price} by {in_seconds(seconds)}: {replicas:,} replicas are evicted by this step or "
            f"before, and replicas that take until then to start get their machines."
        )
    elif not asks_now:
        said.append("No later start needs its machines, either: a plan may shed what is not due.")
    if sides.less_by_routes_fraction:
        said.append(
            f"{_points(sides.less_by_routes_fraction)} of it are its routes': the static files serve "
            f"{percent(sides.its_replicas.served_fraction)} with the replicas that run then, where the set refuses."
        )
    return said


def _evicted(of: Subject, c: float, moves: Mapping[float, Moves]) -> dict[str, int]:
    """Pool -> replicas that are evicted by a deadline."""
    evicted: dict[str, int] = {}
    for x in (x for deadline, moved in moves.items() if deadline <= c for x in moved.rows if x.evicted):
        pool = of.problem.pool_of[x.placement]
        evicted[pool] = evicted.get(pool, 0) + x.evicted
    return evicted


def _started_there(
    of: Subject, f: str, c: float, moves: Mapping[float, Moves], pools: set[str]
) -> tuple[float, bool, set[str]] | None:
    """The first later deadline by which replicas are started in any of some pools, one at which a goal is due if there
    is; whether one is due then; and in which of the pools."""
    made = []
    for s in (s for s in states(of.problem, f) if s[0] == of.hour and s[2] > c):
        started = {of.problem.pool_of[x.placement] for x in moves.get(s[2], Moves()).rows if x.started}
        if started & pools:
            made.append((s[2], _is_anything_due(of, s), started & pools))
    return min(made, key=lambda x: (not x[1], x[0]), default=None)


def _is_anything_due(of: Subject, s: State) -> bool:
    return any(due_fraction(of.problem, w, o, s) > 0 for w, o in of.problem.flows)


def _points(fraction: float) -> str:
    return f"{100 * fraction:.1f} percentage points"
