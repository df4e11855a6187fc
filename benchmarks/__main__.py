"""Benchmarks with peers: `python -m benchmarks` (minutes), `--full` (an hour or more), `--only NAME`.

Studies are generated from the shipped inventories by a fixed seed. Everything is processor seconds (user and system)
of one thread, each measurement in a process of its own. Peers solve the same program in the same run; ratios are of one
run each, given as median (least to largest).
"""

import argparse
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from benchmarks import melange, memory, peers, questions, whole_plans
from benchmarks.measure import Measured, alone, spread_of, versions
from benchmarks.studies import SIZES, Size
from benchmarks.tables import Goal, Table, attempted, differing, exponent, goals_table, ratio_row
from benchmarks.whole_plans import Basis
from planner.solve.highs import DUAL, INTERIOR_POINT
from planner.solve.search import USUAL_GAP_FRACTION, Block

HERE = Path(__file__).resolve().parent
PACKAGES = ("highspy", "pulp", "linopy", "numpy")
LIMIT_FACTOR, LEAST_LIMIT_SECONDS = 40.0, 20.0
"""Peers of a larger study end after so many times what ours took, and not before so many seconds."""
PLAIN_FACTOR = 3.0
"""HiGHS alone on the whole program has so many times what our plan took."""
FAILURES, WORKLOADS = (10, 20, 40, 80, 160), (10, 20, 40, 80)
ORACLES = ("oracle", "oracle, interior point", "oracle, nothing merged")
PLAN_SECONDS = {"quickstart": 3.0, "newcomer": 5.0, "buildout": 5.0, "large": 300.0}
WARM_RATIO, QUESTION_RATIOS = 0.35, {"matrix of 16": 6.0, "ladder, drilled": 4.0}
"""What figures are to be at most: seconds of a plan, questions over one plan from nothing."""
SAID = {
    ("full_inventory", "time on the wall", " s"): 60.0,
    ("full_inventory", "gap", " %"): 1.0,
    ("periods", "time on the wall", " s"): 60.0,
    ("periods", "gap", " %"): 0.5,
}
"""The same of what scripts of this folder say: (script, what, unit) -> at most."""
WHY = {
    "oracle": "ours also tests every failure, twice at the least, and solves a coarse problem first; an oracle is told "
    "which failures bind.",
    "monolith": "the figure was set for a monolith by simplex in which nothing is merged; with flows merged as ours, "
    "or by an interior point method, HiGHS is several times faster than that.",
    "growth": "every failure is tested, and more bind as more are asked for, each of which enlarges the program; what "
    "would lift it is a bound on a failure's harm without a test.",
    "plan": "what is left is the bound. Small programs are searched for what is cheaper than the plan by the gap,"
    " with less whole last: replicas in failures divisible. Of buildout that search of one root and some "
    "two hundred nodes is half of the time, that of its plan without goals a quarter. A large program is "
    "not searched so: its root takes most of the nodes that it has, and without the best plan to start "
    "from it ended at 2.1 % on the full inventory, as cheaper plans were not come upon. Both at once, or "
    "a decomposition by failure with whole recourse, would lift it. Asked for 2 %, the full inventory ends at 1.94 % "
    "after 41 s of the processor, 63 s on the wall of a machine that others used. "
    "Of large it was the bound. The cheap pools of its linear program (36.55 M USD) are at their limits: what "
    "whole replicas leave unused there is bought dear elsewhere. With machines whole and all replicas divisible "
    "36.80 M are reached over all pools. Its tree came to 37.18 M after 25 nodes, a minute, beside a plan of "
    "38.80 M: what is whole stands in many rows of divisible traffic, each with little of it, of which a solver "
    "rounds nothing. Now routes are projected out (planner/solve/without_routes.py: rows of what is bought and "
    "runs that any routes imply, the first by the marginal values of the linear program, the others where its "
    "values cannot be routed; of 145,000 columns 4,800 are left, with some 170 such rows). Over all pools nothing "
    "is below 38.28 M, proven with 658 nodes, 25 s: a plan of 38.94 M is within 1.70 % after 120 s. Asked for 1 "
    "%, it ends after 355 s at 38.79 M with a bound of 38.24 M (1.42 %); 38.5 M are not ruled out with 2,000 "
    "nodes. What remains is the tree: one machine of the dearest pool that the plan uses is 2.2 % of it, many are "
    "nearly as cheap as those that are used, and a choice between two of them raises no bound. More rows make its "
    "nodes fewer (with 330 of them 38.03 M took 11 nodes in the place of 81), so rows found at nodes, which the "
    "solver has no call for, might lift it. Plans are looked for with fewer routes "
    "(planner/solve/fewer_routes.py: streams that need about the same have one split, of 180,000 columns 20,000 "
    "are left). Of medium, with 12,100 rows of 8,100 columns left, the bound is 24.67 M after 1,230 nodes, 74 s, "
    "beside plans of 25.68 M. The full inventory has too few columns to be searched so; where it was, its bound "
    "was 84.32 M after 39 s (84.17 M by its tree), its plan at the end 85.73 M: 1.64 %.",
    "questions": "what is asked anew is planned anew: a bound is carried over where nothing gets cheaper and "
    "failures are as many or more, and at other prices as a row (what a plan costs at the prices before is no "
    "less than its bound was); at another demand it is not, and what is bought for one is no start for the "
    "other. So a price or a goal takes a quarter of a plan from nothing where that takes long, and about as "
    "long where that takes one or two seconds: what is left is what every answer needs for itself, its linear "
    "program, root and states, neighbourhoods of the similar plan, and two plans without goals. Of the 43 s "
    "of a matrix roots take 9, neighbourhoods 12, searches for bounds 6, states 6, plans without goals 10; "
    "the row of the lowest demand takes a quarter. A bound for another demand would lift it. Of a ladder the "
    "last two steps ask about two hundred failures each, and take half: a plan below is far from theirs, so "
    "neither its whole numbers nor its bound help. A quarter is the drill of all steps' failures on six "
    "plans; a faster root would lift it. By waiting a matrix of 16 takes about 260 s, a ladder 160: of the "
    "matrix four fifths are neighbourhoods, of the ladder three eighths the drill, which looks for the "
    "replicas of each failure in rounds until none is too full. The figures were set beside a plan of the "
    "quickstart that took 11 s: of these a price takes 0.16, a tenth more demand 0.24, the matrix 3.9 and the "
    "ladder 3.1 times as long; plans from nothing have become five times as fast since",
}
"""What limits a figure that is not reached, and what would lift it."""
ONLY_FULL = ("questions-small", "relaxation-large", "relaxation-huge", "full-inventory", "periods", "drill")
"""What runs only when all is asked for, or by name."""
PEERS = ("small", "medium")
"""Sizes at which all failures at once are within reach of peers."""


