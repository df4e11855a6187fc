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


def symmetric_but_for_failures(remaining: Remaining) -> Indices:
    """Number of the kind of each flow [i]: those of one workload with the same placements and request limits."""
    instance, limits = remaining.instance, remaining.limits
    number: dict[object, int] = {}
    kinds = []
    for (w, _), i in instance.flows.items():
        key = w, instance.in_failure[i].tobytes(), limits.by_flow.get(i)
        kinds.append(number.setdefault(key, len(number)))
    return np.array(kinds, dtype=np.int64)


def merge_symmetric(remaining: Remaining, kinds: Indices) -> SymmetricFlows:
    """Flows of one kind with the same ingress, taken together in a failure.

    Parameters
    ----------
    kinds : see `symmetric_but_for_failures` [i]
    """
    instance, limits = remaining.instance, remaining.limits
    same = np.column_stack([kinds, remaining.ingress[0], remaining.coverable[0]])
    _, first, kind = np.unique(same, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)  # kinds are counted as they are met
    kind, first = np.argsort(order)[kind.ravel()], first[order]
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
