"""Failures as they happen, by hand: logins, starting, surges, maintenance, parts, gateways, counting, cold caches."""

from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pytest
from failing import EXACT, asked, bought, gateways, goal, units
from studies import machine_type, model, offer, profile, random_study, site, workload

from planner.drill import drill_plan
from planner.drill.replay import prepare
from planner.errors import InputError
from planner.plan.audit import audit
from planner.plan.plan import make_plan
from planner.problem.build import build
from planner.problem.problem import targeted_fraction
from planner.solve.dominance import dominated
from planner.solve.lp_bound import relax
from planner.solve.search import Effort, Infeasible, Search
from planner.solve.solve import solve
from planner.study.dependencies import availability, dependency_graph
from planner.study.records.inventory import Pool
from planner.study.records.study import (
    Component,
    Counted,
    Demand,
    Dependency,
    Goal,
    Holding,
    Horizon,
    Hour,
    NamedFailure,
    Needs,
    Origin,
    Policies,
    Quota,
    Study,
    Tier,
)

LOGIN = Component(name="login", kind="identity")
SPARE = Component(name="spare", kind="identity")


def test_sessions_that_are_logged_in_go_on():
    needs = Dependency(
        component="workload:w",
        needs=Needs(all_of=("identity:login",)),
        breaks="new_logins",
        sessions_go_on_fraction=0.7,
    )
    lost = NamedFailure(name="f", lost={"identity:login": 1.0, "site:p/a": 1.0})
    s = asked(components=(LOGIN,), dependencies=(needs,), failures=(lost,), tiers=goal())
    p = build(s)
    assert p.coverable["failure:f"] == {("w", "o"): pytest.approx(0.7)}
    # 10 at a in normal operation; when a and the login are lost, 7 of 10 requests/s go on, at b
    assert bought(s) == {"p/a": 3, "r/b": 7}, "what must run at b need not run at a"
    (gap,) = make_plan(s, EXACT).uncoverable
    assert gap.coverable_fraction == pytest.approx(0.7) and "identity:login" in gap.missing


def test_a_second_identity_provider_covers():
    needs = Dependency(component="workload:w", needs=Needs(any_of=("identity:login", "identity:spare")))
    lost = NamedFailure(name="f", lost={"identity:login": 1.0})
    s = asked(components=(LOGIN, SPARE), dependencies=(needs,), failures=(lost,), tiers=goal())
    assert bought(s) == {"p/a": 10} and not make_plan(s, EXACT).uncoverable


def test_nothing_starts_without_what_starting_needs():
    registry = Component(name="images", kind="registry")
    needs = Dependency(component="site:r/b", needs=Needs(all_of=("registry:images",)), breaks="starting")
    two = (model("m", [profile("m", "cuda", 1, load_seconds=30.0)]), model("n", [profile("m", "cuda", 1)]))
    quiet = NamedFailure(name="f", lost={"site:p/a": 1.0})
    loud = NamedFailure(name="f", lost={"site:p/a": 1.0, "registry:images": 1.0})
    held = (Holding(pool="r/b/m", machines=10),)
    common: dict[str, Any] = {"components": (registry,), "dependencies": (needs,), "holdings": held, "tiers": goal()}
    # a second workload without a goal runs on the ten machines at b, and makes room when a is lost
    both: dict[str, Any] = {
        "models": two,
        "workloads": (workload("w"), workload("v", tier="low", model="n")),
        "origins": (Origin(name="o", latitude=50.0, longitude=0.0), Origin(name="b", near="r/b")),
        "demand": {("w", "o"): 10, ("v", "b"): 10},
        "sites": (site("p/a"), site("r/b", (50.0, 20.0))),
        "tiers": (*goal(), Tier(name="low", round_trip_ms=5.0)),
    }
    assert bought(asked(**{**common, **both}, failures=(quiet,))) == {"p/a": 10}, "w starts at b within 40 s"
    # the registry is lost with a: what serves w at b must run before
    assert bought(asked(**{**common, **both}, failures=(loud,))) == {"r/b": 10}
    assert build(asked(**common, failures=(loud,))).cannot_start["failure:f"] == {"m/m-cuda@r/b/m"}


