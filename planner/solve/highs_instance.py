"""The one place where HiGHS instances are made and run: their options, threads, first words, and what a run returns.

HiGHS keeps one pool of threads a process. An instance that asks for another number of threads than the pool has is
refused by `run`, so every instance asks for the same number; where other code of the process has made a pool of another
size, it is made anew.
"""

import ctypes
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import highspy

from planner.errors import SolverError

INFINITY = highspy.kHighsInf
THREADS = 1
"""Of every instance: a plan must not depend on how many processors a machine has."""


def new_highs(**options: Any) -> Any:
    """A silent HiGHS instance of THREADS threads, without random choices.

    Parameters
    ----------
    options : further options of HiGHS by name

    Raises
    ------
    SolverError
        when HiGHS does not know an option or refuses its value
    """
    with _nothing_on_stdout():
        instance: Any = highspy.Highs()  # type: ignore[no-untyped-call]
    for option, value in {"output_flag": False, "threads": THREADS, "random_seed": 0, **options}.items():
        set_option(instance, option, value)
    return instance


def set_option(instance: Any, option: str, value: Any) -> None:
    """Set an option of an instance.

    Raises
    ------
    SolverError
        when HiGHS does not know the option or refuses the value
    """
    if instance.setOptionValue(option, value) == highspy.HighsStatus.kError:
        raise SolverError(f"HiGHS {instance.version()} refuses option {option} = {value}")


def run(instance: Any) -> Any:
    """Solve, and return the status of the model [highspy.HighsModelStatus].

    Raises
    ------
    SolverError
        when HiGHS returns an error; "unknown" is an answer: the caller may try again from no basis
    """
    status = instance.run()
    if status == highspy.HighsStatus.kError:
        highspy.Highs.resetGlobalScheduler(True)  # a pool of another size, made by other code of this process
        status = instance.run()
    model_status = instance.getModelStatus()
    if status == highspy.HighsStatus.kError and model_status != highspy.HighsModelStatus.kUnknown:
        raise SolverError(f"HiGHS {instance.version()} ended with an error ({model_status.name[1:]})")
    return model_status


_spoken = False
_speaking = threading.Lock()


@contextmanager
def _nothing_on_stdout() -> Iterator[None]:
    """Keep what HiGHS 1.16 prints when its first instance is made, before an option can be set, away from results.

    Other threads wait until the first instance is there: any of them would print instead of it.
    """
    global _spoken
    with _speaking:
        if not _spoken:
            with _stdout_away():
                yield
            _spoken = True
            return
    yield


@contextmanager
def _stdout_away() -> Iterator[None]:
    """Let what is written to the standard output of the process go nowhere."""
    try:
        sys.stdout.flush()
        kept = os.dup(1)
    except (OSError, ValueError, AttributeError):
        yield  # no standard output: nothing to keep clean
        return
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 1)
        yield
        ctypes.CDLL(None).fflush(None)  # what C has buffered goes nowhere, too
    finally:
        os.dup2(kept, 1)
        os.close(kept)
