"""`planner risk` as a user meets it, with figures that one can do by hand.

The tiny study of `helpers`: 15 chat requests/s (10 london, 5 tokyo) at 0.01 USD each, so 540 USD per hour of outage;
3 batch requests/s without a cost, in a tier without goals. Two pools, one per provider and stack, serve both.
"""

import json
import re
import time
from pathlib import Path

import pytest
import yaml
from helpers import FILES, STUDY, write_study
from typer.testing import CliRunner

from planner.cli.main import app
from planner.plan.file import read_plan
from planner.problem.build import build
from planner.questions.risk.exposure import exposure, running_in
from planner.review.drawing import drawing
from planner.study.read import read_study

ROOT = Path(__file__).parents[2]
runner = CliRunner()
LOGIN = {"name": "login", "kind": "identity", "failures_per_year": 2, "hours_to_repair": 4.0}
GRID = [{"name": "grid", "kind": "power"}, {"name": "spare", "kind": "power"}]


def call(*words):
    return runner.invoke(app, ["risk", *(str(word) for word in words)])


def data_of(*words):
    result = call(*words, "--format", "json")
    assert result.exit_code in (0, 1), result.output
    return result.exit_code, json.loads(result.stdout)["sections"]


def needs(component, **condition):
    return {"component": component, **condition}


def login_study(folder, second=False, breaks=None, **fields):
    """Every workload needs the login service; with `second`, any one of two."""
    own = [*GRID, LOGIN, *([LOGIN | {"name": "login-2"}] if second else [])]
    every = ["identity:login", *(["identity:login-2"] if second else [])]
    more = breaks or {}
    dependencies = [
        needs("workload:chat", needs={"any_of": every}, **more),
        needs("workload:batch", needs={"any_of": every}),
    ]
    return write_study(folder, components=own, dependencies=dependencies, **fields)


def test_login_is_the_single_point_of_failure_of_every_tier_until_there_is_a_second(tmp_path):
    result = call(login_study(tmp_path / "one"))
    assert result.exit_code == 1
    assert "identity login is a single point of failure of every tier: 18 requests/s, 540.00 USD/h" in result.stdout
    _, sections = data_of(tmp_path / "one")
    single = sections["single points of failure"]
    assert [(row["tier"], row["lost"]) for row in single] == [
        ("gold", ["identity:login"]),
        ("bulk", ["identity:login"]),
    ]
    gaps = [row for row in sections["missing"] if row["lost"] == "identity:login"]
    assert {(g["workload"], g["origin"]) for g in gaps} == {("chat", "london"), ("chat", "tokyo"), ("batch", "london")}
    assert all("a second way for workload:" in g["missing"] and not g["promised"] for g in gaps)

    result = call(login_study(tmp_path / "two", second=True))
    assert result.exit_code == 0 and "no single point of failure" in result.stdout
    _, sections = data_of(tmp_path / "two")
    assert sections["single points of failure"] == [] and sections["missing"] == []
    assert ["identity:login", "identity:login-2"] in [row["lost"] for row in sections["pairs"]]


def test_a_promise_that_nothing_covers_is_said_first(tmp_path):
    goals = yaml.safe_load(STUDY)["tiers"]
    goals[0]["survive"] = [{"any": "identity", "within_seconds": 60}]
    result = call(login_study(tmp_path, tiers=goals))
    assert result.exit_code == 1 and "PROMISED AND NOT COVERED by any capacity: 2 cases" in result.stdout
    _, sections = data_of(tmp_path)
    promised = [row for row in sections["missing"] if row["promised"]]
    assert {(row["lost"], row["workload"]) for row in promised} == {("identity:login", "chat")}


def test_new_logins_only_breaks_the_fraction_that_does_not_go_on(tmp_path):
    study = login_study(tmp_path, breaks={"breaks": "new_logins", "sessions_go_on_fraction": 0.6})
    result = call(study)
    assert "chat from everywhere (40 % of it; the rest goes on)" in " ".join(result.stdout.split())
    _, sections = data_of(study)
    gold = sections["single points of failure"][0]
    assert gold["requests_per_second"] == pytest.approx(0.4 * 15)
    assert gold["usd_per_hour"] == pytest.approx(0.4 * 540)
    # 2 failures a year of 4 h, 40 % of 540 USD/h; the goals ask for all of chat, so all 8 hours break one
    gold = sections["expected"]["tiers"][0]
    assert gold == {"tier": "gold", "hours_per_year": pytest.approx(8.0), "usd_per_year": pytest.approx(8 * 0.4 * 540)}
    missing = {row["missing"] for row in sections["missing"] if row["workload"] == "chat"}
    assert all(text.startswith("a second way for workload:chat beside identity:login") for text in missing), missing