def test_without_a_control_plane_what_runs_goes_on_and_nothing_is_started_or_obtained():
    """b may obtain 40 · 0.25 = 10 machines within 20 s when a is lost, and load on them for no time: a alone will do.

    Without a control plane of b, of its region or of all of its provider, the ten must run there before.
    """
    market = Policies(counted=(Counted(offers=("r/b/*",), obtainable_fraction=0.25, obtain_seconds=20.0),))
    alone = NamedFailure(name="f", lost={"site:p/a": 1.0})
    assert bought(asked(failures=(alone,), tiers=goal(), policies=market)) == {"p/a": 10}
    for plane in ("control_plane:r/b", "control_plane:r"):
        both = NamedFailure(name="f", lost={"site:p/a": 1.0, plane: 1.0})
        s = asked(failures=(both,), tiers=goal(), policies=market)
        assert build(s).obtainable["failure:f"] == {} and build(s).cannot_start["failure:f"] == {"m/m-cuda@r/b/m"}
        assert bought(s) == {"r/b": 10}, plane
    # of the other provider it takes nothing: a is dead anyhow
    other = NamedFailure(name="f", lost={"site:p/a": 1.0, "control_plane:p": 1.0})
    assert bought(asked(failures=(other,), tiers=goal(), policies=market)) == {"p/a": 10}


def test_a_control_plane_by_itself_is_survived_by_what_runs():
    tier = Tier(name="t", survive=(Goal(any="control_plane", serve_fraction=1.0, within_seconds=60.0),))
    s = asked(tiers=(tier,))
    assert sorted(build(s).failures)[:4] == [f"control_plane:{name}" for name in ("p", "p/a", "r", "r/b")]
    assert bought(s) == {"p/a": 10}


def test_surges_by_workload_and_origin():
    lost = NamedFailure(name="f", lost={"site:p/a": 0.0}, surge_factor=1.1, surges={"workload:w": 1.5, "origin:o": 2.0})
    # 10 · 1.1 · 1.5 · 2.0 = 33 requests/s
    assert bought(asked(failures=(lost,), tiers=goal())) == {"p/a": 33}


def test_maintenance_at_the_same_time():
    sites = (site("p/a"), site("r/b"), site("r/c"))
    pools = tuple(Pool(site=x.id, machine_type="m") for x in sites)
    offers = [offer(q.id, usd, most_units=40.0) for q, usd in zip(pools, (1, 2, 4), strict=True)]
    tier = Tier(name="t", survive=(Goal(any="site", within_seconds=60.0, in_maintenance={"site:r/b": 1.0}),))
    s = asked(sites=sites, pools=pools, bought=offers, tiers=(tier,))
    assert "site:p/a while site:r/b is out" in build(s).failures
    # b is out for maintenance whatever else is lost: a and c must each do alone
    assert bought(s) == {"p/a": 10, "r/c": 10}
    half = NamedFailure(name="f", lost={"site:p/a": 0.5}, in_maintenance={"site:p/a": 0.3})
    # 20 % of a is left, and all of b: 0.2 a + b ≥ 10 and a + b ≥ 10 at 1 a + 6 b: b = 8, a = 10 (58 USD, 10 b are 60)
    dear = [offer("p/a/m", 1, most_units=10.0), offer("r/b/m", 6, most_units=40.0)]
    assert bought(asked(failures=(half,), tiers=goal(), bought=dear)) == {"p/a": 10, "r/b": 8}