@dataclass(frozen=True)
class Asked:
    """What is measured, and how often.

    Parameters
    ----------
    runs : of each linear program
    say : where progress goes
    """

    full: bool = False
    runs: int = 3
    seed: int = 1
    gap_fraction: float = 0.01
    say: Callable[[str], None] = lambda line: print(line, file=sys.stderr, flush=True)

    def run(self, name: str, function: Callable[..., Measured], *arguments: object) -> Measured | None:
        """A measurement in a process of its own; None where it failed."""
        return attempted(lambda: alone(function, *arguments), self.say, name)


# ------------------------------------------------------------------ linear programs
def relaxation(asked: Asked, name: str, size: Size) -> Table:
    """The linear program over all failures: ours, the oracle that knows which bind, and all failures at once."""
    seed = asked.seed
    runs = asked.runs if name in PEERS or asked.runs < 2 else 1
    title = f"The linear program, {name}"
    before = (
        f"{size.workloads} workloads x {size.origins} origins, {size.pools} pools, {size.failures} failures. "
        "Ours tests failures and enters those that break; an oracle knows which they are and enters them at once; a "
        "monolith enters all. The ratio is ours over the peer: below 1 ours is faster."
    )
    columns = ("way", "processor s", "ours / it", "columns", "MiB")
    table = Table(title, columns, before)
    ours: list[Measured] = []
    found: dict[str, list[Measured | None]] = {}
    for n in range(runs):
        own = asked.run(f"{name}: ours, run {n + 1} of {runs}", peers.ours, size, seed)
        if own is None:
            table.wrong.append("ours failed")
            return table
        ours.append(own)
        blocks = own.facts["blocks"]
        limit = max(LEAST_LIMIT_SECONDS, LIMIT_FACTOR * max(own.facts["wall_seconds"], own.seconds))
        for way, function, arguments in _ways(name, asked.full, blocks, limit, n):
            found.setdefault(way, []).append(asked.run(f"{name}: {way}", function, size, seed, *arguments))
    table.rows.append(ratio_row("ours", ours, ours))
    for way, measured in found.items():
        table.rows.append(ratio_row(way, measured, ours))
        table.wrong += differing(way, measured, ours)
    first = ours[0]
    table.after.append(
        f"Optimum {first.value:,.2f} USD; {len(first.facts['blocks'])} failures bind, {first.facts['passes']} passes."
    )
    table.goals += _lp_goals(name, ours, found)
    if name in PEERS and not peers.has_linopy():
        table.after.append("linopy is not installed: `pip install 'multicloud-capacity-planner[benchmarks]'`.")
    return table


