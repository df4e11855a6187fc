"""Studies in which gateways keep their weights in some failures, and get new ones in the others: worked by hand."""

import random
from dataclasses import replace

import pytest
from failing import asked as two_sites_of_pools
from studies import machine_type, model, offer, profile, random_study, site, study, workload

from planner.drill import drill_plan
from planner.emit.cascade import cascade
from planner.emit.overrides import overrides
from planner.emit.routing import routing_table, subject
from planner.errors import InputError
from planner.plan.audit import audit
from planner.plan.explain import diagnose
from planner.plan.file import sealed
from planner.plan.plan import make_plan
from planner.problem.build import build
from planner.review.answer import review_plan
from planner.solve.search import Effort, Infeasible
from planner.study.records.inventory import Pool
from planner.study.records.plan import PlanFile
from planner.study.records.study import Component, Dependency, Goal, Holding, NamedFailure, Needs, Study, Tier

EXACT = Effort(gap_fraction=0.0)
NO_A, NO_B = "failure:no weights, no a", "failure:no weights, no b"
A, B = "m/m-cuda@x/a/m", "m/m-cuda@x/b/m"
CONTROL = Component(name="k8s", kind="control")
PUSHED = Dependency(component="workload:w", needs=Needs(all_of=("control:k8s",)), breaks="pushing")
LOST = tuple(NamedFailure(name=f"no weights, no {q}", lost={"control:k8s": 1.0, f"site:x/{q}": 1.0}) for q in "ab")


def survives(*failures: str) -> tuple[Goal, ...]:
    named = (Goal(failure=f.removeprefix("failure:"), serve_fraction=1.0, within_seconds=60.0) for f in failures)
    return (Goal(any="site", serve_fraction=1.0, within_seconds=60.0), *named)


def halls(goals: tuple[Goal, ...], **more: object) -> Study:
    """Gold and iron ask for 6 requests/s each; halls a and b of machines that serve 1 each, for 1 and 2 USD/h.

    Gold outlives any hall. With new weights 6 in each hall will do, as gold takes the headroom of iron: 18 USD.
    """
    fields: dict[str, object] = {
        "sites": tuple(site(f"x/{name}") for name in "ab"),
        "machine_types": (machine_type("m"),),
        "pools": tuple(Pool(site=f"x/{name}", machine_type="m") for name in "ab"),
        "bought": [offer("x/a/m", 1), offer("x/b/m", 2)],
        "models": (model("m", [profile("m", "cuda", 1)]),),
        "tiers": (Tier(name="gold", survive=goals), Tier(name="iron")),
        "workloads": (workload("w", tier="gold"), workload("v", tier="iron")),
        "demand": {("w", "o"): 6, ("v", "o"): 6},
        "components": (CONTROL,),
        "dependencies": (PUSHED,),
        "failures": LOST,
        **more,
    }
    return study(**fields)


def holds(plan: PlanFile) -> bool:
    """By the audit, and by the drill: with fixed weights where they are, with new ones elsewhere."""
    rescaled = build(plan.study).rescaled
    others = [s.failure for s in plan.states if s.failure not in rescaled]
    fixed = drill_plan(plan, "rescale", only=rescaled)
    anew = drill_plan(plan, "resolve", only=others)
    return audit(plan).passed and not fixed.broken and not anew.broken


def normal_traffic(plan: PlanFile) -> dict[tuple[str, str], float]:
    s = next(s for s in plan.states if s.failure == "normal")
    return dict(zip(zip(s.workload, s.placement, strict=True), s.requests_per_second, strict=True))


