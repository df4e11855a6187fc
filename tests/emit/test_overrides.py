"""What is pushed in a failure: structure, weights, lint, names; and the runbook that says so."""

import json
import re
from dataclasses import replace

import pytest
from gateway_fakes import shedding_plan, small_plan

from planner.emit import envoy, litellm
from planner.emit.behaviour import envoy as envoy_sends
from planner.emit.behaviour import envoy_priorities
from planner.emit.behaviour import litellm as litellm_sends
from planner.emit.cascade import ALONE, OVERRIDE, cascade
from planner.emit.common import given
from planner.emit.lint import lint_envoy_clusters, lint_litellm, litellm_rows
from planner.emit.moves import moves_of
from planner.emit.names import slug
from planner.emit.overrides import Override, deadline_id, overrides, pushed_route, steps, without
from planner.emit.routing import Entry, Route, override_data
from planner.emit.text import yaml_data
from planner.emit.write import changes, write
from planner.errors import InputError
from planner.study.dependencies import NORMAL
from planner.study.records.study import Goal, NamedFailure, Tier, Utilisation

TARGETS = {"envoy": envoy, "litellm": litellm}
PUSHED = {"envoy": "clusters.yaml", "litellm": "config.yaml"}


@pytest.fixture(scope="module")
def plan():
    return shedding_plan()


@pytest.fixture(scope="module", params=TARGETS)
def emitted(request, plan):
    """(gateway, plan made ready, its files)."""
    target = TARGETS[request.param]
    return request.param, given(plan, {}, target.OPTIONS), target.files(plan, {})


def sets_of(made, gateway):
    outcomes = cascade(made.of, made.table, gateway)
    return outcomes, overrides(made.of, made.table, outcomes)


def test_a_set_for_each_failure_that_needs_one_and_for_no_other(emitted):
    gateway, made, files = emitted
    outcomes, sets = sets_of(made, gateway)
    needed = {x.failure for x in outcomes if x.verdict == OVERRIDE}
    assert needed and needed < {x.failure for x in outcomes} - {NORMAL} | needed
    wanted = {
        f"origins/{o}/overrides/{x.id}/{PUSHED[gateway]}"
        for f in needed
        for o in ("o1", "o2")
        for x in steps(sets, made.table, f, o)
    }
    assert wanted and {path for path in files if "/overrides/" in path} == wanted
    for o in ("o1", "o2"):
        assert files[f"origins/{o}/base/{PUSHED[gateway]}"] == files[f"origins/{o}/{PUSHED[gateway]}"]
    alone = slug("site:c/s")
    assert f"overrides/{alone}.json" in files and not any(f"/overrides/{alone}/" in path for path in files)


def test_weights_and_limits_are_those_of_the_override(emitted):
    gateway, made, files = emitted
    _, sets = sets_of(made, gateway)
    looked_at = 0
    for x in sets:
        states = {s["deadline_seconds"]: s for s in override_data(made.of, x.failure)["states"]}
        for row in states[x.deadline_seconds]["routes"]:
            path = f"origins/{row['origin']}/overrides/{x.id}/{PUSHED[gateway]}"
            route = next(r for r in x.routes if (r.workload, r.origin) == (row["workload"], row["origin"]))
            if path not in files or not route.pushed:
                continue
            weights = {place["id"]: place["weight"] for place in row["placements"]}
            data = yaml_data(files[path])
            if gateway == "envoy":
                (cluster,) = [c for c in data["resources"] if c["name"] == row["route"]]
                groups = cluster["load_assignment"]["endpoints"]
                first = {g["locality"]["sub_zone"].removesuffix("--0"): g for g in groups if g["priority"] == 0}
                refused = first.pop("refusal", {"load_balancing_weight": 0})["load_balancing_weight"]
                first.pop("padding")
                assert {name: g["load_balancing_weight"] for name, g in first.items()} == weights
                shed = row["shed_requests_per_second"] / route.requests_per_second
                assert refused / (10_000 + refused) == pytest.approx(shed, abs=2e-4)
                assert data["version_info"] == x.id
            else:
                rows = {key[1].removeprefix(f"{row['route']}--"): v for key, v in litellm_rows(data).items()}
                for place in row["placements"]:
                    order, weight, rpm = rows[place["id"]]
                    assert (order, weight) == (1, place["weight"])
                    assert rpm == max(1, int(60 * place["requests_per_second"] + 1e-9))
            looked_at += 1
    assert looked_at >= 3


def entry(name, share, limit):
    return Entry(name, name, round(10_000 * share), share, limit, False)


