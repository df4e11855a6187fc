"""What each tier is served at one time of one failure, as rows."""

import numpy as np

from planner.drill.instance import TOLERANCE, Indices, Numbers
from planner.drill.remaining import Remaining
from planner.drill.rescale import COLD_START, LAUNCHED, RECLAIMED, WARM
from planner.drill.result import DrillRow


def tier_rows(
    remaining: Remaining,
    elapsed: float,
    served: Numbers,
    served_by: Numbers,
    without_obtaining: Numbers | None = None,
) -> list[DrillRow]:
    """What each tier with demand is served [i] so many seconds after the failure, and by what [4, i].

    Parameters
    ----------
    without_obtaining : what is served where nothing can be obtained [i]; none: as much
    """
    instance, failure, offered = remaining.instance, remaining.failures[0], remaining.offered[0]
    coverable, due, short = remaining.coverable[0], remaining.due(elapsed)[0], remaining.short(elapsed, served)
    flows, rows = list(instance.flows), []
    for tier, mine in instance.flows_of_tier:
        asked = float(offered[mine].sum())
        of_tier = failure.due(tier.name, elapsed)
        uncovered = np.maximum(of_tier - coverable - TOLERANCE, 0.0)
        broken = remaining.is_broken(mine, short)
        worst = _worst_flow(mine, offered, served, short)
        share = float(served[worst] / offered[worst]) if offered[worst] else 1.0  # of none, all is served
        of_demand = round(min(float(served[mine].sum()) / asked, 1.0), 9) if asked else 1.0
        split = [round(min(float(part), 1.0), 9) for part in served_by[:, mine].sum(axis=1) / (asked or 1.0)]
        share_without = None
        if without_obtaining is not None and asked:
            share_without = round(min(float(without_obtaining[mine].sum()) / asked, 1.0), 9)
        rows.append(
            DrillRow(
                failure=failure.id,
                of=failure.of or "",
                falls_on=failure.falls_on,
                deadline_seconds=elapsed,
                tier=tier.name,
                due_fraction=of_tier,
                served_fraction=of_demand,
                short_requests_per_second=round(float(short[mine].sum()), 9) if broken else 0.0,
                broken=broken,
                uncoverable_requests_per_second=round(float(((1.0 - coverable) * offered)[mine].sum()), 9),
                uncovered_requests_per_second=round(float((uncovered * offered)[mine].sum()), 9),
                warm_fraction=split[WARM],
                reclaimed_fraction=split[RECLAIMED],
                cold_start_fraction=split[COLD_START],
                launched_fraction=split[LAUNCHED],
                without_obtaining_fraction=None if share_without == of_demand else share_without,
                recovered=bool(failure.deadlines) and elapsed > failure.deadlines[-1],
                worst_workload=flows[worst][0],
                worst_origin=flows[worst][1],
                worst_served_fraction=round(min(share, 1.0), 9),
                worst_due_fraction=round(float(due[worst]), 9),
            )
        )
    return rows


def _worst_flow(flows: Indices, offered: Numbers, served: Numbers, short: Numbers) -> int:
    """Of some flows the one that falls shortest of what is due, by share of its demand; else the least served."""
    asked = offered[flows] > 0
    shortfall, unserved = (
        np.divide(part[flows], offered[flows], out=np.zeros(len(flows)), where=asked).round(9)
        for part in (short, offered - served)
    )
    return int(flows[np.lexsort((-np.arange(len(flows)), unserved, shortfall))[-1]])
