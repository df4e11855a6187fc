"""Gateway files of plans: what stands in them, read back from their text; the programs themselves run elsewhere."""

import json
import random
import re
from dataclasses import astuple, replace

import numpy as np
import pytest
import yaml
from gateway_fakes import small_plan, small_study
from studies import offer, random_study

from planner.emit import envoy, litellm
from planner.emit.behaviour import SCALE, envoy_priorities
from planner.emit.behaviour import envoy as envoy_sends
from planner.emit.behaviour import litellm as litellm_sends
from planner.emit.cascade import ALONE, NOTHING_DUE, OVERRIDE, WITH_REPLICAS, cascades_of_plan, served_by
from planner.emit.common import given
from planner.emit.lint import envoy_rows, lint_envoy, lint_envoy_clusters, lint_litellm, lint_table, litellm_rows
from planner.emit.names import slug
from planner.emit.options import endpoint
from planner.emit.routing import (
    WEIGHTS_ADD_UP_TO,
    Entry,
    Route,
    Table,
    _levels,
    largest_remainder,
    routing_table,
    subject,
)
from planner.emit.text import quoted_yaml, yaml_data
from planner.errors import InputError, NoPlan
from planner.plan.in_hand import in_hand
from planner.plan.plan import make_plan
from planner.problem.build import build
from planner.problem.problem import states
from planner.review.static import static_section
from planner.solve.search import Effort
from planner.study.dependencies import NORMAL
from planner.study.records.study import Claim, Goal, Holding, NamedFailure, Tier, Utilisation

TARGETS = {"litellm": litellm, "envoy": envoy}


@pytest.fixture(scope="module")
def plan():
    return small_plan()


@pytest.fixture(scope="module")
def made(plan):
    return given(plan, {}, litellm.OPTIONS)


def entry(name, share, limit, beyond=False):
    return Entry(name, name, round(share * WEIGHTS_ADD_UP_TO), share, limit, beyond)


WORKED = Route("chat", "o", "chat", 100.0, ((entry("a", 0.75, 90.0), entry("b", 0.25, 35.0)), (entry("c", 1.0, 60.0),)))
"""100 requests/s: 75 to a (room for 90), 25 to b (room for 35), then c (room for 60)."""


# ------------------------------------------------------------------ behaviour, by hand
def test_litellm_fills_a_level_then_the_next():
    assert litellm_sends(WORKED, {"a", "b", "c"}, 100.0) == pytest.approx({"a": 75.0, "b": 25.0})
    assert litellm_sends(WORKED, {"b", "c"}, 100.0) == pytest.approx({"b": 35.0, "c": 60.0})  # 5 are refused
    assert litellm_sends(WORKED, {"a", "c"}, 100.0) == pytest.approx({"a": 90.0, "c": 10.0})
    # 140: a and b grow 3 : 1 until a is full at 90 and b at 30, then b to 35, then 15 to c
    assert litellm_sends(WORKED, {"a", "b", "c"}, 140.0) == pytest.approx({"a": 90.0, "b": 35.0, "c": 15.0})


def test_envoy_spills_what_overflows():
    # a grows to 90 at most, so the level may carry 1.2 times the peak: endpoint weights 90,000 and 30,000 of 100,000;
    # b's last 5 are a priority of their own; all are padded to 100 times the largest, 120,000, and so is the factor
    made = envoy_priorities(WORKED)
    assert made.overprovisioning_factor == 12_000
    assert [[h.health_weight for h in x.hosts] for x in made.priorities] == [[90_000, 30_000], [5_000], [60_000]]
    assert [x.padding for x in made.priorities] == [11_880_000, 11_995_000, 11_940_000]
    assert envoy_sends(WORKED, {"a", "b", "c"}, 100.0) == pytest.approx({"a": 75.0, "b": 25.0})
    # a dead: 12,000 · 30,000 / 12,000,000 = 30 % to b, 5 % more to b, 60 % to c, 5 % refused
    assert envoy_sends(WORKED, {"b", "c"}, 100.0) == pytest.approx({"b": 35.0, "c": 60.0})
    assert envoy_sends(WORKED, {"a", "c"}, 100.0) == pytest.approx({"a": 90.0, "c": 10.0})
    # a surge is not seen: shares stay, and c gets 1.5 times its limit
    assert envoy_sends(WORKED, {"b", "c"}, 150.0)["c"] == pytest.approx(90.0)


