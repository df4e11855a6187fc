"""JSON Schema of what people write: as strict as the reader, no stricter, committed as it is, named by each file."""

import json
import re
from pathlib import Path

import pytest
from mistakes import MISTAKES, ROOT, STUDY
from two_sites import call

from planner.errors import InputError
from planner.importers.new_study import STUDY_HEAD, start_study
from planner.questions.variants import read_axes
from planner.review.schemas import ENDING, IN_YAML, LISTS, RECORDS, schema_files, schema_names, schema_of
from planner.study.places import Reading, read_record
from planner.study.tables import read_list, read_yaml

FILES = sorted(
    [*ROOT.glob("examples/*/*.yaml"), *ROOT.glob("models/*.yaml"), *ROOT.glob("inventories/*.yaml")],
    key=lambda path: path.as_posix(),
)
LINE = re.compile(r"# yaml-language-server: \$schema=(\S+)\n")


def schema_named_by(path):
    """Name of the schema that the first line of a file leads to."""
    named = LINE.match(path.read_text(encoding="utf-8"))
    assert named is not None, f"{path}: no schema in its first line"
    schema = (path.parent / named[1]).resolve()
    assert schema.parent == ROOT / "docs" / "schemas" and schema.is_file()
    return schema.name.removesuffix(ENDING)


def lines_of_errors(name, path):
    """Lines on which the reader finds an error in a file of a schema, names that lead nowhere left out."""
    reading = Reading()
    field = name.replace("-", "_")
    if name == "matrix":
        read_axes(path, reading)
    elif field in LISTS:
        read_list(RECORDS[LISTS[field]], path, reading, field)
    elif (document := read_yaml(path, reading)) is not None:
        read_record(RECORDS[name], *document, reading)
    places = [re.search(r":(\d+)", finding.where) for finding in reading.findings]
    return [int(place[1]) for place in places if place is not None]


@pytest.fixture(scope="module")
def validators():
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed: pip install -e '.[dev]'")
    made = {name: jsonschema.Draft202012Validator(schema_of(name)) for name in IN_YAML}
    for validator in made.values():
        validator.check_schema(validator.schema)
    return made


def test_committed_schemas_are_fresh():
    written = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "docs" / "schemas").iterdir()}
    assert written == schema_files(), "planner show schema --out docs/schemas"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_what_ships_is_valid_by_both(path, validators):
    name = schema_named_by(path)
    data, _ = read_yaml(path, Reading())
    assert [error.message for error in validators[name].iter_errors(data)] == []
    assert lines_of_errors(name, path) == []


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda m: f"{Path(m.file).stem} {m.new}")
def test_a_mistake_is_one_by_both(mistake, validators, tmp_path):
    name, path = schema_named_by(mistake.path), tmp_path / mistake.path.name
    path.write_text(mistake.text, encoding="utf-8")
    assert mistake.line in lines_of_errors(name, path), "the reader says so, and where"
    document = read_yaml(path, Reading())
    assert document is not None and not validators[name].is_valid(document[0])


RIGHT = (
    ("within_seconds: 300", "within_seconds: 3e2"),
    ("months: 12", "quarters: 4"),
    ("{any: provider, serve", "{any: power, serve"),
    ("{any: provider, serve", "{outage: x, where: aws, serve"),
    ("{any: provider, serve", "{any: provider, except: [aws], serve"),
    ("{any: provider, serve", "{any: provider, failure: ~, serve"),
    ("near: google/us-east4, latitude: 40.7128, longitude: -74.006", "near: google/us-east4"),
    ("demand: demand.csv", "demand: demand.csv\nutilisation: {spread: each}"),
    ("schema_version: 2\n", ""),
    ("reclaim_seconds: 120", "reclaim_seconds: null"),
    ("round_trip_ms: 150", "deferrable_hours: 24"),
)


@pytest.mark.parametrize(("old", "new"), RIGHT, ids=[new for _, new in RIGHT])
def test_the_schema_refuses_nothing_that_the_reader_takes(old, new, validators, tmp_path):
    text = (ROOT / STUDY).read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "study.yaml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    assert lines_of_errors("study", path) == []
    assert [error.message for error in validators["study"].iter_errors(read_yaml(path, Reading())[0])] == []


def test_units_defaults_and_words_are_in_the_schema():
    study = schema_of("study")
    assert study["properties"]["detection_seconds"]["default"] == 10.0
    assert study["properties"]["detection_seconds"]["description"].endswith("[s]")
    assert study["properties"]["objective"]["enum"] == ["cost", "expected", "worst_case", "cvar"]
    assert "provider" in study["$defs"]["Goal"]["properties"]["any"]["examples"]
    assert "except" in study["$defs"]["Goal"]["properties"] and "except_" not in json.dumps(study)
    fields = schema_of("model")["properties"]["facts"]
    assert fields["$ref"].startswith("#/$defs/") and fields["description"]


def test_a_new_folder_has_the_schemas_that_its_files_name(tmp_path):
    for example in ("quickstart", "buildout"):
        folder = tmp_path / example
        start_study(folder, example, schema_files(in_yaml_only=True))
        named = {path: LINE.match(path.read_text("utf-8"))[1] for path in folder.glob("*.yaml")}
        assert set(named.values()) <= {f"schemas/{name}{ENDING}" for name in IN_YAML} and len(named) >= 2
        assert all((folder / schema).is_file() for schema in named.values())
    assert LINE.match(STUDY_HEAD)[1] == f"schemas/study{ENDING}", "a study that begins with a fleet"


def test_show_schema_writes_a_folder(tmp_path):
    out = tmp_path / "schemas"
    assert call("show", "schema", "--out", out).exit_code == 0
    assert {path.name for path in out.iterdir()} == set(schema_files())
    assert call("show", "schema", "--out", out).exit_code == 0, "again"
    assert call("show", "schema").stdout.split() == [f"schema:{name}" for name in schema_names()]
    assert json.loads(call("show", "schema:policy").stdout) == schema_of("policy")
    assert call("show", "schema", "--out", out / "study.schema.json").exit_code == 2
    assert call("show", "schema:nonsense").exit_code == 2
    with pytest.raises(InputError):
        schema_of("nonsense")