def test_new_logins_that_a_goal_tolerates_break_no_goal(tmp_path):
    tiers = yaml.safe_load(STUDY)["tiers"]
    tiers[0]["survive"] = [{"any": "provider", "serve_fraction": 0.5, "within_seconds": 300}]
    breaks = {"breaks": "new_logins", "sessions_go_on_fraction": 0.6}
    _, sections = data_of(login_study(tmp_path, breaks=breaks, tiers=tiers))
    gold = sections["expected"]["tiers"][0]
    assert gold["hours_per_year"] == 0.0, "60 % goes on and 50 % was promised"
    assert gold["usd_per_year"] == pytest.approx(8 * 0.4 * 540), "what is lost is lost all the same"


def test_expected_loss_by_hand(tmp_path):
    """Order 1: frequency times repair. Order 2: the product of two shares of the year. No rate: nothing."""
    own = [*GRID, LOGIN, LOGIN | {"name": "login-2"}, {"name": "dns", "kind": "network"}]
    dependencies = [
        needs("workload:chat", needs={"any_of": ["identity:login", "identity:login-2"]}),
        needs("origin:tokyo", needs={"all_of": ["network:dns"]}),
    ]
    fires = [{"name": "fire", "lost": {"network:dns": 1.0}, "failures_per_year": 0.5, "hours_to_repair": 10}]
    quake = yaml.safe_load(STUDY)["failures"]
    study = write_study(tmp_path, components=own, dependencies=dependencies, failures=[*quake, *fires])
    _, sections = data_of(study)
    both_hours = (2 * 4 / 8760) ** 2 * 8760
    found = {tuple(row["lost"]): row for row in sections["expected"]["sets"]}
    assert set(found) == {("failure:fire",), ("identity:login", "identity:login-2")}
    assert found["failure:fire",]["hours_per_year"] == pytest.approx(5.0)
    assert found["failure:fire",]["usd_per_year"] == pytest.approx(5.0 * 5 * 3600 * 0.01)
    assert found["identity:login", "identity:login-2"]["usd_per_year"] == pytest.approx(both_hours * 540)
    gold = sections["expected"]["tiers"][0]
    assert gold["hours_per_year"] == pytest.approx(5.0 + both_hours)
    assert gold["usd_per_year"] == pytest.approx(5.0 * 180 + both_hours * 540)
    assert "network:dns" in sections["expected"]["no_rate_given"]
    assert "failure:fire" not in sections["expected"]["no_rate_given"]
    text = call(study).stdout
    assert "they fail independently" in text and "no rate given" in text and "network dns" in text


def test_without_rates_nothing_is_assumed(tmp_path):
    result = call(write_study(tmp_path))
    assert result.exit_code == 0 and "nothing is assumed" in result.stdout and "h/year" not in result.stdout


def test_only_tiers_with_goals_decide_the_exit_code(tmp_path):
    dependencies = [needs("workload:batch", needs={"all_of": ["power:grid"]})]
    result = call(write_study(tmp_path, dependencies=dependencies))
    assert "power grid is a single point of failure of bulk" in result.stdout and result.exit_code == 0


def test_blast_radius_by_hand(tmp_path):
    _, sections = data_of(login_study(tmp_path))
    blasts = {row["lost"]: row for row in sections["blast radius"]}
    login, alpha = blasts["identity:login"], blasts["provider:alpha"]
    assert (login["no_way_requests_per_second"], login["moved_requests_per_second"]) == (18.0, 0.0)
    assert login["no_way_usd_per_hour"] == pytest.approx(15 * 3600 * 0.01)
    assert (alpha["no_way_requests_per_second"], alpha["moved_requests_per_second"]) == (0.0, 18.0)
    assert alpha["placements_lost_fraction"] == pytest.approx(0.5)
    pool = blasts["pool:alpha/east-1/trn-16"]
    around = {"site:alpha/east-1", "zone:alpha/east-1", "region:alpha/east", "provider:alpha"}
    assert set(pool["also_lost_with"]) == around
    assert pool["innermost"] and not alpha["innermost"]