def test_normal_weights_carry_what_is_due_where_none_can_be_pushed_and_only_there():
    """No weights and no a: gold must be at b before, and iron at a: 6 + 2 · 6 = 18 USD, as with new weights.

    The loss of b, in which weights can be pushed, moves gold to a, where iron makes room.
    """
    plan = make_plan(halls(survives(NO_A)), EXACT)
    assert build(plan.study).rescaled == {"normal", NO_A}
    assert plan.proof.cost_usd == plan.re_solved.cost_usd == 18.0
    assert normal_traffic(plan) == {("w", B): 6.0, ("v", A): 6.0}
    moved = next(s for s in plan.states if s.failure == "site:x/b")
    assert (moved.workload, moved.placement, moved.shed) == (("w",), (A,), {"v": {"o": 6.0}})
    assert holds(plan)


def test_both_halls_without_new_weights_cost_what_fixed_weights_cost():
    """Gold needs 6 for itself in each hall, iron 6 of its own in a: 12 + 2 · 6 = 24 USD."""
    plan = make_plan(halls(survives(NO_A, NO_B)), EXACT)
    assert plan.proof.cost_usd == 24.0 and plan.re_solved.cost_usd == 18.0 and holds(plan)
    limits = plan.reserves
    at_most = zip(limits.workload, limits.placement, limits.requests_per_second, strict=True)
    assert set(at_most) == {("w", A, 6.0), ("w", B, 6.0), ("v", A, 6.0)}
    sections = {s.title: s for s in review_plan(plan).sections}
    said = " ".join(sections["FAILURES"].lines)
    assert "no new ones are pushed: failure no weights, no a" in said and "weights chosen anew" in said
    assert {row.when_lost for row in sections["LIMITS"].rows} <= {"normal", NO_A, NO_B}


@pytest.mark.parametrize(
    ("which", "more"),
    [
        ("the failures say so", {"failures": tuple(f.model_copy(update={"failover": "rescale"}) for f in LOST)}),
        (
            "the study says so, any hall's loss is another",
            {
                "failover": "rescale",
                "failures": (LOST[0], LOST[1].model_copy(update={"failover": "resolve"})),
            },
        ),
    ],
)
def test_how_gateways_fail_over_belongs_to_the_failure(which: str, more: dict[str, object]):
    both = halls(survives(NO_A, NO_B), dependencies=(), components=(), **more)
    named = tuple(f.model_copy(update={"lost": {c: 1.0 for c in f.lost if c != "control:k8s"}}) for f in both.failures)
    tiers = (Tier(name="gold", survive=survives(NO_A, NO_B)[1:]), Tier(name="iron"))
    plan = make_plan(both.model_copy(update={"failures": named, "tiers": tiers}), EXACT)
    rescaled = {"normal", NO_A} | ({NO_B} if "the failures" in which else set())
    assert build(plan.study).rescaled == rescaled
    assert plan.proof.cost_usd == (24.0 if NO_B in rescaled else 18.0) and holds(plan)


def test_what_is_pushed_where_nobody_asks_for_anything_fixes_no_weights():
    idle = Dependency(component="origin:p", needs=Needs(all_of=("control:k8s",)), breaks="pushing")
    origins = (halls(()).origins[0], halls(()).origins[0].model_copy(update={"name": "p"}))
    assert build(halls(survives(NO_A), origins=origins, dependencies=(idle,))).rescaled == frozenset()
    asked = halls(survives(NO_A), origins=origins, dependencies=(idle,), demand={("w", "o"): 6, ("v", "p"): 6})
    assert build(asked).rescaled == {"normal", NO_A}


def test_nothing_is_started_where_no_weights_are_pushed():
    """Ten machines are ours in b: with new weights gold is started there; without, it must run there before."""
    held = (Holding(pool="x/b/m", machines=10),)
    one = {"demand": {("w", "o"): 6}, "holdings": held, "bought": [offer("x/a/m", 1)]}
    plan = make_plan(halls(survives(NO_A)[1:], **one), EXACT)
    assert {r.placement: r.replicas for r in plan.replicas}[B] >= 6 and holds(plan)
    assert not any(s.cold_started for s in plan.states)
    started = [s.model_copy(update={"cold_started": {B: 1}}) if s.failure == NO_A else s for s in plan.states]
    edited = sealed(plan.model_copy(update={"states": tuple(started)}))
    assert "no_replica_before_its_cold_start_ends" in {v.rule for v in audit(edited).violations}


