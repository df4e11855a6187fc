"""How long a drill takes, in processor seconds: a thousand failures, rescaled and re-solved, on one study.

Run as ``python benchmarks/drill.py [--failures N] [--pools N] [--flows N] [--started N]``, or with ``--quarters 8
--hours 6`` for a plan over time: any site, in every hour, both ways.

The study is random but fixed by its seed: pools of 4 machine types at sites of 4 providers, 5 workloads in 2 tiers
from many origins, and a replica count in every pool that carries the traffic with a third to spare. Lost are pairs of
sites. All replay the same plan, on one thread, one after the other; read the ratio, not the seconds. Then growth with
the number of failures; failures of a fleet with half of these replicas, which must start others; and the whole command:
reading the plan, replaying, printing.
"""

import argparse
import os
import random
import resource
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "tests" / "support"))

from drill_fixtures import goal, machine, model, plan, point, profile, site, study, workload  # noqa: E402

from planner.drill import baseline, drill_plan, failures, remaining, replay, resolve, time_slices  # noqa: E402
from planner.plan.file import plan_text, sealed  # noqa: E402
from planner.study.records.inventory import Pool  # noqa: E402
from planner.study.records.plan import PlanFile  # noqa: E402
from planner.study.records.study import Demand, Holding, Horizon, Hour, Origin, Tier, Utilisation  # noqa: E402

KINDS = ("m0", "m1", "m2", "m3")


