"""Ids are made of names, never parsed: whatever signs the names hold, the answer is the same and says them whole."""

import ast
import json
import random
import re
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers import FILES, write_study
from shuffling import shuffled
from studies import random_study
from typer.testing import CliRunner

import planner
from planner.cli.main import app
from planner.drill import drill_plan, drill_state_claims
from planner.emit.targets import TARGETS, emitted
from planner.errors import InputError
from planner.plan.audit import audit
from planner.plan.file import read_plan
from planner.plan.plan import make_plan
from planner.review.answer import review_plan
from planner.review.render import render
from planner.solve.search import Effort, Infeasible
from planner.study.read import read_study

SIGNS_AFTER = {
    "small": "/a",
    "trn": "@c/d: e + f",
    "gpu": "@c/d: e on g",
    "trn-16": "/m@1: x.y",
    "gpu-8": "/m@2: x.y",
    "neuron": "/b: c + d",
    "cuda": ": c d@2/3",
    "alpha": ".q r",
    "beta": ".q r s",
    "east": "/a st",
    "east-1": "/1: @x",
    "west-1": "/1@x: y",
    "chat": "/h: a.t + x@y",
    "batch": "/h: a.t",
    "london": "/o: n@z while x",
    "tokyo": "/o: n",
    "gold": "/o: l@",
    "bulk": "/o: l d",
    "quake": "/u: a@b + failure:k",
    "grid": "/r: id + power:x",
    "vcpus": ": c (at most 1",
    "on_demand": ": d/1@",
}
"""Name in the study of helpers.py, and what it also holds: signs that ids are put together with."""
NAMES = {name: name + signs for name, signs in SIGNS_AFTER.items()}
"""In the same order as before: what is equal is shown in the order of names."""
WORD = re.compile(rf"(?<![\w-])({'|'.join(sorted(NAMES, key=len, reverse=True))})(?![\w-])")
EDITS = (("study.yaml", "{name: trn, pools: ['alpha/*']", "{name: vcpus, pools: ['alpha/*']"),)


def renamed(data: Any, plain: bool = False) -> Any:
    """The same data with the other names, in keys too; fields named after a kind stay."""
    if isinstance(data, dict):
        return {renamed(key): renamed(value, key == "kind") for key, value in data.items()}
    if isinstance(data, list):
        return [renamed(item) for item in data]
    return WORD.sub(lambda match: NAMES[match[0]], data) if isinstance(data, str) and not plain else data


def hostile_files() -> dict[str, str]:
    files = dict(FILES)
    for name, old, new in EDITS:
        files[name] = files[name].replace(old, new)
    made = {}
    for name, text in files.items():
        if name.endswith(".yaml"):
            made[name] = yaml.safe_dump(renamed(yaml.safe_load(text)), sort_keys=False)
        else:
            rows = [line.split(",") for line in text.splitlines()]
            kind = rows[0].index("kind") if "kind" in rows[0] else None
            other = [[renamed(cell, i == kind) for i, cell in enumerate(row)] for row in rows[1:]]
            made[name] = "\n".join(",".join(row) for row in [rows[0], *other]) + "\n"
    return made


