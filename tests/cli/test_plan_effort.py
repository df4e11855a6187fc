"""--profile and --explain-size: sections of the review, or on stderr; the plan stays byte for byte the same."""

import json

import pytest
from helpers import write_study
from typer.testing import CliRunner

from planner.cli.main import app
from planner.plan.plan import make_plan
from planner.questions.side_by_side import processors


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return write_study(tmp_path_factory.mktemp("study"))


def call(*words):
    return CliRunner().invoke(app, ["plan", *(str(word) for word in words), "--quiet"])


def test_sections_of_the_review_and_the_same_plan(tiny, tmp_path):
    plain, explained = tmp_path / "plain.json", tmp_path / "explained.json"
    without = call(tiny, "--out", plain)
    result = call(tiny, "--out", explained, "--profile", "--explain-size")
    assert result.exit_code == without.exit_code
    assert explained.read_bytes() == plain.read_bytes()
    assert "\nPROFILE\n" in result.stdout and "\nSIZE\n" in result.stdout and "in the solver" in result.stdout
    assert "PROFILE" not in without.stdout and "SIZE" not in without.stdout


def test_for_programs(tiny):
    sections = json.loads(call(tiny, "--format", "json", "--profile", "--explain-size").stdout)["sections"]
    spent = sections["profile"]
    assert {"part", "stage", "seconds", "solver_seconds", "fraction"} == set(spent[0])
    assert sum(row["fraction"] for row in spent) == pytest.approx(1)
    assert {"reading", "building", "linear program", "reviewing"} <= {row["stage"] for row in spent}
    size = sections["size"]
    assert size["merged"][0]["what"] == "normal operation"
    assert size["blocks"][0]["columns"] > 0 and size["failures"] > 0


def test_on_stderr_where_the_plan_is_the_answer(tiny):
    result = call(tiny, "--profile", "--explain-size")
    assert "PROFILE" in result.stderr and "SIZE" in result.stderr
    assert json.loads(result.stdout)["schema_version"]


def test_jobs_are_threads_of_the_plan(tiny, monkeypatch):
    asked, made = [], make_plan
    monkeypatch.setattr(
        "planner.plan.plan.make_plan",
        lambda study, effort, *more: asked.append(effort.jobs) or made(study, effort, *more),
    )
    one, as_many_as_processors = call(tiny, "--jobs", "1"), call(tiny)
    assert one.exit_code == 0 and one.stdout == as_many_as_processors.stdout
    assert asked == [1, processors()]
    assert call(tiny, "--jobs", "0").exit_code == 2
