"""Rescale plans: worked by hand, proven by audit, and replayed by the drill, which shares no code with them."""

from dataclasses import replace

import pytest
from row_by_row import rows_of
from studies import machine_type, model, offer, profile, random_study, site, study, workload

from planner.drill import drill_plan, drill_state_claims
from planner.plan.audit import audit
from planner.plan.explain import diagnose
from planner.plan.file import sealed
from planner.plan.plan import make_plan
from planner.problem.arrays import full
from planner.problem.build import build
from planner.problem.problem import HOUR
from planner.problem.rules.gateway_limits import hardest, headrooms
from planner.review.answer import review_plan
from planner.solve.search import Effort, Infeasible
from planner.solve.solve import solve
from planner.study.records.inventory import Pool
from planner.study.records.plan import PlanFile
from planner.study.records.study import Component, Dependency, Goal, NamedFailure, Needs, Study, Tier

PLANS = 100
SMALL_FROM = 96


def rescaled(seed: int, size: str) -> PlanFile | None:
    asked = random_study(seed, size).model_copy(update={"failover": "rescale"})
    try:
        return make_plan(asked, Effort(gap_fraction=0.2, most_nodes=50))
    except Infeasible:
        return None


def test_a_hundred_random_plans_survive_every_failure_by_their_weights():
    plans = tight = dearer = seed = 0
    while plans < PLANS:
        plan = rescaled(seed, "tiny" if plans < SMALL_FROM else "small")
        seed += 1
        if plan is None:
            continue
        plans += 1
        assert audit(plan).passed, (seed, audit(plan).violations[:3])
        result = drill_plan(plan, "rescale")
        assert not result.broken and not result.findings, (seed, [r for r in result.rows if r.broken][:3])
        assert not drill_state_claims(plan), seed
        dearer += plan.proof.cost_usd > plan.re_solved.cost_usd * 1.001
        # one replica less where most run: the drill notices where they are needed
        most = max(plan.replicas, key=lambda r: r.replicas)
        fewer = [
            r.model_copy(update={"replicas": r.replicas - (r == most), "non_preemptible": None}) for r in plan.replicas
        ]
        tight += drill_plan(plan.model_copy(update={"replicas": tuple(fewer)}), "rescale").broken
    assert tight > PLANS / 2 and dearer > PLANS / 4, (tight, dearer)


def halls(goals: tuple[Goal, ...] = (), sites: int = 3, **more: object) -> Study:
    """12 requests/s; halls a, b, c of machines that serve 1 each, for 1 USD/h in a, 2 in b, 3 in c; any one is lost."""
    names = "abc"[:sites]
    survive = goals or (Goal(any="site", serve_fraction=1.0, within_seconds=60.0),)
    fields: dict[str, object] = {
        "hours_per_month": 1.0,
        "sites": tuple(site(f"x/{name}") for name in names),
        "machine_types": (machine_type("m"),),
        "pools": tuple(Pool(site=f"x/{name}", machine_type="m") for name in names),
        "bought": [offer(f"x/{name}/m", 1 + n) for n, name in enumerate(names)],
        "models": (model("m", [profile("m", "cuda", 1)]),),
        "tiers": (Tier(name="t", survive=survive),),
        "workloads": (workload("w"),),
        "demand": {("w", "o"): 12},
        "failover": "rescale",
        **more,
    }
    return study(**fields)


def machines(plan: PlanFile) -> dict[str, int]:
    return {b.offer.split("/")[1]: b.units for b in plan.purchases}


def test_weights_in_normal_operation_are_in_proportion_to_the_limits():
    """Any two of a, b, c carry 12: 6, 6, 6 at 1, 2, 3 USD cost 36, as do 12, 12, 0; new weights need no less."""
    plan = make_plan(halls(), Effort(gap_fraction=0.0))
    assert plan.proof.cost_usd == plan.re_solved.cost_usd == 36.0
    limits = dict(zip(plan.reserves.placement, plan.reserves.requests_per_second, strict=True))
    normal = next(s for s in plan.states if s.failure == "normal")
    sent = dict(zip(normal.placement, normal.requests_per_second, strict=True))
    whole = sum(limits.values())
    for e, limit in limits.items():
        assert sent[e] == pytest.approx(12 * limit / whole)


