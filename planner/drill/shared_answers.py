"""Failures that leave the same of what is installed, and are asked the same: they are re-solved once."""

from collections.abc import Callable, Hashable, Iterator, Sequence

import numpy as np

from planner.drill.remaining import Remaining
from planner.drill.resolve import Resolved, recovered_seconds, times_of

MOST_ANSWERS = 2048
"""That are in memory at the same time, beside those of one chunk."""


def signature(remaining: Remaining, only_goals: bool) -> Hashable:
    """The same for failures that leave the same of what is installed and are asked the same.

    Where no machine is left, nor can be had, it makes no difference whether a pool is lost or empty.

    Parameters
    ----------
    remaining : of one failure
    only_goals : see `drill_plan`
    """
    instance, failure, counts = remaining.instance, remaining.failures[0], remaining.counts[0]
    has_machines = counts.machines > 0
    has_machines[[q for _, q, _ in counts.obtained]] = True
    has_machines &= remaining.pools[0] > 0
    alive = has_machines[instance.pool_of] & (remaining.placements[0] > 0)
    of_placements = (remaining.placements, remaining.survivors, remaining.may_start, remaining.start_seconds)
    of_flows = (remaining.ingress, remaining.coverable, remaining.offered)
    parts = [
        *(np.where(alive, part[0], 0.0) for part in of_placements),
        *(np.where(has_machines, part, 0.0) for part in (remaining.pools[0], counts.machines)),
        *(part[0] for part in of_flows),
        remaining.limits.most[0],
    ]
    goals = tuple((tier, tuple(asked)) for tier, asked in sorted(failure.goals.items()))
    counted = failure.begins_seconds, failure.ends_seconds, failure.recovery_shown
    times = tuple(times_of(remaining, 0.0 if only_goals else recovered_seconds(remaining)))
    return goals, counted, times, counts.obtained, b"".join(part.astype(float).tobytes() for part in parts)


class Answers:
    """Answers of failures in turn, those that leave the same as an earlier one not asked again.

    Parameters
    ----------
    ask : re-solves what one failure leaves
    only_goals : see `drill_plan`
    """

    def __init__(self, ask: Callable[[Remaining], Resolved], only_goals: bool) -> None:
        self.ask, self.only_goals = ask, only_goals
        self.of: dict[Hashable, Resolved] = {}

    def new(self, chunk: Sequence[Remaining]) -> list[Remaining]:
        """Those of a chunk that leave what none before them did: to be asked, in this order."""
        if len(self.of) > MOST_ANSWERS:
            self.of.clear()
        self.keys = [signature(one, self.only_goals) for one in chunk]
        first = {key: n for n, key in reversed(list(enumerate(self.keys))) if key not in self.of}
        return [chunk[n] for n in sorted(first.values())]

    def each(self, chunk: Sequence[Remaining], answers: Iterator[Resolved]) -> Iterator[Resolved]:
        """The answers of all of a chunk, of those of `new`; what is said of one alone is asked of another, too."""
        for one, key in zip(chunk, self.keys, strict=True):
            if key not in self.of:
                self.of[key] = next(answers)
                yield self.of[key]
            else:
                yield self.of[key] if not self.of[key].findings else self.ask(one)