def _lp_goals(name: str, ours: Sequence[Measured], found: dict[str, list[Measured | None]]) -> list[Goal]:
    """What the relaxation of a size was to be, beside its peers."""
    if name not in ("medium", "large"):
        return []
    ratios = {way: ratio for way, runs in found.items() if (ratio := _ratio(runs, ours)) is not None}
    oracles = [ratio for way, ratio in ratios.items() if way in ORACLES]
    goals = []
    if oracles:
        most = 1.5 if name == "medium" else 1.2
        goals.append(Goal(f"linear program, {name}: ours / the better oracle", most, max(oracles), why=WHY["oracle"]))
    if name == "medium":
        goals += [
            Goal(f"linear program, medium: ours / {way}", 0.03, ratio, why=WHY["monolith"])
            for way, ratio in ratios.items()
            if way.startswith("monolith")
        ]
    return goals


def _ratio(runs: Sequence[Measured | None], ours: Sequence[Measured]) -> float | None:
    """Median of ours over a peer, run by run."""
    ratios = [own.seconds / run.seconds for run, own in zip(runs, ours, strict=False) if run is not None]
    return spread_of(ratios).median if ratios else None


def _ways(
    name: str, full: bool, blocks: Sequence[Block], limit: float, run: int
) -> list[tuple[str, Callable[..., Measured], tuple[object, ...]]]:
    """Peers of a size in a run: what takes long is measured once, within a limit, where the study is not small."""
    small = name not in ("medium", "large", "huge")
    ways: list[tuple[str, Callable[..., Measured], tuple[object, ...]]] = [
        ("oracle", peers.at_once, (blocks, True, DUAL, None if small else limit)),
        ("oracle, interior point", peers.at_once, (blocks, True, INTERIOR_POINT)),
    ]
    if small or run == 0:
        ways += [("oracle, nothing merged", peers.at_once, (blocks, False, DUAL, None if small else limit))]
    if name in ("large", "huge"):
        return ways
    if small or run == 0:
        ends = None if small else limit
        ways += [("monolith, interior point", peers.at_once, (None, True, INTERIOR_POINT))]
        ways += [("monolith", peers.at_once, (None, True, DUAL, ends))]
    if small or (full and run == 0):
        ways += [
            ("monolith, nothing merged", peers.at_once, (None, False, DUAL, ends)),
            ("monolith in PuLP", peers.pulp_monolith, (True, ends)),
            ("monolith in PuLP, nothing merged", peers.pulp_monolith, (False, ends)),
        ]
        if peers.has_linopy():
            ways += [("monolith in linopy", peers.linopy_monolith, (True, ends))]
    return ways


def growth(asked: Asked, sizes: Sequence[Size], what: str) -> Table:
    """The relaxation of studies that differ in one number, each run of another seed: which failures bind is chance."""
    before = f"The linear program by ours, other numbers as in medium; as many studies of each as runs: {asked.runs}."
    table = Table(f"Growth with {what}", (what, "processor s", "bind", "passes", "columns", "MiB"), before)
    numbers: list[int] = []
    seconds: list[float] = []
    for size in sizes:
        number: int = getattr(size, what)
        name = f"{number} {what}"
        tried = [asked.run(name, peers.ours, size, asked.seed + n) for n in range(asked.runs)]
        runs = [run for run in tried if run is not None]
        if not runs:
            table.rows.append((f"{number}", "failed", "", "", "", ""))
            continue
        numbers += [number] * len(runs)
        seconds += [run.seconds for run in runs]
        binding = spread_of([len(run.facts["blocks"]) for run in runs]).written(0)
        passes = spread_of([run.facts["passes"] for run in runs]).written(0)
        columns = spread_of([run.facts["columns"] for run in runs]).written(0)
        mib = max(run.mib for run in runs)
        taken = spread_of([run.seconds for run in runs]).written()
        table.rows.append((f"{number}", taken, binding, passes, columns, f"{mib:,.0f}"))
    if len(set(numbers)) > 1:
        power = exponent(numbers, seconds)
        table.after.append(f"Seconds grow with {what} to the power of {power:.2f} (least squares of the logarithms).")
        if what == "failures":
            goal = "growth of the linear program with failures, exponent"
            table.goals.append(Goal(goal, 1.0, power, why=WHY["growth"]))
    return table


