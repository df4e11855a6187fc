"""A study over years: the linear program hour by hour beside all hours at once, then a plan by stage, with memory.

Run as ``python benchmarks/periods.py [--quarters N] [--hours N] [--sites N] [--workloads N] [--origins N] [--hard]
[--gap F] [--direct-seconds S]``.

The study is random but fixed by its seed: sites of 3 providers in regions of six, two machine types at each (pools:
twice the sites), a stack per provider, workloads in 2 tiers from 8 origins that each have a day of their own, growth of
40 % a year, on demand by the hour, commitments of 12 and 24 months, machines held that end inside the horizon. Lost are
any site, region, provider or stack. As asked for at the largest: 8 quarters, 6 hours, 20 sites, 30 workloads: 37
failures and 40 pools. Times are processor seconds.
"""

import argparse
import math
import random
import resource
import sys
import time
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests" / "support"), str(ROOT)]  # `studies` is that of the tests, beside it another

from studies import machine_type, model, offer, profile, site, study, workload  # noqa: E402

from planner.plan.audit import audit  # noqa: E402
from planner.plan.plan import make_plan  # noqa: E402
from planner.problem.build import build  # noqa: E402
from planner.problem.problem import Problem  # noqa: E402
from planner.solve.lp_bound import enter_what_breaks, relax  # noqa: E402
from planner.solve.search import Effort, Search, TimeLimitPassed  # noqa: E402
from planner.study.records.inventory import Pool  # noqa: E402
from planner.study.records.serving import Model  # noqa: E402
from planner.study.records.study import (  # noqa: E402
    Demand,
    Goal,
    Holding,
    Horizon,
    Hour,
    Origin,
    Policies,
    Shape,
    Study,
    Tier,
    Utilisation,
)

PROVIDERS = {"aws": "neuron", "google": "xla-tpu", "azure": "cuda"}
PLACES = (("london", 51.5, -0.1), ("virginia", 39.0, -77.5), ("tokyo", 35.7, 139.7), ("sydney", -33.9, 151.2))
MORE_PLACES = (("frankfurt", 50.1, 8.7), ("oregon", 45.5, -122.7), ("saopaulo", -23.5, -46.6), ("mumbai", 19.1, 72.9))


