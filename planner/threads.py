"""Work side by side in threads of this process: a solver lets go of Python's lock while it runs.

What comes out does not depend on how many threads there are, where each piece of work gives the same whenever it is
done: pieces are begun in their order, and each is asked for when the same results are known.
"""

import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

from planner.interruption import end_if_passed_on, held, passed_on

AHEAD = 8
"""Pieces of work that are asked for before the first of them has ended: so many threads have work."""
LOOK_SECONDS = 0.1
"""Between two looks at how far work has come."""
Item = TypeVar("Item")
Result = TypeVar("Result")


def processors() -> int:
    """Processors that this process may use; at least one."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def side_by_side(
    work: Callable[[Item], Result], items: Iterable[Item], jobs: int, meanwhile: Callable[[], None] = lambda: None
) -> Iterator[Iterator[Result]]:
    """Results of work in the order of its items, each as soon as it and all before it have ended.

    Item n is taken once the result of item n - AHEAD was, whatever the number of threads: what items are may depend on
    results. An error in a thread is raised where its result is taken. At the end of the block, or at an error or a
    signal in it, what has not begun is called off, and integer searches that run are ended, as by a signal.

    Parameters
    ----------
    work : may be done in several threads at a time
    jobs : threads; 1: each result is worked out in this one when it is taken
    meanwhile : called now and then, in this thread, while it waits
    """
    if jobs == 1:
        yield _in_order((partial(work, item) for item in items), lambda one: one())
        return
    signals: list[int] = []

    def job(item: Item) -> Result:
        with passed_on(signals):
            return work(item)

    def begun(item: Item) -> "Future[Result]":
        with held():  # a thread that has begun is one that the pool knows, and waits for
            return pool.submit(job, item)

    def ended(one: "Future[Result]") -> Result:
        while not one.done():
            wait([one], LOOK_SECONDS)
            meanwhile()
        return one.result()

    pool = ThreadPoolExecutor(min(jobs, AHEAD), thread_name_prefix="planner")
    try:
        yield _in_order(map(begun, items), ended)
    finally:
        signals.append(signal.SIGINT)
        with held():  # what is kept for later is in no thread's hands when this goes on
            pool.shutdown(cancel_futures=True)


Begun = TypeVar("Begun")


def _in_order(begun: Iterator[Begun], ended: Callable[[Begun], Result]) -> Iterator[Result]:
    waiting: deque[Begun] = deque()
    for one in begun:
        waiting.append(one)
        if len(waiting) == AHEAD:
            yield ended(waiting.popleft())
    while waiting:
        yield ended(waiting.popleft())


class Count:
    """How much of the work of several threads is done, said by the thread that waits for them.

    Parameters
    ----------
    say : called with (how many are done, what the last one was)
    jobs : threads; 1: it is said when it is done
    """

    def __init__(self, say: Callable[[int, str], None], jobs: int) -> None:
        self._say, self._at_once = say, jobs == 1
        self._lock = threading.Lock()
        self._done, self._last, self._said = 0, "", 0

    def add(self, what: str) -> None:
        """One more is done; where nobody waits for the others any more, the thread ends (`Interrupted`)."""
        end_if_passed_on()
        with self._lock:
            self._done, self._last = self._done + 1, what
        if self._at_once:
            self.say()

    def say(self) -> None:
        """Say how many are done, where that are more than before."""
        with self._lock:
            done, last = self._done, self._last
        if done > self._said:
            self._said = done
            self._say(done, last)
