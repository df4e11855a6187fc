"""What a failure costs until recovery: requests, USD, time."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Literal

import numpy as np

from planner.drill.failures import Failure
from planner.drill.left import Left
from planner.drill.result import OutageImpact
from planner.drill.world import TOLERANCE, Numbers, World
from planner.units import SECONDS_PER_HOUR


def toll(world: World, failure: Failure, left: Left, served: Mapping[float, Numbers]) -> OutageImpact:
    """The toll of one failure.

    requests lost = Σ over intervals of (offered - served at its begin) · seconds

    Parameters
    ----------
    served : clock [s] -> requests/s of each flow [i], 0 among the clocks
    """
    clocks, offered = sorted(served), left.offered[0]
    repair = None if failure.hours_to_repair is None else failure.hours_to_repair * SECONDS_PER_HOUR
    end, until = (clocks[-1], _END) if repair is None else (repair, _REPAIR)
    lost = np.zeros(len(offered))
    for begin, next_one in pairwise([*clocks, max(end, clocks[-1])]):
        lost += np.maximum(offered - served[begin], 0.0) * max(min(next_one, end) - min(begin, end), 0.0)
    worth = np.array([tier.outage_usd_per_request for tier in world.tier_of])
    slack = TOLERANCE * np.maximum(offered, offered.sum() / len(offered))
    due = left.due(world, clocks[-1])[0] * offered

    def again(wanted: Numbers) -> float | None:
        from_here = None
        for clock in reversed(clocks):
            if (served[clock] < wanted - slack).any():
                break
            from_here = clock
        return from_here

    of_workload: dict[str, list[int]] = {}
    for (w, _), i in world.flows.items():
        of_workload.setdefault(w, []).append(i)
    shares = {
        w: [min(float(served[clock][mine].sum() / wanted), 1.0) if wanted else 1.0 for clock in clocks]
        for w, mine in of_workload.items()
        for wanted in [offered[mine].sum()]
    }
    return OutageImpact(
        failure=failure.id,
        requests_lost=round(float(lost.sum()), 6),
        usd_lost=round(float(lost @ worth), 6),
        until_seconds=end,
        until=until,
        due_again_seconds=again(due),
        all_again_seconds=again(offered),
        served_last={w: round(values[-1], 9) for w, values in shares.items()},
        served_worst={w: round(min(values), 9) for w, values in shares.items()},
    )


_END: Literal["end of drill"] = "end of drill"
_REPAIR: Literal["repair"] = "repair"
