"""What something takes: processor seconds and memory, each in a process of its own."""

import multiprocessing
import os
import platform
import resource
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any


@dataclass(frozen=True)
class Measured:
    """One run.

    Parameters
    ----------
    value : what was reached [USD]; bound : what no plan can beat [USD]; both None where nothing was found
    seconds : of the processor, user and system, on one thread
    mib : memory at most, of the whole process [MiB]
    facts : further numbers by name
    """

    value: float | None
    seconds: float
    bound: float | None = None
    mib: float = 0.0
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Spread:
    """Least, median and largest of several runs."""

    least: float
    median: float
    largest: float

    def written(self, digits: int = 2) -> str:
        """As a cell of a table: the median, and the other two where runs differ.

        Examples
        --------
        >>> Spread(0.5, 0.625, 1.0).written(), Spread(3.0, 3.0, 3.0).written(0)
        ('0.62 (0.50 to 1.00)', '3')
        """
        middle = f"{self.median:,.{digits}f}"
        if self.least == self.largest:
            return middle
        return f"{middle} ({self.least:,.{digits}f} to {self.largest:,.{digits}f})"


def spread_of(values: list[float]) -> Spread:
    """Least, median and largest of some numbers."""
    return Spread(min(values), median(values), max(values))


class Timer:
    """Seconds since it was made: of the processor, and on the wall, in which solvers take their time limits."""

    def __init__(self) -> None:
        self.began, self.began_wall = time.process_time(), time.perf_counter()

    def seconds(self) -> float:
        """Processor seconds, user and system, of this process."""
        return time.process_time() - self.began

    def wall_seconds(self) -> float:
        """Seconds on the wall."""
        return time.perf_counter() - self.began_wall


def alone(function: Callable[..., Measured], *arguments: Any) -> Measured:
    """A measurement in a process of its own, whose memory is its own.

    Raises
    ------
    RuntimeError
        when the process failed; with what it said
    """
    processes = multiprocessing.get_context("spawn")
    here, there = processes.Pipe(duplex=False)
    process = processes.Process(target=_answer, args=(there, function, arguments))
    process.start()
    there.close()
    try:
        answer = here.recv()
    except EOFError:
        answer = "the process ended without an answer: it was killed, or ran out of memory"
    finally:
        process.join()
    if isinstance(answer, str):
        raise RuntimeError(answer)
    measured: Measured = answer
    return measured


def _answer(there: Any, function: Callable[..., Measured], arguments: tuple[Any, ...]) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what solvers print has no place among results
    try:
        measured = function(*arguments)
        there.send(Measured(measured.value, measured.seconds, measured.bound, most_mib(), measured.facts))
    except BaseException:
        there.send(traceback.format_exc())


def most_mib() -> float:
    """Memory of this process at most [MiB]; of one that is not told apart by the system, with what its parent had."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    for line in lines:
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def versions(*packages: str) -> dict[str, str]:
    """Installed versions of packages, and of Python."""
    installed = {"Python": platform.python_version()}
    for name in packages:
        try:
            installed[name] = version(name)
        except PackageNotFoundError:
            installed[name] = "not installed"
    return installed
