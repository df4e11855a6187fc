"""Plans of studies with everything that real outages do pass the drill, which shares no code with what made them."""

import random
from typing import Any

import pytest
from studies import random_study

from planner.drill import drill_plan, drill_state_claims
from planner.plan.audit import audit
from planner.plan.plan import make_plan
from planner.solve.search import Effort, Infeasible
from planner.study.records.study import Component, Counted, Dependency, Failover, Goal, NamedFailure, Needs, Study

PARTS, SEEDS = 4, 60


def with_effects(study: Study, g: random.Random) -> Study:
    """The study with logins, gateways, starting, maintenance, surges, worst parts, counting and cold caches."""
    most = sum(d.requests_per_second for d in study.demand)
    flows = [f"workload:{w.name}" for w in study.workloads]
    pools = [f"pool:{pool.id}" for pool in study.pools]
    sites = sorted({f"site:{pool.site}" for pool in study.pools})
    login = Needs(all_of=("identity:login",))
    possible: list[dict[str, Any]] = [
        {"component": g.choice(flows), "needs": login, "breaks": "new_logins", "sessions_go_on_fraction": 0.5},
        {
            "component": f"origin:{g.choice(study.origins).name}",
            "needs": Needs(any_of=("gateway:g1", "gateway:g2")),
        },
        {"component": g.choice(flows), "needs": Needs(all_of=("gateway:g2",))},
        {"component": g.choice(sites), "needs": Needs(all_of=("supply:images",)), "breaks": "starting"},
        {"component": g.choice(sites), "needs": Needs(all_of=("ingress:in",))},
    ]
    named = (("g1", "gateway"), ("g2", "gateway"), ("in", "ingress"))
    limited = [Component(name=n, kind=k, most_requests_per_second=most * g.uniform(0.5, 1.2)) for n, k in named]
    part = NamedFailure(
        name="part",
        lost={g.choice(sites): g.choice([0.25, 0.5])},
        worst_part=g.random() < 0.7,
        surges={g.choice(flows): 1.2},
        in_maintenance={g.choice(pools): 0.2} if g.random() < 0.5 else {},
    )
    log = NamedFailure(name="log", lost={"identity:login": 0.8, "supply:images": 1.0}, surge_factor=1.1)
    goals = [
        Goal(failure="part", serve_fraction=0.6, within_seconds=60.0),
        Goal(failure="log", serve_fraction=0.6, within_seconds=300.0),
        Goal(any="gateway", serve_fraction=0.3, within_seconds=60.0),
        Goal(any="site", serve_fraction=0.3, within_seconds=300.0, in_maintenance={g.choice(pools): 0.5}),
    ]
    cold = {"cached_fraction": 0.4, "cached_fraction_in_failure": 0.1}
    count = Counted(
        offers=("*:on_demand",),
        any=g.choice([None, "site", "provider"]),
        running_fraction=g.choice([0.5, 1.0]),
        obtainable_fraction=0.5,
        obtain_seconds=g.choice([0.0, 20.0]),
    )
    changes = {
        "components": (
            *study.components,
            *limited,
            Component(name="login", kind="identity"),
            Component(name="images", kind="supply"),
        ),
        "dependencies": (*study.dependencies, *(Dependency(**d) for d in possible if g.random() < 0.5)),
        "failures": (*study.failures, part, log),
        "tiers": tuple(
            t.model_copy(update={"survive": (*t.survive, *goals), "serve_fraction": 0.4}) for t in study.tiers
        ),
        "workloads": tuple(w.model_copy(update=cold) if g.random() < 0.4 else w for w in study.workloads),
    }
    if g.random() < 0.5:
        changes["policies"] = study.policies.model_copy(update={"counted": (count,)})
    return study.model_copy(update=changes)


