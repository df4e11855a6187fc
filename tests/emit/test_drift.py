"""Drift: what runs against the plan, from each kind of file, and the goals that break."""

import json
from datetime import date

import pytest
from emitting import HELD, POOLS, planned, two_sites
from typer.testing import CliRunner

from planner.emit.actual import Actual, read_actual
from planner.emit.against_today import against_today
from planner.emit.drift import drift
from planner.emit.fleet import fleet_of
from planner.emit.kubernetes import files as manifests
from planner.emit.names import slug
from planner.emit.replay import drill_actual
from planner.errors import InputError
from planner.plan.file import plan_text
from planner.questions.shortfalls import cost_of_being_late
from planner.review.against_today import review_against_today
from planner.review.drift import review_drift
from planner.review.render import render
from planner.study.records.serving import Qualification
from planner.study.records.study import Horizon, Hour, Period

DAY = date(2026, 6, 1)
TOTAL = {q: n + HELD.get(q, 0) for q, (*_, n) in POOLS.items()}


PLAN = two_sites()
PLACED = ["m/m-cuda@aws/a/m", "m/m-cuda@aws/b/m"]
AS_PLANNED = Actual({"aws/a/m": 1, "aws/b/m": 2}, {r.placement: r.replicas for r in PLAN.replicas}, {"aws/a/m": 1})


def kinds(found):
    return {(d.kind, d.subject): (d.planned, d.actual) for d in found.differences if not d.note}


def test_nothing_has_drifted():
    assert [(b.offer, b.units) for b in PLAN.purchases if b.units] == [("aws/a/m:on_demand", 1)]
    found = drift(PLAN, AS_PLANNED, DAY)
    assert not found.any and kinds(found) == {} and found.compared == ("machines", "reservations", "replicas")


def test_a_missing_machine_breaks_the_goal_that_it_serves():
    found = drift(PLAN, Actual({"aws/a/m": 0, "aws/b/m": 2}, None, None), DAY)
    assert kinds(found) == {("missing machines", "aws/a/m"): (1, 0)}
    (goal, *_) = [b for b in found.goals if b.goal is not None]
    assert goal.failures == ("site:aws/b",) and goal.served_fraction == 0.0


def test_a_missing_spare_breaks_no_goal_and_is_told():
    found = drift(PLAN, Actual({"aws/a/m": 1, "aws/b/m": 1}, None, None), DAY)
    assert kinds(found) == {("missing spares", "aws/b/m"): (2, 1)} and found.any


def test_spot_in_place_of_what_was_bought_serves_until_a_failure_comes():
    # the machine at a runs on spot: normal operation stands on it, and the loss of b has nothing to fall back on
    found = drift(PLAN, Actual({"aws/a/m": 1, "aws/b/m": 2}, None, None, on_spot={"aws/a/m": 1}), DAY)
    assert kinds(found) == {
        ("missing machines", "aws/a/m"): (1, 0),
        ("spot machines beyond the plan", "aws/a/m"): (0, 1),
    }
    assert [(b.goal is None, b.failures) for b in found.goals] == [(False, ("site:aws/b",))]
    at_b = drift(PLAN, Actual({"aws/a/m": 1, "aws/b/m": 2}, None, None, on_spot={"aws/b/m": 2}), DAY)
    assert [(b.goal is None, b.failures) for b in at_b.goals] == [(False, ("site:aws/a",))]


def test_what_is_missing_is_missing_in_every_hour():
    """Day and night rent their machines apart: of two planned one runs, in the hour that needs less, too."""
    hours = (Hour(name="day", weight_fraction=0.5), Hour(name="night", weight_fraction=0.5))
    horizon = PLAN.study.horizon.model_copy(update={"hours": hours})
    plan = two_sites(horizon=horizon, holdings=())
    bought = {row.when for row in plan.purchases if row.units}
    assert len(bought) == 2
    none = Actual({"aws/a/m": 0, "aws/b/m": 0}, None, None)
    replayed = drill_actual(fleet_of(plan), none, set())
    served = {row.hour: row.served_fraction for row in replayed.rows if row.failure == "normal"}
    assert len(served) == 2 and set(served.values()) == {0.0}


