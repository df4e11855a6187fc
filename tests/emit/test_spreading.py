"""What emitted files do inside a placement: stated for each target, and said where a plan counts on more."""

import json
import re

import pytest
import yaml
from gateway_fakes import small_plan
from typer.testing import CliRunner

from planner.cli.main import app
from planner.cli.simulating import RoutingAsked
from planner.emit.behaviour import INSIDE
from planner.emit.known import ALL, TARGETS
from planner.emit.spreading import PAGE, counts_on, falls_short, picker_of, spread_page, spread_warnings
from planner.emit.targets import emitted
from planner.errors import InputError
from planner.plan.file import plan_text
from planner.plan.in_hand import in_hand
from planner.study.records.policies import Utilisation

LEADS_NO_REQUESTS = {"terraform", "owned", "gameday"}
GATEWAYS = {"litellm", "envoy", "envoy-ai-gateway"}
PICKER = {"picker_image": "registry.example/picker:v1"}
DOMAIN = {"domain": "serving.example.com"}
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@pytest.fixture(scope="module")
def fixed():
    return small_plan()


@pytest.fixture(scope="module")
def waiting():
    return small_plan(utilisation=Utilisation())


def counting_on(plan, spread):
    """The plan as if it counted on another spread."""
    study = plan.study.model_copy(update={"utilisation": Utilisation(spread=spread)})
    return plan.model_copy(update={"study": study})


def with_cached_input(plan):
    workloads = tuple(w.model_copy(update={"cached_fraction": 0.5}) for w in plan.study.workloads)
    return plan.model_copy(update={"study": plan.study.model_copy(update={"workloads": workloads})})


def objects(made, ending, kind):
    texts = [text for path, text in made.items() if path.endswith(ending)]
    return [o for text in texts for o in yaml.load_all(text, Loader=LOADER) if o["kind"] == kind]


def placement_of(o):
    return o["metadata"]["annotations"]["capacity-planner/placement"]


def test_each_target_has_one_answer_or_leads_no_requests():
    assert {name for name in TARGETS if name not in INSIDE} == LEADS_NO_REQUESTS
    assert {name.partition(",")[0] for name in INSIDE} == set(TARGETS) - LEADS_NO_REQUESTS
    assert all(inside.how and inside.source for inside in INSIDE.values())


def test_of_a_plan_that_counts_on_nothing_nothing_is_said(fixed, waiting):
    alone = waiting.model_copy(
        update={
            "replicas": tuple(r.model_copy(update={"replicas": 1}) for r in waiting.replicas),
            "states": tuple(s.model_copy(update={"cold_started": {}}) for s in waiting.states),
        }
    )
    for plan in (fixed, counting_on(waiting, "each"), alone):
        plan = in_hand(plan)
        assert counts_on(plan) is None and falls_short(plan, ALL, {}) == {}
        assert spread_warnings(plan, ALL, {}) == [] and spread_page(plan, ALL, {}) == ""
    made = emitted(fixed, ALL, PICKER | DOMAIN)
    assert PAGE not in made and not any("config-text" in text or PAGE in text for text in made.values())


def test_a_replica_that_only_a_failure_starts_counts(waiting):
    one_each = tuple(r.model_copy(update={"replicas": 1}) for r in waiting.replicas)
    started = {waiting.replicas[0].placement: 1}
    states = tuple(s.model_copy(update={"cold_started": started}) for s in waiting.states)
    assert counts_on(in_hand(waiting.model_copy(update={"replicas": one_each, "states": states}))) == "least-requests"


@pytest.mark.parametrize(
    "spread, options, behind",
    [
        ("least-requests", {}, {"kubernetes", "inference-extension", *GATEWAYS}),
        ("least-requests", PICKER, {"kubernetes", *GATEWAYS}),
        ("least-requests", PICKER | {"picker": "own"}, {"kubernetes", "inference-extension", *GATEWAYS}),
        ("one-queue", PICKER, {"kubernetes", "inference-extension", *GATEWAYS}),
        ("each", {}, set()),
    ],
)
def test_targets_that_may_do_less_than_the_plan_counts_on(waiting, spread, options, behind):
    plan = in_hand(counting_on(waiting, spread))
    assert set(falls_short(plan, ALL, options)) == behind
    assert {name for name in TARGETS if falls_short(plan, name, options)} == behind
    assert bool(spread_page(plan, ALL, options)) == bool(spread_warnings(plan, ALL, options)) == bool(behind)


def test_the_page_says_what_each_target_does_and_what_to_do(waiting):
    page = emitted(waiting, ALL, PICKER)[PAGE]
    rows = {row.split(" | ")[0].removeprefix("| "): row for row in page.splitlines() if row.startswith("| ")}
    assert set(rows) - {"target", "---"} == set(INSIDE) & set(TARGETS)
    enough = {name: row.split(" | ")[-1].removesuffix(" |") for name, row in rows.items() if name in TARGETS}
    assert enough == {"kubernetes": "no", "inference-extension": "yes", **dict.fromkeys(GATEWAYS, "if that is")}
    for do in ("planner emit inference-extension", "a balancer of your own", "--set utilisation.spread=each"):
        assert do in page
    routings = re.findall(r"--routing (\S+)", page)
    assert routings == ["random", "two-at-random", "least-requests"] and set(routings) < {*RoutingAsked}
    assert "until a slot is free" not in page
    assert "until a slot is free" in emitted(counting_on(waiting, "one-queue"), "kubernetes", {})[PAGE]


