"""Which replicas stand on spot machines: never more than the spot machines that the plan buys have chips for."""

from collections.abc import Mapping, Sequence

from planner.study.records.plan import Replicas


def on_spot_replicas(
    rows: Sequence[Replicas], needs: Mapping[str, tuple[str, int]], spot_accelerators: Mapping[str, int]
) -> list[int]:
    """Replicas of each row that stand on spot machines; the rest of a row stands on machines that count in failures.

    A plan says how many replicas failures may count on. The others need not be on spot: where a pool has an offer of
    spot that the plan does not buy, or buys less of than they need, they are on the pool's other machines.

    Parameters
    ----------
    rows : what runs in one hour
    needs : placement -> its pool, and the accelerators of a replica
    spot_accelerators : pool -> accelerators of the spot machines that the plan has there
    """
    free = dict(spot_accelerators)
    counts = []
    for row in rows:
        pool, accelerators = needs[row.placement]
        wanted = 0 if row.non_preemptible is None else row.replicas - row.non_preemptible - sum(row.on_offers.values())
        count = max(0, min(wanted, free.get(pool, 0) // accelerators))
        free[pool] = free.get(pool, 0) - count * accelerators
        counts.append(count)
    return counts
