"""How gateways fail over belongs to the failure: where no weights can be pushed they renormalise those that they have.

As in `test_drill`: a replica serves 10 requests/s and takes 300 s to load, detection takes 10 s, demand is 100
requests/s of chat from town. Of it a has 60, b and c have 20 each; b runs 3 replicas, c runs 7. Without a new weights
serve all: 30 + 70. By their weights b and c get half each: 30 of 50, and 50.
"""

from typing import Any

import pytest
from drill_fixtures import at, chat, goal, hold, offer, plan, running, site, state, study, workload
from drilled import A, row, served, tier

import planner
from planner.drill import broken_without, drill_fleet, drill_plan, drill_state_claims
from planner.drill.replay import broken_rows
from planner.review.drill import review_drill
from planner.study.records.plan import PlanFile, Reserves, State
from planner.study.records.study import Component, Demand, Dependency, Holding, NamedFailure, Needs, Study

C = "azure/c/m"
DEPLOYMENT = Component(name="ci", kind="deployment")
PLAIN = NamedFailure(name="plain", lost={A: 1.0})
UNREACHED = NamedFailure(name="unreached", lost={A: 1.0, "deployment:ci": 0.5})


def pushing(component: str = "workload:chat") -> Dependency:
    return Dependency(component=component, needs=Needs(all_of=("deployment:ci",)), breaks="pushing")


def three_sites(*failures: NamedFailure, depends: Dependency | None = None, **changes: Any) -> Study:
    fails = failures or (PLAIN, UNREACHED)
    values: dict[str, Any] = {
        "sites": (site("aws", "a"), site("google", "b"), site("azure", "c")),
        "holdings": (*hold(a=10, b=3), Holding(pool=C, machines=7)),
        "components": (DEPLOYMENT,),
        "dependencies": (depends or pushing(),),
        "failures": fails,
        "tiers": (tier(*(goal(None, failure=f.name) for f in fails)),),
    }
    return study(**(values | changes))


def as_it_runs(of: Study, *states: State, **more: Any) -> PlanFile:
    return plan(of, {at("a"): 10, at("b"): 3, at(C): 7}, chat(a=60, b=20, **{C: 20}), states, **more)


def test_each_failure_is_replayed_as_its_gateways_fail_over() -> None:
    result = drill_plan(as_it_runs(three_sites()))
    assert (result.mode, result.planned, result.rescaled) == ("mixed", "mixed", ("failure:unreached",))
    assert served(result, "failure:plain") == pytest.approx(1.0)
    assert served(result, "failure:unreached") == pytest.approx(0.8) and row(result, "failure:unreached", 60.0).broken
    text = planner.render(review_drill(result, ()))
    assert "no weights can be pushed in 1 of 2, replayed in rescale: failure unreached" in " ".join(text.split())
    assert planner.drill(as_it_runs(three_sites())) == result
    # a mode that is asked for is that of all
    for mode, share in (("resolve", 1.0), ("rescale", 0.8)):
        asked: Any = mode
        everywhere = drill_plan(as_it_runs(three_sites()), asked)
        assert (everywhere.mode, everywhere.rescaled) == (mode, ())
        assert served(everywhere, "failure:plain") == served(everywhere, "failure:unreached") == pytest.approx(share)
    rows = [running("a", 10, 3), running("b", 3, 1), running(C, 7, 1)]
    assert {drill_fleet(three_sites(), rows).mode, planner.drill(three_sites(), rows).mode} == {"rescale"}


@pytest.mark.parametrize(
    ("says", "of_study", "lost", "depends", "share"),
    [
        (None, "resolve", "deployment:ci", pushing("origin:town"), 0.8),
        (None, "resolve", "deployment:ci", pushing("workload:idle"), 1.0),  # of it nothing is wanted
        ("resolve", "resolve", "deployment:ci", pushing(), 0.8),  # nobody can push what the failure says
        ("rescale", "resolve", A, pushing(), 0.8),
        (None, "rescale", A, pushing(), 0.8),
        ("resolve", "rescale", A, pushing(), 1.0),
    ],
)
def test_who_says_how_gateways_fail_over(says: Any, of_study: Any, lost: str, depends: Any, share: float) -> None:
    failure = NamedFailure(name="f", lost={A: 1.0, lost: 1.0}, failover=says)
    workloads = (workload(), workload("idle"))
    s = three_sites(failure, depends=depends, failover=of_study, workloads=workloads)
    assert served(drill_plan(as_it_runs(s)), "failure:f") == pytest.approx(share)
    assert served(drill_plan(as_it_runs(s), named=("f",)), "failure:f") == pytest.approx(share)