@pytest.mark.parametrize("seed", range(200))
def test_no_gateway_sends_more_than_a_limit_whatever_dies(seed):
    g = random.Random(seed)
    peak = g.uniform(1, 500)
    levels = []
    for n in range(g.randint(1, 4)):
        shares = [g.uniform(0.01, 1) for _ in range(g.randint(1, 4))]
        whole = largest_remainder(shares, WEIGHTS_ADD_UP_TO)
        level = []
        for i, weight in enumerate(whole):
            share = weight / WEIGHTS_ADD_UP_TO
            limit = share * peak * g.uniform(1, 2.5) if n == 0 else g.uniform(0.02, 1.2) * peak
            level.append(Entry(f"{n}.{i}", f"{n}.{i}", weight, share, limit, False))
        levels.append(tuple(level))
    route = Route("w", "o", "w", peak, tuple(levels))
    for _ in range(5):
        alive = {x.placement for x in route.entries if g.random() < 0.6}
        room = sum(x.limit_requests_per_second for x in route.entries if x.placement in alive)
        by_litellm = litellm_sends(route, alive, peak)
        assert sum(by_litellm.values()) == pytest.approx(min(peak, room))
        by_envoy = envoy_sends(route, alive, peak)
        # a percent of the peak is lost by rounding in each priority at most
        assert sum(by_envoy.values()) >= min(peak, room) - 0.0101 * peak * (len(levels) + 1)
        for x in route.entries:
            for got in (by_litellm, by_envoy):
                assert got.get(x.placement, 0.0) <= x.limit_requests_per_second * 1.0001 + 2 * peak / SCALE
                assert x.placement in alive or x.placement not in got


# ------------------------------------------------------------------ the table
def test_level_one_is_normal_operation_and_limits_keep_within_the_room(plan):
    of = subject(plan)
    p, x = of.problem, of.decisions
    for hold in ("goals", "always"):
        table = routing_table(of, hold)
        used = dict.fromkeys(p.placements, 0.0)
        for route in table.routes:
            s = (of.hour, NORMAL, 0.0)
            sent = {e: float(x.traffic[route.workload, route.origin, e, s]) for e in p.placements}
            whole = sum(sent.values())
            assert {n.placement: n.share_fraction for n in route.levels[0]} == pytest.approx(
                {e: v / whole for e, v in sent.items() if v > 0}
            )
            for level in route.levels:
                assert sum(n.weight for n in level) == WEIGHTS_ADD_UP_TO
                assert all(abs(n.weight / WEIGHTS_ADD_UP_TO - n.share_fraction) < 1e-4 for n in level)
            for n in route.entries:
                used[n.placement] += n.limit_requests_per_second * p.replica_seconds[route.workload, n.placement]
        rooms = {e: p.utilisation_in_failure * float(x.replicas[e, of.hour]) for e in p.placements}
        if hold == "always":
            assert all(used[e] <= rooms[e] * 1.000001 for e in used)
        assert lint_table(of, table) == []


def test_levels_within_reach_come_first():
    goal = Goal(any="site", within_seconds=60.0)
    far = (Tier(name="t", round_trip_ms=16.0, round_trip_ms_in_failure=60.0, survive=(goal,)),)
    of = given(small_plan(tiers=far), {}, litellm.OPTIONS)
    p = of.of.problem
    beyond = 0
    for route in of.table.routes:
        flags = [n.beyond_normal_reach for n in route.entries]
        assert flags == sorted(flags)
        for n in route.entries:
            assert n.beyond_normal_reach == (n.placement not in p.edges[route.workload, route.origin])
            beyond += n.beyond_normal_reach
    assert beyond
    data = yaml.safe_load(litellm.files(small_plan(tiers=far), {})["origins/o1/config.yaml"])
    groups = {row["model_name"] for row in data["model_list"]}
    (name,) = [next(iter(row.values()))[0] for row in data["router_settings"]["fallbacks"] if "chat" in row]
    assert name in groups


