"""Signals: Ctrl-C, SIGTERM and SIGHUP end a search with what it has, and never fall between two halves of a write."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_asked = False
_ends_at_once = False
_of_thread = threading.local()


class Interrupted(KeyboardInterrupt):
    """A signal that ends the process in order; it takes the way of Ctrl-C."""

    def __init__(self, signum: int = signal.SIGINT) -> None:
        super().__init__()
        self.signum = signum


def exit_code(error: KeyboardInterrupt) -> int:
    """What a process that was interrupted ends with: 128 and the number of the signal.

    Examples
    --------
    >>> exit_code(KeyboardInterrupt()), exit_code(Interrupted(signal.SIGTERM))
    (130, 143)
    """
    return 128 + (error.signum if isinstance(error, Interrupted) else signal.SIGINT)


def interrupted() -> bool:
    """Whether a signal came before: what is still to be solved ends with the first whole plan."""
    return _asked


def end_at_once(done: str = "nothing was written") -> None:
    """Let each of SIGNALS end the process where it stands: nothing is half done, as before a command and after it.

    Those that whoever started the process has switched off stay so.

    Parameters
    ----------
    done : what is said then
    """

    def end(signum: int, frame: Any) -> None:
        if sys.stderr is not None:
            with suppress(OSError):
                os.write(2, f"interrupted; {done}\n".encode())
        os._exit(128 + signum)  # an exception could be caught, or lost, by what is being imported

    global _ends_at_once
    _ends_at_once = True
    _handle(end)


def listen() -> None:
    """Raise `Interrupted` for each of SIGNALS, but for those that whoever started the process has switched off."""
    global _ends_at_once
    _ends_at_once = False
    _handle(_raise)


def ends_at_once() -> bool:
    """Whether this is a process that a signal ends where it stands, so far: a console script before its work."""
    return _ends_at_once


def _handle(handler: Callable[[int, Any], None]) -> None:
    for signum in SIGNALS:
        if signal.getsignal(signum) != signal.SIG_IGN:
            signal.signal(signum, handler)


def _raise(signum: int, frame: Any) -> None:
    global _asked
    _asked = True
    raise Interrupted(signum)


@contextmanager
def held() -> Iterator[None]:
    """Let signals wait until the end of the block, where they do what they would have done; an error goes first."""
    with noticed():
        yield


@contextmanager
def noticed() -> Iterator[list[int]]:
    """Let signals wait as in `held`; those that came are in the list, so that long work may look and end early.

    Signals come to the main thread; another one has those that are passed on to it.
    """
    caught: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        caught = getattr(_of_thread, "signals", caught)
        yield caught
        if caught:
            raise Interrupted(caught[0])
        return
    before = {int(signum): handler for signum in SIGNALS if callable(handler := signal.getsignal(signum))}
    for signum in before:
        signal.signal(signum, lambda signum, frame: caught.append(signum))
    try:
        yield caught
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
    if caught:
        before[caught[0]](caught[0], None)


@contextmanager
def passed_on(signals: list[int]) -> Iterator[None]:
    """Within it, in a thread of its own, what is put into a list by whoever waits for the thread are its signals."""
    _of_thread.signals = signals
    try:
        yield
    finally:
        del _of_thread.signals


def end_if_passed_on() -> None:
    """End this thread's work where a signal was passed on to it: long work that solves nothing long asks now and then.

    Raises
    ------
    Interrupted
        in a thread whose work whoever waits for it no longer wants
    """
    if signals := getattr(_of_thread, "signals", None):
        raise Interrupted(signals[0])
