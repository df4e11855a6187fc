"""Imports go one way; the libraries stay where they belong."""

import ast
import subprocess
import sys
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "planner"
ROOMS = ("study", "problem", "solve", "plan", "drill", "questions", "importers", "emit", "review", "cli")
"""The folders of the package, in the order of a plan on its way: each may import those before it, never one behind."""
EVERYWHERE = {"errors", "units", "interruption", "threads"}
"""Modules at the root that every folder may import."""
ORDER = (*ROOMS[:-1], "api", "cli", "__main__")
"""What is public for programs, planner/api.py, is what the command line calls."""
ONLY_IN = {
    "pulp": {"problem.algebra", "solve.*", "plan.explain"},
    "pandas": {"plan.tables", "importers.*", "questions.*", "review.*"},
    "highspy": {"solve.highs_instance", "solve.highs", "solve.hour_instance", "drill.*"},
    "networkx": {"study.*", "drill.graph"},
    "joblib": {"questions.side_by_side"},
    "distributed": {"questions.side_by_side"},
    "typer": {"cli.*"},
    "rich": {"cli.*", "review.layout"},
    "jinja2": {"review.page.page"},
    "xlsxwriter": {"review.tables"},
}
DRILL_MAY = {"study.records", "errors", "units", "threads", "solve.highs_instance"}
MODULES = {
    ".".join(path.relative_to(FOLDER).with_suffix("").parts): path
    for path in FOLDER.rglob("*.py")
    if path.name != "__init__.py"
}


@cache
def imports(module: str) -> frozenset[str]:
    """Every module that a module imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: a relative import"
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name.removeprefix("planner.") in MODULES else str(node.module) for name in inner}
    return frozenset(found)


def own(module: str) -> set[str]:
    found = {name.removeprefix("planner.") for name in imports(module) if name.startswith("planner.")}
    return {name for name in found if name in MODULES}


def room_of(module: str) -> str:
    return module.split(".")[0]


def test_the_folders_are_the_rooms():
    folders = {path.name for path in FOLDER.iterdir() if path.is_dir() and not path.name.startswith("_")}
    assert folders == set(ROOMS)
    assert {name for name in MODULES if "." not in name} == EVERYWHERE | {"__main__", "api"}


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_go_one_way(module):
    room = room_of(module)
    above = ORDER[: ORDER.index(room) + 1] if room in ORDER else ()
    assert {name for name in own(module) if room_of(name) not in EVERYWHERE | set(above)} == set()
    for library, homes in ONLY_IN.items():
        used = any(name.split(".")[0] == library for name in imports(module))
        assert not used or any(fnmatchcase(module, home) for home in homes), f"{library} in {module}"


def test_no_cycles():
    seen: list[str] = []

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " imports ".join((*path, module))
        if module not in seen:
            for name in sorted(own(module)):
                visit(name, (*path, module))
            seen.append(module)

    for module in MODULES:
        visit(module, ())


def test_the_drill_shares_no_arithmetic():
    used = {name for module in MODULES if room_of(module) == "drill" for name in own(module)}
    shared = {name for name in used if room_of(name) != "drill"}
    assert {name for name in shared if not any(name == may or name.startswith(f"{may}.") for may in DRILL_MAY)} == set()


def test_the_mathematics_has_no_files_and_no_solver():
    for module in (name for name in MODULES if room_of(name) == "problem"):
        assert not {"pathlib", "json", "os", "highspy"} & imports(module), module


def test_help_loads_nothing_heavy():
    heavy = ["pulp", "pandas", "networkx", "highspy", "numpy", "pydantic"]
    code = (
        "import sys; sys.argv = ['planner', '--help']\n"
        "from planner.cli.main import run\n"
        "try: run()\n"
        "except SystemExit: pass\n"
        f"print('loaded:', [name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=FOLDER.parent, check=True)
    assert "Usage" in done.stdout and done.stdout.rstrip().endswith("loaded: []"), done.stdout[-300:] + done.stderr
