"""Positions and ids, there and back; flows that are merged: which are one, what they ask for, and the same optimum."""

import random
from collections.abc import Iterator
from typing import Any

import pytest
from studies import beset_study, machine_type, model, offer, profile, random_study, site, study, workload
from whole_program import optimum
from worked_points import given, rated

from planner.errors import InputError
from planner.problem.arrays import ANY, Arrays, full, merged, of_tests, unmerged
from planner.problem.build import build
from planner.problem.decisions import Decisions, table
from planner.problem.problem import HOUR, Problem
from planner.problem.rules.index_sets import INDEX_SETS, as_vectors, by_id, every_key, scopes
from planner.study.dependencies import NORMAL
from planner.study.records.inventory import Pool
from planner.study.records.study import (
    Component,
    Dependency,
    Goal,
    NamedFailure,
    Needs,
    Origin,
    Policies,
    RequestCost,
    Share,
    Study,
    Tier,
)


# ------------------------------------------------------------------ ids and positions
def problems() -> Iterator[Problem]:
    yield build(given())
    yield build(rated("cvar"))
    for seed in range(6):
        for asked in (random_study(seed, "small"), beset_study(seed)):
            try:
                yield build(asked)
            except InputError:
                continue


def test_decisions_by_id_are_the_same_after_they_were_vectors():
    seen = set()
    for n, p in enumerate(problems()):
        g, x = random.Random(n), Decisions()
        for decision in table():
            getattr(x, decision.name).update({key: g.choice([1.0, 2.5]) for key in every_key(p, decision.name)})
            seen |= {decision.name} if getattr(x, decision.name) else set()
        vectors = as_vectors(p, x)
        assert by_id(p, vectors) == x
        for decision in table():
            index_set = INDEX_SETS[decision.over]
            for scope in scopes(p, index_set):
                assert len(getattr(vectors, decision.name)[scope]) == len(index_set.of(full(p))), decision.name
    assert seen >= {decision.name for decision in table()} - {"excess", "component_throughput", "throughput"}


def test_what_is_of_no_element_is_left_out():
    p, x = build(given()), Decisions()
    x.replicas["ghost", p.hours[0]] = x.traffic["w", "o", "ghost", (p.hours[0], NORMAL, 0.0)] = 1.0
    x.replicas[p.placements[0], "never"] = 2.0
    assert by_id(p, as_vectors(p, x)) == Decisions()


def test_positions_name_what_they_stand_for():
    for p in problems():
        a = full(p)
        assert a.edges == [
            (*a.flows[i], p.placements[e]) for i, e in zip(a.flow_of_edge, a.placement_of_edge, strict=True)
        ]
        assert [p.pool_of[p.placements[e]] for e in a.placement_of_edge] == [p.pools[q] for q in a.pool_of_edge]
        assert all(
            a.offers[a.offer_at[b]] == (b,) and p.pools[a.pool_at[p.pool_of[b]]] == p.pool_of[b] for b in p.offers
        )
        for f in (NORMAL, *list(p.failures)[1:4]):
            of, lost = p.edges if f == NORMAL else p.edges_in_failure, p.lost[f]
            alive = {(w, o, e) for (w, o), ends in of.items() for e in ends if lost.get(e, 1.0) > 0}
            assert {edge for edge, may in zip(a.edges, a.may_serve(f), strict=True) if may} == alive
            assert f in p.rescaled or set(merged(p)(f).edges) <= alive


# ------------------------------------------------------------------ which flows are one, by hand
A, B = "m/m-cuda@p/a/m", "m/n-neuron@r/b/n"
NO_A, NO_B = "site:p/a", "site:r/b"
GOAL = Goal(any="site", serve_fraction=0.5, within_seconds=60.0)


def asked(**parts: Any) -> Study:
    """w (10 from o, 5 from north) and v (2 from o); A serves 5/s, B 4/s; any site may be lost, half is due.

    A request of v is one of w twice as long, at a peak of 1.5: three times the work, wherever it runs.
    """
    fields: dict[str, Any] = {
        "sites": (site("p/a"), site("r/b", (50.0, 20.0))),
        "machine_types": (machine_type("m"), machine_type("n")),
        "pools": (Pool(site="p/a", machine_type="m"), Pool(site="r/b", machine_type="n")),
        "bought": [offer("p/a/m", 2), offer("r/b/n", 3)],
        "models": (model("m", [profile("m", "cuda", 5), profile("n", "neuron", 4, load_seconds=40.0)]),),
        "origins": (Origin(name="o", latitude=50.0, longitude=0.0), Origin(name="north", latitude=50.0, longitude=0.1)),
        "tiers": (
            Tier(name="t", survive=(GOAL,)),
            Tier(name="u", survive=(GOAL.model_copy(update={"serve_fraction": 1.0}),)),
        ),
        "workloads": (
            workload("w"),
            workload("v", tier="u", mean_input_tokens=2e-3, mean_output_tokens=2.0, burst_factor=1.5),
        ),
        "demand": {("w", "o"): 10, ("w", "north"): 5, ("v", "o"): 2},
    }
    return study(**{**fields, **parts})