def test_missing_replicas_are_counted_and_replayed():
    found = drift(PLAN, Actual(None, {PLACED[1]: 1}, None), DAY)
    wanted = {r.placement: r.replicas for r in PLAN.replicas if r.replicas}
    missing = {("missing replicas", e): (n, 0) for e, n in wanted.items() if e != PLACED[1]}
    assert {k: v for k, v in kinds(found).items() if k[0] == "missing replicas"} == missing


def test_idle_reservations_cost_what_they_cost():
    # 4 reserved, 1 runs: 3 idle at 3 USD/h and 730 h
    found = drift(PLAN, Actual({"aws/a/m": 1, "aws/b/m": 2}, None, {"aws/a/m": 4}), DAY)
    (idle,) = [d for d in found.differences if d.kind == "idle reservation"]
    assert (idle.planned, idle.actual, idle.usd_per_month) == (1, 4, 3 * 3 * 730)
    report = review_drift(found, "test")
    assert not report.good and report.data["usd_per_month"] == 6570.0


def test_a_reservation_in_which_nothing_runs_is_idle():
    found = drift(PLAN, Actual({"aws/a/m": 0, "aws/b/m": 2}, None, {"aws/a/m": 1}), DAY)
    (idle,) = [d for d in found.differences if d.kind == "idle reservation"]
    assert (idle.planned, idle.actual, idle.usd_per_month) == (1, 1, 3 * 730) and idle.detail == "0 machines run in it"


def test_held_machines_run_in_no_reservation():
    # 4 are reserved at b, where 2 are held: of 3 machines that run one is in the reservation
    found = drift(PLAN, Actual({"aws/a/m": 1, "aws/b/m": 3}, None, {"aws/a/m": 1, "aws/b/m": 4}), DAY)
    (idle,) = [d for d in found.differences if d.kind == "idle reservation"]
    assert (idle.subject, idle.usd_per_month, idle.detail) == ("aws/b/m", 4 * 3 * 730, "1 machines run in it")


def test_an_empty_list_is_of_what_its_file_says(tmp_path):
    for name, kind in (("nodes.json", "machines"), ("pods.json", "replicas")):
        path = tmp_path / name
        path.write_text('{"kind": "List", "items": []}')
        assert getattr(read_actual([path], PLAN), kind) == {}
        assert drift(PLAN, read_actual([path], PLAN), DAY).any
    nameless = tmp_path / "what.json"
    nameless.write_text('{"kind": "List", "items": []}')
    with pytest.raises(InputError, match="an empty list"):
        read_actual([nameless], PLAN)


def test_files_that_count_nothing_are_no_evidence_that_all_is_as_planned(tmp_path):
    path = tmp_path / "now.csv"
    path.write_text("pool,machines\n")
    with pytest.raises(InputError, match="what runs today, got nothing that is counted"):
        read_actual([path], PLAN)


def test_what_is_about_to_be_destroyed_does_not_run(tmp_path):
    cell = next(c.name for c in fleet_of(PLAN).cells("aws") if c.lot.pool == "aws/a/m")
    group = {"attributes": {"scaling_config": [{"desired_size": 2}]}, "index_key": cell}
    state = {"resources": [{"type": "aws_eks_node_group", "instances": [{**group, "deposed": "d1"}]}]}
    path = tmp_path / "state.json"
    path.write_text(json.dumps(state))
    assert read_actual([path], PLAN).machines == {}
    state["resources"][0]["instances"] = [group]
    path.write_text(json.dumps(state).replace(": 2}", ": 1e999}"))
    with pytest.raises(InputError, match="JSON numbers of ordinary size"):
        read_actual([path], PLAN)


HIRED = {(b.offer, b.when) for b in PLAN.purchases if b.offer == "aws/a/m:on_demand"}


