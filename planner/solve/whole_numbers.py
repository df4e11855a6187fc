"""From fractions to whole numbers where one integer search over everything would find nothing in time.

Rounding in rounds (a dive), repair of a plan that new failures broke, and large neighbourhood search: all but a random
part of the pools fixed, an integer program over the rest (Shaw, CP 1998).
"""

import itertools
import math
import random
from collections.abc import Mapping
from typing import Any

from planner.problem.algebra import Sparse
from planner.problem.decisions import Decisions, table
from planner.problem.problem import Problem
from planner.problem.rules.formulas import machines_non_preemptible
from planner.solve.program import FEASIBLE, OPTIMAL, Program, bounds_restored, fix
from planner.units import ROUNDING

ROUND_UP_FROM = 0.25
FIRST_BATCH = 12
"""Pools rounded at once: fewer take longer, more end dearer (7 % above the LP bound with 12, 11 % with all of 79)."""
FREE_POOLS = 8
"""Pools that a neighbourhood leaves free; half of them among those in use."""
NEIGHBOUR_NODES = 25
NEIGHBOUR_GAP = 0.002
NEAR_NODES = 200
NEAR_GAP = 0.005
CHEAPER = 1e-6
"""Saving that counts as one [fraction]."""
WHOLE = 1e-6


def whole_names() -> tuple[str, ...]:
    """Decisions that hold in every failure alike, and are whole."""
    return tuple(d.name for d in table() if d.block == "purchases" and d.whole == "always")


def whole_columns(x: Decisions) -> list[Any]:
    """Columns of the decisions that hold in every failure alike, and are whole."""
    return [v for name in whole_names() for v in getattr(x, name).values()]


def fixed(program: Program, x: Decisions, start: Mapping[Any, float]) -> dict[Any, float] | None:
    """Values of all columns with the whole ones exactly as in a similar plan; None where that breaks a row."""
    columns = whole_columns(x)
    with bounds_restored(columns):
        for v in columns:
            value = float(round(start.get(v, 0.0)))
            if value < (v.lowBound or 0.0) or (v.upBound is not None and value > v.upBound):
                return None
            fix(v, value)
        return program.values() if program.solve() == OPTIMAL else None


def non_preemptible_at_its_largest(p: Problem, x: Decisions, whole: bool) -> Sparse:
    """(e, h) -> non-preemptible replicas: those of a solution, and as many more as machines that always count carry.

    A solution has what the binding failures ask for, and they are not all. More only helps: what is not wanted is
    evicted. What is free is shared among the placements of a pool in proportion to what each lacks; where they must be
    whole, what remains goes to one after the other.

    Parameters
    ----------
    x : what is bought and the replicas, as numbers
    whole : whether non-preemptible replicas are whole numbers
    """
    non_preemptible = Sparse(x.non_preemptible)
    for q in sorted(p.with_spot):
        for h in p.hours:
            lacks = {
                e: x.replicas[e, h] - non_preemptible[e, h]
                for e in p.on_pool[q]
                if x.replicas[e, h] > non_preemptible[e, h]
            }
            wanted = sum(p.machines_per_replica[e] * more for e, more in lacks.items())
            share = min(1.0, _machines_free(p, x, non_preemptible, q, h) / wanted) if wanted > 0 else 0.0
            for e, more in lacks.items():
                non_preemptible[e, h] += math.floor(share * more + ROUNDING) if whole else share * more
            for e in lacks if whole else ():
                fits = math.floor(_machines_free(p, x, non_preemptible, q, h) / p.machines_per_replica[e] + ROUNDING)
                non_preemptible[e, h] = min(x.replicas[e, h], non_preemptible[e, h] + fits)
    return non_preemptible


def _machines_free(p: Problem, x: Decisions, non_preemptible: Sparse, q: str, h: str) -> float:
    """Machines of a pool that count in every failure and carry no non-preemptible replica [machines]."""
    stand = sum(p.machines_per_replica[e] * non_preemptible[e, h] for e in p.on_pool[q])
    return max(0.0, float(machines_non_preemptible(p, x, q, h) - stand))


def repair(
    program: Program, x: Decisions, last: dict[Any, float], gap_fraction: float, most_nodes: int, seconds: float | None
) -> dict[Any, float] | None:
    """Whole numbers with as little as possible added to `last`; None when that leads nowhere. Bounds stay."""
    columns = whole_columns(x)
    with bounds_restored(columns):
        for v in columns:
            v.lowBound = float(round(last[v]))
        status = program.solve(True, gap_fraction, most_nodes, seconds)
    return program.values() if status in (OPTIMAL, FEASIBLE) else None


