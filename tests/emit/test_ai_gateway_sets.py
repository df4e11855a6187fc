"""Sets of Envoy AI Gateway: the plan's routes at each deadline, what they let through, and their runbook."""

import importlib.util
import re
import shutil
import subprocess
from dataclasses import replace
from functools import cache

import pytest
from ai_gateway_objects import ENDPOINT, entry, objects, of_gateway, of_kind, route
from emitting import SHARED
from gateway_fakes import shedding_plan, small_plan
from kubernetes_schemas import load, problems

from planner.emit.cascade import cascade
from planner.emit.common import given
from planner.emit.detection import ENVOY_AI_GATEWAY
from planner.emit.envoy_ai_gateway import OPTIONS, files, route_objects
from planner.emit.overrides import Override, overrides, steps, without
from planner.emit.spill import backend_groups, let_through_fraction
from planner.emit.text import quoted_yaml

CRDS = SHARED / "schemas" / "crds"


@cache
def shedding():
    return shedding_plan()


def all_shed():
    """The routes of a gateway of which one workload is shed as a whole."""
    made = given(small_plan(), ENDPOINT, OPTIONS)
    first, *others = made.table.routes
    nothing = replace(first, levels=(), pushed=True, shed_fraction=1.0)
    routes = route_objects(made.pushed(Override("site:a/s", 60.0, (nothing, *others))), first.origin)
    (rule,) = of_kind(routes["items"], "AIGatewayRoute")[first.id]["spec"]["rules"]
    assert "backendRefs" not in rule
    return quoted_yaml(routes)


def test_a_set_is_all_routes_of_a_gateway_and_names_placements_that_it_has():
    made = given(shedding(), ENDPOINT, OPTIONS)
    listed = files(shedding(), ENDPOINT)
    sets = overrides(made.of, made.table, cascade(made.of, made.table, ENVOY_AI_GATEWAY))
    wanted = {
        (o, x.id): {r.id: {y.id: y.weight for y in r.levels[0]} for r in x.of_origin(o) if r.pushed}
        for o in ("o1", "o2")
        for f in dict.fromkeys(x.failure for x in sets)
        for x in steps(sets, made.table, f, o)
    }
    written = {}
    for path, text in listed.items():
        if "/overrides/" in path:
            _, origin, _, *id, _ = path.split("/")
            has = set(of_kind(of_gateway(listed, origin), "AIServiceBackend"))
            routes = of_kind(objects(text), "AIGatewayRoute")
            assert set(routes) == {r.id for r in made.table.of_origin(origin)}  # any set may follow any
            assert {o["metadata"]["annotations"]["capacity-planner/set"] for o in objects(text)} == {"/".join(id)}
            rows = {name: o["spec"]["rules"][0].get("backendRefs", []) for name, o in routes.items()}
            assert {x["name"] for backends in rows.values() for x in backends} <= has
            pushed = wanted[origin, "/".join(id)]
            assert {x["priority"] for name in pushed for x in rows[name]} == {0}
            written[origin, "/".join(id)] = {name: {x["name"]: x["weight"] for x in rows[name]} for name in pushed}
    assert written == wanted and wanted
    for o in ("o1", "o2"):
        assert listed[f"origins/{o}/base/routes.yaml"] == listed[f"origins/{o}/routes.yaml"]


def test_what_is_shed_in_part_has_a_limit_and_what_returns_has_none():
    made = given(shedding(), {**ENDPOINT, "gateway_replicas": "2"}, OPTIONS)
    policies = of_kind(route_objects(made, "o1")["items"], "BackendTrafficPolicy")
    assert not any("rateLimit" in o["spec"] for o in policies.values())
    sets = overrides(made.of, made.table, cascade(made.of, made.table, ENVOY_AI_GATEWAY))
    shed = [(x, r) for x in sets for r in x.of_origin("o1") if 0 < r.shed_fraction < 1]
    assert shed
    for x, r in shed:
        spec = of_kind(route_objects(made.pushed(x), "o1")["items"], "BackendTrafficPolicy")[r.id]["spec"]
        (rule,) = spec["rateLimit"]["local"]["rules"]
        per_second = rule["limit"]["requests"] / {"Second": 1, "Minute": 60}[rule["limit"]["unit"]]
        served = (1 - r.shed_fraction) * r.requests_per_second / 2
        assert 0.95 * served <= per_second <= served + 1e-6


def test_a_set_lets_no_more_through_than_what_remains_has_room_for():
    """Of 100 the lost one took 90; what remains has limits of 12 and 18: it shares by them, and 30 come through."""
    a, b, c = entry("a", 0.9, 95.0), entry("b", 0.1, 12.0), entry("c", 1.0, 18.0)
    (group,) = backend_groups(remaining := without(route((a, b), (c,)), {"a"}))
    assert {x.placement: weight for x, weight in group} == {"b": 4000, "c": 6000}
    assert let_through_fraction(remaining) == pytest.approx(0.3)
    roomy = without(route((a, entry("d", 0.1, 120.0)), (c,)), {"a"})
    assert [[x.placement for x, _ in group] for group in backend_groups(roomy)] == [["d"], ["c"]]
    assert let_through_fraction(roomy) == 1


def test_the_runbook_pushes_and_returns_what_there_is():
    listed = files(shedding(), {**ENDPOINT, "ai_gateway_namespace": "front"})
    text = listed["RUNBOOK.md"]
    applied = re.findall(r"^    kubectl --context GATEWAY apply -f (\S+)$", text, re.M)
    relative = {
        path.split("/", 2)[2] for path in listed if path.startswith("origins/") and path.endswith("routes.yaml")
    }
    assert set(applied) == relative - {"routes.yaml"} and "base/routes.yaml" in applied
    assert "--namespace front" in text and "refused (429)" in text and "clusters.yaml" not in text


@pytest.mark.kubernetes
def test_kubectl_prints_the_set_of_each_route(tmp_path):
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    listed = files(shedding(), ENDPOINT)
    path, text = next((path, text) for path, text in listed.items() if "/overrides/" in path)
    (tmp_path / "routes.yaml").write_text(text, encoding="utf-8")
    asked = re.search(r"jsonpath='(.*)'", listed["RUNBOOK.md"]).group(1)
    row = asked.removeprefix("{range .items[*]}").removesuffix("{end}")
    command = ["kubectl", "annotate", "--local", "-f", "routes.yaml", "a=b", "-o", f"jsonpath={row}"]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True).stdout
    rows = [line.split()[:2] for line in said.splitlines()]
    assert rows == [[o["metadata"]["name"], "/".join(path.split("/")[3:-1])] for o in objects(text)]


@pytest.mark.kubernetes
def test_the_schemas_of_the_gateway_accept_the_sets():
    if not CRDS.is_dir():
        pytest.skip("no schemas of custom resources beside the project (shared/schemas/crds)")
    missing = [name for name in ("jsonschema", "cel") if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"Python packages not installed: {', '.join(missing)}")
    schemas = load(CRDS)
    pushed = next(text for path, text in files(shedding(), ENDPOINT).items() if "rateLimit" in text)
    assert {text for one in (pushed, all_shed()) for o in objects(one) for text in problems(schemas, o)} == set()
