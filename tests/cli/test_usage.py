"""A command line that is not right is said as any other input; a signal ends the process in order from its start."""

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from planner.cli.main import app

FOLDER = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("words", "where", "expected", "got"),
    [
        (["plan", "x", "--jobs", "0"], "--jobs", "a number of at least 1", "'0'"),
        (["plan", "x", "--jobs=few"], "--jobs", "a whole number", "'few'"),
        (["plan", "x", "--jobs"], "--jobs", "a value after it", "nothing"),
        (["plan", "x", "--seconds", "nan"], "--seconds", "a number of at least 0.1", "'nan'"),
        (["plan", "x", "--seconds", "inf"], "--seconds", "a number of at least 0.1", "'inf'"),
        (["plan", "x", "--rounds", "-1"], "--rounds", "a number of at least 0", "'-1'"),
        (["plan", "x", "-fpdf"], "--format", "one of 'text', 'md', 'json', 'html', 'csv', 'xlsx'", "'pdf'"),
        (["list", "nosuch"], "WHAT", "one of 'models', 'profiles', 'pools', 'offers', 'stacks', 'outages'", "'nosuch'"),
        (["whatif", "x", "--most", "0"], "--most", "a number of at least 1", "'0'"),
        (["plan", "x", "--gab", "1%"], "planner plan", "an option that it has", "'--gab' (did you mean '--gap'?)"),
        (["plan", "x", "y"], "planner plan", "no more arguments", "'y'"),
        (["audit"], "planner audit", "PLAN: plan.json", "nothing"),
        (["emit", "all", "x"], "planner emit", "--out: folder to write", "nothing"),
        (["plam"], "planner", "a command", "'plam' (did you mean 'plan'?)"),
        (["import", "price"], "planner import", "a command", "'price' (did you mean 'prices'?)"),
    ],
)
def test_what_is_wrong_with_a_command_line_is_said_with_what_was_written(
    words: list[str], where: str, expected: str, got: str
) -> None:
    result = CliRunner().invoke(app, words)
    lines = result.stderr.splitlines()
    assert result.exit_code == 2 and not result.stdout
    assert lines[:2] == [f"error: {where}", f"  expected {expected}, got {got}"]
    assert lines[2].startswith("  fix: ") and lines[3:] == ["1 error"]


def test_a_command_line_that_is_right_ends_as_before() -> None:
    for words, code in (["--version"], 0), (["plan", "--help"], 0), (["show", "units"], 0), ([], 2):
        assert CliRunner().invoke(app, words).exit_code == code, words


@pytest.mark.parametrize(("module", "name"), [("typer", "SIGINT"), ("rich", "SIGTERM"), ("typer.main", "SIGINT")])
def test_a_signal_while_the_program_is_loaded_ends_it_in_order(module: str, name: str) -> None:
    code = (
        "import os, signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a job in the background is to ignore it
        "from planner.cli.start import run\n"
        "class Signals:\n"
        "    def find_spec(self, module, path, target=None):\n"
        f"        if module == '{module}': os.kill(os.getpid(), signal.{name})\n"
        "sys.meta_path.insert(0, Signals())\n"
        "sys.argv = ['planner', '--help']\n"
        "run()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=FOLDER, check=False)
    assert done.returncode == {"SIGINT": 130, "SIGTERM": 143}[name]
    assert (done.stdout, done.stderr) == ("", "interrupted; nothing was written\n")


def test_the_console_script_listens_before_it_loads_anything() -> None:
    assert 'planner = "planner.cli.start:run"' in (FOLDER / "pyproject.toml").read_text()
    code = (
        "import sys, planner.cli.start\n"
        "print(sorted(name for name in sys.modules if name.startswith(('planner', 'typer', 'rich'))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=FOLDER, check=True)
    assert done.stdout.strip() == "['planner', 'planner.cli', 'planner.cli.start', 'planner.interruption']"
