"""The picture of real output in README.md: `python tests/goldens.py` plans the quickstart and writes it anew."""

import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parents[1]
ENV = {**os.environ, "COLUMNS": "120"}

MADE_WITH = re.compile(r"HiGHS [\d.]+ and PuLP [\d.]+")


def locked() -> str:
    """The versions that pictures are made with: of the same gap, another release may find another plan."""
    lock = (ROOT / "requirements-dev.lock").read_text(encoding="utf-8")
    highs, pulp = (re.search(rf"^{name}==(.*)$", lock, re.M | re.I).group(1) for name in ("highspy", "pulp"))
    return f"HiGHS {highs} and PuLP {pulp}"


def other_versions() -> str:
    """Why pictures cannot be compared here; empty where they can."""
    here = f"HiGHS {version('highspy')} and PuLP {version('pulp')}"
    return "" if here == locked() else f"{here} may find another plan within the gap than {locked()}"


def picture(brief: str) -> str:
    """A brief without the commands at its end, which name a file."""
    return brief.partition("\nREAD NEXT\n")[0].rstrip("\n")


def in_readme() -> str:
    return re.search(r"```text\n(.*?)\n```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S).group(1)


if __name__ == "__main__":
    command = [sys.executable, "-m", "planner", "plan", "examples/quickstart", "--format", "text", "--quiet"]
    brief = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, env=ENV).stdout
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    assert not other_versions(), other_versions()
    text = MADE_WITH.sub(locked(), text, count=1)
    readme.write_text(text.replace(in_readme(), picture(brief)), encoding="utf-8")