def test_fixed_weights_cost_more_where_new_ones_would_use_another_hall():
    """Two tiers of 6: gold outlives any hall. With new weights it takes the room of iron, with fixed ones it cannot."""
    asked = halls(
        sites=2,
        tiers=(
            Tier(name="gold", survive=(Goal(any="site", serve_fraction=1.0, within_seconds=60.0),)),
            Tier(name="iron"),
        ),
        workloads=(workload("w", tier="gold"), workload("v", tier="iron")),
        demand={("w", "o"): 6, ("v", "o"): 6},
    )
    plan = make_plan(asked, Effort(gap_fraction=0.0))
    # re-solved: 6 in a and 6 in b carry 12, and gold alone in what is left: 6 + 12 = 18 USD
    assert plan.re_solved.cost_usd == 18.0
    # rescaled: gold keeps 6 in each for itself, iron needs 6 of its own, in a: 12 + 6 · 2 = 24 USD
    assert plan.proof.cost_usd == 24.0 and machines(plan) == {"a": 12, "b": 6}
    assert audit(plan).passed and not drill_plan(plan, "rescale").broken
    section = next(s for s in review_plan(plan).sections if s.title == "LIMITS")
    assert [row.limit_requests_per_second for row in section.rows] == [6.0, 6.0, 6.0]
    answer = review_plan(plan).sections[0]
    assert any("costs 6.00 USD (+33.3 %) more than with weights chosen anew" in line for line in answer.lines)


def test_limits_keep_a_tier_that_may_be_shed_from_taking_the_room():
    """What the limits are for: without them the drill finds gold short."""
    asked = halls(
        sites=2,
        tiers=(
            Tier(name="gold", survive=(Goal(any="site", serve_fraction=1.0, within_seconds=60.0),)),
            Tier(name="iron", survive=(Goal(any="site", serve_fraction=0.5, within_seconds=60.0),)),
        ),
        workloads=(workload("w", tier="gold"), workload("v", tier="iron")),
        demand={("w", "o"): 6, ("v", "o"): 6},
    )
    plan = make_plan(asked, Effort(gap_fraction=0.0))
    # gold 6 and iron 3 in each hall: 9 · (1 + 2) USD; normal operation sends 12 to 18 replicas
    assert plan.proof.cost_usd == 27.0 and not drill_plan(plan, "rescale").broken
    unlimited = plan.model_copy(
        update={
            "reserves": plan.reserves.model_copy(
                update=dict.fromkeys(("workload", "origin", "placement", "hour", "requests_per_second"), ())
            )
        }
    )
    short = {row.tier for row in drill_plan(unlimited, "rescale").rows if row.broken}
    assert "gold" in short


def test_a_part_of_a_hall_keeps_that_part_of_its_weight():
    """Half of a is lost: what is left of 12 and 12 reserved is 6 + 12; whole replicas of 7 are 3."""
    half = NamedFailure(name="half", lost={"site:x/a": 0.5})
    goals = (Goal(failure="half", serve_fraction=1.0, within_seconds=60.0),)
    plan = make_plan(halls(goals, sites=1, failures=(half,)), Effort(gap_fraction=0.0))
    # 12 are due of 0.5 · reserve: reserve 24, replicas 24
    assert machines(plan) == {"a": 24} and plan.reserves.requests_per_second == (24.0,)
    assert audit(plan).passed and not drill_plan(plan, "rescale").broken
    part = make_plan(
        halls((goals[0].model_copy(update={"serve_fraction": 0.54}),), sites=1, failures=(half,)),
        Effort(gap_fraction=0.0),
    )
    # 6.48 are due: 7 whole replicas must survive, so 14 run
    assert machines(part) == {"a": 14} and audit(part).passed and not drill_plan(part, "rescale").broken


def test_a_loss_that_falls_on_one_placement_leaves_room_for_the_others():
    """A third of a pool is lost, all of one of two profiles' machines or all of the other's."""
    two = model("m", [profile("m", "cuda", 1), profile("m", "rocm", 1)])
    worst = NamedFailure(name="part", lost={"pool:x/a/m": 1 / 3}, worst_part=True)
    goals = (Goal(failure="part", serve_fraction=0.5, within_seconds=60.0),)
    plan = make_plan(halls(goals, sites=1, failures=(worst,), models=(two,)), Effort(gap_fraction=0.0))
    assert audit(plan).passed, audit(plan).violations[:3]
    assert not drill_plan(plan, "rescale").broken