def test_the_loss_may_fall_on_one_placement():
    two = tuple(model(name, [profile("m", "cuda", 1, load_seconds=3600.0)]) for name in "mn")
    common: dict[str, Any] = {
        "models": two,
        "workloads": (workload("w"), workload("v", model="n")),
        "demand": {("w", "o"): 8, ("v", "o"): 8},
        "bought": [offer("p/a/m", 1, most_units=60.0)],
        "pools": (Pool(site="p/a", machine_type="m"),),
        "sites": (site("p/a"),),
    }
    on_all = NamedFailure(name="f", lost={"pool:p/a/m": 0.2})
    worst = NamedFailure(name="f", lost={"pool:p/a/m": 0.2}, worst_part=True)
    # alike: 0.8 of 10 replicas is 8, for each: 20 machines
    assert bought(asked(**common, failures=(on_all,), tiers=goal())) == {"p/a": 20}
    # worst: with M machines one placement loses 0.2 M: r − 0.2 M ≥ 8 for both, 2 r ≤ M: 2 · (8 + 0.2 M) ≤ M, M = 26.7;
    # with 27 machines 5.4 are lost, 13 replicas leave 7: 28 machines, 5.6, 14 leave 8
    s = asked(**common, failures=(worst,), tiers=goal())
    assert sorted(build(s).failures)[:2] == ["failure:f on m/m-cuda@p/a/m", "failure:f on n/m-cuda@p/a/m"]
    assert bought(s) == {"p/a": 28}
    # a placement smaller than the loss is lost whole, no more: one of 5 at most is promised nothing
    small = {**common, "demand": {("w", "o"): 8, ("v", "o"): 1}, "workloads": (workload("w"), workload("v", "u", "n"))}
    tiers = (*goal(), Tier(name="u"))
    # w: r − 0.2 M ≥ 8, r + 1 ≤ M: 0.8 M ≥ 9, M = 12: 2.4 lost, 11 replicas leave 8
    assert bought(asked(**small, failures=(worst,), tiers=tiers)) == {"p/a": 12}


def test_gateways_let_through_what_they_can():
    p = build(asked(**gateways()))
    assert p.request_limits.components == ("gateway:g1", "gateway:g2")
    assert [(a.ids, {o for _, o, _ in a.edges}) for a in p.request_limits.alternatives] == [
        (("1.1 gateway:g1", "1.2 gateway:g2"), {"b"})
    ]
    # o needs 5 of the 6 of g1; b what is left, 1, and the 4 of g2: just enough
    assert bought(asked(**gateways())) == {"p/a": 10}
    with pytest.raises(Infeasible):
        make_plan(asked(**gateways(g2=3.9)), EXACT)
    with pytest.raises(Infeasible):
        make_plan(asked(**gateways(g1=4.9, g2=9.0)), EXACT)
    lost = NamedFailure(name="f", lost={"gateway:g1": 0.5})
    # half of g1: o gets 3 of 5 at most, whatever is bought; 0.6 of each is what can be promised
    assert bought(asked(**gateways(), failures=(lost,), tiers=goal(fraction=0.6))) == {"p/a": 10}
    with pytest.raises(Infeasible):
        make_plan(asked(**gateways(), failures=(lost,), tiers=goal(fraction=0.65)), EXACT)


def test_an_ingress_limits_what_a_site_serves():
    ingress = (
        Component(name="in", kind="ingress", most_requests_per_second=6.0),
        Dependency(component="site:p/a", needs=Needs(all_of=("ingress:in",))),
    )
    s = asked(components=ingress[:1], dependencies=ingress[1:])
    assert bought(s) == {"p/a": 6, "r/b": 4}, "the cheap site cannot be entered by more"


def test_what_counts_of_rented_machines():
    lost = NamedFailure(name="f", lost={"site:p/a": 1.0})
    assert bought(asked(failures=(lost,), tiers=goal())) == {"r/b": 10}
    # in the loss of a site only half of what runs on demand elsewhere is counted on: 20 at b
    half = Policies(counted=(Counted(offers=("*",), any="site", running_fraction=0.5),))
    assert bought(asked(failures=(lost,), tiers=goal(), policies=half)) == {"r/b": 20}
    # a quarter of what is left on the market at b can be had 20 s after detection: x + (40 − x) / 4 ≥ 10: x = 0 will do
    market = Policies(counted=(Counted(offers=("r/b/*",), obtainable_fraction=0.25, obtain_seconds=20.0),))
    s = asked(failures=(lost,), tiers=goal(within=60.0), policies=market)
    assert bought(s) == {"p/a": 10}
    # not by 29 s: detected at 10 s, there at 30 s
    assert bought(asked(failures=(lost,), tiers=goal(within=29.0), policies=market)) == {"r/b": 10}


