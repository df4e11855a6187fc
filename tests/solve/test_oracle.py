"""Tiny random problems against brute force: the same cost, and infeasible together."""

import random
from collections import Counter

import pytest
from oracle import cheapest
from studies import model, offer, profile, random_study

from planner.problem.build import build
from planner.problem.problem import states
from planner.solve.search import Effort, Infeasible, Solution
from planner.solve.solve import solve
from planner.study.dependencies import NORMAL
from planner.study.records.study import Claim, Counted, Goal, Holding, NamedFailure, Study

SEEDS = range(200)
FEATURES = (
    "dead stack",
    "room made for another stack",
    "loads",
    "binding deadline",
    "pool limit",
    "surge",
    "claim",
    "claim comes back",
    "partial loss",
    "partial loss of a pool in use",
    "spot",
    "two at once",
    "shed",
    "infeasible",
)


def tiny_study(seed: int) -> Study:
    """Even seeds as they come; odd ones with a second stack on some machines and more that may go wrong."""
    study = random_study(seed)
    if seed % 2 == 0:
        return study
    g = random.Random(seed)
    old = study.models[0]
    first = g.choice(old.profiles)
    second = profile(
        first.machine_type,
        "neuron" if first.stack == "cuda" else "cuda",
        g.choice([2, 4, 6]),
        load_seconds=g.choice([0.0, 30.0, 45.0, 120.0]),
        accelerators_per_replica=g.choice([8, 4]),
    )
    more = model(old.model, [*old.profiles, second], rollout_surge_fraction=old.rollout_surge_fraction)
    pools = tuple(
        q.model_copy(
            update={"usable_fraction": g.choice([1.0, 1.0, 0.75]), "spare_machines": g.choice([0.0, 0.0, 0.5])}
        )
        for q in study.pools
    )
    holdings, claims = list(study.holdings), list(study.claims)
    if not claims:
        q = g.choice(study.pools).id
        holdings.append(Holding(pool=q, machines=3))
        claims.append(Claim(pool=q, machines=g.randint(1, 2), reclaim_seconds=g.choice([15.0, 60.0]), lent_to="batch"))
    tiers = list(study.tiers)
    if g.random() < 0.3 and len(study.pools) > 2:
        two = Goal(any="pool", of=2, serve_fraction=g.choice([0.2, 0.5]), within_seconds=g.choice([60.0, 300.0]))
        tiers[0] = tiers[0].model_copy(update={"survive": (*tiers[0].survive, two)})
    workloads = tuple(w.model_copy(update={"burst_factor": g.choice([1.0, 1.25])}) for w in study.workloads)
    return study.model_copy(
        update={
            "models": (more,),
            "pools": pools,
            "holdings": tuple(holdings),
            "claims": tuple(claims),
            "tiers": tuple(tiers),
            "workloads": workloads,
        }
    )


def found(study: Study) -> Solution | None:
    try:
        return solve(build(study), Effort(gap_fraction=0.0, most_nodes=100_000))
    except Infeasible:
        return None


def differs(study: Study) -> tuple[float | None, float | None, float | None] | None:
    """Cost by brute force, cost and bound of the planner [USD], where they are not one; None where they are."""
    truth, solution = cheapest(study), found(study)
    if truth is None and solution is None:
        return None
    if truth is None or solution is None:
        return truth and truth[0], solution and solution.cost_usd, solution and solution.bound_usd
    same = solution.cost_usd == pytest.approx(truth[0], abs=1e-6) and solution.bound_usd <= truth[0] + 1e-6
    return None if same else (truth[0], solution.cost_usd, solution.bound_usd)


def features(study: Study, solution: Solution | None) -> set[str]:
    """What a seed is a test of, by the study and by what the plan does."""
    p = build(study)
    seen = set()
    if any(p.lost[f].get(e, 1.0) == 0 for f in p.failures for e in p.placements if f.startswith("stack:")):
        seen.add("dead stack")
    if any(failure.surge_factor > 1 for failure in p.failures.values()):
        seen.add("surge")
    if any(0 < share < 1 for lost in p.lost.values() for share in lost.values()):
        seen.add("partial loss")
    if any(" + " in f for f in p.failures):
        seen.add("two at once")
    if study.claims:
        seen.add("claim")
    if any(c % 1 for clocks in p.deadlines_seconds.values() for c in clocks):
        seen.add("claim comes back")
    if solution is None:
        return seen | {"infeasible"}
    x = solution.decisions
    bought = {**x.started, **x.rented}
    if any(n >= p.most_units[b] for (b, _), n in bought.items()):
        seen.add("pool limit")
    if any(n and any(b in counted for counted in p.counted.values()) for (b, _), n in bought.items()):
        seen.add("spot")
    if any(n > 0.5 for n in x.cold_started.values()):
        seen.add("loads")
    for (e, h), n in x.replicas.items():
        for f in p.failures:
            share = p.lost[f].get(e, 1.0)
            if n and 0 < share < 1:
                seen.add("partial loss of a pool in use")
            if share > 0 and any(x.kept[e, s] < int(share * n + 1e-9) - 0.5 for s in states(p, f) if s[0] == h):
                seen.add("room made for another stack")
    if any(value > 1e-6 and s[1] != NORMAL for (_, _, s), value in x.shed.items()):
        seen.add("shed")
    at_once = found(_with_load_seconds(study, 0.0))
    if at_once is not None and at_once.cost_usd < solution.cost_usd - 1e-6:
        seen.add("binding deadline")
    return seen


