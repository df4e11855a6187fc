"""What a plan says stands where: lots of machines by pool, and replicas on them. Every target counts from here."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from planner.emit.names import distinct, slug
from planner.emit.on_spot import on_spot_replicas
from planner.emit.reservation_rules import Rule, rule_of
from planner.errors import Finding, InputError
from planner.plan.in_hand import Plan, in_hand
from planner.plan.orders import Order, blocks
from planner.problem.capacity import held_machines
from planner.problem.problem import HOURLY
from planner.study.calendar import Span, covers, hour_id, spans
from planner.study.dependencies import placement_id, profile_id
from planner.study.records.inventory import MachineType, Offer, Pool, Site
from planner.study.records.plan import PlanFile, Purchase, Replicas
from planner.study.records.serving import Model, Profile
from planner.study.records.study import Study
from planner.study.renewals import Contract, chain_of

HELD = "held"
MOST_BLOCK_INSTANCES = 64
"""Most instances of one EC2 Capacity Block, which is had in powers of two (AWS EC2 User Guide, 2025)."""
BLOCK_TERMS = {"most_days": 182.0, "weeks_after_days": 14.0, "order_days_ahead": 56.0}
"""Of an EC2 Capacity Block: by the day up to 14, by the week up to 182, at most 56 ahead (AWS EC2 User Guide, 2025)."""
NODE_CHIPS = {"gb200-nvl72": 4, "gb300-nvl72": 4}
"""Chips of one node where a machine is a rack of nodes (NVIDIA: compute trays of 4, 2025)."""
MOST_NAME = 38
"""Letters of a name that every cloud takes for a group of machines; GKE node pools take 40."""


@dataclass(frozen=True)
class Lot:
    """Machines of a pool that are bought as one offer, or held.

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

    None of them: only failures start it.
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

    plan: Plan
    lots: tuple[Lot, ...]
    running: tuple[Running, ...]

    @property
    def digest(self) -> str:
        """The first letters of the plan's digest, by which people know it."""
        return self.plan.file.digest_sha256[:12]

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

    def machines(self, pool: str, kinds: Iterable[str] | None = None) -> int:
        """Machines of a pool, all or of some kinds of lots."""
        return sum(lot.machines for lot in self.lots if lot.pool == pool and (kinds is None or lot.kind in kinds))

    def cells(self, provider: str) -> tuple[Cell, ...]:
        """Groups of machines of a provider, sorted by name."""
        parts: dict[str, tuple[Lot, int]] = {}
        for lot in self.lots:
            if self.site_of[lot.pool].provider == provider:
                sizes = sizes_of(lot)
                for i, machines in enumerate(sizes, 1):
                    parts[lot.id if len(sizes) == 1 else f"{lot.id} block {i}"] = (lot, machines)
        names = distinct(parts, MOST_NAME)
        made = [Cell(names[id], lot, machines) for id, (lot, machines) in parts.items()]
        return tuple(sorted(made, key=lambda cell: cell.name))


def _units(study: Study, offer: Offer, bought: list[Purchase], period: Span) -> int:
    """Units of an offer in a period: bought with a term that covers it, or of its fullest hour."""
    if offer.kind in HOURLY:
        hours = {hour_id(period.name, hour.name) for hour in study.horizon.each_hour}
        return max((row.units for row in bought if row.when in hours), default=0)
    by_name = {t.name: t for t in spans(study)}
    return sum(row.units for row in bought if covers(offer, by_name[row.when], period, len(by_name) > 1))


def fleet_of(plan: PlanFile | Plan) -> Fleet:
    """Machines and replicas of a plan; with several hours the most of any hour: what has to exist."""
    plan = in_hand(plan)
    _refuse_unknown(plan.file)
    lots = lots_of(plan, spans(plan.study))
    return Fleet(plan, lots, _running(plan.file, lots))


def lots_of(plan: Plan, periods: Sequence[Span]) -> tuple[Lot, ...]:
    """Lots of a plan, each with the most that it has in any of some periods."""
    study = plan.study
    bought: dict[str, list[Purchase]] = {}
    for row in plan.file.purchases:
        bought.setdefault(row.offer, []).append(row)
    offers = {offer.id: offer for offer in study.offers}
    provider_of = {site.id: site.provider for site in study.sites}
    lots = []
    for pool in study.pools:
        provider = provider_of[pool.site]
        if held := int(max(held_machines(study, pool.id, t) for t in periods)):
            lots.append(Lot(pool.id, None, HELD, 0, held, rule_of(provider, HELD, pool.machine_type)))
        for name in sorted(name for name in bought if offers[name].pool == pool.id):
            offer = offers[name]
            if units := max(_units(study, offer, bought[name], t) for t in periods):
                rule = rule_of(provider, offer.kind, pool.machine_type)
                lots.append(Lot(pool.id, offer, offer.kind, units, units * offer.machines_per_unit, rule))
    return tuple(lots)


