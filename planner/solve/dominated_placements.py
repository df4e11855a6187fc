"""Dominated placements: what another of the same pool does as well, replica for replica, with no more of anything.

Placement `o` does all that `e` does where both are of one model and pool, and

- every flow with an edge to `e` has one to `o`, in normal operation and in failures, that passes the same components
  with limits; a request takes no more of a replica there, in either;
- a replica takes no more of a machine, is loaded no later and reads no more weights;
- no failure tells them apart: it leaves the same part of both; `o` can be started where and when `e` can; neither has a
  part of the pool to itself, as where less remains of a placement than of its pool, or all of the pool's loss falls on
  one placement;
- a limit on shares that counts `o` counts `e`, too.

Proof: take a plan, and let `o` have beside its own all that `e` has: replicas, warm and cold-started ones, requests,
reserves. No term grows in any row of a pool, a component or a flow; each row of `o` is no more than its own and that of
`e` added up, whole numbers stay whole, and the whole part of a sum is no less than the whole parts added up. Nothing
that is paid for changes, as requests cost by origin and site, and until detection the same part of them is not served.
So there is a plan of the same cost without `e`. Two rules speak of one edge alone, `a_unit_opens_what_it_serves` and
`nothing_is_served_before_a_replica_runs`: no sum is above what they allow once units and replicas are whole. Of
divisible ones the linear program may cost more without `e`, which is a bound all the same.

More replicas on as many machines in all are no dominance: a replica of twice the size and speed does as well as two
where all is divisible, but not in whole numbers.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from planner.problem.problem import Problem

Flow = tuple[str, str]


def dominated_placements(p: Problem, stay: Iterable[str] = ()) -> dict[str, str]:
    """Placement -> one that does all that it does, and that none dominates; of those that are equal the first stays.

    Parameters
    ----------
    stay : placements that are none of these, whatever dominates them: those of a plan at hand
    """
    compared, kept = _Compared(p), set(stay)
    dominated: dict[str, str] = {}
    for group in _of_one_pool_and_model(p):
        as_good = {e: [o for o in group if o != e and compared.does_all(o, e)] for e in group}
        better = {e: [o for o in others if o < e or e not in as_good[o]] for e, others in as_good.items()}
        for e, others in better.items():
            if others and e not in kept:
                dominated[e] = next(o for o in others if not better[o])
    return dominated


def without_placements(p: Problem, dominated: Mapping[str, str]) -> Problem:
    """The problem without some placements; all else that it says of them has no effect."""
    if not dominated:
        return p
    return replace(
        p,
        placements=tuple(e for e in p.placements if e not in dominated),
        on_pool={q: tuple(e for e in names if e not in dominated) for q, names in p.on_pool.items()},
        edges=_without(p.edges, dominated),
        edges_in_failure=_without(p.edges_in_failure, dominated),
    )


def _without(edges: Mapping[Flow, tuple[str, ...]], dominated: Mapping[str, str]) -> dict[Flow, tuple[str, ...]]:
    return {flow: tuple(e for e in ends if e not in dominated) for flow, ends in edges.items()}


def _of_one_pool_and_model(p: Problem) -> list[list[str]]:
    """Placements of one pool and model, several each; none of pools whose loss may fall on one placement."""
    targeted = {p.pool_of.get(failure.targeted or "") for failure in p.failures.values()}
    groups: dict[tuple[str, str], list[str]] = {}
    for e in p.placements:
        if p.pool_of[e] not in targeted:
            groups.setdefault((p.pool_of[e], p.model_of[e]), []).append(e)
    return [group for group in groups.values() if len(group) > 1]


class _Compared:
    """Comparisons of the placements of a problem, two at a time."""

    def __init__(self, p: Problem) -> None:
        self.p = p
        self.flows, self.flows_in_failure = _flows_of(p.edges), _flows_of(p.edges_in_failure)
        limits = p.request_limits
        self.limits_of: dict[tuple[str, str, str], list[int]] = {}
        for n, edges in enumerate((*limits.always.values(), *(one.edges for one in limits.alternatives))):
            for edge in edges:
                self.limits_of.setdefault(edge, []).append(n)

    def does_all(self, o: str, e: str) -> bool:
        """Whether a placement does all that another one of its model and pool does: see the module."""
        return self._needs_no_more(o, e) and self._serves(o, e) and self._in_failures(o, e)

    def _needs_no_more(self, o: str, e: str) -> bool:
        p = self.p
        loads = (p.load_seconds, p.engine_start_seconds, p.weights_gib)
        per_replica = (p.machines_per_replica, *loads, p.rollout_surge_fraction)
        no_more = all(of[o] <= of[e] for of in per_replica)
        return no_more and all(o not in share.placements or e in share.placements for share in p.shares)

    def _serves(self, o: str, e: str) -> bool:
        """All flows of the other, with no more work and over the same components with limits."""
        p = self.p
        for flows, seconds in ((self.flows, p.replica_seconds), (self.flows_in_failure, p.replica_seconds_in_failure)):
            mine, its = flows.get(o, set()), flows.get(e, set())
            if not its <= mine or any(seconds[w, o] > seconds[w, e] for w, _ in its):
                return False
        every = self.flows.get(e, set()) | self.flows_in_failure.get(e, set())
        return all(self.limits_of.get((*flow, o)) == self.limits_of.get((*flow, e)) for flow in every)

    def _in_failures(self, o: str, e: str) -> bool:
        """No failure tells them apart to the other's advantage."""
        p, q = self.p, self.p.pool_of[e]
        for f in p.failures:
            part, lost = p.lost[f].get(o, 1.0), p.lost[f]
            has_its_own = 0 < part < lost.get(q, 1.0)
            is_stuck = o in p.cannot_start[f] and e not in p.cannot_start[f]
            since = p.failures[f].startable_seconds
            if part != lost.get(e, 1.0) or has_its_own or is_stuck or since.get(o, 0.0) > since.get(e, 0.0):
                return False
        return True


def _flows_of(edges: Mapping[Flow, tuple[str, ...]]) -> dict[str, set[Flow]]:
    """Placement -> flows with an edge to it."""
    flows: dict[str, set[Flow]] = {}
    for flow, ends in edges.items():
        for e in ends:
            flows.setdefault(e, set()).add(flow)
    return flows