def test_near_and_far_never_share_a_level():
    """One replica of 5 requests/s runs at a; b and c would take as much, but c only within a failure's round trip."""
    goal = Goal(any="site", within_seconds=60.0)
    far = (Tier(name="t", round_trip_ms=16.0, round_trip_ms_in_failure=60.0, survive=(goal,)),)
    small = small_plan(tiers=far, demand={("chat", "o1"): 5.0})
    of = subject(small)
    a, b, c = (f"m/m{i}-short@{place}/s/m{i}" for i, place in enumerate("abc", 1))
    levels = _levels(of, ("chat", "o1"), dict.fromkeys((a, b, c), 5.0), {("chat", "o1", e): 5.0 for e in (b, c)})
    assert [[x.placement for x in level] for level in levels] == [[a], [b], [c]]
    # what goes beyond the promised round trip is not served as promised
    route = replace(routing_table(of).routes[0], levels=levels[2:])
    at_c = lambda a, x, s: np.ones(a.P)  # noqa: E731
    for failure, served_fraction in ((NORMAL, 0.0), ("site:a/s", 1.0)):
        s = next(s for s in states(of.problem, failure))
        found = served_by(of, Table(of.hour, 1, (route,)), "litellm", s, at_c)
        assert found.served_fraction == pytest.approx(served_fraction)


def test_weights_round_by_largest_remainder():
    assert largest_remainder([1, 1, 1], 10) == [4, 3, 3]
    assert largest_remainder([1e9, 1e-9], 10) == [9, 1]


# ------------------------------------------------------------------ the cascade
def served(outcomes, gateway, failure):
    return next(x for x in outcomes if (x.gateway, x.failure) == (gateway, failure))


def test_cascade_worked_by_hand():
    """One stream of 12 requests/s, two sites of which each could carry it all: the static files need no help."""
    spare = small_study(
        utilisation=Utilisation(basis="fixed", normal=0.5, in_failure=1.0),
        demand={("chat", "o1"): 12.0},
    )
    outcomes = cascades_of_plan(make_plan(spare, Effort()))
    for gateway in ("litellm", "envoy"):
        for x in (x for x in outcomes if x.gateway == gateway):
            assert x.verdict == ALONE, x
            assert x.meanwhile.served_fraction == pytest.approx(1.0)


def test_a_failure_that_needs_the_override_says_what_is_short(plan):
    outcomes = cascades_of_plan(plan)
    needs = [x for x in outcomes if x.verdict == OVERRIDE]
    assert needs  # the plan moves streams that the failure does not touch: no gateway does that by itself
    for x in needs:
        assert not x.meanwhile.good and x.meanwhile.served_fraction < 1
        w, o, got, due = astuple(x.meanwhile.worst)
        assert got < due and (w, o) in {(r.workload, r.origin) for r in plan.study.demand}
        if x.gateway == "litellm":  # Envoy may be short by its whole percents alone
            assert x.override_does.shed_requests_per_second + x.override_does.moved_requests_per_second > 0
    assert all(x.verdict == ALONE for x in outcomes if x.failure == NORMAL)


def test_what_replicas_alone_can_mend():
    """10 requests/s, 5 a replica: one each at a and b, and a machine of ours at c, which is lent out. With a lost half
    is served until it is back and loaded, 25 s later; the goal gives 60 s, and no weight is pushed."""
    small = small_study()
    offers = [offer(q.id, 3, most_units=1.0) for q in small.pools[:2]]
    lent = {
        "holdings": (Holding(pool="c/s/m3", machines=1),),
        "claims": (Claim(pool="c/s/m3", machines=1, reclaim_seconds=5.0, lent_to="batch"),),
    }
    outcomes = cascades_of_plan(small_plan(load_seconds=20.0, bought=offers, demand={("chat", "o1"): 10.0}, **lent))
    for gateway in ("litellm", "envoy"):
        x = served(outcomes, gateway, "site:a/s")
        assert x.verdict == WITH_REPLICAS
        worst = x.meanwhile.worst
        assert x.meanwhile.served_fraction == pytest.approx(0.5) and (worst.workload, worst.origin) == ("chat", "o1")
        assert all(at.good for at in x.at_deadlines) and x.override_does.cold_started_replicas == 1


def test_a_surge_overfills_envoy_and_is_refused_by_litellm():
    from planner.study.records.study import NamedFailure

    surge = (NamedFailure(name="rush", lost={}, surge_factor=1.5),)
    tiers = (Tier(name="t", survive=(Goal(failure="rush", serve_fraction=0.5, within_seconds=60.0),)),)
    outcomes = cascades_of_plan(small_plan(tiers=tiers, failures=surge))
    by_envoy, by_litellm = (served(outcomes, g, "failure:rush") for g in ("envoy", "litellm"))
    assert by_envoy.meanwhile.overfull and by_envoy.verdict == OVERRIDE
    assert not by_litellm.meanwhile.overfull and by_litellm.verdict == ALONE