def test_components_that_are_lost_one_by_one_are_asked_as_well() -> None:
    # the deployment runs at a: whoever loses a loses it
    on_a = Dependency(component="deployment:ci", needs=Needs(all_of=(A,)))
    result = drill_plan(as_it_runs(three_sites(dependencies=(pushing(), on_a))), which=(("site",), ()))
    assert result.rescaled == (A,) and served(result, A) == pytest.approx(0.8)


def test_limits_of_gateways_hold_where_they_have_their_weights_alone() -> None:
    # without a each of b and c gets 50 of which gateways send 40 at most: 30 of b's 40 run, all of c's
    limits = Reserves(
        workload=("chat",) * 3, origin=("town",) * 3, placement=(at("a"), at("b"), at(C)), hour=("h",) * 3,
        requests_per_second=(120.0, 40.0, 40.0),
    )  # fmt: skip
    result = drill_plan(as_it_runs(three_sites()).model_copy(update={"reserves": limits}))
    assert served(result, "failure:unreached") == pytest.approx(0.7)
    assert served(result, "failure:plain") == pytest.approx(1.0)


def test_normal_operation_has_the_weights_that_gateways_fall_back_on() -> None:
    # two gateways of 60 each: 80 of chat pass either, 40 of code the second. Split best all pass; by what each lets
    # through 40 + 40 reach the second, which passes three quarters: 40 + 30 of chat, 30 of code
    gateways = tuple(Component(name=n, kind="gateway", most_requests_per_second=60.0) for n in "gh")
    over = (
        Dependency(component="workload:chat", needs=Needs(any_of=("gateway:g", "gateway:h"))),
        Dependency(component="workload:code", needs=Needs(all_of=("gateway:h",))),
    )
    for failures, share in (((PLAIN,), 1.0), ((PLAIN, UNREACHED), 100 / 120)):
        s = three_sites(
            *failures,
            components=(DEPLOYMENT, *gateways),
            dependencies=(pushing(), *over),
            holdings=hold(a=12),
            workloads=(workload(), workload("code")),
            demand=tuple(
                Demand(workload=w, origin="town", requests_per_second=r) for w, r in (("chat", 80.0), ("code", 40.0))
            ),
        )
        p = plan(s, {at("a"): 12}, chat(a=80) | {("code", "town", at("a")): 40.0})
        assert served(drill_plan(p), "normal", 0.0) == pytest.approx(share)
        short = [r.short_requests_per_second for r in broken_rows(p, [("h", "normal")])]
        assert short == ([] if share == 1.0 else pytest.approx([20.0]))


def test_nothing_starts_where_no_weights_can_be_pushed() -> None:
    s = three_sites(holdings=(*hold(a=10, b=10), Holding(pool=C, machines=7)))
    claims = [
        state(chat(b=50, **{C: 50}), f"failure:{f}", 400.0, cold_started={at("b"): 2}) for f in ("plain", "unreached")
    ]
    said = [text for text in drill_state_claims(as_it_runs(s, *claims)) if "cold-started" in text]
    assert said == [f"failure:unreached at 400 s: cold-started replicas: {at('b')} has 2, at most 0"]


def test_what_breaks_without_purchases_breaks_as_gateways_fail_over() -> None:
    # the 7 machines of c are bought: without them and a, 3 replicas of b have room for 30
    bought = {"holdings": hold(a=10, b=3), "offers": (offer(C, "commitment"),)}
    p = as_it_runs(three_sites(**bought), purchases={f"{C}:commitment": 7})
    late = p.model_copy(update={"purchases": ()})
    keys = [[(f"{C}:commitment", "p")], []]
    for rows, of_drill in zip(
        broken_without(p, keys), (drill_plan(late, only_goals=True), drill_plan(p, only_goals=True)), strict=True
    ):
        broken = {(r.failure, r.deadline_seconds): r.short_requests_per_second for r in of_drill.rows if r.broken}
        assert {(r.failure, r.deadline_seconds): r.short_requests_per_second for r in rows} == broken
    assert broken == {("failure:unreached", 60.0): pytest.approx(20.0)}
