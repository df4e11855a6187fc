"""Imports go one way; the libraries stay where they belong."""

import ast
import subprocess
import sys
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "planner"
ROWS = (
    ("units", "errors", "money", "interruption"),
    ("files",),
    ("records.*",),
    ("network", "risk", "periods", "payments", "cutsets", "ways", "doors"),
    (
        "tables",
        "places",
        "fit",
        "references",
        "apart",
        "passable",
        "timing",
        "phases",
        "plausible",
        "read",
        "estimate",
        "measured",
        "refit",
        "importers.*",
    ),
    ("paths", "patches"),
    ("algebra",),
    ("problem",),
    ("parts", "edges", "failing", "contracts", "magnitudes"),
    ("build", "start"),
    ("formulas",),
    ("reserves",),
    ("costs",),
    ("recorded", "planfile", "json_lines"),
    ("reserve_rules",),
    ("purchase_rules", "inside_rules", "link_rules"),
    ("rules",),
    ("highs_instance",),
    ("highs",),
    ("program",),
    ("testprogram",),
    ("polish", "rounding", "pruning"),
    ("rescale",),
    ("search",),
    ("loosened",),
    ("solve",),
    ("plan", "losses"),
    ("audit", "explain", "orders", "cash", "drill.*", "margins", "exposure", "ladder"),
    ("bridge", "diff", "whatif", "slip", "missing", "bridging", "crossover", "sequence"),
    ("shortfalls", "emit.*", "actual", "drift"),
    ("review.*",),
    ("cli.*",),
    ("__main__",),
)
"""A module may import from the rows above, and from its own row as far as no cycle comes of it."""
ONLY_IN = {
    "pulp": {"algebra", "program", "testprogram", "highs", "search", "solve"},
    "highspy": {"highs_instance", "highs", "drill.*"},
    "networkx": {"network", "risk", "doors"},
    "typer": {"cli.*"},
    "rich": {"cli.*", "review.render"},
}
DRILL_MAY = {"records", "errors", "units", "highs_instance"}
MODULES = {
    ".".join(path.relative_to(FOLDER).with_suffix("").parts): path
    for path in FOLDER.rglob("*.py")
    if path.name != "__init__.py"
}


def imports(module: str) -> set[str]:
    """Every module that a module imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: a relative import"
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name.removeprefix("planner.") in MODULES else str(node.module) for name in inner}
    return found


def own(module: str) -> set[str]:
    found = {name.removeprefix("planner.") for name in imports(module) if name.startswith("planner.")}
    return {name for name in found if name in MODULES}


def row_of(module: str) -> int:
    (row,) = (i for i, names in enumerate(ROWS) if any(fnmatchcase(module, name) for name in names))
    return row


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_go_one_way(module):
    assert {name for name in own(module) if row_of(name) > row_of(module)} == set()
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
    parts = [name for name in MODULES if name.startswith("drill.")]
    assert {name.split(".")[0] for part in parts for name in own(part)} <= DRILL_MAY | {"drill"}


def test_the_mathematics_has_no_files_and_no_solver():
    for module in ("algebra", "problem", "build", "formulas", "costs", "rules", "purchase_rules", "link_rules"):
        assert not {"pathlib", "json", "os", "highspy", "planner.highs", "planner.program"} & imports(module), module


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