def test_the_cost_of_being_late():
    (normal,) = [s for s in PLAN.states if s.failure == "normal"]
    at_a = sum(v for e, v in zip(normal.placement, normal.requests_per_second, strict=True) if "@aws/a" in e)
    late = cost_of_being_late(PLAN, HIRED)
    # 1 USD a request, 86,400 s a day
    assert late.usd_per_day == pytest.approx(at_a * 86_400)
    assert "t: any site lost, 100 % within 60 s" in {b.text for b in late.goals}
    moved = normal.model_copy(update={"placement": (PLACED[0],) * len(normal.placement)})
    other = cost_of_being_late(PLAN.model_copy(update={"states": (moved,)}), HIRED)
    assert other.usd_per_day == pytest.approx(10 * 86_400)
    assert cost_of_being_late(PLAN, {("no-such-offer", "ever")}).goals == ()


def test_machines_beyond_the_plan_cost_too():
    found = drift(PLAN, Actual({"aws/a/m": 3, "aws/b/m": 2}, None, None), DAY)
    (more,) = found.differences
    assert (more.kind, more.usd_per_month, found.goals) == ("machines beyond the plan", 2 * 3 * 730, ())


def test_where_no_price_is_known_that_is_said():
    there = PLAN.study.model_copy(update={"prices": ()})
    found = drift(PLAN.model_copy(update={"study": there}), Actual({"aws/a/m": 2, "aws/b/m": 2}, None, None), DAY)
    assert [(d.usd_per_month, d.detail) for d in found.differences] == [(0.0, "no price in the plan")]


def test_an_expired_qualification_breaks_what_it_serves():
    (m,) = PLAN.study.models
    until = (Qualification(**{**m.qualifications[0].model_dump(), "until": date(2026, 3, 1)}),)
    there = PLAN.study.model_copy(update={"models": (m.model_copy(update={"qualifications": until}),)})
    plan = PLAN.model_copy(update={"study": there})
    assert not drift(plan, AS_PLANNED, date(2026, 3, 1)).any
    found = drift(plan, AS_PLANNED, date(2026, 3, 2))
    assert kinds(found) == {("expired qualification", "m on cuda"): (None, None)}
    assert {b.goal is None for b in found.goals} == {True, False}


def test_old_figures_are_noted_and_are_no_drift():
    found = drift(PLAN, AS_PLANNED, date(2027, 2, 1))
    notes = {d.subject for d in found.differences if d.note}
    assert notes == {"price of aws/a/m:on_demand", "speed of m/m-cuda, short"} and not found.any
    assert not any(d.note for d in drift(PLAN, AS_PLANNED, date(2027, 1, 31)).differences)


# Files


def state(*instances):
    made = {}
    for kind, index, attributes in instances:
        made.setdefault(kind, []).append({"index_key": index, "attributes": attributes})
    resources = [{"mode": "managed", "type": kind, "instances": found} for kind, found in made.items()]
    return {"version": 4, "terraform_version": "1.11.4", "resources": resources}


def test_terraform_state(tmp_path):
    fleet = fleet_of(planned())
    rows = []
    for cloud, kind in (
        ("aws", "aws_eks_node_group"),
        ("google", "google_container_node_pool"),
        ("azure", "azurerm_kubernetes_cluster_node_pool"),
    ):
        for cell in fleet.cells(cloud):
            n = cell.machines
            rows.append(
                (kind, cell.name, {"node_count": n, "scaling_config": [{"desired_size": n, "max_size": n + 5}]})
            )
    (p5,) = [c for c in fleet.cells("aws") if c.lot.pool.endswith("p5.48xlarge")]
    rows.append(("aws_ec2_capacity_reservation", p5.name, {"instance_count": 7}))
    rows.append(("aws_eks_node_group", "somebody-elses", {"node_group_name": "web"}))
    rows.append(("aws_vpc", "x", {}))
    (tmp_path / "s.json").write_text(json.dumps(state(*rows)))
    actual = read_actual([tmp_path / "s.json"], planned())
    assert actual.machines == TOTAL and actual.reserved == {p5.lot.pool: 7} and actual.replicas is None
    assert (actual.strange, actual.foreign) == ({}, {"aws_eks_node_group web": 1})