def test_a_file_that_serves_nothing_survives_nothing():
    """All sites are lost at once: no capacity could serve anything, nothing is due, and nothing is survived."""
    every = (NamedFailure(name="all", lost={"site:a/s": 1.0, "site:b/s": 1.0, "site:c/s": 1.0}),)
    goals = (Goal(failure="all", within_seconds=60.0), Goal(any="site", within_seconds=60.0))
    made_plan = small_plan(tiers=(Tier(name="t", survive=goals),), failures=every)
    for gateway in ("litellm", "envoy"):
        x = served(cascades_of_plan(made_plan), gateway, "failure:all")
        assert (x.verdict, x.meanwhile.served_fraction) == (NOTHING_DUE, 0.0)
    section = static_section(in_hand(made_plan))
    row = next(row for row in section.rows if row["envoy"].failure == "failure:all")
    assert {(o.verdict, o.served_fraction_meanwhile) for o in row.values()} == {("nothing due", 0.0)}
    counted = [o.verdict for o in section.data if o.gateway == "envoy"]
    survived = len(counted) - counted.count(OVERRIDE) - 1
    assert f"envoy: {survived} of {len(counted)} failures are survived" in section.lines[0]
    assert "in 1 nothing is due" in section.lines[0]


def test_goals_on_random_plans_never_overfill_litellm():
    """No placement is over its room in a failure of the goals, but in those that lose a part of it, or surge."""
    seen = 0
    for seed in range(30):
        study = random_study(seed)
        try:
            made_plan = make_plan(study, Effort(gap_fraction=0.1))
        except NoPlan:
            continue
        p = build(made_plan.study)
        for x in cascades_of_plan(made_plan):
            partial = any(0 < v < 1 for v in p.lost[x.failure].values()) or p.failures[x.failure].surge_factor > 1
            if x.gateway == "litellm" and not partial:
                # in a failure replicas on spot machines do not count: to a gateway a part of the placement is lost
                assert all(p.pool_of[o.placement] in p.with_spot for o in x.meanwhile.overfull), (seed, x)
                seen += 1
        for target in TARGETS.values():
            target.files(made_plan, {})
    assert seen > 40


# ------------------------------------------------------------------ the files
@pytest.mark.parametrize("target", TARGETS)
def test_the_same_plan_gives_the_same_files(plan, target):
    first, second = TARGETS[target].files(plan, {}), TARGETS[target].files(plan, {})
    assert first == second
    assert {"routing.json", "cascade.md", "cascade.json", "overrides/" + slug("site:a/s") + ".json"} <= set(first)


def test_litellm_reads_back_as_the_table(plan, made):
    files = litellm.files(plan, {})
    for origin in ("o1", "o2"):
        found = litellm_rows(yaml_data(files[f"origins/{origin}/config.yaml"]))
        assert len(found) == sum(len(route.entries) for route in made.table.of_origin(origin))
        for route in made.table.of_origin(origin):
            for order, level in enumerate(route.levels, 1):
                for n in level:
                    row = found[litellm.group_of(route), litellm.deployment_id(route, n)]
                    assert row[:2] == (order, n.weight)
                    # whole requests a minute, rounded down
                    assert 0 <= 60 * n.limit_requests_per_second - row[2] < 1


def limits_read_back(text, peak_requests_per_second):
    """(cluster, placement id) -> limit [requests/s], from an emitted file; peak by cluster."""
    limits = {}
    for (cluster, zone), (_, _, weight) in envoy_rows(yaml_data(text)).items():
        key = (cluster, zone.rpartition("--")[0])
        limits[key] = limits.get(key, 0.0) + weight * peak_requests_per_second[cluster] / SCALE
    return limits


def test_envoy_reads_back_as_the_table(plan, made):
    files = envoy.files(plan, {})
    for origin in ("o1", "o2"):
        routes = made.table.of_origin(origin)
        peak = {route.id: route.requests_per_second for route in routes}
        limits = limits_read_back(files[f"origins/{origin}/clusters.yaml"], peak)
        for route in routes:
            for n in route.entries:
                # what is left in a level beyond whole percents is not worth a priority of its own
                error = 0.01 * peak[route.id] if n in route.levels[0] else peak[route.id] / SCALE
                assert limits[route.id, n.id] == pytest.approx(n.limit_requests_per_second, abs=error)
        rows = envoy_rows(yaml_data(files[f"origins/{origin}/clusters.yaml"]))
        for route in routes:
            first = {
                zone.rpartition("--")[0]: row[1] for (c, zone), row in rows.items() if c == route.id and row[0] == 0
            }
            assert first == {n.id: n.weight for n in route.levels[0]}


