"""One word per thing, the field's: names in code, files, options and headings are held to a fixed list.

Prose may say left, room or whole in their plain sense; names may not.
"""

import ast
import re
from pathlib import Path

import pytest

from planner.study.records import base, buildout, inventory, plan, serving, study

ROOT = Path(__file__).parents[1]
PARTS = {
    **dict.fromkeys(("door", "doors"), "request limit, ingress"),
    **dict.fromkeys(("way", "ways", "choice", "choices"), "alternative"),
    **dict.fromkeys(("taking", "passing"), "throughput"),
    **dict.fromkeys(("clock", "clocks"), "deadline; lead time; time limit"),
    **dict.fromkeys(("rung", "rungs"), "step"),
    **dict.fromkeys(("toll", "tolls"), "outage impact"),
    **dict.fromkeys(("room", "rooms"), "headroom"),
    **dict.fromkeys(("sliver", "slivers", "speck", "specks"), "negligible"),
    **dict.fromkeys(("moment", "moments"), "time slice"),
    **dict.fromkeys(("world", "worlds"), "instance"),
    **dict.fromkeys(("slip", "slips", "slipped", "bridging"), "delay"),
    **dict.fromkeys(("leans", "rests"), "key assumptions"),
    "firm": "non_preemptible (replicas), no_regret (orders)",
    "hot": "warm",
    "loaded": "cold_started",
    "entered": "binding",
    "implied": "dominated",
    "left": "remaining",
    "hit": "targeted",
    "spared": "survives_loss",
    "worth": "discount factor, present value",
    "bare": "without_goals, plain",
    "testprogram": "feasibility subproblem",
    "alike": "symmetric, same",
    "law": "reservation rules",
    "astray": "unroutable",
    "relaxation": "lp",
    "binds": "bottlenecks",
}
"""Retired word -> what is said instead; no part of a name, between underscores or capitals, may be one."""
NAMES = ("found", "told", "whole", "there", "shown", "some", "starts", "trips", "stock", "standing", "by")
"""No name may be one of these: they do not say what they name."""
MODULES = ("missing", "slip", "bridging", "polish", "ways", "doors", "moments", "world", "stock", "standing")
"""Nor may a module."""
TITLES = ("RESTS ON", "NOT IN", "CLOCKS", "BINDS", "HEAT")
"""Titles of sections that are called otherwise now."""


def parts(name: str) -> list[str]:
    """A name in its words: `FewRooms_left` is few, rooms, left."""
    return re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower().split("_")


def names_of(path: Path) -> set[str]:
    """Every name that a module binds: functions, classes, parameters, variables, attributes, fields."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            names.add(node.attr)
    return names


def retired(names: set[str]) -> list[str]:
    """Names that hold a retired word, with what to say."""
    findings = []
    for name in sorted(names):
        if name in NAMES:
            findings.append(f"{name}: name the thing")
        findings += [f"{name}: {PARTS[part]}" for part in parts(name) if part in PARTS]
    return findings


CODE = sorted((ROOT / "planner").rglob("*.py"))


@pytest.mark.parametrize("path", CODE, ids=[str(path.relative_to(ROOT / "planner")) for path in CODE])
def test_names_in_code(path):
    assert path.stem not in MODULES and not retired({path.stem})
    assert retired(names_of(path)) == []


def test_fields_of_files():
    fields = {
        field
        for module in (base, buildout, inventory, plan, serving, study)
        for record in vars(module).values()
        if isinstance(record, type) and issubclass(record, base.Record)
        for field in record.model_fields
    }
    assert len(fields) > 200 and retired(fields) == []


def test_options_and_commands():
    from typer.main import get_command

    from planner.cli.main import app
    from planner.cli.pages import _leaf_commands

    options, helps = set(), []
    for name, command in _leaf_commands("planner", get_command(app)):
        options |= {name.split()[-1].replace("-", "_")}
        for param in command.params:
            options |= {option.lstrip("-").replace("-", "_") for option in param.opts if option.startswith("--")}
            helps.append(f"{name} {param.name}: {getattr(param, 'help', '') or ''}")
    assert retired(options - {"by"}) == []  # an option says by what
    told = [text for text in helps if re.search(r"\b(clock|door|rung|toll|firm|relaxation|slip)s?\b", text)]
    assert told == []


def test_headings():
    pages = [*(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md"), ROOT / "README.md"]
    headings = [line for page in pages for line in page.read_text("utf-8").splitlines() if line.startswith("#")]
    words = re.compile(r"\b(doors?|clocks?|rungs?|tolls?|slivers?|specks?|firm|slips?|bare|astray|relaxation)\b")
    assert len(headings) > 100
    assert [line for line in headings if words.search(line.lower())] == []


def test_titles_of_sections():
    for path in sorted((ROOT / "planner" / "review").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert node.value not in TITLES, f"{path.name}:{node.lineno}"