def node(pool, ready="True"):
    return {
        "kind": "Node",
        "metadata": {"name": "n", "labels": {"capacity-planner/pool": fleet_of(planned()).pool_name[pool]}},
        "status": {"conditions": [{"type": "Ready", "status": ready}]},
    }


def pod(placement, ready="True", **labels):
    return {
        "kind": "Pod",
        "metadata": {"name": "p", "labels": {"capacity-planner/placement": slug(placement), **labels}},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]},
    }


def test_lists_of_nodes_and_pods(tmp_path):
    rack, p5 = "owned/hall-1/gb200-nvl72", "aws/us-east-1/p5.48xlarge"
    nodes = (
        [node(p5)] * 3
        + [node(p5, "False")]
        + [node(rack)] * (2 * 18 - 1)
        + [{"kind": "Node", "metadata": {"name": "x"}}]
    )
    e = planned().replicas[0].placement
    pods = [pod(e), pod(e), pod(e, "False"), pod(e, **{"leaderworkerset.sigs.k8s.io/worker-index": "1"})]
    (tmp_path / "nodes.json").write_text(json.dumps({"kind": "List", "items": nodes}))
    (tmp_path / "pods.json").write_text(json.dumps({"kind": "List", "items": pods}))
    actual = read_actual([tmp_path / "nodes.json", tmp_path / "pods.json"], planned())
    assert actual.machines == {p5: 3, rack: 1}  # 35 of the 36 nodes of two racks
    assert actual.replicas == {e: 2}


def bare_node(machine, **labels):
    return {"kind": "Node", "metadata": {"name": "n", "labels": {"node.kubernetes.io/instance-type": machine} | labels}}


def test_nodes_of_a_planned_type_without_our_label_are_mentioned_and_not_counted(tmp_path):
    p5, tpu = "aws/us-east-1/p5.48xlarge", "google/us-east5-a/ct6e-standard-8t"
    region, zone = "topology.kubernetes.io/region", "topology.kubernetes.io/zone"
    nodes = [
        node(p5),
        bare_node("p5.48xlarge", **{region: "us-east-1", zone: "us-east-1a"}),
        bare_node("p5.48xlarge", **{region: "us-east-1", zone: "us-east-1b"}),
        bare_node("ct6e-standard-8t", **{region: "us-east5"}),
        bare_node("p5.48xlarge", **{region: "mars-1"}),
        bare_node("p5.48xlarge"),
        bare_node("m7i.large", **{region: "us-east-1"}),
        {"kind": "Node", "metadata": {"name": "x"}},
    ]
    (tmp_path / "nodes.json").write_text(json.dumps({"kind": "List", "items": nodes}))
    actual = read_actual([tmp_path / "nodes.json"], planned())
    assert actual.machines == {p5: 1}
    lost = {"p5.48xlarge in mars-1": 1, "p5.48xlarge in a place that no label says": 1}
    assert actual.unlabelled == {p5: 2, tpu: 1} | lost
    found = {d.subject: d for d in drift(planned(), actual, DAY).differences if d.kind == "unlabelled nodes"}
    assert set(found) == {p5, tpu, *lost}
    assert (found[p5].planned, found[p5].actual) == (TOTAL[p5], 2)
    assert f"capacity-planner/pool={fleet_of(planned()).pool_name[p5]}" in found[p5].detail


