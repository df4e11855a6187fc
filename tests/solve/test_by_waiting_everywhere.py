"""Utilisation by waiting with other objectives, with gateways that keep their weights, and over many hours."""

import itertools
from collections.abc import Callable
from datetime import date

import numpy as np
import pytest
from failing import EXACT, asked, goal
from over_time import study_over_time
from priced import priced
from reclaimed import one_pool
from studies import machine_type, model, offer, profile, random_study, site, study, workload

from planner.drill import drill_plan, drill_state_claims
from planner.plan.audit import audit
from planner.plan.in_hand import in_hand
from planner.plan.plan import make_plan
from planner.problem.build import build
from planner.questions.alternatives import aims_of, alternatives
from planner.solve import enter_by_hours as entering
from planner.solve.search import Effort
from planner.study.dependencies import NORMAL
from planner.study.records.inventory import Pool
from planner.study.records.plan import PlanFile
from planner.study.records.policies import Utilisation
from planner.study.records.study import Goal, Holding, Horizon, Hour, NamedFailure, Shape, Study, Tier

LOOSE = Effort(gap_fraction=0.1, most_nodes=50)
MOST = 40


def by_waiting(s: Study, first_token_ms: float = 1500.0) -> Study:
    tiers = tuple(t.model_copy(update={"first_token_ms": first_token_ms}) for t in s.tiers)
    return s.model_copy(update={"utilisation": Utilisation(basis="waiting", spread="one-queue"), "tiers": tiers})


def carried(s: Study, pool: str, in_failure: bool = False) -> list[float]:
    """What 0, 1, 2... replicas of the one placement of a pool carry [replica-seconds/s]."""
    p = build(s)
    assert p.waiting is not None
    (e,) = p.on_pool[pool]
    return [0.0, *(n * float(p.waiting.largest(in_failure, [e], [n])[0]) for n in range(1, MOST + 1))]


def fewest(of: list[float], work: float) -> int:
    return next(n for n, most in enumerate(of) if most >= work - 1e-9)


def units(plan: PlanFile) -> dict[str, int]:
    return {p.offer.split(":")[0]: p.units for p in plan.purchases}


def sound(plan: PlanFile) -> None:
    """The audit and the drill find nothing, and the bound is one."""
    assert audit(plan).passed, audit(plan).violations[:3]
    assert not drill_state_claims(plan)
    result = drill_plan(plan)
    assert not result.broken, [row for row in result.rows if row.broken][:3]
    assert plan.proof.bound_usd <= plan.proof.cost_usd + 1e-6


# -------------------------------------------------------------- what failures cost
def test_five_machines_that_stay_carry_in_an_outage_what_five_may() -> None:
    """As worked for fixed shares (test_economics): 0.9 USD for each of the 10 requests/s that five replicas leave."""
    held = (Holding(pool="r/b/m", machines=5),)
    s = by_waiting(one_pool(rate=6.0, holdings=held, bought=[offer("p/a/m", 1, most_units=40.0)]))
    a, b = carried(s, "p/a/m"), carried(s, "r/b/m", in_failure=True)
    assert 3 < b[5] < 5
    plan = make_plan(s, EXACT)
    assert units(plan) == {"p/a/m": fewest(a, 10 - b[5])}
    outages = plan.costs_usd["outages"]
    # while the failure is detected nothing moves: 10 of 1800 s, of what a serves
    assert 0.9 * (10 - b[5]) - 1e-6 <= outages <= 0.9 * (10 - b[5] + b[5] * 10 / 1800)
    sound(plan)


@pytest.mark.parametrize("objective", ["worst_case", "expected"])
def test_what_an_outage_costs_is_weighed_by_what_so_many_replicas_carry(objective: str) -> None:
    """Lost at a: 1.80 USD (worst case), 0.90 (expected, 6 a year) for each of 6 requests/s that b does not carry."""
    usd = 1.8 if objective == "worst_case" else 0.9
    bought = [offer("p/a/m", 1, most_units=20.0), offer("r/b/m", 1.5, most_units=20.0)]
    s = by_waiting(one_pool(rate=6.0, objective=objective, bought=bought, demand={("w", "o"): 6.0}))
    a, b = carried(s, "p/a/m"), carried(s, "r/b/m")
    costs = [
        n + 1.5 * m + usd * max(0.0, 6.0 - b[m])
        for n, m in itertools.product(range(21), range(21))
        if a[n] + b[m] >= 6.0 - 1e-9
    ]
    plan = make_plan(s, EXACT)
    # and while it is detected nothing moves: 10 of 1800 s
    assert min(costs) - 1e-6 <= plan.proof.cost_usd <= min(costs) + usd * 6.0 * 10 / 1800 + 1e-6
    assert plan.proof.bound_usd <= plan.proof.cost_usd
    sound(plan)


