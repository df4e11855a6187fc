"""A study's arrays with one of its figures moved: what does not move is as it was, and is not worked out again."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from planner.drill.installed import InstalledFleet
from planner.drill.instance import Instance
from planner.drill.remaining import Remaining


@dataclass(frozen=True)
class Move:
    """One figure of a study times a factor.

    Parameters
    ----------
    figure : all demand; the speed, or the time to load and to compile, of a profile in every pool that runs it
    profile : `model/profile`; of demand none
    """

    figure: Literal["demand", "speed", "load time"]
    factor: float
    profile: str = ""


def moved(instance: Instance, move: Move) -> Instance:
    """The arrays of the study with a figure moved.

    Formula
        demand      requests/s · factor; of a cost by the hour each request has 1 / factor
        speed       seconds of a replica that a request takes / factor
        load time   (load_seconds + compile_seconds) · factor; engines start in as long but for what compiles
    """
    factor = move.factor
    if move.figure == "demand":
        by_hour = np.array([tier.outage_usd_per_hour is not None for tier in instance.tier_of], dtype=bool)
        usd_per_request = np.where(by_hour, instance.usd_per_request / factor, instance.usd_per_request)
        return replace(instance, demand=instance.demand * factor, usd_per_request=usd_per_request)
    mine = np.array([f"{model.model}/{profile.name}" == move.profile for model, profile in instance.made_of])
    of_each = np.where(mine, factor, 1.0)
    if move.figure == "speed":
        return replace(
            instance,
            replica_seconds=instance.replica_seconds / of_each,
            replica_seconds_in_failure=instance.replica_seconds_in_failure / of_each,
            queues=None if instance.queues is None else instance.queues.with_seconds(1.0 / of_each),
        )
    compiles = instance.study.cold_starts.compile_caches == "cold"
    compile_seconds = np.array([profile.compile_seconds if compiles else 0.0 for _, profile in instance.made_of])
    return replace(
        instance,
        load_seconds=instance.load_seconds * of_each,
        engine_start_seconds=instance.engine_start_seconds + compile_seconds * (of_each - 1.0),
    )


def moved_fleet(fleet: InstalledFleet, move: Move) -> InstalledFleet:
    """What is installed where a figure is moved: normal operation is sent where it was, in the same shares."""
    fleet = replace(fleet, instance=moved(fleet.instance, move))
    if move.figure != "demand":
        return fleet
    return replace(fleet, base=fleet.base * move.factor, unroutable=fleet.unroutable * move.factor)


def moved_remaining(remaining: Remaining, move: Move) -> Remaining:
    """What remains in failures that themselves do not move."""
    offered = remaining.offered * (move.factor if move.figure == "demand" else 1.0)
    return replace(remaining, fleet=moved_fleet(remaining.fleet, move), offered=offered)