def test_what_is_shed_is_refused_and_a_further_death_fills_nobody():
    """100 come: 60 and 20 are served, 20 are shed. When b dies its 20 are refused, too, and a keeps its 60."""
    route = Route("w", "o", "w", 100.0, ((entry("a", 0.75, 60.0), entry("b", 0.25, 20.0)),), True, 0.2)
    made = envoy_priorities(route)
    (priority,) = made.priorities
    assert (made.overprovisioning_factor, priority.padding, priority.refused) == (10_000, 99 * 12_500, 2500)
    assert envoy_sends(route, {"a", "b"}, 100.0) == pytest.approx({"a": 60.0, "b": 20.0})
    assert envoy_sends(route, {"a"}, 100.0) == pytest.approx({"a": 60.0})
    nothing_shed = replace(route, shed_fraction=0.0)
    assert envoy_sends(nothing_shed, {"a", "b"}, 80.0) == pytest.approx({"a": 60.0, "b": 20.0})
    assert envoy_priorities(replace(route, levels=(), shed_fraction=1.0)).priorities == ()


def test_a_workload_that_is_all_shed_is_refused_and_not_unknown(plan):
    """A group of LiteLLM without deployments answers 400: one stands for it that answers 429, is not probed or tried
    again, and has no placement; in Envoy the refusal stands alone."""
    made = given(plan, {}, litellm.OPTIONS)
    routes = tuple(replace(r, levels=(), pushed=True, shed_fraction=1.0) for r in made.table.routes)
    shed = made.pushed(Override("site:a/s", 60.0, routes))
    data = litellm.config(shed, "o1")
    assert lint_litellm("x", litellm.expected(shed, "o1"), data) == []
    assert lint_litellm("x", litellm.expected(made, "o1"), data)
    assert {row["model_name"] for row in data["model_list"]} == {"chat", "long"}
    for row in data["model_list"]:
        assert row["litellm_params"]["mock_response"] == "litellm.RateLimitError"
        assert row["litellm_params"]["num_retries"] == 0 and row["model_info"]["disable_background_health_check"]
    shed = replace(given(plan, {}, envoy.OPTIONS), table=shed.table)
    for cluster in envoy.clusters(shed, "o1")["resources"]:
        (group,) = cluster["load_assignment"]["endpoints"]
        assert group["locality"]["region"] == "refusal" and group["priority"] == 0


def test_a_stream_that_stays_as_it_is_keeps_its_route(plan):
    made = given(plan, {}, envoy.OPTIONS)
    for route in made.table.routes:
        assert pushed_route(made.of, route, (made.of.hour, NORMAL, 0.0)) is route


# ------------------------------------------------------------------ what is lost stands in no set
@pytest.fixture(scope="module")
def stack_plan():
    """One of whose stacks may give wrong answers: three tenths are due then, which the static files serve alone."""
    goal = Goal(any="stack", serve_fraction=0.3, within_seconds=60.0)
    return small_plan(load_seconds=20.0, tiers=(Tier(name="t", survive=(goal,)),), detection_seconds=2.0)


def placements_of_stack(made, stack):
    machine = {"cuda": "m1", "neuron": "m2", "xla": "m3"}[stack]
    return {e for e in made.of.problem.placements if e.endswith(f"/{machine}")}


@pytest.mark.parametrize("gateway", TARGETS)
def test_what_no_gateway_sees_is_out_of_all_routes_from_detection_on(gateway, stack_plan):
    target = TARGETS[gateway]
    made, files = given(stack_plan, {}, target.OPTIONS), target.files(stack_plan, {})
    outcomes, sets = sets_of(made, gateway)
    of_base = {x.placement for route in made.table.routes for x in route.entries}
    looked_at = 0
    for stack in ("cuda", "neuron", "xla"):
        lost, of_failure = placements_of_stack(made, stack), [x for x in sets if x.failure == f"stack:{stack}"]
        assert of_failure[0].deadline_seconds == 2.0
        for x in of_failure:
            assert not lost & {entry.placement for route in x.routes for entry in route.entries}
        for path, text in files.items():
            if f"/overrides/{slug(f'stack:{stack}')}/" in path:
                assert not any(slug(e) in text for e in lost), path
                looked_at += bool(lost & of_base)
        if lost & of_base:
            assert f"overrides/{of_failure[0].id}" in files["RUNBOOK.md"]
    assert looked_at
    assert ALONE in {x.verdict for x in outcomes if x.failure.startswith("stack:")}