def test_groups_and_reservations_that_are_not_ours_are_named_with_what_they_hold(tmp_path):
    group = {"node_group_name": "gpu", "instance_types": ["p5.48xlarge"], "scaling_config": [{"desired_size": 4}]}
    resources = [
        {"type": "aws_eks_node_group", "name": "gpu", "instances": [{"attributes": group}]},
        {
            "type": "aws_ec2_capacity_reservation",
            "name": "held",
            "instances": [{"attributes": {"instance_type": "p5.48xlarge", "instance_count": 4}}],
        },
        {"type": "google_container_node_pool", "name": "pool", "instances": [{"attributes": {"node_count": 2}}]},
    ]
    (tmp_path / "state.json").write_text(json.dumps({"version": 4, "resources": resources}))
    actual = read_actual([tmp_path / "state.json"], planned())
    assert actual.strange == {} and set(actual.foreign) == {
        "aws_eks_node_group gpu (4 of p5.48xlarge)",
        "aws_ec2_capacity_reservation held (4 of p5.48xlarge)",
        "google_container_node_pool pool",
    }


def test_items_of_a_list_that_lack_what_they_are_are_named_one_by_one(tmp_path):
    whole = node("aws/us-east-1/p5.48xlarge")
    items = [whole, {k: v for k, v in whole.items() if k != "kind"}, {"kind": "Node", "status": {}}, 3]
    (tmp_path / "nodes.json").write_text(json.dumps({"kind": "List", "items": items}))
    with pytest.raises(InputError) as refused:
        read_actual([tmp_path / "nodes.json"], planned())
    where = [finding.where.partition("nodes.json: ")[2] for finding in refused.value.findings]
    assert where == ["items[1]: kind", "items[2]: metadata", "items[3]"]
    assert "it has metadata, status" in refused.value.findings[0].got and "KeyError" not in str(refused.value)
    (tmp_path / "state.json").write_text(json.dumps({"resources": [{"instances": [{}]}]}))
    with pytest.raises(InputError, match="without the field 'type'"):
        read_actual([tmp_path / "state.json"], planned())


def test_labels_are_those_that_the_manifests_ask_for():
    text = "".join(manifests(planned(), {}).values())
    assert all(f'"capacity-planner/placement": "{slug(r.placement)}"' in text for r in planned().replicas)
    assert all(f'"capacity-planner/pool": "{name}"' in text for name in fleet_of(planned()).pool_name.values())


def test_csv(tmp_path):
    (tmp_path / "a.csv").write_text("pool,machines,profile,replicas\naws/a/m,1,m/m-cuda,1\naws/b/m,2,,\n")
    actual = read_actual([tmp_path / "a.csv"], PLAN)
    assert actual.machines == {"aws/a/m": 1, "aws/b/m": 2} and actual.replicas == {PLACED[0]: 1}


def test_tables_add_up_and_the_same_table_counts_once(tmp_path):
    one, other = tmp_path / "a.csv", tmp_path / "b.csv"
    one.write_text("pool,machines,profile,replicas\naws/a/m,12,m/m-cuda,3\n")
    other.write_text("pool,machines,profile,replicas\naws/a/m,12,m/m-cuda,4\naws/a/m,12,,\n")
    both = read_actual([one, other, tmp_path / "." / "a.csv"], PLAN)
    assert (both.machines, both.replicas, both.repeated) == ({"aws/a/m": 24}, {PLACED[0]: 7}, {"tables": 1})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "pools,machines\n"),
        ("a.csv", "pool,machines\naws/a/n,1\n"),
        ("a.csv", "pool,machines\naws/a/m,-1\n"),
        ("a.csv", "pool,machines\naws/a/m,1\naws/a/m,2\n"),
        ("a.csv", "pool,machines,profile,replicas\naws/a/m,1,x/y,1\n"),
        ("a.csv", "pool,machines,profile,replicas\naws/a/m,1,m/m-cuda,2\n"),
        ("a.json", "{"),
        ("a.json", "[]"),
        ("a.json", "{}"),
        ("a.json", '{"items": [{"kind": "Service"}]}'),
        ("a.json", '{"items": [3]}'),
        ("a.json", '{"resources": [3]}'),
        ("a.json", "[" * 100_000),
    ],
)
def test_bad_files_get_an_answer(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError):
        read_actual([tmp_path / name], PLAN)