def with_request_limits(study: Study, g: random.Random, chance: float = 0.7) -> Study:
    """The study with choices between gateways, one without a limit, and a site with a limit."""
    most = sum(d.requests_per_second for d in study.demand)
    flows = [f"workload:{w.name}" for w in study.workloads] + [f"origin:{o.name}" for o in study.origins]
    sites = sorted({pool.site for pool in study.pools})
    names = [f"gateway:g{n}" for n in range(3, 8)]
    own = [
        Component(name=f"g{n}", kind="gateway", most_requests_per_second=most * g.uniform(0.3, 0.9))
        for n in range(3, 7)
    ]
    limited = Component(name=g.choice(sites), kind="site", most_requests_per_second=most * g.uniform(0.5, 1.0))
    with_two, with_three = Needs(any_of=tuple(names[:2])), Needs(any_of=tuple(names[2:]))
    needs = {
        g.choice(flows): with_two,
        g.choice(flows): g.choice([with_two, with_three]),
        g.choice(flows): Needs(all_of=(g.choice(names[:2]),)),
        f"site:{g.choice(sites)}": with_three,
    }
    lost = [{g.choice(names): 1.0, f"site:{g.choice(sites)}": 0.5}, {g.choice(names): 0.5, "gateway:g3": 0.5}]
    failures = tuple(NamedFailure(name=f"limits-{n}", lost=out) for n, out in enumerate(lost))
    goals = tuple(Goal(failure=f.name, serve_fraction=0.4, within_seconds=60.0) for f in failures)
    return study.model_copy(
        update={
            "components": (*study.components, *own, Component(name="g7", kind="gateway"), limited),
            "dependencies": (
                *study.dependencies,
                *(Dependency(component=c, needs=need) for c, need in needs.items() if g.random() < chance),
            ),
            "failures": (*study.failures, *failures),
            "tiers": tuple(t.model_copy(update={"survive": (*t.survive, *goals)}) for t in study.tiers),
        }
    )


def with_commitments(study: Study, g: random.Random) -> Study:
    """The study with some machines under contract, which count in part in failures as rented ones do."""
    contracts = {b.id for b in study.offers if b.kind == "on_demand" and g.random() < 0.5}
    offers = tuple(
        b.model_copy(update={"kind": "commitment", "term_months": study.horizon.months}) if b.id in contracts else b
        for b in study.offers
    )
    return study.model_copy(update={"offers": offers})


@pytest.mark.parametrize("failover", ["resolve", "rescale"])
@pytest.mark.parametrize("part", range(PARTS))
def test_plans_with_choices_between_gateways_pass_audit_and_drill(part: int, failover: Failover) -> None:
    plans = choosing = 0
    for seed in range(part, SEEDS, PARTS):
        g = random.Random(seed)
        study = random_study(seed, "tiny")
        if failover == "resolve":
            study = with_commitments(with_request_limits(with_effects(study, g), g), g)
        else:
            study = with_request_limits(study, g, 0.35).model_copy(update={"failover": failover})
        try:
            plan = make_plan(study, Effort(gap_fraction=0.02))
        except Infeasible:
            continue
        plans += 1
        choosing += any(state.routed_via for state in plan.states)
        assert audit(plan).passed, (seed, audit(plan).violations[:3])
        result = drill_plan(plan, failover)
        assert not result.broken, (seed, [row for row in result.rows if row.broken][:3])
        assert not drill_state_claims(plan), (seed, drill_state_claims(plan)[:3])
    assert plans >= 2 and choosing >= 1, (plans, choosing)


@pytest.mark.parametrize("part", range(PARTS))
def test_plans_with_all_effects_pass_audit_and_drill(part: int) -> None:
    plans = 0
    for seed in range(part, SEEDS, PARTS):
        study = with_effects(random_study(seed, "tiny"), random.Random(seed))
        try:
            plan = make_plan(study, Effort(gap_fraction=0.02))
        except Infeasible:
            continue
        plans += 1
        assert audit(plan).passed, seed
        assert not drill_plan(plan).broken, seed
        assert not drill_state_claims(plan), seed
        # the drill does bite: with no replica and no machine bought nothing that was due is served
        nothing = plan.model_copy(update={"replicas": (), "purchases": ()})
        held = plan.study.model_copy(update={"holdings": ()})
        assert drill_plan(nothing.model_copy(update={"study": held})).broken, seed
    assert plans >= 5
