"""A page of docs/howto, followed word for word in a copy of the repository.

Blocks of `sh` are run, blocks of `text` must have been printed by those before, any other block is the file that is
named before it, as in `planner/emit/spreadsheet.py`:
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)
NAME = re.compile(r"`([\w./-]+\.\w+)`:\s*$")


def clone(at: Path) -> tuple[Path, dict[str, str]]:
    """What a page needs of the repository, in a folder of its own, and an environment with the programs it names."""
    folder, programs = at / "clone", at / "programs"
    for part in ("planner", "tests/support"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    for part in ("pyproject.toml", "tests/conftest.py"):
        shutil.copy(ROOT / part, folder / part)
    (folder / "docs").mkdir()
    for part in ("inventories", "models", "examples"):
        (folder / part).symlink_to(ROOT / part)
    programs.mkdir()
    for name, words in (("planner", "-m planner"), ("python", "")):
        (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {words} "$@"\n')
        (programs / name).chmod(0o755)
    path = f"{programs}:{os.environ['PATH']}"
    return folder, {**os.environ, "PATH": path, "PYTHONPATH": str(folder), "PYTHONPYCACHEPREFIX": ""}


def follow(page: Path, folder: Path, env: dict[str, str]) -> str:
    """Do all that a page says; what its commands printed."""
    text, printed = page.read_text(encoding="utf-8"), ""
    for block in BLOCK.finditer(text):
        kind, content = block.groups()
        if kind == "sh":
            done = subprocess.run(["bash", "-euc", content], cwd=folder, env=env, capture_output=True, text=True)
            assert done.returncode == 0, f"{content}\n{done.stdout}\n{done.stderr}"
            printed += done.stdout
        elif kind == "text":
            for line in content.splitlines():
                assert line in printed, f"{line}\nis not in\n{printed}"
        else:
            name = NAME.search(text[: block.start()].rstrip())
            assert name is not None, f"no file is named before\n{content}"
            (folder / name[1]).parent.mkdir(parents=True, exist_ok=True)
            (folder / name[1]).write_text(content, encoding="utf-8")
    return printed


def changed_lines(folder: Path) -> dict[str, int]:
    """Files of the package that are not as they were -> lines that they have more; new ones: 0."""
    changed = {}
    for path in sorted((folder / "planner").rglob("*.py")):
        name = path.relative_to(folder)
        was = (ROOT / name).read_text(encoding="utf-8") if (ROOT / name).exists() else None
        now = path.read_text(encoding="utf-8")
        if now != was:
            changed[str(name)] = 0 if was is None else len(now.splitlines()) - len(was.splitlines())
    return changed
