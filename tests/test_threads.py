"""Work in threads: results in order, items taken when the same results are known, errors and signals end all of it."""

import os
import signal
import threading
import time

import pytest

from planner.interruption import noticed
from planner.threads import AHEAD, Count, side_by_side

LONG_SECONDS = 30.0
"""A test that waits so long has failed."""


def threads() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name.startswith("planner")]


@pytest.mark.parametrize("jobs", [1, 2, 5])
def test_items_are_taken_when_the_same_results_are_known(jobs):
    known: list[int] = []

    def items():
        for n in range(3 * AHEAD):
            yield n, len(known)

    def work(item):
        n, _ = item
        time.sleep(0.001 * (n % 3))
        return n, item

    with side_by_side(work, items(), jobs) as results:
        for n, (_, knew) in results:
            known.append(n)
            assert knew == max(0, n - AHEAD + 1)
    assert known == list(range(3 * AHEAD)) and threads() == []


def test_work_is_done_at_the_same_time():
    together = threading.Barrier(3)
    with side_by_side(lambda _: together.wait(LONG_SECONDS), range(6), 3) as results:
        assert len(list(results)) == 6


@pytest.mark.parametrize("jobs", [1, 4])
def test_the_first_error_in_order_is_the_error(jobs):
    late = threading.Event()
    done = []

    def work(n):
        if n == 1 and jobs > 1:
            late.wait(LONG_SECONDS)
        if n == 2:
            late.set()
        if n in (1, 2):
            raise ValueError(f"of {n}")
        done.append(n)
        return n

    with pytest.raises(ValueError, match="of 1"), side_by_side(work, range(50), jobs) as results:
        list(results)
    assert len(done) <= AHEAD and threads() == []


def test_a_signal_ends_what_runs():
    """Ctrl-C comes to the thread that waits; those that work see it, as an integer search does, and end."""
    ended, both = [], threading.Barrier(2)

    def work(n):
        with noticed() as signals:
            if both.wait(LONG_SECONDS) == 0:
                os.kill(os.getpid(), signal.SIGINT)
            began = time.monotonic()
            while not signals and time.monotonic() - began < LONG_SECONDS:
                time.sleep(0.001)
            ended.append(bool(signals))

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), side_by_side(work, range(20), 2) as results:
            list(results)
    finally:
        signal.signal(signal.SIGINT, before)
    assert ended == [True, True] and threads() == []


def test_what_is_left_early_is_ended():
    def work(n):
        with noticed() as signals:
            began = time.monotonic()
            while n and not signals and time.monotonic() - began < LONG_SECONDS:
                time.sleep(0.001)
        return n

    with side_by_side(work, range(20), 2) as results:
        assert next(results) == 0
    assert threads() == []


@pytest.mark.parametrize("jobs", [1, 2])
def test_what_is_done_is_said_by_the_thread_that_waits(jobs):
    said = []
    count = Count(lambda done, what: said.append((done, what, threading.current_thread())), jobs)

    def work(n):
        count.add(f"item {n}")
        time.sleep(0.15 if jobs > 1 else 0.0)

    with side_by_side(work, range(3), jobs, count.say) as results:
        list(results)
    assert said and {one for *_, one in said} == {threading.current_thread()}
    done = [n for n, *_ in said]
    assert done == sorted(set(done)) and (jobs > 1 or done == [1, 2, 3])


def test_work_that_counts_ends_with_its_next_piece():
    """Work of many pieces that looks at no signal by itself is not waited for until all are done."""
    done, both = [], threading.Barrier(2)
    count = Count(lambda done, what: None, 2)

    def work(n):
        if both.wait(LONG_SECONDS) == 0:
            os.kill(os.getpid(), signal.SIGINT)
        for piece in range(10_000):
            time.sleep(0.002)
            done.append(piece)
            count.add("piece")

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), side_by_side(work, range(2), 2, count.say) as results:
            list(results)
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(done) < 10_000 and threads() == []