def test_a_set_of_what_is_seen_sends_nothing_to_what_is_lost_either(emitted):
    gateway, made, _ = emitted
    for x in sets_of(made, gateway)[1]:
        for route in x.routes:
            changed = x.of_origin(route.origin) != made.table.of_origin(route.origin)
            names = {e for e in made.of.problem.placements if f"{x.failure[5:]}/" in e}
            assert names and not (changed and names & {entry.placement for entry in route.entries})


def three_levels():
    """100 come; a and b share them, c and d take what they leave, e is only reached in failures."""
    far = replace(entry("e", 1.0, 20.0), beyond_normal_reach=True)
    levels = ((entry("a", 0.6, 80.0), entry("b", 0.4, 50.0)), (entry("c", 0.75, 30.0), entry("d", 0.25, 10.0)), (far,))
    return Route("w", "o", "w", 100.0, levels)


@pytest.mark.parametrize(
    ("gone", "sent"),
    [
        ({"a"}, {"b": 50.0, "c": 30.0, "d": 10.0, "e": 10.0}),
        ({"a", "b"}, {"c": 30.0, "d": 10.0, "e": 20.0}),
        ({"b", "c"}, {"a": 80.0, "d": 10.0, "e": 10.0}),
        ({"d", "e"}, {"a": 60.0, "b": 40.0}),
        ({"a", "b", "c", "d"}, {"e": 20.0}),
    ],
)
def test_a_route_without_some_placements_keeps_the_limits_of_the_others(gone, sent):
    route = without(three_levels(), gone)
    assert not gone & {x.placement for x in route.entries} and not route.pushed
    assert all(sum(x.weight for x in level) == 10_000 for level in route.levels)
    alive = {x.placement for x in route.entries}
    assert litellm_sends(route, alive, 100.0) == pytest.approx(sent)
    assert envoy_sends(route, alive, 100.0) == pytest.approx(sent, rel=2e-2)
    assert not all(x.beyond_normal_reach for x in route.entries)


def test_a_route_that_loses_nothing_stays_and_one_that_loses_all_is_refused():
    route = three_levels()
    assert without(route, {"x"}) is route
    refused = without(route, set("abcde"))
    assert (refused.levels, refused.pushed, refused.shed_fraction) == ((), True, 1.0)


def test_lint_finds_what_does_not_hold_in_a_set(plan):
    made = given(plan, {}, envoy.OPTIONS)
    _, sets = sets_of(made, "envoy")
    override = next(x for x in sets if x.of_origin("o1") != made.table.of_origin("o1"))
    pushed = made.pushed(override)
    ids = [route.id for route in override.of_origin("o1")]
    data = yaml_data(envoy.files(plan, {})[f"origins/o1/overrides/{override.id}/clusters.yaml"])
    assert lint_envoy_clusters("x", ids, envoy.expected(pushed, "o1"), data) == []
    assert lint_envoy_clusters("x", ids, envoy.expected(made, "o1"), data)
    data["resources"].pop()
    assert lint_envoy_clusters("x", ids, envoy.expected(pushed, "o1"), data)


def test_the_gateway_watches_the_file_and_its_folder(plan):
    for folder, watched in ((".", "."), ("/etc/envoy/", "/etc/envoy")):
        data = yaml_data(envoy.files(plan, {"folder": folder})["origins/o1/envoy.yaml"])
        source = data["dynamic_resources"]["cds_config"]["path_config_source"]
        assert source == {"path": f"{watched}/clusters.yaml", "watched_directory": {"path": watched}}
        assert data["node"] == {"id": "o1", "cluster": "gateways"}
        assert "clusters" not in data["static_resources"]


# ------------------------------------------------------------------ the runbook
def test_the_runbook_has_every_failure_worst_first(emitted):
    gateway, made, files = emitted
    text = files["RUNBOOK.md"]
    outcomes, sets = sets_of(made, gateway)
    short = {x.failure: x.meanwhile.short_requests_per_second for x in outcomes}
    headings = re.findall(r"^## \d+\. (.*)$", text, re.M)
    assert headings == sorted({x.failure for x in sets}, key=lambda f: (-short[f], f))
    _, _, rest = text.partition("## Nothing to push")
    assert set(re.findall(r"^\| (site:\S+) \|", rest, re.M)) == set(short) - {NORMAL} - set(headings)
    # each command's set is a file of this emission, at every origin that it names
    commands = re.findall(r"^\*\*Step \d+, .*\*\*, at (.*):\n\n(?:\|.*\n)*\n?    cp (\S+) ", text, re.M)
    assert len(commands) >= len(headings)
    for origins, path in commands:
        assert all(f"origins/{o}/{path}" in files for o in origins.split(", "))
    assert f"cp base/{PUSHED[gateway]} " in text


