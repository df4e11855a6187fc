"""The blocks of real output in examples/buildout/README.md: `python tests/buildout.py` writes them anew.

Blocks are as in tests/postmortem.py. A command that occurs in several blocks is run once; tables have 132 columns.
"""

import os
import shlex
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from postmortem import BLOCK, PLANNER, ROOT, Block, blocks, picture, prepared

README = ROOT / "examples" / "buildout" / "README.md"
COLUMNS = "132"
TELL_PROGRESS = ("plan", "whatif", "drill", "ladder")


def outputs(found: list[Block], folder: Path, planner: Sequence[str] = PLANNER) -> list[str]:
    """What each block shows when the commands are run one after the other in a folder with the examples in it.

    Plans of a matrix are made one by one, which changes no byte of them.
    """
    env = {**os.environ, "COLUMNS": COLUMNS, "PYTHONPATH": str(ROOT)}
    said: dict[str, subprocess.CompletedProcess[str]] = {}
    for block in found:
        _, verb, *words = shlex.split(block.command)
        if block.command not in said:
            more = [*(["--quiet"] if verb in TELL_PROGRESS else []), *(["--jobs", "1"] if "--matrix" in words else [])]
            command = [*planner, verb, *words, *more]
            said[block.command] = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=env)
        done = said[block.command]
        assert done.returncode == block.code, f"{block.command}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return [picture(said[block.command].stdout, block.shows) for block in found]


if __name__ == "__main__":
    readme = README.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as name:
        texts = iter(outputs(blocks(readme), prepared(Path(name))))

    def fresh(match):  # type: ignore[no-untyped-def]
        """The block with what its command says now."""
        whole, start = match.group(0), match.start("text") - match.start()
        return f"{whole[:start]}{next(texts)}```\n"

    README.write_text(BLOCK.sub(fresh, readme), encoding="utf-8")