def memory_table(asked: Asked, cases: dict[str, dict[int, memory.Case]]) -> Table:
    """Memory of the program of studies that differ in one number."""
    before = (
        "Studies that differ in one number, all else as in medium with 12 failures in the program: its terms, and the "
        "memory of a process that has built it and handed it to the solver, not solved."
    )
    table = Table("Memory", ("study", "columns", "terms", "MiB"), before)
    known: dict[memory.Case, Measured | None] = {}
    powers = []
    for what, of_number in cases.items():
        numbers: list[int] = []
        terms: list[int] = []
        for number, case in of_number.items():
            name = f"{number} {what}"
            if case not in known:
                known[case] = asked.run(name, memory.built, case, asked.seed)
            measured = known[case]
            if measured is None:
                table.rows.append((name, "failed", "", ""))
                continue
            facts = measured.facts
            table.rows.append((name, f"{facts['columns']:,}", f"{facts['terms']:,}", f"{measured.mib:,.0f}"))
            numbers.append(number)
            terms.append(facts["terms"])
        if len(numbers) > 1:
            powers.append(f"{what} {exponent(numbers, terms):.2f}")
    table.after.append(f"Terms grow with each number to the power of: {', '.join(powers)}.")
    return table


# ------------------------------------------------------------------ whole plans
def plans(asked: Asked, names: Sequence[str]) -> Table:
    """Whole plans beside HiGHS alone."""
    gap = asked.gap_fraction
    before = (
        f"A plan to {gap:.0%} as `planner plan` makes it, with the solves that it is compared with, and HiGHS alone "
        "on the whole program of the same study: all failures, whole what a plan has whole, the same gap, a time limit "
        f"of {PLAIN_FACTOR:g} times what ours took on the wall."
    )
    columns = ("study", "way", "cost [USD]", "bound [USD]", "gap", "processor s", "MiB")
    table = Table(f"Whole plans at {gap:.0%}", columns, before)
    for name in names:
        own = asked.run(f"{name}: plan", whole_plans.plan, name, asked.seed, gap)
        if own is None:
            table.wrong.append(f"{name}: no plan")
            continue
        if not own.facts["audit"]:
            table.wrong.append(f"{name}: the audit fails")
        limit = PLAIN_FACTOR * own.facts["wall_seconds"]
        alone_ = asked.run(f"{name}: HiGHS alone", whole_plans.plain, name, asked.seed, gap, limit)
        for way, measured in (("ours", own), ("HiGHS alone", alone_)):
            table.rows.append(_plan_row(name, way, measured))
        if name in PLAN_SECONDS:
            seconds = PLAN_SECONDS[name]
            table.goals.append(Goal(f"plan of {name} at {gap:.0%}, time", seconds, own.seconds, " s", WHY["plan"]))
        reached = 100 * own.facts["gap_fraction"]
        table.goals.append(Goal(f"plan of {name}, gap", 100 * gap, reached, " %", WHY["plan"]))
    return table


def _plan_row(name: str, way: str, measured: Measured | None) -> tuple[str, ...]:
    if measured is None:
        return (name, way, "failed", "", "", "", "")
    value, bound = measured.value, measured.bound
    gap = "" if value is None or bound is None else f"{max(0.0, value - bound) / value:.2%}"
    cost = "none found" if value is None else f"{value:,.0f}"
    least = "none" if bound is None or bound < 0 else f"{bound:,.0f}"
    return (name, way, cost, least, gap, f"{measured.seconds:,.1f}", f"{measured.mib:,.0f}")


