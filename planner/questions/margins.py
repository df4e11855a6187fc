"""How far a figure may move before a survival goal breaks: what a plan is sensitive to, found by drilling it again.

The drill is asked, at the study's own limits. With the replicas of the plan's own states no goal breaks before the
factors of `near_figures`; the drill may place others, and breaks later.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from planner.drill import DrillRow, broken_rows
from planner.plan.in_hand import Plan, in_hand
from planner.problem.rules.formulas import is_normal
from planner.questions.near_figures import DEMAND, LEAST_SPEED, MOST_DEMAND, Kind, Near, near_figures, route
from planner.questions.planned import silent
from planner.solve.search import Progress
from planner.study.dependencies import profile_id
from planner.study.latency import reaches
from planner.study.records.plan import PlanFile

FIRST_STEP = 0.002
CLOSE = 0.0005
CLOSE_TO_MOVE = 0.02
"""How close the factor that holds and the one that breaks are found [fraction of the figure, of the move]."""
MOST_LOAD = 1000.0
JUST_BEYOND = 1 + 1e-6
SAME_RATE = 1e-6
MOST_STEPS = 12
STEPS_WITH_WHOLE_REPLICAS = 3
"""Steps of the bisection with whole replicas: each takes a second on the example study."""
FEW_NODES = 20
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
    hand = in_hand(plan)
    near = near_figures(hand, progress)
    if hand.problem.rescaled:
        near = [*_fixed(hand), *(one for one in near if one.kind == "round trip")]
    by_figure: dict[tuple[Kind, str], list[Near]] = {}
    for one in near:
        by_figure.setdefault((one.kind, one.figure), []).append(one)
    first_to_break = []
    for n, kind in enumerate(kinds):
        figures = [_Drilled(hand.file, rows) for (of, _), rows in by_figure.items() if of == kind]
        looking = partial(progress, "looking for what breaks first", n / len(kinds))
        first = _first(sorted(figures, key=lambda figure: (figure.near[0].move_fraction, figure.figure)), looking)
        if first is not None:
            first_to_break.append(first)
    return tuple(sorted(first_to_break, key=lambda m: (m.move_fraction, m.kind)))


def _first(figures: list["_Drilled"], looking: Callable[[str], None]) -> Margin | None:
    """The figure that breaks a goal first, of one kind; those that come later are not drilled any closer."""
    best: tuple[_Drilled, float] | None = None
    for one in figures:
        looking(f"{one.kind}: {one.figure}")
        if best is not None and one.near[0].move_fraction >= abs(best[1] - 1):
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

    near : the failures that the figure may break, nearest first
    """

    def __init__(self, plan: PlanFile, near: list[Near]) -> None:
        self.near = sorted(near, key=lambda one: (one.move_fraction, one.failure, one.hour))
        self.plan, self.kind, self.figure = plan, near[0].kind, near[0].figure
        self.known: dict[tuple[float, int], DrillRow | None] = {}

    def broken(self, factor: float, most_nodes: int) -> DrillRow | None:
        """What breaks with the figure times a factor, of the failures that may break by then."""
        if (factor, most_nodes) not in self.known:
            self.known[factor, most_nodes] = self._drilled(factor, most_nodes)
        return self.known[factor, most_nodes]

    def _drilled(self, factor: float, most_nodes: int) -> DrillRow | None:
        plan, longer = moved(self.plan, self.kind, self.figure, factor)
        may = [(one.hour, one.failure) for one in self.near if abs(factor - 1) > one.move_fraction - CLOSE]
        if self.kind != "round trip":
            rows = broken_rows(plan, may, most_nodes=most_nodes)
            return rows[0] if rows else None
        # a flow that has lost its last edge is not short but out of reach: as much of it is not as before
        for at in may:
            before = {key_of(row): row.uncovered_requests_per_second for row in self._out_of_reach(at)}
            for row in broken_rows(plan, [at], most_nodes=most_nodes, longer=longer, reach=True):
                if row.broken or row.uncovered_requests_per_second > before.get(key_of(row), 0.0) + SAME_RATE:
                    return row
        return None

    def _out_of_reach(self, at: tuple[str, str]) -> list[DrillRow]:
        return broken_rows(self.plan, [at], most_nodes=0, reach=True)

    def breaks(self, factor: float, most_nodes: int) -> bool:
        """Whether something breaks."""
        return self.broken(factor, most_nodes) is not None

    def surely_breaks(self, known: float | None) -> float | None:
        """The least factor found at which a goal breaks, whatever is done with parts of replicas; None: none does.

        `known`: one that does.
        """
        guess = self.near[0].guess
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
        row = self.broken(breaks, 0)
        assert row is not None, "it has just broken"
        holds = self.near[0].guess
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


def moved(plan: PlanFile, kind: Kind, figure: str, factor: float) -> tuple[PlanFile, dict[tuple[str, str], float]]:
    """The plan with one figure of its study times a factor, and the round trip that holds instead of the study's [ms].

    All else is as planned. With more demand, normal operation is sent where it was sent, in the same shares.
    """
    if kind == "round trip":
        key = next(key for key in reaches(plan.study) if route(*key) == figure)
        return plan, {key: reaches(plan.study)[key].round_trip_ms * factor}
    if kind == "demand":
        return _with_more_demand(plan, factor), {}
    models = []
    for model in plan.study.models:
        profiles = []
        for profile in model.profiles:
            if profile_id(model.model, profile.name) == figure and kind == "speed":
                slower = tuple(
                    c.model_copy(
                        update={
                            "prefill_tokens_per_second": c.prefill_tokens_per_second * factor,
                            "decode_tokens_per_second": c.decode_tokens_per_second * factor,
                        }
                    )
                    for c in profile.classes
                )
                profile = profile.model_copy(update={"classes": slower})
            elif profile_id(model.model, profile.name) == figure:
                longer = {
                    "load_seconds": profile.load_seconds * factor,
                    "compile_seconds": profile.compile_seconds * factor,
                }
                profile = profile.model_copy(update=longer)
            profiles.append(profile)
        models.append(model.model_copy(update={"profiles": tuple(profiles)}))
    return plan.model_copy(update={"study": plan.study.model_copy(update={"models": tuple(models)})}), {}


def _with_more_demand(plan: PlanFile, factor: float) -> PlanFile:
    rates = ("requests_per_second", "low_requests_per_second", "high_requests_per_second")
    demand = []
    for row in plan.study.demand:
        values = {name: getattr(row, name) for name in rates}
        demand.append(row.model_copy(update={n: v if v is None else v * factor for n, v in values.items()}))
    states_ = []
    for state in plan.states:
        if is_normal((state.hour, state.failure, state.deadline_seconds)):
            sent = tuple(v * factor for v in state.requests_per_second)
            shed = {w: {o: v * factor for o, v in of.items()} for w, of in state.shed.items()}
            state = state.model_copy(update={"requests_per_second": sent, "shed": shed})
        states_.append(state)
    study = plan.study.model_copy(update={"demand": tuple(demand)})
    return plan.model_copy(update={"study": study, "states": tuple(states_)})