def test_caches_are_cold_after_a_move():
    warm = workload("w", mean_input_tokens=1e-3, cached_fraction=0.5)
    cold = workload("w", mean_input_tokens=1.0, cached_fraction=0.5, cached_fraction_in_failure=0.0)
    assert warm.cached_fraction_in_failure is None
    half = NamedFailure(name="f", lost={"site:p/a": 0.0})
    slow = (model("m", [profile("m", "cuda", 1)]),)
    point = slow[0].profiles[0].classes[0].model_copy(update={"prefill_tokens_per_second": 1.0})
    slow = (
        slow[0].model_copy(
            update={"profiles": (slow[0].profiles[0].model_copy(update={"classes": (point,)}),)},
        ),
    )
    s = asked(workloads=(cold,), models=slow, failures=(half,), tiers=goal())
    # 0.5 s of input and 1 s of output in normal operation; 1 s and 1 s in the failure: 20 replicas
    assert build(s).replica_seconds["w", "m/m-cuda@p/a/m"] == pytest.approx(1.5)
    assert bought(s) == {"p/a": 20}


def relaxed(s: Study, prune: bool) -> float | None:
    try:
        return relax(Search(build(s), Effort(prune=prune), None, lambda *_: None))
    except Infeasible:
        return None


def cheapest(s: Study, prune: bool) -> float | None:
    try:
        return solve(build(s), replace(EXACT, prune=prune)).cost_usd
    except Infeasible:
        return None


def test_what_harder_failures_imply_costs_nothing_to_leave_out():
    """The same cost with and without: 50 studies of eight pools over all failures, 50 of three in whole numbers."""
    small, tiny = [random_study(seed, "small") for seed in range(50)], [random_study(seed) for seed in range(50)]
    for s in small:
        assert relaxed(s, True) == pytest.approx(relaxed(s, False), rel=1e-7), s.study
    for s in tiny:
        assert cheapest(s, True) == pytest.approx(cheapest(s, False)), s.study
    assert sum(bool(dominated(build(s))) for s in small) >= 10 <= sum(bool(dominated(build(s))) for s in tiny)


def test_what_is_implied_by_hand():
    sites = (site("p/a"), site("p/b"), site("r/c"))
    pools = tuple(Pool(site=x.id, machine_type="m") for x in sites)
    offers = [offer(q.id, 1, most_units=40.0) for q in pools]
    by_site = Goal(any="site", within_seconds=60.0)
    by_provider = Goal(any="provider", within_seconds=300.0)
    tier = Tier(name="t", survive=(by_site, by_provider))
    p = build(asked(sites=sites, pools=pools, bought=offers, tiers=(tier,)))
    # r has one site: what survives site c by 60 s survives provider r by 300 s; p has two, more than either alone,
    # but has more time: neither implies the other
    assert dominated(p) == {"provider:r": "site:r/c"}
    later = Tier(name="t", survive=(Goal(any="site", within_seconds=400.0), by_provider))
    p = build(asked(sites=sites, pools=pools, bought=offers, tiers=(later,)))
    assert dominated(p) == {"site:p/a": "provider:p", "site:p/b": "provider:p", "site:r/c": "provider:r"}
    more = Tier(name="t", survive=(Goal(any="site", serve_fraction=0.9, within_seconds=60.0), by_provider))
    p = build(asked(sites=sites, pools=pools, bought=offers, tiers=(more,)))
    assert dominated(p) == {}, "all of it is due in the loss of a provider, 90 % in that of a site"


def test_what_loads_for_300_s_does_not_serve_at_60_s():
    """Ten machines stand at b for a stream without a goal; they could serve w, but not before 310 s."""
    two = (model("m", [profile("m", "cuda", 1, load_seconds=300.0)]), model("n", [profile("m", "cuda", 1)]))
    lost = NamedFailure(name="f", lost={"site:p/a": 1.0})
    common: dict[str, Any] = {
        "models": two,
        "workloads": (workload("w"), workload("v", tier="low", model="n")),
        "origins": (Origin(name="o", latitude=50.0, longitude=0.0), Origin(name="b", near="r/b")),
        "demand": {("w", "o"): 10, ("v", "b"): 10},
        "sites": (site("p/a"), site("r/b", (50.0, 20.0))),
        "holdings": (Holding(pool="r/b/m", machines=10),),
        "failures": (lost,),
    }
    low = Tier(name="low", round_trip_ms=5.0)
    assert bought(asked(**common, tiers=(*goal(within=60.0), low))) == {"r/b": 10}, "hot at b, where nothing is lost"
    assert bought(asked(**common, tiers=(*goal(within=309.0), low))) == {"r/b": 10}
    assert bought(asked(**common, tiers=(*goal(within=310.0), low))) == {"p/a": 10}, "10 s of detection, 300 s to load"


