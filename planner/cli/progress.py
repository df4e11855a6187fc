"""How far long work is, on stderr: a bar on a terminal, lines where there is none; never mute for long."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TextIO

from planner.errors import printable

Advance = Callable[[str, float | None, str], None]
"""Called with (stage, fraction done where known, detail)."""
FIRST_AFTER_SECONDS = 1.0
"""Nothing is said of shorter work."""
LINE_EACH_SECONDS = 10.0
"""Where lines are written: of a stage one in so many seconds."""
BEAT_SECONDS = 0.5
"""How often it is looked whether something must be said that nobody has."""
LEAST_REMAINING_SECONDS = 1.0
AT_WORK = "working"


def is_live(stream: TextIO | None) -> bool:
    """Whether a stream is a terminal whose lines can be written over."""
    return stream is not None and stream.isatty() and os.environ.get("TERM", "") not in ("dumb", "unknown")


class Display(Protocol):
    """What shows progress."""

    def advance(self, stage: str, done: float | None, detail: str) -> None:
        """Take what is said of the work."""

    def beat(self) -> None:
        """Say that it goes on, where nothing has been said for long."""

    def end(self) -> None:
        """Leave the terminal as it was."""


class Lines:
    """Progress in lines: the first after a second, then one of each stage in ten seconds, and one if nothing else is.

    Parameters
    ----------
    tell : writes a line
    keeps : what an end before its time leaves, said with the first line
    stage : what is being done before anything is said of it
    seconds_now : seconds, of any beginning
    """

    def __init__(self, tell: Callable[[str], None], keeps: str, stage: str, seconds_now: Callable[[], float]) -> None:
        self.tell, self.keeps, self.seconds_now = tell, keeps, seconds_now
        self.began = seconds_now()
        self.stage, self.detail = stage, ""
        self.done: float | None = None
        self.stage_began, self.written = {stage: self.began}, dict[str, float]()
        self.last_written: float | None = None

    def advance(self, stage: str, done: float | None, detail: str) -> None:
        """Take what is said of the work, and write it where it is due."""
        self.stage, self.done, self.detail = stage, done, detail
        now = self.seconds_now()
        self.stage_began.setdefault(stage, now)
        if now - self.began <= FIRST_AFTER_SECONDS:
            return
        if stage not in self.written or now - self.written[stage] > LINE_EACH_SECONDS:
            self._write(now)

    def beat(self) -> None:
        """Write a line where none was written for long."""
        now = self.seconds_now()
        since = self.began if self.last_written is None else self.last_written
        if now - since > (2 * FIRST_AFTER_SECONDS if self.last_written is None else LINE_EACH_SECONDS):
            self._write(now)

    def end(self) -> None:
        """Nothing: lines stay."""

    def _write(self, now: float) -> None:
        if self.keeps and self.last_written is None:
            self.tell(f"{now - self.began:5.0f} s  {self.keeps}")
        self.written[self.stage] = self.last_written = now
        share = "" if self.done is None else f" {self.done:.0%}"
        seconds = (now - self.stage_began[self.stage]) * (1 - self.done) / self.done if self.done else 0.0
        if seconds >= LEAST_REMAINING_SECONDS:
            share += f", about {seconds:.0f} s left (estimate)"
        self.tell(f"{now - self.began:5.0f} s  {self.stage}{share}  {self.detail}".rstrip())


class Bar:
    """Progress as a bar that is written over, of the stage that is at work.

    Parameters
    ----------
    console : of rich, on stderr; others as of `Lines`
    """

    def __init__(self, console: Any, keeps: str, stage: str, seconds_now: Callable[[], float]) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        self.bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            TimeElapsedColumn(),
            TextColumn("{task.fields[remaining]}", markup=False),
            TimeRemainingColumn(),
            TextColumn("{task.fields[detail]}", markup=False),
            console=console,
            transient=True,
            refresh_per_second=4,
        )
        self.keeps, self.stage, self.seconds_now = keeps, stage, seconds_now
        self.began = seconds_now()
        self.tasks: dict[str, Any] = {}

    def advance(self, stage: str, done: float | None, detail: str) -> None:
        """Show what is said of the work."""
        self.stage = stage
        if self.seconds_now() - self.began >= FIRST_AFTER_SECONDS:
            self._show(stage, done, detail)

    def beat(self) -> None:
        """Show the bar where nothing has been said yet; it moves by itself from then on."""
        if not self.tasks and self.seconds_now() - self.began >= FIRST_AFTER_SECONDS:
            self._show(self.stage, None, "")

    def end(self) -> None:
        """Take the bar away."""
        self.bar.stop()

    def _show(self, stage: str, done: float | None, detail: str) -> None:
        if stage not in self.tasks:
            if not self.tasks:
                self.bar.start()
                if self.keeps:
                    self.bar.console.print(self.keeps, markup=False, highlight=False)
            for task in self.tasks.values():
                self.bar.update(task, visible=False)
            self.tasks[stage] = self.bar.add_task(printable(stage), total=None, detail="", remaining="")
        self.bar.update(
            self.tasks[stage],
            completed=done or 0.0,
            detail=printable(detail),
            remaining="" if done is None else "left (estimate)",
            visible=True,
            total=None if done is None else 1.0,
        )


@contextmanager
def progress_on(
    stream: TextIO | None, tell: Callable[[str], None], quiet: bool = False, keeps: str = "", stage: str = AT_WORK
) -> Iterator[Advance]:
    """A progress callback (stage, fraction, detail), and the thread that says something where nothing is called.

    Parameters
    ----------
    stream : stderr; None where that is closed
    tell : writes a line there
    keeps : what an end before its time leaves
    stage : what is being done before the callback says it
    """
    if quiet or stream is None:
        yield lambda stage, done, detail: None
        return
    display: Display
    if is_live(stream):
        from rich.console import Console

        display = Bar(Console(file=stream), keeps, stage, time.monotonic)
    else:
        display = Lines(tell, keeps, stage, time.monotonic)
    lock, ended = threading.Lock(), threading.Event()

    def advance(stage: str, done: float | None, detail: str) -> None:
        with lock:
            display.advance(stage, done, detail)

    def watch() -> None:
        while not ended.wait(BEAT_SECONDS):
            with lock:
                display.beat()

    watching = threading.Thread(target=watch, name="progress", daemon=True)
    watching.start()
    try:
        yield advance
    finally:
        ended.set()
        watching.join()
        display.end()
