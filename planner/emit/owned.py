"""Machines in halls of our own: an inventory with its schema, for Ansible, for NetBox, and tickets to build out.

What a person wrote is data: Ansible's values carry `!unsafe`, which keeps it from expanding `{{ }}`, and NetBox's table
has slugs alone.
"""

import csv
import io
from collections.abc import Mapping
from datetime import date
from typing import Any, Literal

from pydantic import Field

from planner.emit.fleet import Fleet, Lot, fleet_of, node_labels
from planner.emit.names import distinct, slug
from planner.emit.text import Unsafe, quoted_yaml, sorted_json
from planner.emit.tickets import Progress, ticket_files
from planner.plan.in_hand import Plan
from planner.study.calendar import spans
from planner.study.records.base import Count, PositiveCount, Record
from planner.study.records.plan import PlanFile

OWNED = "owned"
OPTIONS: Mapping[str, str] = {}


class Phase(Record):
    """Machines that come together."""

    phase: str = Field(description="`held`, or the id of the offer")
    status: Literal["held", "to build"]
    machines: PositiveCount
    needed: date = Field(description="first day on which they must be there")
    order_by: date | None = Field(description="last day to order; none: held")
    hosts: tuple[str, ...] = Field(description="names for the machines, one each")
    node_labels: dict[str, str] = Field(description="labels of their nodes, by which the manifests choose them")


class Serving(Record):
    """Replicas of a placement in normal operation."""

    placement: str
    model: str
    profile: str
    stack: str
    replicas: Count
    accelerators_per_replica: PositiveCount


class Rack(Record):
    """Machines of one type in a hall."""

    pool: str
    slug: str = Field(description="name of the group of hosts, and value of the nodes' label capacity-planner/pool")
    rack_type: str = Field(description="machine type")
    accelerator: str
    accelerators: PositiveCount = Field(description="in one machine")
    power_kw: float | None = Field(description="highest draw of one machine [kW]")
    machines: Count = Field(description="at once, at most; what is bought again after its life counts once")
    spare_machines: float = Field(description="kept free in normal operation")
    lent_machines: Count = Field(description="lent to training or batch, of those held")
    phases: tuple[Phase, ...]
    serving: tuple[Serving, ...]


class Built(Record):
    """Modules of a phase of the hall itself: power for machines."""

    build_out: str
    modules: PositiveCount
    power_kw: float = Field(description="IT power of all of them [kW]")
    usable_from: date


class Hall(Record):
    """A hall with its racks."""

    site: str
    slug: str
    region: str
    city: str
    latitude: float
    longitude: float
    power_kw: float | None = Field(description="for machines, before anything is built; none: no limit known [kW]")
    built: tuple[Built, ...] = Field(description="what the plan builds")
    racks: tuple[Rack, ...]


class Inventory(Record):
    """inventory.json: what the plan wants in halls of our own."""

    plan_sha256: str
    study: str
    not_proven: str | None = Field(description="why the plan is not proven; none: it is")
    halls: tuple[Hall, ...]


def files(
    plan: PlanFile | Plan, options: Mapping[str, str], progress: Progress = lambda done, of: None
) -> dict[str, str]:
    """Inventory, schema, Ansible inventory, NetBox table of devices, and tickets; little when nothing is owned.

    Parameters
    ----------
    options : `not_proven`: why the plan is not proven
    progress : called with (failures replayed, failures in all) for the tickets
    """
    fleet = fleet_of(plan)
    inventory = inventory_of(fleet, options.get("not_proven"))
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Inventory.model_json_schema()}
    return {
        "inventory.json": sorted_json(inventory.model_dump(mode="json")),
        "inventory.schema.json": sorted_json(schema),
        "ansible.yaml": _ansible(inventory),
        "netbox-devices.csv": _netbox(inventory),
        **ticket_files(fleet, options, owned=True, progress=progress),
    }


def inventory_of(fleet: Fleet, not_proven: str | None = None) -> Inventory:
    """The inventory of a plan's halls, in the order of the study."""
    mine = [q for q, site in fleet.site_of.items() if site.provider == OWNED]
    sites = dict.fromkeys(fleet.site_of[q] for q in mine)
    names = distinct(site.id for site in sites)
    halls = tuple(
        Hall(
            site=site.id,
            slug=names[site.id],
            region=site.region,
            city=site.city,
            latitude=site.latitude,
            longitude=site.longitude,
            power_kw=site.power_kw,
            built=_built(fleet.plan, site.id),
            racks=tuple(_rack(fleet, q) for q in mine if fleet.site_of[q] == site),
        )
        for site in sites
    )
    plan = fleet.plan
    return Inventory(plan_sha256=plan.file.digest_sha256, study=plan.study.study, not_proven=not_proven, halls=halls)


