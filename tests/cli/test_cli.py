"""The command line as a user meets it: answers, exit codes, files, bad input."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers import write_study
from typer.testing import CliRunner

from planner.cli.main import app
from planner.plan.file import digest, read_plan
from planner.review.report_file import ReportFile
from planner.solve.search import is_proven

ROOT = Path(__file__).parents[2]
QUICKSTART = ROOT / "examples" / "quickstart"
runner = CliRunner()


def call(*words):
    return runner.invoke(app, [str(word) for word in words])


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    """The quickstart, planned once."""
    out = tmp_path_factory.mktemp("plan") / "plan.json"
    result = call("plan", QUICKSTART, "--out", out, "--quiet")
    assert result.exit_code == 0, result.output
    return out, result


def test_quickstart_is_proven_and_uses_all_four_kinds(planned):
    plan = read_plan(planned[0])
    assert plan.proof.status == "proven" and is_proven(plan.proof.gap_fraction, 0.02)
    assert not plan.uncoverable
    used = {r.placement.partition("@")[2].partition("/")[0] for r in plan.replicas}
    assert used == {"aws", "google", "azure", "owned"}
    stacks = {p.stack for m in plan.study.models for p in m.profiles for r in plan.replicas
              if r.placement.startswith(f"{m.model}/{p.name}@")}  # fmt: skip
    assert stacks == {"neuron", "xla-tpu", "cuda", "rocm"}
    # redundancy is not free: any one loss of four providers at 100 % cannot be had for nothing
    assert plan.proof.cost_usd > plan.without_goals.cost_usd


@pytest.fixture(scope="module")
def reviewed(planned):
    """Its review, command line and all, once: in a file of 80 columns, as a person may ask for it."""
    out = planned[0].with_name("review.txt")
    runner.invoke(app, ["review", str(planned[0]), "--quiet", "--out", str(out)], env={"COLUMNS": "80"})
    return out.read_text(encoding="utf-8")


def test_review_says_the_answer_first_and_every_section(reviewed):
    lines = reviewed.splitlines()
    assert lines[0] == "study quickstart" and lines[2] == "ANSWER"
    assert "6 survival goals hold in all 27 failures" in lines[3]
    titles = [line for line in lines if line.partition(" (")[0].isupper() and not line.startswith(" ")]
    first = ["ANSWER", "ORDER", "SERVED", "FAILURES", "RECOVERY TIMELINE", "WAITING", "FLEET"]
    last = ["BOTTLENECKS (shadow prices)", "STATIC FILES", "TRUST", "KEY ASSUMPTIONS", "OUT OF SCOPE", "NEXT"]
    assert titles == [*first, *last]


def test_at_80_columns_every_table_of_it_is_one(reviewed):
    lines = reviewed.splitlines()
    assert max(map(len, lines)) <= 80
    assert sum(set(line) == {"─"} for line in lines) == 10, "all but ANSWER, OUT OF SCOPE and NEXT"
    fleet = lines[lines.index("FLEET") :]
    together = re.compile(r"    [\d,.]+  (\d+ [\w.-]+, )+\d+ [\w.-]+")
    assert any(map(together.fullmatch, fleet)), "no count is apart from what it counts"


def test_the_review_says_the_same_as_text_page_workbook_and_json(planned):
    pytest.importorskip("xlsxwriter")
    from four_ways import differences, four_ways

    from planner.review.answer import review_plan

    report = review_plan(read_plan(planned[0]), with_margins=False)
    assert differences(report, four_ways(report)) == []


def test_review_as_json_and_markdown(planned, tmp_path):
    data = json.loads(call("review", planned[0], "--format", "json").stdout)
    plan = read_plan(planned[0])
    assert data["good"] is True
    assert sum(o["usd"] for o in data["sections"]["order"]) == pytest.approx(plan.proof.cost_usd, rel=1e-9)
    assert len(data["sections"]["failures"]) == 27 and ReportFile.model_validate(data).schema_version == 1
    out = tmp_path / "brief.md"
    assert call("review", planned[0], "--brief", "--format", "md", "--out", out).exit_code == 0
    assert out.read_text().startswith("# study quickstart") and "| order by |" in out.read_text()


def test_audit_and_drill_pass_on_the_plan(planned):
    assert call("audit", planned[0]).exit_code == 0
    result = call("drill", planned[0], "--quiet")
    assert result.exit_code == 0 and "every goal holds" in result.stdout
    assert call("drill", planned[0], "--quiet", "--jobs", "1").stdout == result.stdout


def test_drill_of_todays_fleet_breaks(planned):
    result = call("drill", QUICKSTART / "fleet_today.csv", "--study", QUICKSTART, "--quiet")
    assert result.exit_code == 1 and "goals BREAK" in result.stdout
    rows = [line for line in result.stdout.splitlines() if line.endswith(("BROKEN", "holds"))]
    assert rows[0].endswith("BROKEN"), "worst first"


def test_the_same_plan_byte_for_byte(tmp_path):
    """Here and in a process of its own that hashes words in another way, where sets have another order."""
    study, here, there = write_study(tmp_path / "study"), tmp_path / "here.json", tmp_path / "there.json"
    assert call("plan", study, "--out", here, "--quiet").exit_code == 0
    for seed in ("1", "2"):
        words = [sys.executable, "-m", "planner", "plan", str(study), "--out", str(there), "--quiet"]
        subprocess.run(words, cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": seed}, check=True, capture_output=True)
        assert there.read_bytes() == here.read_bytes()


def test_plan_names_no_machine(planned):
    text = planned[0].read_text()
    assert str(ROOT) not in text and str(Path.home()) not in text


def test_init_check_plan_in_a_new_folder(tmp_path):
    folder = tmp_path / "mine"
    assert call("init", folder).exit_code == 0
    result = call("check", folder)
    assert result.exit_code == 0 and "27 different failures" in result.stdout
    again = call("init", folder)
    assert again.exit_code == 2 and "name another folder" in again.stderr


def test_help_is_quick_and_has_examples():
    began = time.perf_counter()
    result = subprocess.run([sys.executable, "-m", "planner", "--help"], capture_output=True, text=True, cwd=ROOT)
    seconds = time.perf_counter() - began
    assert result.returncode == 0
    assert all(title in result.stdout for title in ("Ask", "Question", "Hand over"))
    assert seconds < 5.0, "a noisy machine is allowed ten times what is promised"
    for verb in ("init", "check", "plan", "review", "audit", "drill", "show"):
        assert "Example" in call(verb, "--help").stdout


# ------------------------------------------------------------------ bad input: exit 2, a fix, no traceback
def refused(*words):
    result = call(*words)
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    assert "fix:" in result.stderr
    return result.stderr


def test_missing_and_broken_files(tmp_path):
    assert "no such file" in refused("check", tmp_path / "nothing")
    assert "plan" in refused("review", tmp_path / "plan.json")
    (tmp_path / "plan.json").write_text("[1, 2]")
    assert "a JSON list" in refused("audit", tmp_path / "plan.json")


def test_all_findings_at_once_with_their_lines(tmp_path):
    study = shutil.copytree(QUICKSTART, tmp_path / "study")
    text = (study / "study.yaml").read_text()
    text = text.replace("detection", "detektion").replace("tier: batch", "tier: bach")
    (study / "study.yaml").write_text(text + "colour: blue\n")
    (study / "demand.csv").write_text('workload,origin,requests_per_second\nchat,new-york,"1,5"\nchat,paris,-3\n')
    told = refused("plan", study, "--out", tmp_path / "plan.json")
    assert "the input" in refused("plan", QUICKSTART, "--out", QUICKSTART / "demand.csv")
    for part in ("colour", "bach", "demand.csv:2", "demand.csv:3"):
        assert part in told
    assert not (tmp_path / "plan.json").exists()


def test_findings_as_json(tmp_path):
    result = call("check", tmp_path / "nothing", "--format", "json")
    assert result.exit_code == 2
    assert {"where", "expected", "got", "fix", "level"} <= set(json.loads(result.stdout)["findings"][0])


def test_plan_truncated_edited_of_another_version(planned, tmp_path):
    text = planned[0].read_text()
    path = tmp_path / "plan.json"
    path.write_text(text[: len(text) // 2])
    assert "plan.json:" in refused("review", path)
    data = json.loads(text)
    path.write_text(json.dumps({**data, "schema_version": 99}))
    assert "99" in refused("audit", path)
    data["replicas"][0]["replicas"] += 1
    path.write_text(json.dumps(data))
    result = call("audit", path, "--format", "json")
    assert result.exit_code == 1 and "changed after it was sealed" in result.stdout
    assert "changed since" in refused("explain", path), "nothing is said of why it is so"
    assert call("drill", path, "--quiet").exit_code == 1, "an edited plan is no plan to the drill either"
    data["digest_sha256"] = digest(data)
    path.write_text(json.dumps(data))
    assert call("audit", path).exit_code == 1, "one replica more than the states run"
    assert call("review", path).exit_code == 1


def test_a_folder_that_cannot_be_written_is_said_before_solving(tmp_path, monkeypatch):
    def solved(*_, **__):
        raise AssertionError("solved first")

    monkeypatch.setattr("planner.plan.plan.make_plan", solved)
    assert "no such folder" in refused("plan", QUICKSTART, "--out", tmp_path / "no" / "plan.json")
    assert "a folder" in refused("plan", QUICKSTART, "--out", tmp_path)


def test_fleet_needs_a_study():
    assert "--study" in refused("drill", QUICKSTART / "fleet_today.csv")


def test_show():
    assert "machines[q,s]" in call("show", "survivors_only").stdout
    assert "survivors_only" in call("show").stdout
    assert json.loads(call("show", "schema:study").stdout)["title"] == "StudyFile"
    assert "one of" in refused("show", "nonsense")


def test_no_plan_names_what_is_short_and_what_would_help(tmp_path):
    study = shutil.copytree(QUICKSTART, tmp_path / "study")
    rows = (study / "demand.csv").read_text().splitlines()
    more = [",".join([*row.split(",")[:2], str(float(row.split(",")[2]) * 4), "", ""]) for row in rows[1:]]
    (study / "demand.csv").write_text("\n".join([rows[0], *more]) + "\n")
    result = call("plan", study, "--out", tmp_path / "plan.json", "--quiet", "--no-relax")
    assert result.exit_code == 1 and not (tmp_path / "plan.json").exists()
    assert "no plan" in result.stderr and "short of:" in result.stderr and "would help:" in result.stderr
    as_json = json.loads(call("plan", study, "--format", "json", "--quiet", "--no-relax").stdout)
    assert as_json["plan"] is None and as_json["diagnosis"]


def test_a_single_failure_that_cannot_be_survived_is_named(tmp_path):
    study = shutil.copytree(QUICKSTART, tmp_path / "study")
    text = (study / "study.yaml").read_text()
    text = text.replace("within_seconds: 300", "within_seconds: 60").replace(
        "serve_fraction: 0.8", "serve_fraction: 1.0"
    )
    limit = "  - {name: azure is full, pools: ['azure/*'], unit: machines, most: 18}\n"
    limit += "  - {name: tpu is full, pools: ['google/*'], unit: machines, most: 24}\n"
    assert "  quotas:" in text
    head, mark, tail = text.partition("  quotas:")
    line, _, rest = tail.partition("\n")
    (study / "study.yaml").write_text(head + mark + line + "\n" + limit + rest)
    result = call("plan", study, "--quiet", "--no-relax")
    assert result.exit_code == 1, result.output
    assert "when stack:cuda is lost, within 60 s" in result.stderr


# ------------------------------------------------------------------ interruption
def test_interrupt_before_anything_is_found_writes_nothing(monkeypatch, tmp_path):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("planner.plan.plan.solve", interrupted)
    result = call("plan", QUICKSTART, "--out", tmp_path / "plan.json", "--quiet")
    assert result.exit_code == 130 and "nothing was written" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_interrupt_during_the_search_offers_a_plan_that_survives(monkeypatch, tmp_path):
    from planner.solve.search import Search

    original, calls = Search.broken_whole, []

    def once(self, purchases, tried):
        calls.append(len(self.p.failures) > 1)
        if calls[-1] and sum(calls) == 1:  # the first whole plan of the search with goals
            raise KeyboardInterrupt
        return original(self, purchases, tried)

    monkeypatch.setattr(Search, "broken_whole", once)
    out = tmp_path / "plan.json"
    result = call("plan", QUICKSTART, "--out", out, "--quiet")
    assert result.exit_code == 1 and "not proven" in result.stderr and "not reproducible" in result.stderr
    monkeypatch.undo()
    plan = read_plan(out)
    assert plan.proof.status == "stopped" and plan.proof.gap_fraction > 0
    assert call("audit", out).exit_code == 0, "it is a whole plan all the same"
    assert call("drill", out, "--quiet").exit_code == 0


# ------------------------------------------------------------------ hostile names
HOSTILE = [
    "a 'b' \"c\"",
    "../../etc",
    "${file(x)}",
    "{{ lookup }}",
    "[red]evil[/red]",
    "<script>",
    "=1+1",
    "a|b",
    "é" * 150,
]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_data(name, tmp_path):
    study = write_study(tmp_path / "study", study=name)
    out = tmp_path / "plan.json"
    result = call("plan", study, "--out", out, "--quiet")
    assert result.exit_code in (0, 1), result.output
    assert read_plan(out).study.study == name
    shown = call("review", out)
    assert name in shown.stdout.replace("\n", ""), "text shows it as it is"
    assert call("review", out, "--format", "md").exit_code == shown.exit_code
    assert "<script>" not in call("review", out, "--format", "md").stdout


# ------------------------------------------------------------------ docs
def test_generated_pages_are_fresh():
    from planner.cli.pages import PAGES

    for page, text in PAGES.items():
        assert (ROOT / "docs" / page).read_text(encoding="utf-8") == text(), f"python -m planner.cli.pages docs: {page}"


def test_the_readme_shows_real_output(planned):
    import goldens

    made_with = goldens.MADE_WITH.search((ROOT / "README.md").read_text(encoding="utf-8"))
    assert made_with and made_with[0] == goldens.locked()
    if why := goldens.other_versions():
        pytest.skip(why)
    assert goldens.in_readme() == goldens.picture(planned[1].stdout), "python tests/goldens.py"


def test_the_answer_of_the_quickstart_is_the_recorded_one(planned):
    import answers

    plan = read_plan(planned[0])
    assert answers.changes(plan, json.loads(answers.RECORDED.read_text())[plan.study.study]) == []


def test_links_in_docs_lead_somewhere():
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), (page.name, target)


def test_no_plan_within_the_budget_says_what_would_be_enough(tmp_path):
    study = shutil.copytree(QUICKSTART, tmp_path / "study")
    text = (study / "study.yaml").read_text()
    (study / "study.yaml").write_text(text.replace("policies:\n", "policies:\n  budget_usd: 30000000\n"))
    result = call("plan", study, "--quiet", "--no-relax")
    assert result.exit_code == 1
    assert "keeps within the budget of 30,000,000 USD" in result.stderr and "would help: a budget of 4" in result.stderr


def test_coverage_says_what_the_figures_rest_on():
    result = call("check", QUICKSTART, "--coverage", "--format", "json")
    sections = json.loads(result.stdout)["sections"]
    assert result.exit_code == 0
    assert {row["provider"] for row in sections["prices"]} == {"aws", "azure", "google", "owned"}
    assert sum(n for row in sections["round trips"] for how, n in row.items() if how != "provider") == 6 * 19
    assert len(sections["no price"]) == 88


@pytest.mark.parametrize("command", ["plan", "ladder", "whatif"])
@pytest.mark.parametrize(
    ("gap", "cure"),
    [
        ("1", "write --gap 1% or --gap 0.01 if percent were meant"),
        ("2.5", "write --gap 2.5% or --gap 0.025"),
        ("100%", "write --gap 2%"),
        ("-1%", "write --gap 2%"),
        ("small", "write --gap 2%"),
        ("nan", "write --gap 2%"),
    ],
)
def test_a_gap_of_all_is_told_how_percent_are_written(command, gap, cure):
    more = ["--set", "demand=x1.1"] if command == "whatif" else []
    result = call(command, QUICKSTART, f"--gap={gap}", *more)
    assert result.exit_code == 2 and f"--gap\n  expected a share from 0 % to below 100 %, got '{gap}'" in result.stderr
    assert cure in result.stderr


def test_a_gap_may_be_written_in_percent(tmp_path):
    path = write_study(tmp_path)
    for n, gap in enumerate(("4%", "4 %", "0.04")):
        out = tmp_path / f"{n}.json"
        assert call("plan", path, "--gap", gap, "--out", out, "--quiet").exit_code == 0
    plans = [read_plan(tmp_path / f"{n}.json") for n in range(3)]
    assert {plan.proof.gap_asked_fraction for plan in plans} == {0.04}