def test_each_share_in_maintenance_is_a_failure_of_its_own():
    """10 or 80 % of b is out while a is lost: b must hold 10 / 0.2 machines, at 2 USD each."""
    goals = tuple(Goal(failure="f", within_seconds=60, in_maintenance={"site:r/b": share}) for share in (0.1, 0.8))
    offers = [offer("p/a/m", 1, most_units=80.0), offer("r/b/m", 2, most_units=80.0)]
    lost = NamedFailure(name="f", lost={"site:p/a": 1.0})
    s = asked(failures=(lost,), tiers=(Tier(name="t", survive=goals),), bought=offers)
    assert list(build(s).failures)[1:] == [f"failure:f while {share} of site:r/b is out" for share in (0.1, 0.8)]
    assert bought(s) == {"r/b": 50} and not drill_plan(make_plan(s, EXACT)).broken


@pytest.mark.parametrize("most", [4.0, 5.0])
def test_what_is_obtained_in_a_failure_needs_no_unit_before(most):
    """All that is left on the market at b can be had in time: nothing of it is rented before, few units or many."""
    market = Policies(counted=(Counted(offers=("r/b/*",), obtainable_fraction=1.0, obtain_seconds=1.0),))
    offers = [offer("p/a/m", 1, most_units=40.0), offer("r/b/m", 2, most_units=most)]
    lost = NamedFailure(name="f", lost={"site:p/a": 1.0})
    s = asked(bought=offers, policies=market, failures=(lost,), tiers=goal(), demand={("w", "o"): 4})
    assert bought(s) == {"p/a": 4}


@pytest.mark.parametrize("most", [4.0, 5.0])
def test_work_that_waits_may_fill_a_unit_beyond_the_demand_of_its_hour(most):
    """10 by day and 2 by night are 6 in the mean: one machine of 6/s does, as the night takes up more than it asks."""
    halves = tuple(Hour(name=name, weight_fraction=0.5) for name in ("day", "night"))
    rows = tuple(
        Demand(workload="w", origin="o", requests_per_second=v, hour=h) for h, v in (("day", 10.0), ("night", 2.0))
    )
    s = asked(
        horizon=Horizon(start=date(2026, 1, 1), months=1.0, hours=halves),
        tiers=(Tier(name="t", deferrable_hours=24),),
        demand=rows,
        models=(model("m", [profile("m", "cuda", 6)]),),
        bought=[offer("p/a/m", 1, "commitment", term_months=1, most_units=most)],
        pools=(Pool(site="p/a", machine_type="m"),),
        sites=(site("p/a"),),
    )
    plan = make_plan(s, EXACT)
    assert plan.proof.cost_usd == plan.proof.bound_usd == 1.0 and audit(plan).passed


@pytest.mark.parametrize("spare", [0.0, 1.0])
def test_a_loss_on_one_placement_may_need_more_machines_than_serve_everything(spare):
    """3 + 3 requests/s: with M machines 0.4 M are lost at once: r − 0.4 M ≥ 3 for both, 2 r + spare ≤ M: M = 30.

    A spare machine needs M of 35: 14 are lost, 17 replicas of each leave 3.
    """
    two = tuple(model(name, [profile("m", "cuda", 1, load_seconds=9999.0)]) for name in ("m1", "m2"))
    s = asked(
        models=two,
        workloads=(workload("w1", model="m1"), workload("w2", model="m2")),
        demand={("w1", "o"): 3, ("w2", "o"): 3},
        failures=(NamedFailure(name="f", lost={"pool:p/a/m": 0.4}, worst_part=True),),
        tiers=goal(),
        sites=(site("p/a"),),
        pools=(Pool(site="p/a", machine_type="m", spare_machines=spare),),
        bought=[offer("p/a/m", 1, most_units=200.0)],
    )
    assert targeted_fraction(build(s), "p/a/m") == pytest.approx(0.8)
    plan = make_plan(s, EXACT)
    assert units(plan) == {"p/a": 35 if spare else 30}
    assert audit(plan).passed and not drill_plan(plan).broken
    # 1 / 0.4 placements are left with something at most: of three, two are relied upon
    third = replace(build(s), on_pool={"p/a/m": (*build(s).on_pool["p/a/m"], "third")})
    assert targeted_fraction(third, "p/a/m") == pytest.approx(0.8)


