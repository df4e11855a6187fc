"""How full each pool is: in normal operation, and in the failure in which it is fullest."""

from dataclasses import dataclass

import numpy as np

from planner.plan.in_hand import Plan
from planner.problem.algebra import Array, sum_by
from planner.problem.arrays import Arrays, full
from planner.problem.decisions import Vectors
from planner.problem.problem import State, fullest_hour
from planner.problem.rules.formulas import running
from planner.review.failures import hour_text
from planner.review.figures import number
from planner.review.filled import filled_of_limit, machines_usable
from planner.review.report import Column, Section, percent, short_failure
from planner.study.dependencies import NORMAL


@dataclass(frozen=True)
class PoolLoad:
    """The machines of a pool in a state.

    Parameters
    ----------
    failure : normal, or a failure at one of its deadlines
    machines : that can be used then, those obtained in the failure among them
    running_machines : of them, on which replicas run
    busy_machines : of these, what traffic fills of the replicas, up to the utilisation that is allowed then
    busy_fraction : share of the machines that is busy; 0 where there is none
    """

    failure: str
    deadline_seconds: float
    machines: float
    running_machines: float
    busy_machines: float
    busy_fraction: float


@dataclass(frozen=True)
class PoolUse:
    """A pool in normal operation and in the failure in which it is fullest; no worst where no failure keeps it.

    Parameters
    ----------
    headroom_machines : that are not busy in normal operation
    """

    pool: str
    provider: str
    normal: PoolLoad
    worst: PoolLoad | None
    headroom_machines: float


def utilisation_section(plan: Plan) -> Section | None:
    """Every pool with machines, the fullest in a failure first; no section where there is none."""
    p, a, x, h = plan.problem, full(plan.problem), plan.vectors, fullest_hour(plan.problem)
    normal = _loads(a, x, (h, NORMAL, 0.0))
    worst: dict[int, PoolLoad] = {}
    for f in p.failures:
        for c in p.deadlines_seconds[f] if f != NORMAL else ():
            for q, load in enumerate(_loads(a, x, (h, f, c))):
                if load.machines > 0 and (q not in worst or load.busy_fraction > worst[q].busy_fraction + 1e-6):
                    worst[q] = load
    rows = []
    for q, pool in enumerate(a.p.pools):
        if normal[q].machines > 0 or q in worst:
            headroom = normal[q].machines - normal[q].busy_machines
            rows.append(PoolUse(pool, p.provider_of[pool], normal[q], worst.get(q), headroom))
    if not rows:
        return None
    rows.sort(key=_fullest_first)
    columns = (
        Column("pool"),
        Column("machines", lambda row: number(row.normal.machines, ",.1f"), adds=True),
        Column("busy", lambda row: number(row.normal.busy_machines, ",.1f"), adds=True),
        Column("share", lambda row: percent(row.normal.busy_fraction)),
        Column("replicas on", lambda row: number(row.normal.running_machines, ",.1f"), adds=True),
        Column("headroom", lambda row: number(row.headroom_machines, ",.1f"), adds=True),
        Column("fullest when lost", lambda row: short_failure(row.worst.failure) if row.worst else None),
        Column("busy then", lambda row: number(row.worst.busy_machines, ",.1f") if row.worst else None),
        Column("of", lambda row: number(row.worst.machines, ",.1f") if row.worst else None),
        Column("share then", lambda row: percent(row.worst.busy_fraction) if row.worst else None),
    )
    lines = (
        "machines: that can be used, without those lent, the share that is broken, and spares in normal operation; "
        "busy: what traffic fills of their replicas, of what these may be filled; share: of all machines of the pool, "
        "the idle ones too, at any deadline, rounded down; fullest in FAILURES is of the replicas of one placement at "
        "the last; headroom: all that is not busy in normal operation",
        *hour_text(p),
    )
    return Section("UTILISATION BY POOL", lines, columns, rows, part="picture", when_all=True)


def _fullest_first(row: PoolUse) -> tuple[float, float, str]:
    worst = row.worst.busy_fraction if row.worst is not None else 0.0
    return -round(max(worst, row.normal.busy_fraction), 6), -round(row.normal.busy_fraction, 6), row.pool


def _loads(a: Arrays, x: Vectors, s: State) -> list[PoolLoad]:
    """Each pool in a state.

    Formula
        busy = Σ_e machines_per_replica[e] · running[e] · filled_of_limit[e]
    Units
        machines
    """
    on = a.machines_per_replica * np.asarray(running(a, x, s))
    running_machines, busy = _by_pool(a, on), _by_pool(a, on * filled_of_limit(a, x, s))
    machines = machines_usable(a, x, s)
    fraction = np.divide(busy, machines, out=np.zeros(a.Q), where=machines > 0)
    figures = zip(machines.tolist(), running_machines.tolist(), busy.tolist(), fraction.tolist(), strict=True)
    return [PoolLoad(s[1], s[2], *of_pool) for of_pool in figures]


def _by_pool(a: Arrays, of_placements: Array) -> Array:
    return np.asarray(sum_by(of_placements, a.pool_of_placement, a.Q))