def groups(p: Problem, f: str) -> list[set[tuple[str, str]]]:
    """Flows that are one in a kind of states."""
    a = of_tests(p) if f == ANY else merged(p)(f)
    return [{p.flows[i] for i in a.member[a.group == n]} for n in range(a.F)]


def check(s: Study, expected: dict[str, list[set[tuple[str, str]]]]) -> Problem:
    """The groups are these, and the optimum is that of each flow by itself."""
    p = build(s)
    for f, some in expected.items():
        assert sorted(map(sorted, groups(p, f))) == sorted(map(sorted, some)), f
    usd = optimum(p, merged(p))
    assert usd is not None and usd == pytest.approx(optimum(p, unmerged(p)), rel=1e-6)
    return p


WO, WN, VO = ("w", "o"), ("w", "north"), ("v", "o")
ONE, APART, BY_WORKLOAD = [{WO, WN, VO}], [{WO}, {WN}, {VO}], [{WO, WN}, {VO}]


def at(a: Arrays, of_flow: Any) -> float:
    (number,) = of_flow
    return float(number)


def test_origins_with_the_same_edges_and_workloads_in_proportion_are_one():
    p = check(asked(), {NORMAL: ONE, NO_A: ONE, NO_B: ONE, ANY: ONE})
    a, s = merged(p)(NO_A), (HOUR, NO_A, 60.0)
    first = p.flows[a.first[0]]
    each = {WO: 1.0, WN: 1.0, VO: 3.0} if first[0] == "w" else {WO: 1 / 3, WN: 1 / 3, VO: 1.0}
    assert dict(zip((p.flows[i] for i in a.member), a.unit, strict=True)) == pytest.approx(each)
    of_v = 1 / each[WO]  # in requests of w: 10 + 5 + 3 · 2; of w half is due, of v all
    assert at(a, a.requests(s)) * of_v == pytest.approx(21.0) and at(a, a.due(s)) * of_v == pytest.approx(13.5)
    assert at(a, a.not_due(s)) * of_v == pytest.approx(7.5) and a.edges == [(*first, B)]
    assert at(a, a.replica_seconds(NO_A)) / of_v == pytest.approx(0.25, rel=1e-6)


def test_workloads_that_are_not_in_proportion_are_apart():
    """1000 tokens in, at 10,000 a second in both: 0.1 s beside 1 / 5 and 1 / 4 of w, in no proportion."""
    profiles = [
        f.model_copy(
            update={"classes": tuple(c.model_copy(update={"prefill_tokens_per_second": 1e4}) for c in f.classes)}
        )
        for f in asked().models[0].profiles
    ]
    long = workload("v", tier="u", mean_input_tokens=1000.0)
    s = asked(models=(model("m", profiles),), workloads=(workload("w"), long))
    # where one placement is left anything is in proportion
    check(s, {NORMAL: BY_WORKLOAD, ANY: BY_WORKLOAD, NO_A: ONE, NO_B: ONE})


def test_origins_with_other_edges_are_apart_where_these_live():
    """north, 20 degrees away, reaches B alone: where A is lost o does too."""
    tiers = tuple(t.model_copy(update={"round_trip_ms": 10.0}) for t in asked().tiers)
    origins = (asked().origins[0], Origin(name="north", latitude=50.0, longitude=20.0))
    wide = tuple(t.model_copy(update={"round_trip_ms_in_failure": 100.0}) for t in tiers)
    both = asked(tiers=wide, origins=origins)
    p = check(both, {NORMAL: [{WO, VO}, {WN}], NO_A: ONE, NO_B: ONE, ANY: ONE})
    assert merged(p)(NORMAL).E == 2 and full(p).E == 6


def usd(o: str, at: str, usd_per_request: float) -> RequestCost:
    return RequestCost(origin=o, site=at, usd_per_request=usd_per_request)


def test_request_costs_keep_apart_what_they_tell_apart_where_they_are_minimised():
    same = tuple(usd(o, "r/b", 1e-4) for o in ("o", "north"))
    check(asked(request_costs=same), {NORMAL: BY_WORKLOAD, NO_A: ONE, NO_B: ONE, ANY: ONE})
    check(asked(request_costs=same[:1]), {NORMAL: APART, NO_A: ONE, NO_B: ONE, ANY: ONE})


def test_shares_count_requests_not_work():
    policies = Policies(shares=(Share(component="provider:p", most_fraction=0.5),))
    check(asked(policies=policies), {NORMAL: BY_WORKLOAD, NO_A: ONE, NO_B: ONE, ANY: ONE})


def test_work_that_waits_is_apart():
    tiers = (asked().tiers[0], Tier(name="u", deferrable_hours=24.0))
    check(asked(tiers=tiers), {NORMAL: BY_WORKLOAD, NO_A: ONE, ANY: ONE})


def test_a_tier_of_which_not_all_is_served_is_apart_in_normal_operation():
    tiers = tuple(t.model_copy(update={"serve_fraction": 0.9}) for t in asked().tiers)
    check(asked(tiers=tiers), {NORMAL: BY_WORKLOAD, NO_A: ONE, ANY: ONE})


