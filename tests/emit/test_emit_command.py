"""`planner emit`: the gate before it, what it writes and lists, and its exit codes."""

import json
import sys
from pathlib import Path

import pytest
from emitting import every_instrument, planned
from pydantic import ValidationError
from typer.testing import CliRunner

from planner import emit
from planner.cli.console import progress
from planner.cli.main import app
from planner.drill import drill_plan
from planner.emit import common, targets
from planner.emit.actual import read_actual
from planner.emit.fleet import fleet_of
from planner.emit.routing import routing_table
from planner.emit.targets import NOT_PROVEN, TARGETS, Gate, emitted, gate, why_not_proven
from planner.emit.write import MANIFEST
from planner.plan.file import plan_text, sealed
from planner.plan.in_hand import in_hand
from planner.plan.plan import make_plan
from planner.problem.build import build
from planner.solve.search import Effort
from planner.study.records.plan import PlanFile

MINE = ("terraform", "kubernetes", "owned")


@pytest.fixture(scope="module")
def good():
    return make_plan(every_instrument(), Effort(), no_regret=False)


@pytest.fixture
def files_of(tmp_path, good):
    """Paths of a plan that is proven and of one whose numbers were changed by hand."""
    for name, plan in (("good", good), ("bad", planned())):
        (tmp_path / f"{name}.json").write_text(plan_text(plan), encoding="utf-8")
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(app, ["emit", *map(str, arguments)])


