"""The shell completes options, what options take, and files."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RUN = "import sys; sys.argv[0] = 'planner'; from planner.cli.start import run; run()"
SCRIPT = """
source <(_PLANNER_COMPLETE=source_bash planner)
complete -p planner
COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
_planner_completion planner
echo "${{COMPREPLY[@]}}"
"""


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("programs")
    (folder / "planner").write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{RUN}" "$@"\n')
    (folder / "planner").chmod(0o755)
    return folder


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("planner review --br", ["--brief"]),
        ("planner drill --outage azure-front", ["azure-front-door-2025-10-29"]),
        ("planner review exam", []),
    ],
)
def test_bash_completes(typed, expected, programs):
    path = os.pathsep.join([str(programs), os.environ["PATH"]])
    env = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}
    script = SCRIPT.format(words=typed)
    done = subprocess.run(["bash", "-c", script], cwd=ROOT, env=env, capture_output=True, text=True)
    how, *words = done.stdout.split("\n")
    assert "-o default" in how, "what the program does not complete, as a path, bash does"
    assert " ".join(words).split() == expected
