"""Files of the schema version before are read as if they had the new names, and say so."""

import json
from pathlib import Path

import pytest
from buildouts import hall

from planner.errors import InputError
from planner.plan.audit import audit
from planner.plan.file import digest, plan_text, read_plan, sha256
from planner.plan.plan import make_plan
from planner.questions.patched import patched
from planner.questions.patches import patch_of_text
from planner.solve.search import Effort
from planner.study.places import Reading
from planner.study.read import read_study
from planner.study.records.renamed import PLAN

EXAMPLE = Path(__file__).parents[2] / "examples" / "buildout"


def copy_of_version_1(tmp_path: Path) -> Path:
    folder = tmp_path / "study"
    for file in EXAMPLE.rglob("*"):
        if file.is_file():
            copy = folder / file.relative_to(EXAMPLE)
            copy.parent.mkdir(parents=True, exist_ok=True)
            text = file.read_text(encoding="utf-8").replace("lead_months", "clocks_months")
            copy.write_text(text.replace("schema_version: 2", "schema_version: 1"), encoding="utf-8")
    return folder


def with_old_names(data, table):
    """Plain data as version 1 had it: the other way round, by hand of this test."""
    old = json.loads(json.dumps(data))
    for place, new in table.items():
        owners = [old]
        for part in place[:-1]:
            owners = [item for each in owners for item in (each if part == "*" else [each.get(part, {})])]
        for owner in owners:
            if new in owner:
                owner[place[-1]] = owner.pop(new)
    return old


def test_a_study_of_version_1_is_the_same_study_with_a_warning_for_each_old_name(tmp_path):
    now, _ = read_study(EXAMPLE)
    study, findings = read_study(copy_of_version_1(tmp_path))
    assert study == now
    warnings = [finding for finding in findings if "lead_months" in finding.expected]
    assert len(warnings) == 4 and all(finding.level == "warning" for finding in warnings)
    assert "study.yaml:104: build_outs[0].clocks_months" in warnings[0].where and "schema_version: 2" in warnings[0].fix


def test_a_study_that_names_no_version_may_be_of_either(tmp_path):
    folder = copy_of_version_1(tmp_path)
    file = folder / "study.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace("schema_version: 1\n", ""), "utf-8")
    study, findings = read_study(folder)
    assert study == read_study(EXAMPLE)[0] and any("lead_months" in finding.expected for finding in findings)


def test_a_plan_of_version_1_in_no_unicode_is_refused(tmp_path):
    file = tmp_path / "plan.json"
    file.write_text('{"schema_version": 1, "study": "\\ud800"}', encoding="utf-8")
    with pytest.raises(InputError) as error:
        read_plan(file)
    assert "UTF-8" in error.value.findings[0].expected


def test_an_old_name_in_a_study_of_this_version_is_unknown_and_its_new_name_is_told(tmp_path):
    folder = copy_of_version_1(tmp_path)
    file = folder / "study.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace("schema_version: 1", "schema_version: 2"), "utf-8")
    with pytest.raises(InputError) as error:
        read_study(folder)
    assert any("called 'lead_months' since schema version 2" in finding.got for finding in error.value.findings)


def test_a_plan_of_version_1_is_the_same_plan_and_passes_its_audit(tmp_path):
    plan = make_plan(hall(), Effort(gap_fraction=0.1))
    old = with_old_names(json.loads(plan_text(plan)), PLAN)
    old["schema_version"] = old["study"]["schema_version"] = 1
    old["study_sha256"] = sha256(old["study"])
    old["digest_sha256"] = digest(old)
    file = tmp_path / "plan.json"
    file.write_text(json.dumps(old), encoding="utf-8")
    warnings = []
    read = read_plan(file, warnings)
    assert read == plan and audit(read).passed
    (warning,) = warnings
    assert "clock_seconds is deadline_seconds" in warning.got and "relaxation_usd is lp_bound_usd" in warning.got


def test_an_edited_plan_of_version_1_fails_its_audit_by_the_digest(tmp_path):
    plan = make_plan(hall(), Effort(gap_fraction=0.1))
    old = with_old_names(json.loads(plan_text(plan)), PLAN)
    old["schema_version"] = old["study"]["schema_version"] = 1
    old["digest_sha256"] = digest(old)
    old["planner_version"] = "edited since"
    file = tmp_path / "plan.json"
    file.write_text(json.dumps(old), encoding="utf-8")
    assert "digest" in {violation.rule for violation in audit(read_plan(file)).violations}


def test_a_patch_may_still_say_the_old_name():
    study, _ = read_study(EXAMPLE)
    changed = []
    for name in ("clocks_months", "lead_months"):
        patch = patch_of_text(f"build_outs[owned/columbus:hall-1].{name}.power=15", Reading())
        made, findings = patched(study, (patch,), "late")
        assert any("`lead_months`" in finding.expected for finding in findings) == (name == "clocks_months")
        changed.append(made.build_outs)
    assert changed[0] == changed[1] != study.build_outs
