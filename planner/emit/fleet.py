"""What a plan says stands where: lots of machines by pool, and replicas on them. Every target counts from here."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from planner.emit.law import Rule, rule_of
from planner.emit.names import distinct, slug
from planner.errors import Finding, InputError
from planner.plan.orders import Order, blocks, orders
from planner.problem.build import build
from planner.problem.capacity import held_machines
from planner.problem.problem import HOURLY
from planner.study.calendar import Span, covers, hour_id, spans
from planner.study.dependencies import placement_id, profile_id
from planner.study.records.inventory import MachineType, Offer, Pool, Site
from planner.study.records.plan import PlanFile, Purchase
from planner.study.records.serving import Model, Profile
from planner.study.records.study import Study

HELD = "held"
MOST_BLOCK_INSTANCES = 64
"""Most instances of one EC2 Capacity Block, which is had in powers of two (AWS EC2 User Guide, 2025)."""
MOST_BLOCK_DAYS = 182
"""Longest EC2 Capacity Block (AWS EC2 User Guide, 2025)."""
NODE_CHIPS = {"gb200-nvl72": 4, "gb300-nvl72": 4}
"""Chips of one node where a machine is a rack of nodes (NVIDIA: compute trays of 4, 2025)."""
MOST_NAME = 38
"""Letters of a name that every cloud takes for a group of machines; GKE node pools take 40."""


@dataclass(frozen=True)
class Lot:
    """Machines of a pool that come in one way.

    Parameters
    ----------
    offer : the purchase option; none: held already
    kind : `held`, or the kind of the offer
    units, machines : how many of them the plan has
    """

    pool: str
    offer: Offer | None
    kind: str
    units: int
    machines: int
    rule: Rule

    @property
    def id(self) -> str:
        """Id of the offer, or `pool:held`."""
        return self.offer.id if self.offer else f"{self.pool}:{HELD}"


@dataclass(frozen=True)
class Cell:
    """A group of machines that is made and scaled as one: a lot, or one Capacity Block of it."""

    name: str
    lot: Lot
    machines: int


@dataclass(frozen=True)
class Running:
    """Replicas of a placement in normal operation; `on_spot`: those that no failure may count on.

    None of them: they are started in a failure only.
    """

    placement: str
    model: Model
    profile: Profile
    pool: str
    replicas: int
    on_spot: bool

    @property
    def id(self) -> str:
        """The placement, and whether on spot machines."""
        return f"{self.placement} spot" if self.on_spot else self.placement


@dataclass(frozen=True)
class Fleet:
    """A plan as machines and replicas."""

    plan: PlanFile
    lots: tuple[Lot, ...]
    running: tuple[Running, ...]

    @cached_property
    def pools(self) -> dict[str, Pool]:
        """Pools that have machines or replicas, by id, in the order of the study."""
        used = {lot.pool for lot in self.lots} | {r.pool for r in self.running}
        return {pool.id: pool for pool in self.plan.study.pools if pool.id in used}

    @cached_property
    def site_of(self) -> dict[str, Site]:
        """Site of each pool."""
        sites = {site.id: site for site in self.plan.study.sites}
        return {q: sites[pool.site] for q, pool in self.pools.items()}

    @cached_property
    def machine_of(self) -> dict[str, MachineType]:
        """Machine type of each pool."""
        types = {machine.name: machine for machine in self.plan.study.machine_types}
        return {q: types[pool.machine_type] for q, pool in self.pools.items()}

    @cached_property
    def pool_name(self) -> dict[str, str]:
        """Slug of each pool: the value of the label that its nodes carry."""
        return distinct(self.pools)

    @cached_property
    def region_name(self) -> dict[str, str]:
        """Slug of the region of each pool, within its provider."""
        names = distinct(dict.fromkeys(site.region for site in self.site_of.values()))
        return {q: names[site.region] for q, site in self.site_of.items()}

    @cached_property
    def running_name(self) -> dict[str, str]:
        """Slug of each entry of `running`, by its id."""
        return distinct((r.id for r in self.running), MOST_NAME)

    @cached_property
    def order_of(self) -> dict[str, Order]:
        """The first order of each offer."""
        return {order.offer: order for order in reversed(self.orders)}

    @cached_property
    def orders(self) -> tuple[Order, ...]:
        """What the plan asks to buy, earliest first; one an offer and period."""
        try:
            return orders(self.plan, build(self.plan.study, self.plan.demand_case))
        except (
            ArithmeticError,
            LookupError,
            StopIteration,
        ) as error:  # bought when or where the study does not sell it: the audit says so too
            fix = "make the plan again with `planner plan`"
            raise InputError(
                [Finding("plan: purchases", "what the study offers", f"{type(error).__name__} {error}"[:120], fix)]
            ) from error

    def machines(self, pool: str, kinds: Iterable[str] | None = None) -> int:
        """Machines of a pool, all or of some kinds of lots."""
        return sum(lot.machines for lot in self.lots if lot.pool == pool and (kinds is None or lot.kind in kinds))

    def lots_of(self, provider: str) -> tuple[Lot, ...]:
        """Lots in pools of a provider."""
        return tuple(lot for lot in self.lots if self.site_of[lot.pool].provider == provider)

    def cells(self, provider: str) -> tuple[Cell, ...]:
        """Groups of machines of a provider, sorted by name."""
        parts = [(lot, i, n) for lot in self.lots_of(provider) for i, n in enumerate(_parts(lot))]
        ids = [lot.id if len(_parts(lot)) == 1 else f"{lot.id} block {i + 1}" for lot, i, _ in parts]
        names = distinct(ids, MOST_NAME)
        made = [Cell(names[id], lot, n) for id, (lot, _, n) in zip(ids, parts, strict=True)]
        return tuple(sorted(made, key=lambda cell: cell.name))


def _units(study: Study, offer: Offer, bought: list[Purchase], period: Span) -> int:
    """Units of an offer that are there in a period: started with a term that covers it, or in its fullest hour."""
    mine, by_name = [row for row in bought if row.offer == offer.id], {t.name: t for t in spans(study)}
    if offer.kind in HOURLY:
        hours = {hour_id(period.name, hour.name) for hour in study.horizon.each_hour}
        return max((row.units for row in mine if row.when in hours), default=0)
    return sum(row.units for row in mine if covers(offer, by_name[row.when], period, len(by_name) > 1))


def fleet_of(plan: PlanFile) -> Fleet:
    """Machines and replicas of a plan; with several hours the most of any hour: what has to be there."""
    study = plan.study
    _refuse_unknown(plan)
    offers = {offer.id: offer for offer in study.offers}
    provider_of = {site.id: site.provider for site in study.sites}
    periods, lots = spans(study), []
    for pool in study.pools:
        provider = provider_of[pool.site]
        if held := int(max(held_machines(study, pool.id, t) for t in periods)):
            lots.append(Lot(pool.id, None, HELD, 0, held, rule_of(provider, HELD, pool.machine_type)))
        mine = [row for row in plan.purchases if offers[row.offer].pool == pool.id]
        units = {name: max(_units(study, offers[name], mine, t) for t in periods) for name in {r.offer for r in mine}}
        for name, count in sorted(units.items()):
            offer = offers[name]
            rule = rule_of(provider, offer.kind, pool.machine_type)
            if count:
                lots.append(Lot(pool.id, offer, offer.kind, count, count * offer.machines_per_unit, rule))
    return Fleet(plan, tuple(lots), _running(plan))


def _refuse_unknown(plan: PlanFile) -> None:
    """A plan changed by hand may name what its study does not have."""
    study, fix = plan.study, "make the plan again with `planner plan`"
    sites, types = {site.id for site in study.sites}, {machine.name for machine in study.machine_types}
    pools = {pool.id for pool in study.pools}
    offers = {offer.id for offer in study.offers if offer.pool in pools}
    where = {pool.site for pool in study.pools}, {pool.machine_type for pool in study.pools}
    wanted = (
        ("sites", where[0], sites),
        ("machine types", where[1], types),
        ("purchases", {bought.offer for bought in plan.purchases}, offers),
        ("replicas", {row.placement for row in plan.replicas}, set(placed(plan))),
        ("states", {w for state in plan.states for w in state.workload}, {w.name for w in study.workloads}),
        ("states", {e for state in plan.states for e in state.cold_started}, set(placed(plan))),
    )
    findings = [
        Finding(f"plan: {what}", "one that its study has", repr(name)[:120], fix)
        for what, names, known in wanted
        for name in sorted(names - known)
    ]
    if findings:
        raise InputError(findings)


def placed(plan: PlanFile) -> dict[str, tuple[Model, Profile, str]]:
    """Each placement that the study has with its model, profile and pool; made, not parsed: names may hold anything."""
    found = {}
    for pool in plan.study.pools:
        for model in plan.study.models:
            for profile in model.profiles:
                if profile.machine_type == pool.machine_type:
                    found[placement_id(profile_id(model.model, profile.name), pool.id)] = (model, profile, pool.id)
    return found


def _running(plan: PlanFile) -> tuple[Running, ...]:
    known = placed(plan)
    most: dict[str, tuple[int, int]] = {}
    for row in plan.replicas:
        non_preemptible = row.replicas if row.non_preemptible is None else row.non_preemptible
        before = most.get(row.placement, (0, 0))
        most[row.placement] = max(before[0], non_preemptible), max(before[1], row.replicas - non_preemptible)
    started = {e for state in plan.states for e, n in state.cold_started.items() if n}
    found = []
    for placement in sorted({*most, *started}):
        for count, on_spot in zip(most.get(placement, (0, 0)), (False, True), strict=True):
            if count or (placement in started and not on_spot):
                found.append(Running(placement, *known[placement], count, on_spot))
    return tuple(found)


def _parts(lot: Lot) -> tuple[int, ...]:
    """Machines of each group: Capacity Blocks come in powers of two, up to what the offer and AWS sell at once."""
    if lot.rule.instrument != "capacity_block":
        return (lot.machines,)
    most = MOST_BLOCK_INSTANCES
    if lot.offer is not None and lot.offer.most_units_at_once is not None:
        most = min(most, lot.offer.most_units_at_once * lot.offer.machines_per_unit)
    return blocks(lot.machines, most)


def node_labels(fleet: Fleet, lot: Lot) -> dict[str, str]:
    """Labels of the nodes of a lot: slugs and fixed words only."""
    return {
        "capacity-planner/pool": fleet.pool_name[lot.pool],
        "capacity-planner/lot": slug(lot.id),
        "capacity-planner/counts-in-failures": "false" if lot.kind == "spot" else "true",
    }


def block_days(plan: PlanFile) -> int:
    """Days of the first Capacity Block: the horizon, up to 182; beyond 14 in weeks, rounded up."""
    days = (plan.study.horizon.last_day - plan.study.horizon.start).days + 1
    return min(days if days <= 14 else -(-days // 7) * 7, MOST_BLOCK_DAYS)


def node_chips(machine: MachineType) -> int:
    """Chips of one node of a machine; most machines are one node."""
    return min(NODE_CHIPS.get(machine.name, machine.accelerators), machine.accelerators)


def nodes_of(machine: MachineType) -> int:
    """Nodes of one machine.

    Examples
    --------
    >>> rack = {"accelerator": "GB200", "accelerators": 72, "memory_gib_per_accelerator": 185.0}
    >>> known = {"evidence": "assumed", "source": "-", "as_of": "2026"}
    >>> nodes_of(MachineType(name="gb200-nvl72", provider="owned", **rack, **known))
    18
    """
    return -(-machine.accelerators // node_chips(machine))
