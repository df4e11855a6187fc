"""Pictures of output in docs/howto, written anew: `python tests/howto.py [PAGE ...]`.

Each page is followed as test_howto.py does. A line of a picture that its commands no longer say becomes the line that
they say and that is most like it, figures apart. How many lines of a page changed is said, and what is like none.
"""

import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from difflib import SequenceMatcher
from pathlib import Path

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)
NAME = re.compile(r"`([\w./-]+\.(?:csv|yaml))`:\s*$")
EXTEND = ("add-a-rule", "add-a-section", "add-an-output-target")
"""Pages that change the program: test_howto_extend.py follows them in a copy of it."""
PAGES = sorted(page.stem for page in (ROOT / "docs" / "howto").glob("*.md") if page.stem not in EXTEND)
LEAST_LIKE = 0.5
"""How like two lines are that say the same of two plans, at least."""


def programs_in(folder: Path, planner: Sequence[str]) -> dict[str, str]:
    """The environment of a shell in which `planner` and `python` are those of the tests."""
    programs = folder / "programs"
    programs.mkdir()
    for name, words in (("planner", planner), ("python", [sys.executable])):
        (programs / name).write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
        (programs / name).chmod(0o755)
    path = os.pathsep.join([str(programs), os.environ["PATH"]])
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "COLUMNS": "120"}


def _plain(line: str) -> str:
    """A line without its figures and blanks."""
    return " ".join(re.sub(r"[\d.,]+", "0", line).split())


def _followed(page: Path, folder: Path) -> str:
    """The text of a page with what its commands say now."""
    env = programs_in(folder, [sys.executable, "-m", "planner"])
    at = folder / "empty"
    at.mkdir()
    text, said, changed = page.read_text(encoding="utf-8"), "", 0

    def fresh(match: re.Match[str]) -> str:
        nonlocal said, changed
        kind, content = match[1], match[2]
        if kind == "sh":
            done = subprocess.run(["bash", "-euc", content], cwd=at, env=env, capture_output=True, text=True)
            if done.returncode != 0:
                raise SystemExit(f"{page.stem}: exit {done.returncode}\n{content}\n{done.stderr}")
            said += done.stdout
        elif kind == "text":
            lines = [_now(line, said, page.stem) for line in content.splitlines()]
            changed += sum(a != b for a, b in zip(lines, content.splitlines(), strict=True))
            return "\n".join(("```text", *lines, "```"))
        elif (name := NAME.search(text[: match.start()].rstrip())) is not None:
            (at / name[1]).parent.mkdir(parents=True, exist_ok=True)
            (at / name[1]).write_text(content, encoding="utf-8")
        return match[0]

    made = BLOCK.sub(fresh, text)
    print(f"{page.stem}: {changed} lines changed")
    return made


def _now(line: str, said: str, page: str) -> str:
    """What is said now in place of a line."""
    if " ".join(line.split()) in " ".join(said.split()):
        return line
    likes = [(SequenceMatcher(None, _plain(line), _plain(other)).ratio(), other) for other in said.splitlines()]
    like, best = max(likes, key=lambda pair: pair[0])
    if like < LEAST_LIKE:
        print(f"{page}: nothing like\n  {line}")
        return line
    return best.rstrip()


if __name__ == "__main__":
    for stem in sys.argv[1:] or PAGES:
        page = ROOT / "docs" / "howto" / f"{stem}.md"
        with tempfile.TemporaryDirectory() as name:
            page.write_text(_followed(page, Path(name)), encoding="utf-8")