def test_context_classes_stay_apart(plan, made):
    for origin in ("o1", "o2"):
        data = yaml.safe_load(litellm.files(plan, {})[f"origins/{origin}/config.yaml"])
        names = {n.id: n.placement for route in made.table.routes for n in route.entries}
        for row in data["model_list"]:
            workload, _, placement = row["model_info"]["id"].partition("--")
            assert row["model_name"].startswith(workload)
            assert f"-{'short' if workload == 'chat' else 'long'}@" in names[placement]
            assert row["model_info"]["max_input_tokens"] == {"chat": 400, "long": 8000}[workload]
        assert data["router_settings"]["context_window_fallbacks"] == [{"chat": ["long"]}]


def test_overrides_are_the_plan_s_states(plan):
    files = litellm.files(plan, {})
    states = {(s.failure, s.deadline_seconds): s for s in plan.states}
    looked_at = 0
    for path, text in files.items():
        if not path.startswith("overrides/"):
            continue
        data = json.loads(text)
        for at in data["states"]:
            state = states[data["failure"], at["deadline_seconds"]]
            state = states[NORMAL, 0.0] if state.same_as_normal else state
            keys = zip(state.workload, state.origin, state.placement, strict=True)
            sent = dict(zip(keys, state.requests_per_second, strict=True))
            emitted = {
                (r["workload"], r["origin"], x["placement"]): x["requests_per_second"]
                for r in at["routes"]
                for x in r["placements"]
            }
            assert emitted == pytest.approx({k: v for k, v in sent.items() if k in emitted})
            assert sum(emitted.values()) == pytest.approx(sum(sent.values()), rel=1e-3)
            for r in at["routes"]:
                assert sum(x["weight"] for x in r["placements"]) in (0, WEIGHTS_ADD_UP_TO)
            looked_at += 1
    assert looked_at == 3


def test_every_string_is_quoted_and_survives():
    traps = ["1e3", "12e4", "0o14", "y", "n", "no", "nan", "~", "#", "'", '"', "\\", "é", "１", "", " a", "a: b", "- a"]
    traps += ["\n", "\x85"]
    text = quoted_yaml({trap: trap for trap in traps})
    assert yaml.safe_load(text) == {trap: trap for trap in traps}
    assert text.isascii()
    for line in text.splitlines():
        assert re.fullmatch(r'([?:] )?"(\\.|[^"\\])*"(: "(\\.|[^"\\])*")?', line), line


# ------------------------------------------------------------------ endpoints and options
@pytest.mark.parametrize(
    "text",
    ["os.environ/SECRET", "file:///etc/passwd", "ftp://a/b", "https://user:pw@a.example", "https://a.example/?q=1",
     "https://a.example/#f", "https://", "https://a b/", "https://a\n.example", "http://a.example:99999",
     "javascript:x", "https://a.example/../x", "https://{placement}", "//a.example", "https://аpple.example", "http://a.example:0"],
)  # fmt: skip
def test_what_is_no_address_is_refused(plan, text):
    assert endpoint(text) is None or "{placement}" in text
    if "{placement}" not in text:
        for target in TARGETS.values():
            with pytest.raises(InputError) as caught:
                target.files(plan, {"endpoint": text})
            assert all(finding.where == "option endpoint" for finding in caught.value.findings)


def test_endpoints_by_template_one_by_one_or_marked_as_missing(plan):
    text = litellm.files(plan, {})["origins/o1/config.yaml"]
    assert "ENDPOINTS ARE NOT SET" in text and ".invalid/v1" in text
    one = "m/m1-short@a/s/m1"
    given_here = json.dumps({one: "http://10.0.0.1:8000/v1"})
    options = {"endpoint": "https://{placement}.{provider}.example/v1", "endpoints": given_here}
    text = litellm.files(plan, options)["origins/o1/config.yaml"]
    assert "NOT SET" not in text
    bases = {row["litellm_params"]["api_base"] for row in yaml.safe_load(text)["model_list"]}
    assert "http://10.0.0.1:8000/v1" in bases and f"https://{slug('m/m2-short@b/s/m2')}.b.example/v1" in bases


