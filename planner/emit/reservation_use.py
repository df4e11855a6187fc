"""Reservations: what there is, what of it runs, and what is paid for nothing."""

from dataclasses import dataclass

from planner.emit.actual import Actual
from planner.emit.fleet import HELD, Fleet
from planner.emit.monthly import usd_per_month

HAD_LATER = ("capacity_block", "future_reservation", "by_hand")
"""Instruments that no file of a plan makes at once: what exists of them is the plan's; of what does not yet exist the
machines are missing, no reservation."""


@dataclass(frozen=True)
class ReservationUse:
    """Machines that are reserved in a pool.

    Parameters
    ----------
    wanted : by the plan; of what is ordered by hand, drafted or bought as blocks as far as it exists
    inside : machines that run in them; None: no file counts machines
    inside_is_said : whether the cloud or nodes say so; else it is what runs beyond what is held or spot
    idle : reserved, and nothing runs in it
    usd_per_month, idle_usd_per_month : of all, and of those idle, at list prices; 0: no price in the plan
    """

    pool: str
    wanted: int
    reserved: int
    inside: int | None
    inside_is_said: bool
    idle: int
    usd_per_month: float
    idle_usd_per_month: float


def reservation_uses(fleet: Fleet, actual: Actual) -> tuple[ReservationUse, ...]:
    """Reservations by pool, those that the plan has and those that exist; none where no file counts them."""
    if actual.reserved is None:
        return ()
    must: dict[str, int] = {}
    may: dict[str, int] = {}
    for lot in fleet.lots:
        for instruments, planned in ((("immediate",), must), (HAD_LATER, may)):
            if lot.rule.instrument in instruments:
                planned[lot.pool] = planned.get(lot.pool, 0) + lot.machines
    uses = []
    counted = [q for q in must if fleet.site_of[q].provider in actual.reservations_of]
    for q in sorted({*counted, *actual.reserved}):
        exist, least = actual.reserved.get(q, 0), must.get(q, 0)
        wanted = least + min(may.get(q, 0), max(exist - least, 0))
        extra = max(exist - wanted, 0)
        inside, is_said = _inside(fleet, actual, q)
        idle = extra if inside is None else max(exist - inside, extra)
        rate, beyond = usd_per_month(fleet, q), usd_per_month(fleet, q, beyond=True)
        uses.append(
            ReservationUse(
                pool=q,
                wanted=wanted,
                reserved=exist,
                inside=None if inside is None else min(inside, exist),
                inside_is_said=is_said,
                idle=idle,
                usd_per_month=(exist - extra) * rate + extra * beyond,
                idle_usd_per_month=(idle - extra) * rate + extra * beyond,
            )
        )
    return tuple(uses)


def _inside(fleet: Fleet, actual: Actual, pool: str) -> tuple[int | None, bool]:
    """Machines that run in reservations of a pool, and whether they say so; in service or not, they fill it."""
    if pool in actual.running_inside:
        return actual.running_inside[pool], True
    if said := actual.in_reservation.get(pool):
        return said, True
    existing = actual.machines if actual.existing is None else actual.existing
    if existing is None:
        return None, False
    on_spot = max(fleet.machines(pool, ("spot",)), actual.on_spot.get(pool, 0))
    outside = fleet.machines(pool, (HELD,)) + on_spot  # what is held or spot runs in no reservation
    return max(0, existing.get(pool, 0) - outside), False
