"""A plan drilled again and again, each time with one figure of its study moved: what does not move is kept."""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from planner.drill.baseline import hours_of
from planner.drill.by_number import Template
from planner.drill.expansion import failures_of_goals
from planner.drill.failover import mode_of_all, mode_of_normal
from planner.drill.failures import NORMAL, Failure
from planner.drill.instance import NO_LATENCIES, TOLERANCE, Latencies, build_instance
from planner.drill.moved import Move, moved, moved_fleet, moved_remaining
from planner.drill.one_hour import Fleets, Search, broken_in, broken_of, drill_hour, worst_first
from planner.drill.pushes import plan_as_pushed
from planner.drill.remaining import Remaining, what_remains
from planner.drill.replay import Block, fleets_of, prepare
from planner.drill.rescale import all_warm
from planner.drill.resolve import Programs, Resolved, breaking, build, filled_again, may_be_filled_again, times_of
from planner.drill.result import DrillRow
from planner.drill.symmetric import SymmetricFlows, merge_symmetric, symmetric_but_for_failures
from planner.errors import SolverError
from planner.study.records.plan import PlanFile


@dataclass
class _Kept:
    """What can run in a failure with no figure moved, its symmetric flows together, and its program with one moved."""

    remaining: Remaining
    few: SymmetricFlows
    made: Template | None = None


class Replays:
    """The failures of a plan, each as gateways fail over in it.

    Parameters
    ----------
    plan : as for `drill_plan`

    Raises
    ------
    InputError
        as `drill_plan`
    """

    def __init__(self, plan: PlanFile) -> None:
        self.plan = plan_as_pushed(plan) if plan.study.failover == "resolve" else plan
        self.instance, self.graph, self.failures = prepare(self.plan.study, self.plan.demand_case)
        self.slices = hours_of(self.plan)
        self.in_normal = mode_of_normal(self.plan.study.failover, self.failures)
        self.all_rescaled = mode_of_all(self.in_normal, self.failures) == "rescale"
        self._fleets: dict[str, Fleets] = {}
        self._kept: dict[Block, _Kept] = {}
        self._longer: tuple[Latencies, Replays] | None = None

    def together(self, blocks: Sequence[Block]) -> list[list[Block]]:
        """(hour, failure) that are asked together, in turn: each alone; where all are rescaled, those of an hour."""
        by_hour: dict[str, list[Block]] = {}
        for hour, name in blocks:
            by_hour.setdefault(hour, []).append((hour, name))
        return list(by_hour.values()) if self.all_rescaled else [[block] for block in blocks]

    def broken_rows(self, blocks: Sequence[Block], move: Move, most_nodes: int) -> list[DrillRow]:
        """What breaks in some failures of an hour with a figure moved, worst first, until the last deadline.

        Normal operation is routed anew, too, where weights are: it is asked what the replicas can carry.

        Parameters
        ----------
        blocks : (hour, failure), all of one hour
        most_nodes : of a search for whole replicas; 0: what breaks does so with parts of replicas as well, so for sure
        """
        hour, names = blocks[0][0], {name for _, name in blocks}
        asked = [failure for failure in self._failures(move) if failure.id in names]
        rows = []
        for failure in (one for one in asked if one.mode == "resolve"):
            rows += self._resolved(hour, failure, move, most_nodes)
        others = [one for one in asked if one.mode != "resolve"]
        if others or NORMAL in names:
            search = Search(NORMAL in names, self.in_normal == "resolve", only_goals=True)
            fleets = self._of_hour(hour)
            moved_fleets = Fleets(moved_fleet(fleets.normal, move), moved_fleet(fleets.in_failure, move), ())
            result = drill_hour(moved_fleets, self.graph, others, self.in_normal, None, search)
            rows += [row for row in result.rows if row.broken]
        return sorted((replace(row, hour=hour) for row in rows), key=worst_first)

    def uncovered_rows(
        self, blocks: Sequence[Block], most_nodes: int, longer: Latencies = NO_LATENCIES
    ) -> list[DrillRow]:
        """What breaks in some failures of an hour, or is due and out of reach of any capacity, worst first.

        Parameters
        ----------
        blocks, most_nodes : as for `broken_rows`
        longer : (origin, site id) -> round trip that holds instead of the study's [ms]
        """
        if longer:
            return self._with_round_trips(longer).uncovered_rows(blocks, most_nodes)
        hour, names = blocks[0][0], {name for _, name in blocks}
        asked = [failure for failure in self.failures if failure.id in names]
        search = Search(NORMAL in names, self.in_normal == "resolve", most_nodes)
        rows = drill_hour(self._of_hour(hour), self.graph, asked, self.in_normal, None, search).rows
        return [replace(r, hour=hour) for r in rows if r.broken or r.uncovered_requests_per_second > TOLERANCE]

    def _with_round_trips(self, longer: Latencies) -> "Replays":
        """The same plan where some round trips are others: of failures and what needs what nothing moves."""
        if self._longer is None or self._longer[0] != longer:
            other = copy(self)
            other.instance = build_instance(self.plan.study, self.plan.demand_case, longer)
            other._fleets, other._kept = {}, {}
            self._longer = longer, other
        return self._longer[1]

    def _failures(self, move: Move) -> tuple[Failure, ...]:
        """The failures with a figure moved: stages count when what returns with them has loaded."""
        if move.figure != "load time" or not self._staged:
            return self.failures
        return failures_of_goals(moved(self.instance, move), self.graph)

    @cached_property
    def _staged(self) -> bool:
        return any(one.of or one.repaired or one.hours_to_new_weights for one in self.failures)

    def _of_hour(self, hour: str) -> Fleets:
        if hour not in self._fleets:
            one = next(one for one in self.slices if one.hour == hour)
            self._fleets[hour] = fleets_of(self.instance, self.failures, self.plan, one, self.slices)
        return self._fleets[hour]

    def _resolved(self, hour: str, failure: Failure, move: Move, most_nodes: int) -> list[DrillRow]:
        """What breaks in one failure with the best new weights and starts."""
        kept = self._kept_of(hour, failure)
        remaining = moved_remaining(kept.remaining, move)
        few = replace(kept.few, remaining=moved_remaining(kept.few.remaining, move))
        times = times_of(remaining)
        if not few.remaining.instance.in_failure.any():
            nothing = np.zeros(len(remaining.offered[0]))
            served = dict.fromkeys(times, nothing)
            return broken_of(remaining, Resolved(served, dict.fromkeys(times, all_warm(nothing)), ()))
        if most_nodes or move.figure == "load time" or not may_be_filled_again(kept.made, few.remaining):
            made = build(few.remaining, times)
        else:
            made = kept.made
            filled_again(made, few.remaining)
        if not most_nodes and move.figure != "load time":
            kept.made = made
        try:
            answer = breaking(remaining, few, made, most_nodes)
        except SolverError:  # as the drill asks: with all placements, from nothing
            fleets = self._of_hour(hour).in_failure
            all_remaining = moved_remaining(what_remains(fleets, self.graph, [failure]), move)
            return broken_in(all_remaining, Programs(), most_nodes)
        return broken_of(remaining, answer) if answer else []

    def _kept_of(self, hour: str, failure: Failure) -> _Kept:
        """What can run in a failure; figures as they are."""
        kept = self._kept.get((hour, failure.id))
        if kept is None or kept.remaining.failures[0] != failure:
            remaining = what_remains(self._of_hour(hour).in_failure, self.graph, [failure]).that_can_run()
            few = merge_symmetric(remaining, symmetric_but_for_failures(remaining))
            kept = _Kept(remaining, few)
            self._kept[hour, failure.id] = kept
        return kept