@pytest.mark.parametrize("objective, seed", [("expected", 5), ("worst_case", 7), ("cvar", 8)])
def test_priced_plans_hold(objective: str, seed: int) -> None:
    sound(make_plan(by_waiting(priced(seed, objective, "tiny")), LOOSE))


def test_alternatives_hold_by_their_own_numbers() -> None:
    """Plans with least of a measure, then cheapest with no more of it."""
    lost = NamedFailure(name="f", lost={"site:p/a": 1.0})
    s = asked(failures=(lost,), tiers=goal(fraction=0.5), demand={("w", "o"): 5.0})
    plan = in_hand(make_plan(by_waiting(s), LOOSE))
    several = alternatives(plan, aims_of(plan), 0.5)
    assert any(not one.is_same for one in several)
    for one in several:
        assert not one.why_not and one.at_least <= one.value + 1e-6 <= one.before + 2e-6
        sound(one.plan)


# -------------------------------------------------------------- gateways that keep their weights
def halls(sites: int, lost: NamedFailure | None = None) -> Study:
    """12 requests/s; machines of 1/s at 1, 2, 3 USD in halls a, b, c; any hall is lost, or what is named."""
    names = "abc"[:sites]
    goal = Goal(any="site", within_seconds=60.0) if lost is None else Goal(failure=lost.name, within_seconds=60.0)
    return by_waiting(
        study(
            hours_per_month=1.0,
            sites=tuple(site(f"x/{name}") for name in names),
            machine_types=(machine_type("m"),),
            pools=tuple(Pool(site=f"x/{name}", machine_type="m") for name in names),
            bought=[offer(f"x/{name}/m", 1 + n, most_units=float(MOST)) for n, name in enumerate(names)],
            models=(model("m", [profile("m", "cuda", 1)]),),
            tiers=(Tier(name="t", survive=(goal,)),),
            workloads=(workload("w"),),
            demand={("w", "o"): 12},
            failover="rescale",
            **({} if lost is None else {"failures": (lost,)}),
        )
    )


def cheapest(s: Study, pools: int, holds: Callable[..., bool]) -> float:
    """The least cost of numbers of machines in halls a, b, c that hold, by what they carry."""
    of_hall = [carried(s, f"x/{name}/m") for name in "abc"[:pools]]
    counts = itertools.product(range(21), repeat=pools)
    return min(sum((1 + i) * n for i, n in enumerate(ns)) for ns in counts if holds(of_hall, ns))


def test_survivors_carry_what_gateways_send_on_by_their_weights() -> None:
    """Any two of three halls carry 12 with the replicas that run there."""

    def holds(of: list[list[float]], ns: tuple[int, ...]) -> bool:
        most = [of[i][n] for i, n in enumerate(ns)]
        return sum(most) - max(most) >= 12 - 1e-9

    plan = make_plan(halls(3), EXACT)
    assert plan.proof.cost_usd == pytest.approx(cheapest(halls(3), 3, holds))
    assert not drill_plan(plan, "rescale").broken
    sound(plan)