def test_gateways_get_the_reserves_as_limits_and_nothing_is_pushed_where_nothing_can_be():
    plan = make_plan(halls(survives(NO_A, NO_B)), EXACT)
    of = subject(plan)
    table = routing_table(of)
    limits = {(r.workload, x.placement): x.limit_requests_per_second for r in table.routes for x in r.entries}
    assert limits == {("w", A): 6.0, ("w", B): 6.0, ("v", A): 6.0} and all(len(r.levels) == 1 for r in table.routes)
    outcomes = cascade(of, table, "envoy")
    verdicts = {x.failure: x.verdict for x in outcomes}
    assert verdicts[NO_A] == verdicts[NO_B] == "alone"
    bad = tuple(replace(x, verdict="override") for x in outcomes)
    assert {x.failure for x in overrides(of, table, bad)} == {"site:x/a", "site:x/b"}


def test_an_edited_weight_is_found():
    plan = make_plan(halls(survives(NO_A)), EXACT)
    half = tuple(0.5 * limit for limit in plan.reserves.requests_per_second)
    reserves = plan.reserves.model_copy(update={"requests_per_second": half})
    broken = {v.rule for v in audit(sealed(plan.model_copy(update={"reserves": reserves}))).violations}
    assert {"gateways_renormalise", "reserves_cover_what_is_due"} <= broken
    assert "re_solved" in {v.rule for v in audit(sealed(plan.model_copy(update={"re_solved": None}))).violations}


def test_no_plan_says_in_which_failure_no_weights_can_be_pushed():
    """b is near enough in failures only, so that no weight stands on it."""
    tiers = (
        Tier(name="gold", round_trip_ms=20.0, round_trip_ms_in_failure=500.0, survive=survives(NO_A)),
        Tier(name="iron", round_trip_ms=20.0),
    )
    sites = (site("x/a"), site("x/b", (40.0, -75.0)))
    far = halls((), tiers=tiers, sites=sites)
    with pytest.raises(Infeasible):
        make_plan(far)
    said = str(diagnose(far))
    assert f"no new weights can be pushed in {NO_A}, to workload:w: lost control:k8s" in said
    assert "a second way to push them" in said
    assert "within 60 s" not in said and build(far.model_copy(update={"dependencies": ()})).rescaled == frozenset()


def test_outages_are_not_priced_where_gateways_keep_their_weights():
    lasting = tuple(f.model_copy(update={"hours_to_repair": 2.0, "failures_per_year": 1.0}) for f in LOST)
    with pytest.raises(InputError) as refused:
        build(halls(survives(NO_A), failures=lasting, objective="expected"))
    assert "no weights, no a" in refused.value.findings[0].fix
    assert not build(halls(survives(), failures=lasting, dependencies=(), objective="expected")).rescaled


def test_random_studies_cost_between_new_weights_everywhere_and_nowhere():
    """The failures of each study in which weights are fixed are drawn; the drill shares no code with the rules."""
    compared, dearer, cheaper, effort = 0, 0, 0, Effort(gap_fraction=0.02, most_nodes=50)
    for seed in (10, 11, 14, 17, 25, 29, 48, 59):
        asked = random_study(seed)
        draw = random.Random(seed)
        named = tuple(
            f.model_copy(update={"failover": "rescale"}) if draw.random() < 0.6 else f for f in asked.failures
        )
        mixed = asked.model_copy(update={"failures": named})
        assert {"normal"} < build(mixed).rescaled < set(build(mixed).failures), seed
        try:
            plan = make_plan(mixed, effort)
            fixed = make_plan(asked.model_copy(update={"failover": "rescale"}), effort)
        except Infeasible:
            continue
        assert holds(plan), seed
        assert plan.proof.bound_usd <= fixed.proof.cost_usd * (1 + 1e-9), seed
        assert plan.re_solved.bound_usd <= plan.proof.cost_usd * (1 + 1e-9), seed
        compared += 1
        dearer += plan.proof.bound_usd > plan.re_solved.cost_usd * 1.001
        cheaper += plan.proof.cost_usd < fixed.proof.bound_usd * 0.999
    assert compared == 7 and dearer and cheaper, (compared, dearer, cheaper)