@pytest.mark.parametrize(
    "options",
    [{"nope": "1"}, {"limits": "often"}, {"endpoints": "["}, {"endpoints": "[]"}, {"endpoints": '{"x": "http://a"}'},
     {"endpoint": "https://one.example/v1"}, {"cooldown_seconds": "0"}, {"cooldown_seconds": "1e3"},
     {"cooldown_seconds": "٣"}],
)  # fmt: skip
@pytest.mark.parametrize("target", TARGETS)
def test_options_that_do_not_fit_are_refused(plan, target, options):
    with pytest.raises(InputError):
        TARGETS[target].files(plan, options)


def test_envoy_waits_for_answers_that_are_not_streamed(plan):
    of = given(plan, {}, envoy.OPTIONS)
    waits = re.findall(r'"per_try_idle_timeout": "(\d+)s"', "".join(envoy.files(plan, {}).values()))
    slowest = 0.0
    for route in of.table.routes:
        workload = of.workloads[route.workload]
        for point in (point for x in route.entries for point in of.profiles[x.placement].classes):
            if point.context_class == workload.context_class:
                answer_ms = point.first_token_ms + workload.mean_output_tokens * point.per_token_ms
                slowest = max(slowest, answer_ms)
    assert waits and max(map(int, waits)) >= 3 * slowest / 1000


def test_quarantined_pairs_are_found_out_by_nobody():
    lost = (NamedFailure(name="wrong", lost={"qualification:m/cuda": 1.0}),)
    tiers = (Tier(name="t", survive=(Goal(failure="wrong", serve_fraction=0.0, within_seconds=60.0),)),)
    found = cascades_of_plan(small_plan(tiers=tiers, failures=lost))
    assert {x.seen_by for x in found if x.failure == "failure:wrong"} == {
        "nobody, while it answers: take its endpoints down"
    }


def test_no_secret_only_references(plan):
    data = yaml.safe_load(litellm.files(plan, {})["origins/o1/config.yaml"])
    keys = {row["litellm_params"]["api_key"] for row in data["model_list"]}
    assert keys == {"os.environ/A_SERVING_API_KEY", "os.environ/B_SERVING_API_KEY", "os.environ/C_SERVING_API_KEY"}


# ------------------------------------------------------------------ lint
def test_lint_finds_what_gateways_accept(plan, made):
    """A misspelt key, a group that is not there, an id twice, another weight, a secret in the open."""
    text = litellm.files(plan, {})["origins/o1/config.yaml"]
    expected = litellm.expected(made, "o1")
    assert lint_litellm("x", expected, yaml.safe_load(text)) == []

    def finds(change):
        data = yaml.safe_load(text)
        change(data)
        return lint_litellm("x", expected, data)

    assert finds(lambda d: d["model_list"][0]["litellm_params"].update(wieght=3))
    assert finds(lambda d: d["router_settings"]["fallbacks"].append({"chat": ["chatt"]}))
    assert finds(lambda d: d["router_settings"]["context_window_fallbacks"].append({"nobody": ["chat"]}))
    assert finds(lambda d: d["model_list"].append(d["model_list"][0]))
    assert finds(lambda d: d["model_list"][0]["litellm_params"].update(rpm=1))
    assert finds(lambda d: d["model_list"][0]["litellm_params"].update(api_key="sk-123"))
    assert finds(lambda d: d["model_list"][0]["litellm_params"].update(api_base="os.environ/SECRET"))
    assert finds(lambda d: d["model_list"].pop())


def test_lint_of_envoy(plan, made):
    files = envoy.files(plan, {})
    gateway, clusters = files["origins/o1/envoy.yaml"], files["origins/o1/clusters.yaml"]
    expected = envoy.expected(made, "o1")
    routes = [route.id for route in made.table.of_origin("o1")]
    assert lint_envoy("x", routes, yaml.safe_load(gateway)) == []
    assert lint_envoy_clusters("x", routes, expected, yaml.safe_load(clusters)) == []

    def finds(change):
        data = yaml.safe_load(clusters)
        change(data["resources"])
        return lint_envoy_clusters("x", routes, expected, data)

    assert finds(lambda d: d.pop())
    assert finds(lambda d: d.append(d[0]))
    assert finds(lambda d: d[0]["load_assignment"]["endpoints"].pop(0))
    assert finds(lambda d: d[0]["load_assignment"]["endpoints"][0].update(load_balancing_weight=1))
    data = yaml.safe_load(gateway)
    data["static_resources"]["listeners"][1]["address"]["socket_address"].update(port_value=10000)
    assert lint_envoy("x", routes, data)
    assert lint_envoy("x", [*routes, "nobody"], yaml.safe_load(gateway))