def test_half_of_a_hall_carries_half_of_its_reserve_with_half_of_its_replicas() -> None:
    """Half of a is lost: its gateway weight falls to half, and so do its replicas, whole ones: they carry less each."""
    lost = NamedFailure(name="f", lost={"site:x/a": 0.5})

    def holds(of: list[list[float]], ns: tuple[int, ...]) -> bool:
        a, b = ns
        reserve_a, reserve_b = min(of[0][a], 2 * of[0][a // 2]), of[1][b]
        return reserve_a / 2 + reserve_b >= 12 - 1e-9

    s = halls(2, lost)
    plan = make_plan(s, EXACT)
    assert plan.proof.cost_usd == pytest.approx(cheapest(s, 2, holds))
    assert not drill_plan(plan, "rescale").broken
    sound(plan)


@pytest.mark.parametrize("seed", [2, 5, 7, 10])
def test_plans_by_weights_hold(seed: int) -> None:
    s = random_study(seed).model_copy(update={"failover": "rescale"})
    plan = make_plan(by_waiting(s, 900.0), LOOSE)
    assert not drill_plan(plan, "rescale").broken
    sound(plan)


def test_reserves_that_survivors_are_too_few_for_are_seen_by_audit_and_drill(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("planner.problem.waiting.utilisation_that_meets", lambda wait, *_: np.full(len(wait), 0.99))
    plan = make_plan(halls(3), EXACT)
    assert audit(plan).passed
    assert drill_plan(plan, "rescale").broken
    monkeypatch.undo()
    assert {v.rule for v in audit(plan).violations} >= {"replicas_carry_what_is_reserved"}


# -------------------------------------------------------------- many hours
def day(wanted: list[float], **more: object) -> Study:
    """So many requests/s in the hours of a day; machines of 1/s, 1 and 1.5 USD by the hour, at two sites."""
    names = [f"h{n:02}" for n in range(len(wanted))]
    hours = tuple(Hour(name=name, weight_fraction=1 / len(names)) for name in names)
    s = study(
        horizon=Horizon(start=date(2026, 1, 1), months=1.0, hours=hours),
        hours_per_month=float(len(names)),
        sites=(site("p/a"), site("r/b")),
        machine_types=(machine_type("m"),),
        pools=(Pool(site="p/a", machine_type="m"), Pool(site="r/b", machine_type="m")),
        models=(model("m", [profile("m", "cuda", 1)]),),
        workloads=(workload("w"),),
        demand={("w", "o"): 1.0},
        shapes=(Shape(name="s", factors=dict(zip(names, wanted, strict=True))),),
        **{
            "bought": [offer("p/a/m", 1, most_units=40.0), offer("r/b/m", 1.5, most_units=40.0)],
            "tiers": (Tier(name="t"),),
            **more,
        },
    )
    return by_waiting(s.model_copy(update={"demand": tuple(d.model_copy(update={"shape": "s"}) for d in s.demand)}))


WANTED = [1.0, 2.0, 3.0, 5.0, 8.0, 12.0, 12.0, 8.0, 5.0, 3.0, 2.0, 1.0]


def test_each_hour_runs_what_its_own_number_needs() -> None:
    """Small hours fill each replica less: by the fewest of any hour 12 requests/s would need many more."""
    s = day(WANTED)
    a = carried(s, "p/a/m")
    plan = make_plan(s, Effort(gap_fraction=0.0))
    needed = {f"h{n:02}": fewest(a, wanted) for n, wanted in enumerate(WANTED)}
    assert {row.hour.split("/")[-1]: row.replicas for row in plan.replicas} == needed
    assert plan.proof.cost_usd == pytest.approx(sum(needed.values()))
    assert needed["h05"] < 12.0 / a[1]
    sound(plan)


def test_each_hour_survives_with_what_its_own_number_carries() -> None:
    """Either site is lost: 0.7 of all is served by the other, hour by hour."""
    survive = (Goal(any="site", serve_fraction=0.7, within_seconds=60.0),)
    s = day(WANTED, tiers=(Tier(name="t", survive=survive),))
    a = carried(s, "p/a/m")
    plan, usd = make_plan(s, Effort(gap_fraction=0.0)), 0.0
    for wanted in WANTED:
        usd += min(
            n + 1.5 * m
            for n, m in itertools.product(range(25), range(25))
            if a[n] + a[m] >= wanted - 1e-9 and min(a[n], a[m]) >= 0.7 * wanted - 1e-9
        )
    assert usd - 1e-6 <= plan.proof.cost_usd <= 1.05 * usd
    sound(plan)


def test_an_hour_without_a_plan_by_its_own_number_has_more_bought() -> None:
    """All is committed for the whole month, and cannot be rented: what an hour is short of is bought for all."""
    committed = [offer("p/a/m", 1, "commitment", term_months=1.0, most_units=40.0)]
    s = day(WANTED, bought=committed)
    plan = make_plan(s, Effort(gap_fraction=0.0))
    assert units(plan) == {"p/a/m": fewest(carried(s, "p/a/m"), 12.0)}
    sound(plan)


@pytest.mark.parametrize("seed", [3, 6, 12])
def test_plans_over_time_hold_hour_by_hour_and_all_at_once(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    s = by_waiting(study_over_time(seed), 5000.0)
    at_once = make_plan(s, LOOSE)
    monkeypatch.setattr(entering, "FEWEST_HOURS", 2)
    by_hour = make_plan(s, LOOSE)
    for plan in (at_once, by_hour):
        sound(plan)
    assert by_hour.proof.lp_bound_usd == pytest.approx(at_once.proof.lp_bound_usd, rel=0.011, abs=0.01)
    assert any(state.failure == NORMAL for state in by_hour.states)