@pytest.mark.parametrize(("seed", "part"), [(17, 0.2), (35, 0.5), (42, 0.2)])
def test_weights_that_can_be_pushed_again_in_time_cost_no_more(seed: int, part: float) -> None:
    """Each failure keeps its weights for a part of the time until its last goal; the drill finds all goals held."""
    study, named = random_study(seed), []
    for failure in study.failures:
        goals = [goal for tier in study.tiers for goal in tier.survive if goal.failure == failure.name]
        last = max((goal.within_seconds for goal in goals), default=60.0)
        changed = {"failover": "rescale", "hours_to_new_weights": round(part * last / 3600, 5), "hours_to_repair": None}
        named.append(failure.model_copy(update=changed))
    again = study.model_copy(update={"failures": tuple(named)})
    never = [failure.model_copy(update={"hours_to_new_weights": None}) for failure in named]
    plan = make_plan(again, Effort(gap_fraction=0.02, most_nodes=50))
    assert holds(plan) and any(failure.outage for failure in build(again).failures.values())
    try:
        kept = make_plan(study.model_copy(update={"failures": tuple(never)}), Effort(gap_fraction=0.02, most_nodes=50))
    except Infeasible:
        return
    assert plan.proof.bound_usd <= kept.proof.cost_usd * (1 + 1e-9)


@pytest.mark.parametrize(("within", "machines"), [(400.0, {"r/b/mb": 20}), (700.0, {"p/a/m": 10, "r/b/mb": 10})])
def test_nothing_is_started_before_weights_can_be_pushed_again(within: float, machines: dict[str, int]) -> None:
    """Site a is lost for 2 h, and for 6 minutes what pushes weights; a start takes 300 s: until 660 s after all.

    10 machines at b, of 2 USD, serve others that may be left out then. Within 700 s they are there in time; in 400 s
    ten more must be warm, so that the ten at a, of 1 USD, are not needed.
    """
    types = machine_type("m"), machine_type("mb")
    of_a, of_b = (profile(m.name, "cuda", 1, load_seconds=300.0) for m in types)
    lost = NamedFailure(
        name="f",
        lost={"site:p/a": 1.0, "deployment:cd": 1.0},
        repaired={"deployment:cd": 0.1},
        hours_to_repair=2.0,
    )
    goal = Goal(failure="f", serve_fraction=1.0, within_seconds=within)
    pushed = Dependency(component="workload:w", needs=Needs(all_of=("deployment:cd",)), breaks="pushing")
    asked = two_sites_of_pools(
        machine_types=types,
        pools=(Pool(site="p/a", machine_type="m"), Pool(site="r/b", machine_type="mb")),
        bought=[offer("p/a/m", 1, most_units=40.0), offer("r/b/mb", 2, most_units=40.0)],
        models=(model("m", [of_a, of_b]), model("n", [of_b])),
        tiers=(Tier(name="t", survive=(goal,)), Tier(name="u")),
        workloads=(workload("w"), workload("v", model="n", tier="u")),
        demand={("w", "o"): 10, ("v", "o"): 10},
        components=(Component(name="cd", kind="deployment"),),
        dependencies=(pushed,),
        failures=(lost,),
    )
    plan = make_plan(asked, EXACT)
    assert audit(plan).passed and not drill_plan(plan).broken
    assert {row.offer.removesuffix(":on_demand"): row.units for row in plan.purchases} == machines
