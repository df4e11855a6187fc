"""Tiny studies against brute force."""

import random

import pytest
from oracle import cheapest
from studies import model, offer, profile, random_study

from planner.problem.build import build
from planner.solve.search import Effort, Infeasible, Solution
from planner.solve.solve import solve
from planner.study.records.study import Claim, Counted, Goal, Holding, NamedFailure, Study


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
