"""The blocks of real output in examples/postmortem/README.md: `python tests/postmortem.py` writes them anew.

A block is a command, a comment that says what of its output is shown (sections, or `NAME:n` for the first n lines of
one) and its exit code where it is not 0, and the output.
"""

import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = ROOT / "examples" / "postmortem" / "README.md"
BLOCK = re.compile(
    r"```sh\n(?P<command>[^\n]+)\n```\n<!-- shows: (?P<shows>[^\n]*?) -->\n```text\n(?P<text>.*?)```\n", re.S
)


@dataclass(frozen=True)
class Block:
    """One command of the README with what is shown of its output."""

    command: str
    shows: tuple[str, ...]
    code: int
    text: str


def blocks(readme: str) -> list[Block]:
    """Every block, in order."""
    found = []
    for match in BLOCK.finditer(readme):
        shows, _, code = match["shows"].partition("; exit ")
        found.append(Block(match["command"], tuple(shows.split(", ")), int(code or 0), match["text"]))
    return found


def picture(output: str, shows: tuple[str, ...]) -> str:
    """The title and the sections that are shown."""
    lines = output.splitlines()
    titles = [n for n, line in enumerate(lines) if line.partition(" (")[0].isupper() and not line.startswith(" ")]
    parts = {lines[n]: lines[n:end] for n, end in zip(titles, [*titles[1:], len(lines)], strict=True)}
    found = [lines[0]]
    for name, _, most in (show.partition(":") for show in shows):
        part = "\n".join(parts[name]).rstrip().splitlines()
        kept = part[: 1 + int(most)] if most else part
        found += ["", *kept, *(["  ..."] if len(kept) < len(part) else [])]
    return "\n".join(found) + "\n"


PLANNER = (sys.executable, "-m", "planner")


def run(block: Block, folder: Path, planner: Sequence[str] = PLANNER) -> str:
    """What a block shows when its command is run in a folder with the examples in it."""
    _, verb, *words = shlex.split(block.command)
    env = {**os.environ, "COLUMNS": "120", "PYTHONPATH": str(ROOT)}
    command = [*planner, verb, *words, *(["--quiet"] if verb in ("plan", "drill", "ladder") else [])]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=env)
    assert done.returncode == block.code, f"{block.command}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return picture(done.stdout, block.shows)


def prepared(folder: Path) -> Path:
    """A folder from which the README's commands can be run."""
    (folder / "examples").symlink_to(ROOT / "examples")
    return folder


if __name__ == "__main__":
    readme = README.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as name:
        made = [run(block, prepared(Path(name)) if n == 0 else Path(name)) for n, block in enumerate(blocks(readme))]
    texts = iter(made)

    def fresh(match: re.Match[str]) -> str:
        whole, start = match.group(0), match.start("text") - match.start()
        return f"{whole[:start]}{next(texts)}```\n"

    README.write_text(BLOCK.sub(fresh, readme), encoding="utf-8")
