"""What a failure costs until recovery: requests, USD, time."""

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
    remaining : of this failure, or of its last stage
    served : seconds since the failure began -> requests/s of each flow [i], 0 s among them
    """
    instance, failure, offered = remaining.instance, remaining.failures[0], remaining.offered[0]
    times = sorted(served)
    repair = failure.hours_to_repair
    end = times[-1] if repair is None else repair * SECONDS_PER_HOUR
    lost = np.zeros(len(offered))
    for begin, next_one in pairwise([*times, max(end, times[-1])]):
        lost += np.maximum(offered - served[begin], 0.0) * max(min(next_one, end) - min(begin, end), 0.0)
    outage_usd = instance.usd_per_request
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

    workloads, of_flow = instance.workload_of
    wanted = np.bincount(of_flow, weights=offered)
    shares = np.ones((len(times), len(workloads)))
    for t, elapsed in enumerate(times):
        served_of = np.bincount(of_flow, weights=served[elapsed])
        np.divide(served_of, wanted, out=shares[t], where=wanted > 0)
    last, worst = ([round(min(of, 1.0), 9) for of in part.tolist()] for part in (shares[-1], shares.min(axis=0)))
    return OutageImpact(
        failure=failure.as_it_begins,
        falls_on=failure.falls_on,
        requests_lost=round(float(lost.sum()), 6),
        usd_lost=round(float(lost @ outage_usd), 6),
        until_seconds=end,
        until="end of drill" if repair is None else "repair",
        due_again_seconds=again(due),
        all_again_seconds=again(offered),
        served_last=dict(zip(workloads, last, strict=True)),
        served_worst=dict(zip(workloads, worst, strict=True)),
    )