def test_what_is_obtained_in_a_failure_keeps_to_quotas_and_power():
    """All ten could be had at b once a is lost, but for a quota of 2: eight of ten are rented there before."""
    market = Counted(offers=("r/b/*",), obtainable_fraction=1.0, obtain_seconds=1.0)
    quota = Quota(name="q", pools=("r/b/m",), most=2.0)
    lost = NamedFailure(name="f", lost={"site:p/a": 1.0})
    s = asked(policies=Policies(counted=(market,), quotas=(quota,)), failures=(lost,), tiers=goal())
    with pytest.raises(Infeasible):
        make_plan(s, EXACT)
    # 20 % of the goal in time: two machines of the quota do, none of them rented before
    fifth = s.model_copy(update={"tiers": goal(fraction=0.2)})
    assert bought(fifth) == {"p/a": 10} and not drill_plan(make_plan(fifth, EXACT)).broken
    # a quota that a third pool shares: what runs there leaves less to obtain; c is dearer and must do without b
    three = (site("p/a"), site("r/b"), site("r/c"))
    pools = tuple(Pool(site=x.id, machine_type="m") for x in three)
    offers = [offer(q.id, usd, most_units=40.0) for q, usd in zip(pools, (1, 2, 4), strict=True)]
    shared = Quota(name="q", pools=("r/*",), most=10.0)
    both = Policies(counted=(market,), quotas=(shared,))
    assert bought(s.model_copy(update={"policies": both})) == {"p/a": 10}
    third = asked(sites=three, pools=pools, bought=offers, policies=both, failures=(lost,), tiers=goal())
    assert bought(third) == {"p/a": 10}
    held = (Holding(pool="r/c/m", machines=4),)
    # four held at c take their part of the quota, and serve: six are obtained at b, and six rented at a
    assert bought(third.model_copy(update={"holdings": held})) == {"p/a": 6}
    # power of the site: 3 kW, 1 kW each
    kw = (site("p/a"), site("r/b", power_kw=3.0))
    s = asked(
        sites=kw,
        machine_types=(machine_type("m", power_kw=1.0),),
        policies=Policies(counted=(market,)),
        failures=(lost,),
        tiers=goal(fraction=0.3),
    )
    assert bought(s) == {"p/a": 10}
    with pytest.raises(Infeasible):
        make_plan(s.model_copy(update={"tiers": goal(fraction=0.31)}), EXACT)


def test_a_control_plane_is_gone_with_its_region_and_may_stand_on_a_site_of_it():
    """Planner and drill: all of a region takes its control plane, a part none; what starting needs is no circle."""
    on_site = Dependency(component="control_plane:r/b", needs=Needs(all_of=("site:r/b",)))
    s = asked(dependencies=(on_site,))
    graph, (_, drill_graph, _) = dependency_graph(s), prepare(s)
    for lost, of_region, of_provider in (
        ({"region:r/b": 1.0}, 0.0, 1.0),
        ({"provider:r": 1.0}, 0.0, 0.0),
        ({"site:r/b": 0.5}, 0.5, 1.0),
    ):
        planes = {"control_plane:r/b": of_region, "control_plane:r": of_provider, "control_plane:p/a": 1.0}
        value = availability(graph, lost)
        by_drill = drill_graph.values({c: np.array([share]) for c, share in lost.items()}, 1)
        assert {c: value[c] for c in planes} == planes == {c: float(by_drill[c][0]) for c in planes}
    apart = dependency_graph(asked())
    assert availability(apart, {"region:r/b": 0.5})["control_plane:r/b"] == 1.0
    circle = Dependency(component="region:r/b", needs=Needs(all_of=("control_plane:r/b",)))
    with pytest.raises(InputError):
        prepare(asked(dependencies=(circle,)))
