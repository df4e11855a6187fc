"""What the loop over failures and the kept solver instance save, measured side by side in one run.

Run as ``python benchmarks/loop.py [--seed N] [--repeats N] [--no-cbc]``; ends with 1 where two ways disagree.

All lines of a table find the same number, most of them the cost of the relaxation over all failures, below which no
plan can be. They differ in how. Read the ratios, not the seconds: all lines are measured on the same machine, on one
thread, one after the other, each with its own building of programs; the time is the least of the repeats (only one for
CBC, for the loop with PuLP's own HiGHS and for the larger studies).

The relaxation over all failures
    loop, kept HiGHS       the planner: purchases and normal operation first, failures that break enter; tests are
                           bound changes of one program per pattern of clocks, solved from where the last one ended
    loop, pulp.HiGHS       the same steps with PuLP's own class: each solve sends its whole program to a new instance
    full, kept HiGHS       all failures in one program, sent once as arrays
    full, pulp.HiGHS       the same program through PuLP's own class
    full, CBC              the same program through pulp.PULP_CBC_CMD: a peer; the time includes writing its file

One test per failure, purchases fixed (the step that the loop repeats most)
    tests, kept HiGHS      a bound change and a warm solve each
    tests, pulp.HiGHS      the same program sent anew for each

Larger studies of the same kind
    loop and full, kept HiGHS, at 24 and at 36 sites: the full program grows with sites times failures, the loop with
    the failures that decide something; on the small study above there is little to win

The study is random but fixed by its seed: 12 sites of 3 providers in 6 regions, a pool each, 3 accelerators with a
stack of their own, 2 models, 4 workloads in 2 tiers, 4 origins; lost are any site, region, provider or stack, and one
site with a surge: 25 failures. Whole numbers are not measured here.
"""

import argparse
import platform
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pulp

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from studies import machine_type, model, offer, profile, site, study, workload  # noqa: E402

from planner.problem.build import build  # noqa: E402
from planner.problem.decisions import Decisions  # noqa: E402
from planner.problem.problem import Problem  # noqa: E402
from planner.problem.rules.costs import cost_usd  # noqa: E402
from planner.solve.columns import add_failure, start_program  # noqa: E402
from planner.solve.feasibility_subproblem import FeasibilitySubproblem  # noqa: E402
from planner.solve.lp_bound import relax  # noqa: E402
from planner.solve.program import OPTIMAL  # noqa: E402
from planner.solve.search import Effort, Search  # noqa: E402
from planner.study.dependencies import NORMAL  # noqa: E402
from planner.study.records.inventory import Pool  # noqa: E402
from planner.study.records.study import Goal, Horizon, NamedFailure, Origin, Study, Tier, Utilisation  # noqa: E402

AGREE = 1e-7
"""How far two ways may be apart, relative to the cost."""
PROVIDERS = {"aws": "neuron", "google": "xla-tpu", "azure": "cuda"}
PLACES = (("london", 51.5, -0.1), ("virginia", 39.0, -77.5), ("tokyo", 35.7, 139.7), ("sydney", -33.9, 151.2))
LARGER = (24, 36)
"""Numbers of sites at which loop and full program are compared again."""
Maker = Callable[[], Any] | None


