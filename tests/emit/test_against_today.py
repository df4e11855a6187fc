"""`planner review --against-today`: what a plan adds, changes and removes against what runs, and what that costs."""

import json

import pytest
from emitting import planned, two_sites
from typer.testing import CliRunner

from planner.cli.main import app
from planner.emit.actual import Actual, read_actual
from planner.emit.against_today import NOT_KNOWN, ON_SPOT, against_today, today_by_contract
from planner.emit.counts import Uncounted
from planner.emit.fleet import fleet_of
from planner.plan.file import plan_text
from planner.review.against_today import review_against_today
from planner.review.render import render

HOURS = 730
PLAN = two_sites()
P5, TRN1 = "aws/us-east-1/p5.48xlarge", "aws/eu-north-1/trn1.32xlarge"
RUNNING = {r.placement: r.replicas for r in PLAN.replicas}


def rows(against, what="machines"):
    steps = [step for step in against.steps if step.what == what]
    return {(step.of, step.contract): (step.action, step.today, step.planned, step.usd_per_month) for step in steps}


def test_nothing_to_do():
    same = against_today(PLAN, Actual({"aws/a/m": 1, "aws/b/m": 2}, RUNNING, {"aws/a/m": 1}))
    assert same.same and same.steps == () and same.usd_per_month == 0
    text = render(review_against_today(same, "p"), "text")
    assert text.rstrip().endswith("Plan: 0 to add, 0 to change, 0 to remove.")


def test_machines_by_contract_in_usd_a_month():
    # 3 USD/h on demand at a; two are held at b, of which one runs: it is paid already
    against = against_today(PLAN, Actual({"aws/b/m": 1}, None, None))
    assert rows(against) == {
        ("aws/a/m", "on_demand"): ("add", 0, 1, 3 * HOURS),
        ("aws/b/m", "held"): ("change", 1, 2, 0),
    }
    assert against.usd_per_month == 3 * HOURS and against.not_compared == ("reservations", "replicas", "quotas")


def test_what_runs_beyond_the_plan_is_removed_at_the_rate_on_demand():
    against = against_today(PLAN, Actual({"aws/a/m": 1, "aws/b/m": 5}, None, None))
    assert rows(against) == {("aws/b/m", NOT_KNOWN): ("remove", 3, 0, -3 * 3 * HOURS)}
    assert [against.count(action) for action in ("add", "change", "remove")] == [0, 0, 1]


def test_spot_in_place_of_a_commitment_is_removed_and_the_commitment_added():
    against = against_today(planned(), Actual({P5: 3, TRN1: 2}, None, None, on_spot={P5: 3, TRN1: 2}))
    made = {key: value[:3] for key, value in rows(against).items() if key[0] in (P5, TRN1)}
    assert made == {(P5, "commitment"): ("add", 0, 3), (P5, ON_SPOT): ("remove", 3, 0)}
    assert against.without_price == 1  # of spot there


def test_replicas_by_placement():
    runs = next(e for e, n in RUNNING.items() if n)
    actual = Actual(None, {runs: 0, "m/old@aws/a/m": 2}, None, uncounted=(Uncounted("pods", runs, 1, "not ready"),))
    against = against_today(PLAN, actual)
    wanted = {(e, ""): ("add", 0, n, None) for e, n in RUNNING.items() if n}
    assert rows(against, "replicas") == {**wanted, ("m/old@aws/a/m", ""): ("remove", 2, 0, None)}
    assert next(step.detail for step in against.steps if step.of == runs) == "pods: not ready (1)"


def test_machines_out_of_service_are_mended_not_bought():
    broken = (Uncounted("nodes out of service", "aws/b/m", 1, "cordoned"),)
    against = against_today(
        PLAN, Actual({"aws/a/m": 1, "aws/b/m": 1}, None, None, existing={"aws/b/m": 2}, uncounted=broken)
    )
    assert rows(against) == {("aws/b/m", "held"): ("change", 2, 2, 0)}
    assert against.steps[0].detail == "out of service: cordoned (1)"


def test_nodes_that_are_no_machines_of_the_plan_are_removed():
    other = (Uncounted("nodes of another type", "aws/b/m", 2, "m7i.large"),)
    actual = Actual(
        {"aws/a/m": 1, "aws/b/m": 2},
        None,
        None,
        {"nodes of old": "machines", "pods of x": "replicas"},
        {"aws/b/m": 4},
        uncounted=other,
    )
    against = against_today(PLAN, actual)
    assert rows(against) == {
        ("nodes of old", ""): ("remove", None, 0, None),
        ("aws/b/m", "m7i.large"): ("remove", 2, 0, None),
    }
    assert rows(against, "replicas") == {("pods of x", ""): ("remove", None, 0, None)}
    assert [(d.kind, d.subject, d.actual) for d in against.notes] == [("unlabelled nodes", "aws/b/m", 4)]


