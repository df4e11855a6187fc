"""What real outages do, each in numbers that can be followed by hand.

As in `test_drill`: a replica serves 10 requests/s, takes one machine and 300 s to load, detection takes 10 s, demand is
100 requests/s of chat from town, utilisation is 1.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from drill_fixtures import (
    at,
    chat,
    goal,
    hold,
    lend,
    model,
    offer,
    on_demand,
    plan,
    profile,
    running,
    site,
    state,
    study,
    workload,
)
from drilled import A, B, row, served, tier
from pydantic import ValidationError

from planner.drill import OutageImpact, drill_fleet, drill_plan, drill_state_claims
from planner.drill.result import DrillResult
from planner.errors import InputError, PlannerError
from planner.study.records.plan import PlanFile
from planner.study.records.study import (
    Component,
    Demand,
    Dependency,
    Holding,
    NamedFailure,
    Needs,
    Origin,
    Study,
    Tier,
)

LOGIN = (Component(name="login", kind="identity"),)


def needs(component: str, *parts: str, **more: Any) -> Dependency:
    return Dependency(component=component, needs=Needs(all_of=parts), **more)


def failing(name: str = "f", lost: dict[str, float] | None = None, within: float = 60.0, **more: Any) -> dict[str, Any]:
    """A named failure and one goal on it."""
    failure = NamedFailure(name=name, lost=lost or {}, **more)
    return {"failures": (failure,), "tiers": (tier(goal(None, failure=name, within=within)),)}


def outage_impact(result: DrillResult, failure: str) -> OutageImpact:
    return next(t for t in result.outage_impacts if t.failure == failure)


def ten_each(of: Study, a: int = 10, b: int = 10, **rates: float) -> PlanFile:
    return plan(of, {at("a"): a, at("b"): b}, chat(**(rates or {"a": 60.0, "b": 40.0})))


@pytest.mark.parametrize("mode", ["resolve", "rescale"])
def test_sessions_go_on_without_new_logins(mode: Any) -> None:
    # 0.7 of sessions go on; half of login is lost: 0.7 + 0.3 · 0.5 = 0.85
    depends = needs("workload:chat", "identity:login", breaks="new_logins", sessions_go_on_fraction=0.7)
    for lost, remaining in ((1.0, 0.7), (0.5, 0.85)):
        s = study(
            holdings=hold(a=10, b=10),
            components=LOGIN,
            dependencies=(depends,),
            **failing(lost={"identity:login": lost}),
        )
        login = row(drill_plan(ten_each(s), mode), "failure:f", 60.0)
        assert login.served_fraction == pytest.approx(remaining) and not login.broken
        assert login.uncoverable_requests_per_second == pytest.approx(100 * (1 - remaining))


def test_nothing_starts_where_starting_needs_what_is_lost() -> None:
    # b runs 4 and has room for 10; loading takes until 310 s, unless the registry that starts it is gone
    depends = needs("site:google/b", "supply:registry", breaks="starting")
    for lost, share in (({A: 1.0}, 1.0), ({A: 1.0, "supply:registry": 0.1}, 0.4)):
        s = study(
            holdings=hold(a=10, b=10),
            components=(Component(name="registry", kind="supply"),),
            dependencies=(depends,),
            **failing(lost=lost, within=400.0),
        )
        result = drill_plan(ten_each(s, b=4))
        assert served(result, "failure:f", 400.0) == pytest.approx(share)
        assert row(result, "failure:f", 400.0).warm_fraction == pytest.approx(0.4)
        assert row(result, "failure:f", 400.0).cold_start_fraction == pytest.approx(share - 0.4)
    bad = state(chat(b=100), "failure:f", 400.0, cold_started={at("b"): 6})
    p = plan(s, {at("a"): 10, at("b"): 4}, chat(a=60, b=40), [bad])
    assert any("cold-started replicas: llm/p@google/b/m has 6, at most 0" in f for f in drill_state_claims(p))


def test_surges_of_workloads_and_origins_multiply() -> None:
    # chat from town: 1.5 · 1.2 · 1.1 · 100 = 198 on 20 replicas that serve 200, on 18 that serve 180
    surge = {"surge_factor": 1.5, "surges": {"workload:chat": 1.2, "origin:town": 1.1, "workload:other": 9.0}}
    for machines, share in ((10, 1.0), (9, 180 / 198)):
        more = {"workloads": (workload(), workload("other")), "holdings": hold(a=machines, b=machines)}
        result = drill_plan(ten_each(study(**more, **failing(**surge)), machines, machines))
        assert served(result, "failure:f") == pytest.approx(share)


def test_maintenance_is_out_at_the_same_time() -> None:
    # a keeps 1 - 0.3 - 0.4 = 0.3 of 10 replicas
    s = study(holdings=hold(a=10), **failing(lost={A: 0.3}, in_maintenance={A: 0.4}))
    assert served(drill_plan(plan(s, {at("a"): 10}, chat(a=100))), "failure:f") == pytest.approx(0.3)
    # any site, while half of b is out: without a 5 of b's replicas, without b all of a's
    s = study(holdings=hold(a=10, b=10), tiers=(tier(goal(in_maintenance={B: 0.5})),))
    result = drill_plan(ten_each(s))
    assert served(result, f"{A} while 0.5 of {B} is out") == pytest.approx(0.5)
    assert served(result, f"{B} while 0.5 of {B} is out") == 1.0


def test_a_part_that_is_lost_may_all_be_one_placements() -> None:
    # a: 20 machines, 0.2 lost = 4. Spread: each of 10 + 10 replicas keeps 8. On code alone: 10 - 4 = 6 of code, all of
    # chat. A replica of half a machine loses twice as many: 4 machines = 8 replicas.
    for parts, most, remaining in ((8, 10, 6), (4, 20, 12)):
        s = study(
            holdings=hold(a=20),
            models=(model(), model("coder", profiles=[profile(accelerators_per_replica=parts)])),
            workloads=(workload(), workload("code", model="coder", tier="other")),
            demand=tuple(
                Demand(workload=w, origin="town", requests_per_second=r)
                for w, r in (("chat", 100.0), ("code", 10.0 * most))
            ),
            failures=(NamedFailure(name="f", lost={A: 0.2}, worst_part=True),),
            tiers=(tier(goal(None, failure="f")), tier(goal(None, failure="f"), name="other")),
        )
        traffic = chat(a=100.0) | {("code", "town", at("a", "coder/p")): 10.0 * most}
        p = plan(s, {at("a"): 10, at("a", "coder/p"): most}, traffic)
        for mode in ("resolve", "rescale"):
            result = drill_plan(p, mode)
            on_code, on_chat = (f"failure:f on {at('a', e)}" for e in ("coder/p", "llm/p"))
            assert served(result, on_code, 60.0, "other") == pytest.approx(remaining / most)
            assert served(result, on_code) == 1.0
            assert served(result, on_chat) == pytest.approx(0.6)
            assert served(result, on_chat, 60.0, "other") == 1.0


def gateway(*limits: float) -> dict[str, Any]:
    parts = tuple(
        Component(name=f"g{n}", kind="gateway", most_requests_per_second=most) for n, most in enumerate(limits)
    )
    ids = tuple(f"gateway:g{n}" for n in range(len(limits)))
    return {"components": parts, "dependencies": (Dependency(component="workload:chat", needs=Needs(any_of=ids)),)}


@pytest.mark.parametrize("mode", ["resolve", "rescale"])
def test_a_gateway_passes_so_many_requests(mode: Any) -> None:
    # 80 of 100 pass; when half of it is lost 40 pass
    s = study(holdings=hold(a=10, b=10), **gateway(80.0), **failing(lost={"gateway:g0": 0.5}))
    result = drill_plan(ten_each(s), mode)
    assert served(result, "normal", 0.0) == pytest.approx(0.8)
    assert served(result, "failure:f") == pytest.approx(0.4)
    # two gateways: 80 + 30 pass 100; without the first 30 do
    s = study(holdings=hold(a=10, b=10), **gateway(80.0, 30.0), tiers=(tier(goal("gateway")),))
    result = drill_plan(ten_each(s), mode)
    assert served(result, "normal", 0.0) == 1.0
    assert served(result, "gateway:g0") == pytest.approx(0.3)
    assert served(result, "gateway:g1") == pytest.approx(0.8)


@pytest.mark.parametrize("mode", ["resolve", "rescale"])
def test_an_ingress_limits_the_placements_behind_it(mode: Any) -> None:
    # b is behind an ingress of 50: without a 50 of 100 are served, though the replicas there could serve 100
    ingress = Component(name="in", kind="ingress", most_requests_per_second=50.0)
    s = study(holdings=hold(a=10, b=10), components=(ingress,), dependencies=(needs(B, "ingress:in"),))
    result = drill_plan(ten_each(s), mode)
    assert served(result, A) == pytest.approx(0.5) and served(result, B) == 1.0
    assert "requests/s through: ingress:in has 100, at most 50" in " ".join(
        drill_state_claims(plan(s, {at("a"): 10, at("b"): 10}, chat(a=60, b=40), [state(chat(b=100), A, 60.0)]))
    )


def test_any_split_over_gateways_that_two_workloads_share() -> None:
    # chat may pass x or y, code only y; x 60, y 60: chat must take x so that code gets through: 60 + 60 = 120 of 120.
    # A gateway that splits by limits sends 30 of chat to y: 90 through 60
    parts = tuple(Component(name=n, kind="gateway", most_requests_per_second=60.0) for n in "xy")
    s = study(
        holdings=hold(a=20, b=20),
        components=parts,
        dependencies=(
            Dependency(component="workload:chat", needs=Needs(any_of=("gateway:x", "gateway:y"))),
            needs("workload:code", "gateway:y"),
        ),
        workloads=(workload(), workload("code")),
        demand=tuple(Demand(workload=w, origin="town", requests_per_second=60.0) for w in ("chat", "code")),
    )
    p = plan(s, {at("a"): 20, at("b"): 20}, {(w, "town", at(e)): 30.0 for w in ("chat", "code") for e in "ab"})
    assert served(drill_plan(p), A) == pytest.approx(1.0)
    # 30 + 60 through 60: two thirds of 90 pass, 30 of chat beside them: 90 of 120
    assert served(drill_plan(p, "rescale"), A) == pytest.approx(0.75)


def of_gateways(need: Needs, *more: Dependency, **most: float | None) -> Study:
    """A study whose requests need gateways; the most requests/s of each, or none."""
    parts = tuple(Component(name=n, kind="gateway", most_requests_per_second=limit) for n, limit in most.items())
    needing = (Dependency(component="origin:town", needs=need), *more)
    return study(holdings=hold(a=10, b=10), components=parts, dependencies=needing)


@pytest.mark.parametrize("mode", ["resolve", "rescale"])
@pytest.mark.parametrize(
    ("most", "more", "share"),
    [
        ({"x": 50.0, "y": 30.0}, (), 0.8),
        ({"x": 50.0, "y": None}, (), 1.0),  # what has no limit takes it all
        ({"x": 50.0, "y": 30.0}, (needs("workload:chat", "gateway:y"),), 0.3),  # all pass y, and need not pass x
        ({"x": 50.0, "y": 30.0, "z": 60.0}, (needs("workload:chat", "gateway:z"),), 0.6),
        # two choices of the same requests, each their own: 80 and 70
        (
            {"x": 50.0, "y": 30.0, "u": 40.0, "v": 30.0},
            (Dependency(component="workload:chat", needs=Needs(any_of=("gateway:u", "gateway:v"))),),
            0.7,
        ),
        # the same choice at the workload and at the origin is made once
        (
            {"x": 50.0, "y": 30.0},
            (Dependency(component="workload:chat", needs=Needs(any_of=("gateway:x", "gateway:y"))),),
            0.8,
        ),
    ],
)
def test_what_alternatives_let_through(mode: Any, most: dict[str, Any], more: Any, share: float) -> None:
    s = of_gateways(Needs(any_of=("gateway:x", "gateway:y")), *more, **most)
    assert served(drill_plan(ten_each(s), mode), A) == pytest.approx(share)


TWO_OF = Needs(at_least=2, of=("gateway:x", "gateway:y", "gateway:z"))
WITHIN = Needs(any_of=(Needs(all_of=("gateway:x", "gateway:z")), "gateway:y"))
EITHER = Needs(any_of=("gateway:x", "gateway:y"))


@pytest.mark.parametrize(
    ("need", "more", "got"),
    [
        (TWO_OF, (), "limits deeper in what origin:town needs"),
        (WITHIN, (), "limits deeper in what origin:town needs"),
        (EITHER, (needs("gateway:x", "gateway:z"),), "limits deeper in what origin:town needs"),
        (
            EITHER,
            (Dependency(component="workload:chat", needs=Needs(any_of=("gateway:y", "gateway:z"))),),
            "gateway:y in several any_of of the same requests",
        ),
        (
            EITHER,
            (needs("workload:chat", "gateway:z", breaks="new_logins", sessions_go_on_fraction=0.5),),
            "a limit behind what new logins of workload:chat need",
        ),
    ],
)
def test_limits_that_are_not_judged_are_a_finding(need: Needs, more: Any, got: str) -> None:
    s = of_gateways(need, *more, x=50.0, y=50.0, z=50.0)
    for drilled in (drill_plan, drill_state_claims):
        with pytest.raises(InputError) as error:
            drilled(ten_each(s))
        assert [finding.got for finding in error.value.findings] == [got]


def test_alternatives_without_any_limit_are_as_general_as_ever() -> None:
    for need in (TWO_OF, WITHIN):
        s = of_gateways(need, x=None, y=None, z=None)
        assert served(drill_plan(ten_each(s)), A) == 1.0


def test_caches_are_cold_after_a_move() -> None:
    # warm: 100 · (1 - 0.8) / 2000 + 50 / 1000 = 0.06 s: 6 replicas for 100; cold: 0.1 s: 6 replicas serve 60
    s = study(holdings=hold(a=6, b=6), workloads=(workload(cached_fraction=0.8, cached_fraction_in_failure=0.0),))
    for mode in ("resolve", "rescale"):
        result = drill_plan(ten_each(s, 6, 6), mode)
        assert served(result, "normal", 0.0) == 1.0
        assert served(result, A) == pytest.approx(0.6)


def test_a_quarantined_pair_is_dead_on_that_stack_alone() -> None:
    lost = failing(lost={"qualification:llm/cuda": 1.0})
    models = (model(profiles=[profile(), profile("q", "rocm")], stacks=["cuda", "rocm"]), model("coder"))
    s = study(
        holdings=hold(a=10, b=10),
        models=models,
        workloads=(workload(), workload("code", model="coder")),
        demand=tuple(Demand(workload=w, origin="town", requests_per_second=50.0) for w in ("chat", "code")),
        **lost,
    )
    traffic = chat(a=50.0) | {("code", "town", at("b", "coder/p")): 50.0}
    p = plan(s, {at("a"): 5, at("a", "llm/q"): 3, at("b", "coder/p"): 5}, traffic)
    # chat: 3 replicas of q serve 30 of 50; code goes on: 80 of 100
    assert served(drill_plan(p), "failure:f") == pytest.approx(0.8)


def test_a_version_of_a_stack_fails_alone_and_with_its_stack() -> None:
    models = (model(profiles=[profile(stack="cuda@12"), profile("q", "cuda@13")], stacks=["cuda@12", "cuda@13"]),)
    s = study(
        holdings=hold(a=10, b=10), models=models, tiers=(tier(goal("stack_version"), goal("stack", fraction=0.0)),)
    )
    p = plan(s, {at("a"): 10, at("b", "llm/q"): 7}, chat(a=60) | {("chat", "town", at("b", "llm/q")): 40.0})
    result = drill_plan(p)
    assert served(result, "stack_version:cuda@12") == pytest.approx(0.7)
    assert served(result, "stack_version:cuda@13") == 1.0
    assert served(result, "stack:cuda") == 0.0


def test_on_demand_counts_as_far_as_the_study_says() -> None:
    # 10 rented at b, of which half count when a provider is lost: 5 replicas are non-preemptible
    s = on_demand(any="provider", running_fraction=0.5)
    p = plan(s, {at("a"): 10, at("b"): 10}, chat(a=60, b=40), purchases={"google/b/m:on_demand": 10})
    assert "machines under non-preemptible replicas" in " ".join(drill_plan(p).findings), (
        "none of b's machines always counts"
    )
    non_preemptible = tuple(
        r.model_copy(update={"non_preemptible": 0 if "google" in r.placement else None}) for r in p.replicas
    )
    p = p.model_copy(update={"replicas": non_preemptible})
    result = drill_plan(p)
    # at 60 s nothing non-preemptible runs there; 5 machines that count load by 310 s
    assert (served(result, "provider:aws", 60.0), served(result, "provider:aws", 400.0)) == (0.0, 0.5)
    # what does not go on is gone at once: of 40 sent to b nothing stands on machines that always count
    assert served(result, "provider:aws", 0.0) == pytest.approx(0.0)
    # a failure that loses no provider takes nothing away
    assert served(drill_plan(p, which=(("site",), ())), A, 400.0) == 1.0


def test_what_remains_on_the_market_is_obtained_and_launched() -> None:
    # 16 units, 4 rented: half of 12 can be had 10 + 40 = 50 s after the begin, and run 300 s later: 4 + 6 replicas
    for seconds, share in ((40.0, 1.0), (90.0, 1.0), (91.0, 0.4)):
        s = on_demand(obtainable_fraction=0.5, obtain_seconds=seconds)
        p = plan(s, {at("a"): 10, at("b"): 4}, chat(a=60, b=40), purchases={"google/b/m:on_demand": 4})
        late = row(drill_plan(p), "provider:aws", 400.0)
        assert late.served_fraction == pytest.approx(share)
        assert (late.warm_fraction, late.launched_fraction) == (pytest.approx(0.4), pytest.approx(share - 0.4))
        # a plan that says they serve at 400 s, though they were obtained at 101 s, is caught
        says = state(chat(b=100), "provider:aws", 400.0, cold_started={at("b"): 6})
        told = " ".join(drill_state_claims(p.model_copy(update={"states": (*p.states, says)})))
        assert ("under what loads at 100.999 s: google/b/m has 10, at most 4" in told) == (seconds == 91.0)


def test_machines_that_come_back_are_reclaimed() -> None:
    s = study(holdings=hold(a=10, b=10), claims=(lend("b", 6, 60.0),), tiers=(tier(goal(within=400.0)),))
    late = row(drill_plan(plan(s, {at("a"): 10, at("b"): 4}, chat(a=100))), A, 400.0)
    assert (late.warm_fraction, late.reclaimed_fraction, late.cold_start_fraction) == pytest.approx((0.4, 0.6, 0.0))


def test_what_a_failure_costs_until_recovery() -> None:
    # 0 s: 60 of 100 are lost; 60 s: b's 4 replicas serve 40, 60 lost; 400 s: all. 400 s · 60 = 24,000 at 0.5 USD
    worth = Tier(name="gold", survive=(goal(within=60.0, fraction=0.4), goal(within=400.0)), outage_usd_per_request=0.5)
    s = study(holdings=hold(a=10, b=10), tiers=(worth,))
    cost = outage_impact(drill_plan(ten_each(s, b=4)), A)
    assert (cost.requests_lost, cost.usd_lost) == pytest.approx((24_000.0, 12_000.0))
    assert (cost.until, cost.until_seconds, cost.due_again_seconds, cost.all_again_seconds) == (
        "end of drill",
        400,
        400,
        400,
    )
    assert (cost.served_last["chat"], cost.served_worst["chat"]) == pytest.approx((1.0, 0.4))
    # rescale, b holds 4: from 10 s on 60 are lost until the repair after half an hour: 1,800 s · 60
    fixed = Component(name="aws/a", kind="site", hours_to_repair=0.5)
    cost = outage_impact(drill_plan(ten_each(s.model_copy(update={"components": (fixed,)}), b=4), "rescale"), A)
    assert (cost.until, cost.requests_lost) == ("repair", pytest.approx(108_000.0))
    assert cost.due_again_seconds is None and cost.all_again_seconds is None


def test_rescale_moves_at_detection() -> None:
    # 10 s of 60 requests/s are lost, then b's 10 replicas serve all
    cost = outage_impact(drill_plan(ten_each(study(holdings=hold(a=10, b=10))), "rescale"), A)
    assert (cost.requests_lost, cost.all_again_seconds) == (600.0, 10.0)


def test_each_and_pairs_on_a_fleet() -> None:
    s = study(sites=(site("aws", "a"), site("google", "b"), site("azure", "c")), holdings=())
    fleet = [running("a", 10, 6), running("b", 10, 2), running("azure/c/m", 10, 2)]
    result = drill_fleet(s, fleet, which=(("provider",), ("site",)))
    ids = {r.failure for r in result.rows} - {"normal"}
    assert len(ids) == 3 + 3 and f"{A} + {B}" in ids
    assert served(result, f"{A} + {B}") == 1.0 and not result.broken
    with pytest.raises(InputError, match="a kind of component"):
        drill_fleet(s, fleet, which=(("moon",), ()))


@pytest.mark.parametrize(
    "change",
    [
        {"tiers": (tier(goal(None, failure="nowhere")),)},
        {"workloads": (workload(tier="silver"),)},
        {"workloads": (workload(context_class="huge"),)},
        {"demand": (Demand(workload="chat", origin="moon", requests_per_second=1.0),)},
        {"demand": (Demand(workload="nobody", origin="town", requests_per_second=1.0),)},
        {"origins": (Origin(name="town", near="x/y"), Origin(name="town", near="x/y"))},
        {"holdings": (Holding(pool="aws/z/m", machines=1),)},
        {"machine_types": ()},
        {"sites": (site("aws", "a"),)},
        {"models": (model(profiles=[profile(accelerators_per_replica=16)]),)},
        {"failures": (NamedFailure(name="f", lost={"site:moon": 1.0}),)},
        {"dependencies": (needs("workload:chat", "identity:gone"),)},
        {"dependencies": (needs("workload:nobody", A),)},
    ],
)
def test_a_study_that_does_not_fit_itself_is_said(change: dict[str, Any]) -> None:
    pools = study().pools
    s = study(pools=pools).model_copy(update=change)
    p = plan(s, {}, {})
    with pytest.raises(InputError):
        drill_plan(p)
    with pytest.raises(InputError):
        drill_state_claims(p)


def test_a_long_chain_of_dependencies_is_followed() -> None:
    parts = tuple(Component(name=f"c{n}", kind="power") for n in range(3000))
    chain = tuple(needs(f"power:c{n}", f"power:c{n + 1}") for n in range(2999))
    s = study(
        holdings=hold(a=10, b=10),
        components=parts,
        dependencies=(needs(A, "power:c0"), *chain),
        **failing(lost={"power:c2999": 1.0}),
    )
    assert served(drill_plan(ten_each(s), "rescale"), "failure:f") == 1.0
    assert served(drill_plan(ten_each(s), "rescale"), "failure:f", 0.0) == pytest.approx(0.4)


def renamed(data: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Ways to every text in plain data, keys too (they end in a mark)."""
    if isinstance(data, dict):
        for key, value in data.items():
            yield (*way, ("key", key))
            yield from renamed(value, (*way, key))
    elif isinstance(data, list):
        for n, value in enumerate(data):
            yield from renamed(value, (*way, n))
    elif isinstance(data, str):
        yield way