def melange_table(asked: Asked) -> Table:
    """Mélange's program beside ours."""
    before = (
        "The cheapest mix of GPUs for one model, by sizes of requests, proven optimal. Ours may split a slice of the "
        "demand and is never dearer; a plan of ours also has routes, and is tested."
    )
    table = Table("Mélange's program", ("case", "way", "USD per hour", "processor s"), before)
    for name in melange.CASES:
        own = asked.run(f"Mélange, {name}: ours", melange.ours, name)
        theirs = asked.run(f"Mélange, {name}: PuLP", melange.transcription, name)
        for way, measured in (("ours", own), ("its program in PuLP", theirs)):
            if measured is not None and measured.value is not None:
                table.rows.append((name, way, f"{measured.value:,.2f}", f"{measured.seconds:,.2f}"))
        if own and theirs and own.value and theirs.value and own.value > theirs.value * (1 + 1e-6):
            table.wrong.append(f"{name}: ours is dearer")
        if name == "example" and (own is None or abs((own.value or 0.0) - melange.EXAMPLE_USD) > 1e-6):
            table.wrong.append("the published optimum is not reached")
    return table


# ------------------------------------------------------------------ questions
def warm(asked: Asked, name: str, basis: Basis = "fixed", many: bool = False) -> Table:
    """What-ifs, and with `many` and --full a matrix and a ladder, against a plan from nothing."""
    gap_fraction = max(asked.gap_fraction, USUAL_GAP_FRACTION[basis])
    filled = "to fixed shares" if basis == "fixed" else "by waiting"
    of = f"{name}, {basis}"
    table = Table(
        f"Questions about a plan: {of}",
        ("question", "processor s", "one plan from nothing", "ratio", "largest gap"),
        f"About {name}, filled {filled}, to {gap_fraction:.0%}. A what-if starts from the plan of the study as it is.",
    )
    todo: list[tuple[str, Callable[..., Measured], tuple[object, ...]]] = [
        (question, questions.what_if, (question,)) for question in questions.QUESTIONS
    ]
    if many and asked.full:
        todo += [("matrix of 16", questions.matrix, ()), ("ladder, drilled", questions.ladder, ())]
    for question, function, arguments in todo:
        measured = asked.run(f"{of}: {question}", function, name, asked.seed, basis, gap_fraction, *arguments)
        if measured is None:
            table.rows.append((question, "failed", "", "", ""))
            continue
        cold, gap = measured.facts["cold_seconds"], measured.facts["gap_fraction"]
        ratio = measured.seconds / cold
        table.rows.append((question, f"{measured.seconds:,.1f}", f"{cold:,.1f}", f"{ratio:.2f}", f"{gap:.2%}"))
        most = QUESTION_RATIOS.get(question, WARM_RATIO)
        goal = f"{question} / one plan from nothing, {of}"
        table.goals.append(Goal(goal, most, ratio, why=WHY["questions"]))
    return table


# ------------------------------------------------------------------ benchmarks that are scripts of their own
def said_goals(name: str, text: str) -> list[Goal]:
    """What a script says of figures that were to be reached: `N s in all`, `gap N%`."""
    goals = []
    for (of, what, unit), at_most in SAID.items():
        pattern = r"([\d.]+) s in all" if unit == " s" else r"gap ([\d.]+) ?%"
        if of == name and (number := re.search(pattern, text)):
            goals.append(Goal(f"{of.replace('_', ' ')}, {what}", at_most, float(number[1]), unit, WHY["plan"]))
    return goals


def script(asked: Asked, name: str, *arguments: str) -> Table:
    """The last lines of a script of this folder."""
    asked.say(f"{name} {' '.join(arguments)}")
    run = subprocess.run(
        [sys.executable, str(HERE / f"{name}.py"), *arguments], capture_output=True, text=True, check=False
    )
    command = f"`python benchmarks/{name}.py {' '.join(arguments)}`".replace(" `", "`")
    table = Table(name.replace("_", " ").capitalize(), ("what it says",), f"From {command}.")
    table.rows = [(line.strip().replace("|", "/"),) for line in run.stdout.splitlines()[-12:] if line.strip()]
    table.goals = said_goals(name, run.stdout)
    if run.returncode:
        said = run.stderr.strip().splitlines()
        table.wrong.append(f"it ended with {run.returncode}: {said[-1] if said else 'nothing said'}")
    return table