def test_a_gateway_passes_what_comes_in_or_what_the_limits_let_on():
    """A gateway of 12 passes demand however large the reserves; at half of it 6 come through, and 6 are due."""
    gate = Component(name="in", kind="gateway", most_requests_per_second=12.0)
    behind = Dependency(component="workload:w", needs=Needs(all_of=("gateway:in",)))
    jam = NamedFailure(name="jam", lost={"gateway:in": 0.5})
    goals = (
        Goal(any="site", serve_fraction=1.0, within_seconds=60.0),
        Goal(failure="jam", serve_fraction=0.5, within_seconds=60.0),
    )
    asked = halls(goals[:1], components=(gate,), dependencies=(behind,))
    assert make_plan(asked, Effort(gap_fraction=0.0)).proof.cost_usd == 36.0
    jammed = halls(goals, components=(gate,), dependencies=(behind,), failures=(jam,))
    with pytest.raises(Infeasible):  # 12 survive a hall's loss, so more than 6 are let on in a jam
        make_plan(jammed, Effort(gap_fraction=0.0))
    assert "failover: resolve" in str(diagnose(jammed))


def test_failures_that_say_the_same_are_one_row():
    """200 failures of one hall, none asking for more than the loss of the site: no more rows, the same cost."""
    many = tuple(NamedFailure(name=f"n{n:03}", lost={"site:x/a": 1.0}) for n in range(200))
    goals = (Goal(any="site", serve_fraction=1.0, within_seconds=60.0),)
    more = tuple(Goal(failure=f.name, serve_fraction=0.9, within_seconds=60.0) for f in many)
    few, lots = build(halls(goals)), build(halls(goals + more, failures=many))
    assert len(lots.failures) == len(few.failures) + 200
    x = solve(lots, Effort(gap_fraction=0.0)).decisions
    rule = "reserves_cover_what_is_due"
    assert len(rows_of(rule, lots, x)) == len(rows_of(rule, few, x)) == 4


def test_headroom_is_what_the_failures_force():
    """Any of 3 halls lost: Σ reserve ≥ 3 · 12 / 2 = 18, limits at least 1.5 times traffic; of 2 halls 2 times."""
    assert headrooms(full(build(halls())), HOUR).tolist() == [1.5]
    assert headrooms(full(build(halls(sites=2))), HOUR).tolist() == [2.0]
    p = replace(build(halls()), failures={"normal": build(halls()).failures["normal"]})
    assert headrooms(full(p), HOUR).tolist() == [1.0] and len(hardest(p, "w", "o", HOUR)) == 1


def test_an_edited_limit_or_route_is_found():
    plan = make_plan(halls(), Effort(gap_fraction=0.0))
    limits = list(plan.reserves.requests_per_second)
    for edited in ([limits[0] * 1.5, *limits[1:]], [limits[0] / 2, *limits[1:]]):
        reserves = plan.reserves.model_copy(update={"requests_per_second": tuple(edited)})
        found = {v.rule for v in audit(sealed(plan.model_copy(update={"reserves": reserves}))).violations}
        assert "gateways_renormalise" in found
    without = plan.model_copy(update={"re_solved": None})
    assert "re_solved" in {v.rule for v in audit(sealed(without)).violations}
    resolve = plan.study.model_copy(update={"failover": "resolve"})
    assert "reserves" in {v.rule for v in audit(sealed(plan.model_copy(update={"study": resolve}))).violations}


def test_no_plan_by_weights_says_that_new_weights_would_do():
    """b is near enough in failures only: no weight stands on it."""
    tier = Tier(
        name="t",
        round_trip_ms=20.0,
        round_trip_ms_in_failure=500.0,
        survive=(Goal(any="site", serve_fraction=1.0, within_seconds=60.0),),
    )
    far = halls(tiers=(tier,), sites=2)
    far = far.model_copy(
        update={"sites": (far.sites[0], far.sites[1].model_copy(update={"latitude": 40.0, "longitude": -75.0}))}
    )
    with pytest.raises(Infeasible):
        make_plan(far)
    assert "no weight" in str(diagnose(far)) and "failover: resolve" in str(diagnose(far))
