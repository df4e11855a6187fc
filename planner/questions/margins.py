"""How far a figure may move before a survival goal breaks: what a plan is sensitive to, found by drilling it again.

The drill is asked, at the study's own limits. With the replicas of the plan's own states no goal breaks before the
factors of `near_figures`; the drill may place others, and breaks later.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from planner.drill import Block, DrillRow, Move, Replays
from planner.plan.in_hand import Plan, in_hand
from planner.questions.near_figures import DEMAND, LEAST_SPEED, MOST_DEMAND, Kind, Near, near_figures, route
from planner.questions.planned import silent
from planner.solve.search import Progress
from planner.study.records.plan import PlanFile

FIRST_STEP = 0.002
CLOSE = 0.0005
CLOSE_TO_MOVE = 0.02
"""How close the factor that holds and the one that breaks are found [fraction of the figure, of the move]."""
NEAR_SPEED = 0.9
"""What is asked about at first, of speeds: one that breaks a goal is mostly nearer."""
MOST_LOAD = 1000.0
JUST_BEYOND = 1 + 1e-6
SAME_RATE = 1e-6
MOST_STEPS = 12
STEPS_WITH_WHOLE_REPLICAS = 3
"""Steps of the bisection with whole replicas: each searches for them in every failure that is near."""
FEW_NODES = 20
EARLIER = 0.25
"""By waiting slower replicas may be filled less, too: of which move failures are asked, of that with which the linear
program breaks them."""
KINDS: tuple[Kind, ...] = ("demand", "speed", "load time", "round trip")
SIGN: dict[Kind, float] = {"demand": 1.0, "speed": -1.0, "load time": 1.0}
MOST: dict[Kind, float] = {"demand": MOST_DEMAND, "speed": LEAST_SPEED, "load time": MOST_LOAD}
"""In which direction a figure gets worse, and as far as is looked."""


@dataclass(frozen=True)
class Margin:
    """How far a figure may move: the drill holds at one factor on it, and a goal breaks at the next.

    Parameters
    ----------
    kind : demand, speed, load time, round trip
    figure : all demand, a profile `model/profile` (in every pool that runs it), or `origin to site`
    factor : at which every goal still holds
    breaks_at : at which one breaks
    failure, deadline_seconds, hour : where it breaks first
    """

    kind: Kind
    figure: str
    factor: float
    breaks_at: float
    failure: str
    deadline_seconds: float
    hour: str

    @property
    def move_fraction(self) -> float:
        """By which share the figure is worse where a goal breaks."""
        return abs(self.breaks_at - 1)


def margins(
    plan: PlanFile | Plan,
    progress: Progress = silent,
    kinds: Sequence[Kind] = KINDS,
) -> tuple[Margin, ...]:
    """The first figure of each kind to break a goal, each by itself: bisection on the drill; the least move first.

    A kind without one breaks nothing: demand up to tenfold, any profile without speed, any load time, round trips as
    far as they may be off.
    """
    hand, first_to_break = in_hand(plan), []
    near = near_figures(hand, progress, NEAR_SPEED if hand.problem.waiting is None else LEAST_SPEED)
    if hand.problem.rescaled:
        near = [*_fixed(hand), *(one for one in near if one.kind == "round trip")]
    replays = Replays(hand.file)
    for n, kind in enumerate(kinds):
        looking = partial(progress, "looking for what breaks first", n / len(kinds))
        figures = _figures(hand, replays, near, kind)
        first = _first(figures, looking)
        if kind == "speed" and not hand.problem.rescaled and (first is None or any(map(_is_far, figures))):
            first = _first(_figures(hand, replays, near_figures(hand), kind), looking)
        if first is not None:
            first_to_break.append(first)
    return tuple(sorted(first_to_break, key=lambda m: (m.move_fraction, m.kind)))


def _figures(plan: Plan, replays: Replays, near: list[Near], kind: Kind) -> list["_Drilled"]:
    """The figures of one kind, nearest first."""
    by_figure: dict[str, list[Near]] = {}
    for one in near:
        if one.kind == kind:
            by_figure.setdefault(one.figure, []).append(one)
    figures = [_Drilled(plan, replays, rows) for rows in by_figure.values()]
    return sorted(figures, key=lambda figure: (figure.near[0].move_fraction, figure.figure))


def _is_far(speed: "_Drilled") -> bool:
    """Whether a speed was asked about that is below those of which all that is near is known."""
    return speed.farthest + CLOSE > 1 - NEAR_SPEED


def _first(figures: list["_Drilled"], looking: Callable[[str], None]) -> Margin | None:
    """The figure that breaks a goal first, of one kind; those that come later are not drilled any closer."""
    best: tuple[_Drilled, float] | None = None
    for one in figures:
        looking(f"{one.kind}: {one.figure}")
        if best is not None and one.part_of_move * one.near[0].move_fraction >= abs(best[1] - 1):
            break
        if best is not None and one.kind != "round trip" and not one.breaks(best[1], 0):
            continue
        factor = one.surely_breaks(best[1] if best is not None else None)
        if factor is not None and (best is None or abs(factor - 1) < abs(best[1] - 1)):
            best = one, factor
    return best[0].margin(best[1]) if best is not None else None


def _fixed(plan: Plan) -> list[Near]:
    """Where weights are fixed, no program over traffic says what holds: demand and all that runs, in every failure."""
    p = plan.problem
    profiles = sorted({p.profile_of[e] for (e, _), n in plan.decisions.replicas.items() if n > 0})
    figures: list[tuple[Kind, str]] = [("demand", DEMAND), *(("speed", g) for g in profiles)]
    return [Near(kind, figure, 1.0, f, h) for kind, figure in figures for h in p.hours for f in p.failures]


class _Drilled:
    """One figure of a plan's study, moved, and what the drill says then of the failures that are near.

    What holds is not asked again of a lesser move, nor what breaks of a larger one.

    near : the failures that the figure may break, nearest first
    """

    def __init__(self, plan: Plan, replays: Replays, near: list[Near]) -> None:
        self.near = sorted(near, key=lambda one: (one.move_fraction, one.failure, one.hour))
        self.plan, self.replays, self.kind, self.figure = plan, replays, near[0].kind, near[0].figure
        self.holds: dict[tuple[Block, bool], float] = {}
        self.broken: dict[tuple[Block, bool], float] = {}
        self.farthest = 0.0
        is_early = plan.problem.waiting is not None and self.kind == "speed"
        self.part_of_move = EARLIER if is_early else 1.0

    def breaks(self, factor: float, most_nodes: int) -> bool:
        """Whether something breaks with the figure times a factor, of the failures that may break by then."""
        may, move = self._may_break(factor), abs(factor - 1)
        integer = most_nodes > 0
        if any(self.broken.get((at, known), math.inf) <= move for at in may for known in {False, integer}):
            return True
        return bool(self._first_rows([at for at in may if self._is_open(at, integer, move)], factor, most_nodes))

    def first_row(self, factor: float) -> DrillRow:
        """What breaks first, and worst, with the figure times a factor and parts of replicas."""
        move = abs(factor - 1)
        rows = self._first_rows([at for at in self._may_break(factor) if self._is_open(at, False, move)], factor, 0)
        assert rows, "it has just broken"
        return rows[0]

    def _may_break(self, factor: float) -> list[Block]:
        self.farthest = max(self.farthest, abs(factor - 1))
        return [
            (one.hour, one.failure)
            for one in self.near
            if abs(factor - 1) > self.part_of_move * one.move_fraction - CLOSE
        ]

    def _is_open(self, at: Block, integer: bool, move: float) -> bool:
        """Whether a failure is not known to hold: what holds with whole replicas holds with parts of them."""
        return all(self.holds.get((at, known), -1.0) < move for known in {True, integer})

    def _first_rows(self, blocks: list[Block], factor: float, most_nodes: int) -> list[DrillRow]:
        """Rows that break in the first of some failures that has any, noted with those before it that hold."""
        move, integer = abs(factor - 1), most_nodes > 0
        alone = self.kind == "round trip"
        for together in [[at] for at in blocks] if alone else self.replays.together(blocks):
            rows = self._rows(together, factor, most_nodes)
            bad = {(row.hour, row.failure) for row in rows}
            for at in together:
                if at in bad:
                    self.broken[at, integer] = min(self.broken.get((at, integer), math.inf), move)
                else:
                    self.holds[at, integer] = max(self.holds.get((at, integer), 0.0), move)
            if rows:
                return rows
        return []

    def _rows(self, blocks: list[Block], factor: float, most_nodes: int) -> list[DrillRow]:
        if self.kind != "round trip":
            move = Move(self.kind, factor, "" if self.kind == "demand" else self.figure)
            return self.replays.broken_rows(blocks, move, most_nodes)
        known_ms = self.plan.problem.round_trip_ms
        key = next(key for key in known_ms if route(*key) == self.figure)
        longer = {key: known_ms[key].round_trip_ms * factor}
        # a flow that has lost its last edge is not short but out of reach: as much of it is not as before
        before = {key_of(row): row.uncovered_requests_per_second for row in self.replays.uncovered_rows(blocks, 0)}
        rows = self.replays.uncovered_rows(blocks, most_nodes, longer)
        return [
            row
            for row in rows
            if row.broken or row.uncovered_requests_per_second > before.get(key_of(row), 0.0) + SAME_RATE
        ]

    def surely_breaks(self, known: float | None) -> float | None:
        """The least factor found at which a goal breaks, whatever is done with parts of replicas; None: none does.

        `known`: one that does.
        """
        guess = self.near[0].guess
        if self.part_of_move < 1 and self.breaks(guess, 0):
            return self._closer(1.0, guess if known is None or known < guess else known, 0, MOST_STEPS)[1]
        if self.kind == "round trip":
            return guess * JUST_BEYOND if self.breaks(guess * JUST_BEYOND, 0) else None
        sign, most = SIGN[self.kind], MOST[self.kind]
        holds, breaks, step = guess, known, max(FIRST_STEP, abs(guess - 1) / 4)
        if self.kind == "load time" and known is None and not self.breaks(most, 0):
            return None
        while breaks is None:
            factor = guess + sign * step
            if sign * (factor - most) >= 0:
                if not self.breaks(most, 0):
                    return None
                breaks = most
            elif self.breaks(factor, 0):
                breaks = factor
            else:
                holds, step = factor, 2 * step
        return self._closer(holds, breaks, 0, MOST_STEPS)[1]

    def margin(self, breaks: float) -> Margin:
        """Between which factors a goal breaks: what holds with whole replicas, and what breaks with parts of them."""
        row = self.first_row(breaks)
        holds = self.near[0].guess
        if self.part_of_move < 1 and breaks >= holds:
            holds = 1.0
        if self.kind == "round trip":
            holds /= JUST_BEYOND
        else:
            holds, _ = self._closer(holds, breaks, FEW_NODES, STEPS_WITH_WHOLE_REPLICAS)
        if self.breaks(holds, FEW_NODES):
            holds = 1.0
        return Margin(self.kind, self.figure, holds, breaks, row.failure, row.deadline_seconds, row.hour)

    def _closer(self, holds: float, breaks: float, most_nodes: int, steps: int) -> tuple[float, float]:
        """A factor that holds and one that breaks, closer to each other."""
        for _ in range(steps):
            if abs(breaks - holds) <= max(CLOSE, CLOSE_TO_MOVE * abs(breaks - 1)):
                break
            middle = (holds + breaks) / 2
            if self.breaks(middle, most_nodes):
                breaks = middle
            else:
                holds = middle
        return holds, breaks


def key_of(row: DrillRow) -> tuple[str, float]:
    """Which tier at which deadline of a failure."""
    return row.tier, row.deadline_seconds
