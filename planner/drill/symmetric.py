"""Symmetric flows take the same share of everything: a program needs only one of each kind."""

from dataclasses import dataclass, replace

import numpy as np

from planner.drill.instance import Indices, Numbers
from planner.drill.remaining import Remaining


@dataclass(frozen=True)
class SymmetricFlows:
    """A failure with symmetric flows taken together.

    Parameters
    ----------
    kind : of each flow [i]
    part : of the requests/s of its kind, those of the flow [i]
    """

    remaining: Remaining
    kind: Indices
    part: Numbers

    def apart(self, rates: Numbers) -> Numbers:
        """Requests/s of each flow [..., i] from those of each kind [..., kind]."""
        rates_of_flows: Numbers = rates[..., self.kind] * self.part
        return rates_of_flows


def merge_symmetric(remaining: Remaining) -> SymmetricFlows:
    """Flows of one workload with the same placements, ingress and request limits, taken together in a failure."""
    instance, limits = remaining.instance, remaining.limits
    number: dict[object, int] = {}
    kinds = []
    for (w, _), i in instance.flows.items():
        same = (remaining.ingress[0, i], remaining.coverable[0, i], limits.by_flow.get(i))
        kinds.append(number.setdefault((w, instance.in_failure[i].tobytes(), *same), len(number)))
    kind = np.array(kinds, dtype=np.int64)
    _, first = np.unique(kind, return_index=True)
    offered = np.bincount(kind, weights=remaining.offered[0]).astype(np.float64)
    demand = np.bincount(kind, weights=instance.demand).astype(np.float64)
    by_flow = {n: limits.by_flow[i] for n, i in enumerate(first.tolist()) if i in limits.by_flow}
    of_kinds = replace(
        remaining,
        fleet=replace(remaining.fleet, instance=instance.of_flows(first, demand)),
        ingress=remaining.ingress[:, first],
        coverable=remaining.coverable[:, first],
        offered=offered[None, :],
        limits=replace(limits, by_flow=by_flow),
    )
    return SymmetricFlows(of_kinds, kind, remaining.offered[0] / np.where(offered > 0, offered, 1.0)[kind])