def _with_load_seconds(study: Study, seconds: float) -> Study:
    old = study.models[0]
    profiles = tuple(f.model_copy(update={"load_seconds": seconds}) for f in old.profiles)
    return study.model_copy(update={"models": (old.model_copy(update={"profiles": profiles}),)})


def test_the_cheapest_plan_costs_what_brute_force_finds():
    counts: Counter[str] = Counter()
    differ = []
    for seed in SEEDS:
        study = tiny_study(seed)
        truth, solution = cheapest(study), found(study)
        if (truth is None) != (solution is None) or (
            truth is not None and solution is not None and solution.cost_usd != pytest.approx(truth[0], abs=1e-6)
        ):
            differ.append((seed, truth and truth[0], solution and solution.cost_usd))
        if truth is not None and solution is not None:
            assert solution.bound_usd <= truth[0] + 1e-6, f"seed {seed}: a bound above the cheapest plan"
        counts.update(features(study, solution))
    assert not differ, "(seed, brute force, planner) [USD]"
    assert {name: counts[name] for name in FEATURES if not counts[name]} == {}, "not in the set, so not tested"


def troubled_study(seed: int) -> Study:
    """A tiny study in which machines can be obtained, or count in part, and sites are out for maintenance in parts."""
    study, g = tiny_study(seed), random.Random(1000 + seed)
    counted = tuple(
        Counted(
            offers=(f"{q.id}:on_demand",),
            running_fraction=g.choice([1.0, 1.0, 0.5]),
            obtainable_fraction=g.choice([0.5, 1.0]),
            obtain_seconds=g.choice([1.0, 30.0]),
        )
        for q in study.pools
        if g.random() < 0.6
    )
    out = g.choice(study.pools).site
    goals = tuple(
        Goal(any="site", serve_fraction=fraction, within_seconds=150.0, in_maintenance={f"site:{out}": share})
        for share, fraction in ((0.3, g.choice([0.5, 1.0])), (0.8, g.choice([0.2, 0.5])))
    )
    first, *others = study.tiers
    tiers = (first.model_copy(update={"survive": (*first.survive, *goals)}), *others)
    policies = study.policies.model_copy(update={"counted": counted})
    return study.model_copy(update={"tiers": tiers, "policies": policies})


def sharp_study(seed: int) -> Study:
    """A troubled study with three deadlines of partial losses, with spot in most pools and units of two machines."""
    study, g = troubled_study(seed), random.Random(2000 + seed)
    things = [f"pool:{q.id}" for q in study.pools] + [f"site:{q.site}" for q in study.pools]
    things += sorted({f"provider:{s.provider}" for s in study.sites})
    failures, goals = [], []
    for n in range(g.randint(1, 2)):
        lost = {c: g.choice([0.3, 0.5, 0.7]) for c in g.sample(things, g.randint(1, 2))}
        failures.append(NamedFailure(name=f"part{n}", lost=lost, surge_factor=g.choice([1.0, 1.2])))
        out = {g.choice(things): 0.3} if g.random() < 0.3 else {}
        for within, fraction in zip((30.0, 60.0, 200.0), sorted(g.choices([0.3, 0.5, 0.7, 1.0], k=3)), strict=True):
            goal = Goal(failure=f"part{n}", serve_fraction=fraction, within_seconds=within, in_maintenance=out)
            goals.append(goal)
    first, *others = study.tiers
    tiers = [first.model_copy(update={"survive": (*first.survive, *goals)}), *others]
    tokens = g.choice([1.0, 2.5])
    bought = list(zip(study.offers, study.prices, strict=True))
    for q in study.pools:
        if g.random() < 0.6 and not any(b.pool == q.id and b.kind == "spot" for b in study.offers):
            bought.append(offer(q.id, 1, "spot", most_units=2.0, machines_per_unit=g.choice([1, 2])))
    return study.model_copy(
        update={
            "failures": (*study.failures, *failures),
            "tiers": tuple(tiers),
            "workloads": tuple(w.model_copy(update={"mean_output_tokens": tokens}) for w in study.workloads),
            "offers": tuple(b for b, _ in bought),
            "prices": tuple(price for _, price in bought),
        }
    )


TOO_LONG = {5, 15, 17, 27, 37, 47, 53, 57}
"""Seeds on which brute force takes more than seconds."""


def test_what_can_be_obtained_or_counts_in_part_costs_what_brute_force_finds():
    """Markets of few units, shares of what runs, two maintenance shares of the same site."""
    differ, plans, obtained = [], 0, 0
    for seed in sorted({*range(60)} - TOO_LONG):
        study = troubled_study(seed)
        truth, solution = cheapest(study), found(study)
        if (truth is None) != (solution is None):
            differ.append((seed, truth and truth[0], solution and solution.cost_usd))
        if truth is None or solution is None:
            continue
        plans += 1
        obtained += any(n > 0.5 for n in solution.decisions.obtained.values())
        if solution.cost_usd != pytest.approx(truth[0], abs=1e-6) or solution.bound_usd > truth[0] + 1e-6:
            differ.append((seed, truth[0], solution.cost_usd, solution.bound_usd))
    assert not differ, "(seed, brute force, planner) [USD]"
    assert plans > 25 and obtained > 10


def test_no_cheaper_plan_is_overlooked():
    """HiGHS 1.15, when given a start, overlooked this optimum: searches are given none."""
    study = tiny_study(995)
    pools = tuple(q.model_copy(update={"spare_machines": 1.5 * q.spare_machines}) for q in study.pools)
    study = study.model_copy(update={"pools": pools})
    truth, solution = cheapest(study), found(study)
    assert truth is not None and solution is not None
    assert (truth[0], solution.cost_usd, solution.bound_usd) == pytest.approx((18.0, 18.0, 18.0))