def test_the_runbook_says_who_stops_and_what_each_serves_then(emitted):
    gateway, made, files = emitted
    _, sets = sets_of(made, gateway)
    (override, *_) = [x for x in sets if x.failure == "site:b/s"]
    _, _, section = files["RUNBOOK.md"].partition("site:b/s\n")
    section = section.partition("\n## ")[0]
    for e in ("m/m2-short@b/s/m2", "m/m2-long@b/s/m2"):
        assert slug(e) in section.partition("**Without")[0]
    route = next(r for r in override.routes if r.pushed and r.shed_fraction > 0)
    for x in route.levels[0]:
        assert f"{x.id} {100 * x.share_fraction * (1 - route.shed_fraction):.1f} %" in section
    assert f"refused (429) {100 * route.shed_fraction:.1f} %" in section


def section_of(files, failure):
    """What the runbook says of a failure."""
    return files["RUNBOOK.md"].partition(f". {failure}\n")[2].partition("\n## ")[0]


def test_what_no_gateway_sees_has_a_section_and_returns_by_a_decision():
    """The static files serve all of it once what is lost is out: they send there until then."""
    tier = Tier(name="t", survive=(Goal(any="stack", serve_fraction=1.0, within_seconds=60.0),))
    room = Utilisation(basis="fixed", normal=0.7, in_failure=0.95)
    plan = small_plan(utilisation=room, tiers=(tier,), detection_seconds=2.0)
    outcomes, _ = sets_of(given(plan, {}, envoy.OPTIONS), "envoy")
    assert {x.verdict for x in outcomes} == {ALONE}
    files = envoy.files(plan, {})
    section = section_of(files, "stack:neuron")
    first, _, rest = section.partition("**Step 1, from 2 s, until the return: push at once**, at ")
    assert "No health check tells" in first and "The push of step 1 takes it out" in first and "after 2 s" in first
    assert f"    cp overrides/{slug('stack:neuron')}/2s/clusters.yaml clusters.yaml.new" in rest
    assert "**Return.** Somebody decides it, no check does" in rest and "answers again" not in section
    assert "stack:neuron |" not in files["RUNBOOK.md"]


@pytest.mark.parametrize(("normal", "lost", "has_sets"), [(0.9, 0.5, True), (0.6, 0.1, False)])
def test_replicas_that_answer_wrongly_beside_others_are_taken_down_by_hand(normal, lost, has_sets):
    """A part of a stack: its placements stay in all routes, and the runbook says who has to go."""
    part = NamedFailure(name="part", lost={"stack:cuda": lost})
    tier = Tier(name="t", survive=(Goal(failure="part", serve_fraction=0.2, within_seconds=60.0),))
    room = Utilisation(basis="fixed", normal=normal, in_failure=0.95)
    files = envoy.files(small_plan(failures=(part,), tiers=(tier,), utilisation=room), {})
    section = section_of(files, "failure:part")
    assert ("These stay in the sets: take down those of their replicas that answer wrongly." in section) is has_sets
    assert "takes it out of all routes" not in files["RUNBOOK.md"]
    row = r"^\| failure:part \| no health check tells, and no set: take down the replicas .* of m-m1-short-\S+"
    assert bool(re.search(row, files["RUNBOOK.md"], re.M)) is not has_sets


def test_replicas_that_a_set_counts_on_stand_before_its_push():
    """No replica of c runs in normal operation: its starts take 20 s, and the failure is due after 60 s."""
    plan = shedding_plan()
    made = given(plan, {}, envoy.OPTIONS)
    moves = moves_of(made.of, "site:b/s")[60.0]
    files = envoy.files(plan, {})
    section = section_of(files, "site:b/s")
    assert moves.has_starts
    for x in moves.rows:
        state = next(s for s in plan.states if (s.failure, s.deadline_seconds) == ("site:b/s", 60.0))
        assert x.started == state.cold_started.get(x.placement, 0)
        assert x.after == x.before - x.evicted + x.started and x.folder.count("/") == 1
        by = "40 s" if x.started else ""
        assert f"| {slug(x.placement)} | {x.folder} | {x.before} | {x.after} |" in section
        assert not x.started or f" | {x.started} | {by} |" in section
    _, _, rest = section.partition("**Step 1, from when its replicas answer, by 60 s, until the return: ")
    assert "start by 40 s, then push**" in rest.partition("\n")[0]
    assert rest.index("| replicas of |") < rest.index("    cp overrides/")
    assert "start the replicas of normal operation, and when all answer push base" in section
    assert section.rstrip().endswith("before only where others need their machines.")
    assert "says `base`" in section