def long_study(
    seed: int, quarters: int, hours: int, n_sites: int, n_workloads: int, n_origins: int = 4, hard: bool = False
) -> Study:
    """A random study over quarters and hours; the same for the same seed and sizes.

    Parameters
    ----------
    hard : goals differ by site, region, provider and stack, so that no failure dominates another, and input counts for
        more or less by profile, so that no two workloads need the same in proportion
    """
    g = random.Random(seed)
    places = (*PLACES, *MORE_PLACES)[:n_origins]
    sites = []
    for i in range(n_sites):
        _, north, east = PLACES[(i // 3) % 4]
        found = site(f"{list(PROVIDERS)[i % 3]}/s{i}", (north + g.uniform(-5, 5), east + g.uniform(-5, 5)))
        sites.append(found.model_copy(update={"region": f"r{i // 6}"}))
    types = [machine_type(f"{name}-{size}", name) for name in PROVIDERS for size in ("old", "new")]
    pools = [Pool(site=s.id, machine_type=f"{s.provider}-{size}") for s in sites for size in ("old", "new")]
    models = [
        model(
            f"m{m}",
            [
                profile(
                    f"{name}-{size}",
                    stack,
                    g.uniform(3, 8) * (2 if size == "new" else 1),
                    accelerators_per_replica=g.choice([2, 4, 8]),
                    load_seconds=g.choice([120.0, 200.0, 400.0]),
                )
                for name, stack in PROVIDERS.items()
                for size in ("old", "new")
            ],
        )
        for m in range(4)
    ]
    if hard:
        models = [with_prefill_rates(one, random.Random(seed)) for one in models]
    bought = []
    for q in pools:
        hourly = g.uniform(60, 110) * (1.7 if q.machine_type.endswith("new") else 1)
        bought.append(offer(q.id, hourly, most_units=200.0))
        for months, part in ((12.0, 0.6), (24.0, 0.5)):
            name = f"commitment-{months:g}"
            bought.append(offer(q.id, hourly * part, "commitment", name=name, term_months=months, most_units=200.0))
    kinds = ("site", "region", "provider")
    gold = [Goal(any=kind, within_seconds=60.0) for kind in kinds]
    gold += [Goal(any="stack", serve_fraction=0.8, within_seconds=300.0)]
    iron = [Goal(any=kind, serve_fraction=0.7, within_seconds=300.0) for kind in kinds]
    if hard:
        promised = {"site": 1.0, "region": 0.9, "provider": 0.8, "stack": 0.7}
        gold = [
            Goal(any=kind, serve_fraction=s, within_seconds=60.0 if s == 1 else 300.0) for kind, s in promised.items()
        ]
        promised = {"site": 0.9, "region": 0.7, "provider": 0.6}
        iron = [
            Goal(any=kind, serve_fraction=s, within_seconds=60.0 if s == 0.9 else 300.0) for kind, s in promised.items()
        ]
    tokens = random.Random(seed)
    workloads = [
        workload(
            f"w{i}",
            tier="gold" if i % 2 == 0 else "iron",
            model=f"m{i % 4}",
            **({"mean_input_tokens": round(tokens.uniform(1.0, 60.0), 3)} if hard else {}),
        )
        for i in range(n_workloads)
    ]
    names = [f"h{n}" for n in range(hours)]
    shapes = tuple(
        Shape(name=o, factors={h: 1 + 0.5 * math.sin(2 * math.pi * (n / hours + k / 4)) for n, h in enumerate(names)})
        for k, (o, _, _) in enumerate(places)
    )
    rows = [
        Demand(
            workload=w.name,
            origin=o,
            requests_per_second=g.uniform(20, 120),
            shape=o,
            growth_fraction_per_year=0.4,
        )
        for w in workloads
        for o, _, _ in places
    ]
    return study(
        study=f"years-{seed}",
        horizon=Horizon(
            start=date(2027, 1, 1),
            quarters=quarters,
            hours=tuple(Hour(name=h, weight_fraction=1 / hours) for h in names),
        ),
        hours_per_month=730.0,
        utilisation=Utilisation(basis="fixed"),
        sites=tuple(sites),
        machine_types=tuple(types),
        pools=tuple(pools),
        bought=bought,
        models=tuple(models),
        origins=tuple(Origin(name=name, latitude=north, longitude=east) for name, north, east in places),
        tiers=(
            Tier(name="gold", survive=tuple(gold), round_trip_ms=180.0, round_trip_ms_in_failure=300.0),
            Tier(name="iron", survive=tuple(iron)),
        ),
        workloads=tuple(workloads),
        holdings=tuple(Holding(pool=q.id, machines=20, until=g.choice([date(2027, 12, 31), None])) for q in pools[::4]),
        shapes=shapes,
        policies=Policies(terms_beyond_horizon=True),
        demand=tuple(rows),
    )


def with_prefill_rates(made: Model, g: random.Random) -> Model:
    """The model with input that costs something, more on some profiles than on others."""
    profiles = []
    for one in made.profiles:
        rate = g.uniform(50.0, 200.0)
        points = [
            point.model_copy(update={"prefill_tokens_per_second": rate * point.decode_tokens_per_second})
            for point in one.classes
        ]
        profiles.append(one.model_copy(update={"classes": tuple(points)}))
    return made.model_copy(update={"profiles": tuple(profiles)})


def linear_programs(p: Problem, gap_fraction: float, direct_seconds: float) -> None:
    """The linear program over all failures both ways [processor s]; all at once ends its tests at half of its limit."""
    effort = Effort(gap_fraction=gap_fraction)
    began = time.process_time()
    by_hours = Search(p, effort, None, lambda stage, done, detail: None)
    relax(by_hours)
    seconds = time.process_time() - began
    how = f"hour by hour, {by_hours.by_hours.steps} steps" if by_hours.by_hours else "NOT hour by hour"
    reached = by_hours.program.objective
    print(f"{seconds:8.1f} s  {how}, at least {by_hours.bound:,.0f}, at most {reached:,.0f} USD")
    if direct_seconds <= 0:
        return
    began = time.process_time()
    direct = Search(p, Effort(seconds=direct_seconds), None, lambda stage, done, detail: None)
    try:
        enter_what_breaks(direct)
        ended = f"{direct.bound:,.0f} USD"
    except TimeLimitPassed:
        ended = f"no end, {direct.bound:,.0f} USD so far"
    other = time.process_time() - began
    print(f"{other:8.1f} s  all hours at once, {ended}; {other / seconds:.1f} times as long", flush=True)


def main() -> int:
    """Solve the linear program both ways, plan, audit, and say how long each stage took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sizes = {"quarters": 8, "hours": 6, "sites": 20, "workloads": 30, "origins": 8, "seed": 1, "rounds": 4}
    for name, size in sizes.items():
        parser.add_argument(f"--{name}", type=int, default=size)
    parser.add_argument("--hard", action="store_true")
    parser.add_argument("--gap", type=float, default=0.005)
    parser.add_argument("--seconds", type=float, default=None)
    parser.add_argument("--direct-seconds", type=float, default=300.0)
    asked = parser.parse_args()
    began = time.process_time()
    made = long_study(asked.seed, asked.quarters, asked.hours, asked.sites, asked.workloads, asked.origins, asked.hard)
    p = build(made)
    print(
        f"{len(p.periods)} periods, {len(p.hours)} hours, {len(p.failures) - 1} failures, "
        f"{len(made.workloads)} workloads, {len(p.flows)} streams, "
        f"{len(p.pools)} pools, {len(p.placements)} placements, {len(p.offers)} offers",
        flush=True,
    )
    stages: dict[str, float] = {"building": time.process_time() - began}
    linear_programs(p, asked.gap, asked.direct_seconds)
    began = time.process_time()
    last: tuple[str, float] = ("starting", began)

    def progress(stage: str, done: float | None, detail: str) -> None:
        nonlocal last
        now = time.process_time()
        stages[last[0]] = stages.get(last[0], 0.0) + now - last[1]
        if stage != last[0]:
            print(f"  {now - began:7.1f} s  {stage}  {detail}", flush=True)
        last = (stage, now)

    effort = Effort(gap_fraction=asked.gap, seconds=asked.seconds, rounds=asked.rounds)
    plan = make_plan(made, effort, progress=progress)
    planned = time.process_time() - began
    progress("auditing", None, "")
    passed = audit(plan).passed
    progress("done", None, "")
    for stage, seconds in stages.items():
        print(f"{seconds:8.1f} s  {stage}")
    proof = plan.proof
    mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{planned:8.1f} s for the plan, {mib:,.0f} MiB at most; cost {proof.cost_usd:,.0f} USD, "
        f"gap {proof.gap_fraction:.2%} ({proof.status}), {len(proof.binding_failures)} failures binding, "
        f"{proof.passes} passes, audit {'passed' if passed else 'FAILED'}"
    )
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