# ------------------------------------------------------------------ all of it
def benchmarks(asked: Asked) -> dict[str, Callable[[], Table]]:
    """Benchmarks by name, in the order in which they run."""
    medium = SIZES["medium"]
    return {
        "relaxation-small": lambda: relaxation(asked, "small", SIZES["small"]),
        "relaxation-medium": lambda: relaxation(asked, "medium", SIZES["medium"]),
        "failures": lambda: growth(asked, [replace(medium, failures=n) for n in FAILURES], "failures"),
        "workloads": lambda: growth(asked, [replace(medium, workloads=n) for n in WORKLOADS], "workloads"),
        "memory": lambda: memory_table(asked, memory.cases()),
        "melange": lambda: melange_table(asked),
        "plans": lambda: plans(asked, _planned(asked.full)),
        "questions": lambda: warm(asked, "quickstart", many=True),
        "questions-by-waiting": lambda: warm(asked, "quickstart", "waiting"),
        "questions-small": lambda: warm(asked, "small"),
        "relaxation-large": lambda: relaxation(asked, "large", SIZES["large"]),
        "relaxation-huge": lambda: relaxation(asked, "huge", SIZES["huge"]),
        "full-inventory": lambda: script(asked, "full_inventory"),
        "periods": lambda: script(asked, "periods"),
        "drill": lambda: script(asked, "drill"),
    }


def _planned(full: bool) -> tuple[str, ...]:
    """Studies of which whole plans are made."""
    few = ("quickstart", "newcomer", "small", "buildout")
    return (*few, "medium", "large") if full else few


def page(tables: Sequence[Table], command: str) -> str:
    """The page of docs: what was measured where, by which command."""
    installed = ", ".join(f"{name} {number}" for name, number in versions(*PACKAGES).items())
    head = f"""# Benchmarks

Written by `{command}` on {date.today()}: {installed}.

One thread on a machine of two shared cores. Seconds are of the processor, user and system; several runs are given as
median (least to largest). Every way to a linear program has the same optimum to 1e-6, or the page says WRONG. Studies
are generated from the shipped inventories by a fixed seed (`benchmarks/studies.py`). In all of them replicas are filled
to fixed shares (`utilisation: {{basis: fixed}}`), as peers know no waits: [in time](in-time.md) has plans by waiting.

"""
    goals = [goal for table in tables for goal in table.goals]
    written = [goals_table(goals), *tables] if goals else tables
    return head + "\n".join(table.markdown() for table in written) + FOOT


FOOT = """
## Your own study

A larger fleet takes memory in proportion to the terms of its program: 0.15 KiB each once it is built, 0.75 KiB while
its linear program is solved, beside about 90 MiB of the planner itself, 130 MiB with the review. Terms are merged edges
x states: in proportion to hours, about so to failures that bind, more than so to pools, far less to workloads and
cities, which merge (the powers are under Memory). Failures that do not bind take none: they are tested one at a time.
`--explain-size` says how many terms there are; all pools that ship, as a whole plan, take 0.3 GiB.

`planner plan mine --out plan.json --profile --explain-size` adds two sections to the review: where the time went, by
stage, the solver's apart; and how large the program is: what was merged, which failures entered, what memory grows
with. The years of a study (`benchmarks/periods.py`), the drill (`benchmarks/drill.py`), all pools that ship
(`benchmarks/full_inventory.py`) and a matrix of variants (`benchmarks/variants.py`) are also commands of their own.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmarks; 1 where an optimum differs, a plan is missing or fails its audit."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = list(benchmarks(Asked()))
    parser.add_argument("--full", action="store_true", help="also large and huge studies, the inventory, years, drill")
    parser.add_argument("--only", metavar="NAME", choices=names, action="append", help=", ".join(names))
    parser.add_argument("--runs", type=int, default=3, help="of each linear program (default 3)")
    parser.add_argument("--seed", type=int, default=1, help="of the studies (default 1)")
    parser.add_argument("--gap", type=float, default=0.01, help="of whole plans [fraction] (default 0.01)")
    parser.add_argument("--write", type=Path, help="file to write, else standard output")
    asked = parser.parse_args(arguments)
    how = Asked(asked.full, asked.runs, asked.seed, asked.gap)
    tables = []
    for name, measure in benchmarks(how).items():
        is_chosen = name in asked.only if asked.only else asked.full or name not in ONLY_FULL
        if is_chosen:
            tables.append(measure())
            how.say(tables[-1].markdown())
    given = " ".join(sys.argv[1:] if arguments is None else arguments)
    text = page(tables, f"python -m benchmarks {given}".strip())
    if asked.write is None:
        print(text)
    else:
        asked.write.write_text(text, encoding="utf-8")
    return 1 if any(table.wrong for table in tables) else 0


if __name__ == "__main__":
    sys.exit(main())
