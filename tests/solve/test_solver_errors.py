"""Where a solver fails nothing lesser comes of it in silence: an error and no files, or said on the page and stderr."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from buildouts import HALL, hall
from helpers import write_study
from three_sites import three_sites
from typer.testing import CliRunner

from planner.cli.main import app
from planner.emit import limits
from planner.emit.targets import emitted, why_not_proven
from planner.errors import SolverError
from planner.plan.explain import shortage
from planner.plan.file import plan_text, read_plan
from planner.plan.plan import make_plan
from planner.problem.build import build
from planner.questions import bridge, delay_cost, planned
from planner.questions.delay import delays_of
from planner.solve.program import Program
from planner.solve.search import Effort, Stopped
from planner.study.dependencies import NORMAL

ROOT = Path(__file__).parents[2]
ANOTHER_POOL = """
import highspy
other = highspy.Highs()
other.setOptionValue("output_flag", False)
other.setOptionValue("threads", {threads})
other.addVar(0, 1)
other.run()
"""
COMMANDS = """
import sys
from typer.testing import CliRunner
from planner.cli.main import app
study, out = sys.argv[1:]
for words in (
    ["plan", study, "--out", out + "/plan.json"],
    ["review", out + "/plan.json", "--format", "json", "--out", out + "/review.json"],
    ["drill", out + "/plan.json", "--format", "json", "--out", out + "/drill.json"],
    *(["emit", target, out + "/plan.json", "--out", out + "/" + target] for target in ("litellm", "envoy")),
):
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, (words, done.output, done.exception)
"""


def python(*arguments):
    return subprocess.run([sys.executable, *map(str, arguments)], capture_output=True, text=True, cwd=ROOT, timeout=300)


def files_in(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_the_standby_is_there_whatever_pool_of_threads_other_code_has_made(tmp_path):
    goals = [
        ("study.yaml", "tier: bulk", "tier: gold"),
        ("study.yaml", "      - {failure: quake, serve_fraction: 0.5, within_seconds: 600}\n", ""),
    ]
    study = write_study(tmp_path / "study", goals)  # all of which the files survive alone
    pools = {"alone": "", "beside": ANOTHER_POOL.format(threads=2), "beside as many": ANOTHER_POOL.format(threads=0)}
    for name, another_pool in pools.items():
        (tmp_path / name).mkdir()
        done = python("-c", another_pool + COMMANDS, study, tmp_path / name)
        assert done.returncode == 0, done.stderr
        assert files_in(tmp_path / name) == files_in(tmp_path / "alone"), name
    plan = read_plan(tmp_path / "beside/plan.json")
    for target in ("litellm", "envoy"):
        routes = json.loads((tmp_path / "beside" / target / "routing.json").read_text(encoding="utf-8"))["routes"]
        made = {(r["workload"], r["origin"], x["placement"]) for r in routes for level in r["levels"] for x in level}
        moved = 0
        for state in plan.states:
            sent: dict[tuple[str, str], set[str]] = {}
            for w, o, e in zip(state.workload, state.origin, state.placement, strict=True):
                sent.setdefault((w, o), set()).add(e)
            for flow, placements in sent.items():
                assert any((*flow, e) in made for e in placements), (target, state.failure, "no standby in the files")
                moved += state.failure != NORMAL
        assert moved, "some failure moves requests"


@pytest.mark.parametrize(
    "words",
    [
        ("plan", "STUDY", "--format", "json"),
        ("plan", "STUDY"),
        ("review", "PLAN", "--format", "json"),
        ("drill", "PLAN", "--format", "json"),
        ("whatif", "STUDY", "--set", "demand=x1.01", "--format", "json"),
        ("ladder", "STUDY", "--steps", "site", "--format", "json"),
        ("emit", "litellm", "PLAN", "--out", "OUT", "--format", "json"),
    ],
    ids=" ".join,
)
def test_stdout_of_a_fresh_process_is_the_answer_alone(words, tmp_path):
    study, plan = write_study(tmp_path / "study"), tmp_path / "plan.json"
    if "PLAN" in words:
        assert call("plan", study, "--out", plan, "--quiet").exit_code == 0
    paths = {"STUDY": study, "PLAN": plan, "OUT": tmp_path / "out"}
    done = python("-m", "planner", *(paths.get(word, word) for word in words))
    assert done.returncode in (0, 1), done.stderr
    assert isinstance(json.loads(done.stdout), dict)


def test_stdout_stays_clean_when_several_threads_make_the_first_instance():
    code = (
        "import threading\n"
        "from planner.solve.highs_instance import new_highs\n"
        "all_there = threading.Barrier(8)\n"
        "def work():\n"
        "    all_there.wait()\n"
        "    new_highs()\n"
        "threads = [threading.Thread(target=work) for _ in range(8)]\n"
        "[t.start() for t in threads]\n"
        "[t.join() for t in threads]\n"
    )
    for _ in range(3):  # who is first is chance
        done = python("-c", code)
        assert (done.returncode, done.stdout) == (0, ""), done.stderr


# ------------------------------------------------------------------ a solver that fails
def failing(*arguments, **options):
    raise SolverError("HiGHS says nothing")


def stopped(*arguments, **options):
    raise Stopped("HiGHS was slow")


@pytest.fixture(scope="module")
def plan():
    return make_plan(three_sites(), Effort())


@pytest.fixture
def plan_file(plan, tmp_path):
    path = tmp_path / "plan.json"
    path.write_text(plan_text(plan), encoding="utf-8")
    return path


def call(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_no_limits_no_files(plan, plan_file, monkeypatch, tmp_path):
    class Broken(Program):
        def solve(self, *arguments, **options):
            return "nothing found"

    monkeypatch.setattr(limits, "Program", Broken)
    for target in ("litellm", "envoy"):
        with pytest.raises(SolverError, match="limits of gateways"):
            emitted(plan, target, {})
        done = call("emit", target, plan_file, "--out", tmp_path / "out")
        assert done.exit_code == 2 and "limits of gateways" in done.stderr and not (tmp_path / "out").exists()
    done = call("review", plan_file)
    assert done.exit_code == 2 and "limits of gateways" in done.stderr, "nor a page about files that cannot be made"


def test_a_plan_that_fails_its_audit_is_said_not_to_be_drilled(plan):
    bad = plan.model_copy(update={"replicas": plan.replicas[1:]})
    assert "drill: not made, as the audit fails" in why_not_proven(bad)


def test_what_could_not_be_tested_is_not_taken_for_survived(plan, monkeypatch):
    monkeypatch.setattr(Program, "solve", lambda self: "nothing found")
    with pytest.raises(SolverError, match="the search ended with nothing found"):
        shortage(build(plan.study), NORMAL)


@pytest.mark.parametrize("why", [failing, stopped])
def test_a_step_of_a_bridge_that_was_not_found_is_said(why, plan, plan_file, monkeypatch, tmp_path):
    more = tuple(d.model_copy(update={"requests_per_second": 20.0}) for d in plan.study.demand)
    dearer = tuple(p.model_copy(update={"price_usd_per_machine_hour": 9.0}) for p in plan.study.prices)
    machines = tuple(m.model_copy(update={"load_seconds": 1.0}) for m in plan.study.models[0].profiles)
    models = (plan.study.models[0].model_copy(update={"profiles": machines}),)
    other = make_plan(plan.study.model_copy(update={"demand": more, "prices": dearer, "models": models}))
    (tmp_path / "other.json").write_text(plan_text(other), encoding="utf-8")
    assert "not known" not in call("diff", plan_file, tmp_path / "other.json").stderr
    monkeypatch.setattr(planned, "solve", why)
    found = bridge.bridge(plan, other)
    assert found.unsure and set(found.unsure) <= set(found.together)
    done = call("diff", plan_file, tmp_path / "other.json")
    assert done.exit_code == 1 and "HiGHS" in done.stdout and "not known: " in done.stderr and "HiGHS" in done.stderr


def test_a_variant_and_a_rung_whose_search_failed_are_said(monkeypatch, tmp_path):
    study = write_study(tmp_path / "study")
    monkeypatch.setattr(planned, "make_plan", failing)
    done = call("whatif", study, "--set", "demand=x1.01", "--quiet")
    assert done.exit_code == 1 and "HiGHS says nothing" in done.stdout and "not known: " in done.stderr
    monkeypatch.setattr(planned, "make_plan", failing)
    done = call("ladder", study, "--steps", "site", "--quiet")
    assert done.exit_code == 1 and "HiGHS says nothing" in done.stdout and "not known: any site: HiGHS" in done.stderr


def test_known_late_tells_no_plan_from_not_found(monkeypatch):
    plan = make_plan(hall())
    (asked,) = delays_of(plan, what=(f"{HALL}/m:build_out",), months=(3.0,))
    monkeypatch.setattr(planned, "solve", failing)
    late = delay_cost.known_late(plan, asked, None, Effort(), lambda *told: None)
    assert late.usd is None and late.unsure == "HiGHS says nothing"


def test_a_comparison_that_was_not_found_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr("planner.plan.plan._on_equal_terms", lambda *given: None)
    done = CliRunner().invoke(app, ["plan", str(write_study(tmp_path)), "--quiet", "--out", str(tmp_path / "p.json")])
    assert "on equal terms not known" in " ".join(done.stdout.split())
    assert "on equal terms is not known" in " ".join(done.stderr.split())
