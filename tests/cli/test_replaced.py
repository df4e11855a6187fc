"""A result replaces a file of its own kind only."""

import json
from pathlib import Path

import pytest
from helpers import write_study
from typer.testing import CliRunner

from planner.cli.main import app
from planner.errors import InputError
from planner.study.files import PLAN, PROGRAM, REPORT, STUDY, TABLE, check_writable, kind_of

TEXTS = {
    PLAN: json.dumps({"bottlenecks": [], "digest_sha256": "0" * 64}, indent=1),
    STUDY: "# mine\n\nstudy: mine\nschema_version: 2\n",
    TABLE: "workload,origin,requests_per_second\nchat,london,1\n",
    PROGRAM: "\\* plan *\\\nMinimize\nOBJ: a\n",
    REPORT: "mine: 3 machines\n",
}
OTHERS = ["Dear colleague\n", "*SENSE:Minimize\nNAME          plan\n", "{}\n", "# Review\n\nANSWER\n"]


def test_kinds_are_known_by_how_they_begin() -> None:
    assert {kind: kind_of(text) for kind, text in TEXTS.items() if kind != REPORT} == {
        k: k for k in TEXTS if k != REPORT
    }
    assert [kind_of(text) for text in OTHERS] == [REPORT, PROGRAM, REPORT, REPORT]
    assert kind_of("") == REPORT


@pytest.mark.parametrize("kind", [PLAN, PROGRAM, REPORT])
def test_a_file_of_another_kind_stays(tmp_path: Path, kind: str) -> None:
    for other in (PLAN, STUDY, TABLE, PROGRAM):
        path = tmp_path / "out"
        path.write_text(TEXTS[other])
        if other == kind:
            check_writable(path, kind=kind)
            continue
        with pytest.raises(InputError) as caught:
            check_writable(path, option="--program", kind=kind)
        (finding,) = caught.value.findings
        assert (finding.where, finding.got) == (str(path), other.lower())
        assert kind in finding.expected and finding.fix == "name another --program, or remove this one"


def test_what_a_person_wrote_is_replaced_by_a_report_and_not_by_a_plan(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("Dear colleague\n")
    check_writable(path, kind=REPORT)
    for kind in (PLAN, PROGRAM):
        with pytest.raises(InputError, match="a file of another kind"):
            check_writable(path, kind=kind)
    path.write_text("\n")
    check_writable(path, kind=PLAN)


def test_before_it_plans_the_command_line_refuses_what_it_would_replace(tmp_path: Path) -> None:
    study = write_study(tmp_path / "study")
    (tmp_path / "other.yaml").write_text(TEXTS[STUDY])
    (tmp_path / "other.lp").write_text(TEXTS[TABLE])
    for option, name in ("--out", "other.yaml"), ("--program", "other.lp"):
        before = (tmp_path / name).read_bytes()
        result = CliRunner().invoke(app, ["plan", str(study), option, str(tmp_path / name)])
        assert result.exit_code == 2 and f"fix: name another {option}, or remove this one" in result.stderr
        assert "found so far" not in result.stderr and (tmp_path / name).read_bytes() == before
    result = CliRunner().invoke(app, ["check", str(study), "--out", str(tmp_path / "other.yaml")])
    assert result.exit_code == 2 and (tmp_path / "other.yaml").read_text() == TEXTS[STUDY]
