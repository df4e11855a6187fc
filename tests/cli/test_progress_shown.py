"""Progress on stderr, with a watch of the test: no work of over two seconds is mute, estimates are called so."""

import io
import re

import pytest
from rich.console import Console

from planner.cli import progress as module
from planner.cli.console import KEEPS
from planner.cli.progress import Bar, Lines, is_live, progress_on


class Watch:
    """Seconds that go on when the test says so."""

    def __init__(self):
        self.seconds = 100.0

    def __call__(self):
        return self.seconds


@pytest.fixture
def lines():
    """What is written, and a watch."""
    written, watch = [], Watch()
    return written, watch, Lines(written.append, KEEPS, "building the program", watch)


def test_short_work_says_nothing(lines):
    written, watch, display = lines
    for seconds in (0.2, 0.9):
        watch.seconds = 100 + seconds
        display.advance("testing failures", 0.5, "")
        display.beat()
    assert written == []


def test_work_of_which_nothing_is_said_is_not_mute(lines):
    """Rounding was, for minutes: a line after two seconds, then one in ten."""
    written, watch, display = lines
    for half_seconds in range(61):
        watch.seconds = 100 + half_seconds / 2
        display.beat()
    assert [line.strip() for line in written] == [
        f"2 s  {KEEPS}",
        "2 s  building the program",
        "13 s  building the program",
        "24 s  building the program",
    ]


def test_stage_share_cost_bound_gap_and_an_estimate_that_is_called_one(lines):
    written, watch, display = lines
    watch.seconds = 102.0
    display.advance("testing failures", 0.0, "")
    watch.seconds = 113.0
    display.advance("testing failures", 0.25, "45.4 M USD, at least 44.9 M USD, gap 1.10 %")
    assert written[1:] == [
        "    2 s  testing failures 0%",
        "   13 s  testing failures 25%, about 33 s left (estimate)  45.4 M USD, at least 44.9 M USD, gap 1.10 %",
    ]
    assert written[0].endswith("Ctrl-C or SIGTERM ends it with the best plan found so far")
    watch.seconds = 114.0
    display.advance("testing failures", 0.5, "")
    assert len(written) == 3, "a line of a stage in ten seconds"
    display.advance("settling", None, "")
    assert written[-1] == "   14 s  settling", "the next stage at once"


def test_a_bar_on_a_terminal_names_are_no_markup_and_nothing_stays():
    watch, out = Watch(), io.StringIO()
    console = Console(file=out, force_terminal=True, width=100, color_system=None)
    bar = Bar(console, KEEPS, "reviewing", watch)
    bar.beat()
    assert out.getvalue() == ""
    watch.seconds = 101.0
    bar.beat()
    bar.bar.refresh()
    assert KEEPS in out.getvalue() and "reviewing" in out.getvalue()
    bar.advance("replaying", 0.5, "[red]site\x1b[31m")
    bar.bar.refresh()
    assert "[red]site\\x1b[31m" in out.getvalue() and "left (estimate)" in out.getvalue()
    bar.end()
    assert re.search("\x1b\\[2K$", out.getvalue()), "its line is cleared"


def test_lines_where_a_terminal_cannot_write_over_them(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setenv("TERM", "xterm")
    assert is_live(Terminal()) and not is_live(io.StringIO()) and not is_live(None)
    monkeypatch.setenv("TERM", "dumb")
    assert not is_live(Terminal())
    monkeypatch.setattr(module, "FIRST_AFTER_SECONDS", -1.0)
    written = []
    with progress_on(Terminal(), written.append) as advance:
        advance("replaying", 0.5, "")
    assert written == ["    0 s  replaying 50%"]
    with progress_on(Terminal(), written.append, quiet=True) as advance:
        advance("replaying", 0.5, "")
    assert len(written) == 1


def test_the_thread_that_speaks_up_ends_with_the_work(monkeypatch):
    monkeypatch.setattr(module, "FIRST_AFTER_SECONDS", -1.0)
    monkeypatch.setattr(module, "BEAT_SECONDS", 0.001)
    written = []
    with pytest.raises(ValueError, match="no"), progress_on(io.StringIO(), written.append, stage="reading"):
        while not written:
            pass
        raise ValueError("no")
    assert written == ["    0 s  reading"]
    assert not [thread for thread in module.threading.enumerate() if thread.name == "progress"]
