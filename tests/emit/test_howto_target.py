"""docs/howto/add-an-output-target.md, followed word for word in a copy of the repository."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "howto" / "add-an-output-target.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)
NAME = re.compile(r"`([\w./-]+\.\w+)`:\s*$")


@pytest.fixture
def clone(tmp_path):
    """What the page needs of the repository, in a folder of its own, with the programs of these tests."""
    folder = tmp_path / "clone"
    for part in ("planner", "tests/support"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    for part in ("pyproject.toml", "tests/conftest.py"):
        shutil.copy(ROOT / part, folder / part)
    for part in ("inventories", "models", "examples"):
        (folder / part).symlink_to(ROOT / part)
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, words in (("planner", "-m planner"), ("python", "")):
        (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {words} "$@"\n')
        (programs / name).chmod(0o755)
    return folder, {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": str(folder)}


def test_the_page_can_be_followed(clone):
    folder, env = clone
    text, said = PAGE.read_text(encoding="utf-8"), ""
    for block in BLOCK.finditer(text):
        kind, content = block.groups()
        if kind == "sh":
            done = subprocess.run(["bash", "-euc", content], cwd=folder, env=env, capture_output=True, text=True)
            assert done.returncode == 0, f"{content}\n{done.stdout}\n{done.stderr}"
            said += done.stdout
        elif kind == "text":
            for line in content.splitlines():
                assert line in said, f"{line}\nis not in\n{said}"
        else:
            name = NAME.search(text[: block.start()].rstrip())
            assert name is not None, f"no file is named before\n{content}"
            (folder / name[1]).parent.mkdir(parents=True, exist_ok=True)
            (folder / name[1]).write_text(content, encoding="utf-8")
    changed = [p for p in (folder / "planner").rglob("*.py") if not (ROOT / p.relative_to(folder)).exists()]
    assert [p.name for p in changed] == ["spreadsheet.py"], "one module"
    before, after = (len((at / "planner/emit/known.py").read_text().splitlines()) for at in (ROOT, folder))
    assert after == before + 1, "and one line"