def _refuse_unknown(plan: PlanFile) -> None:
    """A plan changed by hand may name what its study does not have."""
    study = plan.study
    pools, placements = {pool.id for pool in study.pools}, set(placed(study))
    findings = []

    def check(what: str, names: Iterable[str], known: set[str]) -> None:
        for name in sorted(set(names) - known):
            fix = "make the plan again with `planner plan`"
            findings.append(Finding(f"plan: {what}", "one that its study has", repr(name)[:120], fix))

    check("sites", (pool.site for pool in study.pools), {site.id for site in study.sites})
    check("machine types", (pool.machine_type for pool in study.pools), {m.name for m in study.machine_types})
    check("purchases", (row.offer for row in plan.purchases), {b.id for b in study.offers if b.pool in pools})
    check("replicas", (row.placement for row in plan.replicas), placements)
    workloads = {workload.name for workload in study.workloads}
    for state in plan.states:
        check("states", state.workload, workloads)
        check("states", state.cold_started, placements)
    if findings:
        raise InputError(list(dict.fromkeys(findings)))


def placed(study: Study) -> dict[str, tuple[Model, Profile, str]]:
    """Each placement that the study has with its model, profile and pool; made, not parsed: names may hold anything."""
    made = {}
    for pool in study.pools:
        for model in study.models:
            for profile in model.profiles:
                if profile.machine_type == pool.machine_type:
                    made[placement_id(profile_id(model.model, profile.name), pool.id)] = (model, profile, pool.id)
    return made


def _running(plan: PlanFile, lots: Iterable[Lot]) -> tuple[Running, ...]:
    known = placed(plan.study)
    chips = {machine.name: machine.accelerators for machine in plan.study.machine_types}
    machine_type = {pool.id: pool.machine_type for pool in plan.study.pools}
    spot: dict[str, int] = {}
    for lot in lots:
        if lot.kind == "spot":
            spot[lot.pool] = spot.get(lot.pool, 0) + lot.machines * chips[machine_type[lot.pool]]
    needs = {e: (pool, profile.accelerators_per_replica) for e, (_, profile, pool) in known.items()}
    by_hour: dict[str, list[Replicas]] = {}
    for row in plan.replicas:
        by_hour.setdefault(row.hour, []).append(row)
    most: dict[str, tuple[int, int]] = {}
    for rows in by_hour.values():
        for row, count in zip(rows, on_spot_replicas(rows, needs, spot), strict=True):
            before = most.get(row.placement, (0, 0))
            most[row.placement] = max(before[0], row.replicas - count), max(before[1], count)
    cold_started = {e for state in plan.states for e, n in state.cold_started.items() if n}
    running = []
    for placement in sorted({*most, *cold_started}):
        steady, on_spot = most.get(placement, (0, 0))
        if steady or placement in cold_started:
            running.append(Running(placement, *known[placement], steady, False))
        if on_spot:
            running.append(Running(placement, *known[placement], on_spot, True))
    return tuple(running)


def sizes_of(lot: Lot) -> tuple[int, ...]:
    """Machines of each group: Capacity Blocks come in powers of two, up to what the offer and AWS sell at once."""
    if lot.rule.instrument != "capacity_block":
        return (lot.machines,)
    most = MOST_BLOCK_INSTANCES
    if lot.offer is not None and lot.offer.most_units_at_once is not None:
        most = min(most, lot.offer.most_units_at_once * lot.offer.machines_per_unit)
    return blocks(lot.machines, most)


def zone_of(site: Site) -> str | None:
    """The zone that a site names, as its provider does; none: it is a whole region. Azure's are numbers of a region."""
    if site.site == site.region:
        return None
    return site.site.removeprefix(f"{site.region}-") if site.provider == "azure" else site.site


def is_zone_id(zone: str) -> bool:
    """Whether a zone of AWS is written as its id, which is the same zone in every account; names are not.

    Examples
    --------
    >>> is_zone_id("use2-az1"), is_zone_id("us-east-2a")
    (True, False)
    """
    return re.fullmatch(r"[a-z]+[0-9]+-az[0-9]+", zone) is not None


def node_labels(fleet: Fleet, lot: Lot) -> dict[str, str]:
    """Labels of the nodes of a lot: slugs and fixed words only."""
    return {
        "capacity-planner/pool": fleet.pool_name[lot.pool],
        "capacity-planner/lot": slug(lot.id),
        "capacity-planner/counts-in-failures": "false" if lot.kind == "spot" else "true",
    }


def as_block(offer: Offer) -> Offer:
    """An offer with the terms of an EC2 Capacity Block where it states none: its length, and when it can be ordered."""
    said = {name: value for name in BLOCK_TERMS if (value := getattr(offer, name)) is not None}
    return offer.model_copy(update={**BLOCK_TERMS, **said})


def blocks_of(lot: Lot, order: Order) -> tuple[Contract, ...]:
    """The Capacity Blocks of an order, one after the other: its chain, or AWS's own terms where it states none."""
    if order.chain or lot.offer is None:
        return order.chain
    return chain_of(as_block(lot.offer), order.need, order.counted_until)


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
