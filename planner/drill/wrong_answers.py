"""What a failure that nobody notices answers wrongly until it is found out."""

from dataclasses import dataclass, replace

import numpy as np

from planner.drill.failures import Failure, outages
from planner.drill.graph import Graph
from planner.drill.installed import InstalledFleet
from planner.drill.instance import Numbers
from planner.drill.remaining import what_remains
from planner.units import SECONDS_PER_HOUR


@dataclass(frozen=True)
class WrongAnswers:
    """Requests of normal operation that are answered wrongly before a failure is found out.

    Parameters
    ----------
    requests_per_second : by tier [requests/s]
    requests, usd : until it is found out, USD at what an outage costs the tiers; none: not known for how long
    """

    requests_per_second: dict[str, float]
    requests: float | None
    usd: float | None


def wrong_answers(fleet: InstalledFleet, graph: Graph, failure: Failure) -> WrongAnswers:
    """What normal operation sends over what a failure takes, in the share that it takes.

    requests = Σ over edges base · (1 - ingress · share of the placement that lives) · hours_to_find_out · 3600

    Parameters
    ----------
    fleet : in normal operation
    failure : as it begins
    """
    wrong = _wrong_requests_per_second(fleet, graph, failure)
    of_tiers = [(tier, float(wrong[flows].sum())) for tier, flows in fleet.instance.flows_of_tier]
    rates = {tier.name: round(rate, 9) for tier, rate in of_tiers if rate > 0}
    if failure.hours_to_find_out is None:
        return WrongAnswers(rates, None, None)
    seconds = failure.hours_to_find_out * SECONDS_PER_HOUR
    usd_per_second = float(wrong @ fleet.instance.usd_per_request)
    return WrongAnswers(rates, round(float(wrong.sum()) * seconds, 6), round(usd_per_second * seconds, 6))


def _wrong_requests_per_second(fleet: InstalledFleet, graph: Graph, failure: Failure) -> Numbers:
    """Requests/s of each flow that pass what a failure takes [i]; what is in maintenance beside it answers nothing.

    Where any of several components will do, the one that remains answers right.
    """
    instance, lost = fleet.instance, replace(failure, in_maintenance={})
    value = graph.values(outages([lost]), 1)
    ingress = np.array([min(value[f"workload:{w}"][0], value[f"origin:{o}"][0]) for w, o in instance.flows])
    lives = np.array([value[f"placement:{name}"][0] for name in instance.placements])
    if failure.worst is not None:  # all that is lost of a pool falls on one of its placements
        survivors = what_remains(fleet, graph, [lost]).survivors[0]
        mine = (instance.pool_of == instance.pool_of[instance.placements[failure.worst]]) & (fleet.replicas > 0)
        lives[mine] = survivors[mine] / fleet.replicas[mine]
    wrong: Numbers = (fleet.base * instance.normal * (1.0 - ingress[:, None] * lives)).sum(axis=1)
    return wrong