def medium_study(seed: int, n_sites: int = 12) -> Study:
    """A random study of 4 workloads and 4 origins, 25 failures at 12 sites; the same for the same seed and size."""
    g = random.Random(seed)
    sites = []
    for i in range(n_sites):
        provider = list(PROVIDERS)[i % 3]
        _, north, east = PLACES[(i // 3) % 4]
        found = site(f"{provider}/s{i}", (north + g.uniform(-5, 5), east + g.uniform(-5, 5)))
        sites.append(found.model_copy(update={"region": f"r{i // 6}"}))
    types = [machine_type(f"type-{name}", name) for name in PROVIDERS]
    pools = [Pool(site=s.id, machine_type=f"type-{s.provider}") for s in sites]
    models = [
        model(
            f"m{m}",
            [
                profile(
                    f"type-{name}",
                    stack,
                    g.uniform(3, 8),
                    accelerators_per_replica=g.choice([2, 4, 8]),
                    load_seconds=g.choice([120.0, 200.0, 400.0]),
                )
                for name, stack in PROVIDERS.items()
            ],
        )
        for m in range(2)
    ]
    bought = [offer(q.id, g.uniform(20, 60), "commitment", most_units=float(g.randint(30, 120))) for q in pools]
    bought += [offer(q.id, g.uniform(60, 110), most_units=float(g.randint(10, 60))) for q in pools]
    kinds = ("site", "region", "provider")
    gold = [Goal(any=kind, within_seconds=60.0) for kind in kinds]
    gold += [Goal(any="stack", serve_fraction=0.8, within_seconds=300.0)]
    gold += [Goal(failure="surge", serve_fraction=0.9, within_seconds=300.0)]
    iron = [Goal(any=kind, serve_fraction=0.7, within_seconds=300.0) for kind in kinds]
    workloads = [workload(f"w{i}", tier="gold" if i % 2 == 0 else "iron", model=f"m{i // 2}") for i in range(4)]
    origins = [Origin(name=name, latitude=north, longitude=east) for name, north, east in PLACES]
    return study(
        study=f"random-{n_sites}-{seed}",
        horizon=Horizon(start=date(2026, 1, 1), months=12.0),
        hours_per_month=730.0,
        utilisation=Utilisation(basis="fixed"),
        sites=tuple(sites),
        machine_types=tuple(types),
        pools=tuple(pools),
        bought=bought,
        models=tuple(models),
        origins=tuple(origins),
        tiers=(
            Tier(name="gold", survive=tuple(gold), round_trip_ms=180.0, round_trip_ms_in_failure=300.0),
            Tier(name="iron", survive=tuple(iron)),
        ),
        workloads=tuple(workloads),
        demand={(w.name, o.name): g.uniform(20, 120) for w in workloads for o in origins},
        failures=(NamedFailure(name="surge", lost={f"site:{g.choice(sites).id}": 1.0}, surge_factor=1.15),),
    )


@dataclass(frozen=True)
class Line:
    """One way, measured."""

    name: str
    seconds: float
    solves: int
    columns: int
    rows: int
    objective: float
    note: str = ""


def own_highs() -> Any:
    """PuLP's own HiGHS class on one thread."""
    return pulp.HiGHS(msg=False, threads=1)


def cbc() -> Any:
    """PuLP's own CBC."""
    return pulp.PULP_CBC_CMD(msg=False, threads=1)


def loop(p: Problem, name: str, maker: Maker) -> tuple[Line, Decisions]:
    """The relaxation over all failures by the loop; and what it buys."""
    tests = 0

    def count(stage: str, done: float | None, detail: str) -> None:
        nonlocal tests
        tests += stage == "testing failures"

    began = time.perf_counter()
    search = Search(p, Effort(), maker, count)
    cost = relax(search)
    seconds = time.perf_counter() - began
    lp = search.program.lp
    note = f"{len(search.binding)} of {len(p.failures) - 1} failures binding, {search.passes} passes, {tests} tests"
    line = Line(name, seconds, search.passes + tests, len(lp.columns), len(lp.rows), cost, note)
    return line, search.purchases(whole=False)


def full(p: Problem, name: str, maker: Maker) -> Line:
    """The relaxation over all failures in one program."""
    began = time.perf_counter()
    program, x = start_program(p, None if maker is None else maker())
    for f in p.failures:
        if f != NORMAL:
            add_failure(p, program, x, f)
    program.minimise(cost_usd(p, x))
    built = time.perf_counter()
    status = program.solve()
    ended = time.perf_counter()
    if status != OPTIMAL:
        sys.exit(f"{name}: ended {status}")
    note = f"built in {built - began:.2f} s, solved in {ended - built:.2f} s"
    return Line(name, ended - began, 1, len(program.lp.columns), len(program.lp.rows), program.objective, note)


def tests(p: Problem, name: str, maker: Maker, purchases: Decisions) -> Line:
    """One test of every failure with what the loop bought; building the test programs is left out."""
    programs = {clocks: FeasibilitySubproblem(p, clocks, None if maker is None else maker()) for clocks in _patterns(p)}
    failures = [f for f in p.failures if f != NORMAL]
    for clocks, test in programs.items():  # the first solve of each sends everything, in both ways
        test.test(next(f for f in failures if p.deadlines_seconds[f] == clocks), purchases)
    began = time.perf_counter()
    short = sum(programs[p.deadlines_seconds[f]].test(f, purchases) for f in failures)
    seconds = time.perf_counter() - began
    columns = sum(len(test.program.lp.columns) for test in programs.values())
    rows = sum(len(test.program.lp.rows) for test in programs.values())
    note = f"{len(programs)} test programs, {1000 * seconds / len(failures):.1f} ms per test"
    return Line(name, seconds, len(failures), columns, rows, short, note)


def _patterns(p: Problem) -> list[tuple[float, ...]]:
    return sorted({p.deadlines_seconds[f] for f in p.failures if f != NORMAL})


def best(repeats: int, measure: Callable[[], Line]) -> Line:
    """The quickest of some measurements."""
    return min((measure() for _ in range(repeats)), key=lambda line: line.seconds)


def apart(lines: list[Line]) -> float:
    """Largest difference from the first line's objective, relative to it."""
    truth = lines[0].objective
    return max(abs(line.objective - truth) for line in lines) / abs(truth)


def table(title: str, lines: list[Line], objective: str) -> str:
    """Lines as text; ratios are against the first, the planner's own way."""
    head = f"{'':<20}{'seconds':>9}{'ratio':>8}{'solves':>8}{'columns':>9}{'rows':>9}  {objective:>18}"
    text = [title, head]
    for line in lines:
        ratio = line.seconds / lines[0].seconds
        text.append(
            f"{line.name:<20}{line.seconds:>9.2f}{ratio:>8.2f}{line.solves:>8}{line.columns:>9,}{line.rows:>9,}"
            f"  {line.objective:>18,.4f}  {line.note}"
        )
    return "\n".join(text)


def main() -> int:
    """Measure and print; 1 where two ways disagree."""
    parser = argparse.ArgumentParser(description="what the loop over failures and the kept solver instance save")
    parser.add_argument("--seed", type=int, default=1, help="of the study")
    parser.add_argument("--repeats", type=int, default=3, help="of the quick lines; the least time counts")
    parser.add_argument("--no-cbc", action="store_true", help="leave CBC out")
    asked = parser.parse_args()
    p = build(medium_study(asked.seed))
    repeats = max(1, asked.repeats)
    print(
        f"{len(p.pools)} pools, {len(p.placements)} placements, {len(p.flows)} flows of requests, "
        f"{len(p.failures) - 1} failures; seed {asked.seed}\n"
        f"Python {platform.python_version()}, PuLP {version('pulp')}, highspy {version('highspy')}, "
        f"CBC as PuLP ships it\n"
    )
    purchases = loop(p, "", None)[1]
    lines = [
        best(repeats, lambda: loop(p, "loop, kept HiGHS", None)[0]),
        loop(p, "loop, pulp.HiGHS", own_highs)[0],
        best(repeats, lambda: full(p, "full, kept HiGHS", None)),
        best(repeats, lambda: full(p, "full, pulp.HiGHS", own_highs)),
    ]
    if not asked.no_cbc:
        lines.append(full(p, "full, CBC", cbc))
    print(table("The relaxation over all failures", lines, "USD over the year"), end="\n\n")
    each = [
        best(repeats, lambda: tests(p, "tests, kept HiGHS", None, purchases)),
        best(repeats, lambda: tests(p, "tests, pulp.HiGHS", own_highs, purchases)),
    ]
    print(table("One test per failure, purchases fixed", each, "requests/s short"), end="\n\n")
    differences = [apart(lines)]
    for n_sites in LARGER:
        larger = build(medium_study(asked.seed, n_sites))
        both = [loop(larger, "loop, kept HiGHS", None)[0], full(larger, "full, kept HiGHS", None)]
        print(table(f"{n_sites} sites, {len(larger.failures) - 1} failures", both, "USD over the year"), end="\n\n")
        differences.append(apart(both))
    demand = sum(p.demand_requests_per_second.values())
    short = max(line.objective for line in each) / demand
    agreed = max(*differences, short) <= AGREE
    print(
        f"largest difference {max(differences):.1e} of the cost, {short:.1e} of demand short in a test: "
        f"{'agreed' if agreed else 'NOT agreed'} within {AGREE:g}"
    )
    return 0 if agreed else 1


if __name__ == "__main__":
    sys.exit(main())