def test_idle_reservations_are_paid_already():
    # 1 machine on demand more, for which a reservation is paid today: nothing more
    against = against_today(PLAN, Actual({"aws/b/m": 2}, None, {"aws/a/m": 1}))
    assert rows(against) == {("aws/a/m", "on_demand"): ("add", 0, 1, 3 * HOURS)}
    assert (against.idle_usd_per_month, against.usd_per_month) == (3 * HOURS, 0)
    # 3 reserved, 1 planned and running: two are given back
    less = against_today(PLAN, Actual({"aws/a/m": 1, "aws/b/m": 2}, None, {"aws/a/m": 3}))
    assert rows(less, "reservations") == {("aws/a/m", ""): ("change", 3, 1, None)}
    assert less.usd_per_month == -2 * 3 * HOURS


def test_reservations_alone_save_nothing_that_is_known():
    actual = Actual(None, None, {"aws/a/m": 3}, running_inside={"aws/a/m": 0})
    assert against_today(PLAN, actual).usd_per_month == 0


def test_the_order_of_files_and_lists_makes_no_difference(tmp_path):
    nodes = []
    for i, (pool, label) in enumerate([("aws-a-m", "m"), ("old", "m"), ("older", "m"), ("aws-b-m", "n")]):
        slugs = {"aws-a-m": fleet_of(PLAN).pool_name["aws/a/m"], "aws-b-m": fleet_of(PLAN).pool_name["aws/b/m"]}
        labels = {"capacity-planner/pool": slugs.get(pool, pool), "node.kubernetes.io/instance-type": label}
        ready = {"conditions": [{"type": "Ready", "status": "True"}]}
        nodes.append({"kind": "Node", "metadata": {"uid": f"{i}", "labels": labels}, "status": ready})
    texts = set()
    for order in (nodes, nodes[::-1]):
        paths = [tmp_path / "a.json", tmp_path / "b.json"]
        for path, items in zip(paths, (order[:2], order[2:]), strict=True):
            path.write_text(json.dumps({"items": items}))
        for files_in_order in (paths, paths[::-1]):
            against = against_today(PLAN, read_actual(files_in_order, PLAN))
            texts.add(render(review_against_today(against, "p"), "json"))
    assert len(texts) == 1 and against.count("remove") == 3


def test_unknown_contracts_are_the_plan_s_own_as_far_as_they_go():
    lots = [lot for lot in fleet_of(planned()).lots if lot.pool.startswith("azure/eastus2/Standard_ND")]
    held, bought = (next(lot.id for lot in lots if (lot.kind == "held") == is_held) for is_held in (True, False))
    unknown = today_by_contract(lots, 5, 0, {})
    assert unknown == {held: 2, bought: 3, ON_SPOT: 0, NOT_KNOWN: 0}
    assert today_by_contract(lots, 9, 0, {bought: 8}) == {held: 1, bought: 8, ON_SPOT: 0, NOT_KNOWN: 0}
    assert today_by_contract(lots, 10, 1, {}) == {held: 2, bought: 6, ON_SPOT: 1, NOT_KNOWN: 1}


@pytest.fixture
def files(tmp_path):
    (tmp_path / "plan.json").write_text(plan_text(PLAN), encoding="utf-8")
    (tmp_path / "same.csv").write_text("pool,machines\naws/a/m,1\naws/b/m,2\n")
    (tmp_path / "less.csv").write_text("pool,machines\naws/b/m,4\n")
    return tmp_path


def run(*words):
    return CliRunner().invoke(app, ["review", *map(str, words)])


def test_the_command_its_formats_and_exit_codes(files):
    plan, same, less = (files / name for name in ("plan.json", "same.csv", "less.csv"))
    assert run(plan, "--against-today", same).exit_code == 0
    done = run(plan, "--against-today", less)
    assert done.exit_code == 1
    assert done.output.rstrip().splitlines()[-1].strip() == "Plan: 1 to add, 0 to change, 1 to remove."
    assert run(plan, "--against-today", less).output == done.output
    data = json.loads(run(plan, less, "--against-today", "--format", "json").stdout)
    assert data["sections"]["against today"]["steps"] == {"add": 1, "change": 0, "remove": 1}
    assert [step["action"] for step in data["sections"]["machines"]] == ["add", "remove"]
    assert data["sections"]["in one line"] == "Plan: 1 to add, 0 to change, 1 to remove." and not data["good"]
    markdown = run(plan, "--against-today", less, "--format", "md").stdout
    assert "| + add | aws/a/m | on\\_demand | 0 | 1 | +2,190 |" in markdown


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["same.csv"], "expected one plan, or --against-today with files of what runs"),
        (["--against-today"], "expected files of what runs, got none"),
        (["--against-today", "nothing.csv"], "no such file"),
    ],
)
def test_what_goes_together(files, words, message):
    done = run(files / "plan.json", *(files / word if word.endswith("csv") else word for word in words))
    assert done.exit_code == 2 and message in " ".join(done.output.split())


def test_a_quota_that_is_too_small_is_something_to_do(files):
    quotas = files / "quotas.csv"
    quotas.write_text("provider,where,quota,limit\naws,a,m,0\n")
    done = run(files / "plan.json", "--against-today", files / "same.csv", quotas)
    assert done.exit_code == 1 and "QUOTAS" in done.output
    assert done.output.rstrip().endswith("Plan: 0 to add, 0 to change, 0 to remove.")