def _built(plan: Plan, site: str) -> tuple[Built, ...]:
    phases, days = {m.id: m for m in plan.study.build_outs}, {t.name: t.first_day for t in spans(plan.study)}
    return tuple(
        Built(
            build_out=row.build_out,
            modules=row.units,
            power_kw=row.units * phases[row.build_out].power_kw,
            usable_from=days[row.when],
        )
        for row in plan.file.builds
        if row.units and phases[row.build_out].site == site
    )


def _rack(fleet: Fleet, pool: str) -> Rack:
    machine = fleet.machine_of[pool]
    claims = [c.machines for c in fleet.plan.study.claims if c.pool == pool]
    return Rack(
        pool=pool,
        slug=fleet.pool_name[pool],
        rack_type=machine.name,
        accelerator=machine.accelerator,
        accelerators=machine.accelerators,
        power_kw=machine.power_kw,
        machines=fleet.machines(pool),
        spare_machines=fleet.pools[pool].spare_machines,
        lent_machines=sum(claims),
        phases=tuple(phase for lot in fleet.lots if lot.pool == pool for phase in _phases(fleet, lot)),
        serving=tuple(
            Serving(
                placement=r.placement,
                model=r.model.model,
                profile=r.profile.name,
                stack=r.profile.stack,
                replicas=r.replicas,
                accelerators_per_replica=r.profile.accelerators_per_replica,
            )
            for r in fleet.running
            if r.pool == pool
        ),
    )


def _phases(fleet: Fleet, lot: Lot) -> tuple[Phase, ...]:
    """What is held, or each order of an offer: what is bought later is needed later."""
    labels = node_labels(fleet, lot)
    if lot.offer is None:
        return (_phase(lot.id, "held", lot.machines, fleet.plan.study.horizon.start, None, labels),)
    mine = [order for order in fleet.plan.orders if order.offer == lot.id]
    return tuple(
        _phase(lot.id if len(mine) == 1 else f"{lot.id} {o.period}", "to build", o.machines, o.need, o.order_by, labels)
        for o in mine
    )


def _phase(
    name: str,
    status: Literal["held", "to build"],
    machines: int,
    needed: date,
    order_by: date | None,
    labels: dict[str, str],
) -> Phase:
    stem = slug(name, 40)
    hosts = tuple(f"{stem}-{number:05d}" for number in range(1, machines + 1))
    return Phase(
        phase=name,
        status=status,
        machines=machines,
        needed=needed,
        order_by=order_by,
        hosts=hosts,
        node_labels=labels,
    )


def _ansible(inventory: Inventory) -> str:
    """Groups by hall, by rack type in it and by phase; hosts are slugs."""
    halls: dict[str, Any] = {}
    for hall in inventory.halls:
        racks: dict[str, Any] = {}
        for rack in hall.racks:
            phases = {
                _group(phase.phase): {"hosts": dict.fromkeys(phase.hosts), "vars": _about(phase)}
                for phase in rack.phases
            }
            racks[_group(rack.pool)] = {
                "children": phases,
                "vars": {
                    "planner_pool": Unsafe(rack.pool),
                    "planner_rack_type": Unsafe(rack.rack_type),
                    "planner_accelerator": Unsafe(rack.accelerator),
                    "planner_accelerators": rack.accelerators,
                    "planner_node_label": rack.slug,
                    "planner_replicas": [
                        {"placement": Unsafe(s.placement), "replicas": s.replicas} for s in rack.serving
                    ],
                },
            }
        about = {"planner_site": Unsafe(hall.site), "planner_city": Unsafe(hall.city)}
        halls[_group(hall.site)] = {"children": racks, "vars": about}
    top: dict[str, Any] = {"planner_study": Unsafe(inventory.study), "planner_plan": inventory.plan_sha256}
    if inventory.not_proven:
        top["planner_not_proven"] = Unsafe(inventory.not_proven)
    data = {"all": {"children": {"planner_owned": {"children": halls, "vars": top}}}}
    return quoted_yaml(data, ("Generated from a plan; do not edit.",), ascii_only=False)


def _about(phase: Phase) -> dict[str, Any]:
    order_by = {} if phase.order_by is None else {"planner_order_by": phase.order_by.isoformat()}
    labels = {"planner_node_labels": phase.node_labels}
    return {"planner_phase": Unsafe(phase.phase), "planner_status": phase.status, **order_by, **labels}


def _group(text: str) -> str:
    """A group of Ansible: letters, digits and underscores."""
    return "planner_" + slug(text).replace("-", "_")


def _netbox(inventory: Inventory) -> str:
    """Devices as NetBox imports them: slugs and fixed words only."""
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(["name", "role", "device_type", "site", "status"])
    for hall in inventory.halls:
        for rack in hall.racks:
            for phase in rack.phases:
                status = "active" if phase.status == "held" else "planned"
                table.writerows([h, "ai-serving", slug(rack.rack_type), hall.slug, status] for h in phase.hosts)
    return out.getvalue()
