"""What a plan adds, changes and removes against what runs: machines by pool and contract, reservations, replicas."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from planner.emit.actual import Actual
from planner.emit.actual_nodes import OUT_OF_SERVICE, in_words
from planner.emit.drift import Difference, noted, planned_replicas, pods_in_words, unlabelled
from planner.emit.fleet import HELD, Fleet, Lot, fleet_of
from planner.emit.monthly import lot_usd_per_month, spot_usd_per_month, usd_per_month
from planner.emit.planned_when import most_of
from planner.emit.quotas import QuotaUse, quota_uses
from planner.emit.reservation_use import reservation_uses
from planner.plan.in_hand import Plan
from planner.study.records.plan import PlanFile

Action = Literal["add", "change", "remove"]
ON_SPOT, NOT_KNOWN = "spot, not planned", "not known"
"""Contracts of machines that run beyond what the plan has of any."""
FIRST = (HELD, "commitment", "capacity_block", "build_out", "on_demand")
"""Order in which machines whose contract nobody states are taken to be on those of the plan."""


@dataclass(frozen=True)
class Step:
    """One thing that the plan adds, changes or removes.

    Parameters
    ----------
    what : machines, reservations or replicas
    of : pool or placement; of what the plan does not know, what the files call it
    contract : offer, `held`, or what machines run on that are on none of the plan's; blank: not by contract
    today : None: not counted
    usd_per_month : what is paid more, less where negative, at list prices [USD]; None: not of money, or no price
    """

    action: Action
    what: str
    of: str
    contract: str
    today: int | None
    planned: int
    usd_per_month: float | None = None
    detail: str = ""


@dataclass(frozen=True)
class AgainstToday:
    """A plan against what runs.

    Parameters
    ----------
    idle_usd_per_month : of what machines cost more, paid today already for reservations in which nothing runs; 0 where
        no file counts machines
    without_price : steps of machines that have no price in the plan
    notes : what the reader should know, and nobody has to mend
    planned_is : what planned counts are the most of; blank: one period with one hour
    """

    steps: tuple[Step, ...]
    idle_usd_per_month: float
    compared: tuple[str, ...]
    not_compared: tuple[str, ...]
    quotas: tuple[QuotaUse, ...]
    notes: tuple[Difference, ...]
    planned_is: str = ""

    def count(self, action: Action) -> int:
        """Steps of a kind."""
        return sum(step.action == action for step in self.steps)

    @property
    def usd_per_month(self) -> float:
        """What is paid more a month when the plan is carried out [USD]; below zero: less."""
        return sum(step.usd_per_month or 0.0 for step in self.steps) - self.idle_usd_per_month

    @property
    def without_price(self) -> int:
        """Steps of machines whose price the plan does not have."""
        return sum(step.what == "machines" and step.usd_per_month is None for step in self.steps)

    @property
    def same(self) -> bool:
        """Whether nothing is to be done, as far as was compared, and quotas allow what is there."""
        return not self.steps and not any(use.short for use in self.quotas)


def against_today(plan: PlanFile | Plan, actual: Actual) -> AgainstToday:
    """Compare a plan with what runs, in the direction of the plan; what no file counts is not compared."""
    fleet = fleet_of(plan)
    uses = reservation_uses(fleet, actual)
    quotas, unplanned = quota_uses(actual.quotas or (), fleet, actual.machines, actual.on_spot)
    steps = [
        _step(what, name, "", None, 0, None, "carries our label or tag, not in the plan")
        for name, what in sorted(actual.strange.items())
    ]
    steps += _machines(fleet, actual)
    steps += [_step("reservations", use.pool, "", use.reserved, use.wanted) for use in uses]
    steps += _replicas(fleet, actual)
    beside = [replace(difference, note=True) for difference in unlabelled(fleet, actual.unlabelled)]
    compared = actual.compared
    return AgainstToday(
        steps=tuple(step for step in steps if step is not None),
        idle_usd_per_month=0.0 if actual.machines is None else sum(use.idle_usd_per_month for use in uses),
        compared=tuple(what for what, counted in compared.items() if counted),
        not_compared=tuple(what for what, counted in compared.items() if not counted),
        quotas=tuple(quotas),
        notes=(*beside, *noted(actual, unplanned)),
        planned_is=most_of(fleet.plan.study),
    )


def _step(
    what: str,
    of: str,
    contract: str,
    today: int | None,
    planned: int,
    usd_per_machine: float | None = None,
    detail: str = "",
    mend: bool = False,
) -> Step | None:
    """The step from today to the plan; None: nothing to do.

    Parameters
    ----------
    mend : whether something is to be done where the counts are equal
    """
    if today == planned and not mend:
        return None
    action: Action = "change"
    if today == 0:
        action = "add"
    elif planned == 0:
        action = "remove"
    usd = None if usd_per_machine is None or today is None else (planned - today) * usd_per_machine
    return Step(action, what, of, contract, today, planned, usd, detail)


# ------------------------------------------------------------------ machines
def _machines(fleet: Fleet, actual: Actual) -> Iterable[Step | None]:
    """Machines by pool and contract; those out of service are there: they are mended, not bought anew."""
    if actual.machines is None:
        return
    misplaced: dict[str, list[tuple[str, str, int]]] = {}
    broken: dict[str, list[tuple[str, int]]] = {}
    for thing in actual.uncounted:
        if thing.kind == OUT_OF_SERVICE:
            broken.setdefault(thing.subject, []).append((thing.why, thing.count))
        elif thing.kind.startswith(("nodes", "groups")):
            misplaced.setdefault(thing.subject, []).append((thing.kind, thing.why, thing.count))
    for pool in sorted({*fleet.pools, *actual.machines, *misplaced}):
        existing = actual.machines.get(pool, 0)
        if actual.existing is not None and pool in broken:
            existing = max(existing, actual.existing.get(pool, 0))
        yield from _of_pool(fleet, actual, pool, existing, broken.get(pool, []))
        for kind, why, count in misplaced.get(pool, ()):
            yield _step("machines", pool, why, count, 0, None, kind)


def _of_pool(
    fleet: Fleet, actual: Actual, pool: str, existing: int, broken: list[tuple[str, int]]
) -> Iterable[Step | None]:
    lots = sorted((lot for lot in fleet.lots if lot.pool == pool), key=_contract)
    today = today_by_contract(lots, existing, actual.on_spot.get(pool, 0), actual.of_contract)
    details = [f"out of service: {in_words(broken)}"] if broken else []
    if without_label := actual.unlabelled.get(pool):
        details.append(f"nodes there without our label: {without_label}; labelled, they count")
    detail = "; ".join(details)
    for lot in lots:
        usd = lot_usd_per_month(fleet, lot)
        yield _step("machines", pool, _contract(lot), today[lot.id], lot.machines, usd, detail, mend=bool(broken))
        detail, broken = "", []  # said once a pool
    beyond = {ON_SPOT: spot_usd_per_month(fleet, pool), NOT_KNOWN: usd_per_month(fleet, pool, beyond=True)}
    for contract, usd_per_machine in beyond.items():
        yield _step("machines", pool, contract, today[contract], 0, usd_per_machine or None)


def _contract(lot: Lot) -> str:
    return lot.offer.offer if lot.offer else HELD


def today_by_contract(lots: Sequence[Lot], machines: int, on_spot: int, stated: Mapping[str, int]) -> dict[str, int]:
    """Machines of a pool by id of the lot, and those beyond them by ON_SPOT and NOT_KNOWN.

    What nobody states runs on the plan's own contracts, as far as they go: spot on spot, others in the order of FIRST.
    """
    today = {ON_SPOT: 0, NOT_KNOWN: 0}
    for spot in (True, False):
        remaining = min(on_spot, machines) if spot else max(0, machines - on_spot)
        of_kind = [lot for lot in lots if (lot.kind == "spot") == spot]
        for lot in of_kind:
            today[lot.id] = min(stated.get(lot.id, 0), remaining)
            remaining -= today[lot.id]
        for lot in sorted(of_kind, key=lambda lot: (FIRST.index(lot.kind) if lot.kind in FIRST else 0, lot.id)):
            more = min(max(0, lot.machines - today[lot.id]), remaining)
            today[lot.id] += more
            remaining -= more
        today[ON_SPOT if spot else NOT_KNOWN] = remaining
    return today


# ------------------------------------------------------------------ replicas
def _replicas(fleet: Fleet, actual: Actual) -> Iterable[Step | None]:
    if actual.replicas is None:
        return
    planned = planned_replicas(fleet)
    for e in sorted({*planned, *actual.replicas}):
        run, wanted = actual.replicas.get(e, 0), planned.get(e, 0)
        yield _step("replicas", e, "", run, wanted, None, pods_in_words(actual, e))
