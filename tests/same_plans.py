"""Whether this tree makes the same plans as another commit, byte for byte: for changes that must not move a result.

    PYTHONPATH=.:tests/support python tests/same_plans.py REV

plans every example and thirty random studies here and in REV, and ends with 1 when one differs. Each tree writes its
plans with its own code in a process of its own, so that a change of layout or names is no obstacle; REV needs this
script. Of what has no plan, why is compared.
"""

import contextlib
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from studies import beset_study

from planner.errors import PlannerError
from planner.plan.file import plan_text
from planner.plan.plan import make_plan
from planner.solve.search import Effort

ROOT = Path(__file__).parents[1]
EFFORT = Effort(gap_fraction=0.05, most_nodes=50)
RANDOM_STUDIES = [seed for seed in range(31) if seed != 14]
"""Seeds of `studies.beset_study`; 14 takes seconds."""


def write(folder: Path) -> None:
    """The plans of this tree, a file each."""
    for study in sorted((ROOT / "examples").glob("*/study.yaml")):
        asked = re.search(r"--gap [0-9.]+", study.read_text(encoding="utf-8").split("\n\n")[0])
        words = ["plan", str(study.parent), *(asked.group(0).split() if asked else []), "--quiet"]
        out = folder / f"{study.parent.name}.json"
        command = [sys.executable, "-m", "planner", *words, "--out", str(out)]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    for seed in RANDOM_STUDIES:
        try:
            text = plan_text(make_plan(beset_study(seed), EFFORT))
        except PlannerError as error:
            text = f"{type(error).__name__}: {error}\n"
        (folder / f"random-{seed}.json").write_text(text, encoding="utf-8")


def written(tree: Path, script: Path, folder: Path) -> subprocess.Popen[bytes]:
    """A process in which a tree writes its plans."""
    folder.mkdir()
    paths = [str(path) for path in (tree, script.parent, script.parent / "support")]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    return subprocess.Popen([sys.executable, str(script), "--write", str(folder)], cwd=tree, env=env)


def main(words: list[str]) -> int:
    """Compare, or write; 1 when a plan differs."""
    if words[0] == "--write":
        write(Path(words[1]))
        return 0
    with tempfile.TemporaryDirectory() as work, contextlib.ExitStack() as stack:
        tree = Path(work, "tree")
        subprocess.run(["git", "worktree", "add", "-q", "--detach", str(tree), words[0]], cwd=ROOT, check=True)
        stack.callback(subprocess.run, ["git", "worktree", "remove", "--force", str(tree)], cwd=ROOT, check=True)
        (script,) = tree.glob("tests/**/same_plans.py")
        there, here = Path(work, "there"), Path(work, "here")
        runs = [written(tree, script, there), written(ROOT, Path(__file__), here)]
        ended = [run.wait() for run in runs]
        if any(ended):
            return 1
        names = sorted({path.name for folder in (there, here) for path in folder.iterdir()})
        differ = [name for name in names if not _same(there / name, here / name)]
    for name in differ:
        print(f"{name}: not as in {words[0]}")
    print(f"{len(names) - len(differ)} of {len(names)} plans are the same as in {words[0]}, byte for byte")
    return 1 if differ else 0


def _same(one: Path, other: Path) -> bool:
    return one.is_file() and other.is_file() and one.read_bytes() == other.read_bytes()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or ["HEAD"]))
