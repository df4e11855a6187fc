"""Where the time of a plan goes: processor seconds by stage, those within a solver apart. Nothing where nobody asks.

Stages are marked where the work is done (`with stage(TESTS):`, or as a decorator); the innermost counts, so that
seconds add up to all of the time. What is marked costs microseconds where nobody asks. What is done in another thread
is timed by a watch of its own, whose seconds are taken over.
"""

import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import TypeVar

READING, BUILDING, LINEAR_PROGRAM, TESTS = "reading", "building", "linear program", "tests"
MARGINAL_VALUES, WHOLE_NUMBERS = "marginal values", "whole numbers"
TESTS_WHOLE, SETTLING = "tests on whole numbers", "settling"
WRITING, REVIEWING, OTHER = "writing", "reviewing", "other"
STAGES = (
    READING,
    BUILDING,
    LINEAR_PROGRAM,
    TESTS,
    MARGINAL_VALUES,
    WHOLE_NUMBERS,
    TESTS_WHOLE,
    SETTLING,
    WRITING,
    REVIEWING,
    OTHER,
)
THE_PLAN = "the plan"
Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class At:
    """What is being done.

    Parameters
    ----------
    part : the solve that it is for: of the plan, or of what the plan is compared with
    stage : one of STAGES
    in_solver : whether the solver has it
    """

    part: str = THE_PLAN
    stage: str = OTHER
    in_solver: bool = False


def processor_seconds() -> float:
    """Processor seconds, user and system, of this process and of children that ended, as other solvers are."""
    times = os.times()
    return time.process_time() + times.children_user + times.children_system


class Watch:
    """Processor seconds, user and system, since it was made, by what was being done.

    Parameters
    ----------
    at : what is being done
    seconds_so_far : of the processor, of what is watched; None: of this process
    """

    def __init__(self, at: At = At(), seconds_so_far: Callable[[], float] | None = None) -> None:
        self.at, self._seconds_so_far = at, seconds_so_far or processor_seconds
        self.seconds: dict[At, float] = {}
        self.ended: deque[Watch] = deque()
        """of threads that ended in the meantime: what they took is in the seconds of this process, too"""
        self._since = self._seconds_so_far()

    def move(self, at: At) -> None:
        """From now on something else is done."""
        now = self._seconds_so_far()
        self._add(self.at, now - self._since)
        while self.ended:
            for other, seconds in self.ended.popleft().seconds.items():
                self._add(other, seconds)
                self._add(self.at, -seconds)
        self.at, self._since = at, now

    def _add(self, at: At, seconds: float) -> None:
        self.seconds[at] = self.seconds.get(at, 0.0) + seconds


_watch: ContextVar[Watch | None] = ContextVar("watch", default=None)


@contextmanager
def watched() -> Iterator[Watch]:
    """Within it the time of every stage is taken."""
    watch = Watch()
    token = _watch.set(watch)
    try:
        yield watch
    finally:
        watch.move(At())
        _watch.reset(token)


def in_thread(work: Callable[[Item], Result]) -> Callable[[Item], Result]:
    """Work that is done in another thread, timed there; its time goes where it would have gone in this one."""
    watch = _watch.get()
    if watch is None:
        return work
    at = watch.at

    def timed(item: Item) -> Result:
        own = Watch(at, time.thread_time)
        token = _watch.set(own)
        try:
            return work(item)
        finally:
            own.move(At())
            _watch.reset(token)
            watch.ended.append(own)

    return timed


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Within it the time goes to a stage."""
    with _at(lambda before: replace(before, stage=name)):
        yield


@contextmanager
def part(name: str) -> Iterator[None]:
    """Within it the time goes to a solve that the plan is only compared with."""
    with _at(lambda before: replace(before, part=name)):
        yield


@contextmanager
def in_solver() -> Iterator[None]:
    """Within it the time is the solver's."""
    with _at(lambda before: replace(before, in_solver=True)):
        yield


@contextmanager
def _at(inside: Callable[[At], At]) -> Iterator[None]:
    watch = _watch.get()
    if watch is None:
        yield
        return
    outside = watch.at
    watch.move(inside(outside))
    try:
        yield
    finally:
        watch.move(outside)


@dataclass(frozen=True)
class Spent:
    """Time that went to a stage of a part.

    Parameters
    ----------
    seconds : of the processor; solver_seconds : those of them within the solver
    fraction : of all seconds
    """

    part: str
    stage: str
    seconds: float
    solver_seconds: float
    fraction: float


def spent(watch: Watch) -> list[Spent]:
    """What was spent on each stage, in the order of STAGES, the plan's own first."""
    every = sum(watch.seconds.values()) or 1.0
    parts = dict.fromkeys((THE_PLAN, *(at.part for at in watch.seconds)))
    rows = []
    for name in parts:
        for each in STAGES:
            solver = watch.seconds.get(At(name, each, True), 0.0)
            seconds = watch.seconds.get(At(name, each, False), 0.0) + solver
            if seconds > 0:
                rows.append(Spent(name, each, seconds, solver, seconds / every))
    return rows