def call(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Folder with a plan of the study as it is, and of the one with other names."""
    folder = tmp_path_factory.mktemp("ids")
    for study in (write_study(folder / "plain", EDITS), write_study(folder / "hostile", files=hostile_files())):
        done = call("plan", study, "--out", folder / f"{study.parent.name}.json", "--quiet", "--no-regret")
        assert done.exit_code == 0, done.output
    return folder


def numbers(data: Any) -> list[float]:
    """All numbers of a JSON value, sorted: names decide the order of what is listed."""
    if isinstance(data, dict | list):
        return sorted(n for item in (data.values() if isinstance(data, dict) else data) for n in numbers(item))
    return [round(float(data), 6)] if isinstance(data, int | float) and not isinstance(data, bool) else []


def test_the_plan_is_the_same(folder):
    plain, hostile = read_plan(folder / "plain.json"), read_plan(folder / "hostile.json")
    assert hostile.proof.cost_usd == pytest.approx(plain.proof.cost_usd, rel=1e-9)
    assert numbers([p.model_dump() for p in hostile.purchases]) == numbers([p.model_dump() for p in plain.purchases])
    assert hostile.costs_usd == pytest.approx(plain.costs_usd)
    drilled = [drill_plan(plan) for plan in (plain, hostile)]
    rows = [sorted((r.deadline_seconds, round(r.served_fraction, 6)) for r in d.rows) for d in drilled]
    assert rows[0] == rows[1] and not drilled[1].findings and not drill_state_claims(hostile)


def without_folds(text: str) -> str:
    """A page without folds: names may be cut at blanks."""
    return re.sub(r"\s+", "", text)


@pytest.mark.parametrize("how", ["text", "md", "json"])
@pytest.mark.parametrize("command", ["review", "audit", "drill"])
def test_every_page_says_names_whole(command, how, folder):
    pages = {}
    for name in ("plain", "hostile"):
        options = ["--all"] if command == "review" else ["--quiet"] if command == "drill" else []
        done = call(command, folder / f"{name}.json", "--format", how, *options)
        assert done.exit_code == 0, done.output
        pages[name] = done.stdout
    if how == "json":
        plain, hostile = (numbers(json.loads(pages[name])) for name in ("plain", "hostile"))
        if command == "review":
            return  # widths, digests and stack versions differ
        assert plain == hostile
    if command == "review":
        page = without_folds(pages["hostile"].replace("\\", ""))
        folded = ("quake", "grid", *(("chat", "batch", "london", "tokyo") if how == "text" else ()))  # over lines
        said = {kind for kind in WORD.findall(pages["plain"].replace("\\", "")) if kind not in folded}
        assert {"small", "gpu-8", "beta", "on_demand"} <= said
        assert [kind for kind in sorted(said) if without_folds(NAMES[kind]) not in page] == []


def test_the_fleet_is_of_models_by_their_whole_names(folder):
    text = call("review", folder / "hostile.json", "--format", "text").stdout
    fleet = text[text.index("FLEET") :]
    assert re.search(r"\d small/a\b", fleet) and not re.search(r"\d small$", fleet, re.MULTILINE)
    assert {line.split(":")[0].strip() for line in fleet.splitlines()[1:3]} == {NAMES["alpha"], NAMES["beta"]}, fleet[
        :400
    ]


@pytest.mark.parametrize("target", [*TARGETS, "all"])
def test_files_are_made_for_every_target(target, folder, tmp_path):
    settings = ["--set", f"resource.{NAMES['neuron']}=a.com/n", "--set", f"resource.{NAMES['cuda']}=a.com/g"]
    settings += ["--set", "image=a.com/i:v1"]
    for name in ("plain", "hostile"):
        more = settings if name == "hostile" and target in ("kubernetes", "all") else settings[4:]
        more = more if target in ("kubernetes", "all") else []
        done = call("emit", target, folder / f"{name}.json", "--out", tmp_path / name, "--quiet", *more)
        assert done.exit_code == 0, done.output
    counts = [sum(1 for p in (tmp_path / name).rglob("*") if p.is_file()) for name in ("plain", "hostile")]
    assert counts[0] == counts[1]


def test_what_else_is_asked_of_it(folder, tmp_path):
    plan, study = folder / "hostile.json", folder / "hostile/study.yaml"
    assert call("diff", folder / "plain.json", plan).exit_code == 1
    assert call("check", study, "--coverage").exit_code == 0
    assert call("risk", study).exit_code in (0, 1)
    assert call("whatif", plan, "--set", "demand=x1.01", "--quiet", "--gap", "0.05").exit_code == 0
    state = {"kind": "List", "items": []}
    (tmp_path / "nodes.json").write_text(json.dumps(state), encoding="utf-8")
    assert call("drift", plan, tmp_path / "nodes.json", "--on", "2026-07-01").exit_code == 1
    fleet = ["workload,origin,pool,profile,replicas,weight"]
    for w, o in (("chat", "london"), ("chat", "tokyo"), ("batch", "london")):
        for site, machine, profile in (("alpha/east-1", "trn-16", "trn"), ("beta/west-1", "gpu-8", "gpu")):
            fleet.append(",".join(renamed([w, o, f"{site}/{machine}", f"small/{profile}", "4", "1"])))
    (tmp_path / "fleet.csv").write_text("\n".join(fleet) + "\n", encoding="utf-8")
    done = call("drill", tmp_path / "fleet.csv", "--study", study, "--format", "json", "--quiet")
    assert done.exit_code in (0, 1) and "not eligible" not in done.output and "no such" not in done.output, done.output


SIGNS = ("a/b", "@", ": ", " + ", " on ", " while ", ".", "site:x", "m0", "0.5 of ", "failure:")


@pytest.mark.parametrize("seed", range(40))
def test_random_studies_cost_and_survive_the_same_under_any_names(seed):
    """Losses that fall on one placement, and failures that are priced, among them."""
    study = random_study(seed)
    priced = {"failures_per_year": 2.0, "hours_to_repair": 4.0} if seed % 2 else {}
    failures = tuple(f.model_copy(update={"worst_part": True, **priced}) for f in study.failures)
    objective = "expected" if seed % 4 == 1 else "cost"
    study = study.model_copy(update={"failures": failures, "objective": objective})
    g = random.Random(seed)
    other = shuffled(study, seed, lambda i: "".join(g.choices(SIGNS, k=3)).strip() + str(i))
    try:
        plain = make_plan(study, Effort(gap_fraction=0.0))
    except Infeasible:
        with pytest.raises(Infeasible):
            make_plan(other)
        return
    plan = make_plan(other, Effort(gap_fraction=0.0))
    assert plan.proof.cost_usd == pytest.approx(plain.proof.cost_usd, abs=1e-6)
    assert audit(plan).passed and not drill_state_claims(plan)
    drilled = drill_plan(plan)
    assert not drilled.broken and not drilled.findings
    emitted(plan, "litellm", {})
    render(review_plan(plan), "text")


# ------------------------------------------------------------------ nothing is parsed
PARSES = ("partition", "rpartition", "split", "rsplit", "removeprefix", "removesuffix", "startswith", "endswith")
JOINTS = ("@", "/", ":", " + ", " on ", " while ")
NOT_IDS = {
    "study.records.components": "what people write: stack@version, kind:name",
    "questions.ladder": "what people write: the steps kind:count and failure:NAME",
    "review.steps": "the same",
    "study.dependencies": "what people write: except, by name or by kind:name",
    "study.checks.goals": "the same",
    "drill.expansion": "the same",
    "problem.eligibility": "the closed list of reasons",
    "plan.explain": "the same",
    "review.check": "the same",
    "review.assumptions": "the evidence of a load time: word: text",
    "review.report": "how a failure is shown, after all is decided",
    "questions.variants": "where a finding is, behind the name of its variant",
    "review.topics": "what people write: schema:NAME",
    "emit.write": "paths of files",
    "emit.cascade": "the same",
    "study.files": "the same",
    "emit.options": "addresses of endpoints",
    "emit.envoy": "paths of a certificate and of a health check",
    "emit.lint": "the prefix openai/ that LiteLLM asks for",
    "importers.*": "files of others",
    "cli.*": "what people write, and docstrings",
}
"""Modules that take text apart at a sign that joins names in ids, and what that text is."""


def parsing() -> list[tuple[str, str]]:
    """(module, code) of every call that takes text apart at a sign that joins names in ids."""
    calls, folder = [], Path(planner.__file__).parent
    for path in sorted(folder.rglob("*.py")):
        module = ".".join(path.relative_to(folder).with_suffix("").parts)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in PARSES:
                said = [c.value for arg in node.args for c in ast.walk(arg) if isinstance(c, ast.Constant)]
                if any(isinstance(text, str) and joint in text for text in said for joint in JOINTS):
                    calls.append((module, ast.unparse(node)))
    return calls


def test_ids_are_made_never_parsed():
    """Look up what an id was made of (`pool_of`, `profile_of`, `provider_of`); or say above what the text is."""
    unknown = [(module, code) for module, code in parsing() if not any(fnmatchcase(module, known) for known in NOT_IDS)]
    assert unknown == []


# ------------------------------------------------------------------ two of one id
def test_two_failures_of_one_id_are_refused(tmp_path):
    """The pair of power:a and power:b is called like the component `a + power:b`."""
    names = ["a", "b", "a + power:b"]
    survive = [{"any": "power", "of": of, "within_seconds": 60} for of in (1, 2)]
    study = write_study(
        tmp_path,
        components=[{"name": name, "kind": "power"} for name in names],
        dependencies=[{"component": "site:alpha/east-1", "needs": {"any_of": [f"power:{name}" for name in names]}}],
        tiers=[{"name": "gold", "survive": survive}, {"name": "bulk"}],
        failures=None,
    )
    with pytest.raises(InputError) as error:
        read_study(study)
    (finding,) = error.value.findings
    assert finding.expected == "another id for each failure" and finding.got == "'power:a + power:b' for two"


def test_two_profiles_of_one_id_are_refused(tmp_path):
    """`a` with profile `b/c`, and `a/b` with profile `c`."""
    one = FILES["models/small.yaml"].replace("name: trn\n", "name: b/c\n").replace("model: small", "model: a")
    two = one.replace("model: a", "model: a/b").replace("name: b/c\n", "name: c\n")
    text = FILES["study.yaml"].replace("chat, model: small", "chat, model: a")
    text = text.replace("batch, model: small", "batch, model: a/b")
    study = write_study(tmp_path, files={"models/small.yaml": one, "models/two.yaml": two, "study.yaml": text})
    with pytest.raises(InputError) as error:
        read_study(study)
    assert {(f.expected, f.got) for f in error.value.findings} >= {
        ("another id for each profile", "'a/b/c' of 'a' and 'b/c', and of 'a/b' and 'c'")
    }