def test_a_plan_that_is_not_proven_says_so_at_the_head(plan):
    for target in TARGETS.values():
        text = target.files(plan, {"not_proven": "drill: | breaks"})["RUNBOOK.md"]
        assert text.startswith("# What to do in a failure\n\n**NOT PROVEN.**")
        assert "drill: \\| breaks" in text.partition("## ")[0]
        assert "NOT PROVEN" not in target.files(plan, {})["RUNBOOK.md"]


def test_every_file_of_a_plan_that_is_not_proven_says_so(plan):
    """Configurations and sets in their heads, JSON for control planes as a field."""
    for target in TARGETS.values():
        for path, text in target.files(plan, {"not_proven": "drill: breaks"}).items():
            if path.endswith(".json"):
                assert json.loads(text)["not_proven"] == "drill: breaks", path
            else:
                assert any("NOT PROVEN" in line for line in text.splitlines()[:3]), path
        assert not any("NOT PROVEN" in text or "not_proven" in text for text in target.files(plan, {}).values())


# ------------------------------------------------------------------ a new emission while a set is in force
def test_what_is_in_force_can_be_asked_of_each_gateway(emitted):
    """Envoy says the version of its clusters, LiteLLM the information of its deployments."""
    gateway, _, files = emitted
    for path, text in files.items():
        folder, _, name = path.rpartition("/")
        if name == PUSHED[gateway] and folder.startswith("origins/o1"):
            expected = folder.removeprefix("origins/o1").removeprefix("/overrides").removeprefix("/") or "base"
            data = yaml_data(text)
            in_force = (
                [data["version_info"]] if gateway == "envoy" else [x["model_info"]["set"] for x in data["model_list"]]
            )
            assert in_force and set(in_force) == {expected}, path
    before, _, _ = files["RUNBOOK.md"].partition("\n## ")
    asks, says = ("cds.version_text", 'version_text: "base"') if gateway == "envoy" else ("/model/info", '"set":"base"')
    guarded = next(line for line in before.splitlines() if line.startswith("    curl"))
    assert "ends whatever is in force" in before and asks in guarded
    assert guarded.index(f"| grep -q '{says}' && cp NEW/") < guarded.index("&& mv")


def test_an_emission_does_not_end_a_set_in_force(emitted, tmp_path):
    gateway, _, files = emitted
    write(tmp_path, files, {"target": gateway})
    place = tmp_path / "origins" / "o1" / PUSHED[gateway]
    pushed = min(place.parent.glob(f"overrides/**/{PUSHED[gateway]}"))
    place.write_text(pushed.read_text())
    for emit in (changes, lambda out, files: write(out, files, {"target": gateway})):
        with pytest.raises(InputError, match="a set is in force") as refused:
            emit(tmp_path, files)
        assert pushed.relative_to(tmp_path).as_posix() in str(refused.value)
    assert place.read_text() == pushed.read_text()
    place.write_text((place.parent / "base" / PUSHED[gateway]).read_text())
    assert {x.kind for x in write(tmp_path, files, {"target": gateway})} == {"same"}


def test_commands_can_be_pasted_and_say_what_they_need(emitted):
    gateway, _, files = emitted
    text = files["RUNBOOK.md"]
    name = PUSHED[gateway]
    assert (
        f"\n\n    kubectl create configmap NAME --namespace NAMESPACE --from-file=SET/{name} --dry-run=client -o yaml"
        " | kubectl patch configmap NAME --namespace NAMESPACE --type merge --patch-file /dev/stdin\n\n" in text
    )
    assert "origins/o1" in text and "`kubectl create" not in text
    if gateway == "litellm":
        config = "".join(body for path, body in files.items() if path.endswith(name))
        read = set(re.findall(r"os\.environ/([A-Z0-9_]+)", config))
        assert "LITELLM_MASTER_KEY" in read and all(f"`{key}`" in text for key in read)
        assert (
            "\n    systemctl restart NAME\n    kubectl rollout restart deployment/NAME --namespace NAMESPACE\n" in text
        )


def test_what_is_survived_alone_has_nothing_to_do():
    files = envoy.files(small_plan(utilisation=Utilisation(basis="fixed", normal=0.7, in_failure=0.95)), {})
    assert not any("/overrides/" in path for path in files)
    assert files["RUNBOOK.md"].count("| nothing to do |") == 3


def test_deadlines_are_names_of_folders():
    assert [deadline_id(x) for x in (60.0, 0.5, 130.001, 1e6)] == ["60s", "0.5s", "130.001s", "1000000s"]
    assert json.dumps(deadline_id(1e9)) == '"1000000000s"'