def test_the_command_and_its_exit_codes(tmp_path):
    from planner.cli.main import app

    plan, good, bad = tmp_path / "plan.json", tmp_path / "good.csv", tmp_path / "bad.csv"
    plan.write_text(plan_text(PLAN), encoding="utf-8")
    good.write_text("pool,machines\naws/a/m,1\naws/b/m,2\n")
    bad.write_text("pool,machines\naws/b/m,2\n")

    def run(*arguments):
        return CliRunner().invoke(app, ["drift", str(plan), *map(str, arguments), "--on", "2026-06-01"])

    assert run(good).exit_code == 0 and "everything is as planned" in run(good).output
    drifted = run(bad, "--format", "json")
    assert drifted.exit_code == 1
    data = json.loads(drifted.stdout)
    assert [d["kind"] for d in data["differences"]] == ["missing machines"] and data["goals_broken"]
    assert run(tmp_path / "none.csv").exit_code == 2


@pytest.mark.parametrize("words", [["drift"], ["review", "--against-today"]])
def test_a_plan_that_was_edited_is_never_as_planned(tmp_path, words):
    from planner.cli.main import app

    plan, good = tmp_path / "plan.json", tmp_path / "good.csv"
    good.write_text("pool,machines\naws/a/m,1\naws/b/m,3\n")
    held = tuple(holding.model_copy(update={"machines": 3}) for holding in PLAN.study.holdings)
    edited = PLAN.model_copy(update={"study": PLAN.study.model_copy(update={"holdings": held})})
    plan.write_text(plan_text(edited), encoding="utf-8")
    done = CliRunner().invoke(app, [words[0], str(plan), *words[1:], str(good)])
    assert done.exit_code == 1 and "THE PLAN was changed after it was sealed" in done.stdout
    assert "warning: " in done.stderr and "everything is as planned" not in done.stdout
    data = json.loads(CliRunner().invoke(app, [words[0], str(plan), *words[1:], str(good), "--format", "json"]).stdout)
    assert data.get("plan_edited", data.get("sections", {}).get("against today", {}).get("plan_edited")) is True


def test_of_which_period_and_hour_the_plan_is_meant_is_said():
    periods = (Period(name="spring", months=1.0), Period(name="summer", months=1.0))
    horizon = Horizon(start=date(2026, 5, 1), months=2.0, periods=periods)
    plan = two_sites(horizon=horizon)
    rows = [b.model_copy(update={"units": 2}) if b.when.startswith("summer") and b.units else b for b in plan.purchases]
    plan = plan.model_copy(update={"purchases": tuple(rows)})
    runs = Actual({"aws/a/m": 1, "aws/b/m": 2}, None, None)
    for day, detail in ((date(2026, 5, 31), "1 planned in spring"), (date(2026, 6, 1), "")):
        compared = drift(plan, runs, day)
        (missing,) = (d for d in compared.differences if not d.note)
        assert (missing.planned, missing.actual, missing.detail) == (2, 1, detail) and compared.outside_horizon == ""
    most = "the most of any of its 2 periods, spring to summer, as in the emitted files"
    assert f"planned: {most}" in render(review_drift(compared, "test"), "text")
    assert f"plan: {most}" in render(review_against_today(against_today(plan, runs), "test"), "text")


@pytest.mark.parametrize(("day", "side"), [(date(2025, 1, 1), "before"), (date(2028, 6, 1), "after")])
def test_a_day_outside_the_horizon_is_said(day, side):
    report = review_drift(drift(PLAN, AS_PLANNED, day), "test")
    said = f"{day} is {side} the horizon of the plan, 2026-01-01 to 2026-01-31: it plans nothing for that day"
    assert said in render(report, "text") and report.data["outside_horizon"] == said
    assert drift(PLAN, AS_PLANNED, date(2026, 1, 31)).outside_horizon == ""
