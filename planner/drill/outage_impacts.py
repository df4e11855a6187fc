"""What a failure costs until recovery: requests, USD, time."""

from collections import defaultdict
from collections.abc import Mapping
from itertools import pairwise

import numpy as np

from planner.drill.instance import TOLERANCE, Numbers
from planner.drill.remaining import Remaining
from planner.drill.result import OutageImpact
from planner.units import SECONDS_PER_HOUR


def outage_impact(remaining: Remaining, served: Mapping[float, Numbers]) -> OutageImpact:
    """The impact of one failure.

    requests lost = Σ over intervals of (offered - served at its begin) · seconds

    Parameters
    ----------
    remaining : of this failure
    served : seconds since the failure began -> requests/s of each flow [i], 0 s among them
    """
    instance, failure, offered = remaining.instance, remaining.failures[0], remaining.offered[0]
    times = sorted(served)
    repair = failure.hours_to_repair
    end = times[-1] if repair is None else repair * SECONDS_PER_HOUR
    lost = np.zeros(len(offered))
    for begin, next_one in pairwise([*times, max(end, times[-1])]):
        lost += np.maximum(offered - served[begin], 0.0) * max(min(next_one, end) - min(begin, end), 0.0)
    outage_usd = np.array([tier.outage_usd_per_request for tier in instance.tier_of])
    slack = TOLERANCE * np.maximum(offered, offered.sum() / len(offered))
    due = remaining.due(times[-1])[0] * offered

    def again(wanted: Numbers) -> float | None:
        """From when on all of it is served."""
        since = None
        for elapsed in reversed(times):
            if (served[elapsed] < wanted - slack).any():
                break
            since = elapsed
        return since

    flows_of: dict[str, list[int]] = defaultdict(list)
    for (w, _), i in instance.flows.items():
        flows_of[w].append(i)
    last, worst = {}, {}
    for w, flows in flows_of.items():
        wanted = offered[flows].sum()
        shares = [min(float(served[elapsed][flows].sum() / wanted), 1.0) if wanted else 1.0 for elapsed in times]
        last[w], worst[w] = round(shares[-1], 9), round(min(shares), 9)
    return OutageImpact(
        failure=failure.id,
        requests_lost=round(float(lost.sum()), 6),
        usd_lost=round(float(lost @ outage_usd), 6),
        until_seconds=end,
        until="end of drill" if repair is None else "repair",
        due_again_seconds=again(due),
        all_again_seconds=again(offered),
        served_last=last,
        served_worst=worst,
    )