def test_a_flow_that_nothing_serves_in_a_failure_has_no_way_even_when_nothing_is_lost(tmp_path):
    tiers = yaml.safe_load(STUDY)["tiers"]
    tiers[0]["round_trip_ms_in_failure"] = 10
    result = call(write_study(tmp_path, tiers=tiers))
    assert result.exit_code == 1
    assert "chat from tokyo (tier gold) has no way even when nothing is lost" in result.stdout


# ------------------------------------------------------------------ on what runs
@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    """The tiny study without goals, planned: all runs in one pool."""
    folder = tmp_path_factory.mktemp("planned")
    tiers = [{"name": "gold", "outage_usd_per_request": 0.01}, {"name": "bulk"}]
    study = write_study(folder, tiers=tiers, failures=[], policies={})
    out = folder / "plan.json"
    result = runner.invoke(app, ["plan", str(study), "--out", str(out), "--quiet"])
    assert result.exit_code == 0, result.output
    return study, out


def test_on_a_plan_a_way_is_a_placement_that_runs(planned):
    study, out = planned
    plan = read_plan(out)
    assert {r.placement.partition("@")[2] for r in plan.replicas if r.replicas} == {"alpha/east-1/trn-16"}
    assert data_of(study)[1]["single points of failure"] == []
    code, sections = data_of(out)
    single = {tuple(row["lost"]) for row in sections["single points of failure"] if row["innermost"]}
    assert single == {("pool:alpha/east-1/trn-16",), ("qualification:small/neuron",)}
    rows = {tuple(row["lost"]): row["also_lost_with"] for row in sections["single points of failure"]}
    assert rows["qualification:small/neuron",] == [["stack:neuron"]]
    assert code == 0, "no tier has a goal"
    missing = {row["missing"] for row in sections["missing"]}
    assert missing == {"a running placement that outlives it: 1 of 2 within the limits run"}
    assert all(row["any_capacity"] for row in sections["missing"])


def test_what_moves_on_a_plan_is_what_it_carries(planned):
    plan = read_plan(planned[1])
    p = build(plan.study)
    running, traffic = running_in(plan, p)
    both = {flow: frozenset(p.placements) for flow in p.flows}
    x = exposure(plan.study, p, both, traffic)
    moved = {blast.component: blast.moved_requests_per_second for blast in x.blasts}
    assert moved["provider:alpha"] == pytest.approx(18.0) and "provider:beta" not in moved
    x = exposure(plan.study, p, running, traffic)
    assert {blast.component: blast.moved_requests_per_second for blast in x.blasts}["provider:alpha"] == 0.0


def test_a_fleet_has_the_ways_that_its_weights_give(tmp_path):
    study = write_study(tmp_path / "study")
    fleet = tmp_path / "fleet.csv"
    fleet.write_text(
        "workload,origin,pool,profile,replicas,weight\n"
        "chat,london,alpha/east-1/trn-16,small/trn,4,3\n"
        "chat,london,beta/west-1/gpu-8,small/gpu,4,1\n"
        "chat,tokyo,beta/west-1/gpu-8,small/gpu,4,1\n"
        "batch,london,beta/west-1/gpu-8,small/gpu,4,0\n"
    )
    code, sections = data_of(fleet, "--study", study)
    assert code == 1
    told = call(fleet, "--study", study).stdout
    assert "batch from london (tier bulk) has no way even when nothing is lost" in told
    single = {tuple(row["lost"]) for row in sections["single points of failure"] if row["innermost"]}
    assert single == {("pool:beta/west-1/gpu-8",), ("qualification:small/cuda",)}
    blasts = {row["lost"]: row for row in sections["blast radius"]}
    assert blasts["provider:alpha"]["moved_requests_per_second"] == pytest.approx(7.5)  # 10 · 3 / (3 + 1)
    assert blasts["provider:beta"]["moved_requests_per_second"] == pytest.approx(2.5)
    assert blasts["provider:beta"]["no_way_requests_per_second"] == pytest.approx(5.0)


