"""Flows that are alike take the same share of everything: a program needs only one of each kind."""

from dataclasses import dataclass, replace

import numpy as np

from planner.drill.left import Left
from planner.drill.world import Indices, Numbers, World


@dataclass(frozen=True)
class Alike:
    """The study and a failure with flows that are alike taken together.

    Parameters
    ----------
    kind : of each flow [i]
    part : of the requests/s of its kind, those of the flow [i]
    """

    world: World
    left: Left
    kind: Indices
    part: Numbers

    def apart(self, rates: Numbers) -> Numbers:
        """Requests/s of each flow [..., i] from those of each kind [..., kind]."""
        rates_of_flows: Numbers = rates[..., self.kind] * self.part
        return rates_of_flows


def alike(world: World, left: Left) -> Alike:
    """Flows of one workload with the same placements, door and way through limits, taken together in a failure."""
    ways = left.passage.ways_of_flows
    number: dict[object, int] = {}
    kind = np.array(
        [
            number.setdefault(
                (w, world.in_failure[i].tobytes(), left.front[0, i], left.coverable[0, i], ways.get(i)), len(number)
            )
            for (w, _), i in world.flows.items()
        ],
        dtype=np.int64,
    )
    _, first = np.unique(kind, return_index=True)
    offered = np.bincount(kind, weights=left.offered[0]).astype(np.float64)
    names = list(world.flows)
    fewer = replace(
        world,
        flows={names[i]: n for n, i in enumerate(first)},
        tier_of=[world.tier_of[i] for i in first],
        demand=np.bincount(kind, weights=world.demand).astype(np.float64),
        replica_seconds=world.replica_seconds[first],
        replica_seconds_in_failure=world.replica_seconds_in_failure[first],
        fits=world.fits[first],
        normal=world.normal[first],
        in_failure=world.in_failure[first],
    )
    passage = replace(
        left.passage,
        flows=left.passage.flows[:, :, first],
        ways_of_flows={n: ways[i] for n, i in enumerate(first.tolist()) if i in ways},
    )
    of_kinds = replace(
        left,
        front=left.front[:, first],
        coverable=left.coverable[:, first],
        offered=offered[None, :],
        passage=passage,
    )
    return Alike(fewer, of_kinds, kind, left.offered[0] / np.where(offered > 0, offered, 1.0)[kind])