def test_lint_refuses_an_entry_that_the_plan_does_not_bear_out(plan):
    of = subject(plan)
    table = routing_table(of)
    route = next(r for r in table.routes if r.workload == "chat")
    stranger = replace(route.levels[0][0], placement="m/m1-long@a/s/m1", id="stranger")

    def findings(levels):
        changed = replace(table, routes=tuple(replace(r, levels=levels) if r is route else r for r in table.routes))
        return [str(finding) for finding in lint_table(of, changed)]

    rest = route.levels[0][1:]
    assert any("does not admit the context class" in text for text in findings(((stranger, *rest), *route.levels[1:])))
    unknown = replace(stranger, placement="m/m9@a/s/m1")
    assert any("no such placement" in text for text in findings(((unknown, *rest), *route.levels[1:])))
    greedy = replace(route.levels[0][0], limit_requests_per_second=1e6)
    assert any("a limit of at most" in text for text in findings(((greedy, *rest), *route.levels[1:])))
    assert any("add up to" in text for text in findings(((replace(route.levels[0][0], weight=1), *rest),)))
    other = plan.model_copy(update={"states": tuple(
        s.model_copy(update={"requests_per_second": tuple(3 * v for v in s.requests_per_second)}) for s in plan.states
    )})  # fmt: skip
    with pytest.raises(InputError, match="replicas of work"):
        litellm.files(other, {})


# ------------------------------------------------------------------ hostile names
PIECES = (
    '"', "'", "\n", "\r", "\t", "\\", "${file('x')}", "%{if}", "{{ lookup('pipe','id') }}", "os.environ/SECRET",
    "../..", "..", "<script>", "|", "&a", "*a", "!!python/object:x", "#", ": ", "- ", "no", "1e3", "~", "а", "ａ", "é",
    "\u202e", "\u0000", "chat", "Chat", "chat ", "CHAT", "x" * 150, "💥", "{placement}", "--", "a-b", "a_b", "a.b",
    "a b", "%00", "$(id)", "`id`", ",",
)  # fmt: skip


def hostile_names(g, count):
    found = set()
    while len(found) < count:
        found.add("".join(g.choice(PIECES) for _ in range(g.randint(2, 5)))[:190])
    return sorted(found, key=lambda name: g.random())


@pytest.fixture(scope="module")
def hostile_plans():
    """Plans whose workloads, origins, providers, sites, machines, models, profiles and failures are hostile names."""
    from studies import machine_type, model, offer, profile, site, study, workload

    from planner.study.records.inventory import Pool
    from planner.study.records.study import NamedFailure, Origin

    g = random.Random(7)
    made = []
    for _ in range(20):
        names = hostile_names(g, 26)
        machine, m = names[0][:40], names[1][:40]  # a placement's id has 200 letters at most
        f = names[2]
        places = [name.replace("/", "-")[:40] for name in names[3:5]]
        sites = tuple(site(f"{place}/s{i}") for i, place in enumerate(places))
        pools = tuple(Pool(site=s.id, machine_type=machine) for s in sites)
        workloads, origins, failures = names[5:11], names[11:15], [names[2], *names[15:]]
        flows = [(w, origins[i % len(origins)]) for i, w in enumerate(workloads)]
        made.append(
            (
                names,
                make_plan(
                    study(
                        sites=sites,
                        machine_types=(machine_type(machine),),
                        pools=pools,
                        bought=[offer(q.id, 3 + i) for i, q in enumerate(pools)],
                        models=(model(m, [profile(machine, "cuda", 5, name=f[:40])]),),
                        origins=tuple(Origin(name=o, latitude=50.0, longitude=0.0) for o in origins),
                        tiers=(Tier(name="t", survive=tuple(Goal(failure=x, within_seconds=60.0) for x in failures)),),
                        failures=tuple(NamedFailure(name=x, lost={f"site:{sites[0].id}": 1.0}) for x in failures),
                        workloads=tuple(workload(w, model=m) for w in workloads),
                        demand={flow: g.randint(1, 9) for flow in flows},
                    ),
                    Effort(),
                ),
            )
        )
    return made


SAFE = re.compile(r"[a-z][a-z0-9-]*")


