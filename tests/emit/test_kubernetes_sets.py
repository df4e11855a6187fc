"""Sets of routes within clusters: the plan's weights at each deadline, nothing that is lost, and their runbook."""

import importlib.util
import re
from functools import cache

import pytest
import yaml
from emitting import SHARED, planned
from gateway_fakes import shedding_plan
from kubernetes_schemas import load, problems

from planner.emit.fleet import fleet_of
from planner.emit.inference_extension import files
from planner.emit.kubernetes_routes import integer_weights
from planner.emit.names import slug
from planner.emit.overrides import deadline_id
from planner.study.dependencies import NORMAL

CRDS = SHARED / "schemas" / "crds"
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
COMMAND = re.compile(r"^    kubectl --context (\S+) apply -f (\S+)$", re.M)


@cache
def made():
    return files(shedding_plan(), {})


def routes_of(text):
    """Workload -> backends of its route, name: weight."""
    rows = {}
    for o in yaml.load(text, Loader=LOADER)["items"]:
        (rule,) = o["spec"]["rules"]
        workload = o["metadata"]["annotations"]["capacity-planner/workload"]
        rows[workload] = {x["name"]: x["weight"] for x in rule["backendRefs"]}
    return rows


def sets_of(listed, what):
    return {path: text for path, text in listed.items() if f"/{what}/" in path}


def pools_of(listed, folder):
    """Placement -> name of its pool in a cluster."""
    pools = yaml.load_all(listed[f"{folder}/pools.yaml"], Loader=LOADER)
    return {o["metadata"]["annotations"]["capacity-planner/placement"]: o["metadata"]["name"] for o in pools}


def test_each_set_has_the_weights_of_the_plan_at_its_deadline():
    plan, compared = shedding_plan(), 0
    for state in (x for x in plan.states if x.failure != NORMAL):
        for folder in {path.split("/overrides/")[0] for path in sets_of(made(), "overrides")}:
            path = f"{folder}/overrides/{slug(state.failure)}/{deadline_id(state.deadline_seconds)}/routes.yaml"
            if path not in made():
                continue
            pools, sent = pools_of(made(), folder), {}
            for w, e, value in zip(state.workload, state.placement, state.requests_per_second, strict=True):
                if e in pools and value > 0:
                    sent.setdefault(w, {})[e] = sent.get(w, {}).get(e, 0.0) + value
            for workload, backends in routes_of(made()[path]).items():
                wanted = {pools[e]: n for e, n in integer_weights(sent[workload]).items()} if workload in sent else {}
                assert backends == wanted, (path, workload)
                compared += 1
    assert compared


def test_from_detection_on_nothing_that_is_lost_is_in_a_route():
    listed, fleet, looked_at = files(planned(), {}), fleet_of(planned()), 0
    for r in fleet.running:
        folder = slug(f"site:{fleet.site_of[r.pool].id}")
        for path in (p for p in sets_of(listed, "overrides") if f"/{folder}/" in p):
            pools = pools_of(listed, path.split("/overrides/")[0])
            if r.placement in pools:
                assert not any(pools[r.placement] in backends for backends in routes_of(listed[path]).values())
                looked_at += 1
    assert looked_at


def test_any_set_may_follow_any():
    for folder in {path.split("/overrides/")[0] for path in sets_of(made(), "overrides")}:
        of_cluster = [
            text for path, text in made().items() if path.startswith(folder) and "kind: List" in text.replace('"', "")
        ]
        named = {frozenset(routes_of(text)) for text in of_cluster}
        assert len(named) == 1 and f"{folder}/base/routes.yaml" in made()


def test_the_runbook_applies_what_there_is_in_the_cluster_it_is_for():
    applied = COMMAND.findall(made()["RUNBOOK.md"])
    written = {path for path in made() if "/overrides/" in path or "/base/" in path}
    assert {path for _, path in applied} == written and written
    assert all(path.startswith(context.replace("-", "/", 1) + "/") for context, path in applied)
    assert "NOT PROVEN" in files(planned(), {"not_proven": "a reason"})["RUNBOOK.md"]


@pytest.mark.kubernetes
def test_the_schema_of_routes_accepts_the_sets():
    if not CRDS.is_dir():
        pytest.skip("no schemas of custom resources beside the project (shared/schemas/crds)")
    missing = [name for name in ("jsonschema", "cel") if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"Python packages not installed: {', '.join(missing)}")
    schemas = load(CRDS)
    texts = sets_of(files(planned(), {}), "overrides").values()
    objects = [o for text in texts for o in yaml.load(text, Loader=LOADER)["items"]]
    assert any(not o["spec"]["rules"][0]["backendRefs"] for o in objects)
    assert {text for o in objects for text in problems(schemas, o)} == set()