def test_bad_input_is_an_answer(tmp_path, planned):
    fleet = tmp_path / "fleet.csv"
    fleet.write_text("workload\n")
    for words in ((fleet,), (planned[1], "--study", planned[0]), (tmp_path / "none",), (tmp_path / "none.json",)):
        result = call(*words)
        assert result.exit_code == 2 and "fix:" in result.output and "Traceback" not in result.output, words
    result = call(planned[0], "--out", planned[0])
    assert result.exit_code == 2 and "not an input" in result.output


# ------------------------------------------------------------------ drawings
HOSTILE = ['<b>"x"]--> n0', "%%{init: {}}%%", "a\\", "end", "`m` & #35;", 'é"; }']


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    own = [{"name": name, "kind": "power"} for name in HOSTILE]
    dependencies = [
        needs("workload:chat", needs={"at_least": 2, "of": [f"power:{name}" for name in HOSTILE[:3]]}),
        needs("site:alpha/east-1", needs={"all_of": [{"any_of": [f"power:{n}" for n in HOSTILE[3:]]}, "power:a\\"]}),
    ]
    return write_study(tmp_path_factory.mktemp("hostile"), components=[*GRID, *own], dependencies=dependencies)


def test_mermaid_stays_a_flowchart_whatever_the_names(hostile):
    result = call(hostile, "--draw", "mermaid")
    lines = result.stdout.splitlines()
    assert lines[0] == "flowchart LR" and all(re.fullmatch("  %% [^{}]*", line) for line in lines[1:3])
    node = re.compile(r'  (n\d+)(?:\["([^"<>&`\\{}]*)"\]|\(\["([^"<>&`\\{}]*)"\]\))(?::::(?:single|pair))?')
    edge = re.compile(r'  (n\d+) (?:-->|-\. "[^"]*" \.->) (n\d+)')
    labels, ends = {}, set()
    for line in lines[3:]:
        if found := node.fullmatch(line):
            labels[found[1]] = re.sub(r"#(\d+);", lambda m: chr(int(m[1])), found[2] or found[3])
        elif found := edge.fullmatch(line):
            ends |= {found[1], found[2]}
        else:
            assert line.startswith("  classDef "), line
    assert ends == labels.keys()
    assert {f"power {name}" for name in HOSTILE} <= set(labels.values()) and "2 of 3" in labels.values()


def test_dot_stays_a_graph_whatever_the_names(hostile):
    result = call(hostile, "--draw", "dot")
    lines = result.stdout.splitlines()
    quoted = r'"((?:[^"\\]|\\.)*)"'
    node = re.compile(rf"  (n\d+) \[label={quoted}(?: \w+={quoted})*\]")
    edge = re.compile(rf"  (n\d+) -> (n\d+)(?: \[style={quoted} label={quoted}\])?")
    labels, ends = {}, set()
    for line in lines[5:-1]:
        if found := node.fullmatch(line):
            labels[found[1]] = re.sub(r"\\(.)", r"\1", found[2]).replace("&amp;", "&")
        else:
            found = edge.fullmatch(line)
            assert found, line
            ends |= {found[1], found[2]}
    assert lines[0] == "digraph needs {" and lines[-1] == "}" and ends == labels.keys()
    shown = {f"power {name}" for name in HOSTILE if name.isprintable()}
    assert shown <= set(labels.values()) and len(shown) >= 5


def test_members_of_cut_sets_are_marked(tmp_path):
    text = call(login_study(tmp_path), "--draw", "mermaid").stdout
    assert '["identity login"]:::single' in text and '["stack cuda"]:::pair' in text
    text = call(login_study(tmp_path, breaks={"breaks": "new_logins", "sessions_go_on_fraction": 0.6}), "--draw", "dot")
    assert "for new logins; 60% goes on" in text.stdout


@pytest.mark.parametrize("format", ["mermaid", "dot"])
def test_control_characters_of_an_edited_plan_stay_inside_their_label(tmp_path, format):
    study, _ = read_study(login_study(tmp_path))
    bad = study.workloads[0].model_copy(update={"name": "chat\n  n0 --> n1\u202e"})
    renamed = study.model_copy(
        update={
            "workloads": (bad, study.workloads[1]),
            "demand": tuple(d.model_copy(update={"workload": bad.name}) for d in study.demand if d.workload == "chat"),
            "dependencies": (),
        }
    )
    p = build(renamed)
    text = drawing(renamed, p, exposure(renamed, p), format)
    assert text.count("chat") == 1 and "\u202e" not in text
    assert all("chat" not in line or line.startswith("  n0") for line in text.splitlines())