COMMANDS_OF_OUR_OWN = (
    "    curl -s 'http://127.0.0.1:9901/stats?filter=cds.version_text|warming' | grep -q 'version_text: \"base\"' && "
    "cp NEW/clusters.yaml clusters.yaml.new && mv clusters.yaml.new clusters.yaml",
    '    curl -s -H "Authorization: Bearer $LITELLM_MASTER_KEY" http://127.0.0.1:4000/model/info | '
    """grep -q '"set":"base"' && """
    "cp NEW/config.yaml config.yaml.new && mv config.yaml.new config.yaml",
    "    systemctl restart NAME",
    "    kubectl rollout restart deployment/NAME --namespace NAMESPACE",
    *(
        f"    kubectl create configmap NAME --namespace NAMESPACE --from-file=SET/{name} --dry-run=client -o yaml"
        " | kubectl patch configmap NAME --namespace NAMESPACE --type merge --patch-file /dev/stdin"
        for name in ("clusters.yaml", "config.yaml")
    ),
)
"""Commands of a runbook in which whoever runs them puts names; nothing of the study is in them."""


@pytest.mark.parametrize("target", TARGETS)
def test_hostile_names_are_data(target, hostile_plans):
    seen = set()
    for names, hostile in hostile_plans:
        files = TARGETS[target].files(hostile, {})
        for path in files:
            folders = r"([a-z][a-z0-9-]*/)*([0-9.]+s/)?"
            assert re.fullmatch(rf"{folders}[a-z][a-z0-9-]*\.(json|yaml|md)|RUNBOOK\.md", path), path
        table = json.loads(files["routing.json"])
        seen |= set(names)
        flows = {(d.workload, d.origin) for d in hostile.study.demand}
        assert {(r["workload"], r["origin"]) for r in table["routes"]} == flows
        for kind in ("origins", "workloads", "placements"):
            assert len(set(table[kind].values())) == len(table[kind])
            assert all(SAFE.fullmatch(id_) and len(id_) <= 63 for id_ in table[kind].values())
        assert set(table["workloads"]) == {w for w, _ in flows} and set(table["origins"]) == {o for _, o in flows}
        overrides = [json.loads(text) for path, text in files.items() if path.startswith("overrides/")]
        assert {x["failure"] for x in overrides} == {f"failure:{x.name}" for x in hostile.study.failures}
        # a runbook's commands hold nothing that anybody wrote
        commands = [line for line in files["RUNBOOK.md"].splitlines() if line.startswith("    ")]
        commands = [line for line in commands if line not in COMMANDS_OF_OUR_OWN]
        assert all(re.fullmatch(r"    cp [a-z0-9./-]+ [a-z.]+ && mv [a-z.]+ [a-z.]+", line) for line in commands)
        faults, _, failures = files["cascade.md"].partition("| failure |")
        rows = [line for line in ("| failure |" + failures).splitlines() if line.startswith("| ")]
        assert len(rows) == 3 + len(overrides)  # head, rule, normal operation
        assert all(len(re.findall(r"(?<!\\)\|", row)) == 11 for row in rows)
        rows = [line for line in faults.splitlines() if line.startswith("| ")]
        assert len(rows) == 2 + 7 and all(len(re.findall(r"(?<!\\)\|", row)) == 6 for row in rows)
        for path, text in files.items():
            if path.endswith(".yaml"):
                assert text.isascii()
                check_config(target, yaml.safe_load(text), {names[1][:40]})
    assert len(seen) >= 500


def check_config(target, data, models):
    """Names in a configuration are slugs; what a user wrote stands only behind `openai/`, and as it was."""
    if target == "litellm":
        for row in data["model_list"]:
            assert SAFE.fullmatch(row["model_name"]) and SAFE.fullmatch(row["model_info"]["id"])
            assert row["litellm_params"]["model"].removeprefix("openai/") in models
    for key, text in strings(data):
        if key == "model":
            continue
        assert not re.search(r"[\x00-\x1f\x7f{}$%`<>|\"']", text.removesuffix("\n")), (key, text)
        assert key == "api_key" or "os.environ" not in text or text == litellm.MASTER_KEY


def strings(data, key=""):
    if isinstance(data, str):
        yield key, data
    elif isinstance(data, dict):
        for name, value in data.items():
            yield key, name
            yield from strings(value, name)
    elif isinstance(data, list):
        for value in data:
            yield from strings(value, key)