def made(pools: int, flows: int, seed: int) -> PlanFile:
    """A plan over so many pools (one a site) and (workload, origin) pairs."""
    g = random.Random(seed)
    sites = tuple(
        site("pqrs"[n % 4], f"s{n}", at=(g.uniform(-50, 60), g.uniform(-120, 140)), region=f"r{n // 2}")
        for n in range(pools)
    )
    kinds = [KINDS[n % 4] for n in range(pools)]
    served = [
        profile(k, f"stack{k}", k, load_seconds=g.choice([50.0, 120.0, 280.0]), classes=(point("short"),))
        for k in KINDS
    ]
    streams = tuple(workload(f"w{n}", tier=("gold", "bulk")[n % 2]) for n in range(5))
    origins = tuple(
        Origin(name=f"o{n}", latitude=g.uniform(-50, 60), longitude=g.uniform(-120, 140)) for n in range(flows // 5)
    )
    demand = tuple(
        Demand(workload=w.name, origin=o.name, requests_per_second=g.uniform(1.0, 20.0))
        for w in streams
        for o in origins
    )
    tiers = (
        Tier(name="gold", survive=(goal("site", 60.0, 0.9), goal("site", 300.0)), round_trip_ms=250.0),
        Tier(name="bulk", survive=(goal("site", 300.0, 0.5),)),
    )
    of = study(
        sites=sites,
        pools=tuple(Pool(site=s.id, machine_type=k) for s, k in zip(sites, kinds, strict=True)),
        machine_types=tuple(machine(k) for k in KINDS),
        models=(model(profiles=served, stacks=[p.stack for p in served]),),
        workloads=streams,
        origins=origins,
        demand=demand,
        tiers=tiers,
        utilisation=Utilisation(basis="fixed"),
    )
    instance, _, _ = replay.prepare(of)
    names = list(instance.placements)
    traffic: dict[tuple[str, str, str], float] = {}
    load = [0.0] * len(names)
    for (w, o), i in instance.flows.items():
        open = [e for e in range(len(names)) if instance.normal[i, e]] or [0]
        chosen = g.sample(open, min(3, len(open)))
        for e in chosen:
            traffic[w, o, names[e]] = float(instance.demand[i]) / len(chosen)
            load[e] += traffic[w, o, names[e]] * float(instance.replica_seconds[i, e])
    replicas = {names[e]: int(1.33 * load[e] / 0.85) + 1 for e in range(len(names))}
    holdings = tuple(
        Holding(pool=name.partition("@")[2], machines=int(1.1 * count) + 1) for name, count in replicas.items()
    )
    return sealed(plan(of.model_copy(update={"holdings": holdings}), replicas, traffic))


def over_time(one: PlanFile, quarters: int, hours: int) -> PlanFile:
    """The plan in each hour of so many quarters: what is wanted and sent rises and falls over the hours by 40 %."""
    names = [f"h{n}" for n in range(hours)]
    factors = {name: 0.6 + 0.4 * n / max(1, hours - 1) for n, name in enumerate(names)}
    each = tuple(Hour(name=name, weight_fraction=1 / hours) for name in names)
    rows = tuple(
        row.model_copy(update={"hour": name, "requests_per_second": row.requests_per_second * factors[name]})
        for row in one.study.demand
        for name in names
    )
    horizon = Horizon(start=one.study.horizon.start, quarters=quarters, hours=each)
    of = one.study.model_copy(update={"horizon": horizon, "demand": rows})
    ids = [(m.hour, factors[m.hour.rpartition("/")[2]]) for m in time_slices.time_slices_of(of)]
    return sealed(
        one.model_copy(
            update={
                "study": of,
                "replicas": tuple(r.model_copy(update={"hour": id}) for id, _ in ids for r in one.replicas),
                "states": tuple(
                    s.model_copy(
                        update={"hour": id, "requests_per_second": tuple(v * factor for v in s.requests_per_second)}
                    )
                    for id, factor in ids
                    for s in one.states
                ),
            }
        )
    )


def measure_over_time(plan: PlanFile) -> None:
    """Both ways over all hours of a plan, each a failure of each hour."""
    _, graph, _ = replay.prepare(plan.study)
    lost = graph.of_kind("site")
    hours = len(time_slices.time_slices_of(plan.study))
    print(f"{len(plan.study.pools)} pools, {len(lost)} failures in each of {hours} hours")
    for mode in ("rescale", "resolve"):
        timed(f"{mode}, over time", len(lost) * hours, partial(drill_plan, plan, mode, which=(("site",), ())))


def timed(what: str, count: int, run: Any) -> float:
    """Processor seconds of a run for each failure, printed."""
    began = _processor_seconds()
    run()
    seconds = _processor_seconds() - began
    print(f"{what:34} {count:6,} failures {seconds:8.2f} s {1000 * seconds / count:8.2f} ms each")
    return seconds / count


def _processor_seconds() -> float:
    """Of this process and of those that it started and that ended."""
    used = [resource.getrusage(of) for of in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(of.ru_utime + of.ru_stime for of in used)


def with_replicas(one: PlanFile, share: float) -> PlanFile:
    """The plan with a share of its replicas."""
    fewer = (r.model_copy(update={"replicas": int(share * r.replicas) + 1}) for r in one.replicas)
    return sealed(one.model_copy(update={"replicas": tuple(fewer)}))


def main() -> None:
    """Measures and prints."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--failures", type=int, default=1000)
    ask.add_argument("--started", type=int, default=50)
    ask.add_argument("--pools", type=int, default=46)
    ask.add_argument("--flows", type=int, default=300)
    ask.add_argument("--quarters", type=int, default=0)
    ask.add_argument("--hours", type=int, default=1)
    ask.add_argument("--seed", type=int, default=1)
    asked = ask.parse_args()
    made_plan = made(asked.pools, asked.flows, asked.seed)
    if asked.quarters:
        measure_over_time(over_time(made_plan, asked.quarters, asked.hours))
        return
    instance, of, _ = replay.prepare(made_plan.study)
    lost = failures.failures_of_kind(instance, of, (), ("site",))[: asked.failures]
    print(f"{asked.pools} pools, {len(instance.flows)} demand rows, {int(instance.in_failure.sum()):,} edges")

    def fleets(one: PlanFile) -> Any:
        slices = baseline.hours_of(one)
        return replay.fleets_of(instance, lost, one, slices[0], slices)

    def replayed(mode: Any, failing: Any, installed: Any) -> Any:
        return lambda: replay._drill(installed, of, failing, mode, None)

    usual = fleets(made_plan)
    fast = timed("rescale", len(lost), replayed("rescale", lost, usual))
    slow = timed("resolve, programs shared", len(lost), replayed("resolve", lost, usual))
    few = lost[:: max(1, len(lost) // 20)]

    def anew() -> None:
        for failure in few:
            alone = remaining.what_remains(usual.in_failure, of, [failure])
            resolve.resolve(alone, resolve.Programs())

    cold = timed("resolve, a program each", len(few), anew)
    print(f"resolve / rescale, per failure: {slow / fast:.1f}; a program each / shared: {cold / slow:.1f}")
    for part in (4, 2):
        timed(f"resolve, one in {part}", len(lost[::part]), replayed("resolve", lost[::part], usual))
    starting = lost[:: max(1, len(lost) // asked.started)]
    timed(
        "resolve, replicas must start",
        len(starting),
        replayed("resolve", starting, fleets(with_replicas(made_plan, 0.5))),
    )
    print(f"largest memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024:,} MiB")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "plan.json"
        path.write_text(plan_text(made_plan), encoding="utf-8")
        command = [sys.executable, "-m", "planner", "drill", str(path), "--mode", "rescale", "--pairs", "site", "-q"]
        whole = {**os.environ, "PYTHONPATH": str(ROOT)}
        timed(
            "planner drill --mode rescale",
            asked.pools * (asked.pools - 1) // 2,
            lambda: subprocess.run(command, env=whole, stdout=subprocess.DEVNULL, check=False),
        )


if __name__ == "__main__":
    main()