def test_no_renamed_thing_in_a_plan_ends_in_an_internal_error() -> None:
    more = gateway(80.0, 30.0)
    s = study(
        holdings=hold(a=10, b=8),
        claims=(lend("b", 2, 60.0),),
        offers=(offer("b", "on_demand", most_units=16.0), offer("b", "spot")),
        **more,
        failures=(NamedFailure(name="f", lost={A: 0.5}, in_maintenance={B: 0.1}, worst_part=True),),
        tiers=(tier(goal(within=400.0), goal("gateway", 60.0), goal(None, failure="f")),),
    )
    told = state(chat(b=40), A, 400.0, shed={"chat": {"town": 60.0}}, kept={at("b"): 4}, cold_started={at("b"): 1})
    buy = {"google/b/m:on_demand": 4, "google/b/m:spot": 2}
    p = plan(s, {at("a"): 10, at("b"): 10}, chat(a=60, b=40), [told], purchases=buy)
    text = p.model_dump_json(by_alias=True)
    tried = 0
    for way in renamed(json.loads(text)):
        data = json.loads(text)
        place = data
        for step in way[:-1]:
            place = place[step]
        if isinstance(way[-1], tuple):
            place[f"{way[-1][1]}~"] = place.pop(way[-1][1])
        else:
            place[way[-1]] += "~"
        try:
            edited = PlanFile.model_validate(data)
        except ValidationError:
            continue
        tried += 1
        try:
            drill_plan(edited, "rescale"), drill_plan(edited), drill_state_claims(edited)
        except PlannerError as error:
            assert str(error)
    assert tried > 90


def test_counts_that_no_fleet_has_are_said() -> None:
    p = ten_each(study(holdings=hold(a=10, b=10)), a=10**400)
    for ask in (drill_plan, drill_state_claims):
        with pytest.raises(InputError, match="at most 1,000,000,000"):
            ask(p)