# ------------------------------------------------------------------ size, order
def test_the_same_answer_every_time(hostile):
    assert call(hostile, "--all").stdout == call(hostile, "--all").stdout
    assert call(hostile, "--draw", "dot").stdout == call(hostile, "--draw", "dot").stdout


def test_the_whole_inventory_takes_seconds(tmp_path):
    """Every pool and six models, from six cities: read, build and cut sets of all flows."""
    quickstart = yaml.safe_load((ROOT / "examples" / "quickstart" / "study.yaml").read_text())
    models = sorted(path.stem for path in (ROOT / "models").glob("*.yaml") if path.stem != "context_classes")
    more = [quickstart["workloads"][0] | {"name": f"w-{model}", "model": model} for model in models]
    fields = {"pools": ["*"], "policies": {}, "holdings": [], "claims": [], "workloads": more}
    rows = [f"w-{model},{origin['name']},10" for model in models for origin in quickstart["origins"]]
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(quickstart | fields, sort_keys=False))
    (tmp_path / "demand.csv").write_text("\n".join(["workload,origin,requests_per_second", *rows]) + "\n")
    began = time.monotonic()
    code, sections = data_of(tmp_path / "study.yaml")
    assert time.monotonic() - began < 10
    assert code in (0, 1) and len(sections["blast radius"]) > 100
    assert len(read_study(tmp_path)[0].pools) > 70


def test_risk_over_periods_and_hours_is_of_mean_demand(tmp_path):
    """Half of each quarter asks for three times the demand, half for none: 1.5 times in the mean."""
    demand = (FILES["demand.csv"].splitlines(), "shape", "office")
    rows = [f"{line},{demand[2] if n else demand[1]}" for n, line in enumerate(demand[0])]
    over_time = {
        "horizon": {
            "start": "2026-06-01",
            "quarters": 4,
            "hours": [{"name": "day", "weight_fraction": 0.5}, {"name": "night", "weight_fraction": 0.5}],
        },
        "shapes": [{"name": "office", "factors": {"day": 3, "night": 0}}],
    }
    files = {"demand.csv": "\n".join(rows) + "\n"}
    result = call(login_study(tmp_path, files=files, **over_time))
    assert result.exit_code == 1, result.output
    assert "identity login is a single point of failure of every tier: 27 requests/s, 810.00 USD/h" in result.stdout


def test_a_failure_in_stages_counts_each_as_long_as_it_lasts(tmp_path):
    """Half a fire a year: chat has no login for 4 h, Tokyo no names for 10 h."""
    own = [*GRID, {"name": "login", "kind": "identity"}, {"name": "dns", "kind": "network"}]
    dependencies = [
        needs("workload:chat", needs={"all_of": ["identity:login"]}),
        needs("origin:tokyo", needs={"all_of": ["network:dns"]}),
    ]
    rate = {"failures_per_year": 0.5, "hours_to_repair": 10}
    lost = {"network:dns": 1.0, "identity:login": 1.0}
    fire = {"name": "fire", "lost": lost, "repaired": {"identity:login": 4.0}, **rate}
    quake = yaml.safe_load(STUDY)["failures"]
    study = write_study(tmp_path, components=own, dependencies=dependencies, failures=[*quake, fire])
    _, sections = data_of(study)
    stages = {tuple(row["lost"]): row for row in sections["expected"]["sets"]}
    assert set(stages) == {("failure:fire",), ("failure:fire after 4 h",)}
    assert stages["failure:fire",]["hours_per_year"] == pytest.approx(2.0)
    assert stages["failure:fire after 4 h",]["hours_per_year"] == pytest.approx(3.0)
    assert stages["failure:fire after 4 h",]["usd_per_year"] == pytest.approx(3.0 * 5 * 3600 * 0.01)
    assert stages["failure:fire",]["usd_per_year"] == pytest.approx(2.0 * 540)