def test_a_price_of_outages_keeps_workloads_apart_and_what_surges():
    tiers = tuple(t.model_copy(update={"outage_usd_per_request": 1e-3}) for t in asked().tiers)
    rated = NamedFailure(name="f", lost={"site:p/a": 1.0}, failures_per_year=6.0, hours_to_repair=0.5)
    priced = {"tiers": tiers, "objective": "expected"}
    f = "failure:f"
    expected = {NORMAL: BY_WORKLOAD, f: BY_WORKLOAD, ANY: BY_WORKLOAD, NO_A: ONE, NO_B: ONE}
    check(asked(**priced, failures=(rated,)), expected)
    surging = rated.model_copy(update={"surges": {"origin:north": 1.5}})
    check(asked(**priced, failures=(surging,)), {NORMAL: APART, f: APART, ANY: APART, NO_A: ONE, NO_B: ONE})


def test_a_surge_that_is_not_priced_is_a_size_like_another():
    goals = tuple(
        t.model_copy(update={"survive": (*t.survive, Goal(failure="f", serve_fraction=0.5, within_seconds=60.0))})
        for t in asked().tiers
    )
    surging = NamedFailure(name="f", lost={"site:p/a": 1.0}, surges={"origin:north": 1.5})
    p = check(asked(tiers=goals, failures=(surging,)), {NORMAL: ONE, "failure:f": ONE, ANY: ONE})
    a, s = merged(p)("failure:f"), (HOUR, "failure:f", 60.0)
    of_v = 1.0 if p.flows[a.first[0]][0] == "w" else 3.0
    assert at(a, a.requests(s)) * of_v == pytest.approx(10 + 1.5 * 5 + 3 * 2)


def test_components_with_limits_count_requests_of_each_workload():
    gates = (Component(name="g", kind="gate", most_requests_per_second=50.0),)
    behind = Dependency(component="origin:north", needs=Needs(all_of=("gate:g",)))
    apart = [{WO, VO}, {WN}]
    check(asked(components=gates, dependencies=(behind,)), {NORMAL: apart, NO_A: apart, ANY: apart})
    everyone = tuple(behind.model_copy(update={"component": f"origin:{o}"}) for o in ("o", "north"))
    check(asked(components=gates, dependencies=everyone), {NORMAL: BY_WORKLOAD, NO_A: BY_WORKLOAD, ANY: BY_WORKLOAD})


def test_gateways_that_rescale_have_each_flow_by_itself():
    p = build(asked(failover="rescale"))
    assert merged(p)(NORMAL) is merged(p)(NO_A) is full(p) and full(p).F == 3


# ------------------------------------------------------------------ the same optimum
def variants(seed: int) -> Iterator[Study]:
    """Random studies: as they are, with costs by origin, shares, limits of gateways, prices, work that waits."""
    g = random.Random(seed)
    s = random_study(seed, "small")
    yield beset_study(seed)
    costs = tuple(usd(o.name, x.id, g.choice([1e-6, 1e-5])) for o in s.origins for x in s.sites)
    shares = (Share(component=f"provider:{s.sites[0].provider}", most_fraction=0.6),)
    gates = tuple(Component(name=n, kind="gate", most_requests_per_second=g.choice([20.0, 40.0])) for n in "gh")
    needs = Dependency(component=f"workload:{s.workloads[0].name}", needs=Needs(any_of=("gate:g", "gate:h")))
    behind = Dependency(component=f"origin:{s.origins[0].name}", needs=Needs(all_of=("gate:g",)))
    tiers = tuple(t.model_copy(update={"outage_usd_per_request": 1e-4}) for t in s.tiers)
    rated = tuple(
        Component(name=x.id, kind="site", failures_per_year=2.0, hours_to_repair=0.5)
        for x in s.sites
        if any(q.site == x.id for q in s.pools)
    )
    waits = s.tiers[1].model_copy(update={"deferrable_hours": 24.0, "survive": ()})
    changes: list[dict[str, Any]] = [
        {},
        {"request_costs": costs},
        {"policies": Policies(shares=shares)},
        {"components": gates, "dependencies": (needs, behind)},
        {"tiers": tiers, "components": rated, "objective": ("expected", "cvar", "worst_case")[seed % 3]},
        {"tiers": (s.tiers[0], waits)},
    ]
    yield s.model_copy(update=changes[seed % len(changes)])


def test_merged_or_not_the_optimum_is_the_same():
    compared, flows, merged_flows = 0, 0, 0
    for seed in range(9):
        for asked_for in variants(seed):
            p = build(asked_for)
            if p.rescaled:
                continue
            one, other = optimum(p, merged(p)), optimum(p, unmerged(p))
            assert (one is None) == (other is None), (seed, asked_for.study)
            assert one is None or one == pytest.approx(other, rel=1e-6), (seed, asked_for.study)
            compared += one is not None
            flows += len(p.flows) * len(p.failures)
            merged_flows += sum(merged(p)(f).F for f in p.failures)
    assert compared > 9 and merged_flows < flows / 2, (compared, merged_flows, flows)