def near(
    program: Program,
    x: Decisions,
    start: Mapping[Any, float],
    lp_values: Mapping[Any, float],
    good_enough: float | None,
    seconds: float | None,
) -> dict[Any, float] | None:
    """Whole numbers between those of a similar plan and the linear program: where both are 0, nothing is tried.

    Parameters
    ----------
    start : column -> what the similar plan has
    lp_values : column -> value in the linear program over all failures
    good_enough : cost at which to end [USD], or None

    Returns
    -------
    Values of all columns, which the program holds, too; None where none were found. Bounds stay.

    Source
        Danna, Rothberg and Le Pape, Mathematical Programming 102 (2005): neighbourhoods between the linear
        program and a solution; here of another problem, so that a column may take any value between the two
    """
    columns = whole_columns(x)
    with bounds_restored(columns):
        for v in columns:
            in_lp, in_start = lp_values.get(v, 0.0), start.get(v, 0.0)
            least = min(math.floor(in_lp + WHOLE), in_start)
            most = max(math.ceil(in_lp - WHOLE), in_start)
            most += 1 if most > 0 else 0
            v.lowBound = max(v.lowBound or 0.0, float(least))
            v.upBound = float(most) if v.upBound is None else min(v.upBound, max(float(most), v.lowBound))
        status = program.solve(True, NEAR_GAP, NEAR_NODES, seconds, good_enough)
    return program.values() if status in (OPTIMAL, FEASIBLE) else None


def improved(
    p: Problem,
    program: Program,
    x: Decisions,
    best: dict[Any, float],
    draw: random.Random,
    good_enough: float | None,
    seconds: float | None,
) -> dict[Any, float] | None:
    """Better whole numbers in one neighbourhood: all but a random part of the pools fixed at the best so far.

    Parameters
    ----------
    best : values of all columns; what is bought and the replicas are whole
    draw : the pools left free come from it
    good_enough : cost at which to end [USD], or None

    Returns
    -------
    Values of all columns, which the program holds, too; None where nothing cheaper was found. Bounds stay.
    """
    pool: dict[Any, str] = {}
    for name in whole_names():
        pool.update((v, p.pool_of.get(key[0], key[0])) for key, v in getattr(x, name).items())
    used = sorted({q for v, q in pool.items() if best[v] > 0.5})
    free = set(draw.sample(used, min(len(used), FREE_POOLS // 2)))
    free |= set(draw.sample(list(p.pools), min(len(p.pools), FREE_POOLS - len(free))))
    held = [v for v, q in pool.items() if q not in free and q not in p.build_outs]
    with bounds_restored(held):
        for v in held:
            fix(v, float(round(best[v])))
        status = program.solve(True, NEIGHBOUR_GAP, NEIGHBOUR_NODES, seconds, good_enough)
    cheaper = status in (OPTIMAL, FEASIBLE) and program.objective < program.value_of(best) * (1 - CHEAPER)
    return program.values() if cheaper else None


def dive(p: Problem, program: Program, x: Decisions) -> bool:
    """Round in rounds: per pool one replica count, the one nearest its ceiling; purchases last.

    Leaves the program at a whole solution over the binding failures, with all bounds as they were; False when
    rounding ran into a wall, from below and from above.
    """
    replicas = [[x.replicas[e, h] for e in p.on_pool[q]] for q in p.pools for h in p.hours]
    bought = [x.started, x.rented]
    beside = [getattr(x, name) for name in sorted({*whole_names()} - {"replicas", "started", "rented"})]
    groups: list[list[list[Any]]] = [replicas]
    groups += [[[v] for columns in several for v in columns.values()] for several in (beside, bought)]
    for only_up in (False, True):
        with bounds_restored(whole_columns(x)):
            if all(_dive_group(program, group, only_up) for group in groups) and program.solve() == OPTIMAL:
                return True
    return False


def _dive_group(program: Program, pools: list[list[Any]], only_up: bool) -> bool:
    """Round the columns of a group, a list per pool; with `only_up` nothing is ever fixed from above."""
    batch = min(FIRST_BATCH, len(pools))
    if program.solve() != OPTIMAL:
        return False
    while True:
        picked = []
        for columns in pools:
            fractional = [(v.varValue - int(v.varValue + WHOLE), v) for v in columns if v.lowBound != v.upBound]
            fractional = [(part, v) for part, v in fractional if part > WHOLE]
            if fractional:
                picked.append(max(fractional, key=lambda pair: pair[0]))
        picked.sort(key=lambda pair: -pair[0])
        if not picked:
            for v in itertools.chain(*pools):
                v.lowBound = float(round(v.varValue))
                v.upBound = v.upBound if only_up else v.lowBound
            return program.solve() == OPTIMAL
        chosen = [
            (v, float(int(v.varValue + WHOLE) + (only_up or part > ROUND_UP_FROM)), v.lowBound, v.upBound)
            for part, v in picked[:batch]
        ]
        for v, value, _, upper in chosen:
            v.lowBound = value if upper is None else min(value, upper)
            v.upBound = upper if only_up else v.lowBound
        if program.solve() == OPTIMAL:
            continue
        for v, _, lower, upper in chosen:
            v.lowBound, v.upBound = lower, upper
        if len(chosen) == 1:
            v, value, lower, upper = chosen[0]
            other = value + (1 if value <= (v.varValue or 0.0) else -1)
            v.lowBound, v.upBound = (lower, other) if only_up else (max(0.0, other), max(0.0, other))
            if program.solve() != OPTIMAL:
                return False
        elif program.solve() != OPTIMAL:
            return False
        batch = max(1, batch // 4)