def test_files_where_addresses_and_services_stand_point_to_the_page(waiting):
    made = emitted(waiting, ALL, DOMAIN)
    pointing = {path for path, text in made.items() if PAGE in text}
    assert {path.partition("/")[0] for path in pointing} == {"kubernetes", "inference-extension", *GATEWAYS}
    assert all("/overrides/" not in path for path in pointing)
    with_addresses = ("services.yaml", "pools.yaml", "envoy.yaml", "gateway.yaml")
    assert all(path in pointing for path in made if path.endswith(with_addresses))
    enough = emitted(waiting, "inference-extension", PICKER)
    assert not any(PAGE in text for text in enough.values()) and PAGE not in enough


def test_the_command_says_it_where_its_user_looks(tmp_path, waiting, fixed):
    for name, plan in (("waiting", waiting), ("fixed", fixed)):
        (tmp_path / f"{name}.json").write_text(plan_text(plan), encoding="utf-8")
    command = ["emit", "kubernetes", "--quiet", "--out"]
    done = CliRunner().invoke(app, [*command, str(tmp_path / "w"), str(tmp_path / "waiting.json")])
    assert done.exit_code == 0, done.output
    said = [line for line in done.stderr.splitlines() if line.startswith("warning: ")]
    assert said[0].startswith("warning: kubernetes: inside a placement a Service takes a pod at random")
    assert "the plan counts on least-requests" in said[1]
    assert "emit inference-extension" in said[2] and "planner drill PLAN --simulate --routing random" in said[2]
    assert (tmp_path / "w" / PAGE).is_file()
    done = CliRunner().invoke(app, [*command, str(tmp_path / "f"), str(tmp_path / "fixed.json")])
    assert done.exit_code == 0 and "inside a placement" not in done.stderr and not (tmp_path / "f" / PAGE).exists()


@pytest.mark.parametrize(
    "spread, cached, setting, by_requests",
    [
        ("least-requests", False, "", True),
        ("one-queue", False, "", True),
        ("each", False, "", False),
        ("least-requests", True, "", False),
        ("least-requests", True, "least-requests", True),
        ("least-requests", False, "own", False),
    ],
)
def test_pickers_go_by_requests_where_the_plan_counts_on_it(waiting, spread, cached, setting, by_requests):
    plan = counting_on(waiting, spread)
    plan = in_hand(with_cached_input(plan) if cached else plan)
    assert (picker_of(plan, setting) == "least-requests") == by_requests
    made = emitted(plan, "inference-extension", PICKER | ({"picker": setting} if setting else {}))
    pickers = objects(made, "pickers.yaml", "Deployment")
    assert pickers
    for picker in pickers:
        (container,) = picker["spec"]["template"]["spec"]["containers"]
        flags = dict(arg.removeprefix("--").split("=", 1) for arg in container["args"])
        assert ("config-text" in flags) == by_requests
        if by_requests:
            config = json.loads(flags["config-text"])
            types = {plugin["type"] for plugin in config["plugins"]}
            (profile,) = config["schedulingProfiles"]
            assert {plugin["pluginRef"] for plugin in profile["plugins"]} == types
            assert types == {"active-request-scorer", "max-score-picker"}


def test_another_picker_is_refused(waiting):
    with pytest.raises(InputError, match="least-requests or own"):
        emitted(waiting, "inference-extension", {"picker": "fewest"})


def test_names_under_the_domain_lead_to_pools_and_checks_to_services(waiting):
    services = objects(emitted(waiting, "kubernetes", DOMAIN), "routes.yaml", "HTTPRoute")
    made = emitted(waiting, "inference-extension", DOMAIN)
    routes = [
        r for path in made if path.count("/") == 2 for r in objects({path: made[path]}, "routes.yaml", "HTTPRoute")
    ]
    assert {r["metadata"]["name"] for r in routes} == {r["metadata"]["name"] for r in services}
    named = [r for r in routes if "hostnames" in r["spec"]]
    assert (
        {tuple(r["spec"]["hostnames"]) for r in named}
        == {tuple(r["spec"]["hostnames"]) for r in services if "hostnames" in r["spec"]}
        != set()
    )
    pools = {
        p["metadata"]["annotations"]["capacity-planner/placement"]: p
        for p in objects(made, "pools.yaml", "InferencePool")
    }
    for route in named:
        pool = pools[placement_of(route)]
        requests, health = route["spec"]["rules"]
        assert requests["matches"] == [{"path": {"type": "PathPrefix", "value": "/v1"}}]
        (backend,) = requests["backendRefs"]
        assert (backend["kind"], backend["name"]) == ("InferencePool", pool["metadata"]["name"])
        assert health["matches"] == [{"path": {"type": "Exact", "value": "/health"}}]
        assert health["backendRefs"][0]["kind"] == "Service"
        assert all(rule["timeouts"] == {"request": "0s"} for rule in (requests, health))