def listing(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("target", MINE)
def test_it_writes_lists_and_changes_nothing_the_second_time(files_of, target):
    out = files_of / "out"
    done = run(target, files_of / "good.json", "--out", out)
    assert done.exit_code == 0, done.output
    first = listing(out)
    assert all(path in done.output.replace("\n", "") for path in first if path != MANIFEST and len(path) < 60)
    manifest = json.loads(first[MANIFEST])
    assert set(manifest["files"]) == set(first) - {MANIFEST} and manifest["not_proven"] == []
    again = run(target, files_of / "good.json", "--out", out, "--format", "json")
    assert again.exit_code == 0 and listing(out) == first
    assert {f["kind"] for f in json.loads(again.stdout)["files"]} == {"same"}


def test_help_lists_the_targets_there_are():
    said = " ".join(CliRunner().invoke(app, ["emit", "--help"]).stdout.replace("│", " ").split())
    assert all(f"{name}: {target.about}" in said for name, target in TARGETS.items()) and "or all" in said
    sources = {path.stem: path.read_text("utf-8") for path in Path(emit.__file__).parent.glob("*.py")}
    modules = {f"planner.emit.{name}" for name, text in sources.items() if "\ndef files(" in text}
    assert modules == {target.module for target in TARGETS.values()}


def test_a_dry_run_writes_nothing(files_of):
    done = run("owned", files_of / "good.json", "--out", files_of / "out", "--dry-run")
    assert done.exit_code == 0 and "nothing was written" in done.output and "+++ plan/inventory.json" in done.output
    assert not (files_of / "out").exists()


def test_a_plan_that_fails_its_audit_is_not_emitted_unless_asked(files_of):
    out = files_of / "out"
    refused = run("terraform", files_of / "bad.json", "--out", out)
    assert refused.exit_code == 1 and "audit:" in refused.output and not out.exists()
    told = run("terraform", files_of / "bad.json", "--out", out, "--format", "json")
    assert told.exit_code == 1 and json.loads(told.stdout)["not_proven"]
    done = run("terraform", files_of / "bad.json", "--out", out, "--even-if-unproven")
    assert done.exit_code == 0, done.output
    made = listing(out)
    assert b"audit: " in made[NOT_PROVEN] and b"NOT PROVEN" in made["main.tf.json"]
    assert json.loads(made[MANIFEST])["not_proven"]


def test_a_plan_whose_search_was_stopped_is_not_proven(good):
    assert why_not_proven(good) == ()
    stopped = sealed(good.model_copy(update={"proof": good.proof.model_copy(update={"status": "stopped"})}))
    assert why_not_proven(stopped)[0].startswith("proof: stopped")


def test_a_plan_of_which_the_cost_alone_is_not_proven_says_that_its_goals_hold(good):
    proof = good.proof
    bound = proof.bound_usd - 0.05 * proof.cost_usd
    gap = {"status": "gap", "bound_usd": bound, "gap_fraction": 1 - bound / proof.cost_usd, "lp_bound_usd": bound}
    stopped = sealed(good.model_copy(update={"proof": proof.model_copy(update=gap)}))
    assert len(why_not_proven(stopped)) == 1
    reasons = why_not_proven(stopped)
    for target, page in (("envoy", "RUNBOOK.md"), ("gameday", "README.md")):
        cost = emitted(stopped, target, {}, reasons)[page]
        assert "Its goals hold, as audit and drill say; its cost is not proven to the gap" in cost
        assert "may not survive" not in cost and "audit, proof or drill" not in cost
        more = emitted(stopped, target, {}, (*reasons, "drill: a goal does not hold"))[page]
        assert "This plan may not survive what it says" in more and "Its goals hold" not in more


def test_a_rule_that_the_drill_does_not_know_is_a_warning(good, files_of, monkeypatch):
    def blind(plan, progress=None):
        made = drill_plan(plan, progress=progress)
        object.__setattr__(made, "not_judged", ("most_models",))
        return made

    monkeypatch.setattr(targets, "drill_plan", blind)
    said = "rule most_models of the plan is not known to the drill; its verdict does not cover it"
    assert gate(good) == Gate((), (said,))
    done = run("owned", files_of / "good.json", "--out", files_of / "out", "--dry-run")
    assert done.exit_code == 0 and f"not judged: {said}" in " ".join(done.stderr.split())


def test_a_plan_that_breaks_in_the_drill_is_not_proven(good, monkeypatch):
    monkeypatch.setattr(targets, "audit", lambda plan: type("Audit", (), {"violations": ()})())
    without = good.model_copy(update={"purchases": ()})
    assert any(reason.startswith("drill: t: any site lost, 100 % within 60 s") for reason in why_not_proven(without))


@pytest.mark.parametrize(
    "arguments",
    [("teraform",), ("terraform", "--set", "x"), ("terraform", "--set", "image=x"), ("kubernetes", "--set", "imgae=x"),
     ("kubernetes", "--set", "not_proven=x"), ("owned", "--set", "=x")],
)  # fmt: skip
def test_wrong_input_gets_an_answer(files_of, arguments):
    target, *more = arguments
    done = run(target, files_of / "good.json", "--out", files_of / "out", *more)
    assert done.exit_code == 2 and "fix:" in done.output and not (files_of / "out").exists()


def test_a_setting_arrives(files_of):
    setting = ("--set", "image=registry.example/serve:v1")
    done = run("kubernetes", files_of / "good.json", "--out", files_of / "out", *setting)
    assert done.exit_code == 0
    assert any(b"registry.example/serve:v1" in text for text in listing(files_of / "out").values())


def less(plan):
    """The plan without what it buys in blocks: no ticket is left for them."""
    kept = tuple(b for b in plan.purchases if not b.offer.endswith(":capacity_block"))
    assert len(kept) < len(plan.purchases)
    return sealed(plan.model_copy(update={"purchases": kept}))


def test_stale_files_are_listed_and_removed(files_of, good):
    out = files_of / "out"
    run("terraform", files_of / "good.json", "--out", out)
    (out / "mine.txt").write_text("mine")
    tickets = sorted(path.name for path in (out / "tickets").glob("*.md"))
    (files_of / "less.json").write_text(plan_text(less(good)), encoding="utf-8")
    done = run("terraform", files_of / "less.json", "--out", out, "--even-if-unproven")
    assert done.exit_code == 0 and "stale" in done.output
    assert (out / "mine.txt").exists() and len(list((out / "tickets").glob("*.md"))) < len(tickets)


def test_an_out_folder_of_somebody_else_is_left_alone(files_of):
    out = files_of / "out"
    out.mkdir()
    (out / "main.tf.json").write_text("{}")
    done = run("terraform", files_of / "good.json", "--out", out)
    assert done.exit_code == 2 and listing(out) == {"main.tf.json": b"{}"}


def test_a_folder_of_another_target_is_left_alone(files_of):
    out = files_of / "out"
    assert run("kubernetes", files_of / "good.json", "--out", out).exit_code == 0
    before = listing(out)
    refused = run("owned", files_of / "good.json", "--out", out)
    assert refused.exit_code == 2 and "the files of kubernetes" in refused.output and listing(out) == before


def test_all_targets_stand_in_folders_of_their_own(good):
    made = emitted(good, "all", {})
    assert {path.partition("/")[0] for path in made} == set(TARGETS)


def test_one_problem_is_built_for_the_gate_and_all_targets(good, monkeypatch):
    built = []

    def counted(study, demand="base", with_goals=True):
        built.append(with_goals)
        return build(study, demand, with_goals)

    for module in [module for name, module in sys.modules.items() if name.startswith("planner.")]:
        if getattr(module, "build", None) is build:
            monkeypatch.setattr(module, "build", counted)
    plan = in_hand(good)
    emitted(plan, "all", {}, why_not_proven(plan))
    assert built.count(True) == 1 and built.count(False) == 1  # the audit has one for the plan without goals


@pytest.mark.parametrize("target", TARGETS)
def test_targets_are_pure(good, target):
    assert emitted(good, target, {}) == emitted(good, target, {})


@pytest.mark.parametrize("target", MINE)
def test_no_secret_is_written(good, target, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "do-not-write-this")
    text = "".join(emitted(good, target, {}).values())
    assert "do-not-write-this" not in text and "/etc/" not in text


@pytest.mark.parametrize(
    "path",
    [("purchases", 0, "offer"), ("purchases", 0, "when"), ("replicas", 0, "placement"), ("states", 0, "workload", 0),
     ("study", "pools", 0, "site"), ("study", "workloads", 0, "name"), ("study", "machine_types", 1, "accelerators")],
)  # fmt: skip
@pytest.mark.parametrize("target", MINE)
def test_a_plan_changed_by_hand_gets_an_answer(files_of, good, path, target):
    data = good.model_dump(mode="json", by_alias=True)
    inner = data
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = 1 if path[-1] == "accelerators" else "x"
    (files_of / "odd.json").write_text(json.dumps(data))
    assert run(target, files_of / "odd.json", "--out", files_of / "out").exit_code == 1
    done = run(target, files_of / "odd.json", "--out", files_of / "out", "--even-if-unproven")
    assert done.exit_code in (0, 2) and not isinstance(done.exception, Exception), done.output
    assert (files_of / "out" / NOT_PROVEN).exists() == (done.exit_code == 0)


def test_what_is_too_long_is_refused_before_it_becomes_a_name(good):
    data = good.model_dump(mode="json", by_alias=True)
    data["study"]["sites"][0]["city"] = "x" * 300
    with pytest.raises(ValidationError, match="at most 200"):
        PlanFile.model_validate(data)


def test_counts_read_back_from_terraform_are_those_of_the_plan(good, tmp_path):
    data = json.loads(emitted(good, "terraform", {})["plan.auto.tfvars.json"])
    kinds = {"aws": "aws_eks_node_group", "google": "google_container_node_pool"}
    resources = []
    for cloud, regions in data.items():
        kind = kinds.get(cloud, "azurerm_kubernetes_cluster_node_pool")
        for name, cell in ((n, c) for region in regions.values() for n, c in region["cells"].items()):
            said = {"node_count": cell["machines"], "scaling_config": [{"desired_size": cell["machines"]}]}
            resources.append({"type": kind, "instances": [{"index_key": name, "attributes": said}]})
    (tmp_path / "s.json").write_text(json.dumps({"resources": resources}))
    fleet = fleet_of(good)
    assert read_actual([tmp_path / "s.json"], good).machines == {q: n for q in fleet.pools if (n := fleet.machines(q))}


def test_it_says_which_failures_are_replayed(good):
    seen = []
    emitted(good, "all", {}, (), lambda stage, done, detail: seen.append((done, detail)))
    shares = [done for done, _ in seen]
    assert shares == sorted(shares) and shares[-1] < 1
    replayed = [detail for _, detail in seen if "failures while machines are missing" in detail]
    assert {detail.partition(":")[0] for detail in replayed} == {"terraform"}, "nothing is bought for halls"
    gated = []
    gate(good, lambda done, of: gated.append((done, of)))
    assert gated[-1][0] == gated[-1][1] == len(gated) > 1


def test_limits_are_reckoned_once_for_all_gateways(monkeypatch):
    plan, asked = in_hand(make_plan(every_instrument(), Effort(), no_regret=False)), []
    monkeypatch.setattr(common, "routing_table", lambda *of: asked.append(1) or routing_table(*of))
    emitted(plan, "all", {})
    assert len(asked) == 1
    emitted(plan, "litellm", {"limits": "always"})
    assert len(asked) == 2, "other limits"


def test_a_line_of_progress_estimates_what_is_left(monkeypatch, capsys):
    now = iter([100.0, 100.0, 102.0, 120.0])
    monkeypatch.setattr("planner.cli.progress.time.monotonic", lambda: next(now))
    with progress() as advance:
        for done in (0.0, 0.25, 0.5):
            advance("drilling", done, "so many failures")
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "    2 s  drilling 25%, about 6 s left (estimate)  so many failures",
        "   20 s  drilling 50%, about 20 s left (estimate)  so many failures",
    ]
